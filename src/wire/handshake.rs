//! The opening handshake of WebSocket (RFC 6455, section 4.2), with the subprotocols of WAMP.

use super::deflate;
use super::forwarded::ForwardedHeader;
use super::http::{TWO_SERVERS, names_one_server, path_of, refusal, trim};
use super::origin::Origins;
use super::path;
use super::provenance::{Provenance, is_of_proxy};
use super::request::{HEADERS_MAX, NO_HOST, is_host, too_long};
use crate::wamp::Serializer;
use std::borrow::Cow;
use std::mem::MaybeUninit;
use tungstenite::handshake::derive_accept_key;

/// What an endpoint offers.
#[derive(Clone, Debug)]
pub struct HandshakeOptions {
    /// What is served where.
    pub paths: Vec<PathOptions>,
    /// The header in which proxies tell the client's address, if there are any.
    pub forwarded: Option<ForwardedHeader>,
    /// Octets of a request up to the end of its headers.
    pub header_bytes_max: usize,
    /// Names by which pages may know the endpoint, see [`Provenance`].
    pub hosts: Vec<Box<str>>,
    /// permessage-deflate is accepted if it is offered.
    pub deflate: bool,
    /// Here it is said whether the router is well, unless something else is served at exactly this path.
    pub health_path: Option<String>,
    /// Where what the router counts and measures is told.
    pub metrics_path: Option<String>,
    /// Here it is said whether clients should come, likewise.
    pub ready_path: Option<String>,
}

/// A path where something is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathOptions {
    /// The path, with the slash at its beginning.
    pub path: String,
    /// Everything below is served as well, unless it has options of its own.
    pub deep: bool,
    /// What is served.
    pub serves: Serves,
    /// The largest window for messages that are compressed, from 9 to 15 bits; none: permessage-deflate is not accepted.
    pub deflate: Option<u8>,
    /// What clients of WebSocket speak that name no subprotocol at all; none: they have to name one.
    pub assumed: Option<Subprotocol>,
}

/// What is served at a path, as far as it concerns handshakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serves {
    /// WebSocket, for these pages, by these subprotocols; none: by all.
    WebSocket(Origins, Option<Vec<Subprotocol>>),
    /// WebSocket for tests of WebSocket itself: connections need no subprotocol, and get back what they send.
    Echo,
    /// The long-poll transport.
    LongPoll,
    /// What others answer, handshakes too.
    Relay,
    /// Something else.
    Pages,
}

impl PathOptions {
    /// A path alone, with WebSocket for all pages.
    #[must_use]
    pub fn at(path: &str) -> PathOptions {
        PathOptions {
            path: path.into(),
            deep: false,
            serves: Serves::WebSocket(Origins::default(), None),
            deflate: Some(15),
            assumed: None,
        }
    }
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// To one of the paths that are served.
    Served {
        /// Which of them.
        index: usize,
        /// The names of the path, decoded.
        names: Vec<Cow<'a, str>>,
        /// How many of them the served path has itself.
        own: usize,
    },
    /// To a question of a load balancer.
    Probe(Probe),
    /// To what the router counts and measures.
    Metrics,
    /// Nowhere.
    Nowhere,
    /// It is none.
    Malformed,
}

