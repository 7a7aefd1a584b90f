//! Events that were published while a subscriber was away, from the history that the router keeps of the topic
//! (specification, "Event History"). No event comes twice.

use crate::wamp::codec;
use crate::wamp::id::{PublicationId, SubscriptionId};
use crate::wamp::message::Event;
use crate::wamp::payload::Payload;
use crate::wamp::{Dict, Serializer, Uri, Value};
use std::collections::{HashSet, VecDeque};

/// Of so many events a subscriber knows that it has had them: events of several publishers may be kept in another order
/// than that in which they came.
const RECENT_MAX: usize = 256;
/// Events that are asked for at a time.
const PAGE: u64 = 256;
/// The detail by which events of the past are known, within the client only.
pub(super) const REPLAYED: &str = "_replayed";

/// A question about the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// What is the newest event? So that it is known later what is new.
    Newest,
    /// What is there from this event on?
    From(u64),
    /// What follows this one?
    After(u64),
    /// What was there last? Asked where nothing is left of what was seen.
    Last,
}

impl Ask {
    /// True if the newest event comes first in the answer.
    pub(super) const fn is_reversed(self) -> bool {
        matches!(self, Ask::Newest | Ask::Last)
    }

    /// The arguments of `wamp.subscription.get_events`.
    pub(super) fn arguments(self, subscription: SubscriptionId) -> (Vec<Value>, Dict) {
        let filter = match self {
            Ask::Newest => Dict::new().with("reverse", true).with("limit", 1),
            Ask::From(id) => Dict::new().with("from_publication", id).with("limit", PAGE),
            Ask::After(id) => Dict::new().with("after_publication", id).with("limit", PAGE),
            Ask::Last => Dict::new().with("reverse", true).with("limit", PAGE),
        };
        (vec![subscription.get().into()], filter)
    }
}

/// An event of the past.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Past {
    id: u64,
    time: String,
    details: Dict,
    args: Vec<Value>,
    kwargs: Dict,
}

impl Past {
    fn read(value: Value) -> Option<Past> {
        let Value::Dict(mut event) = value else { return None };
        let id = event.uint("publication").ok().flatten()?;
        let time = event.str("timestamp").ok().flatten().unwrap_or_default().to_owned();
        let mut details = event.dict("details").ok().flatten().cloned().unwrap_or_default();
        if let (None, Ok(Some(topic))) = (details.get("topic"), event.str("topic")) {
            details.push("topic", topic);
        }
        details.push(REPLAYED, true);
        let kwargs = event.dict("kwargs").ok().flatten().cloned().unwrap_or_default();
        let args = match event.get("args") {
            Some(Value::List(args)) => args.clone(),
            _ => Vec::new(),
        };
        event.remove("args");
        Some(Past { id, time, details, args, kwargs })
    }

    /// As an application sees it; none of the details of its own.
    pub(super) fn told(mut self, topic: &Uri) -> super::subscription::Event {
        self.details.remove(REPLAYED);
        let topic = self.details.str("topic").ok().flatten().map_or_else(|| topic.clone(), Uri::from);
        let publication = PublicationId::from_raw(self.id);
        super::subscription::Event { topic, publication, args: self.args, kwargs: self.kwargs, details: self.details }
    }

    fn event(self, subscription: SubscriptionId, serializer: Serializer) -> Option<Event> {
        let payload = match self.args.is_empty() && self.kwargs.is_empty() {
            true => Payload::NONE,
            false => Payload::new(codec::payload(serializer, self.args, self.kwargs).ok()?),
        };
        Some(Event { subscription, publication: PublicationId::from_raw(self.id), details: self.details, payload })
    }
}

/// The events of an answer, the oldest first. Crossbar.io gives one list of them, the newest first.
pub(super) fn page(reversed: bool, mut args: Vec<Value>) -> Vec<Past> {
    let one_list = matches!(&args[..], [Value::List(_)]);
    if one_list && let Some(Value::List(list)) = args.pop() {
        args = list;
    }
    let mut events: Vec<Past> = args.into_iter().filter_map(Past::read).collect();
    if one_list || reversed {
        events.reverse();
    }
    events
}

