//! The opening of a connection, both sides: the WebSocket upgrade (RFC 6455 section 4) and RawSocket's four bytes.

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use sha1::{Digest, Sha1};

use crate::wire::framing::Framing;
use crate::wire::serializer::Serializer;
use crate::wire::target::{Request, Transport};

/// The longest head of a request or response, in bytes.
const LONGEST_HEAD: usize = 16 << 10;
const RAWSOCKET_MAGIC: u8 = 0x7f;
/// Announces messages of up to 16 MiB (the high four bits).
const RAWSOCKET_LENGTH: u8 = 0xf0;

/// A client's opening.
pub(crate) struct Opening {
    serializer: Serializer,
    /// The answer that the server owes to the key; None on RawSocket.
    accept: Option<String>,
    /// What the server must choose, on WebSocket.
    subprotocol: String,
}

/// A finished opening.
pub(crate) struct Opened {
    pub(crate) framing: Framing,
    pub(crate) serializer: Serializer,
    /// How many bytes of the input it took.
    pub(crate) used: usize,
    /// How the server calls itself in its answer to a WebSocket request.
    pub(crate) server: Option<String>,
    /// What to send (server side).
    pub(crate) answer: Vec<u8>,
}

impl Opening {
    /// Starts an opening; appends what to send to `out`.
    pub(crate) fn start(transport: &Transport, serializer: Serializer, out: &mut Vec<u8>) -> Self {
        let subprotocol = match transport {
            Transport::WebSocket(Request { subprotocol: Some(name), .. }) => name.clone(),
            _ => serializer.subprotocol().to_owned(),
        };
        let accept = match transport {
            Transport::RawSocket => {
                out.extend_from_slice(&[RAWSOCKET_MAGIC, RAWSOCKET_LENGTH | serializer.rawsocket_id(), 0, 0]);
                None
            }
            Transport::WebSocket(Request { host, path, headers, .. }) => {
                let key = BASE64.encode(&fastrand::u128(..).to_le_bytes());
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let request = format!(
                    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Protocol: {subprotocol}\r\n{headers}\r\n"
                );
                out.extend_from_slice(request.as_bytes());
                Some(accept_of(&key))
            }
        };
        Self { serializer, accept, subprotocol }
    }

    /// Reads the server's answer; None while it is incomplete.
    ///
    /// # Errors
    /// If the server refuses, or answers something else than it should.
    pub(crate) fn finish(&self, input: &[u8]) -> Result<Option<Opened>> {
        let serializer = self.serializer;
        let mut server = None;
        let (used, framing) = match &self.accept {
            None => {
                let Some(&[magic, second, ..]) = input.first_chunk::<4>() else { return Ok(None) };
                ensure!(magic == RAWSOCKET_MAGIC, "not a RawSocket server: it answered {input:02x?}");
                ensure!(second & 15 != 0, "the RawSocket handshake was refused with error {}", second >> 4);
                ensure!(second & 15 == serializer.rawsocket_id(), "the server chose another serializer");
                (4, Framing::client(false, serializer))
            }
            Some(accept) => {
                let Some((head, used)) = http_head(input)? else { return Ok(None) };
                let status = head.lines().next().unwrap_or_default();
                ensure!(status.split(' ').nth(1) == Some("101"), "the WebSocket upgrade was refused: {status}");
                ensure!(header(head, "sec-websocket-accept") == Some(accept), "wrong Sec-WebSocket-Accept");
                let chosen = header(head, "sec-websocket-protocol").unwrap_or("none");
                ensure!(chosen == self.subprotocol, "the server chose the subprotocol {chosen}");
                server = header(head, "server").map(str::to_owned);
                (used, Framing::client(true, serializer))
            }
        };
        Ok(Some(Opened { framing, serializer, used, server, answer: Vec::new() }))
    }
}

