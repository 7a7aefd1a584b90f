//! Transports and where they listen.

use super::auth::read_auth;
use super::bridge::read_bridge;
use super::cookie::read_cookie;
use super::endpoint::{is_any_port, read_endpoint};
use super::events::read_events;
use super::options::{read_longpoll, read_options};
use super::web::{path_of, read_service, read_web_options};
use super::{Fault, Read, Reader, read, type_of};
use crate::config::listener::TransportIndex;
use crate::config::web::{PathConfig, Service};
use crate::config::{ListenerConfig, RuntimeConfig, TransportConfig};
use crate::wire::handshake::Subprotocol;
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
    serializers: Option<Vec<String>>,
    options: Option<Value>,
    auth: Option<Value>,
    cookie: Option<Value>,
    debug: Option<Value>,
    paths: Option<BTreeMap<String, Value>>,
    rawsocket: Option<Inner>,
    websocket: Option<BTreeMap<String, Inner>>,
    web: Option<Web>,
    mqtt: Option<Value>,
}

/// A transport inside another, without an endpoint of its own.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    r#type: Option<String>,
    #[allow(dead_code, reason = "transports go by their addresses")]
    id: Option<String>,
    #[allow(dead_code, reason = "clients may come by any")]
    url: Option<Value>,
    backends: Option<Value>,
    serializers: Option<Vec<String>>,
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
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    options: Option<Value>,
    /// Of our own.
    auth: Option<Value>,
}

/// Paths inside a path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nested {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    paths: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Web {
    paths: BTreeMap<String, Value>,
    options: Option<Value>,
}

pub(super) fn read_transport(reader: &mut Reader, value: Value, at: &str, config: &mut RuntimeConfig) -> Read<()> {
    let kind = type_of(&value, at)?;
    if !["websocket", "rawsocket", "universal", "web"].contains(&&*kind) {
        return Err(Fault::new(&format!("{at}.type"), format!("is {kind:?}, which is not supported")));
    }
    let own: &[&str] = match &*kind {
        "websocket" | "rawsocket" => &["url", "serializers", "options", "auth", "cookie", "debug"],
        "universal" => &["rawsocket", "websocket", "web", "mqtt", "options", "debug"],
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
        endpoint,
        url,
        serializers,
        options,
        auth,
        cookie,
        debug,
        paths,
        rawsocket,
        websocket,
        web,
        mqtt,
        ..
    } = transport;
    let listener = read_endpoint(reader, endpoint, &format!("{at}.endpoint"))?;
    let address = &listener.address;
    if config.listeners.iter().any(|known| known.address == *address && !is_any_port(address)) {
        return Err(Fault::new(&format!("{at}.endpoint"), format!("another transport listens on {address} already")));
    }
    let mut parts = Parts { reader, config, listener, own: Vec::new(), without_auth: Vec::new() };
    parts.listener.paths.clear();
    parts.listener.rawsocket = None;
    match &*kind {
        "websocket" | "rawsocket" => {
            let inner = Inner { url, serializers, options, auth, cookie, debug, ..Inner::default() };
            if kind == "rawsocket" { parts.rawsocket(inner, at)? } else { parts.websocket("/".into(), inner, at)? }
        }
        _ => {
            parts.reader.without_effect(at, &[("debug", debug.is_some()), ("mqtt", mqtt.is_some())]);
            if let Some(inner) = rawsocket {
                parts.rawsocket(inner, &format!("{at}.rawsocket"))?;
            }
            for (path, inner) in websocket.unwrap_or_default() {
                let at = format!("{at}.websocket.{path}");
                parts.websocket(path_of("/", &path, &at)?, inner, &at)?;
            }
            let (web_at, web) = match web {
                web if kind == "universal" => {
                    parts.reader.without_effect(at, &[("options", options.is_some())]);
                    let web = web.unwrap_or(Web { paths: BTreeMap::new(), options: None });
                    (format!("{at}.web"), web)
                }
                _ => (at.to_string(), Web { paths: paths.unwrap_or_default(), options }),
            };
            if let Some(options) = web.options {
                let secure = parts.listener.tls.is_some();
                parts.listener.web = read_web_options(parts.reader, options, secure, &format!("{web_at}.options"))?;
            }
            parts.web("/", web.paths, &format!("{web_at}.paths"))?;
        }
    }
    parts.finish(at)
}

