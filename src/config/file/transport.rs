//! Transports and where they listen.

use super::auth::read_auth;
use super::options::{read_longpoll, read_options};
use super::{Fault, Read, Reader, from_environment, read, type_of};
use crate::auth::AuthConfig;
use crate::config::listener::TransportIndex;
use crate::config::{ListenAddress, ListenerConfig, RuntimeConfig, TransportConfig};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transport {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "transports go by their addresses")]
    id: Option<String>,
    endpoint: Value,
    url: Option<Value>,
    serializers: Option<Value>,
    options: Option<Value>,
    auth: Option<Value>,
    cookie: Option<Value>,
    debug: Option<Value>,
    paths: Option<BTreeMap<String, Value>>,
    rawsocket: Option<Inner>,
    websocket: Option<BTreeMap<String, Inner>>,
    web: Option<Web>,
}

/// A transport inside another, without an endpoint of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[allow(dead_code, reason = "has been read already")]
    r#type: Option<String>,
    #[allow(dead_code, reason = "transports go by their addresses")]
    id: Option<String>,
    url: Option<Value>,
    serializers: Option<Value>,
    options: Option<Value>,
    auth: Option<Value>,
    cookie: Option<Value>,
    debug: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongPoll {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "there is one")]
    id: Option<String>,
    options: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Web {
    paths: BTreeMap<String, Value>,
    options: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tcp {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    port: Value,
    interface: Option<String>,
    backlog: Option<i32>,
    tls: Option<Value>,
    version: Option<u8>,
    shared: Option<Value>,
    user_timeout: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unix {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    path: String,
    backlog: Option<i32>,
}

pub(super) fn read_transport(reader: &mut Reader, value: Value, at: &str, config: &mut RuntimeConfig) -> Read<()> {
    let kind = type_of(&value, at)?;
    if !["websocket", "rawsocket", "universal", "web"].contains(&&*kind) {
        return Err(Fault::new(&format!("{at}.type"), format!("is {kind:?}, which is not supported")));
    }
    let own: &[&str] = match &*kind {
        "websocket" | "rawsocket" => &["url", "serializers", "options", "auth", "cookie", "debug"],
        "universal" => &["rawsocket", "websocket", "web", "options", "debug"],
        _ => &["paths", "options", "debug"],
    };
    // An `auth` that stands where nobody looks for it would leave the door open.
    let keys = value.as_object().into_iter().flat_map(|object| object.keys());
    let mut foreign = keys.filter(|key| !["type", "id", "endpoint"].contains(&&***key) && !own.contains(&&***key));
    if let Some(key) = foreign.next() {
        return Err(Fault::new(&format!("{at}.{key}"), format!("does not belong to a transport of the type {kind:?}")));
    }
    let transport: Transport = read(value, at)?;
    let Transport {
        endpoint, url, serializers, options, auth, cookie, debug, paths, rawsocket, websocket, web, ..
    } = transport;
    let mut methods = Vec::new();
    if kind == "websocket" || kind == "rawsocket" {
        let inner = Inner { r#type: None, id: None, url, serializers, options, auth, cookie, debug };
        methods.push(read_inner(reader, inner, kind == "websocket", at, config)?);
    } else {
        reader.without_effect(at, &[("options", options.is_some()), ("debug", debug.is_some())]);
        if let Some(inner) = rawsocket {
            methods.push(read_inner(reader, inner, false, &format!("{at}.rawsocket"), config)?);
        }
        for (path, inner) in websocket.unwrap_or_default() {
            methods.push(read_inner(reader, inner, true, &format!("{at}.websocket.{path}"), config)?);
        }
        let (web_at, web) = match web {
            Some(web) => (format!("{at}.web"), web),
            None => (at.to_string(), Web { paths: paths.unwrap_or_default(), options: None }),
        };
        reader.without_effect(&web_at, &[("options", web.options.is_some())]);
        read_paths(reader, web.paths, &format!("{web_at}.paths"), config, &mut methods)?;
    }
    let Some(first) = methods.pop() else {
        return Err(Fault::new(at, "has neither a WebSocket nor a RawSocket transport"));
    };
    if methods.iter().any(|other| *other != first) {
        return Err(Fault::new(at, "different `auth` for parts of one transport is not supported"));
    }
    let index = TransportIndex::try_from(config.transports.len())
        .map_err(|_| Fault::new(at, "there are more transports than are supported"))?;
    let (address, backlog) = read_endpoint(reader, endpoint, &format!("{at}.endpoint"))?;
    if config.listeners.iter().any(|known| known.address == address && !is_any_port(&address)) {
        return Err(Fault::new(&format!("{at}.endpoint"), format!("another transport listens on {address} already")));
    }
    config.transports.push(TransportConfig { auth: first });
    config.listeners.push(ListenerConfig { address, backlog, transport: index });
    Ok(())
}

fn read_inner(
    reader: &mut Reader,
    inner: Inner,
    websocket: bool,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<AuthConfig> {
    let given = [
        ("url", inner.url.is_some()),
        ("serializers", inner.serializers.is_some()),
        ("cookie", inner.cookie.is_some()),
        ("debug", inner.debug.is_some()),
    ];
    reader.without_effect(at, &given);
    reader.parts += 1;
    read_options(reader, inner.options, websocket, &format!("{at}.options"), config)?;
    read_auth(inner.auth, &format!("{at}.auth"))
}

/// WebSocket and long-polling are served, WebSocket on any path; what else stands there is not.
fn read_paths(
    reader: &mut Reader,
    paths: BTreeMap<String, Value>,
    at: &str,
    config: &mut RuntimeConfig,
    methods: &mut Vec<AuthConfig>,
) -> Read<()> {
    for (path, value) in paths {
        let at = format!("{at}.{path}");
        match &*type_of(&value, &at)? {
            "websocket" => {
                let inner: Inner = read(value, &at)?;
                methods.push(read_inner(reader, inner, true, &at, config)?);
            }
            "longpoll" => {
                let LongPoll { options, .. } = read(value, &at)?;
                if let Some(options) = options {
                    read_longpoll(reader, options, &format!("{at}.options"), config)?;
                }
                let path = Some(format!("/{path}"));
                if config.longpoll_path.as_ref().is_some_and(|known| Some(known) != path.as_ref()) {
                    return Err(Fault::new(&at, "long-polling on more than one path is not supported"));
                }
                config.longpoll_path = path;
            }
            other => reader.warn(&at, &format!("a path of the type {other:?} is not served")),
        }
    }
    Ok(())
}

fn read_endpoint(reader: &mut Reader, value: Value, at: &str) -> Read<(ListenAddress, i32)> {
    match &*type_of(&value, at)? {
        "tcp" => {
            let tcp: Tcp = read(value, at)?;
            if tcp.tls.is_some() {
                return Err(Fault::new(&format!("{at}.tls"), "is not supported"));
            }
            let given = [
                ("version", tcp.version.is_some()),
                ("shared", tcp.shared.is_some()),
                ("user_timeout", tcp.user_timeout.is_some()),
            ];
            reader.without_effect(at, &given);
            let address = ListenAddress::Tcp { host: tcp.interface.unwrap_or_default(), port: port(&tcp.port, at)? };
            Ok((address, tcp.backlog.unwrap_or(ListenerConfig::BACKLOG)))
        }
        "unix" => {
            let unix: Unix = read(value, at)?;
            if unix.path.is_empty() {
                return Err(Fault::new(&format!("{at}.path"), "is empty"));
            }
            Ok((ListenAddress::Unix(unix.path.into()), unix.backlog.unwrap_or(ListenerConfig::BACKLOG)))
        }
        other => Err(Fault::new(&format!("{at}.type"), format!("is {other:?}; tcp and unix are supported"))),
    }
}

fn port(value: &Value, at: &str) -> Read<u16> {
    let at = format!("{at}.port");
    let wrong = || Fault::new(&at, format!("is {value}, not a number from 0 to 65535"));
    match value {
        Value::String(text) => from_environment(text, &at)?.parse().map_err(|_| wrong()),
        value => value.as_u64().and_then(|port| u16::try_from(port).ok()).ok_or_else(wrong),
    }
}

fn is_any_port(address: &ListenAddress) -> bool {
    matches!(address, ListenAddress::Tcp { port: 0, .. })
}
