//! What a shard has to know before its first message.

use super::effect::ShardIndex;
use crate::wamp::{Uri, UriRules};
use std::sync::Arc;

/// A realm: a routing namespace of its own.
#[derive(Clone, Debug)]
pub struct RealmConfig {
    /// The realm's URI, as in HELLO.
    pub name: Uri,
    /// Which URIs its sessions may use.
    pub uri_rules: UriRules,
    /// Request ids must count from 1 by 1, as the letter of the specification has it. Otherwise any id is taken that
    /// is not the id of a request still open.
    pub strict: bool,
}

/// Limits on what one client can make the router hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nesting depth of a message, the message itself being depth 1.
    pub depth_max: u16,
    /// Octets of a URI.
    pub uri_bytes_max: u32,
    /// Subscriptions of one session.
    pub subscriptions_max: u32,
    /// Registrations of one session.
    pub registrations_max: u32,
    /// Calls of one session that have no final result yet.
    pub calls_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth_max: 128,
            uri_bytes_max: 1024,
            subscriptions_max: 100_000,
            registrations_max: 100_000,
            calls_max: 65_536,
        }
    }
}

/// The configuration of one shard; the same for all shards but for `index` and `seed`.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Which shard this is, from 0.
    pub index: ShardIndex,
    /// How many shards there are.
    pub shards: ShardIndex,
    /// Seeds the random ids of this shard; from the operating system's randomness in production.
    pub seed: u64,
    /// The realms that can be joined.
    pub realms: Arc<[RealmConfig]>,
    /// Limits per session.
    pub limits: Limits,
    /// `WELCOME.Details.agent`.
    pub agent: Arc<str>,
}
