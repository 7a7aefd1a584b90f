//! Time limits that are the same for many connections.

use std::collections::VecDeque;
use std::time::Duration;

/// Deadlines of one kind. All last equally long, so that they fall due in the order in which they were set.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    limit: Duration,
    waiting: VecDeque<(Duration, K)>,
}

impl<K: Copy> Deadlines<K> {
    /// Deadlines that fall due so long after they were set.
    #[must_use]
    pub(super) fn new(limit: Duration) -> Deadlines<K> {
        Deadlines { limit, waiting: VecDeque::new() }
    }

    /// Lets those that are set from now on fall due after another time, and not before those that were set earlier.
    pub(super) fn limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Sets a deadline. It is never cleared: whoever takes it looks whether it still matters.
    pub(super) fn set(&mut self, now: Duration, key: K) {
        self.waiting.push_back((now + self.limit, key));
    }

    /// When the next one falls due.
    #[must_use]
    pub(super) fn next(&self) -> Option<Duration> {
        self.waiting.front().map(|&(due, _)| due)
    }

    /// One that is due.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.waiting.pop_front()?;
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_fall_due_in_order() {
        let second = Duration::from_secs(1);
        let mut deadlines = Deadlines::new(second * 10);
        assert_eq!(deadlines.next(), None);
        deadlines.set(second, 'a');
        deadlines.set(second * 3, 'b');
        assert_eq!(deadlines.next(), Some(second * 11));
        assert_eq!(deadlines.take_due(second * 10), None);
        assert_eq!(deadlines.take_due(second * 12), Some('a'));
        assert_eq!(deadlines.take_due(second * 12), None);
        assert_eq!(deadlines.take_due(second * 13), Some('b'));
        assert_eq!(deadlines.next(), None);
    }
}
