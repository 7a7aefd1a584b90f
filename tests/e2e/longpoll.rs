//! The long-poll transport: what it does for clients that use it well.

use crate::SHARDS;
use crate::support::http::post;
use crate::support::raw::{self, header, response_head, status};
use crate::support::{Client, Http, Poller, Router, Serializer, Wire};
use crate::uri;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

const OPEN: &[u8] = br#"{"protocols":["wamp.2.json"]}"#;

/// Calls `test` with a router of one shard and one of several.
pub(crate) fn each(test: impl Fn(SocketAddr)) {
    for shards in SHARDS {
        let router = Router::shared(shards);
        test(router.address());
        assert_eq!(router.try_wait(), None, "the router still runs");
    }
}

fn every_protocol() -> impl Iterator<Item = (Serializer, bool)> {
    Serializer::ALL.into_iter().flat_map(|serializer| [(serializer, false), (serializer, true)])
}

/// Pollers whose transports lie on more than one shard, if there are several.
fn scattered(address: SocketAddr) -> Vec<Poller> {
    let pollers: Vec<Poller> = (0..6).map(|_| Poller::join(address)).collect();
    let shards: BTreeSet<u16> = pollers.iter().map(Poller::shard).collect();
    assert!(address == Router::shared(1).address() || shards.len() > 1, "{shards:?}");
    pollers
}

#[test]
fn a_session_with_every_protocol() {
    each(|address| {
        for (serializer, batched) in every_protocol() {
            let mut other = Client::join(address, Wire::JSON);
            let mut poller = Poller::open(address, serializer, batched);
            poller.hello();

            let topic = uri("longpoll.topic");
            let subscription = poller.subscribe(&topic);
            other.publish(&topic, &crate::support::client::payload(json!([[1, "ü"], {"a": null}])));
            let event = poller.expect(36);
            assert_eq!(event[1].uint(), subscription);
            assert_eq!(event[4..], crate::support::client::payload(json!([[1, "ü"], {"a": null}]))[..]);

            let procedure = uri("longpoll.procedure");
            let registration = poller.register(&procedure);
            let call = other.call(&procedure, &crate::support::client::payload(json!([[7]])));
            let invocation = poller.expect(68);
            assert_eq!(invocation[2].uint(), registration);
            poller.send(json!([70, invocation[1].uint(), {}, ["x".repeat(100_000)]]));
            assert_eq!(other.expect_result(call)[0].list()[0].str().len(), 100_000);

            let big = poller.next();
            poller.send(json!([48, big, {}, procedure, ["y".repeat(100_000)]]));
            let invocation = poller.expect(68);
            poller.send(json!([70, invocation[1].uint(), {}, [8]]));
            assert_eq!(poller.expect(50)[1].uint(), big);

            poller.send(json!([6, {}, "wamp.close.close_realm"]));
            assert_eq!(poller.expect(6)[2].str(), "wamp.close.goodbye_and_out");
            // Another session on the same transport.
            poller.hello();
            let (close, receive) = (poller.at("close"), poller.at("receive"));
            poller.sender.post(&close, b"").expect(204);
            poller.sender.post(&receive, b"").expect(404);
            poller.receive().expect(404);
        }
    });
}

#[test]
fn one_message_per_receive_or_all_of_them() {
    each(|address| {
        for (serializer, batched) in every_protocol() {
            let mut poller = Poller::open(address, serializer, batched);
            poller.hello();
            let topic = uri("longpoll.many");
            poller.subscribe(&topic);
            let mut publisher = Client::join(address, Wire::JSON);
            for number in 0..20 {
                publisher.publish(&topic, &crate::support::client::payload(json!([[number]])));
            }
            // Events of another shard may come a little later than the acknowledgement.
            thread::sleep(Duration::from_millis(200));
            let mut numbers = Vec::new();
            for _ in 0..if batched { 1 } else { 20 } {
                let response = poller.receive().expect(200);
                let messages = poller.messages(&response);
                assert_eq!(messages.len(), if batched { 20 } else { 1 });
                numbers.extend(messages.iter().map(|message| message[4].list()[0].uint()));
            }
            assert_eq!(numbers, (0..20).collect::<Vec<_>>());

            if batched {
                let calls: Vec<_> = (10..15).map(|request| json!([48, request, {}, "com.test.nobody"])).collect();
                let (path, body) = (poller.at("send"), poller.body(&calls));
                poller.sender.post(&path, &body).expect(204);
                for request in 10..15 {
                    assert_eq!(poller.expect(8)[2].uint(), request);
                }
            }
        }
    });
}

