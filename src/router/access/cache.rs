//! What authorizers have said before.

use super::decision::{Decision, Sharing};
use super::gate::Want;
use crate::router::map::{Hashing, Map};
use crate::session::{Identity, RealmIndex};
use crate::wamp::SessionId;
use std::collections::VecDeque;
use std::time::Duration;

/// For whom a decision holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Session(SessionId),
    User { authrole: Box<str>, authid: Box<str> },
    Role(Box<str>),
}

type Key = (RealmIndex, Scope, Want);

/// The decisions that a shard remembers, each for as long as its authorizer allows.
#[derive(Debug)]
pub(in crate::router) struct Cache {
    known: Map<Key, (Decision, Duration)>,
    /// The same keys, those first that have been known the longest.
    order: VecDeque<Key>,
    entries_max: usize,
    /// Counts what has been flushed: an answer that was on its way then is not remembered.
    pub(super) epoch: u64,
}

impl Cache {
    pub(in crate::router) fn new(entries_max: u32, hashing: &Hashing) -> Cache {
        Cache { known: hashing.map(), order: VecDeque::new(), entries_max: entries_max as usize, epoch: 0 }
    }

    /// What is known of something that a session wants.
    pub(super) fn get(
        &self,
        now: Duration,
        realm: RealmIndex,
        session: SessionId,
        identity: &Identity,
        want: &Want,
    ) -> Option<Decision> {
        if self.known.is_empty() {
            return None;
        }
        [Sharing::Session, Sharing::User, Sharing::Role].into_iter().find_map(|sharing| {
            let (decision, until) = self.known.get(&(realm, scope(sharing, session, identity), want.clone()))?;
            (*until > now).then(|| decision.clone())
        })
    }

    /// Remembers a decision until then.
    pub(super) fn insert(
        &mut self,
        realm: RealmIndex,
        (session, identity): (SessionId, &Identity),
        want: Want,
        decision: Decision,
        sharing: Sharing,
        until: Duration,
    ) {
        if self.entries_max == 0 {
            return;
        }
        let key = (realm, scope(sharing, session, identity), want);
        if self.known.insert(key.clone(), (decision, until)).is_none() {
            self.order.push_back(key);
        }
        while self.known.len() > self.entries_max {
            let Some(oldest) = self.order.pop_front() else { return };
            self.known.remove(&oldest);
        }
    }

    /// Forgets everything, and remembers so much from now on.
    pub(in crate::router) fn restart(&mut self, entries_max: u32, hashing: &Hashing) {
        *self = Cache { epoch: self.epoch + 1, ..Cache::new(entries_max, hashing) };
    }

    /// Forgets all decisions of a realm; gives how many there were.
    pub(in crate::router) fn flush(&mut self, realm: RealmIndex) -> u64 {
        let before = self.known.len();
        self.known.retain(|(known, ..), _| *known != realm);
        self.order.retain(|(known, ..)| *known != realm);
        self.epoch += 1;
        (before - self.known.len()) as u64
    }
}

fn scope(sharing: Sharing, session: SessionId, identity: &Identity) -> Scope {
    let authrole = || identity.authrole.clone();
    match sharing {
        Sharing::Session => Scope::Session(session),
        Sharing::User => Scope::User { authrole: authrole(), authid: identity.authid.clone() },
        Sharing::Role => Scope::Role(authrole()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action;
    use super::*;
    use crate::wamp::MatchPolicy;

    const SECOND: Duration = Duration::from_secs(1);

    fn want(uri: &str) -> Want {
        Want { action: Action::Call, policy: MatchPolicy::Exact, uri: uri.into() }
    }

    fn who(authid: &str, authrole: &str) -> Identity {
        Identity { authrole: authrole.into(), ..Identity::anonymous(authid) }
    }

    fn id(number: u64) -> SessionId {
        SessionId::from_raw(number)
    }

    fn remember(cache: &mut Cache, session: u64, identity: &Identity, uri: &str, sharing: Sharing) {
        cache.insert(0, (id(session), identity), want(uri), Decision::Denied, sharing, 6 * SECOND);
    }

    #[test]
    fn a_decision_holds_for_its_scope_alone() {
        let mut cache = Cache::new(10, &Hashing::new(1));
        let (joe, jane, admin) = (who("joe", "user"), who("jane", "user"), who("joe", "admin"));
        remember(&mut cache, 1, &joe, "a", Sharing::Session);
        remember(&mut cache, 1, &joe, "b", Sharing::User);
        remember(&mut cache, 1, &joe, "c", Sharing::Role);
        let knows = |session: u64, identity: &Identity, uri: &str| {
            cache.get(2 * SECOND, 0, id(session), identity, &want(uri)).is_some()
        };
        assert!(["a", "b", "c"].iter().all(|uri| knows(1, &joe, uri)));
        assert_eq!(["a", "b", "c"].map(|uri| knows(2, &joe, uri)), [false, true, true]);
        assert_eq!(["a", "b", "c"].map(|uri| knows(3, &jane, uri)), [false, false, true]);
        assert_eq!(["a", "b", "c"].map(|uri| knows(4, &admin, uri)), [false, false, false]);
        let other = Want { action: Action::Publish, ..want("a") };
        assert!(cache.get(2 * SECOND, 0, id(1), &joe, &other).is_none());
        assert!(cache.get(2 * SECOND, 1, id(1), &joe, &want("a")).is_none(), "another realm");
        assert!(cache.get(6 * SECOND, 0, id(1), &joe, &want("a")).is_none(), "its time is over");
    }

    #[test]
    fn the_number_is_bounded() {
        let mut cache = Cache::new(2, &Hashing::new(1));
        let joe = who("joe", "user");
        for uri in ["a", "b", "b", "a", "c"] {
            remember(&mut cache, 1, &joe, uri, Sharing::Session);
        }
        let known = ["a", "b", "c"].map(|uri| cache.get(SECOND, 0, id(1), &joe, &want(uri)).is_some());
        assert_eq!((known, cache.known.len(), cache.order.len()), ([false, true, true], 2, 2));
        assert_eq!((cache.flush(1), cache.flush(0), cache.epoch), (0, 2, 2));
        assert!(cache.order.is_empty());
    }
}
