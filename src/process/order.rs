//! What a router and a guardian say to each other: lines of JSON on a socket.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How often a process is tried to be made while the system has no room for one more, which is the fault of others; and how
/// long to wait each time.
pub(super) const ATTEMPTS: u32 = 50;
pub(super) const ATTEMPT_INTERVAL: Duration = Duration::from_millis(200);

/// True if the system has no room for one more process now.
pub(super) fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// The first line to a guardian: what to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The program that guards.
    pub(super) guardian: PathBuf,
    pub(super) arguments: Vec<String>,
    /// Variables of its own. What it has from the router is the guardian's environment.
    pub(super) vars: BTreeMap<String, String>,
    pub(super) stdin: Option<Feed>,
    /// It is killed when there are more processes of it than these.
    pub(super) processes_max: u64,
    pub(super) setup: Setup,
}

/// What a guest reads.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Feed {
    pub(super) value: Value,
    pub(super) close: bool,
}

/// What has to be so before the guest's own program begins.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) program: PathBuf,
    pub(super) workdir: PathBuf,
    /// The guardian, without which the guest must not be.
    pub(super) parent: i32,
    /// The file descriptor at which it is told what went wrong.
    pub(super) trouble: i32,
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    pub(super) nice: Option<i32>,
    pub(super) cores: Vec<usize>,
    pub(super) open_files: Option<u64>,
    /// The soft limit alone: what the router had before it raised its own.
    pub(super) open_files_soft: Option<u64>,
    pub(super) address_space: Option<u64>,
    pub(super) cpu_seconds: Option<u64>,
    pub(super) processes: Option<u64>,
}

/// The lines that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Command {
    /// The process group of the guest is sent this signal, and has to end.
    Stop(i32),
    /// Everything that comes from the guest is killed.
    Kill,
}

/// What a guardian tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The guest's own program has begun.
    Started(i32),
    /// It could not begin.
    Failed(String),
    /// It has exited with this code.
    Exited(i32),
    /// It was ended by this signal.
    Killed(i32),
    /// There are more processes of it than these, which are too many: it is being killed.
    Crowded(u64),
}

/// A line of JSON.
pub(super) fn line(value: &impl Serialize) -> Vec<u8> {
    // Nothing here can fail to be JSON: all keys are texts.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}
