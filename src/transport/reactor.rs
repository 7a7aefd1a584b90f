//! Everything that one shard's thread owns: the core, its connections, its end of the mesh.
//!
//! A turn of the thread: the sockets that have become readable are read, one read each, and what they bring goes
//! through the core; then, once, messages for other shards are handed over and the out-queues that got something are
//! written.

use super::callout::{Callouts, Question};
use super::connection::{Connection, Phase};
use super::cookies::Cookies;
use super::deadlines::Deadlines;
use super::gauges::Gauges;
use super::keepalive::KeepAlive;
use super::line::Lines;
use super::longpoll::{LongPoll, Side};
use super::outqueue::SCRATCH_BYTES;
use super::premises::{Board, Premises};
use super::protocol::{self, Protocol, Signal};
use super::relay::Relays;
use super::slice::Slice;
use super::stream::Stream;
use super::tasks::{Root, Timer, Turn};
use super::throttle::Throttled;
use super::writing::Unwritten;
use crate::router::{ConnId, Effect, Ending, Link, Past, Policy, Shard, ShardConfig, ShardMsg};
use crate::shard::{Command, Done, Door, Inquirer, Loads, Port, Seat, Socket, Tally, Visitor, Vitals};
use crate::store::Journal;
use crate::traces::Spans;
use crate::web::{Pool, Repeats};
use crate::wire::frame::{Frame, Framing};
use slab::Slab;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Octets of one read. The buffer is shared by all connections of the shard.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// Batches from other shards that are taken before the sockets get their turn.
const BATCHES_PER_TURN: usize = 64;

/// New connections that are taken before the sockets get their turn.
const ORDERS_PER_TURN: usize = 64;

/// What a shard's reactor is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The core's part.
    pub shard: ShardConfig,
    /// The ways in.
    pub premises: Premises,
    /// Where it stands how these are now.
    pub board: Arc<Board>,
    /// Asks applications who clients are.
    pub callouts: Arc<Callouts>,
    /// Reads files.
    pub files: Arc<Pool>,
    /// Passes requests on.
    pub relays: Arc<Relays>,
    /// Requests that may come again.
    pub repeats: Arc<Repeats>,
    /// Where shards show that they turn.
    pub vitals: Arc<Vitals>,
    /// Where requests are asked about that one shard alone cannot answer.
    pub inquiries: mpsc::UnboundedSender<Inquirer>,
    /// Where connections are counted.
    pub loads: Arc<Loads>,
    /// The doors of all shards: a long-poll request may be for another one.
    pub doors: Arc<[Door]>,
    /// The start of time for the core; the same for all shards.
    pub epoch: Instant,
    /// Where records go, if histories are on disk.
    pub journal: Option<Arc<Journal>>,
    /// Where spans go.
    pub spans: Arc<Spans>,
    /// What the histories of this shard start with.
    pub past: Vec<Past>,
}

/// What the root has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Sleep until the bell rings.
    Done,
    /// Go on in the next turn.
    More,
    /// End the thread.
    Stop,
}

/// Connections of which the end has been read, with the error if it was one.
type Endings = VecDeque<(usize, u32, Option<io::Error>)>;

/// See the module.
#[derive(Debug)]
pub(super) struct Reactor {
    pub(super) core: Shard,
    pub(super) port: Port<ShardMsg>,
    pub(super) seat: Seat,
    pub(super) settings: Settings,
    pub(super) connections: Slab<Connection>,
    next_serial: u32,
    pub(super) unwritten: Unwritten,
    /// Connections that are gone and of which the core has to be told.
    lost: Vec<ConnId>,
    /// Connections of which the end has been read.
    ending: Endings,
    /// Connections that were not read because too much waits for other shards.
    pub(super) held: Vec<usize>,
    pub(super) holding: bool,
    pub(super) read_buffer: Vec<u8>,
    /// How long this turn has worked on handshakes of TLS.
    pub(super) greeted_for: Duration,
    /// Taken out while it is used.
    shared: Option<Box<protocol::Shared>>,
    pub(super) scratch: Vec<u8>,
    pub(super) handshakes: Deadlines<(usize, u32)>,
    closings: Deadlines<(usize, u32)>,
    pub(super) keepalive: KeepAlive,
    /// What holds for the connections of each way in.
    pub(super) lines: Rc<Lines>,
    pub(super) throttled: Throttled,
    pub(super) longpoll: LongPoll,
    turn_task: Option<Waker>,
    turn_armed: bool,
    /// When the first task of this turn began that has something to hand over or write.
    pub(super) armed_at: Duration,
    /// When something was last done for somebody.
    busy_at: Duration,
    timer_task: Option<Waker>,
    timer_due: Option<Duration>,
    pub(super) shutting_down: bool,
    /// Dropped when the core has taken leave of every session.
    drained: Option<Done>,
    pub(super) clock: Duration,
    pub(super) tally: Tally,
    pub(super) gauges: Gauges,
}

