//! Calls of every kind, many at a time, and what becomes of them. The same code runs as a program, with a hundred thousand of
//! them, and as a test, with fewer.

use super::service::{Seen, Service};
use corebar::client::{CancelMode, Connect, Load, Outcome, RequestError, Results, Session};
use corebar::node::{Console, Node};
use corebar::wamp::Serializer;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What is left when all is done should be gone by then, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Calls that each caller has open.
const WINDOW: usize = 32;

/// Kinds of calls.
const KINDS: u8 = 13;

/// How a call has ended, and how often.
pub(crate) type Endings = BTreeMap<&'static str, u64>;

/// Makes `calls` calls over connections of these URLs, with every serializer, in three parts. `between` is called after
/// each of them, when nothing is in flight.
pub(crate) async fn run(
    node: &Node,
    urls: &[String],
    calls: u64,
    mut between: impl FnMut(u32),
) -> Result<Endings, String> {
    let third = calls.div_ceil(3);
    let (callers, callees) = (open(urls).await?, open(&urls[..urls.len().min(2)]).await?);
    let mut endings = Endings::new();
    for part in 0..3 {
        let seen = Seen::new(third);
        let service = Service::start(&callees, &seen).await.map_err(|why| format!("nothing can be offered: {why}"))?;
        for (ending, count) in all(&callers, third).await? {
            *endings.entry(ending).or_default() += count;
        }
        settled(&callers, |load| load.requests == 0 && load.held == 0 && load.unwritten == 0).await?;
        settled(&callees, |load| load.invocations == 0 && load.held == 0).await?;
        service.stop().await?;
        settled(&callees, |load| load == Load::default()).await?;
        quiet(&node.console(), (callers.len() + callees.len()) as u64).await?;
        if seen.working() + seen.twice() > 0 {
            return Err(format!("{} calls are still worked on, {} have come twice", seen.working(), seen.twice()));
        }
        drop(seen);
        between(part);
    }
    for session in callers.into_iter().chain(callees) {
        session.leave("wamp.close.normal").await;
    }
    quiet(&node.console(), 0).await?;
    Ok(endings)
}

/// A session for each URL and serializer.
async fn open(urls: &[String]) -> Result<Vec<Session>, String> {
    let mut sessions = Vec::new();
    for url in urls {
        for serializer in Serializer::ALL {
            let connect = Connect { serializers: vec![serializer], ..Connect::new(url, "realm1") };
            sessions.push(connect.open().await.map_err(|why| format!("{url}: {why}"))?);
        }
    }
    Ok(sessions)
}

/// Makes all calls of a part, and counts how they have ended.
async fn all(callers: &[Session], calls: u64) -> Result<Endings, String> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::<Result<Endings, String>>::new();
    for caller in callers {
        for _ in 0..WINDOW {
            let (caller, next) = (caller.clone(), next.clone());
            tasks.spawn(async move {
                let mut endings = Endings::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        return Ok(endings);
                    }
                    let kind = fastrand::u8(0..KINDS);
                    let ending = tokio::time::timeout(PATIENCE, one(&caller, number, kind)).await;
                    let ending = ending.unwrap_or_else(|_| Err("it has not ended".into()));
                    let ending = ending.map_err(|why| format!("call {number} of kind {kind}: {why}"))?;
                    *endings.entry(ending).or_default() += 1;
                }
            });
        }
    }
    let mut endings = Endings::new();
    while let Some(done) = tasks.join_next().await {
        for (ending, count) in done.map_err(|why| why.to_string())?? {
            *endings.entry(ending).or_default() += count;
        }
    }
    match endings.values().sum::<u64>() {
        made if made == calls => Ok(endings),
        made => Err(format!("{made} calls have ended of {calls}")),
    }
}

