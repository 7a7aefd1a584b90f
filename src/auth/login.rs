//! The client's side of authentication: what it offers in HELLO, how it answers a CHALLENGE, and how it makes sure that
//! the router knows its secret too (specification, "Authentication Methods").

use super::config::{CraSalt, ScramKdf, Secret};
use super::cra;
use super::crypto::{HASH_BYTES, Hash, base64, hmac_sha256, same, sha256, unbase64};
use super::scram::Dialect;
use crate::wamp::message::{Authenticate, Challenge};
use crate::wamp::{Dict, Value};
use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::{BASE64_NOPAD, HEXLOWER};
use ed25519_dalek::{Signer, SigningKey};
use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;
use std::borrow::Cow;

/// A router must not make a client work for longer than this many rounds of PBKDF2.
const PBKDF2_ITERATIONS_MAX: u32 = 10_000_000;
/// Nor this many passes over Argon2's memory.
const ARGON2_PASSES_MAX: u32 = 65_536;
/// Nor make it take more memory than this many KiB.
const ARGON2_KIB_MAX: u32 = 1 << 20;

/// What a client shows who it is with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `anonymous`: nothing.
    Anonymous,
    /// `ticket`: a secret that is shown as it is.
    Ticket(Secret),
    /// `wampcra`: a secret, or the password that a salted one is derived from.
    Cra(Secret),
    /// `wamp-scram`, and `scram` as Crossbar.io has it: a password.
    Scram(Secret),
    /// `cryptosign`: an Ed25519 private key, its 32 octets of seed.
    Cryptosign(Secret),
    /// `jwt`: a token.
    Token(Secret),
    /// `tls`: the certificate of the client, which the connection has shown already.
    Certificate,
}

impl Credential {
    /// The names of the methods, in the order in which they are offered.
    const fn methods(&self) -> &'static [&'static str] {
        match self {
            Credential::Anonymous => &["anonymous"],
            Credential::Ticket(_) => &["ticket"],
            Credential::Cra(_) => &["wampcra"],
            Credential::Scram(_) => &["wamp-scram", "scram"],
            Credential::Cryptosign(_) => &["cryptosign"],
            Credential::Token(_) => &["jwt"],
            Credential::Certificate => &["tls"],
        }
    }
}

/// A client cannot log in. For a person; names no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoginError(pub String);

fn fault<T>(text: impl Into<String>) -> Result<T, LoginError> {
    Err(LoginError(text.into()))
}

/// One client's attempt to log in.
#[derive(Debug)]
pub struct Login<'a> {
    authid: Option<Cow<'a, str>>,
    credentials: Cow<'a, [Credential]>,
    /// For SCRAM, in base64.
    nonce: String,
    /// What the router has to prove itself with, under this key.
    verifier: Option<(&'static str, String)>,
}

