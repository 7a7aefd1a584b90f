//! Components in Python: each is a guest, whose program is the interpreter with a host of our own.

use super::python;
use crate::auth::reach::CONTROLLER;
use crate::config::GuestConfig;
use crate::config::component::{ComponentConfig, Program, Way};
use crate::config::guest::RestartConfig;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// The program that runs a component.
const HOST: &str = include_str!("host.py");

/// The line by which a component is known to be ready.
const READY: &str = "component ready";

/// It is ready when its `onJoin` has ended, whenever that is.
const READY_TIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How a component gets in beside the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The Unix socket, where RawSocket is spoken.
    pub path: Box<Path>,
    /// Its authid.
    pub authid: Box<str>,
    /// Its ticket.
    pub ticket: Box<str>,
}

/// The guest that is a component; `login` is for those beside the router, `controller` for those that manage the node.
#[must_use]
pub fn guest(config: &ComponentConfig, login: Option<&Login>, controller: Option<&Login>) -> GuestConfig {
    let description = description(config, login, controller);
    let mut guest = python::guest(&config.id, &config.interpreter, description, READY);
    guest.cpu_affinity.clone_from(&config.cpu_affinity);
    guest.restart = RestartConfig { useless: guest.restart.useless, ..config.restart.clone() };
    guest.bond.clone_from(&config.bond);
    guest.ready_timeout = READY_TIME_MAX;
    guest
}

/// What is missing for a component: its interpreter, autobahn, or the package of its class. For people.
#[must_use]
pub fn missing(config: &ComponentConfig) -> Option<String> {
    let mut modules = vec!["autobahn"];
    match &config.program {
        Program::Class(name) => modules.push(name),
        Program::Authenticator { create, .. } => modules.push(create),
        Program::Functions(functions) => modules.extend(functions.values().map(|name| &**name)),
    }
    python::missing(&config.interpreter, &modules)
}

fn description(config: &ComponentConfig, login: Option<&Login>, controller: Option<&Login>) -> Value {
    let (class, functions, authenticator) = match &config.program {
        Program::Class(name) => (Some(name), None, None),
        Program::Functions(functions) => (None, Some(functions), None),
        Program::Authenticator { create, config: told } => {
            (None, None, Some(json!({"create": create, "config": told, "procedure": config.id})))
        }
    };
    let (transport, auth, role) = match &config.way {
        Way::Transport { transport, auth } => (transport.clone(), Some(auth), None),
        Way::Router { role, .. } => (rawsocket(login), None, Some(role)),
    };
    let role = role.map_or("anonymous", |role| role);
    let words = |login: &Login| json!({"authid": login.authid, "ticket": login.ticket});
    json!({
        "host": HOST,
        "class": class,
        "functions": functions,
        "authenticator": authenticator,
        "realm": config.realm.as_str(),
        "extra": config.extra,
        "directory": config.interpreter.directory,
        "pythonpath": config.interpreter.pythonpath,
        "transport": transport,
        "auth": auth,
        "role": role,
        "login": login.map(words),
        "controller": controller.map(|login| {
            json!({"realm": CONTROLLER, "transport": rawsocket(Some(login)), "login": words(login)})
        }),
        "shared": config.shared,
    })
}

/// The transport by which one gets in beside the router.
fn rawsocket(login: Option<&Login>) -> Value {
    json!({"type": "rawsocket", "endpoint": {"type": "unix", "path": login.map(|login| &login.path)}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::guest::InputConfig;

    #[test]
    fn nothing_secret_is_an_argument() {
        let way = Way::Router { namespace: "".into(), role: "backend".into() };
        let config = ComponentConfig::new("worker001.one", Program::Class("app.Session".into()), "realm1", way);
        let login = Login { path: Path::new("/x/socket").into(), authid: "worker001.one".into(), ticket: "t0p".into() };
        let guest = guest(&config, Some(&login), None);
        assert!(guest.check().is_ok());
        assert!(!guest.arguments.iter().chain(guest.vars.values()).any(|text| text.contains("t0p")));
        let InputConfig::Json { value, .. } = guest.stdin else { panic!("there is a description") };
        assert_eq!(value["login"]["ticket"], "t0p");
        assert_eq!(value["transport"]["endpoint"]["path"], "/x/socket");
        assert_eq!(value["class"], "app.Session");
        assert_eq!(value["controller"], Value::Null);
    }
}
