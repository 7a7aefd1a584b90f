//! The machine that a result was measured on.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a reader needs to know of the machine to judge a result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) kernel: String,
    /// Memory in bytes.
    pub(crate) memory: u64,
}

impl Machine {
    /// Describes this machine; what cannot be found out is left empty or 0.
    pub(crate) fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = meminfo.split_whitespace().nth(1).and_then(|kibibytes| kibibytes.parse::<u64>().ok());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: cpu.map(|(_, model)| model.to_owned()).unwrap_or_default(),
            kernel: kernel.trim().to_owned(),
            memory: memory.unwrap_or(0) * 1024,
        }
    }
}

/// Raises the limit of open files of this process to what the system allows; gives the limit then in force.
pub(crate) fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If refused, the old limit stays, and running into it says so.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
