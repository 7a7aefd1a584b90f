//! An authentication service: `cargo run --example authenticator -- TICKET [URL]`. The router asks it who its clients are, if its
//! configuration says so:
//!
//! ```json
//! "auth": {
//!     "ticket": {"type": "dynamic", "authenticator": "com.example.authenticate", "authenticator-realm": "realm1"},
//!     "anonymous": {"type": "dynamic", "authenticator": "com.example.authenticate", "authenticator-realm": "realm1"}
//! }
//! ```
//!
//! The service itself comes in by another way: a listener of its own, for example. Everybody whose ticket is their name
//! backwards is let in; a real service looks into its database.

use corebar::client::{App, CallError, Connect};
use corebar::wamp::{Dict, Value};
use serde::Serialize;

/// What the router makes of a client.
#[derive(Serialize)]
struct Grant {
    role: &'static str,
    extra: Dict,
}

async fn authenticate(realm: String, authid: Option<String>, details: Dict) -> Result<Grant, CallError> {
    let authid = authid.unwrap_or_default();
    let ticket = details.get("ticket").and_then(Value::as_str).unwrap_or_default();
    let denied = |why: &str| Err(CallError::new("com.example.error.denied", why));
    if authid.is_empty() || !authid.chars().rev().eq(ticket.chars()) {
        println!("{authid:?} may not come into {realm}");
        return denied("the ticket is wrong");
    }
    println!("{authid:?} comes into {realm}");
    Ok(Grant { role: "anonymous", extra: Dict::new().with("team", "red") })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), corebar::client::AppError> {
    let mut arguments = std::env::args().skip(1);
    let ticket = arguments.next();
    let url = arguments.next().unwrap_or("ws://127.0.0.1:8080/".into());
    let connect = Connect::new(&url, "realm1");
    let connect = match ticket.as_deref() {
        None | Some("") => connect,
        Some(ticket) => connect.ticket("authenticator", ticket),
    };
    App::with(connect).procedure("com.example.authenticate", authenticate).run().await
}
