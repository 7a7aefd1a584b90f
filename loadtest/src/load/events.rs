//! The publishers and subscribers of a worker: they send events when they are due, and account for all that come.

use std::collections::VecDeque;

use serde_json::json;

use crate::cli::Rate;
use crate::clock::SECOND;
use crate::load::drive::{self, Schedule};
use crate::load::ledger::Ledger;
use crate::load::plan::{self, Order, Plan, Publishers, Round, Share};
use crate::load::slow::Slow;
use crate::load::stamp::{self, Stamp};
use crate::result::latency::Latency;
use crate::result::outcome::{Better, Combine, Outcome};
use crate::wire::join::{EVENT, PUBLISH, Session};
use crate::wire::net::Net;
use crate::wire::serializer::Serializer;
use crate::wire::template::Template;

/// Bytes that may wait for a publisher's socket before it holds further events back.
pub(crate) const BACKLOG: usize = 16 << 20;
/// When to try again what was held back, in nanoseconds.
pub(crate) const RETRY: u64 = SECOND / 1000;
/// How long a full window may see no arrival before it is taken for lost, in nanoseconds.
const STALL: u64 = 2 * SECOND;
/// No event of another worker's publisher is believed to be further ahead than this.
const FAR: u64 = 1 << 22;

/// All of them.
pub(crate) struct Events {
    serializer: Serializer,
    schedule: Schedule,
    /// Each topic of a publisher is in order by itself.
    by_topic: bool,
    /// Every publisher of the plan, also those of other workers.
    sources: Vec<Source>,
    /// The publishers of this worker.
    own: Vec<usize>,
    /// Publishers in each set.
    set_sources: Vec<usize>,
    groups: Vec<Group>,
    senders: Vec<Sender>,
    receivers: Vec<Receiver>,
    /// Subscribers of each topic that read, in this worker.
    listeners: Vec<u32>,
    /// Length of the latest payload.
    hint: usize,
    scratch: Vec<u8>,
    last_arrival: u64,
    lag: Latency,
    held_back: u64,
    stalls: u64,
}

/// A publisher.
struct Source {
    group: usize,
    set: usize,
    /// Its number within the set.
    local: usize,
    payload_bytes: usize,
    round: Round,
    /// The set's first topic.
    base: u16,
    conn: usize,
    first_request: u64,
    /// Events sent; of other workers' publishers known only at the end.
    sent: u64,
    /// How many subscribers of this worker have not got each event from `oldest` on.
    missing: VecDeque<u32>,
    oldest: u64,
}

/// What the publishers of a group have in common.
struct Sender {
    options: Publishers,
    first: usize,
    /// One message per topic of the set.
    templates: Vec<Template>,
    completion: Latency,
}

/// A group of subscribers and its account.
struct Group {
    name: String,
    set: usize,
    ledger: Ledger,
    latency: Latency,
    /// Latencies before and after the dividing moment.
    divided: Option<(u64, [Latency; 2])>,
    slow: Option<Slow>,
    /// Events that should arrive; known at the end.
    expected: u64,
}

struct Receiver {
    group: u32,
    /// The topics within the set, in ascending order, and their subscriptions.
    topics: Box<[u16]>,
    ids: Box<[u64]>,
    /// The first of its cells, and of its rows, in the group's ledger.
    cell: usize,
    row: usize,
}

impl Events {
    /// Publishers and subscribers of this worker's share; `take` gives the sessions in the order in which `crowd` joins
    /// them.
    pub(crate) fn new(
        plan: &Plan,
        share: Share,
        serializer: Serializer,
        schedule: Schedule,
        take: &mut dyn Iterator<Item = Session>,
    ) -> Self {
        let mut events = Self {
            serializer,
            schedule,
            by_topic: plan.order == Order::Topic,
            sources: Vec::new(),
            own: Vec::new(),
            set_sources: vec![0; plan.sets.len()],
            groups: Vec::new(),
            senders: Vec::new(),
            receivers: Vec::new(),
            listeners: vec![0; usize::from(plan.first_topic(plan.sets.len()))],
            hint: plan.publishers.first().map_or(stamp::MIN_PAYLOAD, |group| group.payload_bytes),
            scratch: Vec::new(),
            last_arrival: schedule.start,
            lag: schedule.latency(),
            held_back: 0,
            stalls: 0,
        };
        for group in &plan.publishers {
            events.set_sources[group.set] += usize::from(group.count);
        }
        events.add_subscribers(plan, share, take);
        events.add_publishers(plan, share, take);
        events
    }

