//! Results for people (text) and for programs (JSON).

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use crate::cli::{Router, Timing};
use crate::latency::Percentiles;
use crate::machine::Machine;
use crate::outcome::Outcome;

/// A result with everything that is needed to judge and repeat it.
#[derive(Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) version: &'static str,
    pub(crate) scenario: &'static str,
    /// "router", or the yardstick with its mode.
    pub(crate) server_kind: String,
    /// Seconds since 1970 at the end of the run.
    pub(crate) finished: u64,
    pub(crate) router: Router,
    pub(crate) timing: Timing,
    pub(crate) config: Value,
    pub(crate) machine: Machine,
    pub(crate) clean: bool,
    pub(crate) outcome: Outcome,
}

impl Report {
    pub(crate) fn new(
        scenario: &'static str,
        server_kind: &str,
        router: &Router,
        timing: &Timing,
        config: Value,
        outcome: Outcome,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            scenario,
            server_kind: server_kind.to_owned(),
            finished: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            router: router.clone(),
            timing: *timing,
            config,
            machine: Machine::here(),
            clean: outcome.is_clean(),
            outcome,
        }
    }

    /// The readable summary.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let outcome = &self.outcome;
        let partial = if outcome.partial { ", PARTIAL: ended early" } else { "" };
        let line = &mut |name: &str, value: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {name:<18} {value}");
        };
        line(
            self.scenario,
            format!("{} ({}, {:?}){partial}", self.server_kind, self.router.url, self.router.serializer),
        );
        line("settings", settings(&self.config));
        let per = outcome.unit;
        let many = if per == "delivery" { "deliveries".to_owned() } else { format!("{per}s") };
        line("throughput", format!("{:>12.0} {many}/s over {:.2} s", outcome.deliveries_per_second, outcome.seconds));
        for (name, percentiles) in &outcome.latency_us {
            line(&name.replace('_', " "), times(percentiles));
        }
        if let Some(server) = &outcome.server {
            let cost = server.cpu_ns_per_delivery;
            line("server CPU", format!("{cost:>12.0} ns per {per}, {:.2} cores", server.cpu_share));
            let mebibytes = |bytes| bytes as f64 / f64::from(1 << 20);
            let (before, after) = (mebibytes(server.memory_before), mebibytes(server.memory_after));
            line("server memory", format!("{before:>12.1} MiB before, {after:.1} MiB after"));
        }
        if let Some(idle) = &outcome.idle {
            line("sessions", format!("{:>12}", idle.sessions));
            if let Some(bytes) = idle.bytes_per_session {
                line("memory", format!("{bytes:>12.0} bytes per session"));
            }
        }
        line("generator", format!("{:>12.0} % of a core", outcome.generator.cpu_share * 100.0));
        if outcome.generator.send_lag_us.count > 0 {
            line("send lag", times(&outcome.generator.send_lag_us));
        }
        for (name, tally) in &outcome.accounts {
            let sums = format!(
                "{:>12} of {}, lost {}, doubled {}, misordered {}, stray {}",
                tally.received, tally.expected, tally.lost, tally.doubled, tally.misordered, tally.stray
            );
            line(name, sums);
        }
        for reason in &outcome.generator.reasons {
            line("SATURATED", format!("the generator was the limit: {reason}"));
        }
        for note in &outcome.notes {
            line("note", note.clone());
        }
        // Ten of the same kind say as much as ten thousand.
        for failure in outcome.failures.iter().take(10) {
            line("FAILED", failure.clone());
        }
        line("verdict", if self.clean { "clean".into() } else { "NOT CLEAN".into() });
        out
    }
}

fn times(percentiles: &Percentiles) -> String {
    let Percentiles { p50, p90, p99, p999, max, .. } = percentiles;
    format!("p50 {p50:>9.1}  p90 {p90:>9.1}  p99 {p99:>9.1}  p99.9 {p999:>9.1}  max {max:>9.1} us")
}

fn settings(config: &Value) -> String {
    let fields = config.as_object().into_iter().flatten();
    let shown = fields.map(|(name, value)| match value.as_object().and_then(|inner| inner.values().next()) {
        Some(inner) => format!("{name} {inner}"),
        None => format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
    });
    shown.collect::<Vec<_>>().join(", ").replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_readable() {
        let config = json!({"rate": {"per_second": 5.0}, "window": 3, "mode": "max", "payload_bytes": 100});
        assert_eq!(settings(&config), "mode max, payload bytes 100, rate 5.0, window 3");
    }
}
