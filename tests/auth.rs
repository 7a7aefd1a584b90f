//! Who may come in: every method of authentication, with right, wrong and malformed answers, by clients that compute
//! them for themselves.

mod support;

use corebar::auth::AuthConfig;
use corebar::auth::config::{
    Anonymous, CraSalt, CraUser, Cryptosign, Dynamic, Grant, KeyUser, ScramKdf, ScramUser, Secret, Source, TicketUser,
};
use corebar::auth::jwt::{JwtConfig, JwtKey, KeyRing};
use corebar::config::RuntimeConfig;
use corebar::session::{Access, RealmConfig, RoleConfig};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::EncodingKey;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::{Client, Value, Wire, node};

const DENIED: &str = "wamp.error.authentication_denied";
const FAILED: &str = "wamp.error.authentication_failed";

fn grant(role: &str) -> Grant {
    Grant { role: Some(role.into()), ..Grant::default() }
}

fn realm(name: &str) -> RealmConfig {
    let role = |name: &str| RoleConfig { name: name.into(), access: Access::All };
    RealmConfig { roles: Some(["user", "admin", "backend"].map(role).into()), ..RealmConfig::new(name) }
}

/// Runs `test` on 1 and 4 shards with every wire and these methods.
fn on_every_wire(auth: impl Fn(&mut AuthConfig), test: fn(SocketAddr, Wire)) {
    let change = |config: &mut RuntimeConfig| {
        config.realms = vec![realm("realm1"), realm("realm2")];
        config.limits.authentication_timeout = Duration::from_millis(500);
        auth(&mut config.transports[0].auth);
    };
    node::on_every_wire(change, test);
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// Sends HELLO for a method.
fn hello(address: SocketAddr, wire: Wire, method: &str, authid: &str, extra: Json) -> Client {
    let mut client = Client::connect(address, wire);
    let roles = json!({"callee": {}, "caller": {}});
    client.send(json!([1, "realm1", {
        "roles": roles, "authmethods": ["unheard_of", method], "authid": authid, "authextra": extra,
    }]));
    client
}

/// The extra of the CHALLENGE that has to come.
fn challenge(client: &mut Client, method: &str) -> std::collections::BTreeMap<String, Value> {
    let challenge = client.expect(4);
    assert_eq!(challenge[1].str(), method);
    challenge[2].dict().clone()
}

fn refused(client: &mut Client, reason: &str) {
    let abort = client.expect_abort(reason);
    let text = abort[1].dict()["message"].str().to_string();
    assert!(!text.contains("joe") && !text.contains("secret"), "{text}");
    client.expect_end();
}

fn welcome(client: &mut Client) -> std::collections::BTreeMap<String, Value> {
    client.expect(2)[2].dict().clone()
}

fn is(details: &std::collections::BTreeMap<String, Value>, expected: [&str; 4]) {
    let keys = ["authid", "authrole", "authmethod", "authprovider"];
    assert_eq!(keys.map(|key| details[key].str()), expected);
}

fn tickets(auth: &mut AuthConfig) {
    let user = TicketUser { ticket: Secret(b"secret!".as_slice().into()), grant: grant("user") };
    let bound = TicketUser { grant: Grant { realm: Some("realm2".into()), ..grant("user") }, ..user.clone() };
    let strange = TicketUser { grant: grant("no_such_role"), ..user.clone() };
    let bare = TicketUser { grant: Grant::default(), ..user.clone() };
    let users = [("joe", user), ("bound", bound), ("strange", strange), ("bare", bare)];
    auth.ticket = Some(Source::Static(users.into_iter().map(|(name, user)| (name.into(), user)).collect()));
}

#[test]
fn tickets_let_in_who_has_one() {
    on_every_wire(tickets, |address, wire| {
        let mut joe = hello(address, wire, "ticket", "joe", json!({}));
        assert!(challenge(&mut joe, "ticket").is_empty());
        joe.send(json!([5, "secret!", {}]));
        is(&welcome(&mut joe), ["joe", "user", "ticket", "static"]);
        for (authid, ticket, reason) in [
            ("joe", "secret", DENIED),
            ("joe", "", DENIED),
            ("jane", "secret!", DENIED),
            ("", "secret!", DENIED),
            ("bound", "secret!", DENIED),
            ("strange", "secret!", "wamp.error.no_such_role"),
            ("bare", "secret!", "wamp.error.no_such_role"),
        ] {
            let mut client = hello(address, wire, "ticket", authid, json!({}));
            challenge(&mut client, "ticket");
            client.send(json!([5, ticket, {}]));
            refused(&mut client, reason);
        }
    });
}

#[test]
fn what_does_not_belong_into_the_conversation() {
    on_every_wire(tickets, |address, wire| {
        for message in [json!([48, 1, {}, "a.b"]), json!([1, "realm1", {"roles": {"caller": {}}}])] {
            let mut client = hello(address, wire, "ticket", "joe", json!({}));
            challenge(&mut client, "ticket");
            client.send(message);
            refused(&mut client, "wamp.error.protocol_violation");
        }
        let mut client = hello(address, wire, "ticket", "joe", json!({}));
        challenge(&mut client, "ticket");
        client.send(json!([3, {}, "wamp.close.close_realm"]));
        client.expect_end();
        let mut early = Client::connect(address, wire);
        early.send(json!([5, "secret!", {}]));
        refused(&mut early, "wamp.error.protocol_violation");
        let mut late = hello(address, wire, "ticket", "joe", json!({}));
        challenge(&mut late, "ticket");
        late.send(json!([5, "secret!", {}]));
        welcome(&mut late);
        late.send(json!([5, "secret!", {}]));
        refused(&mut late, "wamp.error.protocol_violation");
        for details in [json!({"authid": 7}), json!({"authmethods": "ticket"}), json!({"authextra": []})] {
            let mut details = details;
            details["roles"] = json!({"caller": {}});
            let mut client = Client::connect(address, wire);
            client.send(json!([1, "realm1", details]));
            refused(&mut client, "wamp.error.protocol_violation");
        }
    });
}

#[test]
fn who_does_not_answer_is_ended() {
    on_every_wire(tickets, |address, wire| {
        if wire.serializer == support::Serializer::Json {
            let mut client = hello(address, wire, "ticket", "joe", json!({}));
            challenge(&mut client, "ticket");
            refused(&mut client, FAILED);
        }
    });
}

#[test]
fn methods_are_tried_in_the_order_of_the_client() {
    let both = |auth: &mut AuthConfig| {
        tickets(auth);
        auth.anonymous = Some(Source::Static(Anonymous { grant: grant("backend"), authid: Some("guest".into()) }));
    };
    on_every_wire(both, |address, wire| {
        let roles = json!({"caller": {}});
        let join = |methods: Json| {
            let mut client = Client::connect(address, wire);
            client.send(json!([1, "realm1", {"roles": roles, "authid": "joe", "authmethods": methods}]));
            client
        };
        challenge(&mut join(json!(["cryptosign", "ticket", "anonymous"])), "ticket");
        is(&welcome(&mut join(json!(["anonymous", "ticket"]))), ["guest", "backend", "anonymous", "static"]);
        is(&welcome(&mut join(json!([]))), ["guest", "backend", "anonymous", "static"]);
        refused(&mut join(json!(["cryptosign", "tls", 7])), "wamp.error.no_matching_auth_method");
    });
    on_every_wire(tickets, |address, wire| {
        let mut client = Client::connect(address, wire);
        client.send(json!([1, "realm1", {"roles": {"caller": {}}}]));
        refused(&mut client, "wamp.error.no_matching_auth_method");
    });
}

fn cra(auth: &mut AuthConfig) {
    let salt = || CraSalt::new("salt123", Some(100), Some(16)).expect("good numbers");
    let users = [
        ("joe", CraUser::new(b"secret!", None, grant("user"))),
        ("peter", CraUser::new(b"secret!", Some(salt()), grant("admin"))),
    ];
    auth.wampcra = Some(Source::Static(users.into_iter().map(|(name, user)| (name.into(), user)).collect()));
}

/// Answers a challenge of `wampcra` as clients do.
fn cra_signature(extra: &std::collections::BTreeMap<String, Value>, secret: &[u8]) -> String {
    let key = match extra.get("salt") {
        None => secret.to_vec(),
        Some(salt) => {
            let mut key = vec![0; extra["keylen"].uint() as usize];
            let iterations = extra["iterations"].uint() as u32;
            pbkdf2::pbkdf2_hmac::<Sha256>(secret, salt.str().as_bytes(), iterations, &mut key);
            BASE64.encode(&key).into_bytes()
        }
    };
    BASE64.encode(&hmac_sha256(&key, extra["challenge"].str().as_bytes()))
}

#[test]
fn wampcra_lets_in_who_knows_the_secret() {
    on_every_wire(cra, |address, wire| {
        for (authid, role) in [("joe", "user"), ("peter", "admin")] {
            let mut client = hello(address, wire, "wampcra", authid, json!({}));
            let extra = challenge(&mut client, "wampcra");
            let said: Json = serde_json::from_str(extra["challenge"].str()).expect("a challenge is JSON");
            assert_eq!((&said["authid"], &said["authmethod"]), (&json!(authid), &json!("wampcra")));
            client.send(json!([5, cra_signature(&extra, b"secret!"), {}]));
            is(&welcome(&mut client), [authid, role, "wampcra", "static"]);
            // Neither a wrong secret nor an answer to another challenge.
            let mut replaying = hello(address, wire, "wampcra", authid, json!({}));
            let other = challenge(&mut replaying, "wampcra");
            assert_ne!(other["challenge"].str(), extra["challenge"].str());
            replaying.send(json!([5, cra_signature(&extra, b"secret!"), {}]));
            refused(&mut replaying, DENIED);
            let mut wrong = hello(address, wire, "wampcra", authid, json!({}));
            let extra = challenge(&mut wrong, "wampcra");
            wrong.send(json!([5, cra_signature(&extra, b"Secret!"), {}]));
            refused(&mut wrong, DENIED);
        }
        let mut salts = Vec::new();
        for _ in 0..2 {
            let mut nobody = hello(address, wire, "wampcra", "jane", json!({}));
            let extra = challenge(&mut nobody, "wampcra");
            salts.push(extra["salt"].str().to_string());
            nobody.send(json!([5, cra_signature(&extra, b"secret!"), {}]));
            refused(&mut nobody, DENIED);
        }
        assert_eq!(salts[0], salts[1], "a salt that changes would tell that there is no such user");
    });
}

/// What the router keeps of a user of SCRAM, and what the user's client makes of the password.
fn scram_user(password: &[u8]) -> (ScramUser, [u8; 32]) {
    let salt = b"0123456789abcdef".to_vec();
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, 100, &mut salted);
    let client_key = hmac_sha256(&salted, b"Client Key");
    let user = ScramUser {
        kdf: ScramKdf::Pbkdf2,
        iterations: 100,
        memory: None,
        salt,
        stored_key: Secret(Sha256::digest(client_key).as_slice().into()),
        server_key: Secret(hmac_sha256(&salted, b"Server Key").as_slice().into()),
        grant: grant("user"),
    };
    (user, client_key)
}

