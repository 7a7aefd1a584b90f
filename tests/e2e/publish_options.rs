//! Options of PUBLISH: who receives an event, what it tells about its publisher, and payload passthru mode.

use super::{on_every_wire, uri};
use crate::support::client::payload;
use crate::support::{Client, Router, Serializer, Value, Wire};
use serde_json::{Value as Json, json};

on_every_wire! {
    the_broker_announces_its_features,
    excluded_sessions,
    eligible_sessions,
    excluded_authids,
    eligible_authids,
    excluded_authroles,
    eligible_authroles,
    every_list_must_allow,
    nobody_is_eligible,
    empty_blacklists_exclude_nobody,
    unknown_receivers,
    null_lists_are_absent,
    lists_hold_for_pattern_subscriptions,
    lists_hold_for_one_publication,
    the_publisher_and_the_lists,
    lists_without_acknowledgement,
    lists_of_the_wrong_type,
    nobody_is_disclosed_unless_asked,
    the_publisher_is_disclosed,
    the_publisher_is_disclosed_to_patterns_and_itself,
    disclosure_of_the_wrong_type,
    passthru_attributes_are_forwarded,
    passthru_payload_is_octets_on_every_wire,
    passthru_without_a_scheme_is_none,
    passthru_must_be_announced,
    passthru_is_announced_for_the_publisher,
    passthru_attributes_of_the_wrong_type,
}

const VIOLATION: &str = "wamp.error.protocol_violation";
const PASSTHRU: &str = "payload_passthru_mode";

/// A publisher and subscribers of one topic.
struct Audience {
    topic: String,
    publisher: Client,
    subscribers: Vec<Client>,
}

impl Audience {
    fn new(router: &Router, wire: Wire, size: usize) -> Audience {
        let topic = format!("{}.topic", uri("audience"));
        let publisher = Client::join(router.address(), wire);
        let mut subscribers: Vec<Client> = (0..size).map(|_| Client::join(router.address(), wire)).collect();
        for subscriber in &mut subscribers {
            subscriber.subscribe(&topic);
        }
        Audience { topic, publisher, subscribers }
    }

    fn session(&self, index: usize) -> u64 {
        self.subscribers[index].session()
    }

    fn authid(&self, index: usize) -> String {
        self.subscribers[index].authid().into()
    }

    /// Publishes with these options; exactly the subscribers with these indices must get it.
    #[track_caller]
    fn reaches(&mut self, options: &Json, receivers: &[usize]) {
        let publication = self.publisher.publish_with(&self.topic, options, &payload(json!([["probe"]])));
        // Reaches everybody, and nothing that came before can come after it.
        let mark = self.publisher.publish(&self.topic, &[]);
        for (index, subscriber) in self.subscribers.iter_mut().enumerate() {
            let mut event = subscriber.event();
            if receivers.contains(&index) {
                assert_eq!(event.publication, publication, "{options} reaches {index}");
                assert_eq!(event.payload, payload(json!([["probe"]])));
                event = subscriber.event();
            }
            assert_eq!(event.publication, mark, "{options} does not reach {index}");
        }
    }
}

fn the_broker_announces_its_features(router: &Router, wire: Wire) {
    let client = Client::join(router.address(), wire);
    for feature in ["publisher_exclusion", "subscriber_blackwhite_listing", "publisher_identification", PASSTHRU] {
        assert!(client.announced("broker", feature), "{feature}");
    }
}

fn excluded_sessions(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 4);
    let [first, last] = [all.session(0), all.session(3)];
    all.reaches(&json!({ "exclude": [first] }), &[1, 2, 3]);
    all.reaches(&json!({ "exclude": [last, first] }), &[1, 2]);
}

fn eligible_sessions(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 4);
    let [first, last] = [all.session(0), all.session(3)];
    all.reaches(&json!({ "eligible": [first] }), &[0]);
    all.reaches(&json!({ "eligible": [last, first, last] }), &[0, 3]);
}

fn excluded_authids(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 3);
    let [first, second] = [all.authid(0), all.authid(1)];
    all.reaches(&json!({ "exclude_authid": [first] }), &[1, 2]);
    all.reaches(&json!({ "exclude_authid": [first, second] }), &[2]);
}

fn eligible_authids(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 3);
    let [first, second] = [all.authid(0), all.authid(1)];
    all.reaches(&json!({ "eligible_authid": [second] }), &[1]);
    all.reaches(&json!({ "eligible_authid": [first, second] }), &[0, 1]);
}

