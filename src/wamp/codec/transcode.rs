//! Payload from one serialization to another.

use super::elements::{end, read, separator};
use super::{TranscodeError, cbor, json, msgpack, tree, ubjson};
use crate::wamp::{Raw, Serializer, Shape, Value};
use bytes::Bytes;
use smallvec::SmallVec;

/// Octets of JSON up to which a tape does not pay.
const SHORT: usize = 512;

/// Something that a serialization cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsayable(pub(super) String);

/// Writes payload in another serialization: integers stay integers, floats stay floats, and byte strings stay byte
/// strings (in JSON by the specification's convention).
///
/// # Errors
/// The payload holds something that the other serialization cannot say: in JSON a float that is not a number, in
/// JSON and UBJSON a map with keys that are not strings; anywhere an extension type, a tag or a number that only the
/// first one knows.
pub fn transcode(raw: &Raw, to: Serializer) -> Result<Raw, TranscodeError> {
    if raw.serializer == to {
        return Ok(raw.clone());
    }
    let error = |why: String| TranscodeError(format!("from {} to {}: {why}", raw.serializer.name(), to.name()).into());
    let values = values(raw).map_err(|why| error(why.0.into()))?;
    assemble(&values, raw.shape, to, raw.bytes.len() + raw.bytes.len() / 4).map_err(|why| error(why.0))
}

/// The elements of payload as values.
///
/// # Errors
/// An element cannot be read.
pub(super) fn values(raw: &Raw) -> Result<SmallVec<[Value; 2]>, TranscodeError> {
    let mut values = SmallVec::new();
    let mut rest = &raw.bytes[..];
    let error = |why: super::DecodeError| TranscodeError(why.0);
    for _ in 0..raw.shape.elements() {
        let length = match raw.serializer {
            Serializer::Json => json::first_value(rest),
            Serializer::MsgPack => msgpack::first_value(rest),
            Serializer::Cbor => cbor::first_value(rest),
            Serializer::Ubjson => ubjson::first_value(rest),
        };
        let length = length.map_err(error)?;
        let value = match raw.serializer {
            // What is not long is read sooner than the buffers of a tape are made; and a tape has no integers beyond 64 bits.
            Serializer::Json if length > SHORT => {
                tree::read(&rest[..length]).or_else(|_| read(Serializer::Json, &rest[..length]))
            }
            serializer => read(serializer, &rest[..length]),
        };
        values.push(value.map_err(error)?);
        rest = &rest[length..];
        let gap: &[u8] = match raw.serializer {
            // The comma before the next element, with the white space around it.
            Serializer::Json => b" \n\r\t,",
            Serializer::Ubjson => b"N",
            Serializer::MsgPack | Serializer::Cbor => b"",
        };
        let skip = rest.iter().position(|octet| !gap.contains(octet));
        rest = &rest[skip.unwrap_or(rest.len())..];
    }
    Ok(values)
}

/// Payload of these elements, which the shape fits.
pub(super) fn assemble(values: &[Value], shape: Shape, to: Serializer, capacity: usize) -> Result<Raw, Unsayable> {
    let mut out = Vec::with_capacity(capacity);
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(separator(to));
        }
        write(value, shape, to, &mut out)?;
    }
    out.extend_from_slice(end(to));
    Ok(Raw { serializer: to, shape, bytes: Bytes::from(out) })
}

fn write(value: &Value, shape: Shape, to: Serializer, out: &mut Vec<u8>) -> Result<(), Unsayable> {
    if shape == Shape::Transparent && !matches!(value, Value::Bin(_)) {
        return Err(Unsayable("payload that stands alone must be binary".into()));
    }
    match to {
        Serializer::Json => json::write(value, out),
        Serializer::MsgPack => msgpack::write(value, out),
        Serializer::Cbor => cbor::write(value, out),
        Serializer::Ubjson => ubjson::write(value, out),
    }
}
