//! The node configuration file: `config.json` or `config.yaml` in the format of Crossbar.io, version 2.

mod app;
mod auth;
mod bridge;
mod ciphers;
mod component;
mod connecting;
mod controller;
mod cookie;
mod cores;
mod courier;
mod endpoint;
mod environment;
mod events;
pub mod format;
mod guest;
mod jwt;
mod keys;
mod kinds;
mod link;
mod management;
mod namespaces;
mod options;
mod path;
mod permissions;
mod proxy;
mod realm;
mod relay;
mod router;
pub mod schema;
mod seconds;
pub(crate) mod settings;
mod testee;
mod transport;
mod transports;
mod unique;
pub mod version;
mod web;
mod worker;

use super::guest::ReadyConfig;
use super::python::Interpreter;
use super::{ComponentConfig, ListenAddress, RuntimeConfig, TransportConfig};
use crate::auth::config::Source;
use crate::auth::reach::Reach;
use crate::session::RealmConfig;
use format::Format;
pub(super) use keys::distance;
use namespaces::Namespaces;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
pub use settings::is_filter;
use std::collections::BTreeSet;
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use thiserror::Error;
use transports::Seen;
use worker::Worker;

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
    /// What stands in it and is not needed: nothing is lost by it. One line each.
    pub notes: Vec<String>,
}

/// The file of a node.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Node {
    /// The schema of the file, for editors.
    #[serde(rename = "$schema")]
    #[allow(dead_code, reason = "editors use it")]
    #[schemars(extend("examples" = ["https://corebar.example/schema.json"]))]
    schema: Option<Value>,
    /// The version of the format. Files of version 1, or without, are read as well; `corebar upgrade` brings them here.
    #[schemars(required, extend("type" = "integer", "const" = 2))]
    version: Option<u32>,
    /// The node itself.
    #[schemars(with = "Option<controller::Controller>")]
    controller: Option<Value>,
    /// Limits and times of this router.
    #[schemars(with = "Option<settings::Settings>", extend("x-crossbar" = schema::OWN))]
    corebar: Option<Value>,
    /// What the node does.
    #[serde(default)]
    #[schemars(with = "Vec<worker::Worker>")]
    workers: Vec<Value>,
}

/// What reading collects.
#[derive(Debug, Default)]
struct Reader {
    /// Relative paths begin here.
    directory: PathBuf,
    warnings: Vec<String>,
    notes: Vec<String>,
    /// Where the transports lead to that are being read.
    reach: Reach,
    /// By what the programs in Python of that worker are run.
    interpreter: Interpreter,
    /// The processes of functions that say who clients are.
    authenticators: Vec<ComponentConfig>,
    /// Those that have been.
    seen: Vec<Seen>,
    /// The cores of each router worker; none: all.
    cores: Vec<Option<Vec<usize>>>,
}

impl Reader {
    fn warn(&mut self, at: &str, message: &str) {
        self.warnings.push(format!("{at}: {message}"));
    }

    /// Says of something that it does nothing, though nothing is lost by that.
    fn note(&mut self, at: &str, message: &str) {
        self.notes.push(format!("{at}: {message}"));
    }

    /// `debug` of a transport; Crossbar.io reads it and does nothing with it.
    fn note_debug(&mut self, at: &str, debug: Option<&Value>) {
        if asks(debug) {
            self.note(&format!("{at}.debug"), "does nothing, as in Crossbar.io: what is logged is said by levels");
        }
    }

    /// Warns of keys that are there and have no effect.
    fn without_effect(&mut self, at: &str, given: &[(&str, bool)]) {
        for (key, _) in given.iter().filter(|(_, there)| *there) {
            self.warn(&format!("{at}.{key}"), "has no effect");
        }
    }
}

/// True if a value wants something: null, `false` and what is empty, or holds nothing else, do not.
fn asks(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Object(members)) => members.values().any(|value| asks(Some(value))),
        Some(Value::Array(items)) => items.iter().any(|value| asks(Some(value))),
        Some(_) => true,
    }
}

/// The file of a node directory, or the one that is named; a relative one is looked for in the directory.
///
/// # Errors
/// There is none.
pub fn find(directory: &Path, file: Option<&Path>) -> Result<PathBuf, FileError> {
    if let Some(file) = file {
        return Ok(directory.join(file));
    }
    let there = NAMES.iter().map(|name| directory.join(name)).find(|file| file.exists());
    let missing = || {
        let message = "there is neither config.yaml nor config.json in this directory".into();
        FileError { file: directory.into(), at: String::new(), message }
    };
    there.ok_or_else(missing)
}

