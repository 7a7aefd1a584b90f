//! The key `corebar` of the file: what Crossbar.io has no place for.

use super::cores::CORE_MAX;
use super::keys::distance;
use super::management::Management;
use super::{Fault, Read};
use crate::config::allowed::Allowed;
use crate::config::log::LogConfig;
use crate::config::traces::is_endpoint;
use crate::config::{ListenAddress, RuntimeConfig};
use crate::wamp::codec::DEPTH_MAX;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The key at the top of the file.
pub(super) const KEY: &str = "corebar";

/// What is shown in the place of a secret.
const HIDDEN: &str = "(hidden)";
/// The longest time that can be asked for where nothing else is said.
pub(super) const TIME_MAX: f64 = 24.0 * 3600.0;
/// The shortest time in which anybody can be expected to do anything.
const TIME_MIN: f64 = 0.01;
const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Where a setting goes, and what it may be.
enum Place {
    /// True or false.
    Flag(fn(&mut RuntimeConfig) -> &mut bool),
    /// `auto` or a number of shards.
    Shards,
    /// Numbers of cores.
    Cores,
    /// Seconds, in fractions as well.
    Time(fn(&mut RuntimeConfig) -> &mut Duration, f64, f64),
    /// Seconds, in fractions as well, but no smaller ones than milliseconds.
    Milliseconds(fn(&mut RuntimeConfig) -> &mut Duration, f64, f64),
    /// A number of something.
    Depth(fn(&mut RuntimeConfig) -> &mut u16, u64, u64),
    /// A number of something.
    Number(fn(&mut RuntimeConfig) -> &mut u32, u64, u64),
    /// A number of something, or null: as many as there may be.
    Limit(fn(&mut RuntimeConfig) -> &mut Option<u32>),
    /// The path of requests, or null.
    Path(fn(&mut RuntimeConfig) -> &mut Option<String>),
    /// A text that means something, with what that may be and an example, or null.
    Text(fn(&mut RuntimeConfig) -> &mut Option<String>, fn(&str) -> bool, &'static str, &'static str),
    /// A file, or null; a relative path begins in the node directory.
    File(fn(&mut RuntimeConfig) -> &mut Option<PathBuf>),
    /// An address to listen on, or null.
    Address(fn(&mut RuntimeConfig) -> &mut Option<ListenAddress>),
    /// A number of octets or of something else that fills memory.
    Size(fn(&mut RuntimeConfig) -> &mut usize, u64, u64),
    /// A number from 0 to 1.
    Share(fn(&mut RuntimeConfig) -> &mut f64),
    /// Headers of HTTP, whose values are secrets.
    Headers(fn(&mut RuntimeConfig) -> &mut BTreeMap<Box<str>, Box<str>>),
}

use Place::{
    Address, Cores, Depth, File, Flag, Headers, Limit, Milliseconds, Number, Path, Shards, Share, Size, Text, Time,
};

