//! Failed attempts to show who one is: after too many from an address, or for a user, each further failure takes longer.
//!
//! It is the failing answer that waits. Who knows the password waits for nobody, whatever others do.

use super::config::Limits;
use crate::session::RealmIndex;
use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Addresses and users that are remembered.
const KEYS_MAX: usize = 100_000;

/// The first delay; it doubles with each further failure.
const DELAY_FIRST: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// An address; one of IPv6 by its first 64 bits.
    Address(IpAddr),
    User(RealmIndex, Box<str>),
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    failures: u32,
    since: Duration,
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
    /// Counts a failure; gives how long the answer has to wait.
    pub(super) fn fail(
        &self,
        now: Duration,
        address: Option<IpAddr>,
        user: (RealmIndex, Option<&str>),
        limits: &Limits,
    ) -> Duration {
        if limits.failed_attempt_delay_max.is_zero() {
            return Duration::ZERO;
        }
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let user = user.1.map(|authid| Key::User(user.0, authid.into()));
        let keys = address.map(network).map(Key::Address).into_iter().chain(user);
        let failures = keys.map(|key| table.count(key, now, limits)).max().unwrap_or(0);
        let Some(beyond) = failures.checked_sub(limits.failed_attempts_free + 1) else { return Duration::ZERO };
        let delay = DELAY_FIRST.saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX));
        delay.min(limits.failed_attempt_delay_max)
    }
}

impl Table {
    fn count(&mut self, key: Key, now: Duration, limits: &Limits) -> u32 {
        if !self.known.contains_key(&key) {
            if self.known.len() >= KEYS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        let record = self.known.entry(key).or_default();
        if now.saturating_sub(record.since) >= limits.failed_attempts_window {
            *record = Record { failures: 0, since: now };
        }
        record.failures = record.failures.saturating_add(1);
        record.failures
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_take_longer_and_longer() {
        let attempts = Attempts::default();
        let limits = Limits { failed_attempts_free: 2, ..Limits::default() };
        let address = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
        let fail = |seconds: u64, from, authid| {
            attempts.fail(Duration::from_secs(seconds), from, (0, authid), &limits).as_millis()
        };
        let here = address("192.0.2.1");
        let delays: Vec<u128> = (0..8).map(|_| fail(1, here, Some("joe"))).collect();
        assert_eq!(delays, [0, 0, 100, 200, 400, 800, 1600, 2000]);
        // Each address and each user by itself.
        assert_eq!(fail(1, here, Some("jane")), 2000);
        assert_eq!(fail(1, address("192.0.2.2"), Some("jim")), 0);
        assert_eq!(fail(1, address("192.0.2.3"), Some("joe")), 2000);
        assert_eq!(fail(1, None, None), 0);
        for _ in 0..2 {
            fail(1, address("2001:db8::1"), None);
        }
        assert_eq!(fail(1, address("2001:db8::2"), None), 100, "the same network");
        assert_eq!(fail(61, here, Some("joe")), 0, "another minute");
        let off = Limits { failed_attempt_delay_max: Duration::ZERO, ..limits };
        assert!((0..9).all(|_| attempts.fail(Duration::from_secs(61), here, (0, None), &off).is_zero()));
    }
}
