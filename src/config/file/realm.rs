//! Realms, their roles and what these may do.

use super::permissions::warn_of_permissions;
use super::version::from_stars;
use super::{Fault, Read, Reader, read};
use crate::session::role::{Actions, Disclose};
use crate::session::{Access, HistoryRule, HistoryStore, Permission, RealmConfig, RoleConfig};
use crate::wamp::{MatchPolicy, UriRules};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Realm {
    #[allow(dead_code, reason = "realms go by their names")]
    id: Option<String>,
    name: String,
    #[serde(default)]
    roles: Vec<Value>,
    options: Option<Options>,
    sessions_max: Option<u32>,
    sessions_per_authid_max: Option<u32>,
    store: Option<Store>,
    stats: Option<Value>,
    rlinks: Option<Vec<Value>>,
    inventory: Option<Value>,
    trace: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    enable_meta_api: Option<bool>,
    bridge_meta_api: Option<bool>,
    event_dispatching_chunk_size: Option<u64>,
    uri_check: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Store {
    r#type: String,
    limit: Option<u32>,
    #[serde(rename = "event-history", default)]
    event_history: Vec<History>,
    #[serde(rename = "call-queue")]
    call_queue: Option<Value>,
    path: Option<PathBuf>,
    #[serde(default)]
    sync: bool,
    maxsize: Option<Value>,
    readonly: Option<Value>,
    #[serde(rename = "max-buffer")]
    max_buffer: Option<Value>,
    #[serde(rename = "buffer-flush")]
    buffer_flush: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct History {
    uri: String,
    r#match: Option<String>,
    limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    #[allow(dead_code, reason = "roles go by their names")]
    id: Option<String>,
    name: String,
    permissions: Option<Vec<Rule>>,
    authorizer: Option<String>,
    #[serde(rename = "allow-by-default")]
    allow_by_default: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    uri: String,
    r#match: Option<String>,
    #[serde(default)]
    allow: Allow,
    #[serde(default)]
    disclose: Disclosed,
    #[allow(dead_code, reason = "there is nothing to cache")]
    cache: Option<bool>,
    validate: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Allow {
    call: bool,
    register: bool,
    publish: bool,
    subscribe: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Disclosed {
    caller: bool,
    publisher: bool,
}

/// Crossbar.io keeps so many events of a topic if nothing is said.
const HISTORY_LIMIT: u32 = 100;

pub(super) fn read_realm(reader: &mut Reader, value: Value, at: &str) -> Read<RealmConfig> {
    let realm: Realm = read(value, at)?;
    let given = [
        ("rlinks", realm.rlinks.is_some_and(|links| !links.is_empty())),
        ("stats", realm.stats.is_some()),
        ("inventory", realm.inventory.is_some()),
        ("trace", realm.trace.is_some()),
    ];
    reader.without_effect(at, &given);
    let mut config = RealmConfig::new(&realm.name);
    if let Some(options) = realm.options {
        let at = format!("{at}.options");
        if options.enable_meta_api == Some(false) {
            reader.warn(&format!("{at}.enable_meta_api"), "has no effect: what roles may call is said by their rules");
        }
        let given = [
            ("bridge_meta_api", options.bridge_meta_api.is_some()),
            ("event_dispatching_chunk_size", options.event_dispatching_chunk_size.is_some()),
        ];
        reader.without_effect(&at, &given);
        config.uri_rules = match options.uri_check.as_deref() {
            None | Some("loose") => UriRules::Loose,
            Some("strict") => UriRules::Strict,
            Some(other) => {
                return Err(Fault::new(&format!("{at}.uri_check"), format!("is {other:?}, not strict or loose")));
            }
        };
    }
    config.sessions_max = realm.sessions_max;
    config.sessions_per_authid_max = realm.sessions_per_authid_max;
    if let Some(store) = realm.store {
        (config.history, config.history_store) = read_store(reader, store, &format!("{at}.store"))?;
    }
    let mut roles = Vec::new();
    for (index, value) in realm.roles.into_iter().enumerate() {
        let at = format!("{at}.roles[{index}]");
        let role = read_role(reader, value, &at)?;
        if roles.iter().any(|known: &RoleConfig| known.name == role.name) {
            return Err(Fault::new(&format!("{at}.name"), format!("{:?} is there twice", role.name)));
        }
        roles.push(role);
    }
    config.roles = Some(roles);
    Ok(config)
}

/// Crossbar.io's database is a directory, and this one a file beside it.
fn read_store(reader: &mut Reader, store: Store, at: &str) -> Read<(Vec<HistoryRule>, HistoryStore)> {
    let given = [
        ("call-queue", store.call_queue.is_some()),
        ("maxsize", store.maxsize.is_some()),
        ("readonly", store.readonly.is_some()),
        ("max-buffer", store.max_buffer.is_some()),
        ("buffer-flush", store.buffer_flush.is_some()),
    ];
    reader.without_effect(at, &given);
    let kept = match (&*store.r#type, store.path) {
        ("memory", None) => HistoryStore::Memory,
        ("memory", Some(_)) => return Err(Fault::new(&format!("{at}.path"), "means nothing in memory")),
        ("cfxdb", Some(path)) => {
            let path = reader.directory.join(path).with_extension("history");
            HistoryStore::Disk { path, sync: store.sync }
        }
        ("cfxdb", None) => return Err(Fault::new(at, "the type \"cfxdb\" needs the key `path`")),
        (other, _) => {
            return Err(Fault::new(&format!("{at}.type"), format!("is {other:?}, not memory or cfxdb")));
        }
    };
    let mut rules = Vec::new();
    for (index, history) in store.event_history.into_iter().enumerate() {
        let at = format!("{at}.event-history[{index}]");
        let policy = policy(history.r#match.as_deref(), &at)?;
        let events_max = history.limit.or(store.limit).unwrap_or(HISTORY_LIMIT);
        rules.push(HistoryRule { events_max, ..HistoryRule::new(&history.uri, policy) });
    }
    // Without a topic to keep there is nothing to write.
    let kept = if rules.is_empty() { HistoryStore::Memory } else { kept };
    Ok((rules, kept))
}

fn read_role(reader: &mut Reader, value: Value, at: &str) -> Read<RoleConfig> {
    let role: Role = read(value, at)?;
    if let Some(authorizer) = role.authorizer {
        let at = format!("{at}.authorizer");
        if role.permissions.is_some() {
            return Err(Fault::new(&at, "a role has permissions or an authorizer, not both"));
        }
        if !UriRules::Loose.allow(&authorizer) {
            return Err(Fault::new(&at, format!("{authorizer:?} is not the URI of a procedure")));
        }
        return Ok(RoleConfig { name: role.name.into(), access: Access::Authorizer(authorizer.into()) });
    }
    let Some(permissions) = role.permissions else {
        let all = role.allow_by_default == Some(true);
        let access = if all { Access::All } else { Access::Rules(Vec::new()) };
        return Ok(RoleConfig { name: role.name.into(), access });
    };
    if role.allow_by_default == Some(true) {
        reader.warn(&format!("{at}.allow-by-default"), "has no effect beside `permissions`, as in Crossbar.io");
    }
    let mut rules = Vec::new();
    for (index, rule) in permissions.into_iter().enumerate() {
        rules.push(read_rule(reader, rule, &format!("{at}.permissions[{index}]"))?);
    }
    warn_of_permissions(reader, &rules, at);
    let undisclosed = |rule: &Permission| {
        (rule.allow.call && !rule.disclose.caller) || (rule.allow.publish && !rule.disclose.publisher)
    };
    if role.name == "trusted" && rules.iter().any(undisclosed) {
        let text = "is \"trusted\": Crossbar.io discloses its callers and publishers always, here only `disclose` does";
        reader.warn(&format!("{at}.name"), text);
    }
    Ok(RoleConfig { name: role.name.into(), access: Access::Rules(rules) })
}

fn read_rule(reader: &mut Reader, rule: Rule, at: &str) -> Read<Permission> {
    reader.without_effect(at, &[("validate", rule.validate.is_some())]);
    let (uri, policy) = match &rule.r#match {
        Some(name) => (rule.uri, policy(Some(name), at)?),
        None => starred(reader, rule.uri, at),
    };
    let Allow { call, register, publish, subscribe } = rule.allow;
    let Disclosed { caller, publisher } = rule.disclose;
    Ok(Permission {
        uri: uri.into(),
        policy,
        allow: Actions { call, register, publish, subscribe },
        disclose: Disclose { caller, publisher },
    })
}

/// Before there was `match`, stars said it: one at the end made a URI a prefix, others stood for any component.
fn starred(reader: &mut Reader, uri: String, at: &str) -> (String, MatchPolicy) {
    let (plain, name) = from_stars(&uri);
    if name == "wildcard" && uri.split('.').any(|component| component.contains('*') && component != "*") {
        let text = format!("a star that is not a component of its own is left out: this is the wildcard {plain:?}");
        reader.warn(&format!("{at}.uri"), &text);
    }
    (plain, MatchPolicy::from_name(name).unwrap_or(MatchPolicy::Exact))
}

fn policy(name: Option<&str>, at: &str) -> Read<MatchPolicy> {
    let name = name.unwrap_or("exact");
    let unknown = || Fault::new(&format!("{at}.match"), format!("is {name:?}, not exact, prefix or wildcard"));
    MatchPolicy::from_name(name).ok_or_else(unknown)
}
