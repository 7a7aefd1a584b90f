//! Whoever waits for the answer to a request.

use super::error::{CallError, RequestError};
use super::gap::Question;
use super::order::{Answer, Outcomes, Testament};
use crate::wamp::error;
use crate::wamp::id::PublicationId;

/// Whoever waits for the answer to a request.
#[derive(Debug)]
pub(super) enum Waiter {
    /// True: the event does not come to the session itself.
    Publish(Answer<PublicationId>, bool),
    /// The number of a subscription.
    Subscribe(u64),
    Unsubscribe,
    /// The number of a registration.
    Register(u64),
    Unregister(Option<Answer<()>>),
    /// The number of a call.
    Call(u64, Outcomes),
    /// What was left to be published; nobody waits when it is left once more.
    Testament(Option<(Testament, Answer<()>)>),
    Flush(&'static str, Answer<()>),
    /// A question about the past of a subscription.
    Past(u64, Question),
}

impl Waiter {
    /// Tells that a call was canceled before it was sent.
    pub(super) fn cancel(self) {
        self.fail(RequestError::Refused(CallError::new(error::CANCELED, "canceled before it was sent")));
    }

    /// Tells that there is no other answer. Subscriptions, registrations and questions about the past are not told here.
    pub(super) fn fail(self, error: RequestError) {
        // Who does not wait any more need not know.
        match self {
            Waiter::Publish(answer, _) => drop(answer.send(Err(error))),
            Waiter::Unregister(Some(answer)) | Waiter::Testament(Some((_, answer))) | Waiter::Flush(_, answer) => {
                drop(answer.send(Err(error)));
            }
            Waiter::Call(_, feed) => drop(feed.put(Err(error), 1)),
            Waiter::Testament(None) => tracing::warn!(%error, "a testament does not come back"),
            Waiter::Subscribe(_)
            | Waiter::Unsubscribe
            | Waiter::Register(_)
            | Waiter::Unregister(None)
            | Waiter::Past(..) => {}
        }
    }
}
