//! What those who have come in may do: rules of roles, for every action, by clients on every wire.

mod support;

use corebar::auth::config::{Grant, Secret, Source, TicketUser};
use corebar::config::RuntimeConfig;
use corebar::session::role::{Actions, Disclose};
use corebar::session::{Access, HistoryRule, Permission, RealmConfig, RoleConfig};
use corebar::wamp::MatchPolicy::{self, Exact, Prefix, Wildcard};
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::time::Duration;
use support::client::payload;
use support::{Client, Wire, node};

const NOT_AUTHORIZED: &str = "wamp.error.not_authorized";

/// A rule that allows the actions whose first letters are given: call, register, publish, subscribe.
fn rule(policy: MatchPolicy, uri: &str, allowed: &str) -> Permission {
    let allow = Actions {
        call: allowed.contains('c'),
        register: allowed.contains('r'),
        publish: allowed.contains('p'),
        subscribe: allowed.contains('s'),
    };
    Permission { uri: uri.into(), policy, allow, disclose: Disclose::default() }
}

fn configure(config: &mut RuntimeConfig) {
    let role = |name: &str, access| RoleConfig { name: name.into(), access };
    let told = Permission { disclose: Disclose { caller: true, publisher: true }, ..rule(Prefix, "com.told.", "cp") };
    let user = vec![
        rule(Prefix, "com.app.", "cs"),
        rule(Exact, "com.app.admin", ""),
        rule(Prefix, "com.app.user.{authid}.", "crps"),
        rule(Wildcard, "com.rooms..chat", "ps"),
        rule(Exact, "wamp.session.count", "c"),
        rule(Prefix, "wamp.subscription.", "c"),
        rule(Exact, "wamp.session.add_testament", "c"),
        told,
    ];
    config.realms = vec![RealmConfig {
        roles: Some(vec![
            role("backend", Access::All),
            role("user", Access::Rules(user)),
            role("nothing", Access::Rules(Vec::new())),
        ]),
        history: vec![HistoryRule::new("com.kept", Exact), HistoryRule::new("com.app.kept", Exact)],
        ..RealmConfig::new("realm1")
    }];
    let user = |role: &str| TicketUser {
        ticket: Secret(b"x".as_slice().into()),
        grant: Grant { role: Some(role.into()), ..Grant::default() },
    };
    let users = [("joe", "user"), ("jane", "user"), ("a.b", "user"), ("backend", "backend"), ("nobody", "nothing")];
    let users = users.map(|(name, role)| (name.into(), user(role)));
    config.transports[0].auth.ticket = Some(Source::Static(users.into()));
}

fn on_every_wire(test: fn(SocketAddr, Wire)) {
    node::on_every_wire(configure, test);
}

fn join(address: SocketAddr, wire: Wire, authid: &str) -> Client {
    Client::login(address, wire, authid, "x")
}

/// Sends a request and gives whether it is allowed, which is to say that it is refused for no other reason.
fn may(client: &mut Client, action: &str, uri: &str, policy: &str) -> bool {
    let request = client.next();
    let (code, options) = match action {
        "call" => (48, json!({})),
        "register" => (64, json!({"match": policy})),
        "publish" => (16, json!({"acknowledge": true})),
        _ => (32, json!({"match": policy})),
    };
    client.send(json!([code, request, options, uri]));
    let answer = client.recv();
    let refused = answer[0].uint() == 8 && answer[4].str() == NOT_AUTHORIZED;
    assert!(answer[0].uint() != 8 || refused || action == "call", "{answer:?}");
    // Nothing is left for the next.
    let end = match (refused, answer[0].uint()) {
        (false, 65) => Some(66),
        (false, 33) => Some(34),
        _ => None,
    };
    if let Some(code) = end {
        let next = client.next();
        client.send(json!([code, next, answer[2].uint()]));
        client.expect(code + 1);
    }
    !refused
}

#[test]
fn the_most_specific_rule_decides() {
    on_every_wire(|address, wire| {
        let mut joe = join(address, wire, "joe");
        for (action, uri, allowed) in [
            ("call", "com.app.x", true),
            ("call", "com.app", false),
            ("call", "com.app.admin", false),
            ("call", "com.app.admin.x", true),
            ("register", "com.app.x", false),
            ("publish", "com.app.x", false),
            ("subscribe", "com.app.x", true),
            ("subscribe", "com.app.admin", false),
            ("register", "com.app.user.joe.x", true),
            ("publish", "com.app.user.joe.x", true),
            ("publish", "com.app.user.jane.x", false),
            ("register", "com.app.user.jane.x", false),
            ("publish", "com.rooms.7.chat", true),
            ("publish", "com.rooms.7.8.chat", false),
            ("subscribe", "com.other", false),
            ("call", "wamp.session.count", true),
            ("call", "wamp.session.list", false),
            ("subscribe", "wamp.session.on_join", false),
        ] {
            assert_eq!(may(&mut joe, action, uri, "exact"), allowed, "{action} {uri}");
        }
        let mut dotted = join(address, wire, "a.b");
        assert!(!may(&mut dotted, "publish", "com.app.user.a.b.x", "exact"), "not a name for a rule");
        let mut backend = join(address, wire, "backend");
        let mut nobody = join(address, wire, "nobody");
        for action in ["call", "register", "publish", "subscribe"] {
            assert!(may(&mut backend, action, "com.any", "exact"));
            assert!(!may(&mut nobody, action, "com.any", "exact"));
        }
        assert!(!may(&mut nobody, "call", "wamp.session.count", "exact"));
    });
}

