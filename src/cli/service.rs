//! A router that runs, and what is asked of it.

use super::banner::banner;
use super::directory::Hold;
use super::exit;
use super::handover::{Predecessor, Successor, patiently};
use super::log::Log;
use super::manager;
use super::office::{Asker, Office, Outcome, Visitor};
use super::run::Source;
use super::signals::{Mild, Signals, Wish};
use crate::config::RuntimeConfig;
use crate::config::component::Program;
use crate::config::reload::Reload;
use crate::node::Node;
use crate::node::manage::{Request, show};
use crate::transport::listener::Listener;
use sd_notify::NotifyState;
use serde_json::json;
use std::error::Error;
use std::future::pending;
use std::io::{self, Write};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The system may close the last files of a process, such as a port for probes, so much after the others.
const LAST_THINGS: Duration = Duration::from_secs(2);

/// A router with everything around it.
pub(super) struct Service {
    node: Node,
    source: Source,
    signals: Signals,
    log: Log,
    /// The node directory, if there is one that can be held, and the one before has left it.
    hold: Option<Hold>,
    office: Option<Office>,
    /// The process whose place is taken, until it has ended.
    predecessor: Option<Predecessor>,
    /// When the node ends by itself.
    end: Option<Instant>,
    /// Processes that were given the sockets, and serve on them or have given up.
    served: (mpsc::Sender<io::Result<Successor>>, mpsc::Receiver<io::Result<Successor>>),
    /// One of them has not said yet whether it serves: until then nobody else is given them.
    handing: bool,
    /// The service manager has opened sockets.
    managed: bool,
    /// What managers ask for.
    requests: Option<mpsc::Receiver<Request>>,
}

/// What happens to a router.
enum Event {
    Wish(Wish),
    /// A process wants to take over.
    Asked(Successor),
    /// One wants to know how the node is.
    Curious(Asker),
    /// One wants the configuration to be read again, or to know what that would change.
    Reloader(Asker),
    Rehearser(Asker),
    /// It has, or not.
    Served(io::Result<Successor>),
    /// The process before has ended.
    Alone,
    /// A guest has ended with which the node ends, perhaps by a failure.
    Ended(Box<str>, bool),
    /// A manager asks for something.
    Requested(Request),
}

impl Service {
    /// Starts a router, and says so. Has to be called on a tokio runtime.
    ///
    /// # Errors
    /// It cannot be started; for people.
    pub(super) fn start(
        config: RuntimeConfig,
        source: Source,
        predecessor: Option<(Predecessor, Vec<Listener>)>,
        hold: Option<Hold>,
        (log, mild): (Log, Mild),
    ) -> Result<Service, Box<dyn Error>> {
        // Before the banner: whoever has read it may send a signal.
        let signals = Signals::new(mild)?;
        let mut sockets = manager::sockets();
        let managed = !sockets.is_empty();
        let mut first = config.clone();
        let mut predecessor = predecessor.map(|(predecessor, given)| {
            sockets.extend(given);
            first = beside(std::mem::take(&mut first));
            predecessor
        });
        let mut node = Node::start_with(first, sockets)?;
        let requests = node.requests();
        if let Some(predecessor) = &mut predecessor {
            predecessor.dismiss()?;
        }
        let office = hold.as_ref().and_then(|_| source.office());
        let mut out = io::stdout().lock();
        // Nobody may be reading any more; that is no reason not to serve.
        let _ = out.write_all(banner(&node, &config).as_bytes()).and_then(|()| out.flush());
        drop(out);
        let end = source.lifetime().map(|time| Instant::now() + time);
        let served = mpsc::channel(1);
        let mut service = Service {
            node,
            source,
            signals,
            log,
            hold,
            office,
            predecessor,
            end,
            served,
            handing: false,
            managed,
            requests,
        };
        service.tell_where();
        manager::tell(&[NotifyState::Ready]);
        Ok(service)
    }

