//! What is left when a guardian itself was killed.
//!
//! Its guest dies with it. What the guest has started becomes a child of the router, if the router's process takes in
//! orphans: all its children that are no guardians then have to go.

use super::descent;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::WaitOptions;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long orphans are looked for.
const TIME_MAX: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The guardians that there are, and other children that are none of our business: those that the process had before it
/// had guests.
#[derive(Debug, Default)]
pub(super) struct Guardians(Mutex<BTreeSet<i32>>);

impl Guardians {
    /// Has this process take in orphans from now on.
    pub(super) fn adopt(&self) {
        let own = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
        descent::all().iter().filter(|process| process.parent == own).for_each(|process| self.add(process.pid));
        #[cfg(target_os = "linux")]
        if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
            tracing::warn!(%error, "cannot take in what guests leave behind if their guardians are killed");
        }
    }

    pub(super) fn add(&self, pid: i32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
    }

    pub(super) fn remove(&self, pid: i32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
    }

    fn has(&self, pid: i32) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid)
    }

    /// Kills and takes note of all children of this process that are no guardians.
    pub(super) async fn clear(&self) {
        let own = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
        let until = Instant::now() + TIME_MAX;
        // A guest that dies with its guardian may leave its children a moment later.
        let mut quiet = 0;
        while quiet < 3 && Instant::now() < until {
            let orphans: Vec<_> =
                descent::all().into_iter().filter(|process| process.parent == own && !self.has(process.pid)).collect();
            quiet = if orphans.is_empty() { quiet + 1 } else { 0 };
            for orphan in orphans {
                let _ = kill(Pid::from_raw(orphan.pid), Signal::SIGKILL);
                let _ = rustix::process::waitpid(rustix::process::Pid::from_raw(orphan.pid), WaitOptions::NOHANG);
            }
            sleep(LOOK_INTERVAL).await;
        }
    }
}
