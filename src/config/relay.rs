//! Paths whose requests are answered by others: servers behind this one, and programs.

use std::path::PathBuf;
use std::time::Duration;

/// A path whose requests are passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// To whom.
    pub target: Target,
    /// How long the other side may be silent.
    pub timeout: Duration,
    /// Octets of a request's body. None: as many as come.
    pub body_bytes_max: Option<usize>,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A server of HTTP. It may take connections over for WebSocket.
    Http(Backend),
    /// A server of WebSocket: handshakes are passed on, and nothing else.
    WebSocket(Backend),
    /// A program that is started for each request (RFC 3875).
    Script {
        /// Where the scripts are.
        directory: PathBuf,
        /// The program that is given them.
        processor: PathBuf,
        /// How many may run at the same time.
        running_max: usize,
    },
}

impl Target {
    /// What the path is called in the file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Target::Http(_) => "reverseproxy",
            Target::WebSocket(_) => "websocket-reverseproxy",
            Target::Script { .. } => "cgi",
        }
    }
}

/// A server behind this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Where it is.
    pub address: BackendAddress,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// What it is called in `Host`.
    pub host: Box<str>,
    /// The client's `Host` is passed on in place of that.
    pub keep_host: bool,
    /// Bodies have to come with their length.
    pub lengths: bool,
    /// What is put in front of the path behind that of the service; without a slash at its end.
    pub path: Box<str>,
    /// What the client's port is said to be in place of its own.
    pub forwarded_port: Option<u16>,
    /// What the client's protocol is said to be in place of its own.
    pub forwarded_proto: Option<Box<str>>,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendAddress {
    /// TCP.
    Tcp(Box<str>, u16),
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl RelayConfig {
    /// How long the other side may be silent if nothing is said.
    pub const TIMEOUT: Duration = Duration::from_secs(60);
    /// How long a connection may take if nothing is said.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// How many programs may run at the same time if nothing is said.
    pub const RUNNING_MAX: usize = 16;

    /// A server of HTTP over TCP, with the defaults.
    #[must_use]
    pub fn http(host: &str, port: u16) -> RelayConfig {
        let host_header = if port == 80 { host.into() } else { format!("{host}:{port}").into() };
        let backend = Backend {
            address: BackendAddress::Tcp(host.into(), port),
            connect_timeout: RelayConfig::CONNECT_TIMEOUT,
            host: host_header,
            keep_host: false,
            lengths: false,
            path: "".into(),
            forwarded_port: None,
            forwarded_proto: None,
        };
        RelayConfig { target: Target::Http(backend), timeout: RelayConfig::TIMEOUT, body_bytes_max: None }
    }
}
