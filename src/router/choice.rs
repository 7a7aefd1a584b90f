//! Which of several callees gets a call (specification, "Shared Registration", "Call Re-Routing" and "Sharded
//! Registration"), and how many calls each works on at a time.
//!
//! What is shared between shards here is the only state in the router that is: a cursor and counters, so that round
//! robin goes on from call to call whichever shard it comes from, and limits hold exactly, without a hop.

use super::index::ShardIndex;
use super::replica::Registration;
use crate::session::options::InvokePolicy;
use crate::wamp::SessionId;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A callee of a registration.
#[derive(Clone, Debug)]
pub struct Callee {
    /// The session.
    pub session: SessionId,
    /// Its shard.
    pub shard: ShardIndex,
    /// It is told who calls.
    pub disclose: bool,
    /// It watches over the timeouts of calls itself.
    pub forward_timeout: bool,
    /// The limit of the calls that it works on, if it has set one.
    pub slots: Option<Arc<Slots>>,
}

/// What all shards share about a registration.
#[derive(Debug, Default)]
pub struct Shared {
    /// Counts the calls, for round robin.
    cursor: AtomicU64,
    /// The shards where calls wait for a callee, a bit each.
    waiting: [AtomicU64; 2],
}

impl Shared {
    /// The callee at this place, of so many, has gone: round robin goes on with the one that would have come next.
    pub(super) fn removed(&self, at: usize, before: usize) {
        let (at, before) = (at as u64, before as u64);
        let next = self.cursor.load(Ordering::Relaxed) % before.max(1);
        self.cursor.store(next - u64::from(at < next), Ordering::Relaxed);
    }

    /// A callee comes behind so many others.
    pub(super) fn added(&self, before: usize) {
        let next = self.cursor.load(Ordering::Relaxed) % (before as u64).max(1);
        self.cursor.store(next, Ordering::Relaxed);
    }

    /// Takes note that calls wait on a shard.
    pub(super) fn wait(&self, shard: ShardIndex) {
        self.waiting[usize::from(shard / 64)].fetch_or(1 << (shard % 64), Ordering::SeqCst);
    }

    /// The shards where calls wait; they have to take note again if that remains so.
    fn wake(&self) -> SmallVec<[ShardIndex; 2]> {
        let mut shards = SmallVec::new();
        for (word, base) in self.waiting.iter().zip([0, 64]) {
            let mut mask = word.swap(0, Ordering::SeqCst);
            while mask != 0 {
                shards.extend(ShardIndex::try_from(mask.trailing_zeros()).ok().map(|bit| base + bit));
                mask &= mask - 1;
            }
        }
        shards
    }
}

/// Counts the calls that a callee works on for one registration.
#[derive(Debug)]
pub struct Slots {
    limit: u32,
    taken: AtomicU32,
    shared: Arc<Shared>,
}

impl Slots {
    /// Room for `limit` calls.
    pub(super) fn new(limit: u32, shared: Arc<Shared>) -> Slots {
        Slots { limit, taken: AtomicU32::new(0), shared }
    }

    fn take(&self) -> bool {
        let more = |taken| (taken < self.limit).then(|| taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// A call is over: gives the shards that wait for that.
    pub(super) fn release(&self) -> SmallVec<[ShardIndex; 2]> {
        self.taken.fetch_sub(1, Ordering::SeqCst);
        self.shared.wake()
    }
}

/// What is known of a call beside its registration.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Circumstances<'a> {
    /// Takes the place of the policy: equal keys choose equal callees, as long as the callees are the same.
    pub(super) key: Option<&'a str>,
    /// Who has been asked in vain.
    pub(super) tried: &'a [SessionId],
}

/// What came of choosing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// This one; a slot has been taken if it has slots.
    Callee(usize),
    /// All that are left work on as many calls as they can.
    Busy,
    /// Nobody is left.
    Nobody,
}

