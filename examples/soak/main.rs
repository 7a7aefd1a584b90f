//! Many calls of every kind, dropped, canceled, late, in parts, over every transport and serializer, on 1 and on 4 shards, after
//! which nothing may be left, neither in the client nor in the router nor in memory:
//! `cargo run --release --example soak [CALLS]`, a hundred thousand unless it is told otherwise. Client and router are one
//! process, so that its memory is that of both.

mod load;
mod service;

use corebar::config::{ListenAddress, ListenerConfig, RuntimeConfig};
use corebar::node::Node;
use std::alloc::System;
use std::time::Instant;

/// Counts what is allocated.
#[global_allocator]
static ALLOCATED: cap::Cap<System> = cap::Cap::new(System, usize::MAX);

/// Octets that may be allocated after the last third of the calls and were not after the first: less than 4 for each call,
/// since nothing that could be left is as small.
const GROWTH_MAX: usize = 256 << 10;
/// The same for what the system has given, which is in pieces.
const RSS_GROWTH_MAX: usize = 16 << 20;

/// Octets of memory that the system has given this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or_default() << 10
}

async fn soak(shards: u16, calls: u64) -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("corebar-soak-{}-{shards}.sock", std::process::id()));
    let tcp = ListenerConfig::plain("127.0.0.1:0".parse()?);
    let listeners = vec![tcp, ListenerConfig::plain(ListenAddress::Unix(path.clone()))];
    let node = Node::start(RuntimeConfig { listeners, shards: Some(shards), pin: false, ..RuntimeConfig::default() })?;
    let bound = node.bound()[0].to_string();
    let urls = [bound.clone(), bound.replace("ws://", "rs://"), format!("unix://{}", path.display())];
    let (start, mut marks) = (Instant::now(), Vec::new());
    let note = |_| marks.push((resident(), ALLOCATED.allocated()));
    let endings = load::run(&node, &urls, calls, note).await;
    node.shut_down().await;
    let _ = std::fs::remove_file(path);
    println!("{calls} calls on {shards} shards in {:.1} s", start.elapsed().as_secs_f64());
    for (ending, count) in endings? {
        println!("{count:>8} {ending}");
    }
    for ((resident, allocated), third) in marks.iter().zip(["first", "second", "last"]) {
        println!("after the {third} third: {} KiB resident, {} KiB allocated", resident >> 10, allocated >> 10);
    }
    let grown = |of: fn(&(usize, usize)) -> usize| of(&marks[2]).saturating_sub(of(&marks[0]));
    if grown(|mark| mark.1) > GROWTH_MAX || grown(|mark| mark.0) > RSS_GROWTH_MAX {
        return Err("memory grows".into());
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let calls = std::env::args().nth(1).map_or(Ok(100_000), |calls| calls.parse())?;
    for shards in [1, 4] {
        soak(shards, calls).await?;
    }
    println!("nothing is left");
    Ok(())
}
