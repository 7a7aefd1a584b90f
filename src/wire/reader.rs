//! Incoming octets to serialized messages, whatever the transport.

use super::deflate::Inflater;
use super::rawsocket::RawReader;
use super::websocket::WsReader;
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

/// Reads the octets of one connection. Between messages it owns no memory but itself.
#[derive(Debug)]
pub enum Reader {
    /// WebSocket frames.
    WebSocket(WsReader),
    /// RawSocket frames.
    RawSocket(RawReader),
}

impl Reader {
    /// Reads on: takes octets from the front of `input` (which it may unmask in place), and gives their number and
    /// what came in, if anything. Call again with the rest until it gives no event: then all of `input` has been
    /// taken. What has to be answered (pong, close) is appended to `out`.
    ///
    /// # Errors
    /// The peer broke a rule; nothing more can be read.
    pub fn feed<'a>(
        &'a mut self,
        input: &'a mut [u8],
        inbound: &mut Inbound,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<WireEvent<'a>>), WireError> {
        match self {
            Reader::WebSocket(reader) => reader.feed(input, inbound, out),
            Reader::RawSocket(reader) => reader.feed(input, out),
        }
    }
}
