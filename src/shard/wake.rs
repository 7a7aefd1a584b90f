//! The bell of a shard: how others wake it when it sleeps, and only then.
//!
//! The sleeper says that it sleeps, *then* looks into its inboxes once more; the sender fills an inbox, *then* looks
//! whether the receiver sleeps. With a full fence between the two steps on both sides at least one of them sees the
//! other, so no wake-up is lost; while the receiver is awake a ring costs a fence and a load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::Waker;

/// Wakes one sleeping shard.
#[derive(Debug, Default)]
pub struct Bell {
    sleeping: AtomicBool,
    sleeper: OnceLock<Waker>,
}

impl Bell {
    /// Says whom to wake. Only the first call counts: a shard has one root task for life.
    pub fn attach(&self, sleeper: &Waker) {
        self.sleeper.get_or_init(|| sleeper.clone());
    }

    /// Called by the owner when it has nothing left to do. `has_work` looks into every inbox; if it finds something
    /// after all, the owner is woken before it sleeps.
    pub fn before_sleep(&self, has_work: impl FnOnce() -> bool) {
        self.sleeping.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if has_work() {
            self.wake();
        }
    }

    /// Called by the owner when it is awake again, whoever woke it.
    pub fn after_sleep(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    /// Called by a sender after it has put something into an inbox of the owner. True if the owner had to be woken.
    pub fn ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.sleeping.load(Ordering::Relaxed) && self.wake()
    }

    /// Called by the owner when it sees work while it is awake: the sleeper is to look, whatever the bell says.
    pub fn rouse(&self) {
        if let Some(sleeper) = self.sleeper.get() {
            sleeper.wake_by_ref();
        }
    }

    /// Of all who find the owner asleep, one wakes it.
    fn wake(&self) -> bool {
        let first = self.sleeping.swap(false, Ordering::SeqCst);
        if first && let Some(sleeper) = self.sleeper.get() {
            sleeper.wake_by_ref();
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn bell() -> (Bell, Arc<Count>) {
        let count = Arc::new(Count::default());
        let bell = Bell::default();
        bell.attach(&Waker::from(count.clone()));
        (bell, count)
    }

    #[test]
    fn an_awake_owner_is_not_woken() {
        let (bell, count) = bell();
        assert!(!bell.ring());
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_sleeping_owner_is_woken_once() {
        let (bell, count) = bell();
        bell.before_sleep(|| false);
        assert!(bell.ring());
        assert!(!bell.ring());
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn work_that_came_before_the_sleep_wakes_the_owner() {
        let (bell, count) = bell();
        bell.before_sleep(|| true);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(!bell.ring());
    }

    #[test]
    fn an_owner_that_woke_by_itself_is_not_woken() {
        let (bell, _) = bell();
        bell.before_sleep(|| false);
        bell.after_sleep();
        assert!(!bell.ring());
    }
}
