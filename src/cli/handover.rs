//! One router in the place of another, without a moment in which nobody listens: the new process asks the old one for its
//! listening sockets, and when it serves on them the old one takes leave.
//!
//! They meet at the old one's office in the node directory. The old one sends one message, a list of addresses as JSON with the
//! sockets attached; the new one answers with a line when it serves. That the old one has ended is told by the end of
//! the connection.

use super::office;
use crate::transport::listener::Listener;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// The most sockets that the system sends in one message.
const SOCKETS_MAX: usize = 253;

/// Octets of the list of addresses.
const LIST_MAX: usize = 256 * 1024;

/// What the new process says when it serves.
const READY: &[u8] = b"ready\n";

/// How long a process may take that has been asked for its sockets.
const PATIENCE: Duration = Duration::from_secs(30);

/// The process that wants to take over. Dropped, it takes that for the end of this one.
pub(super) struct Successor(pub(super) tokio::net::UnixStream);

impl Successor {
    /// Hands sockets over and waits until it serves on them.
    ///
    /// # Errors
    /// It has given up, or does not answer.
    pub(super) async fn hand(mut self, sockets: Vec<(String, OwnedFd)>) -> io::Result<Successor> {
        let served = async {
            self.0.writable().await?;
            send(self.0.as_fd(), &sockets)?;
            drop(sockets);
            let mut word = [0; READY.len()];
            self.0.read_exact(&mut word).await?;
            if word == READY { Ok(()) } else { Err(io::Error::from(ErrorKind::InvalidData)) }
        };
        tokio::time::timeout(PATIENCE, served).await.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
        Ok(self)
    }
}

fn send(to: impl AsFd, sockets: &[(String, OwnedFd)]) -> io::Result<()> {
    if sockets.len() > SOCKETS_MAX {
        return Err(io::Error::other(format!("more than {SOCKETS_MAX} sockets cannot be handed over")));
    }
    let addresses: Vec<&str> = sockets.iter().map(|(address, _)| &**address).collect();
    let list = serde_json::to_vec(&addresses)?;
    let borrowed: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() {
        attached.push(SendAncillaryMessage::ScmRights(&borrowed));
    }
    let sent = sendmsg(to, &[IoSlice::new(&list)], &mut attached, SendFlags::NOSIGNAL)?;
    if sent == list.len() { Ok(()) } else { Err(ErrorKind::WriteZero.into()) }
}

/// The process whose place is taken.
pub(super) struct Predecessor(UnixStream);

impl Predecessor {
    /// Asks the node that runs in a directory for its sockets.
    ///
    /// # Errors
    /// It does not give them.
    pub(super) fn ask(directory: &Path) -> Result<(Predecessor, Vec<Listener>), String> {
        let failed = |error: io::Error| format!("the node that runs here does not hand over its sockets: {error}");
        let stream = office::enter(directory, office::TAKE_OVER).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let sockets = receive(&stream).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("the node that runs here does not answer within {} seconds", PATIENCE.as_secs())
            }
            ErrorKind::UnexpectedEof => "the node that runs here is being replaced by another process already".into(),
            _ => failed(error),
        })?;
        let sockets = sockets.into_iter().map(|socket| Listener::inherited(socket.into()));
        let sockets = sockets.collect::<io::Result<Vec<_>>>().map_err(failed)?;
        Ok((Predecessor(stream), sockets))
    }

    /// Says that this process serves, so that the other one may go.
    pub(super) fn dismiss(&mut self) -> io::Result<()> {
        self.0.write_all(READY)
    }

    /// Waits until it has ended.
    pub(super) async fn gone(&mut self) {
        let stream = self.0.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(self.0.try_clone()?));
        let Ok(mut stream) = stream else { return };
        let mut rest = [0; 64];
        while stream.read(&mut rest).await.is_ok_and(|octets| octets > 0) {}
    }
}

fn receive(from: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut list = vec![0; LIST_MAX];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut attached = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(from, &mut [IoSliceMut::new(&mut list)], &mut attached, RecvFlags::CMSG_CLOEXEC)?;
    if got.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC) {
        return Err(ErrorKind::InvalidData.into());
    }
    if got.bytes == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let mut sockets = Vec::new();
    for message in attached.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors);
        }
    }
    let addresses: Vec<String> = serde_json::from_slice(&list[..got.bytes])?;
    if addresses.len() == sockets.len() { Ok(sockets) } else { Err(ErrorKind::InvalidData.into()) }
}

/// Tries until something can be had that a process which is ending still holds.
pub(super) async fn patiently<T, E>(mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Err(_) if begun.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(20)).await,
            done => return done,
        }
    }
}
