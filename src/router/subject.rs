//! Subjects: what can be subscribed to or registered, and where its home is.

use super::index::ShardIndex;
use crate::session::RealmIndex;
use crate::wamp::{MatchPolicy, Uri};

/// A topic or procedure of a realm, exact or as a pattern: what has one id, one list of members and one home.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// The realm.
    pub realm: RealmIndex,
    /// How the URI is compared.
    pub policy: MatchPolicy,
    /// The topic, the procedure or the pattern.
    pub uri: Uri,
}

/// The shard that alone changes what is known of a URI: the same on every shard, whatever the match policy.
#[must_use]
pub fn home(realm: RealmIndex, uri: &str, shards: ShardIndex) -> ShardIndex {
    if shards <= 1 {
        return 0;
    }
    // FNV-1a: short, good enough to spread URIs, and the same in every process.
    let start = 0xcbf2_9ce4_8422_2325_u64 ^ u64::from(realm);
    let hash = uri.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The high half of the product depends on all bits of the hash, which its low bits alone do not.
    let spread = (u128::from(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * u128::from(shards)) >> 64;
    ShardIndex::try_from(spread).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_spread() {
        for shards in [2u16, 3, 8] {
            let mut count = vec![0; usize::from(shards)];
            for n in 0..8000 {
                count[usize::from(home(0, &format!("com.app.topic.{n}"), shards))] += 1;
            }
            let fair = 8000 / i32::from(shards);
            assert!(count.iter().all(|c| (c - fair).abs() < fair / 4), "{count:?}");
        }
    }
}
