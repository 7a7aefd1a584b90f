//! What a shard is told by the rest of the process, other shards aside.

use super::crowd::Ticket;
use super::report::{Inquirer, Report, SessionPage, SessionQuery};
use crate::auth::Peer;
use crate::router::{ConnId, Drain, Policy, SubjectQuery, SubjectView, Verdict};
use crate::wamp::{SessionId, Uri};
use crate::web::{Piece, Reader};
use crate::wire::rawsocket::RawAccepted;
use rustls::ServerConnection;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use tokio::sync::oneshot;

/// An accepted socket, non-blocking, not yet known to any reactor.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix domain socket.
    Unix(UnixStream),
    /// TCP with TLS whose handshake is finished.
    Tls(TcpStream, Box<ServerConnection>),
}

impl Socket {
    /// The port by which it has come; none over a Unix domain socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Socket::Tcp(socket) | Socket::Tls(socket, _) => socket.local_addr().ok().map(|address| address.port()),
            Socket::Unix(_) => None,
        }
    }

    /// Writes what there is room for, and closes the socket.
    pub fn write_last(self, octets: &[u8]) {
        // Who gets nothing learns as much from the closed connection.
        let _ = match self {
            Socket::Tcp(mut socket) => socket.write(octets),
            Socket::Unix(mut socket) => socket.write(octets),
            Socket::Tls(mut socket, mut session) => {
                session.writer().write(octets).and_then(|_| session.write_tls(&mut socket))
            }
        };
    }
}

/// Who has come by a connection.
#[derive(Debug)]
pub struct Visitor {
    /// What is known of the client.
    pub peer: Arc<Peer>,
    /// Counts the connection.
    pub ticket: Ticket,
}

/// Dropped when an order has been carried out.
pub type Done = tokio::sync::mpsc::Sender<()>;

/// An order to a shard.
#[derive(Debug)]
pub enum Command {
    /// Serve this connection. It is already counted in the shard's load.
    Serve(Socket, Visitor),
    /// Go on with this connection of another shard, which has read these octets from it. It is already counted in the
    /// shard's load.
    Adopt(Socket, Visitor, Vec<u8>),
    /// What the shard wanted written down, up to this sequence number, is on the disk, or could not be written for this
    /// reason.
    Recorded(u64, Option<Arc<str>>),
    /// An application has been asked who the client of a connection is, in this round of its number.
    CalledOut(ConnId, u32, Verdict),
    /// A piece of a file has been read for a connection. None: it could not be.
    Read(Reader, Option<Box<Piece>>),
    /// Serve this end of a pair of sockets, whose other end this process has and has agreed so about it: a session of its
    /// own. It is already counted in the shard's load.
    Join(UnixStream, Arc<Peer>, RawAccepted),
    /// Tell how the shard is.
    Report(oneshot::Sender<Box<Report>>),
    /// Tell of sessions.
    Sessions(SessionQuery, oneshot::Sender<SessionPage>),
    /// Tell of subscriptions or registrations whose home is here.
    Subjects(Box<SubjectQuery>, oneshot::Sender<Vec<SubjectView>>),
    /// End this session with GOODBYE, for this reason and with this message; tell whether it was there.
    Kick(SessionId, Uri, Option<Box<str>>, oneshot::Sender<bool>),
    /// Respond to a request that somebody else was asked about, with content of this type.
    Respond(Inquirer, &'static str, Arc<str>),
    /// Show that the shard turns.
    Beat,
    /// Go on with another configuration, and drop the second when that is done.
    Reform(Box<Policy>, Done),
    /// Take leave of every session, and drop the second when each has got its GOODBYE; open no new ones.
    Drain(Drain, Done),
    /// End every session that is left, and every connection without one.
    Shutdown,
    /// End the thread now, whatever is still open.
    Stop,
}
