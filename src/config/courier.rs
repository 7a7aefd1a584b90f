//! Couriers: sessions of the router's own that take events to servers of HTTP, and have calls answered by them.

use super::guest::GuestError;
use crate::auth::config::Secret;
use crate::wamp::{MatchPolicy, Uri};
use std::time::Duration;

/// A courier.
#[derive(Clone, Debug, PartialEq)]
pub struct CourierConfig {
    /// The id of its worker, a dot, and its own. No component has the same.
    pub id: Box<str>,
    /// The namespace of its realm.
    pub namespace: Box<str>,
    /// Its realm.
    pub realm: Uri,
    /// Its role.
    pub role: Box<str>,
    /// What it does.
    pub duty: Duty,
    /// How long a request may take.
    pub timeout: Duration,
    /// How many requests there are at the same time.
    pub concurrency: usize,
    /// What it sends with each request.
    pub headers: Vec<(Box<str>, Secret)>,
}

/// What a courier does.
#[derive(Clone, Debug, PartialEq)]
pub enum Duty {
    /// It takes events to servers.
    Forward(ForwardConfig),
    /// It has calls answered by a server.
    Answer(AnswerConfig),
}

/// How events are taken to servers.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardConfig {
    /// Which events, and where to.
    pub subscriptions: Vec<Forward>,
    /// The method of the requests.
    pub method: Box<str>,
    /// The status that says that an event has been taken. None: any from 200 to 299.
    pub expected: Option<u16>,
    /// How often it is tried again.
    pub retries: u32,
    /// After which time first; each time it is doubled.
    pub backoff: Duration,
    /// After which time at most.
    pub backoff_max: Duration,
    /// How many events wait; more are given up.
    pub queue_max: usize,
}

/// Events of a topic or pattern for a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The topic or pattern.
    pub topic: Uri,
    /// How topics are compared with it.
    pub policy: MatchPolicy,
    /// Where events go.
    pub url: Box<str>,
}

/// How calls are answered by a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerConfig {
    /// The procedure.
    pub procedure: Uri,
    /// Where the addresses that callers give begin. They lead to no other server.
    pub base_url: Box<str>,
    /// Octets of an answer.
    pub answer_bytes_max: u64,
}

impl CourierConfig {
    /// How long a request may take if nothing is said.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// How many calls are answered at the same time if nothing is said.
    pub const CONCURRENCY: usize = 8;

    /// Says what cannot work.
    ///
    /// # Errors
    /// The first thing found.
    pub fn check(&self) -> Result<(), GuestError> {
        let fault = |text: &str| Err(GuestError::Contradiction(self.id.clone(), text.into()));
        if self.concurrency == 0 {
            return fault("it has to make one request at a time at least");
        }
        match &self.duty {
            Duty::Forward(forward) if forward.subscriptions.is_empty() => fault("it has no subscriptions"),
            Duty::Forward(forward) if forward.queue_max == 0 => fault("no event can wait"),
            _ => Ok(()),
        }
    }
}

impl ForwardConfig {
    /// How often it is tried again if nothing is said.
    pub const RETRIES: u32 = 8;
    /// After which time it is tried again if nothing is said.
    pub const BACKOFF: Duration = Duration::from_secs(1);
    /// After which time at most.
    pub const BACKOFF_MAX: Duration = Duration::from_secs(300);
    /// How many events wait if nothing is said.
    pub const QUEUE_MAX: usize = 1000;
}

impl AnswerConfig {
    /// Octets of an answer if nothing is said.
    pub const ANSWER_BYTES_MAX: u64 = 1 << 20;
}