/// Runs a shard on this thread until it is told to stop.
pub async fn run(seat: Seat, settings: Settings) {
    let epoch = settings.epoch;
    let reactor = Rc::new(RefCell::new(Reactor::new(seat, settings)));
    // Unconstrained: one turn may write to more sockets than tokio lets one task touch.
    drop(tokio::task::spawn_local(tokio::task::unconstrained(Turn(reactor.clone()))));
    drop(tokio::task::spawn_local(Timer::new(reactor.clone(), epoch)));
    Root(reactor.clone()).await;
    let reactor = reactor.borrow();
    tracing::debug!(
        shard = reactor.seat.index,
        connections = ?reactor.tally,
        sessions = ?reactor.core.counters(),
        "the shard ends"
    );
}

impl Reactor {
    fn new(seat: Seat, mut settings: Settings) -> Reactor {
        let mut core = Shard::new(settings.shard.clone());
        settings.past.drain(..).for_each(|past| core.restore(past));
        let config = &settings.premises.config;
        let lines = Rc::new(Lines::new(config));
        Reactor {
            core,
            port: Port::new(seat.mesh.clone(), seat.index),
            connections: Slab::new(),
            next_serial: 0,
            unwritten: Unwritten::default(),
            lost: Vec::new(),
            ending: Endings::default(),
            held: Vec::new(),
            holding: false,
            greeted_for: Duration::ZERO,
            read_buffer: vec![0; READ_BYTES],
            shared: Some(Box::new(protocol::Shared::new(&settings, &lines))),
            scratch: Vec::with_capacity(SCRATCH_BYTES),
            handshakes: Deadlines::default(),
            closings: Deadlines::default(),
            keepalive: KeepAlive::new(config),
            lines,
            throttled: Throttled::new(),
            longpoll: LongPoll::default(),
            turn_task: None,
            turn_armed: false,
            armed_at: Duration::ZERO,
            busy_at: Duration::ZERO,
            timer_task: None,
            timer_due: None,
            shutting_down: false,
            drained: None,
            clock: Duration::ZERO,
            tally: Tally::default(),
            gauges: Gauges::default(),
            seat,
            settings,
        }
    }

    /// Lets others wake the root.
    pub(super) fn attach(&self, root: &Waker) {
        self.seat.mesh.bell(usize::from(self.seat.index)).attach(root);
    }

