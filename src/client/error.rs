//! What can go wrong for a client.

use super::address::AddressError;
use crate::auth::login::LoginError;
use crate::wamp::{Dict, Uri, Value};
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
    /// The session has ended before there was an answer.
    #[error("the session has ended{}", .0.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Closed(Option<Uri>),
    /// The arguments cannot be said in the serialization of the connection, or the message is too large for the router.
    #[error("cannot be sent: {0}")]
    Unsendable(String),
    /// There was no answer in time.
    #[error("no answer in time")]
    Timeout,
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
