//! The scenario `fanout`: every subscriber gets every event.

use std::collections::VecDeque;

use anyhow::Result;
use serde_json::json;

use crate::cli::{self, Rate, Router, Timing};
use crate::clock::SECOND;
use crate::drive::{self, Load, Schedule};
use crate::join::{self, EVENT, PUBLISH, Session, Step};
use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::net::{Handler, Net};
use crate::outcome::Outcome;
use crate::probe::Probe;
use crate::serializer::Serializer;
use crate::stamp::{self, Stamp};
use crate::template::Template;

/// Bytes that may wait for a publisher's socket before it holds further events back.
const BACKLOG: usize = 16 << 20;
/// How long a full window may see no arrival before it is taken for lost, in nanoseconds.
const STALL: u64 = 2 * SECOND;

/// When to try again what was held back, in nanoseconds.
const RETRY: u64 = SECOND / 1000;

const TOPIC: u16 = 0;
const NOBODY: u32 = u32::MAX;

struct Fanout {
    options: cli::FanoutOptions,
    serializer: Serializer,
    schedule: Schedule,
    publishers: Vec<Publisher>,
    /// The subscriber's number of each connection, or [`NOBODY`].
    subscriber: Vec<u32>,
    subscription: Vec<u64>,
    ledger: Ledger,
    template: Template,
    scratch: Vec<u8>,
    last_arrival: u64,
    latency: Latency,
    completion: Latency,
    lag: Latency,
    held_back: u64,
    stalls: u64,
    failures: Vec<String>,
}

struct Publisher {
    conn: usize,
    first_request: u64,
    sent: u64,
    /// Events up to here no longer count for the window.
    forgiven: u64,
    /// The arrivals so far of the events from `oldest` on.
    arrivals: VecDeque<u32>,
    oldest: u64,
}

/// Runs the scenario.
///
/// # Errors
/// If the sessions cannot join or the server cannot be watched.
pub(crate) fn run(
    options: &cli::FanoutOptions,
    router: &Router,
    timing: &Timing,
    probe: Option<&Probe>,
) -> Result<Outcome> {
    let mut net = Net::new()?;
    let subscribers = options.subscribers as usize;
    let mut plans = vec![vec![Step::Subscribe(format!("bench.topic.{TOPIC}"))]; subscribers];
    plans.resize(subscribers + usize::from(options.publishers), Vec::new());
    let sessions = join::join_all(&mut net, router, &plans)?;
    let schedule = Schedule::new(net.clock.now() + SECOND / 20, timing);
    let mut fanout = Fanout::new(options, router.serializer, &sessions, schedule);
    let window = drive::drive(&mut net, &mut fanout, &schedule, timing, probe)?;
    let sent = fanout.sent();
    let tally = fanout.ledger.tally(fanout.expected());
    let mut outcome = Outcome::new(fanout.unit(), window, fanout.lag.finish());
    outcome.sent = sent;
    outcome.accounts.insert("events".into(), tally);
    outcome.latencies.insert("delivery".into(), fanout.latency.finish());
    outcome.latencies.insert("last_subscriber".into(), fanout.completion.finish());
    outcome.failures = fanout.failures;
    if fanout.held_back > 0 {
        outcome.notes.push(format!("the router did not read: sending was held back {} times", fanout.held_back));
    }
    if fanout.stalls > 0 {
        outcome.notes.push(format!("the window stalled {} times", fanout.stalls));
    }
    Ok(outcome)
}

impl Fanout {
    fn new(options: &cli::FanoutOptions, serializer: Serializer, sessions: &[Session], schedule: Schedule) -> Self {
        let (subscribers, publishers) = sessions.split_at(options.subscribers as usize);
        let conns = sessions.iter().map(|session| session.conn + 1).max().unwrap_or(0);
        let mut subscriber = vec![NOBODY; conns];
        for (number, session) in (0..).zip(subscribers) {
            subscriber[session.conn] = number;
        }
        let publisher = |session: &Session| Publisher {
            conn: session.conn,
            first_request: session.next_request(),
            sent: 0,
            forgiven: 0,
            arrivals: VecDeque::new(),
            oldest: 0,
        };
        let rest = [json!({}), json!(format!("bench.topic.{TOPIC}"))];
        Self {
            options: options.clone(),
            serializer,
            schedule,
            publishers: publishers.iter().map(publisher).collect(),
            subscriber,
            subscription: subscribers.iter().map(|session| session.ids[0]).collect(),
            ledger: Ledger::new(subscribers.len(), publishers.len()),
            template: Template::new(serializer, &[PUBLISH], &rest, options.payload_bytes),
            scratch: Vec::new(),
            last_arrival: 0,
            latency: schedule.latency(),
            completion: schedule.latency(),
            lag: schedule.latency(),
            held_back: 0,
            stalls: 0,
            failures: Vec::new(),
        }
    }

    fn sent(&self) -> u64 {
        self.publishers.iter().map(|publisher| publisher.sent).sum()
    }

