use super::super::keys::KNOWN;
use super::super::{Fault, Format};
use super::*;
use crate::config::describe::example::{example, minimal, sample};
use crate::config::describe::explain::explain;
use crate::config::describe::reference::reference;
use crate::config::describe::tree::{Choice, Tree, keys};
use jsonschema::Validator;
use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

/// A validator of the whole schema.
pub(in crate::config::file) fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).expect("a schema")
}

fn read(file: &Value) -> Result<(), Fault> {
    let mut file = file.clone();
    resolve(&mut file);
    super::super::parse(&file.to_string(), Format::Json, Path::new("/node")).map(|_| ())
}

/// Puts texts in the place of variables, which are not there.
fn resolve(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("${") => *text = "x".repeat(40),
        Value::Array(list) => list.iter_mut().for_each(resolve),
        Value::Object(object) => object.values_mut().for_each(resolve),
        _ => {}
    }
}

#[test]
fn the_schema_is_a_schema() {
    let schema = schema();
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    let validator = validator();
    assert!(validator.is_valid(&json!({"version": 2, "workers": []})));
    let transport = json!({"type": "websocket", "endpoint": {"type": "tcp", "port": 1}});
    let file = |transport: &Value| json!({"version": 2, "workers": [{"type": "router", "transports": [transport]}]});
    assert!(validator.is_valid(&file(&transport)));
    for (key, value) in [
        ("zzz", json!(1)),
        ("paths", json!({})),
        ("type", json!("zzz")),
        ("endpoint", json!({"type": "tcp", "port": 70_000})),
        ("endpoint", json!({"type": "tcp"})),
        ("options", json!({"max_message_size": 0})),
        ("cookie", json!({"same_site": "odd"})),
        ("auth", json!({"anonymous": {"type": "static", "authenticator": "com.x"}})),
    ] {
        let mut wrong = transport.clone();
        wrong[key] = value;
        assert!(!validator.is_valid(&file(&wrong)), "{wrong}");
    }
    // Any text may come from the environment.
    let mut variable = transport;
    variable["cookie"] = json!({"same_site": "${SITE}"});
    assert!(validator.is_valid(&file(&variable)));
}

/// A place in the schema where an object may stand: its path in the words of the reader, and what stands around it.
struct Place<'a> {
    tree: Tree<'a>,
    choice: Choice<'a>,
    at: String,
    around: &'a dyn Fn(Value) -> Value,
}

impl Place<'_> {
    /// The whole file with this value of a key in an object that has what it needs besides.
    fn file(&self, key: &str, value: Value) -> Value {
        let mut object = minimal(self.tree, self.choice);
        object.insert(key.into(), value);
        (self.around)(object.into())
    }

    fn key(&self, key: &str) -> String {
        if self.at.is_empty() { key.into() } else { format!("{}.{key}", self.at) }
    }
}

/// Calls a function for every place; parts inside themselves are gone through once.
fn places(tree: Tree<'_>, act: &mut dyn FnMut(&Place<'_>)) {
    let around = |value: Value| value;
    objects(tree, tree.root(), "", &around, &mut BTreeSet::new(), act);
}

fn objects<'a>(
    tree: Tree<'a>,
    part: &'a Value,
    at: &str,
    around: &dyn Fn(Value) -> Value,
    inside: &mut BTreeSet<String>,
    act: &mut dyn FnMut(&Place<'_>),
) {
    let among = part.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let name = among.chain([part]).find_map(|part| tree.name(part)).map(str::to_owned);
    if name.as_ref().is_some_and(|name| inside.contains(name)) {
        return;
    }
    inside.extend(name.clone());
    for choice in tree.choices(part) {
        if let Some(items) = choice.part.get("items") {
            objects(tree, items, &format!("{at}[0]"), &|value| around(json!([value])), inside, act);
        }
        if let Some(values) = choice.part.get("additionalProperties").filter(|part| part.is_object()) {
            objects(tree, values, &format!("{at}.some"), &|value| around(json!({"some": value})), inside, act);
        }
        if choice.part.get("properties").is_none() {
            continue;
        }
        act(&Place { tree, choice, at: at.into(), around });
        for (key, part) in keys(choice.part).filter(|(key, _)| !["type", "users"].contains(key)) {
            let inner = |value: Value| {
                let mut object = minimal(tree, choice);
                object.insert(key.into(), value);
                around(object.into())
            };
            let at = if at.is_empty() { key.into() } else { format!("{at}.{key}") };
            objects(tree, part, &at, &inner, inside, act);
        }
    }
    if let Some(name) = name {
        inside.remove(&name);
    }
}

