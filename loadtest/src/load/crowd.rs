//! A worker's share of a plan, as a load: it gives every message to the part whose connection it came over.

use anyhow::Result;

use crate::cli::{Router, Timing};
use crate::load::calling::Calling;
use crate::load::churn::Churn;
use crate::load::drive::{self, Load, Schedule};
use crate::load::events::Events;
use crate::load::plan::{self, Plan, Share};
use crate::probe::Probe;
use crate::result::outcome::Outcome;
use crate::wire::join::{self, Session, Step};
use crate::wire::link::{Link, Order, Report, Sent};
use crate::wire::net::{Handler, Net};

struct Crowd<'a> {
    unit: &'a str,
    roles: Vec<Role>,
    events: Events,
    calling: Calling,
    churn: Vec<Churn>,
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
    Callee(usize),
    Caller(usize),
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
    let mut crowd = Crowd::new(plan, share, router, schedule, sessions, link)?;
    let window = drive::drive(&mut net, &mut crowd, &schedule, timing, probe)?;
    let mut outcome = Outcome::new(crowd.unit, window, Default::default());
    outcome.failures = crowd.failures;
    crowd.events.report(&mut outcome);
    crowd.calling.report(&mut outcome);
    crowd.churn.into_iter().for_each(|churn| churn.report(&mut outcome));
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
    for (place, group) in plan.callees.iter().enumerate() {
        let base = plan.first_procedure(place);
        let own = (0..group.count).filter(|number| share.owns(usize::from(*number)));
        steps.extend(own.map(|number| vec![Step::Register(plan::procedure_uri(base + number))]));
    }
    let callers: usize = plan.callers.iter().map(|group| share.of(group.count.into())).sum();
    steps.resize(steps.len() + callers, Vec::new());
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
    ) -> Result<Self> {
        let conns: Vec<usize> = sessions.iter().map(|session| session.conn).collect();
        let mut take = sessions.into_iter();
        let mut events = Events::new(plan, share, router.serializer, schedule, &mut take);
        let calling = Calling::new(plan, share, router.serializer, schedule, &mut take);
        let count = |counts: &mut dyn Iterator<Item = usize>| counts.map(|count| share.of(count)).sum::<usize>();
        let subscribers = count(&mut plan.subscribers.iter().map(|group| group.count as usize));
        let publishers = count(&mut plan.publishers.iter().map(|group| group.count.into()));
        let callees = count(&mut plan.callees.iter().map(|group| group.count.into()));
        let order = (0..subscribers)
            .map(Role::Subscriber)
            .chain((0..publishers).map(|_| Role::Publisher))
            .chain((0..callees).map(Role::Callee))
            .chain(calling.callers().iter().map(|number| Role::Caller(*number)));
        let mut roles = vec![Role::Nobody; conns.iter().max().map_or(0, |conn| conn + 1)];
        for (role, conn) in order.zip(conns) {
            roles[conn] = role;
            if let Role::Subscriber(number) = role {
                events.watch(number, conn);
            }
        }
        let churn = plan.visitors.iter().map(|group| Churn::new(plan, group, share, router, schedule));
        Ok(Self {
            unit: &plan.unit,
            roles,
            events,
            calling,
            churn: churn.collect::<Result<_>>()?,
            link,
            concluded: false,
            reported: false,
            waited: 0,
            failures: Vec::new(),
        })
    }
}

impl Load for Crowd<'_> {
    fn pump(&mut self, net: &mut Net, now: u64, _: &Schedule) -> Option<u64> {
        let visits = self.churn.iter_mut().filter_map(|churn| churn.pump(net, now)).min();
        [self.events.pump(net, now), self.calling.pump(net, now), visits].into_iter().flatten().min()
    }

    fn unit(&self) -> &str {
        self.unit
    }

    fn delivered(&self) -> u64 {
        self.events.received() + self.calling.received()
    }

    fn finish(&mut self, net: &mut Net) {
        self.churn.iter_mut().for_each(Churn::finish);
        for conn in self.events.resume() {
            net.resume(self, conn);
        }
        self.link.report(Report::Sent(Sent { events: self.events.sent(), calls: self.calling.made() }));
    }

    fn settled(&mut self, net: &mut Net) -> bool {
        while let Some(order) = self.link.order() {
            match order {
                Order::Totals(sent) => {
                    self.events.conclude(&sent.events);
                    self.calling.conclude(&sent.calls);
                    self.concluded = true;
                }
                Order::Finish => return true,
                Order::Start(_) | Order::Again { .. } | Order::Events | Order::Stop => {}
            }
        }
        let now = net.clock.now();
        self.churn.iter_mut().for_each(|churn| churn.let_go(net, now));
        let visited = self.churn.iter().all(Churn::settled);
        if self.concluded && visited && self.events.settled() && self.calling.settled() {
            self.waited += 1;
            if !self.reported {
                self.reported = true;
                self.link.report(Report::Settled);
            }
        }
        false
    }

    fn progress(&self) -> u64 {
        let visits: u64 = self.churn.iter().map(Churn::progress).sum();
        self.events.received() + self.calling.progress() + visits + self.waited
    }
}

impl Handler for Crowd<'_> {
    fn opened(&mut self, net: &mut Net, conn: usize) {
        self.churn.iter_mut().any(|churn| churn.opened(net, conn));
    }

    fn message(&mut self, net: &mut Net, conn: usize, message: &[u8], now: u64) {
        match self.roles.get(conn) {
            Some(Role::Subscriber(number)) => self.events.message(*number, message, now),
            Some(Role::Callee(number)) => self.calling.invoked(net, *number, conn, message),
            Some(Role::Caller(number)) => self.calling.replied(*number, message, now),
            Some(Role::Publisher | Role::Nobody) | None => {
                if !self.churn.iter_mut().any(|churn| churn.message(net, conn, message, now)) {
                    self.failures.push(format!("an unexpected message: {}", String::from_utf8_lossy(message)));
                }
            }
        }
    }

    fn closed(&mut self, net: &mut Net, conn: usize, reason: &str) {
        // The number may be another connection's soon.
        let known = self.roles.get_mut(conn).map(|role| std::mem::replace(role, Role::Nobody));
        let visitor = matches!(known, None | Some(Role::Nobody));
        match visitor {
            true if self.churn.iter_mut().any(|churn| churn.closed(conn, reason)) => {}
            false if self.events.closed(conn, net.clock.now()) => {}
            _ => self.failures.push(format!("a connection was lost: {reason}")),
        }
    }
}
