//! Procedures that decide what sessions may do: in order, in time, remembered only as they say, and never yes by
//! mistake.

mod support;

use corebar::auth::config::{Grant, Secret, Source, TicketUser};
use corebar::config::RuntimeConfig;
use corebar::session::{Access, HistoryRule, RealmConfig, RoleConfig};
use corebar::wamp::MatchPolicy::Exact;
use serde_json::{Value as Json, json};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use support::client::{Incoming, payload};
use support::raw::{client_frame, server_frame, upgraded_json};
use support::value::Value;
use support::{Client, Wire, node};

const NOT_AUTHORIZED: &str = "wamp.error.not_authorized";
const FAILED: &str = "wamp.error.authorization_failed";
const AUTHORIZE: &str = "com.authorize";

fn configure(config: &mut RuntimeConfig) {
    let role = |name: &str, access| RoleConfig { name: name.into(), access };
    config.realms = vec![RealmConfig {
        roles: Some(vec![role("backend", Access::All), role("user", Access::Authorizer(AUTHORIZE.into()))]),
        history: vec![HistoryRule::new("com.kept", Exact)],
        ..RealmConfig::new("realm1")
    }];
    let user = |role: &str| TicketUser {
        ticket: Secret(b"x".as_slice().into()),
        grant: Grant { role: Some(role.into()), ..Grant::default() },
    };
    let users = [("joe", "user"), ("jane", "user"), ("backend", "backend")];
    config.transports[0].auth.ticket = Some(Source::Static(users.map(|(name, role)| (name.into(), user(role))).into()));
    config.limits.authorization_timeout = Duration::from_secs(1);
}

fn join(address: SocketAddr, wire: Wire, authid: &str) -> Client {
    Client::login(address, wire, authid, "x")
}

/// An authorizer, and a session that it decides about.
fn pair(address: SocketAddr, wire: Wire) -> (Client, Client) {
    let mut authorizer = join(address, wire, "backend");
    authorizer.register(AUTHORIZE);
    (authorizer, join(address, wire, "joe"))
}

/// The next question: its request and its arguments.
fn question(authorizer: &mut Client) -> (u64, Vec<Value>) {
    let invocation = authorizer.expect(68);
    (invocation[1].uint(), invocation[4].list().to_vec())
}

fn answer(authorizer: &mut Client, request: u64, answer: &Json) {
    authorizer.send(json!([70, request, {}, [answer]]));
}

/// Expects a question about this, and answers it.
#[track_caller]
fn decide(authorizer: &mut Client, action: &str, uri: &str, said: &Json) {
    let (request, arguments) = question(authorizer);
    assert_eq!((arguments[1].str(), arguments[2].str()), (uri, action));
    answer(authorizer, request, said);
}

fn publish(client: &mut Client, topic: &str, argument: &Json) -> u64 {
    let request = client.next();
    client.send(json!([16, request, {"acknowledge": true}, topic, [argument]]));
    request
}

fn on_every_wire(test: fn(SocketAddr, Wire)) {
    node::on_every_wire(configure, test);
}

#[test]
fn an_authorizer_says_yes_and_no() {
    on_every_wire(|address, wire| {
        let (mut authorizer, mut joe) = pair(address, wire);
        for (said, error) in [
            (json!(true), None),
            (json!({"allow": true}), None),
            (json!(false), Some(NOT_AUTHORIZED)),
            (json!({"allow": false, "disclose": true}), Some(NOT_AUTHORIZED)),
            (json!(null), Some(FAILED)),
            (json!("true"), Some(FAILED)),
            (json!(1), Some(FAILED)),
            (json!({}), Some(FAILED)),
            (json!({"allow": 1}), Some(FAILED)),
        ] {
            let actions = [
                ("publish", json!([16, 0, {"acknowledge": true}, "com.x"]), 16, 17),
                ("subscribe", json!([32, 0, {}, "com.x"]), 32, 33),
                ("register", json!([64, 0, {}, "com.x"]), 64, 65),
                ("call", json!([48, 0, {}, "wamp.session.count"]), 48, 50),
            ];
            for (action, mut message, code, done) in actions {
                let request = joe.next();
                message[1] = json!(request);
                let uri = message[3].as_str().expect("a URI").to_string();
                joe.send(message);
                decide(&mut authorizer, action, &uri, &said);
                match error {
                    Some(error) => drop(joe.expect_error(code, request, error)),
                    None => {
                        let id = joe.expect(done)[2].clone();
                        if done == 33 || done == 65 {
                            let request = joe.next();
                            joe.send(json!([done + 1, request, id.uint()]));
                            joe.expect(done + 2);
                        }
                    }
                }
            }
        }
        authorizer.leave();
    });
}

