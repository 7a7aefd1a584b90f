//! Registrations, and the calls that come in.

use super::content::{readable, traced, whom};
use super::error::{CallError, RUNTIME_ERROR, RequestError};
use super::handler::{Handle, Handler, States, serve_calls};
use super::order::{Invoked, Notice, Order};
use super::queue::Queue;
use super::session::Session;
use crate::wamp::id::{RegistrationId, SessionId};
use crate::wamp::{Dict, MatchPolicy, Payload, Uri, Value, error, message};
use futures_core::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Calls that a handler works on at a time, unless it is told otherwise.
const WORKING_MAX: usize = 1024;

/// A procedure that this session offers. Dropping it withdraws the procedure; calls that have not been taken are answered
/// with `wamp.error.unavailable`, so that routers that can ask somebody else do. It is a stream of calls, too.
#[derive(Debug)]
pub struct Registration {
    session: Session,
    number: u64,
    id: Arc<AtomicU64>,
    procedure: Uri,
    invocations: Queue<Invoked>,
}

impl Registration {
    pub(super) fn new(
        session: Session,
        number: u64,
        id: Arc<AtomicU64>,
        procedure: Uri,
        invocations: Queue<Invoked>,
    ) -> Registration {
        Registration { session, number, id, procedure, invocations }
    }

    /// Its id at the router: another one after each connection, and 0 while there is none.
    #[must_use]
    pub fn id(&self) -> RegistrationId {
        RegistrationId::from_raw(self.id.load(Ordering::Acquire))
    }

    /// The procedure or pattern.
    #[must_use]
    pub fn procedure(&self) -> &Uri {
        &self.procedure
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The next call; none: the session has ended, or the router has revoked the registration. May be dropped while it
    /// waits: no call is lost.
    pub async fn next(&mut self) -> Option<Invocation> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Invocation>> {
        loop {
            let Some(invoked) = std::task::ready!(self.invocations.poll_next(context)) else {
                return Poll::Ready(None);
            };
            if let Some(invocation) = Invocation::new(&self.session, &self.procedure, invoked) {
                return Poll::Ready(Some(invocation));
            }
        }
    }

    /// Withdraws the procedure, and waits until the router knows.
    ///
    /// # Errors
    /// The router does not know it any more, or the connection or the session ends.
    pub async fn withdraw(self) -> Result<(), RequestError> {
        self.session.ask_driver(|answer| Order::Unregister(self.number, answer)).await
    }
}

impl Stream for Registration {
    type Item = Invocation;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Invocation>> {
        self.poll(context)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.session.notice(Notice::Withdraw(self.number));
        for invoked in self.invocations.drain() {
            let why = CallError::new(error::UNAVAILABLE, "the procedure is being withdrawn");
            self.session.notice(Notice::Done(invoked.number, Err(why)));
        }
    }
}

/// A call that this session has to answer. Dropped without an answer, it is answered with `wamp.error.canceled`.
#[derive(Debug)]
pub struct Invocation {
    session: Option<Session>,
    number: u64,
    /// The procedure that was called.
    pub procedure: Uri,
    /// Its arguments.
    pub args: Vec<Value>,
    /// Its arguments by name.
    pub kwargs: Dict,
    /// `INVOCATION.Details`.
    pub details: Dict,
    interrupted: oneshot::Receiver<()>,
    more: Option<Queue<message::Invocation>>,
}

readable!(Invocation);
traced!(Invocation);

impl Invocation {
    fn new(session: &Session, procedure: &Uri, invoked: Invoked) -> Option<Invocation> {
        let Invoked { invocation, number, interrupted, more } = invoked;
        let message::Invocation { details, payload, .. } = invocation;
        match payload.values() {
            Ok((args, kwargs)) => {
                let procedure = details.str("procedure").ok().flatten().map_or_else(|| procedure.clone(), Uri::from);
                let session = Some(session.clone());
                Some(Invocation { session, number, procedure, args, kwargs, details, interrupted, more })
            }
            Err(why) => {
                let why = CallError::new(error::INVALID_ARGUMENT, why.to_string());
                session.notice(Notice::Done(number, Err(why)));
                None
            }
        }
    }

