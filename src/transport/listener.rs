//! Listening sockets, and handing what they accept to the shards.

use super::premises::Board;
use crate::auth::Peer;
use crate::config::ListenAddress;
use crate::shard::{Command, Crowd, Door, Loads, Placement, Socket, Visitor};
use socket2::{Domain, SockAddr, Type};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};

/// A failure to accept is logged no more often than this.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// Questions of load balancers that may wait.
const PROBES_WAITING: i32 = 128;

/// Why nobody can be listened to at an address.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {reason}")]
pub struct BindError {
    address: String,
    reason: String,
    taken: bool,
}

impl BindError {
    fn new(address: &ListenAddress, error: &io::Error) -> BindError {
        let reason = match error.kind() {
            ErrorKind::AddrInUse => "the address is in use by another process".into(),
            ErrorKind::PermissionDenied => "permission denied".into(),
            ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
            _ => error.to_string(),
        };
        BindError { address: address.to_string(), reason, taken: error.kind() == ErrorKind::AddrInUse }
    }

    /// True if somebody listens there already, perhaps this process.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.taken
    }
}

/// Where a listener really listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A TCP address with its real port.
    Tcp(SocketAddr),
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl Bound {
    /// True if only processes of this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Bound::Tcp(address) => address.ip().is_loopback(),
            Bound::Unix(_) => true,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Tcp(address) => write!(f, "ws://{address}/"),
            Bound::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listening socket. The file of a Unix socket goes when the listener goes.
#[derive(Debug)]
pub struct Listener {
    socket: socket2::Socket,
    bound: Bound,
    /// The file is not to be removed: another process has opened the socket, or has it now.
    file_stays: AtomicBool,
    /// Another process has opened it, and may still have it.
    inherited: bool,
}

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// The address cannot be resolved, is taken, or is not for this process to use.
    pub fn bind(address: &ListenAddress, backlog: i32) -> Result<Listener, BindError> {
        let listener = match address {
            ListenAddress::Tcp { host, port } => bind_tcp(host, *port, backlog),
            ListenAddress::Unix(path) => bind_unix(path, backlog),
        };
        listener.map_err(|error| BindError::new(address, &error))
    }

    /// A socket that another process has opened, and that listens already.
    ///
    /// # Errors
    ///
    /// It is of no use.
    pub fn inherited(socket: socket2::Socket) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        socket.set_cloexec(true)?;
        let address = socket.local_addr()?;
        let bound = match (address.as_socket(), address.as_pathname()) {
            (Some(address), _) => Bound::Tcp(address),
            (None, Some(path)) => Bound::Unix(path.into()),
            (None, None) => return Err(ErrorKind::Unsupported.into()),
        };
        Ok(Listener { socket, bound, file_stays: AtomicBool::new(true), inherited: true })
    }

    /// True if this is where a configuration wants to listen.
    #[must_use]
    pub fn is_at(&self, address: &ListenAddress) -> bool {
        match (&self.bound, address) {
            (Bound::Unix(bound), ListenAddress::Unix(path)) => bound == path,
            (Bound::Tcp(bound), ListenAddress::Tcp { host, port }) if host.is_empty() => {
                bound.port() == *port && bound.ip().is_unspecified()
            }
            (Bound::Tcp(bound), ListenAddress::Tcp { host, port }) => {
                bound.port() == *port
                    && (&**host, *port).to_socket_addrs().is_ok_and(|mut known| known.any(|known| known == *bound))
            }
            _ => false,
        }
    }

    /// Begins to listen for questions of load balancers. Has to be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// As with [`Listener::bind`]; or the address is no one of TCP.
    pub fn bind_for_probes(address: &ListenAddress) -> Result<TcpListener, BindError> {
        let wrong = |error: io::Error| BindError::new(address, &error);
        let ListenAddress::Tcp { host, port } = address else {
            return Err(wrong(io::Error::new(ErrorKind::Unsupported, "this has to be a TCP port")));
        };
        let listener = bind_tcp(host, *port, PROBES_WAITING).map_err(wrong)?;
        let socket = listener.socket.try_clone().map_err(wrong)?;
        TcpListener::from_std(socket.into()).map_err(wrong)
    }

    /// True if another process has opened the socket, which may listen as long as that one lives.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// The same socket, for another process.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone().map(OwnedFd::from)
    }

    /// Leaves the file of a Unix socket where it is, for the process that has the socket now.
    pub fn leave_file(&self) {
        self.file_stays.store(true, Ordering::Relaxed);
    }

    /// Has the file of a Unix socket go with the listener.
    pub fn own_file(&self) {
        self.file_stays.store(false, Ordering::Relaxed);
    }

    /// Where it listens.
    #[must_use]
    pub fn bound(&self) -> &Bound {
        &self.bound
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Bound::Unix(path) = &self.bound
            && !self.file_stays.load(Ordering::Relaxed)
        {
            // Somebody may have removed the file already.
            let _ = fs::remove_file(path);
        }
    }
}

