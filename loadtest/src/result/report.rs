//! Results for people (text) and for programs (JSON).

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::Value;

use crate::result::latency::Percentiles;
use crate::result::outcome::{Metric, Outcome, Verdict};

/// The readable summary of a run.
pub(crate) fn text(outcome: &Outcome) -> String {
    let mut out = String::new();
    let about = &outcome.about;
    let target = &about.target;
    let line = &mut |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {:<22} {value}", name.replace('_', " "));
    };
    let partial = if outcome.partial { ", PARTIAL: ended early" } else { "" };
    line(&about.scenario, format!("{} ({}, {:?}){partial}", target.label, target.url, target.serializer));
    if !target.agent.is_empty() {
        line("agent", target.agent.clone());
    }
    line("settings", settings(&about.parameters));
    for (name, times) in &outcome.latencies {
        line(name, row(&times.all.percentiles()));
    }
    for (name, metric) in &outcome.metrics {
        line(name, shown(metric));
    }
    line("generator", format!("{:>12.0} % of a core", outcome.generator.cpu_share * 100.0));
    let lag = outcome.generator.send_lag.all.percentiles();
    if lag.count > 0 {
        line("send lag", row(&lag));
    }
    for (name, tally) in &outcome.accounts {
        let sums = format!(
            "{:>12} of {}, lost {}, doubled {}, misordered {}, stray {}, misrouted {}",
            tally.received, tally.expected, tally.lost, tally.doubled, tally.misordered, tally.stray, tally.misrouted
        );
        line(name, sums);
    }
    for reason in &outcome.spoiled {
        line("SPOILED", reason.clone());
    }
    for note in &outcome.notes {
        line("note", note.clone());
    }
    for failure in &outcome.failures {
        line("FAILED", failure.clone());
    }
    let verdict = match outcome.verdict {
        Verdict::Clean => "clean",
        Verdict::Spoiled => "clean, but the figures say little about the router",
        Verdict::Faulty => "NOT CLEAN",
    };
    line("verdict", verdict.into());
    out
}

/// A value with its unit; bytes as MiB where that reads better.
fn shown(metric: &Metric) -> String {
    let Metric { value, unit, .. } = metric;
    match unit.as_str() {
        "bytes" if *value >= 1e6 => format!("{:>12.1} MiB", value / f64::from(1 << 20)),
        _ if value.abs() < 100.0 => format!("{value:>12.2} {unit}"),
        _ => format!("{value:>12.0} {unit}"),
    }
}

fn row(percentiles: &Percentiles) -> String {
    let Percentiles { p50, p90, p99, p999, max, .. } = percentiles;
    format!("p50 {p50:>9.1}  p90 {p90:>9.1}  p99 {p99:>9.1}  p99.9 {p999:>9.1}  max {max:>9.1} us")
}

/// The parameters of a scenario in one line.
pub(crate) fn settings(parameters: &IndexMap<String, Value>) -> String {
    let shown = parameters.iter().map(|(name, value)| format!("{name} {}", plain(value)));
    shown.collect::<Vec<_>>().join(", ").replace('_', " ")
}

/// A parameter without the marks of JSON: `{"per_second": 5.0}` as `5.0`.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => fields.values().map(plain).collect::<Vec<_>>().join(" "),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_readable() {
        let config = json!({"mode": "max", "payload_bytes": 100, "rate": {"per_second": 5.0}, "topics": [1, 2]});
        let config = serde_json::from_value(config).expect("an object");
        assert_eq!(settings(&config), "mode max, payload bytes 100, rate 5.0, topics 1 2");
    }
}