    /// Serves until the end is asked for.
    pub(super) async fn run(mut self) -> Result<(), Box<dyn Error>> {
        let mut failure = None;
        // As long as this one lives the next one knows that it has to wait.
        let _successor = loop {
            match self.event().await {
                Event::Wish(Wish::End) => break None,
                Event::Wish(Wish::Reopen) => self.log.reopen(),
                Event::Wish(Wish::Reload) => {
                    if self.reload(Duration::ZERO).await.is_none() {
                        break None;
                    }
                }
                Event::Reloader(asker) => match self.reload(Duration::ZERO).await {
                    Some(done) => drop(tokio::spawn(asker.tell(json!(outcome(&done, false))))),
                    None => break None,
                },
                Event::Rehearser(asker) => {
                    let found = self.rehearse();
                    drop(tokio::spawn(asker.tell(json!(outcome(&found, true)))));
                }
                Event::Ended(id, failed) => {
                    tracing::info!(guest = %id, "has ended, and the node with it");
                    failure = failed.then(|| format!("{id} has failed, and the node ends with it"));
                    break None;
                }
                Event::Requested(request) => {
                    if !self.grant(request).await {
                        break None;
                    }
                }
                Event::Asked(successor) => self.hand(successor),
                Event::Curious(curious) => drop(tokio::spawn(curious.tell(show::status(&self.node.console())))),
                Event::Served(Ok(successor)) => {
                    tracing::info!("another process has taken over");
                    self.node.hand_over();
                    break Some(successor);
                }
                Event::Served(Err(error)) => {
                    tracing::warn!(%error, "the process that wanted to take over has not");
                    self.handing = false;
                }
                Event::Alone => {
                    tracing::info!("the process before has ended");
                    self.predecessor = None;
                    if !self.managed {
                        self.node.own_files();
                    }
                    let held = tokio::select! {
                        held = patiently(|| self.source.hold()) => held,
                        () = self.signals.end() => break None,
                    };
                    // Those who have come are served all the same.
                    self.hold = held.unwrap_or_else(|error| {
                        tracing::error!(%error, "commands for running nodes will not find this one");
                        None
                    });
                    self.office = self.hold.as_ref().and_then(|_| self.source.office());
                    if self.reload(LAST_THINGS).await.is_none() {
                        break None;
                    }
                }
            }
        };
        tracing::info!("shutting down");
        manager::tell(&[NotifyState::Stopping]);
        let Service { node, mut signals, mut hold, office, log, .. } = self;
        drop(office);
        if let Some(hold) = &mut hold {
            hold.ends();
        }
        let (vitals, stuck_after) = (node.vitals().clone(), node.config().health_stuck_after);
        tokio::select! {
            () = node.shut_down() => failure.map_or(Ok(()), |failure| Err(failure.into())),
            () = manager::reassure(&vitals, stuck_after) => Ok(()),
            () = signals.end_or(|| log.reopen()) => std::process::exit(exit::INTERRUPTED.into()),
        }
    }

    async fn event(&mut self) -> Event {
        let visitor = async {
            match &self.office {
                Some(office) => office.visitor().await,
                None => pending().await,
            }
        };
        let requested = async {
            match &mut self.requests {
                Some(requests) => requests.recv().await,
                None => pending().await,
            }
        };
        let expired = async {
            match self.end {
                Some(end) => tokio::time::sleep_until(end.into()).await,
                None => pending().await,
            }
        };
        let alone = async {
            match &mut self.predecessor {
                Some(predecessor) => predecessor.gone().await,
                None => pending().await,
            }
        };
        tokio::select! {
            wish = self.signals.next() => Event::Wish(wish),
            () = expired => {
                tracing::info!("the time of --shutdown-after is over");
                Event::Wish(Wish::End)
            }
            visitor = visitor => match visitor {
                Visitor::Successor(successor) => Event::Asked(successor),
                Visitor::Curious(asker) => Event::Curious(asker),
                Visitor::Reloader(asker) => Event::Reloader(asker),
                Visitor::Rehearser(asker) => Event::Rehearser(asker),
            },
            Some(served) = self.served.1.recv() => Event::Served(served),
            Some(request) = requested => Event::Requested(request),
            () = alone => Event::Alone,
            (id, failed) = self.node.program_ended() => Event::Ended(id, failed),
            () = manager::reassure(self.node.vitals(), self.node.config().health_stuck_after) => pending().await,
        }
    }

    /// Does what a manager asks for; false if that is to end.
    async fn grant(&mut self, request: Request) -> bool {
        match request {
            Request::Drain => return false,
            Request::Restart { id, answer } => {
                let _ = answer.send(self.node.restart(&id));
            }
            Request::Level { wanted, answer } => {
                let level = wanted.map_or_else(|| Ok(()), |level| self.log.set(level));
                let _ = answer.send(level.map(|()| self.log.level().to_owned()));
            }
            Request::Reload { dry_run: true, answer } => {
                let _ = answer.send(self.rehearse());
            }
            Request::Reload { dry_run: false, answer } => match self.reload(Duration::ZERO).await {
                Some(done) => drop(answer.send(done)),
                None => return false,
            },
        }
        true
    }