fn scram(auth: &mut AuthConfig) {
    auth.scram = Some(Source::Static([("joe".into(), scram_user(b"secret!").0)].into()));
}

#[test]
fn scram_lets_in_who_knows_the_password_in_both_dialects() {
    on_every_wire(scram, |address, wire| {
        let nonce = BASE64.encode(b"the client's nonce");
        for (method, binding, verifier) in [("wamp-scram", "biws", "verifier"), ("scram", "", "scram_server_signature")]
        {
            for (authid, password, right) in
                [("joe", &b"secret!"[..], true), ("joe", b"Secret!", false), ("jane", b"secret!", false)]
            {
                let mut client = hello(address, wire, method, authid, json!({"nonce": nonce}));
                let extra = challenge(&mut client, method);
                assert_eq!(extra["kdf"].str(), "pbkdf2");
                let (user, client_key) = scram_user(password);
                let message = format!(
                    "n={authid},r={nonce},r={server},s={salt},i={iterations},c={binding},r={server}",
                    server = extra["nonce"].str(),
                    salt = extra["salt"].str(),
                    iterations = extra["iterations"].uint(),
                );
                let signature = hmac_sha256(&user.stored_key.0, message.as_bytes());
                let proof: Vec<u8> = signature.iter().zip(client_key).map(|(one, other)| one ^ other).collect();
                client.send(json!([5, BASE64.encode(&proof), {"nonce": extra["nonce"].str()}]));
                if !right {
                    refused(&mut client, DENIED);
                    continue;
                }
                let details = welcome(&mut client);
                is(&details, ["joe", "user", method, "static"]);
                let expected = BASE64.encode(&hmac_sha256(&user.server_key.0, message.as_bytes()));
                assert_eq!(details["authextra"].dict()[verifier].str().trim_start_matches("v="), expected);
            }
            for extra in [json!({}), json!({"nonce": "?"}), json!({"nonce": nonce, "channel_binding": "tls-unique"})] {
                refused(&mut hello(address, wire, method, "joe", extra), DENIED);
            }
        }
    });
}

