//! Tests of the tries: the specification's examples, hostile patterns, and random sets of patterns against naive
//! matching.

use super::{PrefixTrie, TopicTree, WildcardTrie};
use crate::wamp::MatchPolicy;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Places that an emptied trie may hold on to.
const PLACES_KEPT_MAX: usize = 32;

fn prefix_trie(patterns: &[&'static str]) -> PrefixTrie<&'static str> {
    let mut trie = PrefixTrie::new();
    patterns.iter().for_each(|pattern| assert!(trie.insert(pattern, *pattern).is_none()));
    trie
}

fn wildcard_trie(patterns: &[&'static str]) -> WildcardTrie<&'static str> {
    let mut trie = WildcardTrie::new();
    patterns.iter().for_each(|pattern| assert!(trie.insert(pattern, *pattern).is_none()));
    trie
}

fn prefixes<T: Copy>(trie: &PrefixTrie<T>, uri: &str) -> Vec<T> {
    let mut found = Vec::new();
    trie.for_each_match(uri, |value| found.push(*value));
    found
}

fn wildcards<T: Copy>(trie: &WildcardTrie<T>, uri: &str) -> Vec<T> {
    let mut found = Vec::new();
    trie.for_each_match(uri, |value| found.push(*value));
    found
}

#[test]
fn prefix_subscriptions_of_the_specification() {
    let trie = prefix_trie(&["com.myapp.topic.emergency"]);
    for topic in [
        "com.myapp.topic.emergency.11",
        "com.myapp.topic.emergency-low",
        "com.myapp.topic.emergency.category.severe",
        "com.myapp.topic.emergency",
    ] {
        assert_eq!(prefixes(&trie, topic), ["com.myapp.topic.emergency"], "{topic}");
    }
    assert_eq!(prefixes(&trie, "com.myapp.topic.emerge"), [""; 0]);
}

#[test]
fn prefix_registrations_of_the_specification() {
    let trie = prefix_trie(&["com.myapp.myobject1"]);
    for procedure in [
        "com.myapp.myobject1.myprocedure1",
        "com.myapp.myobject1-mysubobject1",
        "com.myapp.myobject1.mysubobject1.myprocedure1",
        "com.myapp.myobject1",
    ] {
        assert_eq!(trie.longest_match(procedure), Some(&"com.myapp.myobject1"), "{procedure}");
    }
    for procedure in ["com.myapp.myobject2", "com.myapp.myobject"] {
        assert_eq!(trie.longest_match(procedure), None, "{procedure}");
    }
}

#[test]
fn wildcard_subscriptions_of_the_specification() {
    let trie = wildcard_trie(&["com.myapp..userevent"]);
    for topic in ["com.myapp.foo.userevent", "com.myapp.bar.userevent", "com.myapp.a12.userevent"] {
        assert_eq!(wildcards(&trie, topic), ["com.myapp..userevent"], "{topic}");
    }
    for topic in ["com.myapp.foo.userevent.bar", "com.myapp.foo.user", "com.myapp2.foo.userevent"] {
        assert_eq!(wildcards(&trie, topic), [""; 0], "{topic}");
    }
}

#[test]
fn wildcard_registrations_of_the_specification() {
    let trie = wildcard_trie(&["com.myapp..myprocedure1"]);
    for procedure in ["com.myapp.myobject1.myprocedure1", "com.myapp.myobject2.myprocedure1"] {
        assert_eq!(wildcards(&trie, procedure), ["com.myapp..myprocedure1"], "{procedure}");
    }
    for procedure in [
        "com.myapp.myobject1.myprocedure1.mysubprocedure1",
        "com.myapp.myobject1.myprocedure2",
        "com.myapp2.myobject1.myprocedure1",
    ] {
        assert_eq!(wildcards(&trie, procedure), [""; 0], "{procedure}");
    }
}

/// "Calls matching multiple registrations".
#[test]
fn the_best_registration_of_the_specification() {
    let prefix = prefix_trie(&["a1.b2.c3", "a1.b2.c3.d4"]);
    let wildcard = wildcard_trie(&["a1.b2..d4.e5", "a1.b2.c33..e5", "a1.b2..d4.e5..g7", "a1.b2..d4..f6.g7"]);
    assert_eq!(prefix.longest_match("a1.b2.c3.d98.e74"), Some(&"a1.b2.c3"));
    assert_eq!(prefix.longest_match("a1.b2.c3.d4.e325"), Some(&"a1.b2.c3.d4"));
    for (procedure, found) in [
        ("a1.b2.c55.d4.e5", &["a1.b2..d4.e5"][..]),
        ("a1.b2.c33.d4.e5", &["a1.b2.c33..e5", "a1.b2..d4.e5"]),
        ("a1.b2.c88.d4.e5.f6.g7", &["a1.b2..d4.e5..g7", "a1.b2..d4..f6.g7"]),
        ("a2.b2.c2.d2.e2", &[]),
    ] {
        assert_eq!(wildcards(&wildcard, procedure), found, "{procedure}");
        assert_eq!(wildcard.best_match(procedure), found.first(), "{procedure}");
    }
    for procedure in ["a1.b2.c55.d4.e5", "a1.b2.c88.d4.e5.f6.g7", "a2.b2.c2.d2.e2"] {
        assert_eq!(prefix.longest_match(procedure), None, "{procedure}");
    }
    // Here the table says "no prefix match", as if prefixes ended with a component, which the section on prefixes
    // denies: "com.myapp.topic.emergency-low". By characters there is one.
    assert_eq!(prefix.longest_match("a1.b2.c33.d4.e5"), Some(&"a1.b2.c3"));
}

#[test]
fn prefixes_match_by_characters_and_the_shortest_comes_first() {
    let trie = prefix_trie(&["com.app.x", "com.app", "", "com.other", "com.app2.x", "é"]);
    assert_eq!(prefixes(&trie, "com.app2.x"), ["", "com.app", "com.app2.x"]);
    assert_eq!(prefixes(&trie, "com.app.xyz"), ["", "com.app", "com.app.x"]);
    assert_eq!(prefixes(&trie, "com.ap"), [""]);
    // The first octets of é and è are the same.
    assert_eq!(prefixes(&trie, "è"), [""]);
    assert_eq!(prefixes(&trie, ""), [""]);
}

#[test]
fn each_empty_component_matches_one_component() {
    let trie = wildcard_trie(&["", ".", "..", "com..b", "com...b", ".b", "com."]);
    assert_eq!(wildcards(&trie, "com.a.b"), ["com..b", ".."]);
    assert_eq!(wildcards(&trie, "com.a.a.b"), ["com...b"]);
    assert_eq!(wildcards(&trie, "com.b"), ["com.", ".b", "."]);
    assert_eq!(wildcards(&trie, "com"), [""]);
    assert_eq!(wildcards(&trie, "com..b"), ["com..b", ".."]);
}

#[test]
fn long_patterns_do_not_overflow_the_stack() {
    // Every prefix of this is a pattern, so that the nodes hang below each other.
    let uri = "a".repeat(5_000);
    let mut prefix = PrefixTrie::new();
    (0..=uri.len()).for_each(|len| assert!(prefix.insert(&uri[..len], len).is_none()));
    assert_eq!(prefixes(&prefix, &uri), (0..=uri.len()).collect::<Vec<_>>());
    let mut wildcard = WildcardTrie::new();
    wildcard.insert(&".".repeat(500_000), 1);
    assert_eq!(wildcards(&wildcard, &vec!["a"; 500_001].join(".")), [1]);
    assert_eq!(wildcards(&wildcard, &vec!["a"; 500_000].join(".")), [0; 0]);
}

/// With every pattern of `a` and empty components the matching nodes double with each component.
#[test]
fn no_node_is_visited_twice() {
    let mut trie = WildcardTrie::new();
    for number in 0..1_u32 << 10 {
        let pattern: Vec<_> = (0..10).map(|bit| if number >> bit & 1 == 0 { "a" } else { "" }).collect();
        trie.insert(&pattern.join("."), number);
    }
    let uri = ["a"; 10].join(".");
    assert_eq!(wildcards(&trie, &uri).iter().collect::<BTreeSet<_>>().len(), 1 << 10);
    assert_eq!(trie.visits(&uri), trie.nodes().0);
    // Siblings that do not match are not looked at.
    for number in 0..1_000 {
        trie.insert(&format!("a.b{number}"), number);
    }
    assert_eq!(trie.visits(&uri), trie.nodes().0 - 1_000);
}

fn topics(tree: &TopicTree<String>, policy: MatchPolicy, pattern: &str) -> Vec<String> {
    let mut found = Vec::new();
    tree.for_each_match(policy, pattern, |topic| found.push(topic.clone()));
    found
}

#[test]
fn topics_are_found_by_pattern() {
    let mut tree = TopicTree::default();
    for topic in ["com.app.a", "com.app.ab", "com.app.ab.c", "com.b", "org.app.a", "com.application"] {
        tree.entry(topic, || topic.to_string());
    }
    assert_eq!(topics(&tree, MatchPolicy::Exact, "com.b"), ["com.b"]);
    assert_eq!(topics(&tree, MatchPolicy::Prefix, "com.app.a"), ["com.app.a", "com.app.ab", "com.app.ab.c"]);
    assert_eq!(topics(&tree, MatchPolicy::Prefix, "com.app.").len(), 3);
    assert_eq!(topics(&tree, MatchPolicy::Prefix, "com.app").len(), 4);
    assert_eq!(topics(&tree, MatchPolicy::Prefix, "").len(), 6);
    assert_eq!(topics(&tree, MatchPolicy::Wildcard, ".app.a"), ["com.app.a", "org.app.a"]);
    assert_eq!(topics(&tree, MatchPolicy::Wildcard, "com."), ["com.application", "com.b"]);
    assert_eq!(tree.remove("com.app"), None);
    assert_eq!(tree.remove("com.app.ab").as_deref(), Some("com.app.ab"));
    assert_eq!(topics(&tree, MatchPolicy::Prefix, "com.app.ab"), ["com.app.ab.c"]);
}

/// What the churn of one long-lived pattern's neighbours leaves behind.
#[test]
fn memory_returns_when_patterns_go() {
    let (mut prefix, mut wildcard) = (PrefixTrie::new(), WildcardTrie::new());
    prefix.insert("com.stays", 0);
    wildcard.insert("com..stays", 0);
    for number in 0..10_000 {
        prefix.insert(&format!("com.goes{number}"), number);
        wildcard.insert(&format!("com..goes{number}"), number);
    }
    for number in 0..10_000 {
        assert_eq!(prefix.remove(&format!("com.goes{number}")), Some(number));
        assert_eq!(wildcard.remove(&format!("com..goes{number}")), Some(number));
    }
    assert_eq!((prefix.nodes().0, wildcard.nodes().0), (2, 4));
    assert!(prefix.nodes().1 <= PLACES_KEPT_MAX, "{:?}", prefix.nodes());
    assert!(wildcard.nodes().1 <= PLACES_KEPT_MAX, "{:?}", wildcard.nodes());
    assert_eq!(prefixes(&prefix, "com.stays.x"), [0]);
    assert_eq!(wildcards(&wildcard, "com.x.stays"), [0]);
}

fn naive_wildcard(pattern: &str, uri: &str) -> bool {
    let (pattern, uri): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), uri.split('.').collect());
    pattern.len() == uri.len() && pattern.iter().zip(&uri).all(|(p, u)| p.is_empty() || p == u)
}

/// The nodes that a radix trie of these patterns needs: where a pattern ends, where two part, and the root.
fn naive_prefix_nodes(patterns: &BTreeMap<String, usize>) -> usize {
    let ends: Vec<_> = patterns.keys().map(String::as_bytes).collect();
    let parting = ends.windows(2).map(|pair| {
        let common = pair[0].iter().zip(pair[1]).take_while(|(a, b)| a == b).count();
        &pair[0][..common]
    });
    let nodes: BTreeSet<&[u8]> = ends.iter().copied().chain(parting).chain([&[][..]]).collect();
    nodes.len()
}

/// The nodes that a trie of these patterns' components needs.
fn naive_wildcard_nodes(patterns: &BTreeMap<String, usize>) -> usize {
    let mut nodes = BTreeSet::from([Vec::new()]);
    for pattern in patterns.keys() {
        let components: Vec<_> = pattern.split('.').collect();
        nodes.extend((1..=components.len()).map(|depth| components[..depth].to_vec()));
    }
    nodes.len()
}

/// Inserts (true) and removals of patterns over a small alphabet, so that many overlap.
fn changes() -> impl Strategy<Value = Vec<(bool, String)>> {
    prop::collection::vec((prop::bool::weighted(0.7), "[ab.éè]{0,6}"), 0..120)
}

proptest! {
    #[test]
    fn topic_trees_agree_with_naive_matching(changes in changes(), patterns in uris()) {
        let mut tree = TopicTree::default();
        let mut naive = BTreeSet::new();
        for (insert, topic) in changes {
            if insert {
                tree.entry(&topic, || topic.clone());
                naive.insert(topic);
            } else {
                prop_assert_eq!(tree.remove(&topic).is_some(), naive.remove(&topic));
            }
        }
        prop_assert_eq!(tree.len(), naive.len());
        let nodes: BTreeSet<Vec<&str>> = naive
            .iter()
            .flat_map(|topic| {
                let parts: Vec<&str> = topic.split('.').collect();
                (1..=parts.len()).map(move |depth| parts[..depth].to_vec()).collect::<Vec<_>>()
            })
            .collect();
        prop_assert_eq!(tree.nodes(), nodes.len() + 1);
        for pattern in patterns {
            for policy in [MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard] {
                let mut found = topics(&tree, policy, &pattern);
                found.sort();
                let wanted: Vec<String> =
                    naive.iter().filter(|topic| policy.matches(&pattern, topic)).cloned().collect();
                prop_assert_eq!(found, wanted, "{:?} {}", policy, &pattern);
            }
        }
    }
}

fn uris() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab.éè]{0,8}", 1..10)
}

