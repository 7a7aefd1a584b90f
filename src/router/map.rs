//! Hash maps whose order depends on the shard's seed alone, so that equal seeds give equal runs, and a stranger who
//! does not know the seed cannot choose keys that collide.

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

/// A hash map of a shard.
pub(super) type Map<K, V> = hashbrown::HashMap<K, V, Hashing>;

/// How the maps of a shard hash: the shard's seed.
#[derive(Clone, Debug)]
pub(super) struct Hashing(SeedableRandomState);

impl Hashing {
    pub(super) fn new(seed: u64) -> Hashing {
        Hashing(SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()))
    }

    /// An empty map; allocates nothing.
    pub(super) fn map<K, V>(&self) -> Map<K, V> {
        Map::with_hasher(self.clone())
    }
}

impl std::hash::BuildHasher for Hashing {
    type Hasher = <SeedableRandomState as std::hash::BuildHasher>::Hasher;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}