/// The same part stands in containers, or at paths of WebSocket, as well, where it is looked at: what stands around it here
/// is refused before.
const ELSEWHERE: [&str; 4] = [
    "is for components of containers only",
    "which is for components of routers only",
    "needs either a `role`, or `auth`",
    "has neither `cookie` nor `anonymous`",
];

fn is_elsewhere(fault: &Fault) -> bool {
    ELSEWHERE.iter().any(|text| fault.message.contains(text))
}

/// The reader knows just the keys that the schema has, wherever an object may stand.
#[test]
fn the_reader_and_the_schema_have_the_same_keys() {
    let schema = schema();
    let validator = validator();
    let mut seen = 0;
    places(Tree::new(&schema), &mut |place| {
        if place.choice.part.get("additionalProperties") != Some(&json!(false)) {
            assert!(place.choice.part["deprecated"] == true, "{} is open", place.at);
            return;
        }
        KNOWN.take();
        let file = place.file("zzz", json!(1));
        let fault = read(&file).expect_err("an unknown key");
        let said = format!("{file}: {}: {}", fault.at, fault.message);
        if is_elsewhere(&fault) {
            return;
        }
        assert!(fault.at == place.key("zzz") && fault.message.contains("is not known"), "{said}");
        assert!(!validator.is_valid(&file), "{said}");
        seen += 1;
        let known = KNOWN.take();
        // Those of tables are made of the same tables.
        let is_table = fault.at.starts_with("corebar") || place.choice.part["title"] == "ClientOptions";
        if is_table && known.is_empty() {
            return;
        }
        let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
        let own = keys(place.choice.part).map(|(key, _)| key);
        let own: BTreeSet<&str> = own.filter(|key| *key != "type" || place.choice.kind.is_none()).collect();
        let known = &known - &BTreeSet::from([if place.choice.kind.is_some() { "type" } else { "" }]);
        assert_eq!(known, own, "{said}");
    });
    assert!(seen > 200, "{seen} places");
}

/// What the schema says of a value, the reader says as well: words, and ranges of numbers.
#[test]
fn the_reader_and_the_schema_take_the_same_values() {
    let schema = schema();
    let (mut words, mut ranges) = (0, 0);
    places(Tree::new(&schema), &mut |place| {
        let fails = |key: &str, value: &Value| {
            let fault = read(&place.file(key, value.clone())).err();
            let fault = fault.filter(|fault| fault.at.starts_with(&place.key(key))).map(|fault| fault.message);
            // What belongs to other workers, or does not go with other values, is known and refused.
            let other = ["is for workers with components only", "is less than backoff", "needs ca_certificates"];
            fault.filter(|message| !other.iter().any(|other| message.starts_with(other)))
        };
        if read(&place.file("zzz", json!(1))).is_err_and(|fault| is_elsewhere(&fault)) {
            return;
        }
        for (key, part) in keys(place.choice.part).filter(|(key, _)| !["type", "users"].contains(key)) {
            let at = place.key(key);
            let checks = part.get("anyOf").and_then(|checks| checks.get(0)).unwrap_or(part);
            if let Some(values) = checks.get("enum").and_then(Value::as_array) {
                for value in values.iter().filter(|value| !value.is_null()) {
                    assert_eq!(fails(key, value), None, "{at}: {value}");
                }
                let wrong = if values[0].is_string() { json!("zzz") } else { json!(99) };
                assert!(
                    fails(key, &wrong).is_some(),
                    "{at} takes {wrong}: {:?}",
                    read(&place.file(key, wrong.clone()))
                );
                words += 1;
            }
            let number = |name: &str| part.get(name).filter(|_| part["deprecated"] != true).and_then(Value::as_f64);
            for (end, step) in [("minimum", -1.0), ("maximum", 1.0)] {
                let Some(value) = number(end) else { continue };
                let is_whole = value.fract() == 0.0;
                let json = |value: f64| if is_whole { json!(value as i64) } else { json!(value) };
                assert_eq!(fails(key, &json(value)), None, "{at}: the {end} {value}");
                let beyond = read(&place.file(key, json(value + step)));
                // Of these the minimal object lacks what goes with them.
                let lacks = ["but no `salt`", "needs one of secret, secret_base64, key and jwks", "needs a `topic`"];
                let lacks = |fault: &Fault| lacks.iter().any(|lack| fault.message.ends_with(lack));
                let refused = beyond.as_ref().is_err_and(lacks) || fails(key, &json(value + step)).is_some();
                assert!(refused, "{at}: beyond the {end} {value}: {beyond:?}");
                ranges += 1;
            }
        }
    });
    assert!(words > 20 && ranges > 150, "{words} {ranges}");
}

