//! From the arguments to the exit code.

use super::args::{Args, Command, Start};
use super::banner::banner;
use super::directory::{Hold, Outcome};
use super::exit::{self, fail};
use super::files::load;
use super::log::Log;
use super::signals::{Signals, Wish};
use super::{files, keys, remote, service};
use crate::config::RuntimeConfig;
use crate::config::reload::Reload;
use crate::node;
use crate::process::host::{self, Host};
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;
use std::io::{self, Write};
use std::process::ExitCode;

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = host::other_program() {
        return code;
    }
    let args = Args::parse();
    let flags = args.logging().clone();
    let source = match args.command {
        None => Source::Flags(Box::new(args.config())),
        Some(Command::Check(node)) => return done(files::check(&node)),
        Some(Command::Upgrade(wanted)) => return done(files::upgrade(&wanted)),
        Some(Command::Convert(wanted)) => return done(files::convert(&wanted)),
        Some(Command::Stop(stop)) => return either(remote::stop(&stop)),
        Some(Command::Status(status)) => return either(remote::status(&status)),
        Some(Command::Reload(reload)) => return either(remote::reload(&reload)),
        Some(Command::Keygen) => return keys::keygen(),
        Some(Command::Keys(wanted)) => return keys::keys(&wanted),
        Some(Command::Version) => {
            println!("corebar {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some(Command::Start(start)) => Source::File(start),
    };
    let config = match source.read(|warning| eprintln!("corebar: {warning}")) {
        Ok(config) => config,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    if let Err(error) = config.check() {
        return fail(&error, ExitCode::from(exit::USAGE));
    }
    let mut log = match Log::begin(&flags, &config.node.log) {
        Ok(log) => log,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    let mut hold = match source.hold() {
        Ok(hold) => hold,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    prepare_process();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}"), ExitCode::FAILURE),
    };
    match runtime.block_on(serve(config, &source, hold.as_mut(), &mut log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

fn either(code: Result<ExitCode, ExitCode>) -> ExitCode {
    code.unwrap_or_else(|code| code)
}

/// The exit code of what was done, or not.
fn done(done: Result<(), String>) -> ExitCode {
    done.map_or_else(|error| fail(&error, ExitCode::FAILURE), |()| ExitCode::SUCCESS)
}

/// Where the configuration comes from.
enum Source {
    /// Flags: always the same.
    Flags(Box<RuntimeConfig>),
    /// A file, which may say something else later.
    File(Start),
}

impl Source {
    /// Takes the node directory, if there is one.
    fn hold(&self) -> Result<Option<Hold>, String> {
        match self {
            Source::Flags(_) => Ok(None),
            Source::File(start) => Hold::take(&start.node.cbdir),
        }
    }

    /// What it says now; `warn` is told what has no effect.
    fn read(&self, warn: impl FnMut(&str)) -> Result<RuntimeConfig, String> {
        match self {
            Source::Flags(config) => Ok((**config).clone()),
            Source::File(start) => load(&start.node, warn).map(|file| start.change(file.config)),
        }
    }
}

/// Asks the operating system for what a router needs of it. Without, it still works.
fn prepare_process() {
    let files = getrlimit(Resource::RLIMIT_NOFILE);
    // Guests have the limit that they would have without the router.
    Host::corebar(files.ok().map(|(soft, _)| soft)).set();
    let raised = files.and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    // Where they are on by default, huge pages make each shard resident in steps of 2 MiB, several times what its
    // sessions need. Threads inherit the setting.
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::debug!(%error, "cannot do without transparent huge pages");
    }
}

/// Runs a node until a signal comes.
async fn serve(
    config: RuntimeConfig,
    source: &Source,
    mut hold: Option<&mut Hold>,
    log: &mut Log,
) -> Result<(), Box<dyn std::error::Error>> {
    // Before the banner: whoever has read it may send a signal.
    let mut signals = Signals::new()?;
    let mut node = node::Node::start_with(config.clone(), service::sockets())?;
    let mut out = io::stdout().lock();
    // Nobody may be reading any more; that is no reason not to serve.
    let _ = out.write_all(banner(&node, &config).as_bytes()).and_then(|()| out.flush());
    drop(out);
    if let Some(hold) = &mut hold {
        hold.listens(node.bound().iter().map(ToString::to_string).collect());
    }
    service::tell(&[NotifyState::Ready]);
    loop {
        let wish = tokio::select! {
            wish = signals.next() => wish,
            () = service::reassure(node.vitals(), node.config().health_stuck_after) => continue,
        };
        match wish {
            Wish::End => break,
            Wish::Reopen => {
                log.reopen();
                continue;
            }
            Wish::Reload | Wish::Rehearse => {}
        }
        let outcome = if wish == Wish::Rehearse {
            rehearse(&node, source)
        } else {
            service::reloading();
            // A shard that is stuck must not keep the router from ending.
            let outcome = tokio::select! {
                outcome = reload(&mut node, source) => outcome,
                () = signals.end() => break,
            };
            log.change(&node.config().node.log);
            service::tell(&[NotifyState::Ready]);
            outcome
        };
        if let Some(hold) = &mut hold {
            hold.listens(node.bound().iter().map(ToString::to_string).collect());
            hold.reloaded(outcome);
        }
    }
    tracing::info!("shutting down");
    service::tell(&[NotifyState::Stopping]);
    let (vitals, stuck_after) = (node.vitals().clone(), node.config().health_stuck_after);
    tokio::select! {
        () = node.shut_down() => Ok(()),
        () = service::reassure(&vitals, stuck_after) => Ok(()),
        () = signals.end() => std::process::exit(exit::INTERRUPTED),
    }
}

/// Goes on with what the configuration says now.
async fn reload(node: &mut node::Node, source: &Source) -> Outcome {
    let done = match source.read(|warning| tracing::warn!("{warning}")) {
        Ok(config) => node.reload(&config).await.map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    match &done {
        Ok(reload) => {
            reload.changes.iter().for_each(|change| tracing::info!("reload: {change}"));
            reload.at_start.iter().for_each(|change| tracing::warn!("only a new start can change: {change}"));
            tracing::info!(changes = reload.changes.len(), "the configuration and its files have been read again");
        }
        Err(error) => tracing::error!(%error, "everything stays as it is"),
    }
    outcome(done, false)
}

/// Finds out what would change if the configuration was read again.
fn rehearse(node: &node::Node, source: &Source) -> Outcome {
    let config = source.read(|_| ());
    let found = config.and_then(|config| {
        node::Node::check(&config).map_err(|error| error.to_string())?;
        node.rehearse(&config).map_err(|error| error.to_string())
    });
    outcome(found, true)
}

fn outcome(done: Result<Reload, String>, dry_run: bool) -> Outcome {
    match done {
        Ok(Reload { changes, at_start, .. }) => Outcome { dry_run, changes, at_start, ..Outcome::default() },
        Err(error) => Outcome { dry_run, error: Some(error), ..Outcome::default() },
    }
}
