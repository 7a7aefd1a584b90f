//! What a shard measures of its connections and turns, and what it tells when it is asked.

use super::connection::{Connection, Phase};
use super::longpoll::Side;
use super::protocol::Protocol;
use super::reactor::{Reactor, conn_id};
use super::stream::Stream;
use crate::auth::Peer;
use crate::router::{ConnId, Histogram, Link, SessionView};
use crate::shard::{Meter, Report, SessionPage, SessionQuery, SessionReport, Socket, Way};
use crate::wamp::{SessionId, Uri};
use crate::wire::frame::Framing;
use crate::wire::rawsocket::RawAccepted;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Connections that are looked at for one page of sessions.
const LOOKS_MAX: usize = 10_000;

/// Ways that are told apart. There are fewer.
const WAYS_MAX: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Gauges {
    /// The first one is for connections that the core does not know.
    meters: Vec<(Way, Meter)>,
    turn_time: Histogram,
    delivery_time: Histogram,
    /// When the oldest was published of what is being written to subscribers.
    since: Option<Duration>,
}

impl Default for Gauges {
    fn default() -> Gauges {
        let http = Way { serializer: None, transport: "http" };
        Gauges {
            meters: vec![(http, Meter::default())],
            turn_time: Histogram::default(),
            delivery_time: Histogram::default(),
            since: None,
        }
    }
}

impl Gauges {
    /// The meter of a connection with such a link.
    pub(super) fn meter(&mut self, connection: &Connection, link: Link) -> u8 {
        let way = Way { serializer: Some(link.serializer), transport: transport(connection, link) };
        let at = self.meters.iter().position(|(known, _)| *known == way).unwrap_or_else(|| {
            self.meters.push((way, Meter::default()));
            self.meters.len() - 1
        });
        u8::try_from(at.min(WAYS_MAX)).unwrap_or_default()
    }

    /// A message has come.
    #[inline]
    pub(super) fn came(&mut self, connection: &Connection, octets: usize) {
        if let Some((_, meter)) = self.meters.get_mut(usize::from(connection.meter)) {
            meter.messages_in += 1;
            meter.bytes_in += octets as u64;
        }
    }

    /// A frame is going to be written.
    #[inline]
    pub(super) fn goes(&mut self, connection: &Connection, octets: usize) {
        if let Some((_, meter)) = self.meters.get_mut(usize::from(connection.meter)) {
            meter.messages_out += 1;
            meter.bytes_out += octets as u64;
        }
    }

    /// What was published then is going to be written to subscribers.
    #[inline]
    pub(super) fn fans_out(&mut self, since: Duration) {
        if self.since.is_none_or(|oldest| since < oldest) {
            self.since = Some(since);
        }
    }
}

fn transport(connection: &Connection, link: Link) -> &'static str {
    if connection.peer.inside.is_some() {
        return "inside";
    }
    match (connection.longpoll.as_deref(), link.framing) {
        (Some(Side::Bridge(_)), _) => "bridge",
        (Some(Side::Stream(_)), _) => "eventsource",
        (Some(_), _) => "longpoll",
        (None, Framing::WebSocket { .. }) => "websocket",
        (None, _) => "rawsocket",
    }
}

impl Reactor {
    /// A turn is over.
    pub(super) fn note_turn(&mut self) {
        let now = self.settings.epoch.elapsed();
        self.gauges.turn_time.record(now.saturating_sub(self.armed_at));
        if self.gauges.since.is_some() && !self.unwritten.has_wide() {
            let since = self.gauges.since.take().unwrap_or(now);
            self.gauges.delivery_time.record(now.saturating_sub(since));
        }
    }

    /// Serves a session of this process.
    pub(super) fn join(&mut self, socket: UnixStream, peer: Arc<Peer>, accepted: &RawAccepted, spawn: &impl Fn(usize)) {
        let stream = match Stream::register(Socket::Unix(socket), || None) {
            Ok(stream) if !self.shutting_down => stream,
            _ => return self.settings.loads.remove(usize::from(self.seat.index)),
        };
        let serial = self.new_serial();
        let protocol = Protocol::opened(accepted);
        let key = self.connections.insert(Connection::inside(stream, protocol, peer, serial));
        spawn(key);
        let link =
            Link { serializer: accepted.serializer, framing: Framing::RawSocket, message_max: accepted.peer_max };
        self.open(key, link);
    }

    /// Tells how the shard is. Who asked may not wait any longer.
    pub(super) fn report(&self, to: oneshot::Sender<Box<Report>>) {
        let mut report = Report {
            core: self.core.counters(),
            tally: self.tally,
            meters: self.gauges.meters.clone(),
            connections: self.connections.len() as u64,
            overflow_bytes: self.port.overflow_weight() as u64,
            orders: self.seat.commands.len() as u64,
            turn_time: self.gauges.turn_time,
            delivery_time: self.gauges.delivery_time,
            ..Report::default()
        };
        for (_, connection) in &self.connections {
            report.queued_bytes += connection.out.bytes() as u64;
            report.blocked += u64::from(connection.blocked && !connection.out.is_empty());
        }
        let _ = to.send(Box::new(report));
    }

    /// Tells of some sessions.
    pub(super) fn list_sessions(&self, query: &SessionQuery, to: oneshot::Sender<SessionPage>) {
        let first = query.after.map_or(0, |after| after as usize + 1);
        let mut page = SessionPage::default();
        let last = self.connections.iter().next_back().map_or(0, |(key, _)| key);
        for (looks, key) in (first..=last).enumerate() {
            if page.sessions.len() == query.limit || looks == LOOKS_MAX {
                page.next = Some(conn_id(key).0.saturating_sub(1));
                break;
            }
            page.sessions.extend(self.session_report(conn_id(key), query));
        }
        let _ = to.send(page);
    }

    fn session_report(&self, conn: ConnId, query: &SessionQuery) -> Option<SessionReport> {
        let connection = self.connections.get(conn.0 as usize).filter(|connection| connection.phase == Phase::Open)?;
        let queued_bytes = connection.out.bytes();
        let session = self.core.session_view(conn)?;
        let SessionView { id, realm, identity, .. } = session;
        let has = |text: &str| {
            let places = [&*identity.authid, &*identity.authrole, &*connection.peer.label];
            places.iter().any(|place| place.contains(text)) || id.get().to_string() == text
        };
        let wanted = query.realm.is_none_or(|wanted| wanted == realm)
            && queued_bytes >= query.queued_bytes_min
            && query.text.as_deref().is_none_or(has);
        let way = self.gauges.meters.get(usize::from(connection.meter)).map(|(way, _)| *way).unwrap_or_default();
        wanted.then(|| SessionReport {
            id,
            realm,
            identity: identity.clone(),
            peer: connection.peer.clone(),
            way,
            queued_bytes,
            subscriptions: session.subscriptions,
            registrations: session.registrations,
            calls: session.calls,
            age: self.clock.saturating_sub(session.since),
        })
    }

    /// Ends a session.
    pub(super) fn kick(&mut self, id: SessionId, reason: Uri, message: Option<&str>, to: oneshot::Sender<bool>) {
        let there = self.core.kick(self.clock, id, reason, message);
        self.settle();
        let _ = to.send(there);
    }
}
