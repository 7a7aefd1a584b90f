//! The ways to talk to the router.

use super::ubjson;
use super::value::Value;
use std::fmt;

/// A serialization of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serializer {
    Json,
    MsgPack,
    Cbor,
    Ubjson,
}

impl Serializer {
    pub const ALL: [Serializer; 4] = [Serializer::Json, Serializer::MsgPack, Serializer::Cbor, Serializer::Ubjson];

    /// The name of the WebSocket subprotocol.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Serializer::Json => "wamp.2.json",
            Serializer::MsgPack => "wamp.2.msgpack",
            Serializer::Cbor => "wamp.2.cbor",
            Serializer::Ubjson => "wamp.2.ubjson",
        }
    }

    /// The number in a RawSocket handshake.
    pub const fn rawsocket_id(self) -> u8 {
        match self {
            Serializer::Json => 1,
            Serializer::MsgPack => 2,
            Serializer::Cbor => 3,
            Serializer::Ubjson => 4,
        }
    }

    /// Serializes a value.
    pub fn encode(self, value: &Value) -> Vec<u8> {
        match self {
            Serializer::Json => serde_json::Value::from(value.clone()).to_string().into_bytes(),
            Serializer::MsgPack => rmp_serde::to_vec(value).expect("every value can be written"),
            Serializer::Cbor => {
                let mut octets = Vec::new();
                ciborium::into_writer(value, &mut octets).expect("every value can be written");
                octets
            }
            Serializer::Ubjson => ubjson::encode(value, ubjson::Form::Plain),
        }
    }

    /// Reads a value; what is not one fails the test.
    #[track_caller]
    pub fn decode(self, octets: &[u8]) -> Value {
        let value: Result<Value, String> = match self {
            Serializer::Json => {
                serde_json::from_slice(octets).map(serde_json::Value::into).map_err(|error| error.to_string())
            }
            Serializer::MsgPack => rmp_serde::from_slice(octets).map_err(|error| error.to_string()),
            Serializer::Cbor => ciborium::from_reader(octets).map_err(|error| error.to_string()),
            Serializer::Ubjson => ubjson::decode(octets),
        };
        value.unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(octets)))
    }
}

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    RawSocket,
}

/// A transport and a serialization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    pub transport: Transport,
    pub serializer: Serializer,
}

impl Wire {
    pub const JSON: Wire = Wire { transport: Transport::WebSocket, serializer: Serializer::Json };

    /// Every combination.
    pub fn all() -> impl Iterator<Item = Wire> {
        [Transport::WebSocket, Transport::RawSocket]
            .into_iter()
            .flat_map(|transport| Serializer::ALL.into_iter().map(move |serializer| Wire { transport, serializer }))
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.transport, self.serializer)
    }
}
