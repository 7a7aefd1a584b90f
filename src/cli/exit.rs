//! How the program ends when something is wrong.

use std::fmt::{Arguments, Display};
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// The arguments or what they ask for make no sense.
pub(super) const USAGE: u8 = 2;

/// The answer to a request is an error.
pub(super) const REFUSED: u8 = 1;

/// What is asserted is not so, or there is no node, or a router cannot be reached or is lost (`sysexits.h`).
pub(super) const UNAVAILABLE: u8 = 69;

/// Something does not come in time (`EX_TEMPFAIL`).
pub(super) const TIMED_OUT: u8 = 75;

/// The other side is no router, or breaks the protocol (`EX_PROTOCOL`).
pub(super) const PROTOCOL: u8 = 76;

/// The router does not let the client in (`EX_NOPERM`).
pub(super) const NOT_ADMITTED: u8 = 77;

/// Ended by a signal before all was done.
pub(super) const INTERRUPTED: u8 = 130;

/// Says what is wrong, in one line.
pub(super) fn fail(error: &dyn Display, code: ExitCode) -> ExitCode {
    say(error);
    code
}

/// The same without an end.
pub(super) fn say(what: &dyn Display) {
    // Who has closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "corebar: {what}");
}

/// Writes a line to standard output, and sees that it leaves at once. Where nobody reads it, the work goes on; where it
/// cannot be written (a full disk), the program ends, since what was asked for is lost.
pub(super) fn write_line(line: Arguments<'_>) {
    let mut output = io::stdout().lock();
    match writeln!(output, "{line}").and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            say(&format_args!("cannot write: {error}"));
            std::process::exit(1);
        }
        _ => {}
    }
}

/// [`write_line`] with the arguments of `println`.
macro_rules! tell {
    ($($words:tt)*) => { $crate::cli::exit::write_line(format_args!($($words)*)) };
}
pub(super) use tell;
