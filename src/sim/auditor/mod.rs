//! The auditor: sees what the router reads and writes, and checks the promises of `docs/ordering.md` by name.

mod calls;
mod history;
mod identity;
mod meta;
mod nodes;
mod retained;
mod testament;

use self::calls::{Called, Offer};
use self::history::Readings;
use self::identity::{Audience, Told, wants};
use self::meta::{Observer, Query};
use self::testament::{Testament, promise};
use super::content::SILENCED;
use super::setting::Setting;
use crate::router::ShardIndex;
use crate::wamp::message::{Event, Publish};
use crate::wamp::{MatchPolicy, Message, MessageType, Payload, RegistrationId, RequestId, SubscriptionId, error};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The promise: `G1` to `G16`, `pair order`, `protocol` or `clean`.
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
    setting: Setting,
    /// When the present process began.
    began: u64,
    sessions: BTreeMap<Key, Record>,
    /// The keys of sessions by their ids.
    keys: BTreeMap<u64, Key>,
    publications: Vec<Published>,
    by_stamp: BTreeMap<(Key, u64), usize>,
    subjects: BTreeMap<SubscriptionId, (MatchPolicy, String)>,
    periods: Vec<Period>,
    offers: Vec<Offer>,
    calls: BTreeMap<(Key, RequestId), Called>,
    queries: BTreeMap<(Key, RequestId), Query>,
    /// What was registered by force.
    forced: BTreeSet<(MatchPolicy, String)>,
    /// Sessions that were to be taken out of subscriptions.
    removals: BTreeSet<(u64, u64)>,
    /// The last stamp of the first that the second has seen, whatever it came in.
    pairs: BTreeMap<(Key, Key), u64>,
    /// SUBSCRIBEs that were overtaken by an UNSUBSCRIBE of the same session.
    given_up: Vec<(Key, Wish)>,
    /// The node whose members got a publication with a key, by the subscription.
    shares: BTreeMap<(SubscriptionId, usize), String>,
    /// Requests that are refused, since they want a session disclosed, and whether their clients know.
    refused: BTreeMap<(Key, RequestId), bool>,
    history: Readings,
}

#[derive(Debug, Default)]
struct Record {
    id: u64,
    authid: String,
    authrole: String,
    testaments: Vec<Testament>,
    welcomed: Option<u64>,
    ended: Option<u64>,
    subscribing: BTreeMap<RequestId, Wish>,
    /// What is to be registered, and whether callers are to be disclosed.
    registering: BTreeMap<RequestId, (MatchPolicy, String, bool)>,
    unregistering: BTreeMap<RequestId, RegistrationId>,
    publishing: BTreeMap<RequestId, usize>,
    unsubscribing: BTreeMap<RequestId, usize>,
    mistaken: BTreeMap<RequestId, (SubscriptionId, u64)>,
    invocations: u64,
    events: BTreeSet<(SubscriptionId, Key, u64)>,
}

/// A SUBSCRIBE.
#[derive(Clone, Debug)]
struct Wish {
    policy: MatchPolicy,
    uri: String,
    retained: bool,
    node: Option<String>,
    read: u64,
    /// The session has unsubscribed before it was told SUBSCRIBED.
    given_up: bool,
}

#[derive(Debug)]
struct Published {
    at: u64,
    by: Key,
    sequence: u64,
    topic: String,
    exclude_me: bool,
    retain: bool,
    key: Option<String>,
    audience: Audience,
    disclosed: bool,
    /// When PUBLISHED was written.
    acknowledged: Option<u64>,
}

/// From SUBSCRIBED written to UNSUBSCRIBE read.
#[derive(Debug)]
struct Period {
    session: Key,
    id: SubscriptionId,
    policy: MatchPolicy,
    uri: String,
    /// The node that it belongs to, and when that was asked for.
    node: Option<(String, u64)>,
    from: u64,
    until: Option<u64>,
    /// When UNSUBSCRIBED was written.
    over: Option<u64>,
    retained: retained::Reading,
    observer: Observer,
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
    let args = match payload.values() {
        Ok((args, _)) => args,
        Err(error) => return breach("protocol", format!("a payload cannot be read: {error}")),
    };
    let numbers: Vec<u64> = args.iter().filter_map(crate::wamp::Value::as_uint).collect();
    match (args.len(), &*numbers) {
        (2, [key, sequence]) => Ok((Key::try_from(*key).unwrap_or_default(), *sequence)),
        _ => breach("protocol", format!("a payload has become {args:?}")),
    }
}

