//! A worker of the type `router`.

use super::realm::{Realm, read_realm};
use super::transport::Transport;
use super::transports::read_transports;
use super::{Fault, Read, Reader, asks, component, worker};
use crate::auth::reach::Reach;
use crate::config::RuntimeConfig;
use crate::session::RealmConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Realms, and the ways into them. All router workers are one process on all cores, and each is a namespace: its transports
/// lead to its own realms only.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Router {
    /// Its name.
    #[allow(dead_code, reason = "has been read already")]
    #[schemars(extend("examples" = ["router1"]))]
    id: Option<String>,
    /// How its components are run.
    #[schemars(with = "Option<worker::Options>")]
    options: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    manhole: Option<Value>,
    /// Its realms.
    #[serde(default)]
    #[schemars(with = "Vec<Realm>")]
    realms: Vec<Value>,
    /// The ways into them, and to pages.
    #[serde(default)]
    #[schemars(with = "Vec<Transport>")]
    transports: Vec<Value>,
    /// Application sessions and functions in Python, each a process of its own.
    #[serde(default)]
    #[schemars(with = "Vec<component::Component>")]
    components: Vec<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    connections: Option<Value>,
}

pub(super) fn read_router(
    reader: &mut Reader,
    router: Router,
    (id, namespace): (Box<str>, Box<str>),
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    let options = worker::read_options(reader, router.options, worker::Kind::Router, &format!("{at}.options"))?;
    reader.interpreter = options.interpreter(reader);
    reader.cores.push(options.cpu_affinity.clone().filter(|cores| !cores.is_empty()));
    reader.without_effect(
        at,
        &[("manhole", asks(router.manhole.as_ref())), ("connections", asks(router.connections.as_ref()))],
    );
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
