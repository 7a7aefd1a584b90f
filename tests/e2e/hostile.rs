//! Peers that mean harm or are broken. In every case others are served and the router stays up.

use super::{Context, SHARDS, uri};
use crate::support::client::{Incoming, payload, rawsocket};
use crate::support::{Client, Router, Serializer, Transport, Value, Wire, raw};
use serde_json::json;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A router of its own and a pair of clients that has to go on working.
struct World {
    router: Router,
    subscriber: Client,
    publisher: Client,
    topic: String,
    subscription: u64,
}

impl World {
    fn each(test: fn(&mut World)) {
        for shards in SHARDS {
            let router = Router::start(&["--shards", &shards.to_string(), "--no-pin"]);
            let mut subscriber = Client::join(router.address(), Wire::JSON);
            let publisher = Client::join(router.address(), Wire::JSON);
            let topic = uri("bystander");
            let subscription = subscriber.subscribe(&topic);
            let mut world = World { router, subscriber, publisher, topic, subscription };
            test(&mut world);
            world.check();
        }
    }

    /// Others are served, new ones too.
    fn check(&mut self) {
        assert_eq!(self.router.try_wait(), None, "the router runs");
        let start = Instant::now();
        self.publisher.publish(&self.topic, &payload(json!([["still here"]])));
        assert_eq!(self.subscriber.expect_event(self.subscription).1, payload(json!([["still here"]])));
        Client::join(self.router.address(), Wire::JSON).leave();
        let elapsed = start.elapsed();
        assert!(elapsed < Duration::from_secs(5), "others waited for {elapsed:?}");
    }
}

/// A list in a list in a list.
fn nested(serializer: Serializer, depth: usize) -> Vec<u8> {
    match serializer {
        Serializer::Json | Serializer::Ubjson => ["[".repeat(depth), "]".repeat(depth)].concat().into_bytes(),
        Serializer::MsgPack => [vec![0x91; depth - 1], vec![0x90]].concat(),
        Serializer::Cbor => [vec![0x81; depth - 1], vec![0x80]].concat(),
    }
}

#[test]
fn deep_nesting_before_hello() {
    World::each(|world| {
        for wire in Wire::all() {
            let _context = Context(wire);
            for depth in [10_000, 200_000] {
                let mut client = Client::connect(world.router.address(), wire);
                client.send_octets(&nested(wire.serializer, depth));
                client.expect_abort("wamp.error.protocol_violation");
                world.check();
            }
        }
    });
}

#[test]
fn deep_nesting_in_a_session() {
    World::each(|world| {
        for wire in Wire::all() {
            let _context = Context(wire);
            for depth in [200, 10_000, 200_000] {
                let serializer = wire.serializer;
                let mut publish = serializer.encode(&json!([16, 1, {}, "com.test.deep"]).into());
                match serializer {
                    Serializer::Json => {
                        publish.pop();
                        publish.push(b',');
                    }
                    Serializer::Ubjson => drop(publish.pop()),
                    _ => publish[0] += 1,
                }
                publish.extend(nested(serializer, depth));
                if matches!(serializer, Serializer::Json | Serializer::Ubjson) {
                    publish.push(b']');
                }
                let mut client = Client::join(world.router.address(), wire);
                client.send_octets(&publish);
                client.expect_abort("wamp.error.protocol_violation");
                // Unclosed, and in the options.
                let mut client = Client::join(world.router.address(), wire);
                let mut open = nested(serializer, depth);
                open.truncate(depth);
                client.send_octets(&open);
                client.expect_abort("wamp.error.protocol_violation");
            }
            world.check();
        }
    });
}

#[test]
fn announced_lengths_are_not_believed() {
    World::each(|world| {
        let before = world.router.resident_kib();
        let mut open: Vec<TcpStream> = Vec::new();
        for length in [1u64 << 24, 1 << 30, 1 << 31, 1 << 32, 1 << 40, u64::MAX >> 1] {
            let mut stream = raw::upgraded_json(world.router.address());
            stream.write_all(&raw::frame_head(0x81, length)).expect("the router reads");
            stream.write_all(b"[").expect("the router reads");
            open.push(stream);
        }
        for _ in 0..100 {
            let mut stream = rawsocket(raw::connect(world.router.address()), Serializer::Json, 15);
            stream.write_all(&[0, 0xff, 0xff, 0xff, b'[']).expect("the router reads");
            open.push(stream);
        }
        world.check();
        let after = world.router.resident_kib();
        assert!(after < before + 50 * 1024, "{before} KiB before, {after} KiB after");
    });
}

