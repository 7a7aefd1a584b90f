//! What a shard has to know before its first message.

use super::index::ShardIndex;
use crate::session::RealmConfig;
use std::sync::Arc;
use std::time::Duration;

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
    /// From the end of the transport's handshake, or of the last session, to HELLO.
    pub hello_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth_max: 128,
            uri_bytes_max: 1024,
            subscriptions_max: 100_000,
            registrations_max: 100_000,
            calls_max: 65_536,
            hello_timeout: Duration::from_secs(10),
        }
    }
}

/// The configuration of one shard; the same for all shards but for `index` and `seed`.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Which shard this is, from 0.
    pub index: ShardIndex,
    /// How many shards there are, from 1 to [`super::SHARDS_MAX`].
    pub shards: ShardIndex,
    /// Seeds the random ids and the hashing of this shard; from the operating system's randomness in production.
    pub seed: u64,
    /// The realms that can be joined.
    pub realms: Arc<[RealmConfig]>,
    /// Limits per session.
    pub limits: Limits,
    /// `WELCOME.Details.agent`.
    pub agent: Arc<str>,
    /// A rule that this shard breaks, to test that the simulator notices.
    #[cfg(feature = "sim")]
    pub broken: Option<Rule>,
}

/// The rules of the mesh that can be broken one at a time; see `docs/ordering.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// R4: SUBSCRIBED and REGISTERED wait until every shard knows.
    AckAfterAllApplied,
    /// R5: UNREGISTERED waits until every shard has applied the shorter list of callees.
    UnregisteredAfterFlush,
    /// R6: an event parked for a subscription that has ended since is dropped.
    Generations,
    /// R7: an invocation that comes before its REGISTERED is held.
    EarlyInvocationsHeld,
    /// R7: what comes behind a held invocation waits as well.
    OneLane,
    /// R8: UNREGISTERED goes through the lane.
    UnregisteredThroughLane,
}

impl ShardConfig {
    /// True if the rule holds: always, outside the simulator.
    #[must_use]
    pub fn keeps(&self, rule: Rule) -> bool {
        #[cfg(feature = "sim")]
        return self.broken != Some(rule);
        #[cfg(not(feature = "sim"))]
        {
            let _ = rule;
            true
        }
    }
}
