//! The client against a router, over each of its transports.

#[path = "../support/mod.rs"]
mod support;

mod examples;
mod handlers;
mod manual;
mod outages;
mod pressure;
mod reconnect;
mod relay;
mod soak;
mod stage;

use corebar::auth::config::{CraSalt, CraUser, Cryptosign, Grant, KeyUser, Secret, Source, TicketUser, TlsUsers};
use corebar::auth::login::Credential;
use corebar::client::{CallError, Certificate, Connect, ConnectError, RequestError, Session, Trust};
use corebar::config::tls::TlsConfig;
use corebar::config::{ListenAddress, ListenerConfig, RuntimeConfig};
use corebar::node::Node;
use corebar::transport::listener::Bound;
use corebar::wamp::{Dict, Serializer, Value};
use std::future::Future;
use std::task::Poll;
use std::time::Duration;
use support::Authority;

/// Runs `test` with URLs of a router, on 1 and 4 shards.
fn with_router<F: Future<Output = ()>>(change: impl Fn(&mut RuntimeConfig), test: impl Fn(Vec<String>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for shards in [1, 4] {
        let directory = std::env::temp_dir().join(format!("corebar-client-{:x}", fastrand::u64(..)));
        std::fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("router.sock");
        let config = support::node::config(|config| {
            config.shards = Some(shards);
            config.listeners.push(ListenerConfig::plain(ListenAddress::Unix(path.clone())));
            change(config);
        });
        runtime.block_on(async {
            let node = Node::start(config).expect("a router");
            let Bound::Tcp(address) = node.bound()[0].clone() else { panic!("a TCP address") };
            let mut urls =
                vec![format!("ws://{address}/ws"), format!("rs://{address}"), format!("unix://{}", path.display())];
            urls.extend(node.bound().iter().skip(2).map(|bound| format!("{bound}ws")));
            let done = tokio::time::timeout(Duration::from_secs(60), test(urls)).await;
            node.shut_down().await;
            done.expect("the test does not hang");
        });
        let _ = std::fs::remove_dir_all(&directory);
    }
}

/// Where a URL leads to.
fn address_of(url: &str) -> std::net::SocketAddr {
    let authority = url.split('/').nth(2).expect("a URL");
    authority.parse().expect("an address")
}

async fn join(url: &str, serializer: Serializer) -> Session {
    let connect = Connect { serializers: vec![serializer], ..Connect::new(url, "realm1") };
    connect.open().await.expect("a session")
}

const NONE: Dict = Dict::new();

#[test]
fn events_and_calls_over_every_transport() {
    with_router(
        |_| {},
        async |urls| {
            for url in urls {
                for serializer in Serializer::ALL {
                    let (one, other) = (join(&url, serializer).await, join(&url, serializer).await);
                    assert_ne!(one.id(), other.id());
                    let mut events = one.subscribe("com.example.topic", NONE).await.expect("subscribed");
                    let args = vec![Value::from("hello"), Value::Int(-1)];
                    let kwargs = Dict::new().with("key", true);
                    let published =
                        other.publish_acknowledged("com.example.topic", args.clone(), kwargs.clone(), NONE).await;
                    let event = events.next().await.expect("an event");
                    assert_eq!(Ok(event.publication), published);
                    assert_eq!((&event.args, &event.kwargs, &*event.topic), (&args, &kwargs, "com.example.topic"));
                    let mut calls = one.register("com.example.echo", NONE).await.expect("registered");
                    let echo = tokio::spawn(async move {
                        while let Some(mut call) = calls.next().await {
                            let (args, kwargs) = (std::mem::take(&mut call.args), std::mem::take(&mut call.kwargs));
                            match args.is_empty() {
                                false => call.finish(args, kwargs),
                                true => call.fail(CallError::new("com.example.error.nothing", "said nothing")),
                            }
                        }
                    });
                    let outcome =
                        other.call("com.example.echo", args.clone(), kwargs.clone(), NONE).await.expect("a result");
                    assert_eq!((outcome.args, outcome.kwargs), (args, kwargs));
                    let failed = other.call("com.example.echo", Vec::new(), NONE, NONE).await;
                    let why = CallError::new("com.example.error.nothing", "said nothing");
                    assert_eq!(failed, Err(RequestError::Refused(why)));
                    one.leave("wamp.close.normal").await;
                    assert!(matches!(one.subscribe("a.b", NONE).await, Err(RequestError::Closed(_))));
                    drop(events);
                    echo.await.expect("no panic");
                }
            }
        },
    );
}

#[test]
fn results_come_as_they_are_made_and_dropping_cancels() {
    with_router(
        |_| {},
        async |urls| {
            for (number, url) in urls.into_iter().enumerate() {
                let session = join(&url, Serializer::Cbor).await;
                // A router may answer GOODBYE before the last procedure is gone.
                let procedure = &*format!("com.example.count.{number}");
                let mut calls = session.register(procedure, NONE).await.expect("registered");
                let (told, mut canceled) = tokio::sync::mpsc::unbounded_channel();
                tokio::spawn(async move {
                    while let Some(mut call) = calls.next().await {
                        if call.args.is_empty() {
                            call.interrupted().await;
                            told.send(()).expect("the test listens");
                            continue;
                        }
                        for at in 0..3 {
                            call.progress(vec![Value::Int(at)], NONE).await.expect("sent");
                        }
                        call.finish(vec![Value::Int(3)], NONE);
                    }
                });
                let args = vec![Value::Bool(true)];
                let mut results = session.call_progressively(procedure, args, NONE, NONE).await.expect("called");
                for at in 0..=3 {
                    let outcome = results.next().await.expect("a result");
                    assert_eq!((outcome.args, outcome.progress), (vec![Value::Int(at)], at < 3));
                }
                let waits = session.call(procedure, Vec::new(), NONE, NONE);
                assert!(tokio::time::timeout(Duration::from_millis(100), waits).await.is_err(), "it never answers");
                canceled.recv().await.expect("the callee learns of it");
                session.leave("wamp.close.normal").await;
            }
        },
    );
}

#[test]
fn subscriptions_end_when_they_are_dropped() {
    with_router(
        |_| {},
        async |urls| {
            let session = join(&urls[0], Serializer::Json).await;
            let count = async || {
                let topic = vec![Value::from("com.example.topic")];
                let found = session.call("wamp.subscription.lookup", topic, NONE, NONE).await.expect("an answer");
                found.args.first().is_some_and(|id| id.as_uint().is_some())
            };
            let first = session.subscribe("com.example.topic", NONE).await.expect("subscribed");
            let mut second = session.subscribe("com.example.topic", NONE).await.expect("subscribed");
            assert_eq!(first.id(), second.id());
            drop(first);
            assert!(count().await, "there is another one");
            let other = join(&urls[1], Serializer::Cbor).await;
            other.publish("com.example.topic", Vec::new(), NONE, NONE).await.expect("sent");
            assert!(second.next().await.is_some());
            drop(second);
            assert!(!count().await);
        },
    );
}

/// Also if it has its answer, and has not looked at it.
#[test]
fn who_stops_waiting_for_a_subscription_or_registration_has_none() {
    with_router(
        |_| {},
        async |urls| {
            let session = join(&urls[0], Serializer::Json).await;
            let other = join(&urls[1], Serializer::Cbor).await;
            let found = async |kind: &str, uri: &str| {
                let found = other.call(&format!("wamp.{kind}.lookup"), vec![uri.into()], NONE, NONE).await;
                found.expect("an answer").args.first().is_some_and(|id| id.as_uint().is_some())
            };
            let mut subscribes = Box::pin(session.subscribe("com.example.topic", NONE));
            let mut registers = Box::pin(session.register("com.example.procedure", NONE));
            std::future::poll_fn(|context| {
                assert!(
                    subscribes.as_mut().poll(context).is_pending() && registers.as_mut().poll(context).is_pending()
                );
                Poll::Ready(())
            })
            .await;
            // What is asked for later is answered later.
            let asked = async || session.call("wamp.session.count", Vec::new(), NONE, NONE).await.expect("an answer");
            while !found("subscription", "com.example.topic").await || session.load().requests > 0 {
                asked().await;
            }
            assert!(found("registration", "com.example.procedure").await);
            drop((subscribes, registers));
            asked().await;
            assert_eq!((session.load().subscriptions, session.load().registrations), (0, 0));
            assert!(!found("subscription", "com.example.topic").await);
            assert!(!found("registration", "com.example.procedure").await);
        },
    );
}

#[test]
fn a_topic_that_is_asked_for_again_while_it_is_dropped_stays() {
    with_router(
        |_| {},
        async |urls| {
            let (session, other) = (join(&urls[1], Serializer::Cbor).await, join(&urls[1], Serializer::Cbor).await);
            let again = async || session.subscribe("com.example.topic", NONE).await.expect("subscribed");
            let mut kept = again().await;
            for _ in 0..100 {
                let asks = session.clone();
                let next = tokio::spawn(async move { asks.subscribe("com.example.topic", NONE).await });
                // The driver sends SUBSCRIBE before it learns that the first one is dropped.
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
                drop(kept);
                kept = next.await.expect("no panic").expect("subscribed");
                let published = other.publish_acknowledged("com.example.topic", Vec::new(), NONE, NONE).await;
                let event = tokio::time::timeout(Duration::from_secs(10), kept.next()).await;
                let event = event.expect("the subscription is there").expect("an event");
                assert_eq!(Ok(event.publication), published);
            }
            // What was kept for its sake is left, too.
            let asks = session.clone();
            let refused = tokio::spawn(async move { asks.subscribe("com..example", NONE).await.is_err() });
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            drop(kept);
            assert!(refused.await.expect("no panic"), "a URI that is none");
            let topic = vec![Value::from("com.example.topic")];
            let found = session.call("wamp.subscription.lookup", topic, NONE, NONE).await.expect("an answer");
            assert!(found.args.first().is_none_or(|id| id.as_uint().is_none()), "{found:?}");
        },
    );
}

#[test]
fn what_was_answered_arrives_though_the_session_is_let_go() {
    with_router(
        |_| {},
        async |urls| {
            for url in &urls {
                let caller = join(url, Serializer::Cbor).await;
                for round in 0..20 {
                    let callee = join(url, Serializer::Cbor).await;
                    // Another one each time: that of the callee before may still be there.
                    let last = format!("com.example.last{round}");
                    let mut calls = callee.register(&last, NONE).await.expect("registered");
                    let serve = async {
                        let call = calls.next().await.expect("a call");
                        call.finish(vec!["answered".into()], NONE);
                        drop((calls, callee));
                    };
                    let (outcome, ()) = tokio::join!(caller.call(&last, Vec::new(), NONE, NONE), serve);
                    assert_eq!(outcome.expect("a result").args, ["answered".into()]);
                }
            }
        },
    );
}

#[test]
fn who_is_not_let_in_learns_why() {
    let change = |config: &mut RuntimeConfig| {
        let grant = Grant { role: Some("anonymous".into()), ..Grant::default() };
        let user = TicketUser { ticket: Secret(b"secret!".as_slice().into()), grant };
        config.transports[0].auth.ticket = Some(Source::Static([("joe".into(), user)].into()));
    };
    with_router(change, async |urls| {
        for url in &urls {
            let joe = |ticket: &str| Connect {
                authid: Some("joe".into()),
                credentials: vec![Credential::Ticket(Secret(ticket.as_bytes().into()))],
                ..Connect::new(url, "realm1")
            };
            let session = joe("secret!").open().await.expect("joe is let in");
            assert_eq!(session.details().str("authid"), Ok(Some("joe")));
            let Err(ConnectError::Refused { reason, .. }) = joe("secret?").open().await else { panic!("refused") };
            assert_eq!(&*reason, "wamp.error.authentication_denied");
        }
        let nowhere = Connect::new("ws://127.0.0.1:1/", "realm1").open().await;
        assert!(matches!(nowhere, Err(ConnectError::Io(_))), "{nowhere:?}");
        let wrong = Connect::new(&urls[0].replace("/ws", "/nothing"), "realm1").open().await;
        assert!(matches!(&wrong, Err(ConnectError::Handshake(why)) if why.contains("404")), "{wrong:?}");
    });
}

#[test]
fn passwords_and_keys_are_shown() {
    let seed = [7; 32];
    let change = |config: &mut RuntimeConfig| {
        let grant = Grant { role: Some("anonymous".into()), ..Grant::default() };
        let auth = &mut config.transports[0].auth;
        let salt = CraSalt::new("salt", Some(20_000), None).expect("a salt");
        let user = CraUser::new(b"secret!", Some(salt), grant.clone());
        auth.wampcra = Some(Source::Static([("joe".into(), user)].into()));
        let key = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let users = [("jane".into(), KeyUser { keys: vec![key], grant })].into();
        auth.cryptosign = Some(Source::Static(Cryptosign { users }));
    };
    with_router(change, async |urls| {
        for url in &urls {
            let name = |session: Session| session.details().str("authid").ok().flatten().map(str::to_owned);
            // While the key is derived, others go on: there is one thread.
            let (joe, ticked) = tokio::join!(Connect::new(url, "realm1").password("joe", "secret!").open(), async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                true
            });
            assert_eq!((name(joe.expect("joe is let in")).as_deref(), ticked), (Some("joe"), true));
            let wrong = Connect::new(url, "realm1").password("joe", "secret?").open().await;
            assert!(matches!(&wrong, Err(ConnectError::Refused { .. })), "{wrong:?}");
            let key = Credential::Cryptosign(Secret(seed.as_slice().into()));
            let jane = Connect::new(url, "realm1").credential("jane", key).open().await.expect("jane is let in");
            assert_eq!(name(jane).as_deref(), Some("jane"));
        }
    });
}

