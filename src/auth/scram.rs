//! `wamp-scram` as the specification has it, and `scram` as Crossbar.io and its clients speak it (specification, "Salted
//! Challenge Response Authentication"; RFC 5802, RFC 7677).
//!
//! The dialects differ in what is signed: `scram` leaves the channel binding empty where `wamp-scram` says in base64
//! that there is none, and they give the router's own proof under different names.

use super::config::{ScramKdf, ScramUser};
use super::crypto::{HASH_BYTES, Hash, base64, hmac_sha256, same, sha256, unbase64};
use crate::wamp::Dict;

/// How SCRAM is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `wamp-scram`.
    Specified,
    /// `scram`.
    Crossbar,
}

/// What the answer to a challenge is checked with.
#[derive(Debug)]
pub(super) struct Proof {
    dialect: Dialect,
    first: String,
    nonce: String,
    user: ScramUser,
    known: bool,
}

impl Proof {
    /// Begins with the client's nonce. None: it is no base64, or a channel binding is asked for, which is not to be
    /// had.
    pub(super) fn new(
        dialect: Dialect,
        authid: &str,
        authextra: Option<&Dict>,
        user: Result<&ScramUser, ScramUser>,
        random: &[u8],
    ) -> Option<Proof> {
        let client_nonce = authextra?.get("nonce")?.as_str()?;
        let octets = unbase64(client_nonce).filter(|octets| !octets.is_empty())?;
        if authextra?
            .get("channel_binding")
            .is_some_and(|binding| binding.as_str().is_some_and(|text| !text.is_empty()))
        {
            return None;
        }
        // One base64 text for both nonces, or one behind the other: both are longer than the client's.
        let nonce = match dialect {
            Dialect::Specified => format!("{client_nonce}{}", base64(random)),
            Dialect::Crossbar => base64(&[&octets, random].concat()),
        };
        let prepared = stringprep::saslprep(authid).ok()?;
        let known = user.is_ok();
        let user = user.map_or_else(|mock| mock, ScramUser::clone);
        let name = match dialect {
            Dialect::Specified => prepared.replace('=', "=3D").replace(',', "=2C"),
            Dialect::Crossbar => prepared.into_owned(),
        };
        let first = format!("n={name},r={client_nonce},r={nonce},s={},i={}", base64(&user.salt), user.iterations);
        Some(Proof { dialect, first, nonce, user, known })
    }

    /// `CHALLENGE.Extra`.
    pub(super) fn extra(&self) -> Dict {
        let kdf = match (self.user.kdf, self.dialect) {
            (ScramKdf::Pbkdf2, _) => "pbkdf2",
            (ScramKdf::Argon2id13, Dialect::Specified) => "argon2id13",
            (ScramKdf::Argon2id13, Dialect::Crossbar) => "argon2id-13",
        };
        let extra = Dict::new()
            .with("nonce", &*self.nonce)
            .with("kdf", kdf)
            .with("salt", base64(&self.user.salt))
            .with("iterations", u64::from(self.user.iterations));
        match self.user.memory {
            Some(memory) => extra.with("memory", u64::from(memory)),
            None if self.dialect == Dialect::Specified => extra.with("memory", crate::wamp::Value::Null),
            None => extra,
        }
    }

