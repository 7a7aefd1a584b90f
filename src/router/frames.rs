//! Messages to frames: each is built once for all receivers that take the same.

use super::effect::Link;
use crate::wamp::codec::{self, TranscodeError};
use crate::wamp::{Message, Serializer};
use crate::wire::frame::{Frame, FrameBuilder};

/// The position of a [`Link`] among those that a shard has seen: receivers of one class take the same frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class(u16);

/// Why a receiver cannot be given a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undeliverable {
    /// It is larger than the receiver's announced maximum, in octets.
    TooLarge { size: usize, max: usize },
    /// It cannot be said in the receiver's serialization.
    Unsayable(TranscodeError),
}

/// Builds frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    classes: Vec<Link>,
    builder: FrameBuilder,
    head: Vec<u8>,
}

impl Frames {
    /// The class of a link; there are few, since a link is a serializer, a framing and a power of two.
    pub(super) fn class(&mut self, link: Link) -> Class {
        let at = self.classes.iter().position(|known| *known == link).unwrap_or_else(|| {
            self.classes.push(link);
            self.classes.len() - 1
        });
        Class(u16::try_from(at).expect("a link has fewer than 2^16 values"))
    }

    /// The serializer of a class.
    pub(super) fn serializer(&self, class: Class) -> Serializer {
        self.classes[usize::from(class.0)].serializer
    }

    /// The frame of a message to one receiver.
    pub(super) fn build(&mut self, class: Class, message: &Message) -> Result<Frame, Undeliverable> {
        let link = self.classes[usize::from(class.0)];
        self.head.clear();
        let body = codec::encode(link.serializer, message, &mut self.head).map_err(Undeliverable::Unsayable)?;
        let size = self.head.len() + body.map_or(0, bytes::Bytes::len);
        if size > link.message_max {
            return Err(Undeliverable::TooLarge { size, max: link.message_max });
        }
        Ok(self.builder.build(link.serializer, link.framing, &self.head, body))
    }
}
