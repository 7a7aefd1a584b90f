//! Runs side by side: routers, versions, or a router and the yardstick.

use serde::{Deserialize, Serialize};

use crate::result::outcome::{Better, Outcome, Verdict};

/// The figures of one scenario for several servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) scenario: String,
    /// The servers, by label.
    pub(crate) sides: Vec<String>,
    /// The side that the others are measured by: the yardstick, or else the first.
    pub(crate) base: usize,
    pub(crate) figures: Vec<Figure>,
    pub(crate) verdicts: Vec<Verdict>,
    /// What makes the sides hard to compare.
    pub(crate) differences: Vec<String>,
}

/// One figure of every side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) better: Better,
    /// The value of each run of each side.
    pub(crate) values: Vec<Vec<f64>>,
    /// None for a side that has no such figure.
    pub(crate) medians: Vec<Option<f64>>,
    /// Median by median of the base; None if either is missing or the base's is 0.
    pub(crate) ratios: Vec<Option<f64>>,
}

/// A run and the side that it belongs to.
pub(crate) struct Entry<'a> {
    pub(crate) side: String,
    pub(crate) outcome: &'a Outcome,
}

/// Compares the runs: one comparison for each scenario that more than one side ran.
pub(crate) fn compare(entries: &[Entry]) -> Vec<Comparison> {
    let mut scenarios: Vec<&str> = Vec::new();
    for entry in entries {
        let name = entry.outcome.about.scenario.as_str();
        if !scenarios.contains(&name) {
            scenarios.push(name);
        }
    }
    let of = |scenario: &&str| {
        let own: Vec<_> = entries.iter().filter(|entry| entry.outcome.about.scenario == *scenario).collect();
        Comparison::new(scenario, &own)
    };
    scenarios.iter().filter_map(of).collect()
}

impl Comparison {
    fn new(scenario: &str, entries: &[&Entry]) -> Option<Self> {
        let mut sides: Vec<String> = Vec::new();
        for entry in entries {
            if !sides.contains(&entry.side) {
                sides.push(entry.side.clone());
            }
        }
        if sides.len() < 2 {
            return None;
        }
        let floor = |side: &String| runs_of(entries, side).any(|outcome| outcome.about.target.floor);
        let worst = |side: &String| runs_of(entries, side).map(|outcome| outcome.verdict).max().unwrap_or_default();
        let base = sides.iter().position(floor).unwrap_or(0);
        let mut comparison = Self {
            scenario: scenario.to_owned(),
            base,
            figures: Vec::new(),
            verdicts: sides.iter().map(worst).collect(),
            differences: differences(entries),
            sides: Vec::new(),
        };
        for (name, unit, better) in names(entries) {
            let value = |outcome: &Outcome| figure(outcome, &name);
            let values: Vec<Vec<f64>> =
                sides.iter().map(|side| runs_of(entries, side).filter_map(value).collect()).collect();
            comparison.figures.push(Figure::new(name, unit, better, base, values));
        }
        Some(Self { sides, ..comparison })
    }

    /// The readable table.
    pub(crate) fn text(&self) -> String {
        let widths: Vec<usize> = self.sides.iter().map(|side| side.chars().count().max(12)).collect();
        let mut out = format!("  {:<36}", format!("{}, median of the runs", self.scenario));
        for (number, (side, width)) in self.sides.iter().zip(&widths).enumerate() {
            out += &format!("  {side:>width$}");
            out += if number == self.base { "" } else { "    ratio" };
        }
        out.push('\n');
        for figure in &self.figures {
            out += &format!("  {:<36}", format!("{}, {}", figure.name.replace('_', " "), figure.unit));
            for (number, width) in widths.iter().enumerate() {
                let median = figure.medians[number].map_or("-".into(), |median| format!("{median:.1}"));
                out += &format!("  {median:>width$}");
                if number != self.base {
                    out += &format!("  {:>7}", figure.ratios[number].map_or("-".into(), |ratio| format!("{ratio:.3}")));
                }
            }
            out.push('\n');
        }
        for difference in &self.differences {
            out += &format!("  DIFFERENT: {difference}\n");
        }
        for (side, verdict) in self.sides.iter().zip(&self.verdicts) {
            out += match verdict {
                Verdict::Clean => continue,
                Verdict::Spoiled => "  SPOILED: ",
                Verdict::Faulty => "  NOT CLEAN: ",
            };
            out += &format!("{side}\n");
        }
        out
    }
}

fn runs_of<'a>(entries: &[&'a Entry], side: &str) -> impl Iterator<Item = &'a Outcome> {
    entries.iter().filter(move |entry| entry.side == side).map(|entry| entry.outcome)
}

/// Every figure that any of the runs has, in order of appearance.
fn names(entries: &[&Entry]) -> Vec<(String, String, Better)> {
    let mut names: Vec<(String, String, Better)> = Vec::new();
    let mut add = |name: String, unit: &str, better| {
        if !names.iter().any(|(known, ..)| *known == name) {
            names.push((name, unit.to_owned(), better));
        }
    };
    for entry in entries {
        for (name, metric) in &entry.outcome.metrics {
            add(name.clone(), &metric.unit, metric.better);
        }
    }
    for entry in entries {
        for name in entry.outcome.latencies.keys() {
            for percentile in PERCENTILES {
                add(format!("{name} {percentile}"), "us", Better::Lower);
            }
        }
    }
    names
}

const PERCENTILES: [&str; 3] = ["p50", "p99", "p99.9"];

