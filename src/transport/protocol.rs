//! What the octets of a connection mean: first a handshake, told apart by its first octet, then frames.

use super::bridge::Bridged;
use super::cookies::{Cookies, Visit};
use super::door::Door;
use super::events::Opening;
use super::exchange::{Exchange, Forwarded, Options};
use super::line::{Line, Lines};
use super::longpoll::ReplyTo;
use super::premises::Premises;
use super::reactor::Settings;
use super::relay::Relayed;
use crate::auth::peer::Cookie;
use crate::config::listener::TransportIndex;
use crate::router::{Ending, Link};
use crate::wamp::Serializer;
use crate::web::{Request, date};
use crate::wire::frame::{Frame, FrameBuilder, close_frame};
use crate::wire::handshake::{self, Accepted, HandshakeOptions, Step};
use crate::wire::http::{self, body_octets, bodyless};
use crate::wire::longpoll::Endpoint;
use crate::wire::provenance::Provenance;
use crate::wire::rawsocket::{self, RawAccepted, RawReader};
use crate::wire::websocket::{Accepts, Sender, WsMode, WsReader};
use crate::wire::{Framing, Inbound, Reader, WireEvent};
use bytes::Bytes;
use std::rc::Rc;
use std::sync::Arc;

/// What octets from a peer come to.
#[derive(Debug)]
pub(super) enum Signal<'a> {
    /// Write this.
    Reply(Frame),
    /// The handshake is finished: messages follow.
    Opened(Link, Arrival),
    /// A serialized message.
    Message(&'a [u8]),
    /// This was all: close.
    Close,
    /// The peer broke a rule: write this frame, if any, and close.
    Fault { reason: &'a str, close: Option<Frame> },
    /// The handshake is none: requests follow.
    Requests,
    /// What comes after requests is a handshake again.
    Handshake,
    /// What is asked for, to be logged.
    Asked(String),
    /// A request that has been answered, to be logged.
    Logged { line: String, status: u16, octets: u64 },
    /// A request that is answered with this.
    Answer { response: Frame, close: bool },
    /// A request for what the router counts and measures.
    Metrics { head_only: bool, close: bool, forwarded: Forwarded },
    /// A request for a file.
    File(Box<Request>),
    /// A request for a stream of events.
    Stream(Box<Opening>),
    /// A complete request that becomes a publication or a call.
    Bridge(Box<Bridged>, &'a [u8]),
    /// A complete request of the long-poll transport.
    Request {
        endpoint: Endpoint,
        transport: TransportIndex,
        body: &'a [u8],
        reply: ReplyTo,
        forwarded: Forwarded,
        provenance: Provenance,
    },
    /// A request that others answer, with all that has been read from its beginning.
    Relay(Box<Relayed>, Vec<u8>),
    /// A request for another shard, with all that has been read from its beginning.
    Move { shard: u16, octets: Vec<u8> },
}

/// What a handshake has told of a client.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Which transport it has asked for.
    pub(super) transport: TransportIndex,
    /// The cookie of its browser.
    pub(super) cookie: Option<Box<Cookie>>,
    /// What proxies say of its address.
    pub(super) forwarded: Vec<String>,
    /// Where it comes from.
    pub(super) provenance: Provenance,
}

/// What the connections of a shard share for reading.
#[derive(Debug)]
pub(super) struct Shared {
    /// By listener.
    doors: Vec<Door>,
    /// By transport.
    cookies: Arc<[Option<Arc<Cookies>>]>,
    requests: Options,
    /// What holds for each transport.
    lines: Rc<Lines>,
    inbound: Inbound,
    echoes: FrameBuilder,
    out: Vec<u8>,
}

impl Shared {
    pub(super) fn new(settings: &Settings, lines: &Rc<Lines>) -> Shared {
        let Settings { premises, shard, vitals, loads, .. } = settings;
        let config = &premises.config;
        let requests = Options {
            header_bytes_max: HandshakeOptions::default().header_bytes_max,
            lines: lines.clone(),
            shard: shard.index,
            shards: shard.shards,
            vitals: vitals.clone(),
            stuck_after: config.health_stuck_after,
            loads: loads.clone(),
            piece_bytes: config.web_piece_bytes,
            listing_entries_max: config.web_listing_entries_max,
        };
        Shared {
            doors: Door::all(premises),
            cookies: premises.cookies.clone(),
            requests,
            lines: lines.clone(),
            inbound: Inbound::default(),
            echoes: FrameBuilder::eager(),
            out: Vec::new(),
        }
    }

    /// Goes on with other ways in. What has been begun goes on as it was.
    pub(super) fn reform(&mut self, premises: &Premises, lines: &Rc<Lines>) {
        let config = &premises.config;
        self.doors = Door::all(premises);
        self.cookies = premises.cookies.clone();
        self.requests.stuck_after = config.health_stuck_after;
        self.requests.piece_bytes = config.web_piece_bytes;
        self.requests.listing_entries_max = config.web_listing_entries_max;
        self.requests.lines = lines.clone();
        self.lines = lines.clone();
    }
}

impl Shared {
    /// Knows a browser again by its cookie, or gives it one, if the transport has cookies.
    fn visit(
        &self,
        transport: TransportIndex,
        headers: &[String],
        response: &mut Vec<u8>,
    ) -> Result<Option<Box<Cookie>>, getrandom::Error> {
        let Some(cookies) = self.cookies.get(usize::from(transport)).and_then(Option::as_deref) else {
            return Ok(None);
        };
        let headers: Vec<&str> = headers.iter().map(|header| &**header).collect();
        let Visit { id, known, header } = cookies.visit(&headers)?;
        if let Some(header) = header {
            response.extend_from_slice(format!("Set-Cookie: {header}\r\n").as_bytes());
        }
        Ok(Some(Box::new(Cookie { id, known })))
    }
}

/// How far the conversation with a peer has come.
#[derive(Debug)]
pub(super) enum Protocol {
    /// A handshake is coming; this much of it has come.
    Handshake(Vec<u8>),
    /// Requests.
    Requests(Box<Exchange>),
    /// Frames of messages.
    Frames(Reader),
    /// Frames that are sent back as they came, compressed if that was agreed.
    Echo(Reader, Framing),
}

fn plain(octets: Vec<u8>) -> Frame {
    Frame::new(octets.into(), Bytes::new())
}

impl Protocol {
    pub(super) const fn new() -> Protocol {
        Protocol::Handshake(Vec::new())
    }

    /// A RawSocket connection whose handshake is over.
    pub(super) const fn opened(accepted: &RawAccepted) -> Protocol {
        Protocol::Frames(Reader::RawSocket(RawReader::new(accepted)))
    }

    /// Reads on what has come by a listener. `signal` is given what comes of it, and says whether to go on.
    pub(super) fn feed(
        &mut self,
        input: &mut [u8],
        listener: u16,
        shared: &mut Shared,
        mut signal: impl FnMut(Signal<'_>) -> bool,
    ) {
        let signal = &mut signal;
        match self {
            Protocol::Handshake(begun) => {
                begun.extend_from_slice(input);
                let begun = std::mem::take(begun);
                self.handshake(begun, listener, shared, signal);
            }
            Protocol::Requests(_) => self.requests(input, listener, shared, signal),
            Protocol::Frames(_) | Protocol::Echo(..) => self.frames(input, shared, signal),
        }
    }

    /// Reads requests until there is one for WebSocket.
    fn requests(
        &mut self,
        input: &[u8],
        listener: u16,
        shared: &mut Shared,
        signal: &mut impl FnMut(Signal<'_>) -> bool,
    ) {
        let Protocol::Requests(exchange) = self else { return };
        if let Some(begun) = exchange.feed(input, &shared.doors[usize::from(listener)], &shared.requests, signal) {
            *self = Protocol::new();
            if signal(Signal::Handshake) {
                self.handshake(begun, listener, shared, signal);
            }
        }
    }

    /// Reads the handshake that has come so far.
    fn handshake(
        &mut self,
        mut begun: Vec<u8>,
        listener: u16,
        shared: &mut Shared,
        signal: &mut impl FnMut(Signal<'_>) -> bool,
    ) {
        let used = match begun.first() {
            Some(&rawsocket::MAGIC) => self.rawsocket(&begun, listener, shared, signal),
            Some(_) => self.http(&begun, listener, shared, signal),
            None => None,
        };
        match used {
            // What has come behind the handshake is frames already.
            Some(used) => self.frames(&mut begun[used..], shared, signal),
            None => match self {
                Protocol::Handshake(waiting) => *waiting = begun,
                Protocol::Requests(_) => self.requests(&begun, listener, shared, signal),
                Protocol::Frames(_) | Protocol::Echo(..) => {}
            },
        }
    }

    /// Octets of the handshake, if it is complete and accepted.
    fn rawsocket(
        &mut self,
        begun: &[u8],
        listener: u16,
        shared: &Shared,
        signal: &mut impl FnMut(Signal<'_>) -> bool,
    ) -> Option<usize> {
        let request = begun.first_chunk::<4>()?;
        let Some((transport, serializers)) = &shared.doors[usize::from(listener)].rawsocket else {
            signal(Signal::Fault { reason: "RawSocket is not served here", close: None });
            return None;
        };
        let message_bytes_max = shared.lines.of(*transport).message_bytes_max;
        match rawsocket::handshake(*request, message_bytes_max, serializers.as_deref()) {
            Ok(accepted) => {
                *self = Protocol::opened(&accepted);
                let serializer = accepted.serializer;
                let link = Link { serializer, framing: Framing::RawSocket, message_max: accepted.peer_max };
                let provenance = Provenance::default();
                let arrival = Arrival { transport: *transport, cookie: None, forwarded: Vec::new(), provenance };
                let reply = Signal::Reply(plain(accepted.reply.to_vec()));
                let goes_on = signal(reply) && signal(Signal::Opened(link, arrival));
                goes_on.then_some(4)
            }
            Err(reply) => {
                let close = reply.map(|reply| plain(reply.to_vec()));
                signal(Signal::Fault { reason: "the RawSocket handshake cannot be accepted", close });
                None
            }
        }
    }

    /// Octets of the handshake, if it is complete and accepted.
    fn http(
        &mut self,
        begun: &[u8],
        listener: u16,
        shared: &Shared,
        signal: &mut impl FnMut(Signal<'_>) -> bool,
    ) -> Option<usize> {
        let door = &shared.doors[usize::from(listener)];
        match handshake::parse(begun, &door.options) {
            Step::NeedMore => None,
            Step::Upgrade { consumed, accepted } => {
                if door.access_log {
                    let line = door.shown_raw(begun);
                    signal(Signal::Logged { line, status: 101, octets: 0 });
                }
                self.upgrade(accepted, door, shared, signal).then_some(consumed)
            }
            Step::Request => {
                *self = Protocol::Requests(Box::default());
                signal(Signal::Requests);
                None
            }
            Step::Refuse { response } => {
                let response = date::stamped(&response);
                let response = if begun.starts_with(b"HEAD ") { bodyless(response) } else { response };
                if door.access_log {
                    let octets = body_octets(&response) as u64;
                    signal(Signal::Logged { line: door.shown_raw(begun), status: http::status(&response), octets });
                }
                let _ = signal(Signal::Reply(plain(response))) && signal(Signal::Close);
                None
            }
        }
    }

    fn upgrade(
        &mut self,
        accepted: Accepted,
        door: &Door,
        shared: &Shared,
        signal: &mut impl FnMut(Signal<'_>) -> bool,
    ) -> bool {
        let Accepted { mut response, path, cookies, forwarded, provenance, protocol, deflate } = accepted;
        let transport = door.places[path].transport;
        let cookie = match shared.visit(transport, &cookies, &mut response) {
            Ok(cookie) => cookie,
            Err(error) => {
                tracing::error!(%error, "cannot get random numbers for a cookie");
                return signal(Signal::Close);
            }
        };
        response.extend_from_slice(b"\r\n");
        let batched = protocol.is_some_and(|protocol| protocol.batched);
        let accepts = match protocol.map(|protocol| protocol.serializer.is_text()) {
            Some(true) => Accepts::Text,
            Some(false) => Accepts::Binary,
            None => Accepts::Any,
        };
        let Line { message_bytes_max, frame_bytes_max, fragment, .. } = *shared.lines.of(transport);
        let mode = WsMode { accepts, batched, deflate: deflate.is_some(), message_bytes_max, from: Sender::Client };
        let reader = Reader::WebSocket(WsReader::new(mode).with_frame_bytes_max(frame_bytes_max));
        let framing = Framing::WebSocket { batched, deflate, fragment };
        let goes_on = signal(Signal::Reply(plain(response)));
        match protocol {
            None => {
                *self = Protocol::Echo(reader, framing);
                goes_on
            }
            Some(protocol) => {
                *self = Protocol::Frames(reader);
                let link = Link { serializer: protocol.serializer, framing, message_max: usize::MAX };
                goes_on && signal(Signal::Opened(link, Arrival { transport, cookie, forwarded, provenance }))
            }
        }
    }

    fn frames(&mut self, mut input: &mut [u8], shared: &mut Shared, signal: &mut impl FnMut(Signal<'_>) -> bool) {
        let Shared { inbound, echoes, out, .. } = shared;
        let (reader, echo) = match self {
            Protocol::Handshake(_) | Protocol::Requests(_) => return,
            Protocol::Frames(reader) => (reader, None),
            Protocol::Echo(reader, framing) => (reader, Some(*framing)),
        };
        loop {
            out.clear();
            let fed = reader.feed(&mut *input, inbound, out);
            if !out.is_empty() && !signal(Signal::Reply(plain(out.clone()))) {
                return;
            }
            let used = match fed {
                Ok((_, None)) => return,
                Ok((used, Some(WireEvent::Message { data, text }))) => {
                    let goes_on = match echo {
                        None => signal(Signal::Message(data)),
                        Some(framing) => {
                            let kind = if text { Serializer::Json } else { Serializer::MsgPack };
                            signal(Signal::Reply(echoes.build(kind, framing, data, None)))
                        }
                    };
                    if !goes_on {
                        return;
                    }
                    used
                }
                Ok((used, Some(WireEvent::Pong))) => used,
                Ok((_, Some(WireEvent::Closed))) => {
                    signal(Signal::Close);
                    return;
                }
                Err(error) => {
                    let websocket = matches!(reader, Reader::WebSocket(_));
                    let close = websocket.then(|| plain(close_frame(error.code, &error.reason)));
                    signal(Signal::Fault { reason: &error.reason, close });
                    return;
                }
            };
            input = &mut input[used..];
        }
    }
}

/// The close frame that tells a WebSocket peer how its connection ends.
pub(super) fn farewell(ending: Ending) -> Frame {
    let (code, reason) = match ending {
        Ending::Normal => (1000, ""),
        Ending::Refused => (1000, "the session was refused"),
        Ending::Shutdown => (1001, "the router shuts down"),
        Ending::Violation => (1002, "protocol violation"),
    };
    plain(close_frame(code, reason))
}
