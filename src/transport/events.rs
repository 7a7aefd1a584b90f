//! Streams of events: a socket whose response has no end, and the session that its events are for. The core knows the
//! session as a connection like any other, and nothing of the socket; each goes with the other.

use super::connection::{Connection, Phase};
use super::door::Place;
use super::exchange::Verdict;
use super::longpoll::{Entry, Side};
use super::protocol::Arrival;
use super::reactor::{Reactor, conn_id};
use crate::config::listener::TransportIndex;
use crate::router::Link;
use crate::wamp::Serializer;
use crate::web::Content;
use crate::web::bridge::{Answer, failure};
use crate::web::date;
use crate::web::events::{Feed, Step};
use crate::wire::http::response_head;
use crate::wire::provenance::Provenance;
use crate::wire::request::{self, RequestHead};
use crate::wire::{Frame, Framing};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The methods that are served.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// How long a browser may remember the answer to a preflight, in seconds.
const PREFLIGHT_SECONDS: &str = "600";

/// What a stream is, and that nobody in between waits for its end.
const CONTENT: [(&str, &str); 2] = [("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "no")];

/// What is sent when there is nothing to send: a comment.
const BEAT: &[u8] = b":\n\n";

/// A request for a stream.
#[derive(Debug)]
pub(super) struct Opening {
    reply: EventsReply,
    transport: TransportIndex,
    query: Box<str>,
    headers: Vec<(Box<str>, Box<str>)>,
}

/// What a response has to know of its request.
#[derive(Clone, Debug)]
struct EventsReply {
    content: Arc<Content>,
    hsts: Option<Arc<str>>,
}

impl EventsReply {
    fn head(&self, status: u16, more: &[(&str, &str)], content: Option<(&str, usize)>, close: bool) -> Vec<u8> {
        let mut headers = vec![("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];
        let date = date::stamp();
        headers.extend(date.as_deref().map(|date| ("Date", date)));
        headers.extend(self.hsts.as_deref().map(|hsts| ("Strict-Transport-Security", hsts)));
        if self.content.is_cross_origin() {
            headers.push(("Access-Control-Allow-Origin", "*"));
        }
        headers.extend_from_slice(more);
        response_head(status, &headers, content, close)
    }

    fn error(&self, answer: &Answer, close: bool) -> Frame {
        let more: &[(&str, &str)] = if answer.status == 405 { &[("Allow", METHODS)] } else { &[] };
        let mut response = self.head(answer.status, more, Some(("application/json", answer.body.len())), close);
        response.extend_from_slice(answer.body.as_bytes());
        Frame::new(response.into(), bytes::Bytes::new())
    }

    fn preflight(&self, wanted: Option<&str>, close: bool) -> Frame {
        let list = |text: &&str| text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        let permission = [
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", wanted.filter(list).unwrap_or("Last-Event-ID")),
            ("Access-Control-Max-Age", PREFLIGHT_SECONDS),
        ];
        let allow = [("Allow", METHODS)];
        let more = if self.content.is_cross_origin() { &permission[..] } else { &allow };
        Frame::whole(&self.head(204, more, None, close))
    }
}

/// Decides about a request for a stream, whose head this is in octets.
pub(super) fn judge(
    (head, octets): (&RequestHead<'_>, &[u8]),
    place: &Place,
    (close, hsts): (bool, Option<Arc<str>>),
) -> Verdict {
    let reply = EventsReply { content: place.content.clone(), hsts };
    match head.method {
        "OPTIONS" => Verdict::Answer { response: reply.preflight(head.wanted_headers, close), close },
        "HEAD" => {
            let Content::Events(config) = &*place.content else { return Verdict::Elsewhere };
            // Nobody subscribes: what a stream would be refused for later is not known.
            let known = Feed::new(config, head.query.unwrap_or_default(), None, Duration::ZERO, 0);
            let response = match known {
                Ok(_) => Frame::whole(&reply.head(200, &CONTENT, None, close)),
                Err(answer) => reply.error(&answer, close),
            };
            Verdict::Answer { response, close }
        }
        "GET" => Verdict::Stream(Box::new(Opening {
            reply,
            transport: place.transport,
            query: head.query.unwrap_or_default().into(),
            headers: request::headers(octets),
        })),
        _ => {
            let answer = failure(405, "only GET is served here");
            Verdict::Answer { response: reply.error(&answer, close), close }
        }
    }
}

/// The session of a stream.
#[derive(Debug)]
pub(in crate::transport) struct EventStream {
    /// Never set: the socket has one.
    pub(super) alarm: Option<Duration>,
    socket: Entry,
    transport: TransportIndex,
    reply: EventsReply,
    heartbeat: Duration,
    feed: Feed,
    /// The response has begun.
    begun: bool,
    /// What to say to the router when the client has taken what it was sent.
    later: Option<String>,
}

impl Reactor {
    /// A request for a stream.
    pub(super) fn open_stream(&mut self, key: usize, opening: Opening) {
        let Opening { reply, transport, query, headers } = opening;
        let Content::Events(config) = &*reply.content else { return };
        let named = |wanted: &str| {
            let of = |(name, _): &&(Box<str>, Box<str>)| name.eq_ignore_ascii_case(wanted);
            headers.iter().filter(of).map(|(_, value)| &**value).collect::<Vec<_>>()
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let held_bytes_max = self.settings.premises.config.out_queue_bytes_max;
        let last = named("Last-Event-ID").first().copied().filter(|last| !last.is_empty());
        let feed = Feed::new(config, &query, last, now, held_bytes_max);
        let feed = match feed {
            Ok(feed) => feed,
            Err(answer) => return self.respond(key, [reply.error(&answer, true)], true),
        };
        if self.shutting_down {
            // Browsers do not come again after an error.
            let text = feed.farewell("{}");
            let body = [reply.head(200, &CONTENT, None, true), text.into_bytes()].concat();
            return self.respond(key, [Frame::new(body.into(), bytes::Bytes::new())], true);
        }
        let cookies = self.settings.premises.cookies.get(usize::from(transport)).and_then(Option::as_deref);
        // Who is not known gets no cookie here: nobody can log in with it.
        let visit = cookies.filter(|_| config.cookie).and_then(|cookies| cookies.visit(&named("Cookie")).ok());
        let cookie = visit.filter(|visit| visit.known.is_some());
        let cookie = cookie.map(|visit| Box::new(crate::auth::peer::Cookie { id: visit.id, known: visit.known }));
        let known = cookie.is_some();
        let listener = usize::from(self.connections[key].peer.listener);
        let header = self.settings.premises.entrances[listener].forwarded_header();
        let forwarded = named(header.name()).into_iter().map(str::to_owned).collect();
        // Whether the page may have a session has been decided at the door.
        if let Err(crowded) =
            self.arrive(key, Arrival { transport, cookie, forwarded, provenance: Provenance::default() })
        {
            self.tally.crowded += 1;
            return self.respond(key, [reply.error(&failure(503, &crowded.to_string()), true)], true);
        }
        self.count_message(key);
        let (heartbeat, hello) = (config.heartbeat, feed.hello(known));
        let socket = (key, self.connections[key].serial);
        let peer = self.connections[key].peer.clone();
        let stream = EventStream { alarm: None, socket, transport, reply, heartbeat, feed, begun: false, later: None };
        let serial = self.new_serial();
        let session = Connection::without_socket(Side::Stream(Box::new(stream)), peer, serial);
        let session = self.connections.insert(session);
        self.settings.loads.add(usize::from(self.seat.index));
        if let Some(socket) = self.connections[key].longpoll.as_deref_mut().and_then(Side::socket) {
            socket.stream = Some((session, serial));
        }
        self.set_alarm(key, Some(heartbeat));
        self.open(session, Link { serializer: Serializer::Json, framing: Framing::Bare, message_max: usize::MAX });
        self.gauges.came(&self.connections[session], hello.len());
        self.core.receive(self.clock, conn_id(session), hello.as_bytes());
        self.settle();
    }

    fn stream_at(&mut self, key: usize) -> Option<&mut EventStream> {
        match self.connections.get_mut(key)?.longpoll.as_deref_mut()? {
            Side::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// The session of a stream whose socket this is.
    fn session_of(&mut self, socket: usize) -> Option<Entry> {
        let side = self.connections.get_mut(socket)?.longpoll.as_deref_mut()?;
        let entry = side.socket()?.stream?;
        self.current(entry).map(|_| entry)
    }

    /// Acts on what the core has said to a stream. False if it is none.
    pub(super) fn hear_stream(&mut self, key: usize) -> bool {
        let Some(socket) = self.stream_at(key).map(|stream| stream.socket) else { return false };
        let mut over = self.connections[key].phase == Phase::Closing;
        for frame in self.connections[key].out.take_whole(usize::MAX) {
            // Also when the client has turned out to be too slow meanwhile.
            let Some(stream) = self.stream_at(key) else { return true };
            for step in stream.feed.hear(&frame.parts().concat()) {
                over |= step == Step::End;
                self.step(key, socket, step);
            }
        }
        if over && self.stream_at(key).is_some() {
            self.end_stream(key, socket);
        }
        // Now, not in the next turn.
        if self.current(socket).is_some() {
            self.write(socket.0);
        }
        true
    }

    fn step(&mut self, key: usize, socket: Entry, step: Step) {
        let entry = (key, self.connections[key].serial);
        let Some(stream) = self.stream_at(key) else { return };
        match step {
            Step::Tell(message) => {
                self.longpoll.telling.push((entry, message));
                self.arm();
            }
            Step::TellLater(message) => {
                stream.later = Some(message);
                if self.current(socket).is_some_and(|connection| connection.out.is_empty()) {
                    self.stream_on(socket.0);
                }
            }
            Step::Begin => {
                stream.begun = true;
                let head = stream.reply.head(200, &CONTENT, None, true);
                self.log_access(socket.0, &head, 0);
                self.queue(socket.0, Frame::new(head.into(), bytes::Bytes::new()));
            }
            Step::Send(text) if stream.begun => {
                self.queue(socket.0, Frame::new(text.into_bytes().into(), bytes::Bytes::new()));
            }
            Step::Refuse(answer) if !stream.begun => {
                let response = stream.reply.error(&answer, true);
                stream.begun = true;
                self.respond_late(socket, [response], true);
            }
            Step::Send(_) | Step::Refuse(_) | Step::End => {}
        }
    }

    /// The session is over, and so is the response.
    fn end_stream(&mut self, key: usize, socket: Entry) {
        if self.stream_at(key).is_some_and(|stream| !stream.begun) {
            self.step(key, socket, Step::Refuse(failure(503, "the session has ended; ask again")));
        }
        if let Some(connection) = self.current(socket)
            && let Some(socket) = connection.longpoll.as_deref_mut().and_then(Side::socket)
        {
            socket.stream = None;
        }
        if self.current(socket).is_some() {
            self.set_alarm(socket.0, None);
            self.begin_closing(socket.0);
        }
        self.drop_socket(key);
    }

    /// Says to the router what streams have to say.
    pub(super) fn tell_streams(&mut self) {
        for (entry, message) in std::mem::take(&mut self.longpoll.telling) {
            if self.current(entry).is_some_and(|connection| connection.phase == Phase::Open) {
                self.gauges.came(&self.connections[entry.0], message.len());
                self.core.receive(self.clock, conn_id(entry.0), message.as_bytes());
                self.settle();
            }
        }
    }

    /// All that a client was sent has been written: more may be read from the history. True if it has a stream.
    pub(super) fn stream_on(&mut self, socket: usize) -> bool {
        let Some(entry) = self.session_of(socket) else { return false };
        if let Some(message) = self.stream_at(entry.0).and_then(|stream| stream.later.take()) {
            self.longpoll.telling.push((entry, message));
            self.arm();
        }
        true
    }

    /// The client of a stream gets a sign of life, or is gone. False if the socket has no stream.
    pub(super) fn beat(&mut self, socket: usize) -> bool {
        let Some((key, _)) = self.session_of(socket) else { return false };
        let Some((begun, heartbeat)) = self.stream_at(key).map(|stream| (stream.begun, stream.heartbeat)) else {
            return false;
        };
        let connection = &mut self.connections[socket];
        if !std::mem::take(&mut connection.progress) && !connection.out.is_empty() {
            self.lose(socket, "events are not read");
            return true;
        }
        if begun && self.connections[socket].out.is_empty() {
            self.queue(socket, Frame::whole(BEAT));
        }
        self.set_alarm(socket, Some(heartbeat));
        true
    }

    /// Ends the streams of ways in that no path leads to any longer.
    pub(super) fn reform_streams(&mut self) {
        let listeners = self.settings.premises.config.listeners.iter().filter(|listener| !listener.closed);
        let paths = listeners.flat_map(|listener| &listener.paths);
        let used: Vec<TransportIndex> = paths.filter_map(|path| path.service.transport()).collect();
        let unused = |(key, connection): (usize, &Connection)| match connection.longpoll.as_deref() {
            Some(Side::Stream(stream)) if !used.contains(&stream.transport) => Some((key, stream.socket)),
            _ => None,
        };
        let unused: Vec<(usize, Entry)> = self.connections.iter().filter_map(unused).collect();
        for (key, socket) in unused {
            self.end_stream(key, socket);
        }
        self.settle();
    }
}
