//! What a run of a scenario found: the model behind every kind of output.
//!
//! It is written and read as JSON. Processes that share the load of one run each make an [`Outcome`] and hand it to
//! their parent, which adds them up with [`Outcome::merge`].

use std::time::{SystemTime, UNIX_EPOCH};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::{Router, Timing};
use crate::load::drive::Window;
use crate::load::ledger::Tally;
use crate::machine::Machine;
use crate::result::compare::Comparison;
use crate::result::latency::{Latency, Times};
use crate::wire::join::Welcome;
use crate::wire::serializer::Serializer;

/// Sending later than this after the intended time, at the 99th percentile in microseconds, spoils a result.
const LAG_LIMIT: f64 = 2000.0;
/// Using more than this share of a core, the generator is the bottleneck.
const CPU_LIMIT: f64 = 0.9;
/// Other processes that use more cores than this get in the way.
const OTHERS_LIMIT: f64 = 0.25;
/// What an outcome itself finds to spoil the figures; scenarios may find more.
const SPOILS: [&str; 4] = [OTHERS, LATE, BUSY, PARTIAL];
const OTHERS: &str = "the machine was busy";
const LATE: &str = "the generator was late";
const BUSY: &str = "the generator was busy";
const PARTIAL: &str = "partial";
/// Failures that are kept; ten of the same kind say as much as ten thousand.
const FAILURES_KEPT: usize = 20;

/// What is written to a file: the runs of one call of the program, and how they compare.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Document {
    /// Layout of the document; another one cannot be read.
    pub(crate) format: u32,
    /// True if no run was faulty.
    pub(crate) clean: bool,
    #[serde(default)]
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) runs: Vec<Outcome>,
}

impl Document {
    /// Version of the layout.
    pub(crate) const FORMAT: u32 = 1;

    pub(crate) fn new(runs: Vec<Outcome>, comparisons: Vec<Comparison>) -> Self {
        let clean = runs.iter().all(|run| run.verdict != Verdict::Faulty);
        Self { format: Self::FORMAT, clean, comparisons, runs }
    }
}

/// The result of one run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    /// What was run, against what and where.
    pub(crate) about: About,
    /// The result in a word; follows from the rest.
    pub(crate) verdict: Verdict,
    /// What makes the run a failure beside the accounts.
    pub(crate) failures: Vec<String>,
    /// Why the figures may say little about the router.
    pub(crate) spoiled: Vec<String>,
    pub(crate) notes: Vec<String>,
    /// True if somebody ended the run early.
    pub(crate) partial: bool,
    /// What is delivered: "delivery", "call" or "join".
    pub(crate) unit: String,
    /// Length of the measurement.
    pub(crate) seconds: f64,
    /// Events or calls sent, with those of the warm-up.
    pub(crate) sent: u64,
    /// Deliveries within the measurement.
    pub(crate) delivered: u64,
    /// The account of everything sent, with the warm-up.
    pub(crate) accounts: IndexMap<String, Tally>,
    /// The figures that runs are compared by.
    pub(crate) metrics: IndexMap<String, Metric>,
    /// Times of each kind, in microseconds.
    pub(crate) latencies: IndexMap<String, Times>,
    /// What the server used; None if it was not watched.
    pub(crate) server: Option<Server>,
    pub(crate) generator: Generator,
    /// The course of the run.
    pub(crate) timelines: IndexMap<String, Timeline>,
}

/// What was run, against what and where: all that is needed to judge and repeat it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct About {
    /// Version of this program.
    pub(crate) loadtest: String,
    pub(crate) scenario: String,
    pub(crate) parameters: IndexMap<String, Value>,
    pub(crate) timing: Timing,
    pub(crate) target: TargetInfo,
    pub(crate) machine: Machine,
    /// Seconds since 1970 at the end of the run.
    pub(crate) finished: u64,
}

