//! The last lines that a guest has written.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::watch;

/// A line of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Lines are counted from 0, over all runs of the guest.
    pub number: u64,
    /// When it came.
    pub time: SystemTime,
    /// It was written to standard error.
    pub errors: bool,
    /// The line, without its end and without what a terminal would act upon.
    pub text: Box<str>,
}

/// How much is kept of each guest; may change at any time.
#[derive(Debug)]
pub(super) struct Room {
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

impl Room {
    pub(super) fn new() -> Room {
        Room { lines: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    pub(super) fn set(&self, lines: usize, bytes: usize) {
        self.lines.store(lines, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// The last lines of a guest.
#[derive(Debug)]
pub struct Tail {
    kept: Mutex<Kept>,
    /// How many there have been.
    count: watch::Sender<u64>,
    room: Arc<Room>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    bytes: usize,
    next: u64,
}

impl Tail {
    pub(super) fn new(room: Arc<Room>) -> Tail {
        Tail { kept: Mutex::default(), count: watch::Sender::new(0), room }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line; the oldest are forgotten for which there is no room any longer.
    pub(super) fn push(&self, errors: bool, text: &str) {
        let mut kept = self.lock();
        let number = kept.next;
        kept.next += 1;
        kept.bytes += text.len();
        kept.lines.push_back(Line { number, time: SystemTime::now(), errors, text: text.into() });
        let (lines, bytes) = (self.room.lines.load(Ordering::Relaxed), self.room.bytes.load(Ordering::Relaxed));
        while kept.lines.len() > lines || kept.bytes > bytes {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.text.len();
        }
        drop(kept);
        self.count.send_replace(number + 1);
    }

    /// The last lines, so many at most.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<Line> {
        let kept = self.lock();
        kept.lines.iter().skip(kept.lines.len().saturating_sub(count)).cloned().collect()
    }

    /// The lines from this number on, so many at most, as far as they are kept.
    #[must_use]
    pub fn since(&self, number: u64, count: usize) -> Vec<Line> {
        let kept = self.lock();
        kept.lines.iter().filter(|line| line.number >= number).take(count).cloned().collect()
    }

    /// The number of the next line.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.lock().next
    }

    /// Is told when there is another line.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(lines: usize, bytes: usize) -> Tail {
        let room = Arc::new(Room::new());
        room.set(lines, bytes);
        Tail::new(room)
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| &*line.text).collect()
    }

    #[test]
    fn the_last_lines_are_kept() {
        let tail = tail(3, 1000);
        for text in ["a", "b", "c", "d", "e"] {
            tail.push(text == "d", text);
        }
        assert_eq!(texts(&tail.last(10)), ["c", "d", "e"]);
        assert_eq!(texts(&tail.last(2)), ["d", "e"]);
        assert_eq!((texts(&tail.since(3, 10)), tail.next()), (vec!["d", "e"], 5));
        assert_eq!(texts(&tail.since(0, 2)), ["c", "d"]);
        assert!(tail.last(2)[0].errors && tail.since(5, 1).is_empty());
    }

    #[test]
    fn they_have_room() {
        let some = tail(100, 10);
        for _ in 0..50 {
            some.push(false, "four");
        }
        assert_eq!(texts(&some.last(100)), ["four", "four"]);
        some.push(false, "more than there is room for");
        assert!(some.last(100).is_empty());
        let none = tail(0, 10);
        none.push(false, "x");
        assert!(none.last(100).is_empty() && *none.changes().borrow() == 1);
        none.room.set(10, 10);
        none.push(false, "y");
        assert_eq!(texts(&none.last(100)), ["y"]);
    }
}
