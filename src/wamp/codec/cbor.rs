//! CBOR, RFC 8949.

use super::DecodeError;
use super::elements::{Element, Elements, Kind, List, dict_or_map, push};
use super::fields::Item;
use super::transcode::Unsayable;
use crate::wamp::{Serializer, Value};
use std::borrow::Cow;

/// Scans a message: every octet is checked.
pub(super) fn scan(bytes: &[u8], depth: u16) -> Result<Elements<'_>, DecodeError> {
    let mut scanner = Scanner { bytes, at: 0, depth_left: depth };
    // Some libraries mark CBOR as such with the tag 55799.
    if bytes.starts_with(&[0xd9, 0xd9, 0xf7]) {
        scanner.at = 3;
    }
    let head = scanner.head()?;
    if head.major != LIST {
        return Err(DecodeError::new("CBOR: a message must be a list"));
    }
    scanner.enter()?;
    let mut list = List::new();
    let mut left = head.argument;
    while !scanner.over(&mut left)? {
        let start = scanner.at;
        let kind = scanner.value()?;
        push(&mut list, Element { kind, start, end: scanner.at })?;
    }
    if scanner.at < bytes.len() {
        return Err(scanner.error("more octets than one value"));
    }
    let end = list.last().map_or(scanner.at, |element| element.end);
    Ok(Elements { serializer: Serializer::Cbor, bytes, list, end: Some(end) })
}

const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// The octet that ends values of indefinite length.
const BREAK: u8 = 0xff;

/// The beginning of a value: its major type, the low bits of its first octet, and its argument, which is absent where
/// the length is indefinite.
#[derive(Clone, Copy, Debug)]
struct Head {
    major: u8,
    low: u8,
    argument: Option<u64>,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth_left: u16,
}

impl<'a> Scanner<'a> {
    fn error(&self, what: &str) -> DecodeError {
        DecodeError::new(format!("CBOR: {what} near octet {}", self.at))
    }

