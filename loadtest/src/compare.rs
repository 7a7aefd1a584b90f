//! Router and yardstick side by side: the same load on both in turns.

use serde::Serialize;

use crate::report::Report;

/// One figure on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) router: Vec<f64>,
    pub(crate) floor: Vec<f64>,
    pub(crate) router_median: f64,
    pub(crate) floor_median: f64,
    /// Median of the router by median of the yardstick.
    pub(crate) ratio: f64,
}

/// All rounds and what they amount to.
#[derive(Serialize)]
pub(crate) struct Comparison {
    pub(crate) figures: Vec<Figure>,
    pub(crate) clean: bool,
    pub(crate) rounds: Vec<[Report; 2]>,
}

impl Comparison {
    /// Compares rounds of router and yardstick, in this order.
    pub(crate) fn new(rounds: Vec<[Report; 2]>) -> Self {
        let mut figures = Vec::new();
        let mut add = |name: String, of: &dyn Fn(&Report) -> Option<f64>| {
            let side = |side: usize| rounds.iter().filter_map(|round| of(&round[side])).collect::<Vec<_>>();
            figures.extend(Figure::new(name, side(0), side(1)));
        };
        add("server CPU, ns per delivery".into(), &|report| Some(report.outcome.server?.cpu_ns_per_delivery));
        add("deliveries per second".into(), &|report| Some(report.outcome.deliveries_per_second));
        add("memory, bytes per session".into(), &|report| report.outcome.idle?.bytes_per_session);
        let names: Vec<_> = rounds.iter().flat_map(|round| round[0].outcome.latency_us.keys().copied()).collect();
        for name in names.iter().take(rounds.first().map_or(0, |round| round[0].outcome.latency_us.len())) {
            let shown = name.replace('_', " ");
            add(format!("{shown} p50, us"), &|report| Some(report.outcome.latency_us.get(name)?.p50));
            add(format!("{shown} p99, us"), &|report| Some(report.outcome.latency_us.get(name)?.p99));
        }
        Self { figures, clean: rounds.iter().flatten().all(|report| report.clean), rounds }
    }

    /// The readable table.
    pub(crate) fn text(&self) -> String {
        let mut out = format!("  {:<32} {:>12} {:>12} {:>8}\n", "median of the rounds", "router", "floor", "ratio");
        for figure in &self.figures {
            let Figure { name, router_median, floor_median, ratio, .. } = figure;
            out += &format!("  {name:<32} {router_median:>12.1} {floor_median:>12.1} {ratio:>8.3}\n");
        }
        if self.rounds.iter().flatten().any(|report| report.outcome.generator.saturated) {
            out += "  SATURATED: the generator was the limit in at least one round\n";
        }
        out + if self.clean { "  every round clean\n" } else { "  NOT CLEAN\n" }
    }
}

impl Figure {
    fn new(name: String, router: Vec<f64>, floor: Vec<f64>) -> Option<Self> {
        let (router_median, floor_median) = (median(&router)?, median(&floor)?);
        Some(Self { name, router, floor, router_median, floor_median, ratio: router_median / floor_median })
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

    #[test]
    fn medians_and_ratios() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        let figure = Figure::new("x".into(), vec![3.0, 9.0, 6.0], vec![4.0]).expect("values on both sides");
        assert_eq!(figure.ratio, 1.5);
        assert_eq!(Figure::new("x".into(), vec![1.0], vec![]), None);
    }
}
