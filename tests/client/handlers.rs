//! Handlers, builders, streams, applications.

use crate::{NONE, with_router};
use corebar::client::{
    App, AppError, CallError, Connect, ConnectError, Invoke, Named, Origin, Outcome, Progress, RequestError, Rest,
    Session, Several, Shared, State,
};
use corebar::wamp::{Dict, Value};
use futures_core::Stream;
use serde::{Deserialize, Serialize};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

async fn open(url: &str) -> Session {
    Connect::new(url, "realm1").open().await.expect("a session")
}

async fn item<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

#[test]
fn parameters_and_results_are_types() {
    with_router(
        |_| {},
        async |urls| {
            let (one, other) = (open(&urls[0]).await, open(&urls[1]).await);
            let _add = one.offer("com.add").handle(async |a: i64, b: Option<i64>| a + b.unwrap_or(1)).await;
            let middle = async |from: Point, to: Point| Point { x: (from.x + to.x) / 2.0, y: (from.y + to.y) / 2.0 };
            let _middle = one.offer("com.middle").handle(middle).await;
            let _divide = one.offer("com.divide").handle(async |a: i64, b: i64| -> Result<i64, CallError> {
                a.checked_div(b).ok_or_else(|| CallError::new("com.error.zero", "divided by zero"))
            });
            let _divide = _divide.await;
            let named = async |Named(point): Named<Point>, rest: Rest<String>, origin: Origin| Several {
                args: rest.0.into_iter().map(Value::from).collect(),
                kwargs: Dict::new().with("x", point.x).with("uri", &*origin.uri).with("by", origin.session().is_some()),
            };
            let _named = one.offer("com.named").handle(named).await;
            let _panics = one.offer("com.panics").handle(async |a: i64| assert!(a > 0, "it is not")).await;

            assert_eq!(other.ask("com.add").arg(2).arg(3).result().await, Ok(5));
            assert_eq!(other.ask("com.add").arg(2).result().await, Ok(3));
            let point = other.ask("com.middle").arg(Point { x: 0.0, y: 0.0 }).arg(Point { x: 1.0, y: 3.0 });
            assert_eq!(point.result().await, Ok(Point { x: 0.5, y: 1.5 }));
            assert_eq!(other.ask("com.divide").arg(7).arg(2).result().await, Ok(3));
            let error = |answer: Result<Outcome, RequestError>| match answer {
                Err(RequestError::Refused(error)) => error,
                other => panic!("{other:?}"),
            };
            let zero = error(other.ask("com.divide").arg(7).arg(0).outcome().await);
            assert_eq!(zero, CallError::new("com.error.zero", "divided by zero"));
            let missing = error(other.ask("com.add").outcome().await);
            assert_eq!(missing, CallError::new("wamp.error.invalid_argument", "argument 1 is missing"));
            let wrong = error(other.ask("com.add").arg(1).arg("x").outcome().await);
            assert!(wrong.to_string().contains("argument 2: "), "{wrong}");
            let panicked = error(other.ask("com.panics").arg(0).outcome().await);
            assert_eq!(&*panicked.error, "wamp.error.runtime_error");
            let named = other.ask("com.named").arg("a").arg("b").kwargs(Point { x: 1.5, y: 0.0 });
            let named = named.disclosed().outcome().await.expect("a result");
            assert_eq!(named.args, [Value::from("a"), Value::from("b")]);
            assert_eq!(named.kwarg("x"), Ok(1.5));
            assert_eq!((named.kwarg("uri"), named.kwarg("by")), (Ok("com.named".to_owned()), Ok(true)));
            let unfit: Result<String, _> = other.ask("com.add").arg(2).result().await;
            assert!(matches!(unfit, Err(RequestError::Type(_))), "{unfit:?}");
            assert!(matches!(other.event("a.b").arg(i128::MAX).send().await, Err(RequestError::Type(_))));
            assert_eq!(Ok(()), other.ask("com.add").arg(1).result().await.map(|_: i64| ()));
        },
    );
}

