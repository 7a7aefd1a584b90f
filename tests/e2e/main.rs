//! End-to-end tests: the router as a process, talked to over real sockets, by feature.

#[path = "../support/mod.rs"]
mod support;

mod cli;
mod hostile;
mod longpoll;
mod longpoll_limits;
mod ordering;
mod protocol;
mod pubsub;
mod rawsocket;
mod rpc;
mod session;
mod transcode;
mod websocket;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use support::{Router, Wire};

/// The numbers of shards that every feature is tested with: one, and more than the machine may have cores.
const SHARDS: [u16; 2] = [1, 4];

/// For each function, tests that call it with a router and every wire, at 1 and at 4 shards.
macro_rules! on_every_wire {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[test]
            fn shards_1() {
                crate::each_wire(crate::SHARDS[0], super::$name);
            }

            #[test]
            fn shards_4() {
                crate::each_wire(crate::SHARDS[1], super::$name);
            }
        }
    )*};
}
pub(crate) use on_every_wire;

fn each_wire(shards: u16, test: fn(&Router, Wire)) {
    let router = Router::shared(shards);
    for wire in Wire::all() {
        let _context = Context(wire);
        test(&router, wire);
    }
    assert_eq!(router.try_wait(), None, "the router still runs");
}

/// Says on failure with which wire it happened.
struct Context(Wire);

impl Drop for Context {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed with {}", self.0);
        }
    }
}

/// A URI that no other test uses.
fn uri(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("com.test.{name}.n{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
