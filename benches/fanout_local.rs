//! The core without sockets: what an event costs per subscriber, and what a call costs, on one shard.
#![allow(missing_docs, reason = "criterion's macros make public items without docs")]

mod shards;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shards::Shards;
use std::time::Duration;

/// A shard with so many sessions.
fn shard(sessions: u32) -> Shards {
    let mut shard = Shards::new(1);
    (0..sessions).for_each(|n| shard.join(0, n, None));
    shard
}

fn fanout(c: &mut Criterion) {
    let mut group = c.benchmark_group("event to subscribers");
    for subscribers in [1, 100, 1_000, 10_000] {
        let mut shard = shard(subscribers + 1);
        for n in 0..subscribers {
            shard.receive(0, n, br#"[32,1,{},"com.example.topic"]"#);
        }
        let filler = "x".repeat(80);
        let mut request = 0;
        group.throughput(Throughput::Elements(subscribers.into()));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |b| {
            b.iter(|| {
                request += 1;
                let publish = format!("[16,{request},{{}},\"com.example.topic\",[\"{filler}\",{request}]]");
                assert_eq!(shard.receive(0, subscribers, publish.as_bytes()), subscribers as usize);
            });
        });
    }
    group.finish();
}

fn call(c: &mut Criterion) {
    let mut shard = shard(2);
    shard.receive(0, 0, br#"[64,1,{},"com.example.add"]"#);
    let mut request = 0;
    c.bench_function("call and result", |b| {
        b.iter(|| {
            request += 1;
            let call = format!("[48,{request},{{}},\"com.example.add\",[23,7]]");
            assert_eq!(shard.receive(0, 1, call.as_bytes()), 1);
            assert_eq!(shard.receive(0, 0, format!("[70,{request},{{}},[30]]").as_bytes()), 1);
        });
    });
}

fn config() -> Criterion {
    Criterion::default().measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300))
}

criterion_group! { name = benches; config = config(); targets = fanout, call }
criterion_main!(benches);