/// The server that the load was for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TargetInfo {
    /// What reports call it.
    pub(crate) label: String,
    /// True for the built-in yardstick.
    pub(crate) floor: bool,
    /// How it calls itself in WELCOME; empty if it does not.
    pub(crate) agent: String,
    pub(crate) url: String,
    pub(crate) realm: String,
    pub(crate) serializer: Serializer,
    /// How the sessions identified themselves, as the router says; empty if it does not.
    pub(crate) authmethod: String,
}

/// The result in a word, from the best to the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Everything arrived once and in order, and the figures are the router's.
    #[default]
    Clean,
    /// Everything arrived, but the figures say little about the router.
    Spoiled,
    /// Something was lost, doubled, out of order or wrong, or failed.
    Faulty,
}

/// A figure that runs are compared by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metric {
    pub(crate) value: f64,
    pub(crate) unit: String,
    pub(crate) better: Better,
    pub(crate) combine: Combine,
}

/// Which of two values is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Higher,
    Lower,
    /// The value tells something, but is neither good nor bad.
    Neither,
}

/// How the values of parts that ran at the same time become the whole's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Combine {
    Sum,
    Mean,
    Max,
    Min,
}

/// A figure over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    pub(crate) unit: String,
    pub(crate) combine: Combine,
    /// Where the first interval begins, in seconds from the beginning of the measurement.
    pub(crate) start: f64,
    /// Length of an interval, in seconds.
    pub(crate) interval: f64,
    /// One value per interval: a mean of it for rates, at its end for levels.
    pub(crate) values: Vec<f64>,
}

/// What the server used within the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) cpu_ns: u64,
    /// Resident memory in bytes.
    pub(crate) memory_before: u64,
    pub(crate) memory_after: u64,
}

/// How the load generator fared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Generator {
    /// Processes that made the load.
    pub(crate) processes: u32,
    /// The highest share of one core that any of them used.
    pub(crate) cpu_share: f64,
    /// CPU time of all of them within the measurement, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// CPU time of all processes of the machine within it, in nanoseconds; 0 if it is not known.
    pub(crate) machine_cpu_ns: u64,
    /// Actual minus intended time of sending.
    pub(crate) send_lag: Times,
}

impl Outcome {
    /// The outcome of a measured run, to be filled by the scenario. `unit` is what is delivered, in the singular.
    pub(crate) fn new(unit: &str, window: Window, send_lag: Times) -> Self {
        let mut outcome = Self {
            partial: window.partial,
            unit: unit.to_owned(),
            seconds: window.seconds,
            delivered: window.delivered,
            server: window.server_cpu.zip(window.server_memory).map(|(cpu_ns, [memory_before, memory_after])| Server {
                cpu_ns,
                memory_before,
                memory_after,
            }),
            generator: Generator {
                processes: 1,
                cpu_share: window.generator_cpu,
                cpu_ns: (window.generator_cpu * window.seconds * 1e9) as u64,
                machine_cpu_ns: window.machine_cpu.unwrap_or(0),
                send_lag,
            },
            timelines: window.timelines,
            ..Self::default()
        };
        outcome.conclude();
        outcome
    }

    /// Adds a figure of the scenario's own. `name` is in lower case with underscores.
    pub(crate) fn metric(&mut self, name: &str, value: f64, unit: &str, better: Better, combine: Combine) {
        self.metrics.insert(name.to_owned(), Metric { value, unit: unit.to_owned(), better, combine });
    }

    /// Adds what a recorder holds, if it holds anything.
    pub(crate) fn add_times(&mut self, name: &str, latency: Latency) {
        let times = latency.finish();
        if times.all.count() > 0 {
            self.latencies.insert(name.to_owned(), times);
        }
    }

