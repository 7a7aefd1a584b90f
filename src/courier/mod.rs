//! Sessions of the router's own that take events to servers of HTTP, and have calls answered by them.
//!
//! A courier is a client as any other: it joins by the way in for components, has a role, and comes again if its session ends.
//! The requests are made on threads of their own, since a server may let them wait.

mod answer;
mod forward;
mod request;

use crate::auth::config::Secret;
use crate::auth::login::Credential;
use crate::client::{Connect, Session};
use crate::config::courier::{CourierConfig, Duty};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// How long a courier waits before it tries to join again, at first and at most.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How a courier joins.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where the router is.
    pub url: String,
    /// Who it is.
    pub authid: String,
    /// What it shows that with.
    pub ticket: Secret,
}

/// The couriers of a node.
#[derive(Debug)]
pub struct Couriers {
    running: BTreeMap<Box<str>, (CourierConfig, AbortHandle)>,
    leaving: watch::Sender<bool>,
}

impl Default for Couriers {
    fn default() -> Self {
        Couriers { running: BTreeMap::new(), leaving: watch::Sender::new(false) }
    }
}

impl Couriers {
    /// Has these couriers in place of those before; who is the same goes on. On a tokio runtime.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn reload(&mut self, configs: &[CourierConfig], way: impl Fn(&CourierConfig) -> Way) -> io::Result<()> {
        let goes_on = |config: &CourierConfig| configs.contains(config);
        self.running.retain(|_, (config, task)| {
            let goes_on = goes_on(config);
            if !goes_on {
                task.abort();
            }
            goes_on
        });
        for config in configs {
            if !self.running.contains_key(&config.id) {
                let work = Work::start(config)?;
                let run = run(config.clone(), way(config), work, self.leaving.subscribe());
                self.running.insert(config.id.clone(), (config.clone(), tokio::spawn(run).abort_handle()));
            }
        }
        Ok(())
    }

    /// The router takes leave: whose session ends does not come again.
    pub fn leave(&self) {
        self.leaving.send_replace(true);
    }
}

impl Drop for Couriers {
    fn drop(&mut self) {
        self.running.values().for_each(|(_, task)| task.abort());
    }
}

/// The threads of a courier, and what waits for them.
#[derive(Clone)]
enum Work {
    Forward(forward::Queue),
    Answer(answer::Queue),
}

impl Work {
    fn start(config: &CourierConfig) -> io::Result<Work> {
        let shared = Arc::new(config.clone());
        Ok(match &config.duty {
            Duty::Forward(duty) => Work::Forward(forward::Queue::start(&shared, duty)?),
            Duty::Answer(duty) => Work::Answer(answer::Queue::start(&shared, duty)?),
        })
    }
}

/// Joins, and joins again whenever the session ends.
async fn run(config: CourierConfig, way: Way, work: Work, mut leaving: watch::Receiver<bool>) {
    let mut pause = PAUSE;
    loop {
        match join(&config, &way).await {
            Ok(session) => {
                pause = PAUSE;
                let why = match (&config.duty, &work) {
                    (Duty::Forward(duty), Work::Forward(queue)) => forward::serve(&session, duty, queue).await,
                    (Duty::Answer(duty), Work::Answer(queue)) => {
                        answer::serve(&session, duty, config.concurrency, queue).await
                    }
                    _ => return,
                };
                if !*leaving.borrow() {
                    tracing::warn!(courier = &*config.id, why, "the session of a courier has ended");
                }
            }
            Err(error) => {
                tracing::warn!(courier = &*config.id, %error, "a courier cannot join its realm");
            }
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = leaving.wait_for(|leaving| *leaving) => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn join(config: &CourierConfig, way: &Way) -> Result<Session, crate::client::ConnectError> {
    let connect = Connect {
        authid: Some(way.authid.clone()),
        credentials: vec![Credential::Ticket(way.ticket.clone())],
        ..Connect::new(&way.url, &config.realm)
    };
    connect.open().await
}
