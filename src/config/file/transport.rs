//! Transports and where they listen.

use super::auth::read_auth;
use super::cookie::read_cookie;
use super::endpoint::{is_any_port, read_endpoint};
use super::options::{read_longpoll, read_options};
use super::{Fault, Read, Reader, read, type_of};
use crate::config::listener::{PathConfig, TransportIndex};
use crate::config::{ListenerConfig, RuntimeConfig, TransportConfig};
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
    mqtt: Option<Value>,
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
    let mut parts = Parts { reader, config, listener, own: Vec::new() };
    parts.listener.paths.clear();
    parts.listener.rawsocket = None;
    match &*kind {
        "websocket" | "rawsocket" => {
            let inner = Inner { r#type: None, id: None, url, serializers, options, auth, cookie, debug };
            if kind == "rawsocket" { parts.rawsocket(inner, at)? } else { parts.websocket("", inner, at)? }
        }
        _ => {
            parts.reader.without_effect(
                at,
                &[("options", options.is_some()), ("debug", debug.is_some()), ("mqtt", mqtt.is_some())],
            );
            if let Some(inner) = rawsocket {
                parts.rawsocket(inner, &format!("{at}.rawsocket"))?;
            }
            for (path, inner) in websocket.unwrap_or_default() {
                parts.websocket(&path, inner, &format!("{at}.websocket.{path}"))?;
            }
            let (web_at, web) = match web {
                Some(web) => (format!("{at}.web"), web),
                None => (at.to_string(), Web { paths: paths.unwrap_or_default(), options: None }),
            };
            parts.reader.without_effect(&web_at, &[("options", web.options.is_some())]);
            parts.web(web.paths, &format!("{web_at}.paths"))?;
        }
    }
    parts.finish(at)
}

/// A listener whose parts are read one after the other.
struct Parts<'a> {
    reader: &'a mut Reader,
    config: &'a mut RuntimeConfig,
    listener: ListenerConfig,
    /// Its transports.
    own: Vec<TransportIndex>,
}

impl Parts<'_> {
    fn rawsocket(&mut self, inner: Inner, at: &str) -> Read<()> {
        self.listener.rawsocket = Some(self.part(inner, false, at)?);
        Ok(())
    }

    /// WebSocket at a path and everything below that has nothing of its own.
    fn websocket(&mut self, path: &str, inner: Inner, at: &str) -> Read<()> {
        let transport = self.part(inner, true, at)?;
        let path = format!("/{}", path.trim_matches('/'));
        if self.listener.paths.iter().any(|known| known.path == path) {
            return Err(Fault::new(at, format!("there is something at {path} already")));
        }
        self.listener.paths.push(PathConfig { path, deep: true, transport });
        Ok(())
    }

    /// Adds a transport, unless it is the same as another of this listener.
    fn part(&mut self, inner: Inner, websocket: bool, at: &str) -> Read<TransportIndex> {
        let given = [
            ("url", inner.url.is_some()),
            ("serializers", inner.serializers.is_some()),
            ("debug", inner.debug.is_some()),
        ];
        self.reader.without_effect(at, &given);
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
        let transport = TransportConfig { auth, origins: options.origins, null_origin: options.null_origin, cookie };
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

    /// WebSocket and long-polling are served; what else stands there is not.
    fn web(&mut self, paths: BTreeMap<String, Value>, at: &str) -> Read<()> {
        for (path, value) in paths {
            let at = format!("{at}.{path}");
            match &*type_of(&value, &at)? {
                "websocket" => self.websocket(&path, read(value, &at)?, &at)?,
                "longpoll" => {
                    let LongPoll { options, .. } = read(value, &at)?;
                    if let Some(options) = options {
                        read_longpoll(self.reader, options, &format!("{at}.options"), self.config)?;
                    }
                    let path = Some(format!("/{path}"));
                    if self.config.longpoll_path.as_ref().is_some_and(|known| Some(known) != path.as_ref()) {
                        return Err(Fault::new(&at, "long-polling on more than one path is not supported"));
                    }
                    self.config.longpoll_path = path;
                }
                other => self.reader.warn(&at, &format!("a path of the type {other:?} is not served")),
            }
        }
        Ok(())
    }

    /// Long-polling has no `auth` of its own: it has that of the first WebSocket, or of RawSocket.
    fn finish(mut self, at: &str) -> Read<()> {
        let first = self.listener.paths.first().map(|path| path.transport).or(self.listener.rawsocket);
        let Some(first) = first else {
            return Err(Fault::new(at, "has neither a WebSocket nor a RawSocket transport"));
        };
        self.listener.transport = first;
        self.config.listeners.push(self.listener);
        Ok(())
    }
}
