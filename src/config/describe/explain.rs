//! What one key means.

use super::tree::{Tree, any_of, description, has_no_effect, is_required, keys, words};
use crate::config::file::distance;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A key, as it is understood in some places.
#[derive(Clone, Debug)]
pub struct Explanation<'a> {
    tree: Tree<'a>,
    /// Its path, with `[]` behind lists and `*` for free names.
    pub path: String,
    /// In what it stands: paths of objects and their types. Of several ways any will do.
    pub within: Vec<Vec<(String, &'a str)>>,
    /// The schema of its value.
    pub part: &'a Value,
    /// It has to be there.
    pub required: bool,
}

/// Where the walk through the schema is.
#[derive(Clone)]
struct Place<'a> {
    path: String,
    within: Vec<(String, &'a str)>,
    part: &'a Value,
    required: bool,
}

/// Explains the key at a path, such as `workers[].transports[].endpoint.port`; indices may be left out, or be numbers.
/// Where it means several things, there are several explanations.
///
/// # Errors
/// There is no such key; with the nearest.
pub fn explain<'a>(tree: Tree<'a>, path: &str) -> Result<Vec<Explanation<'a>>, String> {
    let mut places = vec![Place { path: String::new(), within: Vec::new(), part: tree.root(), required: true }];
    for name in names(path) {
        places = places.iter().flat_map(|place| below(tree, place, name)).collect();
    }
    if places.is_empty() || names(path).next().is_none() {
        let nearest = nearest(tree, path).map(|nearest| format!("; did you mean {nearest}?"));
        return Err(format!("{path:?} is not known{}", nearest.unwrap_or_default()));
    }
    let mut explanations: Vec<Explanation<'a>> = Vec::new();
    for Place { path, within, part, required } in places {
        let known = explanations.iter_mut().find(|known| known.path == path && known.part == part);
        match known {
            Some(known) => known.within.push(within),
            None => explanations.push(Explanation { tree, path, within: vec![within], part, required }),
        }
    }
    Ok(explanations)
}

/// The names of a path, without indices.
fn names(path: &str) -> impl Iterator<Item = &str> {
    let name = |part: &'_ str| part.find('[').map_or(part.len(), |at| at);
    path.trim_start_matches('.').split('.').map(move |part| &part[..name(part)]).filter(|name| !name.is_empty())
}

/// The places of a name below another place.
fn below<'a>(tree: Tree<'a>, place: &Place<'a>, name: &str) -> Vec<Place<'a>> {
    let mut found = Vec::new();
    let mut hold = place.clone();
    // Lists are gone through.
    while let Some(items) = tree.items(hold.part)
        && tree.choices(hold.part).iter().all(|choice| choice.part.get("properties").is_none())
    {
        hold = Place { path: format!("{}[]", hold.path), part: items, ..hold };
    }
    let dot = if hold.path.is_empty() { "" } else { "." };
    for choice in tree.choices(hold.part) {
        let mut within = hold.within.clone();
        within.extend(choice.kind.map(|kind| (hold.path.clone(), kind)));
        if let Some((key, part)) = keys(choice.part).find(|(key, _)| *key == name) {
            let required = is_required(choice.part, key);
            found.push(Place { path: format!("{}{dot}{key}", hold.path), within, part, required });
        } else if let Some(part) = choice.part.get("additionalProperties").filter(|part| part.is_object()) {
            found.push(Place { path: format!("{}{dot}*", hold.path), within, part, required: false });
        }
    }
    found
}

/// The path that is most like this one.
fn nearest(tree: Tree<'_>, path: &str) -> Option<String> {
    let plain = |path: &str| names(path).collect::<Vec<_>>().join(".");
    let wanted = plain(path);
    let likeness = |known: &String| {
        let known = plain(known);
        let ends = known == wanted || known.ends_with(&format!(".{wanted}"));
        (if ends { 0 } else { distance(&wanted, &known) }, known.len())
    };
    paths(tree).into_iter().min_by_key(likeness)
}

/// The paths of all keys; parts inside themselves are gone through once.
#[must_use]
pub fn paths(tree: Tree<'_>) -> Vec<String> {
    let mut found = Vec::new();
    collect(tree, tree.root(), "", &mut BTreeSet::new(), &mut found);
    let mut seen = BTreeSet::new();
    found.retain(|path| seen.insert(path.clone()));
    found
}

fn collect<'a>(tree: Tree<'a>, part: &'a Value, path: &str, inside: &mut BTreeSet<&'a str>, found: &mut Vec<String>) {
    let names: Vec<&str> = named(tree, part);
    if names.iter().any(|name| inside.contains(name)) {
        return;
    }
    inside.extend(&names);
    let dot = if path.is_empty() { "" } else { "." };
    if let Some(items) = tree.items(part) {
        collect(tree, items, &format!("{path}[]"), inside, found);
    }
    if let Some(values) = tree.values(part) {
        let path = format!("{path}{dot}*");
        found.push(path.clone());
        collect(tree, values, &path, inside, found);
    }
    for choice in tree.choices(part) {
        for (key, part) in keys(choice.part) {
            let path = format!("{path}{dot}{key}");
            found.push(path.clone());
            collect(tree, part, &path, inside, found);
        }
    }
    for name in names {
        inside.remove(name);
    }
}

