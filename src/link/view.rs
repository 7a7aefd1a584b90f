//! What a link knows of both of its realms, and what it carries for that reason.
//!
//! Sessions of links say what they carry by subscribing to topics that nobody publishes to: so other links know them, and know
//! when they are gone. A session on router X that carries events from there to router Y has `corebar.link.events_out.Y`; the one
//! on Y that brings them there has `corebar.link.events_in.X`; one on X that carries calls from there to Y has
//! `corebar.link.calls_out.Y`, each with a word behind it by which a link knows its own sessions, of which a router may still
//! believe that they are there. From that follows:
//!
//! * What a link has asked for itself is no reason for it to ask for more. So nothing outlives those who want it.
//! * What another link has asked for in the name of a router is a reason, unless that router has a link of its own to where it
//!   would be asked for. So a chain and a tree work, and in a full mesh nothing goes by two ways.
//! * Of several links that carry the same from one router to another, the one with the lowest session id does it.

use super::subjects::{Change, Key, Subject, Subjects};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How those topics begin.
pub(super) const MARK: &str = "corebar.link.";

/// What a session of a link does, as it says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Mark {
    EventsOut,
    EventsIn,
    CallsOut,
}

impl Mark {
    const ALL: [(Mark, &str); 3] =
        [(Mark::EventsOut, "events_out"), (Mark::EventsIn, "events_in"), (Mark::CallsOut, "calls_out")];

    /// The topic that says it, for the router at the other end and for a link.
    pub(super) fn topic(self, router: &str, link: &str) -> String {
        let name = Mark::ALL.iter().find(|(mark, _)| *mark == self).map_or("", |(_, name)| name);
        format!("{MARK}{name}.{router}.{link}")
    }

    fn read(topic: &str) -> Option<(Mark, Box<str>, &str)> {
        let (name, rest) = topic.strip_prefix(MARK)?.split_once('.')?;
        let (router, link) = rest.split_once('.')?;
        let (mark, _) = Mark::ALL.into_iter().find(|(_, known)| *known == name)?;
        Some((mark, router.into(), link))
    }
}

/// Which realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Side {
    Here,
    There,
}

impl Side {
    pub(super) const BOTH: [Side; 2] = [Side::Here, Side::There];

    pub(super) const fn other(self) -> Side {
        match self {
            Side::Here => Side::There,
            Side::There => Side::Here,
        }
    }
}

/// What is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Events,
    Calls,
}

impl Kind {
    pub(super) const BOTH: [Kind; 2] = [Kind::Events, Kind::Calls];

    const fn out(self) -> Mark {
        match self {
            Kind::Events => Mark::EventsOut,
            Kind::Calls => Mark::CallsOut,
        }
    }
}

/// One side.
#[derive(Debug)]
struct Realm {
    /// The router, and the session of the link.
    router: Box<str>,
    session: u64,
    subscriptions: Subjects,
    registrations: Subjects,
    /// Sessions of this link, the present one and those before.
    own: HashMap<Key, BTreeSet<u64>>,
    /// Which sessions of other links there are, by what they say.
    marks: BTreeMap<(Mark, Box<str>), HashMap<Key, BTreeSet<u64>>>,
    /// For whom they stand.
    stands_for: HashMap<(Mark, u64), Box<str>>,
}

impl Realm {
    fn has(&self, mark: Mark, router: &str) -> bool {
        self.marks.contains_key(&(mark, router.into()))
    }

    fn subjects(&self, kind: Kind) -> &Subjects {
        match kind {
            Kind::Events => &self.subscriptions,
            Kind::Calls => &self.registrations,
        }
    }

    /// Takes note of what links say. False: it is something else.
    fn note(&mut self, key: &Key, link: &str) -> bool {
        let Some((mark, router, whose)) = Mark::read(&key.0) else { return false };
        let members = self.subscriptions.find(key).map(|subject| subject.members.clone()).unwrap_or_default();
        if whose == link {
            self.own.insert(key.clone(), members);
            return true;
        }
        let known = self.marks.entry((mark, router.clone())).or_default();
        for gone in known.remove(key).unwrap_or_default() {
            self.stands_for.remove(&(mark, gone));
        }
        self.stands_for.extend(members.iter().map(|session| ((mark, *session), router.clone())));
        if !members.is_empty() {
            known.insert(key.clone(), members);
        }
        if known.is_empty() {
            self.marks.remove(&(mark, router));
        }
        true
    }

