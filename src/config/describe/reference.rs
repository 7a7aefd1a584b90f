//! The reference: every part of the file, and every key of each.

use super::tree::{Tree, description, has_no_effect, is_required, keys, words};
use serde_json::Value;
use std::fmt::Write;

/// The text, in Markdown.
#[must_use]
pub fn reference(tree: Tree<'_>) -> String {
    let mut text = String::from(
        "# Reference of the configuration file\n\n\
         This is made of the types that read the file: `corebar config reference` prints it, `corebar config explain PATH`\n\
         what stands here of one key, `corebar config schema` the same for editors, and `corebar config example --full` an\n\
         example with every key. What belongs together and why stands in [configuration](configuration.md). Keys without\n\
         effect are those of Crossbar.io that are accepted with a warning. Null is the same as a key that is not there, unless\n\
         something else is said.\n\n",
    );
    section(tree, &mut text, "The file", tree.root());
    for (name, part) in tree.definitions().filter(|(name, _)| *name != "Variable") {
        section(tree, &mut text, name, part);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn section(tree: Tree<'_>, text: &mut String, name: &str, part: &Value) {
    let choices = tree.choices(part);
    if choices.iter().all(|choice| choice.part.get("properties").is_none())
        && choices.iter().all(|choice| choice.kind.is_none())
    {
        // A word, or the name of something: what may stand there says it, and its own text what it means.
        let _ = write!(text, "## {name}\n\n{}\n\n{}\n\n", description(part), sentence(&words(tree, part)));
        return;
    }
    let _ = write!(text, "## {name}\n\n");
    if !std::ptr::eq(part, tree.root()) && !description(part).is_empty() {
        let _ = write!(text, "{}\n\n", description(part));
    }
    let absent: Vec<String> = choices
        .iter()
        .filter(|choice| has_no_effect(choice.part))
        .filter_map(|choice| choice.kind.map(|kind| format!("`{kind}`")))
        .collect();
    for choice in choices.iter().filter(|choice| !has_no_effect(choice.part)) {
        if let Some(kind) = choice.kind {
            let _ = write!(text, "### {name} of the type `{kind}`\n\n{}", description(choice.part));
            crossbar(text, choice.part);
            text.push_str("\n\n");
        }
        table(tree, text, choice.part);
    }
    if !absent.is_empty() {
        let _ = write!(text, "Known and not there, with a warning: {}.\n\n", absent.join(", "));
    }
}

fn table(tree: Tree<'_>, text: &mut String, object: &Value) {
    if keys(object).next().is_none() {
        return;
    }
    text.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
    rows(tree, text, object, "");
    text.push('\n');
    let idle: Vec<String> = keys(object)
        .filter(|(_, part)| has_no_effect(part))
        .map(|(key, part)| {
            let why = description(part);
            match why.trim_end_matches('.') {
                "Has no effect" => format!("`{key}`"),
                why => format!(
                    "`{key}` ({})",
                    why.replacen(". Has no effect", "; has none", 1).replacen("Has no effect: ", "", 1)
                ),
            }
        })
        .collect();
    if !idle.is_empty() {
        let _ = write!(text, "Without effect: {}.\n\n", idle.join(", "));
    }
}

fn rows(tree: Tree<'_>, text: &mut String, object: &Value, group: &str) {
    for (key, part) in keys(object).filter(|(key, part)| *key != "type" && !has_no_effect(part)) {
        let path = format!("{group}{key}");
        let inner = tree
            .choices(part)
            .into_iter()
            .find(|choice| tree.name(part).is_none() && choice.part.get("properties").is_some());
        // A group without a name of its own stands in the same table.
        if let Some(inner) = inner.filter(|inner| std::ptr::eq(inner.part, part)) {
            let _ = writeln!(text, "| `{path}` | an object | | {} |", cell(description(part)));
            rows(tree, text, inner.part, &format!("{path}."));
            continue;
        }
        let mut meaning = cell(description(part));
        let told = |unit: &str| meaning.to_lowercase().starts_with(unit);
        if let Some(unit) = part.get("x-unit").and_then(Value::as_str).filter(|unit| !told(unit)) {
            let _ = write!(meaning, " In {unit}.");
        }
        let mut other = String::new();
        crossbar(&mut other, part);
        meaning.push_str(&other);
        let _ = writeln!(
            text,
            "| `{path}` | {} | {} | {meaning} |",
            cell(&value(tree, part)),
            default(part, is_required(object, key))
        );
    }
}

fn crossbar(text: &mut String, part: &Value) {
    if let Some(other) = part.get("x-crossbar").and_then(Value::as_str) {
        let _ = write!(text, " Crossbar.io {other}.");
    }
}

/// What may stand somewhere, with a link to the part of that name.
fn value(tree: Tree<'_>, part: &Value) -> String {
    let name = |part: &Value| {
        let among = part.get("anyOf").and_then(Value::as_array).into_iter().flatten();
        among.chain([part]).find_map(|part| tree.name(part)).filter(|name| *name != "Variable").map(str::to_owned)
    };
    let link = |name: String| format!("[{name}](#{})", name.to_lowercase());
    if let Some(name) = name(part) {
        return link(name);
    }
    if let Some(name) = tree.items(part).and_then(name) {
        return format!("a list of {}", link(name));
    }
    if let Some(name) = tree.values(part).and_then(name) {
        return format!("by name, {}", link(name));
    }
    words(tree, part)
}

fn default(part: &Value, required: bool) -> String {
    if let Some(setting) = part.get("x-setting").and_then(Value::as_str) {
        return format!("that of `corebar.{setting}`");
    }
    match part.get("default") {
        Some(default) => format!("`{default}`"),
        None if required => "needed".into(),
        None => String::new(),
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

/// What may stand in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
