//! The command line.

use crate::config::{ListenAddress, RuntimeConfig};
use crate::session::RealmConfig;
use clap::Parser;
use std::str::FromStr;
use tracing_subscriber::EnvFilter;

/// How many shards to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardCount {
    /// One for each core that the process may use.
    Auto,
    /// So many.
    Fixed(u16),
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
#[command(name = "corebar", version)]
pub struct Args {
    /// Where to listen, for WebSocket, RawSocket and long-polling alike: HOST:PORT, [IPV6]:PORT, :PORT (all addresses) or
    /// unix:PATH. May be given more than once. [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<ListenAddress>,

    /// A realm that clients may join. May be given more than once. [default: realm1]
    #[arg(long, value_name = "URI")]
    realm: Vec<String>,

    /// How many shards to run, each a thread of its own: a number, or `auto` for one per core.
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    shards: ShardCount,

    /// Do not pin each shard to a core of its own.
    #[arg(long)]
    no_pin: bool,

    /// What to log to standard error: error, warn, info, debug, trace or off, also by module
    /// (`warn,corebar::transport=debug`).
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = filter)]
    log: String,

    /// Send messages back on WebSocket connections for this path. For conformance tests.
    #[arg(long, value_name = "PATH", hide = true)]
    echo_path: Option<String>,
}

impl Args {
    /// The filter of the log.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// The configuration that the arguments describe; not checked.
    #[must_use]
    pub fn config(self) -> RuntimeConfig {
        let mut config = RuntimeConfig::default();
        if !self.listen.is_empty() {
            config.listen = self.listen;
        }
        if !self.realm.is_empty() {
            config.realms = self.realm.iter().map(|name| RealmConfig::new(name)).collect();
        }
        config.shards = match self.shards {
            ShardCount::Auto => None,
            ShardCount::Fixed(count) => Some(count),
        };
        config.pin = !self.no_pin;
        config.echo_path = self.echo_path;
        config
    }
}

fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_string()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"corebar").chain(args))
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn no_arguments_give_the_defaults() {
        let config = parse(&[]).expect("no arguments").config();
        let default = RuntimeConfig::default();
        assert_eq!(config.listen, default.listen);
        assert_eq!(config.realms.len(), 1);
        assert_eq!(&*config.realms[0].name, "realm1");
        assert_eq!(config.shards, None);
        assert!(config.pin);
    }

    #[test]
    fn all_flags_arrive() {
        let args = ["--listen", "[::1]:1", "--listen=unix:/x", "--realm", "a.b", "--realm", "c", "--shards", "3"];
        let config = parse(&args).expect("good arguments").config();
        assert_eq!(config.listen.iter().map(ToString::to_string).collect::<Vec<_>>(), ["[::1]:1", "unix:/x"]);
        assert_eq!(config.realms.iter().map(|realm| realm.name.to_string()).collect::<Vec<_>>(), ["a.b", "c"]);
        assert_eq!(config.shards, Some(3));
        assert!(!parse(&["--no-pin"]).expect("a good argument").config().pin);
        assert_eq!(parse(&["--log", "warn,corebar=debug"]).expect("a good argument").log(), "warn,corebar=debug");
    }

    #[test]
    fn bad_values_are_refused_with_code_2() {
        for args in [["--shards", "0"], ["--shards", "x"], ["--listen", "8080"], ["--log", "a=b=c"], ["--nonsense", ""]]
        {
            let error = parse(&args).expect_err("a bad value");
            assert_eq!(error.exit_code(), 2, "{args:?}");
        }
    }
}
