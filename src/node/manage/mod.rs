//! Management: a session of the node's own in the realm that the configuration names, and in that of components which may
//! manage it, with procedures and events.

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
use procedures::{CROSSBAR, PROCEDURES, answer};
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
    desks: Vec<Desk>,
}

/// What there is in one realm.
#[derive(Debug)]
struct Desk {
    config: ManagementConfig,
    task: AbortHandle,
    news: mpsc::UnboundedSender<News>,
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
    pub(super) fn reform(&mut self, wanted: Vec<ManagementConfig>, office: &Office) {
        let (stay, go): (Vec<Desk>, _) = self.desks.drain(..).partition(|desk| wanted.contains(&desk.config));
        go.iter().for_each(|desk| desk.task.abort());
        self.desks = stay;
        for config in wanted {
            if !self.desks.iter().any(|desk| desk.config == config) {
                let (news, heard) = mpsc::unbounded_channel();
                let task = tokio::spawn(manage(office.clone(), config.clone(), heard)).abort_handle();
                self.desks.push(Desk { config, task, news });
            }
        }
    }

    /// Publishes something, if anybody can hear it.
    pub(super) fn tell(&self, topic: &'static str, what: serde_json::Value) {
        for desk in &self.desks {
            let _ = desk.news.send(News { topic, what: what.clone(), done: None });
        }
    }

    /// Publishes something before what follows, unless that takes too long.
    pub(super) async fn tell_first(&self, topic: &'static str, what: serde_json::Value) {
        let mut all = Vec::new();
        for desk in &self.desks {
            let (done, published) = oneshot::channel();
            if desk.news.send(News { topic, what: what.clone(), done: Some(done) }).is_ok() {
                all.push(published);
            }
        }
        let _ = tokio::time::timeout(PAUSE, async {
            for published in all {
                let _ = published.await;
            }
        })
        .await;
    }

    /// Ends it.
    pub(super) fn stop(&mut self) {
        self.desks.drain(..).for_each(|desk| desk.task.abort());
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
            Ok(session) => serve(&office, session, config.has_crossbar(), &mut news).await,
            Err(error) => tracing::warn!(%error, realm = %config.realm, "the node cannot be managed"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Serves until the session has ended.
async fn serve(office: &Office, session: Session, crossbar: bool, news: &mut mpsc::UnboundedReceiver<News>) {
    let mut registrations = JoinSet::new();
    let more = if crossbar { CROSSBAR } else { &[] };
    for (name, _) in PROCEDURES.iter().chain(more) {
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
