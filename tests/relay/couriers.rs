//! Events that are taken to servers, and calls that are answered by them.

use super::support::client::payload;
use super::support::raw::{PATIENCE, header};
use super::support::{Client, Value, Wire, node};
use super::{Behind, behind};
use corebar::auth::config::Secret;
use corebar::config::courier::{AnswerConfig, CourierConfig, Duty, Forward, ForwardConfig};
use corebar::wamp::MatchPolicy;
use serde_json::{Value as Json, json};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

fn courier(id: &str, duty: Duty) -> CourierConfig {
    CourierConfig {
        id: id.into(),
        namespace: "".into(),
        realm: "realm1".into(),
        role: "web".into(),
        duty,
        timeout: PATIENCE,
        concurrency: 1,
        headers: vec![("X-Token".into(), Secret(b"t0ken".as_slice().into()))],
    }
}

fn forward(topic: &str, policy: MatchPolicy, to: &Behind) -> Duty {
    let url = format!("http://{}/events?x=1", to.address).into();
    Duty::Forward(ForwardConfig {
        subscriptions: vec![Forward { topic: topic.into(), policy, url }],
        method: "POST".into(),
        expected: None,
        retries: 2,
        backoff: Duration::from_millis(20),
        backoff_max: Duration::from_millis(40),
        queue_max: 3,
    })
}

