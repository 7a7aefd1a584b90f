//! The command line.

use super::client;
use super::config::Config;
use super::exit::{USAGE, say};
use super::init::Template;
use crate::config::file::is_filter;
use crate::config::log::LogConfig;
use crate::config::traces::is_endpoint;
use crate::config::web::{DashboardConfig, PathConfig, Service};
use crate::config::{ListenAddress, ListenerConfig, ManagementConfig, RuntimeConfig};
use crate::session::{HistoryRule, HistoryStore, Pages, RealmConfig};
use crate::wamp::{MatchPolicy, UriRules};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// The realm in which a node without a file is managed.
const MANAGED: &str = "corebar.management";

/// Where its dashboard is.
const DASHBOARD: &str = "/dashboard";

/// A hundred years.
const SECONDS_MAX: f64 = 100.0 * 366.0 * 86_400.0;

/// How many shards to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardCount {
    /// One for each core that the process may use.
    Auto,
    /// So many.
    Fixed(u16),
}

impl ShardCount {
    /// The number; none means one for each core.
    fn number(self) -> Option<u16> {
        match self {
            ShardCount::Auto => None,
            ShardCount::Fixed(count) => Some(count),
        }
    }
}

impl FromStr for ShardCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(ShardCount::Auto);
        }
        match text.parse() {
            Ok(count) if (1..=RuntimeConfig::SHARDS_MAX).contains(&count) => Ok(ShardCount::Fixed(count)),
            _ => Err(format!("expected `auto` or a number from 1 to {}", RuntimeConfig::SHARDS_MAX)),
        }
    }
}

/// An application router for the WAMP protocol: publish & subscribe and remote procedure calls on every core.
///
/// Without arguments it serves the realm `realm1` to everybody who can connect to 127.0.0.1:8080.
#[derive(Debug, Parser)]
#[command(name = "corebar", version, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do instead of serving without a file.
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// Where to listen, for WebSocket, RawSocket and long-polling alike: HOST:PORT, [IPV6]:PORT, :PORT (all addresses) or
    /// unix:PATH. May be given more than once. [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<ListenAddress>,

    /// A realm that clients may join. May be given more than once. [default: realm1]
    #[arg(long, value_name = "URI")]
    realm: Vec<String>,

    /// Keep the events of a topic or pattern for `wamp.subscription.get_events`, in every realm: exact:URI, prefix:URI
    /// or wildcard:URI. May be given more than once.
    #[arg(long, value_name = "POLICY:URI")]
    history: Vec<Topics>,

    /// How many events each history keeps. [default: 1000]
    #[arg(long, value_name = "N", requires = "history")]
    history_events: Option<u32>,

    /// How many octets of payload each history keeps. [default: 16777216]
    #[arg(long, value_name = "N", requires = "history")]
    history_bytes: Option<u64>,

    /// How long histories keep an event. [default: for ever]
    #[arg(long, value_name = "SECONDS", requires = "history")]
    history_age: Option<u64>,

    /// Keep histories in this file as well, so that they outlive the process. It is made if it is not there.
    #[arg(long, value_name = "PATH", requires = "history")]
    history_store: Option<PathBuf>,

    /// Acknowledge a publication only when its event is safely in the file of histories.
    #[arg(long, requires = "history_store")]
    history_sync: bool,

    /// Offer neither management nor the dashboard at /dashboard/. Without this flag, both are there for everybody on this
    /// machine if all addresses are on it.
    #[arg(long)]
    no_dashboard: bool,

    /// How many shards to run, each a thread of its own: a number, or `auto` for one per core.
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    shards: ShardCount,

    /// Do not pin each shard to a core of its own.
    #[arg(long)]
    no_pin: bool,

    /// How long an event may wait for others that can leave with it in one write, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    write_delay: u64,

    /// For how long a shard without work goes on looking for some before it sleeps, in microseconds: answers come
    /// sooner, and the core is busy meanwhile.
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0)]
    spin: u64,

    /// Send spans of calls and publications to this collector of OpenTelemetry, by OTLP over HTTP. [default:
    /// OTEL_EXPORTER_OTLP_ENDPOINT, else none]
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    traces: Option<String>,

    /// The share of calls and publications without a trace of their own that begin one, from 0 to 1. [default:
    /// OTEL_TRACES_SAMPLER_ARG, else 0.01]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    traces_sample: Option<f64>,

    /// What the spans are said to come from. [default: OTEL_SERVICE_NAME, else corebar]
    #[arg(long, value_name = "NAME")]
    traces_service: Option<String>,

    #[command(flatten)]
    pub(super) logging: Logging,

    /// Send messages back on WebSocket connections for this path. For conformance tests.
    #[arg(long, value_name = "PATH", hide = true)]
    echo_path: Option<String>,
}

