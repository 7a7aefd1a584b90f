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

/// The signals.
pub(super) struct Signals {
    hangup: Signal,
    reopen: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens to them from now on.
    pub(super) fn new() -> io::Result<Signals> {
        let [hangup, reopen] = [SignalKind::hangup(), SignalKind::user_defined1()].map(signal);
        let [interrupt, terminate] = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        Ok(Signals { hangup: hangup?, reopen: reopen?, interrupt: interrupt?, terminate: terminate? })
    }

    /// What is asked for next.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.reopen.recv() => Wish::Reopen,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.terminate.recv() => Wish::End,
        }
    }

    /// Waits until the end is asked for.
    pub(super) async fn end(&mut self) {
        while self.next().await != Wish::End {}
    }
}
