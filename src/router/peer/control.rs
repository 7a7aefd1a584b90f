//! What sessions want of the homes of subjects, and what homes decide.

use super::super::choice::{Callee, Shared};
use super::super::index::ShardIndex;
use super::super::nodes::NodeKey;
use super::super::subject::Subject;
use super::publication::Publication;
use super::query::Kind;
use crate::session::Identity;
use crate::session::options::{InvokePolicy, RegisterOptions};
use crate::wamp::{RegistrationId, RequestId, SessionId, SubscriptionId};
use std::sync::Arc;

/// A session's wish, for the home of a subject.
#[derive(Debug)]
pub enum Ask {
    /// To be a member of a subscription.
    Subscribe(SessionId, Subject),
    /// SUBSCRIBED has been written: others may be told.
    Subscribed(SessionId, SubscriptionId),
    /// To have the retained events of its topics.
    Retained(RetainedRequest),
    /// To be counted to a node of a subscription that it is a member of; the number tells this wish from others.
    Node(SessionId, Subject, NodeKey, u32),
    /// No longer to be one; acknowledged for this request.
    Unsubscribe(SessionId, Subject, RequestId),
    /// To be a callee of a procedure; acknowledged or refused for this request.
    Register(SessionId, Subject, RequestId, RegisterOptions),
    /// REGISTERED has been written: others may be told.
    Registered(SessionId, RegistrationId),
    /// No longer to be one; acknowledged for this request.
    Unregister(SessionId, Subject, RegistrationId, RequestId),
    /// To be taken out of what it has of a subject, for this reason, which is the URI of an error.
    Revoke(SessionId, Kind, Subject, &'static str),
    /// The session has ended.
    Leave(Departure),
}

/// A subscriber that wants retained events.
#[derive(Debug)]
pub struct RetainedRequest {
    /// The subscriber.
    pub session: SessionId,
    /// The subscription.
    pub subject: Subject,
    /// Tells this wish from others of the session.
    pub token: u32,
    /// Who the subscriber is.
    pub identity: Arc<Identity>,
}

/// What a home has retained for a subscriber.
#[derive(Debug)]
pub struct RetainedState {
    /// The newest event of each topic.
    pub events: Vec<Arc<Publication>>,
    /// The last publication of each shard that the home has kept: what is not newer has been published before.
    pub cut: Arc<[u64]>,
}

/// What a session that has ended had at one home.
#[derive(Debug, Default)]
pub struct Departure {
    /// The session.
    pub session: SessionId,
    /// Its subscriptions.
    pub topics: Vec<Subject>,
    /// Its registrations.
    pub procedures: Vec<Subject>,
    /// To be told when all that was published about it has arrived everywhere.
    pub report: bool,
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
    /// Everything that was sent before the log position has arrived: the home, which tells itself so, can answer those
    /// who want retained events.
    RetainedReadable(u64),
    /// Retained events.
    Retained {
        /// Who asked.
        session: SessionId,
        /// Which wish.
        token: u32,
        /// The events.
        state: RetainedState,
    },
    /// This wish to be counted to a node has been heard; it is known since log position `position`.
    NodeKnown(SessionId, u32, u64),
    /// A publication has been kept; or it could not be written down, for this reason.
    Stored(SessionId, RequestId, Option<Arc<str>>),
    /// Member no longer, and its node forgotten since log position `position` if nobody else belongs to it.
    Unsubscribed(SessionId, RequestId, u64),
    /// Member no longer, by the router's decision.
    SubscriptionRevoked {
        /// The member.
        session: SessionId,
        /// The subject.
        subject: Subject,
        /// Why.
        revocation: Revocation<SubscriptionId>,
        /// The position at which it became a member, or its node was forgotten.
        position: u64,
    },
    /// Callee since log position `position`.
    Registered {
        /// Who asked.
        session: SessionId,
        /// The subject.
        subject: Subject,
        /// The REGISTER.
        request: RequestId,
        /// The registration.
        id: RegistrationId,
        /// The position in this home's log.
        position: u64,
    },
    /// Others are callees, and do not share.
    RegisterRefused(SessionId, Subject, RequestId, &'static str),
    /// Callee no longer since log position `position`.
    Unregistered {
        /// Who asked.
        session: SessionId,
        /// The subject.
        subject: Subject,
        /// The UNREGISTER.
        request: RequestId,
        /// The registration.
        id: RegistrationId,
        /// The position in this home's log.
        position: u64,
    },
    /// Callee no longer since log position `position`, by the router's decision.
    RegistrationRevoked {
        /// The callee.
        session: SessionId,
        /// The subject.
        subject: Subject,
        /// Why.
        revocation: Revocation<RegistrationId>,
        /// The position in this home's log.
        position: u64,
    },
    /// Everything that this home had to say of a session that has ended is in its log before `position`.
    Left(SessionId, u64),
    /// Everything that was published about a session's joining has arrived everywhere.
    Joined(SessionId),
}

/// The router takes a subscription or a registration away.
#[derive(Clone, Debug)]
pub struct Revocation<Id> {
    /// Which.
    pub id: Id,
    /// Why, if there is anything to say.
    pub reason: Option<Box<str>>,
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
    /// A shard has its first member of a node of a subscription.
    NodeUp {
        /// The position of this entry.
        position: u64,
        /// The subscription.
        id: SubscriptionId,
        /// The node.
        node: NodeKey,
        /// The shard; it is told by each shard that the entry has been applied.
        shard: ShardIndex,
    },
    /// A shard has no member of a node of a subscription any longer.
    NodeDown {
        /// The position of this entry.
        position: u64,
        /// The subscription.
        id: SubscriptionId,
        /// The node.
        node: NodeKey,
        /// The shard; it is told by each shard that the entry has been applied.
        shard: ShardIndex,
    },
    /// The callees of a procedure have changed; none means that it is gone.
    Callees {
        /// The position of this entry.
        position: u64,
        /// The procedure or pattern.
        subject: Subject,
        /// Its registration.
        id: RegistrationId,
        /// How one of the callees is chosen.
        invoke: InvokePolicy,
        /// The callees, oldest first.
        callees: Arc<[Callee]>,
        /// What all shards share about the registration.
        shared: Arc<Shared>,
        /// The shard that caused the entry; it is told by each shard that the entry has been applied.
        cause: ShardIndex,
    },
    /// Changes nothing: it shows what has arrived.
    Mark {
        /// The position of this entry.
        position: u64,
        /// The shard that caused the entry; it is told by each shard that the entry has been applied.
        cause: ShardIndex,
    },
}
