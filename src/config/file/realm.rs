//! Realms, their roles and what these may do.

use super::kinds::kinds;
use super::link::Link;
use super::permissions::warn_of_permissions;
use super::schema::OWN;
use super::version::from_stars;
use super::{Fault, Read, Reader, asks, read};
use crate::session::role::{Actions, Disclose};
use crate::session::{Access, HistoryRule, HistoryStore, Permission, RealmConfig, RoleConfig};
use crate::wamp::{MatchPolicy, UriRules};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;

/// A realm: its roles, and what is kept of its events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Realm {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "realms go by their names")]
    id: Option<String>,
    /// Its name, a URI.
    #[schemars(extend("examples" = ["realm1"]))]
    name: String,
    /// The roles whose sessions may join. A role that is not here is `wamp.error.no_such_role`.
    #[serde(default)]
    #[schemars(with = "Vec<Role>")]
    roles: Vec<Value>,
    /// How it works.
    options: Option<Options>,
    /// Sessions at once. Beyond: ABORT `wamp.error.limit_exceeded`. Without it, any number.
    #[schemars(extend("x-crossbar" = OWN))]
    sessions_max: Option<u32>,
    /// Sessions of one authid at once. Beyond: the same.
    #[schemars(extend("x-crossbar" = OWN))]
    sessions_per_authid_max: Option<u32>,
    /// Events that are kept for those who come later.
    #[schemars(with = "Option<Store>")]
    store: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    stats: Option<Value>,
    /// Links to realms of other routers.
    #[serde(default)]
    #[schemars(with = "Vec<Link>")]
    rlinks: Vec<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    inventory: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    trace: Option<Value>,
}

/// How a realm works.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RealmOptions")]
struct Options {
    /// Has no effect: what roles may call is said by their permissions.
    #[schemars(extend("deprecated" = true, "default" = true))]
    enable_meta_api: Option<bool>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    bridge_meta_api: Option<bool>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    event_dispatching_chunk_size: Option<u64>,
    /// Which characters URIs may have: of `strict`, lower case letters, digits and `_` alone.
    #[schemars(extend("enum" = ["strict", "loose"], "default" = "loose"))]
    uri_check: Option<String>,
}

kinds! {
    /// Where events are kept.
    enum Store { "memory" => Memory(MemoryStore), "cfxdb" => Disk(DiskStore) }
}

/// It ends with the process.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MemoryStore {
    /// Events of each topic that are kept, if its own entry does not say it.
    #[schemars(extend("default" = HISTORY_LIMIT))]
    limit: Option<u32>,
    /// The topics whose events are kept.
    #[serde(rename = "event-history", default)]
    event_history: Vec<History>,
    /// Calls that wait. Does nothing, as in Crossbar.io; see `corebar.limits.calls_waiting_max`.
    #[serde(rename = "call-queue")]
    #[schemars(extend("deprecated" = true))]
    call_queue: Option<Value>,
}

/// On disk.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DiskStore {
    /// The directory of Crossbar.io's database, relative to the node directory; the file stands beside it, as
    /// `PATH.history`.
    #[schemars(extend("examples" = ["realm1"]))]
    path: PathBuf,
    /// A publication is acknowledged only when its event is safely in the file.
    #[serde(default)]
    sync: bool,
    /// Events of each topic that are kept, if its own entry does not say it.
    #[schemars(extend("default" = HISTORY_LIMIT))]
    limit: Option<u32>,
    /// The topics whose events are kept.
    #[serde(rename = "event-history", default)]
    event_history: Vec<History>,
    /// Calls that wait. Does nothing, as in Crossbar.io; see `corebar.limits.calls_waiting_max`.
    #[serde(rename = "call-queue")]
    #[schemars(extend("deprecated" = true))]
    call_queue: Option<Value>,
    /// Not needed: the limits of the histories bound the file.
    #[schemars(extend("deprecated" = true))]
    maxsize: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    readonly: Option<Value>,
    /// Not needed: what has come is written at once.
    #[serde(rename = "max-buffer")]
    #[schemars(extend("deprecated" = true))]
    max_buffer: Option<Value>,
    /// Not needed: what has come is written at once.
    #[serde(rename = "buffer-flush")]
    #[schemars(extend("deprecated" = true))]
    buffer_flush: Option<Value>,
}

/// A topic or pattern whose events are kept.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct History {
    /// The topic, or the pattern.
    #[schemars(extend("examples" = ["com.example.news"]))]
    uri: String,
    /// How topics match.
    #[schemars(extend("enum" = ["exact", "prefix", "wildcard"], "default" = "exact"))]
    r#match: Option<String>,
    /// How many events are kept; the oldest is forgotten for a new one. Without it, as many as the store says.
    #[schemars(extend("examples" = [100]))]
    limit: Option<u32>,
}

