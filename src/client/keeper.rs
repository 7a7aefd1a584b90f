//! The task of a session: it drives one connection after the other.

use super::connect::{Connect, Joined};
use super::driver::{Driver, Wishes, refuse};
use super::error::RequestError;
use super::link::{Input, Output};
use super::order::{Notice, Order};
use super::reconnect::{Reconnect, is_final, is_hopeless};
use super::session::Standing;
use super::state::{Ended, State, advice_of};
use super::waiter::Waiter;
use crate::wamp::{Dict, Uri, error};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// Requests that wait for a connection, besides those in the queue of orders.
const WAITING_MAX: usize = 256;

pub(super) struct Keeper {
    pub(super) connect: Arc<Connect>,
    pub(super) driver: Driver,
    pub(super) wishes: Wishes,
    pub(super) standing: watch::Sender<Arc<Standing>>,
    /// Requests that wait for a connection.
    pub(super) waiting: VecDeque<Order>,
    /// Attempts to connect since a connection has lasted for longer than what would have been waited next.
    pub(super) attempts: u32,
}

impl Keeper {
    /// Serves the session from its first connection on.
    pub(super) async fn keep(mut self, mut sockets: (Input, Output), mut octets: Vec<u8>) {
        loop {
            let begun = Instant::now();
            self.resume();
            let ended = self.driver.drive(sockets, octets, &mut self.wishes).await;
            // A connection that is lost at once is as good as none.
            let lasted = |policy: &Reconnect| begun.elapsed() >= policy.delay(self.attempts + 1, None, 0.0);
            if self.connect.reconnect.as_ref().is_some_and(lasted) {
                self.attempts = 0;
            }
            match self.come_back(ended).await {
                Ok(joined) => {
                    self.standing.send_replace(Arc::new(Standing::new(joined.welcome, &joined.link)));
                    self.driver.link = joined.link;
                    (sockets, octets) = (joined.sockets, joined.octets);
                }
                Err(ended) => break self.finish(ended),
            }
        }
    }

    /// Asks for everything once more that there was; at first there is nothing.
    fn resume(&mut self) {
        let driver = &mut self.driver;
        let standing = self.standing.borrow().clone();
        let fills = self.connect.reconnect.as_ref().is_some_and(|policy| policy.fill_gaps);
        driver.fills_gaps = fills && standing.announces("broker", "event_history");
        let session = standing.id;
        for number in driver.registrations.numbers() {
            driver.register(number);
        }
        for testament in driver.testaments.clone() {
            driver.bequeath(testament, None);
        }
        for number in driver.subscriptions.numbers() {
            driver.subscribe(number);
        }
        driver.await_return(session);
        for order in self.waiting.drain(..) {
            driver.obey(order);
        }
    }

    /// Finds another connection; or gives why there is none.
    async fn come_back(&mut self, ended: Ended) -> Result<Joined, Ended> {
        let Some(policy) = self.connect.reconnect.clone().filter(|_| !is_final(&ended)) else { return Err(ended) };
        if self.driver.left.is_some() {
            return Err(ended);
        }
        self.driver.part();
        let (mut why, mut advice) = (ended.to_string(), ended.advice());
        loop {
            if policy.gives_up(self.attempts) {
                return Err(Ended::Failed(why));
            }
            self.attempts += 1;
            let attempt = self.attempts;
            let retry_in = policy.delay(attempt, advice, fastrand::f64());
            tracing::info!(why, attempt, ?retry_in, "the router is away");
            self.driver.herald.announce(State::Away { why, attempt, retry_in });
            let connect = self.connect.clone();
            let joining = async move {
                tokio::time::sleep(retry_in).await;
                connect.reach().await
            };
            tokio::pin!(joining);
            let joined = loop {
                if let Some(reason) = self.driver.left.clone() {
                    return Err(Ended::Closed(reason, Dict::new()));
                }
                tokio::select! {
                    joined = &mut joining => break joined,
                    order = self.wishes.orders.recv(), if self.waiting.len() < WAITING_MAX => match order {
                        Some(order) => self.obey_away(order, &policy),
                        // The application has let the session go.
                        None => self.driver.left = Some(Uri::from(error::CLOSE_REALM)),
                    },
                    Some(notice) = self.wishes.notices.recv() => self.heed_away(notice),
                }
            };
            match joined {
                Ok(joined) => return Ok(joined),
                Err(failure) if is_hopeless(&failure) => return Err(Ended::Failed(failure.to_string())),
                Err(failure) => (why, advice) = (failure.to_string(), advice_of(&failure)),
            }
        }
    }

