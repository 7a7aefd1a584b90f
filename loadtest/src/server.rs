//! A server process that the load generator starts itself.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a started server may take until it says where it listens.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server; it is killed when dropped.
pub(crate) struct Server {
    command: Command,
    child: Child,
    pub(crate) url: String,
}

impl Server {
    /// Starts a server and waits for its line `listening on URL` on the standard output.
    ///
    /// # Errors
    /// If it cannot be started or does not say where it listens within 20 s.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let (child, url) = launch(&mut command)?;
        Ok(Self { command, child, url })
    }

    /// Kills the server and starts it again. It may listen on another address then.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) fn restart(&mut self) -> Result<()> {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        (self.child, self.url) = launch(&mut self.command)?;
        Ok(())
    }

    /// Starts a server from a command line, split at blanks.
    ///
    /// # Errors
    /// As [`Server::start`], or if the line is blank.
    pub(crate) fn start_line(line: &str) -> Result<Self> {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().context("an empty command")?);
        command.args(words);
        Self::start(command)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server; gives its address too.
fn launch(command: &mut Command) -> Result<(Child, String)> {
    let shown = format!("{command:?}");
    // In a process group of its own, so that an interrupt from the terminal leaves it running until the run is over.
    let child = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot start {shown}"))?;
    let output = child.stdout.take().context("no standard output")?;
    let (sender, receiver) = mpsc::channel();
    // Reads to the end, so that a talkative server never waits for a reader.
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(url) = announced(&line) {
                // Only the first line is waited for.
                let _ = sender.send(url);
            }
        }
    });
    match receiver.recv_timeout(START_TIMEOUT) {
        Ok(url) => Ok((child, url)),
        Err(_) => {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            bail!("{shown} did not say \"listening on URL\"")
        }
    }
}

fn announced(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on ")?;
    let url = rest.split_whitespace().next()?;
    ["ws://", "rs://", "unix:"].iter().any(|scheme| url.starts_with(scheme)).then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_line() {
        assert_eq!(announced("listening on ws://127.0.0.1:9/"), Some("ws://127.0.0.1:9/".into()));
        assert_eq!(announced("12:00 INFO listening on unix:/tmp/s (1 shard)"), Some("unix:/tmp/s".into()));
        assert_eq!(announced("listening on http://127.0.0.1:9/"), None);
    }

    #[test]
    fn a_server_that_says_nothing_is_an_error() {
        assert!(Server::start_line("true").is_err());
        assert!(Server::start_line("/nonexistent/server").is_err());
        assert!(Server::start_line("").is_err());
    }
}