    fn add_subscribers(&mut self, plan: &Plan, share: Share, take: &mut dyn Iterator<Item = Session>) {
        let mut numbers = vec![0; plan.sets.len()];
        for (place, options) in plan.subscribers.iter().enumerate() {
            let (base, of) = (plan.first_topic(options.set), plan.sets[options.set].topics);
            let sources = self.set_sources[options.set];
            let (mut cells, mut rows) = (0, 0);
            for number in (0..options.count as usize).filter(|number| share.owns(*number)) {
                let Some(session) = take.next() else { break };
                let topics = plan::choose(numbers[options.set] + number, options.topics, of);
                if options.stop_reading.is_none() {
                    topics.iter().for_each(|topic| self.listeners[usize::from(base + topic)] += 1);
                }
                let (cell, row) = (cells, rows);
                cells += topics.len() * sources;
                rows = if self.by_topic { cells } else { rows + sources };
                self.receivers.push(Receiver {
                    group: place as u32,
                    topics: topics.into(),
                    ids: session.ids.into(),
                    cell,
                    row,
                });
            }
            numbers[options.set] += options.count as usize;
            let divide = options.divide.map(|seconds| self.schedule.from + drive::seconds(seconds));
            self.groups.push(Group {
                name: options.name.clone(),
                set: options.set,
                ledger: Ledger::with_rows(cells, rows),
                latency: self.schedule.latency(),
                divided: divide.map(|time| (time, [self.schedule.latency(), self.schedule.latency()])),
                slow: options.stop_reading.map(|seconds| Slow::new(self.schedule.from + drive::seconds(seconds))),
                expected: u64::MAX,
            });
        }
    }

    fn add_publishers(&mut self, plan: &Plan, share: Share, take: &mut dyn Iterator<Item = Session>) {
        let mut locals = vec![0; plan.sets.len()];
        for (group, options) in plan.publishers.iter().enumerate() {
            let (base, topics) = (plan.first_topic(options.set), plan.sets[options.set].topics);
            let template = |topic| {
                let rest = [json!({}), json!(plan::topic_uri(base + topic))];
                Template::new(self.serializer, &[PUBLISH], &rest, options.payload_bytes)
            };
            self.senders.push(Sender {
                options: options.clone(),
                first: self.sources.len(),
                templates: (0..topics).map(template).collect(),
                completion: self.schedule.latency(),
            });
            for number in 0..usize::from(options.count) {
                let session = if share.owns(number) { take.next() } else { None };
                if session.is_some() {
                    self.own.push(self.sources.len());
                }
                self.sources.push(Source {
                    group,
                    set: options.set,
                    local: locals[options.set],
                    payload_bytes: options.payload_bytes,
                    round: Round::new(topics, locals[options.set]),
                    base,
                    conn: session.as_ref().map_or(usize::MAX, |session| session.conn),
                    first_request: session.as_ref().map_or(0, Session::next_request),
                    sent: 0,
                    missing: VecDeque::new(),
                    oldest: 0,
                });
                locals[options.set] += 1;
            }
        }
    }

    /// The connections of the subscribers that stop reading, with their groups.
    pub(crate) fn watch(&mut self, receiver: usize, conn: usize) {
        let group = self.receivers[receiver].group as usize;
        if let Some(slow) = &mut self.groups[group].slow {
            slow.add(conn);
        }
    }

    /// Sends what is due; gives when the next is due.
    pub(crate) fn pump(&mut self, net: &mut Net, now: u64) -> Option<u64> {
        let schedule = self.schedule;
        let mut due = self.groups.iter_mut().filter_map(|group| group.slow.as_mut()?.pump(net, now)).min();
        let stalled = now > self.last_arrival.max(schedule.start) + STALL;
        for at in 0..self.own.len() {
            let number = self.own[at];
            let next = match self.senders[self.sources[number].group].options.rate {
                Rate::Max if now < schedule.start => Some(schedule.start),
                Rate::Max if now >= schedule.until => None,
                Rate::Max => {
                    self.pump_window(net, number, now, stalled);
                    None
                }
                Rate::PerSecond(rate) => self.pump_scheduled(net, number, rate, now),
            };
            due = due.into_iter().chain(next).min();
        }
        due
    }

    /// Sends the scheduled events whose time has come; gives when the next is due.
    fn pump_scheduled(&mut self, net: &mut Net, number: usize, rate: f64, now: u64) -> Option<u64> {
        loop {
            let source = &self.sources[number];
            let sender = &self.senders[source.group];
            let burst = u64::from(sender.options.burst);
            let (count, place) = (usize::from(sender.options.count), number - sender.first);
            let intended = self.schedule.intended(rate / burst as f64, source.sent / burst, place, count);
            if intended >= self.schedule.until {
                return None;
            }
            if intended > now {
                return Some(intended);
            }
            if net.backlog(source.conn) > BACKLOG {
                self.held_back += 1;
                return Some(now + RETRY);
            }
            if self.schedule.measures(intended) {
                self.lag.record(now - intended, now);
            }
            self.publish(net, number, intended);
        }
    }

