//! A connected socket of any kind.

use crate::shard::Socket;
use rustls::ServerConnection;
use socket2::{SockRef, TcpKeepalive};
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// A socket known to the reactor of this thread.
pub(super) enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix domain socket.
    Unix(UnixStream),
    /// TCP; the handshake of TLS is going on.
    Greeting(Box<Accept<TcpStream>>),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stream::Tcp(_) => "Tcp",
            Stream::Unix(_) => "Unix",
            Stream::Greeting(_) => "Greeting",
            Stream::Tls(_) => "Tls",
        })
    }
}

impl Stream {
    /// Makes the socket known to the reactor of this thread. TLS that another thread has begun goes on when
    /// [`Stream::poll_secured`] is called.
    ///
    /// # Errors
    ///
    /// The operating system refuses to watch it.
    pub(super) fn register(socket: Socket, acceptor: impl FnOnce() -> Option<TlsAcceptor>) -> io::Result<Stream> {
        match socket {
            Socket::Tls(socket, session) => {
                let acceptor = acceptor().ok_or(io::ErrorKind::InvalidInput)?;
                let socket = TcpStream::from_std(socket)?;
                // A new session begins, and is replaced at once.
                let accept = acceptor.accept_with(socket, |fresh| *fresh = *session);
                Ok(Stream::Greeting(Box::new(accept)))
            }
            Socket::Tcp(socket) => TcpStream::from_std(socket).map(Stream::Tcp),
            Socket::Unix(socket) => UnixStream::from_std(socket).map(Stream::Unix),
        }
    }

    /// Takes the socket out of the reactor of this thread.
    ///
    /// # Errors
    ///
    /// The operating system refuses to stop watching it.
    pub(super) fn release(self) -> io::Result<Socket> {
        match self {
            Stream::Tcp(socket) => socket.into_std().map(Socket::Tcp),
            Stream::Unix(socket) => socket.into_std().map(Socket::Unix),
            Stream::Greeting(_) => Err(io::ErrorKind::NotConnected.into()),
            Stream::Tls(stream) => {
                let (socket, session) = stream.into_inner();
                Ok(Socket::Tls(socket.into_std()?, Box::new(session)))
            }
        }
    }

    /// Begins TLS, unless it has begun or there can be none.
    pub(super) fn secure(self, acceptor: impl FnOnce() -> TlsAcceptor) -> Stream {
        match self {
            Stream::Tcp(socket) => Stream::Greeting(Box::new(acceptor().accept(socket))),
            other => other,
        }
    }

    /// Goes on with the handshake of TLS. Ready when it is finished, or none is going on.
    ///
    /// # Errors
    ///
    /// The connection is broken, or the handshake has failed; the peer has been told why.
    pub(super) fn poll_secured(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stream::Greeting(accept) = self else { return Poll::Ready(Ok(())) };
        let stream = ready!(Pin::new(&mut **accept).poll(cx))?;
        *self = Stream::Tls(Box::new(stream));
        Poll::Ready(Ok(()))
    }

    /// What TLS knows, if it is finished.
    pub(super) fn session(&self) -> Option<&ServerConnection> {
        match self {
            Stream::Tls(stream) => Some(stream.get_ref().1),
            _ => None,
        }
    }

    /// Reads what has come, or has the task of `cx` woken when something comes. 0 octets: the peer sends no more.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut target = ReadBuf::new(buffer);
        let result = match self {
            Stream::Tcp(socket) => Pin::new(socket).poll_read(cx, &mut target),
            Stream::Unix(socket) => Pin::new(socket).poll_read(cx, &mut target),
            Stream::Greeting(_) => Poll::Pending,
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, &mut target),
        };
        result.map_ok(|()| target.filled().len())
    }

    /// Writes some of `parts` in one call to the system, or has the task of `cx` woken when there is room. A single
    /// part takes the system's shorter way.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        // The runtime remembers of each socket whether it has room, far from where the socket is: asking it costs a miss of
        // the cache for each receiver of an event. It is asked only by who finds no room.
        match self.write_now(parts) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
        match (self, parts) {
            (Stream::Tcp(socket), [part]) => Pin::new(socket).poll_write(cx, part),
            (Stream::Tcp(socket), parts) => Pin::new(socket).poll_write_vectored(cx, parts),
            (Stream::Unix(socket), [part]) => Pin::new(socket).poll_write(cx, part),
            (Stream::Unix(socket), parts) => Pin::new(socket).poll_write_vectored(cx, parts),
            // Written to again when the handshake is finished.
            (Stream::Greeting(_), _) => Poll::Pending,
            (Stream::Tls(stream), parts) => Pin::new(&mut **stream).poll_write_vectored(cx, parts),
        }
    }

    /// Has what was written leave, as far as it is still here; only TLS keeps anything.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = match self {
            Stream::Tcp(socket) => SockRef::from(socket),
            Stream::Unix(socket) => SockRef::from(socket),
            Stream::Greeting(_) | Stream::Tls(_) => return Err(io::ErrorKind::WouldBlock.into()),
        };
        match parts {
            [part] => socket.send(part),
            parts => socket.send_vectored(parts),
        }
    }

    /// Has the system ask a silent peer after that time, and some more times, whether it is still there. Not needed for
    /// Unix sockets.
    ///
    /// # Errors
    ///
    /// The system does not.
    pub(super) fn keep_alive(&self, interval: Duration) -> io::Result<()> {
        let socket = match self {
            Stream::Tcp(socket) => SockRef::from(socket),
            Stream::Tls(stream) => SockRef::from(stream.get_ref().0),
            Stream::Unix(_) | Stream::Greeting(_) => return Ok(()),
        };
        // The system counts whole seconds.
        let seconds = |time: Duration| time.max(Duration::from_secs(1));
        let when =
            TcpKeepalive::new().with_time(seconds(interval)).with_interval(seconds(interval / 4)).with_retries(4);
        socket.set_tcp_keepalive(&when)
    }

    /// Tells the peer that nothing more will be sent.
    pub(super) fn finish(&mut self) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        // The sockets' shutdown never waits; if it fails, the connection is already gone, which the next read tells.
        let _ = match self {
            Stream::Tcp(socket) => Pin::new(socket).poll_shutdown(&mut cx),
            Stream::Unix(socket) => Pin::new(socket).poll_shutdown(&mut cx),
            Stream::Greeting(_) => Poll::Ready(Ok(())),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(&mut cx),
        };
    }
}
