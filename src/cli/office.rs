//! Where other processes of the same user can ask a running node for something: a Unix socket in the node directory. Who
//! comes says in a line what for.

use super::handover::Successor;
use serde::{Deserialize, Serialize};
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

/// The line of a process that wants the node to read its configuration again.
pub(super) const RELOAD: &str = "reload\n";
/// The line of one that wants to know what that would change.
pub(super) const REHEARSE: &str = "rehearse\n";

/// How long a node may take to read its configuration.
const RELOAD_TIME_MAX: Duration = Duration::from_secs(60);

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
    Curious(Asker),
    /// One that wants the configuration to be read again.
    Reloader(Asker),
    /// One that wants to know what that would change.
    Rehearser(Asker),
}

/// What became of a reload.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Nothing was changed, but it was found out what would be.
    pub(super) dry_run: bool,
    /// Why nothing has changed.
    pub(super) error: Option<String>,
    /// What has changed.
    pub(super) changes: Vec<String>,
    /// What only a new start can change.
    pub(super) at_start: Vec<String>,
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
    while !line.ends_with('\n') && line.len() <= TAKE_OVER.len() {
        line.push(stream.read_u8().await?.into());
    }
    Ok(match &*line {
        TAKE_OVER => Some(Visitor::Successor(Successor(stream))),
        STATUS => Some(Visitor::Curious(Asker(stream))),
        RELOAD => Some(Visitor::Reloader(Asker(stream))),
        REHEARSE => Some(Visitor::Rehearser(Asker(stream))),
        _ => None,
    })
}

/// A process that waits for an answer.
pub(super) struct Asker(tokio::net::UnixStream);

impl Asker {
    /// Tells it, if it listens.
    pub(super) async fn tell(mut self, answer: Value) {
        let _ = tokio::time::timeout(PATIENCE, self.0.write_all(answer.to_string().as_bytes())).await;
    }
}

/// How the node in a directory is.
pub(super) fn ask(directory: &Path) -> io::Result<Value> {
    let stream = enter(directory, STATUS)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(serde_json::from_reader(stream)?)
}

/// Has the node in a directory read its configuration again, or say what that would change.
///
/// # Errors
/// It takes no wishes, or gives no answer; for people.
pub(super) fn reload(directory: &Path, dry_run: bool) -> Result<Outcome, String> {
    let stream = enter(directory, if dry_run { REHEARSE } else { RELOAD })
        .map_err(|error| format!("the node takes no wishes now, since it is just starting or ending: {error}"))?;
    let answer = stream.set_read_timeout(Some(RELOAD_TIME_MAX)).and_then(|()| Ok(serde_json::from_reader(stream)?));
    answer.map_err(|error: io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("the node does not say within {} seconds what became of it", RELOAD_TIME_MAX.as_secs())
        }
        _ => "the node has ended without saying what became of it".into(),
    })
}
