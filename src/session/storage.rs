//! What a realm keeps of the events that were published in it.

use crate::wamp::{MatchPolicy, Uri};
use std::path::PathBuf;
use std::time::Duration;

/// Limits of the retained events of a realm (specification, "Event Retention"). What is over the limits is forgotten,
/// the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetainedLimits {
    /// Topics with a retained event; 0 switches retention off.
    pub topics_max: u32,
    /// Octets of all retained events, counting what it takes to find them.
    pub bytes_max: u64,
    /// Retained events of one topic for some receivers only, besides the one that everybody may receive.
    pub restricted_max: u32,
}

impl Default for RetainedLimits {
    fn default() -> Self {
        RetainedLimits { topics_max: 1_000_000, bytes_max: 1024 * 1024 * 1024, restricted_max: 16 }
    }
}

/// Topics whose events are kept (specification, "Event History").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRule {
    /// The topic or pattern: there is always a subscription of it, and its history is what
    /// `wamp.subscription.get_events` gives.
    pub uri: Uri,
    /// How topics are compared.
    pub policy: MatchPolicy,
    /// Events that are kept.
    pub events_max: u32,
    /// Octets of their payload that are kept.
    pub bytes_max: u64,
    /// How long they are kept; none means that age does not matter.
    pub age_max: Option<Duration>,
}

/// Where a realm keeps its histories.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum HistoryStore {
    /// In memory alone: they end with the process.
    #[default]
    Memory,
    /// In memory and, behind it, in a file from which they are read when the router starts.
    Disk {
        /// The file; it is made if it is not there. Realms may share one, they do not see each other's events.
        path: PathBuf,
        /// PUBLISHED is written when the event is safely on the disk. Otherwise it is written at once, and the event
        /// follows within `history_flush_interval` of the runtime's configuration.
        sync: bool,
    },
}

impl HistoryRule {
    /// The last 1000 events, at most 16 MiB, of whatever age.
    #[must_use]
    pub fn new(uri: &str, policy: MatchPolicy) -> HistoryRule {
        HistoryRule { uri: uri.into(), policy, events_max: 1_000, bytes_max: 16 * 1024 * 1024, age_max: None }
    }
}
