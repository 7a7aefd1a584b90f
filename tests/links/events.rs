//! Events.

use super::{Net, SOON, chain, hops, link, mesh, next, role, run, subscribed, until};
use corebar::auth::config::{Anonymous, Grant, Secret, Source, TicketUser};
use corebar::client::{Connect, Event, Session, Subscription};
use corebar::wamp::{Dict, Value};
use std::time::Duration;

const NONE: Dict = Dict::new();

/// The next event that was not published to see whether events come.
async fn fresh(events: &mut Subscription) -> Event {
    loop {
        let event = next(events).await;
        if event.kwargs.get("warm").is_none() {
            return event;
        }
    }
}

#[test]
fn in_a_mesh_each_event_comes_once() {
    run(async {
        let net = mesh().await;
        let sessions = [net.join(0).await, net.join(1).await, net.join(2).await];
        let mut all = Vec::new();
        for (at, session) in sessions.iter().enumerate() {
            let topic = session.listen("com.topic").open().await.expect("subscribed");
            let prefix = session.listen("com.").prefix().open().await.expect("subscribed");
            let wildcard = session.listen("com..x").wildcard().open().await.expect("subscribed");
            all.push((at, topic, prefix, wildcard));
        }
        for session in &sessions {
            for (topic, policy) in [("com.topic", "exact"), ("com.", "prefix"), ("com..x", "wildcard")] {
                subscribed(session, topic, policy, true).await;
            }
        }
        // Those of the links are there when an event comes by them from each to each.
        for (from, session) in sessions.iter().enumerate() {
            for (_, topic, prefix, wildcard) in all.iter_mut().filter(|(to, ..)| *to != from) {
                for (events, to) in [(topic, "com.topic"), (prefix, "com.other"), (wildcard, "com.y.x")] {
                    until(async || {
                        session.event(to).kwarg("warm", from).acknowledged().await.expect("published");
                        let event = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
                        event.is_ok_and(|event| event.is_some_and(|event| event.kwarg::<usize>("warm") == Ok(from)))
                    })
                    .await;
                }
            }
        }
        for (from, session) in sessions.iter().enumerate() {
            for number in 0..50 {
                let topic = if number % 2 == 0 { "com.topic" } else { "com.y.x" };
                session.event(topic).arg(number).kwarg("from", from).send().await.expect("published");
            }
            for (_, topic, prefix, wildcard) in all.iter_mut().filter(|(to, ..)| *to != from) {
                for number in 0..50 {
                    // Over all topics in the order of the publisher.
                    let event = fresh(prefix).await;
                    let got = (event.arg::<u64>(0), event.kwarg::<usize>("from"));
                    assert_eq!((got, hops(event.forward_for())), ((Ok(number), Ok(from)), 1));
                    let other = if number % 2 == 0 { &mut *topic } else { &mut *wildcard };
                    assert_eq!(fresh(other).await.arg::<u64>(0), Ok(number));
                }
            }
        }
        drop(all);
        // Nothing is left of what nobody wants any more.
        for session in &sessions {
            for (topic, policy) in [("com.topic", "exact"), ("com.", "prefix"), ("com..x", "wildcard")] {
                subscribed(session, topic, policy, false).await;
            }
        }
        assert!(net.links(1)[0].sent.events > 0 && net.links(1)[0].received.events > 0);
        net.end().await;
    });
}

