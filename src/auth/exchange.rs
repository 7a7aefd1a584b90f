//! The conversation about who a client is, from HELLO to WELCOME or ABORT (specification, "Authentication").
//!
//! Of the methods that the client offers, the first that its transport has is tried. Whether a user is known or not,
//! the conversation takes the same course and ends with the same words.

use super::certificate;
use super::config::{Anonymous, AuthConfig, CraSalt, Cryptosign, Dynamic, Grant, ScramKdf, ScramUser, Secret, Source};
use super::crypto::{Entropy, base64, same};
use super::jwt::Bearer;
use super::peer::{Known, Peer};
use super::principal::Principal;
use super::{cra, cryptosign, scram};
use crate::wamp::message::{Authenticate, Hello};
use crate::wamp::value::WrongType;
use crate::wamp::{Dict, Uri, Value, error};
use std::time::Duration;

/// What a conversation may look at.
pub struct Context<'a> {
    /// The methods of the client's transport.
    pub config: &'a AuthConfig,
    /// The client.
    pub peer: &'a Peer,
    /// The id that its session will have.
    pub session: u64,
    /// The time since 1970.
    pub now: Duration,
    /// For challenges.
    pub entropy: &'a mut Entropy,
    /// For what has to be the same each time.
    pub secret: &'a [u8; 32],
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// Send CHALLENGE, and wait for AUTHENTICATE.
    Challenge {
        /// The method.
        method: &'static str,
        /// What it needs.
        extra: Dict,
        /// Goes on with AUTHENTICATE.
        exchange: Box<Exchange>,
    },
    /// Call an authenticator, and wait for its answer.
    Ask {
        /// The authenticator.
        authenticator: Dynamic,
        /// What it is told.
        arguments: Vec<Value>,
        /// Goes on with the answer.
        exchange: Box<Exchange>,
    },
    /// Derive a key, which takes its time, and wait for it.
    Derive {
        /// What the user knows.
        secret: Secret,
        /// How it is salted.
        salt: CraSalt,
        /// Goes on with the key.
        exchange: Box<Exchange>,
    },
    /// Send WELCOME.
    Welcome(Box<Admitted>),
    /// Send ABORT.
    Refuse {
        /// The reason.
        reason: &'static str,
        /// For people; tells nothing of users.
        message: String,
    },
}

/// A client of which it is known who it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// The user; a random one if there is none.
    pub authid: Option<Box<str>>,
    /// The role.
    pub authrole: Box<str>,
    /// The method.
    pub authmethod: &'static str,
    /// Who has vouched: `static`, `dynamic`, `function` or `cookie`.
    pub authprovider: &'static str,
    /// The realm that it joins.
    pub realm: Uri,
    /// `WELCOME.Details.authextra`.
    pub extra: Dict,
    /// When the session ends, since 1970.
    pub expires: Option<Duration>,
}

/// A conversation that waits for an answer.
#[derive(Debug)]
pub struct Exchange {
    hello: Wish,
    method: &'static str,
    provider: &'static str,
    stage: Stage,
}

/// What HELLO says.
#[derive(Clone, Debug)]
struct Wish {
    realm: Uri,
    authid: Option<Box<str>>,
    authrole: Option<Box<str>>,
    extra: Option<Dict>,
}

#[derive(Debug)]
enum Stage {
    /// The client has to prove who it is.
    Ticket(Option<Secret>, Grant),
    TicketForAuthenticator(Dynamic),
    Cra(cra::Proof, Verdict),
    Scram(Box<scram::Proof>, Verdict),
    Cryptosign(Box<cryptosign::Proof>, Verdict),
    /// The client has to show its token.
    Token,
    /// The key of a user has to be derived.
    Salted(Secret, CraSalt, Verdict),
    /// The authenticator has to answer.
    Asked,
}

/// What a client becomes if it proves who it is.
#[derive(Clone, Debug, Default)]
struct Verdict {
    authid: Option<Box<str>>,
    grant: Grant,
}

const ANONYMOUS: &str = "anonymous";
const COOKIE: &str = "cookie";
const JWT: &str = "jwt";
/// Sessions of the router's own process.
const INTERNAL: &str = "internal";

fn denied() -> Step {
    Step::Refuse {
        reason: error::AUTHENTICATION_DENIED,
        message: "who the client says it is could not be shown".into(),
    }
}

fn failed() -> Step {
    let message = "it could not be found out who the client is".into();
    Step::Refuse { reason: error::AUTHENTICATION_FAILED, message }
}