    /// Takes orders and messages from other shards. `spawn` starts the task of a new connection.
    pub(super) fn take_orders(&mut self, spawn: impl Fn(usize)) -> Progress {
        self.tick();
        for _ in 0..ORDERS_PER_TURN {
            match self.seat.commands.try_recv() {
                Ok(Command::Serve(socket, visitor)) => self.serve(socket, visitor, &spawn),
                Ok(Command::Adopt(socket, visitor, octets)) => self.adopt(socket, visitor, octets, &spawn),
                Ok(Command::Recorded(upto, failure)) => {
                    self.core.recorded(self.clock, upto, failure.as_ref());
                    self.settle();
                }
                Ok(Command::CalledOut(conn, round, verdict)) => {
                    self.core.called_out(self.clock, conn, round, verdict);
                    self.settle();
                }
                Ok(Command::Read(reader, piece)) => self.take_piece(reader, piece.map(|piece| *piece)),
                Ok(Command::Join(socket, peer, accepted)) => self.join(socket, peer, &accepted, &spawn),
                Ok(Command::Report(to)) => self.report(to),
                Ok(Command::Sessions(query, to)) => self.list_sessions(&query, to),
                Ok(Command::Subjects(query, to)) => drop(to.send(self.core.subjects(&query))),
                Ok(Command::Kick(id, reason, message, to)) => self.kick(id, reason, message.as_deref(), to),
                Ok(Command::Respond(inquirer, kind, text)) => self.respond_to(inquirer, kind, &text),
                Ok(Command::Beat) => self.settings.vitals.answer(self.seat.index),
                Ok(Command::Reform(policy, done)) => {
                    self.reform(policy);
                    drop(done);
                }
                Ok(Command::Drain(drain, done)) => {
                    self.core.drain(self.clock, drain);
                    self.settle();
                    self.drained = Some(done);
                    self.finish_draining();
                }
                Ok(Command::Shutdown) => self.shut_down(),
                Ok(Command::Stop) => return Progress::Stop,
                Err(_) => break,
            }
        }
        let more = self.take_batches();
        // Also if nothing came: the bell may have been rung for the overflow.
        self.arm();
        if more || !self.seat.commands.is_empty() { Progress::More } else { Progress::Done }
    }

    /// Goes on with another configuration.
    fn reform(&mut self, policy: Box<Policy>) {
        self.settings.premises = self.settings.board.read();
        let config = &self.settings.premises.config;
        self.lines = Rc::new(Lines::new(config));
        self.keepalive.reform(config);
        if let Some(shared) = &mut self.shared {
            shared.reform(&self.settings.premises, &self.lines);
        }
        self.core.reform(self.clock, *policy);
        self.settle();
        self.reform_bridges();
        self.reform_streams();
    }

    /// True if there may be more.
    fn take_batches(&mut self) -> bool {
        for _ in 0..BATCHES_PER_TURN {
            let Some((from, mut batch)) = self.port.take() else { return false };
            self.busy_at = self.clock;
            for message in batch.drain(..) {
                self.core.peer(self.clock, from, message);
                self.settle();
            }
            self.port.recycle(batch);
        }
        true
    }

    /// Ends a turn: other shards first, since they have further to go, then the sockets. `More` if it has to go on
    /// when it has been seen which sockets are ready.
    pub(super) fn turn(&mut self, task: &Waker) -> Progress {
        self.tick();
        self.turn_task.get_or_insert_with(|| task.clone());
        self.turn_armed = false;
        self.greeted_for = Duration::ZERO;
        if self.take_batches() {
            self.arm();
        }
        // A thread that never sleeps is never told by its bell.
        if !self.seat.commands.is_empty() {
            self.seat.mesh.bell(usize::from(self.seat.index)).rouse();
        }
        self.port.hand_over();
        let more = self.flush() | self.bury();
        self.note_turn();
        self.tell_streams();
        self.reap();
        self.regulate();
        if self.next_due().is_some_and(|due| self.timer_due.is_none_or(|set| due < set))
            && let Some(timer) = &self.timer_task
        {
            timer.wake_by_ref();
        }
        if !more && self.clock >= self.busy_at + self.settings.premises.config.spin {
            return Progress::Done;
        }
        // Whatever wants a turn gets the one that comes anyway.
        self.turn_armed = true;
        self.armed_at = self.settings.epoch.elapsed();
        Progress::More
    }

    /// Does what is due and says when to come again.
    pub(super) fn expire(&mut self, task: &Waker) -> Option<Duration> {
        self.tick();
        self.timer_task.get_or_insert_with(|| task.clone());
        let now = self.now();
        while let Some(entry) = self.handshakes.take_due(now) {
            if self.current(entry).is_some_and(|connection| connection.phase == Phase::Handshake) {
                self.tally.timeouts += 1;
                self.lose(entry.0, "no complete handshake in time");
            }
        }
        while let Some(entry) = self.closings.take_due(now) {
            let Some(connection) = self.current(entry).filter(|connection| connection.phase == Phase::Closing) else {
                continue;
            };
            // A slow reader gets its last words as long as it reads.
            if std::mem::take(&mut connection.progress) && !connection.out.is_empty() {
                self.set_closing(entry.0);
            } else {
                self.lose(entry.0, "closed");
            }
        }
        self.expire_pings(now);
        self.expire_throttled(now);
        if self.unwritten.ripen(now) {
            self.arm();
        }
        self.expire_longpoll(now);
        if self.core.next_deadline().is_some_and(|due| due <= now) {
            self.core.expire(now);
        }
        self.settle();
        self.finish_draining();
        self.timer_due = self.next_due();
        self.timer_due
    }

