//! Events on their way.

use super::super::index::ShardIndex;
use super::super::nodes::NodeKey;
use super::super::trace::EventTrace;
use crate::session::{Audience, RealmIndex};
use crate::wamp::{Dict, Payload, PublicationId, RequestId, SessionId, SubscriptionId, Uri};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// An event on its way to subscribers.
#[derive(Debug)]
pub struct Publication {
    /// Its id.
    pub id: PublicationId,
    /// Where it comes from.
    pub stamp: Stamp,
    /// The publisher, if it must not get the event itself.
    pub excluded: Option<SessionId>,
    /// The topic, as published.
    pub topic: Uri,
    /// The event.
    pub payload: Payload,
    /// What hardly any publication has.
    pub extras: Option<Box<Extras>>,
}

/// The place of a publication among those of its shard. Those of one publisher are in the order in which it sent them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The publisher's shard.
    pub shard: ShardIndex,
    /// Counts the publications of that shard.
    pub serial: u64,
    /// When it came, since the start of time.
    pub at: Duration,
}

/// What hardly any publication has. Made by [`Extras::new`].
#[derive(Debug, Default)]
pub struct Extras {
    /// Goes into `EVENT.Details`.
    pub details: Dict,
    /// Who may receive the event, if not everybody.
    pub audience: Option<Box<Audience>>,
    /// It is to be kept as the last value of its topic.
    pub retain: bool,
    /// The nodes that a routing key has chosen, if there was one.
    pub nodes: Option<Chosen>,
    /// Its trace, of which only those are told who get the event now.
    pub trace: Option<Box<EventTrace>>,
    /// Roughly how many octets the details and the audience take.
    weight: usize,
}

/// The node of each subscription that gets an event, but for those of which no node was known.
pub type Chosen = SmallVec<[(SubscriptionId, NodeKey); 1]>;

/// A publication that is to be kept.
#[derive(Debug)]
pub struct Store {
    /// The realm.
    pub realm: RealmIndex,
    /// The publication.
    pub publication: Arc<Publication>,
    /// As the last value of its topic.
    pub retain: bool,
    /// In the histories of these subscriptions.
    pub histories: SmallVec<[SubscriptionId; 2]>,
    /// The publisher waits for PUBLISHED.
    pub report: Option<(SessionId, RequestId)>,
}

impl Extras {
    /// What is there of these.
    #[must_use]
    pub fn new(details: Dict, audience: Option<Box<Audience>>, retain: bool) -> Extras {
        let weight = details.weight() + audience.as_ref().map_or(0, |audience| audience.weight());
        Extras { details, audience, retain, weight, ..Extras::default() }
    }
}

impl Publication {
    /// Roughly how many octets it keeps alive, without its topic: the publisher decides about all of them.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.payload.len() + self.extras.as_ref().map_or(0, |extras| extras.weight)
    }

    /// Who may receive the event, if not everybody.
    #[must_use]
    pub fn audience(&self) -> Option<&Audience> {
        self.extras.as_ref()?.audience.as_deref()
    }

    /// The nodes that a routing key has chosen, if there was one.
    #[must_use]
    pub fn nodes(&self) -> Option<&Chosen> {
        self.extras.as_ref()?.nodes.as_ref()
    }

    /// Its trace, if it has one.
    #[must_use]
    pub fn trace(&self) -> Option<&EventTrace> {
        self.extras.as_ref()?.trace.as_deref()
    }

    /// `EVENT.Details` for a subscription, a pattern or not, without its trace.
    #[must_use]
    pub fn details(&self, pattern: bool) -> Dict {
        let mut details = self.extras.as_ref().map_or_else(Dict::new, |extras| extras.details.clone());
        if pattern {
            details.push("topic", &*self.topic);
        }
        details
    }
}
