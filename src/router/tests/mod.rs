//! What takes several shards, or another configuration, in an order that cannot be had over sockets.

mod mesh;

use super::config::Limits;
use super::draining::Drain;
use super::subject;
use super::{Sampling, ShardIndex};
use crate::session::role::{Actions, Disclose, Permission};
use crate::session::{Access, Disclosure, RealmConfig};
use crate::wamp::{MatchPolicy, Uri};
use mesh::{As, At, Mesh, realm};
use serde_json::{Value as Json, json};
use std::time::Duration;

const AUTHORIZE: &str = "com.authorize";

fn mesh(shards: ShardIndex) -> Mesh {
    Mesh::new(shards, realm(Access::All), Limits::default())
}

/// Rules that allow everything, and disclose so much.
fn rules(disclose: Disclose) -> Access {
    let allow = Actions { call: true, register: true, publish: true, subscribe: true };
    Access::Rules(vec![Permission { uri: "".into(), policy: MatchPolicy::Prefix, allow, disclose }])
}

/// A URI whose home is this shard.
fn homed_at(home: ShardIndex, shards: ShardIndex) -> String {
    let uris = (0..).map(|number| format!("com.n{number}"));
    let here = |uri: &String| subject::home(0, &Uri::from(&**uri), shards) == home;
    uris.into_iter().find(here).expect("there are enough")
}

/// The codes of messages.
fn codes(messages: &[Json]) -> Vec<u64> {
    messages.iter().map(|message| message[0].as_u64().expect("a code")).collect()
}

/// Publishes, and gives the answers.
fn publish(mesh: &mut Mesh, at: At, request: u64) -> Vec<Json> {
    mesh.ask(at, &json!([16, request, {"acknowledge": true}, "com.x", [1]]))
}

#[test]
fn a_subscription_that_was_refused_is_not_waited_for() {
    let mut mesh = mesh(2);
    let topic = homed_at(0, 2);
    let (other, client) = (mesh.join(1, As::User), mesh.join(1, As::User));
    let id = mesh.ask(other, &json!([32, 1, {}, topic]))[0][2].clone();
    mesh.say(client, &json!([32, 1, {"get_retained": true}, topic]));
    // It becomes a member, and waits for what is retained.
    while mesh.shard(1).members.values().all(|members| members.list.len() < 2) {
        assert!(mesh.step(), "it becomes a member");
    }
    mesh.say(client, &json!([34, 2, id]));
    mesh.settle();
    let heard = mesh.heard(client);
    assert_eq!(codes(&heard), [35, 8]);
    assert_eq!((&heard[1][2], &heard[1][4]), (&json!(1), &json!("wamp.error.no_such_subscription")));
    let drain =
        Drain { spread: Duration::ZERO, calls_timeout: Duration::from_secs(1000), retry_spread: Duration::ZERO };
    let now = mesh.now;
    mesh.shard(1).drain(now, drain);
    mesh.collect(1);
    assert_eq!(codes(&mesh.heard(client)), [6], "nothing is open, so that it may go");
}

#[test]
fn what_was_taken_over_is_revoked_while_its_successor_ends() {
    let mut mesh = mesh(2);
    let procedure = homed_at(0, 2);
    let client = mesh.join(1, As::User);
    let first = mesh.ask(client, &json!([64, 1, {}, procedure]))[0][2].clone();
    mesh.say(client, &json!([64, 2, {"force_reregister": true}, procedure]));
    let second = loop {
        if let Some(registered) = mesh.heard(client).first() {
            assert_eq!((&registered[0], &registered[1]), (&json!(65), &json!(2)));
            break registered[2].clone();
        }
        assert!(mesh.step(), "the second registration is confirmed");
    };
    mesh.say(client, &json!([66, 3, second]));
    mesh.settle();
    let revoked = json!([67, 0, {"registration": first, "reason": "wamp.error.taken_over"}]);
    let heard = mesh.heard(client);
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!((&heard[0][0], &heard[0][1], &heard[0][2]["registration"]), (&revoked[0], &revoked[1], &first));
    assert_eq!(heard[1], json!([67, 3]));
    let rpc = mesh.shard(1).session_at(client.1).and_then(|session| session.rpc.as_ref()).expect("it has registered");
    assert!(rpc.registrations.is_empty() && rpc.procedures.is_empty());
}

