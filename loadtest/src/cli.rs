//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::load::crew::Size;
use crate::load::plan::Order;
use crate::load::stamp::MIN_PAYLOAD;
use crate::wire::serializer::Serializer;

/// Load generator for WAMP routers: measures latency, throughput and the router's CPU time, and accounts for
/// every message. The exit status is 1 if anything was lost, doubled or out of order, 2 if the run failed.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl std::fmt::Debug for Cli {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It may hold secrets.
        f.debug_struct("Cli").finish_non_exhaustive()
    }
}

const EXAMPLES: &str = "Examples:
  loadtest fanout --url ws://127.0.0.1:8080/ws --subscribers 1000 --rate 20 --pid $(pidof router)
  loadtest fanout --url ws://127.0.0.1:8080/ws --publishers 4 --subscribers 100 --rate max
  loadtest rpc --url rs://127.0.0.1:8081 --callers 10 --callees 10 --window 16 --serializer cbor
  loadtest idle --url ws://127.0.0.1:8080/ws --sessions 50000 --sources 4 --pid 1234
  loadtest topics --url ws://127.0.0.1:8080/ws --clients 1000 --topics 5000 --topics-each 50 --threads 2
  loadtest connect --spawn \"router --listen 127.0.0.1:0\" --sessions 5000 --reconnect
  loadtest churn --url ws://127.0.0.1:8080/ws --visits 200 --stay 0.5
  loadtest slow --url ws://127.0.0.1:8080/ws --slow 10% --pid 1234
  loadtest mixed loadtest/scenarios/office.yaml --url ws://127.0.0.1:8080/ws
  loadtest fanout --spawn \"router --listen 127.0.0.1:0\" --against floor --rounds 5 --html report.html
  loadtest compare one.json other.json --html compared.html";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Publishers send events, every subscriber gets each of them.
    Fanout {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        fanout: FanoutOptions,
    },
    /// Dashboards: every client subscribes to its own choice out of many topics, and gets the events of those only.
    Topics {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        topics: TopicsOptions,
    },
    /// Callers call procedures of callees, which return the payload.
    Rpc {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        rpc: RpcOptions,
    },
    /// Sessions come and go while others get events: those who stay must not lose anything.
    ///
    /// Half of the visitors take leave with GOODBYE, half just close; half of each unsubscribe before.
    Churn {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        churn: ChurnOptions,
    },
    /// Some subscribers stop reading: are the others hurt, does the router's memory stay bounded?
    Slow {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        slow: SlowOptions,
    },
    /// A storm of connections: sessions join, subscribe, and get a retained value, all at once or at a rate.
    ///
    /// With --reconnect all are cut off and come again: by closing their connections, or, with --spawn, by killing
    /// and restarting the router.
    Connect {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        connect: ConnectOptions,
    },
    /// A load from a file, in YAML or JSON: groups of publishers, subscribers, callers, callees and visitors at once.
    Mixed {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        mixed: MixedOptions,
    },
    /// Sessions with one subscription each join and stay idle: the router's memory per session.
    Idle {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        idle: IdleOptions,
    },
    /// Puts results of earlier runs side by side: routers, versions, settings.
    Compare(CompareOptions),
    /// A server that does no routing: the yardstick for CPU time per delivery.
    ///
    /// It speaks just enough WAMP for the scenarios, and writes prepared frames to all subscribers. It prints
    /// "listening on URL" and serves until it is killed. It understands only this program's payloads.
    Floor(FloorOptions),
    /// A further process of this program, with a part of the load.
    #[command(hide = true)]
    Worker,
}

/// Which router, for how long, and what to do with the result.
#[derive(Args, Clone)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) router: Router,
    #[command(flatten)]
    pub(crate) timing: Timing,
    /// Process id of the router on this machine, for its CPU time and memory; descendants count too.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Start the router with this command line, which must print "listening on URL", instead of --url and --pid.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["url", "pid"])]
    pub(crate) spawn: Option<String>,
    /// Threads that share the load. Each has its part of the publishers, of the subscribers and so on.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
    /// Processes that share the load, each with --threads of them. There are more if the limit of open files demands.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) processes: u16,
    /// What the events of a publisher at a subscriber have to be in order of.
    #[arg(long, value_enum, default_value = "publisher")]
    pub(crate) order: Order,
    /// Run router and yardstick in turns, and compare them.
    #[arg(long, value_enum)]
    pub(crate) against: Option<Yardstick>,
    /// How the yardstick writes; by default coalesced for saturating runs and single otherwise.
    #[arg(long, value_enum)]
    pub(crate) floor_mode: Option<FloorMode>,
    /// How often each side runs, with --against.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// What reports call the router; by default what it calls itself.
    #[arg(long, value_name = "NAME")]
    pub(crate) label: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Where results go beside the standard output.
