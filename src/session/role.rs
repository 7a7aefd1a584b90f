//! What the sessions of a role may do.

use crate::wamp::{MatchPolicy, Uri};

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
    /// A procedure of the realm, which is asked about everything that a session wants to do.
    Authorizer(Uri),
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

const AUTHID: &str = "{authid}";
const AUTHROLE: &str = "{authrole}";
const SESSION: &str = "{session}";

impl Permission {
    /// True if the URI names something of the session.
    #[must_use]
    pub fn is_template(&self) -> bool {
        [AUTHID, AUTHROLE, SESSION].iter().any(|variable| self.uri.contains(variable))
    }

    /// True if the URI ends with something of the session, so that as a prefix it matches longer names as well.
    #[must_use]
    pub fn ends_with_variable(&self) -> bool {
        [AUTHID, AUTHROLE, SESSION].iter().any(|variable| self.uri.ends_with(variable))
    }

    /// The URI for a session. None: the rule is not for it, since what stands for a variable is no component of a URI
    /// and would make the rule another one.
    #[must_use]
    pub fn substitute(&self, authid: &str, authrole: &str, session: u64) -> Option<Uri> {
        let mut uri = self.uri.to_string();
        for (variable, value) in [(AUTHID, authid), (AUTHROLE, authrole), (SESSION, &*session.to_string())] {
            if uri.contains(variable) {
                let strange = |c: char| c == '.' || c == '#' || c == '{' || c.is_whitespace();
                if value.is_empty() || value.contains(strange) {
                    return None;
                }
                uri = uri.replace(variable, value);
            }
        }
        Some(uri.into())
    }
}
