//! The home of subjects: the one place where their ids, members and the interest of shards are decided.

mod history;
mod nodes;
mod procedures;
mod retained;
mod topics;

use self::history::Unrecorded;
use self::procedures::Procedure;
use self::retained::{Readers, Retained};
use self::topics::Topic;
use super::config::{Rule, ShardConfig};
use super::index::ShardIndex;
use super::map::{Hashing, Map};
use super::meta::event::MetaEvent;
use super::peer::{Answer, Ask, Departure, Kind, LogEntry, ShardMsg};
use super::record::Record;
use super::store::Preset;
use super::subject::{self, Subject};
use crate::session::RealmConfig;
use crate::wamp::{RegistrationId, SessionId, SubscriptionId};
use std::collections::VecDeque;
use std::time::Duration;

/// The subjects whose home is one shard.
///
/// Everything that a home decides is a position in its log; what it sends leaves through the queues of its shard, so
/// every shard sees the log in order.
#[derive(Debug)]
pub(super) struct Home {
    index: ShardIndex,
    shards: ShardIndex,
    log: u64,
    /// The last position that each shard has caused.
    caused: Vec<u64>,
    /// Where each shard last ceased to have members of a node.
    forgotten: Vec<u64>,
    ids: u64,
    topics: Map<SubscriptionId, Topic>,
    topic_ids: Map<Subject, SubscriptionId>,
    procedures: Map<RegistrationId, Procedure>,
    procedure_ids: Map<Subject, RegistrationId>,
    /// Registrations that others have taken over, while callees of theirs have not been told REGISTERED.
    retiring: Map<RegistrationId, Procedure>,
    retained: Vec<Retained>,
    readers: Readers,
    /// The last publication of each shard that came to be kept.
    stored: Vec<u64>,
    /// How many events it has wanted written down.
    records: u64,
    /// Publishers that wait for that, in order.
    unrecorded: VecDeque<Unrecorded>,
    /// Broken rules, see [`Rule`].
    skip_mark: bool,
    announce_early: bool,
    ignore_audience: bool,
    acknowledge_early: bool,
    hashing: Hashing,
}

/// What a home wants done, in order.
#[derive(Debug)]
pub(super) enum Decision {
    /// Send this.
    Send(ShardIndex, ShardMsg),
    /// Publish this.
    Publish(MetaEvent),
    /// Write this down.
    Record(Box<Record>),
}

/// Where a home puts what it wants done.
#[derive(Debug, Default)]
pub(super) struct Outbox(pub(super) Vec<Decision>);

impl Outbox {
    fn answer(&mut self, to: ShardIndex, answer: Answer) {
        self.0.push(Decision::Send(to, ShardMsg::Answer(Box::new(answer))));
    }

    fn publish(&mut self, event: MetaEvent) {
        self.0.push(Decision::Publish(event));
    }
}

impl Home {
    pub(super) fn new(config: &ShardConfig, presets: &[Preset], hashing: Hashing) -> Home {
        let (index, shards) = (config.index, config.shards);
        let mut home = Home {
            index,
            shards,
            log: 0,
            caused: vec![0; usize::from(shards)],
            forgotten: vec![0; usize::from(shards)],
            ids: 0,
            topics: hashing.map(),
            topic_ids: hashing.map(),
            procedures: hashing.map(),
            procedure_ids: hashing.map(),
            retiring: hashing.map(),
            retained: config.realms.iter().map(|realm| Retained::new(realm.retained, shards)).collect(),
            readers: Readers::default(),
            stored: vec![0; usize::from(shards)],
            records: 0,
            unrecorded: VecDeque::new(),
            skip_mark: !config.keeps(Rule::RetainedMark),
            announce_early: !config.keeps(Rule::AnnouncedAfterAck),
            ignore_audience: !config.keeps(Rule::AudienceRemembered),
            acknowledge_early: !config.keeps(Rule::AcknowledgedWhenWritten),
            hashing,
        };
        let own = |preset: &&Preset| subject::home(preset.subject.realm, &preset.subject.uri, shards) == index;
        presets.iter().filter(own).for_each(|preset| home.preset(config.epoch, preset));
        home
    }

