//! The key `controller`: what Crossbar.io's own process does beside its workers.

use super::{ID, Read, Reader, asks, read, read_id};
use crate::config::node::ShutdownOn;
use crate::config::{NodeConfig, RuntimeConfig};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The node itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Controller {
    /// What the node is called: 3 to 64 lower case letters, digits and `_`, a letter first.
    #[schemars(regex(pattern = ID), extend("examples" = ["node1"]))]
    id: Option<String>,
    /// When it ends.
    options: Option<Options>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    manhole: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    connections: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    keyring: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    fabric: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    blockchain: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    enable_docker: Option<Value>,
}

/// Options of the node.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ControllerOptions")]
struct Options {
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    title: Option<Value>,
    /// When the node ends by itself, one or a list. Without it, it does not.
    #[schemars(extend("examples" = [["shutdown_on_worker_exit_with_error"]],
        "x-crossbar" = "ends with its last worker if nothing is said"))]
    shutdown: Option<Shutdown>,
    /// Has no effect: whatever can start at once, does.
    #[allow(dead_code, reason = "whatever can start at once, does")]
    #[schemars(extend("deprecated" = true))]
    enable_parallel_worker_start: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a shutdown mode or a list of them")]
#[schemars(inline)]
enum Shutdown {
    One(Mode),
    List(Vec<Mode>),
}

/// When a node ends by itself.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "NodeShutdown")]
enum Mode {
    /// When it is told to.
    #[serde(rename = "shutdown_on_shutdown_requested")]
    Requested,
    /// When a guest or component has ended and is not started again.
    #[serde(rename = "shutdown_on_worker_exit")]
    Exit,
    /// When one has failed; then with exit code 1.
    #[serde(rename = "shutdown_on_worker_exit_with_error")]
    ExitWithError,
    /// When all have ended.
    #[serde(rename = "shutdown_on_last_worker_exit")]
    LastExit,
}

pub(super) fn read_controller(reader: &mut Reader, value: Value, config: &mut RuntimeConfig) -> Read<()> {
    let controller: Controller = read(value, "controller")?;
    let given = [
        ("manhole", asks(controller.manhole.as_ref())),
        ("connections", asks(controller.connections.as_ref())),
        ("keyring", asks(controller.keyring.as_ref())),
        ("fabric", asks(controller.fabric.as_ref())),
        ("blockchain", asks(controller.blockchain.as_ref())),
        ("enable_docker", asks(controller.enable_docker.as_ref())),
    ];
    reader.without_effect("controller", &given);
    let id = controller.id.map(|id| read_id(&id, "controller.id")).transpose()?;
    let mut node = NodeConfig { id, ..config.node.clone() };
    if let Some(options) = controller.options {
        reader.without_effect("controller.options", &[("title", asks(options.title.as_ref()))]);
        let modes = match options.shutdown {
            None => Vec::new(),
            Some(Shutdown::One(mode)) => vec![mode],
            Some(Shutdown::List(modes)) => modes,
        };
        for mode in modes {
            let ShutdownOn { exit, failure, last_exit } = &mut node.shutdown_on;
            match mode {
                Mode::Requested => {}
                Mode::Exit => *exit = true,
                Mode::ExitWithError => *failure = true,
                Mode::LastExit => *last_exit = true,
            }
        }
    }
    config.node = node;
    Ok(())
}