#[test]
fn an_authorizer_is_told_who_wants_what() {
    on_every_wire(|address, wire| {
        let (mut authorizer, mut joe) = pair(address, wire);
        let request = joe.next();
        joe.send(json!([32, request, {"match": "prefix", "x_why": "because"}, "com.x."]));
        let (asked, arguments) = question(&mut authorizer);
        let details = arguments[0].dict();
        assert_ne!(details["session"].uint(), 0);
        let texts = ["authid", "authrole", "authmethod", "authprovider"].map(|key| details[key].str());
        assert_eq!(texts, ["joe", "user", "ticket", "static"]);
        assert!(details["transport"].dict()["peer"].str().starts_with("tcp4:127.0.0.1:"));
        assert_eq!(arguments[3].dict()["match"].str(), "prefix");
        assert_eq!(arguments[3].dict()["x_why"].str(), "because");
        answer(&mut authorizer, asked, &json!(true));
        joe.expect(33);
        // What cannot be done anyway is not asked about.
        let request = joe.next();
        joe.send(json!([32, request, {}, "com..x"]));
        joe.expect_error(32, request, "wamp.error.invalid_uri");
        authorizer.expect_silence(Duration::from_millis(20));
        authorizer.leave();
    });
}

#[test]
fn an_authorizer_that_is_missing_fails_or_hangs_means_no() {
    on_every_wire(|address, wire| {
        let mut joe = join(address, wire, "joe");
        let request = publish(&mut joe, "com.x", &json!(1));
        joe.expect_error(16, request, FAILED);
        let mut authorizer = join(address, wire, "backend");
        let registration = authorizer.register(AUTHORIZE);
        let request = publish(&mut joe, "com.x", &json!(1));
        let (asked, _) = question(&mut authorizer);
        authorizer.send(json!([8, 68, asked, {}, "com.error.broken"]));
        joe.expect_error(16, request, FAILED);
        let (request, begun) = (publish(&mut joe, "com.x", &json!(1)), Instant::now());
        let (asked, _) = question(&mut authorizer);
        joe.expect_error(16, request, FAILED);
        assert!(begun.elapsed() >= Duration::from_millis(290));
        authorizer.expect(69);
        // Too late.
        answer(&mut authorizer, asked, &json!(true));
        authorizer.unregister(registration);
        let mut other = join(address, wire, "backend");
        other.register(AUTHORIZE);
        let request = publish(&mut joe, "com.x", &json!(1));
        question(&mut other);
        drop(other);
        joe.expect_error(16, request, FAILED);
        authorizer.leave();
    });
}

#[test]
fn requests_keep_their_order() {
    on_every_wire(|address, wire| {
        let (mut authorizer, mut joe) = pair(address, wire);
        authorizer.subscribe("com.x");
        for number in 0..20 {
            let request = joe.next();
            joe.send(json!([16, request, {}, "com.x", [number]]));
        }
        // A session that leaves has said before what it has said.
        joe.send(json!([6, {}, "wamp.close.normal"]));
        let mut asked: Vec<u64> = (0..20).map(|_| question(&mut authorizer).0).collect();
        asked.reverse();
        for (at, request) in asked.into_iter().enumerate() {
            answer(&mut authorizer, request, &json!(at % 2 == 0));
        }
        for number in (0..20_u64).filter(|number| number % 2 == 1) {
            let event = authorizer.expect(36);
            assert_eq!(event[4].list()[0].uint(), number);
        }
        joe.expect(6);
        authorizer.leave();
    });
}

