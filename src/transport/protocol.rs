//! What the octets of a connection mean: first a handshake, told apart by its first octet, then frames.

use super::longpoll::ReplyTo;
use super::longpoll::exchange::{Exchange, Options};
use super::page;
use crate::config::RuntimeConfig;
use crate::router::{Ending, Link, ShardConfig};
use crate::wamp::Serializer;
use crate::wire::frame::{Frame, FrameBuilder, close_frame};
use crate::wire::handshake::{self, Accepted, HandshakeOptions, Step};
use crate::wire::longpoll::Endpoint;
use crate::wire::rawsocket::{self, RawReader};
use crate::wire::websocket::{Accepts, WsMode, WsReader};
use crate::wire::{Framing, Inbound, Reader, WireEvent};
use bytes::Bytes;

/// What octets from a peer come to.
#[derive(Debug)]
pub(super) enum Signal<'a> {
    /// Write this.
    Reply(Frame),
    /// The handshake is finished: messages follow.
    Opened(Link),
    /// A serialized message.
    Message(&'a [u8]),
    /// This was all: close.
    Close,
    /// The peer broke a rule: write this frame, if any, and close.
    Fault { reason: &'a str, close: Option<Frame> },
    /// The handshake is none: requests of the long-poll transport follow.
    Requests,
    /// What comes after requests is a handshake again.
    Handshake,
    /// A request that is answered with this.
    Answer { response: Frame, close: bool },
    /// A complete request.
    Request { endpoint: Endpoint, body: &'a [u8], reply: ReplyTo },
    /// A request for another shard, with all that has been read from its beginning.
    Move { shard: u16, octets: Vec<u8> },
}

/// What the connections of a shard share for reading.
#[derive(Debug)]
pub(super) struct Shared {
    options: HandshakeOptions,
    requests: Options,
    message_bytes_max: usize,
    inbound: Inbound,
    echoes: FrameBuilder,
    out: Vec<u8>,
}

impl Shared {
    pub(super) fn new(config: &RuntimeConfig, shard: &ShardConfig) -> Shared {
        let longpoll_path = config.longpoll_path.clone();
        let base = longpoll_path.clone().unwrap_or_default();
        let echo_path = config.echo_path.clone();
        let options = HandshakeOptions { longpoll_path, echo_path, ..HandshakeOptions::default() };
        let requests = Options {
            base,
            header_bytes_max: options.header_bytes_max,
            message_bytes_max: config.message_bytes_max,
            shard: shard.index,
            shards: shard.shards,
        };
        Shared {
            options,
            requests,
            message_bytes_max: config.message_bytes_max,
            inbound: Inbound::default(),
            echoes: FrameBuilder::eager(),
            out: Vec::new(),
        }
    }
}

/// How far the conversation with a peer has come.
#[derive(Debug)]
pub(super) enum Protocol {
    /// A handshake is coming; this much of it has come.
    Handshake(Vec<u8>),
    /// Requests of the long-poll transport.
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

    /// Reads on. `signal` is given what comes of it, and says whether to go on.
    pub(super) fn feed(&mut self, input: &mut [u8], shared: &mut Shared, mut signal: impl FnMut(Signal<'_>) -> bool) {
        match self {
            Protocol::Handshake(begun) => {
                begun.extend_from_slice(input);
                let begun = std::mem::take(begun);
                self.handshake(begun, shared, &mut signal);
            }
            Protocol::Requests(_) => self.requests(input, shared, &mut signal),
            Protocol::Frames(_) | Protocol::Echo(..) => self.frames(input, shared, &mut signal),
        }
    }

    /// Reads requests until there is one for something else.
    fn requests(&mut self, input: &[u8], shared: &mut Shared, signal: &mut impl FnMut(Signal<'_>) -> bool) {
        let Protocol::Requests(exchange) = self else { return };
        if let Some(begun) = exchange.feed(input, &shared.requests, signal) {
            *self = Protocol::new();
            if signal(Signal::Handshake) {
                self.handshake(begun, shared, signal);
            }
        }
    }

    /// Reads the handshake that has come so far.
    fn handshake(&mut self, mut begun: Vec<u8>, shared: &mut Shared, signal: &mut impl FnMut(Signal<'_>) -> bool) {
        let used = match begun.first() {
            Some(&rawsocket::MAGIC) => self.rawsocket(&begun, shared, signal),
            Some(_) => self.http(&begun, shared, signal),
            None => None,
        };
        match used {
            // What has come behind the handshake is frames already.
            Some(used) => self.frames(&mut begun[used..], shared, signal),
            None => match self {
                Protocol::Handshake(waiting) => *waiting = begun,
                Protocol::Requests(_) => self.requests(&begun, shared, signal),
                Protocol::Frames(_) | Protocol::Echo(..) => {}
            },
        }
    }

    /// Octets of the handshake, if it is complete and accepted.
    fn rawsocket(
        &mut self,
        begun: &[u8],
        shared: &Shared,
        signal: &mut impl FnMut(Signal<'_>) -> bool,
    ) -> Option<usize> {
        let request = begun.first_chunk::<4>()?;
        match rawsocket::handshake(*request, shared.message_bytes_max) {
            Ok(accepted) => {
                *self = Protocol::Frames(Reader::RawSocket(RawReader::new(&accepted)));
                let serializer = accepted.serializer;
                let link = Link { serializer, framing: Framing::RawSocket, message_max: accepted.peer_max };
                let goes_on = signal(Signal::Reply(plain(accepted.reply.to_vec()))) && signal(Signal::Opened(link));
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
    fn http(&mut self, begun: &[u8], shared: &Shared, signal: &mut impl FnMut(Signal<'_>) -> bool) -> Option<usize> {
        match handshake::parse(begun, &shared.options) {
            Step::NeedMore => None,
            Step::Upgrade { consumed, accepted } => self.upgrade(accepted, shared, signal).then_some(consumed),
            Step::LongPoll => {
                *self = Protocol::Requests(Box::default());
                signal(Signal::Requests);
                None
            }
            Step::Page { head_only } => {
                let _ = signal(Signal::Reply(plain(page::welcome(head_only)))) && signal(Signal::Close);
                None
            }
            Step::Refuse { response } => {
                let _ = signal(Signal::Reply(plain(response))) && signal(Signal::Close);
                None
            }
        }
    }

    fn upgrade(&mut self, accepted: Accepted, shared: &Shared, signal: &mut impl FnMut(Signal<'_>) -> bool) -> bool {
        let Accepted { response, protocol, deflate } = accepted;
        let batched = protocol.is_some_and(|protocol| protocol.batched);
        let accepts = match protocol.map(|protocol| protocol.serializer.is_text()) {
            Some(true) => Accepts::Text,
            Some(false) => Accepts::Binary,
            None => Accepts::Any,
        };
        let message_bytes_max = shared.message_bytes_max;
        let mode = WsMode { accepts, batched, deflate: deflate.is_some(), message_bytes_max };
        let reader = Reader::WebSocket(WsReader::new(mode));
        let framing = Framing::WebSocket { batched, deflate };
        let goes_on = signal(Signal::Reply(plain(response)));
        match protocol {
            None => {
                *self = Protocol::Echo(reader, framing);
                goes_on
            }
            Some(protocol) => {
                *self = Protocol::Frames(reader);
                let link = Link { serializer: protocol.serializer, framing, message_max: usize::MAX };
                goes_on && signal(Signal::Opened(link))
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
