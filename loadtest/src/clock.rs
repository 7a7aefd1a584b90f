//! The run's clock: nanoseconds of the system's monotonic clock, the same in every thread and process.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds per second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A monotonic clock whose readings fit in 64 bits and can travel inside a payload.
#[derive(Clone, Copy)]
pub(crate) struct Clock;

impl Clock {
    pub(crate) fn new() -> Self {
        Self
    }

    /// Nanoseconds since an arbitrary moment, which is the same for all processes of the machine.
    pub(crate) fn now(&self) -> u64 {
        nanoseconds(clock_gettime(ClockId::Monotonic))
    }
}

/// CPU time that the calling thread has used, in nanoseconds.
pub(crate) fn thread_cpu() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}
