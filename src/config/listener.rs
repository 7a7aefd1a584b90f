//! Listeners and the transports that they serve.

use super::ListenAddress;
use super::connection::ConnectionConfig;
use super::cookie::CookieConfig;
use super::tls::TlsConfig;
use super::web::{PathConfig, WebOptions};
use crate::auth::AuthConfig;
use crate::wamp::Serializer;
use crate::wire::forwarded::ForwardedHeader;
use crate::wire::handshake::Subprotocol;
use crate::wire::origin::Origins;
use ipnet::IpNet;

/// The position of a transport in the configuration.
pub type TransportIndex = u16;

/// A listening socket.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerConfig {
    /// Where to listen.
    pub address: ListenAddress,
    /// Nobody new comes in: what becomes of a listener that is taken out of the configuration of a router that runs.
    pub closed: bool,
    /// Connections that the system holds ready.
    pub backlog: i32,
    /// The transport of what the others do not name.
    pub transport: TransportIndex,
    /// The transport of RawSocket; none: it is refused.
    pub rawsocket: Option<TransportIndex>,
    /// What is served by HTTP.
    pub paths: Vec<PathConfig>,
    /// How that is served.
    pub web: WebOptions,
    /// TLS, if connections are to be encrypted. Not for Unix sockets.
    pub tls: Option<TlsConfig>,
    /// Proxies that begin each connection with a PROXY protocol header (version 1 or 2), which tells the address of the
    /// client: from these networks the header is required, from all others it is none. Over a Unix socket it is
    /// required if there is any network at all.
    pub proxy_protocol: Vec<IpNet>,
    /// HTTP proxies whose word about the client's address is believed. Over a Unix socket it is believed if there is any
    /// network at all. For WebSocket and for the opening of long-polling transports.
    pub forwarded: Vec<IpNet>,
    /// In which header these proxies tell it.
    pub forwarded_header: ForwardedHeader,
}

/// A way into the router: who may come in by it, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransportConfig {
    /// How clients say who they are.
    pub auth: AuthConfig,
    /// Pages whose scripts may connect by WebSocket: `scheme://host[:port]`, with `*` for any number of characters. None:
    /// all, but only those of the same origin where cookies show who a client is.
    pub origins: Option<Vec<Box<str>>>,
    /// Pages without an origin (files, for example) may connect. None: yes, but not where cookies show who a client is.
    pub null_origin: Option<bool>,
    /// What clients may speak: how messages are serialized and, over WebSocket, whether several come in one. None: all.
    pub serializers: Option<Vec<Subprotocol>>,
    /// The cookie by which browsers are known again.
    pub cookie: Option<CookieConfig>,
    /// Limits and times of its connections.
    pub connection: ConnectionConfig,
}

impl TransportConfig {
    /// JSON, each message for itself: what pages speak.
    pub const JSON: Subprotocol = Subprotocol { serializer: Serializer::Json, batched: false };

    /// True if clients may speak that.
    #[must_use]
    pub fn speaks_json(&self) -> bool {
        self.serializers.as_ref().is_none_or(|some| some.contains(&TransportConfig::JSON))
    }

    /// The rule about origins.
    #[must_use]
    pub fn origin_rule(&self) -> Origins {
        let patterns = match &self.origins {
            Some(origins) => Some(origins.clone()),
            None => (!self.auth.cookie).then(|| vec!["*".into()]),
        };
        Origins { patterns, null: self.null_origin.unwrap_or(!self.auth.cookie) }
    }
}

impl ListenerConfig {
    /// The transports that it leads to, perhaps one of them more than once.
    pub fn transports(&self) -> impl Iterator<Item = TransportIndex> {
        let paths = self.paths.iter().filter_map(|path| path.service.transport());
        paths.chain(self.rawsocket).chain([self.transport])
    }

    /// True if it is more than a server of pages.
    #[must_use]
    pub fn leads_to_realms(&self) -> bool {
        !self.closed && (self.rawsocket.is_some() || self.paths.iter().any(|path| path.service.transport().is_some()))
    }

    /// The default number of connections that the system holds ready.
    pub const BACKLOG: i32 = 1024;

    /// A listener of the first transport: WebSocket at `/` and `/ws`, long-polling below `/lp`, RawSocket, and the client for
    /// scripts.
    #[must_use]
    pub fn plain(address: ListenAddress) -> ListenerConfig {
        let at = |path: &str| PathConfig::websocket(path, false, 0);
        ListenerConfig {
            address,
            closed: false,
            backlog: ListenerConfig::BACKLOG,
            transport: 0,
            rawsocket: Some(0),
            paths: vec![at("/"), at("/ws"), PathConfig::longpoll("/lp", 0), PathConfig::client("/corebar.js")],
            web: WebOptions::default(),
            tls: None,
            proxy_protocol: Vec::new(),
            forwarded: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
        }
    }
}
