//! What can go wrong while a request is passed on.

use crate::web::date;
use crate::wire::http::{Refusal, error_body, response_head};
use std::io;

/// Why a request could not be passed on.
#[derive(Debug)]
pub(super) enum Fault {
    /// The client is gone, or does not read.
    Client,
    /// The other side has failed after the response had begun: it cannot be told.
    Broken(String),
    /// The client is to be told.
    Told(u16, String),
}

impl Fault {
    pub(super) fn told(status: u16, text: impl Into<String>) -> Fault {
        Fault::Told(status, text.into())
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::told(refusal.status, refusal.text)
    }
}

/// Of the client: what is of the other side is told where it happens.
impl From<io::Error> for Fault {
    fn from(_: io::Error) -> Fault {
        Fault::Client
    }
}

/// A response that says what was wrong.
pub(super) fn refusal(status: u16, text: &str, hsts: Option<&str>, close: bool) -> Vec<u8> {
    let body = error_body(text);
    let mut headers = vec![("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];
    let date = date::stamp();
    headers.extend(date.as_deref().map(|date| ("Date", date)));
    headers.extend(hsts.map(|hsts| ("Strict-Transport-Security", hsts)));
    if status == 426 {
        headers.extend([("Upgrade", "websocket"), ("Connection", "Upgrade")]);
    }
    let mut response = response_head(status, &headers, Some(("application/json", body.len())), close);
    response.extend_from_slice(body.as_bytes());
    response
}
