//! The requests of one socket, one after the other: the next one is read when the last one has been answered.

use super::bridge::Bridged;
use super::door::Door;
use super::events::Opening;
use super::line::Lines;
use super::longpoll::{self, ReplyTo};
use super::pages;
use super::protocol::Signal;
use super::relay::Relayed;
use crate::config::listener::TransportIndex;
use crate::shard::{Loads, Vitals};
use crate::web::Request;
use crate::wire::Frame;
use crate::wire::forwarded::ForwardedHeader;
use crate::wire::handshake::Route;
use crate::wire::http::{Refusal, bodyless};
use crate::wire::longpoll::Endpoint;
use crate::wire::provenance::Provenance;
use crate::wire::request::{self, BodyReader, RequestHead};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What the exchanges of a shard have to know.
#[derive(Clone, Debug)]
pub(in crate::transport) struct Options {
    /// Octets of a request's head, and of bodies that are no messages.
    pub(in crate::transport) header_bytes_max: usize,
    /// What holds for each transport.
    pub(in crate::transport) lines: Rc<Lines>,
    /// Which shard this is.
    pub(in crate::transport) shard: u16,
    /// How many there are.
    pub(in crate::transport) shards: u16,
    /// How they are.
    pub(in crate::transport) vitals: Arc<Vitals>,
    /// For how long a shard may not answer.
    pub(in crate::transport) stuck_after: Duration,
    /// How many connections they have.
    pub(in crate::transport) loads: Arc<Loads>,
    /// Octets of a file that are read at once.
    pub(in crate::transport) piece_bytes: usize,
    /// Entries of a directory's listing.
    pub(in crate::transport) listing_entries_max: usize,
}

/// What a socket waits for, which decides for how long it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::transport) enum Wait {
    /// The next request.
    #[default]
    Request,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// The response.
    Response,
}

/// The requests of one socket.
#[derive(Debug, Default)]
pub(in crate::transport) struct Exchange {
    /// What has come and not been taken.
    input: Vec<u8>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// A head is to come.
    #[default]
    Head,
    /// A body is coming.
    Body(Box<Coming>),
    /// The request is known or cannot be served; its response has not been written.
    Response,
}

/// A request whose body is coming.
#[derive(Debug)]
pub(in crate::transport) struct Coming {
    pub(in crate::transport) target: Target,
    pub(in crate::transport) reply: ReplyTo,
    pub(in crate::transport) reader: BodyReader,
}

/// What a request with a body is for.
#[derive(Debug)]
pub(in crate::transport) enum Target {
    /// The long-poll transport.
    LongPoll {
        endpoint: Endpoint,
        /// The way into the router that a new transport is.
        transport: TransportIndex,
        forwarded: Forwarded,
        /// Where its client comes from.
        provenance: Provenance,
    },
    /// A publication or a call.
    Bridge(Box<Bridged>),
}

/// What proxies say of the client's address, if a transport is to be opened.
pub(in crate::transport) type Forwarded = Vec<(ForwardedHeader, String)>;

/// What to do when the head of a request is known.
pub(in crate::transport) enum Verdict {
    /// The request is for WebSocket.
    Elsewhere,
    /// Go on at another shard.
    Move(u16),
    /// Let others answer.
    Relay(Box<Relayed>),
    /// Answer at once.
    Answer { response: Frame, close: bool },
    /// Tell what the router counts and measures, if the client may know it.
    Metrics { head_only: bool, close: bool, forwarded: Forwarded },
    /// Read a file.
    File(Box<Request>),
    /// Begin a stream of events.
    Stream(Box<Opening>),
    /// Read the body. The client may wait until it is told that it can go on.
    Read(Box<Coming>, bool),
}

impl Exchange {
    /// An exchange that begins with octets read elsewhere.
    pub(in crate::transport) fn resumed(octets: Vec<u8>) -> Exchange {
        Exchange { input: octets, state: State::Head }
    }

    /// What the socket waits for.
    pub(in crate::transport) fn wait(&self) -> Wait {
        match self.state {
            State::Head if self.input.is_empty() => Wait::Request,
            State::Head => Wait::Head,
            State::Body(_) => Wait::Body,
            State::Response => Wait::Response,
        }
    }

    /// Octets that wait for the response to an earlier request.
    pub(in crate::transport) fn octets_ahead(&self) -> usize {
        if matches!(self.state, State::Response) { self.input.len() } else { 0 }
    }

    /// The response has been written: the next request may come.
    pub(in crate::transport) fn answered(&mut self) {
        self.state = State::Head;
    }