/// Every setting: its group (none: at the top), its name, what it is, and its place.
#[rustfmt::skip]
const SETTINGS: &[(&str, &str, &str, Place)] = &[
    ("", "shards",
        "Reactor threads: a number, or `auto` for one per core that the process may use.",
        Shards),
    ("", "cores",
        "The numbers of the cores for shards, as `taskset` counts them; those that are not there do not count. Null: those of `cpu_affinity` of the router workers, or all.",
        Cores),
    ("", "pin",
        "Pin each shard to a core of its own, if there are enough.",
        Flag(|config| &mut config.pin)),
    ("", "shutdown_timeout",
        "From the last GOODBYE to the end of the process, though clients are left.",
        Time(|config| &mut config.shutdown_timeout, 0.0, TIME_MAX)),
    ("log", "level",
        "What is logged: `error`, `warn`, `info`, `debug`, `trace` or `off`, also by module, as `warn,corebar::transport=debug`. Null: `info`.",
        Text(|config| &mut config.node.log.level, is_filter, "levels such as \"info\" or \"warn,corebar::transport=debug\"", "warn,corebar::transport=debug")),
    ("log", "json",
        "Log lines of JSON.",
        Flag(|config| &mut config.node.log.json)),
    ("log", "format",
        "What a line for people begins with: with `standard` the time and the level, with `syslogd` the level, with `none` nothing. Null: `standard`.",
        Text(|config| &mut config.node.log.format, |text| LogConfig::FORMATS.contains(&text), "\"standard\", \"syslogd\" or \"none\"", "syslogd")),
    ("log", "color",
        "Whether lines for people have colours: `true`, `false`, or with `auto` where they go to a terminal. Null: `auto`.",
        Text(|config| &mut config.node.log.color, |text| LogConfig::COLORS.contains(&text), "\"auto\", \"true\" or \"false\"", "false")),
    ("log", "file",
        "The file to which the log is added, relative to the node directory; SIGUSR1 opens it again. Null: standard error.",
        File(|config| &mut config.node.log.file)),
    ("drain", "delay",
        "How long the router says that it is not ready before it accepts nobody any more, when it shuts down.",
        Time(|config| &mut config.drain_delay, 0.0, TIME_MAX)),
    ("drain", "spread",
        "In which time sessions get their GOODBYE at the end; callees come last.",
        Time(|config| &mut config.drain_spread, 0.0, TIME_MAX)),
    ("drain", "calls_timeout",
        "How much longer a session may take at the end for calls and other requests that are open.",
        Time(|config| &mut config.drain_calls_timeout, 0.0, TIME_MAX)),
    ("drain", "retry_spread",
        "Clients are told at the end to come back after different times, up to this one.",
        Time(|config| &mut config.drain_retry_spread, 0.0, TIME_MAX)),
    ("health", "path",
        "Where it is said on every listener whether the router is well. Null: nowhere.",
        Path(|config| &mut config.health_path)),
    ("health", "ready_path",
        "Where it is said on every listener whether clients should come. Null: nowhere.",
        Path(|config| &mut config.health_ready_path)),
    ("health", "listen",
        "An address where nothing else is served than these two and the metrics, and to everybody. Null: none.",
        Address(|config| &mut config.health_listen)),
    ("health", "stuck_after",
        "A shard that has not turned for so long is stuck: both say 503.",
        Time(|config| &mut config.health_stuck_after, 1.0, TIME_MAX)),
    ("metrics", "path",
        "Where it is told on every listener, in the text format of Prometheus, what the router counts and measures. Null: nowhere.",
        Path(|config| &mut config.metrics_path)),
    ("metrics", "allow",
        "To whom, by address as trusted proxies tell it: `loopback` (this machine and Unix sockets), `any`, or networks with commas between them. Others get 404, and so does what comes by a proxy that is not trusted. Null: nobody but at `health.listen`.",
        Text(|config| &mut config.metrics_allow, Allowed::is_one, "\"loopback\", \"any\" or networks such as \"10.0.0.0/8, ::1\"", "10.0.0.0/8, ::1")),
    ("limits", "depth_max",
        "Nesting of a message. Beyond: ABORT `wamp.error.protocol_violation`.",
        Depth(|config| &mut config.limits.depth_max, 1, DEPTH_MAX as u64)),
    ("limits", "uri_bytes_max",
        "Octets of a URI. Beyond: `wamp.error.invalid_uri`.",
        Number(|config| &mut config.limits.uri_bytes_max, 16, MIB)),
    ("limits", "node_key_bytes_max",
        "Octets of a node key (`nkey`). Beyond: `wamp.error.limit_exceeded`.",
        Number(|config| &mut config.limits.node_key_bytes_max, 1, MIB)),
    ("limits", "subscriptions_max",
        "Subscriptions of a session. Beyond: `wamp.error.limit_exceeded`.",
        Number(|config| &mut config.limits.subscriptions_max, 0, u32::MAX as u64)),
    ("limits", "registrations_max",
        "Registrations of a session. Beyond: `wamp.error.limit_exceeded`.",
        Number(|config| &mut config.limits.registrations_max, 0, u32::MAX as u64)),
    ("limits", "calls_max",
        "Open calls of a session. Beyond: `wamp.error.limit_exceeded`.",
        Number(|config| &mut config.limits.calls_max, 0, u32::MAX as u64)),
    ("limits", "calls_waiting_max",
        "Calls per shard and registration that wait for a callee with a limit of `concurrency`. Beyond: `crossbar.error.max_concurrency_reached`, the URI that clients know.",
        Number(|config| &mut config.limits.calls_waiting_max, 0, u32::MAX as u64)),
    ("limits", "forwarded_timeout_grace",
        "How much longer the router waits than a callee that watches over the timeout of a call itself.",
        Time(|config| &mut config.limits.forwarded_timeout_grace, 0.0, TIME_MAX)),
    ("limits", "testaments_max",
        "Testaments of a session. Beyond: `wamp.error.limit_exceeded`.",
        Number(|config| &mut config.limits.testaments_max, 0, u32::MAX as u64)),
    ("limits", "testament_bytes_max",
        "Octets of all testaments of a session. Beyond: `wamp.error.limit_exceeded`.",
        Number(|config| &mut config.limits.testament_bytes_max, 0, GIB)),
    ("limits", "details_bytes_max",
        "Octets of what `wamp.session.modify_details` has added to a session. Beyond: `wamp.error.limit_exceeded`.",
        Number(|config| &mut config.limits.details_bytes_max, 0, GIB)),
    ("limits", "hello_timeout",
        "From the handshake to HELLO. Beyond: ABORT, and the connection is closed.",
        Time(|config| &mut config.limits.hello_timeout, TIME_MIN, TIME_MAX)),
    ("limits", "authentication_timeout",
        "From CHALLENGE to AUTHENTICATE, and for what a dynamic authenticator says. Beyond: ABORT `wamp.error.authentication_failed`.",
        Time(|config| &mut config.limits.authentication_timeout, TIME_MIN, TIME_MAX)),
    ("limits", "failed_attempts_free",
        "Failed attempts to log in within the window, by address and by user. Beyond: what is decided about further attempts, right or wrong, waits.",
        Number(|config| &mut config.limits.failed_attempts_free, 0, u32::MAX as u64 - 1)),
    ("limits", "failed_attempts_window",
        "How long failed attempts are counted together.",
        Time(|config| &mut config.limits.failed_attempts_window, 1.0, TIME_MAX)),
    ("limits", "failed_attempt_delay_max",
        "How long an attempt waits at most; it begins with 0.1 seconds and doubles with each failure. 0: never.",
        Time(|config| &mut config.limits.failed_attempt_delay_max, 0.0, 60.0)),
    ("limits", "authorization_timeout",
        "For what a dynamic authorizer says. Beyond: `wamp.error.authorization_failed`.",
        Time(|config| &mut config.limits.authorization_timeout, TIME_MIN, TIME_MAX)),
    ("limits", "authorization_ttl_max",
        "For how long at most what an authorizer has said is remembered, where it allows that.",
        Time(|config| &mut config.limits.authorization_ttl_max, 0.0, TIME_MAX)),
    ("limits", "authorizations_cached_max",
        "Decisions of authorizers that a shard remembers; the oldest is forgotten for a new one.",
        Number(|config| &mut config.limits.authorizations_cached_max, 0, 1 << 24)),
    ("limits", "authorizations_open_max",
        "Requests of a session about which an authorizer is asked at once; more wait.",
        Number(|config| &mut config.limits.authorizations_open_max, 1, 1 << 16)),
    ("limits", "gate_bytes_max",
        "Octets of a session that wait for an authorizer. Beyond: no more is read from it; with eight times as much it is ended.",
        Number(|config| &mut config.limits.gate_bytes_max, 1024, GIB)),
    ("limits", "goodbye_timeout",
        "How long a killed session may take to answer GOODBYE. Beyond: its connection is closed.",
        Time(|config| &mut config.limits.goodbye_timeout, TIME_MIN, TIME_MAX)),
    ("transport", "handshake_timeout",
        "From accepting a socket to the end of its handshake, TLS included. Beyond: the connection is closed; the head of a later request on it gets 408.",
        Time(|config| &mut config.handshake_timeout, TIME_MIN, TIME_MAX)),
    ("transport", "close_timeout",
        "From the router's last word to the client's closing the connection. Beyond: the router stops waiting.",
        Time(|config| &mut config.close_timeout, TIME_MIN, TIME_MAX)),
    ("transport", "connections_max",
        "Connections of all listeners together. Beyond: a connection is closed without a word; a long-poll `open` gets 503.",
        Number(|config| &mut config.connections_max, 1, u32::MAX as u64)),
    ("transport", "connections_per_address_max",
        "Connections from one address; one of IPv6 counts by its first 64 bits. Beyond: the same. Null: no limit.",
        Limit(|config| &mut config.connections_per_address_max)),
    ("transport", "accept_rate_max",
        "Connections that each listener accepts in a second. Beyond: they wait where the system keeps them. Null: no limit.",
        Limit(|config| &mut config.accept_rate_max)),
    ("transport", "message_rate_max",
        "Messages that a client may send in a second, by and large. Beyond: it is read more slowly. Null: no limit.",
        Limit(|config| &mut config.message_rate_max)),
    ("transport", "ping_interval",
        "A client that has been silent for so long is sent a ping. 0: never.",
        Time(|config| &mut config.ping_interval, 0.0, TIME_MAX)),
    ("transport", "ping_timeout",
        "How long the answer to a ping may take. Beyond: the connection is closed.",
        Time(|config| &mut config.ping_timeout, TIME_MIN, TIME_MAX)),
    ("", "jwks_interval",
        "How often it is looked whether files with keys for tokens (`jwks`) have changed.",
        Time(|config| &mut config.jwks_interval, 0.1, TIME_MAX)),
    ("", "callout_threads",
        "How many questions to applications who a client is are under way at once; more wait.",
        Size(|config| &mut config.callout_threads, 1, 256)),
    ("transport", "ping_rawsocket",
        "Pings over RawSocket as well; without, TCP itself asks. autobahn for Twisted takes a ping for a message of 16 MiB.",
        Flag(|config| &mut config.ping_rawsocket)),
    ("transport", "accept_pause",
        "How long nobody is accepted after the system ran out of descriptors or memory.",
        Time(|config| &mut config.accept_pause, 0.001, 60.0)),
    ("transport", "message_bytes_max",
        "Octets of a message from a client, after decompression. Beyond: ABORT `wamp.error.protocol_violation` and close code 1009, or the RawSocket connection is closed, or 413 on long-poll.",
        Size(|config| &mut config.message_bytes_max, 512, GIB)),
    ("transport", "out_queue_bytes_max",
        "Octets that may wait for a client that does not read. Beyond: its connection, or its long-poll transport, is ended.",
        Size(|config| &mut config.out_queue_bytes_max, 1024, 64 * GIB)),
    ("transport", "write_slice",
        "How long a turn at least writes to those who share an event with 63 or more others on the shard, before it looks after others again; the same for ends of connections and for handshakes of TLS.",
        Time(|config| &mut config.write_slice, 0.0, 1.0)),
    ("transport", "write_delay",
        "How long an event may wait for others that can leave with it in one write; answers to requests never wait. Whole milliseconds.",
        Milliseconds(
        |config| &mut config.write_delay, 0.0, RuntimeConfig::WRITE_DELAY_MAX.as_secs() as f64)),
    ("longpoll", "receive_timeout",
        "A `receive` without messages is answered after so long. Clients give up earlier or later; autobahn for JavaScript after 12 seconds.",
        Time(|config| &mut config.longpoll_receive_timeout, TIME_MIN, TIME_MAX)),
    ("longpoll", "idle_timeout",
        "A transport from which nobody receives for so long is ended, and a connection on which long-polling was asked for and no further request comes.",
        Time(|config| &mut config.longpoll_idle_timeout, TIME_MIN, TIME_MAX)),
    ("longpoll", "body_timeout",
        "In this time the body of a request has to have come (else 408), or some of a response to have been read (else the session is ended).",
        Time(|config| &mut config.longpoll_body_timeout, TIME_MIN, TIME_MAX)),
    ("web", "keep_alive_timeout",
        "A connection without a further request is ended after so long.",
        Time(|config| &mut config.web_keep_alive_timeout, TIME_MIN, TIME_MAX)),
    ("web", "call_timeout",
        "A call that a request has become is answered with `wamp.error.timeout` after so long.",
        Time(|config| &mut config.web_call_timeout, TIME_MIN, TIME_MAX)),
    ("web", "read_threads",
        "Threads that read files.",
        Size(|config| &mut config.web_read_threads, 1, 256)),
    ("web", "relay_threads",
        "Threads that pass requests on to servers and programs.",
        Size(|config| &mut config.web_relay_threads, 1, 64)),
    ("web", "relays_max",
        "Requests that are passed on at the same time, WebSocket connections included. Beyond: 503.",
        Size(|config| &mut config.web_relays_max, 1, 1_000_000)),
    ("web", "body_bytes_ahead",
        "Octets of the body of a request that are read before a server, program or application is asked. 0: none, it is asked at once.",
        Size(|config| &mut config.web_body_bytes_ahead, 0, GIB)),
    ("web", "body_rate_min",
        "Octets of such a body that have to come in each second that is waited for it, on average and behind the first `longpoll.body_timeout`. Beyond: 408. 0: any.",
        Size(|config| &mut config.web_body_rate_min, 0, GIB)),
    ("web", "repeat_timeout",
        "For how long the answer to a request with an `Idempotency-Key` is kept.",
        Time(|config| &mut config.web_repeat_timeout, TIME_MIN, TIME_MAX)),
    ("web", "repeat_bytes",
        "Octets of such answers that are kept, all together; the oldest are forgotten first.",
        Size(|config| &mut config.web_repeat_bytes, 4096, GIB)),
    ("web", "piece_bytes",
        "Octets of a file that are read at once, and what a client that reads slowly holds in memory.",
        Size(|config| &mut config.web_piece_bytes, 4096, GIB)),
    ("web", "listing_entries_max",
        "Entries of the listing of a directory. Beyond: it says that there are more.",
        Size(|config| &mut config.web_listing_entries_max, 1, 1 << 20)),
    ("web", "download_bytes_max",
        "Octets of an archive that is downloaded. A larger one is not got, and the router does not start.",
        Size(|config| &mut config.web_download_bytes_max, 1024, 64 * GIB)),
    ("web", "download_timeout",
        "How long such a download may take. Beyond: the same.",
        Time(|config| &mut config.web_download_timeout, TIME_MIN, TIME_MAX)),
    ("processes", "log_lines",
        "Lines of each guest and component that are kept for `corebar.process.log`; the oldest are forgotten first.",
        Size(|config| &mut config.processes_log_lines, 0, 1_000_000)),
    ("processes", "log_bytes",
        "Octets of these lines, for each guest and component; likewise.",
        Size(|config| &mut config.processes_log_bytes, 0, GIB)),
    ("processes", "count_max",
        "Processes that one guest or component may have at once, threads not counted; one with more is killed, and has failed. Holds for those that start from then on; a guest may have a lower limit of its own.",
        Size(|config| &mut config.processes_count_max, 1, u32::MAX as u64)),
    ("history", "flush_interval",
        "How long an event may wait for the disk if its publisher does not wait for it.",
        Time(|config| &mut config.history_flush_interval, 0.001, 60.0)),
    ("history", "queue_bytes_max",
        "Octets that wait for the disk. Beyond: all shards stop reading from their clients until half of it is written.",
        Size(|config| &mut config.history_queue_bytes_max, 1024, 64 * GIB)),
    ("mesh", "ring_batches",
        "Batches in each ring between two shards; more go to the overflow.",
        Size(|config| &mut config.ring_batches, 1, 1 << 16)),
    ("mesh", "overflow_high_bytes",
        "Octets of the overflow. Beyond: the shard stops reading from its clients.",
        Size(|config| &mut config.overflow_high_bytes, 1024, 64 * GIB)),
    ("mesh", "overflow_low_bytes",
        "With no more octets than this in the overflow, the shard reads again; not above the other.",
        Size(|config| &mut config.overflow_low_bytes, 0, 64 * GIB)),
    ("mesh", "spin",
        "For how long a shard without work goes on looking for some before it sleeps: answers come sooner, and the core is busy meanwhile.",
        Time(|config| &mut config.spin, 0.0, RuntimeConfig::SPIN_MAX.as_millis() as f64 / 1000.0)),
    ("traces", "endpoint",
        "The collector to which spans of calls and publications are sent, by OTLP over HTTP; `/v1/traces` is added to an address without a path. Null: there are no spans.",
        Text(|config| &mut config.traces_endpoint, is_endpoint, "an address such as \"http://127.0.0.1:4318\"", "http://127.0.0.1:4318")),
    ("traces", "sample",
        "The share of calls and publications without a context of their own that begin a trace. A context says itself whether its trace is sampled.",
        Share(|config| &mut config.traces_sample)),
    ("traces", "spans_per_second_max",
        "Spans in a second, in equal parts for all shards. Beyond: calls and publications go on without.",
        Number(|config| &mut config.traces_spans_per_second_max, 0, u32::MAX as u64)),
    ("traces", "kwargs_bytes_max",
        "Octets of payload up to which a context is looked for among the keyword arguments, where the options have none. 0: never.",
        Number(|config| &mut config.traces_kwargs_bytes_max, 0, GIB)),
    ("traces", "service_name",
        "What the spans are said to come from (`service.name`). Null: `corebar`.",
        Text(|config| &mut config.traces_service_name, |text| !text.is_empty(), "a name such as \"corebar\"", "corebar-eu")),
    ("traces", "headers",
        "Headers of the requests to the collector, such as those that let it know who sends. Their values are never shown.",
        Headers(|config| &mut config.traces_headers)),
    ("traces", "interval",
        "How long a span waits for others that are sent with it.",
        Time(|config| &mut config.traces_interval, 0.0, 60.0)),
    ("traces", "batch_spans_max",
        "Spans in one request; with so many it is not waited any longer.",
        Size(|config| &mut config.traces_batch_spans_max, 1, 1 << 16)),
    ("traces", "queue_spans_max",
        "Spans that wait to be sent. Beyond: they are lost, and counted.",
        Size(|config| &mut config.traces_queue_spans_max, 1, 1 << 24)),
    ("traces", "timeout",
        "How long a request may take. Beyond: it is made again, up to four times, and the spans are lost then.",
        Time(|config| &mut config.traces_timeout, TIME_MIN, TIME_MAX)),
];

