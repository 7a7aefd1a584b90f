//! Spans on their way from the shards to a collector of OpenTelemetry. A shard leaves them in a queue and never waits:
//! what has no room there is lost, and counted.

#[cfg(feature = "traces")]
mod export;
#[cfg(feature = "traces")]
mod otlp;

#[cfg(feature = "traces")]
pub use export::Exporter;

use crate::router::Span;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where shards leave their spans.
#[derive(Debug)]
pub struct Spans {
    queue: Sender<Span>,
    waiting: Receiver<Span>,
    counted: Counted,
}

#[derive(Debug, Default)]
struct Counted {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// What has become of spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanNumbers {
    /// The collector has them.
    pub exported: u64,
    /// There was no room in the queue.
    pub dropped: u64,
    /// The collector could not be given them, or did not want them.
    pub failed: u64,
}

impl Spans {
    /// A queue for so many.
    #[must_use]
    pub fn new(spans_max: usize) -> Spans {
        let (queue, waiting) = bounded(spans_max);
        Spans { queue, waiting, counted: Counted::default() }
    }

    /// Leaves a span, if there is room.
    pub fn leave(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counted.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What has become of all so far.
    #[must_use]
    pub fn numbers(&self) -> SpanNumbers {
        let Counted { exported, dropped, failed } = &self.counted;
        let [exported, dropped, failed] = [exported, dropped, failed].map(|number| number.load(Ordering::Relaxed));
        SpanNumbers { exported, dropped, failed }
    }
}

/// Sends nothing: the program was built without the feature `traces`, and no configuration can want it.
#[cfg(not(feature = "traces"))]
#[derive(Debug)]
pub struct Exporter;

#[cfg(not(feature = "traces"))]
#[allow(missing_docs, reason = "as with the feature")]
impl Exporter {
    #[must_use]
    pub fn new(_: std::sync::Arc<Spans>, _: std::time::Duration) -> Exporter {
        Exporter
    }

    pub fn reform(&mut self, _: &crate::config::RuntimeConfig) -> std::io::Result<()> {
        Ok(())
    }

    pub fn stop(&mut self) {}
}
