//! The lane of a session: everything that arrives for it goes through one queue (rule R7 of `docs/ordering.md`).
//!
//! It stops where an invocation has overtaken the acknowledgement of its registration, and where a marker stands for
//! retained events or a node. Both wait for other shards alone, never for a client; so it is short and soon empty again.

use super::config::Rule;
use super::effect::ConnId;
use super::session::{Arrival, Session};
use super::shard::Shard;

impl Shard {
    /// Lets something arrive at a session: at once, or behind what waits.
    pub(super) fn arrive(&mut self, conn: ConnId, arrival: Arrival) {
        let one_lane = self.config.keeps(Rule::OneLane);
        let hold = self.config.keeps(Rule::EarlyInvocationsHeld);
        let Some(session) = self.session_at(conn) else { return };
        let behind = one_lane && !session.lane.is_empty();
        if behind || (hold && is_blocked(session, &arrival)) {
            self.park(conn, arrival);
        } else {
            self.take(conn, arrival);
        }
    }

    /// Puts something into the lane that has to wait.
    pub(super) fn park(&mut self, conn: ConnId, arrival: Arrival) {
        let Some(session) = self.session_at(conn) else { return };
        let first = session.lane.is_empty();
        session.lane.push_back(arrival);
        self.lanes_busy += usize::from(first);
    }

    /// Goes on with what waits, after something that it may have waited for.
    pub(super) fn advance(&mut self, conn: ConnId) {
        while let Some(session) = self.session_at(conn) {
            if session.lane.front().is_none_or(|first| is_blocked(session, first)) {
                return;
            }
            let Some(arrival) = session.lane.pop_front() else { return };
            let emptied = session.lane.is_empty();
            self.lanes_busy -= usize::from(emptied);
            self.take(conn, arrival);
        }
    }

    fn take(&mut self, conn: ConnId, arrival: Arrival) {
        match arrival {
            Arrival::Event { subscription, generation, publication } => {
                self.deliver_parked(conn, subscription, generation, &publication);
            }
            Arrival::Marker(marker) => self.pass_marker(conn, *marker),
            Arrival::Invoke(invoke) => self.invoke(conn, *invoke),
            Arrival::Part(part) => self.invoke_part(conn, *part),
            Arrival::Return(back) => self.take_return(conn, *back),
            Arrival::Unregistered { subject, request, id } => self.unregistered(conn, subject, request, id),
            Arrival::RegistrationRevoked { subject, revocation } => {
                self.registration_revoked(conn, &subject, revocation);
            }
        }
    }
}

fn is_blocked(session: &Session, arrival: &Arrival) -> bool {
    match arrival {
        Arrival::Invoke(invoke) => session.is_early(invoke),
        Arrival::Marker(marker) => marker.missing > 0,
        _ => false,
    }
}
