//! From the birth of a guest's process to its own program: limits, user, place.
//!
//! This is the program that a guardian starts, and that becomes the guest.

use super::order::Setup;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::unistd::{Gid, Group, Uid, User, close, getppid, initgroups, setgid, setgroups, setuid};
use std::env;
use std::ffi::{CString, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// The first argument of the program, which makes it one that becomes a guest.
pub(super) const ARGUMENT: &str = "becomes-guest";
/// The variable with the setup. The guest does not see it.
pub(super) const SETUP: &str = "COREBAR_GUEST_SETUP";
/// What the program ends with if it cannot become the guest.
const EXIT_TROUBLE: u8 = 125;

/// Where a process finds its own open files.
const OWN_FILES: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// Lets a file descriptor be inherited by the next program.
pub(super) fn inherit(file: impl AsFd) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_SETFD(FdFlag::empty())).map(drop)
}

/// Becomes the guest with these arguments. Comes back only if that cannot be; the guardian has been told why.
pub(super) fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let setup: Option<Setup> = env::var(SETUP).ok().and_then(|text| serde_json::from_str(&text).ok());
    let Some(setup) = setup else {
        eprintln!("corebar: {ARGUMENT} is for guardians only");
        return ExitCode::from(EXIT_TROUBLE);
    };
    // Opened anew, it is closed when the guest's own program begins: so the guardian knows that it has.
    let trouble = OpenOptions::new().write(true).open(format!("{OWN_FILES}/{}", setup.trouble));
    let Ok(mut trouble) = trouble else { return ExitCode::from(EXIT_TROUBLE) };
    let Err(text) = enter(&setup, arguments, &trouble);
    let _ = trouble.write_all(text.as_bytes());
    ExitCode::from(EXIT_TROUBLE)
}

/// Says what could not be done.
fn cannot<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> String {
    move |error| format!("cannot {what}: {error}")
}

fn enter(
    setup: &Setup,
    arguments: impl Iterator<Item = OsString>,
    trouble: &File,
) -> Result<std::convert::Infallible, String> {
    let mut command = Command::new(&setup.program);
    command.args(arguments).env_remove(SETUP);
    close_others(trouble.as_raw_fd())?;
    // The guardian waits for some, and a mask goes on from program to program.
    SigSet::empty().thread_set_mask().map_err(cannot("let signals through"))?;
    let account = Account::of(setup)?;
    #[cfg(target_os = "linux")]
    {
        // The router does without huge pages, for reasons of its own.
        let _ = nix::sys::prctl::set_thp_disable(false);
        confine(&setup.cores)?;
    }
    if let Some(nice) = setup.nice {
        rustix::process::nice(nice).map_err(cannot(format_args!("set nice to {nice}")))?;
    }
    limit(setup)?;
    if let Some(account) = account {
        account.assume()?;
    }
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(cannot("be bound to the guardian"))?;
    // It may have died before that.
    if getppid().as_raw() != setup.parent {
        return Err("the guardian is no more".into());
    }
    let workdir = setup.workdir.display();
    env::set_current_dir(&setup.workdir).map_err(cannot(format_args!("go into the directory {workdir}")))?;
    Err(cannot(format_args!("run {}", setup.program.display()))(command.exec()))
}

/// Nothing but standard input, output and error goes to the guest, whatever was left open by whoever started the router.
fn close_others(keep: RawFd) -> Result<(), String> {
    let folder = fs::read_dir(OWN_FILES).map_err(cannot(format_args!("read {OWN_FILES}")))?;
    let open: Vec<RawFd> = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for file in open.into_iter().filter(|file| *file > 2 && *file != keep) {
        // The one by which the folder was read is closed already.
        let _ = close(file);
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn confine(cores: &[usize]) -> Result<(), String> {
    use nix::sched::{CpuSet, sched_setaffinity};
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core).map_err(cannot(format_args!("use core {core}")))?;
    }
    let own = nix::unistd::Pid::from_raw(0);
    sched_setaffinity(own, &set).map_err(cannot(format_args!("run on the cores {cores:?} alone")))
}

fn limit(setup: &Setup) -> Result<(), String> {
    let set = |resource: Resource, name: &str, soft: u64, hard: u64| {
        setrlimit(resource, soft, hard).map_err(cannot(format_args!("limit {name} to {soft}")))
    };
    if let Some(files) = setup.open_files {
        set(Resource::RLIMIT_NOFILE, "open files", files, files)?;
    } else if let Some(files) = setup.open_files_soft {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(cannot("read the limit of open files"))?;
        set(Resource::RLIMIT_NOFILE, "open files", files.min(hard), hard)?;
    }
    if let Some(seconds) = setup.cpu_seconds {
        // A program that handles the first signal has another second.
        set(Resource::RLIMIT_CPU, "processor time", seconds, seconds.saturating_add(1))?;
    }
    if let Some(processes) = setup.processes {
        set(Resource::RLIMIT_NPROC, "processes", processes, processes)?;
    }
    if let Some(octets) = setup.address_space {
        set(Resource::RLIMIT_AS, "address space", octets, octets)?;
    }
    Ok(())
}

/// As whom a guest runs.
pub(super) struct Account {
    uid: Option<Uid>,
    gid: Gid,
    /// Known to the system.
    pub(super) user: Option<(String, PathBuf)>,
}

impl Account {
    /// The account of a setup; none: that of the router.
    pub(super) fn of(setup: &Setup) -> Result<Option<Account>, String> {
        let user = setup.user.as_deref().map(find_user).transpose()?;
        let group = setup.group.as_deref().map(find_group).transpose()?;
        Ok(match (user, group) {
            (None, None) => None,
            (None, Some(gid)) => Some(Account { uid: None, gid, user: None }),
            (Some((uid, known)), group) => {
                let gid = group.or(known.as_ref().map(|user| user.gid));
                let gid = gid.ok_or_else(|| format!("the user {uid} is not known, so its group has to be said"))?;
                Some(Account { uid: Some(uid), gid, user: known.map(|user| (user.name, user.dir)) })
            }
        })
    }

    /// Becomes it, for ever.
    fn assume(&self) -> Result<(), String> {
        let (uid, gid) = (self.uid, self.gid);
        match &self.user {
            Some((name, _)) => {
                let name = CString::new(name.as_str()).map_err(|error| error.to_string())?;
                initgroups(&name, gid).map_err(cannot("take the groups of the user"))?;
            }
            None => setgroups(&[gid]).map_err(cannot("leave the groups of the router"))?,
        }
        setgid(gid).map_err(cannot(format_args!("run in group {gid}")))?;
        match uid {
            Some(uid) => setuid(uid).map_err(cannot(format_args!("run as user {uid}"))),
            None => Ok(()),
        }
    }
}

pub(super) fn find_user(text: &str) -> Result<(Uid, Option<User>), String> {
    let (known, number) = match text.parse() {
        Ok(number) => (User::from_uid(Uid::from_raw(number)), Some(Uid::from_raw(number))),
        Err(_) => (User::from_name(text), None),
    };
    let known = known.map_err(cannot(format_args!("look up the user {text}")))?;
    let uid = number.or(known.as_ref().map(|user| user.uid));
    uid.map(|uid| (uid, known)).ok_or_else(|| format!("there is no user {text}"))
}

pub(super) fn find_group(text: &str) -> Result<Gid, String> {
    if let Ok(number) = text.parse() {
        return Ok(Gid::from_raw(number));
    }
    let known = Group::from_name(text).map_err(cannot(format_args!("look up the group {text}")))?;
    known.map(|group| group.gid).ok_or_else(|| format!("there is no group {text}"))
}
