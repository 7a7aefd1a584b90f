//! A disk that is slow, and whose content is all that outlives the process.

use crate::router::subject::Subject;
use crate::router::{Past, PastEvent, Record, ShardIndex};
use fastrand::Rng;
use std::collections::{BTreeMap, VecDeque};

/// What a shard is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) shard: ShardIndex,
    /// Up to which of its records everything is done.
    pub(super) upto: u64,
    /// Nothing of it was written since the last time.
    pub(super) failed: bool,
}

/// What is on the disk, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// In the order in which shards gave them.
    waiting: VecDeque<(ShardIndex, Box<Record>)>,
    /// What shards have not been told yet.
    untold: VecDeque<Progress>,
    kept: BTreeMap<Subject, BTreeMap<u64, PastEvent>>,
}

impl Disk {
    pub(super) fn take(&mut self, shard: ShardIndex, record: Box<Record>) {
        self.waiting.push_back((shard, record));
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.untold.is_empty()
    }

    /// Writes some of what waits, or fails to.
    pub(super) fn write(&mut self, rng: &mut Rng, failing: bool) {
        let count = rng.usize(..=self.waiting.len());
        let failed = failing && rng.u8(..) < 64;
        for (shard, record) in self.waiting.drain(..count) {
            let Record { sequence, subject, place, first, time, publication, .. } = *record;
            if !failed {
                let events = self.kept.entry(subject).or_default();
                events.insert(place, PastEvent { place, time, publication });
                // What the home keeps no more.
                *events = events.split_off(&first);
            }
            match self.untold.back_mut() {
                Some(last) if last.shard == shard && last.failed == failed => last.upto = sequence,
                _ => self.untold.push_back(Progress { shard, upto: sequence, failed }),
            }
        }
    }

    /// The next thing to tell a shard.
    pub(super) fn tell(&mut self) -> Option<Progress> {
        self.untold.pop_front()
    }

    /// The process has died: gives what the next one finds.
    pub(super) fn crash(&mut self) -> Vec<Past> {
        self.waiting.clear();
        self.untold.clear();
        let past = |(subject, events): (&Subject, &BTreeMap<u64, PastEvent>)| Past {
            subject: subject.clone(),
            events: events.values().cloned().collect(),
        };
        self.kept.iter().map(past).collect()
    }
}
