//! The futures of a shard's thread. Each only lends its waker and calls the reactor.

use super::reactor::{Progress, Reactor};
use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::{Sleep, sleep_until};

/// The reactor, shared by the tasks of its thread. Each borrows it for one poll.
pub(super) type Shared = Rc<RefCell<Reactor>>;

/// The root of the thread: takes orders and what other shards have sent. Woken by the shard's bell.
#[derive(Debug)]
pub(super) struct Root(pub(super) Shared);

impl Future for Root {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut reactor = self.0.borrow_mut();
        reactor.attach(cx.waker());
        match reactor.take_orders(|key| drop(tokio::task::spawn_local(Attend { reactor: self.0.clone(), key }))) {
            Progress::Stop => return Poll::Ready(()),
            Progress::More => cx.waker().wake_by_ref(),
            Progress::Done => {}
        }
        Poll::Pending
    }
}

/// Ends each turn: hands messages to other shards and writes to the sockets. Woken by the first thing to hand over or
/// write; tokio's queue is first in, first out, so it runs after all tasks that are ready then.
#[derive(Debug)]
pub(super) struct Turn(pub(super) Shared);

impl Future for Turn {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let progress = self.0.borrow_mut().turn(cx.waker());
        if progress == Progress::More {
            // The task is woken when the system has been asked which sockets are ready, behind their tasks.
            let again = pin!(tokio::task::yield_now()).poll(cx);
            debug_assert!(again.is_pending(), "yielding takes a while");
        }
        Poll::Pending
    }
}

/// Does what is due.
#[derive(Debug)]
pub(super) struct Timer {
    reactor: Shared,
    epoch: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    pub(super) fn new(reactor: Shared, epoch: Instant) -> Timer {
        Timer { reactor, epoch, sleep: Box::pin(sleep_until(epoch.into())) }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(due) = self.reactor.borrow_mut().expire(cx.waker()) else { return Poll::Pending };
            let due = self.epoch + due;
            self.sleep.as_mut().reset(due.into());
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// Reads one connection. Ends when the connection is gone; until then its key is not given to another.
#[derive(Debug)]
struct Attend {
    reactor: Shared,
    key: usize,
}

impl Future for Attend {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.reactor.borrow_mut().attend(self.key, cx)
    }
}
