//! The dealer: registrations (specification, "Remote Procedure Calls"). Calls are in `calls`.

use super::broker::{check_not_reserved, match_policy};
use super::config::Rule;
use super::effect::ConnId;
use super::peer::{Ask, ShardMsg};
use super::session::Arrival;
use super::shard::Shard;
use super::subject::{self, Subject};
use crate::session::RealmIndex;
use crate::wamp::message::{Register, Registered, Unregister, Unregistered};
use crate::wamp::{MatchPolicy, Message, MessageType, RegistrationId, RequestId, SessionId, Uri, error};

impl Shard {
    pub(super) fn register(&mut self, conn: ConnId, register: Register) {
        let Register { request, options, procedure } = register;
        if !self.accept_request(conn, request, "REGISTER") {
            return;
        }
        let policy = match match_policy(&options).and_then(|policy| Ok((policy, options.str("invoke")?))) {
            Ok((policy, invoke)) => policy.and_then(|policy| supported(policy, invoke)),
            Err(wrong) => return self.violation(conn, &format!("REGISTER.Options: {wrong}")),
        };
        let Some(session) = self.session_at(conn) else { return };
        let realm = session.realm;
        let count = session.rpc.as_ref().map_or(0, |rpc| rpc.procedures.len());
        let checked = policy.and_then(|policy| {
            self.check_uri(realm, &procedure, policy)?;
            check_not_reserved(&procedure)?;
            let max = self.config.limits.registrations_max;
            if count >= max as usize {
                return Err((error::LIMIT_EXCEEDED, format!("a session may have {max} registrations")));
            }
            Ok(())
        });
        if let Err(refused) = checked {
            return self.refuse(conn, MessageType::Register, request, refused);
        }
        let hashing = self.hashing.clone();
        let Some(session) = self.session_at(conn) else { return };
        session.open.insert(request, ());
        let id = session.id;
        let offer = session.rpc(&hashing).procedures.entry(procedure.clone()).or_default();
        if offer.ending {
            offer.next.push(request);
        } else {
            offer.asking.push(request);
            self.ask_to_register(id, realm, procedure, request);
        }
    }

    fn ask_to_register(&mut self, session: SessionId, realm: RealmIndex, uri: Uri, request: RequestId) {
        let subject = Subject { realm, policy: MatchPolicy::Exact, uri };
        let home = subject::home(realm, &subject.uri, self.config.shards);
        self.send_peer(home, ShardMsg::Ask(Box::new(Ask::Register(session, subject, request))));
    }

    /// Every shard knows the callee: it is told so, and gets the invocations that came too early.
    pub(super) fn registered(
        &mut self,
        session: SessionId,
        procedure: Uri,
        request: RequestId,
        registration: RegistrationId,
    ) {
        let Some(session) = self.session(session) else { return };
        let (conn, class) = (session.conn, session.class);
        session.open.remove(&request);
        let Some(rpc) = &mut session.rpc else { return };
        let Some(offer) = rpc.procedures.get_mut(&*procedure) else { return };
        offer.asking.retain(|asking| *asking != request);
        offer.active = Some(registration);
        rpc.registrations.insert(registration, procedure);
        let _ = self.send(conn, class, &Message::Registered(Registered { request, registration }));
        self.advance(conn);
    }

    pub(super) fn register_refused(&mut self, session: SessionId, procedure: &str, request: RequestId) {
        let Some(session) = self.session(session) else { return };
        let conn = session.conn;
        session.open.remove(&request);
        if let Some(rpc) = &mut session.rpc
            && let Some(offer) = rpc.procedures.get_mut(procedure)
        {
            offer.asking.retain(|asking| *asking != request);
            if offer.asking.is_empty() && offer.active.is_none() {
                rpc.procedures.remove(procedure);
            }
        }
        let refused = (error::PROCEDURE_ALREADY_EXISTS, format!("{procedure:?} has been registered already"));
        self.refuse(conn, MessageType::Register, request, refused);
        self.advance(conn);
    }

    pub(super) fn unregister(&mut self, conn: ConnId, unregister: &Unregister) {
        let (request, id) = (unregister.request, unregister.registration);
        if !self.accept_request(conn, request, "UNREGISTER") {
            return;
        }
        let Some(session) = self.session_at(conn) else { return };
        let (realm, session_id) = (session.realm, session.id);
        let procedure = session.rpc.as_mut().and_then(|rpc| {
            let procedure = rpc.registrations.remove(&id)?;
            rpc.procedures.get_mut(&*procedure)?.ending = true;
            Some(procedure)
        });
        let Some(uri) = procedure else {
            let refused = (error::NO_SUCH_REGISTRATION, format!("{id} is not a registration of this session"));
            return self.refuse(conn, MessageType::Unregister, request, refused);
        };
        session.open.insert(request, ());
        let subject = Subject { realm, policy: MatchPolicy::Exact, uri };
        let home = subject::home(realm, &subject.uri, self.config.shards);
        self.send_peer(home, ShardMsg::Ask(Box::new(Ask::Unregister(session_id, subject, request))));
    }

    /// No shard sends invocations of the registration any longer, and all that were sent have arrived: what is left
    /// of them is in the lane.
    pub(super) fn arrive_unregistered(&mut self, session: SessionId, procedure: Uri, request: RequestId) {
        let Some(&conn) = self.sessions.get(&session) else { return };
        if self.config.keeps(Rule::UnregisteredThroughLane) {
            self.arrive(conn, Arrival::Unregistered { procedure, request });
        } else {
            self.unregistered(conn, procedure, request);
        }
    }

    pub(super) fn unregistered(&mut self, conn: ConnId, procedure: Uri, request: RequestId) {
        let Some(session) = self.session_at(conn) else { return };
        session.open.remove(&request);
        let (id, realm, class) = (session.id, session.realm, session.class);
        let Some(rpc) = &mut session.rpc else { return };
        let Some(offer) = rpc.procedures.get_mut(&*procedure) else { return };
        let next = std::mem::take(&mut offer.next);
        offer.active = None;
        offer.ending = false;
        offer.asking.extend(next.iter().copied());
        if offer.asking.is_empty() {
            rpc.procedures.remove(&*procedure);
        }
        let _ = self.send(conn, class, &Message::Unregistered(Unregistered { request, details: None }));
        for request in next {
            self.ask_to_register(id, realm, procedure.clone(), request);
        }
    }
}

/// What of REGISTER.Options this router does: saying no is better than doing something else.
fn supported(policy: MatchPolicy, invoke: Option<&str>) -> Result<MatchPolicy, super::broker::Refused> {
    if policy != MatchPolicy::Exact {
        let message = format!("pattern-based registration (match={}) is not supported", policy.name());
        return Err((error::OPTION_NOT_ALLOWED, message));
    }
    match invoke {
        None | Some("single") => Ok(policy),
        Some(other) => {
            Err((error::OPTION_NOT_ALLOWED, format!("shared registration (invoke={other}) is not supported")))
        }
    }
}
