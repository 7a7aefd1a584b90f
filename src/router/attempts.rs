//! Failed attempts to show who one is: after too many from an address, or for a user, what is decided about further ones
//! waits.
//!
//! What is right waits as well: otherwise whoever guesses would not have to wait for what is wrong. Attempts from one
//! address wait for each other, so that it does not help to make many at once. Attempts for one user do not, so that
//! others cannot lock the user out.

use super::config::Limits;
use crate::auth::peer::Network;
use crate::session::RealmIndex;
use core::net::IpAddr;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Addresses and users that are remembered.
const KEYS_MAX: usize = 100_000;

/// The first delay; it doubles with each further failure.
const DELAY_FIRST: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Address(Network),
    /// A user, by the hash of the name, which may be of any length.
    User(RealmIndex, [u8; 32]),
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    failures: u32,
    since: Duration,
    /// When the last of those that wait is decided.
    busy_until: Duration,
}

impl Record {
    /// How long a decision takes after so many failures.
    fn delay(&self, now: Duration, limits: &Limits) -> Duration {
        if now.saturating_sub(self.since) >= limits.failed_attempts_window {
            return Duration::ZERO;
        }
        let Some(beyond) = self.failures.checked_sub(limits.failed_attempts_free + 1) else { return Duration::ZERO };
        let delay = DELAY_FIRST.saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX));
        delay.min(limits.failed_attempt_delay_max)
    }
}

/// What all shards know of failed attempts.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    known: BTreeMap<Key, Record>,
    /// Oldest first.
    order: VecDeque<Key>,
}

impl Attempts {
    /// Counts an attempt if it has failed; gives how long what was decided has to wait.
    pub(super) fn decided(
        &self,
        now: Duration,
        failed: bool,
        address: Option<IpAddr>,
        user: (RealmIndex, Option<&str>),
        limits: &Limits,
    ) -> Duration {
        if limits.failed_attempt_delay_max.is_zero() {
            return Duration::ZERO;
        }
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.known.is_empty() && !failed {
            return Duration::ZERO;
        }
        let address = address.map(Network::of).map(Key::Address);
        let user = user.1.map(|authid| Key::User(user.0, Sha256::digest(authid).into()));
        if failed {
            [&address, &user].into_iter().flatten().for_each(|key| table.count(key, now, limits));
        }
        let alone = user.and_then(|key| table.known.get(&key)).map_or(Duration::ZERO, |user| user.delay(now, limits));
        let Some(record) = address.and_then(|key| table.known.get_mut(&key)) else { return alone };
        let delay = record.delay(now, limits);
        if delay.is_zero() {
            return alone;
        }
        let turn = record.busy_until.max(now) + delay;
        // Who would wait too long is refused at once, and is not in the way of others.
        if turn - now < limits.authentication_timeout {
            record.busy_until = turn;
        }
        (turn - now).max(alone)
    }
}

impl Table {
    fn count(&mut self, key: &Key, now: Duration, limits: &Limits) {
        if !self.known.contains_key(key) {
            if self.known.len() >= KEYS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        let record = self.known.entry(key.clone()).or_default();
        if now.saturating_sub(record.since) >= limits.failed_attempts_window {
            *record = Record { since: now, ..Record::default() };
        }
        record.failures = record.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn decisions_take_longer_and_longer() {
        let attempts = Attempts::default();
        let limits = Limits { failed_attempts_free: 2, ..Limits::default() };
        let decide = |seconds: u64, failed, from: &str, authid: Option<&str>| {
            let now = Duration::from_secs(seconds);
            attempts.decided(now, failed, address(from), (0, authid), &limits).as_millis()
        };
        assert_eq!(decide(1, false, "192.0.2.1", Some("joe")), 0);
        // One after the other, at different addresses and for different users.
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let seconds = [1, 1, 1, 2, 3, 4, 6, 9];
        let waits: Vec<u128> =
            names.iter().zip(seconds).map(|(name, at)| decide(at, true, "192.0.2.1", Some(name))).collect();
        assert_eq!(waits, [0, 0, 100, 200, 400, 800, 1600, 2000]);
        assert_eq!(decide(12, false, "192.0.2.1", Some("joe")), 2000, "what is right waits as well");
        assert_eq!(decide(12, false, "192.0.2.1", Some("joe")), 4000, "and for what came before");
        assert_eq!(decide(12, false, "192.0.2.2", Some("joe")), 0, "elsewhere it does not");
        assert_eq!(decide(61, false, "192.0.2.1", Some("joe")), 0, "nor in another minute");
        let off = Limits { failed_attempt_delay_max: Duration::ZERO, ..limits };
        let now = Duration::from_secs(12);
        assert!((0..9).all(|_| attempts.decided(now, true, address("192.0.2.1"), (0, None), &off).is_zero()));
    }

    #[test]
    fn a_user_is_not_locked_out() {
        let attempts = Attempts::default();
        let limits = Limits { failed_attempts_free: 2, ..Limits::default() };
        let decide = |failed, from: &str| {
            attempts.decided(Duration::from_secs(1), failed, address(from), (0, Some("joe")), &limits).as_millis()
        };
        for number in 0..200 {
            decide(true, &format!("192.0.2.{number}"));
        }
        assert_eq!(decide(false, "198.51.100.1"), 2000, "whatever others do");
        assert_eq!(decide(false, "198.51.100.1"), 2000);
    }

    #[test]
    fn those_who_would_wait_too_long_are_not_in_the_way() {
        let attempts = Attempts::default();
        let limits = Limits { failed_attempts_free: 0, ..Limits::default() };
        let decide = |seconds, from: &str| {
            attempts.decided(Duration::from_secs(seconds), true, address(from), (0, None), &limits)
        };
        let waits: Vec<_> = (0..1000).map(|_| decide(1, "2001:db8::1")).collect();
        assert!(waits.iter().any(|wait| *wait >= limits.authentication_timeout));
        assert!(decide(1, "2001:db8::2") >= limits.authentication_timeout, "the same network");
        assert!(decide(12, "2001:db8::1") <= Duration::from_secs(4), "those who were refused do not count");
    }
}