fn excluded_authroles(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 2);
    all.reaches(&json!({"exclude_authrole": ["anonymous"]}), &[]);
    all.reaches(&json!({"exclude_authrole": ["staff", "anonymous"]}), &[]);
    all.reaches(&json!({"exclude_authrole": ["staff"]}), &[0, 1]);
}

fn eligible_authroles(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 2);
    all.reaches(&json!({"eligible_authrole": ["anonymous"]}), &[0, 1]);
    all.reaches(&json!({"eligible_authrole": ["manager", "anonymous"]}), &[0, 1]);
    all.reaches(&json!({"eligible_authrole": ["manager"]}), &[]);
}

fn every_list_must_allow(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 4);
    let ids: Vec<u64> = (0..4).map(|index| all.session(index)).collect();
    let names: Vec<String> = (0..4).map(|index| all.authid(index)).collect();
    // The specification's example: on both lists means excluded.
    all.reaches(&json!({"eligible": [ids[0], ids[1], ids[2]], "exclude": [ids[0]]}), &[1, 2]);
    all.reaches(&json!({"eligible": [ids[0], ids[1]], "eligible_authid": [names[1], names[2]]}), &[1]);
    all.reaches(&json!({"eligible": [ids[0], ids[1]], "eligible_authrole": ["staff"]}), &[]);
    all.reaches(&json!({"eligible_authrole": ["anonymous"], "exclude_authid": [names[3]]}), &[0, 1, 2]);
    all.reaches(&json!({"exclude": [ids[0]], "exclude_authid": [names[1]], "exclude_authrole": ["staff"]}), &[2, 3]);
    all.reaches(&json!({"eligible_authid": [names[1]], "exclude_authrole": ["anonymous"]}), &[]);
    all.reaches(&json!({"eligible": ids, "eligible_authid": names, "eligible_authrole": ["anonymous"]}), &[0, 1, 2, 3]);
}

fn nobody_is_eligible(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 2);
    for key in ["eligible", "eligible_authid", "eligible_authrole"] {
        all.reaches(&json!({ key: [] }), &[]);
    }
}

fn empty_blacklists_exclude_nobody(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 2);
    for key in ["exclude", "exclude_authid", "exclude_authrole"] {
        all.reaches(&json!({ key: [] }), &[0, 1]);
    }
}

fn unknown_receivers(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 2);
    all.reaches(&json!({"exclude": [4_242_424_242u64], "exclude_authid": ["no such", ""]}), &[0, 1]);
    all.reaches(&json!({"eligible": [4_242_424_242u64]}), &[]);
    all.reaches(&json!({"eligible_authid": ["no such", ""]}), &[]);
    let mine = all.session(1);
    let many: Vec<u64> = (1..3000).chain([mine]).collect();
    all.reaches(&json!({ "eligible": many }), &[1]);
    all.reaches(&json!({ "exclude": many }), &[0]);
}

fn null_lists_are_absent(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 2);
    let options = json!({"eligible": null, "eligible_authid": null, "eligible_authrole": null,
        "exclude": null, "exclude_authid": null, "exclude_authrole": null, "disclose_me": null});
    all.reaches(&options, &[0, 1]);
}

fn lists_hold_for_pattern_subscriptions(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 2);
    let [topic, wildcard] = [all.topic.clone(), all.topic.replacen("test", "", 1)];
    let mut pattern = Client::join(router.address(), wire);
    let patterns = [
        pattern.subscribe_with(&topic, &json!({"match": "prefix"})),
        pattern.subscribe_with(&wildcard, &json!({"match": "wildcard"})),
    ];
    let id = pattern.session();
    all.reaches(&json!({ "exclude": [id] }), &[0, 1]);
    all.reaches(&json!({ "eligible": [id] }), &[]);
    // Two marks and one event, each for both subscriptions.
    let mut probes = 0;
    for _ in 0..6 {
        let event = pattern.event();
        assert!(patterns.contains(&event.subscription));
        assert_eq!(event.details["topic"].str(), topic);
        probes += usize::from(!event.payload.is_empty());
    }
    assert_eq!(probes, 2);
}

fn lists_hold_for_one_publication(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 2);
    let first = all.session(0);
    for _ in 0..3 {
        all.reaches(&json!({ "exclude": [first] }), &[1]);
        all.reaches(&json!({}), &[0, 1]);
    }
}

