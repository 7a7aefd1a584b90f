//! A router inside a program, with a component of the program's own: `cargo run --example embedded [ADDRESS]`.

use corebar::config::{ListenerConfig, RuntimeConfig};
use corebar::node::{Insider, Node};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listeners = vec![ListenerConfig::plain(address.parse()?)];
    let node = Node::start(RuntimeConfig { listeners, ..RuntimeConfig::default() })?;
    println!("listening on {}", node.bound()[0]);
    // No socket is listened on for this session, and it need not log in. Without a role it may do everything.
    let who = Insider { realm: "realm1".into(), namespace: "".into(), authid: "adder".into(), role: None };
    let session = node.console().join(who).await?;
    let _add = session.offer("com.example.add").handle(async |a: i64, b: i64| a + b).await?;
    tokio::signal::ctrl_c().await?;
    node.shut_down().await;
    Ok(())
}
