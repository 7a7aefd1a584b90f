//! Visitors: sessions that come, subscribe, stay a while, and go, each in one of four ways.

use std::collections::{HashMap, VecDeque};

use anyhow::Result;
use serde_json::json;

use crate::cli::Router;
use crate::clock::SECOND;
use crate::load::drive::{self, Schedule};
use crate::load::events::named;
use crate::load::ledger::Tally;
use crate::load::plan::{self, Plan, Round, Share, Visitors};
use crate::load::sequence::{Arrival, Sequence};
use crate::load::stamp::{self, Stamp};
use crate::result::latency::Latency;
use crate::result::outcome::Outcome;
use crate::wire::auth::Credentials;
use crate::wire::join::{self, CHALLENGE, EVENT, GOODBYE, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, WELCOME};
use crate::wire::net::Net;
use crate::wire::serializer::Serializer;
use crate::wire::target::Target;

/// Failures that are told in words.
const TOLD: usize = 5;
/// Until another attempt when the system refuses a connection, in nanoseconds.
const RETRY: u64 = SECOND / 100;

/// A group of visitors.
pub(crate) struct Churn {
    options: Visitors,
    share: Share,
    router: Router,
    target: Target,
    credentials: Credentials,
    schedule: Schedule,
    /// Topics of the set: the first, and how many.
    base: u16,
    topics: u16,
    /// The set's publishers by their number: the round of each.
    rounds: HashMap<u16, Round>,
    visitors: HashMap<usize, Visitor>,
    /// When those that stay will go; in this order.
    going: VecDeque<(u64, usize, u64)>,
    /// True once the load is over and nobody stays longer than for his subscription.
    over: bool,
    /// Visitors so far, of this worker.
    started: u64,
    visits: Tally,
    events: Tally,
    joined: Latency,
    subscribed: Latency,
    lag: Latency,
    failures: Vec<String>,
}

struct Visitor {
    /// Its number among those of all workers.
    number: u64,
    topic: u16,
    intended: u64,
    stage: Stage,
    subscription: u64,
    /// What came from each publisher.
    rows: Vec<(u16, Sequence)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Joining,
    Subscribing,
    Staying,
    Unsubscribing,
    Leaving,
}

/// How a visitor goes: in turn, so that half of them take leave and half just close, each with and without
/// unsubscribing first.
struct Way {
    unsubscribes: bool,
    takes_leave: bool,
}

impl Visitor {
    fn way(&self) -> Way {
        Way { unsubscribes: self.number & 2 == 0, takes_leave: self.number & 1 == 0 }
    }
}

impl Churn {
    /// # Errors
    /// If the router's address is wrong.
    pub(crate) fn new(
        plan: &Plan,
        options: &Visitors,
        share: Share,
        router: &Router,
        schedule: Schedule,
    ) -> Result<Self> {
        let topics = plan.sets[options.set].topics;
        let sets = plan.publishers.iter().flat_map(|group| (0..group.count).map(|_| group.set));
        let members = (0u16..).zip(sets).filter(|(_, set)| *set == options.set);
        let rounds = members.enumerate().map(|(local, (number, _))| (number, Round::new(topics, local))).collect();
        Ok(Self {
            options: options.clone(),
            share,
            router: router.clone(),
            target: Target::new(router)?,
            credentials: Credentials::new(router)?,
            schedule,
            base: plan.first_topic(options.set),
            topics,
            rounds,
            visitors: HashMap::new(),
            going: VecDeque::new(),
            over: false,
            started: 0,
            visits: Tally::default(),
            events: Tally::default(),
            joined: schedule.latency(),
            subscribed: schedule.latency(),
            lag: schedule.latency(),
            failures: Vec::new(),
        })
    }

    fn serializer(&self) -> Serializer {
        self.router.serializer
    }

