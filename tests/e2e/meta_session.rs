//! The session meta API.

use super::{eventually, on_every_wire_alone, uri};
use crate::support::{Client, Monitor, Router, Value, Wire};
use serde_json::{Value as Json, json};

on_every_wire_alone! {
    the_feature_is_announced,
    sessions_are_counted_and_listed,
    filters_by_role,
    details_of_a_session,
    no_details_of_what_is_gone,
    joining_is_told,
    leaving_is_told,
    everybody_is_told_once,
    a_life_in_order,
    meta_events_for_patterns,
    realms_are_separate,
    a_session_is_killed,
    killing_with_a_reason_and_a_message,
    killing_for_a_malformed_reason,
    killing_oneself_or_nobody,
    a_killed_session_need_not_answer,
    a_killed_session_frees_what_it_had,
    killing_by_authid,
    killing_by_authrole,
    killing_all,
    killing_many_for_a_reason,
    details_are_modified,
    modifying_what_is_not_there,
    wrong_arguments,
}

const NO_SUCH_SESSION: &str = "wamp.error.no_such_session";
const KILLED: &str = "wamp.close.killed";

fn join(router: &Router, wire: Wire) -> Client {
    Client::join(router.address(), wire)
}

fn sorted(value: &Value) -> Vec<u64> {
    let mut ids: Vec<u64> = value.list().iter().map(Value::uint).collect();
    ids.sort_unstable();
    ids
}

fn ids<'a>(clients: impl IntoIterator<Item = &'a Client>) -> Vec<u64> {
    let mut ids: Vec<u64> = clients.into_iter().map(Client::session).collect();
    ids.sort_unstable();
    ids
}

#[track_caller]
fn refused(client: &mut Client, procedure: &str, payload: &Json, error: &str) {
    assert_eq!(client.ask(procedure, payload), Err(error.into()), "{procedure}{payload}");
}

/// The next message must be a GOODBYE with this reason and message.
#[track_caller]
fn expect_goodbye(client: &mut Client, reason: &str, message: Option<&str>) {
    let goodbye = client.expect(6);
    assert_eq!(goodbye[2].str(), reason);
    assert_eq!(goodbye[1].dict().get("message"), message.map(|text| Value::Str(text.into())).as_ref());
    client.send(json!([6, {}, "wamp.close.goodbye_and_out"]));
}

/// The session is asked and answered, so it lives.
#[track_caller]
fn lives(client: &mut Client) {
    client.subscribe(&uri("lives"));
}

fn the_feature_is_announced(router: &Router, wire: Wire) {
    let client = join(router, wire);
    for role in ["broker", "dealer"] {
        assert!(client.announced(role, "session_meta_api"), "{role}");
    }
}

fn sessions_are_counted_and_listed(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    assert_eq!(admin.told("wamp.session.count", &json!([])).uint(), 1);
    assert_eq!(sorted(&admin.told("wamp.session.list", &json!([]))), [admin.session()]);
    let mut others: Vec<Client> = Vec::new();
    for wire in Wire::all() {
        // Whoever has been welcomed is counted.
        others.push(Client::join(router.address(), wire));
        assert_eq!(admin.told("wamp.session.count", &json!([])).uint(), others.len() as u64 + 1);
        let expected = ids(others.iter().chain([&admin]));
        assert_eq!(sorted(&admin.told("wamp.session.list", &json!([]))), expected);
    }
    others.pop().expect("a session").leave();
    drop(others.pop());
    eventually(|| admin.told("wamp.session.count", &json!([])).uint() == others.len() as u64 + 1);
    let expected = ids(others.iter().chain([&admin]));
    assert_eq!(sorted(&admin.told("wamp.session.list", &json!([]))), expected);
}

fn filters_by_role(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let _other = join(router, wire);
    for (filter, count) in [
        (json!(["anonymous"]), 2),
        (json!(["staff", "anonymous"]), 2),
        (json!(["staff"]), 0),
        (json!([]), 0),
        (json!(null), 2),
    ] {
        assert_eq!(admin.told("wamp.session.count", &json!([[filter]])).uint(), count, "{filter}");
        assert_eq!(admin.told("wamp.session.list", &json!([[filter]])).list().len() as u64, count, "{filter}");
    }
}

/// These details are those of this session.
#[track_caller]
fn is_about(details: &Value, client: &Client) {
    let details = details.dict();
    assert_eq!(details["session"].uint(), client.session());
    for key in ["authid", "authrole", "authmethod"] {
        assert_eq!(details[key], client.welcome()[key], "{key}");
    }
    assert!(!details["authprovider"].str().is_empty());
    if let Some(transport) = details.get("transport") {
        transport.dict();
    }
}

