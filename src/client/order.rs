//! What a session asks of the driver of its connection.

use super::call::CancelMode;
use super::error::{CallError, RequestError};
use super::queue::Feed;
use crate::wamp::id::PublicationId;
use crate::wamp::message::{Call, Event, Invocation, Publish, Result as CallResult};
use crate::wamp::payload::Payload;
use crate::wamp::{Dict, Uri};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::oneshot;

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, RequestError>>;

/// Where the results of a call go.
pub(super) type Outcomes = Feed<Result<CallResult, RequestError>>;

/// Asks for a message to be sent. The driver numbers requests, since their numbers have to be in the order of sending
/// (specification, "IDs"). What outlives a connection (subscriptions, registrations, calls) has a number of the session's
/// own besides.
#[derive(Debug)]
pub(super) enum Order {
    Publish(Publish, Option<Answer<PublicationId>>),
    Subscribe(u64, Wanted<Event>),
    Register(u64, Wanted<Invoked>),
    Unregister(u64, Answer<()>),
    /// With the number by which the session can end it.
    Call(Call, u64, Outcomes),
    /// More arguments of a call.
    More(Call, u64, Answer<()>),
    /// Answered when it has been sent, or when its caller does not wait any more.
    Progress(u64, Dict, Payload, Answer<()>),
    Testament(Testament, Answer<()>),
    /// Takes the testaments of a scope back.
    Flush(&'static str, Answer<()>),
    Leave(Uri, oneshot::Sender<()>),
}

/// A subscription or a registration, as the application wants it.
#[derive(Debug)]
pub(super) struct Wanted<T> {
    pub(super) uri: Uri,
    pub(super) options: Dict,
    pub(super) feed: Feed<T>,
    /// The id that the router has given it last.
    pub(super) id: Arc<AtomicU64>,
    /// Whoever waits for it, until the router has answered for the first time.
    pub(super) answer: Option<Answer<()>>,
}

/// What the router publishes when the session ends.
#[derive(Clone, Debug)]
pub(super) struct Testament {
    /// The arguments of `wamp.session.add_testament`.
    pub(super) payload: Payload,
    pub(super) scope: &'static str,
}

/// What never waits for room, since it is said where nothing can wait.
#[derive(Debug)]
pub(super) enum Notice {
    /// Nobody waits for the result of a call any more.
    Forget(u64),
    /// A call is to end, in this way; its answer is still waited for.
    Cancel(u64, CancelMode),
    /// Nobody takes the events of a subscription any more.
    Detach(u64),
    /// Nobody answers the calls of a registration any more.
    Withdraw(u64),
    /// The answer to an invocation.
    Done(u64, Result<(Dict, Payload), CallError>),
    /// The session is about to be left, whether there is a connection or not.
    Leaving(Uri),
}

/// An invocation, and what tells that its caller does not wait any more.
#[derive(Debug)]
pub struct Invoked {
    pub(super) invocation: Invocation,
    /// The number by which it is answered: those of the router begin anew with each connection.
    pub(super) number: u64,
    pub(super) interrupted: oneshot::Receiver<()>,
    /// More arguments, if more are to come.
    pub(super) more: Option<super::queue::Queue<Invocation>>,
}
