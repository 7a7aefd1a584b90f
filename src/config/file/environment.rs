//! Values that come from the environment.

use super::{Fault, Read};
use serde_json::Value;

/// Where a text that looks like a variable is what it looks like: what pages, guests and components are given, and `disabled`, which
/// asks whether there is a variable.
const AS_THEY_ARE: [&str; 4] = ["value", "disabled", "vars", "extra"];

/// Replaces every text that is `${NAME}` as a whole by that variable.
pub(super) fn substitute(value: &mut Value, at: &str) -> Read<()> {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
                *text = variable(name, at)?;
            }
            Ok(())
        }
        Value::Array(list) => {
            list.iter_mut().enumerate().try_for_each(|(index, value)| substitute(value, &format!("{at}[{index}]")))
        }
        Value::Object(map) => {
            let dot = if at.is_empty() { "" } else { "." };
            let mut parts = map.iter_mut().filter(|(key, _)| !AS_THEY_ARE.contains(&key.as_str()));
            parts.try_for_each(|(key, value)| substitute(value, &format!("{at}{dot}{key}")))
        }
        _ => Ok(()),
    }
}

/// Replaces a text that is `$NAME` as a whole by that variable: for what can be no such text itself.
pub(super) fn plain(text: &str, at: &str) -> Read<String> {
    text.strip_prefix('$').map_or_else(|| Ok(text.into()), |name| variable(name, at))
}

/// True if a worker is switched off: any text that a variable holds does so, but not an empty one.
pub(super) fn is_disabled(value: Option<&Value>, at: &str) -> Read<bool> {
    match value {
        None => Ok(false),
        Some(Value::Bool(disabled)) => Ok(*disabled),
        Some(Value::String(text)) => Ok(match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => std::env::var(name).is_ok_and(|text| !text.is_empty()),
            None => !text.is_empty(),
        }),
        Some(other) => Err(Fault::new(at, format!("is {other}, not true, false or \"${{NAME}}\""))),
    }
}

fn variable(name: &str, at: &str) -> Read<String> {
    std::env::var(name).map_err(|_| Fault::new(at, format!("the variable {name:?} is not set in the environment")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A variable that is there wherever tests run.
    fn path() -> String {
        std::env::var("PATH").expect("there is a PATH")
    }

    #[test]
    fn whole_texts_are_replaced() {
        let mut value =
            json!({"a": ["${PATH}", "x${PATH}", "$PATH", 1], "value": "${PATH}", "b": {"vars": {"c": "${X}"}}});
        substitute(&mut value, "").expect("the variable is there");
        let expected = json!({"a": [path(), "x${PATH}", "$PATH", 1], "value": "${PATH}", "b": {"vars": {"c": "${X}"}}});
        assert_eq!(value, expected);
        assert_eq!(plain("$PATH", "").expect("the variable is there"), path());
        assert_eq!(plain("8080", "").expect("no variable"), "8080");
    }

    #[test]
    fn what_is_missing_is_told_with_its_place() {
        let fault = substitute(&mut json!({"workers": [{"x": "${NOT THERE}"}]}), "").expect_err("it is not there");
        assert_eq!(fault.at, "workers[0].x");
        assert_eq!(fault.message, "the variable \"NOT THERE\" is not set in the environment");
    }

    #[test]
    fn workers_can_be_switched_off() {
        for (value, expected) in [
            (json!(true), true),
            (json!(false), false),
            (json!("${PATH}"), true),
            (json!("${NOT THERE}"), false),
            (json!(""), false),
            (json!("yes"), true),
        ] {
            assert_eq!(is_disabled(Some(&value), "").expect("it can be said"), expected, "{value}");
        }
        assert!(is_disabled(Some(&json!(1)), "").is_err());
    }
}
