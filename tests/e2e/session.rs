//! Opening and closing sessions.

use super::on_every_wire;
use crate::support::{Client, Router, Transport, Wire};
use serde_json::json;
use std::time::Duration;

on_every_wire! {
    welcome_tells_roles,
    session_ids_differ,
    unknown_realm_is_refused,
    malformed_realm_is_refused,
    goodbye_is_echoed,
    a_transport_carries_another_session_after_goodbye,
    second_hello_is_a_violation,
    nothing_may_come_before_hello,
    client_abort_ends_the_connection,
    abort_in_a_session_ends_it,
    roles_are_required,
    router_messages_from_a_client_are_violations,
    a_lost_connection_frees_everything,
}

fn welcome_tells_roles(router: &Router, wire: Wire) {
    let mut client = Client::connect(router.address(), wire);
    client.send(json!([1, "realm1", {"roles": {"subscriber": {}}, "agent": "test", "x_unknown": [1, {"a": null}]}]));
    let welcome = client.expect(2);
    assert_eq!(welcome.len(), 3, "{welcome:?}");
    assert!((1..=1 << 53).contains(&welcome[1].uint()), "{welcome:?}");
    let details = welcome[2].dict();
    let roles = details["roles"].dict();
    assert!(roles.contains_key("broker") && roles.contains_key("dealer"), "{details:?}");
    assert_eq!(details["realm"].str(), "realm1");
    assert_eq!(details["authrole"].str(), "anonymous");
    assert_eq!(details["authmethod"].str(), "anonymous");
    assert!(!details["authid"].str().is_empty());
    client.leave();
}

fn session_ids_differ(router: &Router, wire: Wire) {
    let sessions: Vec<Client> = (0..8).map(|_| Client::join(router.address(), wire)).collect();
    let mut ids: Vec<u64> = sessions.iter().map(Client::session).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), sessions.len());
    assert!(ids.iter().any(|id| *id > 1 << 32), "ids are drawn from 1 to 2^53: {ids:?}");
}

fn unknown_realm_is_refused(router: &Router, wire: Wire) {
    let mut client = Client::connect(router.address(), wire);
    client.send(json!([1, "no.such.realm", {"roles": {"subscriber": {}}}]));
    let abort = client.expect(3);
    assert_eq!(abort[2].str(), "wamp.error.no_such_realm");
    let code = client.expect_end();
    assert_eq!(code, (wire.transport == Transport::WebSocket).then_some(1000));
}

fn malformed_realm_is_refused(router: &Router, wire: Wire) {
    for realm in ["", "a..b", "a b", ".a", "a#b"] {
        let mut client = Client::connect(router.address(), wire);
        client.send(json!([1, realm, {"roles": {"subscriber": {}}}]));
        let abort = client.expect(3);
        let reason = abort[2].str();
        assert!(["wamp.error.no_such_realm", "wamp.error.invalid_uri"].contains(&reason), "{realm:?}: {abort:?}");
        client.expect_end();
    }
}

fn goodbye_is_echoed(router: &Router, wire: Wire) {
    let procedure = super::uri("goodbye");
    let mut client = Client::join(router.address(), wire);
    client.register(&procedure);
    client.send(json!([6, {"message": "bye"}, "wamp.close.close_realm"]));
    let goodbye = client.expect(6);
    assert_eq!(goodbye[2].str(), "wamp.close.goodbye_and_out");
    // Nothing of it is left.
    register_when_free(&mut Client::join(router.address(), wire), &procedure);
}

fn a_transport_carries_another_session_after_goodbye(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    for _ in 0..3 {
        let request = client.next();
        client.send(json!([6, {}, "wamp.close.close_realm"]));
        client.expect(6);
        client.send(json!([1, "realm1", {"roles": {"caller": {}}}]));
        let welcome = client.expect(2);
        assert_ne!(welcome[1].uint(), client.session());
        // Ids of requests begin anew.
        client.send(json!([48, 1, {}, format!("com.test.nobody{request}")]));
        client.expect_error(48, 1, "wamp.error.no_such_procedure");
    }
    // Between two sessions there is none.
    client.send(json!([6, {}, "wamp.close.close_realm"]));
    client.expect(6);
    client.send(json!([48, 1, {}, "com.test.nobody"]));
    client.expect_abort("wamp.error.protocol_violation");
}

