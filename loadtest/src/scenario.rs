//! Running a scenario: against one router, or against router and yardstick in turns.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{self, FloorMode, Rate, Router, Run};
use crate::compare::Comparison;
use crate::outcome::Outcome;
use crate::probe::Probe;
use crate::report::Report;
use crate::server::Server;
use crate::{fanout, idle, rpc, stop};

/// A scenario with its options.
pub(crate) enum Scenario {
    Fanout(cli::FanoutOptions),
    Rpc(cli::RpcOptions),
    Idle(cli::IdleOptions),
}

impl Scenario {
    fn name(&self) -> &'static str {
        match self {
            Self::Fanout(_) => "fanout",
            Self::Rpc(_) => "rpc",
            Self::Idle(_) => "idle",
        }
    }

    fn config(&self) -> Result<Value> {
        let config = match self {
            Self::Fanout(options) => serde_json::to_value(options),
            Self::Rpc(options) => serde_json::to_value(options),
            Self::Idle(options) => serde_json::to_value(options),
        };
        config.context("the options cannot be written as JSON")
    }

    /// How the yardstick writes unless told otherwise.
    fn floor_mode(&self) -> FloorMode {
        match self {
            Self::Fanout(options) if options.rate == Rate::Max => FloorMode::Coalesce,
            Self::Rpc(options) if options.rate == Rate::Max && options.window > 1 => FloorMode::Coalesce,
            _ => FloorMode::Single,
        }
    }

    fn outcome(&self, router: &Router, run: &Run, probe: Option<&Probe>) -> Result<Outcome> {
        match self {
            Self::Fanout(options) => fanout::run(options, router, &run.timing, probe),
            Self::Rpc(options) => rpc::run(options, router, &run.timing, probe),
            Self::Idle(options) => idle::run(options, router, &run.timing, probe),
        }
    }

    fn report(&self, kind: &str, router: &Router, run: &Run, pid: Option<u32>) -> Result<Report> {
        let probe = pid.map(Probe::new).transpose()?;
        let outcome = self.outcome(router, run, probe.as_ref())?;
        let report = Report::new(self.name(), kind, router, &run.timing, self.config()?, outcome);
        println!("{}", report.text());
        Ok(report)
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
    if run.against.is_none() {
        let report = scenario.report("router", &router, run, pid)?;
        write_json(run.json.as_deref(), &report)?;
        return Ok(report.clean);
    }
    ensure!(pid.is_some(), "a comparison needs the router's --pid, or --spawn");
    let mode = run.floor_mode.unwrap_or(scenario.floor_mode());
    let (kind, name) = match mode {
        FloorMode::Single => ("floor, single writes", "single"),
        FloorMode::Coalesce => ("floor, coalesced writes", "coalesce"),
    };
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(["floor", "--mode", name]);
    let floor = Server::start(command)?;
    let floor_router = Router { url: floor.url.clone(), ..router.clone() };
    let mut rounds = Vec::new();
    for _ in 0..run.rounds {
        let first = scenario.report("router", &router, run, pid)?;
        if stop::asked() && !rounds.is_empty() {
            break;
        }
        rounds.push([first, scenario.report(kind, &floor_router, run, Some(floor.pid()))?]);
        if stop::asked() {
            break;
        }
    }
    let comparison = Comparison::new(rounds);
    println!("{}", comparison.text());
    write_json(run.json.as_deref(), &comparison)?;
    Ok(comparison.clean)
}

fn write_json(path: Option<&Path>, result: &impl Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(result).context("the result cannot be written as JSON")?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}
