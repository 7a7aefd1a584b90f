//! One file with histories, an ACID database.

use super::entry;
use crate::router::subject::Subject;
use crate::router::{Past, PastEvent, Record};
use crate::session::HistoryRule;
use crate::wamp::{MatchPolicy, Uri};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableHandle, WriteTransaction};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// What [`VERSION`] is kept under.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("corebar_history");
const VERSION_KEY: &str = "version";
/// Grows when what the tables hold changes its meaning.
const VERSION: u64 = 1;

/// The number of each history, by realm, name of the match policy, and topic or pattern.
const HISTORIES: TableDefinition<'_, (&str, &str, &str), u32> = TableDefinition::new("histories");

/// Events, by the number of their history and their place in it.
const EVENTS: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("events");

/// Octets of the file that the database keeps in memory; reading happens at the start only.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// A database begins with this.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// Why a file of histories cannot be used.
#[derive(Debug, Error)]
#[error("the history file {}: {reason}", path.display())]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// A history as it is configured.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The realm's name.
    pub realm: Uri,
    /// Whose history.
    pub subject: Subject,
    /// Its limits.
    pub rule: HistoryRule,
}

/// A file of histories that is open; no other process can open it meanwhile.
pub struct File {
    path: PathBuf,
    /// None after an error: it is opened again before the next use.
    database: Option<Database>,
    /// The numbers of the histories that are configured.
    numbers: BTreeMap<Subject, u32>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

type Fallible<T> = Result<T, redb::Error>;

impl File {
    /// Opens a file, makes it if it is not there, and reads the histories that are configured, cut to their limits;
    /// what is over them is deleted. `now` is the time since 1970.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, read or written; it is in use, damaged, of another version or no file of histories.
    pub fn open(path: &Path, wanted: &[Wanted], now: Duration) -> Result<(File, Vec<Past>), StoreError> {
        let fail = |reason| StoreError { path: path.into(), reason };
        let database = open(path).map_err(fail)?;
        let fault = |error: redb::Error| fail(error.to_string());
        check_version(&database).map_err(fault)?.map_err(fail)?;
        let numbers = number(&database, wanted).map_err(fault)?;
        let mut past = Vec::new();
        for Wanted { subject, rule, .. } in wanted {
            let Some(&number) = numbers.get(subject) else { continue };
            let events = load(&database, number, rule, now).map_err(fault)?.map_err(fail)?;
            past.push(Past { subject: subject.clone(), events });
        }
        let first =
            |past: &Past| Some((*numbers.get(&past.subject)?, past.events.first().map_or(u64::MAX, |e| e.place)));
        let firsts: Vec<_> = past.iter().filter_map(first).collect();
        write(&database, |transaction| {
            firsts.iter().try_for_each(|(number, first)| drop_before(transaction, *number, *first))
        })
        .map_err(fault)?;
        Ok((File { path: path.into(), database: Some(database), numbers }, past))
    }

    /// A file that is not open.
    #[cfg(test)]
    pub(super) fn missing(path: &Path) -> File {
        File { path: path.into(), database: None, numbers: BTreeMap::new() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds events and deletes those that they have driven out, in one transaction: when this returns, all of it is
    /// safely on the disk.
    ///
    /// # Errors
    ///
    /// The file cannot be written, for instance because the disk is full. Then all of it has happened, or nothing.
    pub fn append(&mut self, records: &[&Record]) -> Result<(), String> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open(&self.path)?,
        };
        let mut firsts = BTreeMap::new();
        for record in records {
            firsts.insert(&record.subject, record.first);
        }
        let mut damaged = None;
        write(&database, |transaction| {
            let mut events = transaction.open_table(EVENTS)?;
            for record in records {
                let Some(&number) = self.numbers.get(&record.subject) else { continue };
                if firsts.get(&record.subject).is_some_and(|first| record.place < *first) {
                    continue;
                }
                match entry::write(record.time, &record.publication) {
                    Ok(octets) => drop(events.insert((number, record.place), &octets[..])?),
                    Err(error) => damaged = Some(error.to_string()),
                }
            }
            drop(events);
            let known = |(subject, first): (&&Subject, &u64)| Some((*self.numbers.get(*subject)?, *first));
            firsts.iter().filter_map(known).try_for_each(|(number, first)| drop_before(transaction, number, first))
        })
        .map_err(|error| error.to_string())?;
        // After an error the database would refuse everything, so it is put back only now.
        self.database = Some(database);
        damaged.map_or(Ok(()), Err)
    }
}

/// Opens the database, after a look whether it can be one.
fn open(path: &Path) -> Result<Database, String> {
    match std::fs::File::open(path) {
        Ok(mut file) => {
            let mut start = [0; MAGIC.len()];
            match io::Read::read_exact(&mut file, &mut start) {
                Ok(()) if start == MAGIC => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    if file.metadata().map_err(|error| error.to_string())?.len() > 0 {
                        return Err("is not a history file of Corebar".into());
                    }
                }
                Ok(()) => return Err("is not a history file of Corebar".into()),
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.to_string()),
    }
    Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => "is in use by another process".into(),
        DatabaseError::UpgradeRequired(_) => "has the format of another version of Corebar".into(),
        other => format!("cannot be opened: {other}"),
    })
}

