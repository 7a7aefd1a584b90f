//! What the operator of a router sees of a session, and can do to it.

use super::effect::ConnId;
use super::lifecycle::{Silence, State};
use super::shard::Shard;
use crate::session::{Identity, RealmIndex};
use crate::wamp::{SessionId, Uri};
use std::sync::Arc;
use std::time::Duration;

/// A session as it is now.
#[derive(Clone, Copy, Debug)]
pub struct SessionView<'a> {
    /// Its id.
    pub id: SessionId,
    /// Its realm.
    pub realm: RealmIndex,
    /// Whose it is.
    pub identity: &'a Arc<Identity>,
    /// Topics and patterns that it is subscribed to, or is about to be.
    pub subscriptions: usize,
    /// Procedures and patterns that it has registered.
    pub registrations: usize,
    /// Its calls that are not answered.
    pub calls: usize,
    /// When it was opened, since the start of time.
    pub since: Duration,
}

impl Shard {
    /// The session of a connection, if it has one.
    #[must_use]
    pub fn session_view(&self, conn: ConnId) -> Option<SessionView<'_>> {
        let State::Open(session) = &self.conns.get(conn.0 as usize)?.state else { return None };
        let rpc = session.rpc.as_deref();
        Some(SessionView {
            id: session.id,
            realm: session.realm,
            identity: &session.identity,
            subscriptions: session.subscriptions.len(),
            registrations: rpc.map_or(0, |rpc| rpc.registrations.len()),
            calls: rpc.map_or(0, |rpc| rpc.calls.len()),
            since: session.since,
        })
    }

    /// Ends a session with GOODBYE for this reason; false if this shard has none with this id.
    pub fn kick(&mut self, now: Duration, id: SessionId, reason: Uri, message: Option<&str>) -> bool {
        self.now = now;
        let conn = self.sessions.get(&id).copied();
        if let Some(conn) = conn {
            self.kill(conn, reason, message, Silence::Broken);
            self.settle();
        }
        conn.is_some()
    }
}
