//! Histories that outlive the process: what a home wants written down, and what it is given back.

use super::peer::Publication;
use super::subject::Subject;
use std::sync::Arc;
use std::time::Duration;

/// An event that a home has put into a history that has to outlive the process.
#[derive(Debug)]
pub struct Record {
    /// Counts the records of the shard, from 1.
    pub sequence: u64,
    /// Whose history.
    pub subject: Subject,
    /// Its place in the history, above those of all earlier events.
    pub place: u64,
    /// The first place that is still kept; `place + 1` if nothing is.
    pub first: u64,
    /// When it came, since 1970, in whole milliseconds.
    pub time: Duration,
    /// The event.
    pub publication: Arc<Publication>,
    /// A publisher waits for it.
    pub awaited: bool,
}

impl Record {
    /// Roughly how many octets the record keeps alive.
    #[must_use]
    pub fn weight(&self) -> usize {
        const FIXED: usize = 256;
        FIXED + self.publication.topic.len() + self.publication.weight()
    }
}

/// A history as an earlier process left it.
#[derive(Clone, Debug)]
pub struct Past {
    /// Whose.
    pub subject: Subject,
    /// Its events, in order, within the limits of its rule.
    pub events: Vec<PastEvent>,
}

/// An event of a [`Past`].
#[derive(Clone, Debug)]
pub struct PastEvent {
    /// Its place in the history.
    pub place: u64,
    /// When it came, since 1970.
    pub time: Duration,
    /// The event.
    pub publication: Arc<Publication>,
}
