//! Testaments: what the router publishes for a session that has gone.

use super::{on_every_wire, uri};
use crate::support::client::payload;
use crate::support::{Client, Router, Value, Wire};
use serde_json::{Value as Json, json};
use std::time::Duration;

on_every_wire! {
    the_feature_is_announced,
    published_when_the_connection_is_lost,
    published_on_goodbye,
    published_on_abort,
    published_when_killed,
    nothing_before_the_end,
    published_once,
    many_in_order,
    detached_before_destroyed,
    destroyed_is_the_default,
    flushing_one_scope,
    flushing_everything,
    flushing_nothing,
    added_again_after_flushing,
    each_session_has_its_own,
    options_hold,
    disclosed_and_to_patterns,
    payload_of_any_shape,
    payload_on_every_wire,
    the_publisher_does_not_hear_it,
    wrong_arguments,
    topics_are_checked,
}

const ADD: &str = "wamp.session.add_testament";
const FLUSH: &str = "wamp.session.flush_testaments";
const QUIET: Duration = Duration::from_millis(15);

/// A session that is to go, and one that hears of it.
fn pair(router: &Router, wire: Wire) -> (Client, Client, String) {
    let topic = format!("{}.topic", uri("testament"));
    let mut heir = Client::join(router.address(), wire);
    heir.subscribe(&topic);
    (Client::join(router.address(), wire), heir, topic)
}

#[track_caller]
fn add(client: &mut Client, topic: &str, text: &str, kwargs: Json) {
    client.ask(ADD, &json!([[topic, [text], {}], kwargs])).expect("it can be added");
}

#[track_caller]
fn flush(client: &mut Client, kwargs: Json) {
    client.ask(FLUSH, &json!([[], kwargs])).expect("they can be flushed");
}

/// The next events must have these texts.
#[track_caller]
fn hears(heir: &mut Client, texts: &[&str]) {
    for text in texts {
        assert_eq!(heir.event().payload[0], json!([text]));
    }
}

/// No event comes until another session has published here.
#[track_caller]
fn hears_nothing(router: &Router, heir: &mut Client, topic: &str) {
    heir.expect_silence(QUIET);
    let mut other = Client::join(router.address(), heir.wire());
    let publication = other.publish(topic, &[]);
    assert_eq!(heir.event().publication, publication);
}

fn the_feature_is_announced(router: &Router, wire: Wire) {
    assert!(Client::join(router.address(), wire).announced("dealer", "testament_meta_api"));
}

fn published_when_the_connection_is_lost(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    client.ask(ADD, &json!([[topic, ["Seeya!"], {"my_name": "app1"}]])).expect("it can be added");
    drop(client);
    assert_eq!(heir.event().payload, payload(json!([["Seeya!"], {"my_name": "app1"}])));
}

fn published_on_goodbye(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    add(&mut client, &topic, "bye", json!({}));
    client.leave();
    hears(&mut heir, &["bye"]);
}

fn published_on_abort(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    add(&mut client, &topic, "violated", json!({}));
    client.send(json!([50, 1, {}]));
    client.expect_abort("wamp.error.protocol_violation");
    hears(&mut heir, &["violated"]);
}

fn published_when_killed(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    add(&mut client, &topic, "killed", json!({}));
    let mut admin = Client::join(router.address(), wire);
    admin.ask("wamp.session.kill", &json!([[client.session()]])).expect("it can be killed");
    client.expect(6);
    client.send(json!([6, {}, "wamp.close.goodbye_and_out"]));
    hears(&mut heir, &["killed"]);
}

fn nothing_before_the_end(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    add(&mut client, &topic, "later", json!({}));
    hears_nothing(router, &mut heir, &topic);
    client.leave();
    hears(&mut heir, &["later"]);
}

