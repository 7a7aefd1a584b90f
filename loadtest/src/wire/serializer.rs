//! The serializers of WAMP: whole messages for the setup, and the few leading numbers for the hot path.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::ubjson;

/// How messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Serializer {
    #[default]
    Json,
    Msgpack,
    Cbor,
    Ubjson,
}

/// The numbers that a message begins with; 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Message type.
    pub(crate) kind: u64,
    /// Second element, a request or subscription id.
    pub(crate) first: u64,
    /// Third element, where it is an id.
    pub(crate) second: u64,
}

impl Serializer {
    /// Every serializer.
    pub(crate) const ALL: [Self; 4] = [Self::Json, Self::Msgpack, Self::Cbor, Self::Ubjson];

    /// WebSocket subprotocol.
    pub(crate) fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "wamp.2.json",
            Self::Msgpack => "wamp.2.msgpack",
            Self::Cbor => "wamp.2.cbor",
            Self::Ubjson => "wamp.2.ubjson",
        }
    }

    /// The serializer of a WebSocket subprotocol.
    pub(crate) fn from_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|serializer| serializer.subprotocol() == name)
    }

    /// Number in the RawSocket handshake.
    pub(crate) fn rawsocket_id(self) -> u8 {
        match self {
            Self::Json => 1,
            Self::Msgpack => 2,
            Self::Cbor => 3,
            Self::Ubjson => 4,
        }
    }

    /// The serializer of a RawSocket handshake.
    pub(crate) fn from_rawsocket_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|serializer| serializer.rawsocket_id() == id)
    }

    /// Appends a value.
    pub(crate) fn put(self, out: &mut Vec<u8>, value: &Value) {
        const WHY: &str = "a JSON tree can be written in every serializer, and a Vec takes every write";
        match self {
            Self::Json => serde_json::to_writer(out, value).expect(WHY),
            Self::Msgpack => rmp_serde::encode::write(out, value).expect(WHY),
            Self::Cbor => ciborium::into_writer(value, out).expect(WHY),
            Self::Ubjson => ubjson::put(out, value),
        }
    }

    /// Writes a message.
    pub(crate) fn encode(self, value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out, value);
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// If the bytes are not one value of this serializer that JSON could say too.
    pub(crate) fn decode(self, bytes: &[u8]) -> Result<Value> {
        match self {
            Self::Json => serde_json::from_slice(bytes).context("broken JSON message"),
            Self::Msgpack => rmp_serde::from_slice(bytes).context("broken MessagePack message"),
            Self::Cbor => ciborium::from_reader(bytes).context("broken CBOR message"),
            Self::Ubjson => ubjson::decode(bytes).context("broken UBJSON message"),
        }
    }

    /// Appends the start of a list of `len` elements (at most 15).
    pub(crate) fn put_list_head(self, out: &mut Vec<u8>, len: u8) {
        out.push(match self {
            Self::Json | Self::Ubjson => b'[',
            Self::Msgpack => 0x90 | len,
            Self::Cbor => 0x80 | len,
        });
    }

    /// Appends a number in its shortest form.
    pub(crate) fn put_number(self, out: &mut Vec<u8>, number: u64) {
        match self {
            Self::Json => {
                let mut digits = [0u8; 20];
                let mut at = digits.len();
                let mut rest = number;
                loop {
                    at -= 1;
                    digits[at] = b'0' + (rest % 10) as u8;
                    rest /= 10;
                    if rest == 0 {
                        break;
                    }
                }
                out.extend_from_slice(&digits[at..]);
            }
            Self::Ubjson => ubjson::put_number(out, number),
            Self::Msgpack if number < 0x80 => out.push(number as u8),
            Self::Cbor if number < 24 => out.push(number as u8),
            Self::Msgpack | Self::Cbor => {
                let first = if self == Self::Msgpack { 0xcc } else { 0x18 };
                let size = match number {
                    0..=0xff => 0,
                    0x100..=0xffff => 1,
                    0x1_0000..=0xffff_ffff => 2,
                    _ => 3,
                };
                out.push(first + size);
                out.extend_from_slice(&number.to_be_bytes()[8 - (1 << size)..]);
            }
        }
    }

    /// True if the options in the head of a message say `progress: true`.
    pub(crate) fn is_progress(self, head: &[u8]) -> bool {
        const KEY: &[u8] = b"progress";
        let Some(start) = memchr::memmem::find(head, KEY) else { return false };
        let rest = &head[start + KEY.len()..];
        let value = match self {
            Self::Json => rest.iter().find(|byte| !matches!(byte, b'"' | b':' | b' ' | b'\t' | b'\r' | b'\n')),
            _ => rest.first(),
        };
        let yes = match self {
            Self::Json => b't',
            Self::Msgpack => 0xc3,
            Self::Cbor => 0xf5,
            Self::Ubjson => b'T',
        };
        value == Some(&yes)
    }

    /// Reads the type of a message and up to two ids after it, and nothing else.
    pub(crate) fn head(self, message: &[u8]) -> Option<Head> {
        let mut reader = Reader { bytes: message };
        let next: fn(&mut Reader<'_>) -> Option<u64> = match self {
            Self::Json => {
                reader.skip_space();
                (reader.byte()? == b'[').then_some(())?;
                |reader| reader.json_number()
            }
            Self::Msgpack => {
                match reader.byte()? {
                    0x90..=0x9f => {}
                    0xdc => drop(reader.take(2)?),
                    _ => return None,
                }
                |reader| reader.msgpack_number()
            }
            Self::Cbor => {
                match reader.byte()? {
                    0x80..=0x97 | 0x9f => {}
                    0x98 => drop(reader.take(1)?),
                    _ => return None,
                }
                |reader| reader.cbor_number()
            }
            Self::Ubjson => {
                (reader.byte()? == b'[').then_some(())?;
                if reader.bytes.first() == Some(&b'#') {
                    reader.take(1)?;
                    reader.ubjson_number()?;
                }
                |reader| reader.ubjson_number()
            }
        };
        let kind = next(&mut reader)?;
        let first = next(&mut reader).unwrap_or(0);
        let second = next(&mut reader).unwrap_or(0);
        Some(Head { kind, first, second })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// The next `len` bytes (at most 8) as a big-endian number.
    fn take(&mut self, len: usize) -> Option<u64> {
        let (number, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(number.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn skip_space(&mut self) {
        self.bytes = self.bytes.trim_ascii_start();
    }

    /// A number and the comma after it.
    fn json_number(&mut self) -> Option<u64> {
        self.skip_space();
        let digits = self.bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 19 {
            return None;
        }
        let number = self.bytes[..digits].iter().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'));
        self.bytes = &self.bytes[digits..];
        self.skip_space();
        if self.bytes.first() == Some(&b',') {
            self.bytes = &self.bytes[1..];
        }
        Some(number)
    }

    fn msgpack_number(&mut self) -> Option<u64> {
        match self.byte()? {
            small @ 0..=0x7f => Some(u64::from(small)),
            0xcc | 0xd0 => self.take(1),
            0xcd | 0xd1 => self.take(2),
            0xce | 0xd2 => self.take(4),
            0xcf | 0xd3 => self.take(8),
            _ => None,
        }
    }

    fn cbor_number(&mut self) -> Option<u64> {
        match self.byte()? {
            small @ 0..=23 => Some(u64::from(small)),
            0x18 => self.take(1),
            0x19 => self.take(2),
            0x1a => self.take(4),
            0x1b => self.take(8),
            _ => None,
        }
    }

    fn ubjson_number(&mut self) -> Option<u64> {
        let len = ubjson::integer_len(self.byte()?)?;
        self.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_head_of_a_message_is_read_as_the_whole_would_be() {
        for number in [0, 1, 23, 24, 127, 128, 255, 256, 65535, 65536, 1 << 32, (1 << 53) - 1] {
            for serializer in Serializer::ALL {
                let message = serializer.encode(&json!([36, number, number + 1, {}, ["x"]]));
                let head = Head { kind: 36, first: number, second: number + 1 };
                assert_eq!(serializer.head(&message), Some(head), "{serializer:?} {number}");
                let message = serializer.encode(&json!([50, number, {"a": 1}]));
                assert_eq!(serializer.head(&message), Some(Head { kind: 50, first: number, second: 0 }));
            }
        }
        let spaced = Serializer::Json.head(b" [ 36 , 5 , 6 , {} ]");
        assert_eq!(spaced, Some(Head { kind: 36, first: 5, second: 6 }));
    }

    #[test]
    fn numbers_are_written_as_the_libraries_write_them() {
        for number in [0, 9, 10, 23, 24, 127, 128, 255, 256, 65535, 65536, u64::from(u32::MAX), 1 << 40, u64::MAX] {
            for serializer in Serializer::ALL {
                let mut out = Vec::new();
                serializer.put_number(&mut out, number);
                assert_eq!(out, serializer.encode(&json!(number)), "{serializer:?} {number}");
            }
        }
    }

    #[test]
    fn progress_is_seen() {
        for serializer in Serializer::ALL {
            for (options, expected) in
                [(json!({"progress": true}), true), (json!({"progress": false}), false), (json!({}), false)]
            {
                let message = serializer.encode(&json!([50, 7, options, ["x"]]));
                assert_eq!(serializer.is_progress(&message), expected, "{serializer:?} {options}");
            }
        }
        assert!(Serializer::Json.is_progress(b"[50, 7, {\"progress\" : true }"));
    }

    #[test]
    fn broken_heads_are_none() {
        for serializer in Serializer::ALL {
            for bytes in [&b""[..], b"[", b"{}", b"\x93", b"\xff\xff", b"[\"a\"]", b"[99999999999999999999]"] {
                assert_eq!(serializer.head(bytes), None, "{serializer:?} {bytes:?}");
            }
        }
    }
}
