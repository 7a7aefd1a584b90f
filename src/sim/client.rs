//! A client of the simulated world: it does what clients do, at random, on the strength of what it has read so far.

use crate::router::{ConnId, ShardIndex};
use crate::wamp::message::{
    Call, Cancel, Error, Goodbye, Hello, Publish, Register, Subscribe, Unregister, Unsubscribe, Yield,
};
use crate::wamp::{
    Dict, MatchPolicy, Message, MessageType, Payload, Raw, RegistrationId, RequestId, Serializer, Shape,
    SubscriptionId, error,
};
use bytes::Bytes;
use fastrand::Rng;
use std::collections::{BTreeMap, VecDeque};

/// What can be subscribed to: few, so that much happens to each.
const SUBJECTS: [(MatchPolicy, &str); 6] = [
    (MatchPolicy::Exact, "a.one"),
    (MatchPolicy::Exact, "a.two"),
    (MatchPolicy::Exact, "b.one"),
    (MatchPolicy::Prefix, "a."),
    (MatchPolicy::Prefix, "b"),
    (MatchPolicy::Wildcard, ".one"),
];
const TOPICS: [&str; 3] = ["a.one", "a.two", "b.one"];
const PROCEDURES: [&str; 3] = ["p.x", "p.y", "p.z"];

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
    welcomed: bool,
    pub(super) leaving: bool,
    request: RequestId,
    sequence: u64,
    asked: BTreeMap<RequestId, Asked>,
    subscriptions: BTreeMap<(MatchPolicy, &'static str), Option<SubscriptionId>>,
    registrations: BTreeMap<&'static str, RegistrationId>,
    calls: Vec<RequestId>,
    invocations: Vec<(RequestId, bool)>,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Subscribe((MatchPolicy, &'static str)),
    Register(&'static str),
}

/// Payload that says who sent it and what number it is among all that this client sends: `[key, sequence]`.
fn stamp(serializer: Serializer, key: u32, sequence: u64) -> Payload {
    let json = Raw {
        serializer: Serializer::Json,
        shape: Shape::Args,
        bytes: Bytes::from(format!("[{key},{sequence}]]").into_bytes()),
    };
    let json = Payload::new(json);
    match json.as_serialized(serializer) {
        Ok(Some(raw)) => Payload::new(raw.clone()),
        _ => Payload::NONE,
    }
}

impl Client {
    pub(super) fn new(key: u32, shard: ShardIndex, conn: ConnId, serializer: Serializer) -> Client {
        let mut client = Client {
            key,
            shard,
            conn,
            serializer,
            up: VecDeque::new(),
            down: VecDeque::new(),
            welcomed: false,
            leaving: false,
            request: RequestId::default(),
            sequence: 0,
            asked: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            registrations: BTreeMap::new(),
            calls: Vec::new(),
            invocations: Vec::new(),
        };
        // Half of the clients understand INTERRUPT.
        let features = Dict::new().with("call_canceling", key.is_multiple_of(2));
        let roles = Dict::new()
            .with("publisher", Dict::new())
            .with("subscriber", Dict::new())
            .with("caller", Dict::new())
            .with("callee", Dict::new().with("features", features));
        let hello = Hello { realm: "realm1".into(), details: Dict::new().with("roles", roles) };
        client.up.push_back(hello.into());
        client
    }

    fn next_request(&mut self) -> RequestId {
        self.request = self.request.next();
        self.request
    }

    fn stamp(&mut self) -> Payload {
        self.sequence += 1;
        stamp(self.serializer, self.key, self.sequence)
    }

    /// Does something, if it has a session.
    pub(super) fn act(&mut self, rng: &mut Rng) {
        if !self.welcomed || self.leaving {
            return;
        }
        match rng.u32(0..100) {
            0 => {
                self.leaving = true;
                let goodbye = Goodbye { details: Dict::new(), reason: error::CLOSE_REALM.into() };
                self.up.push_back(goodbye.into());
            }
            1..32 => self.publish(rng),
            32..46 => self.subscribe(rng),
            46..54 => self.unsubscribe(rng),
            54..62 => self.register(rng),
            62..68 => self.unregister(rng),
            68..80 => self.call(rng),
            80..84 => self.cancel(rng),
            _ => drop(self.answer(rng)),
        }
    }

    fn publish(&mut self, rng: &mut Rng) {
        let mut options = Dict::new();
        if rng.u8(..) < 64 {
            options.push("acknowledge", true);
        }
        if rng.bool() {
            options.push("exclude_me", false);
        }
        let topic = TOPICS[rng.usize(..TOPICS.len())].into();
        let (request, payload) = (self.next_request(), self.stamp());
        self.up.push_back(Publish { request, options, topic, payload }.into());
    }

    fn subscribe(&mut self, rng: &mut Rng) {
        let subject = SUBJECTS[rng.usize(..SUBJECTS.len())];
        let request = self.next_request();
        self.subscriptions.entry(subject).or_insert(None);
        self.asked.insert(request, Asked::Subscribe(subject));
        let options = match subject.0 {
            MatchPolicy::Exact => Dict::new(),
            policy => Dict::new().with("match", policy.name()),
        };
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
        let procedure = PROCEDURES[rng.usize(..PROCEDURES.len())];
        let request = self.next_request();
        self.asked.insert(request, Asked::Register(procedure));
        self.up.push_back(Register { request, options: Dict::new(), procedure: procedure.into() }.into());
    }

    fn unregister(&mut self, rng: &mut Rng) {
        let held: Vec<_> = self.registrations.iter().map(|(name, id)| (*name, *id)).collect();
        let Some((procedure, registration)) = rng.choice(held) else { return };
        self.registrations.remove(procedure);
        let request = self.next_request();
        self.up.push_back(Unregister { request, registration }.into());
    }

    fn call(&mut self, rng: &mut Rng) {
        let options = if rng.bool() { Dict::new().with("receive_progress", true) } else { Dict::new() };
        let procedure = PROCEDURES[rng.usize(..PROCEDURES.len())].into();
        let (request, payload) = (self.next_request(), self.stamp());
        self.calls.push(request);
        self.up.push_back(Call { request, options, procedure, payload }.into());
    }

    fn cancel(&mut self, rng: &mut Rng) {
        let Some(request) = rng.choice(self.calls.iter().copied()) else { return };
        let options = Dict::new().with("mode", ["skip", "kill", "killnowait"][rng.usize(..3)]);
        self.up.push_back(Cancel { request, options }.into());
    }

    /// Answers an invocation; true if there was one.
    pub(super) fn answer(&mut self, rng: &mut Rng) -> bool {
        if self.invocations.is_empty() {
            return false;
        }
        let at = rng.usize(..self.invocations.len());
        let (request, progressive) = self.invocations[at];
        let payload = self.stamp();
        if progressive && rng.u8(..) < 100 {
            let options = Dict::new().with("progress", true);
            self.up.push_back(Yield { request, options, payload }.into());
            return true;
        }
        self.invocations.swap_remove(at);
        let reply = if rng.u8(..) < 48 {
            let error = "app.error.refused".into();
            Error { request_type: MessageType::Invocation, request, details: Dict::new(), error, payload }.into()
        } else {
            Yield { request, options: Dict::new(), payload }.into()
        };
        self.up.push_back(reply);
        true
    }

    /// Reads the next message that the router has written; true if the session is over.
    pub(super) fn read(&mut self) -> bool {
        let Some(message) = self.down.pop_front() else { return false };
        match message {
            Message::Welcome(_) => self.welcomed = true,
            Message::Subscribed(m) => {
                if let Some(Asked::Subscribe(subject)) = self.asked.remove(&m.request)
                    && let Some(id) = self.subscriptions.get_mut(&subject)
                {
                    *id = Some(m.subscription);
                }
            }
            Message::Registered(m) => {
                if let Some(Asked::Register(procedure)) = self.asked.remove(&m.request) {
                    self.registrations.insert(procedure, m.registration);
                }
            }
            Message::Result(m) if m.details.get("progress").is_none() => {
                self.calls.retain(|call| *call != m.request);
            }
            Message::Error(m) if m.request_type == MessageType::Call => {
                self.calls.retain(|call| *call != m.request);
            }
            Message::Invocation(m) => {
                self.invocations.push((m.request, m.details.get("receive_progress").is_some()));
            }
            // With kill an answer is awaited; with killnowait none is, and none is sent.
            Message::Interrupt(m) if m.options.get("mode").and_then(|mode| mode.as_str()) == Some("killnowait") => {
                self.invocations.retain(|(request, _)| *request != m.request);
            }
            Message::Goodbye(_) => return true,
            _ => {}
        }
        false
    }
}