fn published_once(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    add(&mut client, &topic, "once", json!({}));
    client.send(json!([6, {}, "wamp.close.close_realm"]));
    client.expect(6);
    hears(&mut heir, &["once"]);
    // Another session on the same connection has none.
    client.hello(json!({"roles": {"caller": {}}}));
    client.leave();
    hears_nothing(router, &mut heir, &topic);
}

fn many_in_order(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    let texts: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    for text in &texts {
        add(&mut client, &topic, text, json!({}));
    }
    // The same one twice is two.
    add(&mut client, &topic, "19", json!({}));
    drop(client);
    let texts: Vec<&str> = texts.iter().map(String::as_str).chain(["19"]).collect();
    hears(&mut heir, &texts);
}

fn detached_before_destroyed(router: &Router, wire: Wire) {
    for in_order in [true, false] {
        let (mut client, mut heir, topic) = pair(router, wire);
        for (text, scope) in
            [("c", "destroyed"), ("a", "detached"), ("d", "destroyed"), ("b", "detached"), ("e", "destroyed")]
        {
            add(&mut client, &topic, text, json!({ "scope": scope }));
        }
        if in_order {
            client.leave();
        } else {
            drop(client);
        }
        hears(&mut heir, &["a", "b", "c", "d", "e"]);
    }
}

fn destroyed_is_the_default(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    add(&mut client, &topic, "default", json!({}));
    add(&mut client, &topic, "null", json!({"scope": null, "publish_options": null}));
    add(&mut client, &topic, "first", json!({"scope": "detached"}));
    client.leave();
    hears(&mut heir, &["first", "default", "null"]);
}

fn flushing_one_scope(router: &Router, wire: Wire) {
    for (kwargs, left) in [
        (json!({"scope": "detached"}), "destroyed"),
        (json!({"scope": "destroyed"}), "detached"),
        (json!({}), "detached"),
    ] {
        let (mut client, mut heir, topic) = pair(router, wire);
        for scope in ["detached", "destroyed", "destroyed", "detached"] {
            add(&mut client, &topic, scope, json!({ "scope": scope }));
        }
        flush(&mut client, kwargs);
        client.leave();
        hears(&mut heir, &[left, left]);
        hears_nothing(router, &mut heir, &topic);
    }
}

fn flushing_everything(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    for scope in ["detached", "destroyed"] {
        add(&mut client, &topic, scope, json!({ "scope": scope }));
    }
    for scope in ["detached", "destroyed"] {
        flush(&mut client, json!({ "scope": scope }));
    }
    drop(client);
    hears_nothing(router, &mut heir, &topic);
}

fn flushing_nothing(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    client.ask(FLUSH, &json!([])).expect("there is nothing to flush");
    flush(&mut client, json!({"scope": "detached"}));
    client.leave();
}

fn added_again_after_flushing(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    add(&mut client, &topic, "old", json!({}));
    flush(&mut client, json!({}));
    add(&mut client, &topic, "new", json!({}));
    client.leave();
    hears(&mut heir, &["new"]);
}

fn each_session_has_its_own(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    let mut other = Client::join(router.address(), wire);
    add(&mut client, &topic, "mine", json!({}));
    add(&mut other, &topic, "theirs", json!({}));
    flush(&mut client, json!({}));
    client.leave();
    hears_nothing(router, &mut heir, &topic);
    other.leave();
    hears(&mut heir, &["theirs"]);
}

fn options_hold(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    let mut other = Client::join(router.address(), wire);
    other.subscribe(&topic);
    let ids = [heir.session(), other.session()];
    add(&mut client, &topic, "others", json!({"publish_options": {"exclude": [ids[0]]}}));
    add(&mut client, &topic, "heir", json!({"publish_options": {"eligible": [ids[0]], "acknowledge": true}}));
    add(&mut client, &topic, "nobody", json!({"publish_options": {"eligible_authrole": ["staff"]}}));
    add(&mut client, &topic, "all", json!({"publish_options": {}}));
    drop(client);
    hears(&mut heir, &["heir", "all"]);
    hears(&mut other, &["others", "all"]);
}

