//! Applications that are asked over HTTP who a client is.

mod support;

use corebar::auth::config::{Callout, Dynamic, Secret, Source};
use corebar::config::RuntimeConfig;
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Client, Wire, node};

const DENIED: &str = "wamp.error.authentication_denied";
const FAILED: &str = "wamp.error.authentication_failed";

/// What an application was asked: the head and the body of each request.
type Asked = Arc<Mutex<Vec<(String, Json)>>>;

/// An application that answers by the authid. It is there until the process ends.
fn application() -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = Asked::default();
    let seen = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = seen.clone();
            std::thread::spawn(move || serve(stream, &seen));
        }
    });
    (address, asked)
}

fn serve(stream: TcpStream, seen: &Asked) {
    let mut reader = BufReader::new(stream.try_clone().expect("the same socket"));
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut body = vec![0; length.trim().parse().expect("a number")];
        reader.read_exact(&mut body).expect("a body");
        let body: Json = serde_json::from_slice(&body).expect("JSON");
        let (status, answer) = match body["authid"].as_str().unwrap_or_default() {
            "role" => (200, json!("user").to_string()),
            "whole" => (200, json!({"role": "user", "authid": "other", "extra": {"floor": 3}}).to_string()),
            "ticket" if body["details"]["ticket"] == "right" => (200, json!({"role": "user"}).to_string()),
            "ticket" | "no" => (403, "no".into()),
            "unknown" => (404, String::new()),
            "broken" => (500, "{}".into()),
            "moved" => (302, String::new()),
            "nonsense" => (200, "{\"role\":".into()),
            "tricky" => (200, "\"user\"], {\"x\": 1}".into()),
            "null" => (200, "null".into()),
            "endless" => (200, format!("\"{}\"", "x".repeat(1_000_000))),
            "slow" => {
                std::thread::sleep(Duration::from_secs(3));
                (200, json!("user").to_string())
            }
            _ => return,
        };
        seen.lock().expect("nobody panics").push((head, body));
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nLocation: /\r\n\r\n", answer.len());
        let _ = (&stream).write_all(format!("{head}{answer}").as_bytes());
    }
}

fn configure(config: &mut RuntimeConfig, application: SocketAddr) {
    let headers = vec![("X-Key".into(), Secret(b"the router".as_slice().into()))];
    let callout = Callout { url: format!("http://{application}/who").into(), headers };
    config.transports[0].auth.ticket = Some(Source::Dynamic(Dynamic::Http(callout.clone())));
    config.transports[0].auth.anonymous = Some(Source::Dynamic(Dynamic::Http(callout)));
    config.limits.authentication_timeout = Duration::from_millis(1500);
}

fn hello(address: SocketAddr, wire: Wire, method: &str, authid: &str) -> Client {
    let mut client = Client::connect(address, wire);
    client.send(json!([1, "realm1", {"roles": {"caller": {}}, "authmethods": [method], "authid": authid}]));
    client
}

#[test]
fn an_application_says_who_may_come_in() {
    let (application, asked) = application();
    for shards in [1, 4] {
        let change = |config: &mut RuntimeConfig| {
            configure(config, application);
            config.shards = Some(shards);
        };
        node::with_router(change, |address| {
            for wire in Wire::all() {
                let welcome = hello(address, wire, "anonymous", "whole").expect(2);
                let details = welcome[2].dict();
                let texts = ["authid", "authrole", "authmethod", "authprovider"].map(|key| details[key].str());
                assert_eq!(texts, ["other", "user", "anonymous", "dynamic"]);
                assert_eq!(details["authextra"].dict()["floor"].uint(), 3);
                let (head, body) = asked.lock().expect("nobody panics").pop().expect("a question");
                assert!(head.starts_with("POST /who HTTP/1.1\r\n"), "{head}");
                assert!(head.to_ascii_lowercase().contains("x-key: the router\r\n"), "{head}");
                assert_eq!((&body["realm"], &body["authid"]), (&json!("realm1"), &json!("whole")));
                let peer = body["details"]["transport"]["peer"].as_str().expect("a peer");
                assert!(peer.starts_with("tcp4:127.0.0.1:"));
                assert_eq!(hello(address, wire, "anonymous", "role").expect(2)[2].dict()["authid"].str(), "role");
                for (ticket, right) in [("right", true), ("wrong", false)] {
                    let mut client = hello(address, wire, "ticket", "ticket");
                    client.expect(4);
                    client.send(json!([5, ticket, {}]));
                    match right {
                        true => drop(client.expect(2)),
                        false => drop(client.expect_abort(DENIED)),
                    }
                }
            }
        });
    }
}

#[test]
fn an_application_that_does_not_say_yes_means_no() {
    let (application, _) = application();
    node::with_router(
        |config| configure(config, application),
        |address| {
            let wire = Wire::all().next().expect("a wire");
            for (authid, reason) in [
                ("no", DENIED),
                ("unknown", DENIED),
                ("null", DENIED),
                ("broken", FAILED),
                ("moved", FAILED),
                ("nonsense", FAILED),
                ("tricky", FAILED),
                ("endless", FAILED),
                ("gone", FAILED),
                ("slow", FAILED),
            ] {
                let answer = hello(address, wire, "anonymous", authid).recv();
                assert_eq!((answer[0].uint(), answer[2].str()), (3, reason), "{authid}");
            }
            // Those that are slow keep nobody else.
            let slow: Vec<_> = (0..4).map(|_| hello(address, wire, "anonymous", "slow")).collect();
            hello(address, wire, "anonymous", "role").expect(2);
            drop(slow);
        },
    );
    // Nobody is there at all.
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    node::with_router(
        |config| configure(config, nobody),
        |address| drop(hello(address, Wire::all().next().expect("a wire"), "anonymous", "role").expect_abort(FAILED)),
    );
}
