//! An example of the file, in YAML, which has comments.

use super::explain::{first_sentence, wrap};
use super::tree::{Choice, Tree, description, has_no_effect, is_required, keys};
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// How long lines of comments are.
const WIDTH: usize = 100;

/// The text: a file that can be served as it is. `full`: all keys that have an effect stand in it as comments.
#[must_use]
pub fn example(tree: Tree<'_>, full: bool) -> String {
    let what = if full {
        "Every key that has an effect, in comments where it is not needed; take the `# ` away in front of what you want. What \
         is said once is not said again."
    } else {
        "A file that can be served as it is. `corebar config example --full` has every key."
    };
    let mut lines: Vec<String> = wrap(what, WIDTH).iter().map(|line| format!("# {line}")).collect();
    lines.push("# `corebar config explain workers[].transports[].endpoint` says more of one key.".into());
    lines.push(String::new());
    let mut writer = Writer { tree, full, shown: BTreeSet::new() };
    let values = values();
    lines.extend(writer.object(Choice { kind: None, part: tree.root() }, &values));
    lines.push(String::new());
    lines.join("\n")
}

/// What is not in comments.
fn values() -> Map<String, Value> {
    let allow = json!({"call": true, "register": true, "publish": true, "subscribe": true});
    let value = json!({
        "version": 2,
        "workers": [{
            "type": "router",
            "realms": [{
                "name": "realm1",
                "roles": [{
                    "name": "anonymous",
                    "permissions": [{"uri": "com.example.", "match": "prefix", "allow": allow}],
                }],
            }],
            "transports": [{
                "type": "web",
                "endpoint": {"type": "tcp", "port": 8080, "interface": "127.0.0.1"},
                "paths": {
                    "ws": {"type": "websocket", "auth": {"anonymous": {"type": "static", "role": "anonymous"}}},
                    "lp": {"type": "longpoll"},
                },
            }],
        }],
    });
    match value {
        Value::Object(values) => values,
        _ => Map::new(),
    }
}

struct Writer<'a> {
    tree: Tree<'a>,
    full: bool,
    /// Parts that have been written with all their keys.
    shown: BTreeSet<String>,
}

impl<'a> Writer<'a> {
    /// The lines of an object with these values.
    fn object(&mut self, choice: Choice<'a>, values: &Map<String, Value>) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, part) in keys(choice.part).filter(|(_, part)| !has_no_effect(part)) {
            if let Some(value) = values.get(key) {
                let about = if key == "type" { description(choice.part) } else { description(part) };
                lines.extend(self.comment(about));
                lines.extend(self.entry(key, part, value));
            } else if self.full {
                lines.extend(commented(self.absent(key, part)));
            }
        }
        lines
    }

    fn comment(&self, text: &str) -> Vec<String> {
        let text = if self.full { text } else { first_sentence(text) };
        if text.is_empty() {
            return Vec::new();
        }
        wrap(text, WIDTH).iter().map(|line| format!("# {line}")).collect()
    }

    /// The lines of a key with its value.
    fn entry(&mut self, key: &str, part: &'a Value, value: &Value) -> Vec<String> {
        let head = format!("{}:", name(key));
        match value {
            Value::Object(values) => {
                if let Some(choice) = self.choice(part, value) {
                    self.show(part, choice);
                    return within(head, indented(self.object(choice, values)));
                }
                let Some(inner) = self.tree.values(part) else { return vec![format!("{head} {value}")] };
                let entries = values.iter().flat_map(|(name, value)| self.entry(name, inner, value)).collect();
                within(head, indented(entries))
            }
            Value::Array(list) if list.iter().all(Value::is_object) && !list.is_empty() => {
                let Some(items) = self.tree.items(part) else { return vec![format!("{head} {value}")] };
                let mut lines = Vec::new();
                for value in list {
                    if let (Some(choice), Some(values)) = (self.choice(items, value), value.as_object()) {
                        self.show(items, choice);
                        lines.extend(item(self.object(choice, values)));
                    }
                }
                if self.full {
                    lines.extend(commented(self.others(items, item)));
                }
                within(head, indented(lines))
            }
            value => vec![format!("{head} {value}")],
        }
    }

    /// The part of which this value is.
    fn choice(&self, part: &'a Value, value: &Value) -> Option<Choice<'a>> {
        let kind = value.get("type").and_then(Value::as_str);
        let mut choices = self.tree.choices(part).into_iter();
        choices.find(|choice| choice.part.get("properties").is_some() && (choice.kind.is_none() || choice.kind == kind))
    }

    /// The lines of a key that is not there, as it could be.
    fn absent(&mut self, key: &str, part: &'a Value) -> Vec<String> {
        let mut lines = self.comment(description(part));
        let head = format!("{}:", name(key));
        let objects =
            |part: &'a Value| self.tree.choices(part).iter().any(|choice| choice.part.get("properties").is_some());
        let (list, map) = (self.tree.items(part), self.tree.values(part));
        let block = if objects(part) {
            let mut block = self.others(part, |lines| lines);
            // What else it may be stands in front.
            if let Some(default) = part.get("default").filter(|default| !default.is_null() && !default.is_object()) {
                block.insert(0, format!("# {default} means something as well."));
            }
            indented(block)
        } else if let Some(items) = list.filter(|items| objects(items)) {
            indented(self.others(items, item))
        } else if let Some(values) = map.filter(|values| objects(values)) {
            let inner = self.others(values, |lines| lines);
            if inner.is_empty() { inner } else { indented(within("name:".into(), indented(inner))) }
        } else {
            Vec::new()
        };
        if block.is_empty() {
            lines.push(format!("{head} {}", sample(self.tree, part)));
        } else {
            lines.extend(within(head, block));
        }
        lines
    }

    /// What may stand somewhere and has not been shown: the first as it is, the others in comments.
    fn others(&mut self, part: &'a Value, wrapped: impl Fn(Vec<String>) -> Vec<String>) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for choice in self.tree.choices(part) {
            if choice.part.get("properties").is_none() || has_no_effect(choice.part) || !self.show(part, choice) {
                continue;
            }
            let mut own = Vec::new();
            for (key, part) in keys(choice.part).filter(|(_, part)| !has_no_effect(part)) {
                if let Some(kind) = choice.kind.filter(|_| key == "type") {
                    own.extend(self.comment(description(choice.part)));
                    own.push(format!("type: {kind}"));
                } else {
                    own.extend(self.absent(key, part));
                }
            }
            let own = wrapped(own);
            if lines.is_empty() {
                lines = own;
            } else {
                lines.push("# Or:".into());
                lines.extend(commented(own));
            }
        }
        lines
    }

    /// Notes that a part is shown; false if it has been.
    fn show(&mut self, part: &'a Value, choice: Choice<'a>) -> bool {
        let among = part.get("anyOf").and_then(Value::as_array).into_iter().flatten();
        let name = among.chain([part]).find_map(|part| self.tree.name(part));
        let Some(name) = name else { return true };
        self.shown.insert(format!("{name} {}", choice.kind.unwrap_or_default()))
    }
}

