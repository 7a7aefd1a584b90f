//! Outgoing frames: built once, shared by every receiver with the same serializer and framing.

use super::batch::SEPARATOR;
use super::deflate::{Deflater, SCRATCH_KEPT_MAX};
use super::mask::unmask;
use crate::wamp::Serializer;
use bytes::Bytes;
use std::num::NonZeroU32;
use std::rc::Rc;

/// How serialized messages are put on a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Not at all: for what keeps frames apart itself.
    Bare,
    /// Each message with the delimiter of a batch, so that any number of frames in a row is a batch.
    Batched,
    /// WAMP RawSocket: a four-octet length prefix.
    RawSocket,
    /// A WebSocket message in unmasked frames, text for JSON and binary for the others.
    WebSocket {
        /// A `.batched` subprotocol: each message carries its own delimiter.
        batched: bool,
        /// permessage-deflate was negotiated, with this window for what the server sends: 9 to 15 bits.
        deflate: Option<u8>,
        /// A message is sent in frames of so many octets at most (RFC 6455, section 5.4). None: in one.
        fragment: Option<NonZeroU32>,
    },
}

/// A complete frame, ready to be written. Cheap to clone; belongs to one shard.
#[derive(Clone, Debug)]
pub struct Frame(Parts);

#[derive(Clone, Debug)]
enum Parts {
    /// All octets in one piece.
    Whole(Rc<[u8]>),
    /// The front, and payload that other frames share.
    Split(Rc<(Box<[u8]>, Bytes)>),
}

impl Frame {
    /// A frame of one piece.
    #[must_use]
    pub fn whole(octets: &[u8]) -> Frame {
        Frame(Parts::Whole(octets.into()))
    }

    /// A frame of two parts, which are written one after the other; `body` may be empty.
    #[must_use]
    pub fn new(head: Box<[u8]>, body: Bytes) -> Frame {
        Frame(Parts::Split(Rc::new((head, body))))
    }

    /// Octets of the whole frame.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// True if there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The two parts, in the order of writing.
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 2] {
        match &self.0 {
            Parts::Whole(octets) => [octets, &[]],
            Parts::Split(parts) => [&parts.0, &parts.1],
        }
    }
}

/// Payload of fewer octets is copied into the frame; more is shared with the frames of other shards and encodings.
const SHARE_MIN: usize = 4096;

/// Messages of fewer octets are not compressed.
const COMPRESS_MIN: usize = 256;

/// Builds frames; holds the buffer and the compressors that a shard shares among its connections.
#[derive(Debug, Default)]
pub struct FrameBuilder {
    /// Compress whatever may be compressed, also where it does not pay.
    eager: bool,
    scratch: Vec<u8>,
    deflater: Deflater,
}

impl FrameBuilder {
    /// A builder that compresses every message for which compression was agreed: for tests of compression itself.
    #[must_use]
    pub fn eager() -> FrameBuilder {
        FrameBuilder { eager: true, ..FrameBuilder::default() }
    }

    /// The frame of one message: `head` and then `body` are its serialized octets.
    pub fn build(&mut self, serializer: Serializer, framing: Framing, head: &[u8], body: Option<&Bytes>) -> Frame {
        let size = head.len() + body.map_or(0, Bytes::len);
        let text = serializer.is_text();
        self.scratch.clear();
        self.scratch.shrink_to(SCRATCH_KEPT_MAX);
        let mut separator = None;
        match framing {
            Framing::Bare => {}
            Framing::Batched => separator = self.delimit(serializer, true, size),
            Framing::RawSocket => self.scratch.extend_from_slice(&super::rawsocket::prefix(0, size)),
            Framing::WebSocket { batched, deflate, fragment } => {
                let delimiter = if text { 1 } else { 4 };
                let size = size + if batched { delimiter } else { 0 };
                let bits = deflate.filter(|_| size >= COMPRESS_MIN || self.eager);
                if bits.is_some() || fragment.is_some_and(|max| size > max.get() as usize) {
                    return self.rewritten(serializer, batched, (bits, fragment), head, body);
                }
                header(if text { OP_TEXT } else { OP_BINARY }, size, &mut self.scratch);
                separator = self.delimit(serializer, batched, size.saturating_sub(delimiter));
            }
        }
        self.scratch.extend_from_slice(head);
        match body {
            Some(body) if body.len() >= SHARE_MIN && separator.is_none() => {
                return Frame::new(self.scratch.as_slice().into(), body.clone());
            }
            Some(body) => self.scratch.extend_from_slice(body),
            None => {}
        }
        self.scratch.extend(separator);
        Frame::whole(&self.scratch)
    }

    /// Writes what stands before a batched message of `size` octets, and gives what has to stand behind it.
    fn delimit(&mut self, serializer: Serializer, batched: bool, size: usize) -> Option<u8> {
        if !batched {
            return None;
        }
        if serializer.is_text() {
            return Some(SEPARATOR);
        }
        let length = u32::try_from(size).unwrap_or(u32::MAX);
        self.scratch.extend_from_slice(&length.to_be_bytes());
        None
    }

