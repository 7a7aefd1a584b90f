//! A line on the terminal that tells how far a run is.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};

use crate::clock::SECOND;

/// How often the line changes at most, in nanoseconds.
const PACE: u64 = SECOND / 5;
const BAR: usize = 20;
/// Characters of the line at most, so that it stays one line.
const WIDTH: usize = 79;

/// A line on the standard error, if that is a terminal. It goes away when dropped.
pub(crate) struct Progress {
    shown: bool,
    terminal: bool,
    /// When the line may change again.
    next: u64,
}

thread_local! {
    static MUTE: Cell<bool> = const { Cell::new(false) };
}

/// Makes the calling thread show no lines: of several that share a load, one is enough.
pub(crate) fn mute() {
    MUTE.set(true);
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { shown: false, terminal: io::stderr().is_terminal() && !MUTE.get(), next: 0 }
    }

    /// True if the line should be shown anew at `now`, in nanoseconds of the run's clock.
    pub(crate) fn is_due(&mut self, now: u64) -> bool {
        let due = self.terminal && now >= self.next;
        if due {
            self.next = now + PACE;
        }
        due
    }

    /// Shows what share (0 to 1) of something is done.
    pub(crate) fn show(&mut self, share: f64, words: &str) {
        self.shown = true;
        // A terminal that is gone needs no line.
        let _ = write!(io::stderr(), "\r{}\x1b[K", line(share, words));
        let _ = io::stderr().flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(share: f64, words: &str) -> String {
    let full = (share.clamp(0.0, 1.0) * BAR as f64) as usize;
    let line = format!("[{}{}] {words}", "#".repeat(full), "-".repeat(BAR - full));
    line.chars().take(WIDTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_the_line_stays_one() {
        assert_eq!(line(0.0, "x"), format!("[{}] x", "-".repeat(20)));
        assert_eq!(line(0.5, "x"), format!("[{}{}] x", "#".repeat(10), "-".repeat(10)));
        assert_eq!(line(7.0, "x"), format!("[{}] x", "#".repeat(20)));
        assert_eq!(line(f64::NAN, &"x".repeat(500)).len(), 79);
    }

    #[test]
    fn it_changes_a_few_times_a_second() {
        let mut progress = Progress { shown: false, terminal: true, next: 0 };
        let shown = (0..100).filter(|step| progress.is_due(step * SECOND / 100)).count();
        assert_eq!(shown, 5);
        assert!(!Progress { terminal: false, ..progress }.is_due(u64::MAX), "no terminal, no line");
    }
}
