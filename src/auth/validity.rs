//! Whether what a client has shown once still holds: users come and go while sessions are open and cookies are kept.

use super::certificate;
use super::config::{AuthConfig, Grant, Source};
use super::peer::{Known, Peer};

impl AuthConfig {
    /// True if the one who has logged in so would still become the same. Who was let in by an authenticator or by a
    /// token would, as long as there is the method: nobody is asked again.
    #[must_use]
    pub fn still_admits(&self, known: &Known, peer: &Peer) -> bool {
        let becomes = |grant: &Grant, default: Option<&str>| {
            grant.role.as_deref().or(default) == Some(&*known.authrole)
                && grant.realm.as_ref().is_none_or(|realm| **realm == *known.realm)
        };
        let user = |grant: Option<&Grant>| grant.is_some_and(|grant| becomes(grant, None));
        let authid = &*known.authid;
        if !self.reach.admits(&known.realm, &known.authrole) {
            return false;
        }
        match &*known.authmethod {
            "ticket" => holds(self.ticket.as_ref(), |users| user(users.get(authid).map(|user| &user.grant))),
            "wampcra" => holds(self.wampcra.as_ref(), |users| user(users.get(authid).map(|user| &user.grant))),
            "scram" | "wamp-scram" => {
                holds(self.scram.as_ref(), |users| user(users.get(authid).map(|user| &user.grant)))
            }
            "cryptosign" => {
                holds(self.cryptosign.as_ref(), |keys| user(keys.users.get(authid).map(|user| &user.grant)))
            }
            "tls" => holds(self.tls.as_ref(), |users| {
                let shown = certificate::user(peer.tls.as_deref(), users);
                shown.is_some_and(|(name, grant)| *name == *authid && becomes(&grant, None))
            }),
            "jwt" => self.jwt.is_some(),
            "anonymous" => {
                self.is_empty() && &*known.authrole == "anonymous"
                    || holds(self.anonymous.as_ref(), |all| becomes(&all.grant, Some("anonymous")))
            }
            "cookie" => {
                let before = peer.cookie.as_ref().and_then(|cookie| cookie.known.as_ref());
                self.cookie
                    && before.is_some_and(|before| &*before.authmethod != "cookie" && self.still_admits(before, peer))
            }
            _ => false,
        }
    }
}

/// True if the users of a method are as wanted, or somebody else decides about them.
fn holds<S>(source: Option<&Source<S>>, wanted: impl FnOnce(&S) -> bool) -> bool {
    match source {
        Some(Source::Static(users)) => wanted(users),
        Some(Source::Dynamic(_)) => true,
        None => false,
    }
}
