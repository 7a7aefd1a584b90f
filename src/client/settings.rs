//! What a session goes by, and what it tells of itself.

use super::connect::Connect;
use super::driver::Driver;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the driver goes by; see [`Connect`].
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
    pub(super) ping_rawsocket: bool,
    pub(super) leave_timeout: Duration,
    pub(super) queue_max: usize,
    /// The session outlives its connections.
    pub(super) reconnects: bool,
    pub(super) census: Arc<Census>,
}

impl Settings {
    pub(super) fn new(connect: &Connect, census: Arc<Census>) -> Settings {
        Settings {
            ping_interval: connect.ping_interval,
            ping_timeout: connect.ping_timeout,
            ping_rawsocket: connect.ping_rawsocket,
            leave_timeout: connect.leave_timeout,
            queue_max: connect.queue_max.max(1),
            reconnects: connect.reconnect.is_some(),
            census,
        }
    }
}

/// What a session has on hand, counted each time the driver has done something.
#[derive(Debug, Default)]
pub(super) struct Census {
    requests: AtomicUsize,
    subscriptions: AtomicUsize,
    registrations: AtomicUsize,
    invocations: AtomicUsize,
    octets: AtomicUsize,
}

impl Census {
    pub(super) fn note(&self, driver: &Driver) {
        let note = |place: &AtomicUsize, count| place.store(count, Ordering::Relaxed);
        note(&self.requests, driver.waiters.len());
        note(&self.subscriptions, driver.subscriptions.len());
        note(&self.registrations, driver.registrations.len());
        note(&self.invocations, driver.working.len());
        note(&self.octets, driver.out.len());
    }

    pub(super) fn load(&self, held: usize) -> Load {
        let count = |place: &AtomicUsize| place.load(Ordering::Relaxed);
        Load {
            requests: count(&self.requests),
            subscriptions: count(&self.subscriptions),
            registrations: count(&self.registrations),
            invocations: count(&self.invocations),
            unwritten: count(&self.octets),
            held,
        }
    }
}

/// What a session has on hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that the router has not answered.
    pub requests: usize,
    /// Subscriptions of the application.
    pub subscriptions: usize,
    /// Procedures that the application offers.
    pub registrations: usize,
    /// Calls that the application has not answered.
    pub invocations: usize,
    /// Octets that wait to be written.
    pub unwritten: usize,
    /// Messages that the application has not taken; those beyond 1 KiB count more.
    pub held: usize,
}
