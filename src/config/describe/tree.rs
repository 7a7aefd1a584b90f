//! The schema as a tree of keys.

use crate::config::file::schema::NULL;
use serde_json::Value;

/// A schema whose parts can be found.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    root: &'a Value,
}

/// A part of a schema that is chosen by the type of an object, or is the only one.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// The type, if there is a choice by it.
    pub kind: Option<&'a str>,
    /// The part.
    pub part: &'a Value,
}

impl<'a> Tree<'a> {
    /// The tree of a schema.
    #[must_use]
    pub fn new(root: &'a Value) -> Tree<'a> {
        Tree { root }
    }

    /// The whole.
    #[must_use]
    pub fn root(self) -> &'a Value {
        self.root
    }

    /// The parts that have names, in their order.
    pub fn definitions(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.root["$defs"].as_object().into_iter().flatten().map(|(name, part)| (name.as_str(), part))
    }

    /// The name of the part that stands here, if it has one.
    #[must_use]
    pub fn name(self, part: &'a Value) -> Option<&'a str> {
        part.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"))
    }

    /// The part itself, if it stands elsewhere.
    #[must_use]
    pub fn resolve(self, part: &'a Value) -> &'a Value {
        self.name(part).map_or(part, |name| &self.root["$defs"][name])
    }

    /// What may stand at a place. Null and variables of the environment are left out: they may stand nearly everywhere.
    #[must_use]
    pub fn choices(self, part: &'a Value) -> Vec<Choice<'a>> {
        if self.name(part) == Some("Variable") || part.get("type").is_some_and(|kind| kind == "null") {
            return Vec::new();
        }
        let part = self.resolve(part);
        if let Some(variants) = part.get("oneOf").and_then(Value::as_array) {
            let kind = |variant: &'a Value| variant["properties"]["type"]["const"].as_str();
            return variants.iter().map(|variant| Choice { kind: kind(variant), part: variant }).collect();
        }
        match part.get("anyOf").and_then(Value::as_array) {
            // Conditions that belong to the part itself.
            Some(parts) if !parts.iter().all(|part| is_condition(part) || self.name(part) == Some("Variable")) => {
                parts.iter().flat_map(|part| self.choices(part)).collect()
            }
            _ => vec![Choice { kind: None, part }],
        }
    }

    /// What the list holds that may stand here.
    #[must_use]
    pub fn items(self, part: &'a Value) -> Option<&'a Value> {
        self.choices(part).into_iter().find_map(|choice| choice.part.get("items"))
    }

    /// What stands behind each name, if the names are free.
    #[must_use]
    pub fn values(self, part: &'a Value) -> Option<&'a Value> {
        let free = |choice: Choice<'a>| choice.part.get("additionalProperties").filter(|part| part.is_object());
        self.choices(part).into_iter().find_map(free)
    }
}

/// The keys of an object.
pub fn keys(part: &Value) -> impl Iterator<Item = (&str, &Value)> {
    part.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(key, part)| (key.as_str(), part))
}

/// True for keys that have to be there.
#[must_use]
pub fn is_required(object: &Value, key: &str) -> bool {
    object.get("required").and_then(Value::as_array).is_some_and(|keys| keys.iter().any(|known| known == key))
}

/// True for keys that are known and have no effect.
#[must_use]
pub fn has_no_effect(part: &Value) -> bool {
    part.get("deprecated").is_some_and(|deprecated| deprecated == true)
}

/// What is said of a part.
#[must_use]
pub fn description(part: &Value) -> &str {
    part.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// Words for what may stand somewhere.
#[must_use]
pub fn words(tree: Tree<'_>, part: &Value) -> String {
    let choices = tree.choices(part);
    let kinds: Vec<String> = choices.iter().filter_map(|choice| choice.kind).map(|kind| format!("`{kind}`")).collect();
    let mut texts: Vec<String> =
        choices.iter().filter(|choice| choice.kind.is_none()).map(|choice| plain(tree, choice.part)).collect();
    if !kinds.is_empty() {
        texts.push(format!("an object of the type {}", any_of(&kinds)));
    }
    if description(part).contains(NULL) {
        texts.push("null".into());
    }
    any_of(&texts)
}

fn plain(tree: Tree<'_>, part: &Value) -> String {
    let list = |values: &Vec<Value>| {
        let values: Vec<String> =
            values.iter().filter(|value| !value.is_null()).map(|value| format!("`{value}`")).collect();
        any_of(&values)
    };
    let checks = part.get("anyOf").and_then(|checks| checks.get(0)).unwrap_or(part);
    if let Some(values) = checks.get("enum").and_then(Value::as_array) {
        return list(values);
    }
    if let Some(value) = checks.get("const") {
        return format!("`{value}`");
    }
    let kind = match part.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match kind.unwrap_or_default() {
        "boolean" => "true or false".into(),
        "integer" => format!("a whole number{}", range(part)),
        "number" => format!("a number{}", range(part)),
        "string" => "a text".into(),
        "array" => match tree.items(part).map(|items| tree.choices(items)) {
            Some(choices) if choices.iter().all(|choice| choice.part.get("properties").is_none()) => {
                let each = tree.items(part).map(|items| self::words(tree, items)).unwrap_or_default();
                format!("a list, each {each}")
            }
            _ => "a list of objects".into(),
        },
        "object" if part.get("properties").is_none() => match tree.values(part) {
            Some(values) => format!("an object: by name, {}", self::words(tree, values)),
            None => "an object".into(),
        },
        "object" => "an object".into(),
        _ => "anything".into(),
    }
}

fn range(part: &Value) -> String {
    let above = part.get("exclusiveMinimum").map(|min| format!(" above {min}"));
    match (part.get("minimum"), part.get("maximum")) {
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        (Some(min), None) if min == 0 => String::new(),
        (Some(min), None) => format!(", at least {min}"),
        (None, Some(max)) => format!("{}, at most {max}", above.unwrap_or_default()),
        (None, None) => above.unwrap_or_default(),
    }
}

/// One of these.
pub(super) fn any_of<T: AsRef<str>>(texts: &[T]) -> String {
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    match &texts[..] {
        [] => "null".into(),
        [only] => (*only).into(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// True for parts that say nothing but what has to be there, or which form a text has.
fn is_condition(part: &Value) -> bool {
    const CHECKS: [&str; 5] = ["required", "enum", "const", "pattern", "minLength"];
    part.as_object().is_some_and(|part| part.keys().all(|key| CHECKS.contains(&key.as_str())))
}
