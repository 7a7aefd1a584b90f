//! Octets to frames and back: WebSocket (RFC 6455, RFC 7692) and WAMP RawSocket, without IO.

pub mod frame;
