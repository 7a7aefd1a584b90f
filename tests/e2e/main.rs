//! End-to-end tests: the router as a process, talked to over real sockets, by feature.

#[path = "../support/mod.rs"]
mod support;

mod cancel;
mod cli;
mod concurrency;
mod history;
mod hostile;
mod longpoll;
mod longpoll_limits;
mod meta;
mod meta_registration;
mod meta_session;
mod meta_subscription;
mod ordering;
mod progress;
mod protocol;
mod publish_options;
mod pubsub;
mod rawsocket;
mod registrations;
mod rerouting;
mod results;
mod retained;
mod rpc;
mod scale;
mod session;
mod sharded;
mod sharing;
mod testament;
mod transcode;
mod websocket;
mod wide;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
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

/// As `on_every_wire`, with all wires at the same time: for tests that wait.
macro_rules! on_wires_at_once {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[test]
            fn shards_1() {
                crate::wires_at_once(crate::SHARDS[0], super::$name);
            }

            #[test]
            fn shards_4() {
                crate::wires_at_once(crate::SHARDS[1], super::$name);
            }
        }
    )*};
}
pub(crate) use on_wires_at_once;

fn each_wire(shards: u16, test: fn(&Router, Wire)) {
    let router = Router::shared(shards);
    for wire in Wire::all() {
        let _context = Context(wire);
        test(&router, wire);
    }
    assert_eq!(router.try_wait(), None, "the router still runs");
}

/// As `on_every_wire`, with a router for each test and wire alone: for tests that count or end sessions.
macro_rules! on_every_wire_alone {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[test]
            fn shards_1() {
                crate::each_wire_alone(crate::SHARDS[0], super::$name);
            }

            #[test]
            fn shards_4() {
                crate::each_wire_alone(crate::SHARDS[1], super::$name);
            }
        }
    )*};
}
pub(crate) use on_every_wire_alone;

fn each_wire_alone(shards: u16, test: fn(&Router, Wire)) {
    for wire in Wire::all() {
        let router = Router::start(&["--shards", &shards.to_string(), "--no-pin", "--realm", "realm2"]);
        let _context = Context(wire);
        test(&router, wire);
        assert_eq!(router.try_wait(), None, "the router still runs");
    }
}

fn wires_at_once(shards: u16, test: fn(&Router, Wire)) {
    let router = Router::shared(shards);
    thread::scope(|scope| {
        for wire in Wire::all() {
            let router = &router;
            scope.spawn(move || {
                let _context = Context(wire);
                test(router, wire);
            });
        }
    });
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

/// Asks until this holds: for what becomes true a moment after a session has gone.
#[track_caller]
fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it has not become true");
}

/// A URI that no other test uses.
fn uri(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("com.test.{name}.n{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
