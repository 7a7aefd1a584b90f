//! A worker of the type `guest`.

use super::cores::{CORE_MAX, check_affinity};
use super::kinds::kinds;
use super::schema::OWN;
use super::settings::TIME_MAX;
use super::{Fault, Read, Reader, read};
use crate::config::guest::{
    GuestConfig, GuestLimits, Inherit, InputConfig, OutputConfig, ReadyConfig, RestartConfig, RestartPolicy,
};
use nix::sys::signal::Signal;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A program of any kind that runs beside the router.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Guest {
    /// Its name, before its lines in the log; by default `worker001` and so on, by its place.
    #[schemars(extend("examples" = ["web"]))]
    id: Option<String>,
    /// The program: an absolute path, one relative to `workdir`, or a name on the PATH (that of `env.vars`, else the
    /// inherited one).
    #[schemars(extend("examples" = ["node"]))]
    executable: PathBuf,
    /// What it is called with.
    #[serde(default)]
    #[schemars(extend("examples" = [["server.js"]]))]
    arguments: Vec<String>,
    /// How it is run.
    #[serde(default)]
    options: Options,
}

/// How a guest is run.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GuestOptions")]
struct Options {
    /// Its variables.
    env: Option<Env>,
    /// Where it runs, relative to the node directory. Without it, there.
    #[schemars(extend("examples" = ["../web"]))]
    workdir: Option<PathBuf>,
    /// What it reads.
    #[schemars(with = "Option<Input>", extend("default" = "close"))]
    stdin: Option<Value>,
    /// Where its output goes.
    #[schemars(with = "Option<Output>", extend("default" = "log"))]
    stdout: Option<Value>,
    /// Where its errors go.
    #[schemars(with = "Option<Output>", extend("default" = "log"))]
    stderr: Option<Value>,
    /// Directories in which a change starts it again.
    watch: Option<Watch>,
    /// Ids of guests that have to be ready before its first start. They are stopped after it. An id that is not there and a
    /// circle are errors.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = OWN, "examples" = [["database"]]))]
    depends_on: Vec<Box<str>>,
    /// When it is ready.
    #[schemars(with = "Option<Ready>", extend("x-crossbar" = OWN))]
    ready: Option<Value>,
    /// What happens when it has ended by itself.
    #[schemars(extend("x-crossbar" = OWN))]
    restart: Option<Restart>,
    /// How it is stopped.
    #[schemars(extend("x-crossbar" = OWN))]
    stop: Option<Stop>,
    /// What its processes may use.
    #[schemars(extend("x-crossbar" = OWN))]
    limits: Option<Limits>,
    /// Name or number of the user that it runs as, for a router that runs as root. If the system knows the user, its groups
    /// are taken over, and `HOME`, `USER` and `LOGNAME` are set, unless `env.vars` says otherwise.
    #[schemars(extend("x-crossbar" = OWN, "examples" = ["www-data"]))]
    user: Option<Account>,
    /// Name or number of its group. Without it, that of the user.
    #[schemars(extend("x-crossbar" = OWN, "examples" = ["www-data"]))]
    group: Option<Account>,
    /// What is added to the router's niceness; less than 0 needs root.
    #[schemars(range(min = -20, max = 19), extend("x-crossbar" = OWN, "default" = 0))]
    nice: Option<i32>,
    /// Numbers of the cores on which it may run. Empty: all.
    #[serde(default)]
    #[schemars(inner(range(max = CORE_MAX)), extend("x-crossbar" = OWN, "examples" = [[0, 1]]))]
    cpu_affinity: Vec<usize>,
}

/// Variables of the environment.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Env {
    /// Those of the router that it gets: all, none (false), or a list of names.
    #[schemars(extend("default" = true))]
    inherit: Option<InheritValue>,
    /// Variables of its own, which win. A text that looks like a variable is that text.
    #[serde(default)]
    #[schemars(extend("examples" = [{"ROUTER": "ws://127.0.0.1:8080/"}]))]
    vars: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected true, false or a list of names")]
#[schemars(inline)]
enum InheritValue {
    Flag(bool),
    These(Vec<String>),
}

