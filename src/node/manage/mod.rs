//! Management: a session of the node's own in the realm that the configuration names, with procedures and events.

mod elsewhere;
mod logs;
mod procedures;
pub mod request;
pub mod show;
mod subjects;

use super::Console;
use super::console::Insider;
use crate::client::{Registration, Session};
use crate::config::ManagementConfig;
use crate::process::{GuestState, GuestStatus};
use crate::wamp::{Dict, Value};
use procedures::{PROCEDURES, answer};
pub use request::Request;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

/// The name of the node's own session.
const AUTHID: &str = "corebar";

/// How long to wait before a session that was ended is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// What the management of a node needs.
#[derive(Clone, Debug)]
pub(super) struct Office {
    pub(super) console: Console,
    pub(super) requests: mpsc::Sender<Request>,
}

/// The management of a node, for as long as the node runs.
#[derive(Debug, Default)]
pub(super) struct Manager {
    config: Option<ManagementConfig>,
    task: Option<AbortHandle>,
    news: Option<mpsc::UnboundedSender<News>>,
}

/// Something that is published.
#[derive(Debug)]
pub(super) struct News {
    /// The topic.
    pub(super) topic: &'static str,
    /// What to say.
    pub(super) what: serde_json::Value,
    /// Where to say that it has been published.
    done: Option<oneshot::Sender<()>>,
}

impl Manager {
    /// Goes on with another configuration.
    pub(super) fn reform(&mut self, config: Option<&ManagementConfig>, office: &Office) {
        if self.config.as_ref() == config {
            return;
        }
        self.stop();
        self.config = config.cloned();
        if let Some(config) = config.cloned() {
            let (news, heard) = mpsc::unbounded_channel();
            self.news = Some(news);
            self.task = Some(tokio::spawn(manage(office.clone(), config, heard)).abort_handle());
        }
    }

    /// Publishes something, if anybody can hear it.
    pub(super) fn tell(&self, topic: &'static str, what: serde_json::Value) {
        if let Some(news) = &self.news {
            let _ = news.send(News { topic, what, done: None });
        }
    }

    /// Publishes something before what follows, unless that takes too long.
    pub(super) async fn tell_first(&self, topic: &'static str, what: serde_json::Value) {
        let Some(news) = &self.news else { return };
        let (done, published) = oneshot::channel();
        if news.send(News { topic, what, done: Some(done) }).is_ok() {
            let _ = tokio::time::timeout(PAUSE, published).await;
        }
    }

    /// Ends it.
    pub(super) fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        self.news = None;
    }
}

/// Manages for as long as the realm is there.
async fn manage(office: Office, config: ManagementConfig, mut news: mpsc::UnboundedReceiver<News>) {
    loop {
        let who = Insider {
            realm: config.realm.clone(),
            namespace: config.namespace.clone(),
            authid: AUTHID.into(),
            role: None,
        };
        match office.console.join(who).await {
            Ok(session) => serve(&office, session, &mut news).await,
            Err(error) => tracing::warn!(%error, realm = %config.realm, "the node cannot be managed"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Serves until the session has ended.
async fn serve(office: &Office, session: Session, news: &mut mpsc::UnboundedReceiver<News>) {
    let mut registrations = JoinSet::new();
    for (name, _) in PROCEDURES {
        match session.register(name, Dict::new()).await {
            Ok(registration) => drop(registrations.spawn(attend(office.clone(), registration))),
            Err(error) => tracing::warn!(%error, procedure = name, "cannot be offered"),
        }
    }
    let publish = async |topic: &str, what: &serde_json::Value| {
        let args = vec![Value::of(what).unwrap_or(Value::Null)];
        // Without a session there is nobody to be told.
        let _ = session.publish_acknowledged(topic, args, Dict::new(), Dict::new()).await;
    };
    let mut changes = office.console.roster().changes();
    let mut known = processes(office);
    loop {
        tokio::select! {
            _ = session.ended() => return,
            Some(News { topic, what, done }) = news.recv() => {
                publish(topic, &what).await;
                let _ = done.map(|done| done.send(()));
            }
            Ok(()) = changes.changed() => {
                let now = processes(office);
                let other = now.iter().filter(|(id, process)| known.get(*id).is_none_or(|before| differs(before, process)));
                for (_, process) in other {
                    publish("corebar.process.on_state", &show::process(process)).await;
                }
                known = now;
            }
        }
    }
}

fn processes(office: &Office) -> BTreeMap<Box<str>, GuestStatus> {
    office.console.roster().states().into_iter().map(|process| (process.id.clone(), process)).collect()
}

fn differs(before: &GuestStatus, now: &GuestStatus) -> bool {
    let of = |status: &GuestStatus| -> (GuestState, Option<i32>, u64) { (status.state, status.pid, status.restarts) };
    of(before) != of(now)
}

/// Answers calls of one procedure.
async fn attend(office: Office, mut registration: Registration) {
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            call = registration.next() => match call {
                Some(call) => drop(calls.spawn(answer(office.clone(), call))),
                None => return,
            },
            Some(_) = calls.join_next() => {}
        }
    }
}
