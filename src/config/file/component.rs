//! Components in Python: workers of the type `container`, and `components` of routers.

use super::connecting::{Connecting, read_connecting};
use super::courier::{self, Callee, Subscriber, read_callee, read_subscriber, translate};
use super::guest::read_restart;
use super::kinds::kinds;
use super::worker::{Kind, Mode, Options, RestartValue, Shutdown, read_options};
use super::{Fault, ID, Read, Reader, asks, read, read_id};
use crate::auth::reach::{AUTHENTICATORS, Reach};
use crate::config::RuntimeConfig;
use crate::config::component::{Bond, Breaks, ComponentConfig, Program, TRUSTED, Way};
use crate::config::guest::{RestartConfig, RestartPolicy};
use crate::config::python::Interpreter;
use crate::wamp::Uri;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Application sessions and functions in Python.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Container {
    /// Its name, before the lines of its components in the log; by default `worker001` and so on, by its place.
    #[schemars(regex(pattern = ID), extend("examples" = ["backend"]))]
    id: Option<String>,
    /// How its components are run.
    #[schemars(with = "Option<Options>")]
    options: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    manhole: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    connections: Option<Value>,
    /// The components. They start in this order, each when the one before it is ready.
    #[serde(default)]
    #[schemars(with = "Vec<Component>")]
    components: Vec<Value>,
}

kinds! {
    /// A component: in Python a process of its own, with the interpreter of the worker.
    pub(super) enum Component {
        "class" => Class(Class),
        "function" => Functions(Functions),
        "http-subscriber" => Subscriber(Subscriber),
        "http-callee" => Callee(Callee),
    }
}

/// An application session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Class {
    /// Its name; by default `component001` and so on, by its place.
    #[schemars(regex(pattern = ID), extend("examples" = ["backend"]))]
    id: Option<String>,
    /// The class: a module, a dot and a name in it.
    #[schemars(extend("examples" = ["backend.Backend"]))]
    classname: Box<str>,
    /// The realm that it joins.
    realm: String,
    /// Its role; of components of routers only. `trusted` may do everything in realms that do not define that role.
    #[schemars(extend("default" = "anonymous"))]
    role: Option<Box<str>>,
    /// Other components. Has no effect: they do not share a process.
    #[schemars(extend("deprecated" = true))]
    references: Option<Vec<String>>,
    /// By which it connects; of components of containers only, and needed there.
    #[schemars(with = "Option<Connecting>")]
    transport: Option<Value>,
    /// What it gets as `config.extra`: an object, to which `cbdir` is added. A text in it that looks like a variable is that
    /// text.
    #[schemars(with = "Option<Map<String, Value>>")]
    extra: Option<Value>,
}

/// Functions that are called when something happens to a session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Functions {
    /// Its name; by default `component001` and so on, by its place.
    #[schemars(regex(pattern = ID), extend("examples" = ["backend"]))]
    id: Option<String>,
    /// The functions, each a module, a dot and a name in it: of `connect`, `join`, `leave` and `disconnect`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"enum": EVENTS}, "examples" = [{"join": "backend.joined"}]))]
    callbacks: BTreeMap<Box<str>, Box<str>>,
    /// The realm that it joins.
    realm: String,
    /// Its role; of components of routers only.
    #[schemars(extend("default" = "anonymous"))]
    role: Option<Box<str>>,
    /// By which it connects; of components of containers only, and needed there.
    #[schemars(with = "Option<Connecting>")]
    transport: Option<Value>,
    /// How it says who it is: methods with their arguments as autobahn has them. Of components of containers only.
    #[schemars(extend("examples" = [{"ticket": {"authid": "joe", "ticket": "secret!"}}]))]
    auth: Option<Map<String, Value>>,
    /// What it gets as `config.extra`: an object, to which `cbdir` is added. A text in it that looks like a variable is that
    /// text.
    #[schemars(with = "Option<Map<String, Value>>")]
    extra: Option<Value>,
}

/// What a component has of its own, of either kind.
struct Parts {
    id: Option<String>,
    program: Program,
    realm: String,
    role: Option<Box<str>>,
    transport: Option<Value>,
    auth: Option<Map<String, Value>>,
    extra: Option<Value>,
}

/// A worker whose components are read: what they have in common.
struct Worker {
    id: Box<str>,
    /// The namespace of a router's realms; none: it is a container.
    namespace: Option<Box<str>>,
    interpreter: Interpreter,
    cpu_affinity: Vec<usize>,
    restart: RestartConfig,
    bond: Option<Bond>,
    controller: bool,
    shared: bool,
}

/// Events at which a function may be called.
const EVENTS: [&str; 4] = ["connect", "join", "leave", "disconnect"];