impl Exchange {
    /// Begins with a HELLO.
    ///
    /// # Errors
    /// The HELLO breaks the protocol.
    pub fn begin(hello: &Hello, context: &mut Context<'_>) -> Result<Step, WrongType> {
        let details = &hello.details;
        let wish = Wish {
            realm: hello.realm.clone(),
            authid: details.str("authid")?.filter(|authid| !authid.is_empty()).map(Into::into),
            authrole: details.str("authrole")?.map(Into::into),
            extra: details.dict("authextra")?.cloned(),
        };
        if let Some(inside) = &context.peer.inside {
            let exchange = Exchange { hello: wish, method: INTERNAL, provider: INTERNAL, stage: Stage::Asked };
            let grant =
                Grant { role: Some(inside.authrole.clone()), realm: Some(inside.realm.clone()), ..Grant::default() };
            return Ok(exchange.welcome(Some(inside.authid.clone()), grant, Dict::new()));
        }
        let offered = match details.get("authmethods") {
            None | Some(Value::Null | Value::Undefined) => &[][..],
            Some(Value::List(methods)) => methods,
            Some(other) => return Err(WrongType { key: "authmethods", wanted: "list", found: other.kind() }),
        };
        let mut names: Vec<&str> = offered.iter().filter_map(Value::as_str).collect();
        if offered.is_empty() {
            names.push(ANONYMOUS);
        }
        // The user may have been taken out of the configuration since.
        let wanted = |known: &&Known| {
            (hello.realm.is_empty() || *known.realm == *hello.realm) && context.config.still_admits(known, context.peer)
        };
        let cookie = context.peer.cookie.as_ref().and_then(|cookie| cookie.known.as_ref()).filter(wanted);
        let method = names.iter().find_map(|name| match (*name, cookie) {
            (COOKIE, Some(_)) if context.config.cookie => Some(COOKIE),
            (name, _) => context.config.method(name),
        });
        let Some(method) = method else {
            let message = format!("none of the methods {names:?} is to be had here");
            return Ok(Step::Refuse { reason: error::NO_MATCHING_AUTH_METHOD, message });
        };
        if let (COOKIE, Some(known)) = (method, cookie) {
            let exchange = Exchange { hello: wish, method, provider: COOKIE, stage: Stage::Asked };
            let realm = Some((&*known.realm).into());
            let grant = Grant { role: Some(known.authrole.clone()), realm, extra: Dict::new() };
            return Ok(exchange.welcome(Some(known.authid.clone()), grant, Dict::new()));
        }
        Ok(Exchange { hello: wish, method, provider: "static", stage: Stage::Asked }.open(context))
    }

    /// Begins with the method that was chosen.
    fn open(self, context: &mut Context<'_>) -> Step {
        let config = context.config;
        let authid = self.hello.authid.clone();
        let named = authid.as_deref().unwrap_or_default();
        match self.method {
            "ticket" => match config.ticket.as_ref() {
                Some(Source::Static(users)) => {
                    let user = users.get(named);
                    let grant = user.map(|user| user.grant.clone()).unwrap_or_default();
                    self.challenge(Dict::new(), Stage::Ticket(user.map(|user| user.ticket.clone()), grant))
                }
                Some(Source::Dynamic(dynamic)) => {
                    self.challenge(Dict::new(), Stage::TicketForAuthenticator(dynamic.clone()))
                }
                None => failed(),
            },
            "wampcra" => match config.wampcra.as_ref() {
                Some(Source::Static(users)) => {
                    let user = users.get(named);
                    let grant = user.map(|user| user.grant.clone()).unwrap_or_default();
                    let salts = users.values().filter_map(|user| user.salt.as_ref());
                    // An unknown user is salted as others are.
                    let salt = user.map_or_else(|| mock_salt(salts, named, context.secret), |user| user.salt.clone());
                    let proof = cra::Proof::new(
                        self.cra_challenge(context),
                        user.map(|user| user.keys.clone()),
                        &context.entropy.draw(),
                    );
                    self.challenge(proof.extra(salt.as_ref()), Stage::Cra(proof, Verdict { authid, grant }))
                }
                Some(Source::Dynamic(dynamic)) => self.ask(dynamic, None, context),
                None => failed(),
            },
            "scram" | "wamp-scram" => match config.scram.as_ref() {
                Some(Source::Static(users)) => {
                    let known = users.get(named);
                    let mock = || mock_scram(users.values().next(), named, context.secret);
                    self.scram(known.ok_or_else(mock), authid, context.entropy)
                }
                Some(Source::Dynamic(dynamic)) => self.ask(dynamic, None, context),
                None => failed(),
            },
            "cryptosign" => match config.cryptosign.as_ref() {
                Some(Source::Static(users)) => {
                    let found = cryptosign::find(users, authid.as_deref(), self.hello.extra.as_ref());
                    let verdict =
                        found.map(|(name, _)| Verdict { authid: Some(name.into()), grant: grant_of(users, name) });
                    self.cryptosign(found.map(|(_, key)| key), verdict.unwrap_or_default(), context)
                }
                Some(Source::Dynamic(dynamic)) => self.ask(dynamic, None, context),
                None => failed(),
            },
            "tls" => match config.tls.as_ref() {
                Some(Source::Static(users)) => match certificate::user(context.peer.tls.as_deref(), users) {
                    Some((name, grant)) => self.welcome(Some(name), grant, Dict::new()),
                    None => denied(),
                },
                Some(Source::Dynamic(dynamic)) if context.peer.certificate().is_some() => {
                    self.ask(dynamic, None, context)
                }
                Some(Source::Dynamic(_)) => denied(),
                None => failed(),
            },
            JWT => {
                let token = self.hello.extra.as_ref().and_then(|extra| extra.str("token").ok().flatten());
                match token.map(str::to_owned) {
                    Some(token) => self.bearer(&token, context),
                    None => self.challenge(Dict::new(), Stage::Token),
                }
            }
            _ => match config.anonymous.as_ref() {
                Some(Source::Dynamic(dynamic)) => self.ask(dynamic, None, context),
                Some(Source::Static(anonymous)) => self.anonymous(anonymous),
                None => self.anonymous(&Anonymous::default()),
            },
        }
    }

