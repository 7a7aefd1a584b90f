//! Patterns: which of many prefix or wildcard patterns match a URI, without looking at each of them (specification,
//! "Pattern-based Subscriptions" and "Pattern-based Registrations").
//!
//! The tries keep their nodes in one vector, by index. So neither matching nor forgetting a trie recurses, however long
//! its patterns are. The order of matches depends on the patterns alone, not on the order they came in.

mod nodes;
mod prefix;
mod topics;
mod wildcard;

#[cfg(test)]
mod tests;

pub use prefix::PrefixTrie;
pub use topics::TopicTree;
pub use wildcard::WildcardTrie;
