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
/// Histories of patterns that are asked for events of a topic.
const SOURCES_MAX: usize = 8;
/// The detail by which events of the past are known, within the client only.
pub(super) const REPLAYED: &str = "_replayed";

/// What is asked about the past.
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
    /// Which subscriptions have events of the topic? The history may be one of a pattern.
    Match,
}

/// A question about the past, and the subscription whose history is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) ask: Ask,
    source: SubscriptionId,
}

impl Question {
    /// True if the newest event comes first in the answer.
    pub(super) const fn is_reversed(self) -> bool {
        matches!(self.ask, Ask::Newest | Ask::Last)
    }

    /// The procedure that answers it, and its arguments.
    pub(super) fn call(self, topic: &Uri, own: SubscriptionId) -> (&'static str, Vec<Value>, Dict) {
        let filter = match self.ask {
            Ask::Match => return ("wamp.subscription.match", vec![(&**topic).into()], Dict::new()),
            Ask::Newest => Dict::new().with("reverse", true).with("limit", 1),
            Ask::From(id) => Dict::new().with("from_publication", id).with("limit", PAGE),
            Ask::After(id) => Dict::new().with("after_publication", id).with("limit", PAGE),
            Ask::Last => Dict::new().with("reverse", true).with("limit", PAGE),
        };
        let filter = if self.source == own { filter } else { filter.with("topic", &**topic) };
        ("wamp.subscription.get_events", vec![self.source.get().into()], filter)
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
    /// It is a topic, no pattern.
    exact: bool,
    /// The router does not answer.
    refused: bool,
    own: SubscriptionId,
    /// Other subscriptions that may have a history of the topic; none: they have not been asked for.
    sources: Option<Vec<SubscriptionId>>,
}

impl Gap {
    pub(super) fn new(exact: bool) -> Gap {
        Gap {
            recent: VecDeque::new(),
            mark: Mark::Unknown,
            held: None,
            filled: HashSet::new(),
            exact,
            refused: false,
            own: SubscriptionId::default(),
            sources: None,
        }
    }

