//! Calls on the caller's side: from CALL to the choice of a callee, and from what comes back to RESULT or ERROR
//! (specification, "Remote Procedure Calls" and the chapters of the Advanced Profile about calls).
//!
//! The caller's shard owns the pending call, its time and its cancellation; the callee's shard owns the invocation and
//! the way back. A return for a call that its shard no longer knows is dropped (rule R9 of `docs/ordering.md`).

use super::access::Action;
use super::choice::{Callee, Chosen, Circumstances, Shared, choose};
use super::config::Rule;
use super::effect::ConnId;
use super::frames::Undeliverable;
use super::index::ShardIndex;
use super::lifecycle::Conn;
use super::peer::{CallRef, Invoke, InvokeExtras, Outcome, Part, Return, ShardMsg};
use super::publish::unannounced;
use super::replica::Registration;
use super::session::Arrival;
use super::shard::Shard;
use super::subject::Subject;
use super::trace::{Carried, Span, Traced};
use crate::session::RealmIndex;
use crate::session::options::{CallOptions, Refused, Unfit, append};
use crate::session::role::Disclose;
use crate::wamp::link::FORWARD_FOR;
use crate::wamp::message::{self, Error};
use crate::wamp::uri::is_reserved;
use crate::wamp::{Dict, MatchPolicy, Message, MessageType, Payload, RegistrationId, RequestId, SessionId, Uri, error};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// A call that a session has made and that has no final answer.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) call: CallRef,
    pub(super) stage: Stage,
    /// When it came, since the start of time.
    since: Duration,
    /// CANCEL with mode `kill` has come.
    pub(super) killed: bool,
    /// What hardly any call has.
    pub(super) extras: Option<Box<CallExtras>>,
}

/// Where a call is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// It waits for a callee of this registration to have time for it.
    Waiting(RegistrationId),
    /// A callee has it, or it is on its way there.
    With { callee: SessionId, shard: ShardIndex },
}

/// What hardly any call has.
#[derive(Debug, Default)]
pub(super) struct CallExtras {
    /// How long to wait for an answer, and until when.
    pub(super) time: Option<(Duration, Duration)>,
    /// Further parts will come.
    parts: bool,
    /// The call has parts beside its first, or has had a result: it cannot be given to somebody else.
    begun: bool,
    /// What is needed to give it to somebody else.
    pub(super) wanted: Option<Wanted>,
    /// What is told of it when it is over.
    span: Option<Box<Span>>,
}

/// A call of this shard, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CallKey {
    pub(super) conn: ConnId,
    pub(super) request: RequestId,
    pub(super) call: CallRef,
}

/// What a caller wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    procedure: Uri,
    /// None if the caller has given none.
    options: Option<Box<CallOptions>>,
    /// Empty where the call cannot be given to somebody else.
    payload: Payload,
    /// The registration that was found, as registered.
    subject: Option<Subject>,
    /// Who has been asked in vain.
    tried: SmallVec<[SessionId; 2]>,
    /// One of them was there, but not available.
    unavailable: bool,
    /// Its trace, for the callee.
    trace: Option<Carried>,
}

impl Wanted {
    /// A call that nobody has been asked for yet.
    pub(super) fn new(procedure: Uri, options: Option<Box<CallOptions>>) -> Wanted {
        let (payload, tried) = (Payload::NONE, SmallVec::new());
        Wanted { procedure, options, payload, subject: None, tried, unavailable: false, trace: None }
    }
}

/// The only callee of a registration: the registration, what was registered, the session and its shard.
type Sole = (RegistrationId, Subject, SessionId, ShardIndex);

/// A callee for a call.
struct Found {
    registration: RegistrationId,
    subject: Subject,
    callee: Callee,
    /// There are others.
    several: bool,
}

/// What came of looking for a callee.
pub(super) enum Placed {
    /// The call is on its way.
    Sent,
    /// It has to wait for a callee of this registration.
    Busy(RegistrationId, Arc<Shared>),
    /// There is nobody.
    Nobody,
}

