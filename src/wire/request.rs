//! HTTP/1.1 requests with bodies (RFC 9112), one after the other on a connection.

use super::forwarded::ForwardedHeader;
use super::http::{Refusal, TWO_SERVERS, names_one_server, path_of, query_of, trim};
use super::provenance::is_of_proxy;
use core::mem::MaybeUninit;

/// Headers that a request may have. Where they are put is not prepared beforehand: most requests have a few.
pub(super) const HEADERS_MAX: usize = 128;

/// Octets of the line in front of a chunk, extensions included.
const CHUNK_LINE_MAX: usize = 256;

/// Octets of the trailer behind the last chunk. It is read and forgotten.
const TRAILER_MAX: usize = 8 * 1024;

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// Neither `Content-Length` nor `Transfer-Encoding`: there is no body.
    Absent,
    /// So many octets.
    Octets(u64),
    /// Chunks, each with its length.
    Chunked,
}

/// The part of a request in front of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// Octets of the head, with the empty line behind it.
    pub octets: usize,
    /// `POST` and so on, as it came: methods have case.
    pub method: &'a str,
    /// The target without query.
    pub path: &'a str,
    /// What stands behind the question mark.
    pub query: Option<&'a str>,
    /// The body.
    pub body: BodyLength,
    /// The connection is to become one of WebSocket.
    pub upgrade: bool,
    /// What the client would like to be sent.
    pub wishes: Wishes<'a>,
    /// It is HTTP/1.1, so that chunks are understood.
    pub modern: bool,
    /// The connection must not be closed behind the response.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The listener, as the client names it.
    pub host: Option<&'a str>,
    /// A proxy has left its traces.
    pub proxied: bool,
    /// Where the page comes from whose script sent this, if a browser did.
    pub origin: Option<&'a str>,
    /// In a preflight: the headers that the script wants to send.
    pub wanted_headers: Option<&'a str>,
    /// A browser says that a page from elsewhere has sent this, as it does also where there is no `Origin`.
    pub cross_site: bool,
    /// The client takes JSON, and no pages.
    pub wants_json: bool,
    /// What may tell of the client's address, in order.
    pub forwarded: Vec<(ForwardedHeader, &'a str)>,
}

/// Headers that decide what is sent of a file. Of those that are there twice the last one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes<'a> {
    /// Only if it is one of these.
    pub if_match: Option<&'a str>,
    /// Only if it is not younger.
    pub if_unmodified_since: Option<&'a str>,
    /// Only if it is none of these.
    pub if_none_match: Option<&'a str>,
    /// Only if it is younger.
    pub if_modified_since: Option<&'a str>,
    /// Only a part of it.
    pub range: Option<&'a str>,
    /// Only a part of it, if it is still this one.
    pub if_range: Option<&'a str>,
    /// Which codings are understood.
    pub accept_encoding: Option<&'a str>,
}

impl<'a> Wishes<'a> {
    fn place(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("if-match") {
            Some(&mut self.if_match)
        } else if is("if-unmodified-since") {
            Some(&mut self.if_unmodified_since)
        } else if is("if-none-match") {
            Some(&mut self.if_none_match)
        } else if is("if-modified-since") {
            Some(&mut self.if_modified_since)
        } else if is("range") {
            Some(&mut self.range)
        } else if is("if-range") {
            Some(&mut self.if_range)
        } else if is("accept-encoding") {
            Some(&mut self.accept_encoding)
        } else {
            None
        }
    }
}

const fn bad(text: &'static str) -> Refusal {
    Refusal { status: 400, text }
}

/// A head that does not end within these octets.
pub(super) fn too_long(input: &[u8]) -> Refusal {
    match input.contains(&b'\n') {
        true => Refusal { status: 431, text: "the headers are too long" },
        false => Refusal { status: 414, text: "the address is too long" },
    }
}

/// Why a value is none of `Host` (RFC 9112, section 3.2; RFC 3986, section 3.2.2).
pub(super) const NO_HOST: Refusal = bad("the header 'Host' is not a host");

/// True for a host with or without a port. It may be empty.
pub(super) fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port))
                if address.bytes().all(|octet| octet.is_ascii_alphanumeric() || b":.".contains(&octet)) =>
            {
                ("", port)
            }
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&octet);
    let digits = |port: &str| port.bytes().all(|octet| octet.is_ascii_digit());
    name.bytes().all(plain) && (port.is_empty() || port.strip_prefix(':').is_some_and(digits))
}

