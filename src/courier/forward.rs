//! Events on their way to servers.

use super::request::{RequestError, agent, tell};
use crate::client::{Event, Session};
use crate::config::courier::{CourierConfig, Duty, ForwardConfig};
use crate::wamp::{Dict, Serializer, codec};
use crate::wire::path::encode;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Builder};
use std::time::Duration;
use tokio::task::JoinSet;
use ureq::Agent;

/// Octets of an answer, which nobody reads.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Statuses with which a server asks to be asked again, though they are its client's fault by their number.
const AGAIN: [u16; 3] = [408, 425, 429];

/// An event, and which of the subscriptions it is for.
type Job = (usize, Event);

/// What waits for the threads, which end when nobody can add anything and nothing is left.
#[derive(Clone)]
pub(super) struct Queue {
    jobs: Sender<Job>,
    config: Arc<CourierConfig>,
    given_up: Arc<AtomicU64>,
}

/// What has become of an attempt.
enum Attempt {
    Taken,
    /// It may work later, but not before this time.
    Again(String, Option<Duration>),
    /// It will never work.
    Never(String),
}

impl Queue {
    pub(super) fn start(config: &Arc<CourierConfig>, duty: &ForwardConfig) -> io::Result<Queue> {
        let (jobs, waiting) = bounded(duty.queue_max);
        let queue = Queue { jobs, config: config.clone(), given_up: Arc::default() };
        for number in 0..config.concurrency {
            let (waiting, config, given_up) = (waiting.clone(), config.clone(), queue.given_up.clone());
            let name = format!("forward-{number}");
            drop(Builder::new().name(name).spawn(move || work(&waiting, &config, &given_up))?);
        }
        Ok(queue)
    }

    /// Has an event taken to its server; if too many wait it is given up.
    fn add(&self, at: usize, event: Event) {
        if let Err(full) = self.jobs.try_send((at, event)) {
            let (_, event) = full.into_inner();
            give_up(&self.config, &event, "too many events wait", &self.given_up);
        }
    }
}

/// Subscribes, and passes events on until the session ends; gives why it has.
pub(super) async fn serve(session: &Session, duty: &ForwardConfig, queue: &Queue) -> String {
    let mut readers = JoinSet::new();
    for (at, forward) in duty.subscriptions.iter().enumerate() {
        let options = Dict::new().with("match", forward.policy.name());
        let mut subscription = match session.subscribe(&forward.topic, options).await {
            Ok(subscription) => subscription,
            Err(error) => return format!("{}: {error}", forward.topic),
        };
        let queue = queue.clone();
        drop(readers.spawn(async move {
            while let Some(event) = subscription.next().await {
                queue.add(at, event);
            }
        }));
    }
    tracing::info!(courier = &*queue.config.id, "events are taken to servers");
    // None goes on without the others: it would not be told that one has lost its right.
    drop(readers.join_next().await);
    session.leave("wamp.close.normal").await;
    session.ended().await
}

fn work(jobs: &Receiver<Job>, config: &CourierConfig, given_up: &AtomicU64) {
    let Duty::Forward(duty) = &config.duty else { return };
    let agent = agent(config);
    for (at, event) in jobs {
        if let Err(why) = deliver(&agent, config, duty, (at, &event)) {
            give_up(config, &event, &why, given_up);
        }
    }
}

fn give_up(config: &CourierConfig, event: &Event, why: &str, given_up: &AtomicU64) {
    let given_up = given_up.fetch_add(1, Ordering::Relaxed) + 1;
    let (courier, topic, publication) = (&*config.id, &*event.topic, event.publication.get());
    tracing::error!(courier, topic, publication, why, given_up, "an event is given up that no server has taken");
}

