//! Files of earlier versions of Crossbar.io, in the form of version 2.

use serde_json::{Map, Value, json};

/// The version that is read.
const LATEST: u64 = 2;

/// What was done to a file, one line for each kind of thing.
#[derive(Debug, Default)]
pub struct Upgrade {
    /// What has changed.
    pub changes: Vec<String>,
}

impl Upgrade {
    fn note(&mut self, text: &str) {
        if !self.changes.iter().any(|known| known == text) {
            self.changes.push(text.into());
        }
    }
}

/// Brings a file to version 2. Nothing changes if it is that already, or nothing that is known.
pub fn upgrade(node: &mut Value) -> Upgrade {
    let mut done = Upgrade::default();
    let Some(map) = node.as_object_mut() else { return done };
    if let Some(processes) = map.shift_remove("processes").filter(Value::is_array) {
        done.note("`processes` become `workers`");
        let workers = into_list(processes).into_iter().flat_map(|process| worker(process, &mut done));
        let workers = workers.collect::<Vec<_>>();
        map.insert("workers".into(), workers.into());
    }
    if map.get("version").is_some_and(|version| version.as_u64() != Some(1)) {
        return done;
    }
    for worker in list_of(map, "workers") {
        let realms = worker.as_object_mut().map(|worker| list_of(worker, "realms")).unwrap_or_default();
        for role in realms.iter_mut().filter_map(Value::as_object_mut).flat_map(|realm| list_of(realm, "roles")) {
            let rules = role.as_object_mut().map(|role| list_of(role, "permissions")).unwrap_or_default();
            rules.iter_mut().for_each(|rule| permission(rule, &mut done));
        }
    }
    let old = map.insert("version".into(), LATEST.into()).is_some();
    done.note(if old { "version 1 becomes version 2" } else { "the file says that it is of version 2" });
    done
}

/// True for a file of the version that is read.
#[must_use]
pub fn is_latest(node: &Value) -> bool {
    node["version"].as_u64() == Some(LATEST)
}

fn list_of<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut [Value] {
    map.get_mut(key).and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default()
}

fn into_list(value: Value) -> Vec<Value> {
    if let Value::Array(list) = value { list } else { Vec::new() }
}

/// A rule of version 1 has `call` and so on beside its `uri`, and stars in that.
fn permission(rule: &mut Value, done: &mut Upgrade) {
    let Some(map) = rule.as_object_mut() else { return };
    const ACTIONS: [&str; 4] = ["call", "register", "publish", "subscribe"];
    if ACTIONS.iter().any(|action| map.contains_key(*action)) {
        done.note("`call`, `register`, `publish` and `subscribe` of a permission go into its `allow`");
        let mut allow = Map::new();
        for action in ACTIONS {
            allow.insert(action.into(), map.remove(action).unwrap_or(Value::Bool(false)));
        }
        map.insert("allow".into(), allow.into());
        map.entry("cache").or_insert(Value::Bool(true));
    }
    let starred = map.get("uri").and_then(Value::as_str).filter(|_| !map.contains_key("match")).map(from_stars);
    if let Some((uri, policy)) = starred {
        if policy != "exact" {
            done.note("stars in the `uri` of a permission become its `match`");
        }
        map.insert("uri".into(), uri.into());
        map.insert("match".into(), policy.into());
    }
}

/// One star at the end is a prefix, others stand for any component.
pub(super) fn from_stars(uri: &str) -> (String, &'static str) {
    match (uri.matches('*').count(), uri.strip_suffix('*')) {
        (0, _) => (uri.into(), "exact"),
        (1, Some(prefix)) => (prefix.into(), "prefix"),
        _ => (uri.replace('*', ""), "wildcard"),
    }
}

