//! Sessions for requests that become publications and calls: one for each way in and shard, opened by the first
//! request. The core knows them as connections like any other; what it says to them becomes responses.

use super::connection::{Connection, Phase};
use super::exchange::{Coming, Forwarded, Options, Target, Verdict, refuse};
use super::longpoll::{ReplyTo, Side};
use super::reactor::{Reactor, conn_id};
use crate::auth::Peer;
use crate::config::bridge::{Action, BridgeConfig};
use crate::config::listener::TransportIndex;
use crate::router::Link;
use crate::wamp::Serializer;
use crate::web::Content;
use crate::web::bridge::{Answer, Asked, Origin, Said, admit, ended, finish, message, said};
use crate::wire::http::{TEXT, response_head};
use crate::wire::request::{self, BodyReader, RequestHead};
use crate::wire::{Frame, Framing};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The methods that are served.
const METHODS: &str = "POST, PUT, OPTIONS";

/// A request whose body is coming.
#[derive(Debug)]
pub(super) struct Bridged {
    content: Arc<Content>,
    transport: TransportIndex,
    asked: Asked,
    reply: BridgeReply,
    forwarded: Forwarded,
}

/// What a response has to know of its request.
#[derive(Clone, Debug)]
struct BridgeReply {
    content: Arc<Content>,
    close: bool,
    hsts: Option<Arc<str>>,
}

