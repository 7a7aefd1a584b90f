//! The machine that a result was measured on.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a reader needs to know of the machine to judge a result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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

/// CPU time that all processes of this machine have used since it started, in nanoseconds, with what other guests of
/// the same host have taken. Interrupts are left out: the kernel does not count them for any process.
pub(crate) fn busy() -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let mut fields = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map(str::parse::<u64>);
    let mut field = |skipped: usize| fields.nth(skipped)?.ok();
    // user, nice, system; then idle, iowait, irq, softirq; then steal.
    let ticks = field(0)? + field(0)? + field(0)? + field(4)?;
    Some(ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Instant;

    #[test]
    fn work_makes_the_machine_busy() {
        let before = busy().expect("this system counts");
        let start = Instant::now();
        // Another process, so that the time of this one's threads stays what other tests expect.
        let work = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        assert!(Command::new("sh").args(["-c", work]).status().expect("a shell").success());
        let (worked, passed) = (busy().expect("this system counts") - before, start.elapsed().as_nanos() as u64);
        assert!(worked >= 20_000_000, "{worked}");
        assert!(worked <= (passed + 100_000_000) * Machine::here().cores as u64, "{worked} in {passed}");
    }
}
