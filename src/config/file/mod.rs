//! The node configuration file: `config.json` or `config.yaml` in the format of Crossbar.io, version 2.

mod auth;
mod bridge;
mod cookie;
mod endpoint;
mod guest;
mod jwt;
mod options;
mod permissions;
mod realm;
pub(super) mod settings;
mod transport;
mod web;

use super::{ListenAddress, RuntimeConfig, TransportConfig};
use crate::auth::config::Source;
use crate::session::RealmConfig;
use options::Taken;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Names of the file in a node directory, in the order in which they are looked for.
const NAMES: [&str; 2] = ["config.yaml", "config.json"];

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {}{message}", file.display(), if at.is_empty() { String::new() } else { format!("{at}: ") })]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// Where in the file, as `workers[0].realms[1].name`; empty for all of it.
    pub at: String,
    /// What is wrong.
    pub message: String,
}

/// Something that cannot be read, and where it stands.
#[derive(Debug)]
struct Fault {
    at: String,
    message: String,
}

impl Fault {
    fn new(at: &str, message: impl Into<String>) -> Fault {
        Fault { at: at.into(), message: message.into() }
    }
}

type Read<T> = Result<T, Fault>;

/// A file that has been read.
#[derive(Debug)]
pub struct NodeFile {
    /// The file.
    pub file: PathBuf,
    /// What it describes.
    pub config: RuntimeConfig,
    /// What stands in it and has no effect, one line each.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    #[serde(rename = "$schema")]
    #[allow(dead_code, reason = "editors use it")]
    schema: Option<Value>,
    version: Option<u32>,
    controller: Option<Value>,
    corebar: Option<Value>,
    #[serde(default)]
    workers: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouterWorker {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "all workers are one process")]
    id: Option<String>,
    options: Option<Value>,
    manhole: Option<Value>,
    #[serde(default)]
    realms: Vec<Value>,
    #[serde(default)]
    transports: Vec<Value>,
    components: Option<Vec<Value>>,
    connections: Option<Vec<Value>>,
}

/// What reading collects.
#[derive(Debug, Default)]
struct Reader {
    /// Relative paths begin here.
    directory: PathBuf,
    warnings: Vec<String>,
    /// The settings that are given below `corebar`, as `transport.write_delay`.
    given: Vec<String>,
    /// Those that options of transports have given.
    taken: Vec<Taken>,
    /// How many WebSocket and RawSocket transports there are, counting those inside others.
    parts: usize,
}

impl Reader {
    fn warn(&mut self, at: &str, message: &str) {
        self.warnings.push(format!("{at}: {message}"));
    }

    /// Notes keys that are there and have no effect.
    fn without_effect(&mut self, at: &str, given: &[(&str, bool)]) {
        for (key, _) in given.iter().filter(|(_, there)| *there) {
            self.warn(&format!("{at}.{key}"), "has no effect");
        }
    }
}

/// Reads the file of a node directory, or the one that is named; a relative one is looked for in the directory.
///
/// # Errors
/// The first thing that is wrong.
pub fn load(directory: &Path, file: Option<&Path>) -> Result<NodeFile, FileError> {
    let file = match file {
        Some(file) => directory.join(file),
        None => {
            let there = NAMES.iter().map(|name| directory.join(name)).find(|file| file.exists());
            let missing = || {
                let message = "there is neither config.yaml nor config.json in this directory".into();
                FileError { file: directory.into(), at: String::new(), message }
            };
            there.ok_or_else(missing)?
        }
    };
    let fault = |fault: Fault| FileError { file: file.clone(), at: fault.at, message: fault.message };
    let text = fs::read_to_string(&file).map_err(|error| fault(Fault::new("", error.to_string())))?;
    let yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let (mut config, warnings) = parse(&text, yaml, directory).map_err(fault)?;
    for listener in &mut config.listeners {
        if let ListenAddress::Unix(path) = &mut listener.address {
            *path = directory.join(&*path);
        }
        if let Some(tls) = &mut listener.tls {
            tls.relative_to(directory);
        }
    }
    for path in config.transports.iter_mut().filter_map(|transport| transport.cookie.as_mut()?.store.path_mut()) {
        *path = directory.join(&*path);
    }
    Ok(NodeFile { file, config, warnings })
}

