//! The key `corebar.management`: the realm in which the node is managed.

use super::settings::KEY;
use super::{Fault, Read, Reader, read};
use crate::config::{ManagementConfig, RuntimeConfig};
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
}

/// Takes the key from among the settings.
pub(super) fn take(settings: &mut Value) -> Option<Value> {
    settings.as_object_mut()?.shift_remove("management").filter(|value| !value.is_null())
}

/// Reads the key, when the realms are known. `namespaces`: of the router workers, by their ids.
pub(super) fn read_management(
    reader: &mut Reader,
    value: Value,
    namespaces: &[(Box<str>, Box<str>)],
    config: &mut RuntimeConfig,
) -> Read<()> {
    let at = format!("{KEY}.management");
    let Management { realm, role, worker } = read(value, &at)?;
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
    let management = ManagementConfig { realm: realm.as_str().into(), namespace: namespace.clone() };
    let there = config.realms.iter().any(|known| known.name == management.realm && known.namespace == *namespace);
    match (there, role) {
        (true, None) => {}
        (true, Some(_)) => {
            reader.warn(&format!("{at}.role"), "has no effect: the realm is there, and has roles of its own")
        }
        (false, Some(role)) => config.realms.push(management.realm(&role)),
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