fn second_hello_is_a_violation(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    client.send(json!([1, "realm1", {"roles": {"subscriber": {}}}]));
    let abort = client.expect(3);
    assert_eq!(abort[2].str(), "wamp.error.protocol_violation");
    assert!(!abort[1].dict()["message"].str().is_empty(), "a human reason: {abort:?}");
    let code = client.expect_end();
    assert_eq!(code, (wire.transport == Transport::WebSocket).then_some(1002));
}

fn nothing_may_come_before_hello(router: &Router, wire: Wire) {
    for message in [
        json!([32, 1, {}, "com.a"]),
        json!([16, 1, {}, "com.a"]),
        json!([48, 1, {}, "com.a"]),
        json!([64, 1, {}, "com.a"]),
        json!([70, 1, {}]),
        json!([5, "signature", {}]),
        json!([6, {}, "wamp.close.close_realm"]),
    ] {
        let mut client = Client::connect(router.address(), wire);
        client.send(message);
        client.expect_abort("wamp.error.protocol_violation");
    }
}

fn client_abort_ends_the_connection(router: &Router, wire: Wire) {
    let mut client = Client::connect(router.address(), wire);
    client.send(json!([3, {}, "wamp.close.system_shutdown"]));
    client.expect_end();
}

fn abort_in_a_session_ends_it(router: &Router, wire: Wire) {
    let procedure = super::uri("abort");
    let mut client = Client::join(router.address(), wire);
    client.register(&procedure);
    client.send(json!([3, {}, "wamp.close.system_shutdown"]));
    client.expect_end();
    let mut other = Client::join(router.address(), wire);
    register_when_free(&mut other, &procedure);
}

fn roles_are_required(router: &Router, wire: Wire) {
    for details in [json!({}), json!({"roles": {}}), json!({"roles": []}), json!({"roles": {"callee": 1}})] {
        let mut client = Client::connect(router.address(), wire);
        client.send(json!([1, "realm1", details]));
        client.expect_abort("wamp.error.protocol_violation");
    }
}

fn router_messages_from_a_client_are_violations(router: &Router, wire: Wire) {
    for message in [
        json!([2, 1, {"roles": {}}]),
        json!([4, "ticket", {}]),
        json!([17, 1, 1]),
        json!([33, 1, 1]),
        json!([35, 1]),
        json!([36, 1, 1, {}]),
        json!([50, 1, {}]),
        json!([65, 1, 1]),
        json!([67, 1]),
        json!([68, 1, 1, {}]),
        json!([69, 1, {}]),
    ] {
        let mut client = Client::join(router.address(), wire);
        client.send(message);
        client.expect_abort("wamp.error.protocol_violation");
    }
}

fn a_lost_connection_frees_everything(router: &Router, wire: Wire) {
    let procedure = super::uri("lost");
    let topic = super::uri("lost");
    let mut client = Client::join(router.address(), wire);
    client.register(&procedure);
    client.subscribe(&topic);
    drop(client);
    let mut other = Client::join(router.address(), wire);
    register_when_free(&mut other, &procedure);
    other.publish(&topic, &[]);
}

/// Registers what a session that is just being ended held: refused a few times at most.
pub(crate) fn register_when_free(client: &mut Client, procedure: &str) -> u64 {
    for _ in 0..200 {
        let request = client.next();
        client.send(json!([64, request, {}, procedure]));
        let answer = client.recv();
        if answer[0].uint() == 65 {
            return answer[2].uint();
        }
        assert_eq!(answer[4].str(), "wamp.error.procedure_already_exists", "{answer:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{procedure} is still registered");
}
