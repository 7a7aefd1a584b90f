//! What a process on this machine uses, read from /proc.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// CPU time and memory of a process, its threads and its descendants.
pub(crate) struct Probe {
    pids: Vec<u32>,
}

impl Probe {
    /// Finds the process and its descendants of this moment.
    ///
    /// # Errors
    /// If there is no such process, or its figures may not be read.
    pub(crate) fn new(pid: u32) -> Result<Self> {
        let probe = Self { pids: family(pid) };
        probe.cpu().with_context(|| format!("cannot watch process {pid}"))?;
        Ok(probe)
    }

    /// CPU time used so far by all threads that still live, in nanoseconds.
    ///
    /// # Errors
    /// If the first process has ended.
    pub(crate) fn cpu(&self) -> Result<u64> {
        let mut sum = 0;
        for (number, pid) in self.pids.iter().enumerate() {
            match process_cpu(*pid) {
                Ok(time) => sum += time,
                Err(error) if number == 0 => return Err(error),
                // A descendant that has ended since.
                Err(_) => {}
            }
        }
        Ok(sum)
    }

    /// As [`Probe::memory`], without a walk through the memory: the kernel may lag by some pages per thread.
    ///
    /// # Errors
    /// If the first process has ended.
    pub(crate) fn memory_glance(&self) -> Result<u64> {
        let sizes = self.pids.iter().map(|pid| quick_memory(*pid));
        // A descendant may have ended since.
        sizes.enumerate().filter(|(number, size)| *number == 0 || size.is_ok()).map(|(_, size)| size).sum()
    }

    /// Resident memory in bytes, summed over the processes (shared pages count in each).
    ///
    /// # Errors
    /// If the first process has ended.
    pub(crate) fn memory(&self) -> Result<u64> {
        let mut sum = 0;
        for (number, pid) in self.pids.iter().enumerate() {
            match process_memory(*pid) {
                Ok(bytes) => sum += bytes,
                Err(error) if number == 0 => return Err(error),
                Err(_) => {}
            }
        }
        Ok(sum)
    }
}

fn family(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for child in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // The name, in parentheses, may contain anything; state and parent follow it.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut pids = vec![pid];
    let mut at = 0;
    while at < pids.len() {
        pids.extend(children.remove(&pids[at]).unwrap_or_default());
        at += 1;
    }
    pids
}

fn process_cpu(pid: u32) -> Result<u64> {
    let directory = PathBuf::from(format!("/proc/{pid}/task"));
    let tasks = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut sum = 0;
    for task in tasks.flatten() {
        // A thread may end between the listing and the reading.
        let schedstat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        sum += schedstat.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0u64);
    }
    Ok(sum)
}

fn process_memory(pid: u32) -> Result<u64> {
    // The roll-up is exact; the status file, for processes of other users, may lag by some pages per thread.
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .or_else(|_| fs::read_to_string(format!("/proc/{pid}/status")))
        .with_context(|| format!("cannot read the memory of process {pid}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:").or_else(|| line.strip_prefix("VmRSS:")));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kibibytes.with_context(|| format!("process {pid} shows no resident memory"))? * 1024)
}

fn quick_memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/statm");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let pages = text.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    Ok(pages.with_context(|| format!("process {pid} shows no resident memory"))? * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    #[test]
    fn own_work_and_memory_show() {
        let probe = Probe::new(std::process::id()).expect("this process");
        let (cpu, memory) = (probe.cpu().expect("cpu"), probe.memory().expect("memory"));
        let block = black_box(vec![1u8; 32 << 20]);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(60) {
            black_box(fastrand::u64(..));
        }
        assert!(probe.cpu().expect("cpu") > cpu + 5_000_000);
        let after = probe.memory().expect("memory");
        assert!(after > memory + (16 << 20));
        let glance = probe.memory_glance().expect("memory");
        assert!(glance.abs_diff(after) < 8 << 20, "{glance} {after}");
        drop(black_box(block));
    }

    #[test]
    fn a_missing_process_is_an_error() {
        assert!(Probe::new(u32::MAX).is_err());
    }
}
