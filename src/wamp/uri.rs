//! URIs of topics, procedures, errors and realms (specification, "URIs").

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A URI as a peer sent it. Cheap to clone; not yet checked against any rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uri(Arc<str>);

impl Uri {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Uri {
    fn from(text: &str) -> Self {
        Uri(Arc::from(text))
    }
}

impl From<String> for Uri {
    fn from(text: String) -> Self {
        Uri(Arc::from(text))
    }
}

impl Deref for Uri {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Uri {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// How the URI of a subscription or registration is compared with the URI of a publication or call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum MatchPolicy {
    /// The same characters.
    #[default]
    Exact,
    /// The pattern's characters are a prefix.
    Prefix,
    /// Component by component, an empty component of the pattern matching any one component.
    Wildcard,
}

impl MatchPolicy {
    /// The name used in `match` options: `exact`, `prefix` or `wildcard`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            MatchPolicy::Exact => "exact",
            MatchPolicy::Prefix => "prefix",
            MatchPolicy::Wildcard => "wildcard",
        }
    }

    /// True if a URI matches a pattern of this policy. For one pattern; many belong into a trie.
    #[must_use]
    pub fn matches(self, pattern: &str, uri: &str) -> bool {
        match self {
            MatchPolicy::Exact => pattern == uri,
            MatchPolicy::Prefix => uri.starts_with(pattern),
            MatchPolicy::Wildcard => {
                let (mut pattern, mut uri) = (pattern.split('.'), uri.split('.'));
                loop {
                    match (pattern.next(), uri.next()) {
                        (None, None) => return true,
                        (Some(wanted), Some(found)) if wanted.is_empty() || wanted == found => {}
                        _ => return false,
                    }
                }
            }
        }
    }

    /// The policy of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<MatchPolicy> {
        match name {
            "exact" => Some(MatchPolicy::Exact),
            "prefix" => Some(MatchPolicy::Prefix),
            "wildcard" => Some(MatchPolicy::Wildcard),
            _ => None,
        }
    }
}

/// Which characters the components of a URI may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UriRules {
    /// Anything but `.`, `#` and white space.
    #[default]
    Loose,
    /// Lower-case letters, digits and `_`.
    Strict,
}

impl UriRules {
    /// True if `uri` obeys the rules with no empty component: a topic, a procedure, an error, a realm.
    #[must_use]
    pub fn allow(self, uri: &str) -> bool {
        self.components(uri).is_some_and(|components| components == Components::Full)
    }

    /// True if `uri` can be the pattern of a subscription or registration: wildcard patterns may have empty
    /// components anywhere, prefix patterns only at the end (a pattern `a.` is legal, the empty one as well).
    #[must_use]
    pub fn allow_pattern(self, uri: &str, policy: MatchPolicy) -> bool {
        match policy {
            MatchPolicy::Exact => self.allow(uri),
            MatchPolicy::Prefix => uri.is_empty() || self.allow(uri.strip_suffix('.').unwrap_or(uri)),
            MatchPolicy::Wildcard => self.components(uri).is_some(),
        }
    }

    /// Looks at every character once; none if there is one that the rules forbid.
    fn components(self, uri: &str) -> Option<Components> {
        let mut found = Components::Full;
        let mut before = b'.';
        for octet in uri.bytes() {
            let good = match (self, octet) {
                (_, b'.') => {
                    if before == b'.' {
                        found = Components::SomeEmpty;
                    }
                    true
                }
                (UriRules::Strict, octet) => matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'_'),
                (UriRules::Loose, octet) => octet != b'#' && octet != b' ' && !matches!(octet, b'\t'..=b'\r'),
            };
            if !good {
                return None;
            }
            before = octet;
        }
        if before == b'.' {
            found = Components::SomeEmpty;
        }
        // Only URIs beyond ASCII pay for the table of white space.
        (uri.is_ascii() || !uri.contains(char::is_whitespace)).then_some(found)
    }
}

/// What the components of a URI are like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Components {
    Full,
    SomeEmpty,
}

/// True if the first component of `uri` is `wamp`, which applications must not use.
#[must_use]
pub fn is_reserved(uri: &str) -> bool {
    uri == "wamp" || uri.starts_with("wamp.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn loose_rules() {
        for good in ["a", "com.myapp.topic1", "com.Müller.Straße", "com.my-app.T!", "1.2"] {
            assert!(UriRules::Loose.allow(good), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a.b#c", "a.\tb", "a.\u{00a0}b", "a\u{0b}"] {
            assert!(!UriRules::Loose.allow(bad), "{bad:?}");
        }
    }

    #[test]
    fn strict_rules() {
        for good in ["a", "com.my_app.topic1"] {
            assert!(UriRules::Strict.allow(good), "{good}");
        }
        for bad in ["", "A", "com.my-app", "com.müller", "a..b"] {
            assert!(!UriRules::Strict.allow(bad), "{bad}");
        }
    }

    #[test]
    fn patterns() {
        assert!(UriRules::Loose.allow_pattern("a..b", MatchPolicy::Wildcard));
        assert!(UriRules::Loose.allow_pattern("..", MatchPolicy::Wildcard));
        assert!(!UriRules::Loose.allow_pattern("a.#.b", MatchPolicy::Wildcard));
        assert!(UriRules::Loose.allow_pattern("a.", MatchPolicy::Prefix));
        assert!(UriRules::Loose.allow_pattern("", MatchPolicy::Prefix));
        assert!(!UriRules::Loose.allow_pattern("a..b", MatchPolicy::Prefix));
        assert!(!UriRules::Loose.allow_pattern("a.", MatchPolicy::Exact));
    }

    #[test]
    fn reserved() {
        assert!(is_reserved("wamp.session.count") && is_reserved("wamp"));
        assert!(!is_reserved("wampum.belt"));
    }

    /// The rules as the specification words them, component by component.
    fn component(rules: UriRules, component: &str) -> bool {
        match rules {
            UriRules::Strict => component.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_')),
            UriRules::Loose => component.chars().all(|c| c != '#' && !c.is_whitespace()),
        }
    }

    proptest! {
        #[test]
        fn one_pass_decides_like_the_components(uri in "[a-cA_0.# \t\u{b}\u{1c}\u{a0}é\u{3000}]{0,8}") {
            for rules in [UriRules::Loose, UriRules::Strict] {
                let all = uri.split('.').all(|part| component(rules, part));
                let full = all && uri.split('.').all(|part| !part.is_empty());
                prop_assert_eq!(rules.allow(&uri), full);
                prop_assert_eq!(rules.allow_pattern(&uri, MatchPolicy::Wildcard), all);
            }
        }
    }
}