fn bind_tcp(host: &str, port: u16, backlog: i32) -> io::Result<Listener> {
    if host.is_empty() {
        // One socket for both families, unless this machine knows no IPv6.
        return listen_tcp((Ipv6Addr::UNSPECIFIED, port).into(), backlog)
            .or_else(|_| listen_tcp((Ipv4Addr::UNSPECIFIED, port).into(), backlog));
    }
    let mut result = Err(io::Error::new(ErrorKind::NotFound, "the host name has no address"));
    for address in (host, port).to_socket_addrs()? {
        result = listen_tcp(address, backlog);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn listen_tcp(address: SocketAddr, backlog: i32) -> io::Result<Listener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    let bound = socket.local_addr()?.as_socket().ok_or(ErrorKind::AddrNotAvailable)?;
    Ok(Listener { socket, bound: Bound::Tcp(bound), file_stays: AtomicBool::new(false), inherited: false })
}

fn bind_unix(path: &Path, backlog: i32) -> io::Result<Listener> {
    let address = SockAddr::unix(path)?;
    remove_stale(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.bind(&address)?;
    let listener =
        Listener { socket, bound: Bound::Unix(path.into()), file_stays: AtomicBool::new(false), inherited: false };
    listener.socket.listen(backlog)?;
    Ok(listener)
}

/// Removes the socket file of a process that is gone. Anything else at the path stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file of that name that is no socket"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
    }
}

/// A listening socket as this thread's reactor knows it.
#[derive(Debug)]
enum Watched {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Accepts connections for ever and gives each to the least loaded shard.
#[derive(Debug)]
pub struct Acceptor {
    watched: Watched,
    listener: Arc<Listener>,
    peer: Peer,
    doors: Arc<[Door]>,
    loads: Arc<Loads>,
    placement: Placement,
    crowd: Arc<Crowd>,
    board: Arc<Board>,
    pace: Arc<Pace>,
    logged: Option<Instant>,
}

impl Acceptor {
    /// An acceptor that knows so much of its peers. Has to be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// The operating system refuses to watch the socket.
    pub fn new(
        listener: Arc<Listener>,
        peer: Peer,
        doors: Arc<[Door]>,
        loads: Arc<Loads>,
        (crowd, board): (Arc<Crowd>, Arc<Board>),
        pace: Arc<Pace>,
    ) -> io::Result<Acceptor> {
        let socket = listener.socket.try_clone()?;
        let watched = match listener.bound {
            Bound::Tcp(_) => Watched::Tcp(TcpListener::from_std(socket.into())?),
            Bound::Unix(_) => Watched::Unix(UnixListener::from_std(socket.into())?),
        };
        let placement = Placement::default();
        Ok(Acceptor { watched, listener, peer, doors, loads, placement, crowd, board, pace, logged: None })
    }

    /// Accepts until it is dropped.
    pub async fn run(mut self) {
        let mut bucket = Bucket::new();
        loop {
            bucket.wait(self.pace.rate()).await;
            match self.accept().await {
                Ok((socket, peer)) => self.place(socket, peer),
                // The peer was gone before we came to it.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                // Mostly too many open files: what waits in the backlog is accepted when others have gone.
                Err(error) => {
                    self.log(&error.to_string());
                    tokio::time::sleep(self.pace.pause()).await;
                }
            }
        }
    }

    /// Takes a connection out of this thread's reactor again: another thread's will watch it.
    async fn accept(&self) -> io::Result<(Socket, Peer)> {
        let mut peer = self.peer.clone();
        let socket = match &self.watched {
            Watched::Tcp(listener) => {
                let (socket, address) = listener.accept().await?;
                // Fails only if the peer is gone, which the first read tells.
                let _ = socket.set_nodelay(true);
                // An IPv4 client of a socket for both families is one of IPv4.
                peer.is_at(SocketAddr::new(address.ip().to_canonical(), address.port()));
                socket.into_std().map(Socket::Tcp)?
            }
            Watched::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                peer.label = "unix".into();
                socket.into_std().map(Socket::Unix)?
            }
        };
        Ok((socket, peer))
    }

    fn place(&mut self, socket: Socket, peer: Peer) {
        // Those of a proxy are counted when it has told where they come from.
        let proxied = self.board.read().entrances[usize::from(peer.listener)].is_proxy(peer.address);
        let ticket = match self.crowd.admit(peer.address.filter(|_| !proxied)) {
            Ok(ticket) => ticket,
            Err(crowded) => return self.log(&crowded.to_string()),
        };
        let visitor = Visitor { peer: Arc::new(peer), ticket };
        let shard = self.placement.choose(&self.loads);
        self.loads.add(shard);
        if self.doors[shard].send(Command::Serve(socket, visitor)).is_err() {
            self.loads.remove(shard);
            self.log("the least loaded shard has too many new connections waiting; this one is refused");
        }
    }

