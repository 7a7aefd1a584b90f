//! Transports and where they listen.

use super::auth::{Methods, read_auth};
use super::cookie::{Cookie, read_cookie};
use super::endpoint::{Endpoint, is_any_port, overlap, read_endpoint};
use super::events::read_events;
use super::kinds::{Absent, kinds};
use super::options::{LongPollOptions, Own, RawSocketOptions, WebSocketOptions};
use super::path::Path;
use super::schema::OWN;
use super::web::{WebOptions, path_of, read_service, read_web_options};
use super::{Fault, Read, Reader, asks, testee};
use crate::config::app::AppConfig;
use crate::config::bridge::BridgeConfig;
use crate::config::connection::ConnectionConfig;
use crate::config::listener::TransportIndex;
use crate::config::relay::RelayConfig;
use crate::config::web::{PathConfig, Service};
use crate::config::{ListenerConfig, RuntimeConfig, TransportConfig};
use crate::wire::handshake::Subprotocol;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

kinds! {
    /// A way into the router, or to pages.
    pub(super) enum Transport {
        "websocket" => WebSocket(Single<WebSocketOptions>),
        "rawsocket" => RawSocket(Single<RawSocketOptions>),
        "universal" => Universal(Universal),
        "web" => Web(WebTransport),
        "websocket.testee" => Testee(testee::Transport),
        "mqtt" => Mqtt(Absent),
        "flashpolicy" => FlashPolicy(Absent),
        "stream.testee" => StreamTestee(Absent),
    }
}

/// A transport that serves one protocol at an endpoint of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Single<O> {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "transports go by their addresses")]
    id: Option<String>,
    /// Where it listens.
    #[schemars(with = "Endpoint")]
    endpoint: Value,
    /// By which URL clients come; they may come by any.
    #[allow(dead_code, reason = "clients may come by any")]
    url: Option<Value>,
    /// What clients may speak: of `json`, `msgpack`, `cbor` and `ubjson`, over WebSocket each also with `.batched`. Without
    /// it, all.
    #[schemars(extend("examples" = [["msgpack", "json"]]))]
    serializers: Option<Vec<String>>,
    /// Limits and times of its connections.
    options: Option<O>,
    /// How clients say who they are. Without it, everybody is `anonymous`.
    #[schemars(with = "Option<Methods>")]
    auth: Option<Value>,
    /// The cookie by which browsers are known again.
    #[schemars(with = "Option<Cookie>")]
    cookie: Option<Value>,
    /// Does nothing, as in Crossbar.io: what is logged is said by levels.
    #[schemars(extend("deprecated" = true))]
    debug: Option<Value>,
}

/// WebSocket, RawSocket and pages at one endpoint.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Universal {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "transports go by their addresses")]
    id: Option<String>,
    /// Where it listens.
    #[schemars(with = "Endpoint")]
    endpoint: Value,
    /// RawSocket; without it, it is refused.
    rawsocket: Option<Inner<RawSocketOptions>>,
    /// WebSocket, by its paths.
    websocket: Option<BTreeMap<String, Inner<WebSocketOptions>>>,
    /// Pages and files.
    web: Option<Web>,
    /// MQTT. Has no effect: it is not spoken.
    #[schemars(extend("deprecated" = true))]
    mqtt: Option<Value>,
    /// Has no effect: options stand where they belong, in the parts.
    #[schemars(extend("deprecated" = true))]
    options: Option<Value>,
    /// Does nothing, as in Crossbar.io: what is logged is said by levels.
    #[schemars(extend("deprecated" = true))]
    debug: Option<Value>,
}

/// Pages and files, and WebSocket and long-polling among them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebTransport {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "transports go by their addresses")]
    id: Option<String>,
    /// Where it listens.
    #[schemars(with = "Endpoint")]
    endpoint: Value,
    /// What is served where; `/` is for what has nothing of its own.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Path>")]
    paths: BTreeMap<String, Value>,
    /// How pages are served.
    #[schemars(with = "Option<WebOptions>")]
    options: Option<Value>,
    /// Does nothing, as in Crossbar.io: what is logged is said by levels.
    #[schemars(extend("deprecated" = true))]
    debug: Option<Value>,
}

