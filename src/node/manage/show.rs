//! What a node tells of itself, as JSON.

use crate::config::file::settings;
use crate::config::{ListenerConfig, RuntimeConfig};
use crate::link::{Carried, LinkStatus};
use crate::node::Console;
use crate::process::GuestStatus;
use crate::router::Histogram;
use crate::session::{Access, RealmConfig};
use crate::shard::{Report, SessionReport};
use crate::wamp::Value as Wamp;
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// How a guest or component is.
#[must_use]
pub fn process(guest: &GuestStatus) -> Value {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({
        "id": guest.id,
        "state": guest.state.name(),
        "pid": guest.pid,
        "restarts": guest.restarts,
        "last_end": guest.last_end.as_ref().map(ToString::to_string),
        "started": guest.started.map(seconds),
        "resident_bytes": guest.resident_bytes,
        "cpu_seconds": guest.cpu_time.map(|time| time.as_secs_f64()),
    })
}

/// How a link to another router is.
#[must_use]
pub fn link(link: &LinkStatus) -> Value {
    let carried = |carried: &Carried| {
        json!({
            "events": carried.events, "events_lost": carried.events_lost, "events_refused": carried.events_refused,
            "calls": carried.calls,
        })
    };
    json!({
        "id": link.name.id,
        "realm": &*link.name.realm,
        "namespace": link.name.namespace,
        "url": link.url,
        "remote_realm": link.remote_realm,
        "up": link.up,
        "since": link.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        "why": (!link.why.is_empty()).then_some(&link.why),
        "sent": carried(&link.sent),
        "received": carried(&link.received),
    })
}

/// How the node is, in short.
#[must_use]
pub fn status(console: &Console) -> Value {
    let config = console.config();
    let vitals = console.vitals();
    let stuck = vitals.stuck(config.health_stuck_after);
    let processes = console.roster().states();
    json!({
        "id": config.node.id,
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptime_seconds": vitals.uptime().as_secs_f64(),
        "ready": vitals.is_ready(),
        "stuck_shard": stuck,
        "shards": console.shards(),
        "connections": console.connections(),
        "processes": processes.iter().map(process).collect::<Vec<_>>(),
        "links": console.links().links().iter().map(link).collect::<Vec<_>>(),
    })
}

/// What the shards have counted and measured; null for those that have not told it in time.
#[must_use]
pub fn stats(config: &RuntimeConfig, reports: &[Option<Report>]) -> Value {
    let known: Vec<&Report> = reports.iter().flatten().collect();
    let realms: Vec<Value> = config.realms.iter().enumerate().filter(|(_, realm)| realm.is_shown()).map(|(at, realm)| {
        let mut sum = [0; 4];
        for counters in known.iter().filter_map(|report| report.core.realms.get(at)) {
            let own = [counters.joined, counters.left, counters.publications, counters.calls];
            sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        }
        let [joined, left, publications, calls] = sum;
        json!({
            "realm": &*realm.name, "namespace": realm.namespace, "sessions": joined - left, "joined": joined, "left": left,
            "publications": publications, "calls": calls,
        })
    }).collect();
    let shards: Vec<Value> = reports.iter().map(|report| report.as_ref().map_or(Value::Null, shard)).collect();
    json!({"shards": shards, "realms": realms})
}