/// The groups of settings, and what they are about.
const GROUPS: &[(&str, &str)] = &[
    ("log", "What is logged, and where it goes. The flags of `start` come before it."),
    ("drain", "How the router takes leave when it shuts down."),
    ("health", "Where the router says how it is."),
    ("metrics", "Where and to whom the router tells what it counts and measures."),
    ("traces", "What OpenTelemetry is told of calls and publications."),
    ("limits", "What one session may ask for; what goes beyond is refused, and nothing else happens."),
    (
        "transport",
        "Limits and times of connections. Those that a transport has among its `options` as well hold for all others.",
    ),
    ("longpoll", "Times of long-polling."),
    ("web", "How pages and files are served."),
    ("processes", "What is kept of guests and components, and how much they may be."),
    ("history", "How histories of events are written to disk."),
    ("mesh", "The queues between shards."),
];

/// Settings that hold from the start of a router to its end.
const AT_START: &[&str] = &[
    "shards",
    "cores",
    "pin",
    "log.json",
    "log.format",
    "log.color",
    "log.file",
    "callout_threads",
    "web.read_threads",
    "web.relay_threads",
    "web.relays_max",
    "history.flush_interval",
    "history.queue_bytes_max",
    "mesh.ring_batches",
    "traces.queue_spans_max",
];

