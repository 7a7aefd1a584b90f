//! Connections to any WAMP router: transports, handshakes, serializers, and who joins.

pub(crate) mod auth;
pub(crate) mod framing;
pub(crate) mod handshake;
pub(crate) mod join;
pub(crate) mod link;
pub(crate) mod net;
pub(crate) mod serializer;
pub(crate) mod stream;
pub(crate) mod target;
pub(crate) mod template;
pub(crate) mod tls;
pub(crate) mod ubjson;
