//! One shard: its connections and sessions, its replica of the routing table, and the subjects whose home it is.

use super::access::{Cache, Roles};
use super::barrier::Barrier;
use super::config::{Rule, ShardConfig};
use super::counters::Counters;
use super::deliver::Members;
use super::draining::Draining;
use super::effect::{ConnId, Effect, Ending, Link};
use super::errand::Errands;
use super::fan::Fan;
use super::frames::{Class, Frames, Undeliverable};
use super::home::{Decision, Home, Outbox};
use super::index::ShardIndex;
use super::lifecycle::{Conn, Departing};
use super::map::{Hashing, Map};
use super::meta::job::Jobs;
use super::peer::{Answer, Ask, LogEntry, ShardMsg, Store};
use super::record::Past;
use super::replica::Replica;
use super::session::Session;
use super::store::{Histories, Unacknowledged, presets};
use super::timers::CallTimers;
use super::trace::Tracer;
use super::waiting;
use crate::auth::{Entropy, Peer};
use crate::wamp::codec::{self, DecodeLimits};
use crate::wamp::id::ID_MAX;
use crate::wamp::{Message, RegistrationId, RequestId, SessionId, SubscriptionId};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// One shard of the router. `now` is the time since some fixed start, the same for all shards, never going back.
#[derive(Debug)]
pub struct Shard {
    pub(super) config: ShardConfig,
    pub(super) hashing: Hashing,
    pub(super) random: fastrand::Rng,
    pub(super) conns: Vec<Conn>,
    pub(super) sessions: Map<SessionId, ConnId>,
    pub(super) members: Map<SubscriptionId, Members>,
    pub(super) home: Home,
    pub(super) replica: Replica,
    pub(super) barrier: Barrier<Answer>,
    pub(super) frames: Frames,
    pub(super) fan: Fan,
    pub(super) counters: Counters,
    /// Decides who gets a span, if anybody does.
    pub(super) tracer: Option<Box<Tracer>>,
    pub(super) histories: Histories,
    /// Publishers that wait until their publication has been kept.
    pub(super) unacknowledged: Map<(SessionId, RequestId), Unacknowledged>,
    /// The last publication of each shard that has come here.
    pub(super) heard: Vec<u64>,
    /// The present time, since the start of time.
    pub(super) now: Duration,
    pub(super) publication_serial: u64,
    pub(super) call_serial: u64,
    pub(super) call_timers: CallTimers,
    /// Calls that wait for a callee to have time.
    pub(super) waiting: Map<RegistrationId, waiting::Queue>,
    /// Meta calls that wait for what other shards know.
    pub(super) jobs: Jobs,
    /// What sessions may do.
    pub(super) roles: Roles,
    /// What authorizers have said.
    pub(super) authorizations: Cache,
    /// Counts the gates that have been put into the place of something else.
    pub(super) gates: u64,
    /// Calls that the router itself makes.
    pub(super) errands: Errands,
    /// Sessions that have ended, of which others are told when everything else about them has arrived.
    pub(super) departing: Map<SessionId, Departing>,
    pub(super) generation: u32,
    /// How many sessions have something in their lane; zero nearly always, and then nobody looks.
    pub(super) lanes_busy: usize,
    pub(super) hello_deadlines: VecDeque<(Duration, ConnId, u32)>,
    /// Connections whose client has to say who it is.
    pub(super) opening_deadlines: VecDeque<(Duration, ConnId, u32)>,
    /// Clients about whom it was decided and who have to wait.
    pub(super) decisions: BTreeSet<(Duration, ConnId, u32)>,
    /// When sessions end whose clients have shown who they are for a time only.
    pub(super) expiries: BTreeSet<(Duration, ConnId)>,
    /// For challenges.
    pub(super) entropy: Entropy,
    /// Connections whose client has been sent GOODBYE and has to answer.
    pub(super) goodbye_deadlines: VecDeque<(Duration, ConnId, u32)>,
    pub(super) shutting_down: bool,
    /// The router is about to end.
    pub(super) draining: Option<Box<Draining>>,
    own: VecDeque<ShardMsg>,
    effects: VecDeque<Effect>,
}