impl Shard {
    pub(super) fn call(&mut self, conn: ConnId, call: message::Call) {
        let message::Call { request, options, procedure, payload } = call;
        let Some(session) = self.session_at(conn) else { return };
        if session.rpc.is_some()
            && let Some(continued) = self.continued(conn, request)
        {
            // All other options are those of the first part.
            return match (continued, options.bool("progress")) {
                (_, Err(wrong)) => self.violation(conn, &format!("CALL.Options: {wrong}")),
                (Continued::Late, Ok(more)) => self.late_part(conn, request, more == Some(true)),
                (Continued::Open, Ok(more)) => self.call_part(conn, request, more == Some(true), payload),
            };
        }
        if !self.accept_request(conn, request, "CALL") {
            return;
        }
        let mut trace = self.trace(conn, Traced::Call { callee: None }, &procedure, &options, &payload);
        let mut options = match (!options.is_empty()).then(|| CallOptions::read(&options).map(Box::new)).transpose() {
            Ok(options) => options,
            Err(unfit) => {
                if let Unfit::Refused(refused) = &unfit {
                    self.end_refused(trace, refused.0);
                }
                return self.unfit(conn, MessageType::Call, request, unfit);
            }
        };
        let more = options.as_ref().is_some_and(|options| options.progress);
        let passthru = options.as_ref().is_some_and(|options| options.passthru.announced_only);
        self.counters.calls += 1;
        let Some(session) = self.session_at(conn) else { return };
        let (realm, features) = (session.realm, session.features.caller);
        self.counters.realm(realm).calls += 1;
        if more && !features.progressive_invocations {
            let text = "CALL: progress is set, but the feature progressive_call_invocations was not announced";
            return self.violation(conn, text);
        }
        if passthru && !features.passthru {
            return self.violation(conn, &unannounced("CALL", "caller"));
        }
        let disclose = match self.check_call(conn, realm, &procedure, options.as_deref()) {
            Ok(disclose) => disclose.caller,
            Err(refused) => {
                self.end_refused(trace, refused.0);
                return self.refuse_call(conn, request, more, refused);
            }
        };
        if is_reserved(&procedure) {
            // It is called with its first part alone.
            if more {
                self.remember_finished(conn, request);
            }
            return self.meta_call(conn, request, &procedure, &payload);
        }
        if disclose {
            options.get_or_insert_default().disclose_me = true;
        }
        if options.is_none()
            && trace.is_none()
            && let Some(sole) = self.sole_callee(realm, &procedure)
        {
            return self.plain_call(conn, request, sole, payload);
        }
        let mut wanted = Wanted::new(procedure, options);
        let mut span = None;
        if let Some(trace) = &mut trace {
            (wanted.trace, span) = (trace.carried.take(), trace.span.take());
        }
        if let Err(refused) = self.first_call(conn, request, wanted, payload, &mut span) {
            self.end_span(span, Some(refused.0));
            self.refuse_call(conn, request, more, refused);
        }
    }

    /// The only callee of a procedure, if it wants to know nothing and takes any number of calls.
    fn sole_callee(&self, realm: RealmIndex, procedure: &str) -> Option<Sole> {
        let registration = self.replica.registration(realm, procedure)?;
        let [callee] = &*registration.callees else { return None };
        let special = registration.subject.policy != MatchPolicy::Exact
            || callee.disclose
            || callee.slots.is_some()
            || !self.config.realms[usize::from(realm)].says_nothing();
        (!special).then(|| (registration.id, registration.subject.clone(), callee.session, callee.shard))
    }

    /// The way of most calls: without options, to the only callee of a procedure.
    fn plain_call(&mut self, conn: ConnId, request: RequestId, sole: Sole, payload: Payload) {
        let (registration, subject, callee, shard) = sole;
        self.call_serial += 1;
        let call = CallRef { shard: self.config.index, serial: self.call_serial };
        let Some(session) = self.conns[conn.0 as usize].session() else { return };
        let (caller, passthru) = (session.id, session.features.caller.passthru);
        let stage = Stage::With { callee, shard };
        self.counters.calls_open += 1;
        session
            .rpc(&self.hashing)
            .calls
            .insert(request, Call { call, stage, since: self.now, killed: false, extras: None });
        let invoke = Invoke {
            callee,
            registration,
            subject,
            call,
            caller,
            request,
            receive_progress: false,
            passthru,
            payload,
            extras: None,
        };
        self.send_peer(shard, ShardMsg::Invoke(Box::new(invoke)));
    }