    /// Handles a wish from a session of shard `from`. `time` is the time since 1970.
    pub(super) fn ask(&mut self, time: Duration, from: ShardIndex, ask: Ask, out: &mut Outbox) {
        match ask {
            Ask::Subscribe(session, subject) => self.subscribe(time, from, session, subject, out),
            Ask::Subscribed(session, id) => self.announce_subscriber(session, id, out),
            Ask::Node(session, subject, node, token) => self.join_node(from, session, &subject, node, token, out),
            Ask::Retained(request) => self.read_retained(from, request, out),
            Ask::Unsubscribe(session, subject, request) => {
                self.drop_member(session, &subject, out);
                out.answer(from, Answer::Unsubscribed(session, request, self.forgotten[usize::from(from)]));
            }
            Ask::Register(session, subject, request, options) => {
                self.register(time, from, session, subject, request, options, out);
            }
            Ask::Registered(session, id) => self.announce_callee(session, id, out),
            Ask::Unregister(session, subject, id, request) => {
                // The session may have registered anew by force, which this is not about.
                if self.procedure_ids.get(&subject) == Some(&id) {
                    self.drop_callee(session, &subject, out);
                }
                // Also if it had been revoked before: that must have been applied, too.
                let position = self.caused[usize::from(from)];
                out.answer(from, Answer::Unregistered { session, subject, request, id, position });
            }
            Ask::Revoke(session, kind, subject, reason) => self.revoke(session, kind, &subject, reason, out),
            Ask::Leave(departure) => self.leave(from, &departure, out),
        }
    }

    /// Takes a session out of a subject, if it is in it.
    fn revoke(&mut self, session: SessionId, kind: Kind, subject: &Subject, reason: &str, out: &mut Outbox) {
        let reason = Some(reason.into());
        // Who is not in it has left it meanwhile.
        match kind {
            Kind::Subscription => {
                if let Some(id) = self.topic_id(subject) {
                    self.revoke_subscription(id, session, reason, out);
                }
            }
            Kind::Registration => {
                if let Some(id) = self.procedure_id(subject) {
                    self.revoke_registration(id, session, reason, out);
                }
            }
        }
    }

    /// Goes on with other limits, with new realms, and without what is kept for realms that are closed.
    pub(super) fn reform(&mut self, realms: &[RealmConfig]) {
        let shards = self.shards;
        self.retained
            .extend(realms.iter().skip(self.retained.len()).map(|realm| Retained::new(realm.retained, shards)));
        for (retained, realm) in self.retained.iter_mut().zip(realms) {
            if realm.closed {
                *retained = Retained::new(realm.retained, shards);
            } else {
                retained.limit(realm.retained, shards);
            }
        }
    }

    fn leave(&mut self, from: ShardIndex, departure: &Departure, out: &mut Outbox) {
        let session = departure.session;
        for subject in &departure.topics {
            self.drop_member(session, subject, out);
        }
        for subject in &departure.procedures {
            self.drop_callee(session, subject, out);
            self.drop_retiring(session, subject, out);
        }
        if departure.report {
            let position = self.mark(from, out);
            out.answer(from, Answer::Left(session, position));
        }
    }

    /// Appends an entry that changes nothing; when every shard has applied it, everything that was sent before has
    /// arrived.
    pub(super) fn mark(&mut self, cause: ShardIndex, out: &mut Outbox) -> u64 {
        let position = self.next_position(cause);
        self.broadcast(out, || LogEntry::Mark { position, cause });
        position
    }

    fn next_position(&mut self, cause: ShardIndex) -> u64 {
        self.log += 1;
        self.caused[usize::from(cause)] = self.log;
        self.log
    }

    fn broadcast(&self, out: &mut Outbox, entry: impl Fn() -> LogEntry) {
        for shard in 0..self.shards {
            out.0.push(Decision::Send(shard, ShardMsg::Log(Box::new(entry()))));
        }
    }

    /// Ids of different homes differ by construction: they have different remainders.
    fn next_id(&mut self) -> u64 {
        self.ids += 1;
        nth_id(self.ids - 1, self.index, self.shards)
    }

    /// True if no session is a member or callee of anything here.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn is_empty(&self) -> bool {
        self.topics.values().all(Topic::is_unused)
            && self.topics.len() == self.topic_ids.len()
            && self.readers.is_empty()
            && self.unrecorded.is_empty()
            && self.procedures.is_empty()
            && self.retiring.is_empty()
            && self.procedure_ids.is_empty()
    }
}

/// The id that a home gives as the `nth`, counted from 0.
pub(super) fn nth_id(nth: u64, home: ShardIndex, shards: ShardIndex) -> u64 {
    nth * u64::from(shards) + u64::from(home) + 1
}

/// The home that has given an id, if any can have.
pub(super) fn home_of(id: u64, shards: ShardIndex) -> ShardIndex {
    ShardIndex::try_from(id.wrapping_sub(1) % u64::from(shards)).unwrap_or(0)
}

/// Those whom a session's shard has to be asked about are found by the same remainder, see `Shard::new_session_id`.
pub(super) fn shard_of(session: SessionId, shards: ShardIndex) -> ShardIndex {
    ShardIndex::try_from(session.get() % u64::from(shards)).unwrap_or(0)
}
