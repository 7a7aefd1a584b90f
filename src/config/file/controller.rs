//! The key `controller`: what Crossbar.io's own process does beside its workers.

use super::{Read, Reader, read, read_id};
use crate::config::node::ShutdownOn;
use crate::config::{NodeConfig, RuntimeConfig};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Controller {
    id: Option<String>,
    options: Option<Options>,
    manhole: Option<Value>,
    connections: Option<Value>,
    keyring: Option<Value>,
    fabric: Option<Value>,
    blockchain: Option<Value>,
    enable_docker: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    title: Option<Value>,
    shutdown: Option<Shutdown>,
    #[allow(dead_code, reason = "whatever can start at once, does")]
    enable_parallel_worker_start: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a shutdown mode or a list of them")]
enum Shutdown {
    One(Mode),
    List(Vec<Mode>),
}

#[derive(Clone, Copy, Deserialize)]
enum Mode {
    #[serde(rename = "shutdown_on_shutdown_requested")]
    Requested,
    #[serde(rename = "shutdown_on_worker_exit")]
    Exit,
    #[serde(rename = "shutdown_on_worker_exit_with_error")]
    ExitWithError,
    #[serde(rename = "shutdown_on_last_worker_exit")]
    LastExit,
}

pub(super) fn read_controller(reader: &mut Reader, value: Value, config: &mut RuntimeConfig) -> Read<()> {
    let controller: Controller = read(value, "controller")?;
    let given = [
        ("manhole", controller.manhole.is_some()),
        ("connections", controller.connections.is_some()),
        ("keyring", controller.keyring.is_some()),
        ("fabric", controller.fabric.is_some()),
        ("blockchain", controller.blockchain.is_some()),
        ("enable_docker", controller.enable_docker.is_some()),
    ];
    reader.without_effect("controller", &given);
    let id = controller.id.map(|id| read_id(&id, "controller.id")).transpose()?;
    let mut node = NodeConfig { id, ..config.node.clone() };
    if let Some(options) = controller.options {
        reader.without_effect("controller.options", &[("title", options.title.is_some())]);
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
