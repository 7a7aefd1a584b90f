//! An event as octets.
//!
//! The length of the head in 4 octets, little-endian; the head, an EVENT message in MessagePack whose details say what
//! belongs to the history; the serializer and the shape of the payload, one octet each; the payload as its publisher
//! wrote it. The last two are missing if there is no payload.

use crate::router::PastEvent;
use crate::router::peer::{Extras, Publication, Stamp};
use crate::session::Audience;
use crate::wamp::codec::{self, DEPTH_MAX, DecodeLimits};
use crate::wamp::message::Event;
use crate::wamp::{Dict, Message, Payload, PublicationId, Raw, Serializer, Shape, SubscriptionId};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Octets that are no event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("an event is damaged: {0}")]
pub struct Damaged(String);

impl Damaged {
    fn new(why: impl ToString) -> Damaged {
        Damaged(why.to_string())
    }
}

/// The octets of an event.
///
/// # Errors
///
/// It has details that cannot be written.
pub fn write(time: Duration, publication: &Publication) -> Result<Vec<u8>, Damaged> {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut details = Dict::new().with("time", millis).with("topic", &*publication.topic);
    if let Some(extras) = &publication.extras {
        details.push("details", extras.details.clone());
        if let Some(audience) = &extras.audience {
            details.push("audience", audience.options());
        }
    }
    let head = event(publication.id, details, Payload::NONE);
    let head = codec::encode_to_vec(Serializer::MsgPack, &head).map_err(Damaged::new)?;
    let length = u32::try_from(head.len()).map_err(Damaged::new)?;
    let mut octets = Vec::with_capacity(4 + head.len() + 2 + publication.payload.len());
    octets.extend_from_slice(&length.to_le_bytes());
    octets.extend_from_slice(&head);
    if let Some(raw) = publication.payload.origin() {
        octets.extend_from_slice(&[raw.serializer.rawsocket_code(), shape_code(raw.shape)]);
        octets.extend_from_slice(&raw.bytes);
    }
    Ok(octets)
}

/// The event at this place of its history. Every octet is checked, as if it came from a client.
///
/// # Errors
///
/// The octets are not what [`write()`] gives.
pub fn read(place: u64, octets: &[u8]) -> Result<PastEvent, Damaged> {
    let missing = || Damaged::new("it ends early");
    let (length, rest) = octets.split_first_chunk::<4>().ok_or_else(missing)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(Damaged::new)?;
    let (head, rest) = rest.split_at_checked(length).ok_or_else(missing)?;
    let limits = DecodeLimits { depth: DEPTH_MAX };
    let message = codec::decode(Serializer::MsgPack, head, limits).map_err(Damaged::new)?;
    let Message::Event(Event { publication: id, details: head, .. }) = message else {
        return Err(Damaged::new("its head is another message"));
    };
    let time = head.uint("time").map_err(Damaged::new)?.ok_or_else(missing)?;
    let topic = head.str("topic").map_err(Damaged::new)?.ok_or_else(missing)?;
    let details = head.dict("details").map_err(Damaged::new)?.cloned().unwrap_or_default();
    let audience = head.dict("audience").and_then(|options| match options {
        Some(options) => Audience::read(options),
        None => Ok(None),
    });
    let audience = audience.map_err(Damaged::new)?;
    let payload = match rest {
        [] => Payload::NONE,
        [serializer, shape, bytes @ ..] => {
            let serializer = Serializer::from_rawsocket(*serializer).ok_or_else(|| Damaged::new("its serializer"))?;
            let shape = shape_of(*shape).ok_or_else(|| Damaged::new("its shape"))?;
            checked(id, &details, Raw { serializer, shape, bytes: Bytes::copy_from_slice(bytes) })?
        }
        [_] => return Err(missing()),
    };
    let extras = (!details.is_empty() || audience.is_some()).then(|| Box::new(Extras::new(details, audience, false)));
    // The publisher's session and its shard have ended; nothing of a history asks for them.
    let stamp = Stamp::default();
    let publication = Publication { id, stamp, excluded: None, topic: topic.into(), payload, extras };
    Ok(PastEvent { place, time: Duration::from_millis(time), publication: Arc::new(publication) })
}

