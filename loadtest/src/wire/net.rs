//! The event loop: connections of either side, read and written without blocking, in one thread.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use slab::Slab;
use socket2::{Domain, Socket, Type};

use crate::clock::{Clock, SECOND};
use crate::wire::framing::{Frame, Framing, Kind};
use crate::wire::handshake::{self, Opened, Opening};
use crate::wire::serializer::Serializer;
use crate::wire::stream::Stream;
use crate::wire::target::{Address, Target, Transport};

const TIMER: Token = Token(usize::MAX - 1);
const LISTENER: Token = Token(usize::MAX - 2);
/// Connections that may wait to be accepted.
const WAITING: i32 = 4096;
const BUFFER: usize = 256 << 10;

/// Takes what happens on the connections.
pub(crate) trait Handler {
    /// A connection is open: messages may go over it.
    fn opened(&mut self, net: &mut Net, conn: usize);
    /// A message has arrived; `now` is when its bytes were read.
    fn message(&mut self, net: &mut Net, conn: usize, message: &[u8], now: u64);
    /// A connection has ended, and not by [`Net::close`].
    fn closed(&mut self, net: &mut Net, conn: usize, reason: &str);
}

/// All connections of a thread.
pub(crate) struct Net {
    pub(crate) clock: Clock,
    poll: Poll,
    events: Events,
    ready: Vec<(Token, bool, bool)>,
    timer: OwnedFd,
    /// What the timer is set to, on the clock.
    alarm: Option<u64>,
    listener: Option<Listener>,
    conns: Slab<Connection>,
    dirty: Vec<usize>,
    buffer: Vec<u8>,
    /// How the first server that told called itself in its answer to a WebSocket request.
    pub(crate) server: Option<String>,
}

struct Connection {
    stream: Stream,
    phase: Phase,
    /// Bytes of a frame that has not arrived completely.
    partial: Vec<u8>,
    /// The parts so far of a fragmented message.
    fragments: Option<Vec<u8>>,
    out: Vec<u8>,
    /// How much of `out` has left.
    sent: usize,
    dirty: bool,
    /// Nothing is read.
    paused: bool,
}

enum Phase {
    Connecting(Transport, Serializer),
    Opening(Opening),
    /// Server side: waiting for the client's opening.
    Accepted,
    Open(Framing, Serializer),
}

enum Listener {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener),
}

