//! Complete requests and what they do to transports.

use super::reply::ReplyTo;
use super::side::{Receiver, Side, Transport};
use crate::auth::Peer;
use crate::config::listener::TransportIndex;
use crate::router::Link;
use crate::shard::{Crowded, Ticket};
use crate::transport::connection::{Connection, Phase};
use crate::transport::exchange::Forwarded;
use crate::transport::reactor::{Reactor, conn_id};
use crate::wire::batch::Messages;
use crate::wire::longpoll::{self, Action, Endpoint, SECRET_BYTES, TransportId};
use crate::wire::provenance::Provenance;
use crate::wire::{Frame, Framing};
use std::sync::Arc;

impl Reactor {
    /// Serves a request that has come on this socket.
    pub(in crate::transport) fn request(
        &mut self,
        key: usize,
        endpoint: Endpoint,
        body: &[u8],
        mut reply: ReplyTo,
        (transport, forwarded, provenance): (TransportIndex, &Forwarded, Provenance),
    ) {
        reply.close |= self.leaving();
        if let Some(socket) = self.connections[key].longpoll.as_deref_mut().and_then(Side::socket) {
            socket.polls = true;
        }
        let (id, action) = match endpoint {
            Endpoint::Open => {
                let response = self.open_transport(key, body, &reply, (transport, forwarded, provenance));
                return self.respond(key, [response], reply.close);
            }
            Endpoint::Transport(id, action) => (id, action),
        };
        let transport = id.and_then(|id| self.longpoll.transports.get(&id).copied());
        let Some(transport) = transport else {
            let response = reply.error(404, "there is no such transport; it may have been closed");
            return self.respond(key, [response], reply.close);
        };
        match action {
            Action::Receive => self.receive(transport, key, reply),
            Action::Send => {
                let response = self.take_in(transport, key, body, &reply);
                self.respond(key, [response], reply.close);
            }
            Action::Close => {
                self.close_transport(transport);
                self.respond(key, [reply.done()], reply.close);
            }
        }
    }

    fn open_transport(
        &mut self,
        socket: usize,
        body: &[u8],
        reply: &ReplyTo,
        (transport, forwarded, provenance): (TransportIndex, &Forwarded, Provenance),
    ) -> Frame {
        let protocol = match longpoll::choose(body) {
            Ok(protocol) => protocol,
            Err(text) => return reply.error(400, &text),
        };
        if self.shutting_down {
            return reply.error(503, "the router shuts down");
        }
        let mut secret = [0; SECRET_BYTES];
        if let Err(error) = getrandom::fill(&mut secret) {
            tracing::error!(%error, "cannot get random numbers for the id of a transport");
            return reply.error(503, "there is no randomness for the id of a transport");
        }
        let (mut peer, ticket) = match self.opener(socket, forwarded) {
            Ok(opener) => opener,
            Err(crowded) => {
                self.tally.crowded += 1;
                return reply.error(503, &crowded.to_string());
            }
        };
        (peer.transport, peer.provenance) = (transport, provenance);
        let id = TransportId { shard: self.seat.index, secret };
        let transport = Transport {
            alarm: None,
            id,
            serializer: protocol.serializer,
            batched: protocol.batched,
            receiver: None,
            violated: false,
        };
        let serial = self.new_serial();
        let side = Side::Transport(transport);
        let connection = Connection { ticket, ..Connection::without_socket(side, Arc::new(peer), serial) };
        let key = self.connections.insert(connection);
        self.longpoll.transports.insert(id, key);
        self.settings.loads.add(usize::from(self.seat.index));
        self.await_receive(key);
        let framing = if protocol.batched { Framing::Batched } else { Framing::Bare };
        self.open(key, Link { serializer: protocol.serializer, framing, message_max: usize::MAX });
        reply.document(&longpoll::opened(protocol, &id))
    }

    /// Who opens a transport by this socket: the client of a proxy, if a trusted one tells.
    fn opener(&self, socket: usize, forwarded: &Forwarded) -> Result<(Peer, Option<Ticket>), Crowded> {
        let connection = &self.connections[socket];
        let mut peer = (*connection.peer).clone();
        let entrance = &self.settings.premises.entrances[usize::from(peer.listener)];
        let values = forwarded.iter().filter(|(header, _)| *header == entrance.forwarded_header());
        let values: Vec<String> = values.map(|(_, value)| value.clone()).collect();
        let address = entrance.client(peer.address, &values);
        if let Some(address) = address {
            peer.is_from(address);
        }
        peer.label = format!("{} (long-poll)", peer.label).into();
        let another = |ticket: &Ticket| match address {
            Some(address) => ticket.for_another(address),
            None => ticket.another(),
        };
        Ok((peer, connection.ticket.as_ref().map(another).transpose()?))
    }

    /// A `receive`. An older one that still waits is answered without messages: its client is gone or has asked again.
    fn receive(&mut self, key: usize, socket: usize, reply: ReplyTo) {
        self.dismiss(key);
        let transport_entry = (key, self.connections[key].serial);
        let socket_entry = (socket, self.connections[socket].serial);
        if let Some(Side::Socket(socket)) = self.connections[socket].longpoll.as_deref_mut() {
            socket.serves = Some(transport_entry);
        }
        if let Some(transport) = self.transport(key) {
            transport.receiver = Some(Receiver { socket: socket_entry, reply });
        }
        let limit = self.lines.of(self.connections[key].peer.transport).receive_timeout;
        self.set_alarm(key, Some(limit));
        self.deliver(key);
    }

    /// A `send`: gives the messages to the core.
    fn take_in(&mut self, key: usize, socket: usize, body: &[u8], reply: &ReplyTo) -> Frame {
        const ENDED: &str = "the session has ended";
        if self.connections[key].phase != Phase::Open {
            return reply.error(410, ENDED);
        }
        let Some(transport) = self.transport(key) else { return reply.error(410, ENDED) };
        for message in Messages::new(body, transport.serializer.is_text(), transport.batched) {
            match message {
                Ok(message) => {
                    self.gauges.came(&self.connections[key], message.len());
                    self.count_message(socket);
                    self.core.receive(self.clock, conn_id(key), message);
                }
                Err(error) => {
                    self.tally.faults += 1;
                    self.core.violate(self.clock, conn_id(key), &error.reason);
                }
            }
            self.settle();
            if self.connections[key].phase != Phase::Open {
                break;
            }
        }
        match self.transport(key) {
            Some(transport) if transport.violated => {
                reply.error(400, "this broke the protocol, and the session has ended; receive the ABORT for the reason")
            }
            Some(_) => reply.done(),
            None => reply.error(410, ENDED),
        }
    }
}
