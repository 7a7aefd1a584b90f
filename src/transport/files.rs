//! Files on their way to sockets: read piece by piece on other threads, the next one when the last one has been written.

use super::longpoll::{ReplyTo, Side};
use super::reactor::Reactor;
use crate::web::{Piece, Reader, Request};
use crate::wire::Frame;

impl Reactor {
    /// A request for a file.
    pub(super) fn serve_file(&mut self, key: usize, mut request: Box<Request>) {
        request.close |= self.leaving();
        let close = request.close;
        let reader = self.reader(key);
        if self.settings.files.begin(reader, request).is_err() {
            let mut reply = ReplyTo::to_nobody();
            reply.close = close;
            return self.answer(key, reply.error(503, "too many requests for files wait already"), close);
        }
        if let Some(socket) = self.connections[key].longpoll.as_deref_mut().and_then(Side::socket) {
            (socket.reading, socket.close) = (true, close);
        }
        self.set_alarm(key, Some(self.settings.premises.config.longpoll_body_timeout));
    }

    /// Reads the next piece of a file, if the response that has been written so far is one. True if it is.
    pub(super) fn read_on(&mut self, key: usize) -> bool {
        let reader = self.reader(key);
        let Some(socket) = self.connections[key].longpoll.as_deref_mut().and_then(Side::socket) else { return false };
        let Some(rest) = socket.rest.take() else { return socket.reading };
        socket.reading = true;
        self.settings.files.go_on(reader, rest);
        true
    }

    /// A piece has been read.
    pub(super) fn take_piece(&mut self, reader: Reader, piece: Option<Piece>) {
        let key = reader.key;
        let Some(connection) = self.current((key, reader.serial)) else { return };
        let Some(socket) = connection.longpoll.as_deref_mut().and_then(Side::socket) else { return };
        socket.reading = false;
        let close = socket.close;
        let Some(Piece { head, body, rest }) = piece else {
            return self.lose(key, "the rest of a file cannot be read");
        };
        let (head, length) = head.map_or((Vec::new(), None), |head| (head.octets, Some(head.body)));
        if let Some(length) = length {
            self.log_access(key, &head, length);
        }
        let frame = Frame::new(head.into(), body);
        if rest.is_none() {
            return self.respond(key, [frame], close);
        }
        let connection = &mut self.connections[key];
        connection.out.push(frame);
        if let Some(socket) = connection.longpoll.as_deref_mut().and_then(Side::socket) {
            socket.rest = rest;
        }
        self.set_alarm(key, Some(self.settings.premises.config.longpoll_body_timeout));
        self.mark_dirty(key);
    }

    /// Notes what is asked for, to be logged with the response.
    pub(super) fn note_request(&mut self, key: usize, line: String) {
        if let Some(socket) = self.connections[key].longpoll.as_deref_mut().and_then(Side::socket) {
            socket.line = Some(line);
        }
    }

    /// Logs a request with its response, of which this is the beginning.
    pub(super) fn log_access(&mut self, key: usize, response: &[u8], octets: u64) {
        let connection = &mut self.connections[key];
        let Some(line) =
            connection.longpoll.as_deref_mut().and_then(Side::socket).and_then(|socket| socket.line.take())
        else {
            return;
        };
        let status = response.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse::<u16>().ok());
        let status = status.unwrap_or_default();
        tracing::info!(target: "corebar::access", peer = &*connection.peer.label, request = line, status, octets);
    }

    fn reader(&self, key: usize) -> Reader {
        Reader { shard: self.seat.index, key, serial: self.connections[key].serial }
    }
}
