//! Patterns: which of many prefix or wildcard patterns match a URI, at a cost that depends on the URI alone
//! (specification, "Pattern-based Subscriptions").

mod prefix;
mod wildcard;

#[cfg(test)]
mod tests;

pub use prefix::PrefixTrie;
pub use wildcard::WildcardTrie;
