//! Retained events on the subscriber's side (specification, "Event Retention"; G11 of `docs/ordering.md`).
//!
//! A subscriber that wants them is a member at once, but what comes for it waits behind a marker in its lane until the
//! homes have answered. Then it gets SUBSCRIBED, the retained events, and what waited; what the homes had kept before
//! they answered is skipped, whether it waited already or is still on its way from a slower shard. The same marker
//! stands until every shard knows the subscriber's node.

use super::config::Rule;
use super::effect::ConnId;
use super::home::Outbox;
use super::nodes::NodeKey;
use super::peer::{Ask, Publication, RetainedRequest, RetainedState, ShardMsg};
use super::session::{Arrival, Subscription, Wish};
use super::shard::Shard;
use super::subject::Subject;
use crate::wamp::message::Event;
use crate::wamp::{MatchPolicy, Message, MessageType, RequestId, SessionId, SubscriptionId, Uri, error};
use smallvec::SmallVec;
use std::sync::Arc;

/// Where a subscriber's lane waits for retained events, or until every shard knows its node.
#[derive(Debug)]
pub(super) struct Marker {
    pub(super) subject: Subject,
    pub(super) subscription: SubscriptionId,
    pub(super) generation: u32,
    /// Tells this marker from others.
    pub(super) token: u32,
    /// SUBSCRIBEs that are answered when the marker is passed.
    pub(super) requests: SmallVec<[RequestId; 2]>,
    /// Retained events are wanted.
    pub(super) retained: bool,
    /// Answers that have not come.
    pub(super) missing: u16,
    /// The node to which the subscriber is to be counted when its retained events have come: what goes to the node
    /// from then on is newer than they are.
    pub(super) node: Option<NodeKey>,
    pub(super) states: Vec<RetainedState>,
}

/// What a subscription skips: events of topics of which it has got the retained event, that were published before.
#[derive(Clone, Debug, Default)]
pub(super) struct Skips {
    /// Of each home that had retained events.
    cuts: Arc<[Cut]>,
}

/// The topics of a home, sorted, and the last publication of each shard that it had kept when it answered.
type Cut = (Vec<Uri>, Arc<[u64]>);

impl Skips {
    fn of(states: &[RetainedState]) -> Skips {
        let cut = |state: &RetainedState| {
            let mut topics: Vec<Uri> = state.events.iter().map(|event| event.topic.clone()).collect();
            topics.sort_unstable();
            (topics, state.cut.clone())
        };
        Skips { cuts: states.iter().filter(|state| !state.events.is_empty()).map(cut).collect() }
    }

    /// True if the home of the publication's topic had kept this one or a later one of its shard.
    fn covers(&self, publication: &Publication) -> bool {
        let cut = self.cuts.iter().find(|(topics, _)| topics.binary_search(&publication.topic).is_ok());
        cut.is_some_and(|(_, cut)| publication.stamp.serial <= cut[usize::from(publication.stamp.shard)])
    }

    /// True if something that is to be skipped may still be on its way. `heard` is the last publication that has come
    /// from each shard.
    fn is_live(&self, heard: &[u64]) -> bool {
        self.cuts.iter().any(|(_, cut)| cut.iter().zip(heard).any(|(cut, heard)| heard < cut))
    }
}

impl Shard {
    /// Lets a new member's lane wait for what it wants besides being one.
    pub(super) fn await_wish(
        &mut self,
        conn: ConnId,
        subject: Subject,
        subscription: SubscriptionId,
        generation: u32,
        wish: Wish,
    ) {
        let Wish { requests, retained, node } = wish;
        let Some(session) = self.session_at(conn).map(|session| session.id) else { return };
        self.generation = self.generation.wrapping_add(1);
        let token = self.generation;
        let missing = if retained { self.homes_of(&subject) } else { 0 };
        let marker = Marker {
            subject: subject.clone(),
            subscription,
            generation,
            token,
            requests,
            retained,
            missing,
            node,
            states: Vec::new(),
        };
        self.park(conn, Arrival::Marker(Box::new(marker)));
        if retained {
            self.ask_retained(conn, &subject, token);
        } else {
            self.advance_marker(session, token, |_| ());
        }
    }

    /// Asks the homes of a subject's topics for their retained events, for a marker.
    pub(super) fn ask_retained(&mut self, conn: ConnId, subject: &Subject, token: u32) {
        let Some(session) = self.session_at(conn) else { return };
        let (id, identity) = (session.id, session.identity.clone());
        let request = || RetainedRequest { session: id, subject: subject.clone(), token, identity: identity.clone() };
        if subject.policy == MatchPolicy::Exact {
            self.ask(Ask::Retained(request()), subject);
        } else {
            for home in 0..self.config.shards {
                self.send_peer(home, ShardMsg::Ask(Box::new(Ask::Retained(request()))));
            }
        }
    }

