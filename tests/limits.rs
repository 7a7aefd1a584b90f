//! What strangers can make the router hold or do has limits.

mod support;

use corebar::config::RuntimeConfig;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use support::client::{Incoming, payload};
use support::{Client, Tunnel, Wire, node};

fn any_wire() -> Wire {
    Wire::all().next().expect("a wire")
}

/// True if the router closes the connection without a word.
fn is_closed(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).expect("the system accepts");
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a time limit");
    !matches!(stream.read(&mut [0; 8]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Waits until a client can join: an end is noticed a little later.
fn joins_soon(address: SocketAddr) -> Client {
    let begun = Instant::now();
    while is_closed(address) {
        assert!(begun.elapsed() < Duration::from_secs(10), "there is room again");
    }
    // The one that was tried is noticed to be gone.
    std::thread::sleep(Duration::from_millis(100));
    Client::join(address, any_wire())
}

#[test]
fn connections_are_limited_in_all() {
    for shards in [1, 4] {
        let change = |config: &mut RuntimeConfig| {
            config.connections_max = 3;
            config.shards = Some(shards);
        };
        node::with_router(change, |address| {
            let mut clients: Vec<_> = (0..3).map(|_| Client::join(address, any_wire())).collect();
            assert!(is_closed(address));
            clients.pop().expect("a client").leave();
            clients.push(joins_soon(address));
            assert!(is_closed(address));
            for client in &mut clients {
                let topic = client.subscribe("com.x");
                client.unsubscribe(topic);
            }
        });
    }
}

#[test]
fn connections_are_limited_by_address() {
    let change = |config: &mut RuntimeConfig| {
        config.connections_per_address_max = Some(2);
        config.listeners[0].proxy_protocol = vec!["127.0.0.1/32".parse().expect("a network")];
        config.shards = Some(2);
    };
    node::with_router(change, |address| {
        let from = |text: &str| Tunnel { first: text.as_bytes().to_vec(), ..Tunnel::default() }.open(address);
        let one = from("PROXY TCP4 192.0.2.7 192.0.2.1 80 1\r\n");
        let two = from("PROXY TCP4 192.0.2.8 192.0.2.1 80 1\r\n");
        let clients: Vec<_> = (0..2).map(|_| Client::join(one, any_wire())).collect();
        assert!(is_closed(one));
        Client::join(two, any_wire()).leave();
        drop(clients);
        joins_soon(one).leave();
    });
}

#[test]
fn a_transport_that_is_polled_for_counts() {
    let change = |config: &mut RuntimeConfig| config.connections_max = 2;
    node::with_router(change, |address| {
        let mut http = support::Http::connect(address);
        let open = br#"{"protocols":["wamp.2.json"]}"#;
        let mut open = || {
            http.write(support::http::post("/lp/open", open));
            http.response().status
        };
        assert_eq!((open(), open(), open()), (200, 503, 503));
    });
}

#[test]
fn connections_are_accepted_no_faster_than_allowed() {
    let change = |config: &mut RuntimeConfig| config.accept_rate_max = Some(50);
    node::with_router(change, |address| {
        let begun = Instant::now();
        let clients: Vec<_> = (0..30).map(|_| Client::join(address, any_wire())).collect();
        // Five at once, and 25 in half a second.
        let time = begun.elapsed();
        assert!(time > Duration::from_millis(400), "{time:?}");
        clients.into_iter().for_each(Client::leave);
    });
}

#[test]
fn silent_clients_are_asked_and_ended() {
    for shards in [1, 4] {
        let change = |config: &mut RuntimeConfig| {
            config.ping_interval = Duration::from_millis(400);
            config.ping_timeout = Duration::from_millis(400);
            config.ping_rawsocket = true;
            config.shards = Some(shards);
        };
        node::with_router(change, |address| {
            // Serializers make no difference to pings.
            for wire in Wire::all().step_by(4) {
                // Answers pings while it waits for messages.
                let (mut alive, mut dead) = (Client::join(address, wire), Client::join(address, wire));
                for _ in 0..5 {
                    alive.expect_silence(Duration::from_millis(250));
                }
                let topic = alive.subscribe("com.x");
                alive.unsubscribe(topic);
                alive.leave();
                // What it has been sent is read only now.
                let begun = Instant::now();
                while !matches!(dead.poll(Duration::from_secs(1)), Incoming::End(_)) {
                    assert!(begun.elapsed() < Duration::from_secs(5));
                }
            }
        });
    }
}

#[test]
fn clients_that_send_too_much_are_read_more_slowly() {
    let change = |config: &mut RuntimeConfig| {
        config.message_rate_max = Some(100);
        config.shards = Some(2);
    };
    node::with_router(change, |address| {
        for wire in Wire::all() {
            let (mut busy, mut calm) = (Client::join(address, wire), Client::join(address, wire));
            let topic = calm.subscribe("com.x");
            let begun = Instant::now();
            for number in 0..250 {
                let request = busy.next();
                busy.send(json!([16, request, {}, "com.x", [number, "x".repeat(2000)]]));
            }
            for number in 0..250_u64 {
                assert_eq!(calm.expect_event(topic).1[0].list()[0].uint(), number, "nothing is lost");
            }
            let time = begun.elapsed();
            assert!(time > Duration::from_millis(1000) && time < Duration::from_secs(20), "{wire:?} {time:?}");
            let registration = calm.register("com.p");
            let call = busy.call("com.p", &payload(json!([[1]])));
            let (request, _) = calm.expect_invocation(registration);
            calm.send(json!([70, request, {}]));
            busy.expect_result(call);
        }
    });
}

/// Octets that come one by one, and never make a handshake.
#[test]
fn who_never_finishes_a_handshake_is_ended() {
    let change = |config: &mut RuntimeConfig| config.handshake_timeout = Duration::from_millis(500);
    node::with_router(change, |address| {
        let begun = Instant::now();
        let mut slow = TcpStream::connect(address).expect("the router");
        let request = b"GET /ws HTTP/1.1\r\nHost: x\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
        let mut sent = 0;
        for octet in request {
            if slow.write_all(&[*octet]).is_err() {
                break;
            }
            sent += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(sent < request.len(), "it was ended");
        assert!(begun.elapsed() < Duration::from_secs(4));
    });
}