fn check_prefixes(trie: &PrefixTrie<usize>, naive: &BTreeMap<String, usize>, uri: &str) -> Result<(), TestCaseError> {
    // Patterns that begin the same URI are sorted by length when they are sorted by text.
    let wanted: Vec<_> = naive.iter().filter(|(p, _)| uri.starts_with(p.as_str())).map(|(_, v)| *v).collect();
    prop_assert_eq!(trie.longest_match(uri), wanted.last());
    prop_assert_eq!(prefixes(trie, uri), wanted);
    prop_assert_eq!(trie.get(uri), naive.get(uri));
    prop_assert_eq!(trie.len(), naive.len());
    prop_assert_eq!(trie.nodes().0, naive_prefix_nodes(naive));
    Ok(())
}

fn check_wildcards(
    trie: &WildcardTrie<usize>,
    naive: &BTreeMap<String, usize>,
    uri: &str,
) -> Result<(), TestCaseError> {
    let mut wanted: Vec<_> = naive.iter().filter(|(p, _)| naive_wildcard(p, uri)).collect();
    wanted.sort_by_cached_key(|(p, _)| p.split('.').map(str::is_empty).collect::<Vec<_>>());
    prop_assert_eq!(wildcards(trie, uri), wanted.into_iter().map(|(_, v)| *v).collect::<Vec<_>>());
    prop_assert!(trie.visits(uri) <= trie.nodes().0);
    prop_assert_eq!(trie.get(uri), naive.get(uri));
    prop_assert_eq!(trie.len(), naive.len());
    prop_assert_eq!(trie.nodes().0, naive_wildcard_nodes(naive));
    Ok(())
}

