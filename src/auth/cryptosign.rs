//! `cryptosign` (specification, "Cryptosign-based Authentication").

use super::config::Cryptosign;
use super::crypto::{Entropy, unhex};
use super::peer::Peer;
use crate::wamp::{Dict, Value};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};

/// What the answer to a challenge is checked with.
#[derive(Debug)]
pub(super) struct Proof {
    challenge: [u8; 32],
    /// What has to be signed.
    message: [u8; 32],
    key: [u8; 32],
    binding: Option<&'static str>,
    known: bool,
}

/// The user whom a client means: the one that it names, or the only one who has its key. The key is the one that the
/// client names, or the user's only one.
pub(super) fn find<'a>(
    users: &'a Cryptosign,
    authid: Option<&str>,
    authextra: Option<&Dict>,
) -> Option<(&'a str, [u8; 32])> {
    let named = authextra.and_then(|extra| extra.get("pubkey")).and_then(Value::as_str);
    let key = named.and_then(unhex::<32>);
    if named.is_some() && key.is_none() {
        return None;
    }
    match authid {
        Some(authid) => {
            let (name, user) = users.users.get_key_value(authid)?;
            let key = match (key, &*user.keys) {
                (Some(key), keys) => *keys.iter().find(|known| **known == key)?,
                (None, [only]) => *only,
                (None, _) => return None,
            };
            Some((name, key))
        }
        None => {
            let key = key?;
            let mut having = users.users.iter().filter(|(_, user)| user.keys.contains(&key));
            let (name, _) = having.next()?;
            having.next().is_none().then_some((&**name, key))
        }
    }
}

/// A key that nobody has: a valid one, so that checking with it takes its time.
pub(super) fn mock_key(secret: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(&Entropy::fixed(secret, "cryptosign")).verifying_key().to_bytes()
}

impl Proof {
    /// For a key, or for somebody who is nobody and must not notice. None: a channel binding is asked for that is not
    /// to be had.
    pub(super) fn new(
        key: Option<[u8; 32]>,
        mock: [u8; 32],
        authextra: Option<&Dict>,
        peer: &Peer,
        challenge: [u8; 32],
    ) -> Option<Proof> {
        let wanted = authextra.and_then(|extra| extra.get("channel_binding")).and_then(Value::as_str);
        let exporter = peer.tls.as_ref().and_then(|tls| tls.exporter);
        let (binding, message) = match (wanted, exporter) {
            (None | Some(""), _) => (None, challenge),
            (Some("tls-exporter"), Some(exporter)) => {
                let mut bound = challenge;
                bound.iter_mut().zip(exporter).for_each(|(octet, other)| *octet ^= other);
                (Some("tls-exporter"), bound)
            }
            // Links of Crossbar.io ask for it always, and without TLS mean 32 zeros by it.
            (Some("tls-unique"), None) if peer.tls.is_none() => (None, challenge),
            // TLS 1.3 has no `tls-unique`, and before that it is unsafe without more.
            _ => return None,
        };
        Some(Proof { challenge, message, key: key.unwrap_or(mock), binding, known: key.is_some() })
    }

    /// `CHALLENGE.Extra`.
    pub(super) fn extra(&self) -> Dict {
        let binding = self.binding.map_or(Value::Null, Value::from);
        Dict::new().with("challenge", HEXLOWER.encode(&self.challenge)).with("channel_binding", binding)
    }

