//! How patterns relate: which covers which, which have URIs in common.

use crate::wamp::MatchPolicy;

/// A URI with the way in which it is compared.
pub(super) type Pattern<'a> = (MatchPolicy, &'a str);

/// True if every URI that `inner` matches is matched by `outer` too.
pub(super) fn covers(outer: Pattern<'_>, inner: Pattern<'_>) -> bool {
    match (outer, inner) {
        ((policy, pattern), (MatchPolicy::Exact, uri)) => policy.matches(pattern, uri),
        ((MatchPolicy::Exact, _), _) => false,
        ((MatchPolicy::Prefix, outer), (MatchPolicy::Prefix, inner)) => inner.starts_with(outer),
        ((MatchPolicy::Prefix, outer), (MatchPolicy::Wildcard, inner)) => literal_head(inner).starts_with(outer),
        ((MatchPolicy::Wildcard, _), (MatchPolicy::Prefix, _)) => false,
        ((MatchPolicy::Wildcard, outer), (MatchPolicy::Wildcard, inner)) => {
            pairwise(outer, inner, |outer, inner| outer.is_empty() || outer == inner)
        }
    }
}

/// True if there may be a URI that both match.
pub(super) fn overlaps(one: Pattern<'_>, other: Pattern<'_>) -> bool {
    match (one, other) {
        ((MatchPolicy::Exact, uri), (policy, pattern)) | ((policy, pattern), (MatchPolicy::Exact, uri)) => {
            policy.matches(pattern, uri)
        }
        ((MatchPolicy::Prefix, one), (MatchPolicy::Prefix, other)) => one.starts_with(other) || other.starts_with(one),
        ((MatchPolicy::Prefix, prefix), (MatchPolicy::Wildcard, wildcard))
        | ((MatchPolicy::Wildcard, wildcard), (MatchPolicy::Prefix, prefix)) => begins(wildcard, prefix),
        ((MatchPolicy::Wildcard, one), (MatchPolicy::Wildcard, other)) => {
            pairwise(one, other, |one, other| one.is_empty() || other.is_empty() || one == other)
        }
    }
}

/// True if one of two wildcard patterns that match the same URI is the more specific one: it has a component where the
/// other takes any, and that is the first difference.
pub(super) fn more_specific(one: &str, other: &str) -> bool {
    let difference = one.split('.').zip(other.split('.')).find(|(one, other)| one.is_empty() != other.is_empty());
    difference.is_some_and(|(one, _)| !one.is_empty())
}

/// What every URI that the wildcard pattern matches begins with.
fn literal_head(wildcard: &str) -> &str {
    let mut end = 0;
    for component in wildcard.split('.') {
        if component.is_empty() {
            return &wildcard[..end];
        }
        end += component.len() + 1;
    }
    wildcard
}

fn pairwise(one: &str, other: &str, fit: impl Fn(&str, &str) -> bool) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if fit(one, other) => {}
            _ => return false,
        }
    }
}

/// True if some URI that the wildcard pattern matches begins with the prefix.
fn begins(wildcard: &str, prefix: &str) -> bool {
    let (mut wildcard, mut prefix) = (wildcard.split('.'), prefix.split('.').peekable());
    while let Some(wanted) = prefix.next() {
        let Some(component) = wildcard.next() else { return false };
        let last = prefix.peek().is_none();
        let fits = component.is_empty() || component == wanted || (last && component.starts_with(wanted));
        if !fits {
            return false;
        }
    }
    true
}