impl HandshakeOptions {
    /// Where a path leads: of those served that it continues, name by name, to the longest.
    #[must_use]
    pub fn route<'a>(&self, path: &'a str) -> Route<'a> {
        let asked = [(&self.health_path, Probe::Health), (&self.ready_path, Probe::Ready)];
        if let Some((_, probe)) = asked.into_iter().find(|(known, _)| known.as_deref() == Some(path))
            && !self.paths.iter().any(|served| served.path == path)
        {
            return Route::Probe(probe);
        }
        if self.metrics_path.as_deref() == Some(path) && !self.paths.iter().any(|served| served.path == path) {
            return Route::Metrics;
        }
        let Some(names) = path::names(path) else { return self.relayed(path) };
        match self.covering(&names) {
            Some((own, index)) => Route::Served { index, names, own },
            None => Route::Nowhere,
        }
    }

    /// Of the paths that are served the longest that these names continue, and how many of them it has itself.
    fn covering(&self, names: &[Cow<'_, str>]) -> Option<(usize, usize)> {
        let covering = self.paths.iter().enumerate();
        let covering =
            covering.filter_map(|(index, served)| Some((path::covers(&served.path, served.deep, names)?, index)));
        covering.max_by_key(|(own, _)| *own)
    }

    /// Where a path leads that is none for us, but may be for those who are behind.
    fn relayed<'a>(&self, path: &'a str) -> Route<'a> {
        let Some(names) = path::opaque_names(path) else { return Route::Malformed };
        match self.covering(&names) {
            Some((own, index)) if self.paths[index].serves == Serves::Relay => Route::Served { index, names, own },
            _ => Route::Malformed,
        }
    }

    /// From where a request with these headers comes; `proxied` says that a proxy has left its traces, which is no wonder
    /// where there are some.
    #[must_use]
    pub fn provenance(&self, origin: Option<&str>, host: Option<&str>, proxied: bool) -> Provenance {
        Provenance::of(origin, host, proxied && self.forwarded.is_none(), &self.hosts)
    }

    /// What to say about a path where there is nothing, or at least no WebSocket.
    #[must_use]
    pub fn nothing_at(&self, path: &str) -> String {
        let websocket = |known: &&PathOptions| matches!(known.serves, Serves::WebSocket(..));
        let all: Vec<&str> = self.paths.iter().filter(websocket).map(|known| &*known.path).collect();
        match &*all {
            [] => format!("nothing is served at {path:?}"),
            all => format!("nothing is served at {path:?}; WebSocket is at {}", all.join(", ")),
        }
    }
}

impl Default for HandshakeOptions {
    fn default() -> Self {
        HandshakeOptions {
            paths: vec![PathOptions::at("/"), PathOptions::at("/ws")],
            forwarded: None,
            header_bytes_max: 16 * 1024,
            hosts: Vec::new(),
            deflate: true,
            health_path: None,
            metrics_path: None,
            ready_path: None,
        }
    }
}

/// A WebSocket subprotocol of WAMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subprotocol {
    /// How messages are serialized.
    pub serializer: Serializer,
    /// Several messages may come in one WebSocket message.
    pub batched: bool,
}

impl Subprotocol {
    /// The subprotocol of this name, such as `wamp.2.json` or `wamp.2.ubjson.batched`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Subprotocol> {
        let name = name.strip_prefix("wamp.2.")?;
        let (name, batched) = name.strip_suffix(".batched").map_or((name, false), |name| (name, true));
        let serializer = Serializer::ALL.into_iter().find(|serializer| serializer.name() == name)?;
        Some(Subprotocol { serializer, batched })
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        format!("wamp.2.{}{}", self.serializer.name(), if self.batched { ".batched" } else { "" })
    }
}

/// A handshake that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What to answer. The empty line behind the headers is missing: there may be more.
    pub response: Vec<u8>,
    /// Which of the paths it was.
    pub path: usize,
    /// The `Cookie` headers.
    pub cookies: Vec<String>,
    /// The headers in which proxies tell the client's address.
    pub forwarded: Vec<String>,
    /// Where the client comes from.
    pub provenance: Provenance,
    /// The subprotocol; none where connections get back what they send.
    pub protocol: Option<Subprotocol>,
    /// permessage-deflate is in use, with this window for what the server sends.
    pub deflate: Option<u8>,
}

/// What a load balancer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether the router is well.
    Health,
    /// Whether clients should come.
    Ready,
}

/// What a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The end of the headers has not come.
    NeedMore,
    /// A WebSocket connection; frames follow behind `consumed` octets.
    Upgrade {
        /// Octets of the request.
        consumed: usize,
        /// What was agreed.
        accepted: Accepted,
    },
    /// An ordinary request, from the first octet on.
    Request,
    /// Something else: answer and close.
    Refuse {
        /// What to answer.
        response: Vec<u8>,
    },
}

