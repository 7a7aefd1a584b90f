//! UBJSON, draft 12, with octets as a list of the type `U`.
//!
//! The message list is written without a count, so that here, as in JSON, the payload ends with the closing bracket
//! of the message.

use super::DecodeError;
use super::elements::{Element, Elements, Kind, List, push};
use super::fields::Item;
use super::transcode::Unsayable;
use crate::wamp::{Dict, Serializer, Value};
use std::borrow::Cow;

/// How many values a message may announce that take no octets: a list that states its type and count may hold any
/// number of nulls or truth values in ten octets.
const BARE_MAX: u64 = 4096;

/// More significant digits than any double has.
const DOUBLE_DIGITS_MAX: usize = 767;

/// Scans a message: every octet is checked.
pub(super) fn scan(bytes: &[u8], depth: u16) -> Result<Elements<'_>, DecodeError> {
    let mut scanner = Scanner { bytes, at: 0, depth_left: depth, bare_left: BARE_MAX };
    scanner.pass_noops();
    if scanner.take(1)? != b"[" {
        return Err(DecodeError::new("UBJSON: a message must be a list"));
    }
    scanner.enter()?;
    let mut content = scanner.content(b']')?;
    let closed = content.left.is_none();
    let mut list = List::new();
    while scanner.more(&mut content)? {
        let start = scanner.at;
        let kind = scanner.value(content.marker)?;
        push(&mut list, Element { kind, start, end: scanner.at })?;
    }
    let end = closed.then_some(scanner.at);
    scanner.pass_noops();
    if scanner.at < bytes.len() {
        return Err(scanner.error("more octets than one value"));
    }
    Ok(Elements { serializer: Serializer::Ubjson, bytes, list, end })
}

/// A value that is no container.
#[derive(Clone, Copy, Debug)]
enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'a str),
    /// A number of any precision, in the grammar of JSON.
    High(&'a str),
}

impl Scalar<'_> {
    fn kind(self) -> Kind {
        match self {
            Scalar::Null => Kind::Null,
            Scalar::Bool(_) => Kind::Bool,
            Scalar::Int(value) => u64::try_from(value).map_or(Kind::Negative, Kind::Uint),
            Scalar::Float(_) => Kind::Float,
            Scalar::Str(_) => Kind::Str,
            Scalar::High(text) => match (text.parse(), text.parse::<i64>()) {
                (Ok(value), _) => Kind::Uint(value),
                (_, Ok(_)) => Kind::Negative,
                _ => Kind::Float,
            },
        }
    }
}

/// What a list or dictionary announces about the values in it.
#[derive(Clone, Copy, Debug)]
struct Content {
    /// The octet that ends it if there is no count.
    close: u8,
    /// The type of all values, which then stand without their markers.
    marker: Option<u8>,
    /// How many values are to come.
    left: Option<u64>,
}

impl Content {
    /// How many octets the values of a list have together, where their type alone tells.
    fn octets(self) -> Option<u64> {
        let each = match self.marker? {
            b'Z' | b'T' | b'F' => 0,
            b'i' | b'U' => 1,
            b'I' => 2,
            b'l' | b'd' => 4,
            b'L' | b'D' => 8,
            _ => return None,
        };
        Some(self.left?.saturating_mul(each))
    }