/// The names of serializers, with `.batched` for several messages in one of WebSocket.
fn read_serializers(reader: &mut Reader, names: Vec<String>, websocket: bool, at: &str) -> Read<Vec<Subprotocol>> {
    let at = format!("{at}.serializers");
    let mut known = Vec::new();
    for name in &names {
        if name.starts_with("flatbuffers") {
            reader.warn(&at, "flatbuffers are not spoken");
            continue;
        }
        let found = Subprotocol::from_name(&format!("wamp.2.{name}")).filter(|found| websocket || !found.batched);
        let wrong = || Fault::new(&at, format!("{name:?} is not json, msgpack, cbor or ubjson, perhaps with .batched"));
        let found = found.ok_or_else(wrong)?;
        known.push(found);
        // As in Crossbar.io a plain name brings the batched one with it.
        if websocket && !found.batched {
            known.push(Subprotocol { batched: true, ..found });
        }
    }
    if known.is_empty() { Err(Fault::new(&at, "names none that is spoken here")) } else { Ok(known) }
}

/// A listener whose parts are read one after the other.
struct Parts<'a> {
    reader: &'a mut Reader,
    config: &'a mut RuntimeConfig,
    listener: ListenerConfig,
    /// Its transports.
    own: Vec<TransportIndex>,
    /// Paths of long-polling that have no `auth` of their own.
    without_auth: Vec<usize>,
}

