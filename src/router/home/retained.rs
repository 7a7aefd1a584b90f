//! Retained events at the home of their topics (specification, "Event Retention"), and what a new subscriber needs of
//! them (G11 of `docs/ordering.md`).

use super::{Home, Outbox};
use crate::router::index::ShardIndex;
use crate::router::pattern::TopicTree;
use crate::router::peer::{Answer, Publication, RetainedRequest, RetainedState};
use crate::session::{RealmIndex, RetainedLimits};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a retained event is taken to occupy beside its payload, details and receivers: itself, and each component of its topic.
const EVENT_BYTES: u64 = 256;
const COMPONENT_BYTES: u64 = 128;

/// The retained events of a realm whose home is here.
#[derive(Debug)]
pub(super) struct Retained {
    topics: TopicTree<Kept>,
    /// The topics, in the order in which they last got an event.
    ages: BTreeMap<u64, Arc<Publication>>,
    age: u64,
    bytes: u64,
    limits: RetainedLimits,
}

/// The retained events of a topic.
#[derive(Debug, Default)]
struct Kept {
    /// Newest first, down to the one that everybody may receive.
    events: SmallVec<[Arc<Publication>; 1]>,
    age: u64,
    bytes: u64,
}

/// Subscribers that wait for retained events.
#[derive(Debug, Default)]
pub(super) struct Readers {
    /// Wait for the mark that is on its way.
    now: Vec<(ShardIndex, RetainedRequest)>,
    /// Came after that mark, and wait for the next.
    next: Vec<(ShardIndex, RetainedRequest)>,
}

impl Readers {
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn is_empty(&self) -> bool {
        self.now.is_empty() && self.next.is_empty()
    }
}

fn bytes_of(publication: &Publication) -> u64 {
    let components = publication.topic.split('.').count() as u64;
    publication.weight() as u64 + 2 * publication.topic.len() as u64 + EVENT_BYTES + components * COMPONENT_BYTES
}

/// The part of one home.
fn share(limits: RetainedLimits, shards: ShardIndex) -> RetainedLimits {
    RetainedLimits {
        topics_max: limits.topics_max.div_ceil(shards.into()),
        bytes_max: limits.bytes_max.div_ceil(shards.into()),
        ..limits
    }
}

impl Retained {
    /// The part of one home of what a realm may retain.
    pub(super) fn new(limits: RetainedLimits, shards: ShardIndex) -> Retained {
        let limits = share(limits, shards);
        Retained { topics: TopicTree::default(), ages: BTreeMap::new(), age: 0, bytes: 0, limits }
    }

    /// Changes what may be retained, and forgets what is too much.
    pub(super) fn limit(&mut self, limits: RetainedLimits, shards: ShardIndex) {
        self.limits = share(limits, shards);
        self.shrink();
    }

    /// Keeps an event, or forgets what is kept of its topic if the event has no arguments.
    pub(super) fn keep(&mut self, publication: Arc<Publication>) {
        if publication.payload.is_none() {
            return self.forget(&publication.topic);
        }
        let bytes = bytes_of(&publication);
        if bytes > self.limits.bytes_max || self.limits.topics_max == 0 {
            // Too large to be kept; what was kept is out of date.
            return self.forget(&publication.topic);
        }
        self.age += 1;
        let kept = self.topics.entry(&publication.topic, Kept::default);
        self.ages.remove(&kept.age);
        kept.age = self.age;
        self.ages.insert(self.age, publication.clone());
        self.bytes -= kept.bytes;
        if publication.audience().is_none() {
            // The publisher may be excluded: for it there is the newest of the others that it may receive.
            let publisher = publication.excluded;
            let mut over = publisher.is_none();
            kept.events.retain(|event| {
                let wanted = !over && event.excluded != publisher;
                over |= wanted && event.audience().is_none();
                wanted
            });
        } else if kept.events.len() > self.limits.restricted_max as usize {
            // Not one that is for everybody, if there is another.
            let restricted = kept.events.iter().rposition(|event| event.audience().is_some());
            kept.events.remove(restricted.unwrap_or(kept.events.len() - 1));
        }
        kept.events.insert(0, publication);
        kept.bytes = kept.events.iter().map(|event| bytes_of(event)).sum();
        self.bytes += kept.bytes;
        self.shrink();
    }

