//! Frames out, built once for all receivers, and frames in, unmasked and lent.
#![allow(missing_docs, reason = "criterion's macros make public items without docs")]

use bytes::Bytes;
use corebar::wamp::Serializer;
use corebar::wire::websocket::{Accepts, Sender, WsMode, WsReader};
use corebar::wire::{FrameBuilder, Framing, Inbound, WireEvent};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;

fn body(size: usize) -> Bytes {
    "{\"symbol\":\"ACME\",\"price\":123.25},".bytes().cycle().take(size).collect()
}

fn out(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame out");
    for size in [100, 1_000, 64_000] {
        group.throughput(Throughput::Bytes(size as u64));
        let body = body(size);
        for (name, framing) in [
            ("websocket", Framing::WebSocket { batched: false, deflate: None, fragment: None }),
            ("deflate", Framing::WebSocket { batched: false, deflate: Some(15), fragment: None }),
            ("rawsocket", Framing::RawSocket),
        ] {
            let mut builder = FrameBuilder::default();
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter(|| builder.build(Serializer::Json, framing, b"[36,1,2,{},", Some(black_box(&body))));
            });
        }
    }
    group.finish();
}

fn masked(payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [1, 2, 3, 4];
    let mut frame = match payload.len() {
        short @ 0..126 => vec![0x81, 0x80 | short as u8],
        middle => [&[0x81, 0xfe][..], &(middle as u16).to_be_bytes()].concat(),
    };
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(octet, key)| octet ^ key));
    frame
}

fn incoming(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame in");
    for size in [100, 1_000, 64_000] {
        group.throughput(Throughput::Bytes(size as u64));
        let frame = masked(&body(size));
        let mode = WsMode {
            accepts: Accepts::Text,
            batched: false,
            deflate: false,
            message_bytes_max: 1 << 24,
            from: Sender::Client,
        };
        let (mut reader, mut inbound, mut answers) = (WsReader::new(mode), Inbound::default(), Vec::new());
        group.bench_function(BenchmarkId::new("websocket", size), |b| {
            b.iter_batched_ref(
                || frame.clone(),
                |input| match reader.feed(input, &mut inbound, &mut answers) {
                    Ok((_, Some(WireEvent::Message { data, .. }))) => data.len(),
                    other => panic!("{other:?}"),
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn config() -> Criterion {
    Criterion::default().measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300))
}

criterion_group! { name = benches; config = config(); targets = out, incoming }
criterion_main!(benches);