/// Before there were workers there were processes: routers, guests, components, and workers with modules.
fn worker(process: Value, done: &mut Upgrade) -> Vec<Value> {
    let Value::Object(mut process) = process else { return vec![process] };
    match process.get("type").and_then(Value::as_str) {
        Some("worker") => {
            done.note("each module of a `worker` becomes a worker of its own");
            let modules = process.shift_remove("modules").map(into_list).unwrap_or_default();
            process.shift_remove("type");
            let module = |module: Value| {
                let Value::Object(mut module) = module else { return vec![module] };
                for (key, value) in &process {
                    module.entry(key.clone()).or_insert_with(|| value.clone());
                }
                worker(module.into(), done)
            };
            modules.into_iter().flat_map(module).collect()
        }
        Some("router") => {
            router(&mut process, done);
            vec![process.into()]
        }
        Some("component.python") => {
            done.note("a `component.python` becomes a `container`");
            let mut transport = process.shift_remove("router").unwrap_or_default();
            let realm = transport.as_object_mut().and_then(|transport| transport.shift_remove("realm"));
            let component = json!({
                "type": "class", "classname": process.shift_remove("class"), "realm": realm, "transport": transport,
            });
            process.insert("type".into(), "container".into());
            process.insert("components".into(), vec![component].into());
            paths_of_classes(&mut process, done);
            vec![process.into()]
        }
        _ => vec![process.into()],
    }
}

fn router(process: &mut Map<String, Value>, done: &mut Upgrade) {
    paths_of_classes(process, done);
    let mut components = Vec::new();
    if let Some(Value::Object(realms)) = process.shift_remove("realms") {
        done.note("`realms` becomes a list, with `permissions` by role as `roles`");
        let realms = realms.into_iter().map(|(name, realm)| {
            let Value::Object(mut realm) = realm else { return json!({"name": name, "roles": []}) };
            for class in realm.shift_remove("classes").map(into_list).unwrap_or_default() {
                components.push(json!({"type": "class", "classname": class, "realm": name}));
            }
            let mut roles = Vec::new();
            if let Some(Value::Object(permissions)) = realm.shift_remove("permissions") {
                roles.extend(
                    permissions.into_iter().map(|(role, rights)| json!({"name": role, "permissions": rules(rights)})),
                );
            }
            realm.insert("name".into(), name.into());
            realm.insert("roles".into(), roles.into());
            realm.into()
        });
        let realms = realms.collect::<Vec<Value>>();
        process.insert("realms".into(), realms.into());
    }
    if !components.is_empty() {
        done.note("`classes` of a realm become `components` of its worker");
        process.insert("components".into(), components.into());
    }
    for transport in list_of(process, "transports").iter_mut().filter_map(Value::as_object_mut) {
        endpoint(transport, done);
    }
}

/// What a role may do, by URI.
fn rules(mut rights: Value) -> Vec<Value> {
    let Some(Value::Object(access)) = rights.as_object_mut().and_then(|rights| rights.shift_remove("access")) else {
        return Vec::new();
    };
    let rule = |(uri, allow): (String, Value)| {
        let mut rule = Map::new();
        rule.insert("uri".into(), uri.into());
        rule.extend(if let Value::Object(allow) = allow { allow } else { Map::new() });
        rule.into()
    };
    access.into_iter().map(rule).collect()
}

fn paths_of_classes(process: &mut Map<String, Value>, done: &mut Upgrade) {
    let options = process.get_mut("options").and_then(Value::as_object_mut);
    if let Some((options, paths)) =
        options.and_then(|options| options.shift_remove("classpaths").map(|paths| (options, paths)))
    {
        done.note("`classpaths` becomes `pythonpath`");
        options.insert("pythonpath".into(), paths);
    }
}