    /// Refuses a call, of which further parts may be on their way.
    pub(super) fn refuse_call(&mut self, conn: ConnId, request: RequestId, more: bool, refused: Refused) {
        if more {
            self.remember_finished(conn, request);
        }
        self.refuse(conn, MessageType::Call, request, refused);
    }

    /// Has a session know a call that is over, of which further parts may be on their way.
    fn remember_finished(&mut self, conn: ConnId, request: RequestId) {
        let (hashing, max) = (self.hashing.clone(), self.config.limits.calls_max);
        if let Some(session) = self.session_at(conn) {
            session.rpc(&hashing).remember_finished(request, max);
        }
    }

    fn check_call(
        &mut self,
        conn: ConnId,
        realm: RealmIndex,
        procedure: &str,
        options: Option<&CallOptions>,
    ) -> Result<Disclose, Refused> {
        self.check_uri(realm, procedure, MatchPolicy::Exact)?;
        self.check_disclosure(realm, options.is_some_and(|options| options.disclose_me))?;
        let max = self.config.limits.calls_max;
        let session = self.session_at(conn);
        if session.as_ref().is_some_and(|session| session.retiring) {
            return Err(Shard::shuts_down());
        }
        let pending = session.and_then(|session| session.rpc.as_ref()).map_or(0, |rpc| rpc.calls.len());
        if pending >= max as usize {
            return Err((error::LIMIT_EXCEEDED, format!("a session may have {max} open calls")));
        }
        self.authorize(conn, Action::Call, procedure)
    }

    /// Finds a callee and sends it the call, which takes its span.
    pub(super) fn first_call(
        &mut self,
        conn: ConnId,
        request: RequestId,
        mut wanted: Wanted,
        payload: Payload,
        span: &mut Option<Box<Span>>,
    ) -> Result<(), Refused> {
        let Some(realm) = self.session_at(conn).map(|session| session.realm) else { return Ok(()) };
        let nobody =
            |wanted: &Wanted| (error::NO_SUCH_PROCEDURE, format!("nobody has registered {:?}", &*wanted.procedure));
        let Some(registration) = self.replica.registration(realm, &wanted.procedure) else {
            return Err(nobody(&wanted));
        };
        let queue = self.waiting.get(&registration.id);
        let found = if queue.is_some_and(|queue| !queue.is_empty()) {
            Err(Chosen::Busy)
        } else {
            find(registration, &wanted, &mut self.random)
        };
        let (id, subject) = (registration.id, registration.subject.clone());
        let stage = match &found {
            Ok(found) => Stage::With { callee: found.callee.session, shard: found.callee.shard },
            Err(Chosen::Busy) => {
                self.check_queue(id)?;
                Stage::Waiting(id)
            }
            Err(_) => return Err(nobody(&wanted)),
        };
        self.call_serial += 1;
        let call = CallRef { shard: self.config.index, serial: self.call_serial };
        let key = CallKey { conn, request, call };
        let forwarded = found.as_ref().is_ok_and(|found| found.callee.forward_timeout);
        let time = self.call_time(wanted.options.as_ref().map_or(0, |options| options.timeout), forwarded);
        if let Some((_, deadline)) = time {
            self.set_timer(deadline, key);
        }
        let parts = wanted.options.as_ref().is_some_and(|options| options.progress);
        let several = found.as_ref().map_or(true, |found| found.several);
        if let Ok(found) = found {
            self.send_invoke(key, found, &wanted, payload.clone());
        }
        let span = span.take();
        let extras = (several || parts || time.is_some() || span.is_some()).then(|| {
            wanted.subject = Some(subject);
            wanted.payload = payload;
            Box::new(CallExtras { time, parts, begun: false, wanted: several.then_some(wanted), span })
        });
        let hashing = self.hashing.clone();
        let since = self.now;
        let Some(session) = self.session_at(conn) else { return Ok(()) };
        session.rpc(&hashing).calls.insert(request, Call { call, stage, since, killed: false, extras });
        self.counters.calls_open += 1;
        if matches!(stage, Stage::Waiting(_)) {
            self.enqueue_call(id, key);
        }
        Ok(())
    }

    /// How long the router waits for an answer: a callee that watches over time itself gets some more.
    fn call_time(&self, timeout: u64, forwarded: bool) -> Option<(Duration, Duration)> {
        if timeout == 0 {
            return None;
        }
        let grace = if forwarded { self.config.limits.forwarded_timeout_grace } else { Duration::ZERO };
        let limit = Duration::from_millis(timeout).saturating_add(grace);
        Some((limit, self.now.saturating_add(limit)))
    }

