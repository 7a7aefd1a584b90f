//! What a session has because it was allowed once, and how it is taken away (specification, "Subscription Revocation"
//! and "Registration Revocation").

use super::Action;
use crate::router::effect::ConnId;
use crate::router::peer::{Ask, Kind};
use crate::router::session::Session;
use crate::router::shard::Shard;
use crate::router::subject::Subject;
use crate::wamp::{Dict, MatchPolicy, MessageType, Uri, error};

/// Something that a session has.
#[derive(Debug)]
pub(super) enum Held {
    Subscription(Subject),
    Registration(Subject),
    /// What it leaves to be published to this topic.
    Testament(Uri),
}

impl Held {
    /// What has to be allowed for it.
    pub(super) fn action(&self) -> Action {
        match self {
            Held::Subscription(_) => Action::Subscribe,
            Held::Registration(_) => Action::Register,
            Held::Testament(_) => Action::Publish,
        }
    }

    pub(super) fn policy(&self) -> MatchPolicy {
        match self {
            Held::Subscription(subject) | Held::Registration(subject) => subject.policy,
            Held::Testament(_) => MatchPolicy::Exact,
        }
    }

    pub(super) fn uri(&self) -> &Uri {
        match self {
            Held::Subscription(subject) | Held::Registration(subject) => &subject.uri,
            Held::Testament(topic) => topic,
        }
    }

    /// The options of a request for it, as far as they are still known.
    pub(super) fn options(&self) -> Dict {
        match self.policy() {
            MatchPolicy::Exact => Dict::new(),
            policy => Dict::new().with("match", policy.name()),
        }
    }
}

impl Session {
    /// Everything that is in question when the role changes.
    pub(super) fn holdings(&self) -> Vec<Held> {
        let mut held: Vec<Held> = self.subscriptions.keys().cloned().map(Held::Subscription).collect();
        let procedures = self.rpc.iter().flat_map(|rpc| rpc.procedures.keys());
        held.extend(procedures.cloned().map(Held::Registration));
        let mut topics: Vec<&Uri> = self.testaments.iter().flat_map(|testaments| testaments.topics()).collect();
        topics.sort_unstable();
        topics.dedup();
        held.extend(topics.into_iter().cloned().map(Held::Testament));
        held
    }
}

impl Shard {
    /// Takes all registrations of a session away, since the router ends.
    pub(in crate::router) fn withdraw(&mut self, conn: ConnId) {
        let Some(session) = self.session_at(conn) else { return };
        let procedures: Vec<Subject> = session.rpc.iter().flat_map(|rpc| rpc.procedures.keys()).cloned().collect();
        for subject in procedures {
            self.take_away(conn, Held::Registration(subject), error::SYSTEM_SHUTDOWN);
        }
    }

    /// Takes away what a session may have no longer.
    pub(super) fn revoke(&mut self, conn: ConnId, held: Held) {
        self.take_away(conn, held, error::NOT_AUTHORIZED);
    }

    /// Takes away what a session has. What it has just asked for is confirmed first, and then taken away.
    fn take_away(&mut self, conn: ConnId, held: Held, reason: &'static str) {
        let Some(session) = self.session_at(conn) else { return };
        let id = session.id;
        let (kind, subject) = match held {
            Held::Testament(topic) => return self.forget_testaments(conn, &topic),
            Held::Subscription(subject) => (Kind::Subscription, subject),
            Held::Registration(subject) => (Kind::Registration, subject),
        };
        if kind == Kind::Registration {
            let offer = session.rpc.as_mut().and_then(|rpc| rpc.procedures.get_mut(&subject));
            let waiting = offer.map(|offer| std::mem::take(&mut offer.next)).unwrap_or_default();
            for wish in waiting {
                if let Some(session) = self.session_at(conn) {
                    session.open.remove(&wish.request);
                }
                let refused = (reason, format!("{:?} may not be registered any longer", &*subject.uri));
                self.refuse(conn, MessageType::Register, wish.request, refused);
            }
        }
        self.ask(Ask::Revoke(id, kind, subject.clone(), reason), &subject);
    }
}
