//! How the clients of one transport may say who they are, as plain data.
//!
//! Secrets stand here as they were read. They are never printed: their types show nothing in `Debug`.

use super::jwt::JwtConfig;
use super::reach::Reach;
use crate::wamp::{Dict, Uri};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// A secret. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Box<[u8]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What the shards of a router know of authentication.
#[derive(Clone, Default)]
pub struct AuthSettings {
    /// The methods of each transport, by its index.
    pub transports: Vec<AuthConfig>,
    /// Random octets, from which challenges are made.
    pub secret: [u8; 32],
}

impl fmt::Debug for AuthSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthSettings").field("transports", &self.transports).finish_non_exhaustive()
    }
}

/// The methods of one transport.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthConfig {
    /// Clients that do not say who they are. If no method at all is configured, this one is, as its default is.
    pub anonymous: Option<Source<Anonymous>>,
    /// `ticket`: users by authid.
    pub ticket: Option<Source<BTreeMap<Box<str>, TicketUser>>>,
    /// `wampcra`: users by authid.
    pub wampcra: Option<Source<BTreeMap<Box<str>, CraUser>>>,
    /// `scram` and `wamp-scram`: users by authid.
    pub scram: Option<Source<BTreeMap<Box<str>, ScramUser>>>,
    /// `cryptosign`.
    pub cryptosign: Option<Source<Cryptosign>>,
    /// `tls`: the client certificate says it.
    pub tls: Option<Source<TlsUsers>>,
    /// `jwt`: a signed token says it.
    pub jwt: Option<JwtConfig>,
    /// `cookie`: who has logged in with the same cookie by another method.
    pub cookie: bool,
    /// Where those may go who are let in.
    pub reach: Reach,
}

/// Who decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Source<S> {
    /// What stands in the configuration.
    Static(S),
    /// An authenticator, who is told realm, authid and details. It gives a role, or a dictionary.
    Dynamic(Dynamic),
}

/// A dynamic authenticator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dynamic {
    /// A procedure.
    Procedure {
        /// Its name.
        procedure: Uri,
        /// The realm in which it is registered; the one that the client wants to join if there is none.
        realm: Option<Uri>,
    },
    /// An application that is asked over HTTP.
    Http(Callout),
    /// A function in Python: the procedure by which its process offers it, in the realm of such functions.
    Function(Uri),
}

/// An application that is sent a POST with a JSON object: `realm`, `authid`, `details`. With the status 200 it answers as
/// a procedure does, in JSON; 401, 403 and 404 are no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    /// `http` or `https`.
    pub url: Box<str>,
    /// Headers beside the usual ones; often secrets by which the application knows the router.
    pub headers: Vec<(Box<str>, Secret)>,
}

/// What a user becomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grant {
    /// The role; `anonymous` for anonymous clients if there is none, and refused for others.
    pub role: Option<Box<str>>,
    /// The only realm that may be joined.
    pub realm: Option<Uri>,
    /// `WELCOME.Details.authextra`.
    pub extra: Dict,
}

/// Everybody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Anonymous {
    /// What they become.
    pub grant: Grant,
    /// The authid that they all get; a random one each if there is none.
    pub authid: Option<Box<str>>,
}

/// A user with a ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct TicketUser {
    /// The ticket.
    pub ticket: Secret,
    /// What the user becomes.
    pub grant: Grant,
}

/// A user with a secret for WAMP-CRA.
#[derive(Clone, Debug, PartialEq)]
pub struct CraUser {
    /// What clients may sign with: the secret, and if it is salted also what PBKDF2 makes of it.
    pub keys: Vec<Secret>,
    /// How a client derives it from what its user knows.
    pub salt: Option<CraSalt>,
    /// What the user becomes.
    pub grant: Grant,
}

impl CraUser {
    /// A user with this secret; derives the key if it is salted, which takes its time.
    #[must_use]
    pub fn new(secret: &[u8], salt: Option<CraSalt>, grant: Grant) -> CraUser {
        CraUser { keys: super::cra::keys(secret, salt.as_ref()), salt, grant }
    }
}

/// Salting of a WAMP-CRA secret (PBKDF2 with HMAC-SHA256).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CraSalt {
    pub(super) salt: Box<str>,
    pub(super) iterations: u32,
    pub(super) keylen: u32,
}

impl CraSalt {
    /// How often PBKDF2 may be applied.
    pub const ITERATIONS: RangeInclusive<u32> = 1..=1_000_000;
    /// Octets of a key. With fewer it could be guessed; with none, everybody has it.
    pub const KEYLEN: RangeInclusive<u32> = 16..=64;

    /// A salt, how often PBKDF2 is applied (1000 times if nothing is said), and the octets of the key (32).
    ///
    /// # Errors
    /// A number is out of its range; a text for people, with the name of the number before it.
    pub fn new(salt: &str, iterations: Option<u32>, keylen: Option<u32>) -> Result<CraSalt, (&'static str, String)> {
        let (iterations, keylen) = (iterations.unwrap_or(1000), keylen.unwrap_or(32));
        for (name, value, range) in
            [("iterations", iterations, CraSalt::ITERATIONS), ("keylen", keylen, CraSalt::KEYLEN)]
        {
            if !range.contains(&value) {
                return Err((name, format!("is {value}, not from {} to {}", range.start(), range.end())));
            }
        }
        Ok(CraSalt { salt: salt.into(), iterations, keylen })
    }
}

/// A user of SCRAM.
#[derive(Clone, Debug, PartialEq)]
pub struct ScramUser {
    /// How a client derives the salted password.
    pub kdf: ScramKdf,
    /// How often.
    pub iterations: u32,
    /// Argon2's memory in KiB.
    pub memory: Option<u32>,
    /// The salt.
    pub salt: Vec<u8>,
    /// What proofs are checked with.
    pub stored_key: Secret,
    /// What the router proves itself with.
    pub server_key: Secret,
    /// What the user becomes.
    pub grant: Grant,
}

/// How SCRAM derives keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramKdf {
    /// `argon2id-13`.
    Argon2id13,
    /// `pbkdf2`, with HMAC-SHA256.
    Pbkdf2,
}

impl ScramKdf {
    /// Either spelling of Argon2 is taken.
    #[must_use]
    pub fn by_name(name: &str) -> Option<ScramKdf> {
        match name {
            "argon2id-13" | "argon2id13" => Some(ScramKdf::Argon2id13),
            "pbkdf2" => Some(ScramKdf::Pbkdf2),
            _ => None,
        }
    }
}

/// Users with Ed25519 keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cryptosign {
    /// By authid.
    pub users: BTreeMap<Box<str>, KeyUser>,
}

/// A user with Ed25519 keys.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyUser {
    /// Public keys, any of which will do.
    pub keys: Vec<[u8; 32]>,
    /// What the user becomes.
    pub grant: Grant,
}

/// Users with client certificates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsUsers {
    /// By the certificate's common name, or by its SHA-256 fingerprint in lower-case hexadecimal digits.
    pub users: BTreeMap<Box<str>, Grant>,
    /// By the certificate's SHA-1 fingerprint, as Crossbar.io has them: the authid, and what the user becomes.
    pub by_sha1: BTreeMap<[u8; 20], (Box<str>, Grant)>,
    /// What all others become whose certificate was verified; none: they are refused.
    pub default: Option<Grant>,
}
