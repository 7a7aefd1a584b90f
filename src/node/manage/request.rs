//! What only the owner of a node can do, and is asked for by those who manage it.

use crate::config::reload::Reload;
use tokio::sync::{mpsc, oneshot};

/// Something to be done with a node, and where to say what came of it. Who has asked may not wait any longer.
#[derive(Debug)]
pub enum Request {
    /// To read the configuration again, and go on with it, or only to find out what would change.
    Reload {
        /// Only find out.
        dry_run: bool,
        /// What changes, or why nothing does.
        answer: oneshot::Sender<Result<Reload, String>>,
    },
    /// To take leave of all clients and end.
    Drain,
    /// To stop a guest or component and start it again.
    Restart {
        /// Which.
        id: Box<str>,
        /// Whether there is one.
        answer: oneshot::Sender<bool>,
    },
    /// To log at another level.
    Level {
        /// Which; none: as it is.
        wanted: Option<String>,
        /// The level from now on, or why it stays as it is.
        answer: oneshot::Sender<Result<String, String>>,
    },
}

/// Requests that may wait.
const WAITING_MAX: usize = 16;

/// The two ends of the way from managers to the owner.
pub(in crate::node) fn channel() -> (mpsc::Sender<Request>, mpsc::Receiver<Request>) {
    mpsc::channel(WAITING_MAX)
}