/// What was there when the subscription began, or was seen last of the past.
#[derive(Debug, PartialEq, Eq)]
enum Mark {
    Unknown,
    Nothing,
    Event(u64, String),
}

/// What a subscription has seen, and what it waits for.
#[derive(Debug)]
pub(super) struct Gap {
    recent: VecDeque<u64>,
    mark: Mark,
    /// What has come while the past is asked for.
    held: Option<Vec<Event>>,
    /// What has come from the past and may come once more, as it does to all others.
    filled: HashSet<u64>,
}

impl Gap {
    pub(super) fn new() -> Gap {
        Gap { recent: VecDeque::new(), mark: Mark::Unknown, held: None, filled: HashSet::new() }
    }

    /// An event has come; none if it has to wait, or has been had.
    pub(super) fn arrives(&mut self, event: Event) -> Option<Event> {
        if let Some(held) = &mut self.held {
            held.push(event);
            return None;
        }
        let id = event.publication.get();
        if self.filled.remove(&id) {
            return None;
        }
        self.see(id);
        Some(event)
    }

    fn see(&mut self, id: u64) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(id);
    }

    fn has_had(&self, id: u64) -> bool {
        self.recent.contains(&id) || matches!(self.mark, Mark::Event(mark, _) if mark == id)
    }

    /// There is a subscription, for the first time or again: gives what has to be asked.
    pub(super) fn begin(&mut self) -> Ask {
        let first = match (self.recent.front(), &self.mark) {
            (Some(first), _) => Ask::From(*first),
            (None, Mark::Event(mark, _)) => Ask::From(*mark),
            (None, Mark::Nothing) => Ask::Last,
            (None, Mark::Unknown) => return Ask::Newest,
        };
        self.held = Some(Vec::new());
        first
    }

    /// Takes an answer: gives the events that are new, and what to ask next.
    pub(super) fn answer(&mut self, ask: Ask, page: Vec<Past>) -> (Vec<Past>, Option<Ask>) {
        let full = page.len() as u64 >= PAGE;
        let last = page.last().map(|past| (past.id, past.time.clone()));
        let (new, next): (Vec<Past>, _) = match ask {
            Ask::Newest => (Vec::new(), None),
            Ask::From(_) if page.is_empty() => return (Vec::new(), Some(Ask::Last)),
            Ask::From(_) | Ask::After(_) => {
                let next = last.as_ref().filter(|_| full).map(|(id, _)| Ask::After(*id));
                (page.into_iter().filter(|past| !self.has_had(past.id)).collect(), next)
            }
            Ask::Last => {
                let known = page.iter().position(|past| self.has_had(past.id));
                let new = |(at, past): &(usize, Past)| match (known, &self.mark) {
                    (Some(known), _) => *at > known && !self.has_had(past.id),
                    // Nothing is there of what was seen, so that more is gone than is there; or nothing of it was kept.
                    (None, Mark::Event(_, time)) => past.time > *time,
                    (None, Mark::Nothing) => true,
                    (None, Mark::Unknown) => false,
                };
                (page.into_iter().enumerate().filter(new).map(|(_, past)| past).collect(), None)
            }
        };
        match last {
            Some((id, time)) => self.mark = Mark::Event(id, time),
            None if ask == Ask::Newest => self.mark = Mark::Nothing,
            None => {}
        }
        for past in &new {
            self.see(past.id);
            self.filled.insert(past.id);
        }
        (new, next)
    }

    /// Nothing more is asked: gives what has come meanwhile.
    pub(super) fn finish(&mut self) -> Vec<Event> {
        let held = self.held.take().unwrap_or_default();
        held.into_iter().filter_map(|event| self.arrives(event)).collect()
    }

    /// The connection is lost.
    pub(super) fn part(&mut self) -> Vec<Event> {
        let held = self.finish();
        self.filled.clear();
        held
    }
}

