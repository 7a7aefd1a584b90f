//! The thread that sends spans.

use super::{Spans, otlp};
use crate::config::{RuntimeConfig, traces};
use crate::router::Span;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, never, select, unbounded};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use ureq::Agent;

/// How often it is tried to send the same spans, when a collector cannot be reached or has no time.
const ATTEMPTS: u32 = 5;
/// The first time between two attempts; it doubles.
const BACKOFF: Duration = Duration::from_secs(1);
/// The longest time that a collector may ask to be left alone.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// For what is left at the end.
const FAREWELL: Duration = Duration::from_secs(2);
/// For the thread to notice that this time is over.
const GRACE: Duration = Duration::from_millis(500);
/// Octets of an answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Statuses with which a collector asks for another attempt.
const AGAIN: [u16; 5] = [408, 429, 502, 503, 504];

/// Sends what shards leave, on a thread of its own that begins when there is a collector for the first time.
#[derive(Debug)]
pub struct Exporter {
    spans: Arc<Spans>,
    epoch: Duration,
    thread: Option<Running>,
}

/// The thread: what it is told, and who is told when it ends.
#[derive(Debug)]
struct Running {
    orders: Sender<Order>,
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

/// What the thread is to do from now on.
#[derive(Debug)]
enum Order {
    /// To send to this collector, or to none.
    Go(Option<Box<Collector>>),
    /// To send what is left, and to end.
    Stop,
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq)]
struct Collector {
    url: String,
    headers: Vec<(Box<str>, Box<str>)>,
    resource: Resource,
    timeout: Duration,
    interval: Duration,
    batch: usize,
}

impl Collector {
    fn of(config: &RuntimeConfig) -> Option<Box<Collector>> {
        Some(Box::new(Collector {
            url: traces::url(config.traces_endpoint.as_deref()?),
            headers: config.traces_headers.clone().into_iter().collect(),
            resource: otlp::resource(config),
            timeout: config.traces_timeout,
            interval: config.traces_interval,
            batch: config.traces_batch_spans_max,
        }))
    }
}

impl Exporter {
    /// For what is left here; `epoch` is the start of time, since 1970.
    #[must_use]
    pub fn new(spans: Arc<Spans>, epoch: Duration) -> Exporter {
        Exporter { spans, epoch, thread: None }
    }

    /// Goes on as a configuration says.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn reform(&mut self, config: &RuntimeConfig) -> io::Result<()> {
        let collector = Collector::of(config);
        if let Some(running) = &self.thread {
            // It takes orders until it is stopped.
            let _ = running.orders.send(Order::Go(collector));
            return Ok(());
        }
        let Some(collector) = collector else { return Ok(()) };
        let share = config.traces_sample * 100.0;
        tracing::info!(url = collector.url, "traces are sent; of what has no context of its own, {share} %");
        let (sender, orders) = unbounded();
        let work = Work { spans: self.spans.clone(), epoch: self.epoch, orders, ..Work::new(Some(collector)) };
        let (ends, ended) = bounded(1);
        let thread = Builder::new().name("traces".into()).spawn(move || {
            work.run();
            drop(ends);
        })?;
        self.thread = Some(Running { orders: sender, ended, thread });
        Ok(())
    }

    /// Sends what is left, as far as that can be done soon, and ends. A collector that lets a request wait is not waited for.
    pub fn stop(&mut self) {
        let Some(Running { orders, ended, thread }) = self.thread.take() else { return };
        let _ = orders.send(Order::Stop);
        if ended.recv_timeout(FAREWELL + GRACE) == Err(RecvTimeoutError::Timeout) {
            return tracing::warn!("the collector does not answer; the last traces are lost");
        }
        if thread.join().is_err() {
            tracing::error!("the thread that sends traces ended by a panic");
        }
    }
}

/// What has become of an attempt.
enum Attempt {
    /// The spans are there, but for so many.
    Done(u64),
    /// It may work later, but not before this time.
    Again(String, Option<Duration>),
    /// It will never work.
    Never(String),
}

/// What the thread knows.
struct Work {
    spans: Arc<Spans>,
    epoch: Duration,
    orders: Receiver<Order>,
    collector: Option<Box<Collector>>,
    agent: Agent,
    /// When the end has been ordered, until when it has time.
    until: Option<Instant>,
    /// The last attempt failed, which has been told.
    failing: bool,
    /// Spans that were lost since.
    lost: u64,
}

impl Work {
    fn new(collector: Option<Box<Collector>>) -> Work {
        // Connections are kept. What a collector does not want it explains by a status.
        let agent = Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
        let (spans, orders) = (Arc::new(Spans::new(0)), never());
        Work { spans, epoch: Duration::ZERO, orders, collector, agent, until: None, failing: false, lost: 0 }
    }