    fn obey_away(&mut self, order: Order, policy: &Reconnect) {
        // What the application has dropped before it asked for this is gone before this.
        while let Ok(notice) = self.wishes.notices.try_recv() {
            self.heed_away(notice);
        }
        let driver = &mut self.driver;
        match order {
            Order::Subscribe(number, wanted) => driver.subscriptions.add(number, wanted, true),
            Order::Register(number, wanted) => driver.registrations.add(number, wanted),
            Order::Unregister(number, answer) => {
                driver.registrations.remove(number);
                let _ = answer.send(Ok(()));
            }
            // Nobody waits for it any more.
            Order::Progress(_, _, _, answer) | Order::More(_, _, answer) => drop(answer.send(Ok(()))),
            Order::Testament(testament, answer) => {
                driver.testaments.push(testament);
                let _ = answer.send(Ok(()));
            }
            Order::Flush(scope, answer) => {
                driver.testaments.retain(|testament| testament.scope != scope);
                let _ = answer.send(Ok(()));
            }
            Order::Leave(reason, done) => {
                driver.left = Some(reason);
                let _ = done.send(());
            }
            Order::Call(_, number, feed) if feed.is_canceled() => Waiter::Call(number, feed).cancel(),
            Order::Publish(..) | Order::Call(..) if policy.requests_wait => self.waiting.push_back(order),
            Order::Publish(..) | Order::Call(..) => refuse(order, RequestError::Disconnected),
        }
    }

    fn heed_away(&mut self, notice: Notice) {
        match notice {
            Notice::Detach(number) => self.driver.subscriptions.remove(number),
            Notice::Withdraw(number) => drop(self.driver.registrations.remove(number)),
            Notice::Leaving(reason) => self.driver.left = Some(reason),
            Notice::Forget(number) | Notice::Cancel(number, _) => {
                let is_it = |order: &Order| matches!(order, Order::Call(_, known, _) if *known == number);
                let place = self.waiting.iter().position(is_it);
                if let Some(Order::Call(_, number, feed)) = place.and_then(|place| self.waiting.remove(place)) {
                    Waiter::Call(number, feed).cancel();
                }
            }
            // Its caller does not wait any more.
            Notice::Done(..) => {}
        }
    }

    fn finish(mut self, ended: Ended) {
        let closed = RequestError::Closed(ended.reason());
        self.wishes.orders.close();
        let waiting = self.waiting.drain(..);
        waiting.for_each(|order| refuse(order, closed.clone()));
        while let Ok(order) = self.wishes.orders.try_recv() {
            refuse(order, closed.clone());
        }
        self.driver.finish(&closed);
        self.driver.herald.announce(State::from(ended));
    }
}

impl Driver {
    /// The connection is lost: what was asked for is answered, what is wanted stays.
    fn part(&mut self) {
        self.abandon(&RequestError::Disconnected);
        self.subscriptions.part();
        self.registrations.part();
        self.number_anew();
    }

    /// The session is over.
    fn finish(&mut self, error: &RequestError) {
        self.abandon(error);
        self.subscriptions.end(error);
        self.registrations.end(error);
        self.settings.census.clone().note(self);
        self.left();
    }

    /// Nobody answers any more.
    fn abandon(&mut self, error: &RequestError) {
        for (_, waiter) in std::mem::take(&mut self.waiters) {
            waiter.fail(error.clone());
        }
        self.calls.clear();
        self.working.clear();
        self.invoked.clear();
        self.cut_short.clear();
        self.out.clear();
        self.ended = None;
    }
}
