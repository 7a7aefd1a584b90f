//! The writer thread: takes the records of all shards and writes what waits together.

use super::file::{File, StoreError, Wanted};
use crate::router::subject::Subject;
use crate::router::{Past, Record, ShardIndex};
use crate::session::{HistoryStore, RealmConfig, RealmIndex};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// What a shard could not be told, it is told after this time.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// How far the records of a shard are done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Up to this sequence number.
    pub upto: u64,
    /// Why those since the last progress could not be written, if so.
    pub failure: Option<Arc<str>>,
}

/// Tells a shard; false if it has no time, and has to be told again.
pub type Tell = Box<dyn Fn(ShardIndex, Progress) -> bool + Send>;

/// Files, and which realm is in which of them.
#[derive(Debug, Default)]
pub struct Files {
    /// The files.
    pub files: Vec<File>,
    /// By realm; none if its histories are in memory.
    pub by_realm: Vec<Option<usize>>,
}

impl Files {
    /// Opens the files of all realms and reads what they hold. `now` is the time since 1970.
    ///
    /// # Errors
    ///
    /// As [`File::open`].
    pub fn open(realms: &[RealmConfig], now: Duration) -> Result<(Files, Vec<Past>), StoreError> {
        let mut wanted: Vec<(&Path, Vec<Wanted>)> = Vec::new();
        let mut by_realm = Vec::new();
        for (index, realm) in (0..RealmIndex::MAX).zip(realms) {
            let HistoryStore::Disk { path, .. } = &realm.history_store else {
                by_realm.push(None);
                continue;
            };
            let at = wanted.iter().position(|(known, _)| known == path).unwrap_or_else(|| {
                wanted.push((path, Vec::new()));
                wanted.len() - 1
            });
            by_realm.push(Some(at));
            for rule in &realm.history {
                let subject = Subject { realm: index, policy: rule.policy, uri: rule.uri.clone() };
                // Of two rules for one subject the first counts.
                if wanted[at].1.iter().all(|known| known.subject != subject) {
                    wanted[at].1.push(Wanted { realm: realm.name.clone(), subject, rule: rule.clone() });
                }
            }
        }
        let (mut files, mut past) = (Vec::new(), Vec::new());
        for (path, wanted) in wanted {
            let (file, read) = File::open(path, &wanted, now)?;
            files.push(file);
            past.extend(read);
        }
        Ok((Files { files, by_realm }, past))
    }
}

/// Where shards leave their records.
#[derive(Debug)]
pub struct Journal {
    queue: Mutex<Queue>,
    work: Condvar,
    bytes: AtomicUsize,
    flush_bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    records: Records,
    /// Somebody waits for one of them.
    awaited: bool,
    ended: bool,
}

impl Journal {
    /// Leaves a record. Never waits for the disk; [`Journal::bytes`] tells who gives records when to slow down.
    pub fn append(&self, shard: ShardIndex, record: Box<Record>) {
        let weight = record.weight();
        let before = self.bytes.fetch_add(weight, Ordering::Relaxed);
        let full = before < self.flush_bytes && before + weight >= self.flush_bytes;
        let awaited = record.awaited;
        let mut queue = self.lock();
        let wake = full || queue.records.is_empty() || (awaited && !queue.awaited);
        queue.awaited |= awaited;
        queue.records.push((shard, record));
        drop(queue);
        if wake {
            self.work.notify_one();
        }
    }

