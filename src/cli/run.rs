//! From the arguments to the exit code.

use super::args::{Args, Command, Start};
use super::directory::{self, Hold};
use super::exit::{self, fail, say, tell};
use super::files::load;
use super::handover::Predecessor;
use super::log::Log;
use super::office::Office;
use super::service::Service;
use super::signals::Mild;
use super::{client, config, files, init, keys, remote};
use crate::config::RuntimeConfig;
use crate::process::host::{self, Host};
use crate::transport::listener::Listener;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::process::ExitCode;
use std::time::Duration;

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = host::other_program() {
        return code;
    }
    let args = Args::read();
    let flags = args.logging();
    let source = match args.command {
        None => Source::Flags(Box::new(args.config())),
        Some(Command::Check(wanted)) => return done(files::check(&wanted)),
        Some(Command::Config(wanted)) => return done(config::config(&wanted)),
        Some(Command::Init(wanted)) => return done(init::init(&wanted)),
        Some(Command::Upgrade(wanted)) => return done(files::upgrade(&wanted)),
        Some(Command::Convert(wanted)) => return done(files::convert(&wanted)),
        Some(Command::Stop(stop)) => return either(remote::stop(&stop)),
        Some(Command::Status(status)) => return either(remote::status(&status)),
        Some(Command::Reload(reload)) => return either(remote::reload(&reload)),
        Some(Command::Keygen) => return keys::keygen(),
        Some(Command::Keys(wanted)) => return keys::keys(&wanted),
        Some(Command::Version) => {
            tell!("corebar {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some(Command::Client(command)) => {
            Host::corebar(None).set();
            return client::main(*command, Args::program);
        }
        Some(Command::Start(start)) => Source::File(Box::new(start)),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}"), ExitCode::FAILURE),
    };
    // A rotation of logs may come while the files are still read.
    let mild = {
        let _runtime = runtime.enter();
        Mild::new()
    };
    let mild = match mild {
        Ok(mild) => mild,
        Err(error) => return fail(&format!("cannot hear signals: {error}"), ExitCode::FAILURE),
    };
    let config = match source.read(|warning| say(&warning)) {
        Ok(config) => config,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    if let Err(error) = config.check() {
        return fail(&error, ExitCode::from(exit::USAGE));
    }
    let log = match Log::begin(&flags, &config.node.log) {
        Ok(log) => log,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    let begin = source.predecessor().and_then(|predecessor| {
        // The directory is still held by the one whose place is taken.
        let hold = if predecessor.is_some() { None } else { source.hold()? };
        Ok((predecessor, hold))
    });
    let (predecessor, hold) = match begin {
        Ok(begin) => begin,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    prepare_process();
    let service = async { Service::start(config, source, predecessor, hold, (log, mild))?.run().await };
    match runtime.block_on(service) {
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
pub(super) enum Source {
    /// Flags: always the same.
    Flags(Box<RuntimeConfig>),
    /// A file, which may say something else later.
    File(Box<Start>),
}

impl Source {
    /// Takes the node directory, if there is one.
    pub(super) fn hold(&self) -> Result<Option<Hold>, String> {
        match self {
            Source::Flags(_) => Ok(None),
            Source::File(start) => Hold::take(&start.node.cbdir),
        }
    }

    /// Opens the office where others can ask for the sockets of a node that holds its directory.
    pub(super) fn office(&self) -> Option<Office> {
        let Source::File(start) = self else { return None };
        let office = Office::open(&start.node.cbdir);
        office.inspect_err(|error| tracing::warn!(%error, "no other process will be able to take over")).ok()
    }

    /// The node whose place is to be taken, with its sockets, if there is one.
    fn predecessor(&self) -> Result<Option<(Predecessor, Vec<Listener>)>, String> {
        let Source::File(start) = self else { return Ok(None) };
        let directory = &start.node.cbdir;
        let there = start.take_over && directory::running(directory).map_err(|error| error.to_string())?.is_some();
        there.then(|| Predecessor::ask(directory)).transpose()
    }

    /// After which time the node ends by itself.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        let Source::File(start) = self else { return None };
        start.shutdown_after.filter(|time| !time.is_zero())
    }

    /// What it says now; `warn` is told what has no effect.
    pub(super) fn read(&self, warn: impl FnMut(&str)) -> Result<RuntimeConfig, String> {
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
