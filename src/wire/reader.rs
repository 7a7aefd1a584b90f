//! Incoming octets to serialized messages, whatever the transport.

use super::event::{Inbound, WireError, WireEvent};
use super::rawsocket::RawReader;
use super::websocket::WsReader;

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