    fn expected(&self) -> u64 {
        self.sent() * self.subscription.len() as u64
    }

    fn publish(&mut self, net: &mut Net, number: usize, intended: u64) {
        let publisher = &mut self.publishers[number];
        let stamp = Stamp { source: number as u16, topic: TOPIC, sequence: publisher.sent, time: intended };
        stamp.write(self.template.write(&mut self.scratch, publisher.first_request + publisher.sent));
        publisher.sent += 1;
        publisher.arrivals.push_back(0);
        net.send(publisher.conn, &self.scratch);
    }

    /// Sends the scheduled events whose time has come; false if it had to hold some back.
    fn pump_scheduled(&mut self, net: &mut Net, rate: f64, now: u64, schedule: &Schedule) -> bool {
        let held_before = self.held_back;
        let count = self.publishers.len();
        for number in 0..count {
            loop {
                let publisher = &self.publishers[number];
                let intended = schedule.intended(rate, publisher.sent, number, count);
                if intended > now || intended >= schedule.until {
                    break;
                }
                if net.backlog(publisher.conn) > BACKLOG {
                    self.held_back += 1;
                    break;
                }
                if schedule.measures(intended) {
                    self.lag.record(now - intended, now);
                }
                self.publish(net, number, intended);
            }
        }
        self.held_back == held_before
    }

    /// Fills the windows.
    fn pump_window(&mut self, net: &mut Net, now: u64) {
        let designated = self.subscription.len() - 1;
        let stalled = now > self.last_arrival.max(self.schedule.start) + STALL;
        for number in 0..self.publishers.len() {
            let seen = self.ledger.next(designated, number);
            let publisher = &mut self.publishers[number];
            let open = publisher.sent - seen.max(publisher.forgiven);
            let mut free = u64::from(self.options.window).saturating_sub(open);
            if free == 0 && stalled {
                self.stalls += 1;
                publisher.forgiven = publisher.sent;
                self.last_arrival = now;
                free = u64::from(self.options.window);
            }
            for _ in 0..free {
                self.publish(net, number, now);
            }
        }
    }

    fn arrived(&mut self, subscriber: usize, stamp: Stamp, now: u64) {
        let source = usize::from(stamp.source);
        if !self.ledger.arrive(subscriber, source, stamp.sequence) {
            return;
        }
        self.last_arrival = now;
        let measured = self.schedule.measures(stamp.time);
        if measured {
            self.latency.record(now.saturating_sub(stamp.time), now);
        }
        let everybody = self.subscription.len() as u32;
        let publisher = &mut self.publishers[source];
        let place = stamp.sequence.checked_sub(publisher.oldest);
        let Some(count) = place.and_then(|place| publisher.arrivals.get_mut(place as usize)) else { return };
        *count += 1;
        if *count == everybody {
            if measured {
                self.completion.record(now.saturating_sub(stamp.time), now);
            }
            while publisher.arrivals.front() == Some(&everybody) {
                publisher.arrivals.pop_front();
                publisher.oldest += 1;
            }
        }
    }
}

impl Load for Fanout {
    fn pump(&mut self, net: &mut Net, now: u64, schedule: &Schedule) -> Option<u64> {
        match self.options.rate {
            Rate::Max if now < schedule.start => Some(schedule.start),
            Rate::Max if now >= schedule.until => None,
            Rate::Max => {
                self.pump_window(net, now);
                None
            }
            Rate::PerSecond(rate) => {
                if !self.pump_scheduled(net, rate, now, schedule) {
                    return Some(now + RETRY);
                }
                drive::next_due(self.options.rate, schedule, self.publishers.iter().map(|publisher| publisher.sent))
            }
        }
    }

    fn unit(&self) -> &'static str {
        "delivery"
    }

    fn delivered(&self) -> u64 {
        self.ledger.received()
    }

    fn settled(&self) -> bool {
        self.ledger.received() >= self.expected()
    }
}

impl Handler for Fanout {
    fn opened(&mut self, _: &mut Net, _: usize) {}

    fn message(&mut self, _: &mut Net, conn: usize, message: &[u8], now: u64) {
        let subscriber = self.subscriber.get(conn).copied().unwrap_or(NOBODY);
        let head = self.serializer.head(message);
        let (Some(head), true) = (head, subscriber != NOBODY) else { return self.ledger.stray() };
        let stamp = stamp::find(message, self.options.payload_bytes);
        match stamp {
            Some(stamp)
                if head.kind == EVENT
                    && head.first == self.subscription[subscriber as usize]
                    && stamp.topic == TOPIC
                    && self
                        .publishers
                        .get(usize::from(stamp.source))
                        .is_some_and(|source| stamp.sequence < source.sent) =>
            {
                self.arrived(subscriber as usize, stamp, now);
            }
            _ => self.ledger.stray(),
        }
    }

    fn closed(&mut self, _: &mut Net, _: usize, reason: &str) {
        self.failures.push(format!("a connection was lost: {reason}"));
    }
}