/// The headers of a request that matter here.
#[derive(Debug, Default)]
struct Request<'a> {
    upgrade: bool,
    connection_upgrade: bool,
    host: Option<&'a str>,
    /// So many times, also where it is no text.
    hosts: usize,
    origin: Option<&'a str>,
    /// A proxy has left its traces.
    proxied: bool,
    cookies: Vec<&'a str>,
    forwarded: Vec<&'a str>,
    version: Option<&'a str>,
    key: Option<&'a str>,
    key_repeated: bool,
    /// A body is announced.
    body: bool,
    protocols: Vec<&'a str>,
    extensions: Vec<&'a str>,
}

/// Reads a request from its first octet on; call again with more if it is not complete.
#[must_use]
pub fn parse(input: &[u8], options: &HandshakeOptions) -> Step {
    let refuse = |status, text: &str| Step::Refuse { response: refusal(status, &[], text) };
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let head = &input[..input.len().min(options.header_bytes_max)];
    let consumed = match request.parse_with_uninit_headers(head, &mut headers) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) if input.len() < options.header_bytes_max => return Step::NeedMore,
        Ok(httparse::Status::Partial) => {
            let refusal = too_long(&input[..options.header_bytes_max]);
            return refuse(refusal.status, refusal.text);
        }
        Err(httparse::Error::TooManyHeaders) => return refuse(431, "there are too many headers"),
        Err(httparse::Error::Version) => return refuse(505, "this is not HTTP/1.1"),
        Err(_) => return refuse(400, "this is not an HTTP request"),
    };
    let target = request.path.unwrap_or_default();
    let path = path_of(target);
    let read = read_headers(request.headers, options.forwarded);
    if !read.upgrade {
        return Step::Request;
    }
    if !names_one_server(target, read.host) {
        return refuse(TWO_SERVERS.status, TWO_SERVERS.text);
    }
    let (index, websocket) = match options.route(path) {
        Route::Served { index, .. } => match &options.paths[index].serves {
            Serves::WebSocket(origins, subprotocols) => (index, Some((origins, subprotocols.as_deref()))),
            Serves::Echo => (index, None),
            Serves::LongPoll | Serves::Relay => return Step::Request,
            Serves::Pages => return refuse(404, &options.nothing_at(path)),
        },
        Route::Malformed => return refuse(400, "the path is malformed"),
        Route::Probe(_) | Route::Metrics | Route::Nowhere => return refuse(404, &options.nothing_at(path)),
    };
    if request.method != Some("GET") && request.method != Some("HEAD") {
        let response = refusal(405, &[("Allow", "GET, HEAD")], "only GET and HEAD are served here");
        return Step::Refuse { response };
    }
    if request.method != Some("GET") || request.version != Some(1) {
        return refuse(400, "a WebSocket handshake is a GET of HTTP/1.1");
    }
    if websocket.is_some_and(|(origins, _)| !origins.allow(read.origin, read.host)) {
        return refuse(403, "pages of this origin may not connect");
    }
    match agree(&read, options, index, websocket.map(|(_, subprotocols)| subprotocols)) {
        Ok(accepted) => Step::Upgrade { consumed, accepted },
        Err(response) => Step::Refuse { response },
    }
}

