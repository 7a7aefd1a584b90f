//! Octets that wait to be written.

use super::link::Output;
use std::io;
use tokio::io::AsyncWriteExt;

/// Octets that wait to be written, and those of them that have been.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) octets: Vec<u8>,
    written: usize,
    /// TLS keeps what it has been given until it is told that nothing follows.
    unflushed: bool,
}

impl Outbox {
    /// Octets that wait.
    pub(super) fn len(&self) -> usize {
        self.octets.len() - self.written
    }

    /// True if everything has left.
    pub(super) fn is_idle(&self) -> bool {
        self.len() == 0 && !self.unflushed
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Outbox::default();
    }

    /// Writes some of it, or where there is nothing makes sure that what was before leaves. May be dropped while it waits.
    pub(super) async fn push(&mut self, output: &mut Output) -> io::Result<()> {
        if self.len() == 0 {
            output.flush().await?;
            self.unflushed = false;
            return Ok(());
        }
        let count = output.write(&self.octets[self.written..]).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written += count;
        self.unflushed = true;
        if self.written * 2 >= self.octets.len() {
            self.octets.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }
}