fn cryptosign(auth: &mut AuthConfig) {
    let key = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
    let user = KeyUser { keys: vec![key], grant: grant("user") };
    auth.cryptosign = Some(Source::Static(Cryptosign { users: [("joe".into(), user)].into() }));
}

#[test]
fn cryptosign_lets_in_who_has_the_key() {
    on_every_wire(cryptosign, |address, wire| {
        let (own, other) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let public = |key: &SigningKey| json!({"pubkey": HEXLOWER.encode(&key.verifying_key().to_bytes())});
        let answer = |client: &mut Client, key: &SigningKey| {
            let extra = challenge(client, "cryptosign");
            let message = HEXLOWER.decode(extra["challenge"].str().as_bytes()).expect("hexadecimal digits");
            assert_eq!(message.len(), 32);
            let signed = [&key.sign(&message).to_bytes()[..], &message].concat();
            client.send(json!([5, HEXLOWER.encode(&signed), {}]));
        };
        let mut joe = hello(address, wire, "cryptosign", "joe", public(&own));
        answer(&mut joe, &own);
        is(&welcome(&mut joe), ["joe", "user", "cryptosign", "static"]);
        let mut unnamed = Client::connect(address, wire);
        unnamed.send(json!([1, "realm1", {
            "roles": {"caller": {}}, "authmethods": ["cryptosign"], "authextra": public(&own),
        }]));
        answer(&mut unnamed, &own);
        is(&welcome(&mut unnamed), ["joe", "user", "cryptosign", "static"]);
        for (authid, named, used) in [("joe", &own, &other), ("joe", &other, &other), ("jane", &own, &own)] {
            let mut client = hello(address, wire, "cryptosign", authid, public(named));
            answer(&mut client, used);
            refused(&mut client, DENIED);
        }
        for signature in ["", "00", "zz", &"0".repeat(192)] {
            let mut client = hello(address, wire, "cryptosign", "joe", public(&own));
            challenge(&mut client, "cryptosign");
            client.send(json!([5, signature, {}]));
            refused(&mut client, DENIED);
        }
        let bound = |binding: &str| json!({"pubkey": public(&own)["pubkey"], "channel_binding": binding});
        refused(&mut hello(address, wire, "cryptosign", "joe", bound("tls-exporter")), DENIED);
        // As links of Crossbar.io have it, also without TLS.
        let mut link = hello(address, wire, "cryptosign", "joe", bound("tls-unique"));
        answer(&mut link, &own);
        is(&welcome(&mut link), ["joe", "user", "cryptosign", "static"]);
    });
}

