//! What the sessions of a role may do.

use crate::wamp::{MatchPolicy, Uri};
use std::time::Duration;

/// A role of a realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleConfig {
    /// Its name, `authrole` of its sessions.
    pub name: Box<str>,
    /// Who decides what it may do.
    pub access: Access,
}

/// Who decides what a role may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody: everything is allowed.
    All,
    /// These rules; what none of them allows is not allowed.
    Rules(Vec<Permission>),
    /// A procedure of the realm.
    Authorizer(Authorizer),
}

/// A rule about URIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The URI or pattern. May name the session's own `{authid}`, `{authrole}` and `{session}`.
    pub uri: Uri,
    /// How `uri` is compared.
    pub policy: MatchPolicy,
    /// What is allowed there.
    pub allow: Actions,
    /// What receivers are told of whom they hear from.
    pub disclose: Disclose,
}

/// What can be allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// CALL.
    pub call: bool,
    /// REGISTER.
    pub register: bool,
    /// PUBLISH.
    pub publish: bool,
    /// SUBSCRIBE.
    pub subscribe: bool,
}

/// What receivers are told, whether or not it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disclose {
    /// Callees of callers.
    pub caller: bool,
    /// Subscribers of publishers.
    pub publisher: bool,
}

/// A dynamic authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorizer {
    /// The procedure. It is called with the session's details, the URI, the action and its options.
    pub procedure: Uri,
    /// How long it may take; then the answer is no.
    pub timeout: Duration,
    /// Answers that are remembered, where the procedure allows it. Zero: none.
    pub cache_max: usize,
    /// For how long an answer is remembered.
    pub cache_ttl: Duration,
}

impl Authorizer {
    /// An authorizer with the default limits.
    #[must_use]
    pub fn new(procedure: &str) -> Authorizer {
        Authorizer {
            procedure: procedure.into(),
            timeout: Duration::from_secs(10),
            cache_max: 10_000,
            cache_ttl: Duration::from_secs(60),
        }
    }
}
