//! A load generator for WAMP routers: the program `loadtest`, and `corebar bench`.

mod cli;
mod clock;
mod floor;
mod load;
mod machine;
mod probe;
mod program;
mod result;
mod server;
mod stop;
mod wire;

use std::process::ExitCode;

pub use crate::cli::Cli;
use crate::cli::Command;
use crate::load::scenario::Scenario;
use crate::load::{mixed, scenario, worker};
use crate::result::output;

/// Does what the command line says, as a program of this name: its path is that of the running program, and the rest of
/// the name is what leads to this load generator, as in `corebar bench`. The exit code is 1 if anything was lost, doubled
/// or out of order, and 2 if the run failed.
#[must_use]
pub fn run(cli: Cli, name: &'static [&'static str]) -> ExitCode {
    program::call(name);
    let clean = match cli.command {
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
            eprintln!("{}: {error:#}", name.join(" "));
            ExitCode::from(2)
        }
    }
}