#[test]
fn a_receive_waits_for_a_message() {
    each(|address| {
        let mut poller = Poller::join(address);
        let topic = uri("longpoll.wait");
        poller.subscribe(&topic);
        let path = poller.at("receive");
        poller.receiver.write(post(&path, b""));
        poller.receiver.expect_silence(Duration::from_millis(200));
        Client::join(address, Wire::JSON).publish(&topic, &[]);
        let start = Instant::now();
        let response = poller.receiver.response().expect(200);
        assert!(response.text().starts_with("[36,"), "{}", response.text());
        assert!(start.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn a_newer_receive_takes_the_place_of_an_older_one() {
    each(|address| {
        let mut poller = Poller::join(address);
        let topic = uri("longpoll.newer");
        poller.subscribe(&topic);
        let path = poller.at("receive");
        let mut older: Vec<Http> = (0..3).map(|_| Http::connect(address)).collect();
        for receiver in &mut older {
            receiver.write(post(&path, b""));
            thread::sleep(Duration::from_millis(50));
        }
        poller.receiver.write(post(&path, b""));
        for receiver in &mut older {
            receiver.response().expect(204);
        }
        Client::join(address, Wire::JSON).publish(&topic, &[]);
        poller.receiver.response().expect(200);
    });
}

#[test]
fn a_receive_that_is_given_up_takes_nothing_with_it() {
    each(|address| {
        let mut poller = Poller::join(address);
        let topic = uri("longpoll.given_up");
        poller.subscribe(&topic);
        let path = poller.at("receive");
        let mut publisher = Client::join(address, Wire::JSON);
        for _ in 0..5 {
            let mut receiver = Http::connect(address);
            receiver.write(post(&path, b""));
            thread::sleep(Duration::from_millis(50));
            drop(receiver);
            thread::sleep(Duration::from_millis(50));
            publisher.publish(&topic, &[]);
            poller.expect(36);
        }
    });
}

#[test]
fn closing_answers_a_receive_that_waits() {
    each(|address| {
        let mut poller = Poller::join(address);
        let path = poller.at("receive");
        poller.receiver.write(post(&path, b""));
        poller.receiver.expect_silence(Duration::from_millis(50));
        let close = poller.at("close");
        poller.sender.post(&close, b"").expect(204);
        poller.receiver.response().expect(204);
        poller.receive().expect(404);
    });
}

#[test]
fn one_connection_serves_transports_of_every_shard() {
    each(|address| {
        let mut pollers = scattered(address);
        let mut http = Http::connect(address);
        for round in 0..3 {
            for poller in &mut pollers {
                let call = poller.body(&[json!([48, round + 1, {}, "com.test.nobody"])]);
                http.post(&poller.at("send"), &call).expect(204);
                let answer = http.post(&poller.at("receive"), b"").expect(200);
                assert!(answer.text().starts_with(&format!("[8,48,{},", round + 1)), "{}", answer.text());
            }
        }
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    each(|address| {
        let mut pollers = scattered(address);
        let mut octets = Vec::new();
        for number in 1..=20 {
            for poller in &pollers {
                let call = poller.body(&[json!([48, number, {}, "com.test.nobody"])]);
                octets.extend(post(&poller.at("send"), &call));
                octets.extend(post(&poller.at("receive"), b""));
            }
        }
        octets.extend(b"GET /lp/nothing HTTP/1.1\r\nHost: x\r\n\r\n");
        octets.extend(post("/lp/open", OPEN));
        // All at once, in pieces of odd sizes, and from a client that has nothing more to send.
        for piece in [octets.len(), 777] {
            let mut http = Http::connect(address);
            for piece in octets.chunks(piece) {
                http.write(piece);
            }
            if piece != 777 {
                http.0.shutdown(std::net::Shutdown::Write).expect("a socket option");
            }
            for number in 1..=20 {
                for _ in 0..pollers.len() {
                    http.response().expect(204);
                    let answer = http.response().expect(200);
                    assert!(answer.text().starts_with(&format!("[8,48,{number},")), "{}", answer.text());
                }
            }
            http.response().expect(404);
            let answer = http.response().expect(200);
            assert!(answer.text().contains("\"wamp.2.json\""), "{}", answer.text());
            if piece != 777 {
                http.expect_end();
            }
        }
        for poller in &mut pollers {
            poller.send(json!([48, 100, {}, "com.test.nobody"]));
            poller.expect(8);
        }
    });
}

#[test]
fn bodies_come_in_chunks_and_in_drops() {
    each(|address| {
        for poller in &mut scattered(address) {
            let path = poller.at("send");
            let call = poller.body(&[json!([48, 1, {}, "com.test.nobody", ["x".repeat(3000)]])]);
            let mut request =
                format!("POST {path}?x=17 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
            for chunk in call.chunks(1000) {
                request.extend(format!("{:x};a=b\r\n", chunk.len()).bytes());
                request.extend(chunk);
                request.extend(b"\r\n");
            }
            request.extend(b"0\r\nA-Trailer: x\r\n\r\n");
            let mut http = Http::connect(address);
            for drop in request.chunks(100) {
                http.write(drop);
                thread::sleep(Duration::from_millis(1));
            }
            http.response().expect(204);
            poller.expect(8);

            let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ");
            http.write(format!("{head}{}\r\n\r\n", call.len()));
            assert_eq!(status(&response_head(&mut http.0)), 100);
            http.write(&call);
            http.response().expect(204);
            poller.expect(8);
        }
    });
}

#[test]
fn http_1_0_and_connection_close() {
    each(|address| {
        for request in [
            format!("POST /lp/open HTTP/1.0\r\nContent-Length: {}\r\n\r\n", OPEN.len()),
            format!(
                "POST http://localhost/lp/open?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n",
                OPEN.len()
            ),
        ] {
            let mut http = Http::connect(address);
            http.write([request.as_bytes(), OPEN].concat());
            let response = http.response().expect(200);
            assert_eq!(response.header("Connection"), Some("close"));
            http.expect_end();
        }
    });
}

#[test]
fn scripts_of_other_origins_may_use_it() {
    each(|address| {
        let mut http = Http::connect(address);
        http.write(
            "OPTIONS /lp/open HTTP/1.1\r\nHost: x\r\nOrigin: https://page.example\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n",
        );
        let response = http.response().expect(204);
        assert_eq!(response.header("Access-Control-Allow-Origin"), Some("https://page.example"));
        assert_eq!(response.header("Access-Control-Allow-Credentials"), Some("true"));
        assert_eq!(response.header("Access-Control-Allow-Headers"), Some("content-type"));
        assert_eq!(response.header("Access-Control-Allow-Methods"), Some("POST, OPTIONS"));
        for (path, wanted) in [("/lp/open", 200), ("/lp/x/send", 404), ("/lp/nothing", 404)] {
            let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nOrigin: null\r\nContent-Length: {}", OPEN.len());
            let mut http = Http::connect(address);
            http.write([head.as_bytes(), b"\r\n\r\n", OPEN].concat());
            let response = http.response().expect(wanted);
            assert_eq!(response.header("Access-Control-Allow-Origin"), Some("null"));
            assert_eq!(response.header("Cache-Control"), Some("no-store"));
        }
        assert_eq!(http.post("/lp/open", OPEN).header("Access-Control-Allow-Origin"), None);
    });
}

#[test]
fn the_first_known_protocol_is_taken() {
    each(|address| {
        let mut http = Http::connect(address);
        let list = json!({"protocols": ["wamp.2.flatbuffers", "wamp.2.cbor.batched", "wamp.2.json"]});
        let answer = http.post("/lp/open", list.to_string().as_bytes()).expect(200);
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(answer["protocol"], "wamp.2.cbor.batched");
        assert_eq!(answer["transport"].as_str().expect("an id").len(), 24);
    });
}

#[test]
fn other_transports_share_the_port_and_the_connection() {
    each(|address| {
        Wire::all().for_each(|wire| Client::join(address, wire).leave());
        let mut pollers = scattered(address);

        let mut http = Http::connect(address);
        for poller in &mut pollers {
            poller.send(json!([48, 1, {}, "com.test.nobody"]));
            http.post(&poller.at("receive"), b"").expect(200);
        }
        http.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let page = http.response().expect(200);
        assert!(page.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html")), "{}", page.head);
        http.write("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        http.response().expect(200);
        http.expect_end();

        for poller in &mut pollers {
            let mut http = Http::connect(address);
            poller.send(json!([48, 2, {}, "com.test.nobody"]));
            http.post(&poller.at("receive"), b"").expect(200);
            http.write(raw::upgrade_request("/", "Sec-WebSocket-Protocol: wamp.2.json\r\n"));
            let head = response_head(&mut http.0);
            assert_eq!((status(&head), header(&head, "Sec-WebSocket-Protocol")), (101, Some("wamp.2.json")));
            http.write(raw::client_frame(0x81, br#"[1,"realm1",{"roles":{"caller":{}}}]"#));
            assert!(raw::server_frame(&mut http.0).1.starts_with(b"[2,"));
        }
    });
}
