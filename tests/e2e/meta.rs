//! What holds for all procedures and topics of the router itself, below `wamp.`.

use super::on_every_wire_alone;
use crate::support::{Client, Router, Value, Wire};
use serde_json::{Value as Json, json};
use std::time::Duration;

on_every_wire_alone! {
    unknown_meta_procedures,
    meta_uris_are_the_routers_own,
    patterns_do_not_catch_meta_procedures,
    meta_procedures_take_options,
    many_questions_at_once,
    anonymous_sessions_do_not_choose_their_authid,
}

fn join(router: &Router, wire: Wire) -> Client {
    Client::join(router.address(), wire)
}

#[track_caller]
fn refused(client: &mut Client, procedure: &str, payload: &Json, error: &str) {
    assert_eq!(client.ask(procedure, payload), Err(error.into()), "{procedure}{payload}");
}

fn unknown_meta_procedures(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    for procedure in
        ["wamp.session.nope", "wamp.session", "wamp", "wamp.x.y", "wamp.session.count.x", "wamp.Session.count"]
    {
        refused(&mut admin, procedure, &json!([]), "wamp.error.no_such_procedure");
    }
}

fn meta_uris_are_the_routers_own(router: &Router, wire: Wire) {
    let mut watcher = join(router, wire);
    watcher.subscribe("wamp.session.on_leave");
    let mut client = join(router, wire);
    for topic in ["wamp.session.on_leave", "wamp.subscription.on_create", "wamp.x"] {
        let request = client.request(16, &json!({"acknowledge": true}), topic, &[]);
        client.expect_error(16, request, "wamp.error.invalid_uri");
        client.request(16, &json!({}), topic, &[]);
    }
    for procedure in ["wamp.session.count", "wamp.session.nope", "wamp.x"] {
        for options in [json!({}), json!({"invoke": "first"}), json!({"match": "prefix"}), json!({"match": "wildcard"})]
        {
            let request = client.request(64, &options, procedure, &[]);
            client.expect_error(64, request, "wamp.error.invalid_uri");
        }
    }
    watcher.expect_silence(Duration::from_millis(10));
}

fn patterns_do_not_catch_meta_procedures(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut callee = join(router, wire);
    for (pattern, policy) in [("", "prefix"), ("wam", "prefix"), ("wamp", "prefix"), ("..", "wildcard")] {
        let request = callee.request(64, &json!({ "match": policy }), pattern, &[]);
        let answer = callee.recv();
        // What begins with the router's own component may be refused as well.
        if pattern == "wamp" && answer[0].uint() == 8 {
            assert_eq!(answer[4].str(), "wamp.error.invalid_uri");
        } else {
            assert_eq!((answer[0].uint(), answer[1].uint()), (65, request), "{answer:?}");
        }
    }
    assert_eq!(admin.told("wamp.session.count", &json!([])).uint(), 2);
    refused(&mut admin, "wamp.session.nope", &json!([]), "wamp.error.no_such_procedure");
    callee.expect_silence(Duration::from_millis(10));
    admin.call("wampum.session.count", &[]);
    assert_eq!(callee.invocation().details["procedure"].str(), "wampum.session.count");
}

fn meta_procedures_take_options(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let options = json!({"disclose_me": true, "receive_progress": true, "timeout": 60_000});
    let call = admin.call_with("wamp.session.count", &options, &[]);
    let (details, body) = admin.result(call);
    assert_ne!(details.get("progress"), Some(&Value::Bool(true)));
    assert_eq!(body[0], json!([1]));
    // It is over: there is nothing to cancel, and the id may be used again.
    admin.send(json!([49, call, {}]));
    admin.send(json!([48, call, {}, "wamp.session.count"]));
    admin.result(call);
}

fn many_questions_at_once(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let own = admin.session();
    let mut calls: Vec<u64> = Vec::new();
    for _ in 0..20 {
        calls.push(admin.call("wamp.session.count", &[]));
        calls.push(admin.call("wamp.session.get", Value::from(json!([[own]])).list()));
        calls.push(admin.call("wamp.session.nope", &[]));
    }
    let mut answered = Vec::new();
    for _ in &calls {
        let message = admin.recv();
        answered.push(if message[0].uint() == 8 { message[2].uint() } else { message[1].uint() });
    }
    answered.sort_unstable();
    assert_eq!(answered, calls, "each has one answer");
}

fn anonymous_sessions_do_not_choose_their_authid(router: &Router, wire: Wire) {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(router.address(), wire);
        client.hello(json!({"roles": {"caller": {}}, "authid": "joe", "authrole": "admin"}));
        assert_eq!(client.welcome()["authrole"].str(), "anonymous");
        assert!(client.authid() != "joe" && !seen.contains(&client.authid().to_string()));
        seen.push(client.authid().into());
    }
}
