//! The routing table that every shard has: which shards want a topic, and who answers a procedure.
//!
//! It changes by log entries of the homes alone; matching and choosing happen here, on the publisher's or caller's
//! shard.

use super::index::ShardIndex;
use super::map::{Hashing, Map};
use super::pattern::{PrefixTrie, WildcardTrie};
use super::peer::LogEntry;
use super::subject::Subject;
use crate::session::RealmIndex;
use crate::wamp::{MatchPolicy, RegistrationId, SessionId, SubscriptionId, Uri};
use std::sync::Arc;

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ShardSet(u128);

impl ShardSet {
    pub(super) fn insert(&mut self, shard: ShardIndex) {
        self.0 |= 1 << shard;
    }

    fn remove(&mut self, shard: ShardIndex) {
        self.0 &= !(1 << shard);
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The shards of the set, ascending.
    pub(super) fn iter(self) -> impl Iterator<Item = ShardIndex> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let shard = u16::try_from(rest.trailing_zeros()).ok().filter(|_| rest != 0)?;
            rest &= rest - 1;
            Some(shard)
        })
    }
}

/// A subscription as far as a publisher's shard has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interest {
    pub(super) id: SubscriptionId,
    pub(super) shards: ShardSet,
}

/// A registration as far as a caller's shard has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) id: RegistrationId,
    pub(super) procedure: Uri,
    pub(super) callees: Arc<[(SessionId, ShardIndex)]>,
}

/// The routing table of one shard.
#[derive(Debug)]
pub(super) struct Replica {
    realms: Vec<RealmTable>,
}

#[derive(Debug)]
struct RealmTable {
    exact: Map<Uri, Interest>,
    prefix: PrefixTrie<Interest>,
    wildcard: WildcardTrie<Interest>,
    procedures: Map<Uri, Registration>,
}

impl RealmTable {
    fn interest(&mut self, subject: &Subject) -> Option<&mut Interest> {
        match subject.policy {
            MatchPolicy::Exact => self.exact.get_mut(&*subject.uri),
            MatchPolicy::Prefix => self.prefix.get_mut(&subject.uri),
            MatchPolicy::Wildcard => self.wildcard.get_mut(&subject.uri),
        }
    }

    fn insert(&mut self, subject: Subject, interest: Interest) {
        match subject.policy {
            MatchPolicy::Exact => drop(self.exact.insert(subject.uri, interest)),
            MatchPolicy::Prefix => drop(self.prefix.insert(&subject.uri, interest)),
            MatchPolicy::Wildcard => drop(self.wildcard.insert(&subject.uri, interest)),
        }
    }

    fn remove(&mut self, subject: &Subject) {
        match subject.policy {
            MatchPolicy::Exact => drop(self.exact.remove(&*subject.uri)),
            MatchPolicy::Prefix => drop(self.prefix.remove(&subject.uri)),
            MatchPolicy::Wildcard => drop(self.wildcard.remove(&subject.uri)),
        }
    }
}

impl Replica {
    pub(super) fn new(realms: usize, hashing: &Hashing) -> Replica {
        let table = || RealmTable {
            exact: hashing.map(),
            prefix: PrefixTrie::new(),
            wildcard: WildcardTrie::new(),
            procedures: hashing.map(),
        };
        Replica { realms: (0..realms).map(|_| table()).collect() }
    }

    /// Applies an entry of a home's log; tells whom to tell, and up to which position of that log.
    pub(super) fn apply(&mut self, entry: LogEntry) -> Option<(ShardIndex, u64)> {
        match entry {
            LogEntry::Up { position, subject, id, shard } => {
                let table = &mut self.realms[usize::from(subject.realm)];
                match table.interest(&subject) {
                    // The id differs if the subject has been deleted and made anew.
                    Some(interest) if interest.id == id => interest.shards.insert(shard),
                    _ => {
                        let mut shards = ShardSet::default();
                        shards.insert(shard);
                        table.insert(subject, Interest { id, shards });
                    }
                }
                Some((shard, position))
            }
            LogEntry::Down { subject, id, shard } => {
                let table = &mut self.realms[usize::from(subject.realm)];
                if let Some(interest) = table.interest(&subject).filter(|interest| interest.id == id) {
                    interest.shards.remove(shard);
                    if interest.shards.is_empty() {
                        table.remove(&subject);
                    }
                }
                None
            }
            LogEntry::Callees { position, realm, procedure, id, callees, cause } => {
                let table = &mut self.realms[usize::from(realm)];
                if callees.is_empty() {
                    table.procedures.remove(&*procedure);
                } else {
                    table.procedures.insert(procedure.clone(), Registration { id, procedure, callees });
                }
                Some((cause, position))
            }
        }
    }

    /// Gives every subscription that matches a topic: the exact one first, then prefixes by length, then wildcards.
    pub(super) fn matching(&self, realm: RealmIndex, topic: &str, mut each: impl FnMut(Interest)) {
        let table = &self.realms[usize::from(realm)];
        if let Some(interest) = table.exact.get(topic) {
            each(*interest);
        }
        if !table.prefix.is_empty() {
            table.prefix.for_each_match(topic, |interest| each(*interest));
        }
        if !table.wildcard.is_empty() {
            table.wildcard.for_each_match(topic, |interest| each(*interest));
        }
    }

    /// The registration that answers a procedure.
    pub(super) fn registration(&self, realm: RealmIndex, procedure: &str) -> Option<&Registration> {
        self.realms[usize::from(realm)].procedures.get(procedure)
    }

    /// True if nothing is known to anybody.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn is_empty(&self) -> bool {
        self.realms.iter().all(|table| {
            table.exact.is_empty()
                && table.prefix.is_empty()
                && table.wildcard.is_empty()
                && table.procedures.is_empty()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_sets_iterate_ascending() {
        let mut set = ShardSet::default();
        for shard in [127, 0, 64, 5] {
            set.insert(shard);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 5, 64, 127]);
        set.remove(64);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 5, 127]);
        assert_eq!(ShardSet::default().iter().count(), 0);
    }
}