    /// Fills a window.
    fn pump_window(&mut self, net: &mut Net, number: usize, now: u64, stalled: bool) {
        let source = &mut self.sources[number];
        let window = u64::from(self.senders[source.group].options.window);
        let mut free = window.saturating_sub(source.sent - source.oldest.min(source.sent));
        if free == 0 && stalled {
            self.stalls += 1;
            self.last_arrival = now;
            // What is missing no longer counts for the window.
            source.missing.clear();
            source.oldest = source.sent;
            free = window;
        }
        for _ in 0..free {
            if net.backlog(self.sources[number].conn) > BACKLOG {
                self.held_back += 1;
                return;
            }
            self.publish(net, number, now);
        }
    }

    fn publish(&mut self, net: &mut Net, number: usize, intended: u64) {
        let source = &mut self.sources[number];
        let topic = source.round.topic(source.sent);
        let stamp = Stamp { source: number as u16, topic: source.base + topic, sequence: source.sent, time: intended };
        let template = &self.senders[source.group].templates[usize::from(topic)];
        stamp.write(template.write(&mut self.scratch, source.first_request + source.sent));
        source.missing.push_back(self.listeners[usize::from(stamp.topic)]);
        source.sent += 1;
        source.forget_complete();
        net.send(source.conn, &self.scratch);
    }

    /// Takes a message to a subscriber.
    pub(crate) fn message(&mut self, receiver: usize, message: &[u8], now: u64) {
        let place = self.receivers[receiver].group as usize;
        let head = self.serializer.head(message);
        let (Some(head), Some(stamp)) = (head, self.stamp(message)) else { return self.groups[place].ledger.stray() };
        let (group, receiver) = (&mut self.groups[place], &self.receivers[receiver]);
        let Some(source) = self.sources.get_mut(usize::from(stamp.source)) else { return group.ledger.stray() };
        let topic = source.round.topic(stamp.sequence);
        if head.kind != EVENT || !source.may_have_sent(&stamp, topic) {
            return group.ledger.stray();
        }
        let slot = if source.set == group.set { receiver.topics.binary_search(&topic).ok() } else { None };
        let Some(slot) = slot.filter(|slot| receiver.ids[*slot] == head.first) else {
            return group.ledger.misrouted();
        };
        let cell = receiver.cell + slot * self.set_sources[group.set] + source.local;
        let (lap, sequence) = (source.round.lap(stamp.sequence), stamp.sequence);
        let (row, position) = if self.by_topic { (cell, lap) } else { (receiver.row + source.local, sequence) };
        let arrived = group.ledger.place(cell, lap, row, position);
        if !arrived || group.slow.is_some() {
            return;
        }
        self.last_arrival = now;
        let time = now.saturating_sub(stamp.time);
        let measured = self.schedule.measures(stamp.time);
        if measured {
            group.latency.record(time, now);
            if let Some((divide, halves)) = &mut group.divided {
                halves[usize::from(stamp.time >= *divide)].record(time, now);
            }
        }
        if source.complete(sequence, &self.listeners) && measured {
            self.senders[source.group].completion.record(time, now);
        }
    }

    /// The stamp of an event: of the same length as the latest one, as a rule.
    fn stamp(&mut self, message: &[u8]) -> Option<Stamp> {
        let bytes = |sources: &[Source], stamp: &Stamp| Some(sources.get(usize::from(stamp.source))?.payload_bytes);
        if let Some(stamp) = stamp::find(message, self.hint)
            && bytes(&self.sources, &stamp) == Some(self.hint)
        {
            return Some(stamp);
        }
        let place = stamp::locate_any(message)?;
        let stamp = Stamp::read(&message[place.clone()])?;
        if bytes(&self.sources, &stamp)? != place.len() {
            return None;
        }
        self.hint = place.len();
        Some(stamp)
    }

    /// Events that have arrived so far.
    pub(crate) fn received(&self) -> u64 {
        self.groups.iter().map(|group| group.ledger.received()).sum()
    }

    /// Events that each publisher of the plan has sent; 0 for those of other workers.
    pub(crate) fn sent(&self) -> Vec<u64> {
        let sent = |source: &Source| if source.is_own() { source.sent } else { 0 };
        self.sources.iter().map(sent).collect()
    }

