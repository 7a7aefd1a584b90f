//! The core: one [`Shard`] per reactor thread, deterministic, without IO, clock, threads or global randomness.
//!
//! The owner of a shard calls [`Shard::open`], [`Shard::receive`], [`Shard::violate`], [`Shard::lost`],
//! [`Shard::peer`], [`Shard::expire`], [`Shard::reform`] and [`Shard::shutdown`] with the present time, and after each call takes every
//! [`Effect`] from [`Shard::poll`]. The rules that keep order between shards are in `docs/ordering.md`.

mod access;
mod attempts;
mod barrier;
mod broker;
mod call;
mod cancel;
pub mod choice;
pub mod config;
pub mod counters;
mod dealer;
mod deliver;
mod draining;
pub mod effect;
mod errand;
mod fan;
mod frames;
mod home;
pub mod index;
mod invocation;
mod lane;
mod lifecycle;
mod listing;
mod map;
mod meta;
pub mod nodes;
mod opening;
pub mod pattern;
pub mod peer;
mod publish;
pub mod record;
mod reform;
mod replica;
mod request;
mod retained;
mod session;
pub mod shard;
mod store;
pub mod subject;
mod table;
#[cfg(test)]
mod tests;
mod timers;
pub mod trace;
mod view;
mod waiting;

pub use access::{Decider, Difference, Differences, differences};
pub use attempts::Attempts;
pub use config::{Limits, Policy, Rule, ShardConfig};
pub use counters::{Counters, Histogram, RealmCounters, RoleCounters};
pub use draining::Drain;
pub use effect::{CallOut, ConnId, Effect, Ending, Link, Verdict, Work};
pub use index::{SHARDS_MAX, ShardIndex};
pub use listing::{SubjectKind, SubjectPlace, SubjectQuery, SubjectView};
pub(crate) use meta::event::rfc3339;
pub use peer::ShardMsg;
pub use record::{Past, PastEvent, Record};
pub use shard::Shard;
pub use trace::{Sampling, Span, Traced};
pub use view::SessionView;
