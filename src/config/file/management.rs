//! The key `corebar.management`: the realm in which the node is managed.

use super::settings::KEY;
use super::{Fault, Read, Reader, read};
use crate::config::bridge::Action;
use crate::config::web::Service;
use crate::config::{ManagementConfig, RuntimeConfig};
use crate::session::{Pages, RealmConfig};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The realm in which the node is managed, by procedures and events that begin with `corebar.`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Management {
    /// The realm. If no worker has one of this name, it is made.
    #[schemars(extend("examples" = ["manage"]))]
    realm: String,
    /// The role that may manage the node, in a realm that is made.
    #[schemars(extend("examples" = ["operator"]))]
    role: Option<String>,
    /// The id of the router worker whose transports lead to the realm; the first one by default.
    #[schemars(extend("examples" = ["worker001"]))]
    worker: Option<String>,
    /// Which pages in browsers may have sessions in the realm: `same-origin` are those of the transport by which they come.
    /// Without it, only these in a realm that is made, and any in another.
    pages: Option<PagesKind>,
    /// Names by which pages have to know this node, unless it is an address or `localhost`. Without it, by any.
    #[schemars(extend("examples" = [["ops.example.com"]]))]
    hosts: Option<Vec<String>>,
}

/// Which pages.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum PagesKind {
    /// All.
    Any,
    /// Those of the same transport.
    SameOrigin,
}

/// Takes the key from among the settings.
pub(super) fn take(settings: &mut Value) -> Option<Value> {
    settings.as_object_mut()?.shift_remove("management").filter(|value| !value.is_null())
}

/// Names of hosts, without ports.
fn read_hosts(hosts: &[String], at: &str) -> Read<Vec<Box<str>>> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match hosts.iter().find(|host| host.is_empty() || !host.chars().all(plain)) {
        Some(wrong) => Err(Fault::new(at, format!("{wrong:?} is no name of a host, without scheme and port"))),
        None => Ok(hosts.iter().map(|host| host.as_str().into()).collect()),
    }
}

/// Reads the key, when the realms are known. `namespaces`: of the router workers, by their ids.
pub(super) fn read_management(
    reader: &mut Reader,
    value: Value,
    namespaces: &[(Box<str>, Box<str>)],
    config: &mut RuntimeConfig,
) -> Read<()> {
    let at = format!("{KEY}.management");
    let Management { realm, role, worker, pages, hosts } = read(value, &at)?;
    let chosen = match &worker {
        None => namespaces.first(),
        Some(worker) => namespaces.iter().find(|(id, _)| **id == **worker),
    };
    let Some((_, namespace)) = chosen else {
        let text = worker.map_or_else(
            || "there is no router worker, and so no transport that could lead to the realm".into(),
            |worker| format!("{worker:?} is the id of no router worker"),
        );
        return Err(Fault::new(&format!("{at}.worker"), text));
    };
    let management = ManagementConfig {
        realm: realm.as_str().into(),
        namespace: namespace.clone(),
        hosts: read_hosts(hosts.as_deref().unwrap_or_default(), &format!("{at}.hosts"))?,
    };
    let same = |known: &RealmConfig| known.name == management.realm && known.namespace == *namespace;
    let there = config.realms.iter().any(same);
    let pages = match (pages, &hosts) {
        (Some(PagesKind::Any), Some(_)) => {
            return Err(Fault::new(&format!("{at}.pages"), "is \"any\", so that `hosts` would mean nothing"));
        }
        (Some(PagesKind::Any), None) => Pages::Any,
        (_, Some(_)) => Pages::KnownHost,
        (None, None) if there => Pages::Any,
        (_, None) => Pages::SameOrigin,
    };
    config.realms.iter_mut().filter(|known| same(known)).for_each(|realm| realm.pages = pages);
    match (there, role) {
        (true, None) => {}
        (true, Some(_)) => {
            reader.warn(&format!("{at}.role"), "has no effect: the realm is there, and has roles of its own")
        }
        (false, Some(role)) => config.realms.push(management.realm(&role, pages)),
        (false, None) => {
            let text = format!(
                "no worker has the realm {realm:?}, and without a `role` none can be made: nobody could use it"
            );
            return Err(Fault::new(&at, text));
        }
    }
    config.management = Some(management);
    Ok(())
}

