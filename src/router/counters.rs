//! What a shard counts: plain numbers of its own, which are gathered when somebody asks.

use crate::session::RealmIndex;
use crate::wamp::Uri;
use std::time::Duration;

/// Error URIs that are counted apart; all others together. Applications can make up as many as they like.
const URIS_MAX: usize = 64;

/// Roles that are counted apart. Authenticators can make up as many as they like.
const ROLES_MAX: usize = 256;

/// What happened in a shard since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions now open.
    pub sessions: u64,
    /// Publications read from clients.
    pub publications: u64,
    /// Events given to connections.
    pub events: u64,
    /// Events that a receiver could not be given: too large for it, or not to be said in its serialization.
    pub events_undeliverable: u64,
    /// Calls read from clients.
    pub calls: u64,
    /// Calls that a callee has, or that wait for one. What the router answers itself is never open.
    pub calls_open: u64,
    /// Spans that calls and publications have got.
    pub spans: u64,
    /// Calls and publications that would have got one, but for the limit.
    pub spans_limited: u64,
    /// Clients that have not shown who they are.
    pub refused: u64,
    /// Sessions and connections ended for breaking the protocol.
    pub violations: u64,
    /// By realm.
    pub realms: Vec<RealmCounters>,
    /// By realm and role; what is too much is left out.
    pub roles: Vec<RoleCounters>,
    /// ERRORs given to clients, by their URIs.
    pub errors: Vec<(Uri, u64)>,
    /// ERRORs with other URIs.
    pub other_errors: u64,
    /// From CALL to the end of the call.
    pub call_time: Histogram,
    /// From PUBLISH to the arrival of the event at another shard.
    pub hop_time: Histogram,
}

/// What happened in one realm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RealmCounters {
    /// Sessions that have joined.
    pub joined: u64,
    /// Sessions that have left.
    pub left: u64,
    /// Publications read from clients.
    pub publications: u64,
    /// Calls read from clients.
    pub calls: u64,
}

/// What happened to the sessions of one role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleCounters {
    /// The realm.
    pub realm: RealmIndex,
    /// The role.
    pub role: Box<str>,
    /// Sessions that have joined.
    pub joined: u64,
    /// Sessions that have left.
    pub left: u64,
}

impl Counters {
    /// A session of this role has joined.
    pub(super) fn joined(&mut self, realm: RealmIndex, role: &str) {
        self.realm(realm).joined += 1;
        if let Some(counters) = self.role(realm, role) {
            counters.joined += 1;
        }
    }

    /// A session of this role has left.
    pub(super) fn left(&mut self, realm: RealmIndex, role: &str) {
        self.realm(realm).left += 1;
        if let Some(counters) = self.role(realm, role) {
            counters.left += 1;
        }
    }

    fn role(&mut self, realm: RealmIndex, role: &str) -> Option<&mut RoleCounters> {
        let known = self.roles.iter().position(|known| known.realm == realm && *known.role == *role);
        if known.is_none() && self.roles.len() < ROLES_MAX {
            self.roles.push(RoleCounters { realm, role: role.into(), ..RoleCounters::default() });
        }
        let at = known.unwrap_or(self.roles.len() - 1);
        self.roles.get_mut(at).filter(|counters| counters.realm == realm && *counters.role == *role)
    }

    /// The counters of a realm.
    pub(super) fn realm(&mut self, realm: RealmIndex) -> &mut RealmCounters {
        let at = usize::from(realm);
        if self.realms.len() <= at {
            self.realms.resize(at + 1, RealmCounters::default());
        }
        &mut self.realms[at]
    }

    /// Counts an ERROR that is given to a client.
    pub(super) fn error(&mut self, uri: &Uri) {
        if let Some((_, count)) = self.errors.iter_mut().find(|(known, _)| known == uri) {
            *count += 1;
        } else if self.errors.len() < URIS_MAX {
            self.errors.push((uri.clone(), 1));
        } else {
            self.other_errors += 1;
        }
    }
}

/// How often something took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How often it took less than 2 to the power of the position, in microseconds, and not less than half of that. The last
    /// one is for all that took longer.
    pub counts: [u64; Histogram::BUCKETS],
    /// All of it together, in microseconds.
    pub sum: u64,
}

impl Histogram {
    /// How many buckets: the last but one ends at 67 s.
    pub const BUCKETS: usize = 28;

    /// Counts a time.
    #[inline]
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.counts[bucket.min(Self::BUCKETS - 1)] += 1;
        self.sum = self.sum.wrapping_add(micros);
    }

    /// Adds what others have counted.
    pub fn add(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(other.counts).for_each(|(own, more)| *own += more);
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// How often it was.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// A time than which this share of all took no longer, as far as buckets tell; none if nothing was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let wanted = (count as f64 * share).ceil().max(1.0) as u64;
        let mut sum = 0;
        let reaches = |bucket: &u64| {
            sum += bucket;
            sum >= wanted
        };
        let at = self.counts.iter().position(reaches)?;
        (count > 0).then(|| Duration::from_micros(1 << at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_into_buckets() {
        let mut times = Histogram::default();
        assert_eq!(times.quantile(0.5), None);
        for micros in [0, 1, 2, 3, 4, 1000, u64::MAX] {
            times.record(Duration::from_micros(micros));
        }
        assert_eq!((times.counts[0], times.counts[1], times.counts[2], times.counts[3]), (1, 1, 2, 1));
        assert_eq!((times.counts[10], times.counts[27], times.count()), (1, 1, 7));
        assert_eq!(times.quantile(0.5), Some(Duration::from_micros(4)));
        let mut both = times;
        both.add(&times);
        assert_eq!((both.count(), both.quantile(0.0)), (14, Some(Duration::from_micros(1))));
    }

    #[test]
    fn only_so_many_uris_are_kept() {
        let mut counters = Counters::default();
        for number in 0..100 {
            counters.error(&format!("com.app.error.{number}").as_str().into());
            counters.error(&"wamp.error.canceled".into());
        }
        assert_eq!((counters.errors.len(), counters.other_errors), (URIS_MAX, 37));
        assert_eq!(counters.errors[1], ("wamp.error.canceled".into(), 100));
        counters.realm(2).calls += 1;
        assert_eq!((counters.realms.len(), counters.realms[2].calls), (3, 1));
    }
}
