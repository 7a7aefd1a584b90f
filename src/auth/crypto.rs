//! The primitives that the methods share.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// Octets of a SHA-256 hash.
pub(crate) const HASH_BYTES: usize = 32;

/// A SHA-256 hash.
pub(crate) type Hash = [u8; HASH_BYTES];

pub(super) fn sha256(data: &[u8]) -> Hash {
    Sha256::digest(data).into()
}

/// For fingerprints that others have chosen; not for anything new.
pub(super) fn sha1(data: &[u8]) -> [u8; 20] {
    Sha1::digest(data).into()
}

/// HMAC with SHA-256.
pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> Hash {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// Compares in a time that depends on the lengths alone.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

pub(super) fn base64(data: &[u8]) -> String {
    BASE64.encode(data)
}

pub(super) fn unbase64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

/// Reads hexadecimal digits, with or without `0x` before them.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

/// Unpredictable octets, from one secret: HMAC-SHA256 of a counter. The core has no randomness of its own.
#[derive(Default)]
pub struct Entropy {
    key: Hash,
    drawn: u64,
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entropy").field("drawn", &self.drawn).finish_non_exhaustive()
    }
}

impl Entropy {
    /// A source of its own for each shard; `secret` comes from the operating system.
    #[must_use]
    pub fn new(secret: &[u8; 32], shard: u16) -> Entropy {
        // Apart from what is made of names.
        Entropy { key: hmac_sha256(secret, &[b"shard:", &shard.to_be_bytes()[..]].concat()), drawn: 0 }
    }

    /// 32 octets that nobody can foretell.
    pub fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        hmac_sha256(&self.key, &self.drawn.to_be_bytes())
    }

    /// The same for the same name, and unknown to everybody else.
    pub(super) fn fixed(secret: &[u8; 32], name: &str) -> Hash {
        hmac_sha256(secret, &[b"name:", name.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(HEXLOWER.encode(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")), expected);
    }

    #[test]
    fn no_name_gives_the_key_of_a_shard() {
        assert_ne!(Entropy::fixed(&[1; 32], "\0\0"), Entropy::new(&[1; 32], 0).key);
    }

    #[test]
    fn nothing_is_drawn_twice() {
        let (mut one, mut other) = (Entropy::new(&[1; 32], 0), Entropy::new(&[1; 32], 1));
        let drawn = [one.draw(), one.draw(), other.draw(), other.draw()];
        for (at, octets) in drawn.iter().enumerate() {
            assert!(!drawn[..at].contains(octets));
        }
    }
}
