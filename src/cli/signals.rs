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
}

impl Signals {
    /// Listens to the others as well from now on.
    pub(super) fn new(mild: Mild) -> io::Result<Signals> {
        let [interrupt, terminate] = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        Ok(Signals { mild, interrupt: interrupt?, terminate: terminate? })
    }

    /// What is asked for next.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.mild.hangup.recv() => Wish::Reload,
            _ = self.mild.reopen.recv() => Wish::Reopen,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.terminate.recv() => Wish::End,
        }
    }

    /// Waits until the end is asked for.
    pub(super) async fn end(&mut self) {
        while self.next().await != Wish::End {}
    }
}