impl Shard {
    /// A shard with no connections.
    #[must_use]
    pub fn new(config: ShardConfig) -> Shard {
        let hashing = Hashing::new(config.seed);
        let presets = presets(&config);
        Shard {
            random: fastrand::Rng::with_seed(config.seed),
            conns: Vec::new(),
            sessions: hashing.map(),
            members: hashing.map(),
            home: Home::new(&config, &presets, hashing.clone()),
            replica: Replica::new(config.realms.len(), &hashing),
            barrier: Barrier::new(config.shards),
            frames: Frames::default(),
            fan: Fan::default(),
            counters: Counters::default(),
            tracer: Tracer::new(&config),
            histories: Histories::new(&presets, config.realms.len(), &hashing),
            unacknowledged: hashing.map(),
            heard: vec![0; usize::from(config.shards)],
            now: Duration::ZERO,
            publication_serial: 0,
            call_serial: 0,
            call_timers: CallTimers::default(),
            waiting: hashing.map(),
            jobs: Jobs::new(&hashing),
            roles: Roles::new(&config.realms, &hashing),
            authorizations: Cache::new(config.limits.authorizations_cached_max, &hashing),
            gates: 0,
            errands: Errands::new(config.realms.len(), &hashing),
            departing: hashing.map(),
            generation: 0,
            lanes_busy: 0,
            hello_deadlines: VecDeque::new(),
            opening_deadlines: VecDeque::new(),
            decisions: BTreeSet::new(),
            expiries: BTreeSet::new(),
            entropy: Entropy::new(&config.auth.secret, config.index),
            goodbye_deadlines: VecDeque::new(),
            shutting_down: false,
            draining: None,
            own: VecDeque::new(),
            effects: VecDeque::new(),
            hashing,
            config,
        }
    }

    /// A connection has finished its transport's handshake; a HELLO may come.
    pub fn open(&mut self, now: Duration, conn: ConnId, link: Link, peer: Arc<Peer>) {
        self.now = now;
        let class = self.frames.class(link);
        self.connect(conn, class, peer);
    }

    /// One serialized message has come from a connection.
    pub fn receive(&mut self, now: Duration, conn: ConnId, message: &[u8]) {
        self.now = now;
        let Some(class) = self.listening(conn) else { return };
        let limits = DecodeLimits { depth: self.config.limits.depth_max };
        match codec::decode(self.frames.serializer(class), message, limits) {
            Ok(decoded) => self.dispatch(conn, decoded, message.len()),
            Err(error) => self.violation(conn, &error.to_string()),
        }
        self.settle();
    }

    /// The connection broke a rule of the transport, or sent what is no message at all. An ABORT with this reason is
    /// sent, then the connection is closed.
    pub fn violate(&mut self, now: Duration, conn: ConnId, reason: &str) {
        self.now = now;
        if self.listening(conn).is_some() {
            self.violation(conn, reason);
            self.settle();
        }
    }

    /// The connection is gone, for whatever reason, also after `Effect::Close`. Its number may be used again after
    /// the effects of this call have been taken.
    pub fn lost(&mut self, now: Duration, conn: ConnId) {
        self.now = now;
        self.disconnect(conn);
        self.settle();
    }

    /// A message from another shard.
    pub fn peer(&mut self, now: Duration, from: ShardIndex, message: ShardMsg) {
        self.now = now;
        self.handle_peer(from, message);
        self.settle();
    }

    /// Fills a history whose home is this shard with what an earlier process left. Before anything else is called.
    pub fn restore(&mut self, past: Past) {
        self.home.restore(past);
    }

    /// Every [`Effect::Record`] up to this sequence number and after the last one told is done; or has failed, for
    /// this reason.
    pub fn recorded(&mut self, now: Duration, upto: u64, failure: Option<&Arc<str>>) {
        self.now = now;
        let mut out = Outbox::default();
        self.home.recorded(upto, failure, &mut out);
        self.decide(out);
        self.settle();
    }

    /// Sends GOODBYE `wamp.close.system_shutdown` to every session that is left and refuses new ones. Connections without a
    /// session are closed at once, the others when their GOODBYE has come; the owner closes what takes too long.
    pub fn shutdown(&mut self, now: Duration) {
        self.now = now;
        self.say_goodbye_to_all();
        self.settle();
    }

