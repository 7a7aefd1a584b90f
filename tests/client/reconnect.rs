//! Sessions that outlive their connections.

use crate::relay::{Relay, Way};
use crate::support::{Router, node};
use crate::{NONE, address_of, with_router};
use corebar::auth::config::{Grant, Secret, Source, TicketUser};
use corebar::client::{Connect, Event, Reconnect, RequestError, Session, State, Subscription, TestamentScope};
use corebar::config::{ListenAddress, RuntimeConfig};
use corebar::node::Node;
use corebar::session::HistoryRule;
use corebar::transport::listener::Bound;
use corebar::wamp::{MatchPolicy, Value};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

const SOON: Duration = Duration::from_secs(20);

pub(crate) fn quick() -> Reconnect {
    let (delay_first, delay_max) = (Duration::from_millis(5), Duration::from_millis(200));
    Reconnect { delay_first, delay_max, ..Reconnect::default() }
}

fn connect(url: &str) -> Connect {
    Connect { reconnect: Some(quick()), ..Connect::new(url, "realm1") }
}

pub(crate) async fn until(session: &Session, wanted: impl Fn(&State) -> bool) -> State {
    let mut states = session.states();
    let state = tokio::time::timeout(SOON, states.wait_for(|state| wanted(state))).await;
    state.expect("it happens soon").expect("the session is there").clone()
}

pub(crate) async fn joined(session: &Session) {
    until(session, |state| matches!(state, State::Joined(_))).await;
}

pub(crate) async fn next(events: &mut Subscription) -> Event {
    tokio::time::timeout(SOON, events.next()).await.expect("an event comes").expect("the subscription is there")
}

/// The connection is cut, and there is another one.
pub(crate) async fn cut(relay: &Relay, session: &Session) {
    let before = session.id();
    relay.cut().await;
    until(session, |state| matches!(state, State::Joined(id) if *id != before)).await;
}

#[test]
fn everything_comes_back() {
    with_router(
        |_| {},
        async |urls| {
            let relay = Relay::new(address_of(&urls[0])).await;
            for url in [relay.url(), relay.raw_url()] {
                let states = Arc::new(Mutex::new(Vec::new()));
                let noted = states.clone();
                let hook = move |state: &State| noted.lock().expect("no panic").push(state.clone());
                let session = connect(&url).on_state(hook).open().await.expect("a session");
                let other = Connect::new(&urls[1], "realm1").open().await.expect("a session");
                let mut events = session.listen("com.example.").prefix().open().await.expect("subscribed");
                let dropped = session.listen("com.example.dropped").open().await.expect("subscribed");
                let add = session.offer("com.example.add").handle(async |a: i64, b: i64| a + b);
                let add = add.await.expect("registered");
                let gone = session.offer("com.example.gone").open().await.expect("registered");
                let mut wills = other.listen("com.will").open().await.expect("subscribed");
                let testament =
                    session.add_testament("com.will", vec![1.into()], NONE, NONE, TestamentScope::Destroyed);
                testament.await.expect("it is left");
                let first = session.id();
                for _ in 0..2 {
                    cut(&relay, &session).await;
                    assert_eq!(next(&mut wills).await.args, [Value::Int(1)]);
                    other.event("com.example.one").arg("x").acknowledged().await.expect("published");
                    assert_eq!(next(&mut events).await.arg::<String>(0).as_deref(), Ok("x"));
                    let sum = other.ask("com.example.add").arg(2).arg(3).result::<i64>().await;
                    assert_eq!(sum, Ok(5));
                    assert_ne!(session.id(), first);
                    assert!(events.id().get() != 0 && gone.id().get() != 0);
                }
                // What is asked for and dropped while there is no connection.
                relay.set(Way::Closed);
                until(&session, |state| matches!(state, State::Away { .. })).await;
                drop(dropped);
                gone.withdraw().await.expect("nothing is there to refuse it");
                let (later, asked) = (session.clone(), session.clone());
                let later = tokio::spawn(async move { later.listen("org.later").open().await });
                let offer = tokio::spawn(async move { asked.offer("org.offer").open().await });
                let given_up = session.listen("org.given.up").open();
                assert!(tokio::time::timeout(Duration::from_millis(50), given_up).await.is_err());
                assert_eq!(session.event("a.b").send().await, Err(RequestError::Disconnected));
                assert_eq!(session.event("a.b").acknowledged().await, Err(RequestError::Disconnected));
                assert_eq!(session.ask("a.b").outcome().await, Err(RequestError::Disconnected));
                relay.set(Way::Open);
                let mut later = later.await.expect("no panic").expect("subscribed");
                offer.await.expect("no panic").expect("registered");
                other.event("org.later").acknowledged().await.expect("published");
                next(&mut later).await;
                let id = |topic: &str| other.ask("wamp.subscription.lookup").arg(topic).result::<Option<u64>>();
                assert_eq!(id("com.example.dropped").await, Ok(None));
                assert_eq!(id("org.given.up").await, Ok(None));
                let left = other.ask("wamp.registration.lookup").arg("com.example.gone").result::<Option<u64>>().await;
                assert_eq!(left, Ok(None));
                session.leave("wamp.close.close_realm").await;
                assert!(add.is_over() || events.next().await.is_none());
                let states = states.lock().expect("no panic");
                assert!(matches!(states[0], State::Joined(_)), "{states:?}");
                assert!(matches!(states[1], State::Away { attempt: 1, .. }), "{states:?}");
                assert!(matches!(states.last(), Some(State::Ended { reason: Some(_), .. })), "{states:?}");
                let joins = states.iter().filter(|state| matches!(state, State::Joined(_))).count();
                assert_eq!(joins, 4, "{states:?}");
            }
        },
    );
}

