//! Calls from one side to the other, and their results back.

use super::events::passthru;
use super::hops::{End, Sender, extend};
use super::mirror::Ask;
use super::status::{Counts, count};
use super::subjects::Key;
use crate::client::{CallError, CallGatherer, GatheredCalls, Held, PassedCall, RequestError, Results, Session};
use crate::wamp::link::FORWARD_FOR;
use crate::wamp::{Dict, error, message};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Registers.
#[derive(Clone, Debug)]
pub(super) struct Registering(pub(super) Arc<CallGatherer>);

impl Ask for Registering {
    async fn ask(&self, (uri, policy): &Key, invoke: &str) -> Result<Held, RequestError> {
        let mut options = Dict::new().with("match", policy.name());
        if !invoke.is_empty() {
            options.push("invoke", invoke);
        }
        // Who calls is told to the callee there, as a callee here would ask for.
        let disclosed = options.clone().with("disclose_caller", true);
        match self.0.register(uri, disclosed).await {
            Err(RequestError::Refused(CallError { error, .. })) if *error == *error::DISCLOSE_ME_DISALLOWED => {
                self.0.register(uri, options).await
            }
            asked => asked,
        }
    }
}

/// From where to where calls go.
pub(super) struct Road {
    pub(super) here: End,
    pub(super) there: Box<str>,
    pub(super) target: Session,
    pub(super) counts: Arc<Counts>,
    pub(super) hops_max: usize,
    pub(super) calls_max: usize,
}

/// Takes calls for as long as there are any.
pub(super) async fn carry(road: Road, mut calls: GatheredCalls) {
    let mut working = JoinSet::new();
    loop {
        tokio::select! {
            call = calls.next() => match call {
                Some(call) if working.len() < road.calls_max => begin(&road, call, &mut working).await,
                Some(call) => {
                    let why = CallError::new(error::UNAVAILABLE, "too many calls wait for the other router");
                    call.invocation.fail(why);
                }
                None => return,
            },
            Some(_) = working.join_next() => {}
        }
    }
}

async fn begin(road: &Road, call: PassedCall, working: &mut JoinSet<()>) {
    let PassedCall { payload, invocation } = call;
    let details = &invocation.details;
    // Nobody has another way for a procedure than by who has it: its registration would not be here.
    let Ok(hops) = extend(details, Sender::Caller, &road.here, &road.there, &BTreeSet::new(), road.hops_max) else {
        // The router asks somebody else, if there is anybody.
        let why = CallError::new(error::UNAVAILABLE, "the call has come from where the link leads to");
        return invocation.fail(why);
    };
    let mut options = Dict::new().with(FORWARD_FOR, hops);
    passthru(details, &mut options);
    if invocation.wants_progress() {
        options.push("receive_progress", true);
    }
    let more = invocation.has_more();
    let first = if more { options.clone().with("progress", true) } else { options.clone() };
    count(&road.counts.calls);
    // Those that follow are sent behind it.
    match road.target.pass_call(&invocation.procedure, payload, first).await {
        Ok(results) => drop(working.spawn(relay(invocation, results, options))),
        Err(error) => invocation.fail(failed(error)),
    }
}

/// Passes results back, and further arguments there, until the call is over.
async fn relay(mut invocation: crate::client::Invocation, mut results: Results, options: Dict) {
    loop {
        tokio::select! {
            result = results.next_unread() => {
                let message::Result { details, payload, .. } = match result {
                    Ok(result) => result,
                    Err(error) => return invocation.fail(failed(error)),
                };
                let mut options = Dict::new();
                passthru(&details, &mut options);
                if !matches!(details.bool("progress"), Ok(Some(true))) {
                    return invocation.finish_with(options, payload);
                }
                if invocation.progress_with(options, payload).await.is_err() {
                    return;
                }
            }
            more = invocation.more_or_end() => {
                // Dropped results cancel the call.
                let Some(payload) = more else { return };
                let more = invocation.has_more();
                let options = if more { options.clone().with("progress", true) } else { options.clone() };
                if results.send_more(&invocation.procedure, options, payload).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// What the caller is told.
fn failed(error: RequestError) -> CallError {
    match error {
        RequestError::Refused(error) => error,
        RequestError::Unsendable(why) => CallError::new(error::INVALID_PAYLOAD, why),
        // Whether it has been done is not known.
        other => CallError::new(error::CANCELED, format!("the link to the callee is lost: {other}")),
    }
}