    /// Octets that wait for the disk, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Starts the writer. Records that nobody waits for are on the disk after `flush_interval`, or when as many octets
    /// wait as `flush_bytes`.
    ///
    /// # Errors
    ///
    /// The operating system gives no thread.
    pub fn start(
        files: Files,
        shards: ShardIndex,
        flush_interval: Duration,
        flush_bytes: usize,
        tell: Tell,
    ) -> io::Result<Writer> {
        let (queue, work, bytes) = (Mutex::default(), Condvar::new(), AtomicUsize::new(0));
        let journal = Arc::new(Journal { queue, work, bytes, flush_bytes });
        let mut writing = Writing {
            journal: journal.clone(),
            files,
            shards,
            flush_interval,
            tell,
            untold: VecDeque::new(),
            complaints: BTreeSet::new(),
        };
        let thread = Builder::new().name("history".into()).spawn(move || writing.run())?;
        Ok(Writer { journal, thread: Some(thread) })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A writer that runs; when this is dropped, it writes what waits and ends.
#[derive(Debug)]
pub struct Writer {
    journal: Arc<Journal>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Where to leave records.
    #[must_use]
    pub fn journal(&self) -> Arc<Journal> {
        self.journal.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.journal.lock().ended = true;
        self.journal.work.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of histories ended by a panic");
        }
    }
}

/// What the thread owns.
struct Writing {
    journal: Arc<Journal>,
    files: Files,
    shards: ShardIndex,
    flush_interval: Duration,
    tell: Tell,
    /// What shards could not be told yet, in order.
    untold: VecDeque<(ShardIndex, Progress)>,
    /// Failures that have been logged since all went well.
    complaints: BTreeSet<Arc<str>>,
}

type Records = Vec<(ShardIndex, Box<Record>)>;

impl Writing {
    fn run(&mut self) {
        while let Some(records) = self.next() {
            if !records.is_empty() {
                let outcomes = self.write(&records);
                let bytes = records.iter().map(|(_, record)| record.weight()).sum();
                self.journal.bytes.fetch_sub(bytes, Ordering::Relaxed);
                self.report(&records, &outcomes, bytes >= self.journal.flush_bytes);
            }
            while let Some((shard, progress)) = self.untold.pop_front() {
                if !(self.tell)(shard, progress.clone()) {
                    self.untold.push_front((shard, progress));
                    break;
                }
            }
        }
    }

