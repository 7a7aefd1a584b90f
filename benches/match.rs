//! What it costs to find the subscriptions that match a topic, by number of patterns: exact, by prefix, by wildcard.
//!
//! Each topic matches exactly one pattern, so that the number of matches does not grow with the number of patterns.

use corebar::router::pattern::{PrefixTrie, WildcardTrie};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use hashbrown::HashMap;
use std::hint::black_box;

/// Numbers of patterns.
const SIZES: [usize; 3] = [10, 1_000, 100_000];

/// Topics per round, spread over all patterns.
const TOPICS: usize = 1_000;

/// The components that tell the pattern with this number from the others.
fn device(number: usize) -> String {
    format!("plant{}.line{}.device{number}", number % 7, number % 101)
}

/// Topics, each in the area of one of so many patterns.
fn topics(size: usize) -> Vec<String> {
    // A step that is prime to the sizes leads to all patterns, in no order that helps caches.
    (0..TOPICS).map(|at| format!("com.example.{}.temperature", device(at * 7_919 % size))).collect()
}

/// Measures one round over all topics; `found` gives the number of matches of a topic.
fn measure(c: &mut Criterion, name: &str, size: usize, found: impl Fn(&str) -> usize) {
    let topics = topics(size);
    assert!(topics.iter().all(|topic| found(topic) == 1), "each topic matches one pattern");
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(TOPICS as u64));
    group.bench_function(BenchmarkId::from_parameter(size), |b| {
        b.iter(|| topics.iter().map(|topic| found(black_box(topic))).sum::<usize>());
    });
    group.finish();
}

/// Looking the topic up in a hash table.
fn exact(c: &mut Criterion) {
    for size in SIZES {
        // Hashed as in a shard.
        let mut table = HashMap::with_hasher(SeedableRandomState::with_seed(1, SharedSeed::global_fixed()));
        for number in 0..size {
            table.insert(format!("com.example.{}.temperature", device(number)), 1);
        }
        measure(c, "match/exact", size, |topic| table.get(topic).copied().unwrap_or(0));
    }
}

/// Patterns for all that one device says.
fn prefix(c: &mut Criterion) {
    for size in SIZES {
        let mut trie = PrefixTrie::new();
        for number in 0..size {
            trie.insert(&format!("com.example.{}.", device(number)), 1);
        }
        measure(c, "match/prefix", size, |topic| {
            let mut found = 0;
            trie.for_each_match(topic, |value| found += value);
            found
        });
    }
}

/// Patterns for one device, wherever it stands.
fn wildcard(c: &mut Criterion) {
    for size in SIZES {
        let mut trie = WildcardTrie::new();
        for number in 0..size {
            trie.insert(&format!("com.example...device{number}.temperature"), 1);
        }
        measure(c, "match/wildcard", size, |topic| {
            let mut found = 0;
            trie.for_each_match(topic, |value| found += value);
            found
        });
    }
}

criterion_group!(benches, exact, prefix, wildcard);
criterion_main!(benches);
