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
use crate::web::bridge::{
    Answer, Asked, Origin, Said, admit, batch, ended, failure, finish, message, repeat_key, said, together, undone,
};
use crate::web::date;
use crate::web::repeats::{Claim, Claimed, Room};
use crate::wire::http::{JSON, TEXT, response_head};
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
    /// It is the answer to an earlier request with the same key.
    repeated: bool,
}

impl BridgeReply {
    fn frame(&self, answer: &Answer) -> Frame {
        let hook = matches!(&*self.content, Content::Bridge(bridge) if matches!(bridge.action, Action::Hook { .. }));
        // What is configured is a text; what is wrong with a request is told as everywhere.
        let kind = if hook && matches!(answer.status, 202 | 500) { TEXT } else { JSON };
        let mut headers = vec![("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];
        let date = date::stamp();
        headers.extend(date.as_deref().map(|date| ("Date", date)));
        headers.extend(self.hsts.as_deref().map(|hsts| ("Strict-Transport-Security", hsts)));
        if self.content.is_cross_origin() {
            headers.push(("Access-Control-Allow-Origin", "*"));
            // Other headers scripts may not read.
            headers.push(("Access-Control-Expose-Headers", "Idempotent-Replayed"));
        }
        if self.repeated {
            headers.push(("Idempotent-Replayed", "true"));
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
        let allow = [("Allow", METHODS)];
        let mut headers = if self.content.is_cross_origin() { permission.to_vec() } else { allow.to_vec() };
        let date = date::stamp();
        headers.extend(date.as_deref().map(|date| ("Date", date)));
        Frame::whole(&response_head(204, &headers, None, self.close))
    }
}

/// Decides about a request for a bridge, whose head this is in octets.
pub(super) fn judge(
    (head, octets): (&RequestHead<'_>, &[u8]),
    (content, config): (&Arc<Content>, &BridgeConfig),
    (close, hsts): (bool, Option<Arc<str>>),
    options: &Options,
) -> Verdict {
    let reply = BridgeReply { content: content.clone(), close, hsts, repeated: false };
    if head.method == "OPTIONS" {
        return Verdict::Answer { response: reply.preflight(head.wanted_headers), close };
    }
    if head.method != "POST" && head.method != "PUT" {
        let body = json!({"error": "only POST and PUT are served here", "args": [], "kwargs": {}}).to_string();
        return Verdict::Answer { response: reply.frame(&Answer { status: 405, body }), close };
    }
    let most = config.body_bytes_max.unwrap_or(usize::MAX).min(options.lines.of(config.transport).message_bytes_max);
    // The body is read: the connection goes on if the client likes.
    let reply = BridgeReply { close: !head.keep_alive, ..reply };
    let mut plain = ReplyTo::to_nobody();
    (plain.close, plain.any_origin) = (reply.close, reply.content.is_cross_origin());
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
    pending: HashMap<u64, Pending>,
    /// Those who wait for several, by the id of the first request of each.
    batches: HashMap<u64, Batch>,
}

/// What an answer is for.
#[derive(Debug)]
enum Pending {
    One(Waiting),
    /// One of the answers of a batch.
    Part(u64, usize),
}

/// A request that is answered when all its parts are.
#[derive(Debug)]
struct Batch {
    waiting: Waiting,
    answers: Vec<Option<Answer>>,
    missing: usize,
}

#[derive(Debug)]
struct Waiting {
    socket: (usize, u32),
    reply: BridgeReply,
    /// The request has a key.
    claim: Option<Claim>,
}

impl Bridge {
    /// The answer to a request of the core has come: who is to be answered now, and with what.
    fn take(&mut self, id: u64, answer: Answer) -> Option<(Waiting, Answer)> {
        let (first, at) = match self.pending.remove(&id)? {
            Pending::One(waiting) => return Some((waiting, answer)),
            Pending::Part(first, at) => (first, at),
        };
        let batch = self.batches.get_mut(&first)?;
        batch.missing -= usize::from(batch.answers[at].replace(answer).is_none());
        if batch.missing > 0 {
            return None;
        }
        let Batch { waiting, answers, .. } = self.batches.remove(&first)?;
        let answers: Vec<Answer> = answers.into_iter().flatten().collect();
        Some((waiting, together(&answers)))
    }
}

impl Reactor {
    /// A complete request for a bridge.
    pub(super) fn bridge(&mut self, key: usize, bridged: Bridged, body: &[u8]) {
        let Bridged { content, transport, asked, mut reply, forwarded } = bridged;
        let Content::Bridge(config) = &*content else { return };
        reply.close |= self.leaving();
        let claimed = match admit(config, &asked, body, self.origin(key, &forwarded)) {
            Ok(()) => self.claim((config, transport), &asked, body),
            Err(answer) => Err(answer),
        };
        let claim = match claimed {
            Ok(Some(Claimed::Known(answer))) => {
                reply.repeated = true;
                return self.respond(key, [reply.frame(&answer)], reply.close);
            }
            Ok(Some(Claimed::New(claim))) => Some(claim),
            Ok(None) => None,
            Err(answer) => return self.respond(key, [reply.frame(&answer)], reply.close),
        };
        let socket = (key, self.connections[key].serial);
        let waiting = Waiting { socket, reply, claim };
        // The answer may come before this returns.
        self.note_asked(key);
        if let Err((waiting, answer)) = self.pass_on(transport, (config, &asked, body), waiting) {
            if let Some(claim) = &waiting.claim {
                self.settings.repeats.release(claim);
            }
            self.respond(key, [waiting.reply.frame(&answer)], waiting.reply.close);
        }
    }

    /// Gives a request to the core. If that cannot be, nothing has been done.
    #[allow(clippy::result_large_err, reason = "it is passed on at once")]
    fn pass_on(
        &mut self,
        transport: TransportIndex,
        (config, asked, body): (&BridgeConfig, &Asked, &[u8]),
        waiting: Waiting,
    ) -> Result<(), (Waiting, Answer)> {
        let key = waiting.socket.0;
        let parts = match batch(config, body) {
            Ok(parts) => parts,
            Err(answer) => return Err((waiting, answer)),
        };
        let Some(session) = self.bridge_session(key, transport, &config.realm) else {
            let why = "the path has no session in its realm; the log of the router says why";
            return Err((waiting, failure(503, why)));
        };
        let settings = &self.settings.premises.config;
        let (timeout, depth) = (settings.web_call_timeout, settings.limits.depth_max);
        let bodies: Vec<&[u8]> = match &parts {
            Some(parts) => parts.iter().map(|part| part.get().as_bytes()).collect(),
            None => vec![body],
        };
        let Some(bridge) = self.bridge_at(session) else { return Err((waiting, ended())) };
        let (mut sent, mut answers) = (Vec::new(), Vec::new());
        for (at, body) in bodies.into_iter().enumerate() {
            // The ids of what is sent follow each other without gaps.
            let built = message(config, asked, body, (bridge.last + 1, timeout, depth));
            if let Ok(message) = &built {
                bridge.last += 1;
                sent.push((bridge.last, at, message.clone()));
            }
            answers.push(built.err());
        }
        let Some(first) = sent.first().map(|(id, ..)| *id) else {
            let answers: Vec<Answer> = answers.into_iter().flatten().collect();
            let single = answers.first().filter(|_| parts.is_none()).cloned();
            return Err((waiting, single.unwrap_or_else(|| together(&answers))));
        };
        if parts.is_some() {
            bridge.pending.extend(sent.iter().map(|(id, at, _)| (*id, Pending::Part(first, *at))));
            bridge.batches.insert(first, Batch { waiting, answers, missing: sent.len() });
        } else {
            bridge.pending.insert(first, Pending::One(waiting));
        }
        for (.., message) in sent {
            self.count_message(key);
            // The message before this one may have ended the session.
            if let Some(connection) = self.connections.get(session) {
                self.gauges.came(connection, message.len());
            }
            self.core.receive(self.clock, conn_id(session), message.as_bytes());
            self.settle();
        }
        Ok(())
    }

    fn room(&self) -> Room {
        let config = &self.settings.premises.config;
        Room { time: config.web_repeat_timeout, bytes_max: config.web_repeat_bytes }
    }

    /// Looks whether a request with a key has come before. None: it has no key.
    fn claim(
        &self,
        (config, transport): (&BridgeConfig, TransportIndex),
        asked: &Asked,
        body: &[u8],
    ) -> Result<Option<Claimed>, Answer> {
        let Some(repeat_key) = repeat_key(config, asked) else { return Ok(None) };
        let owner = config.signed.as_ref().map_or("", |(key, _)| key);
        let scope = format!("{transport} {} {owner}", config.action == Action::Call);
        self.settings.repeats.claim(&scope, repeat_key, body, self.clock, self.room()).map(Some)
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
        let bridge = Bridge {
            alarm: None,
            transport,
            welcome: false,
            last: 0,
            pending: HashMap::new(),
            batches: HashMap::new(),
        };
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
                    if let Some(bridge) = self.bridge_at(key)
                        && let Some((waiting, answer)) = bridge.take(id, answer)
                    {
                        self.answer_bridged(&waiting, answer, right);
                    }
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
        let Waiting { socket, reply, claim } = waiting;
        let Content::Bridge(config) = &*reply.content else { return };
        match claim {
            Some(claim) if undone(&answer) => self.settings.repeats.release(claim),
            Some(claim) => self.settings.repeats.settle(claim, &answer, self.clock, self.room()),
            None => {}
        }
        let frame = reply.frame(&finish(&config.action, answer, right));
        self.respond_late(*socket, [frame], reply.close);
    }

    /// A bridge is about to be dropped: nobody waits any longer.
    pub(super) fn abandon_bridge(&mut self, key: usize, bridge: Bridge) {
        if self.longpoll.bridges.get(&bridge.transport) == Some(&key) {
            self.longpoll.bridges.remove(&bridge.transport);
        }
        for pending in bridge.pending.into_values() {
            if let Pending::One(waiting) = pending {
                self.answer_bridged(&waiting, ended(), false);
            }
        }
        for Batch { waiting, answers, .. } in bridge.batches.into_values() {
            let answers: Vec<Answer> = answers.into_iter().map(|answer| answer.unwrap_or_else(ended)).collect();
            self.answer_bridged(&waiting, together(&answers), false);
        }
    }
}
