//! A worker of the type `proxy`: its transports lead to the realms of the router workers behind it, which are in the same
//! process here.

use super::transports::read_transports;
use super::{Fault, Read, Reader, read, worker};
use crate::auth::reach::Reach;
use crate::config::RuntimeConfig;
use crate::wamp::Uri;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proxy {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "has been read already")]
    id: Option<String>,
    options: Option<Value>,
    manhole: Option<Value>,
    #[serde(default)]
    connections: BTreeMap<String, Connection>,
    routes: Option<BTreeMap<Box<str>, Routes>>,
    #[serde(default)]
    transports: Vec<Value>,
}

/// The connections of each role.
type Routes = BTreeMap<Box<str>, Targets>;

/// How a proxy would reach a router.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Connection {
    #[allow(dead_code, reason = "where it leads to has been found out already")]
    transport: Value,
    #[allow(dead_code, reason = "nobody has to log in")]
    auth: Option<Value>,
    #[allow(dead_code, reason = "there is no connection")]
    options: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected the name of a connection or a list of names")]
enum Targets {
    One(String),
    List(Vec<String>),
}

pub(super) fn read_proxy(
    reader: &mut Reader,
    value: Value,
    namespace: Box<str>,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    let proxy: Proxy = read(value, at)?;
    worker::read_options(reader, proxy.options, worker::Kind::Bare, &format!("{at}.options"))?;
    reader.without_effect(at, &[("manhole", proxy.manhole.is_some())]);
    for (realm, roles) in proxy.routes.iter().flatten() {
        for (role, targets) in roles {
            let targets = match targets {
                Targets::One(name) => std::slice::from_ref(name),
                Targets::List(names) => names,
            };
            if let Some(name) = targets.iter().find(|name| !proxy.connections.contains_key(*name)) {
                let text = format!("leads to {name:?}, which is none of the `connections`");
                return Err(Fault::new(&format!("{at}.routes.{realm}.{role}"), text));
            }
        }
    }
    let roles = |roles: Routes| roles.into_keys().collect::<BTreeSet<_>>();
    let routes =
        proxy.routes.map(|routes| routes.into_iter().map(|(realm, all)| (Uri::from(&*realm), roles(all))).collect());
    let reach = Reach { namespace, routes };
    read_transports(reader, proxy.transports, reach, &format!("{at}.transports"), config)
}
