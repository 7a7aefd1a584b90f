//! Programs that run for one request or call, and die with the process that has started them.
//!
//! They need no guardian: nobody starts them again, and what they leave behind is theirs. As with guests, what has to
//! happen before the program's own begins happens in a program, so that nothing here needs unsafe code.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{self, Command, ExitCode};
use std::sync::OnceLock;

/// The program that becomes others: `corebar` itself.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// The first argument of the program, which makes it one that becomes another.
pub(crate) const ARGUMENT: &str = "becomes-bound";
/// What the program ends with if it cannot become the other.
const EXIT_TROUBLE: u8 = 125;

/// Says by which program the others are started; only the first word counts.
pub(crate) fn start_by(program: PathBuf) {
    let _ = PROGRAM.set(program);
}

/// A command that dies with the thread which starts it, so with this process at the latest: also if that is killed. Of
/// programs that have said nothing, such as those that embed the router, it is a plain one.
#[must_use]
pub(crate) fn command(program: impl AsRef<OsStr>) -> tokio::process::Command {
    let Some(own) = PROGRAM.get() else { return tokio::process::Command::new(program) };
    let mut command = tokio::process::Command::new(own);
    command.arg(ARGUMENT).arg(process::id().to_string()).arg(program);
    command
}

/// Becomes the program. Comes back only if that cannot be.
pub(crate) fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Err(trouble) = enter(arguments);
    eprintln!("corebar: {trouble}");
    ExitCode::from(EXIT_TROUBLE)
}

fn enter(mut arguments: impl Iterator<Item = OsString>) -> Result<Infallible, String> {
    let parent = arguments.next().and_then(|text| text.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return Err(format!("{ARGUMENT} is for the router only"));
    };
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(|error| error.to_string())?;
    // It may have died before that.
    if nix::unistd::getppid().as_raw() != parent {
        return Err("who has started this is no more".into());
    }
    let error = Command::new(&program).args(arguments).exec();
    Err(format!("cannot run {}: {error}", program.display()))
}