#[test]
fn late_parts_are_known_until_the_last() {
    let mut mesh = mesh(1);
    let (caller, callee) = (mesh.join(0, As::User), mesh.join(0, As::User));
    let part = |request: u64, more: bool| json!([48, request, {"progress": more}, "com.p", [1]]);
    for request in 1..=100 {
        assert_eq!(codes(&mesh.ask(caller, &part(request, true))), [8], "nobody is there");
    }
    mesh.ask(callee, &json!([64, 1, {}, "com.p"]));
    for request in 1..=100 {
        assert_eq!(mesh.ask(caller, &part(request, true)), [0; 0], "part of a call that has failed");
        assert_eq!(mesh.ask(caller, &part(request, false)), [0; 0], "its last part");
    }
    assert_eq!(mesh.heard(callee), [0; 0]);
    // Behind the last part the id is free.
    mesh.ask(caller, &part(1, false));
    assert_eq!(codes(&mesh.heard(callee)), [68]);
    let rpc = mesh.shard(0).session_at(caller.1).and_then(|session| session.rpc.as_ref()).expect("it has called");
    assert!(rpc.finished.is_empty());
}

#[test]
fn parts_of_a_call_of_the_router_are_no_calls() {
    let mut mesh = mesh(1);
    let caller = mesh.join(0, As::User);
    let part = |more: bool| json!([48, 1, {"progress": more}, "wamp.session.count"]);
    assert_eq!(codes(&mesh.ask(caller, &part(true))), [50]);
    assert_eq!(mesh.ask(caller, &part(true)), [0; 0]);
    assert_eq!(mesh.ask(caller, &part(false)), [0; 0]);
}

