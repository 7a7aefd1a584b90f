//! Components in Python: workers of the type `container`, and `components` of routers.

use super::connecting::read_connecting;
use super::courier::{read_courier, translate};
use super::guest::{Env, read_restart};
use super::worker::{Kind, Mode, Options, RestartValue, Shutdown, read_options};
use super::{Fault, Read, Reader, read, read_id, type_of};
use crate::config::RuntimeConfig;
use crate::config::component::{Bond, Breaks, ComponentConfig, Program, TRUSTED, Way};
use crate::config::guest::{Inherit, RestartConfig, RestartPolicy};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Container {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    id: Option<String>,
    options: Option<Value>,
    manhole: Option<Value>,
    connections: Option<Value>,
    #[serde(default)]
    components: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Class {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    id: Option<String>,
    classname: Box<str>,
    realm: String,
    role: Option<Box<str>>,
    references: Option<Vec<String>>,
    transport: Option<Value>,
    extra: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Functions {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    id: Option<String>,
    #[serde(default)]
    callbacks: BTreeMap<Box<str>, Box<str>>,
    realm: String,
    role: Option<Box<str>>,
    transport: Option<Value>,
    auth: Option<Map<String, Value>>,
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
    python: PathBuf,
    pythonpath: Vec<PathBuf>,
    environment: (Inherit, BTreeMap<String, String>),
    cpu_affinity: Vec<usize>,
    restart: RestartConfig,
    bond: Option<Bond>,
}

/// Events at which a function may be called.
const EVENTS: [&str; 4] = ["connect", "join", "leave", "disconnect"];

/// A container; `number` is its place among all workers, for one without an id.
pub(super) fn read_container(
    reader: &mut Reader,
    value: Value,
    number: usize,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    let container: Container = read(value, at)?;
    let given = [("manhole", container.manhole.is_some()), ("connections", container.connections.is_some())];
    reader.without_effect(at, &given);
    let id = match &container.id {
        Some(id) => read_id(id, &format!("{at}.id"))?,
        None => format!("worker{number:03}").into(),
    };
    let options_at = format!("{at}.options");
    let options = read_options(reader, container.options, Kind::Container, &options_at)?;
    let worker = Worker::read(reader, id, None, options, &options_at)?;
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
    // The router itself has no use for cores of its own; its components are not the router.
    options.cpu_affinity = None;
    let worker = Worker::read(reader, worker, Some(namespace), options, &format!("{at}.options"))?;
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
        let kind = type_of(&value, &at)?;
        if ["http-subscriber", "http-callee"].contains(&&*kind) {
            worker.courier(reader, (&kind, value), index + 1, &at, config)?;
            continue;
        }
        let component = worker.component(reader, value, index + 1, &at, config)?;
        if config.components.iter().any(|known| known.id == component.id) {
            return Err(Fault::new(&format!("{at}.id"), format!("another component is {:?} already", component.id)));
        }
        component.check().map_err(|error| Fault::new(&at, error.to_string()))?;
        config.components.push(component);
    }
    Ok(())
}

impl Worker {
    fn read(reader: &Reader, id: Box<str>, namespace: Option<Box<str>>, options: Options, at: &str) -> Read<Worker> {
        let directory = std::path::absolute(&reader.directory)
            .map_err(|error| Fault::new(at, format!("the node directory has no place: {error}")))?;
        let cpu_affinity = options.cpu_affinity.unwrap_or_default();
        if let Some(core) = cpu_affinity.iter().find(|core| **core >= 1024) {
            return Err(Fault::new(&format!("{at}.cpu_affinity"), format!("{core} is no core: they are below 1024")));
        }
        // Crossbar.io never gives up.
        let restart = RestartConfig { crashes_max: 0, ..RestartConfig::default() };
        let restart = match options.restart {
            None => restart,
            Some(RestartValue::Own(own)) => read_restart(own, restart, &format!("{at}.restart"))?,
            Some(RestartValue::Mode(mode)) => {
                let policy = match mode {
                    Mode::Always => RestartPolicy::Always,
                    Mode::OnFailure => RestartPolicy::OnFailure,
                    Mode::Never => RestartPolicy::Never,
                };
                RestartConfig { policy, ..restart }
            }
        };
        let impossible = match restart.policy {
            RestartPolicy::Never => false,
            RestartPolicy::OnFailure => options.shutdown == Some(Shutdown::AnyFailed),
            RestartPolicy::Always => options.shutdown.is_some_and(|shutdown| shutdown != Shutdown::Manual),
        };
        if impossible {
            return Err(Fault::new(&format!("{at}.shutdown"), "cannot be had with this `restart`: nothing would end"));
        }
        let breaks = match options.shutdown {
            None | Some(Shutdown::Manual | Shutdown::LastStopped) => None,
            Some(Shutdown::AnyFailed) => Some(Breaks::Failure),
            Some(Shutdown::AnyStopped) => Some(Breaks::End),
        };
        Ok(Worker {
            namespace,
            python: options.python.unwrap_or_else(|| "python3".into()),
            pythonpath: options.pythonpath.into_iter().map(|path| directory.join(path)).collect(),
            environment: options.env.map(Env::read).unwrap_or_default(),
            cpu_affinity,
            restart,
            bond: breaks.map(|breaks| Bond { name: id.clone(), breaks }),
            id,
        })
    }

    fn courier(
        &self,
        reader: &mut Reader,
        (kind, value): (&str, Value),
        number: usize,
        at: &str,
        config: &mut RuntimeConfig,
    ) -> Read<()> {
        let Some(namespace) = &self.namespace else {
            return Err(Fault::new(
                &format!("{at}.type"),
                format!("is {kind:?}, which is for components of routers only"),
            ));
        };
        let (mut courier, id) = read_courier(kind, value, (&self.id, namespace), at)?;
        has_role(reader, namespace, (&courier.realm, &courier.role), at, config)?;
        let own = match &id {
            Some(id) => read_id(id, &format!("{at}.id"))?,
            None => format!("component{number:03}").into(),
        };
        courier.id = format!("{}.{own}", self.id).into();
        let known =
            config.components.iter().map(|known| &known.id).chain(config.couriers.iter().map(|known| &known.id));
        if known.into_iter().any(|known| *known == courier.id) {
            return Err(Fault::new(&format!("{at}.id"), format!("another component is {:?} already", courier.id)));
        }
        courier.check().map_err(|error| Fault::new(at, error.to_string()))?;
        config.couriers.push(courier);
        Ok(())
    }

    fn component(
        &self,
        reader: &mut Reader,
        value: Value,
        number: usize,
        at: &str,
        config: &RuntimeConfig,
    ) -> Read<ComponentConfig> {
        let parts = self.parts(reader, value, at)?;
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
        let directory = std::path::absolute(&reader.directory).unwrap_or_else(|_| reader.directory.clone());
        Ok(ComponentConfig {
            extra,
            python: self.python.clone(),
            pythonpath: self.pythonpath.clone(),
            directory,
            inherit: self.environment.0.clone(),
            vars: self.environment.1.clone(),
            cpu_affinity: self.cpu_affinity.clone(),
            restart: self.restart.clone(),
            bond: self.bond.clone(),
            ..ComponentConfig::new(&id, parts.program, &parts.realm, way)
        })
    }

    fn parts(&self, reader: &mut Reader, value: Value, at: &str) -> Read<Parts> {
        match &*type_of(&value, at)? {
            "class" => {
                let class: Class = read(value, at)?;
                is_dotted(&class.classname, &format!("{at}.classname"))?;
                if self.namespace.is_none() && class.references.is_some() {
                    return Err(Fault::new(&format!("{at}.references"), "is for components of routers only"));
                }
                reader.without_effect(at, &[("references", class.references.is_some_and(|list| !list.is_empty()))]);
                let Class { id, classname, realm, role, transport, extra, .. } = class;
                Ok(Parts { id, program: Program::Class(classname), realm, role, transport, auth: None, extra })
            }
            "function" => {
                let functions: Functions = read(value, at)?;
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
                let Functions { id, callbacks, realm, role, transport, auth, extra, .. } = functions;
                Ok(Parts { id, program: Program::Functions(callbacks), realm, role, transport, auth, extra })
            }
            other => Err(Fault::new(&format!("{at}.type"), format!("is {other:?}, not class or function"))),
        }
    }
}

fn is_dotted(name: &str, at: &str) -> Read<()> {
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
