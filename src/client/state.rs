//! How a session is, as applications see it.

use super::error::ConnectError;
use crate::wamp::id::SessionId;
use crate::wamp::{Dict, Uri};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How a session is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// There is a connection, and the router knows the session by this id.
    Joined(SessionId),
    /// There is no connection; another attempt is made.
    Away {
        /// What happened last, for a person.
        why: String,
        /// The number of the next attempt, from 1, since a connection has lasted for a while.
        attempt: u32,
        /// When it is made, from now on.
        retry_in: Duration,
    },
    /// It is over.
    Ended {
        /// What was said in GOODBYE or ABORT; none: the connection was lost.
        reason: Option<Uri>,
        /// For a person.
        why: String,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Joined(session) => write!(f, "joined as {session}"),
            State::Away { why, attempt, retry_in } => {
                write!(f, "away: {why}; attempt {attempt} in {:.1} s", retry_in.as_secs_f32())
            }
            State::Ended { why, .. } => write!(f, "ended: {why}"),
        }
    }
}

/// What is called whenever the state of a session changes, on the task that serves it: it must not wait.
#[derive(Clone)]
pub struct Hook(pub(super) Arc<dyn Fn(&State) + Send + Sync>);

impl Hook {
    /// Calls this.
    #[must_use]
    pub fn new(hook: impl Fn(&State) + Send + Sync + 'static) -> Hook {
        Hook(Arc::new(hook))
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// Tells of the state.
#[derive(Debug)]
pub(super) struct Herald {
    pub(super) hook: Option<Hook>,
    pub(super) state: watch::Sender<State>,
}

impl Herald {
    pub(super) fn announce(&self, state: State) {
        if let Some(hook) = &self.hook {
            (hook.0)(&state);
        }
        self.state.send_replace(state);
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ended {
    /// Both sides have said GOODBYE, or the router ABORT.
    Closed(Uri, Dict),
    /// The connection is lost.
    Lost(String),
    /// The router could not be reached again, or does not want the session.
    Failed(String),
}

impl Ended {
    /// The reason that the router or the application has given.
    pub(super) fn reason(&self) -> Option<Uri> {
        match self {
            Ended::Closed(reason, _) => Some(reason.clone()),
            Ended::Lost(_) | Ended::Failed(_) => None,
        }
    }

    /// When the router wants to see the client again (`_retry_after_ms`).
    pub(super) fn advice(&self) -> Option<Duration> {
        match self {
            Ended::Closed(_, details) => advice(details),
            Ended::Lost(_) | Ended::Failed(_) => None,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Closed(reason, details) => {
                write!(f, "{reason}")?;
                details.str("message").ok().flatten().map_or(Ok(()), |message| write!(f, " ({message})"))
            }
            Ended::Lost(why) | Ended::Failed(why) => f.write_str(why),
        }
    }
}

impl From<Ended> for State {
    fn from(ended: Ended) -> State {
        State::Ended { reason: ended.reason(), why: ended.to_string() }
    }
}

/// When a router wants to see a client again, as it says in the details of GOODBYE or ABORT.
fn advice(details: &Dict) -> Option<Duration> {
    details.uint("_retry_after_ms").ok().flatten().map(Duration::from_millis)
}

/// The same of a router that has not let a client in.
pub(super) fn advice_of(error: &ConnectError) -> Option<Duration> {
    match error {
        ConnectError::Refused { details, .. } => advice(details),
        _ => None,
    }
}
