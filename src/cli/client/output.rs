//! What commands print.

use super::failure::{Done, Failure};
use super::values;
use serde::Serialize;
use std::io::{self, ErrorKind, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// How much is printed, and in which form.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// One JSON object per line.
    #[arg(long)]
    pub(super) json: bool,

    /// Nothing but what was asked for: no hints on standard error.
    #[arg(long, short = 'q')]
    pub(super) quiet: bool,
}

impl Output {
    /// Prints an object or a text, and sees that it leaves at once.
    pub(super) fn print(self, object: &impl Serialize, text: impl FnOnce() -> String) -> Done {
        let line = if self.json { values::text(object) } else { values::harmless(&text()) };
        print(&line)
    }

    /// Tells a person what goes on.
    pub(super) fn hint(self, text: &str) {
        if !self.quiet {
            // Who has closed standard error does not want to know.
            let _ = writeln!(io::stderr(), "{}", values::harmless(text));
        }
    }
}

/// Prints a line, and sees that it leaves at once.
pub(super) fn print(line: &str) -> Done {
    write(format!("{line}\n").as_bytes())
}

/// Prints octets, and sees that they leave at once.
pub(super) fn write(octets: &[u8]) -> Done {
    let mut output = io::stdout().lock();
    output.write_all(octets).and_then(|()| output.flush()).map_err(|why| match why.kind() {
        ErrorKind::BrokenPipe => Failure::unread(),
        _ => Failure::system(&why),
    })
}

/// The time, in UTC with milliseconds.
pub(super) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{stamp:.3}")
}
