//! The procedures of management.

use super::request::Request;
use super::{Office, elsewhere, logs, show, subjects};
use crate::client::{CallError, Invocation};
use crate::node::Console;
use crate::node::console::Place;
use crate::router::{SubjectKind, rfc3339};
use crate::session::RealmIndex;
use crate::shard::SessionQuery;
use crate::wamp::{Dict, SessionId, Uri, Value, error};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// All of them, with the names of their arguments in the order of their positions.
pub(super) const PROCEDURES: &[(&str, &[&str])] = &[
    ("corebar.node.status", &[]),
    ("corebar.node.stats", &[]),
    ("corebar.node.config", &[]),
    ("corebar.node.reload", &["dry_run"]),
    ("corebar.node.drain", &[]),
    ("corebar.log.level", &["level"]),
    ("corebar.worker.list", &[]),
    ("corebar.realm.list", &[]),
    ("corebar.transport.list", &[]),
    ("corebar.session.list", &["realm", "text", "limit", "after", "queued_bytes_min"]),
    ("corebar.session.kick", &["session", "reason", "message"]),
    ("corebar.process.list", &[]),
    ("corebar.process.restart", &["id"]),
    ("corebar.process.log", &["id", "lines", "follow"]),
    ("corebar.subscription.list", &["realm", "text", "match", "limit", "after"]),
    ("corebar.registration.list", &["realm", "text", "match", "limit", "after"]),
    ("corebar.realm.call", &["realm", "procedure", "args", "kwargs"]),
    ("corebar.realm.publish", &["realm", "topic", "args", "kwargs"]),
    ("corebar.realm.tail", &["realm", "topic", "match"]),
];

/// Those that components find under Crossbar.io's names.
pub(super) const CROSSBAR: &[(&str, &[&str])] =
    &[("crossbar.get_status", &[]), ("crossbar.shutdown", &["restart", "mode"])];

/// Sessions that are told of at once, unless another number is asked for.
const SESSIONS: u64 = 100;

/// What becomes of a call.
pub(super) type Answer = Result<Json, CallError>;

pub(super) fn invalid(text: impl Into<String>) -> CallError {
    CallError::new(error::INVALID_ARGUMENT, text.into())
}

/// The arguments of a call: by position, or by name.
pub(super) struct Arguments<'a>(pub(super) &'a Invocation);

impl<'a> Arguments<'a> {
    /// A mistake in a name must not turn what was meant as a trial into the real thing.
    fn check(&self) -> Result<(), CallError> {
        let known = PROCEDURES.iter().chain(CROSSBAR).find(|(name, _)| *name == &*self.0.procedure);
        let Some((_, names)) = known else { return Ok(()) };
        if self.0.args.len() > names.len() {
            return Err(invalid(format!("there are {} arguments too many", self.0.args.len() - names.len())));
        }
        let Some((other, _)) = self.0.kwargs.iter().find(|(name, _)| !names.contains(&&**name)) else { return Ok(()) };
        let known = if names.is_empty() { "none".into() } else { names.join(", ") };
        Err(invalid(format!("{other:?} is no argument of this procedure; it has {known}")))
    }

    pub(super) fn get(&self, at: usize, name: &str) -> Option<&'a Value> {
        let value = self.0.args.get(at).or_else(|| self.0.kwargs.get(name));
        value.filter(|value| !matches!(value, Value::Null | Value::Undefined))
    }

    /// An argument of text.
    pub(super) fn text(&self, at: usize, name: &str) -> Result<Option<&'a str>, CallError> {
        match self.get(at, name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| invalid(format!("{name} has to be a string"))),
        }
    }

    /// An argument of text that has to be there.
    pub(super) fn needed(&self, at: usize, name: &str) -> Result<&'a str, CallError> {
        self.text(at, name)?.ok_or_else(|| invalid(format!("{name} is missing")))
    }

    pub(super) fn number(&self, at: usize, name: &str) -> Result<Option<u64>, CallError> {
        match self.get(at, name) {
            None => Ok(None),
            Some(value) => value
                .as_uint()
                .map(Some)
                .ok_or_else(|| invalid(format!("{name} has to be a number that is not negative"))),
        }
    }

    pub(super) fn flag(&self, at: usize, name: &str) -> Result<bool, CallError> {
        match self.get(at, name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(invalid(format!("{name} has to be true or false"))),
        }
    }
}