impl Parts<'_> {
    fn rawsocket(&mut self, inner: Inner, at: &str) -> Read<()> {
        self.listener.rawsocket = Some(self.part(inner, false, at)?);
        Ok(())
    }

    /// WebSocket at a path and everything below that has nothing of its own.
    fn websocket(&mut self, path: String, inner: Inner, at: &str) -> Read<()> {
        let transport = self.part(inner, true, at)?;
        self.add(PathConfig::websocket(&path, true, transport), at)
    }

    /// Adds a transport, unless it is the same as another of this listener.
    fn part(&mut self, inner: Inner, websocket: bool, at: &str) -> Read<TransportIndex> {
        // Where those of a proxy lead to has been found out already.
        if inner.backends.is_some() && inner.r#type.as_deref() != Some("websocket-proxy") {
            return Err(Fault::new(&format!("{at}.backends"), "is for paths of the type websocket-proxy only"));
        }
        self.reader.without_effect(at, &[("debug", inner.debug.is_some())]);
        let serializers =
            inner.serializers.map(|names| read_serializers(self.reader, names, websocket, at)).transpose()?;
        self.reader.parts += 1;
        let options = read_options(self.reader, inner.options, websocket, &format!("{at}.options"), self.config)?;
        let mut auth = read_auth(inner.auth, &format!("{at}.auth"), &self.reader.directory)?;
        auth.reach = self.reader.reach.clone();
        let secure = self.listener.tls.is_some();
        let cookie = inner.cookie.map(|cookie| read_cookie(self.reader, cookie, secure, &format!("{at}.cookie")));
        let cookie = cookie.transpose()?;
        if auth.cookie && (cookie.is_none() || !websocket) {
            let text = "needs a `cookie` beside `auth`, and WebSocket";
            return Err(Fault::new(&format!("{at}.auth.cookie"), text));
        }
        if auth.tls.is_some() && self.listener.tls.as_ref().is_none_or(|tls| tls.client_authorities.is_empty()) {
            return Err(Fault::new(&format!("{at}.auth.tls"), "needs `ca_certificates` in the `tls` of the endpoint"));
        }
        let (origins, null_origin) = (options.origins, options.null_origin);
        let transport = TransportConfig { auth, origins, null_origin, serializers, cookie };
        let known = self.own.iter().find(|index| self.config.transports[usize::from(**index)] == transport);
        if let Some(index) = known {
            return Ok(*index);
        }
        let index = TransportIndex::try_from(self.config.transports.len())
            .map_err(|_| Fault::new(at, "there are more transports than are supported"))?;
        self.config.transports.push(transport);
        self.own.push(index);
        Ok(index)
    }

    /// What is served by HTTP at these paths below another one.
    fn web(&mut self, base: &str, paths: BTreeMap<String, Value>, at: &str) -> Read<()> {
        for (name, value) in paths {
            let at = format!("{at}.{name}");
            let path = path_of(base, &name, &at)?;
            match &*type_of(&value, &at)? {
                // A proxy of the older form; its back ends are in this process.
                "websocket" | "websocket-proxy" => self.websocket(path, read(value, &at)?, &at)?,
                "longpoll" => self.longpoll(path, read(value, &at)?, &at)?,
                "path" => {
                    let Nested { paths, .. } = read(value, &at)?;
                    self.web(&path, paths, &format!("{at}.paths"))?;
                }
                "publisher" | "caller" | "webhook" => {
                    let (mut bridge, auth) = read_bridge(value, &at)?;
                    bridge.transport = self.part(Inner { auth: Some(auth), ..Inner::default() }, false, &at)?;
                    self.add(PathConfig { path, deep: true, service: Service::Bridge(Box::new(bridge)) }, &at)?;
                }
                "eventsource" => {
                    let (mut events, auth, cookie) = read_events(value, &at)?;
                    // Where browsers are known again is decided for WebSocket, and so it is here.
                    events.transport = self.part(Inner { auth: Some(auth), cookie, ..Inner::default() }, true, &at)?;
                    self.add(PathConfig { path, deep: false, service: Service::Events(Box::new(events)) }, &at)?;
                }
                kind => {
                    let (deep, service) = read_service(self.reader, kind, value, &at)?;
                    self.add(PathConfig { path, deep, service }, &at)?;
                }
            }
        }
        Ok(())
    }

    fn longpoll(&mut self, path: String, inner: LongPoll, at: &str) -> Read<()> {
        let LongPoll { options, auth, .. } = inner;
        if let Some(options) = options {
            read_longpoll(self.reader, options, &format!("{at}.options"), self.config)?;
        }
        let transport = match auth {
            Some(auth) => self.part(Inner { auth: Some(auth), ..Inner::default() }, false, at)?,
            None => {
                self.without_auth.push(self.listener.paths.len());
                0
            }
        };
        self.add(PathConfig::longpoll(&path, transport), at)
    }

    fn add(&mut self, path: PathConfig, at: &str) -> Read<()> {
        if self.listener.paths.iter().any(|known| known.path == path.path) {
            return Err(Fault::new(at, format!("there is something at {} already", path.path)));
        }
        self.listener.paths.push(path);
        Ok(())
    }

    /// Long-polling that has no `auth` of its own has that of the first WebSocket, or of RawSocket.
    fn finish(mut self, at: &str) -> Read<()> {
        if self.listener.paths.is_empty() && self.listener.rawsocket.is_none() {
            return Err(Fault::new(at, "serves nothing: it has neither paths nor a transport"));
        }
        let websocket = self.listener.paths.iter().find_map(|path| match path.service {
            Service::WebSocket(transport) => Some(transport),
            _ => None,
        });
        let first = match websocket.or(self.listener.rawsocket) {
            Some(first) => first,
            None => self.part(Inner::default(), false, at)?,
        };
        for index in &self.without_auth {
            self.listener.paths[*index].service = Service::LongPoll(first);
        }
        self.listener.transport = first;
        self.config.listeners.push(self.listener);
        Ok(())
    }
}
