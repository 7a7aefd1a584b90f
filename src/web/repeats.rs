//! Requests that are sent again with the key of an earlier one get its answer, and nothing is done twice
//! (draft-ietf-httpapi-idempotency-key-header). All shards share what is known: the connection of the second request may
//! be on another one than that of the first. Requests without a key do not look here.

use super::bridge::{Answer, failure};
use foldhash::quality::FixedState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Octets of a key.
const KEY_BYTES_MAX: usize = 255;

/// Octets that an entry takes besides its key and its answer.
const ENTRY_BYTES: usize = 256;

/// The part of all room that one answer may take.
const SHARE: usize = 8;

/// How long answers are kept, and how many octets of all together.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Since the request has come.
    pub time: Duration,
    /// The oldest are forgotten first.
    pub bytes_max: usize,
}

/// What is known of requests with keys.
#[derive(Debug, Default)]
pub struct Repeats(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    entries: HashMap<Arc<str>, Entry>,
    /// By the time of their coming.
    order: VecDeque<(Duration, Arc<str>, u64)>,
    bytes: usize,
    last: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    /// What the body was: its length, and a hash.
    print: (usize, u64),
    /// None: it is being worked on.
    answer: Option<Answer>,
    bytes: usize,
}

/// The right to answer a request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    key: Arc<str>,
    number: u64,
}

/// What a key comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is new: the request has to be worked on, and [`Repeats::settle`] or [`Repeats::release`] called.
    New(Claim),
    /// The request has been answered with this.
    Known(Answer),
}

impl Repeats {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request with a key has come; `scope` is whose and what for.
    ///
    /// # Errors
    /// 400: it can be no key; 409: the first request is being worked on; 422: the first one was another request.
    pub fn claim(&self, scope: &str, key: &str, body: &[u8], now: Duration, room: Room) -> Result<Claimed, Answer> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(failure(400, &format!("an Idempotency-Key has 1 to {KEY_BYTES_MAX} characters")));
        }
        let key: Arc<str> = format!("{scope}\n{key}").into();
        let print = (body.len(), FixedState::default().hash_one(body));
        let mut known = self.known();
        known.forget(now, room);
        if let Some(entry) = known.entries.get(&key) {
            if entry.print != print {
                return Err(failure(422, "another request had this Idempotency-Key"));
            }
            let running = || failure(409, "the first request with this Idempotency-Key is being worked on");
            return entry.answer.clone().map(Claimed::Known).ok_or_else(running);
        }
        known.last += 1;
        let (number, bytes) = (known.last, ENTRY_BYTES + key.len());
        known.bytes += bytes;
        known.entries.insert(key.clone(), Entry { number, print, answer: None, bytes });
        known.order.push_back((now, key.clone(), number));
        known.forget(now, room);
        Ok(Claimed::New(Claim { key, number }))
    }

    /// The request has been answered.
    pub fn settle(&self, claim: &Claim, answer: &Answer, now: Duration, room: Room) {
        let large = answer.body.len() > room.bytes_max / SHARE;
        let kept = || failure(409, "the request was answered, and the answer is too large to be kept");
        let answer = if large { kept() } else { answer.clone() };
        let mut known = self.known();
        let more = answer.body.len();
        let Some(entry) = known.entries.get_mut(&claim.key).filter(|entry| entry.number == claim.number) else {
            return;
        };
        entry.answer = Some(answer);
        entry.bytes += more;
        known.bytes += more;
        known.forget(now, room);
    }

    /// Nothing has been done: the request may come again as a new one.
    pub fn release(&self, claim: &Claim) {
        self.known().remove(&claim.key, claim.number);
    }
}

impl Known {
    fn remove(&mut self, key: &Arc<str>, number: u64) {
        if self.entries.get(key).is_some_and(|entry| entry.number == number)
            && let Some(entry) = self.entries.remove(key)
        {
            self.bytes -= entry.bytes;
        }
    }

