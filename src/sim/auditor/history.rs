//! The history of events: one sequence, in which every publisher's order is kept (G10), of which every reader sees what
//! is for it (G13), and which outlives the process as far as was promised (G15).

use super::identity::Told;
use super::testament::promise;
use super::{Auditor, Checked, Key, Published, breach, matches};
use crate::sim::content::HISTORY;
use crate::wamp::{Dict, Value};
use std::collections::{BTreeMap, BTreeSet};

/// An event: who has published it, and its stamp.
type Stamp = (Key, u64);

/// What clients have read of the history.
#[derive(Debug, Default)]
pub(super) struct Readings {
    /// The longest sequence of events that are for everybody.
    common: Vec<Stamp>,
    /// What each client has read last, of all events.
    last: BTreeMap<Key, Vec<Stamp>>,
    /// How many events that are for everybody stand before one that is not.
    places: BTreeMap<Stamp, usize>,
    /// The longest sequence that was read before the process died.
    past: Vec<Stamp>,
}

impl Readings {
    /// What is left of this when the process has died.
    pub(super) fn of_the_past(self) -> Readings {
        Readings { past: self.common, ..Readings::default() }
    }
}

fn agree(one: &[Stamp], other: &[Stamp]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}

impl Auditor {
    /// A client has read the whole history; `asked` is when the router had read its question.
    pub(super) fn reads_history(&mut self, asked: u64, who: Key, events: &[Value]) -> Checked {
        let mut read = Vec::new();
        for event in events {
            read.push(self.reads_event(who, event)?);
        }
        let mut last = BTreeMap::new();
        for (by, sequence) in &read {
            if last.insert(*by, *sequence).is_some_and(|before| before >= *sequence) {
                let text = format!("event {sequence} of {by} stands behind a later one in the history");
                return breach(promise(*sequence, "G10"), text);
            }
        }
        self.everything_is_kept(asked, who, &read)?;
        let everybody = |stamp: &Stamp| self.published(*stamp).is_some_and(|event| event.audience.is_everybody());
        let mut common = Vec::new();
        let mut places = Vec::new();
        for stamp in &read {
            if everybody(stamp) {
                common.push(*stamp);
            } else {
                places.push((*stamp, common.len()));
            }
        }
        let old = |stamp: &Stamp| self.published(*stamp).is_some_and(|event| event.at < self.began);
        let inherited = read.iter().take_while(|stamp| old(stamp)).count();
        if read[inherited..].iter().any(old) {
            return breach("G15", format!("client {who} read events of the last process behind those of this one"));
        }
        let inherited = common.iter().take_while(|stamp| old(stamp)).count();
        // A disk that fails leaves gaps.
        if !self.setting.failing && !agree(&common[..inherited], &self.history.past) {
            return breach("G15", format!("client {who} read another history than others before the process died"));
        }
        if !agree(&common, &self.history.common) {
            return breach("G10", format!("client {who} read another history than others before"));
        }
        for (stamp, place) in places {
            if *self.history.places.entry(stamp).or_insert(place) != place {
                return breach("G10", format!("client {who} read an event elsewhere than others before: {stamp:?}"));
            }
        }
        let before = self.history.last.entry(who).or_default();
        if read.len() < before.len() || !agree(&read, before) {
            return breach("G10", format!("client {who} read another history than before"));
        }
        *before = read;
        if common.len() > self.history.common.len() {
            self.history.common = common;
        }
        Ok(())
    }

    fn published(&self, stamp: Stamp) -> Option<&Published> {
        self.by_stamp.get(&stamp).map(|at| &self.publications[*at])
    }

    /// A client has read one event.
    fn reads_event(&self, who: Key, event: &Value) -> Result<Stamp, super::Breach> {
        let described = event.as_dict();
        let Some(Value::List(args)) = described.and_then(|event| event.get("args")) else {
            return breach("G10", format!("client {who} read an event without arguments: {event:?}"));
        };
        let numbers: Vec<u64> = args.iter().filter_map(Value::as_uint).collect();
        let [key, sequence] = *numbers else {
            return breach("G10", format!("client {who} read an event with other arguments: {event:?}"));
        };
        let by = Key::try_from(key).unwrap_or_default();
        let Some(published) = self.published((by, sequence)) else {
            let text = format!("client {who} read event {sequence} of {by}, which nobody has published");
            return breach(promise(sequence, "G10"), text);
        };
        if !published.audience.has(&self.sessions[&who]) {
            return breach("G13", format!("client {who} read event {sequence} of {by}, which is not for it"));
        }
        let none = Dict::new();
        let details = described.and_then(|event| event.get("details")).and_then(Value::as_dict).unwrap_or(&none);
        let (uri, asked) = (&*published.topic, published.disclosed);
        self.tells_of(who, details, &Told { what: "a kept event", role: "publisher", by, uri, asked })?;
        Ok((by, sequence))
    }

    /// Whatever was acknowledged, and is for the reader, must be there.
    fn everything_is_kept(&self, asked: u64, who: Key, read: &[Stamp]) -> Checked {
        let held: BTreeSet<Stamp> = read.iter().copied().collect();
        for published in &self.publications {
            let acknowledged = published.acknowledged.is_some_and(|at| at < asked);
            let kept = matches(HISTORY.0, HISTORY.1, &published.topic) && !published.audience.names_sessions();
            let lasting = published.at >= self.began || self.setting.disk == Some(true);
            if acknowledged
                && kept
                && lasting
                && published.audience.has(&self.sessions[&who])
                && !held.contains(&(published.by, published.sequence))
            {
                let event = format!("event {} of {}", published.sequence, published.by);
                let promise = if published.at < self.began { "G15" } else { "G10" };
                return breach(promise, format!("{event} was acknowledged, but {who} did not find it in the history"));
            }
        }
        Ok(())
    }
}
