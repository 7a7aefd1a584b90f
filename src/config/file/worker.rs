//! What all native workers have: here they are one process, and their Python components run in others.

use super::component::Container;
use super::cores::{CORE_MAX, check_affinity};
use super::environment::is_disabled;
use super::guest::{Env, Guest, Restart, read_restart};
use super::kinds::{Absent, kinds};
use super::proxy::Proxy;
use super::router::Router;
use super::{Fault, Read, Reader, asks, read, testee};
use crate::config::guest::RestartConfig;
use crate::config::python::Interpreter;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// What a native worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A router, which may have components.
    Router,
    /// Components alone.
    Container,
    /// One that cannot have any.
    Bare,
}

/// Options of workers. Most are for components.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "WorkerOptions")]
pub(super) struct Options {
    /// The interpreter of its components and applications. Without it, `python3` on the PATH.
    #[schemars(extend("examples" = ["/usr/bin/python3"]))]
    pub(super) python: Option<PathBuf>,
    /// Directories in which those look for modules, relative to the node directory.
    #[schemars(extend("examples" = [[".."]]))]
    pub(super) pythonpath: Vec<PathBuf>,
    /// Their variables.
    pub(super) env: Option<Env>,
    /// Numbers of the cores on which the components of a container may run. Of others: those of all of them are the cores
    /// for shards (but all cores are, if a router names none), unless `corebar.cores` names them.
    #[schemars(inner(inner(range(max = CORE_MAX))), extend("examples" = [[0, 1]]))]
    pub(super) cpu_affinity: Option<Vec<usize>>,
    /// What happens when a component has ended by itself; of workers with components only.
    pub(super) restart: Option<RestartValue>,
    /// Whose end ends the other components; of containers only.
    pub(super) shutdown: Option<Shutdown>,
    /// The worker is not there, but the others keep their numbers: true, or `"${NAME}"` of a variable that is not empty.
    #[allow(dead_code, reason = "has been read already")]
    #[schemars(with = "Disabled", extend("default" = false))]
    disabled: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    title: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    extra: Option<Value>,
    /// Not needed: what a component needs is told by its class.
    #[schemars(extend("deprecated" = true))]
    reactor: Option<Value>,
    /// Its components get a session by which they can manage the node, as `config.controller`.
    #[schemars(extend("default" = false))]
    pub(super) expose_controller: Option<bool>,
    /// Its component gets the object that those of one worker share, as `config.shared`: a dict with `reactor`. Of several
    /// components each has its own, since they do not share a process.
    #[schemars(extend("default" = false))]
    pub(super) expose_shared: Option<bool>,
}

/// Whether a worker is there.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[allow(dead_code, reason = "is read before everything else")]
enum Disabled {
    Flag(bool),
    Variable(String),
}

/// When components are started again: as Crossbar.io says it, or as guests have it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected restart-always, restart-on-failed, restart-never, or an object as guests have")]
#[schemars(inline)]
pub(super) enum RestartValue {
    Mode(Mode),
    #[schemars(with = "Restart")]
    Own(Map<String, Value>),
}

/// How Crossbar.io says it.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "RestartMode")]
pub(super) enum Mode {
    /// Whenever it has ended.
    #[serde(rename = "restart-always")]
    Always,
    /// When it has failed.
    #[serde(rename = "restart-on-failed")]
    OnFailure,
    /// Never.
    #[serde(rename = "restart-never")]
    Never,
}

/// Whose end ends the other components of a container.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "ContainerShutdown")]
pub(super) enum Shutdown {
    /// Nobody's.
    #[serde(rename = "shutdown-manual")]
    Manual,
    /// There is nothing left to end.
    #[serde(rename = "shutdown-on-last-component-stopped")]
    LastStopped,
    /// That of one that has failed.
    #[serde(rename = "shutdown-on-any-component-failed")]
    AnyFailed,
    /// Anybody's.
    #[serde(rename = "shutdown-on-any-component-stopped")]
    AnyStopped,
}

kinds! {
    /// A part of what the node does.
    pub(super) enum Worker {
        "router" => Router(Router),
        "proxy" => Proxy(Proxy),
        "container" => Container(Container),
        "guest" => Guest(Guest),
        "websocket-testee" => Testee(testee::Worker),
        "hostmonitor" => HostMonitor(Absent),
    }
}

impl Options {
    /// By what the programs of the worker are run.
    pub(super) fn interpreter(&self, reader: &Reader) -> Interpreter {
        let directory = match reader.directory.as_os_str().is_empty() {
            true => Path::new("."),
            false => &reader.directory,
        };
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.into());
        let (inherit, vars) = self.env.clone().map(Env::read).unwrap_or_default();
        Interpreter {
            program: self.python.clone().unwrap_or_else(|| Interpreter::default().program),
            pythonpath: self.pythonpath.iter().map(|path| directory.join(path)).collect(),
            directory,
            inherit,
            vars,
        }
    }
}

/// True if a worker is switched off.
pub(super) fn is_off(worker: &Value, at: &str) -> Read<bool> {
    is_disabled(worker.get("options").and_then(|options| options.get("disabled")), &format!("{at}.options.disabled"))
}

/// Reads the options of a worker, and tells which of them mean nothing.
pub(super) fn read_options(reader: &mut Reader, options: Option<Value>, kind: Kind, at: &str) -> Read<Options> {
    let Some(options) = options else { return Ok(Options::default()) };
    let options: Options = read(options, at)?;
    if let Some(RestartValue::Own(own)) = &options.restart {
        // Also where nothing is to be started again, mistakes are told.
        let at = format!("{at}.restart");
        read_restart(read(own.clone().into(), &at)?, RestartConfig::default(), &at)?;
    }
    check_affinity(options.cpu_affinity.as_deref().unwrap_or_default(), at)?;
    let misplaced = [
        ("restart", options.restart.is_some() && kind == Kind::Bare),
        ("shutdown", options.shutdown.is_some() && kind != Kind::Container),
    ];
    if let Some((key, _)) = misplaced.into_iter().find(|(_, is)| *is) {
        return Err(Fault::new(&format!("{at}.{key}"), "is for workers with components only"));
    }
    let given = [("title", asks(options.title.as_ref())), ("extra", asks(options.extra.as_ref()))];
    reader.without_effect(at, &given);
    if asks(options.reactor.as_ref()) {
        reader.note(&format!("{at}.reactor"), "is not needed: what a component needs is told by its class");
    }
    // Proxies and testees have no process of their own: their share of the cores is one of the shards'.
    if kind == Kind::Bare {
        reader.cores.extend(options.cpu_affinity.clone().filter(|cores| !cores.is_empty()).map(Some));
    }
    Ok(options)
}