fn shard(report: &Report) -> Value {
    let (core, tally) = (&report.core, &report.tally);
    let meters: Vec<Value> = report
        .meters
        .iter()
        .map(|(way, meter)| {
            json!({
                "transport": way.transport,
                "serializer": way.serializer.map(|serializer| serializer.name()),
                "messages_in": meter.messages_in, "bytes_in": meter.bytes_in,
                "messages_out": meter.messages_out, "bytes_out": meter.bytes_out,
            })
        })
        .collect();
    let mut errors: Map<String, Value> =
        core.errors.iter().map(|(uri, count)| (uri.to_string(), (*count).into())).collect();
    if core.other_errors > 0 {
        errors.insert("other".into(), core.other_errors.into());
    }
    json!({
        "connections": report.connections,
        "sessions": core.sessions,
        "publications": core.publications,
        "events": core.events,
        "events_undeliverable": core.events_undeliverable,
        "calls": core.calls,
        "calls_open": core.calls_open,
        "errors": errors,
        "refused": core.refused,
        "violations": core.violations,
        "accepted": tally.accepted,
        "overruns": tally.overruns,
        "timeouts": tally.timeouts,
        "faults": tally.faults,
        "throttled": tally.throttled,
        "crowded": tally.crowded,
        "queued_bytes": report.queued_bytes,
        "blocked": report.blocked,
        "overflow_bytes": report.overflow_bytes,
        "orders": report.orders,
        "meters": meters,
        "turn_time": times(&report.turn_time),
        "delivery_time": times(&report.delivery_time),
        "call_time": times(&core.call_time),
        "hop_time": times(&core.hop_time),
    })
}

/// How often something took how long: counts of times below 1, 2, 4, ... microseconds, so that two of them can be
/// subtracted, and some quantiles since the start in seconds.
fn times(times: &Histogram) -> Value {
    let quantile = |share| times.quantile(share).map(|time| time.as_secs_f64());
    json!({
        "count": times.count(), "sum_seconds": times.sum as f64 / 1e6, "buckets": times.counts,
        "p50": quantile(0.5), "p99": quantile(0.99), "p999": quantile(0.999),
    })
}

/// A realm and its roles.
#[must_use]
pub fn realm(realm: &RealmConfig) -> Value {
    let roles = realm.roles.as_ref().map(|roles| {
        let role = |role: &crate::session::RoleConfig| match &role.access {
            Access::All => json!({"name": role.name, "allows": "everything"}),
            Access::Rules(rules) => json!({"name": role.name, "rules": rules.len()}),
            Access::Authorizer(procedure) => json!({"name": role.name, "authorizer": &**procedure}),
        };
        roles.iter().map(role).collect::<Vec<_>>()
    });
    json!({
        "realm": &*realm.name,
        "namespace": realm.namespace,
        "roles": roles,
        "histories": realm.history.len(),
        "sessions_max": realm.sessions_max,
    })
}

/// The listeners and what they lead to.
#[must_use]
pub fn transports(config: &RuntimeConfig) -> Value {
    config.listeners.iter().filter(|listener| !listener.closed).map(|listener| transport(config, listener)).collect()
}

/// A listener and what it leads to.
#[must_use]
pub fn transport(config: &RuntimeConfig, listener: &ListenerConfig) -> Value {
    let paths: Vec<Value> =
        listener.paths.iter().map(|path| json!({"path": path.path, "type": path.service.name()})).collect();
    let namespace = config.transports.get(usize::from(listener.transport)).map(|way| &way.auth.reach.namespace);
    json!({
        "address": listener.address.to_string(),
        "tls": listener.tls.is_some(),
        "rawsocket": listener.rawsocket.is_some(),
        "namespace": namespace,
        "paths": paths,
    })
}

/// The limits and times in force, by their names below `corebar` in a configuration file.
#[must_use]
pub fn config(config: &RuntimeConfig) -> Value {
    settings::values(config).into_iter().collect::<Map<String, Value>>().into()
}

/// A session of a shard.
#[must_use]
pub fn session(config: &RuntimeConfig, shard: usize, session: &SessionReport) -> Value {
    let realm = config.realms.get(usize::from(session.realm));
    let mut shown = serde_json::to_value(Wamp::from(session.identity.details(session.id))).unwrap_or_default();
    let more = json!({
        "realm": realm.map(|realm| &*realm.name),
        "address": session.peer.label,
        "transport": session.way.transport,
        "serializer": session.way.serializer.map(|serializer| serializer.name()),
        "shard": shard,
        "queued_bytes": session.queued_bytes,
        "subscriptions": session.subscriptions,
        "registrations": session.registrations,
        "calls": session.calls,
        "age_seconds": session.age.as_secs_f64(),
    });
    if let (Some(shown), Value::Object(more)) = (shown.as_object_mut(), more) {
        shown.extend(more);
    }
    shown
}
