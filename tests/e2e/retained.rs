//! Event retention.

use super::{on_every_wire, uri};
use crate::support::client::payload;
use crate::support::raw::PATIENCE;
use crate::support::{Client, Router, Value, Wire};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

on_every_wire! {
    the_feature_is_announced,
    the_value_comes_after_subscribed,
    it_must_be_asked_for,
    it_must_be_retained,
    nothing_is_retained_at_first,
    the_newest_is_kept,
    later_events_do_not_replace_it,
    live_events_are_not_marked,
    the_value_comes_before_later_events,
    everybody_who_asks_gets_it,
    for_prefixes,
    for_wildcards,
    patterns_get_each_topic_once,
    a_publication_without_arguments_clears,
    empty_arguments_do_not_clear,
    values_outlive_their_publisher,
    values_outlive_their_subscribers,
    the_value_is_whole,
    values_on_every_wire,
    only_for_the_eligible,
    the_newest_that_one_is_eligible_for,
    the_publisher_itself,
    each_topic_has_its_own,
    options_of_the_wrong_type,
    refused_publications_are_not_retained,
}

const QUIET: Duration = Duration::from_millis(10);

fn join(router: &Router, wire: Wire) -> Client {
    Client::join(router.address(), wire)
}

fn body(text: &str) -> Vec<Value> {
    payload(json!([[text]]))
}

/// Publishes a retained event.
#[track_caller]
fn retain(client: &mut Client, topic: &str, text: &str) -> u64 {
    client.publish_with(topic, &json!({"retain": true}), &body(text))
}

fn asking() -> Json {
    json!({"get_retained": true})
}

/// A new session subscribes and asks: the value must be this, or none.
#[track_caller]
fn finds(router: &Router, wire: Wire, topic: &str, value: Option<&str>) {
    let mut client = join(router, wire);
    let id = client.subscribe_with(topic, &asking());
    gets(&mut client, id, value);
}

/// The next event must be this retained value, or nothing must come.
#[track_caller]
fn gets(client: &mut Client, subscription: u64, value: Option<&str>) {
    if let Some(value) = value {
        let event = client.event();
        assert_eq!((event.subscription, event.payload), (subscription, body(value)));
        assert_eq!(event.details["retained"], Value::Bool(true));
    }
    client.expect_silence(QUIET);
}

fn the_feature_is_announced(router: &Router, wire: Wire) {
    assert!(join(router, wire).announced("broker", "event_retention"));
}

fn the_value_comes_after_subscribed(router: &Router, wire: Wire) {
    let topic = uri("retained");
    let publication = retain(&mut join(router, wire), &topic, "value");
    let mut client = join(router, wire);
    // This reads SUBSCRIBED first.
    let id = client.subscribe_with(&topic, &asking());
    let event = client.event();
    assert_eq!((event.subscription, event.publication), (id, publication));
    assert_eq!(event.payload, body("value"));
    assert_eq!(event.details["retained"], Value::Bool(true));
}

fn it_must_be_asked_for(router: &Router, wire: Wire) {
    let topic = uri("ask");
    retain(&mut join(router, wire), &topic, "value");
    for options in [json!({}), json!({"get_retained": false}), json!({"get_retained": null})] {
        let mut client = join(router, wire);
        client.subscribe_with(&topic, &options);
        client.expect_silence(QUIET);
    }
}

fn it_must_be_retained(router: &Router, wire: Wire) {
    let topic = uri("must");
    let mut publisher = join(router, wire);
    for options in [json!({}), json!({"retain": false}), json!({"retain": null})] {
        publisher.publish_with(&topic, &options, &body("value"));
    }
    finds(router, wire, &topic, None);
}

fn nothing_is_retained_at_first(router: &Router, wire: Wire) {
    finds(router, wire, &uri("nothing"), None);
}

fn the_newest_is_kept(router: &Router, wire: Wire) {
    let topic = uri("newest");
    let mut publishers = [join(router, wire), join(router, wire), join(router, wire)];
    for number in 0..9 {
        let text = number.to_string();
        retain(&mut publishers[number % 3], &topic, &text);
        finds(router, wire, &topic, Some(&text));
    }
}

fn later_events_do_not_replace_it(router: &Router, wire: Wire) {
    let topic = uri("later");
    let mut publisher = join(router, wire);
    retain(&mut publisher, &topic, "value");
    publisher.publish(&topic, &body("other"));
    publisher.publish(&topic, &[]);
    finds(router, wire, &topic, Some("value"));
}

