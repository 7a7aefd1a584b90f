//! Which calls and publications get a span, and what it tells (OpenTelemetry). The spans leave by
//! [`Effect::Span`]; without a [`Sampling`] there are none, and nothing looks for contexts.

use super::config::ShardConfig;
use super::effect::{ConnId, Effect};
use super::index::ShardIndex;
use super::peer::Publication;
use super::shard::Shard;
use crate::wamp::trace::{TRACEPARENT, TraceContext};
use crate::wamp::uri::is_reserved;
use crate::wamp::{Dict, Payload, PublicationId, SessionId, Shape, Uri};
use memchr::memmem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Keeps the numbers of traces apart from the other random numbers of a shard.
const SEED: u64 = 0x7472_6163_6573;

/// Octets of an error's URI that a span keeps: callees can make up long ones.
const ERROR_MAX: usize = 1024;

/// Which calls and publications get a span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The share of those that come without a context of their own, from 0 to 1. A context says itself whether its trace
    /// is sampled.
    pub share: f64,
    /// Spans of all shards together in a second; what comes beyond gets none.
    pub spans_per_second_max: u32,
    /// Octets of payload up to which a context is looked for among keyword arguments, 0 for never.
    pub kwargs_bytes_max: u32,
}

/// A span: what the router did with one call or publication.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its trace and its own number.
    pub context: TraceContext,
    /// The span that caused it, if the request came with a context.
    pub parent: Option<u64>,
    /// `tracestate`.
    pub state: Option<Box<str>>,
    /// What was done.
    pub what: Traced,
    /// The realm.
    pub realm: Uri,
    /// The procedure or topic.
    pub uri: Uri,
    /// The caller or publisher.
    pub session: SessionId,
    /// The shard of that session.
    pub shard: ShardIndex,
    /// When the request was read, since the start of time.
    pub start: Duration,
    /// When the last of it was given to a connection. The shard's owner puts a better time there.
    pub end: Duration,
    /// The URI of the error that came of it.
    pub error: Option<Uri>,
}

/// What a span is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traced {
    /// A call.
    Call {
        /// Who had it last.
        callee: Option<SessionId>,
    },
    /// A publication.
    Publication {
        /// Its id, if there was one.
        id: Option<PublicationId>,
        /// Connections that the event was given to.
        receivers: u64,
    },
}

/// What receivers are told of a trace.
#[derive(Clone, Debug)]
pub struct Carried {
    context: TraceContext,
    state: Option<Box<str>>,
}

impl Carried {
    /// Adds it to details.
    pub(super) fn append(&self, details: &mut Dict) {
        self.context.write(self.state.as_deref(), details);
    }
}

/// What there is to a request that has a context or has been sampled.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) carried: Option<Carried>,
    pub(super) span: Option<Box<Span>>,
}

/// What goes with an event.
#[derive(Debug)]
pub struct EventTrace {
    carried: Option<Carried>,
    span: Option<Spread>,
}

/// A span on which several shards work: the last one gives it away.
#[derive(Debug)]
struct Spread {
    span: Box<Span>,
    /// Shards that have not given the event to their members yet.
    left: AtomicU64,
    receivers: AtomicU64,
}

impl EventTrace {
    /// Adds to the details of an event what belongs there.
    pub(super) fn append(&self, details: &mut Dict) {
        if let Some(carried) = &self.carried {
            carried.append(details);
        }
    }
}

/// What a shard that traces knows.
#[derive(Debug)]
pub(super) struct Tracer {
    sampling: Sampling,
    random: fastrand::Rng,
    /// When the present second began.
    second: Duration,
    /// Spans that it may still have, and those of a whole second.
    left: u32,
    each: u32,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It gets a span.
    Span,
    /// It would have got one.
    TooMany,
    /// None.
    Nothing,
}

impl Tracer {
    /// The numbers follow from the configuration's seed: one that comes later needs another, see [`Tracer::later`].
    pub(super) fn new(config: &ShardConfig) -> Option<Box<Tracer>> {
        Tracer::seeded(config, config.seed ^ SEED)
    }

    /// For a shard that may have traced before: it must not give the same numbers again.
    pub(super) fn later(config: &ShardConfig, random: &mut fastrand::Rng) -> Option<Box<Tracer>> {
        Tracer::seeded(config, random.u64(..))
    }

    fn seeded(config: &ShardConfig, seed: u64) -> Option<Box<Tracer>> {
        let sampling = config.traces?;
        let each = sampling.spans_per_second_max.div_ceil(config.shards.into());
        let random = fastrand::Rng::with_seed(seed);
        Some(Box::new(Tracer { sampling, random, second: Duration::ZERO, left: each, each }))
    }

    fn decide(&mut self, now: Duration, context: Option<TraceContext>) -> Verdict {
        const SECOND: Duration = Duration::from_secs(1);
        let wanted = match context {
            Some(context) => context.is_sampled(),
            // Without a random number where there is nothing to choose.
            None => {
                self.sampling.share >= 1.0 || (self.sampling.share > 0.0 && self.random.f64() < self.sampling.share)
            }
        };
        if !wanted {
            return Verdict::Nothing;
        }
        if now.saturating_sub(self.second) >= SECOND {
            (self.second, self.left) = (now, self.each);
        }
        if self.left == 0 {
            return Verdict::TooMany;
        }
        self.left -= 1;
        Verdict::Span
    }

