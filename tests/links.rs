//! Links between routers: what is published and offered on one is there on the others, once, and gone when it is gone there.

#[path = "links/calls.rs"]
mod calls;
#[path = "links/events.rs"]
mod events;
#[path = "links/examples.rs"]
mod examples;
#[path = "links/lasting.rs"]
mod lasting;
#[allow(dead_code, reason = "the tests of the client use more of it")]
#[path = "client/relay.rs"]
mod relay;
mod support;

use corebar::client::{Connect, Event, Session, Subscription};
use corebar::config::link::{LinkLogin, LinkWay};
use corebar::config::{LinkConfig, RuntimeConfig};
use corebar::link::LinkStatus;
use corebar::node::Node;
use corebar::session::{Access, RoleConfig};
use corebar::transport::listener::Bound;
use corebar::wamp::{Dict, Serializer, Value};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

/// Whatever is waited for comes by then, also on a machine that has a lot to do.
const SOON: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);

/// A link to a router, with the defaults of the configuration file but for the pause before it comes again.
fn link(id: &str, to: SocketAddr) -> LinkConfig {
    LinkConfig {
        id: id.into(),
        namespace: "".into(),
        realm: "realm1".into(),
        remote_realm: "realm1".into(),
        way: LinkWay {
            url: format!("ws://{to}/"),
            server_name: None,
            serializers: vec![Serializer::Cbor],
            message_bytes_max: 16 << 20,
            timeout: SOON,
            ping_interval: SOON,
            ping_timeout: SOON,
            authorities: None,
            certificate: None,
        },
        authid: None,
        login: LinkLogin::Anonymous,
        exclude_authid: Vec::new(),
        exclude_authrole: Vec::new(),
        local_events: true,
        remote_events: true,
        local_calls: true,
        remote_calls: true,
        queue_max: LinkConfig::QUEUE_MAX,
        calls_max: LinkConfig::CALLS_MAX,
        hops_max: LinkConfig::HOPS_MAX,
        retry_delay: Duration::from_millis(20),
        retry_delay_max: Duration::from_millis(200),
    }
}

/// Routers of this process.
#[derive(Default)]
struct Net {
    nodes: Vec<Node>,
}

impl Net {
    /// One more router, on some shards, with links to those before.
    fn add(&mut self, shards: u16, to: &[usize], change: impl FnOnce(&mut RuntimeConfig)) {
        let config = support::node::config(|config| {
            config.shards = Some(shards);
            config.links = to.iter().map(|to| link(&format!("to{to}"), self.address(*to))).collect();
            change(config);
        });
        self.nodes.push(Node::start(config).expect("a router"));
    }

    fn address(&self, node: usize) -> SocketAddr {
        let Bound::Tcp(address) = self.nodes[node].bound()[0].clone() else { panic!("a TCP address") };
        address
    }

    async fn join(&self, node: usize) -> Session {
        let connect = Connect::new(&format!("ws://{}/", self.address(node)), "realm1");
        connect.open().await.expect("a session")
    }

    fn links(&self, node: usize) -> Vec<LinkStatus> {
        self.nodes[node].console().links().links()
    }

    /// Waits until all links of all routers are there.
    async fn up(&self) {
        for node in 0..self.nodes.len() {
            until(async || self.links(node).iter().all(|link| link.up)).await;
        }
    }

    async fn end(self) {
        for node in self.nodes {
            node.shut_down().await;
        }
    }
}

/// Three routers, each linked with each.
async fn mesh() -> Net {
    let mut net = Net::default();
    net.add(2, &[], |_| {});
    net.add(1, &[0], |_| {});
    net.add(2, &[0, 1], |_| {});
    net.up().await;
    net
}

/// Three routers, one behind the other.
async fn chain() -> Net {
    let mut net = Net::default();
    net.add(1, &[], |_| {});
    net.add(2, &[0], |_| {});
    net.add(1, &[1], |_| {});
    net.up().await;
    net
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(4 * SOON, test).await.expect("the test does not hang") });
}

/// Waits until it is so.
#[track_caller]
fn until(mut wanted: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let by = tokio::time::Instant::now() + SOON;
        while !wanted().await {
            assert!(tokio::time::Instant::now() < by, "it does not come to that: {place}");
            tokio::time::sleep(STEP).await;
        }
    }
}

/// The id of a subscription or registration of a router, if there is one.
async fn lookup(session: &Session, kind: &str, uri: &str, policy: &str) -> Option<u64> {
    let options = Dict::new().with("match", policy);
    let asked = session.ask(&format!("wamp.{kind}.lookup")).arg(uri).arg(Value::from(options));
    asked.result::<Option<u64>>().await.expect("an answer")
}

/// Waits until a router has somebody subscribed to a topic, or nobody any more.
async fn subscribed(session: &Session, topic: &str, policy: &str, is: bool) {
    until(async || lookup(session, "subscription", topic, policy).await.is_some() == is).await;
}

/// The same for a procedure.
async fn registered(session: &Session, procedure: &str, is: bool) {
    until(async || lookup(session, "registration", procedure, "exact").await.is_some() == is).await;
}

async fn next(events: &mut Subscription) -> Event {
    tokio::time::timeout(SOON, events.next()).await.expect("an event comes").expect("the subscription is there")
}

/// The routers by which something has come: how many.
fn hops(whom: &[Value]) -> usize {
    let whole =
        |hop: &Value| hop.as_dict().is_some_and(|hop| hop.get("session").is_some() && hop.get("_router").is_some());
    assert!(whom.iter().all(whole), "{whom:?}");
    whom.len()
}

/// A role that may do everything, whose sessions are known to others or not.
fn role(name: &str) -> RoleConfig {
    RoleConfig { name: name.into(), access: Access::All }
}
