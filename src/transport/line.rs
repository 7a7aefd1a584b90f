//! What holds for the connections of each way in, found out once.

use crate::config::listener::ListenerConfig;
use crate::config::{RuntimeConfig, TransportConfig};
use crate::wire::frame::{Frame, ping_frame};
use std::num::NonZeroU32;
use std::time::Duration;

/// What holds for the connections of one way in.
#[derive(Clone, Debug)]
pub(in crate::transport) struct Line {
    /// Octets of a message from a client.
    pub(in crate::transport) message_bytes_max: usize,
    /// Octets of a frame of WebSocket from a client.
    pub(in crate::transport) frame_bytes_max: usize,
    /// Octets of a frame of WebSocket to a client; none: as many as a message has.
    pub(in crate::transport) fragment: Option<NonZeroU32>,
    /// From the router's last word to the client's closing.
    pub(in crate::transport) close_timeout: Duration,
    /// After how long a silent client is asked; none: never.
    pub(in crate::transport) ping_interval: Option<Duration>,
    /// How long its answer may take; none: as long as it likes.
    pub(in crate::transport) ping_timeout: Option<Duration>,
    /// What it is asked over WebSocket.
    pub(in crate::transport) ping: Frame,
    /// Whoever breaks the protocol is cut off.
    pub(in crate::transport) drops_faults: bool,
    /// How long a long-poll `receive` may wait.
    pub(in crate::transport) receive_timeout: Duration,
    /// For how long nobody may receive from a long-poll transport.
    pub(in crate::transport) idle_timeout: Duration,
}

/// The ways in of a router.
#[derive(Clone, Debug)]
pub(in crate::transport) struct Lines {
    by_transport: Vec<Line>,
    /// How long handshakes may take, by listener.
    handshakes: Vec<Duration>,
    /// What holds for everybody else.
    common: Line,
    common_handshake: Duration,
}

impl Line {
    fn new(config: &RuntimeConfig, transport: &TransportConfig) -> Line {
        let own = &transport.connection;
        let message_bytes_max = own.message_bytes_max.unwrap_or(config.message_bytes_max);
        let some = |time: Duration| (!time.is_zero()).then_some(time);
        Line {
            message_bytes_max,
            frame_bytes_max: own.frame_bytes_max.unwrap_or(usize::MAX),
            fragment: own.fragment_bytes,
            close_timeout: own.close_timeout.unwrap_or(config.close_timeout),
            ping_interval: some(own.ping_interval.unwrap_or(config.ping_interval)),
            ping_timeout: some(own.ping_timeout.unwrap_or(config.ping_timeout)),
            ping: Frame::new(ping_frame(true, own.ping_bytes.unwrap_or(0).into()).into(), bytes::Bytes::new()),
            drops_faults: own.drops_faults,
            receive_timeout: own.receive_timeout.unwrap_or(config.longpoll_receive_timeout),
            idle_timeout: own.idle_timeout.unwrap_or(config.longpoll_idle_timeout),
        }
    }
}

impl Lines {
    pub(in crate::transport) fn new(config: &RuntimeConfig) -> Lines {
        Lines {
            by_transport: config.transports.iter().map(|transport| Line::new(config, transport)).collect(),
            handshakes: config.listeners.iter().map(|listener| handshake(config, listener)).collect(),
            common: Line::new(config, &TransportConfig::default()),
            common_handshake: config.handshake_timeout,
        }
    }

    /// That of a transport.
    pub(in crate::transport) fn of(&self, transport: u16) -> &Line {
        self.by_transport.get(usize::from(transport)).unwrap_or(&self.common)
    }

    /// What holds while it is not known which transport it will be.
    pub(in crate::transport) fn common(&self) -> &Line {
        &self.common
    }

    /// How long a handshake may take at a listener.
    pub(in crate::transport) fn handshake_timeout(&self, listener: u16) -> Duration {
        self.handshakes.get(usize::from(listener)).copied().unwrap_or(self.common_handshake)
    }
}

/// The longest time that one of the transports of a listener gives.
fn handshake(config: &RuntimeConfig, listener: &ListenerConfig) -> Duration {
    let paths = listener.paths.iter().filter_map(|path| path.service.transport());
    let all = paths.chain(listener.rawsocket).chain([listener.transport]);
    let own = all.filter_map(|at| config.transports.get(usize::from(at))?.connection.handshake_timeout);
    own.max().unwrap_or(config.handshake_timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::connection::ConnectionConfig;

    #[test]
    fn what_a_transport_does_not_say_is_as_for_all() {
        let second = Duration::from_secs(1);
        let own = ConnectionConfig {
            message_bytes_max: Some(1000),
            handshake_timeout: Some(second * 30),
            ping_interval: Some(Duration::ZERO),
            ..ConnectionConfig::default()
        };
        let other = ConnectionConfig { ping_timeout: Some(Duration::ZERO), ..ConnectionConfig::default() };
        let transport = |connection| TransportConfig { connection, ..TransportConfig::default() };
        let mut config =
            RuntimeConfig { transports: vec![transport(own), transport(other)], ..RuntimeConfig::default() };
        config.listeners.push(ListenerConfig { transport: 1, ..config.listeners[0].clone() });
        config.listeners[1].paths.clear();
        config.listeners[1].rawsocket = None;
        let lines = Lines::new(&config);
        let (first, second_line) = (lines.of(0), lines.of(1));
        assert_eq!((first.message_bytes_max, second_line.message_bytes_max), (1000, config.message_bytes_max));
        assert_eq!((first.ping_interval, second_line.ping_interval), (None, Some(config.ping_interval)));
        assert_eq!((first.ping_timeout, second_line.ping_timeout), (Some(config.ping_timeout), None));
        assert_eq!((lines.handshake_timeout(0), lines.handshake_timeout(1)), (second * 30, config.handshake_timeout));
        assert_eq!(lines.of(9).message_bytes_max, config.message_bytes_max);
    }
}