    /// What the router proves itself with, as `WELCOME.Details.authextra`, if the signature is right.
    pub(super) fn check(&self, signature: &str, extra: &Dict) -> Option<Dict> {
        let binding = match self.dialect {
            Dialect::Specified => "biws",
            Dialect::Crossbar => "",
        };
        let message = format!("{},c={binding},r={}", self.first, self.nonce);
        let expected = hmac_sha256(&self.user.stored_key.0, message.as_bytes());
        let proof: Hash = unbase64(signature).and_then(|proof| proof.try_into().ok()).unwrap_or([0; HASH_BYTES]);
        let client_key: Vec<u8> = expected.iter().zip(proof).map(|(one, other)| one ^ other).collect();
        let right = same(&sha256(&client_key), &self.user.stored_key.0);
        let same_nonce = match (extra.get("nonce").and_then(|nonce| nonce.as_str()), self.dialect) {
            (Some(nonce), _) => nonce == self.nonce,
            (None, dialect) => dialect == Dialect::Crossbar,
        };
        let unbound = ["channel_binding", "cbind_data"]
            .iter()
            .all(|key| extra.get(key).is_none_or(|value| value.as_str().is_none_or(str::is_empty)));
        if !(right && self.known && same_nonce && unbound) {
            return None;
        }
        let verifier = base64(&hmac_sha256(&self.user.server_key.0, message.as_bytes()));
        Some(match self.dialect {
            Dialect::Specified => Dict::new().with("verifier", format!("v={verifier}")),
            Dialect::Crossbar => Dict::new().with("scram_server_signature", verifier),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::config::{Grant, Secret};
    use pbkdf2::pbkdf2_hmac;
    use sha2::Sha256;

    fn user(password: &[u8], salt: &[u8], iterations: u32) -> (ScramUser, Hash) {
        let mut salted = [0; 32];
        pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted);
        let client_key = hmac_sha256(&salted, b"Client Key");
        let user = ScramUser {
            kdf: ScramKdf::Pbkdf2,
            iterations,
            memory: None,
            salt: salt.into(),
            stored_key: Secret(sha256(&client_key).into()),
            server_key: Secret(hmac_sha256(&salted, b"Server Key").into()),
            grant: Grant::default(),
        };
        (user, client_key)
    }

    /// The exchange of RFC 7677, section 3.
    #[test]
    fn the_signature_is_that_of_rfc_7677() {
        let salt = unbase64("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let (user, _) = user(b"pencil", &salt, 4096);
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let first = format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let proof = Proof { dialect: Dialect::Specified, first, nonce: nonce.into(), user, known: true };
        let extra = Dict::new().with("nonce", nonce);
        let verifier = proof.check("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", &extra).expect("the right proof");
        let expected = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(verifier.str("verifier"), Ok(Some(expected)));
        assert_eq!(proof.check("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVR=", &extra), None);
        assert_eq!(proof.check("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", &Dict::new()), None, "no nonce");
        assert_eq!(proof.check("", &extra), None);
    }

    #[test]
    fn nobody_is_let_in_by_a_mock() {
        let (mock, client_key) = user(b"x", b"salt", 1);
        let extra = Dict::new().with("nonce", "AAAA");
        for dialect in [Dialect::Specified, Dialect::Crossbar] {
            let sign = |proof: &Proof| {
                let binding = if dialect == Dialect::Specified { "biws" } else { "" };
                let message = format!("{},c={binding},r={}", proof.first, proof.nonce);
                let expected = hmac_sha256(&proof.user.stored_key.0, message.as_bytes());
                base64(&expected.iter().zip(client_key).map(|(one, other)| one ^ other).collect::<Vec<_>>())
            };
            let real = Proof::new(dialect, "a,b", Some(&extra), Ok(&mock), &[1; 16]).expect("well formed");
            let answer = Dict::new().with("nonce", &*real.nonce);
            assert!(real.check(&sign(&real), &answer).is_some());
            let proof = Proof::new(dialect, "a,b", Some(&extra), Err(mock.clone()), &[1; 16]).expect("well formed");
            assert_eq!(proof.check(&sign(&proof), &answer), None);
        }
    }

    #[test]
    fn what_cannot_be_answered() {
        let (user, _) = user(b"x", b"salt", 1);
        let begin = |extra: Dict| Proof::new(Dialect::Specified, "a", Some(&extra), Ok(&user), &[1; 16]);
        assert!(begin(Dict::new().with("nonce", "AAAA")).is_some());
        assert!(begin(Dict::new()).is_none());
        assert!(begin(Dict::new().with("nonce", "")).is_none());
        assert!(begin(Dict::new().with("nonce", "?")).is_none());
        assert!(begin(Dict::new().with("nonce", "AAAA").with("channel_binding", "tls-unique")).is_none());
    }
}
