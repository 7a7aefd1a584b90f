//! The auditor: sees what the router reads and writes, and checks the promises of `docs/ordering.md` by name.

use crate::router::ShardIndex;
use crate::wamp::{
    MatchPolicy, Message, MessageType, Payload, RegistrationId, RequestId, Serializer, SubscriptionId, error,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The promise: `G1` to `G8`, `pair order`, `protocol` or `clean`.
    pub guarantee: &'static str,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.guarantee, self.what)
    }
}

type Checked = Result<(), Breach>;
type Key = u32;

fn breach<T>(guarantee: &'static str, what: impl Into<String>) -> Result<T, Breach> {
    Err(Breach { guarantee, what: what.into() })
}

/// What the auditor knows of a run.
#[derive(Debug, Default)]
pub(super) struct Auditor {
    sessions: BTreeMap<Key, Record>,
    publications: Vec<Published>,
    by_stamp: BTreeMap<(Key, u64), usize>,
    subjects: BTreeMap<SubscriptionId, (MatchPolicy, String)>,
    periods: Vec<Period>,
    offers: Vec<Offer>,
    calls: BTreeMap<(Key, RequestId), Called>,
    /// The last stamp of the first that the second has seen, whatever it came in.
    pairs: BTreeMap<(Key, Key), u64>,
}

#[derive(Debug, Default)]
struct Record {
    ended: bool,
    subscribing: BTreeMap<RequestId, (MatchPolicy, String)>,
    registering: BTreeMap<RequestId, String>,
    unregistering: BTreeMap<RequestId, RegistrationId>,
    mistaken: BTreeSet<RequestId>,
    invocations: u64,
    events: BTreeSet<(SubscriptionId, Key, u64)>,
}

#[derive(Debug)]
struct Published {
    at: u64,
    by: Key,
    sequence: u64,
    topic: String,
    exclude_me: bool,
}

/// From SUBSCRIBED written to UNSUBSCRIBE read.
#[derive(Debug)]
struct Period {
    session: Key,
    id: SubscriptionId,
    policy: MatchPolicy,
    uri: String,
    from: u64,
    until: Option<u64>,
}

/// From REGISTERED written to UNREGISTERED written.
#[derive(Debug)]
struct Offer {
    session: Key,
    procedure: String,
    id: RegistrationId,
    ending: bool,
    ended: bool,
}

#[derive(Debug)]
struct Called {
    over: bool,
    sequence: u64,
    /// Who offered the procedure when the call was read.
    offered_by: Vec<Key>,
    invoked: bool,
}

fn matches(policy: MatchPolicy, pattern: &str, uri: &str) -> bool {
    match policy {
        MatchPolicy::Exact => pattern == uri,
        MatchPolicy::Prefix => uri.starts_with(pattern),
        MatchPolicy::Wildcard => {
            let (pattern, uri): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), uri.split('.').collect());
            pattern.len() == uri.len() && pattern.iter().zip(&uri).all(|(p, u)| p.is_empty() || p == u)
        }
    }
}

/// Reads `[key, sequence]`.
fn stamp(payload: &Payload) -> Result<(Key, u64), Breach> {
    let raw = match payload.as_serialized(Serializer::Json) {
        Ok(Some(raw)) => raw,
        Ok(None) => return breach("protocol", "a payload has been lost"),
        Err(error) => return breach("protocol", format!("a payload cannot be read: {error}")),
    };
    let text = String::from_utf8_lossy(&raw.bytes);
    let numbers = text.trim_start_matches('[').trim_end_matches(']');
    let parts = numbers.split_once(',').and_then(|(key, sequence)| Some((key.parse().ok()?, sequence.parse().ok()?)));
    parts.map_or_else(|| breach("protocol", format!("a payload has become {text}")), Ok)
}

impl Auditor {
    /// The router reads a message of a client.
    pub(super) fn reads(&mut self, at: u64, who: Key, message: &Message) -> Checked {
        match message {
            Message::Hello(_) => {
                self.sessions.insert(who, Record::default());
            }
            Message::Goodbye(_) => self.ends(who),
            Message::Publish(m) => {
                let (by, sequence) = stamp(&m.payload)?;
                let exclude_me = m.options.get("exclude_me").is_none();
                self.by_stamp.insert((by, sequence), self.publications.len());
                self.publications.push(Published { at, by, sequence, topic: m.topic.to_string(), exclude_me });
            }
            Message::Subscribe(m) => {
                let policy = m.options.get("match").and_then(|name| name.as_str()).and_then(MatchPolicy::from_name);
                let subject = (policy.unwrap_or_default(), m.topic.to_string());
                self.record(who).subscribing.insert(m.request, subject);
            }
            Message::Unsubscribe(m) => {
                let open = |period: &&mut Period| {
                    period.session == who && period.id == m.subscription && period.until.is_none()
                };
                match self.periods.iter_mut().find(open) {
                    Some(period) => period.until = Some(at),
                    // The client acts on what it has read, which may be out of date.
                    None => drop(self.record(who).mistaken.insert(m.request)),
                }
            }
            Message::Register(m) => {
                self.record(who).registering.insert(m.request, m.procedure.to_string());
            }
            Message::Unregister(m) => {
                self.record(who).unregistering.insert(m.request, m.registration);
                for offer in self.offers.iter_mut().filter(|o| o.session == who && o.id == m.registration) {
                    offer.ending = true;
                }
            }
            Message::Call(m) => {
                let (_, sequence) = stamp(&m.payload)?;
                let stands = |offer: &&Offer| offer.procedure == *m.procedure && !offer.ending && !offer.ended;
                let offered_by = self.offers.iter().filter(stands).map(|offer| offer.session).collect();
                let call = Called { over: false, sequence, offered_by, invoked: false };
                self.calls.insert((who, m.request), call);
            }
            _ => {}
        }
        Ok(())
    }

