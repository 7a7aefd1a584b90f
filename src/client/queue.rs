//! Queues from the driver of a connection to the application, which count together what they hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::{Notify, mpsc};

/// How much a session holds that its application has not taken.
#[derive(Debug, Default)]
pub(super) struct Tally {
    held: AtomicUsize,
    /// Rung whenever something is taken.
    room: Notify,
}

impl Tally {
    /// Messages that have not been taken; a large one counts as several, see [`weight`].
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// Waits until something is taken.
    pub(super) async fn taken(&self) {
        self.room.notified().await;
    }
}

/// What a message with so many octets of payload counts: one, and one more for each KiB.
pub(super) const fn weight(payload: usize) -> usize {
    1 + payload / 1024
}

/// What a queue holds: it counts until it is dropped.
#[derive(Debug)]
struct Held<T> {
    item: Option<T>,
    weight: usize,
    tally: Arc<Tally>,
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.tally.held.fetch_sub(self.weight, Ordering::AcqRel);
        self.tally.room.notify_one();
    }
}

/// The driver's end.
#[derive(Debug)]
pub(super) struct Feed<T>(mpsc::UnboundedSender<Held<T>>, Arc<Tally>);

/// The application's end.
#[derive(Debug)]
pub(super) struct Queue<T>(mpsc::UnboundedReceiver<Held<T>>);

/// A queue that counts with others. It has no limit of its own: the driver stops reading when all together hold too much.
pub(super) fn queue<T>(tally: &Arc<Tally>) -> (Feed<T>, Queue<T>) {
    let (feed, queue) = mpsc::unbounded_channel();
    (Feed(feed, tally.clone()), Queue(queue))
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Feed(self.0.clone(), self.1.clone())
    }
}

impl<T> Feed<T> {
    /// Puts something in that counts `weight`. False: nobody takes it any more.
    pub(super) fn put(&self, item: T, weight: usize) -> bool {
        self.1.held.fetch_add(weight, Ordering::AcqRel);
        self.0.send(Held { item: Some(item), weight, tally: self.1.clone() }).is_ok()
    }

    /// True if nobody takes anything any more.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<T> Queue<T> {
    /// The next one; none if there will be none. May be dropped while it waits: nothing is lost.
    pub(super) async fn next(&mut self) -> Option<T> {
        self.0.recv().await.and_then(|mut held| held.item.take())
    }

    /// As [`Queue::next`], for streams.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(context).map(|held| held.and_then(|mut held| held.item.take()))
    }

    /// Nothing is taken any more.
    pub(super) fn close(&mut self) {
        self.0.close();
    }

    /// Takes what is there, and makes sure that nothing follows.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.0.close();
        std::iter::from_fn(|| self.0.try_recv().ok().and_then(|mut held| held.item.take()))
    }
}