    /// Takes what all publishers have sent, from which follows what should arrive.
    pub(crate) fn conclude(&mut self, sent: &[u64]) {
        for (source, sent) in self.sources.iter_mut().zip(sent) {
            source.sent = *sent;
        }
        for group in &mut self.groups {
            group.expected = 0;
        }
        for receiver in &self.receivers {
            let group = &mut self.groups[receiver.group as usize];
            let sources = self.set_sources[group.set];
            for source in self.sources.iter().filter(|source| source.set == group.set) {
                for (slot, topic) in receiver.topics.iter().enumerate() {
                    let sent = source.round.sent(*topic, source.sent);
                    group.expected += sent;
                    group.ledger.close(receiver.cell + slot * sources + source.local, sent);
                }
            }
        }
    }

    /// True if all that was sent has arrived.
    pub(crate) fn settled(&self) -> bool {
        self.groups.iter().all(|group| {
            let over = group.slow.as_ref().is_some_and(Slow::all_ended);
            over || group.ledger.received() >= group.expected
        })
    }

    /// The connections of those that do not read, to be read again.
    pub(crate) fn resume(&self) -> Vec<usize> {
        self.groups.iter().filter_map(|group| group.slow.as_ref()).flat_map(Slow::resume).collect()
    }

    /// Takes the end of a connection; false if it should not have ended.
    pub(crate) fn closed(&mut self, conn: usize, now: u64) -> bool {
        self.groups.iter_mut().filter_map(|group| group.slow.as_mut()).any(|slow| slow.closed(conn, now))
    }

    /// Puts all results into the outcome. Names begin with the group's, if it has one.
    pub(crate) fn report(self, outcome: &mut Outcome) {
        for group in self.groups {
            let mut tally = group.ledger.tally(group.expected);
            if let Some(slow) = group.slow {
                // Whether who does not read may lose something is the router's choice.
                outcome.metric("slow_lost", tally.lost as f64, "events", Better::Neither, Combine::Sum);
                tally.lost = 0;
                slow.report(outcome);
            }
            outcome.accounts.insert(named(&group.name, "events"), tally);
            outcome.add_times(&named(&group.name, "delivery"), group.latency);
            if let Some((_, [before, during])) = group.divided {
                outcome.add_times(&named(&group.name, "delivery_before"), before);
                outcome.add_times(&named(&group.name, "delivery_during"), during);
            }
        }
        for sender in self.senders {
            outcome.add_times(&named(&sender.options.name, "last_subscriber"), sender.completion);
        }
        outcome.sent += self.sources.iter().filter(|source| source.is_own()).map(|source| source.sent).sum::<u64>();
        outcome.generator.send_lag.merge(self.lag.finish());
        if self.held_back > 0 {
            outcome.notes.push(format!("the router did not read: sending was held back {} times", self.held_back));
        }
        if self.stalls > 0 {
            outcome.notes.push(format!("the window stalled {} times", self.stalls));
        }
    }
}

/// The name of a result of a group.
pub(crate) fn named(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{group}_{name}") }
}

impl Source {
    fn is_own(&self) -> bool {
        self.conn != usize::MAX
    }

    /// True if the publisher can have sent this. `topic` is what the number in the stamp leads to.
    fn may_have_sent(&mut self, stamp: &Stamp, topic: u16) -> bool {
        if stamp.topic != self.base + topic {
            return false;
        }
        if !self.is_own() && stamp.sequence < self.sent + FAR {
            self.sent = self.sent.max(stamp.sequence + 1);
        }
        stamp.sequence < self.sent
    }

    /// Notes that a subscriber has got an event; true if it was the last one.
    fn complete(&mut self, sequence: u64, listeners: &[u32]) -> bool {
        let Some(place) = sequence.checked_sub(self.oldest) else { return false };
        // Of other workers' publishers nobody told that they sent something.
        while self.missing.len() as u64 <= place {
            let topic = self.base + self.round.topic(self.oldest + self.missing.len() as u64);
            self.missing.push_back(listeners[usize::from(topic)]);
        }
        let missing = &mut self.missing[place as usize];
        *missing = missing.saturating_sub(1);
        if *missing > 0 {
            return false;
        }
        // Earlier ones of the same topic should have come before it: waiting for them would stop a window.
        let mut earlier = place as usize;
        while let Some(place) = earlier.checked_sub(self.round.topics()) {
            if std::mem::take(&mut self.missing[place]) == 0 {
                break;
            }
            earlier = place;
        }
        self.forget_complete();
        true
    }

    fn forget_complete(&mut self) {
        while self.missing.front() == Some(&0) {
            self.missing.pop_front();
            self.oldest += 1;
        }
    }
}
