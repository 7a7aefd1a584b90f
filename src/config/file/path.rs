//! What is served at the paths of a web transport.

use super::bridge::{Bridge, HookOptions, SignedOptions};
use super::kinds::{Absent, kinds};
use super::options::WebSocketOptions;
use super::transport::{Inner, LongPoll, Nested, Proxied};
use super::web::{Archive, Bare, Json, Redirect, Static};

kinds! {
    /// What is served at a path and, but for `json`, below it.
    pub(super) enum Path {
        "websocket" => WebSocket(Inner<WebSocketOptions>),
        "longpoll" => LongPoll(LongPoll),
        "static" => Static(Static),
        "archive" => Archive(Archive),
        "json" => Json(Json),
        "redirect" => Redirect(Redirect),
        "nodeinfo" => NodeInfo(Bare),
        "publisher" => Publisher(Bridge<SignedOptions>),
        "caller" => Caller(Bridge<SignedOptions>),
        "webhook" => Webhook(Bridge<HookOptions>),
        "path" => Nested(Nested),
        "none" => Nothing(Bare),
        "websocket-proxy" => Proxied(Proxied),
        "catalog" => Catalog(Absent),
        "cgi" => Cgi(Absent),
        "pairme" => PairMe(Absent),
        "resource" => Resource(Absent),
        "reverseproxy" => ReverseProxy(Absent),
        "upload" => Upload(Absent),
        "wap" => Wap(Absent),
        "websocket-reverseproxy" => WebSocketReverseProxy(Absent),
        "wsgi" => Wsgi(Absent),
    }
}