    /// The frame, or the frames, of a message of which the payload is copied once more: compressed, or in pieces.
    fn rewritten(
        &mut self,
        serializer: Serializer,
        batched: bool,
        (bits, fragment): (Option<u8>, Option<NonZeroU32>),
        head: &[u8],
        body: Option<&Bytes>,
    ) -> Frame {
        let size = head.len() + body.map_or(0, Bytes::len);
        let separator = self.delimit(serializer, batched, size);
        self.scratch.extend_from_slice(head);
        self.scratch.extend_from_slice(body.map_or(&[], |body| body));
        self.scratch.extend(separator);
        let opcode = if serializer.is_text() { OP_TEXT } else { OP_BINARY };
        let compressed = bits.map(|bits| self.deflater.compress(bits, &self.scratch));
        // What cannot be compressed would only grow.
        let (first, payload) = match compressed {
            Some(compressed) if self.eager || compressed.len() < self.scratch.len() => (opcode | RSV1, compressed),
            _ => (opcode, &*self.scratch),
        };
        Frame::whole(&in_pieces(first, payload, fragment))
    }
}

pub(super) const OP_CONTINUATION: u8 = 0;
pub(super) const OP_TEXT: u8 = 1;
pub(super) const OP_BINARY: u8 = 2;
pub(super) const OP_CLOSE: u8 = 8;
pub(super) const OP_PING: u8 = 9;
pub(super) const OP_PONG: u8 = 10;
/// The bit of the first octet that marks a compressed message.
pub(super) const RSV1: u8 = 0x40;
/// The bit of the first octet that marks the last frame of a message.
const FIN: u8 = 0x80;
/// Octets of the longest header of an unmasked frame.
const HEADER_MAX: usize = 10;

/// The frames of a message, of so many octets at most: the last is final, and only the first says what the message is.
fn in_pieces(first: u8, payload: &[u8], fragment: Option<NonZeroU32>) -> Vec<u8> {
    let most = fragment.map_or(usize::MAX, |octets| octets.get() as usize);
    let mut frames = Vec::with_capacity(payload.len() + HEADER_MAX * payload.len().div_ceil(most).max(1));
    let (mut rest, mut opcode) = (payload, first);
    loop {
        let (piece, behind) = rest.split_at(rest.len().min(most));
        let start = frames.len();
        header(opcode, piece.len(), &mut frames);
        frames.extend_from_slice(piece);
        if behind.is_empty() {
            return frames;
        }
        frames[start] &= !FIN;
        (rest, opcode) = (behind, OP_CONTINUATION);
    }
}

/// Appends the header of an unmasked final frame.
fn header(opcode: u8, length: usize, out: &mut Vec<u8>) {
    out.push(FIN | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.push(short),
        (_, Ok(middle)) => {
            out.push(126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// A message in one uncompressed frame, for connections that speak no WAMP.
#[must_use]
pub fn message_frame(text: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + HEADER_MAX);
    header(if text { OP_TEXT } else { OP_BINARY }, payload.len(), &mut frame);
    frame.extend_from_slice(payload);
    frame
}

/// Appends a control frame; a payload of more than 125 octets is cut.
pub(super) fn control(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(125)];
    header(opcode, payload.len(), out);
    out.extend_from_slice(payload);
}

/// Appends whole unmasked WebSocket frames as a client sends them (RFC 6455, section 5.3); `key` gives an unpredictable
/// mask for each. What is no whole frame at the end of `frames` is left out.
pub fn mask_frames(frames: &[u8], mut key: impl FnMut() -> [u8; 4], out: &mut Vec<u8>) {
    let mut rest = frames;
    while let &[first, length, ..] = rest {
        let extended = match length {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(octets) = rest.get(2..2 + extended) else { return };
        let size = match extended {
            0 => u64::from(length),
            _ => octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let (head, behind) = rest.split_at(2 + extended);
        let Some((payload, next)) = behind.split_at_checked(size) else { return };
        let mask = key();
        out.extend_from_slice(&[first, 0x80 | length]);
        out.extend_from_slice(&head[2..]);
        out.extend_from_slice(&mask);
        let start = out.len();
        out.extend_from_slice(payload);
        unmask(&mut out[start..], mask, 0);
        rest = next;
    }
}

/// A ping over WebSocket, with so many octets of payload (at most 125), or over RawSocket without any.
#[must_use]
pub fn ping_frame(websocket: bool, octets: usize) -> Vec<u8> {
    if !websocket {
        return super::rawsocket::ping().to_vec();
    }
    let mut frame = Vec::new();
    control(OP_PING, &[0; 125][..octets.min(125)], &mut frame);
    frame
}

/// A close frame with a code of RFC 6455, section 7.4, and a reason for a person, cut to 123 octets.
#[must_use]
pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    let mut frame = Vec::new();
    control(OP_CLOSE, &payload, &mut frame);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_sent_uncompressed_and_large_scratch_is_released() {
        let mut random = fastrand::Rng::with_seed(1);
        let noise: Bytes = (0..3 << 20).map(|_| random.u8(..)).collect::<Vec<u8>>().into();
        let mut builder = FrameBuilder::default();
        for batched in [false, true] {
            let framing = Framing::WebSocket { batched, deflate: Some(15), fragment: None };
            let frame = builder.build(Serializer::Cbor, framing, b"", Some(&noise));
            assert_eq!(frame.parts()[0][0], 0x80 | OP_BINARY);
            assert_eq!(frame.len(), 10 + if batched { 4 } else { 0 } + noise.len());
            let frame = builder.build(Serializer::Cbor, framing, &[0; 1000], None);
            assert_eq!(frame.parts()[0][0], 0x80 | RSV1 | OP_BINARY);
            assert!(builder.scratch.capacity() <= SCRATCH_KEPT_MAX);
        }
    }
}
