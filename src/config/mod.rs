//! Everything that can be configured, as plain data with defaults.

pub mod address;
pub mod allowed;
pub mod app;
pub mod bridge;
pub mod component;
pub mod connection;
pub mod cookie;
pub mod courier;
pub mod dashboard;
pub mod describe;
pub mod events;
pub mod file;
pub mod guest;
pub mod link;
pub mod listener;
pub mod log;
pub mod management;
pub mod node;
pub mod python;
pub mod relay;
pub mod reload;
pub mod tls;
pub mod traces;
pub mod web;

pub use address::{AddressError, ListenAddress};
pub use app::AppConfig;
pub use component::ComponentConfig;
pub use courier::CourierConfig;
pub use guest::GuestConfig;
pub use link::{LinkConfig, LinkName};
pub use listener::{ListenerConfig, TransportConfig};
pub use management::ManagementConfig;
pub use node::NodeConfig;

use crate::router::Limits;
use crate::session::{HistoryStore, RealmConfig};
use crate::wamp::Uri;
use crate::wamp::codec::DEPTH_MAX;
use guest::GuestError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// The configuration of a running router. Names carry their units.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Where to listen; at least one, unless there are guests.
    pub listeners: Vec<ListenerConfig>,
    /// The ways in that listeners offer.
    pub transports: Vec<TransportConfig>,
    /// The realms that can be joined; at least one, if anybody can come in.
    pub realms: Vec<RealmConfig>,
    /// What the node is called, and when it ends by itself.
    pub node: NodeConfig,
    /// Programs that run beside the router.
    pub guests: Vec<GuestConfig>,
    /// Application sessions and functions in Python.
    pub components: Vec<ComponentConfig>,
    /// Where the node is managed, if anywhere.
    pub management: Option<ManagementConfig>,
    /// Applications in Python that are served at paths.
    pub apps: Vec<AppConfig>,
    /// Sessions of its own that make requests of HTTP.
    pub couriers: Vec<CourierConfig>,
    /// Links to realms of other routers.
    pub links: Vec<LinkConfig>,
    /// How many shards to run; none means one for each core that this process may use.
    pub shards: Option<u16>,
    /// The numbers of the cores that shards run on; none means all. Those that are not there do not count.
    pub cores: Option<Vec<usize>>,
    /// Pin each shard to a core of its own, if there are enough.
    pub pin: bool,
    /// Limits per session.
    pub limits: Limits,
    /// From accepting a socket to the end of the WebSocket or RawSocket handshake.
    pub handshake_timeout: Duration,
    /// From the router's last word to the client's closing the connection.
    pub close_timeout: Duration,
    /// From the last GOODBYE to the end of the process, if clients do not leave.
    pub shutdown_timeout: Duration,
    /// How long the router says that it is not ready before it accepts nobody any more.
    pub drain_delay: Duration,
    /// In which time sessions are taken leave of when the router shuts down; callees come last.
    pub drain_spread: Duration,
    /// How much longer a session may take for what it has open then.
    pub drain_calls_timeout: Duration,
    /// Clients are told to come back after different times, of so much at most.
    pub drain_retry_spread: Duration,
    /// How long to accept nobody after the system ran out of file descriptors or memory.
    pub accept_pause: Duration,
    /// Connections of all listeners together; those that come beyond are closed.
    pub connections_max: u32,
    /// Connections from one address, an address of IPv6 being its first 64 bits; those that come beyond are closed. None:
    /// as many as there may be.
    pub connections_per_address_max: Option<u32>,
    /// Connections that each listener accepts in a second; the others wait. None: as many as come.
    pub accept_rate_max: Option<u32>,
    /// A client that has been silent for so long is sent a ping over WebSocket, and by TCP itself otherwise. Zero: never.
    pub ping_interval: Duration,
    /// How long the answer may take.
    pub ping_timeout: Duration,
    /// Pings over RawSocket as well. There are clients that take them for messages of 16 MiB.
    pub ping_rawsocket: bool,
    /// Messages that a client may send in a second, by and large; more are read more slowly. None: as many as it likes.
    pub message_rate_max: Option<u32>,
    /// How often it is looked whether files with keys for tokens have changed.
    pub jwks_interval: Duration,
    /// How many applications are asked at once over HTTP who a client is.
    pub callout_threads: usize,
    /// Octets of one message from a client, not counting the framing.
    pub message_bytes_max: usize,
    /// Octets that may wait for a client that does not read. What comes on top of more ends its connection.
    pub out_queue_bytes_max: usize,
    /// How long a turn of a shard at least writes to those who share an event with many others, before it looks after
    /// other clients again; and how long it acts on the ends of connections, where many end at once.
    pub write_slice: Duration,
    /// How long an event may wait for others that can leave with it in one write. Zero lets it go at once; the answers
    /// to requests never wait. Whole milliseconds.
    pub write_delay: Duration,
    /// For how long a shard that has nothing to do goes on looking for work before it sleeps. It then answers sooner by
    /// the time of a wake-up, and keeps its core busy meanwhile.
    pub spin: Duration,
    /// Batches in each ring between two shards.
    pub ring_batches: usize,
    /// With more octets than this waiting for other shards, a shard stops reading from its clients.
    pub overflow_high_bytes: usize,
    /// With no more octets than this waiting, it reads again.
    pub overflow_low_bytes: usize,
    /// How long a long-poll `receive` may wait for messages. Clients give up after times of their own, some after 12
    /// seconds; this has to be less.
    pub longpoll_receive_timeout: Duration,
    /// For how long nobody may `receive` from a long-poll transport before it is ended, and a socket between two
    /// requests may be idle.
    pub longpoll_idle_timeout: Duration,
    /// How long the body of a long-poll request may take to come, and a response to be read any further.
    pub longpoll_body_timeout: Duration,
    /// How long a connection may be idle between two requests for pages.
    pub web_keep_alive_timeout: Duration,
    /// How long a call may take that a request has become.
    pub web_call_timeout: Duration,
    /// Threads that pass requests on to others.
    pub web_relay_threads: usize,
    /// Requests that are passed on at the same time; more get 503.
    pub web_relays_max: usize,
    /// Octets of the body of a request that are read before others are asked.
    pub web_body_bytes_ahead: usize,
    /// Octets of such a body that have to come in each second that is waited for it, on average; 0: any.
    pub web_body_rate_min: usize,
    /// For how long the answer to a request with an `Idempotency-Key` is kept.
    pub web_repeat_timeout: Duration,
    /// Octets of such answers that are kept, all together; the oldest are forgotten first.
    pub web_repeat_bytes: usize,
    /// Threads that read files for requests.
    pub web_read_threads: usize,
    /// Octets of a file that are read at once: what a client that reads slowly holds in memory.
    pub web_piece_bytes: usize,
    /// Entries of a directory's listing; more are left out.
    pub web_listing_entries_max: usize,
    /// Octets of an archive that is downloaded.
    pub web_download_bytes_max: usize,
    /// How long such a download may take.
    pub web_download_timeout: Duration,
    /// Lines that are kept of what each guest and component writes.
    pub processes_log_lines: usize,
    /// Octets of them.
    pub processes_log_bytes: usize,
    /// Processes that one guest or component may have, threads not counted; one with more is killed, and has failed.
    pub processes_count_max: usize,
    /// How long an event for a history on disk may wait in memory if its publisher does not wait for the disk.
    pub history_flush_interval: Duration,
    /// With more octets than this waiting to be written to histories on disk, shards stop reading from their clients;
    /// with half of it they read again.
    pub history_queue_bytes_max: usize,
    /// Where it is said whether the router is well, on every listener: 200, or 503. None switches it off.
    pub health_path: Option<String>,
    /// Where it is said whether clients should come, likewise.
    pub health_ready_path: Option<String>,
    /// Where what the router counts and measures is told to Prometheus, on every listener. None switches it off.
    pub metrics_path: Option<String>,
    /// To whom, by address; the port for probes tells everybody.
    pub metrics_allow: Option<String>,
    /// A port where nothing else is served than these two and the metrics.
    pub health_listen: Option<ListenAddress>,
    /// A shard that has not turned for so long is stuck, and the router not well.
    pub health_stuck_after: Duration,
    /// Where the spans of calls and publications are sent, by OTLP over HTTP. None: there are no spans.
    pub traces_endpoint: Option<String>,
    /// The share of calls and publications without a context of their own that begin a trace, from 0 to 1.
    pub traces_sample: f64,
    /// Spans of all shards in a second; what comes beyond has none.
    pub traces_spans_per_second_max: u32,
    /// Octets of payload up to which a context is looked for among keyword arguments. Zero: never.
    pub traces_kwargs_bytes_max: u32,
    /// What the spans are said to come from.
    pub traces_service_name: Option<String>,
    /// Headers of the requests to the collector. Their values are never shown.
    pub traces_headers: BTreeMap<Box<str>, Box<str>>,
    /// How long a span waits for others that go with it.
    pub traces_interval: Duration,
    /// Spans in one request.
    pub traces_batch_spans_max: usize,
    /// Spans that may wait to be sent; more are lost.
    pub traces_queue_spans_max: usize,
    /// How long a request may take.
    pub traces_timeout: Duration,
}

