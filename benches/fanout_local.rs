//! The core without sockets: what an event costs per subscriber, and what a call costs, on one shard.
#![allow(missing_docs, reason = "criterion's macros make public items without docs")]

use corebar::router::{ConnId, Effect, Limits, Link, Shard, ShardConfig};
use corebar::session::RealmConfig;
use corebar::wamp::Serializer;
use corebar::wire::Framing;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;
const HELLO: &[u8] = br#"[1,"realm1",{"roles":{"publisher":{},"subscriber":{},"caller":{},"callee":{}}}]"#;

/// A shard with so many sessions.
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

/// Takes all effects; gives their number.
fn drain(shard: &mut Shard) -> usize {
    let mut count = 0;
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
        count += 1;
    }
    count
}

fn fanout(c: &mut Criterion) {
    let mut group = c.benchmark_group("event to subscribers");
    for subscribers in [1, 100, 1_000, 10_000] {
        let mut shard = shard(subscribers + 1);
        for n in 0..subscribers {
            shard.receive(NOW, ConnId(n), br#"[32,1,{},"com.example.topic"]"#);
        }
        drain(&mut shard);
        let filler = "x".repeat(80);
        let mut request = 0;
        group.throughput(Throughput::Elements(subscribers.into()));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |b| {
            b.iter(|| {
                request += 1;
                let publish = format!("[16,{request},{{}},\"com.example.topic\",[\"{filler}\",{request}]]");
                shard.receive(NOW, ConnId(subscribers), publish.as_bytes());
                assert_eq!(drain(&mut shard), subscribers as usize);
            });
        });
    }
    group.finish();
}

fn call(c: &mut Criterion) {
    let mut shard = shard(2);
    let (callee, caller) = (ConnId(0), ConnId(1));
    shard.receive(NOW, callee, br#"[64,1,{},"com.example.add"]"#);
    drain(&mut shard);
    let mut request = 0;
    c.bench_function("call and result", |b| {
        b.iter(|| {
            request += 1;
            shard.receive(NOW, caller, format!("[48,{request},{{}},\"com.example.add\",[23,7]]").as_bytes());
            assert_eq!(drain(&mut shard), 1);
            shard.receive(NOW, callee, format!("[70,{request},{{}},[30]]").as_bytes());
            assert_eq!(drain(&mut shard), 1);
        });
    });
}

fn config() -> Criterion {
    Criterion::default().measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300))
}

criterion_group! { name = benches; config = config(); targets = fanout, call }
criterion_main!(benches);
