//! Event history, in memory and on disk.

use crate::support::client::payload;
use crate::support::router::command;
use crate::support::{Client, Router, Serializer, Transport, Value, Wire};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// For each function, tests that call it with a router that keeps histories and every wire, at 1 and at 4 shards.
macro_rules! with_history {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[test]
            fn shards_1() {
                super::each_wire(crate::SHARDS[0], super::$name);
            }

            #[test]
            fn shards_4() {
                super::each_wire(crate::SHARDS[1], super::$name);
            }
        }
    )*};
}

with_history! {
    the_feature_is_announced,
    events_are_given_in_order,
    an_event_is_whole,
    limits_and_directions,
    by_publication,
    by_time,
    by_topic,
    conditions_are_joined,
    histories_of_patterns,
    nothing_has_been_published,
    subscriptions_without_history,
    events_for_others_are_not_shown,
    events_that_name_sessions_are_not_kept,
    unknown_subscriptions,
    wrong_filters,
    the_oldest_are_forgotten,
}

const PROCEDURE: &str = "wamp.subscription.get_events";
const RULES: [&str; 8] = [
    "--history",
    "prefix:com.hist.",
    "--history",
    "exact:com.exact",
    "--history",
    "wildcard:com..wild",
    "--history-events",
    "20",
];

fn each_wire(shards: u16, test: fn(&Router, Wire)) {
    for wire in Wire::all() {
        let shards = shards.to_string();
        let router = Router::start(&[&RULES[..], &["--shards", &shards, "--no-pin"]].concat());
        test(&router, wire);
        assert_eq!(router.try_wait(), None, "the router still runs ({wire})");
    }
}

fn join(router: &Router, wire: Wire) -> Client {
    Client::join(router.address(), wire)
}

/// The id of the subscription that is there for a history.
#[track_caller]
fn history(client: &mut Client, policy: &str, uri: &str) -> u64 {
    client.told("wamp.subscription.lookup", &json!([[uri, {"match": policy}]])).uint()
}

/// The events that a filter gives.
#[track_caller]
fn events(client: &mut Client, subscription: u64, filter: Json) -> Vec<Value> {
    client.ask(PROCEDURE, &json!([[subscription], filter])).expect("events")
}

fn ids(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event.dict()["publication"].uint()).collect()
}

#[track_caller]
fn found(client: &mut Client, subscription: u64, filter: Json) -> Vec<u64> {
    ids(&events(client, subscription, filter))
}

/// Publishes so many events, which are apart in time, and gives their ids.
fn publish(client: &mut Client, topic: &str, count: usize) -> Vec<u64> {
    let publish = |number| {
        thread::sleep(Duration::from_millis(3));
        client.publish(topic, &payload(json!([[number]])))
    };
    (0..count).map(publish).collect()
}

fn the_feature_is_announced(router: &Router, wire: Wire) {
    let client = join(router, wire);
    assert!(client.announced("broker", "event_history"));
    assert!(client.welcome()["roles"].dict().contains_key("dealer"));
}

