//! Subscriptions, events, and publications.

use super::content::{Content, readable, speakable, traced, whom};
use super::error::RequestError;
use super::gap::REPLAYED;
use super::handler::{Handle, Handler, States, serve_events};
use super::order::Notice;
use super::queue::Queue;
use super::session::Session;
use crate::wamp::id::{PublicationId, SessionId, SubscriptionId};
use crate::wamp::link::FORWARD_FOR;
use crate::wamp::{Dict, MatchPolicy, Uri, Value, message};
use futures_core::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The topic it was published to.
    pub topic: Uri,
    /// The publication.
    pub publication: PublicationId,
    /// Its arguments.
    pub args: Vec<Value>,
    /// Its arguments by name.
    pub kwargs: Dict,
    /// `EVENT.Details`.
    pub details: Dict,
}

readable!(Event);
traced!(Event);

impl Event {
    pub(super) fn new(event: message::Event, topic: &Uri) -> Event {
        let message::Event { publication, details, payload, .. } = event;
        // Payload that its sender has encrypted is not for us.
        let (args, kwargs) = payload.values().unwrap_or_default();
        let topic = details.str("topic").ok().flatten().map_or_else(|| topic.clone(), Uri::from);
        Event { topic, publication, args, kwargs, details }
    }

    /// The session that has published it, if that is disclosed.
    #[must_use]
    pub fn publisher(&self) -> Option<SessionId> {
        self.details.uint("publisher").ok().flatten().and_then(SessionId::new)
    }

    /// Who has published it, if that is disclosed.
    #[must_use]
    pub fn publisher_authid(&self) -> Option<&str> {
        self.details.str("publisher_authid").ok().flatten()
    }

    /// For whom it has been passed on, the first one first: what its publisher says, which need not be true. Empty: it comes
    /// from the publisher itself.
    #[must_use]
    pub fn forward_for(&self) -> &[Value] {
        whom(&self.details)
    }

    /// True if it was published before the subscription began, and kept for those who come later.
    #[must_use]
    pub fn retained(&self) -> bool {
        matches!(self.details.bool("retained"), Ok(Some(true)))
    }

    /// True if it was published while there was no connection, and comes from the history of the topic.
    #[must_use]
    pub fn replayed(&self) -> bool {
        matches!(self.details.bool(REPLAYED), Ok(Some(true)))
    }
}

/// A subscription. It ends when it is dropped. It is a stream of events, too.
#[derive(Debug)]
pub struct Subscription {
    session: Session,
    number: u64,
    id: Arc<AtomicU64>,
    topic: Uri,
    events: Queue<message::Event>,
}

impl Subscription {
    pub(super) fn new(
        session: Session,
        number: u64,
        id: Arc<AtomicU64>,
        topic: Uri,
        events: Queue<message::Event>,
    ) -> Subscription {
        Subscription { session, number, id, topic, events }
    }

    /// Its id at the router: another one after each connection, and 0 while there is none.
    #[must_use]
    pub fn id(&self) -> SubscriptionId {
        SubscriptionId::from_raw(self.id.load(Ordering::Acquire))
    }

    /// The topic or pattern.
    #[must_use]
    pub fn topic(&self) -> &Uri {
        &self.topic
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The next event; none: the session has ended, or the router has revoked the subscription. May be dropped while it
    /// waits: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.next().await.map(|event| Event::new(event, &self.topic))
    }
}

