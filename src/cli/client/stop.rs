//! The wish to stop: Ctrl-C and SIGTERM.

use super::failure::{Done, Failure};
use crate::cli::exit;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether somebody has asked to stop.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens to the signals from now on. The second ends the process at once.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn watch() -> Done<Stop> {
        let listen = |kind| signal(kind).map_err(|why| Failure::system(&why));
        let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let (tell, asked) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if tell.send_replace(true) {
                    super::shell::kill_all();
                    std::process::exit(exit::INTERRUPTED.into());
                }
            }
        });
        Ok(Stop(asked))
    }

    /// Waits until somebody asks. May be dropped while it waits.
    pub(super) async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}
