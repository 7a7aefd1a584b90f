//! The dealer's control part: registrations (specification, "Remote Procedure Calls"). Calls are in `call` and
//! `invocation`.

use super::access::Action;
use super::broker::revocation_details;
use super::config::Rule;
use super::effect::ConnId;
use super::peer::{Ask, Revocation};
use super::session::{Arrival, RegisterWish};
use super::shard::Shard;
use super::subject::{self, Subject};
use crate::session::options::RegisterOptions;
use crate::wamp::message::{Register, Registered, Unregister, Unregistered};
use crate::wamp::{Message, MessageType, RegistrationId, RequestId, SessionId, error};

impl Shard {
    pub(super) fn register(&mut self, conn: ConnId, register: Register) {
        let Register { request, options, procedure } = register;
        if !self.accept_request(conn, request, "REGISTER") {
            return;
        }
        let mut options = match RegisterOptions::read(&options) {
            Ok(options) => options,
            Err(unfit) => return self.unfit(conn, MessageType::Register, request, unfit),
        };
        let Some(session) = self.session_at(conn) else { return };
        if session.retiring {
            return self.refuse(conn, MessageType::Register, request, Shard::shuts_down());
        }
        let realm = session.realm;
        let count = session.rpc.as_ref().map_or(0, |rpc| rpc.procedures.len());
        // A callee that has not announced timeouts does not watch over them.
        options.forward_timeout &= session.features.callee.timeout;
        let checked = self
            .check_uri(realm, &procedure, options.policy)
            .and_then(|()| self.check_not_reserved(realm, &procedure))
            .and_then(|()| self.check_disclosure(realm, options.disclose_caller))
            .and_then(|()| {
                let max = self.config.limits.registrations_max;
                if count < max as usize {
                    return Ok(());
                }
                Err((error::LIMIT_EXCEEDED, format!("a session may have {max} registrations")))
            })
            .and_then(|()| self.authorize_all(conn, Action::Register, options.policy, &procedure));
        if let Err(refused) = checked {
            return self.refuse(conn, MessageType::Register, request, refused);
        }
        let (hashing, shards) = (self.hashing.clone(), self.config.shards);
        let Some(session) = self.session_at(conn) else { return };
        session.open.insert(request, ());
        let id = session.id;
        let subject = Subject { realm, policy: options.policy, uri: procedure };
        session.homes.insert(subject::home(realm, &subject.uri, shards));
        let offer = session.rpc(&hashing).procedures.entry(subject.clone()).or_default();
        if offer.ending {
            offer.next.push(RegisterWish { request, options });
        } else {
            offer.asking.push(request);
            self.ask(Ask::Register(id, subject.clone(), request, options), &subject);
        }
    }

    /// Every shard knows the callee: it is told so, and gets the invocations that came too early.
    pub(super) fn registered(
        &mut self,
        session: SessionId,
        subject: Subject,
        request: RequestId,
        registration: RegistrationId,
    ) {
        let id = session;
        let Some(session) = self.session(session) else { return };
        let (conn, class) = (session.conn, session.class);
        session.open.remove(&request);
        let Some(rpc) = &mut session.rpc else { return };
        let Some(offer) = rpc.procedures.get_mut(&subject) else { return };
        offer.asking.retain(|asking| *asking != request);
        offer.active = Some(registration);
        rpc.registrations.insert(registration, subject.clone());
        let _ = self.send(conn, class, &Message::Registered(Registered { request, registration }));
        self.ask(Ask::Registered(id, registration), &subject);
        self.advance(conn);
    }

    pub(super) fn register_refused(&mut self, session: SessionId, subject: &Subject, request: RequestId, why: &str) {
        let Some(session) = self.session(session) else { return };
        let conn = session.conn;
        session.open.remove(&request);
        if let Some(rpc) = &mut session.rpc
            && let Some(offer) = rpc.procedures.get_mut(subject)
        {
            offer.asking.retain(|asking| *asking != request);
            if offer.asking.is_empty() && offer.active.is_none() {
                rpc.procedures.remove(subject);
            }
        }
        let refused = (error::PROCEDURE_ALREADY_EXISTS, format!("{:?}: {why}", &*subject.uri));
        self.refuse(conn, MessageType::Register, request, refused);
        self.advance(conn);
    }