/// Warns of paths with sessions of their own in the realm, which do what anybody wants who can send them a request.
pub(super) fn open_paths(reader: &mut Reader, config: &RuntimeConfig) {
    let Some(management) = &config.management else { return };
    let same = |known: &&RealmConfig| known.name == management.realm && known.namespace == management.namespace;
    let Some(realm) = config.realms.iter().find(same) else { return };
    for path in config.listeners.iter().flat_map(|listener| &listener.paths) {
        let transport = path.service.transport().and_then(|at| config.transports.get(usize::from(at)));
        let Some(auth) = transport.map(|transport| &transport.auth) else { continue };
        let there = path.service.realm() == Some(&*realm.name) && realm.is_reached(&auth.reach);
        let open = match &path.service {
            Service::Bridge(bridge) => match &bridge.action {
                Action::Hook { github_secret, .. } => github_secret.is_none(),
                Action::Publish | Action::Call => bridge.signed.is_none(),
            },
            Service::Events(_) => auth.anonymous.is_some(),
            _ => false,
        };
        if there && open {
            let text = format!(
                "the path {} is of the type {} and leads to the realm {:?}, in which this node is managed: whoever can send it a \
                 request does there what its role may, without a login",
                path.path,
                path.service.name(),
                &*realm.name
            );
            reader.warn("workers", &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::file::format::Format;
    use crate::config::file::parse;
    use crate::config::web::Service;
    use crate::session::Pages;
    use std::path::Path;

    fn file(management: &str, paths: &str) -> Result<crate::config::RuntimeConfig, String> {
        let text = format!(
            r#"{{"version": 2, "corebar": {{"management": {{{management}}}}}, "workers": [{{"type": "router",
                "realms": [{{"name": "realm1", "roles": [{{"name": "anonymous"}}]}}],
                "transports": [{{"type": "web", "endpoint": {{"type": "tcp", "port": 0}}, "paths": {{{paths}}}}}]}}]}}"#
        );
        let parsed = parse(&text, Format::Json, Path::new("/"));
        parsed.map(|(config, ..)| config).map_err(|fault| format!("{}: {}", fault.at, fault.message))
    }

    #[test]
    fn paths_that_manage_without_a_login_are_warned_of() {
        let warnings = |realm: &str, paths: &str| {
            let text = format!(
                r#"{{"version": 2, "corebar": {{"management": {{"realm": "manage", "role": "operator"}}}}, "workers": [{{"type": "router",
                    "realms": [{{"name": "realm1", "roles": [{{"name": "operator"}}]}}],
                    "transports": [{{"type": "web", "endpoint": {{"type": "tcp", "port": 0}}, "paths": {{"do": {{"realm": "{realm}", {paths}}}}}}}]}}]}}"#
            );
            let (_, warnings, _) =
                parse(&text, Format::Json, Path::new("/")).map_err(|fault| fault.message).expect("a file");
            warnings.into_iter().filter(|warning| warning.contains("without a login")).count()
        };
        let role = r#""role": "operator""#;
        let signed = r#""options": {"key": "k", "secret": "s"}"#;
        let hook = r#""type": "webhook", "options": {"topic": "corebar.x""#;
        let login = r#""auth": {"cookie": {}}, "cookie": {"store": {"type": "memory"}}"#;
        for (path, open) in [
            (format!(r#""type": "caller", {role}"#), 1),
            (format!(r#""type": "publisher", {role}"#), 1),
            (format!(r#""type": "eventsource", {role}"#), 1),
            (format!(r#"{hook}}}, {role}"#), 1),
            (format!(r#""type": "caller", {role}, {signed}"#), 0),
            (format!(r#"{hook}, "github_secret": "s"}}, {role}"#), 0),
            (format!(r#""type": "eventsource", {login}"#), 0),
        ] {
            assert_eq!((warnings("manage", &path), warnings("realm1", &path)), (open, 0), "{path}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_for_realms_that_are_there() {
        let pages = |management: &str| {
            let config = file(management, r#""ws": {"type": "websocket"}"#).expect("a good file");
            let management = config.management.expect("it is there");
            let realm = config.realms.iter().find(|realm| realm.name == management.realm).expect("it is there");
            (realm.pages, management.hosts.len())
        };
        let made = r#""realm": "manage", "role": "anonymous""#;
        assert_eq!(pages(made), (Pages::SameOrigin, 0));
        assert_eq!(pages(&format!(r#"{made}, "pages": "any""#)), (Pages::Any, 0));
        assert_eq!(pages(&format!(r#"{made}, "hosts": ["a.example", "b"]"#)), (Pages::KnownHost, 2));
        assert_eq!(pages(&format!(r#"{made}, "hosts": []"#)), (Pages::KnownHost, 0));
        assert_eq!(pages(r#""realm": "realm1""#), (Pages::Any, 0));
        assert_eq!(pages(r#""realm": "realm1", "pages": "same-origin""#), (Pages::SameOrigin, 0));
        for (more, expected) in [
            (r#""pages": "any", "hosts": ["a"]"#, "management.pages: is \"any\""),
            (r#""hosts": ["https://a"]"#, "management.hosts: \"https://a\" is no name"),
            (r#""hosts": ["a:80"]"#, "management.hosts"),
            (r#""pages": "some""#, "management.pages"),
        ] {
            let said = file(&format!("{made}, {more}"), r#""ws": {"type": "websocket"}"#).expect_err("a mistake");
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn dashboards_stand_beside_a_websocket() {
        let made = r#""realm": "manage", "role": "anonymous""#;
        let both = r#""a": {"type": "websocket"}, "ws": {"type": "websocket"}, "dash": {"type": "dashboard", "websocket": "ws"}"#;
        let config = file(made, both).expect("a good file");
        let found = config.listeners[0].paths.iter().find_map(|path| match &path.service {
            Service::Dashboard(dashboard) => Some(dashboard.clone()),
            _ => None,
        });
        let dashboard = found.expect("it is there");
        assert_eq!((&*dashboard.realm, dashboard.websocket.as_deref()), ("manage", Some("/ws")));
        for (paths, expected) in [
            (r#""dash": {"type": "dashboard"}"#, "the dashboard at /dash needs a path with WebSocket and JSON"),
            (
                r#""ws": {"type": "websocket"}, "dash": {"type": "dashboard", "websocket": "other"}"#,
                "/other is no WebSocket",
            ),
            (r#""dash": {"type": "dashboard", "path": "x"}"#, "path"),
        ] {
            let said = file(made, paths).expect_err("a mistake");
            assert!(said.contains(expected), "{said}");
        }
    }
}