fn events_are_given_in_order(router: &Router, wire: Wire) {
    let mut clients = [join(router, wire), join(router, wire), join(router, wire)];
    let published: Vec<u64> =
        (0..15).map(|number| clients[number % 3].publish("com.hist.a", &payload(json!([[number]])))).collect();
    let client = &mut clients[0];
    let id = history(client, "prefix", "com.hist.");
    let events = events(client, id, json!({}));
    assert_eq!(ids(&events), published);
    let numbers: Vec<u64> = events.iter().map(|event| event.dict()["args"].list()[0].uint()).collect();
    assert_eq!(numbers, (0..15).collect::<Vec<_>>());
    let times: Vec<&str> = events.iter().map(|event| event.dict()["timestamp"].str()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

fn an_event_is_whole(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let body = payload(json!([["tøxt", 1.5, null, [1]], {"key": {"deep": true}}]));
    let first = client.publish_with("com.hist.whole", &json!({"disclose_me": true}), &body);
    client.publish("com.hist.whole", &[]);
    let id = history(&mut client, "prefix", "com.hist.");
    // A session of its own sees the same.
    let mut other = join(router, wire);
    let events = events(&mut other, id, json!({}));
    let event = events[0].dict();
    assert_eq!((event["publication"].uint(), event["subscription"].uint()), (first, id));
    assert_eq!((&event["args"], &event["kwargs"]), (&body[0], &body[1]));
    let details = event["details"].dict();
    assert_eq!(details["publisher"].uint(), client.session());
    assert_eq!(details["topic"].str(), "com.hist.whole");
    let time = event["timestamp"].str();
    assert_eq!((time.len(), &time[10..11], &time[19..20], &time[23..]), (24, "T", ".", "Z"), "{time}");
    assert!(!events[1].dict().contains_key("args") && !events[1].dict().contains_key("kwargs"));
}

fn limits_and_directions(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let all = publish(&mut client, "com.hist.a", 6);
    let reversed: Vec<u64> = all.iter().rev().copied().collect();
    let id = history(&mut client, "prefix", "com.hist.");
    assert_eq!(found(&mut client, id, json!({"limit": 2})), all[..2]);
    assert_eq!(found(&mut client, id, json!({"limit": 100})), all);
    assert_eq!(found(&mut client, id, json!({"reverse": true})), reversed);
    assert_eq!(found(&mut client, id, json!({"reverse": false})), all);
    assert_eq!(found(&mut client, id, json!({"reverse": true, "limit": 2})), reversed[..2]);
}

fn by_publication(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let all = publish(&mut client, "com.hist.a", 6);
    let id = history(&mut client, "prefix", "com.hist.");
    assert_eq!(found(&mut client, id, json!({"from_publication": all[2]})), all[2..]);
    assert_eq!(found(&mut client, id, json!({"after_publication": all[2]})), all[3..]);
    assert_eq!(found(&mut client, id, json!({"before_publication": all[2]})), all[..2]);
    assert_eq!(found(&mut client, id, json!({"until_publication": all[2]})), all[..=2]);
    let second = json!({"reverse": true, "limit": 2, "before_publication": all[4]});
    assert_eq!(found(&mut client, id, second), [all[3], all[2]]);
    let unknown = all.iter().max().expect("six ids") - 1;
    if !all.contains(&unknown) {
        assert_eq!(found(&mut client, id, json!({"after_publication": unknown})), [0; 0]);
    }
}

fn by_time(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let all = publish(&mut client, "com.hist.a", 5);
    let id = history(&mut client, "prefix", "com.hist.");
    let events = events(&mut client, id, json!({}));
    let time = events[2].dict()["timestamp"].str();
    assert_eq!(found(&mut client, id, json!({"from_time": time})), all[2..]);
    assert_eq!(found(&mut client, id, json!({"after_time": time})), all[3..]);
    assert_eq!(found(&mut client, id, json!({"before_time": time})), all[..2]);
    assert_eq!(found(&mut client, id, json!({"until_time": time})), all[..=2]);
    assert_eq!(found(&mut client, id, json!({"from_time": "2001-01-01T00:00:00+02:00"})), all);
    assert_eq!(found(&mut client, id, json!({"until_time": "2001-01-01T00:00:00Z"})), [0; 0]);
}

fn by_topic(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let first = publish(&mut client, "com.hist.a", 2);
    let second = publish(&mut client, "com.hist.b", 2);
    let id = history(&mut client, "prefix", "com.hist.");
    assert_eq!(found(&mut client, id, json!({"topic": "com.hist.a"})), first);
    assert_eq!(found(&mut client, id, json!({"topic": "com.hist.b"})), second);
    assert_eq!(found(&mut client, id, json!({"topic": "com.hist.c"})), [0; 0]);
}

fn conditions_are_joined(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let all: Vec<u64> = (0..8).map(|number| client.publish(["com.hist.a", "com.hist.b"][number % 2], &[])).collect();
    let id = history(&mut client, "prefix", "com.hist.");
    let filter = json!({"topic": "com.hist.a", "after_publication": all[0], "until_publication": all[6], "limit": 2,
        "reverse": true, "from_time": "2001-01-01T00:00:00Z"});
    assert_eq!(found(&mut client, id, filter), [all[6], all[4]]);
    assert_eq!(found(&mut client, id, json!({"from_publication": all[5], "before_publication": all[5]})), [0; 0]);
}

fn histories_of_patterns(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let both = client.publish("com.hist.wild", &[]);
    client.publish("com.histories", &[]);
    let wild = client.publish("com.other.wild", &[]);
    let exact = client.publish("com.exact", &[]);
    client.publish("com.exact.not", &[]);
    for (policy, uri, expected) in [
        ("prefix", "com.hist.", &[both][..]),
        ("wildcard", "com..wild", &[both, wild]),
        ("exact", "com.exact", &[exact]),
    ] {
        let id = history(&mut client, policy, uri);
        assert_eq!(found(&mut client, id, json!({})), expected, "{policy}:{uri}");
    }
    let id = history(&mut client, "exact", "com.exact");
    let events = events(&mut client, id, json!({}));
    assert_eq!(client.subscribe("com.exact"), id, "subscribers get the same id");
    assert!(events[0].dict()["details"].dict().is_empty());
}

fn nothing_has_been_published(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let id = history(&mut client, "prefix", "com.hist.");
    assert_eq!(found(&mut client, id, json!({})), [0; 0]);
}

fn subscriptions_without_history(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let id = client.subscribe("com.unkept");
    join(router, wire).publish("com.unkept", &[]);
    client.expect_event(id);
    assert_eq!(found(&mut client, id, json!({})), [0; 0]);
}

fn events_for_others_are_not_shown(router: &Router, wire: Wire) {
    let (mut me, mut other) = (join(router, wire), join(router, wire));
    let authid = me.authid().to_string();
    let mut publisher = join(router, wire);
    let mut send = |options: Json| publisher.publish_with("com.hist.a", &options, &[]);
    let mine = send(json!({"eligible_authid": [authid]}));
    let others = send(json!({"exclude_authid": [authid]}));
    send(json!({"eligible_authrole": ["admin"]}));
    let all = send(json!({"eligible_authrole": ["admin", "anonymous"]}));
    send(json!({"exclude_authrole": ["anonymous"]}));
    let id = history(&mut me, "prefix", "com.hist.");
    assert_eq!(found(&mut me, id, json!({})), [mine, all]);
    assert_eq!(found(&mut other, id, json!({})), [others, all]);
    // A limit counts what is shown.
    assert_eq!(found(&mut me, id, json!({"limit": 1, "reverse": true})), [all]);
}

fn events_that_name_sessions_are_not_kept(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let session = client.session();
    client.publish_with("com.hist.a", &json!({"eligible": [session]}), &[]);
    client.publish_with("com.hist.a", &json!({"exclude": [session + 1]}), &[]);
    client.publish_with("com.hist.a", &json!({"exclude": []}), &[]);
    let own = client.publish_with("com.hist.a", &json!({"exclude_me": true}), &[]);
    let id = history(&mut client, "prefix", "com.hist.");
    assert_eq!(found(&mut client, id, json!({})), [own]);
}

fn unknown_subscriptions(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    for id in [1_000_000_007_u64, 1 << 53] {
        let answer = client.ask(PROCEDURE, &json!([[id]]));
        assert_eq!(answer, Err("wamp.error.no_such_subscription".into()));
    }
}

fn wrong_filters(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let id = history(&mut client, "prefix", "com.hist.");
    for filter in [
        json!({"reverse": 1}),
        json!({"limit": "1"}),
        json!({"limit": -1}),
        json!({"limit": 0}),
        json!({"from_time": "yesterday"}),
        json!({"after_time": 1}),
        json!({"before_time": "2001-01-01"}),
        json!({"until_time": []}),
        json!({"topic": 1}),
        json!({"from_publication": "1"}),
        json!({"after_publication": -1}),
        json!({"before_publication": {}}),
        json!({"until_publication": true}),
    ] {
        let answer = client.ask(PROCEDURE, &json!([[id], filter]));
        assert_eq!(answer, Err("wamp.error.invalid_argument".into()), "{filter}");
    }
    for args in [json!([]), json!([[]]), json!([["x"]]), json!([[-1]])] {
        let answer = client.ask(PROCEDURE, &args);
        assert_eq!(answer, Err("wamp.error.invalid_argument".into()), "{args}");
    }
}

fn the_oldest_are_forgotten(router: &Router, wire: Wire) {
    let mut client = join(router, wire);
    let all: Vec<u64> = (0..25).map(|_| client.publish("com.hist.a", &[])).collect();
    let id = history(&mut client, "prefix", "com.hist.");
    assert_eq!(found(&mut client, id, json!({})), all[5..]);
    assert_eq!(found(&mut client, id, json!({"from_publication": all[4]})), [0; 0]);
}

/// A folder for a history file, deleted at the end of its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("corebar-history-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new folder");
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("history.redb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const JSON: Wire = Wire { transport: Transport::WebSocket, serializer: Serializer::Json };

fn on_disk(file: &Path, shards: u16, more: &[&str]) -> Router {
    let (file, shards) = (file.to_str().expect("a path in text"), shards.to_string());
    Router::start(&[&RULES[..], &["--shards", &shards, "--no-pin", "--history-store", file], more].concat())
}

/// Every history, without the ids of subscriptions, which belong to a process.
fn everything(client: &mut Client) -> Vec<Vec<Value>> {
    let histories = [("prefix", "com.hist."), ("wildcard", "com..wild"), ("exact", "com.exact")];
    let without = |event: Value| {
        let mut event = event.dict().clone();
        event.remove("subscription");
        Value::Dict(event)
    };
    let read = |(policy, uri)| {
        let id = history(client, policy, uri);
        events(client, id, json!({})).into_iter().map(without).collect()
    };
    histories.map(read).into()
}

#[test]
fn acknowledged_events_survive_a_kill() {
    for shards in crate::SHARDS {
        let folder = Folder::new();
        let router = on_disk(&folder.file(), shards, &["--history-sync"]);
        for wire in Wire::all() {
            let mut client = join(&router, wire);
            let body = payload(json!([["tøxt", 1.5], {"key": null}]));
            client.publish_with("com.hist.wild", &json!({"disclose_me": true}), &body);
            client.publish("com.exact", &[]);
        }
        let authid = join(&router, JSON).authid().to_string();
        let options = json!({"eligible_authrole": ["admin"], "exclude_authid": [authid]});
        join(&router, JSON).publish_with("com.hist.wild", &options, &[]);
        let before = everything(&mut join(&router, JSON));
        assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 8]);
        router.signal("KILL");
        router.wait(Duration::from_secs(5));
        // The number of shards may change, and with it where everything has its home.
        for shards in [shards, 5 - shards] {
            let router = on_disk(&folder.file(), shards, &["--history-sync"]);
            assert_eq!(everything(&mut join(&router, JSON)), before);
            router.signal("KILL");
            router.wait(Duration::from_secs(5));
        }
        let router = on_disk(&folder.file(), shards, &[]);
        let mut client = join(&router, JSON);
        let more = client.publish("com.exact", &[]);
        let id = history(&mut client, "exact", "com.exact");
        assert_eq!(found(&mut client, id, json!({"limit": 1, "reverse": true})), [more]);
        assert_eq!(found(&mut client, id, json!({})).len(), 9, "new events follow the old ones");
    }
}

/// Publishers that write all the time lose nothing that was acknowledged, whenever the router is killed.
#[test]
fn a_kill_in_the_middle_loses_nothing_acknowledged() {
    let folder = Folder::new();
    let limits = ["--history-sync", "--history-events", "1000000"];
    let mut acknowledged = Vec::new();
    for round in 0..3_u64 {
        let rules = ["--history", "prefix:com.hist.", "--shards", "4", "--no-pin", "--history-store"];
        let file = folder.file();
        let router = Router::start(&[&rules[..], &[file.to_str().expect("text")], &limits].concat());
        let mut client = join(&router, JSON);
        let id = history(&mut client, "prefix", "com.hist.");
        let kept = found(&mut client, id, json!({}));
        let lost = acknowledged.iter().filter(|id| !kept.contains(id)).count();
        assert_eq!(lost, 0, "of {} in round {round}", acknowledged.len());
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let mut client = join(&router, JSON);
                thread::spawn(move || write_until_the_end(&mut client))
            })
            .collect();
        thread::sleep(Duration::from_millis(150 + 70 * round));
        router.signal("KILL");
        for writer in writers {
            acknowledged.extend(writer.join().expect("a publisher ends with the router"));
        }
        router.wait(Duration::from_secs(5));
    }
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
}

