//! Commands for a node that runs: they find it by its directory, and tell it by signals.

use super::args::{Reload, Status, Stop};
use super::directory::{Word, running, wait_for_end};
use super::exit::{UNAVAILABLE, fail, tell};
use super::office::{self, Outcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// What the node in a directory says of itself.
fn node(directory: &Path) -> Result<Word, ExitCode> {
    match running(directory) {
        Ok(Some(word)) => Ok(word),
        Ok(None) => Err(fail(&format!("no node runs in {}", directory.display()), ExitCode::from(UNAVAILABLE))),
        Err(error) => Err(fail(&format!("{}: {error}", directory.display()), ExitCode::FAILURE)),
    }
}

fn signal(word: &Word, signal: Signal) -> Result<(), ExitCode> {
    let told = kill(Pid::from_raw(word.pid), signal);
    told.map_err(|error| fail(&format!("process {} cannot be told: {error}", word.pid), ExitCode::FAILURE))
}

/// Ends a node, and waits for that.
pub(super) fn stop(stop: &Stop) -> Result<ExitCode, ExitCode> {
    let word = node(&stop.directory.cbdir)?;
    // A second signal would cut off what is being finished.
    if word.ending {
        tell!("process {} is ending", word.pid);
    } else {
        signal(&word, Signal::SIGTERM)?;
        tell!("process {} was told to end", word.pid);
    }
    match wait_for_end(&stop.directory.cbdir, word.pid, stop.timeout) {
        Ok(true) => {
            tell!("it has ended");
            Ok(ExitCode::SUCCESS)
        }
        Ok(false) => Err(fail(&"it has not ended in time", ExitCode::FAILURE)),
        Err(error) => Err(fail(&error, ExitCode::FAILURE)),
    }
}

/// Says whether a node runs.
pub(super) fn status(status: &Status) -> Result<ExitCode, ExitCode> {
    let directory = &status.directory.cbdir;
    let word = running(directory).map_err(|error| fail(&error, ExitCode::FAILURE))?;
    let now = if word.is_some() { "running" } else { "stopped" };
    // A node that is just beginning or ending has nothing to say.
    let details = word.as_ref().and_then(|_| office::ask(directory).ok()).unwrap_or_default();
    if status.json {
        tell!("{}", json!({"status": now, "node": word, "details": details}));
    } else if let Some(word) = &word {
        tell!("running: process {}, corebar {}, at {}", word.pid, word.version, word.listening.join(", "));
        match &details {
            Value::Null if word.ending => tell!("it is ending"),
            Value::Null => tell!("it does not say more: it is just starting or ending, or too busy"),
            details => show(details),
        }
    } else {
        tell!("stopped");
    }
    match status.assert.map(|wanted| wanted.name()) {
        Some(wanted) if wanted != now => {
            Err(fail(&format!("the node is {now}, not {wanted}"), ExitCode::from(UNAVAILABLE)))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Shows how a node is, to people.
fn show(details: &Value) {
    if let Some(connections) = details["connections"].as_u64() {
        tell!("{connections} connections");
    }
    for process in details["processes"].as_array().into_iter().flatten() {
        let text = |key: &str| match &process[key] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let mut line = format!("{}: {}", text("id").unwrap_or_default(), text("state").unwrap_or_default());
        let mib = process["resident_bytes"].as_u64().map(|octets| format!("{} MiB", octets >> 20));
        let cpu = process["cpu_seconds"].as_f64().map(|seconds| format!("{seconds:.1} s of processor time"));
        let pid = text("pid").map(|pid| format!("process {pid}"));
        let restarts = text("restarts").filter(|restarts| restarts != "0").map(|count| format!("{count} restarts"));
        let end = text("last_end").map(|end| format!("last end: {end}"));
        for part in [pid, mib, cpu, restarts, end].into_iter().flatten() {
            line.push_str(", ");
            line.push_str(&part);
        }
        tell!("{line}");
    }
    for link in details["links"].as_array().into_iter().flatten() {
        let text = |key: &str| link[key].as_str().unwrap_or_default();
        let state = match (link["up"] == true, link["why"].as_str()) {
            (true, _) => "up".into(),
            (false, Some(why)) => format!("down: {why}"),
            (false, None) => "down".into(),
        };
        let carried = |way: &str| format!("{} events and {} calls", link[way]["events"], link[way]["calls"]);
        let (sent, received) = (carried("sent"), carried("received"));
        tell!(
            "link {} of realm {} to {}: {state}; {sent} sent, {received} received",
            text("id"),
            text("realm"),
            text("url")
        );
    }
}

/// Has a node read its configuration again, or say what that would change.
pub(super) fn reload(reload: &Reload) -> Result<ExitCode, ExitCode> {
    let directory = &reload.directory.cbdir;
    node(directory)?;
    let outcome = office::reload(directory, reload.dry_run);
    let outcome =
        outcome.unwrap_or_else(|error| Outcome { dry_run: reload.dry_run, error: Some(error), ..Outcome::default() });
    if reload.json {
        tell!("{}", json!(outcome));
    } else {
        print(&outcome);
    }
    match &outcome.error {
        Some(error) => Err(fail(error, ExitCode::FAILURE)),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn print(outcome: &Outcome) {
    let verb = if outcome.dry_run { "would change" } else { "changed" };
    for change in &outcome.changes {
        tell!("{verb}: {change}");
    }
    for change in &outcome.at_start {
        tell!("only a new start can change: {change}");
    }
    if outcome.error.is_none() && outcome.changes.is_empty() {
        // What is in them is not compared.
        let files = if outcome.dry_run { "" } else { "; certificates and other files have been read again" };
        tell!("nothing {verb}{files}");
    }
}
