//! Messages that are passed on as they came, without a look at their payload: for links between routers, and the like.

use super::Results;
use super::error::RequestError;
use super::order::{Invoked, Notice, Order, Wanted};
use super::queue::{Feed, Queue};
use super::registration::Invocation;
use super::session::Session;
use crate::wamp::id::{PublicationId, RequestId};
use crate::wamp::link::ROUTER;
use crate::wamp::{Dict, Payload, Uri, message};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// What is asked for, by the number of the session's own.
#[derive(Debug, Default)]
struct Names {
    by_number: BTreeMap<u64, (Uri, Arc<AtomicU64>)>,
    /// The same by the ids of the router, as far as they have been looked for.
    by_id: HashMap<u64, u64>,
}

impl Names {
    /// The topic or procedure that has an id now; none: it is not wanted any more.
    fn find(&mut self, id: u64) -> Option<Uri> {
        let has_it = |at: &AtomicU64| at.load(Ordering::Acquire) == id;
        let known = self.by_id.get(&id).and_then(|number| self.by_number.get(number));
        if let Some((uri, _)) = known.filter(|(_, at)| has_it(at)) {
            return Some(uri.clone());
        }
        // Another connection may have given the id to something else.
        self.by_id.remove(&id);
        let (number, (uri, _)) = self.by_number.iter().find(|(_, (_, at))| has_it(at))?;
        if self.by_id.len() >= self.by_number.len() {
            // Some are of connections that are lost.
            self.by_id.clear();
        }
        self.by_id.insert(id, *number);
        Some(uri.clone())
    }

    fn forget(&mut self, number: u64) {
        if let Some((_, id)) = self.by_number.remove(&number) {
            self.by_id.remove(&id.load(Ordering::Acquire));
        }
    }
}

/// Where subscriptions or registrations are asked for whose messages come in one row; see [`Session::gather_events`].
#[derive(Debug)]
pub struct Gatherer<T> {
    session: Session,
    names: Arc<Mutex<Names>>,
    feed: Feed<T>,
}

/// What comes for a [`Gatherer`], in the order in which the router has sent it.
#[derive(Debug)]
pub struct Gathered<T> {
    session: Session,
    names: Arc<Mutex<Names>>,
    row: Queue<T>,
}

/// Where subscriptions are asked for.
pub type EventGatherer = Gatherer<message::Event>;
/// Where registrations are asked for.
pub type CallGatherer = Gatherer<Invoked>;
/// The events that come for them.
pub type GatheredEvents = Gathered<message::Event>;
/// The calls that come for them.
pub type GatheredCalls = Gathered<Invoked>;

/// A subscription or a registration of a [`Gatherer`]. It ends when it is dropped.
#[derive(Debug)]
pub struct Held {
    session: Session,
    names: Arc<Mutex<Names>>,
    number: u64,
    notice: fn(u64) -> Notice,
}

/// An event as it came.
#[derive(Clone, Debug)]
pub struct PassedEvent {
    /// The topic it was published to.
    pub topic: Uri,
    /// The publication.
    pub publication: PublicationId,
    /// `EVENT.Details`.
    pub details: Dict,
    /// Its arguments.
    pub payload: Payload,
}

/// A call as it came.
#[derive(Debug)]
pub struct PassedCall {
    /// Its arguments.
    pub payload: Payload,
    /// What has to be answered; it has no arguments.
    pub invocation: Invocation,
}

/// The router is about to acknowledge a publication.
#[derive(Debug)]
pub struct Acknowledgement {
    session: Session,
    answered: oneshot::Receiver<Result<PublicationId, RequestError>>,
}

fn open(names: &Mutex<Names>) -> MutexGuard<'_, Names> {
    // Nothing panics while it is locked.
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Gatherer<T> {
    async fn ask(
        &self,
        uri: &str,
        options: Dict,
        order: fn(u64, Wanted<T>) -> Order,
        notice: fn(u64) -> Notice,
    ) -> Result<Held, RequestError> {
        let (session, names) = (self.session.clone(), self.names.clone());
        let (number, id) = (session.number(), Arc::new(AtomicU64::new(0)));
        let (uri, feed): (Uri, _) = (uri.into(), self.feed.clone());
        // What it brings may come before the answer is taken.
        open(&names).by_number.insert(number, (uri.clone(), id.clone()));
        let held = Held { session, names, number, notice };
        let wanted = |answer| Wanted { uri, options, feed, id, answer: Some(answer) };
        self.session.ask_driver(|answer| order(number, wanted(answer))).await?;
        Ok(held)
    }
}

impl EventGatherer {
    /// Subscribes. `options` as `SUBSCRIBE.Options`.
    ///
    /// # Errors
    /// The router refuses, or the session ends.
    pub async fn subscribe(&self, topic: &str, options: Dict) -> Result<Held, RequestError> {
        self.ask(topic, options, Order::Subscribe, Notice::Detach).await
    }
}

impl CallGatherer {
    /// Registers. `options` as `REGISTER.Options`.
    ///
    /// # Errors
    /// The router refuses, or the session ends.
    pub async fn register(&self, procedure: &str, options: Dict) -> Result<Held, RequestError> {
        self.ask(procedure, options, Order::Register, Notice::Withdraw).await
    }
}

