//! JSON (RFC 8259), with byte strings as the specification's convention has them: U+0000 and base64 in a string.

use super::DecodeError;
use super::elements::{Element, Elements, Kind, List, dict_or_map, push};
use super::fields::Item;
use super::transcode::Unsayable;
use crate::wamp::{Serializer, Value};
use data_encoding::BASE64;
use memchr::memchr2;
use std::borrow::Cow;

/// Scans a message: every octet is checked, so that whatever passes can be read by any JSON parser, and transcoded.
pub(super) fn scan(bytes: &[u8], depth: u16) -> Result<Elements<'_>, DecodeError> {
    // All structure is ASCII: one pass over the whole settles UTF-8 for the rest.
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(DecodeError::new(format!("JSON: octet {} is not UTF-8", error.valid_up_to())));
    }
    let mut scanner = Scanner { bytes, at: 0, depth_left: depth };
    scanner.space();
    match scanner.peek() {
        Some(b'[') => {}
        Some(_) => return Err(DecodeError::new("JSON: a message must be a list")),
        None => return Err(scanner.error("unexpected end")),
    }
    scanner.enter()?;
    let mut list = List::new();
    scanner.space();
    if scanner.peek() == Some(b']') {
        scanner.at += 1;
    } else {
        loop {
            scanner.space();
            let start = scanner.at;
            let kind = scanner.value()?;
            push(&mut list, Element { kind, start, end: scanner.at })?;
            scanner.space();
            match scanner.next() {
                Some(b',') => {}
                Some(b']') => break,
                _ => return Err(scanner.error("expected , or ]")),
            }
        }
    }
    let end = scanner.at;
    scanner.space();
    if scanner.at < bytes.len() {
        return Err(scanner.error("more octets than one value"));
    }
    Ok(Elements { serializer: Serializer::Json, bytes, list, end: Some(end) })
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth_left: u16,
}

impl Scanner<'_> {
    fn error(&self, what: &str) -> DecodeError {
        DecodeError::new(format!("JSON: {what} near octet {}", self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let octet = self.peek();
        self.at += usize::from(octet.is_some());
        octet
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn enter(&mut self) -> Result<(), DecodeError> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or_else(|| self.error("nested too deeply"))?;
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<Kind, DecodeError> {
        match self.peek() {
            Some(b'"') => self.string().map(|()| Kind::Str),
            Some(b'{') => self.dict().map(|()| Kind::Dict),
            Some(b'[') => self.list().map(|()| Kind::List),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Kind::Bool),
            Some(b'f') => self.word(b"false", Kind::Bool),
            Some(b'n') => self.word(b"null", Kind::Null),
            Some(_) => Err(self.error("unexpected character")),
            None => Err(self.error("unexpected end")),
        }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, DecodeError> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.error("unexpected character"));
        }
        self.at += word.len();
        Ok(kind)
    }

    fn list(&mut self) -> Result<(), DecodeError> {
        self.enter()?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                self.space();
                self.value()?;
                self.space();
                match self.next() {
                    Some(b',') => {}
                    Some(b']') => break,
                    _ => return Err(self.error("expected , or ]")),
                }
            }
        }
        self.depth_left += 1;
        Ok(())
    }

    fn dict(&mut self) -> Result<(), DecodeError> {
        self.enter()?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                self.space();
                if self.peek() != Some(b'"') {
                    return Err(self.error("expected a key"));
                }
                self.string()?;
                self.space();
                if self.next() != Some(b':') {
                    return Err(self.error("expected :"));
                }
                self.space();
                self.value()?;
                self.space();
                match self.next() {
                    Some(b',') => {}
                    Some(b'}') => break,
                    _ => return Err(self.error("expected , or }")),
                }
            }
        }
        self.depth_left += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), DecodeError> {
        self.at += 1;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(length) = memchr2(b'"', b'\\', rest) else { return Err(self.error("a string has no end")) };
            // The least octet, since the compiler finds that many at a time.
            if rest[..length].iter().fold(u8::MAX, |least, octet| least.min(*octet)) < 0x20 {
                return Err(self.error("a string has a control character"));
            }
            self.at += length + 1;
            if rest[length] == b'"' {
                return Ok(());
            }
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Result<(), DecodeError> {
        match self.next() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => match self.hex()? {
                0xdc00..=0xdfff => Err(self.error("a low surrogate stands alone")),
                0xd800..=0xdbff => {
                    let pair = self.next() == Some(b'\\') && self.next() == Some(b'u');
                    if pair && matches!(self.hex()?, 0xdc00..=0xdfff) {
                        Ok(())
                    } else {
                        Err(self.error("a high surrogate stands alone"))
                    }
                }
                _ => Ok(()),
            },
            _ => Err(self.error("unknown escape")),
        }
    }

    fn hex(&mut self) -> Result<u16, DecodeError> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or_else(|| self.error("unexpected end"))?;
        let value = hex4(digits).ok_or_else(|| self.error("\\u needs four hexadecimal digits"))?;
        self.at += 4;
        Ok(value)
    }

    /// Passes one digit or more; gives what they stand for, if that is at most [`u64::MAX`].
    fn digits(&mut self) -> Result<Option<u64>, DecodeError> {
        let start = self.at;
        let mut value = Some(0_u64);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.and_then(|value| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
            self.at += 1;
        }
        if self.at == start { Err(self.error("expected a digit")) } else { Ok(value) }
    }

    fn number(&mut self) -> Result<Kind, DecodeError> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let whole = if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.error("a number begins with 0"));
            }
            Some(0)
        } else {
            self.digits()?
        };
        let mut float = false;
        if self.peek() == Some(b'.') {
            float = true;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            float = true;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        match whole {
            Some(value) if !float && !negative => return Ok(Kind::Uint(value)),
            Some(value) if !float && value <= i64::MIN.unsigned_abs() => return Ok(Kind::Negative),
            _ => {}
        }
        // Integers beyond 64 bits as well: JavaScript writes floats up to 1e21 in this way.
        let finite = ascii(&self.bytes[start..self.at]).parse::<f64>().is_ok_and(f64::is_finite);
        if finite { Ok(Kind::Float) } else { Err(self.error("a number is out of range")) }
    }
}

