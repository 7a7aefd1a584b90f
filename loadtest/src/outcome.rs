//! What a run of a scenario found.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::drive::Window;
use crate::latency::Percentiles;
use crate::ledger::Tally;

/// Sending later than this after the intended time, at the 99th percentile in microseconds, spoils a result.
const LAG_LIMIT: f64 = 2000.0;
/// Using more than this share of a core, the generator is the bottleneck.
const CPU_LIMIT: f64 = 0.9;

/// The result of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// What is delivered: "delivery", "call" or "join".
    pub(crate) unit: &'static str,
    /// True if somebody ended the run early.
    pub(crate) partial: bool,
    /// Events or calls sent, with those of the warm-up.
    pub(crate) sent: u64,
    /// Length of the measurement.
    pub(crate) seconds: f64,
    /// Deliveries within the measurement.
    pub(crate) delivered: u64,
    pub(crate) deliveries_per_second: f64,
    /// The account of everything sent, with the warm-up.
    pub(crate) accounts: BTreeMap<&'static str, Tally>,
    pub(crate) latency_us: BTreeMap<&'static str, Percentiles>,
    pub(crate) server: Option<Server>,
    pub(crate) generator: Generator,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle: Option<Idle>,
    /// What makes the run a failure beside the accounts.
    pub(crate) failures: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// What the server used within the measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Server {
    pub(crate) cpu_ns: u64,
    pub(crate) cpu_ns_per_delivery: f64,
    /// In cores.
    pub(crate) cpu_share: f64,
    /// Resident memory in bytes.
    pub(crate) memory_before: u64,
    pub(crate) memory_after: u64,
}

/// How the load generator fared.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Generator {
    /// Share of one core.
    pub(crate) cpu_share: f64,
    /// Actual minus intended time of sending.
    pub(crate) send_lag_us: Percentiles,
    /// True if the numbers say more about the generator than about the server.
    pub(crate) saturated: bool,
    pub(crate) reasons: Vec<String>,
}

/// What the scenario `idle` adds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) sessions: u64,
    pub(crate) bytes_per_session: Option<f64>,
}

impl Outcome {
    pub(crate) fn new(unit: &'static str, window: Window, send_lag_us: Percentiles) -> Self {
        let seconds = window.seconds.max(1e-9);
        let server =
            window.server_cpu.zip(window.server_memory).map(|(cpu_ns, [memory_before, memory_after])| Server {
                cpu_ns,
                cpu_ns_per_delivery: cpu_ns as f64 / window.delivered.max(1) as f64,
                cpu_share: cpu_ns as f64 / 1e9 / seconds,
                memory_before,
                memory_after,
            });
        let mut reasons = Vec::new();
        if send_lag_us.p99 > LAG_LIMIT {
            reasons.push(format!("1 % of the sends were {:.0} us late or more", send_lag_us.p99));
        }
        if window.generator_cpu > CPU_LIMIT {
            reasons.push(format!("it used {:.0} % of a core", window.generator_cpu * 100.0));
        }
        Self {
            unit,
            partial: window.partial,
            sent: 0,
            seconds: window.seconds,
            delivered: window.delivered,
            deliveries_per_second: window.delivered as f64 / seconds,
            accounts: BTreeMap::new(),
            latency_us: BTreeMap::new(),
            server,
            generator: Generator {
                cpu_share: window.generator_cpu,
                send_lag_us,
                saturated: !reasons.is_empty(),
                reasons,
            },
            idle: None,
            failures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// True if every message was accounted for and nothing failed.
    pub(crate) fn is_clean(&self) -> bool {
        self.failures.is_empty() && self.accounts.values().all(Tally::is_clean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(generator_cpu: f64) -> Window {
        Window {
            seconds: 2.0,
            delivered: 1000,
            server_cpu: Some(5_000_000),
            server_memory: Some([1, 2]),
            generator_cpu,
            partial: false,
        }
    }

    #[test]
    fn rates_and_costs() {
        let outcome = Outcome::new("delivery", window(0.5), Percentiles::default());
        let server = outcome.server.expect("watched");
        assert_eq!((outcome.deliveries_per_second, server.cpu_ns_per_delivery), (500.0, 5000.0));
        assert!((server.cpu_share - 0.0025).abs() < 1e-9);
        assert!(!outcome.generator.saturated);
    }

    #[test]
    fn a_generator_at_its_limit_says_so() {
        assert!(Outcome::new("call", window(0.95), Percentiles::default()).generator.saturated);
        let late = Percentiles { p99: 5000.0, ..Percentiles::default() };
        assert!(Outcome::new("call", window(0.1), late).generator.saturated);
    }

    #[test]
    fn one_fault_makes_it_unclean() {
        let mut outcome = Outcome::new("call", window(0.5), Percentiles::default());
        outcome.accounts.insert("events", Tally::default());
        assert!(outcome.is_clean());
        outcome.accounts.insert("replies", Tally { doubled: 1, ..Tally::default() });
        assert!(!outcome.is_clean());
    }
}
