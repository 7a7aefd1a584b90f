//! Whether a guest that has ended is started again, and when. Time is an argument.

use crate::config::guest::{RestartConfig, RestartPolicy};
use std::collections::VecDeque;
use std::time::Duration;

/// What becomes of a guest that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays as it is.
    Rest,
    /// It is started again after so long.
    Restart(Duration),
    /// It would have to be started too often.
    GiveUp,
}

/// What has happened to a guest so far, as far as it matters.
#[derive(Debug)]
pub(super) struct Policy {
    config: RestartConfig,
    /// The wait before the next restart.
    backoff: Duration,
    /// When it ended and had to be started again, of late.
    crashes: VecDeque<Duration>,
}

impl Policy {
    pub(super) fn new(config: RestartConfig) -> Policy {
        Policy { backoff: config.backoff, crashes: VecDeque::new(), config }
    }

    /// The guest has ended by itself at `now`, after it had run for so long.
    pub(super) fn ended(&mut self, now: Duration, ran: Duration, success: bool) -> Verdict {
        let again = match self.config.policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => !success,
            RestartPolicy::Never => false,
        };
        if !again {
            return Verdict::Rest;
        }
        let within = self.config.crashes_within;
        self.crashes.push_back(now);
        while self.crashes.front().is_some_and(|first| now.saturating_sub(*first) > within) {
            self.crashes.pop_front();
        }
        let most = usize::try_from(self.config.crashes_max).unwrap_or(usize::MAX);
        if most == 0 {
            // Never given up: when it happened is of no use.
            self.crashes.clear();
        } else if self.crashes.len() > most {
            return Verdict::GiveUp;
        }
        if ran >= self.config.reset_after {
            self.backoff = self.config.backoff;
        }
        let wait = self.backoff;
        self.backoff = wait.saturating_mul(2).min(self.config.backoff_max);
        Verdict::Restart(wait)
    }

    /// Somebody wants it to be started anew: what was before counts no longer.
    pub(super) fn forgive(&mut self) {
        self.backoff = self.config.backoff;
        self.crashes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy(policy: RestartPolicy) -> Policy {
        Policy::new(RestartConfig {
            useless: None,
            policy,
            backoff: SECOND,
            backoff_max: 5 * SECOND,
            reset_after: 30 * SECOND,
            crashes_max: 4,
            crashes_within: 100 * SECOND,
        })
    }

    #[test]
    fn a_policy_is_kept() {
        use RestartPolicy::{Always, Never, OnFailure};
        for (kind, success, again) in [
            (Never, false, false),
            (Never, true, false),
            (OnFailure, true, false),
            (OnFailure, false, true),
            (Always, true, true),
            (Always, false, true),
        ] {
            let verdict = policy(kind).ended(SECOND, SECOND, success);
            let expected = if again { Verdict::Restart(SECOND) } else { Verdict::Rest };
            assert_eq!(verdict, expected, "{kind:?} {success}");
        }
    }

    #[test]
    fn waits_double_and_begin_anew_after_a_long_run() {
        let mut policy = policy(RestartPolicy::Always);
        let mut waits = Vec::new();
        // Far enough apart that it is never given up.
        for (index, ran) in [0, 1, 29, 29, 30, 0].into_iter().enumerate() {
            let now = 60 * SECOND * u32::try_from(index).expect("few");
            let Verdict::Restart(wait) = policy.ended(now, ran * SECOND, true) else { panic!("given up") };
            waits.push(wait.as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 5, 1, 2]);
    }

    #[test]
    fn a_loop_of_crashes_is_given_up() {
        let mut policy = policy(RestartPolicy::OnFailure);
        for at in [0, 10, 20, 30] {
            assert!(matches!(policy.ended(at * SECOND, SECOND, false), Verdict::Restart(_)), "{at}");
        }
        assert_eq!(policy.ended(100 * SECOND, SECOND, false), Verdict::GiveUp);
        // Old ones are forgotten with time, and all of them if somebody says so.
        for at in [121, 122] {
            assert!(matches!(policy.ended(at * SECOND, SECOND, false), Verdict::Restart(_)), "{at}");
        }
        assert_eq!(policy.ended(123 * SECOND, SECOND, false), Verdict::GiveUp);
        policy.forgive();
        assert_eq!(policy.ended(123 * SECOND, SECOND, false), Verdict::Restart(SECOND));
    }

    #[test]
    fn zero_is_never_given_up() {
        let mut policy = policy(RestartPolicy::Always);
        policy.config.crashes_max = 0;
        for _ in 0..1000 {
            assert!(matches!(policy.ended(SECOND, Duration::ZERO, false), Verdict::Restart(_)));
        }
    }
}
