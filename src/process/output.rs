//! What guests write, line by line.

use super::tail::Tail;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The most octets of a line that are kept.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The most lines of a stream in a second that go into the log.
const LINES_MAX: u32 = 1000;
/// The most octets of them.
const BYTES_MAX: usize = 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);
/// A guest that writes too much is read this much more slowly, so that the router has time for others.
const PAUSE: Duration = Duration::from_millis(10);
const CHUNK: usize = 64 * 1024;

/// Cuts octets into lines.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    /// The rest of a line that was too long comes.
    skipping: bool,
}

impl Lines {
    /// Gives every line that is complete with these octets, without its end.
    fn push(&mut self, mut octets: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = memchr::memchr(b'\n', octets) {
            self.add(&octets[..end], &mut line);
            if !std::mem::take(&mut self.skipping) {
                line(self.begun.strip_suffix(b"\r").unwrap_or(&self.begun));
            }
            self.begun.clear();
            octets = &octets[end + 1..];
        }
        self.add(octets, &mut line);
    }

    /// Adds to the line that has begun. One that is too long is given at once, and its rest is not kept.
    fn add(&mut self, octets: &[u8], line: &mut impl FnMut(&[u8])) {
        if self.skipping {
            return;
        }
        let room = LINE_BYTES_MAX - self.begun.len();
        if octets.len() <= room {
            self.begun.extend_from_slice(octets);
            return;
        }
        self.begun.extend_from_slice(&octets[..room]);
        line(&self.begun);
        self.begun.clear();
        self.skipping = true;
    }

    /// The last line may have no end.
    fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            line(&self.begun);
        }
    }
}

/// How much of a stream has gone into the log in this second.
#[derive(Debug)]
struct Rate {
    since: Duration,
    lines: u32,
    octets: usize,
    dropped: u64,
}

impl Rate {
    fn new(now: Duration) -> Rate {
        Rate { since: now, lines: 0, octets: 0, dropped: 0 }
    }

    /// Begins the next second if it is time; gives how many lines were dropped in the last one.
    fn turn(&mut self, now: Duration) -> Option<u64> {
        if now < self.since + SECOND {
            return None;
        }
        let dropped = self.dropped;
        *self = Rate::new(now);
        (dropped > 0).then_some(dropped)
    }

    /// Whether one more line may go into the log.
    fn admits(&mut self, octets: usize) -> bool {
        if self.dropped > 0 || self.lines >= LINES_MAX || self.octets + octets > BYTES_MAX {
            self.dropped += 1;
            return false;
        }
        self.lines += 1;
        self.octets += octets;
        true
    }
}

/// A stream of a guest that goes into the log.
pub(super) struct Stream {
    pub(super) id: Box<str>,
    /// It is the one for errors.
    pub(super) errors: bool,
    /// A text whose coming is told.
    pub(super) awaited: Option<(Box<str>, Arc<Notify>)>,
    /// What is kept of it.
    pub(super) tail: Arc<Tail>,
}

impl Stream {
    /// Reads to the end.
    pub(super) async fn log(mut self, mut pipe: impl AsyncRead + Unpin) {
        let epoch = Instant::now();
        let (mut lines, mut rate) = (Lines::default(), Rate::new(Duration::ZERO));
        let mut chunk = vec![0; CHUNK];
        loop {
            let turn = epoch + rate.since + SECOND;
            let read = tokio::select! {
                read = pipe.read(&mut chunk) => Some(read),
                () = tokio::time::sleep_until(turn), if rate.dropped > 0 => None,
            };
            if let Some(dropped) = rate.turn(epoch.elapsed()) {
                self.dropped(dropped);
            }
            match read {
                None => continue,
                Some(Ok(0) | Err(_)) => break,
                Some(Ok(length)) => lines.push(&chunk[..length], |line| self.line(line, &mut rate)),
            }
            if rate.dropped > 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
        lines.finish(|line| self.line(line, &mut rate));
        if rate.dropped > 0 {
            self.dropped(rate.dropped);
        }
    }

    fn line(&mut self, line: &[u8], rate: &mut Rate) {
        if let Some((text, told)) = &self.awaited
            && memchr::memmem::find(line, text.as_bytes()).is_some()
        {
            told.notify_one();
            self.awaited = None;
        }
        if !rate.admits(line.len()) {
            return;
        }
        let (id, line) = (&self.id, printable(line));
        self.tail.push(self.errors, &line);
        if self.errors {
            tracing::warn!(target: "corebar::guest", "{id}: {line}");
        } else {
            tracing::info!(target: "corebar::guest", "{id}: {line}");
        }
    }

    fn dropped(&self, lines: u64) {
        self.tail.push(true, &format!("({lines} lines were dropped: the process writes too much)"));
        tracing::warn!(target: "corebar::guest", lines, "{}: writes too much; lines were dropped", self.id);
    }
}

/// A line that can be shown: nothing in it moves the cursor or looks like another line.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    if !text.contains(|c: char| c.is_control() && c != '\t') {
        return text.into_owned();
    }
    let shown = |c: char| if c.is_control() && c != '\t' { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, |line| out.push(line.to_vec()));
        }
        lines.finish(|line| out.push(line.to_vec()));
        out
    }

    #[test]
    fn lines_are_cut() {
        assert_eq!(lines(&[b"one\ntw", b"o\r\n", b"\nthree"]), [&b"one"[..], b"two", b"", b"three"]);
        let long = vec![b'x'; LINE_BYTES_MAX + 10];
        assert_eq!(lines(&[&long, b"y", b"y\nz\n"]), [&long[..LINE_BYTES_MAX], b"z"]);
        let whole = [&long[..LINE_BYTES_MAX], b"\nz"].concat();
        assert_eq!(lines(&[&whole]), [&long[..LINE_BYTES_MAX], b"z"]);
    }

    #[test]
    fn nothing_fills_memory() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.push(&[b'x'; 1000], |_| {});
        }
        assert!(lines.begun.capacity() <= 2 * LINE_BYTES_MAX);
    }

    #[test]
    fn too_many_lines_are_dropped_and_counted() {
        let mut rate = Rate::new(Duration::ZERO);
        assert_eq!((0..1500).filter(|_| rate.admits(1)).count(), 1000);
        assert_eq!(rate.turn(SECOND / 2), None);
        assert_eq!(rate.turn(SECOND), Some(500));
        assert!(rate.admits(1));
        assert_eq!(rate.turn(3 * SECOND), None);
        assert_eq!((0..20).filter(|_| rate.admits(LINE_BYTES_MAX)).count(), 16);
    }

    #[test]
    fn lines_are_shown_as_they_are_and_do_no_harm() {
        assert_eq!(printable("grün\t1".as_bytes()), "grün\t1");
        assert_eq!(printable(b"\x1b[2Ja\rb\xff"), "\\u{1b}[2Ja\\rb\u{fffd}");
    }
}
