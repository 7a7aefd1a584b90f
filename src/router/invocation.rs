//! Calls on the callee's side: from the arrival of a call to INVOCATION, and from YIELD or ERROR to the caller's shard
//! (specification, "Remote Procedure Calls" and the chapters of the Advanced Profile about calls).

use super::call::{message_details, undeliverable};
use super::choice::Slots;
use super::effect::ConnId;
use super::peer::{self, CallRef, Invoke, InvokeExtras, Outcome, Part, Return, ShardMsg};
use super::publish::unannounced;
use super::session::{Arrival, Session};
use super::shard::Shard;
use crate::session::options::{Passthru, append};
use crate::wamp::message::{self, Error, Interrupt, Yield};
use crate::wamp::value::WrongType;
use crate::wamp::{Dict, Message, MessageType, Payload, RegistrationId, RequestId, SessionId, UriRules, error};
use std::sync::Arc;

/// A call that a session has to answer.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) origin: Origin,
    /// The caller takes progressive results.
    receive_progress: bool,
    /// The caller understands payload passthru.
    passthru: bool,
    /// Nobody waits for the answer any longer; the callee counts as busy until it comes.
    over: bool,
    /// What hardly any invocation has.
    extras: Option<Box<Lasting>>,
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) call: CallRef,
    pub(super) caller: SessionId,
    pub(super) request: RequestId,
}

/// What hardly any invocation has.
#[derive(Debug)]
struct Lasting {
    registration: RegistrationId,
    /// Goes with every part of the call.
    details: Dict,
    slots: Option<Arc<Slots>>,
}

impl Shard {
    pub(super) fn arrive_invoke(&mut self, invoke: Box<Invoke>) {
        match self.sessions.get(&invoke.callee) {
            Some(&conn) => self.arrive(conn, Arrival::Invoke(invoke)),
            // The callee has left while the call was on its way, so nobody has begun to work on it.
            None => self.reject(*invoke, Outcome::Gone),
        }
    }

    /// Sends an invocation back that its callee has not got.
    pub(super) fn reject(&mut self, invoke: Invoke, outcome: Outcome) {
        if let Some(slots) = invoke.extras.and_then(|extras| extras.slots) {
            self.release(invoke.registration, &slots);
        }
        let origin = Origin { call: invoke.call, caller: invoke.caller, request: invoke.request };
        self.send_return(origin, invoke.callee, outcome);
    }

    /// A callee has room for another call.
    fn release(&mut self, registration: RegistrationId, slots: &Slots) {
        for shard in slots.release() {
            self.send_peer(shard, ShardMsg::SlotFree(registration));
        }
    }

    /// Sends INVOCATION; its id counts only if it can be sent.
    pub(super) fn invoke(&mut self, conn: ConnId, mut invoke: Invoke) {
        let hashing = self.hashing.clone();
        let Some(session) = self.session_at(conn) else { return };
        let (class, features) = (session.class, session.features.callee);
        let extras = invoke.extras.as_deref();
        if extras.is_some_and(|extras| extras.progress && !(features.progressive_invocations && features.canceling)) {
            return self.reject(invoke, unsupported("progressive_call_invocations"));
        }
        if extras.is_some_and(|extras| extras.passthru && !features.passthru) {
            return self.reject(invoke, unsupported("payload_passthru_mode"));
        }
        let id = session.rpc(&hashing).last_invocation.next();
        let mut details = Dict::new();
        if invoke.receive_progress && features.progressive_results {
            details.push("receive_progress", true);
        }
        let mut frozen = None;
        if let Some(extras) = extras {
            append(&mut details, &extras.details);
            if extras.progress {
                frozen = Some(details.clone());
                details.push("progress", true);
            }
        }
        let (registration, payload) = (invoke.registration, std::mem::take(&mut invoke.payload));
        let invocation = Message::Invocation(message::Invocation { request: id, registration, details, payload });
        if let Err(reason) = self.send(conn, class, &invocation) {
            let (error, message) = undeliverable(&reason, "the callee");
            let details = message_details(&message);
            return self.reject(invoke, Outcome::Error { error: error.into(), details, payload: Payload::NONE });
        }
        let Invoke { call, caller, request, receive_progress, passthru, extras, .. } = invoke;
        let slots = extras.and_then(|extras| {
            let InvokeExtras { slots, .. } = *extras;
            slots
        });
        let extras = (slots.is_some() || frozen.is_some())
            .then(|| Box::new(Lasting { registration, details: frozen.unwrap_or_default(), slots }));
        let Some(session) = self.session_at(conn) else { return };
        let rpc = session.rpc(&hashing);
        rpc.last_invocation = id;
        let origin = Origin { call, caller, request };
        rpc.invocations.insert(id, Invocation { origin, receive_progress, passthru, over: false, extras });
        rpc.by_call.insert(call, id);
    }

    pub(super) fn arrive_part(&mut self, part: Box<Part>) {
        // A callee that has left has been answered for.
        if let Some(&conn) = self.sessions.get(&part.callee) {
            self.arrive(conn, Arrival::Part(part));
        }
    }