#[test]
fn what_is_in_flight_fails_or_waits() {
    with_router(
        |_| {},
        async |urls| {
            let relay = Relay::new(address_of(&urls[0])).await;
            let callee = Connect::new(&urls[1], "realm1").open().await.expect("a session");
            let mut calls = callee.offer("com.example.slow").open().await.expect("registered");
            let session = connect(&relay.url()).open().await.expect("a session");
            let asks = session.clone();
            let call = tokio::spawn(async move { asks.ask("com.example.slow").outcome().await });
            let mut call_there = calls.next().await.expect("a call");
            cut(&relay, &session).await;
            assert_eq!(call.await.expect("no panic"), Err(RequestError::Disconnected));
            call_there.interrupted().await;
            // The other way round: who is called learns that nobody waits, and answers nobody else.
            let mut own = session.offer("com.example.own").open().await.expect("registered");
            let asks = callee.clone();
            let asked = tokio::spawn(async move { asks.ask("com.example.own").arg(1).outcome().await });
            let mut first = own.next().await.expect("a call");
            cut(&relay, &session).await;
            asked.await.expect("no panic").expect_err("its callee is gone");
            first.interrupted().await;
            let asks = callee.clone();
            let asked = tokio::spawn(async move { asks.ask("com.example.own").arg(2).result::<i64>().await });
            let second = tokio::time::timeout(SOON, own.next()).await.expect("it is there again").expect("a call");
            first.answer(1);
            second.answer(2);
            assert_eq!(asked.await.expect("no panic"), Ok(2));
            // Where that is wanted, requests wait for a connection.
            let patient = Reconnect { requests_wait: true, ..quick() };
            let session = Connect { reconnect: Some(patient), ..Connect::new(&relay.url(), "realm1") };
            let session = session.open().await.expect("a session");
            relay.set(Way::Closed);
            until(&session, |state| matches!(state, State::Away { .. })).await;
            let mut events = callee.listen("com.example.late").open().await.expect("subscribed");
            for number in 0..5 {
                session.event("com.example.late").arg(number).send().await.expect("it waits");
            }
            let mut dropped = Box::pin(session.event("com.example.late").arg(5).acknowledged());
            assert!(tokio::time::timeout(Duration::from_millis(20), &mut dropped).await.is_err());
            let count = session.ask("wamp.session.count").result::<u64>();
            let ((), count) = tokio::join!(async { relay.set(Way::Open) }, count);
            assert!(count.is_ok(), "{count:?}");
            for number in 0..6 {
                assert_eq!(next(&mut events).await.arg::<i64>(0), Ok(number));
            }
            // Who leaves while there is no connection does not wait for one.
            relay.set(Way::Closed);
            until(&session, |state| matches!(state, State::Away { .. })).await;
            tokio::time::timeout(SOON, session.leave("wamp.close.close_realm")).await.expect("it leaves");
            until(&session, |state| matches!(state, State::Ended { .. })).await;
        },
    );
}