    /// Does what the socket of a connection asks for: one read, and a write that found no room before.
    pub(super) fn attend(&mut self, key: usize, cx: &mut Context<'_>) -> Poll<()> {
        self.tick();
        let mut connection = &mut self.connections[key];
        if connection.task.is_none() {
            connection.task = Some(cx.waker().clone());
            if connection.phase == Phase::Requests {
                // Another shard has read from it already.
                self.input(key, 0);
                connection = &mut self.connections[key];
            }
        }
        if std::mem::take(&mut connection.blocked) {
            self.mark_dirty(key);
        }
        if self.connections[key].preamble.is_some() {
            ready!(self.prepare(key, cx));
        }
        // The second read mostly does not happen: after one that did not fill the buffer, the socket is known to be
        // empty, and asking only registers the task.
        for _ in 0..2 {
            let connection = &mut self.connections[key];
            if connection.ended && connection.phase != Phase::Gone {
                return Poll::Pending;
            }
            let paused = connection.is_paused();
            let Some(stream) = &mut connection.stream else {
                self.connections.remove(key);
                self.settings.loads.remove(usize::from(self.seat.index));
                return Poll::Ready(());
            };
            if paused {
                return Poll::Pending;
            }
            if self.holding {
                if !std::mem::replace(&mut connection.held, true) {
                    self.held.push(key);
                }
                return Poll::Pending;
            }
            match stream.poll_read(cx, &mut self.read_buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => self.note_end(key, None),
                Poll::Ready(Ok(octets)) => {
                    connection.heard = true;
                    self.busy_at = self.clock;
                    // Also if nothing comes of it: a turn looks after what a thread that never sleeps might forget.
                    self.arm();
                    self.input(key, octets);
                    if octets == self.read_buffer.len() {
                        break;
                    }
                }
                Poll::Ready(Err(error)) => self.note_end(key, Some(error)),
            }
        }
        // There may be more, but others come first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn serve(&mut self, socket: Socket, visitor: Visitor, spawn: impl Fn(usize)) {
        let stream = match Stream::register(socket, || None) {
            Ok(stream) if !self.shutting_down => stream,
            refused => {
                if let Err(error) = refused {
                    tracing::warn!(%error, "cannot serve a connection");
                }
                self.settings.loads.remove(usize::from(self.seat.index));
                return;
            }
        };
        self.tally.accepted += 1;
        let serial = self.new_serial();
        let protocol = Protocol::new();
        let preamble =
            self.settings.premises.entrances[usize::from(visitor.peer.listener)].preamble(visitor.peer.address);
        let connection = Connection { preamble, ..Connection::new(stream, protocol, visitor, serial) };
        let key = self.connections.insert(connection);
        self.set_handshake(key);
        spawn(key);
    }

    pub(super) fn new_serial(&mut self) -> u32 {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        serial
    }

    /// Tells when all sessions have been taken leave of.
    fn finish_draining(&mut self) {
        if self.drained.is_some() && self.core.is_drained() {
            self.drained = None;
        }
    }

    fn shut_down(&mut self) {
        self.shutting_down = true;
        self.settings.relays.leave();
        let waiting = |(key, connection): (usize, &Connection)| (connection.phase == Phase::Handshake).then_some(key);
        let unknown: Vec<usize> = self.connections.iter().filter_map(waiting).collect();
        unknown.into_iter().for_each(|key| self.lose(key, "shutdown"));
        self.core.shutdown(self.now());
        self.settle();
        self.shut_down_longpoll();
    }