/// Waits until so many sessions have the role.
fn wait_for_sessions(client: &mut Client, count: u64) {
    while client.told("wamp.session.count", &json!([[["web"]]])).uint() != count {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until somebody has subscribed to a topic.
fn wait_for_subscriber(client: &mut Client, topic: &str, policy: &str) {
    let arguments = json!([topic, {"match": policy}]);
    while client.told("wamp.subscription.lookup", &json!([arguments])) == Value::Null {
        thread::sleep(Duration::from_millis(5));
    }
}

fn answer(stream: &mut std::net::TcpStream, status: &str) {
    let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(response.as_bytes());
}

#[test]
fn events_are_taken_to_servers() {
    for shards in [1, 4] {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let server = behind(move |_, body, stream| {
            let number: Json = serde_json::from_slice(body).expect("JSON");
            let number = number["args"][0].as_u64().unwrap_or_default();
            match number {
                // Fails twice, and works then.
                1 => {
                    let before = counted.fetch_add(1, Ordering::Relaxed);
                    answer(stream, if before < 2 { "503 Busy" } else { "204 No Content" });
                }
                // Never works.
                2 => answer(stream, "404 Not Found"),
                3 => answer(stream, "500 Wrong"),
                _ => answer(stream, "200 OK"),
            }
        });
        let change = |config: &mut corebar::config::RuntimeConfig| {
            config.shards = Some(shards);
            config.couriers = vec![courier("w.one", forward("com.x.", MatchPolicy::Prefix, &server))];
        };
        node::with_reloader(node::config(change), |address, reloader| {
            let mut client = Client::join(address, Wire::JSON);
            wait_for_subscriber(&mut client, "com.x.", "prefix");
            let publication = client.publish("com.x.é", &payload(json!([[1, "é"], {"k": [null]}])));
            for _ in 0..3 {
                let (head, body) = server.asked();
                assert!(head.starts_with("post /events?x=1 http/1.1\r\n"), "{head}");
                assert_eq!(
                    serde_json::from_slice::<Json>(&body).expect("JSON"),
                    json!({"args": [1, "é"], "kwargs": {"k": [null]}})
                );
                let publication = publication.to_string();
                assert_eq!(header(&head, "x-wamp-publication"), Some(&*publication));
                assert_eq!(header(&head, "idempotency-key"), Some(&*publication));
                assert_eq!(header(&head, "x-wamp-topic"), Some("com.x.%c3%a9"));
                assert_eq!(
                    (header(&head, "content-type"), header(&head, "x-token")),
                    (Some("application/json"), Some("t0ken"))
                );
            }
            // In their order; one that never works is tried once, one that may for as often as is said.
            for number in [2, 3, 4] {
                client.publish("com.x.a", &payload(json!([[number]])));
            }
            let numbers: Vec<u64> = (0..5)
                .map(|_| {
                    let body: Json = serde_json::from_slice(&server.asked().1).expect("JSON");
                    body["args"][0].as_u64().expect("a number")
                })
                .collect();
            assert_eq!(numbers, [2, 3, 3, 3, 4]);
            // A session that is ended comes again, and one that is taken out of the configuration does not.
            client.ask("wamp.session.kill_by_authrole", &json!([["web"]])).expect("a right");
            wait_for_sessions(&mut client, 1);
            wait_for_subscriber(&mut client, "com.x.", "prefix");
            client.publish("com.x.a", &payload(json!([[5]])));
            server.asked();
            reloader.reload(|config| config.couriers.clear()).expect("a good configuration");
            wait_for_sessions(&mut client, 0);
            reloader
                .reload(|config| {
                    config.couriers = vec![courier("w.two", forward("com.y", MatchPolicy::Exact, &server))]
                })
                .expect("a good configuration");
            wait_for_subscriber(&mut client, "com.y", "exact");
            client.publish("com.y", &payload(json!([[6]])));
            assert_eq!(header(&server.asked().0, "x-wamp-topic"), Some("com.y"));
        });
    }
}

#[test]
fn what_servers_say_beyond_their_status_does_not_matter_to_events() {
    let server = behind(|_, body, stream| {
        let number: Json = serde_json::from_slice(body).expect("JSON");
        let (length, said) = match number["args"][0].as_u64() {
            // It breaks off.
            Some(1) => (10, 3),
            // It is too large.
            Some(2) => (3 << 20, 3 << 20),
            _ => (0, 0),
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(&[head.as_bytes(), &vec![b'x'; said]].concat());
    });
    let change = |config: &mut corebar::config::RuntimeConfig| {
        config.couriers = vec![courier("w.one", forward("com.x", MatchPolicy::Exact, &server))];
    };
    node::with_router(change, |address| {
        let mut client = Client::join(address, Wire::JSON);
        wait_for_subscriber(&mut client, "com.x", "exact");
        for number in 1..=3 {
            client.publish("com.x", &payload(json!([[number]])));
        }
        for number in 1..=3 {
            let body: Json = serde_json::from_slice(&server.asked().1).expect("JSON");
            assert_eq!(body["args"][0], number);
        }
    });
}

#[test]
fn events_that_no_server_takes_are_given_up_and_the_router_goes_on() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = Arc::new(std::sync::Mutex::new(wait));
    let server = behind(move |_, _, stream| {
        let _ = wait.lock().expect("a lock").recv();
        answer(stream, "200 OK");
    });
    let change = |config: &mut corebar::config::RuntimeConfig| {
        config.couriers = vec![courier("w.one", forward("com.x", MatchPolicy::Exact, &server))];
    };
    node::with_router(change, |address| {
        let mut client = Client::join(address, Wire::JSON);
        wait_for_subscriber(&mut client, "com.x", "exact");
        client.publish("com.x", &payload(json!([[0]])));
        server.asked();
        // One is on its way and three may wait.
        let mut other = Client::join(address, Wire::JSON);
        other.subscribe("com.x");
        for number in 1..10 {
            client.publish("com.x", &payload(json!([[number]])));
            other.event();
        }
        (0..4).for_each(|_| go.send(()).expect("it waits"));
        for number in 1..=3 {
            let body: Json = serde_json::from_slice(&server.asked().1).expect("JSON");
            assert_eq!(body["args"][0], number);
        }
    });
}

#[test]
fn calls_are_answered_by_servers() {
    let server = behind(|head, body, stream| {
        if head.starts_with("get /api/late") {
            return drop(std::io::Read::read(stream, &mut [0]));
        }
        let text = String::from_utf8_lossy(body).to_uppercase();
        let response = format!(
            "HTTP/1.1 201 Created\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
        let _ = stream.write_all(response.as_bytes());
    });
    let base_url = format!("http://{}/api/", server.address).into();
    for shards in [1, 4] {
        let duty =
            AnswerConfig { procedure: "com.rest".into(), base_url: Box::clone(&base_url), answer_bytes_max: 1000 };
        let change = |config: &mut corebar::config::RuntimeConfig| {
            config.shards = Some(shards);
            let courier = courier("w.rest", Duty::Answer(duty));
            config.couriers = vec![CourierConfig { concurrency: 3, timeout: Duration::from_millis(1500), ..courier }];
        };
        node::with_router(change, |address| {
            let mut client = Client::join(address, Wire::JSON);
            while client.told("wamp.registration.lookup", &json!([["com.rest"]])) == Value::Null {
                thread::sleep(Duration::from_millis(5));
            }
            let told = client.told(
                "com.rest",
                &json!([[], {"method": "POST", "url": "a?b=c", "body": "text", "headers": {"X-A": ["1"], "X-Token": "x"}, "params": {"d": "é"}}]),
            );
            let told = told.dict();
            assert_eq!((told["code"].uint(), told["content"].str()), (201, "TEXT"));
            let twice: Vec<&str> = told["headers"].dict()["x-two"].list().iter().map(|value| value.str()).collect();
            assert_eq!(twice, ["1", "2"]);
            let (head, _) = server.asked();
            assert!(head.starts_with("post /api/a?b=c&d=%c3%a9 http/1.1\r\n"), "{head}");
            assert_eq!((header(&head, "x-a"), header(&head, "x-token")), (Some("1"), Some("t0ken")));
            client.told("com.rest", &json!([["GET", "/other"]]));
            assert!(server.asked().0.starts_with("get /other "));
            for (arguments, error) in [
                (json!([["GET", "http://192.0.2.1/"]]), "wamp.error.invalid_argument"),
                (json!([["GET", "../x"]]), "wamp.error.invalid_argument"),
                (json!([["GET", "x", "body"]]), "wamp.error.invalid_argument"),
                (json!([["POST", "x", "y".repeat(2000)]]), "wamp.error.payload_size_exceeded"),
                (json!([["POST", "x", "y", {"Content-Length": "0"}]]), "wamp.error.invalid_argument"),
                (json!([["POST", "x", "y", {"transfer-encoding": ["chunked"]}]]), "wamp.error.invalid_argument"),
                (json!([["GET", "x", "", {"Host": "internal.example"}]]), "wamp.error.invalid_argument"),
                (json!([["GET", "late"]]), "wamp.error.timeout"),
            ] {
                let refused = client.ask("com.rest", &arguments).expect_err("an error");
                assert_eq!(refused, error, "{arguments}");
            }
        });
        while server.asked.lock().expect("a lock").try_recv().is_ok() {}
    }
}