#[test]
fn events_are_published_and_heard() {
    with_router(
        |_| {},
        async |urls| {
            let (one, other) = (open(&urls[0]).await, open(&urls[2]).await);
            let (told, mut heard) = mpsc::unbounded_channel();
            let tell = move |text: String, Named(kwargs): Named, origin: Origin| {
                let _ = told.send((text, kwargs.get("times").cloned(), origin.uri));
                std::future::ready(())
            };
            // What does not fit is passed over.
            let handle = one.listen("com..hello").wildcard().handle(tell).await.expect("subscribed");
            other.event("com.x.hello").arg(7).acknowledged().await.expect("published");
            other.event("com.x.hello").arg("a").kwarg("times", 3).acknowledged().await.expect("published");
            let (text, times, uri) = heard.recv().await.expect("it is heard");
            assert_eq!((&*text, times, &*uri), ("a", Some(Value::Int(3)), "com.x.hello"));
            handle.stop().await;
            other.event("com.x.hello").arg("b").acknowledged().await.expect("published");
            assert!(heard.recv().await.is_none(), "the handler is gone");

            other.event("com.kept").arg("first").retained().disclosed().acknowledged().await.expect("published");
            let mut kept = one.listen("com.kept").retained().open().await.expect("subscribed");
            let event = item(&mut kept).await.expect("an event");
            assert!(event.retained() && event.publisher() == Some(other.id()), "{event:?}");
            one.event("com.kept").arg("mine").acknowledged().await.expect("published");
            one.event("com.kept").arg("all").to_all().acknowledged().await.expect("published");
            assert_eq!(item(&mut kept).await.expect("an event").arg::<String>(0).as_deref(), Ok("all"));
        },
    );
}

/// The events that follow are handled as if nothing had happened.
#[test]
fn a_handler_of_events_that_panics_goes_on() {
    with_router(
        |_| {},
        async |urls| {
            let (one, other) = (open(&urls[0]).await, open(&urls[1]).await);
            let (told, mut heard) = mpsc::unbounded_channel();
            let tell = move |number: u64| {
                assert!(number != 1, "at once");
                let told = told.clone();
                async move {
                    tokio::task::yield_now().await;
                    assert!(number != 2, "later");
                    let _ = told.send(number);
                }
            };
            let handle = one.listen("com.panics").handle(tell).await.expect("subscribed");
            for number in 0..4 {
                other.event("com.panics").arg(number).acknowledged().await.expect("published");
            }
            assert_eq!((heard.recv().await, heard.recv().await), (Some(0), Some(3)));
            assert!(!handle.is_over());
        },
    );
}

#[test]
fn calls_stream_both_ways() {
    with_router(
        |_| {},
        async |urls| {
            let (one, other) = (open(&urls[0]).await, open(&urls[1]).await);
            let count = async |to: u64, progress: Progress| -> Result<u64, RequestError> {
                for number in 0..to {
                    progress.send(number).await?;
                }
                Ok(to)
            };
            let _count = one.offer("com.count").handle(count).await.expect("registered");
            let mut results = other.ask("com.count").arg(3).results().await.expect("called");
            let mut numbers = Vec::new();
            while let Some(outcome) = item(&mut results).await {
                let outcome = outcome.expect("a result");
                numbers.push((outcome.arg::<u64>(0).expect("a number"), outcome.progress));
            }
            assert_eq!(numbers, [(0, true), (1, true), (2, true), (3, false)]);
            assert_eq!(other.ask("com.count").arg(3).result().await, Ok(3), "nobody wants progress");

            let mut sums = one.offer("com.sum").open().await.expect("registered");
            let callee = tokio::spawn(async move {
                let mut call = sums.next().await.expect("a call");
                let mut sum = call.arg::<u64>(0).expect("a number");
                while let Some((args, _)) = call.more().await {
                    sum += args[0].as_uint().expect("a number");
                    if call.has_more() {
                        call.progress(vec![sum.into()], NONE).await.expect("sent");
                    }
                }
                call.answer(sum);
            });
            let (arguments, mut results) = other.ask("com.sum").arg(1).stream().await.expect("called");
            arguments.send(2).await.expect("sent");
            assert_eq!(results.next().await.expect("a result").arg(0), Ok(3));
            arguments.send(3).await.expect("sent");
            assert_eq!(results.next().await.expect("a result").arg(0), Ok(6));
            arguments.finish(4).await.expect("sent");
            let last = results.next().await.expect("a result");
            assert_eq!((last.arg(0), last.progress), (Ok(10), false));
            callee.await.expect("no panic");
        },
    );
}

