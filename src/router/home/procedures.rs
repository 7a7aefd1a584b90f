//! Registrations at their home.

use super::{Home, Outbox};
use crate::router::choice::{Callee, Shared, Slots};
use crate::router::index::ShardIndex;
use crate::router::meta::event::{MetaEvent, Occasion};
use crate::router::peer::{Answer, Kind, LogEntry, Revocation};
use crate::router::subject::Subject;
use crate::session::options::{InvokePolicy, RegisterOptions};
use crate::wamp::{RegistrationId, RequestId, SessionId, error};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// A registration.
#[derive(Debug)]
pub(in crate::router) struct Procedure {
    pub(in crate::router) subject: Subject,
    /// When it was created, since 1970.
    pub(in crate::router) created: Duration,
    pub(in crate::router) invoke: InvokePolicy,
    /// Its creation has been published.
    announced: bool,
    /// Oldest first.
    callees: SmallVec<[Member; 1]>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Member {
    callee: Callee,
    /// That it is a callee has been published.
    announced: bool,
    /// It is to be taken out as soon as that has been published, for this reason.
    revoked: Option<Option<Box<str>>>,
}

impl Procedure {
    /// The callees, oldest first.
    pub(in crate::router) fn sessions(&self) -> impl ExactSizeIterator<Item = SessionId> {
        self.callees.iter().map(|member| member.callee.session)
    }
}

impl Home {
    #[allow(clippy::too_many_arguments, reason = "what REGISTER says, who says it, and where the answers go")]
    pub(super) fn register(
        &mut self,
        time: Duration,
        from: ShardIndex,
        session: SessionId,
        subject: Subject,
        request: RequestId,
        options: RegisterOptions,
        out: &mut Outbox,
    ) {
        let removed = if options.force { self.take_over(&subject, out) } else { Vec::new() };
        let known = self.procedure_ids.get(&subject).copied();
        if let Some(procedure) = known.and_then(|id| self.procedures.get(&id)) {
            let why = if procedure.sessions().any(|callee| callee == session) {
                Some("this session has registered it already")
            } else if procedure.invoke == InvokePolicy::Single {
                Some("it has been registered already, and not to be shared")
            } else if procedure.invoke != options.invoke {
                Some("it has been registered already, with another invocation policy")
            } else {
                None
            };
            if let Some(why) = why {
                return out.answer(from, Answer::RegisterRefused(session, subject, request, why));
            }
        }
        let id = known.unwrap_or_else(|| self.create_procedure(time, &subject, options.invoke));
        let procedure = self.procedures.get_mut(&id).expect("found or created above");
        let limit = options.concurrency;
        let slots = (limit > 0).then(|| Arc::new(Slots::new(limit, procedure.shared.clone())));
        let (disclose, forward_timeout) = (options.disclose_caller, options.forward_timeout);
        let callee = Callee { session, shard: from, disclose, forward_timeout, slots };
        procedure.shared.added(procedure.callees.len());
        procedure.callees.push(Member { callee, announced: false, revoked: None });
        let position = self.log_callees(from, id, out);
        if self.announce_early {
            self.announce_callee(session, id, out);
        }
        for (session, shard, old) in removed {
            // Behind this entry no shard sends it an invocation.
            let position = self.mark(shard, out);
            let revocation = Revocation { id: old, reason: Some(error::TAKEN_OVER.into()) };
            let subject = subject.clone();
            out.answer(shard, Answer::RegistrationRevoked { session, subject, revocation, position });
        }
        out.answer(from, Answer::Registered { session, subject, request, id, position });
    }

    /// Takes a registration from its callees; the entry of the new one takes its place in the log, so that there is no
    /// moment without.
    fn take_over(&mut self, subject: &Subject, out: &mut Outbox) -> Vec<(SessionId, ShardIndex, RegistrationId)> {
        let Some(id) = self.procedure_ids.remove(subject) else { return Vec::new() };
        let Some(mut procedure) = self.procedures.remove(&id) else { return Vec::new() };
        let removed = procedure.callees.iter().map(|member| (member.callee.session, member.callee.shard, id)).collect();
        let mut last = None;
        procedure.callees.retain(|member| {
            if member.announced {
                last = Some(member.callee.session);
                out.publish(event(subject, member.callee.session, id, Occasion::Removed));
            }
            !member.announced
        });
        if !procedure.callees.is_empty() {
            // What is published of them has to wait until they have been told that they were callees.
            self.retiring.insert(id, procedure);
        } else if let Some(session) = last {
            out.publish(event(subject, session, id, Occasion::Deleted));
        }
        removed
    }

    /// A callee has been told REGISTERED after its registration was taken over: now its whole life can be published.
    fn announce_retiring(&mut self, session: SessionId, id: RegistrationId, out: &mut Outbox) {
        let Some(procedure) = self.retiring.get_mut(&id) else { return };
        let subject = procedure.subject.clone();
        if !std::mem::replace(&mut procedure.announced, true) {
            let (subject, created) = (subject.clone(), procedure.created);
            let occasion = Occasion::Created { subject, created, invoke: Some(procedure.invoke) };
            out.publish(event(&procedure.subject, session, id, occasion));
        }
        out.publish(event(&subject, session, id, Occasion::Added));
        out.publish(event(&subject, session, id, Occasion::Removed));
        self.retire(session, id, out);
    }

