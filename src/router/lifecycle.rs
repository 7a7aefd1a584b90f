//! Connections and the life of their sessions: HELLO to GOODBYE (specification, "Sessions").

use super::effect::{ConnId, Ending};
use super::frames::Class;
use super::peer::{Ask, ShardMsg};
use super::session::{Arrival, Lane, Session, Subscription};
use super::shard::Shard;
use super::subject::{self, Subject};
use crate::session::{Admission, RequestIds, features};
use crate::wamp::error;
use crate::wamp::message::{Abort, Goodbye, Hello, Welcome};
use crate::wamp::{Dict, MatchPolicy, Message, Payload, RequestId, SessionId};
use std::collections::BTreeMap;
use std::time::Duration;

/// A connection as its shard keeps it.
#[derive(Debug, Default)]
pub(super) struct Conn {
    state: State,
    /// Tells one use of the connection's number, and one wait for HELLO, from the next.
    round: u32,
    /// A session has ended here by GOODBYE.
    served: bool,
}

#[derive(Debug, Default)]
enum State {
    /// The number is not in use.
    #[default]
    Free,
    /// HELLO has to come.
    Fresh(Class),
    /// A session is open.
    Open(Box<Session>),
    /// The router has said GOODBYE and waits for the answer; everything else is ignored.
    Leaving(Class),
    /// The connection is being closed; everything is ignored.
    Closing,
}

impl Conn {
    pub(super) fn session(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Open(session) => Some(session),
            _ => None,
        }
    }
}

impl Shard {
    pub(super) fn connect(&mut self, now: Duration, conn: ConnId, class: Class) {
        let at = conn.0 as usize;
        if self.conns.len() <= at {
            self.conns.resize_with(at + 1, Conn::default);
        }
        debug_assert!(matches!(self.conns[at].state, State::Free), "a connection's number is in use");
        if self.shutting_down {
            self.conns[at].state = State::Closing;
            self.close(conn, Ending::Shutdown);
        } else {
            self.await_hello(now, conn, class);
        }
    }

    fn await_hello(&mut self, now: Duration, conn: ConnId, class: Class) {
        let entry = &mut self.conns[conn.0 as usize];
        entry.round = entry.round.wrapping_add(1);
        entry.state = State::Fresh(class);
        self.hello_deadlines.push_back((now + self.config.limits.hello_timeout, conn, entry.round));
    }

