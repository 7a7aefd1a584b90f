//! The realm in which a node is managed.

use crate::auth::reach::{CONTROLLER, Reach};
use crate::session::role::{Actions, Disclose};
use crate::session::{Access, Pages, Permission, RealmConfig, RoleConfig};
use crate::wamp::{MatchPolicy, Uri};

/// Where a node offers procedures that tell of it and change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagementConfig {
    /// The realm. Who may do what in it, its roles say, as everywhere.
    pub realm: Uri,
    /// The namespace of the realm.
    pub namespace: Box<str>,
    /// Names, besides `localhost`, by which pages may know this node.
    pub hosts: Vec<Box<str>>,
}

/// The beginning of the names of all procedures and topics of management.
pub const PREFIX: &str = "corebar.";

impl ManagementConfig {
    /// Where components manage the node.
    #[must_use]
    pub fn controller() -> ManagementConfig {
        let Reach { namespace, .. } = Reach::controller();
        ManagementConfig { realm: CONTROLLER.into(), namespace, hosts: Vec::new() }
    }

    /// Crossbar.io's names of procedures are offered as well.
    #[must_use]
    pub fn has_crossbar(&self) -> bool {
        self.namespace == Reach::controller().namespace
    }

    /// A realm for management alone, for these pages, with a role that may do all that management offers, and look at the
    /// realm itself.
    #[must_use]
    pub fn realm(&self, role: &str, pages: Pages) -> RealmConfig {
        let allow = Actions { call: true, subscribe: true, ..Actions::default() };
        let rule = |uri: &str| Permission {
            uri: uri.into(),
            policy: MatchPolicy::Prefix,
            allow,
            disclose: Disclose::default(),
        };
        let access = Access::Rules(vec![rule(PREFIX), rule("wamp.")]);
        let roles = Some(vec![RoleConfig { name: role.into(), access }]);
        RealmConfig { namespace: self.namespace.clone(), roles, pages, ..RealmConfig::new(&self.realm) }
    }
}
