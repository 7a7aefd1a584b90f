//! Subscriptions at their home.

use super::history::History;
use super::nodes::Nodes;
use super::{Home, Outbox};
use crate::router::index::ShardIndex;
use crate::router::map::Map;
use crate::router::meta::event::{MetaEvent, Occasion};
use crate::router::peer::{Answer, Kind, LogEntry, Revocation};
use crate::router::store::Preset;
use crate::router::subject::Subject;
use crate::wamp::uri::is_reserved;
use crate::wamp::{SessionId, SubscriptionId};
use smallvec::SmallVec;
use std::time::Duration;

/// A subscription.
#[derive(Debug)]
pub(in crate::router) struct Topic {
    pub(in crate::router) subject: Subject,
    /// When it was created, since 1970.
    pub(in crate::router) created: Duration,
    /// Its creation has been published.
    announced: bool,
    members: Map<SessionId, Member>,
    interested: SmallVec<[Interest; 1]>,
    /// What is kept of its events; then it is there without members as well.
    pub(super) history: Option<Box<History>>,
    /// The nodes that members belong to, if any does.
    pub(super) nodes: Option<Box<Nodes>>,
}

#[derive(Debug)]
struct Member {
    shard: ShardIndex,
    /// That it is a member has been published.
    announced: bool,
    /// It is to be taken out as soon as that has been published, for this reason.
    revoked: Option<Option<Box<str>>>,
}

/// That a shard has members of a subscription.
#[derive(Debug)]
struct Interest {
    shard: ShardIndex,
    members: u32,
    since: u64,
}

impl Topic {
    /// True if it has no members.
    pub(super) fn is_unused(&self) -> bool {
        self.members.is_empty()
    }

    /// True if its events are kept.
    pub(in crate::router) fn keeps_events(&self) -> bool {
        self.history.is_some()
    }

    /// True if the session is a member.
    pub(super) fn has_member(&self, session: SessionId) -> bool {
        self.members.contains_key(&session)
    }

    /// The members, in no particular order.
    pub(in crate::router) fn sessions(&self) -> impl ExactSizeIterator<Item = SessionId> {
        self.members.keys().copied()
    }
}

impl Home {
    pub(super) fn subscribe(
        &mut self,
        time: Duration,
        from: ShardIndex,
        session: SessionId,
        subject: Subject,
        out: &mut Outbox,
    ) {
        let id = match self.topic_ids.get(&subject) {
            Some(id) => *id,
            None => {
                let id = SubscriptionId::from_raw(self.next_id());
                let topic = Topic {
                    subject: subject.clone(),
                    created: time,
                    announced: false,
                    members: self.hashing.map(),
                    interested: SmallVec::new(),
                    history: None,
                    nodes: None,
                };
                self.topics.insert(id, topic);
                self.topic_ids.insert(subject.clone(), id);
                id
            }
        };
        let topic = self.topics.get_mut(&id).expect("found or inserted above");
        let new = topic.members.insert(session, Member { shard: from, announced: false, revoked: None }).is_none();
        let position = match topic.interested.iter_mut().find(|interest| interest.shard == from) {
            Some(interest) => {
                interest.members += u32::from(new);
                interest.since
            }
            None => {
                let position = self.next_position(from);
                let topic = self.topics.get_mut(&id).expect("found or inserted above");
                topic.interested.push(Interest { shard: from, members: 1, since: position });
                self.broadcast(out, || LogEntry::Up { position, subject: subject.clone(), id, shard: from });
                position
            }
        };
        if self.announce_early {
            self.announce_subscriber(session, id, out);
        }
        // Not before an UNSUBSCRIBED that the session may wait for.
        let position = position.max(self.forgotten[usize::from(from)]);
        out.answer(from, Answer::Subscribed { session, subject, id, position });
    }

    /// Makes a subscription that is there from the start, and for good.
    pub(super) fn preset(&mut self, time: Duration, preset: &Preset) {
        let id = SubscriptionId::from_raw(self.next_id());
        debug_assert_eq!(id, preset.id, "ids are given in the order of the presets");
        let topic = Topic {
            subject: preset.subject.clone(),
            created: time,
            announced: true,
            members: self.hashing.map(),
            interested: SmallVec::new(),
            history: Some(Box::new(History::new(preset.rule.clone(), preset.medium, time))),
            nodes: None,
        };
        self.topics.insert(id, topic);
        self.topic_ids.insert(preset.subject.clone(), id);
    }

