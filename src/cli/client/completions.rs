//! `corebar completions`: what shells need to complete commands and flags.

use super::failure::Done;
use super::output;
use clap_complete::Shell;

/// For which shell.
#[derive(Clone, Debug, clap::Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// It cannot be printed.
pub(super) fn run(wanted: &Completions, mut command: clap::Command) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(wanted.shell, &mut command, "corebar", &mut script);
    output::write(&script)
}