    pub(super) fn unregister(&mut self, conn: ConnId, unregister: &Unregister) {
        let (request, id) = (unregister.request, unregister.registration);
        if !self.accept_request(conn, request, "UNREGISTER") {
            return;
        }
        let Some(session) = self.session_at(conn) else { return };
        let session_id = session.id;
        let subject = session.rpc.as_mut().and_then(|rpc| {
            let subject = rpc.registrations.get(&id)?.clone();
            // One that has been taken over is about to be revoked.
            let offer = rpc.procedures.get_mut(&subject).filter(|offer| offer.active == Some(id))?;
            offer.ending = true;
            rpc.registrations.remove(&id);
            Some(subject)
        });
        let Some(subject) = subject else {
            let refused = (error::NO_SUCH_REGISTRATION, format!("{id} is not a registration of this session"));
            return self.refuse(conn, MessageType::Unregister, request, refused);
        };
        session.open.insert(request, ());
        self.ask(Ask::Unregister(session_id, subject.clone(), id, request), &subject);
    }

    /// No shard sends invocations of the registration any longer, and all that were sent have arrived: what is left
    /// of them is in the lane.
    pub(super) fn arrive_unregistered(
        &mut self,
        session: SessionId,
        subject: Subject,
        request: RequestId,
        id: RegistrationId,
    ) {
        let Some(&conn) = self.sessions.get(&session) else { return };
        if self.config.keeps(Rule::UnregisteredThroughLane) {
            self.arrive(conn, Arrival::Unregistered { subject, request, id });
        } else {
            self.unregistered(conn, subject, request, id);
        }
    }

    pub(super) fn unregistered(
        &mut self,
        conn: ConnId,
        subject: Subject,
        request: RequestId,
        registration: RegistrationId,
    ) {
        let Some(session) = self.session_at(conn) else { return };
        session.open.remove(&request);
        let (id, class) = (session.id, session.class);
        let Some(rpc) = &mut session.rpc else { return };
        let Some(offer) = rpc.procedures.get_mut(&subject) else { return };
        let next = std::mem::take(&mut offer.next);
        if offer.active == Some(registration) {
            offer.active = None;
        }
        offer.ending = false;
        offer.asking.extend(next.iter().map(|wish| wish.request));
        if offer.asking.is_empty() && offer.active.is_none() {
            rpc.procedures.remove(&subject);
        }
        let _ = self.send(conn, class, &Message::Unregistered(Unregistered { request, details: None }));
        for RegisterWish { request, options } in next {
            self.ask(Ask::Register(id, subject.clone(), request, options), &subject);
        }
    }

    /// The home has taken the session out of the registration: as with UNREGISTERED, all invocations that were sent
    /// have arrived.
    pub(super) fn arrive_registration_revoked(
        &mut self,
        session: SessionId,
        subject: Subject,
        revocation: Revocation<RegistrationId>,
    ) {
        let Some(&conn) = self.sessions.get(&session) else { return };
        self.arrive(conn, Arrival::RegistrationRevoked { subject, revocation });
    }

    /// Tells a callee that it is none any longer (specification, "Registration Revocation").
    pub(super) fn registration_revoked(
        &mut self,
        conn: ConnId,
        subject: &Subject,
        revocation: Revocation<RegistrationId>,
    ) {
        let Some(session) = self.session_at(conn) else { return };
        let (class, told) = (session.class, session.features.callee.revocation);
        let Some(rpc) = &mut session.rpc else { return };
        // With an UNREGISTER of it on its way, the answer to that says the same.
        if rpc.registrations.remove(&revocation.id).is_none() {
            return;
        }
        let Some(offer) = rpc.procedures.get_mut(subject) else { return };
        // The session may have registered anew, by force.
        if offer.active == Some(revocation.id) {
            offer.active = None;
            if offer.asking.is_empty() {
                rpc.procedures.remove(subject);
            }
        }
        if told {
            let details = revocation_details("registration", revocation.id.get(), revocation.reason);
            let message = Unregistered { request: RequestId::from_raw(0), details: Some(details) };
            let _ = self.send(conn, class, &Message::Unregistered(message));
        }
        self.advance(conn);
    }
}
