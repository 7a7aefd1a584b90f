//! A running router: its shards, its listeners, and how it ends.

mod backstage;
mod console;
mod health;
mod lookout;
pub mod manage;
mod metrics;
mod ports;
mod reload;
mod watch;

use crate::auth::{AuthSettings, Peer};
use crate::config::guest::GuestError;
use crate::config::relay::Target;
use crate::config::web::{PathConfig, Root, Service, StaticConfig};
use crate::config::{
    AppConfig, ComponentConfig, ConfigError, GuestConfig, ListenerConfig, ManagementConfig, RuntimeConfig,
};
use crate::courier::Couriers;
use crate::link::{Join, Links};
use crate::process::{self, Guests};
use crate::router::{Attempts, Drain, Past, Policy, ShardConfig, ShardIndex, subject};
use crate::session::Census;
use crate::shard::thread::{cores_among, cores_for};
use crate::shard::{Command, Crowd, Door, Loads, Mesh, Seat, Vitals};
use crate::store::{Files, Journal, Progress, StoreError, Writer};
use crate::traces::{Exporter, Spans};
use crate::transport::callout::Callouts;
use crate::transport::cookies::{CookieError, Cookies};
use crate::transport::listener::{Acceptor, BindError, Bound, Listener, Pace};
use crate::transport::preamble::Entrance;
use crate::transport::premises::{Board, Premises};
use crate::transport::reactor::{self, Settings};
use crate::transport::relay::Relays;
use crate::transport::tls::TlsError;
use crate::web::archive::Download;
use crate::web::{Content, Piece, Pool, Reader, Repeats, WebError};
use backstage::Backstage;
pub use console::{Console, Insider, Place};
use manage::{Manager, Office, Request};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// While it shuts down, the node looks this often whether all clients have gone.
const SHUTDOWN_POLL: Duration = Duration::from_millis(10);

/// Who was accepted just before another process took over has so long to join, and is not turned away.
const ARRIVAL: Duration = Duration::from_millis(500);
/// How often a shard that takes no orders is offered a piece of a file.
const TELL_ATTEMPTS: usize = 500;

