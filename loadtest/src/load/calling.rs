//! The callers and callees of a worker: calls go out when they are due, and every invocation and result is accounted
//! for.

use serde_json::json;

use crate::cli::Rate;
use crate::load::calls::{Calls, Reply};
use crate::load::drive::Schedule;
use crate::load::events::{BACKLOG, RETRY, named};
use crate::load::ledger::{Ledger, Tally};
use crate::load::plan::{self, Callers, Plan, Share};
use crate::load::sequence::Arrival;
use crate::load::stamp::{self, Stamp};
use crate::result::latency::Latency;
use crate::result::outcome::Outcome;
use crate::wire::join::{CALL, ERROR, INVOCATION, RESULT, Session, YIELD};
use crate::wire::net::Net;
use crate::wire::serializer::{Head, Serializer};
use crate::wire::template::Template;

/// All of them.
pub(crate) struct Calling {
    serializer: Serializer,
    schedule: Schedule,
    groups: Vec<Group>,
    /// Every caller of the plan, also those of other workers.
    sources: Vec<Source>,
    /// The callers of this worker.
    own: Vec<usize>,
    callees: Vec<Callee>,
    /// Length of the latest payload.
    hint: usize,
    scratch: Vec<u8>,
    invocations: Ledger,
    lag: Latency,
    held_back: u64,
}

/// A group of callers.
struct Group {
    options: Callers,
    first: usize,
    /// Number of the first procedure, and how many there are.
    base: u16,
    procedures: u64,
    /// One call per procedure.
    templates: Vec<Template>,
    /// A result, and a progressive one.
    yielding: [Template; 2],
    replies: Tally,
    progress: Tally,
    latency: Latency,
    first_result: Latency,
    errors: u64,
    first_error: Option<String>,
}

/// A caller.
struct Source {
    group: usize,
    conn: usize,
    first_request: u64,
    /// Empty for those of other workers.
    calls: Calls,
    /// Calls made; of other workers' callers known only at the end.
    made: u64,
}

struct Callee {
    /// Its number among those of all groups.
    number: u16,
    registration: u64,
}

impl Calling {
    /// Callees and callers of this worker's share; `take` gives the sessions in the order in which `crowd` joins them.
    pub(crate) fn new(
        plan: &Plan,
        share: Share,
        serializer: Serializer,
        schedule: Schedule,
        take: &mut dyn Iterator<Item = Session>,
    ) -> Self {
        let mut callees = Vec::new();
        for (place, group) in plan.callees.iter().enumerate() {
            let base = plan.first_procedure(place);
            for number in (0..group.count).filter(|number| share.owns(usize::from(*number))) {
                let registration = take.next().map_or(0, |session| session.ids[0]);
                callees.push(Callee { number: base + number, registration });
            }
        }
        let sources: usize = plan.callers.iter().map(|group| usize::from(group.count)).sum();
        let mut calling = Self {
            serializer,
            schedule,
            groups: Vec::new(),
            sources: Vec::new(),
            own: Vec::new(),
            invocations: Ledger::new(callees.len(), sources),
            callees,
            hint: plan.callers.first().map_or(stamp::MIN_PAYLOAD, |group| group.payload_bytes),
            scratch: Vec::new(),
            lag: schedule.latency(),
            held_back: 0,
        };
        for options in &plan.callers {
            calling.add_callers(plan, options, share, take);
        }
        calling
    }

    fn add_callers(&mut self, plan: &Plan, options: &Callers, share: Share, take: &mut dyn Iterator<Item = Session>) {
        let (base, procedures) = (plan.first_procedure(options.callees), plan.callees[options.callees].count);
        let how = if options.progressive > 0 { json!({"receive_progress": true}) } else { json!({}) };
        let template = |number| {
            let rest = [how.clone(), json!(plan::procedure_uri(base + number))];
            Template::new(self.serializer, &[CALL], &rest, options.payload_bytes)
        };
        let yielding = |how| Template::new(self.serializer, &[YIELD], &[how], options.payload_bytes);
        self.groups.push(Group {
            options: options.clone(),
            first: self.sources.len(),
            base,
            procedures: procedures.into(),
            templates: (0..procedures).map(template).collect(),
            yielding: [yielding(json!({})), yielding(json!({"progress": true}))],
            replies: Tally::default(),
            progress: Tally::default(),
            latency: self.schedule.latency(),
            first_result: self.schedule.latency(),
            errors: 0,
            first_error: None,
        });
        for number in 0..usize::from(options.count) {
            let session = if share.owns(number) { take.next() } else { None };
            if session.is_some() {
                self.own.push(self.sources.len());
            }
            self.sources.push(Source {
                group: self.groups.len() - 1,
                conn: session.as_ref().map_or(usize::MAX, |session| session.conn),
                first_request: session.as_ref().map_or(0, Session::next_request),
                calls: Calls::default(),
                made: 0,
            });
        }
    }

    /// The numbers of this worker's callers, in the order of their sessions.
    pub(crate) fn callers(&self) -> &[usize] {
        &self.own
    }

