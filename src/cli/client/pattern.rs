//! How URIs are matched.

use crate::wamp::{Dict, MatchPolicy};
use clap::ValueEnum;

/// How the URI of a subscription or registration is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Match {
    /// The same characters.
    Exact,
    /// What begins with the URI.
    Prefix,
    /// Component by component; an empty one, as in `com..status`, stands for any.
    Wildcard,
}

impl Match {
    /// The policy.
    pub(super) const fn policy(self) -> MatchPolicy {
        match self {
            Match::Exact => MatchPolicy::Exact,
            Match::Prefix => MatchPolicy::Prefix,
            Match::Wildcard => MatchPolicy::Wildcard,
        }
    }

    /// Says it in options; the router knows the exact one.
    pub(super) fn say(self, options: &mut Dict) {
        if self != Match::Exact {
            options.push("match", self.policy().name());
        }
    }
}
