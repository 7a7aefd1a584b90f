//! This program, which starts itself once more for further processes.

use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};

static NAME: OnceLock<&[&str]> = OnceLock::new();

/// Says what leads to the load generator: the name of the program, and arguments that come before its own.
pub(crate) fn call(name: &'static [&'static str]) {
    // Who says it twice says the same.
    let _ = NAME.set(name);
}

/// The load generator, ready for a command of its own.
///
/// # Errors
/// If the program cannot be found.
pub(crate) fn again() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(NAME.get().into_iter().flat_map(|name| name.iter().skip(1)));
    Ok(command)
}
