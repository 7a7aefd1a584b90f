//! The scenario `rpc`: callers call the procedures of callees in turn and get their payload back.

use anyhow::Result;
use serde_json::json;

use crate::calls::{Calls, Reply};
use crate::cli::{self, Rate, Router, Timing};
use crate::clock::SECOND;
use crate::drive::{self, Load, Schedule};
use crate::join::{self, CALL, ERROR, INVOCATION, RESULT, Session, Step, YIELD};
use crate::latency::Latency;
use crate::ledger::{Ledger, Tally};
use crate::net::{Handler, Net};
use crate::outcome::Outcome;
use crate::probe::Probe;
use crate::serializer::{Head, Serializer};
use crate::stamp::{self, Stamp};
use crate::template::Template;

/// Bytes that may wait for a caller's socket before it holds further calls back.
const BACKLOG: usize = 16 << 20;
/// When to try again what was held back, in nanoseconds.
const RETRY: u64 = SECOND / 1000;

struct Rpc {
    options: cli::RpcOptions,
    serializer: Serializer,
    schedule: Schedule,
    roles: Vec<Role>,
    callers: Vec<Caller>,
    registrations: Vec<u64>,
    /// One call per procedure.
    templates: Vec<Template>,
    yielding: Template,
    scratch: Vec<u8>,
    invocations: Ledger,
    replies: Tally,
    errors: u64,
    first_error: Option<String>,
    latency: Latency,
    lag: Latency,
    held_back: u64,
    failures: Vec<String>,
}

#[derive(Clone, Copy)]
enum Role {
    Nobody,
    Caller(usize),
    Callee(usize),
}

struct Caller {
    conn: usize,
    first_request: u64,
    calls: Calls,
}

/// Runs the scenario.
///
/// # Errors
/// If the sessions cannot join or the server cannot be watched.
pub(crate) fn run(
    options: &cli::RpcOptions,
    router: &Router,
    timing: &Timing,
    probe: Option<&Probe>,
) -> Result<Outcome> {
    let mut net = Net::new()?;
    let callees = usize::from(options.callees);
    let mut plans: Vec<_> = (0..callees).map(|number| vec![Step::Register(procedure(number))]).collect();
    plans.resize(callees + usize::from(options.callers), Vec::new());
    let sessions = join::join_all(&mut net, router, &plans)?;
    let schedule = Schedule::new(net.clock.now() + SECOND / 20, timing);
    let mut rpc = Rpc::new(options, router.serializer, &sessions, schedule);
    let window = drive::drive(&mut net, &mut rpc, &schedule, timing, probe)?;
    let made = rpc.made();
    let mut outcome = Outcome::new("call", window, rpc.lag.finish());
    outcome.sent = made;
    outcome.accounts.insert("invocations".into(), rpc.invocations.tally(made));
    let lost = rpc.callers.iter().map(|caller| caller.calls.pending()).sum();
    outcome.accounts.insert("replies".into(), Tally { expected: made, lost, ..rpc.replies });
    outcome.latencies.insert("round_trip".into(), rpc.latency.finish());
    outcome.failures = rpc.failures;
    if rpc.errors > 0 {
        let first = rpc.first_error.unwrap_or_default();
        outcome.failures.push(format!("{} calls were answered with an error, the first: {first}", rpc.errors));
    }
    if rpc.held_back > 0 {
        outcome.notes.push(format!("the router did not read: calling was held back {} times", rpc.held_back));
    }
    Ok(outcome)
}

fn procedure(number: usize) -> String {
    format!("bench.proc.{number}")
}

impl Rpc {
    fn new(options: &cli::RpcOptions, serializer: Serializer, sessions: &[Session], schedule: Schedule) -> Self {
        let (callees, callers) = sessions.split_at(usize::from(options.callees));
        let conns = sessions.iter().map(|session| session.conn + 1).max().unwrap_or(0);
        let mut roles = vec![Role::Nobody; conns];
        for (number, session) in callees.iter().enumerate() {
            roles[session.conn] = Role::Callee(number);
        }
        for (number, session) in callers.iter().enumerate() {
            roles[session.conn] = Role::Caller(number);
        }
        let call =
            |number| Template::new(serializer, &[CALL], &[json!({}), json!(procedure(number))], options.payload_bytes);
        let caller = |session: &Session| Caller {
            conn: session.conn,
            first_request: session.next_request(),
            calls: Calls::default(),
        };
        Self {
            options: options.clone(),
            serializer,
            schedule,
            roles,
            callers: callers.iter().map(caller).collect(),
            registrations: callees.iter().map(|session| session.ids[0]).collect(),
            templates: (0..callees.len()).map(call).collect(),
            yielding: Template::new(serializer, &[YIELD], &[json!({})], options.payload_bytes),
            scratch: Vec::new(),
            invocations: Ledger::new(callees.len(), callers.len()),
            replies: Tally::default(),
            errors: 0,
            first_error: None,
            latency: schedule.latency(),
            lag: schedule.latency(),
            held_back: 0,
            failures: Vec::new(),
        }
    }

    fn made(&self) -> u64 {
        self.callers.iter().map(|caller| caller.calls.made()).sum()
    }

