//! What the process that runs the router is for its guests.

use super::{entry, guardian};
use crate::bound;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

static HOST: OnceLock<Host> = OnceLock::new();

/// The process that runs the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The program that guards guests: `corebar` itself.
    pub program: PathBuf,
    /// The soft limit of open files before the router raised its own.
    pub open_files: Option<u64>,
    /// All children of the process are guardians, so that others are what a guardian that was killed has left.
    pub own: bool,
}

impl Host {
    /// Says what the process is; only the first word counts.
    pub fn set(self) {
        if self.own {
            bound::start_by(self.program.clone());
        }
        let _ = HOST.set(self);
    }

    /// What the process is. One that has said nothing is some program that embeds the router, and `corebar` has to be
    /// on its PATH if it wants guests.
    pub(super) fn get() -> Host {
        let unknown = || Host { program: "corebar".into(), open_files: None, own: false };
        HOST.get().cloned().unwrap_or_else(unknown)
    }

    /// The `corebar` program: whatever its file is replaced by while it runs, guardians are of the same version.
    #[must_use]
    pub fn corebar(open_files: Option<u64>) -> Host {
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().unwrap_or_else(|_| "corebar".into())
        };
        Host { program, open_files, own: true }
    }
}

/// The programs that this one is for its guests, if its first argument says so: then it does that, and has an exit code.
#[must_use]
pub fn other_program() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?;
    if first == guardian::ARGUMENT {
        Some(guardian::main())
    } else if first == entry::ARGUMENT {
        Some(entry::main(arguments))
    } else if first == bound::ARGUMENT {
        Some(bound::main(arguments))
    } else {
        None
    }
}
