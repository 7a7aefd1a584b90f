//! Bringing many sessions up: connect, join the realm, subscribe and register, a bounded number at a time.

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::cli::Router;
use crate::clock::SECOND;
use crate::machine;
use crate::result::progress::Progress;
use crate::stop;
use crate::wire::auth::Credentials;
use crate::wire::net::{Handler, Net};
use crate::wire::serializer::Serializer;
use crate::wire::target::Target;

/// Connections that are on their way up at one time. Many servers let 128 wait to be accepted; one more, and the
/// system repeats its attempt a second later.
const IN_FLIGHT: usize = 100;
/// Open files beside the connections.
pub(crate) const SPARE_FILES: u64 = 64;
/// How long nothing may happen while sessions come up, in nanoseconds.
const PATIENCE: u64 = 15 * SECOND;

/// What a session does once it has joined, before the load begins.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Subscribe(String),
    Register(String),
}

/// A session that is up.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) conn: usize,
    /// The subscription and registration ids, in the order of the steps.
    pub(crate) ids: Vec<u64>,
}

impl Session {
    /// The first request id that is free after the steps.
    pub(crate) fn next_request(&self) -> u64 {
        self.ids.len() as u64 + 1
    }
}

/// Brings one session up per entry of `plans`, and gives them in that order.
///
/// # Errors
/// With the first refusal or lost connection, or if nothing happens for 15 s, or on an interrupt.
pub(crate) fn join_all(net: &mut Net, router: &Router, plans: &[Vec<Step>]) -> Result<Vec<Session>> {
    Ok(bring_up(net, router, plans)?.0)
}

/// Gives the sessions, and what the router says of itself.
fn bring_up(net: &mut Net, router: &Router, plans: &[Vec<Step>]) -> Result<(Vec<Session>, Welcome)> {
    let target = Target::new(router)?;
    let limit = machine::raise_file_limit();
    let files = plans.len() as u64 + SPARE_FILES;
    ensure!(files <= limit, "{} sessions need {files} open files, the limit is {limit} (ulimit -Hn)", plans.len());
    let mut joiner = Joiner {
        realm: &router.realm,
        credentials: Credentials::new(router)?,
        serializer: router.serializer,
        plans,
        sessions: Vec::new(),
        by_conn: Vec::new(),
        up: 0,
        welcome: None,
        failure: None,
        last: net.clock.now(),
    };
    let mut progress = Progress::new();
    while joiner.up < plans.len() {
        while joiner.sessions.len() < plans.len() && joiner.sessions.len() - joiner.up < IN_FLIGHT {
            let number = joiner.sessions.len();
            let conn = net.connect(&target, router.serializer, number, router.sources)?;
            joiner.sessions.push(Session { conn, ids: vec![0; plans[number].len()] });
            if joiner.by_conn.len() <= conn {
                joiner.by_conn.resize(conn + 1, usize::MAX);
            }
            joiner.by_conn[conn] = number;
        }
        let wake = net.clock.now() + SECOND / 10;
        net.turn(&mut joiner, Some(wake))?;
        if let Some(failure) = joiner.failure.take() {
            return Err(failure.context(format!("{} of {} sessions had joined", joiner.up, plans.len())));
        }
        if progress.is_due(net.clock.now()) {
            let (up, all) = (joiner.up, plans.len());
            progress.show(up as f64 / all as f64, &format!("{up} of {all} sessions have joined"));
        }
        ensure!(!stop::asked(), "interrupted while sessions were joining");
        let silent = net.clock.now().saturating_sub(joiner.last);
        ensure!(silent < PATIENCE, "the router is silent; {} of {} sessions had joined", joiner.up, plans.len());
    }
    let mut welcome = joiner.welcome.unwrap_or_default();
    if welcome.agent.is_empty() {
        welcome.agent = net.server.clone().unwrap_or_default();
    }
    Ok((joiner.sessions, welcome))
}

/// What a router says in WELCOME.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Welcome {
    /// How the router calls itself, here or in its answer to the WebSocket request; empty if it does not.
    pub(crate) agent: String,
    /// How the session identified itself.
    pub(crate) authmethod: String,
}

impl Welcome {
    fn read(message: &Value) -> Self {
        let text = |name: &str| message[2][name].as_str().unwrap_or_default().to_owned();
        Self { agent: text("agent"), authmethod: text("authmethod") }
    }
}

/// What the router says of itself. A session joins and leaves for it.
///
/// # Errors
/// As [`join_all`].
pub(crate) fn welcome(router: &Router) -> Result<Welcome> {
    Ok(bring_up(&mut Net::new()?, router, &[Vec::new()])?.1)
}

struct Joiner<'a> {
    realm: &'a str,
    credentials: Credentials,
    serializer: Serializer,
    plans: &'a [Vec<Step>],
    sessions: Vec<Session>,
    by_conn: Vec<usize>,
    up: usize,
    welcome: Option<Welcome>,
    failure: Option<anyhow::Error>,
    last: u64,
}

