//! A scanned message: its elements as places in its octets.

use super::{DecodeError, cbor, json, msgpack, ubjson};
use crate::wamp::{Dict, Raw, Serializer, Shape, Value};
use bytes::Bytes;
use smallvec::SmallVec;
use std::borrow::Cow;

/// What kind of value stands somewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Null,
    Undefined,
    Bool,
    /// A non-negative integer.
    Uint(u64),
    /// A negative integer.
    Negative,
    Float,
    Str,
    Bin,
    List,
    Dict,
    /// An extension or tag of the serialization.
    Other,
}

impl Kind {
    /// What a person would call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Undefined => "undefined",
            Kind::Bool => "bool",
            Kind::Uint(_) => "integer",
            Kind::Negative => "negative integer",
            Kind::Float => "float",
            Kind::Str => "string",
            Kind::Bin => "binary",
            Kind::List => "list",
            Kind::Dict => "dict",
            Kind::Other => "extension",
        }
    }
}

/// An element of the message list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The elements of a message in their order.
pub(super) type List = SmallVec<[Element; 8]>;

/// Appends an element. No message has more than seven, so what is beyond eight is refused before it takes memory.
pub(super) fn push(list: &mut List, element: Element) -> Result<(), DecodeError> {
    if list.len() == list.inline_size() {
        return Err(DecodeError::new("the message has too many elements"));
    }
    list.push(element);
    Ok(())
}

/// The elements of a message, all valid.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    pub(super) serializer: Serializer,
    pub(super) bytes: &'a [u8],
    pub(super) list: List,
    /// Where the octets end that have to follow the head of a message with the same last element: in JSON and UBJSON
    /// behind the closing bracket, none if there is no such bracket.
    pub(super) end: Option<usize>,
}

