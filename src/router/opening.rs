//! From HELLO to WELCOME or ABORT (specification, "Session Establishment" and "Authentication").

use super::access::Power;
use super::effect::{CallOut, ConnId, Effect, Ending, Verdict, Work};
use super::errand::{ErrandResult, Purpose};
use super::frames::Class;
use super::lifecycle::{Silence, State};
use super::session::Session;
use super::shard::Shard;
use crate::auth::config::{Callout, Dynamic, Secret};
use crate::auth::peer::Known;
use crate::auth::reach::{AUTHENTICATORS, Reach};
use crate::auth::{Admitted, AuthConfig, Context, Exchange, Peer, Step};
use crate::session::features::ClientFeatures;
use crate::session::{Admission, Identity, RealmIndex, features};
use crate::wamp::codec::{self, DecodeLimits};
use crate::wamp::link::ROUTER;
use crate::wamp::message::{Authenticate, Challenge, Hello, Welcome};
use crate::wamp::{Dict, Message, Serializer, SessionId, Value, error};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// A session that is about to be opened.
#[derive(Debug)]
pub(super) struct Opening {
    /// The id that it will have.
    session: SessionId,
    /// The realm that HELLO names; none if it names none.
    realm: Option<RealmIndex>,
    features: ClientFeatures,
    /// The authid that HELLO names.
    authid: Option<Box<str>>,
    /// Waits for the client, or for an authenticator.
    exchange: Option<Box<Exchange>>,
    /// What was decided, and waits.
    outcome: Option<Box<Outcome>>,
}

/// What was decided about a client.
#[derive(Debug)]
enum Outcome {
    Admitted(Box<Admitted>),
    /// For this reason, with this text.
    Refused(&'static str, String),
}

impl Shard {
    pub(super) fn hello(&mut self, conn: ConnId, class: Class, hello: &Hello) {
        if self.refuses_for_draining(conn) {
            return;
        }
        let admission = match Admission::decide(hello, &self.config.realms, self.reach(conn)) {
            Ok(admission) => admission,
            Err(refusal) if refusal.reason == error::PROTOCOL_VIOLATION => {
                return self.violation(conn, &refusal.message);
            }
            Err(refusal) => return self.refuse_opening(conn, class, refusal.reason, &refusal.message),
        };
        let Admission { realm, features } = admission;
        if let Some(why) = realm.and_then(|realm| self.refuses_page(conn, realm)) {
            return self.refuse_opening(conn, class, error::NOT_AUTHORIZED, why);
        }
        let authid = hello.details.str("authid").ok().flatten().map(Into::into);
        let session = self.new_session_id();
        let opening = Opening { session, realm, features, authid, exchange: None, outcome: None };
        let step = self.in_context(conn, opening.session, |context| Exchange::begin(hello, context));
        match step {
            Ok(step) => self.step(conn, class, opening, step),
            Err(wrong) => self.violation(conn, &format!("HELLO.Details: {wrong}")),
        }
    }

    /// Goes on with the client's answer to a challenge.
    pub(super) fn authenticate(&mut self, conn: ConnId, answer: &Authenticate) {
        let Some((class, opening, exchange)) = self.take_opening(conn) else { return };
        let step = self.in_context(conn, opening.session, |context| exchange.authenticate(answer, context));
        match step {
            Some(step) => self.step(conn, class, opening, step),
            None => self.violation(conn, "AUTHENTICATE came, but nothing was asked"),
        }
    }

    /// Goes on with the answer of an authenticator, if the client is still there.
    pub(super) fn authenticator_answered(&mut self, conn: ConnId, round: u32, answer: &ErrandResult) {
        if self.conns.get(conn.0 as usize).is_none_or(|entry| entry.round != round) {
            return;
        }
        let Some((class, opening, exchange)) = self.take_opening(conn) else { return };
        let answer = match answer {
            Ok((arguments, _)) => Ok(&**arguments),
            Err((uri, _)) => Err(&**uri),
        };
        let step = self.in_context(conn, opening.session, |context| exchange.answered(answer, context));
        self.step(conn, class, opening, step);
    }

