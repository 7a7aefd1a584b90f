//! The threads that pass requests on.

use super::client::{Client, Pace};
use super::fault::{Fault, refusal};
use super::{Relayed, backend, script};
use crate::config::relay::Target;
use crate::shard::{Command, Door, Loads, Socket, Visitor};
use crate::transport::preamble::Entrance;
use crate::wire::http::{body_octets, bodyless};
use crate::wire::request;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

/// What a client is told whose request cannot be handed over.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Where a request comes from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The other end of the connection.
    pub(super) address: Option<IpAddr>,
    /// By what it has come.
    pub(super) entrance: Arc<Entrance>,
    /// The port by which it has come, if it was one of TCP.
    pub(super) port: Option<u16>,
}

impl Origin {
    /// True if what the other end says of addresses is believed.
    pub(super) fn is_trusted(&self) -> bool {
        self.entrance.is_proxy(self.address)
    }

    /// Where the client is, as far as a trusted proxy tells.
    pub(super) fn client(&self, headers: &[(&str, &[u8])]) -> Option<IpAddr> {
        let header = self.entrance.forwarded_header().name();
        let values = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(header));
        let values: Vec<String> = values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect();
        self.entrance.client(self.address, &values).or(self.address)
    }
}

/// A request that is to be passed on.
pub(super) struct Job {
    pub(super) socket: Socket,
    pub(super) visitor: Visitor,
    /// All that has been read from the beginning of the request on.
    pub(super) octets: Vec<u8>,
    pub(super) relayed: Box<Relayed>,
    /// What is to be logged.
    pub(super) line: Option<String>,
    /// Where the socket has come from.
    pub(super) shard: usize,
    pub(super) origin: Origin,
    pub(super) acceptor: Option<TlsAcceptor>,
    /// What is asked of the client.
    pub(super) pace: Pace,
}

/// The threads. They start with the first request.
pub struct Relays {
    threads: usize,
    max: usize,
    house: Arc<House>,
    queues: OnceLock<Vec<UnboundedSender<Job>>>,
    turn: AtomicUsize,
    leaving: watch::Sender<bool>,
}

/// What all threads share.
struct House {
    doors: Arc<[Door]>,
    loads: Arc<Loads>,
    active: AtomicUsize,
}

impl fmt::Debug for Relays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relays").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Relays {
    /// So many threads for so many requests at the same time. Sockets come back by the doors of their shards.
    #[must_use]
    pub fn new(threads: usize, max: usize, doors: Arc<[Door]>, loads: Arc<Loads>) -> Relays {
        let house = Arc::new(House { doors, loads, active: AtomicUsize::new(0) });
        let (leaving, _) = watch::channel(false);
        Relays { threads: threads.max(1), max, house, queues: OnceLock::new(), turn: AtomicUsize::new(0), leaving }
    }

    /// True if no more requests can be passed on now.
    pub(in crate::transport) fn is_full(&self) -> bool {
        self.house.active.load(Ordering::Relaxed) >= self.max
    }

    /// The router ends: connections that have been taken over for WebSocket end, and no socket comes back.
    pub(in crate::transport) fn leave(&self) {
        self.leaving.send_replace(true);
    }

    /// Passes a request on.
    pub(super) fn begin(&self, job: Job) {
        self.house.active.fetch_add(1, Ordering::Relaxed);
        let queues = self.queues.get_or_init(|| match self.start() {
            Ok(queues) => queues,
            Err(error) => {
                tracing::error!(%error, "cannot start the threads that pass requests on");
                Vec::new()
            }
        });
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let left = match queues.get(turn % queues.len().max(1)) {
            Some(queue) => queue.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        if let Some(job) = left {
            job.socket.write_last(BUSY);
            self.house.gone(job.shard);
        }
    }

    fn start(&self) -> io::Result<Vec<UnboundedSender<Job>>> {
        let mut queues = Vec::new();
        for number in 0..self.threads {
            // As many wait as are active at most.
            let (queue, jobs) = unbounded_channel();
            let (house, leaving) = (self.house.clone(), self.leaving.subscribe());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let run = move || LocalSet::new().block_on(&runtime, take(jobs, house, leaving));
            drop(Builder::new().name(format!("relay-{number}")).spawn(run)?);
            queues.push(queue);
        }
        Ok(queues)
    }
}

