//! Calls on their way, and what became of them.

use super::super::choice::Slots;
use super::super::index::ShardIndex;
use super::super::subject::Subject;
use crate::wamp::{Dict, Payload, RegistrationId, RequestId, SessionId, Uri};
use std::sync::Arc;

/// One call for ever: request ids may come back when a call is over, serials do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallRef {
    /// The shard of the caller.
    pub shard: ShardIndex,
    /// Counts the calls of that shard.
    pub serial: u64,
}

/// A call on its way to a callee.
#[derive(Debug)]
pub struct Invoke {
    /// The callee.
    pub callee: SessionId,
    /// The registration that was found.
    pub registration: RegistrationId,
    /// What was registered.
    pub subject: Subject,
    /// The call.
    pub call: CallRef,
    /// The caller.
    pub caller: SessionId,
    /// The CALL.
    pub request: RequestId,
    /// The caller takes progressive results.
    pub receive_progress: bool,
    /// The caller understands payload passthru in results.
    pub passthru: bool,
    /// The arguments.
    pub payload: Payload,
    /// What hardly any call has.
    pub extras: Option<Box<InvokeExtras>>,
}

/// What hardly any call has.
#[derive(Debug, Default)]
pub struct InvokeExtras {
    /// Goes into `INVOCATION.Details`.
    pub details: Dict,
    /// Further parts will follow.
    pub progress: bool,
    /// The payload is passed through unseen, which the callee must have announced to understand.
    pub passthru: bool,
    /// Counts the calls that the callee works on; this one has been counted.
    pub slots: Option<Arc<Slots>>,
}

/// A further part of a call, on its way to the callee that has the first.
#[derive(Debug)]
pub struct Part {
    /// The callee.
    pub callee: SessionId,
    /// The call.
    pub call: CallRef,
    /// Further parts will follow.
    pub progress: bool,
    /// The arguments.
    pub payload: Payload,
}

/// What became of a call.
#[derive(Debug)]
pub struct Return {
    /// The call.
    pub call: CallRef,
    /// The callee that answers, or was asked.
    pub callee: SessionId,
    /// The caller.
    pub caller: SessionId,
    /// The CALL.
    pub request: RequestId,
    /// What came.
    pub outcome: Outcome,
}

/// An answer to a call.
#[derive(Debug)]
pub enum Outcome {
    /// A result.
    Result {
        /// Others come after it.
        progress: bool,
        /// Goes into `RESULT.Details`.
        details: Dict,
        /// The result.
        payload: Payload,
    },
    /// An error of the callee, or of the router in its place.
    Error {
        /// What went wrong.
        error: Uri,
        /// `ERROR.Details`.
        details: Dict,
        /// More about it.
        payload: Payload,
    },
    /// The callee had left before the call reached it.
    Gone,
    /// The callee wants somebody else to be called.
    Unavailable,
}

/// Ends a call from the caller's side.
#[derive(Clone, Copy, Debug)]
pub struct Cancel {
    /// The call.
    pub call: CallRef,
    /// The callee.
    pub callee: SessionId,
    /// The callee's answer still counts (mode `kill`).
    pub await_answer: bool,
}