/// An endpoint was a text such as `tcp:8080:interface=127.0.0.1`.
fn endpoint(transport: &mut Map<String, Value>, done: &mut Upgrade) {
    let Some(text) = transport.get("endpoint").and_then(Value::as_str) else { return };
    let mut parts = text.split(':');
    let mut new = Map::new();
    match (parts.next(), parts.next()) {
        (Some("tcp"), Some(port)) if port.parse::<u16>().is_ok() => {
            new.insert("type".into(), "tcp".into());
            new.insert("port".into(), port.parse::<u16>().unwrap_or_default().into());
            let interface = parts.find_map(|part| part.strip_prefix("interface="));
            new.extend(interface.map(|interface| ("interface".into(), interface.into())));
        }
        (Some("unix"), Some(path)) => {
            new.insert("type".into(), "unix".into());
            new.insert("path".into(), path.into());
        }
        _ => return,
    }
    done.note("an `endpoint` becomes an object");
    transport.insert("endpoint".into(), new.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_becomes_version_2() {
        let mut node = json!({"workers": [{"type": "router", "realms": [{"name": "realm1", "roles": [
            {"name": "anonymous", "permissions": [
                {"uri": "com.app.*", "publish": true, "subscribe": true},
                {"uri": "com.*.x", "call": true},
                {"uri": "com.exact", "register": false}]},
            {"name": "backend", "authorizer": "com.app.authorize"}]}]}]});
        let done = upgrade(&mut node);
        assert_eq!(done.changes.len(), 3, "{done:?}");
        let allow = |call, publish, subscribe| json!({"call": call, "register": false, "publish": publish, "subscribe": subscribe});
        let expected = json!({"version": 2, "workers": [{"type": "router", "realms": [{"name": "realm1", "roles": [
            {"name": "anonymous", "permissions": [
                {"uri": "com.app.", "match": "prefix", "allow": allow(false, true, true), "cache": true},
                {"uri": "com..x", "match": "wildcard", "allow": allow(true, false, false), "cache": true},
                {"uri": "com.exact", "match": "exact", "allow": allow(false, false, false), "cache": true}]},
            {"name": "backend", "authorizer": "com.app.authorize"}]}]}]});
        assert_eq!(node, expected);
        assert!(upgrade(&mut node).changes.is_empty());
        assert_eq!(node, expected);
    }

    #[test]
    fn processes_become_workers() {
        let realms = json!({"realm1": {
            "permissions": {"anonymous": {"create": true, "join": true, "access": {"*": {"publish": true}}}},
            "classes": ["app.Time"]}});
        let transports = json!([{"type": "websocket", "endpoint": "tcp:8080:interface=127.0.0.1"}]);
        let router = json!({"type": "router", "realms": realms, "transports": transports});
        let mut node = json!({"processes": [
            {"type": "worker", "options": {"classpaths": [".."]}, "modules": [router]},
            {"type": "component.python", "class": "app.C", "router": {"type": "websocket", "realm": "realm1", "url": "ws://x"}},
            {"type": "guest", "executable": "node"}]});
        upgrade(&mut node);
        let allow = json!({"call": false, "register": false, "publish": true, "subscribe": false});
        let expected = json!({"version": 2, "workers": [
            {"type": "router", "options": {"pythonpath": [".."]},
                "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": [
                    {"uri": "", "match": "prefix", "allow": allow, "cache": true}]}]}],
                "components": [{"type": "class", "classname": "app.Time", "realm": "realm1"}],
                "transports": [{"type": "websocket",
                    "endpoint": {"type": "tcp", "port": 8080, "interface": "127.0.0.1"}}]},
            {"type": "container", "components": [
                {"type": "class", "classname": "app.C", "realm": "realm1", "transport": {"type": "websocket", "url": "ws://x"}}]},
            {"type": "guest", "executable": "node"}]});
        assert_eq!(node, expected);
    }

    #[test]
    fn nonsense_stays_as_it_is() {
        for value in [json!(1), json!([]), json!({"version": 3}), json!({"version": "1", "workers": 7})] {
            let mut node = value.clone();
            assert!(upgrade(&mut node).changes.is_empty());
            assert_eq!(node, value);
        }
        for value in [
            json!({}),
            json!({"processes": 1}),
            json!({"processes": [1, {}, {"type": "worker"}, {"type": "router", "realms": 1}]}),
        ] {
            upgrade(&mut value.clone());
        }
    }
}