    /// Makes the calls that are due; gives when the next is due.
    pub(crate) fn pump(&mut self, net: &mut Net, now: u64) -> Option<u64> {
        let mut due = None;
        for at in 0..self.own.len() {
            let number = self.own[at];
            let options = &self.groups[self.sources[number].group].options;
            let next = match options.rate {
                Rate::Max if now < self.schedule.start => Some(self.schedule.start),
                Rate::Max if now >= self.schedule.until => None,
                Rate::Max => {
                    let free = u64::from(options.window).saturating_sub(self.sources[number].calls.pending());
                    for _ in 0..free {
                        self.call(net, number, now);
                    }
                    None
                }
                Rate::PerSecond(rate) => self.pump_scheduled(net, number, rate, now),
            };
            due = due.into_iter().chain(next).min();
        }
        due
    }

    /// Makes the scheduled calls whose time has come; gives when the next is due.
    fn pump_scheduled(&mut self, net: &mut Net, number: usize, rate: f64, now: u64) -> Option<u64> {
        loop {
            let source = &self.sources[number];
            let group = &self.groups[source.group];
            let count = usize::from(group.options.count);
            let intended = self.schedule.intended(rate, source.made, number - group.first, count);
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
            self.call(net, number, intended);
        }
    }

    fn call(&mut self, net: &mut Net, number: usize, intended: u64) {
        let source = &mut self.sources[number];
        let group = &self.groups[source.group];
        let sequence = source.calls.begin(intended);
        source.made += 1;
        let procedure = group.procedure(number, sequence);
        let stamp = Stamp { source: number as u16, topic: group.base + procedure, sequence, time: intended };
        let template = &group.templates[usize::from(procedure)];
        stamp.write(template.write(&mut self.scratch, source.first_request + sequence));
        net.send(source.conn, &self.scratch);
    }

    /// Takes a message to a callee.
    pub(crate) fn invoked(&mut self, net: &mut Net, callee: usize, conn: usize, message: &[u8]) {
        let head = self.serializer.head(message);
        let (Some(head), Some((place, mut stamp))) = (head, self.stamp(message)) else {
            return self.invocations.stray();
        };
        let number = usize::from(stamp.source);
        let Callee { number: own, registration } = self.callees[callee];
        let source = &mut self.sources[number];
        let group = &self.groups[source.group];
        if head.kind != INVOCATION || stamp.topic != group.base + group.procedure(number, stamp.sequence) {
            return self.invocations.stray();
        }
        if source.is_own() && stamp.sequence >= source.made {
            return self.invocations.stray();
        }
        if head.second != registration || stamp.topic != own {
            return self.invocations.misrouted();
        }
        self.invocations.arrive(callee, number, stamp.sequence / group.procedures);
        for step in 0..=group.options.progressive {
            let last = step == group.options.progressive;
            let payload = group.yielding[usize::from(!last)].write(&mut self.scratch, head.first);
            payload.copy_from_slice(&message[place.clone()]);
            if group.options.progressive > 0 {
                stamp.topic = step;
                stamp.write(payload);
            }
            net.send(conn, &self.scratch);
        }
    }

    /// Takes a message to a caller.
    pub(crate) fn replied(&mut self, number: usize, message: &[u8], now: u64) {
        let head = self.serializer.head(message);
        let found = self.stamp(message);
        let source = &mut self.sources[number];
        let group = &mut self.groups[source.group];
        let request = match head {
            Some(Head { kind: RESULT, first, .. }) => first,
            Some(Head { kind: ERROR, second, .. }) => second,
            _ => return group.replies.stray += 1,
        };
        let Some(sequence) = request.checked_sub(source.first_request) else { return group.replies.stray += 1 };
        if head.is_some_and(|head| head.kind == ERROR) {
            let text = || self.serializer.decode(message).map(|value| value.to_string()).unwrap_or_default();
            group.errors += 1;
            group.first_error.get_or_insert_with(text);
            return match source.calls.end(sequence, 0) {
                Reply::First { .. } => group.replies.received += 1,
                Reply::Doubled => group.replies.doubled += 1,
                Reply::Unknown => group.replies.stray += 1,
            };
        }
        let Some((place, stamp)) = found else { return group.replies.stray += 1 };
        let (own, progressive) = ((usize::from(stamp.source), stamp.sequence), group.options.progressive);
        let is_progress = progressive > 0 && self.serializer.is_progress(&message[..place.start]);
        // The number in the payload and what the router says about it have to agree.
        if own != (number, sequence) || progressive > 0 && is_progress != (stamp.topic < progressive) {
            return group.replies.stray += 1;
        }
        if is_progress {
            group.progressed(source.calls.progress(sequence, stamp.topic.into()), &self.schedule, stamp, now);
            return;
        }
        match source.calls.end(sequence, progressive.into()) {
            Reply::Unknown => group.replies.stray += 1,
            Reply::Doubled => group.replies.doubled += 1,
            Reply::First { intended, missing } => {
                group.replies.received += 1;
                group.progress.lost += missing;
                if self.schedule.measures(intended) {
                    group.latency.record(now.saturating_sub(intended), now);
                }
            }
        }
    }

