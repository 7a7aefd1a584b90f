//! The workers of a run: threads that share its load, in this process or in further ones.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cli::{Router, Timing};
use crate::clock::{Clock, SECOND};
use crate::load::crowd;
use crate::load::plan::{Plan, Share};
use crate::load::storm::{self, Storm};
use crate::load::worker::Process;
use crate::machine;
use crate::probe::Probe;
use crate::result::outcome::Outcome;
use crate::result::progress;
use crate::stop;
use crate::wire::join::SPARE_FILES;
use crate::wire::link::{Link, Order, Report, Sent};

/// Between the order to start and the start, in nanoseconds.
const LEAD: u64 = SECOND / 20;
/// How often the leader looks whether somebody wants to stop.
const LOOK: Duration = Duration::from_millis(100);

/// What a worker needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) job: Job,
    pub(crate) router: Router,
    pub(crate) timing: Timing,
    /// The process to watch; the first worker does it.
    pub(crate) pid: Option<u32>,
}

/// What all workers do together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    Plan(Plan),
    Storm(Storm),
}

/// How many workers there are, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// In each process.
    pub(crate) threads: usize,
    pub(crate) processes: usize,
}

impl Size {
    fn workers(self) -> usize {
        self.threads * self.processes
    }

    /// As many processes more as the limit of open files demands for this many sessions.
    fn for_sessions(self, sessions: usize) -> Self {
        let room = machine::raise_file_limit().saturating_sub(SPARE_FILES * self.threads as u64).max(1);
        Self { processes: self.processes.max((sessions as u64).div_ceil(room) as usize), ..self }
    }
}

impl Job {
    /// Connections that are open at one time.
    fn sessions(&self) -> usize {
        match self {
            Self::Plan(plan) => plan.sessions(),
            Self::Storm(storm) => storm.sessions as usize,
        }
    }
}

/// Runs a plan and adds the workers' results up.
///
/// # Errors
/// If the plan cannot be carried out, or as [`crowd::run`].
pub(crate) fn run(task: &Task, size: Size) -> Result<Outcome> {
    Crew::start(task, size)?.lead()
}

/// Starts a worker in a thread of this process; gives where to send its orders.
pub(crate) fn start_thread(task: &Task, share: Share, reports: Sender<(usize, Report)>) -> Sender<Order> {
    let (sender, orders) = mpsc::channel();
    let task = task.clone();
    thread::spawn(move || {
        if share.worker > 0 {
            progress::mute();
        }
        let link = Link { worker: share.worker, orders, reports };
        let report = match work(&task, share, &link) {
            Ok(outcome) => Report::Done(Box::new(outcome)),
            Err(error) => Report::Failed(format!("{error:#}")),
        };
        link.report(report);
    });
    sender
}

fn work(task: &Task, share: Share, link: &Link) -> Result<Outcome> {
    let pid = task.pid.filter(|_| share.worker == 0);
    let probe = pid.map(Probe::new).transpose()?;
    match &task.job {
        Job::Plan(plan) => crowd::run(plan, share, &task.router, &task.timing, probe.as_ref(), link),
        Job::Storm(storm) => storm::run(storm, share, &task.router, &task.timing, link),
    }
}

/// All workers, from the leader's side.
pub(crate) struct Crew {
    workers: Vec<Worker>,
    inbox: Receiver<(usize, Report)>,
    /// How often the wish to stop was passed on.
    stops: Cell<u32>,
}

/// Where a worker's orders go.
enum Worker {
    Thread(Sender<Order>),
    Process(Arc<Process>),
}

impl Crew {
    /// Starts the workers: in this process, or, if there are to be several or there have to be because of the limit of
    /// open files, all in further ones.
    ///
    /// # Errors
    /// If a process cannot be started, or the load cannot be shared in this way.
    pub(crate) fn start(task: &Task, size: Size) -> Result<Self> {
        let size = size.for_sessions(task.job.sessions());
        let count = size.workers();
        if let Job::Plan(plan) = &task.job {
            plan.check(count)?;
        }
        let (reports, inbox) = mpsc::channel();
        let share = |worker| Share { worker, workers: count };
        let mut workers = Vec::new();
        for process in 0..size.processes {
            let shares = (process * size.threads..(process + 1) * size.threads).map(share);
            if size.processes == 1 {
                workers.extend(shares.map(|share| Worker::Thread(start_thread(task, share, reports.clone()))));
            } else {
                let process = Process::start(task, shares.collect(), reports.clone())?;
                workers.extend((0..size.threads).map(|_| Worker::Process(process.clone())));
            }
        }
        Ok(Self { workers, inbox, stops: Cell::new(0) })
    }

