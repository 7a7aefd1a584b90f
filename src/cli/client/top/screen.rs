//! What a node does, as a person reads it.

use super::snapshot::{Rate, Rates, Snapshot};
use serde_json::Value as Json;
use std::time::Duration;

/// The lines of a screen.
pub(super) fn lines(now: &Snapshot, rates: &Rates, slow: usize) -> Vec<String> {
    let mut lines = Vec::new();
    head(&mut lines, now, rates);
    shards(&mut lines, now, rates);
    realms(&mut lines, now);
    if slow > 0 {
        consumers(&mut lines, now);
    }
    processes(&mut lines, now);
    lines
}

fn head(lines: &mut Vec<String>, now: &Snapshot, rates: &Rates) {
    let status = &now.status;
    let sum = |name: &str| now.shards().iter().filter_map(|shard| shard[name].as_u64()).sum::<u64>();
    let state = match (&status["stuck_shard"], status["ready"].as_bool()) {
        (Json::Number(shard), _) => format!("shard {shard} is stuck"),
        (_, Some(true)) => "ready".into(),
        _ => "not ready".into(),
    };
    let uptime = Duration::from_secs_f64(status["uptime_seconds"].as_f64().unwrap_or_default().clamp(0.0, 1e12));
    lines.push(format!(
        "corebar {}{}  up {}  {state}",
        text(&status["version"]),
        status["id"].as_str().map(|id| format!(" ({id})")).unwrap_or_default(),
        span(uptime),
    ));
    lines.push(format!(
        "{} sessions, {} connections, {} open calls, {} clients blocked, {} waiting for clients",
        sum("sessions"),
        sum("connections"),
        sum("calls_open"),
        sum("blocked"),
        octets(sum("queued_bytes") as f64),
    ));
    let all = &rates.all;
    lines.push(format!(
        "in a second: {} publications, {} events, {} calls, {} errors, {} messages in; {}/s in, {}/s out",
        number(all.publications),
        number(all.events),
        number(all.calls),
        number(all.errors),
        number(all.messages_in),
        octets(all.bytes_in),
        octets(all.bytes_out),
    ));
    lines.push(format!(
        "99 of 100 within: delivery {}, call {}, turn {}",
        within(all.delivery),
        within(all.call),
        within(all.turn),
    ));
}

fn shards(lines: &mut Vec<String>, now: &Snapshot, rates: &Rates) {
    lines.push(String::new());
    let titles =
        ["SHARD", "SESSIONS", "PUB/S", "EVENTS/S", "CALLS/S", "IN/S", "OUT/S", "QUEUED", "BLOCKED", "DELIVERY", "TURN"];
    lines.push(row(titles.map(str::to_owned)));
    for (at, shard) in now.shards().iter().enumerate() {
        if !shard.is_object() {
            lines.push(format!("{at:>6}  does not answer"));
            continue;
        }
        let rate = rates.shards.get(at).cloned().flatten().unwrap_or_else(Rate::default);
        let count = |name: &str| shard[name].as_u64().unwrap_or_default();
        lines.push(row([
            at.to_string(),
            count("sessions").to_string(),
            number(rate.publications),
            number(rate.events),
            number(rate.calls),
            octets(rate.bytes_in),
            octets(rate.bytes_out),
            octets(count("queued_bytes") as f64),
            count("blocked").to_string(),
            within(rate.delivery),
            within(rate.turn),
        ]));
    }
}

fn row<const N: usize>(cells: [String; N]) -> String {
    let mut line = String::new();
    for (at, cell) in cells.iter().enumerate() {
        let width = if at == 0 { 6 } else { 10 };
        line.push_str(&format!("{cell:>width$}"));
    }
    line
}

fn realms(lines: &mut Vec<String>, now: &Snapshot) {
    let realms = now.stats["realms"].as_array().map_or(&[][..], Vec::as_slice);
    lines.push(String::new());
    lines.push(format!("{:>10}{:>14}{:>14}{:>14}  REALM", "SESSIONS", "JOINED", "PUBLICATIONS", "CALLS"));
    for realm in realms {
        let count = |name: &str| realm[name].as_u64().unwrap_or_default();
        let name = match realm["namespace"].as_str() {
            None | Some("") => text(&realm["realm"]),
            Some(namespace) => format!("{} ({namespace})", text(&realm["realm"])),
        };
        lines.push(format!(
            "{:>10}{:>14}{:>14}{:>14}  {name}",
            count("sessions"),
            count("joined"),
            count("publications"),
            count("calls")
        ));
    }
}

fn consumers(lines: &mut Vec<String>, now: &Snapshot) {
    if now.slow.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(format!("{:>10}{:>18}  WHO WAITS FOR MOST", "QUEUED", "SESSION"));
    for session in &now.slow {
        let queued = octets(session["queued_bytes"].as_f64().unwrap_or_default());
        lines.push(format!(
            "{queued:>10}{:>18}  {} as {} in {} from {}, {} {}",
            text(&session["session"]),
            text(&session["authid"]),
            text(&session["authrole"]),
            text(&session["realm"]),
            text(&session["address"]),
            text(&session["transport"]),
            text(&session["serializer"]),
        ));
    }
}

fn processes(lines: &mut Vec<String>, now: &Snapshot) {
    let processes = now.status["processes"].as_array().map_or(&[][..], Vec::as_slice);
    if processes.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(format!("{:>10}{:>10}{:>12}{:>10}{:>10}  PROCESS", "STATE", "PID", "MEMORY", "CPU", "RESTARTS"));
    for process in processes {
        let pid = process["pid"].as_i64().map(|pid| pid.to_string()).unwrap_or_default();
        let memory = process["resident_bytes"].as_f64().map(octets).unwrap_or_default();
        let cpu = process["cpu_seconds"].as_f64().map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
        let restarts = process["restarts"].as_u64().unwrap_or_default();
        let (state, id) = (text(&process["state"]), text(&process["id"]));
        lines.push(format!("{state:>10}{pid:>10}{memory:>12}{cpu:>10}{restarts:>10}  {id}"));
    }
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| if value.is_null() { "-".into() } else { value.to_string() }, str::to_owned)
}

/// A number with three digits or so.
fn number(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.2}M", value / 1e6),
        value if value >= 1e4 => format!("{:.1}k", value / 1e3),
        value if value >= 10.0 || value == 0.0 => format!("{value:.0}"),
        value => format!("{value:.1}"),
    }
}

fn octets(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = value;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for larger in units {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" || value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

fn within(time: Option<Duration>) -> String {
    let Some(time) = time else { return "-".into() };
    match time.as_micros() {
        micros if micros < 1000 => format!("{micros} us"),
        micros if micros < 1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        micros => format!("{:.1} s", micros as f64 / 1e6),
    }
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match days {
        0 => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        days => format!("{days} d {hours}:{minutes:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 1.25, 12.4, 12_345.0, 1_234_567.0].map(number), ["0", "1.2", "12", "12.3k", "1.23M"]);
        assert_eq!([0.0, 1023.0, 1536.0, 2e9].map(octets), ["0 B", "1023 B", "1.5 KiB", "1.9 GiB"]);
        let time = |micros| within(Some(Duration::from_micros(micros)));
        assert_eq!([time(512), time(1024), time(2_097_152)], ["512 us", "1.0 ms", "2.1 s"]);
        assert_eq!(span(Duration::from_secs(3_661)), "1:01:01");
        assert_eq!(span(Duration::from_secs(90_061)), "1 d 1:01");
    }
}
