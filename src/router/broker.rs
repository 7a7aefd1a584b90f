//! The broker: subscriptions and events (specification, "Publish and Subscribe").

use super::config::Rule;
use super::effect::{ConnId, Effect};
use super::frames::Class;
use super::peer::{Ask, Publication, ShardMsg};
use super::session::{Arrival, Subscription};
use super::shard::Shard;
use super::subject::{self, Subject};
use crate::wamp::message::{Error, Event, Publish, Published, Subscribe, Subscribed, Unsubscribe, Unsubscribed};
use crate::wamp::uri::is_reserved;
use crate::wamp::value::WrongType;
use crate::wamp::{
    Dict, MatchPolicy, Message, MessageType, Payload, PublicationId, RequestId, SessionId, SubscriptionId, error,
};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// The members of a subscription on one shard.
#[derive(Debug)]
pub(super) struct Members {
    subject: Subject,
    list: Vec<Member>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    conn: ConnId,
    generation: u32,
    class: Class,
}

/// Why a request cannot be done: the URI and the text of an ERROR.
pub(super) type Refused = (&'static str, String);

impl Shard {
    pub(super) fn subscribe(&mut self, conn: ConnId, subscribe: Subscribe) {
        let Subscribe { request, options, topic } = subscribe;
        if !self.accept_request(conn, request, "SUBSCRIBE") {
            return;
        }
        let policy = match match_policy(&options) {
            Ok(policy) => policy,
            Err(wrong) => return self.violation(conn, &format!("SUBSCRIBE.Options: {wrong}")),
        };
        let Some(session) = self.session_at(conn) else { return };
        let (realm, count) = (session.realm, session.subscriptions.len());
        let checked = policy.and_then(|policy| {
            self.check_uri(realm, &topic, policy)?;
            let max = self.config.limits.subscriptions_max;
            if count >= max as usize {
                return Err((error::LIMIT_EXCEEDED, format!("a session may have {max} subscriptions")));
            }
            Ok(policy)
        });
        let policy = match checked {
            Ok(policy) => policy,
            Err(refused) => return self.refuse(conn, MessageType::Subscribe, request, refused),
        };
        let subject = Subject { realm, policy, uri: topic };
        let Some(session) = self.session_at(conn) else { return };
        match session.subscriptions.get_mut(&subject) {
            Some(Subscription::Active { id, .. }) => {
                let (class, subscription) = (session.class, *id);
                let _ = self.send(conn, class, &Message::Subscribed(Subscribed { request, subscription }));
            }
            Some(Subscription::Pending(requests)) => {
                requests.push(request);
                session.open.insert(request, ());
            }
            None => {
                session.subscriptions.insert(subject.clone(), Subscription::Pending(smallvec![request]));
                session.open.insert(request, ());
                let id = session.id;
                let home = subject::home(realm, &subject.uri, self.config.shards);
                self.send_peer(home, ShardMsg::Ask(Box::new(Ask::Subscribe(id, subject))));
            }
        }
    }

    /// Every shard knows that this one is interested: the session becomes a member and is told so, in one step.
    pub(super) fn subscribed(&mut self, session: SessionId, subject: Subject, id: SubscriptionId) {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let Some(&conn) = self.sessions.get(&session) else { return };
        let members = self.members.entry(id);
        let members = members.or_insert_with(|| Members { subject: subject.clone(), list: Vec::new() });
        let position = u32::try_from(members.list.len()).expect("connections are numbered by u32");
        let Some(record) = self.conns[conn.0 as usize].session() else { return };
        let class = record.class;
        let active = Subscription::Active { id, position, generation };
        let Some(Subscription::Pending(requests)) = record.subscriptions.insert(subject, active) else {
            debug_assert!(false, "a home confirmed a subscription that was not asked for");
            return;
        };
        members.list.push(Member { conn, generation, class });
        for request in requests {
            if let Some(record) = self.session_at(conn) {
                record.open.remove(&request);
            }
            let _ = self.send(conn, class, &Message::Subscribed(Subscribed { request, subscription: id }));
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
        let home = subject::home(subject.realm, &subject.uri, self.config.shards);
        self.send_peer(home, ShardMsg::Ask(Box::new(Ask::Unsubscribe(session, subject, request))));
    }

    pub(super) fn unsubscribed(&mut self, session: SessionId, request: RequestId) {
        let Some(session) = self.session(session) else { return };
        session.open.remove(&request);
        let (conn, class) = (session.conn, session.class);
        let _ = self.send(conn, class, &Message::Unsubscribed(Unsubscribed { request, details: None }));
    }

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

    pub(super) fn publish(&mut self, conn: ConnId, publish: Publish) {
        let Publish { request, options, topic, payload } = publish;
        if !self.accept_request(conn, request, "PUBLISH") {
            return;
        }
        let options = match PublishOptions::read(&options) {
            Ok(options) => options,
            Err(wrong) => return self.violation(conn, &format!("PUBLISH.Options: {wrong}")),
        };
        self.counters.publications += 1;
        let Some(session) = self.session_at(conn) else { return };
        let (publisher, realm, class) = (session.id, session.realm, session.class);
        let checked = self.check_uri(realm, &topic, MatchPolicy::Exact).and_then(|()| check_not_reserved(&topic));
        if let Err(refused) = checked {
            if options.acknowledge {
                self.refuse(conn, MessageType::Publish, request, refused);
            }
            return;
        }
        let id = PublicationId::from_raw(self.random_id());
        let mut targets: SmallVec<[(u16, SmallVec<[SubscriptionId; 2]>); 8]> = SmallVec::new();
        self.replica.matching(realm, &topic, |interest| {
            for shard in interest.shards.iter() {
                match targets.iter_mut().find(|(known, _)| *known == shard) {
                    Some((_, subscriptions)) => subscriptions.push(interest.id),
                    None => targets.push((shard, smallvec![interest.id])),
                }
            }
        });
        if !targets.is_empty() {
            let excluded = options.exclude_me.then_some(publisher);
            let publication = Arc::new(Publication { id, excluded, topic, payload });
            for (shard, subscriptions) in targets {
                self.send_peer(shard, ShardMsg::Event(publication.clone(), subscriptions));
            }
        }
        if options.acknowledge {
            let _ = self.send(conn, class, &Message::Published(Published { request, publication: id }));
        }
    }

    /// Gives an event to the members of a subscription on this shard.
    pub(super) fn deliver(&mut self, subscription: SubscriptionId, publication: &Arc<Publication>) {
        let excluded = publication.excluded.and_then(|session| self.sessions.get(&session).copied());
        // Whoever had the subscription when the event was sent here may have left meanwhile.
        let Some(members) = self.members.remove(&subscription) else { return };
        let pattern = members.subject.policy != MatchPolicy::Exact;
        let message = || {
            let details = if pattern { Dict::new().with("topic", &*publication.topic) } else { Dict::new() };
            let (publication, payload) = (publication.id, publication.payload.clone());
            Message::Event(Event { subscription, publication, details, payload })
        };
        self.frames.next_message();
        for member in &members.list {
            if Some(member.conn) == excluded || (self.lanes_busy > 0 && self.parked(member, subscription, publication))
            {
                continue;
            }
            match self.frames.shared(member.class, message) {
                Ok(frame) => {
                    let frame = frame.clone();
                    self.counters.events += 1;
                    self.effects().push_back(Effect::Send { conn: member.conn, frame });
                }
                Err(_) => self.counters.events_undeliverable += 1,
            }
        }
        self.members.insert(subscription, members);
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
        let pattern = subject.policy != MatchPolicy::Exact;
        let details = if pattern { Dict::new().with("topic", &*publication.topic) } else { Dict::new() };
        let class = session.class;
        let (publication, payload) = (publication.id, publication.payload.clone());
        let event = Message::Event(Event { subscription, publication, details, payload });
        match self.send(conn, class, &event) {
            Ok(()) => self.counters.events += 1,
            Err(_) => self.counters.events_undeliverable += 1,
        }
    }

    /// Checks a topic, procedure or pattern that a client names.
    pub(super) fn check_uri(&self, realm: u16, uri: &str, policy: MatchPolicy) -> Result<(), Refused> {
        let max = self.config.limits.uri_bytes_max;
        if uri.len() > max as usize {
            return Err((error::INVALID_URI, format!("a URI may have {max} octets, this one has {}", uri.len())));
        }
        if !self.config.realms[usize::from(realm)].uri_rules.allow_pattern(uri, policy) {
            return Err((error::INVALID_URI, format!("{uri:?} is not a URI that this realm allows")));
        }
        Ok(())
    }

    /// Answers a request with ERROR.
    pub(super) fn refuse(&mut self, conn: ConnId, request_type: MessageType, request: RequestId, refused: Refused) {
        let Some(session) = self.session_at(conn) else { return };
        let class = session.class;
        let (error, message) = refused;
        let details = Dict::new().with("message", &*message);
        let error = Error { request_type, request, details, error: error.into(), payload: Payload::NONE };
        let _ = self.send(conn, class, &Message::Error(error));
    }
}

/// Refuses URIs that are the router's own, for what is published or registered.
pub(super) fn check_not_reserved(uri: &str) -> Result<(), Refused> {
    if is_reserved(uri) {
        return Err((error::INVALID_URI, format!("{uri:?} is reserved: 'wamp' must not be the first component")));
    }
    Ok(())
}

/// Reads `Options.match`. The outer error breaks the protocol, the inner one refuses the request.
pub(super) fn match_policy(options: &Dict) -> Result<Result<MatchPolicy, Refused>, WrongType> {
    let Some(name) = options.str("match")? else { return Ok(Ok(MatchPolicy::Exact)) };
    Ok(MatchPolicy::from_name(name)
        .ok_or_else(|| (error::INVALID_ARGUMENT, format!("match must be exact, prefix or wildcard, not {name:?}"))))
}

/// What PUBLISH can ask for.
#[derive(Clone, Copy, Debug)]
struct PublishOptions {
    acknowledge: bool,
    exclude_me: bool,
}

impl PublishOptions {
    fn read(options: &Dict) -> Result<PublishOptions, WrongType> {
        if options.is_empty() {
            return Ok(PublishOptions { acknowledge: false, exclude_me: true });
        }
        Ok(PublishOptions {
            acknowledge: options.bool("acknowledge")?.unwrap_or(false),
            exclude_me: options.bool("exclude_me")?.unwrap_or(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wamp::Value;

    #[test]
    fn publish_options_have_defaults_and_types() {
        let read = |options: &Dict| PublishOptions::read(options).map(|o| (o.acknowledge, o.exclude_me));
        assert_eq!(read(&Dict::new()), Ok((false, true)));
        assert_eq!(read(&Dict::new().with("acknowledge", true).with("exclude_me", false)), Ok((true, false)));
        assert_eq!(read(&Dict::new().with("acknowledge", Value::Null)), Ok((false, true)));
        assert!(read(&Dict::new().with("acknowledge", 1)).is_err());
    }
}
