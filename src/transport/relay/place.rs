//! Which program a request means, and what it is told of the request.

use super::Relayed;
use super::head::is_ambiguous;
use super::pool::Origin;
use crate::wire::request::{BodyLength, RequestHead};
use std::ffi::OsString;
use std::path::PathBuf;

/// A program, and what stands behind it in the path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) script: PathBuf,
    /// How many of the names lead to it.
    names: usize,
    /// The rest, with its slash; empty if there is none.
    info: String,
}

/// Finds the program that these names lead to inside a directory: the first that is a file.
pub(super) async fn find(directory: PathBuf, names: Vec<Box<str>>) -> Option<Place> {
    // Looking may wait for a disk.
    tokio::task::spawn_blocking(move || look(directory, &names)).await.ok()?
}

fn look(directory: PathBuf, names: &[Box<str>]) -> Option<Place> {
    let top = directory.canonicalize().ok()?;
    let mut at = top.clone();
    for (number, name) in names.iter().enumerate() {
        if name.is_empty() || name.starts_with('.') {
            return None;
        }
        at.push(&**name);
        let there = at.metadata().ok()?;
        if there.is_file() {
            let script = at.canonicalize().ok().filter(|script| script.starts_with(&top))?;
            let info: String = names[number + 1..].iter().map(|name| format!("/{name}")).collect();
            return Some(Place { script, names: number + 1, info });
        }
        if !there.is_dir() {
            return None;
        }
    }
    None
}

/// The variables of a program (RFC 3875, section 4.1). Of the router's own it has the PATH alone.
pub(super) fn variables(
    head: &RequestHead<'_>,
    headers: &[(&str, &[u8])],
    relayed: &Relayed,
    place: &Place,
    origin: &Origin,
) -> Vec<(String, OsString)> {
    let mut all: Vec<(String, OsString)> = Vec::new();
    let mut set = |name: &str, value: &str| all.push((name.into(), value.into()));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let of = |name: &'static str| {
        headers.iter().find(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| text(value))
    };
    let host = of("host").unwrap_or_default();
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => (name, Some(port)),
        _ => (&*host, None),
    };
    // By which the request has come; over a Unix socket there is none.
    let own = origin.port.map(|port| port.to_string());
    let secure = origin.entrance.tls.is_some();
    let script: String = relayed.names[..place.names].iter().map(|name| format!("/{name}")).collect();
    set("GATEWAY_INTERFACE", "CGI/1.1");
    set("SERVER_SOFTWARE", concat!("corebar/", env!("CARGO_PKG_VERSION")));
    set("SERVER_PROTOCOL", if head.modern { "HTTP/1.1" } else { "HTTP/1.0" });
    set("SERVER_NAME", name);
    set("SERVER_PORT", own.as_deref().or(port).unwrap_or(if secure { "443" } else { "80" }));
    set("REQUEST_METHOD", head.method);
    set("REQUEST_URI", &format!("{}{}", head.path, head.query.map_or(String::new(), |query| format!("?{query}"))));
    set("QUERY_STRING", head.query.unwrap_or_default());
    set("SCRIPT_NAME", &format!("{}{script}", relayed.base));
    set("SCRIPT_FILENAME", &place.script.to_string_lossy());
    set("PATH_INFO", &place.info);
    set("REMOTE_ADDR", &origin.client(headers).map_or(String::new(), |address| address.to_string()));
    if secure {
        set("HTTPS", "on");
    }
    if let BodyLength::Octets(octets) = head.body {
        set("CONTENT_LENGTH", &octets.to_string());
    }
    if let Some(kind) = of("content-type") {
        set("CONTENT_TYPE", &kind);
    }
    let mut named: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        // `Proxy` would become a variable that many programs take for where their own proxy is.
        let own = ["content-length", "content-type", "proxy"].iter().any(|own| name.eq_ignore_ascii_case(own));
        if own || is_ambiguous(name) {
            continue;
        }
        let name = format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"));
        match named.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => known.push_str(&format!(", {}", text(value))),
            None => named.push((name, text(value))),
        }
    }
    all.extend(named.into_iter().map(|(name, value)| (name, value.into())));
    // The system takes no zero in a variable.
    all.retain(|(_, value)| !value.to_string_lossy().contains('\0'));
    all.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
    all
}
