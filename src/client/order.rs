//! What a session asks of the driver of its connection.

use super::error::{CallError, RequestError};
use super::queue::Feed;
use crate::wamp::id::{PublicationId, RegistrationId, RequestId, SubscriptionId};
use crate::wamp::message::{Call, Event, Invocation, Publish, Register, Result as CallResult, Subscribe};
use crate::wamp::payload::Payload;
use crate::wamp::{Dict, Uri};
use tokio::sync::oneshot;

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, RequestError>>;

/// Asks for a message to be sent. The driver numbers requests, since their numbers have to be in the order of sending
/// (specification, "IDs").
#[derive(Debug)]
pub(super) enum Order {
    Publish(Publish, Option<Answer<PublicationId>>),
    Subscribe(Subscribe, Feed<Event>, Answer<(SubscriptionId, u64)>),
    Register(Register, Feed<Invoked>, Answer<RegistrationId>),
    Unregister(RegistrationId, Answer<()>),
    /// With the number by which the session can end it.
    Call(Call, u64, Feed<Result<CallResult, RequestError>>),
    /// Answered when it has been sent, or when its caller does not wait any more.
    Progress(RequestId, Payload, Answer<()>),
    Leave(Uri, oneshot::Sender<()>),
}

/// What never waits for room, since it is said where nothing can wait.
#[derive(Debug)]
pub(super) enum Notice {
    /// Nobody waits for the result of a call any more.
    Forget(u64),
    /// Nobody takes the events of a subscription any more: one of several of the session, or the last.
    Detach(SubscriptionId, u64),
    /// The answer to an invocation.
    Done(RequestId, Result<(Dict, Payload), CallError>),
}

/// An invocation, and what tells that its caller does not wait any more.
#[derive(Debug)]
pub(super) struct Invoked {
    pub(super) invocation: Invocation,
    pub(super) interrupted: oneshot::Receiver<()>,
}