    fn is_binary(self) -> bool {
        self.close == b']' && self.marker == Some(b'U')
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth_left: u16,
    bare_left: u64,
}

impl<'a> Scanner<'a> {
    /// For octets that have been scanned, so that nothing in them is unbounded.
    fn trusting(bytes: &'a [u8]) -> Scanner<'a> {
        Scanner { bytes, at: 0, depth_left: u16::MAX, bare_left: u64::MAX }
    }

    fn error(&self, what: &str) -> DecodeError {
        DecodeError::new(format!("UBJSON: {what} near octet {}", self.at))
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

    /// Passes this octet if it is the next one.
    fn pass(&mut self, octet: u8) -> bool {
        let there = self.bytes.get(self.at) == Some(&octet);
        self.at += usize::from(there);
        there
    }

    fn pass_noops(&mut self) {
        while self.pass(b'N') {}
    }

    /// The integer behind its marker; none if the marker is of another type.
    fn int(&mut self, marker: u8) -> Result<Option<i64>, DecodeError> {
        let octets = match marker {
            b'U' | b'i' => 1,
            b'I' => 2,
            b'l' => 4,
            b'L' => 8,
            _ => return Ok(None),
        };
        let value = self.take(octets)?.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
        let shift = if marker == b'U' { 0 } else { 64 - 8 * octets };
        Ok(Some((value << shift).cast_signed() >> shift))
    }

    fn length(&mut self) -> Result<u64, DecodeError> {
        let marker = self.take(1)?[0];
        let length = self.int(marker)?.ok_or_else(|| self.error("a length must be an integer"))?;
        u64::try_from(length).map_err(|_| self.error("a length is negative"))
    }

    fn str(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.length()?;
        let octets = self.take(length)?;
        std::str::from_utf8(octets).map_err(|_| self.error("a string is not UTF-8"))
    }

    fn scalar(&mut self, marker: u8) -> Result<Scalar<'a>, DecodeError> {
        if let Some(value) = self.int(marker)? {
            return Ok(Scalar::Int(value));
        }
        Ok(match marker {
            b'Z' => Scalar::Null,
            b'T' | b'F' => Scalar::Bool(marker == b'T'),
            b'd' => {
                let bits = self.take(4)?.iter().fold(0, |bits, octet| bits << 8 | u32::from(*octet));
                Scalar::Float(f64::from(f32::from_bits(bits)))
            }
            b'D' => {
                let bits = self.take(8)?.iter().fold(0, |bits, octet| bits << 8 | u64::from(*octet));
                Scalar::Float(f64::from_bits(bits))
            }
            b'C' => {
                let octets = self.take(1)?;
                let text = std::str::from_utf8(octets).map_err(|_| self.error("a character is not ASCII"))?;
                Scalar::Str(text)
            }
            b'S' => Scalar::Str(self.str()?),
            b'H' => {
                let text = self.str()?;
                if !is_number(text) {
                    return Err(self.error("a high-precision number is not written as a number"));
                }
                Scalar::High(text)
            }
            b'm' | b'M' | b'u' | b'h' | b'B' => {
                return Err(self.error("a type of BJData, which UBJSON has not"));
            }
            _ => return Err(self.error(&format!("the octet {marker:02x} is no type"))),
        })
    }

    /// What stands between the octet that opens a list or dictionary and the first value.
    fn content(&mut self, close: u8) -> Result<Content, DecodeError> {
        let marker = if self.pass(b'$') { Some(self.take(1)?[0]) } else { None };
        let left = if self.pass(b'#') { Some(self.length()?) } else { None };
        match (marker, left) {
            (Some(marker), _) if !b"ZTFiUIlLdDCSH[{".contains(&marker) => {
                return Err(self.error(&format!("the octet {marker:02x} is no type of values")));
            }
            (Some(_), None) => return Err(self.error("a type without a count")),
            (Some(b'Z' | b'T' | b'F'), Some(count)) if close == b']' => {
                let left = self.bare_left.checked_sub(count);
                self.bare_left = left.ok_or_else(|| self.error("too many values that take no octets"))?;
            }
            _ => {}
        }
        Ok(Content { close, marker, left })
    }

    /// Passes what stands before the next value; false behind the last one.
    fn more(&mut self, content: &mut Content) -> Result<bool, DecodeError> {
        if content.marker.is_none() && content.left != Some(0) {
            self.pass_noops();
        }
        match &mut content.left {
            Some(0) => Ok(false),
            Some(count) => {
                *count -= 1;
                Ok(true)
            }
            None if self.pass(content.close) => Ok(false),
            None => Ok(true),
        }
    }

    /// The marker of a value, unless its container has it.
    fn marker(&mut self, known: Option<u8>) -> Result<u8, DecodeError> {
        match known {
            Some(marker) => Ok(marker),
            None => Ok(self.take(1)?[0]),
        }
    }

    /// Passes one value.
    fn value(&mut self, known: Option<u8>) -> Result<Kind, DecodeError> {
        let marker = self.marker(known)?;
        let close = match marker {
            b'[' => b']',
            b'{' => b'}',
            _ => return Ok(self.scalar(marker)?.kind()),
        };
        self.enter()?;
        let mut content = self.content(close)?;
        match content.octets().filter(|_| close == b']') {
            Some(octets) => drop(self.take(octets)?),
            None => {
                while self.more(&mut content)? {
                    if close == b'}' {
                        self.str()?;
                    }
                    self.value(content.marker)?;
                }
            }
        }
        self.depth_left += 1;
        Ok(match close {
            b'}' => Kind::Dict,
            _ if content.is_binary() => Kind::Bin,
            _ => Kind::List,
        })
    }

    fn read(&mut self, known: Option<u8>) -> Result<Value, DecodeError> {
        let marker = self.marker(known)?;
        match marker {
            b'[' => {
                let mut content = self.content(b']')?;
                if content.is_binary() {
                    return Ok(Value::Bin(self.take(content.left.unwrap_or_default())?.into()));
                }
                let mut list = Vec::new();
                while self.more(&mut content)? {
                    list.push(self.read(content.marker)?);
                }
                Ok(Value::List(list))
            }
            b'{' => {
                let mut content = self.content(b'}')?;
                let mut dict = Dict::new();
                while self.more(&mut content)? {
                    dict.push(self.str()?, self.read(content.marker)?);
                }
                Ok(Value::Dict(dict))
            }
            _ => match self.scalar(marker)? {
                Scalar::Null => Ok(Value::Null),
                Scalar::Bool(value) => Ok(Value::Bool(value)),
                Scalar::Int(value) => Ok(Value::Int(value)),
                Scalar::Float(value) => Ok(Value::Float(value)),
                Scalar::Str(text) => Ok(Value::from(text)),
                Scalar::High(text) => high(text)
                    .ok_or_else(|| self.error("a high-precision number fits no integer of 64 bits and no double")),
            },
        }
    }
}

/// The grammar that JSON has for numbers.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

/// A high-precision number as an integer or as a double, if nothing of it gets lost.
fn high(text: &str) -> Option<Value> {
    if let Ok(value) = text.parse() {
        return Some(Value::Int(value));
    }
    if let Ok(value) = text.parse() {
        return Some(Value::UInt(value));
    }
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
    let (digits, point) = decimal(text)?;
    if digits.len() > DOUBLE_DIGITS_MAX {
        return None;
    }
    // The double rounded to as many digits must be the same number again.
    let again = format!("{:.*e}", digits.len().saturating_sub(1), float.abs());
    (decimal(&again)? == (digits, point)).then_some(Value::Float(float))
}

/// The significant digits of a number, and where the point stands in or around them.
fn decimal(text: &str) -> Option<(String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches(['-', '0']);
    let significant = if whole.is_empty() { fraction.trim_start_matches('0') } else { fraction };
    let leading = fraction.len() - significant.len();
    let digits = [whole, significant].concat();
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return Some((String::new(), 0));
    }
    let point = exponent.parse::<i64>().ok()?;
    let point = point.checked_add(i64::try_from(whole.len()).ok()?)?.checked_sub(i64::try_from(leading).ok()?)?;
    Some((digits.into(), point))
}

/// The text of a scanned string.
pub(super) fn text(octets: &[u8]) -> Result<Cow<'_, str>, DecodeError> {
    let mut scanner = Scanner::trusting(octets);
    let marker = scanner.marker(None)?;
    match scanner.scalar(marker)? {
        Scalar::Str(text) => Ok(Cow::Borrowed(text)),
        _ => Err(DecodeError::new("UBJSON: not a string")),
    }
}