/// Answers calls of an authenticator until the connection ends.
fn authenticator(address: SocketAddr, wire: Wire) -> Client {
    let mut client = Client::connect(address, wire);
    client.send(json!([1, "realm2", {"roles": {"callee": {}}, "authid": "a", "authmethods": ["wampcra"]}]));
    let extra = challenge(&mut client, "wampcra");
    client.send(json!([5, cra_signature(&extra, b"for the authenticator"), {}]));
    welcome(&mut client);
    client
}

fn dynamic(auth: &mut AuthConfig) {
    let grant = Grant { realm: Some("realm2".into()), ..grant("backend") };
    auth.wampcra = Some(Source::Static([("a".into(), CraUser::new(b"for the authenticator", None, grant))].into()));
    let procedure = |name: &str| Dynamic::Procedure { procedure: name.into(), realm: Some("realm2".into()) };
    auth.ticket = Some(Source::Dynamic(procedure("com.example.ticket")));
    auth.cryptosign = Some(Source::Dynamic(procedure("com.example.key")));
    auth.scram = Some(Source::Dynamic(Dynamic::Procedure {
        realm: Some("no.realm".into()),
        procedure: "com.example.scram".into(),
    }));
}

#[test]
fn authenticators_decide() {
    on_every_wire(dynamic, |address, wire| {
        let join = |authid: &str| {
            let mut client = hello(address, wire, "ticket", authid, json!({"a": 1}));
            challenge(&mut client, "ticket");
            client.send(json!([5, "secret!", {}]));
            client
        };
        refused(&mut join("early"), FAILED);
        refused(&mut hello(address, wire, "scram", "joe", json!({})), FAILED);
        let mut callee = authenticator(address, wire);
        let registration = callee.register("com.example.ticket");
        let keys = callee.register("com.example.key");
        thread::scope(|scope| {
            let answering = scope.spawn(|| {
                for _ in 0..7 {
                    let (request, payload) = callee.expect_invocation(registration);
                    let arguments = payload[0].list();
                    let details = arguments[2].dict();
                    assert_eq!((arguments[0].str(), details["ticket"].str()), ("realm1", "secret!"));
                    assert_eq!(details["authextra"].dict()["a"].uint(), 1);
                    match arguments[1].str() {
                        "joe" => callee.send(json!([70, request, {}, ["user"]])),
                        "jane" => callee.send(json!([70, request, {}, [{
                            "role": "admin", "realm": "realm2", "authid": "Jane", "extra": {"team": "red"},
                        }]])),
                        "nonsense" => callee.send(json!([70, request, {}, [7]])),
                        "stranger" => callee.send(json!([70, request, {}, ["no_such_role"]])),
                        "lost" => callee.send(json!([70, request, {}, [{"role": "user", "realm": "no.realm"}]])),
                        "hung" => {}
                        _ => callee.send(json!([8, 68, request, {}, "com.example.unknown_user"])),
                    }
                }
                let (request, _) = callee.expect_invocation(keys);
                let key = HEXLOWER.encode(&SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes());
                callee.send(json!([70, request, {}, [{"role": "user", "pubkey": key}]]));
            });
            is(&welcome(&mut join("joe")), ["joe", "user", "ticket", "dynamic"]);
            let details = welcome(&mut join("jane"));
            is(&details, ["Jane", "admin", "ticket", "dynamic"]);
            assert_eq!((details["realm"].str(), details["authextra"].dict()["team"].str()), ("realm2", "red"));
            refused(&mut join("nonsense"), DENIED);
            refused(&mut join("stranger"), "wamp.error.no_such_role");
            refused(&mut join("lost"), "wamp.error.no_such_realm");
            refused(&mut join("nobody"), DENIED);
            refused(&mut join("hung"), FAILED);
            let mut signing = hello(address, wire, "cryptosign", "joe", json!({}));
            let extra = challenge(&mut signing, "cryptosign");
            let message = HEXLOWER.decode(extra["challenge"].str().as_bytes()).expect("hexadecimal digits");
            let signed = [&SigningKey::from_bytes(&[9; 32]).sign(&message).to_bytes()[..], &message].concat();
            signing.send(json!([5, HEXLOWER.encode(&signed), {}]));
            is(&welcome(&mut signing), ["joe", "user", "cryptosign", "dynamic"]);
            answering.join().expect("the authenticator was asked what it expected");
        });
    });
}

