//! What the runtime does when time or memory runs short: a router in this process, with small limits.

mod support;

use corebar::config::RuntimeConfig;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use support::node::with_router;

/// A RawSocket client that speaks JSON.
struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let mut socket = TcpStream::connect(address).expect("the router listens");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        socket.write_all(&[0x7f, 0xf1, 0, 0]).expect("the handshake");
        let mut answer = [0; 4];
        socket.read_exact(&mut answer).expect("the handshake is answered");
        assert_eq!(answer[1] & 0x0f, 1);
        Client(socket)
    }

    fn join(address: SocketAddr) -> Client {
        let mut client = Client::connect(address);
        client.send(r#"[1,"realm1",{"roles":{"publisher":{},"subscriber":{}}}]"#);
        assert!(client.receive().starts_with("[2,"));
        client
    }

    fn subscribe(&mut self, topic: &str) {
        self.send(&format!("[32,1,{{}},{topic:?}]"));
        assert!(self.receive().starts_with("[33,1,"));
    }

    fn send(&mut self, message: &str) {
        let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
        self.0.write_all(&[&length, message.as_bytes()].concat()).expect("the router reads");
    }

    fn receive(&mut self) -> String {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).expect("a message");
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut message).expect("the rest of the message");
        String::from_utf8(message).expect("JSON")
    }
}

/// Waits for the router to close the connection, and gives how long it took.
fn closed_after(socket: &mut TcpStream) -> Duration {
    let start = Instant::now();
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
    let mut buffer = [0; 1024];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return start.elapsed(),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return start.elapsed(),
            Err(error) => panic!("the connection was not closed: {error}"),
        }
    }
}

const LIMIT: Duration = Duration::from_millis(300);

#[test]
fn a_handshake_that_does_not_end_is_ended() {
    with_router(
        |config| config.handshake_timeout = LIMIT,
        |address| {
            let mut silent = TcpStream::connect(address).expect("the router listens");
            let mut half = TcpStream::connect(address).expect("the router listens");
            half.write_all(b"GET / HTTP/1.1\r\nHo").expect("half a request");
            let mut joined = Client::join(address);
            let took = closed_after(&mut silent);
            assert!(took > LIMIT / 2 && took < LIMIT * 10, "{took:?}");
            closed_after(&mut half);
            joined.subscribe("com.example.still.there");
        },
    );
}

#[test]
fn a_client_without_hello_is_ended() {
    with_router(
        |config| config.limits.hello_timeout = LIMIT,
        |address| {
            let mut client = Client::connect(address);
            assert!(client.receive().starts_with("[3,"), "an ABORT says why");
            closed_after(&mut client.0);
        },
    );
}

#[test]
fn a_client_that_does_not_close_is_closed() {
    with_router(
        |config| config.close_timeout = LIMIT,
        |address| {
            let mut probe = TcpStream::connect(address).expect("the router listens");
            probe.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
            // The router has said all it had to say: it ends its side at once, and later the whole connection.
            closed_after(&mut probe);
            thread::sleep(LIMIT * 3);
            let broken = (0..20).any(|_| {
                thread::sleep(Duration::from_millis(20));
                probe.write_all(b"still here").is_err()
            });
            assert!(broken, "the connection is still open");
        },
    );
}