    /// When [`Shard::expire`] has to be called next, if at all.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.hello_deadlines.front().map(|(deadline, ..)| *deadline)
    }

    /// Does what is due: ends connections whose HELLO has not come in time.
    pub fn expire(&mut self, now: Duration) {
        while let Some((deadline, conn, round)) = self.hello_deadlines.front().copied() {
            if deadline > now {
                break;
            }
            self.hello_deadlines.pop_front();
            let entry = &self.conns[conn.0 as usize];
            if entry.round != round || !matches!(entry.state, State::Fresh(_)) {
                continue;
            }
            if entry.served {
                self.end(conn, Ending::Normal);
            } else {
                self.violation(conn, "no HELLO has come in time");
            }
        }
    }

    /// The class of a connection whose messages count.
    pub(super) fn listening(&self, conn: ConnId) -> Option<Class> {
        match &self.conns.get(conn.0 as usize)?.state {
            State::Fresh(class) | State::Leaving(class) => Some(*class),
            State::Open(session) => Some(session.class),
            State::Free | State::Closing => None,
        }
    }

    pub(super) fn session_at(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.conns.get_mut(conn.0 as usize)?.session()
    }

    /// Routes a message of a client to what handles it.
    pub(super) fn dispatch(&mut self, now: Duration, conn: ConnId, message: Message) {
        match (&self.conns[conn.0 as usize].state, message) {
            (State::Fresh(class), Message::Hello(hello)) => self.hello(conn, *class, &hello),
            (State::Fresh(_), Message::Abort(_)) => self.end(conn, Ending::Normal),
            (State::Fresh(_), other) => {
                let name = other.message_type().name();
                self.violation(conn, &format!("{name} came before a session was established"));
            }
            (State::Open(_), message) => self.dispatch_open(now, conn, message),
            (State::Leaving(_), Message::Goodbye(_) | Message::Abort(_)) => self.end(conn, Ending::Shutdown),
            (State::Leaving(_) | State::Closing | State::Free, _) => {}
        }
    }

    fn dispatch_open(&mut self, now: Duration, conn: ConnId, message: Message) {
        match message {
            Message::Goodbye(_) => self.goodbye(now, conn),
            Message::Abort(_) => self.end(conn, Ending::Normal),
            Message::Publish(publish) => self.publish(conn, publish),
            Message::Subscribe(subscribe) => self.subscribe(conn, subscribe),
            Message::Unsubscribe(unsubscribe) => self.unsubscribe(conn, &unsubscribe),
            Message::Call(call) => self.call(conn, call),
            Message::Cancel(cancel) => self.cancel(conn, &cancel),
            Message::Register(register) => self.register(conn, register),
            Message::Unregister(unregister) => self.unregister(conn, &unregister),
            Message::Yield(result) => self.yielded(conn, result),
            Message::Error(error) => self.invocation_error(conn, error),
            // Nothing that is announced asks for it; a client that sends it does no harm.
            Message::EventReceived(_) => {}
            other => {
                let name = other.message_type().name();
                self.violation(conn, &format!("{name} must not be sent to a router after a session was established"));
            }
        }
    }

    fn hello(&mut self, conn: ConnId, class: Class, hello: &Hello) {
        let admission = match Admission::decide(hello, &self.config.realms) {
            Ok(admission) => admission,
            Err(refusal) if refusal.reason == error::PROTOCOL_VIOLATION => {
                return self.violation(conn, &refusal.message);
            }
            Err(refusal) => {
                self.abort(conn, class, refusal.reason, &refusal.message);
                return self.end(conn, Ending::Refused);
            }
        };
        let id = self.new_session_id();
        let authid = data_encoding::BASE32_NOPAD.encode(&self.random.u64(..).to_be_bytes());
        let details = Dict::new()
            .with("roles", features::router_roles())
            .with("realm", &*hello.realm)
            .with("authid", &*authid)
            .with("authrole", "anonymous")
            .with("authmethod", "anonymous")
            .with("authprovider", "static")
            .with("agent", &*self.config.agent);
        let session = Session {
            id,
            realm: admission.realm,
            conn,
            class,
            features: admission.features,
            requests: RequestIds::default(),
            subscriptions: self.hashing.map(),
            open: self.hashing.map(),
            rpc: None,
            lane: Lane::new(),
        };
        self.conns[conn.0 as usize].state = State::Open(Box::new(session));
        self.sessions.insert(id, conn);
        let welcome = Message::Welcome(Welcome { session: id, details });
        if self.send(conn, class, &welcome).is_err() {
            // The peer takes messages of so few octets that not even this one fits.
            self.end(conn, Ending::Refused);
        }
    }

    /// Random and, since no two shards draw ids with the same remainder, unique in the router.
    fn new_session_id(&mut self) -> SessionId {
        let (index, shards) = (u64::from(self.config.index), u64::from(self.config.shards));
        loop {
            let random = self.random_id();
            let id = random - random % shards + index;
            let id = SessionId::new(id).filter(|id| !self.sessions.contains_key(id));
            if let Some(id) = id {
                return id;
            }
        }
    }

    fn goodbye(&mut self, now: Duration, conn: ConnId) {
        let Some(session) = self.leave(conn) else { return };
        let class = session.class;
        let reply = Goodbye { details: Dict::new(), reason: error::GOODBYE_AND_OUT.into() };
        let _ = self.send(conn, class, &Message::Goodbye(reply));
        // The transport may be used for another session.
        self.await_hello(now, conn, class);
        self.conns[conn.0 as usize].served = true;
    }

    pub(super) fn say_goodbye_to_all(&mut self) {
        self.shutting_down = true;
        for at in 0..self.conns.len() {
            let conn = ConnId(u32::try_from(at).expect("connections are numbered by u32"));
            match self.conns[at].state {
                State::Open(_) => {
                    let Some(session) = self.leave(conn) else { continue };
                    let details = Dict::new().with("message", "the router shuts down");
                    let goodbye = Goodbye { details, reason: error::SYSTEM_SHUTDOWN.into() };
                    let _ = self.send(conn, session.class, &Message::Goodbye(goodbye));
                    self.conns[at].state = State::Leaving(session.class);
                }
                State::Fresh(_) => self.end(conn, Ending::Shutdown),
                State::Free | State::Leaving(_) | State::Closing => {}
            }
        }
    }

    /// Answers a breach of the protocol: ABORT, and the end of session and connection.
    pub(super) fn violation(&mut self, conn: ConnId, message: &str) {
        let Some(class) = self.listening(conn) else { return };
        self.counters.violations += 1;
        self.abort(conn, class, error::PROTOCOL_VIOLATION, message);
        self.end(conn, Ending::Violation);
    }

    fn abort(&mut self, conn: ConnId, class: Class, reason: &str, message: &str) {
        let details = Dict::new().with("message", message);
        let abort = Abort { details, reason: reason.into(), payload: Payload::NONE };
        // A peer that takes less than this learns from the closed connection.
        let _ = self.send(conn, class, &Message::Abort(abort));
    }

    /// Ends the session, if there is one, and closes the connection.
    pub(super) fn end(&mut self, conn: ConnId, ending: Ending) {
        self.leave(conn);
        self.conns[conn.0 as usize].state = State::Closing;
        self.close(conn, ending);
    }

    pub(super) fn disconnect(&mut self, conn: ConnId) {
        self.leave(conn);
        if let Some(entry) = self.conns.get_mut(conn.0 as usize) {
            entry.state = State::Free;
            entry.served = false;
        }
    }

    /// Takes the session from its connection and undoes everything that it held.
    fn leave(&mut self, conn: ConnId) -> Option<Box<Session>> {
        let state = &mut self.conns.get_mut(conn.0 as usize)?.state;
        if !matches!(state, State::Open(_)) {
            return None;
        }
        let State::Open(mut session) = std::mem::replace(state, State::Closing) else { return None };
        self.sessions.remove(&session.id);
        let lane = std::mem::take(&mut session.lane);
        self.lanes_busy -= usize::from(!lane.is_empty());
        for arrival in lane {
            if let Arrival::Invoke(invoke) = arrival {
                self.fail_call(invoke.call, invoke.caller, invoke.request, "the callee has left");
            }
        }
        let mut topics: BTreeMap<u16, Vec<Subject>> = BTreeMap::new();
        for (subject, subscription) in session.subscriptions.drain() {
            if let Subscription::Active { id, position, .. } = subscription {
                self.remove_member(id, position);
            }
            let home = subject::home(subject.realm, &subject.uri, self.config.shards);
            topics.entry(home).or_default().push(subject);
        }
        let mut procedures: BTreeMap<u16, Vec<Subject>> = BTreeMap::new();
        if let Some(rpc) = session.rpc.take() {
            for invocation in rpc.invocations.values() {
                self.fail_call(invocation.call, invocation.caller, invocation.request, "the callee has left");
            }
            for call in rpc.calls.values() {
                self.abandon(call);
            }
            for uri in rpc.procedures.into_keys() {
                let home = subject::home(session.realm, &uri, self.config.shards);
                let subject = Subject { realm: session.realm, policy: MatchPolicy::Exact, uri };
                procedures.entry(home).or_default().push(subject);
            }
        }
        for home in 0..self.config.shards {
            let (topics, procedures) = (topics.remove(&home), procedures.remove(&home));
            if topics.is_some() || procedures.is_some() {
                let ask = Ask::Leave(session.id, topics.unwrap_or_default(), procedures.unwrap_or_default());
                self.send_peer(home, ShardMsg::Ask(Box::new(ask)));
            }
        }
        Some(session)
    }

    /// Checks the id of a client's request; false if the session has been ended for it.
    pub(super) fn accept_request(&mut self, conn: ConnId, request: RequestId, name: &str) -> bool {
        let strict_of = |shard: &Shard, realm: u16| shard.config.realms[usize::from(realm)].strict;
        let Some(realm) = self.session_at(conn).map(|session| session.realm) else { return false };
        let strict = strict_of(self, realm);
        let Some(session) = self.session_at(conn) else { return false };
        if session.is_open(request) {
            self.violation(conn, &format!("{name}: request {request} is still open"));
            return false;
        }
        if let Err(wanted) = session.requests.accept(request, strict) {
            self.violation(conn, &format!("{name}: request id {request}, but {wanted} comes next"));
            return false;
        }
        true
    }
}