/// Answers a call.
pub(super) async fn answer(office: Office, call: Invocation) {
    if let Err(error) = Arguments(&call).check() {
        return call.fail(error);
    }
    match &*call.procedure.clone() {
        "corebar.realm.call" => elsewhere::call(&office.console, call).await,
        "corebar.realm.publish" => elsewhere::publish(&office.console, call).await,
        "corebar.process.log" => logs::log(&office.console, call).await,
        "corebar.realm.tail" => elsewhere::tail(&office.console, call).await,
        _ => match found(&office, &call).await.map(|json| Value::of(&json)) {
            Ok(Ok(value)) => call.finish(vec![value], Dict::new()),
            Ok(Err(error)) => call.fail(CallError::new(error::INTERNAL_ERROR, error.to_string())),
            Err(error) => call.fail(error),
        },
    }
}

async fn found(office: &Office, call: &Invocation) -> Answer {
    let (console, arguments) = (&office.console, Arguments(call));
    let config = console.config();
    match &*call.procedure {
        "corebar.node.status" => Ok(show::status(console)),
        "corebar.node.stats" => Ok(show::stats(&config, &console.reports().await)),
        "corebar.node.config" => Ok(show::config(&config)),
        "corebar.node.reload" => reload(office, arguments.flag(0, "dry_run")?).await,
        "corebar.node.drain" => {
            send(office, Request::Drain)?;
            Ok(Json::Null)
        }
        "crossbar.get_status" => Ok(crossbar_status(office)),
        "crossbar.shutdown" => {
            if arguments.flag(0, "restart")? {
                return Err(invalid("the node cannot start itself again"));
            }
            send(office, Request::Drain)?;
            Ok(true.into())
        }
        "corebar.log.level" => {
            let wanted = arguments.text(0, "level")?.map(str::to_owned);
            let level = ask(office, |answer| Request::Level { wanted, answer }).await?;
            level.map(Json::from).map_err(invalid)
        }
        "corebar.worker.list" => Ok(workers(office)),
        "corebar.realm.list" => Ok(config.realms.iter().filter(|realm| realm.is_shown()).map(show::realm).collect()),
        "corebar.transport.list" => Ok(show::transports(&config)),
        "corebar.session.list" => sessions(office, &arguments).await,
        "corebar.subscription.list" => subjects::list(console, SubjectKind::Subscription, &arguments).await,
        "corebar.registration.list" => subjects::list(console, SubjectKind::Registration, &arguments).await,
        "corebar.session.kick" => kick(office, &arguments).await,
        "corebar.process.list" => Ok(console.roster().states().iter().map(show::process).collect()),
        "corebar.process.restart" => {
            let id: Box<str> = arguments.needed(0, "id")?.into();
            let known = id.clone();
            if ask(office, |answer| Request::Restart { id, answer }).await? {
                return Ok(Json::Null);
            }
            Err(invalid(format!("{known:?} is no guest or component")))
        }
        other => Err(CallError::new(error::NO_SUCH_PROCEDURE, other)),
    }
}

/// How the node is, in Crossbar.io's words. Containers are no workers here: their components are, while they run.
fn crossbar_status(office: &Office) -> Json {
    let workers = workers(office);
    let mut by_type: BTreeMap<&str, usize> = BTreeMap::new();
    let running = |worker: &&Json| worker["type"] == "router" || !worker["pid"].is_null();
    for kind in workers.as_array().into_iter().flatten().filter(running).filter_map(|worker| worker["type"].as_str()) {
        *by_type.entry(kind).or_default() += 1;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "title": concat!("Corebar ", env!("CARGO_PKG_VERSION")),
        "started": rfc3339(now.saturating_sub(office.console.vitals().uptime())),
        "controller_pid": std::process::id(),
        "running_workers": by_type.values().sum::<usize>(),
        "workers_by_type": by_type,
    })
}

