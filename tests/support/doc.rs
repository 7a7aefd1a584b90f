// Included by examples in the documentation of `src/client`, which run against a router of their own.

use corebar::client::{Connect, Session};
use corebar::config::{ListenerConfig, RuntimeConfig};
use corebar::node::Node;

type Done = Result<(), Box<dyn std::error::Error>>;

/// Runs a program of the documentation with a session, within reasonable time.
fn with_session<F: Future<Output = Done>>(program: impl FnOnce(Session) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listeners = vec![ListenerConfig::plain("127.0.0.1:0".parse().expect("an address"))];
        let config = RuntimeConfig { listeners, shards: Some(1), pin: false, ..RuntimeConfig::default() };
        let node = Node::start(config).expect("a router");
        let session = Connect::new(&node.bound()[0].to_string(), "realm1").open().await.expect("a session");
        let done = tokio::time::timeout(std::time::Duration::from_secs(60), program(session)).await;
        node.shut_down().await;
        done.expect("it does not hang").expect("it goes well");
    });
}
