//! MessagePack, version 5.

use super::DecodeError;
use super::elements::{Element, Elements, Kind, List, dict_or_map, push};
use super::fields::Item;
use super::transcode::Unsayable;
use crate::wamp::{Serializer, Value};
use std::borrow::Cow;

/// Scans a message: every octet is checked.
pub(super) fn scan(bytes: &[u8], depth: u16) -> Result<Elements<'_>, DecodeError> {
    let mut scanner = Scanner { bytes, at: 0, depth_left: depth };
    let Token::List(count) = scanner.token()? else {
        return Err(DecodeError::new("MessagePack: a message must be a list"));
    };
    scanner.enter()?;
    let mut list = List::new();
    for _ in 0..count {
        let start = scanner.at;
        let kind = scanner.value()?;
        push(&mut list, Element { kind, start, end: scanner.at })?;
    }
    if scanner.at < bytes.len() {
        return Err(scanner.error("more octets than one value"));
    }
    Ok(Elements { serializer: Serializer::MsgPack, bytes, list, end: Some(scanner.at) })
}

/// The beginning of a value.
#[derive(Clone, Copy, Debug)]
enum Token<'a> {
    Nil,
    Bool(bool),
    Uint(u64),
    Int(i64),
    Float(f64),
    Str(&'a str),
    Bin(&'a [u8]),
    List(u32),
    Map(u32),
    Ext(u8, &'a [u8]),
}

impl Token<'_> {
    fn kind(self) -> Kind {
        match self {
            Token::Nil => Kind::Null,
            Token::Bool(_) => Kind::Bool,
            Token::Uint(value) => Kind::Uint(value),
            Token::Int(value) => u64::try_from(value).map_or(Kind::Negative, Kind::Uint),
            Token::Float(_) => Kind::Float,
            Token::Str(_) => Kind::Str,
            Token::Bin(_) => Kind::Bin,
            Token::List(_) => Kind::List,
            Token::Map(_) => Kind::Dict,
            Token::Ext(..) if self.is_undefined() => Kind::Undefined,
            Token::Ext(..) => Kind::Other,
        }
    }

    /// What JavaScript libraries write for `undefined`: extension type 0 with one octet 0 (or none).
    fn is_undefined(self) -> bool {
        matches!(self, Token::Ext(0, [0] | []))
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth_left: u16,
}

impl<'a> Scanner<'a> {
    fn error(&self, what: &str) -> DecodeError {
        DecodeError::new(format!("MessagePack: {what} near octet {}", self.at))
    }

    fn enter(&mut self) -> Result<(), DecodeError> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or_else(|| self.error("nested too deeply"))?;
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.error("unexpected end"))?;
        let octets = &self.bytes[self.at..end];
        self.at = end;
        Ok(octets)
    }

    fn uint(&mut self, octets: usize) -> Result<u64, DecodeError> {
        Ok(self.take(octets)?.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
    }

    fn length(&mut self, octets: usize) -> Result<u32, DecodeError> {
        let length = self.uint(octets)?;
        u32::try_from(length).map_err(|_| self.error("a length is out of range"))
    }

    fn str(&mut self, length: u32) -> Result<Token<'a>, DecodeError> {
        let octets = self.take(length as usize)?;
        let text = std::str::from_utf8(octets).map_err(|_| self.error("a string is not UTF-8"))?;
        Ok(Token::Str(text))
    }

    fn ext(&mut self, length: u32) -> Result<Token<'a>, DecodeError> {
        let code = self.take(1)?[0];
        Ok(Token::Ext(code, self.take(length as usize)?))
    }

    fn token(&mut self) -> Result<Token<'a>, DecodeError> {
        let marker = self.take(1)?[0];
        Ok(match marker {
            0x00..=0x7f => Token::Uint(u64::from(marker)),
            0x80..=0x8f => Token::Map(u32::from(marker & 0x0f)),
            0x90..=0x9f => Token::List(u32::from(marker & 0x0f)),
            0xa0..=0xbf => self.str(u32::from(marker & 0x1f))?,
            0xc0 => Token::Nil,
            0xc1 => return Err(self.error("the octet c1 is never used")),
            0xc2 | 0xc3 => Token::Bool(marker == 0xc3),
            0xc4..=0xc6 => {
                let length = self.length(1 << (marker - 0xc4))?;
                Token::Bin(self.take(length as usize)?)
            }
            0xc7..=0xc9 => {
                let length = self.length(1 << (marker - 0xc7))?;
                self.ext(length)?
            }
            0xca => {
                let bits = u32::try_from(self.uint(4)?).unwrap_or_default();
                Token::Float(f64::from(f32::from_bits(bits)))
            }
            0xcb => Token::Float(f64::from_bits(self.uint(8)?)),
            0xcc..=0xcf => Token::Uint(self.uint(1 << (marker - 0xcc))?),
            0xd0..=0xd3 => {
                let octets = 1 << (marker - 0xd0);
                let value = self.uint(octets)?;
                let shift = 64 - 8 * u32::try_from(octets).unwrap_or(8);
                Token::Int((value << shift).cast_signed() >> shift)
            }
            0xd4..=0xd8 => self.ext(1 << (marker - 0xd4))?,
            0xd9..=0xdb => {
                let length = self.length(1 << (marker - 0xd9))?;
                self.str(length)?
            }
            0xdc | 0xdd => Token::List(self.length(2 << (marker - 0xdc))?),
            0xde | 0xdf => Token::Map(self.length(2 << (marker - 0xde))?),
            0xe0..=0xff => Token::Int(i64::from(marker.cast_signed())),
        })
    }

    /// Passes one value.
    fn value(&mut self) -> Result<Kind, DecodeError> {
        let token = self.token()?;
        let values = match token {
            Token::List(count) => u64::from(count),
            Token::Map(count) => 2 * u64::from(count),
            _ => return Ok(token.kind()),
        };
        self.enter()?;
        for _ in 0..values {
            self.value()?;
        }
        self.depth_left += 1;
        Ok(token.kind())
    }

    fn read(&mut self) -> Result<Value, DecodeError> {
        let token = self.token()?;
        Ok(match token {
            Token::Nil => Value::Null,
            Token::Bool(value) => Value::Bool(value),
            Token::Uint(value) => Value::from(value),
            Token::Int(value) => Value::Int(value),
            Token::Float(value) => Value::Float(value),
            Token::Str(text) => Value::from(text),
            Token::Bin(octets) => Value::Bin(octets.into()),
            // Capacity grows with what is really there, not with what was announced.
            Token::List(count) => Value::List((0..count).map(|_| self.read()).collect::<Result<_, _>>()?),
            Token::Map(count) => {
                let pairs = (0..count).map(|_| Ok((self.read()?, self.read()?))).collect::<Result<_, DecodeError>>()?;
                dict_or_map(pairs)
            }
            Token::Ext(..) if token.is_undefined() => Value::Undefined,
            Token::Ext(code, _) => {
                return Err(self.error(&format!("extension type {} is not known", code.cast_signed())));
            }
        })
    }
}

