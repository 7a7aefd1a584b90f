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
    /// The same, where it is TCP that asks.
    interval: Option<Duration>,
    rawsocket: bool,
}

impl KeepAlive {
    pub(super) fn new(config: &RuntimeConfig) -> KeepAlive {
        KeepAlive {
            asking: Deadlines::new(config.ping_interval),
            answering: Deadlines::new(config.ping_timeout),
            interval: (!config.ping_interval.is_zero()).then_some(config.ping_interval),
            rawsocket: config.ping_rawsocket,
        }
    }

    /// Other times from now on. Who is not watched over is not from then on either.
    pub(super) fn reform(&mut self, config: &RuntimeConfig) {
        self.asking.limit(config.ping_interval);
        self.answering.limit(config.ping_timeout);
        self.interval = (!config.ping_interval.is_zero()).then_some(config.ping_interval);
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
        let (Some(interval), Some(stream)) = (self.keepalive.interval, &connection.stream) else { return };
        if connection.websocket || self.keepalive.rawsocket {
            self.keepalive.asking.set(self.clock, (key, connection.serial));
        } else if let Err(error) = stream.keep_alive(interval) {
            tracing::debug!(%error, "TCP does not look whether a client is still there");
        }
    }

    /// Asks those that have been silent, and ends those that have not answered.
    pub(super) fn expire_pings(&mut self, now: Duration) {
        // Nobody is asked any longer: whoever would have been is forgotten.
        let asks = self.keepalive.interval.is_some();
        while let Some(entry) = self.keepalive.asking.take_due(now) {
            if !asks {
                continue;
            }
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
                if asks {
                    self.keepalive.asking.set(now, entry);
                }
            } else {
                self.tally.timeouts += 1;
                self.lose(entry.0, "a ping was not answered in time");
            }
        }
    }
}