    fn enter(&mut self) -> Result<(), DecodeError> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or_else(|| self.error("nested too deeply"))?;
        Ok(())
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], DecodeError> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let end = end.filter(|end| *end <= self.bytes.len()).ok_or_else(|| self.error("unexpected end"))?;
        let octets = &self.bytes[self.at..end];
        self.at = end;
        Ok(octets)
    }

    fn head(&mut self) -> Result<Head, DecodeError> {
        let first = self.take(1)?[0];
        let (major, low) = (first >> 5, first & 0x1f);
        let argument = match low {
            0..=23 => Some(u64::from(low)),
            24..=27 => {
                let octets = self.take(1 << (low - 24))?;
                Some(octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
            }
            31 if matches!(major, BYTES | TEXT | LIST | MAP) => None,
            31 if major == 7 => return Err(self.error("an unexpected break")),
            _ => return Err(self.error("a reserved length")),
        };
        Ok(Head { major, low, argument })
    }

    /// True behind the last value of a list or map; counts down, or looks for the break.
    fn over(&mut self, left: &mut Option<u64>) -> Result<bool, DecodeError> {
        match left {
            Some(0) => Ok(true),
            Some(count) => {
                *count -= 1;
                Ok(false)
            }
            None => match self.bytes.get(self.at) {
                Some(&BREAK) => {
                    self.at += 1;
                    Ok(true)
                }
                Some(_) => Ok(false),
                None => Err(self.error("unexpected end")),
            },
        }
    }

    /// Passes the octets of a string, and gives them to `each` piece by piece.
    fn string(&mut self, head: Head, mut each: impl FnMut(&'a [u8])) -> Result<(), DecodeError> {
        let mut left = head.argument.map(|_| 1);
        while !self.over(&mut left)? {
            let chunk = if head.argument.is_some() { head } else { self.head()? };
            let length = chunk.argument.filter(|_| chunk.major == head.major);
            let length = length.ok_or_else(|| self.error("a chunk is not of the kind of its string"))?;
            let octets = self.take(length)?;
            if head.major == TEXT && std::str::from_utf8(octets).is_err() {
                return Err(self.error("a string is not UTF-8"));
            }
            each(octets);
        }
        Ok(())
    }

    /// Passes one value.
    fn value(&mut self) -> Result<Kind, DecodeError> {
        let head = self.head()?;
        match (head.major, head.argument) {
            (UINT, Some(value)) => Ok(Kind::Uint(value)),
            (NEGATIVE, _) => Ok(Kind::Negative),
            (BYTES, _) => self.string(head, |_| {}).map(|()| Kind::Bin),
            (TEXT, _) => self.string(head, |_| {}).map(|()| Kind::Str),
            (LIST, mut left) => {
                self.enter()?;
                while !self.over(&mut left)? {
                    self.value()?;
                }
                self.depth_left += 1;
                Ok(Kind::List)
            }
            (MAP, mut left) => {
                self.enter()?;
                while !self.over(&mut left)? {
                    self.value()?;
                    self.value()?;
                }
                self.depth_left += 1;
                Ok(Kind::Dict)
            }
            (TAG, _) => {
                self.enter()?;
                self.value()?;
                self.depth_left += 1;
                Ok(Kind::Other)
            }
            _ => self.simple(head),
        }
    }

    fn simple(&self, head: Head) -> Result<Kind, DecodeError> {
        match (head.low, head.argument) {
            (20 | 21, _) => Ok(Kind::Bool),
            (22, _) => Ok(Kind::Null),
            (23, _) => Ok(Kind::Undefined),
            (24, Some(value)) if value < 32 => Err(self.error("a simple value in too many octets")),
            (25..=27, _) => Ok(Kind::Float),
            _ => Ok(Kind::Other),
        }
    }

    fn read(&mut self) -> Result<Value, DecodeError> {
        let head = self.head()?;
        match (head.major, head.argument) {
            (UINT, Some(value)) => Ok(Value::from(value)),
            (NEGATIVE, Some(value)) => {
                let value = i64::try_from(value).map_err(|_| self.error("an integer is out of range"))?;
                Ok(Value::Int(-1 - value))
            }
            (BYTES | TEXT, _) => {
                let mut octets = Vec::new();
                self.string(head, |piece| octets.extend_from_slice(piece))?;
                if head.major == BYTES {
                    return Ok(Value::Bin(octets.into()));
                }
                let text = String::from_utf8(octets).map_err(|_| self.error("a string is not UTF-8"))?;
                Ok(Value::Str(text.into()))
            }
            (LIST, mut left) => {
                let mut list = Vec::new();
                while !self.over(&mut left)? {
                    list.push(self.read()?);
                }
                Ok(Value::List(list))
            }
            (MAP, mut left) => {
                let mut pairs = Vec::new();
                while !self.over(&mut left)? {
                    pairs.push((self.read()?, self.read()?));
                }
                Ok(dict_or_map(pairs))
            }
            (TAG, Some(tag)) => {
                let value = self.read()?;
                untag(tag, value).ok_or_else(|| self.error(&format!("the tag {tag} is not known")))
            }
            _ => self.read_simple(head),
        }
    }

    fn read_simple(&self, head: Head) -> Result<Value, DecodeError> {
        let argument = head.argument.unwrap_or_default();
        match head.low {
            20 | 21 => Ok(Value::Bool(head.low == 21)),
            22 => Ok(Value::Null),
            23 => Ok(Value::Undefined),
            25 => Ok(Value::Float(half(argument))),
            26 => Ok(Value::Float(f64::from(f32::from_bits(u32::try_from(argument).unwrap_or_default())))),
            27 => Ok(Value::Float(f64::from_bits(argument))),
            _ => Err(self.error(&format!("the simple value {argument} is not known"))),
        }
    }
}

/// A float of 16 bits.
fn half(bits: u64) -> f64 {
    let (sign, exponent) = (if bits & 0x8000 == 0 { 1.0 } else { -1.0 }, (bits >> 10) & 0x1f);
    let fraction = f64::from(u32::try_from(bits & 0x3ff).unwrap_or_default());
    let power = i32::try_from(exponent).unwrap_or_default();
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(power - 15),
    }
}

