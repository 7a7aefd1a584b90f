//! Why a command of the client does not end as it should.

use crate::cli::exit;
use crate::client::{CallError, ConnectError, RequestError};
use crate::wamp::Value;
use crate::wamp::error::NO_SUCH_PROCEDURE;
use std::io;
use std::process::ExitCode;

use super::values;

/// What a command says at its end, and its exit code.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    /// None: there is nothing to say, or nobody who reads it.
    why: Option<String>,
}

/// How a command went.
pub(super) type Done<T = ()> = Result<T, Failure>;

impl Failure {
    fn new(code: u8, why: impl Into<String>) -> Failure {
        Failure { code, why: Some(why.into()) }
    }

    /// The arguments make no sense, or a file that they name does not.
    pub(super) fn usage(why: impl Into<String>) -> Failure {
        Failure::new(exit::USAGE, why)
    }

    /// Nobody reads the output any more.
    pub(super) const fn unread() -> Failure {
        Failure { code: 0, why: None }
    }

    /// A signal came before the command had done what it should.
    pub(super) const fn interrupted() -> Failure {
        Failure { code: exit::INTERRUPTED, why: None }
    }

    /// What was waited for did not come in time.
    pub(super) fn late(why: impl Into<String>) -> Failure {
        Failure::new(exit::TIMED_OUT, why)
    }

    /// The session has ended.
    pub(super) fn lost(why: &str) -> Failure {
        Failure::new(exit::UNAVAILABLE, format!("the session has ended: {why}"))
    }

    /// The answer was an error, or makes no sense.
    pub(super) fn refused(why: impl Into<String>) -> Failure {
        Failure::new(exit::REFUSED, why)
    }

    /// The operating system does not do what it should.
    pub(super) fn system(why: &io::Error) -> Failure {
        Failure::new(exit::REFUSED, why.to_string())
    }

    /// No session with the router at `url`.
    pub(super) fn of_connect(url: &str, realm: &str, why: &ConnectError) -> Failure {
        match why {
            ConnectError::Address(why) => Failure::usage(why.to_string()),
            ConnectError::Io(_) => Failure::new(exit::UNAVAILABLE, format!("{url}: {why}")),
            ConnectError::Tls(_) | ConnectError::Handshake(_) | ConnectError::Protocol(_) => {
                Failure::new(exit::PROTOCOL, format!("{url}: {why}"))
            }
            ConnectError::Login(_) => Failure::new(exit::NOT_ADMITTED, format!("{url}: {why}")),
            ConnectError::Refused { .. } => Failure::new(exit::NOT_ADMITTED, format!("{url}, realm {realm}: {why}")),
            ConnectError::Timeout => Failure::late(format!("{url}: {why}")),
        }
    }

    /// A request was not granted. `what` it was, unless the callee says.
    pub(super) fn of_request(what: &str, why: &RequestError) -> Failure {
        match why {
            RequestError::Refused(error) => Failure::refused(format!("{what}: {}", said(error))),
            RequestError::Closed(Some(reason)) => Failure::lost(reason),
            RequestError::Closed(None) => Failure::lost("the connection is lost"),
            RequestError::Disconnected => Failure::new(exit::UNAVAILABLE, format!("{what}: {why}")),
            RequestError::Unsendable(_) | RequestError::Type(_) => {
                Failure::new(exit::REFUSED, format!("{what}: {why}"))
            }
            RequestError::Timeout => Failure::late(format!("{what}: {why}")),
        }
    }

    /// A call was answered with an error, which speaks for itself.
    pub(super) fn of_call(procedure: &str, why: &RequestError) -> Failure {
        match why {
            // Nobody has answered.
            RequestError::Refused(error) if *error.error == *NO_SUCH_PROCEDURE => {
                Failure::refused(format!("{procedure}: {}", said(error)))
            }
            RequestError::Refused(error) => Failure::refused(said(error)),
            other => Failure::of_request(procedure, other),
        }
    }

    /// Says what there is to say; gives the exit code.
    pub(super) fn end(self) -> ExitCode {
        if let Some(why) = &self.why {
            // What others have said must not steer the terminal.
            let line: String = why.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
            exit::say(&values::harmless(&line));
        }
        ExitCode::from(self.code)
    }
}

/// An error as one line: `URI: text`, with what it has besides.
pub(super) fn said(error: &CallError) -> String {
    let mut line = error.error.to_string();
    let mut args = error.args.iter().peekable();
    if let Some(text) = args.next_if(|first| first.as_str().is_some()).and_then(Value::as_str) {
        line.push_str(": ");
        line.push_str(text.trim());
    } else if args.peek().is_some() || !error.kwargs.is_empty() {
        line.push(':');
    }
    for value in args {
        line.push(' ');
        line.push_str(&values::show(value));
    }
    for (key, value) in error.kwargs.iter() {
        line.push_str(&format!(" {key}={}", values::show(value)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line() {
        let mut error = CallError::new("com.example.error", "no\n");
        assert_eq!(said(&error), "com.example.error: no");
        error.args.push(Value::Int(3));
        error.kwargs.push("a", "b");
        assert_eq!(said(&error), r#"com.example.error: no 3 a="b""#);
        error.args.remove(0);
        assert_eq!(said(&error), r#"com.example.error: 3 a="b""#);
        error.args.clear();
        error.kwargs.remove("a");
        assert_eq!(said(&error), "com.example.error");
    }
}
