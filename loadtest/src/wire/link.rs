//! How the workers of a run and whoever leads them talk to each other.

use std::sync::mpsc::{Receiver, Sender};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::clock::SECOND;
use crate::result::outcome::Outcome;
use crate::stop;
use crate::wire::net::{Handler, Net};

/// What a worker is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Begin at this time of the run's clock.
    Start(u64),
    /// What every source has sent, over all workers.
    Totals(Sent),
    /// Cut all connections off and come again, to this address; times count from this one.
    Again { time: u64, url: String },
    /// An event has been published to every topic: account for it.
    Events,
    /// Somebody wants to stop. Goes to processes; the workers in them are told by [`stop`].
    Stop,
    /// Every worker has got everything: wait no longer.
    Finish,
}

/// What a worker tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Its sessions are up.
    Ready,
    /// What its sources have sent; 0 for those of other workers.
    Sent(Sent),
    /// All that should have arrived at it has.
    Settled,
    Done(Box<Outcome>),
    Failed(String),
}

/// How much each source of a plan has sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// Events of each publisher.
    pub(crate) events: Vec<u64>,
    /// Calls of each caller.
    pub(crate) calls: Vec<u64>,
}

impl Sent {
    /// Adds what another worker's sources have sent.
    pub(crate) fn add(&mut self, other: &Self) {
        for (sums, numbers) in [(&mut self.events, &other.events), (&mut self.calls, &other.calls)] {
            sums.resize(numbers.len(), 0);
            sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        }
    }
}

/// A worker's end.
pub(crate) struct Link {
    pub(crate) worker: usize,
    pub(crate) orders: Receiver<Order>,
    pub(crate) reports: Sender<(usize, Report)>,
}

impl Link {
    /// Tells something.
    pub(crate) fn report(&self, report: Report) {
        // Nobody listens once the leader has given up.
        let _ = self.reports.send((self.worker, report));
    }

    /// The next order, if there is one.
    pub(crate) fn order(&self) -> Option<Order> {
        self.orders.try_recv().ok()
    }

    /// Says that the sessions are up, keeps them alive until the order to start comes, and gives the time in it.
    ///
    /// # Errors
    /// If a connection is lost meanwhile, or on an interrupt.
    pub(crate) fn await_start(&self, net: &mut Net) -> Result<u64> {
        self.report(Report::Ready);
        let mut keeper = Keeper { failure: None };
        loop {
            match self.order() {
                Some(Order::Start(time)) => return Ok(time),
                Some(_) => bail!("an order that does not belong here"),
                None => {}
            }
            let wake = net.clock.now() + SECOND / 200;
            net.turn(&mut keeper, Some(wake))?;
            if let Some(failure) = keeper.failure {
                bail!(failure);
            }
            if stop::asked() {
                bail!("interrupted before the start");
            }
        }
    }
}

/// Answers pings, and does nothing else.
struct Keeper {
    failure: Option<String>,
}

impl Handler for Keeper {
    fn opened(&mut self, _: &mut Net, _: usize) {}

    fn message(&mut self, _: &mut Net, _: usize, _: &[u8], _: u64) {}

    fn closed(&mut self, _: &mut Net, _: usize, reason: &str) {
        self.failure.get_or_insert_with(|| format!("a connection was lost before the start: {reason}"));
    }
}
