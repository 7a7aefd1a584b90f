//! The configurations of Crossbar.io's examples, shortened to what is needed, between processes.

use super::support::Router;
use super::support::directory::Directory;
use super::{SOON, hops, next, registered, run, subscribed, until};
use corebar::client::{Connect, Session};
use serde_json::{Value, json};

fn everything(name: &str) -> Value {
    json!({"name": name, "permissions": [{"uri": "", "match": "prefix",
        "allow": {"call": true, "register": true, "publish": true, "subscribe": true},
        "disclose": {"caller": true, "publisher": true}, "cache": true}]})
}

fn web(port: u16) -> Value {
    json!({"type": "web", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": port},
        "paths": {"/": {"type": "nodeinfo"}, "ws": {"type": "websocket"}}})
}

async fn join(router: &Router) -> Session {
    let connect = Connect::new(&format!("ws://{}/ws", router.address()), "realm1");
    connect.open().await.expect("a session")
}

/// The links of a node, as `corebar status` tells of them.
fn status(directory: &Directory) -> Vec<Value> {
    let output = directory.output("status", &["--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("a status");
    told["details"]["links"].as_array().cloned().unwrap_or_default()
}

async fn up(directory: &Directory, count: usize) {
    until(async || {
        let links = status(directory);
        links.len() == count && links.iter().all(|link| link["up"] == true)
    })
    .await;
}

/// A node of `rlinks/_work`: two behind the first one, and two behind the second.
fn tree(node: usize, port: u16, to: Option<(usize, u16)>) -> String {
    let links: Vec<Value> = to
        .into_iter()
        .map(|(other, port)| {
            json!({"id": format!("rlink_{node}_{other}"), "realm": "realm1", "transport": {"type": "websocket",
                "endpoint": {"type": "tcp", "host": "localhost", "port": port},
                "url": format!("ws://localhost:{port}/ws")}, "options": {"retry_delay": 0.05, "retry_delay_max": 0.2}})
        })
        .collect();
    let realm = json!({"name": "realm1", "roles": [everything("anonymous")], "rlinks": links});
    json!({"version": 2, "controller": {"id": format!("node00{node}"), "fabric": {"transport": null}},
        "workers": [{"type": "router", "realms": [realm], "transports": [web(port)]}]})
    .to_string()
}

#[test]
fn a_tree_of_nodes_survives_the_death_of_its_root() {
    run(async {
        let root = Directory::new("tree1", &tree(1, 0, None));
        let mut first = root.start();
        let port = first.address().port();
        let second = Directory::new("tree2", &tree(2, 0, Some((1, port))));
        let middle = second.start();
        let third = Directory::new("tree3", &tree(3, 0, Some((1, port))));
        let other = third.start();
        let fourth = Directory::new("tree4", &tree(4, 0, Some((2, middle.address().port()))));
        let leaf = fourth.start();
        for directory in [&second, &third, &fourth] {
            up(directory, 1).await;
        }
        let (leaf, other) = (join(&leaf).await, join(&other).await);
        let mut events = leaf.listen("com.topic").open().await.expect("subscribed");
        let _offer = leaf.offer("com.offer").handle(async |a: i64| a + 1).await.expect("registered");
        for round in 0..2 {
            subscribed(&other, "com.topic", "exact", true).await;
            registered(&other, "com.offer", true).await;
            assert_eq!(other.ask("com.offer").arg(round).result::<i64>().await, Ok(round + 1));
            other.event("com.topic").arg(round).disclosed().acknowledged().await.expect("published");
            let event = next(&mut events).await;
            assert_eq!((event.arg::<i64>(0), hops(event.forward_for())), (Ok(round), 3));
            let who = event.forward_for()[0].as_dict().and_then(|who| who.uint("session").ok().flatten());
            assert_eq!(who, Some(other.id().get()));
            if round == 0 {
                first.signal("KILL");
                first.wait(SOON);
                until(async || status(&third).iter().all(|link| link["up"] == false && link["why"].is_string())).await;
                registered(&other, "com.offer", false).await;
                root.write(&tree(1, port, None));
                first = root.start();
                for directory in [&second, &third] {
                    up(directory, 1).await;
                }
            }
        }
        let text = String::from_utf8(fourth.output("status", &[]).stdout).expect("text");
        assert!(text.contains("link rlink_4_2 of realm realm1 to ws://localhost:"), "{text}");
        drop(first);
    });
}

/// A node of `rlinks/ha_setup`: each brings what is published and offered by the others, and shows them its key.
fn cluster(node: usize, keys: &[String], socket: impl Fn(usize) -> String) -> String {
    let others = (1..=keys.len()).filter(|other| *other != node);
    let links: Vec<Value> = others
        .map(|other| {
            json!({"id": format!("rlink_{node}_{other}"), "realm": "realm1", "transport": {"type": "rawsocket",
                "endpoint": {"type": "unix", "path": socket(other)}, "url": "rs://localhost", "serializer": "cbor"},
                "forward_local_events": false, "forward_remote_events": true,
                "forward_local_invocations": false, "forward_remote_invocations": true,
                "options": {"retry_delay": 0.05, "retry_delay_max": 0.2}})
        })
        .collect();
    let principals: serde_json::Map<String, Value> = keys
        .iter()
        .enumerate()
        .map(|(at, key)| {
            let who = json!({"realm": "realm1", "role": "router2router", "authorized_keys": [key]});
            (format!("node{}", at + 1), who)
        })
        .collect();
    let realm =
        json!({"name": "realm1", "roles": [everything("anonymous"), everything("router2router")], "rlinks": links});
    let inner = json!({"type": "rawsocket", "endpoint": {"type": "unix", "path": socket(node)},
        "options": {"max_message_size": 1_048_576}, "serializers": ["cbor"],
        "auth": {"cryptosign": {"type": "static", "principals": principals}}});
    json!({"version": 2, "workers": [{"type": "router", "realms": [realm], "transports": [web(0), inner]}]}).to_string()
}

#[test]
fn a_cluster_knows_its_nodes_by_their_keys() {
    run(async {
        let directories = [1, 2, 3].map(|node| Directory::new(&format!("cluster{node}"), "{}"));
        let key = |directory: &Directory| {
            let output = directory.output("keys", &[]);
            String::from_utf8(output.stdout).expect("text").trim().to_owned()
        };
        let keys: Vec<String> = directories.iter().map(key).collect();
        let socket = |node: usize| directories[node - 1].path("edge.sock").to_str().expect("text").to_owned();
        for (at, directory) in directories.iter().enumerate() {
            directory.write(&cluster(at + 1, &keys, socket));
        }
        let routers = directories.each_ref().map(Directory::start);
        for directory in &directories {
            up(directory, 2).await;
        }
        let sessions = [join(&routers[0]).await, join(&routers[1]).await, join(&routers[2]).await];
        let mut events = sessions[0].listen("com.topic").open().await.expect("subscribed");
        let _offer = sessions[0].offer("com.offer").handle(async || 7_i64).await.expect("registered");
        for session in &sessions[1..] {
            subscribed(session, "com.topic", "exact", true).await;
            registered(session, "com.offer", true).await;
        }
        for session in &sessions[1..] {
            assert_eq!(session.ask("com.offer").result::<i64>().await, Ok(7));
            for number in 0..20 {
                session.event("com.topic").arg(number).acknowledged().await.expect("published");
                let event = next(&mut events).await;
                assert_eq!((event.arg::<i64>(0), hops(event.forward_for())), (Ok(number), 1));
            }
        }
        drop(events);
        for session in &sessions {
            subscribed(session, "com.topic", "exact", false).await;
        }
    });
}

/// `rlinks/smp_setup`: workers of one node, linked to use several cores. They are one here.
#[test]
fn workers_that_are_one_need_no_links() {
    let worker = |number: usize| {
        let other = 3 - number;
        let link = json!({"id": format!("rlink_{number}_{other}"), "realm": "realm1", "transport": {"type": "rawsocket",
            "endpoint": {"type": "unix", "path": format!("edge{other}.sock")}, "url": "rs://localhost",
            "serializer": "cbor"}, "forward_local_events": false, "forward_remote_events": true});
        let shared = json!({"type": "web", "endpoint": {"type": "tcp", "port": 8080, "shared": true},
            "paths": {"/": {"type": "nodeinfo"}, "ws": {"type": "websocket"}}});
        let own = json!({"type": "rawsocket", "endpoint": {"type": "unix", "path": format!("edge{number}.sock")},
            "serializers": ["cbor"], "auth": {"anonymous": {"type": "static", "role": "router2router"}}});
        let realm = json!({"name": "realm1", "roles": [everything("anonymous"), everything("router2router")],
            "rlinks": [link]});
        json!({"type": "router", "realms": [realm], "transports": [own, shared]})
    };
    let config = json!({"version": 2, "workers": [worker(1), worker(2)]}).to_string();
    let directory = Directory::new("smp", &config);
    let output = directory.output("check", &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("leads to this node"), "{text}");
}
