//! Where a router is.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

/// How to reach a router: `ws://host:port/path`, `rs://host:port` (RawSocket over TCP), the same with TLS (`wss`, `rss`), or
/// `unix:///path` (RawSocket over a Unix socket). `tcp` and `tcps` are other names for `rs` and `rss`. IPv6 addresses stand in
/// brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// WebSocket over TCP.
    WebSocket {
        /// With TLS in between.
        tls: bool,
        /// The host, without brackets.
        host: String,
        /// The port.
        port: u16,
        /// The path, with its query.
        target: String,
    },
    /// RawSocket over TCP.
    RawSocket {
        /// With TLS in between.
        tls: bool,
        /// The host, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// RawSocket over a Unix socket.
    Unix(PathBuf),
}

/// A URL leads to no router.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no URL of a router: {1}")]
pub struct AddressError(String, &'static str);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let wrong = |why| AddressError(text.into(), why);
        let (scheme, rest) = text.split_once("://").ok_or(wrong("it begins with no scheme"))?;
        if scheme == "unix" {
            let path = Some(rest).filter(|rest| rest.starts_with('/'));
            return path.map(|path| Address::Unix(path.into())).ok_or(wrong("the path must be absolute"));
        }
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(cut);
        if authority.contains('@') || target.contains('#') || rest.contains(char::is_whitespace) {
            return Err(wrong("it has a user, a fragment or a blank"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(port.parse::<u16>().map_err(|_| wrong("its port is no number from 1 to 65535"))?))
            }
            _ => (authority, None),
        };
        if host.is_empty() || port == Some(0) {
            return Err(wrong("host or port are missing"));
        }
        let host = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
            Some(Some(host)) if host.parse::<Ipv6Addr>().is_ok() => host.to_owned(),
            None if !host.contains([':', ']']) => host.to_owned(),
            _ => return Err(wrong("its host is no name and no address; IPv6 addresses stand in brackets")),
        };
        let tls = matches!(scheme, "wss" | "rss" | "tcps");
        match scheme {
            "ws" | "wss" => {
                let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
                let port = port.unwrap_or(web_port(tls));
                Ok(Address::WebSocket { tls, host, port, target })
            }
            "rs" | "rss" | "tcp" | "tcps" if matches!(target, "" | "/") => {
                Ok(Address::RawSocket { tls, host, port: port.ok_or(wrong("a port is needed"))? })
            }
            "rs" | "rss" | "tcp" | "tcps" => Err(wrong("RawSocket has no paths")),
            _ => Err(wrong("the scheme must be ws, wss, rs, rss or unix")),
        }
    }
}

/// The port of WebSockets where none is said.
const fn web_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// A host as it stands before a port.
struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

/// The `Host` header: the port is left out where it is that of the scheme (RFC 9110, section 7.2).
pub(super) fn host_header(tls: bool, host: &str, port: u16) -> String {
    let host = Bracketed(host);
    if port == web_port(tls) { host.to_string() } else { format!("{host}:{port}") }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::WebSocket { tls, host, port, target } => {
                write!(f, "{}://{}:{port}{target}", if *tls { "wss" } else { "ws" }, Bracketed(host))
            }
            Address::RawSocket { tls, host, port } => {
                write!(f, "{}://{}:{port}", if *tls { "rss" } else { "rs" }, Bracketed(host))
            }
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let same = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        for text in
            ["ws://a:8080/ws", "ws://[::1]:8080/?a=b", "rs://a:1", "unix:///a/b", "wss://a:1/b", "rss://[::1]:1"]
        {
            assert_eq!(same(text).as_deref(), Ok(text));
        }
        assert_eq!(same("ws://a").as_deref(), Ok("ws://a:80/"));
        assert_eq!(same("wss://a").as_deref(), Ok("wss://a:443/"));
        assert_eq!(same("tcps://a:1").as_deref(), Ok("rss://a:1"));
        assert_eq!(same("ws://[::1]?x").as_deref(), Ok("ws://[::1]:80/?x"));
        assert_eq!(same("tcp://a:1/").as_deref(), Ok("rs://a:1"));
        for text in [
            "a",
            "ws://",
            "ws://:1/",
            "ws://a:x/",
            "ws://a:0/",
            "rs://a",
            "rs://a:1/b",
            "rss://a",
            "ws://::1/",
            "ws://[::1/",
            "ws://[a]:1/",
            "ws://a]:1/",
            "unix://a",
            "http://a/",
            "ws://u@a/",
            "ws://a/#b",
        ] {
            assert!(same(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_are_said_with_the_ports_that_go_without_saying_left_out() {
        assert_eq!(host_header(false, "a", 80), "a");
        assert_eq!(host_header(true, "a", 80), "a:80");
        assert_eq!(host_header(true, "::1", 443), "[::1]");
        assert_eq!(host_header(false, "::1", 8080), "[::1]:8080");
    }
}
