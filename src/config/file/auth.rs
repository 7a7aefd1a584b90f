//! How the clients of a transport say who they are.

use super::component::{authenticator, is_dotted};
use super::jwt::{Jwt, read_jwt};
use super::kinds::kinds;
use super::schema::OWN;
use super::{Fault, Read, Reader, read};
use crate::auth::AuthConfig;
use crate::auth::config::{self, Callout, CraSalt, Dynamic, Grant, ScramKdf, Secret, Source, TlsUsers};
use crate::auth::reach::Reach;
use data_encoding::HEXLOWER_PERMISSIVE;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How clients say who they are. Of the methods that a client offers, the first that is here is tried.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Methods {
    /// Nobody is asked.
    #[schemars(with = "Option<Anonymous>")]
    anonymous: Option<Value>,
    /// The client sends a shared secret.
    #[schemars(with = "Option<Ticket>")]
    ticket: Option<Value>,
    /// A challenge, answered with HMAC-SHA256 and a shared secret.
    #[schemars(with = "Option<WampCra>")]
    wampcra: Option<Value>,
    /// SCRAM-SHA-256; the router keeps no password.
    #[schemars(with = "Option<Scram>")]
    scram: Option<Value>,
    /// A challenge, signed with Ed25519.
    #[schemars(with = "Option<Cryptosign>")]
    cryptosign: Option<Value>,
    /// The certificate of the client, verified when the connection was made. Needs `ca_certificates` in the `tls` of the
    /// endpoint.
    #[schemars(with = "Option<Tls>")]
    tls: Option<Value>,
    /// A signed token.
    #[schemars(with = "Option<Jwt>", extend("x-crossbar" = OWN))]
    jwt: Option<Value>,
    /// Who has logged in with the same cookie before. Needs a `cookie` beside `auth`, and WebSocket.
    cookie: Option<Value>,
    /// For proxies. Not needed: those of this file need no connection. A transport with nothing else is not opened.
    #[serde(rename = "anonymous-proxy")]
    #[allow(dead_code, reason = "proxies are in the same process")]
    #[schemars(extend("deprecated" = true))]
    anonymous_proxy: Option<Value>,
    /// For proxies. Not needed: those of this file need no connection. A transport with nothing else is not opened.
    #[serde(rename = "cryptosign-proxy")]
    #[allow(dead_code, reason = "proxies are in the same process")]
    #[schemars(extend("deprecated" = true))]
    cryptosign_proxy: Option<Value>,
}

/// A method: with users in the file, or by an authenticator.
macro_rules! method {
    ($name:ident, $users:ty) => {
        kinds! {
            /// With users in the file, or asking an authenticator.
            enum $name {
                "static" => Static($users),
                "dynamic" => Dynamic(DynamicMethod),
                "function" => Function(FunctionMethod),
                "http" => Http(HttpMethod),
            }
        }

        impl $name {
            fn source<T>(
                self,
                reader: &mut Reader,
                at: &str,
                users: impl FnOnce($users) -> Read<T>,
            ) -> Read<Source<T>> {
                match self {
                    $name::Static(part) => users(part).map(Source::Static),
                    $name::Dynamic(part) => Ok(Source::Dynamic(part.read())),
                    $name::Function(part) => part.read(reader, at).map(Source::Dynamic),
                    $name::Http(part) => part.read(at).map(Source::Dynamic),
                }
            }
        }
    };
}

method!(Anonymous, AnonymousMethod);
method!(Ticket, Principals<TicketUser>);
method!(WampCra, Principals<CraUser>);
method!(Scram, Principals<ScramUser>);
method!(Cryptosign, Principals<KeyUser>);
method!(Tls, Certificates);

/// A procedure that is called with the realm, the authid and details, and says who the client is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DynamicMethod {
    /// The procedure.
    #[schemars(extend("examples" = ["com.example.authenticate"]))]
    authenticator: String,
    /// The realm in which it is registered. Without it, that which the client wants to join.
    #[serde(rename = "authenticator-realm")]
    #[schemars(extend("examples" = ["realm1"]))]
    realm: Option<String>,
    /// The role of the caller. Has no effect: the router itself asks, and may call what it is told to.
    #[serde(rename = "authenticator-role")]
    #[allow(dead_code, reason = "the router may call what it is told to")]
    #[schemars(extend("deprecated" = true))]
    role: Option<String>,
}

