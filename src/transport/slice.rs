//! A part of a turn that must not last long.

use super::reactor::Reactor;
use std::time::Duration;

/// Connections that are handled before the clock is asked whether a slice is over.
const STEPS_PER_LOOK: usize = 16;

/// As long as the turn has worked before, so that neither side of the shard's work outruns the other, and at least the
/// configured time.
pub(super) struct Slice {
    end: Duration,
    steps: usize,
}

impl Slice {
    pub(super) fn new(reactor: &Reactor) -> Slice {
        let start = reactor.settings.epoch.elapsed();
        let end = start + start.saturating_sub(reactor.armed_at).max(reactor.settings.premises.config.write_slice);
        Slice { end, steps: 0 }
    }

    /// Counts so many steps; true when the time is over.
    pub(super) fn is_over(&mut self, reactor: &Reactor, steps: usize) -> bool {
        self.steps += steps;
        if self.steps < STEPS_PER_LOOK {
            return false;
        }
        self.steps = 0;
        reactor.settings.epoch.elapsed() >= self.end
    }
}
