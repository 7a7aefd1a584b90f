//! Several publications in one request, and requests that come again.

use super::support::client::payload;
use super::support::http::{Http, Response};
use super::support::{Client, Wire};
use super::{ask, bridge, on_shards, with};
use corebar::config::bridge::Action;
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::thread;

#[test]
fn several_publications_come_in_one_request() {
    let paths = || vec![bridge("/publish", Action::Publish, |_| {}), bridge("/call", Action::Call, |_| {})];
    on_shards(paths, |address| {
        let mut client = Client::join(address, Wire::JSON);
        client.subscribe("com.x");
        for _ in 0..4 {
            let mut http = Http::connect(address);
            let list = json!([
                {"topic": "com.x", "args": [1]},
                {"topic": "secret.x"},
                {"topic": "com.x", "args": 2},
            ]);
            let (status, answers) = ask(&mut http, "/publish", list);
            assert_eq!((status, answers.as_array().map(Vec::len)), (200, Some(3)), "{answers}");
            let event = client.event();
            assert_eq!((Some(event.publication), event.payload), (answers[0]["id"].as_u64(), payload(json!([[1]]))));
            assert_eq!(answers[1]["error"], "wamp.error.not_authorized");
            assert_eq!(answers[2]["error"], "'args' has to be a list and 'kwargs' an object");
            // In their order, and the session goes on.
            let (_, answers) = ask(&mut http, "/publish", json!([{"topic": "com.x", "args": [1]}, {"topic": "com.x"}]));
            for number in 0..2 {
                assert_eq!(Some(client.event().publication), answers[number]["id"].as_u64());
            }
            let four = json!([{"topic": "a"}, {"topic": "a"}, {"topic": "a"}, {"topic": "a"}]);
            for wrong in [json!([]), four] {
                assert_eq!(ask(&mut http, "/publish", wrong).0, 400);
            }
            let (status, answers) = ask(&mut http, "/publish", json!([1, {}]));
            assert_eq!((status, answers[1]["error"].as_str()), (200, Some("'topic' is missing")));
            assert_eq!(ask(&mut http, "/call", json!([{"procedure": "com.x"}])).0, 400);
        }
    });
}

fn keyed(address: SocketAddr, path: &str, key: &str, body: &Json) -> Response {
    let mut http = Http::connect(address);
    http.write(with(path, &format!("Idempotency-Key: \"{key}\"\r\n"), &body.to_string()));
    http.response()
}

#[test]
fn what_comes_again_is_not_done_again() {
    let paths = || vec![bridge("/publish", Action::Publish, |_| {}), bridge("/call", Action::Call, |_| {})];
    on_shards(paths, |address| {
        let mut client = Client::join(address, Wire::JSON);
        client.subscribe("com.x");
        let body = json!({"topic": "com.x", "args": [1]});
        let first = keyed(address, "/publish", "a", &body).expect(200);
        assert_eq!(first.header("idempotent-replayed"), None);
        let publication = client.event().publication;
        // By other connections, and so on other shards.
        for _ in 0..8 {
            let again = keyed(address, "/publish", "a", &body).expect(200);
            assert_eq!((again.text(), again.header("idempotent-replayed")), (first.text(), Some("true")));
        }
        keyed(address, "/publish", "a", &json!({"topic": "com.x", "args": [2]})).expect(422);
        keyed(address, "/publish", &"k".repeat(256), &body).expect(400);
        let other = keyed(address, "/publish", "b", &json!([body, body])).expect(200);
        let numbers: Vec<Json> = serde_json::from_str(&other.text()).expect("a list");
        for answer in &numbers {
            let event = client.event();
            assert!(event.publication != publication && answer["id"] == json!(event.publication));
        }
        assert_eq!(keyed(address, "/publish", "b", &json!([body, body])).expect(200).text(), other.text());
        // What could not be done may come again, with a better body too.
        keyed(address, "/publish", "c", &json!({"topic": "com.x", "args": 1})).expect(400);
        keyed(address, "/publish", "c", &body).expect(200);
        client.event();
        let call = json!({"procedure": "com.later"});
        let none = keyed(address, "/call", "a", &call).expect(200);
        assert!(none.text().contains("no_such_procedure"), "{}", none.text());
        let mut callee = Client::join(address, Wire::JSON);
        let later = callee.register("com.later");
        let waiting = {
            let call = call.clone();
            thread::spawn(move || keyed(address, "/call", "a", &call).expect(200).text())
        };
        let (request, _) = callee.expect_invocation(later);
        keyed(address, "/call", "a", &call).expect(409);
        callee.send(json!([70, request, {}, [5]]));
        assert_eq!(waiting.join().expect("an answer"), r#"{"args":[5]}"#);
        for _ in 0..4 {
            assert_eq!(keyed(address, "/call", "a", &call).expect(200).text(), r#"{"args":[5]}"#);
        }
        let marker = callee.publish("com.x", &[]);
        assert_eq!(client.event().publication, marker, "nothing else has been published");
    });
}