/// Reads the head at the beginning of `input`, of at most `octets_max` octets. None: there is more to come.
///
/// # Errors
/// It is no request, or its body cannot be delimited for sure. Nothing behind it can be read.
pub fn head(input: &[u8], octets_max: usize) -> Result<Option<RequestHead<'_>>, Refusal> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let octets = match request.parse_with_uninit_headers(&input[..input.len().min(octets_max)], &mut headers) {
        Ok(httparse::Status::Complete(octets)) => octets,
        Ok(httparse::Status::Partial) if input.len() < octets_max => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(too_long(&input[..octets_max])),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal { status: 431, text: "there are too many headers" });
        }
        Err(httparse::Error::Version) => return Err(Refusal { status: 505, text: "this is not HTTP/1.1" }),
        Err(_) => return Err(bad("this is not an HTTP request")),
    };
    let modern = request.version == Some(1);
    let mut head = RequestHead {
        octets,
        method: request.method.unwrap_or_default(),
        path: path_of(request.path.unwrap_or_default()),
        query: query_of(request.path.unwrap_or_default()),
        body: BodyLength::Absent,
        upgrade: false,
        wishes: Wishes::default(),
        modern,
        keep_alive: modern,
        expects_continue: false,
        host: None,
        proxied: false,
        origin: None,
        wanted_headers: None,
        cross_site: false,
        wants_json: false,
        forwarded: Vec::new(),
    };
    let mut hosts = 0;
    for header in &*request.headers {
        if header.name.eq_ignore_ascii_case("host") {
            hosts += 1;
            head.host = std::str::from_utf8(header.value).ok().map(trim);
            if !head.host.is_some_and(is_host) {
                return Err(NO_HOST);
            }
        } else {
            head.take(header, modern)?;
        }
    }
    if hosts > 1 || (modern && hosts == 0) {
        return Err(bad("the header 'Host' must stand there once"));
    }
    if !names_one_server(request.path.unwrap_or_default(), head.host) {
        return Err(TWO_SERVERS);
    }
    // Older ones cannot ask for that (RFC 9110, section 7.8).
    head.upgrade &= modern;
    Ok(Some(head))
}

/// All headers of a head that has been read, as they came.
#[must_use]
pub fn raw_headers(head: &[u8]) -> Vec<(&str, &[u8])> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    // It has been read once.
    let _ = request.parse_with_uninit_headers(head, &mut headers);
    request.headers.iter().map(|header| (header.name, header.value)).collect()
}

/// All headers of a head that has been read, as far as they are text.
#[must_use]
pub fn headers(head: &[u8]) -> Vec<(Box<str>, Box<str>)> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    // It has been read once.
    let _ = request.parse_with_uninit_headers(head, &mut headers);
    let text = |header: &httparse::Header<'_>| {
        let value = std::str::from_utf8(header.value).ok()?;
        Some((header.name.into(), trim(value).into()))
    };
    request.headers.iter().filter_map(text).collect()
}

impl<'a> RequestHead<'a> {
    fn take(&mut self, header: &httparse::Header<'a>, modern: bool) -> Result<(), Refusal> {
        let named = |name: &str| header.name.eq_ignore_ascii_case(name);
        let text = std::str::from_utf8(header.value).map(trim);
        self.proxied |= is_of_proxy(header.name);
        if named("content-length") {
            let length = text.ok().and_then(digits).ok_or(bad("the header 'Content-Length' is not a length"))?;
            if self.body != BodyLength::Absent && self.body != BodyLength::Octets(length) {
                return Err(bad("the length of the body is said twice"));
            }
            self.body = BodyLength::Octets(length);
        } else if named("transfer-encoding") {
            if self.body != BodyLength::Absent {
                return Err(bad("the length of the body is said twice"));
            }
            if !modern {
                return Err(bad("HTTP/1.0 has no transfer codings"));
            }
            if !text.is_ok_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
                return Err(Refusal { status: 501, text: "the only transfer coding that is understood is 'chunked'" });
            }
            self.body = BodyLength::Chunked;
        } else if named("expect") {
            if !text.is_ok_and(|wish| wish.eq_ignore_ascii_case("100-continue")) {
                return Err(Refusal { status: 417, text: "the only expectation that is understood is '100-continue'" });
            }
            self.expects_continue = modern;
        } else if let Ok(value) = text {
            if named("connection") {
                self.keep_alive &= !value.split(',').any(|part| trim(part).eq_ignore_ascii_case("close"));
            } else if named("origin") {
                self.origin = Some(value);
            } else if named("sec-fetch-site") {
                self.cross_site = value == "cross-site";
            } else if named("accept") {
                let takes = |kind: &str| value.to_ascii_lowercase().contains(kind);
                self.wants_json = takes("application/json") && !takes("text/html");
            } else if named("access-control-request-headers") {
                self.wanted_headers = Some(value);
            } else if named("upgrade") {
                self.upgrade |= value.split(',').any(|part| trim(part).eq_ignore_ascii_case("websocket"));
            } else if let Some(wish) = self.wishes.place(header.name) {
                *wish = Some(value);
            } else if let Some(header) = ForwardedHeader::by_name(header.name) {
                self.forwarded.push((header, value));
            }
        }
        Ok(())
    }
}