/// A container; `number` is its place among all workers, for one without an id.
pub(super) fn read_container(
    reader: &mut Reader,
    container: Container,
    number: usize,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    let given = [("manhole", asks(container.manhole.as_ref())), ("connections", asks(container.connections.as_ref()))];
    reader.without_effect(at, &given);
    let id = match &container.id {
        Some(id) => read_id(id, &format!("{at}.id"))?,
        None => format!("worker{number:03}").into(),
    };
    let options_at = format!("{at}.options");
    let options = read_options(reader, container.options, Kind::Container, &options_at)?;
    let worker = Worker::read(reader, (id, None), options, container.components.len(), &options_at)?;
    read_all(reader, &worker, container.components, &format!("{at}.components"), config)
}

/// The components of a router; its realms have been read.
pub(super) fn read_router_components(
    reader: &mut Reader,
    (worker, namespace): (Box<str>, Box<str>),
    (mut options, components): (Options, Vec<Value>),
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    // Those are for the router; its components are not the router.
    options.cpu_affinity = None;
    let number = components.len();
    let worker = Worker::read(reader, (worker, Some(namespace)), options, number, &format!("{at}.options"))?;
    read_all(reader, &worker, components, &format!("{at}.components"), config)
}

fn read_all(
    reader: &mut Reader,
    worker: &Worker,
    components: Vec<Value>,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    for (index, value) in components.into_iter().enumerate() {
        let at = format!("{at}[{index}]");
        let value = translate(&value).filter(|_| worker.namespace.is_some()).unwrap_or(value);
        if let Some(kind) = value["type"].as_str().filter(|kind| kind.starts_with("http-")) {
            worker.of_router(kind, &at)?;
        }
        let parts = match Component::read(value, &at)? {
            Component::Class(class) => worker.class(reader, class, &at)?,
            Component::Functions(functions) => worker.functions(functions, &at)?,
            Component::Subscriber(subscriber) => {
                let courier = read_subscriber(subscriber, worker.of_router("http-subscriber", &at)?, &at)?;
                worker.courier(reader, courier, index + 1, &at, config)?;
                continue;
            }
            Component::Callee(callee) => {
                let courier = read_callee(callee, worker.of_router("http-callee", &at)?, &at)?;
                worker.courier(reader, courier, index + 1, &at, config)?;
                continue;
            }
        };
        let component = worker.component(reader, parts, index + 1, &at, config)?;
        if is_known(config, &component.id) {
            return Err(Fault::new(&format!("{at}.id"), format!("another component is {:?} already", component.id)));
        }
        component.check().map_err(|error| Fault::new(&at, error.to_string()))?;
        config.components.push(component);
    }
    Ok(())
}

impl Worker {
    /// Reads what so many components have in common.
    fn read(
        reader: &mut Reader,
        (id, namespace): (Box<str>, Option<Box<str>>),
        options: Options,
        components: usize,
        at: &str,
    ) -> Read<Worker> {
        let interpreter = options.interpreter(reader);
        let cpu_affinity = options.cpu_affinity.unwrap_or_default();
        // Crossbar.io never gives up.
        let restart = RestartConfig { crashes_max: 0, ..RestartConfig::default() };
        let restart = match options.restart {
            None => restart,
            Some(RestartValue::Own(own)) => {
                let at = format!("{at}.restart");
                read_restart(read(own.into(), &at)?, restart, &at)?
            }
            Some(RestartValue::Mode(mode)) => {
                let policy = match mode {
                    Mode::Always => RestartPolicy::Always,
                    Mode::OnFailure => RestartPolicy::OnFailure,
                    Mode::Never => RestartPolicy::Never,
                };
                RestartConfig { policy, ..restart }
            }
        };
        // As in Crossbar.io nothing is started again whose end ends the container.
        let breaks = match options.shutdown {
            None | Some(Shutdown::Manual) => None,
            Some(Shutdown::LastStopped) => (components == 1).then_some(Breaks::End),
            Some(Shutdown::AnyFailed) => Some(Breaks::Failure),
            Some(Shutdown::AnyStopped) => Some(Breaks::End),
        };
        let shared = options.expose_shared == Some(true);
        if shared && components > 1 {
            reader.warn(&format!("{at}.expose_shared"), "gives each component its own: they do not share a process");
        }
        let pointless = match (restart.policy, breaks) {
            (RestartPolicy::Never, _) | (_, None) | (RestartPolicy::Always, Some(Breaks::Failure)) => false,
            (_, Some(_)) => true,
        };
        if pointless {
            let text = "does nothing with this `shutdown`, by which the container ends instead, as in Crossbar.io";
            reader.note(&format!("{at}.restart"), text);
        }
        Ok(Worker {
            namespace,
            interpreter,
            cpu_affinity,
            restart,
            bond: breaks.map(|breaks| Bond { name: id.clone(), breaks }),
            controller: options.expose_controller == Some(true),
            shared,
            id,
        })
    }

