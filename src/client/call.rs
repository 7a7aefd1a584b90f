//! Calls, and what they give.

use super::content::{Content, readable, speakable};
use super::error::{CallError, RequestError};
use super::order::Notice;
use super::queue::Queue;
use super::session::Session;
use crate::wamp::id::RequestId;
use crate::wamp::link::FORWARD_FOR;
use crate::wamp::{Dict, Payload, Uri, Value, error, message};
use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A result of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What was returned.
    pub args: Vec<Value>,
    /// What was returned by name.
    pub kwargs: Dict,
    /// More will come.
    pub progress: bool,
    /// `RESULT.Details`.
    pub details: Dict,
}

readable!(Outcome);

/// A call that is about to be made; see [`Session::ask`].
#[derive(Debug)]
#[must_use = "nothing is called before the outcome is asked for"]
pub struct Ask {
    session: Session,
    procedure: Uri,
    content: Content,
    timeout: Option<Duration>,
}

speakable!(Ask, "CALL.Options");

impl Session {
    /// Prepares a call:
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() { with_session(async |session| {
    /// # let _add = session.offer("com.example.add").handle(async |a: i64, b: i64| a + b).await?;
    /// let sum: i64 = session.ask("com.example.add").arg(2).arg(3).result().await?;
    /// # assert_eq!(sum, 5);
    /// # Ok(()) }) }
    /// ```
    pub fn ask(&self, procedure: &str) -> Ask {
        Ask { session: self.clone(), procedure: procedure.into(), content: Content::default(), timeout: None }
    }
}

impl Ask {
    /// For whom the call is passed on: a list of `{session, authid, authrole}`, the first one first. The callee is told.
    pub fn forward_for(self, whom: Vec<Value>) -> Ask {
        self.option(FORWARD_FOR, whom)
    }

    /// So much time until the call is canceled, and fails with [`RequestError::Timeout`]; instead of
    /// [`Connect::call_timeout`](super::Connect::call_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Ask {
        self.timeout = Some(timeout);
        self
    }

    /// Tells the callee who calls, if the router allows it.
    pub fn disclosed(self) -> Ask {
        self.option("disclose_me", true)
    }

    /// Calls, and waits for the result. Dropping the future cancels the call.
    ///
    /// # Errors
    /// As [`Session::call`]; or an argument cannot be said.
    pub async fn outcome(self) -> Result<Outcome, RequestError> {
        let (args, kwargs, options) = self.content.take()?;
        self.session.start(&self.procedure, args, kwargs, options, self.timeout).await?.last().await
    }

    /// The same, if the result is one value: `()` takes anything.
    ///
    /// # Errors
    /// As [`Ask::outcome`]; or the result does not fit the type.
    pub async fn result<T: DeserializeOwned>(self) -> Result<T, RequestError> {
        let outcome = self.outcome().await?;
        Ok(outcome.args.into_iter().next().unwrap_or(Value::Null).to()?)
    }

    /// Calls, and gives results as they are made. Dropping them cancels the call.
    ///
    /// # Errors
    /// The session has ended, or an argument cannot be said.
    pub async fn results(mut self) -> Result<Results, RequestError> {
        self.content.option("receive_progress", true);
        let (args, kwargs, options) = self.content.take()?;
        self.session.start(&self.procedure, args, kwargs, options, self.timeout).await
    }

    /// Calls with arguments that follow one another, and gives results as they are made (specification, "Progressive Call
    /// Invocations"). The arguments that are there already are sent first.
    ///
    /// # Errors
    /// As [`Ask::results`].
    pub async fn stream(mut self) -> Result<(Arguments, Results), RequestError> {
        let (session, procedure) = (self.session.clone(), self.procedure.clone());
        self.content.option("progress", true);
        let mut options = self.content.options.clone();
        options.push("receive_progress", true);
        let results = self.results().await?;
        Ok((Arguments { session, number: results.number, procedure, options }, results))
    }
}

/// Where more arguments of a call go. Dropped without a last one, it leaves the callee waiting for it; the call ends with its
/// [`Results`].
#[derive(Debug)]
pub struct Arguments {
    session: Session,
    number: u64,
    procedure: Uri,
    options: Dict,
}

impl Arguments {
    /// Sends one argument more.
    ///
    /// # Errors
    /// The connection or the session has ended, or the argument cannot be said.
    pub async fn send<T: Serialize>(&self, argument: T) -> Result<(), RequestError> {
        self.part(argument, self.options.clone()).await
    }

    /// Sends the last one.
    ///
    /// # Errors
    /// As [`Arguments::send`].
    pub async fn finish<T: Serialize>(self, argument: T) -> Result<(), RequestError> {
        let mut options = self.options.clone();
        options.remove("progress");
        self.part(argument, options).await
    }

    async fn part<T: Serialize>(&self, argument: T, options: Dict) -> Result<(), RequestError> {
        let payload = self.session.payload(vec![Value::of(&argument)?], Dict::new())?;
        let (request, procedure) = (RequestId::default(), self.procedure.clone());
        self.session.more(self.number, message::Call { request, options, procedure, payload }).await
    }
}

/// How a call is canceled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelMode {
    /// The callee is not told.
    Skip,
    /// The callee is told, and its answer is waited for.
    Kill,
    /// The callee is told, and its answer is not waited for.
    #[default]
    KillNoWait,
}

impl CancelMode {
    /// The name in `CANCEL.Options`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            CancelMode::Skip => "skip",
            CancelMode::Kill => "kill",
            CancelMode::KillNoWait => "killnowait",
        }
    }
}

