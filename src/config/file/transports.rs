//! The transports of a worker.

use super::namespaces::Place;
use super::transport::read_transport;
use super::{Read, Reader};
use crate::auth::reach::Reach;
use crate::config::RuntimeConfig;
use serde_json::Value;

/// A transport that has been read.
#[derive(Debug)]
pub(super) struct Seen {
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
    if is_shared_with(reader, &value, reach) {
        return Ok(());
    }
    reader.reach = reach.clone();
    read_transport(reader, value, at, config)
}

/// True if clients can only come in by a proxy that has asked them who they are.
fn is_for_proxies(transport: &Value) -> bool {
    let auth = transport.get("auth").and_then(Value::as_object);
    auth.is_some_and(|auth| !auth.is_empty() && auth.keys().all(|method| method.ends_with("-proxy")))
}

/// True if another worker serves just the same at the same port: then one listener is enough, which is served on all
/// cores. Otherwise remembers the transport.
fn is_shared_with(reader: &mut Reader, value: &Value, reach: &Reach) -> bool {
    let Some(place) = value.get("endpoint").and_then(Place::of) else { return false };
    if reader.seen.iter().any(|seen| seen.place == place && seen.value == *value && seen.reach == *reach) {
        return true;
    }
    reader.seen.push(Seen { place, value: value.clone(), reach: reach.clone() });
    false
}