fn ascii(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap_or_default()
}

fn hex4(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | u16::try_from(digit).ok()?)
    })
}

/// The text of a scanned string, quotes included.
pub(super) fn text(octets: &[u8]) -> Result<Cow<'_, str>, DecodeError> {
    let inner = std::str::from_utf8(&octets[1..octets.len() - 1]).map_err(|_| DecodeError::new("JSON: not UTF-8"))?;
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else { return Ok(Cow::Borrowed(inner)) };
    let mut out = String::with_capacity(inner.len());
    let (plain, mut rest) = inner.split_at(first);
    out.push_str(plain);
    while !rest.is_empty() {
        let mut chars = rest[1..].chars();
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let unit = |at: usize| rest.as_bytes().get(at..at + 4).and_then(hex4);
                let units = [unit(2), unit(8)].into_iter().flatten();
                let Some(Ok(scalar)) = char::decode_utf16(units).next() else {
                    return Err(DecodeError::new("JSON: a surrogate stands alone"));
                };
                out.push(scalar);
                chars = rest[if scalar.len_utf16() == 2 { 12 } else { 6 }..].chars();
            }
            Some(other) => out.push(other),
            None => break,
        }
        rest = chars.as_str();
        let plain = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        out.push_str(&rest[..plain]);
        rest = &rest[plain..];
    }
    Ok(Cow::Owned(out))
}

/// Reads a text that holds one value of any kind; lists and dictionaries may be nested `depth` levels.
pub(super) fn document(bytes: &[u8], depth: u16) -> Result<Value, DecodeError> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(DecodeError::new(format!("JSON: octet {} is not UTF-8", error.valid_up_to())));
    }
    let mut scanner = Scanner { bytes, at: 0, depth_left: depth };
    scanner.space();
    scanner.value()?;
    scanner.space();
    if scanner.at < bytes.len() {
        return Err(scanner.error("more octets than one value"));
    }
    read(bytes)
}

/// Reads one scanned value.
pub(super) fn read(octets: &[u8]) -> Result<Value, DecodeError> {
    let mut reader = Scanner { bytes: octets, at: 0, depth_left: u16::MAX };
    reader.read()
}

