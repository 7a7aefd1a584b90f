//! Calls: from CALL to INVOCATION on the callee's shard, and back to RESULT or ERROR on the caller's (specification,
//! "Remote Procedure Calls", and of the Advanced Profile "Call Canceling" and "Progressive Call Results").
//!
//! The caller's shard owns the pending call; the callee's shard owns the invocation and the way back. A return for a
//! call that its shard no longer knows is dropped (rule R9 of `docs/ordering.md`).

use super::broker::Refused;
use super::effect::ConnId;
use super::frames::Undeliverable;
use super::peer::{self, CallRef, Invoke, Outcome, Return, ShardMsg};
use super::session::{Arrival, Call, Invocation};
use super::shard::Shard;
use crate::wamp::message::{self, Error, Interrupt, Yield};
use crate::wamp::{Dict, MatchPolicy, Message, MessageType, Payload, RequestId, SessionId, UriRules, error};

impl Shard {
    pub(super) fn call(&mut self, conn: ConnId, call: message::Call) {
        let message::Call { request, options, procedure, payload } = call;
        if !self.accept_request(conn, request, "CALL") {
            return;
        }
        let progress = match options.bool("receive_progress") {
            Ok(progress) => progress.unwrap_or(false),
            Err(wrong) => return self.violation(conn, &format!("CALL.Options: {wrong}")),
        };
        self.counters.calls += 1;
        let Some(session) = self.session_at(conn) else { return };
        let (realm, caller) = (session.realm, session.id);
        let pending = session.rpc.as_ref().map_or(0, |rpc| rpc.calls.len());
        let max = self.config.limits.calls_max;
        let found = self.check_uri(realm, &procedure, MatchPolicy::Exact).and_then(|()| {
            if pending >= max as usize {
                return Err((error::LIMIT_EXCEEDED, format!("a session may have {max} open calls")));
            }
            let registration = self.replica.registration(realm, &procedure);
            let found = registration.and_then(|found| Some((found.clone(), *found.callees.first()?)));
            found.ok_or_else(|| (error::NO_SUCH_PROCEDURE, format!("nobody has registered {:?}", &*procedure)))
        });
        let (registration, (callee, shard)) = match found {
            Ok(found) => found,
            Err(refused) => return self.refuse(conn, MessageType::Call, request, refused),
        };
        self.call_serial += 1;
        let call = CallRef { shard: self.config.index, serial: self.call_serial };
        let hashing = self.hashing.clone();
        let Some(session) = self.session_at(conn) else { return };
        session.rpc(&hashing).calls.insert(request, Call { call, callee, shard, killed: false });
        let (registration, procedure) = (registration.id, registration.procedure);
        let invoke = Invoke { callee, registration, procedure, call, caller, request, progress, payload };
        self.send_peer(shard, ShardMsg::Invoke(Box::new(invoke)));
    }

    pub(super) fn arrive_invoke(&mut self, invoke: Box<Invoke>) {
        match self.sessions.get(&invoke.callee) {
            Some(&conn) => self.arrive(conn, Arrival::Invoke(invoke)),
            // The callee has left while the call was on its way, so nobody has begun to work on it.
            None => {
                let details = message_details("the callee has left before the call reached it");
                let outcome = Outcome::Error(error::NO_SUCH_PROCEDURE.into(), details, Payload::NONE);
                self.send_return(invoke.call, invoke.caller, invoke.request, outcome);
            }
        }
    }

    /// Sends INVOCATION; its id counts only if it can be sent.
    pub(super) fn invoke(&mut self, conn: ConnId, invoke: Invoke) {
        let hashing = self.hashing.clone();
        let Some(session) = self.session_at(conn) else { return };
        let class = session.class;
        let id = session.rpc(&hashing).last_invocation.next();
        let details = if invoke.progress { Dict::new().with("receive_progress", true) } else { Dict::new() };
        let Invoke { registration, call, caller, request, progress, payload, .. } = invoke;
        let invocation = Message::Invocation(message::Invocation { request: id, registration, details, payload });
        if let Err(reason) = self.send(conn, class, &invocation) {
            let (error, message) = undeliverable(&reason, "the callee");
            let outcome = Outcome::Error(error.into(), message_details(&message), Payload::NONE);
            return self.send_return(call, caller, request, outcome);
        }
        let Some(session) = self.session_at(conn) else { return };
        let rpc = session.rpc(&hashing);
        rpc.last_invocation = id;
        rpc.invocations.insert(id, Invocation { call, caller, request, progress });
        rpc.by_call.insert(call, id);
    }

