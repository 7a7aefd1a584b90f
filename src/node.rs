//! A running router: its shards, its listeners, and how it ends.

use crate::auth::jwt::{JwtKey, KeyRing};
use crate::auth::{AuthSettings, Peer};
use crate::config::{ConfigError, ListenerConfig, RuntimeConfig, TransportConfig};
use crate::router::{Attempts, Past, ShardConfig, ShardIndex, subject};
use crate::session::Census;
use crate::shard::thread::cores_for;
use crate::shard::{Command, Crowd, Door, Loads, Mesh, Seat};
use crate::store::{Files, Journal, Progress, StoreError, Writer};
use crate::transport::callout::Callouts;
use crate::transport::cookies::{CookieError, Cookies};
use crate::transport::listener::{Acceptor, BindError, Bound, Listener};
use crate::transport::preamble::Entrance;
use crate::transport::reactor::{self, Settings};
use crate::transport::tls::{Tls, TlsError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::task::AbortHandle;

/// While it shuts down, the node looks this often whether all clients have gone.
const SHUTDOWN_POLL: Duration = Duration::from_millis(10);

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
    /// A shard could not be started.
    #[error("cannot start a shard: {0}")]
    Shard(io::Error),
    /// Histories on disk cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gave no randomness.
    #[error("cannot get random numbers: {0}")]
    Random(getrandom::Error),
}

/// A router that runs. It goes on when this value is dropped; [`Node::shut_down`] ends it.
#[derive(Debug)]
pub struct Node {
    bound: Vec<Bound>,
    entrances: Arc<[Entrance]>,
    cookies: Arc<[Option<Cookies>]>,
    cores: Vec<Option<usize>>,
    doors: Arc<[Door]>,
    loads: Arc<Loads>,
    threads: Vec<JoinHandle<()>>,
    acceptors: Vec<AbortHandle>,
    /// Ends behind the shards, whose records it writes.
    writer: Option<Writer>,
    shutdown_timeout: Duration,
}

impl Node {
    /// Opens all listeners, starts all shards, then begins to accept. Has to be called on a tokio runtime, which
    /// accepts connections for as long as it runs.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; nothing is left running.
    pub fn start(config: RuntimeConfig) -> Result<Node, StartError> {
        config.check()?;
        let entrances = config.listeners.iter().map(Entrance::new).collect::<Result<_, _>>()?;
        let cookies = |transport: &TransportConfig| transport.cookie.as_ref().map(Cookies::open).transpose();
        let cookies = config.transports.iter().map(cookies).collect::<Result<_, _>>()?;
        let open = |listener: &ListenerConfig| Listener::bind(&listener.address, listener.backlog);
        let listeners = config.listeners.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let bound = listeners.iter().map(|listener| listener.bound().clone()).collect();

        let shards = config.shards.unwrap_or_else(default_shards);
        let loads = Arc::new(Loads::new(usize::from(shards)));
        let mut node = Node {
            bound,
            entrances,
            cookies,
            cores: Vec::new(),
            doors: Arc::new([]),
            loads,
            threads: Vec::new(),
            acceptors: Vec::new(),
            writer: None,
            shutdown_timeout: config.shutdown_timeout,
        };
        let jwts = config.transports.iter().filter_map(|transport| transport.auth.jwt.as_ref());
        let watched: Vec<_> = jwts.filter_map(|jwt| Some((jwt.jwks.clone()?, jwt.keys.clone()))).collect();
        let jwks_interval = config.jwks_interval;
        let crowd = Crowd::new(config.connections_max, config.connections_per_address_max);
        let pace = (config.accept_rate_max, config.accept_pause);
        let transports: Vec<_> = config.listeners.iter().map(|listener| listener.transport).collect();
        let started = node.start_shards(shards, config).and_then(|()| {
            for ((index, listener), transport) in (0..).zip(listeners).zip(transports) {
                let peer = Peer { listener: index, transport, ..Peer::default() };
                let acceptor =
                    Acceptor::new(listener, peer, node.doors.clone(), node.loads.clone(), crowd.clone(), pace);
                let acceptor = acceptor.map_err(StartError::Shard)?;
                node.acceptors.push(tokio::spawn(acceptor.run()).abort_handle());
            }
            Ok(())
        });
        for (path, ring) in watched {
            node.acceptors.push(tokio::spawn(watch_keys(path, ring, jwks_interval)).abort_handle());
        }
        match started {
            Ok(()) => Ok(node),
            Err(error) => {
                node.stop();
                Err(error)
            }
        }
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
        Ok(())
    }

    /// Reads the certificates and keys of all listeners again. Connections that are open go on as they are.
    ///
    /// # Errors
    ///
    /// The first file that cannot be used, for a listener that goes on with what it has; the others are done.
    pub fn reload_certificates(&self) -> Result<(), TlsError> {
        let tls = self.entrances.iter().filter_map(|entrance| entrance.tls.as_ref());
        tls.map(Tls::reload).fold(Ok(()), Result::and)
    }

