//! Listeners and the transports that they serve.

use super::ListenAddress;
use crate::auth::AuthConfig;
use crate::wamp::Serializer;
use ipnet::IpNet;
use std::path::PathBuf;
use std::time::Duration;

/// The position of a transport in the configuration.
pub type TransportIndex = u16;

/// A listening socket and what is served there.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerConfig {
    /// Where to listen.
    pub address: ListenAddress,
    /// Connections that the system holds ready.
    pub backlog: i32,
    /// TLS, if connections are to be encrypted.
    pub tls: Option<TlsConfig>,
    /// Peers that begin with a PROXY protocol header (version 1 or 2), which tells the real address. From these
    /// networks the header is required, from all others it is an error.
    pub proxy_protocol: Vec<IpNet>,
    /// Peers whose `Forwarded` and `X-Forwarded-For` headers are believed.
    pub forwarded: Vec<IpNet>,
    /// The transport of RawSocket clients; none: they are refused.
    pub rawsocket: Option<TransportIndex>,
    /// What is served over HTTP; the longest path of which the request's is a continuation counts.
    pub paths: Vec<PathConfig>,
}

/// What is served at a path.
#[derive(Clone, Debug, PartialEq)]
pub struct PathConfig {
    /// The path, beginning with a slash.
    pub path: Box<str>,
    /// What is there.
    pub service: Service,
}

/// Something that is served over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub enum Service {
    /// WebSocket.
    WebSocket(TransportIndex),
    /// The long-poll transport: `open` below the path.
    LongPoll(TransportIndex),
    /// A page that says what this is. WebSocket clients are served there too, if there is a transport.
    Welcome(Option<TransportIndex>),
    /// WebSocket messages are sent back as they come, for conformance tests.
    Echo,
}

/// TLS of a listener. The files are read at the start, and again at each reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Certificates, of which the one that fits the name that the client asks for is used; the first one if none does.
    pub certificates: Vec<CertificateConfig>,
    /// Authorities, in PEM, by which client certificates are verified. None: clients are not asked for one.
    pub client_authorities: Vec<PathBuf>,
    /// Clients without a certificate are refused.
    pub client_required: bool,
    /// TLS 1.3 only.
    pub only_13: bool,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateConfig {
    /// The certificate and those between it and the authority, in PEM.
    pub certificate: PathBuf,
    /// More certificates between it and the authority.
    pub chain: Vec<PathBuf>,
    /// The key, in PEM.
    pub key: PathBuf,
}

/// A way into the router: who may come in by it, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct TransportConfig {
    /// Its name in logs and counters.
    pub id: Box<str>,
    /// How clients say who they are.
    pub auth: AuthConfig,
    /// Serializers that may be used, each plain or (true) batched; empty: all.
    pub serializers: Vec<(Serializer, bool)>,
    /// The cookie by which browsers are known again.
    pub cookie: Option<CookieConfig>,
    /// Pages of which browsers may connect: `scheme://host[:port]` with `*` for anything. Empty: all, but those of the
    /// same origin only where cookies authenticate.
    pub origins: Vec<Box<str>>,
    /// Pages without an origin (such as files) may connect.
    pub null_origin: bool,
    /// Octets of one message from a client, not counting the framing; none: the router's `message_bytes_max`.
    pub message_bytes_max: Option<usize>,
    /// How often a silent WebSocket or RawSocket client is sent a ping; none: never.
    pub ping_interval: Option<Duration>,
    /// How long the answer may take.
    pub ping_timeout: Duration,
    /// WebSocket clients may compress.
    pub compression: bool,
}

/// The cookie of a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieConfig {
    /// Its name.
    pub name: Box<str>,
    /// Characters of its value, from 6 to 64.
    pub length: u8,
    /// For how long it is valid.
    pub age_max: Duration,
    /// It is sent over TLS only.
    pub secure: bool,
    /// Scripts cannot read it.
    pub http_only: bool,
    /// Whether it is sent with requests from pages of other sites.
    pub same_site: SameSite,
    /// Where cookies are kept.
    pub store: CookieStore,
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// If somebody follows a link.
    #[default]
    Lax,
    /// Always.
    None,
}

/// Where cookies are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CookieStore {
    /// In memory.
    #[default]
    Memory,
    /// In a file, one line for each change; forgotten at the start if `purge`.
    File {
        /// The file.
        path: PathBuf,
        /// Begin anew at the start.
        purge: bool,
    },
    /// In an embedded database.
    Database {
        /// Its file.
        path: PathBuf,
        /// Begin anew at the start.
        purge: bool,
    },
}

impl ListenerConfig {
    /// A listener as it is without a configuration file: RawSocket, WebSocket on every path, long-polling below `/lp`,
    /// all by the first transport.
    #[must_use]
    pub fn plain(address: ListenAddress) -> ListenerConfig {
        let at = |path: &str, service| PathConfig { path: path.into(), service };
        ListenerConfig {
            address,
            backlog: 1024,
            tls: None,
            proxy_protocol: Vec::new(),
            forwarded: Vec::new(),
            rawsocket: Some(0),
            paths: vec![at("/", Service::Welcome(Some(0))), at("/lp", Service::LongPoll(0))],
        }
    }
}

impl Default for TransportConfig {
    fn default() -> Self {
        TransportConfig {
            id: "transport001".into(),
            auth: AuthConfig::default(),
            serializers: Vec::new(),
            cookie: None,
            origins: Vec::new(),
            null_origin: true,
            message_bytes_max: None,
            ping_interval: None,
            ping_timeout: Duration::from_secs(10),
            compression: true,
        }
    }
}