/// The events of the past as they would have come.
pub(super) fn events(
    past: Vec<Past>,
    subscription: SubscriptionId,
    serializer: Serializer,
) -> impl Iterator<Item = Event> {
    past.into_iter().filter_map(move |past| past.event(subscription, serializer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(id: u64) -> Event {
        let (subscription, publication) = (SubscriptionId::from_raw(1), PublicationId::from_raw(id));
        Event { subscription, publication, details: Dict::new(), payload: Payload::NONE }
    }

    fn past(ids: std::ops::RangeInclusive<u64>) -> Vec<Past> {
        let one =
            |id| Past { id, time: format!("{id:05}"), details: Dict::new(), args: Vec::new(), kwargs: Dict::new() };
        ids.map(one).collect()
    }

    fn ids(past: &[Past]) -> Vec<u64> {
        past.iter().map(|past| past.id).collect()
    }

    fn come(gap: &mut Gap, ids: impl IntoIterator<Item = u64>) -> Vec<u64> {
        ids.into_iter().filter_map(|id| gap.arrives(live(id)).map(|event| event.publication.get())).collect()
    }

    fn begun(newest: Vec<Past>) -> Gap {
        let mut gap = Gap::new();
        assert_eq!(gap.begin(), Ask::Newest);
        assert_eq!(gap.answer(Ask::Newest, newest), (Vec::new(), None));
        gap
    }

    #[test]
    fn what_was_missed_comes_before_what_is_new_and_nothing_twice() {
        let mut gap = begun(past(4..=4));
        assert_eq!(come(&mut gap, [5, 7]), [5, 7]);
        assert_eq!(gap.part(), []);
        assert_eq!(gap.begin(), Ask::From(5));
        assert_eq!(come(&mut gap, [10, 11]), [0; 0]);
        let (new, next) = gap.answer(Ask::From(5), past(5..=10));
        assert_eq!((ids(&new), next), (vec![6, 8, 9, 10], None));
        let held: Vec<u64> = gap.finish().iter().map(|event| event.publication.get()).collect();
        assert_eq!(held, [11]);
        // What was in the history and is slow on its way.
        assert_eq!(come(&mut gap, [9, 12]), [12]);
    }

    #[test]
    fn many_come_in_pages() {
        let mut gap = begun(Vec::new());
        come(&mut gap, [1]);
        gap.part();
        assert_eq!(gap.begin(), Ask::From(1));
        let (new, next) = gap.answer(Ask::From(1), past(1..=PAGE));
        assert_eq!((new.len() as u64, next), (PAGE - 1, Some(Ask::After(PAGE))));
        let (new, next) = gap.answer(Ask::After(PAGE), past(PAGE + 1..=PAGE + 3));
        assert_eq!((new.len(), next), (3, None));
    }

    #[test]
    fn a_history_may_have_forgotten_what_was_seen() {
        let lost = |mut gap: Gap, seen: &[u64], anchor: u64, left| {
            come(&mut gap, seen.iter().copied());
            gap.part();
            assert_eq!(gap.begin(), Ask::From(anchor));
            assert_eq!(gap.answer(Ask::From(anchor), Vec::new()), (Vec::new(), Some(Ask::Last)));
            ids(&gap.answer(Ask::Last, left).0)
        };
        assert_eq!(lost(begun(past(4..=4)), &[5], 5, past(20..=22)), [20, 21, 22], "all of it is new");
        assert_eq!(lost(begun(past(4..=4)), &[5, 21], 5, past(20..=22)), [22], "some was seen");
        assert_eq!(lost(begun(past(4..=4)), &[99], 99, past(2..=6)), [5, 6], "what was seen was never kept");
        assert_eq!(lost(begun(past(4..=4)), &[], 4, past(2..=3)), [0; 0]);
    }

    #[test]
    fn who_has_seen_nothing_gets_what_came_after_the_beginning() {
        let mut gap = begun(Vec::new());
        gap.part();
        assert_eq!(gap.begin(), Ask::Last);
        assert_eq!(ids(&gap.answer(Ask::Last, past(1..=3)).0), [1, 2, 3]);
        let mut gap = Gap::new();
        gap.begin();
        gap.part();
        assert_eq!(gap.begin(), Ask::Newest, "the connection was lost before there was an answer");
    }
}
