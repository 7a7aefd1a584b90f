//! What it costs to hand messages from one shard's thread to another's, by messages per batch.
//!
//! Both threads stay awake: what a wake-up costs is the operating system's matter.

use corebar::shard::mesh::Parcel;
use corebar::shard::{Mesh, Port};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// About as large as a message between shards.
struct Message([u64; 8]);

impl Parcel for Message {
    fn weight(&self) -> usize {
        size_of::<Message>()
    }
}

/// From one thread to the other and back.
fn round_trip(c: &mut Criterion) {
    let mut group = c.benchmark_group("mesh/round_trip");
    for batch in [1_usize, 16, 256] {
        group.throughput(Throughput::Elements(2 * batch as u64));
        group.bench_with_input(BenchmarkId::from_parameter(batch), &batch, |b, &batch| {
            let mesh = Arc::new(Mesh::new(2, 64));
            let mut here = Port::new(mesh.clone(), 0);
            let stop = Arc::new(AtomicBool::new(false));
            let echo = thread::spawn({
                let stop = stop.clone();
                move || {
                    let mut there = Port::new(mesh, 1);
                    while !stop.load(Ordering::Relaxed) {
                        let Some((from, mut batch)) = there.take() else {
                            thread::yield_now();
                            continue;
                        };
                        batch.drain(..).for_each(|message| there.post(from, message));
                        there.recycle(batch);
                        there.hand_over();
                    }
                }
            });
            b.iter(|| {
                (0..batch as u64).for_each(|number| here.post(1, Message([number; 8])));
                here.hand_over();
                loop {
                    if let Some((_, answer)) = here.take() {
                        black_box(answer.last().map(|message| message.0[7]));
                        here.recycle(answer);
                        break;
                    }
                    thread::yield_now();
                }
            });
            stop.store(true, Ordering::Relaxed);
            echo.join().expect("the echo ends");
        });
    }
    group.finish();
}

/// Sending and taking on one thread: the mesh's own work, without moving cache lines between cores.
fn one_thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("mesh/one_thread");
    for batch in [1_usize, 16, 256] {
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_with_input(BenchmarkId::from_parameter(batch), &batch, |b, &batch| {
            let mesh = Arc::new(Mesh::new(2, 64));
            let (mut here, mut there) = (Port::new(mesh.clone(), 0), Port::new(mesh, 1));
            b.iter(|| {
                (0..batch as u64).for_each(|number| here.post(1, Message([number; 8])));
                here.hand_over();
                let (_, taken) = there.take().expect("a batch was handed over");
                black_box(taken.last().map(|message| message.0[7]));
                here.recycle(taken);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, round_trip, one_thread);
criterion_main!(benches);
