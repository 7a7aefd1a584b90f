//! Heads of requests and responses as they are passed on.

use super::pool::Origin;
use crate::config::relay::Backend;
use crate::web::date;
use crate::wire::forwarded::ForwardedHeader;
use crate::wire::http::is_hop_by_hop;
use crate::wire::request::RequestHead;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use std::io::Write;
use std::net::IpAddr;

/// What tells where a client is.
const FORWARDED: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip"];

/// True for names that become the same variable as another one in CGI, WSGI and so on, which have `_` for `-`: by them
/// clients could say what is for the router alone to say.
pub(super) fn is_ambiguous(name: &str) -> bool {
    name.contains('_')
}

/// Names that the values of `Connection` say are for one connection alone.
fn named<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let texts = values.filter_map(|value| std::str::from_utf8(value).ok());
    texts.flat_map(|text| text.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// The headers of a request for a server. `headers` are those of the client.
pub(super) fn request_headers(
    head: &RequestHead<'_>,
    headers: &[(&str, &[u8])],
    backend: &Backend,
    origin: &Origin,
) -> HeaderMap {
    let of = |name: &'static str| {
        headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    };
    let private = named(of("connection"));
    let mut map = HeaderMap::with_capacity(headers.len() + 6);
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let own = ["host", "content-length"].contains(&&*name) || FORWARDED.contains(&&*name);
        if own || is_ambiguous(&name) || is_hop_by_hop(&name) || private.contains(&name) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    let host = of("host").next().and_then(|host| std::str::from_utf8(host).ok()).unwrap_or_default();
    let mut set = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            map.insert(name, value);
        }
    };
    set(HOST, if backend.keep_host && !host.is_empty() { host } else { &backend.host });
    if head.upgrade {
        set(CONNECTION, "Upgrade");
        set(UPGRADE, "websocket");
    } else {
        set(CONNECTION, "close");
    }
    let trusted = |name: &'static str| {
        of(name).filter(|_| origin.is_trusted()).filter_map(|value| std::str::from_utf8(value).ok())
    };
    let shown = |address: IpAddr| address.to_canonical().to_string();
    let (client, own) = (origin.client(headers).map(shown), origin.address.map(shown));
    let mut addresses: Vec<String> = match origin.entrance.forwarded_header() {
        ForwardedHeader::XForwardedFor => trusted("x-forwarded-for").map(str::to_owned).collect(),
        // The proxy has left the other header as it came: it is the client's word.
        ForwardedHeader::Forwarded => client.iter().filter(|client| own.as_ref() != Some(*client)).cloned().collect(),
    };
    addresses.extend(own);
    let secure = origin.entrance.tls.is_some();
    let proto = match &backend.forwarded_proto {
        Some(proto) => proto,
        None => trusted("x-forwarded-proto").next().unwrap_or(if secure { "https" } else { "http" }),
    };
    let shown_host = trusted("x-forwarded-host").next().unwrap_or(host);
    let port = match backend.forwarded_port {
        Some(port) => port.to_string(),
        None => trusted("x-forwarded-port").next().map_or_else(|| port_of(shown_host, proto), str::to_owned),
    };
    if !addresses.is_empty() {
        set(HeaderName::from_static("x-forwarded-for"), &addresses.join(", "));
    }
    if let Some(client) = &client {
        set(HeaderName::from_static("x-real-ip"), client);
    }
    set(HeaderName::from_static("x-forwarded-proto"), proto);
    set(HeaderName::from_static("x-forwarded-host"), shown_host);
    set(HeaderName::from_static("x-forwarded-port"), &port);
    map
}

/// The port of a host, which has one of its own or that of its protocol.
fn port_of(host: &str, proto: &str) -> String {
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
    port.unwrap_or(if proto == "https" { "443" } else { "80" }).into()
}

