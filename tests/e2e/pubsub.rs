//! Publish & subscribe.

use super::{on_every_wire, uri};
use crate::support::client::payload;
use crate::support::{Client, Router, Wire};
use serde_json::json;
use std::time::Duration;

on_every_wire! {
    an_event_reaches_its_subscribers,
    an_unacknowledged_publication_is_not_answered,
    the_publisher_is_excluded_unless_it_says_otherwise,
    subscribers_of_a_topic_share_an_id,
    a_repeated_subscribe_gives_the_same_id,
    no_event_comes_after_unsubscribed,
    unsubscribe_of_an_unknown_subscription,
    unsubscribe_of_another_sessions_subscription,
    malformed_uris,
    reserved_uris,
    the_shape_of_the_payload_is_kept,
    events_come_in_order,
    publication_ids_agree,
    one_session_with_many_topics,
}

fn an_event_reaches_its_subscribers(router: &Router, wire: Wire) {
    let topic = uri("event");
    let mut publisher = Client::join(router.address(), wire);
    let mut subscribers: Vec<Client> = (0..5).map(|_| Client::join(router.address(), wire)).collect();
    let ids: Vec<u64> = subscribers.iter_mut().map(|subscriber| subscriber.subscribe(&topic)).collect();
    let body = payload(json!([[1, "two", 3.5], {"four": [5, null, true]}]));
    let publication = publisher.publish(&topic, &body);
    for (subscriber, id) in subscribers.iter_mut().zip(ids) {
        assert_eq!(subscriber.expect_event(id), (publication, body.clone()));
    }
}

fn an_unacknowledged_publication_is_not_answered(router: &Router, wire: Wire) {
    let topic = uri("quiet");
    let mut publisher = Client::join(router.address(), wire);
    for options in [json!({}), json!({"acknowledge": false})] {
        let request = publisher.next();
        publisher.send(json!([16, request, options, topic, ["quiet"]]));
    }
    // Not even when it cannot be done.
    let request = publisher.next();
    publisher.send(json!([16, request, {}, "not a uri", ["quiet"]]));
    // The next message is the answer to a later request.
    publisher.subscribe(&topic);
}

fn the_publisher_is_excluded_unless_it_says_otherwise(router: &Router, wire: Wire) {
    let topic = uri("exclude");
    let mut client = Client::join(router.address(), wire);
    let subscription = client.subscribe(&topic);
    for (exclude, text) in [(None, "default"), (Some(true), "true"), (Some(false), "false")] {
        let request = client.next();
        let options = exclude.map_or(json!({}), |exclude| json!({ "exclude_me": exclude }));
        client.send(json!([16, request, options, topic, [text]]));
    }
    let (_, body) = client.expect_event(subscription);
    assert_eq!(body, payload(json!([["false"]])));
}

fn subscribers_of_a_topic_share_an_id(router: &Router, wire: Wire) {
    let topic = uri("shared");
    let mut clients: Vec<Client> = (0..6).map(|_| Client::join(router.address(), wire)).collect();
    let ids: Vec<u64> = clients.iter_mut().map(|client| client.subscribe(&topic)).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_ne!(clients[0].subscribe(&uri("shared")), ids[0]);
}

fn a_repeated_subscribe_gives_the_same_id(router: &Router, wire: Wire) {
    let topic = uri("repeated");
    let mut subscriber = Client::join(router.address(), wire);
    let mut publisher = Client::join(router.address(), wire);
    let first = subscriber.subscribe(&topic);
    assert_eq!(subscriber.subscribe(&topic), first);
    publisher.publish(&topic, &payload(json!([[1]])));
    publisher.publish(&topic, &payload(json!([[2]])));
    // Once each.
    assert_eq!(subscriber.expect_event(first).1, payload(json!([[1]])));
    assert_eq!(subscriber.expect_event(first).1, payload(json!([[2]])));
    subscriber.unsubscribe(first);
    publisher.publish(&topic, &[]);
    subscriber.expect_silence(Duration::from_millis(20));
}

fn no_event_comes_after_unsubscribed(router: &Router, wire: Wire) {
    let topic = uri("after");
    let mut subscriber = Client::join(router.address(), wire);
    let mut publisher = Client::join(router.address(), wire);
    for _ in 0..5 {
        let subscription = subscriber.subscribe(&topic);
        for _ in 0..20 {
            let request = publisher.next();
            publisher.send(json!([16, request, {}, topic, ["flood"]]));
        }
        let request = subscriber.next();
        subscriber.send(json!([34, request, subscription]));
        // Events until the acknowledgement, none after it.
        loop {
            let message = subscriber.recv();
            match message[0].uint() {
                36 => {}
                35 => break,
                _ => panic!("{message:?}"),
            }
        }
        publisher.publish(&topic, &[]);
        subscriber.expect_silence(Duration::from_millis(10));
    }
}