/// A function in Python that is called with the realm, the authid and details, and says who the client is. It runs in a
/// process of its own beside the router, with the interpreter of the worker.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FunctionMethod {
    /// What makes the function: a module, a dot and the name of a function in it, which is called once, with `config` and
    /// the controller.
    #[schemars(extend("examples" = ["authenticator.create_authenticator"]))]
    create: Box<str>,
    /// What that is called with. Without it, an empty object.
    #[schemars(extend("examples" = [{"database": "users"}]))]
    config: Option<Value>,
    /// The controller is a session by which the node can be managed; else it is `None`.
    #[schemars(extend("default" = false))]
    expose_controller: Option<bool>,
}

/// An application that is asked over HTTP: it gets a POST with the realm, the authid and details, and answers with status
/// 200 and who the client is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-crossbar" = OWN))]
struct HttpMethod {
    /// Where it is asked.
    #[schemars(regex(pattern = "^https?://"), extend("examples" = ["https://app.example/login"]))]
    url: String,
    /// Headers of the requests.
    #[serde(default)]
    #[schemars(extend("examples" = [{"Authorization": "${HEADER}"}]))]
    headers: BTreeMap<String, String>,
}

/// Everybody is let in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnonymousMethod {
    /// The only realm that may be joined. Without it, any.
    #[schemars(extend("examples" = ["realm1"]))]
    realm: Option<String>,
    /// The role.
    #[schemars(extend("default" = "anonymous"))]
    role: Option<String>,
    /// The authid of all. Without it, a random one each.
    #[schemars(extend("examples" = ["guest"]))]
    authid: Option<String>,
}

/// Users in the file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline, transform = users_as_well)]
struct Principals<T> {
    /// The users, by their authid. The key `users` means the same.
    #[serde(alias = "users")]
    principals: BTreeMap<Box<str>, T>,
}

/// `users` is another name of `principals`.
fn users_as_well(schema: &mut Schema) {
    let properties = &mut schema.ensure_object()["properties"];
    properties["users"] = properties["principals"].clone();
    properties["users"]["description"] = "The same as `principals`.".into();
    schema.remove("required");
    schema.insert("anyOf".into(), json!([{"required": ["principals"]}, {"required": ["users"]}]));
}

/// A user with a ticket.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TicketUser {
    /// The shared secret.
    #[schemars(length(min = 1), extend("examples" = ["${JOES_TICKET}"]))]
    ticket: String,
    /// The role.
    #[schemars(extend("examples" = ["user"]))]
    role: Option<String>,
    /// The only realm that may be joined. Without it, any.
    #[schemars(extend("examples" = ["realm1"]))]
    realm: Option<String>,
}

/// A user with a secret for HMAC.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CraUser {
    /// The shared secret: as the user knows it or, with `salt`, as PBKDF2 makes it.
    #[schemars(length(min = 1), extend("examples" = ["${JOES_SECRET}"]))]
    secret: String,
    /// The role.
    #[schemars(extend("examples" = ["user"]))]
    role: Option<String>,
    /// The only realm that may be joined. Without it, any.
    #[schemars(extend("examples" = ["realm1"]))]
    realm: Option<String>,
    /// The salt with which the client derives the key by PBKDF2.
    #[schemars(extend("examples" = ["salt123"]))]
    salt: Option<String>,
    /// Rounds of PBKDF2; with `salt`.
    #[schemars(range(min = *CraSalt::ITERATIONS.start(), max = *CraSalt::ITERATIONS.end()), extend("default" = 1000))]
    iterations: Option<u32>,
    /// Octets of the derived key; with `salt`.
    #[schemars(range(min = *CraSalt::KEYLEN.start(), max = *CraSalt::KEYLEN.end()), extend("default" = 32, "x-unit" = "octets"))]
    keylen: Option<u32>,
}

