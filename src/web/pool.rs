//! Threads that read files, since reading may wait for a disk, and shards may not.

use super::piece::{Piece, Rest};
use super::request::Request;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::Builder;

/// Requests that may wait for each thread; more are refused.
const WAITING_PER_THREAD: usize = 256;

/// Who wants something: a connection of a shard, by its key and serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The shard.
    pub shard: u16,
    /// The key of the connection.
    pub key: usize,
    /// Its serial.
    pub serial: u32,
}

/// What comes of it: none if the rest of a file cannot be read.
pub type Tell = Box<dyn Fn(Reader, Option<Piece>) + Send + Sync>;

/// The threads. They start with the first request and end with the process.
pub struct Pool {
    threads: usize,
    tell: Arc<Tell>,
    queues: OnceLock<Option<Queues>>,
}

/// Those that go on with a file are as many as connections at most, and are never refused.
struct Queues {
    begin: Sender<(Reader, Box<Request>)>,
    go_on: Sender<(Reader, Rest)>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Pool {
    /// So many threads, which tell what they have read.
    #[must_use]
    pub fn new(threads: usize, tell: Tell) -> Pool {
        Pool { threads, tell: Arc::new(tell), queues: OnceLock::new() }
    }

    fn queues(&self) -> Option<&Queues> {
        let started = self.queues.get_or_init(|| match self.start() {
            Ok(queues) => Some(queues),
            Err(error) => {
                tracing::error!(%error, "cannot start the threads that read files");
                None
            }
        });
        started.as_ref()
    }

    /// Reads the beginning of a file.
    ///
    /// # Errors
    /// Too many requests wait already.
    pub fn begin(&self, reader: Reader, request: Box<Request>) -> Result<(), Box<Request>> {
        match self.queues() {
            Some(queues) => queues.begin.try_send((reader, request)).map_err(|full| full.into_inner().1),
            None => Err(request),
        }
    }

    /// Reads on.
    pub fn go_on(&self, reader: Reader, rest: Rest) {
        if let Some(queues) = self.queues() {
            // The threads never end.
            let _ = queues.go_on.send((reader, rest));
        }
    }

    fn start(&self) -> io::Result<Queues> {
        let (begin, begins) = bounded(self.threads * WAITING_PER_THREAD);
        let (go_on, rests) = unbounded();
        for number in 0..self.threads {
            let (begins, rests, tell) = (begins.clone(), rests.clone(), self.tell.clone());
            drop(Builder::new().name(format!("files-{number}")).spawn(move || work(&begins, &rests, &tell))?);
        }
        Ok(Queues { begin, go_on })
    }
}

fn work(begins: &Receiver<(Reader, Box<Request>)>, rests: &Receiver<(Reader, Rest)>, tell: &Tell) {
    loop {
        crossbeam_channel::select! {
            recv(begins) -> next => {
                let Ok((reader, request)) = next else { return };
                tell(reader, Some(request.content.clone().serve(&request)));
            }
            recv(rests) -> next => {
                let Ok((reader, rest)) = next else { return };
                let piece = rest.read();
                if let Err(error) = &piece {
                    tracing::warn!(%error, "the rest of a file cannot be read; its connection is ended");
                }
                tell(reader, piece.ok());
            }
        }
    }
}
