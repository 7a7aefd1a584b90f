//! What all native workers have: here they are one process, and their Python components run in others.

use super::environment::is_disabled;
use super::guest::{Env, Restart};
use super::{Fault, Read, Reader, read};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;

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

/// Options of native workers. Most are for components.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Options {
    pub(super) python: Option<PathBuf>,
    pub(super) pythonpath: Vec<PathBuf>,
    pub(super) env: Option<Env>,
    pub(super) cpu_affinity: Option<Vec<usize>>,
    pub(super) restart: Option<RestartValue>,
    pub(super) shutdown: Option<Shutdown>,
    #[allow(dead_code, reason = "has been read already")]
    disabled: Option<Value>,
    title: Option<Value>,
    extra: Option<Value>,
    reactor: Option<Value>,
    expose_controller: Option<Value>,
    expose_shared: Option<Value>,
}

/// When components are started again: as Crossbar.io says it, or as guests have it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected restart-always, restart-on-failed, restart-never, or an object as guests have")]
pub(super) enum RestartValue {
    Mode(Mode),
    Own(Restart),
}

/// How Crossbar.io says it.
#[derive(Clone, Copy, Deserialize)]
pub(super) enum Mode {
    #[serde(rename = "restart-always")]
    Always,
    #[serde(rename = "restart-on-failed")]
    OnFailure,
    #[serde(rename = "restart-never")]
    Never,
}

/// Whose end ends the other components of a container.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Shutdown {
    #[serde(rename = "shutdown-manual")]
    Manual,
    #[serde(rename = "shutdown-on-last-component-stopped")]
    LastStopped,
    #[serde(rename = "shutdown-on-any-component-failed")]
    AnyFailed,
    #[serde(rename = "shutdown-on-any-component-stopped")]
    AnyStopped,
}

/// True if a worker is switched off.
pub(super) fn is_off(worker: &Value, at: &str) -> Read<bool> {
    is_disabled(worker.get("options").and_then(|options| options.get("disabled")), &format!("{at}.options.disabled"))
}

/// Reads the options of a worker, and tells which of them mean nothing.
pub(super) fn read_options(reader: &mut Reader, options: Option<Value>, kind: Kind, at: &str) -> Read<Options> {
    let Some(options) = options else { return Ok(Options::default()) };
    let options: Options = read(options, at)?;
    let misplaced = [
        ("restart", options.restart.is_some() && kind == Kind::Bare),
        ("shutdown", options.shutdown.is_some() && kind != Kind::Container),
    ];
    if let Some((key, _)) = misplaced.into_iter().find(|(_, is)| *is) {
        return Err(Fault::new(&format!("{at}.{key}"), "is for workers with components only"));
    }
    let given = [
        ("title", options.title.is_some()),
        ("extra", options.extra.is_some()),
        ("cpu_affinity", options.cpu_affinity.is_some() && kind != Kind::Container),
        ("reactor", options.reactor.is_some()),
        ("expose_controller", options.expose_controller.is_some()),
        ("expose_shared", options.expose_shared.is_some()),
    ];
    reader.without_effect(at, &given);
    Ok(options)
}