/// Reads one scanned value.
pub(super) fn read(octets: &[u8]) -> Result<Value, DecodeError> {
    Scanner::trusting(octets).read(None)
}

/// How many octets the first value has.
pub(super) fn first_value(octets: &[u8]) -> Result<usize, DecodeError> {
    let mut scanner = Scanner::trusting(octets);
    scanner.value(None)?;
    Ok(scanner.at)
}

/// Writes the elements of a message; with `more`, the rest of the list has to follow.
pub(super) fn write_head(items: &[Item<'_>], more: bool, out: &mut Vec<u8>) {
    out.push(b'[');
    for item in items {
        match item {
            Item::Uint(value) => write_uint(*value, out),
            Item::Str(text) => write_str(text, out),
            Item::Dict(dict) => {
                out.push(b'{');
                for (key, value) in dict.iter() {
                    write_key(key, out);
                    // Options and details that a peer sent in another serialization may hold a map that UBJSON has
                    // not; only known keys are sent on, so this writes null for what nobody can see.
                    let start = out.len();
                    if write(value, out).is_err() {
                        out.truncate(start);
                        out.push(b'Z');
                    }
                }
                out.push(b'}');
            }
        }
    }
    if !more {
        out.push(b']');
    }
}

fn write_uint(value: u64, out: &mut Vec<u8>) {
    match i64::try_from(value) {
        Ok(value) => write_int(value, out),
        Err(_) => {
            out.push(b'H');
            write_key(itoa::Buffer::new().format(value), out);
        }
    }
}

fn write_int(value: i64, out: &mut Vec<u8>) {
    let octets = value.to_be_bytes();
    match value {
        0..=0xff => out.extend_from_slice(&[b'U', octets[7]]),
        -0x80..=-1 => out.extend_from_slice(&[b'i', octets[7]]),
        -0x8000..=0x7fff => {
            out.push(b'I');
            out.extend_from_slice(&octets[6..]);
        }
        -0x8000_0000..=0x7fff_ffff => {
            out.push(b'l');
            out.extend_from_slice(&octets[4..]);
        }
        _ => {
            out.push(b'L');
            out.extend_from_slice(&octets);
        }
    }
}

fn write_str(text: &str, out: &mut Vec<u8>) {
    out.push(b'S');
    write_key(text, out);
}

/// Keys are strings, and stand without their marker.
fn write_key(text: &str, out: &mut Vec<u8>) {
    write_uint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a value.
pub(super) fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), Unsayable> {
    match value {
        Value::Null | Value::Undefined => out.push(b'Z'),
        Value::Bool(value) => out.push(if *value { b'T' } else { b'F' }),
        Value::Int(value) => write_int(*value, out),
        Value::UInt(value) => write_uint(*value, out),
        Value::Float(value) => {
            out.push(b'D');
            out.extend_from_slice(&value.to_be_bytes());
        }
        Value::Str(text) => write_str(text, out),
        Value::Bin(octets) => {
            out.extend_from_slice(b"[$U#");
            write_uint(octets.len() as u64, out);
            out.extend_from_slice(octets);
        }
        Value::List(list) => {
            out.push(b'[');
            list.iter().try_for_each(|value| write(value, out))?;
            out.push(b']');
        }
        Value::Dict(dict) => {
            out.push(b'{');
            for (key, value) in dict.iter() {
                write_key(key, out);
                write(value, out)?;
            }
            out.push(b'}');
        }
        Value::Map(_) => return Err(Unsayable("UBJSON has no keys other than strings".into())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wamp::Message;
    use crate::wamp::codec::{DEPTH_MAX, DecodeLimits, decode, encode_to_vec};

    fn message(octets: &[u8]) -> Result<Message, String> {
        decode(Serializer::Ubjson, octets, DecodeLimits::default()).map_err(|error| error.to_string())
    }

    /// PUBLISH with these octets behind the topic.
    fn publish(rest: &[u8]) -> Vec<u8> {
        [b"[U\x10U\x01{}SU\x01a", rest].concat()
    }

    fn refused(octets: &[u8], why: &str) {
        let error = message(octets).expect_err("must be refused");
        assert!(error.contains(why), "{error:?} does not say {why:?}: {octets:02x?}");
    }

    fn value(octets: &[u8]) -> Value {
        assert_eq!(first_value(octets).expect("valid"), octets.len());
        read(octets).expect("readable")
    }

    #[test]
    fn the_message_list_is_taken_in_every_form() {
        for (sent, forwarded) in [
            (&b"[U\x10U\x01{}SU\x01a[T]{U\x01kF}]"[..], &b"[U\x10U\x01{}SU\x01a[T]{U\x01kF}]"[..]),
            (b"[#U\x06U\x10U\x01{}SU\x01a[T]{U\x01kF}", b"[U\x10U\x01{}SU\x01a[T]{U\x01kF}]"),
            (b"[#U\x06U\x10U\x01{}SU\x01aN[T]N{U\x01kF}N", b"[U\x10U\x01{}SU\x01a[T]{U\x01kF}]"),
            (b"N[#i\x05I\0\x10HU\x011{#U\0CaN[#U\x01T", b"[U\x10U\x01{}SU\x01a[#U\x01T]"),
            (b"[U\x10U\x01{}SU\x01aZ{}]", b"[U\x10U\x01{}SU\x01a[]{}]"),
            (b"[#U\x06U\x10U\x01{}SU\x01a[]Z", b"[U\x10U\x01{}SU\x01a[]]"),
            (b"[#U\x05U\x10U\x01{}SU\x01a[$U#U\x01\xff", b"[U\x10U\x01{}SU\x01a[$U#U\x01\xff]"),
            (b"[U\x10U\x01{}SU\x01aZ]", b"[U\x10U\x01{}SU\x01a]"),
            (b"[$I#U\x03\0\x22\0\x05\0\x06", b"[U\x22U\x05U\x06]"),
            (b"[$U#U\x03\x22\x05\x06", b"[U\x22U\x05U\x06]"),
            (b"[$H#U\x02U\x0235U\x015", b"[U\x23U\x05]"),
        ] {
            let read = message(sent).unwrap_or_else(|error| panic!("{error}: {sent:02x?}"));
            assert_eq!(encode_to_vec(Serializer::Ubjson, &read).expect("as it came"), forwarded, "{sent:02x?}");
        }
    }

    #[test]
    fn noops_between_arguments_are_left_out_of_other_serializations() {
        for rest in [&b"N[NT]NN{NU\x01kFN}N]N"[..], b"[T]{U\x01kF}]", b"[#U\x01T{#U\x01U\x01kFN]"] {
            let read = message(&publish(rest)).expect("valid");
            let json = encode_to_vec(Serializer::Json, &read).expect("sayable");
            assert_eq!(String::from_utf8_lossy(&json), r#"[16,1,{},"a",[true],{"k":false}]"#, "{rest:02x?}");
        }
    }

    #[test]
    fn broken_messages_are_refused_with_a_reason() {
        for (octets, why) in [
            (&b""[..], "unexpected end"),
            (b"{}", "must be a list"),
            (b"N", "unexpected end"),
            (b"[]", "empty list"),
            (b"[U\x10U\x01{}SU\x01a]]", "more octets"),
            (b"[#U\x02U\x25U\x05]", "more octets"),
            (b"[$[#U\x02]]", "not a list"),
            (b"[$T#U\xff", "too many elements"),
            (b"[$I#U\x05\0\x10\0\x01\0\x01\0\x01\0\x01", "PUBLISH.Options must be a dict"),
            (b"[$I#U\x03\0\x22\0\x05\0", "unexpected end"),
            (b"[#L\0\0\x01\0\0\0\0\0U\x25", "unexpected end"),
            (b"[#U\x03U\x22U\x05", "unexpected end"),
            (b"[$U", "a type without a count"),
            (b"[#", "unexpected end"),
        ] {
            refused(octets, why);
        }
        for (args, why) in [
            (&b"[x]]"[..], "the octet 78 is no type"),
            (b"[}]", "the octet 7d is no type"),
            (b"[m\x01\0\0\0]]", "BJData"),
            (b"[$B#U\x01\0]", "no type of values"),
            (b"[$N#U\x01]", "no type of values"),
            (b"[C\x80]]", "not ASCII"),
            (b"[$C#U\x02a\xff]", "not ASCII"),
            (b"[SU\x01\xff]]", "not UTF-8"),
            (b"[{U\x01\xffT}]]", "not UTF-8"),
            (b"[Si\xff]]", "negative"),
            (b"[#i\xff]", "negative"),
            (b"[S]]", "a length must be an integer"),
            (b"[SdAB\0\0]]", "a length must be an integer"),
            (b"[{SU\x01kT}]]", "a length must be an integer"),
            (b"[{U\x01kNT}]]", "the octet 4e is no type"),
            (b"[{U\x01k}]]", "the octet 7d is no type"),
            (b"[SL\x7f\xff\xff\xff\xff\xff\xff\xffa]]", "unexpected end"),
            (b"[$U#L\x7f\xff\xff\xff\xff\xff\xff\xff]", "unexpected end"),
            (b"[$L#L\x7f\xff\xff\xff\xff\xff\xff\xff]", "unexpected end"),
            (b"[$[#L\x7f\xff\xff\xff\xff\xff\xff\xff]", "unexpected end"),
            (b"[{$Z#L\x7f\xff\xff\xff\xff\xff\xff\xffU\x01k", "unexpected end"),
            (b"[HU\x01-]]", "not written as a number"),
            (b"[HU\x00]]", "not written as a number"),
            (b"[HU\x03NaN]]", "not written as a number"),
        ] {
            refused(&publish(args), why);
        }
    }

    #[test]
    fn values_without_octets_are_counted() {
        let lists = |count: &[u8]| publish(&[b"[", &[b"[$T#", count, b"[$Z#", count].concat()[..], b"]]"].concat());
        message(&lists(b"I\x08\0")).expect("4096 of them");
        refused(&lists(b"I\x08\x01"), "take no octets");
        for marker in [b'Z', b'T', b'F'] {
            refused(&publish(&[b"[$", &[marker][..], b"#L\0\0\x01\0\0\0\0\0]"].concat()), "take no octets");
            refused(&[b"[$", &[marker][..], b"#L\0\0\x01\0\0\0\0\0]"].concat(), "take no octets");
        }
        // Written out, as many as there is room for.
        message(&publish(&[b"[", &[b'Z'; 10_000][..], b"]]"].concat())).expect("each takes an octet");
        // And a dictionary has a key for each.
        message(&publish(b"[{$T#U\x02U\x01aU\x01b]]")).expect("keys take octets");
    }

    #[test]
    fn depth_is_bounded_in_every_form() {
        for open in [&b"["[..], b"{U\0", b"[#U\x01", b"[$[#U\x01", b"{$[#U\x01U\0"] {
            let octets = publish(&open.repeat(100_000));
            let error = decode(Serializer::Ubjson, &octets, DecodeLimits { depth: DEPTH_MAX }).expect_err("too deep");
            assert!(error.to_string().contains("too deeply"), "{error}");
        }
        let nested = |levels: usize| publish(&[b"[".repeat(levels), b"]".repeat(levels + 1)].concat());
        message(&nested(127)).expect("128 levels");
        refused(&nested(128), "too deeply");
    }

    #[test]
    fn values_are_read() {
        for (octets, wanted) in [
            (&b"U\xff"[..], Value::Int(255)),
            (b"i\xff", Value::Int(-1)),
            (b"I\x80\0", Value::Int(-32_768)),
            (b"l\x80\0\0\0", Value::Int(-2_147_483_648)),
            (b"L\x80\0\0\0\0\0\0\0", Value::Int(i64::MIN)),
            (b"d\xbf\xc0\0\0", Value::Float(-1.5)),
            (b"D\xbf\xf8\0\0\0\0\0\0", Value::Float(-1.5)),
            (b"Cx", Value::from("x")),
            (b"SI\0\x02\xc3\xa9", Value::from("é")),
            (b"[$U#U\x02\x01N", Value::Bin([1, b'N'].into())),
            (b"[$i#U\x02\x01N", Value::List(vec![Value::Int(1), Value::Int(78)])),
            (b"[$Z#U\x02", Value::List(vec![Value::Null, Value::Null])),
            (b"[$C#U\x01x", Value::List(vec![Value::from("x")])),
            (b"[$[#U\x02$U#U\x01\x05#U\0", Value::List(vec![Value::Bin([5].into()), Value::List(vec![])])),
            (b"[NN]", Value::List(vec![])),
            (b"{$U#U\x01U\x01k\x05", Value::Dict(Dict::new().with("k", 5))),
            (b"{NU\x01kTN}", Value::Dict(Dict::new().with("k", true))),
        ] {
            assert_eq!(value(octets), wanted, "{octets:02x?}");
        }
    }

    #[test]
    fn high_precision_loses_nothing() {
        for (text, wanted) in [
            ("0", Value::Int(0)),
            ("-9223372036854775808", Value::Int(i64::MIN)),
            ("18446744073709551615", Value::UInt(u64::MAX)),
            ("18446744073709551616", Value::Float(18_446_744_073_709_551_616.0)),
            ("1.0", Value::Float(1.0)),
            ("0.1", Value::Float(0.1)),
            ("-0.00125e+3", Value::Float(-1.25)),
            ("100E-2", Value::Float(1.0)),
            ("0e99999999999999999999", Value::Float(0.0)),
            ("5e-324", Value::Float(5e-324)),
            ("0.1000000000000000055511151231257827021181583404541015625", Value::Float(0.1)),
        ] {
            assert!(is_number(text), "{text}");
            assert_eq!(high(text), Some(wanted), "{text}");
        }
        for text in [
            "18446744073709551617",
            "-9223372036854775809",
            "0.10000000000000000001",
            "3.14159265358979323846",
            "1e309",
            "1e-400",
            "1e99999999999999999999",
        ] {
            assert!(is_number(text), "{text}");
            assert_eq!(high(text), None, "{text}");
        }
        assert_eq!(high(&format!("0.{}", "1".repeat(100_000))), None);
        for text in ["", "-", "+1", "01", "1.", ".5", "1e", "1e+-1", "0x1", "inf", "1_0", " 1", "1e5.0", "--1"] {
            assert!(!is_number(text), "{text}");
        }
    }
}