#[test]
fn keys_are_derived_while_others_are_served() {
    let salting = |auth: &mut AuthConfig| {
        let user = TicketUser { ticket: Secret(b"t".as_slice().into()), grant: grant("backend") };
        auth.ticket = Some(Source::Static([("a".into(), user)].into()));
        let (procedure, realm) = ("com.example.secret".into(), None);
        auth.wampcra = Some(Source::Dynamic(Dynamic::Procedure { procedure, realm }));
    };
    let change = |config: &mut RuntimeConfig| {
        config.realms = vec![realm("realm1"), realm("realm2")];
        salting(&mut config.transports[0].auth);
    };
    node::on_every_wire(change, |address, wire| {
        let mut callee = hello(address, wire, "ticket", "a", json!({}));
        challenge(&mut callee, "ticket");
        callee.send(json!([5, "t", {}]));
        welcome(&mut callee);
        let registration = callee.register("com.example.secret");
        let heavy = if Some(wire) == Wire::all().next() { 200_000 } else { 1000 };
        // (What is known of the secret, what the client signs with, whether that is right.)
        for (salt, signed, right) in [
            (json!({"secret": "s", "role": "user"}), "s", true),
            (json!({"secret": "s", "role": "user"}), "t", false),
            (json!({"secret": "s", "role": "user", "salt": "x", "iterations": heavy, "keylen": 32}), "s", true),
            (json!({"secret": "s", "role": "user", "salt": "x", "iterations": heavy, "keylen": 32}), "t", false),
            (json!({"secret": "s", "role": "user", "salt": "x", "iterations": 1_000_001, "keylen": 32}), "s", false),
        ] {
            let mut client = hello(address, wire, "wampcra", "joe", json!({}));
            let (request, _) = callee.expect_invocation(registration);
            callee.send(json!([70, request, {}, [salt]]));
            let began = Instant::now();
            let call = callee.call("wamp.session.count", &[]);
            callee.expect_result(call);
            let answered = began.elapsed();
            if salt["iterations"] == json!(1_000_001) {
                refused(&mut client, FAILED);
                continue;
            }
            let extra = challenge(&mut client, "wampcra");
            let derived = began.elapsed();
            if salt["iterations"] == json!(200_000) {
                assert!(answered * 2 < derived, "answered after {answered:?}, derived after {derived:?}");
            }
            client.send(json!([5, cra_signature(&extra, signed.as_bytes()), {}]));
            if right {
                is(&welcome(&mut client), ["joe", "user", "wampcra", "dynamic"]);
            } else {
                refused(&mut client, DENIED);
            }
        }
        // A client that leaves while its key is derived leaves nothing behind.
        let client = hello(address, wire, "wampcra", "joe", json!({}));
        let (request, _) = callee.expect_invocation(registration);
        callee.send(json!([70, request, {}, [{"secret": "s", "role": "user", "salt": "x", "iterations": 100_000}]]));
        drop(client);
        let call = callee.call("wamp.session.count", &[]);
        callee.expect_result(call);
        callee.leave();
    });
}

