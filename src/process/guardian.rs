//! The guardian of a guest: a process between it and the router, with the one duty to leave nothing of it behind.

use super::descent;
use super::entry::{self, Account};
use super::order::{self, Command, Order, Report};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::Pid;
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitOptions};
use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{self, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use thread_priority::ThreadPriority;
use thread_priority::unix::{
    RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

/// The first argument of the program, which makes it a guardian; the second is the id of the guest, for people.
pub(super) const ARGUMENT: &str = "guardian";

/// How long to wait, at most, before it is looked again for processes that do not end.
const LOOK_MAX: Duration = Duration::from_millis(500);
const LOOK_MIN: Duration = Duration::from_millis(2);
/// How often it is looked whether there are too many. Often: those that double each time are soon all that there is.
const COUNT_INTERVAL: Duration = Duration::from_millis(100);

/// How often it is looked for those who are not stopped yet.
const FREEZES_MAX: usize = 100;

/// What may happen to a guardian.
enum Event {
    /// The guest's own program has begun, or cannot, for a reason.
    Begun(Option<String>),
    /// A child has ended; tell when it has been noted.
    Child(Sender<()>),
    /// There are no children.
    Childless,
    /// The router wants something.
    Command(Command),
    /// The router is no more, or the guardian itself has been told to end.
    Alone,
}

/// The guardian as a program.
pub(super) fn main() -> ExitCode {
    let guarded = prepare().and_then(|(reader, mut writer)| guard(reader, &mut writer));
    match guarded {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corebar: a guardian cannot work: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Takes in orphans, and the socket to the router, which is standard input.
fn prepare() -> io::Result<(BufReader<UnixStream>, UnixStream)> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true)?;
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let writer = socket.try_clone()?;
    Ok((BufReader::new(socket), writer))
}

fn guard(mut reader: BufReader<UnixStream>, writer: &mut UnixStream) -> io::Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let order: Order = serde_json::from_str(&line)?;
    // Whoever ends guardians ends guests; those are not to be left behind either.
    let mut signals = SigSet::empty();
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT]
        .into_iter()
        .for_each(|signal| signals.add(signal));
    signals.thread_block()?;
    let (events, inbox) = channel();
    let alone = events.clone();
    thread::spawn(move || signals.wait().map(|_| alone.send(Event::Alone)));
    // The guest is bound to the thread that starts it: this one, which stays to the end.
    let (guest, trouble) = match spawn(&order) {
        Ok(spawned) => spawned,
        Err(text) => {
            writer.write_all(&order::line(&Report::Failed(text)))?;
            return Ok(());
        }
    };
    // Not before: the guest would have it, too.
    hurry();
    let (waits, begins) = (events.clone(), events.clone());
    thread::spawn(move || begins.send(Event::Begun(hear(trouble))));
    thread::spawn(move || wait_for_children(&waits));
    thread::spawn(move || listen(reader, &events));
    let watch = Watch {
        guest,
        begun: false,
        end: None,
        ended: false,
        stopping: false,
        killing: false,
        killed: BTreeSet::new(),
        most: order.processes_max,
    };
    watch.run(&inbox, writer);
    Ok(())
}

/// Gives this thread and those that it starts the processor before all others, if the system lets it. They want it rarely;
/// but among thousands that always do, nobody else would have his turn in time.
fn hurry() {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    if set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy).is_err() {
        let _ = rustix::process::setpriority_process(None, -20);
    }
}

