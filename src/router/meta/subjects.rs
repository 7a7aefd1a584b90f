//! What a home knows of its subjects, for meta procedures (specification, "Subscriptions Meta API" and "Registration
//! Meta API").

use super::event::details;
use crate::router::home::Outbox;
use crate::router::peer::{Finding, Kind, Question};
use crate::router::shard::Shard;
use crate::router::subject::Subject;
use crate::session::RealmIndex;
use crate::wamp::{MatchPolicy, RegistrationId, SessionId, SubscriptionId};

impl Shard {
    pub(super) fn subject_finding(&mut self, realm: RealmIndex, question: Question) -> Finding {
        match question {
            Question::List(kind) => self.list_subjects(realm, kind),
            Question::Lookup(Kind::Subscription, subject) => {
                found(self.home.topic_id(&subject).map(SubscriptionId::get))
            }
            Question::Lookup(Kind::Registration, subject) => {
                found(self.home.procedure_id(&subject).map(RegistrationId::get))
            }
            Question::Present(kind, mut ids) => {
                ids.retain(|id| self.subject_of(realm, kind, *id).is_some());
                Finding::Ids(ids)
            }
            Question::Identity(kind, id)
            | Question::Get(kind, id)
            | Question::Members(kind, id)
            | Question::Count(kind, id)
            | Question::Remove { kind, id, .. }
                if self.subject_of(realm, kind, id).is_none() =>
            {
                Finding::Missing
            }
            Question::Identity(_, id) => Finding::Number(id),
            Question::Get(kind, id) => self.subject_details(kind, id),
            Question::Members(kind, id) => {
                Finding::Ids(self.members_of(kind, id).into_iter().map(SessionId::get).collect())
            }
            Question::Count(kind, id) => Finding::Number(self.members_of(kind, id).len() as u64),
            Question::Remove { kind, id, session, reason } => self.remove_from(kind, id, session, reason),
            Question::Sessions(_)
            | Question::Session(_)
            | Question::Kill { .. }
            | Question::Modify(..)
            | Question::Flush
            | Question::Events(..) => Finding::Missing,
        }
    }

    /// The subject of an id, if it is of this realm.
    pub(super) fn subject_of(&self, realm: RealmIndex, kind: Kind, id: u64) -> Option<&Subject> {
        let subject = match kind {
            Kind::Subscription => &self.home.topic(SubscriptionId::from_raw(id))?.subject,
            Kind::Registration => &self.home.procedure(RegistrationId::from_raw(id))?.subject,
        };
        (subject.realm == realm).then_some(subject)
    }

    fn list_subjects(&self, realm: RealmIndex, kind: Kind) -> Finding {
        let mut lists = [const { Vec::new() }; 3];
        let mut add = |subject: &Subject, id: u64| {
            if subject.realm == realm {
                let at = match subject.policy {
                    MatchPolicy::Exact => 0,
                    MatchPolicy::Prefix => 1,
                    MatchPolicy::Wildcard => 2,
                };
                lists[at].push(id);
            }
        };
        match kind {
            Kind::Subscription => self.home.topics().for_each(|(id, topic)| add(&topic.subject, id.get())),
            Kind::Registration => {
                self.home.procedures().for_each(|(id, procedure)| add(&procedure.subject, id.get()));
            }
        }
        lists.iter_mut().for_each(|ids| ids.sort_unstable());
        Finding::Lists(lists)
    }

    fn subject_details(&self, kind: Kind, id: u64) -> Finding {
        let found = match kind {
            Kind::Subscription => {
                let topic = self.home.topic(SubscriptionId::from_raw(id));
                topic.map(|topic| details(id, &topic.subject, topic.created, None))
            }
            Kind::Registration => {
                let procedure = self.home.procedure(RegistrationId::from_raw(id));
                procedure.map(|known| details(id, &known.subject, known.created, Some(known.invoke)))
            }
        };
        found.map_or(Finding::Missing, Finding::Details)
    }

    fn members_of(&self, kind: Kind, id: u64) -> Vec<SessionId> {
        match kind {
            Kind::Subscription => {
                let topic = self.home.topic(SubscriptionId::from_raw(id));
                let mut members: Vec<_> = topic.map_or_else(Vec::new, |topic| topic.sessions().collect());
                members.sort_unstable();
                members
            }
            Kind::Registration => {
                let procedure = self.home.procedure(RegistrationId::from_raw(id));
                procedure.map_or_else(Vec::new, |procedure| procedure.sessions().collect())
            }
        }
    }

    fn remove_from(&mut self, kind: Kind, id: u64, session: SessionId, reason: Option<Box<str>>) -> Finding {
        let mut out = Outbox::default();
        let removed = match kind {
            Kind::Subscription => {
                self.home.revoke_subscription(SubscriptionId::from_raw(id), session, reason, &mut out)
            }
            Kind::Registration => {
                self.home.revoke_registration(RegistrationId::from_raw(id), session, reason, &mut out)
            }
        };
        self.decide(out);
        if removed { Finding::Done } else { Finding::MissingMember }
    }
}

fn found(id: Option<u64>) -> Finding {
    id.map_or(Finding::Missing, Finding::Number)
}