#[test]
fn the_router_itself_is_in_no_list() {
    on_every_wire(dynamic, |address, wire| {
        let mut callee = authenticator(address, wire);
        let registration = callee.register("com.example.ticket");
        let mut client = hello(address, wire, "ticket", "joe", json!({}));
        challenge(&mut client, "ticket");
        client.send(json!([5, "secret!", {}]));
        let (request, _) = callee.expect_invocation(registration);
        callee.send(json!([70, request, {}, [{"role": "user", "realm": "realm2"}]]));
        welcome(&mut client);
        let list = client.call("wamp.session.list", &[]);
        assert_eq!(client.expect_result(list)[0].list()[0].list().len(), 2);
        callee.leave();
        client.leave();
    });
}

#[test]
fn a_token_says_who_the_client_is() {
    const SECRET: &[u8] = b"a secret of at least 32 octets!!";
    let jwt = |auth: &mut AuthConfig| {
        let keys = KeyRing::new(vec![JwtKey::secret(SECRET)]);
        auth.jwt = Some(JwtConfig { leeway: Duration::ZERO, ..JwtConfig::new(keys) });
    };
    on_every_wire(jwt, |address, wire| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let token = |exp: u64, secret: &[u8]| {
            let claims = json!({"sub": "joe", "role": "user", "exp": exp});
            let key = EncodingKey::from_secret(secret);
            jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
        };
        let good = token(now + 60, SECRET);
        let mut joe = hello(address, wire, "jwt", "joe", json!({}));
        challenge(&mut joe, "jwt");
        joe.send(json!([5, good, {}]));
        is(&welcome(&mut joe), ["joe", "user", "jwt", "static"]);
        is(&welcome(&mut hello(address, wire, "jwt", "joe", json!({"token": good}))), ["joe", "user", "jwt", "static"]);
        for (authid, token) in [
            ("joe", token(now - 1, SECRET)),
            ("joe", token(now + 60, b"another secret of so many octets")),
            ("jane", good.clone()),
            ("joe", String::new()),
            ("joe", "x".repeat(100_000)),
        ] {
            let mut client = hello(address, wire, "jwt", authid, json!({}));
            challenge(&mut client, "jwt");
            client.send(json!([5, token, {}]));
            refused(&mut client, DENIED);
        }
        // The session ends with the token; for that, one serializer is enough.
        if wire.serializer != support::Serializer::Json {
            return;
        }
        let mut short = hello(address, wire, "jwt", "joe", json!({"token": token(now + 2, SECRET)}));
        welcome(&mut short);
        let goodbye = short.expect(6);
        assert_eq!(goodbye[2].str(), "wamp.close.authentication_expired");
        short.send(json!([6, {}, "wamp.close.goodbye_and_out"]));
        short.expect_end();
    });
}

