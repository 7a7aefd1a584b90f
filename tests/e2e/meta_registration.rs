//! The registration meta API, and registrations that the router takes away.

use super::{eventually, on_every_wire_alone, uri};
use crate::support::{Client, Monitor, Router, Value, Wire};
use serde_json::{Value as Json, json};

on_every_wire_alone! {
    the_features_are_announced,
    nothing_is_listed_at_first,
    registrations_are_listed_by_policy,
    looking_up,
    looking_up_what_is_not_there,
    the_best_match,
    matching_nothing,
    details_of_a_registration,
    callees_are_listed_and_counted,
    what_is_acknowledged_is_seen,
    unknown_registrations,
    wrong_arguments,
    a_first_registration_is_told,
    further_callees_are_told,
    a_refused_registration_is_not_told,
    the_end_of_a_registration_is_told,
    a_cut_connection_is_told,
    patterns_and_policies_are_told,
    taking_over_is_told,
    meta_events_follow_their_acknowledgement,
    a_callee_is_removed,
    a_removed_callee_that_cannot_be_told,
    removing_one_of_many,
    removing_is_told_as_unregistering,
    removing_what_is_not_there,
    a_removed_callee_finishes_its_calls,
}

const GONE: &str = "wamp.error.no_such_registration";
const REVOCATION: &str = "registration_revocation";

fn join(router: &Router, wire: Wire) -> Client {
    Client::join(router.address(), wire)
}

fn told(admin: &mut Client, procedure: &str, args: Json) -> Value {
    admin.told(&format!("wamp.registration.{procedure}"), &json!([args]))
}

#[track_caller]
fn refused(admin: &mut Client, procedure: &str, args: Json, error: &str) {
    let answer = admin.ask(&format!("wamp.registration.{procedure}"), &json!([args]));
    assert_eq!(answer, Err(error.into()), "{procedure} {args}");
}

fn set(ids: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut ids: Vec<u64> = ids.into_iter().collect();
    ids.sort_unstable();
    ids
}

fn sorted(value: &Value) -> Vec<u64> {
    set(value.list().iter().map(Value::uint))
}

const THREE: [(&str, &str, &str); 3] =
    [(".a.b", "exact", "single"), (".a", "prefix", "first"), ("..b", "wildcard", "random")];

/// Registers a procedure exactly, by a prefix and by a wildcard.
fn three(client: &mut Client, base: &str) -> [u64; 3] {
    THREE.map(|(end, policy, invoke)| {
        client.register_with(&format!("{base}{end}"), &json!({"match": policy, "invoke": invoke}))
    })
}

/// These are the details of a registration.
#[track_caller]
fn is_about(details: &Value, id: u64, procedure: &str, policy: &str, invoke: &str) {
    let details = details.dict();
    assert_eq!(details["id"].uint(), id);
    assert_eq!((details["uri"].str(), details["match"].str()), (procedure, policy));
    assert_eq!(details["invoke"].str(), invoke);
    let created = details["created"].str();
    let parts: Vec<&str> = created.split(['-', 'T', ':', '.', 'Z', '+']).collect();
    assert!(parts.len() >= 6 && parts[0].len() == 4 && created.contains('T'), "{created:?} is no time");
    assert!(parts[..6].iter().all(|part| part.parse::<u32>().is_ok()), "{created:?} is no time");
}

fn the_features_are_announced(router: &Router, wire: Wire) {
    let client = join(router, wire);
    for feature in ["registration_meta_api", REVOCATION] {
        assert!(client.announced("dealer", feature), "{feature}");
    }
}

fn nothing_is_listed_at_first(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    // The procedures of the router itself are not registrations.
    assert_eq!(told(&mut admin, "list", json!([])), json!({"exact": [], "prefix": [], "wildcard": []}));
}

fn registrations_are_listed_by_policy(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let [exact, prefix, wildcard] = three(&mut client, &uri("list"));
    let more = client.register(&uri("list"));
    let lists = told(&mut admin, "list", json!([]));
    assert_eq!(lists.dict().len(), 3);
    assert_eq!(sorted(&lists.dict()["exact"]), set([exact, more]));
    assert_eq!(sorted(&lists.dict()["prefix"]), [prefix]);
    assert_eq!(sorted(&lists.dict()["wildcard"]), [wildcard]);
    client.unregister(prefix);
    assert_eq!(told(&mut admin, "list", json!([])).dict()["prefix"], json!([]));
}