const SECOND: Duration = Duration::from_secs(1);
const MIB: usize = 1024 * 1024;

impl Default for RuntimeConfig {
    fn default() -> Self {
        RuntimeConfig {
            listeners: vec![ListenerConfig::plain(ListenAddress::Tcp { host: "127.0.0.1".into(), port: 8080 })],
            transports: vec![TransportConfig::default()],
            realms: vec![RealmConfig::new("realm1")],
            node: NodeConfig::default(),
            guests: Vec::new(),
            components: Vec::new(),
            management: None,
            apps: Vec::new(),
            couriers: Vec::new(),
            links: Vec::new(),
            shards: None,
            cores: None,
            pin: true,
            limits: Limits::default(),
            handshake_timeout: 10 * SECOND,
            close_timeout: 2 * SECOND,
            shutdown_timeout: 3 * SECOND,
            drain_delay: Duration::ZERO,
            drain_spread: Duration::ZERO,
            drain_calls_timeout: 5 * SECOND,
            drain_retry_spread: 5 * SECOND,
            accept_pause: SECOND / 10,
            connections_max: 1_000_000,
            connections_per_address_max: None,
            accept_rate_max: None,
            ping_interval: 60 * SECOND,
            ping_timeout: 60 * SECOND,
            ping_rawsocket: false,
            message_rate_max: None,
            jwks_interval: 10 * SECOND,
            callout_threads: 8,
            message_bytes_max: 16 * MIB,
            out_queue_bytes_max: 16 * MIB,
            write_slice: Duration::from_micros(500),
            write_delay: Duration::ZERO,
            spin: Duration::ZERO,
            ring_batches: 64,
            overflow_high_bytes: 64 * MIB,
            overflow_low_bytes: 16 * MIB,
            longpoll_receive_timeout: 10 * SECOND,
            longpoll_idle_timeout: 30 * SECOND,
            longpoll_body_timeout: 30 * SECOND,
            web_keep_alive_timeout: 30 * SECOND,
            web_call_timeout: 60 * SECOND,
            web_relay_threads: 1,
            web_relays_max: 4096,
            web_body_bytes_ahead: 64 * 1024,
            web_body_rate_min: 100,
            web_repeat_timeout: 600 * SECOND,
            web_repeat_bytes: 16 * 1024 * 1024,
            web_read_threads: 4,
            web_piece_bytes: MIB / 4,
            web_listing_entries_max: 10_000,
            web_download_bytes_max: 1024 * MIB,
            web_download_timeout: 300 * SECOND,
            processes_log_lines: 1000,
            processes_log_bytes: MIB,
            processes_count_max: 2000,
            history_flush_interval: SECOND / 10,
            history_queue_bytes_max: 64 * MIB,
            health_path: Some("/health".into()),
            health_ready_path: Some("/ready".into()),
            metrics_path: Some("/metrics".into()),
            metrics_allow: Some("loopback".into()),
            health_listen: None,
            health_stuck_after: 5 * SECOND,
            traces_endpoint: None,
            traces_sample: 0.01,
            traces_spans_per_second_max: 1000,
            traces_kwargs_bytes_max: 65_536,
            traces_service_name: Some(traces::SERVICE_NAME.into()),
            traces_headers: BTreeMap::new(),
            traces_interval: SECOND,
            traces_batch_spans_max: 512,
            traces_queue_spans_max: 8192,
            traces_timeout: 10 * SECOND,
        }
    }
}

