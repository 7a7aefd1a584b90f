//! What the tests of the whole program share: the yardstick as a server, and short runs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_loadtest");

/// The built-in server; it is killed when dropped.
pub(crate) struct Floor {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Floor {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        let mut child =
            command.arg("floor").args(arguments).stdout(Stdio::piped()).spawn().expect("the floor server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says where it listens");
        let url = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
        Self { child, url }
    }

    /// HOST:PORT.
    #[allow(dead_code, reason = "not every test needs it without its scheme")]
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("ws://").trim_end_matches('/')
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.child.kill().expect("it still runs");
        self.child.wait().expect("it has ended");
    }
}

const SHORT: [&str; 4] = ["--duration", "0.3", "--warmup", "0.1"];
const PATIENCE: [&str; 2] = ["--patience", "0.4"];

/// Runs a scenario for a short time; what it waits for may be among the arguments.
pub(crate) fn run(arguments: &[&str], json: Option<&PathBuf>) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).args(SHORT);
    if !arguments.contains(&PATIENCE[0]) {
        command.args(PATIENCE);
    }
    if let Some(path) = json {
        command.arg("--json").arg(path);
    }
    command.output().expect("the load generator runs")
}

/// A file of this name that only this run of the tests uses.
#[allow(dead_code, reason = "not every test writes files")]
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

#[allow(dead_code, reason = "not every test reads results")]
pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}
