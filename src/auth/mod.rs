//! Who a client is: what each authentication method is configured with, and what is known of a client before it says
//! anything.

mod certificate;
pub mod config;
pub mod cra;
mod crypto;
mod cryptosign;
pub mod exchange;
pub mod jwt;
pub mod login;
pub mod peer;
mod principal;
pub mod reach;
mod scram;
mod validity;

pub use config::{AuthConfig, AuthSettings};
pub use crypto::Entropy;
#[cfg(feature = "router")]
pub(crate) use crypto::hmac_sha256;
pub use exchange::{Admitted, Context, Exchange, Step};
pub use peer::{Inside, Known, Peer, TlsPeer};
