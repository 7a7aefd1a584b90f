//! Another configuration for a router that runs.

use super::manage::show;
use super::ports::Opened;
use super::{Node, StartError, order};
use crate::config::reload::Reload;
use crate::config::{ConfigError, ListenerConfig, RuntimeConfig};
use crate::router::Policy;
use crate::session::RealmConfig;
use crate::shard::Command;
use crate::transport::preamble::Entrance;
use crate::transport::premises::Premises;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc;

impl Node {
    /// Puts another configuration into the place of the present one: sessions that stay valid go on, others are ended,
    /// and what they have and may have no longer is taken away. The files that it names are read again. Gives what has
    /// changed.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; then nothing has changed.
    pub async fn reload(&mut self, new: &RuntimeConfig) -> Result<Reload, StartError> {
        let old = self.premises.config.clone();
        let reload = self.rehearse(new)?;
        let config = Arc::new(reload.config.clone());
        self.backstage.open(&config).map_err(StartError::Backstage)?;
        let premises = Premises::open(config.clone(), Some(&self.premises))?;
        let Opened { listeners, probes } = self.open_ports(&config).await?;
        // Behind what a file can have wrong, certificates and ports: what cannot work changes nothing.
        if let Some(exporter) = &mut self.exporter {
            exporter.reform(&config).map_err(StartError::Shard)?;
        }
        // A shard may hear of what is new from another one that was faster: each knows of it before any lets it in.
        let known = Arc::new(announced(&old, &config));
        let before = &self.premises.contents;
        let contents = before.iter().chain(premises.contents.iter().skip(before.len())).cloned().collect();
        self.board.write(Premises { config: known.clone(), contents, ..premises.clone() });
        self.tell(&self.policy(&known)).await;
        self.board.write(premises.clone());
        self.tell(&self.policy(&config)).await;
        self.premises = premises;
        self.crowd.limit(config.connections_max, config.connections_per_address_max);
        self.pace.set(config.accept_rate_max, config.accept_pause);
        for (acceptor, _) in self.acceptors.iter_mut().zip(&config.listeners).filter(|(_, listener)| listener.closed) {
            if let Some(acceptor) = acceptor.take() {
                acceptor.abort();
            }
        }
        for (index, listener) in listeners {
            self.accept(index, listener)?;
        }
        self.guests.keep(config.processes_log_lines, config.processes_log_bytes);
        self.guests.bound(config.processes_count_max);
        self.guests.reload(&self.backstage.programs(&config), config.guests.len() + config.apps.len())?;
        self.send_couriers()?;
        self.link();
        self.watch();
        self.manage();
        let (changes, at_start) = (&reload.changes, &reload.at_start);
        self.manager.tell("corebar.node.on_reload", json!({"changes": changes, "at_start": at_start}));
        self.tell_of_doors(&old, &config);
        if let Some(listener) = probes {
            self.answer_probes(listener);
        }
        Ok(reload)
    }

    /// Tells managers of realms and transports that have come and gone.
    fn tell_of_doors(&self, old: &RuntimeConfig, new: &RuntimeConfig) {
        for (at, realm) in new.realms.iter().enumerate() {
            let was = old.realms.get(at).is_some_and(RealmConfig::is_shown);
            match (was, realm.is_shown()) {
                (false, true) => self.manager.tell("corebar.realm.on_open", show::realm(realm)),
                (true, false) => self.manager.tell("corebar.realm.on_close", show::realm(realm)),
                _ => {}
            }
        }
        let own = |listener: &&ListenerConfig| self.backstage.owns(&listener.address);
        for (at, listener) in new.listeners.iter().enumerate().filter(|(_, listener)| !own(listener)) {
            let was = old.listeners.get(at).is_some_and(|listener| !listener.closed);
            match (was, !listener.closed) {
                (false, true) => self.manager.tell("corebar.transport.on_open", show::transport(new, listener)),
                (true, false) => self.manager.tell("corebar.transport.on_close", show::transport(old, listener)),
                _ => {}
            }
        }
    }

    /// What a reload would change.
    ///
    /// # Errors
    ///
    /// The configuration, or the two together, cannot work.
    pub fn rehearse(&self, new: &RuntimeConfig) -> Result<Reload, ConfigError> {
        new.check()?;
        let mut reload = self.premises.config.reload(&self.backstage.furnish(new)?)?;
        let replaced: Vec<_> =
            self.premises.entrances.iter().zip(&reload.config.listeners).filter_map(replaced).collect();
        reload.changes.extend(replaced);
        self.backstage.hide(&mut reload);
        Ok(reload)
    }

    /// Has all shards go on with a policy; waits until they do.
    async fn tell(&self, policy: &Policy) {
        let (done, mut all) = mpsc::channel(1);
        for door in self.doors.iter() {
            order(door, Command::Reform(Box::new(policy.clone()), done.clone())).await;
        }
        drop(done);
        // Nobody says anything: it ends when the last shard has dropped its end.
        let _ = all.recv().await;
    }
}

/// Says that the files of a listener's TLS hold something else.
fn replaced((before, now): (&Arc<Entrance>, &ListenerConfig)) -> Option<String> {
    let outdated = before.tls.as_ref()?.is_outdated(now.tls.as_ref().filter(|_| !now.closed)?);
    outdated.then(|| format!("{}: its certificates or keys", now.address))
}

/// What was, with what is new in its place but closed.
fn announced(old: &RuntimeConfig, new: &RuntimeConfig) -> RuntimeConfig {
    let mut known = old.clone();
    let realms = new.realms.iter().skip(old.realms.len());
    known.realms.extend(realms.map(|realm| RealmConfig { closed: true, ..realm.clone() }));
    let listeners = new.listeners.iter().skip(old.listeners.len());
    known.listeners.extend(listeners.map(|listener| ListenerConfig { closed: true, ..listener.clone() }));
    known.transports.extend(new.transports.iter().skip(old.transports.len()).cloned());
    known
}
