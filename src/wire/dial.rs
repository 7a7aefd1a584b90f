//! The opening of a connection on the client's side: WebSocket (RFC 6455, section 4.1) and WAMP RawSocket.

use super::handshake::Subprotocol;
use super::rawsocket::{MAGIC, MESSAGE_BYTES_MAX, RawAccepted};
use crate::wamp::Serializer;
use data_encoding::BASE64;
use tungstenite::handshake::derive_accept_key;

/// Octets of a response up to the end of its headers.
const HEADER_BYTES_MAX: usize = 16_384;
/// Headers of a response.
const HEADERS_MAX: usize = 64;

/// The other side did not agree. For a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// The request that asks for a WebSocket.
#[derive(Clone, Debug)]
pub struct Upgrade {
    request: String,
    accept: String,
    offered: Vec<Subprotocol>,
}

impl Upgrade {
    /// Asks `host` (with the port, if it is not that of the scheme) for a WebSocket at `target` (the path, with its query),
    /// by one of these subprotocols. `nonce` has to be drawn at random for each connection.
    #[must_use]
    pub fn new(host: &str, target: &str, offered: Vec<Subprotocol>, nonce: [u8; 16]) -> Upgrade {
        let key = BASE64.encode(&nonce);
        let names: Vec<String> = offered.iter().map(|subprotocol| subprotocol.name()).collect();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
            names.join(", ")
        );
        Upgrade { request, accept: derive_accept_key(key.as_bytes()), offered }
    }

    /// What to send.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        self.request.as_bytes()
    }

    /// Reads the response: the subprotocol that was chosen, and how many octets the response has. None: it is not
    /// complete.
    ///
    /// # Errors
    /// It is no agreement to what was asked for.
    pub fn response(&self, input: &[u8]) -> Result<Option<(Subprotocol, usize)>, Refused> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(input) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if input.len() < HEADER_BYTES_MAX => return Ok(None),
            Ok(httparse::Status::Partial) => return Err(Refused("the headers of the response are too long".into())),
            Err(error) => return Err(Refused(format!("the response is not HTTP: {error}"))),
        };
        let status = response.code.unwrap_or_default();
        if status != 101 {
            let reason = response.reason.unwrap_or_default();
            return Err(Refused(format!("no WebSocket is to be had here: {status} {reason}").trim_end().into()));
        }
        let value = |name: &str| {
            let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
        };
        let upgraded = value("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"))
            && value("connection").is_some_and(|of| of.split(',').any(|of| of.trim().eq_ignore_ascii_case("upgrade")));
        if !upgraded || value("sec-websocket-accept") != Some(&*self.accept) {
            return Err(Refused("the response is not the answer to this request for a WebSocket".into()));
        }
        if let Some(extensions) = value("sec-websocket-extensions") {
            return Err(Refused(format!("an extension was chosen that was not offered: {extensions}")));
        }
        let Some(name) = value("sec-websocket-protocol") else {
            return Err(Refused("the other side speaks none of the subprotocols of WAMP that were offered".into()));
        };
        match self.offered.iter().find(|offered| offered.name() == name) {
            Some(chosen) => Ok(Some((*chosen, length))),
            None => Err(Refused(format!("a subprotocol was chosen that was not offered: {name}"))),
        }
    }
}

/// The handshake that asks for a RawSocket; messages of up to `message_bytes_max` octets are taken (rounded down to a
/// power of two from 512 to 2^24).
#[must_use]
pub fn rawsocket_request(serializer: Serializer, message_bytes_max: usize) -> [u8; 4] {
    let exponent = message_bytes_max.clamp(1 << 9, MESSAGE_BYTES_MAX).ilog2();
    let own = u8::try_from(exponent - 9).unwrap_or_default();
    [MAGIC, own << 4 | serializer.rawsocket_code(), 0, 0]
}

