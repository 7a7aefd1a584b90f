//! Directories in which a change restarts a guest.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// How long to wait between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// Looking takes no more than this part of the time, however much there is to look at.
const SHARE: u32 = 20;
/// Directories deeper than this are not looked at.
const DEPTH_MAX: u32 = 32;
/// No more entries than these are looked at.
const ENTRIES_MAX: u32 = 100_000;

/// Looks again and again, until it is dropped.
pub(super) struct Watcher {
    changed: Arc<Notify>,
    task: Option<AbortHandle>,
}

impl Watcher {
    pub(super) fn new(id: &str, directories: &[PathBuf]) -> Watcher {
        let changed = Arc::new(Notify::new());
        let task = (!directories.is_empty()).then(|| {
            for missing in directories.iter().filter(|directory| !directory.is_dir()) {
                tracing::warn!(guest = id, directory = %missing.display(), "is watched and is no directory");
            }
            tokio::spawn(look(directories.into(), changed.clone())).abort_handle()
        });
        Watcher { changed, task }
    }

    /// Waits for a change. Those that came before and were not waited for count as one.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Tells of a change when nothing has changed any more since the last look: whoever writes many files is let finish.
async fn look(directories: Vec<PathBuf>, changed: Arc<Notify>) {
    let directories: Arc<[PathBuf]> = directories.into();
    let (mut known, mut last) = (None, None);
    loop {
        let begun = Instant::now();
        let folders = directories.clone();
        let seen = tokio::task::spawn_blocking(move || snapshot(&folders)).await.ok();
        let took = begun.elapsed();
        if known.is_none() {
            known = seen;
        } else if seen == last && seen != known {
            known = seen;
            changed.notify_one();
        }
        last = seen;
        tokio::time::sleep(INTERVAL.max(took * SHARE)).await;
    }
}

/// A number that is another one when a file is there that was not, is gone, or has been written.
fn snapshot(directories: &[PathBuf]) -> u64 {
    let mut left = ENTRIES_MAX;
    directories.iter().fold(0, |sum, directory| sum.wrapping_add(walk(directory, DEPTH_MAX, &mut left)))
}

/// The order in which the system gives the entries makes no difference.
fn walk(directory: &Path, depth: u32, left: &mut u32) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let mut sum = 0u64;
    for entry in entries.flatten() {
        let Some(fewer) = left.checked_sub(1) else { return sum };
        *left = fewer;
        let path = entry.path();
        // What a link leads to counts, but it may lead round in a circle.
        let Ok(there) = fs::metadata(&path) else { continue };
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        if there.is_dir() {
            let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if depth > 0 && !link {
                sum = sum.wrapping_add(walk(&path, depth - 1, left));
            }
        } else {
            (there.ino(), there.len(), there.mtime(), there.mtime_nsec(), there.mode()).hash(&mut hasher);
        }
        sum = sum.wrapping_add(hasher.finish());
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen() {
        let folder = std::env::temp_dir().join(format!("corebar-watch-{}", std::process::id()));
        fs::create_dir_all(folder.join("deep")).expect("a writable directory");
        let mut seen = vec![snapshot(std::slice::from_ref(&folder))];
        let mut look = |what: &str| {
            let now = snapshot(std::slice::from_ref(&folder));
            assert!(!seen.contains(&now), "{what} is seen");
            assert_eq!(now, snapshot(std::slice::from_ref(&folder)), "nothing else changes it");
            seen.push(now);
        };
        fs::write(folder.join("deep/file"), "1").expect("a writable directory");
        look("a new file");
        fs::write(folder.join("deep/file"), "22").expect("a writable directory");
        look("another content");
        fs::rename(folder.join("deep/file"), folder.join("file")).expect("a writable directory");
        look("another place");
        fs::create_dir(folder.join("empty")).expect("a writable directory");
        look("a new directory");
        std::os::unix::fs::symlink(&folder, folder.join("circle")).expect("a writable directory");
        look("a link");
        fs::remove_dir_all(&folder).expect("own directory");
        assert_eq!(snapshot(&[folder]), 0);
    }
}
