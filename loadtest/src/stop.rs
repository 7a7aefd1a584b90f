//! The wish to stop: an interrupt ends a run early, and its partial result is shown.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static SIGNALS: AtomicU32 = AtomicU32::new(0);

/// Takes SIGINT and SIGTERM as the wish to stop. The process does not end by them, so that the servers it started
/// end with it.
///
/// # Errors
/// If the system refuses.
pub(crate) fn watch() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot watch for signals")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            ask();
        }
    });
    Ok(())
}

/// Asks to stop, as a signal does.
pub(crate) fn ask() {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// True once somebody has asked to stop.
pub(crate) fn asked() -> bool {
    SIGNALS.load(Ordering::Relaxed) > 0
}

/// True once somebody has asked twice: not even stragglers are waited for.
pub(crate) fn insisted() -> bool {
    SIGNALS.load(Ordering::Relaxed) > 1
}
