//! Tests of the tries: the specification's examples, and random sets of patterns against naive matching.

use super::{PrefixTrie, WildcardTrie};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn prefixes(patterns: &[&'static str], uri: &str) -> Vec<&'static str> {
    let mut trie = PrefixTrie::new();
    patterns.iter().for_each(|pattern| assert!(trie.insert(pattern, *pattern).is_none()));
    let mut found = Vec::new();
    trie.for_each_match(uri, |pattern| found.push(*pattern));
    found
}

fn wildcards(patterns: &[&'static str], uri: &str) -> Vec<&'static str> {
    let mut trie = WildcardTrie::new();
    patterns.iter().for_each(|pattern| assert!(trie.insert(pattern, *pattern).is_none()));
    let mut found = Vec::new();
    trie.for_each_match(uri, |pattern| found.push(*pattern));
    found
}

#[test]
fn prefixes_match_by_characters() {
    let patterns = ["com.myapp.topic.emergency", "com.myapp.", "", "com.other"];
    assert_eq!(prefixes(&patterns, "com.myapp.topic.emergency.11"), ["", "com.myapp.", "com.myapp.topic.emergency"]);
    assert_eq!(prefixes(&patterns, "com.myapp.topic.emergency-low"), ["", "com.myapp.", "com.myapp.topic.emergency"]);
    assert_eq!(prefixes(&patterns, "com.myapp.topic.emerge"), ["", "com.myapp."]);
    assert_eq!(prefixes(&patterns, "com.apps"), [""]);
}

#[test]
fn wildcards_match_one_component_each() {
    let patterns = ["com.myapp..userevent", "com...userevent", "...", "com.myapp.foo.userevent"];
    let all = ["...", "com...userevent", "com.myapp..userevent", "com.myapp.foo.userevent"];
    let mut found = wildcards(&patterns, "com.myapp.foo.userevent");
    found.sort_unstable();
    assert_eq!(found, all);
    assert_eq!(wildcards(&patterns, "com.myapp.foo.userevent.bar"), [""; 0]);
    assert_eq!(wildcards(&patterns, "com.myapp.userevent"), [""; 0]);
    assert_eq!(wildcards(&["com.myapp..userevent"], "com.myapp2.foo.userevent"), [""; 0]);
}

#[test]
fn thousands_of_components_do_not_overflow_the_stack() {
    let pattern = ".".repeat(20_000);
    let uri = vec!["a"; 20_001].join(".");
    let mut trie = WildcardTrie::new();
    trie.insert(&pattern, 1);
    let mut found = 0;
    trie.for_each_match(&uri, |_| found += 1);
    assert_eq!(found, 1);
    // Its nodes hang below each other; forgetting them one in the other would be as deep as the pattern is long, so
    // the length of URIs is limited where patterns come in.
    std::mem::forget(trie);
}

fn naive_wildcard(pattern: &str, uri: &str) -> bool {
    let (pattern, uri): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), uri.split('.').collect());
    pattern.len() == uri.len() && pattern.iter().zip(&uri).all(|(p, u)| p.is_empty() || p == u)
}

/// Inserts (true) and removals of patterns over a small alphabet, so that many overlap.
fn changes() -> impl Strategy<Value = Vec<(bool, String)>> {
    prop::collection::vec((prop::bool::weighted(0.7), "[ab.é]{0,6}"), 0..60)
}

proptest! {
    #[test]
    fn prefix_tries_agree_with_naive_matching(changes in changes(), uris in prop::collection::vec("[ab.é]{0,8}", 0..10)) {
        let (mut trie, mut naive) = (PrefixTrie::new(), BTreeMap::new());
        for (at, (insert, pattern)) in changes.iter().enumerate() {
            if *insert {
                prop_assert_eq!(trie.insert(pattern, at), naive.insert(pattern.clone(), at));
            } else {
                prop_assert_eq!(trie.remove(pattern), naive.remove(pattern));
            }
            prop_assert_eq!(trie.len(), naive.len());
            prop_assert_eq!(trie.get_mut(pattern).copied(), naive.get(pattern).copied());
        }
        for uri in &uris {
            let mut found = Vec::new();
            trie.for_each_match(uri, |value| found.push(*value));
            // Patterns of one URI's prefixes are sorted by length when sorted by text.
            let wanted: Vec<_> = naive.iter().filter(|(p, _)| uri.starts_with(p.as_str())).map(|(_, v)| *v).collect();
            prop_assert_eq!(trie.longest_match(uri), wanted.last());
            prop_assert_eq!(found, wanted);
        }
        for pattern in naive.keys() {
            trie.remove(pattern);
        }
        prop_assert!(trie.is_empty());
        prop_assert_eq!(format!("{trie:?}"), format!("{:?}", PrefixTrie::<usize>::new()));
    }

    #[test]
    fn wildcard_tries_agree_with_naive_matching(changes in changes(), uris in prop::collection::vec("[ab.]{0,8}", 0..10)) {
        let (mut trie, mut naive) = (WildcardTrie::new(), BTreeMap::new());
        for (at, (insert, pattern)) in changes.iter().enumerate() {
            if *insert {
                prop_assert_eq!(trie.insert(pattern, at), naive.insert(pattern.clone(), at));
            } else {
                prop_assert_eq!(trie.remove(pattern), naive.remove(pattern));
            }
            prop_assert_eq!(trie.len(), naive.len());
        }
        for uri in &uris {
            // Empty components do not occur in what is published.
            if uri.split('.').any(str::is_empty) {
                continue;
            }
            let mut found = Vec::new();
            trie.for_each_match(uri, |value| found.push(*value));
            found.sort_unstable();
            let mut wanted: Vec<_> = naive.iter().filter(|(p, _)| naive_wildcard(p, uri)).map(|(_, v)| *v).collect();
            wanted.sort_unstable();
            prop_assert_eq!(found, wanted);
        }
        for pattern in naive.keys() {
            trie.remove(pattern);
        }
        prop_assert!(trie.is_empty());
        prop_assert_eq!(format!("{trie:?}"), format!("{:?}", WildcardTrie::<usize>::new()));
    }
}
