//! Another configuration for a shard that runs: who may no longer be there is sent away, and who may no longer have
//! something loses it. What stays valid goes on undisturbed.

use super::config::Policy;
use super::effect::ConnId;
use super::lifecycle::Silence;
use super::shard::Shard;
use super::trace::Tracer;
use crate::auth::peer::{Known, Peer};
use crate::session::{Identity, RealmConfig, RealmIndex};
use crate::wamp::{SessionId, error};
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a session.
enum Fate {
    /// It goes on as it is.
    Stays,
    /// Others decide now what it may do.
    Changes,
    /// It ends for this reason, with this text.
    Ends(&'static str, &'static str),
}

impl Shard {
    /// Goes on with another configuration. Realms that are new have to be closed until every shard knows them: before,
    /// what their sessions do would reach shards that do not.
    pub fn reform(&mut self, now: Duration, policy: Policy) {
        self.now = now;
        let Policy { realms, auth, limits, traces } = policy;
        let before = std::mem::replace(&mut self.config.realms, realms.clone());
        (self.config.auth, self.config.limits) = (auth, limits);
        if std::mem::replace(&mut self.config.traces, traces) != traces {
            self.tracer = Tracer::later(&self.config, &mut self.random);
        }
        self.replica.grow(realms.len(), &self.hashing);
        self.histories.grow(realms.len());
        self.errands.grow(realms.len());
        self.home.reform(&realms);
        self.renew_roles();
        let mut sessions: Vec<(SessionId, ConnId)> = self.sessions.iter().map(|(id, conn)| (*id, *conn)).collect();
        sessions.sort_unstable();
        for (id, conn) in sessions {
            self.reform_session(conn, id, &before);
        }
        self.settle();
    }

    fn reform_session(&mut self, conn: ConnId, id: SessionId, before: &Arc<[RealmConfig]>) {
        let Some(session) = self.session_at(conn).filter(|session| session.id == id) else { return };
        let (realm, identity) = (session.realm, session.identity.clone());
        let (was, is) = (&before[usize::from(realm)], &self.config.realms[usize::from(realm)]);
        self.config.census.recount(realm, was, is, &identity);
        match self.fate(realm, was, &identity) {
            Fate::Stays => {}
            Fate::Changes => {
                let power = self.roles.power(realm, &identity, id);
                self.replace_power(conn, power);
            }
            Fate::Ends(reason, text) => self.kill(conn, reason.into(), Some(text), Silence::Broken),
        }
        self.settle();
    }

    fn fate(&self, realm: RealmIndex, was: &RealmConfig, identity: &Identity) -> Fate {
        let is = &self.config.realms[usize::from(realm)];
        if is.closed {
            return Fate::Ends(error::CLOSE_REALM, "the realm is no longer there");
        }
        if identity.peer.as_ref().is_some_and(|peer| peer.is_trusted()) {
            return Fate::Stays;
        }
        if !is.has_role(&identity.authrole) {
            return Fate::Ends(error::CLOSE_KILLED, "the realm no longer has the role of the session");
        }
        let provenance = identity.peer.as_ref().map(|peer| peer.provenance).unwrap_or_default();
        if is.pages.refuse(provenance).is_some() {
            return Fate::Ends(error::CLOSE_KILLED, "the realm no longer lets in such pages");
        }
        if !self.still_admits(realm, identity) {
            return Fate::Ends(error::CLOSE_KILLED, "who the client is does no longer let it in");
        }
        let same =
            was.roles.is_some() == is.roles.is_some() && was.role(&identity.authrole) == is.role(&identity.authrole);
        if same { Fate::Stays } else { Fate::Changes }
    }

    /// True if the configuration lets a client in as whom it is. About those of an authenticator it says nothing.
    pub(super) fn still_admits(&self, realm: RealmIndex, identity: &Identity) -> bool {
        let nobody = Peer::default();
        let peer = identity.peer.as_deref().unwrap_or(&nobody);
        if peer.inside.is_some() {
            return true;
        }
        let Some(auth) = self.config.auth.transports.get(usize::from(peer.transport)) else { return true };
        let known = Known {
            authid: identity.authid.clone(),
            authrole: identity.authrole.clone(),
            authmethod: identity.authmethod.clone(),
            realm: (&*self.config.realms[usize::from(realm)].name).into(),
        };
        self.config.realms[usize::from(realm)].is_reached(&auth.reach) && auth.still_admits(&known, peer)
    }
}