    /// Adds a part of the same run, made by another process at the same time.
    ///
    /// Sums are added up, histograms and time lines too, and the figures that follow from them are found anew. The
    /// server is watched by one of the parts only: by the first that did.
    pub(crate) fn merge(&mut self, other: Self) {
        self.partial |= other.partial;
        self.seconds = self.seconds.max(other.seconds);
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.failures.extend(other.failures);
        self.spoiled.extend(other.spoiled);
        self.notes.extend(other.notes);
        for (name, tally) in other.accounts {
            self.accounts.entry(name).or_default().add(&tally);
        }
        for (name, times) in other.latencies {
            self.latencies.entry(name).or_default().merge(times);
        }
        let parts = f64::from(self.generator.processes.max(1));
        for (name, metric) in other.metrics {
            match self.metrics.get_mut(&name) {
                Some(own) => own.value = own.combine.of(own.value, parts, metric.value),
                None => drop(self.metrics.insert(name, metric)),
            }
        }
        for (name, timeline) in other.timelines {
            match self.timelines.get_mut(&name) {
                Some(own) => own.merge(&timeline, parts),
                None => drop(self.timelines.insert(name, timeline)),
            }
        }
        self.server = self.server.or(other.server);
        self.generator.processes += other.generator.processes;
        self.generator.cpu_share = self.generator.cpu_share.max(other.generator.cpu_share);
        self.generator.cpu_ns += other.generator.cpu_ns;
        self.generator.machine_cpu_ns = self.generator.machine_cpu_ns.max(other.generator.machine_cpu_ns);
        self.generator.send_lag.merge(other.generator.send_lag);
        self.conclude();
    }

    /// Finds what follows from the rest: the common figures, what spoils them, and the verdict. To be called again
    /// after a change.
    pub(crate) fn conclude(&mut self) {
        let seconds = self.seconds.max(1e-9);
        let unit = self.unit.clone();
        let (rate, cost) = (format!("{}/s", plural(&unit)), format!("ns/{unit}"));
        self.metric("throughput", self.delivered as f64 / seconds, &rate, Better::Higher, Combine::Sum);
        if let Some(Server { cpu_ns, memory_before, memory_after }) = self.server {
            let each = cpu_ns as f64 / self.delivered.max(1) as f64;
            let cores = cpu_ns as f64 / 1e9 / seconds;
            self.metric("server_cpu_each", each, &cost, Better::Lower, Combine::Max);
            self.metric("server_cpu", cores, "cores", Better::Neither, Combine::Max);
            self.metric("server_memory_before", memory_before as f64, "bytes", Better::Neither, Combine::Max);
            self.metric("server_memory_after", memory_after as f64, "bytes", Better::Lower, Combine::Max);
        }
        self.judge();
        let dropped = self.failures.len().saturating_sub(FAILURES_KEPT);
        if dropped > 0 {
            self.failures.truncate(FAILURES_KEPT);
            self.notes.push(format!("{dropped} further failures are not shown"));
        }
        self.verdict = match (self.is_clean(), self.spoiled.is_empty()) {
            (false, _) => Verdict::Faulty,
            (true, false) => Verdict::Spoiled,
            (true, true) => Verdict::Clean,
        };
    }

    /// Finds what spoils the figures, anew: what is true of a part need not be true of the whole.
    fn judge(&mut self) {
        self.spoiled.retain(|words| !SPOILS.iter().any(|kind| words.starts_with(kind)));
        if let Some(server) = self.server {
            let known = server.cpu_ns + self.generator.cpu_ns;
            let others = self.generator.machine_cpu_ns.saturating_sub(known) as f64 / 1e9 / self.seconds.max(1e-9);
            if others > OTHERS_LIMIT {
                self.spoil(OTHERS, &format!("others used {others:.2} cores"));
            }
        }
        let lag = self.generator.send_lag.all.percentiles().p99;
        if lag > LAG_LIMIT {
            self.spoil(LATE, &format!("1 % of the sends by {lag:.0} us or more"));
        }
        let share = self.generator.cpu_share;
        if share > CPU_LIMIT {
            self.spoil(BUSY, &format!("it used {:.0} % of a core", share * 100.0));
        }
        if self.partial {
            self.spoil(PARTIAL, "somebody ended the run early");
        }
    }

    /// True if every message was accounted for and nothing failed.
    pub(crate) fn is_clean(&self) -> bool {
        self.failures.is_empty() && self.accounts.values().all(Tally::is_clean)
    }

