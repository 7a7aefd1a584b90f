//! Publications, from PUBLISH to the shards of the subscribers (specification, "Publish and Subscribe").

use super::access::Action;
use super::config::Rule;
use super::effect::ConnId;
use super::home::shard_of;
use super::peer::publication::Extras;
use super::peer::{Publication, ShardMsg, Stamp};
use super::shard::Shard;
use super::trace::{Trace, Traced};
use crate::session::options::{PublishOptions, Refused, append};
use crate::session::{Disclosure, Identity, RealmIndex};
use crate::wamp::link::FORWARD_FOR;
use crate::wamp::message::{Publish, Published};
use crate::wamp::{
    Dict, MatchPolicy, Message, MessageType, Payload, PublicationId, RequestId, SessionId, SubscriptionId, Uri, error,
};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

impl Shard {
    pub(super) fn publish(&mut self, conn: ConnId, publish: Publish) {
        let Publish { request, options, topic, payload } = publish;
        if !self.accept_request(conn, request, "PUBLISH") {
            return;
        }
        self.counters.publications += 1;
        let what = Traced::Publication { id: None, receivers: 0 };
        let trace = self.trace(conn, what, &topic, &options, &payload);
        if options.is_empty() {
            return self.publish_plain(conn, topic, payload, trace);
        }
        let mut options = match PublishOptions::read(&options) {
            Ok(options) => options,
            Err(wrong) => return self.violation(conn, &format!("PUBLISH.Options: {wrong}")),
        };
        let Some(session) = self.session_at(conn) else { return };
        let (publisher, realm, class) = (session.id, session.realm, session.class);
        let announced = session.features.publisher.passthru;
        self.counters.realm(realm).publications += 1;
        if options.passthru.announced_only && !announced {
            return self.violation(conn, &unannounced("PUBLISH", "publisher"));
        }
        let acknowledge = options.acknowledge;
        let checked = self
            .check_uri(realm, &topic, MatchPolicy::Exact)
            .and_then(|()| self.check_not_reserved(realm, &topic))
            .and_then(|()| self.check_disclosure(realm, options.disclose_me))
            .and_then(|()| self.authorize(conn, Action::Publish, &topic));
        match checked {
            Ok(disclose) => options.disclose_me |= disclose.publisher,
            Err(refused) => {
                self.end_refused(trace, refused.0);
                if acknowledge {
                    self.refuse(conn, MessageType::Publish, request, refused);
                }
                return;
            }
        }
        let rkey = options.rkey.take();
        let mut publication = self.publication(conn, publisher, realm, options, topic, payload);
        publication.set_trace(trace);
        let id = publication.id;
        let homes = self.route(realm, publication, rkey.as_deref(), acknowledge.then_some((publisher, request)));
        if acknowledge && homes > 0 {
            self.acknowledge_when_kept(publisher, request, id, homes);
        } else if acknowledge {
            let _ = self.send(conn, class, &Message::Published(Published { request, publication: id }));
        }
    }

    /// Most publications have no options, and most realms say nothing about publishers.
    fn publish_plain(&mut self, conn: ConnId, topic: Uri, payload: Payload, trace: Option<Box<Trace>>) {
        let Some(session) = self.session_at(conn) else { return };
        let (publisher, realm) = (session.id, session.realm);
        self.counters.realm(realm).publications += 1;
        let checked = self
            .check_uri(realm, &topic, MatchPolicy::Exact)
            .and_then(|()| self.check_not_reserved(realm, &topic))
            .and_then(|()| self.authorize(conn, Action::Publish, &topic));
        let disclose = match checked {
            Ok(disclose) => disclose,
            Err(refused) => return self.end_refused(trace, refused.0),
        };
        let mut publication = if self.config.realms[usize::from(realm)].says_nothing() && !disclose.publisher {
            self.new_publication(Some(publisher), topic, payload, None)
        } else {
            let options = PublishOptions { disclose_me: disclose.publisher, ..PublishOptions::default() };
            self.publication(conn, publisher, realm, options, topic, payload)
        };
        publication.set_trace(trace);
        self.route(realm, publication, None, None);
    }

