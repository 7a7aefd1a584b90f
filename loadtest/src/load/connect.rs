//! The scenarios `connect` (a storm of connections, and another one after all have been cut off) and `idle` (the memory
//! of sessions that do nothing).

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::json;

use crate::cli::{self, Rate, Router, Run};
use crate::clock::SECOND;
use crate::load::crew::{Crew, Job, Task};
use crate::load::drive;
use crate::load::plan;
use crate::load::scenario::Side;
use crate::load::stamp::Stamp;
use crate::load::storm::Storm;
use crate::probe::Probe;
use crate::result::outcome::{Better, Combine, Outcome, Server as ServerUse};
use crate::stop;
use crate::wire::join::{self, ERROR, PUBLISH, PUBLISHED, Session};
use crate::wire::link::{Order, Report};
use crate::wire::net::{Handler, Net};
use crate::wire::serializer::Serializer;
use crate::wire::template::Template;

/// Length of the payload of `idle`.
const PAYLOAD: usize = 64;
/// Sessions of `idle` that are on their way at one time.
const IN_FLIGHT: u32 = 100;
/// How long acknowledgements may take, in nanoseconds.
const ACKNOWLEDGE: u64 = 30 * SECOND;

/// Runs the scenario `connect`. A server that was started for it is restarted to cut the sessions off.
///
/// # Errors
/// If the router cannot be reached, does not retain, or cannot be started again.
pub(crate) fn connect(options: &cli::ConnectOptions, side: &mut Side, run: &Run) -> Result<Outcome> {
    let storm = Storm {
        sessions: options.sessions,
        topics: options.topics,
        rate: options.rate,
        in_flight: options.in_flight,
        retained: !options.no_retained,
    };
    let mut lead = Lead::new(storm, options.payload_bytes, side, run)?;
    if !options.no_retained {
        lead.publish(&side.router, true).context("the values cannot be retained (--no-retained?)")?;
    }
    let [before, after] = lead.first_wave(0.0)?;
    if options.reconnect && !stop::asked() {
        let time = lead.net.clock.now();
        if side.restart()? {
            lead.join(&side.router)?;
            if !options.no_retained {
                lead.publish(&side.router, true)?;
            }
        }
        lead.order(&Order::Again { time, url: side.router.url.clone() })?;
    }
    let mut outcome = lead.finish(before, after)?;
    if !options.no_retained && outcome.accounts.values().any(|tally| tally.lost > 0) {
        outcome.notes.push("a router that does not retain events serves nobody: --no-retained asks for less".into());
    }
    outcome.conclude();
    Ok(outcome)
}

/// Runs the scenario `idle`: memory is read, the sessions join, memory is read again, and one event per topic proves
/// that every session is there.
///
/// # Errors
/// If the router cannot be reached or watched.
pub(crate) fn idle(options: &cli::IdleOptions, side: &Side, run: &Run) -> Result<Outcome> {
    let storm = Storm {
        sessions: options.sessions,
        topics: options.topics,
        rate: Rate::Max,
        in_flight: IN_FLIGHT,
        retained: false,
    };
    let mut lead = Lead::new(storm, PAYLOAD, side, run)?;
    let [before, after] = lead.first_wave(options.settle)?;
    lead.publish(&side.router, false)?;
    lead.order(&Order::Events)?;
    let mut outcome = lead.finish(before, after)?;
    outcome.unit = "join".into();
    let count = f64::from(options.sessions);
    outcome.metric("sessions", count, "sessions", Better::Neither, Combine::Sum);
    if let Some((before, after)) = before.zip(after) {
        let each = (after.memory as f64 - before.memory as f64) / count;
        outcome.metric("server_memory_each", each, "bytes/session", Better::Lower, Combine::Max);
    }
    outcome.conclude();
    Ok(outcome)
}

/// What the server has used so far.
#[derive(Clone, Copy)]
struct Used {
    cpu: u64,
    memory: u64,
}

/// Leads the workers of a storm, and publishes.
struct Lead {
    topics: u16,
    payload_bytes: usize,
    crew: Crew,
    probe: Option<Probe>,
    /// Holds the publisher.
    net: Net,
    publisher: Publisher,
    session: Session,
    /// How often there were publications to all topics.
    sequence: u64,
}

impl Lead {
    /// Starts the workers and the publisher, which comes first: what the router sets up once is not counted for the
    /// sessions.
    fn new(storm: Storm, payload_bytes: usize, side: &Side, run: &Run) -> Result<Self> {
        let probe = side.pid.map(Probe::new).transpose()?;
        let topics = storm.topics;
        let task = Task { job: Job::Storm(storm), router: side.router.clone(), timing: run.timing, pid: None };
        let mut net = Net::new()?;
        let session = join::join_all(&mut net, &side.router, &[vec![]])?.remove(0);
        let publisher = Publisher { serializer: side.router.serializer, missing: 0, failure: None };
        let crew = Crew::start(&task, run.workers())?;
        let mut lead = Self { topics, payload_bytes, crew, probe, net, publisher, session, sequence: 0 };
        lead.await_all(|report| matches!(report, Report::Ready))?;
        Ok(lead)
    }

