//! What the node counts and measures, in the text format of Prometheus.

use super::Console;
use super::order;
use crate::config::{LinkName, RuntimeConfig};
use crate::link::{Carried, LinkStatus};
use crate::process::GuestStatus;
use crate::router::Histogram;
use crate::shard::{Command, Door, Inquirer, Report};
use crate::traces::SpanNumbers;
use rustix::process::{Resource, getrlimit};
use std::fmt::{Display, Write};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// The type of the content.
pub(super) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers requests for metrics that have come to shards, for as long as they run. Those that have come meanwhile get the same
/// answer.
pub(super) async fn serve(console: Console, doors: Arc<[Door]>, mut asked: mpsc::UnboundedReceiver<Inquirer>) {
    let mut waiting = Vec::new();
    while let Some(first) = asked.recv().await {
        waiting.push(first);
        while let Ok(more) = asked.try_recv() {
            waiting.push(more);
        }
        let text: Arc<str> = text(&console).await.into();
        for inquirer in waiting.drain(..) {
            if let Some(door) = doors.get(usize::from(inquirer.shard)) {
                order(door, Command::Respond(inquirer, KIND, text.clone())).await;
            }
        }
    }
}

/// All of it, as it is now.
pub(super) async fn text(console: &Console) -> String {
    let reports = console.reports().await;
    let mut page = Page::default();
    let config = console.config();
    node(&mut page, console, &config);
    let shards: Vec<(usize, &Report)> =
        reports.iter().enumerate().filter_map(|(at, report)| Some((at, report.as_ref()?))).collect();
    numbers(&mut page, &shards);
    realms(&mut page, &config, &shards);
    errors(&mut page, &shards);
    meters(&mut page, &shards);
    times(&mut page, &shards);
    processes(&mut page, &console.roster().states());
    links(&mut page, &console.links().links());
    own_process(&mut page, console.vitals().uptime());
    page.0
}

/// The text so far.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Begins a metric: what follows are its samples.
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        let _ = write!(self.0, "{name}");
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.begin(name, kind, help);
        self.sample(name, &[], value);
    }
}

fn node(page: &mut Page, console: &Console, config: &RuntimeConfig) {
    let vitals = console.vitals();
    page.begin("corebar_info", "gauge", "Which program this is.");
    page.sample("corebar_info", &[("version", &env!("CARGO_PKG_VERSION"))], 1);
    page.single("corebar_ready", "gauge", "1 while clients should come.", u8::from(vitals.is_ready()));
    let stuck = u8::from(vitals.stuck(config.health_stuck_after).is_some());
    page.single("corebar_stuck", "gauge", "1 while a shard does not turn.", stuck);
    page.single("corebar_uptime_seconds", "gauge", "For how long it has run.", vitals.uptime().as_secs_f64());
    page.single("corebar_shards", "gauge", "Reactor threads.", console.shards());
    let SpanNumbers { exported, dropped, failed } = console.spans();
    page.single("corebar_spans_exported_total", "counter", "Spans that the collector has taken.", exported);
    page.single("corebar_spans_dropped_total", "counter", "Spans lost because too many waited to be sent.", dropped);
    page.single("corebar_spans_failed_total", "counter", "Spans lost because the collector did not take them.", failed);
}

