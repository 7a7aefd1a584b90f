//! Taking leave of every session before the router ends: spread over a time, callees last, and each when what it has
//! asked for is answered and what it was asked for is done.

use super::access::Power;
use super::effect::{ConnId, Ending};
use super::frames::Class;
use super::lifecycle::{Silence, State};
use super::session::Session;
use super::shard::Shard;
use crate::session::options::Refused;
use crate::wamp::message::Goodbye;
use crate::wamp::{Dict, Message, SessionId, error};
use std::collections::VecDeque;
use std::time::Duration;

/// How often it is looked whether sessions have nothing open any longer.
const LOOK: Duration = Duration::from_millis(10);

/// How the router takes leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Sessions get their GOODBYE within this time, those with registrations at its end.
    pub spread: Duration,
    /// How long a session may take after that to finish its calls and what it is called for.
    pub calls_timeout: Duration,
    /// Each client is told to come back after a time of its own, of so much at most.
    pub retry_spread: Duration,
}

/// Sessions that are still there.
#[derive(Debug)]
pub(super) struct Draining {
    /// Whose time comes later.
    waiting: VecDeque<(Duration, SessionId)>,
    /// Whose time has come, and that have something open.
    retiring: Vec<SessionId>,
    /// When the last one goes, whatever it has open.
    until: Duration,
    retry_spread: Duration,
    look_at: Duration,
}

impl Session {
    /// True if nobody waits for it, and it for nobody.
    fn is_idle(&self) -> bool {
        let done = self
            .rpc
            .as_deref()
            .is_none_or(|rpc| rpc.procedures.is_empty() && rpc.invocations.is_empty() && rpc.calls.is_empty());
        let nothing_waits = !matches!(&self.power, Power::Asked(gate) if !gate.is_empty());
        done && nothing_waits && self.open.is_empty() && self.lane.is_empty()
    }

    fn is_callee(&self) -> bool {
        self.rpc.as_deref().is_some_and(|rpc| !rpc.procedures.is_empty())
    }
}

impl Shard {
    /// Begins to take leave of all sessions; new ones are refused. [`Shard::is_drained`] tells when the last has got
    /// its GOODBYE.
    pub fn drain(&mut self, now: Duration, drain: Drain) {
        self.now = now;
        let mut sessions: Vec<(SessionId, ConnId)> = self.sessions.iter().map(|(id, conn)| (*id, *conn)).collect();
        sessions.sort_unstable();
        let spread = u64::try_from(drain.spread.as_micros()).unwrap_or(u64::MAX);
        let mut waiting = Vec::with_capacity(sessions.len());
        for (id, conn) in sessions {
            let last = self.session_at(conn).is_some_and(|session| session.is_callee());
            let after = if last { drain.spread } else { Duration::from_micros(self.random.u64(0..=spread)) };
            waiting.push((now + after, last, id));
        }
        waiting.sort_unstable();
        self.draining = Some(Box::new(Draining {
            waiting: waiting.into_iter().map(|(at, _, id)| (at, id)).collect(),
            retiring: Vec::new(),
            until: now + drain.spread + drain.calls_timeout,
            retry_spread: drain.retry_spread,
            look_at: now,
        }));
        self.go_on_draining();
        self.settle();
    }

    /// True if no session is left that has not got its GOODBYE.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.draining.as_ref().is_some_and(|draining| draining.waiting.is_empty() && draining.retiring.is_empty())
    }

    /// When it has to be looked after sessions that are still there.
    pub(super) fn next_leave(&self) -> Option<Duration> {
        let draining = self.draining.as_deref()?;
        let look = (!draining.retiring.is_empty()).then_some(draining.look_at);
        let next = draining.waiting.front().map(|(at, _)| *at);
        [look, next].into_iter().flatten().min()
    }

    /// Takes leave of those whose time has come and who have nothing open, or of all if it is too late to wait.
    pub(super) fn go_on_draining(&mut self) {
        let Some(mut draining) = self.draining.take() else { return };
        let late = self.now >= draining.until;
        while draining.waiting.front().is_some_and(|(at, _)| *at <= self.now || late) {
            let Some((_, id)) = draining.waiting.pop_front() else { break };
            self.retire(id);
            draining.retiring.push(id);
        }
        let there = |shard: &mut Shard, id: SessionId| {
            let idle = shard.session(id).map(|session| session.is_idle());
            match idle {
                None => false,
                Some(idle) if idle || late => {
                    shard.take_leave(id, draining.retry_spread);
                    false
                }
                Some(_) => true,
            }
        };
        draining.retiring.retain(|id| there(self, *id));
        draining.look_at = self.now + LOOK;
        self.draining = Some(draining);
    }

    /// From now on a session calls nobody, and is called by nobody.
    fn retire(&mut self, id: SessionId) {
        let Some(session) = self.session(id) else { return };
        session.retiring = true;
        let conn = session.conn;
        self.withdraw(conn);
    }

    fn take_leave(&mut self, id: SessionId, retry_spread: Duration) {
        let Some(conn) = self.session(id).map(|session| session.conn) else { return };
        let Some(class) = self.leave(conn, Silence::Broken) else { return };
        let details = self.farewell(retry_spread);
        let goodbye = Goodbye { details, reason: error::SYSTEM_SHUTDOWN.into() };
        let _ = self.send(conn, class, &Message::Goodbye(goodbye));
        self.await_goodbye(conn, class, Ending::Shutdown);
    }

    /// The answer to what a session may not begin any longer.
    pub(super) fn shuts_down() -> Refused {
        (error::UNAVAILABLE, "the router shuts down".into())
    }

    /// The details of the last GOODBYE, or of the ABORT of who comes too late: when to come back.
    fn farewell(&mut self, retry_spread: Duration) -> Dict {
        let most = u64::try_from(retry_spread.as_millis()).unwrap_or(u64::MAX);
        let after = self.random.u64(0..=most);
        Dict::new().with("message", "the router shuts down").with("_retry_after_ms", after)
    }

    /// Refuses who wants to open a session now; true if that was so.
    pub(super) fn refuses_for_draining(&mut self, conn: ConnId) -> bool {
        let State::Fresh(class) = self.conns[conn.0 as usize].state else { return false };
        self.refuses_to_admit(conn, class)
    }

    /// Likewise who has been about to show who it is since before.
    pub(super) fn refuses_to_admit(&mut self, conn: ConnId, class: Class) -> bool {
        let Some(retry_spread) = self.draining.as_ref().map(|draining| draining.retry_spread) else { return false };
        let details = self.farewell(retry_spread);
        self.abort_with(conn, class, error::SYSTEM_SHUTDOWN, details);
        self.end(conn, Ending::Shutdown);
        true
    }
}
