//! Many of everything: what holds for a few must hold for a hundred thousand.

use super::uri;
use crate::support::{Client, Router, Serializer, Transport, Wire};
use serde_json::json;

const WIRE: Wire = Wire { transport: Transport::WebSocket, serializer: Serializer::Json };

/// Requests that are sent before their answers are read.
const AHEAD: usize = 500;

fn router() -> Router {
    Router::start(&["--shards", "4", "--no-pin"])
}

/// Subscribes to all of these; gives the subscriptions.
fn subscribe_all(client: &mut Client, options: &serde_json::Value, topics: &[String]) -> Vec<u64> {
    let mut ids = Vec::new();
    for some in topics.chunks(AHEAD) {
        let requests: Vec<u64> = some.iter().map(|topic| client.request(32, options, topic, &[])).collect();
        let mut answers: Vec<(u64, u64)> = requests
            .iter()
            .map(|_| {
                let subscribed = client.expect(33);
                (subscribed[1].uint(), subscribed[2].uint())
            })
            .collect();
        // Answers to different requests may come in any order.
        answers.sort_unstable();
        assert!(answers.iter().map(|(request, _)| request).eq(requests.iter()));
        ids.extend(answers.into_iter().map(|(_, id)| id));
    }
    ids
}

#[test]
fn a_hundred_thousand_subscriptions() {
    let router = router();
    let base = uri("scale");
    let mut publisher = Client::join(router.address(), WIRE);
    let mut subscribers: Vec<(Client, Vec<u64>)> = (0..10)
        .map(|n| {
            let mut client = Client::join(router.address(), WIRE);
            let topics: Vec<String> = (0..10_000).map(|topic| format!("{base}.c{n}.t{topic}")).collect();
            let ids = subscribe_all(&mut client, &json!({}), &topics);
            (client, ids)
        })
        .collect();
    for topic in (0..10_000).step_by(997) {
        for n in 0..10 {
            publisher.publish(&format!("{base}.c{n}.t{topic}"), &[]);
        }
        for (client, ids) in &mut subscribers {
            client.expect_event(ids[topic]);
        }
    }
    let lists = publisher.told("wamp.subscription.list", &json!([]));
    assert_eq!(lists.dict()["exact"].list().len(), 100_000);
}

#[test]
fn ten_thousand_patterns() {
    let router = router();
    let base = uri("patterns");
    let mut publisher = Client::join(router.address(), WIRE);
    let mut subscriber = Client::join(router.address(), WIRE);
    let prefixes: Vec<String> = (0..5_000).map(|n| format!("{base}.p{n}.")).collect();
    let wildcards: Vec<String> = (0..5_000).map(|n| format!("{base}..w{n}")).collect();
    let by_prefix = subscribe_all(&mut subscriber, &json!({"match": "prefix"}), &prefixes);
    let by_wildcard = subscribe_all(&mut subscriber, &json!({"match": "wildcard"}), &wildcards);
    for n in (0..5_000).step_by(499) {
        publisher.publish(&format!("{base}.p{n}.w{}", 4_999 - n), &[]);
        subscriber.expect_event(by_prefix[n]);
        subscriber.expect_event(by_wildcard[4_999 - n]);
    }
}

#[test]
fn a_thousand_shared_callees() {
    let router = router();
    let procedure = uri("thousand");
    let mut callees: Vec<Client> = (0..1_000)
        .map(|_| {
            let mut callee = Client::join(router.address(), WIRE);
            callee.register_with(&procedure, &json!({"invoke": "roundrobin"}));
            callee
        })
        .collect();
    let mut caller = Client::join(router.address(), WIRE);
    for _ in 0..2 {
        let calls: Vec<u64> = callees.iter().map(|_| caller.call(&procedure, &[])).collect();
        for callee in &mut callees {
            let invocation = callee.invocation();
            callee.answer(invocation.request, &json!({}), &[]);
        }
        let mut results: Vec<u64> = calls.iter().map(|_| caller.expect(50)[1].uint()).collect();
        results.sort_unstable();
        assert_eq!(results, calls);
    }
}
