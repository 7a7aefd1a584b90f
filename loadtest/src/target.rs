//! Where the router is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::stream::Stream;

/// A router's address and transport, read from a URL.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: Address,
    pub(crate) transport: Transport,
}

/// Where to connect to, or to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What is spoken below WAMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// `host` and `path` go into the request.
    WebSocket {
        host: String,
        path: String,
    },
    RawSocket,
}

impl Target {
    /// Reads `ws://HOST[:PORT][/PATH]`, `rs://HOST:PORT` or `unix:/PATH`.
    ///
    /// # Errors
    /// If the URL has another form or its host has no address.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("unix:") {
            ensure!(!path.is_empty(), "{url:?} names no socket");
            return Ok(Self { address: Address::Unix(path.into()), transport: Transport::RawSocket });
        }
        if let Some(rest) = url.strip_prefix("ws://") {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let address = Address::Tcp(resolve(host, Some(80)).with_context(|| format!("in {url:?}"))?);
            return Ok(Self {
                address,
                transport: Transport::WebSocket { host: host.into(), path: format!("/{path}") },
            });
        }
        if let Some(rest) = url.strip_prefix("rs://") {
            let address =
                Address::Tcp(resolve(rest.trim_end_matches('/'), None).with_context(|| format!("in {url:?}"))?);
            return Ok(Self { address, transport: Transport::RawSocket });
        }
        bail!("{url:?} does not begin with ws://, rs:// or unix:")
    }

    /// Starts a connection without waiting for it. With `source`, from that address.
    ///
    /// # Errors
    /// If the socket cannot be made or bound, or the connection fails at once.
    pub(crate) fn connect(&self, source: Option<Ipv4Addr>) -> Result<Stream> {
        match &self.address {
            Address::Unix(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                // A full accept queue of a Unix socket refuses a non-blocking connect, so this one waits.
                socket
                    .connect(&SockAddr::unix(path)?)
                    .with_context(|| format!("cannot connect to {}", path.display()))?;
                socket.set_nonblocking(true)?;
                Ok(Stream::Unix(mio::net::UnixStream::from_std(socket.into())))
            }
            Address::Tcp(address) => {
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
                socket.set_nonblocking(true)?;
                socket.set_tcp_nodelay(true)?;
                if let Some(source) = source {
                    let from = SocketAddr::from((source, 0));
                    socket.bind(&from.into()).with_context(|| format!("cannot send from {source}"))?;
                }
                match socket.connect(&(*address).into()) {
                    Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                        Err(error).with_context(|| format!("cannot connect to {address}"))
                    }
                    _ => Ok(Stream::Tcp(mio::net::TcpStream::from_std(socket.into()))),
                }
            }
        }
    }

    /// The source address of connection `number`, of `sources` in turn: 127.0.0.1, 127.0.0.2, ... None if there is
    /// one source only: the system chooses.
    ///
    /// # Errors
    /// If there are several and the router is not on an IPv4 loopback address, or there are more than 250.
    pub(crate) fn source(&self, number: usize, sources: usize) -> Result<Option<Ipv4Addr>> {
        if sources <= 1 {
            return Ok(None);
        }
        let loopback = matches!(&self.address, Address::Tcp(address)
            if matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback()));
        ensure!(loopback, "--sources needs a router on an IPv4 loopback address");
        ensure!(sources <= 250, "--sources is at most 250");
        Ok(Some(Ipv4Addr::new(127, 0, 0, 1 + (number % sources) as u8)))
    }
}

fn resolve(host: &str, default_port: Option<u16>) -> Result<SocketAddr> {
    let named = match (host.to_socket_addrs(), default_port) {
        (Err(_), Some(port)) => (host, port).to_socket_addrs()?.next(),
        (found, _) => found?.next(),
    };
    named.context("the host has no address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let target = Target::parse("ws://127.0.0.1:8080/ws?x=1").expect("valid");
        assert_eq!(target.address, Address::Tcp(([127, 0, 0, 1], 8080).into()));
        assert_eq!(target.transport, Transport::WebSocket { host: "127.0.0.1:8080".into(), path: "/ws?x=1".into() });
        let target = Target::parse("ws://127.0.0.1").expect("valid");
        assert_eq!(target.address, Address::Tcp(([127, 0, 0, 1], 80).into()));
        assert_eq!(target.transport, Transport::WebSocket { host: "127.0.0.1".into(), path: "/".into() });
        let target = Target::parse("rs://[::1]:9").expect("valid");
        assert_eq!(target.transport, Transport::RawSocket);
        let target = Target::parse("unix:/tmp/s").expect("valid");
        assert_eq!(target.address, Address::Unix("/tmp/s".into()));
        for wrong in ["", "unix:", "rs://127.0.0.1", "http://127.0.0.1:80", "ws://:x"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sources_go_round_on_loopback_only() {
        let target = Target::parse("ws://127.0.0.1:1/").expect("valid");
        assert_eq!(target.source(5, 1).expect("one"), None);
        assert_eq!(target.source(5, 4).expect("four"), Some(Ipv4Addr::new(127, 0, 0, 2)));
        assert!(Target::parse("ws://192.0.2.1:1/").expect("valid").source(0, 2).is_err());
    }
}