    /// Forgets the oldest, as long as there is too much.
    fn shrink(&mut self) {
        while self.topics.len() > self.limits.topics_max as usize || self.bytes > self.limits.bytes_max {
            let Some((_, oldest)) = self.ages.first_key_value() else { break };
            let topic = oldest.topic.clone();
            self.forget(&topic);
        }
    }

    fn forget(&mut self, topic: &str) {
        if let Some(kept) = self.topics.remove(topic) {
            self.ages.remove(&kept.age);
            self.bytes -= kept.bytes;
        }
    }

    /// The newest event of each topic that a subscriber may receive; with `everything` also if it is for others.
    fn events_for(&self, request: &RetainedRequest, everything: bool) -> Vec<Arc<Publication>> {
        let mut events = Vec::new();
        let admitted = |event: &&Arc<Publication>| {
            event.excluded != Some(request.session)
                && event
                    .audience()
                    .is_none_or(|audience| everything || audience.admits(request.session, &request.identity))
        };
        self.topics.for_each_match(request.subject.policy, &request.subject.uri, |kept| {
            events.extend(kept.events.iter().find(admitted).cloned());
        });
        events
    }

    /// True if nothing is retained.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.ages.is_empty() && self.bytes == 0
    }
}

impl Home {
    /// Takes note of a publication that came to be kept.
    pub(super) fn note_stored(&mut self, from: ShardIndex, publication: &Publication) {
        self.stored[usize::from(from)] = publication.stamp.serial;
    }

    pub(super) fn retain(&mut self, realm: RealmIndex, publication: Arc<Publication>) {
        self.retained[usize::from(realm)].keep(publication);
    }

    /// A subscriber wants retained events. Those that its shard has dropped, since it was no member yet, must have
    /// come here before it gets an answer: so every shard is asked to show that all it sent has arrived.
    pub(super) fn read_retained(&mut self, from: ShardIndex, request: RetainedRequest, out: &mut Outbox) {
        self.readers.next.push((from, request));
        if self.readers.now.is_empty() {
            self.begin_reading(out);
        }
    }

    fn begin_reading(&mut self, out: &mut Outbox) {
        self.readers.now = std::mem::take(&mut self.readers.next);
        let position = if self.skip_mark { 0 } else { self.mark(self.index, out) };
        out.answer(self.index, Answer::RetainedReadable(position));
    }

