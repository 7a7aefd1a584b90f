//! The closed vocabulary between shards.
//!
//! For each ordered pair of shards one queue carries all of these in order (rule R1 of `docs/ordering.md`).

pub mod call;
pub mod control;
pub mod publication;
pub mod query;

pub use call::{CallRef, Cancel, Invoke, InvokeExtras, Outcome, Part, Return};
pub use control::{Answer, Ask, Departure, LogEntry, RetainedRequest, RetainedState, Revocation};
pub use publication::{Chosen, Extras, Publication, Stamp, Store};
pub use query::{EventFilter, Finding, Kind, Query, Question, Reply, Victims};

use super::index::ShardIndex;
use crate::wamp::{RegistrationId, SubscriptionId, Value};
use smallvec::SmallVec;
use std::sync::Arc;

/// A message from one shard to another, or from a shard to itself.
#[derive(Debug)]
pub enum ShardMsg {
    /// A publication, for the members of these subscriptions on the receiving shard.
    Event(Arc<Publication>, SmallVec<[SubscriptionId; 2]>),
    /// A publication that is to be kept, to a home.
    Store(Box<Store>),
    /// A call, to the shard of its callee.
    Invoke(Box<Invoke>),
    /// A further part of a call, to the shard of its callee.
    Part(Box<Part>),
    /// What became of a call, to the shard of its caller.
    Return(Box<Return>),
    /// A call is canceled, or its caller has left: to the shard of its callee.
    Cancel(Cancel),
    /// A callee of this registration can take another call: to a shard where calls wait for it.
    SlotFree(RegistrationId),
    /// To the home of a subject.
    Ask(Box<Ask>),
    /// From the home of a subject to the shard that asked.
    Answer(Box<Answer>),
    /// From the home of a subject to every shard: an entry of the home's log.
    Log(Box<LogEntry>),
    /// To the shard that caused a log entry: the sender has applied the entries of `home` up to `position`, and all
    /// that it sent before has arrived.
    Applied {
        /// Whose log.
        home: ShardIndex,
        /// How far.
        position: u64,
    },
    /// A meta procedure asks what the receiving shard knows.
    Query(Box<Query>),
    /// What it knows.
    Reply(Box<Reply>),
}

impl ShardMsg {
    /// Roughly how many octets the message keeps alive: what queues between shards are measured in.
    #[must_use]
    pub fn weight(&self) -> usize {
        const FIXED: usize = 128;
        FIXED
            + match self {
                ShardMsg::Event(publication, _) => publication.weight(),
                ShardMsg::Store(store) => store.publication.weight(),
                ShardMsg::Invoke(invoke) => {
                    invoke.payload.len() + invoke.extras.as_ref().map_or(0, |extras| extras.details.weight())
                }
                ShardMsg::Part(part) => part.payload.len(),
                ShardMsg::Return(back) => match &back.outcome {
                    Outcome::Result { details, payload, .. } | Outcome::Error { details, payload, .. } => {
                        payload.len() + details.weight()
                    }
                    Outcome::Gone | Outcome::Unavailable => 0,
                },
                ShardMsg::Ask(ask) => match &**ask {
                    Ask::Leave(departure) => 64 * (departure.topics.len() + departure.procedures.len()),
                    _ => 0,
                },
                ShardMsg::Reply(reply) => match &reply.finding {
                    Finding::Ids(ids) => 8 * ids.len(),
                    Finding::Lists(lists) => lists.iter().map(|ids| 8 * ids.len()).sum(),
                    Finding::Details(details) => details.weight(),
                    Finding::Events(events) => events.iter().map(Value::weight).sum(),
                    _ => 0,
                },
                ShardMsg::Query(query) => match &query.question {
                    Question::Modify(_, changes) => changes.weight(),
                    _ => 0,
                },
                ShardMsg::Cancel(_)
                | ShardMsg::SlotFree(_)
                | ShardMsg::Answer(_)
                | ShardMsg::Log(_)
                | ShardMsg::Applied { .. } => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Audience;
    use crate::wamp::{Dict, Payload, PublicationId, SessionId};

    #[test]
    fn what_goes_with_payload_counts() {
        let details = || Dict::new().with("enc_x", &*"x".repeat(10_000));
        let ids: Vec<Value> = (0..2_000).map(Value::from).collect();
        let receivers = Audience::read(&Dict::new().with("exclude", ids)).expect("ids");
        for extras in [Extras::new(details(), None, true), Extras::new(Dict::new(), receivers, false)] {
            let publication = Publication {
                id: PublicationId::from_raw(1),
                stamp: Stamp::default(),
                excluded: None,
                topic: "a".into(),
                payload: Payload::NONE,
                extras: Some(Box::new(extras)),
            };
            let event = ShardMsg::Event(Arc::new(publication), SmallVec::new());
            assert!((10_000..30_000).contains(&event.weight()), "{}", event.weight());
        }
        let callee = SessionId::from_raw(1);
        let call = CallRef { shard: 0, serial: 1 };
        for outcome in [
            Outcome::Result { progress: false, details: details(), payload: Payload::NONE },
            Outcome::Error { error: "a".into(), details: details(), payload: Payload::NONE },
        ] {
            let back = Return { call, callee, caller: callee, request: crate::wamp::RequestId::from_raw(1), outcome };
            assert!(ShardMsg::Return(Box::new(back)).weight() > 10_000);
        }
    }
}