#[test]
fn endless_fragments() {
    World::each(|world| {
        let before = world.router.resident_kib();
        let mut stream = raw::upgraded_json(world.router.address());
        let chunk = vec![b' '; 64 * 1024];
        let mut going_on = raw::write_or_closed(&mut stream, &raw::client_frame(0x01, &chunk));
        for _ in 0..1024 {
            if !going_on {
                break;
            }
            going_on = raw::write_or_closed(&mut stream, &raw::client_frame(0x00, &chunk));
        }
        raw::read_to_end(&mut stream, raw::PATIENCE);
        world.check();
        let after = world.router.resident_kib();
        assert!(after < before + 64 * 1024, "{before} KiB before, {after} KiB after");
    });
}

#[test]
fn many_tiny_fragments() {
    World::each(|world| {
        let mut stream = raw::upgraded_json(world.router.address());
        let mut octets = raw::client_frame(0x01, b" ");
        for _ in 0..200_000 {
            octets.extend(raw::client_frame(0x00, b""));
        }
        octets.extend(raw::client_frame(0x80, br#"[1,"realm1",{"roles":{"caller":{}}}]"#));
        if raw::write_or_closed(&mut stream, &octets) {
            let (first, answer) = raw::server_frame(&mut stream);
            assert!(first == 0x88 || answer.starts_with(b"[2,"), "{first:#x} {answer:?}");
        }
    });
}

#[test]
fn endless_headers() {
    World::each(|world| {
        let before = world.router.resident_kib();
        for line in ["X-A: b\r\n".repeat(100), "x".repeat(1000), format!("X-Long: {}\r\n", "y".repeat(900))] {
            let mut stream = raw::connect(world.router.address());
            let mut going_on = raw::write_or_closed(&mut stream, b"GET / HTTP/1.1\r\nHost: localhost\r\n");
            for _ in 0..10_000 {
                if !going_on {
                    break;
                }
                going_on = raw::write_or_closed(&mut stream, line.as_bytes());
            }
            let answer = raw::read_to_end(&mut stream, raw::PATIENCE);
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
        }
        let after = world.router.resident_kib();
        assert!(after < before + 20 * 1024, "{before} KiB before, {after} KiB after");
    });
}

#[test]
fn handshakes_that_never_end() {
    World::each(|world| {
        let address = world.router.address();
        let mut silent = vec![("nothing", raw::connect(address))];
        for (what, octets) in [
            ("half a request", &b"GET / HTTP/1.1\r\nHost: local"[..]),
            ("half a RawSocket handshake", b"\x7f\xf1"),
            ("garbage", b"\x16\x03\x01\x02"),
        ] {
            let mut stream = raw::connect(address);
            stream.write_all(octets).expect("the router reads");
            silent.push((what, stream));
        }
        silent.push(("no HELLO on WebSocket", raw::upgraded_json(address)));
        silent.push(("no HELLO on RawSocket", rawsocket(raw::connect(address), Serializer::Json, 15)));
        // One that drips.
        let mut dripping = raw::connect(address);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) && dripping.write_all(b"X").is_ok() {
            std::thread::sleep(Duration::from_millis(250));
            if closed(&dripping) {
                break;
            }
        }
        assert!(start.elapsed() < Duration::from_secs(60), "an endless handshake is kept");
        for (what, mut stream) in silent {
            eprintln!("waiting for the end of: {what}");
            raw::read_to_end(&mut stream, Duration::from_secs(40));
        }
    });
}

fn closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket option");
    let end = match stream.peek(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).expect("a socket option");
    end
}

#[test]
fn reserved_rawsocket_frames() {
    World::each(|world| {
        for kind in [3u8, 7, 8, 0x10, 0x80, 0xff] {
            let mut stream = rawsocket(raw::connect(world.router.address()), Serializer::Json, 15);
            raw::write_or_closed(&mut stream, &[kind, 0, 0, 1, b'x']);
            raw::read_to_end(&mut stream, raw::PATIENCE);
        }
    });
}