    /// The next thing to do. Call until it gives `None`, after every other call.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes back the list of an [`Effect::Fan`] that has been done, so that the next needs no memory of its own.
    pub fn reuse(&mut self, conns: Vec<ConnId>) {
        self.fan.reuse(conns);
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { sessions: self.sessions.len() as u64, ..self.counters.clone() }
    }

    /// Messages to itself are handled when the handler that sent them is done, in order, before anything else: a
    /// queue like those to other shards, only always emptied at once.
    pub(super) fn settle(&mut self) {
        loop {
            while let Some(message) = self.own.pop_front() {
                self.handle_peer(self.config.index, message);
            }
            let Some((purpose, answer)) = self.next_errand() else { return };
            self.errand_done(purpose, answer);
        }
    }

    fn handle_peer(&mut self, from: ShardIndex, message: ShardMsg) {
        match message {
            ShardMsg::Event(publication, subscriptions) => {
                if from != self.config.index {
                    self.counters.hop_time.record(self.now.saturating_sub(publication.stamp.at));
                }
                self.heard[usize::from(from)] = publication.stamp.serial;
                let before = self.counters.events;
                for subscription in subscriptions {
                    self.deliver(subscription, &publication);
                }
                if publication.trace().is_some() {
                    self.event_traced(&publication, self.counters.events - before);
                }
            }
            ShardMsg::Store(store) => self.arrive_store(from, *store),
            ShardMsg::Invoke(invoke) => self.arrive_invoke(invoke),
            ShardMsg::Part(part) => self.arrive_part(part),
            ShardMsg::Return(back) => self.arrive_return(back),
            ShardMsg::Cancel(cancel) => self.arrive_cancel(cancel),
            ShardMsg::SlotFree(registration) => self.serve_waiting(registration),
            ShardMsg::Ask(ask) => self.arrive_ask(from, *ask),
            ShardMsg::Answer(answer) => self.arrive_answer(from, *answer),
            ShardMsg::Log(entry) => self.apply(from, *entry),
            ShardMsg::Applied { home, position } => {
                self.barrier.applied(home, from, position);
                while let Some(answer) = self.barrier.next(home) {
                    self.conclude(answer);
                }
            }
            ShardMsg::Query(query) => self.arrive_query(from, *query),
            ShardMsg::Reply(reply) => self.arrive_reply(*reply),
        }
    }

    fn arrive_ask(&mut self, from: ShardIndex, ask: Ask) {
        let mut out = Outbox::default();
        self.home.ask(self.config.epoch + self.now, from, ask, &mut out);
        self.decide(out);
    }

    fn arrive_store(&mut self, from: ShardIndex, store: Store) {
        let mut out = Outbox::default();
        self.home.store(self.config.epoch + self.now, from, store, &mut out);
        self.decide(out);
    }

    /// Does what the home of this shard wants done.
    pub(super) fn decide(&mut self, out: Outbox) {
        for decision in out.0 {
            match decision {
                Decision::Send(to, message) => self.send_peer(to, message),
                Decision::Record(record) => self.effects.push_back(Effect::Record(record)),
                Decision::Publish(event) => self.publish_meta(event.realm, event.topic(), || event.arguments()),
            }
        }
    }

    fn apply(&mut self, home: ShardIndex, entry: LogEntry) {
        let registration = if let LogEntry::Callees { subject, .. } = &entry {
            self.replica.registration_of(subject).map(|registration| registration.id)
        } else {
            None
        };
        if let Some((to, position)) = self.replica.apply(entry) {
            self.send_peer(to, ShardMsg::Applied { home, position });
        }
        // Calls that wait may have got another callee, or lost the last one.
        if let Some(id) = registration.filter(|id| self.waiting.contains_key(id)) {
            self.serve_waiting(id);
        }
    }