    fn retire(&mut self, session: SessionId, id: RegistrationId, out: &mut Outbox) {
        let Some(procedure) = self.retiring.get_mut(&id) else { return };
        procedure.callees.retain(|member| member.callee.session != session);
        if procedure.callees.is_empty() {
            if procedure.announced {
                out.publish(event(&procedure.subject, session, id, Occasion::Deleted));
            }
            self.retiring.remove(&id);
        }
    }

    /// A session that has ended is nowhere a callee.
    pub(super) fn drop_retiring(&mut self, session: SessionId, subject: &Subject, out: &mut Outbox) {
        let is_of = |procedure: &Procedure| {
            procedure.subject == *subject && procedure.sessions().any(|callee| callee == session)
        };
        let ids: Vec<_> = self.retiring.iter().filter(|(_, known)| is_of(known)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.retire(session, id, out));
    }

    fn create_procedure(&mut self, time: Duration, subject: &Subject, invoke: InvokePolicy) -> RegistrationId {
        let id = RegistrationId::from_raw(self.next_id());
        let procedure = Procedure {
            subject: subject.clone(),
            created: time,
            invoke,
            announced: false,
            callees: SmallVec::new(),
            shared: Arc::default(),
        };
        self.procedures.insert(id, procedure);
        self.procedure_ids.insert(subject.clone(), id);
        id
    }

    /// REGISTERED has been written: tells others of the callee, and of the registration if it is new.
    pub(super) fn announce_callee(&mut self, session: SessionId, id: RegistrationId, out: &mut Outbox) {
        let Some(procedure) = self.procedures.get_mut(&id) else { return self.announce_retiring(session, id, out) };
        let Some(member) = procedure.callees.iter_mut().find(|member| member.callee.session == session) else { return };
        let known = std::mem::replace(&mut member.announced, true);
        let revoked = member.revoked.take();
        if !std::mem::replace(&mut procedure.announced, true) {
            let (subject, created) = (procedure.subject.clone(), procedure.created);
            let occasion = Occasion::Created { subject, created, invoke: Some(procedure.invoke) };
            out.publish(event(&procedure.subject, session, id, occasion));
        }
        if !known {
            out.publish(event(&procedure.subject, session, id, Occasion::Added));
        }
        if let Some(reason) = revoked {
            self.revoke_registration(id, session, reason, out);
        }
    }

    /// Takes a callee out; gives its registration, its shard, and the position of the entry that says so.
    pub(super) fn drop_callee(
        &mut self,
        session: SessionId,
        subject: &Subject,
        out: &mut Outbox,
    ) -> Option<(RegistrationId, ShardIndex, u64)> {
        let id = *self.procedure_ids.get(subject)?;
        let procedure = self.procedures.get_mut(&id)?;
        let at = procedure.callees.iter().position(|member| member.callee.session == session)?;
        let before = procedure.callees.len();
        let Member { callee, announced, .. } = procedure.callees.remove(at);
        procedure.shared.removed(at, before);
        if announced {
            out.publish(event(subject, session, id, Occasion::Removed));
        }
        if procedure.callees.is_empty() && procedure.announced {
            out.publish(event(subject, session, id, Occasion::Deleted));
        }
        let position = self.log_callees(callee.shard, id, out);
        if self.procedures.get(&id).is_some_and(|procedure| procedure.callees.is_empty()) {
            self.procedures.remove(&id);
            self.procedure_ids.remove(subject);
        }
        Some((id, callee.shard, position))
    }

    /// Takes a callee out by the router's decision, but not before it has been told that it is one; false if it is
    /// none.
    pub(in crate::router) fn revoke_registration(
        &mut self,
        id: RegistrationId,
        session: SessionId,
        reason: Option<Box<str>>,
        out: &mut Outbox,
    ) -> bool {
        let Some(procedure) = self.procedures.get_mut(&id) else { return false };
        let member = procedure.callees.iter_mut().find(|member| member.callee.session == session);
        let Some(member) = member else { return false };
        if !member.announced {
            member.revoked = Some(reason);
            return true;
        }
        let subject = procedure.subject.clone();
        let Some((id, shard, position)) = self.drop_callee(session, &subject, out) else { return false };
        let revocation = Revocation { id, reason };
        out.answer(shard, Answer::RegistrationRevoked { session, subject, revocation, position });
        true
    }

    fn log_callees(&mut self, cause: ShardIndex, id: RegistrationId, out: &mut Outbox) -> u64 {
        let position = self.next_position(cause);
        if let Some(procedure) = self.procedures.get(&id) {
            let callees: Arc<[Callee]> = procedure.callees.iter().map(|member| member.callee.clone()).collect();
            self.broadcast(out, || LogEntry::Callees {
                position,
                subject: procedure.subject.clone(),
                id,
                invoke: procedure.invoke,
                callees: callees.clone(),
                shared: procedure.shared.clone(),
                cause,
            });
        }
        position
    }

    /// A registration.
    pub(in crate::router) fn procedure(&self, id: RegistrationId) -> Option<&Procedure> {
        self.procedures.get(&id)
    }

    /// The id of a subject.
    pub(in crate::router) fn procedure_id(&self, subject: &Subject) -> Option<RegistrationId> {
        self.procedure_ids.get(subject).copied()
    }

    /// Every registration.
    pub(in crate::router) fn procedures(&self) -> impl Iterator<Item = (RegistrationId, &Procedure)> {
        self.procedures.iter().map(|(id, procedure)| (*id, procedure))
    }
}

fn event(subject: &Subject, session: SessionId, id: RegistrationId, occasion: Occasion) -> MetaEvent {
    MetaEvent { realm: subject.realm, kind: Kind::Registration, session, id: id.get(), occasion }
}