fn details_of_a_session(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let other = join(router, wire);
    is_about(&admin.told("wamp.session.get", &json!([[other.session()]])), &other);
    let own = admin.session();
    is_about(&admin.told("wamp.session.get", &json!([[own]])), &admin);
}

fn no_details_of_what_is_gone(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    refused(&mut admin, "wamp.session.get", &json!([[4_242_424_242u64]]), NO_SUCH_SESSION);
    let other = join(router, wire);
    let id = other.session();
    drop(other);
    eventually(|| admin.ask("wamp.session.get", &json!([[id]])) == Err(NO_SUCH_SESSION.into()));
}

fn joining_is_told(router: &Router, wire: Wire) {
    let mut monitor = Monitor::join(router.address(), wire, &["session.on_join"]);
    for wire in Wire::all() {
        let client = Client::join(router.address(), wire);
        let args = monitor.expect("session.on_join", client.session());
        assert_eq!(args.len(), 1, "{args:?}");
        is_about(&args[0], &client);
    }
}

fn leaving_is_told(router: &Router, wire: Wire) {
    let mut monitor = Monitor::join(router.address(), wire, &["session.on_leave"]);
    let ends: [fn(Client); 4] = [
        Client::leave,
        drop,
        |mut client| client.send(json!([3, {}, "wamp.close.system_shutdown"])),
        |mut client| {
            client.send(json!([1, "realm1", {"roles": {"caller": {}}}]));
            client.expect_abort("wamp.error.protocol_violation");
        },
    ];
    for end in ends {
        let client = join(router, wire);
        let expected = [json!(client.session()), json!(client.authid()), json!("anonymous")].map(Value::from);
        end(client);
        // Also when the connection is cut.
        assert_eq!(monitor.next().args, expected);
    }
}

fn everybody_is_told_once(router: &Router, wire: Wire) {
    let mut monitor = Monitor::join(router.address(), wire, Monitor::SESSION);
    let mut client = join(router, wire);
    let first = client.session();
    client.send(json!([6, {}, "wamp.close.close_realm"]));
    client.expect(6);
    client.hello(json!({"roles": {"caller": {}}}));
    let second = client.session();
    assert_ne!(first, second);
    drop(client);
    let mut told: Vec<(&str, u64)> = Vec::new();
    for _ in 0..4 {
        let event = monitor.next();
        told.push((event.topic, event.session()));
    }
    let of = |id| told.iter().filter(|(_, session)| *session == id).map(|(topic, _)| *topic).collect::<Vec<_>>();
    assert_eq!([of(first), of(second)], [Monitor::SESSION, Monitor::SESSION]);
    // A refused session never was one.
    let mut refused = Client::connect(router.address(), wire);
    refused.send(json!([1, "no.such.realm", {"roles": {"caller": {}}}]));
    refused.expect(3);
    let client = join(router, wire);
    assert_eq!(monitor.next().session(), client.session());
}

fn a_life_in_order(router: &Router, wire: Wire) {
    let topics = [Monitor::SESSION, Monitor::SUBSCRIPTION, Monitor::REGISTRATION].concat();
    let mut monitor = Monitor::join(router.address(), wire, &topics);
    for round in 0..5 {
        let mut client = join(router, wire);
        let id = client.session();
        client.subscribe(&uri("life"));
        client.register(&uri("life"));
        if round % 2 == 0 {
            drop(client);
        } else {
            client.leave();
        }
        let told: Vec<&str> = (0..10).map(|_| monitor.about(id).topic).collect();
        assert_eq!(told[0], "session.on_join", "{told:?}");
        assert_eq!(told[9], "session.on_leave", "{told:?}");
        for kind in [Monitor::SUBSCRIPTION, Monitor::REGISTRATION] {
            let of: Vec<&str> = told.iter().copied().filter(|topic| kind.contains(topic)).collect();
            assert_eq!(of, kind, "{told:?}");
        }
    }
}

fn meta_events_for_patterns(router: &Router, wire: Wire) {
    let mut watcher = join(router, wire);
    let prefix = watcher.subscribe_with("wamp.session.", &json!({"match": "prefix"}));
    let client = join(router, wire);
    let event = watcher.event();
    assert_eq!((event.subscription, event.details["topic"].str()), (prefix, "wamp.session.on_join"));
    is_about(&event.payload[0].list()[0], &client);
    client.leave();
    assert_eq!(watcher.event().details["topic"].str(), "wamp.session.on_leave");
}

