//! Guests: programs of any kind that run beside the router and are looked after by it.

use super::component::Bond;
use crate::wamp::Uri;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// A guest: what is run, in which surroundings, and what becomes of it when it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestConfig {
    /// Its name, by which others depend on it and which stands before its lines in the log.
    pub id: Box<str>,
    /// The program: an absolute path, one relative to `workdir`, or the name of a program on the PATH.
    pub executable: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The directory in which it runs.
    pub workdir: PathBuf,
    /// Variables that it gets from the router's own environment.
    pub inherit: Inherit,
    /// Variables of its own; they win.
    pub vars: BTreeMap<String, String>,
    /// What it reads.
    pub stdin: InputConfig,
    /// What becomes of its output.
    pub stdout: OutputConfig,
    /// What becomes of its standard error.
    pub stderr: OutputConfig,
    /// Guests that have to be ready before it starts.
    pub depends_on: Vec<Box<str>>,
    /// When it is ready.
    pub ready: ReadyConfig,
    /// How long that may take. It has failed if it takes longer.
    pub ready_timeout: Duration,
    /// What happens when it has ended.
    pub restart: RestartConfig,
    /// What it is sent when it has to stop, and its whole process group with it.
    pub stop_signal: Signal,
    /// How long it then has before it is killed.
    pub stop_grace: Duration,
    /// What it may use.
    pub limits: GuestLimits,
    /// As whom it runs, by name or number. None: as the router. Only root can choose.
    pub user: Option<Box<str>>,
    /// Its group, by name or number. None: that of `user`.
    pub group: Option<Box<str>>,
    /// Added to the router's niceness; only root can take away from it.
    pub nice: Option<i32>,
    /// The cores on which it may run; none: all that the router may.
    pub cpu_affinity: Vec<usize>,
    /// Directories in which a change restarts it.
    pub watch: Vec<PathBuf>,
    /// Others whose end is its own.
    pub bond: Option<Bond>,
}

/// Which variables of the router's environment a guest gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Inherit {
    /// All of them.
    #[default]
    All,
    /// None.
    None,
    /// Those that are named, as far as they are there.
    These(Vec<String>),
}

/// What a guest finds on its standard input.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum InputConfig {
    /// Nothing: it is at its end.
    #[default]
    Close,
    /// A value as JSON, and a newline.
    Json {
        /// The value.
        value: Value,
        /// Then its end. Otherwise it stays open for as long as the guest runs.
        close: bool,
    },
}

/// What becomes of what a guest writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OutputConfig {
    /// It goes into the log, line by line.
    #[default]
    Log,
    /// It is thrown away.
    Drop,
    /// Nobody reads it: writing fails.
    Close,
    /// It is added to the end of a file.
    File(PathBuf),
}

/// When a guest is ready, so that those that depend on it may start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReadyConfig {
    /// As soon as it runs.
    #[default]
    Start,
    /// When it has ended with 0: for work that is done once.
    Exit,
    /// When a line in the log of its output contains this.
    Line(Box<str>),
    /// When this address accepts connections by TCP.
    Tcp {
        /// The host.
        host: Box<str>,
        /// The port.
        port: u16,
    },
    /// When a call of this procedure would find somebody.
    Procedure {
        /// The realm; the first one of this name.
        realm: Uri,
        /// The procedure.
        procedure: Uri,
    },
}

/// Whether a guest is started again after it has ended by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Always.
    Always,
    /// After anything but an exit with 0.
    OnFailure,
    /// Never, as Crossbar.io does.
    #[default]
    Never,
}

/// How a guest is started again.
#[derive(Clone, Debug, PartialEq)]
pub struct RestartConfig {
    /// Whether.
    pub policy: RestartPolicy,
    /// How long to wait before the first restart; twice as long before each that follows.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// A guest that has run for so long begins anew with the first wait.
    pub reset_after: Duration,
    /// It is given up when more restarts than these would be needed within `crashes_within`. Zero: it never is.
    pub crashes_max: u32,
    /// See `crashes_max`.
    pub crashes_within: Duration,
    /// The exit code by which a program says that another start would be no use.
    pub useless: Option<i32>,
}