/// A transport inside another, without an endpoint of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PartWith{O}")]
pub(super) struct Inner<O> {
    /// What it is, which the place says as well.
    #[allow(dead_code, reason = "the place says it")]
    r#type: Option<String>,
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// By which URL clients come; they may come by any.
    #[allow(dead_code, reason = "clients may come by any")]
    url: Option<Value>,
    /// What clients may speak: of `json`, `msgpack`, `cbor` and `ubjson`, over WebSocket each also with `.batched`. Without
    /// it, all.
    #[schemars(extend("examples" = [["msgpack", "json"]]))]
    serializers: Option<Vec<String>>,
    /// Limits and times of its connections.
    options: Option<O>,
    /// How clients say who they are. Without it, everybody is `anonymous`.
    #[schemars(with = "Option<Methods>")]
    auth: Option<Value>,
    /// The cookie by which browsers are known again.
    #[schemars(with = "Option<Cookie>")]
    cookie: Option<Value>,
    /// Does nothing, as in Crossbar.io: what is logged is said by levels.
    #[schemars(extend("deprecated" = true))]
    debug: Option<Value>,
}

/// WebSocket of a proxy of the older form.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Proxied {
    /// Endpoints of router workers of this file, to whose realms it leads.
    #[allow(dead_code, reason = "where they lead to has been found out already")]
    backends: Option<Value>,
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// By which URL clients come; they may come by any.
    #[allow(dead_code, reason = "clients may come by any")]
    url: Option<Value>,
    /// What clients may speak. Without it, all.
    serializers: Option<Vec<String>>,
    /// Limits and times of its connections.
    options: Option<WebSocketOptions>,
    /// How clients say who they are. Without it, everybody is `anonymous`.
    #[schemars(with = "Option<Methods>")]
    auth: Option<Value>,
    /// The cookie by which browsers are known again.
    #[schemars(with = "Option<Cookie>")]
    cookie: Option<Value>,
    /// Does nothing, as in Crossbar.io: what is logged is said by levels.
    #[schemars(extend("deprecated" = true))]
    debug: Option<Value>,
}

/// Long-polling: `open` and so on below the path.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LongPoll {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// Its times.
    options: Option<LongPollOptions>,
    /// How clients say who they are. Without it, as those of the first WebSocket of the transport, or of RawSocket.
    #[schemars(with = "Option<Methods>", extend("x-crossbar" = OWN))]
    auth: Option<Value>,
}

/// Paths inside a path.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nested {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// What is served where, below this path.
    #[schemars(with = "BTreeMap<String, Path>")]
    paths: BTreeMap<String, Value>,
}

/// Pages and files of a universal transport.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Web {
    /// What is served where; `/` is for what has nothing of its own.
    #[schemars(with = "BTreeMap<String, Path>")]
    paths: BTreeMap<String, Value>,
    /// How pages are served.
    #[schemars(with = "Option<WebOptions>")]
    options: Option<Value>,
}

/// A part of a transport, wherever it stands.
#[derive(Default)]
struct Part<O> {
    serializers: Option<Vec<String>>,
    options: Option<O>,
    auth: Option<Value>,
    cookie: Option<Value>,
    debug: Option<Value>,
}

impl<O> From<Inner<O>> for Part<O> {
    fn from(inner: Inner<O>) -> Part<O> {
        let Inner { serializers, options, auth, cookie, debug, .. } = inner;
        Part { serializers, options, auth, cookie, debug }
    }
}

impl<O> From<Single<O>> for (Value, Part<O>) {
    fn from(single: Single<O>) -> (Value, Part<O>) {
        let Single { endpoint, serializers, options, auth, cookie, debug, .. } = single;
        (endpoint, Part { serializers, options, auth, cookie, debug })
    }
}

/// Options of a part.
trait PartOptions: Sized {
    /// Over WebSocket.
    const WEBSOCKET: bool;