fn realms_are_separate(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut monitor = Monitor::join(router.address(), wire, Monitor::SESSION);
    let mut foreign = Client::connect(router.address(), wire);
    foreign.send(json!([1, "realm2", {"roles": {"caller": {}, "subscriber": {}}}]));
    let foreign_id = foreign.expect(2)[1].uint();
    assert_eq!(foreign.told("wamp.session.list", &json!([])), json!([foreign_id]));
    assert_eq!(admin.told("wamp.session.count", &json!([])).uint(), 2);
    refused(&mut admin, "wamp.session.get", &json!([[foreign_id]]), NO_SUCH_SESSION);
    refused(&mut admin, "wamp.session.kill", &json!([[foreign_id]]), NO_SUCH_SESSION);
    assert_eq!(admin.told("wamp.session.kill_by_authrole", &json!([["staff"]])), json!([]));
    let client = join(router, wire);
    assert_eq!(monitor.next().session(), client.session(), "nothing was told about the other realm");
    drop(monitor);
    drop(client);
    admin.told("wamp.session.kill_all", &json!([]));
    lives(&mut foreign);
}

fn a_session_is_killed(router: &Router, wire: Wire) {
    let mut monitor = Monitor::join(router.address(), wire, &["session.on_leave"]);
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let id = client.session();
    admin.ask("wamp.session.kill", &json!([[id]])).expect("it can be killed");
    expect_goodbye(&mut client, KILLED, None);
    assert_eq!(monitor.expect("session.on_leave", id)[1].str(), client.authid());
    eventually(|| admin.ask("wamp.session.get", &json!([[id]])) == Err(NO_SUCH_SESSION.into()));
    refused(&mut admin, "wamp.session.kill", &json!([[id]]), NO_SUCH_SESSION);
}

fn killing_with_a_reason_and_a_message(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    for (kwargs, reason, message) in [
        (json!({"reason": "com.test.bye"}), "com.test.bye", None),
        (json!({"message": "see you"}), KILLED, Some("see you")),
        (json!({"reason": "com.test.bye", "message": "α \"b\""}), "com.test.bye", Some("α \"b\"")),
        (json!({"reason": null, "message": null}), KILLED, None),
    ] {
        let mut client = join(router, wire);
        admin.ask("wamp.session.kill", &json!([[client.session()], kwargs])).expect("it can be killed");
        expect_goodbye(&mut client, reason, message);
    }
}

fn killing_for_a_malformed_reason(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    for reason in ["", "a b", "a..b", ".", "a.#"] {
        let kwargs = json!({ "reason": reason });
        for (procedure, args) in [
            ("wamp.session.kill", json!([client.session()])),
            ("wamp.session.kill_by_authid", json!([client.authid()])),
            ("wamp.session.kill_by_authrole", json!(["anonymous"])),
            ("wamp.session.kill_all", json!([])),
        ] {
            refused(&mut admin, procedure, &json!([args, kwargs]), "wamp.error.invalid_uri");
        }
    }
    lives(&mut client);
}

fn killing_oneself_or_nobody(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    for id in [admin.session(), 4_242_424_242] {
        refused(&mut admin, "wamp.session.kill", &json!([[id]]), NO_SUCH_SESSION);
    }
    lives(&mut admin);
}

fn a_killed_session_need_not_answer(router: &Router, wire: Wire) {
    let mut monitor = Monitor::join(router.address(), wire, &["session.on_leave"]);
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    admin.ask("wamp.session.kill", &json!([[client.session()]])).expect("it can be killed");
    assert_eq!(client.expect(6)[2].str(), KILLED);
    monitor.expect("session.on_leave", client.session());
    client.expect_end();
}

fn a_killed_session_frees_what_it_had(router: &Router, wire: Wire) {
    let (procedure, topic) = (uri("killed"), uri("killed"));
    let mut admin = join(router, wire);
    let mut caller = join(router, wire);
    let mut client = join(router, wire);
    let subscription = client.subscribe(&topic);
    client.register(&procedure);
    let call = caller.call(&procedure, &[]);
    client.invocation();
    admin.ask("wamp.session.kill", &json!([[client.session()]])).expect("it can be killed");
    caller.expect_error(48, call, "wamp.error.canceled");
    super::session::register_when_free(&mut caller, &procedure);
    let gone = Err("wamp.error.no_such_subscription".into());
    eventually(|| admin.ask("wamp.subscription.get", &json!([[subscription]])) == gone);
}

