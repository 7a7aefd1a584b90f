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
/// So many of its own publications a session knows.
const OWN_MAX: usize = 4096;
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
    /// What is there from the beginning on? Asked where nothing is left of what was seen.
    Oldest,
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
        matches!(self.ask, Ask::Newest)
    }

    /// The procedure that answers it, and its arguments.
    pub(super) fn call(self, topic: &Uri, own: SubscriptionId) -> (&'static str, Vec<Value>, Dict) {
        let filter = match self.ask {
            Ask::Match => return ("wamp.subscription.match", vec![(&**topic).into()], Dict::new()),
            Ask::Newest => Dict::new().with("reverse", true).with("limit", 1),
            Ask::From(id) => Dict::new().with("from_publication", id).with("limit", PAGE),
            Ask::After(id) => Dict::new().with("after_publication", id).with("limit", PAGE),
            Ask::Oldest => Dict::new().with("limit", PAGE),
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

/// Publications of the session itself that do not come to it, though histories have them.
#[derive(Debug, Default)]
pub(super) struct Own {
    known: HashSet<u64>,
    in_order: VecDeque<u64>,
}

impl Own {
    pub(super) fn add(&mut self, publication: PublicationId) {
        if self.in_order.len() >= OWN_MAX
            && let Some(first) = self.in_order.pop_front()
        {
            self.known.remove(&first);
        }
        self.in_order.push_back(publication.get());
        self.known.insert(publication.get());
    }
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
    /// All of a history is read: what is older is no news, unless something that was seen came before it.
    floor: Option<String>,
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
            floor: None,
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
    fn first(&mut self) -> Ask {
        self.floor = None;
        match (self.recent.front(), &self.mark) {
            (Some(first), _) => Ask::From(*first),
            (None, Mark::Event(mark, _)) => Ask::From(*mark),
            (None, Mark::Nothing) => self.oldest(),
            (None, Mark::Unknown) => Ask::Newest,
        }
    }

    fn oldest(&mut self) -> Ask {
        self.floor = match &self.mark {
            Mark::Event(_, time) => Some(time.clone()),
            Mark::Unknown | Mark::Nothing => None,
        };
        Ask::Oldest
    }

    /// A history does not have what was asked for. It may have left it already, or has never been there: something newer may
    /// be there.
    fn instead_of(&mut self, anchor: u64) -> Ask {
        let (first, last) = (self.recent.front().copied(), self.recent.back().copied());
        let last = last.filter(|last| first == Some(anchor) && *last != anchor);
        let mark = match &self.mark {
            // Behind it there may be more that was seen than is known.
            Mark::Event(mark, _) if self.recent.len() < RECENT_MAX || self.recent.contains(mark) => Some(*mark),
            _ => None,
        };
        let mark = mark.filter(|mark| *mark != anchor && first != Some(*mark));
        match (last.or(mark), &self.mark) {
            (Some(next), _) => Ask::From(next),
            // It is not known what was there before the subscription.
            (None, Mark::Unknown) => Ask::Newest,
            (None, _) => self.oldest(),
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
    pub(super) fn answer(&mut self, question: Question, page: Vec<Past>, own: &Own) -> (Vec<Past>, Option<Question>) {
        let Question { ask, source } = question;
        let go_on = |ask| Some(Question { ask, source });
        let Some(last) = page.last().map(|past| (past.id, past.time.clone())) else {
            return match ask {
                Ask::From(id) => (Vec::new(), go_on(self.instead_of(id))),
                Ask::After(_) => (Vec::new(), None),
                Ask::Newest | Ask::Oldest | Ask::Match => (Vec::new(), self.next()),
            };
        };
        let full = page.len() as u64 >= PAGE;
        let (new, next) = match ask {
            Ask::Newest | Ask::Match => (Vec::new(), None),
            Ask::From(_) | Ask::After(_) | Ask::Oldest => {
                (self.news(page, own), go_on(Ask::After(last.0)).filter(|_| full))
            }
        };
        if self.floor.as_ref().is_none_or(|floor| last.1 > *floor) {
            self.mark = Mark::Event(last.0, last.1);
        }
        for past in &new {
            self.see(past.id);
            self.filled.insert(past.id);
        }
        (new, next)
    }

    /// What of a page is new.
    fn news(&mut self, page: Vec<Past>, own: &Own) -> Vec<Past> {
        let known = page.iter().position(|past| self.has_had(past.id)).filter(|_| self.floor.is_some());
        let is_new = |(at, past): &(usize, Past)| {
            let news = match (known, &self.floor) {
                (Some(known), _) => *at > known,
                // Nothing is there of what was seen, so that more is gone than is there; or nothing of it was kept.
                (None, Some(floor)) => past.time > *floor,
                (None, None) => true,
            };
            news && !self.has_had(past.id) && !own.known.contains(&past.id)
        };
        let news = page.into_iter().enumerate().filter(is_new).map(|(_, past)| past).collect();
        if known.is_some() {
            self.floor = None;
        }
        news
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
        let (new, next) = gap.answer(question(ask), page, &Own::default());
        (ids(&new), next.map(|question| question.ask))
    }

    /// What a history that has these events answers.
    fn told(history: &[u64], ask: Ask) -> Vec<Past> {
        let place = |id| history.iter().position(|known| *known == id).map_or(history.len(), |place| place);
        let from = match ask {
            Ask::Newest => return history.iter().rev().take(1).flat_map(|id| past(*id..=*id)).collect(),
            Ask::From(id) => place(id),
            Ask::After(id) => (place(id) + 1).min(history.len()),
            Ask::Oldest => 0,
            Ask::Match => panic!("it is not asked about its events"),
        };
        history[from..].iter().take(PAGE as usize).flat_map(|id| past(*id..=*id)).collect()
    }

    /// There is a connection again; gives what comes from the history.
    fn fill(gap: &mut Gap, history: impl IntoIterator<Item = u64>, own: &Own) -> Vec<u64> {
        let history: Vec<u64> = history.into_iter().collect();
        let (mut asked, mut came) = (gap.begin(OWN), Vec::new());
        while let Some(question) = asked {
            let (new, next) = gap.answer(question, told(&history, question.ask), own);
            came.extend(ids(&new));
            asked = next;
        }
        assert_eq!(gap.finish(), []);
        came
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
        let lost = |newest: Vec<Past>, seen: std::ops::Range<u64>, history: std::ops::RangeInclusive<u64>| {
            let mut gap = begun(newest);
            come(&mut gap, seen);
            gap.part();
            let came = fill(&mut gap, history.clone(), &Own::default());
            gap.part();
            assert_eq!(fill(&mut gap, history, &Own::default()), [0; 0], "nothing is new any more");
            came
        };
        let range = |range: std::ops::RangeInclusive<u64>| range.collect::<Vec<_>>();
        assert_eq!(lost(past(4..=4), 5..6, 20..=22), [20, 21, 22], "all of it is new");
        assert_eq!(lost(past(4..=4), 5..22, 20..=22), [22], "some was seen");
        assert_eq!(lost(past(4..=4), 99..100, 2..=6), [5, 6], "what was seen was never kept");
        assert_eq!(lost(past(4..=4), 0..0, 2..=3), [0; 0]);
        // More than is told at a time.
        assert_eq!(lost(past(4..=4), 5..6, 1000..=1999), range(1000..=1999), "all of it is new");
        assert_eq!(lost(past(4..=4), 5..401, 300..=1299), range(401..=1299), "the newest are there");
        assert_eq!(lost(past(4..=4), 2..3, 3..=700), range(5..=700), "one that is retained has left it long ago");
        assert_eq!(lost(past(900..=900), 0..0, 1..=700), [0; 0], "nothing is newer");
        assert_eq!(lost(past(400..=400), 901..902, 1..=900), range(401..=900), "what was seen was never kept");
    }

    #[test]
    fn what_is_older_than_the_subscription_is_no_news_though_the_connection_is_lost_again() {
        let mut gap = begun(past(900..=900));
        let history: Vec<u64> = (1..900).chain(901..1000).collect();
        for _ in 0..3 {
            gap.part();
            assert_eq!(asks(&mut gap), Some(Ask::From(900)));
            assert_eq!(answer(&mut gap, Ask::From(900), Vec::new()), (vec![], Some(Ask::Oldest)));
            let next = answer(&mut gap, Ask::Oldest, told(&history, Ask::Oldest));
            assert_eq!(next, (vec![], Some(Ask::After(PAGE))));
        }
        gap.part();
        assert_eq!(fill(&mut gap, history, &Own::default()), (901..1000).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_there_before_is_not_known_without_an_answer() {
        let mut gap = Gap::new(false);
        assert_eq!(asks(&mut gap), Some(Ask::Newest));
        come(&mut gap, [7]);
        gap.part();
        assert_eq!(fill(&mut gap, 1..=6, &Own::default()), [0; 0]);
        gap.part();
        assert_eq!(fill(&mut gap, 1..=9, &Own::default()), [8, 9]);
    }

    #[test]
    fn who_has_seen_nothing_gets_what_came_after_the_beginning() {
        let mut gap = begun(Vec::new());
        gap.part();
        assert_eq!(asks(&mut gap), Some(Ask::Oldest));
        assert_eq!(answer(&mut gap, Ask::Oldest, past(1..=3)).0, [1, 2, 3]);
        let mut gap = begun(Vec::new());
        gap.part();
        assert_eq!(fill(&mut gap, 1..=700, &Own::default()), (1..=700).collect::<Vec<_>>());
        let mut gap = Gap::new(true);
        asks(&mut gap);
        gap.part();
        assert_eq!(asks(&mut gap), Some(Ask::Newest), "the connection was lost before there was an answer");
        assert_eq!(gap.failed(question(Ask::Newest)), None);
        assert_eq!(asks(&mut gap), None, "the router does not answer");
    }

    #[test]
    fn what_the_session_has_published_itself_does_not_come() {
        let mut own = Own::default();
        let publish = |own: &mut Own, ids: std::ops::RangeInclusive<u64>| {
            ids.for_each(|id| own.add(PublicationId::from_raw(id)));
        };
        publish(&mut own, 5..=8);
        let mut gap = begun(past(4..=4));
        gap.part();
        assert_eq!(fill(&mut gap, 4..=12, &own), [9, 10, 11, 12]);
        publish(&mut own, 13..=14);
        gap.part();
        assert_eq!(fill(&mut gap, 4..=15, &own), [15]);
        publish(&mut own, 1000..=1000 + OWN_MAX as u64);
        assert_eq!((own.known.len(), own.known.contains(&1000)), (OWN_MAX, false));
    }

    #[test]
    fn the_history_may_be_one_of_a_pattern() {
        let mut gap = Gap::new(true);
        asks(&mut gap);
        assert_eq!(answer(&mut gap, Ask::Newest, Vec::new()), (vec![], Some(Ask::Match)));
        let other = |ask| Some(Question { ask, source: OTHER });
        assert_eq!(gap.matched(vec![OWN, OTHER]), other(Ask::Newest));
        let newest = Question { ask: Ask::Newest, source: OTHER };
        assert_eq!(gap.answer(newest, past(3..=3), &Own::default()), (Vec::new(), None));
        gap.part();
        assert_eq!(asks(&mut gap), Some(Ask::From(3)));
        assert_eq!(answer(&mut gap, Ask::From(3), Vec::new()), (vec![], Some(Ask::Oldest)));
        assert_eq!(answer(&mut gap, Ask::Oldest, Vec::new()), (vec![], Some(Ask::Match)));
        let asked = gap.matched(vec![OTHER]).expect("a question");
        assert_eq!(Some(asked), other(Ask::From(3)));
        let (procedure, _, filter) = asked.call(&"a.b".into(), OWN);
        assert_eq!((procedure, filter.str("topic")), ("wamp.subscription.get_events", Ok(Some("a.b"))));
        assert_eq!(ids(&gap.answer(asked, past(3..=5), &Own::default()).0), [4, 5]);
    }
}
