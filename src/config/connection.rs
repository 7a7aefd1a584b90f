//! Limits and times of the connections of one transport.

use std::num::NonZeroU32;
use std::time::Duration;

/// What is none is as it is for the whole process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// Octets of one message from a client, not counting the framing.
    pub message_bytes_max: Option<usize>,
    /// Octets of one frame of WebSocket from a client, compressed or not. None: as many as a message.
    pub frame_bytes_max: Option<usize>,
    /// Octets of one frame of WebSocket to a client. None: as many as a message has.
    pub fragment_bytes: Option<NonZeroU32>,
    /// From accepting a socket to the end of the handshake. Of several transports at one listener the longest counts:
    /// until then nobody knows which one it will be.
    pub handshake_timeout: Option<Duration>,
    /// From the router's last word to the client's closing the connection.
    pub close_timeout: Option<Duration>,
    /// A client that has been silent for so long is sent a ping. Zero: never.
    pub ping_interval: Option<Duration>,
    /// How long the answer may take. Zero: as long as it likes.
    pub ping_timeout: Option<Duration>,
    /// Octets of a ping over WebSocket, at most 125. None: it is empty.
    pub ping_bytes: Option<u8>,
    /// Whether messages over WebSocket are compressed if the client offers it.
    pub compression: Compression,
    /// A client that breaks the protocol is cut off, without a word.
    pub drops_faults: bool,
    /// A client of WebSocket that names no subprotocol at all speaks JSON.
    pub assumes_json: bool,
    /// Browsers that come without WebSocket get no page, but 426.
    pub no_page: bool,
    /// How long a long-poll `receive` may wait for messages.
    pub receive_timeout: Option<Duration>,
    /// For how long nobody may `receive` from a long-poll transport before it is ended.
    pub idle_timeout: Option<Duration>,
}

/// Compression of messages over WebSocket (RFC 7692).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Messages go as they are.
    No,
    /// They are compressed if the client offers it, with a window of 2 to the power of so many octets at most, from 9 to
    /// 15, for what the router sends.
    Deflate(u8),
}

impl Default for Compression {
    fn default() -> Self {
        Compression::Deflate(15)
    }
}

impl Compression {
    /// The largest window, if there is any.
    #[must_use]
    pub fn window(self) -> Option<u8> {
        match self {
            Compression::No => None,
            Compression::Deflate(bits) => Some(bits),
        }
    }
}
