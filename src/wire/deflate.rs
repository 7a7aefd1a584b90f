//! permessage-deflate (RFC 7692).
//!
//! Both directions are negotiated without context takeover: each message is compressed for itself. So one compressed
//! frame serves all receivers with the same window, and an idle connection holds no compressor.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::fmt;

/// What ends each flushed block and is left out on the wire.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Final blocks in one message: two octets make one, and each costs the decompressor a new beginning.
const STREAMS_MAX: u32 = 1024;

/// Octets of scratch memory that are kept from one message to the next.
pub(super) const SCRATCH_KEPT_MAX: usize = 1 << 20;

/// Compresses messages; one per shard.
#[derive(Default)]
pub struct Deflater {
    /// By window bits, 9 to 15, made when first needed.
    windows: [Option<Compress>; 7],
    out: Vec<u8>,
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").field("out", &self.out.len()).finish_non_exhaustive()
    }
}

impl Deflater {
    /// The compressed form of a message, without the tail, for a window of `bits` (9 to 15).
    pub fn compress(&mut self, bits: u8, message: &[u8]) -> &[u8] {
        let bits = bits.clamp(9, 15);
        let slot = &mut self.windows[usize::from(bits - 9)];
        let compress = slot.get_or_insert_with(|| Compress::new_with_window_bits(Compression::fast(), false, bits));
        compress.reset();
        self.out.clear();
        self.out.shrink_to(SCRATCH_KEPT_MAX);
        loop {
            let done = usize::try_from(compress.total_in()).unwrap_or(message.len());
            self.out.reserve(64 + (message.len() - done) / 2);
            // Compression of memory to memory has no way to fail.
            let _ = compress.compress_vec(&message[done..], &mut self.out, FlushCompress::Sync);
            let consumed = compress.total_in() == message.len() as u64;
            if consumed && self.out.len() < self.out.capacity() {
                break;
            }
        }
        self.out.strip_suffix(&TAIL).unwrap_or(&self.out)
    }
}

/// Why a compressed message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// It is not deflate data.
    Corrupt,
    /// It is larger than it may be.
    TooLarge,
}

/// Decompresses messages; one per shard.
pub struct Inflater {
    decompress: Decompress,
}

