//! The subscription meta API, and subscriptions that the router takes away.

use super::{eventually, on_every_wire_alone, uri};
use crate::support::{Client, Monitor, Router, Value, Wire};
use serde_json::{Value as Json, json};
use std::time::Duration;

on_every_wire_alone! {
    the_features_are_announced,
    nothing_is_listed_at_first,
    subscriptions_are_listed_by_policy,
    looking_up,
    looking_up_what_is_not_there,
    matching,
    matching_nothing,
    details_of_a_subscription,
    subscribers_are_listed_and_counted,
    what_is_acknowledged_is_seen,
    unknown_subscriptions,
    wrong_arguments,
    a_first_subscription_is_told,
    a_second_subscriber_is_told,
    a_repeated_subscription_is_not_told,
    the_end_of_a_subscription_is_told,
    a_cut_connection_is_told,
    patterns_are_told,
    subscribing_again_is_a_new_subscription,
    meta_events_follow_their_acknowledgement,
    a_subscriber_is_removed,
    a_removed_subscriber_that_cannot_be_told,
    removing_one_of_many,
    removing_is_told_as_unsubscribing,
    removing_what_is_not_there,
    a_removed_subscriber_may_subscribe_again,
}

const GONE: &str = "wamp.error.no_such_subscription";
const REVOCATION: &str = "subscription_revocation";

fn join(router: &Router, wire: Wire) -> Client {
    Client::join(router.address(), wire)
}

fn told(admin: &mut Client, procedure: &str, args: Json) -> Value {
    admin.told(&format!("wamp.subscription.{procedure}"), &json!([args]))
}

#[track_caller]
fn refused(admin: &mut Client, procedure: &str, args: Json, error: &str) {
    let answer = admin.ask(&format!("wamp.subscription.{procedure}"), &json!([args]));
    assert_eq!(answer, Err(error.into()), "{procedure} {args}");
}

fn sorted(value: &Value) -> Vec<u64> {
    let mut ids: Vec<u64> = value.list().iter().map(Value::uint).collect();
    ids.sort_unstable();
    ids
}

fn set(mut ids: Vec<u64>) -> Vec<u64> {
    ids.sort_unstable();
    ids
}

/// Subscribes to a topic exactly, by a prefix and by a wildcard.
fn three(client: &mut Client, base: &str) -> [u64; 3] {
    [(".a.b", "exact"), (".a", "prefix"), ("..b", "wildcard")]
        .map(|(end, policy)| client.subscribe_with(&format!("{base}{end}"), &json!({ "match": policy })))
}

/// These are the details of a subscription.
#[track_caller]
fn is_about(details: &Value, id: u64, topic: &str, policy: &str) {
    let details = details.dict();
    assert_eq!(details["id"].uint(), id);
    assert_eq!((details["uri"].str(), details["match"].str()), (topic, policy));
    let created = details["created"].str();
    let parts: Vec<&str> = created.split(['-', 'T', ':', '.', 'Z', '+']).collect();
    assert!(parts.len() >= 6 && parts[0].len() == 4 && created.contains('T'), "{created:?} is no time");
    assert!(parts[..6].iter().all(|part| part.parse::<u32>().is_ok()), "{created:?} is no time");
}

fn the_features_are_announced(router: &Router, wire: Wire) {
    let client = join(router, wire);
    for feature in ["subscription_meta_api", REVOCATION, "pattern_based_subscription"] {
        assert!(client.announced("broker", feature), "{feature}");
    }
}

fn nothing_is_listed_at_first(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    assert_eq!(told(&mut admin, "list", json!([])), json!({"exact": [], "prefix": [], "wildcard": []}));
}

