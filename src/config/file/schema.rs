//! The JSON Schema of the file, made of the types that read it.
//!
//! What people are told of a key stands at its field as documentation, and in annotations: `default`, `examples`,
//! `deprecated` (the key is known and has no effect), and of our own `x-unit`, `x-crossbar` (what Crossbar.io does, if it is
//! something else), `x-setting` (the key below `corebar` that holds without this one) and `x-reload`.

use super::Node;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// What Crossbar.io does with a key of our own.
pub const OWN: &str = "does not have this key, and refuses it";

/// Begins what is said of null, where it is something else than a key that is not there.
pub const NULL: &str = "Null:";

/// The name of the part for texts that come from the environment.
const VARIABLE: &str = "Variable";

/// The schema of the file, draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.meta_schema = Some("https://json-schema.org/draft/2020-12/schema".into());
    let mut schema = settings.into_generator().into_root_schema_for::<Node>().to_value();
    finish(&mut schema, false);
    schema["title"] = "Configuration of a Corebar node".into();
    schema["description"] =
        "config.yaml or config.json of a node directory, in the format of Crossbar.io, version 2. Any \
                             text that is ${NAME} as a whole is that variable of the environment."
            .into();
    for (name, part) in schema["$defs"].as_object_mut().into_iter().flatten() {
        if let Some(part) = part.as_object_mut() {
            part.entry("title").or_insert_with(|| name.as_str().into());
        }
    }
    schema["$defs"][VARIABLE] = json!({
        "title": VARIABLE,
        "description": "A variable of the environment.",
        "type": "string",
        "pattern": r"^\$\{.*\}$",
    });
    schema
}

/// Makes the schema say what the reader does. `kind`: this is the schema of a key `type`, which is what it is.
fn finish(schema: &mut Value, kind: bool) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(|part| finish(part, false)),
        Value::Object(object) => {
            tidy(object);
            for (key, part) in object.iter_mut() {
                match (key.as_str(), part) {
                    ("properties" | "$defs", Value::Object(parts)) => {
                        parts.iter_mut().for_each(|(name, part)| finish(part, name == "type"));
                    }
                    ("items" | "additionalProperties" | "oneOf" | "anyOf", part) => finish(part, false),
                    _ => {}
                }
            }
            if !kind {
                or_variable(object);
            }
        }
        _ => {}
    }
}

/// A list of words, each with what it means, becomes one list, and what they mean one text.
fn gather_words(object: &mut Map<String, Value>) {
    let Some(variants) = object.get("oneOf").and_then(Value::as_array) else { return };
    let words: Vec<Value> = variants.iter().filter_map(|variant| variant.get("const").cloned()).collect();
    if words.len() != variants.len() {
        return;
    }
    let mut text = object.get("description").and_then(Value::as_str).unwrap_or_default().to_string();
    for variant in variants {
        let about = variant.get("description").and_then(Value::as_str).unwrap_or_default();
        let about = about.trim_end_matches('.').replace('\n', " ");
        let word = variant["const"].as_str().unwrap_or_default();
        let _ = write!(text, " `{word}`: {}.", first_small(&about));
    }
    object.shift_remove("oneOf");
    object.insert("type".into(), "string".into());
    object.insert("enum".into(), words.into());
    object.insert("description".into(), text.trim().into());
}

fn first_small(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

/// Types of Rust are nobody's business, and lines of the source are no lines of a text.
fn tidy(object: &mut Map<String, Value>) {
    gather_words(object);
    if let Some(Value::String(text)) = object.get_mut("description") {
        let paragraphs: Vec<String> = text.trim().split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
        *text = paragraphs.join("\n\n");
    }
    let maximum = match object.get("format").and_then(Value::as_str) {
        Some("uint32") => Some(u32::MAX.into()),
        Some("int32") => Some(i32::MAX.into()),
        _ => None,
    };
    object.shift_remove("format");
    if object.contains_key("const") {
        object.shift_remove("minimum");
        return;
    }
    if let Some(maximum) = maximum.filter(|_| !object.contains_key("maximum")) {
        object.insert("maximum".into(), maximum);
    }
    // Null is left out of the list by who has written it.
    let nullable = object.get("type").and_then(Value::as_array).is_some_and(|types| types.contains(&json!("null")));
    if let Some(Value::Array(values)) = object.get_mut("enum")
        && nullable
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    // A key that is not there is null to the reader, which is no default that says anything.
    let told = object.get("description").and_then(Value::as_str).is_some_and(|text| text.contains(NULL));
    if object.get("default").is_some_and(Value::is_null) && !told {
        object.shift_remove("default");
    }
    for key in ["minimum", "maximum", "default"] {
        if let Some(number) = object.get_mut(key)
            && let Some(whole) = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15)
        {
            *number = (whole as i64).into();
        }
    }
}

/// A text that has to be one of some, or of some form, may come from the environment.
fn or_variable(object: &mut Map<String, Value>) {
    const CHECKS: [&str; 4] = ["enum", "const", "pattern", "minLength"];
    let textual = |value: &Value| value.is_string();
    let restricted = object.contains_key("pattern")
        || object.get("const").is_some_and(textual)
        || object.get("enum").and_then(Value::as_array).is_some_and(|values| values.iter().any(textual));
    if !restricted || object.contains_key("anyOf") {
        return;
    }
    let mut checks = Map::new();
    for check in CHECKS {
        checks.extend(object.shift_remove(check).map(|value| (check.to_string(), value)));
    }
    object.insert("anyOf".into(), json!([checks, {"$ref": format!("#/$defs/{VARIABLE}")}]));
}

#[cfg(test)]
pub(super) mod tests;