/// Reads the text of a file.
fn parse(text: &str, yaml: bool, directory: &Path) -> Read<(RuntimeConfig, Vec<String>)> {
    let value: Value = if yaml {
        serde_saphyr::from_str(text).map_err(|error| Fault::new("", one_line(&error.to_string())))?
    } else {
        serde_json::from_str(text).map_err(|error| Fault::new("", error.to_string()))?
    };
    let mut reader = Reader { directory: directory.into(), ..Reader::default() };
    let node: Node = read(value, "")?;
    match node.version {
        Some(2) => {}
        Some(version) => return Err(Fault::new("version", format!("is {version}, and only 2 is understood"))),
        None => return Err(Fault::new("version", "is missing; it has to be 2")),
    }
    reader.without_effect("", &[("controller", node.controller.is_some())]);
    let mut config =
        RuntimeConfig { listeners: Vec::new(), transports: Vec::new(), realms: Vec::new(), ..RuntimeConfig::default() };
    if let Some(settings) = node.corebar {
        reader.given = settings::read_settings(&settings, &mut config)?;
    }
    for (index, worker) in node.workers.into_iter().enumerate() {
        let at = format!("workers[{index}]");
        match &*type_of(&worker, &at)? {
            "router" => router(&mut reader, worker, &at, &mut config)?,
            "guest" => config.guests.push(guest::read_guest(&reader, worker, index + 1, &at)?),
            other => return Err(Fault::new(&at, format!("workers of the type {other:?} are not supported"))),
        }
    }
    if config.realms.is_empty() {
        return Err(Fault::new("workers", "no router worker has a realm"));
    }
    if config.listeners.is_empty() {
        return Err(Fault::new("workers", "no router worker has a transport"));
    }
    options::say_that_they_hold_for_all(&mut reader);
    roles_exist(&config)?;
    config.check().map_err(|error| Fault::new("", error.to_string()))?;
    Ok((config, reader.warnings))
}

fn router(reader: &mut Reader, worker: Value, at: &str, config: &mut RuntimeConfig) -> Read<()> {
    let worker: RouterWorker = read(worker, at)?;
    for (key, list) in [("components", worker.components), ("connections", worker.connections)] {
        if list.is_some_and(|list| !list.is_empty()) {
            return Err(Fault::new(&format!("{at}.{key}"), "is not supported"));
        }
    }
    reader.without_effect(at, &[("options", worker.options.is_some()), ("manhole", worker.manhole.is_some())]);
    for (index, value) in worker.realms.into_iter().enumerate() {
        let at = format!("{at}.realms[{index}]");
        let realm = realm::read_realm(reader, value, &at)?;
        if config.realms.iter().any(|known: &RealmConfig| known.name == realm.name) {
            let text = format!("{:?} is there twice; all router workers are one process here", realm.name);
            return Err(Fault::new(&format!("{at}.name"), text));
        }
        config.realms.push(realm);
    }
    for (index, value) in worker.transports.into_iter().enumerate() {
        transport::read_transport(reader, value, &format!("{at}.transports[{index}]"), config)?;
    }
    Ok(())
}

/// Roles that users are given and no realm has would only be noticed by the users.
fn roles_exist(config: &RuntimeConfig) -> Read<()> {
    let roles = config.realms.iter().flat_map(|realm| realm.roles.iter().flatten());
    let known: BTreeSet<&str> = roles.map(|role| &*role.name).collect();
    for (index, transport) in config.transports.iter().enumerate() {
        if let Some(role) = granted(transport).into_iter().find(|role| !known.contains(&**role)) {
            return Err(Fault::new(&format!("transport {}", index + 1), format!("no realm has the role {role:?}")));
        }
    }
    Ok(())
}

/// The roles that the users of a transport are given.
fn granted(transport: &TransportConfig) -> Vec<Box<str>> {
    let auth = &transport.auth;
    let mut roles = Vec::new();
    if let Some(Source::Static(anonymous)) = &auth.anonymous {
        roles.push(anonymous.grant.role.clone().unwrap_or_else(|| "anonymous".into()));
    }
    if let Some(Source::Static(users)) = &auth.ticket {
        roles.extend(users.values().filter_map(|user| user.grant.role.clone()));
    }
    if let Some(Source::Static(users)) = &auth.wampcra {
        roles.extend(users.values().filter_map(|user| user.grant.role.clone()));
    }
    if let Some(Source::Static(users)) = &auth.scram {
        roles.extend(users.values().filter_map(|user| user.grant.role.clone()));
    }
    if let Some(Source::Static(users)) = &auth.cryptosign {
        roles.extend(users.users.values().filter_map(|user| user.grant.role.clone()));
    }
    if let Some(Source::Static(users)) = &auth.tls {
        roles.extend(users.users.values().chain(&users.default).filter_map(|grant| grant.role.clone()));
    }
    roles
}

/// Reads a part of the file.
fn read<T: DeserializeOwned>(value: Value, at: &str) -> Read<T> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let at = match (at, &*path) {
            (at, ".") => at.to_string(),
            ("", path) => path.to_string(),
            (at, path) => format!("{at}.{path}"),
        };
        Fault { at, message: one_line(&error.inner().to_string()) }
    })
}

/// The value of the key `type`.
fn type_of(value: &Value, at: &str) -> Read<String> {
    let kind = value.get("type").and_then(Value::as_str).map(str::to_owned);
    kind.ok_or_else(|| Fault::new(at, "has to be an object with a `type`"))
}

/// Replaces a text that is `${NAME}` or `$NAME` as a whole by that variable of the environment.
fn from_environment(text: &str, at: &str) -> Read<String> {
    let name = match text.strip_prefix('$') {
        Some(rest) => rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(rest),
        None => return Ok(text.into()),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Ok(text.into());
    }
    std::env::var(name).map_err(|_| Fault::new(at, format!("the variable {name:?} is not set in the environment")))
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_string()
}

#[cfg(test)]
mod tests;
