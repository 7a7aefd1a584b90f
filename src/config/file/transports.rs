//! The transports of a worker.

use super::namespaces::Place;
use super::transport::{read_more, read_transport};
use super::{Read, Reader};
use crate::auth::reach::Reach;
use crate::config::RuntimeConfig;
use serde_json::{Map, Value};

/// A transport that has been read.
#[derive(Debug)]
pub(super) struct Seen {
    at: String,
    place: Place,
    value: Value,
    reach: Reach,
}

pub(super) fn read_transports(
    reader: &mut Reader,
    transports: Vec<Value>,
    reach: Reach,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    let mut all = transports.into_iter().enumerate();
    all.try_for_each(|(index, value)| read_one(reader, value, &reach, &format!("{at}[{index}]"), config))
}

pub(super) fn read_one(
    reader: &mut Reader,
    value: Value,
    reach: &Reach,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    if is_for_proxies(&value) {
        reader.note(at, "is not opened: it is for proxies, and those of this file need no connection");
        return Ok(());
    }
    reader.reach = reach.clone();
    let Some(place) = value.get("endpoint").and_then(Place::of) else {
        return read_transport(reader, value, at, config);
    };
    // Another worker may serve just the same at the same port: then one listener is enough, which is served on all cores.
    if reader.seen.iter().any(|seen| seen.place == place && seen.value == value && seen.reach == *reach) {
        return Ok(());
    }
    let paths = beside(reader, &value, &place, reach, at);
    reader.seen.push(Seen { at: at.into(), place, value: value.clone(), reach: reach.clone() });
    match paths {
        Some(paths) => read_more(reader, &value["endpoint"], paths, at, config),
        None => read_transport(reader, value, at, config),
    }
}

/// The worker of a transport.
fn worker(at: &str) -> &str {
    at.split_once('.').map_or(at, |(worker, _)| worker)
}

/// What a transport of pages serves besides what other workers serve at a port that they share with its worker. None: it
/// shares its port with nobody, or cannot.
fn beside(reader: &mut Reader, value: &Value, place: &Place, reach: &Reach, at: &str) -> Option<Map<String, Value>> {
    let shared = |value: &Value| value["type"] == "web" && value["endpoint"]["shared"] == true;
    let others: Vec<&Seen> = reader.seen.iter().filter(|seen| seen.place == *place).collect();
    let fits = |seen: &&Seen| {
        shared(&seen.value) && seen.value["endpoint"] == value["endpoint"] && worker(&seen.at) != worker(at)
    };
    if others.is_empty() || !shared(value) || !others.iter().all(fits) {
        return None;
    }
    let mut warnings = Vec::new();
    if others.iter().any(|seen| seen.value.get("options") != value.get("options")) {
        warnings
            .push((format!("{at}.options"), format!("has no effect: {} at the same port comes first", others[0].at)));
    }
    let mut paths = value["paths"].as_object().cloned().unwrap_or_default();
    paths.retain(|name, own| {
        let find = |seen: &&Seen| {
            let theirs = seen.value["paths"].as_object()?;
            let (known, theirs) = theirs.iter().find(|(known, _)| known.trim_matches('/') == name.trim_matches('/'))?;
            Some((format!("{}.paths.{known}", seen.at), theirs == own && seen.reach == *reach))
        };
        let found = others.iter().find_map(find);
        if let Some((first, false)) = &found {
            let text = format!("is not served: {first}, which is something else, comes first at the same port");
            warnings.push((format!("{at}.paths.{name}"), text));
        }
        found.is_none()
    });
    warnings.iter().for_each(|(at, text)| reader.warn(at, text));
    Some(paths)
}

/// True if clients can only come in by a proxy that has asked them who they are.
fn is_for_proxies(transport: &Value) -> bool {
    let auth = transport.get("auth").and_then(Value::as_object);
    auth.is_some_and(|auth| !auth.is_empty() && auth.keys().all(|method| method.ends_with("-proxy")))
}

#[cfg(test)]
mod tests {
    use crate::config::RuntimeConfig;
    use crate::config::file::format::Format;
    use serde_json::{Value, json};
    use std::path::Path;

    fn read(first: &Value, second: &Value) -> Result<(RuntimeConfig, Vec<String>), String> {
        let worker = |transport: &Value| {
            json!({"type": "router", "transports": [transport],
            "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}]}]})
        };
        let last = json!({"type": "websocket", "endpoint": {"type": "tcp", "port": 81}});
        let last = json!({"type": "router", "transports": [last]});
        let text = json!({"version": 2, "workers": [worker(first), worker(second), last]}).to_string();
        crate::config::file::parse(&text, Format::Json, Path::new("/node"))
            .map(|(config, warnings, _)| (config, warnings))
            .map_err(|fault| format!("{}: {}", fault.at, fault.message))
    }

    fn web(paths: &Value) -> Value {
        json!({"type": "web", "endpoint": {"type": "tcp", "port": 80, "shared": true}, "paths": paths})
    }

    #[test]
    fn workers_that_share_a_port_serve_the_paths_of_all() {
        let first =
            web(&json!({"a": {"type": "json", "value": 1}, "ws": {"type": "websocket"}, "c": {"type": "nodeinfo"}}));
        let second = web(&json!({"/a": {"type": "json", "value": 1}, "ws": {"type": "websocket", "auth": {"tls": {}}},
            "b": {"type": "longpoll"}}));
        let (config, warnings) = read(&first, &second).expect("a good file");
        let places: Vec<String> = config.listeners.iter().map(|listener| listener.address.to_string()).collect();
        assert_eq!(places, [":80", ":81"]);
        let paths: Vec<&str> = config.listeners[0].paths.iter().map(|path| &*path.path).collect();
        assert_eq!(paths, ["/a", "/c", "/ws", "/b"]);
        let transports: Vec<_> = config.listeners[0].paths.iter().filter_map(|path| path.service.transport()).collect();
        assert_eq!(transports.len(), 2);
        assert_eq!(transports[0], transports[1], "long-polling is as the WebSocket of the first");
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert_eq!(
            warning,
            "workers[1].transports[0].paths.ws: is not served: workers[0].transports[0].paths.ws, which is something else, \
             comes first at the same port"
        );
    }

    #[test]
    fn what_cannot_be_put_together_is_told() {
        let first = web(&json!({"a": {"type": "nodeinfo"}}));
        let mut other = first.clone();
        other["paths"]["b"] = json!({"type": "nodeinfo"});
        let mut faults = Vec::new();
        for change in [json!({"port": 80}), json!({"port": 80, "shared": true, "backlog": 5})] {
            let mut second = other.clone();
            second["endpoint"] = change;
            second["endpoint"]["type"] = "tcp".into();
            faults.push(read(&first, &second).map(drop));
        }
        let websocket = json!({"type": "websocket", "endpoint": first["endpoint"]});
        faults.push(read(&first, &websocket).map(drop));
        for fault in faults {
            let text = fault.expect_err("a mistake");
            let said =
                "workers[1].transports[0].endpoint: another transport listens on :80 already; workers can share it";
            assert!(text.starts_with(said), "{text}");
        }
        other["options"] = json!({"access_log": true});
        let (_, warnings) = read(&first, &other).expect("a good file");
        assert_eq!(
            warnings,
            ["workers[1].transports[0].options: has no effect: workers[0].transports[0] at the same port comes first"]
        );
    }
}