    /// Sends a call to a callee.
    fn send_invoke(&mut self, key: CallKey, found: Found, wanted: &Wanted, payload: Payload) {
        let CallKey { conn, request, call } = key;
        let details = self.invocation_details(conn, &found, wanted);
        let Some(session) = self.session_at(conn) else { return };
        let (caller, passthru) = (session.id, session.features.caller.passthru);
        let Found { registration, subject, callee, .. } = found;
        let options = wanted.options.as_deref();
        let progress = options.is_some_and(|options| options.progress);
        let plain = details.is_empty() && !progress && callee.slots.is_none();
        let extras = (!plain).then(|| {
            let passthru_only = options.is_some_and(|options| options.passthru.announced_only);
            Box::new(InvokeExtras { details, progress, passthru: passthru_only, slots: callee.slots })
        });
        let invoke = Invoke {
            callee: callee.session,
            registration,
            subject,
            call,
            caller,
            request,
            receive_progress: options.is_some_and(|options| options.receive_progress),
            passthru,
            payload,
            extras,
        };
        self.send_peer(callee.shard, ShardMsg::Invoke(Box::new(invoke)));
    }

    /// What the callee is told beside the arguments.
    fn invocation_details(&mut self, conn: ConnId, found: &Found, wanted: &Wanted) -> Dict {
        let Wanted { procedure, options, .. } = wanted;
        let mut details = Dict::new();
        if found.subject.policy != MatchPolicy::Exact {
            details.push("procedure", &**procedure);
        }
        let config = &self.config.realms[usize::from(found.subject.realm)];
        let options = options.as_deref();
        let asked = options.is_some_and(|options| options.disclose_me) || found.callee.disclose;
        let disclosed = config.disclosure.applies(asked) || !self.config.keeps(Rule::DisclosedOnRequest);
        if disclosed || !config.trust_levels.is_empty() {
            let entry = self.conns.get_mut(conn.0 as usize).map(Conn::session);
            let Some(session) = entry.unwrap_or_else(|| self.errands.session(conn)) else { return details };
            if disclosed {
                details.push("caller", session.id.get());
                details.push("caller_authid", &*session.identity.authid);
                details.push("caller_authrole", &*session.identity.authrole);
            }
            if let Some(level) = config.trust_level(procedure, &session.identity.authrole) {
                details.push("trustlevel", u64::from(level));
            }
        }
        if let Some(options) = options {
            if found.callee.forward_timeout && options.timeout > 0 {
                details.push("timeout", options.timeout);
            }
            append(&mut details, &options.passthru.attributes);
            if let Some(whom) = &options.forward_for {
                details.push(FORWARD_FOR, whom.clone());
            }
        }
        if let Some(trace) = &wanted.trace {
            trace.append(&mut details);
        }
        details
    }

    /// What a CALL is whose id is that of a call made before; none if it is a call of its own.
    fn continued(&mut self, conn: ConnId, request: RequestId) -> Option<Continued> {
        let rpc = self.session_at(conn)?.rpc.as_ref()?;
        match rpc.calls.get(&request) {
            Some(call) => call.extras.as_ref().filter(|extras| extras.parts).map(|_| Continued::Open),
            None => rpc.finished.contains(&request).then_some(Continued::Late),
        }
    }

    /// Drops a part of a call that is over. Behind the last part the id may be that of another call.
    fn late_part(&mut self, conn: ConnId, request: RequestId, more: bool) {
        if !more && let Some(rpc) = self.session_at(conn).and_then(|session| session.rpc.as_mut()) {
            rpc.finished.remove(&request);
        }
    }

    /// Sends a further part of a call to the callee that has the first.
    fn call_part(&mut self, conn: ConnId, request: RequestId, progress: bool, payload: Payload) {
        let Some(rpc) = self.session_at(conn).and_then(|session| session.rpc.as_mut()) else { return };
        let Some(pending) = rpc.calls.get_mut(&request) else { return };
        let Some(extras) = &mut pending.extras else { return };
        extras.parts = progress;
        extras.begun = true;
        let (call, stage) = (pending.call, pending.stage);
        match stage {
            Stage::With { callee, shard } => {
                let part = Part { callee, call, progress, payload };
                self.send_peer(shard, ShardMsg::Part(Box::new(part)));
            }
            Stage::Waiting(_) => {
                let taken = self.take_call(conn, request);
                let text = "no callee has time for the call, and its further parts cannot be kept";
                self.end_call(taken, Some(error::MAX_CONCURRENCY_REACHED));
                self.refuse(conn, MessageType::Call, request, (error::MAX_CONCURRENCY_REACHED, text.into()));
            }
        }
    }