    /// Goes on with AUTHENTICATE. None: nothing was asked of the client.
    #[must_use]
    pub fn authenticate(self: Box<Self>, answer: &Authenticate, context: &mut Context<'_>) -> Option<Step> {
        let Exchange { hello, method, provider, stage } = *self;
        let then = |stage| Exchange { hello, method, provider, stage };
        Some(match stage {
            Stage::Ticket(ticket, grant) => {
                // Tickets of different lengths are compared by their hashes, for as long as others are.
                let known = ticket.is_some();
                let ticket = ticket.unwrap_or_else(|| Secret(context.entropy.draw().into()));
                let hashed = |text: &[u8]| super::crypto::sha256(text);
                let right = same(&hashed(&ticket.0), &hashed(answer.signature.as_bytes()));
                let next = then(Stage::Asked);
                let authid = next.hello.authid.clone();
                if right && known { next.welcome(authid, grant, Dict::new()) } else { denied() }
            }
            Stage::TicketForAuthenticator(dynamic) => {
                then(Stage::Asked).ask(&dynamic, Some(&answer.signature), context)
            }
            Stage::Cra(proof, verdict) => {
                let right = proof.check(&answer.signature);
                then(Stage::Asked).decide(right.then(Dict::new), verdict)
            }
            Stage::Scram(proof, verdict) => {
                let proven = proof.check(&answer.signature, &answer.extra);
                then(Stage::Asked).decide(proven, verdict)
            }
            Stage::Cryptosign(proof, verdict) => {
                let right = proof.check(&answer.signature);
                then(Stage::Asked).decide(right.then(Dict::new), verdict)
            }
            Stage::Token => then(Stage::Asked).bearer(&answer.signature, context),
            Stage::Salted(..) | Stage::Asked => return None,
        })
    }

    /// Goes on with the answer of an authenticator: its arguments, or the URI of an error.
    #[must_use]
    pub fn answered(self: Box<Self>, answer: Result<&[Value], &str>, context: &mut Context<'_>) -> Step {
        let principal = match answer.map(Principal::read) {
            Ok(Some(principal)) => principal,
            Ok(None) => return denied(),
            // What the router says of the call is no word of the authenticator.
            Err(uri) if uri.starts_with("wamp.error.") && uri != error::AUTHENTICATION_DENIED => return failed(),
            Err(_) => return denied(),
        };
        let authid = principal.authid.clone().or_else(|| self.hello.authid.clone());
        let verdict = Verdict { authid: authid.clone(), grant: principal.grant.clone() };
        match self.method {
            "wampcra" => {
                let Some((secret, salt)) = principal.cra() else { return failed() };
                match salt {
                    None => self.cra(vec![secret], None, verdict, context),
                    Some(salt) => {
                        let stage = Stage::Salted(secret.clone(), salt.clone(), verdict);
                        Step::Derive { secret, salt, exchange: Box::new(Exchange { stage, ..*self }) }
                    }
                }
            }
            "scram" | "wamp-scram" => match principal.scram() {
                Some(user) => self.scram(Ok(&user), authid, context.entropy),
                None => failed(),
            },
            "cryptosign" => match principal.key() {
                Some(key) => self.cryptosign(Some(key), verdict, context),
                None => failed(),
            },
            _ => self.welcome(authid, principal.grant, Dict::new()),
        }
    }

