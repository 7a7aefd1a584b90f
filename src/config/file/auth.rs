//! How the clients of a transport say who they are.

use super::jwt::read_jwt;
use super::{Fault, Read, read};
use crate::auth::AuthConfig;
use crate::auth::config::{
    Anonymous, Callout, CraSalt, CraUser, Cryptosign, Dynamic, Grant, KeyUser, ScramKdf, ScramUser, Secret, Source,
    TicketUser, TlsUsers,
};
use crate::auth::reach::Reach;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Methods {
    anonymous: Option<Value>,
    ticket: Option<Value>,
    wampcra: Option<Value>,
    scram: Option<Value>,
    cryptosign: Option<Value>,
    tls: Option<Value>,
    jwt: Option<Value>,
    cookie: Option<Value>,
    #[serde(rename = "anonymous-proxy")]
    #[allow(dead_code, reason = "proxies are in the same process")]
    anonymous_proxy: Option<Value>,
    #[serde(rename = "cryptosign-proxy")]
    #[allow(dead_code, reason = "proxies are in the same process")]
    cryptosign_proxy: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DynamicMethod {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    authenticator: String,
    #[serde(rename = "authenticator-realm")]
    realm: Option<String>,
    /// The router itself asks, and is asked for no role.
    #[serde(rename = "authenticator-role")]
    #[allow(dead_code, reason = "the router may call what it is told to")]
    role: Option<String>,
}

/// An application that is asked over HTTP; of our own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpMethod {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnonymousMethod {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    realm: Option<String>,
    role: Option<String>,
    authid: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Principals<T> {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[serde(alias = "users")]
    principals: BTreeMap<Box<str>, T>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ticket {
    ticket: String,
    role: Option<String>,
    realm: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cra {
    secret: String,
    role: Option<String>,
    realm: Option<String>,
    salt: Option<String>,
    iterations: Option<u32>,
    keylen: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scram {
    kdf: String,
    iterations: u32,
    memory: Option<u32>,
    salt: String,
    #[serde(rename = "stored-key")]
    stored_key: String,
    #[serde(rename = "server-key")]
    server_key: String,
    role: Option<String>,
    realm: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    authorized_keys: Vec<String>,
    role: Option<String>,
    realm: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificates {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[serde(default)]
    principals: BTreeMap<Box<str>, Owner>,
    #[serde(rename = "default-role")]
    default_role: Option<String>,
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    /// Of Crossbar.io; without it the name of the owner is that in the certificate.
    #[serde(rename = "certificate-sha1")]
    certificate_sha1: Option<String>,
    role: Option<String>,
    realm: Option<String>,
}

pub(super) fn read_auth(value: Option<Value>, at: &str, directory: &Path) -> Read<AuthConfig> {
    let Some(value) = value else { return Ok(AuthConfig::default()) };
    let methods: Methods = read(value, at)?;
    let auth = AuthConfig {
        anonymous: method(methods.anonymous, &format!("{at}.anonymous"), read_anonymous)?,
        ticket: method(methods.ticket, &format!("{at}.ticket"), |value, at| users(value, at, read_ticket))?,
        wampcra: method(methods.wampcra, &format!("{at}.wampcra"), |value, at| users(value, at, read_cra))?,
        scram: method(methods.scram, &format!("{at}.scram"), |value, at| users(value, at, read_scram))?,
        cryptosign: method(methods.cryptosign, &format!("{at}.cryptosign"), |value, at| {
            Ok(Cryptosign { users: users(value, at, read_keys)? })
        })?,
        tls: method(methods.tls, &format!("{at}.tls"), read_certificates)?,
        jwt: methods.jwt.map(|value| read_jwt(value, &format!("{at}.jwt"), directory)).transpose()?,
        cookie: methods.cookie.is_some(),
        reach: Reach::default(),
    };
    if auth.is_empty() {
        return Err(Fault::new(at, "names no method"));
    }
    Ok(auth)
}

/// Crossbar.io knows principals by `certificate-sha1`; those by the SHA-256 fingerprint or common name as their key, and
/// a role for all others, are our own.
fn read_certificates(value: Value, at: &str) -> Read<TlsUsers> {
    let Certificates { principals, default_role, role, .. } = read(value, at)?;
    let mut users =
        TlsUsers { default: default_role.or(role).map(|role| grant(Some(role), None)), ..TlsUsers::default() };
    for (name, owner) in principals {
        let grant = grant(owner.role, owner.realm);
        let Some(text) = owner.certificate_sha1 else {
            users.users.insert(name, grant);
            continue;
        };
        let octets = HEXLOWER_PERMISSIVE.decode(text.replace(':', "").as_bytes()).ok();
        let fingerprint = octets.and_then(|octets| octets.try_into().ok()).ok_or_else(|| {
            let at = format!("{at}.principals.{name}.certificate-sha1");
            Fault::new(&at, format!("is {text:?}, not a fingerprint of 20 octets in hexadecimal digits"))
        })?;
        users.by_sha1.insert(fingerprint, (name, grant));
    }
    if users.users.is_empty() && users.by_sha1.is_empty() && users.default.is_none() {
        return Err(Fault::new(at, "needs principals, or a default-role for everybody with a certificate"));
    }
    Ok(users)
}

fn method<T>(
    value: Option<Value>,
    at: &str,
    read_static: impl FnOnce(Value, &str) -> Read<T>,
) -> Read<Option<Source<T>>> {
    let Some(value) = value else { return Ok(None) };
    match &*super::type_of(&value, at)? {
        "static" => read_static(value, at).map(|users| Some(Source::Static(users))),
        "dynamic" => {
            let DynamicMethod { authenticator, realm, .. } = read(value, at)?;
            let realm = realm.map(Into::into);
            Ok(Some(Source::Dynamic(Dynamic::Procedure { procedure: authenticator.into(), realm })))
        }
        "http" => {
            let HttpMethod { url, headers, .. } = read(value, at)?;
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                return Err(Fault::new(&format!("{at}.url"), format!("is {url:?}, no address of http or https")));
            }
            let header = |(name, value): (String, String)| {
                Ok((name.as_str().into(), secret(&value, &format!("{at}.headers.{name}"))?))
            };
            let headers = headers.into_iter().map(header).collect::<Read<_>>()?;
            Ok(Some(Source::Dynamic(Dynamic::Http(Callout { url: url.into(), headers }))))
        }
        other => {
            Err(Fault::new(&format!("{at}.type"), format!("is {other:?}; static, dynamic and http are supported")))
        }
    }
}

fn read_anonymous(value: Value, at: &str) -> Read<Anonymous> {
    let AnonymousMethod { realm, role, authid, .. } = read(value, at)?;
    Ok(Anonymous { grant: grant(role, realm), authid: authid.map(Into::into) })
}

fn users<T: DeserializeOwned, U>(
    value: Value,
    at: &str,
    user: impl Fn(T, &str) -> Read<U>,
) -> Read<BTreeMap<Box<str>, U>> {
    let principals: Principals<T> = read(value, at)?;
    let named = |(name, one): (Box<str>, T)| {
        let user = user(one, &format!("{at}.principals.{name}"))?;
        Ok((name, user))
    };
    principals.principals.into_iter().map(named).collect()
}

fn read_ticket(user: Ticket, at: &str) -> Read<TicketUser> {
    Ok(TicketUser { ticket: secret(&user.ticket, &format!("{at}.ticket"))?, grant: grant(user.role, user.realm) })
}

fn read_cra(user: Cra, at: &str) -> Read<CraUser> {
    let secret = secret(&user.secret, &format!("{at}.secret"))?;
    let salt = match (user.salt, user.iterations, user.keylen) {
        (None, None, None) => None,
        (Some(salt), iterations, keylen) => {
            let salt = CraSalt::new(&salt, iterations, keylen);
            Some(salt.map_err(|(name, text)| Fault::new(&format!("{at}.{name}"), text))?)
        }
        _ => return Err(Fault::new(at, "has `iterations` or `keylen`, but no `salt`")),
    };
    Ok(CraUser::new(&secret.0, salt, grant(user.role, user.realm)))
}

fn read_scram(user: Scram, at: &str) -> Read<ScramUser> {
    let hex = |text: &str, key: &str| {
        let wrong = |_| Fault::new(&format!("{at}.{key}"), "is not written in hexadecimal digits");
        HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(wrong)
    };
    let key = |text: &str, key: &str| {
        let octets = hex(text, key)?;
        if octets.len() == 32 {
            return Ok(Secret(octets.into()));
        }
        Err(Fault::new(&format!("{at}.{key}"), format!("has {} octets, not 32", octets.len())))
    };
    let kdf = ScramKdf::by_name(&user.kdf)
        .ok_or_else(|| Fault::new(&format!("{at}.kdf"), format!("is {:?}, not argon2id-13 or pbkdf2", user.kdf)))?;
    Ok(ScramUser {
        kdf,
        iterations: user.iterations,
        memory: user.memory,
        salt: hex(&user.salt, "salt")?,
        stored_key: key(&user.stored_key, "stored-key")?,
        server_key: key(&user.server_key, "server-key")?,
        grant: grant(user.role, user.realm),
    })
}

fn read_keys(user: Keys, at: &str) -> Read<KeyUser> {
    let mut keys = Vec::new();
    for (index, text) in user.authorized_keys.iter().enumerate() {
        let octets = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|octets| octets.try_into().ok());
        let wrong = || Fault::new(&format!("{at}.authorized_keys[{index}]"), "is not a key of 64 hexadecimal digits");
        keys.push(octets.ok_or_else(wrong)?);
    }
    Ok(KeyUser { keys, grant: grant(user.role, user.realm) })
}

fn secret(text: &str, at: &str) -> Read<Secret> {
    if text.is_empty() {
        return Err(Fault::new(at, "is empty"));
    }
    Ok(Secret(text.as_bytes().into()))
}

fn grant(role: Option<String>, realm: Option<String>) -> Grant {
    Grant { role: role.map(Into::into), realm: realm.map(Into::into), ..Grant::default() }
}
