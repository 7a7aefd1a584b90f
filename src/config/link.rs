//! Links to realms of other routers.

use crate::auth::config::Secret;
use crate::wamp::{Serializer, Uri};
use std::path::PathBuf;
use std::time::Duration;

/// A link between a realm of this router and one of another.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// Its id; no other link of the realm has the same.
    pub id: Box<str>,
    /// The namespace of the realm here.
    pub namespace: Box<str>,
    /// The realm here.
    pub realm: Uri,
    /// The realm there.
    pub remote_realm: Uri,
    /// How the other router is reached.
    pub way: LinkWay,
    /// Who it says it is there. None: the other router knows by what is shown.
    pub authid: Option<Box<str>>,
    /// What it shows that with.
    pub login: LinkLogin,
    /// Events that it has brought are not for these users, on either side.
    pub exclude_authid: Vec<Box<str>>,
    /// Nor for sessions with these roles.
    pub exclude_authrole: Vec<Box<str>>,
    /// What subscribers here want is brought from there.
    pub local_events: bool,
    /// What subscribers there want is brought from here.
    pub remote_events: bool,
    /// Procedures of here can be called there.
    pub local_calls: bool,
    /// Procedures of there can be called here.
    pub remote_calls: bool,
    /// Events of one direction that wait or are not acknowledged. One of more than 1 KiB counts as many as it has KiB.
    /// Beyond: they are lost.
    pub queue_max: usize,
    /// Calls of one direction that are not answered. Beyond: they fail.
    pub calls_max: usize,
    /// Routers that a message may have come by.
    pub hops_max: usize,
    /// After which time it is tried for again, about; each time it is doubled.
    pub retry_delay: Duration,
    /// After which time at most.
    pub retry_delay_max: Duration,
}

/// How a router is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkWay {
    /// As [`crate::client::Address`] has it.
    pub url: String,
    /// The name of the router in its certificate and in requests, if it is not that of the URL.
    pub server_name: Option<String>,
    /// How messages are written, the best first.
    pub serializers: Vec<Serializer>,
    /// Octets of the largest message that is taken.
    pub message_bytes_max: usize,
    /// From the first octet to WELCOME.
    pub timeout: Duration,
    /// A router that has said nothing for so long is asked whether it is still there; zero: never.
    pub ping_interval: Duration,
    /// It has so much time to answer.
    pub ping_timeout: Duration,
    /// The authorities that are believed, in PEM. None: those of the system.
    pub authorities: Option<PathBuf>,
    /// Its own certificate and key, in PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// What a link shows who it is with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkLogin {
    /// The key of the node in this file, if it is there, or nothing.
    Node(PathBuf),
    /// Nothing.
    Anonymous,
    /// The key in this file.
    Key(PathBuf),
    /// A ticket.
    Ticket(Secret),
    /// The secret of WAMP-CRA.
    Cra(Secret),
    /// The password of SCRAM.
    Scram(Secret),
}

impl LinkConfig {
    /// Events that wait if nothing is said.
    pub const QUEUE_MAX: usize = 10_000;
    /// Calls that are not answered if nothing is said.
    pub const CALLS_MAX: usize = 10_000;
    /// Routers that a message may have come by if nothing is said.
    pub const HOPS_MAX: usize = 8;
    /// After which time it is tried for again if nothing is said.
    pub const RETRY_DELAY: Duration = Duration::from_millis(500);
    /// After which time at most.
    pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);

    /// What tells it from the others.
    #[must_use]
    pub fn name(&self) -> LinkName {
        LinkName { namespace: self.namespace.clone(), realm: self.realm.clone(), id: self.id.clone() }
    }
}

/// What tells links apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkName {
    /// The namespace of the realm here.
    pub namespace: Box<str>,
    /// The realm here.
    pub realm: Uri,
    /// The id of the link.
    pub id: Box<str>,
}

impl std::fmt::Display for LinkName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of realm {}", self.id, self.realm)
    }
}
