//! Barriers: what waits until every shard has applied a log position (rules R4, R5 and R8 of `docs/ordering.md`).

use super::index::ShardIndex;
use std::collections::BTreeMap;

/// What waits on one shard, per home.
#[derive(Debug)]
pub(super) struct Barrier<T> {
    homes: Vec<HomeBarrier<T>>,
}

#[derive(Debug)]
struct HomeBarrier<T> {
    /// The position that each shard is known to have applied.
    applied: Vec<u64>,
    /// The smallest of them.
    reached: u64,
    waiting: BTreeMap<(u64, u64), T>,
    arrivals: u64,
}

impl<T> Barrier<T> {
    pub(super) fn new(shards: ShardIndex) -> Barrier<T> {
        let home =
            || HomeBarrier { applied: vec![0; usize::from(shards)], reached: 0, waiting: BTreeMap::new(), arrivals: 0 };
        Barrier { homes: (0..shards).map(|_| home()).collect() }
    }

    /// Lets `item` pass now if every shard has applied `position` of the log of `home`; otherwise keeps it.
    pub(super) fn pass(&mut self, home: ShardIndex, position: u64, item: T) -> Option<T> {
        let home = &mut self.homes[usize::from(home)];
        if position <= home.reached {
            return Some(item);
        }
        home.arrivals += 1;
        home.waiting.insert((position, home.arrivals), item);
        None
    }

    /// Takes note that `shard` has applied `position` of the log of `home`.
    pub(super) fn applied(&mut self, home: ShardIndex, shard: ShardIndex, position: u64) {
        let home = &mut self.homes[usize::from(home)];
        let known = &mut home.applied[usize::from(shard)];
        // Entries caused by others are not reported here, so positions jump, but they never go back.
        debug_assert!(*known <= position, "a log position went back");
        *known = position;
        home.reached = home.applied.iter().copied().min().unwrap_or(0);
    }

    /// The next item of `home` that may pass.
    pub(super) fn next(&mut self, home: ShardIndex) -> Option<T> {
        let home = &mut self.homes[usize::from(home)];
        let first = home.waiting.first_entry()?;
        if first.key().0 <= home.reached { Some(first.remove()) } else { None }
    }

    /// True if nothing waits.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn is_empty(&self) -> bool {
        self.homes.iter().all(|home| home.waiting.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_pass_when_the_last_shard_has_applied() {
        let mut barrier = Barrier::new(2);
        assert_eq!(barrier.pass(1, 0, "nothing to wait for"), Some("nothing to wait for"));
        assert_eq!(barrier.pass(1, 3, "b"), None);
        assert_eq!(barrier.pass(1, 2, "a"), None);
        barrier.applied(1, 0, 3);
        assert_eq!(barrier.next(1), None);
        barrier.applied(1, 1, 2);
        assert_eq!((barrier.next(1), barrier.next(1)), (Some("a"), None));
        barrier.applied(1, 1, 3);
        assert_eq!((barrier.next(1), barrier.next(1)), (Some("b"), None));
        assert_eq!(barrier.pass(1, 3, "late"), Some("late"));
        assert!(barrier.is_empty());
    }
}
