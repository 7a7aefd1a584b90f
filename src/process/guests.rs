//! All guests of a router.

use super::descent;
use super::host::Host;
use super::orphans::Guardians;
use super::ready::Lookout;
use super::runner::{Runner, Wanted};
use super::status::{Board, GuestStatus};
use super::tail::Tail;
use crate::config::GuestConfig;
use crate::config::guest::{GuestError, levels};
use crate::config::node::ShutdownOn;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// The guests of a router. They go on when this value is dropped; [`Guests::stop`] ends them.
pub struct Guests {
    /// What is wanted of each, also of those that were there once.
    wanted: BTreeMap<Box<str>, watch::Sender<Wanted>>,
    /// Before which others each has to be stopped: those with the higher numbers first.
    levels: BTreeMap<Box<str>, usize>,
    board: Arc<Board>,
    guardians: Arc<Guardians>,
    host: Host,
    lookout: Option<Lookout>,
}

impl fmt::Debug for Guests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guests").field("levels", &self.levels).finish_non_exhaustive()
    }
}

impl Guests {
    /// Starts guests, each when those that it depends on are ready. Has to be called on a tokio runtime.
    ///
    /// # Errors
    /// They cannot work; nothing is started.
    pub fn start(guests: &[GuestConfig]) -> Result<Guests, GuestError> {
        let mut all = Guests {
            wanted: BTreeMap::new(),
            levels: BTreeMap::new(),
            board: Arc::new(Board::new()),
            guardians: Arc::default(),
            host: Host::get(),
            lookout: None,
        };
        all.reload(guests, guests.len())?;
        Ok(all)
    }

    /// How it is found out that a procedure is offered, for guests that are added from now on and are ready then. Without,
    /// they never are.
    pub fn look_out(&mut self, lookout: Lookout) {
        self.lookout = Some(lookout);
    }

    /// Puts other guests into the place of those that there are: only what changes is stopped or started. Does not wait
    /// for it. From the position `in_turn` on, each that is new begins when the one before it is ready or has ended, or
    /// lets it wait for too long.
    ///
    /// # Errors
    /// They cannot work; nothing has changed.
    pub fn reload(&mut self, guests: &[GuestConfig], in_turn: usize) -> Result<(), GuestError> {
        let levels = levels(guests)?;
        if self.host.own && self.wanted.is_empty() && !guests.is_empty() {
            self.guardians.adopt();
        }
        self.levels = guests.iter().map(|guest| guest.id.clone()).zip(levels).collect();
        for (id, wanted) in &self.wanted {
            if !self.levels.contains_key(id) {
                wanted.send_if_modified(|wanted| wanted.take().is_some());
            }
        }
        for (index, guest) in guests.iter().enumerate() {
            match self.wanted.get(&guest.id) {
                Some(wanted) => {
                    wanted.send_if_modified(|wanted| {
                        let other = wanted.as_deref() != Some(guest);
                        if other {
                            *wanted = Some(Arc::new(guest.clone()));
                        }
                        other
                    });
                }
                None => {
                    let before = index.checked_sub(1).filter(|before| *before >= in_turn);
                    self.add(guest, before.map(|before| guests[before].id.clone()));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, guest: &GuestConfig, before: Option<Box<str>>) {
        let (sender, wanted) = watch::channel(Some(Arc::new(guest.clone())));
        self.board.set(&guest.id, |_| {});
        let runner = Runner {
            id: guest.id.clone(),
            before,
            wanted,
            board: self.board.clone(),
            guardians: self.guardians.clone(),
            host: self.host.clone(),
            lookout: self.lookout.clone(),
        };
        tokio::spawn(runner.run());
        self.wanted.insert(guest.id.clone(), sender);
    }

    /// How many lines, and octets of them, are kept of what each guest writes. Until this has been said, none are.
    pub fn keep(&self, lines: usize, bytes: usize) {
        self.board.room.set(lines, bytes);
    }

    /// How many processes each guest may have that starts from now on, beside what its own limit says; with more it is
    /// killed. Until this has been said, any number.
    pub fn bound(&self, processes_max: usize) {
        self.board.bound(processes_max as u64);
    }

    /// The router begins to take leave of its clients, and guests may be among them: those that end are not started again.
    pub fn take_leave(&self) {
        self.board.close();
    }

    /// Stops all guests, each when those that depend on it have ended. Those that do not end in time are killed.
    pub async fn stop(&self) {
        let highest = self.levels.values().max().copied().unwrap_or_default();
        // Those that were taken out of the configuration may still be ending.
        let former: Vec<_> = self.wanted.keys().filter(|id| !self.levels.contains_key(*id)).cloned().collect();
        for level in (0..=highest).rev() {
            let of_level = self.levels.iter().filter(|(_, own)| **own == level);
            let ids: Vec<_> = of_level.map(|(id, _)| id.clone()).collect();
            for wanted in ids.iter().filter_map(|id| self.wanted.get(id)) {
                wanted.send_if_modified(|wanted| wanted.take().is_some());
            }
            self.board.gone(&ids).await;
        }
        self.board.gone(&former).await;
    }

    /// Waits until a guest has ended that ends the node; tells which, and whether it has failed.
    pub async fn ended(&self, on: ShutdownOn) -> (Box<str>, bool) {
        self.board.ended(on).await
    }

    /// Stops a guest and starts it again; one that has ended or was given up is started. False: there is none.
    #[must_use]
    pub fn restart(&self, id: &str) -> bool {
        let wanted = self.wanted.get(id).filter(|wanted| wanted.borrow().is_some());
        wanted.is_some_and(|wanted| {
            // The same again.
            wanted.send_modify(|_| ());
            true
        })
    }

    /// Tells how the guests are, for as long as anybody wants to know.
    #[must_use]
    pub fn roster(&self) -> Roster {
        Roster(self.board.clone())
    }
}

/// How the guests of a router are.
#[derive(Clone, Debug)]
pub struct Roster(Arc<Board>);

impl Roster {
    /// The guests, by their ids. Those that are stopping for ever are among them until they have ended.
    #[must_use]
    pub fn states(&self) -> Vec<GuestStatus> {
        let mut states = self.0.all();
        if states.iter().all(|status| status.pid.is_none()) {
            return states;
        }
        let processes = descent::all();
        for status in &mut states {
            let usage = status.pid.and_then(|pid| descent::usage(&processes, pid));
            (status.resident_bytes, status.cpu_time) = usage.unzip();
        }
        states
    }

    /// The last lines that a guest has written; none if there is no such guest.
    #[must_use]
    pub fn tail(&self, id: &str) -> Option<Arc<Tail>> {
        self.0.knows(id).then(|| self.0.tail(id))
    }

    /// Is told when something about a guest has changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changes()
    }
}
