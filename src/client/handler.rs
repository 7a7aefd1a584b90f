//! Functions of an application that take events or calls.

use super::aloud::aloud;
use super::error::{CallError, RUNTIME_ERROR, RequestError};
use super::order::Order;
use super::parameter::{Incoming, Parameter};
use super::registration::{Invocation, Registration};
use super::session::Session;
use super::state::State;
use super::subscription::Subscription;
use crate::wamp::typed::TypeError;
use crate::wamp::{Dict, Uri, Value, error};
use serde::Serialize;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// What handlers share, by its type.
#[derive(Clone, Default)]
pub(super) struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl States {
    pub(super) fn put<S: Send + Sync + 'static>(&mut self, state: Arc<S>) {
        self.0.insert(TypeId::of::<S>(), state);
    }

    pub(super) fn get<S: Send + Sync + 'static>(&self) -> Option<Arc<S>> {
        self.0.get(&TypeId::of::<S>()).cloned().and_then(|state| state.downcast().ok())
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<(Vec<Value>, Dict), CallError>> + Send>>;

/// A handler whose parameters are not seen any more.
#[derive(Clone)]
pub struct Route(Arc<dyn Fn(Incoming) -> Answering + Send + Sync>);

impl Route {
    /// Calls the handler.
    pub(super) fn call(&self, incoming: Incoming) -> Answering {
        (self.0)(incoming)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Route")
    }
}

/// An asynchronous function that takes events or calls. Its parameters are the arguments in their order, of any types that can
/// be deserialized (an `Option` need not be there), and wherever wanted some of what [`Parameter`] lists. What it returns is
/// the result of a procedure: one value of any type that can be serialized, [`Several`], or a `Result` of them with an error
/// that is a [`Failure`], or can be serialized: text, for example.
///
/// An asynchronous closure can be a handler if it uses nothing but its parameters, since many calls may be worked on at a
/// time. Where it has to use something else, [`App::share`](super::App::share) it, or write
/// `move |a: i64| { let else = else.clone(); async move { … } }`.
#[diagnostic::on_unimplemented(
    message = "this is no handler of events or calls",
    label = "not an `async` closure or function with parameters and a result as handlers have them",
    note = "a handler is an `async` closure or an `async fn` of up to 8 parameters, which can be called many times at once: it \
            owns or clones what it uses, and is `Send + Sync + 'static`, as its future is `Send`",
    note = "parameters are owned (`String`, not `&str`) and implement `serde::de::DeserializeOwned`, or are one of `Named`, `Rest`, \
            `Shared`, `Session`, `Origin`, `Progress`",
    note = "the result implements `serde::Serialize`, or is `Several`, or a `Result` of these whose error is a `CallError`, \
            `RequestError`, `TypeError`, `std::io::Error`, `Box<dyn Error + Send + Sync>`, serializes (`String`, `&'static str`), or \
            implements `Failure`"
)]
pub trait Handler<P>: Send + Sync + 'static {
    /// Makes all handlers alike.
    fn boxed(self) -> Route;
}

/// An error of an application that a caller learns of. Types of errors that cannot be serialized can be made one.
pub trait Failure {
    /// What the caller gets.
    fn into_error(self) -> CallError;
}

macro_rules! failures {
    ($($type:ty),* $(,)?) => {$(
        impl Failure for $type {
            fn into_error(self) -> CallError {
                self.into()
            }
        }
    )*};
}

failures!(CallError, RequestError, TypeError, std::io::Error, Box<dyn std::error::Error + Send + Sync>);

/// Arguments and arguments by name, where a procedure returns more than one value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Several {
    /// The values.
    pub args: Vec<Value>,
    /// The values by name.
    pub kwargs: Dict,
}

/// What a handler may return. `M` tells the kinds apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a handler can return",
    note = "a handler returns what implements `serde::Serialize`, or `Several`, or a `Result` of these whose error is a `CallError`, \
            `RequestError`, `TypeError`, `std::io::Error`, `Box<dyn Error + Send + Sync>`, serializes (`String`, `&'static str`), or \
            implements `Failure`"
)]
pub trait Reply<M>: Send {
    /// As arguments.
    ///
    /// # Errors
    /// The procedure has failed, or its result cannot be said.
    fn reply(self) -> Result<(Vec<Value>, Dict), CallError>;
}

