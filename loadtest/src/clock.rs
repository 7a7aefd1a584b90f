//! The run's clock: nanoseconds since the process took its first reading.

use std::time::Instant;

/// Nanoseconds per second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A monotonic clock whose readings fit in 64 bits and can travel inside a payload.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Nanoseconds since the clock was made.
    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

/// CPU time that the calling thread has used, in nanoseconds.
pub(crate) fn thread_cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}