impl Scanner<'_> {
    /// Builds what [`Scanner::value`] only checks. The octets have been scanned before, so the depth is bounded.
    fn read(&mut self) -> Result<Value, DecodeError> {
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'[') => {
                let mut list = Vec::new();
                self.at += 1;
                while !self.closed(b']') {
                    list.push(self.read()?);
                }
                Ok(Value::List(list))
            }
            Some(b'{') => {
                let mut pairs = Vec::new();
                self.at += 1;
                while !self.closed(b'}') {
                    let start = self.at;
                    self.string()?;
                    let key = text(&self.bytes[start..self.at])?.into();
                    self.space();
                    self.at += 1;
                    pairs.push((Value::Str(key), self.read()?));
                }
                Ok(dict_or_map(pairs))
            }
            _ => {
                let kind = self.value()?;
                scalar(kind, &self.bytes[start..self.at])
            }
        }
    }

    /// Passes what stands between the values of a list or dictionary.
    fn closed(&mut self, end: u8) -> bool {
        self.space();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.space();
        }
        let closed = self.peek().is_none_or(|octet| octet == end);
        self.at += usize::from(closed);
        closed
    }
}

/// The octets that a text stands for, if it does.
pub(super) fn binary(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.strip_prefix('\0')?.as_bytes()).ok()
}

fn scalar(kind: Kind, octets: &[u8]) -> Result<Value, DecodeError> {
    let number = ascii(octets);
    Ok(match kind {
        Kind::Null => Value::Null,
        Kind::Bool => Value::Bool(octets == b"true"),
        Kind::Uint(value) => Value::from(value),
        Kind::Negative => Value::Int(number.parse().map_err(|_| DecodeError::new("JSON: integer out of range"))?),
        Kind::Float => Value::Float(number.parse().map_err(|_| DecodeError::new("JSON: number out of range"))?),
        _ => {
            let text = text(octets)?;
            match binary(&text) {
                Some(binary) => Value::Bin(binary.into()),
                None => Value::Str(text.into()),
            }
        }
    })
}

/// Writes the elements of a message; with `more`, the rest of the list has to follow.
pub(super) fn write_head(items: &[Item<'_>], more: bool, out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match item {
            Item::Uint(value) => write_uint(*value, out),
            Item::Str(text) => write_str(text, out),
            Item::Dict(dict) if dict.is_empty() => out.extend_from_slice(b"{}"),
            Item::Dict(dict) => {
                out.push(b'{');
                for (at, (key, value)) in dict.iter().enumerate() {
                    write_key(at, key, out);
                    // Options and details that a peer sent in another serialization may hold a float that JSON has
                    // not; only known keys are sent on, so this writes null for what nobody can see.
                    let start = out.len();
                    if write(value, out).is_err() {
                        out.truncate(start);
                        out.extend_from_slice(b"null");
                    }
                }
                out.push(b'}');
            }
        }
    }
    out.push(if more { b',' } else { b']' });
}

fn write_key(at: usize, key: &str, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
    write_str(key, out);
    out.push(b':');
}

fn write_uint(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn write_str(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (at, octet) in text.bytes().enumerate() {
        let escape: &[u8] = match octet {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x00..=0x1f => b"",
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + 1;
        if escape.is_empty() {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]]);
        } else {
            out.extend_from_slice(escape);
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

/// Writes a value.
pub(super) fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), Unsayable> {
    match value {
        Value::Null | Value::Undefined => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Int(value) => out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes()),
        Value::UInt(value) => write_uint(*value, out),
        Value::Float(value) if value.is_finite() => {
            out.extend_from_slice(zmij::Buffer::new().format_finite(*value).as_bytes());
        }
        Value::Float(value) => return Err(Unsayable(format!("JSON has no number {value}"))),
        Value::Str(text) if binary(text).is_some() => {
            return Err(Unsayable("JSON would take a text of U+0000 and base64 for binary".into()));
        }
        Value::Str(text) => write_str(text, out),
        Value::Bin(octets) => {
            out.extend_from_slice(b"\"\\u0000");
            out.extend_from_slice(BASE64.encode(octets).as_bytes());
            out.push(b'"');
        }
        Value::List(list) => {
            out.push(b'[');
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(value, out)?;
            }
            out.push(b']');
        }
        Value::Dict(dict) => {
            out.push(b'{');
            for (at, (key, value)) in dict.iter().enumerate() {
                write_key(at, key, out);
                write(value, out)?;
            }
            out.push(b'}');
        }
        Value::Map(_) => return Err(Unsayable("JSON has no keys other than strings".into())),
    }
    Ok(())
}

/// How many octets the first value has.
pub(super) fn first_value(octets: &[u8]) -> Result<usize, DecodeError> {
    let mut scanner = Scanner { bytes: octets, at: 0, depth_left: u16::MAX };
    scanner.value()?;
    Ok(scanner.at)
}
