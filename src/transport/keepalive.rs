//! Silent peers are asked whether they are still there.

use super::connection::Phase;
use super::deadlines::Deadlines;
use super::line::Line;
use super::reactor::Reactor;
use crate::config::RuntimeConfig;
use crate::wire::frame::{Frame, ping_frame};
use std::time::Duration;

/// When who is asked, and until when the answer has to come.
#[derive(Debug)]
pub(super) struct KeepAlive {
    asking: Deadlines<(usize, u32)>,
    answering: Deadlines<(usize, u32)>,
    rawsocket: bool,
}

impl KeepAlive {
    pub(super) fn new(config: &RuntimeConfig) -> KeepAlive {
        KeepAlive { asking: Deadlines::default(), answering: Deadlines::default(), rawsocket: config.ping_rawsocket }
    }

    /// Other times from now on. Who is not watched over is not from then on either.
    pub(super) fn reform(&mut self, config: &RuntimeConfig) {
        self.rawsocket = config.ping_rawsocket;
    }

    pub(super) fn next(&self) -> Option<Duration> {
        [self.asking.next(), self.answering.next()].into_iter().flatten().min()
    }
}

impl Reactor {
    /// Watches over a connection from now on.
    pub(super) fn keep_alive(&mut self, key: usize) {
        let connection = &self.connections[key];
        let interval = self.lines.of(connection.peer.transport).ping_interval;
        let (Some(interval), Some(stream)) = (interval, &connection.stream) else { return };
        if connection.websocket || self.keepalive.rawsocket {
            self.keepalive.asking.set(self.clock, interval, (key, connection.serial));
        } else if let Err(error) = stream.keep_alive(interval) {
            tracing::debug!(%error, "TCP does not look whether a client is still there");
        }
    }

    /// Asks those that have been silent, and ends those that have not answered.
    pub(super) fn expire_pings(&mut self, now: Duration) {
        let lines = self.lines.clone();
        while let Some(entry) = self.keepalive.asking.take_due(now) {
            let Some(connection) = self.current(entry).filter(|connection| connection.phase == Phase::Open) else {
                continue;
            };
            let line = lines.of(connection.peer.transport);
            // Nobody is asked any longer: whoever would have been is forgotten.
            let Some(interval) = line.ping_interval else { continue };
            // Who is written to and does not read is found out in another way.
            if std::mem::take(&mut connection.heard) || connection.is_paused() {
                self.keepalive.asking.set(now, interval, entry);
                continue;
            }
            let ping = ping(line, connection.websocket);
            self.queue(entry.0, ping);
            match line.ping_timeout {
                Some(timeout) => self.keepalive.answering.set(now, timeout, entry),
                None => self.keepalive.asking.set(now, interval, entry),
            }
        }
        while let Some(entry) = self.keepalive.answering.take_due(now) {
            let Some(connection) = self.current(entry).filter(|connection| connection.phase == Phase::Open) else {
                continue;
            };
            let line = lines.of(connection.peer.transport);
            let forgiven = line.ping_timeout.is_none() || line.ping_interval.is_none();
            if std::mem::take(&mut connection.heard) || connection.is_paused() || connection.held || forgiven {
                if let Some(interval) = line.ping_interval {
                    self.keepalive.asking.set(now, interval, entry);
                }
            } else {
                self.tally.timeouts += 1;
                self.lose(entry.0, "a ping was not answered in time");
            }
        }
    }
}

fn ping(line: &Line, websocket: bool) -> Frame {
    if websocket {
        return line.ping.clone();
    }
    Frame::new(ping_frame(false, 0).into(), bytes::Bytes::new())
}
