//! Events with many receivers, which are written in slices, and clients that keep a shard busy.

use super::uri;
use crate::support::client::payload;
use crate::support::{Client, Router, Serializer, Transport, Wire};
use serde_json::json;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const WIRE: Wire = Wire { transport: Transport::WebSocket, serializer: Serializer::Json };

/// More than what is written at once.
const SUBSCRIBERS: usize = 150;

const EVENTS: u64 = 50;

/// Two publishers send to many subscribers, who call a procedure all the while: every event and every result comes, the
/// events of each publisher in order.
fn all_that_is_written_arrives(flags: &[&str]) {
    let router = Router::start(flags);
    let (topic, procedure) = (uri("wide"), uri("echo"));
    let mut callee = Client::join(router.address(), WIRE);
    let registration = callee.register(&procedure);
    let mut subscribers: Vec<(Client, u64)> = (0..SUBSCRIBERS)
        .map(|n| {
            // More than one kind of frame.
            let serializer = if n % 3 == 0 { Serializer::Cbor } else { Serializer::Json };
            let mut client = Client::join(router.address(), Wire { serializer, ..WIRE });
            let subscription = client.subscribe(&topic);
            (client, subscription)
        })
        .collect();
    let mut publishers = [0, 1].map(|_| Client::join(router.address(), WIRE));
    let mut calls = Vec::new();
    for number in 0..EVENTS {
        for (who, publisher) in publishers.iter_mut().enumerate() {
            let request = publisher.next();
            publisher.send(json!([16, request, {}, topic, [who, number]]));
        }
        for (client, _) in subscribers.iter_mut().skip(number as usize).step_by(EVENTS as usize) {
            calls.push(client.call(&procedure, &payload(json!([[number]]))));
        }
    }
    for _ in &calls {
        let (request, _) = callee.expect_invocation(registration);
        callee.send(json!([70, request, {}, []]));
    }
    for (client, subscription) in &mut subscribers {
        let mut next = [0, 0];
        let mut results = 0;
        while next != [EVENTS; 2] || results < 1 {
            let message = client.recv();
            if message[0].uint() == 50 {
                results += 1;
                continue;
            }
            assert_eq!((message[0].uint(), message[1].uint()), (36, *subscription));
            let (who, number) = (message[4].list()[0].uint() as usize, message[4].list()[1].uint());
            assert_eq!(number, next[who], "an event of publisher {who} is lost, doubled or out of order");
            next[who] += 1;
        }
    }
}

#[test]
fn written_at_once() {
    all_that_is_written_arrives(&["--shards", "1"]);
}

#[test]
fn written_by_four_shards() {
    all_that_is_written_arrives(&["--shards", "4", "--no-pin"]);
}

#[test]
fn written_with_a_delay() {
    all_that_is_written_arrives(&["--shards", "2", "--no-pin", "--write-delay", "30"]);
}

#[test]
fn written_by_shards_that_do_not_sleep_at_once() {
    all_that_is_written_arrives(&["--shards", "2", "--no-pin", "--spin", "500"]);
}

/// Answers do not wait for what is delayed.
#[test]
fn a_delay_is_for_events_alone() {
    let router = Router::start(&["--shards", "1", "--write-delay", "10000"]);
    let topic = uri("delayed");
    let mut client = Client::join(router.address(), WIRE);
    client.subscribe(&topic);
    let mut publisher = Client::join(router.address(), WIRE);
    publisher.publish(&topic, &[]);
    client.expect_silence(Duration::from_millis(200));
    // An answer takes along what waits before it.
    let request = client.next();
    client.send(json!([32, request, {}, uri("other")]));
    client.expect(36);
    client.expect(33);
}

/// A client that sends as fast as it can what makes the router write nothing must not keep others out.
#[test]
fn a_flood_keeps_nobody_out() {
    let router = Router::start(&["--shards", "1"]);
    let over = Arc::new(AtomicBool::new(false));
    let message = json!([16, 1, {}, uri("nobody"), ["x".repeat(200)]]).to_string();
    let mut frame = u32::try_from(message.len()).expect("short").to_be_bytes().to_vec();
    frame.extend(message.as_bytes());
    let much = Arc::new(frame.repeat(4_000));
    let floods: Vec<_> = (0..2)
        .map(|_| {
            let client = Client::join(router.address(), Wire { transport: Transport::RawSocket, ..WIRE });
            let (over, much) = (over.clone(), much.clone());
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    client.stream().write_all(&much).expect("the router reads");
                }
            })
        })
        .collect();
    for _ in 0..20 {
        Client::join(router.address(), WIRE).leave();
    }
    over.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().expect("the flood ends"));
}