    /// Ends connections whose client has not said in time who it is.
    pub(super) fn expire_openings(&mut self) {
        while let Some((deadline, conn, round)) = self.opening_deadlines.front().copied() {
            if deadline > self.now {
                break;
            }
            self.opening_deadlines.pop_front();
            let entry = &self.conns[conn.0 as usize];
            if let State::Opening(class, _) = entry.state
                && entry.round == round
            {
                let text = "it was not found out in time who the client is";
                self.refuse_opening(conn, class, error::AUTHENTICATION_FAILED, text);
            }
        }
    }

    /// Ends sessions whose client has shown who it is for a time only.
    pub(super) fn expire_sessions(&mut self) {
        while let Some(&(at, conn)) = self.expiries.first() {
            if at > self.now {
                break;
            }
            self.expiries.pop_first();
            let text = "what the client has shown who it is by is not valid any longer";
            self.kill(conn, error::CLOSE_EXPIRED.into(), Some(text), Silence::Broken);
        }
    }

    /// How long what was decided about a client has to wait, because of attempts that have failed.
    fn decided(&self, conn: ConnId, opening: &Opening, failed: bool) -> Duration {
        let address = self.conns[conn.0 as usize].peer.as_ref().and_then(|peer| peer.address);
        let user = (opening.realm.unwrap_or(RealmIndex::MAX), opening.authid.as_deref());
        self.config.attempts.decided(self.now, failed, address, user, &self.config.limits)
    }

    /// Acts on what was decided about a client, after some time if it has to wait.
    fn decide_later(&mut self, conn: ConnId, class: Class, opening: Opening, wait: Duration, outcome: Outcome) {
        if wait.is_zero() {
            return self.act_on(conn, class, &opening, outcome);
        }
        if wait >= self.config.limits.authentication_timeout {
            let text = "there have been too many attempts that failed";
            return self.refuse_opening(conn, class, error::AUTHENTICATION_FAILED, text);
        }
        let outcome = Some(Box::new(outcome));
        let round = self.await_answer(conn, class, Opening { outcome, ..opening });
        self.decisions.insert((self.now + wait, conn, round));
    }

    fn act_on(&mut self, conn: ConnId, class: Class, opening: &Opening, outcome: Outcome) {
        match outcome {
            Outcome::Admitted(admitted) => self.admit(conn, class, opening, *admitted),
            Outcome::Refused(reason, message) => self.refuse_opening(conn, class, reason, &message),
        }
    }

    /// Acts on what was decided about those who have waited long enough.
    pub(super) fn expire_decisions(&mut self) {
        while let Some(&(at, conn, round)) = self.decisions.first() {
            if at > self.now {
                break;
            }
            self.decisions.pop_first();
            let entry = &mut self.conns[conn.0 as usize];
            if entry.round != round {
                continue;
            }
            let State::Opening(class, opening) = &mut entry.state else { continue };
            let (class, outcome) = (*class, opening.outcome.take());
            let opening = Opening { authid: None, exchange: None, outcome: None, ..**opening };
            if let Some(outcome) = outcome {
                self.act_on(conn, class, &opening, *outcome);
            }
        }
    }

    /// What waits for an answer on a connection.
    fn take_opening(&mut self, conn: ConnId) -> Option<(Class, Opening, Box<Exchange>)> {
        let State::Opening(class, opening) = &mut self.conns[conn.0 as usize].state else { return None };
        let class = *class;
        let exchange = opening.exchange.take()?;
        let authid = opening.authid.take();
        Some((class, Opening { authid, exchange: None, outcome: None, ..**opening }, exchange))
    }

