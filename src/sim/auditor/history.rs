//! The history of events: one sequence, in which every publisher's order is kept (G10).

use super::{Auditor, Checked, Key, breach, matches};
use crate::sim::content::HISTORY;
use crate::wamp::Value;
use std::collections::{BTreeMap, BTreeSet};

impl Auditor {
    /// A client has read the whole history; `asked` is when the router had read its question.
    pub(super) fn reads_history(&mut self, asked: u64, who: Key, events: &[Value]) -> Checked {
        let mut read = Vec::new();
        for event in events {
            let args = event.as_dict().and_then(|event| event.get("args"));
            let Some(Value::List(args)) = args else {
                return breach("G10", format!("client {who} read an event without arguments: {event:?}"));
            };
            let numbers: Vec<u64> = args.iter().filter_map(Value::as_uint).collect();
            let [key, sequence] = *numbers else {
                return breach("G10", format!("client {who} read an event with other arguments: {event:?}"));
            };
            read.push((Key::try_from(key).unwrap_or_default(), sequence));
        }
        let mut last = BTreeMap::new();
        for (by, sequence) in &read {
            if last.insert(*by, *sequence).is_some_and(|before| before >= *sequence) {
                return breach("G10", format!("event {sequence} of {by} stands behind a later one in the history"));
            }
        }
        let common = read.len().min(self.history.len());
        if read[..common] != self.history[..common] {
            return breach("G10", format!("client {who} read another history than others before"));
        }
        let held: BTreeSet<_> = read.iter().copied().collect();
        for published in &self.publications {
            let acknowledged = published.acknowledged.is_some_and(|at| at < asked);
            let kept = matches(HISTORY.0, HISTORY.1, &published.topic);
            if acknowledged && kept && !held.contains(&(published.by, published.sequence)) {
                let event = format!("event {} of {}", published.sequence, published.by);
                return breach("G10", format!("{event} was acknowledged, but {who} did not find it in the history"));
            }
        }
        if read.len() > self.history.len() {
            self.history = read;
        }
        Ok(())
    }
}