    /// Its id and the namespace of its realms, for a component of such a type.
    fn of_router(&self, kind: &str, at: &str) -> Read<(&str, &str)> {
        match &self.namespace {
            Some(namespace) => Ok((&self.id, namespace)),
            None => {
                let text = format!("is {kind:?}, which is for components of routers only");
                Err(Fault::new(&format!("{at}.type"), text))
            }
        }
    }

    fn courier(
        &self,
        reader: &mut Reader,
        (mut courier, id): courier::Given,
        number: usize,
        at: &str,
        config: &mut RuntimeConfig,
    ) -> Read<()> {
        has_role(reader, &courier.namespace, (&courier.realm, &courier.role), at, config)?;
        let own = match &id {
            Some(id) => read_id(id, &format!("{at}.id"))?,
            None => format!("component{number:03}").into(),
        };
        courier.id = format!("{}.{own}", self.id).into();
        if is_known(config, &courier.id) {
            return Err(Fault::new(&format!("{at}.id"), format!("another component is {:?} already", courier.id)));
        }
        courier.check().map_err(|error| Fault::new(at, error.to_string()))?;
        config.couriers.push(courier);
        Ok(())
    }

    fn component(
        &self,
        reader: &mut Reader,
        parts: Parts,
        number: usize,
        at: &str,
        config: &RuntimeConfig,
    ) -> Read<ComponentConfig> {
        let own = match &parts.id {
            Some(id) => read_id(id, &format!("{at}.id"))?,
            None => format!("component{number:03}").into(),
        };
        let way = match (&self.namespace, parts.transport) {
            (Some(_), Some(_)) => {
                return Err(Fault::new(&format!("{at}.transport"), "is for components of containers only"));
            }
            (Some(namespace), None) => {
                let role = parts.role.unwrap_or_else(|| "anonymous".into());
                has_role(reader, namespace, (&parts.realm, &role), at, config)?;
                Way::Router { namespace: namespace.clone(), role }
            }
            (None, _) if parts.role.is_some() => {
                let text = "is for components of routers only: others get theirs from their login";
                return Err(Fault::new(&format!("{at}.role"), text));
            }
            (None, None) => return Err(Fault::new(at, "needs the key `transport`")),
            (None, Some(transport)) => {
                let transport = read_connecting(reader, transport, &format!("{at}.transport"))?;
                Way::Transport { transport, auth: parts.auth.unwrap_or_default() }
            }
        };
        let extra = match parts.extra {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(extra)) => extra,
            Some(other) => return Err(Fault::new(&format!("{at}.extra"), format!("is {other}, not an object"))),
        };
        let id = format!("{}.{own}", self.id);
        Ok(ComponentConfig {
            extra,
            interpreter: self.interpreter.clone(),
            cpu_affinity: self.cpu_affinity.clone(),
            restart: self.restart.clone(),
            bond: self.bond.clone(),
            controller: self.controller,
            shared: self.shared,
            ..ComponentConfig::new(&id, parts.program, &parts.realm, way)
        })
    }

    fn class(&self, reader: &mut Reader, class: Class, at: &str) -> Read<Parts> {
        is_dotted(&class.classname, &format!("{at}.classname"))?;
        if self.namespace.is_none() && class.references.is_some() {
            return Err(Fault::new(&format!("{at}.references"), "is for components of routers only"));
        }
        reader.without_effect(at, &[("references", class.references.is_some_and(|list| !list.is_empty()))]);
        let Class { id, classname, realm, role, transport, extra, .. } = class;
        Ok(Parts { id, program: Program::Class(classname), realm, role, transport, auth: None, extra })
    }

    fn functions(&self, functions: Functions, at: &str) -> Read<Parts> {
        for (event, name) in &functions.callbacks {
            let at = format!("{at}.callbacks.{event}");
            if !EVENTS.contains(&&**event) {
                return Err(Fault::new(&at, format!("is no event: those are {}", EVENTS.join(", "))));
            }
            is_dotted(name, &at)?;
        }
        if self.namespace.is_some() && functions.auth.is_some() {
            return Err(Fault::new(&format!("{at}.auth"), "is for components of containers only"));
        }
        let Functions { id, callbacks, realm, role, transport, auth, extra } = functions;
        Ok(Parts { id, program: Program::Functions(callbacks), realm, role, transport, auth, extra })
    }
}

