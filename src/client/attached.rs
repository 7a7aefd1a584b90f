//! The subscriptions of a session. They are known by numbers of its own, since ids change with the connection.

use super::error::RequestError;
use super::gap::{Gap, Own, Past, Question, events};
use super::order::Wanted;
use super::queue::weight;
use crate::wamp::id::{PublicationId, SubscriptionId};
use crate::wamp::message::Event;
use crate::wamp::{Dict, Serializer, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

#[derive(Debug)]
struct Attached {
    wanted: Wanted<Event>,
    /// What it has seen, in sessions that reconnect.
    gap: Option<Box<Gap>>,
}

impl Attached {
    fn deliver(&mut self, event: Event) {
        let event = match &mut self.gap {
            Some(gap) => gap.arrives(event),
            None => Some(event),
        };
        if let Some(event) = event {
            self.put(event);
        }
    }

    /// If there are no more questions, what has waited goes on.
    fn unless_over(&mut self, next: Option<Question>) -> Option<Question> {
        if next.is_none() {
            let held = self.gap.as_mut().map(|gap| gap.finish()).unwrap_or_default();
            held.into_iter().for_each(|event| self.put(event));
        }
        next
    }

    fn put(&self, event: Event) {
        let weight = weight(event.payload.len());
        // Who has dropped its end is about to be detached.
        let _ = self.wanted.feed.put(event, weight);
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// In the order in which they were asked for.
    entries: BTreeMap<u64, Attached>,
    /// Those that the router knows; nobody need want them any more.
    by_id: HashMap<SubscriptionId, Vec<u64>>,
    /// SUBSCRIBEs that are on the way.
    pub(super) asking: usize,
    /// Those that perhaps nobody wants any more.
    unwanted: Vec<SubscriptionId>,
    /// What the session has published, for those that fill gaps.
    own: Own,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn add(&mut self, number: u64, wanted: Wanted<Event>, reconnects: bool) {
        let exact = !matches!(wanted.options.str("match"), Ok(Some("prefix" | "wildcard")));
        let gap = reconnects.then(|| Box::new(Gap::new(exact)));
        self.entries.insert(number, Attached { wanted, gap });
    }

    pub(super) fn get(&self, number: u64) -> Option<&Wanted<Event>> {
        self.entries.get(&number).map(|attached| &attached.wanted)
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.entries.keys().copied().collect()
    }

    /// The router has said yes; gives what has to be asked about the past, if it can be asked.
    pub(super) fn subscribed(&mut self, number: u64, id: SubscriptionId, asks: bool) -> Option<Question> {
        let numbers = self.by_id.entry(id).or_default();
        let Some(attached) = self.entries.get_mut(&number) else {
            // It was dropped meanwhile.
            if numbers.is_empty() {
                self.unwanted.push(id);
            }
            return None;
        };
        numbers.push(number);
        attached.wanted.id.store(id.get(), Ordering::Release);
        if attached.wanted.answer.take().is_some_and(|answer| answer.send(Ok(())).is_err()) {
            self.remove(number);
            return None;
        }
        attached.gap.as_mut().filter(|_| asks).and_then(|gap| gap.begin(id))
    }

    /// The router has said no.
    pub(super) fn refused(&mut self, number: u64, error: RequestError) {
        let Some(attached) = self.entries.remove(&number) else { return };
        match attached.wanted.answer {
            // Who does not wait any more need not know.
            Some(answer) => drop(answer.send(Err(error))),
            None => tracing::warn!(topic = %attached.wanted.uri, %error, "a subscription does not come back"),
        }
    }

    /// Nobody takes the events any more.
    pub(super) fn remove(&mut self, number: u64) {
        let Some(attached) = self.entries.remove(&number) else { return };
        let id = SubscriptionId::from_raw(attached.wanted.id.load(Ordering::Acquire));
        let Some(numbers) = self.by_id.get_mut(&id) else { return };
        numbers.retain(|known| *known != number);
        if numbers.is_empty() {
            self.unwanted.push(id);
        }
    }

    /// What has to be unsubscribed. Nothing as long as a SUBSCRIBE is on the way: it may be for the same topic, which
    /// UNSUBSCRIBE would take away from it.
    pub(super) fn take_unwanted(&mut self) -> Vec<SubscriptionId> {
        if self.asking > 0 {
            return Vec::new();
        }
        let mut unwanted = std::mem::take(&mut self.unwanted);
        unwanted.retain(|id| self.by_id.get(id).is_some_and(Vec::is_empty) && self.by_id.remove(id).is_some());
        unwanted
    }

    /// The router has taken a subscription away.
    pub(super) fn revoked(&mut self, id: SubscriptionId) {
        for number in self.by_id.remove(&id).unwrap_or_default() {
            self.entries.remove(&number);
        }
    }

    pub(super) fn deliver(&mut self, event: Event) {
        let numbers = self.by_id.get(&event.subscription).map(Vec::as_slice).unwrap_or_default();
        for number in numbers {
            if let Some(attached) = self.entries.get_mut(number) {
                attached.deliver(event.clone());
            }
        }
    }

    /// The session has published something that does not come to it.
    pub(super) fn published(&mut self, publication: PublicationId) {
        if !self.entries.is_empty() {
            self.own.add(publication);
        }
    }

    /// The id that a subscription has now.
    pub(super) fn id(&self, number: u64) -> Option<SubscriptionId> {
        self.get(number).map(|wanted| SubscriptionId::from_raw(wanted.id.load(Ordering::Acquire)))
    }

    /// What has to be called for a question about the past.
    pub(super) fn ask(&self, number: u64, question: Question) -> Option<(&'static str, Vec<Value>, Dict)> {
        let (wanted, id) = (self.get(number)?, self.id(number)?);
        Some(question.call(&wanted.uri, id))
    }

    /// The past has been told; gives what to ask next.
    pub(super) fn past(
        &mut self,
        number: u64,
        question: Question,
        page: Vec<Past>,
        serializer: Serializer,
    ) -> Option<Question> {
        let id = self.id(number)?;
        let attached = self.entries.get_mut(&number)?;
        let (new, next) = attached.gap.as_mut()?.answer(question, page, &self.own);
        events(new, id, serializer).for_each(|event| attached.put(event));
        attached.unless_over(next)
    }

    /// The subscriptions that have events of a topic; gives what to ask next.
    pub(super) fn matched(&mut self, number: u64, ids: Vec<SubscriptionId>) -> Option<Question> {
        let attached = self.entries.get_mut(&number)?;
        let next = attached.gap.as_mut()?.matched(ids);
        attached.unless_over(next)
    }

    /// Nothing is told about the past; gives what to ask next.
    pub(super) fn past_unknown(&mut self, number: u64, question: Question) -> Option<Question> {
        let attached = self.entries.get_mut(&number)?;
        let next = attached.gap.as_mut()?.failed(question);
        attached.unless_over(next)
    }

    /// The connection is lost.
    pub(super) fn part(&mut self) {
        self.by_id.clear();
        self.unwanted.clear();
        self.asking = 0;
        for attached in self.entries.values_mut() {
            attached.wanted.id.store(0, Ordering::Release);
            let held = attached.gap.as_mut().map(|gap| gap.part()).unwrap_or_default();
            held.into_iter().for_each(|event| attached.put(event));
        }
    }

    /// The session is over.
    pub(super) fn end(&mut self, error: &RequestError) {
        for (_, attached) in std::mem::take(&mut self.entries) {
            if let Some(answer) = attached.wanted.answer {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}
