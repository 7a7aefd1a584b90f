//! The stamp that every payload carries, so that a receiver can account for it without parsing the message.
//!
//! A payload is one string of fixed length: a mark, four numbers in hexadecimal, filler, and an end mark. The
//! receiver finds it at a fixed distance from the message's end, or by searching for the mark.

use std::ops::Range;

const MARK: &[u8; 4] = b"~LT~";
const END: u8 = b'!';
const WIDTHS: [usize; 4] = [4, 4, 12, 16];

/// The shortest payload that holds a stamp, in bytes.
pub(crate) const MIN_PAYLOAD: usize = 4 + 4 + 4 + 12 + 16 + 1;

/// Who sent a payload, to what, as which number of its source, and when it was meant to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Number of the publisher or caller.
    pub(crate) source: u16,
    /// Number of the topic or procedure.
    pub(crate) topic: u16,
    /// Number of the event or call among those of its source, from 0; 48 bits.
    pub(crate) sequence: u64,
    /// Intended time of sending, in nanoseconds of the run's clock.
    pub(crate) time: u64,
}

impl Stamp {
    /// Writes the stamp into the front of a payload that [`blank`] made.
    pub(crate) fn write(&self, payload: &mut [u8]) {
        let fields = [u64::from(self.source), u64::from(self.topic), self.sequence, self.time];
        let mut at = MARK.len();
        for (value, width) in fields.into_iter().zip(WIDTHS) {
            for (place, byte) in payload[at..at + width].iter_mut().rev().enumerate() {
                *byte = b"0123456789abcdef"[(value >> (4 * place)) as usize & 15];
            }
            at += width;
        }
    }

    /// Reads the stamp of a payload. None if the mark, a digit or the end mark is not as written.
    pub(crate) fn read(payload: &[u8]) -> Option<Stamp> {
        if payload.len() < MIN_PAYLOAD || !payload.starts_with(MARK) || *payload.last()? != END {
            return None;
        }
        let mut fields = [0u64; 4];
        let mut at = MARK.len();
        let mut wrong = 0;
        for (field, width) in fields.iter_mut().zip(WIDTHS) {
            for byte in &payload[at..at + width] {
                let digit = DIGITS[usize::from(*byte)];
                wrong |= digit;
                *field = *field << 4 | u64::from(digit & 15);
            }
            at += width;
        }
        let [source, topic, sequence, time] = fields;
        (wrong < 16).then_some(Stamp { source: source as u16, topic: topic as u16, sequence, time })
    }
}

/// The value of each hexadecimal digit; 16 for every other byte.
const DIGITS: [u8; 256] = {
    let mut table = [16u8; 256];
    let mut value = 0u8;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

/// A payload of `len` bytes without numbers yet. `len` is at least [`MIN_PAYLOAD`].
pub(crate) fn blank(len: usize) -> Vec<u8> {
    let mut payload = vec![b'.'; len];
    payload[..MARK.len()].copy_from_slice(MARK);
    payload[len - 1] = END;
    payload
}

/// Where the payload of `len` bytes stands in a message: tried at the very end (binary serializers), three bytes
/// before it (JSON closes a string and two lists) and two (UBJSON closes the lists), then searched for.
pub(crate) fn locate(message: &[u8], len: usize) -> Option<Range<usize>> {
    for tail in [3, 2, 0] {
        if let Some(start) = message.len().checked_sub(len + tail)
            && message[start..].starts_with(MARK)
        {
            return Some(start..start + len);
        }
    }
    let start = memchr::memmem::find(message, MARK)?;
    (start + len <= message.len()).then_some(start..start + len)
}

/// Where the payload stands in a message whose payload may have any length.
pub(crate) fn locate_any(message: &[u8]) -> Option<Range<usize>> {
    let start = memchr::memmem::find(message, MARK)?;
    let rest = message.get(start + MIN_PAYLOAD - 1..)?;
    let end = memchr::memchr(END, rest)?;
    Some(start..start + MIN_PAYLOAD + end)
}

/// The stamp of the payload of `len` bytes in a message.
pub(crate) fn find(message: &[u8], len: usize) -> Option<Stamp> {
    Stamp::read(&message[locate(message, len)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { source: 0xfedc, topic: 7, sequence: 0xabc_def0_1234, time: u64::MAX - 5 };

    #[test]
    fn survives_the_way_through_a_payload() {
        for len in [MIN_PAYLOAD, 100, 4096] {
            let mut payload = blank(len);
            STAMP.write(&mut payload);
            assert_eq!(Stamp::read(&payload), Some(STAMP));
        }
    }

    #[test]
    fn is_found_wherever_the_router_put_it() {
        let mut payload = blank(60);
        STAMP.write(&mut payload);
        for (head, tail) in [("[36,1,2,{},[\"", "\"]]"), ("x", ""), ("", "\"],{\"a\":1}]"), ("[ ", "\" ] ]")] {
            let message = [head.as_bytes(), &payload, tail.as_bytes()].concat();
            assert_eq!(find(&message, 60), Some(STAMP), "{head} {tail}");
            assert_eq!(locate_any(&message), Some(head.len()..head.len() + 60));
        }
    }

    #[test]
    fn damage_is_noticed() {
        let mut payload = blank(60);
        STAMP.write(&mut payload);
        for at in [0, 3, 4, 20, 39, 59] {
            let mut broken = payload.clone();
            broken[at] = b'#';
            assert_eq!(Stamp::read(&broken), None, "byte {at}");
        }
        assert_eq!(find(&payload[..59], 60), None);
        assert_eq!(find(b"", 60), None);
    }
}
