//! Transports: what waits for their clients, how it is given to requests, and how transports end.

use super::side::{Receiver, Side, Transport};
use crate::transport::connection::Phase;
use crate::transport::exchange::Wait;
use crate::transport::protocol::Protocol;
use crate::transport::reactor::Reactor;

impl Reactor {
    /// The transport with this key.
    pub(super) fn transport(&mut self, key: usize) -> Option<&mut Transport> {
        self.connections.get_mut(key)?.longpoll.as_deref_mut()?.transport()
    }

    /// Takes the request that waits for messages.
    fn take_receiver(&mut self, key: usize) -> Option<Receiver> {
        self.transport(key)?.receiver.take()
    }

    /// Answers the request that waits for messages with what there is, or with the end of the session. Gives the
    /// socket of the request if it has been answered.
    pub(in crate::transport) fn deliver(&mut self, key: usize) -> Option<usize> {
        let ended = self.connections[key].phase == Phase::Closing;
        let empty = self.connections[key].out.is_empty();
        if empty && !ended {
            return None;
        }
        let Receiver { socket, reply } = self.take_receiver(key)?;
        if empty {
            self.respond_late(socket, [reply.error(410, "the session has ended")], reply.close);
            self.drop_socket(key);
            return Some(socket.0);
        }
        let connection = &mut self.connections[key];
        let transport = connection.longpoll.as_deref_mut()?.transport()?;
        let frames = connection.out.take_whole(if transport.batched { usize::MAX } else { 1 });
        let head = reply.messages(transport.serializer, frames.iter().map(|frame| frame.len()).sum());
        self.respond_late(socket, std::iter::once(head).chain(frames), reply.close);
        if self.shutting_down && self.connections[key].out.is_empty() {
            // It has got the GOODBYE; nothing waits for the answer.
            self.drop_socket(key);
        } else {
            self.await_receive(key);
        }
        Some(socket.0)
    }

    /// Something waits for the client of a transport, or its session has ended.
    pub(in crate::transport) fn write_transport(&mut self, key: usize) {
        if self.hear(key) || self.hear_stream(key) {
            return;
        }
        if self.connections[key].longpoll.as_deref_mut().is_some_and(|side| side.transport().is_some())
            && let Some(socket) = self.deliver(key)
        {
            // Now, not in the next turn.
            self.write(socket);
        }
    }

    /// Answers the request that waits for messages, if there is one, without any.
    pub(super) fn dismiss(&mut self, key: usize) -> bool {
        let Some(Receiver { socket, reply }) = self.take_receiver(key) else { return false };
        if let Some(connection) = self.current(socket)
            && let Some(Side::Socket(socket)) = connection.longpoll.as_deref_mut()
        {
            socket.serves = None;
        }
        self.respond_late(socket, [reply.done()], reply.close);
        true
    }

    /// From now on somebody has to receive within a time that the way in says.
    pub(super) fn await_receive(&mut self, key: usize) {
        let line = self.lines.of(self.connections[key].peer.transport);
        self.set_alarm(key, Some(line.idle_timeout));
    }

    /// The client wants no more.
    pub(super) fn close_transport(&mut self, key: usize) {
        self.dismiss(key);
        self.lose(key, "closed by the client");
    }

    /// A request has waited long enough for messages, or there was none for too long.
    pub(super) fn unpolled(&mut self, key: usize) {
        if self.dismiss(key) {
            self.await_receive(key);
        } else {
            self.lose(key, "nobody receives");
        }
    }

    /// A socket or transport is about to be dropped.
    pub(in crate::transport) fn unlink(&mut self, key: usize) {
        self.set_alarm(key, None);
        let Some(side) = self.connections[key].longpoll.take() else { return };
        match *side {
            Side::Socket(socket) => {
                if let Some(stream) = socket.stream.filter(|entry| self.current(*entry).is_some()) {
                    self.drop_socket(stream.0);
                }
                let Some(entry) = socket.serves.filter(|entry| self.current(*entry).is_some()) else { return };
                let unwritten = !self.connections[key].out.is_empty();
                self.abandoned(entry.0, key, unwritten);
            }
            Side::Transport(transport) => {
                self.longpoll.transports.remove(&transport.id);
                self.longpoll.retired.push(key);
                if let Some(Receiver { socket, reply }) = transport.receiver {
                    self.respond_late(socket, [reply.error(410, "the session has ended")], reply.close);
                }
                self.arm();
            }
            Side::Stream(_) => {
                self.longpoll.retired.push(key);
                self.arm();
            }
            Side::Bridge(bridge) => {
                self.longpoll.retired.push(key);
                self.abandon_bridge(key, *bridge);
                self.arm();
            }
        }
    }

    /// The socket that served a transport is gone.
    fn abandoned(&mut self, key: usize, socket: usize, unwritten: bool) {
        let Some(transport) = self.transport(key) else { return };
        if transport.receiver.as_ref().is_some_and(|receiver| receiver.socket.0 == socket) {
            transport.receiver = None;
            self.await_receive(key);
        } else if unwritten {
            // A session without gaps is not possible any more.
            tracing::info!(peer = &*self.connections[key].peer.label, "messages were lost with a connection");
            self.drop_socket(key);
        }
    }

    /// Gives the keys of dropped transports free. At the end of a turn: the core knows by then.
    pub(in crate::transport) fn reap(&mut self) {
        if self.longpoll.retired.is_empty() {
            return;
        }
        for key in std::mem::take(&mut self.longpoll.retired) {
            self.connections.remove(key);
            self.settings.loads.remove(usize::from(self.seat.index));
        }
        if self.leaving() {
            self.dismiss_sockets();
        }
    }

    /// True if the router shuts down and no session needs sockets for requests any more.
    pub(in crate::transport) fn leaving(&self) -> bool {
        self.shutting_down && self.longpoll.transports.is_empty()
    }

    /// The router shuts down: ends transports whose clients know, and then the sockets that nobody needs.
    pub(in crate::transport) fn shut_down_longpoll(&mut self) {
        // Every session has been told, now or while the router was draining: who has nothing to fetch has fetched that.
        let done = |key: &usize| self.connections[*key].out.is_empty();
        let done: Vec<usize> = self.longpoll.transports.values().copied().filter(done).collect();
        done.into_iter().for_each(|key| self.lose(key, "shutdown"));
        let bridges: Vec<usize> = self.longpoll.bridges.values().copied().collect();
        bridges.into_iter().for_each(|key| self.lose(key, "shutdown"));
        if self.leaving() {
            self.dismiss_sockets();
        }
    }

    /// Ends the sockets that are owed no response.
    fn dismiss_sockets(&mut self) {
        let idle = self.connections.iter().filter_map(|(key, connection)| match &connection.protocol {
            Some(Protocol::Requests(exchange)) if connection.phase == Phase::Requests => {
                (exchange.wait() != Wait::Response).then_some(key)
            }
            _ => None,
        });
        let idle: Vec<usize> = idle.collect();
        idle.into_iter().for_each(|key| self.lose(key, "shutdown"));
    }
}