    /// Goes on with a key that has been derived.
    #[must_use]
    pub fn derived(self: Box<Self>, key: Secret, context: &mut Context<'_>) -> Step {
        let Exchange { hello, method, provider, stage } = *self;
        let Stage::Salted(secret, salt, verdict) = stage else { return failed() };
        let exchange = Exchange { hello, method, provider, stage: Stage::Asked };
        exchange.cra(vec![secret, key], Some(&salt), verdict, context)
    }

    /// Asks for a signature by one of these keys.
    fn cra(self, keys: Vec<Secret>, salt: Option<&CraSalt>, verdict: Verdict, context: &mut Context<'_>) -> Step {
        let proof = cra::Proof::new(self.cra_challenge(context), Some(keys), &[]);
        self.challenge(proof.extra(salt), Stage::Cra(proof, verdict))
    }

    /// Lets in who shows a good token, under another name than the token's only if none was named.
    fn bearer(self, token: &str, context: &Context<'_>) -> Step {
        let bearer = context.config.jwt.as_ref().and_then(|jwt| jwt.read(token, context.now));
        let named = self.hello.authid.clone();
        match bearer.filter(|bearer| named.is_none_or(|named| named == bearer.authid)) {
            None => denied(),
            Some(Bearer { authid, grant, expires }) => match self.welcome(Some(authid), grant, Dict::new()) {
                Step::Welcome(admitted) => Step::Welcome(Box::new(Admitted { expires, ..*admitted })),
                refused => refused,
            },
        }
    }

    fn anonymous(self, anonymous: &Anonymous) -> Step {
        let mut grant = anonymous.grant.clone();
        grant.role.get_or_insert_with(|| ANONYMOUS.into());
        self.welcome(anonymous.authid.clone(), grant, Dict::new())
    }

    fn scram(self, user: Result<&ScramUser, ScramUser>, authid: Option<Box<str>>, entropy: &mut Entropy) -> Step {
        let dialect = if self.method == "scram" { scram::Dialect::Crossbar } else { scram::Dialect::Specified };
        let grant = user.as_ref().map(|user| user.grant.clone()).unwrap_or_default();
        let named = self.hello.authid.clone().unwrap_or_default();
        let random = entropy.draw();
        match scram::Proof::new(dialect, &named, self.hello.extra.as_ref(), user, &random[..16]) {
            Some(proof) => self.challenge(proof.extra(), Stage::Scram(Box::new(proof), Verdict { authid, grant })),
            None => denied(),
        }
    }

    fn cryptosign(self, key: Option<[u8; 32]>, verdict: Verdict, context: &mut Context<'_>) -> Step {
        let mock = cryptosign::mock_key(context.secret);
        let challenge = context.entropy.draw();
        match cryptosign::Proof::new(key, mock, self.hello.extra.as_ref(), context.peer, challenge) {
            Some(proof) => self.challenge(proof.extra(), Stage::Cryptosign(Box::new(proof), verdict)),
            None => denied(),
        }
    }

    fn cra_challenge(&self, context: &mut Context<'_>) -> String {
        let now =
            i64::try_from(context.now.as_millis()).ok().and_then(|now| jiff::Timestamp::from_millisecond(now).ok());
        // Not the user's role: that would tell whether there is such a user.
        let role = self.hello.authrole.as_deref().unwrap_or("user");
        serde_json::json!({
            "authid": self.hello.authid.as_deref(),
            "authrole": role,
            "authmethod": self.method,
            "authprovider": self.provider,
            "nonce": base64(&context.entropy.draw()),
            "timestamp": now.unwrap_or_default().to_string(),
            "session": context.session,
        })
        .to_string()
    }

    fn challenge(self, extra: Dict, stage: Stage) -> Step {
        Step::Challenge { method: self.method, extra, exchange: Box::new(Exchange { stage, ..self }) }
    }

