//! The ports that another configuration opens and closes.

use super::{Node, StartError, health, open};
use crate::config::{ListenAddress, ListenerConfig, RuntimeConfig};
use crate::transport::listener::{BindError, Bound, Listener};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// How often it is looked whether a socket is closed.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// What has been opened and serves nobody yet.
pub(super) struct Opened {
    /// Listeners with their positions.
    pub(super) listeners: Vec<(usize, Listener)>,
    /// The port for probes, if it is another one: perhaps none.
    pub(super) probes: Option<Option<TcpListener>>,
}

/// What stood in the way of something that is to be opened.
struct Closed {
    /// Listeners by their positions, with their configurations at the addresses where they really were.
    listeners: Vec<(usize, ListenerConfig)>,
    /// The port for probes.
    probes: bool,
}

impl Node {
    /// Opens what a configuration has and the present one has not. A port that is only taken by what the new
    /// configuration closes, such as one of loopback that becomes one of all addresses, is closed first; then nobody
    /// listens there for a moment.
    ///
    /// # Errors
    /// Something cannot be opened. Then all is as it was.
    pub(super) async fn open_ports(&mut self, config: &RuntimeConfig) -> Result<Opened, StartError> {
        let old = self.premises.config.clone();
        let mut opened = Opened { listeners: Vec::new(), probes: None };
        let mut waiting = Vec::new();
        for (index, listener) in config.listeners.iter().enumerate() {
            if listener.closed || old.listeners.get(index).is_some_and(|before| !before.closed) {
                continue;
            }
            match open(listener) {
                Ok(there) => opened.listeners.push((index, there)),
                Err(error) if error.is_taken() => waiting.push((index, error)),
                Err(error) => return Err(error.into()),
            }
        }
        let moves = config.health_listen != old.health_listen;
        let mut probes_wait = None;
        if moves {
            match health::listen(config) {
                Ok(there) => opened.probes = Some(there),
                Err(error) if error.is_taken() => probes_wait = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        if waiting.is_empty() && probes_wait.is_none() {
            return Ok(opened);
        }
        let addresses = waiting.iter().map(|(index, _)| &config.listeners[*index].address);
        let wanted: BTreeSet<u16> =
            addresses.chain(config.health_listen.as_ref().filter(|_| probes_wait.is_some())).filter_map(port).collect();
        let closed = self.close_ports(config, &wanted, moves).await;
        if closed.listeners.is_empty() && !closed.probes {
            let first = waiting.into_iter().map(|(_, error)| error).chain(probes_wait).next();
            return first.map_or(Ok(opened), |error| Err(error.into()));
        }
        let late = || -> Result<_, BindError> {
            let listeners = waiting.iter().map(|(index, _)| Ok((*index, open(&config.listeners[*index])?)));
            let listeners = listeners.collect::<Result<Vec<_>, BindError>>()?;
            Ok((listeners, probes_wait.is_some().then(|| health::listen(config)).transpose()?))
        };
        match late() {
            Ok((listeners, probes)) => {
                opened.listeners.extend(listeners);
                opened.probes = opened.probes.or(probes);
                Ok(opened)
            }
            Err(error) => {
                drop(opened);
                self.open_again(closed);
                Err(error.into())
            }
        }
    }

    /// Finds out whether the ports could be opened that a configuration has and the present one has not, by opening them
    /// for a moment. Those that the configuration makes free are not looked at.
    ///
    /// # Errors
    /// One could not.
    pub fn could_open(&self, config: &RuntimeConfig) -> Result<(), StartError> {
        let old = &self.premises.config;
        let freed: BTreeSet<u16> =
            old.listeners.iter().zip(&config.listeners).zip(&self.bound).filter_map(free).collect();
        for (index, listener) in config.listeners.iter().enumerate() {
            let there = listener.closed || old.listeners.get(index).is_some_and(|before| !before.closed);
            // The file of a Unix socket could not be made and taken away unseen.
            let Some(port) = port(&listener.address).filter(|_| !there) else { continue };
            match open(listener) {
                Err(error) if error.is_taken() && freed.contains(&port) => {}
                opened => drop(opened?),
            }
        }
        Ok(())
    }

    /// Closes what the configuration closes and what has one of these ports.
    async fn close_ports(&mut self, config: &RuntimeConfig, wanted: &BTreeSet<u16>, probes_move: bool) -> Closed {
        let old = self.premises.config.clone();
        let mut closed = Closed { listeners: Vec::new(), probes: false };
        for (index, (before, now)) in old.listeners.iter().zip(&config.listeners).enumerate() {
            let Some(Bound::Tcp(address)) = self.bound.get(index) else { continue };
            // A port that another process holds, too, would not become free.
            let own = self.listeners[index].upgrade().is_some_and(|listener| !listener.is_inherited());
            if before.closed || !now.closed || !own || !wanted.contains(&address.port()) {
                continue;
            }
            let address = ListenAddress::Tcp { host: address.ip().to_string(), port: address.port() };
            closed.listeners.push((index, ListenerConfig { address, ..before.clone() }));
            if let Some(acceptor) = self.acceptors[index].take() {
                end(&acceptor).await;
            }
            while self.listeners[index].strong_count() > 0 {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        }
        let before = old.health_listen.as_ref().and_then(port);
        if probes_move
            && before.is_some_and(|port| wanted.contains(&port))
            && let Some(probes) = self.probes.take()
        {
            end(&probes).await;
            closed.probes = true;
        }
        closed
    }

    /// Opens what was closed for nothing.
    fn open_again(&mut self, closed: Closed) {
        for (index, listener) in closed.listeners {
            let again = open(&listener).map_err(StartError::from);
            if let Err(error) = again.and_then(|there| self.accept(index, there)) {
                tracing::error!(%error, "a listener that should stay cannot be opened again");
            }
        }
        if closed.probes {
            match health::listen(&self.premises.config.clone()) {
                Ok(there) => self.answer_probes(there),
                Err(error) => tracing::error!(%error, "the port for probes cannot be opened again"),
            }
        }
    }
}

/// The port of a listener that a configuration closes.
fn free(((before, now), bound): ((&ListenerConfig, &ListenerConfig), &Bound)) -> Option<u16> {
    match bound {
        Bound::Tcp(address) if !before.closed && now.closed => Some(address.port()),
        _ => None,
    }
}

/// Ends a task, and with it what it holds.
async fn end(task: &AbortHandle) {
    task.abort();
    while !task.is_finished() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn port(address: &ListenAddress) -> Option<u16> {
    match address {
        ListenAddress::Tcp { port, .. } => Some(*port).filter(|port| *port > 0),
        ListenAddress::Unix(_) => None,
    }
}
