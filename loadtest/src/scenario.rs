//! Running a scenario: against one router, or against router and yardstick in turns.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use indexmap::IndexMap;
use serde_json::Value;

use crate::cli::{self, FloorMode, Rate, Router, Run};
use crate::compare::{self, Entry};
use crate::crew::{self, Job, Task};
use crate::outcome::{About, Document, Outcome, TargetInfo};
use crate::plan::Plan;
use crate::probe::Probe;
use crate::server::Server;
use crate::{connect, idle, join, loads, report, slow, stop};

/// A scenario with its options.
pub(crate) enum Scenario {
    Fanout(cli::FanoutOptions),
    Topics(cli::TopicsOptions),
    Rpc(cli::RpcOptions),
    Churn(cli::ChurnOptions),
    Connect(cli::ConnectOptions),
    Slow(cli::SlowOptions),
    Idle(cli::IdleOptions),
}

impl Scenario {
    fn name(&self) -> &'static str {
        match self {
            Self::Fanout(_) => "fanout",
            Self::Topics(_) => "topics",
            Self::Rpc(_) => "rpc",
            Self::Churn(_) => "churn",
            Self::Connect(_) => "connect",
            Self::Slow(_) => "slow",
            Self::Idle(_) => "idle",
        }
    }

    fn parameters(&self) -> Result<IndexMap<String, Value>> {
        let options = match self {
            Self::Fanout(options) => serde_json::to_value(options),
            Self::Topics(options) => serde_json::to_value(options),
            Self::Rpc(options) => serde_json::to_value(options),
            Self::Churn(options) => serde_json::to_value(options),
            Self::Connect(options) => serde_json::to_value(options),
            Self::Slow(options) => serde_json::to_value(options),
            Self::Idle(options) => serde_json::to_value(options),
        };
        let options = options.context("the options cannot be written as JSON")?;
        serde_json::from_value(options).context("the options are no object")
    }

    /// How the yardstick writes unless told otherwise.
    fn floor_mode(&self) -> FloorMode {
        match self {
            Self::Fanout(options) if options.rate == Rate::Max => FloorMode::Coalesce,
            Self::Slow(options) if options.rate == Rate::Max => FloorMode::Coalesce,
            Self::Topics(options) if options.rate == Rate::Max || options.burst > 1 => FloorMode::Coalesce,
            Self::Rpc(options) if options.rate == Rate::Max && options.window > 1 => FloorMode::Coalesce,
            _ => FloorMode::Single,
        }
    }

    fn outcome(&self, router: &Router, run: &Run, pid: Option<u32>, server: Option<&mut Server>) -> Result<Outcome> {
        let plan = match self {
            Self::Fanout(options) => loads::fanout(options),
            Self::Topics(options) => loads::topics(options),
            Self::Rpc(options) => loads::rpc(options),
            Self::Churn(options) => loads::churn(options),
            Self::Slow(options) => loads::slow(options, run.timing.duration),
            Self::Connect(options) => return connect::run(options, router, run, pid, server),
            Self::Idle(options) => {
                return idle::run(options, router, &run.timing, pid.map(Probe::new).transpose()?.as_ref());
            }
        };
        let job = Job::Plan(Plan { order: run.order, ..plan });
        let mut outcome = crew::run(&Task { job, router: router.clone(), timing: run.timing, pid }, run.workers())?;
        if let Self::Slow(options) = self {
            slow::judge_memory(&mut outcome, options.memory_limit_mib);
        }
        Ok(outcome)
    }

    /// Runs the scenario against one server and shows the result. Without `label` the server goes by its own name.
    fn round(&self, label: Option<&str>, floor: bool, router: &Router, run: &Run, pid: Option<u32>) -> Result<Outcome> {
        // A process that cannot be watched is an error before anything is done.
        pid.map(Probe::new).transpose()?;
        let agent = join::agent(router)?;
        let mut outcome = self.outcome(router, run, pid)?;
        let own = if agent.is_empty() { "router" } else { &agent };
        let target = TargetInfo::new(label.unwrap_or(own), floor, &agent, router);
        outcome.about = About::here(self.name(), self.parameters()?, run.timing, target);
        outcome.conclude();
        println!("{}", report::text(&outcome));
        Ok(outcome)
    }
}

/// Runs a scenario as the command line says, and shows and writes the result. True if it was clean.
///
/// # Errors
/// If a server cannot be started, reached or watched, or the result cannot be written.
pub(crate) fn run(run: &Run, scenario: &Scenario) -> Result<bool> {
    stop::watch()?;
    let mut router = run.router.clone();
    let spawned = run.spawn.as_deref().map(Server::start_line).transpose()?;
    let mut pid = run.pid;
    if let Some(server) = &spawned {
        router.url.clone_from(&server.url);
        pid = Some(server.pid());
    }
    let mut runs = Vec::new();
    let label = run.label.as_deref();
    if run.against.is_some() {
        ensure!(pid.is_some(), "a comparison needs the router's --pid, or --spawn");
        let (floor, floor_label) = start_floor(run.floor_mode.unwrap_or(scenario.floor_mode()))?;
        let floor_router = Router { url: floor.url.clone(), ..router.clone() };
        for _ in 0..run.rounds {
            runs.push(scenario.round(label, false, &router, run, pid)?);
            if stop::asked() && runs.len() > 2 {
                runs.pop();
                break;
            }
            runs.push(scenario.round(Some(floor_label), true, &floor_router, run, Some(floor.pid()))?);
            if stop::asked() {
                break;
            }
        }
    } else {
        runs.push(scenario.round(label, false, &router, run, pid)?);
    }
    let entries: Vec<_> =
        runs.iter().map(|outcome| Entry { side: outcome.about.target.label.clone(), outcome }).collect();
    let comparisons = compare::compare(&entries);
    for comparison in &comparisons {
        println!("{}", comparison.text());
    }
    let document = Document::new(runs, comparisons);
    write_json(run.json.as_deref(), &document)?;
    Ok(document.clean)
}

/// Starts the yardstick; gives its label too.
fn start_floor(mode: FloorMode) -> Result<(Server, &'static str)> {
    let (label, name) = match mode {
        FloorMode::Single => ("floor, single writes", "single"),
        FloorMode::Coalesce => ("floor, coalesced writes", "coalesce"),
    };
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(["floor", "--mode", name]);
    Ok((Server::start(command)?, label))
}

fn write_json(path: Option<&Path>, document: &Document) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(document).context("the result cannot be written as JSON")?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}