    fn ask(self, authenticator: &Dynamic, ticket: Option<&str>, context: &Context<'_>) -> Step {
        let Wish { realm, authid, authrole, extra } = &self.hello;
        let text = |text: &Option<Box<str>>| text.as_deref().map_or(Value::Null, Value::from);
        let mut details = Dict::new()
            .with("session", context.session)
            .with("authmethod", self.method)
            .with("authid", text(authid))
            .with("authrole", text(authrole))
            .with("authextra", extra.clone().map_or(Value::Null, Value::from))
            .with("transport", certificate::shown(context.peer));
        if let Some(ticket) = ticket {
            details.push("ticket", ticket);
        }
        let arguments = vec![Value::from(&**realm), text(authid), details.into()];
        let provider = if matches!(authenticator, Dynamic::Function(_)) { "function" } else { "dynamic" };
        let exchange = Box::new(Exchange { provider, stage: Stage::Asked, ..self });
        Step::Ask { authenticator: authenticator.clone(), arguments, exchange }
    }

    fn decide(self, proven: Option<Dict>, verdict: Verdict) -> Step {
        match proven {
            Some(extra) => self.welcome(verdict.authid, verdict.grant, extra),
            None => denied(),
        }
    }

    fn welcome(self, authid: Option<Box<str>>, grant: Grant, proof: Dict) -> Step {
        let Grant { role, realm, mut extra } = grant;
        for (key, value) in proof.iter() {
            extra.remove(key);
            extra.push(key, value.clone());
        }
        let Some(authrole) = role else {
            return Step::Refuse { reason: error::NO_SUCH_ROLE, message: "the user has no role".into() };
        };
        // A user of the configuration may join one realm; an authenticator may send its clients to another. Who names no
        // realm gets that of the user.
        let named = !self.hello.realm.is_empty();
        let realm = match realm {
            Some(realm) if named && realm != self.hello.realm && self.provider == "static" => return denied(),
            Some(realm) => realm,
            None if named => self.hello.realm,
            None => return Step::Refuse { reason: error::NO_SUCH_REALM, message: "no realm was named".into() },
        };
        let (authmethod, authprovider) = (self.method, self.provider);
        let expires = None;
        Step::Welcome(Box::new(Admitted { authid, authrole, authmethod, authprovider, realm, extra, expires }))
    }
}

impl AuthConfig {
    /// The method of this name, if the transport has it.
    fn method(&self, name: &str) -> Option<&'static str> {
        let has = [
            (ANONYMOUS, self.anonymous.is_some() || self.is_empty()),
            ("ticket", self.ticket.is_some()),
            ("wampcra", self.wampcra.is_some()),
            ("scram", self.scram.is_some()),
            ("wamp-scram", self.scram.is_some()),
            ("cryptosign", self.cryptosign.is_some()),
            ("tls", self.tls.is_some()),
            (JWT, self.jwt.is_some()),
        ];
        has.iter().find(|(known, there)| *known == name && *there).map(|(known, _)| *known)
    }

    /// True if no method is named: then nobody is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let AuthConfig { anonymous, ticket, wampcra, scram, cryptosign, tls, jwt, cookie, reach: _ } = self;
        let one = anonymous.is_some() || ticket.is_some() || wampcra.is_some() || scram.is_some();
        !(one || cryptosign.is_some() || tls.is_some() || jwt.is_some() || *cookie)
    }
}

fn grant_of(users: &Cryptosign, name: &str) -> Grant {
    users.users.get(name).map(|user| user.grant.clone()).unwrap_or_default()
}

/// What a user could be salted with, if there was one of this name: always the same.
fn mock_salt<'a>(
    salts: impl Iterator<Item = &'a super::config::CraSalt>,
    name: &str,
    secret: &[u8; 32],
) -> Option<super::config::CraSalt> {
    let mut salts = salts;
    let model = salts.next()?;
    let salt = base64(&Entropy::fixed(secret, name));
    let length = model.salt.chars().count().min(salt.len());
    Some(super::config::CraSalt { salt: salt[..length].into(), ..model.clone() })
}

fn mock_scram(model: Option<&ScramUser>, name: &str, secret: &[u8; 32]) -> ScramUser {
    let fixed = Entropy::fixed(secret, name);
    let length = model.map_or(16, |user| user.salt.len().clamp(8, fixed.len()));
    ScramUser {
        kdf: model.map_or(ScramKdf::Pbkdf2, |user| user.kdf),
        iterations: model.map_or(4096, |user| user.iterations),
        memory: model.and_then(|user| user.memory),
        salt: fixed[..length].into(),
        stored_key: Secret(fixed.into()),
        server_key: Secret(fixed.into()),
        grant: Grant::default(),
    }
}