#[test]
fn a_chain_takes_events_all_the_way() {
    run(async {
        let net = chain().await;
        let (first, last) = (net.join(0).await, net.join(2).await);
        let mut forth = last.listen("com.forth").open().await.expect("subscribed");
        let mut back = first.listen("com.back").open().await.expect("subscribed");
        subscribed(&first, "com.forth", "exact", true).await;
        subscribed(&last, "com.back", "exact", true).await;
        first.event("com.forth").arg("x").acknowledged().await.expect("published");
        last.event("com.back").arg("y").acknowledged().await.expect("published");
        for (events, said) in [(&mut forth, "x"), (&mut back, "y")] {
            let event = next(events).await;
            assert_eq!((event.arg::<String>(0).as_deref(), hops(event.forward_for())), (Ok(said), 2));
        }
        drop(forth);
        subscribed(&first, "com.forth", "exact", false).await;
        // What is the router's own stays there.
        let _own = last.listen("wamp.session.on_join").open().await.expect("subscribed");
        let _own = last.listen("corebar.x").open().await.expect("subscribed");
        let _behind = last.listen("com.behind").open().await.expect("subscribed");
        subscribed(&first, "com.behind", "exact", true).await;
        assert!(super::lookup(&first, "subscription", "corebar.x", "exact").await.is_none());
        net.end().await;
    });
}

#[test]
fn directions_are_those_that_are_wanted() {
    run(async {
        let mut net = Net::default();
        net.add(1, &[], |_| {});
        net.add(1, &[0], |config| {
            let link = &mut config.links[0];
            (link.local_events, link.remote_calls) = (false, false);
        });
        net.up().await;
        let (there, here) = (net.join(0).await, net.join(1).await);
        let mut events = there.listen("com.from.here").open().await.expect("subscribed");
        let mut none = here.listen("com.from.there").open().await.expect("subscribed");
        let _offer = here.offer("com.offer").handle(async || 1).await.expect("registered");
        let _not = there.offer("com.not").handle(async || 1).await.expect("registered");
        subscribed(&here, "com.from.here", "exact", true).await;
        super::registered(&there, "com.offer", true).await;
        here.event("com.from.here").acknowledged().await.expect("published");
        next(&mut events).await;
        there.event("com.from.there").acknowledged().await.expect("published");
        assert!(tokio::time::timeout(Duration::from_millis(200), none.next()).await.is_err());
        super::registered(&here, "com.not", false).await;
        net.end().await;
    });
}

/// A router whose users have tickets, and whose publishers are disclosed when they ask for it.
fn with_users(config: &mut corebar::config::RuntimeConfig) {
    config.realms[0].roles = Some(vec![role("user"), role("staff"), role("anonymous")]);
    let user = |name: &str, role: &str| {
        let grant = Grant { role: Some(role.into()), ..Grant::default() };
        (name.into(), TicketUser { ticket: Secret("t".as_bytes().into()), grant })
    };
    let users = [user("joe", "user"), user("sue", "staff")].into_iter().collect();
    config.transports[0].auth.ticket = Some(Source::Static(users));
    config.transports[0].auth.anonymous = Some(Source::Static(Anonymous::default()));
}

async fn login(net: &Net, node: usize, name: &str) -> Session {
    let connect = Connect::new(&format!("ws://{}/", net.address(node)), "realm1").ticket(name, "t");
    connect.open().await.expect("a session")
}

