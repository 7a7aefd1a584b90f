//! A router in the test's own process, with a configuration that the command line does not reach.

use super::wire::Wire;
use corebar::config::{ListenAddress, ListenerConfig, RuntimeConfig};
use corebar::node::Node;
use corebar::transport::listener::Bound;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// Runs `test` against a router of this configuration, then shuts it down; gives how long that took.
pub fn with_router(change: impl FnOnce(&mut RuntimeConfig), test: impl FnOnce(SocketAddr) + Send) -> Duration {
    let mut config = RuntimeConfig {
        listeners: vec![ListenerConfig::plain(ListenAddress::Tcp { host: "127.0.0.1".into(), port: 0 })],
        shards: Some(1),
        pin: false,
        ..RuntimeConfig::default()
    };
    change(&mut config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let node = Node::start(config).expect("a router");
    let Bound::Tcp(address) = node.bound()[0].clone() else { panic!("a TCP address") };
    thread::scope(|scope| {
        let client = scope.spawn(move || test(address));
        runtime.block_on(async {
            while !client.is_finished() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        if let Err(panic) = client.join() {
            std::panic::resume_unwind(panic);
        }
    });
    let start = Instant::now();
    runtime.block_on(node.shut_down());
    start.elapsed()
}

/// Runs `test` against routers of this configuration with 1 and with 4 shards, with every wire.
pub fn on_every_wire(change: impl Fn(&mut RuntimeConfig), test: fn(SocketAddr, Wire)) {
    for shards in [1, 4] {
        let change = |config: &mut RuntimeConfig| {
            change(config);
            config.shards = Some(shards);
        };
        with_router(change, |address| Wire::all().for_each(|wire| test(address, wire)));
    }
}
