//! A load generator for WAMP routers.

mod auth;
mod calls;
mod cli;
mod clock;
mod compare;
mod drive;
mod fanout;
mod floor;
mod framing;
mod handshake;
mod html;
mod idle;
mod join;
mod json;
mod latency;
mod ledger;
mod machine;
mod net;
mod outcome;
mod output;
mod plot;
mod probe;
mod progress;
mod report;
mod rpc;
mod scenario;
mod serializer;
mod server;
mod stamp;
mod stop;
mod stream;
mod target;
mod template;
mod tls;
mod ubjson;
mod units;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::scenario::Scenario;

fn main() -> ExitCode {
    let clean = match Cli::parse().command {
        Command::Compare(options) => output::compare_files(&options),
        Command::Floor(options) => floor::serve(&options).map(|()| true),
        Command::Fanout { run, fanout } => scenario::run(&run, &Scenario::Fanout(fanout)),
        Command::Rpc { run, rpc } => scenario::run(&run, &Scenario::Rpc(rpc)),
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