/// Its end, `"close"`; or a value.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"close\" or an object of the type json")]
enum Input {
    Word(InputWord),
    #[schemars(with = "InputKind")]
    Object(Map<String, Value>),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum InputWord {
    Close,
}

kinds! {
    /// What is written to it.
    enum InputKind { "json" => Json(Json) }
}

/// A value as one line of JSON.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "JsonInput")]
struct Json {
    /// The value.
    #[schemars(extend("examples" = [{"port": 3000}]))]
    value: Value,
    /// Its input ends then; else it stays open as long as it runs.
    #[serde(default = "yes")]
    close: bool,
}

/// `"log"`: line by line into the log, after the id, output as info and errors as warnings. `"drop"`: thrown away.
/// `"close"`: nobody reads, so writing fails. Or the end of a file, which Crossbar.io does not have.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"log\", \"drop\", \"close\" or {\"file\": …}")]
enum Output {
    Word(OutputWord),
    #[schemars(with = "AppendTo")]
    File(Map<String, Value>),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum OutputWord {
    Log,
    Drop,
    Close,
}

/// A file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AppendTo {
    /// The file, relative to the node directory; what comes is added to its end.
    #[schemars(extend("examples" = ["web.log"]))]
    file: PathBuf,
}

/// Directories in which a change starts the guest again, also one that has ended.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Watch {
    /// Directories, relative to the node directory. They are looked at twice a second with all below (at most 100,000
    /// entries, 32 levels, no links to directories); a change counts when nothing has changed since the last look.
    #[serde(default)]
    #[schemars(extend("examples" = [["../web"]]))]
    directories: Vec<PathBuf>,
    /// What is done then; nothing else is.
    #[schemars(extend("enum" = ["restart"], "default" = "restart"))]
    action: Option<String>,
}

kinds! {
    /// When a guest is ready.
    enum Ready { "start" => Start(ReadyTime), "exit" => Exit(ReadyTime), "line" => Line(ReadyLine), "tcp" => Tcp(ReadyTcp), "procedure" => Procedure(ReadyProcedure) }
}

/// As soon as the program runs, for `start`; when it has ended with 0, for `exit`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadyTime {
    /// One that is not ready in time has failed and is stopped.
    #[schemars(range(min = 0.0, max = TIME_MAX), extend("x-unit" = "seconds", "default" = READY_TIMEOUT))]
    timeout: Option<f64>,
}

/// When somebody has registered a procedure.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadyProcedure {
    /// The realm; the first one of this name.
    #[schemars(extend("examples" = ["realm1"]))]
    realm: Box<str>,
    /// The procedure.
    #[schemars(extend("examples" = ["com.example.work"]))]
    procedure: Box<str>,
    /// One that is not ready in time has failed and is stopped.
    #[schemars(range(min = 0.0, max = TIME_MAX), extend("x-unit" = "seconds", "default" = READY_TIMEOUT))]
    timeout: Option<f64>,
}

/// When a line in the log of its output contains a text.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadyLine {
    /// The text.
    #[schemars(length(min = 1), extend("examples" = ["listening"]))]
    text: Box<str>,
    /// One that is not ready in time has failed and is stopped.
    #[schemars(range(min = 0.0, max = TIME_MAX), extend("x-unit" = "seconds", "default" = READY_TIMEOUT))]
    timeout: Option<f64>,
}

/// When a port accepts connections, whoever does.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadyTcp {
    /// The address or name of that.
    #[schemars(extend("default" = LOOPBACK))]
    host: Option<Box<str>>,
    /// The port.
    #[schemars(range(min = 1), extend("examples" = [3000]))]
    port: u16,
    /// One that is not ready in time has failed and is stopped.
    #[schemars(range(min = 0.0, max = TIME_MAX), extend("x-unit" = "seconds", "default" = READY_TIMEOUT))]
    timeout: Option<f64>,
}

const LOOPBACK: &str = "127.0.0.1";
const READY_TIMEOUT: u64 = GuestConfig::READY_TIMEOUT.as_secs();

