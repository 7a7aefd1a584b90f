//! The events of a history, for those who may subscribe to its topic or pattern.

use crate::router::access::{Action, Decision, Power, question};
use crate::router::errand::{ErrandResult, Purpose};
use crate::router::index::ShardIndex;
use crate::router::peer::{EventFilter, Finding, Kind, Reply, ShardMsg};
use crate::router::shard::Shard;
use crate::session::{Identity, RealmIndex};
use crate::wamp::{Dict, SessionId, SubscriptionId};
use std::sync::Arc;

/// A session that wants the events of a subscription whose home this shard is.
#[derive(Debug)]
pub(in crate::router) struct Reading {
    /// The shard of the session, and its meta call.
    pub(super) from: ShardIndex,
    pub(super) job: u64,
    pub(super) realm: RealmIndex,
    pub(super) subscription: u64,
    pub(super) filter: Box<EventFilter>,
    pub(super) reader: SessionId,
    pub(super) identity: Arc<Identity>,
}

impl Shard {
    /// Answers if the session may read, at once or when its authorizer has been asked.
    pub(super) fn read_events(&mut self, reading: Reading) {
        let Some(subject) = self.subject_of(reading.realm, Kind::Subscription, reading.subscription).cloned() else {
            return self.reply(&reading, Finding::Missing);
        };
        let action = Action::Subscribe;
        let may = match self.roles.power(reading.realm, &reading.identity, reading.reader) {
            Power::All => true,
            Power::Rules(rights) => rights.allow_all(action, subject.policy, &subject.uri),
            Power::Asked(gate) => {
                let options = Dict::new().with("match", subject.policy.name());
                let arguments = question(reading.reader, &reading.identity, &subject.uri, action, options);
                let timeout = self.config.limits.authorization_timeout;
                let (realm, purpose) = (reading.realm, Purpose::Read(Box::new(reading)));
                return self.errand(realm, gate.authorizer(), arguments, timeout, purpose);
            }
        };
        self.answer_reading(&reading, may);
    }

    /// The authorizer of a session that wants events has answered.
    pub(in crate::router) fn may_read(&mut self, reading: &Reading, answer: &ErrandResult) {
        self.answer_reading(reading, Decision::allows(answer));
    }

    fn answer_reading(&mut self, reading: &Reading, may: bool) {
        if !may {
            return self.reply(reading, Finding::Forbidden);
        }
        let now = self.config.epoch + self.now;
        let id = SubscriptionId::from_raw(reading.subscription);
        let events = self.home.events(now, id, &reading.filter, reading.reader, &reading.identity);
        self.reply(reading, Finding::Events(events));
    }

    fn reply(&mut self, reading: &Reading, finding: Finding) {
        self.send_peer(reading.from, ShardMsg::Reply(Box::new(Reply { job: reading.job, finding })));
    }
}
