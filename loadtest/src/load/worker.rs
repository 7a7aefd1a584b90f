//! Workers in further processes: this program again, which reads its task and orders from its standard input and
//! writes its reports to its standard output, one JSON document per line.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::load::crew::{self, Task};
use crate::load::plan::Share;
use crate::program;
use crate::stop;
use crate::wire::link::{Order, Report};

/// The hidden command that makes this program a process of workers.
pub(crate) const COMMAND: &str = "worker";

/// What a process of workers needs to know.
#[derive(Serialize, Deserialize)]
struct Brief {
    task: Task,
    /// One thread for each.
    shares: Vec<Share>,
}

/// A process of workers, from the leader's side. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    input: Mutex<ChildStdin>,
}

impl Process {
    /// Starts a process with these workers.
    ///
    /// # Errors
    /// If it cannot be started or told what to do.
    pub(crate) fn start(task: &Task, shares: Vec<Share>, reports: Sender<(usize, Report)>) -> Result<Arc<Self>> {
        let mut command = program::again()?;
        // In a process group of its own: an interrupt from the terminal reaches it as an order.
        command.arg(COMMAND).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start a further process")?;
        let (input, output) = (child.stdin.take().context("no pipe")?, child.stdout.take().context("no pipe")?);
        let workers: Vec<_> = shares.iter().map(|share| share.worker).collect();
        thread::spawn(move || {
            let mut open = workers;
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok((worker, report)) = serde_json::from_str::<(usize, Report)>(&line) else { break };
                if matches!(report, Report::Done(_) | Report::Failed(_)) {
                    open.retain(|other| *other != worker);
                }
                // Nobody listens once the leader has given up.
                let _ = reports.send((worker, report));
            }
            for worker in open {
                let _ = reports.send((worker, Report::Failed("a process of the load generator has ended".into())));
            }
        });
        let process = Self { child, input: Mutex::new(input) };
        process.write(&Brief { task: task.clone(), shares })?;
        Ok(Arc::new(process))
    }

    /// Gives an order to one of its workers.
    ///
    /// # Errors
    /// If the process has ended.
    pub(crate) fn order(&self, worker: usize, order: &Order) -> Result<()> {
        self.write(&(worker, order))
    }

    fn write(&self, document: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(document).context("an order cannot be written")?;
        line.push(b'\n');
        self.input.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line).context("a process has ended")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs as a process of workers, until all of them are done or the leader is gone.
///
/// # Errors
/// If the standard input is not what a leader writes.
pub(crate) fn serve() -> Result<()> {
    stop::watch()?;
    let mut lines = BufReader::new(std::io::stdin()).lines();
    let brief = lines.next().context("no task")??;
    let Brief { task, shares } = serde_json::from_str(&brief).context("the task cannot be read")?;
    let (reports, inbox) = mpsc::channel();
    let workers: Vec<_> =
        shares.iter().map(|share| (share.worker, crew::start_thread(&task, *share, reports.clone()))).collect();
    drop(reports);
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            match serde_json::from_str::<(usize, Order)>(&line) {
                Ok((_, Order::Stop)) => stop::ask(),
                Ok((worker, order)) => {
                    for (_, orders) in workers.iter().filter(|(other, _)| *other == worker) {
                        // One that has ended needs no orders.
                        let _ = orders.send(order.clone());
                    }
                }
                Err(_) => break,
            }
        }
        // Nobody reads the result any more.
        std::process::exit(2);
    });
    for report in inbox {
        let mut line = serde_json::to_vec(&report).context("a report cannot be written")?;
        line.push(b'\n');
        std::io::stdout().write_all(&line).context("the leader has ended")?;
    }
    Ok(())
}