/// A setting that is another one in another configuration.
pub(in crate::config) struct Change {
    /// Its path, with the values before and after.
    pub(in crate::config) text: String,
    /// It holds from the start of a router to its end.
    pub(in crate::config) at_start: bool,
}

/// Finds the settings that differ. Those that cannot be changed while a router runs are set back in `new`.
pub(in crate::config) fn differences(old: &RuntimeConfig, new: &mut RuntimeConfig) -> Vec<Change> {
    let mut old = old.clone();
    let mut changes = Vec::new();
    for (group, name, _, place) in SETTINGS {
        if !place.differs(&mut old, new) {
            continue;
        }
        let (before, after) = (place.value(&mut old), place.value(new));
        let path = path(group, name);
        let at_start = AT_START.contains(&&*path);
        if at_start {
            place.copy(&mut old, new);
        }
        changes.push(Change { text: format!("{KEY}.{path}: {before} becomes {after}"), at_start });
    }
    changes
}

/// All settings of a configuration, by their paths below `corebar`.
pub(crate) fn values(config: &RuntimeConfig) -> Vec<(String, Value)> {
    let mut config = config.clone();
    SETTINGS.iter().map(|(group, name, _, place)| (path(group, name), place.value(&mut config))).collect()
}

impl Place {
    fn value(&self, config: &mut RuntimeConfig) -> Value {
        match self {
            Flag(field) => (*field(config)).into(),
            Shards => config.shards.map_or_else(|| "auto".into(), Value::from),
            Cores => config.cores.clone().into(),
            Time(field, ..) | Milliseconds(field, ..) => field(config).as_secs_f64().into(),
            Depth(field, ..) => (*field(config)).into(),
            Number(field, ..) => (*field(config)).into(),
            Limit(field) => (*field(config)).into(),
            Path(field) | Text(field, ..) => field(config).clone().into(),
            File(field) => field(config).as_ref().map(|path| path.to_string_lossy().into_owned()).into(),
            Address(field) => field(config).as_ref().map(ToString::to_string).into(),
            Size(field, ..) => (*field(config)).into(),
            Share(field) => (*field(config)).into(),
            Headers(field) => field(config).keys().map(|name| (name.to_string(), Value::from(HIDDEN))).collect(),
        }
    }

