//! Sharded subscriptions: nodes share out what has a routing key.

use super::{on_every_wire, uri};
use crate::support::client::payload;
use crate::support::{Client, Router, Wire};
use serde_json::{Value as Json, json};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

on_every_wire! {
    the_feature_is_announced,
    all_members_of_one_node,
    every_publisher_chooses_alike,
    keys_are_spread,
    without_a_key_everybody,
    without_nodes_everybody,
    without_a_node_everything,
    each_subscription_chooses_for_itself,
    patterns_have_nodes,
    keys_move_when_their_node_leaves,
    a_new_node_takes_its_own_keys,
    a_node_is_there_while_one_member_is,
    the_first_node_stays,
    another_node_after_unsubscribing,
    the_lists_hold_within_the_node,
    the_publisher_in_the_node,
    keys_are_not_told,
    retained_events_come_to_every_node,
    retained_events_and_then_the_share,
    the_key_of_a_testament,
    keys_must_be_strings,
    long_node_keys,
    null_keys_are_absent,
}

const QUIET: Duration = Duration::from_millis(10);
const KEYS: [&str; 6] = ["", "sn239019", "sn239020", "ключ", "a", "b"];

fn join(router: &Router, wire: Wire) -> Client {
    Client::join(router.address(), wire)
}

fn with_node(node: &str) -> Json {
    json!({ "nkey": node })
}

/// A topic, who publishes to it, and members of its subscription.
struct Group {
    topic: String,
    publisher: Client,
    members: Vec<Client>,
    nodes: Vec<String>,
    id: u64,
}

impl Group {
    /// A member for each of these names of nodes.
    fn new(router: &Router, wire: Wire, nodes: &[&str]) -> Group {
        let (topic, publisher) = (format!("{}.topic", uri("shared")), join(router, wire));
        let mut group = Group { topic, publisher, members: vec![], nodes: vec![], id: 0 };
        nodes.iter().for_each(|node| group.add(router, wire, node));
        group
    }

    fn add(&mut self, router: &Router, wire: Wire, node: &str) {
        let mut member = join(router, wire);
        self.id = member.subscribe_with(&self.topic, &with_node(node));
        self.members.push(member);
        self.nodes.push(node.into());
    }

    /// The members that get a publication with these options, by what comes before a mark for everybody.
    #[track_caller]
    fn reached(&mut self, options: &Json) -> Vec<usize> {
        let publication = self.publisher.publish_with(&self.topic, options, &payload(json!([["share"]])));
        let mark = self.publisher.publish(&self.topic, &[]);
        let mut reached = Vec::new();
        for (index, member) in self.members.iter_mut().enumerate() {
            let mut event = member.event();
            if event.publication == publication {
                reached.push(index);
                event = member.event();
            }
            assert_eq!(event.publication, mark, "member {index}");
        }
        reached
    }

    /// The node that gets what has this key: all of its members, and nobody else.
    #[track_caller]
    fn owner(&mut self, key: &str) -> String {
        let reached = self.reached(&json!({ "rkey": key }));
        let nodes: BTreeSet<&String> = reached.iter().map(|index| &self.nodes[*index]).collect();
        assert_eq!(nodes.len(), 1, "{key:?} reached {nodes:?}");
        let node = self.nodes[reached[0]].clone();
        let whole: Vec<usize> = (0..self.nodes.len()).filter(|index| self.nodes[*index] == node).collect();
        assert_eq!(reached, whole, "{key:?} reached part of {node:?}");
        node
    }

    /// The nodes of some keys.
    #[track_caller]
    fn owners(&mut self) -> HashMap<String, String> {
        (0..12).map(|n| format!("key-{n}")).map(|key| (key.clone(), self.owner(&key))).collect()
    }
}

fn the_feature_is_announced(router: &Router, wire: Wire) {
    let client = join(router, wire);
    for feature in ["sharded_subscription", "shareded_subscriptions"] {
        assert!(client.announced("broker", feature), "{feature}");
    }
}

fn all_members_of_one_node(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "b", "", "a", "b", "", "b"]);
    for key in KEYS {
        let owner = group.owner(key);
        assert_eq!(group.owner(key), owner, "{key:?}");
    }
}

fn every_publisher_chooses_alike(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["x", "y", "z"]);
    let owners: Vec<String> = KEYS.iter().map(|key| group.owner(key)).collect();
    for other in Wire::all() {
        group.publisher = join(router, other);
        assert!(KEYS.iter().zip(&owners).all(|(key, owner)| group.owner(key) == *owner), "{other}");
    }
}