#[test]
fn registrations_are_withdrawn_when_they_are_dropped() {
    with_router(
        |_| {},
        async |urls| {
            let (one, two, other) = (open(&urls[0]).await, open(&urls[0]).await, open(&urls[1]).await);
            let shared = |session: &Session| session.offer("com.shared").invoke(Invoke::First).open();
            let first = shared(&one).await.expect("registered");
            let _second = two.offer("com.shared").invoke(Invoke::First).handle(async || "second").await;
            let asks = other.clone();
            let waits = tokio::spawn(async move { asks.ask("com.shared").result::<String>().await });
            while one.load().invocations == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            // Nobody has taken the call: somebody else is asked.
            drop(first);
            assert_eq!(waits.await.expect("no panic").as_deref(), Ok("second"));
            let alone = one.offer("com.alone").open().await.expect("registered");
            drop(alone);
            let again = one.offer("com.alone").handle(async || 1).await.expect("its place is free");
            assert_eq!(other.ask("com.alone").result().await, Ok(1));
            again.stop().await;
            let gone = other.ask("com.alone").outcome().await;
            assert!(matches!(gone, Err(RequestError::Refused(error)) if error.error.contains("no_such_procedure")));
            // The router takes one away.
            let mut revoked = one.offer("com.revoked").open().await.expect("registered");
            let mut topic = one.listen("com.topic").open().await.expect("subscribed");
            let (id, session) = (revoked.id().get(), one.id().get());
            other.ask("wamp.registration.remove_callee").arg(id).arg(session).outcome().await.expect("removed");
            assert!(revoked.next().await.is_none());
            let id = topic.id().get();
            other.ask("wamp.subscription.remove_subscriber").arg(id).arg(session).outcome().await.expect("removed");
            assert!(topic.next().await.is_none());
        },
    );
}

corebar::component! {
    /// What the test calls.
    fn arithmetic();

    /// Attributes stand before the mark and behind it.
    #[inline]
    #[procedure("com.app.add")]
    #[allow(clippy::unused_async)]
    async fn add(a: i64, b: i64) -> i64 {
        a + b
    }

    /// Fails now and then.
    #[procedure("com.app.", match = "prefix", invoke = "roundrobin")]
    async fn any(origin: Origin) -> Result<String, &'static str> {
        name_in(&origin.uri).filter(|name| *name != WRONG).map(str::to_owned).ok_or("it is wrong")
    }

    /// What has no mark is no handler.
    const WRONG: &str = "wrong";

    #[inline]
    fn name_in(uri: &str) -> Option<&str> {
        uri.strip_prefix("com.app.")
    }

    #[event("com.app.told", match = "exact")]
    async fn told(number: u64, sum: Shared<AtomicU64>) {
        sum.fetch_add(number, Ordering::Relaxed);
    }
}

