//! How the program ends when something is wrong.

use std::fmt::Display;
use std::process::ExitCode;

/// The arguments or what they ask for make no sense.
pub(super) const USAGE: u8 = 2;

/// What is asserted is not so, or there is no node (`sysexits.h`).
pub(super) const UNAVAILABLE: u8 = 69;

/// Ended by a second signal before the shutdown was complete.
pub(super) const INTERRUPTED: i32 = 130;

/// Says what is wrong, in one line.
pub(super) fn fail(error: &dyn Display, code: ExitCode) -> ExitCode {
    eprintln!("corebar: {error}");
    code
}