#[test]
fn defaults_and_examples_are_right() {
    let schema = schema();
    let validator = validator();
    places(Tree::new(&schema), &mut |place| {
        for (key, part) in keys(place.choice.part) {
            let examples = part.get("examples").and_then(Value::as_array).into_iter().flatten();
            let mut values: Vec<Value> = examples.chain(part.get("default")).cloned().collect();
            values.push(sample(place.tree, part));
            for value in values.into_iter().filter(|_| key != "type") {
                let file = place.file(key, value.clone());
                let errors: Vec<String> = validator.iter_errors(&file).map(|error| error.to_string()).collect();
                assert!(errors.is_empty(), "{}: {value}: {errors:?}", place.key(key));
            }
        }
    });
}

#[test]
fn every_key_is_described() {
    let schema = schema();
    places(Tree::new(&schema), &mut |place| {
        for (key, part) in keys(place.choice.part) {
            let text = part["description"].as_str().unwrap_or_default();
            assert!(text.ends_with(['.', ')']) && !text.contains('\n'), "{}: {text:?}", place.key(key));
            let idle = ["Has no effect", "Does nothing", "Not needed"].iter().any(|words| text.contains(words));
            assert_eq!(idle, part["deprecated"] == true, "{}: {text:?}", place.key(key));
        }
    });
}

#[test]
fn examples_can_be_served() {
    let schema = schema();
    for full in [false, true] {
        let text = example(Tree::new(&schema), full);
        let (config, warnings, _) = super::super::parse(&text, Format::Yaml, Path::new("")).expect("a good file");
        assert!(warnings.is_empty() && config.listeners.len() == 1, "{warnings:?}");
        assert_eq!(config.check(), Ok(()));
        assert!(validator().is_valid(&Format::Yaml.parse(&text).expect("YAML")));
        assert!(text.lines().all(|line| line.trim_end() == line && line.len() < 160), "{text}");
    }
    // Everything is there, and what is in comments is YAML as well.
    let text = example(Tree::new(&schema), true);
    let mut missing = Vec::new();
    places(Tree::new(&schema), &mut |place| {
        let names = keys(place.choice.part).filter(|(_, part)| part["deprecated"] != true).map(|(key, _)| key);
        let is_there = |key: &&str| [format!("{key}:"), format!("{key:?}:")].iter().any(|head| text.contains(head));
        missing.extend(names.filter(|key| !is_there(key)).map(|key| place.key(key)));
    });
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn keys_are_explained() {
    let schema = schema();
    let tree = Tree::new(&schema);
    let text = |path: &str| {
        let all = explain(tree, path).unwrap_or_else(|error| panic!("{error}"));
        all.iter().map(|one| one.text()).collect::<Vec<_>>().join("\n")
    };
    let limit = text("corebar.limits.calls_max");
    assert!(limit.contains("default:     65536") && limit.contains("a whole number from 0 to 4294967295"), "{limit}");
    for path in [
        "workers[].transports[].options.auto_ping_interval",
        "workers[3].transports[0].options.auto_ping_interval",
        "workers.transports.options.auto_ping_interval",
    ] {
        let ping = text(path);
        assert!(ping.starts_with("workers[].transports[].options.auto_ping_interval\n"), "{ping}");
        assert!(ping.contains("milliseconds") && ping.contains("that of corebar.transport.ping_interval"), "{ping}");
        assert!(ping.contains("workers[].transports[] of the type websocket"), "{ping}");
    }
    assert!(text("workers[].transports[].paths.ws.auth.ticket.principals.joe.role").contains(".principals.*.role\n"));
    assert!(text("workers[].transports[].endpoint").contains("keys of the type unix:"));
    assert!(text("workers.transports.endpoint.proxy_protocol").contains("Crossbar.io: does not have this key"));
    let wrong = |path: &str| explain(tree, path).expect_err("no such key");
    assert!(wrong("calls_max").ends_with("did you mean corebar.limits.calls_max?"), "{}", wrong("calls_max"));
    assert!(wrong("workers[].transports[].endpont").ends_with("did you mean workers[].transports[].endpoint?"));
    assert!(wrong("").contains("is not known"));
}

/// The committed reference is what the types say; with COREBAR_WRITE_REFERENCE it is written.
#[test]
fn the_reference_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let schema = schema();
    let text = reference(Tree::new(&schema));
    if env::var_os("COREBAR_WRITE_REFERENCE").is_some() {
        fs::write(&file, &text).expect("the reference can be written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == text, "docs/reference.md is old; COREBAR_WRITE_REFERENCE=1 with this test writes it");
}
