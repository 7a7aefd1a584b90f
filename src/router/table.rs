//! What stands under exact URIs and under patterns.

use super::map::{Hashing, Map};
use super::pattern::{PrefixTrie, WildcardTrie};
use super::subject::Subject;
use crate::wamp::{MatchPolicy, Uri};

/// Values by exact URI, prefix and wildcard pattern.
#[derive(Debug)]
pub(super) struct Table<T> {
    exact: Map<Uri, T>,
    prefix: PrefixTrie<T>,
    wildcard: WildcardTrie<T>,
}

impl<T> Table<T> {
    pub(super) fn new(hashing: &Hashing) -> Table<T> {
        Table { exact: hashing.map(), prefix: PrefixTrie::new(), wildcard: WildcardTrie::new() }
    }

    pub(super) fn get(&self, subject: &Subject) -> Option<&T> {
        match subject.policy {
            MatchPolicy::Exact => self.exact.get(&*subject.uri),
            MatchPolicy::Prefix => self.prefix.get(&subject.uri),
            MatchPolicy::Wildcard => self.wildcard.get(&subject.uri),
        }
    }

    pub(super) fn get_mut(&mut self, subject: &Subject) -> Option<&mut T> {
        match subject.policy {
            MatchPolicy::Exact => self.exact.get_mut(&*subject.uri),
            MatchPolicy::Prefix => self.prefix.get_mut(&subject.uri),
            MatchPolicy::Wildcard => self.wildcard.get_mut(&subject.uri),
        }
    }

    pub(super) fn insert(&mut self, subject: Subject, value: T) {
        match subject.policy {
            MatchPolicy::Exact => drop(self.exact.insert(subject.uri, value)),
            MatchPolicy::Prefix => drop(self.prefix.insert(&subject.uri, value)),
            MatchPolicy::Wildcard => drop(self.wildcard.insert(&subject.uri, value)),
        }
    }

    pub(super) fn remove(&mut self, subject: &Subject) {
        match subject.policy {
            MatchPolicy::Exact => drop(self.exact.remove(&*subject.uri)),
            MatchPolicy::Prefix => drop(self.prefix.remove(&subject.uri)),
            MatchPolicy::Wildcard => drop(self.wildcard.remove(&subject.uri)),
        }
    }

    /// Gives every value that matches: the exact one first, then prefixes by length, then wildcards.
    pub(super) fn for_each_match(&self, uri: &str, mut each: impl FnMut(&T)) {
        if let Some(value) = self.exact.get(uri) {
            each(value);
        }
        if !self.prefix.is_empty() {
            self.prefix.for_each_match(uri, &mut each);
        }
        if !self.wildcard.is_empty() {
            self.wildcard.for_each_match(uri, &mut each);
        }
    }

    /// The best match: the exact one, then the longest prefix, then the best wildcard.
    pub(super) fn best_match(&self, uri: &str) -> Option<&T> {
        let patterns = || self.prefix.longest_match(uri).or_else(|| self.wildcard.best_match(uri));
        self.exact.get(uri).or_else(patterns)
    }

    #[cfg(any(test, feature = "sim"))]
    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefix.is_empty() && self.wildcard.is_empty()
    }
}