#[derive(Args, Clone)]
#[command(next_help_heading = "Results")]
pub(crate) struct Output {
    /// Write the result as JSON to this file; "-" is the standard output, and the summary goes to the standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the result as a page of HTML with plots to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Options of the command `compare`.
#[derive(Args, Clone)]
pub(crate) struct CompareOptions {
    /// Results that --json wrote. The first is what the others are measured by, unless one is the yardstick.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Run {
    /// How the load is shared.
    pub(crate) fn workers(&self) -> Size {
        Size { threads: self.threads.into(), processes: self.processes.into() }
    }
}

/// How to reach the router.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Router")]
pub(crate) struct Router {
    /// ws://HOST:PORT/PATH (WebSocket), rs://HOST:PORT (RawSocket), wss:// and rss:// for the same by TLS, unix:/PATH
    /// (RawSocket) or ws+unix:/PATH (WebSocket).
    #[arg(long, default_value = "ws://127.0.0.1:8080/")]
    pub(crate) url: String,
    /// Realm to join.
    #[arg(long, default_value = "realm1")]
    pub(crate) realm: String,
    /// How messages are written.
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) serializer: Serializer,
    /// Connect from 127.0.0.1, 127.0.0.2, ... in turn; one address has some 28,000 ports.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) sources: usize,
    /// File of certificates (PEM) to trust with wss:// and rss://, instead of those that the system trusts.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// Trust every certificate.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Who the sessions say they are.
    #[arg(long, value_name = "NAME")]
    pub(crate) authid: Option<String>,
    /// Identify by this ticket.
    #[arg(long, requires = "authid", hide_env_values = true, env = "LOADTEST_TICKET")]
    pub(crate) ticket: Option<String>,
    /// Identify by this secret, with WAMP-CRA, salted or not as the router asks.
    #[arg(long, value_name = "SECRET", requires = "authid", hide_env_values = true, env = "LOADTEST_CRA_SECRET")]
    pub(crate) cra_secret: Option<String>,
    /// Further header of the WebSocket request, "NAME: VALUE"; may be given more than once.
    #[arg(long, value_name = "HEADER", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// The header Origin of the WebSocket request.
    #[arg(long, value_name = "URL", value_parser = header_value)]
    pub(crate) origin: Option<String>,
    /// Offer this WebSocket subprotocol instead of the serializer's, as "wamp.2.json".
    #[arg(long, value_name = "NAME", value_parser = header_value)]
    pub(crate) subprotocol: Option<String>,
}

impl Router {
    /// The further headers of the WebSocket request.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let origin = self.origin.iter().map(|origin| ("Origin".to_owned(), origin.clone()));
        origin.chain(self.header.iter().cloned()).collect()
    }
}

/// The course of a run.
#[derive(Args, Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Course of the run")]
pub(crate) struct Timing {
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    pub(crate) duration: f64,
    /// Seconds of load before the measurement; they are accounted for, but not measured.
    #[arg(long, default_value_t = 2.0, value_parser = not_negative)]
    pub(crate) warmup: f64,
    /// Seconds without any arrival after which what is still missing counts as lost.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) patience: f64,
}

#[derive(Args, Clone, Serialize)]
/// Options of the scenario `fanout`.
pub(crate) struct FanoutOptions {
    /// Sessions that publish.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) publishers: u16,
    /// Sessions that subscribe.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,
    /// Events per second of each publisher at scheduled times, or "max": as fast as the window allows.
    #[arg(long, default_value = "100")]
    pub(crate) rate: Rate,
    /// With --rate max: events of each publisher that some subscriber has not got yet.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) window: u32,
    /// Length of the payload, one string.
    #[arg(long, default_value_t = 100, value_parser = payload_bytes)]
    pub(crate) payload_bytes: usize,
}