/// Makes one call of a kind; gives how it has ended.
async fn one(caller: &Session, number: u64, kind: u8) -> Result<&'static str, String> {
    let soon = Duration::from_micros(fastrand::u64(0..3000));
    let ask = |name: &str| caller.ask(&format!("soak.{name}")).arg(number);
    let started = |results: Result<Results, RequestError>| results.map_err(|why| why.to_string());
    match kind {
        0 | 1 => match ask("echo").arg("x".repeat(fastrand::usize(0..2000))).result::<String>().await {
            Ok(_) => Ok("answered"),
            other => Err(format!("{other:?}")),
        },
        2 => match ask("late").arg(fastrand::u64(0..5)).result::<u64>().await {
            Ok(_) => Ok("answered late"),
            other => Err(format!("{other:?}")),
        },
        3 => match ask("fail").outcome().await {
            Err(RequestError::Refused(why)) if *why.error == *"soak.error" => Ok("failed"),
            other => Err(format!("{other:?}")),
        },
        4 => match ask("never").timeout(soon).outcome().await {
            Err(RequestError::Timeout) => Ok("timed out"),
            other => Err(format!("{other:?}")),
        },
        // The router is told the time.
        5 => refused(ask("never").option("timeout", 1 + number % 4).outcome().await, "wamp.error.timeout"),
        // Whichever comes first.
        6 => match ask("late").arg(1).timeout(soon).result::<u64>().await {
            Ok(1) | Err(RequestError::Timeout) => Ok("answered or timed out"),
            other => Err(format!("{other:?}")),
        },
        7 => {
            let name = if number.is_multiple_of(2) { "never" } else { "late" };
            let _ = tokio::time::timeout(soon, ask(name).arg(1).outcome()).await;
            Ok("dropped")
        }
        // Nobody tells who is called of a call that is skipped: it has to end by itself.
        8 if number.is_multiple_of(3) => canceled(started(ask("late").arg(2).results().await)?, soon, number).await,
        8 => canceled(started(ask("never").results().await)?, soon, number).await,
        9 => in_parts(started(ask("count").arg(number % 20).results().await)?, number % 20).await,
        10 => {
            // Given up in the midst of the results.
            let mut results = started(ask("count").arg(50).results().await)?;
            for _ in 0..number % 3 {
                results.next().await.map_err(|why| why.to_string())?;
            }
            Ok("dropped within the results")
        }
        11 => summed(caller, number).await,
        _ => match ask("fickle").result::<u64>().await {
            Ok(_) => Ok("answered by one that goes"),
            Err(RequestError::Refused(why)) => match &*why.error {
                "soak.error" | "wamp.error.canceled" => Ok("not answered by one that goes"),
                "wamp.error.no_such_procedure" | "wamp.error.unavailable" | "wamp.error.no_available_callee" => {
                    Ok("nobody was there")
                }
                _ => Err(format!("{why:?}")),
            },
            other => Err(format!("{other:?}")),
        },
    }
}

fn refused(ended: Result<Outcome, RequestError>, error: &str) -> Result<&'static str, String> {
    match ended {
        Err(RequestError::Refused(why)) if *why.error == *error => Ok("ended by the router"),
        other => Err(format!("{other:?}, not {error}")),
    }
}

/// A call that is canceled, sometimes at once.
async fn canceled(mut results: Results, soon: Duration, number: u64) -> Result<&'static str, String> {
    if number.is_multiple_of(2) {
        tokio::time::sleep(soon).await;
    }
    let modes = [CancelMode::Skip, CancelMode::Kill, CancelMode::KillNoWait];
    results.cancel(modes[number as usize % 3]);
    if number.is_multiple_of(5) && !number.is_multiple_of(3) {
        results.cancel(CancelMode::KillNoWait);
    }
    match results.last().await {
        Err(RequestError::Refused(why)) if *why.error == *"wamp.error.canceled" => {}
        // It was answered meanwhile.
        Ok(_) if number.is_multiple_of(3) => {}
        other => return Err(format!("{other:?}, though it was canceled")),
    }
    over(results, "canceled").await
}

/// Nothing comes behind the end.
async fn over(mut results: Results, ending: &'static str) -> Result<&'static str, String> {
    match results.next().await {
        Err(RequestError::Closed(None)) => Ok(ending),
        other => Err(format!("{other:?} behind the end")),
    }
}

async fn in_parts(mut results: Results, parts: u64) -> Result<&'static str, String> {
    for part in 0..=parts {
        let outcome = results.next().await.map_err(|why| why.to_string())?;
        if outcome.arg::<u64>(0) != Ok(part) || outcome.progress != (part < parts) {
            return Err(format!("{outcome:?}, not part {part} of {parts}"));
        }
    }
    over(results, "answered in parts").await
}

/// Arguments that follow one another, to one that adds them up, or does not wait for all of them.
async fn summed(caller: &Session, number: u64) -> Result<&'static str, String> {
    let early = number.is_multiple_of(2);
    let ask = caller.ask(if early { "soak.early" } else { "soak.sum" }).arg(number);
    let said = |why: RequestError| why.to_string();
    let (more, mut results) = ask.stream().await.map_err(said)?;
    for part in 1..=4 {
        more.send(part).await.map_err(said)?;
    }
    if number.is_multiple_of(7) {
        return Ok("dropped with arguments to come");
    }
    more.finish(5).await.map_err(said)?;
    let sum = results.last().await.map_err(said)?.arg::<u64>(0);
    if sum != Ok(if early { 0 } else { 15 }) {
        return Err(format!("the sum is {sum:?}"));
    }
    over(results, "answered after arguments in parts").await
}

/// Waits until sessions have on hand what they should.
async fn settled(sessions: &[Session], wanted: impl Fn(Load) -> bool) -> Result<(), String> {
    let start = Instant::now();
    while let Some(session) = sessions.iter().find(|session| !wanted(session.load())) {
        if start.elapsed() > PATIENCE {
            return Err(format!("something is left in session {}: {:?}", session.id(), session.load()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Waits until the router has so many sessions, and no call is open.
async fn quiet(console: &Console, sessions: u64) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let reports: Vec<_> = console.reports().await.into_iter().flatten().collect();
        let sum = |number: fn(&corebar::shard::Report) -> u64| reports.iter().map(number).sum::<u64>();
        let (there, open) = (sum(|r| r.core.sessions), sum(|r| r.core.calls_open));
        if reports.len() == console.shards() && (there, open) == (sessions, 0) {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("the router has {there} sessions, not {sessions}, and {open} calls are open"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
