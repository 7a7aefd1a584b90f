//! When calls have to be answered.

use super::call::CallKey;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Fewer entries than this are not worth tidying.
const TIDY_MIN: usize = 1024;

/// The deadlines of calls. Most calls are answered long before: their entries stay until there are more of them than
/// of others.
#[derive(Debug, Default)]
pub(super) struct CallTimers {
    heap: BinaryHeap<Reverse<(Duration, CallKey)>>,
    /// Calls with a deadline that are not over.
    live: usize,
}

impl CallTimers {
    /// Sets the deadline of a call that had none.
    pub(super) fn set(&mut self, deadline: Duration, key: CallKey) {
        self.live += 1;
        self.again(deadline, key);
    }

    /// Sets a later deadline.
    pub(super) fn again(&mut self, deadline: Duration, key: CallKey) {
        self.heap.push(Reverse((deadline, key)));
    }

    /// So many calls with a deadline are over.
    pub(super) const fn forget(&mut self, calls: usize) {
        self.live = self.live.saturating_sub(calls);
    }

    /// The next deadline, perhaps of a call that is over.
    pub(super) fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// A call whose deadline is over.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<CallKey> {
        let Reverse((deadline, _)) = self.heap.peek()?;
        if *deadline > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, key))| key)
    }

    /// True if most entries are of calls that are over.
    pub(super) fn is_untidy(&self) -> bool {
        self.heap.len() > TIDY_MIN && self.heap.len() > 2 * self.live
    }

    /// Keeps the entries of calls that are going on.
    pub(super) fn tidy(&mut self, mut goes_on: impl FnMut(&CallKey) -> bool) {
        self.heap.retain(|Reverse((_, key))| goes_on(key));
        self.heap.shrink_to(TIDY_MIN);
    }

    /// True if no call with a deadline is going on.
    #[cfg(any(test, feature = "sim"))]
    pub(super) const fn is_empty(&self) -> bool {
        self.live == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::effect::ConnId;
    use crate::router::peer::CallRef;
    use crate::wamp::RequestId;

    fn key(serial: u64) -> CallKey {
        CallKey { conn: ConnId(1), request: RequestId::from_raw(serial), call: CallRef { shard: 0, serial } }
    }

    #[test]
    fn deadlines_come_in_order() {
        let mut timers = CallTimers::default();
        for (at, serial) in [(5, 1), (3, 2), (4, 3)] {
            timers.set(Duration::from_secs(at), key(serial));
        }
        assert_eq!(timers.next(), Some(Duration::from_secs(3)));
        assert_eq!(timers.take_due(Duration::from_secs(2)), None);
        let due: Vec<_> = std::iter::from_fn(|| timers.take_due(Duration::from_secs(4))).collect();
        assert_eq!(due, [key(2), key(3)]);
    }

    #[test]
    fn calls_that_are_over_do_not_pile_up() {
        let mut timers = CallTimers::default();
        for serial in 0..1_000_000 {
            timers.set(Duration::from_secs(60), key(serial));
            timers.forget(1);
            if timers.is_untidy() {
                timers.tidy(|_| false);
            }
        }
        assert!(timers.heap.len() <= TIDY_MIN && timers.heap.capacity() <= 2 * TIDY_MIN);
        assert!(timers.is_empty());
    }
}
