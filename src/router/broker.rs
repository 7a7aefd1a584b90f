//! The broker's control part: subscriptions (specification, "Publish and Subscribe"). Events are in `publish` and
//! `deliver`.

use super::access::Action;
use super::deliver::{Member, Members};
use super::effect::ConnId;
use super::frames::Class;
use super::peer::{Ask, Revocation, ShardMsg};
use super::session::{Subscription, Wish};
use super::shard::Shard;
use super::subject::{self, Subject};
use crate::session::options::{Refused, SubscribeOptions};
use crate::wamp::message::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};
use crate::wamp::{Dict, Message, MessageType, RequestId, SessionId, SubscriptionId, error};
use smallvec::{SmallVec, smallvec};

impl Shard {
    pub(super) fn subscribe(&mut self, conn: ConnId, subscribe: Subscribe) {
        let Subscribe { request, options, topic } = subscribe;
        if !self.accept_request(conn, request, "SUBSCRIBE") {
            return;
        }
        let mut options = match SubscribeOptions::read(&options) {
            Ok(options) => options,
            Err(unfit) => return self.unfit(conn, MessageType::Subscribe, request, unfit),
        };
        let Some(session) = self.session_at(conn) else { return };
        let (realm, count) = (session.realm, session.subscriptions.len());
        let checked = self.check_uri(realm, &topic, options.policy).and_then(|()| {
            let max = self.config.limits.subscriptions_max;
            if count < max as usize {
                return Ok(());
            }
            Err((error::LIMIT_EXCEEDED, format!("a session may have {max} subscriptions")))
        });
        let checked = checked
            .and_then(|()| self.check_node(options.nkey.as_deref()))
            .and_then(|()| self.authorize_all(conn, Action::Subscribe, options.policy, &topic));
        if let Err(refused) = checked {
            return self.refuse(conn, MessageType::Subscribe, request, refused);
        }
        let subject = Subject { realm, policy: options.policy, uri: topic };
        let shards = self.config.shards;
        let Some(session) = self.session_at(conn) else { return };
        match session.subscriptions.get_mut(&subject) {
            Some(Subscription::Active { id, generation, .. }) => {
                let (class, subscription, generation) = (session.class, *id, *generation);
                if let Some(marker) = session.fresh_marker(&subject, generation) {
                    marker.requests.push(request);
                    options.get_retained &= !marker.retained;
                    session.open.insert(request, ());
                } else {
                    let _ = self.send(conn, class, &Message::Subscribed(Subscribed { request, subscription }));
                }
                if options.get_retained {
                    let wish = Wish { retained: true, ..Wish::default() };
                    self.await_wish(conn, subject, subscription, generation, wish);
                }
            }
            Some(Subscription::Pending(wish)) => {
                wish.requests.push(request);
                wish.retained |= options.get_retained;
                session.open.insert(request, ());
            }
            None => {
                let SubscribeOptions { get_retained: retained, nkey: node, .. } = options;
                let wish = Wish { requests: smallvec![request], retained, node };
                session.subscriptions.insert(subject.clone(), Subscription::Pending(Box::new(wish)));
                session.open.insert(request, ());
                let id = session.id;
                session.homes.insert(subject::home(realm, &subject.uri, shards));
                self.ask(Ask::Subscribe(id, subject.clone()), &subject);
            }
        }
    }

    /// Checks the name of a node.
    fn check_node(&self, node: Option<&str>) -> Result<(), Refused> {
        let max = self.config.limits.node_key_bytes_max;
        match node {
            Some(node) if node.len() > max as usize => {
                Err((error::LIMIT_EXCEEDED, format!("nkey may have {max} octets, this one has {}", node.len())))
            }
            _ => Ok(()),
        }
    }

    /// Asks the home of a subject.
    pub(super) fn ask(&mut self, ask: Ask, subject: &Subject) {
        let home = subject::home(subject.realm, &subject.uri, self.config.shards);
        self.send_peer(home, ShardMsg::Ask(Box::new(ask)));
    }

