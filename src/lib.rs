//! Corebar: an application router for the WAMP protocol.
//!
//! Data flows one way: octets, frame, message, shard, effect, frame, octets. The modules below are listed from the
//! bottom up; each uses only those above it in this list.

pub mod wamp;

pub mod wire;

pub mod auth;

pub mod client;

pub mod session;

pub mod router;

#[cfg(feature = "sim")]
pub mod sim;

pub mod config;

pub mod store;

pub mod web;

pub mod shard;

pub mod transport;

pub mod courier;

pub mod process;

pub mod node;

pub mod cli;
