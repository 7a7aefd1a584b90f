//! The client on a stage: a test that plays the router says what no router can be brought to say at will.

use corebar::client::{Connect, Session};
use corebar::wamp::Serializer;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The router's end of a connection with RawSocket and JSON.
struct Stage(UnixStream);

impl Stage {
    /// Lets a session in.
    async fn open() -> (Stage, Session) {
        let (client, router) = std::os::unix::net::UnixStream::pair().expect("a pair");
        router.set_nonblocking(true).expect("a socket");
        let mut stage = Stage(UnixStream::from_std(router).expect("a socket"));
        let connect = Connect { serializers: vec![Serializer::Json], ..Connect::new("", "realm1") };
        let enters = async {
            let mut hello = [0; 4];
            stage.0.read_exact(&mut hello).await.expect("a handshake");
            stage.0.write_all(&hello).await.expect("written");
            assert_eq!(stage.hear().await[0], 1);
            stage.say(&json!([2, 7, {"roles": {"broker": {}, "dealer": {}}}])).await;
        };
        let (session, ()) = tokio::join!(connect.open_on(client), enters);
        (stage, session.expect("a session"))
    }

    async fn hear(&mut self) -> Value {
        let mut head = [0; 4];
        self.0.read_exact(&mut head).await.expect("a message");
        let mut text = vec![0; u32::from_be_bytes(head) as usize];
        self.0.read_exact(&mut text).await.expect("a message");
        serde_json::from_slice(&text).expect("JSON")
    }

    async fn say(&mut self, message: &Value) {
        let text = message.to_string();
        let mut octets = u32::try_from(text.len()).expect("it is short").to_be_bytes().to_vec();
        octets.extend(text.as_bytes());
        self.0.write_all(&octets).await.expect("written");
    }
}

fn on_stage(play: impl AsyncFnOnce(Stage, Session)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (stage, session) = Stage::open().await;
        let done = tokio::time::timeout(Duration::from_secs(60), play(stage, session)).await;
        done.expect("the test does not hang");
    });
}

/// More arguments may cross the INTERRUPT of a call.
#[test]
fn arguments_of_a_call_that_was_interrupted_are_no_new_call() {
    on_stage(async |mut stage, session| {
        let registers = tokio::spawn(async move { session.offer("com.sum").open().await });
        let asked = stage.hear().await;
        assert_eq!(asked[0], 64);
        stage.say(&json!([65, asked[1], 5])).await;
        let mut calls = registers.await.expect("no panic").expect("registered");
        stage.say(&json!([68, 1, 5, {"progress": true}, [1]])).await;
        let mut call = calls.next().await.expect("a call");
        stage.say(&json!([69, 1, {}])).await;
        call.interrupted().await;
        let refused = stage.hear().await;
        assert_eq!((&refused[0], &refused[2], &refused[4]), (&json!(8), &json!(1), &json!("wamp.error.canceled")));
        stage.say(&json!([68, 1, 5, {"progress": true}, [2]])).await;
        stage.say(&json!([68, 1, 5, {}, [3]])).await;
        // What comes next is another call.
        stage.say(&json!([68, 2, 5, {}, [4]])).await;
        let call = calls.next().await.expect("a call");
        assert_eq!(call.arg::<u64>(0), Ok(4));
        call.answer(4);
        assert_eq!(stage.hear().await, json!([70, 2, {}, [4]]));
    });
}

/// Crossbar.io refuses filters that it does not know.
#[test]
fn a_history_is_asked_for_in_reverse_only_where_that_is_wanted() {
    on_stage(async |mut stage, session| {
        let asks = tokio::spawn(async move {
            let oldest = session.history("com.past").oldest(3).fetch().await.expect("a history");
            assert_eq!(oldest.len(), 1);
            session.history("com.past").newest(3).fetch().await.expect("a history");
        });
        for filter in [json!({"limit": 3}), json!({"limit": 3, "reverse": true})] {
            let lookup = stage.hear().await;
            assert_eq!(lookup[3], "wamp.subscription.lookup");
            stage.say(&json!([50, lookup[1], {}, [9]])).await;
            let asked = stage.hear().await;
            assert_eq!(
                (&asked[3], &asked[4], &asked[5]),
                (&json!("wamp.subscription.get_events"), &json!([9]), &filter)
            );
            stage.say(&json!([50, asked[1], {}, [{"publication": 1, "args": [1]}]])).await;
        }
        asks.await.expect("no panic");
    });
}
