//! A shorter form of the example `soak`: the same calls, fewer of them.

use crate::support::node;
use corebar::config::{ListenAddress, ListenerConfig};
use corebar::node::Node;

#[path = "../../examples/soak/load.rs"]
mod load;
#[path = "../../examples/soak/service.rs"]
mod service;

const CALLS: u64 = 3_000;

#[test]
fn calls_of_every_kind_leave_nothing() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    for shards in [1, 4] {
        let path = std::env::temp_dir().join(format!("corebar-soak-{:x}.sock", fastrand::u64(..)));
        let config = node::config(|config| {
            config.shards = Some(shards);
            config.listeners.push(ListenerConfig::plain(ListenAddress::Unix(path.clone())));
        });
        let mut parts = 0;
        let endings = runtime.block_on(async {
            let node = Node::start(config).expect("a router");
            let bound = node.bound()[0].to_string();
            let urls = [bound.clone(), bound.replace("ws://", "rs://"), format!("unix://{}", path.display())];
            let endings = load::run(&node, &urls, CALLS, |_| parts += 1).await;
            node.shut_down().await;
            endings
        });
        let _ = std::fs::remove_file(path);
        let endings = endings.unwrap_or_else(|why| panic!("on {shards} shards: {why}"));
        assert_eq!((parts, endings.values().sum::<u64>()), (3, CALLS), "{endings:?}");
        for wanted in ["answered", "timed out", "canceled", "dropped", "answered in parts", "ended by the router"] {
            assert!(
                endings.get(wanted).is_some_and(|count| *count > 0),
                "there are calls that were {wanted}: {endings:?}"
            );
        }
    }
}