/// Why a router does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The files of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file of a transport's cookies cannot be used.
    #[error(transparent)]
    Cookies(#[from] CookieError),
    /// What is to be served at a path cannot be.
    #[error(transparent)]
    Web(#[from] WebError),
    /// A shard could not be started.
    #[error("cannot start a shard: {0}")]
    Shard(io::Error),
    /// A guest cannot work.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// Histories on disk cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory for components could not be made.
    #[error("cannot make a directory for components: {0}")]
    Backstage(io::Error),
    /// The operating system gave no randomness.
    #[error("cannot get random numbers: {0}")]
    Random(getrandom::Error),
}

/// A router that runs. It goes on when this value is dropped; [`Node::shut_down`] ends it.
#[derive(Debug)]
pub struct Node {
    bound: Vec<Bound>,
    premises: Premises,
    board: Arc<Board>,
    /// Random octets, from which challenges are made.
    secret: [u8; 32],
    cores: Vec<Option<usize>>,
    doors: Arc<[Door]>,
    loads: Arc<Loads>,
    threads: Vec<JoinHandle<()>>,
    /// By listener; none of those that are closed.
    acceptors: Vec<Option<AbortHandle>>,
    /// By listener, for as long as they are open.
    listeners: Vec<Weak<Listener>>,
    /// Another process serves on the same sockets.
    handed_over: bool,
    /// Look after files.
    watchers: Vec<AbortHandle>,
    /// Run as long as the node does.
    lifelong: Vec<AbortHandle>,
    /// Answers questions of load balancers on a port of their own.
    probes: Option<AbortHandle>,
    vitals: Arc<Vitals>,
    crowd: Arc<Crowd>,
    pace: Arc<Pace>,
    /// Where the shards leave their spans.
    spans: Arc<Spans>,
    /// Ends behind the shards, whose records it writes.
    writer: Option<Writer>,
    /// Sends their spans, also behind them.
    exporter: Option<Exporter>,
    guests: Guests,
    couriers: Couriers,
    links: Links,
    backstage: Backstage,
    manager: Manager,
    /// What managers ask for, until the owner takes this end.
    requests: (mpsc::Sender<Request>, Option<mpsc::Receiver<Request>>),
}

impl Node {
    /// Opens all listeners, starts all shards, then begins to accept. Has to be called on a tokio runtime, which
    /// accepts connections for as long as it runs.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; nothing is left running.
    pub fn start(config: RuntimeConfig) -> Result<Node, StartError> {
        Node::start_with(config, Vec::new())
    }

    /// The same, with sockets that another process has opened: those where the configuration wants to listen are taken
    /// for that, the others are closed.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; nothing is left running.
    pub fn start_with(config: RuntimeConfig, mut inherited: Vec<Listener>) -> Result<Node, StartError> {
        config.check()?;
        let backstage = Backstage::new().map_err(StartError::Random)?;
        let config = backstage.furnish(&config)?;
        let premises = Premises::open(Arc::new(config), None)?;
        let config = premises.config.clone();
        let mut take = |listener: &ListenerConfig| {
            let there = inherited.iter().position(|socket| socket.is_at(&listener.address));
            there.map_or_else(|| open(listener), |at| Ok(inherited.swap_remove(at)))
        };
        backstage.open(&config).map_err(StartError::Backstage)?;
        let listeners = config.listeners.iter().map(&mut take).collect::<Result<Vec<_>, _>>();
        let listeners = listeners.inspect_err(|_| backstage.close())?;
        for left in &inherited {
            tracing::warn!(address = %left.bound(), "a socket was handed over at an address where nothing is to be served");
        }
        let probes = health::listen(&config).inspect_err(|_| backstage.close())?;
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(StartError::Random)?;

        let shards = config.shards.unwrap_or_else(|| default_shards(config.cores.as_deref()));
        let mut node = Node {
            bound: listeners.iter().map(|listener| listener.bound().clone()).collect(),
            board: Arc::new(Board::new(premises.clone())),
            premises,
            secret,
            cores: Vec::new(),
            doors: Arc::new([]),
            loads: Arc::new(Loads::new(usize::from(shards))),
            threads: Vec::new(),
            acceptors: Vec::new(),
            listeners: Vec::new(),
            handed_over: false,
            watchers: Vec::new(),
            lifelong: Vec::new(),
            probes: None,
            vitals: Arc::new(Vitals::new(shards)),
            crowd: Crowd::new(config.connections_max, config.connections_per_address_max),
            pace: Pace::new(config.accept_rate_max, config.accept_pause),
            spans: Arc::new(Spans::new(config.traces_queue_spans_max)),
            writer: None,
            exporter: None,
            guests: Guests::start(&[])?,
            couriers: Couriers::default(),
            links: Links::default(),
            backstage,
            manager: Manager::default(),
            requests: {
                let (to, from) = manage::request::channel();
                (to, Some(from))
            },
        };
        let started = node.start_shards(shards).and_then(|()| {
            listeners.into_iter().enumerate().try_for_each(|(index, listener)| node.accept(index, listener))
        });
        node.guests.look_out(lookout::lookout(node.console()));
        node.guests.keep(config.processes_log_lines, config.processes_log_bytes);
        node.guests.bound(config.processes_count_max);
        // Guests may connect at once.
        let started = started.and_then(|()| {
            Ok(node.guests.reload(&node.backstage.programs(&config), config.guests.len() + config.apps.len())?)
        });
        let started = started.and_then(|()| node.send_couriers());
        node.watch();
        node.feel_pulse();
        node.answer_probes(probes);
        match started {
            Ok(()) => {
                node.vitals.set_ready(true);
                node.manage();
                node.link();
                Ok(node)
            }
            Err(error) => {
                node.stop();
                Err(error)
            }
        }
    }

    /// Has the couriers that the configuration wants.
    fn send_couriers(&mut self) -> Result<(), StartError> {
        let (backstage, config) = (&self.backstage, &self.premises.config);
        self.couriers.reload(&config.couriers, |courier| backstage.courier(courier)).map_err(StartError::Shard)
    }

    /// Has the links that the configuration wants, and whose realms are there.
    fn link(&mut self) {
        let config = &self.premises.config;
        let console = self.console();
        self.links.reload(&config.links, |link| -> Join {
            let (console, link) = (console.clone(), link.clone());
            Arc::new(move || {
                let (realm, namespace) = (link.realm.clone(), link.namespace.clone());
                let who = Insider { realm, namespace, authid: link.id.clone(), role: None };
                let console = console.clone();
                Box::pin(async move { console.join_to_pass_on(who).await })
            })
        });
    }

    /// Begins to accept what comes by a listener.
    fn accept(&mut self, index: usize, listener: Listener) -> Result<(), StartError> {
        let transport = self.premises.config.listeners[index].transport;
        let number = u16::try_from(index).map_err(|_| ConfigError::TooMany)?;
        let peer = Peer { listener: number, transport, ..Peer::default() };
        let bound = listener.bound().clone();
        let (doors, loads) = (self.doors.clone(), self.loads.clone());
        let listener = Arc::new(listener);
        let known = Arc::downgrade(&listener);
        let counted = (self.crowd.clone(), self.board.clone());
        let acceptor = Acceptor::new(listener, peer, doors, loads, counted, self.pace.clone());
        let acceptor = acceptor.map_err(StartError::Shard)?;
        if self.acceptors.len() <= index {
            self.acceptors.resize_with(index + 1, || None);
            self.listeners.resize_with(index + 1, Weak::new);
        }
        self.listeners[index] = known;
        self.acceptors[index] = Some(tokio::spawn(acceptor.run()).abort_handle());
        match self.bound.get_mut(index) {
            Some(known) => *known = bound,
            None => self.bound.push(bound),
        }
        Ok(())
    }

    /// Looks, without starting anything, whether the files that a configuration names can be used.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn check(config: &RuntimeConfig) -> Result<(), StartError> {
        config.check()?;
        for listener in &config.listeners {
            Entrance::new(listener)?;
        }
        for path in config.listeners.iter().flat_map(|listener| &listener.paths) {
            let will_be_got = matches!(&path.service, Service::Archive(archive)
                if archive.origin.is_some() && !archive.file.exists());
            if !will_be_got {
                Content::open(&path.service, None)?;
            }
        }
        Ok(())
    }

    /// What is missing, which does not keep the router from serving: directories of files, programs that guests and
    /// components need, and what else those name. For people. Asks the interpreters of components, which takes about a
    /// second for each.
    #[must_use]
    pub fn missing(config: &RuntimeConfig) -> Vec<String> {
        let lacks = |guest: &GuestConfig| -> Vec<String> {
            let told = |lack| GuestError::Lack(guest.id.clone(), lack).to_string();
            process::lacks(guest).into_iter().map(told).collect()
        };
        let unfit = |component: &ComponentConfig| {
            let error = process::component::missing(component)?;
            Some(GuestError::Component(component.id.clone(), error).to_string())
        };
        let bare = |path: &PathConfig| match &path.service {
            Service::Static(StaticConfig { root: Root::Directory(directory), .. }) if !directory.is_dir() => {
                Some(format!("the files at {}: {} is no directory", path.path, directory.display()))
            }
            Service::Static(StaticConfig { root: Root::Directory(directory), fallback: Some(file), .. })
                if !directory.join(&**file).is_file() =>
            {
                Some(format!("the files at {}: there is no {}", path.path, directory.join(&**file).display()))
            }
            Service::Relay(relay) => match &relay.target {
                Target::Script { directory, .. } if !directory.is_dir() => {
                    Some(format!("the programs at {}: {} is no directory", path.path, directory.display()))
                }
                Target::Script { processor, .. } if !process::is_there(processor) => {
                    Some(format!("the programs at {}: there is no program {}", path.path, processor.display()))
                }
                _ => None,
            },
            _ => None,
        };
        let useless = |app: &AppConfig| {
            let error = process::app::missing(app)?;
            Some(GuestError::Lack(app.id.clone(), error).to_string())
        };
        let files = config.listeners.iter().flat_map(|listener| &listener.paths).filter_map(bare);
        let guests = config.guests.iter().flat_map(lacks);
        let programs = config.apps.iter().filter_map(useless).chain(config.components.iter().filter_map(unfit));
        files.chain(guests).chain(programs).collect()
    }

    /// The configuration, with what is closed.
    #[must_use]
    pub fn config(&self) -> &RuntimeConfig {
        &self.premises.config
    }

    /// Where it listens, in the order of the configuration; where it did, of listeners that are closed. Without the way
    /// in for its own components.
    #[must_use]
    pub fn bound(&self) -> Vec<Bound> {
        self.bound.iter().filter(|bound| !self.backstage.holds(bound)).cloned().collect()
    }

    /// Where clients find it now, as URLs or `unix:` and a path.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let all = self.bound.iter().zip(&self.premises.config.listeners);
        let open = all.filter(|(bound, listener)| !listener.closed && !self.backstage.holds(bound));
        let said = open.map(|(bound, listener)| match bound {
            Bound::Tcp(address) if listener.tls.is_some() => format!("wss://{address}/"),
            bound => bound.to_string(),
        });
        said.collect()
    }

    /// The core to which each shard is pinned, if it is.
    #[must_use]
    pub fn cores(&self) -> &[Option<usize>] {
        &self.cores
    }

    /// Connections now open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.loads.total()
    }

    /// The listening sockets, with their addresses, for a process that will serve in the place of this one. That will
    /// have components of its own.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn sockets(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let open = self.listeners.iter().filter_map(Weak::upgrade);
        let public = open.filter(|listener| !self.backstage.holds(listener.bound()));
        public.map(|listener| Ok((listener.bound().to_string(), listener.duplicate()?))).collect()
    }

    /// Notes that another process serves on the same sockets now.
    pub fn hand_over(&mut self) {
        self.handed_over = true;
        self.listeners.iter().filter_map(Weak::upgrade).for_each(|listener| listener.leave_file());
    }

    /// Notes that no other process has the sockets any longer: the files of Unix sockets go with this one.
    pub fn own_files(&self) {
        self.listeners.iter().filter_map(Weak::upgrade).for_each(|listener| listener.own_file());
    }

    /// Waits until a guest or component has ended with which the node ends, as its configuration says; tells which, and
    /// whether it has failed.
    pub async fn program_ended(&self) -> (Box<str>, bool) {
        self.guests.ended(self.premises.config.node.shutdown_on).await
    }

    /// A way to ask the node for something from anywhere in the process.
    #[must_use]
    pub fn console(&self) -> Console {
        let (doors, loads, vitals) = (self.doors.clone(), self.loads.clone(), self.vitals.clone());
        let links = self.links.directory().clone();
        let seen = (self.guests.roster(), links);
        Console::new((doors, loads), vitals, self.board.clone(), seen, self.spans.clone())
    }

    /// What those who manage the node want of its owner. None: somebody else has it already. Without an owner who takes
    /// this, such requests are refused.
    #[must_use]
    pub fn requests(&mut self) -> Option<mpsc::Receiver<Request>> {
        self.requests.1.take()
    }

    /// Stops a guest or component and starts it again. False: there is none.
    #[must_use]
    pub fn restart(&self, id: &str) -> bool {
        self.guests.restart(id)
    }

    /// Offers what the configuration wants to be offered to managers.
    fn manage(&mut self) {
        let office = Office { console: self.console(), requests: self.requests.0.clone() };
        let config = &self.premises.config;
        let inside = config.components.iter().any(|component| component.controller);
        let offered = config.management.iter().cloned().chain(inside.then(ManagementConfig::controller));
        self.manager.reform(offered.collect(), &office);
    }

    /// Takes leave as the configuration says: after a delay nobody new is accepted, sessions get their GOODBYE spread over
    /// a time, each when its calls are done; then guests are stopped, in times of their own, and all shards end, when the
    /// last client has gone or the time for it is over.
    pub async fn shut_down(mut self) {
        let config = self.premises.config.clone();
        self.vitals.set_ready(false);
        self.manager.tell_first("corebar.node.on_drain", serde_json::Value::Null).await;
        // Those who come now can as well go to the other process.
        if !self.handed_over {
            tokio::time::sleep(config.drain_delay).await;
        }
        self.guests.take_leave();
        self.couriers.leave();
        self.links.leave();
        // An aborted acceptor closes its listener when the runtime next looks at it: waiting lets it.
        self.acceptors.drain(..).flatten().for_each(|acceptor| acceptor.abort());
        self.watchers.drain(..).for_each(|watcher| watcher.abort());
        if self.handed_over {
            tokio::time::sleep(ARRIVAL).await;
        }
        let drain = Drain {
            spread: config.drain_spread,
            calls_timeout: config.drain_calls_timeout,
            retry_spread: config.drain_retry_spread,
        };
        let (done, mut all) = mpsc::channel(1);
        for door in self.doors.iter() {
            order(door, Command::Drain(drain, done.clone())).await;
        }
        drop(done);
        // A shard that does not take leave in time is stuck.
        let longest = drain.spread + drain.calls_timeout + config.shutdown_timeout;
        let _ = tokio::time::timeout(longest, all.recv()).await;
        for door in self.doors.iter() {
            order(door, Command::Shutdown).await;
        }
        let until = Instant::now() + config.shutdown_timeout;
        let clients = async {
            loop {
                tokio::time::sleep(SHUTDOWN_POLL).await;
                if self.loads.total() == 0 || Instant::now() >= until {
                    break;
                }
            }
        };
        tokio::join!(clients, self.guests.stop());
        let left = self.loads.total();
        if left > 0 {
            tracing::warn!(connections = left, "some clients did not leave in time");
        }
        self.stop();
    }

    /// What the shards know of the configuration.
    fn policy(&self, config: &RuntimeConfig) -> Policy {
        let transports = config.transports.iter().map(|transport| transport.auth.clone()).collect();
        let auth = Arc::new(AuthSettings { transports, secret: self.secret });
        Policy { realms: config.realms.clone().into(), auth, limits: config.limits, traces: config.sampling() }
    }

    fn start_shards(&mut self, shards: ShardIndex) -> Result<(), StartError> {
        let config = self.premises.config.clone();
        let count = usize::from(shards);
        let mesh = Arc::new(Mesh::new(count, config.ring_batches));
        let among = cores_among(config.cores.as_deref());
        if let Some(wanted) = config.cores.as_ref().filter(|wanted| among.iter().all(|core| !wanted.contains(&core.id)))
        {
            tracing::warn!(?wanted, "none of the cores for shards is there; shards run on all");
        }
        let cores = if config.pin { cores_for(count, among) } else { None };
        let core = |index: ShardIndex| cores.as_ref().map(|cores| cores[usize::from(index)]);
        let (seats, doors): (Vec<_>, Vec<_>) =
            (0..shards).map(|index| Seat::new(index, core(index), mesh.clone())).unzip();
        self.doors = doors.into();
        let epoch = Instant::now();
        // A clock before 1970 is wrong anyway.
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.trace(&config, started).map_err(StartError::Shard)?;
        let mut past = self.open_store(shards, &config, started)?;
        let Policy { realms, auth, limits, traces } = self.policy(&config);
        let agent: Arc<str> = concat!("corebar-", env!("CARGO_PKG_VERSION")).into();
        let callouts = Arc::new(Callouts::new(config.callout_threads, self.doors.clone()));
        let files = Arc::new(Pool::new(config.web_read_threads, Box::new(tell_pieces(self.doors.clone()))));
        let (inquiries, asked) = mpsc::unbounded_channel();
        self.lifelong.push(tokio::spawn(metrics::serve(self.console(), self.doors.clone(), asked)).abort_handle());
        let (threads, most) = (config.web_relay_threads, config.web_relays_max);
        let relays = Arc::new(Relays::new(threads, most, self.doors.clone(), self.loads.clone()));
        let repeats = Arc::<Repeats>::default();
        let (attempts, census) = (Arc::<Attempts>::default(), Arc::<Census>::default());
        for seat in seats {
            let shard = ShardConfig {
                index: seat.index,
                shards,
                seed: getrandom::u64().map_err(StartError::Random)?,
                epoch: started,
                realms: realms.clone(),
                auth: auth.clone(),
                limits,
                traces,
                attempts: attempts.clone(),
                census: census.clone(),
                agent: agent.clone(),
                #[cfg(feature = "sim")]
                broken: None,
            };
            let own = |past: &mut Past| subject::home(past.subject.realm, &past.subject.uri, shards) == seat.index;
            let settings = Settings {
                shard,
                premises: self.premises.clone(),
                board: self.board.clone(),
                callouts: callouts.clone(),
                files: files.clone(),
                inquiries: inquiries.clone(),
                relays: relays.clone(),
                repeats: repeats.clone(),
                vitals: self.vitals.clone(),
                loads: self.loads.clone(),
                doors: self.doors.clone(),
                epoch,
                journal: self.writer.as_ref().map(Writer::journal),
                spans: self.spans.clone(),
                past: past.extract_if(.., own).collect(),
            };
            self.cores.push(seat.core.map(|core| core.id));
            let thread = seat.start(move |seat| reactor::run(seat, settings)).map_err(StartError::Shard)?;
            self.threads.push(thread);
        }
        Ok(())
    }

    /// Sends spans where a configuration wants them, from a start of time since 1970.
    fn trace(&mut self, config: &RuntimeConfig, started: Duration) -> io::Result<()> {
        let exporter = self.exporter.get_or_insert_with(|| Exporter::new(self.spans.clone(), started));
        exporter.reform(config)
    }

    /// Opens histories on disk, if there are any, starts their writer and gives what they hold.
    fn open_store(
        &mut self,
        shards: ShardIndex,
        config: &RuntimeConfig,
        now: Duration,
    ) -> Result<Vec<Past>, StartError> {
        let (files, past) = Files::open(&config.realms, now)?;
        if files.files.is_empty() {
            return Ok(past);
        }
        let doors = self.doors.clone();
        let tell = move |shard: ShardIndex, progress: Progress| {
            let door = doors.get(usize::from(shard));
            door.is_none_or(|door| door.send(Command::Recorded(progress.upto, progress.failure)).is_ok())
        };
        let (interval, bytes) = (config.history_flush_interval, config.history_queue_bytes_max / 2);
        let writer = Journal::start(files, shards, interval, bytes, Box::new(tell)).map_err(StartError::Shard)?;
        self.writer = Some(writer);
        Ok(past)
    }

    /// Ends all shards that run.
    fn stop(&mut self) {
        self.lifelong.drain(..).chain(self.probes.take()).for_each(|task| task.abort());
        for (door, thread) in self.doors.iter().zip(self.threads.drain(..)) {
            while !thread.is_finished() && door.send(Command::Stop).is_err() {
                std::thread::sleep(SHUTDOWN_POLL);
            }
            if thread.join().is_err() {
                tracing::error!("a shard ended by a panic");
            }
        }
        self.manager.stop();
        self.writer = None;
        if let Some(mut exporter) = self.exporter.take() {
            exporter.stop();
        }
        self.backstage.close();
    }
}

