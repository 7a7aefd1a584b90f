//! WAMP RawSocket (specification, "RawSocket Transport").

use super::event::{WireError, WireEvent};
use crate::wamp::Serializer;

/// The first octet of a handshake, which no HTTP request begins with.
pub const MAGIC: u8 = 0x7f;

/// The largest message that a handshake can announce.
pub const MESSAGE_BYTES_MAX: usize = 1 << 24;

/// A handshake that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAccepted {
    /// How messages are serialized.
    pub serializer: Serializer,
    /// The largest message that the peer takes, in octets.
    pub peer_max: usize,
    /// The largest message that was announced to the peer, in octets.
    pub own_max: usize,
    /// What to answer.
    pub reply: [u8; 4],
}

/// Answers a handshake; messages of up to `message_bytes_max` octets are taken (rounded down to a power of two from
/// 512 to 2^24), serialized in these ways; none: in all.
///
/// # Errors
/// What to answer before closing; nothing if this is no handshake at all.
pub fn handshake(
    request: [u8; 4],
    message_bytes_max: usize,
    serializers: Option<&[Serializer]>,
) -> Result<RawAccepted, Option<[u8; 4]>> {
    let [magic, second, third, fourth] = request;
    let (length, serializer) = (second >> 4, second & 0x0f);
    if magic != MAGIC || serializer == 0 {
        return Err(None);
    }
    let refuse = |error: u8| Err(Some([MAGIC, error << 4, 0, 0]));
    if third != 0 || fourth != 0 {
        return refuse(3);
    }
    let offered = |known: &Serializer| serializers.is_none_or(|offered| offered.contains(known));
    let Some(known) = Serializer::from_rawsocket(serializer).filter(offered) else { return refuse(1) };
    let exponent = message_bytes_max.clamp(1 << 9, MESSAGE_BYTES_MAX).ilog2();
    let own = u8::try_from(exponent - 9).unwrap_or_default();
    let reply = [MAGIC, own << 4 | serializer, 0, 0];
    Ok(RawAccepted { serializer: known, peer_max: 1 << (9 + length), own_max: 1 << exponent, reply })
}

/// The prefix of a frame; `size` is at most 2^24.
pub(super) fn prefix(kind: u8, size: usize) -> [u8; 4] {
    let [_, a, b, c] = u32::try_from(size).unwrap_or_default().to_be_bytes();
    let extra = if size == MESSAGE_BYTES_MAX { 8 } else { 0 };
    [extra | kind, a, b, c]
}

const MESSAGE: u8 = 0;
const PING: u8 = 1;
const PONG: u8 = 2;

/// A ping without payload.
pub(super) fn ping() -> [u8; 4] {
    prefix(PING, 0)
}

/// Reads the frames of one connection.
#[derive(Debug)]
pub struct RawReader {
    message_bytes_max: usize,
    text: bool,
    /// A frame that is not complete, or has just been given out. None between frames.
    partial: Option<Box<Partial>>,
}

#[derive(Debug, Default)]
struct Partial {
    octets: Vec<u8>,
    given: bool,
}

impl RawReader {
    /// A reader behind a handshake.
    #[must_use]
    pub const fn new(accepted: &RawAccepted) -> RawReader {
        RawReader { message_bytes_max: accepted.own_max, text: accepted.serializer.is_text(), partial: None }
    }

    /// See [`super::reader::Reader::feed`].
    ///
    /// # Errors
    /// The peer broke a rule.
    pub fn feed<'a>(
        &'a mut self,
        input: &'a mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<WireEvent<'a>>), WireError> {
        let text = self.text;
        let mut at = 0;
        if self.partial.as_ref().is_some_and(|partial| partial.given) {
            self.partial = None;
        }
        while at < input.len() {
            if self.partial.is_none() {
                let Some((kind, size)) = self.prefix(&input[at..])? else {
                    self.partial = Some(Box::new(Partial { octets: input[at..].to_vec(), given: false }));
                    break;
                };
                if input.len() - at - 4 < size {
                    self.partial = Some(Box::new(Partial { octets: input[at..].to_vec(), given: false }));
                    break;
                }
                let (start, end) = (at + 4, at + 4 + size);
                at = end;
                match kind {
                    MESSAGE => return Ok((end, Some(WireEvent::Message { data: &input[start..end], text }))),
                    PING => pong(&input[start..end], out),
                    _ => return Ok((end, Some(WireEvent::Pong))),
                }
                continue;
            }
            at += self.complete(&input[at..])?;
            match self.gathered()? {
                None => {}
                Some(MESSAGE) => {
                    let Some(partial) = &mut self.partial else { break };
                    partial.given = true;
                    return Ok((at, Some(WireEvent::Message { data: &partial.octets[4..], text })));
                }
                Some(kind) => {
                    let partial = self.partial.take().unwrap_or_default();
                    if kind == PONG {
                        return Ok((at, Some(WireEvent::Pong)));
                    }
                    pong(&partial.octets[4..], out);
                }
            }
        }
        Ok((input.len(), None))
    }

    /// The kind and size of the frame that begins here, if its prefix is complete.
    fn prefix(&self, octets: &[u8]) -> Result<Option<(u8, usize)>, WireError> {
        let Some(&first) = octets.first() else { return Ok(None) };
        let kind = first & 0x07;
        if first & 0xf0 != 0 || kind > PONG {
            return Err(WireError::new(1002, "a frame has a reserved type or bit"));
        }
        let Some(&[_, a, b, c]) = octets.first_chunk::<4>() else { return Ok(None) };
        let size = u32::from_be_bytes([0, a, b, c]) as usize;
        let size = match (first & 0x08 != 0, size) {
            (false, size) => size,
            (true, 0) => MESSAGE_BYTES_MAX,
            (true, _) => return Err(WireError::new(1002, "a frame has more than 2^24 octets")),
        };
        if size > self.message_bytes_max {
            let reason = format!("a message may have {} octets", self.message_bytes_max);
            return Err(WireError { code: 1009, reason: reason.into() });
        }
        Ok(Some((kind, size)))
    }

    /// Takes what belongs to the frame that is coming.
    fn complete(&mut self, input: &[u8]) -> Result<usize, WireError> {
        let have = self.partial.as_ref().map_or(0, |partial| partial.octets.len());
        let wanted = match self.partial.as_ref().map(|partial| self.prefix(&partial.octets)).transpose()?.flatten() {
            Some((_, size)) => 4 + size - have,
            None => 4 - have,
        };
        let here = wanted.min(input.len());
        self.partial.get_or_insert_default().octets.extend_from_slice(&input[..here]);
        Ok(here)
    }

    /// The kind of the frame, if it has come completely.
    fn gathered(&self) -> Result<Option<u8>, WireError> {
        let Some(partial) = &self.partial else { return Ok(None) };
        Ok(self.prefix(&partial.octets)?.and_then(|(kind, size)| (partial.octets.len() == 4 + size).then_some(kind)))
    }
}

fn pong(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&prefix(PONG, payload.len()));
    out.extend_from_slice(payload);
}
