//! The `loadtest` program.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    loadtest::run(loadtest::Cli::parse(), &["loadtest"])
}