    /// Lets visitors come and go whose time it is; gives when the next one is due.
    pub(crate) fn pump(&mut self, net: &mut Net, now: u64) -> Option<u64> {
        self.let_go(net, now);
        let mut due = self.going.front().map(|(time, ..)| *time);
        loop {
            let number = self.started * self.share.workers as u64 + self.share.worker as u64;
            let intended = self.schedule.intended(self.options.rate, number, 0, 1);
            if intended >= self.schedule.until {
                return due;
            }
            if intended > now {
                return due.into_iter().chain([intended]).min();
            }
            let conn = match net.connect(&self.target, self.serializer(), number as usize, self.router.sources) {
                Ok(conn) => conn,
                Err(error) => {
                    self.fail(format!("a visitor could not connect: {error:#}"));
                    due = due.into_iter().chain([now + RETRY]).min();
                    return due;
                }
            };
            if self.schedule.measures(intended) {
                self.lag.record(now - intended, now);
            }
            self.started += 1;
            let topic = self.base + (number % u64::from(self.topics)) as u16;
            let stage = Stage::Joining;
            self.visitors.insert(conn, Visitor { number, topic, intended, stage, subscription: 0, rows: Vec::new() });
        }
    }

    /// Sends those away whose time is over. Also after the schedule's end.
    pub(crate) fn let_go(&mut self, net: &mut Net, now: u64) {
        while let Some((time, conn, number)) = self.going.front().copied() {
            if time > now {
                return;
            }
            self.going.pop_front();
            let serializer = self.serializer();
            let Some(visitor) = self.visitors.get_mut(&conn).filter(|visitor| visitor.number == number) else {
                continue;
            };
            if visitor.way().unsubscribes {
                visitor.stage = Stage::Unsubscribing;
                net.send(conn, &serializer.encode(&json!([UNSUBSCRIBE, 2, visitor.subscription])));
            } else {
                self.leave(net, conn);
            }
        }
    }

    /// Lets all go: the load is over.
    pub(crate) fn finish(&mut self) {
        self.over = true;
        self.going.iter_mut().for_each(|(time, ..)| *time = 0);
    }

    fn leave(&mut self, net: &mut Net, conn: usize) {
        let serializer = self.serializer();
        let Some(visitor) = self.visitors.get_mut(&conn) else { return };
        if visitor.way().takes_leave {
            visitor.stage = Stage::Leaving;
            net.send(conn, &serializer.encode(&json!([GOODBYE, {}, "wamp.close.normal"])));
        } else {
            self.end(net, conn);
        }
    }

    /// A visit is over as it should be.
    fn end(&mut self, net: &mut Net, conn: usize) {
        net.close(conn);
        if let Some(visitor) = self.visitors.remove(&conn) {
            self.close_account(&visitor);
            self.visits.received += 1;
        }
    }

    fn close_account(&mut self, visitor: &Visitor) {
        self.events.lost += visitor.rows.iter().map(|(_, row)| row.missing()).sum::<u64>();
    }

    fn fail(&mut self, words: String) {
        if self.failures.len() < TOLD {
            self.failures.push(words);
        }
    }

    /// A connection is open; false if it is no visitor's.
    pub(crate) fn opened(&mut self, net: &mut Net, conn: usize) -> bool {
        let known = self.visitors.contains_key(&conn);
        if known {
            net.send(conn, &self.serializer().encode(&join::hello(&self.router.realm, &self.credentials)));
        }
        known
    }

