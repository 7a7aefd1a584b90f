//! How Crossbar.io decides by the rules of a role (its release 26.1), so that whoever brings a file from there can be
//! told where it makes a difference.
//!
//! It keeps the rules by their URIs, whatever their match policies: of two with the same URI the later one is left. Of
//! all URIs that the asked one begins with, character by character, the longest counts. If that is one of a prefix or
//! the asked one itself, its rule decides; else no rule does, though a shorter one might match. Rules with two dots in
//! a row are kept apart, by what stands before these dots, again one for each; of those, too, the one with the longest
//! beginning counts, and if it matches as a wildcard it decides before everything but an exact rule.

use crate::session::Permission;
use crate::wamp::MatchPolicy;
use std::collections::BTreeMap;

/// The positions of rules by what Crossbar.io finds them by.
type Found<'a> = BTreeMap<&'a str, usize>;

/// What decides over a URI in Crossbar.io; the numbers are positions of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decider {
    /// This rule does.
    Rule(usize),
    /// None does, since this rule is the only one that is looked at, and it does not match.
    Hidden(usize),
    /// None does.
    Nobody,
}

/// A role as Crossbar.io has it.
#[derive(Debug)]
pub(super) struct CrossbarRole<'a> {
    rules: &'a [Permission],
    plain: Found<'a>,
    wild: Found<'a>,
}

impl<'a> CrossbarRole<'a> {
    /// Of the rules of which `counts` is true.
    pub(super) fn new(rules: &'a [Permission], counts: impl Fn(&Permission) -> bool) -> CrossbarRole<'a> {
        let mut role = CrossbarRole { rules, plain: Found::new(), wild: Found::new() };
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| counts(rule)) {
            match wild_head(&rule.uri) {
                Some(head) => role.wild.insert(head, index),
                None => role.plain.insert(&rule.uri, index),
            };
        }
        role
    }

    /// What decides over a URI.
    pub(super) fn decide(&self, uri: &str) -> Decider {
        let mut decider = Decider::Nobody;
        if let Some(index) = longest(&self.plain, uri) {
            let rule = &self.rules[index];
            let fits = rule.policy == MatchPolicy::Prefix || *rule.uri == *uri;
            if fits && rule.policy == MatchPolicy::Exact {
                return Decider::Rule(index);
            }
            decider = if fits { Decider::Rule(index) } else { Decider::Hidden(index) };
        }
        match longest(&self.wild, uri) {
            Some(index) if wild_matches(&self.rules[index].uri, uri) => Decider::Rule(index),
            _ => decider,
        }
    }

    /// Every text by which a rule is found.
    pub(super) fn heads(&self) -> impl Iterator<Item = &'a str> {
        self.plain.keys().chain(self.wild.keys()).copied()
    }

    /// True if a rule is found by the text among those without or those with two dots in a row.
    pub(super) fn finds(&self, head: &str) -> (bool, bool) {
        (self.plain.contains_key(head), self.wild.contains_key(head))
    }
}

/// What stands before the first two dots in a row.
fn wild_head(uri: &str) -> Option<&str> {
    uri.split_once("..").map(|(head, _)| head)
}

/// The rule with the longest text that the URI begins with.
fn longest(found: &Found<'_>, uri: &str) -> Option<usize> {
    (0..=uri.len()).rev().filter_map(|end| uri.get(..end)).find_map(|head| found.get(head).copied())
}

/// True if a component of a pattern stands for any, in Crossbar.io also if it is a name such as `<user>`.
pub(super) fn is_any(component: &str) -> bool {
    component.is_empty() || (component.starts_with('<') && component.ends_with('>'))
}

/// True if a pattern with two dots in a row matches. One with other components than lower-case letters, digits, `_`
/// and `-` never does.
fn wild_matches(pattern: &str, uri: &str) -> bool {
    let lower = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
    let plain = |component: &str| {
        let mut octets = component.bytes();
        octets.next().is_some_and(lower) && octets.all(|octet| lower(octet) || octet == b'_' || octet == b'-')
    };
    pattern.split('.').count() == uri.split('.').count()
        && pattern.split('.').all(|component| is_any(component) || plain(component))
        && pattern.split('.').zip(uri.split('.')).all(|(wanted, found)| is_any(wanted) || wanted == found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::role::{Actions, Disclose};

    fn rules(rules: &[(MatchPolicy, &str)]) -> Vec<Permission> {
        let (allow, disclose) = (Actions::default(), Disclose::default());
        rules.iter().map(|(policy, uri)| Permission { uri: (*uri).into(), policy: *policy, allow, disclose }).collect()
    }

    const EXACT: MatchPolicy = MatchPolicy::Exact;
    const PREFIX: MatchPolicy = MatchPolicy::Prefix;
    const WILDCARD: MatchPolicy = MatchPolicy::Wildcard;

    /// The cases of Crossbar.io's own tests.
    #[test]
    fn exact_before_wildcard_before_prefix() {
        let rules = rules(&[(WILDCARD, "com..private"), (EXACT, "com.one.private"), (PREFIX, "com.")]);
        let role = CrossbarRole::new(&rules, |_| true);
        assert_eq!(role.decide("com.one.private"), Decider::Rule(1));
        assert_eq!(role.decide("com.foo.private"), Decider::Rule(0));
        assert_eq!(role.decide("com.whatever"), Decider::Rule(2));
        assert_eq!(role.decide("org"), Decider::Nobody);
    }

    #[test]
    fn the_longest_beginning_hides_shorter_ones() {
        let rules = rules(&[(PREFIX, ""), (EXACT, "com.app"), (PREFIX, "com.app"), (EXACT, "com.app.x")]);
        let role = CrossbarRole::new(&rules, |_| true);
        assert_eq!(role.decide("org"), Decider::Rule(0));
        assert_eq!(role.decide("com.app"), Decider::Rule(2), "the later one is left");
        assert_eq!(role.decide("com.apple"), Decider::Rule(2));
        assert_eq!(role.decide("com.app.xy"), Decider::Hidden(3));
    }

    #[test]
    fn wildcards_are_found_by_their_beginnings() {
        let rules =
            rules(&[(WILDCARD, "a..x"), (WILDCARD, "a.b..y"), (EXACT, "c..x"), (WILDCARD, "d..X"), (WILDCARD, ".e")]);
        let role = CrossbarRole::new(&rules, |_| true);
        assert_eq!(role.decide("a.c.x"), Decider::Rule(0));
        assert_eq!(role.decide("a.b.c.y"), Decider::Rule(1));
        assert_eq!(role.decide("a.b.x"), Decider::Nobody, "a.b..y is the only one that is looked at");
        assert_eq!(role.decide("c.b.x"), Decider::Rule(2), "whatever its match policy");
        assert_eq!(role.decide("d.b.X"), Decider::Nobody, "not lower case");
        assert_eq!(role.decide("x.e"), Decider::Nobody, "no two dots in a row");
    }
}
