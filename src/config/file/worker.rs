//! What all native workers have: here they are one process, and their Python components run in others.

use super::environment::is_disabled;
use super::{Read, Reader, read};
use serde::Deserialize;
use serde_json::Value;

/// Options of native workers. Those for Python are read again where components are.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    title: Option<Value>,
    #[allow(dead_code, reason = "is for components")]
    python: Option<Value>,
    #[allow(dead_code, reason = "is for components")]
    pythonpath: Option<Value>,
    cpu_affinity: Option<Value>,
    #[allow(dead_code, reason = "is for components")]
    env: Option<Value>,
    reactor: Option<Value>,
    #[allow(dead_code, reason = "is for components")]
    extra: Option<Value>,
    expose_controller: Option<Value>,
    expose_shared: Option<Value>,
    #[allow(dead_code, reason = "is for components")]
    restart: Option<Value>,
    #[allow(dead_code, reason = "has been read already")]
    disabled: Option<Value>,
}

/// True if a worker is switched off.
pub(super) fn is_off(worker: &Value, at: &str) -> Read<bool> {
    is_disabled(worker.get("options").and_then(|options| options.get("disabled")), &format!("{at}.options.disabled"))
}

/// Reads options that mean nothing to the router itself.
pub(super) fn read_options(reader: &mut Reader, options: Option<Value>, at: &str) -> Read<()> {
    let Some(options) = options else { return Ok(()) };
    let options: Options = read(options, at)?;
    let given = [
        ("title", options.title.is_some()),
        ("cpu_affinity", options.cpu_affinity.is_some()),
        ("reactor", options.reactor.is_some()),
        ("expose_controller", options.expose_controller.is_some()),
        ("expose_shared", options.expose_shared.is_some()),
    ];
    reader.without_effect(at, &given);
    Ok(())
}