fn live_events_are_not_marked(router: &Router, wire: Wire) {
    let topic = uri("live");
    let mut client = join(router, wire);
    client.subscribe_with(&topic, &asking());
    retain(&mut join(router, wire), &topic, "live");
    let event = client.event();
    assert_eq!(event.payload, body("live"));
    assert_ne!(event.details.get("retained"), Some(&Value::Bool(true)));
    client.expect_silence(QUIET);
}

fn the_value_comes_before_later_events(router: &Router, wire: Wire) {
    let topic = uri("before");
    let mut publisher = join(router, wire);
    retain(&mut publisher, &topic, "value");
    let mut client = join(router, wire);
    client.subscribe_with(&topic, &asking());
    for number in 0..10 {
        publisher.publish(&topic, &body(&number.to_string()));
    }
    assert_eq!(client.event().payload, body("value"));
    for number in 0..10 {
        assert_eq!(client.event().payload, body(&number.to_string()));
    }
}

fn everybody_who_asks_gets_it(router: &Router, wire: Wire) {
    let topic = uri("everybody");
    let publication = retain(&mut join(router, wire), &topic, "value");
    let mut first = join(router, wire);
    let id = first.subscribe_with(&topic, &asking());
    gets(&mut first, id, Some("value"));
    for _ in 0..4 {
        let mut client = join(router, wire);
        assert_eq!(client.subscribe_with(&topic, &asking()), id);
        assert_eq!(client.event().publication, publication);
    }
    // Those who are there already get nothing again.
    first.expect_silence(QUIET);
}

fn for_prefixes(router: &Router, wire: Wire) {
    let base = uri("prefix");
    let mut publisher = join(router, wire);
    for end in ["a", "ab", "a.b", "b"] {
        retain(&mut publisher, &format!("{base}.{end}"), end);
    }
    patterns(router, wire, (&format!("{base}.a"), "prefix"), &base, &["a", "a.b", "ab"]);
    patterns(router, wire, (&format!("{base}.c"), "prefix"), &base, &[]);
}

fn for_wildcards(router: &Router, wire: Wire) {
    let base = uri("wildcard");
    let mut publisher = join(router, wire);
    for end in ["a.x", "b.x", "a.y", "a.x.x", "x"] {
        retain(&mut publisher, &format!("{base}.{end}"), end);
    }
    patterns(router, wire, (&format!("{base}..x"), "wildcard"), &base, &["a.x", "b.x"]);
    patterns(router, wire, (&format!("{base}.a."), "wildcard"), &base, &["a.x", "a.y"]);
}

/// A subscription of this pattern must get the values of these topics, in any order. Each value is its topic's end.
#[track_caller]
fn patterns(router: &Router, wire: Wire, pattern: (&str, &str), base: &str, ends: &[&str]) {
    let mut client = join(router, wire);
    let options = json!({"match": pattern.1, "get_retained": true});
    let id = client.subscribe_with(pattern.0, &options);
    let mut found: Vec<String> = Vec::new();
    for _ in ends {
        let event = client.event();
        assert_eq!((event.subscription, &event.details["retained"]), (id, &Value::Bool(true)));
        let end = event.payload[0].list()[0].str().to_string();
        assert_eq!(event.details["topic"].str(), format!("{base}.{end}"));
        found.push(end);
    }
    found.sort_unstable();
    assert_eq!(found, ends);
    client.expect_silence(QUIET);
}

fn patterns_get_each_topic_once(router: &Router, wire: Wire) {
    let base = uri("once");
    let mut publisher = join(router, wire);
    let ends: Vec<String> = (100..200).map(|number| format!("t{number}")).collect();
    for end in &ends {
        retain(&mut publisher, &format!("{base}.{end}"), "old");
        retain(&mut publisher, &format!("{base}.{end}"), end);
    }
    let ends: Vec<&str> = ends.iter().map(String::as_str).collect();
    patterns(router, wire, (&format!("{base}."), "prefix"), &base, &ends);
    patterns(router, wire, (&format!("{base}."), "wildcard"), &base, &ends);
}

fn a_publication_without_arguments_clears(router: &Router, wire: Wire) {
    let topic = uri("clear");
    let mut publisher = join(router, wire);
    let mut live = join(router, wire);
    live.subscribe(&topic);
    for _ in 0..3 {
        retain(&mut publisher, &topic, "value");
        finds(router, wire, &topic, Some("value"));
        let publication = publisher.publish_with(&topic, &json!({"retain": true}), &[]);
        finds(router, wire, &topic, None);
        // It is an event as any other.
        assert_eq!(live.event().payload, body("value"));
        assert_eq!(live.event().publication, publication);
    }
}