    pub(super) fn arrive_return(&mut self, back: Box<Return>) {
        let conn = self.sessions.get(&back.caller).copied();
        if let Some(conn) = conn.or_else(|| self.errands.conn_of(back.caller)) {
            self.arrive(conn, Arrival::Return(back));
        }
    }

    pub(super) fn take_return(&mut self, conn: ConnId, back: Return) {
        let Return { call, request, callee, outcome, .. } = back;
        let now = self.now;
        let Some(session) = self.session_at(conn) else { return };
        let class = session.class;
        let Some(rpc) = session.rpc.as_mut() else { return };
        // Another serial means that the id came back after its call was over.
        let Some(pending) = rpc.calls.get_mut(&request).filter(|pending| pending.call == call) else { return };
        let message = match outcome {
            Outcome::Gone | Outcome::Unavailable => {
                let unavailable = matches!(outcome, Outcome::Unavailable);
                return self.call_again(CallKey { conn, request, call }, callee, unavailable);
            }
            Outcome::Result { progress: true, details, payload } => {
                if let Some(extras) = &mut pending.extras {
                    extras.begun = true;
                    if let Some((limit, deadline)) = &mut extras.time {
                        *deadline = now.saturating_add(*limit);
                    }
                }
                let mut all = Dict::new().with("progress", true);
                append(&mut all, &details);
                let result = Message::Result(message::Result { request, details: all, payload });
                if let Err(reason) = self.send(conn, class, &result) {
                    let refused = undeliverable(&reason, "the caller");
                    if let Some(pending) = self.take_call(conn, request) {
                        self.abandon(&pending);
                        self.end_call(Some(pending), Some(refused.0));
                    }
                    self.refuse(conn, MessageType::Call, request, refused);
                }
                return;
            }
            Outcome::Result { details, payload, .. } => Message::Result(message::Result { request, details, payload }),
            Outcome::Error { error, details, payload } => {
                Message::Error(Error { request_type: MessageType::Call, request, details, error, payload })
            }
        };
        let taken = self.take_call(conn, request);
        let mut error = None;
        if let Err(reason) = self.send(conn, class, &message) {
            let refused = undeliverable(&reason, "the caller");
            error = Some(refused.0);
            self.refuse(conn, MessageType::Call, request, refused);
        }
        if let Message::Error(sent) = &message {
            error = error.or(Some(&sent.error));
        }
        self.end_call(taken, error);
    }

    /// Gives a call to the next callee (specification, "Call Re-Routing").
    fn call_again(&mut self, key: CallKey, callee: SessionId, unavailable: bool) {
        let CallKey { conn, request, .. } = key;
        let Some(pending) = self.pending(key) else { return };
        let killed = pending.killed;
        let mut unavailable = unavailable;
        let extras = pending.extras.as_mut().filter(|extras| !extras.begun && !killed);
        if let Some(wanted) = extras.and_then(|extras| extras.wanted.as_mut()) {
            wanted.tried.push(callee);
            wanted.unavailable |= unavailable;
            unavailable = wanted.unavailable;
            match self.place(key) {
                Placed::Sent => return,
                Placed::Busy(id, _) if self.check_queue(id).is_ok() => return self.enqueue_call(id, key),
                Placed::Busy(..) | Placed::Nobody => {}
            }
        }
        let taken = self.take_call(conn, request);
        let (uri, text) = match (killed, unavailable) {
            (true, _) => (error::CANCELED, "the caller has canceled the call"),
            (_, true) => (error::NO_AVAILABLE_CALLEE, "no callee is available"),
            _ => (error::NO_SUCH_PROCEDURE, "the callee has left before the call reached it"),
        };
        self.refuse(conn, MessageType::Call, request, (uri, text.into()));
        self.end_call(taken, Some(uri));
    }

