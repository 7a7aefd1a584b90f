//! Variables in arguments: `{{count}}` and others.

use std::time::{SystemTime, UNIX_EPOCH};

/// What the help says of them.
pub(super) const HELP: &str = "Variables in arguments: {{count}} (1, 2, …), {{time}} (RFC 3339, in UTC), {{unix}} and \
                               {{unixnano}} (since 1970), {{id}} (32 random hexadecimal digits), {{random}} (0 to 1). \
                               Others stay as they are.";

/// What variables stand for.
#[derive(Clone, Debug)]
pub(super) struct Template {
    count: u64,
}

impl Template {
    /// For the message of this number.
    pub(super) const fn new(count: u64) -> Template {
        Template { count }
    }

    /// The text with variables replaced; what is no variable stays.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let inside = &rest[start + 2..];
            let known = inside.find("}}").and_then(|end| Some((end, self.value(inside[..end].trim())?)));
            filled.push_str(&rest[..start]);
            match known {
                Some((end, value)) => {
                    filled.push_str(&value);
                    rest = &inside[end + 2..];
                }
                None => {
                    filled.push('{');
                    rest = &rest[start + 1..];
                }
            }
        }
        filled + rest
    }

    fn value(&self, name: &str) -> Option<String> {
        let since = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match name {
            "count" => Some(self.count.to_string()),
            "time" => Some(super::output::now()),
            "unix" => Some(since().as_secs().to_string()),
            "unixnano" => Some(since().as_nanos().to_string()),
            "id" => Some(format!("{:032x}", fastrand::u128(..))),
            "random" => Some(fastrand::f64().to_string()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_nothing_else() {
        let fill = |text: &str| Template::new(3).fill(text);
        assert_eq!(fill("a {{count}}{{ count }} b"), "a 33 b");
        assert_eq!(fill("{\"a\":{{count}}}"), "{\"a\":3}");
        assert_eq!(fill("{{{count}}}"), "{3}");
        for same in ["{{", "{{}}", "{{x}} }}", "{\"a\":{\"b\":1}}", "{{count", ""] {
            assert_eq!(fill(same), same);
        }
        assert!(fill("{{time}}").ends_with('Z'));
        assert_eq!(fill("{{id}}").len(), 32);
        assert_ne!(fill("{{id}}"), fill("{{id}}"));
        assert!(fill("{{unixnano}}").parse::<u128>().expect("a number") > 0);
    }
}
