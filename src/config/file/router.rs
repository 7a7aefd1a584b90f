//! A worker of the type `router`.

use super::realm::read_realm;
use super::transports::read_transports;
use super::{Fault, Read, Reader, component, read, worker};
use crate::auth::reach::Reach;
use crate::config::RuntimeConfig;
use crate::session::RealmConfig;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Router {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "has been read already")]
    id: Option<String>,
    options: Option<Value>,
    manhole: Option<Value>,
    #[serde(default)]
    realms: Vec<Value>,
    #[serde(default)]
    transports: Vec<Value>,
    #[serde(default)]
    components: Vec<Value>,
    connections: Option<Value>,
}

pub(super) fn read_router(
    reader: &mut Reader,
    value: Value,
    (id, namespace): (Box<str>, Box<str>),
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    let router: Router = read(value, at)?;
    let options = worker::read_options(reader, router.options, worker::Kind::Router, &format!("{at}.options"))?;
    reader.without_effect(at, &[("manhole", router.manhole.is_some()), ("connections", router.connections.is_some())]);
    for (index, value) in router.realms.into_iter().enumerate() {
        let at = format!("{at}.realms[{index}]");
        let realm = RealmConfig { namespace: namespace.clone(), ..read_realm(reader, value, &at)? };
        let known = config.realms.iter().find(|known| (&known.name, &known.namespace) == (&realm.name, &namespace));
        match known {
            None => config.realms.push(realm),
            // Workers that share a port have the same realms, and are one here.
            Some(known) if *known == realm => {}
            Some(_) => {
                let text = format!("{:?} is there twice, and not the same, in workers that are one here", realm.name);
                return Err(Fault::new(&format!("{at}.name"), text));
            }
        }
    }
    if !router.components.is_empty() {
        let names = (id, namespace.clone());
        component::read_router_components(reader, names, (options, router.components), at, config)?;
    }
    let reach = Reach { namespace, routes: None };
    read_transports(reader, router.transports, reach, &format!("{at}.transports"), config)
}