#[test]
fn a_router_that_says_nothing_is_gone() {
    with_router(
        |_| {},
        async |urls| {
            let relay = Relay::new(address_of(&urls[0])).await;
            for (url, ping_rawsocket) in [(relay.url(), false), (relay.raw_url(), true)] {
                let (ping_interval, ping_timeout) = (Duration::from_millis(50), Duration::from_millis(300));
                let connect = Connect { ping_interval, ping_timeout, ping_rawsocket, ..connect(&url) };
                let session = connect.open().await.expect("a session");
                // It is asked, and it answers.
                tokio::time::sleep(Duration::from_millis(400)).await;
                assert!(matches!(session.state(), State::Joined(_)), "{}", session.state());
                relay.set(Way::Silent);
                let state = until(&session, |state| matches!(state, State::Away { .. })).await;
                assert!(matches!(&state, State::Away { why, .. } if why.contains("ping")), "{state}");
                relay.set(Way::Open);
                joined(&session).await;
                session.ask("wamp.session.count").result::<u64>().await.expect("it works again");
            }
        },
    );
}

/// The router has not noticed that a session is gone, and keeps its procedure for it.
#[test]
fn a_procedure_that_is_held_comes_back_later() {
    with_router(
        |_| {},
        async |urls| {
            let relay = Relay::new(address_of(&urls[0])).await;
            let (ping_interval, ping_timeout) = (Duration::from_millis(50), Duration::from_millis(300));
            let connect = Connect { ping_interval, ping_timeout, ..connect(&relay.url()) };
            let session = connect.open().await.expect("a session");
            let add = session.offer("com.example.add").handle(async |a: i64, b: i64| a + b).await.expect("registered");
            let before = session.id();
            relay.set(Way::Frozen);
            until(&session, |state| matches!(state, State::Joined(id) if *id != before)).await;
            let other = Connect::new(&urls[1], "realm1").open().await.expect("a session");
            let ask = || other.ask("com.example.add").arg(2).arg(3).timeout(Duration::from_millis(100)).result::<i64>();
            assert_eq!(ask().await, Err(RequestError::Timeout), "the lost session is called");
            assert!(!add.is_over());
            relay.set(Way::Open);
            while ask().await != Ok(5) {}
        },
    );
}

