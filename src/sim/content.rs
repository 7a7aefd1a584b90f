//! What there is in the simulated world to subscribe to, to register and to say: little, so that much happens to each.

use crate::router::{ShardIndex, subject};
use crate::wamp::{Dict, MatchPolicy, Payload, Serializer, Value, codec};

/// What can be subscribed to.
pub(super) const SUBJECTS: [(MatchPolicy, &str); 8] = [
    (MatchPolicy::Exact, "a.one"),
    (MatchPolicy::Exact, "a.two"),
    (MatchPolicy::Exact, "b.one"),
    (MatchPolicy::Prefix, "a."),
    (MatchPolicy::Prefix, "b"),
    (MatchPolicy::Wildcard, ".one"),
    (MatchPolicy::Prefix, "wamp."),
    (MatchPolicy::Prefix, "wamp."),
];

/// What is published to.
pub(super) const TOPICS: [&str; 3] = ["a.one", "a.two", "b.one"];

/// The subject whose events are kept.
pub(super) const HISTORY: (MatchPolicy, &str) = (MatchPolicy::Prefix, "a.");

/// A procedure that can be registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedProcedure {
    pub(super) name: &'static str,
    pub(super) policy: MatchPolicy,
    pub(super) invoke: &'static str,
    pub(super) concurrency: u64,
}

const fn procedure(name: &'static str, policy: MatchPolicy, invoke: &'static str, concurrency: u64) -> SharedProcedure {
    SharedProcedure { name, policy, invoke, concurrency }
}

/// The nodes that subscribers belong to.
pub(super) const NODES: [&str; 3] = ["east", "west", ""];

/// The keys by which nodes share out publications: each of them has another order of the nodes.
pub(super) const KEYS: [&str; 4] = ["sn1", "sn2", "sn3", "sn4"];

/// The procedure whose callees work on one call at a time.
pub(super) const LIMITED: &str = "s.limited";

/// What can be registered.
pub(super) const PROCEDURES: [SharedProcedure; 7] = [
    procedure("p.x", MatchPolicy::Exact, "single", 0),
    procedure("p.y", MatchPolicy::Exact, "single", 0),
    procedure("p.z", MatchPolicy::Exact, "single", 0),
    procedure("p.", MatchPolicy::Prefix, "single", 0),
    procedure(".w", MatchPolicy::Wildcard, "roundrobin", 0),
    procedure("r.shared", MatchPolicy::Exact, "roundrobin", 0),
    procedure(LIMITED, MatchPolicy::Exact, "random", 1),
];

/// What is called.
pub(super) const CALLED: [&str; 7] = ["p.x", "p.y", "p.z", "p.w", "q.w", "r.shared", LIMITED];

/// Trust levels: how the URI is compared, the URI, the role they are for, the level. The first that applies counts.
pub(super) const TRUST: [(MatchPolicy, &str, Option<&str>, u32); 4] = [
    (MatchPolicy::Prefix, "a.", Some("staff"), 9),
    (MatchPolicy::Exact, "a.one", None, 1),
    (MatchPolicy::Wildcard, ".one", Some(ROLE), 2),
    (MatchPolicy::Prefix, "p.", None, 3),
];

/// The role of every client.
pub(super) const ROLE: &str = "anonymous";

/// Why sessions are ended all at once, of which nobody is told, and whose testaments are not published.
pub(super) const SILENCED: &str = "app.close.all";

/// The stamps of testaments begin here: behind everything that a session sends while it lives.
pub(super) const DETACHED: u64 = 1 << 40;
/// The stamps of testaments for the session's end begin here.
pub(super) const DESTROYED: u64 = 1 << 41;

/// The id of the subscription whose events are kept: the first one of its home.
pub(super) fn history_id(shards: ShardIndex) -> u64 {
    u64::from(subject::home(0, HISTORY.1, shards)) + 1
}

/// Payload of these arguments.
pub(super) fn payload(serializer: Serializer, args: Vec<Value>) -> Payload {
    named_payload(serializer, args, Dict::new())
}

/// Payload of arguments by position and by name.
pub(super) fn named_payload(serializer: Serializer, args: Vec<Value>, kwargs: Dict) -> Payload {
    codec::payload(serializer, args, kwargs).map_or(Payload::NONE, Payload::new)
}

/// Payload that says who sent it and what number it is among all that this client sends: `[key, sequence]`.
pub(super) fn stamp(serializer: Serializer, key: u32, sequence: u64) -> Payload {
    payload(serializer, vec![Value::from(u64::from(key)), Value::from(sequence)])
}