fn empty_arguments_do_not_clear(router: &Router, wire: Wire) {
    let topic = uri("empty");
    let mut publisher = join(router, wire);
    for empty in [json!([[]]), json!([[], {}])] {
        retain(&mut publisher, &topic, "value");
        let publication = publisher.publish_with(&topic, &json!({"retain": true}), &payload(empty));
        let mut client = join(router, wire);
        client.subscribe_with(&topic, &asking());
        assert_eq!(client.event().publication, publication);
    }
}

fn values_outlive_their_publisher(router: &Router, wire: Wire) {
    let topic = uri("publisher");
    let mut publisher = join(router, wire);
    retain(&mut publisher, &topic, "value");
    publisher.leave();
    finds(router, wire, &topic, Some("value"));
}

fn values_outlive_their_subscribers(router: &Router, wire: Wire) {
    let topic = uri("subscribers");
    retain(&mut join(router, wire), &topic, "value");
    let mut client = join(router, wire);
    // Each time anew, also for the same session.
    for _ in 0..3 {
        let id = client.subscribe_with(&topic, &asking());
        gets(&mut client, id, Some("value"));
        client.unsubscribe(id);
    }
    client.leave();
    finds(router, wire, &topic, Some("value"));
}

fn the_value_is_whole(router: &Router, wire: Wire) {
    let topic = uri("whole");
    let mut publisher = Client::join_featured(router.address(), wire, &["payload_passthru_mode"]);
    let body = payload(json!([[1, [null, 2.5]], {"k": {"l": "\0AP8="}}]));
    let options = json!({"retain": true, "disclose_me": true, "ppt_scheme": "x_own", "ppt_keyid": "k"});
    publisher.publish_with(&topic, &options, &body);
    let mut client = join(router, wire);
    client.subscribe_with(&topic, &asking());
    let event = client.event();
    assert_eq!(event.payload, body);
    assert_eq!(event.details["publisher"].uint(), publisher.session());
    assert_eq!((event.details["ppt_scheme"].str(), event.details["ppt_keyid"].str()), ("x_own", "k"));
}

fn values_on_every_wire(router: &Router, wire: Wire) {
    let topic = uri("every_wire");
    let body = payload(json!([[1, -2, 1.5, "three", null, "\0AP8Q4Q=="], {"k": [true]}]));
    let publication = join(router, wire).publish_with(&topic, &json!({"retain": true}), &body);
    for wire in Wire::all() {
        let mut client = join(router, wire);
        client.subscribe_with(&topic, &asking());
        let event = client.event();
        assert_eq!((event.publication, &event.payload), (publication, &body), "{wire}");
    }
}

fn only_for_the_eligible(router: &Router, wire: Wire) {
    let mut publisher = join(router, wire);
    let mut clients = [join(router, wire), join(router, wire)];
    let [mine, other] = [clients[0].session(), clients[1].session()];
    let name = clients[0].authid().to_string();
    for (options, reached) in [
        (json!({ "eligible": [mine] }), [true, false]),
        (json!({ "exclude": [mine] }), [false, true]),
        (json!({ "eligible_authid": [name] }), [true, false]),
        (json!({ "exclude_authid": [name] }), [false, true]),
        (json!({"eligible_authrole": ["staff"]}), [false, false]),
        (json!({"eligible_authrole": ["anonymous"]}), [true, true]),
        (json!({"exclude_authrole": ["anonymous"]}), [false, false]),
        (json!({"eligible": []}), [false, false]),
        (json!({"eligible": [mine, other], "exclude": [other]}), [true, false]),
    ] {
        let topic = uri("eligible");
        let mut options = options.clone();
        options["retain"] = true.into();
        publisher.publish_with(&topic, &options, &body("value"));
        for (client, reached) in clients.iter_mut().zip(reached) {
            let id = client.subscribe_with(&topic, &asking());
            gets(client, id, reached.then_some("value"));
        }
    }
}

fn the_newest_that_one_is_eligible_for(router: &Router, wire: Wire) {
    let topic = uri("eligible");
    let mut publisher = join(router, wire);
    let mut client = join(router, wire);
    retain(&mut publisher, &topic, "all");
    let options = json!({"retain": true, "eligible": [client.session()]});
    publisher.publish_with(&topic, &options, &body("one"));
    let id = client.subscribe_with(&topic, &asking());
    gets(&mut client, id, Some("one"));
    finds(router, wire, &topic, Some("all"));
    client.unsubscribe(id);
    retain(&mut publisher, &topic, "new");
    let id = client.subscribe_with(&topic, &asking());
    gets(&mut client, id, Some("new"));
}