#[test]
fn gaps_are_filled_from_the_history() {
    let change = |config: &mut RuntimeConfig| {
        let small = HistoryRule { events_max: 5, ..HistoryRule::new("org.small", MatchPolicy::Exact) };
        let rule = HistoryRule::new("com.kept.", MatchPolicy::Prefix);
        config.realms[0].history = vec![rule, HistoryRule::new("org.kept", MatchPolicy::Exact), small];
    };
    with_router(change, async |urls| {
        let relay = Relay::new(address_of(&urls[0])).await;
        let other = Connect::new(&urls[1], "realm1").open().await.expect("a session");
        let publish = async |topic: &str, numbers: std::ops::Range<u64>| {
            for number in numbers {
                other.event(topic).arg(number).kwarg("k", "v").acknowledged().await.expect("published");
            }
        };
        publish("org.kept", 0..3).await;
        let session = connect(&relay.url()).open().await.expect("a session");
        let mut kept = session.listen("org.kept").open().await.expect("subscribed");
        let mut pattern = session.listen("com.kept.").prefix().open().await.expect("subscribed");
        let mut part = session.listen("com.kept.b").retained().open().await.expect("subscribed");
        let mut small = session.listen("org.small").open().await.expect("subscribed");
        let mut plain = session.listen("org.plain").open().await.expect("subscribed");
        // Its questions about the past have been answered before this one.
        session.ask("wamp.session.count").result::<u64>().await.expect("a result");
        let mut from = 3;
        for round in 0..3 {
            if round > 0 {
                publish("org.kept", from..from + 2).await;
                from += 2;
            }
            relay.set(Way::Closed);
            until(&session, |state| matches!(state, State::Away { .. })).await;
            publish("org.kept", from..from + 300).await;
            publish("com.kept.a", from..from + 2).await;
            publish("com.kept.b", from..from + 2).await;
            other.event("com.kept.b").arg(from + 2).retained().acknowledged().await.expect("published");
            publish("org.small", from..from + 20).await;
            publish("org.plain", from..from + 2).await;
            relay.set(Way::Open);
            joined(&session).await;
            // And some come meanwhile.
            publish("org.kept", from + 300..from + 350).await;
            publish("org.small", from + 20..from + 21).await;
            publish("org.plain", from + 2..from + 3).await;
            let first = if round > 0 { from - 2 } else { from };
            for number in first..from + 350 {
                let event = next(&mut kept).await;
                assert_eq!(event.arg::<u64>(0), Ok(number), "in round {round}");
                assert_eq!(event.kwarg::<String>("k").as_deref(), Ok("v"));
                assert!(event.replayed() || !(from..from + 300).contains(&number));
            }
            for number in from..from + 2 {
                let event = next(&mut pattern).await;
                assert_eq!((event.arg::<u64>(0), &*event.topic), (Ok(number), "com.kept.a"));
            }
            for number in from..from + 3 {
                let event = next(&mut pattern).await;
                assert_eq!((event.arg::<u64>(0), &*event.topic), (Ok(number), "com.kept.b"));
                assert_eq!(next(&mut part).await.arg::<u64>(0), Ok(number), "from the history of the pattern");
            }
            let mut last = from;
            while last < from + 20 {
                let number = next(&mut small).await.arg::<u64>(0).expect("a number");
                assert!(number > last || last == from, "{number} after {last}");
                last = number;
            }
            let event = next(&mut plain).await;
            assert_eq!((event.arg::<u64>(0), event.replayed()), (Ok(from + 2), false));
            from += 350;
        }
        let past = session.history("org.kept").newest(3).fetch().await.expect("events");
        let numbers = past.iter().map(|event| event.arg::<u64>(0)).collect::<Vec<_>>();
        assert_eq!(numbers, [Ok(from - 3), Ok(from - 2), Ok(from - 1)]);
        let after = session.history("org.kept").after(past[1].publication).oldest(9).fetch().await.expect("events");
        assert_eq!(after, past[2..]);
        let topic = session.history("com.kept.").prefix().topic("com.kept.a").fetch().await.expect("events");
        assert_eq!((topic.len(), &*topic[5].topic), (6, "com.kept.a"));
        assert_eq!(session.history("org.plain").fetch().await, Ok(Vec::new()));
        assert_eq!(session.history("org.nothing").fetch().await, Ok(Vec::new()));
        // Nothing came twice.
        publish("org.kept", from..from + 1).await;
        assert_eq!(next(&mut kept).await.arg::<u64>(0), Ok(from));
        publish("com.kept.b", from..from + 1).await;
        assert_eq!(next(&mut pattern).await.arg::<u64>(0), Ok(from));
        assert_eq!(next(&mut part).await.arg::<u64>(0), Ok(from));
    });
}