impl RuntimeConfig {
    /// The most shards that can be asked for: the rings are as many as their square.
    pub const SHARDS_MAX: u16 = crate::router::SHARDS_MAX;
    /// The longest delay before events are written.
    pub const WRITE_DELAY_MAX: Duration = Duration::from_secs(10);
    /// The longest time that a shard looks for work.
    pub const SPIN_MAX: Duration = Duration::from_millis(100);

    /// Says what cannot work.
    ///
    /// # Errors
    ///
    /// The first setting found that contradicts another or makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        // A node may be there for its guests alone.
        if self.listeners.is_empty() && self.has_no_programs() {
            return Err(ConfigError::NoListener);
        }
        if self
            .listeners
            .iter()
            .flat_map(ListenerConfig::transports)
            .map(usize::from)
            .any(|transport| transport >= self.transports.len())
        {
            return Err(ConfigError::NoTransport);
        }
        let most = self.realms.len().max(self.transports.len()).max(self.listeners.len());
        if u16::try_from(most).is_err() {
            return Err(ConfigError::TooMany);
        }
        if self.realms.is_empty() && self.listeners.iter().any(ListenerConfig::leads_to_realms) {
            return Err(ConfigError::NoRealm);
        }
        self.check_realms()?;
        self.check_stores()?;
        if self.shards.is_some_and(|shards| shards == 0 || shards > Self::SHARDS_MAX) {
            return Err(ConfigError::Shards);
        }
        if self.overflow_low_bytes > self.overflow_high_bytes {
            return Err(ConfigError::OverflowMarks);
        }
        if self.write_delay > Self::WRITE_DELAY_MAX {
            return Err(ConfigError::WriteDelay);
        }
        if self.spin > Self::SPIN_MAX {
            return Err(ConfigError::Spin);
        }
        self.check_paths()?;
        let times = [self.longpoll_receive_timeout, self.longpoll_idle_timeout, self.longpoll_body_timeout];
        if times.iter().any(Duration::is_zero) {
            return Err(ConfigError::LongPollTime);
        }
        if self.jwks_interval.is_zero() {
            return Err(ConfigError::JwksTime);
        }
        if self.callout_threads == 0 {
            return Err(ConfigError::CalloutThreads);
        }
        if !self.ping_interval.is_zero() && self.ping_timeout.is_zero() {
            return Err(ConfigError::PingTime);
        }
        if [self.connections_per_address_max, self.accept_rate_max, self.message_rate_max].contains(&Some(0)) {
            return Err(ConfigError::NoneAtAll);
        }
        if self.limits.depth_max == 0 || self.limits.depth_max > DEPTH_MAX {
            return Err(ConfigError::Depth);
        }
        if self.web_read_threads == 0 || self.web_piece_bytes == 0 {
            return Err(ConfigError::WebReading);
        }
        if self.traces_endpoint.is_some() && cfg!(not(feature = "traces")) {
            return Err(ConfigError::NoTraces);
        }
        if !(0.0..=1.0).contains(&self.traces_sample) || self.traces_batch_spans_max == 0 {
            return Err(ConfigError::Traces);
        }
        guest::levels(&self.guests)?;
        self.check_components()?;
        Ok(())
    }

    /// True if nothing runs beside the router.
    #[must_use]
    pub fn has_no_programs(&self) -> bool {
        self.guests.is_empty() && self.components.is_empty()
    }

    fn check_components(&self) -> Result<(), GuestError> {
        let mut ids: BTreeSet<&str> = self.guests.iter().map(|guest| &*guest.id).collect();
        for component in &self.components {
            component.check()?;
            if !ids.insert(&component.id) {
                return Err(GuestError::Twice(component.id.clone()));
            }
        }
        for app in &self.apps {
            if !ids.insert(&app.id) {
                return Err(GuestError::Twice(app.id.clone()));
            }
        }
        for courier in &self.couriers {
            courier.check()?;
            if !ids.insert(&courier.id) {
                return Err(GuestError::Twice(courier.id.clone()));
            }
        }
        Ok(())
    }

    fn check_realms(&self) -> Result<(), ConfigError> {
        for (index, realm) in self.realms.iter().enumerate() {
            if !realm.uri_rules.allow(&realm.name) {
                return Err(ConfigError::RealmName(realm.name.clone()));
            }
            if self.realms[..index]
                .iter()
                .any(|other| (&other.name, &other.namespace) == (&realm.name, &realm.namespace))
            {
                return Err(ConfigError::RealmTwice(realm.name.clone()));
            }
        }
        for realm in &self.realms {
            if let Some(rule) = realm.history.iter().find(|rule| !realm.uri_rules.allow_pattern(&rule.uri, rule.policy))
            {
                return Err(ConfigError::HistoryUri(rule.uri.clone()));
            }
        }
        if self
            .realms
            .iter()
            .any(|realm| matches!(&realm.history_store, HistoryStore::Disk { path, .. } if path.as_os_str().is_empty()))
        {
            return Err(ConfigError::HistoryPath);
        }
        Ok(())
    }

    /// Each file has one owner.
    fn check_stores(&self) -> Result<(), ConfigError> {
        let mut taken: BTreeSet<&Path> = BTreeSet::new();
        for realm in &self.realms {
            if let HistoryStore::Disk { path, .. } = &realm.history_store {
                taken.insert(path);
            }
        }
        // A listener that is closed has left its transports to others.
        let open = self.listeners.iter().filter(|listener| !listener.closed);
        let used: BTreeSet<_> = open.flat_map(ListenerConfig::transports).map(usize::from).collect();
        let cookies = used.into_iter().filter_map(|at| self.transports.get(at)?.cookie.as_ref());
        for path in cookies.filter_map(|cookie| cookie.store.path()) {
            if !taken.insert(path) {
                return Err(ConfigError::FileTwice(path.into()));
            }
        }
        Ok(())
    }

    fn check_paths(&self) -> Result<(), ConfigError> {
        for listener in &self.listeners {
            for (index, path) in listener.paths.iter().enumerate() {
                if !web::is_plain(&path.path) {
                    return Err(ConfigError::Path(path.path.clone()));
                }
                if listener.paths[..index].iter().any(|other| other.path == path.path) {
                    return Err(ConfigError::PathTwice(path.path.clone()));
                }
            }
        }
        Ok(())
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Nowhere to listen.
    #[error("there is no address to listen on")]
    NoListener,
    /// More than positions.
    #[error("there are more listeners, transports or realms than can be counted")]
    TooMany,
    /// A listener without a transport.
    #[error("a listener names a transport that is not there")]
    NoTransport,
    /// Nothing to join.
    #[error("there is no realm")]
    NoRealm,
    /// Not a URI.
    #[error("the realm name {0:?} is not a URI: components between dots must not be empty or hold white space or `#`")]
    RealmName(Uri),
    /// Two realms of one name.
    #[error("the realm {0:?} is there twice")]
    RealmTwice(Uri),
    /// Not a topic or pattern.
    #[error("the history of {0:?}: this is no topic or pattern of its match policy")]
    HistoryUri(Uri),
    /// A history on disk without a file.
    #[error("the path of the history file is empty")]
    HistoryPath,
    /// A file of cookies that is another transport's, or holds histories.
    #[error("the cookies of a transport cannot be kept in {}: something else is kept there already", .0.display())]
    FileTwice(PathBuf),
    /// None, or too many.
    #[error("the number of shards has to be from 1 to {}", RuntimeConfig::SHARDS_MAX)]
    Shards,
    /// Clients would be in other realms than they have joined.
    #[error(
        "{0} would lead to the realms of another router worker than now, as one before it comes or goes: that needs a new start, \
         or another address"
    )]
    Moved(ListenAddress),
    /// All the time.
    #[error("jwks_interval must not be zero")]
    JwksTime,
    /// Nobody to ask.
    #[error("callout_threads must not be zero")]
    CalloutThreads,
    /// No answer could be in time.
    #[error("ping_timeout must not be zero")]
    PingTime,
    /// A limit that nobody could keep.
    #[error("connections_per_address_max, accept_rate_max and message_rate_max must not be zero")]
    NoneAtAll,
    /// None, or more than the stack is safe for.
    #[error("depth_max has to be from 1 to {DEPTH_MAX}")]
    Depth,
    /// Low above high.
    #[error("overflow_low_bytes is above overflow_high_bytes")]
    OverflowMarks,
    /// Longer than any client would like.
    #[error("write_delay is more than {} seconds", RuntimeConfig::WRITE_DELAY_MAX.as_secs())]
    WriteDelay,
    /// Longer than makes a difference.
    #[error("spin is more than {} milliseconds", RuntimeConfig::SPIN_MAX.as_millis())]
    Spin,
    /// Not a path at which something can be served.
    #[error("the path {0:?} has to begin with a slash, not to end with one, and to be plain: letters, digits, `-._~`")]
    Path(String),
    /// Two services of one path.
    #[error("there are two services at the path {0:?} of a listener")]
    PathTwice(String),
    /// Files could not be read.
    #[error("web_read_threads and web_piece_bytes must not be zero")]
    WebReading,
    /// Built without them.
    #[error("traces_endpoint is set, but this program was built without the feature `traces`")]
    NoTraces,
    /// More than all, or nothing at a time.
    #[error("traces_sample has to be from 0 to 1, and traces_batch_spans_max must not be zero")]
    Traces,
    /// It could show nothing.
    #[error("the dashboard at {0} {1}")]
    Dashboard(String, String),
    /// Guests that cannot work.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// No time at all.
    #[error("longpoll_receive_timeout, longpoll_idle_timeout and longpoll_body_timeout must not be zero")]
    LongPollTime,
}

