//! Time limits of which few lengths are in use.

use std::collections::VecDeque;
use std::time::Duration;

/// Deadlines of one kind. Those that last equally long fall due in the order in which they were set, so each length has a
/// queue; there are as many as transports have different times.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    queues: Vec<(Duration, VecDeque<(Duration, K)>)>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Deadlines { queues: Vec::new() }
    }
}

impl<K: Copy> Deadlines<K> {
    /// Sets a deadline that falls due after this time. It is never cleared: whoever takes it looks whether it still
    /// matters.
    pub(super) fn set(&mut self, now: Duration, limit: Duration, key: K) {
        let at = self.queues.iter().position(|(known, _)| *known == limit).unwrap_or_else(|| {
            self.queues.push((limit, VecDeque::new()));
            self.queues.len() - 1
        });
        self.queues[at].1.push_back((now + limit, key));
    }

    /// When the next one falls due.
    #[must_use]
    pub(super) fn next(&self) -> Option<Duration> {
        self.queues.iter().filter_map(|(_, queue)| queue.front()).map(|&(due, _)| due).min()
    }

    /// One that is due.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<K> {
        let is_due =
            |(_, queue): &(Duration, VecDeque<(Duration, K)>)| queue.front().is_some_and(|&(due, _)| due <= now);
        let at = self.queues.iter().position(is_due)?;
        let (_, key) = self.queues[at].1.pop_front()?;
        if self.queues[at].1.is_empty() {
            // The memory of many goes with the last.
            self.queues.swap_remove(at);
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
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.next(), None);
        deadlines.set(second, second * 10, 'a');
        deadlines.set(second * 3, second * 10, 'b');
        assert_eq!(deadlines.next(), Some(second * 11));
        assert_eq!(deadlines.take_due(second * 10), None);
        assert_eq!(deadlines.take_due(second * 12), Some('a'));
        assert_eq!(deadlines.take_due(second * 12), None);
        assert_eq!(deadlines.take_due(second * 13), Some('b'));
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn shorter_ones_do_not_wait_for_longer_ones() {
        let second = Duration::from_secs(1);
        let mut deadlines = Deadlines::default();
        deadlines.set(second, second * 60, 'a');
        deadlines.set(second * 2, second, 'b');
        deadlines.set(second * 3, second, 'c');
        assert_eq!(deadlines.next(), Some(second * 3));
        assert_eq!((deadlines.take_due(second * 9), deadlines.take_due(second * 9)), (Some('b'), Some('c')));
        assert_eq!((deadlines.take_due(second * 9), deadlines.next()), (None, Some(second * 61)));
        assert_eq!(deadlines.take_due(second * 61), Some('a'));
        assert!(deadlines.queues.is_empty());
    }
}
