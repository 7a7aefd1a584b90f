//! Testaments: what a session leaves to be published when it ends (specification, "Session Testament").

use super::procedures::{Arguments, invalid};
use crate::router::access::Action;
use crate::router::config::Rule;
use crate::router::effect::ConnId;
use crate::router::peer::publication::Extras;
use crate::router::session::Session;
use crate::router::shard::Shard;
use crate::session::options::{PublishOptions, Refused};
use crate::wamp::{Dict, MatchPolicy, Payload, Serializer, Uri, codec, error};

/// The testaments of a session. There is no session resumption, so both scopes end together, but they can be flushed
/// one by one.
#[derive(Debug, Default)]
pub(in crate::router) struct Testaments {
    detached: Vec<Testament>,
    destroyed: Vec<Testament>,
}

#[derive(Debug)]
struct Testament {
    topic: Uri,
    options: PublishOptions,
    payload: Payload,
    /// Of options and payload.
    octets: usize,
}

/// When a testament is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// When the session is detached.
    Detached,
    /// When the session is destroyed.
    Destroyed,
}

impl Scope {
    /// Reads the keyword argument `scope`.
    pub(super) fn read(named: &Dict) -> Result<Scope, Refused> {
        match named.str("scope").map_err(|wrong| invalid(wrong.to_string()))? {
            None | Some("destroyed") => Ok(Scope::Destroyed),
            Some("detached") => Ok(Scope::Detached),
            Some(other) => Err(invalid(format!("scope must be destroyed or detached, not {other:?}"))),
        }
    }
}

impl Testaments {
    fn list(&mut self, scope: Scope) -> &mut Vec<Testament> {
        match scope {
            Scope::Detached => &mut self.detached,
            Scope::Destroyed => &mut self.destroyed,
        }
    }

    /// The topics, each as often as it is named.
    pub(in crate::router) fn topics(&self) -> impl Iterator<Item = &Uri> {
        self.all().map(|testament| &testament.topic)
    }

    fn all(&self) -> impl Iterator<Item = &Testament> {
        self.detached.iter().chain(&self.destroyed)
    }
}

impl Shard {
    pub(super) fn add_testament(&mut self, conn: ConnId, arguments: &mut Arguments<'_>) -> Result<(), Refused> {
        let topic = Uri::from(&*arguments.text()?);
        let (args, kwargs) = (arguments.list()?, arguments.dict()?);
        let scope = Scope::read(arguments.named)?;
        let options = arguments.named.dict("publish_options").map_err(|wrong| invalid(wrong.to_string()))?;
        let options = PublishOptions::read(options.unwrap_or(&Dict::new()));
        let mut options = options.map_err(|wrong| invalid(format!("publish_options: {wrong}")))?;
        let Some(session) = self.session_at(conn) else { return Ok(()) };
        let (realm, class) = (session.realm, session.class);
        self.check_uri(realm, &topic, MatchPolicy::Exact)?;
        self.check_not_reserved(realm, &topic)?;
        self.check_disclosure(realm, options.disclose_me)?;
        // What a session may not publish it may not leave to be published either.
        options.disclose_me |= self.authorize(conn, Action::Publish, &topic)?.publisher;
        let payload = if args.is_empty() && kwargs.is_empty() {
            Payload::NONE
        } else {
            let serializer: Serializer = self.frames.serializer(class);
            let raw = codec::payload(serializer, args, kwargs);
            Payload::new(raw.map_err(|why| (error::INVALID_PAYLOAD, why.to_string()))?)
        };
        let (count_max, bytes_max) = (self.config.limits.testaments_max, self.config.limits.testament_bytes_max);
        let Some(session) = self.session_at(conn) else { return Ok(()) };
        let testaments = session.testaments.get_or_insert_default();
        let count = testaments.all().count();
        let octets = payload.len() + options.weight();
        let bytes = testaments.all().map(|testament| testament.octets).sum::<usize>() + octets;
        if count >= count_max as usize || bytes > bytes_max as usize {
            let text = format!("a session may leave {count_max} testaments of {bytes_max} octets");
            return Err((error::LIMIT_EXCEEDED, text));
        }
        testaments.list(scope).push(Testament { topic, options, payload, octets });
        Ok(())
    }

    pub(super) fn flush_testaments(&mut self, conn: ConnId, scope: Scope) {
        if !self.config.keeps(Rule::TestamentsFlushed) {
            return;
        }
        if let Some(testaments) = self.session_at(conn).and_then(|session| session.testaments.as_mut()) {
            testaments.list(scope).clear();
        }
    }

    /// Forgets what a session may no longer leave to be published.
    pub(in crate::router) fn forget_testaments(&mut self, conn: ConnId, topic: &str) {
        if let Some(testaments) = self.session_at(conn).and_then(|session| session.testaments.as_mut()) {
            for scope in [Scope::Detached, Scope::Destroyed] {
                testaments.list(scope).retain(|testament| *testament.topic != *topic);
            }
        }
    }

    /// Publishes what a session has left: what is for its detachment first.
    pub(in crate::router) fn execute_testaments(&mut self, session: &mut Session) {
        let Some(testaments) = session.testaments.take() else { return };
        if !self.config.keeps(Rule::TestamentsPublished) {
            return;
        }
        let Testaments { detached, destroyed } = *testaments;
        let in_order = self.config.keeps(Rule::TestamentsDetachedFirst);
        let (first, then) = if in_order { (detached, destroyed) } else { (destroyed, detached) };
        for Testament { topic, options, payload, .. } in first.into_iter().chain(then) {
            let details = self.event_details(session.realm, session.id, &session.identity, &options, &topic);
            let extras = Some(Box::new(Extras::new(details, options.audience, options.retain)));
            let publication = self.new_publication(None, topic, payload, extras);
            self.route(session.realm, publication, options.rkey.as_deref(), None);
        }
    }
}
