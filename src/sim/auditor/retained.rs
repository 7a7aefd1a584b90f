//! Retained events: the newest first, then what comes after it (G11).

use super::{Auditor, Checked, Key, Period, Published, Wish, breach, matches};
use std::collections::{BTreeMap, BTreeSet};

/// What a subscription has got of retained events.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// When the SUBSCRIBE that asked for them was read; none if none did at the beginning.
    asked: Option<u64>,
    /// They were asked for again later.
    again: bool,
    /// By topic: the publisher and its sequence.
    values: BTreeMap<String, (Key, u64)>,
    /// Topics of which other events have come.
    live: BTreeSet<String>,
}

impl Reading {
    pub(super) fn of(wish: &Wish, others: &[Wish]) -> Reading {
        // A member that waits for its node is one already: who asks then asks again.
        if wish.node.is_some() && !wish.retained {
            return Reading { again: others.iter().any(|other| other.retained), ..Reading::default() };
        }
        let asking = others.iter().chain([wish]).filter(|wish| wish.retained);
        Reading { asked: asking.map(|wish| wish.read).min(), ..Reading::default() }
    }

    pub(super) const fn asks_again(&mut self, retained: bool) {
        self.again |= retained;
    }

    /// A retained event comes.
    pub(super) fn takes(&mut self, who: Key, published: &Published) -> Checked {
        let Published { by, sequence, topic, .. } = published;
        if self.asked.is_none() && !self.again {
            return breach("G11", format!("client {who} got a retained event that it had not asked for"));
        }
        if !published.retain {
            return breach("G11", format!("event {sequence} of {by} came as retained, but was not to be"));
        }
        if !self.again {
            if self.live.contains(topic) {
                return breach("G11", format!("client {who} got the retained event of {topic} behind another"));
            }
            if self.values.contains_key(topic) {
                return breach("G11", format!("client {who} got two retained events of {topic}"));
            }
        }
        self.values.insert(topic.clone(), (*by, *sequence));
        Ok(())
    }

    /// Another event comes.
    pub(super) fn goes_on(&mut self, who: Key, published: &Published) -> Checked {
        let Published { by, sequence, topic, .. } = published;
        self.live.insert(topic.clone());
        match self.values.get(topic) {
            Some((publisher, newest)) if !self.again && publisher == by && sequence <= newest => {
                breach("G11", format!("client {who} got event {sequence} of {by} behind the retained {newest}"))
            }
            _ => Ok(()),
        }
    }
}

impl Auditor {
    /// At the end: what was published behind a retained event has come, and a retained event has come if there was
    /// one.
    pub(super) fn nothing_is_missing(&self, period: &Period) -> Checked {
        let Some(asked) = period.retained.asked.filter(|_| !period.retained.again) else { return Ok(()) };
        let who = period.session;
        let record = &self.sessions[&who];
        for published in self.publications.iter().filter(|published| published.retain) {
            let Published { by, sequence, topic, at, key, .. } = published;
            let shared = key.is_some() && period.node.is_some();
            if !matches(period.policy, &period.uri, topic) || !published.is_for(who, record) {
                continue;
            }
            let got = record.events.contains(&(period.id, *by, *sequence));
            match period.retained.values.get(topic) {
                Some((publisher, newest)) if publisher == by && sequence > newest && !got && !shared => {
                    let text = format!("event {sequence} of {by} is between the retained {newest} and what {who} got");
                    return breach("G11", text);
                }
                None if *at < asked && *at > self.began => {
                    return breach(
                        "G11",
                        format!("client {who} got no retained event of {topic}, though there was one"),
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }
}
