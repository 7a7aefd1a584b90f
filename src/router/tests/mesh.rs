//! Shards without sockets, whose messages to each other are moved one at a time.

use crate::auth::config::{Anonymous, AuthConfig, Grant, Source};
use crate::auth::{AuthSettings, Peer};
use crate::router::{ConnId, Effect, Limits, Link, Policy, Sampling, Shard, ShardConfig, ShardIndex, ShardMsg, Span};
use crate::session::{Access, RealmConfig, RoleConfig};
use crate::wamp::Serializer;
use crate::wire::frame::{Frame, Framing};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(pub(super) ShardIndex, pub(super) ConnId);

/// Which role a client has: there is a transport for each.
#[derive(Clone, Copy, Debug)]
pub(super) enum As {
    Backend,
    User,
}

pub(super) struct Mesh {
    pub(super) shards: Vec<Shard>,
    pub(super) now: Duration,
    pub(super) spans: Vec<Span>,
    pub(super) policy: Policy,
    queues: Vec<VecDeque<ShardMsg>>,
    written: BTreeMap<At, Vec<Json>>,
    conns: u32,
}

/// A realm in which the backend may do everything, and others what is said here.
pub(super) fn realm(user: Access) -> RealmConfig {
    let role = |name: &str, access| RoleConfig { name: name.into(), access };
    RealmConfig { roles: Some(vec![role("backend", Access::All), role("user", user)]), ..RealmConfig::new("realm1") }
}

fn transport(role: &str) -> AuthConfig {
    let grant = Grant { role: Some(role.into()), ..Grant::default() };
    AuthConfig { anonymous: Some(Source::Static(Anonymous { grant, authid: None })), ..AuthConfig::default() }
}

impl Mesh {
    pub(super) fn new(shards: ShardIndex, realm: RealmConfig, limits: Limits) -> Mesh {
        let transports = vec![transport("backend"), transport("user")];
        let auth = Arc::new(AuthSettings { transports, ..AuthSettings::default() });
        let policy = Policy { realms: Arc::from([realm]), auth, limits, traces: None };
        let start = |index| {
            Shard::new(ShardConfig {
                index,
                shards,
                seed: u64::from(index),
                epoch: Duration::from_secs(1_700_000_000),
                realms: policy.realms.clone(),
                auth: policy.auth.clone(),
                limits,
                traces: None,
                attempts: Arc::default(),
                census: Arc::default(),
                agent: "tested".into(),
                #[cfg(feature = "sim")]
                broken: None,
            })
        };
        Mesh {
            shards: (0..shards).map(start).collect(),
            now: Duration::ZERO,
            spans: Vec::new(),
            queues: (0..shards * shards).map(|_| VecDeque::new()).collect(),
            written: BTreeMap::new(),
            conns: 0,
            policy,
        }
    }

    /// Opens a session with every feature that tests here need.
    pub(super) fn join(&mut self, shard: ShardIndex, role: As) -> At {
        let at = At(shard, ConnId(self.conns));
        self.conns += 1;
        let link = Link { serializer: Serializer::Json, framing: Framing::Bare, message_max: usize::MAX };
        let peer = Arc::new(Peer { transport: role as u16, ..Peer::default() });
        let now = self.now;
        self.shard(shard).open(now, at.1, link, peer);
        let calls = json!({"progressive_call_invocations": true, "progressive_call_results": true,
            "call_canceling": true, "registration_revocation": true});
        let roles = json!({"caller": {"features": calls}, "callee": {"features": calls},
            "publisher": {}, "subscriber": {}});
        self.say(at, &json!([1, "realm1", {"roles": roles}]));
        self.settle();
        assert_eq!(self.heard(at)[0][0], 2, "WELCOME");
        at
    }

    pub(super) fn shard(&mut self, index: ShardIndex) -> &mut Shard {
        &mut self.shards[usize::from(index)]
    }

    /// A message of a client is read; what shards send each other stays in their queues.
    pub(super) fn say(&mut self, at: At, message: &Json) {
        let now = self.now;
        self.shard(at.0).receive(now, at.1, message.to_string().as_bytes());
        self.collect(at.0);
    }

    /// What a client has been written since it was last asked for.
    pub(super) fn heard(&mut self, at: At) -> Vec<Json> {
        self.written.remove(&at).unwrap_or_default()
    }

    /// Gives back what a client has been written, before what it has been written since.
    pub(super) fn put_back(&mut self, at: At, mut messages: Vec<Json>) {
        messages.append(&mut self.heard(at));
        self.written.insert(at, messages);
    }

    /// Says something, lets everything arrive and gives what the client has been written.
    pub(super) fn ask(&mut self, at: At, message: &Json) -> Vec<Json> {
        self.say(at, message);
        self.settle();
        self.heard(at)
    }

    /// Moves one message between shards, the lowest queue first; false if there is none.
    pub(super) fn step(&mut self) -> bool {
        let shards = self.shards.len();
        let Some(queue) = self.queues.iter().position(|queue| !queue.is_empty()) else { return false };
        let Some(message) = self.queues[queue].pop_front() else { return false };
        let index = |at: usize| ShardIndex::try_from(at).expect("few shards");
        let (from, to, now) = (index(queue / shards), index(queue % shards), self.now);
        self.shard(to).peer(now, from, message);
        self.collect(to);
        true
    }

    pub(super) fn settle(&mut self) {
        while self.step() {}
    }

    /// Goes on with another realm.
    pub(super) fn reform(&mut self, realm: RealmConfig) {
        self.policy.realms = Arc::from([realm]);
        self.apply_policy();
    }

    pub(super) fn trace(&mut self, traces: Option<Sampling>) {
        self.policy.traces = traces;
        self.apply_policy();
    }

    fn apply_policy(&mut self) {
        for index in 0..ShardIndex::try_from(self.shards.len()).expect("few shards") {
            let (now, policy) = (self.now, self.policy.clone());
            self.shard(index).reform(now, policy);
            self.collect(index);
        }
        self.settle();
    }

    /// Does what a shard wants done.
    pub(super) fn collect(&mut self, index: ShardIndex) {
        while let Some(effect) = self.shard(index).poll() {
            match effect {
                Effect::Send { conn, frame } => self.write(At(index, conn), &frame),
                Effect::Fan { conns, frame, .. } => conns.iter().for_each(|conn| self.write(At(index, *conn), &frame)),
                Effect::Peer { to, message } => {
                    let queue = usize::from(index) * self.shards.len() + usize::from(to);
                    self.queues[queue].push_back(message);
                }
                Effect::Span(span) => self.spans.push(*span),
                _ => {}
            }
        }
    }

    fn write(&mut self, at: At, frame: &Frame) {
        let message = serde_json::from_slice(&frame.parts().concat()).expect("JSON");
        self.written.entry(at).or_default().push(message);
    }
}
