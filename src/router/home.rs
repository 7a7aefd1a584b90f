//! The home of subjects: the one place where their ids, members and the interest of shards are decided.

use super::index::ShardIndex;
use super::map::{Hashing, Map};
use super::peer::{Answer, Ask, LogEntry, ShardMsg};
use super::subject::Subject;
use crate::wamp::{RegistrationId, RequestId, SessionId, SubscriptionId};
use smallvec::SmallVec;
use std::sync::Arc;

/// The subjects whose home is one shard.
///
/// Everything that a home decides is a position in its log; what it sends leaves through the queues of its shard, so
/// every shard sees the log in order.
#[derive(Debug)]
pub(super) struct Home {
    index: ShardIndex,
    shards: ShardIndex,
    log: u64,
    ids: u64,
    topics: Map<Subject, Topic>,
    procedures: Map<Subject, Procedure>,
    hashing: Hashing,
}

/// A subscription.
#[derive(Debug)]
struct Topic {
    id: SubscriptionId,
    members: Map<SessionId, ShardIndex>,
    interested: SmallVec<[Interest; 1]>,
}

/// That a shard has members of a subscription.
#[derive(Debug)]
struct Interest {
    shard: ShardIndex,
    members: u32,
    since: u64,
}

/// A registration.
#[derive(Debug)]
struct Procedure {
    id: RegistrationId,
    callees: SmallVec<[(SessionId, ShardIndex); 1]>,
}

/// Where a home puts what it sends, in order.
pub(super) type Outbox = Vec<(ShardIndex, ShardMsg)>;

impl Home {
    pub(super) fn new(index: ShardIndex, shards: ShardIndex, hashing: Hashing) -> Home {
        let (topics, procedures) = (hashing.map(), hashing.map());
        Home { index, shards, log: 0, ids: 0, topics, procedures, hashing }
    }

    /// Handles a wish from a session of shard `from`.
    pub(super) fn ask(&mut self, from: ShardIndex, ask: Ask, out: &mut Outbox) {
        match ask {
            Ask::Subscribe(session, subject) => self.subscribe(from, session, subject, out),
            Ask::Unsubscribe(session, subject, request) => {
                self.drop_member(from, session, &subject, out);
                out.push((from, ShardMsg::Answer(Box::new(Answer::Unsubscribed(session, request)))));
            }
            Ask::Register(session, subject, request) => self.register(from, session, subject, request, out),
            Ask::Unregister(session, subject, request) => {
                let position = self.drop_callee(from, session, &subject, out);
                let answer = Answer::Unregistered { session, procedure: subject.uri, request, position };
                out.push((from, ShardMsg::Answer(Box::new(answer))));
            }
            Ask::Leave(session, topics, procedures) => {
                for subject in &topics {
                    self.drop_member(from, session, subject, out);
                }
                for subject in &procedures {
                    self.drop_callee(from, session, subject, out);
                }
            }
        }
    }

    fn subscribe(&mut self, from: ShardIndex, session: SessionId, subject: Subject, out: &mut Outbox) {
        if !self.topics.contains_key(&subject) {
            let id = SubscriptionId::from_raw(self.next_id());
            let topic = Topic { id, members: self.hashing.map(), interested: SmallVec::new() };
            self.topics.insert(subject.clone(), topic);
        }
        let topic = self.topics.get_mut(&subject).expect("inserted above");
        let id = topic.id;
        let new = topic.members.insert(session, from).is_none();
        let position = match topic.interested.iter_mut().find(|interest| interest.shard == from) {
            Some(interest) => {
                interest.members += u32::from(new);
                interest.since
            }
            None => {
                self.log += 1;
                topic.interested.push(Interest { shard: from, members: 1, since: self.log });
                let position = self.log;
                self.broadcast(out, || LogEntry::Up { position, subject: subject.clone(), id, shard: from });
                position
            }
        };
        let answer = Answer::Subscribed { session, subject, id, position };
        out.push((from, ShardMsg::Answer(Box::new(answer))));
    }

    fn drop_member(&mut self, from: ShardIndex, session: SessionId, subject: &Subject, out: &mut Outbox) {
        let Some(topic) = self.topics.get_mut(subject) else { return };
        if topic.members.remove(&session).is_none() {
            return;
        }
        let Some(at) = topic.interested.iter().position(|interest| interest.shard == from) else { return };
        topic.interested[at].members -= 1;
        if topic.interested[at].members > 0 {
            return;
        }
        topic.interested.swap_remove(at);
        let id = topic.id;
        if topic.members.is_empty() {
            self.topics.remove(subject);
        }
        self.log += 1;
        self.broadcast(out, || LogEntry::Down { subject: subject.clone(), id, shard: from });
    }

    fn register(
        &mut self,
        from: ShardIndex,
        session: SessionId,
        subject: Subject,
        request: RequestId,
        out: &mut Outbox,
    ) {
        if self.procedures.contains_key(&subject) {
            let answer = Answer::RegisterRefused(session, subject.uri, request);
            out.push((from, ShardMsg::Answer(Box::new(answer))));
            return;
        }
        let id = RegistrationId::from_raw(self.next_id());
        let callees = SmallVec::from_iter([(session, from)]);
        self.procedures.insert(subject.clone(), Procedure { id, callees });
        self.log_callees(from, &subject, id, out);
        let (procedure, position) = (subject.uri, self.log);
        let answer = Answer::Registered { session, procedure, request, id, position };
        out.push((from, ShardMsg::Answer(Box::new(answer))));
    }

    /// Gives the position of the entry that says so; 0, which every shard has applied, if there was nothing to drop.
    fn drop_callee(&mut self, from: ShardIndex, session: SessionId, subject: &Subject, out: &mut Outbox) -> u64 {
        let Some(procedure) = self.procedures.get_mut(subject) else { return 0 };
        let before = procedure.callees.len();
        procedure.callees.retain(|(callee, _)| *callee != session);
        if procedure.callees.len() == before {
            return 0;
        }
        let id = procedure.id;
        self.log_callees(from, subject, id, out);
        if self.procedures.get(subject).is_some_and(|procedure| procedure.callees.is_empty()) {
            self.procedures.remove(subject);
        }
        self.log
    }

    fn log_callees(&mut self, cause: ShardIndex, subject: &Subject, id: RegistrationId, out: &mut Outbox) {
        self.log += 1;
        let position = self.log;
        let callees: Arc<[_]> = match self.procedures.get(subject) {
            Some(procedure) => Arc::from(&procedure.callees[..]),
            None => Arc::from([]),
        };
        self.broadcast(out, || LogEntry::Callees {
            position,
            realm: subject.realm,
            procedure: subject.uri.clone(),
            id,
            callees: callees.clone(),
            cause,
        });
    }

    fn broadcast(&self, out: &mut Outbox, entry: impl Fn() -> LogEntry) {
        for shard in 0..self.shards {
            out.push((shard, ShardMsg::Log(Box::new(entry()))));
        }
    }

    /// Ids of different homes differ by construction: they have different remainders.
    fn next_id(&mut self) -> u64 {
        let id = self.ids * u64::from(self.shards) + u64::from(self.index) + 1;
        self.ids += 1;
        id
    }

    /// True if no session is a member or callee of anything here.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.procedures.is_empty()
    }
}
