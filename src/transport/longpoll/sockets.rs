//! Sockets that carry requests: their beginning and end, their time limits, and moving them between shards.

use super::alarms::Entry;
use super::reply::ReplyTo;
use super::side::{Side, Socket};
use crate::shard::{self, Command, Visitor};
use crate::transport::connection::{Connection, Phase};
use crate::transport::exchange::{Exchange, Wait};
use crate::transport::preamble::Preamble;
use crate::transport::protocol::Protocol;
use crate::transport::reactor::{READ_BYTES, Reactor};
use crate::transport::stream::Stream;
use crate::transport::tls::Tls;
use crate::wire::Frame;
use smallvec::SmallVec;
use std::time::Duration;

/// What a client is told whose request cannot be handed to the shard that it is for.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

impl Reactor {
    /// The socket's first request is not for WebSocket.
    pub(in crate::transport) fn begin_requests(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        connection.phase = Phase::Requests;
        connection.longpoll = Some(Box::new(Side::Socket(Socket::default())));
    }

    /// A later request of the socket is for WebSocket.
    pub(in crate::transport) fn end_requests(&mut self, key: usize) {
        self.set_alarm(key, None);
        let connection = &mut self.connections[key];
        connection.phase = Phase::Handshake;
        connection.longpoll = None;
        self.set_handshake(key);
    }

    /// Queues the response to the present request, in parts.
    pub(in crate::transport) fn respond(&mut self, key: usize, parts: impl IntoIterator<Item = Frame>, close: bool) {
        let parts: SmallVec<[Frame; 2]> = parts.into_iter().collect();
        self.log_response(key, &parts);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(Side::Socket(socket)) = connection.longpoll.as_deref_mut() else { return };
        socket.answered = true;
        socket.asked = false;
        parts.into_iter().for_each(|part| connection.out.push(part));
        let alarm = (!close).then_some(self.settings.premises.config.longpoll_body_timeout);
        self.set_alarm(key, alarm);
        if close {
            self.begin_closing(key);
        }
        self.mark_dirty(key);
    }

    /// Logs the present request, if it is to be logged and has not been.
    fn log_response(&mut self, key: usize, parts: &[Frame]) {
        let side = self.connections.get_mut(key).and_then(|connection| connection.longpoll.as_deref_mut());
        if side.and_then(Side::socket).is_some_and(|socket| socket.line.is_some()) {
            let octets: usize = parts.iter().map(Frame::len).sum();
            let first = parts.first().map(|first| first.parts().concat()).unwrap_or_default();
            let head = memchr::memmem::find(&first, b"\r\n\r\n").map_or(0, |end| end + 4);
            self.log_access(key, &first, (octets - head) as u64);
        }
    }

    /// The present request has been given to others, and is answered by them sooner or later.
    pub(in crate::transport) fn note_asked(&mut self, key: usize) {
        if let Some(Side::Socket(socket)) = self.connections[key].longpoll.as_deref_mut() {
            socket.asked = true;
        }
    }

    /// Queues the response to a request that has waited.
    pub(in crate::transport) fn respond_late(
        &mut self,
        socket: Entry,
        parts: impl IntoIterator<Item = Frame>,
        close: bool,
    ) {
        if self.current(socket).is_some() {
            self.respond(socket.0, parts, close);
        }
    }

    /// The response was decided on without looking at any transport.
    pub(in crate::transport) fn answer(&mut self, key: usize, response: Frame, close: bool) {
        self.respond(key, [response], close);
    }

    /// Everything queued for the socket has been written: the next request may be read.
    pub(in crate::transport) fn written(&mut self, key: usize) {
        if self.read_on(key) || self.stream_on(key) {
            return;
        }
        let leaving = self.leaving();
        let connection = &mut self.connections[key];
        if let Some(Side::Socket(socket)) = connection.longpoll.as_deref_mut()
            && std::mem::take(&mut socket.answered)
            && let Some(Protocol::Requests(exchange)) = &mut connection.protocol
        {
            socket.serves = None;
            exchange.answered();
            if leaving {
                return self.drop_socket(key);
            }
            self.input(key, 0);
        }
        let connection = &self.connections[key];
        if connection.ended && !self.owes_response(key) && connection.phase == Phase::Requests {
            // All that it had sent before it ended has been answered.
            self.drop_socket(key);
        }
    }

    /// Sets the time limit for what the socket now waits for.
    pub(in crate::transport) fn watch(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        let Some(Protocol::Requests(exchange)) = &connection.protocol else { return };
        let (wait, ahead) = (exchange.wait(), exchange.octets_ahead());
        let Some(Side::Socket(socket)) = connection.longpoll.as_deref_mut() else { return };
        let before = std::mem::replace(&mut socket.wait, wait);
        let answered = socket.answered || socket.reading || socket.rest.is_some() || socket.stream.is_some();
        let polls = socket.polls;
        let own = self.settings.premises.config.listeners[usize::from(connection.peer.listener)].web.idle_timeout;
        let paused = std::mem::replace(&mut connection.pauses.response, ahead > READ_BYTES);
        if paused
            && !connection.pauses.response
            && let Some(task) = &connection.task
        {
            task.wake_by_ref();
        }
        let config = &self.settings.premises.config;
        match wait {
            Wait::Response if answered => {}
            // The transport watches over the time.
            Wait::Response => self.set_alarm(key, None),
            wait if wait == before && connection_has_alarm(&self.connections[key]) => {}
            Wait::Request => {
                let usual = if polls { config.longpoll_idle_timeout } else { config.web_keep_alive_timeout };
                self.set_alarm(key, Some(own.unwrap_or(usual)));
            }
            Wait::Head => {
                let limit = self.lines.handshake_timeout(self.connections[key].peer.listener);
                self.set_alarm(key, Some(limit));
            }
            Wait::Body => self.set_alarm(key, Some(config.longpoll_body_timeout)),
        }
    }