impl BridgeReply {
    fn frame(&self, answer: &Answer) -> Frame {
        let hook = matches!(&*self.content, Content::Bridge(bridge) if matches!(bridge.action, Action::Hook { .. }));
        let kind = if hook { TEXT } else { "application/json" };
        let mut headers = vec![("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];
        headers.extend(self.hsts.as_deref().map(|hsts| ("Strict-Transport-Security", hsts)));
        if self.content.is_cross_origin() {
            headers.push(("Access-Control-Allow-Origin", "*"));
        }
        if answer.status == 405 {
            headers.push(("Allow", METHODS));
        }
        let mut response = response_head(answer.status, &headers, Some((kind, answer.body.len())), self.close);
        response.extend_from_slice(answer.body.as_bytes());
        Frame::new(response.into(), bytes::Bytes::new())
    }

    fn preflight(&self, wanted: Option<&str>) -> Frame {
        let list = |text: &&str| text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        let permission = [
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", wanted.filter(list).unwrap_or("Content-Type")),
        ];
        let headers = if self.content.is_cross_origin() { &permission[..] } else { &[("Allow", METHODS)] };
        Frame::whole(&response_head(204, headers, None, self.close))
    }
}

/// Decides about a request for a bridge, whose head this is in octets.
pub(super) fn judge(
    (head, octets): (&RequestHead<'_>, &[u8]),
    (content, config): (&Arc<Content>, &BridgeConfig),
    (close, hsts): (bool, Option<Arc<str>>),
    options: &Options,
) -> Verdict {
    let reply = BridgeReply { content: content.clone(), close, hsts };
    if head.method == "OPTIONS" {
        return Verdict::Answer { response: reply.preflight(head.wanted_headers), close };
    }
    if head.method != "POST" && head.method != "PUT" {
        let body = json!({"error": "only POST and PUT are served here", "args": [], "kwargs": {}}).to_string();
        return Verdict::Answer { response: reply.frame(&Answer { status: 405, body }), close };
    }
    let most = config.body_bytes_max.unwrap_or(usize::MAX).min(options.message_bytes_max);
    // The body is read: the connection goes on if the client likes.
    let reply = BridgeReply { close: !head.keep_alive, ..reply };
    let mut plain = ReplyTo::to_nobody();
    plain.close = reply.close;
    match BodyReader::new(head.body, most) {
        Ok(reader) => {
            let asked = Asked { query: head.query.map(Into::into), headers: request::headers(octets) };
            let forwarded = head.forwarded.iter().map(|(header, value)| (*header, (*value).to_owned())).collect();
            let transport = config.transport;
            let bridged = Bridged { content: content.clone(), transport, asked, reply, forwarded };
            let coming = Coming { target: Target::Bridge(Box::new(bridged)), reply: plain, reader };
            Verdict::Read(Box::new(coming), head.expects_continue)
        }
        Err(refusal) => refuse(refusal, plain),
    }
}

/// The session of one way in on one shard.
#[derive(Debug)]
pub(in crate::transport) struct Bridge {
    /// Never set.
    pub(super) alarm: Option<Duration>,
    transport: TransportIndex,
    welcome: bool,
    /// The id of the last request to the core.
    last: u64,
    /// Who waits for answers.
    pending: HashMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    socket: (usize, u32),
    reply: BridgeReply,
}

impl Reactor {
    /// A complete request for a bridge.
    pub(super) fn bridge(&mut self, key: usize, bridged: Bridged, body: &[u8]) {
        let Bridged { content, transport, asked, mut reply, forwarded } = bridged;
        let Content::Bridge(config) = &*content else { return };
        reply.close |= self.leaving();
        let checked = admit(config, &asked, body, self.origin(key, &forwarded));
        let session = match checked {
            Ok(()) => self.bridge_session(key, transport, &config.realm).ok_or_else(ended),
            Err(answer) => Err(answer),
        };
        let sent = session.and_then(|session| {
            self.count_message(key);
            let settings = &self.settings.premises.config;
            let (timeout, depth) = (settings.web_call_timeout, settings.limits.depth_max);
            let id = self.bridge_at(session).map_or(0, |bridge| bridge.last) + 1;
            Ok((session, id, message(config, &asked, body, (id, timeout, depth))?))
        });
        let (session, id, message) = match sent {
            Ok(sent) => sent,
            Err(answer) => return self.respond(key, [reply.frame(&answer)], reply.close),
        };
        let socket = (key, self.connections[key].serial);
        if let Some(bridge) = self.bridge_at(session) {
            bridge.last = id;
            bridge.pending.insert(id, Waiting { socket, reply });
        }
        self.gauges.came(&self.connections[session], message.len());
        self.core.receive(self.clock, conn_id(session), message.as_bytes());
        self.settle();
    }

    fn origin(&self, key: usize, forwarded: &Forwarded) -> Origin {
        let peer = &self.connections[key].peer;
        let entrance = &self.settings.premises.entrances[usize::from(peer.listener)];
        let values = forwarded.iter().filter(|(header, _)| *header == entrance.forwarded_header());
        let values: Vec<String> = values.map(|(_, value)| value.clone()).collect();
        Origin {
            address: entrance.client(peer.address, &values).or(peer.address),
            secure: entrance.tls.is_some(),
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    fn bridge_at(&mut self, key: usize) -> Option<&mut Bridge> {
        match self.connections.get_mut(key)?.longpoll.as_deref_mut()? {
            Side::Bridge(bridge) => Some(bridge),
            _ => None,
        }
    }

    /// The session of a way in, opened if there is none. None: the router does not let it in.
    fn bridge_session(&mut self, socket: usize, transport: TransportIndex, realm: &str) -> Option<usize> {
        let known = self.longpoll.bridges.get(&transport).copied();
        if let Some(key) = known.filter(|key| self.connections[*key].phase == Phase::Open) {
            return Some(key);
        }
        if self.shutting_down {
            return None;
        }
        let listener = self.connections[socket].peer.listener;
        let peer = Peer { transport, listener, label: "http bridge".into(), ..Peer::default() };
        let bridge = Bridge { alarm: None, transport, welcome: false, last: 0, pending: HashMap::new() };
        let serial = self.new_serial();
        let side = Side::Bridge(Box::new(bridge));
        let key = self.connections.insert(Connection::without_socket(side, Arc::new(peer), serial));
        self.longpoll.bridges.insert(transport, key);
        self.settings.loads.add(usize::from(self.seat.index));
        self.open(key, Link { serializer: Serializer::Json, framing: Framing::Bare, message_max: usize::MAX });
        let roles = json!({"publisher": {}, "caller": {"features": {"call_timeout": true}}});
        let hello = json!([1, realm, {"roles": roles, "authmethods": ["anonymous"]}]).to_string();
        self.core.receive(self.clock, conn_id(key), hello.as_bytes());
        self.settle();
        self.hear(key);
        self.settle();
        let welcome = self.bridge_at(key).is_some_and(|bridge| bridge.welcome);
        if !welcome {
            tracing::warn!(realm, "a path that publishes or calls cannot join its realm");
            if self.connections[key].phase != Phase::Gone {
                self.lose(key, "not welcome");
            }
        }
        welcome.then_some(key)
    }

    /// Acts on what the core has said to a bridge. False if it is none.
    pub(super) fn hear(&mut self, key: usize) -> bool {
        if self.bridge_at(key).is_none() {
            return false;
        }
        let mut over = self.connections[key].phase == Phase::Closing;
        for frame in self.connections[key].out.take_whole(usize::MAX) {
            match said(&frame.parts().concat()) {
                Said::Welcome => {
                    if let Some(bridge) = self.bridge_at(key) {
                        bridge.welcome = true;
                    }
                }
                Said::Over => over = true,
                Said::Other => {}
                Said::Answer(id, answer, right) => {
                    let Some(waiting) = self.bridge_at(key).and_then(|bridge| bridge.pending.remove(&id)) else {
                        continue;
                    };
                    self.answer_bridged(&waiting, answer, right);
                }
            }
        }
        if over && self.connections[key].phase != Phase::Gone {
            self.drop_socket(key);
        }
        true
    }

    /// Ends the sessions of ways in that no path leads to any longer.
    pub(super) fn reform_bridges(&mut self) {
        let listeners = self.settings.premises.config.listeners.iter().filter(|listener| !listener.closed);
        let paths = listeners.flat_map(|listener| &listener.paths);
        let used: Vec<TransportIndex> = paths.filter_map(|path| path.service.transport()).collect();
        let unused = self.longpoll.bridges.iter().filter(|(transport, _)| !used.contains(transport));
        let unused: Vec<usize> = unused.map(|(_, key)| *key).collect();
        unused.into_iter().for_each(|key| self.lose(key, "no path leads to it any longer"));
    }

    fn answer_bridged(&mut self, waiting: &Waiting, answer: Answer, right: bool) {
        let Waiting { socket, reply } = waiting;
        let Content::Bridge(config) = &*reply.content else { return };
        let frame = reply.frame(&finish(&config.action, answer, right));
        self.respond_late(*socket, [frame], reply.close);
    }

    /// A bridge is about to be dropped: nobody waits any longer.
    pub(super) fn abandon_bridge(&mut self, key: usize, bridge: Bridge) {
        if self.longpoll.bridges.get(&bridge.transport) == Some(&key) {
            self.longpoll.bridges.remove(&bridge.transport);
        }
        for waiting in bridge.pending.values() {
            self.answer_bridged(waiting, ended(), false);
        }
    }
}
