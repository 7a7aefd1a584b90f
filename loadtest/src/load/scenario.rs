//! Running a scenario: against one router, or against router and yardstick in turns.

use anyhow::{Context, Result, ensure};
use indexmap::IndexMap;
use serde_json::Value;

use super::{connect, loads, slow};
use crate::cli::{self, FloorMode, Rate, Router, Run, Yardstick};
use crate::load::crew::{self, Job, Task};
use crate::load::plan::Plan;
use crate::probe::Probe;
use crate::program;
use crate::result::outcome::{About, Outcome, TargetInfo};
use crate::result::{output, report};
use crate::server::Server;
use crate::stop;
use crate::wire::join;

/// A scenario with its options.
pub(crate) enum Scenario {
    Fanout(cli::FanoutOptions),
    Topics(cli::TopicsOptions),
    Rpc(cli::RpcOptions),
    Churn(cli::ChurnOptions),
    Mixed(cli::MixedOptions, Plan),
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
            Self::Mixed(..) => "mixed",
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
            Self::Mixed(options, _) => serde_json::to_value(options),
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

    fn outcome(&self, side: &mut Side, run: &Run) -> Result<Outcome> {
        let plan = match self {
            Self::Fanout(options) => loads::fanout(options),
            Self::Topics(options) => loads::topics(options),
            Self::Rpc(options) => loads::rpc(options),
            Self::Churn(options) => loads::churn(options),
            Self::Mixed(_, plan) => plan.clone(),
            Self::Slow(options) => loads::slow(options, run.timing.duration),
            Self::Connect(options) => return connect::connect(options, side, run),
            Self::Idle(options) => return connect::idle(options, side, run),
        };
        let job = Job::Plan(Plan { order: run.order, ..plan });
        let task = Task { job, router: side.router.clone(), timing: run.timing, pid: side.pid };
        let mut outcome = crew::run(&task, run.workers())?;
        if let Self::Slow(options) = self {
            slow::judge_memory(&mut outcome, options.memory_limit_mib);
        }
        Ok(outcome)
    }

    /// Runs the scenario against one server and shows the result.
    fn round(&self, side: &mut Side, run: &Run) -> Result<Outcome> {
        // A process that cannot be watched is an error before anything is done.
        side.pid.map(Probe::new).transpose()?;
        let welcome = join::welcome(&side.router)?;
        let mut outcome = self.outcome(side, run)?;
        let own = if welcome.agent.is_empty() { "router" } else { &welcome.agent };
        let label = side.label.as_deref().unwrap_or(own);
        let target = TargetInfo::new(label, side.floor, &welcome, &side.router);
        outcome.about = About::here(self.name(), self.parameters()?, run.timing, target);
        outcome.conclude();
        output::say(&run.output, &report::text(&outcome));
        Ok(outcome)
    }

    /// Runs the scenario against router and yardstick in turns. An interrupt gives the rounds so far; of the first also
    /// what there is of it.
    fn rounds(&self, side: &mut Side, run: &Run) -> Result<Vec<Outcome>> {
        let (floor, floor_label) = start_floor(run.floor_mode.unwrap_or(self.floor_mode()))?;
        let mut floor = Side::new(Some(floor_label), true, &run.router, None, Some(floor));
        let mut runs: Vec<Outcome> = Vec::new();
        for turn in 0..run.rounds * 2 {
            let outcome = match turn % 2 {
                0 => self.round(side, run),
                _ => self.round(&mut floor, run),
            };
            match outcome {
                Ok(outcome) => runs.push(outcome),
                // The interrupt came while sessions were joining.
                Err(_) if stop::asked() && !runs.is_empty() => break,
                Err(error) => return Err(error),
            }
            if stop::asked() {
                break;
            }
        }
        if runs.len() > 2 {
            runs.retain(|outcome| !outcome.partial);
        }
        Ok(runs)
    }
}

/// A server that the load is for.
pub(crate) struct Side {
    /// What reports call it; without it, it goes by its own name.
    label: Option<String>,
    /// True for the yardstick.
    floor: bool,
    pub(crate) router: Router,
    /// The process to watch.
    pub(crate) pid: Option<u32>,
    /// The process, if it was started for this run.
    server: Option<Server>,
}

impl Side {
    fn new(label: Option<&str>, floor: bool, router: &Router, pid: Option<u32>, server: Option<Server>) -> Self {
        let mut side = Self { label: label.map(str::to_owned), floor, router: router.clone(), pid, server };
        side.follow();
        side
    }

    /// Takes address and process from the server, if it was started for this run.
    fn follow(&mut self) {
        if let Some(server) = &self.server {
            self.router.url.clone_from(&server.url);
            self.pid = Some(server.pid());
        }
    }

    /// Kills and restarts the server; false if it was not started for this run.
    ///
    /// # Errors
    /// If it cannot be started again.
    pub(crate) fn restart(&mut self) -> Result<bool> {
        let Some(server) = &mut self.server else { return Ok(false) };
        server.restart()?;
        self.follow();
        Ok(true)
    }
}

/// Runs a scenario as the command line says, and shows and writes the result. True if it was clean.
///
/// # Errors
/// If a server cannot be started, reached or watched, or the result cannot be written.
pub(crate) fn run(run: &Run, scenario: &Scenario) -> Result<bool> {
    stop::watch()?;
    let spawned = run.spawn.as_deref().map(Server::start_line).transpose()?;
    let mut side = Side::new(run.label.as_deref(), false, &run.router, run.pid, spawned);
    let runs = match run.against {
        None => vec![scenario.round(&mut side, run)?],
        Some(Yardstick::Floor) => {
            ensure!(side.pid.is_some(), "a comparison needs the router's --pid, or --spawn");
            scenario.rounds(&mut side, run)?
        }
    };
    let labels = runs.iter().map(|run| run.about.target.label.clone()).collect();
    output::write(&run.output, runs, labels)
}

/// Starts the yardstick; gives its label too.
fn start_floor(mode: FloorMode) -> Result<(Server, &'static str)> {
    let (label, name) = match mode {
        FloorMode::Single => ("floor, single writes", "single"),
        FloorMode::Coalesce => ("floor, coalesced writes", "coalesce"),
    };
    let mut command = program::again()?;
    command.args(["floor", "--mode", name]);
    Ok((Server::start(command)?, label))
}