/// Publishes one event after the other and gives the ids of those that were acknowledged.
fn write_until_the_end(client: &mut Client) -> Vec<u64> {
    let mut ids = Vec::new();
    loop {
        let request = client.next();
        let message = Value::from(json!([16, request, {"acknowledge": true}, "com.hist.a", ["x"]]));
        if !client.try_send(message) {
            return ids;
        }
        match client.poll(Duration::from_secs(20)) {
            crate::support::client::Incoming::Message(message) => {
                assert_eq!(message[0].uint(), 17, "{message:?}");
                ids.push(message[2].uint());
            }
            _ => return ids,
        }
    }
}

#[test]
fn without_sync_events_follow_soon_and_at_the_end() {
    let folder = Folder::new();
    let router = on_disk(&folder.file(), 4, &[]);
    let mut client = join(&router, JSON);
    let first = client.publish("com.exact", &[]);
    thread::sleep(Duration::from_secs(1));
    router.signal("KILL");
    router.wait(Duration::from_secs(5));
    let router = on_disk(&folder.file(), 4, &[]);
    let mut client = join(&router, JSON);
    let id = history(&mut client, "exact", "com.exact");
    assert_eq!(found(&mut client, id, json!({})), [first]);
    let second = client.publish("com.exact", &[]);
    client.leave();
    router.signal("TERM");
    router.wait(Duration::from_secs(10));
    let router = on_disk(&folder.file(), 4, &[]);
    let mut client = join(&router, JSON);
    let id = history(&mut client, "exact", "com.exact");
    assert_eq!(found(&mut client, id, json!({})), [first, second]);
}

