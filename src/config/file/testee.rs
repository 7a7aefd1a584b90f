//! WebSocket that gives back what it gets, for conformance tests: a worker of the type `websocket-testee`, or a transport
//! of the type `websocket.testee`.

use super::endpoint::{Endpoint, is_any_port, read_endpoint};
use super::kinds::kinds;
use super::options::WebSocketOptions;
use super::transports::read_one;
use super::{Fault, Read, Reader, worker};
use crate::auth::reach::Reach;
use crate::config::listener::TransportIndex;
use crate::config::web::{PathConfig, Service};
use crate::config::{RuntimeConfig, TransportConfig};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The type of the transport.
const KIND: &str = "websocket.testee";

/// WebSocket that gives back what it gets, for conformance tests.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Worker {
    /// Its name.
    #[allow(dead_code, reason = "nothing names it")]
    id: Option<String>,
    /// What all workers have.
    #[schemars(with = "Option<worker::Options>")]
    options: Option<Value>,
    /// Where it listens.
    #[schemars(with = "TesteeTransport")]
    transport: Value,
}

kinds! {
    /// The transport of a testee.
    enum TesteeTransport { "websocket" => WebSocket(Transport), "websocket.testee" => Testee(Transport) }
}

/// WebSocket that gives back what it gets.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Testee")]
pub(super) struct Transport {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "nothing names it")]
    id: Option<String>,
    /// Where it listens.
    #[schemars(with = "Endpoint")]
    endpoint: Value,
    /// By which URL clients come; they may come by any.
    #[allow(dead_code, reason = "clients may come by any")]
    url: Option<Value>,
    /// Limits and times of its connections.
    options: Option<WebSocketOptions>,
    /// Does nothing, as in Crossbar.io: what is logged is said by levels.
    #[schemars(extend("deprecated" = true))]
    debug: Option<Value>,
}

pub(super) fn read_worker(reader: &mut Reader, worker: Worker, at: &str, config: &mut RuntimeConfig) -> Read<()> {
    worker::read_options(reader, worker.options, worker::Kind::Bare, &format!("{at}.options"))?;
    let at = format!("{at}.transport");
    let mut transport = worker.transport;
    TesteeTransport::read(transport.clone(), &at)?;
    transport["type"] = KIND.into();
    read_one(reader, transport, &Reach::default(), &at, config)
}

pub(super) fn read_testee(reader: &mut Reader, transport: Transport, at: &str, config: &mut RuntimeConfig) -> Read<()> {
    let mut listener = read_endpoint(reader, transport.endpoint, &format!("{at}.endpoint"))?;
    let address = &listener.address;
    if config.listeners.iter().any(|known| known.address == *address && !is_any_port(address)) {
        return Err(Fault::new(&format!("{at}.endpoint"), format!("another transport listens on {address} already")));
    }
    reader.note_debug(at, transport.debug.as_ref());
    let options = transport.options.map(|options| options.read(reader, &format!("{at}.options"))).transpose()?;
    let connection = options.map(|own| own.connection).unwrap_or_default();
    listener.paths = vec![PathConfig { path: "/".into(), deep: true, service: Service::Echo }];
    listener.rawsocket = None;
    // Nobody comes in by it, but it says what holds for its connections.
    listener.transport = TransportIndex::try_from(config.transports.len())
        .map_err(|_| Fault::new(at, "there are more transports than are supported"))?;
    config.transports.push(TransportConfig { connection, ..TransportConfig::default() });
    config.listeners.push(listener);
    Ok(())
}
