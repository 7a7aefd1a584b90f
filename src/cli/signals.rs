//! The signals that the program knows.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To read the configuration again, and its files: SIGHUP.
    Reload,
    /// To open the file of the log again: SIGUSR1.
    Reopen,
    /// To end: SIGINT, SIGTERM.
    End,
}

/// Those that would end a process which does not know them yet, though they are not meant to.
pub(super) struct Mild {
    hangup: Signal,
    reopen: Signal,
}

impl Mild {
    /// Listens to them from now on.
    pub(super) fn new() -> io::Result<Mild> {
        Ok(Mild { hangup: signal(SignalKind::hangup())?, reopen: signal(SignalKind::user_defined1())? })
    }
}

/// The signals.
pub(super) struct Signals {
    mild: Mild,
    interrupt: Signal,
    terminate: Signal,
    /// What was asked for while only the end was waited for.
    kept: Vec<Wish>,
}

impl Signals {
    /// Listens to the others as well from now on.
    pub(super) fn new(mild: Mild) -> io::Result<Signals> {
        let [interrupt, terminate] = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        Ok(Signals { mild, interrupt: interrupt?, terminate: terminate?, kept: Vec::new() })
    }

    /// What is asked for next.
    pub(super) async fn next(&mut self) -> Wish {
        match self.kept.pop() {
            Some(wish) => wish,
            None => self.come().await,
        }
    }

    async fn come(&mut self) -> Wish {
        tokio::select! {
            _ = self.mild.hangup.recv() => Wish::Reload,
            _ = self.mild.reopen.recv() => Wish::Reopen,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.terminate.recv() => Wish::End,
        }
    }

    /// Waits until the end is asked for. What else is asked for meanwhile comes next.
    pub(super) async fn end(&mut self) {
        loop {
            match self.come().await {
                Wish::End => return,
                other if self.kept.contains(&other) => {}
                other => self.kept.push(other),
            }
        }
    }

    /// Waits until the end is asked for; the file of the log is opened again when that is asked for, and nothing is read
    /// any more.
    pub(super) async fn end_or(&mut self, mut reopen: impl FnMut()) {
        loop {
            match self.next().await {
                Wish::End => return,
                Wish::Reopen => reopen(),
                Wish::Reload => {}
            }
        }
    }
}
