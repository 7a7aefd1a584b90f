//! The routing table that every shard has: which shards want a topic, and who answers a procedure.
//!
//! It changes by log entries of the homes alone; matching and choosing happen here, on the publisher's or caller's
//! shard.

use super::choice::Ranking;
use super::choice::{Callee, Shared};
use super::index::ShardIndex;
use super::map::Hashing;
use super::nodes::Nodes;
use super::peer::{Chosen, LogEntry};
use super::subject::Subject;
use super::table::Table;
use crate::session::RealmIndex;
use crate::session::options::InvokePolicy;
use crate::wamp::{RegistrationId, SubscriptionId};
use std::sync::Arc;

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ShardSet(u128);

impl ShardSet {
    pub(super) fn insert(&mut self, shard: ShardIndex) {
        self.0 |= 1 << shard;
    }

    pub(super) fn remove(&mut self, shard: ShardIndex) {
        self.0 &= !(1 << shard);
    }

    pub(super) fn is_empty(self) -> bool {
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
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) id: RegistrationId,
    pub(super) subject: Subject,
    pub(super) invoke: InvokePolicy,
    /// Oldest first; never none.
    pub(super) callees: Arc<[Callee]>,
    pub(super) shared: Arc<Shared>,
}

/// The routing table of one shard.
#[derive(Debug)]
pub(super) struct Replica {
    realms: Vec<RealmTable>,
    nodes: Nodes,
}

#[derive(Debug)]
struct RealmTable {
    topics: Table<Interest>,
    procedures: Table<Registration>,
}

impl Replica {
    pub(super) fn new(realms: usize, hashing: &Hashing) -> Replica {
        let mut replica = Replica { realms: Vec::new(), nodes: Nodes::new(hashing) };
        replica.grow(realms, hashing);
        replica
    }

    /// Makes room for so many realms.
    pub(super) fn grow(&mut self, realms: usize, hashing: &Hashing) {
        let table = || RealmTable { topics: Table::new(hashing), procedures: Table::new(hashing) };
        self.realms.resize_with(realms, table);
    }

    /// Applies an entry of a home's log; tells whom to tell, and up to which position of that log.
    pub(super) fn apply(&mut self, entry: LogEntry) -> Option<(ShardIndex, u64)> {
        match entry {
            LogEntry::Up { position, subject, id, shard } => {
                let topics = &mut self.realms[usize::from(subject.realm)].topics;
                match topics.get_mut(&subject) {
                    // The id differs if the subject has been deleted and made anew.
                    Some(interest) if interest.id == id => interest.shards.insert(shard),
                    _ => {
                        let mut shards = ShardSet::default();
                        shards.insert(shard);
                        topics.insert(subject, Interest { id, shards });
                    }
                }
                Some((shard, position))
            }
            LogEntry::Down { subject, id, shard } => {
                let topics = &mut self.realms[usize::from(subject.realm)].topics;
                if let Some(interest) = topics.get_mut(&subject).filter(|interest| interest.id == id) {
                    interest.shards.remove(shard);
                    if interest.shards.is_empty() {
                        topics.remove(&subject);
                    }
                }
                None
            }
            LogEntry::NodeUp { position, id, node, shard } => {
                self.nodes.up(id, node, shard);
                Some((shard, position))
            }
            LogEntry::NodeDown { position, id, node, shard } => {
                self.nodes.down(id, &node, shard);
                Some((shard, position))
            }
            LogEntry::Callees { position, subject, id, invoke, callees, shared, cause } => {
                let procedures = &mut self.realms[usize::from(subject.realm)].procedures;
                if callees.is_empty() {
                    procedures.remove(&subject);
                } else {
                    procedures.insert(subject.clone(), Registration { id, subject, invoke, callees, shared });
                }
                Some((cause, position))
            }
            LogEntry::Mark { position, cause } => Some((cause, position)),
        }
    }

    /// Gives every subscription that matches a topic: the exact one first, then prefixes by length, then wildcards.
    pub(super) fn matching(&self, realm: RealmIndex, topic: &str, mut each: impl FnMut(Interest)) {
        self.realms[usize::from(realm)].topics.for_each_match(topic, |interest| each(*interest));
    }

    /// The node of each subscription to a topic that gets an event with this routing key.
    pub(super) fn nodes(&self, realm: RealmIndex, topic: &str, key: &str) -> Chosen {
        let mut chosen = Chosen::new();
        if !self.nodes.is_empty() {
            let ranking = Ranking::by(key);
            self.matching(realm, topic, |interest| {
                chosen.extend(self.nodes.choose(interest.id, ranking).map(|node| (interest.id, node.clone())));
            });
        }
        chosen
    }

    /// True if somebody would get an event of this topic.
    pub(super) fn is_wanted(&self, realm: RealmIndex, topic: &str) -> bool {
        let mut wanted = false;
        self.matching(realm, topic, |_| wanted = true);
        wanted
    }

    /// The registration that answers a procedure (specification, "Calls matching multiple registrations").
    pub(super) fn registration(&self, realm: RealmIndex, procedure: &str) -> Option<&Registration> {
        self.realms[usize::from(realm)].procedures.best_match(procedure)
    }

    /// The registration of exactly this subject.
    pub(super) fn registration_of(&self, subject: &Subject) -> Option<&Registration> {
        self.realms[usize::from(subject.realm)].procedures.get(subject)
    }

    /// True if nothing is known to anybody.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn is_empty(&self) -> bool {
        self.realms.iter().all(|table| table.topics.is_empty() && table.procedures.is_empty()) && self.nodes.is_empty()
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