    /// Without a look at the arguments, which are given as they came.
    pub(super) fn unread(session: Session, procedure: &Uri, invoked: Invoked) -> (Payload, Invocation) {
        let Invoked { invocation, number, interrupted, more } = invoked;
        let message::Invocation { details, payload, .. } = invocation;
        let procedure = details.str("procedure").ok().flatten().map_or_else(|| procedure.clone(), Uri::from);
        let (session, args, kwargs) = (Some(session), Vec::new(), Dict::new());
        (payload, Invocation { session, number, procedure, args, kwargs, details, interrupted, more })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// True if the caller takes results as they come.
    #[must_use]
    pub fn wants_progress(&self) -> bool {
        matches!(self.details.bool("receive_progress"), Ok(Some(true)))
    }

    /// The session that calls, if that is disclosed.
    #[must_use]
    pub fn caller(&self) -> Option<SessionId> {
        self.details.uint("caller").ok().flatten().and_then(SessionId::new)
    }

    /// Who calls, if that is disclosed.
    #[must_use]
    pub fn caller_authid(&self) -> Option<&str> {
        self.details.str("caller_authid").ok().flatten()
    }

    /// For whom it has been passed on, the first one first: what its caller says, which need not be true. Empty: it comes
    /// from the caller itself.
    #[must_use]
    pub fn forward_for(&self) -> &[Value] {
        whom(&self.details)
    }

    /// Waits until the caller does not wait any more.
    pub async fn interrupted(&mut self) {
        // Without a sender the connection has ended.
        let _ = (&mut self.interrupted).await;
    }

    /// True if more arguments follow.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.more.is_some()
    }

    /// Waits for more arguments (specification, "Progressive Call Invocations"); none: these were the last, or the caller
    /// does not wait any more. May be dropped while it waits.
    pub async fn more(&mut self) -> Option<(Vec<Value>, Dict)> {
        self.more_unread().await.map(|payload| payload.values().unwrap_or_default())
    }

    /// Waits for more arguments, as they came, or for the end; none: the caller does not wait any more. May be dropped while it
    /// waits.
    pub async fn more_or_end(&mut self) -> Option<Payload> {
        let Some(more) = &mut self.more else {
            self.interrupted().await;
            return None;
        };
        let next = tokio::select! {
            biased;
            _ = &mut self.interrupted => return None,
            next = more.next() => next?,
        };
        if !matches!(next.details.bool("progress"), Ok(Some(true))) {
            self.more = None;
        }
        Some(next.payload)
    }

    async fn more_unread(&mut self) -> Option<Payload> {
        let next = self.more.as_mut()?.next().await;
        if !next.as_ref().is_some_and(|next| matches!(next.details.bool("progress"), Ok(Some(true)))) {
            self.more = None;
        }
        next.map(|next| next.payload)
    }

    /// Gives a result on the way.
    ///
    /// # Errors
    /// The session has ended, or the result cannot be said.
    pub async fn progress(&self, args: Vec<Value>, kwargs: Dict) -> Result<(), RequestError> {
        let Some(session) = &self.session else { return Ok(()) };
        let payload = session.payload(args, kwargs)?;
        self.progress_with(Dict::new(), payload).await
    }

    /// Gives a result on the way that is passed on as it came. `options` as `YIELD.Options`.
    ///
    /// # Errors
    /// The session has ended, or the result cannot be said.
    pub async fn progress_with(&self, options: Dict, payload: Payload) -> Result<(), RequestError> {
        let Some(session) = &self.session else { return Ok(()) };
        session.ask_driver(|answer| Order::Progress(self.number, options, payload, answer)).await
    }

    /// Answers with a result that is passed on as it came. `options` as `YIELD.Options`.
    pub fn finish_with(mut self, options: Dict, payload: Payload) {
        if let Some(session) = self.session.take() {
            session.notice(Notice::Done(self.number, Ok((options, payload))));
        }
    }

    /// Answers with a result.
    pub fn finish(mut self, args: Vec<Value>, kwargs: Dict) {
        let Some(session) = self.session.take() else { return };
        let done = match session.payload(args, kwargs) {
            Ok(payload) => Ok((Dict::new(), payload)),
            Err(why) => Err(CallError::new(error::INVALID_PAYLOAD, why.to_string())),
        };
        session.notice(Notice::Done(self.number, done));
    }

