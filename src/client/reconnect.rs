//! When a session that has lost its connection tries to come back.

use super::error::ConnectError;
use super::state::Ended;
use crate::wamp::error;
use std::time::Duration;

/// However far away the time is at which a router wants to see a client again, it comes back after this.
const ADVICE_MAX: Duration = Duration::from_secs(3600);

/// How a session outlives its connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconnect {
    /// About so long after the loss of a connection the first attempt is made, unless the router has said when
    /// (`_retry_after_ms` in the details of GOODBYE or ABORT).
    pub delay_first: Duration,
    /// Attempts are not further apart than this.
    pub delay_max: Duration,
    /// Each attempt comes so many times later than the one before; at least 1. Delays are shortened at random by up to a
    /// half, so that many clients do not come at once.
    pub growth: f64,
    /// Attempts in a row before the session ends; none: it tries for ever.
    pub attempts_max: Option<u32>,
    /// The first connection is tried for, too: [`Connect::open`](super::Connect::open) waits until a router is there.
    pub from_the_start: bool,
    /// Publications and calls that are asked for while there is no connection wait for one. Otherwise they fail with
    /// [`RequestError::Disconnected`](super::RequestError::Disconnected). Subscriptions and registrations always wait.
    pub requests_wait: bool,
    /// Events that were published meanwhile are taken from the history that the router keeps of the topic, if it does; see
    /// [`Event::replayed`](super::Event::replayed).
    pub fill_gaps: bool,
}

impl Default for Reconnect {
    fn default() -> Self {
        Reconnect {
            delay_first: Duration::from_millis(250),
            delay_max: Duration::from_secs(30),
            growth: 2.0,
            attempts_max: None,
            from_the_start: false,
            requests_wait: false,
            fill_gaps: true,
        }
    }
}

impl Reconnect {
    /// How long to wait before an attempt, counted from 1. `shortened` is from 0 to 1.
    pub(super) fn delay(&self, attempt: u32, advice: Option<Duration>, shortened: f64) -> Duration {
        if let Some(advice) = advice {
            return advice.min(ADVICE_MAX);
        }
        let power = self.growth.max(1.0).powi(i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX).min(64));
        let longest = self.delay_max.max(self.delay_first).as_secs_f64();
        let delay = (self.delay_first.as_secs_f64() * power).min(longest);
        Duration::try_from_secs_f64(delay * (1.0 - shortened / 2.0)).unwrap_or(self.delay_max)
    }

    /// True if so many attempts have been made that there is no other one.
    pub(super) fn gives_up(&self, attempts: u32) -> bool {
        self.attempts_max.is_some_and(|most| attempts >= most)
    }
}

/// True if somebody has meant this session to end.
pub(super) fn is_final(ended: &Ended) -> bool {
    match ended {
        Ended::Closed(reason, _) => matches!(&**reason, error::CLOSE_KILLED | error::LOGOUT),
        Ended::Lost(_) => false,
        Ended::Failed(_) => true,
    }
}

/// True if trying once more cannot help.
pub(super) fn is_hopeless(failure: &ConnectError) -> bool {
    match failure {
        ConnectError::Address(_) | ConnectError::Login(_) => true,
        ConnectError::Refused { reason, .. } => {
            matches!(&**reason, error::AUTHENTICATION_DENIED | error::NO_MATCHING_AUTH_METHOD)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_are_spread() {
        let policy = Reconnect::default();
        let delays = |shortened| [1, 2, 3, 8, 1000].map(|attempt| policy.delay(attempt, None, shortened).as_millis());
        assert_eq!(delays(0.0), [250, 500, 1000, 30_000, 30_000]);
        assert_eq!(delays(1.0), [125, 250, 500, 15_000, 15_000]);
        let advised = Some(Duration::from_secs(7));
        assert_eq!(policy.delay(3, advised, 1.0), Duration::from_secs(7));
        assert_eq!(policy.delay(3, Some(Duration::MAX), 1.0), ADVICE_MAX);
        let odd = Reconnect { growth: f64::NAN, delay_first: Duration::MAX, ..Reconnect::default() };
        assert!(odd.delay(9, None, 0.5) > Duration::from_secs(1));
        assert!(!policy.gives_up(u32::MAX));
        assert!(Reconnect { attempts_max: Some(3), ..policy }.gives_up(3));
    }
}