fn read_headers<'a>(headers: &[httparse::Header<'a>], forwarded: Option<ForwardedHeader>) -> Request<'a> {
    let mut request = Request::default();
    for header in headers {
        request.hosts += usize::from(header.name.eq_ignore_ascii_case("host"));
        let Ok(value) = std::str::from_utf8(header.value) else { continue };
        let value = trim(value);
        request.proxied |= is_of_proxy(header.name);
        let has = |token: &str| value.split(',').any(|part| trim(part).eq_ignore_ascii_case(token));
        match &*header.name.to_ascii_lowercase() {
            "upgrade" => request.upgrade |= has("websocket"),
            "connection" => request.connection_upgrade |= has("upgrade"),
            "host" => request.host = Some(value),
            "origin" => request.origin = Some(value),
            "cookie" => request.cookies.push(value),
            name if forwarded.is_some_and(|header| header.name() == name) => request.forwarded.push(value),
            "content-length" => request.body |= value != "0",
            "transfer-encoding" => request.body = true,
            "sec-websocket-version" => request.version = Some(value),
            "sec-websocket-key" => request.key_repeated |= request.key.replace(value).is_some(),
            "sec-websocket-protocol" => request.protocols.extend(value.split(',').map(trim)),
            "sec-websocket-extensions" => request.extensions.push(value),
            _ => {}
        }
    }
    request
}