proptest! {
    #[test]
    fn prefix_tries_agree_with_naive_matching(changes in changes(), uris in uris()) {
        let (mut trie, mut naive) = (PrefixTrie::new(), BTreeMap::new());
        for (at, (insert, pattern)) in changes.iter().enumerate() {
            if *insert {
                prop_assert_eq!(trie.insert(pattern, at), naive.insert(pattern.clone(), at));
            } else {
                prop_assert_eq!(trie.remove(pattern), naive.remove(pattern));
            }
            prop_assert_eq!(trie.get_mut(pattern), naive.get_mut(pattern));
            check_prefixes(&trie, &naive, &uris[at % uris.len()])?;
        }
        for uri in &uris {
            check_prefixes(&trie, &naive, uri)?;
        }
        for (at, (_, pattern)) in changes.iter().rev().enumerate() {
            prop_assert_eq!(trie.remove(pattern), naive.remove(pattern));
            check_prefixes(&trie, &naive, &uris[at % uris.len()])?;
        }
        prop_assert!(trie.is_empty());
        prop_assert_eq!(trie.nodes().0, 1);
        prop_assert!(trie.nodes().1 <= PLACES_KEPT_MAX);
    }

    #[test]
    fn wildcard_tries_agree_with_naive_matching(changes in changes(), uris in uris()) {
        let (mut trie, mut naive) = (WildcardTrie::new(), BTreeMap::new());
        for (at, (insert, pattern)) in changes.iter().enumerate() {
            if *insert {
                prop_assert_eq!(trie.insert(pattern, at), naive.insert(pattern.clone(), at));
            } else {
                prop_assert_eq!(trie.remove(pattern), naive.remove(pattern));
            }
            prop_assert_eq!(trie.get_mut(pattern), naive.get_mut(pattern));
            check_wildcards(&trie, &naive, &uris[at % uris.len()])?;
        }
        for uri in &uris {
            check_wildcards(&trie, &naive, uri)?;
        }
        for (at, (_, pattern)) in changes.iter().rev().enumerate() {
            prop_assert_eq!(trie.remove(pattern), naive.remove(pattern));
            check_wildcards(&trie, &naive, &uris[at % uris.len()])?;
        }
        prop_assert!(trie.is_empty());
        prop_assert_eq!(trie.nodes().0, 1);
        prop_assert!(trie.nodes().1 <= PLACES_KEPT_MAX);
    }
}
