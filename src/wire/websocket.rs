//! Incoming WebSocket frames (RFC 6455), on either side.

use super::batch;
use super::deflate::InflateError;
use super::event::{Inbound, WireError, WireEvent};
use super::frame::{OP_BINARY, OP_CLOSE, OP_CONTINUATION, OP_PING, OP_PONG, OP_TEXT, RSV1, control};
use super::mask::unmask;

/// Which messages a connection takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// Text: the serializer is JSON.
    Text,
    /// Binary: the serializer is another.
    Binary,
    /// Both: the connection does not speak WAMP.
    Any,
}

/// How a connection was agreed on in the handshake.
#[derive(Clone, Copy, Debug)]
pub struct WsMode {
    /// Which messages come.
    pub accepts: Accepts,
    /// A `.batched` subprotocol.
    pub batched: bool,
    /// Messages may be compressed.
    pub deflate: bool,
    /// Octets of one message, decompressed.
    pub message_bytes_max: usize,
    /// Who sends: what clients send is masked, and what servers send is not (RFC 6455, section 5.1).
    pub from: Sender,
}

/// The other side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// It has opened the connection.
    Client,
    /// It has accepted the connection.
    Server,
}

/// Reads the frames of one connection.
#[derive(Debug)]
pub struct WsReader {
    mode: WsMode,
    /// Octets of one frame, as it comes.
    frame_bytes_max: usize,
    closed: bool,
    /// A frame or message that is not complete, or a batch that has not been given out. None between messages.
    partial: Option<Box<Partial>>,
}

/// A frame's header.
#[derive(Clone, Copy, Debug)]
struct Head {
    opcode: u8,
    last: bool,
    compressed: bool,
    length: u64,
    mask: [u8; 4],
}

#[derive(Debug, Default)]
struct Partial {
    /// The beginning of a header that has not come completely.
    header: Vec<u8>,
    /// The frame that is coming, and how much of it has come.
    frame: Option<(Head, u64)>,
    control: Vec<u8>,
    /// The message that is coming: as text, compressed.
    message: Option<(bool, bool)>,
    data: Vec<u8>,
    /// How much of a text is known to be UTF-8.
    checked: usize,
    /// The message is complete, and has been given out up to here.
    given: Option<usize>,
}

/// What a step of reading came to.
enum Stepped {
    /// All of the input has been taken.
    Starved,
    /// Something happened that the owner need not know.
    Nothing,
    /// A message lies in the input, from here to there.
    InPlace(usize, usize, bool),
    /// A message has been put together.
    Gathered,
    Pong,
    Closed,
}

const fn violation(reason: &'static str) -> WireError {
    WireError::new(1002, reason)
}

impl WsReader {
    /// A reader behind a handshake.
    #[must_use]
    pub const fn new(mode: WsMode) -> WsReader {
        WsReader { mode, frame_bytes_max: usize::MAX, closed: false, partial: None }
    }

    /// The same for frames of so many octets at most, compressed or not.
    #[must_use]
    pub fn with_frame_bytes_max(self, frame_bytes_max: usize) -> WsReader {
        WsReader { frame_bytes_max, ..self }
    }

