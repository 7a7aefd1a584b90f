//! Events of the past, from the history that the router keeps of a topic (specification, "Event History").

use super::error::RequestError;
use super::gap::page;
use super::session::Session;
use super::subscription::Event;
use crate::wamp::id::PublicationId;
use crate::wamp::{Dict, MatchPolicy, Uri, Value};

/// A question about the past; see [`Session::history`].
#[derive(Debug)]
#[must_use = "nothing is asked before it is fetched"]
pub struct History {
    session: Session,
    topic: Uri,
    policy: MatchPolicy,
    filter: Dict,
    newest: bool,
}

impl Session {
    /// Prepares a question for events of the past:
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() { with_session(async |session| {
    /// let last_ten = session.history("com.example.load").newest(10).fetch().await?;
    /// # assert!(last_ten.is_empty(), "the router keeps none");
    /// # Ok(()) }) }
    /// ```
    pub fn history(&self, topic: &str) -> History {
        let (session, topic, policy) = (self.clone(), topic.into(), MatchPolicy::Exact);
        History { session, topic, policy, filter: Dict::new(), newest: false }
    }
}

impl History {
    /// The router keeps the history under a pattern of this kind.
    pub fn matching(mut self, policy: MatchPolicy) -> History {
        self.policy = policy;
        self
    }

    /// The router keeps the history of all topics that begin like this.
    pub fn prefix(self) -> History {
        self.matching(MatchPolicy::Prefix)
    }

    /// So many of the newest events.
    pub fn newest(mut self, most: u64) -> History {
        self.newest = true;
        self.filter("limit", most)
    }

    /// So many of the oldest events, of those that follow what else is asked for.
    pub fn oldest(mut self, most: u64) -> History {
        self.newest = false;
        self.filter("limit", most)
    }

    /// Events of this topic only, where the history is one of a pattern.
    pub fn topic(self, topic: &str) -> History {
        self.filter("topic", topic)
    }

    /// Events behind this one.
    pub fn after(self, publication: PublicationId) -> History {
        self.filter("after_publication", publication.get())
    }

    /// Any other filter of `wamp.subscription.get_events`.
    pub fn filter(mut self, name: &str, value: impl Into<Value>) -> History {
        self.filter.remove(name);
        self.filter.push(name, value);
        self
    }

    /// Asks the router. The oldest event comes first. None at all: the router has kept none.
    ///
    /// # Errors
    /// As [`Ask::outcome`](super::Ask::outcome).
    pub async fn fetch(self) -> Result<Vec<Event>, RequestError> {
        let options = Dict::new().with("match", self.policy.name());
        let lookup = self.session.ask("wamp.subscription.lookup").arg(&*self.topic).arg(options);
        let Some(id) = lookup.result::<Option<u64>>().await? else { return Ok(Vec::new()) };
        // Crossbar.io refuses the word, whatever is said by it.
        let filter = if self.newest { self.filter.with("reverse", true) } else { self.filter };
        let ask = self.session.ask("wamp.subscription.get_events").arg(id).kwargs(filter);
        let found = page(self.newest, ask.outcome().await?.args);
        Ok(found.into_iter().map(|past| past.told(&self.topic)).collect())
    }
}
