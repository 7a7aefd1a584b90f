//! What a node has told at a moment, and what became of it since the one before.

use crate::router::Histogram;
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};

/// What a node has told.
#[derive(Debug)]
pub(super) struct Snapshot {
    taken: Instant,
    pub(super) status: Json,
    pub(super) stats: Json,
    /// Sessions for which most octets wait, the worst first.
    pub(super) slow: Vec<Json>,
}

impl Snapshot {
    pub(super) fn new(status: Json, stats: Json, slow: Vec<Json>) -> Snapshot {
        Snapshot { taken: Instant::now(), status, stats, slow }
    }

    /// What the shards have told; null for those that have not.
    pub(super) fn shards(&self) -> &[Json] {
        self.stats["shards"].as_array().map_or(&[], Vec::as_slice)
    }
}

/// What a shard, or all of them, did in a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) publications: f64,
    pub(super) events: f64,
    pub(super) calls: f64,
    pub(super) errors: f64,
    pub(super) messages_in: f64,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    /// 99 of 100 took no longer, as far as buckets tell; none if there was none.
    pub(super) turn: Option<Duration>,
    pub(super) delivery: Option<Duration>,
    pub(super) call: Option<Duration>,
}

/// What all did.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    pub(super) all: Rate,
    /// None: the shard has not told.
    pub(super) shards: Vec<Option<Rate>>,
}

impl Rates {
    /// What happened between two snapshots.
    pub(super) fn between(before: &Snapshot, now: &Snapshot) -> Rates {
        let seconds = now.taken.duration_since(before.taken).as_secs_f64().max(1e-3);
        let mut sum = Sum::default();
        let mut shards = Vec::new();
        for (at, shard) in now.shards().iter().enumerate() {
            let earlier = before.shards().get(at).filter(|shard| shard.is_object());
            shards.push(earlier.filter(|_| shard.is_object()).map(|earlier| {
                let own = Sum::between(earlier, shard);
                sum.add(&own);
                own.rate(seconds)
            }));
        }
        Rates { all: sum.rate(seconds), shards }
    }

    /// For programs.
    pub(super) fn json(&self) -> Json {
        let rate = |rate: &Rate| {
            let time = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
            json!({
                "publications": rate.publications, "events": rate.events, "calls": rate.calls, "errors": rate.errors,
                "messages_in": rate.messages_in, "bytes_in": rate.bytes_in, "bytes_out": rate.bytes_out,
                "turn_p99": time(rate.turn), "delivery_p99": time(rate.delivery), "call_p99": time(rate.call),
            })
        };
        let shards: Vec<Json> = self.shards.iter().map(|shard| shard.as_ref().map_or(Json::Null, rate)).collect();
        json!({"all": rate(&self.all), "shards": shards})
    }
}

/// What has been counted.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    counts: [u64; 7],
    turn: Histogram,
    delivery: Histogram,
    call: Histogram,
}

impl Sum {
    fn between(before: &Json, now: &Json) -> Sum {
        let more = |of: fn(&Json) -> u64| of(now).saturating_sub(of(before));
        let times = |name: &str| {
            let mut times = Histogram::default();
            let bucket = |of: &Json, at: usize| of[name]["buckets"][at].as_u64().unwrap_or_default();
            for (at, count) in times.counts.iter_mut().enumerate() {
                *count = bucket(now, at).saturating_sub(bucket(before, at));
            }
            times
        };
        let counts = [
            more(|shard| shard["publications"].as_u64().unwrap_or_default()),
            more(|shard| shard["events"].as_u64().unwrap_or_default()),
            more(|shard| shard["calls"].as_u64().unwrap_or_default()),
            more(|shard| {
                shard["errors"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
            }),
            more(|shard| metered(shard, "messages_in")),
            more(|shard| metered(shard, "bytes_in")),
            more(|shard| metered(shard, "bytes_out")),
        ];
        Sum { counts, turn: times("turn_time"), delivery: times("delivery_time"), call: times("call_time") }
    }

    fn add(&mut self, other: &Sum) {
        self.counts.iter_mut().zip(other.counts).for_each(|(own, more)| *own += more);
        self.turn.add(&other.turn);
        self.delivery.add(&other.delivery);
        self.call.add(&other.call);
    }

    fn rate(&self, seconds: f64) -> Rate {
        let [publications, events, calls, errors, messages_in, bytes_in, bytes_out] =
            self.counts.map(|count| count as f64 / seconds);
        let late = |times: &Histogram| times.quantile(0.99);
        let (turn, delivery, call) = (late(&self.turn), late(&self.delivery), late(&self.call));
        Rate { publications, events, calls, errors, messages_in, bytes_in, bytes_out, turn, delivery, call }
    }
}

/// A number of all meters of a shard together.
fn metered(shard: &Json, name: &str) -> u64 {
    shard["meters"].as_array().into_iter().flatten().filter_map(|meter| meter[name].as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_what_became_more() {
        let shard = |events: u64, slow: u64| {
            json!({"events": events, "errors": {"a": events, "b": 1}, "meters": [{"bytes_in": 5 * events}, {"bytes_in": 1}],
                "call_time": {"buckets": [0, 0, 0, slow]}})
        };
        let snapshot = |shards: Vec<Json>| Snapshot::new(Json::Null, json!({ "shards": shards }), Vec::new());
        let mut before = snapshot(vec![shard(10, 0), Json::Null, shard(0, 0)]);
        let now = snapshot(vec![shard(30, 1), shard(100, 0), Json::Null]);
        before.taken = now.taken.checked_sub(Duration::from_secs(2)).expect("the system runs for so long");
        let rates = Rates::between(&before, &now);
        let first = rates.shards[0].clone().expect("it has told twice");
        assert_eq!((first.events, first.errors, first.bytes_in), (10.0, 10.0, 50.0));
        assert_eq!((first.call, first.turn), (Some(Duration::from_micros(8)), None));
        assert_eq!((&rates.shards[1], &rates.shards[2]), (&None, &None));
        assert_eq!(rates.all, first);
    }
}
