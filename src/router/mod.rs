//! The core: one [`Shard`] per reactor thread, deterministic, without IO, clock, threads or global randomness.
//!
//! The owner of a shard calls [`Shard::open`], [`Shard::receive`], [`Shard::lost`], [`Shard::peer`] and
//! [`Shard::shutdown`] with the present time, and after each call takes every [`Effect`] from [`Shard::poll`].

pub mod config;
pub mod effect;
pub mod peer;
pub mod shard;

pub use config::{Limits, RealmConfig, ShardConfig};
pub use effect::{ConnId, Effect, Ending, Link, ShardIndex};
pub use peer::ShardMsg;
pub use shard::Shard;
