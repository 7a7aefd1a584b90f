//! Where a router is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How to reach a router: `ws://host:port/path`, `rs://host:port` (RawSocket over TCP) or `unix:///path` (RawSocket over
/// a Unix socket).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// WebSocket over TCP.
    WebSocket {
        /// Host and port, as in the `Host` header.
        host: String,
        /// The port.
        port: u16,
        /// The path, with its query.
        target: String,
    },
    /// RawSocket over TCP.
    RawSocket {
        /// The host.
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
        let host = host.to_owned();
        match scheme {
            "ws" => {
                let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
                Ok(Address::WebSocket { host, port: port.unwrap_or(80), target })
            }
            "rs" | "tcp" if matches!(target, "" | "/") => {
                Ok(Address::RawSocket { host, port: port.ok_or(wrong("a port is needed"))? })
            }
            "rs" | "tcp" => Err(wrong("RawSocket has no paths")),
            _ => Err(wrong("the scheme must be ws, rs or unix")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::WebSocket { host, port, target } => write!(f, "ws://{host}:{port}{target}"),
            Address::RawSocket { host, port } => write!(f, "rs://{host}:{port}"),
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
        for text in ["ws://a:8080/ws", "ws://[::1]:8080/?a=b", "rs://a:1", "unix:///a/b"] {
            assert_eq!(same(text).as_deref(), Ok(text));
        }
        assert_eq!(same("ws://a").as_deref(), Ok("ws://a:80/"));
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
            "unix://a",
            "http://a/",
            "ws://u@a/",
            "ws://a/#b",
        ] {
            assert!(same(text).is_err(), "{text}");
        }
    }
}