    /// Says why the figures may say little about the router.
    pub(crate) fn spoil(&mut self, kind: &str, words: &str) {
        self.spoiled.push(format!("{kind}: {words}"));
    }
}

/// "delivery" as "deliveries".
pub(crate) fn plural(unit: &str) -> String {
    match unit.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{unit}s"),
    }
}

impl About {
    /// Describes a run that ends now on this machine.
    pub(crate) fn here(
        scenario: &str,
        parameters: IndexMap<String, Value>,
        timing: Timing,
        target: TargetInfo,
    ) -> Self {
        Self {
            loadtest: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: scenario.to_owned(),
            parameters,
            timing,
            target,
            machine: Machine::here(),
            finished: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        }
    }
}

impl TargetInfo {
    /// Describes the server that the options lead to.
    pub(crate) fn new(label: &str, floor: bool, welcome: &Welcome, router: &Router) -> Self {
        Self {
            label: label.to_owned(),
            floor,
            agent: welcome.agent.clone(),
            url: router.url.clone(),
            realm: router.realm.clone(),
            serializer: router.serializer,
            authmethod: welcome.authmethod.clone(),
        }
    }
}

impl Combine {
    /// The whole's value, of one that stands for `parts` parts and that of a further part.
    fn of(self, whole: f64, parts: f64, part: f64) -> f64 {
        match self {
            Self::Sum => whole + part,
            Self::Mean => (whole * parts + part) / (parts + 1.0),
            Self::Max => whole.max(part),
            Self::Min => whole.min(part),
        }
    }
}

impl Timeline {
    /// An empty time line from the beginning of the measurement on, with intervals of this many seconds.
    pub(crate) fn new(unit: &str, combine: Combine, interval: f64) -> Self {
        Self { unit: unit.to_owned(), combine, start: 0.0, interval, values: Vec::new() }
    }