    /// True if it is another in another configuration, be it where nobody sees it.
    fn differs(&self, one: &mut RuntimeConfig, other: &mut RuntimeConfig) -> bool {
        match self {
            Headers(field) => field(one) != field(other),
            _ => self.value(one) != self.value(other),
        }
    }

    /// The schema of its values.
    fn schema(&self) -> Value {
        let whole = |min: u64, max: u64| json!({"type": "integer", "minimum": min, "maximum": max});
        match self {
            Flag(_) => json!({"type": "boolean"}),
            Shards => json!({"anyOf": [{"const": "auto"}, whole(1, RuntimeConfig::SHARDS_MAX.into())]}),
            Cores => {
                json!({"type": ["array", "null"], "minItems": 1, "items": whole(0, CORE_MAX as u64), "examples": [[0, 1]]})
            }
            Time(_, min, max) => json!({"type": "number", "minimum": min, "maximum": max, "x-unit": "seconds"}),
            Milliseconds(_, min, max) => json!({"type": "number", "minimum": min, "maximum": max,
                "x-unit": "seconds, in whole milliseconds"}),
            Depth(_, min, max) | Number(_, min, max) => whole(*min, *max),
            Limit(_) => json!({"type": ["integer", "null"], "minimum": 1, "maximum": u32::MAX}),
            Path(_) => json!({"type": ["string", "null"], "pattern": "^/[!\"$->@-~]*$"}),
            Text(.., example) => json!({"type": ["string", "null"], "examples": [example]}),
            File(_) => json!({"type": ["string", "null"], "minLength": 1, "examples": ["node.log"]}),
            Address(_) => json!({"type": ["string", "null"], "examples": ["127.0.0.1:8081"]}),
            Size(_, min, max) => whole(*min, *max),
            Share(_) => json!({"type": "number", "minimum": 0, "maximum": 1}),
            Headers(_) => json!({"type": "object", "additionalProperties": {"type": "string"},
                "examples": [{"Authorization": "${COLLECTOR_KEY}"}]}),
        }
    }