    /// Gives what was read to the connection's protocol and acts on what it means.
    pub(super) fn input(&mut self, key: usize, octets: usize) {
        let connection = &mut self.connections[key];
        if matches!(connection.phase, Phase::Closing | Phase::Gone) {
            return;
        }
        let listener = connection.peer.listener;
        let Some(mut protocol) = connection.protocol.take() else { return };
        // The buffer leaves its place so that the protocol may point into it while the core is called.
        let Some(mut shared) = self.shared.take() else { return };
        let mut buffer = std::mem::take(&mut self.read_buffer);
        protocol.feed(&mut buffer[..octets], listener, &mut shared, |signal| self.act(key, signal));
        self.shared = Some(shared);
        self.read_buffer = buffer;
        let connection = &mut self.connections[key];
        if connection.phase != Phase::Gone {
            connection.protocol = Some(protocol);
            if connection.phase == Phase::Requests {
                self.watch(key);
            }
        }
    }

    /// False if the rest of the input does not matter any more.
    fn act(&mut self, key: usize, signal: Signal<'_>) -> bool {
        match signal {
            Signal::Reply(frame) => self.queue(key, frame),
            Signal::Opened(link, arrival) => match self.arrive(key, arrival) {
                Ok(()) => self.open(key, link),
                Err(crowded) => {
                    self.tally.crowded += 1;
                    self.lose(key, &crowded.to_string());
                }
            },
            Signal::Message(message) => {
                self.gauges.came(&self.connections[key], message.len());
                self.count_message(key);
                self.core.receive(self.now(), conn_id(key), message);
                self.settle();
            }
            Signal::Close => self.begin_closing(key),
            Signal::Fault { reason, close } => self.fault(key, reason, close),
            Signal::Requests => self.begin_requests(key),
            Signal::Handshake => self.end_requests(key),
            Signal::Answer { response, close } => self.answer(key, response, close),
            Signal::Request { endpoint, transport, body, reply, forwarded, provenance } => {
                self.request(key, endpoint, body, reply, (transport, &forwarded, provenance));
            }
            Signal::Asked(line) => self.note_request(key, line),
            Signal::Logged { line, status, octets } => {
                let peer = &*self.connections[key].peer.label;
                tracing::info!(target: "corebar::access", peer, request = line, status, octets);
            }
            Signal::Bridge(bridged, body) => self.bridge(key, *bridged, body),
            Signal::Metrics { head_only, close, forwarded } => self.ask_for_metrics(key, head_only, close, &forwarded),
            Signal::Stream(opening) => self.open_stream(key, *opening),
            Signal::File(request) => self.serve_file(key, request),
            Signal::Relay(relayed, octets) => self.relay(key, relayed, octets),
            Signal::Move { shard, octets } => self.hand_over(key, shard, octets),
        }
        matches!(self.connections[key].phase, Phase::Handshake | Phase::Requests | Phase::Open)
    }

    pub(super) fn open(&mut self, key: usize, link: Link) {
        let now = self.now();
        let connection = &mut self.connections[key];
        connection.phase = Phase::Open;
        connection.known = true;
        connection.websocket = matches!(link.framing, Framing::WebSocket { .. });
        connection.meter = self.gauges.meter(connection, link);
        let peer = connection.peer.clone();
        self.keep_alive(key);
        self.core.open(now, conn_id(key), link, peer);
        self.settle();
    }

    /// The peer broke the rules of the transport.
    fn fault(&mut self, key: usize, reason: &str, close: Option<Frame>) {
        self.tally.faults += 1;
        let connection = &mut self.connections[key];
        tracing::info!(peer = &*connection.peer.label, reason, "a connection broke the protocol");
        let drops = self.lines.of(connection.peer.transport).drops_faults;
        if connection.phase == Phase::Open {
            self.core.violate(self.now(), conn_id(key), reason);
            // The core says goodbye and asks for a close; the close frame that belongs to the fault goes instead.
            self.settle_with(Some((key, &close)));
            if drops && self.connections[key].phase != Phase::Gone {
                self.lose(key, reason);
                return;
            }
        }
        if matches!(self.connections[key].phase, Phase::Handshake | Phase::Open) {
            if let Some(frame) = close {
                self.queue(key, frame);
            }
            self.begin_closing(key);
        }
    }