/// The process of a function that says who clients are, one for all that are made alike. Gives the procedure by which the
/// function is asked.
pub(super) fn authenticator(reader: &mut Reader, create: Box<str>, config: Value, controller: bool) -> Uri {
    let named = format!("authenticator:{create}");
    let program = Program::Authenticator { create, config };
    let interpreter = reader.interpreter.clone();
    let same = |known: &&ComponentConfig| {
        known.program == program && known.interpreter == interpreter && known.controller == controller
    };
    if let Some(known) = reader.authenticators.iter().find(same) {
        return (&*known.id).into();
    }
    let mut names = (1..).map(|number| if number == 1 { named.clone() } else { format!("{named}:{number}") });
    let free = |name: &String| !reader.authenticators.iter().any(|known| *known.id == **name);
    let id = names.find(free).unwrap_or_default();
    let way = Way::Router { namespace: Reach::authenticators().namespace, role: TRUSTED.into() };
    let restart = RestartConfig { policy: RestartPolicy::Always, crashes_max: 0, ..RestartConfig::default() };
    let component = ComponentConfig::new(&id, program, AUTHENTICATORS, way);
    reader.authenticators.push(ComponentConfig { interpreter, restart, controller, ..component });
    id.as_str().into()
}

/// True if a component, of any type, has the id.
fn is_known(config: &RuntimeConfig, id: &str) -> bool {
    config.components.iter().any(|known| *known.id == *id) || config.couriers.iter().any(|known| *known.id == *id)
}

/// A module, a dot and a name in it.
pub(super) fn is_dotted(name: &str, at: &str) -> Read<()> {
    let parts: Vec<&str> = name.split('.').collect();
    if parts.len() > 1 && parts.iter().all(|part| !part.is_empty() && !part.contains(char::is_whitespace)) {
        return Ok(());
    }
    Err(Fault::new(at, format!("is {name:?}, not a module, a dot and a name in it")))
}

/// A realm that is not there is a mistake; without the role, a component is let in all the same, as Crossbar.io does it.
fn has_role(
    reader: &mut Reader,
    namespace: &str,
    (realm, role): (&str, &str),
    at: &str,
    config: &RuntimeConfig,
) -> Read<()> {
    let there = config.realms.iter().find(|known| &*known.name == realm && *known.namespace == *namespace);
    let Some(there) = there else {
        return Err(Fault::new(&format!("{at}.realm"), format!("the router has no realm {realm:?}")));
    };
    if role != TRUSTED && !there.has_role(role) {
        reader.warn(at, &format!("the realm {realm:?} has no role {role:?}: the component may do nothing"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_ends_a_container_is_not_started_again() {
        let (failed, any) = ("shutdown-on-any-component-failed", "shutdown-on-any-component-stopped");
        let last = "shutdown-on-last-component-stopped";
        for (restart, shutdown, components, breaks, pointless) in [
            ("restart-always", "shutdown-manual", 1, None, false),
            ("restart-never", any, 2, Some(Breaks::End), false),
            ("restart-always", any, 2, Some(Breaks::End), true),
            ("restart-on-failed", any, 2, Some(Breaks::End), true),
            // One that ends without having failed is started again.
            ("restart-always", failed, 2, Some(Breaks::Failure), false),
            ("restart-on-failed", failed, 2, Some(Breaks::Failure), true),
            ("restart-always", last, 2, None, false),
            ("restart-always", last, 1, Some(Breaks::End), true),
            ("restart-never", last, 1, Some(Breaks::End), false),
        ] {
            let mut reader = Reader::default();
            let mut config = RuntimeConfig::default();
            let transport =
                json!({"type": "rawsocket", "endpoint": {"type": "unix", "path": "sock"}, "serializer": "json"});
            let component = json!({"type": "class", "classname": "a.B", "realm": "realm1", "transport": transport});
            let options = json!({"restart": restart, "shutdown": shutdown});
            let container = json!({"options": options, "components": vec![component; components]});
            let container = read(container, "x").expect("a container");
            read_container(&mut reader, container, 1, "x", &mut config).expect("a container");
            let said = format!("{restart} {shutdown} {components}");
            assert_eq!(config.components[0].bond.as_ref().map(|bond| bond.breaks), breaks, "{said}");
            assert_eq!(reader.notes.len(), usize::from(pointless), "{said}: {:?}", reader.notes);
        }
    }

    #[test]
    fn what_components_share_is_one_components() {
        for (components, warned) in [(1, false), (2, true)] {
            let (mut reader, mut config) = (Reader::default(), RuntimeConfig::default());
            let transport = json!({"type": "rawsocket", "endpoint": {"type": "unix", "path": "sock"}});
            let component = json!({"type": "class", "classname": "a.B", "realm": "realm1", "transport": transport});
            let options = json!({"expose_shared": true, "expose_controller": true});
            let container = read(json!({"options": options, "components": vec![component; components]}), "x");
            read_container(&mut reader, container.expect("a container"), 1, "x", &mut config).expect("a container");
            assert!(config.components.iter().all(|component| component.shared && component.controller));
            assert_eq!(!reader.warnings.is_empty(), warned, "{:?}", reader.warnings);
        }
    }
}