#[test]
fn patterns_are_allowed_if_all_that_they_match_is() {
    on_every_wire(|address, wire| {
        let mut joe = join(address, wire, "joe");
        for (action, uri, policy, allowed) in [
            ("subscribe", "com.app.news.", "prefix", true),
            ("subscribe", "com.app.", "prefix", false),
            ("subscribe", "com.", "prefix", false),
            ("subscribe", "com.app.x.", "wildcard", true),
            ("subscribe", "com.app.", "wildcard", false),
            ("subscribe", "com.rooms..chat", "wildcard", true),
            ("subscribe", "com..7.chat", "wildcard", false),
            ("register", "com.app.user.joe.", "prefix", true),
            ("register", "com.app.user.", "prefix", false),
        ] {
            assert_eq!(may(&mut joe, action, uri, policy), allowed, "{action} {policy} {uri}");
        }
    });
}

#[test]
fn what_is_not_allowed_does_not_arrive() {
    on_every_wire(|address, wire| {
        let (mut joe, mut backend) = (join(address, wire, "joe"), join(address, wire, "backend"));
        let topic = backend.subscribe("com.app.x");
        let request = joe.next();
        joe.send(json!([16, request, {}, "com.app.x", ["forged"]]));
        let request = joe.next();
        joe.send(json!([16, request, {"acknowledge": true}, "com.app.x", ["forged"]]));
        joe.expect_error(16, request, NOT_AUTHORIZED);
        backend.expect_silence(Duration::from_millis(20));
        backend.unsubscribe(topic);
        backend.register("com.app.admin");
        let call = joe.call("com.app.admin", &[]);
        joe.expect_error(48, call, NOT_AUTHORIZED);
        backend.expect_silence(Duration::from_millis(20));
        backend.leave();
    });
}

#[test]
fn rules_disclose() {
    on_every_wire(|address, wire| {
        let (mut joe, mut backend) = (join(address, wire, "joe"), join(address, wire, "backend"));
        backend.subscribe("com.told.x");
        backend.subscribe("com.app.user.joe.x");
        backend.register("com.told.p");
        for options in [json!({}), json!({"acknowledge": true})] {
            let request = joe.next();
            joe.send(json!([16, request, options, "com.told.x"]));
            let event = backend.expect(36);
            assert_eq!(event[3].dict()["publisher_authid"].str(), "joe");
            if options != json!({}) {
                joe.expect(17);
            }
        }
        let request = joe.next();
        joe.send(json!([16, request, {}, "com.app.user.joe.x"]));
        assert!(!backend.expect(36)[3].dict().contains_key("publisher"), "no rule says so");
        for options in [json!({}), json!({"receive_progress": true})] {
            let request = joe.next();
            joe.send(json!([48, request, options, "com.told.p"]));
            let invocation = backend.expect(68);
            assert_eq!(invocation[3].dict()["caller_authid"].str(), "joe");
            backend.send(json!([70, invocation[1].uint(), {}]));
            joe.expect_result(request);
        }
        backend.leave();
    });
}

#[test]
fn histories_are_for_those_who_may_subscribe() {
    on_every_wire(|address, wire| {
        let (mut joe, mut backend) = (join(address, wire, "joe"), join(address, wire, "backend"));
        let mut events = |topic: &str| {
            backend.publish(topic, &payload(json!([["kept"]])));
            let id = backend.subscribe(topic);
            backend.unsubscribe(id);
            let arguments: Json = json!([[id]]);
            (joe.call("wamp.subscription.get_events", &payload(arguments)), joe.recv())
        };
        let (request, answer) = events("com.kept");
        assert_eq!((answer[0].uint(), answer[2].uint(), answer[4].str()), (8, request, NOT_AUTHORIZED));
        let (request, answer) = events("com.app.kept");
        assert_eq!((answer[0].uint(), answer[1].uint()), (50, request));
        backend.leave();
    });
}

#[test]
fn a_testament_is_a_publication() {
    on_every_wire(|address, wire| {
        let (mut joe, mut backend) = (join(address, wire, "joe"), join(address, wire, "backend"));
        for topic in ["com.app.x", "com.told.x"] {
            backend.subscribe(topic);
        }
        let leave = |topic: &str| payload(json!([[topic, ["last words"], {}]]));
        let refused = joe.call("wamp.session.add_testament", &leave("com.app.x"));
        joe.expect_error(48, refused, NOT_AUTHORIZED);
        let request = joe.call("wamp.session.add_testament", &leave("com.told.x"));
        joe.expect_result(request);
        drop(joe);
        let event = backend.expect(36);
        assert_eq!(event[3].dict()["publisher_authid"].str(), "joe");
        backend.expect_silence(Duration::from_millis(20));
        backend.leave();
    });
}