    /// Lets the publisher join again.
    fn join(&mut self, router: &Router) -> Result<()> {
        self.net = Net::new()?;
        self.session = join::join_all(&mut self.net, router, &[vec![]])?.remove(0);
        self.publisher.failure = None;
        Ok(())
    }

    fn used(&self) -> Result<Option<Used>> {
        self.probe.as_ref().map(|probe| Ok(Used { cpu: probe.cpu()?, memory: probe.memory()? })).transpose()
    }

    /// Lets all sessions come; gives what the server had used before and after. Waits this many seconds before each
    /// look.
    fn first_wave(&mut self, settle: f64) -> Result<[Option<Used>; 2]> {
        self.pause(settle)?;
        let before = self.used()?;
        self.order(&Order::Start(self.net.clock.now() + SECOND / 20))?;
        self.pause(settle)?;
        Ok([before, self.used()?])
    }

    /// Gives an order and waits until every worker has carried it out.
    fn order(&mut self, order: &Order) -> Result<()> {
        self.crew.order_all(order);
        self.await_all(|report| matches!(report, Report::Settled))
    }

    fn finish(self, before: Option<Used>, after: Option<Used>) -> Result<Outcome> {
        self.crew.order_all(&Order::Finish);
        let mut outcome = self.crew.collect()?;
        outcome.server = before.zip(after).map(|(before, after)| ServerUse {
            cpu_ns: after.cpu.saturating_sub(before.cpu),
            memory_before: before.memory,
            memory_after: after.memory,
        });
        Ok(outcome)
    }

    /// Publishes to every topic and waits for the acknowledgements.
    fn publish(&mut self, router: &Router, retain: bool) -> Result<()> {
        let how = if retain { json!({"acknowledge": true, "retain": true}) } else { json!({"acknowledge": true}) };
        let first = self.session.next_request() + self.sequence * u64::from(self.topics);
        let mut message = Vec::new();
        for topic in 0..self.topics {
            let rest = [how.clone(), json!(plan::topic_uri(topic))];
            let template = Template::new(router.serializer, &[PUBLISH], &rest, self.payload_bytes);
            let stamp = Stamp { source: 0, topic, sequence: self.sequence, time: self.net.clock.now() };
            stamp.write(template.write(&mut message, first + u64::from(topic)));
            self.net.send(self.session.conn, &message);
        }
        self.net.flush();
        self.sequence += 1;
        self.publisher.missing = self.topics;
        let end = self.net.clock.now() + ACKNOWLEDGE;
        while self.publisher.missing > 0 {
            self.turn(end)?;
            ensure!(self.net.clock.now() < end, "the router did not acknowledge what was published");
        }
        Ok(())
    }

    fn pause(&mut self, seconds: f64) -> Result<()> {
        let end = self.net.clock.now() + drive::seconds(seconds);
        while self.net.clock.now() < end && !stop::asked() {
            self.turn(end.min(self.net.clock.now() + SECOND / 10))?;
        }
        Ok(())
    }

    /// Waits until every worker has told this.
    fn await_all(&mut self, wanted: fn(&Report) -> bool) -> Result<()> {
        let mut missing = self.crew.count();
        while missing > 0 {
            match self.crew.look()? {
                Some((_, Report::Failed(reason))) => bail!(reason),
                Some((_, report)) if wanted(&report) => missing -= 1,
                Some((_, report)) => bail!("an unexpected report: {report:?}"),
                None => self.turn(self.net.clock.now() + SECOND / 200)?,
            }
        }
        Ok(())
    }

    /// Keeps the publisher alive until something happens or this time has come.
    fn turn(&mut self, wake: u64) -> Result<()> {
        self.net.turn(&mut self.publisher, Some(wake))?;
        self.publisher.failure.take().map_or(Ok(()), Err)
    }
}

struct Publisher {
    serializer: Serializer,
    missing: u16,
    failure: Option<anyhow::Error>,
}

impl Handler for Publisher {
    fn opened(&mut self, _: &mut Net, _: usize) {}

    fn message(&mut self, _: &mut Net, _: usize, message: &[u8], _: u64) {
        match self.serializer.head(message).map(|head| head.kind) {
            Some(PUBLISHED) => self.missing = self.missing.saturating_sub(1),
            Some(ERROR) => {
                let refusal = self.serializer.decode(message).map(|message| join::refusal(&message));
                self.failure = Some(refusal.unwrap_or_else(|error| error));
            }
            _ => {}
        }
    }

    fn closed(&mut self, _: &mut Net, _: usize, reason: &str) {
        self.failure.get_or_insert(anyhow!("the publisher's connection was lost: {reason}"));
    }
}
