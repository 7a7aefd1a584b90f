//! Times: recorded while a load runs, and what is kept of them in a result.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::clock::SECOND;

/// The longest time that is told apart, in nanoseconds. Longer ones count as this.
const LONGEST: u64 = 300 * SECOND;
/// Intervals that one recorder keeps; whatever comes later counts for the last one.
const INTERVALS_MAX: usize = 4000;

/// Records times while a load runs: with three significant digits, in all and per interval of the time line.
pub(crate) struct Latency {
    all: Histogram<u64>,
    /// The times of the interval that is not over, and that are not in `all` yet.
    current: Histogram<u64>,
    /// When the current interval ends, on the run's clock.
    edge: u64,
    interval: u64,
    intervals: Vec<Interval>,
}

impl Latency {
    /// A recorder without a time line.
    pub(crate) fn new() -> Self {
        let histogram: Histogram<u64> = Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are valid");
        Self { all: histogram.clone(), current: histogram, edge: u64::MAX, interval: 0, intervals: Vec::new() }
    }

    /// A recorder with a time line that begins at `from`, with intervals of this length, both in nanoseconds.
    pub(crate) fn timed(from: u64, interval: u64) -> Self {
        Self { edge: from + interval, interval, ..Self::new() }
    }

    /// Adds a time in nanoseconds that was found at `now` on the run's clock, which never goes back.
    pub(crate) fn record(&mut self, nanoseconds: u64, now: u64) {
        if now >= self.edge {
            self.turn_over(now);
        }
        self.current.saturating_record(nanoseconds);
    }

    /// What was recorded.
    pub(crate) fn finish(mut self) -> Times {
        if self.interval > 0 && !self.current.is_empty() {
            self.close_interval();
        }
        self.all.add(&self.current).expect("both have the same bounds");
        Times {
            all: Distribution::of(&self.all),
            interval_seconds: self.interval as f64 / SECOND as f64,
            intervals: self.intervals,
        }
    }

    #[cold]
    fn turn_over(&mut self, now: u64) {
        while now >= self.edge {
            if self.intervals.len() + 1 >= INTERVALS_MAX {
                self.edge = u64::MAX;
                return;
            }
            self.close_interval();
            self.edge += self.interval;
        }
    }

    fn close_interval(&mut self) {
        self.intervals.push(Interval::of(Distribution::of(&self.current)));
        self.all.add(&self.current).expect("both have the same bounds");
        self.current.reset();
    }
}

/// How many times of each length there were: buckets of some 0.1 % width, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Buckets", into = "Wire")]
pub(crate) struct Distribution {
    /// Length and count, by rising length. A bucket goes by the longest time that falls into it.
    buckets: Vec<(u64, u64)>,
}

/// What is read back of a [`Distribution`]; the rest follows from it.
#[derive(Deserialize)]
struct Buckets {
    #[serde(default)]
    buckets_ns: Vec<(u64, u64)>,
}

#[derive(Serialize)]
struct Wire {
    #[serde(flatten)]
    percentiles: Percentiles,
    /// Percentile and microseconds.
    curve: Vec<(f64, f64)>,
    buckets_ns: Vec<(u64, u64)>,
}

impl From<Buckets> for Distribution {
    fn from(mut read: Buckets) -> Self {
        read.buckets_ns.sort_unstable();
        Self { buckets: read.buckets_ns }
    }
}

impl From<Distribution> for Wire {
    fn from(distribution: Distribution) -> Self {
        Self { percentiles: distribution.percentiles(), curve: distribution.curve(), buckets_ns: distribution.buckets }
    }
}

/// The usual figures of a distribution, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    /// Number of times.
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    #[serde(rename = "p99.9")]
    pub(crate) p999: f64,
    #[serde(rename = "p99.99")]
    pub(crate) p9999: f64,
    pub(crate) max: f64,
}