#[test]
fn answers_to_invocations_pass_the_gate() {
    on_every_wire(|address, wire| {
        let (mut backend, mut joe) = pair(address, wire);
        let request = joe.next();
        joe.send(json!([64, request, {"invoke": "first"}, AUTHORIZE]));
        decide(&mut backend, "register", AUTHORIZE, &json!(true));
        // Only a single callee is there.
        joe.expect_error(64, request, "wamp.error.procedure_already_exists");
        let request = joe.next();
        joe.send(json!([64, request, {}, "com.p"]));
        decide(&mut backend, "register", "com.p", &json!(true));
        joe.expect(65);
        backend.leave();
        // From here on it decides about itself, and about nothing before.
        let mut jane = join(address, wire, "jane");
        let request = publish(&mut jane, "com.x", &json!(1));
        jane.expect_error(16, request, FAILED);
        // GOODBYE stands at the gate, but there is nothing to ask.
        jane.leave();
        joe.leave();
    });
    on_every_wire(|address, wire| {
        let (mut backend, mut joe) = pair(address, wire);
        let request = joe.next();
        joe.send(json!([64, request, {"force_reregister": true}, AUTHORIZE]));
        decide(&mut backend, "register", AUTHORIZE, &json!(true));
        joe.expect(65);
        let request = publish(&mut joe, "com.x", &json!(1));
        decide(&mut joe, "publish", "com.x", &json!(true));
        let published = joe.expect(17);
        assert_eq!(published[1].uint(), request);
        assert_eq!(backend.expect(67)[2].dict()["reason"].str(), "wamp.error.registration_taken_over");
        backend.leave();
        joe.leave();
    });
}

#[test]
fn a_call_can_be_canceled_at_the_gate() {
    on_every_wire(|address, wire| {
        let (mut authorizer, mut joe) = pair(address, wire);
        authorizer.register("com.p");
        let before = publish(&mut joe, "com.x", &json!(1));
        let request = joe.next();
        joe.send(json!([48, request, {"progress": true}, "com.p"]));
        joe.send(json!([48, request, {}, "com.p"]));
        let (first, _) = question(&mut authorizer);
        let (call, arguments) = question(&mut authorizer);
        assert_eq!(arguments[2].str(), "call");
        joe.send(json!([49, request, {}]));
        joe.expect_silence(Duration::from_millis(20));
        answer(&mut authorizer, first, &json!(true));
        assert_eq!(joe.expect(17)[1].uint(), before);
        joe.expect_error(48, request, "wamp.error.canceled");
        answer(&mut authorizer, call, &json!(true));
        authorizer.expect_silence(Duration::from_millis(20));
        // One that has gone on is canceled where it is, and its parts are allowed with it.
        let request = joe.next();
        joe.send(json!([48, request, {"progress": true}, "com.p", [1]]));
        decide(&mut authorizer, "call", "com.p", &json!(true));
        let invocation = authorizer.expect(68);
        joe.send(json!([48, request, {"progress": true}, "com.p", [2]]));
        assert_eq!(authorizer.expect(68)[1], invocation[1]);
        joe.send(json!([49, request, {}]));
        joe.expect_error(48, request, "wamp.error.canceled");
        authorizer.expect(69);
        authorizer.leave();
    });
}

