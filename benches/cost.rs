//! What the core costs in instructions, which no other program on the machine disturbs: per event and subscriber, and
//! per call. Runs itself under valgrind, twice for each figure, and prints the difference per operation.
#![allow(missing_docs, reason = "a program")]

use corebar::router::{ConnId, Effect, Limits, Link, Shard, ShardConfig};
use corebar::session::RealmConfig;
use corebar::wamp::Serializer;
use corebar::wire::Framing;
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;
const HELLO: &[u8] = br#"[1,"realm1",{"roles":{"publisher":{},"subscriber":{},"caller":{},"callee":{}}}]"#;
const SUBSCRIBERS: u32 = 1_000;
const OPERATIONS: [u32; 2] = [200, 400];

fn shard(sessions: u32) -> Shard {
    let mut shard = Shard::new(ShardConfig {
        index: 0,
        shards: 1,
        seed: 1,
        epoch: Duration::ZERO,
        realms: [RealmConfig::new("realm1")].into(),
        limits: Limits::default(),
        agent: "bench".into(),
        #[cfg(feature = "sim")]
        broken: None,
    });
    let framing = Framing::WebSocket { batched: false, deflate: None };
    let link = Link { serializer: Serializer::Json, framing, message_max: usize::MAX };
    for n in 0..sessions {
        shard.open(NOW, ConnId(n), link);
        shard.receive(NOW, ConnId(n), HELLO);
    }
    drain(&mut shard);
    shard
}

fn drain(shard: &mut Shard) {
    while let Some(effect) = shard.poll() {
        match effect {
            Effect::Send { frame, .. } => {
                black_box(frame.len());
            }
            // As much as the owner of the connections has to do.
            Effect::Fan { conns, frame } => {
                for conn in &conns {
                    black_box((conn, frame.clone()).1.len());
                }
                shard.reuse(conns);
            }
            _ => {}
        }
    }
}

fn publish(operations: u32, subscribers: u32) {
    let mut shard = shard(subscribers + 1);
    for n in 0..subscribers {
        shard.receive(NOW, ConnId(n), br#"[32,1,{},"com.example.topic"]"#);
    }
    drain(&mut shard);
    let filler = "x".repeat(80);
    for request in 1..=operations {
        let event = format!(r#"[16,{request},{{}},"com.example.topic",["{filler}"]]"#);
        shard.receive(NOW, ConnId(subscribers), event.as_bytes());
        drain(&mut shard);
    }
}

fn call(operations: u32) {
    let mut shard = shard(2);
    shard.receive(NOW, ConnId(0), br#"[64,1,{},"com.example.procedure"]"#);
    drain(&mut shard);
    for request in 1..=operations {
        let call = format!(r#"[48,{request},{{}},"com.example.procedure",[{request}]]"#);
        shard.receive(NOW, ConnId(1), call.as_bytes());
        drain(&mut shard);
        let result = format!("[70,{request},{{}},[{request}]]");
        shard.receive(NOW, ConnId(0), result.as_bytes());
        drain(&mut shard);
    }
}

fn run(scenario: &str, operations: u32) {
    match scenario {
        "publish" => publish(operations, 0),
        "deliver" => publish(operations, SUBSCRIBERS),
        _ => call(operations),
    }
}

/// Instructions of a whole run.
fn instructions(scenario: &str, operations: u32) -> Option<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args([scenario, &operations.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("Collected"))?.to_string();
    line.rsplit(' ').next()?.parse().ok()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [scenario, operations] = &*args {
        return run(scenario, operations.parse().unwrap_or(1));
    }
    for (scenario, per) in [("publish", 1.0), ("deliver", f64::from(SUBSCRIBERS)), ("call", 1.0)] {
        let counts = OPERATIONS.map(|operations| instructions(scenario, operations));
        let [Some(few), Some(many)] = counts else {
            println!("{scenario}: valgrind does not run here");
            continue;
        };
        let each = (many - few) / f64::from(OPERATIONS[1] - OPERATIONS[0]) / per;
        println!("{scenario}: {each:.1} instructions each");
    }
}
