//! What the operator of a router sees of the subscriptions and registrations whose home is a shard.

use super::shard::Shard;
use super::subject::Subject;
use crate::session::RealmIndex;
use crate::session::options::InvokePolicy;
use crate::wamp::{MatchPolicy, Uri};
use std::time::Duration;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// Subscriptions.
    Subscription,
    /// Registrations.
    Registration,
}

/// A place in a list of them: those with more members come first, and then those with smaller ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectPlace {
    /// Subscribers or callees.
    pub members: usize,
    /// The id.
    pub id: u64,
}

impl SubjectPlace {
    /// What places are compared by.
    #[must_use]
    pub fn rank(self) -> impl Ord {
        (std::cmp::Reverse(self.members), self.id)
    }
}

/// Which subjects are asked for.
#[derive(Clone, Debug)]
pub struct SubjectQuery {
    /// Subscriptions or registrations.
    pub kind: SubjectKind,
    /// Of this realm only.
    pub realm: Option<RealmIndex>,
    /// Only those whose URI has this text in it, or whose id it is.
    pub text: Option<Box<str>>,
    /// Only those that are compared like this.
    pub policy: Option<MatchPolicy>,
    /// Those behind this place.
    pub after: Option<SubjectPlace>,
    /// So many at most.
    pub limit: usize,
}

/// A subscription or registration as it is now.
#[derive(Clone, Debug)]
pub struct SubjectView {
    /// Its id, and how many members it has.
    pub place: SubjectPlace,
    /// Its realm.
    pub realm: RealmIndex,
    /// The topic, the procedure or the pattern.
    pub uri: Uri,
    /// How that is compared.
    pub policy: MatchPolicy,
    /// When it was created, since 1970.
    pub created: Duration,
    /// Its events are kept.
    pub history: bool,
    /// Which callee is chosen, for registrations.
    pub invoke: Option<InvokePolicy>,
}

impl Shard {
    /// The subscriptions or registrations whose home is here, those with the most members first. Looks at all of them.
    #[must_use]
    pub fn subjects(&self, query: &SubjectQuery) -> Vec<SubjectView> {
        let wanted = |subject: &Subject, place: SubjectPlace| {
            let has = |text: &str| subject.uri.contains(text) || place.id.to_string() == *text;
            query.realm.is_none_or(|realm| realm == subject.realm)
                && query.policy.is_none_or(|policy| policy == subject.policy)
                && query.after.is_none_or(|after| place.rank() > after.rank())
                && query.text.as_deref().is_none_or(has)
        };
        let view = |subject: &Subject, place, created| SubjectView {
            place,
            realm: subject.realm,
            uri: subject.uri.clone(),
            policy: subject.policy,
            created,
            history: false,
            invoke: None,
        };
        let mut found = Vec::new();
        match query.kind {
            SubjectKind::Subscription => {
                for (id, topic) in self.home.topics() {
                    let place = SubjectPlace { members: topic.sessions().len(), id: id.get() };
                    if wanted(&topic.subject, place) {
                        found.push((place.rank(), (&topic.subject, place, topic.created, topic.keeps_events(), None)));
                    }
                }
            }
            SubjectKind::Registration => {
                for (id, known) in self.home.procedures() {
                    let place = SubjectPlace { members: known.sessions().len(), id: id.get() };
                    if wanted(&known.subject, place) {
                        found.push((place.rank(), (&known.subject, place, known.created, false, Some(known.invoke))));
                    }
                }
            }
        }
        if found.len() > query.limit {
            found.select_nth_unstable_by(query.limit, |one, other| one.0.cmp(&other.0));
            found.truncate(query.limit);
        }
        found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let shown = |(subject, place, created, history, invoke): (&Subject, _, _, _, _)| SubjectView {
            history,
            invoke,
            ..view(subject, place, created)
        };
        found.into_iter().map(|(_, subject)| shown(subject)).collect()
    }
}
