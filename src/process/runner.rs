//! The life of a guest: it waits, runs, ends, and runs again.

use super::host::Host;
use super::order::{Command, Report};
use super::orphans::Guardians;
use super::policy::{Policy, Verdict};
use super::ready::{Lookout, ready};
use super::run::Run;
use super::status::{Board, End, GuestState, GuestStatus};
use super::watch::Watcher;
use crate::config::GuestConfig;
use crate::config::component::{Bond, Breaks};
use crate::config::guest::ReadyConfig;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// How long a guest that was killed may take to end. Long, as the machine may have its hands full: with this guest, say.
const KILL_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a guest waits for the one before it, if that is neither ready nor at its end.
const TURN_TIME_MAX: Duration = Duration::from_secs(10);

/// What a guest is to be now; none: it is not to be.
pub(super) type Wanted = Option<Arc<GuestConfig>>;

/// Runs one guest.
pub(super) struct Runner {
    pub(super) id: Box<str>,
    /// It begins when this one is under way.
    pub(super) before: Option<Box<str>>,
    pub(super) wanted: watch::Receiver<Wanted>,
    pub(super) board: Arc<Board>,
    pub(super) guardians: Arc<Guardians>,
    pub(super) host: Host,
    pub(super) lookout: Option<Lookout>,
}

/// Why a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// By itself, or because it was not ready in time.
    Itself,
    /// Something is wanted that is not this guest.
    Wanted,
    /// A file that is watched has changed.
    Change,
    /// Another has ended without which it is not to be.
    Bond,
}

/// How a run has ended.
struct Outcome {
    cause: Cause,
    end: End,
    ran: Duration,
}

/// A run that is on.
struct Course {
    cause: Cause,
    begun: Instant,
    /// The guest's own program has begun.
    started: bool,
    /// Readiness is no longer waited for.
    settled: bool,
    end: Option<End>,
    /// When the patience with a guest that has to end is over.
    deadline: Option<Instant>,
    killed: bool,
}

