//! WebSocket that gives back what it gets, for conformance tests: a worker of the type `websocket-testee`, or a transport
//! of the type `websocket.testee`.

use super::endpoint::{is_any_port, read_endpoint};
use super::options::read_options;
use super::transports::read_one;
use super::{Fault, Read, Reader, read, type_of, worker};
use crate::auth::reach::Reach;
use crate::config::web::{PathConfig, Service};
use crate::config::{RuntimeConfig, TransportConfig};
use serde::Deserialize;
use serde_json::Value;

/// The type of the transport.
pub(super) const KIND: &str = "websocket.testee";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Worker {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "nothing names it")]
    id: Option<String>,
    options: Option<Value>,
    transport: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transport {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "nothing names it")]
    id: Option<String>,
    endpoint: Value,
    #[allow(dead_code, reason = "clients may come by any")]
    url: Option<Value>,
    options: Option<Value>,
    debug: Option<Value>,
}

pub(super) fn read_worker(reader: &mut Reader, value: Value, at: &str, config: &mut RuntimeConfig) -> Read<()> {
    let worker: Worker = read(value, at)?;
    worker::read_options(reader, worker.options, worker::Kind::Bare, &format!("{at}.options"))?;
    let at = format!("{at}.transport");
    let kind = type_of(&worker.transport, &at)?;
    if kind != "websocket" && kind != KIND {
        return Err(Fault::new(&format!("{at}.type"), format!("is {kind:?}, not websocket")));
    }
    let mut transport = worker.transport;
    transport["type"] = KIND.into();
    read_one(reader, transport, &Reach::default(), &at, config)
}

pub(super) fn read_testee(reader: &mut Reader, value: Value, at: &str, config: &mut RuntimeConfig) -> Read<()> {
    let transport: Transport = read(value, at)?;
    let mut listener = read_endpoint(reader, transport.endpoint, &format!("{at}.endpoint"))?;
    let address = &listener.address;
    if config.listeners.iter().any(|known| known.address == *address && !is_any_port(address)) {
        return Err(Fault::new(&format!("{at}.endpoint"), format!("another transport listens on {address} already")));
    }
    reader.without_effect(at, &[("debug", transport.debug.is_some())]);
    read_options(reader, transport.options, true, &format!("{at}.options"), config)?;
    listener.paths = vec![PathConfig { path: "/".into(), deep: true, service: Service::Echo }];
    listener.rawsocket = None;
    // Nobody comes in by it, but each listener names one.
    if config.transports.is_empty() {
        config.transports.push(TransportConfig::default());
    }
    listener.transport = 0;
    config.listeners.push(listener);
    Ok(())
}