fn looking_up(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let base = uri("lookup");
    let [exact, prefix, wildcard] = three(&mut client, &base);
    assert_eq!(told(&mut admin, "lookup", json!([format!("{base}.a.b")])), json!(exact));
    assert_eq!(told(&mut admin, "lookup", json!([format!("{base}.a.b"), {"match": "exact"}])), json!(exact));
    assert_eq!(told(&mut admin, "lookup", json!([format!("{base}.a"), {"match": "prefix"}])), json!(prefix));
    assert_eq!(told(&mut admin, "lookup", json!([format!("{base}..b"), {"match": "wildcard"}])), json!(wildcard));
}

fn looking_up_what_is_not_there(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let base = uri("lookup");
    let [exact, ..] = three(&mut client, &base);
    for args in [
        json!([uri("nobody")]),
        json!([format!("{base}.a")]),
        json!([format!("{base}.a.b"), {"match": "prefix"}]),
        json!([format!("{base}.a.x"), {"match": "wildcard"}]),
    ] {
        assert_eq!(told(&mut admin, "lookup", args.clone()), Value::Null, "{args}");
    }
    client.unregister(exact);
    assert_eq!(told(&mut admin, "lookup", json!([format!("{base}.a.b")])), Value::Null);
}

fn the_best_match(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let base = uri("match");
    let [exact, prefix, wildcard] = three(&mut client, &base);
    for (end, id) in [(".a.b", exact), (".ab.b", prefix), (".a", prefix), (".x.b", wildcard)] {
        assert_eq!(told(&mut admin, "match", json!([format!("{base}{end}")])), json!(id), "{end}");
    }
    client.unregister(exact);
    assert_eq!(told(&mut admin, "match", json!([format!("{base}.a.b")])), json!(prefix));
}

fn matching_nothing(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    assert_eq!(told(&mut admin, "match", json!([uri("nobody")])), Value::Null);
}

fn details_of_a_registration(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let base = uri("get");
    let ids = three(&mut client, &base);
    for (id, (end, policy, invoke)) in ids.into_iter().zip(THREE) {
        let details = told(&mut admin, "get", json!([id]));
        is_about(&details, id, &format!("{base}{end}"), policy, invoke);
        assert_eq!(told(&mut admin, "get", json!([id])), details);
    }
}

fn callees_are_listed_and_counted(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let procedure = uri("count");
    let mut clients: Vec<Client> = Vec::new();
    for wire in Wire::all() {
        let mut client = Client::join(router.address(), wire);
        let id = client.register_with(&procedure, &json!({"invoke": "roundrobin"}));
        clients.push(client);
        assert_eq!(told(&mut admin, "count_callees", json!([id])).uint(), clients.len() as u64);
        let sessions = set(clients.iter().map(Client::session));
        assert_eq!(sorted(&told(&mut admin, "list_callees", json!([id]))), sessions);
    }
    let id = told(&mut admin, "lookup", json!([procedure])).uint();
    clients.pop().expect("a session").leave();
    drop(clients.pop());
    eventually(|| told(&mut admin, "count_callees", json!([id])).uint() == clients.len() as u64);
}

fn what_is_acknowledged_is_seen(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    for _ in 0..20 {
        let procedure = uri("seen");
        let id = client.register(&procedure);
        assert_eq!(told(&mut admin, "list_callees", json!([id])), json!([client.session()]));
        client.unregister(id);
        assert_eq!(told(&mut admin, "lookup", json!([procedure])), Value::Null);
        refused(&mut admin, "get", json!([id]), GONE);
    }
}

fn unknown_registrations(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    for procedure in ["get", "list_callees", "count_callees"] {
        refused(&mut admin, procedure, json!([4_242_424_242u64]), GONE);
    }
}

fn wrong_arguments(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    for (procedure, args) in [
        ("lookup", json!([])),
        ("lookup", json!([1])),
        ("lookup", json!(["com.test", "prefix"])),
        ("lookup", json!(["com.test", {"match": "regex"}])),
        ("match", json!([])),
        ("match", json!([["com.test"]])),
        ("get", json!([])),
        ("get", json!(["1"])),
        ("list_callees", json!([null])),
        ("list_callees", json!([])),
        ("count_callees", json!([1.5])),
        ("count_callees", json!([])),
        ("remove_callee", json!([])),
        ("remove_callee", json!([1])),
        ("remove_callee", json!(["1", 1])),
    ] {
        refused(&mut admin, procedure, args, "wamp.error.invalid_argument");
    }
}