    fn read(self, reader: &mut Reader, at: &str) -> Read<Own>;
}

impl PartOptions for WebSocketOptions {
    const WEBSOCKET: bool = true;

    fn read(self, reader: &mut Reader, at: &str) -> Read<Own> {
        WebSocketOptions::read(self, reader, at)
    }
}

impl PartOptions for RawSocketOptions {
    const WEBSOCKET: bool = false;

    fn read(self, reader: &mut Reader, at: &str) -> Read<Own> {
        RawSocketOptions::read(self, reader, at)
    }
}

pub(super) fn read_transport(reader: &mut Reader, value: Value, at: &str, config: &mut RuntimeConfig) -> Read<()> {
    match Transport::read(value, at)? {
        Transport::WebSocket(single) => {
            let (endpoint, part) = single.into();
            let mut parts = Parts::begin(reader, endpoint, at, config)?;
            parts.websocket("/".into(), part, at)?;
            parts.finish(at)
        }
        Transport::RawSocket(single) => {
            let (endpoint, part) = single.into();
            let mut parts = Parts::begin(reader, endpoint, at, config)?;
            parts.rawsocket(part, at)?;
            parts.finish(at)
        }
        Transport::Universal(Universal { endpoint, rawsocket, websocket, web, mqtt, options, debug, .. }) => {
            let mut parts = Parts::begin(reader, endpoint, at, config)?;
            parts.reader.note_debug(at, debug.as_ref());
            let given = [("mqtt", asks(mqtt.as_ref())), ("options", asks(options.as_ref()))];
            parts.reader.without_effect(at, &given);
            if let Some(inner) = rawsocket {
                parts.rawsocket(inner.into(), &format!("{at}.rawsocket"))?;
            }
            for (path, inner) in websocket.unwrap_or_default() {
                let at = format!("{at}.websocket.{path}");
                parts.websocket(path_of("/", &path, &at)?, inner.into(), &at)?;
            }
            parts.pages(web.unwrap_or_default(), &format!("{at}.web"))?;
            parts.finish(at)
        }
        Transport::Web(WebTransport { endpoint, paths, options, debug, .. }) => {
            let mut parts = Parts::begin(reader, endpoint, at, config)?;
            parts.reader.note_debug(at, debug.as_ref());
            parts.pages(Web { paths, options }, at)?;
            parts.finish(at)
        }
        Transport::Testee(transport) => testee::read_testee(reader, transport, at, config),
        Transport::Mqtt(_) => not_served(reader, "mqtt", at),
        Transport::FlashPolicy(_) => not_served(reader, "flashpolicy", at),
        Transport::StreamTestee(_) => not_served(reader, "stream.testee", at),
    }
}

/// More paths for the listener that another worker has at an endpoint.
pub(super) fn read_more(
    reader: &mut Reader,
    endpoint: &Value,
    paths: Map<String, Value>,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    let address = read_endpoint(&mut Reader::default(), endpoint.clone(), &format!("{at}.endpoint"))?.address;
    let there = config.listeners.iter().position(|known| known.address == address);
    let Some(place) = there else { return Err(Fault::new(at, "shares its port with nobody")) };
    let listener = config.listeners.remove(place);
    let own = listener.transports().collect();
    let mut parts = Parts { reader, config: &mut *config, listener, own, without_auth: Vec::new() };
    parts.web("/", paths.into_iter().collect(), &format!("{at}.paths"))?;
    parts.finish(at)?;
    // It keeps its place.
    config.listeners[place..].rotate_right(1);
    Ok(())
}

fn not_served(reader: &mut Reader, kind: &str, at: &str) -> Read<()> {
    reader.warn(at, &format!("is not served: there is no {kind}"));
    Ok(())
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
    /// Paths of long-polling that have no `auth` of their own, with their times.
    without_auth: Vec<(usize, ConnectionConfig)>,
}

