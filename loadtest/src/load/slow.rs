//! Subscribers that stop reading, and what becomes of them.

use crate::clock::SECOND;
use crate::result::latency::Latency;
use crate::result::outcome::{Better, Combine, Outcome};
use crate::wire::net::Net;

/// How often it is looked whether the router still keeps a connection, in nanoseconds. Only what is sent over a
/// connection shows that it is gone as long as nothing is read from it.
const LOOK: u64 = SECOND / 10;

/// A group of them.
pub(crate) struct Slow {
    /// When they stop reading.
    at: u64,
    stopped: bool,
    next_look: u64,
    conns: Vec<Conn>,
}

struct Conn {
    conn: usize,
    ended: Option<u64>,
}

impl Slow {
    pub(crate) fn new(at: u64) -> Self {
        Self { at, stopped: false, next_look: at, conns: Vec::new() }
    }

    pub(crate) fn add(&mut self, conn: usize) {
        self.conns.push(Conn { conn, ended: None });
    }

    /// Stops reading when it is time, and looks after the connections; gives when to look again.
    pub(crate) fn pump(&mut self, net: &mut Net, now: u64) -> Option<u64> {
        if now < self.at {
            return Some(self.at);
        }
        let open = self.conns.iter().filter(|conn| conn.ended.is_none());
        if !self.stopped {
            self.stopped = true;
            open.clone().for_each(|conn| net.pause(conn.conn));
        }
        if now >= self.next_look {
            self.next_look = now + LOOK;
            open.for_each(|conn| net.ping(conn.conn));
        }
        Some(self.next_look)
    }

    /// Takes the end of a connection: false if it is none of these, or nothing had been done to it.
    pub(crate) fn closed(&mut self, conn: usize, now: u64) -> bool {
        let Some(conn) = self.conns.iter_mut().find(|other| other.conn == conn) else { return false };
        conn.ended = Some(now);
        self.stopped
    }

    /// True if the router has ended every connection.
    pub(crate) fn all_ended(&self) -> bool {
        self.conns.iter().all(|conn| conn.ended.is_some())
    }

    /// The connections that are still there, to be read to the end.
    pub(crate) fn resume(&self) -> Vec<usize> {
        self.conns.iter().filter(|conn| conn.ended.is_none()).map(|conn| conn.conn).collect()
    }

    /// What became of them.
    pub(crate) fn report(self, outcome: &mut Outcome) {
        let mut times = Latency::new();
        for ended in self.conns.iter().filter_map(|conn| conn.ended) {
            times.record(ended.saturating_sub(self.at), ended);
        }
        let gone = self.conns.iter().filter(|conn| conn.ended.is_some()).count();
        let kept = self.conns.len() - gone;
        outcome.metric("slow_kept", kept as f64, "sessions", Better::Neither, Combine::Sum);
        outcome.metric("slow_disconnected", gone as f64, "sessions", Better::Neither, Combine::Sum);
        outcome.add_times("slow_until_disconnected", times);
    }
}

/// Adds the highest memory of the router, as far as it was watched, and fails if it exceeds a limit in MiB.
pub(crate) fn judge_memory(outcome: &mut Outcome, limit: Option<f64>) {
    let highest = outcome.timelines.get("server_memory").and_then(|line| line.values.iter().copied().reduce(f64::max));
    let Some(highest) =
        highest.map(|highest| highest.max(outcome.server.map_or(0.0, |server| server.memory_after as f64)))
    else {
        if limit.is_some() {
            outcome.failures.push("the router's memory was not watched: that needs --pid or --spawn".into());
        }
        return;
    };
    outcome.metric("server_memory_highest", highest, "bytes", Better::Lower, Combine::Max);
    let mebibytes = highest / f64::from(1 << 20);
    if let Some(limit) = limit.filter(|limit| mebibytes > *limit) {
        outcome.failures.push(format!("the router used {mebibytes:.1} MiB of memory, the limit is {limit} MiB"));
    }
}