    /// The stamp of a message and where its payload stands: of the same length as the latest one, as a rule.
    fn stamp(&mut self, message: &[u8]) -> Option<(std::ops::Range<usize>, Stamp)> {
        for place in [stamp::locate(message, self.hint), stamp::locate_any(message)].into_iter().flatten() {
            if let Some(stamp) = Stamp::read(&message[place.clone()])
                && let Some(source) = self.sources.get(usize::from(stamp.source))
                && self.groups[source.group].options.payload_bytes == place.len()
            {
                self.hint = place.len();
                return Some((place, stamp));
            }
        }
        None
    }

    /// Replies so far.
    pub(crate) fn received(&self) -> u64 {
        self.groups.iter().map(|group| group.replies.received).sum()
    }

    /// What happened so far, to see whether waiting makes sense.
    pub(crate) fn progress(&self) -> u64 {
        self.received()
            + self.invocations.received()
            + self.groups.iter().map(|group| group.progress.received).sum::<u64>()
    }

    /// Calls that each caller of the plan has made; 0 for those of other workers.
    pub(crate) fn made(&self) -> Vec<u64> {
        self.sources.iter().map(|source| source.made).collect()
    }

    /// Takes what all callers have made.
    pub(crate) fn conclude(&mut self, made: &[u64]) {
        for (source, made) in self.sources.iter_mut().zip(made) {
            source.made = *made;
        }
        for callee in 0..self.callees.len() {
            for number in 0..self.sources.len() {
                let expected = self.expected(callee, number);
                self.invocations.close(callee * self.sources.len() + number, expected);
            }
        }
    }

    /// How many calls of a caller should arrive at a callee.
    fn expected(&self, callee: usize, number: usize) -> u64 {
        let source = &self.sources[number];
        let group = &self.groups[source.group];
        let Some(procedure) = self.callees[callee].number.checked_sub(group.base).map(u64::from) else { return 0 };
        if procedure >= group.procedures {
            return 0;
        }
        let offset = (number - group.first) as u64 % group.procedures;
        let place = (procedure + group.procedures - offset) % group.procedures;
        source.made / group.procedures + u64::from(place < source.made % group.procedures)
    }

    fn invocations_expected(&self) -> u64 {
        let pairs =
            (0..self.callees.len()).flat_map(|callee| (0..self.sources.len()).map(move |number| (callee, number)));
        pairs.map(|(callee, number)| self.expected(callee, number)).sum()
    }

    /// True if every call has its reply, and every invocation that is due here has come.
    pub(crate) fn settled(&self) -> bool {
        self.own.iter().all(|number| self.sources[*number].calls.pending() == 0)
            && self.invocations.received() >= self.invocations_expected()
    }

    /// Puts all results into the outcome. Names begin with the group's, if it has one.
    pub(crate) fn report(mut self, outcome: &mut Outcome) {
        if self.groups.is_empty() {
            return;
        }
        outcome.accounts.insert("invocations".into(), self.invocations.tally(self.invocations_expected()));
        let mut expected = vec![0; self.groups.len()];
        for number in &self.own {
            let source = &self.sources[*number];
            expected[source.group] += source.made;
            let group = &mut self.groups[source.group];
            group.progress.lost += source.calls.missing(group.options.progressive.into());
        }
        for (group, expected) in self.groups.into_iter().zip(expected) {
            let name = |name: &str| named(&group.options.name, name);
            let lost = expected - group.replies.received.min(expected);
            outcome.accounts.insert(name("replies"), Tally { expected, lost, ..group.replies });
            if group.options.progressive > 0 {
                let expected = expected * u64::from(group.options.progressive);
                outcome.accounts.insert(name("progressive_results"), Tally { expected, ..group.progress });
            }
            outcome.add_times(&name("round_trip"), group.latency);
            outcome.add_times(&name("first_result"), group.first_result);
            outcome.sent += expected;
            if group.errors > 0 {
                let first = group.first_error.unwrap_or_default();
                outcome
                    .failures
                    .push(format!("{} calls were answered with an error, the first: {first}", group.errors));
            }
        }
        outcome.generator.send_lag.merge(self.lag.finish());
        if self.held_back > 0 {
            outcome.notes.push(format!("the router did not read: calling was held back {} times", self.held_back));
        }
    }
}

impl Source {
    fn is_own(&self) -> bool {
        self.conn != usize::MAX
    }
}

impl Group {
    /// The procedure, within the group of callees, of call `sequence`: each caller goes round all of them.
    fn procedure(&self, number: usize, sequence: u64) -> u16 {
        (((number - self.first) as u64 + sequence) % self.procedures) as u16
    }

    fn progressed(&mut self, arrival: Option<Arrival>, schedule: &Schedule, stamp: Stamp, now: u64) {
        match arrival {
            None => return self.progress.stray += 1,
            Some(Arrival::Doubled) => return self.progress.doubled += 1,
            Some(Arrival::Late) => self.progress.misordered += 1,
            Some(Arrival::Forward) => {}
        }
        self.progress.received += 1;
        if stamp.topic == 0 && schedule.measures(stamp.time) {
            self.first_result.record(now.saturating_sub(stamp.time), now);
        }
    }
}