#[derive(Args, Clone, Serialize)]
/// Options of the scenario `topics`.
pub(crate) struct TopicsOptions {
    /// Sessions that subscribe.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) clients: u32,
    /// Topics that there are.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) topics: u16,
    /// Topics that each client subscribes to, chosen at random but the same in every run.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) topics_each: u16,
    /// Sessions that publish, each to all topics in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) publishers: u16,
    /// Events per second of each publisher at scheduled times, or "max": as fast as the window allows.
    #[arg(long, default_value = "1000")]
    pub(crate) rate: Rate,
    /// Events of a publisher that are due at one time; the mean rate stays.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) burst: u32,
    /// With --rate max: events of each publisher that some subscriber has not got yet.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) window: u32,
    /// Length of the payload, one string.
    #[arg(long, default_value_t = 100, value_parser = payload_bytes)]
    pub(crate) payload_bytes: usize,
}

#[derive(Args, Clone, Serialize)]
/// Options of the scenario `rpc`.
pub(crate) struct RpcOptions {
    /// Sessions that call.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) callers: u16,
    /// Sessions that register a procedure each; every caller calls them in turn.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) callees: u16,
    /// Calls of each caller that are open at one time; without --rate.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) window: u32,
    /// Progressive results of each call, before the final one.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) progressive: u16,
    /// Calls per second of each caller at scheduled times, however many are open. "max" is the window's pace.
    #[arg(long, default_value = "max")]
    pub(crate) rate: Rate,
    /// Length of the payload, one string.
    #[arg(long, default_value_t = 100, value_parser = payload_bytes)]
    pub(crate) payload_bytes: usize,
}

#[derive(Args, Clone, Serialize)]
/// Options of the scenario `churn`.
pub(crate) struct ChurnOptions {
    /// Sessions that publish.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) publishers: u16,
    /// Sessions that are subscribed for the whole run.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,
    /// Events per second of each publisher.
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    pub(crate) rate: f64,
    /// Visitors that come per second.
    #[arg(long, default_value_t = 50.0, value_parser = positive)]
    pub(crate) visits: f64,
    /// Seconds that each of them stays subscribed.
    #[arg(long, default_value_t = 0.5, value_parser = not_negative)]
    pub(crate) stay: f64,
    /// Length of the payload, one string.
    #[arg(long, default_value_t = 100, value_parser = payload_bytes)]
    pub(crate) payload_bytes: usize,
}

#[derive(Args, Clone, Serialize)]
/// Options of the scenario `connect`.
pub(crate) struct ConnectOptions {
    /// Sessions to bring up.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sessions: u32,
    /// Topics that they subscribe to, in turn; each has a retained value.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) topics: u16,
    /// Sessions that begin per second at scheduled times, or "max": as many at a time as --in-flight says.
    #[arg(long, default_value = "max")]
    pub(crate) rate: Rate,
    /// With --rate max: sessions that are on their way at one time. Many servers let 128 wait to be accepted.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) in_flight: u32,
    /// For routers that retain no events: a session is served when it has subscribed.
    #[arg(long)]
    pub(crate) no_retained: bool,
    /// Cut all sessions off and let them come again.
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// Length of the retained value, one string.
    #[arg(long, default_value_t = 100, value_parser = payload_bytes)]
    pub(crate) payload_bytes: usize,
}

#[derive(Args, Clone, Serialize)]
/// Options of the scenario `mixed`.
pub(crate) struct MixedOptions {
    /// What to do; see the folder scenarios for examples.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Clone, Serialize)]
/// Options of the scenario `slow`.
pub(crate) struct SlowOptions {
    /// Sessions that publish.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) publishers: u16,
    /// Sessions that subscribe, with those that stop reading.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) subscribers: u32,
    /// How many of them stop reading: a number, or a share such as 10%. At least one, and not all.
    #[arg(long, default_value = "10%", value_name = "PART")]
    pub(crate) slow: Part,
    /// When they stop, in seconds of the measurement; by default in its middle.
    #[arg(long, value_name = "SECONDS", value_parser = not_negative)]
    pub(crate) after: Option<f64>,
    /// Events per second of each publisher at scheduled times, or "max": as fast as the window allows.
    #[arg(long, default_value = "500")]
    pub(crate) rate: Rate,
    /// With --rate max: events of each publisher that some reading subscriber has not got yet.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) window: u32,
    /// Length of the payload, one string. It must be enough to fill the buffers of the sockets.
    #[arg(long, default_value_t = 1000, value_parser = payload_bytes)]
    pub(crate) payload_bytes: usize,
    /// The run fails if the router's resident memory ever exceeds this; needs --pid or --spawn.
    #[arg(long, value_name = "MIB", value_parser = positive)]
    pub(crate) memory_limit_mib: Option<f64>,
}

#[derive(Args, Clone, Serialize)]
/// Options of the scenario `idle`.
pub(crate) struct IdleOptions {
    /// Sessions to bring up.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sessions: u32,
    /// Topics that they subscribe to, in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) topics: u16,
    /// Seconds to wait before each look at the memory.
    #[arg(long, default_value_t = 2.0, value_parser = not_negative)]
    pub(crate) settle: f64,
}

#[derive(Args, Clone)]
pub(crate) struct FloorOptions {
    /// HOST:PORT (WebSocket and RawSocket) or unix:/PATH. Port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: String,
    /// When to write.
    #[arg(long, value_enum, default_value = "single")]
    pub(crate) mode: FloorMode,
    /// Do every N-th delivery wrong, to test the load generator: drop:N, double:N, damage:N, swap:N or misroute:N.
    #[arg(long, hide = true)]
    pub(crate) fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FloorMode {
    /// One write per event and subscriber.
    Single,
    /// One write per subscriber and turn of the event loop.
    Coalesce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Yardstick {
    /// This program's own server that does no routing.
    Floor,
}

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rate {
    /// As fast as the window allows.
    Max,
    /// At scheduled times.
    PerSecond(f64),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "max" => Ok(Self::Max),
            number => positive(number).map(Self::PerSecond),
        }
    }
}

/// Some of a number of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Percent(f64),
    Count(u32),
}