/// Takes an event to its server, again and again if that is of use.
fn deliver(
    agent: &Agent,
    config: &CourierConfig,
    duty: &ForwardConfig,
    (at, event): (usize, &Event),
) -> Result<(), String> {
    let Some(forward) = duty.subscriptions.get(at) else { return Ok(()) };
    let body = body(event)?;
    let mut pause = duty.backoff;
    for attempt in 0..=duty.retries {
        let (why, wish) = match send(agent, config, duty, (&forward.url, event, &body)) {
            Attempt::Taken => return Ok(()),
            Attempt::Never(why) => return Err(why),
            Attempt::Again(why, wish) => (why, wish),
        };
        if attempt == duty.retries {
            return Err(why);
        }
        // So that those who failed together do not come again together.
        let spread = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        let wait = spread.max(wish.unwrap_or_default()).min(duty.backoff_max);
        tracing::debug!(courier = &*config.id, why, ?wait, "an event is taken to its server again later");
        thread::sleep(wait);
        pause = (pause * 2).min(duty.backoff_max);
    }
    Ok(())
}

/// The arguments of an event as Crossbar.io sends them.
fn body(event: &Event) -> Result<String, String> {
    let json = |raw: &[u8]| String::from_utf8_lossy(raw).into_owned();
    // The end of a message: the closing bracket is its own.
    let raw = codec::payload(Serializer::Json, event.args.clone(), event.kwargs.clone());
    let raw = raw.map_err(|error| format!("it cannot be said in JSON: {error}"))?;
    let list = format!("[{}", json(&raw.bytes));
    let parts: Vec<Box<serde_json::value::RawValue>> =
        serde_json::from_str(&list).map_err(|error| format!("it cannot be said in JSON: {error}"))?;
    let part = |at: usize, otherwise: &'static str| parts.get(at).map_or(otherwise, |part| part.get()).to_owned();
    Ok(format!("{{\"args\":{},\"kwargs\":{}}}", part(0, "[]"), part(1, "{}")))
}

fn send(
    agent: &Agent,
    config: &CourierConfig,
    duty: &ForwardConfig,
    (url, event, body): (&str, &Event, &str),
) -> Attempt {
    let publication = event.publication.get().to_string();
    let plain = event.topic.bytes().all(|octet| octet.is_ascii_graphic());
    let topic = if plain { event.topic.to_string() } else { encode(&event.topic) };
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("X-WAMP-Topic", &*topic),
        ("X-WAMP-Publication", &*publication),
        ("Idempotency-Key", &*publication),
    ];
    let own = config.headers.iter().map(|(name, value)| (&**name, std::str::from_utf8(&value.0).unwrap_or_default()));
    headers.extend(own);
    match tell(agent, (&duty.method, url), &headers, body.as_bytes(), ANSWER_BYTES_MAX) {
        Ok(reply) if duty.expected.map_or((200..300).contains(&reply.status), |code| code == reply.status) => {
            Attempt::Taken
        }
        Ok(reply) => {
            let why = format!("the server answers with {}", reply.status);
            let never = (300..500).contains(&reply.status) && !AGAIN.contains(&reply.status);
            if never { Attempt::Never(why) } else { Attempt::Again(why, reply.retry_after()) }
        }
        Err(RequestError::Unfit(why)) => Attempt::Never(why),
        Err(error) => Attempt::Again(error.to_string(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wamp::{PublicationId, Value};

    #[test]
    fn bodies_are_those_of_crossbar() {
        let event = |args: Vec<Value>, kwargs: Dict| Event {
            topic: "a".into(),
            publication: PublicationId::from_raw(5),
            args,
            kwargs,
            details: Dict::new(),
        };
        assert_eq!(body(&event(Vec::new(), Dict::new())).as_deref(), Ok(r#"{"args":[],"kwargs":{}}"#));
        let kwargs = Dict::new().with("a", true);
        let both = event(vec![1.into(), "é]".into()], kwargs);
        assert_eq!(body(&both).as_deref(), Ok(r#"{"args":[1,"é]"],"kwargs":{"a":true}}"#));
        assert!(body(&event(vec![Value::Float(f64::NAN)], Dict::new())).is_err());
    }
}