/// Leaves an order at a door, as soon as there is room.
async fn order(door: &Door, command: Command) {
    let mut command = command;
    while let Err(back) = door.send(command) {
        command = back;
        tokio::time::sleep(SHUTDOWN_POLL).await;
    }
}

/// Opens the socket of a listener.
fn open(listener: &ListenerConfig) -> Result<Listener, BindError> {
    Listener::bind(&listener.address, listener.backlog)
}

impl Premises {
    /// Reads the files that a configuration names. What was opened before, and is the same or closed, stays as it is;
    /// the certificates and keys of TLS are read again.
    fn open(config: Arc<RuntimeConfig>, before: Option<&Premises>) -> Result<Premises, StartError> {
        let entrance = |(index, listener): (usize, &ListenerConfig)| {
            let known = before.and_then(|before| before.entrances.get(index)).filter(|_| listener.closed);
            known.map_or_else(|| Entrance::new(listener).map(Arc::new), |known| Ok(known.clone()))
        };
        let entrances = config.listeners.iter().enumerate().map(entrance).collect::<Result<_, _>>()?;
        let mut cookies = Vec::with_capacity(config.transports.len());
        for (index, transport) in config.transports.iter().enumerate() {
            let Some(cookie) = &transport.cookie else {
                cookies.push(None);
                continue;
            };
            // A transport that has moved finds its file with the one that it was.
            let there = |before: &Premises| {
                let others = before.cookies.iter().filter(|_| cookie.store.path().is_some());
                let mut known = before.cookies.get(index).into_iter().chain(others).flatten();
                known.find_map(|known| known.reform(cookie))
            };
            let known = before.and_then(there);
            cookies.push(Some(Arc::new(match known {
                Some(known) => known,
                None => Cookies::open(cookie)?,
            })));
        }
        let download = before.is_none().then(|| Download {
            octets_max: config.web_download_bytes_max as u64,
            timeout: config.web_download_timeout,
        });
        let mut contents: Vec<Arc<[Arc<Content>]>> = Vec::with_capacity(config.listeners.len());
        for (index, listener) in config.listeners.iter().enumerate() {
            let known = before.and_then(|before| before.contents.get(index)).filter(|_| listener.closed);
            contents.push(match known {
                Some(known) => known.clone(),
                None => open_paths(listener, download)?,
            });
        }
        Ok(Premises { config, entrances, contents: contents.into(), cookies: cookies.into() })
    }
}