/// What happens when it has ended by itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Restart {
    /// It is started again `always`, `on-failure` (anything but exit code 0), or `never`.
    #[schemars(extend("enum" = ["always", "on-failure", "never"], "default" = "never"))]
    policy: Option<String>,
    /// The wait before the first restart; it doubles with each.
    #[schemars(range(min = 0.0, max = TIME_MAX),
        extend("x-unit" = "seconds", "default" = RestartConfig::default().backoff.as_secs()))]
    backoff: Option<f64>,
    /// The longest wait; not less than `backoff`, which it is if that is more.
    #[schemars(range(min = 0.0, max = TIME_MAX),
        extend("x-unit" = "seconds", "default" = RestartConfig::default().backoff_max.as_secs()))]
    backoff_max: Option<f64>,
    /// After a run of so long the wait is the first again.
    #[schemars(range(min = 0.0, max = TIME_MAX),
        extend("x-unit" = "seconds", "default" = RestartConfig::default().reset_after.as_secs()))]
    reset_after: Option<f64>,
    /// With more restarts than this within `crashes_within` it is given up, with an error in the log. 0: never, which is the
    /// default of components.
    #[schemars(extend("default" = RestartConfig::default().crashes_max))]
    crashes_max: Option<u32>,
    /// The time in which restarts are counted together.
    #[schemars(range(min = 0.0, max = TIME_MAX),
        extend("x-unit" = "seconds", "default" = RestartConfig::default().crashes_within.as_secs()))]
    crashes_within: Option<f64>,
}

/// How a guest is stopped.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Stop {
    /// What its process group is sent, with or without `SIG`.
    #[schemars(extend("default" = "TERM"))]
    signal: Option<String>,
    /// How long it may take; then everything that is left is killed.
    #[schemars(range(min = 0.0, max = TIME_MAX), extend("x-unit" = "seconds", "default" = GuestConfig::STOP_GRACE.as_secs()))]
    grace: Option<f64>,
}