    /// Gives the sockets to another process. One at a time: two would both serve, and neither know of the other.
    fn hand(&mut self, successor: Successor) {
        if self.handing {
            tracing::warn!("a second process wants to take over, and is sent away");
            return;
        }
        match self.node.sockets() {
            Ok(sockets) => {
                tracing::info!(sockets = sockets.len(), "another process wants to take over");
                self.handing = true;
                let done = self.served.0.clone();
                tokio::spawn(async move {
                    let served = successor.hand(sockets).await;
                    // This process is ending anyway if nobody wants to know.
                    let _ = done.send(served).await;
                });
            }
            Err(error) => tracing::warn!(%error, "the sockets cannot be handed over"),
        }
    }

    /// Goes on with what the configuration says now; what does not work may do so later, within the time. None if the
    /// end is asked for meanwhile.
    async fn reload(&mut self, patience: Duration) -> Option<Result<Reload, String>> {
        manager::reloading();
        let Service { node, source, predecessor, .. } = self;
        let again = async {
            let mut config = source.read(|warning| tracing::warn!("{warning}"))?;
            if predecessor.is_some() {
                config = beside(config);
            }
            let begun = Instant::now();
            loop {
                match node.reload(&config).await {
                    Err(_) if begun.elapsed() < patience => tokio::time::sleep(patience / 50).await,
                    done => return done.map_err(|error| error.to_string()),
                }
            }
        };
        // A shard that is stuck must not keep the router from ending.
        let done = tokio::select! {
            done = again => done,
            () = self.signals.end() => return None,
        };
        match &done {
            Ok(reload) => {
                reload.changes.iter().for_each(|change| tracing::info!("reload: {change}"));
                reload.at_start.iter().for_each(|change| tracing::warn!("only a new start can change: {change}"));
                tracing::info!(changes = reload.changes.len(), "the configuration and its files have been read again");
            }
            Err(error) => tracing::error!(%error, "everything stays as it is"),
        }
        self.log.change(&self.node.config().node.log);
        manager::tell(&[NotifyState::Ready]);
        self.tell_where();
        Some(done)
    }

    /// Finds out what would change if the configuration was read again.
    fn rehearse(&self) -> Result<Reload, String> {
        self.source.read(|_| ()).and_then(|config| {
            let config = if self.predecessor.is_some() { beside(config) } else { config };
            Node::check(&config).map_err(|error| error.to_string())?;
            let reload = self.node.rehearse(&config).map_err(|error| error.to_string())?;
            self.node.could_open(&reload.config).map_err(|error| error.to_string())?;
            Ok(reload)
        })
    }

    fn tell_where(&mut self) {
        if let Some(hold) = &mut self.hold {
            hold.listens(self.node.addresses());
        }
    }
}

fn outcome(done: &Result<Reload, String>, dry_run: bool) -> Outcome {
    match done {
        Ok(Reload { changes, at_start, .. }) => {
            Outcome { dry_run, changes: changes.clone(), at_start: at_start.clone(), ..Outcome::default() }
        }
        Err(error) => {
            let error = Some(format!("everything stays as it is: {error}"));
            Outcome { dry_run, error, ..Outcome::default() }
        }
    }
}

/// What a node runs beside the process before it, whose guests and components there is one of each: none of them, but for the
/// functions that say who clients are, since clients come to this node already.
fn beside(mut config: RuntimeConfig) -> RuntimeConfig {
    config.guests.clear();
    config.components.retain(|component| matches!(component.program, Program::Authenticator { .. }));
    config.health_listen = None;
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::component::Way;
    use crate::config::{ComponentConfig, GuestConfig};

    #[test]
    fn beside_another_process_clients_are_asked_who_they_are() {
        let way = || Way::Router { namespace: "".into(), role: "user".into() };
        let authenticator = Program::Authenticator { create: "a.make".into(), config: json!({}) };
        let components = vec![
            ComponentConfig::new("w.one", Program::Class("a.B".into()), "realm1", way()),
            ComponentConfig::new("authenticator:a.make", authenticator, "realm1", way()),
        ];
        let guests = vec![GuestConfig::new("guest", "true")];
        let config = beside(RuntimeConfig { components, guests, ..RuntimeConfig::default() });
        assert!(config.guests.is_empty());
        assert_eq!(config.components.iter().map(|one| &*one.id).collect::<Vec<_>>(), ["authenticator:a.make"]);
    }
}