    pub(super) fn yielded(&mut self, conn: ConnId, result: Yield) {
        let progress = match result.options.bool("progress") {
            Ok(progress) => progress.unwrap_or(false),
            Err(wrong) => return self.violation(conn, &format!("YIELD.Options: {wrong}")),
        };
        let Some(invocation) = self.answered(conn, result.request, "YIELD", progress) else { return };
        let outcome = match (progress, invocation.progress) {
            (false, _) => Outcome::Result(result.payload),
            (true, true) => Outcome::Progress(result.payload),
            // Nobody asked for it; the last result is still to come.
            (true, false) => return,
        };
        self.send_return(invocation.call, invocation.caller, invocation.request, outcome);
    }

    pub(super) fn invocation_error(&mut self, conn: ConnId, error: Error) {
        if error.request_type != MessageType::Invocation {
            let name = error.request_type.name();
            return self.violation(conn, &format!("ERROR for {name}: a client can answer INVOCATION only"));
        }
        let Some(invocation) = self.answered(conn, error.request, "ERROR", false) else { return };
        let outcome = if UriRules::Loose.allow(&error.error) {
            Outcome::Error(error.error, Dict::new(), error.payload)
        } else {
            let details = message_details(&format!("the callee's error {:?} is no URI", &*error.error));
            Outcome::Error(error::INVALID_URI.into(), details, error.payload)
        };
        self.send_return(invocation.call, invocation.caller, invocation.request, outcome);
    }

    /// The invocation that a callee answers, taken off the list unless more answers come. None for one that is over;
    /// for one that never was, the session is ended.
    fn answered(&mut self, conn: ConnId, request: RequestId, name: &str, more: bool) -> Option<Invocation> {
        let rpc = self.session_at(conn)?.rpc.as_deref_mut();
        let last = rpc.as_ref().map_or(0, |rpc| rpc.last_invocation.get());
        if request.get() > last {
            self.violation(conn, &format!("{name}: there has been no invocation {request}"));
            return None;
        }
        let rpc = rpc?;
        if more {
            return rpc.invocations.get(&request).copied();
        }
        let invocation = rpc.invocations.remove(&request)?;
        rpc.by_call.remove(&invocation.call);
        Some(invocation)
    }

    fn send_return(&mut self, call: CallRef, caller: SessionId, request: RequestId, outcome: Outcome) {
        let back = Return { call, caller, request, outcome };
        self.send_peer(call.shard, ShardMsg::Return(Box::new(back)));
    }

    /// Ends a call from the callee's side with `wamp.error.canceled`.
    pub(super) fn fail_call(&mut self, call: CallRef, caller: SessionId, request: RequestId, message: &str) {
        let outcome = Outcome::Error(error::CANCELED.into(), message_details(message), Payload::NONE);
        self.send_return(call, caller, request, outcome);
    }

    pub(super) fn arrive_return(&mut self, back: Box<Return>) {
        if let Some(&conn) = self.sessions.get(&back.caller) {
            self.arrive(conn, Arrival::Return(back));
        }
    }

    pub(super) fn take_return(&mut self, conn: ConnId, back: Return) {
        let Return { call, request, outcome, .. } = back;
        let Some(session) = self.session_at(conn) else { return };
        let class = session.class;
        let Some(rpc) = session.rpc.as_mut() else { return };
        // Another serial means that the id came back after its call was over.
        let Some(pending) = rpc.calls.get(&request).copied().filter(|pending| pending.call == call) else { return };
        let over = !matches!(outcome, Outcome::Progress(_));
        if over {
            rpc.calls.remove(&request);
        }
        let message = match outcome {
            Outcome::Progress(payload) => {
                Message::Result(message::Result { request, details: Dict::new().with("progress", true), payload })
            }
            Outcome::Result(payload) => Message::Result(message::Result { request, details: Dict::new(), payload }),
            Outcome::Error(error, details, payload) => {
                Message::Error(Error { request_type: MessageType::Call, request, details, error, payload })
            }
        };
        if let Err(reason) = self.send(conn, class, &message) {
            if !over {
                self.forget_call(conn, request);
                self.abandon(&pending);
            }
            self.refuse(conn, MessageType::Call, request, undeliverable(&reason, "the caller"));
        }
    }

