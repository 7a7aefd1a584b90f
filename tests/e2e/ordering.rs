//! What `docs/ordering.md` promises, over sockets and with more shards than cores.

use super::uri;
use crate::support::client::payload;
use crate::support::{Client, Router, Serializer, Transport, Value, Wire};
use serde_json::json;
use std::collections::HashMap;
use std::thread;

/// A different wire for each client.
fn wire(index: usize) -> Wire {
    Wire::all().nth(index % 6).expect("there are six")
}

fn every_publication_once_and_in_order(shards: u16) {
    const PUBLISHERS: u64 = 8;
    const SUBSCRIBERS: usize = 12;
    const EVENTS: u64 = 400;
    let router = Router::shared(shards);
    let address = router.address();
    let topics = [uri("pairs"), uri("pairs"), uri("pairs")];
    let subscribers: Vec<Client> = (0..SUBSCRIBERS)
        .map(|index| {
            let mut client = Client::join(address, wire(index));
            topics.iter().for_each(|topic| {
                client.subscribe(topic);
            });
            client
        })
        .collect();
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let topics = &topics;
            scope.spawn(move || {
                let mut client = Client::join(address, wire(publisher as usize + 1));
                for number in 0..EVENTS {
                    let request = client.next();
                    let topic = &topics[(number % 3) as usize];
                    client.send(json!([16, request, {}, topic, [publisher, number]]));
                }
                client.leave();
            });
        }
        for mut subscriber in subscribers {
            scope.spawn(move || {
                let mut next = HashMap::new();
                for _ in 0..PUBLISHERS * EVENTS {
                    let event = subscriber.expect(36);
                    let args = event[4].list();
                    let expected = next.entry(args[0].uint()).or_insert(0);
                    assert_eq!(args[1].uint(), *expected, "of publisher {:?} at {}", args[0], subscriber.wire());
                    *expected += 1;
                }
                // Nothing twice: what comes next is the answer to this.
                let request = subscriber.call(&uri("nobody"), &[]);
                subscriber.expect_error(48, request, "wamp.error.no_such_procedure");
            });
        }
    });
}

fn subscribed_is_followed_by_every_later_event(shards: u16) {
    let router = Router::shared(shards);
    let mut publishers: Vec<Client> = (0..4).map(|index| Client::join(router.address(), wire(index))).collect();
    let mut subscribers: Vec<Client> = (0..4).map(|index| Client::join(router.address(), wire(index + 2))).collect();
    for round in 0..60 {
        let topic = uri("g3");
        for (index, subscriber) in subscribers.iter_mut().enumerate() {
            let subscription = subscriber.subscribe(&topic);
            // Any session that sends from now on is heard.
            let publisher = &mut publishers[(round + index) % 4];
            publisher.publish(&topic, &payload(json!([[round, index]])));
            assert_eq!(subscriber.expect_event(subscription).1, payload(json!([[round, index]])));
            subscriber.unsubscribe(subscription);
        }
    }
}

fn registered_is_followed_by_every_later_call(shards: u16) {
    let router = Router::shared(shards);
    let mut callers: Vec<Client> = (0..4).map(|index| Client::join(router.address(), wire(index))).collect();
    let mut callees: Vec<Client> = (0..4).map(|index| Client::join(router.address(), wire(index + 3))).collect();
    for round in 0..40 {
        let procedure = uri("g6");
        for (index, callee) in callees.iter_mut().enumerate() {
            let registration = callee.register(&procedure);
            let caller = &mut callers[(round + index) % 4];
            let call = caller.call(&procedure, &payload(json!([[round]])));
            let (invocation, _) = callee.expect_invocation(registration);
            callee.send(json!([70, invocation, {}, [round]]));
            assert_eq!(caller.expect_result(call), payload(json!([[round]])));
            callee.unregister(registration);
            // The next callee can have the name, and until then nobody is called.
            let call = caller.call(&procedure, &[]);
            caller.expect_error(48, call, "wamp.error.no_such_procedure");
        }
    }
}

fn calls_arrive_in_the_callers_order(shards: u16) {
    const CALLS: u64 = 200;
    let router = Router::shared(shards);
    let address = router.address();
    let procedures = [uri("g5"), uri("g5")];
    let mut callee = Client::join(address, Wire { transport: Transport::RawSocket, serializer: Serializer::Cbor });
    procedures.iter().for_each(|procedure| {
        callee.register(procedure);
    });
    thread::scope(|scope| {
        for caller in 0..6u64 {
            let procedures = &procedures;
            scope.spawn(move || {
                let mut client = Client::join(address, wire(caller as usize));
                for number in 0..CALLS {
                    client.call(&procedures[(number % 2) as usize], &payload(json!([[caller, number]])));
                }
                let mut answers: Vec<u64> = (0..CALLS).map(|_| client.expect(50)[1].uint()).collect();
                answers.sort_unstable();
                assert!(answers.into_iter().eq(1..=CALLS), "each call has one answer");
            });
        }
        let mut next = [0; 6];
        for number in 0..6 * CALLS {
            let message = callee.expect(68);
            assert_eq!(message[1].uint(), number + 1, "invocations count from 1");
            let args = message[4].list();
            let expected = &mut next[args[0].uint() as usize];
            assert_eq!(args[1].uint(), *expected, "of caller {:?}", args[0]);
            *expected += 1;
            callee.send(json!([70, message[1].uint(), {}]));
        }
    });
}

fn an_event_and_a_call_of_one_session_keep_their_order(shards: u16) {
    let router = Router::shared(shards);
    for index in 0..6 {
        let topic = uri("mixed");
        let procedure = uri("mixed");
        let mut receiver = Client::join(router.address(), wire(index));
        let mut sender = Client::join(router.address(), wire(index + 1));
        receiver.subscribe(&topic);
        receiver.register(&procedure);
        for number in 0..50u64 {
            let request = sender.next();
            sender.send(json!([16, request, {}, topic, [number]]));
            sender.call(&procedure, &payload(json!([[number]])));
        }
        for number in 0..50u64 {
            let args: Value = json!([number]).into();
            assert_eq!(receiver.expect(36)[4], args);
            assert_eq!(receiver.expect(68)[4], args);
        }
    }
}

macro_rules! with_shards {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[test]
            fn shards_1() {
                super::$name(1);
            }

            #[test]
            fn shards_4() {
                super::$name(4);
            }

            #[test]
            fn shards_8() {
                super::$name(8);
            }
        }
    )*};
}

with_shards! {
    every_publication_once_and_in_order,
    subscribed_is_followed_by_every_later_event,
    registered_is_followed_by_every_later_call,
    calls_arrive_in_the_callers_order,
    an_event_and_a_call_of_one_session_keep_their_order,
}