/// The named parts that may stand here.
fn named<'a>(tree: Tree<'a>, part: &'a Value) -> Vec<&'a str> {
    let among = part.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    among.chain([part]).filter_map(|part| tree.name(part)).collect()
}

impl Explanation<'_> {
    /// The text for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.path);
        let about = self.about();
        if !about.is_empty() {
            let _ = writeln!(text, "{}\n", indent(&about));
        }
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "    {:<12} {value}", format!("{name}:"));
        };
        for within in self.places() {
            line("in", &within);
        }
        line("type", &words(self.tree, self.part));
        if let Some(unit) = self.annotation("x-unit") {
            line("unit", unit);
        }
        line("default", &self.default_words());
        if let Some(other) = self.annotation("x-crossbar") {
            line("Crossbar.io", other);
        }
        if let Some(reload) = self.annotation("x-reload") {
            line("reload", reload);
        }
        if let Some(example) = self.example() {
            let key = self.path.rsplit('.').next().unwrap_or_default();
            line("example", &format!("{}: {example}", if key == "*" { "name" } else { key }));
        }
        for choice in self.tree.choices(self.part).into_iter().chain(self.items()) {
            let mut keys = keys(choice.part).filter(|(_, part)| !has_no_effect(part)).peekable();
            if keys.peek().is_none() {
                continue;
            }
            let kind = choice.kind.map(|kind| format!(" of the type {kind}")).unwrap_or_default();
            let _ = writeln!(text, "\n    keys{kind}:");
            for (key, part) in keys {
                let _ = writeln!(text, "        {key:<26} {}", first_sentence(&about_of(self.tree, part)));
            }
        }
        text
    }

    fn items(&self) -> Vec<super::tree::Choice<'_>> {
        self.tree.items(self.part).map(|items| self.tree.choices(items)).unwrap_or_default()
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut json = Map::new();
        json.insert("path".into(), self.path.as_str().into());
        json.insert("in".into(), self.places().into());
        json.insert("description".into(), self.about().into());
        json.insert("type".into(), words(self.tree, self.part).into());
        json.insert("required".into(), self.required.into());
        json.insert("has_effect".into(), (!has_no_effect(self.part)).into());
        let own = [
            ("unit", "x-unit"),
            ("default", "default"),
            ("setting", "x-setting"),
            ("crossbar", "x-crossbar"),
            ("reload", "x-reload"),
        ];
        for (name, annotation) in own {
            json.extend(self.part.get(annotation).map(|value| (name.to_string(), value.clone())));
        }
        json.extend(self.example().map(|example| ("example".to_string(), example.clone())));
        let objects = self.tree.choices(self.part).into_iter().chain(self.items());
        let objects = objects.filter(|choice| keys(choice.part).next().is_some());
        let keys = |part: &Value| keys(part).map(|(key, _)| key.to_string()).collect::<Vec<_>>();
        let objects: Vec<Value> =
            objects.map(|choice| json!({"type": choice.kind, "keys": keys(choice.part)})).collect();
        if !objects.is_empty() {
            json.insert("objects".into(), objects.into());
        }
        json.into()
    }

    fn about(&self) -> String {
        about_of(self.tree, self.part)
    }

    /// In which objects the key stands: their paths, each with the types of which it may be.
    fn places(&self) -> Vec<String> {
        let mut places: Vec<(&str, Vec<&str>)> = Vec::new();
        for (path, kind) in self.within.iter().flatten() {
            match places.iter_mut().find(|(known, _)| known == path) {
                Some((_, kinds)) if kinds.contains(kind) => {}
                Some((_, kinds)) => kinds.push(kind),
                None => places.push((path, vec![kind])),
            }
        }
        places.into_iter().map(|(path, kinds)| format!("{path} of the type {}", any_of(&kinds))).collect()
    }

    fn default_words(&self) -> String {
        if let Some(setting) = self.annotation("x-setting") {
            return format!("that of corebar.{setting}");
        }
        match self.part.get("default") {
            Some(default) => default.to_string(),
            None if self.required => "none: it has to be there".into(),
            None => "none".into(),
        }
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.part.get(name).and_then(Value::as_str)
    }

    fn example(&self) -> Option<&Value> {
        self.part.get("examples").and_then(|examples| examples.get(0))
    }
}

/// What is said of a key, and of what stands there.
fn about_of(tree: Tree<'_>, part: &Value) -> String {
    let own = description(part);
    let others = tree.choices(part);
    let inner = match &others[..] {
        [only] if only.kind.is_none() && !std::ptr::eq(only.part, part) => description(only.part),
        _ => "",
    };
    if inner.is_empty() || own == inner { own.into() } else { format!("{own} {inner}").trim().into() }
}

/// The first sentence of a text.
#[must_use]
pub fn first_sentence(text: &str) -> &str {
    text.find(". ").map_or(text, |end| &text[..=end])
}

fn indent(text: &str) -> String {
    let lines: Vec<String> = wrap(text, 96).into_iter().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

/// Lines of at most so many characters, if the words allow it.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
