//! Applications in Python: each is a guest that serves one to the router on a Unix socket.

use super::python;
use crate::config::GuestConfig;
use crate::config::app::{AppConfig, AppProgram};
use crate::config::guest::{RestartConfig, RestartPolicy};
use serde_json::json;

/// What all applications have in common.
const HOST: &str = include_str!("host.py");
const WSGI: &str = include_str!("wsgi.py");
const RESOURCE: &str = include_str!("resource.py");

/// What begins.
const MAIN: &str = "main(description)";

/// The line by which an application is known to be ready.
const READY: &str = "application ready";

/// The guest that serves an application.
#[must_use]
pub fn guest(config: &AppConfig) -> GuestConfig {
    let interpreter = &config.interpreter;
    let mut description = json!({
        "socket": config.socket,
        "base": config.base,
        "directory": interpreter.directory,
        "pythonpath": interpreter.pythonpath,
    });
    let kind = match &config.program {
        AppProgram::Wsgi { module, object, threads } => {
            description["module"] = (&**module).into();
            description["object"] = (&**object).into();
            description["threads"] = (*threads).into();
            WSGI
        }
        AppProgram::Resource { class, extra } => {
            description["class"] = (&**class).into();
            description["extra"] = extra.clone();
            RESOURCE
        }
    };
    description["host"] = [HOST, kind, MAIN].join("\n").into();
    let mut guest = python::guest(&config.id, interpreter, description, READY);
    guest.restart = RestartConfig { policy: RestartPolicy::Always, crashes_max: 0, ..guest.restart };
    guest
}

/// What is missing for an application: its interpreter, Twisted, or its package. For people.
#[must_use]
pub fn missing(config: &AppConfig) -> Option<String> {
    match &config.program {
        AppProgram::Wsgi { module, .. } => python::missing(&config.interpreter, &[module]),
        AppProgram::Resource { class, .. } => python::missing(&config.interpreter, &["twisted", class]),
    }
}