#[test]
fn gaps_are_filled_with_all_that_others_have_published() {
    let change = |config: &mut RuntimeConfig| {
        config.realms[0].history = vec![HistoryRule::new("org.kept", MatchPolicy::Exact)];
    };
    with_router(change, async |urls| {
        let relay = Relay::new(address_of(&urls[0])).await;
        let other = Connect::new(&urls[1], "realm1").open().await.expect("a session");
        let session = connect(&relay.url()).open().await.expect("a session");
        let mut kept = session.listen("org.kept").open().await.expect("subscribed");
        // Its questions about the past, one after the other, have been answered before the last of these.
        for _ in 0..3 {
            session.ask("wamp.session.count").result::<u64>().await.expect("a result");
        }
        let publish = async |session: &Session, numbers: std::ops::Range<u64>| {
            for number in numbers {
                session.event("org.kept").arg(number).acknowledged().await.expect("published");
            }
        };
        let away = async || {
            relay.set(Way::Closed);
            until(&session, |state| matches!(state, State::Away { .. })).await;
        };
        // Nothing has been heard before, and it is more than is asked for at a time.
        away().await;
        publish(&other, 0..700).await;
        relay.set(Way::Open);
        joined(&session).await;
        for number in 0..700 {
            assert_eq!(next(&mut kept).await.arg::<u64>(0), Ok(number));
        }
        // What it has published itself comes as little as it would have come.
        publish(&session, 1000..1010).await;
        session.event("org.kept").arg(1010).to_all().acknowledged().await.expect("published");
        assert_eq!(next(&mut kept).await.arg::<u64>(0), Ok(1010));
        publish(&session, 1011..1020).await;
        away().await;
        publish(&other, 2000..2002).await;
        relay.set(Way::Open);
        joined(&session).await;
        for number in 2000..2002 {
            assert_eq!(next(&mut kept).await.arg::<u64>(0), Ok(number));
        }
    });
}

/// A router that begins anew at the same place, and says when it wants to see its clients again.
#[test]
fn a_router_is_stopped_and_started() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let start = |retry: Duration, port: u16| {
            let config = node::config(|config| {
                config.drain_retry_spread = retry;
                config.listeners[0].address = ListenAddress::Tcp { host: "127.0.0.1".into(), port };
            });
            Node::start(config).expect("a router")
        };
        let address = |node: &Node| match node.bound()[0].clone() {
            Bound::Tcp(address) => address,
            other => panic!("{other}"),
        };
        let node = start(Duration::from_millis(700), 0);
        let relay = Relay::new(address(&node)).await;
        let states = Arc::new(Mutex::new(Vec::new()));
        let noted = states.clone();
        let hook = move |state: &State| noted.lock().expect("no panic").push(state.clone());
        // Other than what it would choose itself.
        let late = Reconnect { delay_first: SOON * 2, delay_max: SOON * 2, ..Reconnect::default() };
        let connect = Connect { reconnect: Some(late), ..Connect::new(&relay.url(), "realm1") };
        let session = connect.on_state(hook).open().await.expect("a session");
        let mut events = session.listen("com.example").open().await.expect("subscribed");
        // What is worked on is finished, and what is offered is so again later.
        let begun = Arc::new(Notify::new());
        let note = begun.clone();
        let add = session.offer("com.example.add").handle(move |a: i64, b: i64| {
            note.notify_one();
            async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                a + b
            }
        });
        let add = add.await.expect("registered");
        let caller = Connect::new(&format!("ws://{}/", address(&node)), "realm1").open().await.expect("a session");
        let end = async {
            begun.notified().await;
            node.shut_down().await;
        };
        let (result, ()) = tokio::join!(caller.ask("com.example.add").arg(2).arg(3).result::<i64>(), end);
        assert_eq!(result, Ok(5));
        let state = until(&session, |state| matches!(state, State::Away { .. })).await;
        let State::Away { retry_in, why, attempt: 1 } = &state else { panic!("{state}") };
        assert!(*retry_in <= Duration::from_millis(700) && why.contains("shuts down"), "{state}");
        let node = start(Duration::ZERO, 0);
        relay.lead_to(address(&node));
        joined(&session).await;
        session.event("com.example").to_all().acknowledged().await.expect("published");
        next(&mut events).await;
        let other = Connect::new(&format!("ws://{}/", address(&node)), "realm1").open().await.expect("a session");
        while other.ask("com.example.add").arg(4).arg(5).result::<i64>().await != Ok(9) {}
        assert!(!add.is_over());
        // Somebody ends this session: it does not come back.
        other.ask("wamp.session.kill").arg(session.id().get()).outcome().await.expect("killed");
        let state = until(&session, |state| matches!(state, State::Ended { .. })).await;
        assert!(matches!(&state, State::Ended { reason: Some(reason), .. } if reason.contains("kill")), "{state}");
        assert!(events.next().await.is_none());
        node.shut_down().await;
    });
}

