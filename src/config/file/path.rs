//! What is served at the paths of a web transport.

use super::app::{Resource, Wsgi};
use super::bridge::{Bridge, CallerOptions, HookOptions, PublisherOptions};
use super::events::Events;
use super::kinds::{Absent, kinds};
use super::options::WebSocketOptions;
use super::relay::{HttpServer, Script, WebSocketServer};
use super::transport::{Inner, LongPoll, Nested, Proxied};
use super::web::{Archive, Bare, Dashboard, Json, Module, Redirect, Static};

kinds! {
    /// What is served at a path and, but for `json`, below it.
    pub(super) enum Path {
        "websocket" => WebSocket(Inner<WebSocketOptions>),
        "longpoll" => LongPoll(LongPoll),
        "static" => Static(Static),
        "archive" => Archive(Archive),
        "json" => Json(Json),
        "redirect" => Redirect(Redirect),
        "client" => Client(Module),
        "dashboard" => Dashboard(Dashboard),
        "nodeinfo" => NodeInfo(Bare),
        "publisher" => Publisher(Bridge<PublisherOptions>),
        "caller" => Caller(Bridge<CallerOptions>),
        "webhook" => Webhook(Bridge<HookOptions>),
        "eventsource" => Events(Events),
        "reverseproxy" => ReverseProxy(HttpServer),
        "websocket-reverseproxy" => WebSocketReverseProxy(WebSocketServer),
        "cgi" => Cgi(Script),
        "wsgi" => Wsgi(Wsgi),
        "path" => Nested(Nested),
        "none" => Nothing(Bare),
        "websocket-proxy" => Proxied(Proxied),
        "catalog" => Catalog(Absent),
        "pairme" => PairMe(Absent),
        "resource" => Resource(Resource),
        "upload" => Upload(Absent),
        "wap" => Wap(Absent),
    }
}
