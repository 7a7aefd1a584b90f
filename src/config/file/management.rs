//! The key `corebar.management`: the realm in which the node is managed.

use super::settings::KEY;
use super::{Fault, Read, Reader, read};
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