/// Reads the answer to [`rawsocket_request`].
///
/// # Errors
/// The other side has refused, or speaks something else.
pub fn rawsocket_reply(request: [u8; 4], reply: [u8; 4]) -> Result<RawAccepted, Refused> {
    let [magic, second, third, fourth] = reply;
    if magic != MAGIC || third != 0 || fourth != 0 {
        return Err(Refused("the other side does not speak RawSocket".into()));
    }
    let refused = |why: &str| Err(Refused(format!("the other side refuses: {why}")));
    match (second & 0x0f, second >> 4) {
        (0, 1) => return refused("the serializer is not supported"),
        (0, 2) => return refused("the maximum message length is not acceptable"),
        (0, 3) => return refused("reserved bits are used"),
        (0, 4) => return refused("too many connections"),
        (0, code) => return refused(&format!("error {code}")),
        _ => {}
    }
    let chosen = Serializer::from_rawsocket(second & 0x0f);
    match chosen.filter(|chosen| chosen.rawsocket_code() == request[1] & 0x0f) {
        Some(serializer) => {
            let (own, peer) = (request[1] >> 4, second >> 4);
            Ok(RawAccepted { serializer, peer_max: 1 << (9 + peer), own_max: 1 << (9 + own), reply })
        }
        None => Err(Refused("a serializer was chosen that was not asked for".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::handshake::{self, HandshakeOptions, Step};
    use super::super::rawsocket;
    use super::*;

    fn offer() -> Vec<Subprotocol> {
        ["wamp.2.cbor", "wamp.2.json"].iter().filter_map(|name| Subprotocol::from_name(name)).collect()
    }

    #[test]
    fn our_own_router_agrees() {
        let upgrade = Upgrade::new("example.com:8080", "/ws", offer(), [7; 16]);
        let options = HandshakeOptions::default();
        let Step::Upgrade { accepted, consumed } = handshake::parse(upgrade.request(), &options) else {
            panic!("the request is good")
        };
        assert_eq!(consumed, upgrade.request().len());
        let response = [&accepted.response[..], b"\r\n"].concat();
        let (chosen, length) = upgrade.response(&response).expect("it is good").expect("it is complete");
        assert_eq!((&*chosen.name(), length), ("wamp.2.cbor", response.len()));
        for cut in 0..response.len() {
            assert_eq!(upgrade.response(&response[..cut]), Ok(None), "{cut}");
        }
    }

    #[test]
    fn what_is_no_agreement_is_refused() {
        let upgrade = Upgrade::new("a", "/", offer(), [7; 16]);
        let good = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n",
            upgrade.accept
        );
        assert!(matches!(upgrade.response(good.as_bytes()), Ok(Some(_))));
        for (from, to) in [
            ("101 Switching Protocols", "404 Not Found"),
            ("HTTP/1.1", "SSH-2.0"),
            ("WebSocket", "h2c"),
            ("keep-alive, upgrade", "keep-alive"),
            (&*upgrade.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("wamp.2.json", "wamp.2.msgpack"),
            ("Sec-WebSocket-Protocol: wamp.2.json\r\n", ""),
            ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert!(upgrade.response(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(upgrade.response(&[b'H'; HEADER_BYTES_MAX]).is_err());
        let endless = format!("HTTP/1.1 101 Yes\r\nA: {}", "a".repeat(HEADER_BYTES_MAX));
        assert!(upgrade.response(endless.as_bytes()).is_err());
    }

    #[test]
    fn rawsocket_is_agreed_on() {
        for serializer in Serializer::ALL {
            let request = rawsocket_request(serializer, 1 << 20);
            let theirs = rawsocket::handshake(request, 1 << 16, None).expect("a good request");
            let ours = rawsocket_reply(request, theirs.reply).expect("a good reply");
            assert_eq!((ours.serializer, ours.own_max, ours.peer_max), (serializer, 1 << 20, 1 << 16));
            assert_eq!((theirs.serializer, theirs.own_max, theirs.peer_max), (serializer, 1 << 16, 1 << 20));
        }
        let request = rawsocket_request(Serializer::Cbor, 0);
        let refused = rawsocket::handshake(request, 512, Some(&[Serializer::Json])).expect_err("not offered");
        let error = rawsocket_reply(request, refused.expect("an answer")).expect_err("a refusal");
        assert_eq!(error.to_string(), "the other side refuses: the serializer is not supported");
        assert!(rawsocket_reply(request, *b"HTTP").is_err());
        assert!(rawsocket_reply(request, [MAGIC, 0xf1, 0, 0]).is_err(), "another serializer");
        assert!(rawsocket_reply(request, [MAGIC, 0xf3, 0, 1]).is_err(), "reserved octets");
    }
}