/// The text of a scanned string.
pub(super) fn text(octets: &[u8]) -> Result<Cow<'_, str>, DecodeError> {
    match (Scanner { bytes: octets, at: 0, depth_left: 0 }).token()? {
        Token::Str(text) => Ok(Cow::Borrowed(text)),
        _ => Err(DecodeError::new("MessagePack: not a string")),
    }
}

/// Reads one scanned value.
pub(super) fn read(octets: &[u8]) -> Result<Value, DecodeError> {
    Scanner { bytes: octets, at: 0, depth_left: 0 }.read()
}

/// How many octets the first value has.
pub(super) fn first_value(octets: &[u8]) -> Result<usize, DecodeError> {
    let mut scanner = Scanner { bytes: octets, at: 0, depth_left: u16::MAX };
    scanner.value()?;
    Ok(scanner.at)
}

/// True if every key of a scanned map is text.
pub(super) fn has_text_keys(octets: &[u8]) -> Result<bool, DecodeError> {
    let mut scanner = Scanner { bytes: octets, at: 0, depth_left: u16::MAX };
    let Token::Map(count) = scanner.token()? else { return Ok(false) };
    for _ in 0..count {
        if scanner.value()? != Kind::Str {
            return Ok(false);
        }
        scanner.value()?;
    }
    Ok(true)
}

