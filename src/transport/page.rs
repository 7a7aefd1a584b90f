//! The page that a browser gets where WebSocket is served.

use crate::wire::http::response;

const WELCOME: &str = include_str!("welcome.html");

/// The response to GET or HEAD.
pub(super) fn welcome(head_only: bool) -> Vec<u8> {
    let page = WELCOME.replace("{version}", env!("CARGO_PKG_VERSION"));
    let headers = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];
    response(200, &headers, "text/html; charset=utf-8", page.as_bytes(), head_only)
}