    /// Answers with one value of any type that can be serialized.
    pub fn answer<T: serde::Serialize>(self, result: T) {
        match Value::of(&result) {
            Ok(value) => self.finish(vec![value], Dict::new()),
            Err(why) => self.fail(CallError::new(error::INVALID_PAYLOAD, why.to_string())),
        }
    }

    /// Answers with an error.
    pub fn fail(mut self, why: impl Into<CallError>) {
        if let Some(session) = self.session.take() {
            session.notice(Notice::Done(self.number, Err(why.into())));
        }
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let why = match std::thread::panicking() {
            true => CallError::new(RUNTIME_ERROR, "the procedure has panicked"),
            false => CallError::new(error::CANCELED, "the callee has not answered"),
        };
        session.notice(Notice::Done(self.number, Err(why)));
    }
}

/// Which of several callees of a procedure is called (specification, "Shared Registration").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invoke {
    /// There is only one.
    Single,
    /// The one that has registered first.
    First,
    /// The one that has registered last.
    Last,
    /// Each in its turn.
    RoundRobin,
    /// Any.
    Random,
}

impl Invoke {
    const fn name(self) -> &'static str {
        match self {
            Invoke::Single => "single",
            Invoke::First => "first",
            Invoke::Last => "last",
            Invoke::RoundRobin => "roundrobin",
            Invoke::Random => "random",
        }
    }
}

/// A procedure that is about to be offered; see [`Session::offer`].
#[derive(Debug)]
#[must_use = "nothing is registered before it is opened"]
pub struct Offer {
    session: Session,
    procedure: Uri,
    options: Dict,
    working_max: usize,
}

impl Session {
    /// Prepares a registration:
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() { with_session(async |session| {
    /// let adds = session.offer("com.example.add").handle(async |a: i64, b: i64| a + b).await?;
    /// # assert_eq!(session.ask("com.example.add").arg(2).arg(3).result::<i64>().await?, 5);
    /// # adds.stop().await;
    /// # Ok(()) }) }
    /// ```
    pub fn offer(&self, procedure: &str) -> Offer {
        let (options, working_max) = (Dict::new(), WORKING_MAX);
        Offer { session: self.clone(), procedure: procedure.into(), options, working_max }
    }
}

impl Offer {
    /// The procedure is compared in this way.
    pub fn matching(self, policy: MatchPolicy) -> Offer {
        self.option("match", policy.name())
    }

    /// All procedures that begin like this.
    pub fn prefix(self) -> Offer {
        self.matching(MatchPolicy::Prefix)
    }

    /// All procedures with the same components, where an empty one stands for any.
    pub fn wildcard(self) -> Offer {
        self.matching(MatchPolicy::Wildcard)
    }

    /// Other sessions may offer it too.
    pub fn invoke(self, which: Invoke) -> Offer {
        self.option("invoke", which.name())
    }

    /// The router gives it so many calls at a time at most.
    pub fn concurrency(self, most: u32) -> Offer {
        self.option("concurrency", u64::from(most))
    }

    /// A handler works on so many calls at a time at most, the others wait; 1024.
    pub fn working_max(mut self, most: usize) -> Offer {
        self.working_max = most.max(1);
        self
    }

    /// An attribute of `REGISTER.Options`.
    pub fn option(mut self, name: &str, value: impl Into<Value>) -> Offer {
        self.options.remove(name);
        self.options.push(name, value);
        self
    }

    /// Registers. While there is no connection it waits for one.
    ///
    /// # Errors
    /// As [`Session::register`].
    pub async fn open(self) -> Result<Registration, RequestError> {
        self.session.register(&self.procedure, self.options).await
    }

    /// Registers, and calls `handler` for each call, many at a time. A handler whose caller does not wait any more is dropped.
    ///
    /// # Errors
    /// As [`Session::register`].
    pub async fn handle<P>(self, handler: impl Handler<P>) -> Result<Handle, RequestError> {
        let working_max = self.working_max;
        let registration = self.open().await?;
        Ok(serve_calls(registration, handler.boxed(), Arc::new(States::default()), working_max))
    }
}