#[test]
fn garbage_after_the_rawsocket_handshake() {
    World::each(|world| {
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        for serializer in Serializer::ALL {
            for _ in 0..50 {
                let mut stream = rawsocket(raw::connect(world.router.address()), serializer, 15);
                let garbage: Vec<u8> = (0..2000)
                    .map(|_| {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        (random >> 56) as u8
                    })
                    .collect();
                // Never a frame of messages that only waits for its end.
                let garbage = [&[0, 0, 0, 9][..], &garbage].concat();
                raw::write_or_closed(&mut stream, &garbage);
                raw::read_to_end(&mut stream, raw::PATIENCE);
            }
        }
    });
}

#[test]
fn garbage_in_place_of_a_handshake() {
    World::each(|world| {
        for garbage in
            [&b"\0\0\0\0\0\0\0\0"[..], b"\r\n\r\n", b"SSH-2.0-x\r\n", &[0xff; 5000], b"\x16\x03\x01\x00\xa5\x01"]
        {
            let mut stream = raw::connect(world.router.address());
            raw::write_or_closed(&mut stream, garbage);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            raw::read_to_end(&mut stream, raw::PATIENCE);
        }
    });
}

#[test]
fn a_peer_that_is_gone_while_much_is_underway() {
    World::each(|world| {
        for wire in Wire::all() {
            for _ in 0..20 {
                let mut client = Client::join(world.router.address(), wire);
                for number in 0..50 {
                    client.send(json!([32, number + 1, {}, format!("com.test.gone.n{number}")]));
                    client.send(json!([64, number + 100, {}, uri("gone")]));
                    client.send(json!([48, number + 200, {}, uri("gone")]));
                }
            }
        }
    });
}

/// How much one stalled subscriber may cost, with room for the allocator.
const STALLED_KIB_MAX: u64 = 96 * 1024;

#[test]
fn a_subscriber_that_never_reads() {
    World::each(|world| {
        for wire in Wire::all() {
            let _context = Context(wire);
            flood_a_stalled_subscriber(world, wire);
        }
    });
}

/// Publishes until the stalled subscriber is ended, 512 MiB at most, while another one gets everything.
fn flood_a_stalled_subscriber(world: &mut World, wire: Wire) {
    let topic = uri("stalled");
    let mut stalled = Client::join(world.router.address(), wire);
    stalled.subscribe(&topic);
    let mut healthy = Client::join(world.router.address(), wire);
    let subscription = healthy.subscribe(&topic);
    let before = world.router.resident_kib();
    let text = Value::from(json!(["x".repeat(64 * 1024)]));
    let mut publisher = Client::join(world.router.address(), wire);
    for number in 0..1024u64 {
        let args = Value::from(json!({ "number": number }));
        publisher.publish(&topic, &[text.clone(), args.clone()]);
        let (_, body) = healthy.expect_event(subscription);
        assert_eq!(body[1], args, "the healthy subscriber misses nothing");
        if number % 64 == 63 {
            world.check();
            let now = world.router.resident_kib();
            assert!(now < before + STALLED_KIB_MAX, "{before} KiB before, {now} KiB after {number} events");
        }
    }
    // What fitted into buffers can be read, and then it ends.
    let start = Instant::now();
    while let Incoming::Message(_) = stalled.poll(Duration::from_secs(10)) {
        assert!(start.elapsed() < Duration::from_secs(30), "the stalled subscriber was not ended");
    }
    assert!(matches!(stalled.poll(Duration::from_millis(100)), Incoming::End(_)), "the stalled subscriber was ended");
}

#[test]
fn a_caller_that_never_reads_its_results() {
    World::each(|world| {
        let wire = Wire { transport: Transport::RawSocket, serializer: Serializer::Json };
        let before = world.router.resident_kib();
        let mut callee = Client::join(world.router.address(), wire);
        let procedure = uri("unread");
        callee.register(&procedure);
        let mut caller = Client::join(world.router.address(), wire);
        let text = "y".repeat(64 * 1024);
        let mut ended = false;
        for _ in 0..1000 {
            if closed(caller.stream()) {
                ended = true;
                break;
            }
            caller.call(&procedure, &[]);
            let Incoming::Message(message) = callee.poll(Duration::from_millis(500)) else { break };
            assert_eq!(message[0].uint(), 68, "{message:?}");
            callee.send(json!([70, message[1].uint(), {}, [text]]));
        }
        let after = world.router.resident_kib();
        assert!(after < before + STALLED_KIB_MAX, "{before} KiB before, {after} KiB after; ended: {ended}");
    });
}
