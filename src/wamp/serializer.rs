//! The serializations of WAMP messages (specification, "Serializers").

/// How a peer writes WAMP messages as octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Serializer {
    /// JSON, RFC 8259, with byte strings as `"\u0000" + base64`.
    Json = 0,
    /// MessagePack, version 5 (with separate string and binary types).
    MsgPack = 1,
    /// CBOR, RFC 8949.
    Cbor = 2,
    /// UBJSON, draft 12: integers are big-endian, octets are a list of the type `U`.
    Ubjson = 3,
}

impl Serializer {
    /// Every serializer, in the order of [`Serializer::index`].
    pub const ALL: [Serializer; 4] = [Serializer::Json, Serializer::MsgPack, Serializer::Cbor, Serializer::Ubjson];

    /// A dense index, usable for arrays of `Serializer::ALL.len()` entries.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used in subprotocols and configuration: `json`, `msgpack`, `cbor` or `ubjson`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Serializer::Json => "json",
            Serializer::MsgPack => "msgpack",
            Serializer::Cbor => "cbor",
            Serializer::Ubjson => "ubjson",
        }
    }

    /// True if messages are text: they travel in WebSocket text frames.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Serializer::Json)
    }

    /// The serializer of a RawSocket handshake's `SERIALIZER` field.
    #[must_use]
    pub const fn from_rawsocket(code: u8) -> Option<Serializer> {
        match code {
            1 => Some(Serializer::Json),
            2 => Some(Serializer::MsgPack),
            3 => Some(Serializer::Cbor),
            4 => Some(Serializer::Ubjson),
            _ => None,
        }
    }

    /// The value of a RawSocket handshake's `SERIALIZER` field.
    #[must_use]
    pub const fn rawsocket_code(self) -> u8 {
        self as u8 + 1
    }
}