    fn copy(&self, from: &mut RuntimeConfig, to: &mut RuntimeConfig) {
        match self {
            Flag(field) => *field(to) = *field(from),
            Shards => to.shards = from.shards,
            Cores => to.cores.clone_from(&from.cores),
            Time(field, ..) | Milliseconds(field, ..) => *field(to) = *field(from),
            Depth(field, ..) => *field(to) = *field(from),
            Number(field, ..) => *field(to) = *field(from),
            Limit(field) => *field(to) = *field(from),
            Path(field) | Text(field, ..) => field(to).clone_from(field(from)),
            File(field) => field(to).clone_from(field(from)),
            Address(field) => field(to).clone_from(field(from)),
            Size(field, ..) => *field(to) = *field(from),
            Share(field) => *field(to) = *field(from),
            Headers(field) => field(to).clone_from(field(from)),
        }
    }
}

/// The schema of the key.
pub(super) struct Settings;

impl JsonSchema for Settings {
    fn schema_name() -> Cow<'static, str> {
        "Settings".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut default = RuntimeConfig::default();
        let mut top = Map::new();
        for (group, name, about, place) in SETTINGS {
            let mut schema = place.schema();
            schema["description"] = (*about).into();
            if name.ends_with("_bytes") || name.ends_with("_bytes_max") {
                schema["x-unit"] = "octets".into();
            }
            if AT_START.contains(&&*path(group, name)) {
                schema["x-reload"] = "holds from the start of a router to its end".into();
            }
            schema["default"] = place.value(&mut default);
            if group.is_empty() {
                top.insert((*name).into(), schema);
                continue;
            }
            let about = GROUPS.iter().find(|(known, _)| known == group).map_or("", |(_, about)| about);
            let new =
                || json!({"description": about, "type": "object", "additionalProperties": false, "properties": {}});
            top.entry(*group).or_insert_with(new)["properties"][*name] = schema;
        }
        let mut management = generator.subschema_for::<Management>();
        management.insert("description".into(), "The realm in which the node is managed.".into());
        top.insert("management".into(), management.into());
        let description = "Limits and times of this router, for which Crossbar.io has no place.";
        let schema =
            json!({"description": description, "type": "object", "properties": top, "additionalProperties": false});
        Schema::try_from(schema).unwrap_or_default()
    }
}