/// Chooses a callee. `random` gives a number below its argument.
pub(super) fn choose(
    registration: &Registration,
    circumstances: Circumstances<'_>,
    random: impl FnOnce(usize) -> usize,
) -> Chosen {
    let callees = &registration.callees;
    let (count, tried) = (callees.len(), circumstances.tried);
    let mut busy = false;
    let mut fits = |at: usize| {
        let callee = &callees[at];
        if tried.contains(&callee.session) {
            return false;
        }
        let free = callee.slots.as_ref().is_none_or(|slots| slots.take());
        busy |= !free;
        free
    };
    let found = match (registration.invoke, circumstances.key) {
        _ if count == 0 => None,
        (_, Some(key)) => by_key(callees, key).into_iter().find(|at| fits(*at)),
        (InvokePolicy::Single | InvokePolicy::First, None) => (0..count).find(|at| fits(*at)),
        (InvokePolicy::Last, None) => (0..count).rev().find(|at| fits(*at)),
        (InvokePolicy::RoundRobin, None) => {
            let start = match tried.last() {
                // The next one in the queue behind the one that was asked last.
                Some(last) => callees.iter().position(|callee| callee.session == *last).map_or(0, |at| at + 1),
                None => {
                    let calls = registration.shared.cursor.fetch_add(1, Ordering::Relaxed);
                    usize::try_from(calls % count as u64).unwrap_or(0)
                }
            };
            (0..count).map(|step| (start + step) % count).find(|at| fits(*at))
        }
        (InvokePolicy::Random, None) => {
            let left: SmallVec<[usize; 16]> = (0..count).filter(|at| !tried.contains(&callees[*at].session)).collect();
            let start = if left.is_empty() { 0 } else { random(left.len()) };
            (0..left.len()).map(|step| left[(start + step) % left.len()]).find(|at| fits(*at))
        }
    };
    match found {
        Some(at) => Chosen::Callee(at),
        None if busy => Chosen::Busy,
        None => Chosen::Nobody,
    }
}

/// The callees, the one for this key first: each key ranks each callee by a hash of both, so that one who comes or
/// goes changes the choice for its own keys alone.
fn by_key(callees: &[Callee], key: &str) -> SmallVec<[usize; 16]> {
    let ranking = Ranking::by(key);
    let rank = |callee: &Callee| ranking.of(&callee.session.get().to_be_bytes());
    let mut ranked: SmallVec<[(u64, usize); 16]> =
        callees.iter().enumerate().map(|(at, callee)| (rank(callee), at)).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, at)| at).collect()
}

/// How a key ranks members, the lowest first: by a hash of both, the same on every shard and in every process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranking(u64);

impl Ranking {
    /// The ranking by a key, which is read once however many members there are.
    pub(super) fn by(key: &str) -> Ranking {
        Ranking(fnv(0xcbf2_9ce4_8422_2325, key.bytes().chain([0xff])))
    }

    /// The rank of a member.
    pub(super) fn of(self, member: &[u8]) -> u64 {
        let hash = fnv(self.0, member.iter().copied());
        // The last octets have hardly reached the high bits yet.
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }
}

