//! Queues from the driver of a connection to the application, which count together what they hold.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

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

    fn release(&self, weight: usize) {
        self.held.fetch_sub(weight, Ordering::AcqRel);
        self.room.notify_one();
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

/// What both ends see. There is a queue for each call: it has to be small.
#[derive(Debug)]
struct Inside<T> {
    items: VecDeque<(T, usize)>,
    waiting: Option<Waker>,
    /// Ends of the driver that are there.
    feeds: u32,
    /// The application takes what comes.
    taken: bool,
    /// The application wants it to end.
    canceled: bool,
}

#[derive(Debug)]
struct Both<T> {
    inside: Mutex<Inside<T>>,
    tally: Arc<Tally>,
}

impl<T> Both<T> {
    fn lock(&self) -> MutexGuard<'_, Inside<T>> {
        // Nothing that can panic happens under the lock.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The driver's end.
#[derive(Debug)]
pub(super) struct Feed<T>(Arc<Both<T>>);

/// The application's end.
#[derive(Debug)]
pub(super) struct Queue<T>(Arc<Both<T>>);

/// A queue that counts with others. It has no limit of its own: the driver stops reading when all together hold too much.
pub(super) fn queue<T>(tally: &Arc<Tally>) -> (Feed<T>, Queue<T>) {
    let inside = Inside { items: VecDeque::new(), waiting: None, feeds: 1, taken: true, canceled: false };
    let both = Arc::new(Both { inside: Mutex::new(inside), tally: tally.clone() });
    (Feed(both.clone()), Queue(both))
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        self.0.lock().feeds += 1;
        Feed(self.0.clone())
    }
}

impl<T> Feed<T> {
    /// Puts something in that counts `weight`. False: nobody takes it any more.
    pub(super) fn put(&self, item: T, weight: usize) -> bool {
        let mut inside = self.0.lock();
        if !inside.taken {
            return false;
        }
        self.0.tally.held.fetch_add(weight, Ordering::AcqRel);
        inside.items.push_back((item, weight));
        let waiting = inside.waiting.take();
        drop(inside);
        waiting.into_iter().for_each(Waker::wake);
        true
    }

    /// True if nobody takes anything any more.
    pub(super) fn is_closed(&self) -> bool {
        !self.0.lock().taken
    }

    /// True if the application wants it to end.
    pub(super) fn is_canceled(&self) -> bool {
        self.0.lock().canceled
    }
}

impl<T> Drop for Feed<T> {
    fn drop(&mut self) {
        let mut inside = self.0.lock();
        inside.feeds -= 1;
        let waiting = if inside.feeds == 0 { inside.waiting.take() } else { None };
        drop(inside);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<T> Queue<T> {
    /// The next one; none if there will be none. May be dropped while it waits: nothing is lost.
    pub(super) async fn next(&mut self) -> Option<T> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`Queue::next`], for streams.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        // Who always finds something has to let others work now and then.
        if pin!(tokio::task::coop::consume_budget()).poll(context).is_pending() {
            return Poll::Pending;
        }
        let mut inside = self.0.lock();
        match inside.items.pop_front() {
            Some((item, weight)) => {
                drop(inside);
                self.0.tally.release(weight);
                Poll::Ready(Some(item))
            }
            None if inside.feeds > 0 && inside.taken => {
                inside.waiting = Some(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }

    /// Nothing is taken any more.
    pub(super) fn close(&mut self) {
        self.0.lock().taken = false;
    }

    /// The driver learns that it is to end, whether it has begun with it or not.
    pub(super) fn cancel(&self) {
        self.0.lock().canceled = true;
    }

    /// Takes what is there, and makes sure that nothing follows.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        let mut inside = self.0.lock();
        inside.taken = false;
        let items = std::mem::take(&mut inside.items);
        drop(inside);
        items.iter().for_each(|(_, weight)| self.0.tally.release(*weight));
        items.into_iter().map(|(item, _)| item)
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        // What it holds may have more to do when it is dropped than is good under the lock.
        drop(self.drain());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_is_counted_until_it_is_taken() {
        let tally = Arc::new(Tally::default());
        let (feed, mut taken) = queue(&tally);
        assert!(feed.put(1, 1) && feed.put(2, 2));
        assert_eq!((tally.held(), taken.next().await, tally.held()), (3, Some(1), 2));
        drop(feed);
        assert_eq!((taken.next().await, taken.next().await, tally.held()), (Some(2), None, 0));
        let (feed, mut taken) = queue(&tally);
        assert!(feed.put(1, 1) && feed.put(2, 5));
        assert_eq!(taken.drain().collect::<Vec<_>>(), [1, 2]);
        assert!(!feed.put(3, 1) && feed.is_closed());
        assert_eq!((taken.next().await, tally.held()), (None, 0));
        let (feed, taken) = queue(&tally);
        feed.put(1, 1);
        taken.cancel();
        assert!(feed.is_canceled() && !feed.is_closed());
        drop(taken);
        assert_eq!((tally.held(), feed.is_closed()), (0, true));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let tally = Arc::new(Tally::default());
        let (feed, mut taken) = queue(&tally);
        let waits = tokio::spawn(async move { (taken.next().await, taken.next().await) });
        tokio::task::yield_now().await;
        feed.put("x", 1);
        tokio::task::yield_now().await;
        drop(feed);
        assert_eq!(waits.await.expect("no panic"), (Some("x"), None));
    }
}