/// A length in decimal digits only: no sign, no list.
fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// What has to come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// So many octets, of the whole body or of a chunk.
    Data(u64),
    /// The line in front of a chunk.
    ChunkLine,
    /// The line end behind a chunk.
    ChunkEnd,
    /// What stands behind the last chunk.
    Trailer,
    Nothing,
}

/// Reads the body of one request.
#[derive(Debug)]
pub struct BodyReader {
    next: Next,
    chunked: bool,
    octets_max: usize,
    trailer: usize,
    data: Vec<u8>,
    /// Octets that have been taken out.
    taken: usize,
}

impl BodyReader {
    /// A reader of a body of at most `octets_max` octets.
    ///
    /// # Errors
    /// The announced length is more: 413.
    pub fn new(length: BodyLength, octets_max: usize) -> Result<BodyReader, Refusal> {
        let next = match length {
            BodyLength::Absent | BodyLength::Octets(0) => Next::Nothing,
            BodyLength::Octets(octets) => Next::Data(octets),
            BodyLength::Chunked => Next::ChunkLine,
        };
        let chunked = length == BodyLength::Chunked;
        let reader = BodyReader { next, chunked, octets_max, trailer: 0, data: Vec::new(), taken: 0 };
        if let Next::Data(octets) = next {
            reader.fits(octets)?;
        }
        Ok(reader)
    }

    /// True if all of it has come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.next == Next::Nothing
    }

    /// What has come.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Takes out what has come, for who needs it piece by piece.
    pub fn take(&mut self) -> Vec<u8> {
        self.taken += self.data.len();
        std::mem::take(&mut self.data)
    }

    /// Takes octets from the front of `input` and gives their number. Lines are only taken whole: what is left of
    /// `input` has to be given again with more behind it.
    ///
    /// # Errors
    /// The chunks are malformed, or the body is too large.
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            match self.next {
                Next::Nothing => return Ok(at),
                _ if rest.is_empty() => return Ok(at),
                Next::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    self.data.extend_from_slice(&rest[..here]);
                    at += here;
                    self.next = match left - here as u64 {
                        0 if self.chunked => Next::ChunkEnd,
                        0 => Next::Nothing,
                        left => Next::Data(left),
                    };
                }
                Next::ChunkLine => {
                    let Some(line) = line(rest, CHUNK_LINE_MAX)? else { return Ok(at) };
                    at += line.len() + 2;
                    self.next = match chunk_size(line)? {
                        0 => Next::Trailer,
                        size => {
                            self.fits(size)?;
                            Next::Data(size)
                        }
                    };
                }
                Next::ChunkEnd => {
                    match line(rest, 0)? {
                        Some(_) => at += 2,
                        None => return Ok(at),
                    }
                    self.next = Next::ChunkLine;
                }
                Next::Trailer => {
                    let Some(line) = line(rest, TRAILER_MAX - self.trailer)? else { return Ok(at) };
                    at += line.len() + 2;
                    self.trailer = (self.trailer + line.len() + 2).min(TRAILER_MAX);
                    if line.is_empty() {
                        self.next = Next::Nothing;
                    }
                }
            }
        }
    }

    fn fits(&self, more: u64) -> Result<(), Refusal> {
        let room = self.octets_max.saturating_sub(self.taken).saturating_sub(self.data.len());
        if usize::try_from(more).is_ok_and(|more| more <= room) {
            return Ok(());
        }
        Err(Refusal { status: 413, text: "the body is too large" })
    }
}