impl Joiner<'_> {
    fn answer(&mut self, net: &mut Net, conn: usize, message: &[u8]) -> Result<()> {
        let number = self.by_conn[conn];
        let Some(head) = self.serializer.head(message) else {
            return Err(anyhow!("not a WAMP message: {}", String::from_utf8_lossy(message)));
        };
        match head.kind {
            WELCOME => {
                if self.welcome.is_none() {
                    self.welcome = Some(Welcome::read(&self.serializer.decode(message)?));
                }
                for (step, request) in self.plans[number].iter().zip(1u64..) {
                    let message = match step {
                        Step::Subscribe(topic) => json!([SUBSCRIBE, request, {}, topic]),
                        Step::Register(procedure) => json!([REGISTER, request, {}, procedure]),
                    };
                    net.send(conn, &self.serializer.encode(&message));
                }
                self.up += usize::from(self.plans[number].is_empty());
            }
            CHALLENGE => {
                let answer = authenticate(&self.serializer.decode(message)?, &mut self.credentials)?;
                net.send(conn, &self.serializer.encode(&answer));
            }
            SUBSCRIBED | REGISTERED => {
                let ids = &mut self.sessions[number].ids;
                let slot = ids.get_mut((head.first as usize).wrapping_sub(1));
                let slot = slot.ok_or_else(|| anyhow!("a reply to the request {} never sent", head.first))?;
                *slot = head.second;
                self.up += usize::from(ids.iter().all(|id| *id != 0));
            }
            // A topic that retains its last event sends it to every new subscriber.
            EVENT => {}
            _ => return Err(refusal(&self.serializer.decode(message)?)),
        }
        Ok(())
    }
}

impl Handler for Joiner<'_> {
    fn opened(&mut self, net: &mut Net, conn: usize) {
        net.send(conn, &self.serializer.encode(&hello(self.realm, &self.credentials)));
    }

    fn message(&mut self, net: &mut Net, conn: usize, message: &[u8], now: u64) {
        self.last = now;
        if let Err(error) = self.answer(net, conn, message) {
            self.failure.get_or_insert(error);
        }
    }

    fn closed(&mut self, _: &mut Net, _: usize, reason: &str) {
        self.failure.get_or_insert(anyhow!("a connection was lost: {reason}"));
    }
}

/// The message that asks to join a realm.
pub(crate) fn hello(realm: &str, credentials: &Credentials) -> Value {
    let calling = json!({"features": {"progressive_call_results": true}});
    let roles = json!({"publisher": {}, "subscriber": {}, "caller": calling, "callee": calling});
    let mut details = json!({"roles": roles, "agent": concat!("loadtest/", env!("CARGO_PKG_VERSION"))});
    credentials.announce(&mut details);
    json!([HELLO, realm, details])
}

/// The answer to a CHALLENGE.
///
/// # Errors
/// As [`Credentials::answer`].
pub(crate) fn authenticate(challenge: &Value, credentials: &mut Credentials) -> Result<Value> {
    let method = challenge[1].as_str().unwrap_or_default();
    Ok(json!([AUTHENTICATE, credentials.answer(method, &challenge[2])?, {}]))
}

/// What a message that was not wanted says.
pub(crate) fn refusal(message: &Value) -> anyhow::Error {
    match message.get(0).and_then(Value::as_u64) {
        Some(ABORT) => anyhow!("the router refused the session: {} {}", message[2], message[1]),
        Some(ERROR) => anyhow!("the router refused a request: {} {}", message[4], message[3]),
        _ => anyhow!("unexpected message {message}"),
    }
}

/// Message types (section "Message Codes and Direction" of the specification).
pub(crate) const HELLO: u64 = 1;
pub(crate) const WELCOME: u64 = 2;
pub(crate) const ABORT: u64 = 3;
pub(crate) const CHALLENGE: u64 = 4;
pub(crate) const AUTHENTICATE: u64 = 5;
pub(crate) const GOODBYE: u64 = 6;
pub(crate) const ERROR: u64 = 8;
pub(crate) const PUBLISH: u64 = 16;
pub(crate) const PUBLISHED: u64 = 17;
pub(crate) const SUBSCRIBE: u64 = 32;
pub(crate) const SUBSCRIBED: u64 = 33;
pub(crate) const UNSUBSCRIBE: u64 = 34;
pub(crate) const UNSUBSCRIBED: u64 = 35;
pub(crate) const EVENT: u64 = 36;
pub(crate) const CALL: u64 = 48;
pub(crate) const RESULT: u64 = 50;
pub(crate) const REGISTER: u64 = 64;
pub(crate) const REGISTERED: u64 = 65;
pub(crate) const INVOCATION: u64 = 68;
pub(crate) const YIELD: u64 = 70;
