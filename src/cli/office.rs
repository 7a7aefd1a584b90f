//! Where other processes of the same user can ask a running node for something: a Unix socket in the node directory. Who
//! comes says in a line what for.

use super::handover::Successor;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const NAME: &str = "node.sock";

/// The line of a process that wants the sockets.
pub(super) const TAKE_OVER: &str = "take over\n";
/// The line of a process that wants to know how the node is.
pub(super) const STATUS: &str = "status\n";

/// How long somebody may take for the line, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The place, by a path that is short enough however long that of the directory is.
struct Place {
    /// Keeps the path valid.
    _directory: File,
    path: PathBuf,
}

impl Place {
    fn of(directory: &Path) -> io::Result<Place> {
        let open = File::open(directory)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd())).join(NAME);
        Ok(Place { _directory: open, path })
    }
}

/// Goes to the office of the node in a directory, and says what for.
pub(super) fn enter(directory: &Path, wish: &str) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(Place::of(directory)?.path)?;
    stream.write_all(wish.as_bytes())?;
    Ok(stream)
}

/// The office of a running node.
pub(super) struct Office {
    listener: UnixListener,
    /// The socket's file, which goes with the office.
    path: PathBuf,
}

/// Who comes.
pub(super) enum Visitor {
    /// A process that wants the sockets.
    Successor(Successor),
    /// One that wants to know how the node is.
    Curious(Curious),
}

impl Office {
    /// Opens it in a directory that this process holds. Has to be called on a tokio runtime.
    pub(super) fn open(directory: &Path) -> io::Result<Office> {
        let place = Place::of(directory)?;
        let path = directory.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&place.path)?;
        Ok(Office { listener, path })
    }

    /// Waits for somebody of the same user, or root, who wants something that there is.
    pub(super) async fn visitor(&self) -> Visitor {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if is_trusted(&stream) => {
                    if let Ok(Ok(Some(visitor))) = tokio::time::timeout(PATIENCE, hear(stream)).await {
                        return visitor;
                    }
                }
                Ok(_) => tracing::warn!("a process of another user wanted something of the node"),
                Err(error) => {
                    tracing::warn!(%error, "cannot hear who wants something of the node");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        // The next one may have put its own there.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_trusted(stream: &tokio::net::UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|other| other.uid() == own || other.uid() == 0)
}

async fn hear(mut stream: tokio::net::UnixStream) -> io::Result<Option<Visitor>> {
    let mut line = String::new();
    while !line.ends_with('\n') && line.len() < TAKE_OVER.len() {
        line.push(stream.read_u8().await?.into());
    }
    Ok(match &*line {
        TAKE_OVER => Some(Visitor::Successor(Successor(stream))),
        STATUS => Some(Visitor::Curious(Curious(stream))),
        _ => None,
    })
}

/// A process that wants to know how the node is.
pub(super) struct Curious(tokio::net::UnixStream);

impl Curious {
    /// Tells it, if it listens.
    pub(super) async fn tell(mut self, status: Value) {
        let _ = tokio::time::timeout(PATIENCE, self.0.write_all(status.to_string().as_bytes())).await;
    }
}

/// How the node in a directory is.
pub(super) fn ask(directory: &Path) -> io::Result<Value> {
    let stream = enter(directory, STATUS)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(serde_json::from_reader(stream)?)
}
