//! One run of a guest, as the router sees it: a guardian at the other end of a socket.

use super::guardian;
use super::host::Host;
use super::order::{self, Command, Feed, Order, Report, Setup};
use super::output::Stream;
use super::program;
use super::tail::Tail;
use crate::config::GuestConfig;
use crate::config::guest::{Inherit, InputConfig, OutputConfig, ReadyConfig};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How long the last lines of a guest that has ended may take to come.
const LAST_LINES_TIME_MAX: Duration = Duration::from_secs(1);

/// A run of a guest.
pub(super) struct Run {
    guardian: Child,
    reports: Lines<BufReader<OwnedReadHalf>>,
    commands: OwnedWriteHalf,
    streams: Vec<JoinHandle<()>>,
    /// The line that was awaited has come.
    pub(super) line: Arc<Notify>,
}

impl Run {
    /// Starts a guardian and tells it what to run. What that writes goes to `tail` as well; with more processes than
    /// `processes_max` it is killed.
    ///
    /// # Errors
    /// It cannot be, for people.
    pub(super) async fn start(
        config: &GuestConfig,
        host: &Host,
        tail: &Arc<Tail>,
        processes_max: u64,
    ) -> Result<Run, String> {
        let order = order(config, host, processes_max)?;
        let failed = |error: io::Error| format!("cannot start a guardian: {error}");
        let (own, theirs) = StdStream::pair().map_err(failed)?;
        own.set_nonblocking(true).map_err(failed)?;
        let mut command = tokio::process::Command::new(&host.program);
        command.arg0("corebar").arg(guardian::ARGUMENT).arg(&*config.id);
        // Signals that a terminal sends to the router are not for its guests.
        command.process_group(0).stdin(Stdio::from(OwnedFd::from(theirs)));
        command.stdout(sink(&config.stdout)?).stderr(sink(&config.stderr)?);
        match &config.inherit {
            Inherit::All => {}
            Inherit::None => {
                command.env_clear();
            }
            Inherit::These(names) => {
                command.env_clear().envs(names.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
            }
        }
        let mut attempts = 0;
        let mut guardian = loop {
            match command.spawn() {
                Err(error) if order::is_full(&error) && attempts < order::ATTEMPTS => {
                    tokio::time::sleep(order::ATTEMPT_INTERVAL).await;
                }
                spawned => break spawned.map_err(failed)?,
            }
            attempts += 1;
        };
        // It holds the other end of the socket, which is to be closed when the guardian is no more.
        drop(command);
        let line = Arc::new(Notify::new());
        let mut streams = Vec::new();
        if let Some(pipe) = guardian.stdout.take() {
            streams.push(read(pipe, config, false, (&line, tail)));
        }
        if let Some(pipe) = guardian.stderr.take() {
            streams.push(read(pipe, config, true, (&line, tail)));
        }
        let (reader, mut commands) = UnixStream::from_std(own).map_err(failed)?.into_split();
        commands.write_all(&order::line(&order)).await.map_err(failed)?;
        Ok(Run { guardian, reports: BufReader::new(reader).lines(), commands, streams, line })
    }

    /// The process of the guardian.
    pub(super) fn guardian(&self) -> Option<u32> {
        self.guardian.id()
    }

    /// What the guardian tells next; none when it is no more, and with it the guest. May be called off.
    pub(super) async fn next(&mut self) -> Option<Report> {
        let line = self.reports.next_line().await.ok().flatten()?;
        serde_json::from_str(&line).ok()
    }

    /// Tells the guardian something. One that is no more has done it already.
    pub(super) async fn tell(&mut self, command: Command) {
        let _ = self.commands.write_all(&order::line(&command)).await;
    }

    /// Takes note of the guardian's end, and waits for the last lines of the guest.
    pub(super) async fn finish(mut self) {
        drop(self.commands);
        let streams = async {
            for stream in &mut self.streams {
                let _ = stream.await;
            }
            let _ = self.guardian.wait().await;
        };
        let _ = tokio::time::timeout(LAST_LINES_TIME_MAX, streams).await;
        // Somebody else may have been handed a stream of the guest.
        self.streams.iter().for_each(JoinHandle::abort);
    }
}

fn order(config: &GuestConfig, host: &Host, processes_max: u64) -> Result<Order, String> {
    let workdir = program::workdir(config).map_err(|error| error.to_string())?;
    let stdin = match &config.stdin {
        InputConfig::Close => None,
        InputConfig::Json { value, close } => Some(Feed { value: value.clone(), close: *close }),
    };
    let setup = Setup {
        program: program::find(config)?,
        workdir,
        user: config.user.as_deref().map(Into::into),
        group: config.group.as_deref().map(Into::into),
        nice: config.nice,
        cores: config.cpu_affinity.clone(),
        open_files: config.limits.open_files,
        open_files_soft: host.open_files,
        address_space: config.limits.address_space,
        cpu_seconds: config.limits.cpu_seconds,
        processes: config.limits.processes,
        ..Setup::default()
    };
    let (guardian, arguments) = (host.program.clone(), config.arguments.clone());
    let processes_max = processes_max.min(config.limits.processes.unwrap_or(u64::MAX));
    Ok(Order { guardian, arguments, vars: config.vars.clone(), stdin, processes_max, setup })
}

fn sink(output: &OutputConfig) -> Result<Stdio, String> {
    match output {
        OutputConfig::Log => Ok(Stdio::piped()),
        OutputConfig::Drop => Ok(Stdio::null()),
        OutputConfig::Close => {
            let (_, writer) = io::pipe().map_err(|error| format!("cannot make a pipe: {error}"))?;
            Ok(writer.into())
        }
        OutputConfig::File(path) => {
            append_to(path).map_err(|error| format!("cannot write {}: {error}", path.display()))
        }
    }
}

fn append_to(path: &Path) -> io::Result<Stdio> {
    OpenOptions::new().create(true).append(true).open(path).map(Into::into)
}

fn read(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    config: &GuestConfig,
    errors: bool,
    (line, tail): (&Arc<Notify>, &Arc<Tail>),
) -> JoinHandle<()> {
    let awaited = match &config.ready {
        ReadyConfig::Line(text) => Some((text.clone(), line.clone())),
        _ => None,
    };
    tokio::spawn(Stream { id: config.id.clone(), errors, awaited, tail: tail.clone() }.log(pipe))
}