/// The text of a file, and how it is written.
fn open(file: &Path) -> Result<(String, Format), FileError> {
    let fault = |message: String| FileError { file: file.into(), at: String::new(), message };
    let text = fs::read_to_string(file).map_err(|error| fault(error.to_string()))?;
    Ok((text, Format::of(file)))
}

/// What stands in a file, without a look at what it means.
///
/// # Errors
/// It cannot be read.
pub fn value(file: &Path) -> Result<Value, FileError> {
    let (text, format) = open(file)?;
    format.parse(&text).map_err(|message| FileError { file: file.into(), at: String::new(), message })
}

/// Reads the file of a node directory, or the one that is named; a relative one is looked for in the directory.
///
/// # Errors
/// The first thing that is wrong.
pub fn load(directory: &Path, file: Option<&Path>) -> Result<NodeFile, FileError> {
    let file = find(directory, file)?;
    let fault = |fault: Fault| FileError { file: file.clone(), at: fault.at, message: fault.message };
    let (text, format) = open(&file)?;
    let (mut config, warnings, notes) = parse(&text, format, directory).map_err(fault)?;
    for listener in &mut config.listeners {
        if let ListenAddress::Unix(path) = &mut listener.address {
            *path = directory.join(&*path);
        }
        if let Some(tls) = &mut listener.tls {
            tls.relative_to(directory);
        }
    }
    if let Some(path) = &mut config.node.log.file {
        *path = directory.join(&*path);
    }
    for path in config.transports.iter_mut().filter_map(|transport| transport.cookie.as_mut()?.store.path_mut()) {
        *path = directory.join(&*path);
    }
    Ok(NodeFile { file, config, warnings, notes })
}

/// Reads the text of a file.
fn parse(text: &str, format: Format, directory: &Path) -> Read<(RuntimeConfig, Vec<String>, Vec<String>)> {
    let mut value = format.parse(text).map_err(|message| Fault::new("", message))?;
    let mut reader = Reader { directory: directory.into(), ..Reader::default() };
    let upgraded = version::upgrade(&mut value);
    if !upgraded.changes.is_empty() {
        reader.warn("version", "is older than 2; the command `upgrade` says what that changes, and writes it");
    }
    if !value.is_object() {
        return Err(Fault::new("", "it is not an object with the key `workers`"));
    }
    environment::substitute(&mut value, "")?;
    let node: Node = read(value, "")?;
    if node.version != Some(2) {
        return Err(Fault::new("version", "is not understood; 1 and 2 are"));
    }
    let mut config =
        RuntimeConfig { listeners: Vec::new(), transports: Vec::new(), realms: Vec::new(), ..RuntimeConfig::default() };
    if let Some(controller) = node.controller {
        controller::read_controller(&mut reader, controller, &mut config)?;
    }
    let mut management = None;
    for ignored in config.heed_environment(|name| std::env::var(name).ok()) {
        reader.warnings.push(ignored);
    }
    if let Some(mut settings) = node.corebar {
        management = management::take(&mut settings);
        settings::read_settings(&settings, &mut config)?;
    }
    let namespaces = read_workers(&mut reader, node.workers, &mut config)?;
    // They stand first, so that they are there for the others.
    config.components.splice(0..0, mem::take(&mut reader.authenticators));
    if let Some(management) = management {
        management::read_management(&mut reader, management, &namespaces, &mut config)?;
    }
    if config.listeners.is_empty() && config.has_no_programs() {
        return Err(Fault::new("workers", "there is neither a transport nor a guest, so nothing would be done"));
    }
    config.settle_dashboards().map_err(|error| Fault::new("", error.to_string()))?;
    roles_exist(&mut reader, &config);
    realms_exist(&mut reader, &config);
    management::open_paths(&mut reader, &config);
    link::leave_out_own(&mut reader, &mut config);
    config.check().map_err(|error| Fault::new("", error.to_string()))?;
    Ok((config, grouped(reader.warnings), grouped(reader.notes)))
}

