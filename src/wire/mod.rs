//! Octets to frames and back: WebSocket (RFC 6455, RFC 7692) and WAMP RawSocket, without IO.

pub mod batch;
pub mod deflate;
pub mod dial;
pub mod event;
pub mod forwarded;
pub mod frame;
pub mod handshake;
pub mod http;
pub mod longpoll;
mod mask;
pub mod origin;
pub mod path;
pub mod provenance;
pub mod proxy;
pub mod rawsocket;
pub mod reader;
pub mod request;
pub mod websocket;

pub use event::{Inbound, WireError, WireEvent};
pub use frame::{Frame, FrameBuilder, Framing};
pub use handshake::{Accepted, HandshakeOptions, Step};
pub use reader::Reader;
