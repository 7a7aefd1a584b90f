//! Applications of WSGI: each is a guest that serves them to the router on a Unix socket.

use super::component::BEGIN;
use crate::config::GuestConfig;
use crate::config::app::AppConfig;
use crate::config::guest::{InputConfig, ReadyConfig, RestartConfig, RestartPolicy};
use serde_json::json;

/// The program, which is read from standard input.
const HOST: &str = include_str!("wsgi.py");

/// The line by which an application is known to be ready.
const READY: &str = "application ready";

/// What the host ends with if the application cannot be loaded.
const EXIT_USELESS: i32 = 78;

/// The guest that serves an application.
#[must_use]
pub fn guest(config: &AppConfig) -> GuestConfig {
    let mut guest = GuestConfig::new(&config.id, &*config.python);
    guest.arguments = ["-u", "-c", BEGIN, &config.id].map(Into::into).into();
    guest.workdir.clone_from(&config.directory);
    guest.restart = RestartConfig {
        policy: RestartPolicy::Always,
        crashes_max: 0,
        useless: Some(EXIT_USELESS),
        ..RestartConfig::default()
    };
    guest.ready = ReadyConfig::Line(READY.into());
    let value = json!({
        "host": HOST,
        "module": config.module,
        "object": config.object,
        "socket": config.socket,
        "base": config.base,
        "threads": config.threads,
        "directory": config.directory,
        "pythonpath": config.pythonpath,
    });
    guest.stdin = InputConfig::Json { value, close: true };
    guest
}