    /// Where it listens, in the order of the configuration.
    #[must_use]
    pub fn bound(&self) -> &[Bound] {
        &self.bound
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

    /// Accepts nobody new, says goodbye to every session, and ends all shards when the last client has gone, or when
    /// the time for it is over.
    pub async fn shut_down(mut self) {
        self.acceptors.drain(..).for_each(|acceptor| acceptor.abort());
        let until = Instant::now() + self.shutdown_timeout;
        for door in self.doors.iter() {
            while door.send(Command::Shutdown).is_err() && Instant::now() < until {
                tokio::time::sleep(SHUTDOWN_POLL).await;
            }
        }
        // An aborted acceptor closes its listener when the runtime next looks at it: the sleep lets it.
        loop {
            tokio::time::sleep(SHUTDOWN_POLL).await;
            if self.loads.total() == 0 || Instant::now() >= until {
                break;
            }
        }
        let left = self.loads.total();
        if left > 0 {
            tracing::warn!(connections = left, "some clients did not leave in time");
        }
        self.stop();
    }

    fn start_shards(&mut self, shards: ShardIndex, config: RuntimeConfig) -> Result<(), StartError> {
        let count = usize::from(shards);
        let mesh = Arc::new(Mesh::new(count, config.ring_batches));
        let cores = if config.pin { cores_for(count) } else { None };
        let core = |index: ShardIndex| cores.as_ref().map(|cores| cores[usize::from(index)]);
        let (seats, doors): (Vec<_>, Vec<_>) =
            (0..shards).map(|index| Seat::new(index, core(index), mesh.clone())).unzip();
        self.doors = doors.into();
        let epoch = Instant::now();
        // A clock before 1970 is wrong anyway.
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut past = self.open_store(shards, &config, started)?;
        let realms: Arc<[_]> = config.realms.clone().into();
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(StartError::Random)?;
        let transports = config.transports.iter().map(|transport| transport.auth.clone()).collect();
        let auth = Arc::new(AuthSettings { transports, secret });
        let agent: Arc<str> = concat!("corebar-", env!("CARGO_PKG_VERSION")).into();
        let config = Arc::new(config);
        let callouts = Arc::new(Callouts::new(config.callout_threads, self.doors.clone()));
        let (attempts, census) = (Arc::<Attempts>::default(), Arc::<Census>::default());
        for seat in seats {
            let shard = ShardConfig {
                index: seat.index,
                shards,
                seed: getrandom::u64().map_err(StartError::Random)?,
                epoch: started,
                realms: realms.clone(),
                auth: auth.clone(),
                limits: config.limits,
                attempts: attempts.clone(),
                census: census.clone(),
                agent: agent.clone(),
                #[cfg(feature = "sim")]
                broken: None,
            };
            let own = |past: &mut Past| subject::home(past.subject.realm, &past.subject.uri, shards) == seat.index;
            let settings = Settings {
                shard,
                config: config.clone(),
                entrances: self.entrances.clone(),
                cookies: self.cookies.clone(),
                callouts: callouts.clone(),
                loads: self.loads.clone(),
                doors: self.doors.clone(),
                epoch,
                journal: self.writer.as_ref().map(Writer::journal),
                past: past.extract_if(.., own).collect(),
            };
            self.cores.push(seat.core.map(|core| core.id));
            let thread = seat.start(move |seat| reactor::run(seat, settings)).map_err(StartError::Shard)?;
            self.threads.push(thread);
        }
        Ok(())
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
        for (door, thread) in self.doors.iter().zip(self.threads.drain(..)) {
            while !thread.is_finished() && door.send(Command::Stop).is_err() {
                std::thread::sleep(SHUTDOWN_POLL);
            }
            if thread.join().is_err() {
                tracing::error!("a shard ended by a panic");
            }
        }
        self.writer = None;
    }
}

/// Looks again and again whether the file of a ring's keys has changed.
async fn watch_keys(path: PathBuf, ring: Arc<KeyRing>, interval: Duration) {
    let mut known = std::fs::read_to_string(&path).ok();
    loop {
        tokio::time::sleep(interval).await;
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if known.as_ref() == Some(&text) {
            continue;
        }
        match JwtKey::set(&text) {
            Ok(keys) => {
                tracing::info!(file = %path.display(), "the keys for tokens have been read again");
                ring.replace(keys);
            }
            Err(wrong) => tracing::error!(file = %path.display(), wrong, "the keys for tokens stay as they are"),
        }
        known = Some(text);
    }
}

/// One shard for each core that this process may use.
fn default_shards() -> ShardIndex {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ShardIndex::try_from(cores).unwrap_or(ShardIndex::MAX).min(RuntimeConfig::SHARDS_MAX)
}
