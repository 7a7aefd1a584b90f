//! Silent peers are asked whether they are still there.

use super::connection::Phase;
use super::deadlines::Deadlines;
use super::reactor::Reactor;
use crate::config::RuntimeConfig;
use crate::wire::frame::{Frame, ping_frame};
use std::time::Duration;

/// When who is asked, and until when the answer has to come.
#[derive(Debug)]
pub(super) struct KeepAlive {
    asking: Deadlines<(usize, u32)>,
    answering: Deadlines<(usize, u32)>,
    on: bool,
}

impl KeepAlive {
    pub(super) fn new(config: &RuntimeConfig) -> KeepAlive {
        KeepAlive {
            asking: Deadlines::new(config.ping_interval),
            answering: Deadlines::new(config.ping_timeout),
            on: !config.ping_interval.is_zero(),
        }
    }

    /// Watches over a connection from now on.
    pub(super) fn watch(&mut self, now: Duration, entry: (usize, u32)) {
        if self.on {
            self.asking.set(now, entry);
        }
    }

    pub(super) fn next(&self) -> Option<Duration> {
        [self.asking.next(), self.answering.next()].into_iter().flatten().min()
    }
}

impl Reactor {
    /// Asks those that have been silent, and ends those that have not answered.
    pub(super) fn expire_pings(&mut self, now: Duration) {
        while let Some(entry) = self.keepalive.asking.take_due(now) {
            let Some(connection) = self.current(entry).filter(|connection| connection.phase == Phase::Open) else {
                continue;
            };
            // Who is written to and does not read is found out in another way.
            if std::mem::take(&mut connection.heard) || connection.is_paused() {
                self.keepalive.asking.set(now, entry);
            } else {
                let ping = ping_frame(connection.websocket);
                self.queue(entry.0, Frame::new(ping.into(), bytes::Bytes::new()));
                self.keepalive.answering.set(now, entry);
            }
        }
        while let Some(entry) = self.keepalive.answering.take_due(now) {
            let Some(connection) = self.current(entry).filter(|connection| connection.phase == Phase::Open) else {
                continue;
            };
            if std::mem::take(&mut connection.heard) || connection.is_paused() || connection.held {
                self.keepalive.asking.set(now, entry);
            } else {
                self.tally.timeouts += 1;
                self.lose(entry.0, "a ping was not answered in time");
            }
        }
    }
}
