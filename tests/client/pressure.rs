//! What must not grow, and what must not be left behind.

use crate::relay::{Relay, Way};
use crate::{NONE, address_of, with_router};
use corebar::client::{Connect, Load, RequestError, Session};
use corebar::wamp::Value;
use std::time::{Duration, Instant};

async fn open(url: &str) -> Session {
    Connect::new(url, "realm1").open().await.expect("a session")
}

async fn until(session: &Session, what: &str, wanted: impl Fn(Load) -> bool) {
    let start = Instant::now();
    while !wanted(session.load()) {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: {:?}", session.load());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn who_does_not_take_is_not_read() {
    with_router(
        |_| {},
        async |urls| {
            for url in &urls {
                let connect = Connect { queue_max: 100, ..Connect::new(url, "realm1") };
                let session = connect.open().await.expect("a session");
                let mut events = session.listen("com.example").open().await.expect("subscribed");
                let other = open(&urls[0]).await;
                for number in 0..5_000_u64 {
                    other.event("com.example").arg(number).send().await.expect("sent");
                }
                until(&session, "it is full", |load| load.held >= 100).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                // What was read at once, and no more. A read takes at most what the buffer grows to.
                let held = session.load().held;
                assert!(held < 4_000, "{held}");
                for number in 0..5_000_u64 {
                    let event = events.next().await.expect("an event");
                    assert_eq!(event.arg::<u64>(0), Ok(number));
                    assert!(session.load().held <= 4_000);
                }
                // Whoever waits for an answer gets it, though something is held.
                for number in 0..500_u64 {
                    other.event("com.example").arg(number).acknowledged().await.expect("published");
                }
                until(&session, "it is full", |load| load.held >= 100).await;
                let count = session.ask("wamp.session.count").timeout(Duration::from_secs(20));
                count.result::<u64>().await.expect("an answer");
                session.leave("wamp.close.normal").await;
            }
        },
    );
}

#[test]
fn who_is_not_read_stops_asking() {
    with_router(
        |_| {},
        async |urls| {
            let relay = Relay::new(address_of(&urls[0])).await;
            let session = open(&relay.url()).await;
            session.ask("wamp.session.count").result::<u64>().await.expect("it works");
            relay.set(Way::Silent);
            let large = vec![Value::from("x".repeat(64 << 10))];
            let publishes = async {
                for count in 0..10_000_u32 {
                    let sent = session.publish("com.example", large.clone(), NONE, NONE);
                    if tokio::time::timeout(Duration::from_millis(300), sent).await.is_err() {
                        return count;
                    }
                }
                panic!("everything was taken");
            };
            let count = publishes.await;
            assert!(session.load().unwritten < 2 << 20, "{:?}", session.load());
            relay.set(Way::Open);
            let count_there = session.ask("wamp.session.count").timeout(Duration::from_secs(30)).result::<u64>().await;
            assert!(count_there.is_ok(), "{count_there:?} after {count}");
        },
    );
}

#[test]
fn leaving_has_a_deadline() {
    with_router(
        |_| {},
        async |urls| {
            let relay = Relay::new(address_of(&urls[0])).await;
            let connect = Connect { leave_timeout: Duration::from_millis(200), ..Connect::new(&relay.url(), "realm1") };
            let session = connect.clone().open().await.expect("a session");
            relay.set(Way::Silent);
            let asks = session.clone();
            let waits = tokio::spawn(async move { asks.ask("wamp.session.count").outcome().await });
            tokio::task::yield_now().await;
            tokio::time::timeout(Duration::from_secs(20), session.leave("a.b")).await.expect("it ends all the same");
            assert_eq!(waits.await.expect("no panic"), Err(RequestError::Closed(None)));
            assert!(session.ended().await.contains("GOODBYE"));
            relay.set(Way::Open);
            // A session that is lost, and does not come back.
            let session = connect.open().await.expect("a session");
            let mut events = session.listen("com.example").open().await.expect("subscribed");
            relay.set(Way::Closed);
            assert!(events.next().await.is_none());
            assert_eq!(session.event("a.b").acknowledged().await, Err(RequestError::Closed(None)));
        },
    );
}