    fn merge(&mut self, other: &Self, parts: f64) {
        if (self.start, self.interval) != (other.start, other.interval) {
            return;
        }
        for (number, value) in other.values.iter().enumerate() {
            match self.values.get_mut(number) {
                Some(own) => *own = self.combine.of(*own, parts, *value),
                None => self.values.push(*value),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;
    use crate::result::latency::Latency;

    fn window(generator_cpu: f64) -> Window {
        Window {
            seconds: 2.0,
            delivered: 1000,
            server_cpu: Some(5_000_000),
            server_memory: Some([1, 2]),
            generator_cpu,
            ..Window::default()
        }
    }

    fn outcome(generator_cpu: f64) -> Outcome {
        Outcome::new("delivery", window(generator_cpu), Times::default())
    }

    fn times(microseconds: u64) -> Times {
        let mut latency = Latency::timed(0, SECOND);
        latency.record(microseconds * 1000, 0);
        latency.finish()
    }

    #[test]
    fn rates_and_costs() {
        let outcome = outcome(0.5);
        let value = |name: &str| outcome.metrics[name].value;
        assert_eq!((value("throughput"), value("server_cpu_each")), (500.0, 5000.0));
        assert_eq!(outcome.metrics["throughput"].unit, "deliveries/s");
        assert_eq!(outcome.metrics["server_cpu_each"].unit, "ns/delivery");
        assert!((value("server_cpu") - 0.0025).abs() < 1e-9);
        assert_eq!((outcome.verdict, outcome.spoiled.len()), (Verdict::Clean, 0));
    }

    #[test]
    fn a_generator_at_its_limit_spoils_the_figures() {
        let busy = outcome(0.95);
        assert_eq!(busy.verdict, Verdict::Spoiled, "{:?}", busy.spoiled);
        assert!(busy.is_clean());
        let late = Outcome::new("call", window(0.1), times(5000));
        assert_eq!(late.verdict, Verdict::Spoiled, "{:?}", late.spoiled);
        let partial = Outcome::new("call", Window { partial: true, ..window(0.1) }, Times::default());
        assert_eq!(partial.verdict, Verdict::Spoiled);
    }

    #[test]
    fn other_processes_that_are_busy_spoil_the_figures() {
        // Two seconds of 0.5 cores for the generator, and 5 ms for the server.
        let with = |machine_cpu| Outcome::new("call", Window { machine_cpu, ..window(0.5) }, Times::default());
        assert_eq!(with(None).verdict, Verdict::Clean);
        assert_eq!(with(Some(1_400_000_000)).verdict, Verdict::Clean);
        let disturbed = with(Some(1_700_000_000));
        assert_eq!(disturbed.verdict, Verdict::Spoiled);
        assert_eq!(disturbed.spoiled, ["the machine was busy: others used 0.35 cores"]);
        let mut whole = disturbed.clone();
        whole.merge(disturbed);
        assert_eq!(whole.verdict, Verdict::Clean, "the other was another part of the generator: {:?}", whole.spoiled);
    }

    #[test]
    fn one_fault_makes_it_faulty() {
        let mut outcome = outcome(0.5);
        outcome.accounts.insert("events".into(), Tally::default());
        outcome.conclude();
        assert_eq!(outcome.verdict, Verdict::Clean);
        outcome.accounts.insert("replies".into(), Tally { doubled: 1, ..Tally::default() });
        outcome.conclude();
        assert_eq!(outcome.verdict, Verdict::Faulty);
        outcome.accounts.clear();
        outcome.failures.push("a connection was lost".into());
        outcome.conclude();
        assert_eq!(outcome.verdict, Verdict::Faulty);
    }

    #[test]
    fn fields_that_a_later_version_adds_may_be_missing() {
        let mut value = serde_json::to_value(outcome(0.5)).expect("written");
        value["generator"].as_object_mut().expect("fields").remove("machine_cpu_ns");
        value["about"].as_object_mut().expect("fields").remove("machine");
        value.as_object_mut().expect("fields").remove("timelines");
        assert_eq!(serde_json::from_value::<Outcome>(value).expect("read").delivered, 1000);
    }

    #[test]
    fn a_flood_of_failures_is_cut() {
        let mut outcome = outcome(0.5);
        outcome.failures = vec!["a connection was lost".into(); 5000];
        outcome.conclude();
        assert_eq!(outcome.failures.len(), FAILURES_KEPT);
        assert_eq!(outcome.notes, ["4980 further failures are not shown"]);
    }

    #[test]
    fn parts_become_a_whole_also_after_a_journey_as_json() {
        let part = |received, microseconds, share: f64| {
            let mut part = outcome(0.5);
            part.sent = 10;
            part.accounts.insert("events".into(), Tally { expected: 10, received, ..Tally::default() });
            part.latencies.insert("delivery".into(), times(microseconds));
            part.metric("loops", share, "loops", Better::Lower, Combine::Mean);
            let mut line = Timeline::new("deliveries/s", Combine::Sum, 0.5);
            line.values = vec![1.0, share];
            part.timelines.insert("throughput".into(), line);
            part.conclude();
            let text = serde_json::to_string(&part).expect("written");
            serde_json::from_str::<Outcome>(&text).expect("read")
        };
        let mut whole = part(10, 100, 3.0);
        whole.merge(part(10, 200, 6.0));
        whole.merge(Outcome { server: None, ..part(9, 300, 9.0) });
        assert_eq!((whole.sent, whole.delivered, whole.generator.processes), (30, 3000, 3));
        assert_eq!(whole.accounts["events"].received, 29);
        assert_eq!(whole.metrics["throughput"].value, 1500.0);
        assert!((whole.metrics["server_cpu_each"].value - 5_000_000.0 / 3000.0).abs() < 1e-6);
        assert_eq!(whole.metrics["loops"].value, 6.0);
        assert_eq!(whole.timelines["throughput"].values, [3.0, 18.0]);
        assert_eq!(whole.latencies["delivery"].all.percentiles().p50.round(), 200.0);
        assert_eq!(whole.latencies["delivery"].intervals[0].max.round(), 303.0, "to 1 %");
    }
}