    /// See [`super::reader::Reader::feed`].
    ///
    /// # Errors
    /// The peer broke a rule.
    pub fn feed<'a>(
        &'a mut self,
        input: &'a mut [u8],
        inbound: &mut Inbound,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<WireEvent<'a>>), WireError> {
        if self.closed {
            return Ok((input.len(), None));
        }
        let mut at = 0;
        loop {
            if let Some(range) = self.next_gathered()? {
                let Some(partial) = &self.partial else { return Ok((at, None)) };
                let text = partial.message.is_some_and(|(text, _)| text);
                return Ok((at, Some(WireEvent::Message { data: &partial.data[range], text })));
            }
            match self.step(input, &mut at, inbound, out)? {
                Stepped::Starved => return Ok((input.len(), None)),
                Stepped::Nothing | Stepped::Gathered => {}
                Stepped::InPlace(start, end, text) => {
                    return Ok((end, Some(WireEvent::Message { data: &input[start..end], text })));
                }
                Stepped::Pong => return Ok((at, Some(WireEvent::Pong))),
                Stepped::Closed => {
                    self.closed = true;
                    self.partial = None;
                    return Ok((input.len(), Some(WireEvent::Closed)));
                }
            }
        }
    }

    /// Where the next message of what has been gathered lies; forgets what has been given out completely.
    fn next_gathered(&mut self) -> Result<Option<std::ops::Range<usize>>, WireError> {
        let batched = self.mode.batched;
        let text = self.mode.accepts == Accepts::Text;
        let Some(partial) = &mut self.partial else { return Ok(None) };
        let Some(given) = partial.given else { return Ok(None) };
        // An empty message was given out as if it had one octet.
        let data = partial.data.get(given..).unwrap_or_default();
        if given > 0 && (data.is_empty() || !batched) {
            self.partial = None;
            return Ok(None);
        }
        let (message, next) = if !batched {
            // An empty message counts as given once it has been.
            (0..data.len(), data.len().max(1))
        } else {
            batch::first(text, data)?
        };
        partial.given = Some(given + next);
        Ok(Some(given + message.start..given + message.end))
    }

    fn step(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
        inbound: &mut Inbound,
        out: &mut Vec<u8>,
    ) -> Result<Stepped, WireError> {
        let frame = self.partial.as_ref().and_then(|partial| partial.frame);
        let (head, done) = match frame {
            Some(frame) => frame,
            None => match self.header(input, at)? {
                Some(head) => (head, 0),
                None => return Ok(Stepped::Starved),
            },
        };
        let available = &mut input[*at..];
        let left = usize::try_from(head.length - done).unwrap_or(usize::MAX);
        let whole = done == 0 && left <= available.len();
        let here = left.min(available.len());
        unmask(&mut available[..here], head.mask, done);
        let start = *at;
        *at += here;
        if head.opcode >= OP_CLOSE {
            let payload = &input[start..*at];
            if whole {
                // Its header may have come alone before.
                if let Some(partial) = &mut self.partial {
                    partial.frame = None;
                }
                return self.control(head.opcode, payload, out);
            }
            let partial = self.partial.get_or_insert_default();
            partial.control.extend_from_slice(payload);
            if here < left {
                partial.frame = Some((head, done + here as u64));
                return Ok(Stepped::Starved);
            }
            partial.frame = None;
            let payload = std::mem::take(&mut partial.control);
            return self.control(head.opcode, &payload, out);
        }
        if whole && self.in_place(&head) {
            let text = head.opcode == OP_TEXT;
            if text && std::str::from_utf8(&input[start..*at]).is_err() {
                return Err(WireError::new(1007, "text must be UTF-8"));
            }
            self.partial = None;
            return Ok(Stepped::InPlace(start, *at, text));
        }
        self.gather(&head, done, &input[start..*at], here == left, inbound)
    }

    /// True if the frame is a message by itself, and can be given out as it lies in the input.
    fn in_place(&self, head: &Head) -> bool {
        let alone = self.partial.as_ref().is_none_or(|partial| partial.message.is_none());
        head.last && head.opcode != OP_CONTINUATION && !head.compressed && !self.mode.batched && alone
    }

    /// Adds a piece of a data frame to the message.
    fn gather(
        &mut self,
        head: &Head,
        done: u64,
        piece: &[u8],
        frame_done: bool,
        inbound: &mut Inbound,
    ) -> Result<Stepped, WireError> {
        let max = self.mode.message_bytes_max;
        let partial = self.partial.get_or_insert_default();
        let (text, compressed) = *partial.message.get_or_insert((head.opcode == OP_TEXT, head.compressed));
        partial.data.extend_from_slice(piece);
        let last = frame_done && head.last;
        if text && !compressed {
            partial.check_text(last)?;
        }
        partial.frame = (!frame_done).then_some((*head, done + piece.len() as u64));
        if !frame_done {
            return Ok(Stepped::Starved);
        }
        if !last {
            return Ok(Stepped::Nothing);
        }
        if compressed {
            let mut data = Vec::new();
            inbound.inflater.inflate(&partial.data, max, &mut data).map_err(|error| match error {
                InflateError::Corrupt => WireError::new(1007, "a message is not deflate data"),
                InflateError::TooLarge => too_large(max),
            })?;
            partial.data = data;
            if text {
                partial.check_text(true)?;
            }
        }
        if self.mode.batched && partial.data.is_empty() {
            return Err(violation("a batch must not be empty"));
        }
        partial.given = Some(0);
        Ok(Stepped::Gathered)
    }

    /// Reads the next header, from the input or from what was left of the last one; None if there is not enough.
    fn header(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Head>, WireError> {
        let rest = &input[*at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let begun = self.partial.as_mut().map(|partial| std::mem::take(&mut partial.header)).unwrap_or_default();
        let parsed = if begun.is_empty() {
            parse_header(rest, self.mode.from)?
        } else {
            let mut header = begun.clone();
            header.extend_from_slice(&rest[..rest.len().min(HEADER_MAX)]);
            parse_header(&header, self.mode.from)?
        };
        let Some((head, length)) = parsed else {
            let partial = self.partial.get_or_insert_default();
            partial.header = begun;
            partial.header.extend_from_slice(rest);
            *at = input.len();
            return Ok(None);
        };
        *at += length - begun.len();
        self.check(&head)?;
        Ok(Some(head))
    }

    /// Checks a header against the mode and against the message that is coming.
    fn check(&self, head: &Head) -> Result<(), WireError> {
        if head.opcode >= OP_CLOSE {
            if !head.last || head.length > 125 {
                return Err(violation("control frames must not be fragmented or longer than 125 octets"));
            }
            return if head.compressed { Err(violation("control frames must not be compressed")) } else { Ok(()) };
        }
        let coming = self.partial.as_ref().filter(|partial| partial.message.is_some());
        if coming.is_some() != (head.opcode == OP_CONTINUATION) {
            return Err(violation("fragments of a message must follow each other"));
        }
        if head.compressed && (!self.mode.deflate || head.opcode == OP_CONTINUATION) {
            return Err(violation("a reserved bit is set"));
        }
        match (self.mode.accepts, head.opcode) {
            (Accepts::Text, OP_BINARY) => return Err(WireError::new(1003, "messages of this subprotocol are text")),
            (Accepts::Binary, OP_TEXT) => return Err(WireError::new(1003, "messages of this subprotocol are binary")),
            _ => {}
        }
        let max = self.mode.message_bytes_max;
        let before = coming.map_or(0, |partial| partial.data.len());
        match usize::try_from(head.length).ok().and_then(|length| length.checked_add(before)) {
            Some(size) if size <= max && size - before <= self.frame_bytes_max => Ok(()),
            Some(size) if size <= max => Err(WireError {
                code: 1009,
                reason: format!("a frame may have {} octets", self.frame_bytes_max).into(),
            }),
            _ => Err(too_large(max)),
        }
    }

    fn control(&mut self, opcode: u8, payload: &[u8], out: &mut Vec<u8>) -> Result<Stepped, WireError> {
        // A control frame between messages leaves nothing behind.
        if self.partial.as_ref().is_some_and(|partial| partial.message.is_none()) {
            self.partial = None;
        }
        match opcode {
            OP_PING => {
                control(OP_PONG, payload, out);
                Ok(Stepped::Nothing)
            }
            OP_PONG => Ok(Stepped::Pong),
            _ => {
                check_close(payload)?;
                control(OP_CLOSE, &payload[..payload.len().min(2)], out);
                Ok(Stepped::Closed)
            }
        }
    }
}

impl Partial {
    /// Checks what has come of a text as soon as it has come, so that nonsense is not waited for.
    fn check_text(&mut self, last: bool) -> Result<(), WireError> {
        const BAD: WireError = WireError::new(1007, "text must be UTF-8");
        match std::str::from_utf8(&self.data[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() && !last => self.checked += error.valid_up_to(),
            Err(_) => return Err(BAD),
        }
        Ok(())
    }
}

fn too_large(max: usize) -> WireError {
    WireError { code: 1009, reason: format!("a message may have {max} octets").into() }
}

/// Octets of the longest header: two, eight of length and four of mask.
const HEADER_MAX: usize = 14;

/// Reads a header; None if it is not complete.
fn parse_header(octets: &[u8], from: Sender) -> Result<Option<(Head, usize)>, WireError> {
    let [first, second, ..] = *octets else { return Ok(None) };
    if first & 0x30 != 0 {
        return Err(violation("a reserved bit is set"));
    }
    let opcode = first & 0x0f;
    if !matches!(opcode, OP_CONTINUATION | OP_TEXT | OP_BINARY | OP_CLOSE | OP_PING | OP_PONG) {
        return Err(violation("unknown opcode"));
    }
    let masked = second & 0x80 != 0;
    match from {
        Sender::Client if !masked => return Err(violation("frames of a client must be masked")),
        Sender::Server if masked => return Err(violation("frames of a server must not be masked")),
        _ => {}
    }
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let size = 2 + extended + if masked { 4 } else { 0 };
    let Some(rest) = octets.get(2..size) else { return Ok(None) };
    let (length, mask) = rest.split_at(extended);
    let length = match extended {
        0 => u64::from(second & 0x7f),
        _ => length.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)),
    };
    if length >> 63 != 0 {
        return Err(violation("the highest bit of a length is set"));
    }
    let mask = mask.first_chunk::<4>().copied().unwrap_or_default();
    let head = Head { opcode, last: first & 0x80 != 0, compressed: first & RSV1 != 0, length, mask };
    Ok(Some((head, size)))
}

/// Checks the payload of a close frame.
fn check_close(payload: &[u8]) -> Result<(), WireError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(()) } else { Err(violation("a close frame has half a code")) };
    };
    if !matches!(u16::from_be_bytes(*code), 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(violation("a close frame has a code that must not be sent"));
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(()),
        Err(_) => Err(WireError::new(1007, "the reason of a close frame must be UTF-8")),
    }
}
