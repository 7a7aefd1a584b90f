//! Publications that are kept: which, and where (specification, "Event Retention" and "Event History").

use super::config::ShardConfig;
use super::home;
use super::index::ShardIndex;
use super::map::Hashing;
use super::peer::{Publication, ShardMsg, Store};
use super::shard::Shard;
use super::subject::{self, Subject};
use super::table::Table;
use crate::session::{HistoryRule, HistoryStore, RealmIndex};
use crate::wamp::message::Published;
use crate::wamp::{Message, MessageType, PublicationId, RequestId, SessionId, SubscriptionId, error};
use smallvec::SmallVec;
use std::sync::Arc;

/// A subscription that is always there, since its events are kept.
#[derive(Clone, Debug)]
pub(super) struct Preset {
    pub(super) id: SubscriptionId,
    pub(super) subject: Subject,
    pub(super) rule: HistoryRule,
    /// Where it is kept.
    pub(super) medium: Medium,
}

/// Where a history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// In memory.
    Memory,
    /// On disk as well; publishers wait for it or do not.
    Disk { sync: bool },
}

/// Every such subscription; the same on every shard.
pub(super) fn presets(config: &ShardConfig) -> Vec<Preset> {
    let mut given = vec![0; usize::from(config.shards)];
    let mut presets = Vec::new();
    for (index, realm) in config.realms.iter().enumerate() {
        let medium = match realm.history_store {
            HistoryStore::Memory => Medium::Memory,
            HistoryStore::Disk { sync, .. } => Medium::Disk { sync },
        };
        for rule in &realm.history {
            let realm = RealmIndex::try_from(index).expect("the number of realms was checked at start");
            let home = subject::home(realm, &rule.uri, config.shards);
            let subject = Subject { realm, policy: rule.policy, uri: rule.uri.clone() };
            if presets.iter().any(|known: &Preset| known.subject == subject) {
                continue;
            }
            let id = home::nth_id(given[usize::from(home)], home, config.shards);
            given[usize::from(home)] += 1;
            presets.push(Preset { id: SubscriptionId::from_raw(id), subject, rule: rule.clone(), medium });
        }
    }
    presets
}

/// Which publications belong into which histories; nothing at all in realms that keep none.
#[derive(Debug)]
pub(super) struct Histories {
    realms: Vec<Option<Table<SubscriptionId>>>,
}

impl Histories {
    pub(super) fn new(presets: &[Preset], realms: usize, hashing: &Hashing) -> Histories {
        let mut histories = Histories { realms: (0..realms).map(|_| None).collect() };
        for Preset { id, subject, .. } in presets {
            let table = histories.realms[usize::from(subject.realm)].get_or_insert_with(|| Table::new(hashing));
            table.insert(subject.clone(), *id);
        }
        histories
    }

    /// Makes room for so many realms, which keep none.
    pub(super) fn grow(&mut self, realms: usize) {
        self.realms.resize_with(realms, || None);
    }

    /// True if the realm keeps histories.
    fn has_any(&self, realm: RealmIndex) -> bool {
        self.realms[usize::from(realm)].is_some()
    }

    /// The subscriptions whose history a topic belongs to.
    pub(super) fn matching(&self, realm: RealmIndex, topic: &str) -> SmallVec<[SubscriptionId; 2]> {
        let mut found = SmallVec::new();
        if let Some(table) = &self.realms[usize::from(realm)] {
            table.for_each_match(topic, |id| found.push(*id));
        }
        found
    }
}

/// A publisher that waits until its publication has been kept.
#[derive(Clone, Debug)]
pub(super) struct Unacknowledged {
    publication: PublicationId,
    /// Homes that have not said so.
    homes: u16,
    /// Why it could not be kept where it has to be.
    failure: Option<Arc<str>>,
}

impl Shard {
    /// True if a publication may have to be kept.
    pub(super) fn is_kept(&self, realm: RealmIndex, publication: &Publication) -> bool {
        self.histories.has_any(realm) || publication.extras.as_ref().is_some_and(|extras| extras.retain)
    }

    /// Sends a publication to the homes that keep it; gives how many report that they have.
    pub(super) fn keep(
        &mut self,
        realm: RealmIndex,
        publication: &Arc<Publication>,
        report: Option<(SessionId, RequestId)>,
    ) -> u16 {
        let shards = self.config.shards;
        let retain = publication.extras.as_ref().is_some_and(|extras| extras.retain);
        let named = publication.audience().is_some_and(|audience| audience.names_sessions());
        // Sessions that come later have other ids: who may see such an event could not be told any more.
        let histories = if named { SmallVec::new() } else { self.histories.matching(realm, &publication.topic) };
        if !retain && histories.is_empty() {
            return 0;
        }
        let retaining = retain.then(|| subject::home(realm, &publication.topic, shards));
        let mut homes: SmallVec<[(ShardIndex, SmallVec<[SubscriptionId; 2]>); 2]> = SmallVec::new();
        homes.extend(retaining.map(|home| (home, SmallVec::new())));
        for id in histories {
            let home = home::home_of(id.get(), shards);
            match homes.iter_mut().find(|(known, _)| *known == home) {
                Some((_, ids)) => ids.push(id),
                None => homes.push((home, SmallVec::from_iter([id]))),
            }
        }
        let count = homes.len();
        for (home, histories) in homes {
            let (retain, publication) = (retaining == Some(home), publication.clone());
            let store = Store { realm, publication, retain, histories, report };
            self.send_peer(home, ShardMsg::Store(Box::new(store)));
        }
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// PUBLISHED waits until the homes have kept the publication: whoever asks then finds it.
    pub(super) fn acknowledge_when_kept(
        &mut self,
        session: SessionId,
        request: RequestId,
        publication: PublicationId,
        homes: u16,
    ) {
        if let Some(record) = self.session(session) {
            record.open.insert(request, ());
        }
        self.unacknowledged.insert((session, request), Unacknowledged { publication, homes, failure: None });
    }

    /// A home has kept a publication, or has failed to.
    pub(super) fn stored(&mut self, session: SessionId, request: RequestId, failure: Option<Arc<str>>) {
        let key = (session, request);
        let Some(waiting) = self.unacknowledged.get_mut(&key) else { return };
        waiting.homes -= 1;
        if failure.is_some() {
            waiting.failure = failure;
        }
        if waiting.homes > 0 {
            return;
        }
        let publication = waiting.publication;
        let failure = waiting.failure.take();
        self.unacknowledged.remove(&key);
        let Some(record) = self.session(session) else { return };
        record.open.remove(&request);
        let (conn, class) = (record.conn, record.class);
        if let Some(why) = failure {
            let text = format!("the event was published, but it may be lost from its history: {why}");
            return self.refuse(conn, MessageType::Publish, request, (error::INTERNAL_ERROR, text));
        }
        let _ = self.send(conn, class, &Message::Published(Published { request, publication }));
    }
}