fn monitor(router: &Router, wire: Wire) -> Monitor {
    Monitor::join(router.address(), wire, Monitor::REGISTRATION)
}

fn a_first_registration_is_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut client = join(router, wire);
    let procedure = uri("created");
    let id = client.register(&procedure);
    let created = monitor.expect("registration.on_create", client.session());
    assert_eq!(created.len(), 2, "{created:?}");
    is_about(&created[1], id, &procedure, "exact", "single");
    let registered = monitor.expect("registration.on_register", client.session());
    assert_eq!(registered, [json!(client.session()), json!(id)].map(Value::from));
}

fn further_callees_are_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut clients = [join(router, wire), join(router, wire)];
    let procedure = uri("further");
    let mut id = 0;
    for (number, client) in clients.iter_mut().enumerate() {
        id = client.register_with(&procedure, &json!({"invoke": "last"}));
        if number == 0 {
            monitor.expect("registration.on_create", client.session());
        }
        assert_eq!(monitor.expect("registration.on_register", client.session())[1].uint(), id);
    }
    // The registration lives on without the first.
    let [first, mut second] = clients;
    let session = first.session();
    first.leave();
    monitor.expect("registration.on_unregister", session);
    second.unregister(id);
    monitor.expect("registration.on_unregister", second.session());
    assert_eq!(monitor.expect("registration.on_delete", second.session())[1].uint(), id);
}

fn a_refused_registration_is_not_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut clients = [join(router, wire), join(router, wire)];
    let procedure = uri("refused");
    clients[0].register(&procedure);
    let request = clients[1].request(64, &json!({}), &procedure, &[]);
    clients[1].expect_error(64, request, "wamp.error.procedure_already_exists");
    let id = clients[1].register(&uri("other"));
    monitor.expect("registration.on_create", clients[1].session());
    assert_eq!(monitor.expect("registration.on_register", clients[1].session())[1].uint(), id);
}

fn the_end_of_a_registration_is_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut client = join(router, wire);
    for _ in 0..3 {
        let id = client.register(&uri("end"));
        client.unregister(id);
        let expected = [json!(client.session()), json!(id)].map(Value::from);
        monitor.about(client.session());
        monitor.about(client.session());
        assert_eq!(monitor.expect("registration.on_unregister", client.session()), expected);
        assert_eq!(monitor.expect("registration.on_delete", client.session()), expected);
    }
}

fn a_cut_connection_is_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut client = join(router, wire);
    let session = client.session();
    let ids = [client.register(&uri("cut")), client.register(&uri("cut"))];
    (0..4).for_each(|_| _ = monitor.about(session));
    drop(client);
    let mut told: Vec<(&str, u64)> = Vec::new();
    for _ in 0..4 {
        let event = monitor.about(session);
        told.push((event.topic, event.args[1].uint()));
    }
    for id in ids {
        let of: Vec<&str> = told.iter().filter(|(_, other)| *other == id).map(|(topic, _)| *topic).collect();
        assert_eq!(of, ["registration.on_unregister", "registration.on_delete"], "{told:?}");
    }
}

fn patterns_and_policies_are_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut client = join(router, wire);
    let base = uri("patterns");
    let ids = three(&mut client, &base);
    for (id, (end, policy, invoke)) in ids.into_iter().zip(THREE) {
        let created = monitor.expect("registration.on_create", client.session());
        is_about(&created[1], id, &format!("{base}{end}"), policy, invoke);
        monitor.expect("registration.on_register", client.session());
    }
}

fn taking_over_is_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let (mut old, mut new) = (join(router, wire), join(router, wire));
    let procedure = uri("take_over");
    let force = json!({"force_reregister": true});
    let id = old.register_with(&procedure, &force);
    let next = new.register_with(&procedure, &force);
    new.unregister(next);
    let mut told: Vec<(&str, u64, Option<u64>)> = Vec::new();
    while told.last() != Some(&("registration.on_delete", new.session(), Some(next))) {
        let event = monitor.next();
        let id = (event.topic != "registration.on_create").then(|| event.args[1].uint());
        told.push((event.topic, event.session(), id));
    }
    let at = |topic: &str, session: u64, id| {
        let wanted = (topic, session, Some(id));
        told.iter().position(|found| *found == wanted).unwrap_or_else(|| panic!("no {wanted:?} in {told:?}"))
    };
    assert!(at("registration.on_register", old.session(), id) < at("registration.on_unregister", old.session(), id));
    assert!(
        at("registration.on_register", new.session(), next) < at("registration.on_unregister", new.session(), next)
    );
}