impl Stream for Subscription {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let event = std::task::ready!(self.events.poll_next(context));
        Poll::Ready(event.map(|event| Event::new(event, &self.topic)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.session.notice(Notice::Detach(self.number));
    }
}

/// A subscription that is about to be made; see [`Session::listen`].
#[derive(Debug)]
#[must_use = "nothing is subscribed to before it is opened"]
pub struct Listen {
    session: Session,
    topic: Uri,
    options: Dict,
}

/// An event that is about to be published; see [`Session::event`].
#[derive(Debug)]
#[must_use = "nothing is published before it is sent"]
pub struct Publication {
    session: Session,
    topic: Uri,
    content: Content,
}

speakable!(Publication, "PUBLISH.Options");

impl Session {
    /// Prepares a subscription:
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() { with_session(async |session| {
    /// let mut events = session.listen("com.example.").prefix().open().await?;
    /// # session.event("com.example.hello").arg("Hello!").to_all().acknowledged().await?;
    /// while let Some(event) = events.next().await {
    ///     println!("{}: {}", event.topic, event.arg::<String>(0)?);
    /// #   break;
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn listen(&self, topic: &str) -> Listen {
        Listen { session: self.clone(), topic: topic.into(), options: Dict::new() }
    }

    /// Prepares a publication:
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() { with_session(async |session| {
    /// session.event("com.example.hello").arg("Hello!").kwarg("times", 3).retained().acknowledged().await?;
    /// # Ok(()) }) }
    /// ```
    pub fn event(&self, topic: &str) -> Publication {
        Publication { session: self.clone(), topic: topic.into(), content: Content::default() }
    }
}

impl Listen {
    /// The topic is compared in this way.
    pub fn matching(self, policy: MatchPolicy) -> Listen {
        self.option("match", policy.name())
    }

    /// All topics that begin like this.
    pub fn prefix(self) -> Listen {
        self.matching(MatchPolicy::Prefix)
    }

    /// All topics with the same components, where an empty one stands for any.
    pub fn wildcard(self) -> Listen {
        self.matching(MatchPolicy::Wildcard)
    }

    /// The retained event comes first, if there is one.
    pub fn retained(self) -> Listen {
        self.option("get_retained", true)
    }

    /// An attribute of `SUBSCRIBE.Options`.
    pub fn option(mut self, name: &str, value: impl Into<Value>) -> Listen {
        self.options.remove(name);
        self.options.push(name, value);
        self
    }

    /// Subscribes. While there is no connection it waits for one.
    ///
    /// # Errors
    /// As [`Session::subscribe`].
    pub async fn open(self) -> Result<Subscription, RequestError> {
        self.session.subscribe(&self.topic, self.options).await
    }

    /// Subscribes, and calls `handler` with each event, one after the other:
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() { with_session(async |session| {
    /// let hears = session.listen("com.example.hello").handle(async |text: String, times: Option<u32>| {
    ///     println!("{text} ({times:?})");
    /// });
    /// let handle = hears.await?;
    /// # session.event("com.example.hello").arg("Hello!").to_all().acknowledged().await?;
    /// # handle.stop().await;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    /// As [`Session::subscribe`].
    pub async fn handle<P>(self, handler: impl Handler<P>) -> Result<Handle, RequestError> {
        let subscription = self.open().await?;
        Ok(serve_events(subscription, handler.boxed(), Arc::new(States::default())))
    }
}

impl Publication {
    /// For whom the event is passed on: a list of `{session, authid, authrole}`, the first one first. Subscribers are told.
    pub fn forward_for(self, whom: Vec<Value>) -> Publication {
        self.option(FORWARD_FOR, whom)
    }

    /// It is kept by the router for those who subscribe later and ask for it.
    pub fn retained(self) -> Publication {
        self.option("retain", true)
    }

    /// It comes to its publisher too, if that has subscribed.
    pub fn to_all(self) -> Publication {
        self.option("exclude_me", false)
    }

    /// Tells subscribers who publishes, if the router allows it.
    pub fn disclosed(self) -> Publication {
        self.option("disclose_me", true)
    }

    /// Publishes, without waiting for anything but room in the queue.
    ///
    /// # Errors
    /// The session has ended, or an argument cannot be said.
    pub async fn send(self) -> Result<(), RequestError> {
        let (args, kwargs, options) = self.content.take()?;
        self.session.publish(&self.topic, args, kwargs, options).await
    }

    /// Publishes, and waits until the router has taken it.
    ///
    /// # Errors
    /// As [`Session::publish_acknowledged`]; or an argument cannot be said.
    pub async fn acknowledged(self) -> Result<PublicationId, RequestError> {
        let (args, kwargs, options) = self.content.take()?;
        self.session.publish_acknowledged(&self.topic, args, kwargs, options).await
    }
}
