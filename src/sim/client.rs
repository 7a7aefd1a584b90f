//! A client of the simulated world: it does what clients do, at random, on the strength of what it has read so far.

use super::advanced;
use super::content::{self, KEYS, LIMITED, NODES, PROCEDURES, SUBJECTS, SharedProcedure, TOPICS, stamp};
use super::setting::Peer;
use crate::router::{ConnId, ShardIndex};
use crate::wamp::message::{
    Call, Cancel, Error, Goodbye, Hello, Publish, Register, Subscribe, Unregister, Unsubscribe, Yield,
};
use crate::wamp::{
    Dict, MatchPolicy, Message, MessageType, Payload, RegistrationId, RequestId, Serializer, SessionId, SubscriptionId,
    Value, error,
};
use fastrand::Rng;
use std::collections::{BTreeMap, VecDeque};

/// A client, from HELLO to the end of its session; the next session of its connection is another client.
#[derive(Debug)]
pub(super) struct Client {
    /// The number of this client among all of the run.
    pub(super) key: u32,
    pub(super) shard: ShardIndex,
    pub(super) conn: ConnId,
    pub(super) serializer: Serializer,
    /// Sent by the client, not yet read by the router.
    pub(super) up: VecDeque<Message>,
    /// Written by the router, not yet read by the client.
    pub(super) down: VecDeque<Message>,
    session: Option<SessionId>,
    pub(super) leaving: bool,
    request: RequestId,
    sequence: u64,
    asked: BTreeMap<RequestId, Asked>,
    subscriptions: BTreeMap<(MatchPolicy, &'static str), Option<SubscriptionId>>,
    registrations: BTreeMap<RegistrationId, &'static str>,
    calls: Vec<RequestId>,
    /// Calls of which further parts are to be sent, with their procedure.
    streams: Vec<(RequestId, &'static str)>,
    invocations: Vec<Invoked>,
    last_invocation: u64,
    /// The subscription whose events are kept.
    history: u64,
    /// It subscribes to one topic alone, always to a node of it, and publishes with keys to that.
    focused: bool,
    /// The subscriptions that it has had, and their last ids.
    had: BTreeMap<(MatchPolicy, &'static str), SubscriptionId>,
    /// Sessions and subscriptions of others, heard of in meta events.
    heard: Vec<(u64, u64)>,
    /// It uses the Advanced Profile.
    advanced: bool,
    /// Testaments that it has left, of both scopes.
    pub(super) testaments: u64,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Subscribe((MatchPolicy, &'static str)),
    Register(&'static str),
}

/// A call to answer.
#[derive(Clone, Copy, Debug)]
struct Invoked {
    request: RequestId,
    /// The caller takes several results.
    progressive: bool,
    /// Further parts will come.
    open: bool,
}

impl Client {
    pub(super) fn new(key: u32, shard: ShardIndex, conn: ConnId, serializer: Serializer, history: u64) -> Client {
        let mut client = Client {
            key,
            shard,
            conn,
            serializer,
            up: VecDeque::new(),
            down: VecDeque::new(),
            session: None,
            leaving: false,
            request: RequestId::default(),
            sequence: 0,
            asked: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            registrations: BTreeMap::new(),
            calls: Vec::new(),
            streams: Vec::new(),
            invocations: Vec::new(),
            last_invocation: 0,
            history,
            focused: false,
            had: BTreeMap::new(),
            heard: Vec::new(),
            advanced: false,
            testaments: 0,
        };
        // Half of the clients understand INTERRUPT, a third of these do not understand calls in parts.
        let features = Dict::new()
            .with("call_canceling", key.is_multiple_of(2))
            .with("progressive_call_results", true)
            .with("progressive_call_invocations", !key.is_multiple_of(3))
            .with("call_reroute", true)
            .with("registration_revocation", true);
        let caller = Dict::new().with("progressive_call_invocations", true);
        let subscriber = Dict::new().with("subscription_revocation", true);
        let roles = Dict::new()
            .with("publisher", Dict::new())
            .with("subscriber", Dict::new().with("features", subscriber))
            .with("caller", Dict::new().with("features", caller))
            .with("callee", Dict::new().with("features", features));
        let hello = Hello { realm: "realm1".into(), details: Dict::new().with("roles", roles) };
        client.up.push_back(hello.into());
        client
    }

    /// A client that uses the Advanced Profile.
    pub(super) fn with_advanced(self, advanced: bool) -> Client {
        Client { advanced, ..self }
    }

    /// Lets it have to do with nothing but the nodes of one topic.
    pub(super) fn focus(&mut self) {
        self.focused = true;
    }

    pub(super) fn next_request(&mut self) -> RequestId {
        self.request = self.request.next();
        self.request
    }

    fn stamp(&mut self) -> Payload {
        self.sequence += 1;
        stamp(self.serializer, self.key, self.sequence)
    }

    /// Does something, if it has a session.
    pub(super) fn act(&mut self, rng: &mut Rng, peers: &[Peer]) {
        if self.session.is_none() || self.leaving {
            return;
        }
        if self.advanced && rng.u8(..) < 20 {
            return self.testify(rng, peers);
        }
        match rng.u32(0..200) {
            0 => self.leave(),
            1..56 => self.publish(rng, peers),
            56..84 => self.subscribe(rng),
            84..98 => self.unsubscribe(rng),
            98..114 => self.register(rng),
            114..124 => self.unregister(rng),
            124..142 => self.call(rng),
            142..150 => self.cancel(rng),
            150..158 => self.stream(rng),
            158..168 => self.ask(rng),
            _ => drop(self.answer(rng)),
        }
    }

    pub(super) fn leave(&mut self) {
        self.leaving = true;
        let goodbye = Goodbye { details: Dict::new(), reason: error::CLOSE_REALM.into() };
        self.up.push_back(goodbye.into());
    }

    fn publish(&mut self, rng: &mut Rng, peers: &[Peer]) {
        let mut options = Dict::new();
        if rng.u8(..) < 64 {
            options.push("acknowledge", true);
        }
        if rng.bool() {
            options.push("exclude_me", false);
        }
        if rng.u8(..) < 96 {
            options.push("retain", true);
        }
        if rng.u8(..) < 96 || self.focused {
            options.push("rkey", KEYS[rng.usize(..KEYS.len())]);
        }
        if self.advanced {
            advanced::publish_options(&mut options, rng, peers);
        }
        let topic = TOPICS[if self.focused { 0 } else { rng.usize(..TOPICS.len()) }].into();
        let (request, payload) = (self.next_request(), self.stamp());
        self.up.push_back(Publish { request, options, topic, payload }.into());
    }

    fn subscribe(&mut self, rng: &mut Rng) {
        let subject = SUBJECTS[if self.focused { 0 } else { rng.usize(..SUBJECTS.len()) }];
        self.subscribe_to(subject, rng);
        // Sometimes it changes its mind, by an id of old, before it knows that it has it again.
        if rng.u8(..) < 48
            && let Some(&subscription) = self.had.get(&subject)
        {
            let request = self.next_request();
            self.up.push_back(Unsubscribe { request, subscription }.into());
            self.subscribe_to(subject, rng);
        }
    }

    fn subscribe_to(&mut self, subject: (MatchPolicy, &'static str), rng: &mut Rng) {
        let request = self.next_request();
        self.subscriptions.entry(subject).or_insert(None);
        self.asked.insert(request, Asked::Subscribe(subject));
        let mut options = match subject.0 {
            MatchPolicy::Exact => Dict::new(),
            policy => Dict::new().with("match", policy.name()),
        };
        if rng.bool() {
            options.push("get_retained", true);
        }
        if rng.u8(..) < 128 || self.focused {
            options.push("nkey", NODES[rng.usize(..NODES.len())]);
        }
        self.up.push_back(Subscribe { request, options, topic: subject.1.into() }.into());
    }

    fn unsubscribe(&mut self, rng: &mut Rng) {
        let held: Vec<_> = self.subscriptions.iter().filter_map(|(subject, id)| Some((*subject, (*id)?))).collect();
        let Some((subject, subscription)) = rng.choice(held) else { return };
        self.subscriptions.remove(&subject);
        let request = self.next_request();
        self.up.push_back(Unsubscribe { request, subscription }.into());
    }

    fn register(&mut self, rng: &mut Rng) {
        let SharedProcedure { name, policy, invoke, concurrency } = PROCEDURES[rng.usize(..PROCEDURES.len())];
        let mut options = Dict::new();
        if policy != MatchPolicy::Exact {
            options.push("match", policy.name());
        }
        if invoke != "single" {
            options.push("invoke", invoke);
        }
        if concurrency > 0 {
            options.push("concurrency", concurrency);
        }
        if rng.u8(..) < 12 {
            options.push("force_reregister", true);
        }
        if self.advanced && rng.u8(..) < 48 {
            options.push("disclose_caller", true);
        }
        let request = self.next_request();
        self.asked.insert(request, Asked::Register(name));
        self.up.push_back(Register { request, options, procedure: name.into() }.into());
    }

    fn unregister(&mut self, rng: &mut Rng) {
        let Some(registration) = rng.choice(self.registrations.keys().copied()) else { return };
        self.registrations.remove(&registration);
        let request = self.next_request();
        self.up.push_back(Unregister { request, registration }.into());
    }

    fn call(&mut self, rng: &mut Rng) {
        let mut options = if rng.bool() { Dict::new().with("receive_progress", true) } else { Dict::new() };
        let procedure = content::CALLED[rng.usize(..content::CALLED.len())];
        let (request, payload) = (self.next_request(), self.stamp());
        if rng.u8(..) < 48 {
            options.push("timeout", rng.u64(1..40));
        }
        if rng.u8(..) < 64 {
            options.push("progress", true);
            self.streams.push((request, procedure));
        }
        if self.advanced && rng.u8(..) < 64 {
            options.push("disclose_me", true);
        }
        self.calls.push(request);
        self.up.push_back(Call { request, options, procedure: procedure.into(), payload }.into());
    }

    /// Sends a further part of a call, perhaps the last; the call may be over by then.
    fn stream(&mut self, rng: &mut Rng) {
        if self.streams.is_empty() {
            return;
        }
        let at = rng.usize(..self.streams.len());
        let (request, procedure) = self.streams[at];
        let mut options = Dict::new();
        if rng.bool() {
            options.push("progress", true);
        } else {
            self.streams.swap_remove(at);
        }
        let payload = self.stamp();
        self.up.push_back(Call { request, options, procedure: procedure.into(), payload }.into());
    }

    fn cancel(&mut self, rng: &mut Rng) {
        let Some(request) = rng.choice(self.calls.iter().copied()) else { return };
        let options = Dict::new().with("mode", ["skip", "kill", "killnowait"][rng.usize(..3)]);
        self.streams.retain(|(stream, _)| *stream != request);
        self.up.push_back(Cancel { request, options }.into());
    }

    /// Asks for the whole history, if it has a session.
    pub(super) fn ask_history(&mut self) {
        if self.session.is_some() && !self.leaving {
            self.ask_router("wamp.subscription.get_events", vec![Value::from(self.history)], Dict::new());
        }
    }

    /// Calls a meta procedure.
    fn ask(&mut self, rng: &mut Rng) {
        let mine = self.subscriptions.values().filter_map(|id| *id).map(SubscriptionId::get);
        let known = rng.choice(mine.chain(self.heard.iter().map(|(_, id)| *id)).collect::<Vec<_>>());
        let other = rng.choice(self.heard.iter().map(|(session, _)| *session).collect::<Vec<_>>());
        let (procedure, args) = match (rng.u32(0..16), known, other) {
            (0..5, ..) => ("wamp.session.list", vec![]),
            (5..10, Some(id), _) => ("wamp.subscription.list_subscribers", vec![Value::from(id)]),
            (10..13, ..) => ("wamp.subscription.get_events", vec![Value::from(self.history)]),
            (13, Some(id), Some(session)) => {
                ("wamp.subscription.remove_subscriber", vec![Value::from(id), Value::from(session)])
            }
            (14, _, Some(session)) => ("wamp.session.kill", vec![Value::from(session)]),
            (15, Some(id), _) => ("wamp.subscription.get", vec![Value::from(id)]),
            _ => return,
        };
        let request = self.next_request();
        let payload = content::payload(self.serializer, args);
        self.up.push_back(Call { request, options: Dict::new(), procedure: procedure.into(), payload }.into());
    }

    /// Answers an invocation; true if there was one.
    pub(super) fn answer(&mut self, rng: &mut Rng) -> bool {
        let ready: Vec<usize> = (0..self.invocations.len()).filter(|at| !self.invocations[*at].open).collect();
        let any: Vec<usize> = (0..self.invocations.len()).collect();
        // Mostly when all parts have come.
        let early = ready.is_empty() || rng.u8(..) < 32;
        let Some(at) = rng.choice(if early { any } else { ready }) else { return false };
        let Invoked { request, progressive, .. } = self.invocations[at];
        let payload = self.stamp();
        if progressive && rng.u8(..) < 100 {
            let options = Dict::new().with("progress", true);
            self.up.push_back(Yield { request, options, payload }.into());
            return true;
        }
        self.invocations.swap_remove(at);
        let reply = match rng.u8(..) {
            0..24 => {
                let error = "app.error.refused".into();
                Error { request_type: MessageType::Invocation, request, details: Dict::new(), error, payload }.into()
            }
            24..64 => {
                let error = error::UNAVAILABLE.into();
                Error { request_type: MessageType::Invocation, request, details: Dict::new(), error, payload }.into()
            }
            _ => Yield { request, options: Dict::new(), payload }.into(),
        };
        self.up.push_back(reply);
        true
    }

    /// Reads the next message that the router has written; true if the session is over.
    pub(super) fn read(&mut self) -> bool {
        let Some(message) = self.down.pop_front() else { return false };
        match message {
            Message::Welcome(m) => self.session = Some(m.session),
            Message::Subscribed(m) => {
                if let Some(Asked::Subscribe(subject)) = self.asked.remove(&m.request) {
                    self.had.insert(subject, m.subscription);
                    if let Some(id) = self.subscriptions.get_mut(&subject) {
                        *id = Some(m.subscription);
                    }
                }
            }
            Message::Unsubscribed(m) => {
                let revoked = m.details.as_ref().and_then(|details| details.get("subscription")?.as_uint());
                self.subscriptions.retain(|_, id| id.map(SubscriptionId::get) != revoked || revoked.is_none());
            }
            Message::Registered(m) => {
                if let Some(Asked::Register(procedure)) = self.asked.remove(&m.request) {
                    self.registrations.insert(m.registration, procedure);
                }
            }
            Message::Unregistered(m) => {
                let revoked = m.details.as_ref().and_then(|details| details.get("registration")?.as_uint());
                self.registrations.retain(|id, _| Some(id.get()) != revoked);
            }
            Message::Event(m) => self.hear(&m.payload),
            Message::Result(m) if m.details.get("progress").is_none() => self.forget_call(m.request),
            Message::Error(m) if m.request_type == MessageType::Call => self.forget_call(m.request),
            Message::Invocation(m) => self.invoked(&m),
            // With kill an answer is awaited; with killnowait none is, and none is sent.
            Message::Interrupt(m) if m.options.get("mode").and_then(|mode| mode.as_str()) == Some("killnowait") => {
                self.invocations.retain(|invoked| invoked.request != m.request);
            }
            Message::Goodbye(m) => {
                if *m.reason != *error::GOODBYE_AND_OUT && !self.leaving {
                    let goodbye = Goodbye { details: Dict::new(), reason: error::GOODBYE_AND_OUT.into() };
                    self.up.push_back(goodbye.into());
                    self.leaving = true;
                    return false;
                }
                return true;
            }
            _ => {}
        }
        false
    }

    fn forget_call(&mut self, request: RequestId) {
        self.calls.retain(|call| *call != request);
        self.streams.retain(|(stream, _)| *stream != request);
    }

    fn invoked(&mut self, m: &crate::wamp::message::Invocation) {
        let open = m.details.get("progress").is_some();
        match self.invocations.iter_mut().find(|invoked| invoked.request == m.request) {
            Some(invoked) => invoked.open = open,
            // Parts of what has been answered already are ignored.
            None if m.request.get() <= self.last_invocation => {}
            None => {
                let progressive = m.details.get("receive_progress").is_some();
                self.invocations.push(Invoked { request: m.request, progressive, open });
                self.last_invocation = m.request.get();
            }
        }
    }

    /// Meta events have a session and a subscription.
    fn hear(&mut self, payload: &Payload) {
        if let Ok((args, _)) = payload.values()
            && let [session, id] = &*args
            && let (Some(session), Some(id)) = (session.as_uint(), id.as_uint())
            && session > u64::from(u32::MAX)
        {
            self.heard.push((session, id));
        }
    }
}

/// True if calls of this procedure may overtake each other, since they may have to wait for a callee.
pub(super) fn may_wait(procedure: &str) -> bool {
    procedure == LIMITED
}