/// What is logged, and where it goes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Logging {
    /// What to log: error, warn, info, debug, trace or off, also by module (`warn,corebar::transport=debug`). [default:
    /// as the configuration file says, else info]
    #[arg(long, visible_alias = "loglevel", value_name = "LEVEL", value_parser = filter)]
    log: Option<String>,

    /// Log lines of JSON.
    #[arg(long)]
    pub(super) log_json: bool,

    /// What a line of the log begins with: the time and the level (standard), the level (syslogd), or nothing (none).
    /// [default: as the configuration file says, else standard]
    #[arg(long, visible_alias = "logformat", value_name = "FORMAT", value_parser = LogConfig::FORMATS, conflicts_with = "log_json")]
    pub(super) log_format: Option<String>,

    /// Whether lines have colours: auto, where they go to a terminal. [default: as the configuration file says, else auto]
    #[arg(long, visible_aliases = ["color", "colour"], value_name = "WHEN", value_parser = LogConfig::COLORS)]
    pub(super) log_color: Option<String>,

    /// Log into this file, not to standard error. It is opened again at SIGUSR1.
    #[arg(long, value_name = "FILE")]
    pub(super) log_file: Option<PathBuf>,

    /// A directory that is made for it.
    #[arg(skip)]
    pub(super) log_dir: Option<PathBuf>,
}

impl Logging {
    /// Which levels.
    pub(super) fn level(&self) -> Option<String> {
        self.log.clone()
    }
}

/// What can be done with a configuration file, and with any router.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve as a configuration file says.
    Start(Start),
    /// Say whether a configuration file is right, without serving.
    Check(Check),
    /// Print the schema of the configuration file, an example, or what a key means.
    #[command(subcommand)]
    Config(Config),
    /// Write a new node directory that can be started as it is.
    Init(Init),
    /// Bring a configuration file of an earlier version of Crossbar.io to version 2, and say what that changes.
    Upgrade(Upgrade),
    /// Write a configuration file of JSON as YAML, or the other way round.
    Convert(Convert),
    /// End the node that runs in a directory, as SIGTERM does, and wait for that.
    #[command(visible_alias = "drain")]
    Stop(Stop),
    /// Say whether a node runs in a directory.
    Status(Status),
    /// Have the node that runs in a directory read its configuration again, and say what has changed.
    Reload(Reload),
    /// Print a new pair of Ed25519 keys, for `cryptosign`.
    Keygen,
    /// Print the public key of a node, which is made if it has none.
    Keys(Keys),
    /// Say which program this is.
    Version,
    /// What the client can do.
    #[command(flatten)]
    Client(Box<client::Command>),
}

/// Which key to print.
#[derive(Debug, clap::Args)]
pub struct Keys {
    #[command(flatten)]
    pub(super) directory: Directory,

    /// The private key.
    #[arg(long)]
    pub(super) private: bool,
}

/// A node directory.
#[derive(Debug, clap::Args)]
pub struct Directory {
    /// The node directory. [default: .crossbar, or this directory if it holds a configuration and no .crossbar]
    #[arg(long, value_name = "DIRECTORY", env = "CROSSBAR_DIR", default_value = home(), hide_default_value = true, value_parser = directory)]
    pub(super) cbdir: PathBuf,
}

