//! Events from one side to the other.

use super::hops::{End, Sender, extend};
use super::mirror::Ask;
use super::status::{Counts, count};
use super::subjects::Key;
use crate::client::{Acknowledgement, EventGatherer, GatheredEvents, Held, PassedEvent, RequestError, Session};
use crate::config::LinkConfig;
use crate::wamp::link::FORWARD_FOR;
use crate::wamp::{Dict, PublicationId, Value};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// An event that has come for several subscriptions comes once for each, one after the other: so many are remembered.
const REMEMBERED: usize = 1024;

/// The routers that have a link of their own to the other side, as far as is known now.
pub(super) type Direct = Arc<Mutex<BTreeSet<Box<str>>>>;

/// Subscribes.
#[derive(Clone, Debug)]
pub(super) struct Subscribing(pub(super) Arc<EventGatherer>);

impl Ask for Subscribing {
    async fn ask(&self, (uri, policy): &Key, _invoke: &str) -> Result<Held, RequestError> {
        self.0.subscribe(uri, Dict::new().with("match", policy.name())).await
    }
}

/// From where to where events go.
pub(super) struct Road {
    pub(super) link: Arc<str>,
    pub(super) here: End,
    pub(super) there: Box<str>,
    pub(super) target: Session,
    pub(super) direct: Direct,
    pub(super) counts: Arc<Counts>,
    pub(super) hops_max: usize,
    pub(super) queue_max: usize,
    /// Options that every event has.
    pub(super) options: Dict,
}

/// The events that have come last.
#[derive(Default)]
struct Seen {
    known: HashSet<PublicationId>,
    order: VecDeque<PublicationId>,
}

impl Seen {
    /// True if it has come before.
    fn has(&mut self, publication: PublicationId) -> bool {
        if !self.known.insert(publication) {
            return true;
        }
        self.order.push_back(publication);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        false
    }
}

/// An event that waits, and its place in the queue.
type Waiting = (PassedEvent, Dict, OwnedSemaphorePermit);

/// Who must not have what a link brings.
pub(super) fn excluded(config: &LinkConfig) -> Dict {
    let mut options = Dict::new();
    let lists = [("exclude_authid", &config.exclude_authid), ("exclude_authrole", &config.exclude_authrole)];
    for (key, list) in lists {
        if !list.is_empty() {
            options.push(key, list.iter().map(|name| Value::from(&**name)).collect::<Vec<_>>());
        }
    }
    options
}

/// Takes events for as long as there are any; one that finds no room is lost, so that the router here need not wait.
pub(super) async fn carry(road: Road, mut events: GatheredEvents) {
    let (sender, waiting) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(road.queue_max));
    let road = Arc::new(road);
    // It ends with this one, whose end of the queue is dropped.
    let mut publishing = tokio::task::JoinSet::new();
    publishing.spawn(publish(road.clone(), waiting));
    let (mut seen, mut losing) = (Seen::default(), 0_u64);
    while let Some(event) = events.next().await {
        if super::subjects::is_own(&event.topic) || seen.has(event.publication) {
            continue;
        }
        let direct = road.direct.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Ok(hops) = extend(&event.details, Sender::Publisher, &road.here, &road.there, &direct, road.hops_max)
        else {
            continue;
        };
        let weight = (1 + event.payload.len() / 1024).min(road.queue_max);
        match room.clone().try_acquire_many_owned(u32::try_from(weight).unwrap_or(u32::MAX)) {
            Ok(permit) => {
                if losing > 0 {
                    tracing::warn!(
                        link = &*road.link,
                        router = &*road.there,
                        lost = losing,
                        "a link has room for events again"
                    );
                    losing = 0;
                }
                let _ = sender.send((event, options(&road, hops), permit));
            }
            Err(_) => {
                if losing == 0 {
                    tracing::warn!(
                        link = &*road.link,
                        router = &*road.there,
                        "too many events wait for a link; events are lost"
                    );
                }
                losing += 1;
                count(&road.counts.lost);
            }
        }
    }
}

fn options(road: &Road, hops: Vec<Value>) -> Dict {
    road.options.clone().with(FORWARD_FOR, hops)
}

/// Attributes that go with payload that nobody but the receiver understands.
pub(super) fn passthru(details: &Dict, options: &mut Dict) {
    for (key, value) in details.iter().filter(|(key, _)| key.starts_with("ppt_") || key.starts_with("enc_")) {
        options.push(key, value.clone());
    }
}

/// Publishes what waits, in order, without waiting for each to be acknowledged.
async fn publish(road: Arc<Road>, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
    let (sender, unacknowledged) = mpsc::unbounded_channel();
    let mut hearing = tokio::task::JoinSet::new();
    hearing.spawn(hear(road.clone(), unacknowledged));
    while let Some((event, mut options, permit)) = waiting.recv().await {
        passthru(&event.details, &mut options);
        let Ok(acknowledgement) = road.target.pass_event(&event.topic, event.payload, options).await else { return };
        let _ = sender.send((acknowledgement, permit));
    }
}

/// Hears what has become of them. What has been heard of makes room for another.
async fn hear(road: Arc<Road>, mut unacknowledged: mpsc::UnboundedReceiver<(Acknowledgement, OwnedSemaphorePermit)>) {
    let mut refused = false;
    while let Some((acknowledgement, permit)) = unacknowledged.recv().await {
        match acknowledgement.taken().await {
            Ok(_) => {
                count(&road.counts.events);
                refused = false;
            }
            Err(error @ (RequestError::Refused(_) | RequestError::Unsendable(_))) => {
                count(&road.counts.refused);
                if !std::mem::replace(&mut refused, true) {
                    tracing::warn!(link = &*road.link, router = &*road.there, %error, "a router refuses events of a link");
                }
            }
            Err(_) => {}
        }
        drop(permit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_known() {
        let mut seen = Seen::default();
        let id = PublicationId::from_raw;
        assert!(!seen.has(id(1)) && seen.has(id(1)));
        for number in 0..2 * REMEMBERED as u64 {
            seen.has(id(number + 10));
        }
        assert!(!seen.has(id(1)));
        assert_eq!((seen.known.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
    }
}