/// The length that a response says, once it is sure that there is only one way to read where it ends (RFC 9112, section 6.3).
///
/// # Errors
/// What is wrong, in one line.
pub(super) fn length_of(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = match lengths.next() {
        Some(first) if lengths.all(|other| other == first) => {
            Some(first.to_str().ok().filter(|text| plain(text)).ok_or("the server behind says a length that is none")?)
        }
        Some(_) => return Err("the server behind says two lengths"),
        None => None,
    };
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(length),
        (Some(_), None) if length.is_some() => Err("the server behind says the length of a body in chunks"),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(None),
        _ => Err("the server behind sends a body in a coding other than chunked"),
    }
}

/// How the end of a response's body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    Bodyless,
    /// Its length has been told.
    Length,
    /// Chunks.
    Chunked,
    /// The connection ends with it.
    Close,
}

/// How a response is framed for this client.
pub(super) fn framing(head: &RequestHead<'_>, status: u16, length_is_known: bool) -> Framing {
    if head.method == "HEAD" || status < 200 || status == 204 || status == 304 {
        Framing::Bodyless
    } else if length_is_known {
        Framing::Length
    } else if head.modern {
        Framing::Chunked
    } else {
        Framing::Close
    }
}

/// The head of a response.
pub(super) fn response_head(
    status: hyper::StatusCode,
    headers: &HeaderMap,
    framing: Framing,
    (hsts, close): (Option<&str>, bool),
) -> Vec<u8> {
    let private = named(headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes));
    let mut out = Vec::with_capacity(512);
    // Writing to memory does not fail.
    let _ = write!(out, "HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("Unknown"));
    let tunnel = status == hyper::StatusCode::SWITCHING_PROTOCOLS;
    let mut told = false;
    if let Some(date) = (!headers.contains_key(DATE)).then(date::stamp).flatten() {
        let _ = write!(out, "date: {date}\r\n");
    }
    for (name, value) in headers {
        let own = is_hop_by_hop(name.as_str()) || private.iter().any(|private| private == name.as_str());
        let is_length = name == CONTENT_LENGTH;
        let length = is_length && (told || framing == Framing::Chunked || tunnel || status.as_u16() == 204);
        told |= is_length;
        if own || length || (hsts.is_some() && name == "strict-transport-security") {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if let Some(hsts) = hsts {
        let _ = write!(out, "strict-transport-security: {hsts}\r\n");
    }
    if framing == Framing::Chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if tunnel {
        out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
    } else if close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// A piece of a body, as it is framed.
pub(super) fn framed(piece: &[u8], framing: Framing) -> Vec<u8> {
    if framing != Framing::Chunked || piece.is_empty() {
        return piece.to_vec();
    }
    let mut out = format!("{:x}\r\n", piece.len()).into_bytes();
    out.extend_from_slice(piece);
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::relay::{RelayConfig, Target};
    use crate::config::{ListenAddress, ListenerConfig};
    use crate::transport::preamble::Entrance;
    use crate::wire::request;

    fn passed_on(text: &str, trusted: bool, change: impl FnOnce(&mut Backend)) -> Vec<String> {
        passed_on_from(text, trusted.then_some(ForwardedHeader::XForwardedFor), change)
    }

    /// With the header in which a trusted proxy tells where clients are, if there is such a proxy.
    fn passed_on_from(text: &str, trusted: Option<ForwardedHeader>, change: impl FnOnce(&mut Backend)) -> Vec<String> {
        let address = ListenAddress::Tcp { host: "127.0.0.1".into(), port: 0 };
        let mut listener = ListenerConfig::plain(address);
        listener.forwarded_header = trusted.unwrap_or_default();
        listener.forwarded = trusted.map(|_| "10.0.0.0/8".parse().expect("a net")).into_iter().collect();
        let entrance = std::sync::Arc::new(Entrance::new(&listener).expect("no TLS"));
        let origin = Origin { address: Some("10.0.0.1".parse().expect("an address")), entrance, port: None };
        let Target::Http(mut backend) = RelayConfig::http("back", 81).target else { panic!("HTTP") };
        change(&mut backend);
        let head = request::head(text.as_bytes(), 1000).expect("a good head").expect("a whole head");
        let headers = request_headers(&head, &request::raw_headers(text.as_bytes()), &backend, &origin);
        let shown = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().expect("text"));
        let mut all: Vec<String> = headers.iter().map(shown).collect();
        all.sort();
        all
    }

    #[test]
    fn what_concerns_one_connection_stays_there() {
        let text = "GET / HTTP/1.1\r\nHost: a:8080\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nX-Own: 2\r\n\
                    Keep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: x\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6\r\n\
                    X-Real-IP: 6.6.6.6\r\n\r\n";
        assert_eq!(
            passed_on(text, false, |_| {}),
            [
                "connection: close",
                "host: back:81",
                "x-forwarded-for: 10.0.0.1",
                "x-forwarded-host: a:8080",
                "x-forwarded-port: 8080",
                "x-forwarded-proto: http",
                "x-own: 2",
                "x-real-ip: 10.0.0.1"
            ]
        );
        let upgrade =
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\n\r\n";
        let change = |backend: &mut Backend| {
            backend.keep_host = true;
            backend.forwarded_port = Some(5);
            backend.forwarded_proto = Some("https".into());
        };
        assert_eq!(
            passed_on(upgrade, false, change),
            [
                "connection: Upgrade",
                "host: a",
                "sec-websocket-key: k",
                "upgrade: websocket",
                "x-forwarded-for: 10.0.0.1",
                "x-forwarded-host: a",
                "x-forwarded-port: 5",
                "x-forwarded-proto: https",
                "x-real-ip: 10.0.0.1"
            ]
        );
    }

    #[test]
    fn names_that_look_like_others_are_left_out() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_Proto: https\r\nX_Own: 1\r\nX-Own: 2\r\n\r\n";
        let passed = passed_on(text, true, |_| {});
        assert!(
            passed.contains(&"x-own: 2".into()) && passed.contains(&"x-forwarded-proto: http".into()),
            "{passed:?}"
        );
        assert!(!passed.iter().any(|header| header.contains('_')), "{passed:?}");
    }

    #[test]
    fn responses_have_one_end() {
        let read = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            length_of(&headers).map(|length| length.map(str::to_owned))
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("content-length", "5"), ("content-length", "5")]), Ok(Some("5".into())));
        assert_eq!(read(&[("transfer-encoding", "Chunked")]), Ok(None));
        for wrong in [
            &[("content-length", "5, 5")][..],
            &[("content-length", "")],
            &[("content-length", "+5")],
            &[("content-length", "5"), ("content-length", "6")],
            &[("content-length", "5"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")],
        ] {
            read(wrong).expect_err("two ways to read it");
        }
    }

    #[test]
    fn trusted_proxies_are_believed() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 6.6.6.6\r\nX-Real-IP: 7.7.7.7\r\n\
                    X-Forwarded-Proto: https\r\n\r\n";
        assert_eq!(
            passed_on(text, true, |_| {}),
            [
                "connection: close",
                "host: back:81",
                "x-forwarded-for: 1.1.1.1, 6.6.6.6, 10.0.0.1",
                "x-forwarded-host: a",
                "x-forwarded-port: 443",
                "x-forwarded-proto: https",
                "x-real-ip: 6.6.6.6"
            ]
        );
    }

    #[test]
    fn proxies_are_believed_by_the_header_they_set_alone() {
        let told = |headers: &str, header: ForwardedHeader| {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
            let passed = passed_on_from(&text, Some(header), |_| {});
            let of = |name: &str| passed.iter().find_map(|header| header.strip_prefix(name)).map(str::to_owned);
            (of("x-forwarded-for: "), of("x-real-ip: "))
        };
        let both = "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=2.2.2.2, for=\"6.6.6.6:80\"\r\n";
        let pair = |list: &str, client: &str| (Some(list.to_owned()), Some(client.to_owned()));
        assert_eq!(told(both, ForwardedHeader::Forwarded), pair("6.6.6.6, 10.0.0.1", "6.6.6.6"));
        assert_eq!(told(both, ForwardedHeader::XForwardedFor), pair("1.1.1.1, 10.0.0.1", "1.1.1.1"));
        let other = "X-Forwarded-For: 1.1.1.1\r\n";
        assert_eq!(told(other, ForwardedHeader::Forwarded), pair("10.0.0.1", "10.0.0.1"));
    }
}