impl<'a> Login<'a> {
    /// As `authid`, if the client is somebody, with the first of these credentials that the router takes. `nonce` has to be
    /// drawn at random for each attempt.
    #[must_use]
    pub fn new(authid: Option<&'a str>, credentials: &'a [Credential], nonce: [u8; 16]) -> Login<'a> {
        let (authid, credentials) = (authid.map(Cow::Borrowed), Cow::Borrowed(credentials));
        Login { authid, credentials, nonce: base64(&nonce), verifier: None }
    }

    /// The same, with credentials of its own: for another thread.
    #[must_use]
    pub fn into_owned(self) -> Login<'static> {
        let authid = self.authid.map(|authid| Cow::Owned(authid.into_owned()));
        let credentials = Cow::Owned(self.credentials.into_owned());
        Login { authid, credentials, nonce: self.nonce, verifier: self.verifier }
    }

    /// Adds `authid`, `authmethods` and `authextra` to `HELLO.Details`; `authextra` holds what the client wants to say
    /// besides.
    ///
    /// # Errors
    /// A key is no key.
    pub fn introduce(&self, details: &mut Dict, mut authextra: Dict) -> Result<(), LoginError> {
        if let Some(authid) = &self.authid {
            details.push("authid", &**authid);
        }
        let mut methods: Vec<&str> = self.credentials.iter().flat_map(Credential::methods).copied().collect();
        // Crossbar.io lets nobody in who offers what it does not know before what it wants. Other routers know no `scram`.
        methods.sort_by_key(|name| *name == "wamp-scram");
        let methods: Vec<Value> = methods.into_iter().map(Value::from).collect();
        if !methods.is_empty() {
            details.push("authmethods", methods);
        }
        for credential in &*self.credentials {
            match credential {
                Credential::Scram(_) => authextra.push("nonce", &*self.nonce),
                Credential::Cryptosign(key) => {
                    let key = signing_key(key)?.verifying_key();
                    authextra.push("pubkey", HEXLOWER.encode(key.as_bytes()));
                }
                _ => {}
            }
        }
        if !authextra.is_empty() {
            details.push("authextra", authextra);
        }
        Ok(())
    }

    /// Answers a CHALLENGE. A password may take a second to be derived from: not for a thread that must not wait.
    ///
    /// # Errors
    /// The method was not offered, or the challenge is none that can be answered safely.
    pub fn answer(&mut self, challenge: &Challenge) -> Result<Authenticate, LoginError> {
        let method = &*challenge.method;
        let Some(credential) = self.credentials.iter().find(|one| one.methods().contains(&method)).cloned() else {
            return fault(format!("the router asks for '{method}', which was not offered"));
        };
        let plain = |signature: String| Authenticate { signature: signature.into(), extra: Dict::new() };
        match &credential {
            Credential::Ticket(secret) | Credential::Token(secret) => match std::str::from_utf8(&secret.0) {
                Ok(text) => Ok(plain(text.to_owned())),
                Err(_) => fault(format!("what is shown for '{method}' must be text")),
            },
            Credential::Cra(secret) => sign_cra(secret, &challenge.extra).map(plain),
            Credential::Cryptosign(key) => sign_key(key, &challenge.extra).map(plain),
            Credential::Scram(password) if method == "scram" => {
                self.prove(Dialect::Crossbar, password, &challenge.extra)
            }
            Credential::Scram(password) => self.prove(Dialect::Specified, password, &challenge.extra),
            Credential::Anonymous | Credential::Certificate => {
                fault(format!("the router asks a question where '{method}' has none"))
            }
        }
    }

    /// Looks whether the router that has said WELCOME knows the secret, where the method lets it show that.
    ///
    /// # Errors
    /// It does not: it is not the router that it should be.
    pub fn confirm(&self, welcome: &Dict) -> Result<(), LoginError> {
        let Some((key, expected)) = &self.verifier else { return Ok(()) };
        let said = welcome.dict("authextra").ok().flatten().and_then(|extra| extra.get(key)).and_then(Value::as_str);
        match said {
            Some(said) if same(said.as_bytes(), expected.as_bytes()) => Ok(()),
            _ => fault("the router has not shown that it knows the password"),
        }
    }

    fn prove(&mut self, dialect: Dialect, password: &Secret, extra: &Dict) -> Result<Authenticate, LoginError> {
        let text = |key: &'static str| match extra.str(key) {
            Ok(Some(text)) => Ok(text),
            _ => fault(format!("the challenge has no '{key}'")),
        };
        let (nonce, kdf, salt) = (text("nonce")?, text("kdf")?, text("salt")?);
        let number = |key: &'static str| extra.uint(key).ok().flatten().and_then(|value| u32::try_from(value).ok());
        let Some(iterations) = number("iterations") else { return fault("the challenge has no 'iterations'") };
        let begun = match dialect {
            Dialect::Specified => nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce),
            Dialect::Crossbar => match (unbase64(nonce), unbase64(&self.nonce)) {
                (Some(both), Some(own)) => both.len() > own.len() && both.starts_with(&own),
                _ => false,
            },
        };
        if !begun {
            return fault("the nonce of the router does not begin with that of the client");
        }
        let prepared = stringprep::saslprep(self.authid.as_deref().unwrap_or_default())
            .map_err(|_| LoginError("the authid has characters that SCRAM does not allow".into()))?;
        let (name, binding) = match dialect {
            Dialect::Specified => (prepared.replace('=', "=3D").replace(',', "=2C"), "biws"),
            Dialect::Crossbar => (prepared.into_owned(), ""),
        };
        let message =
            format!("n={name},r={},r={nonce},s={salt},i={iterations},c={binding},r={nonce}", self.nonce).into_bytes();
        let Some(salt) = unbase64(salt) else { return fault("the salt is not base64") };
        let cost = Cost { iterations, memory: number("memory") };
        let salted = salted(kdf, dialect, password, &salt, cost)?;
        let client_key = hmac_sha256(&salted, b"Client Key");
        let signature = hmac_sha256(&sha256(&client_key), &message);
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(one, other)| one ^ other).collect();
        let shown = base64(&hmac_sha256(&hmac_sha256(&salted, b"Server Key"), &message));
        self.verifier = Some(match dialect {
            Dialect::Specified => ("verifier", format!("v={shown}")),
            Dialect::Crossbar => ("scram_server_signature", shown),
        });
        let extra =
            Dict::new().with("nonce", nonce).with("channel_binding", Value::Null).with("cbind_data", Value::Null);
        let extra = if dialect == Dialect::Specified { extra } else { Dict::new() };
        Ok(Authenticate { signature: base64(&proof).into(), extra })
    }
}

