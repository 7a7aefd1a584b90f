//! Testaments: published once, when their session has ended, unless they were taken back (G12).

use super::identity::{Audience, wants};
use super::{Auditor, Checked, Key, Published, breach};
use crate::sim::content::DETACHED;
use crate::wamp::message::Call;
use crate::wamp::{Dict, Value};

/// What a session leaves.
#[derive(Debug)]
pub(super) struct Testament {
    detached: bool,
    topic: String,
    /// The stamp of its event: those of testaments are above all others of their session, in the order in which they
    /// have to be published.
    sequence: u64,
    options: Dict,
}

impl Auditor {
    /// A client leaves a testament, or takes some back.
    pub(super) fn testifies(&mut self, who: Key, m: &Call) -> Checked {
        let Ok((args, kwargs)) = m.payload.values() else { return Ok(()) };
        let detached = kwargs.get("scope").and_then(Value::as_str) == Some("detached");
        if &*m.procedure == "wamp.session.flush_testaments" {
            self.record(who).testaments.retain(|testament| testament.detached != detached);
            return Ok(());
        }
        let [topic, Value::List(event)] = &*args else { return breach("protocol", "a testament without an event") };
        let sequence = event.last().and_then(Value::as_uint).unwrap_or_default();
        let options = kwargs.get("publish_options").and_then(Value::as_dict).cloned().unwrap_or_default();
        if self.is_refused(who, m.request, wants(&options, "disclose_me"), true) {
            return Ok(());
        }
        let topic = topic.as_str().unwrap_or_default().to_string();
        self.record(who).testaments.push(Testament { detached, topic, sequence, options });
        Ok(())
    }

    /// A session has ended: everything that it has left is to be published now.
    pub(super) fn executes(&mut self, at: u64, who: Key) {
        let mut testaments = std::mem::take(&mut self.record(who).testaments);
        testaments.sort_by_key(|testament| !testament.detached);
        for Testament { topic, sequence, options, .. } in testaments {
            self.publishes(Published {
                at,
                by: who,
                sequence,
                topic,
                exclude_me: false,
                retain: wants(&options, "retain"),
                key: None,
                audience: Audience::of(&options),
                disclosed: wants(&options, "disclose_me"),
                acknowledged: None,
            });
        }
    }
}

/// True if a stamp is one of a testament.
pub(super) const fn is_testament(sequence: u64) -> bool {
    sequence > DETACHED
}

/// The promise that is broken if this event comes twice, too early or not at all.
pub(super) const fn promise(sequence: u64, otherwise: &'static str) -> &'static str {
    if is_testament(sequence) { "G12" } else { otherwise }
}
