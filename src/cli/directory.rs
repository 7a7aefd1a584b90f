//! The node directory as processes share it: one node at a time runs in it, and leaves word for others there.
//!
//! `node.pid` is locked for as long as the node runs, so it is never taken for one that has died. It holds JSON: what
//! Crossbar.io writes there, and what became of the last reload.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The file.
const NAME: &str = "node.pid";

/// How often others look whether a node has done something.
const POLL: Duration = Duration::from_millis(20);

/// What a node tells of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Word {
    /// The process.
    pub(super) pid: i32,
    /// Its command line.
    pub(super) argv: Vec<String>,
    /// Which program it is.
    #[serde(default)]
    pub(super) version: String,
    /// When it has started, in seconds since 1970.
    #[serde(default)]
    pub(super) started: u64,
    /// Where it listens.
    #[serde(default)]
    pub(super) listening: Vec<String>,
    /// It takes leave.
    #[serde(default)]
    pub(super) ending: bool,
}

/// The hold that a node has on its directory.
#[derive(Debug)]
pub(super) struct Hold {
    file: File,
    word: Word,
}

impl Hold {
    /// Takes the directory. None: nothing can be written there, so that others can neither find the node nor be kept out.
    ///
    /// # Errors
    /// Another node runs in it, or its file cannot be used.
    pub(super) fn take(directory: &Path) -> Result<Option<Hold>, String> {
        let path = directory.join(NAME);
        let wrong = |error: io::Error| format!("{}: {error}", path.display());
        let file = match OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                let text = "commands for running nodes will not find this one";
                tracing::warn!(file = %path.display(), %error, "{text}");
                return Ok(None);
            }
            file => file.map_err(wrong)?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let who = read(&file).map_or_else(String::new, |word| format!(" (process {})", word.pid));
                return Err(format!("{}: a node runs in this directory already{who}", directory.display()));
            }
            Err(TryLockError::Error(error)) => return Err(wrong(error)),
        }
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let word = Word {
            pid: nix::unistd::getpid().as_raw(),
            argv: std::env::args().collect(),
            version: env!("CARGO_PKG_VERSION").into(),
            started,
            listening: Vec::new(),
            ending: false,
        };
        let mut hold = Hold { file, word };
        hold.write();
        Ok(Some(hold))
    }

    /// Says where the node listens.
    pub(super) fn listens(&mut self, listening: Vec<String>) {
        self.word.listening = listening;
        self.write();
    }

    /// Says that the node takes leave: whoever wants it to end has to wait.
    pub(super) fn ends(&mut self) {
        self.word.ending = true;
        self.write();
    }

    fn write(&mut self) {
        let written = serde_json::to_vec(&self.word).map_err(io::Error::from).and_then(|text| {
            self.file.rewind()?;
            self.file.set_len(0)?;
            self.file.write_all(&text)
        });
        if let Err(error) = written {
            tracing::warn!(%error, "the PID file cannot be written");
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The file stays: whoever is waiting for its lock must not get one that nobody else sees.
        let _ = self.file.set_len(0);
    }
}

fn read(mut file: &File) -> Option<Word> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The node that runs in a directory, if there is one.
pub(super) fn running(directory: &Path) -> io::Result<Option<Word>> {
    let patience = Instant::now() + Duration::from_secs(5);
    let file = match File::open(directory.join(NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    loop {
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // It may be writing just now.
        if let Some(word) = read(&file) {
            return Ok(Some(word));
        }
        if Instant::now() > patience {
            return Err(io::Error::other("a node runs here that does not say who it is"));
        }
        thread::sleep(POLL);
    }
}

/// Waits until a node has ended; false if it has not within the time.
pub(super) fn wait_for_end(directory: &Path, pid: i32, time_max: Option<Duration>) -> io::Result<bool> {
    let begun = Instant::now();
    while running(directory)?.is_some_and(|word| word.pid == pid) {
        if time_max.is_some_and(|max| begun.elapsed() > max) {
            return Ok(false);
        }
        thread::sleep(POLL);
    }
    Ok(true)
}