    /// Lets `exchange` look at what it needs.
    fn in_context<T>(&mut self, conn: ConnId, session: SessionId, exchange: impl FnOnce(&mut Context<'_>) -> T) -> T {
        // Where nothing is said of any transport nobody is asked; a transport that is not known has no method at all.
        let (nobody, open) =
            (Peer::default(), AuthConfig { cookie: !self.config.auth.transports.is_empty(), ..AuthConfig::default() });
        let peer = self.conns[conn.0 as usize].peer.as_deref().unwrap_or(&nobody);
        let auth = &self.config.auth;
        let mut context = Context {
            config: auth.transports.get(usize::from(peer.transport)).unwrap_or(&open),
            peer,
            session: session.get(),
            now: self.config.epoch + self.now,
            entropy: &mut self.entropy,
            secret: &auth.secret,
        };
        exchange(&mut context)
    }

    fn step(&mut self, conn: ConnId, class: Class, opening: Opening, step: Step) {
        match step {
            Step::Challenge { method, extra, exchange } => {
                self.await_answer(conn, class, Opening { exchange: Some(exchange), ..opening });
                let challenge = Message::Challenge(Challenge { method: method.into(), extra });
                if self.send(conn, class, &challenge).is_err() {
                    self.end(conn, Ending::Refused);
                }
            }
            Step::Ask { authenticator, arguments, exchange } => {
                let (procedure, realm) = match authenticator {
                    Dynamic::Http(callout) => {
                        let opening = Opening { exchange: Some(exchange), ..opening };
                        return self.call_out(conn, class, opening, callout, arguments);
                    }
                    Dynamic::Procedure { procedure, realm: None } => (procedure, opening.realm),
                    // An authenticator may be where clients may not go.
                    Dynamic::Procedure { procedure, realm: Some(name) } => {
                        let namespace = self.reach(conn).namespace.clone();
                        (procedure, self.realm_named(&name, &Reach { namespace, routes: None }))
                    }
                    Dynamic::Function(procedure) => {
                        (procedure, self.realm_named(AUTHENTICATORS, &Reach::authenticators()))
                    }
                };
                let Some(realm) = realm else {
                    let text = "it could not be found out who the client is";
                    return self.refuse_opening(conn, class, error::AUTHENTICATION_FAILED, text);
                };
                let round = self.await_answer(conn, class, Opening { exchange: Some(exchange), ..opening });
                let timeout = self.config.limits.authentication_timeout;
                let purpose = Purpose::Authenticate { conn, round };
                self.errand(realm, &procedure, arguments, timeout, purpose);
            }
            Step::Derive { secret, salt, exchange } => {
                let opening = Opening { exchange: Some(exchange), ..opening };
                let round = self.await_answer(conn, class, opening);
                self.delegate(conn, round, Work::Derive(secret, salt));
            }
            Step::Welcome(admitted) => {
                // What needs no proof cannot be guessed.
                let proven = !matches!(admitted.authmethod, "anonymous" | "cookie" | "internal");
                let wait = if proven { self.decided(conn, &opening, false) } else { Duration::ZERO };
                self.decide_later(conn, class, opening, wait, Outcome::Admitted(admitted));
            }
            Step::Refuse { reason, message } => {
                self.counters.refused += 1;
                let failed = reason == error::AUTHENTICATION_DENIED;
                let wait = if failed { self.decided(conn, &opening, true) } else { Duration::ZERO };
                self.decide_later(conn, class, opening, wait, Outcome::Refused(reason, message));
            }
        }
    }

    fn call_out(&mut self, conn: ConnId, class: Class, opening: Opening, callout: Callout, arguments: Vec<Value>) {
        let mut body = Dict::new();
        for (name, value) in ["realm", "authid", "details"].into_iter().zip(arguments) {
            body.push(name, value);
        }
        let round = self.await_answer(conn, class, opening);
        // What a client has put into its details may be nothing that JSON can say.
        let Ok(raw) = codec::payload(Serializer::Json, vec![body.into()], Dict::new()) else {
            return self.called_out(self.now, conn, round, Verdict::Failed);
        };
        // Without the lists around it.
        let text = raw.bytes.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]]")).unwrap_or_default();
        self.delegate(conn, round, Work::Ask(callout, text.to_vec()));
    }

    fn delegate(&mut self, conn: ConnId, round: u32, work: Work) {
        let timeout = self.config.limits.authentication_timeout;
        self.effects().push_back(Effect::CallOut(Box::new(CallOut { conn, round, work, timeout })));
    }