    /// A call that is still going on.
    pub(super) fn pending(&mut self, key: CallKey) -> Option<&mut Call> {
        let rpc = self.session_at(key.conn)?.rpc.as_mut()?;
        rpc.calls.get_mut(&key.request).filter(|pending| pending.call == key.call)
    }

    /// Looks for a callee for a pending call that can be given to somebody else, and sends it there.
    pub(super) fn place(&mut self, key: CallKey) -> Placed {
        let wanted = self.pending(key).and_then(|pending| pending.extras.as_ref()?.wanted.clone());
        let Some(wanted) = wanted else { return Placed::Nobody };
        let registration = wanted.subject.as_ref().and_then(|subject| self.replica.registration_of(subject));
        let Some(registration) = registration else { return Placed::Nobody };
        let (id, shared) = (registration.id, registration.shared.clone());
        let (stage, placed) = match find(registration, &wanted, &mut self.random) {
            Ok(found) => {
                let stage = Stage::With { callee: found.callee.session, shard: found.callee.shard };
                self.send_invoke(key, found, &wanted, wanted.payload.clone());
                (stage, Placed::Sent)
            }
            Err(Chosen::Busy) => (Stage::Waiting(id), Placed::Busy(id, shared)),
            Err(_) => return Placed::Nobody,
        };
        if let Some(pending) = self.pending(key) {
            pending.stage = stage;
        }
        placed
    }

    /// Takes a call that is over off the list.
    pub(super) fn take_call(&mut self, conn: ConnId, request: RequestId) -> Option<Call> {
        let max = self.config.limits.calls_max;
        let rpc = self.session_at(conn)?.rpc.as_mut()?;
        let pending = rpc.calls.remove(&request)?;
        if pending.extras.as_ref().is_some_and(|extras| extras.parts) {
            rpc.remember_finished(request, max);
        }
        self.call_is_over(CallKey { conn, request, call: pending.call }, &pending);
        Some(pending)
    }

    /// Tells of a call that is over, with the URI of the error that its caller was sent, if it is traced.
    #[inline]
    pub(super) fn end_call(&mut self, call: Option<Call>, error: Option<&str>) {
        let Some(Call { stage, extras: Some(mut extras), .. }) = call else { return };
        if let Some(span) = &mut extras.span {
            if let Stage::With { callee, .. } = stage {
                span.what = Traced::Call { callee: Some(callee) };
            }
            self.end_span(extras.span.take(), error);
        }
    }

    /// Forgets what is known of a call outside its session.
    pub(super) fn call_is_over(&mut self, key: CallKey, pending: &Call) {
        self.counters.calls_open -= 1;
        self.counters.call_time.record(self.now.saturating_sub(pending.since));
        if let Some(extras) = &pending.extras {
            self.call_timers.forget(usize::from(extras.time.is_some()));
        }
        if let Stage::Waiting(id) = pending.stage {
            self.dequeue_call(id, key);
        }
    }
}

/// Chooses a callee of a registration.
fn find(registration: &Registration, wanted: &Wanted, random: &mut fastrand::Rng) -> Result<Found, Chosen> {
    let circumstances = Circumstances {
        key: wanted.options.as_ref().and_then(|options| options.rkey.as_deref()),
        tried: &wanted.tried,
    };
    match choose(registration, circumstances, |count| random.usize(..count)) {
        Chosen::Callee(at) => Ok(Found {
            registration: registration.id,
            subject: registration.subject.clone(),
            callee: registration.callees[at].clone(),
            several: registration.callees.len() > 1,
        }),
        none => Err(none),
    }
}

/// A CALL that goes on with another.
#[derive(Clone, Copy, Debug)]
enum Continued {
    /// That one is going on.
    Open,
    /// It is over, which the caller did not know.
    Late,
}

/// Details with a text for a person.
pub(super) fn message_details(message: &str) -> Dict {
    Dict::new().with("message", message)
}

/// What to tell a caller if a message of its call cannot be delivered.
pub(super) fn undeliverable(reason: &Undeliverable, to: &str) -> Refused {
    match reason {
        Undeliverable::TooLarge { size, max } => {
            (error::PAYLOAD_SIZE_EXCEEDED, format!("{to} takes messages of {max} octets, this one has {size}"))
        }
        Undeliverable::Unsayable(why) => (error::INVALID_PAYLOAD, format!("{to} cannot be sent the payload: {why}")),
    }
}
