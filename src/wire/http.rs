//! The little HTTP that the endpoints need: paths and responses.

use std::fmt::Write;

/// Names of headers, in lower case, that concern one connection alone (RFC 9110, section 7.6.1) or how a message is framed in it
/// (RFC 9112, section 6): nobody passes them on as they came.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// True if a header, however its name is written, is for one connection alone.
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Why a request cannot be served, so that nothing behind it can be read either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// For a person.
    pub text: &'static str,
}

/// The head of a response. `content` is the type and the length of the body, which has to follow; without it there is
/// no body at all. With `close` it says that the connection is closed behind it.
#[must_use]
pub fn response_head(status: u16, headers: &[(&str, &str)], content: Option<(&str, usize)>, close: bool) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    // Writing to a string does not fail.
    for (name, value) in headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    if let Some((content_type, length)) = content {
        let _ = write!(out, "Content-Type: {content_type}\r\nContent-Length: {length}\r\n");
    }
    out.push_str(if close { "Connection: close\r\n\r\n" } else { "\r\n" });
    out.into_bytes()
}

/// A whole response; the connection is closed behind it.
#[must_use]
pub fn response(status: u16, headers: &[(&str, &str)], content_type: &str, body: &[u8], head_only: bool) -> Vec<u8> {
    let mut out = response_head(status, headers, Some((content_type, body.len())), true);
    if !head_only {
        out.extend_from_slice(body);
    }
    out
}

/// A response that says what was wrong, as errors of WAMP do; the connection is closed behind it.
#[must_use]
pub fn refusal(status: u16, headers: &[(&str, &str)], text: &str) -> Vec<u8> {
    response(status, headers, JSON, error_body(text).as_bytes(), false)
}

/// What was wrong, in JSON and in the form of errors of WAMP.
#[must_use]
pub fn error_body(text: &str) -> String {
    format!("{{\"error\":{},\"args\":[],\"kwargs\":{{}}}}", serde_json::Value::from(text))
}

/// The status of a response; 0 if it is none.
#[must_use]
pub fn status(response: &[u8]) -> u16 {
    response.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse().ok()).unwrap_or_default()
}

/// Octets of the body of a response.
#[must_use]
pub fn body_octets(response: &[u8]) -> usize {
    memchr::memmem::find(response, b"\r\n\r\n").map_or(0, |end| response.len() - end - 4)
}

/// A response without the body that its head tells of: what HEAD gets (RFC 9110, section 9.3.2).
#[must_use]
pub fn bodyless(mut response: Vec<u8>) -> Vec<u8> {
    response.truncate(response.len() - body_octets(&response));
    response
}

/// The content type of JSON.
pub const JSON: &str = "application/json";

/// The content type of a line of text.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// A value without the white space around it, which is that of HTTP alone (RFC 9110, section 5.6.3): what others would not
/// take away, such as a no-break space, is a part of the value.
pub(super) fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

/// The beginning of a request's target that is a whole URI, and the port that it has if none is named.
fn scheme_of(target: &str) -> Option<(&'static str, &'static str)> {
    let begins = |scheme: &str| target.get(..scheme.len()).is_some_and(|found| found.eq_ignore_ascii_case(scheme));
    [("http://", ":80"), ("https://", ":443")].into_iter().find(|(scheme, _)| begins(scheme))
}

/// True unless a request's target is a whole URI that names another server than the header `Host`: some would believe the one,
/// some the other (RFC 9112, section 3.2.2).
pub(super) fn names_one_server(target: &str, host: Option<&str>) -> bool {
    let (Some((scheme, port)), Some(host)) = (scheme_of(target), host) else { return true };
    let authority = target[scheme.len()..].split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.strip_suffix(port).or(name.strip_suffix(':')).unwrap_or(&name).to_owned()
    };
    plain(authority) == plain(host)
}

/// Why a request is refused that names two servers.
pub(super) const TWO_SERVERS: Refusal =
    Refusal { status: 400, text: "the target and the header 'Host' name two servers" };

/// The path of a request's target, which may be a whole URI (RFC 9112, section 3.2.2).
pub(super) fn path_of(target: &str) -> &str {
    let scheme = scheme_of(target).map(|(scheme, _)| scheme);
    let origin = match scheme {
        Some(scheme) => target[scheme.len()..].find(['/', '?']).map_or("/", |at| &target[scheme.len() + at..]),
        None => target,
    };
    match origin.split(['?', '#']).next() {
        Some("") if scheme.is_some() => "/",
        path => path.unwrap_or_default(),
    }
}

/// The query of a request's target, without the question mark.
pub(super) fn query_of(target: &str) -> Option<&str> {
    target.split('#').next()?.split_once('?').map(|(_, query)| query)
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