#[test]
fn decisions_are_remembered_as_the_authorizer_says() {
    on_every_wire(|address, wire| {
        let (mut authorizer, mut joe) = pair(address, wire);
        let (mut other_joe, mut jane) = (join(address, wire, "joe"), join(address, wire, "jane"));
        // Who is asked about after joe was allowed, for each scope. Shards remember for themselves; so with several
        // shards others may be asked about as well, but nobody is ever allowed who must not be.
        for (cache, topic, other_known, jane_known) in [
            (json!(false), "com.no", false, false),
            (json!(true), "com.session", false, false),
            (json!({"scope": "session"}), "com.session.too", false, false),
            (json!({"scope": "authid"}), "com.authid", true, false),
            (json!({"scope": "authrole", "ttl": 20}), "com.authrole", true, true),
        ] {
            let request = publish(&mut joe, topic, &json!(1));
            decide(&mut authorizer, "publish", topic, &json!({"allow": true, "cache": cache}));
            assert_eq!(joe.expect(17)[1].uint(), request);
            let mut asked = |client: &mut Client| {
                publish(client, topic, &json!(1));
                // Either comes, however long that takes.
                loop {
                    match client.poll(Duration::from_millis(5)) {
                        Incoming::Nothing => {}
                        Incoming::Message(_) => return false,
                        Incoming::End(_) => panic!("the session goes on"),
                    }
                    if let Incoming::Message(invocation) = authorizer.poll(Duration::from_millis(5)) {
                        assert_eq!((invocation[0].uint(), invocation[4].list()[1].str()), (68, topic));
                        answer(&mut authorizer, invocation[1].uint(), &json!(true));
                        client.expect(17);
                        return true;
                    }
                }
            };
            assert_eq!(asked(&mut joe), cache == json!(false), "{cache}");
            assert!(asked(&mut other_joe) || other_known, "{cache}");
            assert!(asked(&mut jane) || jane_known, "{cache}");
        }
        // A time of nothing is none.
        for _ in 0..2 {
            publish(&mut joe, "com.short", &json!(1));
            let said = json!({"allow": true, "cache": {"ttl": 0}});
            decide(&mut authorizer, "publish", "com.short", &said);
            joe.expect(17);
        }
        let flush = authorizer.call("wamp.authorization.flush", &[]);
        assert!(authorizer.expect_result(flush)[0].list()[0].uint() >= 4);
        publish(&mut joe, "com.session", &json!(1));
        decide(&mut authorizer, "publish", "com.session", &json!(false));
        joe.expect(8);
        authorizer.leave();
    });
}

#[test]
fn what_was_flushed_on_its_way_is_not_remembered() {
    on_every_wire(|address, wire| {
        let (mut authorizer, mut joe) = pair(address, wire);
        let yes = json!({"allow": true, "cache": true});
        publish(&mut joe, "com.x", &json!(1));
        let (asked, _) = question(&mut authorizer);
        let flush = authorizer.call("wamp.authorization.flush", &[]);
        authorizer.expect_result(flush);
        answer(&mut authorizer, asked, &yes);
        joe.expect(17);
        publish(&mut joe, "com.x", &json!(1));
        decide(&mut authorizer, "publish", "com.x", &yes);
        joe.expect(17);
        authorizer.leave();
    });
}

#[test]
fn what_is_disclosed_is_disclosed() {
    on_every_wire(|address, wire| {
        let (mut authorizer, mut joe) = pair(address, wire);
        authorizer.subscribe("com.x");
        for disclose in [true, false] {
            let request = joe.next();
            joe.send(json!([16, request, {}, "com.x"]));
            decide(&mut authorizer, "publish", "com.x", &json!({"allow": true, "disclose": disclose}));
            assert_eq!(authorizer.expect(36)[3].dict().contains_key("publisher_authid"), disclose);
        }
        authorizer.leave();
    });
}