    /// Remembers that a connection is at its end, which is acted on in a slice of a turn.
    fn note_end(&mut self, key: usize, error: Option<io::Error>) {
        let connection = &mut self.connections[key];
        connection.ended = true;
        self.ending.push_back((key, connection.serial, error));
        self.arm();
    }

    /// Acts on ends of connections, for about as long as this turn has worked until now: when thousands go at once, the
    /// others do not wait for them all. True if there are more.
    fn bury(&mut self) -> bool {
        if self.ending.is_empty() {
            return false;
        }
        let mut slice = Slice::new(self);
        while let Some((key, serial, error)) = self.ending.pop_front() {
            if self.current((key, serial)).is_none_or(|connection| connection.phase == Phase::Gone) {
                continue;
            }
            match error {
                None => self.end_of_input(key),
                Some(error) => self.lose(key, &error.to_string()),
            }
            if slice.is_over(self, 1) {
                break;
            }
        }
        !self.ending.is_empty()
    }

    fn end_of_input(&mut self, key: usize) {
        if self.owes_response(key) {
            return;
        }
        let connection = &mut self.connections[key];
        if connection.out.is_empty() {
            self.lose(key, "closed by the peer");
            return;
        }
        // The peer may still read what waits for it; the session is over.
        self.set_closing(key);
        self.connections[key].phase = Phase::Closing;
        self.forget(key);
        self.settle();
    }

    /// Takes everything that the core wants done.
    pub(super) fn settle(&mut self) {
        self.settle_with(None);
    }

    /// The same, with a frame to use when the core closes this connection.
    fn settle_with(&mut self, fault: Option<(usize, &Option<Frame>)>) {
        loop {
            while let Some(effect) = self.core.poll() {
                match effect {
                    Effect::Send { conn, frame } => {
                        let key = conn.0 as usize;
                        if let Some(connection) = self.connections.get_mut(key)
                            && connection.phase == Phase::Open
                        {
                            self.queue(key, frame);
                        }
                    }
                    Effect::Fan { conns, frame, since } => self.fan_out(conns, &frame, since),
                    Effect::Close { conn, ending } => {
                        let key = conn.0 as usize;
                        let frame = fault.filter(|fault| fault.0 == key).map(|fault| fault.1.clone());
                        self.close(key, ending, frame);
                    }
                    Effect::CallOut(what) => {
                        let (shard, until) = (self.seat.index, Instant::now() + what.timeout);
                        self.settings.callouts.ask(Question { shard, what, until });
                    }
                    Effect::Remember { conn, known } => {
                        self.with_cookie(conn, |cookies, id| cookies.remember(id, *known));
                    }
                    Effect::Forget { conn } => self.with_cookie(conn, Cookies::forget),
                    Effect::Hold { conn } => self.hold_for_gate(conn.0 as usize, true),
                    Effect::Resume { conn } => self.hold_for_gate(conn.0 as usize, false),
                    Effect::Peer { to, message } => {
                        self.port.post(to, message);
                        self.arm();
                    }
                    Effect::Record(record) => {
                        if let Some(journal) = &self.settings.journal {
                            journal.append(self.seat.index, record);
                        }
                    }
                    Effect::Span(mut span) => {
                        // What it is about is in the out-queues by now.
                        span.end = self.settings.epoch.elapsed();
                        self.settings.spans.leave(*span);
                    }
                }
            }
            let Some(conn) = self.lost.pop() else { return };
            self.core.lost(self.now(), conn);
        }
    }

    fn with_cookie(&self, conn: ConnId, what: impl FnOnce(&Cookies, &str)) {
        let Some(peer) = self.connections.get(conn.0 as usize).map(|connection| &*connection.peer) else { return };
        let cookies = self.settings.premises.cookies.get(usize::from(peer.transport)).and_then(Option::as_deref);
        if let (Some(cookies), Some(cookie)) = (cookies, &peer.cookie) {
            what(cookies, &cookie.id);
        }
    }