#[test]
fn a_bad_file_is_refused_in_one_line() {
    let folder = Folder::new();
    std::fs::write(folder.file(), "no history at all").expect("a file");
    let file = folder.file();
    let file = file.to_str().expect("text");
    let arguments = ["--listen", "127.0.0.1:0", "--history", "exact:a", "--history-store", file];
    let output = command(&arguments).output().expect("the router can be started");
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("corebar: the history file {file}: is not a history file of Corebar\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
}

/// A file that must not grow stands for a disk that is full.
#[test]
fn a_full_disk_is_told_and_the_router_goes_on() {
    let folder = Folder::new();
    drop(on_disk(&folder.file(), 1, &[]));
    let program = command(&[]).get_program().to_os_string();
    let mut shell = std::process::Command::new("sh");
    // 16 MiB in blocks of 512 octets; some shells count in 1024.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 32768; exec \"$0\" \"$@\""]).arg(program);
    shell.args(["--listen", "127.0.0.1:0", "--shards", "2", "--no-pin", "--history-sync", "--history-store"]);
    shell.arg(folder.file()).args(["--history", "exact:com.hist.big", "--history-bytes", "1000000000"]);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let router = Router::run(shell);
    let mut client = join(&router, JSON);
    let text = "x".repeat(1_000_000);
    let mut kept = Vec::new();
    let error = loop {
        let request = client.next();
        client.send(json!([16, request, {"acknowledge": true}, "com.hist.big", [text]]));
        let answer = client.recv();
        match answer[0].uint() {
            17 => kept.push(answer[2].uint()),
            _ => break answer,
        }
        assert!(kept.len() < 60, "the file has grown beyond its limit");
    };
    assert_eq!((error[0].uint(), error[1].uint(), error[4].str()), (8, 16, "wamp.error.internal_error"));
    assert!(error[3].dict()["message"].str().contains("history"), "{error:?}");
    // What is not for the disk works as ever, and so does the session.
    client.publish("com.other", &[]);
    let id = history(&mut client, "exact", "com.hist.big");
    let known = found(&mut client, id, json!({}));
    assert_eq!(known[..kept.len()], kept);
    router.signal("KILL");
    router.wait(Duration::from_secs(5));
    let router = Router::start(&[
        "--history",
        "exact:com.hist.big",
        "--history-bytes",
        "1000000000",
        "--history-store",
        folder.file().to_str().expect("text"),
    ]);
    let mut client = join(&router, JSON);
    let id = history(&mut client, "exact", "com.hist.big");
    // What was refused may be there all the same.
    let after = found(&mut client, id, json!({}));
    assert!(!kept.is_empty() && after.starts_with(&kept), "{after:?} in place of {kept:?}");
}