fn subscriptions_are_listed_by_policy(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let [exact, prefix, wildcard] = three(&mut client, &uri("list"));
    let more = client.subscribe(&uri("list"));
    let lists = told(&mut admin, "list", json!([]));
    assert_eq!(lists.dict().len(), 3);
    assert_eq!(sorted(&lists.dict()["exact"]), set(vec![exact, more]));
    assert_eq!(sorted(&lists.dict()["prefix"]), [prefix]);
    assert_eq!(sorted(&lists.dict()["wildcard"]), [wildcard]);
    client.unsubscribe(prefix);
    let lists = told(&mut admin, "list", json!([]));
    assert_eq!(lists.dict()["prefix"], json!([]));
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
    client.unsubscribe(exact);
    assert_eq!(told(&mut admin, "lookup", json!([format!("{base}.a.b")])), Value::Null);
}

fn matching(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let base = uri("match");
    let [exact, prefix, wildcard] = three(&mut client, &base);
    for (end, ids) in [(".a.b", vec![exact, prefix, wildcard]), (".x.b", vec![wildcard]), (".ab.c", vec![prefix])] {
        assert_eq!(sorted(&told(&mut admin, "match", json!([format!("{base}{end}")]))), set(ids), "{end}");
    }
}

fn matching_nothing(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    assert_eq!(told(&mut admin, "match", json!([uri("nobody")])), Value::Null);
}

fn details_of_a_subscription(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let base = uri("get");
    let ids = three(&mut client, &base);
    for (id, (end, policy)) in ids.into_iter().zip([(".a.b", "exact"), (".a", "prefix"), ("..b", "wildcard")]) {
        let details = told(&mut admin, "get", json!([id]));
        is_about(&details, id, &format!("{base}{end}"), policy);
        // The time is that of the beginning.
        assert_eq!(told(&mut admin, "get", json!([id])), details);
    }
}

fn subscribers_are_listed_and_counted(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let topic = uri("count");
    let mut clients: Vec<Client> = Vec::new();
    for wire in Wire::all() {
        let mut client = Client::join(router.address(), wire);
        let id = client.subscribe(&topic);
        // Once, however often it subscribes.
        client.subscribe(&topic);
        clients.push(client);
        assert_eq!(told(&mut admin, "count_subscribers", json!([id])).uint(), clients.len() as u64);
        let sessions = set(clients.iter().map(Client::session).collect());
        assert_eq!(sorted(&told(&mut admin, "list_subscribers", json!([id]))), sessions);
    }
    let id = told(&mut admin, "lookup", json!([topic])).uint();
    clients.pop().expect("a session").leave();
    drop(clients.pop());
    eventually(|| told(&mut admin, "count_subscribers", json!([id])).uint() == clients.len() as u64);
}

fn what_is_acknowledged_is_seen(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    for _ in 0..20 {
        let topic = uri("seen");
        let id = client.subscribe(&topic);
        assert_eq!(told(&mut admin, "list_subscribers", json!([id])), json!([client.session()]));
        client.unsubscribe(id);
        assert_eq!(told(&mut admin, "lookup", json!([topic])), Value::Null);
        refused(&mut admin, "get", json!([id]), GONE);
    }
}

fn unknown_subscriptions(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    for procedure in ["get", "list_subscribers", "count_subscribers"] {
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
        ("lookup", json!(["com.test", {"match": 1}])),
        ("match", json!([])),
        ("match", json!([["com.test"]])),
        ("get", json!([])),
        ("get", json!(["1"])),
        ("list_subscribers", json!([null])),
        ("list_subscribers", json!([])),
        ("count_subscribers", json!([1.5])),
        ("count_subscribers", json!([])),
        ("remove_subscriber", json!([])),
        ("remove_subscriber", json!([1])),
        ("remove_subscriber", json!(["1", 1])),
    ] {
        refused(&mut admin, procedure, args, "wamp.error.invalid_argument");
    }
}

fn monitor(router: &Router, wire: Wire) -> Monitor {
    Monitor::join(router.address(), wire, Monitor::SUBSCRIPTION)
}

