//! Routers that are killed and networks that fail while everything is in use.

use crate::NONE;
use crate::reconnect::{cut, joined, next, quick, until};
use crate::relay::{Relay, Way};
use crate::support::Router;
use corebar::client::{CancelMode, Connect, Reconnect, RequestError, Session, State, TestamentScope};
use corebar::wamp::Serializer;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// For what has to come, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(40);

fn connect(url: &str, serializer: Serializer) -> Connect {
    let (ping_interval, ping_timeout) = (Duration::from_millis(100), Duration::from_millis(500));
    let reconnect = Some(quick());
    let serializers = vec![serializer];
    let connect = Connect::new(url, "realm1");
    Connect { reconnect, serializers, ping_interval, ping_timeout, ping_rawsocket: true, ..connect }
}

/// What became of the calls.
#[derive(Default)]
struct Ledger {
    made: AtomicU64,
    ended: AtomicU64,
    lost: AtomicU64,
}

/// Calls until it is told to stop. Each call has an answer or a clear error, in time.
async fn calls(session: Session, ledger: Arc<Ledger>, stop: Arc<AtomicBool>) {
    let mut others = BTreeMap::<String, u64>::new();
    while !stop.load(Ordering::Acquire) {
        ledger.made.fetch_add(1, Ordering::Relaxed);
        let number = fastrand::i64(0..1000);
        let (asked, late) = (session.ask("com.out.add").arg(number).arg(1), fastrand::u8(0..4) == 0);
        let call = if late { session.ask("com.out.late").arg(number).arg(1) } else { asked };
        let ended = tokio::time::timeout(PATIENCE, call.result::<i64>()).await.expect("each call ends");
        ledger.ended.fetch_add(1, Ordering::Relaxed);
        match ended {
            Ok(sum) => assert_eq!(sum, number + 1),
            Err(RequestError::Disconnected) => {
                ledger.lost.fetch_add(1, Ordering::Relaxed);
                // Who has no connection finds that out at once.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // The session that is called may be the one that is lost.
            Err(RequestError::Refused(why)) => {
                *others.entry(why.error.to_string()).or_default() += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    let known = ["wamp.error.no_such_procedure", "wamp.error.canceled", "wamp.error.unavailable"];
    assert!(others.keys().all(|error| known.contains(&error.as_str())), "{others:?}");
}

/// What happens to the network or the router. Gives the router that is there then.
async fn outage(round: usize, relay: &Relay, router: Router, sessions: [&Session; 2]) -> Router {
    let away = async |session: &Session| drop(until(session, |state| matches!(state, State::Away { .. })).await);
    match round % 4 {
        // Connections are cut; once more as soon as there are new ones.
        0 => {
            cut(relay, sessions[0]).await;
            relay.cut().await;
            router
        }
        // Everything stalls, and goes on.
        1 => {
            relay.set(Way::Silent);
            for session in sessions {
                away(session).await;
            }
            relay.set(Way::Open);
            router
        }
        // Old connections lead nowhere, and the router does not learn of it; new ones are good.
        2 => {
            let before = sessions.map(Session::id);
            relay.set(Way::Frozen);
            for (session, before) in sessions.into_iter().zip(before) {
                until(session, |state| matches!(state, State::Joined(id) if *id != before)).await;
            }
            relay.set(Way::Open);
            router
        }
        // The router is killed, and there is another one.
        _ => {
            router.signal("KILL");
            router.wait(PATIENCE);
            for session in sessions {
                away(session).await;
            }
            let router = Router::start(&["--shards", "2", "--no-pin"]);
            relay.lead_to(router.address());
            router
        }
    }
}

/// Tries until the procedure is there again, which the router may still hold for the lost session.
async fn works(session: &Session) {
    let start = tokio::time::Instant::now();
    while session.ask("com.out.add").arg(2).arg(3).timeout(Duration::from_secs(1)).result::<i64>().await != Ok(5) {
        assert!(start.elapsed() < PATIENCE, "the procedure does not come back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn everything_comes_back_while_it_is_in_use() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for raw in [false, true] {
            let mut router = Router::start(&["--shards", "2", "--no-pin"]);
            let relay = Relay::new(router.address()).await;
            let url = if raw { relay.raw_url() } else { relay.url() };
            let callee = connect(&url, Serializer::MsgPack).open().await.expect("a session");
            let caller = connect(&url, Serializer::Cbor).open().await.expect("a session");
            let _add = callee.offer("com.out.add").handle(async |a: i64, b: i64| a + b).await.expect("registered");
            let late = async |a: i64, b: i64| {
                tokio::time::sleep(Duration::from_millis(30)).await;
                a + b
            };
            let _late = callee.offer("com.out.late").handle(late).await.expect("registered");
            let mut events = callee.listen("com.out.").prefix().open().await.expect("subscribed");
            let will = caller.add_testament("org.will", vec![7.into()], NONE, NONE, TestamentScope::Destroyed);
            will.await.expect("it is left");
            let (ledger, stop) = (Arc::new(Ledger::default()), Arc::new(AtomicBool::new(false)));
            let mut tasks = JoinSet::new();
            for _ in 0..8 {
                tasks.spawn(calls(caller.clone(), ledger.clone(), stop.clone()));
            }
            for round in 0..4 {
                router = outage(round, &relay, router, [&callee, &caller]).await;
                for session in [&callee, &caller] {
                    joined(session).await;
                }
                works(&caller).await;
                // An event reaches the subscription, and the testament is there again: it is published when the connection
                // ends once more.
                let topic = format!("com.out.round.{round}");
                caller.event(&topic).acknowledged().await.expect("published");
                while *next(&mut events).await.topic != *topic {}
                let direct = Connect::new(&router.url(), "realm1").open().await.expect("a session");
                let mut wills = direct.listen("org.will").open().await.expect("subscribed");
                cut(&relay, &caller).await;
                assert_eq!(next(&mut wills).await.arg::<i64>(0), Ok(7), "in round {round}");
                joined(&callee).await;
            }
            stop.store(true, Ordering::Release);
            while let Some(done) = tasks.join_next().await {
                done.expect("no call goes wrong");
            }
            let count = |number: &AtomicU64| number.load(Ordering::Acquire);
            assert_eq!(count(&ledger.made), count(&ledger.ended));
            assert!(count(&ledger.lost) > 0, "calls were lost, and said so");
            joined(&caller).await;
            let start = tokio::time::Instant::now();
            while caller.load().requests > 0 || callee.load().invocations > 0 {
                assert!(start.elapsed() < PATIENCE, "{:?} {:?}", caller.load(), callee.load());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
}

/// A call that waits for a connection can be canceled, too.
#[test]
fn what_waits_for_a_connection_is_canceled() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let router = Router::shared(2);
        let relay = Relay::new(router.address()).await;
        let reconnect = Some(Reconnect { requests_wait: true, ..quick() });
        let session = Connect { reconnect, ..Connect::new(&relay.url(), "realm1") }.open().await.expect("a session");
        relay.set(Way::Closed);
        until(&session, |state| matches!(state, State::Away { .. })).await;
        for wait in [0, 30] {
            let mut results = session.ask("com.nobody").results().await.expect("it waits");
            tokio::time::sleep(Duration::from_millis(wait)).await;
            results.cancel(CancelMode::Kill);
            let ended = tokio::time::timeout(PATIENCE, results.last()).await.expect("it ends");
            assert!(
                matches!(&ended, Err(RequestError::Refused(why)) if *why.error == *"wamp.error.canceled"),
                "{ended:?}"
            );
        }
        relay.set(Way::Open);
        joined(&session).await;
        session.leave("wamp.close.normal").await;
    });
}
