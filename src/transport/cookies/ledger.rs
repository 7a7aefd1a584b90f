//! Where it is written down who is known by which cookie.

use super::{CookieError, Entries};
use crate::auth::peer::Known;
use crate::config::cookie::CookieStore;
use crossbeam_channel::{Receiver, Sender, unbounded};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::{Builder, JoinHandle};

/// Lines of the file, by cookies.
const COOKIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("corebar_cookies");

/// A database begins with this.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// Changes that may be written at once.
const BATCH_MAX: usize = 1000;

/// What has become of a cookie.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    cookie: Box<str>,
    /// When it ends, in seconds since 1970.
    until: u64,
    /// None: it is forgotten.
    known: Option<Known>,
}

/// Where it is written down.
#[derive(Debug)]
pub(super) enum Ledger {
    /// Nowhere.
    Memory,
    /// In lines of a file.
    File(File),
    /// In a database, by a thread of its own, since it waits for the disk.
    Database(Option<Sender<Line>>, Option<JoinHandle<()>>),
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Ledger::Database(lines, thread) = self {
            *lines = None;
            // It writes what has been said, and ends.
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}

impl Ledger {
    /// Reads what is known now, unless it is to be forgotten, and gets ready to write down more.
    ///
    /// # Errors
    /// The file cannot be used.
    pub(super) fn open(store: &CookieStore, purge: bool, now: u64) -> Result<(Ledger, Entries), CookieError> {
        match store {
            CookieStore::Memory => Ok((Ledger::Memory, Entries::new())),
            CookieStore::File(path) => {
                let before = hold(path).map_err(|error| wrong(path, error))?;
                let known = before.as_ref().filter(|_| !purge).map(|file| read_lines(file, now)).transpose();
                let known = known.map_err(|error| wrong(path, error))?.unwrap_or_default();
                let file = rewrite(path, &known).map_err(|error| wrong(path, error))?;
                Ok((Ledger::File(file), known))
            }
            CookieStore::Database(path) => {
                let database = open_database(path).map_err(|error| wrong(path, error))?;
                let known = read_database(&database, purge, now).map_err(|error| wrong(path, error))?;
                let (sender, lines) = unbounded();
                let thread = Builder::new().name("cookies".into()).spawn(move || keep(&database, &lines));
                let thread = thread.map_err(|error| wrong(path, error))?;
                Ok((Ledger::Database(Some(sender), Some(thread)), known))
            }
        }
    }

    /// Writes down who is known by a cookie, and until when; or that nobody is.
    pub(super) fn note(&mut self, cookie: &str, entry: Option<(&Known, u64)>) {
        let line = || {
            let (known, until) = entry.map_or((None, 0), |(known, until)| (Some(known.clone()), until));
            Line { cookie: cookie.into(), until, known }
        };
        match self {
            Ledger::Memory => {}
            Ledger::File(file) => {
                if let Err(error) = write(file, &line()) {
                    tracing::error!(%error, "what is known of a cookie cannot be written down");
                }
            }
            Ledger::Database(lines, _) => drop(lines.as_ref().map(|lines| lines.send(line()))),
        }
    }
}

fn wrong(path: &Path, reason: impl Display) -> CookieError {
    CookieError { path: path.display().to_string(), reason: reason.to_string() }
}

fn write(file: &mut File, line: &Line) -> io::Result<()> {
    let mut octets = serde_json::to_vec(line)?;
    octets.push(b'\n');
    file.write_all(&octets)
}

/// The file as it is, if there is one, for as long as nobody else can have it.
fn hold(path: &Path) -> io::Result<Option<File>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    lock(&file)?;
    Ok(Some(file))
}

/// What another one wrote after this one has begun would be lost.
fn lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::other("is in use, perhaps by another process"),
        TryLockError::Error(error) => error,
    })
}

fn read_lines(file: &File, now: u64) -> io::Result<Entries> {
    let mut known = HashMap::new();
    for line in BufReader::new(file).lines() {
        // A line that was cut off by a crash is nothing that anybody was told.
        let Ok(Line { cookie, until, known: who }) = serde_json::from_str(&line?) else { continue };
        match who.filter(|_| until > now) {
            Some(who) => drop(known.insert(cookie, (who, until))),
            None => drop(known.remove(&cookie)),
        }
    }
    Ok(known)
}

/// Writes the file anew, without what has ended, and gives it for more.
fn rewrite(path: &Path, known: &Entries) -> io::Result<File> {
    let fresh = path.with_extension("new");
    // Who can read it can be anybody in it.
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    lock(&file)?;
    for (cookie, (who, until)) in known {
        write(&mut file, &Line { cookie: cookie.clone(), until: *until, known: Some(who.clone()) })?;
    }
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    Ok(file)
}

/// Opens a database, or makes one where there is nothing.
fn open_database(path: &Path) -> Result<Database, redb::Error> {
    let file = OpenOptions::new().create(true).read(true).write(true).truncate(false).mode(0o600).open(path)?;
    let mut magic = Vec::new();
    file.take(MAGIC.len() as u64).read_to_end(&mut magic)?;
    if !magic.is_empty() && magic != MAGIC {
        return Err(redb::Error::Corrupted("this is no database".into()));
    }
    Ok(Database::builder().create(path)?)
}

fn read_database(database: &Database, purge: bool, now: u64) -> Result<Entries, redb::Error> {
    let transaction = database.begin_write()?;
    if purge {
        transaction.delete_table(COOKIES)?;
    }
    transaction.open_table(COOKIES)?.retain(|_, line| read(line).is_some_and(|line| line.until > now))?;
    transaction.commit()?;
    let mut known = Entries::new();
    for entry in database.begin_read()?.open_table(COOKIES)?.iter()? {
        if let Some(Line { cookie, until, known: Some(who) }) = read(entry?.1.value()) {
            known.insert(cookie, (who, until));
        }
    }
    Ok(known)
}

fn read(line: &[u8]) -> Option<Line> {
    serde_json::from_slice(line).ok()
}

/// Writes what comes, as much at once as has come meanwhile.
fn keep(database: &Database, lines: &Receiver<Line>) {
    while let Ok(first) = lines.recv() {
        let batch: Vec<Line> = std::iter::once(first).chain(lines.try_iter().take(BATCH_MAX)).collect();
        if let Err(error) = put(database, &batch) {
            tracing::error!(%error, "what is known of cookies cannot be written down");
        }
    }
}

fn put(database: &Database, lines: &[Line]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(COOKIES)?;
        for line in lines {
            match line.known {
                Some(_) => {
                    let octets = serde_json::to_vec(line).map_err(io::Error::from)?;
                    table.insert(&*line.cookie, &*octets)?;
                }
                None => drop(table.remove(&*line.cookie)?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}