    /// The context of a new span.
    fn context(&mut self, parent: Option<TraceContext>) -> TraceContext {
        let span = self.random.u64(1..);
        let root = || TraceContext::new(self.random.u128(1..), span);
        parent.map(|parent| parent.under(span)).or_else(root).expect("neither number is 0")
    }
}

/// The context among the keyword arguments of a payload. They are read only where the key is found.
fn among_arguments(payload: &Payload, max: u32) -> Option<Dict> {
    let raw = payload.origin().filter(|raw| raw.shape == Shape::ArgsKwargs && raw.bytes.len() <= max as usize)?;
    memmem::find(&raw.bytes, TRACEPARENT.as_bytes())?;
    Some(payload.values().ok()?.1)
}

impl Shard {
    /// Looks for the context of a request, and decides whether it gets a span.
    #[inline]
    pub(super) fn trace(
        &mut self,
        conn: ConnId,
        what: Traced,
        uri: &Uri,
        options: &Dict,
        payload: &Payload,
    ) -> Option<Box<Trace>> {
        self.tracer.as_ref()?;
        self.begin_trace(conn, what, uri, options, payload)
    }

    fn begin_trace(
        &mut self,
        conn: ConnId,
        what: Traced,
        uri: &Uri,
        options: &Dict,
        payload: &Payload,
    ) -> Option<Box<Trace>> {
        let (start, shard) = (self.now, self.config.index);
        // The router's own procedures are answered by itself, and what is too long is refused: nobody keeps it.
        if is_reserved(uri) || uri.len() > self.config.limits.uri_bytes_max as usize {
            return None;
        }
        let session = self.session_at(conn)?;
        let (session, realm) = (session.id, session.realm);
        let realm = self.config.realms[usize::from(realm)].name.clone();
        let tracer = self.tracer.as_mut()?;
        let among =
            |dict: &Dict| TraceContext::read(dict).map(|(context, state)| (context, state.map(Box::<str>::from)));
        let given = among(options);
        let carries = given.is_some();
        let max = tracer.sampling.kwargs_bytes_max;
        let found = given.or_else(|| among(&among_arguments(payload, max)?));
        let (parent, state) = found.map_or((None, None), |(context, state)| (Some(context), state));
        let verdict = tracer.decide(start, parent);
        if verdict == Verdict::Span {
            self.counters.spans += 1;
            let context = tracer.context(parent);
            let carried = Some(Carried { context, state: state.clone() });
            let (parent, uri, end) = (parent.map(|parent| parent.span), uri.clone(), start);
            let span = Span { context, parent, state, what, realm, uri, session, shard, start, end, error: None };
            return Some(Box::new(Trace { carried, span: Some(Box::new(span)) }));
        }
        self.counters.spans_limited += u64::from(verdict == Verdict::TooMany);
        // What came in the options goes on as it came: the receiver's spans hang on those of the sender then.
        let context = parent.filter(|_| carries)?;
        Some(Box::new(Trace { carried: Some(Carried { context, state }), span: None }))
    }

    /// Gives a span away.
    pub(super) fn end_span(&mut self, span: Option<Box<Span>>, error: Option<&str>) {
        if let Some(mut span) = span {
            span.error = error.map(|uri| Uri::from(&uri[..uri.floor_char_boundary(ERROR_MAX)]));
            span.end = self.now;
            self.effects().push_back(Effect::Span(span));
        }
    }

    /// Gives away the span of a request that was refused.
    pub(super) fn end_refused(&mut self, trace: Option<Box<Trace>>, error: &str) {
        self.end_span(trace.and_then(|trace| trace.span), Some(error));
    }

    /// A publication is on its way to so many shards.
    pub(super) fn trace_publication(&mut self, publication: &mut Publication, shards: usize) {
        let id = publication.id;
        let Some(trace) = publication.extras.as_mut().and_then(|extras| extras.trace.as_mut()) else { return };
        let Some(spread) = &mut trace.span else { return };
        spread.span.what = Traced::Publication { id: Some(id), receivers: 0 };
        if shards == 0 {
            let span = trace.span.take().map(|spread| spread.span);
            return self.end_span(span, None);
        }
        *spread.left.get_mut() = shards as u64;
    }

    /// An event has been given to so many connections of this shard.
    pub(super) fn event_traced(&mut self, publication: &Publication, receivers: u64) {
        let Some(spread) = publication.trace().and_then(|trace| trace.span.as_ref()) else { return };
        spread.receivers.fetch_add(receivers, Ordering::Relaxed);
        // What the other shards have added is seen with what they have taken.
        if spread.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let receivers = spread.receivers.load(Ordering::Relaxed);
            let mut span = spread.span.clone();
            span.what = Traced::Publication { id: Some(publication.id), receivers };
            self.end_span(Some(span), None);
        }
    }
}

impl From<Trace> for EventTrace {
    fn from(trace: Trace) -> EventTrace {
        let spread = |span| Spread { span, left: AtomicU64::new(0), receivers: AtomicU64::new(0) };
        EventTrace { carried: trace.carried, span: trace.span.map(spread) }
    }
}

impl Publication {
    /// Has a publication carry its trace.
    pub(super) fn set_trace(&mut self, trace: Option<Box<Trace>>) {
        if let Some(trace) = trace {
            self.extras.get_or_insert_default().trace = Some(Box::new(EventTrace::from(*trace)));
        }
    }
}