/// What a tagged value means where there are no tags: tags that only annotate are dropped, and integers that a tag
/// writes as octets are integers if they fit.
fn untag(tag: u64, value: Value) -> Option<Value> {
    match (tag, value) {
        (0 | 1 | 21..=36 | 55799, value) => Some(value),
        (2 | 3, Value::Bin(octets)) => {
            let significant = octets.iter().skip_while(|octet| **octet == 0);
            if significant.clone().count() > 8 {
                return None;
            }
            let number = significant.fold(0, |number, octet| number << 8 | u64::from(*octet));
            if tag == 2 { Some(Value::from(number)) } else { i64::try_from(number).ok().map(|n| Value::Int(-1 - n)) }
        }
        _ => None,
    }
}

/// The text of a scanned string.
pub(super) fn text(octets: &[u8]) -> Result<Cow<'_, str>, DecodeError> {
    match read(octets)? {
        Value::Str(text) => Ok(Cow::Owned(text.into())),
        _ => Err(DecodeError::new("CBOR: not a string")),
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
    let mut left = scanner.head()?.argument;
    while !scanner.over(&mut left)? {
        if scanner.value()? != Kind::Str {
            return Ok(false);
        }
        scanner.value()?;
    }
    Ok(true)
}

/// Writes the elements of a message, of which `more` have to follow.
pub(super) fn write_head(items: &[Item<'_>], more: usize, out: &mut Vec<u8>) {
    write_count(LIST, items.len() + more, out);
    for item in items {
        match item {
            Item::Uint(value) => write_argument(UINT, *value, out),
            Item::Str(text) => write_str(text, out),
            Item::Dict(dict) => {
                write_count(MAP, dict.len(), out);
                for (key, value) in dict.iter() {
                    write_str(key, out);
                    // There is nothing that a value can be and CBOR cannot say.
                    let _ = write(value, out);
                }
            }
        }
    }
}

fn write_argument(major: u8, argument: u64, out: &mut Vec<u8>) {
    let (major, octets) = (major << 5, argument.to_be_bytes());
    match argument {
        0..=23 => out.push(major | octets[7]),
        24..=0xff => out.extend_from_slice(&[major | 24, octets[7]]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&octets[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&octets[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&octets);
        }
    }
}

fn write_count(major: u8, count: usize, out: &mut Vec<u8>) {
    write_argument(major, count as u64, out);
}

fn write_str(text: &str, out: &mut Vec<u8>) {
    write_count(TEXT, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a value.
pub(super) fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), Unsayable> {
    match value {
        Value::Null => out.push(0xf6),
        Value::Undefined => out.push(0xf7),
        Value::Bool(value) => out.push(0xf4 | u8::from(*value)),
        Value::Int(value) if *value < 0 => write_argument(NEGATIVE, (-1 - value).unsigned_abs(), out),
        Value::Int(value) => write_argument(UINT, value.unsigned_abs(), out),
        Value::UInt(value) => write_argument(UINT, *value, out),
        Value::Float(value) => {
            out.push(0xfb);
            out.extend_from_slice(&value.to_be_bytes());
        }
        Value::Str(text) => write_str(text, out),
        Value::Bin(octets) => {
            write_count(BYTES, octets.len(), out);
            out.extend_from_slice(octets);
        }
        Value::List(list) => {
            write_count(LIST, list.len(), out);
            list.iter().try_for_each(|value| write(value, out))?;
        }
        Value::Dict(dict) => {
            write_count(MAP, dict.len(), out);
            for (key, value) in dict.iter() {
                write_str(key, out);
                write(value, out)?;
            }
        }
        Value::Map(pairs) => {
            write_count(MAP, pairs.len(), out);
            for (key, value) in pairs {
                write(key, out)?;
                write(value, out)?;
            }
        }
    }
    Ok(())
}