impl<'a> Elements<'a> {
    /// The text of a string element.
    pub(super) fn text(&self, element: Element) -> Result<Cow<'a, str>, DecodeError> {
        let octets = &self.bytes[element.start..element.end];
        match self.serializer {
            Serializer::Json => json::text(octets),
            Serializer::MsgPack => msgpack::text(octets),
            Serializer::Cbor => cbor::text(octets),
            Serializer::Ubjson => ubjson::text(octets),
        }
    }

    /// The integer that a float element stands for: JavaScript's binary serializers write integers beyond 32 bits so. In
    /// JSON nobody does.
    pub(super) fn whole(&self, element: Element) -> Option<u64> {
        if self.serializer == Serializer::Json {
            return None;
        }
        read(self.serializer, &self.bytes[element.start..element.end]).ok()?.as_uint()
    }

    /// The value of a dictionary element with text keys.
    pub(super) fn dict(&self, element: Element, name: &str, field: &str) -> Result<Dict, DecodeError> {
        // No serialization has a pair in so few octets.
        if element.end - element.start <= 2 {
            return Ok(Dict::new());
        }
        let value = read(self.serializer, &self.bytes[element.start..element.end])
            .map_err(|error| DecodeError::new(format!("{name}.{field}: {error}")))?;
        match value {
            Value::Dict(dict) => Ok(dict),
            other => {
                let kind = other.kind();
                Err(DecodeError::new(format!("{name}.{field} must be a dict with string keys, not a {kind}")))
            }
        }
    }

    /// The payload: the elements from `first` on, none, one or two of them.
    pub(super) fn payload(&self, first: usize, name: &str, transparent: bool) -> Result<Option<Raw>, DecodeError> {
        let absent = |kind| matches!(kind, Kind::Null | Kind::Undefined);
        let elements = &self.list[first.min(self.list.len())..];
        let (args, kwargs) = match elements {
            [] => return Ok(None),
            [args] => (*args, None),
            [args, kwargs] => (*args, Some(*kwargs).filter(|kwargs| !absent(kwargs.kind))),
            _ => return Err(DecodeError::new(format!("{name} has too many elements"))),
        };
        if kwargs.is_none() && absent(args.kind) {
            return Ok(None);
        }
        let shape = match (args.kind, kwargs.map(|kwargs| kwargs.kind)) {
            (Kind::List, None) => Shape::Args,
            (Kind::List | Kind::Null | Kind::Undefined, Some(Kind::Dict)) => Shape::ArgsKwargs,
            (Kind::Bin, None) if transparent => Shape::Transparent,
            (Kind::Str, None) if transparent && self.is_binary_text(args) => Shape::Transparent,
            (Kind::List | Kind::Null | Kind::Undefined, Some(other)) => {
                return Err(DecodeError::new(format!("{name}.ArgumentsKw must be a dict, not a {}", other.name())));
            }
            (other, _) => {
                return Err(DecodeError::new(format!("{name}.Arguments must be a list, not a {}", other.name())));
            }
        };
        if let Some(kwargs) = kwargs {
            self.text_keys(kwargs, name)?;
        }
        // Where an element is left out, the rest is put together anew.
        let whole = kwargs.is_some() == (elements.len() == 2) && !absent(args.kind);
        let bytes = match self.end.filter(|_| whole) {
            Some(end) => Bytes::copy_from_slice(&self.bytes[args.start..end]),
            None => {
                let args = if absent(args.kind) { self.empty_list() } else { &self.bytes[args.start..args.end] };
                self.assemble(args, kwargs)
            }
        };
        Ok(Some(Raw { serializer: self.serializer, shape, bytes }))
    }

    fn assemble(&self, args: &[u8], kwargs: Option<Element>) -> Bytes {
        let mut octets = args.to_vec();
        if let Some(kwargs) = kwargs {
            octets.extend_from_slice(separator(self.serializer));
            octets.extend_from_slice(&self.bytes[kwargs.start..kwargs.end]);
        }
        octets.extend_from_slice(end(self.serializer));
        Bytes::from(octets)
    }

    const fn empty_list(&self) -> &'static [u8] {
        match self.serializer {
            Serializer::Json | Serializer::Ubjson => b"[]",
            Serializer::MsgPack => &[0x90],
            Serializer::Cbor => &[0x80],
        }
    }

    /// In JSON a byte string is a string of U+0000 and base64.
    fn is_binary_text(&self, element: Element) -> bool {
        let octets = &self.bytes[element.start..element.end];
        self.serializer == Serializer::Json
            && octets.starts_with(b"\"\\u0000")
            && matches!(json::read(octets), Ok(Value::Bin(_)))
    }

    fn text_keys(&self, kwargs: Element, name: &str) -> Result<(), DecodeError> {
        let octets = &self.bytes[kwargs.start..kwargs.end];
        let textual = match self.serializer {
            Serializer::Json | Serializer::Ubjson => true,
            Serializer::MsgPack => msgpack::has_text_keys(octets)?,
            Serializer::Cbor => cbor::has_text_keys(octets)?,
        };
        if textual { Ok(()) } else { Err(DecodeError::new(format!("{name}.ArgumentsKw must have string keys"))) }
    }
}

/// What stands between the elements of a message.
pub(super) const fn separator(serializer: Serializer) -> &'static [u8] {
    match serializer {
        Serializer::Json => b",",
        Serializer::MsgPack | Serializer::Cbor | Serializer::Ubjson => b"",
    }
}

/// What stands behind the last element of a message.
pub(super) const fn end(serializer: Serializer) -> &'static [u8] {
    match serializer {
        Serializer::Json | Serializer::Ubjson => b"]",
        Serializer::MsgPack | Serializer::Cbor => b"",
    }
}

/// Reads one value that has been scanned.
pub(super) fn read(serializer: Serializer, octets: &[u8]) -> Result<Value, DecodeError> {
    match serializer {
        Serializer::Json => json::read(octets),
        Serializer::MsgPack => msgpack::read(octets),
        Serializer::Cbor => cbor::read(octets),
        Serializer::Ubjson => ubjson::read(octets),
    }
}

/// Makes a dictionary of pairs, or a map if a key is not text. Pairs without a value are left out of dictionaries.
pub(super) fn dict_or_map(pairs: Vec<(Value, Value)>) -> Value {
    if pairs.iter().any(|(key, _)| !matches!(key, Value::Str(_))) {
        return Value::Map(pairs);
    }
    let textual = pairs.into_iter().filter_map(|(key, value)| match (key, value) {
        (_, Value::Undefined) => None,
        (Value::Str(key), value) => Some((key, value)),
        _ => None,
    });
    Value::Dict(textual.collect())
}
