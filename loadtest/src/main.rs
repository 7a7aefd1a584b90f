//! A load generator for WAMP routers.

mod auth;
mod calling;
mod calls;
mod churn;
mod cli;
mod clock;
mod compare;
mod connect;
mod crew;
mod crowd;
mod drive;
mod events;
mod floor;
mod framing;
mod handshake;
mod html;
mod join;
mod json;
mod latency;
mod ledger;
mod link;
mod loads;
mod machine;
mod mixed;
mod net;
mod outcome;
mod output;
mod plan;
mod plot;
mod probe;
mod progress;
mod report;
mod scenario;
mod sequence;
mod serializer;
mod server;
mod slow;
mod stamp;
mod stop;
mod storm;
mod stream;
mod target;
mod template;
mod tls;
mod ubjson;
mod units;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::scenario::Scenario;

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