    /// Sends INVOCATION for a further part of a call, unless the callee has answered it already.
    pub(super) fn invoke_part(&mut self, conn: ConnId, part: Part) {
        let Some(session) = self.session_at(conn) else { return };
        let class = session.class;
        let Some(rpc) = session.rpc.as_ref() else { return };
        let Some(&request) = rpc.by_call.get(&part.call) else { return };
        let Some(invocation) = rpc.invocations.get(&request) else { return };
        let Some(lasting) = &invocation.extras else { return };
        let (origin, registration) = (invocation.origin, lasting.registration);
        let mut details = lasting.details.clone();
        if part.progress {
            details.push("progress", true);
        }
        let message = message::Invocation { request, registration, details, payload: part.payload };
        if let Err(reason) = self.send(conn, class, &Message::Invocation(message)) {
            // The callee would wait for a part that never comes.
            let (error, message) = undeliverable(&reason, "the callee");
            let details = message_details(&message);
            self.send_return(
                origin,
                part.callee,
                Outcome::Error { error: error.into(), details, payload: Payload::NONE },
            );
            let cancel = peer::Cancel { call: part.call, callee: part.callee, await_answer: false };
            self.arrive_cancel(cancel);
        }
    }

    pub(super) fn yielded(&mut self, conn: ConnId, result: Yield) {
        let Yield { request, options, payload } = result;
        let read = if options.is_empty() { Ok((false, Passthru::default())) } else { yield_options(&options) };
        let (progress, passthru) = match read {
            Ok(read) => read,
            Err(wrong) => return self.violation(conn, &format!("YIELD.Options: {wrong}")),
        };
        if passthru.announced_only && self.session_at(conn).is_some_and(|session| !session.features.callee.passthru) {
            return self.violation(conn, &unannounced("YIELD", "callee"));
        }
        let details = passthru.attributes;
        if !progress && !passthru.announced_only {
            if let Some((callee, origin)) = self.last_answer(conn, request, "YIELD") {
                self.send_return(origin, callee, Outcome::Result { progress, details, payload });
            }
            return;
        }
        let Some(asked) = self.answering(conn, request, "YIELD") else { return };
        let callee = asked.callee;
        if passthru.announced_only && !asked.passthru {
            let refused = (error::FEATURE_NOT_SUPPORTED, "the caller has not announced payload_passthru_mode".into());
            self.refuse(conn, MessageType::Yield, request, refused);
            if let Some(origin) = self.answered(conn, request) {
                self.send_return(origin, callee, unsupported("payload_passthru_mode"));
            }
            return;
        }
        if !progress {
            if let Some(origin) = self.answered(conn, request) {
                self.send_return(origin, callee, Outcome::Result { progress, details, payload });
            }
        } else if asked.receive_progress {
            self.send_return(asked.origin, callee, Outcome::Result { progress, details, payload });
        }
        // Progress that nobody asked for is dropped; the last result is still to come.
    }

    pub(super) fn invocation_error(&mut self, conn: ConnId, error: Error) {
        if error.request_type != MessageType::Invocation {
            let name = error.request_type.name();
            return self.violation(conn, &format!("ERROR for {name}: a client can answer INVOCATION only"));
        }
        let passthru = match Passthru::read(&error.details) {
            Ok(passthru) => passthru,
            Err(wrong) => return self.violation(conn, &format!("ERROR.Details: {wrong}")),
        };
        let reroutes = self.session_at(conn).is_some_and(|session| session.features.callee.reroute);
        let Some((callee, origin)) = self.last_answer(conn, error.request, "ERROR") else { return };
        let outcome = if reroutes && *error.error == *error::UNAVAILABLE {
            Outcome::Unavailable
        } else if UriRules::Loose.allow(&error.error) {
            Outcome::Error { error: error.error, details: passthru.attributes, payload: error.payload }
        } else {
            let details = message_details(&format!("the callee's error {:?} is no URI", &*error.error));
            Outcome::Error { error: error::INVALID_URI.into(), details, payload: error.payload }
        };
        self.send_return(origin, callee, outcome);
    }

    /// Takes an invocation that a callee answers off the list; gives the callee and whom to answer. None for one that is
    /// over; for one that never was, the session is ended.
    fn last_answer(&mut self, conn: ConnId, request: RequestId, name: &str) -> Option<(SessionId, Origin)> {
        let session = self.session_at(conn)?;
        let callee = session.id;
        if request.get() > session.rpc.as_deref().map_or(0, |rpc| rpc.last_invocation.get()) {
            self.never_invoked(conn, request, name);
            return None;
        }
        Some((callee, self.answered(conn, request)?))
    }

    fn never_invoked(&mut self, conn: ConnId, request: RequestId, name: &str) {
        self.violation(conn, &format!("{name}: there has been no invocation {request}"));
    }