    /// What was to be done outside has been done.
    pub fn called_out(&mut self, now: Duration, conn: ConnId, round: u32, verdict: Verdict) {
        self.now = now;
        let answer = match verdict {
            Verdict::Denied => Err((error::AUTHENTICATION_DENIED.into(), String::new())),
            Verdict::Failed => Err((error::AUTHENTICATION_FAILED.into(), String::new())),
            Verdict::Derived(key) => return self.derived(conn, round, key),
            Verdict::Answer(body) => {
                let message = [b"[50,1,{},[", &*body, b"]]"].concat();
                let limits = DecodeLimits { depth: self.config.limits.depth_max };
                match codec::decode(Serializer::Json, &message, limits) {
                    Ok(Message::Result(result)) => {
                        result.payload.values().map_err(|_| (error::AUTHENTICATION_FAILED.into(), String::new()))
                    }
                    _ => Err((error::AUTHENTICATION_FAILED.into(), String::new())),
                }
            }
        };
        self.authenticator_answered(conn, round, &answer);
        self.settle();
    }

    /// Goes on with a key that has been derived, if the client is still there.
    fn derived(&mut self, conn: ConnId, round: u32, key: Secret) {
        if self.conns.get(conn.0 as usize).is_some_and(|entry| entry.round == round)
            && let Some((class, opening, exchange)) = self.take_opening(conn)
        {
            let step = self.in_context(conn, opening.session, |context| exchange.derived(key, context));
            self.step(conn, class, opening, step);
        }
        self.settle();
    }

    /// Waits for the client or an authenticator; gives the round of the connection.
    fn await_answer(&mut self, conn: ConnId, class: Class, opening: Opening) -> u32 {
        let entry = &mut self.conns[conn.0 as usize];
        entry.round = entry.round.wrapping_add(1);
        entry.state = State::Opening(class, Box::new(opening));
        let deadline = self.now + self.config.limits.authentication_timeout;
        self.opening_deadlines.push_back((deadline, conn, entry.round));
        entry.round
    }

    /// Where a client may go.
    fn reach(&self, conn: ConnId) -> &Reach {
        static ALL: LazyLock<Reach> = LazyLock::new(Reach::default);
        let peer = self.conns[conn.0 as usize].peer.as_deref();
        if let Some(inside) = peer.and_then(|peer| peer.inside.as_deref()) {
            return &inside.reach;
        }
        let transport = usize::from(peer.map_or(0, |peer| peer.transport));
        self.config.auth.transports.get(transport).map_or(&ALL, |auth| &auth.reach)
    }

    fn realm_named(&self, name: &str, reach: &Reach) -> Option<RealmIndex> {
        let at = self.config.realms.iter().position(|realm| *realm.name == *name && realm.is_reached(reach))?;
        RealmIndex::try_from(at).ok()
    }

