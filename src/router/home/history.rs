//! The history of events at the home of a subscription (specification, "Event History").

use super::{Decision, Home, Outbox};
use crate::router::index::ShardIndex;
use crate::router::meta::event::rfc3339;
use crate::router::peer::{Answer, EventFilter, Publication, Store};
use crate::router::record::{Past, PastEvent, Record};
use crate::router::store::Medium;
use crate::session::{Audience, HistoryRule, Identity};
use crate::wamp::{Dict, PublicationId, RequestId, SessionId, SubscriptionId, Value};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The events of one subscription, in the order in which they came to its home.
#[derive(Debug)]
pub(in crate::router) struct History {
    rule: HistoryRule,
    medium: Medium,
    events: VecDeque<PastEvent>,
    bytes: u64,
    /// The place of the next event.
    next: u64,
    /// Of what has come from this time on nothing is missing, since 1970.
    whole_from: Duration,
}

/// A publisher that waits until its event has been written down.
#[derive(Debug)]
pub(super) struct Unrecorded {
    sequence: u64,
    from: ShardIndex,
    session: SessionId,
    request: RequestId,
}

impl History {
    /// A history that begins at a time.
    pub(super) const fn new(rule: HistoryRule, medium: Medium, created: Duration) -> History {
        History { rule, medium, events: VecDeque::new(), bytes: 0, next: 0, whole_from: created }
    }

    /// Puts an event at the end, and drops what is over the limits. `time` is in whole milliseconds, which is what
    /// clients see.
    fn record(&mut self, time: Duration, publication: Arc<Publication>) {
        self.push(PastEvent { place: self.next, time, publication });
        self.drop_aged(time);
    }

    /// Puts the events of an earlier process before all others.
    fn restore(&mut self, events: Vec<PastEvent>) {
        // What came before the first, or where a place is missing, is not there; perhaps in the same millisecond.
        let mut place = None;
        for event in &events {
            if place != Some(event.place) {
                self.whole_from = event.time + Duration::from_millis(1);
            }
            place = Some(event.place + 1);
        }
        events.into_iter().for_each(|event| self.push(event));
    }

    fn push(&mut self, event: PastEvent) {
        self.next = event.place + 1;
        self.bytes += event.publication.weight() as u64;
        self.events.push_back(event);
        while self.events.len() > self.rule.events_max as usize || self.bytes > self.rule.bytes_max {
            self.drop_oldest();
        }
    }

    /// The place of the first event that is kept.
    fn first(&self) -> u64 {
        self.events.front().map_or(self.next, |event| event.place)
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.events.pop_front() {
            self.bytes -= oldest.publication.weight() as u64;
            // Times are whole milliseconds.
            self.whole_from = self.whole_from.max(oldest.time + Duration::from_millis(1));
        }
    }

    fn drop_aged(&mut self, now: Duration) {
        let Some(age_max) = self.rule.age_max else { return };
        while self.events.front().is_some_and(|oldest| oldest.time.saturating_add(age_max) < now) {
            self.drop_oldest();
        }
    }

    /// What there is to say of the events that a filter lets through. Events of which there is nothing to say do not
    /// count: who gets fewer than the limit knows that there are no others.
    fn select<T>(&self, filter: &EventFilter, say: impl Fn(&PastEvent) -> Option<T>) -> Vec<T> {
        let place = |id: PublicationId| self.events.iter().position(|event| event.publication.id == id);
        let (mut from, mut until) = (0, self.events.len());
        // A publication that is not there, perhaps no longer, has nothing before or behind it.
        for (id, shift) in [(filter.from_publication, 0), (filter.after_publication, 1)] {
            if let Some(id) = id {
                from = from.max(place(id).map_or(usize::MAX, |at| at + shift));
            }
        }
        for (id, shift) in [(filter.before_publication, 0), (filter.until_publication, 1)] {
            if let Some(id) = id {
                until = until.min(place(id).map_or(0, |at| at + shift));
            }
        }
        if from >= until {
            return Vec::new();
        }
        let wanted = |event: &&PastEvent| {
            filter.from_time.is_none_or(|time| event.time >= time)
                && filter.after_time.is_none_or(|time| event.time > time)
                && filter.before_time.is_none_or(|time| event.time < time)
                && filter.until_time.is_none_or(|time| event.time <= time)
                && filter.topic.as_ref().is_none_or(|topic| event.publication.topic == *topic)
        };
        let limit = filter.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let events = self.events.range(from..until);
        if filter.reverse {
            events.rev().filter(wanted).filter_map(say).take(limit).collect()
        } else {
            events.filter(wanted).filter_map(say).take(limit).collect()
        }
    }
}