impl House {
    /// A socket of a shard does not come back.
    fn gone(&self, shard: usize) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        self.loads.remove(shard);
    }
}

/// Ends with the router.
async fn take(mut jobs: UnboundedReceiver<Job>, house: Arc<House>, leaving: watch::Receiver<bool>) {
    let house = Rc::new(house);
    while let Some(job) = jobs.recv().await {
        let (house, leaving) = (house.clone(), leaving.clone());
        drop(tokio::task::spawn_local(async move {
            let shard = job.shard;
            match serve(job, leaving).await {
                Some((socket, visitor, octets)) => {
                    house.active.fetch_sub(1, Ordering::Relaxed);
                    // It is counted there already.
                    if let Err(Command::Adopt(socket, ..)) =
                        house.doors[shard].send(Command::Adopt(socket, visitor, octets))
                    {
                        house.loads.remove(shard);
                        socket.write_last(BUSY);
                    }
                }
                None => house.gone(shard),
            }
        }));
    }
}

/// What has been answered, to be logged.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) octets: u64,
    /// The connection can go on.
    pub(super) keep: bool,
}

/// Passes one request on; gives the socket back if it can go on.
async fn serve(job: Job, leaving: watch::Receiver<bool>) -> Option<(Socket, Visitor, Vec<u8>)> {
    let Job { socket, visitor, mut octets, relayed, line, origin, acceptor, pace, .. } = job;
    let mut client = Client::register(socket, acceptor, pace).await.ok()?;
    let length = match request::head(&octets, relayed.header_bytes_max) {
        Ok(Some(head)) => head.octets,
        // It has been read once.
        _ => return None,
    };
    client.input = octets.split_off(length);
    let head = request::head(&octets, relayed.header_bytes_max).ok()??;
    let headers = request::raw_headers(&octets);
    let config = relayed.config()?;
    let mut answered = Answered::default();
    let asked = (&head, &headers[..]);
    let passed = match &config.target {
        Target::Http(to) | Target::WebSocket(to) => {
            let side = backend::Side { to, config, relayed: &relayed, origin: &origin };
            backend::pass_on(&mut client, asked, side, &mut answered, leaving.clone()).await
        }
        Target::Script { .. } => script::run(&mut client, asked, (config, &relayed), &origin, &mut answered).await,
    };
    let label = visitor.peer.label.clone();
    let mut told = false;
    match passed {
        Ok(()) => {}
        Err(Fault::Client) => tracing::debug!(peer = &*label, "a client is gone whose request was passed on"),
        Err(Fault::Broken(why)) => {
            tracing::warn!(path = head.path, why, "a response that was passed on is not whole");
            answered.keep = false;
        }
        Err(Fault::Told(status, text)) => {
            if status >= 500 {
                tracing::warn!(path = head.path, status, text, "a request could not be passed on");
            }
            let mut response = refusal(status, &text, relayed.hsts.as_deref(), true);
            if relayed.head_only {
                response = bodyless(response);
            }
            answered = Answered { status, octets: body_octets(&response) as u64, keep: false };
            told = client.send(&response).await.is_ok();
        }
    }
    if let Some(line) = line {
        let Answered { status, octets, .. } = answered;
        tracing::info!(target: "corebar::access", peer = &*label, request = line, status, octets);
    }
    if answered.keep && !*leaving.borrow() {
        let (socket, octets) = client.release().ok()?;
        return Some((socket, visitor, octets));
    }
    if told || passed_whole(&answered) {
        client.finish().await;
    }
    None
}

/// True if the client has got a whole response, and is to learn that nothing follows.
fn passed_whole(answered: &Answered) -> bool {
    answered.status >= 200
}