    fn log(&mut self, reason: &str) {
        if self.logged.is_none_or(|logged| logged.elapsed() > LOG_PAUSE) {
            self.logged = Some(Instant::now());
            tracing::warn!(listener = %self.listener.bound, reason, "cannot accept a connection");
        }
    }
}

/// Connections that may be accepted: those of a tenth of a second at once, and from then on so many in each second. The
/// others wait where the system keeps them.
#[derive(Debug)]
struct Bucket {
    /// From when on the next one would be exactly in time.
    next: Instant,
}

impl Bucket {
    const BURST: Duration = Duration::from_millis(100);

    fn new() -> Bucket {
        Bucket { next: Instant::now() }
    }

    /// Waits for the next, if there may be so many in a second only.
    async fn wait(&mut self, rate: Option<u32>) {
        let Some(rate) = rate else { return };
        let interval = Duration::from_secs(1) / rate.max(1);
        let now = Instant::now();
        self.next = self.next.max(now.checked_sub(Bucket::BURST).unwrap_or(now)) + interval;
        if self.next > now {
            tokio::time::sleep_until(self.next.into()).await;
        }
    }
}

/// How fast connections are accepted.
#[derive(Debug)]
pub struct Pace {
    /// In a second; 0: as many as come.
    rate: AtomicU32,
    /// After a failure, in milliseconds.
    pause: AtomicU32,
}

impl Pace {
    /// So many in a second, if there is a limit, and such a pause after a failure.
    #[must_use]
    pub fn new(rate: Option<u32>, pause: Duration) -> Arc<Pace> {
        let pace = Pace { rate: AtomicU32::new(0), pause: AtomicU32::new(0) };
        pace.set(rate, pause);
        Arc::new(pace)
    }

    /// Another pace from now on.
    pub fn set(&self, rate: Option<u32>, pause: Duration) {
        self.rate.store(rate.unwrap_or(0), Ordering::Relaxed);
        self.pause.store(u32::try_from(pause.as_millis()).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn rate(&self) -> Option<u32> {
        Some(self.rate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(self.pause.load(Ordering::Relaxed).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    fn loopback(port: u16) -> ListenAddress {
        ListenAddress::Tcp { host: "127.0.0.1".into(), port }
    }

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("corebar-listener-{}-{name}", std::process::id()))
    }

    #[test]
    fn the_real_port_is_told() {
        let listener = Listener::bind(&loopback(0), 16).expect("a free port");
        let Bound::Tcp(address) = listener.bound() else { panic!("a TCP address") };
        assert_ne!(address.port(), 0);
        assert_eq!(listener.bound().to_string(), format!("ws://127.0.0.1:{}/", address.port()));
        assert!(listener.bound().is_local());
        TcpStream::connect(address).expect("somebody listens");
    }

    #[test]
    fn a_taken_port_is_one_clear_line() {
        let first = Listener::bind(&loopback(0), 16).expect("a free port");
        let Bound::Tcp(address) = first.bound() else { panic!("a TCP address") };
        let error = Listener::bind(&loopback(address.port()), 16).expect_err("a taken port");
        let expected =
            format!("cannot listen on 127.0.0.1:{}: the address is in use by another process", address.port());
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn foreign_addresses_are_told() {
        let address = ListenAddress::Tcp { host: "192.0.2.1".into(), port: 0 };
        let error = Listener::bind(&address, 16).expect_err("not our address");
        assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:0: this machine has no such address");
    }

    #[test]
    fn the_socket_file_goes_with_the_listener() {
        let path = scratch("goes");
        let listener = Listener::bind(&ListenAddress::Unix(path.clone()), 16).expect("a new path");
        assert!(path.exists());
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_file_is_replaced_and_a_live_one_is_not() {
        let path = scratch("stale");
        let address = ListenAddress::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a new path"));
        assert!(path.exists(), "the standard library leaves the file");
        let listener = Listener::bind(&address, 16).expect("nobody answers there");
        let error = Listener::bind(&address, 16).expect_err("somebody answers there");
        assert!(error.to_string().ends_with("the address is in use by another process"), "{error}");
        assert!(path.exists());
        drop(listener);
    }

    #[test]
    fn other_files_are_left_alone() {
        let path = scratch("file");
        fs::write(&path, "precious").expect("a writable directory");
        let error = Listener::bind(&ListenAddress::Unix(path.clone()), 16).expect_err("a plain file");
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
        let _ = fs::remove_file(&path);
    }
}
