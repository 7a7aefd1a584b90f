//! Events from a shard to the members of subscriptions that it has.

use super::config::Rule;
use super::effect::{ConnId, Effect};
use super::frames::Class;
use super::peer::Publication;
use super::session::{Arrival, Subscription};
use super::shard::Shard;
use super::subject::Subject;
use crate::wamp::message::Event;
use crate::wamp::{MatchPolicy, Message, SubscriptionId};
use std::sync::Arc;
use std::time::Duration;

/// The members of a subscription on one shard.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) subject: Subject,
    pub(super) list: Vec<Member>,
    /// One of them may skip events.
    pub(super) skipping: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) conn: ConnId,
    pub(super) generation: u32,
    pub(super) class: Class,
    /// Its session may have had some events already, as retained events.
    pub(super) skips: bool,
    /// It belongs to a node, which the subscription of its session names.
    pub(super) noded: bool,
}

impl Members {
    pub(super) const fn new(subject: Subject) -> Members {
        Members { subject, list: Vec::new(), skipping: false }
    }
}

impl Shard {
    /// Takes a member out of a subscription of this shard; the last one takes its place.
    pub(super) fn remove_member(&mut self, id: SubscriptionId, position: u32) {
        let Some(members) = self.members.get_mut(&id) else { return };
        members.list.swap_remove(position as usize);
        if members.list.is_empty() {
            self.members.remove(&id);
            return;
        }
        let Some(moved) = members.list.get(position as usize) else { return };
        let record = self.conns[moved.conn.0 as usize].session();
        if let Some(Subscription::Active { position: at, .. }) =
            record.and_then(|session| session.subscriptions.get_mut(&members.subject))
        {
            *at = position;
        }
    }

    /// Gives an event to the members of a subscription on this shard.
    pub(super) fn deliver(&mut self, subscription: SubscriptionId, publication: &Arc<Publication>) {
        let excluded = publication.excluded.and_then(|session| self.sessions.get(&session).copied());
        // Whoever had the subscription when the event was sent here may have left meanwhile.
        let Some(mut members) = self.members.remove(&subscription) else { return };
        let pattern = members.subject.policy != MatchPolicy::Exact;
        let Members { subject, list, skipping } = &mut members;
        let special =
            publication.audience().is_some() || publication.nodes().is_some() || self.lanes_busy > 0 || *skipping;
        *skipping = false;
        if special {
            for member in list {
                let own = Some(member.conn) == excluded;
                let withheld = self.withheld(member, own, subscription, subject, publication);
                *skipping |= member.skips;
                if !withheld {
                    self.fan.add(member.class, member.conn);
                }
            }
        } else {
            for &Member { conn, class, .. } in &*list {
                if Some(conn) != excluded {
                    self.fan.add(class, conn);
                }
            }
        }
        self.members.insert(subscription, members);
        if !self.fan.is_empty() {
            self.send_event(&event(subscription, publication, pattern), publication.stamp.at);
        }
    }

    /// Sends an event to those who have been gathered; a frame is built for each class.
    fn send_event(&mut self, event: &Message, since: Duration) {
        while let Some((class, conns)) = self.fan.next() {
            match self.frames.build(class, event) {
                Ok(frame) => {
                    self.counters.events += conns.len() as u64;
                    self.effects().push_back(Effect::Fan { conns, frame, since });
                }
                Err(_) => {
                    self.counters.events_undeliverable += conns.len() as u64;
                    self.fan.reuse(conns);
                }
            }
        }
    }

    /// True if a member does not get the event, or not now.
    fn withheld(
        &mut self,
        member: &mut Member,
        own: bool,
        subscription: SubscriptionId,
        subject: &Subject,
        publication: &Arc<Publication>,
    ) -> bool {
        if member.skips {
            let (skipped, more) = self.skipped(member.conn, subject, publication);
            member.skips = more;
            if skipped {
                return true;
            }
        }
        own || member.noded && !self.gets_share(member.conn, subscription, subject, publication)
            || publication.audience().is_some() && !self.admits(member.conn, publication)
            || self.lanes_busy > 0 && self.parked(member, subscription, publication)
    }

    /// True if the publisher lets this session have the event.
    fn admits(&mut self, conn: ConnId, publication: &Publication) -> bool {
        let Some(session) = self.session_at(conn) else { return false };
        let link = session.features.subscriber.link;
        let admitted = publication
            .audience()
            .is_none_or(|audience| audience.admits(session.id, &session.identity) && !(link && audience.is_local()));
        let (kept_out, let_in) = (Rule::AudienceKeptOut, Rule::AudienceLetIn);
        if admitted { self.config.keeps(let_in) } else { !self.config.keeps(kept_out) }
    }

    /// If something waits in the session's lane, the event waits behind it.
    fn parked(&mut self, member: &Member, subscription: SubscriptionId, publication: &Arc<Publication>) -> bool {
        if !self.config.keeps(Rule::OneLane) {
            return false;
        }
        let Some(session) = self.session_at(member.conn).filter(|session| !session.lane.is_empty()) else {
            return false;
        };
        let (generation, publication) = (member.generation, publication.clone());
        session.lane.push_back(Arrival::Event { subscription, generation, publication });
        true
    }

    /// Gives a parked event to its session, if the subscription it was parked for still stands.
    pub(super) fn deliver_parked(
        &mut self,
        conn: ConnId,
        subscription: SubscriptionId,
        generation: u32,
        publication: &Publication,
    ) {
        let Some(members) = self.members.get(&subscription) else { return };
        let subject = &members.subject;
        let Some(session) = self.conns[conn.0 as usize].session() else { return };
        let present = match session.subscriptions.get(subject) {
            Some(Subscription::Active { generation, .. }) => Some(*generation),
            _ => None,
        };
        if present != Some(generation) && self.config.keeps(Rule::Generations) {
            return;
        }
        let class = session.class;
        let event = event(subscription, publication, subject.policy != MatchPolicy::Exact);
        match self.send(conn, class, &event) {
            Ok(()) => self.counters.events += 1,
            Err(_) => self.counters.events_undeliverable += 1,
        }
    }
}

/// EVENT for a subscription, a pattern or not.
fn event(subscription: SubscriptionId, publication: &Publication, pattern: bool) -> Message {
    let mut details = publication.details(pattern);
    if let Some(trace) = publication.trace() {
        trace.append(&mut details);
    }
    Message::Event(Event { subscription, publication: publication.id, details, payload: publication.payload.clone() })
}