impl Part {
    /// How many that are, of `all`: at least one, and not all.
    pub(crate) fn of(self, all: u32) -> u32 {
        let count = match self {
            Self::Count(count) => count,
            Self::Percent(percent) => (f64::from(all) * percent / 100.0).round() as u32,
        };
        count.clamp(1, all.saturating_sub(1).max(1))
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_suffix('%') {
            Some(number) => positive(number).map(Self::Percent),
            None => {
                text.parse().map(Self::Count).map_err(|_| format!("{text:?} is no number and no share such as 10%"))
            }
        }
    }
}

/// A deliberate error of the floor server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) every: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Drop,
    Double,
    /// The payload is spoiled.
    Damage,
    /// A delivery is held back until after the next one to the same receiver.
    Swap,
    /// A delivery goes to somebody else too.
    Misroute,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, every) = text.split_once(':').ok_or("expected KIND:N")?;
        let kind = match kind {
            "drop" => FaultKind::Drop,
            "double" => FaultKind::Double,
            "damage" => FaultKind::Damage,
            "swap" => FaultKind::Swap,
            "misroute" => FaultKind::Misroute,
            other => return Err(format!("unknown fault {other:?}")),
        };
        match every.parse() {
            Ok(every) if every > 0 => Ok(Self { kind, every }),
            _ => Err(format!("{every:?} is not a positive number")),
        }
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(format!("{name:?} is no name of a header"));
    }
    Ok((name.to_owned(), header_value(value)?))
}

fn header_value(text: &str) -> Result<String, String> {
    match text.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
        true => Err("control characters do not fit in a header".into()),
        false => Ok(text.trim().to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match not_negative(text)? {
        0.0 => Err("must be more than 0".into()),
        number => Ok(number),
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=1e9).contains(&number) => Ok(number),
        _ => Err(format!("{text:?} is not a number from 0 to 1e9")),
    }
}

fn payload_bytes(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(bytes) if (MIN_PAYLOAD..=60 << 20).contains(&bytes) => Ok(bytes),
        _ => Err(format!("expected {MIN_PAYLOAD} to {} bytes", 60 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn rates_and_faults() {
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("0.5".parse(), Ok(Rate::PerSecond(0.5)));
        for wrong in ["", "0", "-1", "inf", "nan", "fast"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
        assert_eq!("10%".parse::<Part>().map(|part| part.of(200)), Ok(20));
        assert_eq!("7".parse::<Part>().map(|part| (part.of(200), part.of(4))), Ok((7, 3)));
        assert_eq!("0.1%".parse::<Part>().map(|part| part.of(10)), Ok(1));
        assert!("x".parse::<Part>().is_err() && "-1%".parse::<Part>().is_err());
        assert_eq!("swap:7".parse(), Ok(Fault { kind: FaultKind::Swap, every: 7 }));
        assert_eq!(header("X-Key:  a:b "), Ok(("X-Key".into(), "a:b".into())));
        for wrong in ["", "X-Key", ": x", "X Key: x", "X-Key: a\r\nHost: b"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
        for wrong in ["swap", "swap:0", "lose:1"] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }
}
