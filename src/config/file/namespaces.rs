//! Which router workers see each other's realms.
//!
//! A router worker of Crossbar.io is a process of its own: what its transports lead to are its own realms, and another
//! worker may have others of the same names. Here all of them are one process, and each worker is a namespace. Workers
//! that share a port are one namespace, and so is a proxy with the workers to which it connects.

use super::{Fault, Read};
use serde_json::Value;

/// The namespace of each worker.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    names: Vec<Box<str>>,
}

impl Namespaces {
    /// Finds them. That of the first router worker has an empty name, so that files with one router have no other.
    ///
    /// # Errors
    /// A proxy connects to nothing that is here.
    pub(super) fn of(workers: &[Value]) -> Read<Namespaces> {
        let routers: Vec<Vec<Place>> = workers.iter().map(listened).collect();
        let mut groups: Vec<usize> = (0..workers.len()).collect();
        for (index, places) in routers.iter().enumerate() {
            let same = |other: &Vec<Place>| other.iter().any(|place| places.contains(place));
            if let Some(first) = routers[..index].iter().position(same) {
                join(&mut groups, first, index);
            }
        }
        for (index, worker) in workers.iter().enumerate().filter(|(_, worker)| is(worker, "proxy")) {
            for (at, place) in connected(worker) {
                let behind = routers.iter().enumerate().filter(|(at, _)| is(&workers[*at], "router"));
                let mut behind = behind.filter(|(_, places)| places.contains(&place));
                let Some((router, _)) = behind.next() else {
                    let text = format!(
                        "leads to {place}, where no router worker of this file listens; proxies to other nodes are not supported"
                    );
                    return Err(Fault::new(&format!("workers[{index}].{at}"), text));
                };
                join(&mut groups, router, index);
            }
        }
        let first = workers.iter().position(|worker| is(worker, "router"));
        let first = first.map(|first| groups[first]);
        let name = |group: &usize| if Some(*group) == first { Box::default() } else { id(&workers[*group], *group) };
        Ok(Namespaces { names: groups.iter().map(name).collect() })
    }

    /// The name of a worker's namespace.
    pub(super) fn name(&self, worker: usize) -> Box<str> {
        self.names.get(worker).cloned().unwrap_or_default()
    }
}

/// The id of a worker, or the one that Crossbar.io gives to a worker without.
pub(super) fn id(worker: &Value, index: usize) -> Box<str> {
    let given = worker.get("id").and_then(Value::as_str);
    given.map_or_else(|| format!("worker{:03}", index + 1).into(), Into::into)
}

/// Makes one group of two.
fn join(groups: &mut [usize], one: usize, other: usize) {
    let (to, from) = (groups[one].min(groups[other]), groups[one].max(groups[other]));
    groups.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
}

fn is(worker: &Value, kind: &str) -> bool {
    worker.get("type").and_then(Value::as_str) == Some(kind)
}

/// Where somebody listens: a port or a path. Which interface it is does not matter to those on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place(String);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Place {
    /// The place of an endpoint.
    pub(super) fn of(endpoint: &Value) -> Option<Place> {
        let text = |key: &str| match endpoint.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        match endpoint.get("type")?.as_str()? {
            "tcp" => text("port").filter(|port| port != "0").map(|port| Place(format!("port {port}"))),
            "unix" => text("path").map(Place),
            _ => None,
        }
    }
}

/// Where a router or proxy listens.
fn listened(worker: &Value) -> Vec<Place> {
    if !(is(worker, "router") || is(worker, "proxy")) {
        return Vec::new();
    }
    let transports = worker.get("transports").and_then(Value::as_array).into_iter().flatten();
    transports.filter_map(|transport| Place::of(transport.get("endpoint")?)).collect()
}

/// Where a proxy connects to, with the paths of the endpoints in its part of the file.
fn connected(proxy: &Value) -> Vec<(String, Place)> {
    let mut places = Vec::new();
    let connections = proxy.get("connections").and_then(Value::as_object);
    for (name, connection) in connections.into_iter().flatten() {
        let place = connection.get("transport").and_then(|transport| Place::of(transport.get("endpoint")?));
        places.extend(place.map(|place| (format!("connections.{name}.transport.endpoint"), place)));
    }
    for (index, transport) in proxy.get("transports").and_then(Value::as_array).into_iter().flatten().enumerate() {
        backends(transport, &format!("transports[{index}]"), &mut places);
    }
    places
}

/// The older form: each path of the type `websocket-proxy` has `backends`.
fn backends(value: &Value, at: &str, places: &mut Vec<(String, Place)>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        if key == "backends" {
            for (index, backend) in value.as_array().into_iter().flatten().enumerate() {
                let place = backend.get("endpoint").and_then(Place::of);
                places.extend(place.map(|place| (format!("{at}[{index}].endpoint"), place)));
            }
        } else {
            backends(value, &at, places);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn router(ports: &[u16]) -> Value {
        let transports = ports.iter().map(|port| json!({"endpoint": {"type": "tcp", "port": port}}));
        json!({"type": "router", "transports": transports.collect::<Vec<_>>()})
    }

    fn proxy(port: u16, behind: &[u16]) -> Value {
        let connection = |port: &u16| {
            let endpoint = json!({"type": "tcp", "host": "localhost", "port": port});
            (format!("c{port}"), json!({"transport": {"endpoint": endpoint}}))
        };
        let connections: serde_json::Map<_, _> = behind.iter().map(connection).collect();
        let transports = json!([{"endpoint": {"type": "tcp", "port": port}}]);
        json!({"type": "proxy", "connections": connections, "transports": transports})
    }

    fn names(workers: &[Value]) -> Vec<String> {
        let found = Namespaces::of(workers).expect("all lead somewhere");
        (0..workers.len()).map(|index| found.name(index).into()).collect()
    }

    #[test]
    fn each_router_is_a_namespace() {
        assert_eq!(names(&[router(&[1])]), [""]);
        let named = json!({"type": "router", "id": "other"});
        assert_eq!(
            names(&[json!({"type": "guest"}), router(&[1]), named, router(&[2])])[1..],
            ["", "other", "worker004"]
        );
        assert_eq!(names(&[router(&[0]), router(&[0])]), ["", "worker002"]);
    }

    #[test]
    fn those_that_share_a_port_are_one() {
        assert_eq!(names(&[router(&[1]), router(&[2, 1]), router(&[3]), router(&[2])]), ["", "", "worker003", ""]);
    }

    #[test]
    fn proxies_are_where_they_connect_to() {
        let workers = [router(&[1]), router(&[2]), proxy(3, &[2]), proxy(3, &[2]), proxy(4, &[1])];
        assert_eq!(names(&workers), ["", "worker002", "worker002", "worker002", ""]);
        assert_eq!(names(&[router(&[1]), router(&[2]), proxy(3, &[1, 2])]), ["", "", ""]);
        let old = json!({"type": "proxy", "transports": [{"endpoint": {"type": "tcp", "port": 9}, "paths": {
            "ws": {"type": "websocket-proxy", "backends": [{"endpoint": {"type": "unix", "path": "x"}}]}}}]});
        let behind = json!({"type": "router", "transports": [{"endpoint": {"type": "unix", "path": "x"}}]});
        assert_eq!(names(&[router(&[1]), behind, old.clone()]), ["", "worker002", "worker002"]);
        let fault = Namespaces::of(&[router(&[1]), old]).expect_err("nobody listens there");
        assert_eq!(fault.at, "workers[1].transports[0].paths.ws.backends[0].endpoint");
    }
}
