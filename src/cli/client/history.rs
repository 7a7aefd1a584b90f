//! Events that the router has kept.

use super::failure::{Done, Failure};
use crate::client::{Event, Session, Subscription};
use crate::wamp::{Dict, PublicationId, Uri, Value};

/// An event, and when it was published.
pub(super) struct Past {
    pub(super) time: String,
    pub(super) event: Event,
}

/// The last events of a topic, the oldest first.
///
/// # Errors
/// The router does not give them.
pub(super) async fn last(session: &Session, topic: &str, subscription: &Subscription, limit: u64) -> Done<Vec<Past>> {
    const PROCEDURE: &str = "wamp.subscription.get_events";
    let args = vec![subscription.id().get().into()];
    let kwargs = Dict::new().with("limit", limit).with("reverse", true);
    let answer = session.call(PROCEDURE, args, kwargs, Dict::new()).await;
    let outcome = answer.map_err(|why| Failure::of_request(&format!("history of {topic}"), &why))?;
    // Some routers give one list, others an argument for each event.
    let events = match <[Value; 1]>::try_from(outcome.args) {
        Ok([Value::List(list)]) => list,
        Ok([Value::Null]) => Vec::new(),
        Ok(one) => one.into(),
        Err(args) => args,
    };
    Ok(events.into_iter().rev().filter_map(|event| read(topic, event)).collect())
}

/// One event; none if it makes no sense.
fn read(topic: &str, event: Value) -> Option<Past> {
    let Value::Dict(event) = event else { return None };
    let topic = event.str("topic").ok().flatten().map_or_else(|| Uri::from(topic), Uri::from);
    let publication = PublicationId::from_raw(event.uint("publication").ok().flatten()?);
    let time = event.str("timestamp").ok().flatten().unwrap_or_default().to_owned();
    let dict = |key| event.dict(key).ok().flatten().cloned().unwrap_or_default();
    let args = match event.get("args") {
        Some(Value::List(list)) => list.clone(),
        _ => Vec::new(),
    };
    let (kwargs, details) = (dict("kwargs"), dict("details"));
    Some(Past { time, event: Event { topic, publication, args, kwargs, details } })
}
