//! What readers find in the octets of a connection.

use super::deflate::Inflater;
use std::borrow::Cow;

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum WireEvent<'a> {
    /// A serialized message.
    Message {
        /// Its octets.
        data: &'a [u8],
        /// It came as text.
        text: bool,
    },
    /// A pong, or on RawSocket the answer to a ping: the peer is alive.
    Pong,
    /// The peer has closed in order; what there was to answer has been appended to the output.
    Closed,
}

/// The peer broke a rule of the transport.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WireError {
    /// The WebSocket close code (RFC 6455, section 7.4); without meaning on RawSocket.
    pub code: u16,
    /// For a person.
    pub reason: Cow<'static, str>,
}

impl WireError {
    pub(super) const fn new(code: u16, reason: &'static str) -> WireError {
        WireError { code, reason: Cow::Borrowed(reason) }
    }
}

/// What the readers of one thread share.
#[derive(Debug, Default)]
pub struct Inbound {
    pub(super) inflater: Inflater,
}
