//! What a turn has to write, and the writing of it.
//!
//! Most of what is written in a turn goes to few connections each and leaves at its end. An event with many receivers
//! is different: the system call for each of them takes some microseconds, all of them together a long time for whoever
//! shares the shard. So these connections form a list of their own, of which each turn writes a slice. What somebody
//! else is sent meanwhile, a result of a call for example, does not wait for the rest of the list; and a connection of
//! the list that is sent such a thing is written at once with all that waits for it, so its order holds.

use super::connection::{Connection, Phase};
use super::reactor::Reactor;
use super::slice::Slice;
use crate::router::ConnId;
use crate::wire::frame::Frame;
use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

/// Writes to one socket before others get their turn.
const WRITES_PER_TURN: usize = 8;

/// Octets after which a socket is not written again in the same turn.
const WRITE_BYTES_PER_TURN: usize = 1024 * 1024;

/// An event with at least as many receivers on the shard is written in slices.
const WIDE_MIN: usize = 64;

/// So is one that is as many octets for all receivers together.
const WIDE_BYTES: usize = 1024 * 1024;

/// So many octets count for as much as one connection more.
const BYTES_PER_STEP: usize = 16 * 1024;

/// Which list of connections to write a connection is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Listed {
    /// None.
    #[default]
    No,
    /// Those that share what they are written with many others. May be an entry that is out of date.
    Wide,
    /// Those that are written in this turn.
    Now,
}

/// Connections whose out-queues got something.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    now: Vec<usize>,
    wide: VecDeque<usize>,
    /// When the first of the wide ones may be written, if `write_delay` makes them wait.
    due: Option<Duration>,
    /// They have waited for that long.
    ripe: bool,
}

impl Unwritten {
    /// Puts a connection on a list, unless it is on that or a more urgent one already.
    fn add(&mut self, connection: &mut Connection, key: usize, list: Listed) {
        if connection.listed >= list {
            return;
        }
        connection.listed = list;
        match list {
            Listed::No => {}
            Listed::Wide => self.wide.push_back(key),
            Listed::Now => self.now.push(key),
        }
    }

    /// True if an event waits for its turn at some of its receivers.
    pub(super) fn has_wide(&self) -> bool {
        !self.wide.is_empty()
    }

    /// When to write what has to wait.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Lets go what has waited long enough; true if there is something.
    pub(super) fn ripen(&mut self, now: Duration) -> bool {
        let ripe = self.due.is_some_and(|due| due <= now);
        if ripe {
            self.due = None;
            self.ripe = true;
        }
        ripe
    }
}

impl Reactor {
    /// Adds a frame to what is written at the end of the turn.
    pub(super) fn queue(&mut self, key: usize, frame: Frame) {
        if self.connections[key].phase != Phase::Gone {
            self.enqueue(key, frame, Listed::Now);
            self.arm();
        }
    }

    /// Adds a frame to what is written to many connections.
    pub(super) fn fan_out(&mut self, conns: Vec<ConnId>, frame: &Frame, since: Duration) {
        self.gauges.fans_out(since);
        let octets = frame.len().saturating_mul(conns.len());
        let wide =
            conns.len() >= WIDE_MIN || octets >= WIDE_BYTES || !self.settings.premises.config.write_delay.is_zero();
        let list = if wide { Listed::Wide } else { Listed::Now };
        for conn in &conns {
            let key = conn.0 as usize;
            if self.connections.get(key).is_some_and(|connection| connection.phase == Phase::Open) {
                self.enqueue(key, frame.clone(), list);
            }
        }
        self.arm();
        self.core.reuse(conns);
    }

    /// Adds a frame to the out-queue of a connection, and the connection to a list.
    #[inline]
    fn enqueue(&mut self, key: usize, frame: Frame, list: Listed) {
        if self.connections[key].out.bytes() > self.settings.premises.config.out_queue_bytes_max
            && !self.makes_room(key)
        {
            return;
        }
        let connection = &mut self.connections[key];
        self.gauges.goes(connection, frame.len());
        connection.out.push(frame);
        if !connection.blocked {
            self.unwritten.add(connection, key, list);
        }
    }

