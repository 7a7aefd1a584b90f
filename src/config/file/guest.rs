//! A worker of the type `guest`.

use super::settings::TIME_MAX;
use super::{Fault, Read, Reader, read, type_of};
use crate::config::guest::{
    GuestConfig, GuestLimits, Inherit, InputConfig, OutputConfig, ReadyConfig, RestartConfig, RestartPolicy,
};
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Guest {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    id: Option<String>,
    executable: PathBuf,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    options: Options,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    env: Option<Env>,
    workdir: Option<PathBuf>,
    stdin: Option<Value>,
    stdout: Option<Value>,
    stderr: Option<Value>,
    watch: Option<Watch>,
    #[serde(default)]
    depends_on: Vec<Box<str>>,
    ready: Option<Value>,
    restart: Option<Restart>,
    stop: Option<Stop>,
    limits: Option<Limits>,
    user: Option<Account>,
    group: Option<Account>,
    nice: Option<i32>,
    #[serde(default)]
    cpu_affinity: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Env {
    inherit: Option<InheritValue>,
    #[serde(default)]
    vars: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected true, false or a list of names")]
enum InheritValue {
    Flag(bool),
    These(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    value: Value,
    #[serde(default = "yes")]
    close: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppendTo {
    file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watch {
    #[serde(default)]
    directories: Vec<PathBuf>,
    action: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ready {
    r#type: String,
    text: Option<Box<str>>,
    host: Option<Box<str>>,
    port: Option<u16>,
    realm: Option<String>,
    procedure: Option<String>,
    timeout: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restart {
    policy: Option<String>,
    backoff: Option<f64>,
    backoff_max: Option<f64>,
    reset_after: Option<f64>,
    crashes_max: Option<u32>,
    crashes_within: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stop {
    signal: Option<String>,
    grace: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    open_files: Option<u64>,
    address_space: Option<u64>,
    cpu_seconds: Option<u64>,
    processes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a name or a number")]
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
pub(super) fn read_guest(reader: &Reader, value: Value, number: usize, at: &str) -> Read<GuestConfig> {
    let guest: Guest = read(value, at)?;
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
    if let Some(core) = options.cpu_affinity.iter().find(|core| **core >= 1024) {
        return Err(Fault::new(&format!("{at}.cpu_affinity"), format!("{core} is no core: they are below 1024")));
    }
    config.cpu_affinity = options.cpu_affinity;
    Ok(())
}

fn read_stdin(value: Value, at: &str) -> Read<InputConfig> {
    if value.as_str() == Some("close") {
        return Ok(InputConfig::Close);
    }
    if !value.is_object() {
        return Err(Fault::new(at, format!("is {value}, not \"close\" or an object of the type json")));
    }
    let kind = type_of(&value, at)?;
    if kind != "json" {
        return Err(Fault::new(&format!("{at}.type"), format!("is {kind:?}, not json")));
    }
    let Json { value, close, .. } = read(value, at)?;
    Ok(InputConfig::Json { value, close })
}

fn read_output(reader: &Reader, value: Value, at: &str) -> Read<OutputConfig> {
    match value.as_str() {
        Some("log") => Ok(OutputConfig::Log),
        Some("drop") => Ok(OutputConfig::Drop),
        Some("close") => Ok(OutputConfig::Close),
        None if value.is_object() => {
            let AppendTo { file } = read(value, at)?;
            Ok(OutputConfig::File(reader.directory.join(file)))
        }
        _ => Err(Fault::new(at, format!("is {value}, not \"log\", \"drop\", \"close\" or {{\"file\": …}}"))),
    }
}

fn read_ready(value: Value, at: &str, config: &mut GuestConfig) -> Read<()> {
    let kind = type_of(&value, at)?;
    let ready: Ready = read(value, at)?;
    let foreign = [
        ("text", ready.text.is_some() && kind != "line"),
        ("host", ready.host.is_some() && kind != "tcp"),
        ("port", ready.port.is_some() && kind != "tcp"),
        ("realm", ready.realm.is_some() && kind != "procedure"),
        ("procedure", ready.procedure.is_some() && kind != "procedure"),
    ];
    if let Some((key, _)) = foreign.into_iter().find(|(_, there)| *there) {
        return Err(Fault::new(&format!("{at}.{key}"), format!("means nothing for the type {kind:?}")));
    }
    let missing = |key: &str| Fault::new(at, format!("the type {kind:?} needs the key `{key}`"));
    config.ready = match &*ready.r#type {
        "start" => ReadyConfig::Start,
        "exit" => ReadyConfig::Exit,
        "line" => ReadyConfig::Line(ready.text.filter(|text| !text.is_empty()).ok_or_else(|| missing("text"))?),
        "procedure" => ReadyConfig::Procedure {
            realm: ready.realm.ok_or_else(|| missing("realm"))?.as_str().into(),
            procedure: ready.procedure.ok_or_else(|| missing("procedure"))?.as_str().into(),
        },
        "tcp" => ReadyConfig::Tcp {
            host: ready.host.unwrap_or_else(|| "127.0.0.1".into()),
            port: ready.port.filter(|port| *port > 0).ok_or_else(|| missing("port"))?,
        },
        other => {
            return Err(Fault::new(
                &format!("{at}.type"),
                format!("is {other:?}, not start, exit, line, tcp or procedure"),
            ));
        }
    };
    replace(&mut config.ready_timeout, ready.timeout, &format!("{at}.timeout"))
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
    use serde_json::json;
    use std::path::Path;

    fn guest(value: Value) -> Read<GuestConfig> {
        let reader = Reader { directory: "/node".into(), ..Reader::default() };
        read_guest(&reader, value, 7, "workers[6]")
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
        fails(json!({"ready": {"type": "exit", "port": 1}}), "workers[6].options.ready.port", "exit");
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

    #[test]
    fn every_key_is_in_the_documentation() {
        let docs = include_str!("../../../docs/configuration.md");
        let (_, chapter) = docs.split_once("\n## Guests").expect("there is a chapter");
        let (chapter, _) = chapter.split_once("\n## ").expect("another chapter follows");
        let (source, _) = include_str!("guest.rs").split_once("\nfn yes").expect("the structs come first");
        let keys = source.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": ")).map(|(key, _)| key);
        let keys: Vec<_> = keys.filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect();
        assert!(keys.len() > 30, "{keys:?}");
        for key in keys {
            let named = [format!("`{key}`"), format!("`{key}."), format!(".{key}`"), format!("\"{key}\"")];
            assert!(named.iter().any(|name| chapter.contains(name)), "{key}");
        }
    }
}