fn meta_events_follow_their_acknowledgement(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut caller = join(router, wire);
    let mut clients: Vec<Client> = (0..4).map(|_| join(router, wire)).collect();
    for client in &mut clients {
        let procedure = uri("reaction");
        let request = client.request(64, &json!({}), &procedure, &[]);
        while monitor.about(client.session()).topic != "registration.on_register" {}
        // Whoever is told of a callee can call it.
        let call = caller.call(&procedure, &[]);
        assert_eq!(client.expect(65)[1].uint(), request);
        let invocation = client.invocation().request;
        client.answer(invocation, &json!({}), &[]);
        caller.result(call);
    }
}

/// The next message must be the UNREGISTERED that revokes this registration.
#[track_caller]
fn revoked(client: &mut Client, registration: u64, reason: &str) {
    let message = client.expect(67);
    assert_eq!((message.len(), message[1].uint()), (3, 0), "{message:?}");
    let details = message[2].dict();
    assert_eq!((details["registration"].uint(), details["reason"].str()), (registration, reason));
}

fn remove(admin: &mut Client, args: Json) {
    admin.ask("wamp.registration.remove_callee", &json!([args])).expect("it can be removed");
}

fn a_callee_is_removed(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = Client::join_featured(router.address(), wire, &[REVOCATION]);
    let procedure = uri("removed");
    let id = client.register(&procedure);
    remove(&mut admin, json!([id, client.session(), "com.test.reason"]));
    revoked(&mut client, id, "com.test.reason");
    let request = client.next();
    client.send(json!([66, request, id]));
    client.expect_error(66, request, GONE);
    // The name is free.
    super::session::register_when_free(&mut admin, &procedure);
    client.subscribe(&uri("fence"));
}

fn a_removed_callee_that_cannot_be_told(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let procedure = uri("silently");
    let id = client.register(&procedure);
    remove(&mut admin, json!([id, client.session(), "com.test.reason"]));
    super::session::register_when_free(&mut admin, &procedure);
    // No UNREGISTERED has come before this answer.
    client.subscribe(&uri("fence"));
}

fn removing_one_of_many(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let procedure = uri("one_of_many");
    let mut ids = Vec::new();
    let mut clients: Vec<Client> =
        (0..3).map(|_| Client::join_featured(router.address(), wire, &[REVOCATION])).collect();
    for client in &mut clients {
        ids.push(client.register_with(&procedure, &json!({"invoke": "roundrobin"})));
    }
    remove(&mut admin, json!([ids[1], clients[1].session(), "com.test.reason"]));
    revoked(&mut clients[1], ids[1], "com.test.reason");
    for _ in 0..4 {
        let call = admin.call(&procedure, &[]);
        let (index, invocation) = crate::support::request::invoked(&mut clients);
        assert_ne!(index, 1);
        clients[index].answer(invocation.request, &json!({}), &[]);
        admin.result(call);
    }
}

fn removing_is_told_as_unregistering(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let id = client.register(&uri("told"));
    remove(&mut admin, json!([id, client.session()]));
    for topic in Monitor::REGISTRATION {
        monitor.expect(topic, client.session());
    }
}

fn removing_what_is_not_there(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let id = client.register(&uri("not_there"));
    refused(&mut admin, "remove_callee", json!([4_242_424_242u64, client.session()]), GONE);
    refused(&mut admin, "remove_callee", json!([id, 4_242_424_242u64]), "wamp.error.no_such_session");
    assert_eq!(told(&mut admin, "count_callees", json!([id])).uint(), 1);
}

fn a_removed_callee_finishes_its_calls(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut caller = join(router, wire);
    let mut client = Client::join_featured(router.address(), wire, &[REVOCATION]);
    let procedure = uri("finishes");
    let id = client.register(&procedure);
    let call = caller.call(&procedure, &[]);
    let invocation = client.invocation().request;
    remove(&mut admin, json!([id, client.session(), "com.test.reason"]));
    revoked(&mut client, id, "com.test.reason");
    client.answer(invocation, &json!({}), &[]);
    caller.result(call);
}