/// What each process of a guest may use. Without them, as much as the router had at its start.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GuestLimits")]
struct Limits {
    /// Files that it may have open.
    #[schemars(extend("examples" = [1024]))]
    open_files: Option<u64>,
    /// Its address space.
    #[schemars(extend("x-unit" = "octets", "examples" = [1_073_741_824]))]
    address_space: Option<u64>,
    /// Processor time: SIGXCPU, a second later SIGKILL.
    #[schemars(extend("x-unit" = "seconds", "examples" = [3600]))]
    cpu_seconds: Option<u64>,
    /// Processes of its user at once; with more of its own than these, as root can have them, it is killed and has failed.
    #[schemars(extend("examples" = [100]))]
    processes: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a name or a number")]
#[schemars(inline)]
enum Account {
    Number(u32),
    Name(Box<str>),
}

fn yes() -> bool {
    true
}

impl Env {
    /// What is inherited, and what is set.
    pub(super) fn read(self) -> (Inherit, BTreeMap<String, String>) {
        let inherit = match self.inherit {
            None | Some(InheritValue::Flag(true)) => Inherit::All,
            Some(InheritValue::Flag(false)) => Inherit::None,
            Some(InheritValue::These(names)) => Inherit::These(names),
        };
        (inherit, self.vars)
    }
}

impl Account {
    fn text(self) -> Box<str> {
        match self {
            Account::Number(number) => number.to_string().into(),
            Account::Name(name) => name,
        }
    }
}

/// A guest; `number` is its place among all workers, for one without an id.
pub(super) fn read_guest(reader: &Reader, guest: Guest, number: usize, at: &str) -> Read<GuestConfig> {
    let id = guest.id.unwrap_or_else(|| format!("worker{number:03}"));
    let mut config = GuestConfig::new(&id, guest.executable);
    config.arguments = guest.arguments;
    config.workdir = reader.directory.clone();
    read_options(reader, guest.options, &format!("{at}.options"), &mut config)?;
    config.check().map_err(|error| Fault::new(at, error.to_string()))?;
    Ok(config)
}

fn read_options(reader: &Reader, options: Options, at: &str, config: &mut GuestConfig) -> Read<()> {
    if let Some(workdir) = options.workdir {
        config.workdir = reader.directory.join(workdir);
    }
    if let Some(env) = options.env {
        (config.inherit, config.vars) = env.read();
    }
    if let Some(stdin) = options.stdin {
        config.stdin = read_stdin(stdin, &format!("{at}.stdin"))?;
    }
    for (value, key, output) in
        [(options.stdout, "stdout", &mut config.stdout), (options.stderr, "stderr", &mut config.stderr)]
    {
        if let Some(value) = value {
            *output = read_output(reader, value, &format!("{at}.{key}"))?;
        }
    }
    if let Some(watch) = options.watch {
        if let Some(action) = watch.action.filter(|action| action != "restart") {
            return Err(Fault::new(&format!("{at}.watch.action"), format!("is {action:?}, not restart")));
        }
        config.watch = watch.directories.into_iter().map(|directory| reader.directory.join(directory)).collect();
    }
    config.depends_on = options.depends_on;
    if let Some(ready) = options.ready {
        read_ready(ready, &format!("{at}.ready"), config)?;
    }
    if let Some(restart) = options.restart {
        config.restart = read_restart(restart, RestartConfig::default(), &format!("{at}.restart"))?;
    }
    if let Some(stop) = options.stop {
        if let Some(name) = stop.signal {
            config.stop_signal = read_signal(&name, &format!("{at}.stop.signal"))?;
        }
        replace(&mut config.stop_grace, stop.grace, &format!("{at}.stop.grace"))?;
    }
    if let Some(limits) = options.limits {
        let Limits { open_files, address_space, cpu_seconds, processes } = limits;
        config.limits = GuestLimits { open_files, address_space, cpu_seconds, processes };
    }
    (config.user, config.group) = (options.user.map(Account::text), options.group.map(Account::text));
    if let Some(nice) = options.nice.filter(|nice| !(-20..=19).contains(nice)) {
        return Err(Fault::new(&format!("{at}.nice"), format!("is {nice}, not from -20 to 19")));
    }
    config.nice = options.nice;
    check_affinity(&options.cpu_affinity, at)?;
    config.cpu_affinity = options.cpu_affinity;
    Ok(())
}

fn read_stdin(value: Value, at: &str) -> Read<InputConfig> {
    match read(value, at)? {
        Input::Word(InputWord::Close) => Ok(InputConfig::Close),
        Input::Object(object) => {
            let InputKind::Json(Json { value, close }) = InputKind::read(object.into(), at)?;
            Ok(InputConfig::Json { value, close })
        }
    }
}

fn read_output(reader: &Reader, value: Value, at: &str) -> Read<OutputConfig> {
    match read(value, at)? {
        Output::Word(OutputWord::Log) => Ok(OutputConfig::Log),
        Output::Word(OutputWord::Drop) => Ok(OutputConfig::Drop),
        Output::Word(OutputWord::Close) => Ok(OutputConfig::Close),
        Output::File(object) => {
            let AppendTo { file } = read(object.into(), at)?;
            Ok(OutputConfig::File(reader.directory.join(file)))
        }
    }
}

fn read_ready(value: Value, at: &str, config: &mut GuestConfig) -> Read<()> {
    let (ready, timeout) = match Ready::read(value, at)? {
        Ready::Start(ReadyTime { timeout }) => (ReadyConfig::Start, timeout),
        Ready::Exit(ReadyTime { timeout }) => (ReadyConfig::Exit, timeout),
        Ready::Line(ReadyLine { text, .. }) if text.is_empty() => {
            return Err(Fault::new(&format!("{at}.text"), "is empty"));
        }
        Ready::Line(ReadyLine { text, timeout }) => (ReadyConfig::Line(text), timeout),
        Ready::Procedure(ReadyProcedure { realm, procedure, timeout }) => {
            (ReadyConfig::Procedure { realm: (&*realm).into(), procedure: (&*procedure).into() }, timeout)
        }
        Ready::Tcp(ReadyTcp { port: 0, .. }) => {
            return Err(Fault::new(&format!("{at}.port"), "is 0, which is no port"));
        }
        Ready::Tcp(ReadyTcp { host, port, timeout }) => {
            (ReadyConfig::Tcp { host: host.unwrap_or_else(|| LOOPBACK.into()), port }, timeout)
        }
    };
    config.ready = ready;
    replace(&mut config.ready_timeout, timeout, &format!("{at}.timeout"))
}

/// Replaces what is given.
pub(super) fn read_restart(restart: Restart, mut config: RestartConfig, at: &str) -> Read<RestartConfig> {
    config.policy = match restart.policy.as_deref() {
        None => config.policy,
        Some("always") => RestartPolicy::Always,
        Some("on-failure") => RestartPolicy::OnFailure,
        Some("never") => RestartPolicy::Never,
        Some(other) => {
            return Err(Fault::new(&format!("{at}.policy"), format!("is {other:?}, not always, on-failure or never")));
        }
    };
    replace(&mut config.backoff, restart.backoff, &format!("{at}.backoff"))?;
    // Whoever wants a longer first wait need not say that the others are as long.
    config.backoff_max = config.backoff_max.max(config.backoff);
    replace(&mut config.backoff_max, restart.backoff_max, &format!("{at}.backoff_max"))?;
    replace(&mut config.reset_after, restart.reset_after, &format!("{at}.reset_after"))?;
    replace(&mut config.crashes_within, restart.crashes_within, &format!("{at}.crashes_within"))?;
    config.crashes_max = restart.crashes_max.unwrap_or(config.crashes_max);
    if config.backoff > config.backoff_max {
        return Err(Fault::new(&format!("{at}.backoff_max"), "is less than backoff"));
    }
    Ok(config)
}

/// A signal that can end a program, with or without `SIG` before its name.
fn read_signal(name: &str, at: &str) -> Read<Signal> {
    let whole = if name.starts_with("SIG") { name.to_owned() } else { format!("SIG{name}") };
    let harmless = [Signal::SIGCHLD, Signal::SIGCONT, Signal::SIGSTOP, Signal::SIGTSTP, Signal::SIGTTIN];
    let signal = whole.parse().ok().filter(|signal| !harmless.contains(signal));
    signal.ok_or_else(|| Fault::new(at, format!("is {name:?}, which is no signal that ends a program")))
}

/// Seconds, in fractions as well.
fn replace(time: &mut Duration, seconds: Option<f64>, at: &str) -> Read<()> {
    match seconds {
        None => {}
        Some(seconds) if (0.0..=TIME_MAX).contains(&seconds) => *time = Duration::from_secs_f64(seconds),
        Some(seconds) => {
            return Err(Fault::new(at, format!("is {seconds}, not a number of seconds from 0 to {TIME_MAX}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::kinds;
    use serde_json::json;
    use std::path::Path;

    fn guest(value: Value) -> Read<GuestConfig> {
        let reader = Reader { directory: "/node".into(), ..Reader::default() };
        let (_, value) = kinds::take(value, "workers[6]")?;
        read_guest(&reader, read(value, "workers[6]")?, 7, "workers[6]")
    }

    #[track_caller]
    fn fails(options: Value, at: &str, says: &str) {
        let fault = guest(json!({"type": "guest", "executable": "x", "options": options})).expect_err("a fault");
        assert!(fault.at.starts_with(at) && fault.message.contains(says), "{}: {}", fault.at, fault.message);
    }

    #[test]
    fn a_guest_has_the_defaults() {
        let read = guest(json!({"type": "guest", "executable": "node"})).expect("a guest");
        assert_eq!(read, GuestConfig { workdir: "/node".into(), ..GuestConfig::new("worker007", "node") });
        assert_eq!(read.restart.policy, RestartPolicy::Never);
    }

    #[test]
    fn every_key_is_read() {
        let read = guest(json!({
            "type": "guest", "id": "web", "executable": "/bin/web", "arguments": ["-v", "x y"],
            "options": {
                "env": {"inherit": ["PATH"], "vars": {"A": "1"}}, "workdir": "../web",
                "stdin": {"type": "json", "value": {"a": [1]}, "close": false},
                "stdout": "drop", "stderr": {"file": "web.log"},
                "watch": {"directories": ["src"], "action": "restart"},
                "depends_on": ["db"], "ready": {"type": "tcp", "port": 80, "timeout": 2.5},
                "restart": {"policy": "on-failure", "backoff": 0.5, "backoff_max": 8, "reset_after": 9,
                    "crashes_max": 3, "crashes_within": 11},
                "stop": {"signal": "INT", "grace": 0.25},
                "limits": {"open_files": 64, "address_space": 1048576, "cpu_seconds": 5, "processes": 7},
                "user": "www", "group": 33, "nice": 5, "cpu_affinity": [0, 1],
            },
        }));
        let seconds = Duration::from_secs;
        let expected = GuestConfig {
            id: "web".into(),
            executable: "/bin/web".into(),
            arguments: vec!["-v".into(), "x y".into()],
            workdir: "/node/../web".into(),
            inherit: Inherit::These(vec!["PATH".into()]),
            vars: [("A".into(), "1".into())].into(),
            stdin: InputConfig::Json { value: json!({"a": [1]}), close: false },
            stdout: OutputConfig::Drop,
            stderr: OutputConfig::File("/node/web.log".into()),
            depends_on: vec!["db".into()],
            ready: ReadyConfig::Tcp { host: "127.0.0.1".into(), port: 80 },
            ready_timeout: Duration::from_millis(2500),
            restart: RestartConfig {
                policy: RestartPolicy::OnFailure,
                backoff: Duration::from_millis(500),
                backoff_max: seconds(8),
                reset_after: seconds(9),
                crashes_max: 3,
                crashes_within: seconds(11),
                useless: None,
            },
            stop_signal: Signal::SIGINT,
            stop_grace: Duration::from_millis(250),
            limits: GuestLimits {
                open_files: Some(64),
                address_space: Some(1 << 20),
                cpu_seconds: Some(5),
                processes: Some(7),
            },
            user: Some("www".into()),
            group: Some("33".into()),
            nice: Some(5),
            cpu_affinity: vec![0, 1],
            watch: vec![Path::new("/node/src").into()],
            bond: None,
        };
        assert_eq!(read.expect("a guest"), expected);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        fails(json!({"wokdir": "x"}), "workers[6].options.wokdir", "workdir");
        fails(json!({"env": {"inherit": 7}}), "workers[6].options.env.inherit", "");
        fails(json!({"stdin": "open"}), "workers[6].options.stdin", "close");
        fails(json!({"stdin": {"type": "msgpack", "value": 1}}), "workers[6].options.stdin.type", "json");
        fails(json!({"stdout": "print"}), "workers[6].options.stdout", "log");
        fails(json!({"stderr": {"path": "x"}}), "workers[6].options.stderr.path", "only \"file\" is");
        fails(json!({"watch": {"action": "exec"}}), "workers[6].options.watch.action", "restart");
        fails(json!({"ready": {"type": "line"}}), "workers[6].options.ready", "text");
        fails(json!({"ready": {"type": "exit", "port": 1}}), "workers[6].options.ready.port", "is not known");
        fails(json!({"ready": {"type": "udp"}}), "workers[6].options.ready.type", "udp");
        fails(json!({"restart": {"policy": "sometimes"}}), "workers[6].options.restart.policy", "sometimes");
        fails(json!({"restart": {"backoff": -1}}), "workers[6].options.restart.backoff", "-1");
        fails(json!({"restart": {"backoff": 2, "backoff_max": 1}}), "workers[6].options.restart.backoff_max", "less");
        fails(json!({"stop": {"signal": "CHLD"}}), "workers[6].options.stop.signal", "CHLD");
        fails(json!({"stop": {"signal": "9"}}), "workers[6].options.stop.signal", "9");
        fails(json!({"nice": 20}), "workers[6].options.nice", "19");
        fails(json!({"cpu_affinity": [1024]}), "workers[6].options.cpu_affinity", "1024");
        fails(json!({"ready": {"type": "exit"}, "restart": {"policy": "always"}}), "workers[6]", "started again");
        let fault = guest(json!({"type": "guest"})).expect_err("a fault");
        assert!(fault.message.contains("executable"), "{}", fault.message);
    }
}