/// An event as `wamp.subscription.get_events` gives it; none if its payload is no list of arguments.
fn describe(event: &PastEvent, subscription: SubscriptionId, pattern: bool) -> Option<Value> {
    let (args, kwargs) = event.publication.payload.values().ok()?;
    let mut described = Dict::new()
        .with("timestamp", &*rfc3339(event.time))
        .with("subscription", subscription.get())
        .with("publication", event.publication.id.get())
        .with("topic", &*event.publication.topic)
        .with("details", event.publication.details(pattern));
    if !event.publication.payload.is_none() {
        described.push("args", args);
    }
    if !kwargs.is_empty() {
        described.push("kwargs", kwargs);
    }
    Some(described.into())
}

impl Home {
    /// Keeps a publication, and says so where that is waited for.
    pub(in crate::router) fn store(&mut self, time: Duration, from: ShardIndex, store: Store, out: &mut Outbox) {
        let Store { realm, publication, retain, histories, report } = store;
        self.note_stored(from, &publication);
        let time = Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let mut awaited = None;
        for id in histories {
            let Some(topic) = self.topics.get_mut(&id) else { continue };
            let Some(history) = &mut topic.history else { continue };
            let place = history.next;
            history.record(time, publication.clone());
            let Medium::Disk { sync } = history.medium else { continue };
            self.records += 1;
            let (first, subject, publication) = (history.first(), topic.subject.clone(), publication.clone());
            let waits = sync && report.is_some() && !self.acknowledge_early;
            let record = Record { sequence: self.records, subject, place, first, time, publication, awaited: waits };
            awaited = if waits { Some(self.records) } else { awaited };
            out.0.push(Decision::Record(Box::new(record)));
        }
        if retain {
            self.retain(realm, publication);
        }
        if let Some((session, request)) = report {
            match awaited {
                Some(sequence) => self.unrecorded.push_back(Unrecorded { sequence, from, session, request }),
                None => out.answer(from, Answer::Stored(session, request, None)),
            }
        }
    }

    /// What was wanted up to a record has been written down, or could not be.
    pub(in crate::router) fn recorded(&mut self, upto: u64, failure: Option<&Arc<str>>, out: &mut Outbox) {
        while self.unrecorded.front().is_some_and(|waiting| waiting.sequence <= upto) {
            let Some(Unrecorded { from, session, request, .. }) = self.unrecorded.pop_front() else { return };
            out.answer(from, Answer::Stored(session, request, failure.cloned()));
        }
    }

    /// Fills a history with what an earlier process left.
    pub(in crate::router) fn restore(&mut self, past: Past) {
        let Some(topic) = self.topic_ids.get(&past.subject).and_then(|id| self.topics.get_mut(id)) else { return };
        if let Some(history) = &mut topic.history {
            history.restore(past.events);
        }
    }

