//! Which pages' scripts may connect (RFC 6455, section 10.2; RFC 6454).

/// The rule of an endpoint. Who sends no `Origin` is no browser, and is not concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// `scheme://host[:port]`, in which each `*` stands for any number of characters. None: only pages of the same
    /// origin, if `patterns` is `None`.
    pub patterns: Option<Vec<Box<str>>>,
    /// Pages that have no origin, such as files, may connect: they send `null`.
    pub null: bool,
}

impl Default for Origins {
    /// Everybody.
    fn default() -> Self {
        Origins { patterns: Some(vec!["*".into()]), null: true }
    }
}

impl Origins {
    /// True if a request with these headers may connect.
    #[must_use]
    pub fn allow(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        if origin == "null" {
            return self.null;
        }
        let origin = origin.to_ascii_lowercase();
        let Some((scheme, _)) = origin.split_once("://") else { return false };
        let port = match scheme {
            "http" => "80",
            "https" => "443",
            _ => "",
        };
        // With its port and without, if it is the one that the scheme has anyway.
        let short = origin.strip_suffix(&format!(":{port}")).unwrap_or(&origin);
        let host_part = short.rsplit_once(']').map_or(&short[scheme.len() + 3..], |(_, behind)| behind);
        let whole = if host_part.contains(':') { short.to_string() } else { format!("{short}:{port}") };
        match &self.patterns {
            Some(patterns) => patterns.iter().any(|pattern| {
                let pattern = pattern.to_ascii_lowercase();
                matches(&pattern, short) || matches(&pattern, &whole)
            }),
            None => host.is_some_and(|host| {
                let own = format!("{scheme}://{}", host.to_ascii_lowercase());
                own == short || own == whole
            }),
        }
    }
}

/// True if the text is what the pattern says, each star standing for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(patterns: &[&str]) -> Origins {
        Origins { patterns: Some(patterns.iter().map(|pattern| (*pattern).into()).collect()), null: false }
    }

    #[test]
    fn patterns_name_pages() {
        let some = rule(&["https://app.example.com", "http://*.test:*", "http://localhost:8080"]);
        for (origin, allowed) in [
            ("https://app.example.com", true),
            ("https://APP.example.com", true),
            ("https://app.example.com:443", true),
            ("https://app.example.com:8443", false),
            ("http://app.example.com", false),
            ("https://app.example.com.evil.org", false),
            ("https://evil.org/app.example.com", false),
            ("http://a.test", true),
            ("http://a.b.test:81", true),
            ("http://test", false),
            ("http://localhost:8080", true),
            ("http://localhost", false),
            ("null", false),
            ("nonsense", false),
            ("", false),
        ] {
            assert_eq!(some.allow(Some(origin), None), allowed, "{origin}");
        }
        assert!(some.allow(None, None), "no browser");
        assert!(
            Origins::default().allow(Some("https://any.org"), None) && Origins::default().allow(Some("null"), None)
        );
        assert!(rule(&["a*b*c"]).patterns.is_some_and(|patterns| matches(&patterns[0], "a--b--b-c")));
        assert!(!matches("a*b*c", "acb") && matches("**", "") && !matches("ab*b", "ab"));
    }

    #[test]
    fn pages_of_the_same_origin_are_known_by_the_host() {
        let same = Origins { patterns: None, null: false };
        for (origin, host, allowed) in [
            ("https://app.example.com", Some("app.example.com"), true),
            ("http://localhost:8080", Some("localhost:8080"), true),
            ("http://localhost", Some("LOCALHOST:80"), true),
            ("https://[::1]", Some("[::1]:443"), true),
            ("http://[::1]:8080", Some("[::1]:8080"), true),
            ("http://localhost:8081", Some("localhost:8080"), false),
            ("https://evil.org", Some("app.example.com"), false),
            ("https://evil.org", None, false),
            ("null", Some("null"), false),
        ] {
            assert_eq!(same.allow(Some(origin), host), allowed, "{origin} {host:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(origin in "(https?://)?[:/.a-z0-9\\[\\]é*]{0,12}", host in "[:/.a-z0-9\\[\\]é]{0,8}") {
            for patterns in [None, Some(vec![host.as_str().into(), "*:*".into()])] {
                let _ = Origins { patterns, null: false }.allow(Some(&origin), Some(&host));
            }
        }
    }
}