/// Starts what becomes the guest, and tells where it will say what went wrong. It leads a process group of its own.
fn spawn(order: &Order) -> Result<(Pid, PipeReader), String> {
    let pipe = || io::pipe().map_err(|error| format!("cannot make a pipe: {error}"));
    let (reader, writer) = pipe()?;
    entry::inherit(&writer).map_err(|error| format!("cannot pass on a pipe: {error}"))?;
    let mut setup = serde_json::to_value(&order.setup).map_err(|error| error.to_string())?;
    setup["parent"] = process::id().into();
    setup["trouble"] = writer.as_raw_fd().into();
    let mut command = process::Command::new(&order.guardian);
    command.arg0("corebar").arg(entry::ARGUMENT).args(&order.arguments).process_group(0);
    if let Some((name, home)) = Account::of(&order.setup)?.and_then(|account| account.user) {
        command.env("HOME", home).env("USER", &name).env("LOGNAME", &name);
    }
    command.envs(&order.vars).env(entry::SETUP, setup.to_string());
    command.stdin(if order.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut attempts = 0;
    let mut child = loop {
        match command.spawn() {
            Err(error) if order::is_full(&error) && attempts < order::ATTEMPTS => {
                thread::sleep(order::ATTEMPT_INTERVAL)
            }
            spawned => break spawned.map_err(|error| format!("cannot start: {error}"))?,
        }
        attempts += 1;
    };
    drop(writer);
    if let (Some(mut stdin), Some(feed)) = (child.stdin.take(), &order.stdin) {
        let (line, close) = (order::line(&feed.value), feed.close);
        thread::spawn(move || {
            // A guest that does not read it does not want it.
            let _ = stdin.write_all(&line);
            if !close {
                loop {
                    thread::park();
                }
            }
        });
    }
    Ok((Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)), reader))
}

/// What went wrong before the guest's own program could begin, if anything did.
fn hear(mut trouble: PipeReader) -> Option<String> {
    let mut text = String::new();
    match trouble.read_to_string(&mut text) {
        Ok(0) => None,
        Ok(_) => Some(text),
        Err(error) => Some(format!("cannot hear of the start: {error}")),
    }
}

/// Tells of children that have ended, without taking note of them.
fn wait_for_children(events: &Sender<Event>) {
    loop {
        match rustix::process::waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(_) => {
                let (done, noted) = channel();
                if events.send(Event::Child(done)).is_err() || noted.recv().is_err() {
                    return;
                }
            }
            Err(Errno::INTR) => {}
            Err(_) => {
                let _ = events.send(Event::Childless);
                return;
            }
        }
    }
}

/// Listens to the router, for as long as there is one.
fn listen(reader: BufReader<UnixStream>, events: &Sender<Event>) {
    for line in reader.lines().map_while(Result::ok) {
        if let Ok(command) = serde_json::from_str(&line) {
            let _ = events.send(Event::Command(command));
        }
    }
    let _ = events.send(Event::Alone);
}

impl Event {
    fn begun(self) -> Option<Option<String>> {
        match self {
            Event::Begun(trouble) => Some(trouble),
            _ => None,
        }
    }
}

/// Reports are lost on a router that is no more, and nothing changes.
fn tell(writer: &mut UnixStream, report: &Report) {
    let _ = writer.write_all(&order::line(report));
}

/// The watch over a guest that runs.
struct Watch {
    guest: Pid,
    /// It has been told how it began.
    begun: bool,
    /// How it has ended, if that has to wait until then.
    end: Option<Report>,
    /// Its end has been noted, so its number may be another's.
    ended: bool,
    /// The router has asked it to end.
    stopping: bool,
    /// Nothing that comes from it is to be left.
    killing: bool,
    /// What has been killed already.
    killed: BTreeSet<i32>,
    /// More processes than these are too many.
    most: u64,
}

impl Watch {
    /// Watches until nothing is left.
    fn run(mut self, inbox: &Receiver<Event>, writer: &mut UnixStream) {
        let mut look = LOOK_MIN;
        // By the clock, and not when it is quiet: programs that start others and end at once are never quiet.
        let mut count_at = Instant::now() + COUNT_INTERVAL;
        loop {
            let lingers = self.killing || (self.ended && self.stopping);
            let patience = if lingers { look } else { count_at.saturating_duration_since(Instant::now()) };
            let event = inbox.recv_timeout(patience);
            match event {
                Ok(Event::Child(done)) => {
                    self.note(writer);
                    let _ = done.send(());
                }
                Ok(Event::Begun(trouble)) => self.begin(trouble, writer),
                // What went wrong may still be on its way.
                Ok(Event::Childless) if !self.begun => {
                    if let Some(trouble) = inbox.iter().find_map(Event::begun) {
                        self.begin(trouble, writer);
                    }
                    return;
                }
                Ok(Event::Childless) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Event::Command(Command::Stop(signal))) => self.stop(signal),
                Ok(Event::Command(Command::Kill) | Event::Alone) => self.killing = true,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !lingers && Instant::now() >= count_at {
                self.count(writer);
                count_at = Instant::now() + COUNT_INTERVAL;
            }
            // A guest that was asked to end may leave this to others of its group, for as long as it has time.
            if self.ended && !(self.stopping && self.group_lives()) {
                self.killing = true;
            }
            let fresh = self.killing && self.kill();
            // Those who are born faster than they are killed are looked for without a rest.
            look = if fresh { Duration::ZERO } else { (look * 2).clamp(LOOK_MIN, LOOK_MAX) };
        }
    }