/// Reads the settings.
pub(super) fn read_settings(value: &Value, config: &mut RuntimeConfig) -> Read<()> {
    for (name, value) in object(value, KEY)? {
        if !is_group(name) {
            read_setting("", name, value, config)?;
            continue;
        }
        for (key, value) in object(value, &format!("{KEY}.{name}"))? {
            read_setting(name, key, value, config)?;
        }
    }
    if config.overflow_low_bytes > config.overflow_high_bytes {
        let text = format!(
            "overflow_low_bytes ({}) is above overflow_high_bytes ({})",
            config.overflow_low_bytes, config.overflow_high_bytes
        );
        return Err(Fault::new(&format!("{KEY}.mesh"), text));
    }
    Ok(())
}

fn object<'a>(value: &'a Value, at: &str) -> Read<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| Fault::new(at, "has to be an object"))
}

fn is_group(name: &str) -> bool {
    SETTINGS.iter().any(|(group, ..)| !group.is_empty() && *group == name)
}

/// The path of a setting below `corebar`.
fn path(group: &str, name: &str) -> String {
    if group.is_empty() { name.into() } else { format!("{group}.{name}") }
}

fn read_setting(group: &str, name: &str, value: &Value, config: &mut RuntimeConfig) -> Read<()> {
    let at = format!("{KEY}.{}", path(group, name));
    let known = SETTINGS.iter().find(|(its_group, its_name, ..)| (*its_group, *its_name) == (group, name));
    let Some((.., place)) = known else {
        return Err(Fault::new(&at, format!("is not known; did you mean {KEY}.{}?", nearest(group, name))));
    };
    match place {
        Flag(field) => {
            *field(config) =
                value.as_bool().ok_or_else(|| Fault::new(&at, format!("is {value}, not true or false")))?;
        }
        Shards => config.shards = shards(value, &at)?,
        Cores => config.cores = cores(value, &at)?,
        Time(field, min, max) => *field(config) = time(value, *min, *max, &at)?,
        Milliseconds(field, min, max) => {
            let time = time(value, *min, *max, &at)?;
            if time.subsec_nanos() % 1_000_000 != 0 {
                return Err(Fault::new(&at, format!("is {value}, which is no whole number of milliseconds")));
            }
            *field(config) = time;
        }
        Limit(field) => {
            *field(config) = match value {
                Value::Null => None,
                value => Some(number(value, 1, u32::MAX as u64, &at)? as u32),
            };
        }
        Text(field, is_good, what, _) => {
            *field(config) = optional(value, &at, what, |text| is_good(text).then(|| text.into()))?;
        }
        File(field) => {
            *field(config) =
                optional(value, &at, "the path of a file", |text| (!text.is_empty()).then(|| text.into()))?;
        }
        Path(field) => *field(config) = optional(value, &at, "a path such as \"/health\"", path_of_requests)?,
        Address(field) => {
            *field(config) = optional(value, &at, "an address such as \"127.0.0.1:8081\"", |text| text.parse().ok())?;
        }
        // What is in the range fits in the field.
        Depth(field, min, max) => *field(config) = number(value, *min, *max, &at)? as u16,
        Number(field, min, max) => *field(config) = number(value, *min, *max, &at)? as u32,
        Size(field, min, max) => *field(config) = number(value, *min, *max, &at)? as usize,
        Share(field) => {
            let share = value.as_f64().filter(|share| (0.0..=1.0).contains(share));
            *field(config) = share.ok_or_else(|| outside(&at, value, "a number", 0, 1))?;
        }
        Headers(field) => *field(config) = headers(value, &at)?,
    }
    Ok(())
}

