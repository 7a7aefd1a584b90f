//! What is called: procedures that answer, at once or late, in parts, with errors, never, or are just being withdrawn.

use corebar::client::{CallError, Invocation, Invoke, Progress, RequestError, Session};
use corebar::wamp::{Dict, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// What the procedures have seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Calls that have been begun, by their numbers.
    begun: Vec<AtomicBool>,
    /// Calls that a procedure works on.
    working: AtomicU64,
    /// Calls that have come twice.
    twice: AtomicU64,
}

impl Seen {
    pub(crate) fn new(calls: u64) -> Arc<Seen> {
        let begun = (0..calls).map(|_| AtomicBool::new(false)).collect();
        Arc::new(Seen { begun, ..Seen::default() })
    }

    pub(crate) fn working(&self) -> u64 {
        self.working.load(Ordering::Acquire)
    }

    pub(crate) fn twice(&self) -> u64 {
        self.twice.load(Ordering::Acquire)
    }

    /// A call has come.
    fn enter(self: &Arc<Seen>, number: u64) -> Inside {
        let before = self.begun.get(number as usize).is_none_or(|begun| begun.swap(true, Ordering::AcqRel));
        self.twice.fetch_add(u64::from(before), Ordering::AcqRel);
        self.working.fetch_add(1, Ordering::AcqRel);
        Inside(self.clone())
    }
}

/// A call that is worked on.
struct Inside(Arc<Seen>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Something at work until it is told to end.
pub(crate) struct Service {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<(), RequestError>>>,
    handles: Vec<corebar::client::Handle>,
}

impl Service {
    /// Offers everything in these sessions, which share the procedures.
    pub(crate) async fn start(sessions: &[Session], seen: &Arc<Seen>) -> Result<Service, RequestError> {
        let mut service = Service { stop: Arc::default(), tasks: Vec::new(), handles: Vec::new() };
        for session in sessions {
            service.plain(session, seen).await?;
            service.parts(session, seen).await?;
            let (asks, stop, seen) = (session.clone(), service.stop.clone(), seen.clone());
            service.tasks.push(tokio::spawn(fickle(asks, stop, seen)));
        }
        Ok(service)
    }

    async fn plain(&mut self, session: &Session, seen: &Arc<Seen>) -> Result<(), RequestError> {
        let offer = |name: &str| session.offer(&format!("soak.{name}")).invoke(Invoke::RoundRobin);
        let noted = seen.clone();
        let echo = move |number: u64, text: String| {
            let inside = noted.enter(number);
            async move {
                drop(inside);
                text
            }
        };
        self.handles.push(offer("echo").handle(echo).await?);
        let noted = seen.clone();
        let late = move |number: u64, millis: u64| {
            let inside = noted.enter(number);
            async move {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                drop(inside);
                millis
            }
        };
        self.handles.push(offer("late").handle(late).await?);
        let noted = seen.clone();
        let never = move |number: u64| {
            let inside = noted.enter(number);
            async move {
                std::future::pending::<()>().await;
                drop(inside);
            }
        };
        self.handles.push(offer("never").handle(never).await?);
        let noted = seen.clone();
        let fail = move |number: u64| {
            drop(noted.enter(number));
            async move { Err::<(), _>(CallError::new("soak.error", number)) }
        };
        self.handles.push(offer("fail").handle(fail).await?);
        Ok(())
    }

    async fn parts(&mut self, session: &Session, seen: &Arc<Seen>) -> Result<(), RequestError> {
        let offer = |name: &str| session.offer(&format!("soak.{name}")).invoke(Invoke::Random);
        let noted = seen.clone();
        let count = move |number: u64, to: u64, progress: Progress| {
            let inside = noted.enter(number);
            async move {
                for at in 0..to {
                    progress.send(at).await?;
                }
                drop(inside);
                Ok::<_, RequestError>(to)
            }
        };
        self.handles.push(offer("count").handle(count).await?);
        // Adds up what comes; one answers before everything has come.
        for (name, early) in [("sum", false), ("early", true)] {
            let mut calls = offer(name).open().await?;
            let (stop, seen) = (self.stop.clone(), seen.clone());
            self.tasks.push(tokio::spawn(async move {
                let mut working = tokio::task::JoinSet::new();
                while let Some(call) = next_unless(&stop, calls.next()).await {
                    while working.try_join_next().is_some() {}
                    working.spawn(add(call, early, seen.clone()));
                }
                working.join_all().await;
                calls.withdraw().await
            }));
        }
        Ok(())
    }

    /// Ends all of it, in good order.
    pub(crate) async fn stop(self) -> Result<(), String> {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            task.await.map_err(|why| why.to_string())?.map_err(|why| why.to_string())?;
        }
        for handle in self.handles {
            handle.stop().await;
        }
        Ok(())
    }
}

/// Waits for the next call, and looks now and then whether it is time to end.
async fn next_unless<T>(stop: &AtomicBool, next: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::pin!(next);
    loop {
        tokio::select! {
            next = &mut next => return next,
            () = tokio::time::sleep(Duration::from_millis(20)) => if stop.load(Ordering::Acquire) {
                return None;
            }
        }
    }
}

async fn add(mut call: Invocation, early: bool, seen: Arc<Seen>) {
    let _inside = seen.enter(call.args.first().and_then(Value::as_uint).unwrap_or(u64::MAX));
    if early {
        return call.answer(0);
    }
    let mut sum = 0;
    while let Some((args, _)) = call.more().await {
        sum += args.first().and_then(Value::as_uint).unwrap_or_default();
    }
    call.answer(sum);
}

/// Offers a procedure and withdraws it, again and again, with calls in hand. Now and then the whole session goes.
async fn fickle(session: Session, stop: Arc<AtomicBool>, seen: Arc<Seen>) -> Result<(), RequestError> {
    let shared = Dict::new().with("invoke", "roundrobin");
    while !stop.load(Ordering::Acquire) {
        let mut calls = session.register("soak.fickle", shared.clone()).await?;
        for _ in 0..fastrand::u8(1..8) {
            let Some(call) = next_unless(&stop, calls.next()).await else { break };
            let number = call.args.first().and_then(Value::as_uint).unwrap_or(u64::MAX);
            // What was given back unanswered may be given to somebody else, and so may what nobody has taken.
            let inside = seen.enter(number);
            match number % 3 {
                0 => call.answer(number),
                1 => drop(call),
                _ => call.fail(CallError::new("soak.error", number)),
            }
            drop(inside);
        }
        match fastrand::bool() {
            true => drop(calls),
            false => calls.withdraw().await?,
        }
    }
    Ok(())
}
