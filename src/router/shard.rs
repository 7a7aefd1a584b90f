//! One shard: its sessions, its replica of the routing tables, and the subjects whose home it is.

use super::config::ShardConfig;
use super::effect::{ConnId, Effect, Link, ShardIndex};
use super::peer::ShardMsg;
use std::time::Duration;

/// Counters of one shard, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions now open.
    pub sessions: u64,
    /// Publications read from clients.
    pub publications: u64,
    /// Events given to connections.
    pub events: u64,
    /// Events that a receiver could not be given: too large for it, or not to be said in its serialization.
    pub events_undeliverable: u64,
    /// Calls read from clients.
    pub calls: u64,
    /// Sessions ended for breaking the protocol.
    pub violations: u64,
}

/// One shard of the router. `now` is the time since some fixed start, the same for all shards, never going back.
#[derive(Debug)]
pub struct Shard {}

impl Shard {
    /// A shard with no connections.
    #[must_use]
    pub fn new(config: ShardConfig) -> Shard {
        let _ = config;
        Shard {}
    }

    /// A connection has finished its transport's handshake; a HELLO may come.
    pub fn open(&mut self, now: Duration, conn: ConnId, link: Link) {
        let _ = (now, conn, link);
    }

    /// One serialized message has come from a connection.
    pub fn receive(&mut self, now: Duration, conn: ConnId, message: &[u8]) {
        let _ = (now, conn, message);
    }

    /// The connection broke a rule of the transport or sent what cannot be framed. If the transport can still carry a
    /// message, an ABORT with this reason is sent; then the connection is closed.
    pub fn violate(&mut self, now: Duration, conn: ConnId, reason: &str) {
        let _ = (now, conn, reason);
    }

    /// The connection is gone, for whatever reason, also after `Effect::Close`. Its number may be used again after
    /// the effects of this call have been taken.
    pub fn lost(&mut self, now: Duration, conn: ConnId) {
        let _ = (now, conn);
    }

    /// A message from another shard.
    pub fn peer(&mut self, now: Duration, from: ShardIndex, message: ShardMsg) {
        let _ = (now, from, message);
    }

    /// Sends GOODBYE `wamp.close.system_shutdown` to every session and refuses new ones. Connections without a
    /// session are closed at once, the others when their GOODBYE has come; the owner closes what takes too long.
    pub fn shutdown(&mut self, now: Duration) {
        let _ = now;
    }

    /// When [`Shard::expire`] has to be called next, if at all.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        None
    }

    /// Does what is due.
    pub fn expire(&mut self, now: Duration) {
        let _ = now;
    }

    /// The next thing to do. Call until it gives `None`, after every other call.
    pub fn poll(&mut self) -> Option<Effect> {
        None
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters::default()
    }
}