    /// The session is over for the router.
    pub(super) fn ends(&mut self, who: Key) {
        self.record(who).ended = true;
    }

    fn record(&mut self, who: Key) -> &mut Record {
        self.sessions.entry(who).or_default()
    }

    /// The router writes a message to a client.
    pub(super) fn writes(&mut self, at: u64, who: Key, message: &Message) -> Checked {
        match message {
            Message::Abort(m) => breach("protocol", format!("client {who} was aborted: {:?}", m.details)),
            Message::Subscribed(m) => self.subscribed(at, who, m.request, m.subscription),
            Message::Event(m) => {
                let topic = m.details.get("topic").and_then(|topic| topic.as_str());
                self.event(who, m.subscription, topic, &m.payload)
            }
            Message::Registered(m) => {
                let Some(procedure) = self.record(who).registering.remove(&m.request) else {
                    return breach("protocol", format!("REGISTERED {} was not asked for", m.request));
                };
                self.offers.push(Offer { session: who, procedure, id: m.registration, ending: false, ended: false });
                Ok(())
            }
            Message::Unregistered(m) => {
                let Some(id) = self.record(who).unregistering.remove(&m.request) else {
                    return breach("protocol", format!("UNREGISTERED {} was not asked for", m.request));
                };
                for offer in self.offers.iter_mut().filter(|offer| offer.session == who && offer.id == id) {
                    offer.ended = true;
                }
                Ok(())
            }
            Message::Invocation(m) => self.invocation(who, m.request, m.registration, &m.payload),
            Message::Interrupt(m) => {
                let known = self.record(who).invocations;
                if m.request.get() > known {
                    return breach("G8", format!("INTERRUPT {} came before its INVOCATION", m.request));
                }
                Ok(())
            }
            Message::Result(m) => {
                let last = m.details.get("progress").is_none();
                self.answer(who, m.request, last)?;
                self.in_pair_order("RESULT", who, &m.payload, true)
            }
            Message::Error(m) => self.error(who, m),
            _ => Ok(()),
        }
    }

    fn subscribed(&mut self, at: u64, who: Key, request: RequestId, id: SubscriptionId) -> Checked {
        let Some((policy, uri)) = self.record(who).subscribing.remove(&request) else {
            return breach("protocol", format!("SUBSCRIBED {request} was not asked for"));
        };
        let known = self.subjects.entry(id).or_insert_with(|| (policy, uri.clone()));
        if *known != (policy, uri.clone()) {
            return breach("G7", format!("subscription {id} is of {known:?} and of {:?}", (policy, uri)));
        }
        let sessions = &self.sessions;
        let held = self.periods.iter().find(|period| {
            period.until.is_none() && !sessions[&period.session].ended && (period.policy, &period.uri) == (policy, &uri)
        });
        if let Some(other) = held.filter(|other| other.id != id) {
            return breach("G7", format!("{uri} is subscription {id} for {who} and {} for others", other.id));
        }
        if !self.periods.iter().any(|p| p.session == who && p.id == id && p.until.is_none()) {
            self.periods.push(Period { session: who, id, policy, uri, from: at, until: None });
        }
        Ok(())
    }

    fn event(&mut self, who: Key, id: SubscriptionId, topic: Option<&str>, payload: &Payload) -> Checked {
        let (by, sequence) = stamp(payload)?;
        let mine = |period: &&Period| period.session == who && period.id == id;
        let Some(period) = self.periods.iter().rev().find(mine) else {
            return breach("G2", format!("client {who} got an event of {id} before SUBSCRIBED"));
        };
        if period.until.is_some() {
            return breach("G4", format!("client {who} got an event of {id} after it had unsubscribed"));
        }
        let Some(published) = self.by_stamp.get(&(by, sequence)).map(|at| &self.publications[*at]) else {
            return breach("protocol", format!("nobody has published event {sequence} of {by}"));
        };
        if !matches(period.policy, &period.uri, &published.topic) {
            return breach("protocol", format!("an event of {} came to {}", published.topic, period.uri));
        }
        if topic != (period.policy != MatchPolicy::Exact).then_some(&*published.topic) {
            return breach("protocol", format!("EVENT.Details.topic is {topic:?} for {}", published.topic));
        }
        if published.exclude_me && by == who {
            return breach("protocol", format!("client {who} got its own event"));
        }
        if !self.record(who).events.insert((id, by, sequence)) {
            return breach("G1", format!("client {who} got event {sequence} of {by} twice"));
        }
        self.in_pair_order("EVENT", who, payload, false)
    }