fn sign_cra(secret: &Secret, extra: &Dict) -> Result<String, LoginError> {
    let Ok(Some(challenge)) = extra.str("challenge") else { return fault("the challenge has no 'challenge'") };
    let salt = extra.str("salt").ok().flatten().filter(|salt| !salt.is_empty());
    let key = match salt {
        None => secret.0.to_vec(),
        Some(salt) => {
            let number = |key: &'static str| extra.uint(key).ok().flatten().and_then(|value| u32::try_from(value).ok());
            let salt = CraSalt::new(salt, number("iterations"), number("keylen"))
                .map_err(|(name, _)| LoginError(format!("the challenge has '{name}' that cannot be taken")))?;
            cra::derive(&secret.0, &salt).into_bytes()
        }
    };
    Ok(base64(&hmac_sha256(&key, challenge.as_bytes())))
}

fn signing_key(secret: &Secret) -> Result<SigningKey, LoginError> {
    match <&[u8; 32]>::try_from(&*secret.0) {
        Ok(seed) => Ok(SigningKey::from_bytes(seed)),
        Err(_) => fault("a private key of Ed25519 has 32 octets"),
    }
}

fn sign_key(secret: &Secret, extra: &Dict) -> Result<String, LoginError> {
    if extra.str("channel_binding").ok().flatten().is_some_and(|binding| !binding.is_empty()) {
        return fault("the router asks for a channel binding that was not offered");
    }
    let challenge = extra.str("challenge").ok().flatten().and_then(super::crypto::unhex::<32>);
    let Some(challenge) = challenge else { return fault("the challenge is not 32 octets in hexadecimal digits") };
    let signature = signing_key(secret)?.sign(&challenge);
    Ok(HEXLOWER.encode(&[&signature.to_bytes()[..], &challenge].concat()))
}

/// What a router asks the client to spend.
#[derive(Clone, Copy)]
struct Cost {
    iterations: u32,
    /// In KiB.
    memory: Option<u32>,
}

/// The salted password of SCRAM. Where Crossbar.io derives with Argon2, it goes on with the base64 text of the hash.
fn salted(kdf: &str, dialect: Dialect, password: &Secret, salt: &[u8], cost: Cost) -> Result<Vec<u8>, LoginError> {
    let text = std::str::from_utf8(&password.0).ok().and_then(|text| stringprep::saslprep(text).ok());
    let Some(text) = text else { return fault("the password has characters that SCRAM does not allow") };
    let mut hash: Hash = [0; HASH_BYTES];
    match ScramKdf::by_name(kdf) {
        Some(ScramKdf::Pbkdf2) if (1..=PBKDF2_ITERATIONS_MAX).contains(&cost.iterations) => {
            pbkdf2_hmac::<Sha256>(text.as_bytes(), salt, cost.iterations, &mut hash);
            Ok(hash.to_vec())
        }
        Some(ScramKdf::Argon2id13) => {
            let memory = cost.memory.filter(|memory| *memory <= ARGON2_KIB_MAX);
            let params = memory.filter(|_| cost.iterations <= ARGON2_PASSES_MAX);
            let params = params.and_then(|memory| Params::new(memory, cost.iterations, 1, Some(HASH_BYTES)).ok());
            let Some(params) = params else { return fault("the challenge has costs that cannot be taken") };
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let done = argon2.hash_password_into(text.as_bytes(), salt, &mut hash);
            done.map_err(|why| LoginError(format!("the password cannot be derived from: {why}")))?;
            match dialect {
                Dialect::Specified => Ok(hash.to_vec()),
                Dialect::Crossbar => Ok(BASE64_NOPAD.encode(&hash).into_bytes()),
            }
        }
        Some(ScramKdf::Pbkdf2) => fault("the challenge has costs that cannot be taken"),
        None => fault(format!("the router derives with '{kdf}', which is not known")),
    }
}

#[cfg(test)]
mod tests;
