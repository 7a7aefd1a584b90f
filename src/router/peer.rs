//! The closed vocabulary between shards.

/// A message from one shard to another.
#[derive(Debug)]
pub enum ShardMsg {
    /// For now.
    Nothing,
}

impl ShardMsg {
    /// Roughly how many octets the message keeps alive: what queues between shards are measured in.
    #[must_use]
    pub fn weight(&self) -> usize {
        64
    }
}
