//! Calls that the router itself makes, of authenticators for example.
//!
//! Each shard has a steward in each realm that needs one: a session that has no client and that no meta procedure
//! lists. It calls in the way that clients do, with everything that belongs to it (timeouts, patterns, shared
//! registrations, callees that leave). What would be written to it is given to whoever wanted the call.

use super::access::{Asking, Power};
use super::call::Wanted;
use super::effect::{ConnId, Link};
use super::map::{Hashing, Map};
use super::meta::reading::Reading;
use super::session::Session;
use super::shard::Shard;
use crate::session::features::ClientFeatures;
use crate::session::options::CallOptions;
use crate::session::{Identity, RealmIndex};
use crate::wamp::{Dict, Message, Payload, RequestId, Serializer, SessionId, Uri, Value, codec, error};
use crate::wire::frame::Framing;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The first number of a steward's connection; the connections of clients are numbered from 0.
const FIRST_STEWARD: u32 = 1 << 31;

/// What the router wanted to know.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Who the client of a connection is.
    Authenticate {
        /// The connection.
        conn: ConnId,
        /// Tells this use of its number from others.
        round: u32,
    },
    /// What a session may do.
    Authorize(Asking),
    /// Whether a session may read the events of a subscription whose home this shard is.
    Read(Box<Reading>),
}

/// What came of a call: the arguments of its result, or the URI of an error and a text for people.
pub(super) type ErrandResult = Result<(Vec<Value>, Dict), (Uri, String)>;

/// The calls of this shard's stewards.
#[derive(Debug)]
pub(super) struct Errands {
    /// By realm.
    stewards: Vec<Option<Box<Session>>>,
    last: RequestId,
    open: Map<RequestId, Purpose>,
    done: VecDeque<(Purpose, ErrandResult)>,
}

impl Errands {
    pub(super) fn new(realms: usize, hashing: &Hashing) -> Errands {
        Errands {
            stewards: (0..realms).map(|_| None).collect(),
            last: RequestId::default(),
            open: hashing.map(),
            done: VecDeque::new(),
        }
    }

    /// Makes room for so many realms.
    pub(super) fn grow(&mut self, realms: usize) {
        self.stewards.resize_with(realms, || None);
    }

    /// True if this is no connection of a client.
    pub(super) fn is_steward(conn: ConnId) -> bool {
        conn.0 >= FIRST_STEWARD
    }

    /// The steward with this connection.
    pub(super) fn session(&mut self, conn: ConnId) -> Option<&mut Session> {
        let at = conn.0.checked_sub(FIRST_STEWARD)?;
        self.stewards.get_mut(at as usize)?.as_deref_mut()
    }

    /// The connection of the steward with this id.
    pub(super) fn conn_of(&self, id: SessionId) -> Option<ConnId> {
        self.stewards.iter().flatten().find(|steward| steward.id == id).map(|steward| steward.conn)
    }

    /// Takes what would be written to a steward: the answer to one of its calls.
    pub(super) fn take(&mut self, message: &Message) {
        let (request, answer) = match message {
            Message::Result(result) => {
                let values = result.payload.values();
                (result.request, values.map_err(|why| (error::INVALID_PAYLOAD.into(), why.to_string())))
            }
            Message::Error(error) => {
                let first = |(args, _): (Vec<Value>, Dict)| args.first()?.as_str().map(str::to_owned);
                let said = error.details.str("message").ok().flatten().map(str::to_owned);
                let text = said.or_else(|| error.payload.values().ok().and_then(first));
                (error.request, Err((error.error.clone(), text.unwrap_or_default())))
            }
            _ => return,
        };
        if let Some(purpose) = self.open.remove(&request) {
            self.done.push_back((purpose, answer));
        }
    }

    #[cfg(any(test, feature = "sim"))]
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.done.is_empty()
    }
}

impl Shard {
    /// Calls a procedure for the router. The answer comes by [`Shard::errand_done`], always later and always once.
    pub(super) fn errand(
        &mut self,
        realm: RealmIndex,
        procedure: &Uri,
        arguments: Vec<Value>,
        timeout: Duration,
        purpose: Purpose,
    ) {
        let conn = self.steward(realm);
        self.errands.last = self.errands.last.next();
        let request = self.errands.last;
        let payload = match codec::payload(Serializer::MsgPack, arguments, Dict::new()) {
            Ok(raw) => Payload::new(raw),
            Err(why) => {
                let refused = (error::INVALID_PAYLOAD.into(), why.to_string());
                return self.errands.done.push_back((purpose, Err(refused)));
            }
        };
        let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        let wanted = Wanted::new(procedure.clone(), Some(Box::new(CallOptions { timeout, ..CallOptions::default() })));
        self.errands.open.insert(request, purpose);
        if let Err((uri, text)) = self.first_call(conn, request, wanted, payload, &mut None)
            && let Some(purpose) = self.errands.open.remove(&request)
        {
            self.errands.done.push_back((purpose, Err((uri.into(), text))));
        }
    }

    /// The next answer that has come.
    pub(super) fn next_errand(&mut self) -> Option<(Purpose, ErrandResult)> {
        self.errands.done.pop_front()
    }

    /// Goes on with what an errand was for.
    pub(super) fn errand_done(&mut self, purpose: Purpose, answer: ErrandResult) {
        match purpose {
            Purpose::Authenticate { conn, round } => self.authenticator_answered(conn, round, &answer),
            Purpose::Authorize(asking) => self.authorizer_answered(asking, &answer),
            Purpose::Read(reading) => self.may_read(&reading, &answer),
        }
    }

    /// The connection of a realm's steward, made when it is needed for the first time.
    fn steward(&mut self, realm: RealmIndex) -> ConnId {
        let conn = ConnId(FIRST_STEWARD + u32::from(realm));
        if self.errands.stewards[usize::from(realm)].is_none() {
            let framing = Framing::Bare;
            let link = Link { serializer: Serializer::MsgPack, framing, message_max: usize::MAX };
            let class = self.frames.class(link);
            let identity = Identity {
                authrole: "router".into(),
                authmethod: "internal".into(),
                authprovider: "internal".into(),
                ..Identity::anonymous("router")
            };
            let id = self.new_session_id();
            let features = ClientFeatures::default();
            // The router may do everything.
            let who = (Arc::new(identity), Power::All);
            let session = Session::new(id, realm, (conn, class), features, who, &self.hashing);
            self.errands.stewards[usize::from(realm)] = Some(Box::new(session));
        }
        conn
    }
}
