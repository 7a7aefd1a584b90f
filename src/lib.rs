//! Corebar: an application router for the WAMP protocol.
//!
//! Data flows one way: octets, frame, message, shard, effect, frame, octets. The modules below are listed from the
//! bottom up; each uses only those above it in this list.

pub mod wamp;

pub mod wire;

pub mod auth;

pub mod client;

#[cfg(feature = "router")]
pub mod session;

#[cfg(feature = "router")]
pub mod router;

#[cfg(feature = "sim")]
pub mod sim;

#[cfg(feature = "router")]
pub mod config;

#[cfg(feature = "router")]
pub mod store;

#[cfg(feature = "router")]
pub mod web;

#[cfg(feature = "router")]
pub mod traces;

#[cfg(feature = "router")]
mod bound;

#[cfg(feature = "router")]
pub mod shard;

#[cfg(feature = "router")]
pub mod transport;

#[cfg(feature = "router")]
pub mod courier;

#[cfg(feature = "router")]
pub mod link;

#[cfg(feature = "router")]
pub mod process;

#[cfg(feature = "router")]
pub mod node;

#[cfg(feature = "router")]
pub mod cli;
