//! From the arguments to the exit code.

use super::args::{Args, Command, Node};
use super::banner::banner;
use crate::config::RuntimeConfig;
use crate::config::file::{self, NodeFile};
use crate::node;
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The arguments or what they ask for make no sense.
const EXIT_USAGE: u8 = 2;

/// Ended by a second signal before the shutdown was complete.
const EXIT_INTERRUPTED: i32 = 130;

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    // The filter was checked with the arguments.
    let filter = EnvFilter::new(args.log());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    let config = match args.command {
        None => Some(args.config()),
        Some(Command::Check(node)) => {
            let Some(file) = load(&node) else { return ExitCode::FAILURE };
            if let Err(error) = node::Node::check(&file.config) {
                eprintln!("corebar: {error}");
                return ExitCode::FAILURE;
            }
            let RuntimeConfig { realms, listeners, .. } = file.config;
            println!("{}: ok, {} realms, {} transports", file.file.display(), realms.len(), listeners.len());
            return ExitCode::SUCCESS;
        }
        Some(Command::Start(start)) => load(&start.node).map(|file| start.change(file.config)),
    };
    let Some(config) = config else { return ExitCode::FAILURE };
    if let Err(error) = config.check() {
        eprintln!("corebar: {error}");
        return ExitCode::from(EXIT_USAGE);
    }
    prepare_process();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("corebar: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corebar: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads a configuration file, and says what is wrong with it.
fn load(node: &Node) -> Option<NodeFile> {
    let file = match file::load(&node.cbdir, node.config.as_deref()) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("corebar: {error}");
            return None;
        }
    };
    for warning in &file.warnings {
        let severity = if node.strict { "error" } else { "warning" };
        eprintln!("corebar: {severity}: {}: {warning}", file.file.display());
    }
    (!node.strict || file.warnings.is_empty()).then_some(file)
}

/// Asks the operating system for what a router needs of it. Without, it still works.
fn prepare_process() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
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
async fn serve(config: RuntimeConfig) -> Result<(), Box<dyn std::error::Error>> {
    // Before the banner: whoever has read it may send a signal.
    let mut signals = Signals::new()?;
    let node = node::Node::start(config.clone())?;
    let mut out = io::stdout().lock();
    // Nobody may be reading any more; that is no reason not to serve.
    let _ = out.write_all(banner(&node, &config).as_bytes()).and_then(|()| out.flush());
    drop(out);
    while signals.next().await == Wish::Reload {
        match node.reload_certificates() {
            Ok(()) => tracing::info!("the certificates have been read again"),
            Err(error) => tracing::error!(%error, "a listener goes on with the certificates that it has"),
        }
    }
    tracing::info!("shutting down");
    tokio::select! {
        () = node.shut_down() => Ok(()),
        () = signals.end() => std::process::exit(EXIT_INTERRUPTED),
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// To read the certificates again: SIGHUP.
    Reload,
    /// To end: SIGINT, SIGTERM.
    End,
}

/// The signals that the program knows.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let [hangup, interrupt, terminate] =
            [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        Ok(Signals { hangup: hangup?, interrupt: interrupt?, terminate: terminate? })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.terminate.recv() => Wish::End,
        }
    }

    async fn end(&mut self) {
        while self.next().await != Wish::End {}
    }
}
