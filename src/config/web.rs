//! What is served at the paths of a listener.

use super::bridge::BridgeConfig;
use super::events::EventsConfig;
use super::listener::TransportIndex;
use super::relay::RelayConfig;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A path of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct PathConfig {
    /// The path, with the slash at its beginning and, unless it is all of it, none at its end.
    pub path: String,
    /// Everything below is served as well, unless it has something of its own.
    pub deep: bool,
    /// What is served there.
    pub service: Service,
}

impl PathConfig {
    /// WebSocket.
    #[must_use]
    pub fn websocket(path: &str, deep: bool, transport: TransportIndex) -> PathConfig {
        PathConfig { path: path.into(), deep, service: Service::WebSocket(transport) }
    }

    /// Long-polling: `open` and so on below the path.
    #[must_use]
    pub fn longpoll(path: &str, transport: TransportIndex) -> PathConfig {
        PathConfig { path: path.into(), deep: true, service: Service::LongPoll(transport) }
    }

    /// The client for scripts.
    #[must_use]
    pub fn client(path: &str) -> PathConfig {
        PathConfig { path: path.into(), deep: false, service: Service::Client }
    }
}

/// What can be served at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Service {
    /// WebSocket, by this transport; and a page for who comes with a browser.
    WebSocket(TransportIndex),
    /// Long-polling, by this transport.
    LongPoll(TransportIndex),
    /// WebSocket that gives back what it gets: for tests of WebSocket itself.
    Echo,
    /// The files of a directory.
    Static(StaticConfig),
    /// The files of an archive.
    Archive(ArchiveConfig),
    /// A value.
    Json(JsonConfig),
    /// Another address.
    Redirect(Box<str>),
    /// The client for scripts, as a module.
    Client,
    /// The page by which the node is managed.
    Dashboard(DashboardConfig),
    /// A page about the router.
    NodeInfo,
    /// Publications or calls for who speaks HTTP alone.
    Bridge(Box<BridgeConfig>),
    /// Events for browsers.
    Events(Box<EventsConfig>),
    /// What others answer.
    Relay(Box<RelayConfig>),
    /// Nothing: 404, whatever is served above.
    Nothing,
}

impl Service {
    /// Its type, as configuration files have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Service::WebSocket(_) => "websocket",
            Service::LongPoll(_) => "longpoll",
            Service::Echo => "websocket-testee",
            Service::Static(_) => "static",
            Service::Archive(_) => "archive",
            Service::Json(_) => "json",
            Service::Redirect(_) => "redirect",
            Service::Client => "client",
            Service::Dashboard(_) => "dashboard",
            Service::NodeInfo => "nodeinfo",
            Service::Bridge(bridge) => bridge.action.name(),
            Service::Events(_) => "eventsource",
            Service::Relay(relay) => relay.target.name(),
            Service::Nothing => "none",
        }
    }

    /// The realm of the sessions that it has itself, if it has any.
    #[must_use]
    pub fn realm(&self) -> Option<&str> {
        match self {
            Service::Bridge(bridge) => Some(&bridge.realm),
            Service::Events(events) => Some(&events.realm),
            _ => None,
        }
    }

    /// The way into the router that it is.
    #[must_use]
    pub fn transport(&self) -> Option<TransportIndex> {
        match self {
            Service::WebSocket(transport) | Service::LongPoll(transport) => Some(*transport),
            Service::Bridge(bridge) => Some(bridge.transport),
            Service::Events(events) => Some(events.transport),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn transport_mut(&mut self) -> Option<&mut TransportIndex> {
        match self {
            Service::WebSocket(transport) | Service::LongPoll(transport) => Some(transport),
            Service::Bridge(bridge) => Some(&mut bridge.transport),
            Service::Events(events) => Some(&mut events.transport),
            _ => None,
        }
    }
}

/// Where files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// A directory.
    Directory(PathBuf),
    /// Something inside a Python package, for which the interpreter is asked at the start.
    Package {
        /// The package, with dots.
        package: Box<str>,
        /// The path inside.
        resource: Box<str>,
    },
}

/// The files of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticConfig {
    /// Which one.
    pub root: Root,
    /// The file that stands for a directory, looked for before `index.html`.
    pub default_file: Option<Box<str>>,
    /// What is served, with status 200, where there is nothing: the page of an application that looks at the path itself.
    pub fallback: Option<Box<str>>,
    /// Directories without such a file are listed.
    pub listing: bool,
    /// Names that begin with a dot are served as well. `.well-known` always is.
    pub hidden: bool,
    /// Content types by extension, with the dot, before those that are known.
    pub types: BTreeMap<Box<str>, Box<str>>,
    /// For how long browsers may keep files without asking. None: nothing is said about it.
    pub cache: Option<Duration>,
    /// Scripts of any page may read them.
    pub cross_origin: bool,
    /// What browsers are told that pages may load and do.
    pub policy: Option<Box<str>>,
}

impl StaticConfig {
    /// For how long browsers may keep files if nothing is said.
    pub const CACHE: Duration = Duration::from_secs(12 * 3600);

    /// A directory with the defaults.
    #[must_use]
    pub fn new(root: Root) -> StaticConfig {
        StaticConfig {
            root,
            default_file: None,
            fallback: None,
            listing: false,
            hidden: false,
            types: BTreeMap::new(),
            cache: Some(StaticConfig::CACHE),
            cross_origin: false,
            policy: None,
        }
    }
}

/// The files of an archive in the ZIP format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// The archive.
    pub file: PathBuf,
    /// From where it is got at the start if it is missing.
    pub origin: Option<Box<str>>,
    /// The name that is put behind a path that ends with a slash.
    pub default_object: Option<Box<str>>,
    /// What is put in front of every name.
    pub prefix: Option<Box<str>>,
    /// What is served where there is nothing.
    pub fallback: Option<Box<str>>,
    /// Content types by extension, with the dot, before those that are known.
    pub types: BTreeMap<Box<str>, Box<str>>,
    /// What browsers are told that pages may load and do.
    pub policy: Option<Box<str>>,
    /// SHA-256, in hexadecimal digits, of which the archive has to have one. Empty: it may be any.
    pub hashes: Vec<Box<str>>,
}

/// The page by which a node is managed: a client of WAMP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DashboardConfig {
    /// The path of the same listener at which it finds WebSocket. None: the first one that leads to the realm.
    pub websocket: Option<Box<str>>,
    /// The realm in which the node is managed.
    pub realm: Box<str>,
    /// How one can log in there: names of methods.
    pub methods: Vec<Box<str>>,
}

/// A value in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonConfig {
    /// Its text.
    pub text: Box<str>,
    /// Scripts of any page may read it.
    pub cross_origin: bool,
    /// Nobody should keep it.
    pub no_store: bool,
}

/// What holds for all requests of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebOptions {
    /// Every request is logged.
    pub access_log: bool,
    /// Over TLS: browsers are told to come by TLS only, for so many seconds.
    pub hsts: Option<u32>,
    /// How long a connection may be idle between two requests, in place of what holds otherwise.
    pub idle_timeout: Option<Duration>,
}

impl WebOptions {
    /// For how long browsers are told to come by TLS only, in seconds, if nothing is said: a year.
    pub const HSTS_SECONDS: u32 = 31_536_000;
}

/// True for paths that begin with a slash, do not end with one, and that no client writes in another way; and for the
/// slash alone.
#[must_use]
pub(super) fn is_plain(path: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
    let segment = |segment: &str| !segment.is_empty() && ![".", ".."].contains(&segment) && segment.bytes().all(plain);
    path == "/" || path.strip_prefix('/').is_some_and(|path| path.split('/').all(segment))
}