/// What to write, and where.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// What it holds.
    #[arg(value_enum, default_value = "web")]
    pub(super) template: Template,

    /// The directory of the application; the node directory will be `.crossbar` in it.
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub(super) appdir: PathBuf,
}

/// Which configuration file to bring to the present version.
#[derive(Debug, clap::Args)]
pub struct Upgrade {
    #[command(flatten)]
    pub(super) directory: Directory,

    /// The configuration file. [default: config.yaml, then config.json]
    #[arg(long, value_name = "FILE", env = "CROSSBAR_CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// Say what would change, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Which configuration file to write in the other format.
#[derive(Debug, clap::Args)]
pub struct Convert {
    #[command(flatten)]
    pub(super) directory: Directory,

    /// The configuration file. [default: config.yaml, then config.json]
    #[arg(long, value_name = "FILE", env = "CROSSBAR_CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// Overwrite a file that is there.
    #[arg(long)]
    pub(super) force: bool,
}

/// How to end a node.
#[derive(Debug, clap::Args)]
pub struct Stop {
    #[command(flatten)]
    pub(super) directory: Directory,

    /// How long to wait, in seconds. [default: as long as it takes]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_hyphen_values = true)]
    pub(super) timeout: Option<Duration>,
}

/// How to say whether a node runs.
#[derive(Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    pub(super) directory: Directory,

    /// Fail, with exit code 69, if this is not so.
    #[arg(long, value_enum)]
    pub(super) assert: Option<Running>,

    /// Say it in JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Whether a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Running {
    /// It does.
    Running,
    /// It does not.
    Stopped,
}

impl Running {
    pub(super) fn name(self) -> &'static str {
        match self {
            Running::Running => "running",
            Running::Stopped => "stopped",
        }
    }
}

/// How to have a node read its configuration.
#[derive(Debug, clap::Args)]
pub struct Reload {
    #[command(flatten)]
    pub(super) directory: Directory,

    /// Change nothing, but say what would.
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Say it in JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A node directory and its configuration file.
#[derive(Debug, clap::Args)]
pub struct Node {
    /// The node directory: the configuration is looked for there, and relative paths in it begin there. [default:
    /// .crossbar, or this directory if it holds a configuration and no .crossbar]
    #[arg(long, value_name = "DIRECTORY", env = "CROSSBAR_DIR", default_value = home(), hide_default_value = true, value_parser = directory)]
    pub(super) cbdir: PathBuf,

    /// The configuration file. [default: config.yaml, then config.json]
    #[arg(long, value_name = "FILE", env = "CROSSBAR_CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// What stands in the file and has no effect is an error.
    #[arg(long)]
    pub(super) strict: bool,
}

/// Which configuration file to look at.
#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    pub(super) node: Node,

    /// Say it in JSON: whether it is right, what is wrong, and all warnings.
    #[arg(long)]
    pub(super) json: bool,
}

/// How to serve as a configuration file says.
#[derive(Debug, clap::Args)]
pub struct Start {
    #[command(flatten)]
    pub(super) node: Node,

    /// Serve in the place of the node that runs in the directory: on its listening sockets, so that nobody is turned
    /// away, and it takes leave of its clients and ends.
    #[arg(long)]
    pub(super) take_over: bool,

    /// How many shards to run, each a thread of its own: a number, or `auto` for one per core. [default: as the file
    /// says, else auto]
    #[arg(long, value_name = "N|auto")]
    shards: Option<ShardCount>,

    /// Do not pin each shard to a core of its own, whatever the file says.
    #[arg(long)]
    no_pin: bool,

    /// End after so many seconds, as at SIGTERM. 0: never.
    #[arg(long, visible_alias = "shutdownafter", value_name = "SECONDS", value_parser = seconds)]
    pub(super) shutdown_after: Option<Duration>,

    #[command(flatten)]
    logging: Logging,

    /// Log into the file node.log of the node directory, or of --logdir.
    #[arg(long, visible_alias = "log-to-file", conflicts_with = "log_file")]
    logtofile: bool,