/// Finds what both sides speak; `subprotocols` is none where none is needed.
fn agree(
    request: &Request<'_>,
    options: &HandshakeOptions,
    path: usize,
    subprotocols: Option<Option<&[Subprotocol]>>,
) -> Result<Accepted, Vec<u8>> {
    let refuse = |text: &str| Err(refusal(400, &[], text));
    if request.version != Some("13") {
        let wanted = [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"), ("Connection", "Upgrade")];
        return Err(refusal(426, &wanted, "only version 13 of WebSocket is spoken here"));
    }
    if !request.connection_upgrade {
        return refuse("the header 'Connection: Upgrade' is missing");
    }
    match request.host {
        None => return refuse("the header 'Host' is missing"),
        Some(_) if request.hosts > 1 => return refuse("the header 'Host' must stand there once"),
        Some(host) if !is_host(host) => return refuse(NO_HOST.text),
        Some(_) => {}
    }
    if request.body {
        return refuse("a WebSocket handshake has no body");
    }
    let decoded = request.key.and_then(|key| data_encoding::BASE64.decode(key.as_bytes()).ok());
    let valid = !request.key_repeated && decoded.is_some_and(|octets| octets.len() == 16);
    let key = request.key.filter(|_| valid);
    let Some(key) = key else {
        return refuse("the header 'Sec-WebSocket-Key' must stand there once: 16 octets in base64");
    };
    let offered = |known: &Subprotocol| subprotocols.flatten().is_none_or(|offered| offered.contains(known));
    let known = || {
        let known = request.protocols.iter().filter_map(|name| Some((*name, Subprotocol::from_name(name)?)));
        known.filter(|(_, known)| offered(known))
    };
    // There are clients that know the end of a message in JSON batches by another separator than that of the specification.
    let plain = Subprotocol { serializer: Serializer::Json, batched: false };
    let chosen = match known().next() {
        Some((name, first)) if first == (Subprotocol { batched: true, ..plain }) => {
            known().find(|(_, known)| *known == plain).or(Some((name, first)))
        }
        first => first,
    };
    let assumed = options.paths[path].assumed.filter(|_| request.protocols.is_empty());
    if let (None, None, Some(offered)) = (chosen, assumed, subprotocols) {
        let names = offered.map(|offered| offered.iter().map(|known| known.name()).collect::<Vec<_>>().join(", "));
        let all = "wamp.2.json, wamp.2.msgpack, wamp.2.cbor, wamp.2.ubjson, or one of these with .batched";
        return refuse(&format!("a subprotocol is needed: one of {}", names.as_deref().unwrap_or(all)));
    }
    let window = options.paths[path].deflate.filter(|_| options.deflate);
    let extension = window.and_then(|window| deflate::negotiate(&request.extensions.join(","), window));
    let mut response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n",
        derive_accept_key(key.as_bytes())
    );
    if let Some((name, _)) = chosen {
        response.push_str(&format!("Sec-WebSocket-Protocol: {name}\r\n"));
    }
    if let Some((answer, _)) = &extension {
        response.push_str(&format!("Sec-WebSocket-Extensions: {answer}\r\n"));
    }
    let protocol = chosen.map(|(_, protocol)| protocol).or(assumed).filter(|_| subprotocols.is_some());
    let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    Ok(Accepted {
        response: response.into_bytes(),
        path,
        cookies: owned(&request.cookies),
        forwarded: owned(&request.forwarded),
        provenance: options.provenance(request.origin, request.host, request.proxied),
        protocol,
        deflate: extension.map(|(_, bits)| bits),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const BASE: &str = "Host: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n";

    fn ask(line: &str, headers: &str) -> Step {
        let mut options = HandshakeOptions::default();
        options.paths.push(PathOptions {
            path: "/echo".into(),
            deep: false,
            serves: Serves::Echo,
            ..PathOptions::at("/echo")
        });
        let cbor = Subprotocol { serializer: Serializer::Cbor, batched: false };
        let serves = Serves::WebSocket(Origins::default(), Some(vec![cbor]));
        options.paths.push(PathOptions { path: "/cbor".into(), deep: false, serves, ..PathOptions::at("/cbor") });
        options.paths.push(PathOptions {
            path: "/lp".into(),
            deep: true,
            serves: Serves::LongPoll,
            ..PathOptions::at("/lp")
        });
        options.paths.push(PathOptions {
            path: "/pages".into(),
            deep: true,
            serves: Serves::Pages,
            ..PathOptions::at("/pages")
        });
        parse(format!("{line} HTTP/1.1\r\n{headers}\r\n").as_bytes(), &options)
    }

    fn status(step: &Step) -> u16 {
        match step {
            Step::NeedMore => 0,
            Step::Upgrade { .. } => 101,
            Step::Request => 1,
            Step::Refuse { response } => String::from_utf8_lossy(&response[9..12]).parse().unwrap(),
        }
    }

    #[test]
    fn a_handshake_is_accepted() {
        let headers =
            format!("{BASE}{KEY}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: foo, wamp.2.cbor.batched\r\n");
        let Step::Upgrade { consumed, accepted } = ask("GET /ws?x=1", &headers) else { panic!() };
        assert_eq!(accepted.protocol, Some(Subprotocol { serializer: Serializer::Cbor, batched: true }));
        let text = String::from_utf8(accepted.response).unwrap();
        assert!(text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{text}");
        assert!(text.contains("Sec-WebSocket-Protocol: wamp.2.cbor.batched\r\n"));
        assert_eq!(consumed, "GET /ws?x=1 HTTP/1.1\r\n\r\n".len() + headers.len());
    }

    #[test]
    fn batches_of_json_are_taken_only_where_nothing_else_will_do() {
        for (offered, taken) in [
            ("wamp.2.json.batched, wamp.2.json", "wamp.2.json"),
            ("wamp.2.json.batched, wamp.2.cbor", "wamp.2.json.batched"),
            ("wamp.2.json, wamp.2.json.batched", "wamp.2.json"),
            ("wamp.2.cbor.batched, wamp.2.json.batched, wamp.2.json", "wamp.2.cbor.batched"),
        ] {
            let headers = format!("{BASE}{KEY}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {offered}\r\n");
            let Step::Upgrade { accepted, .. } = ask("GET /ws", &headers) else { panic!() };
            assert_eq!(accepted.protocol.map(Subprotocol::name).as_deref(), Some(taken), "{offered}");
        }
    }

    #[test]
    fn handshakes_are_refused() {
        let all = |extra: &str| format!("{BASE}{KEY}Sec-WebSocket-Version: 13\r\n{extra}");
        let wamp = "Sec-WebSocket-Protocol: wamp.2.json\r\n";
        assert_eq!(status(&ask("GET /", &all(wamp))), 101);
        assert_eq!(status(&ask("GET /", &all(""))), 400);
        assert_eq!(status(&ask("GET /", &all(&format!("{wamp}Content-Length: 0\r\n")))), 101);
        for body in ["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"] {
            assert_eq!(status(&ask("GET /", &all(&format!("{wamp}{body}")))), 400, "{body}");
        }
        let elsewhere = all(wamp).replacen("Host: x", "Host: a b", 1);
        assert_eq!(status(&ask("GET /", &elsewhere)), 400);
        for host in [&b"Host: x\r\n"[..], b"host: y\r\n", b"HOST: \xff\r\n"] {
            let twice = [b"GET / HTTP/1.1\r\n", host, all(wamp).as_bytes(), b"\r\n"].concat();
            assert_eq!(status(&parse(&twice, &HandshakeOptions::default())), 400, "{host:?}");
        }
        for spaced in ["Host: \u{a0}x\r\n", "Host: x\u{2003}\r\n"] {
            assert_eq!(status(&ask("GET /", &all(wamp).replacen("Host: x\r\n", spaced, 1))), 400, "{spaced}");
        }
        assert_eq!(status(&ask("GET /", &all(&format!("{wamp}Content-Length: \u{a0}0\r\n")))), 400);
        assert_eq!(status(&ask("GET /echo", &all(""))), 101);
        assert_eq!(status(&ask("GET /cbor", &all(wamp))), 400);
        let both = "Sec-WebSocket-Protocol: wamp.2.json, wamp.2.cbor.batched, wamp.2.cbor\r\n";
        let Step::Upgrade { accepted, .. } = ask("GET /cbor", &all(both)) else { panic!() };
        assert_eq!(accepted.protocol.map(Subprotocol::name).as_deref(), Some("wamp.2.cbor"));
        assert_eq!(status(&ask("GET /", &all("Sec-WebSocket-Protocol: wamp.3.json\r\n"))), 400);
        assert_eq!(status(&ask("GET /nowhere", &all(wamp))), 404);
        for uri in ["http://x", "HTTP://x/", "https://x/ws?y", "http://x?y"] {
            assert_eq!(status(&ask(&format!("GET {uri}"), &all(wamp))), 101, "{uri}");
        }
        assert_eq!(status(&ask("GET http://x/nowhere", &all(wamp))), 404);
        assert_eq!(status(&ask("GET http://y/", &all(wamp))), 400);
        assert_eq!(status(&ask("GET /", &all(&format!("{wamp}{KEY}")))), 400);
        assert_eq!(status(&ask("POST /", &all(wamp))), 405);
        for target in ["/lp", "/lp/open?x=1", "http://x/lp/a/b"] {
            assert_eq!(status(&ask(&format!("POST {target}"), &all(wamp))), 1, "{target}");
        }
        for target in ["/lpx", "/pages", "/pages/x", "/x/lp/open"] {
            assert_eq!(status(&ask(&format!("GET {target}"), &all(wamp))), 404, "{target}");
            assert_eq!(status(&ask(&format!("GET {target}"), "")), 1, "{target}");
        }
        assert_eq!(status(&ask("GET /ws/../ws", &all(wamp))), 400);
        assert_eq!(status(&ask("GET /", &format!("{BASE}{KEY}{wamp}Sec-WebSocket-Version: 8\r\n"))), 426);
        assert_eq!(status(&ask("GET /", &format!("{BASE}{wamp}Sec-WebSocket-Version: 13\r\n"))), 400);
        assert_eq!(status(&ask("GET /", "Host: x\r\n")), 1);
        assert_eq!(status(&parse(b"GET / HTTP/1.1\r\nHo", &HandshakeOptions::default())), 0);
        assert_eq!(status(&parse(b"\x16\x03\x01 garbage\r\n\r\n", &HandshakeOptions::default())), 400);
        let endless = [b"GET / HTTP/1.1\r\n".as_slice(), &b"x: y\r\n".repeat(5000)].concat();
        assert_eq!(status(&parse(&endless, &HandshakeOptions::default())), 431);
        let long = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &b"y".repeat(50_000)].concat();
        assert_eq!(status(&parse(&long, &HandshakeOptions::default())), 431);
        let far = [b"GET /".as_slice(), &b"y".repeat(50_000)].concat();
        assert_eq!(status(&parse(&far, &HandshakeOptions::default())), 414);
    }
}