/// A user with what a password has been made into.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScramUser {
    /// How keys are derived from the password.
    #[schemars(extend("enum" = ["argon2id-13", "pbkdf2"]))]
    kdf: String,
    /// Rounds of that.
    #[schemars(extend("examples" = [4096]))]
    iterations: u32,
    /// Memory that Argon2 takes.
    #[schemars(extend("x-unit" = "KiB", "examples" = [512]))]
    memory: Option<u32>,
    /// The salt, in hexadecimal digits.
    #[schemars(regex(pattern = "^([0-9A-Fa-f]{2})*$"), extend("examples" = ["accecf1cd0b9a0b8"]))]
    salt: String,
    /// The stored key: 32 octets in hexadecimal digits.
    #[serde(rename = "stored-key")]
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"), extend("examples" = [KEY_EXAMPLE]))]
    stored_key: String,
    /// The server's key: 32 octets in hexadecimal digits.
    #[serde(rename = "server-key")]
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"), extend("examples" = [KEY_EXAMPLE]))]
    server_key: String,
    /// The role.
    #[schemars(extend("examples" = ["user"]))]
    role: Option<String>,
    /// The only realm that may be joined. Without it, any.
    #[schemars(extend("examples" = ["realm1"]))]
    realm: Option<String>,
}

/// A key as it may stand in the file.
pub(super) const KEY_EXAMPLE: &str = "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122";

/// A user with keys.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeyUser {
    /// Public keys of Ed25519: 32 octets each, in hexadecimal digits.
    #[schemars(inner(regex(pattern = "^[0-9A-Fa-f]{64}$")), extend("examples" = [[KEY_EXAMPLE]]))]
    authorized_keys: Vec<String>,
    /// The role.
    #[schemars(extend("examples" = ["user"]))]
    role: Option<String>,
    /// The only realm that may be joined. Without it, any.
    #[schemars(extend("examples" = ["realm1"]))]
    realm: Option<String>,
}

/// Owners of certificates.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Certificates {
    /// The owners: by their authid, with `certificate-sha1`; or by the SHA-256 fingerprint or the common name of the
    /// certificate.
    #[serde(default)]
    principals: BTreeMap<Box<str>, Owner>,
    /// The role of everybody else with a certificate. Without it, they may not join.
    #[serde(rename = "default-role")]
    #[schemars(extend("x-crossbar" = OWN, "examples" = ["user"]))]
    default_role: Option<String>,
    /// The same as `default-role`.
    #[schemars(extend("examples" = ["user"]))]
    role: Option<String>,
}

/// The owner of a certificate.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Owner {
    /// The fingerprint of the certificate: 20 octets in hexadecimal digits, also with colons. Without it the name of the
    /// owner is what the certificate is known by.
    #[serde(rename = "certificate-sha1")]
    #[schemars(regex(pattern = "^:*([0-9A-Fa-f]:*){40}$"),
        extend("examples" = ["59:BF:67:0D:AF:4A:5D:D9:4E:AB:C9:6B:0C:29:30:06:D5:57:41:3F"]))]
    certificate_sha1: Option<String>,
    /// The role.
    #[schemars(extend("examples" = ["user"]))]
    role: Option<String>,
    /// The only realm that may be joined. Without it, any.
    #[schemars(extend("examples" = ["realm1"]))]
    realm: Option<String>,
}