/// One value.
#[derive(Debug)]
pub struct One;
/// Several values.
#[derive(Debug)]
pub struct Many;
/// Values, or an error.
#[derive(Debug)]
pub struct Either<M>(M);

impl<T: Serialize + Send> Reply<One> for T {
    fn reply(self) -> Result<(Vec<Value>, Dict), CallError> {
        let value = Value::of(&self).map_err(|TypeError(why)| CallError::new(error::INVALID_PAYLOAD, &*why))?;
        let value = if is_result::<T>() { unpack(value)? } else { value };
        Ok((vec![value], Dict::new()))
    }
}

/// True of a `Result`. All of them that can be serialized come here, and none of those whose error is a [`Failure`].
fn is_result<T>() -> bool {
    std::any::type_name::<T>().starts_with("core::result::Result<")
}

/// Takes a `Result` apart, as serde writes it.
fn unpack(value: Value) -> Result<Value, CallError> {
    let Value::Dict(dict) = value else { return Ok(value) };
    match dict.into_iter().next() {
        Some((key, why)) if *key == *"Err" => Err(CallError::new(RUNTIME_ERROR, why)),
        Some((_, value)) => Ok(value),
        None => Ok(Value::Null),
    }
}

impl Reply<Many> for Several {
    fn reply(self) -> Result<(Vec<Value>, Dict), CallError> {
        Ok((self.args, self.kwargs))
    }
}

impl<M, T: Reply<M>, E: Failure + Send> Reply<Either<M>> for Result<T, E> {
    fn reply(self) -> Result<(Vec<Value>, Dict), CallError> {
        self.map_err(Failure::into_error)?.reply()
    }
}

macro_rules! handlers {
    ($($parameter:ident),*) => {
        impl<F, R, M, T, $($parameter),*> Handler<(M, $($parameter,)*)> for F
        where
            F: Fn($($parameter),*) -> R + Send + Sync + 'static,
            R: Future<Output = T> + Send + 'static,
            T: Reply<M>,
            $($parameter: Parameter,)*
        {
            #[allow(non_snake_case, unused_mut, unused_variables, reason = "for any number of parameters")]
            fn boxed(self) -> Route {
                let handler = Arc::new(self);
                Route(Arc::new(move |mut incoming| {
                    // In the order in which they are written.
                    $(let $parameter = match $parameter::take(&mut incoming) {
                        Ok(parameter) => parameter,
                        Err(why) => return Box::pin(std::future::ready(Err(why))),
                    };)*
                    let answer = handler($($parameter),*);
                    Box::pin(async move { answer.await.reply() })
                }))
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A, B);
handlers!(A, B, C);
handlers!(A, B, C, D);
handlers!(A, B, C, D, E);
handlers!(A, B, C, D, E, G);
handlers!(A, B, C, D, E, G, H);
handlers!(A, B, C, D, E, G, H, I);

/// A handler at work. Dropping it ends the subscription or registration, and what the handler is doing.
#[derive(Debug)]
pub struct Handle {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Handle {
    pub(super) fn new<F: Future<Output = ()> + Send + 'static>(
        serve: impl FnOnce(oneshot::Receiver<()>) -> F,
    ) -> Handle {
        let (stop, stopped) = oneshot::channel();
        Handle { stop: Some(stop), task: tokio::spawn(serve(stopped)) }
    }

    /// Takes nothing more, and waits until what the handler has taken is done.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // How it ended has been said.
        let _ = (&mut self.task).await;
    }

    /// Lets the handler work for as long as the session lives, which it keeps alive until it is left.
    pub fn detach(mut self) {
        // Nobody will say stop: its end is not waited for either.
        if let Some(stop) = self.stop.take() {
            std::mem::forget(stop);
        }
        std::mem::forget(self);
    }

    /// True if it takes nothing more: the session has ended, or the router has revoked what it served.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Does something to its end; none: it has panicked, which harms nothing else.
async fn sheltered<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        // It is not polled any more then.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    })
    .await
}

pub(super) fn serve_events(mut subscription: Subscription, route: Route, states: Arc<States>) -> Handle {
    Handle::new(async move |mut stopped| {
        loop {
            let event = tokio::select! {
                biased;
                _ = &mut stopped => return,
                event = subscription.next() => event,
            };
            let Some(event) = event else {
                return warn_of_end(subscription.session(), subscription.topic());
            };
            let (session, topic) = (subscription.session().clone(), event.topic.clone());
            let incoming = Incoming::event(session, event, states.clone());
            match sheltered(async { route.call(incoming).await }).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => aloud!(WARN, "an event was not taken", topic = topic, error = error),
                // What it said has gone where panics go.
                None => aloud!(ERROR, "the handler of an event has panicked", topic = topic),
            }
        }
    })
}

pub(super) fn serve_calls(mut registration: Registration, route: Route, states: Arc<States>, most: usize) -> Handle {
    Handle::new(async move |mut stopped| {
        let mut working = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                Some(_) = working.join_next(), if !working.is_empty() => {}
                invocation = registration.next(), if working.len() < most => match invocation {
                    Some(invocation) => {
                        let session = registration.session().clone();
                        working.spawn(serve_call(session, invocation, route.clone(), states.clone()));
                    }
                    None => {
                        warn_of_end(registration.session(), registration.procedure());
                        break;
                    }
                },
            }
        }
        if let Err(error) = registration.withdraw().await {
            tracing::debug!(%error, "a procedure is gone already");
        }
        while working.join_next().await.is_some() {}
    })
}

