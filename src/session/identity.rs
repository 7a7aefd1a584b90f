//! Who a session is.

use crate::auth::Peer;
use crate::wamp::{Dict, SessionId, Value};
use std::sync::Arc;

/// What WELCOME and the meta API say of a session (specification, "Session Meta API").
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The user.
    pub authid: Box<str>,
    /// What the user may do.
    pub authrole: Box<str>,
    /// How the user was authenticated.
    pub authmethod: Box<str>,
    /// Who vouches for the user.
    pub authprovider: Box<str>,
    /// What the authentication has given beside.
    pub authextra: Option<Box<Dict>>,
    /// Where the session comes from; none of what the router does itself.
    pub peer: Option<Arc<Peer>>,
    /// What `wamp.session.modify_details` has added.
    pub more: Dict,
}

/// The details that `wamp.session.modify_details` leaves alone.
pub const FIXED_DETAILS: [&str; 7] =
    ["session", "authid", "authrole", "authmethod", "authprovider", "authextra", "transport"];

impl Identity {
    /// A session that did not have to say who it is.
    #[must_use]
    pub fn anonymous(authid: &str) -> Identity {
        Identity {
            authid: authid.into(),
            authrole: "anonymous".into(),
            authmethod: "anonymous".into(),
            authprovider: "static".into(),
            authextra: None,
            peer: None,
            more: Dict::new(),
        }
    }

    /// The details of a session, as `wamp.session.get` and `wamp.session.on_join` give them.
    #[must_use]
    pub fn details(&self, session: SessionId) -> Dict {
        let mut details = Dict::new()
            .with("session", session.get())
            .with("authid", &*self.authid)
            .with("authrole", &*self.authrole)
            .with("authmethod", &*self.authmethod)
            .with("authprovider", &*self.authprovider);
        if let Some(extra) = &self.authextra {
            details.push("authextra", (**extra).clone());
        }
        if let Some(peer) = &self.peer {
            details.push("transport", peer.details());
        }
        for (key, value) in self.more.iter() {
            details.push(key, value.clone());
        }
        details
    }

    /// Adds, changes and (by null) removes details; none of it if more than so many octets would have been added in all.
    /// False: that is so.
    pub fn modify(&mut self, changes: &Dict, bytes_max: usize) -> bool {
        let added = changes.weight();
        if added > bytes_max {
            return false;
        }
        let kept = self.more.iter().filter(|(key, _)| changes.iter().all(|(changed, _)| changed != *key));
        let kept: Dict = kept.map(|(key, value)| (key.into(), value.clone())).collect();
        if kept.weight() + added > bytes_max {
            return false;
        }
        for (key, value) in changes.iter() {
            self.more.remove(key);
            if !matches!(value, Value::Null | Value::Undefined) {
                self.more.push(key, value.clone());
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_can_be_added_changed_and_removed() {
        let mut identity = Identity::anonymous("somebody");
        assert!(identity.modify(&Dict::new().with("floor", 1).with("room", "a"), 1000));
        let changes = Dict::new().with("floor", 2).with("room", Value::Null).with("seat", Value::Null);
        assert!(identity.modify(&changes, 1000));
        let details = identity.details(SessionId::from_raw(7));
        assert_eq!(details.get("session"), Some(&Value::Int(7)));
        assert_eq!(details.get("floor"), Some(&Value::Int(2)));
        assert_eq!(details.len(), 6);
    }

    #[test]
    fn no_more_is_added_than_allowed() {
        let mut identity = Identity::anonymous("somebody");
        let long = |key: &str| Dict::new().with(key, &*"x".repeat(600));
        assert!(identity.modify(&long("a"), 1000));
        assert!(!identity.modify(&long("b"), 1000), "both together are too much");
        assert!(identity.modify(&long("a"), 1000), "it takes the place of what was there");
        assert!(identity.modify(&Dict::new().with("a", Value::Null), 1000));
        assert!(identity.modify(&long("b"), 1000));
        assert_eq!(identity.more, long("b"));
    }
}
