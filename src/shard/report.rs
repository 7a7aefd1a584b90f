//! What a shard tells of itself when it is asked.

use crate::auth::Peer;
use crate::router::{Counters, Histogram};
use crate::session::{Identity, RealmIndex};
use crate::wamp::{Serializer, SessionId};
use std::sync::Arc;
use std::time::Duration;

/// How a shard is, and what happened in it since its start.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What the core has counted.
    pub core: Counters,
    /// What happened to connections.
    pub tally: Tally,
    /// Messages and octets, by the way they travel.
    pub meters: Vec<(Way, Meter)>,
    /// Connections of all kinds that the shard has now.
    pub connections: u64,
    /// Octets that wait to be written to clients.
    pub queued_bytes: u64,
    /// Clients that have more of that than the system takes at the moment.
    pub blocked: u64,
    /// Octets that wait for other shards.
    pub overflow_bytes: u64,
    /// Orders and connections that wait for the shard.
    pub orders: u64,
    /// How long its turns took: from the first thing to do to the last write.
    pub turn_time: Histogram,
    /// From PUBLISH to the last write of what its subscribers on this shard get of it.
    pub delivery_time: Histogram,
}

/// A request that waits for what its shard cannot tell alone.
#[derive(Clone, Copy, Debug)]
pub struct Inquirer {
    /// The shard.
    pub shard: u16,
    /// The connection that carries the request.
    pub key: usize,
    /// Tells it from earlier and later ones with the same key.
    pub serial: u32,
    /// Only the head of the response is wanted.
    pub head_only: bool,
    /// The connection is to be closed behind the response.
    pub close: bool,
}

/// What happened to the connections of one shard since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Accepted.
    pub accepted: u64,
    /// Ended because they did not read what was sent to them.
    pub overruns: u64,
    /// Ended because they did not finish the handshake or a request in time, or did not answer a ping.
    pub timeouts: u64,
    /// Ended because they broke the rules of the transport.
    pub faults: u64,
    /// How often a client was read more slowly because it sent too many messages.
    pub throttled: u64,
    /// Ended because there were too many from their address.
    pub crowded: u64,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// How they are serialized; none where they are no messages of WAMP.
    pub serializer: Option<Serializer>,
    /// The transport: `websocket`, `rawsocket`, `longpoll`, `bridge` for requests that become publications and calls, `inside`
    /// for the router's own process, or `http` for responses.
    pub transport: &'static str,
}

/// Messages and octets, the framing of messages to clients among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Messages from clients.
    pub messages_in: u64,
    /// Octets of these.
    pub bytes_in: u64,
    /// Messages to clients.
    pub messages_out: u64,
    /// Octets of these.
    pub bytes_out: u64,
}

/// Which sessions are asked for.
#[derive(Clone, Debug, Default)]
pub struct SessionQuery {
    /// Of this realm only.
    pub realm: Option<RealmIndex>,
    /// Only those whose id, authid, role or address has this text in it.
    pub text: Option<Box<str>>,
    /// Only those for which at least so many octets wait to be written.
    pub queued_bytes_min: usize,
    /// Behind this connection of the shard.
    pub after: Option<u32>,
    /// So many at most.
    pub limit: usize,
}

/// Some sessions of a shard.
#[derive(Clone, Debug, Default)]
pub struct SessionPage {
    /// In the order of their connections.
    pub sessions: Vec<SessionReport>,
    /// The last connection that was looked at, if there are more.
    pub next: Option<u32>,
}

/// A session as it is now.
#[derive(Clone, Debug)]
pub struct SessionReport {
    /// Its id.
    pub id: SessionId,
    /// Its realm.
    pub realm: RealmIndex,
    /// Whose it is.
    pub identity: Arc<Identity>,
    /// By which connection it has come.
    pub peer: Arc<Peer>,
    /// How its messages travel.
    pub way: Way,
    /// Octets that wait to be written to it.
    pub queued_bytes: usize,
    /// Topics and patterns that it is subscribed to.
    pub subscriptions: usize,
    /// Procedures and patterns that it has registered.
    pub registrations: usize,
    /// Its calls that are not answered.
    pub calls: usize,
    /// How long it has been there.
    pub age: Duration,
}