    /// Makes a publication of a session of this shard.
    fn publication(
        &mut self,
        conn: ConnId,
        publisher: SessionId,
        realm: RealmIndex,
        options: PublishOptions,
        topic: Uri,
        payload: Payload,
    ) -> Publication {
        let excluded = options.exclude_me.then_some(publisher);
        let details = match self.session_at(conn).map(|session| session.identity.clone()) {
            Some(identity) => self.event_details(realm, publisher, &identity, &options, &topic),
            None => Dict::new(),
        };
        let extras = (!details.is_empty() || options.audience.is_some() || options.retain)
            .then(|| Box::new(Extras::new(details, options.audience, options.retain)));
        self.new_publication(excluded, topic, payload, extras)
    }

    /// What the receivers are told beside the event.
    pub(super) fn event_details(
        &self,
        realm: RealmIndex,
        publisher: SessionId,
        identity: &Identity,
        options: &PublishOptions,
        topic: &str,
    ) -> Dict {
        let config = &self.config.realms[usize::from(realm)];
        let mut details = Dict::new();
        let broken = !self.config.keeps(Rule::DisclosedOnRequest);
        if config.disclosure.applies(options.disclose_me) || broken {
            details.push("publisher", publisher.get());
            details.push("publisher_authid", &*identity.authid);
            details.push("publisher_authrole", &*identity.authrole);
        }
        if let Some(level) = config.trust_level(topic, &identity.authrole) {
            details.push("trustlevel", u64::from(level));
        }
        append(&mut details, &options.passthru.attributes);
        if let Some(whom) = &options.forward_for {
            details.push(FORWARD_FOR, whom.clone());
        }
        details
    }

    /// A publication with an id and a place among those of this shard.
    pub(super) fn new_publication(
        &mut self,
        excluded: Option<SessionId>,
        topic: Uri,
        payload: Payload,
        extras: Option<Box<Extras>>,
    ) -> Publication {
        let id = PublicationId::from_raw(self.random_id());
        self.publication_serial += 1;
        let stamp = Stamp { shard: self.config.index, serial: self.publication_serial, at: self.now };
        Publication { id, stamp, excluded, topic, payload, extras }
    }

    /// Sends a publication to every shard that has subscribers, and to the homes that keep it; gives how many of these
    /// report that they have. A routing key chooses the node of each subscription that gets it.
    pub(super) fn route(
        &mut self,
        realm: RealmIndex,
        mut publication: Publication,
        rkey: Option<&str>,
        report: Option<(SessionId, RequestId)>,
    ) -> u16 {
        let mut targets: SmallVec<[(u16, SmallVec<[SubscriptionId; 2]>); 8]> = SmallVec::new();
        self.replica.matching(realm, &publication.topic, |interest| {
            for shard in interest.shards.iter() {
                match targets.iter_mut().find(|(known, _)| *known == shard) {
                    Some((_, subscriptions)) => subscriptions.push(interest.id),
                    None => targets.push((shard, smallvec![interest.id])),
                }
            }
        });
        if let Some(eligible) = publication.audience().and_then(|audience| audience.eligible.as_ref()) {
            let shards = self.config.shards;
            targets.retain(|(shard, _)| eligible.iter().any(|session| shard_of(*session, shards) == *shard));
        }
        if publication.trace().is_some() {
            self.trace_publication(&mut publication, targets.len());
        }
        let kept = self.is_kept(realm, &publication);
        if targets.is_empty() && !kept {
            return 0;
        }
        if let Some(key) = rkey {
            let chosen = self.replica.nodes(realm, &publication.topic, key);
            publication.extras.get_or_insert_default().nodes = Some(chosen);
        }
        let publication = Arc::new(publication);
        let homes = if kept { self.keep(realm, &publication, report) } else { 0 };
        for (shard, subscriptions) in targets {
            self.send_peer(shard, ShardMsg::Event(publication.clone(), subscriptions));
        }
        homes
    }

    /// Refuses to disclose who asks for it where that is denied.
    pub(super) fn check_disclosure(&self, realm: RealmIndex, wanted: bool) -> Result<(), Refused> {
        if wanted && self.config.realms[usize::from(realm)].disclosure == Disclosure::Denied {
            return Err((error::DISCLOSE_ME_DISALLOWED, "this realm does not disclose publishers and callers".into()));
        }
        Ok(())
    }
}

/// Why a message with attributes of payload passthru mode breaks the protocol.
pub(super) fn unannounced(message: &str, role: &str) -> String {
    format!("{message}: ppt_scheme is set, but the feature payload_passthru_mode was not announced for the role {role}")
}