/// Writes the elements of a message, of which `more` have to follow.
pub(super) fn write_head(items: &[Item<'_>], more: usize, out: &mut Vec<u8>) {
    write_list(items.len() + more, out);
    for item in items {
        match item {
            Item::Uint(value) => write_uint(*value, out),
            Item::Str(text) => write_str(text, out),
            Item::Dict(dict) => {
                write_map(dict.len(), out);
                for (key, value) in dict.iter() {
                    write_str(key, out);
                    // There is nothing that a value can be and MessagePack cannot say.
                    let _ = write(value, out);
                }
            }
        }
    }
}

/// A marker and a length in the fewest octets of 1, 2 and 4.
fn write_length(markers: [Option<u8>; 3], length: usize, out: &mut Vec<u8>) {
    // Nothing in memory here is as long as 2^32: a message has a limit.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    match (markers, u8::try_from(length), u16::try_from(length)) {
        ([Some(marker), ..], Ok(short), _) => out.extend_from_slice(&[marker, short]),
        ([_, Some(marker), _], _, Ok(middle)) => {
            out.push(marker);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        ([.., marker], ..) => {
            out.extend(marker);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

fn write_short(fixed: u8, short_max: usize, markers: [Option<u8>; 3], length: usize, out: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(short) if length <= short_max => out.push(fixed | short),
        _ => write_length(markers, length, out),
    }
}

fn write_list(count: usize, out: &mut Vec<u8>) {
    write_short(0x90, 15, [None, Some(0xdc), Some(0xdd)], count, out);
}

fn write_map(count: usize, out: &mut Vec<u8>) {
    write_short(0x80, 15, [None, Some(0xde), Some(0xdf)], count, out);
}

fn write_str(text: &str, out: &mut Vec<u8>) {
    write_short(0xa0, 31, [Some(0xd9), Some(0xda), Some(0xdb)], text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn write_uint(value: u64, out: &mut Vec<u8>) {
    let octets = value.to_be_bytes();
    match value {
        0..=0x7f => out.push(octets[7]),
        0x80..=0xff => out.extend_from_slice(&[0xcc, octets[7]]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&octets[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&octets[4..]);
        }
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&octets);
        }
    }
}

fn write_int(value: i64, out: &mut Vec<u8>) {
    let octets = value.to_be_bytes();
    match value {
        0.. => write_uint(value.unsigned_abs(), out),
        -32..=-1 => out.push(octets[7]),
        -0x80..=-33 => out.extend_from_slice(&[0xd0, octets[7]]),
        -0x8000..=-0x81 => {
            out.push(0xd1);
            out.extend_from_slice(&octets[6..]);
        }
        -0x8000_0000..=-0x8001 => {
            out.push(0xd2);
            out.extend_from_slice(&octets[4..]);
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&octets);
        }
    }
}

/// Writes a value.
pub(super) fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), Unsayable> {
    match value {
        // The extension that some libraries write for undefined is a riddle to all others.
        Value::Null | Value::Undefined => out.push(0xc0),
        Value::Bool(value) => out.push(0xc2 | u8::from(*value)),
        Value::Int(value) => write_int(*value, out),
        Value::UInt(value) => write_uint(*value, out),
        Value::Float(value) => {
            out.push(0xcb);
            out.extend_from_slice(&value.to_be_bytes());
        }
        Value::Str(text) => write_str(text, out),
        Value::Bin(octets) => {
            write_length([Some(0xc4), Some(0xc5), Some(0xc6)], octets.len(), out);
            out.extend_from_slice(octets);
        }
        Value::List(list) => {
            write_list(list.len(), out);
            list.iter().try_for_each(|value| write(value, out))?;
        }
        Value::Dict(dict) => {
            write_map(dict.len(), out);
            for (key, value) in dict.iter() {
                write_str(key, out);
                write(value, out)?;
            }
        }
        Value::Map(pairs) => {
            write_map(pairs.len(), out);
            for (key, value) in pairs {
                write(key, out)?;
                write(value, out)?;
            }
        }
    }
    Ok(())
}
