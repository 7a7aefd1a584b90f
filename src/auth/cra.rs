//! `wampcra` (specification, "WAMP Challenge-Response Authentication").

use super::config::{CraSalt, Secret};
use super::crypto::{base64, hmac_sha256, same};
use crate::wamp::Dict;
use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;

/// What the answer to a challenge is checked with.
#[derive(Debug)]
pub(super) struct Proof {
    challenge: String,
    keys: Vec<Secret>,
    known: bool,
}

/// A salted secret is written in configurations in both ways: as the user knows it, and as PBKDF2 makes it. An answer
/// by either is right. Unsalted, there is one.
#[must_use]
pub fn keys(secret: &[u8], salt: Option<&CraSalt>) -> Vec<Secret> {
    let mut keys = vec![Secret(secret.into())];
    if let Some(salt) = salt {
        keys.push(Secret(derive(secret, salt).into_bytes().into()));
    }
    keys
}

/// The key that a client derives from a password: base64 of PBKDF2 with HMAC-SHA256.
#[must_use]
pub fn derive(password: &[u8], salt: &CraSalt) -> String {
    let mut key = vec![0; salt.keylen as usize];
    pbkdf2_hmac::<Sha256>(password, salt.salt.as_bytes(), salt.iterations, &mut key);
    base64(&key)
}

impl Proof {
    /// For a user with these keys, or for somebody who is none and must not notice.
    pub(super) fn new(challenge: String, keys: Option<Vec<Secret>>, mock: &[u8]) -> Proof {
        let known = keys.is_some();
        Proof { challenge, keys: keys.unwrap_or_else(|| vec![Secret(mock.into())]), known }
    }

    /// `CHALLENGE.Extra`.
    pub(super) fn extra(&self, salt: Option<&CraSalt>) -> Dict {
        let extra = Dict::new().with("challenge", &*self.challenge);
        match salt {
            None => extra,
            Some(salt) => extra
                .with("salt", &*salt.salt)
                .with("iterations", u64::from(salt.iterations))
                .with("keylen", u64::from(salt.keylen)),
        }
    }

    /// True if the signature is right.
    pub(super) fn check(&self, signature: &str) -> bool {
        let mut right = false;
        for Secret(key) in &self.keys {
            let expected = base64(&hmac_sha256(key, self.challenge.as_bytes()));
            right |= same(expected.as_bytes(), signature.as_bytes());
        }
        right && self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salted_secret_is_derived_as_clients_do_it() {
        // RFC 7914, section 11: PBKDF2-HMAC-SHA256 of "passwd" and "salt", once; its first 16 octets.
        let salt = CraSalt { salt: "salt".into(), iterations: 1, keylen: 16 };
        assert_eq!(
            derive(b"passwd", &salt),
            base64(&[0x55, 0xac, 0x04, 0x6e, 0x56, 0xe3, 0x08, 0x9f, 0xec, 0x16, 0x91, 0xc2, 0x25, 0x44, 0xb6, 0x05])
        );
    }

    #[test]
    fn keys_that_could_be_guessed_are_refused() {
        let salt = |iterations, keylen| CraSalt::new("salt", iterations, keylen).map_err(|(name, _)| name);
        assert!(salt(None, None).is_ok() && salt(Some(1), Some(16)).is_ok());
        assert_eq!(
            (salt(None, Some(0)), salt(None, Some(15)), salt(None, Some(65))),
            (Err("keylen"), Err("keylen"), Err("keylen"))
        );
        assert_eq!((salt(Some(0), None), salt(Some(1_000_001), None)), (Err("iterations"), Err("iterations")));
    }

    #[test]
    fn only_the_right_key_gives_the_right_signature() {
        let proof = Proof::new("the challenge".into(), Some(keys(b"secret", None)), b"");
        let sign = |key: &[u8], text: &str| base64(&hmac_sha256(key, text.as_bytes()));
        assert!(proof.check(&sign(b"secret", "the challenge")));
        assert!(!proof.check(&sign(b"Secret", "the challenge")));
        assert!(!proof.check(&sign(b"secret", "another challenge")));
        assert!(!proof.check(""));
        let mock = Proof::new("the challenge".into(), None, b"mock");
        assert!(!mock.check(&sign(b"mock", "the challenge")), "nobody is not let in, whatever is signed");
    }
}
