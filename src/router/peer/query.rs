//! What meta procedures ask of shards: of their sessions, and of the subjects whose home they are.

use super::super::subject::Subject;
use crate::session::{Identity, RealmIndex};
use crate::wamp::{Dict, PublicationId, SessionId, Uri, Value};
use std::sync::Arc;
use std::time::Duration;

/// A question of a meta procedure.
#[derive(Debug)]
pub struct Query {
    /// The meta call, counted by the shard of its caller.
    pub job: u64,
    /// The realm.
    pub realm: RealmIndex,
    /// The session that asks.
    pub caller: SessionId,
    /// Who it is.
    pub identity: Arc<Identity>,
    /// What to find out or to do.
    pub question: Question,
}

/// Subscriptions or registrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Subscriptions.
    Subscription,
    /// Registrations.
    Registration,
}

/// What to find out or to do. What does not say otherwise is answered by [`Finding::Missing`] where there is no such
/// session, subscription or registration.
#[derive(Clone, Debug)]
pub enum Question {
    /// The sessions with one of these roles, if roles are given.
    Sessions(Option<Vec<Box<str>>>),
    /// The details of a session.
    Session(SessionId),
    /// Ends sessions.
    Kill {
        /// Which.
        victims: Victims,
        /// `GOODBYE.Reason`.
        reason: Uri,
        /// `GOODBYE.Details.message`.
        message: Option<Box<str>>,
    },
    /// Changes the details of a session.
    Modify(SessionId, Dict),
    /// Forgets what authorizers have said.
    Flush,
    /// All ids, by match policy.
    List(Kind),
    /// The id of a subject.
    Lookup(Kind, Subject),
    /// Which of these ids are still there.
    Present(Kind, Vec<u64>),
    /// The id, if it is still there.
    Identity(Kind, u64),
    /// The details of a subscription or registration.
    Get(Kind, u64),
    /// Its sessions.
    Members(Kind, u64),
    /// The number of its sessions.
    Count(Kind, u64),
    /// The events that have been kept of a subscription.
    Events(u64, Box<EventFilter>),
    /// Takes a session out of it.
    Remove {
        /// Of what.
        kind: Kind,
        /// Of which.
        id: u64,
        /// Whom.
        session: SessionId,
        /// Told to the session.
        reason: Option<Box<str>>,
    },
}

/// Which of the events that have been kept of a subscription; all that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Newest first.
    pub reverse: bool,
    /// So many at most.
    pub limit: Option<u64>,
    /// At or after this time since 1970.
    pub from_time: Option<Duration>,
    /// After this time.
    pub after_time: Option<Duration>,
    /// Before this time.
    pub before_time: Option<Duration>,
    /// At or before this time.
    pub until_time: Option<Duration>,
    /// Of this topic.
    pub topic: Option<Uri>,
    /// From this publication on.
    pub from_publication: Option<PublicationId>,
    /// Behind this publication.
    pub after_publication: Option<PublicationId>,
    /// Before this publication.
    pub before_publication: Option<PublicationId>,
    /// Up to this publication.
    pub until_publication: Option<PublicationId>,
    /// If events that have come since `from_time` may be missing, null is put in front of the others.
    pub whole: bool,
}

/// Which sessions to end; never the one that asks.
#[derive(Clone, Debug)]
pub enum Victims {
    /// One.
    Session(SessionId),
    /// Those of a user.
    Authid(Box<str>),
    /// Those of a role.
    Authrole(Box<str>),
    /// All. Nothing is published about it.
    All,
}

/// An answer to a question.
#[derive(Debug)]
pub struct Reply {
    /// The meta call.
    pub job: u64,
    /// What was found.
    pub finding: Finding,
}

/// What a shard has found.
#[derive(Debug)]
pub enum Finding {
    /// There is no such session, subscription or registration.
    Missing,
    /// The session is not a member.
    MissingMember,
    /// The caller may not know.
    Forbidden,
    /// It is done.
    Done,
    /// It was not done, since there would be more octets than this.
    TooMuch(u32),
    /// Ids, as many as there are.
    Ids(Vec<u64>),
    /// Ids of exact, prefix and wildcard subjects.
    Lists([Vec<u64>; 3]),
    /// Details.
    Details(Dict),
    /// A number.
    Number(u64),
    /// Events.
    Events(Vec<Value>),
}
