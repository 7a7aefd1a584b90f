//! Clients that send more messages than they may are read more slowly.

use super::deadlines::Deadlines;
use super::reactor::Reactor;
use std::time::Duration;

/// How often it is looked whether a client may go on.
const PAUSE: Duration = Duration::from_millis(20);

/// The messages that a client may send: as many as in one second at once, and from then on as many in each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// Messages that may come, in billionths. Negative: more have come than may.
    left: i64,
    since: Duration,
}

const ONE: i64 = 1_000_000_000;

impl Allowance {
    pub(super) fn new(now: Duration, rate: u32) -> Allowance {
        Allowance { left: i64::from(rate) * ONE, since: now }
    }

    /// Adds what has become allowed since the last time.
    fn refill(&mut self, now: Duration, rate: u32) {
        let passed = now.saturating_sub(std::mem::replace(&mut self.since, now));
        let passed = i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX);
        let full = i64::from(rate) * ONE;
        self.left = self.left.saturating_add(passed.saturating_mul(i64::from(rate))).min(full);
    }

    /// Counts a message; false if it was one too many.
    fn take(&mut self, now: Duration, rate: u32) -> bool {
        self.refill(now, rate);
        self.left -= ONE;
        self.left >= 0
    }
}

/// Clients that have to wait.
#[derive(Debug)]
pub(super) struct Throttled(Deadlines<(usize, u32)>);

impl Throttled {
    pub(super) fn new() -> Throttled {
        Throttled(Deadlines::default())
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.0.next()
    }
}

impl Reactor {
    /// Counts a message of a client. What has been read already is acted on; more is not read until it is allowed.
    pub(super) fn count_message(&mut self, key: usize) {
        let Some(rate) = self.settings.premises.config.message_rate_max else { return };
        let now = self.now();
        let connection = &mut self.connections[key];
        let allowance = connection.allowance.get_or_insert_with(|| Box::new(Allowance::new(now, rate)));
        if !allowance.take(now, rate) && !std::mem::replace(&mut connection.pauses.rate, true) {
            self.tally.throttled += 1;
            self.throttled.0.set(now, PAUSE, (key, connection.serial));
        }
    }

    /// Lets those go on who have waited long enough.
    pub(super) fn expire_throttled(&mut self, now: Duration) {
        let Some(rate) = self.settings.premises.config.message_rate_max else { return };
        while let Some(entry) = self.throttled.0.take_due(now) {
            let Some(connection) = self.current(entry) else { continue };
            let Some(allowance) = &mut connection.allowance else { continue };
            allowance.refill(now, rate);
            if allowance.left < 0 {
                self.throttled.0.set(now, PAUSE, entry);
            } else {
                connection.pauses.rate = false;
                if let Some(task) = &connection.task {
                    task.wake_by_ref();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_allowed_may_come() {
        let mut allowance = Allowance::new(Duration::ZERO, 10);
        let at = Duration::from_millis;
        assert_eq!((0..12).filter(|_| allowance.take(at(0), 10)).count(), 10, "a second's worth at once");
        // Two too many: that is paid back first.
        assert!(!allowance.take(at(200), 10));
        assert!(allowance.take(at(400), 10) && !allowance.take(at(400), 10));
        assert_eq!((0..100).filter(|_| allowance.take(at(100_000), 10)).count(), 10, "never more than a second's");
    }
}
