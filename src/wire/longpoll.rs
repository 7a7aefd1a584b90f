//! The vocabulary of the long-poll transport (specification, "HTTP Longpoll Transport"): its endpoints, the ids of
//! transports, and the bodies of `open`.

use super::handshake::Subprotocol;
use crate::wamp::codec;
use crate::wamp::{Serializer, Value};
use data_encoding::BASE64URL_NOPAD;

/// Octets of a transport's secret: enough that nobody finds a transport by guessing.
pub const SECRET_BYTES: usize = 16;

/// A transport: which shard has it, and a secret, without which nobody can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransportId {
    /// The shard.
    pub shard: u16,
    /// Random octets.
    pub secret: [u8; SECRET_BYTES],
}

impl TransportId {
    /// Reads the text of a URL; none if no transport can have it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<TransportId> {
        let octets = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (shard, secret) = octets.split_first_chunk::<2>()?;
        Some(TransportId { shard: u16::from_be_bytes(*shard), secret: secret.try_into().ok()? })
    }

    /// The text for URLs: the shard and the secret in base64url.
    #[must_use]
    pub fn to_text(&self) -> String {
        BASE64URL_NOPAD.encode(&[&self.shard.to_be_bytes()[..], &self.secret].concat())
    }
}

/// What can be asked of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give messages to the client.
    Receive,
    /// Take messages from the client.
    Send,
    /// End the transport.
    Close,
}

/// What a path below the base means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A new transport.
    Open,
    /// An existing one; none if its id is not of the right form.
    Transport(Option<TransportId>, Action),
}

impl Endpoint {
    /// The endpoint at a path relative to the base, if there is one.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Endpoint> {
        let Some((id, action)) = path.split_once('/') else {
            return (path == "open").then_some(Endpoint::Open);
        };
        let action = match action {
            "receive" => Action::Receive,
            "send" => Action::Send,
            "close" => Action::Close,
            _ => return None,
        };
        Some(Endpoint::Transport(TransportId::from_text(id), action))
    }
}

/// The nesting of what clients send to `open`, with room for what later versions may add.
const OPEN_DEPTH_MAX: u16 = 16;

/// Reads the body of `open`: the first protocol of the client's list that is known here.
///
/// # Errors
/// A text for a person.
pub fn choose(body: &[u8]) -> Result<Subprotocol, String> {
    let value = codec::json_document(body, OPEN_DEPTH_MAX).map_err(|error| error.to_string())?;
    let protocols = value.as_dict().and_then(|dict| dict.get("protocols"));
    let Some(Value::List(protocols)) = protocols else {
        return Err("the body must be a JSON object with a list 'protocols'".into());
    };
    let known = protocols.iter().find_map(|name| Subprotocol::from_name(name.as_str()?));
    known.ok_or_else(|| format!("none of the protocols is known; these are: {}", known_protocols().join(", ")))
}

fn known_protocols() -> Vec<String> {
    let both = |serializer: Serializer| [false, true].map(|batched| Subprotocol { serializer, batched }.name());
    Serializer::ALL.into_iter().flat_map(both).collect()
}

/// The body of the response to `open`.
#[must_use]
pub fn opened(protocol: Subprotocol, id: &TransportId) -> String {
    // Neither has a character that JSON escapes.
    format!(r#"{{"protocol":"{}","transport":"{}"}}"#, protocol.name(), id.to_text())
}

/// The content type of messages.
#[must_use]
pub const fn content_type(serializer: Serializer) -> &'static str {
    if serializer.is_text() { "application/json" } else { "application/octet-stream" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_texts_for_urls() {
        for (shard, octet) in [(0, 0), (1, 0xff), (u16::MAX, 0x3e)] {
            let id = TransportId { shard, secret: [octet; SECRET_BYTES] };
            let text = id.to_text();
            assert_eq!(text.len(), 24);
            assert!(text.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')), "{text}");
            assert_eq!(TransportId::from_text(&text), Some(id));
            assert_eq!(TransportId::from_text(&text[1..]), None);
            assert_eq!(TransportId::from_text(&format!("{text}A")), None);
        }
        assert_eq!(TransportId::from_text(""), None);
        assert_eq!(TransportId::from_text("../../../../../../etc/pw"), None);
    }

    #[test]
    fn endpoints() {
        let id = TransportId { shard: 3, secret: [7; SECRET_BYTES] };
        let text = id.to_text();
        assert_eq!(Endpoint::from_path("open"), Some(Endpoint::Open));
        for (name, action) in [("receive", Action::Receive), ("send", Action::Send), ("close", Action::Close)] {
            let wanted = Some(Endpoint::Transport(Some(id), action));
            assert_eq!(Endpoint::from_path(&format!("{text}/{name}")), wanted);
            assert_eq!(Endpoint::from_path(&format!("x/{name}")), Some(Endpoint::Transport(None, action)));
        }
        for path in ["", "/", "open/", "Open", "send", &text, &format!("{text}/"), &format!("{text}/send/")] {
            assert_eq!(Endpoint::from_path(path), None, "{path:?}");
        }
    }

    #[test]
    fn the_first_known_protocol_is_chosen() {
        let chosen = |list: &str| choose(format!(r#"{{"x":null, "protocols":{list}}}"#).as_bytes());
        let cbor = Subprotocol { serializer: Serializer::Cbor, batched: true };
        assert_eq!(chosen(r#"["wamp.3.json", 7, "wamp.2.cbor.batched", "wamp.2.json"]"#), Ok(cbor));
        for name in known_protocols() {
            assert_eq!(chosen(&format!("[{name:?}]")).expect("a known protocol").name(), name);
        }
        for list in ["[]", "[\"wamp.2\"]", "null", "\"wamp.2.json\"", "[\"wamp.2.json\"", "[[\"wamp.2.json\"]]"] {
            assert!(chosen(list).is_err(), "{list}");
        }
        for body in ["", "[]", "null", "{}", "{\"protocols\":[\"wamp.2.json\"]}x", "\u{feff}{}"] {
            assert!(choose(body.as_bytes()).is_err(), "{body}");
        }
        assert!(choose(&b"[".repeat(100_000)).is_err());
        assert!(choose(b"{\"protocols\":[\"wamp.2.json\"],\"x\":\"\xff\"}").is_err());
    }
}
