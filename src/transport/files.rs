//! Files on their way to sockets: read piece by piece on other threads, the next one when the last one has been written.

use super::exchange::Forwarded;
use super::longpoll::{ReplyTo, Side};
use super::reactor::Reactor;
use crate::config::allowed::Allowed;
use crate::shard::Inquirer;
use crate::web::{Piece, Reader, Request, date};
use crate::wire::Frame;
use crate::wire::http::{self, TEXT};

impl Reactor {
    /// A request for a file.
    pub(super) fn serve_file(&mut self, key: usize, mut request: Box<Request>) {
        request.close |= self.leaving();
        let (close, head_only) = (request.close, request.head_only);
        let reader = self.reader(key);
        if self.settings.files.begin(reader, request).is_err() {
            let mut reply = ReplyTo::to_nobody();
            (reply.close, reply.head_only) = (close, head_only);
            return self.answer(key, reply.error(503, "too many requests for files wait already"), close);
        }
        if let Some(socket) = self.connections[key].longpoll.as_deref_mut().and_then(Side::socket) {
            (socket.reading, socket.close) = (true, close);
        }
        self.set_alarm(key, Some(self.settings.premises.config.longpoll_body_timeout));
    }

    /// A request for what the router counts and measures. Who may not know it learns no more than that nothing is there.
    pub(super) fn ask_for_metrics(&mut self, key: usize, head_only: bool, close: bool, forwarded: &Forwarded) {
        let close = close || self.leaving();
        let Reader { shard, key, serial } = self.reader(key);
        let inquirer = Inquirer { shard, key, serial, head_only, close };
        let may = self.may_know_metrics(key, forwarded);
        self.note_asked(key);
        if !may || self.settings.inquiries.send(inquirer).is_err() {
            self.answer(key, told(404, &[], (TEXT, "nothing is served here\n"), (head_only, close)), close);
        }
    }

    /// A proxy that is not trusted brings strangers by an address that may be allowed.
    fn may_know_metrics(&self, key: usize, forwarded: &Forwarded) -> bool {
        let peer = &self.connections[key].peer;
        let entrance = &self.settings.premises.entrances[usize::from(peer.listener)];
        let told = || {
            let values = forwarded.iter().filter(|(header, _)| *header == entrance.forwarded_header());
            let values: Vec<String> = values.map(|(_, value)| value.clone()).collect();
            entrance.client(peer.address, &values)
        };
        let known = if forwarded.is_empty() { Some(peer.address) } else { told().map(Some) };
        let allowed = self.settings.premises.config.metrics_allow.as_deref().and_then(|text| text.parse().ok());
        allowed.zip(known).is_some_and(|(allowed, address): (Allowed, _)| allowed.admits(address))
    }

    /// What a request waits for is known.
    pub(super) fn respond_to(&mut self, inquirer: Inquirer, kind: &str, text: &str) {
        let Inquirer { key, serial, head_only, close, .. } = inquirer;
        let headers = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];
        self.respond_late((key, serial), [told(200, &headers, (kind, text), (head_only, close))], close);
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
        let status = http::status(response);
        tracing::info!(target: "corebar::access", peer = &*connection.peer.label, request = line, status, octets);
    }

    fn reader(&self, key: usize) -> Reader {
        Reader { shard: self.seat.index, key, serial: self.connections[key].serial }
    }
}

/// A response that is a text.
fn told(status: u16, headers: &[(&str, &str)], (kind, text): (&str, &str), (head_only, close): (bool, bool)) -> Frame {
    let date = date::stamp();
    let headers: Vec<(&str, &str)> =
        headers.iter().copied().chain(date.as_deref().map(|date| ("Date", date))).collect();
    let mut response = http::response_head(status, &headers, Some((kind, text.len())), close);
    if !head_only {
        response.extend_from_slice(text.as_bytes());
    }
    Frame::new(response.into(), bytes::Bytes::new())
}