/// Opens what is served at the paths of a listener.
fn open_paths(listener: &ListenerConfig, download: Option<Download>) -> Result<Arc<[Arc<Content>]>, WebError> {
    listener.paths.iter().map(|path| Content::open(&path.service, download).map(Arc::new)).collect()
}

/// Gives pieces of files to the shards that wait for them, as soon as there is room.
fn tell_pieces(doors: Arc<[Door]>) -> impl Fn(Reader, Option<Piece>) + Send + Sync {
    move |reader, piece| {
        let Some(door) = doors.get(usize::from(reader.shard)) else { return };
        let mut command = Command::Read(reader, piece.map(Box::new));
        for _ in 0..TELL_ATTEMPTS {
            match door.send(command) {
                Ok(()) => return,
                Err(back) => command = back,
            }
            std::thread::sleep(SHUTDOWN_POLL);
        }
        // The shard has ended, or the connection is ended by it when nothing comes.
    }
}

/// One shard for each core that this process may use.
fn default_shards(cores: Option<&[usize]>) -> ShardIndex {
    // Not more than a quota of this process is worth.
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = cores.map_or(all, |_| cores_among(cores).len().clamp(1, all));
    ShardIndex::try_from(cores).unwrap_or(ShardIndex::MAX).min(RuntimeConfig::SHARDS_MAX)
}