    /// The events of a subscription; none at all if nothing is kept of it.
    pub(in crate::router) fn events(
        &mut self,
        now: Duration,
        id: SubscriptionId,
        filter: &EventFilter,
        caller: SessionId,
        identity: &Identity,
    ) -> Vec<Value> {
        // What is said in front of the others if some may be missing.
        let missing = filter.whole.then_some(Value::Null);
        let Some(topic) = self.topics.get_mut(&id) else { return missing.into_iter().collect() };
        let pattern = topic.subject.policy != crate::wamp::MatchPolicy::Exact;
        let Some(history) = &mut topic.history else { return missing.into_iter().collect() };
        history.drop_aged(now);
        let missing = missing.filter(|_| filter.from_time.unwrap_or_default() < history.whole_from);
        let ignored = self.ignore_audience;
        let admitted =
            |audience: Option<&Audience>| ignored || audience.is_none_or(|audience| audience.admits(caller, identity));
        let selected = history.select(filter, |event| {
            admitted(event.publication.audience()).then(|| describe(event, id, pattern)).flatten()
        });
        missing.into_iter().chain(selected).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::peer::{Extras, Stamp};
    use crate::wamp::{MatchPolicy, Payload, Serializer, codec};

    fn history(events_max: u32, bytes_max: u64, age_max: Option<Duration>) -> History {
        let rule = HistoryRule { events_max, bytes_max, age_max, ..HistoryRule::new("a.", MatchPolicy::Prefix) };
        let mut history = History::new(rule, Medium::Memory, Duration::ZERO);
        for id in 1..=6_u64 {
            let raw = codec::payload(Serializer::Json, vec![Value::from(id)], Dict::new()).expect("a number");
            let publication = Publication {
                id: PublicationId::from_raw(100 + id),
                stamp: Stamp { shard: 0, serial: id, ..Stamp::default() },
                excluded: None,
                topic: if id.is_multiple_of(2) { "a.even".into() } else { "a.odd".into() },
                payload: Payload::new(raw),
                extras: None,
            };
            history.record(Duration::from_secs(id), Arc::new(publication));
        }
        history
    }

    fn ids(history: &History, filter: &EventFilter) -> Vec<u64> {
        history.select(filter, |event| Some(event.publication.id.get() - 100))
    }

    #[test]
    fn filters() {
        let history = history(100, 1_000, None);
        let all = EventFilter::default;
        let publication = |id: u64| Some(PublicationId::from_raw(100 + id));
        let second = |at| Some(Duration::from_secs(at));
        assert_eq!(ids(&history, &all()), [1, 2, 3, 4, 5, 6]);
        assert_eq!(ids(&history, &EventFilter { reverse: true, limit: Some(2), ..all() }), [6, 5]);
        assert_eq!(ids(&history, &EventFilter { limit: Some(2), ..all() }), [1, 2]);
        assert_eq!(ids(&history, &EventFilter { from_time: second(3), until_time: second(5), ..all() }), [3, 4, 5]);
        assert_eq!(ids(&history, &EventFilter { after_time: second(3), before_time: second(5), ..all() }), [4]);
        assert_eq!(ids(&history, &EventFilter { topic: Some("a.even".into()), ..all() }), [2, 4, 6]);
        let between = EventFilter { from_publication: publication(2), until_publication: publication(4), ..all() };
        assert_eq!(ids(&history, &between), [2, 3, 4]);
        let inside = EventFilter { after_publication: publication(2), before_publication: publication(4), ..all() };
        assert_eq!(ids(&history, &inside), [3]);
        assert_eq!(ids(&history, &EventFilter { after_publication: publication(9), ..all() }), [0; 0]);
        assert_eq!(ids(&history, &EventFilter { before_publication: publication(9), ..all() }), [0; 0]);
        assert_eq!(ids(&history, &EventFilter { after_publication: publication(6), ..all() }), [0; 0]);
    }

    #[test]
    fn what_cannot_be_said_does_not_count() {
        let history = history(100, 1_000, None);
        let even = |event: &PastEvent| {
            let id = event.publication.id.get() - 100;
            id.is_multiple_of(2).then_some(id)
        };
        let first = EventFilter { limit: Some(2), ..EventFilter::default() };
        assert_eq!(history.select(&first, even), [2, 4]);
        assert_eq!(history.select(&EventFilter { reverse: true, ..first }, even), [6, 4]);
    }

    #[test]
    fn limits() {
        assert_eq!(ids(&history(2, 1_000, None), &EventFilter::default()), [5, 6]);
        let mut large = history(100, 1_000, None);
        let details = Dict::new().with("enc_x", &*"x".repeat(1_000));
        let extras = Some(Box::new(Extras::new(details, None, false)));
        let Publication { id, stamp, topic, payload, .. } = &*large.events[0].publication;
        let (topic, payload) = (topic.clone(), payload.clone());
        let publication = Publication { id: *id, stamp: *stamp, excluded: None, topic, payload, extras };
        large.record(Duration::from_secs(7), Arc::new(publication));
        assert_eq!(ids(&large, &EventFilter::default()), [0; 0], "details count");
        assert_eq!(large.bytes, 0);
        let bytes = history(100, 1_000, None).bytes / 2;
        assert_eq!(ids(&history(100, bytes, None), &EventFilter::default()), [4, 5, 6]);
        assert_eq!(ids(&history(100, 1_000, Some(Duration::from_secs(1))), &EventFilter::default()), [5, 6]);
    }

    #[test]
    fn it_is_known_from_when_on_nothing_is_missing() {
        assert_eq!(history(100, 1_000, None).whole_from, Duration::ZERO);
        // The fourth has been dropped.
        assert_eq!(history(2, 1_000, None).whole_from, Duration::from_millis(4001));
        let mut later =
            History::new(HistoryRule::new("a.", MatchPolicy::Prefix), Medium::Memory, Duration::from_secs(9));
        assert_eq!(later.whole_from, Duration::from_secs(9));
        later.restore(history(100, 1_000, None).events.into());
        assert_eq!(later.whole_from, Duration::from_millis(1001), "before the first there may have been others");
        let mut part =
            History::new(HistoryRule::new("a.", MatchPolicy::Prefix), Medium::Memory, Duration::from_secs(9));
        part.restore(history(2, 1_000, None).events.into());
        assert_eq!(part.whole_from, Duration::from_millis(5001));
        let rule = HistoryRule::new("a.", MatchPolicy::Prefix);
        let mut holes = History::new(rule, Medium::Memory, Duration::from_secs(9));
        let kept = history(100, 1_000, None).events.into_iter().filter(|event| ![1, 3].contains(&event.place));
        holes.restore(kept.collect());
        assert_eq!(holes.whole_from, Duration::from_millis(5001), "one is missing between the third and the fifth");
    }
}