#[cfg(test)]
mod tests {
    use super::cookie::{CookieConfig, CookieStore};
    use super::*;

    #[test]
    fn defaults_are_sound() {
        assert_eq!(RuntimeConfig::default().check(), Ok(()));
    }

    #[test]
    fn contradictions_are_told() {
        let with = |change: fn(&mut RuntimeConfig)| {
            let mut config = RuntimeConfig::default();
            change(&mut config);
            config.check().expect_err("a contradiction")
        };
        assert_eq!(with(|config| config.listeners.clear()), ConfigError::NoListener);
        assert_eq!(with(|config| config.transports.clear()), ConfigError::NoTransport);
        assert_eq!(with(|config| config.realms.clear()), ConfigError::NoRealm);
        assert_eq!(with(|config| config.realms[0] = RealmConfig::new("a..b")), ConfigError::RealmName("a..b".into()));
        assert_eq!(
            with(|config| config.realms.push(RealmConfig::new("realm1"))),
            ConfigError::RealmTwice("realm1".into())
        );
        assert_eq!(with(|config| config.shards = Some(0)), ConfigError::Shards);
        assert_eq!(with(|config| config.overflow_low_bytes = usize::MAX), ConfigError::OverflowMarks);
        assert_eq!(with(|config| config.write_delay = Duration::from_secs(11)), ConfigError::WriteDelay);
        assert_eq!(with(|config| config.spin = Duration::from_secs(1)), ConfigError::Spin);
        assert_eq!(with(|config| config.longpoll_receive_timeout = Duration::ZERO), ConfigError::LongPollTime);
        assert_eq!(with(|config| config.longpoll_idle_timeout = Duration::ZERO), ConfigError::LongPollTime);
        assert_eq!(with(|config| config.longpoll_body_timeout = Duration::ZERO), ConfigError::LongPollTime);
        let with = |path: &str| {
            let mut config = RuntimeConfig::default();
            config.listeners[0].paths.push(web::PathConfig::longpoll(path, 0));
            config.check()
        };
        for path in ["", "lp", "/x/", "/l p", "/lp?x", "/l%70", "/a//b", "/.."] {
            assert_eq!(with(path), Err(ConfigError::Path(path.into())), "{path:?}");
        }
        assert_eq!(with("/lp"), Err(ConfigError::PathTwice("/lp".into())));
        assert_eq!(with("/ws/poll.1"), Ok(()));
    }

    #[test]
    fn files_have_one_owner() {
        let with = |stores: [CookieStore; 2], history: &str| {
            let mut config = RuntimeConfig::default();
            config.realms[0].history_store = HistoryStore::Disk { path: history.into(), sync: false };
            let cookie = |store| Some(CookieConfig { store, ..CookieConfig::default() });
            config.listeners[0].rawsocket = Some(1);
            config.transports =
                stores.map(|store| TransportConfig { cookie: cookie(store), ..Default::default() }).into();
            config.check()
        };
        let (file, database) =
            (|path: &str| CookieStore::File(path.into()), |path: &str| CookieStore::Database(path.into()));
        assert_eq!(with([file("/a"), database("/b")], "/c"), Ok(()));
        assert_eq!(with([CookieStore::Memory, CookieStore::Memory], "/c"), Ok(()));
        assert_eq!(with([file("/a"), database("/./a")], "/c"), Err(ConfigError::FileTwice("/./a".into())));
        assert_eq!(with([CookieStore::Memory, database("/c")], "/c"), Err(ConfigError::FileTwice("/c".into())));
    }
}
