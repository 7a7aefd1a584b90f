//! What strangers can make the router hold or do has limits.

mod support;

use corebar::config::connection::{Compression, ConnectionConfig};
use corebar::config::web::PathConfig;
use corebar::config::{ListenAddress, ListenerConfig, RuntimeConfig, TransportConfig};
use corebar::transport::listener::Bound;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use support::client::{Incoming, payload};
use support::http::post;
use support::raw::{self, client_frame, header, read_to_end, response_head, server_frame, upgrade_request};
use support::{Client, Http, Tunnel, Wire, node};

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
        let mut http = Http::connect(address);
        let open = br#"{"protocols":["wamp.2.json"]}"#;
        let mut open = || {
            http.write(post("/lp/open", open));
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

const SHORT: Duration = Duration::from_millis(300);

/// Adds a transport with these limits, as WebSocket at a path.
fn add(config: &mut RuntimeConfig, path: &str, connection: ConnectionConfig) {
    let at = u16::try_from(config.transports.len()).expect("few transports");
    config.transports.push(TransportConfig { connection, ..TransportConfig::default() });
    config.listeners[0].paths.push(PathConfig::websocket(path, false, at));
}

/// A WebSocket connection at a path, opened with these headers; with the head of the answer.
fn websocket(address: SocketAddr, path: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = raw::connect(address);
    let headers = format!("Sec-WebSocket-Protocol: wamp.2.json\r\n{headers}");
    stream.write_all(upgrade_request(path, &headers).as_bytes()).expect("the router reads");
    let head = response_head(&mut stream);
    assert_eq!(raw::status(&head), 101, "{head}");
    (stream, head)
}

/// The same with a session.
fn session(address: SocketAddr, path: &str) -> TcpStream {
    let (mut stream, _) = websocket(address, path, "");
    let hello = json!([1, "realm1", {"roles": {"publisher": {}}}]).to_string();
    stream.write_all(&client_frame(0x81, hello.as_bytes())).expect("the router reads");
    assert!(said(&mut stream).starts_with("[2,"), "a welcome");
    stream
}

/// A publication of so many octets, more or less.
fn publication(octets: usize) -> Vec<u8> {
    json!([16, 1, {"acknowledge": true}, "com.x", ["x".repeat(octets)]]).to_string().into_bytes()
}

/// The next message.
fn said(stream: &mut TcpStream) -> String {
    let (first, payload) = server_frame(stream);
    assert_eq!(first, 0x81, "{payload:?}");
    String::from_utf8(payload).expect("JSON")
}

#[test]
fn each_transport_has_limits_of_its_own() {
    let change = |config: &mut RuntimeConfig| {
        config.shards = Some(2);
        let small = ConnectionConfig { message_bytes_max: Some(1000), ..ConnectionConfig::default() };
        add(config, "/small", small);
        let frames = ConnectionConfig { frame_bytes_max: Some(1000), ..ConnectionConfig::default() };
        add(config, "/frames", frames);
        let assumes_json = ConnectionConfig { assumes_json: true, no_page: true, ..ConnectionConfig::default() };
        add(config, "/json", assumes_json);
        let rude =
            ConnectionConfig { message_bytes_max: Some(1000), drops_faults: true, ..ConnectionConfig::default() };
        add(config, "/rude", rude);
        config.listeners[0].rawsocket = Some(1);
    };
    let config = node::config(change);
    node::with_reloader(config, |address, reloader| {
        let publish = |path: &str, octets: usize| {
            let mut stream = session(address, path);
            stream.write_all(&client_frame(0x81, &publication(octets))).expect("the router reads");
            stream
        };
        for (path, octets) in [("/", 5000), ("/small", 500), ("/frames", 500)] {
            assert!(said(&mut publish(path, octets)).starts_with("[17,"), "{path} takes {octets} octets");
        }
        for path in ["/small", "/frames"] {
            let mut stream = publish(path, 1500);
            assert!(said(&mut stream).contains("wamp.error.protocol_violation"), "{path}");
            let (first, close) = server_frame(&mut stream);
            assert_eq!((first, &close[..2]), (0x88, &1009_u16.to_be_bytes()[..]), "{path}");
        }
        // Two frames are one message.
        let mut stream = session(address, "/frames");
        let message = publication(1500);
        let (first, second) = message.split_at(900);
        stream.write_all(&[client_frame(0x01, first), client_frame(0x80, second)].concat()).expect("the router reads");
        assert!(said(&mut stream).starts_with("[17,"));
        // Who names no subprotocol speaks JSON, where that may be.
        for (path, expected, page) in [("/json", 101, 426), ("/small", 400, 200)] {
            let mut stream = raw::connect(address);
            stream.write_all(upgrade_request(path, "").as_bytes()).expect("the router reads");
            assert_eq!(raw::status(&response_head(&mut stream)), expected, "{path}");
            let mut http = Http::connect(address);
            http.write(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            assert_eq!(http.response().status, page, "{path}");
        }
        // Cut off, without a word.
        assert_eq!(read_to_end(&mut publish("/rude", 1500), raw::PATIENCE), b"");
        // The largest power of two is 512, which RawSocket tells by 0.
        let mut rawsocket = raw::connect(address);
        rawsocket.write_all(&[0x7f, 0xf1, 0, 0]).expect("the router reads");
        let mut reply = [0; 4];
        rawsocket.read_exact(&mut reply).expect("an answer");
        assert_eq!(reply, [0x7f, 0x01, 0, 0]);
        // A reload changes what comes, and not what is there.
        let mut before = session(address, "/small");
        let (reload, _) = reloader
            .reload(|config| config.transports[1].connection.message_bytes_max = Some(100_000))
            .expect("a good configuration");
        assert!(reload.changes.iter().any(|change| change.contains("its options")), "{:?}", reload.changes);
        assert!(said(&mut publish("/small", 1500)).starts_with("[17,"));
        before.write_all(&client_frame(0x81, &publication(1500))).expect("the router reads");
        assert!(said(&mut before).contains("wamp.error.protocol_violation"));
    });
}

#[test]
fn each_transport_has_times_of_its_own() {
    let change = |config: &mut RuntimeConfig| {
        config.shards = Some(2);
        config.longpoll_receive_timeout = Duration::from_secs(3600);
        let asking =
            ConnectionConfig { ping_interval: Some(SHORT), ping_bytes: Some(12), ..ConnectionConfig::default() };
        let strict = ConnectionConfig { ping_timeout: Some(SHORT), ..asking.clone() };
        let patient = ConnectionConfig { ping_timeout: Some(Duration::ZERO), ..asking };
        add(config, "/strict", strict);
        add(config, "/patient", patient);
        let polls = ConnectionConfig { receive_timeout: Some(SHORT), ..ConnectionConfig::default() };
        config.transports.push(TransportConfig { connection: polls, ..TransportConfig::default() });
        config.listeners[0].paths.retain(|path| path.path != "/lp");
        config.listeners[0].paths.push(PathConfig::longpoll("/lp", 3));
        let hasty = ConnectionConfig { handshake_timeout: Some(SHORT), ..ConnectionConfig::default() };
        config.transports.push(TransportConfig { connection: hasty, ..TransportConfig::default() });
        let address = ListenAddress::Tcp { host: "127.0.0.1".into(), port: 0 };
        let paths = vec![PathConfig::websocket("/", true, 4)];
        config.listeners.push(ListenerConfig {
            transport: 4,
            rawsocket: None,
            paths,
            ..ListenerConfig::plain(address)
        });
    };
    node::with_reloader(node::config(change), |address, reloader| {
        let (_, bound) = reloader.reload(|_| {}).expect("a good configuration");
        let Bound::Tcp(other) = bound[1].clone() else { panic!("a TCP address") };
        let (mut idle, mut hasty) = (raw::connect(address), raw::connect(other));
        let (mut usual, mut strict, mut patient) =
            (session(address, "/"), session(address, "/strict"), session(address, "/patient"));
        let ping = |stream: &mut TcpStream| assert_eq!(server_frame(stream), (0x89, vec![0; 12]));
        ping(&mut strict);
        assert_eq!(read_to_end(&mut strict, raw::PATIENCE), b"", "it has not answered");
        // It has not answered either, and nobody minds.
        (0..4).for_each(|_| ping(&mut patient));
        assert_eq!(read_to_end(&mut hasty, raw::PATIENCE), b"", "no handshake in time");
        // Meanwhile those of the other transport were left alone.
        for stream in [&mut idle, &mut usual] {
            stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket option");
            assert!(stream.read(&mut [0]).is_err(), "nothing has come, and it is open");
        }
        let mut http = Http::connect(address);
        let opened = http.post("/lp/open", br#"{"protocols":["wamp.2.json"]}"#).expect(200);
        let opened: serde_json::Value = serde_json::from_slice(&opened.body).expect("JSON");
        let path = format!("/lp/{}/receive", opened["transport"].as_str().expect("an id"));
        http.post(&path, b"").expect(204);
    });
}

#[test]
fn each_transport_compresses_as_it_says() {
    let change = |config: &mut RuntimeConfig| {
        let with = |compression| ConnectionConfig { compression, ..ConnectionConfig::default() };
        add(config, "/plain", with(Compression::No));
        add(config, "/narrow", with(Compression::Deflate(10)));
    };
    node::with_router(change, |address| {
        let answer = |path: &str| {
            let (_, head) = websocket(address, path, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
            header(&head, "Sec-WebSocket-Extensions").map(str::to_owned)
        };
        assert_eq!(answer("/plain"), None);
        assert!(answer("/").is_some_and(|answer| !answer.contains("server_max_window_bits")));
        assert!(answer("/narrow").is_some_and(|answer| answer.ends_with("server_max_window_bits=10")));
    });
}