/// A value as it could be.
#[must_use]
pub fn sample(tree: Tree<'_>, part: &Value) -> Value {
    let given = part.get("default").filter(|default| !default.is_null());
    let given = given.or_else(|| part.get("examples").and_then(|examples| examples.get(0)));
    if let Some(given) = given {
        return given.clone();
    }
    let Some(choice) = tree.choices(part).into_iter().next() else { return Value::Null };
    if choice.kind.is_some() || choice.part.get("properties").is_some() {
        return minimal(tree, choice).into();
    }
    let part = choice.part;
    let checks = part.get("anyOf").and_then(|checks| checks.get(0)).unwrap_or(part);
    if let Some(value) = checks.get("const").or_else(|| checks.get("enum").and_then(|values| values.get(0))) {
        return value.clone();
    }
    let kind = match part.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match kind.unwrap_or_default() {
        "boolean" => true.into(),
        "integer" | "number" => match part.get("minimum").filter(|min| **min != 0) {
            Some(min) => min.clone(),
            None => 1.into(),
        },
        "array" => json!([]),
        "string" => "text".into(),
        _ => json!({}),
    }
}

/// An object with what has to be there.
#[must_use]
pub fn minimal(tree: Tree<'_>, choice: Choice<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    for (key, part) in keys(choice.part).filter(|(key, _)| is_required(choice.part, key)) {
        let value = match choice.kind {
            Some(kind) if key == "type" => kind.into(),
            _ => sample(tree, part),
        };
        object.insert(key.into(), value);
    }
    // One of several has to be there.
    let one = choice.part.get("anyOf").and_then(|ways| ways[0]["required"][0].as_str());
    if let Some((key, part)) = one.and_then(|one| keys(choice.part).find(|(key, _)| *key == one)) {
        object.insert(key.into(), sample(tree, part));
    }
    object
}

/// A key as it can be written.
fn name(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if key.chars().all(plain) { key.into() } else { format!("{key:?}") }
}

fn within(head: String, block: Vec<String>) -> Vec<String> {
    [vec![head], block].concat()
}

fn indented(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| if line.is_empty() { line } else { format!("  {line}") }).collect()
}

fn commented(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| format!("# {line}")).collect()
}

/// The lines of an object as those of an item of a list.
fn item(lines: Vec<String>) -> Vec<String> {
    let first = lines.iter().position(|line| !line.trim_start().starts_with('#')).unwrap_or_default();
    let item = |(at, line): (usize, String)| match at.cmp(&first) {
        Ordering::Less => line,
        Ordering::Equal => format!("- {line}"),
        Ordering::Greater => format!("  {line}"),
    };
    lines.into_iter().enumerate().map(item).collect()
}