/// What a guest may use. None: what the router may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestLimits {
    /// Files that each of its processes may have open.
    pub open_files: Option<u64>,
    /// Octets of address space of each of its processes.
    pub address_space: Option<u64>,
    /// Seconds of processor time of each of its processes.
    pub cpu_seconds: Option<u64>,
    /// Processes and threads of its user, all together, unless that is root; and processes of its own: with more it is
    /// killed, and has failed.
    pub processes: Option<u64>,
}

impl Default for RestartConfig {
    fn default() -> Self {
        RestartConfig {
            policy: RestartPolicy::Never,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            reset_after: Duration::from_secs(60),
            crashes_max: 10,
            crashes_within: Duration::from_secs(600),
            useless: None,
        }
    }
}

impl GuestConfig {
    /// How long a guest may take to be ready, if nothing is said.
    pub const READY_TIMEOUT: Duration = Duration::from_secs(60);
    /// How long one may take to stop.
    pub const STOP_GRACE: Duration = Duration::from_secs(5);

    /// A guest that runs a program and has the defaults otherwise.
    #[must_use]
    pub fn new(id: &str, executable: impl Into<PathBuf>) -> GuestConfig {
        GuestConfig {
            id: id.into(),
            executable: executable.into(),
            arguments: Vec::new(),
            workdir: ".".into(),
            inherit: Inherit::default(),
            vars: BTreeMap::new(),
            stdin: InputConfig::default(),
            stdout: OutputConfig::default(),
            stderr: OutputConfig::default(),
            depends_on: Vec::new(),
            ready: ReadyConfig::default(),
            ready_timeout: GuestConfig::READY_TIMEOUT,
            restart: RestartConfig::default(),
            stop_signal: Signal::SIGTERM,
            stop_grace: GuestConfig::STOP_GRACE,
            limits: GuestLimits::default(),
            user: None,
            group: None,
            nice: None,
            cpu_affinity: Vec::new(),
            watch: Vec::new(),
            bond: None,
        }
    }

    /// Says what cannot work.
    ///
    /// # Errors
    /// The first thing found.
    pub fn check(&self) -> Result<(), GuestError> {
        let fault = |text: &str| Err(GuestError::Contradiction(self.id.clone(), text.into()));
        let printable = |c: char| !c.is_control() && !c.is_whitespace();
        if self.id.is_empty() || !self.id.chars().all(printable) {
            return fault("an id must not be empty, and hold no blanks and no control characters");
        }
        if self.executable.as_os_str().is_empty() {
            return fault("its executable has no name");
        }
        let nul = |text: &String| text.contains('\0');
        if self.arguments.iter().chain(self.vars.keys()).chain(self.vars.values()).any(nul) {
            return fault("arguments and variables cannot hold the character NUL");
        }
        if self.vars.keys().any(|name| name.is_empty() || name.contains('=')) {
            return fault("the name of a variable is empty or holds `=`");
        }
        if self.ready == ReadyConfig::Exit && self.restart.policy == RestartPolicy::Always {
            return fault("it is ready when it has ended, but is then started again");
        }
        let logged = [&self.stdout, &self.stderr].contains(&&OutputConfig::Log);
        if matches!(self.ready, ReadyConfig::Line(_)) && !logged {
            return fault("it is ready when it has printed a line, but neither stdout nor stderr goes into the log");
        }
        Ok(())
    }
}

/// What is wrong with guests.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GuestError {
    /// Two of one name.
    #[error("the guest {0:?} is there twice")]
    Twice(Box<str>),
    /// Waits for nobody.
    #[error("the guest {0:?} depends on {1:?}, which is no guest")]
    Unknown(Box<str>, Box<str>),
    /// Would wait for ever.
    #[error("guests depend on each other in a circle: {0}")]
    Circle(String),
    /// Settings that cannot be had together.
    #[error("the guest {0:?}: {1}")]
    Contradiction(Box<str>, String),
    /// Something that it needs is not there.
    #[error("the guest {0:?}: {1}")]
    Lack(Box<str>, String),
    /// Nothing to run a component with.
    #[error("the component {0:?}: {1}")]
    Component(Box<str>, String),
}