    /// Reads on. Gives all that has come and not been taken if a request is for WebSocket.
    pub(in crate::transport) fn feed(
        &mut self,
        input: &[u8],
        door: &Door,
        options: &Options,
        signal: &mut impl FnMut(Signal<'_>) -> bool,
    ) -> Option<Vec<u8>> {
        self.input.extend_from_slice(input);
        if matches!(self.state, State::Head) {
            let (octets, verdict) = match request::head(&self.input, options.header_bytes_max) {
                Ok(None) => return None,
                Ok(Some(head)) => {
                    let mut verdict = judge(&head, &self.input[..head.octets], door, options);
                    if let Verdict::Answer { response, .. } = &mut verdict
                        && head.method == "HEAD"
                    {
                        *response = Frame::new(bodyless(response.parts().concat()).into(), bytes::Bytes::new());
                    }
                    if door.access_log && !matches!(verdict, Verdict::Elsewhere | Verdict::Move(_)) {
                        signal(Signal::Asked(door.shown(head.method, head.path)));
                    }
                    (head.octets, verdict)
                }
                Err(refusal) => {
                    if door.access_log {
                        signal(Signal::Asked(door.shown_raw(&self.input)));
                    }
                    (0, refuse(refusal, ReplyTo::to_nobody()))
                }
            };
            match verdict {
                Verdict::Elsewhere => return Some(std::mem::take(&mut self.input)),
                Verdict::Move(shard) => {
                    let octets = std::mem::take(&mut self.input);
                    signal(Signal::Move { shard, octets });
                    return None;
                }
                Verdict::Relay(relayed) => {
                    let octets = std::mem::take(&mut self.input);
                    signal(Signal::Relay(relayed, octets));
                    return None;
                }
                verdict => {
                    self.take(octets);
                    self.begin(verdict, signal);
                }
            }
        }
        if let State::Body(body) = &mut self.state {
            match body.reader.feed(&self.input) {
                Ok(octets) => {
                    let complete = body.reader.is_complete();
                    self.take(octets);
                    if complete {
                        self.complete(signal);
                    }
                }
                Err(refusal) => {
                    let reply = std::mem::take(&mut body.reply);
                    self.begin(refuse(refusal, reply), signal);
                }
            }
        }
        None
    }

    /// Forgets what has been taken. Between requests no memory is held.
    fn take(&mut self, octets: usize) {
        self.input.drain(..octets);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
    }

    fn begin(&mut self, verdict: Verdict, signal: &mut impl FnMut(Signal<'_>) -> bool) {
        match verdict {
            Verdict::Elsewhere | Verdict::Move(_) | Verdict::Relay(_) => {}
            Verdict::Answer { response, close } => {
                self.state = State::Response;
                signal(Signal::Answer { response, close });
            }
            Verdict::Metrics { head_only, close, forwarded } => {
                self.state = State::Response;
                signal(Signal::Metrics { head_only, close, forwarded });
            }
            Verdict::File(request) => {
                self.state = State::Response;
                signal(Signal::File(request));
            }
            Verdict::Stream(opening) => {
                self.state = State::Response;
                signal(Signal::Stream(opening));
            }
            Verdict::Read(coming, expects_continue) => {
                if expects_continue && !coming.reader.is_complete() && self.input.is_empty() {
                    signal(Signal::Reply(Frame::whole(b"HTTP/1.1 100 Continue\r\n\r\n")));
                }
                self.state = State::Body(coming);
            }
        }
    }

    fn complete(&mut self, signal: &mut impl FnMut(Signal<'_>) -> bool) {
        if let State::Body(body) = std::mem::replace(&mut self.state, State::Response) {
            let Coming { target, reply, reader } = *body;
            let body = reader.data();
            match target {
                Target::LongPoll { endpoint, transport, forwarded, provenance } => {
                    signal(Signal::Request { endpoint, transport, body, reply, forwarded, provenance });
                }
                Target::Bridge(bridged) => {
                    signal(Signal::Bridge(bridged, body));
                }
            }
        }
    }
}

/// Nothing behind what is refused can be read.
pub(in crate::transport) fn refuse(refusal: Refusal, mut reply: ReplyTo) -> Verdict {
    reply.close = true;
    Verdict::Answer { response: reply.error(refusal.status, refusal.text), close: true }
}

fn judge(head: &RequestHead<'_>, octets: &[u8], door: &Door, options: &Options) -> Verdict {
    let route = door.options.route(head.path);
    if let Route::Served { index, names, own } = &route
        && door.polls(&route)
    {
        let provenance = door.options.provenance(head.origin, head.host, head.proxied);
        let way = (door.places[*index].transport, provenance);
        return longpoll::judge(head, &names[*own..].join("/"), way, options);
    }
    if head.upgrade && !door.relays(&route) {
        return Verdict::Elsewhere;
    }
    pages::judge((head, octets), route, door, options)
}
