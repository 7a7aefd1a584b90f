//! Who comes from whom, and what they use, as `/proc` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    /// It has ended, and nobody has taken note.
    pub(super) ended: bool,
    /// Processor time of itself and of the children that it has taken note of, in ticks.
    ticks: u64,
    /// Resident memory in pages.
    pages: u64,
}

/// Ticks in a second: the same on every Linux that there is.
const TICKS: u64 = 100;

/// All processes that there are. None where the system tells nothing.
pub(super) fn all() -> Vec<Process> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// How many processes and threads the system has, if it tells. Much cheaper than to look at all of them.
pub(super) fn how_many() -> Option<u64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let (_, count) = text.split_ascii_whitespace().nth(3)?.split_once('/')?;
    count.parse().ok()
}

/// Reads `/proc/PID/stat`. The name in it may hold anything, blanks and brackets too.
fn parse(text: &str) -> Option<Process> {
    let (head, _) = text.split_once(" (")?;
    let (_, tail) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    // The state is the third field of all.
    let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
    let positive = |field: usize| u64::try_from(number(field)?).ok();
    Some(Process {
        pid: head.parse().ok()?,
        parent: number(4)?.try_into().ok()?,
        group: number(5)?.try_into().ok()?,
        ended: matches!(*fields.first()?, "Z" | "X"),
        ticks: (14..=17).filter_map(positive).sum(),
        pages: positive(24)?,
    })
}

/// Those of them that come from this one, without itself.
pub(super) fn descendants(all: &[Process], ancestor: i32) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<&Process>> = BTreeMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([ancestor]);
    let mut next = vec![ancestor];
    while let Some(parent) = next.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            // The processes were not looked at in one moment: a number may have passed on to another.
            if seen.insert(child.pid) {
                found.push(**child);
                next.push(child.pid);
            }
        }
    }
    found
}

/// Resident octets and processor time of a process and all that come from it.
pub(super) fn usage(all: &[Process], pid: i32) -> Option<(u64, Duration)> {
    let root = all.iter().find(|process| process.pid == pid)?;
    let mut family = descendants(all, pid);
    family.push(*root);
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let octets = family.iter().map(|process| process.pages * page).sum();
    let ticks: u64 = family.iter().map(|process| process.ticks).sum();
    Some((octets, Duration::from_millis(ticks * (1000 / TICKS))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let text = "17 (a) (b c) S 4 5 6 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 99 1000 7 18446744073709551615 1";
        let expected = Process { pid: 17, parent: 4, group: 5, ended: false, ticks: 100, pages: 7 };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse(&text.replace(" S ", " Z ")).map(|process| process.ended), Some(true));
        assert_eq!(parse("17 (a"), None);
    }

    #[test]
    fn descendants_are_found() {
        let process = |pid, parent| Process { pid, parent, group: 0, ended: false, ticks: 50, pages: 1 };
        // Two that claim to come from each other are no trap.
        let all = [process(2, 1), process(3, 2), process(4, 3), process(5, 1), process(6, 7), process(7, 6)];
        let found = |ancestor| {
            let mut pids: Vec<_> = descendants(&all, ancestor).iter().map(|process| process.pid).collect();
            pids.sort_unstable();
            pids
        };
        assert_eq!(found(2), [3, 4]);
        assert_eq!(found(1), [2, 3, 4, 5]);
        assert_eq!(found(6), [7]);
        let (octets, time) = usage(&all, 3).expect("is there");
        assert_eq!((octets % 2, time), (0, Duration::from_secs(1)));
        assert_eq!(usage(&all, 9), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_there() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(all().iter().any(|process| process.pid == own && process.pages > 0));
        assert!(how_many() > Some(0));
    }
}