    /// An event has come; none if it has to wait, or has been had.
    pub(super) fn arrives(&mut self, event: Event) -> Option<Event> {
        if let Some(held) = &mut self.held {
            held.push(event);
            return None;
        }
        let id = event.publication.get();
        // Who subscribes once more is given the retained event once more.
        let retained = matches!(event.details.bool("retained"), Ok(Some(true)));
        if self.filled.remove(&id) || retained && self.has_had(id) {
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
    pub(super) fn begin(&mut self, own: SubscriptionId) -> Option<Question> {
        if self.refused {
            return None;
        }
        (self.own, self.sources) = (own, None);
        let ask = self.first();
        self.held = (ask != Ask::Newest).then(Vec::new);
        Some(Question { ask, source: own })
    }

    /// The first question to each history.
    fn first(&self) -> Ask {
        match (self.recent.front(), &self.mark) {
            (Some(first), _) => Ask::From(*first),
            (None, Mark::Event(mark, _)) => Ask::From(*mark),
            (None, Mark::Nothing) => Ask::Last,
            (None, Mark::Unknown) => Ask::Newest,
        }
    }

    /// Nothing is in one history; asks for another one.
    fn next(&mut self) -> Option<Question> {
        let Some(sources) = &mut self.sources else {
            self.sources = Some(Vec::new());
            if self.exact {
                return Some(Question { ask: Ask::Match, source: self.own });
            }
            return self.next();
        };
        if let Some(source) = sources.pop() {
            return Some(Question { ask: self.first(), source });
        }
        if self.held.is_none() && self.mark == Mark::Unknown {
            self.mark = Mark::Nothing;
        }
        None
    }

    /// Takes the subscriptions that have events of the topic; gives what to ask next.
    pub(super) fn matched(&mut self, ids: Vec<SubscriptionId>) -> Option<Question> {
        let others = ids.into_iter().filter(|id| *id != self.own).take(SOURCES_MAX);
        self.sources = Some(others.collect());
        self.next()
    }

    /// There is no answer; gives what to ask next.
    pub(super) fn failed(&mut self, question: Question) -> Option<Question> {
        if question.ask == Ask::Match || question.source != self.own {
            return self.next();
        }
        // It need not be asked for once more either.
        self.refused = true;
        None
    }

    /// Takes an answer: gives the events that are new, and what to ask next.
    pub(super) fn answer(&mut self, question: Question, page: Vec<Past>) -> (Vec<Past>, Option<Question>) {
        let Question { ask, source } = question;
        let go_on = |ask| Some(Question { ask, source });
        let Some(last) = page.last().map(|past| (past.id, past.time.clone())) else {
            return match ask {
                Ask::From(_) => (Vec::new(), go_on(Ask::Last)),
                Ask::After(_) => (Vec::new(), None),
                Ask::Newest | Ask::Last | Ask::Match => (Vec::new(), self.next()),
            };
        };
        let full = page.len() as u64 >= PAGE;
        let (new, next): (Vec<Past>, _) = match ask {
            Ask::Newest | Ask::Match => (Vec::new(), None),
            Ask::From(_) | Ask::After(_) => {
                let next = go_on(Ask::After(last.0)).filter(|_| full);
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
        self.mark = Mark::Event(last.0, last.1);
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

    const OWN: SubscriptionId = SubscriptionId::from_raw(1);
    const OTHER: SubscriptionId = SubscriptionId::from_raw(2);

    fn question(ask: Ask) -> Question {
        Question { ask, source: OWN }
    }

    fn asks(gap: &mut Gap) -> Option<Ask> {
        gap.begin(OWN).map(|question| question.ask)
    }

    fn answer(gap: &mut Gap, ask: Ask, page: Vec<Past>) -> (Vec<u64>, Option<Ask>) {
        let (new, next) = gap.answer(question(ask), page);
        (ids(&new), next.map(|question| question.ask))
    }

    /// Of a pattern, so that no other histories are asked.
    fn begun(newest: Vec<Past>) -> Gap {
        let mut gap = Gap::new(false);
        assert_eq!(asks(&mut gap), Some(Ask::Newest));
        assert_eq!(answer(&mut gap, Ask::Newest, newest), (vec![], None));
        gap
    }

    #[test]
    fn what_was_missed_comes_before_what_is_new_and_nothing_twice() {
        let mut gap = begun(past(4..=4));
        assert_eq!(come(&mut gap, [5, 7]), [5, 7]);
        assert_eq!(gap.part(), []);
        assert_eq!(asks(&mut gap), Some(Ask::From(5)));
        assert_eq!(come(&mut gap, [10, 11]), [0; 0]);
        assert_eq!(answer(&mut gap, Ask::From(5), past(5..=10)), (vec![6, 8, 9, 10], None));
        let held: Vec<u64> = gap.finish().iter().map(|event| event.publication.get()).collect();
        assert_eq!(held, [11]);
        // What was in the history and is slow on its way.
        assert_eq!(come(&mut gap, [9, 12]), [12]);
        // The retained event, once more.
        let retained = |id| Event { details: Dict::new().with("retained", true), ..live(id) };
        assert_eq!(gap.arrives(retained(12)), None);
        assert!(gap.arrives(retained(13)).is_some());
    }

    #[test]
    fn many_come_in_pages() {
        let mut gap = begun(Vec::new());
        come(&mut gap, [1]);
        gap.part();
        assert_eq!(asks(&mut gap), Some(Ask::From(1)));
        let (new, next) = answer(&mut gap, Ask::From(1), past(1..=PAGE));
        assert_eq!((new.len() as u64, next), (PAGE - 1, Some(Ask::After(PAGE))));
        let (new, next) = answer(&mut gap, Ask::After(PAGE), past(PAGE + 1..=PAGE + 3));
        assert_eq!((new.len(), next), (3, None));
    }

    #[test]
    fn a_history_may_have_forgotten_what_was_seen() {
        let lost = |mut gap: Gap, seen: &[u64], anchor: u64, left| {
            come(&mut gap, seen.iter().copied());
            gap.part();
            assert_eq!(asks(&mut gap), Some(Ask::From(anchor)));
            assert_eq!(answer(&mut gap, Ask::From(anchor), Vec::new()), (vec![], Some(Ask::Last)));
            answer(&mut gap, Ask::Last, left).0
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
        assert_eq!(asks(&mut gap), Some(Ask::Last));
        assert_eq!(answer(&mut gap, Ask::Last, past(1..=3)).0, [1, 2, 3]);
        let mut gap = Gap::new(true);
        asks(&mut gap);
        gap.part();
        assert_eq!(asks(&mut gap), Some(Ask::Newest), "the connection was lost before there was an answer");
        assert_eq!(gap.failed(question(Ask::Newest)), None);
        assert_eq!(asks(&mut gap), None, "the router does not answer");
    }

    #[test]
    fn the_history_may_be_one_of_a_pattern() {
        let mut gap = Gap::new(true);
        asks(&mut gap);
        assert_eq!(answer(&mut gap, Ask::Newest, Vec::new()), (vec![], Some(Ask::Match)));
        let other = |ask| Some(Question { ask, source: OTHER });
        assert_eq!(gap.matched(vec![OWN, OTHER]), other(Ask::Newest));
        assert_eq!(gap.answer(Question { ask: Ask::Newest, source: OTHER }, past(3..=3)), (Vec::new(), None));
        gap.part();
        assert_eq!(asks(&mut gap), Some(Ask::From(3)));
        assert_eq!(answer(&mut gap, Ask::From(3), Vec::new()), (vec![], Some(Ask::Last)));
        assert_eq!(answer(&mut gap, Ask::Last, Vec::new()), (vec![], Some(Ask::Match)));
        let asked = gap.matched(vec![OTHER]).expect("a question");
        assert_eq!(Some(asked), other(Ask::From(3)));
        let (procedure, _, filter) = asked.call(&"a.b".into(), OWN);
        assert_eq!((procedure, filter.str("topic")), ("wamp.subscription.get_events", Ok(Some("a.b"))));
        assert_eq!(ids(&gap.answer(asked, past(3..=5)).0), [4, 5]);
    }
}