/// A metric of which each shard has one number.
type Number = (&'static str, &'static str, &'static str, fn(&Report) -> u64);

/// All of them: name, type, help.
#[rustfmt::skip]
const NUMBERS: &[Number] = &[
    ("corebar_connections", "gauge", "Connections of all kinds, also those that carry requests.", |r| r.connections),
    ("corebar_sessions", "gauge", "Open sessions.", |r| r.core.sessions),
    ("corebar_calls_open", "gauge", "Calls that a callee has, or that wait for one.", |r| r.core.calls_open),
    ("corebar_queued_bytes", "gauge", "Octets that wait to be written to clients.", |r| r.queued_bytes),
    ("corebar_blocked_clients", "gauge", "Clients of which the system takes no more for now.", |r| r.blocked),
    ("corebar_overflow_bytes", "gauge", "Octets that wait for other shards beyond the rings.", |r| r.overflow_bytes),
    ("corebar_orders", "gauge", "Connections and orders that wait for the shard.", |r| r.orders),
    ("corebar_publications_total", "counter", "Publications read from clients.", |r| r.core.publications),
    ("corebar_events_total", "counter", "Events given to subscribers.", |r| r.core.events),
    ("corebar_events_undeliverable_total", "counter", "Events that a subscriber could not be given for their size or serialization.", |r| r.core.events_undeliverable),
    ("corebar_calls_total", "counter", "Calls read from clients.", |r| r.core.calls),
    ("corebar_accepted_total", "counter", "Connections accepted.", |r| r.tally.accepted),
    ("corebar_overruns_total", "counter", "Connections ended because they did not read.", |r| r.tally.overruns),
    ("corebar_timeouts_total", "counter", "Connections ended because something did not come in time.", |r| r.tally.timeouts),
    ("corebar_faults_total", "counter", "Connections ended because they broke the rules of their transport.", |r| r.tally.faults),
    ("corebar_crowded_total", "counter", "Connections ended because there were too many from their address.", |r| r.tally.crowded),
    ("corebar_throttled_total", "counter", "How often a client was read more slowly.", |r| r.tally.throttled),
    ("corebar_spans_total", "counter", "Spans that calls and publications have got.", |r| r.core.spans),
    ("corebar_spans_limited_total", "counter", "Calls and publications without a span because there were too many in a second.", |r| r.core.spans_limited),
    ("corebar_refused_total", "counter", "Clients that could not show who they are.", |r| r.core.refused),
    ("corebar_violations_total", "counter", "Sessions ended for breaking the protocol.", |r| r.core.violations),
];

fn numbers(page: &mut Page, shards: &[(usize, &Report)]) {
    for (name, kind, help, number) in NUMBERS {
        page.begin(name, kind, help);
        for (shard, report) in shards {
            page.sample(name, &[("shard", shard)], number(report));
        }
    }
}

fn realms(page: &mut Page, config: &RuntimeConfig, shards: &[(usize, &Report)]) {
    let roles = shards.iter().flat_map(|(_, report)| &report.core.roles);
    let mut sums: Vec<(usize, &str, u64, u64)> = Vec::new();
    for role in roles {
        let realm = usize::from(role.realm);
        match sums.iter_mut().find(|(known, name, ..)| (*known, *name) == (realm, &role.role)) {
            Some((_, _, joined, left)) => (*joined, *left) = (*joined + role.joined, *left + role.left),
            None => sums.push((realm, &role.role, role.joined, role.left)),
        }
    }
    // Two realms of one name are told apart by their namespaces.
    let names = |realm: usize| config.realms.get(realm).map_or(("", ""), |realm| (&*realm.name, &*realm.namespace));
    let mut by_role = |name: &str, kind: &str, help: &str, number: fn(u64, u64) -> u64| {
        page.begin(name, kind, help);
        for (realm, role, joined, left) in &sums {
            let (realm, namespace) = names(*realm);
            let labels: [(&str, &dyn Display); 3] = [("realm", &realm), ("namespace", &namespace), ("role", role)];
            page.sample(name, &labels, number(*joined, *left));
        }
    };
    by_role("corebar_role_sessions", "gauge", "Open sessions by realm and role.", |joined, left| {
        joined.saturating_sub(left)
    });
    by_role("corebar_role_joins_total", "counter", "Sessions that have joined, by realm and role.", |joined, _| joined);
    let counted = config.realms.iter().enumerate().filter(|(_, realm)| !realm.closed);
    let sum = |at: usize, number: fn(&crate::router::RealmCounters) -> u64| -> u64 {
        shards.iter().filter_map(|(_, report)| report.core.realms.get(at)).map(number).sum()
    };
    let mut by_realm = |name: &str, help: &str, number: fn(&crate::router::RealmCounters) -> u64| {
        page.begin(name, "counter", help);
        for (at, realm) in counted.clone() {
            let labels: [(&str, &dyn Display); 2] = [("realm", &realm.name), ("namespace", &realm.namespace)];
            page.sample(name, &labels, sum(at, number));
        }
    };
    by_realm("corebar_realm_publications_total", "Publications by realm.", |realm| realm.publications);
    by_realm("corebar_realm_calls_total", "Calls by realm.", |realm| realm.calls);
}

fn errors(page: &mut Page, shards: &[(usize, &Report)]) {
    const NAME: &str = "corebar_errors_total";
    page.begin(NAME, "counter", "ERRORs given to clients, by URI.");
    let mut sums: Vec<(&str, u64)> = Vec::new();
    let known = |report: &&Report| report.core.other_errors;
    for (uri, count) in shards.iter().flat_map(|(_, report)| &report.core.errors) {
        match sums.iter_mut().find(|(known, _)| **known == **uri) {
            Some((_, sum)) => *sum += count,
            None => sums.push((uri, *count)),
        }
    }
    let others: u64 = shards.iter().map(|(_, report)| known(report)).sum();
    if others > 0 {
        sums.push(("other", others));
    }
    for (uri, count) in sums {
        page.sample(NAME, &[("uri", &uri)], count);
    }
}

fn meters(page: &mut Page, shards: &[(usize, &Report)]) {
    let mut metric = |name: &str, help: &str, number: fn(&crate::shard::Meter) -> (u64, u64)| {
        page.begin(name, "counter", help);
        for (shard, report) in shards {
            for (way, meter) in &report.meters {
                let serializer = way.serializer.map_or("none", |serializer| serializer.name());
                let (came, went) = number(meter);
                for (direction, count) in [("in", came), ("out", went)] {
                    let labels: [(&str, &dyn Display); 4] = [
                        ("shard", shard),
                        ("transport", &way.transport),
                        ("serializer", &serializer),
                        ("direction", &direction),
                    ];
                    page.sample(name, &labels, count);
                }
            }
        }
    };
    metric("corebar_messages_total", "Messages from and to clients.", |meter| (meter.messages_in, meter.messages_out));
    metric("corebar_bytes_total", "Octets of messages from and to clients.", |meter| (meter.bytes_in, meter.bytes_out));
}

fn times(page: &mut Page, shards: &[(usize, &Report)]) {
    type Times = (&'static str, &'static str, fn(&Report) -> &Histogram);
    let all: [Times; 4] = [
        ("corebar_turn_seconds", "Turns of a shard, from the first thing to do to the last write.", |r| &r.turn_time),
        ("corebar_delivery_seconds", "From PUBLISH to the last write to the subscribers of a shard.", |r| {
            &r.delivery_time
        }),
        ("corebar_call_seconds", "From CALL to the end of the call.", |r| &r.core.call_time),
        ("corebar_hop_seconds", "From PUBLISH to the arrival at another shard.", |r| &r.core.hop_time),
    ];
    for (name, help, times) in all {
        page.begin(name, "histogram", help);
        for (shard, report) in shards {
            histogram(page, name, *shard, times(report));
        }
    }
}

fn histogram(page: &mut Page, name: &str, shard: usize, times: &Histogram) {
    let (bucket, mut sum) = (format!("{name}_bucket"), 0);
    for (at, count) in times.counts.iter().enumerate() {
        sum += count;
        let last = at + 1 == times.counts.len();
        // What is below 2^n microseconds is at most that.
        let limit: String = if last { "+Inf".into() } else { Duration::from_micros(1 << at).as_secs_f64().to_string() };
        page.sample(&bucket, &[("shard", &shard), ("le", &limit)], sum);
    }
    page.sample(&format!("{name}_sum"), &[("shard", &shard)], times.sum as f64 / 1e6);
    page.sample(&format!("{name}_count"), &[("shard", &shard)], sum);
}

fn processes(page: &mut Page, processes: &[GuestStatus]) {
    type Number = (&'static str, &'static str, &'static str, fn(&GuestStatus) -> Option<f64>);
    let all: [Number; 4] = [
        ("corebar_process_up", "gauge", "1 while a guest or component runs.", |p| {
            Some(f64::from(u8::from(p.pid.is_some())))
        }),
        ("corebar_process_restarts_total", "counter", "How often it was started again.", |p| Some(p.restarts as f64)),
        ("corebar_process_resident_bytes", "gauge", "Memory of its processes.", |p| p.resident_bytes.map(|b| b as f64)),
        ("corebar_process_cpu_seconds", "gauge", "Processor time of its present run.", |p| {
            p.cpu_time.map(|time| time.as_secs_f64())
        }),
    ];
    for (name, kind, help, number) in all {
        page.begin(name, kind, help);
        for process in processes {
            if let Some(value) = number(process) {
                page.sample(name, &[("id", &process.id)], value);
            }
        }
    }
}

fn links(page: &mut Page, links: &[LinkStatus]) {
    type Number = (&'static str, &'static str, fn(&Carried) -> u64);
    const NUMBERS: [Number; 4] = [
        ("corebar_link_events_total", "Events that a link has published on the other side.", |c| c.events),
        ("corebar_link_events_lost_total", "Events that a link has lost since too many waited.", |c| c.events_lost),
        ("corebar_link_events_refused_total", "Events of a link that the other router has refused.", |c| {
            c.events_refused
        }),
        ("corebar_link_calls_total", "Calls that a link has made on the other side.", |c| c.calls),
    ];
    if links.is_empty() {
        return;
    }
    page.begin("corebar_link_up", "gauge", "1 while a link to another router is connected.");
    for link in links {
        let LinkName { namespace, realm, id } = &link.name;
        let labels: [(&str, &dyn Display); 3] = [("namespace", namespace), ("realm", &&**realm), ("id", id)];
        page.sample("corebar_link_up", &labels, u8::from(link.up));
    }
    for (name, help, number) in NUMBERS {
        page.begin(name, "counter", help);
        for link in links {
            let LinkName { namespace, realm, id } = &link.name;
            for (direction, carried) in [("sent", &link.sent), ("received", &link.received)] {
                let labels: [(&str, &dyn Display); 4] =
                    [("namespace", namespace), ("realm", &&**realm), ("id", id), ("direction", &direction)];
                page.sample(name, &labels, number(carried));
            }
        }
    }
}

/// What is usual to be told of a process, by the usual names.
fn own_process(page: &mut Page, uptime: Duration) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program is in parentheses, and may have blanks.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let ticks = rustix::param::clock_ticks_per_second();
    // Of all fields utime is the 14th, stime the next and rss the 24th; these begin with the third.
    if let (Some(user), Some(system), Some(pages)) = (field(11), field(12), field(21)) {
        let seconds = (user + system) as f64 / ticks as f64;
        page.single("process_cpu_seconds_total", "counter", "Processor time of the router.", seconds);
        let bytes = pages.saturating_mul(rustix::param::page_size() as u64);
        page.single("process_resident_memory_bytes", "gauge", "Resident memory of the router.", bytes);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        page.single("process_open_fds", "gauge", "Open files.", files.count());
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.single("process_max_fds", "gauge", "Files that may be open.", most);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let started = now.saturating_sub(uptime).as_secs_f64();
    page.single("process_start_time_seconds", "gauge", "When it has started, since 1970.", started);
}
