//! Events that the router has kept.

use super::failure::{Done, Failure};
use super::pattern::Match;
use crate::client::{Event, Session};
use crate::wamp::{Dict, PublicationId, SubscriptionId, Uri, Value};

/// An event, and when it was published.
pub(super) struct Past {
    pub(super) time: String,
    pub(super) event: Event,
}

/// The last events of a topic or pattern, the oldest first. Where they are kept for a pattern that matches a topic, and not
/// for the topic itself, they are found too.
///
/// # Errors
/// The router does not give them.
pub(super) async fn last(
    session: &Session,
    topic: &str,
    policy: Match,
    subscription: SubscriptionId,
    limit: u64,
) -> Done<Vec<Past>> {
    let own = ask(session, topic, subscription, Dict::new().with("limit", limit).with("reverse", true)).await?;
    if !own.is_empty() || policy != Match::Exact {
        return Ok(own);
    }
    // Who may not look for others has none.
    let found = session.call("wamp.subscription.match", vec![topic.into()], Dict::new(), Dict::new()).await;
    let ids = match found.ok().and_then(|outcome| outcome.args.into_iter().next()) {
        Some(Value::List(ids)) => ids,
        _ => Vec::new(),
    };
    let mut all: Vec<Past> = Vec::new();
    for id in ids.iter().filter_map(Value::as_uint).map(SubscriptionId::from_raw).filter(|id| *id != subscription) {
        let filter = Dict::new().with("limit", limit).with("reverse", true).with("topic", topic);
        for past in ask(session, topic, id, filter).await.unwrap_or_default() {
            if all.iter().all(|known| known.event.publication != past.event.publication) {
                all.push(past);
            }
        }
    }
    // Times are written in UTC and have the same length.
    all.sort_by(|one, other| one.time.cmp(&other.time));
    let more = all.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(all.split_off(more))
}

async fn ask(session: &Session, topic: &str, subscription: SubscriptionId, filter: Dict) -> Done<Vec<Past>> {
    const PROCEDURE: &str = "wamp.subscription.get_events";
    let answer = session.call(PROCEDURE, vec![subscription.get().into()], filter, Dict::new()).await;
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
