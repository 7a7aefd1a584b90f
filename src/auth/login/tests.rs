//! The client's side against the router's: they were written apart, from the same chapters.

use super::*;
use crate::auth::config::{AuthConfig, CraUser, Cryptosign, Grant, KeyUser, ScramUser, Source, TicketUser};
use crate::auth::crypto::unhex;
use crate::auth::{Context, Entropy, Exchange, Peer, Step};
use crate::wamp::Uri;
use crate::wamp::message::Hello;
use std::time::Duration;

const NONCE: [u8; 16] = [9; 16];

fn secret(text: &str) -> Secret {
    Secret(text.as_bytes().into())
}

fn grant() -> Grant {
    Grant { role: Some("user".into()), ..Grant::default() }
}

/// The name and the method of who is let in, and whether the router has proved itself.
type LetIn = (Option<Box<str>>, &'static str, Result<(), LoginError>);

/// How it ends; or why not.
fn log_in(config: &AuthConfig, authid: Option<&str>, credentials: &[Credential]) -> Result<LetIn, String> {
    let mut login = Login::new(authid, credentials, NONCE);
    let mut details = Dict::new();
    login.introduce(&mut details, Dict::new().with("more", 1)).map_err(|error| error.to_string())?;
    let more = details.dict("authextra").ok().flatten().and_then(|extra| extra.get("more"));
    assert_eq!(more, Some(&Value::Int(1)));
    let (peer, mut entropy) = (Peer::default(), Entropy::new(&[1; 32], 0));
    let now = Duration::from_secs(1);
    let mut context = Context { config, peer: &peer, session: 7, now, entropy: &mut entropy, secret: &[2; 32] };
    let hello = Hello { realm: Uri::from("realm1"), details };
    let mut step = Exchange::begin(&hello, &mut context).map_err(|error| error.to_string())?;
    loop {
        step = match step {
            Step::Challenge { method, extra, exchange } => {
                let challenge = Challenge { method: method.into(), extra };
                let answer = login.answer(&challenge).map_err(|error| error.to_string())?;
                exchange.authenticate(&answer, &mut context).expect("something was asked")
            }
            Step::Welcome(admitted) => {
                let welcome = Dict::new().with("authextra", admitted.extra);
                return Ok((admitted.authid, admitted.authmethod, login.confirm(&welcome)));
            }
            Step::Refuse { reason, .. } => return Err(reason.into()),
            other => panic!("nobody else is asked: {other:?}"),
        }
    }
}

fn let_in(config: &AuthConfig, credential: Credential, method: &str) {
    let (authid, by, confirmed) = log_in(config, Some("joe"), &[credential]).expect("the router lets joe in");
    assert_eq!((authid.as_deref(), by, confirmed), (Some("joe"), method, Ok(())));
}

fn denied(config: &AuthConfig, credential: Credential) {
    assert_eq!(log_in(config, Some("joe"), &[credential]).map(|_| ()), Err("wamp.error.authentication_denied".into()));
}

#[test]
fn tickets() {
    let user = TicketUser { ticket: secret("t!"), grant: grant() };
    let config = AuthConfig { ticket: Some(Source::Static([("joe".into(), user)].into())), ..AuthConfig::default() };
    let_in(&config, Credential::Ticket(secret("t!")), "ticket");
    denied(&config, Credential::Ticket(secret("t?")));
    let other = log_in(&config, Some("joe"), &[Credential::Cra(secret("t!"))]).map(|_| ());
    assert_eq!(other, Err("wamp.error.no_matching_auth_method".into()));
    let several = [Credential::Cra(secret("x")), Credential::Ticket(secret("t!"))];
    assert!(log_in(&config, Some("joe"), &several).is_ok(), "the first that the router has");
    let binary = Credential::Ticket(Secret([0xff].into()));
    assert_eq!(
        log_in(&config, Some("joe"), &[binary]).map(|_| ()),
        Err("what is shown for 'ticket' must be text".into())
    );
}

#[test]
fn secrets_plain_and_salted() {
    for salt in [None, CraSalt::new("s4lt", Some(100), Some(32)).ok()] {
        let user = CraUser { keys: cra::keys(b"secret", None), salt: None, grant: grant() };
        let derived = salt.as_ref().map(|salt| Secret(cra::derive(b"secret", salt).into_bytes().into()));
        let keys = derived.map_or(user.keys.clone(), |key| vec![key]);
        let users = [("joe".into(), CraUser { keys, salt, ..user })].into();
        let config = AuthConfig { wampcra: Some(Source::Static(users)), ..AuthConfig::default() };
        let_in(&config, Credential::Cra(secret("secret")), "wampcra");
        denied(&config, Credential::Cra(secret("Secret")));
    }
}

#[test]
fn keys() {
    let key = |seed: u8| Credential::Cryptosign(Secret([seed; 32].into()));
    let public = SigningKey::from_bytes(&[5; 32]).verifying_key().to_bytes();
    let users = [("joe".into(), KeyUser { keys: vec![public], grant: grant() })].into();
    let users = Cryptosign { users };
    let config = AuthConfig { cryptosign: Some(Source::Static(users)), ..AuthConfig::default() };
    let_in(&config, key(5), "cryptosign");
    denied(&config, key(6));
    assert_eq!(log_in(&config, None, &[key(5)]).map(|(authid, ..)| authid), Ok(Some("joe".into())), "by the key alone");
    let short = Credential::Cryptosign(secret("short"));
    assert_eq!(log_in(&config, None, &[short]).map(|_| ()), Err("a private key of Ed25519 has 32 octets".into()));
}

/// Users of SCRAM; that of Argon2 is what autobahn for Python derives.
fn scram(kdf: ScramKdf) -> AuthConfig {
    let user = match kdf {
        ScramKdf::Argon2id13 => {
            let key = |digits| Secret(unhex::<32>(digits).expect("32 octets").into());
            ScramUser {
                kdf,
                iterations: 4096,
                memory: Some(512),
                salt: unhex::<16>("78675cc176081372c43abab3ea9fb70c").expect("16 octets").into(),
                stored_key: key("272bc30f052248dc5cdbda74950e7a8b93ed9bdcbb223735783f754bdef1b463"),
                server_key: key("b148096a94176a82ac7cc885191377361b8cd6ee3af1c653c01239de23b6abf7"),
                grant: grant(),
            }
        }
        ScramKdf::Pbkdf2 => {
            let mut salted = [0; 32];
            pbkdf2_hmac::<Sha256>(b"secret!", b"s4lt", 100, &mut salted);
            ScramUser {
                kdf,
                iterations: 100,
                memory: None,
                salt: b"s4lt".to_vec(),
                stored_key: Secret(sha256(&hmac_sha256(&salted, b"Client Key")).into()),
                server_key: Secret(hmac_sha256(&salted, b"Server Key").into()),
                grant: grant(),
            }
        }
    };
    AuthConfig { scram: Some(Source::Static([("joe".into(), user)].into())), ..AuthConfig::default() }
}

#[test]
fn passwords() {
    let config = scram(ScramKdf::Pbkdf2);
    let_in(&config, Credential::Scram(secret("secret!")), "scram");
    denied(&config, Credential::Scram(secret("secret?")));
}

/// Answers a router that speaks `scram` only.
fn crossbar(kdf: ScramKdf, password: &str) -> Option<(Dict, Login<'static>)> {
    let credentials = Box::leak(Box::new([Credential::Scram(secret(password))]));
    let mut login = Login::new(Some("joe"), credentials, NONCE);
    let mut details = Dict::new();
    login.introduce(&mut details, Dict::new()).expect("nothing can go wrong");
    details.remove("authmethods");
    details.push("authmethods", vec![Value::from("scram")]);
    let (peer, mut entropy, config) = (Peer::default(), Entropy::new(&[1; 32], 0), scram(kdf));
    let now = Duration::from_secs(1);
    let mut context =
        Context { config: &config, peer: &peer, session: 7, now, entropy: &mut entropy, secret: &[2; 32] };
    let hello = Hello { realm: Uri::from("realm1"), details };
    let begun = Exchange::begin(&hello, &mut context).expect("a good HELLO");
    let Step::Challenge { method, extra, exchange } = begun else { panic!("a challenge") };
    assert_eq!(method, "scram");
    let answer = login.answer(&Challenge { method: method.into(), extra }).expect("a good challenge");
    match exchange.authenticate(&answer, &mut context).expect("something was asked") {
        Step::Welcome(admitted) => Some((Dict::new().with("authextra", admitted.extra), login)),
        _ => None,
    }
}

#[test]
fn passwords_as_crossbar_has_them() {
    for kdf in [ScramKdf::Pbkdf2, ScramKdf::Argon2id13] {
        let (welcome, login) = crossbar(kdf, "secret!").expect("joe is let in");
        assert_eq!(login.confirm(&welcome), Ok(()));
        assert!(login.confirm(&Dict::new()).is_err(), "a router that knows nothing");
        let wrong = Dict::new().with("scram_server_signature", base64(&[0; 32]));
        assert!(login.confirm(&Dict::new().with("authextra", wrong)).is_err());
        assert!(crossbar(kdf, "secret?").is_none());
    }
}

#[test]
fn a_router_may_not_ask_for_everything() {
    let credentials = [Credential::Scram(secret("p")), Credential::Cra(secret("p")), Credential::Anonymous];
    let ask = |method: &str, extra: Dict| {
        let mut login = Login::new(Some("joe"), &credentials, NONCE);
        login.answer(&Challenge { method: method.into(), extra }).expect_err("it is refused").to_string()
    };
    let own = base64(&NONCE);
    let scram = |nonce: &str, kdf: &str, iterations: u64, memory: u64| {
        let extra = Dict::new().with("nonce", nonce).with("kdf", kdf).with("salt", "AAAAAAAAAAAAAAAAAAAAAA==");
        ask("wamp-scram", extra.with("iterations", iterations).with("memory", memory))
    };
    let longer = format!("{own}AAAA");
    assert_eq!(scram("AAAA", "pbkdf2", 1, 0), "the nonce of the router does not begin with that of the client");
    assert_eq!(scram(&own, "pbkdf2", 1, 0), "the nonce of the router does not begin with that of the client");
    assert_eq!(scram(&longer, "md5", 1, 0), "the router derives with 'md5', which is not known");
    for (kdf, iterations, memory) in
        [("pbkdf2", 0, 0), ("pbkdf2", 10_000_001, 0), ("argon2id13", 1, 1 << 30), ("argon2id13", 1 << 30, 64)]
    {
        assert_eq!(scram(&longer, kdf, iterations, memory), "the challenge has costs that cannot be taken");
    }
    assert_eq!(ask("wamp-scram", Dict::new()), "the challenge has no 'nonce'");
    assert_eq!(ask("wampcra", Dict::new()), "the challenge has no 'challenge'");
    let salted = Dict::new().with("challenge", "x").with("salt", "s").with("iterations", 0);
    assert_eq!(ask("wampcra", salted), "the challenge has 'iterations' that cannot be taken");
    assert_eq!(ask("anonymous", Dict::new()), "the router asks a question where 'anonymous' has none");
    assert_eq!(ask("ticket", Dict::new()), "the router asks for 'ticket', which was not offered");
}
