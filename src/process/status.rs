//! How guests are.

use super::tail::{Room, Tail};
use crate::config::node::ShutdownOn;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// What a guest is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuestState {
    /// Others that it depends on are not ready.
    #[default]
    Waiting,
    /// Its process is being made.
    Starting,
    /// It runs and is not ready.
    Running,
    /// It runs and is ready.
    Ready,
    /// Its own process has ended, and what else there is of it is ended too.
    Ending,
    /// It has ended and will be started again.
    BackingOff,
    /// It has ended as it should.
    Stopped,
    /// It has failed, and is not started again.
    Failed,
}

impl GuestState {
    /// Its name, in one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GuestState::Waiting => "waiting",
            GuestState::Starting => "starting",
            GuestState::Running => "running",
            GuestState::Ready => "ready",
            GuestState::Ending => "ending",
            GuestState::BackingOff => "backing-off",
            GuestState::Stopped => "stopped",
            GuestState::Failed => "failed",
        }
    }
}

/// How a run of a guest has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// Not by itself, or before it began, for this reason.
    Failed(String),
}

impl Display for End {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(code) => write!(to, "exit code {code}"),
            End::Killed(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(known) => write!(to, "signal {known}"),
                Err(_) => write!(to, "signal {signal}"),
            },
            End::Failed(reason) => to.write_str(reason),
        }
    }
}

/// A guest as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestStatus {
    /// Its id.
    pub id: Box<str>,
    /// What it is doing.
    pub state: GuestState,
    /// Its process, while it runs.
    pub pid: Option<i32>,
    /// How often it has been started again.
    pub restarts: u64,
    /// How its last run ended.
    pub last_end: Option<End>,
    /// When its last run began.
    pub started: Option<SystemTime>,
    /// Resident memory of its processes together, in octets, if the system tells.
    pub resident_bytes: Option<u64>,
    /// Processor time of its processes together, if the system tells.
    pub cpu_time: Option<Duration>,
    /// Those that depend on it may start.
    pub(super) ready: bool,
    /// The bond that its end has broken.
    pub(super) broken: Option<Box<str>>,
}

/// How all guests are.
#[derive(Debug)]
pub(super) struct Board {
    guests: Mutex<BTreeMap<Box<str>, GuestStatus>>,
    changed: watch::Sender<()>,
    /// What they have written.
    tails: Mutex<BTreeMap<Box<str>, Arc<Tail>>>,
    /// How much is kept of that.
    pub(super) room: Arc<Room>,
    /// Nobody is started again any more.
    closing: AtomicBool,
    /// More processes than these are too many for one guest.
    processes_max: AtomicU64,
}

impl Board {
    pub(super) fn new() -> Board {
        Board {
            guests: Mutex::default(),
            changed: watch::Sender::new(()),
            tails: Mutex::default(),
            room: Arc::new(Room::new()),
            closing: AtomicBool::new(false),
            processes_max: AtomicU64::new(u64::MAX),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, GuestStatus>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known of a guest.
    pub(super) fn set(&self, id: &str, change: impl FnOnce(&mut GuestStatus)) {
        let mut guests = self.lock();
        change(guests.entry(id.into()).or_insert_with(|| GuestStatus { id: id.into(), ..GuestStatus::default() }));
        drop(guests);
        self.changed.send_replace(());
    }

    /// A guest is no more.
    pub(super) fn remove(&self, id: &str) {
        self.lock().remove(id);
        self.tails.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.changed.send_replace(());
    }

    /// What a guest has written, and will.
    pub(super) fn tail(&self, id: &str) -> Arc<Tail> {
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        tails.entry(id.into()).or_insert_with(|| Arc::new(Tail::new(self.room.clone()))).clone()
    }

    /// True if there is such a guest.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.lock().contains_key(id)
    }

    /// The router takes leave: who ends from now on has ended as it should.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Says how many processes a guest may have that starts from now on.
    pub(super) fn bound(&self, processes_max: u64) {
        self.processes_max.store(processes_max, Ordering::Relaxed);
    }

    pub(super) fn processes_max(&self) -> u64 {
        self.processes_max.load(Ordering::Relaxed)
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn all(&self) -> Vec<GuestStatus> {
        self.lock().values().cloned().collect()
    }

    /// Waits until all of these are ready.
    pub(super) async fn ready(&self, ids: &[Box<str>]) {
        self.until(|guests| ids.iter().all(|id| guests.get(id).is_some_and(|guest| guest.ready))).await;
    }

    /// Waits until it is a guest's turn to start, or until it is not to.
    pub(super) async fn begun(&self, id: &str) {
        self.until(|guests| guests.get(id).is_none_or(|guest| guest.state != GuestState::Waiting)).await;
    }

    /// Waits until a guest is ready, or it turns out that it will not be so soon.
    pub(super) async fn under_way(&self, id: &str) {
        let over = |state| {
            matches!(state, GuestState::Ending | GuestState::BackingOff | GuestState::Stopped | GuestState::Failed)
        };
        self.until(|guests| guests.get(id).is_none_or(|guest| guest.ready || over(guest.state))).await;
    }

    /// Waits until somebody's end has broken this bond.
    pub(super) async fn broken(&self, bond: &str) {
        self.until(|guests| guests.values().any(|guest| guest.broken.as_deref() == Some(bond))).await;
    }

    /// Waits until none of these is there any more.
    pub(super) async fn gone(&self, ids: &[Box<str>]) {
        self.until(|guests| ids.iter().all(|id| !guests.contains_key(id))).await;
    }

    /// Waits until a guest has ended that ends the node; tells which, and whether it has failed.
    pub(super) async fn ended(&self, on: ShutdownOn) -> (Box<str>, bool) {
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(decisive) = decisive(&self.lock(), on) {
                return decisive;
            }
            // The sender lives as long as this.
            let _ = changes.changed().await;
        }
    }

    async fn until(&self, is: impl Fn(&BTreeMap<Box<str>, GuestStatus>) -> bool) {
        let mut changes = self.changed.subscribe();
        while !is(&self.lock()) {
            // The sender lives as long as this.
            let _ = changes.changed().await;
        }
    }
}

/// The guest whose end ends the node, and whether it has failed. Work that was to be done once has not ended by being
/// done.
fn decisive(guests: &BTreeMap<Box<str>, GuestStatus>, on: ShutdownOn) -> Option<(Box<str>, bool)> {
    let failed = |guest: &&GuestStatus| guest.state == GuestState::Failed;
    let ended = |guest: &&GuestStatus| failed(guest) || (guest.state == GuestState::Stopped && !guest.ready);
    let all = guests.values().all(|guest| ended(&guest));
    let first = guests.values().find(|guest| on.failure && failed(guest));
    let first = first.or_else(|| guests.values().find(|guest| on.exit && ended(guest)));
    // Of those that are all at their end one that has failed says more.
    let last = || guests.values().max_by_key(|guest| failed(guest)).filter(|_| on.last_exit && all);
    let first = first.or_else(last);
    first.map(|guest| (guest.id.clone(), failed(&guest)))
}