impl Parts<'_> {
    /// A listener without any.
    fn begin<'a>(reader: &'a mut Reader, endpoint: Value, at: &str, config: &'a mut RuntimeConfig) -> Read<Parts<'a>> {
        let mut listener = read_endpoint(reader, endpoint, &format!("{at}.endpoint"))?;
        let address = &listener.address;
        if config.listeners.iter().any(|known| known.address == *address && !is_any_port(address)) {
            let text = format!(
                "another transport listens on {address} already; workers can share it for the same transport, or for those of \
                 the type \"web\" with the same endpoint, which is `shared`"
            );
            return Err(Fault::new(&format!("{at}.endpoint"), text));
        }
        if let Some(known) = config.listeners.iter().find(|known| overlap(&known.address, address)) {
            let text = format!("{address} and {}, where another transport listens, exclude each other", known.address);
            return Err(Fault::new(&format!("{at}.endpoint"), text));
        }
        listener.paths.clear();
        listener.rawsocket = None;
        Ok(Parts { reader, config, listener, own: Vec::new(), without_auth: Vec::new() })
    }

    fn rawsocket(&mut self, part: Part<RawSocketOptions>, at: &str) -> Read<()> {
        self.listener.rawsocket = Some(self.part(part, at)?);
        Ok(())
    }

    /// WebSocket at a path and everything below that has nothing of its own.
    fn websocket(&mut self, path: String, part: Part<WebSocketOptions>, at: &str) -> Read<()> {
        let transport = self.part(part, at)?;
        self.add(PathConfig::websocket(&path, true, transport), at)
    }

    /// Pages and files.
    fn pages(&mut self, web: Web, at: &str) -> Read<()> {
        if let Some(options) = web.options {
            let secure = self.listener.tls.is_some();
            self.listener.web = read_web_options(self.reader, options, secure, &format!("{at}.options"))?;
        }
        self.web("/", web.paths, &format!("{at}.paths"))
    }

    /// Reads a part and adds its transport.
    fn part<O: PartOptions>(&mut self, part: Part<O>, at: &str) -> Read<TransportIndex> {
        self.reader.note_debug(at, part.debug.as_ref());
        let serializers =
            part.serializers.map(|names| read_serializers(self.reader, names, O::WEBSOCKET, at)).transpose()?;
        let own = part.options.map(|options| options.read(self.reader, &format!("{at}.options")));
        let own = own.transpose()?.unwrap_or_default();
        let mut auth = read_auth(self.reader, part.auth, &format!("{at}.auth"))?;
        auth.reach = self.reader.reach.clone();
        let secure = self.listener.tls.is_some();
        let cookie = part.cookie.map(|cookie| read_cookie(self.reader, cookie, secure, &format!("{at}.cookie")));
        let cookie = cookie.transpose()?;
        if auth.cookie && (cookie.is_none() || !O::WEBSOCKET) {
            let text = "needs a `cookie` beside `auth`, and WebSocket";
            return Err(Fault::new(&format!("{at}.auth.cookie"), text));
        }
        if auth.tls.is_some() && self.listener.tls.as_ref().is_none_or(|tls| tls.client_authorities.is_empty()) {
            return Err(Fault::new(&format!("{at}.auth.tls"), "needs `ca_certificates` in the `tls` of the endpoint"));
        }
        let (origins, null_origin) = (own.origins, own.null_origin);
        let transport = TransportConfig { auth, origins, null_origin, serializers, cookie, connection: own.connection };
        self.transport(transport, at)
    }

    /// Adds a transport. Each place has its own, also if it is the same as another now: sessions are judged by theirs when a
    /// reload makes them different. But browsers are known again at all places that give the same cookie.
    fn transport(&mut self, transport: TransportConfig, at: &str) -> Read<TransportIndex> {
        let known = self.own.iter().find(|index| self.config.transports[usize::from(**index)] == transport);
        if let Some(index) = known.filter(|_| transport.cookie.is_some()) {
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
            match Path::read(value, &at)? {
                Path::WebSocket(inner) => self.websocket(path, inner.into(), &at)?,
                // Its back ends are in this process.
                Path::Proxied(proxied) => {
                    let Proxied { serializers, options, auth, cookie, debug, .. } = proxied;
                    self.websocket(path, Part { serializers, options, auth, cookie, debug }, &at)?;
                }
                Path::LongPoll(inner) => self.longpoll(path, inner, &at)?,
                Path::Nested(Nested { paths, .. }) => self.web(&path, paths, &format!("{at}.paths"))?,
                Path::Publisher(bridge) => self.bridge(path, bridge.read_publisher(&at)?, &at)?,
                Path::Caller(bridge) => self.bridge(path, bridge.read_caller(&at)?, &at)?,
                Path::Webhook(bridge) => self.bridge(path, bridge.read_hook(&at)?, &at)?,
                Path::Wsgi(app) => self.app(path, |reader, place| app.read(reader, place, &at), &at)?,
                Path::Resource(app) => self.app(path, |reader, place| app.read(reader, place, &at), &at)?,
                Path::Events(events) => {
                    let (mut events, auth, cookie) = read_events(events, &at)?;
                    // Where browsers are known again is decided for WebSocket, and so it is here.
                    let part = Part { auth: Some(auth), cookie, ..Part::<WebSocketOptions>::default() };
                    events.transport = self.part(part, &at)?;
                    self.add(PathConfig { path, deep: false, service: Service::Events(Box::new(events)) }, &at)?;
                }
                other => {
                    let (deep, service) = read_service(self.reader, other, &at)?;
                    self.add(PathConfig { path, deep, service }, &at)?;
                }
            }
        }
        Ok(())
    }

    /// An application that is served from a process of its own.
    fn app(
        &mut self,
        path: String,
        read: impl FnOnce(&Reader, (&str, &str)) -> Read<(AppConfig, RelayConfig)>,
        at: &str,
    ) -> Read<()> {
        let listener = self.listener.address.to_string();
        let (app, relay) = read(self.reader, (&listener, &path))?;
        self.config.apps.push(app);
        self.add(PathConfig { path, deep: true, service: Service::Relay(Box::new(relay)) }, at)
    }

    /// The sessions of a bridge have a way in of their own.
    fn bridge(&mut self, path: String, (mut bridge, auth): (BridgeConfig, Value), at: &str) -> Read<()> {
        bridge.transport = self.part(Part { auth: Some(auth), ..Part::<RawSocketOptions>::default() }, at)?;
        self.add(PathConfig { path, deep: true, service: Service::Bridge(Box::new(bridge)) }, at)
    }

    fn longpoll(&mut self, path: String, inner: LongPoll, at: &str) -> Read<()> {
        let LongPoll { options, auth, .. } = inner;
        let mut times = ConnectionConfig::default();
        if let Some(options) = options {
            options.read(self.reader, &format!("{at}.options"), &mut times)?;
        }
        let transport = match auth {
            Some(auth) => {
                let first = self.part(Part { auth: Some(auth), ..Part::<RawSocketOptions>::default() }, at)?;
                self.with_times(first, &times, at)?
            }
            None => {
                self.without_auth.push((self.listener.paths.len(), times));
                0
            }
        };
        self.add(PathConfig::longpoll(&path, transport), at)
    }

    /// A transport as another one, but with these times of long-polling.
    fn with_times(&mut self, like: TransportIndex, times: &ConnectionConfig, at: &str) -> Read<TransportIndex> {
        if (times.receive_timeout, times.idle_timeout) == (None, None) {
            return Ok(like);
        }
        let mut transport = self.config.transports[usize::from(like)].clone();
        transport.connection.receive_timeout = times.receive_timeout;
        transport.connection.idle_timeout = times.idle_timeout;
        // Nobody is known by a cookie over long-polling.
        transport.cookie = None;
        transport.auth.cookie = false;
        self.transport(transport, at)
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
            None => self.part(Part::<RawSocketOptions>::default(), at)?,
        };
        for (index, times) in std::mem::take(&mut self.without_auth) {
            self.listener.paths[index].service = Service::LongPoll(self.with_times(first, &times, at)?);
        }
        self.listener.transport = first;
        self.config.listeners.push(self.listener);
        Ok(())
    }
}
