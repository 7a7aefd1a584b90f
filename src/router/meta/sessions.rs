//! What a shard knows of its sessions, for meta procedures (specification, "Session Meta API").

use super::reading::Reading;
use crate::router::index::ShardIndex;
use crate::router::lifecycle::Silence;
use crate::router::peer::{Finding, Query, Question, Reply, ShardMsg, Victims};
use crate::router::shard::Shard;
use crate::wamp::{Dict, SessionId, Uri};
use std::sync::Arc;

impl Shard {
    pub(in crate::router) fn arrive_query(&mut self, from: ShardIndex, query: Query) {
        let Query { job, realm, caller, identity, question } = query;
        let finding = match question {
            Question::Sessions(roles) => Finding::Ids(self.sessions_of(realm, roles.as_deref())),
            Question::Session(id) => self.session_details(realm, id),
            Question::Modify(id, changes) => self.modify_session(realm, id, &changes),
            Question::Kill { victims, reason, message } => {
                self.kill_sessions(realm, caller, &victims, &reason, message.as_deref())
            }
            Question::Events(subscription, filter) => {
                let reader = caller;
                return self.read_events(Reading { from, job, realm, subscription, filter, reader, identity });
            }
            Question::Flush => Finding::Number(self.authorizations.flush(realm)),
            question => self.subject_finding(realm, question),
        };
        self.send_peer(from, ShardMsg::Reply(Box::new(Reply { job, finding })));
    }

    /// The ids of the sessions of a realm on this shard, in the order of their connections.
    fn sessions_of(&mut self, realm: u16, roles: Option<&[Box<str>]>) -> Vec<u64> {
        let has_role = |role: &str| roles.is_none_or(|roles| roles.iter().any(|wanted| **wanted == *role));
        let sessions = self.conns.iter_mut().filter_map(|conn| conn.session());
        let wanted = sessions.filter(|session| session.realm == realm && has_role(&session.identity.authrole));
        wanted.map(|session| session.id.get()).collect()
    }

    fn session_details(&mut self, realm: u16, id: SessionId) -> Finding {
        match self.session(id).filter(|session| session.realm == realm) {
            Some(session) => Finding::Details(session.identity.details(id)),
            None => Finding::Missing,
        }
    }

    fn modify_session(&mut self, realm: u16, id: SessionId, changes: &Dict) -> Finding {
        let max = self.config.limits.details_bytes_max;
        match self.session(id).filter(|session| session.realm == realm) {
            Some(session) => {
                let done = Arc::make_mut(&mut session.identity).modify(changes, max as usize);
                if done { Finding::Done } else { Finding::TooMuch(max) }
            }
            None => Finding::Missing,
        }
    }

    fn kill_sessions(
        &mut self,
        realm: u16,
        caller: SessionId,
        victims: &Victims,
        reason: &Uri,
        message: Option<&str>,
    ) -> Finding {
        let sessions = self.conns.iter_mut().filter_map(|conn| conn.session());
        let meant = sessions.filter(|session| {
            let identity = &session.identity;
            session.realm == realm
                && session.id != caller
                && match victims {
                    Victims::Session(id) => session.id == *id,
                    Victims::Authid(authid) => identity.authid == *authid,
                    Victims::Authrole(authrole) => identity.authrole == *authrole,
                    Victims::All => true,
                }
        });
        let killed: Vec<_> = meant.map(|session| (session.conn, session.id.get())).collect();
        let silence = if matches!(victims, Victims::All) { Silence::Kept } else { Silence::Broken };
        for (conn, _) in &killed {
            self.kill(*conn, reason.clone(), message, silence);
        }
        match victims {
            Victims::Session(_) if killed.is_empty() => Finding::Missing,
            Victims::Session(_) => Finding::Done,
            _ => Finding::Ids(killed.into_iter().map(|(_, id)| id).collect()),
        }
    }
}