impl Runner {
    /// Goes on until nobody can want anything any more.
    pub(super) async fn run(mut self) {
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            if let Some(config) = wanted {
                self.live(&config).await;
                continue;
            }
            self.board.remove(&self.id);
            if self.wanted.changed().await.is_err() {
                return;
            }
        }
    }

    fn set(&self, state: GuestState, change: impl FnOnce(&mut GuestStatus)) {
        self.board.set(&self.id, |status| {
            status.state = state;
            change(status);
        });
    }

    /// Runs the guest as often as it is to be run, until something else is wanted.
    async fn live(&mut self, config: &GuestConfig) {
        let watcher = Watcher::new(&self.id, &config.watch);
        let mut policy = Policy::new(config.restart.clone());
        let epoch = Instant::now();
        self.set(GuestState::Waiting, |status| (status.ready, status.broken) = (false, None));
        if !config.depends_on.is_empty() {
            tracing::info!(guest = %self.id, "waits for {}", config.depends_on.join(", "));
        }
        let before = self.before.take();
        let turn = async {
            self.board.ready(&config.depends_on).await;
            if let Some(before) = &before {
                self.board.begun(before).await;
                // Who does not get ready keeps nobody out.
                let _ = tokio::time::timeout(TURN_TIME_MAX, self.board.under_way(before)).await;
            }
        };
        tokio::select! {
            () = turn => {}
            () = changed(&mut self.wanted) => return,
        }
        loop {
            let Outcome { cause, end, ran } = self.once(config, &watcher).await;
            let success = end == End::Exited(0);
            let done = success && config.ready == ReadyConfig::Exit;
            self.set(GuestState::Ending, |status| {
                (status.pid, status.last_end) = (None, Some(end.clone()));
                status.ready = done;
            });
            let wait = match cause {
                Cause::Wanted => {
                    tracing::info!(guest = %self.id, "stopped: {end}");
                    return;
                }
                Cause::Change => {
                    policy.forgive();
                    Some(Duration::ZERO)
                }
                Cause::Bond => {
                    tracing::info!(guest = %self.id, "stopped, as another of its worker has ended: {end}");
                    self.set(GuestState::Stopped, |_| {});
                    None
                }
                Cause::Itself if self.board.is_closing() => {
                    tracing::info!(guest = %self.id, "ended: {end}");
                    self.set(GuestState::Stopped, |_| {});
                    None
                }
                Cause::Itself => self.judge(policy.ended(epoch.elapsed(), ran, success), &end, config),
            };
            let again = async {
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = again => {}
                () = changed(&mut self.wanted) => return,
                () = watcher.changed() => policy.forgive(),
                () = broken(&self.board, config), if wait.is_some() => {
                    self.set(GuestState::Stopped, |_| {});
                    if self.wanted.changed().await.is_err() {
                        pending::<()>().await;
                    }
                    return;
                }
            }
            self.board.set(&self.id, |status| status.restarts += 1);
        }
    }

    /// Says what becomes of a guest that has ended by itself; gives how long to wait before it is started again.
    fn judge(&self, verdict: Verdict, end: &End, config: &GuestConfig) -> Option<Duration> {
        let id = &self.id;
        let restart = &config.restart;
        let success = *end == End::Exited(0);
        let breaks = |bond: &&Bond| bond.breaks == Breaks::End || !success;
        let broken = config.bond.as_ref().filter(breaks).map(|bond| bond.name.clone());
        let useless = restart.useless.is_some_and(|code| *end == End::Exited(code));
        // Nobody is started again whose end ends others as well.
        let verdict = if broken.is_some() || useless { Verdict::Rest } else { verdict };
        self.board.set(id, |status| status.broken = broken);
        match verdict {
            Verdict::Restart(wait) => {
                tracing::warn!(guest = %id, "ended: {end}; is started again in {} seconds", wait.as_secs_f64());
                self.set(GuestState::BackingOff, |_| {});
                return Some(wait);
            }
            Verdict::Rest if success => {
                tracing::info!(guest = %id, "ended: {end}");
                self.set(GuestState::Stopped, |_| {});
            }
            Verdict::Rest => {
                tracing::error!(guest = %id, "failed: {end}; it is not started again");
                self.set(GuestState::Failed, |_| {});
            }
            Verdict::GiveUp => {
                let (most, within) = (restart.crashes_max, restart.crashes_within.as_secs_f64());
                tracing::error!(
                    guest = %id,
                    "failed: {end}; it is given up after {most} restarts within {within} seconds"
                );
                self.set(GuestState::Failed, |_| {});
            }
        }
        None
    }

    /// Runs the guest once, to its end.
    async fn once(&mut self, config: &GuestConfig, watcher: &Watcher) -> Outcome {
        self.set(GuestState::Starting, |status| {
            status.started = Some(SystemTime::now());
            status.ready = false;
        });
        let begun = Instant::now();
        let mut course = Course {
            cause: Cause::Itself,
            begun,
            started: false,
            settled: false,
            end: None,
            deadline: None,
            killed: false,
        };
        let run = match Run::start(config, &self.host, &self.board.tail(&self.id), self.board.processes_max()).await {
            Ok(run) => run,
            Err(text) => return Outcome { cause: Cause::Itself, end: End::Failed(text), ran: Duration::ZERO },
        };
        let guardian = run.guardian().and_then(|pid| i32::try_from(pid).ok());
        if let Some(guardian) = guardian {
            self.guardians.add(guardian);
        }
        self.attend(config, watcher, run, &mut course).await;
        if let Some(guardian) = guardian {
            self.guardians.remove(guardian);
        }
        let ran = begun.elapsed();
        let end = match course.end {
            Some(end) => end,
            None => {
                if self.host.own {
                    self.guardians.clear().await;
                }
                End::Failed("its guardian was killed".into())
            }
        };
        Outcome { cause: course.cause, end, ran }
    }

    /// Looks after a run until its guardian is no more.
    async fn attend(&mut self, config: &GuestConfig, watcher: &Watcher, mut run: Run, course: &mut Course) {
        let line = run.line.clone();
        let lookout = self.lookout.clone();
        let mut readiness = pin!(ready(&config.ready, &line, lookout.as_ref()));
        loop {
            let waits = !course.settled && course.deadline.is_none();
            tokio::select! {
                report = run.next() => match report {
                    Some(report) => self.note(config, report, course),
                    None => break,
                },
                () = &mut readiness, if waits && course.started => {
                    course.settled = true;
                    tracing::debug!(guest = %self.id, "ready");
                    self.set(GuestState::Ready, |status| status.ready = true);
                }
                () = sleep_until(course.begun + config.ready_timeout), if waits => {
                    let seconds = config.ready_timeout.as_secs_f64();
                    course.end = Some(End::Failed(format!("was not ready within {seconds} seconds")));
                    self.stop(config, &mut run, course).await;
                }
                () = changed(&mut self.wanted), if course.cause != Cause::Wanted => {
                    course.cause = Cause::Wanted;
                    self.stop(config, &mut run, course).await;
                }
                () = broken(&self.board, config), if course.deadline.is_none() => {
                    course.cause = Cause::Bond;
                    self.stop(config, &mut run, course).await;
                }
                () = watcher.changed(), if course.deadline.is_none() => {
                    tracing::info!(guest = %self.id, "is started again: a file that is watched has changed");
                    course.cause = Cause::Change;
                    self.stop(config, &mut run, course).await;
                }
                () = sleep_until(course.deadline.unwrap_or(course.begun)), if course.deadline.is_some() => {
                    if course.killed {
                        tracing::error!(guest = %self.id, "something of it does not end though it was killed, and is left alone");
                        break;
                    }
                    let grace = config.stop_grace.as_secs_f64();
                    tracing::warn!(guest = %self.id, "did not end within {grace} seconds, and is killed");
                    course.killed = true;
                    course.deadline = Some(Instant::now() + KILL_TIME_MAX);
                    run.tell(Command::Kill).await;
                }
            }
        }
        run.finish().await;
    }

    /// Asks the guest to end; a second time changes nothing.
    async fn stop(&self, config: &GuestConfig, run: &mut Run, course: &mut Course) {
        if course.deadline.is_none() {
            course.deadline = Some(Instant::now() + config.stop_grace);
            run.tell(Command::Stop(config.stop_signal as i32)).await;
        }
    }

    fn note(&self, config: &GuestConfig, report: Report, course: &mut Course) {
        let end = match report {
            Report::Started(pid) => {
                course.started = true;
                tracing::info!(guest = %self.id, pid, "started");
                self.set(GuestState::Running, |status| status.pid = Some(pid));
                return;
            }
            Report::Failed(text) => End::Failed(text),
            Report::Exited(code) => End::Exited(code),
            Report::Killed(signal) => End::Killed(signal),
            Report::Crowded(most) => End::Failed(format!("had more than {most} processes, and was killed")),
        };
        // Only what remains of it has to be cleared away now: it is neither ready nor too late any more.
        course.settled = true;
        if course.deadline.is_none() {
            course.killed = true;
            course.deadline = Some(Instant::now() + KILL_TIME_MAX);
        }
        let settled = course.end.get_or_insert(end).clone();
        let done = settled == End::Exited(0) && config.ready == ReadyConfig::Exit;
        self.set(GuestState::Ending, |status| {
            (status.pid, status.last_end) = (None, Some(settled));
            status.ready = done;
        });
    }
}

/// Waits until the bond of a guest is broken; for ever if it has none.
async fn broken(board: &Board, config: &GuestConfig) {
    match &config.bond {
        Some(bond) => board.broken(&bond.name).await,
        None => pending().await,
    }
}

/// Waits until something else is wanted; for ever if nobody is there to want it.
async fn changed(wanted: &mut watch::Receiver<Wanted>) {
    if wanted.changed().await.is_err() {
        pending().await
    }
}