    /// Everything that one client causes at another comes in the order in which it was sent.
    fn in_pair_order(&mut self, what: &'static str, who: Key, payload: &Payload, once: bool) -> Checked {
        let (by, sequence) = stamp(payload)?;
        let last = self.pairs.entry((by, who)).or_default();
        if sequence < *last || (once && sequence == *last) {
            let guarantee = match what {
                "EVENT" => "G1",
                "INVOCATION" => "G5",
                _ => "pair order",
            };
            return breach(guarantee, format!("{what} {sequence} of {by} came to {who} after {last}"));
        }
        *last = sequence;
        Ok(())
    }

    fn invocation(&mut self, who: Key, request: RequestId, id: RegistrationId, payload: &Payload) -> Checked {
        let record = self.record(who);
        record.invocations += 1;
        if record.invocations != request.get() {
            return breach("protocol", format!("INVOCATION {request}, but {} comes next", record.invocations));
        }
        if !self.offers.iter().any(|offer| offer.session == who && offer.id == id && !offer.ended) {
            return breach("G6", format!("INVOCATION {request} of {id} came while {who} had not registered it"));
        }
        let (by, sequence) = stamp(payload)?;
        let of_call =
            |((caller, _), call): &(&(Key, RequestId), &mut Called)| *caller == by && call.sequence == sequence;
        let Some((_, call)) = self.calls.iter_mut().find(of_call) else {
            return breach("protocol", format!("nobody has made call {sequence} of {by}"));
        };
        if std::mem::replace(&mut call.invoked, true) {
            return breach("G6", format!("call {sequence} of {by} was invoked twice"));
        }
        self.in_pair_order("INVOCATION", who, payload, true)
    }

    fn error(&mut self, who: Key, m: &crate::wamp::message::Error) -> Checked {
        match m.request_type {
            MessageType::Call => {
                let offered_by = self.calls.get(&(who, m.request)).map_or(&[][..], |call| &call.offered_by);
                let routable = offered_by.iter().any(|callee| !self.sessions[callee].ended);
                if *m.error == *error::NO_SUCH_PROCEDURE && routable {
                    return breach(
                        "G6",
                        format!("call {} of {who} found no procedure, though one is there", m.request),
                    );
                }
                self.answer(who, m.request, true)?;
                if m.payload.is_none() { Ok(()) } else { self.in_pair_order("ERROR", who, &m.payload, true) }
            }
            MessageType::Register if *m.error == *error::PROCEDURE_ALREADY_EXISTS => {
                self.record(who).registering.remove(&m.request);
                Ok(())
            }
            MessageType::Unsubscribe
                if *m.error == *error::NO_SUCH_SUBSCRIPTION && self.record(who).mistaken.remove(&m.request) =>
            {
                Ok(())
            }
            _ => breach("protocol", format!("unexpected ERROR {}", m.error)),
        }
    }

    fn answer(&mut self, who: Key, request: RequestId, last: bool) -> Checked {
        let Some(call) = self.calls.get_mut(&(who, request)) else {
            return breach("protocol", format!("an answer to call {request}, which {who} has not made"));
        };
        if call.over {
            return breach("G6", format!("call {request} of {who} was answered after its last answer"));
        }
        call.over = last;
        Ok(())
    }

    /// At the end, when everything has arrived: has everything that had to?
    pub(super) fn concludes(&self) -> Checked {
        for ((who, request), call) in &self.calls {
            if !call.over && !self.sessions[who].ended {
                return breach("G6", format!("call {request} of {who} has no last answer"));
            }
        }
        for period in self.periods.iter().filter(|p| p.until.is_none() && !self.sessions[&p.session].ended) {
            let record = &self.sessions[&period.session];
            for published in self.publications.iter().filter(|published| published.at > period.from) {
                let wanted = matches(period.policy, &period.uri, &published.topic)
                    && !(published.exclude_me && published.by == period.session);
                if wanted && !record.events.contains(&(period.id, published.by, published.sequence)) {
                    let (who, uri) = (period.session, &period.uri);
                    let event = format!("event {} of {}", published.sequence, published.by);
                    return breach("G3", format!("{event} was read after SUBSCRIBED, but did not reach {who} ({uri})"));
                }
            }
        }
        Ok(())
    }
}

/// Names a shard in messages of the auditor.
pub(super) fn not_clean(shard: ShardIndex) -> Breach {
    Breach { guarantee: "clean", what: format!("shard {shard} holds something though every session has left") }
}