#[test]
fn routers_are_trusted_by_their_certificates() {
    let (authority, foreign) = (Authority::new("client"), Authority::new("client-foreign"));
    let (named, other) =
        (authority.sign("one", &["localhost", "127.0.0.1"]), authority.sign("other", &["other.example"]));
    let (joe, stranger) = (authority.sign("joe", &[]), foreign.sign("joe", &[]));
    let tls = |own| {
        let client_authorities = vec![authority.path()];
        Some(TlsConfig { certificates: vec![own], client_authorities, client_optional: true, ciphers: None })
    };
    let change = |config: &mut RuntimeConfig| {
        config.listeners[0].tls = tls(named.clone());
        let mut another = config.listeners[0].clone();
        another.tls = tls(other.clone());
        config.listeners.push(another);
        let grant = Grant { role: Some("anonymous".into()), ..Grant::default() };
        let users = TlsUsers { users: [("joe".into(), grant)].into(), ..TlsUsers::default() };
        config.transports[0].auth.anonymous = Some(Source::Static(Default::default()));
        config.transports[0].auth.tls = Some(Source::Static(users));
    };
    with_router(change, async |urls| {
        let secure = |url: &str| url.replacen("ws:", "wss:", 1).replacen("rs:", "rss:", 1);
        let trust = |url: &str, trust: Trust| Connect { trust, ..Connect::new(url, "realm1") };
        let ours = || Trust::Authorities(authority.path());
        for url in [&secure(&urls[0]), &secure(&urls[1]), &secure(&urls[0]).replace("127.0.0.1", "localhost")] {
            let session = trust(url, ours()).open().await.expect("it is trusted");
            // More than one record, and more than a socket takes at once.
            let mut calls = session.register("com.example.echo", NONE).await.expect("registered");
            let echo = async {
                let mut call = calls.next().await.expect("a call");
                let args = std::mem::take(&mut call.args);
                call.finish(args, NONE);
            };
            let args = vec![Value::from("x".repeat(3 << 20))];
            let (outcome, ()) = tokio::join!(session.call("com.example.echo", args.clone(), NONE, NONE), echo);
            assert_eq!(outcome.expect("a result").args, args);
            session.leave("wamp.close.normal").await;

            let untrusted =
                [Trust::Authorities(foreign.path()), Trust::System, Trust::Authorities("/nowhere.pem".into())];
            for not in untrusted {
                let refused = trust(url, not).open().await;
                assert!(matches!(refused, Err(ConnectError::Tls(_))), "{refused:?}");
            }
            trust(url, Trust::Unchecked).open().await.expect("everybody is trusted");

            let show = |own: &corebar::config::tls::CertificateConfig| Connect {
                credentials: vec![Credential::Certificate],
                certificate: Some(Certificate { certificate: own.certificate.clone(), key: own.key.clone() }),
                ..trust(url, ours())
            };
            let session = show(&joe).open().await.expect("joe is let in");
            assert_eq!(session.details().str("authid"), Ok(Some("joe")));
            let refused = show(&stranger).open().await;
            assert!(refused.is_err(), "{refused:?}");
        }
        let wrong = trust(&secure(&urls[3]), ours()).open().await;
        assert!(matches!(&wrong, Err(ConnectError::Tls(why)) if why.contains("other.example")), "{wrong:?}");
        trust(&urls[0], ours()).open().await.expect_err("there is no session without TLS");
    });
}

#[test]
fn sessions_go_over_sockets_that_are_there_already() {
    with_router(
        |_| {},
        async |urls| {
            let path = urls[2].strip_prefix("unix://").expect("a path").to_owned();
            let socket = || std::os::unix::net::UnixStream::connect(&path).expect("connected");
            let session = Connect::new("", "realm1").open_on(socket()).await.expect("a session");
            let count = session.call("wamp.session.count", Vec::new(), NONE, NONE).await.expect("a result");
            assert_eq!(count.args, [Value::Int(1)]);
            let (one, other) = std::os::unix::net::UnixStream::pair().expect("a pair");
            drop(other);
            let lost = Connect::new("", "realm1").open_on(one).await;
            assert!(matches!(lost, Err(ConnectError::Io(_))), "{lost:?}");
        },
    );
}