/// Reads a client's opening and prepares the answer; None while it is incomplete.
///
/// # Errors
/// If the client opens neither protocol, or offers no known serializer.
pub(crate) fn answer(input: &[u8]) -> Result<Option<Opened>> {
    match input {
        [] => Ok(None),
        [RAWSOCKET_MAGIC, ..] => {
            let Some(&[_, second, ..]) = input.first_chunk::<4>() else { return Ok(None) };
            let serializer = Serializer::from_rawsocket_id(second & 15).context("unknown serializer")?;
            let answer = vec![RAWSOCKET_MAGIC, RAWSOCKET_LENGTH | serializer.rawsocket_id(), 0, 0];
            Ok(Some(Opened { framing: Framing::RawSocket, serializer, used: 4, server: None, answer }))
        }
        _ => {
            let Some((head, used)) = http_head(input)? else { return Ok(None) };
            let key = header(head, "sec-websocket-key").context("no Sec-WebSocket-Key")?;
            let offered = header(head, "sec-websocket-protocol").unwrap_or_default();
            let serializer = offered.split(',').find_map(|name| Serializer::from_subprotocol(name.trim()));
            let serializer = serializer.with_context(|| format!("no known subprotocol in {offered:?}"))?;
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
                accept_of(key),
                serializer.subprotocol()
            );
            let framing = Framing::WebSocketServer { text: serializer == Serializer::Json };
            Ok(Some(Opened { framing, serializer, used, server: None, answer: answer.into_bytes() }))
        }
    }
}

fn accept_of(key: &str) -> String {
    BASE64.encode(&Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize())
}

fn http_head(input: &[u8]) -> Result<Option<(&str, usize)>> {
    let Some(end) = memchr::memmem::find(input, b"\r\n\r\n") else {
        if input.len() > LONGEST_HEAD {
            bail!("the HTTP head does not end");
        }
        return Ok(None);
    };
    Ok(Some((std::str::from_utf8(&input[..end]).context("the HTTP head is not text")?, end + 4)))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_is_that_of_the_rfc() {
        assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    fn request() -> Request {
        Request { host: "h".into(), path: "/".into(), ..Request::default() }
    }

    #[test]
    fn further_headers_and_the_subprotocol_go_into_the_request() {
        let mut sent = Vec::new();
        let headers = vec![("Origin".into(), "http://a".into()), ("X-Key".into(), "1".into())];
        let request = Request { headers, subprotocol: Some("wamp.2.cbor".into()), ..request() };
        let opening = Opening::start(&Transport::WebSocket(request), Serializer::Json, &mut sent);
        let (head, used) = http_head(&sent).expect("text").expect("complete");
        assert_eq!((header(head, "origin"), header(head, "x-key"), used), (Some("http://a"), Some("1"), sent.len()));
        assert_eq!(header(head, "sec-websocket-protocol"), Some("wamp.2.cbor"));
        let server = answer(&sent).expect("valid").expect("complete");
        assert!(opening.finish(&server.answer).is_ok(), "the server chose what was offered");
    }

    #[test]
    fn the_server_s_name_is_kept() {
        let mut sent = Vec::new();
        let opening = Opening::start(&Transport::WebSocket(request()), Serializer::Json, &mut sent);
        let server = answer(&sent).expect("valid").expect("complete");
        let named = String::from_utf8_lossy(&server.answer).replace("\r\nUpgrade", "\r\nServer: Some/1.0\r\nUpgrade");
        let opened = opening.finish(named.as_bytes()).expect("valid").expect("complete");
        assert_eq!(opened.server.as_deref(), Some("Some/1.0"));
    }

    #[test]
    fn both_sides_agree() {
        let websocket = Transport::WebSocket(request());
        for transport in [websocket, Transport::RawSocket] {
            for serializer in Serializer::ALL {
                let mut request = Vec::new();
                let opening = Opening::start(&transport, serializer, &mut request);
                assert!(answer(&request[..3]).expect("fine so far").is_none());
                let server = answer(&request).expect("valid").expect("complete");
                assert_eq!((server.serializer, server.used), (serializer, request.len()));
                assert!(opening.finish(&server.answer[..3]).expect("fine so far").is_none());
                let client = opening.finish(&server.answer).expect("valid").expect("complete");
                assert_eq!(client.used, server.answer.len());
            }
        }
    }

    #[test]
    fn refusals_are_errors_that_say_why() {
        let websocket = Transport::WebSocket(request());
        let opening = Opening::start(&websocket, Serializer::Json, &mut Vec::new());
        let error = opening.finish(b"HTTP/1.1 404 Not Found\r\n\r\n").err().expect("refused");
        assert!(error.to_string().contains("404"), "{error}");
        assert!(opening.finish(b"HTTP/1.1 101 Fine\r\n\r\n").is_err(), "no accept value");
        let opening = Opening::start(&Transport::RawSocket, Serializer::Json, &mut Vec::new());
        assert!(opening.finish(&[0x7f, 0x10, 0, 0]).is_err());
        assert!(answer(b"GET / HTTP/1.1\r\n\r\n").is_err());
    }
}