/// Gives the ids of the router workers with their namespaces.
fn read_workers(
    reader: &mut Reader,
    mut workers: Vec<Value>,
    config: &mut RuntimeConfig,
) -> Read<Vec<(Box<str>, Box<str>)>> {
    let (mut on, mut routers) = (Vec::new(), Vec::new());
    for (index, worker) in workers.iter().enumerate() {
        on.push(!worker::is_off(worker, &format!("workers[{index}]"))?);
    }
    // What is switched off is not there, but the others keep their numbers.
    workers.iter_mut().zip(&on).filter(|(_, on)| !**on).for_each(|(worker, _)| *worker = Value::Null);
    let namespaces = Namespaces::of(&workers)?;
    for (index, worker) in workers.into_iter().enumerate().filter(|(index, _)| on[*index]) {
        let at = format!("workers[{index}]");
        let names = (namespaces::id(&worker, index), namespaces.name(index));
        match Worker::read(worker, &at)? {
            Worker::Router(router) => {
                routers.push(names.clone());
                router::read_router(reader, router, names, &at, config)?;
            }
            Worker::Container(container) => component::read_container(reader, container, index + 1, &at, config)?,
            Worker::Proxy(proxy) => proxy::read_proxy(reader, proxy, names.1, &at, config)?,
            Worker::Guest(guest) => config.guests.push(guest::read_guest(reader, guest, index + 1, &at)?),
            Worker::Testee(testee) => testee::read_worker(reader, testee, &at, config)?,
            Worker::HostMonitor(_) => reader.warn(
                &at,
                "does nothing: there is no hostmonitor here. Whether the router is well stands at `corebar.health`",
            ),
        }
    }
    // Their shards run everywhere that one of them may.
    let cores: Option<BTreeSet<usize>> =
        mem::take(&mut reader.cores).into_iter().try_fold(BTreeSet::new(), |mut all, cores| {
            all.extend(cores?);
            Some(all)
        });
    let wanted = || cores.filter(|cores| !cores.is_empty()).map(|cores| cores.into_iter().collect());
    config.cores = config.cores.take().or_else(wanted);
    Ok(routers)
}

/// The same said of many workers is said once.
fn grouped(warnings: Vec<String>) -> Vec<String> {
    let mut groups: Vec<(String, String, usize)> = Vec::new();
    for warning in warnings {
        let of = |text: &str| {
            text.split_inclusive('[').map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit())).collect()
        };
        let kind: String = of(&warning);
        match groups.iter_mut().find(|(known, ..)| *known == kind) {
            Some((.., count)) => *count += 1,
            None => groups.push((kind, warning, 1)),
        }
    }
    let text = |(_, first, count): (String, String, usize)| match count {
        1 => first,
        count => format!("{first} (there, and at {} more places)", count - 1),
    };
    groups.into_iter().map(text).collect()
}

/// Roles that users are given and no realm has: the users would be refused.
fn roles_exist(reader: &mut Reader, config: &RuntimeConfig) {
    let roles = config.realms.iter().flat_map(|realm| realm.roles.iter().flatten());
    let known: BTreeSet<&str> = roles.map(|role| &*role.name).collect();
    let granted: BTreeSet<Box<str>> = config.transports.iter().flat_map(granted).collect();
    for role in granted.into_iter().filter(|role| !known.contains(&**role)) {
        reader.warn("workers", &format!("users are given the role {role:?}, which no realm has: they will be refused"));
    }
}

/// Realms that are not there, in which a guest has to register before it is ready (it never would be), or which a path has
/// sessions in (it would only ever fail).
fn realms_exist(reader: &mut Reader, config: &RuntimeConfig) {
    for path in config.listeners.iter().flat_map(|listener| &listener.paths) {
        let Some(realm) = path.service.realm() else { continue };
        let transport = path.service.transport().and_then(|at| config.transports.get(usize::from(at)));
        let there = |known: &RealmConfig| {
            *known.name == *realm && transport.is_none_or(|transport| known.is_reached(&transport.auth.reach))
        };
        if !config.realms.iter().any(there) {
            let text = format!("the path {} leads to the realm {realm:?}, which is not there", path.path);
            reader.warn("workers", &text);
        }
    }
    for guest in &config.guests {
        if let ReadyConfig::Procedure { realm, .. } = &guest.ready
            && config.realms.iter().all(|known| known.name != *realm)
        {
            let text =
                format!("guest {}: is ready with a procedure of the realm {realm:?}, which is not there", guest.id);
            reader.warn("workers", &text);
        }
    }
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
        roles.extend(
            users
                .users
                .values()
                .chain(users.by_sha1.values().map(|(_, grant)| grant))
                .chain(&users.default)
                .filter_map(|grant| grant.role.clone()),
        );
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
        let message = keys::explain(&one_line(&error.inner().to_string()), &at);
        Fault { at, message }
    })
}

/// What `read_id` takes.
const ID: &str = "^[a-z][0-9_a-z]{2,63}$";

/// The id of something that other things can name.
fn read_id(id: &str, at: &str) -> Read<Box<str>> {
    let begins = id.starts_with(|c: char| c.is_ascii_lowercase());
    let plain = id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if begins && plain && (3..=64).contains(&id.len()) {
        return Ok(id.into());
    }
    let text = format!("{id:?} is no id: those are 3 to 64 lower case letters, digits and `_`, a letter first");
    Err(Fault::new(at, text))
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_string()
}

#[cfg(test)]
mod tests;
