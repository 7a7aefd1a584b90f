//! The subscriptions or registrations of a realm and who has them, as the meta API tells of them.

use crate::wamp::{Dict, MatchPolicy, Uri, Value};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

/// A subscription or a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) uri: Uri,
    pub(super) policy: MatchPolicy,
    /// How one of several callees is chosen; empty for subscriptions.
    pub(super) invoke: Box<str>,
    /// Sessions.
    pub(super) members: BTreeSet<u64>,
}

impl Subject {
    /// Reads the details of one.
    pub(super) fn read(details: &Dict) -> Option<(u64, Subject)> {
        let id = details.uint("id").ok().flatten()?;
        let uri = details.str("uri").ok().flatten()?.into();
        let policy = details.str("match").ok().flatten().and_then(MatchPolicy::from_name).unwrap_or_default();
        let invoke = details.str("invoke").ok().flatten().unwrap_or_default().into();
        Some((id, Subject { uri, policy, invoke, members: BTreeSet::new() }))
    }

    /// True if it is the router's own business, and no link's.
    pub(super) fn is_own(&self) -> bool {
        is_own(&self.uri)
    }
}

/// True if a URI is the business of a router.
pub(super) fn is_own(uri: &str) -> bool {
    ["wamp", "corebar"].iter().any(|word| {
        let rest = uri.strip_prefix(word);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// What has happened to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Created(u64, Subject),
    Joined(u64, u64),
    Left(u64, u64),
    Deleted(u64),
}

impl Change {
    /// Reads a meta event, by the last part of its topic. Its arguments are the session, and the id or the details.
    pub(super) fn read(topic: &str, args: &[Value]) -> Option<Change> {
        let [session, what, ..] = args else { return None };
        let (session, id) = (session.as_uint(), what.as_uint());
        match topic.rsplit('.').next()? {
            "on_create" => Subject::read(what.as_dict()?).map(|(id, subject)| Change::Created(id, subject)),
            "on_subscribe" | "on_register" => Some(Change::Joined(id?, session?)),
            "on_unsubscribe" | "on_unregister" => Some(Change::Left(id?, session?)),
            "on_delete" => Some(Change::Deleted(id?)),
            _ => None,
        }
    }
}

/// By which name a subject is known.
pub(super) type Key = (Uri, MatchPolicy);

/// All of a realm.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    all: HashMap<u64, Subject>,
    ids: HashMap<Key, u64>,
}

impl Subjects {
    /// Takes what has been listed; what has been told of already stays.
    pub(super) fn add(&mut self, id: u64, subject: Subject) {
        self.ids.insert((subject.uri.clone(), subject.policy), id);
        match self.all.entry(id) {
            Entry::Occupied(mut known) => known.get_mut().members.extend(subject.members),
            Entry::Vacant(free) => drop(free.insert(subject)),
        }
    }

    /// Takes what has happened; gives what it has happened to, if that is known.
    pub(super) fn apply(&mut self, change: Change) -> Option<Key> {
        let id = match change {
            Change::Created(id, subject) => {
                self.add(id, subject);
                id
            }
            Change::Joined(id, session) => {
                self.all.get_mut(&id)?.members.insert(session);
                id
            }
            Change::Left(id, session) => {
                self.all.get_mut(&id)?.members.remove(&session);
                id
            }
            Change::Deleted(id) => {
                let gone = self.all.remove(&id)?;
                let key = (gone.uri, gone.policy);
                // There may be another one of this name already.
                if self.ids.get(&key) == Some(&id) {
                    self.ids.remove(&key);
                }
                return Some(key);
            }
        };
        self.all.get(&id).map(|subject| (subject.uri.clone(), subject.policy))
    }

    /// The one of this name.
    pub(super) fn find(&self, key: &Key) -> Option<&Subject> {
        self.ids.get(key).and_then(|id| self.all.get(id))
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Subject> {
        self.all.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_events_are_read() {
        let details = Dict::new().with("id", 7).with("uri", "a.b").with("match", "prefix").with("created", "then");
        let created = Change::read("wamp.subscription.on_create", &[1.into(), details.into()]).expect("read");
        let mut subjects = Subjects::default();
        let key = subjects.apply(created.clone()).expect("it is there");
        assert_eq!(key, ("a.b".into(), MatchPolicy::Prefix));
        let members = |subjects: &Subjects| subjects.find(&key).map(|subject| subject.members.len());
        let joined = Change::read("wamp.subscription.on_subscribe", &[1.into(), 7.into()]).expect("read");
        assert!(subjects.apply(joined).is_some() && members(&subjects) == Some(1));
        // What was listed late takes nothing away.
        assert!(subjects.apply(created).is_some() && members(&subjects) == Some(1));
        let left = Change::read("wamp.registration.on_unregister", &[1.into(), 7.into()]).expect("read");
        assert!(subjects.apply(left).is_some() && members(&subjects) == Some(0));
        assert!(subjects.apply(Change::Deleted(7)).is_some() && subjects.apply(Change::Deleted(7)).is_none());
        assert_eq!(members(&subjects), None);
        assert_eq!(Change::read("wamp.subscription.on_create", &[1.into(), 7.into()]), None);
        assert_eq!(Change::read("wamp.subscription.on_delete", &[1.into()]), None);
    }

    #[test]
    fn what_is_the_routers_own_is_known() {
        let own = |uri: &str| {
            let details = Dict::new().with("id", 1).with("uri", uri);
            Subject::read(&details).is_some_and(|(_, subject)| subject.is_own())
        };
        assert!(own("wamp.session.on_join") && own("corebar.") && own("wamp"));
        assert!(!own("wampum.a") && !own("") && !own("com.wamp.a"));
    }
}