impl Net {
    /// # Errors
    /// If the system gives no epoll or timer descriptor.
    pub(crate) fn new() -> Result<Self> {
        let poll = Poll::new().context("no epoll descriptor")?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags).context("no timer descriptor")?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self {
            clock: Clock::new(),
            poll,
            events: Events::with_capacity(1024),
            ready: Vec::new(),
            timer,
            alarm: None,
            listener: None,
            conns: Slab::new(),
            dirty: Vec::new(),
            buffer: vec![0; BUFFER],
            server: None,
        })
    }

    /// Accepts connections; gives the address, with the port if the system chose it.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub(crate) fn listen(&mut self, address: &Address) -> Result<Address> {
        let registry = self.poll.registry();
        let (listener, bound) = match address {
            Address::Tcp(address) => {
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
                socket.set_nonblocking(true)?;
                socket.set_reuse_address(true)?;
                socket.bind(&(*address).into()).with_context(|| format!("cannot listen on {address}"))?;
                socket.listen(WAITING).with_context(|| format!("cannot listen on {address}"))?;
                let mut listener = mio::net::TcpListener::from_std(socket.into());
                registry.register(&mut listener, LISTENER, Interest::READABLE)?;
                let bound = Address::Tcp(listener.local_addr()?);
                (Listener::Tcp(listener), bound)
            }
            Address::Unix(path) => {
                let mut listener = mio::net::UnixListener::bind(path)
                    .with_context(|| format!("cannot listen on {}", path.display()))?;
                registry.register(&mut listener, LISTENER, Interest::READABLE)?;
                (Listener::Unix(listener), address.clone())
            }
        };
        self.listener = Some(listener);
        Ok(bound)
    }

    /// Starts a connection; [`Handler::opened`] says when messages may go over it.
    ///
    /// # Errors
    /// If the socket cannot be made or the connection fails at once.
    pub(crate) fn connect(
        &mut self,
        target: &Target,
        serializer: Serializer,
        number: usize,
        sources: usize,
    ) -> Result<usize> {
        let stream = target.connect(target.source(number, sources)?)?;
        self.adopt(stream, Phase::Connecting(target.transport.clone(), serializer))
    }

    fn adopt(&mut self, mut stream: Stream, phase: Phase) -> Result<usize> {
        let entry = self.conns.vacant_entry();
        let conn = entry.key();
        self.poll.registry().register(&mut stream, Token(conn), Interest::READABLE | Interest::WRITABLE)?;
        entry.insert(Connection {
            stream,
            phase,
            partial: Vec::new(),
            fragments: None,
            out: Vec::new(),
            sent: 0,
            dirty: false,
            paused: false,
        });
        Ok(conn)
    }

    /// Drops a connection.
    pub(crate) fn close(&mut self, conn: usize) {
        self.conns.try_remove(conn);
    }

    /// Stops reading from a connection.
    pub(crate) fn pause(&mut self, conn: usize) {
        if let Some(connection) = self.conns.get_mut(conn) {
            connection.paused = true;
        }
    }

    /// Reads again from a connection, also what has come meanwhile.
    pub(crate) fn resume(&mut self, handler: &mut impl Handler, conn: usize) {
        if let Some(connection) = self.conns.get_mut(conn) {
            connection.paused = false;
            self.progress(handler, conn, true, true);
        }
    }

    /// Sends a ping of the transport.
    pub(crate) fn ping(&mut self, conn: usize) {
        self.put(conn, Kind::Ping, &[]);
    }

    /// Frames a message for a connection. It leaves at the end of the turn.
    pub(crate) fn send(&mut self, conn: usize, message: &[u8]) {
        self.put(conn, Kind::Message, message);
    }

    /// How messages to an open connection are framed and written.
    pub(crate) fn framing(&self, conn: usize) -> Option<(Framing, Serializer)> {
        match self.conns.get(conn)?.phase {
            Phase::Open(framing, serializer) => Some((framing, serializer)),
            _ => None,
        }
    }

    /// Sends a frame that is ready: `now`, or at the end of the turn.
    pub(crate) fn send_frame(&mut self, conn: usize, frame: &[u8], now: bool) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        if now && connection.out.is_empty() {
            let written = connection.stream.write(frame).unwrap_or(0);
            // What the socket did not take leaves when it is writable again.
            connection.out.extend_from_slice(&frame[written..]);
            return;
        }
        connection.out.extend_from_slice(frame);
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(conn);
        }
    }

    /// Bytes that wait for a connection's socket.
    pub(crate) fn backlog(&self, conn: usize) -> usize {
        self.conns.get(conn).map_or(0, |connection| connection.out.len() - connection.sent)
    }

    /// Writes what waits for every connection.
    pub(crate) fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            if let Some(connection) = self.conns.get_mut(conn) {
                connection.dirty = false;
                connection.flush();
            }
        }
        self.dirty = dirty;
    }

    /// Waits until something happens, at the latest until `wake` (on the clock; None: without end), and handles all of it. A signal ends the wait too.
    ///
    /// # Errors
    /// If the system refuses to wait.
    pub(crate) fn turn(&mut self, handler: &mut impl Handler, wake: Option<u64>) -> Result<()> {
        let now = self.clock.now();
        let timeout = match wake {
            None => None,
            Some(wake) if wake <= now => Some(Duration::ZERO),
            // epoll counts milliseconds; the timer descriptor is exact.
            Some(wake) => {
                if self.alarm != Some(wake) {
                    self.set_timer(wake - now)?;
                    self.alarm = Some(wake);
                }
                None
            }
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other.context("cannot wait for sockets")?,
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.extend(self.events.iter().map(|event| {
            (event.token(), event.is_writable(), event.is_read_closed() || event.is_error() || event.is_write_closed())
        }));
        for (token, writable, ending) in ready.drain(..) {
            match token {
                TIMER => {
                    self.alarm = None;
                    let mut expirations = [0; 8];
                    // Nothing to read means that the timer was set anew meanwhile.
                    let _ = rustix::io::read(&self.timer, &mut expirations);
                }
                LISTENER => self.accept()?,
                Token(conn) => self.progress(handler, conn, writable, ending),
            }
        }
        self.ready = ready;
        self.flush();
        Ok(())
    }

    fn set_timer(&self, delay: u64) -> Result<()> {
        let delay = Timespec { tv_sec: (delay / SECOND) as i64, tv_nsec: (delay % SECOND) as i64 };
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = Itimerspec { it_interval: none, it_value: delay };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)
            .context("cannot set the timer")?;
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let accepted = match &self.listener {
                None => return Ok(()),
                Some(Listener::Tcp(listener)) => listener.accept().map(|(stream, _)| {
                    // Without it small writes would wait for acknowledgements; if refused, they do.
                    let _ = stream.set_nodelay(true);
                    Stream::Tcp(stream)
                }),
                Some(Listener::Unix(listener)) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
            };
            match accepted {
                Ok(stream) => drop(self.adopt(stream, Phase::Accepted)?),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error).context("cannot accept connections"),
            }
        }
    }

    fn progress(&mut self, handler: &mut impl Handler, conn: usize, writable: bool, ending: bool) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        if let Phase::Connecting(transport, serializer) = &connection.phase {
            if let Ok(Some(error)) | Err(error) = connection.stream.take_error() {
                return self.end(handler, conn, &format!("cannot connect: {error}"));
            }
            if !writable {
                return;
            }
            connection.phase = Phase::Opening(Opening::start(transport, *serializer, &mut connection.out));
        }
        if writable {
            connection.flush();
        }
        if connection.paused {
            if ending {
                self.end(handler, conn, "the other side closed the connection");
            }
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read(handler, conn, &mut buffer, ending);
        self.buffer = buffer;
        if let Err(error) = result {
            self.end(handler, conn, &format!("{error:#}"));
        }
    }

    fn end(&mut self, handler: &mut impl Handler, conn: usize, reason: &str) {
        if self.conns.try_remove(conn).is_some() {
            handler.closed(self, conn, reason);
        }
    }

    fn read(&mut self, handler: &mut impl Handler, conn: usize, buffer: &mut Vec<u8>, ending: bool) -> Result<()> {
        loop {
            let Some(connection) = self.conns.get_mut(conn) else { return Ok(()) };
            let start = connection.partial.len();
            if buffer.len() < start * 2 {
                buffer.resize(start * 2, 0);
            }
            buffer[..start].copy_from_slice(&connection.partial);
            let room = buffer.len() - start;
            let len = match connection.stream.read(&mut buffer[start..]) {
                Ok(0) => anyhow::bail!("the other side closed the connection"),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot read"),
            };
            let now = self.clock.now();
            let filled = start + len;
            let used = self.take(handler, conn, &buffer[..filled], now)?;
            let Some(connection) = self.conns.get_mut(conn) else { return Ok(()) };
            connection.partial.clear();
            connection.partial.extend_from_slice(&buffer[used..filled]);
            // A read that does not fill the buffer has emptied the socket: what comes later is a new event.
            if len < room && !ending && connection.stream.empties() {
                return Ok(());
            }
        }
    }

    /// Handles all complete frames of `input`; gives how many bytes they were.
    fn take(&mut self, handler: &mut impl Handler, conn: usize, input: &[u8], now: u64) -> Result<usize> {
        let Some(connection) = self.conns.get_mut(conn) else { return Ok(0) };
        let opened = match &connection.phase {
            &Phase::Open(framing, _) => return self.frames(handler, conn, framing, input, 0, now),
            Phase::Connecting(..) => return Ok(0),
            Phase::Opening(opening) => opening.finish(input)?,
            Phase::Accepted => handshake::answer(input)?,
        };
        let Some(Opened { framing, serializer, used, server, answer }) = opened else { return Ok(0) };
        if let (Some(server), None) = (server, &self.server) {
            self.server = Some(server);
        }
        connection.phase = Phase::Open(framing, serializer);
        connection.out.extend_from_slice(&answer);
        connection.flush();
        handler.opened(self, conn);
        self.frames(handler, conn, framing, input, used, now)
    }

    fn frames(
        &mut self,
        handler: &mut impl Handler,
        conn: usize,
        framing: Framing,
        input: &[u8],
        mut at: usize,
        now: u64,
    ) -> Result<usize> {
        while let Some(frame) = framing.parse(input, at)? {
            at = frame.body.end;
            if frame.kind == Kind::Message && frame.last && frame.mask == [0; 4] {
                handler.message(self, conn, &input[frame.body], now);
            } else {
                self.rare_frame(handler, conn, frame, input, now)?;
            }
        }
        Ok(at)
    }

    fn rare_frame(
        &mut self,
        handler: &mut impl Handler,
        conn: usize,
        frame: Frame,
        input: &[u8],
        now: u64,
    ) -> Result<()> {
        let mut body = input[frame.body].to_vec();
        for (byte, key) in body.iter_mut().zip(frame.mask.iter().cycle()) {
            *byte ^= key;
        }
        match frame.kind {
            Kind::Pong => {}
            Kind::Ping => self.put(conn, Kind::Pong, &body),
            Kind::Close => {
                let (code, text) = body.split_at_checked(2).unwrap_or_default();
                let code = code.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
                anyhow::bail!("closed with code {code} {}", String::from_utf8_lossy(text));
            }
            Kind::Message | Kind::Continuation => {
                let Some(connection) = self.conns.get_mut(conn) else { return Ok(()) };
                let mut whole = connection.fragments.take().unwrap_or_default();
                whole.extend_from_slice(&body);
                match frame.last {
                    true => handler.message(self, conn, &whole, now),
                    false => connection.fragments = Some(whole),
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, conn: usize, kind: Kind, body: &[u8]) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        let Phase::Open(framing, _) = connection.phase else { return };
        framing.put(&mut connection.out, kind, body);
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(conn);
        }
    }
}

impl Connection {
    /// Writes what the socket takes; the rest leaves when it is writable again. Errors show when the socket is read.
    fn flush(&mut self) {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        // What TLS has taken may still wait for the socket.
        let _ = self.stream.flush();
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        } else if self.sent > BUFFER && self.sent > self.out.len() / 2 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }
}
