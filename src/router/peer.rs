//! The closed vocabulary between shards.
//!
//! For each ordered pair of shards one queue carries all of these in order (rule R1 of `docs/ordering.md`).

use super::index::ShardIndex;
use super::subject::Subject;
use crate::session::RealmIndex;
use crate::wamp::{Dict, Payload, PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId, Uri};
use smallvec::SmallVec;
use std::sync::Arc;

/// A message from one shard to another, or from a shard to itself.
#[derive(Debug)]
pub enum ShardMsg {
    /// A publication, for the members of these subscriptions on the receiving shard.
    Event(Arc<Publication>, SmallVec<[SubscriptionId; 2]>),
    /// A call, to the shard of its callee.
    Invoke(Box<Invoke>),
    /// What became of a call, to the shard of its caller.
    Return(Box<Return>),
    /// A call is canceled, or its caller has left: to the shard of its callee.
    Cancel(Cancel),
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
}

/// An event on its way to subscribers.
#[derive(Debug)]
pub struct Publication {
    /// Its id.
    pub id: PublicationId,
    /// The publisher, if it must not get the event itself.
    pub excluded: Option<SessionId>,
    /// The topic, as published.
    pub topic: Uri,
    /// The event.
    pub payload: Payload,
}

/// One call for ever: request ids may come back when a call is over, serials do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallRef {
    /// The shard of the caller.
    pub shard: ShardIndex,
    /// Counts the calls of that shard.
    pub serial: u64,
}

/// A call on its way to a callee.
#[derive(Debug)]
pub struct Invoke {
    /// The callee.
    pub callee: SessionId,
    /// The registration that was found.
    pub registration: RegistrationId,
    /// The procedure of that registration, as registered.
    pub procedure: Uri,
    /// The call.
    pub call: CallRef,
    /// The caller.
    pub caller: SessionId,
    /// The CALL.
    pub request: RequestId,
    /// The caller takes progressive results.
    pub progress: bool,
    /// The arguments.
    pub payload: Payload,
}

/// What became of a call.
#[derive(Debug)]
pub struct Return {
    /// The call.
    pub call: CallRef,
    /// The caller.
    pub caller: SessionId,
    /// The CALL.
    pub request: RequestId,
    /// What came.
    pub outcome: Outcome,
}

/// An answer to a call.
#[derive(Debug)]
pub enum Outcome {
    /// A result after which others come.
    Progress(Payload),
    /// The last result.
    Result(Payload),
    /// An error of the callee, or of the router in its place.
    Error(Uri, Dict, Payload),
}

/// Ends a call from the caller's side.
#[derive(Clone, Copy, Debug)]
pub struct Cancel {
    /// The call.
    pub call: CallRef,
    /// The callee.
    pub callee: SessionId,
    /// The callee's answer still counts (mode `kill`).
    pub await_answer: bool,
}

/// A session's wish, for the home of a subject.
#[derive(Debug)]
pub enum Ask {
    /// To be a member of a subscription.
    Subscribe(SessionId, Subject),
    /// No longer to be one; acknowledged for this request.
    Unsubscribe(SessionId, Subject, RequestId),
    /// To be the callee of a procedure; acknowledged or refused for this request.
    Register(SessionId, Subject, RequestId),
    /// No longer to be one; acknowledged for this request.
    Unregister(SessionId, Subject, RequestId),
    /// The session has ended: its subscriptions and its registrations whose home this is.
    Leave(SessionId, Vec<Subject>, Vec<Subject>),
}

/// A home's answer to a wish.
#[derive(Debug)]
pub enum Answer {
    /// Member since log position `position`, at which the asking shard's interest was added.
    Subscribed {
        /// Who asked.
        session: SessionId,
        /// The subject.
        subject: Subject,
        /// The subscription.
        id: SubscriptionId,
        /// The position in this home's log.
        position: u64,
    },
    /// Member no longer.
    Unsubscribed(SessionId, RequestId),
    /// Callee since log position `position`.
    Registered {
        /// Who asked.
        session: SessionId,
        /// The procedure.
        procedure: Uri,
        /// The REGISTER.
        request: RequestId,
        /// The registration.
        id: RegistrationId,
        /// The position in this home's log.
        position: u64,
    },
    /// Somebody else is the callee.
    RegisterRefused(SessionId, Uri, RequestId),
    /// Callee no longer since log position `position`.
    Unregistered {
        /// Who asked.
        session: SessionId,
        /// The procedure.
        procedure: Uri,
        /// The UNREGISTER.
        request: RequestId,
        /// The position in this home's log.
        position: u64,
    },
}

/// An entry of a home's log. `position` counts the entries of that home from 1.
#[derive(Debug)]
pub enum LogEntry {
    /// A shard has its first member of a subscription.
    Up {
        /// The position of this entry.
        position: u64,
        /// The subject.
        subject: Subject,
        /// Its subscription.
        id: SubscriptionId,
        /// The shard; it is told by each shard that the entry has been applied.
        shard: ShardIndex,
    },
    /// A shard has no member of a subscription any longer.
    Down {
        /// The subject.
        subject: Subject,
        /// Its subscription.
        id: SubscriptionId,
        /// The shard.
        shard: ShardIndex,
    },
    /// The callees of a procedure have changed; none means that it is gone.
    Callees {
        /// The position of this entry.
        position: u64,
        /// The realm.
        realm: RealmIndex,
        /// The procedure.
        procedure: Uri,
        /// Its registration.
        id: RegistrationId,
        /// The callees, oldest first.
        callees: Arc<[(SessionId, ShardIndex)]>,
        /// The shard that caused the entry; it is told by each shard that the entry has been applied.
        cause: ShardIndex,
    },
}

impl ShardMsg {
    /// Roughly how many octets the message keeps alive: what queues between shards are measured in.
    #[must_use]
    pub fn weight(&self) -> usize {
        const FIXED: usize = 128;
        FIXED
            + match self {
                ShardMsg::Event(publication, _) => publication.payload.len(),
                ShardMsg::Invoke(invoke) => invoke.payload.len(),
                ShardMsg::Return(back) => match &back.outcome {
                    Outcome::Progress(payload) | Outcome::Result(payload) | Outcome::Error(_, _, payload) => {
                        payload.len()
                    }
                },
                ShardMsg::Ask(ask) => match &**ask {
                    Ask::Leave(_, topics, procedures) => 64 * (topics.len() + procedures.len()),
                    _ => 0,
                },
                ShardMsg::Cancel(_) | ShardMsg::Answer(_) | ShardMsg::Log(_) | ShardMsg::Applied { .. } => 0,
            }
    }
}