/// A text that means something, or null.
fn optional<T>(value: &Value, at: &str, what: &str, read: impl Fn(&str) -> Option<T>) -> Read<Option<T>> {
    if value.is_null() {
        return Ok(None);
    }
    let meant = value.as_str().and_then(read);
    meant.map(Some).ok_or_else(|| Fault::new(at, format!("is {value}, not {what}, or null")))
}

/// True for what says which levels are logged.
pub fn is_filter(text: &str) -> bool {
    // A word alone would be taken for a module, and a misspelt level with it.
    let known = |part: &str| part.contains('=') || (!part.is_empty() && part.parse::<LevelFilter>().is_ok());
    text.split(',').all(|part| known(part.trim())) && EnvFilter::try_new(text).is_ok()
}

fn path_of_requests(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_graphic() && !"?#".contains(c);
    (text.starts_with('/') && text.chars().all(plain)).then(|| text.into())
}

fn outside(at: &str, value: &Value, what: &str, min: impl Display, max: impl Display) -> Fault {
    Fault::new(at, format!("is {value}, not {what} from {min} to {max}"))
}

fn shards(value: &Value, at: &str) -> Read<Option<u16>> {
    if value == "auto" {
        return Ok(None);
    }
    let max = RuntimeConfig::SHARDS_MAX;
    let count = value.as_u64().and_then(|count| u16::try_from(count).ok()).filter(|count| (1..=max).contains(count));
    count.map(Some).ok_or_else(|| outside(at, value, "\"auto\" or a number", 1, max))
}

fn cores(value: &Value, at: &str) -> Read<Option<Vec<usize>>> {
    if value.is_null() {
        return Ok(None);
    }
    let number =
        |core: &Value| core.as_u64().and_then(|core| usize::try_from(core).ok()).filter(|core| *core <= CORE_MAX);
    let numbers = value.as_array().filter(|cores| !cores.is_empty());
    let numbers = numbers.and_then(|cores| cores.iter().map(number).collect::<Option<Vec<_>>>());
    let text = || Fault::new(at, format!("is {value}, not a list of numbers of cores from 0 to {CORE_MAX}, or null"));
    numbers.map(Some).ok_or_else(text)
}

fn headers(value: &Value, at: &str) -> Read<BTreeMap<Box<str>, Box<str>>> {
    let token = |name: &str| !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c));
    let printable = |text: &str| text.bytes().all(|octet| (b' '..=b'~').contains(&octet));
    let header = |(name, value): (&String, &Value)| {
        let text = value.as_str().filter(|text| token(name) && printable(text));
        let unfit =
            || Fault::new(&format!("{at}.{name}"), "is no header of HTTP: a name, and a text of printable ASCII");
        Ok((name.as_str().into(), text.ok_or_else(unfit)?.into()))
    };
    object(value, at)?.iter().map(header).collect()
}

fn number(value: &Value, min: u64, max: u64, at: &str) -> Read<u64> {
    let number = value.as_u64().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| outside(at, value, "a whole number", min, max))
}

fn time(value: &Value, min: f64, max: f64, at: &str) -> Read<Duration> {
    let seconds = value.as_f64().filter(|seconds| (min..=max).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| outside(at, value, "a number of seconds", min, max))
}

/// The setting whose name is most like this one; of several those of the group come first.
fn nearest(group: &str, name: &str) -> String {
    let settings = SETTINGS.iter().map(|(its_group, its_name, ..)| {
        let likeness = (distance(name, its_name), *its_group != group);
        (likeness, path(its_group, its_name))
    });
    let groups = SETTINGS.iter().filter(|(its_group, ..)| group.is_empty() && !its_group.is_empty());
    let groups = groups.map(|(its_group, ..)| ((distance(name, its_group), false), its_group.to_string()));
    settings.chain(groups).min_by_key(|(likeness, _)| *likeness).map(|(_, path)| path).unwrap_or_default()
}

#[cfg(test)]
mod tests;
