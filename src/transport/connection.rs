//! What a shard keeps of one connection.

use super::longpoll::Side;
use super::outqueue::OutQueue;
use super::preamble::Preamble;
use super::protocol::Protocol;
use super::stream::Stream;
use super::throttle::Allowance;
use super::writing::Listed;
use crate::auth::Peer;
use crate::shard::{Ticket, Visitor};
use std::sync::Arc;
use std::task::Waker;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The transport's handshake is not finished; the core does not know the connection.
    Handshake,
    /// Requests of the long-poll transport come; the core does not know the connection.
    Requests,
    /// Messages go to and from the core.
    Open,
    /// The last frame is queued. What still comes is thrown away.
    Closing,
    /// The socket is closed; the connection's task has yet to see it.
    Gone,
}

/// Why a connection is not read for now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pauses {
    /// An earlier request has to be answered.
    pub(super) response: bool,
    /// Too much waits for an authorizer.
    pub(super) gate: bool,
    /// More messages have come than may.
    pub(super) rate: bool,
}

/// One connection. Its key in the slab is its `ConnId`.
#[derive(Debug)]
pub(super) struct Connection {
    /// Who is at the other end.
    pub(super) peer: Arc<Peer>,
    /// The socket, until the connection is gone. A transport that is polled for has none.
    pub(super) stream: Option<Stream>,
    /// What has to come before the handshake.
    pub(super) preamble: Option<Preamble>,
    /// What octets from the peer mean; taken out while they are read.
    pub(super) protocol: Option<Protocol>,
    /// What waits to be written.
    pub(super) out: OutQueue,
    /// Wakes the connection's task; also given to the socket by writes, so that the task learns of room.
    pub(super) task: Option<Waker>,
    /// Its part in long-polling, if it has one.
    pub(super) longpoll: Option<Box<Side>>,
    /// How far it has come.
    pub(super) phase: Phase,
    /// Tells this connection from earlier and later ones with the same key.
    pub(super) serial: u32,
    /// The core knows the connection and has not been told that it is lost.
    pub(super) known: bool,
    /// The peer expects a close frame.
    pub(super) websocket: bool,
    /// On which list of queues to write it is.
    pub(super) listed: Listed,
    /// A write found no room; the task tries again when it is woken.
    pub(super) blocked: bool,
    /// On the list of connections that are not read for now.
    pub(super) held: bool,
    /// Why it is not read for now.
    pub(super) pauses: Pauses,
    /// Something has come since it was last looked whether it is silent.
    pub(super) heard: bool,
    /// The messages that it may send, if there is a limit.
    pub(super) allowance: Option<Box<Allowance>>,
    /// Which meter counts its messages.
    pub(super) meter: u8,
    /// Counts it. Gone with it.
    pub(super) ticket: Option<Ticket>,
    /// The peer sends no more.
    pub(super) ended: bool,
    /// Something was written since the closing deadline was last looked at.
    pub(super) progress: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream, protocol: Protocol, visitor: Visitor, serial: u32) -> Connection {
        let Visitor { peer, ticket } = visitor;
        let ticket = Some(ticket);
        Connection { stream: Some(stream), protocol: Some(protocol), ticket, ..Connection::empty(peer, serial) }
    }

    /// A session of this process, which is not counted.
    pub(super) fn inside(stream: Stream, protocol: Protocol, peer: Arc<Peer>, serial: u32) -> Connection {
        Connection { stream: Some(stream), protocol: Some(protocol), ..Connection::empty(peer, serial) }
    }

    /// True if it is not read for now.
    pub(super) fn is_paused(&self) -> bool {
        let Pauses { response, gate, rate } = self.pauses;
        response || gate || rate
    }

    /// What the core knows as a connection though it has no socket.
    pub(super) fn without_socket(side: Side, peer: Arc<Peer>, serial: u32) -> Connection {
        Connection { longpoll: Some(Box::new(side)), ..Connection::empty(peer, serial) }
    }

    fn empty(peer: Arc<Peer>, serial: u32) -> Connection {
        Connection {
            peer,
            stream: None,
            preamble: None,
            protocol: None,
            out: OutQueue::default(),
            task: None,
            longpoll: None,
            phase: Phase::Handshake,
            serial,
            known: false,
            websocket: false,
            listed: Listed::No,
            blocked: false,
            held: false,
            pauses: Pauses::default(),
            heard: false,
            allowance: None,
            meter: 0,
            ticket: None,
            ended: false,
            progress: false,
        }
    }
}