impl Distribution {
    fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            buckets: histogram.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect(),
        }
    }

    /// Number of times.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// The time that this share (0 to 1) of all times does not exceed, in microseconds; 0 if there are none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        self.quantiles(&[share])[0]
    }

    /// Adds the times of another one.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.buckets.extend_from_slice(&other.buckets);
        self.buckets.sort_unstable();
        self.buckets.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 += later.1;
            }
            same
        });
    }

    /// The usual figures.
    pub(crate) fn percentiles(&self) -> Percentiles {
        let count = self.count();
        let sum: f64 = self.buckets.iter().map(|(length, count)| *length as f64 * *count as f64).sum();
        let at = self.quantiles(&[0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0]);
        Percentiles {
            count,
            mean: sum / count.max(1) as f64 / 1000.0,
            min: at[0],
            p50: at[1],
            p90: at[2],
            p99: at[3],
            p999: at[4],
            p9999: at[5],
            max: at[6],
        }
    }

    /// Percentiles and microseconds from 0 to 100, ten points for each further nine, as far as there are times.
    pub(crate) fn curve(&self) -> Vec<(f64, f64)> {
        let count = self.count();
        if count == 0 {
            return Vec::new();
        }
        let nines = (count as f64).log10().min(9.0);
        let points = (nines * 10.0).floor() as u32;
        let mut shares: Vec<f64> = (0..=points).map(|point| 1.0 - 10f64.powf(-f64::from(point) / 10.0)).collect();
        shares.push(1.0);
        let times = self.quantiles(&shares);
        shares.iter().map(|share| share * 100.0).zip(times).collect()
    }

    /// As [`Distribution::quantile`], for rising shares in one go.
    fn quantiles(&self, shares: &[f64]) -> Vec<f64> {
        let count = self.count();
        let mut buckets = self.buckets.iter();
        let (mut time, mut seen) = (0, 0);
        let mut at = |share: f64| {
            let rank = ((share * count as f64).ceil() as u64).clamp(1, count.max(1));
            while seen < rank {
                let Some((length, count)) = buckets.next() else { break };
                (time, seen) = (*length, seen + count);
            }
            time as f64 / 1000.0
        };
        shares.iter().map(|share| at(*share)).collect()
    }
}

/// The times found within one interval of the time line, in microseconds.
///
/// The percentiles are exact to some 0.1 %, those of added up parts to 1 %: the buckets are wider here, as there may
/// be a thousand intervals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interval {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    /// Length in nanoseconds and count.
    buckets_ns: Vec<(u64, u64)>,
}

impl Interval {
    fn of(distribution: Distribution) -> Self {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| distribution.quantile(share));
        let mut wide = Distribution::default();
        for (length, count) in distribution.buckets {
            let length = widened(length);
            match wide.buckets.last_mut() {
                Some(last) if last.0 == length => last.1 += count,
                _ => wide.buckets.push((length, count)),
            }
        }
        Self { p50, p99, max, buckets_ns: wide.buckets }
    }

    /// True if no time was found within it.
    pub(crate) fn is_empty(&self) -> bool {
        self.buckets_ns.is_empty()
    }

    fn merge(&mut self, other: Self) {
        let mut distribution = Distribution { buckets: std::mem::take(&mut self.buckets_ns) };
        distribution.merge(&Distribution { buckets: other.buckets_ns });
        *self = Self::of(distribution);
    }
}

/// The longest time of the bucket with a width of some 1 % that a time falls into.
fn widened(length: u64) -> u64 {
    let low_bits = (u64::BITS - length.leading_zeros()).saturating_sub(7);
    length | ((1 << low_bits) - 1)
}

/// Times of one kind in a result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    #[serde(flatten)]
    pub(crate) all: Distribution,
    /// Length of an interval; 0 if there is no time line.
    #[serde(default)]
    pub(crate) interval_seconds: f64,
    /// From the beginning of the measurement on.
    #[serde(default)]
    pub(crate) intervals: Vec<Interval>,
}

