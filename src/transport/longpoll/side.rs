//! What a shard keeps of the two kinds of connections that long-polling has.

use super::alarms::{Alarms, Entry};
use super::reply::ReplyTo;
use crate::config::listener::TransportIndex;
use crate::transport::bridge::Bridge;
use crate::transport::events::EventStream;
use crate::transport::exchange::Wait;
use crate::wamp::Serializer;
use crate::web::Rest;
use crate::wire::longpoll::TransportId;
use std::collections::HashMap;
use std::time::Duration;

/// All long-polling of one shard.
#[derive(Debug, Default)]
pub(in crate::transport) struct LongPoll {
    /// The transports that requests can find, by id.
    pub(super) transports: HashMap<TransportId, usize>,
    /// The sessions for requests that become publications and calls, by their ways in.
    pub(in crate::transport) bridges: HashMap<TransportIndex, usize>,
    /// What streams of events have to say to the router at the end of the turn.
    pub(in crate::transport) telling: Vec<(Entry, String)>,
    /// Transports that are gone. Their keys are free at the end of the turn, when the core knows.
    pub(super) retired: Vec<usize>,
    /// When a socket or transport has waited long enough.
    pub(super) alarms: Alarms,
}

impl LongPoll {
    /// When the next alarm falls due.
    pub(in crate::transport) fn next_due(&self) -> Option<Duration> {
        self.alarms.next()
    }
}

/// The part that a connection has in long-polling.
#[derive(Debug)]
pub(in crate::transport) enum Side {
    /// It carries requests.
    Socket(Socket),
    /// It is what requests act on.
    Transport(Transport),
    /// It is the session of requests that become publications and calls.
    Bridge(Box<Bridge>),
    /// It is the session of a stream of events.
    Stream(Box<EventStream>),
}

/// A socket that carries requests.
#[derive(Debug, Default)]
pub(in crate::transport) struct Socket {
    pub(super) alarm: Option<Duration>,
    /// What the alarm was set for.
    pub(super) wait: Wait,
    /// The transport that waits here for messages, or whose messages are being written.
    pub(super) serves: Option<Entry>,
    /// The response to the present request is in the out-queue, complete.
    pub(super) answered: bool,
    /// Others know that an answer to the present request is waited for, and give it whatever comes.
    pub(super) asked: bool,
    /// Long-polling has been asked for.
    pub(super) polls: bool,
    /// A piece of a file is being read for the present request.
    pub(in crate::transport) reading: bool,
    /// What comes of the file when what is in the out-queue has been written.
    pub(in crate::transport) rest: Option<Rest>,
    /// The connection ends with the file.
    pub(in crate::transport) close: bool,
    /// The session whose events the response is made of.
    pub(in crate::transport) stream: Option<Entry>,
    /// The present request, if it is to be logged.
    pub(in crate::transport) line: Option<String>,
}

/// A transport.
#[derive(Debug)]
pub(in crate::transport) struct Transport {
    pub(super) alarm: Option<Duration>,
    pub(super) id: TransportId,
    pub(super) serializer: Serializer,
    pub(super) batched: bool,
    /// The request that waits for messages.
    pub(super) receiver: Option<Receiver>,
    /// The core has ended the session because the client broke the protocol.
    pub(super) violated: bool,
}

/// A `receive` that waits.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) socket: Entry,
    pub(super) reply: ReplyTo,
}

impl Side {
    pub(super) fn alarm(&mut self) -> &mut Option<Duration> {
        match self {
            Side::Socket(socket) => &mut socket.alarm,
            Side::Transport(transport) => &mut transport.alarm,
            Side::Bridge(bridge) => &mut bridge.alarm,
            Side::Stream(stream) => &mut stream.alarm,
        }
    }

    /// The socket, if it is one.
    pub(in crate::transport) fn socket(&mut self) -> Option<&mut Socket> {
        match self {
            Side::Socket(socket) => Some(socket),
            Side::Transport(_) | Side::Bridge(_) | Side::Stream(_) => None,
        }
    }

    /// Has a `receive` that waits, or says that none can: it is a socket.
    pub(in crate::transport) fn transport(&mut self) -> Option<&mut Transport> {
        match self {
            Side::Socket(_) | Side::Bridge(_) | Side::Stream(_) => None,
            Side::Transport(transport) => Some(transport),
        }
    }
}

impl Transport {
    /// The core has closed the connection; was it for a violation?
    pub(in crate::transport) fn closed_for(&mut self, violation: bool) {
        self.violated = violation;
    }
}