/// The line at the beginning of `input`, without its end; none if it has not come whole.
fn line(input: &[u8], octets_max: usize) -> Result<Option<&[u8]>, Refusal> {
    const BAD: Refusal = bad("the chunks of the body are malformed");
    let end = input.iter().take(octets_max + 1).position(|octet| *octet == b'\r');
    match end {
        Some(end) => match input.get(end + 1) {
            Some(b'\n') if !input[..end].contains(&b'\n') => Ok(Some(&input[..end])),
            Some(_) => Err(BAD),
            None => Ok(None),
        },
        None if input.len() > octets_max || input.contains(&b'\n') => Err(BAD),
        None => Ok(None),
    }
}

/// The size in a chunk's line; extensions are ignored.
fn chunk_size(line: &[u8]) -> Result<u64, Refusal> {
    let end = line.iter().position(|octet| !octet.is_ascii_hexdigit()).unwrap_or(line.len());
    let (size, extensions) = line.split_at(end);
    let text =
        std::str::from_utf8(size).ok().filter(|_| matches!(extensions.first(), None | Some(b';' | b' ' | b'\t')));
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(bad("the size of a chunk is malformed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Option<RequestHead<'_>>, u16> {
        head(text.as_bytes(), 1000).map_err(|refusal| refusal.status)
    }

    #[track_caller]
    fn whole(text: &str) -> RequestHead<'_> {
        parse(text).expect("a good head").expect("a whole head")
    }

    #[test]
    fn heads_are_read() {
        let text = "POST http://x/a/b?x=1 HTTP/1.1\r\nHOST: x\r\nContent-length: 5\r\nOrigin: https://o\r\n\r\nhello";
        let head = whole(text);
        assert_eq!((head.octets, head.method, head.path), (text.len() - 5, "POST", "/a/b"));
        assert_eq!((head.body, head.keep_alive, head.origin), (BodyLength::Octets(5), true, Some("https://o")));
        let head = whole("OPTIONS /a HTTP/1.1\r\nhost: x\r\nConnection: x, Close\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!((head.body, head.keep_alive, head.expects_continue), (BodyLength::Absent, false, true));
        let spaced = whole("POST / HTTP/1.1\r\nHost:\t x \t\r\nContent-Length:\t5 \t\r\n\r\n");
        assert_eq!((spaced.host, spaced.body), (Some("x"), BodyLength::Octets(5)));
        assert!(!whole("POST /a HTTP/1.0\r\n\r\n").keep_alive);
        assert_eq!(whole("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n").body, BodyLength::Chunked);
        let same = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n";
        assert_eq!(whole(same).body, BodyLength::Octets(7));
    }

    #[test]
    fn heads_may_come_in_parts_but_not_for_ever() {
        let text = "POST /a HTTP/1.1\r\nHost: x\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]), Ok(None));
        }
        assert_eq!(parse(&format!("POST /a HTTP/1.1\r\nX: {}", "y".repeat(2000))), Err(431));
        assert_eq!(parse(&format!("POST /{}", "y".repeat(2000))), Err(414));
        let many = |count: usize| {
            let text = format!("POST /a HTTP/1.1\r\nHost: x\r\n{}\r\n", "a:b\r\n".repeat(count));
            parse(&text).map(|head| head.is_some())
        };
        assert_eq!((many(HEADERS_MAX - 1), many(HEADERS_MAX)), (Ok(true), Err(431)));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (headers, status) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
            ("Content-Length: 5, 5\r\n", 400),
            ("Content-Length: +5\r\n", 400),
            ("Content-Length: -1\r\n", 400),
            ("Content-Length:\r\n", 400),
            ("Content-Length: 99999999999999999999999\r\n", 400),
            ("Content-Length : 5\r\n", 400),
            ("Transfer-Encoding: gzip, chunked\r\n", 501),
            // White space, but not that of HTTP: others read another coding, or none.
            ("Transfer-Encoding: \u{a0}chunked\r\n", 501),
            ("Transfer-Encoding: chunked\u{85}\r\n", 501),
            ("Content-Length: 5\u{a0}\r\n", 400),
            ("Content-Length: \u{2003}5\r\n", 400),
            ("Expect: the unexpected\r\n", 417),
            ("Host: y\r\n", 400),
            ("X: y\r\n\x7f: 1\r\n", 400),
            ("X: y\r\n folded\r\n", 400),
        ] {
            assert_eq!(parse(&format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n")), Err(status), "{headers}");
        }
        assert_eq!(parse("POST / HTTP/1.1\r\n\r\n"), Err(400));
        for host in ["", "a", "a:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:80", "a_b.example"] {
            parse(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).expect("a host").expect("a head");
        }
        for host in [
            "a b",
            "a/b",
            "a/b@c",
            "a@b",
            "a:b",
            "[::1",
            "[::1]x",
            "a,b:80:80",
            "a\"b",
            "\u{e9}",
            "\u{a0}a",
            "a\u{2003}",
        ] {
            assert_eq!(parse(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), Err(400), "{host}");
        }
        for (target, host, one) in [
            ("http://a/", "a", true),
            ("HTTP://A.b/x", "a.B:80", true),
            ("http://a:80?x", "a", true),
            ("http://a:", "a", true),
            ("https://a:443/", "a", true),
            ("http://[::1]/", "[::1]:80", true),
            ("http://evil/x", "localhost", false),
            ("http://a/", "a:8080", false),
            ("http://a:8080/", "a", false),
            ("https://a:80/", "a", false),
            ("http://a@b/", "b", false),
            ("http:///x", "a", false),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(parse(&text).err(), (!one).then_some(400), "{target} {host}");
        }
        parse("GET http://a/ HTTP/1.0\r\n\r\n").expect("one server").expect("a head");
        assert_eq!(parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(400));
        assert_eq!(parse("POST / HTTP/2.0\r\n\r\n"), Err(505));
        assert_eq!(parse("\u{16}garbage\r\n\r\n"), Err(400));
    }

    /// Feeds `input` in pieces of so many octets; gives the body and what is left behind it.
    fn feed(length: BodyLength, input: &[u8], piece: usize) -> Result<(Vec<u8>, usize), u16> {
        let mut reader = BodyReader::new(length, 1000).map_err(|refusal| refusal.status)?;
        let mut waiting = Vec::new();
        for piece in input.chunks(piece) {
            waiting.extend_from_slice(piece);
            let used = reader.feed(&waiting).map_err(|refusal| refusal.status)?;
            waiting.drain(..used);
        }
        if reader.is_complete() { Ok((reader.data().to_vec(), waiting.len())) } else { Err(0) }
    }

    #[test]
    fn bodies_are_read() {
        for piece in 1..50 {
            assert_eq!(feed(BodyLength::Octets(5), b"helloPOST", piece), Ok((b"hello".to_vec(), 4)));
            let chunks = b"5\r\nhello\r\n1;x=\"y\"\r\n \r\n00a \r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nPOST";
            assert_eq!(feed(BodyLength::Chunked, chunks, piece), Ok((b"hello 0123456789".to_vec(), 4)));
        }
        assert!(BodyReader::new(BodyLength::Absent, 0).expect("no body").is_complete());
    }

    #[test]
    fn broken_and_large_bodies_are_refused() {
        assert_eq!(feed(BodyLength::Octets(1001), b"x", 1), Err(413));
        assert_eq!(feed(BodyLength::Octets(u64::MAX), b"x", 1), Err(413));
        let many = [b"1f4\r\n".as_slice(), &[b'x'; 500], b"\r\n1f5\r\n"].concat();
        assert_eq!(feed(BodyLength::Chunked, &many, 7), Err(413));
        for broken in
            ["\r\n", "x\r\n", "-1\r\n", "0x1\r\n", "1\n", "1\nx\r\n", "1\r\nxx", "1\r\nx\n0", "1\rx", "1x\r\n"]
        {
            assert_eq!(feed(BodyLength::Chunked, broken.as_bytes(), 1), Err(400), "{broken:?}");
        }
        assert_eq!(feed(BodyLength::Chunked, b"ffffffffffffffff\r\n", 1), Err(413));
        assert_eq!(feed(BodyLength::Chunked, b"fffffffffffffffff\r\n", 1), Err(400));
        assert_eq!(feed(BodyLength::Chunked, &[b'1'; 300], 1), Err(400));
        let trailers = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(10_000)].concat();
        assert_eq!(feed(BodyLength::Chunked, &trailers, 1000), Err(400));
    }

    proptest! {
        #[test]
        fn chunks_of_any_size_come_together(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..10),
            piece in 1..100_usize,
        ) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(feed(BodyLength::Chunked, &input, piece), Ok((chunks.concat(), 0)));
        }

        #[test]
        fn nothing_panics(input in prop::collection::vec(any::<u8>(), 0..300), piece in 1..20_usize) {
            let _ = head(&input, 200);
            let _ = feed(BodyLength::Chunked, &input, piece);
        }
    }
}
