//! Connections and the life of their sessions: HELLO to GOODBYE (specification, "Sessions").

use super::access::Power;
use super::config::Rule;
use super::effect::{ConnId, Effect, Ending};
use super::frames::Class;
use super::home::Outbox;
use super::opening::Opening;
use super::peer::{Answer, Ask, Departure, Outcome, ShardMsg};
use super::session::{Arrival, Joining, Session, Subscription};
use super::shard::Shard;
use super::subject;
use crate::auth::Peer;
use crate::session::{Identity, RealmIndex};
use crate::wamp::error;
use crate::wamp::message::{Abort, Goodbye};
use crate::wamp::{Dict, Message, Payload, SessionId, Uri, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const ON_JOIN: &str = "wamp.session.on_join";
const ON_LEAVE: &str = "wamp.session.on_leave";

/// Whether others are told that a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// They are, and its testaments are published.
    Broken,
    /// They are not.
    Kept,
}

/// A session that has ended, while others are still to be told.
#[derive(Debug)]
pub(super) struct Departing {
    realm: RealmIndex,
    identity: Arc<Identity>,
    /// Homes that have something to publish first.
    homes: u16,
}

/// A connection as its shard keeps it.
#[derive(Debug, Default)]
pub(super) struct Conn {
    pub(super) state: State,
    /// Tells one use of the connection's number, and one wait for the client, from the next.
    pub(super) round: u32,
    /// A session has ended here by GOODBYE.
    served: bool,
    /// Who is at the other end.
    pub(super) peer: Option<Arc<Peer>>,
}

#[derive(Debug, Default)]
pub(super) enum State {
    /// The number is not in use.
    #[default]
    Free,
    /// HELLO has to come.
    Fresh(Class),
    /// It has come, and it is being found out who the client is.
    Opening(Class, Box<Opening>),
    /// A session is open.
    Open(Box<Session>),
    /// The router has said GOODBYE and waits for the answer; everything else is ignored.
    Leaving(Class, Ending),
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
    pub(super) fn connect(&mut self, conn: ConnId, class: Class, peer: Arc<Peer>) {
        let at = conn.0 as usize;
        if self.conns.len() <= at {
            self.conns.resize_with(at + 1, Conn::default);
        }
        debug_assert!(matches!(self.conns[at].state, State::Free), "a connection's number is in use");
        self.conns[at].peer = Some(peer);
        if self.shutting_down {
            self.conns[at].state = State::Closing;
            self.close(conn, Ending::Shutdown);
        } else {
            self.await_hello(conn, class);
        }
    }

    fn await_hello(&mut self, conn: ConnId, class: Class) {
        let entry = &mut self.conns[conn.0 as usize];
        entry.round = entry.round.wrapping_add(1);
        entry.state = State::Fresh(class);
        self.hello_deadlines.push_back((self.now + self.config.limits.hello_timeout, conn, entry.round));
    }

    pub(super) fn await_goodbye(&mut self, conn: ConnId, class: Class, ending: Ending) {
        let entry = &mut self.conns[conn.0 as usize];
        entry.round = entry.round.wrapping_add(1);
        entry.state = State::Leaving(class, ending);
        self.goodbye_deadlines.push_back((self.now + self.config.limits.goodbye_timeout, conn, entry.round));
    }

