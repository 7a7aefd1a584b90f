//! Histograms of times.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Times in nanoseconds, with three significant digits, up to five minutes.
pub(crate) struct Latency {
    histogram: Histogram<u64>,
}

const LONGEST: u64 = 300 * crate::clock::SECOND;

/// What a histogram says, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Percentiles {
    /// Number of times in the histogram.
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    #[serde(rename = "p99.9")]
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Latency {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are valid");
        Self { histogram }
    }

    /// Adds a time in nanoseconds. Longer times than five minutes count as five minutes.
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.histogram.saturating_record(nanoseconds);
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Percentiles {
            count: self.histogram.len(),
            mean: self.histogram.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.histogram.max() as f64 / 1000.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_microseconds() {
        let mut latency = Latency::new();
        for microseconds in 1..=1000u64 {
            latency.record(microseconds * 1000);
        }
        let percentiles = latency.percentiles();
        assert_eq!(percentiles.count, 1000);
        for (value, expected) in [
            (percentiles.mean, 500.5),
            (percentiles.p50, 500.0),
            (percentiles.p90, 900.0),
            (percentiles.p99, 990.0),
            (percentiles.p999, 999.0),
            (percentiles.max, 1000.0),
        ] {
            assert!((value - expected).abs() < expected * 0.002, "{value} {expected}");
        }
    }

    #[test]
    fn too_long_a_time_is_kept_as_the_longest() {
        let mut latency = Latency::new();
        latency.record(u64::MAX);
        assert_eq!(latency.percentiles().count, 1);
    }
}