    /// The directory for --logtofile, which is made if it is not there. A relative path begins in the node directory.
    #[arg(long, visible_alias = "log-dir", value_name = "DIRECTORY")]
    logdir: Option<PathBuf>,
}

impl Start {
    /// What the flags say of the log.
    fn logging(&self) -> Logging {
        let mut logging = self.logging.clone();
        if self.logtofile {
            let directory = &self.node.cbdir;
            let logs = self.logdir.as_ref().map_or_else(|| directory.clone(), |logs| directory.join(logs));
            logging.log_file = Some(logs.join("node.log"));
            logging.log_dir = self.logdir.is_some().then_some(logs);
        }
        logging
    }

    /// The configuration of the file with what the flags say otherwise.
    pub(super) fn change(&self, mut config: RuntimeConfig) -> RuntimeConfig {
        if let Some(shards) = self.shards {
            config.shards = shards.number();
        }
        config.pin &= !self.no_pin;
        config
    }
}

/// Topics whose events are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    policy: MatchPolicy,
    uri: String,
}

impl FromStr for Topics {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let policies = [MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard];
        let (name, uri) = text.split_once(':').unwrap_or_default();
        let policy = policies.into_iter().find(|policy| policy.name() == name);
        let policy = policy.ok_or("expected exact:URI, prefix:URI or wildcard:URI")?;
        if !UriRules::Loose.allow_pattern(uri, policy) {
            return Err(format!("{uri:?} is no URI that can be subscribed to with the match policy {name}"));
        }
        Ok(Topics { policy, uri: uri.into() })
    }
}

impl Args {
    /// The definition of the program.
    pub(super) fn program() -> clap::Command {
        client::adapt(Args::command())
    }

    /// Reads the command line; ends the process if it makes no sense.
    pub(super) fn read() -> Args {
        let read = Args::program().try_get_matches().and_then(|matches| Args::from_arg_matches(&matches));
        read.unwrap_or_else(|error| match error.kind() {
            _ if !error.use_stderr() => error.exit(),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
            _ => {
                say(&misused(&error.render().to_string()));
                std::process::exit(USAGE.into())
            }
        })
    }

    /// What the flags say of the log.
    pub(super) fn logging(&self) -> Logging {
        match &self.command {
            Some(Command::Start(start)) => start.logging(),
            Some(_) | None => self.logging.clone(),
        }
    }

    /// The configuration that the arguments describe; not checked.
    #[must_use]
    pub fn config(self) -> RuntimeConfig {
        let mut config = RuntimeConfig::default();
        for ignored in config.heed_environment(|name| std::env::var(name).ok()) {
            say(&format_args!("warning: {ignored}"));
        }
        config.traces_endpoint = self.traces.clone().or(config.traces_endpoint);
        config.traces_sample = self.traces_sample.unwrap_or(config.traces_sample);
        config.traces_service_name = self.traces_service.clone().or(config.traces_service_name);
        if !self.listen.is_empty() {
            config.listeners = self.listen.iter().cloned().map(ListenerConfig::plain).collect();
        }
        if !self.realm.is_empty() {
            config.realms = self.realm.iter().map(|name| RealmConfig::new(name)).collect();
        }
        for realm in &mut config.realms {
            realm.history = self.history.iter().map(|topics| self.rule(topics)).collect();
            if let Some(path) = &self.history_store {
                realm.history_store = HistoryStore::Disk { path: path.clone(), sync: self.history_sync };
            }
        }
        if !self.no_dashboard {
            manage(&mut config);
        }
        config.shards = self.shards.number();
        config.pin = !self.no_pin;
        config.write_delay = Duration::from_millis(self.write_delay);
        config.spin = Duration::from_micros(self.spin);
        if let Some(path) = self.echo_path {
            let echo = PathConfig { path, deep: false, service: Service::Echo };
            config.listeners.iter_mut().for_each(|listener| listener.paths.push(echo.clone()));
        }
        config
    }