    /// Forgets what is too old, and what there is no room for.
    fn forget(&mut self, now: Duration, room: Room) {
        // Those that were released stand here as well, behind older ones that are still to be known.
        if self.order.len() > 2 * self.entries.len() + 8 {
            let entries = &self.entries;
            self.order.retain(|(_, key, number)| entries.get(key).is_some_and(|entry| entry.number == *number));
        }
        while let Some((time, ..)) = self.order.front() {
            if time.saturating_add(room.time) > now && self.bytes <= room.bytes_max {
                return;
            }
            if let Some((_, key, number)) = self.order.pop_front() {
                self.remove(&key, number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { time: Duration::from_secs(60), bytes_max: 10_000 };
    const NOW: Duration = Duration::from_secs(100);

    fn answer(body: &str) -> Answer {
        Answer { status: 200, body: body.into() }
    }

    fn new(repeats: &Repeats, key: &str, body: &str, now: Duration) -> Claim {
        match repeats.claim("s", key, body.as_bytes(), now, ROOM) {
            Ok(Claimed::New(claim)) => claim,
            other => panic!("{other:?}"),
        }
    }

    fn status(repeats: &Repeats, key: &str, body: &str, now: Duration) -> u16 {
        match repeats.claim("s", key, body.as_bytes(), now, ROOM) {
            Ok(Claimed::New(_)) => 0,
            Ok(Claimed::Known(answer)) | Err(answer) => answer.status,
        }
    }

    #[test]
    fn a_request_that_comes_again_gets_the_same_answer() {
        let repeats = Repeats::default();
        let claim = new(&repeats, "a", "body", NOW);
        assert_eq!(status(&repeats, "a", "body", NOW), 409);
        repeats.settle(&claim, &answer("done"), NOW, ROOM);
        assert_eq!(repeats.claim("s", "a", b"body", NOW, ROOM), Ok(Claimed::Known(answer("done"))));
        assert_eq!(status(&repeats, "a", "other", NOW), 422);
        assert!(matches!(repeats.claim("t", "a", b"other", NOW, ROOM), Ok(Claimed::New(_))), "of somebody else");
        assert_eq!([status(&repeats, "", "x", NOW), status(&repeats, &"k".repeat(256), "x", NOW)], [400, 400]);
        assert_eq!(status(&repeats, "a", "body", NOW + ROOM.time), 0);
        repeats.settle(&claim, &answer("late"), NOW, ROOM);
        assert_eq!(status(&repeats, "a", "body", NOW + ROOM.time), 409, "the new one has not been answered");
    }

    #[test]
    fn what_was_not_done_may_come_again() {
        let repeats = Repeats::default();
        (0..1000).for_each(|_| repeats.release(&new(&repeats, "a", "body", NOW)));
        let known = repeats.known();
        assert!(known.order.len() < 20 && known.bytes == 0 && known.entries.is_empty(), "{known:?}");
    }

    #[test]
    fn what_was_not_done_makes_nothing_else_forgotten() {
        let repeats = Repeats::default();
        repeats.settle(&new(&repeats, "first", "body", NOW), &answer("done"), NOW, ROOM);
        (0..1000).for_each(|number| repeats.release(&new(&repeats, &number.to_string(), "body", NOW)));
        assert_eq!(repeats.claim("s", "first", b"body", NOW, ROOM), Ok(Claimed::Known(answer("done"))));
        assert!(repeats.known().order.len() < 20, "{repeats:?}");
        assert_eq!(status(&repeats, "first", "body", NOW + ROOM.time), 0, "it is forgotten in its time");
    }

    #[test]
    fn memory_is_bounded() {
        let repeats = Repeats::default();
        for number in 0..1000 {
            let claim = new(&repeats, &number.to_string(), "body", NOW);
            repeats.settle(&claim, &answer(&"x".repeat(1000)), NOW, ROOM);
            assert!(repeats.known().bytes <= ROOM.bytes_max);
        }
        assert_eq!((status(&repeats, "999", "body", NOW), status(&repeats, "1", "body", NOW)), (200, 0));
        repeats.settle(&new(&repeats, "large", "body", NOW), &answer(&"x".repeat(2000)), NOW, ROOM);
        assert_eq!(status(&repeats, "large", "body", NOW), 409);
    }
}