fn a_first_subscription_is_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut client = join(router, wire);
    let topic = uri("created");
    let id = client.subscribe(&topic);
    let created = monitor.expect("subscription.on_create", client.session());
    assert_eq!(created.len(), 2, "{created:?}");
    is_about(&created[1], id, &topic, "exact");
    let subscribed = monitor.expect("subscription.on_subscribe", client.session());
    assert_eq!(subscribed, [json!(client.session()), json!(id)].map(Value::from));
}

fn a_second_subscriber_is_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut clients = [join(router, wire), join(router, wire)];
    let topic = uri("second");
    for (number, client) in clients.iter_mut().enumerate() {
        let id = client.subscribe(&topic);
        if number == 0 {
            monitor.expect("subscription.on_create", client.session());
        }
        assert_eq!(monitor.expect("subscription.on_subscribe", client.session())[1].uint(), id);
    }
    // The subscription lives on without the first.
    let [first, mut second] = clients;
    let id = first.session();
    first.leave();
    monitor.expect("subscription.on_unsubscribe", id);
    let id = second.subscribe(&topic);
    second.unsubscribe(id);
    monitor.expect("subscription.on_unsubscribe", second.session());
    monitor.expect("subscription.on_delete", second.session());
}

fn a_repeated_subscription_is_not_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut client = join(router, wire);
    let topic = uri("repeated");
    let id = client.subscribe(&topic);
    client.subscribe(&topic);
    client.unsubscribe(id);
    let told = Monitor::SUBSCRIPTION.iter().map(|_| monitor.about(client.session()).topic);
    assert!(told.eq(Monitor::SUBSCRIPTION.iter().copied()));
}

fn the_end_of_a_subscription_is_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut client = join(router, wire);
    let id = client.subscribe(&uri("end"));
    client.unsubscribe(id);
    let expected = [json!(client.session()), json!(id)].map(Value::from);
    monitor.about(client.session());
    monitor.about(client.session());
    assert_eq!(monitor.expect("subscription.on_unsubscribe", client.session()), expected);
    assert_eq!(monitor.expect("subscription.on_delete", client.session()), expected);
}

fn a_cut_connection_is_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut client = join(router, wire);
    let session = client.session();
    let mut ids = [client.subscribe(&uri("cut")), client.subscribe(&uri("cut"))];
    (0..4).for_each(|_| _ = monitor.about(session));
    drop(client);
    let mut told: Vec<(&str, u64)> = Vec::new();
    for _ in 0..4 {
        let event = monitor.about(session);
        told.push((event.topic, event.args[1].uint()));
    }
    ids.sort_unstable();
    for id in ids {
        let of: Vec<&str> = told.iter().filter(|(_, other)| *other == id).map(|(topic, _)| *topic).collect();
        assert_eq!(of, ["subscription.on_unsubscribe", "subscription.on_delete"], "{told:?}");
    }
}

fn patterns_are_told(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut client = join(router, wire);
    let base = uri("patterns");
    let ids = three(&mut client, &base);
    for (id, (end, policy)) in ids.into_iter().zip([(".a.b", "exact"), (".a", "prefix"), ("..b", "wildcard")]) {
        let created = monitor.expect("subscription.on_create", client.session());
        is_about(&created[1], id, &format!("{base}{end}"), policy);
        monitor.expect("subscription.on_subscribe", client.session());
    }
}

fn subscribing_again_is_a_new_subscription(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut client = join(router, wire);
    let topic = uri("again");
    for _ in 0..5 {
        let id = client.subscribe(&topic);
        client.unsubscribe(id);
        for topic in Monitor::SUBSCRIPTION {
            monitor.expect(topic, client.session());
        }
    }
}

fn meta_events_follow_their_acknowledgement(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut publisher = join(router, wire);
    let mut clients: Vec<Client> = (0..4).map(|_| join(router, wire)).collect();
    for client in &mut clients {
        let topic = uri("reaction");
        let request = client.request(32, &json!({}), &topic, &[]);
        while monitor.about(client.session()).topic != "subscription.on_subscribe" {}
        // Whoever is told of a subscriber can reach it.
        let publication = publisher.publish(&topic, &[]);
        assert_eq!(client.expect(33)[1].uint(), request);
        assert_eq!(client.event().publication, publication);
    }
}

