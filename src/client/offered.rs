//! The registrations of a session. They are known by numbers of its own, since ids change with the connection.

use super::error::{CallError, RequestError};
use super::order::{Invoked, Wanted};
use crate::wamp::error;
use crate::wamp::id::RegistrationId;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// When a procedure that somebody else still has is tried for once more: at first, and at last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

#[derive(Debug)]
struct Offered {
    wanted: Wanted<Invoked>,
    /// When it is tried for once more.
    again: Option<Instant>,
    /// How long that was put off last.
    delay: Option<Duration>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    /// In the order in which they were asked for.
    entries: BTreeMap<u64, Offered>,
    by_id: HashMap<RegistrationId, u64>,
    /// Those that are tried for once more.
    waiting: usize,
}

impl Registrations {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn add(&mut self, number: u64, wanted: Wanted<Invoked>) {
        self.entries.insert(number, Offered { wanted, again: None, delay: None });
    }

    pub(super) fn get(&self, number: u64) -> Option<&Wanted<Invoked>> {
        self.entries.get(&number).map(|offered| &offered.wanted)
    }

    pub(super) fn by_id(&self, id: RegistrationId) -> Option<&Wanted<Invoked>> {
        self.by_id.get(&id).and_then(|number| self.get(*number))
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.entries.keys().copied().collect()
    }

    /// The router has said yes. Gives what has to be unregistered, since nobody wants it any more.
    pub(super) fn registered(&mut self, number: u64, id: RegistrationId) -> Option<RegistrationId> {
        let Some(offered) = self.entries.get_mut(&number) else { return Some(id) };
        offered.wanted.id.store(id.get(), Ordering::Release);
        self.by_id.insert(id, number);
        match offered.wanted.answer.take().is_some_and(|answer| answer.send(Ok(())).is_err()) {
            true => self.remove(number),
            false => None,
        }
    }

    /// The router has said no. A procedure that was ours is perhaps held by the session that we have lost, which the router
    /// has not noticed yet.
    pub(super) fn refused(&mut self, number: u64, error: RequestError) {
        let Some(mut offered) = self.entries.remove(&number) else { return };
        let taken = matches!(&error, RequestError::Refused(CallError { error, .. })
            if **error == *error::PROCEDURE_ALREADY_EXISTS);
        match offered.wanted.answer.take() {
            // Who does not wait any more need not know.
            Some(answer) => drop(answer.send(Err(error))),
            None if taken => {
                let delay = offered.delay.map_or(AGAIN.0, |delay| (delay * 2).min(AGAIN.1));
                tracing::debug!(procedure = %offered.wanted.uri, "somebody still has the procedure; tried again");
                (offered.again, offered.delay) = (Some(Instant::now() + delay), Some(delay));
                self.waiting += 1;
                self.entries.insert(number, offered);
            }
            None => tracing::warn!(procedure = %offered.wanted.uri, %error, "a registration does not come back"),
        }
    }

    /// When something is tried for once more.
    pub(super) fn next_try(&self) -> Option<Instant> {
        if self.waiting == 0 {
            return None;
        }
        self.entries.values().filter_map(|offered| offered.again).min()
    }

    /// What is tried for now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<u64> {
        let mut due = Vec::new();
        for (number, offered) in &mut self.entries {
            if offered.again.is_some_and(|at| at <= now) {
                offered.again = None;
                due.push(*number);
            }
        }
        self.waiting -= due.len();
        due
    }

    /// Nobody answers any more. Gives what has to be unregistered.
    pub(super) fn remove(&mut self, number: u64) -> Option<RegistrationId> {
        let offered = self.entries.remove(&number)?;
        self.waiting -= usize::from(offered.again.is_some());
        let id = RegistrationId::from_raw(offered.wanted.id.load(Ordering::Acquire));
        (self.by_id.get(&id) == Some(&number)).then(|| self.by_id.remove(&id).map(|_| id)).flatten()
    }

    /// The router has taken a registration away, for good, or since it ends.
    pub(super) fn revoked(&mut self, id: RegistrationId, router_ends: bool) {
        let Some(number) = self.by_id.remove(&id) else { return };
        match self.entries.get(&number) {
            Some(offered) if router_ends => offered.wanted.id.store(0, Ordering::Release),
            _ => drop(self.entries.remove(&number)),
        }
    }

    /// The connection is lost.
    pub(super) fn part(&mut self) {
        self.by_id.clear();
        self.waiting = 0;
        for offered in self.entries.values_mut() {
            offered.wanted.id.store(0, Ordering::Release);
            (offered.again, offered.delay) = (None, None);
        }
    }

    /// The session is over.
    pub(super) fn end(&mut self, error: &RequestError) {
        for (_, offered) in std::mem::take(&mut self.entries) {
            if let Some(answer) = offered.wanted.answer {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}