#[test]
fn applications_take_their_leave() {
    with_router(
        |_| {},
        async |urls| {
            let (end, ended) = tokio::sync::oneshot::channel::<()>();
            let (tell, mut begun) = mpsc::unbounded_channel::<()>();
            let other = open(&urls[1]).await;
            let app = App::new(&urls[0], "realm1").share(AtomicU64::new(0)).component(arithmetic).share(tell);
            let app = app.procedure("com.slow", async |tell: Shared<mpsc::UnboundedSender<()>>| {
                let _ = tell.send(());
                tokio::time::sleep(Duration::from_millis(200)).await;
                "done"
            });
            let app = app.procedure("com.sum", async |sum: Shared<AtomicU64>| sum.load(Ordering::Relaxed));
            let app = app.started(async |session: Session, tell: Shared<mpsc::UnboundedSender<()>>| {
                let _ = session.event("com.started").arg(1).acknowledged().await;
                let _ = tell.send(());
            });
            let runs = tokio::spawn(app.run_until(async {
                let _ = ended.await;
            }));
            begun.recv().await.expect("it has begun");
            assert_eq!(other.ask("com.app.add").arg(2).arg(3).result().await, Ok(5));
            assert_eq!(other.ask("com.app.some").result::<String>().await.as_deref(), Ok("some"));
            let wrong = other.ask("com.app.wrong").outcome().await;
            assert_eq!(wrong, Err(RequestError::Refused(CallError::new("wamp.error.runtime_error", "it is wrong"))));
            other.event("com.app.told").arg(4).acknowledged().await.expect("published");
            other.event("com.app.told").arg(5).acknowledged().await.expect("published");
            while other.ask("com.sum").result::<u64>().await != Ok(9) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let asks = other.clone();
            let slow = tokio::spawn(async move { asks.ask("com.slow").result::<String>().await });
            begun.recv().await.expect("it is called");
            let _ = end.send(());
            assert_eq!(slow.await.expect("no panic").as_deref(), Ok("done"), "it is finished first");
            assert!(runs.await.expect("no panic").is_ok());
            // Somebody has the procedure already.
            let _theirs = other.offer("com.app.add").open().await.expect("registered");
            let refused = App::new(&urls[0], "realm1").component(arithmetic).run().await;
            assert!(matches!(&refused, Err(AppError::Refused { uri, .. }) if &**uri == "com.app.add"), "{refused:?}");
            let leaves = App::new(&urls[0], "realm1").started(async |session: Session| session.leave("a.b").await);
            assert!(leaves.run().await.is_ok());
            let _: Arc<()> = Arc::default();
        },
    );
}

/// However it was made.
#[test]
fn applications_wait_for_the_router_unless_they_should_not() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (told, mut away) = mpsc::unbounded_channel();
        let connect = Connect::new("unix:///nowhere/router.sock", "realm1").reconnecting().on_state(move |state| {
            if let State::Away { attempt, .. } = state {
                let _ = told.send(*attempt);
            }
        });
        let waits = App::with(connect.clone()).run_until(async {
            for attempt in 1..=2 {
                assert_eq!(away.recv().await, Some(attempt));
            }
        });
        assert!(waits.await.is_ok());
        let once = App::with(connect).once().run().await;
        assert!(matches!(&once, Err(AppError::Connect(ConnectError::Io(_)))), "{once:?}");
    });
}

/// A WebSocket would be ended by the router.
#[test]
fn what_is_too_large_to_be_sent_fails_alone() {
    with_router(
        |_| {},
        async |urls| {
            let (one, other) = (open(&urls[0]).await, open(&urls[0]).await);
            let size = (16 << 20) + 1;
            let _large = one.offer("com.large").handle(async |size: usize| Value::Bin(vec![0; size].into())).await;
            let fails = async |size: usize| -> Result<(), String> { Err("x".repeat(size)) };
            let _fails = one.offer("com.fails").handle(fails).await;
            let large = || Value::Bin(vec![0; size].into());
            let unsendable = |outcome| matches!(outcome, Err(RequestError::Unsendable(_)));
            assert!(unsendable(other.ask("com.large").arg(large()).outcome().await.map(drop)));
            assert!(unsendable(other.event("com.topic").arg(large()).send().await));
            assert!(unsendable(other.event("com.topic").arg(large()).acknowledged().await.map(drop)));
            for procedure in ["com.large", "com.fails"] {
                match other.ask(procedure).arg(size).outcome().await {
                    Err(RequestError::Refused(why)) => assert_eq!(&*why.error, "wamp.error.payload_size_exceeded"),
                    outcome => panic!("{procedure}: {:?}", outcome.map(drop)),
                }
            }
            // The same sessions go on, with what is just small enough.
            let fits = other.ask("com.large").arg((16 << 20) - 1024).outcome().await.expect("a result");
            assert!(matches!(&fits.args[..], [Value::Bin(octets)] if octets.len() == (16 << 20) - 1024));
            let small = Connect { sent_message_bytes_max: 1000, ..Connect::new(&urls[1], "realm1") };
            let small = small.open().await.expect("a session");
            assert!(unsendable(small.ask("com.large").arg("x".repeat(1000)).outcome().await.map(drop)));
            assert_eq!(small.ask("com.large").arg(0).result::<Vec<u8>>().await, Ok(vec![]));
        },
    );
}