/// Nothing more comes: where the session goes on, somebody should know.
fn warn_of_end(session: &Session, uri: &Uri) {
    if !matches!(session.state(), State::Ended { .. }) {
        aloud!(WARN, "the router has taken a subscription or registration away", uri = uri);
    }
}

async fn serve_call(session: Session, mut invocation: Invocation, route: Route, states: Arc<States>) {
    let progress =
        Progress { session: session.clone(), number: invocation.number(), wanted: invocation.wants_progress() };
    let incoming = Incoming::call(session, &mut invocation, progress, states);
    let answer = tokio::select! {
        answer = route.call(incoming) => answer,
        () = invocation.interrupted() => return,
    };
    match answer {
        Ok((args, kwargs)) => invocation.finish(args, kwargs),
        Err(why) => {
            tracing::debug!(procedure = %invocation.procedure, error = %why, "a call has failed");
            invocation.fail(why);
        }
    }
}

/// Where a procedure gives results on the way.
#[derive(Clone, Debug)]
pub struct Progress {
    session: Session,
    number: u64,
    wanted: bool,
}

impl Progress {
    /// True if the caller takes results as they come; otherwise they are dropped.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Gives a result on the way, and waits until it is sent.
    ///
    /// # Errors
    /// The session has ended, or the result cannot be said.
    pub async fn send<T: Serialize>(&self, result: T) -> Result<(), RequestError> {
        if !self.wanted {
            return Ok(());
        }
        let payload = self.session.payload(vec![Value::of(&result)?], Dict::new())?;
        self.session.ask_driver(|answer| Order::Progress(self.number, Dict::new(), payload, answer)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_values_or_errors() {
        let value = |args: Vec<Value>| Ok((args, Dict::new()));
        assert_eq!(Reply::reply(7), value(vec![Value::Int(7)]));
        assert_eq!(Reply::reply(()), value(vec![Value::Null]));
        assert_eq!(Reply::reply(Ok::<_, String>(7)), value(vec![Value::Int(7)]));
        assert_eq!(Reply::reply(Ok::<_, CallError>("x")), value(vec!["x".into()]));
        assert_eq!(Reply::reply(Err::<i32, _>("no")), Err(CallError::new(RUNTIME_ERROR, "no")));
        let error = || CallError::new("a.b", 1);
        assert_eq!(Reply::reply(Err::<i32, _>(error())), Err(error()));
        assert_eq!(Reply::reply(Err::<Several, _>(error())), Err(error()));
        let both = Several { args: vec![1.into()], kwargs: Dict::new().with("k", 2) };
        assert_eq!(Reply::reply(Ok::<_, CallError>(both.clone())), Ok((both.args, both.kwargs)));
        assert_eq!(Reply::reply(Dict::new().with("Err", 1)), value(vec![Dict::new().with("Err", 1).into()]));
    }
}