/// The results of a call. Dropping it cancels the call. It is a stream, too, which ends with the last result or the error.
#[derive(Debug)]
pub struct Results {
    session: Session,
    number: u64,
    results: Queue<Result<message::Result, RequestError>>,
    deadline: Option<Pin<Box<Sleep>>>,
    over: bool,
}

impl Results {
    pub(super) fn new(
        session: Session,
        number: u64,
        results: Queue<Result<message::Result, RequestError>>,
        deadline: Option<Instant>,
    ) -> Results {
        let deadline = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        Results { session, number, results, deadline, over: false }
    }

    /// The next result; the last has no `progress`. May be dropped while it waits.
    ///
    /// # Errors
    /// The call has failed, takes too long, or is over.
    pub async fn next(&mut self) -> Result<Outcome, RequestError> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// Waits for the last result, whatever comes before.
    ///
    /// # Errors
    /// As [`Results::next`].
    pub async fn last(&mut self) -> Result<Outcome, RequestError> {
        loop {
            let outcome = self.next().await?;
            if !outcome.progress {
                return Ok(outcome);
            }
        }
    }

    /// Cancels the call (specification, "Call Canceling"). What becomes of it comes as the last result.
    pub fn cancel(&self, mode: CancelMode) {
        if !self.over {
            // If it has not been sent yet, it is not.
            self.results.cancel();
            self.session.notice(Notice::Cancel(self.number, mode));
        }
    }

    /// The next result, as it came; the last has no `progress` in its details. May be dropped while it waits.
    ///
    /// # Errors
    /// As [`Results::next`].
    pub async fn next_unread(&mut self) -> Result<message::Result, RequestError> {
        std::future::poll_fn(|context| self.poll_unread(context)).await
    }

    /// Sends further arguments of a call whose options had `progress`; the last ones without it.
    ///
    /// # Errors
    /// As [`Arguments::send`].
    pub async fn send_more(&self, procedure: &Uri, options: Dict, payload: Payload) -> Result<(), RequestError> {
        let (request, procedure) = (RequestId::default(), procedure.clone());
        self.session.more(self.number, message::Call { request, options, procedure, payload }).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Outcome, RequestError>> {
        let result = std::task::ready!(self.poll_unread(context));
        Poll::Ready(result.and_then(|result| self.outcome(result)))
    }

    fn poll_unread(&mut self, context: &mut Context<'_>) -> Poll<Result<message::Result, RequestError>> {
        if self.over {
            return Poll::Ready(Err(RequestError::Closed(None)));
        }
        match self.results.poll_next(context) {
            Poll::Ready(Some(Ok(result))) => {
                self.over = !matches!(result.details.bool("progress"), Ok(Some(true)));
                Poll::Ready(Ok(result))
            }
            Poll::Ready(Some(Err(why))) => {
                self.over = true;
                Poll::Ready(Err(why))
            }
            Poll::Ready(None) => {
                self.over = true;
                Poll::Ready(Err(RequestError::Closed(None)))
            }
            Poll::Pending => {
                let late = |deadline: &mut Pin<Box<Sleep>>| deadline.as_mut().poll(context).is_ready();
                if !self.deadline.as_mut().is_some_and(late) {
                    return Poll::Pending;
                }
                self.give_up();
                Poll::Ready(Err(RequestError::Timeout))
            }
        }
    }

    fn outcome(&mut self, result: message::Result) -> Result<Outcome, RequestError> {
        let progress = !self.over;
        let values = result.payload.values();
        let (args, kwargs) = values.map_err(|why| {
            self.give_up();
            RequestError::Refused(CallError::new(error::INVALID_PAYLOAD, why.to_string()))
        })?;
        Ok(Outcome { args, kwargs, progress, details: result.details })
    }

    fn give_up(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            // If it has not been sent yet, it is not.
            self.results.close();
            self.session.notice(Notice::Forget(self.number));
        }
    }
}

impl Stream for Results {
    type Item = Result<Outcome, RequestError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.over {
            true => Poll::Ready(None),
            false => self.poll(context).map(Some),
        }
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        self.give_up();
    }
}