pub(super) fn read_auth(reader: &mut Reader, value: Option<Value>, at: &str) -> Read<AuthConfig> {
    let Some(value) = value else { return Ok(AuthConfig::default()) };
    let methods: Methods = read(value, at)?;
    let auth = AuthConfig {
        anonymous: method(methods.anonymous, &format!("{at}.anonymous"), |value, at| {
            Anonymous::read(value, at)?.source(reader, at, |part| Ok(read_anonymous(part)))
        })?,
        ticket: method(methods.ticket, &format!("{at}.ticket"), |value, at| {
            Ticket::read(value, at)?.source(reader, at, |part| users(part, at, read_ticket))
        })?,
        wampcra: method(methods.wampcra, &format!("{at}.wampcra"), |value, at| {
            WampCra::read(value, at)?.source(reader, at, |part| users(part, at, read_cra))
        })?,
        scram: method(methods.scram, &format!("{at}.scram"), |value, at| {
            Scram::read(value, at)?.source(reader, at, |part| users(part, at, read_scram))
        })?,
        cryptosign: method(methods.cryptosign, &format!("{at}.cryptosign"), |value, at| {
            if value.get("trustroots").is_some() {
                let text = "is not supported: certificates for keys (EIP-712) and their chains up to an Ethereum address \
                            are not verified; name the users and their keys in `principals`";
                return Err(Fault::new(&format!("{at}.trustroots"), text));
            }
            let read = |part| Ok(config::Cryptosign { users: users(part, at, read_keys)? });
            Cryptosign::read(value, at)?.source(reader, at, read)
        })?,
        tls: method(methods.tls, &format!("{at}.tls"), |value, at| {
            Tls::read(value, at)?.source(reader, at, |part| read_certificates(part, at))
        })?,
        jwt: methods.jwt.map(|value| read_jwt(value, &format!("{at}.jwt"), &reader.directory)).transpose()?,
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
fn read_certificates(certificates: Certificates, at: &str) -> Read<TlsUsers> {
    let Certificates { principals, default_role, role } = certificates;
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
    read: impl FnOnce(Value, &str) -> Read<Source<T>>,
) -> Read<Option<Source<T>>> {
    value.map(|value| read(value, at)).transpose()
}

impl DynamicMethod {
    fn read(self) -> Dynamic {
        let DynamicMethod { authenticator, realm, .. } = self;
        Dynamic::Procedure { procedure: authenticator.into(), realm: realm.map(Into::into) }
    }
}

impl FunctionMethod {
    fn read(self, reader: &mut Reader, at: &str) -> Read<Dynamic> {
        let FunctionMethod { create, config, expose_controller } = self;
        is_dotted(&create, &format!("{at}.create"))?;
        let config = config.unwrap_or_else(|| json!({}));
        Ok(Dynamic::Function(authenticator(reader, create, config, expose_controller == Some(true))))
    }
}

impl HttpMethod {
    fn read(self, at: &str) -> Read<Dynamic> {
        let HttpMethod { url, headers } = self;
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(Fault::new(&format!("{at}.url"), format!("is {url:?}, no address of http or https")));
        }
        let header = |(name, value): (String, String)| {
            Ok((name.as_str().into(), secret(&value, &format!("{at}.headers.{name}"))?))
        };
        let headers = headers.into_iter().map(header).collect::<Read<_>>()?;
        Ok(Dynamic::Http(Callout { url: url.into(), headers }))
    }
}

fn read_anonymous(anonymous: AnonymousMethod) -> config::Anonymous {
    let AnonymousMethod { realm, role, authid } = anonymous;
    config::Anonymous { grant: grant(role, realm), authid: authid.map(Into::into) }
}

fn users<T, U>(principals: Principals<T>, at: &str, user: impl Fn(T, &str) -> Read<U>) -> Read<BTreeMap<Box<str>, U>> {
    let named = |(name, one): (Box<str>, T)| {
        let user = user(one, &format!("{at}.principals.{name}"))?;
        Ok((name, user))
    };
    principals.principals.into_iter().map(named).collect()
}

fn read_ticket(user: TicketUser, at: &str) -> Read<config::TicketUser> {
    Ok(config::TicketUser {
        ticket: secret(&user.ticket, &format!("{at}.ticket"))?,
        grant: grant(user.role, user.realm),
    })
}

fn read_cra(user: CraUser, at: &str) -> Read<config::CraUser> {
    let secret = secret(&user.secret, &format!("{at}.secret"))?;
    let salt = match (user.salt, user.iterations, user.keylen) {
        (None, None, None) => None,
        (Some(salt), iterations, keylen) => {
            let salt = CraSalt::new(&salt, iterations, keylen);
            Some(salt.map_err(|(name, text)| Fault::new(&format!("{at}.{name}"), text))?)
        }
        _ => return Err(Fault::new(at, "has `iterations` or `keylen`, but no `salt`")),
    };
    Ok(config::CraUser::new(&secret.0, salt, grant(user.role, user.realm)))
}

fn read_scram(user: ScramUser, at: &str) -> Read<config::ScramUser> {
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
    Ok(config::ScramUser {
        kdf,
        iterations: user.iterations,
        memory: user.memory,
        salt: hex(&user.salt, "salt")?,
        stored_key: key(&user.stored_key, "stored-key")?,
        server_key: key(&user.server_key, "server-key")?,
        grant: grant(user.role, user.realm),
    })
}

fn read_keys(user: KeyUser, at: &str) -> Read<config::KeyUser> {
    let mut keys = Vec::new();
    for (index, text) in user.authorized_keys.iter().enumerate() {
        let octets = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|octets| octets.try_into().ok());
        let wrong = || Fault::new(&format!("{at}.authorized_keys[{index}]"), "is not a key of 64 hexadecimal digits");
        keys.push(octets.ok_or_else(wrong)?);
    }
    Ok(config::KeyUser { keys, grant: grant(user.role, user.realm) })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ComponentConfig;
    use crate::config::component::{Program, Way};

    fn auth(reader: &mut Reader, methods: Value) -> Result<AuthConfig, String> {
        read_auth(reader, Some(methods), "x").map_err(|fault| format!("{}: {}", fault.at, fault.message))
    }

    #[test]
    fn functions_have_a_process_for_all_that_are_made_alike() {
        let mut reader = Reader::default();
        let function = |create: &str, config: Value| json!({"type": "function", "create": create, "config": config});
        let one = function("a.make", json!({}));
        let bare = json!({"type": "function", "create": "a.make", "expose_controller": false});
        let manages = json!({"type": "function", "create": "a.other", "expose_controller": true});
        let methods = json!({"ticket": one, "wampcra": bare, "scram": function("a.make", json!([1])),
            "cryptosign": function("a.other", json!({})), "anonymous": manages});
        let auth = auth(&mut reader, methods).expect("methods");
        assert_eq!(auth.ticket, Some(Source::Dynamic(Dynamic::Function("authenticator:a.make".into()))));
        assert_eq!(auth.wampcra, Some(Source::Dynamic(Dynamic::Function("authenticator:a.make".into()))));
        assert_eq!(auth.scram, Some(Source::Dynamic(Dynamic::Function("authenticator:a.make:2".into()))));
        assert_eq!(auth.cryptosign, Some(Source::Dynamic(Dynamic::Function("authenticator:a.other:2".into()))));
        let ids: Vec<&str> = reader.authenticators.iter().map(|component| &*component.id).collect();
        let (make, other) = ("authenticator:a.make", "authenticator:a.other");
        assert_eq!(ids, [other, make, &format!("{make}:2"), &format!("{other}:2")]);
        let managers = reader.authenticators.iter().filter(|component| component.controller);
        assert_eq!(managers.count(), 1);
        let ComponentConfig { program, way, .. } = &reader.authenticators[2];
        assert_eq!(*program, Program::Authenticator { create: "a.make".into(), config: json!([1]) });
        assert!(matches!(way, Way::Router { namespace, .. } if *namespace == Reach::authenticators().namespace));
        assert!(reader.warnings.is_empty(), "{:?}", reader.warnings);
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (methods, said) in [
            (json!({"ticket": {"type": "function", "create": "make"}}), "x.ticket.create: is \"make\", not a module"),
            (json!({"ticket": {"type": "function"}}), "x.ticket: missing field `create`"),
            (
                json!({"cryptosign": {"type": "static", "trustroots": {"realm1": {"certificate": "root.crt"}}}}),
                "x.cryptosign.trustroots: is not supported: certificates",
            ),
        ] {
            let text = auth(&mut Reader::default(), methods).map(drop).expect_err("a mistake");
            assert!(text.starts_with(said), "{text}");
        }
    }
}