#[test]
fn keys_for_tokens_are_replaced_while_the_router_runs() {
    const OLD: &[u8] = b"an old secret of at least 32 octets";
    const NEW: &[u8] = b"a new secret of at least 32 octets!";
    let file = std::env::temp_dir().join(format!("corebar-jwks-{}", std::process::id()));
    let set = |secret: &[u8]| {
        let key = data_encoding::BASE64URL_NOPAD.encode(secret);
        json!({"keys": [{"kty": "oct", "alg": "HS256", "k": key}]}).to_string()
    };
    std::fs::write(&file, set(OLD)).expect("a file");
    let change = |config: &mut RuntimeConfig| {
        let keys = KeyRing::new(JwtKey::set(&set(OLD)).expect("a key"));
        config.transports[0].auth.jwt = Some(JwtConfig { jwks: Some(file.clone()), ..JwtConfig::new(keys) });
        config.jwks_interval = Duration::from_millis(50);
    };
    node::with_router(change, |address| {
        let wire = Wire::all().next().expect("a wire");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let is_in = |secret: &[u8]| {
            let claims = json!({"sub": "joe", "role": "user", "exp": now + 600});
            let key = EncodingKey::from_secret(secret);
            let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token");
            hello(address, wire, "jwt", "joe", json!({"token": token})).recv()[0].uint() == 2
        };
        assert!(is_in(OLD) && !is_in(NEW));
        std::fs::write(&file, "nonsense").expect("a file");
        thread::sleep(Duration::from_millis(300));
        assert!(is_in(OLD), "a broken file changes nothing");
        std::fs::write(&file, set(NEW)).expect("a file");
        let begun = std::time::Instant::now();
        while !is_in(NEW) {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(20));
        }
        assert!(!is_in(OLD));
    });
    let _ = std::fs::remove_file(&file);
}