#[test]
fn testaments_and_histories_are_asked_about() {
    on_every_wire(|address, wire| {
        let (mut authorizer, mut joe) = pair(address, wire);
        for (said, error) in [(json!(false), Some(NOT_AUTHORIZED)), (json!(null), Some(FAILED)), (json!(true), None)] {
            let request = joe.call("wamp.session.add_testament", &payload(json!([["com.will", ["x"], {}]])));
            decide(&mut authorizer, "call", "wamp.session.add_testament", &json!(true));
            decide(&mut authorizer, "publish", "com.will", &said);
            match error {
                Some(error) => drop(joe.expect_error(48, request, error)),
                None => drop(joe.expect_result(request)),
            }
        }
        authorizer.publish("com.kept", &payload(json!([["kept"]])));
        let id = authorizer.subscribe("com.kept");
        for (said, may) in [(json!(true), true), (json!(false), false), (json!(null), false)] {
            let request = joe.call("wamp.subscription.get_events", &payload(json!([[id]])));
            decide(&mut authorizer, "call", "wamp.subscription.get_events", &json!(true));
            decide(&mut authorizer, "subscribe", "com.kept", &said);
            match may {
                true => drop(joe.expect_result(request)),
                false => drop(joe.expect_error(48, request, NOT_AUTHORIZED)),
            }
        }
        authorizer.leave();
    });
}

/// More than may wait: the socket is not read meanwhile, and nothing is lost.
#[test]
fn a_flood_waits() {
    let change = |config: &mut RuntimeConfig| {
        configure(config);
        config.limits.gate_bytes_max = 64 * 1024;
        config.limits.authorizations_open_max = 8;
        config.limits.authorization_timeout = Duration::from_secs(60);
    };
    node::on_every_wire(change, |address, wire| {
        const EVENTS: u64 = 2000;
        let (mut authorizer, mut joe) = pair(address, wire);
        let mut watcher = join(address, wire, "backend");
        watcher.subscribe("com.x");
        let text = "x".repeat(400);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..EVENTS {
                    let request = joe.next();
                    joe.send(json!([16, request, {}, "com.x", [number, text]]));
                }
            });
            scope.spawn(|| {
                for _ in 0..EVENTS {
                    decide(&mut authorizer, "publish", "com.x", &json!(true));
                }
            });
            for number in 0..EVENTS {
                assert_eq!(watcher.expect(36)[4].list()[0].uint(), number);
            }
        });
        authorizer.leave();
    });
}

/// The session ends while its socket is not read; the connection serves another one all the same.
#[test]
fn who_leaves_while_it_is_held_is_read_again() {
    let change = |config: &mut RuntimeConfig| {
        configure(config);
        config.limits.gate_bytes_max = 1024;
    };
    node::with_router(change, |address| {
        let mut authorizer = join(address, Wire::all().next().expect("a wire"), "backend");
        authorizer.register(AUTHORIZE);
        let mut joe = upgraded_json(address);
        let frame = |message: Json| client_frame(0x81, message.to_string().as_bytes());
        let log_in = |joe: &mut TcpStream| {
            let details = json!({"roles": {"publisher": {}}, "authid": "joe", "authmethods": ["ticket"]});
            joe.write_all(&frame(json!([1, "realm1", details]))).expect("room");
            assert!(server_frame(joe).1.starts_with(b"[4,"));
            joe.write_all(&frame(json!([5, "x", {}]))).expect("room");
            assert!(server_frame(joe).1.starts_with(b"[2,"));
        };
        log_in(&mut joe);
        // In one piece, so that all of it is read before nothing more is.
        let mut all = Vec::new();
        for number in 1..=4 {
            all.extend(frame(json!([16, number, {}, "com.x", ["x".repeat(400)]])));
        }
        all.extend(frame(json!([6, {}, "wamp.close.normal"])));
        joe.write_all(&all).expect("room");
        let asked: Vec<u64> = (0..4).map(|_| question(&mut authorizer).0).collect();
        // The first is answered last, so that all go at once.
        for request in asked.into_iter().rev() {
            answer(&mut authorizer, request, &json!(true));
        }
        assert!(server_frame(&mut joe).1.starts_with(b"[6,"));
        log_in(&mut joe);
        authorizer.leave();
    });
}
