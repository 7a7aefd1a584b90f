//! The client of the command line: publishes, subscribes, calls and answers, with any WAMP router.

mod arguments;
#[cfg(feature = "bench")]
mod bench;
mod call;
mod completions;
mod events;
mod failure;
mod history;
mod input;
mod lasting;
mod login;
mod output;
mod pattern;
mod publish;
mod register;
mod secret;
mod shell;
mod stop;
mod subjects;
mod subscribe;
mod tap;
mod template;
mod top;
mod values;

use self::failure::{Done, Failure};
use clap::Subcommand;
use std::process::ExitCode;

/// Why sessions are left.
const LEAVE: &str = "wamp.close.normal";

/// What the client can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publish events to a topic, on any WAMP router.
    Pub(publish::Publish),
    /// Subscribe to topics, and print their events.
    Sub(subscribe::Subscribe),
    /// Call a procedure, and print its result.
    Call(call::Call),
    /// Register a procedure, and answer calls of it: with their arguments, a value, or what a command prints.
    Reg(register::Register),
    /// Follow what goes on in a realm: events that the role may get, and who comes, goes, subscribes and registers.
    Tap(tap::Tap),
    /// Show what a node does, again and again: rates, times, shards, realms, slow consumers, processes.
    Top(top::Top),
    /// Put a load on a router, and measure: latency, throughput, and whether every message arrives.
    #[cfg(feature = "bench")]
    Bench(loadtest::Cli),
    /// Print what makes a shell complete commands and flags: `source <(corebar completions bash)`.
    Completions(completions::Completions),
}

/// The definition of the program, with what its derivation cannot say.
pub(super) fn adapt(program: clap::Command) -> clap::Command {
    #[cfg(feature = "bench")]
    let program = program.mut_subcommand("bench", bench::adapt);
    program
}

/// Does what is wanted; gives the exit code.
pub(super) fn main(command: Command, program: impl FnOnce() -> clap::Command) -> ExitCode {
    let done = match command {
        Command::Pub(wanted) => serve(publish::run(wanted)),
        Command::Sub(wanted) => serve(subscribe::run(wanted)),
        Command::Call(wanted) => serve(call::run(wanted)),
        Command::Reg(wanted) => serve(register::run(wanted)),
        Command::Tap(wanted) => serve(tap::run(wanted)),
        Command::Top(wanted) => serve(top::run(wanted)),
        #[cfg(feature = "bench")]
        Command::Bench(wanted) => return bench::run(wanted),
        Command::Completions(wanted) => completions::run(&wanted, program()),
    };
    done.map_or_else(Failure::end, |()| ExitCode::SUCCESS)
}

/// Runs a command to its end. What it prints may wait for a reader: its session is served by a thread of its own.
fn serve(command: impl Future<Output = Done>) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|why| Failure::system(&why))?;
    let done = runtime.block_on(command);
    // Nothing that still waits for something keeps the process.
    runtime.shutdown_background();
    done
}
