//! Whether the router is well: its shards turn, and it wants clients.

use crate::router::ShardIndex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is known of it. Shards show that they turn by taking orders to do so.
#[derive(Debug)]
pub struct Vitals {
    start: Instant,
    ready: AtomicBool,
    /// When each shard was last asked and had answered before, in milliseconds; 0: it has answered.
    asked: Box<[AtomicU64]>,
}

impl Vitals {
    /// A router with so many shards, which is not ready yet.
    #[must_use]
    pub fn new(shards: ShardIndex) -> Vitals {
        let asked = (0..shards).map(|_| AtomicU64::new(0)).collect();
        Vitals { start: Instant::now(), ready: AtomicBool::new(false), asked }
    }

    /// For how long the router has run.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// Clients should come, or should not.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// True if clients should come.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// A shard is about to be asked whether it turns. False: it has not answered the last time.
    #[must_use]
    pub fn ask(&self, shard: ShardIndex) -> bool {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let asked = self.asked.get(usize::from(shard));
        asked.is_some_and(|asked| asked.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).is_ok())
    }

    /// A shard turns.
    pub fn answer(&self, shard: ShardIndex) {
        if let Some(asked) = self.asked.get(usize::from(shard)) {
            asked.store(0, Ordering::Relaxed);
        }
    }

    /// The first shard that has not answered for longer than this.
    #[must_use]
    pub fn stuck(&self, longer: Duration) -> Option<ShardIndex> {
        let now = self.start.elapsed();
        let is_stuck = |asked: &AtomicU64| match asked.load(Ordering::Relaxed) {
            0 => false,
            asked => now.saturating_sub(Duration::from_millis(asked)) > longer,
        };
        let at = self.asked.iter().position(is_stuck)?;
        ShardIndex::try_from(at).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_is_stuck() {
        let vitals = Vitals::new(2);
        assert!(!vitals.is_ready());
        assert_eq!(vitals.stuck(Duration::ZERO), None);
        assert!(vitals.ask(1) && !vitals.ask(1), "one question is enough");
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(vitals.stuck(Duration::from_millis(5)), Some(1));
        assert_eq!(vitals.stuck(Duration::from_secs(60)), None);
        vitals.answer(1);
        assert_eq!(vitals.stuck(Duration::ZERO), None);
        assert!(vitals.ask(1));
        assert!(!vitals.ask(2), "there is no such shard");
    }
}