/// The next message must be the UNSUBSCRIBED that revokes this subscription.
#[track_caller]
fn revoked(client: &mut Client, subscription: u64, reason: &str) {
    let message = client.expect(35);
    assert_eq!((message.len(), message[1].uint()), (3, 0), "{message:?}");
    let details = message[2].dict();
    assert_eq!((details["subscription"].uint(), details["reason"].str()), (subscription, reason));
}

fn remove(admin: &mut Client, args: Json) {
    admin.ask("wamp.subscription.remove_subscriber", &json!([args])).expect("it can be removed");
}

fn a_subscriber_is_removed(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = Client::join_featured(router.address(), wire, &[REVOCATION]);
    let topic = uri("removed");
    let id = client.subscribe(&topic);
    remove(&mut admin, json!([id, client.session(), "com.test.reason"]));
    revoked(&mut client, id, "com.test.reason");
    admin.publish(&topic, &[]);
    let request = client.next();
    client.send(json!([34, request, id]));
    client.expect_error(34, request, GONE);
    client.expect_silence(Duration::from_millis(10));
    eventually(|| told(&mut admin, "lookup", json!([topic])) == Value::Null);
}

fn a_removed_subscriber_that_cannot_be_told(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let topic = uri("silently");
    let id = client.subscribe(&topic);
    remove(&mut admin, json!([id, client.session(), "com.test.reason"]));
    eventually(|| told(&mut admin, "lookup", json!([topic])) == Value::Null);
    admin.publish(&topic, &[]);
    // Neither UNSUBSCRIBED nor an event has come before this answer.
    client.subscribe(&uri("fence"));
}

fn removing_one_of_many(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut clients: Vec<Client> =
        (0..4).map(|_| Client::join_featured(router.address(), wire, &[REVOCATION])).collect();
    let topic = uri("one_of_many");
    let ids: Vec<u64> = clients.iter_mut().map(|client| client.subscribe(&topic)).collect();
    let id = ids[0];
    remove(&mut admin, json!([id, clients[1].session(), "com.test.reason"]));
    revoked(&mut clients[1], id, "com.test.reason");
    let publication = admin.publish(&topic, &[]);
    for index in [0, 2, 3] {
        assert_eq!(clients[index].event().publication, publication);
    }
    clients[1].expect_silence(Duration::from_millis(10));
}

fn removing_is_told_as_unsubscribing(router: &Router, wire: Wire) {
    let mut monitor = monitor(router, wire);
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let id = client.subscribe(&uri("told"));
    remove(&mut admin, json!([id, client.session()]));
    for topic in Monitor::SUBSCRIPTION {
        monitor.expect(topic, client.session());
    }
}

fn removing_what_is_not_there(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = join(router, wire);
    let id = client.subscribe(&uri("not_there"));
    refused(&mut admin, "remove_subscriber", json!([4_242_424_242u64, client.session()]), GONE);
    refused(&mut admin, "remove_subscriber", json!([id, 4_242_424_242u64]), "wamp.error.no_such_session");
    assert_eq!(told(&mut admin, "count_subscribers", json!([id])).uint(), 1);
}

fn a_removed_subscriber_may_subscribe_again(router: &Router, wire: Wire) {
    let mut admin = join(router, wire);
    let mut client = Client::join_featured(router.address(), wire, &[REVOCATION]);
    let topic = uri("again");
    for _ in 0..5 {
        let id = client.subscribe(&topic);
        remove(&mut admin, json!([id, client.session(), "com.test.reason"]));
        revoked(&mut client, id, "com.test.reason");
        let id = client.subscribe(&topic);
        let publication = admin.publish(&topic, &[]);
        let event = client.event();
        assert_eq!((event.subscription, event.publication), (id, publication));
        client.unsubscribe(id);
    }
}