#[test]
fn who_cannot_come_back_ends() {
    let change = |config: &mut RuntimeConfig| {
        let grant = Grant { role: Some("anonymous".into()), ..Grant::default() };
        let user = TicketUser { ticket: Secret(b"secret!".as_slice().into()), grant };
        config.transports[0].auth.ticket = Some(Source::Static([("joe".into(), user)].into()));
    };
    with_router(change, async |urls| {
        let relay = Relay::new(address_of(&urls[0])).await;
        // It waits for the first connection, and does not when it is refused.
        relay.set(Way::Closed);
        let patient = |ticket: &str| {
            let reconnect = Some(Reconnect { from_the_start: true, ..quick() });
            Connect { reconnect, ..Connect::new(&relay.url(), "realm1") }.ticket("joe", ticket)
        };
        let opens = tokio::spawn(patient("secret!").open());
        while relay.connections() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!opens.is_finished());
        relay.set(Way::Open);
        let session = opens.await.expect("no panic").expect("a session");
        assert_eq!(session.details().str("authid"), Ok(Some("joe")));
        patient("wrong").open().await.expect_err("it is refused");
        // So many attempts, and not one more.
        let limited = Reconnect { attempts_max: Some(2), ..quick() };
        let limited = Connect { reconnect: Some(limited), ..Connect::new(&relay.url(), "realm1") };
        let limited = limited.ticket("joe", "secret!").open().await.expect("a session");
        let before = relay.connections();
        relay.set(Way::Closed);
        until(&limited, |state| matches!(state, State::Ended { reason: None, .. })).await;
        assert!(limited.subscribe("a.b", NONE).await.is_err());
        assert!(relay.connections() >= before + 2);
        assert!(matches!(session.state(), State::Away { .. }), "the other one goes on");
    });
}

/// A router that is killed, and another one in its place.
#[test]
fn a_router_is_killed() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let path = std::env::temp_dir().join(format!("corebar-client-killed-{:x}.sock", fastrand::u64(..)));
    let url = format!("unix://{}", path.display());
    let listen = format!("unix:{}", path.display());
    let start = || Router::start(&["--shards", "1", "--no-pin", "--listen", &listen]);
    runtime.block_on(async {
        let router = start();
        let session = connect(&url).open().await.expect("a session");
        let mut events = session.listen("com.example").open().await.expect("subscribed");
        let _add = session.offer("com.add").handle(async |a: u32, b: u32| a + b).await.expect("registered");
        router.signal("KILL");
        router.wait(SOON);
        until(&session, |state| matches!(state, State::Away { .. })).await;
        let router = start();
        joined(&session).await;
        let other = Connect::new(&url, "realm1").open().await.expect("a session");
        assert_eq!(other.ask("com.add").arg(1).arg(2).result().await, Ok(3));
        other.event("com.example").acknowledged().await.expect("published");
        next(&mut events).await;
        drop(router);
        until(&session, |state| matches!(state, State::Away { .. })).await;
    });
    let _ = std::fs::remove_file(path);
}
