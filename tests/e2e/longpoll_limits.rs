//! The long-poll transport: errors, limits, and clients that do not use it well.

use crate::longpoll::each;
use crate::support::http::{Response, post};
use crate::support::node::with_router;
use crate::support::raw::{self, PATIENCE};
use crate::support::{Client, Http, Poller, Router, Serializer, Wire};
use crate::uri;
use corebar::config::RuntimeConfig;
use corebar::config::web::PathConfig;
use serde_json::json;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const OPEN: &[u8] = br#"{"protocols":["wamp.2.json"]}"#;
const LIMIT: Duration = Duration::from_millis(300);

fn ask(address: SocketAddr, octets: impl AsRef<[u8]>) -> (Response, Http) {
    let mut http = Http::connect(address);
    http.write(octets);
    (http.response(), http)
}

#[test]
fn requests_that_cannot_be_served() {
    each(|address| {
        let id = Poller::open(address, Serializer::Json, false).path;
        let unknown = "/lp/AAAAAAAAAAAAAAAAAAAAAAAA";
        let beyond = "/lp/__8AAAAAAAAAAAAAAAAAAAAA";
        let length = "Content-Length: 2\r\n";
        for (line, headers, wanted) in [
            ("GET /lp/open", "", 405),
            ("PUT /lp/open", length, 405),
            (&*format!("GET {id}/receive"), "", 405),
            ("POST /lp", length, 404),
            ("POST /lp/", "", 404),
            ("POST /lp/open/", "", 404),
            ("POST /lp/opened", "", 404),
            ("OPTIONS /lp/opened", "", 404),
            (&*format!("POST {id}"), "", 404),
            (&*format!("POST {id}/recieve"), "", 404),
            (&*format!("POST {unknown}/receive"), "", 404),
            (&*format!("POST {unknown}/close"), "", 404),
            (&*format!("POST {beyond}/receive"), "", 404),
            ("POST /lp/x/receive", "", 404),
            ("POST /lp/open", "", 411),
            (&*format!("POST {id}/send"), "", 411),
            ("POST /lp/open", "Content-Length: 20000\r\n", 413),
            (&*format!("POST {id}/send"), "Content-Length: 16777217\r\n", 413),
            (&*format!("POST {id}/send"), "Content-Length: 18446744073709551615\r\n", 413),
            (&*format!("POST {id}/send"), "Content-Length: 18446744073709551616\r\n", 400),
            (&*format!("POST {id}/send"), "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", 400),
            (&*format!("POST {id}/send"), "Transfer-Encoding: gzip\r\n", 501),
            (&*format!("POST {id}/send"), "Content-Length: 2\r\nExpect: a miracle\r\n", 417),
        ] {
            let (response, mut http) = ask(address, format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{{}}"));
            assert_eq!(response.status, wanted, "{line} {headers}: {}", response.text());
            assert!(!response.text().trim().is_empty(), "{line}: a reason");
            if wanted == 405 {
                assert_eq!(response.header("Allow"), Some("POST, OPTIONS"));
            }
            if !headers.is_empty() {
                // What follows may be a body.
                assert_eq!(response.header("Connection"), Some("close"));
                raw::read_to_end(&mut http.0, PATIENCE);
            }
        }
        let (response, _) = ask(address, "POST /lp/open HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(response.status, 400, "no Host");
    });
}

#[test]
fn errors_leave_the_connection_alone_where_they_can() {
    each(|address| {
        let mut http = Http::connect(address);
        for body in ["", "{}", "[]", "nonsense", r#"{"protocols":[]}"#, r#"{"protocols":["wamp.2.xml"]}"#] {
            let response = http.post("/lp/open", body.as_bytes()).expect(400);
            assert!(!response.text().trim().is_empty() && response.header("Connection").is_none());
        }
        http.post("/lp/nobody/send", b"[]").expect(404);
        http.write("GET /lp/open HTTP/1.1\r\nHost: x\r\n\r\n");
        http.response().expect(405);
        http.write("HEAD /lp/open HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(raw::status(&raw::response_head(&mut http.0)), 405);
        http.post("/lp/open", OPEN).expect(200);
    });
}

#[test]
fn broken_messages_end_the_session_with_an_abort() {
    each(|address| {
        for (serializer, batched, body) in [
            (Serializer::Json, false, &b"[1,"[..]),
            (Serializer::Json, false, b""),
            (Serializer::Json, false, b"[48,1,{},\"\xff\"]"),
            (Serializer::Json, false, br#"[1,"realm1",{"roles":{"caller":{}}}]"#),
            (Serializer::Json, true, br#"[48,1,{},"com.test.nobody"]"#),
            (Serializer::Json, true, b""),
            (Serializer::MsgPack, false, b"\xc1"),
            (Serializer::MsgPack, true, b"\xff\xff\xff\xff\x90"),
            (Serializer::Cbor, true, b"\0\0"),
        ] {
            let mut poller = Poller::open(address, serializer, batched);
            poller.hello();
            let (send, path) = (poller.at("send"), poller.at("receive"));
            let response = poller.sender.post(&send, body).expect(400);
            assert!(response.text().contains("ABORT"), "{}", response.text());
            poller.sender.post(&send, body).expect(410);
            assert_eq!(poller.expect(3)[2].str(), "wamp.error.protocol_violation");
            poller.receive().expect(410);
            poller.receive().expect(404);
            poller.sender.post(&path, b"").expect(404);
        }
    });
}

#[test]
fn the_rest_of_a_batch_counts_until_the_session_ends() {
    each(|address| {
        let mut poller = Poller::open(address, Serializer::Cbor, true);
        poller.hello();
        let call = |request: u64| json!([48, request, {}, "com.test.nobody"]);
        let body = poller.body(&[call(1), call(2), json!([2, 5, {}]), call(3)]);
        let path = poller.at("send");
        poller.sender.post(&path, &body).expect(400);
        assert_eq!(poller.expect(8)[2].uint(), 1);
        assert_eq!(poller.expect(8)[2].uint(), 2);
        poller.expect(3);
        poller.receive().expect(410);
    });
}

#[test]
fn refused_sessions_say_why() {
    each(|address| {
        let mut poller = Poller::open(address, Serializer::Json, false);
        let path = poller.at("receive");
        poller.receiver.write(post(&path, b""));
        poller.send(json!([1, "nowhere", {"roles": {"caller": {}}}]));
        let response = poller.receiver.response().expect(200);
        assert!(response.text().contains("wamp.error.no_such_realm"), "{}", response.text());
        poller.receive().expect(410);
    });
}

#[test]
fn a_receive_that_waits_learns_of_the_end() {
    each(|address| {
        let mut poller = Poller::join(address);
        let path = poller.at("receive");
        poller.receiver.write(post(&path, b""));
        poller.receiver.expect_silence(Duration::from_millis(50));
        let send = poller.at("send");
        poller.sender.post(&send, br#"[3,{},"com.test.bye"]"#).expect(204);
        poller.receiver.response().expect(410);
    });
}

#[test]
fn garbage_between_requests() {
    each(|address| {
        for garbage in [
            &b"\0\0\0\0\0\0\0\0"[..],
            b"SSH-2.0-x\r\n\r\n",
            &[0xff; 5000],
            b"POST /lp/open HTTP/9.9\r\n\r\n",
            &[&b"POST /lp/open HTTP/1.1\r\nHost: x\r\n"[..], &b"X-A: b\r\n".repeat(5000)].concat(),
            &[&b"POST /lp/open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &[b'1'; 5000]].concat(),
            b"POST /lp/open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloworld",
            b"POST /lp/open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n",
        ] {
            let mut http = Http::connect(address);
            http.post("/lp/open", OPEN).expect(200);
            raw::write_or_closed(&mut http.0, garbage);
            let _ = http.0.shutdown(std::net::Shutdown::Write);
            let answer = raw::read_to_end(&mut http.0, PATIENCE);
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
        }
        Poller::join(address);
    });
}

#[test]
fn requests_far_ahead_are_not_hoarded() {
    for shards in crate::SHARDS {
        let router = Router::start(&["--shards", &shards.to_string(), "--no-pin"]);
        let before = router.resident_kib();
        let mut poller = Poller::join(router.address());
        let (receive, send) = (poller.at("receive"), poller.at("send"));
        poller.receiver.write(post(&receive, b""));
        poller.receiver.0.set_nonblocking(true).expect("a socket option");
        let call = post(&send, &poller.body(&[json!([48, 1, {}, "com.test.nobody", ["x".repeat(60_000)]])]));
        let mut written = 0;
        let start = Instant::now();
        while written < 256 << 20 && start.elapsed() < Duration::from_secs(2) {
            written += poller.receiver.0.write(&call).unwrap_or_default();
        }
        assert!(written < 64 << 20, "{written} octets were read behind a request that waits");
        let after = router.resident_kib();
        assert!(after < before + 20 * 1024, "{before} KiB before, {after} KiB after");
    }
}

#[test]
fn announced_bodies_are_not_believed() {
    each(|address| {
        let router = Router::shared(1);
        let before = router.resident_kib();
        let poller = Poller::join(address);
        let open: Vec<Http> = (0..100)
            .map(|_| {
                let mut http = Http::connect(address);
                let head =
                    format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 16777216\r\n\r\n[", poller.at("send"));
                http.write(head);
                http
            })
            .collect();
        Poller::join(address);
        let after = router.resident_kib();
        assert!(after < before + 20 * 1024, "{before} KiB before, {after} KiB after with {}", open.len());
    });
}

/// Shards of a router in this process, and short times.
fn short(config: &mut RuntimeConfig, shards: u16) {
    config.shards = Some(shards);
    config.longpoll_receive_timeout = LIMIT;
    config.longpoll_idle_timeout = LIMIT * 2;
    config.longpoll_body_timeout = LIMIT * 2;
    config.handshake_timeout = LIMIT;
}

#[test]
fn a_receive_without_messages_is_answered_in_time() {
    with_router(
        |config| short(config, 2),
        |address| {
            let mut poller = Poller::join(address);
            let start = Instant::now();
            for round in 1..=5 {
                poller.receive().expect(204);
                let took = start.elapsed();
                assert!(took > LIMIT * round - LIMIT / 10 && took < LIMIT * (round + 2), "{took:?}");
            }
            // The sender's connection was idle for too long, but the session lives.
            poller.sender.expect_end();
            poller.sender = Http::connect(address);
            poller.send(json!([48, 1, {}, "com.test.nobody"]));
            poller.expect(8);
        },
    );
}

#[test]
fn a_transport_that_nobody_polls_is_ended() {
    for shards in [1, 3] {
        with_router(
            |config| short(config, shards),
            |address| {
                let mut poller = Poller::join(address);
                poller.register("com.test.idle");
                let mut other = Client::join(address, Wire::JSON);
                let start = Instant::now();
                // Sending is no sign of life: only what receives can be told anything.
                while start.elapsed() < LIMIT {
                    poller.send(json!([48, poller_request(start), {}, "com.test.nobody"]));
                    thread::sleep(LIMIT / 5);
                }
                other.send(json!([64, 1, {}, "com.test.idle"]));
                other.expect_error(64, 1, "wamp.error.procedure_already_exists");
                thread::sleep(LIMIT * 2);
                other.send(json!([64, 2, {}, "com.test.idle"]));
                other.expect(65);
                let (status, path) = (404, poller.at("receive"));
                Http::connect(address).post(&path, b"").expect(status);
            },
        );
    }
}

fn poller_request(start: Instant) -> u64 {
    10 + u64::try_from(start.elapsed().as_millis()).expect("a short time")
}

#[test]
fn requests_that_do_not_end_are_ended() {
    with_router(
        |config| short(config, 1),
        |address| {
            let path = Poller::join(address).at("send");
            let cases = [
                ("POST /lp/op".to_string(), None),
                (format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[48"), Some(408)),
                (format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1"), Some(408)),
                (
                    format!("{}POST {path} HTTP/1.1\r\nHo", String::from_utf8(post("/lp/open", OPEN)).expect("text")),
                    Some(200),
                ),
            ];
            for (octets, wanted) in cases {
                let mut http = Http::connect(address);
                http.write(&octets);
                let start = Instant::now();
                if let Some(wanted) = wanted {
                    http.response().expect(wanted);
                    if wanted == 200 {
                        http.response().expect(408);
                    }
                }
                raw::read_to_end(&mut http.0, PATIENCE);
                let took = start.elapsed();
                assert!(took > LIMIT / 2 && took < LIMIT * 8, "{octets}: {took:?}");
            }
            // One that drips.
            let mut http = Http::connect(address);
            http.write(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"));
            let start = Instant::now();
            while http.0.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(20));
                assert!(start.elapsed() < LIMIT * 10, "an endless body is read");
            }
        },
    );
}

#[test]
fn what_nobody_receives_ends_the_session() {
    with_router(
        |config| {
            config.shards = Some(2);
            config.out_queue_bytes_max = 256 * 1024;
        },
        |address| {
            let topic = uri("longpoll.flood");
            let mut poller = Poller::join(address);
            poller.subscribe(&topic);
            let mut publisher = Client::join(address, Wire::JSON);
            for _ in 0..100 {
                publisher.publish(&topic, &crate::support::client::payload(json!([["x".repeat(8000)]])));
            }
            thread::sleep(Duration::from_millis(200));
            poller.receive().expect(404);
        },
    );
}

#[test]
fn a_response_that_nobody_reads_ends_the_session() {
    with_router(
        |config| {
            short(config, 2);
            // Time enough for all that is published first.
            config.longpoll_idle_timeout = LIMIT * 10;
            config.longpoll_body_timeout = LIMIT * 10;
        },
        |address| {
            let topic = uri("longpoll.unread");
            let mut poller = Poller::open(address, Serializer::Json, true);
            poller.hello();
            poller.subscribe(&topic);
            poller.register("com.test.unread");
            let mut publisher = Client::join(address, Wire::JSON);
            for _ in 0..12 {
                publisher.publish(&topic, &crate::support::client::payload(json!([["x".repeat(1 << 20)]])));
            }
            let path = poller.at("receive");
            poller.receiver.write(post(&path, b""));
            let registers = |publisher: &mut Client, request: u64| {
                publisher.send(json!([64, request, {}, "com.test.unread"]));
                publisher.recv()[0].uint() == 65
            };
            thread::sleep(LIMIT / 2);
            assert!(!registers(&mut publisher, 100), "the session lives");
            let mut receiver = Http::connect(address);
            for request in 101.. {
                // Polled again all the time, on another connection: what was lost cannot be made good.
                if registers(&mut publisher, request) {
                    break;
                }
                assert!(request < 200, "the session still lives");
                receiver.post(&path, b"");
            }
        },
    );
}

#[test]
fn nothing_is_left_behind() {
    for shards in [1, 3] {
        let took = with_router(
            |config| config.shards = Some(shards),
            |address| {
                for _ in 0..20 {
                    let mut pollers: Vec<Poller> = (0..6).map(|_| Poller::join(address)).collect();
                    let mut http = Http::connect(address);
                    for poller in &mut pollers {
                        http.post(&poller.at("close"), b"").expect(204);
                    }
                }
            },
        );
        // It waits for every connection that is counted.
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[test]
fn shutting_down_says_goodbye() {
    for shards in [1, 3] {
        let (done, ended) = mpsc::channel();
        let took = with_router(
            |config| {
                config.shards = Some(shards);
                config.shutdown_timeout = Duration::from_secs(10);
            },
            |address| {
                let pollers: Vec<Poller> = (0..6).map(|_| Poller::join(address)).collect();
                // Connections that were used and are idle now.
                let mut idle: Vec<Http> = (0..6).map(|_| Http::connect(address)).collect();
                idle.iter_mut().for_each(|http| drop(http.post("/lp/nobody/close", b"").expect(404)));
                thread::spawn(move || {
                    for mut poller in pollers {
                        let goodbye = poller.expect(6);
                        assert_eq!(goodbye[2].str(), "wamp.close.system_shutdown");
                    }
                    done.send(idle).expect("the test waits");
                });
                thread::sleep(Duration::from_millis(300));
            },
        );
        ended.recv_timeout(PATIENCE).expect("every client got its GOODBYE");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn it_can_be_moved_and_switched_off() {
    let change = |config: &mut RuntimeConfig| {
        config.listeners[0].paths = vec![PathConfig::websocket("/", false, 0), PathConfig::longpoll("/ws/poll", 0)];
    };
    with_router(change, |address| {
        ask(address, post("/ws/poll/open", OPEN)).0.expect(200);
        ask(address, post("/lp/open", OPEN)).0.expect(405);
        Client::join(address, Wire::JSON);
    });
    with_router(
        |config| config.listeners[0].paths = vec![PathConfig::websocket("/", false, 0)],
        |address| {
            ask(address, post("/lp/open", OPEN)).0.expect(405);
            ask(address, post("/open", OPEN)).0.expect(405);
        },
    );
}
