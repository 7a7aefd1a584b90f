//! Listeners and the transports that they serve.

use super::ListenAddress;
use super::tls::TlsConfig;
use crate::auth::AuthConfig;
use ipnet::IpNet;

/// The position of a transport in the configuration.
pub type TransportIndex = u16;

/// A listening socket.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerConfig {
    /// Where to listen.
    pub address: ListenAddress,
    /// Connections that the system holds ready.
    pub backlog: i32,
    /// The transport that is served there.
    pub transport: TransportIndex,
    /// TLS, if connections are to be encrypted. Not for Unix sockets.
    pub tls: Option<TlsConfig>,
    /// Proxies that begin each connection with a PROXY protocol header (version 1 or 2), which tells the address of the
    /// client: from these networks the header is required, from all others it is none. Over a Unix socket it is
    /// required if there is any network at all.
    pub proxy_protocol: Vec<IpNet>,
}

/// A way into the router: who may come in by it, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransportConfig {
    /// How clients say who they are.
    pub auth: AuthConfig,
}

impl ListenerConfig {
    /// The default number of connections that the system holds ready.
    pub const BACKLOG: i32 = 1024;

    /// A listener of the first transport.
    #[must_use]
    pub fn plain(address: ListenAddress) -> ListenerConfig {
        ListenerConfig {
            address,
            backlog: ListenerConfig::BACKLOG,
            transport: 0,
            tls: None,
            proxy_protocol: Vec::new(),
        }
    }
}
