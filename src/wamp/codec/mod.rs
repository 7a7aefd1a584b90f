//! Messages to octets and back.

use super::message::Message;
use super::payload::Raw;
use super::serializer::Serializer;
use bytes::Bytes;

/// What a message from a peer may have.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// Nesting depth of lists and dictionaries, the message itself being depth 1.
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

/// The payload cannot be said in another serialization.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TranscodeError(pub Box<str>);

/// Reads one message.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(serializer: Serializer, bytes: &[u8], limits: DecodeLimits) -> Result<Message, DecodeError> {
    let _ = (serializer, bytes, limits);
    Err(DecodeError("unwritten".into()))
}

/// Appends the message up to its payload to `out` and gives the octets that must follow.
///
/// # Errors
/// The payload cannot be transcoded.
pub fn encode(serializer: Serializer, message: &Message, out: &mut Vec<u8>) -> Result<Option<Bytes>, TranscodeError> {
    let _ = (serializer, message, out);
    Ok(None)
}

/// Writes payload in another serialization.
///
/// # Errors
/// See [`TranscodeError`].
pub fn transcode(raw: &Raw, to: Serializer) -> Result<Raw, TranscodeError> {
    let _ = (raw, to);
    Err(TranscodeError("unwritten".into()))
}

/// x
pub fn encode_to_vec(serializer: Serializer, message: &Message) -> Result<Vec<u8>, TranscodeError> {
    let mut out = Vec::new();
    let body = encode(serializer, message, &mut out)?;
    out.extend_from_slice(&body.unwrap_or_default());
    Ok(out)
}