    /// The invocation that a callee answers. None for one that is over; for one that never was, the session is ended.
    fn answering(&mut self, conn: ConnId, request: RequestId, name: &str) -> Option<Asked> {
        let session = self.session_at(conn)?;
        let (callee, rpc) = (session.id, session.rpc.as_deref());
        if request.get() > rpc.map_or(0, |rpc| rpc.last_invocation.get()) {
            self.never_invoked(conn, request, name);
            return None;
        }
        let invocation = rpc?.invocations.get(&request)?;
        let Invocation { origin, receive_progress, passthru, over, .. } = *invocation;
        Some(Asked { callee, origin, receive_progress: receive_progress && !over, passthru })
    }

    /// Takes an invocation off the list; gives whom to answer, if anybody still waits.
    fn answered(&mut self, conn: ConnId, request: RequestId) -> Option<Origin> {
        let rpc = self.session_at(conn)?.rpc.as_mut()?;
        let invocation = rpc.invocations.remove(&request)?;
        rpc.by_call.remove(&invocation.origin.call);
        self.invocation_is_over(&invocation);
        (!invocation.over).then_some(invocation.origin)
    }

    /// Lets the callee have another call in place of one that is over.
    pub(super) fn invocation_is_over(&mut self, invocation: &Invocation) {
        if let Some(lasting) = invocation.extras.as_deref()
            && let Some(slots) = &lasting.slots
        {
            self.release(lasting.registration, slots);
        }
    }

    fn send_return(&mut self, origin: Origin, callee: SessionId, outcome: Outcome) {
        let Origin { call, caller, request } = origin;
        self.send_peer(call.shard, ShardMsg::Return(Box::new(Return { call, callee, caller, request, outcome })));
    }

    /// Ends a call from the callee's side with `wamp.error.canceled`.
    pub(super) fn fail_call(&mut self, origin: Origin, callee: SessionId, message: &str) {
        let (error, details) = (error::CANCELED.into(), message_details(message));
        self.send_return(origin, callee, Outcome::Error { error, details, payload: Payload::NONE });
    }

    /// The callee of these invocations has left.
    pub(super) fn fail_invocations(&mut self, session: &mut Session) {
        let callee = session.id;
        let Some(rpc) = session.rpc.as_mut() else { return };
        for (_, invocation) in rpc.invocations.drain() {
            self.invocation_is_over(&invocation);
            if !invocation.over {
                self.fail_call(invocation.origin, callee, "the callee has left");
            }
        }
    }

    pub(super) fn arrive_cancel(&mut self, cancel: peer::Cancel) {
        let peer::Cancel { call, callee, await_answer } = cancel;
        let Some(session) = self.session(callee) else { return };
        let (conn, class, interruptible) = (session.conn, session.class, session.features.callee.canceling);
        let waiting = session.lane.iter().position(|item| matches!(item, Arrival::Invoke(i) if i.call == call));
        if let Some(at) = waiting {
            return self.cancel_waiting(conn, at, await_answer);
        }
        let Some(rpc) = session.rpc.as_mut() else { return };
        let Some(&request) = rpc.by_call.get(&call) else { return };
        let Some(invocation) = rpc.invocations.get_mut(&request) else { return };
        let origin = invocation.origin;
        let counted = invocation.extras.as_ref().is_some_and(|lasting| lasting.slots.is_some());
        if !interruptible && counted {
            // It works on, so it is not free for others yet.
            if std::mem::replace(&mut invocation.over, true) {
                return;
            }
        } else if !(interruptible && await_answer) {
            self.answered(conn, request);
        }
        if !interruptible && await_answer {
            self.fail_call(origin, callee, "the caller has canceled the call");
        }
        if interruptible {
            let mode = if await_answer { "kill" } else { "killnowait" };
            let interrupt = Interrupt { request, options: Dict::new().with("mode", mode) };
            let _ = self.send(conn, class, &Message::Interrupt(interrupt));
        }
    }

    /// Cancels an invocation that has not left the lane.
    fn cancel_waiting(&mut self, conn: ConnId, at: usize, await_answer: bool) {
        let Some(session) = self.session_at(conn) else { return };
        let removed = session.lane.remove(at);
        let emptied = session.lane.is_empty();
        self.lanes_busy -= usize::from(emptied);
        if let Some(Arrival::Invoke(invoke)) = removed {
            let origin = Origin { call: invoke.call, caller: invoke.caller, request: invoke.request };
            if let Some(slots) = invoke.extras.as_ref().and_then(|extras| extras.slots.as_ref()) {
                self.release(invoke.registration, slots);
            }
            if await_answer {
                self.fail_call(origin, invoke.callee, "the caller has canceled the call");
            }
        }
        self.advance(conn);
    }
}

/// What an answer needs to know of its invocation.
struct Asked {
    callee: SessionId,
    origin: Origin,
    /// The caller takes progressive results, and still waits.
    receive_progress: bool,
    /// The caller understands payload passthru.
    passthru: bool,
}

/// Reads whether further results come, and what is passed through.
fn yield_options(options: &Dict) -> Result<(bool, Passthru), WrongType> {
    Ok((options.bool("progress")? == Some(true), Passthru::read(options)?))
}

fn unsupported(feature: &str) -> Outcome {
    let details = message_details(&format!("the other side has not announced {feature}"));
    Outcome::Error { error: error::FEATURE_NOT_SUPPORTED.into(), details, payload: Payload::NONE }
}