    pub(crate) fn count(&self) -> usize {
        self.workers.len()
    }

    /// The next report, if there is one.
    ///
    /// # Errors
    /// If a worker has ended without a result.
    pub(crate) fn look(&self) -> Result<Option<(usize, Report)>> {
        self.pass_stop();
        match self.inbox.try_recv() {
            Ok(report) => Ok(Some(report)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => bail!("a worker has ended without a result"),
        }
    }

    /// Adds the results of all up.
    ///
    /// # Errors
    /// If one of them failed.
    pub(crate) fn collect(&self) -> Result<Outcome> {
        let mut whole: Option<Outcome> = None;
        for _ in 0..self.count() {
            match self.next()? {
                (_, Report::Done(part)) => match &mut whole {
                    Some(whole) => whole.merge(*part),
                    None => whole = Some(*part),
                },
                (_, Report::Failed(reason)) => bail!(reason),
                (_, report) => bail!("an unexpected report: {report:?}"),
            }
        }
        whole.context("no workers")
    }

    fn lead(self) -> Result<Outcome> {
        let count = self.workers.len();
        let mut ready = 0;
        let (mut told, mut sent) = (0, Sent::default());
        let mut settled = vec![false; count];
        let mut parts: Vec<Option<Outcome>> = (0..count).map(|_| None).collect();
        while parts.iter().any(Option::is_none) {
            let (worker, report) = self.next()?;
            match report {
                Report::Ready => {
                    ready += 1;
                    if ready == count {
                        self.order_all(&Order::Start(Clock::new().now() + LEAD));
                    }
                }
                Report::Sent(numbers) => {
                    told += 1;
                    sent.add(&numbers);
                    if told == count {
                        self.order_all(&Order::Totals(sent.clone()));
                    }
                }
                Report::Settled => settled[worker] = true,
                Report::Done(outcome) => {
                    settled[worker] = true;
                    parts[worker] = Some(*outcome);
                }
                Report::Failed(reason) => bail!(reason),
            }
            if settled.iter().all(|settled| *settled) {
                self.order_all(&Order::Finish);
            }
        }
        let mut parts = parts.into_iter().flatten();
        let mut whole = parts.next().context("no workers")?;
        parts.for_each(|part| whole.merge(part));
        Ok(whole)
    }

    fn next(&self) -> Result<(usize, Report)> {
        loop {
            match self.inbox.recv_timeout(LOOK) {
                Ok(report) => return Ok(report),
                Err(RecvTimeoutError::Timeout) => self.pass_stop(),
                Err(RecvTimeoutError::Disconnected) => bail!("a worker has ended without a result"),
            }
        }
    }

    /// Gives an order to all.
    pub(crate) fn order_all(&self, order: &Order) {
        for (number, worker) in self.workers.iter().enumerate() {
            match worker {
                // One that has ended needs no orders.
                Worker::Thread(orders) => drop(orders.send(order.clone())),
                Worker::Process(process) => drop(process.order(number, order)),
            }
        }
    }

    /// Passes the wish to stop on to other processes. Threads of this one see it by themselves.
    fn pass_stop(&self) {
        let wishes = u32::from(stop::asked()) + u32::from(stop::insisted());
        while self.stops.get() < wishes {
            self.stops.set(self.stops.get() + 1);
            let mut told: Option<&Arc<Process>> = None;
            for (number, worker) in self.workers.iter().enumerate() {
                if let Worker::Process(process) = worker
                    && told.is_none_or(|told| !Arc::ptr_eq(told, process))
                {
                    told = Some(process);
                    // One that has ended needs no orders.
                    drop(process.order(number, &Order::Stop));
                }
            }
        }
    }
}
