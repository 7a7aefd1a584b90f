//! Where to listen.

use core::net::IpAddr;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP port. An empty host means all addresses of this machine; port 0 means any free port.
    Tcp {
        /// A host name or an IP address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix domain socket at this path.
    Unix(PathBuf),
}

impl ListenAddress {
    /// True if only processes of this machine can connect, whatever names mean on it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            ListenAddress::Tcp { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
            }
            ListenAddress::Unix(_) => true,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(AddressError::NoPath) } else { Ok(ListenAddress::Unix(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
        let port = port.parse().map_err(|_| AddressError::BadPort)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or(AddressError::BadHost)?,
            None if host.contains(':') => return Err(AddressError::Brackets),
            None => host,
        };
        if host.contains(['/', '[', ']', ' ']) {
            return Err(AddressError::BadHost);
        }
        Ok(ListenAddress::Tcp { host: host.into(), port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            ListenAddress::Tcp { host, port } => write!(f, "{host}:{port}"),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text is no [`ListenAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// `unix:` and nothing behind it.
    #[error("`unix:` needs a path behind it")]
    NoPath,
    /// No colon.
    #[error("expected HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH")]
    NoPort,
    /// Not a number from 0 to 65535.
    #[error("the port has to be a number from 0 to 65535")]
    BadPort,
    /// Characters that no host name has.
    #[error("the host is neither a name nor an IP address")]
    BadHost,
    /// An IPv6 address without brackets.
    #[error("an IPv6 address has to stand in brackets: [::1]:8080")]
    Brackets,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ListenAddress, AddressError> {
        text.parse()
    }

    #[test]
    fn addresses() {
        let tcp = |host: &str, port| Ok(ListenAddress::Tcp { host: host.into(), port });
        assert_eq!(parse("127.0.0.1:8080"), tcp("127.0.0.1", 8080));
        assert_eq!(parse("[::1]:0"), tcp("::1", 0));
        assert_eq!(parse(":80"), tcp("", 80));
        assert_eq!(parse("localhost:1"), tcp("localhost", 1));
        assert_eq!(parse("unix:/tmp/x y"), Ok(ListenAddress::Unix("/tmp/x y".into())));
        assert_eq!(parse("unix:"), Err(AddressError::NoPath));
        assert_eq!(parse("8080"), Err(AddressError::NoPort));
        assert_eq!(parse("a:65536"), Err(AddressError::BadPort));
        assert_eq!(parse("::1:80"), Err(AddressError::Brackets));
        assert_eq!(parse("[::1:80"), Err(AddressError::BadHost));
        assert_eq!(parse("http://a:80"), Err(AddressError::Brackets));
        assert_eq!(parse("[::1]:80").expect("an address").to_string(), "[::1]:80");
    }

    #[test]
    fn some_addresses_are_of_this_machine_alone() {
        for (text, local) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("localhost:1", true),
            ("unix:/x", true),
            (":1", false),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("10.0.0.1:1", false),
            ("localhost.example:1", false),
        ] {
            assert_eq!(parse(text).expect("an address").is_local(), local, "{text}");
        }
    }
}
