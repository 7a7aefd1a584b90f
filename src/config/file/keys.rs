//! Keys that are not known.

#[cfg(test)]
thread_local! {
    /// The keys that would have been known where the last one was not.
    pub(super) static KNOWN: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// What is said of a key at this place that the file cannot have there: which one may have been meant. `error` is what
/// the reader of the part says.
pub(super) fn explain(error: &str, at: &str) -> String {
    let Some(rest) = error.strip_prefix("unknown field `") else { return error.into() };
    let Some((key, rest)) = rest.split_once('`') else { return error.into() };
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    #[cfg(test)]
    KNOWN.set(known.iter().map(ToString::to_string).collect());
    let subject = if at.rsplit('.').next() == Some(key) { String::new() } else { format!("{key:?} ") };
    match known.iter().map(|known| (distance(key, known), known)).min() {
        None => format!("{subject}is not known; nothing is expected there"),
        Some((_, nearest)) if known.len() == 1 => format!("{subject}is not known; only {nearest:?} is"),
        Some((distance, nearest)) if distance <= key.len().div_ceil(2) => {
            format!("{subject}is not known; did you mean {nearest:?}?")
        }
        Some(_) => {
            let named: Vec<String> = known.iter().map(|known| format!("{known:?}")).collect();
            format!("{subject}is not known; it is none of {}", named.join(", "))
        }
    }
}

/// How many characters have to be put in, taken out or replaced to make one text of the other.
pub(in crate::config) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, character) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (at, wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *wanted);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[test]
    fn distances() {
        for (one, other, expected) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its keys count")]
    struct Two {
        realms: Option<u8>,
        transports: Option<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its keys count")]
    struct One {
        realms: Option<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    #[test]
    fn the_nearest_key_is_named() {
        let said =
            |error: serde_json::Error| explain(error.to_string().split(" at line").next().unwrap_or_default(), "");
        let two = serde_json::from_str::<Two>("{\"relms\": 1}").expect_err("an unknown key");
        assert_eq!(said(two), "\"relms\" is not known; did you mean \"realms\"?");
        let two = serde_json::from_str::<Two>("{\"auth\": 1}").expect_err("an unknown key");
        assert_eq!(said(two), "\"auth\" is not known; it is none of \"realms\", \"transports\"");
        let one = serde_json::from_str::<One>("{\"x\": 1}").expect_err("an unknown key");
        assert_eq!(said(one), "\"x\" is not known; only \"realms\" is");
        let named = explain("unknown field `relms`, expected `realms`", "workers[0].relms");
        assert_eq!(named, "is not known; only \"realms\" is");
        let nothing = serde_json::from_str::<Nothing>("{\"x\": 1}").expect_err("an unknown key");
        assert_eq!(said(nothing), "\"x\" is not known; nothing is expected there");
        assert_eq!(explain("missing field `realms`", ""), "missing field `realms`");
    }
}