    /// SUBSCRIBED has been written: tells others of the member, and of the subscription if it is new. Who listens to
    /// the router itself is not told of, as with the other routers.
    pub(super) fn announce_subscriber(&mut self, session: SessionId, id: SubscriptionId, out: &mut Outbox) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        let Some(member) = topic.members.get_mut(&session) else { return };
        let known = std::mem::replace(&mut member.announced, true);
        let event = |occasion| MetaEvent {
            realm: topic.subject.realm,
            kind: Kind::Subscription,
            session,
            id: id.get(),
            occasion,
        };
        let quiet = is_reserved(&topic.subject.uri);
        if !std::mem::replace(&mut topic.announced, true) && !quiet {
            let occasion = Occasion::Created { subject: topic.subject.clone(), created: topic.created, invoke: None };
            out.publish(event(occasion));
        }
        let revoked = member.revoked.take();
        if !known && !quiet {
            out.publish(event(Occasion::Added));
        }
        if let Some(reason) = revoked {
            self.revoke_subscription(id, session, reason, out);
        }
    }

    /// Takes a member out; gives the shard that it was on and the position at which that shard became interested.
    pub(super) fn drop_member(
        &mut self,
        session: SessionId,
        subject: &Subject,
        out: &mut Outbox,
    ) -> Option<(ShardIndex, u64)> {
        let id = *self.topic_ids.get(subject)?;
        let noded = self.topics.get(&id).filter(|topic| topic.nodes.is_some());
        if let Some(shard) = noded.and_then(|topic| Some(topic.members.get(&session)?.shard)) {
            self.leave_node(session, shard, id, out);
        }
        let topic = self.topics.get_mut(&id)?;
        let Member { shard, announced, .. } = topic.members.remove(&session)?;
        let event =
            |occasion| MetaEvent { realm: subject.realm, kind: Kind::Subscription, session, id: id.get(), occasion };
        let quiet = is_reserved(&subject.uri);
        if announced && !quiet {
            out.publish(event(Occasion::Removed));
        }
        let at = topic.interested.iter().position(|interest| interest.shard == shard)?;
        let since = topic.interested[at].since;
        topic.interested[at].members -= 1;
        if topic.interested[at].members > 0 {
            return Some((shard, since));
        }
        topic.interested.swap_remove(at);
        if topic.is_unused() && topic.history.is_none() {
            if topic.announced && !quiet {
                out.publish(event(Occasion::Deleted));
            }
            self.topics.remove(&id);
            self.topic_ids.remove(subject);
        }
        self.log += 1;
        self.broadcast(out, || LogEntry::Down { subject: subject.clone(), id, shard });
        Some((shard, since))
    }

    /// Takes a member out by the router's decision, but not before it has been told that it is one; false if it is
    /// none.
    pub(in crate::router) fn revoke_subscription(
        &mut self,
        id: SubscriptionId,
        session: SessionId,
        reason: Option<Box<str>>,
        out: &mut Outbox,
    ) -> bool {
        let Some(topic) = self.topics.get_mut(&id) else { return false };
        let Some(member) = topic.members.get_mut(&session) else { return false };
        if !member.announced {
            member.revoked = Some(reason);
            return true;
        }
        let subject = topic.subject.clone();
        let Some((shard, since)) = self.drop_member(session, &subject, out) else { return false };
        // It remains a member until nobody chooses its node any more.
        let position = since.max(self.forgotten[usize::from(shard)]);
        let revocation = Revocation { id, reason };
        out.answer(shard, Answer::SubscriptionRevoked { session, subject, revocation, position });
        true
    }

    /// A subscription.
    pub(in crate::router) fn topic(&self, id: SubscriptionId) -> Option<&Topic> {
        self.topics.get(&id)
    }

    /// The id of a subject.
    pub(in crate::router) fn topic_id(&self, subject: &Subject) -> Option<SubscriptionId> {
        self.topic_ids.get(subject).copied()
    }

    /// Every subscription.
    pub(in crate::router) fn topics(&self) -> impl Iterator<Item = (SubscriptionId, &Topic)> {
        self.topics.iter().map(|(id, topic)| (*id, topic))
    }
}
