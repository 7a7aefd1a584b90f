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
use crate::wamp::{RegistrationId, SubscriptionId};
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
                ShardMsg::Event(publication, _) => publication.payload.len(),
                ShardMsg::Store(store) => store.publication.payload.len(),
                ShardMsg::Invoke(invoke) => invoke.payload.len(),
                ShardMsg::Part(part) => part.payload.len(),
                ShardMsg::Return(back) => match &back.outcome {
                    Outcome::Result { payload, .. } | Outcome::Error { payload, .. } => payload.len(),
                    Outcome::Gone | Outcome::Unavailable => 0,
                },
                ShardMsg::Ask(ask) => match &**ask {
                    Ask::Leave(departure) => 64 * (departure.topics.len() + departure.procedures.len()),
                    _ => 0,
                },
                ShardMsg::Reply(reply) => match &reply.finding {
                    Finding::Ids(ids) => 8 * ids.len(),
                    Finding::Lists(lists) => lists.iter().map(|ids| 8 * ids.len()).sum(),
                    _ => 0,
                },
                ShardMsg::Cancel(_)
                | ShardMsg::SlotFree(_)
                | ShardMsg::Answer(_)
                | ShardMsg::Log(_)
                | ShardMsg::Applied { .. }
                | ShardMsg::Query(_) => 0,
            }
    }
}
