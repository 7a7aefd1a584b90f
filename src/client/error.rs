//! What can go wrong for a client.

use super::address::AddressError;
use crate::auth::login::LoginError;
use crate::wamp::typed::TypeError;
use crate::wamp::{Dict, Uri, Value, error};
use std::io;

/// No session could be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL leads nowhere.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The network.
    #[error("cannot connect: {0}")]
    Io(#[from] io::Error),
    /// No connection by TLS: the certificate of the router is not trusted, or one of our own cannot be used.
    #[error("no TLS: {0}")]
    Tls(String),
    /// The other side is no router, or does not speak as asked.
    #[error("no agreement with the other side: {0}")]
    Handshake(String),
    /// What came is not WAMP.
    #[error("the router broke the protocol: {0}")]
    Protocol(String),
    /// The client cannot show who it is.
    #[error("cannot log in: {0}")]
    Login(#[from] LoginError),
    /// The router has answered ABORT.
    #[error("refused: {reason}{}", said(details))]
    Refused {
        /// Why.
        reason: Uri,
        /// `ABORT.Details`.
        details: Dict,
    },
    /// It took too long.
    #[error("no session within the time that was given")]
    Timeout,
}

/// The `message` of details, as it stands behind a reason.
fn said(details: &Dict) -> String {
    details.str("message").ok().flatten().map(|message| format!(" ({message})")).unwrap_or_default()
}

/// A request was not granted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// The router has answered ERROR.
    #[error("{0}")]
    Refused(#[from] CallError),
    /// The connection was lost before there was an answer, or there is none; the session goes on. Whether a request that was
    /// sent has been done is not known.
    #[error("there is no connection to the router")]
    Disconnected,
    /// The session has ended before there was an answer.
    #[error("the session has ended{}", .0.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Closed(Option<Uri>),
    /// The arguments cannot be said in the serialization of the connection, or the message is too large: see
    /// [`Connect::sent_message_bytes_max`](super::Connect::sent_message_bytes_max).
    #[error("cannot be sent: {0}")]
    Unsendable(String),
    /// There was no answer in time.
    #[error("no answer in time")]
    Timeout,
    /// A type of the application cannot be said as a value, or what came does not fit the type that is wanted.
    #[error(transparent)]
    Type(#[from] TypeError),
}

/// An ERROR: of the router, or of a callee.
#[derive(Clone, Debug, PartialEq)]
pub struct CallError {
    /// What went wrong.
    pub error: Uri,
    /// More about it.
    pub args: Vec<Value>,
    /// More about it, by name.
    pub kwargs: Dict,
}

impl CallError {
    /// An error with one text as its argument.
    #[must_use]
    pub fn new(error: &str, message: impl Into<Value>) -> CallError {
        CallError { error: error.into(), args: vec![message.into()], kwargs: Dict::new() }
    }
}

/// What goes wrong inside a procedure that has no error of its own for it.
pub(super) const RUNTIME_ERROR: &str = "wamp.error.runtime_error";

macro_rules! runtime_errors {
    ($($type:ty),* $(,)?) => {$(
        impl From<$type> for CallError {
            /// `wamp.error.runtime_error`, with the text.
            fn from(why: $type) -> CallError {
                CallError::new(RUNTIME_ERROR, why.to_string())
            }
        }
    )*};
}

runtime_errors!(&str, String, io::Error, std::fmt::Error, Box<dyn std::error::Error + Send + Sync>);

impl From<TypeError> for CallError {
    /// `wamp.error.invalid_argument`, with the text.
    fn from(why: TypeError) -> CallError {
        CallError::new(error::INVALID_ARGUMENT, why.to_string())
    }
}

impl From<RequestError> for CallError {
    /// The error of the other callee or of the router; or `wamp.error.runtime_error`.
    fn from(why: RequestError) -> CallError {
        match why {
            RequestError::Refused(error) => error,
            other => CallError::new(RUNTIME_ERROR, other.to_string()),
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.error)?;
        match self.args.first().and_then(Value::as_str) {
            Some(message) => write!(f, " ({message})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CallError {}