fn keys_are_spread(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["one", "two", "three"]);
    let owners: BTreeSet<String> = (0..30).map(|n| group.owner(&format!("sn{n}"))).collect();
    assert_eq!(owners.len(), 3);
}

fn without_a_key_everybody(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "a", "b"]);
    assert_eq!(group.reached(&json!({})), [0, 1, 2]);
    assert_eq!(group.reached(&json!({"rkey": null})), [0, 1, 2]);
}

fn without_nodes_everybody(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &[]);
    for _ in 0..2 {
        let mut member = join(router, wire);
        member.subscribe(&group.topic);
        group.members.push(member);
    }
    assert_eq!(group.reached(&json!({"rkey": "key"})), [0, 1]);
}

fn without_a_node_everything(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "b"]);
    let mut whole = join(router, wire);
    assert_eq!(whole.subscribe(&group.topic), group.id, "one subscription for all");
    for key in KEYS {
        group.owner(key);
        assert_eq!(whole.event().payload, payload(json!([["share"]])));
        assert!(whole.event().payload.is_empty(), "the mark");
    }
}

fn each_subscription_chooses_for_itself(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "b"]);
    let mut pattern = join(router, wire);
    let prefix = group.topic.strip_suffix("topic").expect("the last component").to_string();
    let id = pattern.subscribe_with(&prefix, &json!({"match": "prefix", "nkey": "c"}));
    for key in KEYS {
        group.owner(key);
        let event = pattern.event();
        assert_eq!((event.subscription, event.payload), (id, payload(json!([["share"]]))), "its only node gets all");
        pattern.event();
    }
}

fn patterns_have_nodes(router: &Router, wire: Wire) {
    for (policy, from, to) in [("prefix", ".topic", "."), ("wildcard", ".topic", ".")] {
        let mut group = Group::new(router, wire, &[]);
        let pattern = group.topic.replace(from, to);
        for node in ["a", "b", "a"] {
            let mut member = join(router, wire);
            member.subscribe_with(&pattern, &json!({"match": policy, "nkey": node}));
            group.members.push(member);
            group.nodes.push(node.into());
        }
        KEYS.iter().for_each(|key| drop(group.owner(key)));
    }
}

fn keys_move_when_their_node_leaves(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "b", "c"]);
    let before = group.owners();
    let gone = before["key-0"].clone();
    let index = group.nodes.iter().position(|node| *node == gone).expect("a node");
    // With UNSUBSCRIBED, nobody chooses it any more.
    group.members[index].unsubscribe(group.id);
    group.members.remove(index);
    group.nodes.remove(index);
    let after = group.owners();
    assert!(before.iter().all(|(key, owner)| *owner == gone || after[key] == *owner), "only its own keys move");
}

fn a_new_node_takes_its_own_keys(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "b"]);
    let before = group.owners();
    // With SUBSCRIBED, everybody chooses it.
    group.add(router, wire, "c");
    let after = group.owners();
    assert!(before.iter().all(|(key, owner)| after[key] == "c" || after[key] == *owner), "no other keys move");
    assert!(after.values().any(|owner| owner == "c"));
}

fn a_node_is_there_while_one_member_is(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "b", "a", "a", "b", "a"]);
    let before = group.owners();
    for left in [3, 2, 1] {
        let index = group.nodes.iter().position(|node| node == "a").expect("a member of it");
        group.members[index].unsubscribe(group.id);
        group.members.remove(index);
        group.nodes.remove(index);
        assert_eq!(group.owners(), before, "{left} are left");
    }
}

fn the_first_node_stays(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "b"]);
    let before = group.owners();
    for options in [with_node("b"), json!({}), with_node("c")] {
        let topic = group.topic.clone();
        assert_eq!(group.members[0].subscribe_with(&topic, &options), group.id);
        assert_eq!(group.owners(), before, "{options}");
    }
    let mut whole = join(router, wire);
    whole.subscribe(&group.topic);
    whole.subscribe_with(&group.topic, &with_node("a"));
    group.members.push(whole);
    for key in KEYS {
        assert!(group.reached(&json!({ "rkey": key })).contains(&2), "it gets everything, as at first");
    }
}

fn another_node_after_unsubscribing(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "a", "b"]);
    group.members[0].unsubscribe(group.id);
    let topic = group.topic.clone();
    group.members[0].subscribe_with(&topic, &with_node("b"));
    group.nodes[0] = "b".into();
    let owners: BTreeSet<String> = group.owners().into_values().collect();
    assert_eq!(owners.len(), 2);
}