/// Payload that the codec has read in a whole message.
fn checked(id: PublicationId, details: &Dict, raw: Raw) -> Result<Payload, Damaged> {
    let (serializer, shape) = (raw.serializer, raw.shape);
    let whole = event(id, details.clone(), Payload::new(raw));
    let whole = codec::encode_to_vec(serializer, &whole).map_err(Damaged::new)?;
    let message = codec::decode(serializer, &whole, DecodeLimits { depth: DEPTH_MAX }).map_err(Damaged::new)?;
    match message.payload() {
        Some(payload) if payload.origin().is_some_and(|raw| raw.shape == shape) => Ok(payload.clone()),
        _ => Err(Damaged::new("its payload has another shape")),
    }
}

/// The subscription does not matter here, but a message has one.
fn event(publication: PublicationId, details: Dict, payload: Payload) -> Message {
    Message::Event(Event { subscription: SubscriptionId::from_raw(1), publication, details, payload })
}

const fn shape_code(shape: Shape) -> u8 {
    match shape {
        Shape::Args => 1,
        Shape::ArgsKwargs => 2,
        Shape::Transparent => 3,
    }
}

const fn shape_of(code: u8) -> Option<Shape> {
    match code {
        1 => Some(Shape::Args),
        2 => Some(Shape::ArgsKwargs),
        3 => Some(Shape::Transparent),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wamp::Value;

    fn publications() -> Vec<Publication> {
        let names = vec![Value::from("x"), Value::from("y")];
        let audience = Dict::new().with("eligible_authrole", names).with("exclude_authid", Vec::new());
        let audience = Audience::read(&audience).expect("lists");
        let passthru = Dict::new().with("ppt_scheme", "x_custom").with("trustlevel", 3_u64);
        let mut publications = Vec::new();
        for serializer in Serializer::ALL {
            let args = vec![Value::from("text"), Value::from(u64::MAX), Value::Bin([0, 255].into())];
            let kwargs = Dict::new().with("key", Value::Null);
            let both = codec::payload(serializer, args.clone(), kwargs).expect("values");
            let one = codec::payload(serializer, args, Dict::new()).expect("values");
            for payload in [Payload::NONE, Payload::new(one), Payload::new(both)] {
                publications.push((payload.clone(), None));
                let extras = Extras::new(Dict::new(), audience.clone(), false);
                publications.push((payload, Some(Box::new(extras))));
            }
        }
        let bytes = Bytes::from_static(&[0xc4, 2, 1, 2]);
        let own = Raw { serializer: Serializer::MsgPack, shape: Shape::Transparent, bytes };
        let extras = Extras::new(passthru, None, false);
        publications.push((Payload::new(own), Some(Box::new(extras))));
        let make = |(payload, extras)| Publication {
            id: PublicationId::from_raw(9_007_199_254_740_992),
            stamp: Stamp::default(),
            excluded: None,
            topic: "com.app.tøpic".into(),
            payload,
            extras,
        };
        publications.into_iter().map(make).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let time = Duration::from_millis(1_700_000_000_123);
        for publication in publications() {
            let event = read(7, &write(time, &publication).expect("an event")).expect("the same event");
            assert_eq!((event.place, event.time), (7, time));
            assert_eq!(format!("{:?}", event.publication), format!("{publication:?}"));
            assert_eq!(event.publication.payload, publication.payload);
        }
    }

    #[test]
    fn damage_is_found() {
        for publication in publications() {
            let octets = write(Duration::ZERO, &publication).expect("an event");
            let head = 4 + u32::from_le_bytes([octets[0], octets[1], octets[2], octets[3]]) as usize;
            for end in (0..octets.len()).filter(|end| *end != head) {
                assert!(read(1, &octets[..end]).is_err(), "cut at {end} of {}", octets.len());
            }
        }
    }
}
