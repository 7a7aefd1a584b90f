//! How the links of a node are, and what they have carried.

use crate::config::LinkName;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What a link has done in one direction, since the node has it.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) events: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) calls: AtomicU64,
}

/// One more.
pub(super) fn count(number: &AtomicU64) {
    number.fetch_add(1, Ordering::Relaxed);
}

/// What a link has carried in one direction, since the node has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Events that were published on the other side.
    pub events: u64,
    /// Events that were lost since too many waited.
    pub events_lost: u64,
    /// Events that the other router has refused.
    pub events_refused: u64,
    /// Calls that were made on the other side.
    pub calls: u64,
}

impl Counts {
    fn read(&self) -> Carried {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Carried {
            events: read(&self.events),
            events_lost: read(&self.lost),
            events_refused: read(&self.refused),
            calls: read(&self.calls),
        }
    }
}

/// How a link is.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkStatus {
    /// Which one.
    pub name: LinkName,
    /// Where it leads to.
    pub url: String,
    /// The realm there.
    pub remote_realm: String,
    /// It is connected.
    pub up: bool,
    /// Since when it is, or is not.
    pub since: SystemTime,
    /// Why it is not, for a person; empty while it is, or has not been tried for.
    pub why: String,
    /// From here to there.
    pub sent: Carried,
    /// From there to here.
    pub received: Carried,
}

/// What is shared by a link and those who look at it.
#[derive(Debug)]
pub(super) struct Standing {
    name: LinkName,
    url: String,
    remote_realm: String,
    /// A word by which it knows its own sessions.
    pub(super) word: Box<str>,
    state: Mutex<(bool, SystemTime, String)>,
    /// From here, and from there.
    pub(super) counts: [Arc<Counts>; 2],
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Standing {
    pub(super) fn new(name: LinkName, url: String, remote_realm: String) -> Standing {
        let state = Mutex::new((false, SystemTime::now(), String::new()));
        // Nobody is kept out by it.
        let word = format!("{:016x}", fastrand::u64(..)).into();
        Standing { name, url, remote_realm, word, state, counts: Default::default() }
    }

    /// It is connected.
    pub(super) fn up(&self) {
        *open(&self.state) = (true, SystemTime::now(), String::new());
        tracing::info!(link = %self.name, router = self.url, realm = self.remote_realm, "a link is up");
    }

    /// It is not, for this reason.
    pub(super) fn down(&self, why: String) {
        let mut state = open(&self.state);
        let (up, since, before) = &mut *state;
        let news = *up || *before != why;
        if *up {
            *since = SystemTime::now();
        }
        if news {
            tracing::warn!(link = %self.name, router = self.url, why, "a link is down");
        }
        (*up, *before) = (false, why);
    }

    fn read(&self) -> LinkStatus {
        let (up, since, why) = open(&self.state).clone();
        LinkStatus {
            name: self.name.clone(),
            url: self.url.clone(),
            remote_realm: self.remote_realm.clone(),
            up,
            since,
            why,
            sent: self.counts[0].read(),
            received: self.counts[1].read(),
        }
    }
}

/// The links of a node, for those who want to know how they are. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<Mutex<BTreeMap<LinkName, Arc<Standing>>>>);

impl Directory {
    /// How each link is, by realm and name.
    #[must_use]
    pub fn links(&self) -> Vec<LinkStatus> {
        open(&self.0).values().map(|standing| standing.read()).collect()
    }

    pub(super) fn add(&self, name: LinkName, standing: Arc<Standing>) {
        open(&self.0).insert(name, standing);
    }

    pub(super) fn remove(&self, name: &LinkName) {
        open(&self.0).remove(name);
    }
}