    fn rule(&self, topics: &Topics) -> HistoryRule {
        let default = HistoryRule::new(&topics.uri, topics.policy);
        HistoryRule {
            events_max: self.history_events.unwrap_or(default.events_max),
            bytes_max: self.history_bytes.unwrap_or(default.bytes_max),
            age_max: self.history_age.map(Duration::from_secs),
            ..default
        }
    }
}

/// Lets everybody on this machine manage the node, if only they can connect; but no pages from elsewhere, which a browser on
/// this machine may show.
fn manage(config: &mut RuntimeConfig) {
    if !config.listeners.iter().all(|listener| listener.address.is_local()) {
        return;
    }
    let management = ManagementConfig { realm: MANAGED.into(), namespace: Box::default(), hosts: Vec::new() };
    config.realms.push(management.realm("anonymous", Pages::KnownHost));
    config.management = Some(management);
    for listener in &mut config.listeners {
        let dashboard = DashboardConfig { websocket: Some("/ws".into()), ..DashboardConfig::default() };
        let path = PathConfig { path: DASHBOARD.into(), deep: true, service: Service::Dashboard(dashboard) };
        listener.paths.push(path);
    }
    let settled = config.settle_dashboards();
    debug_assert_eq!(settled, Ok(()), "the WebSocket at /ws leads to all realms");
}

/// The node directory if nobody says which: as Crossbar.io finds it.
fn home() -> &'static str {
    let holds = |name: &str| Path::new(name).is_file();
    let here = !Path::new(".crossbar").is_dir() && (holds("config.yaml") || holds("config.json"));
    if here { "." } else { ".crossbar" }
}

/// A directory; of a file in it the one where it lies, as with Crossbar.io.
#[expect(clippy::unnecessary_wraps, reason = "as a parser of arguments has to be")]
fn directory(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let file = path.is_file();
    Ok(match path.parent().filter(|_| file) {
        Some(parent) if parent.as_os_str().is_empty() => ".".into(),
        Some(parent) => parent.into(),
        None => path.into(),
    })
}

/// A time, in fractions as well; zero is none.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("expected seconds, from 0 to {SECONDS_MAX}"))
}

/// The address of a collector.
fn endpoint(text: &str) -> Result<String, String> {
    let address = "expected an address such as http://127.0.0.1:4318";
    is_endpoint(text).then(|| text.into()).ok_or_else(|| address.into())
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".into())
}

/// Crossbar.io's `none` is `off`.
fn filter(text: &str) -> Result<String, String> {
    let text = if text == "none" { "off" } else { text };
    if is_filter(text) { Ok(text.into()) } else { Err("expected a level, or levels by module".into()) }
}

