//! `corebar top`: what a node does, again and again, by its management.

mod screen;
mod snapshot;

use super::failure::{Done, Failure};
use super::login::{Login, seconds};
use super::output::{self, Output};
use super::stop::Stop;
use super::values;
use crate::client::{RequestError, Session};
use crate::wamp::{Dict, Value, error};
use serde_json::{Value as Json, json};
use snapshot::{Rates, Snapshot};
use std::io::{self, IsTerminal};
use std::time::Duration;

/// Looking more often would show nothing else, and keep the node busy.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// How often to look, and at what.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "The realm is the one that `corebar.management` names in the configuration of the node: --realm, or COREBAR_REALM."
)]
pub struct Top {
    /// The time between two looks, in seconds, at least 0.1.
    #[arg(long, short = 'i', value_name = "SECONDS", value_parser = interval, default_value = "2")]
    interval: Duration,

    /// End after so many looks. [default: at Ctrl-C, with exit code 0]
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Slow consumers that are shown: clients for which most octets wait to be written.
    #[arg(long, value_name = "N", default_value_t = 5)]
    slow: usize,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    pub(super) login: Login,
}

/// Sessions with something to be written that are looked at.
const SLOW_MAX: i64 = 1000;

/// Looks and prints until it is enough.
///
/// # Errors
/// There is no session, it may not look, or it ends.
pub(super) async fn run(wanted: Top) -> Done {
    let (session, stop) = wanted.login.begin().await?;
    let done = look(&wanted, &session, stop).await;
    session.leave(super::LEAVE).await;
    done
}

async fn look(wanted: &Top, session: &Session, mut stop: Stop) -> Done {
    let clears = !wanted.output.json && io::stdout().is_terminal();
    let mut before: Option<Snapshot> = None;
    let mut looks = 0;
    loop {
        let now = take(wanted, session).await?;
        if let Some(before) = &before {
            let rates = Rates::between(before, &now);
            looks += 1;
            if wanted.output.json {
                output::print(&values::text(&json!({
                    "time": output::now(), "status": now.status, "rates": rates.json(), "stats": now.stats, "slow": now.slow,
                })))?;
            } else {
                let lines = screen::lines(&now, &rates, wanted.slow);
                let text: Vec<String> = lines.iter().map(|line| values::harmless(line)).collect();
                // Home, the rest of each line and of the screen cleared: nothing flickers.
                let text = match clears {
                    true => format!("\x1b[H{}\x1b[K\x1b[J", text.join("\x1b[K\n")),
                    false => text.join("\n") + "\n",
                };
                output::print(&text)?;
            }
        }
        if wanted.count.is_some_and(|count| looks >= count) {
            return Ok(());
        }
        if before.is_none() && clears {
            output::write(b"\x1b[2J")?;
        }
        before = Some(now);
        tokio::select! {
            () = tokio::time::sleep(wanted.interval) => {}
            () = stop.asked() => return Ok(()),
            why = session.ended() => return Err(Failure::lost(&why)),
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = seconds(text)?;
    if interval < INTERVAL_MIN { Err(format!("{text:?} is less than 0.1 seconds")) } else { Ok(interval) }
}

async fn take(wanted: &Top, session: &Session) -> Done<Snapshot> {
    let status = ask(wanted, session, "corebar.node.status", Dict::new()).await?;
    let stats = ask(wanted, session, "corebar.node.stats", Dict::new()).await?;
    let slow = match wanted.slow {
        0 => Json::Null,
        _ => {
            let query = Dict::new().with("queued_bytes_min", Value::Int(1)).with("limit", Value::Int(SLOW_MAX));
            ask(wanted, session, "corebar.session.list", query).await?
        }
    };
    let mut slow = slow["sessions"].as_array().cloned().unwrap_or_default();
    slow.sort_by_key(|session| std::cmp::Reverse(session["queued_bytes"].as_u64()));
    slow.truncate(wanted.slow);
    Ok(Snapshot::new(status, stats, slow))
}

async fn ask(wanted: &Top, session: &Session, procedure: &str, arguments: Dict) -> Done<Json> {
    let called = session.call(procedure, Vec::new(), arguments, Dict::new());
    let outcome = wanted.login.soon(procedure, called).await?.map_err(|why| match &why {
        RequestError::Refused(why) if *why.error == *error::NO_SUCH_PROCEDURE => {
            Failure::refused(format!("this is no realm of management (--realm): {procedure} is not there"))
        }
        _ => Failure::of_call(procedure, &why),
    })?;
    let first = outcome.args.into_iter().next().unwrap_or(Value::Null);
    first.to().map_err(|why| Failure::refused(format!("{procedure}: the answer makes no sense: {why}")))
}
