//! Connections that are lost, and sides that do not keep up.

use super::relay::{Relay, Way};
use super::{Net, SOON, hops, link, next, registered, run, subscribed, until};
use corebar::client::{Connect, RequestError};
use corebar::config::{ListenAddress, ListenerConfig};
use corebar::node::Node;
use std::time::Duration;

#[test]
fn what_was_there_comes_back() {
    run(async {
        let mut net = Net::default();
        net.add(2, &[], |_| {});
        let relay = Relay::new(net.address(0)).await;
        net.add(1, &[], |config| {
            let mut link = link("cut", net_address());
            link.way.url = relay.url().replace("/ws", "/");
            link.way.ping_interval = Duration::from_millis(200);
            link.way.ping_timeout = Duration::from_millis(200);
            config.links.push(link);
        });
        net.up().await;
        let (there, here) = (net.join(0).await, net.join(1).await);
        let mut events = here.listen("com.topic").open().await.expect("subscribed");
        let mut back = there.listen("com.back").open().await.expect("subscribed");
        let _offer = there.offer("com.offer").handle(async || 7_u64).await.expect("registered");
        let mut slow = there.offer("com.slow").open().await.expect("registered");
        for way in [Way::Closed, Way::Frozen] {
            subscribed(&there, "com.topic", "exact", true).await;
            subscribed(&here, "com.back", "exact", true).await;
            registered(&here, "com.slow", true).await;
            until(async || here.ask("com.offer").result::<u64>().await == Ok(7)).await;
            let waiting = here.ask("com.slow").results().await.expect("called");
            let invocation = slow.next().await.expect("a call");
            relay.set(way);
            // Without the other side there is nothing of it here, and who waits is told.
            registered(&here, "com.offer", false).await;
            let mut waiting = waiting;
            let lost = tokio::time::timeout(SOON, waiting.last()).await.expect("an end").expect_err("an error");
            assert!(matches!(lost, RequestError::Refused(_)), "{lost:?}");
            drop(invocation);
            until(async || net.links(1).iter().all(|link| !link.up && !link.why.is_empty())).await;
            // What is wanted meanwhile comes, too.
            let mut later = here.listen("com.later").open().await.expect("subscribed");
            relay.set(Way::Open);
            net.up().await;
            subscribed(&there, "com.later", "exact", true).await;
            subscribed(&there, "com.topic", "exact", true).await;
            there.event("com.topic").arg(1).acknowledged().await.expect("published");
            assert_eq!(hops(next(&mut events).await.forward_for()), 1);
            there.event("com.later").acknowledged().await.expect("published");
            next(&mut later).await;
            // The session that was frozen may be there still, and brings nothing.
            assert!(tokio::time::timeout(Duration::from_millis(100), events.next()).await.is_err());
            subscribed(&here, "com.back", "exact", true).await;
            until(async || {
                here.event("com.back").acknowledged().await.expect("published");
                tokio::time::timeout(Duration::from_millis(200), back.next()).await.is_ok()
            })
            .await;
        }
        net.end().await;
    });
}

/// An address that is replaced.
fn net_address() -> std::net::SocketAddr {
    ([127, 0, 0, 1], 1).into()
}

#[test]
fn routers_come_and_go() {
    run(async {
        let mut net = Net::default();
        net.add(1, &[], |_| {});
        net.add(1, &[0], |_| {});
        net.up().await;
        let place = net.address(0);
        let here = net.join(1).await;
        let mut events = here.listen("com.topic").open().await.expect("subscribed");
        for _ in 0..2 {
            let there = net.nodes.remove(0);
            there.shut_down().await;
            until(async || net.links(0).iter().all(|link| !link.up)).await;
            let config = super::support::node::config(|config| {
                let address = ListenAddress::Tcp { host: "127.0.0.1".into(), port: place.port() };
                config.listeners = vec![ListenerConfig::plain(address)];
            });
            net.nodes.insert(0, Node::start(config).expect("a router"));
            net.up().await;
            let there = net.join(0).await;
            subscribed(&there, "com.topic", "exact", true).await;
            there.event("com.topic").arg(1).acknowledged().await.expect("published");
            assert_eq!(next(&mut events).await.arg::<u64>(0), Ok(1));
        }
        net.end().await;
    });
}

#[test]
fn a_side_that_does_not_read_holds_nobody_up() {
    run(async {
        let mut net = Net::default();
        net.add(1, &[], |_| {});
        let relay = Relay::new(net.address(0)).await;
        net.add(1, &[], |config| {
            let mut link = link("slow", net_address());
            link.way.url = relay.url().replace("/ws", "/");
            link.queue_max = 100;
            config.links.push(link);
        });
        net.up().await;
        let (there, here) = (net.join(0).await, net.join(1).await);
        let mut far = there.listen("com.topic").open().await.expect("subscribed");
        let mut near = here.listen("com.topic").open().await.expect("subscribed");
        subscribed(&here, "com.topic", "exact", true).await;
        until(async || {
            here.event("com.topic").arg(0).to_all().acknowledged().await.expect("published");
            tokio::time::timeout(Duration::from_millis(200), far.next()).await.is_ok()
        })
        .await;
        relay.set(Way::Silent);
        for number in 1..=1000_u64 {
            here.event("com.topic").arg(number).to_all().acknowledged().await.expect("published");
        }
        // Who is here has them all.
        while next(&mut near).await.arg::<u64>(0) != Ok(1000) {}
        until(async || net.links(1)[0].sent.events_lost >= 800).await;
        relay.set(Way::Open);
        until(async || net.links(1)[0].sent.events + net.links(1)[0].sent.events_lost >= 1001).await;
        // What is not lost is in order, and there is room again.
        here.event("com.topic").arg(2000).acknowledged().await.expect("published");
        let mut before = 0;
        loop {
            let number = next(&mut far).await.arg::<u64>(0).expect("a number");
            assert!(number > before || number == 0, "{number} behind {before}");
            before = number;
            if number == 2000 {
                break;
            }
        }
        net.end().await;
    });
}

#[test]
fn a_link_to_itself_is_none() {
    run(async {
        let mut net = Net::default();
        net.add(1, &[], |_| {});
        let own = net.address(0);
        let mut config = net.nodes[0].config().clone();
        config.links = vec![link("own", own)];
        net.nodes[0].reload(&config).await.expect("reloaded");
        until(async || net.links(0)[0].why.contains("the realm that it comes from")).await;
        // Somebody who is not let in is told why.
        config.links[0].remote_realm = "nowhere".into();
        net.nodes[0].reload(&config).await.expect("reloaded");
        until(async || net.links(0)[0].why.contains("no_such_realm")).await;
        let session = Connect::new(&format!("ws://{own}/"), "realm1").open().await.expect("a session");
        assert!(session.ask("wamp.session.count").result::<u64>().await.is_ok());
        net.end().await;
    });
}
