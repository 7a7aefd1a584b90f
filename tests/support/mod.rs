//! What the end-to-end tests share: a router process, and clients that owe nothing to Corebar's own code.

#![allow(
    unreachable_pub,
    dead_code,
    unused_imports,
    reason = "shared by several test programs, each of which uses a part"
)]

pub mod authority;
pub mod browser;
pub mod client;
pub mod crossbar;
pub mod directory;
pub mod http;
pub mod install;
pub mod monitor;
pub mod node;
pub mod raw;
pub mod request;
pub mod router;
pub mod tunnel;
pub mod ubjson;
pub mod value;
pub mod wire;

pub use authority::Authority;
pub use client::Client;
pub use crossbar::Crossbar;
pub use http::{Http, Poller};
pub use monitor::Monitor;
pub use request::{Event, Invocation};
pub use router::Router;
pub use tunnel::Tunnel;
pub use value::Value;
pub use wire::{Serializer, Transport, Wire};