    /// The callee that gets call `sequence` of a caller: each caller goes round all of them.
    fn callee(&self, caller: usize, sequence: u64) -> usize {
        ((caller as u64 + sequence) % self.registrations.len() as u64) as usize
    }

    fn call(&mut self, net: &mut Net, number: usize, intended: u64) {
        let sequence = self.callers[number].calls.begin(intended);
        let callee = self.callee(number, sequence);
        let stamp = Stamp { source: number as u16, topic: callee as u16, sequence, time: intended };
        let caller = &self.callers[number];
        stamp.write(self.templates[callee].write(&mut self.scratch, caller.first_request + sequence));
        net.send(caller.conn, &self.scratch);
    }

    /// Makes the scheduled calls whose time has come; false if it had to hold some back.
    fn pump_scheduled(&mut self, net: &mut Net, rate: f64, now: u64) -> bool {
        let count = self.callers.len();
        let held_before = self.held_back;
        for number in 0..count {
            loop {
                let caller = &self.callers[number];
                let intended = self.schedule.intended(rate, caller.calls.made(), number, count);
                if intended > now || intended >= self.schedule.until {
                    break;
                }
                if net.backlog(caller.conn) > BACKLOG {
                    self.held_back += 1;
                    break;
                }
                if self.schedule.measures(intended) {
                    self.lag.record(now - intended, now);
                }
                self.call(net, number, intended);
            }
        }
        self.held_back == held_before
    }

    fn invoked(&mut self, net: &mut Net, callee: usize, conn: usize, head: Head, message: &[u8]) {
        let place = stamp::locate(message, self.options.payload_bytes);
        let Some((place, stamp)) = place.and_then(|place| Some((place.clone(), Stamp::read(&message[place])?))) else {
            return self.invocations.stray();
        };
        let caller = usize::from(stamp.source);
        let known = self.callers.get(caller).is_some_and(|caller| stamp.sequence < caller.calls.made());
        if !known
            || head.kind != INVOCATION
            || head.second != self.registrations[callee]
            || self.callee(caller, stamp.sequence) != callee
        {
            return self.invocations.stray();
        }
        self.invocations.arrive(callee, caller, stamp.sequence / self.registrations.len() as u64);
        self.yielding.write(&mut self.scratch, head.first).copy_from_slice(&message[place]);
        net.send(conn, &self.scratch);
    }

    fn replied(&mut self, number: usize, head: Head, message: &[u8], now: u64) {
        let caller = &mut self.callers[number];
        let request = match head.kind {
            RESULT => head.first,
            ERROR => head.second,
            _ => return self.replies.stray += 1,
        };
        let Some(sequence) = request.checked_sub(caller.first_request) else { return self.replies.stray += 1 };
        if head.kind == RESULT {
            let stamp = stamp::find(message, self.options.payload_bytes);
            let own = stamp.is_some_and(|stamp| (usize::from(stamp.source), stamp.sequence) == (number, sequence));
            if !own {
                return self.replies.stray += 1;
            }
        }
        match caller.calls.end(sequence) {
            Reply::Unknown => self.replies.stray += 1,
            Reply::Doubled => self.replies.doubled += 1,
            Reply::First(intended) => {
                self.replies.received += 1;
                if head.kind == ERROR {
                    self.errors += 1;
                    let text = || self.serializer.decode(message).map(|value| value.to_string()).unwrap_or_default();
                    self.first_error.get_or_insert_with(text);
                } else if self.schedule.measures(intended) {
                    self.latency.record(now.saturating_sub(intended), now);
                }
            }
        }
    }
}

impl Load for Rpc {
    fn pump(&mut self, net: &mut Net, now: u64, schedule: &Schedule) -> Option<u64> {
        match self.options.rate {
            Rate::Max if now < schedule.start => Some(schedule.start),
            Rate::Max if now >= schedule.until => None,
            Rate::Max => {
                for number in 0..self.callers.len() {
                    let free = u64::from(self.options.window).saturating_sub(self.callers[number].calls.pending());
                    for _ in 0..free {
                        self.call(net, number, now);
                    }
                }
                None
            }
            Rate::PerSecond(rate) => {
                if !self.pump_scheduled(net, rate, now) {
                    return Some(now + RETRY);
                }
                drive::next_due(self.options.rate, schedule, self.callers.iter().map(|caller| caller.calls.made()))
            }
        }
    }

    fn unit(&self) -> &str {
        "call"
    }

    fn delivered(&self) -> u64 {
        self.replies.received
    }

    fn settled(&mut self) -> bool {
        self.callers.iter().all(|caller| caller.calls.pending() == 0)
    }
}

impl Handler for Rpc {
    fn opened(&mut self, _: &mut Net, _: usize) {}

    fn message(&mut self, net: &mut Net, conn: usize, message: &[u8], now: u64) {
        let role = self.roles.get(conn).copied().unwrap_or(Role::Nobody);
        match (self.serializer.head(message), role) {
            (Some(head), Role::Callee(callee)) => self.invoked(net, callee, conn, head, message),
            (Some(head), Role::Caller(caller)) => self.replied(caller, head, message, now),
            _ => self.replies.stray += 1,
        }
    }

    fn closed(&mut self, _: &mut Net, _: usize, reason: &str) {
        self.failures.push(format!("a connection was lost: {reason}"));
    }
}
