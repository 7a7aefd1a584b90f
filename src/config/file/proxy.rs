//! A worker of the type `proxy`: its transports lead to the realms of the router workers behind it, which are in the same
//! process here.

use super::transport::Transport;
use super::transports::read_transports;
use super::{Fault, Read, Reader, worker};
use crate::auth::reach::Reach;
use crate::config::RuntimeConfig;
use crate::wamp::Uri;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// More ways to the realms of router workers of this file: those to whose endpoints its `connections` lead. There is no
/// connection, since they are one process. Routers of other nodes cannot be reached.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Proxy {
    /// Its name.
    #[allow(dead_code, reason = "has been read already")]
    #[schemars(extend("examples" = ["proxy1"]))]
    id: Option<String>,
    /// What all workers have.
    #[schemars(with = "Option<worker::Options>")]
    options: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    manhole: Option<Value>,
    /// The router workers behind it, by names of their own.
    #[serde(default)]
    connections: BTreeMap<String, Connection>,
    /// The only realms to which it leads, and in each the roles, with the names of connections. Without it, all.
    #[schemars(extend("examples" = [{"realm1": {"user": "conn1"}}]))]
    routes: Option<BTreeMap<Box<str>, Routes>>,
    /// The ways in.
    #[serde(default)]
    #[schemars(with = "Vec<Transport>")]
    transports: Vec<Value>,
}

/// The connections of each role.
type Routes = BTreeMap<Box<str>, Targets>;

/// How a proxy would reach a router.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Connection {
    /// Where the router listens: a transport with its `endpoint`.
    #[allow(dead_code, reason = "where it leads to has been found out already")]
    transport: Value,
    /// How the proxy logs in. Has no effect: nobody has to.
    #[allow(dead_code, reason = "nobody has to log in")]
    #[schemars(extend("deprecated" = true))]
    auth: Option<Value>,
    /// Has no effect: there is no connection.
    #[allow(dead_code, reason = "there is no connection")]
    #[schemars(extend("deprecated" = true))]
    options: Option<Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the name of a connection or a list of names")]
#[schemars(inline)]
enum Targets {
    One(String),
    List(Vec<String>),
}

pub(super) fn read_proxy(
    reader: &mut Reader,
    proxy: Proxy,
    namespace: Box<str>,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    let options = worker::read_options(reader, proxy.options, worker::Kind::Bare, &format!("{at}.options"))?;
    reader.interpreter = options.interpreter(reader);
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