fn killing_by_authid(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let mut other = join(router, wire);
    assert_eq!(admin.told("wamp.session.kill_by_authid", &json!([["no such"]])), json!([]));
    let own = admin.authid().to_string();
    assert_eq!(admin.told("wamp.session.kill_by_authid", &json!([[own]])), json!([]));
    let killed = admin.told("wamp.session.kill_by_authid", &json!([[client.authid()]]));
    assert_eq!(sorted(&killed), [client.session()]);
    expect_goodbye(&mut client, KILLED, None);
    lives(&mut other);
    lives(&mut admin);
}

fn killing_by_authrole(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut others: Vec<Client> = Wire::all().map(|wire| Client::join(router.address(), wire)).collect();
    assert_eq!(admin.told("wamp.session.kill_by_authrole", &json!([["staff"]])), json!([]));
    let killed = admin.told("wamp.session.kill_by_authrole", &json!([["anonymous"]]));
    assert_eq!(sorted(&killed), ids(&others));
    for client in &mut others {
        expect_goodbye(client, KILLED, None);
    }
    lives(&mut admin);
}

fn killing_all(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    assert_eq!(admin.told("wamp.session.kill_all", &json!([])).uint(), 0);
    let mut others: Vec<Client> = Wire::all().map(|wire| Client::join(router.address(), wire)).collect();
    assert_eq!(admin.told("wamp.session.kill_all", &json!([])).uint(), others.len() as u64);
    for client in &mut others {
        expect_goodbye(client, KILLED, None);
    }
    eventually(|| admin.told("wamp.session.count", &json!([])).uint() == 1);
}

fn killing_many_for_a_reason(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let kwargs = json!({"reason": "com.test.bye", "message": "see you"});
    for procedure in ["kill_by_authid", "kill_by_authrole", "kill_all"] {
        let mut client = join(router, wire);
        let args = match procedure {
            "kill_by_authid" => json!([client.authid()]),
            "kill_by_authrole" => json!(["anonymous"]),
            _ => json!([]),
        };
        admin.told(&format!("wamp.session.{procedure}"), &json!([args, kwargs]));
        expect_goodbye(&mut client, "com.test.bye", Some("see you"));
        eventually(|| admin.told("wamp.session.count", &json!([])).uint() == 1);
    }
}

fn details_are_modified(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let client = join(router, wire);
    let id = client.session();
    let mut change = |changes: Json| {
        admin.ask("wamp.session.modify_details", &json!([[id, changes]])).expect("it can be modified");
        admin.told("wamp.session.get", &json!([[id]])).dict().clone()
    };
    let details = change(json!({"x_team": "red", "x_more": {"list": [1, null]}}));
    assert_eq!((&details["x_team"], &details["x_more"]), (&json!("red").into(), &json!({"list": [1, null]}).into()));
    let details = change(json!({"x_team": "blue"}));
    assert_eq!((details["x_team"].str(), details.contains_key("x_more")), ("blue", true));
    let details = change(json!({"x_team": null, "x_unknown": null}));
    assert!(!details.contains_key("x_team") && details.contains_key("x_more"), "{details:?}");
    is_about(&Value::Dict(change(json!({}))), &client);
}

fn modifying_what_is_not_there(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    refused(&mut admin, "wamp.session.modify_details", &json!([[4_242_424_242u64, {}]]), NO_SUCH_SESSION);
}

fn wrong_arguments(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let (own, other) = (admin.session(), join(router, wire));
    for (procedure, payload) in [
        ("count", json!([["anonymous"]])),
        ("count", json!([[[1]]])),
        ("list", json!([[{}]])),
        ("get", json!([])),
        ("get", json!([["1"]])),
        ("get", json!([[1.5]])),
        ("get", json!([[null]])),
        ("kill", json!([])),
        ("kill", json!([[[own]]])),
        ("kill", json!([[other.session()], {"message": 1}])),
        ("kill_by_authid", json!([])),
        ("kill_by_authid", json!([[1]])),
        ("kill_by_authrole", json!([])),
        ("kill_by_authrole", json!([[["anonymous"]]])),
        ("modify_details", json!([])),
        ("modify_details", json!([[own]])),
        ("modify_details", json!([[own, "x"]])),
    ] {
        refused(&mut admin, &format!("wamp.session.{procedure}"), &payload, "wamp.error.invalid_argument");
    }
}
