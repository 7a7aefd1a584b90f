//! Several messages in one piece, as the `.batched` subprotocols have it: in JSON each message is followed by a
//! separator, in the binary serializations a length of four octets stands before each.

use super::event::WireError;
use std::ops::Range;

/// Behind each message of a JSON batch: the ASCII record separator.
pub(super) const SEPARATOR: u8 = 0x1e;

/// What a widespread router writes in its place by mistake: 30 read as octal.
const SEPARATOR_MISTAKEN: u8 = 0x18;

/// Where the first message of a batch lies, and where the next one begins.
///
/// # Errors
/// The batch does not end where a message ends.
pub(super) fn first(text: bool, batch: &[u8]) -> Result<(Range<usize>, usize), WireError> {
    const fn violation(reason: &'static str) -> WireError {
        WireError::new(1002, reason)
    }
    if text {
        let end = memchr::memchr2(SEPARATOR, SEPARATOR_MISTAKEN, batch);
        let end = end.ok_or(violation("a batch must end with a record separator"))?;
        return Ok((0..end, end + 1));
    }
    let length = batch.first_chunk::<4>().ok_or(violation("a batch ends within a length"))?;
    let length = u32::from_be_bytes(*length) as usize;
    if length > batch.len() - 4 {
        return Err(violation("a batch ends within a message"));
    }
    Ok((4..length + 4, length + 4))
}

/// The messages of the body of a request, one after the other: the body itself, or those of a batch.
#[derive(Debug)]
pub struct Messages<'a> {
    rest: Option<&'a [u8]>,
    text: bool,
    batched: bool,
}

impl<'a> Messages<'a> {
    /// The messages of `body`; `text` says that they are JSON.
    #[must_use]
    pub const fn new(body: &'a [u8], text: bool, batched: bool) -> Messages<'a> {
        Messages { rest: Some(body), text, batched }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], WireError>;

    /// After an error nothing comes any more.
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        if !self.batched {
            return Some(Ok(rest));
        }
        if rest.is_empty() {
            return Some(Err(WireError::new(1002, "a batch must not be empty")));
        }
        Some(first(self.text, rest).map(|(message, next)| {
            self.rest = Some(&rest[next..]).filter(|rest| !rest.is_empty());
            &rest[message]
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &[u8], text: bool, batched: bool) -> Vec<Result<&[u8], String>> {
        Messages::new(body, text, batched).map(|message| message.map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn messages_are_found() {
        assert_eq!(split(b"[1]\x1e", true, false), [Ok(&b"[1]\x1e"[..])]);
        assert_eq!(split(b"", true, false), [Ok(&b""[..])]);
        assert_eq!(split(b"[1]\x1e[2]\x18", true, true), [Ok(&b"[1]"[..]), Ok(b"[2]")]);
        assert_eq!(split(b"\0\0\0\x01x\0\0\0\0\0\0\0\x02yz", false, true), [Ok(&b"x"[..]), Ok(b""), Ok(b"yz")]);
    }

    #[test]
    fn broken_batches_end_the_list() {
        for (body, text, good) in
            [(&b""[..], true, 0), (b"", false, 0), (b"[1]\x1e[2]", true, 1), (b"\0\0\0\0\0\0\0", false, 1)]
        {
            let found = split(body, text, true);
            assert_eq!(found.len(), good + 1, "{found:?}");
            assert!(found[good].is_err() && found[..good].iter().all(Result::is_ok), "{found:?}");
        }
        assert!(split(b"\xff\xff\xff\xffxyz", false, true)[0].is_err());
    }
}