impl Default for Inflater {
    fn default() -> Self {
        Inflater { decompress: Decompress::new(false) }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

impl Inflater {
    /// Appends the message to `out`, which gets `max` octets at most, whatever the compressed form claims.
    ///
    /// # Errors
    /// See [`InflateError`].
    pub fn inflate(&mut self, compressed: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), InflateError> {
        self.decompress.reset(false);
        let mut streams = 1;
        for input in [compressed, &TAIL] {
            let mut done = 0;
            loop {
                let (consumed, produced) = (self.decompress.total_in(), out.len());
                if out.len() == out.capacity() {
                    out.reserve((2 * out.len()).clamp(512, 1 << 20));
                }
                let status = self.decompress.decompress_vec(&input[done..], out, FlushDecompress::Sync);
                let status = status.map_err(|_| InflateError::Corrupt)?;
                if out.len() > max {
                    return Err(InflateError::TooLarge);
                }
                let taken = self.decompress.total_in() - consumed;
                done = usize::try_from(taken).map_or(input.len(), |taken| done + taken);
                if status == Status::StreamEnd {
                    // A final block does not end the message: its sender may go on with more blocks.
                    if streams == STREAMS_MAX {
                        return Err(InflateError::Corrupt);
                    }
                    self.decompress.reset(false);
                    streams += 1;
                }
                if done == input.len() && out.len() < out.capacity() {
                    break;
                }
                if taken == 0 && out.len() == produced && out.len() < out.capacity() {
                    return Err(InflateError::Corrupt);
                }
            }
        }
        Ok(())
    }
}

/// The answer to a `Sec-WebSocket-Extensions` header: the text to send, and the window for what the server sends, of
/// `most` bits (9 to 15) at most. `None` if nothing that is offered can be had.
#[must_use]
pub fn negotiate(offers: &str, most: u8) -> Option<(String, u8)> {
    offers.split(',').find_map(|offer| accept(offer, most))
}

fn accept(offer: &str, most: u8) -> Option<(String, u8)> {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let mut seen: Vec<String> = Vec::new();
    let mut answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover".to_owned();
    let mut bits = most;
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        let name = name.to_ascii_lowercase();
        if seen.contains(&name) {
            return None;
        }
        match (&*name, value.map(window)) {
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            // A window of 2^8 octets is legal, but zlib cannot compress into it.
            ("server_max_window_bits", Some(Some(asked @ 9..))) => bits = bits.min(asked),
            ("client_max_window_bits", None | Some(Some(_))) => {}
            _ => return None,
        }
        seen.push(name);
    }
    // It may be said without having been asked for (RFC 7692, section 7.1.2.1), and has to be if it was.
    if bits < 15 || seen.iter().any(|name| name == "server_max_window_bits") {
        answer.push_str(&format!("; server_max_window_bits={bits}"));
    }
    Some((answer, bits))
}

/// A window size: 8 to 15, without leading zeros.
fn window(text: &str) -> Option<u8> {
    matches!(text, "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15").then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back() {
        let mut deflater = Deflater::default();
        let mut inflater = Inflater::default();
        for size in [0usize, 1, 100, 5000, 300_000] {
            for bits in 9..=15 {
                let message: Vec<u8> = (0..size).map(|n| (n * n / 7 % 251) as u8).collect();
                let compressed = deflater.compress(bits, &message).to_vec();
                let mut out = Vec::new();
                inflater.inflate(&compressed, size, &mut out).unwrap();
                assert_eq!(out, message, "{size} {bits}");
            }
        }
    }

    #[test]
    fn bombs_are_stopped() {
        let compressed = Deflater::default().compress(15, &vec![0; 10_000_000]).to_vec();
        assert!(compressed.len() < 100_000);
        let mut out = Vec::new();
        assert_eq!(Inflater::default().inflate(&compressed, 1_000_000, &mut out), Err(InflateError::TooLarge));
        assert!(out.capacity() < 4_000_000);
        assert_eq!(Inflater::default().inflate(&[0xff; 50], 1000, &mut Vec::new()), Err(InflateError::Corrupt));
    }

    #[test]
    fn a_message_goes_on_behind_a_final_block() {
        let inflate = |compressed: &[u8]| {
            let mut out = Vec::new();
            Inflater::default().inflate(compressed, 100, &mut out).map(|()| out)
        };
        // The example of RFC 7692, section 7.2.3.4, once and twice.
        let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflate(&[&hello[..], &[0]].concat()), Ok(b"Hello".to_vec()));
        assert_eq!(inflate(&[&hello[..], &hello, &[0]].concat()), Ok(b"HelloHello".to_vec()));
        assert_eq!(inflate(&[&hello[..], &[0xff; 50]].concat()), Err(InflateError::Corrupt));
        let empty = [0x03, 0x00];
        assert_eq!(inflate(&[&empty.repeat(1000)[..], &[0]].concat()), Ok(Vec::new()));
        assert_eq!(inflate(&empty.repeat(2000)), Err(InflateError::Corrupt));
    }

    #[test]
    fn offers() {
        let bits = |offers| negotiate(offers, 15).map(|(_, bits)| bits);
        assert_eq!(bits("permessage-deflate"), Some(15));
        assert_eq!(bits("permessage-deflate; client_max_window_bits"), Some(15));
        assert_eq!(bits("permessage-deflate; server_max_window_bits=10"), Some(10));
        assert_eq!(bits("permessage-deflate; server_max_window_bits=8, permessage-deflate"), Some(15));
        assert_eq!(bits("x-webkit-deflate-frame"), None);
        assert_eq!(bits("permessage-deflate; server_max_window_bits=16"), None);
        assert_eq!(bits("permessage-deflate; server_max_window_bits"), None);
        assert_eq!(bits("permessage-deflate; nonsense"), None);
        assert_eq!(bits("permessage-deflate; server_no_context_takeover; server_no_context_takeover"), None);
        let (answer, _) = negotiate("permessage-deflate; server_max_window_bits=\"12\"", 15).unwrap();
        assert!(answer.ends_with("client_no_context_takeover; server_max_window_bits=12"), "{answer}");
        // A smaller window than was asked for may be had.
        for offer in ["permessage-deflate", "permessage-deflate; server_max_window_bits=12"] {
            let (answer, bits) = negotiate(offer, 10).unwrap();
            assert!(bits == 10 && answer.ends_with("; server_max_window_bits=10"), "{answer}");
        }
    }
}