    /// Closes a connection in order, with this frame if it is given and with the one that tells `ending` otherwise.
    fn close(&mut self, key: usize, ending: Ending, frame: Option<Option<Frame>>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        if let Some(transport) = connection.longpoll.as_deref_mut().and_then(Side::transport) {
            transport.closed_for(ending == Ending::Violation);
        }
        let farewell = || connection.websocket.then(|| protocol::farewell(ending));
        if let Some(frame) = frame.unwrap_or_else(farewell) {
            self.queue(key, frame);
        }
        self.begin_closing(key);
    }

    /// From now on a connection has so long for its handshake.
    pub(super) fn set_handshake(&mut self, key: usize) {
        let connection = &self.connections[key];
        let limit = self.lines.handshake_timeout(connection.peer.listener);
        self.handshakes.set(self.clock, limit, (key, connection.serial));
    }

    /// From now on it has so long for its end.
    fn set_closing(&mut self, key: usize) {
        let connection = &self.connections[key];
        // Before a connection is open it is not known which transport it would be.
        let line = match connection.phase {
            Phase::Handshake | Phase::Requests => self.lines.common(),
            Phase::Open | Phase::Closing | Phase::Gone => self.lines.of(connection.peer.transport),
        };
        self.closings.set(self.clock, line.close_timeout, (key, connection.serial));
    }

    pub(super) fn begin_closing(&mut self, key: usize) {
        let connection = &self.connections[key];
        if !matches!(connection.phase, Phase::Handshake | Phase::Requests | Phase::Open) {
            return;
        }
        // What waits for requests waits for them as long as it did before.
        if connection.stream.is_some() {
            self.set_closing(key);
        }
        self.connections[key].phase = Phase::Closing;
        self.forget(key);
        // Even with nothing to write: the flush tells the peer that this was all.
        self.mark_dirty(key);
    }

    /// Ends a connection at once. The core is told, and its effects are taken.
    pub(super) fn lose(&mut self, key: usize, reason: &str) {
        let connection = &self.connections[key];
        tracing::debug!(peer = &*connection.peer.label, reason, "a connection is gone");
        self.drop_socket(key);
        self.settle();
    }

    /// Ends a connection at once. The core is told when its present effects have been taken.
    pub(super) fn drop_socket(&mut self, key: usize) {
        if self.connections[key].longpoll.is_some() {
            self.unlink(key);
        }
        let connection = &mut self.connections[key];
        connection.phase = Phase::Gone;
        connection.stream = None;
        connection.preamble = None;
        connection.protocol = None;
        connection.ticket = None;
        connection.out.clear();
        if let Some(task) = &connection.task {
            task.wake_by_ref();
        }
        self.forget(key);
    }

    /// Has the core told that the connection is lost, once.
    fn forget(&mut self, key: usize) {
        if std::mem::take(&mut self.connections[key].known) {
            self.lost.push(conn_id(key));
        }
    }

    /// Has the turn ended by its task.
    pub(super) fn arm(&mut self) {
        if !self.turn_armed {
            self.turn_armed = true;
            self.armed_at = self.clock;
            if let Some(task) = &self.turn_task {
                task.wake_by_ref();
            }
        }
    }

    fn next_due(&self) -> Option<Duration> {
        let limits = [
            self.handshakes.next(),
            self.closings.next(),
            self.longpoll.next_due(),
            self.core.next_deadline(),
            self.unwritten.due(),
            self.keepalive.next(),
            self.throttled.next(),
        ];
        limits.into_iter().flatten().min()
    }

    /// The connection for which a deadline was set, if it is still there.
    pub(super) fn current(&mut self, (key, serial): (usize, u32)) -> Option<&mut Connection> {
        self.connections.get_mut(key).filter(|connection| connection.serial == serial)
    }

    /// The time when the present task began; asking the clock for each message would cost more than it tells.
    pub(super) fn now(&self) -> Duration {
        self.clock
    }

    fn tick(&mut self) {
        self.clock = self.settings.epoch.elapsed();
    }
}

pub(super) fn conn_id(key: usize) -> ConnId {
    ConnId(u32::try_from(key).expect("a process has less memory than so many connections take"))
}