fn the_publisher_and_the_lists(router: &Router, wire: Wire) {
    let topic = uri("self");
    let mut client = Client::join(router.address(), wire);
    let subscription = client.subscribe(&topic);
    let (own, name) = (client.session(), client.authid().to_string());
    // Being eligible does not undo the exclusion of the publisher, nor the other way round.
    for options in [
        json!({ "eligible": [own] }),
        json!({"eligible": [own], "exclude_me": true}),
        json!({ "eligible_authid": [name] }),
        json!({"exclude": [own], "exclude_me": false}),
        json!({"exclude_authid": [name], "exclude_me": false}),
        json!({"eligible": [], "exclude_me": false}),
    ] {
        client.request(16, &options, &topic, &[]);
    }
    let yes = payload(json!([["yes"]]));
    client.request(16, &json!({"eligible": [own], "exclude_me": false}), &topic, &yes);
    assert_eq!(client.expect_event(subscription).1, yes);
}

fn lists_without_acknowledgement(router: &Router, wire: Wire) {
    let mut all = Audience::new(router, wire, 2);
    let (first, topic) = (all.session(0), all.topic.clone());
    all.publisher.request(16, &json!({ "exclude": [first] }), &topic, &payload(json!([[1]])));
    let mark = all.publisher.publish(&topic, &[]);
    assert_eq!(all.subscribers[0].event().publication, mark);
    assert_eq!(all.subscribers[1].event().payload, payload(json!([[1]])));
    assert_eq!(all.subscribers[1].event().publication, mark);
}

#[track_caller]
fn violates(router: &Router, wire: Wire, features: &[&str], options: &Json) {
    let mut client = Client::join_featured(router.address(), wire, features);
    client.request(16, options, &uri("violates"), &[]);
    let abort = client.expect_abort(VIOLATION);
    assert!(!abort[1].dict()["message"].str().is_empty(), "a human reason: {abort:?}");
}

fn lists_of_the_wrong_type(router: &Router, wire: Wire) {
    for key in ["exclude", "eligible"] {
        for value in [json!(1), json!("1"), json!({}), json!(true), json!(["1"]), json!([1, null]), json!([1.5])] {
            violates(router, wire, &[], &json!({ key: value }));
        }
    }
    for key in ["exclude_authid", "exclude_authrole", "eligible_authid", "eligible_authrole"] {
        for value in [json!("joe"), json!(1), json!({}), json!([1]), json!(["joe", null]), json!([["joe"]])] {
            violates(router, wire, &[], &json!({ key: value }));
        }
    }
}

/// What an event with these options tells about its publisher.
#[track_caller]
fn disclosed(router: &Router, wire: Wire, options: &Json) -> (Client, [Option<Value>; 3]) {
    let topic = uri("disclose");
    let mut publisher = Client::join(router.address(), wire);
    let mut subscriber = Client::join(router.address(), wire);
    subscriber.subscribe(&topic);
    publisher.publish_with(&topic, options, &[]);
    let details = subscriber.event().details;
    (publisher, ["publisher", "publisher_authid", "publisher_authrole"].map(|key| details.get(key).cloned()))
}

fn nobody_is_disclosed_unless_asked(router: &Router, wire: Wire) {
    for options in [json!({}), json!({"disclose_me": false})] {
        assert_eq!(disclosed(router, wire, &options).1, [None, None, None]);
    }
}

fn the_publisher_is_disclosed(router: &Router, wire: Wire) {
    let (publisher, told) = disclosed(router, wire, &json!({"disclose_me": true}));
    let identity = [json!(publisher.session()), json!(publisher.authid()), json!("anonymous")];
    assert_eq!(told, identity.map(|value| Some(value.into())));
}

fn the_publisher_is_disclosed_to_patterns_and_itself(router: &Router, wire: Wire) {
    let topic = format!("{}.topic", uri("disclose"));
    let mut client = Client::join(router.address(), wire);
    client.subscribe_with(&topic, &json!({"match": "prefix"}));
    client.request(16, &json!({"disclose_me": true, "exclude_me": false}), &topic, &[]);
    let details = client.event().details;
    assert_eq!(details["topic"].str(), topic);
    assert_eq!(details["publisher"].uint(), client.session());
    // One that discloses itself does not disclose others.
    let mut other = Client::join(router.address(), wire);
    other.publish(&topic, &[]);
    assert!(!client.event().details.contains_key("publisher"));
}

