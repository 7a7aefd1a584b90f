//! Realms: routing namespaces that do not see each other.

use super::role::RoleConfig;
use super::storage::{HistoryRule, HistoryStore, RetainedLimits};
use crate::auth::reach::Reach;
use crate::wamp::{MatchPolicy, Uri, UriRules};
use crate::wire::provenance::Provenance;

/// The position of a realm in the list that every shard has.
pub type RealmIndex = u16;

/// A realm as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealmConfig {
    /// The realm's URI, as in HELLO.
    pub name: Uri,
    /// The namespace in which it has this name: only transports that lead there can reach it.
    pub namespace: Box<str>,
    /// Nobody may join, and who is there is sent away: what becomes of a realm that is taken out of the configuration
    /// of a router that runs.
    pub closed: bool,
    /// Which URIs its sessions may use.
    pub uri_rules: UriRules,
    /// Request ids must count from 1 by 1, as the letter of the specification has it. Otherwise any id is taken that
    /// is not the id of a request still open.
    pub strict: bool,
    /// Beginnings of URIs that clients may neither publish to nor register, besides `wamp.`.
    pub reserved: Vec<Uri>,
    /// Whether publishers and callers are made known to receivers.
    pub disclosure: Disclosure,
    /// Sessions at once; more are refused. None: as many as there may be.
    pub sessions_max: Option<u32>,
    /// Sessions at once of one authid; more are refused.
    pub sessions_per_authid_max: Option<u32>,
    /// Limits of retained events.
    pub retained: RetainedLimits,
    /// Topics whose events are kept.
    pub history: Vec<HistoryRule>,
    /// Where they are kept.
    pub history_store: HistoryStore,
    /// `wamp.subscription.get_events` gives one list of events, newest first, as Crossbar.io does. Otherwise each
    /// event is an argument of the result, oldest first, as the specification has it.
    pub history_as_one_list: bool,
    /// Trust levels of publications and calls; the first rule that applies counts, none means no trust level.
    pub trust_levels: Vec<TrustRule>,
    /// The roles whose sessions may join. None: every role, and all may do everything.
    pub roles: Option<Vec<RoleConfig>>,
    /// The pages whose sessions may join.
    pub pages: Pages,
}

/// Which pages in browsers may have sessions. Who is no page is not concerned, but for proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pages {
    /// All.
    #[default]
    Any,
    /// Those of the listener by which they come.
    SameOrigin,
    /// Likewise, and only if they know it by an address, as `localhost`, or by a name of the configuration, and not by a
    /// proxy.
    KnownHost,
}

impl Pages {
    /// Why a client that comes from there may not have a session, if it may not.
    #[must_use]
    pub fn refuse(self, provenance: Provenance) -> Option<&'static str> {
        match (self, provenance) {
            (Pages::Any, _) | (_, Provenance::Near) | (Pages::SameOrigin, Provenance::Named) => None,
            (_, Provenance::Foreign) => Some("pages of other origins may not come here"),
            (Pages::KnownHost, Provenance::Named) => Some(
                "here one may come by an address, as localhost or by a name that `corebar.management.hosts` has, and by no proxy",
            ),
        }
    }
}

/// Whether publishers and callers are made known to receivers (specification, "Publisher Identification" and "Caller
/// Identification").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Disclosure {
    /// If they ask for it by `disclose_me`, or if the callee asks for it by `disclose_caller`.
    #[default]
    OnRequest,
    /// Always.
    Forced,
    /// Never, whatever rules and authorizers say: who asks for it is refused.
    Denied,
}

impl Disclosure {
    /// True if somebody is made known for whom this is asked, or is not.
    #[must_use]
    pub const fn applies(self, asked: bool) -> bool {
        match self {
            Disclosure::OnRequest => asked,
            Disclosure::Forced => true,
            Disclosure::Denied => false,
        }
    }
}

/// Gives a trust level to publications and calls (specification, "Publication Trust Levels" and "Call Trust Levels").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRule {
    /// The topic or procedure.
    pub uri: Uri,
    /// How `uri` is compared.
    pub policy: MatchPolicy,
    /// Publishers and callers of this role only.
    pub authrole: Option<Box<str>>,
    /// The trust level; 0 is the lowest.
    pub level: u32,
}

impl RealmConfig {
    /// Those who manage the node see the realm: it is open, and none of those that the node has for its own components.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        !self.closed && !Reach::is_own(&self.namespace)
    }

    /// A realm with loose URIs and any request ids, disclosure on request, no history and no trust levels.
    #[must_use]
    pub fn new(name: &str) -> RealmConfig {
        RealmConfig {
            name: name.into(),
            namespace: Box::default(),
            closed: false,
            uri_rules: UriRules::Loose,
            strict: false,
            reserved: Vec::new(),
            disclosure: Disclosure::default(),
            sessions_max: None,
            sessions_per_authid_max: None,
            retained: RetainedLimits::default(),
            history: Vec::new(),
            history_store: HistoryStore::default(),
            history_as_one_list: false,
            trust_levels: Vec::new(),
            roles: None,
            pages: Pages::default(),
        }
    }

    /// True if it is open to clients of such a transport.
    #[must_use]
    pub fn is_reached(&self, reach: &Reach) -> bool {
        !self.closed && reach.leads_to(&self.namespace, &self.name)
    }

    /// True if sessions of this role may join.
    #[must_use]
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.as_ref().is_none_or(|roles| roles.iter().any(|role| *role.name == *name))
    }

    /// True if the number of its sessions is limited.
    #[must_use]
    pub fn counts_sessions(&self) -> bool {
        self.sessions_max.is_some() || self.sessions_per_authid_max.is_some()
    }

    /// The role of this name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&RoleConfig> {
        self.roles.as_ref()?.iter().find(|role| *role.name == *name)
    }

    /// True if receivers are told nothing of publishers and callers that do not ask for it.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        self.trust_levels.is_empty() && self.disclosure != Disclosure::Forced
    }

    /// The trust level of what a session of this role publishes or calls.
    #[must_use]
    pub fn trust_level(&self, uri: &str, authrole: &str) -> Option<u32> {
        let applies = |rule: &&TrustRule| {
            rule.policy.matches(&rule.uri, uri) && rule.authrole.as_ref().is_none_or(|role| **role == *authrole)
        };
        self.trust_levels.iter().find(applies).map(|rule| rule.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_trust_rule_counts() {
        let rule = |uri: &str, policy, authrole: Option<&str>, level| TrustRule {
            uri: uri.into(),
            policy,
            authrole: authrole.map(Into::into),
            level,
        };
        let mut realm = RealmConfig::new("realm1");
        realm.trust_levels = vec![
            rule("com.app.", MatchPolicy::Prefix, Some("backend"), 9),
            rule("com.app.open", MatchPolicy::Exact, None, 0),
            rule("com..open", MatchPolicy::Wildcard, None, 1),
        ];
        assert_eq!(realm.trust_level("com.app.open", "backend"), Some(9));
        assert_eq!(realm.trust_level("com.app.open", "anonymous"), Some(0));
        assert_eq!(realm.trust_level("com.other.open", "anonymous"), Some(1));
        assert_eq!(realm.trust_level("com.other.shut", "anonymous"), None);
    }
}
