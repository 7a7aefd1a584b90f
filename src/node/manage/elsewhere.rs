//! What those who manage a node do in its other realms: a session of the node's own does it for them, and may do everything.

use super::procedures::Arguments;
use super::subjects::policy;
use crate::client::{CallError, Invocation, RequestError, Session};
use crate::node::Console;
use crate::node::console::Insider;
use crate::wamp::{Dict, MatchPolicy, Value, error};

/// The name of these sessions.
const AUTHID: &str = "corebar.manager";

/// The realm, what is meant in it, and the session that does it.
async fn enter<'a>(console: &Console, call: &'a Invocation, what: &str) -> Result<(Session, &'a str), CallError> {
    let arguments = Arguments(call);
    let (name, what) = (arguments.needed(0, "realm")?, arguments.needed(1, what)?);
    let unknown = || CallError::new(error::NO_SUCH_REALM, format!("no realm {name:?} here"));
    let index = console.realm(name).ok_or_else(unknown)?;
    let realm = console.config().realms[usize::from(index)].clone();
    let who = Insider { realm: realm.name, namespace: realm.namespace, authid: AUTHID.into(), role: None };
    let session = console.join(who).await;
    session.map(|session| (session, what)).map_err(|why| CallError::new(error::UNAVAILABLE, why.to_string()))
}

/// What is to be said: a list and a dictionary, behind what is meant.
fn payload(call: &Invocation) -> Result<(Vec<Value>, Dict), CallError> {
    let arguments = Arguments(call);
    let wrong = |text: &str| CallError::new(error::INVALID_ARGUMENT, text);
    let args = match arguments.get(2, "args") {
        None => Vec::new(),
        Some(Value::List(args)) => args.clone(),
        Some(_) => return Err(wrong("args has to be a list")),
    };
    let kwargs = match arguments.get(3, "kwargs") {
        None => Dict::new(),
        Some(Value::Dict(kwargs)) => kwargs.clone(),
        Some(_) => return Err(wrong("kwargs has to be a dictionary")),
    };
    Ok((args, kwargs))
}

fn failed(why: RequestError) -> CallError {
    match why {
        RequestError::Refused(why) => why,
        other => CallError::new(error::UNAVAILABLE, other.to_string()),
    }
}

/// Calls a procedure of a realm.
pub(super) async fn call(console: &Console, mut invocation: Invocation) {
    let wanted = async {
        let (args, kwargs) = payload(&invocation)?;
        let (session, procedure) = enter(console, &invocation, "procedure").await?;
        Ok::<_, CallError>((session, procedure.to_owned(), args, kwargs))
    };
    let (session, procedure, args, kwargs) = match wanted.await {
        Ok(wanted) => wanted,
        Err(why) => return invocation.fail(why),
    };
    let called = tokio::select! {
        called = session.call(&procedure, args, kwargs, Dict::new()) => called,
        // The call that is dropped is canceled.
        () = invocation.interrupted() => return,
    };
    match called {
        Ok(outcome) => invocation.finish(outcome.args, outcome.kwargs),
        Err(why) => invocation.fail(failed(why)),
    }
}

/// Publishes to a topic of a realm, and answers with the id of the publication.
pub(super) async fn publish(console: &Console, invocation: Invocation) {
    let published = async {
        let (args, kwargs) = payload(&invocation)?;
        let (session, topic) = enter(console, &invocation, "topic").await?;
        session.publish_acknowledged(topic, args, kwargs, Dict::new()).await.map_err(failed)
    };
    match published.await {
        Ok(publication) => invocation.finish(vec![publication.get().into()], Dict::new()),
        Err(why) => invocation.fail(why),
    }
}

/// Gives the events of a topic or pattern of a realm as progressive results, until the call is canceled.
pub(super) async fn tail(console: &Console, mut invocation: Invocation) {
    let subscribed = async {
        if !invocation.wants_progress() {
            return Err(CallError::new(
                error::INVALID_ARGUMENT,
                "events come as progressive results, which the call does not take",
            ));
        }
        let policy = policy(Arguments(&invocation).text(2, "match")?)?.unwrap_or(MatchPolicy::Exact).name();
        let (session, topic) = enter(console, &invocation, "topic").await?;
        session.subscribe(topic, Dict::new().with("match", policy)).await.map_err(failed)
    };
    let mut subscription = match subscribed.await {
        Ok(subscription) => subscription,
        Err(why) => return invocation.fail(why),
    };
    loop {
        let event = tokio::select! {
            event = subscription.next() => event,
            () = invocation.interrupted() => return,
        };
        let Some(event) = event else { return invocation.finish(Vec::new(), Dict::new()) };
        let shown = Dict::new()
            .with("topic", &*event.topic)
            .with("publication", event.publication.get())
            .with("args", event.args)
            .with("kwargs", event.kwargs)
            .with("details", event.details);
        if invocation.progress(vec![shown.into()], Dict::new()).await.is_err() {
            return;
        }
    }
}