/// What is wrong with the command line, in one line: of several, without how to use it.
fn misused(text: &str) -> String {
    let usage = text.find("\nUsage: ").unwrap_or(text.len());
    let words: Vec<&str> = text[..usage].lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = words.join(" ").replace(" tip: ", "; ").replace("For more information, try '--help'.", "");
    format!("{}; --help tells more", line.trim().trim_start_matches("error: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"corebar").chain(args))
    }

    #[test]
    fn the_definition_is_sound() {
        Args::program().debug_assert();
    }

    #[test]
    fn no_arguments_give_the_defaults() {
        let config = parse(&[]).expect("no arguments").config();
        let default = RuntimeConfig::default();
        assert_eq!(config.listeners[0].address, default.listeners[0].address);
        let names =
            |config: &RuntimeConfig| config.realms.iter().map(|realm| realm.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&config), ["realm1", MANAGED]);
        assert_eq!((config.realms[0].pages, config.realms[1].pages), (Pages::Any, Pages::KnownHost));
        let plain = parse(&["--no-dashboard"]).expect("a good argument").config();
        assert_eq!((names(&plain), &plain.management), (vec!["realm1".to_string()], &None));
        assert_eq!(plain.listeners, default.listeners);
        assert_eq!(config.shards, None);
        assert!(config.pin);
    }

    #[test]
    fn all_flags_arrive() {
        let args = ["--listen", "[::1]:1", "--listen=unix:/x", "--realm", "a.b", "--realm", "c", "--shards", "3"];
        let config = parse(&args).expect("good arguments").config();
        assert_eq!(
            config.listeners.iter().map(|listener| listener.address.to_string()).collect::<Vec<_>>(),
            ["[::1]:1", "unix:/x"]
        );
        assert_eq!(config.realms.iter().map(|realm| realm.name.to_string()).collect::<Vec<_>>(), ["a.b", "c", MANAGED]);
        // Who is elsewhere could manage it.
        for address in [":8080", "0.0.0.0:8080", "[::]:1", "192.0.2.1:1", "example.com:1"] {
            let config = parse(&["--listen", "127.0.0.1:1", "--listen", address]).expect("good arguments").config();
            assert_eq!((config.management, config.realms.len()), (None, 1), "{address}");
        }
        assert_eq!(config.shards, Some(3));
        let traces = ["--traces", "http://127.0.0.1:4318", "--traces-sample", "0.5", "--traces-service", "front"];
        let config = parse(&traces).expect("good arguments").config();
        assert_eq!(config.traces_endpoint.as_deref(), Some("http://127.0.0.1:4318"));
        assert_eq!((config.traces_sample, config.traces_service_name.as_deref()), (0.5, Some("front")));
        assert!(!parse(&["--no-pin"]).expect("a good argument").config().pin);
        assert_eq!(
            parse(&["--log", "warn,corebar=debug"]).expect("a good argument").logging().level().as_deref(),
            Some("warn,corebar=debug")
        );
    }

    #[test]
    fn flags_win_over_the_file() {
        let change = |args: &[&str]| {
            let Some(Command::Start(start)) = parse(&[&["start"], args].concat()).expect("good arguments").command
            else {
                panic!("a start")
            };
            let config = start.change(RuntimeConfig { shards: Some(7), ..RuntimeConfig::default() });
            (config.shards, config.pin)
        };
        assert_eq!(change(&[]), (Some(7), true));
        assert_eq!(change(&["--shards", "2", "--no-pin"]), (Some(2), false));
        assert_eq!(change(&["--shards", "auto"]), (None, true));
    }

    #[test]
    fn histories() {
        let config = |more: &[&str]| {
            let args =
                [&["--realm", "a", "--realm", "b", "--history", "prefix:com.app.", "--history", "exact:x"], more];
            parse(&args.concat()).expect("good arguments").config()
        };
        for realm in config(&[]).realms.into_iter().take(2) {
            let rules = [HistoryRule::new("com.app.", MatchPolicy::Prefix), HistoryRule::new("x", MatchPolicy::Exact)];
            assert_eq!((realm.history.as_slice(), realm.history_store), (&rules[..], HistoryStore::Memory));
        }
        let limits = ["--history-events", "5", "--history-bytes", "6", "--history-age", "7"];
        let rule = &config(&limits).realms[1].history[0];
        assert_eq!((rule.events_max, rule.bytes_max, rule.age_max), (5, 6, Some(Duration::from_secs(7))));
        for (flags, sync) in
            [(&["--history-store", "/f"][..], false), (&["--history-store=/f", "--history-sync"], true)]
        {
            let disk = HistoryStore::Disk { path: "/f".into(), sync };
            assert!(config(flags).realms[..2].iter().all(|realm| realm.history_store == disk));
        }
        for args in [["--history", "com.app"], ["--history", "begin:a"], ["--history", "exact:a."]] {
            assert_eq!(parse(&args).expect_err("no topics").exit_code(), 2);
        }
        assert!(parse(&["--history-sync"]).is_err());
        assert!(parse(&["--history-events", "1"]).is_err());
    }

    #[test]
    fn bad_values_are_refused_with_code_2() {
        for args in [
            ["--shards", "0"],
            ["--shards", "x"],
            ["--listen", "8080"],
            ["--log", "a=b=c"],
            ["--nonsense", ""],
            ["--traces", "127.0.0.1:4318"],
            ["--traces-sample", "2"],
        ] {
            let error = parse(&args).expect_err("a bad value");
            assert_eq!(error.exit_code(), 2, "{args:?}");
        }
    }
}
