//! The scenario `idle`: many sessions with one subscription each, and the router's memory for them.

use anyhow::Result;
use serde_json::json;

use crate::cli::{self, Router, Timing};
use crate::clock::{self, SECOND};
use crate::drive::{self, Window};
use crate::join::{self, EVENT, PUBLISH, Session, Step};
use crate::latency::{Latency, Times};
use crate::ledger::Ledger;
use crate::net::{Handler, Net};
use crate::outcome::{Better, Combine, Outcome};
use crate::probe::Probe;
use crate::serializer::Serializer;
use crate::stamp::{self, Stamp};
use crate::stop;
use crate::template::Template;

const PAYLOAD: usize = 64;

struct Idle {
    serializer: Serializer,
    /// The session's number of each connection.
    numbers: Vec<usize>,
    subscriptions: Vec<u64>,
    topics: usize,
    ledger: Ledger,
    latency: Latency,
    failures: Vec<String>,
}

/// Runs the scenario: memory is read, the sessions join, memory is read again, and one event per topic proves that
/// every session is there.
///
/// # Errors
/// If the sessions cannot join or the server cannot be watched.
pub(crate) fn run(
    options: &cli::IdleOptions,
    router: &Router,
    timing: &Timing,
    probe: Option<&Probe>,
) -> Result<Outcome> {
    let mut net = Net::new()?;
    // The publisher joins first, so that what the router sets up once is not counted for the sessions.
    let publisher = join::join_all(&mut net, router, &[vec![]])?.remove(0);
    let topics = usize::from(options.topics);
    let mut idle = Idle::new(router.serializer, topics);
    idle.wait(&mut net, drive::seconds(options.settle), |_| false)?;
    let cpu_before = probe.map(Probe::cpu).transpose()?;
    let before = probe.map(Probe::memory).transpose()?;
    let (start, own_cpu) = (net.clock.now(), clock::thread_cpu());
    let plans: Vec<_> =
        (0..options.sessions as usize).map(|number| vec![Step::Subscribe(topic(number % topics))]).collect();
    let sessions = join::join_all(&mut net, router, &plans)?;
    let joined = net.clock.now();
    let own_cpu = clock::thread_cpu() - own_cpu;
    let cpu_joined = probe.map(Probe::cpu).transpose()?;
    idle.adopt(&sessions);
    idle.wait(&mut net, drive::seconds(options.settle), |_| false)?;
    let after = probe.map(Probe::memory).transpose()?;

    idle.publish(&mut net, &publisher);
    let count = u64::from(options.sessions);
    idle.wait(&mut net, drive::seconds(timing.patience), |idle| idle.ledger.received() >= count)?;
    idle.wait(&mut net, SECOND / 10, |_| false)?;

    let window = Window {
        seconds: (joined - start) as f64 / SECOND as f64,
        delivered: count,
        server_cpu: cpu_joined.zip(cpu_before).map(|(joined, before)| joined.saturating_sub(before)),
        server_memory: before.zip(after).map(|(before, after)| [before, after]),
        generator_cpu: own_cpu as f64 / (joined - start).max(1) as f64,
        partial: stop::asked(),
        ..Window::default()
    };
    let mut outcome = Outcome::new("join", window, Times::default());
    outcome.sent = options.topics.into();
    outcome.accounts.insert("events".into(), idle.ledger.tally(count));
    outcome.latencies.insert("delivery".into(), idle.latency.finish());
    outcome.metric("sessions", count as f64, "sessions", Better::Neither, Combine::Sum);
    if let Some((before, after)) = before.zip(after) {
        let each = (after as f64 - before as f64) / count as f64;
        outcome.metric("server_memory_each", each, "bytes/session", Better::Lower, Combine::Max);
    }
    outcome.failures = idle.failures;
    Ok(outcome)
}

fn topic(number: usize) -> String {
    format!("bench.topic.{number}")
}

impl Idle {
    fn new(serializer: Serializer, topics: usize) -> Self {
        Self {
            serializer,
            numbers: Vec::new(),
            subscriptions: Vec::new(),
            topics,
            ledger: Ledger::new(0, 1),
            latency: Latency::new(),
            failures: Vec::new(),
        }
    }

    fn adopt(&mut self, sessions: &[Session]) {
        let conns = sessions.iter().map(|session| session.conn + 1).max().unwrap_or(0);
        self.numbers = vec![usize::MAX; conns];
        for (number, session) in sessions.iter().enumerate() {
            self.numbers[session.conn] = number;
        }
        self.subscriptions = sessions.iter().map(|session| session.ids[0]).collect();
        self.ledger = Ledger::new(sessions.len(), 1);
    }

    fn publish(&self, net: &mut Net, publisher: &Session) {
        let mut message = Vec::new();
        for number in 0..self.topics {
            let template = Template::new(self.serializer, &[PUBLISH], &[json!({}), json!(topic(number))], PAYLOAD);
            let stamp = Stamp { source: 0, topic: number as u16, sequence: 0, time: net.clock.now() };
            stamp.write(template.write(&mut message, publisher.next_request() + number as u64));
            net.send(publisher.conn, &message);
        }
        net.flush();
    }

    fn wait(&mut self, net: &mut Net, time: u64, done: impl Fn(&Self) -> bool) -> Result<()> {
        let end = net.clock.now() + time;
        while net.clock.now() < end && !done(self) && !stop::asked() {
            let wake = end.min(net.clock.now() + SECOND / 10);
            net.turn(self, Some(wake))?;
        }
        Ok(())
    }
}

impl Handler for Idle {
    fn opened(&mut self, _: &mut Net, _: usize) {}

    fn message(&mut self, _: &mut Net, conn: usize, message: &[u8], now: u64) {
        let number = self.numbers.get(conn).copied().unwrap_or(usize::MAX);
        let head = self.serializer.head(message).filter(|head| head.kind == EVENT);
        let stamp = stamp::find(message, PAYLOAD);
        match (head, stamp, self.subscriptions.get(number)) {
            (Some(head), Some(stamp), Some(subscription))
                if head.first == *subscription && usize::from(stamp.topic) == number % self.topics =>
            {
                if self.ledger.arrive(number, 0, stamp.sequence) {
                    self.latency.record(now.saturating_sub(stamp.time), now);
                }
            }
            _ => self.ledger.stray(),
        }
    }

    fn closed(&mut self, _: &mut Net, _: usize, reason: &str) {
        self.failures.push(format!("a connection was lost: {reason}"));
    }
}
