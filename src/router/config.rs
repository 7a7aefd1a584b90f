//! What a shard has to know before its first message.

use super::attempts::Attempts;
use super::index::ShardIndex;
use super::trace::Sampling;
use crate::auth::{AuthSettings, hmac_sha256};
use crate::session::{Census, RealmConfig, RealmIndex};
use std::sync::Arc;
use std::time::Duration;

/// Limits on what one client can make the router hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nesting depth of a message, the message itself being depth 1.
    pub depth_max: u16,
    /// Octets of a URI.
    pub uri_bytes_max: u32,
    /// Octets of the node key of a sharded subscription.
    pub node_key_bytes_max: u32,
    /// Subscriptions of one session.
    pub subscriptions_max: u32,
    /// Registrations of one session.
    pub registrations_max: u32,
    /// Calls of one session that have no final result yet.
    pub calls_max: u32,
    /// Calls of one shard that may wait for the callees of one registration to have time.
    pub calls_waiting_max: u32,
    /// How much longer than the callee the router waits where a callee watches over the timeout of a call itself.
    pub forwarded_timeout_grace: Duration,
    /// What a session may leave to be published when it ends.
    pub testaments_max: u32,
    /// Octets of that: of payload as sent, and of options.
    pub testament_bytes_max: u32,
    /// Octets of what `wamp.session.modify_details` has added to the details of one session.
    pub details_bytes_max: u32,
    /// From the end of the transport's handshake, or of the last session, to HELLO.
    pub hello_timeout: Duration,
    /// From CHALLENGE to AUTHENTICATE; also how long a dynamic authenticator may take.
    pub authentication_timeout: Duration,
    /// Failed attempts to log in from one address, or as one user, after which further attempts are decided at once.
    pub failed_attempts_free: u32,
    /// For how long failed attempts are counted together.
    pub failed_attempts_window: Duration,
    /// What is decided about further ones waits: 100 ms, twice as long with each failure, and so long at most. Zero: not
    /// at all.
    pub failed_attempt_delay_max: Duration,
    /// How long a dynamic authorizer may take.
    pub authorization_timeout: Duration,
    /// For how long what an authorizer has said is remembered at most, where it allows that at all; also where it does
    /// not say for how long.
    pub authorization_ttl_max: Duration,
    /// Decisions of authorizers that a shard remembers.
    pub authorizations_cached_max: u32,
    /// Requests of one session about which an authorizer is asked at once; those behind wait.
    pub authorizations_open_max: u32,
    /// With more octets than this waiting for an authorizer, no more is read from a session; with eight times as many
    /// it is ended.
    pub gate_bytes_max: u32,
    /// From the router's GOODBYE to the client's, for sessions that are killed.
    pub goodbye_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth_max: 128,
            uri_bytes_max: 1024,
            node_key_bytes_max: 256,
            subscriptions_max: 100_000,
            registrations_max: 100_000,
            calls_max: 65_536,
            calls_waiting_max: 10_000,
            forwarded_timeout_grace: Duration::from_secs(5),
            testaments_max: 100,
            testament_bytes_max: 1024 * 1024,
            details_bytes_max: 64 * 1024,
            hello_timeout: Duration::from_secs(10),
            authentication_timeout: Duration::from_secs(10),
            failed_attempts_free: 500,
            failed_attempts_window: Duration::from_secs(60),
            failed_attempt_delay_max: Duration::from_secs(2),
            authorization_timeout: Duration::from_secs(10),
            authorization_ttl_max: Duration::from_secs(60),
            authorizations_cached_max: 10_000,
            authorizations_open_max: 64,
            gate_bytes_max: 1024 * 1024,
            goodbye_timeout: Duration::from_secs(5),
        }
    }
}

/// What can change while shards run.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The realms, each where it was before, new ones behind them. None is taken away, but they can be closed.
    pub realms: Arc<[RealmConfig]>,
    /// How clients may say who they are, by transports, of which none is taken away either.
    pub auth: Arc<AuthSettings>,
    /// Limits per session.
    pub limits: Limits,
    /// Which calls and publications get a span; none: there are no spans.
    pub traces: Option<Sampling>,
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
    /// The time from 1970 to the start of time, for the times that clients are told.
    pub epoch: Duration,
    /// The realms that can be joined.
    pub realms: Arc<[RealmConfig]>,
    /// How clients may say who they are.
    pub auth: Arc<AuthSettings>,
    /// Limits per session.
    pub limits: Limits,
    /// Which calls and publications get a span; none: there are no spans.
    pub traces: Option<Sampling>,
    /// Failed attempts to log in, of all shards.
    pub attempts: Arc<Attempts>,
    /// Counts the sessions of all shards.
    pub census: Arc<Census>,
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
    /// G11: the home answers those who want retained events when what was sent before has arrived.
    RetainedMark,
    /// G11: what has been published before a retained event is skipped behind it.
    RetainedSkip,
    /// R10: nothing is published about a session before its joining has arrived.
    JoinedFirst,
    /// R11: what is published about a subscription or registration waits for its acknowledgement.
    AnnouncedAfterAck,
    /// R11: that a session has left is published when everything else about it has arrived.
    LeftAfterHomes,
    /// R13: SUBSCRIBED waits until every shard knows the subscriber's node.
    NodeKnown,
    /// R13: UNSUBSCRIBED waits until no shard chooses a node that nobody belongs to.
    NodeForgotten,
    /// G12: what a session has left is published when it ends.
    TestamentsPublished,
    /// G12: testaments that were flushed are not.
    TestamentsFlushed,
    /// G12: testaments of the scope `detached` come first.
    TestamentsDetachedFirst,
    /// G13: whoever is not in the audience of an event does not get it.
    AudienceKeptOut,
    /// G13: whoever is, does.
    AudienceLetIn,
    /// G13: retained events and histories have audiences, too.
    AudienceRemembered,
    /// G14: publishers and callers are disclosed only if somebody asks for it, or the realm demands it.
    DisclosedOnRequest,
    /// G15: PUBLISHED waits until the event is on the disk, where the realm demands it.
    AcknowledgedWhenWritten,
}

impl ShardConfig {
    /// By which word linked routers know a realm of this process: see [`crate::wamp::link::ROUTER`].
    pub(super) fn name_of(&self, realm: RealmIndex) -> String {
        let realm = &self.realms[usize::from(realm)];
        let named = format!("router {} {}", realm.namespace, realm.name);
        data_encoding::HEXLOWER.encode(&hmac_sha256(&self.auth.secret, named.as_bytes())[..8])
    }

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
