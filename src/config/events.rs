//! Paths that give events to browsers, as server-sent events.

use super::listener::TransportIndex;
use std::time::Duration;

/// A path by which browsers subscribe with a plain `EventSource` (the HTML standard, "Server-sent events").
#[derive(Clone, Debug, PartialEq)]
pub struct EventsConfig {
    /// The way into the router by which its sessions come.
    pub transport: TransportIndex,
    /// The realm of its sessions.
    pub realm: Box<str>,
    /// Browsers are known by the cookie with which they have logged in elsewhere; who has none is anonymous.
    pub cookie: bool,
    /// After this time without anything to send something is sent nevertheless, so that nobody in between takes the
    /// connection for a dead one.
    pub heartbeat: Duration,
    /// How long a browser is told to wait before it comes again, to a millisecond.
    pub retry: Duration,
    /// How many topics one stream may have.
    pub topics_max: usize,
    /// How many publications the id of an event names, all topics of its stream together. Two events that come in another order than
    /// they stand in a history may be so far apart.
    pub window: usize,
    /// Events are named by their topics; otherwise they have no name.
    pub named: bool,
    /// Scripts of any page may read them.
    pub cross_origin: bool,
}

impl EventsConfig {
    /// The time after which something is sent if nothing is said.
    pub const HEARTBEAT: Duration = Duration::from_secs(15);
    /// How long browsers are told to wait if nothing is said.
    pub const RETRY: Duration = Duration::from_secs(3);
    /// How many topics a stream may have if nothing is said.
    pub const TOPICS_MAX: usize = 16;

    /// How many publications an id names if nothing is said.
    pub const WINDOW: usize = 32;

    /// A path for anonymous sessions of a realm.
    #[must_use]
    pub fn new(transport: TransportIndex, realm: &str) -> EventsConfig {
        EventsConfig {
            transport,
            realm: realm.into(),
            cookie: false,
            heartbeat: EventsConfig::HEARTBEAT,
            retry: EventsConfig::RETRY,
            topics_max: EventsConfig::TOPICS_MAX,
            window: EventsConfig::WINDOW,
            named: false,
            cross_origin: false,
        }
    }
}
