//! Where the router is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::cli::Router;
use crate::wire::stream::Stream;
use crate::wire::tls;

/// How long each of several addresses of a host is tried.
const TRY: Duration = Duration::from_secs(2);

/// A router's address and transport, and what it takes to get through.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: Address,
    pub(crate) transport: Transport,
    tls: Option<tls::Client>,
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
    WebSocket(Request),
    RawSocket,
}

/// What a WebSocket client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) host: String,
    pub(crate) path: String,
    /// Further headers.
    pub(crate) headers: Vec<(String, String)>,
    /// Offered instead of the serializer's own.
    pub(crate) subprotocol: Option<String>,
}

impl Target {
    /// Reads where the router is: `ws://HOST[:PORT][/PATH]` or `rs://HOST:PORT`, `wss://` and `rss://` for the same by
    /// TLS, `unix:/PATH` (RawSocket) or `ws+unix:/PATH`.
    ///
    /// # Errors
    /// If the URL has another form, its host has no address, or there are no certificates to trust.
    pub(crate) fn new(router: &Router) -> Result<Self> {
        let url = router.url.as_str();
        let request = |host: &str, path: &str| {
            Transport::WebSocket(Request {
                host: host.to_owned(),
                path: format!("/{path}"),
                headers: router.headers(),
                subprotocol: router.subprotocol.clone(),
            })
        };
        for (scheme, transport) in [("ws+unix:", request("localhost", "")), ("unix:", Transport::RawSocket)] {
            if let Some(path) = url.strip_prefix(scheme) {
                ensure!(!path.is_empty(), "{url:?} names no socket");
                return Ok(Self { address: Address::Unix(path.into()), transport, tls: None });
            }
        }
        let known = [("ws", true, Some(80)), ("wss", true, Some(443)), ("rs", false, None), ("rss", false, None)];
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let Some((_, websocket, port)) = known.iter().find(|(name, ..)| *name == scheme) else {
            bail!("{url:?} does not begin with ws://, wss://, rs://, rss://, unix: or ws+unix:");
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        ensure!(*websocket || path.is_empty(), "{url:?} has a path, which RawSocket does not know");
        let address = Address::Tcp(resolve(host, *port).with_context(|| format!("in {url:?}"))?);
        let secure = scheme == "wss" || scheme == "rss";
        let tls = secure.then(|| tls::Client::new(name_of(host), router.ca.as_deref(), router.insecure)).transpose()?;
        Ok(Self { address, transport: if *websocket { request(host, path) } else { Transport::RawSocket }, tls })
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
                        return Err(error).with_context(|| format!("cannot connect to {address}"));
                    }
                    _ => {}
                }
                let tcp = mio::net::TcpStream::from_std(socket.into());
                Ok(match &self.tls {
                    None => Stream::Tcp(tcp),
                    Some(client) => Stream::Tls(Box::new(client.wrap(tcp)?)),
                })
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

impl Address {
    /// Reads HOST:PORT or `unix:/PATH`.
    ///
    /// # Errors
    /// If it has another form or the host has no address.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text.strip_prefix("unix:") {
            Some("") => bail!("{text:?} names no socket"),
            Some(path) => Ok(Self::Unix(path.into())),
            None => Ok(Self::Tcp(resolve(text, None).with_context(|| format!("in {text:?}"))?)),
        }
    }
}

/// The address of a host: of several the first that takes connections, as a router may listen on one only.
fn resolve(host: &str, default_port: Option<u16>) -> Result<SocketAddr> {
    let port = if host.ends_with(']') || !host.contains(':') { default_port } else { None };
    let found: Vec<_> = match port {
        Some(port) => (host.trim_matches(['[', ']']), port).to_socket_addrs()?.collect(),
        None => host.to_socket_addrs()?.collect(),
    };
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, TRY).is_ok();
    let chosen = if found.len() > 1 { found.iter().find(answers) } else { None };
    chosen.or(found.first()).copied().context("the host has no address")
}

/// The host without its port and brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target> {
        Target::new(&Router { url: url.into(), ..Router::default() })
    }

    fn request(host: &str, path: &str) -> Transport {
        Transport::WebSocket(Request { host: host.into(), path: path.into(), ..Request::default() })
    }

    #[test]
    fn urls() {
        let cases = [
            ("ws://127.0.0.1:8080/ws?x=1", "127.0.0.1:8080", request("127.0.0.1:8080", "/ws?x=1")),
            ("ws://127.0.0.1", "127.0.0.1:80", request("127.0.0.1", "/")),
            ("ws://[::1]/a", "[::1]:80", request("[::1]", "/a")),
            ("rs://[::1]:9", "[::1]:9", Transport::RawSocket),
            ("rs://127.0.0.1:9/", "127.0.0.1:9", Transport::RawSocket),
        ];
        for (url, address, transport) in cases {
            let target = target(url).expect(url);
            assert_eq!(target.address, Address::Tcp(address.parse().expect(address)), "{url}");
            assert_eq!(target.transport, transport, "{url}");
            assert!(target.tls.is_none(), "{url}");
        }
        assert_eq!(target("unix:/tmp/s").expect("valid").address, Address::Unix("/tmp/s".into()));
        let over_unix = target("ws+unix:/tmp/s").expect("valid");
        assert_eq!(
            (over_unix.address, over_unix.transport),
            (Address::Unix("/tmp/s".into()), request("localhost", "/"))
        );
        for wrong in ["", "unix:", "ws+unix:", "rs://127.0.0.1", "rs://127.0.0.1:1/x", "http://127.0.0.1:80", "ws://:x"]
        {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn secure_urls_have_tls_and_their_own_port() {
        let secure =
            |url: &str| Target::new(&Router { url: url.into(), insecure: true, ..Router::default() }).expect("valid");
        for (url, port) in [("wss://127.0.0.1/", 443), ("wss://127.0.0.1:9/", 9), ("rss://127.0.0.1:9", 9)] {
            let target = secure(url);
            assert_eq!(target.address, Address::Tcp(([127, 0, 0, 1], port).into()), "{url}");
            assert!(target.tls.is_some(), "{url}");
        }
        assert_eq!((name_of("[::1]:80"), name_of("a.b:80"), name_of("a.b")), ("::1", "a.b", "a.b"));
    }

    #[test]
    fn sources_go_round_on_loopback_only() {
        let loopback = target("ws://127.0.0.1:1/").expect("valid");
        assert_eq!(loopback.source(5, 1).expect("one"), None);
        assert_eq!(loopback.source(5, 4).expect("four"), Some(Ipv4Addr::new(127, 0, 0, 2)));
        assert!(target("ws://192.0.2.1:1/").expect("valid").source(0, 2).is_err());
    }
}