#[test]
fn no_more_calls_are_remembered_than_may_be_open() {
    let limits = Limits { calls_max: 3, ..Limits::default() };
    let mut mesh = Mesh::new(1, realm(Access::All), limits);
    let caller = mesh.join(0, As::User);
    for request in 1..=5 {
        assert_eq!(codes(&mesh.ask(caller, &json!([48, request, {"progress": true}, "com.p"]))), [8]);
    }
    let rpc = mesh.shard(0).session_at(caller.1).and_then(|session| session.rpc.as_ref()).expect("it has called");
    assert_eq!(rpc.finished.iter().map(|request| request.get()).collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn late_answers_do_not_reach_a_later_gate() {
    let asked = || realm(Access::Authorizer(AUTHORIZE.into()));
    let mut mesh = Mesh::new(1, asked(), Limits::default());
    let (backend, joe) = (mesh.join(0, As::Backend), mesh.join(0, As::User));
    mesh.ask(backend, &json!([64, 1, {}, AUTHORIZE]));
    mesh.heard(backend);
    assert_eq!(publish(&mut mesh, joe, 1), [0; 0]);
    let first = mesh.heard(backend)[0][1].clone();
    mesh.reform(realm(rules(Disclose::default())));
    assert_eq!(codes(&mesh.heard(joe)), [17], "the rules allow it");
    mesh.reform(asked());
    assert_eq!(publish(&mut mesh, joe, 2), [0; 0]);
    let second = mesh.heard(backend)[0][1].clone();
    mesh.ask(backend, &json!([70, first, {}, [false]]));
    assert_eq!(mesh.heard(joe), [0; 0], "that was the answer to another question");
    mesh.ask(backend, &json!([70, second, {}, [true]]));
    assert_eq!(codes(&mesh.heard(joe)), [17]);
}

/// Whether the receivers of an event, a testament and a call are told whom it is from.
fn told(mesh: &mut Mesh, backend: At, joe: At, answer: &mut dyn FnMut(&mut Mesh)) -> [bool; 3] {
    mesh.say(joe, &json!([16, 1, {}, "com.x", [1]]));
    answer(mesh);
    let event = mesh.heard(backend).pop().expect("an event");
    mesh.say(joe, &json!([48, 2, {}, "com.p", [1]]));
    answer(mesh);
    let invocation = mesh.heard(backend).pop().expect("an invocation");
    mesh.say(joe, &json!([48, 3, {}, "wamp.session.add_testament", ["com.x", [2], {}]]));
    answer(mesh);
    answer(mesh);
    mesh.heard(backend);
    mesh.say(joe, &json!([6, {}, "wamp.close.close_realm"]));
    mesh.settle();
    let testament = mesh.heard(backend).into_iter().find(|message| message[0] == 36).expect("a testament");
    assert_eq!((event[0].as_u64(), invocation[0].as_u64()), (Some(36), Some(68)));
    [!event[3]["publisher"].is_null(), !testament[3]["publisher"].is_null(), !invocation[3]["caller"].is_null()]
}

fn discloses(disclosure: Disclosure, user: Access) -> [bool; 3] {
    let asked = matches!(user, Access::Authorizer(_));
    let mut mesh = Mesh::new(1, RealmConfig { disclosure, ..realm(user) }, Limits::default());
    let (backend, joe) = (mesh.join(0, As::Backend), mesh.join(0, As::User));
    for (request, message) in [(64, "com.p"), (64, AUTHORIZE), (32, "com.x")].into_iter().enumerate() {
        mesh.ask(backend, &json!([message.0, request + 1, {}, message.1]));
    }
    let mut answer = |mesh: &mut Mesh| {
        mesh.settle();
        let heard = mesh.heard(backend);
        for question in heard.iter().filter(|message| asked && message[0] == 68) {
            if question[4].as_array().is_some_and(|arguments| arguments.len() == 4) {
                mesh.say(backend, &json!([70, question[1], {}, [{"allow": true, "disclose": true}]]));
            }
        }
        mesh.settle();
        if !asked {
            // What came stays to be looked at.
            mesh.put_back(backend, heard);
        }
    };
    told(&mut mesh, backend, joe, &mut answer)
}

#[test]
fn nobody_is_made_known_where_the_realm_denies_it() {
    let disclosed = || rules(Disclose { caller: true, publisher: true });
    let authorizer = || Access::Authorizer(AUTHORIZE.into());
    for (disclosure, known) in [(Disclosure::OnRequest, true), (Disclosure::Forced, true), (Disclosure::Denied, false)]
    {
        assert_eq!(discloses(disclosure, disclosed()), [known; 3], "rules, {disclosure:?}");
        assert_eq!(discloses(disclosure, authorizer()), [known; 3], "an authorizer, {disclosure:?}");
    }
}

#[test]
fn what_goes_with_payload_is_limited_as_payload_is() {
    let limits = Limits { testament_bytes_max: 10_000, details_bytes_max: 10_000, ..Limits::default() };
    let mut mesh = Mesh::new(1, realm(Access::All), limits);
    let joe = mesh.join(0, As::User);
    let long = "x".repeat(6_000);
    let names: Vec<u64> = (0..1_500).collect();
    for (request, options, done) in [
        (1, json!({"enc_x": long}), 50),
        (2, json!({"enc_x": long}), 8),
        (3, json!({"exclude": names}), 8),
        (4, json!({"exclude": names.repeat(3)}), 8),
        (5, json!({"exclude": [1]}), 50),
    ] {
        let message =
            json!([48, request, {}, "wamp.session.add_testament", ["com.x", [2], {}], {"publish_options": options}]);
        let heard = mesh.ask(joe, &message);
        assert_eq!(codes(&heard), [done], "{request}");
        assert!(done == 50 || heard[0][4] == "wamp.error.limit_exceeded", "{heard:?}");
    }
    let id = mesh.ask(joe, &json!([48, 6, {}, "wamp.session.list"]))[0][3][0][0].clone();
    for (request, changes, done) in
        [(7, json!({"x_a": long}), 50), (8, json!({"x_b": long}), 8), (9, json!({"x_a": null, "x_b": long}), 50)]
    {
        let heard = mesh.ask(joe, &json!([48, request, {}, "wamp.session.modify_details", [id, changes]]));
        assert_eq!(codes(&heard), [done], "{request}");
        assert!(done == 50 || heard[0][4] == "wamp.error.limit_exceeded", "{heard:?}");
    }
}

#[test]
fn no_span_has_the_numbers_of_another() {
    let mut mesh = mesh(1);
    let joe = mesh.join(0, As::User);
    let all = Sampling { share: 1.0, spans_per_second_max: 1000, kwargs_bytes_max: 0 };
    for (round, traces) in
        [Some(all), None, Some(all), Some(Sampling { spans_per_second_max: 2000, ..all })].into_iter().enumerate()
    {
        mesh.trace(traces);
        for _ in 0..3 {
            assert_eq!(codes(&publish(&mut mesh, joe, round as u64 + 1)), [17]);
        }
    }
    assert_eq!(mesh.spans.len(), 9);
    let mut numbers: Vec<_> = mesh.spans.iter().map(|span| span.context.span).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 9);
}