    /// When [`Shard::expire`] has to be called next, if at all.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let hello = self.hello_deadlines.front().map(|(deadline, ..)| *deadline);
        let goodbye = self.goodbye_deadlines.front().map(|(deadline, ..)| *deadline);
        let opening = self.opening_deadlines.front().map(|(deadline, ..)| *deadline);
        let expiry = self.expiries.first().map(|(at, _)| *at);
        let decision = self.decisions.first().map(|(at, ..)| *at);
        let leave = self.next_leave();
        [hello, opening, goodbye, expiry, decision, leave, self.call_timers.next()].into_iter().flatten().min()
    }

    /// Does what is due: ends connections whose HELLO or GOODBYE has not come in time, and calls that have not been
    /// answered in time.
    pub fn expire(&mut self, now: Duration) {
        self.now = now;
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
        self.expire_decisions();
        self.expire_openings();
        self.expire_sessions();
        self.go_on_draining();
        while let Some((deadline, conn, round)) = self.goodbye_deadlines.front().copied() {
            if deadline > now {
                break;
            }
            self.goodbye_deadlines.pop_front();
            let entry = &self.conns[conn.0 as usize];
            if let State::Leaving(_, ending) = entry.state
                && entry.round == round
            {
                self.end(conn, ending);
            }
        }
        while let Some(key) = self.call_timers.take_due(now) {
            self.time_out(key);
        }
        self.settle();
    }

    /// The class of a connection whose messages count.
    pub(super) fn listening(&self, conn: ConnId) -> Option<Class> {
        match &self.conns.get(conn.0 as usize)?.state {
            State::Fresh(class) | State::Opening(class, _) | State::Leaving(class, _) => Some(*class),
            State::Open(session) => Some(session.class),
            State::Free | State::Closing => None,
        }
    }

    pub(super) fn session_at(&mut self, conn: ConnId) -> Option<&mut Session> {
        match self.conns.get_mut(conn.0 as usize) {
            Some(entry) => entry.session(),
            None => self.errands.session(conn),
        }
    }

    /// Routes a message of a client, of so many octets, to what handles it.
    pub(super) fn dispatch(&mut self, conn: ConnId, message: Message, octets: usize) {
        match (&self.conns[conn.0 as usize].state, message) {
            (State::Fresh(class), Message::Hello(hello)) => self.hello(conn, *class, &hello),
            (State::Fresh(_), Message::Abort(_)) => self.end(conn, Ending::Normal),
            (State::Fresh(_), other) => {
                let name = other.message_type().name();
                self.violation(conn, &format!("{name} came before a session was established"));
            }
            (State::Opening(..), Message::Authenticate(answer)) => self.authenticate(conn, &answer),
            (State::Opening(..), Message::Abort(_)) => self.end(conn, Ending::Normal),
            (State::Opening(..), other) => {
                let name = other.message_type().name();
                self.violation(conn, &format!("{name} came while the client was asked who it is"));
            }
            (State::Open(session), message) if session.power.is_gated(&message) => {
                self.stand_at_gate(conn, message, octets);
            }
            (State::Open(_), message) => self.dispatch_open(conn, message),
            (State::Leaving(_, ending), Message::Goodbye(_) | Message::Abort(_)) => self.end(conn, *ending),
            (State::Leaving(..) | State::Closing | State::Free, _) => {}
        }
    }

    pub(super) fn dispatch_open(&mut self, conn: ConnId, message: Message) {
        match message {
            Message::Goodbye(goodbye) => self.goodbye(conn, &goodbye.reason),
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

    /// Publishes that a session has joined. What is published about it later, by homes, must come later everywhere:
    /// so its acknowledgements wait until this has arrived (rule R10 of `docs/ordering.md`).
    pub(super) fn tell_of_joining(&mut self, conn: ConnId) {
        let Some(session) = self.session_at(conn) else { return };
        let (id, realm, identity) = (session.id, session.realm, session.identity.clone());
        if !self.replica.is_wanted(realm, ON_JOIN) {
            return;
        }
        self.publish_meta(realm, ON_JOIN, || vec![identity.details(id).into()]);
        if !self.config.keeps(Rule::JoinedFirst) {
            return;
        }
        if let Some(session) = self.session_at(conn) {
            session.joining = Some(Box::default());
        }
        let mut out = Outbox::default();
        let position = self.home.mark(self.config.index, &mut out);
        self.decide(out);
        self.await_position(self.config.index, position, Answer::Joined(id));
    }

    /// Keeps an acknowledgement, or what takes it back, for a session whose joining has not arrived everywhere; gives back all others.
    pub(super) fn hold_while_joining(&mut self, answer: Answer) -> Option<Answer> {
        let (Answer::Subscribed { session, .. }
        | Answer::SubscriptionRevoked { session, .. }
        | Answer::Registered { session, .. }
        | Answer::RegistrationRevoked { session, .. }) = &answer
        else {
            return Some(answer);
        };
        let joining = self.session(*session).and_then(|session| session.joining.as_mut());
        let Some(joining) = joining else { return Some(answer) };
        joining.answers.push(answer);
        None
    }

    /// A session's joining has arrived everywhere.
    pub(super) fn joined(&mut self, session: SessionId) {
        let joining = self.session(session).and_then(|session| session.joining.take());
        let Some(joining) = joining else { return };
        let Joining { answers } = *joining;
        answers.into_iter().for_each(|answer| self.conclude(answer));
    }

    /// Random and, since no two shards draw ids with the same remainder, unique in the router.
    pub(super) fn new_session_id(&mut self) -> SessionId {
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

    fn goodbye(&mut self, conn: ConnId, reason: &str) {
        if reason == error::LOGOUT {
            self.forget_browser(conn);
        }
        let Some(class) = self.leave(conn, Silence::Broken) else { return };
        let reply = Goodbye { details: Dict::new(), reason: error::GOODBYE_AND_OUT.into() };
        let _ = self.send(conn, class, &Message::Goodbye(reply));
        // The transport may be used for another session.
        self.await_hello(conn, class);
        self.conns[conn.0 as usize].served = true;
    }

    /// Ends a session by GOODBYE; its connection is closed when the answer has come, or when the time for it is over.
    pub(super) fn kill(&mut self, conn: ConnId, reason: Uri, message: Option<&str>, silence: Silence) {
        self.forget_browser(conn);
        let Some(class) = self.leave(conn, silence) else { return };
        let details = message.map_or_else(Dict::new, |message| Dict::new().with("message", message));
        let _ = self.send(conn, class, &Message::Goodbye(Goodbye { details, reason }));
        self.await_goodbye(conn, class, Ending::Normal);
    }

    pub(super) fn say_goodbye_to_all(&mut self) {
        self.shutting_down = true;
        for at in 0..self.conns.len() {
            let conn = ConnId(u32::try_from(at).expect("connections are numbered by u32"));
            match self.conns[at].state {
                State::Open(_) => {
                    let Some(class) = self.leave(conn, Silence::Kept) else { continue };
                    let details = Dict::new().with("message", "the router shuts down");
                    let goodbye = Goodbye { details, reason: error::SYSTEM_SHUTDOWN.into() };
                    let _ = self.send(conn, class, &Message::Goodbye(goodbye));
                    // The owner closes what takes too long.
                    self.conns[at].state = State::Leaving(class, Ending::Shutdown);
                }
                State::Fresh(_) | State::Opening(..) => self.end(conn, Ending::Shutdown),
                State::Free | State::Leaving(..) | State::Closing => {}
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

    pub(super) fn abort(&mut self, conn: ConnId, class: Class, reason: &str, message: &str) {
        self.abort_with(conn, class, reason, Dict::new().with("message", message));
    }

    pub(super) fn abort_with(&mut self, conn: ConnId, class: Class, reason: &str, details: Dict) {
        let abort = Abort { details, reason: reason.into(), payload: Payload::NONE };
        // A peer that takes less than this learns from the closed connection.
        let _ = self.send(conn, class, &Message::Abort(abort));
    }

    /// Ends the session, if there is one, and closes the connection.
    pub(super) fn end(&mut self, conn: ConnId, ending: Ending) {
        self.leave(conn, Silence::Broken);
        self.conns[conn.0 as usize].state = State::Closing;
        self.close(conn, ending);
    }

    pub(super) fn disconnect(&mut self, conn: ConnId) {
        self.leave(conn, Silence::Broken);
        if let Some(entry) = self.conns.get_mut(conn.0 as usize) {
            entry.state = State::Free;
            entry.served = false;
            entry.peer = None;
        }
    }

    /// Takes the session from its connection and undoes everything that it held; gives the class of the connection.
    pub(super) fn leave(&mut self, conn: ConnId, silence: Silence) -> Option<Class> {
        let state = &mut self.conns.get_mut(conn.0 as usize)?.state;
        if !matches!(state, State::Open(_)) {
            return None;
        }
        let State::Open(mut session) = std::mem::replace(state, State::Closing) else { return None };
        self.sessions.remove(&session.id);
        self.counters.left(session.realm, &session.identity.authrole);
        // The connection may serve another session, and its end has to be noticed.
        if matches!(&session.power, Power::Asked(gate) if gate.is_held()) {
            self.effects().push_back(Effect::Resume { conn });
        }
        let realm = &self.config.realms[usize::from(session.realm)];
        self.config.census.leave(session.realm, realm, &session.identity);
        if let Some(at) = session.expires {
            self.expiries.remove(&(at, conn));
        }
        let lane = std::mem::take(&mut session.lane);
        self.lanes_busy -= usize::from(!lane.is_empty());
        for arrival in lane {
            if let Arrival::Invoke(invoke) = arrival {
                self.reject(*invoke, Outcome::Gone);
            }
        }
        self.fail_invocations(&mut session);
        self.abandon_calls(&mut session);
        if silence == Silence::Broken {
            self.execute_testaments(&mut session);
        }
        self.tell_homes(&mut session, silence);
        Some(session.class)
    }

    /// Tells the homes of everything that a session had that it has ended, and others when the homes are done.
    fn tell_homes(&mut self, session: &mut Session, silence: Silence) {
        let (id, realm) = (session.id, session.realm);
        let told = silence == Silence::Broken && self.replica.is_wanted(realm, ON_LEAVE);
        let mut departures: BTreeMap<u16, Departure> = BTreeMap::new();
        let new = || Departure { session: id, report: told, ..Departure::default() };
        for (subject, subscription) in session.subscriptions.drain() {
            if let Subscription::Active { id, position, .. } = subscription {
                self.remove_member(id, position);
            }
            let home = subject::home(realm, &subject.uri, self.config.shards);
            departures.entry(home).or_insert_with(new).topics.push(subject);
        }
        for subject in session.rpc.take().into_iter().flat_map(|rpc| rpc.procedures.into_keys()) {
            let home = subject::home(realm, &subject.uri, self.config.shards);
            departures.entry(home).or_insert_with(new).procedures.push(subject);
        }
        if told {
            for home in session.homes.iter() {
                departures.entry(home).or_insert_with(new);
            }
        }
        let homes = u16::try_from(departures.len()).unwrap_or(u16::MAX);
        for (home, departure) in departures {
            self.send_peer(home, ShardMsg::Ask(Box::new(Ask::Leave(departure))));
        }
        if told {
            let departing = Departing { realm, identity: session.identity.clone(), homes };
            if homes == 0 {
                self.tell_of_leaving(id, &departing);
            } else {
                self.departing.insert(id, departing);
            }
        }
    }

    /// A home has nothing more to publish about a session that has ended, and all that it has published has arrived.
    pub(super) fn left(&mut self, session: SessionId) {
        let Some(departing) = self.departing.get_mut(&session) else { return };
        departing.homes -= 1;
        if departing.homes == 0
            && let Some(departing) = self.departing.remove(&session)
        {
            self.tell_of_leaving(session, &departing);
        }
    }

    fn tell_of_leaving(&mut self, session: SessionId, departing: &Departing) {
        let identity = &departing.identity;
        self.publish_meta(departing.realm, ON_LEAVE, || {
            vec![Value::from(session.get()), Value::from(&*identity.authid), Value::from(&*identity.authrole)]
        });
    }
}