    fn run(mut self) {
        let mut batch = Vec::new();
        while self.until.is_none() {
            self.gather(&mut batch);
            self.send(&mut batch);
        }
        // Whoever could not be reached before is not waited for now.
        while let Ok(span) = self.spans.waiting.try_recv() {
            batch.push(span);
            if batch.len() == self.batch() || self.spans.waiting.is_empty() {
                self.send(&mut batch);
            }
        }
    }

    fn batch(&self) -> usize {
        self.collector.as_ref().map_or(1, |collector| collector.batch)
    }

    /// Waits for spans, and then for more until it is time to send them.
    fn gather(&mut self, batch: &mut Vec<Span>) {
        let waiting = self.spans.waiting.clone();
        let mut since = None;
        while self.until.is_none() && batch.len() < self.batch() {
            let interval = self.collector.as_ref().map_or(Duration::ZERO, |collector| collector.interval);
            let left = since.map(|since: Instant| interval.saturating_sub(since.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return;
            }
            let alarm = left.map_or_else(never, crossbeam_channel::after);
            select! {
                recv(self.orders) -> order => self.obey(order.unwrap_or(Order::Stop)),
                recv(waiting) -> span => {
                    batch.extend(span);
                    since.get_or_insert_with(Instant::now);
                }
                recv(alarm) -> _ => return,
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Go(collector) => self.collector = collector,
            Order::Stop => self.until = Some(Instant::now() + FAREWELL),
        }
    }

    /// Sends spans, in several attempts if need be. After this they are there or lost.
    fn send(&mut self, batch: &mut Vec<Span>) {
        if batch.is_empty() {
            return;
        }
        let (count, mut backoff) = (batch.len() as u64, BACKOFF);
        for attempt in 1..=ATTEMPTS {
            let (error, after) = match self.post(batch) {
                Attempt::Done(rejected) => {
                    self.done(count - rejected.min(count), rejected.min(count));
                    return batch.clear();
                }
                Attempt::Never(error) => {
                    self.failed(&error);
                    break;
                }
                Attempt::Again(error, after) => (error, after),
            };
            self.failed(&error);
            if attempt == ATTEMPTS || self.until.is_some() {
                break;
            }
            match self.orders.recv_timeout(after.unwrap_or(backoff).min(BACKOFF_MAX)) {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Disconnected) => self.obey(Order::Stop),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.until.is_some() {
                break;
            }
            backoff *= 2;
        }
        self.spans.counted.failed.fetch_add(count, Ordering::Relaxed);
        self.lost += count;
        batch.clear();
    }

    fn done(&mut self, exported: u64, rejected: u64) {
        self.spans.counted.exported.fetch_add(exported, Ordering::Relaxed);
        self.spans.counted.failed.fetch_add(rejected, Ordering::Relaxed);
        if std::mem::take(&mut self.failing) {
            let lost = std::mem::take(&mut self.lost);
            tracing::info!(lost, "traces are sent again");
        }
    }

    /// Tells of a failure, if the attempt before did not fail.
    fn failed(&mut self, error: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            let url = self.collector.as_ref().map_or("", |collector| &*collector.url);
            tracing::warn!(url, error, "traces cannot be sent; this is told once until they can");
        }
    }

    fn post(&self, batch: &[Span]) -> Attempt {
        let Some(collector) = &self.collector else {
            return Attempt::Never("there is no collector any longer".into());
        };
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        if self.failing && left.is_some() || left.is_some_and(|left| left.is_zero()) {
            return Attempt::Never("the router ends".into());
        }
        let timeout = left.map_or(collector.timeout, |left| left.min(collector.timeout));
        let body = otlp::request(&collector.resource, batch, self.epoch);
        let mut request = self.agent.post(&collector.url).header("Content-Type", "application/x-protobuf");
        for (name, value) in &collector.headers {
            request = request.header(&**name, &**value);
        }
        let mut reply = match request.config().timeout_global(Some(timeout)).build().send(&body[..]) {
            Ok(reply) => reply,
            Err(ureq::Error::Http(error)) => return Attempt::Never(error.to_string()),
            Err(error) => return Attempt::Again(error.to_string(), None),
        };
        let status = reply.status().as_u16();
        let after = reply.headers().get("Retry-After").and_then(|after| after.to_str().ok()?.parse().ok());
        // Reading it to its end lets the connection be used again.
        let answer = reply.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().unwrap_or_default();
        match status {
            200..=299 => match otlp::rejected(&answer) {
                None => Attempt::Done(0),
                Some((spans, why)) => {
                    tracing::warn!(spans, why, "the collector has not taken all traces");
                    Attempt::Done(spans)
                }
            },
            status if AGAIN.contains(&status) => Attempt::Again(
                format!("the collector answers with the status {status}"),
                after.map(Duration::from_secs),
            ),
            status => Attempt::Never(format!("the collector answers with the status {status}")),
        }
    }
}
