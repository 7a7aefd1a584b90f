//! What a shard wants its owner to do.

use super::index::ShardIndex;
use super::peer::ShardMsg;
use super::record::Record;
use super::trace::Span;
use crate::auth::config::{Callout, CraSalt, Secret};
use crate::auth::peer::Known;
use crate::wamp::Serializer;
use crate::wire::frame::{Frame, Framing};
use std::time::Duration;

/// A connection of a shard. Its owner chooses the numbers, small and dense, and uses one again only after it has
/// called `Shard::lost` for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u32);

/// What the core has to know of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// How the peer's messages are serialized, in both directions.
    pub serializer: Serializer,
    /// How messages to the peer are framed.
    pub framing: Framing,
    /// The largest serialized message that the peer takes, in octets, without framing (RawSocket announces one).
    pub message_max: usize,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The session was closed in order by GOODBYE, or never opened: WebSocket close code 1000.
    Normal,
    /// The router shuts down: WebSocket close code 1001.
    Shutdown,
    /// The session was refused by ABORT: WebSocket close code 1000.
    Refused,
    /// The peer broke the protocol: WebSocket close code 1002.
    Violation,
}

/// What has come of work outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The application has answered: JSON.
    Answer(Vec<u8>),
    /// A key has been derived.
    Derived(Secret),
    /// The client may not come in.
    Denied,
    /// It could not be asked, or does not know.
    Failed,
}

/// What takes too long for a shard.
#[derive(Debug)]
pub enum Work {
    /// To ask an application who a client is, with this JSON.
    Ask(Callout, Vec<u8>),
    /// To derive the key of a user of `wampcra`.
    Derive(Secret, CraSalt),
}

/// Work to be done outside, for a client that wants to come in.
#[derive(Debug)]
pub struct CallOut {
    /// The connection.
    pub conn: ConnId,
    /// Tells this use of its number from others.
    pub round: u32,
    /// The work.
    pub work: Work,
    /// How long it may take.
    pub timeout: Duration,
}

/// Something to do, in the order in which a shard gives them.
#[derive(Debug)]
pub enum Effect {
    /// Write a frame to a connection.
    Send {
        /// The connection.
        conn: ConnId,
        /// The frame.
        frame: Frame,
    },
    /// Write a frame to several connections, each named once.
    Fan {
        /// The connections. `Shard::reuse` takes the list back.
        conns: Vec<ConnId>,
        /// The frame.
        frame: Frame,
        /// When what it tells of was published, since the start of time.
        since: Duration,
    },
    /// Write what is queued for a connection, then close it. Input that still comes from it is ignored by the core.
    Close {
        /// The connection.
        conn: ConnId,
        /// Why.
        ending: Ending,
    },
    /// Somebody has logged in whose browser has a cookie: remember who it is.
    Remember {
        /// The connection.
        conn: ConnId,
        /// Who it is.
        known: Box<Known>,
    },
    /// Forget who the browser of a connection belongs to.
    Forget {
        /// The connection.
        conn: ConnId,
    },
    /// Do this outside, and call `Shard::called_out` with what comes of it.
    CallOut(Box<CallOut>),
    /// Read no more from a connection, as far as that can be had at once.
    Hold {
        /// The connection.
        conn: ConnId,
    },
    /// Read from a connection again.
    Resume {
        /// The connection.
        conn: ConnId,
    },
    /// Hand a message to another shard, after all earlier ones to it and on the same queue.
    Peer {
        /// The receiving shard; never the one that gives the effect.
        to: ShardIndex,
        /// The message.
        message: ShardMsg,
    },
    /// Write an event down, after all earlier ones, and call `Shard::recorded` when that is done.
    Record(Box<Record>),
    /// A call or publication is over that was traced: what there is to tell of it.
    Span(Box<Span>),
}