    /// Everything that was sent before the mark has arrived: answers those who have waited for it.
    pub(in crate::router) fn answer_readers(&mut self, out: &mut Outbox) {
        let cut: Arc<[u64]> = Arc::from(&*self.stored);
        for (from, request) in std::mem::take(&mut self.readers.now) {
            let events = self.retained[usize::from(request.subject.realm)].events_for(&request, self.ignore_audience);
            let RetainedRequest { session, token, .. } = request;
            let state = RetainedState { events, cut: cut.clone() };
            out.answer(from, Answer::Retained { session, token, state });
        }
        if !self.readers.next.is_empty() {
            self.begin_reading(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::peer::{Extras, Stamp};
    use crate::router::subject::Subject;
    use crate::session::{Audience, Identity};
    use crate::wamp::{Dict, MatchPolicy, Payload, PublicationId, Serializer, SessionId, Value, codec};

    fn publication(id: u64, topic: &str, payload: &str, only: Option<u64>) -> Arc<Publication> {
        let eligible = only.map(|id| Dict::new().with("eligible", Value::List(vec![Value::from(id)])));
        let audience = eligible.and_then(|options| Audience::read(&options).expect("well formed"));
        let raw = codec::payload(Serializer::Json, vec![payload.into()], Dict::new()).expect("text");
        Arc::new(Publication {
            id: PublicationId::from_raw(id),
            stamp: Stamp { shard: 0, serial: id, ..Stamp::default() },
            excluded: None,
            topic: topic.into(),
            payload: if payload.is_empty() { Payload::NONE } else { Payload::new(raw) },
            extras: Some(Box::new(Extras::new(Dict::new(), audience, false))),
        })
    }

    fn read(retained: &Retained, policy: MatchPolicy, uri: &str, session: u64) -> Vec<u64> {
        let request = RetainedRequest {
            session: SessionId::from_raw(session),
            subject: Subject { realm: 0, policy, uri: uri.into() },
            token: 0,
            identity: Arc::new(Identity::anonymous("x")),
        };
        retained.events_for(&request, false).iter().map(|event| event.id.get()).collect()
    }

    #[test]
    fn the_newest_that_is_for_the_subscriber() {
        let mut retained = Retained::new(RetainedLimits::default(), 1);
        retained.keep(publication(1, "a.b", "all", None));
        retained.keep(publication(2, "a.b", "seven", Some(7)));
        retained.keep(publication(3, "a.c", "seven", Some(7)));
        assert_eq!(read(&retained, MatchPolicy::Exact, "a.b", 7), [2]);
        assert_eq!(read(&retained, MatchPolicy::Exact, "a.b", 8), [1]);
        assert_eq!(read(&retained, MatchPolicy::Prefix, "a.", 7), [2, 3]);
        assert_eq!(read(&retained, MatchPolicy::Wildcard, "a.", 8), [1]);
        retained.keep(publication(4, "a.b", "all", None));
        assert_eq!(read(&retained, MatchPolicy::Exact, "a.b", 7), [4]);
        retained.keep(publication(5, "a.b", "", None));
        assert_eq!(read(&retained, MatchPolicy::Prefix, "", 7), [3]);
        retained.keep(publication(6, "a.c", "", None));
        assert!(retained.is_empty());
    }

    #[test]
    fn excluded_publishers_have_what_others_published() {
        let excluding = |id, publisher: u64, only| {
            let mut publication = publication(id, "a", "x", only);
            Arc::get_mut(&mut publication).expect("new").excluded = SessionId::new(publisher);
            publication
        };
        let mut retained = Retained::new(RetainedLimits::default(), 1);
        let seen_by = |retained: &Retained, session| read(retained, MatchPolicy::Exact, "a", session);
        retained.keep(publication(1, "a", "x", None));
        retained.keep(publication(2, "a", "x", Some(7)));
        retained.keep(publication(3, "a", "x", Some(8)));
        retained.keep(excluding(4, 7, None));
        assert_eq!((seen_by(&retained, 7), seen_by(&retained, 8)), (vec![2], vec![4]));
        retained.keep(excluding(5, 7, None));
        retained.keep(excluding(6, 7, Some(9)));
        assert_eq!((seen_by(&retained, 7), seen_by(&retained, 8), seen_by(&retained, 9)), (vec![2], vec![5], vec![6]));
        retained.keep(excluding(7, 8, None));
        assert_eq!((seen_by(&retained, 7), seen_by(&retained, 8), seen_by(&retained, 9)), (vec![7], vec![5], vec![7]));
        retained.keep(publication(8, "a", "x", None));
        assert_eq!(retained.topics.entry("a", Kept::default).events.len(), 1, "nobody needs the others");
    }

    #[test]
    fn details_and_receivers_count() {
        let limits = RetainedLimits { bytes_max: 5_000, ..RetainedLimits::default() };
        let names: Vec<Value> = (0..700).map(Value::from).collect();
        let receivers = Audience::read(&Dict::new().with("exclude", names)).expect("ids");
        let details = Dict::new().with("enc_x", &*"x".repeat(5_000));
        for extras in [Extras::new(details, None, true), Extras::new(Dict::new(), receivers, true)] {
            let mut retained = Retained::new(limits, 1);
            let mut large = publication(1, "a", "x", None);
            Arc::get_mut(&mut large).expect("new").extras = Some(Box::new(extras));
            retained.keep(large);
            assert!(retained.is_empty(), "it is too large to be kept");
        }
    }

    #[test]
    fn the_oldest_goes_when_there_is_too_much() {
        let limits = RetainedLimits { topics_max: 4, bytes_max: 5_000, restricted_max: 2 };
        let mut retained = Retained::new(limits, 2);
        for (id, topic) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
            retained.keep(publication(id, topic, "x", None));
        }
        assert_eq!(read(&retained, MatchPolicy::Prefix, "", 1), [3, 4], "half of four topics");
        retained.keep(publication(5, "d", &"x".repeat(2_000), None));
        assert_eq!(read(&retained, MatchPolicy::Prefix, "", 1), [5], "half of 5,000 octets");
        retained.keep(publication(6, "d", &"x".repeat(3_000), None));
        assert!(retained.is_empty(), "what cannot be kept makes what was kept wrong");
        for id in 7..20 {
            retained.keep(publication(id, "e", "x", (id > 7).then_some(id)));
        }
        assert_eq!(read(&retained, MatchPolicy::Exact, "e", 1), [7], "the one for everybody stays");
        assert_eq!(read(&retained, MatchPolicy::Exact, "e", 19), [19]);
    }
}
