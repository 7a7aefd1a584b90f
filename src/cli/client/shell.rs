//! A command of the shell that answers a call.

use super::values::{self, ShownDict, ShownList};
use crate::bound;
use crate::client::{CallError, Invocation};
use crate::wamp::{Dict, Value};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::json;
use std::collections::BTreeSet;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;

/// So much of what a command prints on standard error is kept.
const ERRORS_BYTES_MAX: u64 = 16 * 1024;
/// So many lines wait for being sent.
const LINES_MAX: usize = 16;

/// What a command must not know: who has started it does.
const SECRETS: [&str; 3] = ["COREBAR_TICKET", "COREBAR_SECRET", "COREBAR_TOKEN"];

/// A command, and how what it prints is understood.
pub(super) struct Shell {
    pub(super) command: String,
    /// What it prints is JSON.
    pub(super) json: bool,
    /// Each line is a result, if the caller takes results as they are made.
    pub(super) progress: bool,
    /// The error, if it fails.
    pub(super) error: String,
    /// From SIGTERM to SIGKILL.
    pub(super) grace: Duration,
    /// The most that it may print.
    pub(super) output_bytes_max: usize,
}

/// What became of it.
pub(super) enum Ending {
    Result(Vec<Value>),
    Failed(CallError),
    /// The caller does not wait any more.
    Canceled,
}

