//! What a dynamic authenticator says of a client.

use super::config::{CraSalt, Grant, ScramKdf, ScramUser, Secret};
use super::crypto::unhex;
use crate::wamp::{Dict, Value};

/// A client as an authenticator knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Principal {
    /// Another authid than the client has named.
    pub(super) authid: Option<Box<str>>,
    /// What the client becomes.
    pub(super) grant: Grant,
    /// What its answer is checked with, by the method's own keys.
    pub(super) credentials: Dict,
}

impl Principal {
    /// Reads a result: a role, or a dictionary with `role`, `realm`, `authid` and `extra`. None: the client is refused,
    /// or the result makes no sense.
    pub(super) fn read(arguments: &[Value]) -> Option<Principal> {
        match arguments.first()? {
            Value::Str(role) => Some(Principal {
                grant: Grant { role: Some(role.clone()), ..Grant::default() },
                ..Principal::default()
            }),
            Value::Dict(said) => {
                let text = |key| said.str(key).ok();
                let grant = Grant {
                    role: text("role")?.map(Into::into),
                    realm: text("realm")?.map(Into::into),
                    extra: said.dict("extra").ok()?.cloned().unwrap_or_default(),
                };
                Some(Principal { authid: text("authid")?.map(Into::into), grant, credentials: said.clone() })
            }
            _ => None,
        }
    }

    /// The secret of a user of `wampcra`, and how it is salted.
    pub(super) fn cra(&self) -> Option<(Secret, Option<CraSalt>)> {
        let said = &self.credentials;
        let secret = said.str("secret").ok()?.filter(|secret| !secret.is_empty())?;
        let number = |key| said.uint(key).ok().flatten().and_then(|value| u32::try_from(value).ok());
        let salt = said.str("salt").ok()?.map(|salt| CraSalt::new(salt, number("iterations"), number("keylen")));
        let salt = salt.transpose().ok()?;
        Some((Secret(secret.as_bytes().into()), salt))
    }

    /// As a user of SCRAM.
    pub(super) fn scram(&self) -> Option<ScramUser> {
        let said = &self.credentials;
        let text = |key| said.str(key).ok().flatten();
        let number = |key| said.uint(key).ok().flatten().and_then(|value| u32::try_from(value).ok());
        let key = |key| text(key).and_then(unhex::<32>).map(|key| Secret(key.into()));
        Some(ScramUser {
            kdf: ScramKdf::by_name(text("kdf")?)?,
            iterations: number("iterations")?,
            memory: number("memory"),
            salt: data_encoding::HEXLOWER_PERMISSIVE.decode(text("salt")?.as_bytes()).ok()?,
            stored_key: key("stored-key")?,
            server_key: key("server-key")?,
            grant: self.grant.clone(),
        })
    }

    /// The key of a user of `cryptosign`.
    pub(super) fn key(&self) -> Option<[u8; 32]> {
        self.credentials.str("pubkey").ok().flatten().and_then(unhex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read() {
        let role = |role: &str| Grant { role: Some(role.into()), ..Grant::default() };
        let read = |value: Value| Principal::read(&[value]);
        assert_eq!(read("user".into()).map(|principal| principal.grant), Some(role("user")));
        let said = Dict::new().with("role", "user").with("realm", "r").with("authid", "joe").with("secret", "x");
        let principal = read(said.into()).expect("a dictionary");
        assert_eq!((principal.authid.as_deref(), principal.grant.realm.as_deref()), (Some("joe"), Some("r")));
        let short = read(Dict::new().with("secret", "x").with("salt", "s").with("keylen", 0).into());
        assert!(short.is_some_and(|principal| principal.cra().is_none()));
        assert!(principal.cra().is_some() && principal.scram().is_none() && principal.key().is_none());
        for nonsense in [Value::Null, Value::Bool(true), Value::Int(1), Dict::new().with("role", 1).into()] {
            assert_eq!(read(nonsense), None);
        }
        assert_eq!(Principal::read(&[]), None);
    }
}