fn unsubscribe_of_an_unknown_subscription(router: &Router, wire: Wire) {
    let topic = uri("unknown");
    let mut client = Client::join(router.address(), wire);
    let subscription = client.subscribe(&topic);
    client.unsubscribe(subscription);
    for id in [subscription, 4_242_424_242] {
        let request = client.next();
        client.send(json!([34, request, id]));
        client.expect_error(34, request, "wamp.error.no_such_subscription");
    }
}

fn unsubscribe_of_another_sessions_subscription(router: &Router, wire: Wire) {
    let topic = uri("foreign");
    let mut owner = Client::join(router.address(), wire);
    let mut thief = Client::join(router.address(), wire);
    let subscription = owner.subscribe(&topic);
    let request = thief.next();
    thief.send(json!([34, request, subscription]));
    thief.expect_error(34, request, "wamp.error.no_such_subscription");
    thief.publish(&topic, &[]);
    owner.expect_event(subscription);
}

fn malformed_uris(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    for topic in ["", ".", "a..b", "a.", ".a", "a b", "a.#", "a.b\tc"] {
        let request = client.next();
        client.send(json!([32, request, {}, topic]));
        client.expect_error(32, request, "wamp.error.invalid_uri");
        let request = client.next();
        client.send(json!([16, request, {"acknowledge": true}, topic, []]));
        client.expect_error(16, request, "wamp.error.invalid_uri");
    }
    // Characters that the loose rules allow.
    client.subscribe("com.test.Größe-1/α");
}

fn reserved_uris(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    for topic in ["wamp.session.on_join", "wamp.x", "wamp"] {
        let request = client.next();
        client.send(json!([16, request, {"acknowledge": true}, topic, []]));
        client.expect_error(16, request, "wamp.error.invalid_uri");
    }
    client.publish("wampum.x", &[]);
}

fn the_shape_of_the_payload_is_kept(router: &Router, wire: Wire) {
    let topic = uri("shape");
    let mut subscriber = Client::join(router.address(), wire);
    let mut publisher = Client::join(router.address(), wire);
    let subscription = subscriber.subscribe(&topic);
    for body in [
        json!([]),
        json!([[]]),
        json!([[1]]),
        json!([[null]]),
        json!([[], {}]),
        json!([[], {"a": 1}]),
        json!([[1, 2], {"a": [], "b": {}}]),
    ] {
        publisher.publish(&topic, &payload(body.clone()));
        assert_eq!(subscriber.expect_event(subscription).1, payload(body));
    }
}

fn events_come_in_order(router: &Router, wire: Wire) {
    let topics = [uri("order"), uri("order"), uri("order")];
    let mut subscriber = Client::join(router.address(), wire);
    let mut publisher = Client::join(router.address(), wire);
    for topic in &topics {
        subscriber.subscribe(topic);
    }
    for number in 0..300 {
        let request = publisher.next();
        publisher.send(json!([16, request, {}, topics[number % 3], [number]]));
    }
    for number in 0..300 {
        assert_eq!(subscriber.expect(36)[4].list()[0].uint(), number);
    }
}

fn publication_ids_agree(router: &Router, wire: Wire) {
    let topic = uri("ids");
    let mut publisher = Client::join(router.address(), wire);
    let mut subscriber = Client::join(router.address(), wire);
    let subscription = subscriber.subscribe(&topic);
    let mut seen = Vec::new();
    for _ in 0..10 {
        let publication = publisher.publish(&topic, &[]);
        assert_eq!(subscriber.expect_event(subscription).0, publication);
        assert!(!seen.contains(&publication));
        seen.push(publication);
    }
}

fn one_session_with_many_topics(router: &Router, wire: Wire) {
    let topics: Vec<String> = (0..200).map(|_| uri("many")).collect();
    let mut subscriber = Client::join(router.address(), wire);
    let mut publisher = Client::join(router.address(), wire);
    let ids: Vec<u64> = topics.iter().map(|topic| subscriber.subscribe(topic)).collect();
    for (topic, id) in topics.iter().zip(&ids).rev() {
        publisher.publish(topic, &payload(json!([[topic]])));
        assert_eq!(subscriber.expect_event(*id).1, payload(json!([[topic]])));
    }
}