/// Refuses what another program, or another version of this one, has written. Marks what is new.
fn check_version(database: &Database) -> Fallible<Result<(), String>> {
    let reading = database.begin_read()?;
    let tables: Vec<String> = reading.list_tables()?.map(|table| table.name().to_string()).collect();
    if tables.is_empty() {
        return write(database, |transaction| {
            transaction.open_table(ABOUT)?.insert(VERSION_KEY, VERSION)?;
            transaction.open_table(HISTORIES)?;
            transaction.open_table(EVENTS)?;
            Ok(())
        })
        .map(Ok);
    }
    if !tables.iter().any(|name| name == ABOUT.name()) {
        return Ok(Err("is a database of another program".into()));
    }
    let version = reading.open_table(ABOUT)?.get(VERSION_KEY)?.map(|version| version.value());
    Ok(match version {
        Some(VERSION) => Ok(()),
        Some(other) => Err(format!("has version {other} of the format; this Corebar knows version {VERSION}")),
        None => Err("does not tell the version of its format".into()),
    })
}

/// The numbers of histories; new ones get a new number.
fn number(database: &Database, wanted: &[Wanted]) -> Fallible<BTreeMap<Subject, u32>> {
    let mut numbers = BTreeMap::new();
    write(database, |transaction| {
        let mut histories = transaction.open_table(HISTORIES)?;
        let mut next = 0;
        for entry in histories.iter()? {
            next = next.max(entry?.1.value() + 1);
        }
        for Wanted { realm, subject, .. } in wanted {
            let key = (realm.as_str(), policy_name(subject.policy), subject.uri.as_str());
            let known = histories.get(key)?.map(|number| number.value());
            let number = match known {
                Some(number) => number,
                None => {
                    histories.insert(key, next)?;
                    next += 1;
                    next - 1
                }
            };
            numbers.insert(subject.clone(), number);
        }
        Ok(())
    })?;
    Ok(numbers)
}

/// In a file these names must not change, whatever the protocol calls them.
const fn policy_name(policy: MatchPolicy) -> &'static str {
    match policy {
        MatchPolicy::Exact => "exact",
        MatchPolicy::Prefix => "prefix",
        MatchPolicy::Wildcard => "wildcard",
    }
}

/// The newest events of a history, as many as its rule allows, oldest first.
fn load(
    database: &Database,
    number: u32,
    rule: &HistoryRule,
    now: Duration,
) -> Fallible<Result<Vec<PastEvent>, String>> {
    let events = database.begin_read()?.open_table(EVENTS)?;
    let mut kept = VecDeque::new();
    let mut bytes = 0;
    for stored in events.range((number, 0)..=(number, u64::MAX))?.rev() {
        let (key, octets) = stored?;
        let event = match entry::read(key.value().1, octets.value()) {
            Ok(event) => event,
            Err(error) => return Ok(Err(error.to_string())),
        };
        bytes += event.publication.weight() as u64;
        if kept.len() >= rule.events_max as usize || bytes > rule.bytes_max {
            break;
        }
        kept.push_front(event);
    }
    if let Some(age_max) = rule.age_max {
        while kept.front().is_some_and(|oldest| oldest.time.saturating_add(age_max) < now) {
            kept.pop_front();
        }
    }
    Ok(Ok(kept.into()))
}

