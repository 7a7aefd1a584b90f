//! A worker's share of a plan, as a load: it gives every message to the part whose connection it came over.

use anyhow::Result;

use crate::cli::{Router, Timing};
use crate::drive::{self, Load, Schedule};
use crate::events::Events;
use crate::join::{self, Session, Step};
use crate::link::{Link, Order, Report};
use crate::net::{Handler, Net};
use crate::outcome::Outcome;
use crate::plan::{self, Plan, Share};
use crate::probe::Probe;

struct Crowd<'a> {
    unit: &'a str,
    roles: Vec<Role>,
    events: Events,
    link: &'a Link,
    /// True once it is known what all workers have sent.
    concluded: bool,
    reported: bool,
    /// Grows while this worker has all and others have not.
    waited: u64,
    failures: Vec<String>,
}

#[derive(Clone, Copy)]
enum Role {
    Nobody,
    Subscriber(usize),
    /// Gets nothing.
    Publisher,
}

/// Brings a share of a plan up, runs it, and gives its part of the outcome.
///
/// # Errors
/// If sessions cannot join, the server cannot be watched, or the other workers are gone.
pub(crate) fn run(
    plan: &Plan,
    share: Share,
    router: &Router,
    timing: &Timing,
    probe: Option<&Probe>,
    link: &Link,
) -> Result<Outcome> {
    let mut net = Net::new()?;
    let sessions = join::join_all(&mut net, router, &steps(plan, share))?;
    let schedule = Schedule::new(link.await_start(&mut net)?, timing);
    let mut crowd = Crowd::new(plan, share, router, schedule, sessions, link);
    let window = drive::drive(&mut net, &mut crowd, &schedule, timing, probe)?;
    let mut outcome = Outcome::new(crowd.unit, window, Default::default());
    outcome.failures = crowd.failures;
    crowd.events.report(&mut outcome);
    outcome.conclude();
    Ok(outcome)
}

/// What each session of a share does before the load begins, in the order in which the parts take the sessions.
fn steps(plan: &Plan, share: Share) -> Vec<Vec<Step>> {
    let mut steps = Vec::new();
    let mut numbers = vec![0; plan.sets.len()];
    for group in &plan.subscribers {
        let (base, of) = (plan.first_topic(group.set), plan.sets[group.set].topics);
        for number in (0..group.count as usize).filter(|number| share.owns(*number)) {
            let topics = plan::choose(numbers[group.set] + number, group.topics, of);
            steps.push(topics.iter().map(|topic| Step::Subscribe(plan::topic_uri(base + topic))).collect());
        }
        numbers[group.set] += group.count as usize;
    }
    let publishers: usize = plan.publishers.iter().map(|group| share.of(group.count.into())).sum();
    steps.resize(steps.len() + publishers, Vec::new());
    steps
}

impl<'a> Crowd<'a> {
    fn new(
        plan: &'a Plan,
        share: Share,
        router: &Router,
        schedule: Schedule,
        sessions: Vec<Session>,
        link: &'a Link,
    ) -> Self {
        let conns = sessions.iter().map(|session| session.conn + 1).max().unwrap_or(0);
        let mut roles = vec![Role::Nobody; conns];
        let subscribers: usize = plan.subscribers.iter().map(|group| share.of(group.count as usize)).sum();
        let order: Vec<usize> = sessions.iter().map(|session| session.conn).collect();
        let mut take = sessions.into_iter();
        let mut events = Events::new(plan, share, router.serializer, schedule, &mut take);
        for (number, conn) in order.into_iter().enumerate() {
            roles[conn] = if number < subscribers {
                events.watch(number, conn);
                Role::Subscriber(number)
            } else {
                Role::Publisher
            };
        }
        Self {
            unit: &plan.unit,
            roles,
            events,
            link,
            concluded: false,
            reported: false,
            waited: 0,
            failures: Vec::new(),
        }
    }
}

impl Load for Crowd<'_> {
    fn pump(&mut self, net: &mut Net, now: u64, _: &Schedule) -> Option<u64> {
        self.events.pump(net, now)
    }

    fn unit(&self) -> &str {
        self.unit
    }

    fn delivered(&self) -> u64 {
        self.events.received()
    }

    fn finish(&mut self, net: &mut Net) {
        for conn in self.events.resume() {
            net.resume(self, conn);
        }
        self.link.report(Report::Sent(self.events.sent()));
    }

    fn settled(&mut self) -> bool {
        while let Some(order) = self.link.order() {
            match order {
                Order::Totals(sent) => {
                    self.events.conclude(&sent);
                    self.concluded = true;
                }
                Order::Finish => return true,
                Order::Start(_) => {}
            }
        }
        if self.concluded && self.events.settled() {
            self.waited += 1;
            if !self.reported {
                self.reported = true;
                self.link.report(Report::Settled);
            }
        }
        false
    }

    fn progress(&self) -> u64 {
        self.delivered() + self.waited
    }
}

impl Handler for Crowd<'_> {
    fn opened(&mut self, _: &mut Net, _: usize) {}

    fn message(&mut self, _: &mut Net, conn: usize, message: &[u8], now: u64) {
        match self.roles.get(conn) {
            Some(Role::Subscriber(number)) => self.events.message(*number, message, now),
            _ => self.failures.push(format!("an unexpected message: {}", String::from_utf8_lossy(message))),
        }
    }

    fn closed(&mut self, net: &mut Net, conn: usize, reason: &str) {
        if !self.events.closed(conn, net.clock.now()) {
            self.failures.push(format!("a connection was lost: {reason}"));
        }
    }
}
