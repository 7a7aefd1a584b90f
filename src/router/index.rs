//! How shards are told apart.

/// The number of a shard, from 0.
pub type ShardIndex = u16;

/// The largest number of shards.
pub const SHARDS_MAX: ShardIndex = 128;
