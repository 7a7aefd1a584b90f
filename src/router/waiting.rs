//! Calls that wait until a callee has time for them: all callees of their registration work on as many calls as they
//! have allowed (`REGISTER.Options.concurrency`).

use super::call::{CallKey, Placed};
use super::shard::Shard;
use crate::session::options::Refused;
use crate::wamp::{MessageType, RegistrationId, error};
use std::collections::VecDeque;

/// The calls of one shard that wait for one registration, in their order.
pub(super) type Queue = VecDeque<CallKey>;

impl Shard {
    /// Refuses a call if too many wait already.
    pub(super) fn check_queue(&self, id: RegistrationId) -> Result<(), Refused> {
        let max = self.config.limits.calls_waiting_max as usize;
        if self.waiting.get(&id).map_or(0, Queue::len) < max {
            return Ok(());
        }
        let text = format!("all callees are busy, and {max} calls wait for them already");
        Err((error::MAX_CONCURRENCY_REACHED, text))
    }

    pub(super) fn enqueue_call(&mut self, id: RegistrationId, key: CallKey) {
        self.waiting.entry(id).or_default().push_back(key);
        // A callee may have become free between the choice and this note; then nobody will say so again.
        self.serve_waiting(id);
    }

    /// A call does not wait any longer.
    pub(super) fn dequeue_call(&mut self, id: RegistrationId, key: CallKey) {
        if let Some(queue) = self.waiting.get_mut(&id) {
            queue.retain(|waiting| *waiting != key);
            if queue.is_empty() {
                self.waiting.remove(&id);
            }
        }
    }

    /// Gives calls that wait for a registration to callees that have become free.
    pub(super) fn serve_waiting(&mut self, id: RegistrationId) {
        let mut noted = false;
        while let Some(key) = self.waiting.get_mut(&id).and_then(Queue::pop_front) {
            match self.place(key) {
                Placed::Sent => noted = false,
                Placed::Busy(present, shared) if present == id => {
                    self.waiting.entry(id).or_default().push_front(key);
                    shared.wait(self.config.index);
                    // Once more, since a callee may have become free before the note.
                    if std::mem::replace(&mut noted, true) {
                        return;
                    }
                }
                // The procedure has been registered anew.
                Placed::Busy(present, _) => self.enqueue_call(present, key),
                Placed::Nobody => {
                    let taken = self.take_call(key.conn, key.request);
                    if taken.is_some() {
                        let refused =
                            (error::NO_AVAILABLE_CALLEE, "the callees have left while the call waited".into());
                        self.refuse(key.conn, MessageType::Call, key.request, refused);
                        self.end_call(taken, Some(error::NO_AVAILABLE_CALLEE));
                    }
                }
            }
        }
        self.waiting.remove(&id);
    }
}
