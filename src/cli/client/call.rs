//! `corebar call`: calls a procedure.

use super::arguments::Arguments;
use super::failure::{Done, Failure};
use super::login::{Login, seconds};
use super::output::{self, Output};
use super::stop::Stop;
use super::template::{self, Template};
use super::values::{self, Pair, ShownDict, ShownList};
use crate::client::{CancelMode, Outcome, RequestError, Results, Session};
use crate::wamp::{Dict, Value, error};
use clap::ValueEnum;
use serde::Serialize;
use std::time::Duration;

/// What to call, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = template::HELP)]
pub struct Call {
    /// The procedure.
    procedure: String,

    #[command(flatten)]
    arguments: Arguments,

    /// Variables in arguments are text like any other.
    #[arg(long)]
    no_templates: bool,

    /// Print results as they are made.
    #[arg(long)]
    progress: bool,

    /// How long the call may take. [default: as long as it takes]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    call_timeout: Option<Duration>,

    /// How the call is canceled at Ctrl-C.
    #[arg(long, value_enum, value_name = "MODE", default_value = "killnowait")]
    cancel_mode: Mode,

    /// Tell the callee who calls.
    #[arg(long)]
    disclose_me: bool,

    /// Any other option of CALL. May be given more than once.
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<Pair>,

    /// Text as it is, without quotes; binary too, as it is, where it is the only result.
    #[arg(long, conflicts_with = "json")]
    raw: bool,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    pub(super) login: Login,
}

/// How a call is canceled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
enum Mode {
    /// The callee is not told.
    Skip,
    /// The callee is told, and what it answers is waited for and printed.
    Kill,
    /// The callee is told, and its answer is not waited for.
    KillNoWait,
}

/// A result as it is printed in JSON.
#[derive(Serialize)]
struct Record<'a> {
    args: ShownList<'a>,
    kwargs: ShownDict<'a>,
    progress: bool,
    details: ShownDict<'a>,
}

impl Call {
    fn options(&self) -> Dict {
        let mut options = Dict::new();
        if let Some(time) = self.call_timeout {
            options.push("timeout", u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1));
        }
        if self.disclose_me {
            options.push("disclose_me", true);
        }
        values::add_options(&mut options, &self.options);
        options
    }

    /// When it is given up, also if the router knows no timeouts.
    async fn late(&self) {
        match self.call_timeout {
            Some(time) => tokio::time::sleep(time.saturating_add(self.login.timeout)).await,
            None => std::future::pending().await,
        }
    }

    fn print(&self, outcome: &Outcome) -> Done {
        if self.output.json {
            let Outcome { args, kwargs, progress, details } = outcome;
            let (args, kwargs, details) = (ShownList(args), ShownDict(kwargs), ShownDict(details));
            return output::print(&values::text(&Record { args, kwargs, progress: *progress, details }));
        }
        if self.raw
            && outcome.kwargs.is_empty()
            && let [Value::Bin(octets)] = &*outcome.args
        {
            return output::write(octets);
        }
        let show = if self.raw { values::show_raw } else { values::show };
        let named = outcome.kwargs.iter().map(|(key, value)| format!("{key}={}", show(value)));
        let lines: Vec<_> = outcome.args.iter().map(show).chain(named).collect();
        let text = lines.join("\n");
        match lines.is_empty() {
            true => Ok(()),
            false if self.raw => output::print(&text),
            false => output::print(&values::harmless(&text)),
        }
    }
}

/// Calls, and prints what comes.
///
/// # Errors
/// The arguments make no sense, there is no session, the answer is an error, or does not come in time.
pub(super) async fn run(mut wanted: Call) -> Done {
    let ready = std::mem::take(&mut wanted.arguments).ready()?;
    let template = (!wanted.no_templates).then(|| Template::new(1));
    let (args, kwargs) = ready.values(template.as_ref())?;
    let (session, stop) = wanted.login.begin().await?;
    let done = answer(&wanted, &session, args, kwargs, stop).await;
    session.leave(super::LEAVE).await;
    done
}

async fn answer(wanted: &Call, session: &Session, args: Vec<Value>, kwargs: Dict, mut stop: Stop) -> Done {
    let (procedure, options) = (&*wanted.procedure, wanted.options());
    let failed = |why: RequestError| Failure::of_call(procedure, &why);
    let started = match wanted.progress {
        true => session.call_progressively(procedure, args, kwargs, options).await,
        false => session.start_call(procedure, args, kwargs, options).await,
    };
    let mut results = started.map_err(failed)?;
    let late = wanted.late();
    tokio::pin!(late);
    loop {
        let outcome = tokio::select! {
            outcome = results.next() => outcome.map_err(failed)?,
            () = stop.asked() => return cancel(wanted, results).await,
            () = &mut late => return Err(Failure::late(format!("{procedure}: no answer in time"))),
        };
        wanted.print(&outcome)?;
        if !outcome.progress {
            return Ok(());
        }
    }
}

/// Ends the call before it is answered.
async fn cancel(wanted: &Call, mut results: Results) -> Done {
    let mode = match wanted.cancel_mode {
        Mode::Skip => CancelMode::Skip,
        Mode::Kill => CancelMode::Kill,
        Mode::KillNoWait => CancelMode::KillNoWait,
    };
    results.cancel(mode);
    // For `kill`, the callee may take its time; another signal ends the process.
    loop {
        match results.next().await {
            Ok(outcome) => {
                wanted.print(&outcome)?;
                if !outcome.progress {
                    return Ok(());
                }
            }
            Err(RequestError::Refused(why)) if *why.error != *error::CANCELED => {
                return Err(Failure::of_call(&wanted.procedure, &RequestError::Refused(why)));
            }
            Err(_) => return Err(Failure::interrupted()),
        }
    }
}