    /// Why the page that a client is may not join a realm, if it may not.
    fn refuses_page(&self, conn: ConnId, realm: RealmIndex) -> Option<&'static str> {
        let provenance = self.conns[conn.0 as usize].peer.as_ref().map(|peer| peer.provenance);
        self.config.realms[usize::from(realm)].pages.refuse(provenance.unwrap_or_default())
    }

    fn refuse_opening(&mut self, conn: ConnId, class: Class, reason: &str, message: &str) {
        self.abort(conn, class, reason, message);
        self.end(conn, Ending::Refused);
    }

    /// Opens the session of a client of which it is known who it is.
    fn admit(&mut self, conn: ConnId, class: Class, opening: &Opening, admitted: Admitted) {
        if self.refuses_to_admit(conn, class) {
            return;
        }
        let Some(realm) = self.realm_named(&admitted.realm, self.reach(conn)) else {
            let text = format!("no realm {:?} here", admitted.realm);
            return self.refuse_opening(conn, class, error::NO_SUCH_REALM, &text);
        };
        // An authenticator may have named another realm than HELLO.
        if let Some(why) = self.refuses_page(conn, realm) {
            return self.refuse_opening(conn, class, error::NOT_AUTHORIZED, why);
        }
        let trusted = self.conns[conn.0 as usize].peer.as_ref().is_some_and(|peer| peer.is_trusted());
        let routed = trusted || self.reach(conn).admits(&admitted.realm, &admitted.authrole);
        if !routed || !trusted && !self.config.realms[usize::from(realm)].has_role(&admitted.authrole) {
            let text = format!("the realm has no role {:?}", admitted.authrole);
            return self.refuse_opening(conn, class, error::NO_SUCH_ROLE, &text);
        }
        let random = || data_encoding::BASE32_NOPAD.encode(&self.random.u64(..).to_be_bytes()).into();
        let identity = Arc::new(Identity {
            authid: admitted.authid.unwrap_or_else(random),
            authrole: admitted.authrole,
            authmethod: admitted.authmethod.into(),
            authprovider: admitted.authprovider.into(),
            authextra: (!admitted.extra.is_empty()).then(|| Box::new(admitted.extra)),
            peer: self.conns[conn.0 as usize].peer.clone(),
            more: Dict::new(),
        });
        // The user may have been taken out of the configuration meanwhile.
        if !self.still_admits(realm, &identity) {
            let text = "who the client says it is could not be shown";
            return self.refuse_opening(conn, class, error::AUTHENTICATION_DENIED, text);
        }
        let config = &self.config.realms[usize::from(realm)];
        if let Err(crowded) = self.config.census.enter(realm, config, &identity) {
            return self.refuse_opening(conn, class, error::LIMIT_EXCEEDED, crowded);
        }
        // Another client may have got the id meanwhile, if only just.
        let taken = self.sessions.contains_key(&opening.session);
        let id = if taken { self.new_session_id() } else { opening.session };
        let power = if trusted { Power::All } else { self.roles.power(realm, &identity, id) };
        let who = (identity.clone(), power);
        let mut session = Session::new(id, realm, (conn, class), opening.features, who, &self.hashing);
        session.since = self.now;
        session.expires = admitted.expires.map(|at| at.saturating_sub(self.config.epoch));
        if let Some(at) = session.expires {
            self.expiries.insert((at, conn));
        }
        self.conns[conn.0 as usize].state = State::Open(Box::new(session));
        self.sessions.insert(id, conn);
        self.counters.joined(realm, &identity.authrole);
        let welcome = |roles: Dict, agent: &str| {
            let mut details = Dict::new()
                .with("roles", roles)
                .with("realm", &*admitted.realm)
                .with("authid", &*identity.authid)
                .with("authrole", &*identity.authrole)
                .with("authmethod", &*identity.authmethod)
                .with("authprovider", &*identity.authprovider)
                .with("agent", agent);
            if let Some(extra) = &identity.authextra {
                details.push("authextra", (**extra).clone());
            }
            if opening.features.subscriber.link {
                details.push(ROUTER, self.config.name_of(realm));
            }
            Message::Welcome(Welcome { session: id, details })
        };
        let whole = welcome(features::router_roles(), &self.config.agent);
        // A peer that takes messages of few octets only has to do without the features.
        let brief = welcome(Dict::new().with("broker", Dict::new()).with("dealer", Dict::new()), &self.config.agent);
        if self.send(conn, class, &whole).is_err() && self.send(conn, class, &brief).is_err() {
            return self.end(conn, Ending::Refused);
        }
        self.remember_browser(conn, &identity, &admitted.realm);
        self.tell_of_joining(conn);
    }

    /// Has the cookie of a browser remembered by which somebody has logged in.
    fn remember_browser(&mut self, conn: ConnId, identity: &Identity, realm: &str) {
        let Some(peer) = self.conns[conn.0 as usize].peer.as_deref().filter(|peer| peer.cookie.is_some()) else {
            return;
        };
        let remembers = self.config.auth.transports.get(usize::from(peer.transport)).is_some_and(|auth| auth.cookie);
        let for_a_time = self.session_at(conn).is_some_and(|session| session.expires.is_some());
        if !remembers || for_a_time || matches!(&*identity.authmethod, "anonymous" | "cookie") {
            return;
        }
        let known = Known {
            authid: identity.authid.clone(),
            authrole: identity.authrole.clone(),
            authmethod: identity.authmethod.clone(),
            realm: realm.into(),
        };
        self.effects().push_back(Effect::Remember { conn, known: Box::new(known) });
    }

    /// Has nobody known any longer by the cookie of a browser: its user has logged out, or was thrown out.
    pub(super) fn forget_browser(&mut self, conn: ConnId) {
        let Some(peer) = &mut self.conns[conn.0 as usize].peer else { return };
        if peer.cookie.is_some() {
            if let Some(cookie) = &mut Arc::make_mut(peer).cookie {
                cookie.known = None;
            }
            self.effects().push_back(Effect::Forget { conn });
        }
    }
}
