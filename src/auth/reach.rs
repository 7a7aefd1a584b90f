//! Which realms the clients of a transport may join, and as whom.

use crate::wamp::Uri;
use std::collections::{BTreeMap, BTreeSet};

/// The realm of the functions that say who clients are.
pub const AUTHENTICATORS: &str = "corebar.authenticators";

/// The realm in which the components manage the node that may do so.
pub const CONTROLLER: &str = "corebar.controller";

/// What lies behind a transport. Realms of one name may be there several times, each in a namespace of its own: a
/// transport leads into one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The namespace.
    pub namespace: Box<str>,
    /// The realms that may be joined, with the roles that may do so. None: all that are there.
    pub routes: Option<BTreeMap<Uri, BTreeSet<Box<str>>>>,
}

impl Reach {
    /// Where the functions are that say who clients are: a namespace of their own, to which no transport of a
    /// configuration leads.
    #[must_use]
    pub fn authenticators() -> Reach {
        Reach { namespace: "(authenticators)".into(), routes: None }
    }

    /// Where components are that manage the node: a namespace of their own as well.
    #[must_use]
    pub fn controller() -> Reach {
        Reach { namespace: "(controller)".into(), routes: None }
    }

    /// True for the namespaces of the node's own components: no worker can be named so.
    #[must_use]
    pub fn is_own(namespace: &str) -> bool {
        namespace.starts_with('(')
    }

    /// True if some role may join a realm.
    #[must_use]
    pub fn leads_to(&self, namespace: &str, realm: &str) -> bool {
        *self.namespace == *namespace && self.routes.as_ref().is_none_or(|routes| routes.contains_key(realm))
    }

    /// True if this role may join a realm of the namespace.
    #[must_use]
    pub fn admits(&self, realm: &str, role: &str) -> bool {
        let Some(routes) = &self.routes else { return true };
        routes.get(realm).is_some_and(|roles| roles.contains(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_leads_into_its_namespace() {
        let all = Reach::default();
        assert!(all.leads_to("", "realm1") && all.admits("realm1", "user"));
        assert!(!all.leads_to("worker002", "realm1"));
        assert!([Reach::authenticators(), Reach::controller()].iter().all(|reach| Reach::is_own(&reach.namespace)));
        assert!(!Reach::is_own("") && !Reach::is_own("worker002"));
        let routes = [("realm1".into(), ["user".into()].into())].into();
        let some = Reach { namespace: "worker002".into(), routes: Some(routes) };
        assert!(some.leads_to("worker002", "realm1") && !some.leads_to("", "realm1"));
        assert!(!some.leads_to("worker002", "realm2"));
        assert!(some.admits("realm1", "user") && !some.admits("realm1", "admin") && !some.admits("realm2", "user"));
    }
}