/// The groups of all commands that run.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kills all processes of all commands: this one is about to end.
pub(super) fn kill_all() {
    let groups = std::mem::take(&mut *GROUPS.lock().unwrap_or_else(PoisonError::into_inner));
    for group in groups {
        // They may all have ended.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

/// The processes of a command; none is left when this is dropped.
struct Group(Pid);

impl Group {
    /// That of a child which has one of its own.
    fn of(child: &Child) -> Option<Group> {
        let id = child.id().and_then(|id| i32::try_from(id).ok())?;
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Some(Group(Pid::from_raw(id)))
    }

    fn tell(&self, signal: Signal) {
        // They may all have ended.
        let _ = killpg(self.0, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.tell(Signal::SIGKILL);
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0.as_raw());
    }
}

/// What a command has printed, and how it has ended.
struct Output {
    status: ExitStatus,
    text: Vec<u8>,
    errors: Vec<u8>,
}

impl Shell {
    /// Runs the command for a call.
    pub(super) async fn run(&self, invocation: &mut Invocation) -> Ending {
        let failed = |why: String| Ending::Failed(CallError::new(&self.error, why));
        let mut child = match self.start(invocation) {
            Ok(child) => child,
            Err(why) => return failed(format!("the command cannot be started: {why}")),
        };
        // It has not been waited for.
        let Some(group) = Group::of(&child) else { return failed("the command cannot be started".into()) };
        let by_line = self.progress && invocation.wants_progress();
        let (sender, mut lines) = mpsc::channel(LINES_MAX);
        let input = input(invocation);
        let work = self.work(&mut child, &group, input, by_line.then_some(sender));
        tokio::pin!(work);
        let output = loop {
            tokio::select! {
                biased;
                Some(line) = lines.recv() => {
                    if let Err(why) = self.give(invocation, line).await {
                        return failed(why);
                    }
                }
                output = &mut work => break output,
                () = invocation.interrupted() => {
                    group.tell(Signal::SIGTERM);
                    // The lines that it prints at its end are for nobody.
                    lines.close();
                    let _ = tokio::time::timeout(self.grace, work).await;
                    return Ending::Canceled;
                }
            }
        };
        while let Ok(line) = lines.try_recv() {
            if let Err(why) = self.give(invocation, line).await {
                return failed(why);
            }
        }
        let Output { status, text, errors } = match output {
            Ok(output) => output,
            Err(why) => return failed(why),
        };
        if !status.success() {
            return Ending::Failed(self.fault(status, &errors));
        }
        if by_line {
            return Ending::Result(Vec::new());
        }
        self.value(text).map_or_else(failed, Ending::Result)
    }

    /// Gives a line as a result on the way.
    async fn give(&self, invocation: &Invocation, line: Vec<u8>) -> Result<(), String> {
        let args = self.value(line)?;
        invocation.progress(args, Dict::new()).await.map_err(|why| why.to_string())
    }

    fn start(&self, invocation: &Invocation) -> std::io::Result<Child> {
        let mut command = bound::command("sh");
        command.args(["-c", &self.command, "corebar"]).args(invocation.args.iter().map(argument));
        for name in SECRETS {
            command.env_remove(name);
        }
        command.env("WAMP_PROCEDURE", &*invocation.procedure);
        for (name, key) in [
            ("WAMP_CALLER", "caller"),
            ("WAMP_CALLER_AUTHID", "caller_authid"),
            ("WAMP_CALLER_AUTHROLE", "caller_authrole"),
        ] {
            match invocation.details.get(key).map(argument) {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        match invocation.wants_progress() {
            true => command.env("WAMP_PROGRESS", "1"),
            false => command.env_remove("WAMP_PROGRESS"),
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true).spawn()
    }

    /// Feeds the command, and reads what it prints until it has ended.
    async fn work(
        &self,
        child: &mut Child,
        group: &Group,
        input: Vec<u8>,
        lines: Option<mpsc::Sender<Vec<u8>>>,
    ) -> Result<Output, String> {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let end = async {
            let status = child.wait().await;
            // Whatever is left of the group holds the pipes open.
            group.tell(Signal::SIGKILL);
            status.map_err(|why| why.to_string())
        };
        let print = async {
            let text = match (stdout, lines) {
                (Some(output), Some(lines)) => self.lines(output, lines).await.map(|()| Vec::new()),
                (Some(output), None) => self.all(output).await,
                (None, _) => Ok(Vec::new()),
            };
            // It would write for ever.
            text.inspect_err(|_| group.tell(Signal::SIGKILL))
        };
        let (status, text, errors, ()) = tokio::join!(end, print, errors(stderr), feed(stdin, input));
        Ok(Output { status: status?, text: text?, errors })
    }

    async fn all(&self, output: impl AsyncRead + Unpin) -> Result<Vec<u8>, String> {
        let (mut text, max) = (Vec::new(), self.output_bytes_max);
        let read = output.take(max as u64 + 1).read_to_end(&mut text).await;
        read.map_err(|why| why.to_string())?;
        if text.len() > max { Err(self.too_much()) } else { Ok(text) }
    }

    async fn lines(&self, output: impl AsyncRead + Unpin, lines: mpsc::Sender<Vec<u8>>) -> Result<(), String> {
        let max = self.output_bytes_max;
        let mut output = BufReader::new(output);
        loop {
            let mut line = Vec::new();
            let read = (&mut output).take(max as u64 + 1).read_until(b'\n', &mut line).await;
            match read.map_err(|why| why.to_string())? {
                0 => return Ok(()),
                count if count > max => return Err(self.too_much()),
                // Nobody takes lines of a call that is canceled.
                _ => drop(lines.send(line).await),
            }
        }
    }

    fn too_much(&self) -> String {
        format!("the command prints more than {} octets at once", self.output_bytes_max)
    }

    /// What is printed, as a result.
    fn value(&self, text: Vec<u8>) -> Result<Vec<Value>, String> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let value = match String::from_utf8(text) {
            Ok(text) if self.json => {
                values::document(text.as_bytes()).map_err(|why| format!("what the command prints is no JSON: {why}"))?
            }
            Ok(text) => values::without_end(&text).into(),
            Err(_) if self.json => return Err("what the command prints is no JSON, and no text".into()),
            Err(binary) => Value::Bin(binary.into_bytes().into()),
        };
        Ok(vec![value])
    }

    fn fault(&self, status: ExitStatus, errors: &[u8]) -> CallError {
        use std::os::unix::process::ExitStatusExt;
        let text = String::from_utf8_lossy(errors);
        let mut fault = match text.trim() {
            "" => CallError::new(&self.error, format!("the command has failed: {status}")),
            text => CallError::new(&self.error, text),
        };
        if let Some(code) = status.code() {
            fault.kwargs.push("exit_code", code);
        }
        if let Some(signal) = status.signal() {
            fault.kwargs.push("signal", signal);
        }
        fault
    }
}

/// What a command reads.
fn input(invocation: &Invocation) -> Vec<u8> {
    let line = json!({
        "procedure": &*invocation.procedure,
        "args": ShownList(&invocation.args),
        "kwargs": ShownDict(&invocation.kwargs),
        "details": ShownDict(&invocation.details),
    });
    format!("{line}\n").into_bytes()
}

/// A value as an argument of a program: text as it is, unless it holds what no argument can.
fn argument(value: &Value) -> String {
    match value.as_str() {
        Some(text) if !text.contains('\0') => text.to_owned(),
        _ => values::show(value),
    }
}

async fn feed(stdin: Option<ChildStdin>, input: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        // It need not read.
        let _ = stdin.write_all(&input).await;
    }
}

async fn errors(stderr: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(mut stderr) = stderr {
        // What cannot be read is not said.
        let _ = (&mut stderr).take(ERRORS_BYTES_MAX).read_to_end(&mut text).await;
        // The rest is read, too: who writes it must not wait.
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
    text
}