fn the_lists_hold_within_the_node(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "a", "b", "b"]);
    let first = if group.owner("key") == "a" { 0 } else { 2 };
    let [excluded, other] = [group.members[first].session(), group.members[2 - first].session()];
    assert_eq!(group.reached(&json!({"rkey": "key", "exclude": [excluded]})), [first + 1]);
    let reached = group.reached(&json!({"rkey": "key", "eligible": [other]}));
    assert!(reached.is_empty(), "the key does not choose again: {reached:?}");
}

fn the_publisher_in_the_node(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let topic = uri("own");
    let id = client.subscribe_with(&topic, &with_node("a"));
    client.request(16, &json!({"rkey": "key"}), &topic, &payload(json!([["excluded"]])));
    client.request(16, &json!({"rkey": "key", "exclude_me": false}), &topic, &payload(json!([["own"]])));
    assert_eq!(client.expect_event(id).1, payload(json!([["own"]])));
}

fn keys_are_not_told(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a"]);
    let topic = group.topic.clone();
    group.publisher.publish_with(&topic, &json!({"rkey": "key"}), &[]);
    assert!(group.members[0].event().details.is_empty());
}

fn retained_events_come_to_every_node(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &[]);
    let topic = group.topic.clone();
    let options = json!({"rkey": "key", "retain": true});
    let publication = group.publisher.publish_with(&topic, &options, &payload(json!([["kept"]])));
    for node in ["a", "b", "c"] {
        let mut member = join(router, wire);
        member.subscribe_with(&topic, &json!({"nkey": node, "get_retained": true}));
        let event = member.event();
        assert_eq!((event.publication, event.details["retained"] == json!(true)), (publication, true));
        group.members.push(member);
        group.nodes.push(node.into());
    }
    KEYS.iter().for_each(|key| drop(group.owner(key)));
}

fn retained_events_and_then_the_share(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a"]);
    let topic = group.topic.clone();
    let mut member = join(router, wire);
    // The second request comes while the first waits for its node, or later.
    for options in [json!({"nkey": "b"}), json!({"get_retained": true})] {
        member.request(32, &options, &topic, &[]);
    }
    for _ in 0..2 {
        member.expect(33);
    }
    group.members.push(member);
    group.nodes.push("b".into());
    KEYS.iter().for_each(|key| drop(group.owner(key)));
}

fn the_key_of_a_testament(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "b", "c"]);
    let owner = group.owner("key");
    let mut dying = join(router, wire);
    let options = |key: Json| json!([[group.topic, [], {}], {"publish_options": {"rkey": key}}]);
    assert_eq!(
        dying.ask("wamp.session.add_testament", &options(json!(1))),
        Err("wamp.error.invalid_argument".to_string())
    );
    dying.ask("wamp.session.add_testament", &options(json!("key"))).expect("accepted");
    dying.leave();
    for (member, node) in group.members.iter_mut().zip(&group.nodes) {
        if *node == owner {
            member.event();
        } else {
            member.expect_silence(QUIET);
        }
    }
}

fn keys_must_be_strings(router: &Router, wire: Wire) {
    let topic = uri("wrong");
    let mut member = join(router, wire);
    let id = member.subscribe(&topic);
    for wrong in [json!(1), json!(true), json!(["a"]), json!({})] {
        let mut client = join(router, wire);
        client.request(32, &json!({ "nkey": wrong }), &topic, &[]);
        client.expect_abort("wamp.error.protocol_violation");
        for acknowledge in [true, false] {
            let mut client = join(router, wire);
            client.request(16, &json!({ "acknowledge": acknowledge, "rkey": wrong }), &topic, &[]);
            client.expect_abort("wamp.error.protocol_violation");
        }
    }
    join(router, wire).publish(&topic, &payload(json!([["right"]])));
    assert_eq!(member.expect_event(id).1, payload(json!([["right"]])), "nothing wrong was published");
}

fn long_node_keys(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let topic = uri("long");
    let request = client.request(32, &with_node(&"x".repeat(257)), &topic, &[]);
    client.expect_error(32, request, "wamp.error.limit_exceeded");
    client.subscribe_with(&topic, &with_node(&"x".repeat(256)));
}

fn null_keys_are_absent(router: &Router, wire: Wire) {
    let mut group = Group::new(router, wire, &["a", "b"]);
    let mut member = join(router, wire);
    member.subscribe_with(&group.topic, &json!({"nkey": null}));
    group.members.push(member);
    for key in KEYS {
        assert!(group.reached(&json!({ "rkey": key })).contains(&2));
    }
}