fn figure(outcome: &Outcome, name: &str) -> Option<f64> {
    if let Some(metric) = outcome.metrics.get(name) {
        return Some(metric.value);
    }
    let (name, percentile) = name.rsplit_once(' ')?;
    let percentiles = outcome.latencies.get(name)?.all.percentiles();
    match percentile {
        _ if percentiles.count == 0 => None,
        "p50" => Some(percentiles.p50),
        "p99" => Some(percentiles.p99),
        _ => Some(percentiles.p999),
    }
}

/// In what the runs differ beside the server.
fn differences(entries: &[&Entry]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut add = |what: &str, of: &dyn Fn(&Outcome) -> String| {
        let mut values: Vec<String> = Vec::new();
        for entry in entries {
            let value = of(entry.outcome);
            if !values.contains(&value) {
                values.push(value);
            }
        }
        if values.len() > 1 {
            differences.push(format!("{what}: {}", values.join(" | ")));
        }
    };
    add("parameters", &|outcome| crate::result::report::settings(&outcome.about.parameters));
    add("serializer", &|outcome| format!("{:?}", outcome.about.target.serializer));
    add("duration", &|outcome| format!("{} s", outcome.about.timing.duration));
    add("machine", &|outcome| {
        let machine = &outcome.about.machine;
        format!("{}, {} cores, {}", machine.cpu, machine.cores, machine.kernel)
    });
    differences
}

impl Figure {
    fn new(name: String, unit: String, better: Better, base: usize, values: Vec<Vec<f64>>) -> Self {
        let medians: Vec<_> = values.iter().map(|values| median(values)).collect();
        let by = medians[base].filter(|by| *by != 0.0);
        let ratios = medians.iter().map(|median| Some((*median)? / by?)).collect();
        Self { name, unit, better, values, medians, ratios }
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { (sorted[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::drive::Window;
    use crate::result::latency::{Latency, Times};

    fn outcome(scenario: &str, floor: bool, delivered: u64, microseconds: u64) -> Outcome {
        let window = Window { seconds: 1.0, delivered, ..Window::default() };
        let mut outcome = Outcome::new("call", window, Times::default());
        let mut latency = Latency::new();
        latency.record(microseconds * 1000, 0);
        outcome.latencies.insert("round_trip".into(), latency.finish());
        outcome.about.scenario = scenario.into();
        outcome.about.target.floor = floor;
        outcome
    }

    fn of<'a>(runs: &[(&str, &'a Outcome)]) -> Vec<Comparison> {
        let entry = |(side, outcome): &(&str, &'a Outcome)| Entry { side: (*side).to_owned(), outcome };
        compare(&runs.iter().map(entry).collect::<Vec<_>>())
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn the_yardstick_is_the_base() {
        let (a, b, c) = (outcome("rpc", false, 30, 7), outcome("rpc", false, 90, 7), outcome("rpc", true, 120, 7));
        let comparisons = of(&[("router", &a), ("floor", &c), ("router", &b)]);
        assert_eq!(comparisons.len(), 1);
        let comparison = &comparisons[0];
        assert_eq!((comparison.sides.as_slice(), comparison.base), (&["router".to_owned(), "floor".to_owned()][..], 1));
        let throughput = &comparison.figures[0];
        assert_eq!(throughput.values, [vec![30.0, 90.0], vec![120.0]]);
        assert_eq!(throughput.ratios, [Some(0.5), Some(1.0)]);
        assert!(comparison.figures.iter().any(|figure| figure.name == "round_trip p99.9"));
        assert!(comparison.text().contains("0.500"), "{}", comparison.text());
    }

    #[test]
    fn scenarios_are_not_mixed_and_missing_figures_are_gaps() {
        let (a, b) = (outcome("rpc", false, 30, 7), outcome("rpc", false, 60, 21));
        let alone = outcome("fanout", false, 1, 1);
        let mut more = outcome("rpc", false, 10, 1);
        more.metric("extra", 5.0, "things", Better::Higher, crate::result::outcome::Combine::Sum);
        let comparisons = of(&[("a", &a), ("b", &b), ("a", &alone), ("c", &more)]);
        assert_eq!(comparisons.len(), 1, "one side only ran the other scenario");
        assert_eq!(comparisons[0].base, 0);
        assert_eq!(comparisons[0].figures[0].ratios[1], Some(2.0));
        let extra = comparisons[0].figures.iter().find(|figure| figure.name == "extra").expect("it is listed");
        assert_eq!(extra.medians, [None, None, Some(5.0)]);
        assert_eq!(extra.ratios, [None; 3]);
    }

    #[test]
    fn other_settings_are_told() {
        let (a, mut b) = (outcome("rpc", false, 30, 7), outcome("rpc", false, 60, 21));
        assert!(of(&[("a", &a), ("b", &b)])[0].differences.is_empty());
        b.about.parameters.insert("window".into(), 5.into());
        b.about.machine.cores += 1;
        let comparisons = of(&[("a", &a), ("b", &b)]);
        assert_eq!(comparisons[0].differences.len(), 2, "{:?}", comparisons[0].differences);
    }

    #[test]
    fn the_worst_run_of_a_side_is_its_verdict() {
        let (a, mut b) = (outcome("rpc", false, 30, 7), outcome("rpc", false, 60, 21));
        b.failures.push("no".into());
        b.conclude();
        let comparison = &of(&[("a", &a), ("b", &a), ("b", &b)])[0];
        assert_eq!(comparison.verdicts, [Verdict::Clean, Verdict::Faulty]);
    }
}
