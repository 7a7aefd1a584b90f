//! Paths that publish and call for programs that speak HTTP alone.

use super::listener::TransportIndex;
use crate::auth::config::Secret;
use ipnet::IpNet;
use std::time::Duration;

/// A path by which requests become publications or calls.
#[derive(Clone, Debug, PartialEq)]
pub struct BridgeConfig {
    /// What requests become.
    pub action: Action,
    /// The way into the router by which its sessions come. Nobody else comes by it.
    pub transport: TransportIndex,
    /// The realm of its sessions.
    pub realm: Box<str>,
    /// Requests have to be signed: the key that they name, and the secret that they are signed with.
    pub signed: Option<(Box<str>, Secret)>,
    /// How far the time of a signed request may be off. None: as far as it likes.
    pub timestamp_delta_max: Option<Duration>,
    /// Requests have to come over TLS.
    pub require_tls: bool,
    /// Requests have to come from these networks. Empty: from anywhere.
    pub require_ip: Vec<IpNet>,
    /// Octets of a body. None: as many as a message may have.
    pub body_bytes_max: Option<usize>,
    /// How many publications one request may bring.
    pub batch_max: usize,
    /// Scripts of any page may ask.
    pub cross_origin: bool,
}

impl BridgeConfig {
    /// How far the time of a signed request may be off if nothing is said.
    pub const TIMESTAMP_DELTA: Duration = Duration::from_secs(300);
    /// How many publications one request may bring if nothing is said.
    pub const BATCH_MAX: usize = 100;
}

/// What a request becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The publication that it describes.
    Publish,
    /// The call that it describes.
    Call,
    /// A publication of itself.
    Hook {
        /// The topic.
        topic: Box<str>,
        /// What is answered if that works.
        success: Box<str>,
        /// What is answered if it does not.
        failure: Box<str>,
        /// What GitHub signs requests with.
        github_secret: Option<Secret>,
    },
}

impl Action {
    /// The type of its path, as configuration files have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Action::Publish => "publisher",
            Action::Call => "caller",
            Action::Hook { .. } => "webhook",
        }
    }
}
