//! Requests that others answer: servers behind this one, and programs. A socket with such a request leaves its shard, goes
//! to a thread of its own kind with what has been read of the request, and comes back when the response has been written.
//! So nothing that happens there makes a shard wait.

mod backend;
mod body;
mod client;
mod fault;
mod head;
mod place;
mod pool;
mod script;

use super::door::Place;
use super::exchange::Verdict;
use super::longpoll::Side;
use super::reactor::Reactor;
use super::tls::Tls;
use crate::config::relay::{RelayConfig, Target};
use crate::web::Content;
use crate::wire::Frame;
use crate::wire::http::bodyless;
use crate::wire::request::{BodyLength, BodyReader, RequestHead};
use client::Pace;
use fault::refusal;
pub use pool::Relays;
use pool::{Job, Origin};
use std::borrow::Cow;
use std::sync::Arc;

/// A request that others answer.
#[derive(Debug)]
pub(in crate::transport) struct Relayed {
    content: Arc<Content>,
    /// The path of the service and what is behind it, as it came.
    base: Box<str>,
    rest: Box<str>,
    /// The names behind the path of the service, decoded.
    names: Vec<Box<str>>,
    hsts: Option<Arc<str>>,
    header_bytes_max: usize,
    /// The request is HEAD: what is answered has no body.
    head_only: bool,
}

impl Relayed {
    fn config(&self) -> Option<&RelayConfig> {
        match &*self.content {
            Content::Relay(config, _) => Some(config),
            _ => None,
        }
    }
}

/// Decides about a request of which the first names lead to a service that others are.
pub(in crate::transport) fn judge(
    head: &RequestHead<'_>,
    place: &Place,
    (names, own): (&[Cow<'_, str>], usize),
    (hsts, header_bytes_max): (Option<Arc<str>>, usize),
) -> Verdict {
    let Content::Relay(config, _) = &*place.content else {
        return refuse(404, "nothing is served there", hsts.as_deref());
    };
    if head.method == "CONNECT" || head.method == "TRACE" {
        return refuse(405, "this method is not passed on", hsts.as_deref());
    }
    if let Err(refused) = BodyReader::new(head.body, config.body_bytes_max.unwrap_or(usize::MAX)) {
        return refuse(refused.status, refused.text, hsts.as_deref());
    }
    match &config.target {
        Target::WebSocket(_) if !head.upgrade => return refuse(426, "WebSocket is served here", hsts.as_deref()),
        Target::Script { .. } if head.body == BodyLength::Chunked => {
            return refuse(411, "programs have to be told the length of the body", hsts.as_deref());
        }
        Target::Http(to) if to.lengths && head.body == BodyLength::Chunked => {
            return refuse(411, "the application has to be told the length of the body", hsts.as_deref());
        }
        _ => {}
    }
    if head.upgrade && head.body != BodyLength::Absent {
        return refuse(400, "a WebSocket handshake has no body", hsts.as_deref());
    }
    let at = head.path.match_indices('/').nth(own).map_or(head.path.len(), |(at, _)| at);
    let (base, rest) = head.path.split_at(at);
    Verdict::Relay(Box::new(Relayed {
        content: place.content.clone(),
        base: base.into(),
        rest: rest.into(),
        names: names[own..].iter().map(|name| (&**name).into()).collect(),
        hsts,
        header_bytes_max,
        head_only: head.method == "HEAD",
    }))
}

/// Nothing behind such a request is read.
fn refuse(status: u16, text: &str, hsts: Option<&str>) -> Verdict {
    let response = refusal(status, text, hsts, true);
    Verdict::Answer { response: Frame::new(response.into(), bytes::Bytes::new()), close: true }
}

impl Reactor {
    /// Hands a socket with a request that others answer, and what was read from it, to those who pass it on.
    pub(super) fn relay(&mut self, key: usize, relayed: Box<Relayed>, octets: Vec<u8>) {
        let connection = &mut self.connections[key];
        let line = connection.longpoll.as_deref_mut().and_then(Side::socket).and_then(|socket| socket.line.take());
        let peer = connection.peer.clone();
        let entrance = self.settings.premises.entrances[usize::from(peer.listener)].clone();
        if self.shutting_down || self.settings.relays.is_full() {
            let mut response = refusal(503, "too many requests are being passed on", relayed.hsts.as_deref(), true);
            if relayed.head_only {
                response = bodyless(response);
            }
            self.note_line(key, line);
            return self.respond(key, [Frame::new(response.into(), bytes::Bytes::new())], true);
        }
        let Some((socket, visitor)) = self.release(key) else { return };
        let shard = usize::from(self.seat.index);
        // It counts here for as long as it is away.
        self.settings.loads.add(shard);
        let origin = Origin { address: peer.address, entrance: entrance.clone(), port: socket.port() };
        let acceptor = entrance.tls.as_ref().map(Tls::acceptor);
        let config = &self.settings.premises.config;
        let pace = Pace {
            silence: config.longpoll_body_timeout,
            ahead: config.web_body_bytes_ahead,
            rate_min: config.web_body_rate_min as u64,
        };
        let job = Job { socket, visitor, octets, relayed, line, shard, origin, acceptor, pace };
        self.settings.relays.begin(job);
    }

    fn note_line(&mut self, key: usize, line: Option<String>) {
        if let Some(line) = line {
            self.note_request(key, line);
        }
    }
}
