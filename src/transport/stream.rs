//! A connected socket of either kind.

use crate::shard::Socket;
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A socket known to the reactor of this thread.
#[derive(Debug)]
pub(super) enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix domain socket.
    Unix(UnixStream),
}

impl Stream {
    /// Makes the socket known to the reactor of this thread.
    ///
    /// # Errors
    ///
    /// The operating system refuses to watch it.
    pub(super) fn register(socket: Socket) -> io::Result<Stream> {
        match socket {
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
        }
    }

    fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = match self {
            Stream::Tcp(socket) => SockRef::from(socket),
            Stream::Unix(socket) => SockRef::from(socket),
        };
        match parts {
            [part] => socket.send(part),
            parts => socket.send_vectored(parts),
        }
    }

    /// Tells the peer that nothing more will be sent.
    pub(super) fn finish(&mut self) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        // The sockets' shutdown never waits; if it fails, the connection is already gone, which the next read tells.
        let _ = match self {
            Stream::Tcp(socket) => Pin::new(socket).poll_shutdown(&mut cx),
            Stream::Unix(socket) => Pin::new(socket).poll_shutdown(&mut cx),
        };
    }
}