    /// Writes what a connection has too much of; if the client does not take it, its connection is ended. What has only
    /// not had its turn is nothing that the client could be blamed for.
    #[cold]
    fn makes_room(&mut self, key: usize) -> bool {
        loop {
            let connection = &self.connections[key];
            let bytes = connection.out.bytes();
            if bytes <= self.settings.premises.config.out_queue_bytes_max {
                return connection.phase != Phase::Gone;
            }
            self.write(key);
            let connection = &self.connections[key];
            if connection.out.bytes() == bytes {
                self.tally.overruns += 1;
                let peer = &*connection.peer.label;
                tracing::warn!(peer, bytes, "a client does not read what is sent to it; its connection is ended");
                self.drop_socket(key);
                return false;
            }
        }
    }

    /// Has a connection written in this turn.
    pub(super) fn mark_dirty(&mut self, key: usize) {
        self.unwritten.add(&mut self.connections[key], key, Listed::Now);
        self.arm();
    }

    /// Writes what waits, one connection after the other; true if there is more that need not wait.
    pub(super) fn flush(&mut self) -> bool {
        let mut now = std::mem::take(&mut self.unwritten.now);
        for key in now.drain(..) {
            self.write(key);
        }
        if self.unwritten.now.is_empty() {
            // Keep the memory.
            self.unwritten.now = now;
        }
        let more = self.flush_wide();
        self.settle();
        more
    }

    /// Writes a slice of the wide list.
    fn flush_wide(&mut self) -> bool {
        if self.unwritten.wide.is_empty() {
            return false;
        }
        let delay = self.settings.premises.config.write_delay;
        if !delay.is_zero() && !self.unwritten.ripe {
            self.unwritten.due.get_or_insert_with(|| self.settings.epoch.elapsed() + delay);
            return false;
        }
        let mut slice = Slice::new(self);
        while let Some(key) = self.unwritten.wide.pop_front() {
            if self.connections.get(key).is_none_or(|connection| connection.listed != Listed::Wide) {
                continue;
            }
            let octets = self.write(key);
            if slice.is_over(self, 1 + octets / BYTES_PER_STEP) {
                break;
            }
        }
        let more = !self.unwritten.wide.is_empty();
        self.unwritten.ripe &= more;
        more
    }

    /// Writes one connection now; gives how many octets it has taken.
    pub(super) fn write(&mut self, key: usize) -> usize {
        let Some(connection) = self.connections.get_mut(key) else { return 0 };
        let listed = std::mem::take(&mut connection.listed);
        if listed == Listed::No {
            return 0;
        }
        let (Some(stream), Some(task)) = (&mut connection.stream, &connection.task) else {
            self.write_transport(key);
            return 0;
        };
        let mut cx = Context::from_waker(task);
        let mut octets_written = 0;
        for _ in 0..WRITES_PER_TURN {
            if connection.out.is_empty() || octets_written >= WRITE_BYTES_PER_TURN {
                break;
            }
            match connection.out.write_once(&mut self.scratch, |parts| stream.poll_write(&mut cx, parts)) {
                Poll::Ready(Ok(octets)) if octets > 0 => {
                    connection.progress = true;
                    octets_written += octets;
                }
                Poll::Ready(_) => {
                    self.drop_socket(key);
                    return octets_written;
                }
                Poll::Pending => {
                    connection.blocked = true;
                    return octets_written;
                }
            }
        }
        if connection.out.is_empty() && stream.poll_flush(&mut cx).is_pending() {
            connection.blocked = true;
            return octets_written;
        }
        if !connection.out.is_empty() {
            // The rest of the wide list is gone on with anyway, when others have had their turn.
            self.unwritten.add(connection, key, listed);
            if listed == Listed::Now {
                self.arm();
            }
        } else if connection.phase == Phase::Closing {
            if connection.ended {
                self.drop_socket(key);
            } else {
                stream.finish();
            }
        } else if connection.phase == Phase::Requests {
            self.written(key);
        }
        octets_written
    }
}