    /// True if the signature is right: 64 octets, and the 32 that have been signed.
    pub(super) fn check(&self, signature: &str) -> bool {
        let Some(answer) = unhex::<96>(signature) else { return false };
        let (signature, signed) = answer.split_at(64);
        let signature = Signature::from_slice(signature);
        let key = VerifyingKey::from_bytes(&self.key);
        let right = match (key, signature) {
            (Ok(key), Ok(signature)) => key.verify_strict(&self.message, &signature).is_ok(),
            _ => false,
        };
        right && self.known && *signed == self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::TlsPeer;
    use crate::auth::config::KeyUser;
    use ed25519_dalek::Signer;

    fn octets(text: &str) -> [u8; 32] {
        unhex(text).expect("32 octets")
    }

    /// Vectors of the specification's chapter: private key, challenge, signature; the second with a channel id.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let challenge = octets("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
        let signing =
            SigningKey::from_bytes(&octets("4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510"));
        let key = signing.verifying_key().to_bytes();
        let plain = "b32675b221f08593213737bef8240e7c15228b07028e19595294678c90d11c0cae80a357331bfc5cc9fb71081464e6e75013517c2cf067ad566a6b7b728e5d03ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
        let proof = Proof::new(Some(key), [0; 32], None, &Peer::default(), challenge).expect("no binding");
        assert!(proof.check(plain));
        assert!(!proof.check(&plain.replacen('b', "c", 1)));
        assert!(!proof.check(&plain[..128]), "the message is missing");
        let exporter = octets("62e935ae755f3d48f80d4d59f6121358c435722a67e859cc0caa8b539027f2ff");
        let tls = Some(Box::new(TlsPeer { exporter: Some(exporter), ..TlsPeer::default() }));
        let peer = Peer { tls, ..Peer::default() };
        let extra = Dict::new().with("channel_binding", "tls-exporter");
        let bound = "9b6f41540c9b95b4b7b281c3042fa9c54cef43c842d62ea3fd6030fcb66e70b3e80d49d44c29d1635da9348d02ec93f3ed1ef227dfb59a07b580095c2b82f80f9d16ca518aa0c2b707f2b2a609edeca73bca8dd59817a633f35574ac6fd80d00";
        let proof = Proof::new(Some(key), [0; 32], Some(&extra), &peer, challenge).expect("a binding");
        assert!(proof.check(bound) && !proof.check(plain));
        assert!(Proof::new(Some(key), [0; 32], Some(&extra), &Peer::default(), challenge).is_none(), "no TLS");
        let unique = Dict::new().with("channel_binding", "tls-unique");
        assert!(Proof::new(Some(key), [0; 32], Some(&unique), &peer, challenge).is_none(), "TLS 1.3 has none");
        let proof = Proof::new(Some(key), [0; 32], Some(&unique), &Peer::default(), challenge).expect("zeros");
        assert!(proof.check(plain));
    }

    #[test]
    fn nobody_is_let_in_by_a_mock() {
        let signing = SigningKey::from_bytes(&[7; 32]);
        let proof = Proof::new(None, signing.verifying_key().to_bytes(), None, &Peer::default(), [1; 32]);
        let answer = [&signing.sign(&[1; 32]).to_bytes()[..], &[1; 32]].concat();
        assert!(!proof.expect("no binding").check(&HEXLOWER.encode(&answer)));
    }

    #[test]
    fn users_are_found_by_name_or_key() {
        let user =
            |keys: &[u8]| KeyUser { keys: keys.iter().map(|key| [*key; 32]).collect(), grant: Default::default() };
        let users = [("one", user(&[1])), ("two", user(&[2, 3])), ("twin", user(&[3]))];
        let users = Cryptosign { users: users.into_iter().map(|(name, user)| (name.into(), user)).collect() };
        let extra = |key: u8| Dict::new().with("pubkey", HEXLOWER.encode(&[key; 32]));
        let found =
            |authid, key: Option<u8>| find(&users, authid, key.map(extra).as_ref()).map(|(name, key)| (name, key[0]));
        assert_eq!(found(Some("one"), None), Some(("one", 1)));
        assert_eq!(found(Some("one"), Some(2)), None, "somebody else's key");
        assert_eq!(found(Some("two"), None), None, "which key?");
        assert_eq!(found(Some("two"), Some(3)), Some(("two", 3)));
        assert_eq!(found(None, Some(2)), Some(("two", 2)));
        assert_eq!(found(None, Some(3)), None, "two users have it");
        assert_eq!(found(None, None), None);
        assert_eq!(found(Some("three"), Some(1)), None);
    }
}
