//! Application payload: opaque, validated once at ingress, spliced into outgoing messages as it came, and
//! transcoded at most once per other serializer.

use super::codec::{self, TranscodeError};
use super::serializer::Serializer;
use super::value::{Dict, Value};
use bytes::Bytes;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Which of the optional elements at the end of a message are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `Arguments|list`.
    Args,
    /// `Arguments|list, ArgumentsKw|dict`.
    ArgsKwargs,
    /// One binary value in place of the arguments: payload that the sender has serialized (and perhaps encrypted)
    /// itself.
    Transparent,
}

impl Shape {
    /// How many elements of the message list the payload takes.
    #[must_use]
    pub const fn elements(self) -> usize {
        match self {
            Shape::Args | Shape::Transparent => 1,
            Shape::ArgsKwargs => 2,
        }
    }
}

/// Payload in one serialization.
///
/// `bytes` is the end of the message as its sender wrote it, from the first octet of the arguments. In JSON and
/// UBJSON it includes the closing `]` of the message, so that in every serialization `head + bytes` is a whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// How `bytes` is written.
    pub serializer: Serializer,
    /// What `bytes` holds.
    pub shape: Shape,
    /// The octets; complete and valid, every limit checked.
    pub bytes: Bytes,
}

/// The payload of a message: absent, or shared by everybody who sends it on. Cheap to clone.
#[derive(Clone, Default)]
pub struct Payload(Option<Arc<Shared>>);

/// By the index of the serializer.
type Transcoded = [OnceLock<Result<Raw, TranscodeError>>; Serializer::ALL.len()];

struct Shared {
    origin: Raw,
    /// Boxed, since hardly any payload is transcoded.
    transcoded: OnceLock<Box<Transcoded>>,
}

impl Payload {
    /// No arguments at all.
    pub const NONE: Payload = Payload(None);

    /// Payload that has been validated by the codec of its serializer.
    #[must_use]
    pub fn new(origin: Raw) -> Payload {
        Payload(Some(Arc::new(Shared { origin, transcoded: OnceLock::new() })))
    }

    /// True if the message ends before its arguments.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The payload as its sender wrote it.
    #[must_use]
    pub fn origin(&self) -> Option<&Raw> {
        self.0.as_deref().map(|shared| &shared.origin)
    }

    /// Octets of the payload as its sender wrote it; 0 if there is none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.origin().map_or(0, |raw| raw.bytes.len())
    }

    /// True if the payload has no octets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload as `serializer` writes it. The first caller on any thread transcodes, the others share.
    ///
    /// # Errors
    /// The payload holds something that `serializer` cannot say, such as NaN or a non-text key in JSON.
    pub fn as_serialized(&self, serializer: Serializer) -> Result<Option<&Raw>, &TranscodeError> {
        let Some(shared) = self.0.as_deref() else { return Ok(None) };
        if shared.origin.serializer == serializer {
            return Ok(Some(&shared.origin));
        }
        let slot = &shared.transcoded.get_or_init(Box::default)[serializer.index()];
        slot.get_or_init(|| codec::transcode(&shared.origin, serializer)).as_ref().map(Some)
    }
}

impl Payload {
    /// The arguments that the payload stands for; none if there is none.
    ///
    /// # Errors
    /// As [`codec::arguments`].
    pub fn values(&self) -> Result<(Vec<Value>, Dict), TranscodeError> {
        self.origin().map_or_else(|| Ok((Vec::new(), Dict::new())), codec::arguments)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin() {
            None => f.write_str("Payload(none)"),
            Some(raw) => write!(f, "Payload({:?} {:?}, {} B)", raw.serializer, raw.shape, raw.bytes.len()),
        }
    }
}

impl PartialEq for Payload {
    /// Equal octets in the same serialization.
    fn eq(&self, other: &Self) -> bool {
        self.origin() == other.origin()
    }
}
