//! The scenario `connect`: a storm of connections, and another one after all have been cut off.

use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;

use crate::cli::{self, Router, Run};
use crate::clock::SECOND;
use crate::crew::{Crew, Job, Task};
use crate::drive;
use crate::join::{self, ERROR, PUBLISH, PUBLISHED};
use crate::link::{Order, Report};
use crate::net::{Handler, Net};
use crate::outcome::{Outcome, Server as ServerUse};
use crate::plan;
use crate::probe::Probe;
use crate::scenario::Side;
use crate::serializer::Serializer;
use crate::stamp::Stamp;
use crate::storm::Storm;
use crate::template::Template;

/// Runs the scenario. A server that was started for it is restarted to cut the sessions off.
///
/// # Errors
/// If the router cannot be reached, does not retain, or cannot be started again.
pub(crate) fn run(options: &cli::ConnectOptions, side: &mut Side, run: &Run) -> Result<Outcome> {
    let storm = Storm {
        sessions: options.sessions,
        topics: options.topics,
        rate: options.rate,
        in_flight: options.in_flight,
        retained: !options.no_retained,
    };
    let task = Task { job: Job::Storm(storm), router: side.router.clone(), timing: run.timing, pid: None };
    let mut lead = Lead { options, crew: Crew::start(&task, run.workers())?, net: Net::new()?, sequence: 0 };
    let probe = side.pid.map(Probe::new).transpose()?;
    lead.retain(&side.router)?;
    lead.await_all(|report| matches!(report, Report::Ready))?;
    let before = probe.as_ref().map(|probe| Ok::<_, anyhow::Error>((probe.cpu()?, probe.memory()?))).transpose()?;
    lead.crew.order_all(&Order::Start(lead.net.clock.now() + SECOND / 20));
    lead.await_all(|report| matches!(report, Report::Settled))?;
    let after = probe.as_ref().map(|probe| Ok::<_, anyhow::Error>((probe.cpu()?, probe.memory()?))).transpose()?;
    if options.reconnect {
        let time = lead.net.clock.now();
        if side.restart()? {
            lead.net = Net::new()?;
            lead.retain(&side.router)?;
        }
        lead.crew.order_all(&Order::Again { time, url: side.router.url.clone() });
        lead.await_all(|report| matches!(report, Report::Settled))?;
    }
    lead.crew.order_all(&Order::Finish);
    let mut outcome = lead.crew.collect()?;
    outcome.server = before.zip(after).map(|(before, after)| ServerUse {
        cpu_ns: after.0.saturating_sub(before.0),
        memory_before: before.1,
        memory_after: after.1,
    });
    let lost = outcome.accounts.values().any(|tally| tally.lost > 0);
    if lost && !options.no_retained {
        outcome.notes.push("a router that does not retain events serves nobody: --no-retained asks for less".into());
    }
    outcome.conclude();
    Ok(outcome)
}

struct Lead<'a> {
    options: &'a cli::ConnectOptions,
    crew: Crew,
    /// Holds the publisher.
    net: Net,
    /// How often the values have been published.
    sequence: u64,
}

impl Lead<'_> {
    /// Publishes the value of every topic, to be retained.
    fn retain(&mut self, router: &Router) -> Result<()> {
        if self.options.no_retained {
            return Ok(());
        }
        let session = join::join_all(&mut self.net, router, &[vec![]])?.remove(0);
        let mut message = Vec::new();
        for topic in 0..self.options.topics {
            let how = json!({"acknowledge": true, "retain": true});
            let template = Template::new(
                router.serializer,
                &[PUBLISH],
                &[how, json!(plan::topic_uri(topic))],
                self.options.payload_bytes,
            );
            let stamp = Stamp { source: 0, topic, sequence: self.sequence, time: self.net.clock.now() };
            stamp.write(template.write(&mut message, session.next_request() + u64::from(topic)));
            self.net.send(session.conn, &message);
        }
        self.net.flush();
        self.sequence += 1;
        let mut publisher = Publisher { serializer: router.serializer, missing: self.options.topics, failure: None };
        let end = self.net.clock.now() + drive::seconds(30.0);
        while publisher.missing > 0 {
            self.net.turn(&mut publisher, Some(end))?;
            if let Some(failure) = publisher.failure {
                return Err(failure).context("the values could not be published to be retained (--no-retained?)");
            }
            if self.net.clock.now() >= end {
                bail!("the router did not acknowledge the values that it should retain");
            }
        }
        Ok(())
    }

    /// Waits until every worker has told this, and keeps the publisher alive meanwhile.
    fn await_all(&mut self, wanted: fn(&Report) -> bool) -> Result<()> {
        let mut missing = self.crew.count();
        let mut publisher = Publisher { serializer: Serializer::Json, missing: 0, failure: None };
        while missing > 0 {
            match self.crew.look()? {
                Some((_, Report::Failed(reason))) => bail!(reason),
                Some((_, report)) if wanted(&report) => missing -= 1,
                Some((_, report)) => bail!("an unexpected report: {report:?}"),
                None => {
                    let wake = self.net.clock.now() + SECOND / 200;
                    self.net.turn(&mut publisher, Some(wake))?;
                }
            }
        }
        Ok(())
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