impl Times {
    /// Adds the times of another part of the same run.
    pub(crate) fn merge(&mut self, other: Self) {
        self.all.merge(&other.all);
        if self.intervals.is_empty() {
            self.interval_seconds = other.interval_seconds;
        }
        if self.interval_seconds != other.interval_seconds {
            return;
        }
        for (number, interval) in other.intervals.into_iter().enumerate() {
            match self.intervals.get_mut(number) {
                Some(own) => own.merge(interval),
                None => self.intervals.push(interval),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(range: std::ops::RangeInclusive<u64>) -> Latency {
        let mut latency = Latency::new();
        for microseconds in range {
            latency.record(microseconds * 1000, 0);
        }
        latency
    }

    fn assert_near(value: f64, expected: f64) {
        assert!((value - expected).abs() <= expected * 0.002, "{value} {expected}");
    }

    #[test]
    fn percentiles_are_microseconds() {
        let percentiles = recorded(1..=1000).finish().all.percentiles();
        assert_eq!(percentiles.count, 1000);
        assert_near(percentiles.mean, 500.5);
        assert_near(percentiles.min, 1.0);
        assert_near(percentiles.p50, 500.0);
        assert_near(percentiles.p90, 900.0);
        assert_near(percentiles.p99, 990.0);
        assert_near(percentiles.p999, 999.0);
        assert_near(percentiles.max, 1000.0);
        assert_eq!(Distribution::default().percentiles(), Percentiles::default());
    }

    #[test]
    fn too_long_a_time_is_kept_as_the_longest() {
        let mut latency = Latency::new();
        latency.record(u64::MAX, 0);
        assert_near(latency.finish().all.quantile(1.0), 300e6);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let whole = recorded(1..=1000).finish();
        let mut sum = recorded(1..=400).finish();
        sum.merge(recorded(401..=1000).finish());
        assert_eq!(sum, whole);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut latency = Latency::timed(0, SECOND);
        for second in [0, 0, 2] {
            latency.record((second + 1) * 5000, second * SECOND);
        }
        let times = latency.finish();
        let text = serde_json::to_string(&times).expect("written");
        assert_eq!(serde_json::from_str::<Times>(&text).expect("read"), times);
    }

    #[test]
    fn each_interval_has_its_own_times() {
        let mut latency = Latency::timed(SECOND, SECOND / 2);
        for (milliseconds, length) in [(1000, 1000), (1499, 3000), (2600, 7000), (2601, 7000)] {
            latency.record(length, milliseconds * SECOND / 1000);
        }
        let times = latency.finish();
        let medians: Vec<_> = times.intervals.iter().map(|interval| (interval.p50 * 1000.0).round()).collect();
        assert_eq!(medians, [1000.0, 0.0, 0.0, 7003.0]);
        assert_eq!(times.intervals.iter().map(Interval::is_empty).collect::<Vec<_>>(), [false, true, true, false]);
        assert_eq!(times.all.count(), 4);
        assert_eq!(times.interval_seconds, 0.5);
    }

    #[test]
    fn buckets_of_intervals_are_wide_but_not_wrong() {
        for length in [0, 1, 127, 128, 1000, 123_456, LONGEST] {
            let wide = widened(length);
            assert!(wide >= length && (wide - length) as f64 <= length as f64 * 0.016, "{length} {wide}");
            assert_eq!(widened(wide), wide);
        }
        let mut latency = Latency::timed(0, SECOND);
        for length in 100_000..101_000 {
            latency.record(length, 0);
        }
        let times = latency.finish();
        assert!(times.intervals[0].buckets_ns.len() <= 2, "{:?}", times.intervals[0]);
        assert_eq!(times.intervals[0].buckets_ns.iter().map(|(_, count)| count).sum::<u64>(), 1000);
    }

    #[test]
    fn a_run_without_end_does_not_fill_the_memory() {
        let mut latency = Latency::timed(0, 1000);
        latency.record(1, u64::MAX);
        latency.record(1, u64::MAX);
        let times = latency.finish();
        assert_eq!((times.intervals.len(), times.all.count()), (INTERVALS_MAX, 2));
    }

    #[test]
    fn the_curve_rises_by_nines_to_the_longest() {
        let curve = recorded(1..=1000).finish().all.curve();
        assert_eq!(curve.len(), 32);
        assert!(curve.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{curve:?}");
        assert_near(curve[10].0, 90.0);
        assert_near(curve[10].1, 900.0);
        assert_eq!(curve[31].0, 100.0);
        assert_near(curve[31].1, 1000.0);
        assert_eq!(recorded(7..=7).finish().all.curve().len(), 2);
    }
}