fn disclosed_and_to_patterns(router: &Router, wire: Wire) {
    let (mut client, _, topic) = pair(router, wire);
    let mut heir = Client::join(router.address(), wire);
    heir.subscribe_with(&topic, &json!({"match": "prefix"}));
    add(&mut client, &topic, "me", json!({"publish_options": {"disclose_me": true}}));
    let (session, authid) = (client.session(), client.authid().to_string());
    drop(client);
    let details = heir.event().details;
    assert_eq!((details["topic"].str(), details["publisher"].uint()), (&topic[..], session));
    assert_eq!((details["publisher_authid"].str(), details["publisher_authrole"].str()), (&authid[..], "anonymous"));
}

fn payload_of_any_shape(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    let bodies =
        [json!([[1, "two", 3.5, null], {}]), json!([[], {"a": {"b": [true]}}]), json!([[[[]], {}], {"": "", "α": -1}])];
    for body in &bodies {
        let mut args = vec![json!(topic)];
        args.extend(body.as_array().expect("a list").iter().cloned());
        client.ask(ADD, &json!([args])).expect("it can be added");
    }
    drop(client);
    for body in bodies {
        let got = heir.event().payload;
        assert_eq!(got[0], body[0]);
        // Empty keyword arguments may be left out.
        assert_eq!(got.get(1).cloned().unwrap_or(json!({}).into()), body.get(1).cloned().unwrap_or(json!({})));
    }
}

fn payload_on_every_wire(router: &Router, wire: Wire) {
    let topic = uri("every_wire");
    let mut heirs: Vec<Client> = Wire::all().map(|wire| Client::join(router.address(), wire)).collect();
    for heir in &mut heirs {
        heir.subscribe(&topic);
    }
    let mut client = Client::join(router.address(), wire);
    let args = json!([1, -2, 1.5, "three\"\\", null, [true, {}], "\0AP8Q4Q=="]);
    client.ask(ADD, &json!([[topic, args, {"k": "\0AAA="}]])).expect("it can be added");
    drop(client);
    for heir in &mut heirs {
        assert_eq!(heir.event().payload, [args.clone(), json!({"k": "\0AAA="})].map(Value::from), "{}", heir.wire());
    }
}

fn the_publisher_does_not_hear_it(router: &Router, wire: Wire) {
    let (mut client, mut heir, topic) = pair(router, wire);
    client.subscribe(&topic);
    add(&mut client, &topic, "bye", json!({"publish_options": {"exclude_me": false}}));
    // The answer to GOODBYE is the next message.
    client.leave();
    hears(&mut heir, &["bye"]);
}

fn wrong_arguments(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    let topic = uri("wrong");
    for (procedure, payload) in [
        (ADD, json!([])),
        (ADD, json!([[]])),
        (ADD, json!([[1, [], {}]])),
        (ADD, json!([[topic, "args", {}]])),
        (ADD, json!([[topic, [], []]])),
        (ADD, json!([[topic, [], {}], {"scope": "forever"}])),
        (ADD, json!([[topic, [], {}], {"scope": 1}])),
        (ADD, json!([[topic, [], {}], {"publish_options": 1}])),
        (ADD, json!([[topic, [], {}], {"publish_options": {"eligible": "all"}}])),
        (FLUSH, json!([[], {"scope": "forever"}])),
        (FLUSH, json!([[], {"scope": []}])),
    ] {
        assert_eq!(client.ask(procedure, &payload), Err("wamp.error.invalid_argument".into()), "{procedure}{payload}");
    }
}

fn topics_are_checked(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    for topic in ["", "a b", "a..b", "wamp.session.on_leave"] {
        assert_eq!(client.ask(ADD, &json!([[topic, [], {}]])), Err("wamp.error.invalid_uri".into()), "{topic:?}");
    }
}
