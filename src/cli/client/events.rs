//! The events of several subscriptions, as they come.

use super::failure::{Done, Failure};
use crate::client::{Event, Session, Subscription};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// So many events wait for being printed; the rest waits in the session, which stops reading when it holds too much.
const WAITING_MAX: usize = 64;

/// The events of several subscriptions, each with what says where it comes from.
pub(super) struct Events<T> {
    session: Session,
    sender: mpsc::Sender<(T, Option<Event>)>,
    receiver: mpsc::Receiver<(T, Option<Event>)>,
    any: AtomicBool,
}

impl<T: Clone + Send + 'static> Events<T> {
    /// Those of no subscription yet.
    pub(super) fn new(session: &Session) -> Events<T> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        Events { session: session.clone(), sender, receiver, any: AtomicBool::new(false) }
    }

    /// True if no subscription has been added.
    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    /// Adds a subscription, whose events are marked with `tag`.
    pub(super) fn add(&self, tag: T, mut subscription: Subscription) {
        self.any.store(true, Ordering::Relaxed);
        let sender = self.sender.clone();
        tokio::spawn(async move {
            loop {
                let event = subscription.next().await;
                let last = event.is_none();
                if sender.send((tag.clone(), event)).await.is_err() || last {
                    break;
                }
            }
        });
    }

    /// The next event; none: the router has taken the subscription away. May be dropped while it waits.
    ///
    /// # Errors
    /// The session has ended.
    pub(super) async fn next(&mut self) -> Done<(T, Option<Event>)> {
        // There is a sender: its own.
        let Some((tag, event)) = self.receiver.recv().await else { return Err(Failure::lost("nothing comes")) };
        if event.is_none() {
            // The end of a session is known before its subscriptions end.
            tokio::select! {
                biased;
                why = self.session.ended() => return Err(Failure::lost(&why)),
                () = std::future::ready(()) => {}
            }
        }
        Ok((tag, event))
    }
}
