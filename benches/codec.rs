//! Messages to octets and back. serde_json is the measure for JSON: into a tree, and into borrowed raw values.
#![allow(missing_docs, reason = "criterion's macros make public items without docs")]

use corebar::wamp::codec::{self, DecodeLimits};
use corebar::wamp::{Message, Serializer};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::value::RawValue;
use std::hint::black_box;
use std::time::Duration;

/// PUBLISH in JSON with about so many octets.
fn publish(size: usize) -> Vec<u8> {
    let filler = "x".repeat(60);
    let mut items = Vec::new();
    while items.len() * 105 + 75 < size {
        let n = items.len();
        items.push(format!("{{\"name\":\"{filler}\",\"price\":{n}.25,\"count\":{n},\"ok\":true}}"));
    }
    format!("[16,239714735,{{}},\"com.example.prices.changed\",[{}]]", items.join(",")).into_bytes()
}

fn decoded(octets: &[u8]) -> Message {
    codec::decode(Serializer::Json, octets, DecodeLimits::default()).expect("a good message")
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for size in [180, 1_000, 8_000] {
        let json = publish(size);
        let message = decoded(&json);
        group.throughput(Throughput::Bytes(json.len() as u64));
        for serializer in Serializer::ALL {
            let octets = codec::encode_to_vec(serializer, &message).expect("sayable");
            group.bench_function(BenchmarkId::new(serializer.name(), json.len()), |b| {
                b.iter(|| codec::decode(serializer, black_box(&octets), DecodeLimits::default()));
            });
        }
        group.bench_function(BenchmarkId::new("serde_json tree", json.len()), |b| {
            b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&json)));
        });
        group.bench_function(BenchmarkId::new("serde_json raw values", json.len()), |b| {
            b.iter(|| serde_json::from_slice::<Vec<&RawValue>>(black_box(&json)).map(|list| list.len()));
        });
    }
    group.finish();
}

fn splice(c: &mut Criterion) {
    let mut group = c.benchmark_group("splice and transcode");
    for size in [180, 8_000] {
        let json = publish(size);
        let message = decoded(&json);
        let payload = message.payload().expect("PUBLISH has payload").clone();
        let raw = payload.origin().expect("there are arguments").clone();
        let mut head = Vec::new();
        group.bench_function(BenchmarkId::new("encode without transcoding", json.len()), |b| {
            b.iter(|| {
                head.clear();
                codec::encode(Serializer::Json, black_box(&message), &mut head).map(|body| body.map(|b| b.len()))
            });
        });
        for to in [Serializer::MsgPack, Serializer::Cbor, Serializer::Ubjson] {
            group.bench_function(BenchmarkId::new(format!("json to {}", to.name()), json.len()), |b| {
                b.iter(|| codec::transcode(black_box(&raw), to));
            });
            let other = codec::transcode(&raw, to).expect("sayable");
            group.bench_function(BenchmarkId::new(format!("{} to json", to.name()), json.len()), |b| {
                b.iter(|| codec::transcode(black_box(&other), Serializer::Json));
            });
        }
    }
    group.finish();
}

fn config() -> Criterion {
    Criterion::default().measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300))
}

criterion_group! { name = benches; config = config(); targets = decode, splice }
criterion_main!(benches);