    pub(super) fn cancel(&mut self, conn: ConnId, cancel: &message::Cancel) {
        let request = cancel.request;
        let mode = match cancel.options.str("mode") {
            Ok(mode) => mode.unwrap_or("killnowait"),
            Err(wrong) => return self.violation(conn, &format!("CANCEL.Options: {wrong}")),
        };
        if !matches!(mode, "skip" | "kill" | "killnowait") {
            let refused = (error::INVALID_ARGUMENT, format!("mode must be skip, kill or killnowait, not {mode:?}"));
            return self.refuse(conn, MessageType::Cancel, request, refused);
        }
        let Some(rpc) = self.session_at(conn).and_then(|session| session.rpc.as_mut()) else { return };
        // The answer may have crossed the CANCEL.
        let Some(pending) = rpc.calls.get_mut(&request) else { return };
        let (call, callee, shard) = (pending.call, pending.callee, pending.shard);
        if mode == "kill" {
            if !std::mem::replace(&mut pending.killed, true) {
                self.send_peer(shard, ShardMsg::Cancel(peer::Cancel { call, callee, await_answer: true }));
            }
            return;
        }
        self.forget_call(conn, request);
        if mode == "killnowait" {
            self.send_peer(shard, ShardMsg::Cancel(peer::Cancel { call, callee, await_answer: false }));
        }
        self.refuse(conn, MessageType::Call, request, (error::CANCELED, "the caller has canceled the call".into()));
    }

    fn forget_call(&mut self, conn: ConnId, request: RequestId) {
        if let Some(rpc) = self.session_at(conn).and_then(|session| session.rpc.as_mut()) {
            rpc.calls.remove(&request);
        }
    }

    /// The caller of a call does not wait for it any longer.
    pub(super) fn abandon(&mut self, pending: &Call) {
        let cancel = peer::Cancel { call: pending.call, callee: pending.callee, await_answer: false };
        self.send_peer(pending.shard, ShardMsg::Cancel(cancel));
    }

    pub(super) fn arrive_cancel(&mut self, cancel: peer::Cancel) {
        let peer::Cancel { call, callee, await_answer } = cancel;
        let Some(session) = self.session(callee) else { return };
        let (conn, class, interruptible) = (session.conn, session.class, session.features.callee_canceling);
        let waiting = session.lane.iter().position(|item| matches!(item, Arrival::Invoke(i) if i.call == call));
        if let Some(at) = waiting {
            return self.cancel_waiting(conn, at, await_answer);
        }
        let Some(rpc) = session.rpc.as_mut() else { return };
        let Some(&request) = rpc.by_call.get(&call) else { return };
        let keep = interruptible && await_answer;
        if !keep {
            rpc.by_call.remove(&call);
            let invocation = rpc.invocations.remove(&request);
            if let Some(invocation) = invocation.filter(|_| await_answer) {
                self.fail_call(call, invocation.caller, invocation.request, "the caller has canceled the call");
            }
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
        if let Some(Arrival::Invoke(invoke)) = removed
            && await_answer
        {
            self.fail_call(invoke.call, invoke.caller, invoke.request, "the caller has canceled the call");
        }
        self.advance(conn);
    }
}

fn message_details(message: &str) -> Dict {
    Dict::new().with("message", message)
}

/// What to tell a caller if a message of its call cannot be delivered.
fn undeliverable(reason: &Undeliverable, to: &str) -> Refused {
    match reason {
        Undeliverable::TooLarge { size, max } => {
            (error::PAYLOAD_SIZE_EXCEEDED, format!("{to} takes messages of {max} octets, this one has {size}"))
        }
        Undeliverable::Unsayable(why) => (error::INVALID_PAYLOAD, format!("{to} cannot be sent the payload: {why}")),
    }
}
