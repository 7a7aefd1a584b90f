//! A load generator for WAMP routers.

mod cli;
mod clock;
mod floor;
mod load;
mod machine;
mod probe;
mod result;
mod server;
mod stop;
mod wire;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::load::scenario::Scenario;
use crate::load::{mixed, scenario, worker};
use crate::result::output;

fn main() -> ExitCode {
    let clean = match Cli::parse().command {
        Command::Compare(options) => output::compare_files(&options),
        Command::Floor(options) => floor::serve(&options).map(|()| true),
        Command::Worker => worker::serve().map(|()| true),
        Command::Fanout { run, fanout } => scenario::run(&run, &Scenario::Fanout(fanout)),
        Command::Topics { run, topics } => scenario::run(&run, &Scenario::Topics(topics)),
        Command::Rpc { run, rpc } => scenario::run(&run, &Scenario::Rpc(rpc)),
        Command::Churn { run, churn } => scenario::run(&run, &Scenario::Churn(churn)),
        Command::Connect { run, connect } => scenario::run(&run, &Scenario::Connect(connect)),
        Command::Mixed { run, mixed } => {
            mixed::plan(&mixed).and_then(|plan| scenario::run(&run, &Scenario::Mixed(mixed, plan)))
        }
        Command::Slow { run, slow } => scenario::run(&run, &Scenario::Slow(slow)),
        Command::Idle { run, idle } => scenario::run(&run, &Scenario::Idle(idle)),
    };
    match clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}