fn fnv(start: u64, octets: impl Iterator<Item = u8>) -> u64 {
    octets.fold(start, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::subject::Subject;
    use crate::wamp::{MatchPolicy, RegistrationId};

    fn registration(invoke: InvokePolicy, sessions: &[u64], limit: Option<u32>) -> Registration {
        let shared = Arc::new(Shared::default());
        let callee = |session: &u64| Callee {
            session: SessionId::from_raw(*session),
            shard: 0,
            disclose: false,
            forward_timeout: false,
            slots: limit.map(|limit| Arc::new(Slots::new(limit, shared.clone()))),
        };
        Registration {
            id: RegistrationId::from_raw(1),
            subject: Subject { realm: 0, policy: MatchPolicy::Exact, uri: "p".into() },
            invoke,
            callees: sessions.iter().map(callee).collect(),
            shared: shared.clone(),
        }
    }

    fn pick(registration: &Registration, tried: &[u64]) -> Option<u64> {
        let tried: Vec<_> = tried.iter().map(|id| SessionId::from_raw(*id)).collect();
        let circumstances = Circumstances { key: None, tried: &tried };
        match choose(registration, circumstances, |count| count - 1) {
            Chosen::Callee(at) => Some(registration.callees[at].session.get()),
            Chosen::Busy | Chosen::Nobody => None,
        }
    }

    #[test]
    fn policies() {
        let round = registration(InvokePolicy::RoundRobin, &[1, 2, 3], None);
        assert_eq!([(); 4].map(|()| pick(&round, &[])), [Some(1), Some(2), Some(3), Some(1)]);
        assert_eq!(pick(&registration(InvokePolicy::First, &[1, 2, 3], None), &[]), Some(1));
        assert_eq!(pick(&registration(InvokePolicy::Last, &[1, 2, 3], None), &[]), Some(3));
        assert_eq!(pick(&registration(InvokePolicy::Random, &[1, 2, 3], None), &[]), Some(3));
        assert_eq!(pick(&registration(InvokePolicy::First, &[], None), &[]), None);
    }

    #[test]
    fn rerouting_goes_on_behind_the_one_that_was_asked() {
        let round = registration(InvokePolicy::RoundRobin, &[1, 2, 3], None);
        assert_eq!(pick(&round, &[2]), Some(3));
        assert_eq!(pick(&round, &[2, 3]), Some(1));
        assert_eq!(pick(&round, &[2, 3, 1]), None);
        assert_eq!(pick(&registration(InvokePolicy::First, &[1, 2, 3], None), &[1]), Some(2));
        assert_eq!(pick(&registration(InvokePolicy::Last, &[1, 2, 3], None), &[3]), Some(2));
        assert_eq!(pick(&registration(InvokePolicy::Random, &[1, 2, 3], None), &[3]), Some(2));
        assert_eq!(pick(&registration(InvokePolicy::Single, &[1], None), &[1]), None);
    }

    #[test]
    fn round_robin_goes_on_when_callees_change() {
        let three = registration(InvokePolicy::RoundRobin, &[1, 2, 3], None);
        assert_eq!([(); 4].map(|()| pick(&three, &[])), [Some(1), Some(2), Some(3), Some(1)]);
        let two =
            Registration { shared: three.shared.clone(), ..registration(InvokePolicy::RoundRobin, &[1, 3], None) };
        two.shared.removed(1, 3);
        assert_eq!([(); 3].map(|()| pick(&two, &[])), [Some(3), Some(1), Some(3)]);
        let more = registration(InvokePolicy::RoundRobin, &[1, 3, 4], None);
        let more = Registration { shared: two.shared.clone(), ..more };
        more.shared.added(2);
        assert_eq!([(); 3].map(|()| pick(&more, &[])), [Some(1), Some(3), Some(4)]);
    }

    #[test]
    fn limits_hold_until_a_call_is_over() {
        let round = registration(InvokePolicy::RoundRobin, &[1, 2], Some(1));
        assert_eq!((pick(&round, &[]), pick(&round, &[])), (Some(1), Some(2)));
        assert_eq!(choose(&round, Circumstances::default(), |_| 0), Chosen::Busy);
        round.shared.wait(3);
        round.shared.wait(70);
        let slots = round.callees[1].slots.clone().expect("limited");
        assert_eq!(slots.release().as_slice(), [3, 70]);
        assert!(round.shared.wake().is_empty());
        assert_eq!(pick(&round, &[]), Some(2));
    }

    #[test]
    fn keys_choose_the_same_callee_and_spread() {
        let sessions: Vec<u64> = (1..=8).map(|n| n * 1_000_003).collect();
        let all = registration(InvokePolicy::RoundRobin, &sessions, None);
        let fewer = registration(InvokePolicy::RoundRobin, &sessions[1..], None);
        let choice = |registration: &Registration, key: &str| {
            let circumstances = Circumstances { key: Some(key), tried: &[] };
            match choose(registration, circumstances, |_| 0) {
                Chosen::Callee(at) => registration.callees[at].session.get(),
                other => panic!("{other:?}"),
            }
        };
        let mut counts = vec![0; sessions.len()];
        for n in 0..8_000 {
            let key = format!("key{n}");
            let chosen = choice(&all, &key);
            assert_eq!(chosen, choice(&all, &key));
            if chosen != sessions[0] {
                assert_eq!(chosen, choice(&fewer, &key), "only the keys of the one that left move");
            }
            counts[sessions.iter().position(|session| *session == chosen).expect("a callee")] += 1;
        }
        assert!(counts.iter().all(|count| (700..1_300).contains(count)), "{counts:?}");
    }
}