fn disclosure_of_the_wrong_type(router: &Router, wire: Wire) {
    for value in [json!(1), json!("true"), json!([])] {
        violates(router, wire, &[], &json!({ "disclose_me": value }));
    }
}

fn passthru_attributes_are_forwarded(router: &Router, wire: Wire) {
    let topic = uri("passthru");
    let mut publisher = Client::join_featured(router.address(), wire, &[PASSTHRU]);
    let mut announced = Client::join_featured(router.address(), wire, &[PASSTHRU]);
    let mut silent = Client::join(router.address(), wire);
    for subscriber in [&mut announced, &mut silent] {
        subscriber.subscribe(&topic);
    }
    for options in [
        json!({"ppt_scheme": "mqtt"}),
        json!({"ppt_scheme": "mqtt", "ppt_serializer": "native"}),
        json!({"ppt_scheme": "x_own", "ppt_serializer": "custom", "ppt_cipher": "rot13", "ppt_keyid": "0xAb"}),
    ] {
        let octets = payload(json!([["\0AP8Q4Q=="]]));
        publisher.publish_with(&topic, &options, &octets);
        // Who does not know the mode has to find out for itself.
        for subscriber in [&mut announced, &mut silent] {
            let event = subscriber.event();
            let told: serde_json::Map<String, Json> =
                event.details.into_iter().map(|(key, value)| (key, value.into())).collect();
            assert_eq!(Json::Object(told), options);
            assert_eq!(event.payload, octets);
        }
    }
    publisher.publish(&topic, &[]);
    assert!(announced.event().details.is_empty(), "the next event is an ordinary one");
}

fn passthru_payload_is_octets_on_every_wire(router: &Router, wire: Wire) {
    let topic = uri("octets");
    let mut publisher = Client::join_featured(router.address(), wire, &[PASSTHRU]);
    let mut subscribers: Vec<Client> =
        Wire::all().map(|wire| Client::join_featured(router.address(), wire, &[PASSTHRU])).collect();
    for subscriber in &mut subscribers {
        subscriber.subscribe(&topic);
    }
    let everything: Vec<u8> = (0..=255).collect();
    for octets in [vec![], vec![0], everything, Serializer::Cbor.encode(&json!({"args": [1]}).into())] {
        let body = [Value::List(vec![Value::Bin(octets)])];
        let options = json!({"ppt_scheme": "wamp", "ppt_serializer": "cbor"});
        let publication = publisher.publish_with(&topic, &options, &body);
        for subscriber in &mut subscribers {
            let event = subscriber.event();
            assert_eq!((event.publication, &event.payload[..]), (publication, &body[..]), "{}", subscriber.wire());
            assert_eq!(event.details["ppt_serializer"].str(), "cbor");
        }
    }
}

fn passthru_without_a_scheme_is_none(router: &Router, wire: Wire) {
    let topic = uri("no_scheme");
    let mut publisher = Client::join(router.address(), wire);
    let mut subscriber = Client::join(router.address(), wire);
    subscriber.subscribe(&topic);
    publisher.publish_with(&topic, &json!({"ppt_scheme": ""}), &payload(json!([[1]])));
    assert_eq!(subscriber.event().payload, payload(json!([[1]])));
}

fn passthru_must_be_announced(router: &Router, wire: Wire) {
    violates(router, wire, &[], &json!({"ppt_scheme": "mqtt"}));
    violates(router, wire, &["publisher_identification"], &json!({"ppt_scheme": "wamp", "ppt_serializer": "cbor"}));
}

fn passthru_is_announced_for_the_publisher(router: &Router, wire: Wire) {
    let feature = json!({"features": {PASSTHRU: true}});
    let roles = json!({"caller": feature, "callee": feature, "subscriber": feature, "publisher": {}});
    let mut client = Client::join_with(router.address(), wire, roles);
    client.request(16, &json!({"ppt_scheme": "mqtt"}), &uri("role"), &[]);
    client.expect_abort(VIOLATION);
}

fn passthru_attributes_of_the_wrong_type(router: &Router, wire: Wire) {
    for key in ["ppt_serializer", "ppt_cipher", "ppt_keyid"] {
        violates(router, wire, &[PASSTHRU], &json!({"ppt_scheme": "mqtt", key: 1}));
    }
    violates(router, wire, &[PASSTHRU], &json!({"ppt_scheme": ["mqtt"]}));
}