impl Auditor {
    pub(super) fn new(setting: Setting) -> Auditor {
        Auditor { setting, ..Auditor::default() }
    }

    /// The router reads a message of a client.
    pub(super) fn reads(&mut self, at: u64, who: Key, message: &Message) -> Checked {
        if let Message::Hello(_) = message {
            self.sessions.insert(who, Record::default());
        }
        // What a client has sent before it knew that it was killed means nothing.
        if self.record(who).ended.is_some() {
            return Ok(());
        }
        match message {
            Message::Goodbye(_) => self.ends(at, who),
            Message::Publish(m) => self.reads_publish(at, who, m)?,
            Message::Subscribe(m) => {
                let policy = m.options.get("match").and_then(|name| name.as_str()).and_then(MatchPolicy::from_name);
                let retained = m.options.get("get_retained").is_some();
                let node = m.options.get("nkey").and_then(|node| node.as_str()).map(Into::into);
                let (policy, uri) = (policy.unwrap_or_default(), m.topic.to_string());
                self.record(who)
                    .subscribing
                    .insert(m.request, Wish { policy, uri, retained, node, read: at, given_up: false });
            }
            Message::Unsubscribe(m) => {
                let open =
                    |period: &Period| period.session == who && period.id == m.subscription && period.until.is_none();
                match self.periods.iter().position(open) {
                    Some(number) => {
                        self.periods[number].until = Some(at);
                        self.record(who).unsubscribing.insert(m.request, number);
                    }
                    // The client acts on what it has read, which may be out of date.
                    None => drop(self.record(who).mistaken.insert(m.request, (m.subscription, at))),
                }
            }
            Message::Register(m) => {
                let disclose = wants(&m.options, "disclose_caller");
                if self.is_refused(who, m.request, disclose, true) {
                    return Ok(());
                }
                let policy = m.options.get("match").and_then(|name| name.as_str()).and_then(MatchPolicy::from_name);
                let wish = (policy.unwrap_or_default(), m.procedure.to_string());
                if m.options.get("force_reregister").is_some() {
                    self.forced.insert(wish.clone());
                    // Whoever has it may lose it, and be told later.
                    let same = |offer: &&mut Offer| (offer.policy, &offer.procedure) == (wish.0, &wish.1);
                    self.offers.iter_mut().filter(same).for_each(|offer| offer.doubtful = true);
                }
                self.record(who).registering.insert(m.request, (wish.0, wish.1, disclose));
            }
            Message::Unregister(m) => {
                self.record(who).unregistering.insert(m.request, m.registration);
                for offer in self.offers.iter_mut().filter(|o| o.session == who && o.id == m.registration) {
                    offer.ending = true;
                }
            }
            Message::Call(m) if m.procedure.starts_with("wamp.") => {
                self.asks(at, who, m)?;
                if m.procedure.ends_with("_testament") || m.procedure.ends_with("_testaments") {
                    self.testifies(who, m)?;
                }
            }
            Message::Call(m) => self.calls(who, m)?,
            Message::Error(m) if *m.error == *error::UNAVAILABLE => self.passes_on(who, m.request),
            _ => {}
        }
        Ok(())
    }

    /// The session is over for the router.
    pub(super) fn ends(&mut self, at: u64, who: Key) {
        if self.record(who).ended.is_none() {
            self.record(who).ended = Some(at);
            self.executes(at, who);
        }
    }

    /// The process has died. Nothing that it has promised is to be expected of the next, but for what it has written
    /// down.
    pub(super) fn crashes(&mut self, at: u64) {
        for record in self.sessions.values_mut() {
            record.ended.get_or_insert(at);
        }
        let old = std::mem::take(self);
        *self = Auditor {
            setting: old.setting,
            began: at,
            sessions: old.sessions,
            keys: old.keys,
            publications: old.publications,
            by_stamp: old.by_stamp,
            history: old.history.of_the_past(),
            ..Auditor::default()
        };
    }

    fn reads_publish(&mut self, at: u64, who: Key, m: &Publish) -> Checked {
        let (options, awaited) = (&m.options, wants(&m.options, "acknowledge"));
        let disclosed = wants(options, "disclose_me");
        if self.is_refused(who, m.request, disclosed, awaited) {
            return Ok(());
        }
        let (by, sequence) = stamp(&m.payload)?;
        let number = self.publishes(Published {
            at,
            by,
            sequence,
            topic: m.topic.to_string(),
            exclude_me: options.get("exclude_me").is_none(),
            retain: wants(options, "retain"),
            key: options.get("rkey").and_then(|key| key.as_str()).map(Into::into),
            audience: Audience::of(options),
            disclosed,
            acknowledged: None,
        });
        self.record(who).publishing.insert(m.request, number);
        Ok(())
    }