/// Router workers with their realms, and processes.
fn workers(office: &Office) -> Json {
    let config = office.console.config();
    let mut workers: Vec<Json> = Vec::new();
    for realm in config.realms.iter().filter(|realm| realm.is_shown()) {
        let known = workers.iter_mut().find(|worker| worker["id"] == *realm.namespace);
        match known.and_then(|worker| worker["realms"].as_array_mut()) {
            Some(realms) => realms.push((&*realm.name).into()),
            None => workers.push(json!({"id": realm.namespace, "type": "router", "realms": [&*realm.name]})),
        }
    }
    for process in office.console.roster().states() {
        let component = config.components.iter().any(|component| component.id == process.id);
        let mut shown = show::process(&process);
        shown["type"] = if component { "component" } else { "guest" }.into();
        workers.push(shown);
    }
    workers.into()
}

fn send(office: &Office, request: Request) -> Result<(), CallError> {
    let refused = "the program around this router does not do this";
    office.requests.try_send(request).map_err(|_| CallError::new(error::UNAVAILABLE, refused))
}

/// Asks the owner of the node.
async fn ask<T>(office: &Office, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, CallError> {
    let (to, answer) = oneshot::channel();
    send(office, request(to))?;
    answer.await.map_err(|_| CallError::new(error::UNAVAILABLE, "the node is about to end"))
}

async fn reload(office: &Office, dry_run: bool) -> Answer {
    let done = ask(office, |answer| Request::Reload { dry_run, answer }).await?;
    match done {
        Ok(reload) => Ok(json!({"dry_run": dry_run, "changes": reload.changes, "at_start": reload.at_start})),
        Err(why) => Err(CallError::new("corebar.error.bad_configuration", why)),
    }
}

/// The realm that is meant, if one is.
pub(super) fn realm(console: &Console, arguments: &Arguments<'_>) -> Result<Option<RealmIndex>, CallError> {
    let Some(name) = arguments.text(0, "realm")? else { return Ok(None) };
    let unknown = || CallError::new(error::NO_SUCH_REALM, format!("no realm {name:?} here"));
    console.realm(name).ok_or_else(unknown).map(Some)
}

async fn sessions(office: &Office, arguments: &Arguments<'_>) -> Answer {
    let realm = realm(&office.console, arguments)?;
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let query = SessionQuery {
        realm,
        text: arguments.text(1, "text")?.filter(|text| !text.is_empty()).map(Into::into),
        limit: size(arguments.number(2, "limit")?.unwrap_or(SESSIONS)),
        queued_bytes_min: size(arguments.number(4, "queued_bytes_min")?.unwrap_or(0)),
        after: None,
    };
    let from = match arguments.text(3, "after")? {
        None => Place::default(),
        Some(text) => place(text).ok_or_else(|| invalid("after has to be what `next` was before"))?,
    };
    let (sessions, next) = office.console.sessions(&query, from).await;
    let config = office.console.config();
    let shown: Vec<Json> = sessions.iter().map(|(shard, session)| show::session(&config, *shard, session)).collect();
    let next = next.map(|Place { shard, after }| match after {
        Some(after) => format!("{shard}.{after}"),
        None => format!("{shard}"),
    });
    Ok(json!({"sessions": shown, "next": next}))
}

/// Reads where a list goes on.
fn place(text: &str) -> Option<Place> {
    match text.split_once('.') {
        None => Some(Place { shard: text.parse().ok()?, after: None }),
        Some((shard, after)) => Some(Place { shard: shard.parse().ok()?, after: Some(after.parse().ok()?) }),
    }
}

async fn kick(office: &Office, arguments: &Arguments<'_>) -> Answer {
    let id = arguments.number(0, "session")?.and_then(SessionId::new);
    let id = id.ok_or_else(|| invalid("session has to be the id of a session"))?;
    let reason = Uri::from(arguments.text(1, "reason")?.unwrap_or(error::CLOSE_KILLED));
    if !crate::wamp::UriRules::Loose.allow(&reason) {
        return Err(CallError::new(error::INVALID_URI, format!("the reason {:?} is not a URI", &*reason)));
    }
    let message = arguments.text(2, "message")?;
    match office.console.kick(id, &reason, message).await {
        true => Ok(Json::Null),
        false => Err(CallError::new(error::NO_SUCH_SESSION, format!("no session {} here", id.get()))),
    }
}