    /// A home has answered: some answers count only when every shard has applied what they rest on.
    pub(super) fn arrive_answer(&mut self, home: ShardIndex, answer: Answer) {
        let unless_broken = |rule, position| if self.config.keeps(rule) { position } else { 0 };
        let position = match &answer {
            Answer::RegisterRefused(..) | Answer::Joined(_) | Answer::Stored(..) | Answer::Retained { .. } => 0,
            Answer::RetainedReadable(position) | Answer::NodeKnown(.., position) => *position,
            Answer::Unsubscribed(.., position) => unless_broken(Rule::NodeForgotten, *position),
            Answer::SubscriptionRevoked { position, .. }
            | Answer::Subscribed { position, .. }
            | Answer::Registered { position, .. } => unless_broken(Rule::AckAfterAllApplied, *position),
            Answer::Unregistered { position, .. } | Answer::RegistrationRevoked { position, .. } => {
                unless_broken(Rule::UnregisteredAfterFlush, *position)
            }
            Answer::Left(_, position) => unless_broken(Rule::LeftAfterHomes, *position),
        };
        self.await_position(home, position, answer);
    }

    /// Goes on with an answer when every shard has applied a log position.
    pub(super) fn await_position(&mut self, home: ShardIndex, position: u64, answer: Answer) {
        if let Some(answer) = self.barrier.pass(home, position, answer) {
            self.conclude(answer);
        }
    }

    pub(super) fn conclude(&mut self, answer: Answer) {
        let Some(answer) = self.hold_while_joining(answer) else { return };
        match answer {
            Answer::Subscribed { session, subject, id, .. } => self.subscribed(session, subject, id),
            Answer::NodeKnown(session, token, _) => self.node_known(session, token),
            Answer::Unsubscribed(session, request, _) => self.unsubscribed(session, request),
            Answer::SubscriptionRevoked { session, subject, revocation, .. } => {
                self.subscription_revoked(session, &subject, revocation);
            }
            Answer::Registered { session, subject, request, id, .. } => {
                self.registered(session, subject, request, id);
            }
            Answer::RegisterRefused(session, subject, request, why) => {
                self.register_refused(session, &subject, request, why);
            }
            Answer::Unregistered { session, subject, request, id, .. } => {
                self.arrive_unregistered(session, subject, request, id);
            }
            Answer::RegistrationRevoked { session, subject, revocation, .. } => {
                self.arrive_registration_revoked(session, subject, revocation);
            }
            Answer::RetainedReadable(_) => self.retained_readable(),
            Answer::Retained { session, token, state } => self.arrive_retained(session, token, state),
            Answer::Stored(session, request, failure) => self.stored(session, request, failure),
            Answer::Left(session, _) => self.left(session),
            Answer::Joined(session) => self.joined(session),
        }
    }

    pub(super) fn send_peer(&mut self, to: ShardIndex, message: ShardMsg) {
        if to == self.config.index {
            self.own.push_back(message);
        } else {
            self.effects.push_back(Effect::Peer { to, message });
        }
    }

    /// Sends a message to a connection of this shard.
    pub(super) fn send(&mut self, conn: ConnId, class: Class, message: &Message) -> Result<(), Undeliverable> {
        if Errands::is_steward(conn) {
            self.errands.take(message);
            return Ok(());
        }
        if let Message::Error(error) = message {
            self.counters.error(&error.error);
        }
        let frame = self.frames.build(class, message)?;
        self.effects.push_back(Effect::Send { conn, frame });
        Ok(())
    }

    pub(super) fn close(&mut self, conn: ConnId, ending: Ending) {
        self.effects.push_back(Effect::Close { conn, ending });
    }

    /// Split so that a caller may hold parts of the shard while it emits.
    pub(super) fn effects(&mut self) -> &mut VecDeque<Effect> {
        &mut self.effects
    }

    /// A random id of the global scope.
    pub(super) fn random_id(&mut self) -> u64 {
        self.random.u64(1..=ID_MAX)
    }

    pub(super) fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        let conn = *self.sessions.get(&id)?;
        self.session_at(conn)
    }

    /// True if nothing is subscribed, registered, called, held or waited for: after every session has left and every
    /// message between shards has arrived.
    #[cfg(any(test, feature = "sim"))]
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.sessions.is_empty()
            && self.members.is_empty()
            && self.home.is_empty()
            && self.replica.is_empty()
            && self.barrier.is_empty()
            && self.lanes_busy == 0
            && self.waiting.is_empty()
            && self.jobs.is_empty()
            && self.expiries.is_empty()
            && self.errands.is_empty()
            && self.unacknowledged.is_empty()
            && self.departing.is_empty()
            && self.call_timers.is_empty()
            && self.own.is_empty()
    }
}