    /// Takes note of all children that have ended.
    fn note(&mut self, writer: &mut UnixStream) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            self.killed.remove(&pid.as_raw_nonzero().get());
            if pid.as_raw_nonzero().get() != self.guest.as_raw() || self.ended {
                continue;
            }
            self.ended = true;
            let report = match status.exit_status() {
                Some(code) => Report::Exited(code),
                None => Report::Killed(status.terminating_signal().unwrap_or_default()),
            };
            if self.begun {
                tell(writer, &report);
            } else {
                self.end = Some(report);
            }
        }
    }

    /// Tells how it began, and then how it ended, if it has already.
    fn begin(&mut self, trouble: Option<String>, writer: &mut UnixStream) {
        self.begun = true;
        let begun = trouble.map_or(Report::Started(self.guest.as_raw()), Report::Failed);
        tell(writer, &begun);
        // The router takes the first reason for an end that it hears.
        if let Some(end) = self.end.take() {
            tell(writer, &end);
        }
    }

    /// Asks the process group of the guest to end.
    fn stop(&mut self, signal: i32) {
        self.stopping = true;
        let signal = Signal::try_from(signal).unwrap_or(Signal::SIGTERM);
        if !self.ended {
            let _ = killpg(self.guest, signal);
        }
    }

    /// Begins to kill all of it if there are too many. The system's own limit knows users only, and none for root.
    fn count(&mut self, writer: &mut UnixStream) {
        // The whole system may have fewer; that is known at once.
        if descent::how_many().is_some_and(|all| all <= self.most) {
            return;
        }
        let own = i32::try_from(process::id()).unwrap_or(i32::MAX);
        let there = descent::descendants(&descent::all(), own).iter().filter(|process| !process.ended).count() as u64;
        if there > self.most {
            // First of all they have to be still: nobody hears anything as long as they have the processor.
            self.freeze();
            self.killing = true;
            tell(writer, &Report::Crowded(self.most));
        }
    }

    /// Stops all of it, until nobody is there who could start others: whoever is killed first makes room for those.
    fn freeze(&self) {
        let own = i32::try_from(process::id()).unwrap_or(i32::MAX);
        let mut stopped = BTreeSet::new();
        for _ in 0..FREEZES_MAX {
            if !self.ended {
                let _ = killpg(self.guest, Signal::SIGSTOP);
            }
            let there = descent::descendants(&descent::all(), own);
            let moving: Vec<i32> = there
                .iter()
                .filter(|process| !process.ended)
                .map(|process| process.pid)
                .filter(|pid| stopped.insert(*pid))
                .collect();
            if moving.is_empty() {
                break;
            }
            for pid in moving {
                let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
            }
        }
    }

    /// Whether anything of the guest's own process group is left.
    fn group_lives(&self) -> bool {
        let own = i32::try_from(process::id()).unwrap_or(i32::MAX);
        let group = self.guest.as_raw();
        descent::descendants(&descent::all(), own).iter().any(|process| process.group == group && !process.ended)
    }

    /// Kills all that is left; true if there was something new.
    fn kill(&mut self) -> bool {
        if !self.ended {
            let _ = killpg(self.guest, Signal::SIGKILL);
        }
        let own = i32::try_from(process::id()).unwrap_or(i32::MAX);
        let mut fresh = false;
        for process in descent::descendants(&descent::all(), own).iter().filter(|process| !process.ended) {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            fresh |= self.killed.insert(process.pid);
        }
        fresh
    }
}