/// How far each guest is from those that depend on nobody, in their order: a guest comes after all with less.
///
/// # Errors
/// They cannot work, one by one or together.
pub fn levels(guests: &[GuestConfig]) -> Result<Vec<usize>, GuestError> {
    let mut places = BTreeMap::new();
    for (place, guest) in guests.iter().enumerate() {
        guest.check()?;
        if places.insert(&*guest.id, place).is_some() {
            return Err(GuestError::Twice(guest.id.clone()));
        }
    }
    let mut needs = Vec::with_capacity(guests.len());
    for guest in guests {
        let place = |id: &str| places.get(id).copied().ok_or_else(|| GuestError::Unknown(guest.id.clone(), id.into()));
        needs.push(guest.depends_on.iter().map(|id| place(id)).collect::<Result<BTreeSet<usize>, _>>()?);
    }
    let mut levels = vec![0; guests.len()];
    let mut left: BTreeSet<usize> = (0..guests.len()).collect();
    for level in 0.. {
        let free: Vec<usize> = left.iter().copied().filter(|place| needs[*place].is_disjoint(&left)).collect();
        if free.is_empty() {
            break;
        }
        for place in free {
            levels[place] = level;
            left.remove(&place);
        }
    }
    match left.first() {
        None => Ok(levels),
        Some(first) => Err(GuestError::Circle(circle(guests, &needs, &left, *first))),
    }
}

/// A circle, as `a, b, a`. Each of those that are left needs another one of them.
fn circle(guests: &[GuestConfig], needs: &[BTreeSet<usize>], left: &BTreeSet<usize>, first: usize) -> String {
    let mut way = vec![first];
    loop {
        let last = way[way.len() - 1];
        let Some(next) = needs[last].intersection(left).next().copied() else { break };
        if let Some(start) = way.iter().position(|place| *place == next) {
            way.drain(..start);
            way.push(next);
            break;
        }
        way.push(next);
    }
    way.iter().map(|place| &*guests[*place].id).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(id: &str, depends_on: &[&str]) -> GuestConfig {
        GuestConfig {
            depends_on: depends_on.iter().map(|id| (*id).into()).collect(),
            ..GuestConfig::new(id, "program")
        }
    }

    #[test]
    fn those_that_are_needed_come_first() {
        let guests = [guest("web", &["db", "cache"]), guest("db", &[]), guest("cache", &["db"]), guest("x", &[])];
        assert_eq!(levels(&guests), Ok(vec![2, 0, 1, 0]));
        assert_eq!(levels(&[]), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_ordered_is_told() {
        assert_eq!(levels(&[guest("a", &["b"])]), Err(GuestError::Unknown("a".into(), "b".into())));
        assert_eq!(levels(&[guest("a", &[]), guest("a", &[])]), Err(GuestError::Twice("a".into())));
        let circle = [guest("a", &["b"]), guest("b", &["c"]), guest("c", &["b"]), guest("d", &[])];
        assert_eq!(levels(&circle), Err(GuestError::Circle("b, c, b".into())));
        assert_eq!(levels(&[guest("a", &["a"])]), Err(GuestError::Circle("a, a".into())));
    }

    #[test]
    fn contradictions_are_told() {
        let with = |change: fn(&mut GuestConfig)| {
            let mut guest = guest("a", &[]);
            change(&mut guest);
            guest.check().expect_err("a contradiction").to_string()
        };
        assert!(with(|guest| guest.id = "".into()).contains("id"));
        assert!(with(|guest| guest.id = "a b".into()).contains("id"));
        assert!(with(|guest| guest.executable = "".into()).contains("executable"));
        assert!(with(|guest| guest.arguments.push("\0".into())).contains("NUL"));
        assert!(with(|guest| guest.vars.extend([("a=b".into(), String::new())])).contains("`=`"));
        let always = with(|guest| (guest.ready, guest.restart.policy) = (ReadyConfig::Exit, RestartPolicy::Always));
        assert!(always.contains("started again"));
        let unread = with(|guest| {
            guest.ready = ReadyConfig::Line("up".into());
            (guest.stdout, guest.stderr) = (OutputConfig::Drop, OutputConfig::Close);
        });
        assert!(unread.contains("log"));
    }
}
