//! Messages to octets and back.
//!
//! A message is scanned once: the scan validates every octet and finds where the elements of the message begin and
//! end. What the router acts on is then decoded; application payload is kept as it came.

mod cbor;
mod elements;
mod fields;
mod json;
mod msgpack;
mod transcode;
mod tree;
mod ubjson;

use super::message::Message;
use super::payload::{Raw, Shape};
use super::serializer::Serializer;
use super::value::{Dict, Value};
use bytes::Bytes;

pub use transcode::transcode;

/// The depth that no limit goes beyond, since each level takes some stack.
pub const DEPTH_MAX: u16 = 512;

/// What a message from a peer may have.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// Nesting depth of lists and dictionaries, the message itself being depth 1; [`DEPTH_MAX`] at most.
    pub depth: u16,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        DecodeLimits { depth: 128 }
    }
}

/// The octets are not a WAMP message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub Box<str>);

impl DecodeError {
    fn new(text: impl Into<Box<str>>) -> DecodeError {
        DecodeError(text.into())
    }
}

/// The payload cannot be said in another serialization.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TranscodeError(pub Box<str>);

/// Reads one message.
///
/// # Errors
/// The octets are not one whole message of the specification's form, or nested too deeply.
pub fn decode(serializer: Serializer, bytes: &[u8], limits: DecodeLimits) -> Result<Message, DecodeError> {
    let depth = limits.depth.min(DEPTH_MAX);
    let elements = match serializer {
        Serializer::Json => json::scan(bytes, depth),
        Serializer::MsgPack => msgpack::scan(bytes, depth),
        Serializer::Cbor => cbor::scan(bytes, depth),
        Serializer::Ubjson => ubjson::scan(bytes, depth),
    }?;
    fields::message(&elements)
}

/// Reads a JSON text that is no message but any value, nested `depth` levels at most.
///
/// # Errors
/// It is not JSON, or nested too deeply.
pub fn json_document(bytes: &[u8], depth: u16) -> Result<Value, DecodeError> {
    json::document(bytes, depth.min(DEPTH_MAX))
}

/// Appends the message up to its payload to `out` and gives the octets that must follow.
///
/// # Errors
/// The payload cannot be transcoded.
pub fn encode<'m>(
    serializer: Serializer,
    message: &'m Message,
    out: &mut Vec<u8>,
) -> Result<Option<&'m Bytes>, TranscodeError> {
    let payload = match message.payload() {
        Some(payload) => payload.as_serialized(serializer).map_err(Clone::clone)?,
        None => None,
    };
    let items = fields::items(message);
    let more = payload.map_or(0, |raw| raw.shape.elements());
    match serializer {
        Serializer::Json => json::write_head(&items, more > 0, out),
        Serializer::MsgPack => msgpack::write_head(&items, more, out),
        Serializer::Cbor => cbor::write_head(&items, more, out),
        Serializer::Ubjson => ubjson::write_head(&items, more > 0, out),
    }
    Ok(payload.map(|raw| &raw.bytes))
}

/// The whole message in one piece.
///
/// # Errors
/// As [`encode`].
pub fn encode_to_vec(serializer: Serializer, message: &Message) -> Result<Vec<u8>, TranscodeError> {
    let mut out = Vec::new();
    let body = encode(serializer, message, &mut out)?;
    out.extend_from_slice(body.map_or(&[], |body| body));
    Ok(out)
}

/// Payload of these arguments.
///
/// # Errors
/// They hold something that the serializer cannot say.
pub fn payload(serializer: Serializer, args: Vec<Value>, kwargs: Dict) -> Result<Raw, TranscodeError> {
    const CAPACITY: usize = 128;
    let plain = kwargs.is_empty();
    let both = [Value::List(args), Value::Dict(kwargs)];
    let (values, shape) = if plain { (&both[..1], Shape::Args) } else { (&both[..], Shape::ArgsKwargs) };
    transcode::assemble(values, shape, serializer, CAPACITY).map_err(|why| TranscodeError(why.0.into()))
}

/// Payload of this list of arguments, which the caller keeps.
///
/// # Errors
/// As [`payload`].
pub fn payload_of(serializer: Serializer, args: &Value) -> Result<Raw, TranscodeError> {
    const CAPACITY: usize = 128;
    let values = std::slice::from_ref(args);
    transcode::assemble(values, Shape::Args, serializer, CAPACITY).map_err(|why| TranscodeError(why.0.into()))
}

/// The arguments that payload stands for.
///
/// # Errors
/// It is payload that its sender has serialized itself, or has something that no value is.
pub fn arguments(raw: &Raw) -> Result<(Vec<Value>, Dict), TranscodeError> {
    let mut values = transcode::values(raw)?.into_iter();
    match (values.next(), values.next()) {
        (Some(Value::List(args)), None) => Ok((args, Dict::new())),
        (Some(Value::List(args)), Some(Value::Dict(kwargs))) => Ok((args, kwargs)),
        _ => Err(TranscodeError("the payload is not a list of arguments".into())),
    }
}
