//! The end of calls before their answer, on the caller's side (specification, "Call Canceling" and "Call Timeouts").

use super::call::{Call, CallKey, Stage};
use super::effect::ConnId;
use super::peer::{self, ShardMsg};
use super::session::Session;
use super::shard::Shard;
use crate::session::options::{Refused, Unfit};
use crate::wamp::message::Cancel;
use crate::wamp::{MessageType, error};
use std::time::Duration;

/// What becomes of the invocation of a call that is canceled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nothing: its result is dropped.
    Skip,
    /// It is interrupted, and its answer is waited for.
    Kill,
    /// It is interrupted.
    KillNoWait,
}

fn mode(cancel: &Cancel) -> Result<Mode, Unfit> {
    match cancel.options.str("mode").map_err(Unfit::Breach)? {
        Some("skip") => Ok(Mode::Skip),
        Some("kill") => Ok(Mode::Kill),
        None | Some("killnowait") => Ok(Mode::KillNoWait),
        Some(other) => {
            let text = format!("mode must be skip, kill or killnowait, not {other:?}");
            Err(Unfit::Refused((error::INVALID_ARGUMENT, text)))
        }
    }
}

/// True if a CANCEL can be acted on.
pub(super) fn is_sound(cancel: &Cancel) -> bool {
    mode(cancel).is_ok()
}

/// What the caller of a call is told that it has canceled.
pub(super) fn canceled() -> Refused {
    (error::CANCELED, "the caller has canceled the call".into())
}

impl Shard {
    pub(super) fn cancel(&mut self, conn: ConnId, cancel: &Cancel) {
        let request = cancel.request;
        let mode = match mode(cancel) {
            Ok(mode) => mode,
            Err(unfit) => return self.unfit(conn, MessageType::Cancel, request, unfit),
        };
        let Some(rpc) = self.session_at(conn).and_then(|session| session.rpc.as_mut()) else { return };
        // The answer may have crossed the CANCEL.
        let Some(pending) = rpc.calls.get_mut(&request) else { return };
        if let (Stage::With { callee, shard }, Mode::Kill) = (pending.stage, mode) {
            let call = pending.call;
            if !std::mem::replace(&mut pending.killed, true) {
                self.send_peer(shard, ShardMsg::Cancel(peer::Cancel { call, callee, await_answer: true }));
            }
            return;
        }
        let Some(pending) = self.take_call(conn, request) else { return };
        if mode != Mode::Skip {
            self.abandon(&pending);
        }
        self.refuse(conn, MessageType::Call, request, canceled());
        self.end_call(Some(pending), Some(error::CANCELED));
    }

    /// Sets the deadline of a new call.
    pub(super) fn set_timer(&mut self, deadline: Duration, key: CallKey) {
        self.call_timers.set(deadline, key);
        if self.call_timers.is_untidy() {
            let mut timers = std::mem::take(&mut self.call_timers);
            timers.tidy(|timed| *timed == key || self.pending(*timed).is_some());
            self.call_timers = timers;
        }
    }

    /// The time for a call is over, unless results have come meanwhile.
    pub(super) fn time_out(&mut self, key: CallKey) {
        let Some((_, deadline)) = self.pending(key).and_then(|pending| pending.extras.as_ref()?.time) else { return };
        if deadline > self.now {
            return self.call_timers.again(deadline, key);
        }
        let Some(pending) = self.take_call(key.conn, key.request) else { return };
        self.abandon(&pending);
        let refused = (error::TIMEOUT, "no answer has come in time".into());
        self.refuse(key.conn, MessageType::Call, key.request, refused);
        self.end_call(Some(pending), Some(error::TIMEOUT));
    }

    /// The caller of these calls has left.
    pub(super) fn abandon_calls(&mut self, session: &mut Session) {
        let conn = session.conn;
        let Some(rpc) = session.rpc.as_mut() else { return };
        for (request, pending) in rpc.calls.drain() {
            self.call_is_over(CallKey { conn, request, call: pending.call }, &pending);
            self.abandon(&pending);
            self.end_call(Some(pending), Some(error::CANCELED));
        }
    }

    /// The caller of a call does not wait for it any longer.
    pub(super) fn abandon(&mut self, pending: &Call) {
        if let Stage::With { callee, shard } = pending.stage {
            let cancel = peer::Cancel { call: pending.call, callee, await_answer: false };
            self.send_peer(shard, ShardMsg::Cancel(cancel));
        }
    }
}