/// A role, and what it may do: `permissions` or an `authorizer`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Role {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "roles go by their names")]
    id: Option<String>,
    /// Its name.
    #[schemars(extend("examples" = ["user"]))]
    name: String,
    /// What it may do; the most specific rule that matches decides. What no rule allows is `wamp.error.not_authorized`.
    permissions: Option<Vec<Rule>>,
    /// A procedure of the realm that is asked what it may do, in place of permissions.
    #[schemars(extend("examples" = ["com.example.authorize"]))]
    authorizer: Option<String>,
    /// Without permissions and authorizer it may do everything.
    #[serde(rename = "allow-by-default")]
    #[schemars(extend("default" = false))]
    allow_by_default: Option<bool>,
}

/// What is allowed at a URI.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Permission")]
struct Rule {
    /// The URI. Without `match`, a star at its end makes it a prefix, and stars elsewhere a wildcard. `{authid}`, `{authrole}`
    /// and `{session}` stand for the session's own.
    #[schemars(extend("examples" = ["com.example."]))]
    uri: String,
    /// How it is matched. Without it, stars in the URI say it.
    #[schemars(extend("enum" = ["exact", "prefix", "wildcard"], "examples" = ["prefix"]))]
    r#match: Option<String>,
    /// What is allowed; the rest is not.
    #[serde(default)]
    allow: Allow,
    /// Who is made known to receivers, whether or not they ask for it.
    #[serde(default)]
    disclose: Disclosed,
    /// Remember the decision. Has no effect: there is nothing to remember.
    #[allow(dead_code, reason = "there is nothing to cache")]
    #[schemars(extend("deprecated" = true))]
    cache: Option<bool>,
    /// Check the payload. Has no effect.
    #[schemars(extend("deprecated" = true))]
    validate: Option<Value>,
}

/// Actions.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Allow {
    /// Calls of procedures.
    call: bool,
    /// Registrations of procedures.
    register: bool,
    /// Publications to topics.
    publish: bool,
    /// Subscriptions to topics.
    subscribe: bool,
}

/// Who is made known.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Disclosed {
    /// Who calls, to callees.
    caller: bool,
    /// Who publishes, to subscribers.
    publisher: bool,
}

/// Crossbar.io keeps so many events of a topic if nothing is said.
const HISTORY_LIMIT: u32 = 100;

/// Gives the realm, and its links, which are to be read when its namespace is known.
pub(super) fn read_realm(reader: &mut Reader, value: Value, at: &str) -> Read<(RealmConfig, Vec<Value>)> {
    let realm: Realm = read(value, at)?;
    let given = [
        ("stats", asks(realm.stats.as_ref())),
        ("inventory", asks(realm.inventory.as_ref())),
        ("trace", asks(realm.trace.as_ref())),
    ];
    reader.without_effect(at, &given);
    let mut config = RealmConfig::new(&realm.name);
    if let Some(options) = realm.options {
        let at = format!("{at}.options");
        if options.enable_meta_api == Some(false) {
            reader.warn(&format!("{at}.enable_meta_api"), "has no effect: what roles may call is said by their rules");
        }
        let given = [
            ("bridge_meta_api", options.bridge_meta_api == Some(true)),
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
    Ok((config, realm.rlinks))
}

/// Crossbar.io's database is a directory, and this one a file beside it.
fn read_store(reader: &mut Reader, store: Value, at: &str) -> Read<(Vec<HistoryRule>, HistoryStore)> {
    let (limit, histories, kept, call_queue) = match Store::read(store, at)? {
        Store::Memory(store) => (store.limit, store.event_history, HistoryStore::Memory, store.call_queue),
        Store::Disk(store) => {
            reader.without_effect(at, &[("readonly", asks(store.readonly.as_ref()))]);
            if asks(store.maxsize.as_ref()) {
                reader.note(&format!("{at}.maxsize"), "is not needed: the limits of the histories bound the file");
            }
            if asks(store.max_buffer.as_ref()) || asks(store.buffer_flush.as_ref()) {
                reader
                    .note(at, "max-buffer and buffer-flush are not needed: what has come is written at once, together");
            }
            let path = reader.directory.join(store.path).with_extension("history");
            let kept = HistoryStore::Disk { path, sync: store.sync };
            (store.limit, store.event_history, kept, store.call_queue)
        }
    };
    if asks(call_queue.as_ref()) {
        let text =
            "does nothing, as in Crossbar.io; how many calls may wait is said by `corebar.limits.calls_waiting_max`";
        reader.note(&format!("{at}.call-queue"), text);
    }
    let mut rules = Vec::new();
    for (index, history) in histories.into_iter().enumerate() {
        let at = format!("{at}.event-history[{index}]");
        let policy = policy(history.r#match.as_deref(), &at)?;
        let events_max = history.limit.or(limit).unwrap_or(HISTORY_LIMIT);
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
    reader.without_effect(at, &[("validate", asks(rule.validate.as_ref()))]);
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
