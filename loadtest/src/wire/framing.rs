//! Frames: how messages are laid out in the byte stream, for WebSocket (RFC 6455) and for RawSocket.

use std::ops::Range;

use anyhow::{Result, bail, ensure};

use crate::wire::serializer::Serializer;

/// The longest frame that is accepted, in bytes.
const LONGEST: u64 = 64 << 20;

/// How one side of a connection writes and reads frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Masks its frames, with the key zero: the mask bit is there, and masking costs nothing.
    WebSocketClient {
        text: bool,
    },
    WebSocketServer {
        text: bool,
    },
    RawSocket,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    /// A further part of a fragmented message.
    Continuation,
    Close,
    Ping,
    Pong,
}

/// A frame in a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    /// False if the message goes on in a further frame.
    pub(crate) last: bool,
    /// Key that the body must be unmasked with.
    pub(crate) mask: [u8; 4],
    /// Where the body stands in the buffer. The frame ends where the body ends.
    pub(crate) body: Range<usize>,
}

impl Framing {
    pub(crate) fn client(websocket: bool, serializer: Serializer) -> Self {
        match websocket {
            true => Self::WebSocketClient { text: serializer == Serializer::Json },
            false => Self::RawSocket,
        }
    }

    /// Appends a frame.
    pub(crate) fn put(self, out: &mut Vec<u8>, kind: Kind, body: &[u8]) {
        let (text, mask_bit) = match self {
            Self::RawSocket => {
                let kind = match kind {
                    Kind::Ping => 1,
                    Kind::Pong => 2,
                    Kind::Message | Kind::Continuation | Kind::Close => 0,
                };
                out.extend_from_slice(&((body.len() as u32) & 0xff_ffff | kind << 24).to_be_bytes());
                out.extend_from_slice(body);
                return;
            }
            Self::WebSocketClient { text } => (text, 0x80),
            Self::WebSocketServer { text } => (text, 0),
        };
        out.push(match kind {
            Kind::Message if text => 0x81,
            Kind::Message => 0x82,
            Kind::Continuation => 0x80,
            Kind::Close => 0x88,
            Kind::Ping => 0x89,
            Kind::Pong => 0x8a,
        });
        match body.len() {
            len @ 0..=125 => out.push(len as u8 | mask_bit),
            len @ 126..=0xffff => {
                out.push(126 | mask_bit);
                out.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                out.push(127 | mask_bit);
                out.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        if mask_bit != 0 {
            out.extend_from_slice(&[0; 4]);
        }
        out.extend_from_slice(body);
    }

    /// The frame at `at` of a buffer; None if it has not arrived completely.
    ///
    /// # Errors
    /// If the bytes are not a frame that the other side may send, or it is longer than 64 MiB.
    pub(crate) fn parse(self, buffer: &[u8], at: usize) -> Result<Option<Frame>> {
        let bytes = &buffer[at..];
        let masked_wanted = match self {
            Self::RawSocket => return parse_rawsocket(bytes, at),
            Self::WebSocketClient { .. } => false,
            Self::WebSocketServer { .. } => true,
        };
        let [first, second, ..] = *bytes else { return Ok(None) };
        ensure!(first & 0x70 == 0, "WebSocket frame with reserved bits {:#04x}", first);
        let kind = match first & 15 {
            0 => Kind::Continuation,
            1 | 2 => Kind::Message,
            8 => Kind::Close,
            9 => Kind::Ping,
            10 => Kind::Pong,
            other => bail!("WebSocket frame of unknown kind {other}"),
        };
        ensure!((second & 0x80 != 0) == masked_wanted, "WebSocket frame masked by the wrong side");
        let (len, mut head) = match (second & 0x7f, bytes) {
            (126, [_, _, a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [_, _, a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10),
            (126 | 127, _) => return Ok(None),
            (len, _) => (u64::from(len), 2),
        };
        ensure!(len <= LONGEST, "WebSocket frame of {len} bytes");
        let mut mask = [0; 4];
        if masked_wanted {
            let Some(key) = bytes[head..].first_chunk::<4>() else { return Ok(None) };
            mask = *key;
            head += 4;
        }
        let end = head + len as usize;
        if bytes.len() < end {
            return Ok(None);
        }
        Ok(Some(Frame { kind, last: first & 0x80 != 0, mask, body: at + head..at + end }))
    }
}

fn parse_rawsocket(bytes: &[u8], at: usize) -> Result<Option<Frame>> {
    let Some(&[kind, a, b, c]) = bytes.first_chunk::<4>() else { return Ok(None) };
    let kind = match kind {
        0 => Kind::Message,
        1 => Kind::Ping,
        2 => Kind::Pong,
        other => bail!("RawSocket frame of unknown kind {other}"),
    };
    let end = 4 + u32::from_be_bytes([0, a, b, c]) as usize;
    Ok((bytes.len() >= end).then(|| Frame { kind, last: true, mask: [0; 4], body: at + 4..at + end }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: [(Framing, Framing); 3] = [
        (Framing::WebSocketClient { text: true }, Framing::WebSocketServer { text: true }),
        (Framing::WebSocketServer { text: false }, Framing::WebSocketClient { text: false }),
        (Framing::RawSocket, Framing::RawSocket),
    ];

    #[test]
    fn what_one_side_writes_the_other_reads() {
        for (writer, reader) in PAIRS {
            for len in [0, 1, 125, 126, 127, 65535, 65536, 100_000] {
                let body = vec![b'z'; len];
                for kind in [Kind::Message, Kind::Ping, Kind::Pong] {
                    let mut buffer = b"abc".to_vec();
                    writer.put(&mut buffer, kind, &body);
                    let end = buffer.len();
                    buffer.extend_from_slice(b"next");
                    let frame = reader.parse(&buffer, 3).expect("valid").expect("complete");
                    assert_eq!((frame.kind, frame.last, frame.mask), (kind, true, [0; 4]));
                    assert_eq!(frame.body, end - len..end);
                    for cut in [4, 5, 8, end - 1] {
                        let cut = cut.min(end - 1);
                        assert_eq!(reader.parse(&buffer[..cut], 3).expect("valid"), None, "{writer:?} {len} {cut}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_mask_bit_is_set_by_clients_only() {
        for (framing, expected) in [(PAIRS[0].0, 0x81), (PAIRS[1].0, 0x01)] {
            let mut buffer = Vec::new();
            framing.put(&mut buffer, Kind::Message, b"x");
            assert_eq!(buffer[1], expected);
            assert!(framing.parse(&buffer, 0).is_err(), "its own frames are the wrong side's");
        }
    }

    #[test]
    fn bad_frames_are_errors() {
        let client = Framing::WebSocketClient { text: true };
        assert!(client.parse(&[0xc1, 0], 0).is_err());
        assert!(client.parse(&[0x83, 0], 0).is_err());
        assert!(client.parse(&[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0], 0).is_err());
        assert!(Framing::RawSocket.parse(&[3, 0, 0, 0], 0).is_err());
    }
}