    fn is_own(&self, session: u64) -> bool {
        session == self.session || self.own.values().any(|sessions| sessions.contains(&session))
    }
}

/// Both sides.
#[derive(Debug)]
pub(super) struct View {
    /// The word by which the link knows its own sessions.
    link: Box<str>,
    here: Realm,
    there: Realm,
}

impl View {
    /// Of the link that has this word; the routers and its sessions, here and there.
    pub(super) fn new(link: &str, here: (Box<str>, u64), there: (Box<str>, u64)) -> View {
        let realm = |(router, session)| Realm {
            router,
            session,
            subscriptions: Subjects::default(),
            registrations: Subjects::default(),
            own: HashMap::new(),
            marks: BTreeMap::new(),
            stands_for: HashMap::new(),
        };
        View { link: link.into(), here: realm(here), there: realm(there) }
    }

    const fn realm(&self, side: Side) -> &Realm {
        match side {
            Side::Here => &self.here,
            Side::There => &self.there,
        }
    }

    const fn realm_mut(&mut self, side: Side) -> &mut Realm {
        match side {
            Side::Here => &mut self.here,
            Side::There => &mut self.there,
        }
    }

    /// Takes what has been listed at the beginning.
    pub(super) fn add(&mut self, side: Side, kind: Kind, id: u64, subject: Subject) {
        let link = self.link.clone();
        let realm = self.realm_mut(side);
        match kind {
            Kind::Calls => realm.registrations.add(id, subject),
            Kind::Events => {
                let key = (subject.uri.clone(), subject.policy);
                realm.subscriptions.add(id, subject);
                realm.note(&key, &link);
            }
        }
    }

    /// Takes what has happened on a side; gives what it has happened to, and whether that is the word of a link, which may
    /// matter to everything.
    pub(super) fn apply(&mut self, side: Side, kind: Kind, change: Change) -> Option<(Key, bool)> {
        let link = self.link.clone();
        let realm = self.realm_mut(side);
        if kind == Kind::Calls {
            return realm.registrations.apply(change).map(|key| (key, false));
        }
        let key = realm.subscriptions.apply(change)?;
        let marks = realm.note(&key, &link);
        Some((key, marks))
    }

    /// True if this link is the one that carries such from a side to the other.
    fn is_active(&self, from: Side, kind: Kind) -> bool {
        let (source, target) = (self.realm(from), self.realm(from.other()));
        let carriers = source.marks.get(&(kind.out(), target.router.clone()));
        let first = carriers.and_then(|carriers| carriers.values().flatten().min());
        first.is_none_or(|first| *first > source.session)
    }

    /// True if what is wanted on the other side, or offered there, is to be asked for on this side.
    fn counts(&self, from: Side, kind: Kind, subject: &Subject) -> bool {
        let (source, target) = (self.realm(from), self.realm(from.other()));
        subject.members.iter().any(|session| {
            let stands_for = target.stands_for.get(&(kind.out(), *session));
            !target.is_own(*session)
                && stands_for.is_none_or(|whom| *whom != source.router && !source.has(kind.out(), whom))
        })
    }

    /// What is to be asked for on a side because of what the other side has by this name: how one of several callees is
    /// chosen; none: nothing.
    pub(super) fn wanted(&self, from: Side, kind: Kind, key: &Key) -> Option<Box<str>> {
        let subject = self.realm(from.other()).subjects(kind).find(key).filter(|subject| !subject.is_own())?;
        let wanted = self.is_active(from, kind) && self.counts(from, kind, subject);
        wanted.then(|| subject.invoke.clone())
    }

    /// Everything that is to be asked for on a side.
    pub(super) fn all_wanted(&self, from: Side, kind: Kind) -> HashMap<Key, Box<str>> {
        if !self.is_active(from, kind) {
            return HashMap::new();
        }
        let subjects = self.realm(from.other()).subjects(kind).iter();
        let wanted = subjects.filter(|subject| !subject.is_own() && self.counts(from, kind, subject));
        wanted.map(|subject| ((subject.uri.clone(), subject.policy), subject.invoke.clone())).collect()
    }

