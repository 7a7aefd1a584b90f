//! A router in the test's own process, with a configuration that the command line does not reach.

use super::wire::Wire;
use corebar::config::reload::Reload;
use corebar::config::{ListenAddress, ListenerConfig, RuntimeConfig};
use corebar::node::Node;
use corebar::transport::listener::Bound;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Gives a router other configurations while it runs.
pub struct Reloader {
    config: RuntimeConfig,
    asked: Sender<RuntimeConfig>,
    answers: Receiver<Result<(Reload, Vec<Bound>), String>>,
}

impl Reloader {
    /// Changes the configuration; gives what has changed, and where the router listens now.
    pub fn reload(&mut self, change: impl FnOnce(&mut RuntimeConfig)) -> Result<(Reload, Vec<Bound>), String> {
        let mut config = self.config.clone();
        change(&mut config);
        self.asked.send(config.clone()).expect("the router runs");
        let answer = self.answers.recv().expect("the router answers");
        if answer.is_ok() {
            self.config = config;
        }
        answer
    }
}

/// The configuration of a router that listens where nobody else does.
pub fn config(change: impl FnOnce(&mut RuntimeConfig)) -> RuntimeConfig {
    let mut config = RuntimeConfig {
        listeners: vec![ListenerConfig::plain(ListenAddress::Tcp { host: "127.0.0.1".into(), port: 0 })],
        shards: Some(1),
        pin: false,
        ..RuntimeConfig::default()
    };
    change(&mut config);
    config
}

/// Runs `test` against a router of this configuration, then shuts it down; gives how long that took.
pub fn with_router(change: impl FnOnce(&mut RuntimeConfig), test: impl FnOnce(SocketAddr) + Send) -> Duration {
    with_reloader(config(change), |address, _| test(address))
}

/// The same, with another configuration whenever the test wants one.
pub fn with_reloader(config: RuntimeConfig, test: impl FnOnce(SocketAddr, &mut Reloader) + Send) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let mut node = Node::start(config.clone()).expect("a router");
    let Bound::Tcp(address) = node.bound()[0].clone() else { panic!("a TCP address") };
    let (asked, wishes) = channel();
    let (answer, answers) = channel();
    let mut reloader = Reloader { config, asked, answers };
    thread::scope(|scope| {
        let client = scope.spawn(move || test(address, &mut reloader));
        runtime.block_on(async {
            while !client.is_finished() {
                if let Ok(wish) = wishes.try_recv() {
                    let done = node.reload(&wish).await.map_err(|error| error.to_string());
                    // The test may have failed meanwhile.
                    let _ = answer.send(done.map(|reload| (reload, node.bound().to_vec())));
                }
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

/// Runs `test` against routers of this configuration with 1 and with 4 shards, with every wire: each has one of its own, so
/// that nothing is left of the sessions of the one before.
pub fn on_every_wire(change: impl Fn(&mut RuntimeConfig), test: fn(SocketAddr, Wire)) {
    for shards in [1, 4] {
        for wire in Wire::all() {
            let change = |config: &mut RuntimeConfig| {
                change(config);
                config.shards = Some(shards);
            };
            with_router(change, |address| test(address, wire));
        }
    }
}