#[test]
fn a_reader_that_falls_behind_is_ended_and_others_are_not() {
    with_router(
        |config| config.out_queue_bytes_max = 256 * 1024,
        |address| {
            let topic = "com.example.flood";
            let (mut stalled, mut reader) = (Client::join(address), Client::join(address));
            stalled.subscribe(topic);
            reader.subscribe(topic);
            let counter = thread::spawn(move || {
                (0..3000).for_each(|_| assert!(reader.receive().starts_with("[36,")));
            });
            let mut publisher = Client::join(address);
            let event = format!("[16,1,{{}},{topic:?},[{:?}]]", "x".repeat(8000));
            for number in 1..=3000 {
                publisher.send(&event.replacen("[16,1,", &format!("[16,{number},"), 1));
                if number % 20 == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            counter.join().expect("the reader gets everything");
            closed_after(&mut stalled.0);
        },
    );
}

/// Rings of one batch and the smallest marks: reading stops and goes on all the time, and nothing is lost.
#[test]
fn pressure_between_shards_loses_nothing() {
    const EVENTS: usize = 20_000;
    let change = |config: &mut RuntimeConfig| {
        config.shards = Some(3);
        config.ring_batches = 1;
        config.overflow_high_bytes = 1;
        config.overflow_low_bytes = 0;
    };
    with_router(change, |address| {
        let mut subscribers: Vec<Client> = (0..3).map(|_| Client::join(address)).collect();
        subscribers.iter_mut().for_each(|subscriber| subscriber.subscribe("com.example.count"));
        let counters: Vec<_> = subscribers
            .into_iter()
            .map(|mut subscriber| {
                thread::spawn(move || {
                    for number in 0..EVENTS {
                        let event = subscriber.receive();
                        assert!(event.ends_with(&format!("[{number}]]")), "{event} is not event {number}");
                    }
                })
            })
            .collect();
        let mut publisher = Client::join(address);
        for chunk in 0..EVENTS / 100 {
            let mut octets = Vec::new();
            for number in chunk * 100..(chunk + 1) * 100 {
                let message = format!(r#"[16,{},{{}},"com.example.count",[{number}]]"#, number + 1);
                octets.extend_from_slice(&u32::try_from(message.len()).expect("short").to_be_bytes());
                octets.extend_from_slice(message.as_bytes());
            }
            publisher.0.write_all(&octets).expect("the router reads in the end");
        }
        counters.into_iter().for_each(|counter| counter.join().expect("every event, in order"));
    });
}

#[test]
fn shutting_down_waits_for_clients_but_not_for_ever() {
    let mut kept = Vec::new();
    let took = with_router(|config| config.shutdown_timeout = LIMIT, |address| kept.push(Client::join(address)));
    assert!(took >= LIMIT && took < LIMIT * 10, "{took:?}");
    assert!(kept[0].receive().contains("wamp.close.system_shutdown"));
    let took = with_router(|_| {}, |address| drop(Client::join(address)));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// Publishes to many, calls a procedure behind that, and gives how many subscribers have been sent nothing when the
/// result comes: the most of some rounds.
fn waiting_when_a_call_is_answered(address: SocketAddr) -> usize {
    let mut callee = Client::join(address);
    callee.send(r#"[64,1,{},"com.example.echo"]"#);
    assert!(callee.receive().starts_with("[65,1,"));
    let rounds = 20;
    let answering = thread::spawn(move || {
        for _ in 0..rounds {
            let invocation = callee.receive();
            let request = invocation.split(',').nth(1).expect("a request id").to_owned();
            callee.send(&format!("[70,{request},{{}}]"));
        }
        callee
    });
    let mut subscribers: Vec<Client> = (0..400).map(|_| Client::join(address)).collect();
    subscribers.iter_mut().for_each(|client| client.subscribe("com.example.wide"));
    let mut caller = Client::join(address);
    let mut most = 0;
    for round in 0..rounds {
        let publish = format!(r#"[16,{},{{}},"com.example.wide",["x"]]"#, 2 * round + 1);
        let call = format!(r#"[48,{},{{}},"com.example.echo"]"#, 2 * round + 2);
        let framed = |message: &str| [&(message.len() as u32).to_be_bytes(), message.as_bytes()].concat();
        caller.0.write_all(&[framed(&publish), framed(&call)].concat()).expect("the router reads");
        assert!(caller.receive().starts_with("[50,"));
        let has_nothing = |client: &&Client| {
            client.0.set_nonblocking(true).expect("a socket option");
            let peeked = client.0.peek(&mut [0]);
            client.0.set_nonblocking(false).expect("a socket option");
            peeked.is_err()
        };
        most = most.max(subscribers.iter().filter(has_nothing).count());
        subscribers.iter_mut().for_each(|client| assert!(client.receive().starts_with("[36,")));
    }
    drop(answering.join());
    most
}

#[test]
fn a_call_does_not_wait_until_an_event_has_been_written_to_all() {
    let run = |slice| {
        let mut most = 0;
        with_router(|config| config.write_slice = slice, |address| most = waiting_when_a_call_is_answered(address));
        most
    };
    assert!(run(Duration::ZERO) > 0, "the event has been written in one piece");
    assert_eq!(run(Duration::from_secs(60)), 0, "the slice is as long as it is configured");
}

#[test]
fn a_client_is_not_ended_for_what_it_has_not_been_sent() {
    let limit = 8 * 1024;
    with_router(
        |config| {
            config.out_queue_bytes_max = limit;
            config.write_slice = Duration::ZERO;
        },
        |address| {
            let mut subscribers: Vec<Client> = (0..100).map(|_| Client::join(address)).collect();
            subscribers.iter_mut().for_each(|client| client.subscribe("com.example.wide"));
            let mut publisher = Client::join(address);
            let events = 10 * limit / 128;
            let text = "x".repeat(128);
            let message = |number| format!(r#"[16,{number},{{}},"com.example.wide",["{text}"]]"#);
            let all: Vec<u8> = (1..=events)
                .map(message)
                .flat_map(|message| [&(message.len() as u32).to_be_bytes(), message.as_bytes()].concat())
                .collect();
            publisher.0.write_all(&all).expect("the router reads");
            for client in &mut subscribers {
                (0..events).for_each(|_| assert!(client.receive().starts_with("[36,")));
            }
        },
    );
}