    /// How many homes may have retained events for a subject.
    pub(super) const fn homes_of(&self, subject: &Subject) -> u16 {
        if matches!(subject.policy, MatchPolicy::Exact) { 1 } else { self.config.shards }
    }

    /// A home has answered.
    pub(super) fn arrive_retained(&mut self, session: SessionId, token: u32, state: RetainedState) {
        self.advance_marker(session, token, |marker| {
            marker.states.push(state);
            marker.missing -= 1;
        });
    }

    /// Something that a marker waits for has come, or it is new.
    pub(super) fn advance_marker(&mut self, session: SessionId, token: u32, take: impl FnOnce(&mut Marker)) {
        let waits = self.config.keeps(Rule::NodeKnown);
        let Some(session) = self.session(session) else { return };
        let (id, conn) = (session.id, session.conn);
        let marker = session.lane.iter_mut().find_map(|arrival| match arrival {
            Arrival::Marker(marker) if marker.token == token => Some(marker),
            _ => None,
        });
        if let Some(marker) = marker {
            take(marker);
            // If the session has unsubscribed meanwhile, the home may count it to another node already.
            let stands = match session.subscriptions.get(&marker.subject) {
                Some(Subscription::Active { generation, .. }) => *generation == marker.generation,
                _ => false,
            };
            if stands
                && marker.missing == 0
                && let Some(node) = marker.node.take()
            {
                marker.missing = u16::from(waits);
                let subject = marker.subject.clone();
                self.ask(Ask::Node(id, subject.clone(), node, token), &subject);
            }
        }
        self.advance(conn);
    }

    /// Passes a marker: everything that it waits for has come.
    pub(super) fn pass_marker(&mut self, conn: ConnId, marker: Marker) {
        let Marker { subject, subscription, generation, requests, states, .. } = marker;
        let fresh = !requests.is_empty();
        // A session that had SUBSCRIBED before must not miss what was published since.
        let skipping = fresh && self.config.keeps(Rule::RetainedSkip);
        let heard = self.heard.clone();
        let Some(session) = self.session_at(conn) else { return };
        let (class, id) = (session.class, session.id);
        let skips = Skips::of(&states);
        let position = match session.subscriptions.get_mut(&subject) {
            Some(Subscription::Active { generation: present, position, skips: kept, .. }) if *present == generation => {
                if skipping {
                    *kept = skips.is_live(&heard).then(|| Box::new(skips.clone()));
                }
                Some((*position, kept.is_some()))
            }
            _ => None,
        };
        let Some((position, live)) = position else {
            // The router has taken the subscription away meanwhile.
            for request in requests {
                if let Some(session) = self.session_at(conn) {
                    session.open.remove(&request);
                }
                let refused = (error::NO_SUCH_SUBSCRIPTION, "the subscription has been revoked".into());
                self.refuse(conn, MessageType::Subscribe, request, refused);
            }
            return;
        };
        if skipping {
            let waited = !session.lane.is_empty();
            session.lane.retain(|arrival| match arrival {
                Arrival::Event { subscription: of, publication, .. } if *of == subscription => {
                    !skips.covers(publication)
                }
                _ => true,
            });
            self.lanes_busy -= usize::from(waited && session.lane.is_empty());
        }
        if let Some(members) = self.members.get_mut(&subscription)
            && let Some(member) = members.list.get_mut(position as usize)
        {
            member.skips = live;
            members.skipping |= live;
        }
        self.acknowledge_subscription(conn, class, requests, subscription);
        for publication in states.iter().flat_map(|state| &state.events) {
            let details = publication.details(subject.policy != MatchPolicy::Exact).with("retained", true);
            let (publication, payload) = (publication.id, publication.payload.clone());
            let event = Message::Event(Event { subscription, publication, details, payload });
            match self.send(conn, class, &event) {
                Ok(()) => self.counters.events += 1,
                Err(_) => self.counters.events_undeliverable += 1,
            }
        }
        if fresh {
            self.ask(Ask::Subscribed(id, subscription), &subject);
        }
    }

    /// Whether a member has had this event, or a later one, as a retained event; and whether there may be more such.
    pub(super) fn skipped(&mut self, conn: ConnId, subject: &Subject, publication: &Publication) -> (bool, bool) {
        let Some(session) = self.conns[conn.0 as usize].session() else { return (false, false) };
        let Some(Subscription::Active { skips, .. }) = session.subscriptions.get_mut(subject) else {
            return (false, false);
        };
        let Some(kept) = skips else { return (false, false) };
        let covered = kept.covers(publication);
        let live = kept.is_live(&self.heard);
        if !live {
            *skips = None;
        }
        (covered, live)
    }

    /// The home of this shard can answer those who want retained events.
    pub(super) fn retained_readable(&mut self) {
        let mut out = Outbox::default();
        self.home.answer_readers(&mut out);
        self.decide(out);
    }
}
