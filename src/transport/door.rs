//! What a listener serves, as its connections look it up.

use super::premises::Premises;
use crate::config::listener::TransportIndex;
use crate::config::web::{PathConfig, Service};
use crate::config::{ListenerConfig, RuntimeConfig, TransportConfig};
use crate::session::{Pages, RealmConfig};
use crate::wamp::Serializer;
use crate::web::Content;
use crate::wire::handshake::{HandshakeOptions, PathOptions, Route, Serves, Subprotocol};
use std::sync::Arc;

/// What is served by a listener.
#[derive(Debug)]
pub(super) struct Door {
    /// What decides about handshakes, and where paths lead.
    pub(super) options: HandshakeOptions,
    /// What stands at each path.
    pub(super) places: Vec<Place>,
    /// The transport of RawSocket, and how messages may be serialized; none: in all ways.
    pub(super) rawsocket: Option<(TransportIndex, Option<Vec<Serializer>>)>,
    /// Requests are logged.
    pub(super) access_log: bool,
    /// `Strict-Transport-Security`, if it is to be said.
    pub(super) hsts: Option<Arc<str>>,
    /// The path of the client for scripts, if it is served.
    pub(super) module: Option<String>,
    /// The path of the dashboard, if there is one.
    pub(super) dashboard: Option<String>,
}

/// What stands at a path.
#[derive(Debug)]
pub(super) struct Place {
    /// The way into the router, if it is one.
    pub(super) transport: TransportIndex,
    /// Browsers that come without WebSocket get a page.
    pub(super) page: bool,
    /// The realm that such a page may try, by WebSocket and in JSON; empty if there is none.
    pub(super) realm: Box<str>,
    /// What is served otherwise.
    pub(super) content: Arc<Content>,
    /// Which pages may use it, if it publishes, calls or tells events itself.
    pub(super) pages: Pages,
}

impl Place {
    /// True if it has sessions of its own, which do what requests say: pages of anybody could send some.
    pub(super) fn has_sessions(&self) -> bool {
        matches!(&*self.content, Content::Bridge(_) | Content::Events(_))
    }
}

/// What clients speak that name no subprotocol, if they may.
fn assumed(transport: &TransportConfig) -> Option<Subprotocol> {
    (transport.connection.assumes_json && transport.speaks_json()).then_some(TransportConfig::JSON)
}

/// Which pages may use a path that has sessions of its own, which nobody sees where their requests come from.
fn pages(config: &RuntimeConfig, path: &PathConfig) -> Pages {
    let Some(realm) = path.service.realm() else { return Pages::Any };
    let Some(transport) = path.service.transport() else { return Pages::Any };
    let reach = &config.transports[usize::from(transport)].auth.reach;
    let known = config.realms.iter().find(|known| *known.name == *realm && known.is_reached(reach));
    known.map_or(Pages::Any, |realm| realm.pages)
}

impl Door {
    /// The doors of all listeners.
    pub(super) fn all(premises: &Premises) -> Vec<Door> {
        let config = &premises.config;
        let contents = premises.contents.iter();
        config
            .listeners
            .iter()
            .zip(contents)
            .map(|(listener, contents)| Door::new(config, listener, contents))
            .collect()
    }

    fn new(config: &RuntimeConfig, listener: &ListenerConfig, contents: &[Arc<Content>]) -> Door {
        let transport = |known: &PathConfig| {
            let at = known.service.transport().unwrap_or(listener.transport);
            &config.transports[usize::from(at)]
        };
        let path = |known: &PathConfig| PathOptions {
            path: known.path.clone(),
            deep: known.deep,
            serves: match known.service {
                Service::WebSocket(at) => {
                    let transport = &config.transports[usize::from(at)];
                    Serves::WebSocket(transport.origin_rule(), transport.serializers.clone())
                }
                Service::Echo => Serves::Echo,
                Service::LongPoll(_) => Serves::LongPoll,
                Service::Relay(_) => Serves::Relay,
                _ => Serves::Pages,
            },
            deflate: transport(known).connection.compression.window(),
            assumed: assumed(transport(known)),
        };
        let realm = |service: &Service| {
            let Service::WebSocket(at) = service else { return Box::default() };
            let transport = &config.transports[usize::from(*at)];
            let reach = &transport.auth.reach;
            let open = |realm: &&RealmConfig| !realm.closed && reach.leads_to(&realm.namespace, &realm.name);
            let first = config.realms.iter().find(open).filter(|_| transport.speaks_json());
            first.map(|realm| Box::from(&*realm.name)).unwrap_or_default()
        };
        let place = |(index, known): (usize, &PathConfig)| Place {
            transport: known.service.transport().unwrap_or(listener.transport),
            page: !transport(known).connection.no_page,
            realm: realm(&known.service),
            content: contents.get(index).cloned().unwrap_or_else(|| Arc::new(Content::Nothing)),
            pages: pages(config, known),
        };
        let path_of = |name: &str| {
            let found = listener.paths.iter().find(|path| path.service.name() == name);
            found.map(|path| path.path.clone())
        };
        let options = HandshakeOptions {
            paths: listener.paths.iter().map(path).collect(),
            forwarded: (!listener.forwarded.is_empty()).then_some(listener.forwarded_header),
            hosts: config.management.as_ref().map_or_else(Vec::new, |management| management.hosts.clone()),
            health_path: config.health_path.clone(),
            metrics_path: config.metrics_path.clone(),
            ready_path: config.health_ready_path.clone(),
            ..HandshakeOptions::default()
        };
        let hsts = listener.web.hsts.filter(|_| listener.tls.is_some());
        Door {
            options,
            places: listener.paths.iter().enumerate().map(place).collect(),
            rawsocket: listener.rawsocket.map(|at| {
                let some = config.transports[usize::from(at)].serializers.as_ref();
                (at, some.map(|some| some.iter().map(|known| known.serializer).collect()))
            }),
            access_log: listener.web.access_log,
            hsts: hsts.map(|seconds| format!("max-age={seconds}").into()),
            module: path_of("client"),
            dashboard: path_of("dashboard"),
        }
    }

    /// A request as it may be logged: the ids of transports are secrets.
    pub(super) fn shown(&self, method: &str, path: &str) -> String {
        let route = self.options.route(path);
        match &route {
            Route::Served { index, names, own } if self.polls(&route) && names.len() > own + 1 => {
                let base = self.options.paths[*index].path.trim_end_matches('/');
                let last = names.last().map_or("", |name| &**name);
                format!("{method} {base}/.../{last}")
            }
            _ => format!("{method} {path}"),
        }
    }

    /// A request of which no more than these octets are known, as it may be logged.
    pub(super) fn shown_raw(&self, octets: &[u8]) -> String {
        let line = octets.split(|octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
        let text = std::str::from_utf8(line).unwrap_or_default();
        let mut words = text.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(method), Some(target), Some(_), None) if !text.chars().any(char::is_control) => {
                self.shown(method, target.split('?').next().unwrap_or_default())
            }
            _ => "what is no request".into(),
        }
    }

    /// True if requests are answered by others, those that want WebSocket too.
    pub(super) fn relays(&self, route: &Route<'_>) -> bool {
        matches!(route, Route::Served { index, .. } if self.options.paths[*index].serves == Serves::Relay)
    }

    /// True if a request that wants WebSocket is one of long-polling nevertheless.
    pub(super) fn polls(&self, route: &Route<'_>) -> bool {
        matches!(route, Route::Served { index, .. } if self.options.paths[*index].serves == Serves::LongPoll)
    }
}
