//! Connections that are not read for a while, so that what they cause does not fill the memory.

use super::reactor::Reactor;

impl Reactor {
    /// Stops reading from a connection, or goes on. A transport that is polled for has no socket of its own to stop.
    pub(super) fn hold_for_gate(&mut self, key: usize, held: bool) {
        let Some(connection) = self.connections.get_mut(key).filter(|connection| connection.stream.is_some()) else {
            return;
        };
        connection.pauses.gate = held;
        if let (false, Some(task)) = (held, &connection.task) {
            task.wake_by_ref();
        }
    }

    /// Stops reading while too much waits for other shards or for the disk, and goes on when most of it is gone.
    pub(super) fn regulate(&mut self) {
        let weight = self.port.overflow_weight();
        let config = &self.settings.premises.config;
        let unwritten = self.settings.journal.as_ref().map_or(0, |journal| journal.bytes());
        if !self.holding && (weight > config.overflow_high_bytes || unwritten > config.history_queue_bytes_max) {
            self.holding = true;
            let shard = self.seat.index;
            tracing::warn!(shard, bytes = weight, unwritten, "other shards or the disk fall behind; reading pauses");
        } else if self.holding && weight <= config.overflow_low_bytes && unwritten <= config.history_queue_bytes_max / 2
        {
            self.holding = false;
            tracing::info!(shard = self.seat.index, "the others have caught up; reading goes on");
            for key in self.held.drain(..) {
                let Some(connection) = self.connections.get_mut(key) else { continue };
                connection.held = false;
                if let Some(task) = &connection.task {
                    task.wake_by_ref();
                }
            }
        }
    }
}