    /// The routers from which events are brought to the other side directly.
    pub(super) fn direct(&self, from: Side) -> BTreeSet<Box<str>> {
        let marks = self.realm(from.other()).marks.keys();
        marks.filter(|(mark, _)| *mark == Mark::EventsIn).map(|(_, router)| router.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wamp::MatchPolicy;

    fn subject(uri: &str, members: &[u64]) -> Subject {
        let members = members.iter().copied().collect();
        Subject { uri: uri.into(), policy: MatchPolicy::Exact, invoke: "".into(), members }
    }

    /// The link of b (here) and c (there), sessions 10 and 20.
    fn view() -> View {
        View::new("me", ("b".into(), 10), ("c".into(), 20))
    }

    fn wanted(view: &View, from: Side) -> Vec<String> {
        view.all_wanted(from, Kind::Events).into_keys().map(|(uri, _)| uri.to_string()).collect()
    }

    #[test]
    fn what_a_link_asks_for_itself_does_not_count() {
        let mut view = view();
        view.add(Side::There, Kind::Events, 1, subject("a.b", &[5, 20]));
        view.add(Side::There, Kind::Events, 2, subject("a.c", &[20]));
        view.add(Side::There, Kind::Events, 3, subject("wamp.x", &[5]));
        assert_eq!(wanted(&view, Side::Here), ["a.b"]);
        assert!(wanted(&view, Side::There).is_empty());
        let (key, marks) = view.apply(Side::There, Kind::Events, Change::Left(1, 5)).expect("known");
        assert!(!marks && view.wanted(Side::Here, Kind::Events, &key).is_none());
    }

    #[test]
    fn a_chain_asks_on_and_a_mesh_does_not() {
        let mut view = view();
        // Session 21 on c stands for d.
        view.add(Side::There, Kind::Events, 1, subject("a.b", &[21]));
        let mark = subject(&Mark::EventsOut.topic("d", "x"), &[21]);
        view.add(Side::There, Kind::Events, 2, mark);
        assert_eq!(wanted(&view, Side::Here), ["a.b"]);
        // b has a link to d, too.
        let direct = Change::Created(3, subject(&Mark::EventsOut.topic("d", "x"), &[]));
        assert!(view.apply(Side::Here, Kind::Events, direct).is_some_and(|(_, marks)| marks));
        assert_eq!(wanted(&view, Side::Here), ["a.b"]);
        view.apply(Side::Here, Kind::Events, Change::Joined(3, 11));
        assert!(wanted(&view, Side::Here).is_empty());
        view.apply(Side::Here, Kind::Events, Change::Deleted(3));
        assert_eq!(wanted(&view, Side::Here), ["a.b"]);
        // A session for b itself.
        view.add(Side::There, Kind::Events, 4, subject(&Mark::EventsOut.topic("b", "x"), &[22]));
        view.add(Side::There, Kind::Events, 5, subject("a.c", &[22]));
        assert_eq!(wanted(&view, Side::Here), ["a.b"]);
    }

    #[test]
    fn one_of_two_links_carries() {
        let mut view = view();
        view.add(Side::There, Kind::Events, 1, subject("a.b", &[5]));
        view.add(Side::Here, Kind::Events, 2, subject(&Mark::EventsOut.topic("c", "x"), &[12]));
        assert_eq!(wanted(&view, Side::Here), ["a.b"]);
        view.apply(Side::Here, Kind::Events, Change::Joined(2, 9));
        assert!(wanted(&view, Side::Here).is_empty());
        view.apply(Side::Here, Kind::Events, Change::Left(2, 9));
        assert_eq!(wanted(&view, Side::Here), ["a.b"]);
        // A session of the same link that the router has not given up yet.
        view.add(Side::Here, Kind::Events, 3, subject(&Mark::EventsOut.topic("c", "me"), &[9, 10]));
        assert_eq!(wanted(&view, Side::Here), ["a.b"]);
        view.add(Side::There, Kind::Events, 4, subject(&Mark::EventsOut.topic("b", "me"), &[19, 20]));
        view.add(Side::There, Kind::Events, 5, subject("a.c", &[19]));
        assert_eq!(wanted(&view, Side::Here), ["a.b"]);
    }

    #[test]
    fn who_brings_events_is_known() {
        let mut view = view();
        view.add(Side::There, Kind::Events, 1, subject(&Mark::EventsIn.topic("a", "x"), &[30]));
        assert_eq!(view.direct(Side::Here).into_iter().collect::<Vec<_>>(), ["a".into()]);
        assert!(view.direct(Side::There).is_empty());
    }
}