    /// Sets or clears the one time limit of a socket or transport.
    pub(in crate::transport) fn set_alarm(&mut self, key: usize, after: Option<Duration>) {
        let due = after.map(|after| self.clock + after);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(side) = connection.longpoll.as_deref_mut() else { return };
        self.longpoll.alarms.replace(side.alarm(), due, (key, connection.serial));
        if due.is_some() {
            self.arm();
        }
    }

    /// Does what is due.
    pub(in crate::transport) fn expire_longpoll(&mut self, now: Duration) {
        while let Some(entry) = self.longpoll.alarms.take_due(now) {
            let key = entry.0;
            let Some(side) = self.current(entry).and_then(|connection| connection.longpoll.as_deref_mut()) else {
                continue;
            };
            *side.alarm() = None;
            match side {
                Side::Socket(_) => self.overdue(key),
                Side::Transport(_) => self.unpolled(key),
                Side::Bridge(_) | Side::Stream(_) => {}
            }
        }
    }

    /// A socket has waited long enough.
    fn overdue(&mut self, key: usize) {
        if self.beat(key) {
            return;
        }
        let connection = &mut self.connections[key];
        let Some(Protocol::Requests(exchange)) = &connection.protocol else { return };
        match exchange.wait() {
            Wait::Request => self.lose(key, "no further request in time"),
            Wait::Head | Wait::Body => {
                self.tally.timeouts += 1;
                let reply = ReplyTo::to_nobody();
                let response = reply.error(408, "the request did not come in time");
                self.respond(key, [response], true);
            }
            Wait::Response if std::mem::take(&mut connection.progress) => {
                self.set_alarm(key, Some(self.settings.premises.config.longpoll_body_timeout));
            }
            Wait::Response => self.lose(key, "a response is not read"),
        }
    }

    /// True if what the socket has sent before it ended still has to be answered.
    pub(in crate::transport) fn owes_response(&self, key: usize) -> bool {
        let connection = &self.connections[key];
        let waiting = || match connection.longpoll.as_deref() {
            Some(Side::Socket(socket)) => socket.asked || socket.reading || socket.rest.is_some(),
            _ => false,
        };
        connection.phase == Phase::Requests && (!connection.out.is_empty() || waiting())
    }

    /// Takes a socket out of the reactor of this shard.
    pub(in crate::transport) fn release(&mut self, key: usize) -> Option<(shard::Socket, Visitor)> {
        let stream = self.connections[key].stream.take()?;
        let peer = self.connections[key].peer.clone();
        let ticket = self.connections[key].ticket.take()?;
        self.set_alarm(key, None);
        self.connections[key].longpoll = None;
        self.drop_socket(key);
        match stream.release() {
            Ok(socket) => Some((socket, Visitor { peer, ticket })),
            Err(error) => {
                tracing::warn!(%error, "cannot hand a connection to others");
                None
            }
        }
    }

    /// Hands a socket with what was read from it to the shard that its request is for.
    pub(in crate::transport) fn hand_over(&mut self, key: usize, shard: u16, octets: Vec<u8>) {
        let Some((socket, visitor)) = self.release(key) else { return };
        let to = usize::from(shard);
        self.settings.loads.add(to);
        let order = Command::Adopt(socket, visitor, octets);
        if let Err(Command::Adopt(socket, ..)) = self.settings.doors[to].send(order) {
            self.settings.loads.remove(to);
            tracing::warn!(shard, "a shard has too many connections waiting; a long-poll request is refused");
            socket.write_last(BUSY);
        }
    }

    /// Goes on with a socket of another shard. It is already counted here.
    pub(in crate::transport) fn adopt(
        &mut self,
        socket: shard::Socket,
        visitor: Visitor,
        octets: Vec<u8>,
        spawn: impl Fn(usize),
    ) {
        let entrance = &self.settings.premises.entrances[usize::from(visitor.peer.listener)];
        let secure = entrance.tls.is_some();
        let stream = match Stream::register(socket, || entrance.tls.as_ref().map(Tls::acceptor)) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot go on with a connection of another shard");
                self.settings.loads.remove(usize::from(self.seat.index));
                return;
            }
        };
        let protocol = Protocol::Requests(Box::new(Exchange::resumed(octets)));
        let serial = self.new_serial();
        let preamble = secure.then_some(Preamble::Tls);
        let connection = Connection { preamble, ..Connection::new(stream, protocol, visitor, serial) };
        let key = self.connections.insert(connection);
        // Its task reads on when it runs for the first time.
        self.begin_requests(key);
        spawn(key);
    }
}

fn connection_has_alarm(connection: &Connection) -> bool {
    matches!(connection.longpoll.as_deref(), Some(Side::Socket(Socket { alarm: Some(_), .. })))
}