#[test]
fn what_is_for_some_alone_stays() {
    run(async {
        let mut net = Net::default();
        net.add(1, &[], with_users);
        net.add(2, &[0], |config| {
            with_users(config);
            config.links[0].exclude_authid = vec!["joe".into()];
        });
        net.up().await;
        for (from, to) in [(0, 1), (1, 0)] {
            let publisher = login(&net, from, "sue").await;
            let (joe, sue) = (login(&net, to, "joe").await, login(&net, to, "sue").await);
            let mut heard_by_joe = joe.listen("com.topic").open().await.expect("subscribed");
            let mut heard = sue.listen("com.topic").open().await.expect("subscribed");
            subscribed(&publisher, "com.topic", "exact", true).await;
            let one = |text: &str| -> Value { vec![Value::from(text)].into() };
            for (key, list) in [
                ("exclude_authid", one("joe")),
                ("exclude_authrole", one("user")),
                ("eligible_authid", one("sue")),
                ("eligible_authrole", one("staff")),
                ("eligible", vec![Value::from(1)].into()),
            ] {
                publisher.event("com.topic").arg(key).option(key, list).acknowledged().await.expect("published");
            }
            let some = publisher.event("com.topic").arg("some").option("exclude", vec![Value::from(1)]);
            some.disclosed().acknowledged().await.expect("published");
            let event = next(&mut heard).await;
            assert_eq!(event.arg::<String>(0).as_deref(), Ok("some"));
            let whom = event.forward_for()[0].as_dict().cloned().unwrap_or_default();
            assert_eq!((whom.str("authid"), whom.str("authrole")), (Ok(Some("sue")), Ok(Some("staff"))));
            assert_eq!(whom.uint("session"), Ok(Some(publisher.id().get())));
            // Who does not want to be known is not.
            publisher.event("com.topic").arg("other").acknowledged().await.expect("published");
            let event = next(&mut heard).await;
            let whom = event.forward_for()[0].as_dict().cloned().unwrap_or_default();
            assert_eq!(event.arg::<String>(0).as_deref(), Ok("other"));
            assert_ne!(whom.str("authid"), Ok(Some("sue")));
            // The link has been told to leave him out.
            assert!(tokio::time::timeout(Duration::from_millis(100), heard_by_joe.next()).await.is_err());
        }
        net.end().await;
    });
}

#[test]
fn of_two_links_one_carries() {
    run(async {
        let mut net = Net::default();
        net.add(1, &[], |_| {});
        let to = net.address(0);
        net.add(1, &[0], |config| config.links.push(link("again", to)));
        net.up().await;
        let (there, here) = (net.join(0).await, net.join(1).await);
        let mut events = here.listen("com.topic").open().await.expect("subscribed");
        subscribed(&there, "com.topic", "exact", true).await;
        for number in 0..20 {
            there.event("com.topic").arg(number).acknowledged().await.expect("published");
            assert_eq!(next(&mut events).await.arg::<u64>(0), Ok(number));
        }
        assert!(tokio::time::timeout(Duration::from_millis(100), events.next()).await.is_err());
        net.end().await;
    });
}

#[test]
fn payload_is_passed_on_as_it_is() {
    run(async {
        let net = chain().await;
        let (first, last) = (net.join(0).await, net.join(2).await);
        let mut events = last.listen("com.topic").open().await.expect("subscribed");
        subscribed(&first, "com.topic", "exact", true).await;
        let args = vec![Value::Bin([0, 255].into()), u64::MAX.into(), Value::Float(0.5), Value::Null];
        let kwargs = Dict::new().with("key", Dict::new().with("inner", true));
        first.publish("com.topic", args.clone(), kwargs.clone(), NONE).await.expect("published");
        let event = next(&mut events).await;
        assert_eq!((event.args, event.kwargs), (args, kwargs));
        let large = "x".repeat(3 << 20);
        first.event("com.topic").arg(&large).send().await.expect("published");
        assert_eq!(next(&mut events).await.arg::<String>(0).as_deref(), Ok(&*large));
        // A client says itself for whom it publishes.
        let whom = || Dict::new().with("session", 1).with("authid", "a").with("authrole", "b");
        let mut heard = net.join(0).await.listen("com.topic").open().await.expect("subscribed");
        let said = first.event("com.topic").arg(7).forward_for(vec![whom().into()]);
        said.acknowledged().await.expect("published");
        loop {
            let event = next(&mut heard).await;
            if event.arg::<u64>(0) == Ok(7) {
                assert_eq!(event.forward_for(), [Value::from(whom())]);
                break;
            }
        }
        // Nobody knows by which routers it has come: it goes no further.
        assert!(tokio::time::timeout(Duration::from_millis(100), events.next()).await.is_err());
        until(async || net.links(2)[0].received.events == 2).await;
        let wrong = first.event("com.topic").forward_for(vec![Value::from(1)]).acknowledged();
        assert!(tokio::time::timeout(SOON, wrong).await.expect("an end").is_err());
        net.end().await;
    });
}