impl GatheredEvents {
    /// The next event; none if there will be none. May be dropped while it waits: no event is lost.
    pub async fn next(&mut self) -> Option<PassedEvent> {
        loop {
            let message::Event { subscription, publication, details, payload } = self.row.next().await?;
            let topic = details.str("topic").ok().flatten().map(Uri::from);
            if let Some(topic) = topic.or_else(|| open(&self.names).find(subscription.get())) {
                return Some(PassedEvent { topic, publication, details, payload });
            }
        }
    }
}

impl GatheredCalls {
    /// The next call; none if there will be none. May be dropped while it waits: no call is lost.
    pub async fn next(&mut self) -> Option<PassedCall> {
        loop {
            let invoked = self.row.next().await?;
            let procedure = open(&self.names).find(invoked.invocation.registration.get());
            let known = procedure.is_some();
            let procedure = procedure.unwrap_or_else(|| Uri::from(""));
            let (payload, invocation) = Invocation::unread(self.session.clone(), &procedure, invoked);
            if known {
                return Some(PassedCall { payload, invocation });
            }
            let why = super::CallError::new(crate::wamp::error::UNAVAILABLE, "the procedure is being withdrawn");
            invocation.fail(why);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        open(&self.names).forget(self.number);
        self.session.notice((self.notice)(self.number));
    }
}

impl Acknowledgement {
    /// Waits for it.
    ///
    /// # Errors
    /// The router refuses, the connection or the session ends, or the event cannot be said.
    pub async fn taken(self) -> Result<PublicationId, RequestError> {
        self.answered.await.map_err(|_| self.session.closed())?
    }
}

impl Session {
    fn gather<T>(&self) -> (Gatherer<T>, Gathered<T>) {
        let ((feed, row), names) = (self.row(), Arc::<Mutex<Names>>::default());
        let gatherer = Gatherer { session: self.clone(), names: names.clone(), feed };
        (gatherer, Gathered { session: self.clone(), names, row })
    }

    /// Many subscriptions whose events come in one row, so that those of a publisher stay in order over all topics.
    #[must_use]
    pub fn gather_events(&self) -> (EventGatherer, GatheredEvents) {
        self.gather()
    }

    /// Many registrations whose calls come in one row.
    #[must_use]
    pub fn gather_calls(&self) -> (CallGatherer, GatheredCalls) {
        self.gather()
    }

    /// By which word linked routers know the realm of this router, if it says that; only to sessions with
    /// [`Connect::passes_on`](super::Connect::passes_on).
    #[must_use]
    pub fn router(&self) -> Option<Box<str>> {
        self.details().str(ROUTER).ok().flatten().map(Into::into)
    }

    /// Publishes an event whose arguments are passed on as they came; waits for nothing but room in the queue. What the
    /// router says comes later.
    ///
    /// # Errors
    /// The session has ended.
    pub async fn pass_event(
        &self,
        topic: &Uri,
        payload: Payload,
        mut options: Dict,
    ) -> Result<Acknowledgement, RequestError> {
        options.remove("acknowledge");
        options.push("acknowledge", true);
        let publish = message::Publish { request: RequestId::default(), options, topic: topic.clone(), payload };
        let (answer, answered) = oneshot::channel();
        self.order(Order::Publish(publish, Some(answer))).await?;
        Ok(Acknowledgement { session: self.clone(), answered })
    }

    /// Calls a procedure with arguments that are passed on as they came, for as long as it takes. `options` as
    /// `CALL.Options`. Dropping what is returned cancels the call.
    ///
    /// # Errors
    /// The session has ended.
    pub async fn pass_call(&self, procedure: &Uri, payload: Payload, options: Dict) -> Result<Results, RequestError> {
        self.start_with(procedure, payload, options, None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_connection_that_is_there() {
        let mut names = Names::default();
        let ids: Vec<Arc<AtomicU64>> = [11, 12, 13].map(|id| Arc::new(AtomicU64::new(id))).into();
        for ((number, uri), id) in ["a", "b", "c"].into_iter().enumerate().zip(&ids) {
            names.by_number.insert(number as u64, (uri.into(), id.clone()));
        }
        let found = |names: &mut Names, id| names.find(id).map(|uri| uri.to_string());
        for (id, uri) in [(11, Some("a")), (12, Some("b")), (13, Some("c")), (14, None)] {
            assert_eq!(found(&mut names, id).as_deref(), uri);
        }
        // The next connection gives the same ids to others.
        for (id, place) in [12, 11, 21].into_iter().zip(&ids) {
            place.store(id, Ordering::Release);
        }
        for (id, uri) in [(11, Some("b")), (12, Some("a")), (13, None), (21, Some("c"))] {
            assert_eq!(found(&mut names, id).as_deref(), uri);
        }
        // None is left of those that were lost.
        for id in 31..40 {
            ids[2].store(id, Ordering::Release);
            assert_eq!(found(&mut names, id).as_deref(), Some("c"));
            assert!(names.by_id.len() <= names.by_number.len());
        }
        names.forget(1);
        assert_eq!(found(&mut names, 11), None);
    }
}
