//! Realms: routing namespaces that do not see each other.

use crate::wamp::{Uri, UriRules};

/// The position of a realm in the list that every shard has.
pub type RealmIndex = u16;

/// A realm as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealmConfig {
    /// The realm's URI, as in HELLO.
    pub name: Uri,
    /// Which URIs its sessions may use.
    pub uri_rules: UriRules,
    /// Request ids must count from 1 by 1, as the letter of the specification has it. Otherwise any id is taken that
    /// is not the id of a request still open.
    pub strict: bool,
}

impl RealmConfig {
    /// A realm with loose URIs and any request ids.
    #[must_use]
    pub fn new(name: &str) -> RealmConfig {
        RealmConfig { name: name.into(), uri_rules: UriRules::Loose, strict: false }
    }
}