fn the_publisher_itself(router: &Router, wire: Wire) {
    let topic = uri("itself");
    let mut client = join(router, wire);
    retain(&mut client, &topic, "others");
    // It would not have got the event either.
    let id = client.subscribe_with(&topic, &asking());
    gets(&mut client, id, None);
    client.unsubscribe(id);
    client.publish_with(&topic, &json!({"retain": true, "exclude_me": false}), &body("me too"));
    let id = client.subscribe_with(&topic, &asking());
    gets(&mut client, id, Some("me too"));
    finds(router, wire, &topic, Some("me too"));
}

fn each_topic_has_its_own(router: &Router, wire: Wire) {
    let base = uri("own");
    let mut publisher = join(router, wire);
    for end in ["a", "a.b", "ab"] {
        retain(&mut publisher, &format!("{base}.{end}"), end);
    }
    for end in ["a", "a.b", "ab"] {
        finds(router, wire, &format!("{base}.{end}"), Some(end));
    }
    finds(router, wire, &format!("{base}.b"), None);
}

fn options_of_the_wrong_type(router: &Router, wire: Wire) {
    for (code, options) in [
        (16, json!({"retain": 1})),
        (16, json!({"retain": "yes"})),
        (32, json!({"get_retained": 1})),
        (32, json!({"get_retained": []})),
    ] {
        let mut client = join(router, wire);
        client.request(code, &options, &uri("type"), &[]);
        client.expect_abort("wamp.error.protocol_violation");
    }
}

fn refused_publications_are_not_retained(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    for topic in ["wamp.session.on_join", "a..b"] {
        let request = client.request(16, &json!({"retain": true, "acknowledge": true}), topic, &body("no"));
        client.expect_error(16, request, "wamp.error.invalid_uri");
    }
}

const PUBLISHERS: u64 = 4;
const SUBSCRIBERS: usize = 12;

/// Publishers race while subscribers come: behind the retained value, each publisher's events are without gaps.
fn racing_publishers(shards: u16) {
    let router = Router::shared(shards);
    let address = router.address();
    let wire = |index: usize| Wire::all().nth(index % 6).expect("there are six");
    let topic = format!("{}.topic", uri("racing"));
    let (begun, served, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let (topic, begun, stop) = (&topic, &begun, &stop);
            scope.spawn(move || {
                let mut client = Client::join(address, wire(publisher as usize));
                let mut number = 0u64;
                while !stop.load(Ordering::Acquire) {
                    // Two at once, of which the second is waited for.
                    client.request(16, &json!({"retain": true}), topic, &payload(json!([[publisher, number]])));
                    client.publish_with(topic, &json!({"retain": true}), &payload(json!([[publisher, number + 1]])));
                    number += 2;
                    if number == 2 {
                        begun.fetch_add(1, Ordering::Release);
                    }
                }
                client.publish(topic, &payload(json!([[publisher, "end", number]])));
            });
        }
        for index in 0..SUBSCRIBERS {
            let (topic, begun, served) = (&topic, &begun, &served);
            scope.spawn(move || {
                wait_for(begun, PUBLISHERS as usize);
                let mut client = Client::join(address, wire(index));
                let policy = ["exact", "prefix", "wildcard"][index % 3];
                let options = json!({"match": policy, "get_retained": true});
                client.subscribe_with(topic, &options);
                let first = client.event();
                assert_eq!(first.details["retained"], Value::Bool(true));
                served.fetch_add(1, Ordering::Release);
                without_gaps(&mut client, &first.payload);
            });
        }
        wait_for(&served, SUBSCRIBERS);
        thread::sleep(Duration::from_millis(30));
        stop.store(true, Ordering::Release);
    });
}

/// Waits until so many have counted themselves; not for ever, as one of them may have failed.
fn wait_for(counter: &AtomicUsize, count: usize) {
    let start = Instant::now();
    while counter.load(Ordering::Acquire) < count && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Reads until every publisher has ended.
#[track_caller]
fn without_gaps(client: &mut Client, retained: &[Value]) {
    let first = retained[0].list();
    let mut next: HashMap<u64, u64> = HashMap::from([(first[0].uint(), first[1].uint() + 1)]);
    let mut ended = 0;
    while ended < PUBLISHERS {
        let event = client.event();
        assert_ne!(event.details.get("retained"), Some(&Value::Bool(true)), "there is one value only");
        let args = event.payload[0].list();
        let publisher = args[0].uint();
        let number = if args.len() == 3 { &args[2] } else { &args[1] }.uint();
        let expected = next.get(&publisher).copied().unwrap_or(number);
        assert_eq!(number, expected, "of publisher {publisher}, retained was {first:?}");
        next.insert(publisher, number + 1);
        ended += u64::from(args.len() == 3);
    }
}

#[test]
fn racing_publishers_1() {
    racing_publishers(1);
}

#[test]
fn racing_publishers_4() {
    for _ in 0..3 {
        racing_publishers(4);
    }
}