    fn publishes(&mut self, published: Published) -> usize {
        let number = self.publications.len();
        self.by_stamp.insert((published.by, published.sequence), number);
        self.publications.push(published);
        number
    }

    fn record(&mut self, who: Key) -> &mut Record {
        self.sessions.entry(who).or_default()
    }

    fn is_alive(&self, who: Key) -> bool {
        self.sessions.get(&who).is_some_and(|record| record.ended.is_none())
    }

    /// The router writes a message to a client.
    pub(super) fn writes(&mut self, at: u64, who: Key, message: &Message) -> Checked {
        match message {
            Message::Abort(m) => breach("protocol", format!("client {who} was aborted: {:?}", m.details)),
            Message::Welcome(m) => {
                self.keys.insert(m.session.get(), who);
                let record = self.record(who);
                let text = |key| m.details.get(key).and_then(|text| text.as_str()).unwrap_or_default().to_string();
                (record.id, record.authid, record.authrole) = (m.session.get(), text("authid"), text("authrole"));
                record.welcomed = Some(at);
                Ok(())
            }
            Message::Goodbye(m) => {
                if *m.reason == *SILENCED {
                    self.record(who).testaments.clear();
                }
                self.ends(at, who);
                Ok(())
            }
            Message::Published(m) => {
                let number = self.record(who).publishing.remove(&m.request);
                let Some(number) = number else {
                    return breach("protocol", format!("PUBLISHED {} was not asked for", m.request));
                };
                self.publications[number].acknowledged = Some(at);
                Ok(())
            }
            Message::Subscribed(m) => self.subscribed(at, who, m.request, m.subscription),
            Message::Unsubscribed(m) => self.unsubscribed(at, who, m),
            Message::Event(m) => {
                let topic = m.details.get("topic").and_then(|topic| topic.as_str());
                match topic.filter(|topic| topic.starts_with("wamp.")) {
                    Some(topic) => self.observes(who, m.subscription, topic, &m.payload),
                    None => self.event(who, m),
                }
            }
            Message::Registered(m) => {
                let Some((policy, procedure, disclose)) = self.record(who).registering.remove(&m.request) else {
                    return breach("protocol", format!("REGISTERED {} was not asked for", m.request));
                };
                let id = m.registration;
                let doubtful = self.forced.contains(&(policy, procedure.clone()));
                let (session, ending, ended) = (who, false, false);
                self.offers.push(Offer { session, policy, procedure, disclose, id, ending, doubtful, ended });
                Ok(())
            }
            Message::Unregistered(m) => {
                let revoked = m.details.as_ref().and_then(|details| details.get("registration")?.as_uint());
                let id = match revoked {
                    Some(id) => RegistrationId::from_raw(id),
                    None => match self.record(who).unregistering.remove(&m.request) {
                        Some(id) => id,
                        None => return breach("protocol", format!("UNREGISTERED {} was not asked for", m.request)),
                    },
                };
                for offer in self.offers.iter_mut().filter(|offer| offer.session == who && offer.id == id) {
                    offer.ended = true;
                }
                Ok(())
            }
            Message::Invocation(m) => self.invocation(who, m),
            Message::Interrupt(m) => {
                let known = self.record(who).invocations;
                if m.request.get() > known {
                    return breach("G8", format!("INTERRUPT {} came before its INVOCATION", m.request));
                }
                Ok(())
            }
            Message::Result(m) if self.queries.contains_key(&(who, m.request)) => {
                self.is_told(at, who, m.request, &m.payload)
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
        let Some(wish) = self.record(who).subscribing.remove(&request) else {
            return breach("protocol", format!("SUBSCRIBED {request} was not asked for"));
        };
        let Wish { policy, uri, .. } = wish.clone();
        let known = self.subjects.entry(id).or_insert_with(|| (policy, uri.clone()));
        if *known != (policy, uri.clone()) {
            return breach("G7", format!("subscription {id} is of {known:?} and of {:?}", (policy, uri)));
        }
        let held = self.periods.iter().find(|period| {
            period.until.is_none() && self.is_alive(period.session) && (period.policy, &period.uri) == (policy, &uri)
        });
        if let Some(other) = held.filter(|other| other.id != id) {
            return breach("G7", format!("{uri} is subscription {id} for {who} and {} for others", other.id));
        }
        let open = |p: &&mut Period| p.session == who && p.id == id && p.until.is_none();
        if let Some(period) = self.periods.iter_mut().find(open) {
            period.retained.asks_again(wish.retained);
            return Ok(());
        }
        // Others that wait for the same SUBSCRIBED may have asked for retained events.
        let waiting = self.record(who).subscribing.values();
        let same = |other: &&Wish| (other.policy, &other.uri) == (policy, &uri) && !other.given_up;
        let same: Vec<Wish> = waiting.filter(same).cloned().collect();
        let retained = retained::Reading::of(&wish, &same);
        let node = wish.node.map(|node| (node, wish.read));
        let (observer, session, from, until, over) = (Observer::default(), who, at, None, None);
        self.periods.push(Period { session, id, policy, uri, node, from, until, over, retained, observer });
        Ok(())
    }

    fn unsubscribed(&mut self, at: u64, who: Key, m: &crate::wamp::message::Unsubscribed) -> Checked {
        let revoked = m.details.as_ref().and_then(|details| details.get("subscription")?.as_uint());
        if let Some(id) = revoked {
            let open = |p: &&mut Period| p.session == who && p.id.get() == id && p.until.is_none();
            let Some(period) = self.periods.iter_mut().find(open) else {
                return breach("protocol", format!("subscription {id} was revoked that {who} has not"));
            };
            (period.until, period.over) = (Some(at), Some(at));
            return Ok(());
        }
        if let Some((id, at)) = self.record(who).mistaken.remove(&m.request) {
            return self.gives_up(who, id, at);
        }
        let Some(number) = self.record(who).unsubscribing.remove(&m.request) else {
            return breach("protocol", format!("UNSUBSCRIBED {} was not asked for", m.request));
        };
        self.periods[number].over = Some(at);
        Ok(())
    }

    /// The session was a member already, though it had not been told.
    fn gives_up(&mut self, who: Key, id: SubscriptionId, at: u64) -> Checked {
        let subject = self.subjects.get(&id).cloned().unwrap_or_default();
        let waiting = self.sessions.entry(who).or_default().subscribing.values_mut();
        let meant = |wish: &Wish| wish.read < at && (wish.policy, &wish.uri) == (subject.0, &subject.1);
        for wish in waiting.filter(|wish| meant(wish) && !wish.given_up) {
            wish.given_up = true;
            self.given_up.push((who, wish.clone()));
        }
        if !self.given_up.iter().any(|(session, wish)| *session == who && meant(wish)) {
            return breach("protocol", format!("client {who} is told that it has left {id}, which it had not"));
        }
        Ok(())
    }

    /// The present or last period of a session's subscription, which gets events now.
    fn period(&mut self, who: Key, id: SubscriptionId) -> Result<usize, Breach> {
        let mine = |period: &Period| period.session == who && period.id == id;
        let Some(number) = self.periods.iter().rposition(mine) else {
            return breach("G2", format!("client {who} got an event of {id} before SUBSCRIBED"));
        };
        if self.periods[number].until.is_some() {
            return breach("G4", format!("client {who} got an event of {id} after it had unsubscribed"));
        }
        Ok(number)
    }

    fn event(&mut self, who: Key, m: &Event) -> Checked {
        let Event { subscription: id, details, payload, .. } = m;
        let id = *id;
        let (by, sequence) = stamp(payload)?;
        let number = self.period(who, id)?;
        let period = &mut self.periods[number];
        let Some(&at) = self.by_stamp.get(&(by, sequence)) else {
            let text = format!("nobody has published event {sequence} of {by}, which {who} got");
            return breach(promise(sequence, "protocol"), text);
        };
        let published = &self.publications[at];
        if !matches(period.policy, &period.uri, &published.topic) {
            return breach("protocol", format!("an event of {} came to {}", published.topic, period.uri));
        }
        let topic = details.get("topic").and_then(|topic| topic.as_str());
        if topic != (period.policy != MatchPolicy::Exact).then_some(&*published.topic) {
            return breach("protocol", format!("EVENT.Details.topic is {topic:?} for {}", published.topic));
        }
        if published.exclude_me && by == who {
            return breach("protocol", format!("client {who} got its own event"));
        }
        if !published.is_for(who, &self.sessions[&who]) {
            return breach("G13", format!("event {sequence} of {by} is not for client {who}, who got it"));
        }
        let retained = details.get("retained").is_some();
        if retained {
            period.retained.takes(who, published)?;
        } else {
            period.retained.goes_on(who, published)?;
        }
        let (uri, asked) = (&*published.topic, published.disclosed);
        self.tells_of(who, details, &Told { what: "an event", role: "publisher", by, uri, asked })?;
        if retained {
            return Ok(());
        }
        self.shared_out(number, at)?;
        if !self.record(who).events.insert((id, by, sequence)) {
            return breach(promise(sequence, "G1"), format!("client {who} got event {sequence} of {by} twice"));
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
            return breach(promise(*last, guarantee), format!("{what} {sequence} of {by} came to {who} after {last}"));
        }
        *last = sequence;
        Ok(())
    }

    fn error(&mut self, who: Key, m: &crate::wamp::message::Error) -> Checked {
        if *m.error == *error::DISCLOSE_ME_DISALLOWED {
            self.queries.remove(&(who, m.request));
            return self.refuses(who, m.request);
        }
        match m.request_type {
            // The event has been published, but is not on the disk.
            MessageType::Publish if self.setting.failing && *m.error == *error::INTERNAL_ERROR => {
                match self.record(who).publishing.remove(&m.request) {
                    Some(_) => Ok(()),
                    None => breach("protocol", format!("ERROR for PUBLISH {}, which was not sent", m.request)),
                }
            }
            MessageType::Call if self.queries.remove(&(who, m.request)).is_some() => Ok(()),
            MessageType::Call => self.call_error(who, m),
            MessageType::Register if *m.error == *error::PROCEDURE_ALREADY_EXISTS => {
                self.record(who).registering.remove(&m.request);
                Ok(())
            }
            MessageType::Subscribe if *m.error == *error::NO_SUCH_SUBSCRIPTION => {
                let wish = self.record(who).subscribing.remove(&m.request);
                self.given_up.extend(wish.map(|wish| (who, wish)));
                Ok(())
            }
            MessageType::Unsubscribe
                if *m.error == *error::NO_SUCH_SUBSCRIPTION
                    && self.record(who).mistaken.remove(&m.request).is_some() =>
            {
                Ok(())
            }
            // The registration may have been taken over meanwhile.
            MessageType::Unregister if *m.error == *error::NO_SUCH_REGISTRATION => {
                let Some(id) = self.record(who).unregistering.remove(&m.request) else {
                    return breach("protocol", format!("ERROR for UNREGISTER {}, which was not sent", m.request));
                };
                if self
                    .offers
                    .iter()
                    .any(|offer| offer.session == who && offer.id == id && !offer.ended && !offer.doubtful)
                {
                    return breach("G6", format!("client {who} cannot unregister {id}, though it has it"));
                }
                Ok(())
            }
            _ => breach("protocol", format!("unexpected ERROR {}", m.error)),
        }
    }

    /// At the end, when everything has arrived: has everything that had to?
    pub(super) fn concludes(&self) -> Checked {
        self.every_call_is_over()?;
        self.everything_was_refused()?;
        self.everything_is_shared_out()?;
        self.keys_are_faithful()?;
        for period in self.periods.iter().filter(|p| p.until.is_none() && self.is_alive(p.session)) {
            let record = &self.sessions[&period.session];
            let alone = |published: &&Published| period.node.is_none() || published.key.is_none();
            for published in self.publications.iter().filter(alone).filter(|published| published.at > period.from) {
                let wanted =
                    matches(period.policy, &period.uri, &published.topic) && published.is_for(period.session, record);
                if wanted && !record.events.contains(&(period.id, published.by, published.sequence)) {
                    let (who, uri) = (period.session, &period.uri);
                    let event = format!("event {} of {}", published.sequence, published.by);
                    let lost = if published.audience.is_everybody() { "G3" } else { "G13" };
                    let lost = promise(published.sequence, lost);
                    return breach(lost, format!("{event} was read after SUBSCRIBED, but did not reach {who} ({uri})"));
                }
            }
            self.nothing_is_missing(period)?;
            self.everything_was_observed(period)?;
        }
        Ok(())
    }
}

/// Names a shard in messages of the auditor.
pub(super) fn not_clean(shard: ShardIndex) -> Breach {
    Breach { guarantee: "clean", what: format!("shard {shard} holds something though every session has left") }
}
