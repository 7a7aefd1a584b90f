//! What a load balancer asks: whether the router is well, and whether clients should come.

use crate::shard::Vitals;
use crate::wire::handshake::Probe;
use crate::wire::http::{TEXT, response};
use std::time::Duration;

/// The response to a probe. A shard that has not turned for longer than `stuck_after` is stuck.
#[must_use]
pub fn answer(probe: Probe, head_only: bool, vitals: &Vitals, stuck_after: Duration) -> Vec<u8> {
    let (status, text) = state(probe, vitals, stuck_after);
    response(status, &[("Cache-Control", "no-store")], TEXT, text.as_bytes(), head_only)
}

/// The status and the text of the response.
pub(super) fn state(probe: Probe, vitals: &Vitals, stuck_after: Duration) -> (u16, String) {
    match (vitals.stuck(stuck_after), probe) {
        (Some(shard), _) => (503, format!("shard {shard} does not turn\n")),
        (None, Probe::Ready) if !vitals.is_ready() => (503, "not ready\n".into()),
        (None, Probe::Ready) => (200, "ready\n".into()),
        (None, Probe::Health) => (200, "healthy\n".into()),
    }
}