    /// Takes a message; false if it is for no visitor.
    pub(crate) fn message(&mut self, net: &mut Net, conn: usize, message: &[u8], now: u64) -> bool {
        let serializer = self.serializer();
        let Some(visitor) = self.visitors.get_mut(&conn) else { return false };
        let head = serializer.head(message);
        let kind = head.map_or(0, |head| head.kind);
        match (visitor.stage, kind) {
            (Stage::Joining, CHALLENGE) => {
                let challenge = serializer.decode(message);
                match challenge.and_then(|challenge| join::authenticate(&challenge, &mut self.credentials)) {
                    Ok(answer) => net.send(conn, &serializer.encode(&answer)),
                    Err(error) => self.fail(format!("a visitor could not identify itself: {error:#}")),
                }
            }
            (Stage::Joining, WELCOME) => {
                visitor.stage = Stage::Subscribing;
                self.joined.record(now.saturating_sub(visitor.intended), now);
                net.send(conn, &serializer.encode(&json!([SUBSCRIBE, 1, {}, plan::topic_uri(visitor.topic)])));
            }
            (Stage::Subscribing, SUBSCRIBED) => {
                visitor.stage = Stage::Staying;
                visitor.subscription = head.map_or(0, |head| head.second);
                self.subscribed.record(now.saturating_sub(visitor.intended), now);
                let stay = if self.over { 0 } else { drive::seconds(self.options.stay) };
                self.going.push_back((now + stay, conn, visitor.number));
            }
            (Stage::Staying | Stage::Unsubscribing | Stage::Leaving, EVENT) => {
                let subscription = head.map_or(0, |head| head.first);
                self.event(conn, subscription, message);
            }
            (Stage::Unsubscribing, UNSUBSCRIBED) => self.leave(net, conn),
            (Stage::Leaving, GOODBYE) => self.end(net, conn),
            (stage, _) => {
                self.visits.stray += 1;
                let reason = join::refusal(&serializer.decode(message).unwrap_or_default());
                self.fail(format!("a visitor that was {stage:?}: {reason:#}"));
            }
        }
        true
    }

    fn event(&mut self, conn: usize, subscription: u64, message: &[u8]) {
        let stamp = stamp::locate_any(message).and_then(|place| Stamp::read(&message[place]));
        let Some((visitor, stamp)) = self.visitors.get_mut(&conn).zip(stamp) else { return self.events.stray += 1 };
        let Some(round) = self.rounds.get(&stamp.source) else { return self.events.stray += 1 };
        if self.base + round.topic(stamp.sequence) != stamp.topic {
            return self.events.stray += 1;
        }
        if stamp.topic != visitor.topic || subscription != visitor.subscription {
            return self.events.misrouted += 1;
        }
        let lap = round.lap(stamp.sequence);
        let arrival = match visitor.rows.iter_mut().find(|(source, _)| *source == stamp.source) {
            Some((_, row)) => row.arrive(lap),
            None => {
                visitor.rows.push((stamp.source, Sequence::from(lap + 1)));
                Arrival::Forward
            }
        };
        match arrival {
            Arrival::Doubled => return self.events.doubled += 1,
            Arrival::Late => self.events.misordered += 1,
            Arrival::Forward => {}
        }
        self.events.received += 1;
    }

    /// Takes the end of a connection; false if it is no visitor's.
    pub(crate) fn closed(&mut self, conn: usize, reason: &str) -> bool {
        let Some(visitor) = self.visitors.remove(&conn) else { return false };
        self.close_account(&visitor);
        self.fail(format!("a visitor that was {:?} lost its connection: {reason}", visitor.stage));
        true
    }

    /// What happened so far, to see whether waiting makes sense.
    pub(crate) fn progress(&self) -> u64 {
        self.visits.received + self.events.received
    }

    /// True if nobody is left.
    pub(crate) fn settled(&self) -> bool {
        self.visitors.is_empty()
    }

    /// Puts all results into the outcome.
    pub(crate) fn report(mut self, outcome: &mut Outcome) {
        for visitor in std::mem::take(&mut self.visitors).into_values() {
            self.close_account(&visitor);
        }
        let lost = self.started - self.visits.received;
        let name = |name: &str| named(&self.options.name, name);
        outcome.accounts.insert(name("visits"), Tally { expected: self.started, lost, ..self.visits });
        let expected = self.events.received + self.events.lost;
        outcome.accounts.insert(name("visitor_events"), Tally { expected, ..self.events });
        outcome.add_times(&name("visitor_joined"), self.joined);
        outcome.add_times(&name("visitor_subscribed"), self.subscribed);
        outcome.generator.send_lag.merge(self.lag.finish());
        outcome.failures.extend(self.failures);
    }
}