    /// Waits for records; none at the end. Gives an empty list when something is left to be told.
    fn next(&self) -> Option<Records> {
        let mut queue = self.journal.lock();
        let mut since = None;
        loop {
            let full = self.journal.bytes() >= self.journal.flush_bytes;
            let pause = if queue.records.is_empty() {
                if queue.ended {
                    return None;
                }
                None
            } else {
                let waited = since.get_or_insert_with(Instant::now).elapsed();
                if queue.awaited || queue.ended || full || waited >= self.flush_interval {
                    queue.awaited = false;
                    return Some(std::mem::take(&mut queue.records));
                }
                Some(self.flush_interval - waited)
            };
            if !self.untold.is_empty() {
                let pause = pause.map_or(RETRY_PAUSE, |pause| pause.min(RETRY_PAUSE));
                drop(self.journal.work.wait_timeout(queue, pause).unwrap_or_else(PoisonError::into_inner));
                return Some(Vec::new());
            }
            queue = match pause {
                None => self.journal.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(pause) => self.journal.work.wait_timeout(queue, pause).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Writes records into their files; gives what became of it, by file.
    fn write(&mut self, records: &Records) -> Vec<Result<(), Arc<str>>> {
        let by_realm = &self.files.by_realm;
        let mut outcomes = Vec::new();
        for (index, file) in self.files.files.iter_mut().enumerate() {
            let inside = |record: &&Record| file_of(by_realm, record) == Some(index);
            let own: Vec<&Record> = records.iter().map(|(_, record)| &**record).filter(inside).collect();
            let outcome: Result<(), Arc<str>> =
                if own.is_empty() { Ok(()) } else { file.append(&own).map_err(Arc::from) };
            match &outcome {
                Err(why) if self.complaints.insert(why.clone()) => {
                    let (file, events) = (file.path().display(), own.len());
                    tracing::error!(%file, events, reason = %why, "events cannot be written to the history file");
                }
                Ok(()) if !own.is_empty() && !self.complaints.is_empty() => {
                    self.complaints.clear();
                    tracing::info!(file = %file.path().display(), "events are written to the history file again");
                }
                _ => {}
            }
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Notes what each shard has to be told: of records next to each other with the same outcome, the last.
    fn report(&mut self, records: &Records, outcomes: &[Result<(), Arc<str>>], all: bool) {
        let mut runs: Vec<VecDeque<Progress>> = vec![VecDeque::new(); usize::from(self.shards)];
        for (shard, record) in records {
            let outcome = file_of(&self.files.by_realm, record).and_then(|file| outcomes.get(file));
            let failure = outcome.and_then(|outcome| outcome.as_ref().err().cloned());
            let run = &mut runs[usize::from(*shard)];
            match run.back_mut() {
                Some(last) if last.failure == failure => last.upto = record.sequence,
                _ => run.push_back(Progress { upto: record.sequence, failure }),
            }
        }
        for (shard, mut run) in (0..self.shards).zip(runs) {
            if all && run.is_empty() {
                // Nothing of its own is done, but it may wait until less waits for the disk.
                run.push_back(Progress { upto: 0, failure: None });
            }
            self.untold.extend(run.into_iter().map(|progress| (shard, progress)));
        }
    }
}

fn file_of(by_realm: &[Option<usize>], record: &Record) -> Option<usize> {
    by_realm.get(usize::from(record.subject.realm)).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::peer::{Publication, Stamp};
    use crate::wamp::{MatchPolicy, Payload, PublicationId};
    use std::sync::mpsc::{Receiver, Sender, channel};

    const LONG: Duration = Duration::from_secs(20);

    fn record(realm: RealmIndex, sequence: u64, awaited: bool) -> Box<Record> {
        let publication = Publication {
            id: PublicationId::from_raw(sequence),
            stamp: Stamp::default(),
            excluded: None,
            topic: "a".into(),
            payload: Payload::NONE,
            extras: None,
        };
        let subject = Subject { realm, policy: MatchPolicy::Exact, uri: "a".into() };
        let (time, publication) = (Duration::ZERO, Arc::new(publication));
        Box::new(Record { sequence, subject, place: sequence, first: 0, time, publication, awaited })
    }

    type Told = (ShardIndex, u64, bool);

    /// A journal of two shards. Realm 0 has a file in a folder that is not there, realm 1 has none.
    fn start(flush_interval: Duration, flush_bytes: usize) -> (Writer, Receiver<Told>) {
        let (sender, told): (Sender<Told>, _) = channel();
        let refusals = AtomicUsize::new(0);
        let tell = move |shard, progress: Progress| {
            // Shards have no time at first.
            if refusals.fetch_add(1, Ordering::Relaxed) < 3 {
                return false;
            }
            sender.send((shard, progress.upto, progress.failure.is_some())).is_ok()
        };
        let files = Files { files: vec![File::missing(Path::new("/no/such/folder/x"))], by_realm: vec![Some(0), None] };
        let writer = Journal::start(files, 2, flush_interval, flush_bytes, Box::new(tell)).expect("a thread");
        (writer, told)
    }

    #[test]
    fn shards_are_told_in_order_what_failed() {
        let (writer, told) = start(LONG, usize::MAX);
        let journal = writer.journal();
        for (shard, realm, sequence) in [(0, 0, 1), (1, 1, 1), (0, 0, 2), (0, 1, 3), (1, 1, 2), (0, 0, 4)] {
            journal.append(shard, record(realm, sequence, false));
        }
        assert!(told.recv_timeout(Duration::from_millis(50)).is_err(), "nobody waits");
        journal.append(1, record(1, 3, true));
        let all: Vec<Told> = (0..4).map(|_| told.recv_timeout(LONG / 2).expect("progress")).collect();
        assert_eq!(all, [(0, 2, true), (0, 3, false), (0, 4, true), (1, 3, false)]);
        assert_eq!(journal.bytes(), 0);
    }

    #[test]
    fn what_nobody_waits_for_is_written_soon() {
        let (writer, told) = start(Duration::from_millis(20), usize::MAX);
        writer.journal().append(1, record(1, 1, false));
        assert_eq!(told.recv_timeout(LONG), Ok((1, 1, false)));
    }

    #[test]
    fn a_full_queue_is_written_at_once_and_everybody_is_told() {
        let (writer, told) = start(LONG, 2 * record(1, 1, false).weight());
        writer.journal().append(1, record(1, 1, false));
        writer.journal().append(1, record(1, 2, false));
        let all = [told.recv_timeout(LONG / 2), told.recv_timeout(LONG / 2)];
        assert_eq!(all, [Ok((0, 0, false)), Ok((1, 2, false))]);
    }

    #[test]
    fn the_end_does_not_wait() {
        let start_time = Instant::now();
        let (writer, _) = start(LONG, usize::MAX);
        writer.journal().append(0, record(0, 1, false));
        drop(writer);
        assert!(start_time.elapsed() < LONG / 2);
    }
}
