//! Who a client is: what each authentication method is configured with, and what is known of a client before it says
//! anything.

pub mod config;
pub mod peer;

pub use config::AuthConfig;
pub use peer::{Peer, TlsPeer};
