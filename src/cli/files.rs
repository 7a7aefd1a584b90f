//! What can be done with a configuration file without a router.

use super::args::{Check, Convert, Node, Upgrade};
use super::exit::{say, tell};
use crate::config::RuntimeConfig;
use crate::config::file::format::Format;
use crate::config::file::{self, NodeFile, version};
use crate::node;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads a configuration file; `warn` is told what has no effect.
///
/// # Errors
/// It is wrong, or not as strictly right as is wanted; for people.
pub(super) fn load(node: &Node, mut warn: impl FnMut(&str)) -> Result<NodeFile, String> {
    let file = file::load(&node.cbdir, node.config.as_deref()).map_err(|error| error.to_string())?;
    let severity = if node.strict { "error" } else { "warning" };
    for warning in &file.warnings {
        warn(&format!("{severity}: {}: {warning}", file.file.display()));
    }
    if node.strict && !file.warnings.is_empty() {
        return Err(format!("{}: something stands in it that has no effect", file.file.display()));
    }
    Ok(file)
}

/// Looks whether a configuration file is right.
pub(super) fn check(wanted: &Check) -> Result<(), String> {
    if wanted.json {
        let (report, found) = report(&wanted.node);
        tell!("{report:#}");
        return found;
    }
    let node = &wanted.node;
    let file = load(node, |warning| say(&warning))?;
    for note in &file.notes {
        say(&format_args!("note: {}: {note}", file.file.display()));
    }
    node::Node::check(&file.config).map_err(|error| error.to_string())?;
    let missing = node::Node::missing(&file.config);
    let severity = if node.strict { "error" } else { "warning" };
    for missing in &missing {
        say(&format_args!("{severity}: {}: {missing}", file.file.display()));
    }
    if node.strict && !missing.is_empty() {
        return Err(format!("{}: something is missing", file.file.display()));
    }
    let RuntimeConfig { realms, listeners, guests, components, .. } = file.config;
    let mut parts = vec![format!("{} realms", realms.len()), format!("{} transports", listeners.len())];
    if !guests.is_empty() {
        parts.push(format!("{} guests", guests.len()));
    }
    if !components.is_empty() {
        parts.push(format!("{} components", components.len()));
    }
    tell!("{}: ok, {}", file.file.display(), parts.join(", "));
    Ok(())
}

/// What is found in a file, for programs; and the same as for people.
fn report(node: &Node) -> (Value, Result<(), String>) {
    let (file, error, warnings, notes, counts) = match file::load(&node.cbdir, node.config.as_deref()) {
        Err(error) => (error.file.clone(), Some((error.at, error.message)), Vec::new(), Vec::new(), Value::Null),
        Ok(NodeFile { file, config, warnings, notes }) => {
            let error = node::Node::check(&config).err().map(|error| (String::new(), error.to_string()));
            let (mut said, notes) = (placed(&warnings), placed(&notes));
            let missing = node::Node::missing(&config);
            said.extend(missing.iter().map(|missing| json!({"at": "", "message": missing})));
            let RuntimeConfig { realms, listeners, guests, components, .. } = &config;
            let counts = json!({"realms": realms.len(), "transports": listeners.len(), "guests": guests.len(),
                "components": components.len()});
            (file, error, said, notes, counts)
        }
    };
    let strict = node.strict && !warnings.is_empty();
    let error = error.or(strict.then(|| (String::new(), "there are warnings".into())));
    let found = match &error {
        None => Ok(()),
        Some((at, message)) if at.is_empty() => Err(format!("{}: {message}", file.display())),
        Some((at, message)) => Err(format!("{}: {at}: {message}", file.display())),
    };
    let said = error.map(|(at, message)| json!({"at": at, "message": message}));
    let report = json!({"file": file, "ok": said.is_none(), "error": said, "warnings": warnings, "notes": notes,
        "counts": counts});
    (report, found)
}

/// What is said of a file: where, and what.
fn placed(said: &[String]) -> Vec<Value> {
    let parts = said.iter().map(|text| text.split_once(": ").unwrap_or(("", text)));
    parts.map(|(at, text)| json!({"at": at, "message": text})).collect()
}

/// Brings a file to the present version, in its place.
pub(super) fn upgrade(wanted: &Upgrade) -> Result<(), String> {
    let path = file::find(&wanted.directory.cbdir, wanted.config.as_deref()).map_err(|error| error.to_string())?;
    let mut value = file::value(&path).map_err(|error| error.to_string())?;
    let version::Upgrade { changes } = version::upgrade(&mut value);
    if changes.is_empty() && !version::is_latest(&value) {
        return Err(format!("{}: version: is not understood; 1 and 2 are", path.display()));
    }
    if changes.is_empty() {
        tell!("{}: nothing to upgrade", path.display());
        return Ok(());
    }
    changes.iter().for_each(|change| tell!("{}: {change}", path.display()));
    if wanted.dry_run {
        return Ok(());
    }
    let old = path.with_added_extension("old");
    fs::copy(&path, &old).map_err(|error| format!("cannot write {}: {error}", old.display()))?;
    write(&path, Format::of(&path), &value, &path)?;
    tell!("{}: written; as it was: {}", path.display(), old.display());
    Ok(())
}

/// Writes a file in the other format, beside itself.
pub(super) fn convert(wanted: &Convert) -> Result<(), String> {
    let path = file::find(&wanted.directory.cbdir, wanted.config.as_deref()).map_err(|error| error.to_string())?;
    let value = file::value(&path).map_err(|error| error.to_string())?;
    let format = Format::of(&path).other();
    let target = path.with_extension(format.extension());
    if target.exists() && !wanted.force {
        return Err(format!("{} is there already; --force overwrites it", target.display()));
    }
    write(&target, format, &value, &path)?;
    tell!("{}: written. Where both are there, config.yaml is read", target.display());
    Ok(())
}

/// Puts a text into the place of a file, all at once, with the permissions of another.
fn write(path: &Path, format: Format, value: &Value, like: &Path) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot write {}: {error}", path.display());
    let text = format.print(value).map_err(|error| failed(&error))?;
    let new = path.with_added_extension("new");
    let keep = fs::metadata(like).map_err(|error| failed(&error))?.permissions();
    let _ = fs::remove_file(&new);
    // There may be secrets in it: nobody else reads it before it has the permissions that it is to have.
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(|error| failed(&error))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.set_permissions(keep));
    written.and_then(|()| fs::rename(&new, path)).map_err(|error| {
        let _ = fs::remove_file(&new);
        failed(&error)
    })
}