/// Deletes the events of a history before a place.
fn drop_before(transaction: &WriteTransaction, number: u32, first: u64) -> Fallible<()> {
    transaction.open_table(EVENTS)?.retain_in((number, 0)..(number, first), |_, _| false)?;
    Ok(())
}

/// A transaction; what it did is on the disk when this returns without an error.
fn write(database: &Database, act: impl FnOnce(&WriteTransaction) -> Fallible<()>) -> Fallible<()> {
    let transaction = database.begin_write()?;
    act(&transaction)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::peer::{Publication, Stamp};
    use crate::wamp::{Dict, Payload, PublicationId, Serializer, Value, codec};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder of its own for a test, deleted at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("corebar-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).expect("a new folder");
            Folder(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("history.redb")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn wanted(realm: &str, index: u16, rule: HistoryRule) -> Wanted {
        let subject = Subject { realm: index, policy: rule.policy, uri: rule.uri.clone() };
        Wanted { realm: realm.into(), subject, rule }
    }

    fn rule() -> HistoryRule {
        HistoryRule::new("a.", MatchPolicy::Prefix)
    }

    fn record(subject: &Subject, place: u64, first: u64) -> Record {
        let raw = codec::payload(Serializer::Json, vec![Value::from(place)], Dict::new()).expect("a number");
        let publication = Publication {
            id: PublicationId::from_raw(100 + place),
            stamp: Stamp::default(),
            excluded: None,
            topic: "a.b".into(),
            payload: Payload::new(raw),
            extras: None,
        };
        let (time, publication) = (Duration::from_secs(place), Arc::new(publication));
        Record { sequence: place, subject: subject.clone(), place, first, time, publication, awaited: false }
    }

    fn append(file: &mut File, subject: &Subject, places: std::ops::Range<u64>, first: u64) {
        let records: Vec<Record> = places.map(|place| record(subject, place, first)).collect();
        file.append(&records.iter().collect::<Vec<_>>()).expect("the disk works");
    }

    fn places(past: &Past) -> Vec<u64> {
        past.events.iter().map(|event| event.place).collect()
    }

    fn open(path: &Path, wanted: &[Wanted]) -> (File, Vec<Past>) {
        File::open(path, wanted, Duration::from_secs(10)).expect("a good file")
    }

    fn refused(path: &Path) -> String {
        let error = File::open(path, &[wanted("r", 0, rule())], Duration::ZERO).expect_err("a bad file");
        assert!(error.to_string().starts_with(&format!("the history file {}: ", path.display())));
        error.reason
    }

    #[test]
    fn events_come_back() {
        let folder = Folder::new();
        let wanted = [wanted("r", 0, rule())];
        let (mut file, past) = open(&folder.file(), &wanted);
        assert_eq!(past.iter().map(places).collect::<Vec<_>>(), [[0_u64; 0]]);
        append(&mut file, &wanted[0].subject, 0..3, 0);
        append(&mut file, &wanted[0].subject, 3..5, 1);
        drop(file);
        let (_file, past) = open(&folder.file(), &wanted);
        assert_eq!(places(&past[0]), [1, 2, 3, 4]);
        let event = &past[0].events[1];
        assert_eq!((event.time, event.publication.id.get()), (Duration::from_secs(2), 102));
        assert_eq!(&*event.publication.topic, "a.b");
    }

    #[test]
    fn realms_and_policies_are_apart_whatever_their_order() {
        let folder = Folder::new();
        let exact = HistoryRule::new("a.", MatchPolicy::Wildcard);
        let before = [wanted("r", 0, rule()), wanted("s", 1, rule()), wanted("r", 0, exact.clone())];
        let (mut file, _) = open(&folder.file(), &before);
        append(&mut file, &before[0].subject, 0..1, 0);
        append(&mut file, &before[1].subject, 1..3, 0);
        append(&mut file, &before[2].subject, 3..4, 0);
        drop(file);
        let after = [wanted("new", 0, rule()), wanted("s", 1, rule()), wanted("r", 2, exact), wanted("r", 2, rule())];
        let (_file, past) = open(&folder.file(), &after);
        assert_eq!(past.iter().map(places).collect::<Vec<_>>(), [vec![], vec![1, 2], vec![3], vec![0]]);
    }

    #[test]
    fn limits_hold_also_for_what_was_there() {
        let folder = Folder::new();
        let all = [wanted("r", 0, rule())];
        let (mut file, _) = open(&folder.file(), &all);
        append(&mut file, &all[0].subject, 0..8, 0);
        drop(file);
        // At 10 s.
        let aged = HistoryRule { age_max: Some(Duration::from_secs(8)), ..rule() };
        assert_eq!(places(&open(&folder.file(), &[wanted("r", 0, aged)]).1[0]), [2, 3, 4, 5, 6, 7]);
        let few = HistoryRule { events_max: 4, ..rule() };
        assert_eq!(places(&open(&folder.file(), &[wanted("r", 0, few)]).1[0]), [4, 5, 6, 7]);
        // A payload is `[n]]`.
        let small = HistoryRule { bytes_max: 11, ..rule() };
        assert_eq!(places(&open(&folder.file(), &[wanted("r", 0, small)]).1[0]), [6, 7]);
        assert_eq!(places(&open(&folder.file(), &all).1[0]), [6, 7], "the others have been deleted");
        let none = HistoryRule { events_max: 0, ..rule() };
        assert_eq!(places(&open(&folder.file(), &[wanted("r", 0, none)]).1[0]), [0_u64; 0]);
        assert_eq!(places(&open(&folder.file(), &all).1[0]), [0_u64; 0]);
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = Folder::new();
        let _file = open(&folder.file(), &[]);
        assert_eq!(refused(&folder.file()), "is in use by another process");
    }

    #[test]
    fn other_files_are_refused() {
        let folder = Folder::new();
        let path = folder.file();
        for text in ["x", "this is the beginning of a text, and of a rather long one"] {
            std::fs::write(&path, text).expect("a file");
            assert_eq!(refused(&path), "is not a history file of Corebar");
            assert_eq!(std::fs::read(&path).expect("the file"), text.as_bytes(), "it is left alone");
        }
        std::fs::remove_file(&path).expect("the file");
        let other = Database::create(&path).expect("a database");
        let table: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
        write(&other, |transaction| transaction.open_table(table).map(drop).map_err(Into::into)).expect("a table");
        drop(other);
        assert_eq!(refused(&path), "is a database of another program");
        assert!(!refused(&folder.0).is_empty());
        assert!(!refused(&folder.0.join("no/such/folder")).is_empty());
    }

    #[test]
    fn other_versions_are_refused() {
        let folder = Folder::new();
        let (file, _) = open(&folder.file(), &[]);
        let database = file.database.expect("it is open");
        write(&database, |transaction| {
            transaction.open_table(ABOUT)?.insert(VERSION_KEY, VERSION + 1)?;
            Ok(())
        })
        .expect("the disk works");
        drop(database);
        assert_eq!(refused(&folder.file()), "has version 2 of the format; this Corebar knows version 1");
    }

    #[test]
    fn truncated_and_damaged_files_are_refused() {
        let folder = Folder::new();
        let wanted = [wanted("r", 0, rule())];
        let (mut file, _) = open(&folder.file(), &wanted);
        append(&mut file, &wanted[0].subject, 0..500, 0);
        drop(file);
        let whole = std::fs::read(folder.file()).expect("the file");
        let cut = folder.0.join("cut");
        for part in [MAGIC.len(), 100, 320, 4096, whole.len() / 4, whole.len() / 2, whole.len() - 4096] {
            std::fs::write(&cut, &whole[..part]).expect("a file");
            let reason = refused(&cut);
            assert!(!reason.is_empty(), "cut at {part}");
        }
        std::fs::write(&cut, []).expect("a file");
        assert_eq!(open(&cut, &wanted).1[0].events.len(), 0, "an empty file is a new one");
    }
}