    /// Every shard knows that this one is interested: the session becomes a member and is told so, in one step.
    pub(super) fn subscribed(&mut self, session: SessionId, subject: Subject, id: SubscriptionId) {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let Some(&conn) = self.sessions.get(&session) else { return };
        let members = self.members.entry(id).or_insert_with(|| Members::new(subject.clone()));
        let position = u32::try_from(members.list.len()).expect("connections are numbered by u32");
        let Some(record) = self.conns[conn.0 as usize].session() else { return };
        let class = record.class;
        let Some(entry) = record.subscriptions.get_mut(&subject) else { return };
        let Subscription::Pending(wish) = entry else {
            debug_assert!(false, "a home confirmed a subscription that was not asked for");
            return;
        };
        let wish = std::mem::take(&mut **wish);
        let (node, noded) = (wish.node.clone(), wish.node.is_some());
        *entry = Subscription::Active { id, position, generation, skips: None, node };
        members.list.push(Member { conn, generation, class, skips: false, noded });
        if noded || wish.retained {
            return self.await_wish(conn, subject, id, generation, wish);
        }
        self.acknowledge_subscription(conn, class, wish.requests, id);
        self.ask(Ask::Subscribed(session, id), &subject);
    }

    pub(super) fn acknowledge_subscription(
        &mut self,
        conn: ConnId,
        class: Class,
        requests: SmallVec<[RequestId; 2]>,
        subscription: SubscriptionId,
    ) {
        for request in requests {
            if let Some(record) = self.session_at(conn) {
                record.open.remove(&request);
            }
            let _ = self.send(conn, class, &Message::Subscribed(Subscribed { request, subscription }));
        }
    }

    pub(super) fn unsubscribe(&mut self, conn: ConnId, unsubscribe: &Unsubscribe) {
        let (request, id) = (unsubscribe.request, unsubscribe.subscription);
        if !self.accept_request(conn, request, "UNSUBSCRIBE") {
            return;
        }
        let subject = self.members.get(&id).map(|members| members.subject.clone());
        let Some(session) = self.session_at(conn) else { return };
        let position = subject.as_ref().and_then(|subject| match session.subscriptions.get(subject) {
            Some(Subscription::Active { id: own, position, .. }) if *own == id => Some(*position),
            _ => None,
        });
        let (Some(subject), Some(position)) = (subject, position) else {
            let refused = (error::NO_SUCH_SUBSCRIPTION, format!("{id} is not a subscription of this session"));
            return self.refuse(conn, MessageType::Unsubscribe, request, refused);
        };
        session.subscriptions.remove(&subject);
        session.open.insert(request, ());
        let session = session.id;
        self.remove_member(id, position);
        self.ask(Ask::Unsubscribe(session, subject.clone(), request), &subject);
    }

    pub(super) fn unsubscribed(&mut self, session: SessionId, request: RequestId) {
        let Some(session) = self.session(session) else { return };
        session.open.remove(&request);
        let (conn, class) = (session.conn, session.class);
        let _ = self.send(conn, class, &Message::Unsubscribed(Unsubscribed { request, details: None }));
    }

    /// The home has taken the session out of the subscription (specification, "Subscription Revocation").
    pub(super) fn subscription_revoked(
        &mut self,
        session: SessionId,
        subject: &Subject,
        revocation: Revocation<SubscriptionId>,
    ) {
        let Some(session) = self.session(session) else { return };
        let (conn, class, told) = (session.conn, session.class, session.features.subscriber.revocation);
        // If the session has unsubscribed meanwhile, and perhaps subscribed again, the revocation came too late.
        let position = match session.subscriptions.get(subject) {
            Some(Subscription::Active { id, position, .. }) if *id == revocation.id => *position,
            _ => return,
        };
        session.subscriptions.remove(subject);
        self.remove_member(revocation.id, position);
        if told {
            let details = revocation_details("subscription", revocation.id.get(), revocation.reason);
            let message = Unsubscribed { request: RequestId::from_raw(0), details: Some(details) };
            let _ = self.send(conn, class, &Message::Unsubscribed(message));
        }
    }
}

/// The details of UNSUBSCRIBED and UNREGISTERED where nobody asked for it.
pub(super) fn revocation_details(kind: &'static str, id: u64, reason: Option<Box<str>>) -> Dict {
    let mut details = Dict::new().with(kind, id);
    if let Some(reason) = reason {
        details.push("reason", &*reason);
    }
    details
}
