//! One configuration in the place of another, while the router runs.
//!
//! Sessions name their realm, and connections their listener and their way in, by positions in the configuration. So
//! what is there keeps its position, what is new is put behind it, and what is gone is closed.

use super::file::settings;
use super::listener::{ListenerConfig, TransportIndex};
use super::{
    AppConfig, ComponentConfig, ConfigError, CourierConfig, GuestConfig, LinkConfig, RuntimeConfig, TransportConfig,
};
use crate::auth::AuthConfig;
use crate::auth::config::Source;
use crate::session::{RealmConfig, RoleConfig};
use std::collections::BTreeMap;

/// What a router goes on with.
#[derive(Clone, Debug)]
pub struct Reload {
    /// The configuration, with everything where it was before.
    pub config: RuntimeConfig,
    /// What changes, for people.
    pub changes: Vec<String>,
    /// What would change only with a new start, and stays as it is.
    pub at_start: Vec<String>,
}

impl RuntimeConfig {
    /// Puts another configuration into the place of this one.
    ///
    /// # Errors
    /// The other one, or the two together, cannot work.
    pub fn reload(&self, new: &RuntimeConfig) -> Result<Reload, ConfigError> {
        new.check()?;
        self.stays_apart(new)?;
        let mut reload = Reload { config: new.clone(), changes: Vec::new(), at_start: Vec::new() };
        for change in settings::differences(self, &mut reload.config) {
            let list = if change.at_start { &mut reload.at_start } else { &mut reload.changes };
            list.push(change.text);
        }
        reload.realms(&self.realms, &new.realms);
        reload.listeners(self, new);
        compare(&by_id(&self.guests), &by_id(&new.guests), "guest", &mut reload.changes);
        let components = |config: &RuntimeConfig| -> BTreeMap<Box<str>, ComponentConfig> {
            config.components.iter().map(|component| (component.id.clone(), component.clone())).collect()
        };
        compare(&components(self), &components(new), "component", &mut reload.changes);
        if self.management != new.management {
            reload.changes.push("management".into());
        }
        let apps = |config: &RuntimeConfig| -> BTreeMap<Box<str>, AppConfig> {
            config.apps.iter().map(|app| (app.id.clone(), app.clone())).collect()
        };
        compare(&apps(self), &apps(new), "application", &mut reload.changes);
        let couriers = |config: &RuntimeConfig| -> BTreeMap<Box<str>, CourierConfig> {
            config.couriers.iter().map(|courier| (courier.id.clone(), courier.clone())).collect()
        };
        compare(&couriers(self), &couriers(new), "component", &mut reload.changes);
        let links = |config: &RuntimeConfig| -> BTreeMap<Box<str>, LinkConfig> {
            config.links.iter().map(|link| (link.name().to_string().into(), link.clone())).collect()
        };
        compare(&links(self), &links(new), "link", &mut reload.changes);
        reload.config.check()?;
        Ok(reload)
    }

    /// Namespaces have their names by the places of workers in the file. One that gets the name of another would have its
    /// realms, with the sessions in them.
    fn stays_apart(&self, new: &RuntimeConfig) -> Result<(), ConfigError> {
        let namespace = |config: &RuntimeConfig, listener: &ListenerConfig| {
            config
                .transports
                .get(usize::from(listener.transport))
                .map(|transport| transport.auth.reach.namespace.clone())
        };
        let mut left: Vec<&ListenerConfig> = new.listeners.iter().collect();
        for before in &self.listeners {
            let Some(at) = left.iter().position(|now| now.address == before.address) else { continue };
            let now = left.remove(at);
            if !before.closed && namespace(self, before) != namespace(new, now) {
                return Err(ConfigError::Moved(now.address.clone()));
            }
        }
        Ok(())
    }
}

impl Reload {
    /// True if nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn realms(&mut self, old: &[RealmConfig], new: &[RealmConfig]) {
        let mut realms = Vec::with_capacity(old.len());
        for before in old {
            let name = &before.name;
            let Some(now) = new.iter().find(|realm| is_same(realm, before)) else {
                if !before.closed {
                    self.changes.push(format!("realm {name}: is closed"));
                }
                realms.push(RealmConfig { closed: true, ..before.clone() });
                continue;
            };
            let mut now = now.clone();
            if (&now.history, &now.history_store) != (&before.history, &before.history_store) {
                self.at_start.push(format!("realm {name}: what is kept as history"));
                (now.history, now.history_store) = (before.history.clone(), before.history_store.clone());
            }
            if before.closed {
                self.changes.push(format!("realm {name}: is there again"));
            } else {
                roles(before, &now, &mut self.changes);
                let others = RealmConfig { roles: before.roles.clone(), ..now.clone() };
                if others != *before {
                    self.changes.push(format!("realm {name}: its options"));
                }
            }
            realms.push(now);
        }
        for added in new.iter().filter(|realm| !old.iter().any(|known| is_same(known, realm))) {
            self.changes.push(format!("realm {}: is new", added.name));
            let mut added = added.clone();
            if !added.history.is_empty() {
                self.at_start.push(format!("realm {}: what is kept as history", added.name));
                added.history = Vec::new();
            }
            realms.push(added);
        }
        self.config.realms = realms;
    }

    fn listeners(&mut self, old: &RuntimeConfig, new: &RuntimeConfig) {
        let mut left: Vec<&ListenerConfig> = new.listeners.iter().collect();
        let mut positions = Positions { transports: old.transports.clone(), new: BTreeMap::new() };
        let mut listeners = Vec::with_capacity(old.listeners.len());
        for before in &old.listeners {
            let address = &before.address;
            let Some(at) = left.iter().position(|listener| listener.address == *address) else {
                if !before.closed {
                    self.changes.push(format!("{address}: is closed"));
                }
                listeners.push(ListenerConfig { closed: true, ..before.clone() });
                continue;
            };
            let now = left.remove(at);
            if now.backlog != before.backlog {
                self.at_start.push(format!("{address}: its backlog"));
            }
            let listener = positions.place(Some(before), now, &new.transports);
            let listener = ListenerConfig { backlog: before.backlog, ..listener };
            if before.closed {
                self.changes.push(format!("{address}: is there again"));
            } else if listener != *before {
                self.changes.push(format!("{address}: how it is served"));
            }
            listeners.push(listener);
        }
        for added in left {
            self.changes.push(format!("{}: is new", added.address));
            listeners.push(positions.place(None, added, &new.transports));
        }
        for (index, (before, now)) in old.transports.iter().zip(&positions.transports).enumerate() {
            let users = |listener: &&ListenerConfig| transports(listener).any(|(_, at)| usize::from(at) == index);
            let address = listeners.iter().find(users).map(|listener| listener.address.to_string());
            let address = address.unwrap_or_else(|| format!("transport {}", index + 1));
            logins(&before.auth, &now.auth, &address, &mut self.changes);
            if (TransportConfig { auth: before.auth.clone(), ..now.clone() }) != *before {
                self.changes.push(format!("{address}: its options, cookies or origins"));
            }
        }
        (self.config.listeners, self.config.transports) = (listeners, positions.transports);
    }
}

/// True if a realm takes the place of another one.
fn is_same(one: &RealmConfig, other: &RealmConfig) -> bool {
    (&one.name, &one.namespace) == (&other.name, &other.namespace)
}

fn by_id(guests: &[GuestConfig]) -> BTreeMap<Box<str>, &GuestConfig> {
    guests.iter().map(|guest| (guest.id.clone(), guest)).collect()
}

/// Where the transports of a listener are named.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place<'a> {
    Others,
    RawSocket,
    Path(&'a str),
}

fn transports(listener: &ListenerConfig) -> impl Iterator<Item = (Place<'_>, TransportIndex)> {
    let paths = listener.paths.iter().filter_map(|path| Some((Place::Path(&path.path), path.service.transport()?)));
    let rawsocket = listener.rawsocket.map(|at| (Place::RawSocket, at));
    paths.chain(rawsocket).chain([(Place::Others, listener.transport)])
}

/// Where transports stand.
struct Positions {
    /// All of them.
    transports: Vec<TransportConfig>,
    /// Where those of the new configuration stand now.
    new: BTreeMap<TransportIndex, TransportIndex>,
}

impl Positions {
    /// A listener whose transports stand where those of the old one stood that were in their place.
    fn place(
        &mut self,
        before: Option<&ListenerConfig>,
        now: &ListenerConfig,
        new: &[TransportConfig],
    ) -> ListenerConfig {
        for (place, at) in transports(now) {
            if self.new.contains_key(&at) {
                continue;
            }
            let stood = before.and_then(|before| transports(before).find(|(known, _)| *known == place));
            let free = stood.map(|(_, at)| at).filter(|at| self.new.values().all(|taken| taken != at));
            let config = new[usize::from(at)].clone();
            let position = match free {
                Some(position) => {
                    self.transports[usize::from(position)] = config;
                    position
                }
                None => {
                    self.transports.push(config);
                    // So many changes are no use of a router: what comes then has the last position, and is refused.
                    TransportIndex::try_from(self.transports.len() - 1).unwrap_or(TransportIndex::MAX)
                }
            };
            self.new.insert(at, position);
        }
        let mut listener = now.clone();
        listener.transport = self.new[&now.transport];
        listener.rawsocket = now.rawsocket.map(|at| self.new[&at]);
        for transport in listener.paths.iter_mut().filter_map(|path| path.service.transport_mut()) {
            *transport = self.new[transport];
        }
        listener
    }
}

/// Says which roles of a realm have changed.
fn roles(before: &RealmConfig, now: &RealmConfig, changes: &mut Vec<String>) {
    let name = &now.name;
    match (&before.roles, &now.roles) {
        (None, None) => {}
        (Some(_), None) => changes.push(format!("realm {name}: everybody may do everything")),
        (None, Some(_)) => changes.push(format!("realm {name}: has roles")),
        (Some(before), Some(now)) => {
            let named = |list: &[RoleConfig]| -> BTreeMap<Box<str>, RoleConfig> {
                list.iter().map(|role| (role.name.clone(), role.clone())).collect()
            };
            compare(&named(before), &named(now), &format!("realm {name}: role"), changes);
        }
    }
}

/// Says which logins of a transport have changed.
fn logins(before: &AuthConfig, now: &AuthConfig, address: &str, changes: &mut Vec<String>) {
    method(before.ticket.as_ref(), now.ticket.as_ref(), &format!("{address}: ticket"), changes);
    method(before.wampcra.as_ref(), now.wampcra.as_ref(), &format!("{address}: wampcra"), changes);
    method(before.scram.as_ref(), now.scram.as_ref(), &format!("{address}: scram"), changes);
    let others = |auth: &AuthConfig| AuthConfig { ticket: None, wampcra: None, scram: None, ..auth.clone() };
    if others(before) != others(now) {
        changes.push(format!("{address}: how clients log in"));
    }
}

fn method<U: PartialEq>(
    before: Option<&Source<BTreeMap<Box<str>, U>>>,
    now: Option<&Source<BTreeMap<Box<str>, U>>>,
    what: &str,
    changes: &mut Vec<String>,
) {
    match (before, now) {
        (Some(Source::Static(before)), Some(Source::Static(now))) => {
            compare(before, now, &format!("{what} user"), changes);
        }
        (before, now) if before == now => {}
        (_, None) => changes.push(format!("{what}: is gone")),
        (None, _) => changes.push(format!("{what}: is new")),
        _ => changes.push(format!("{what}: is decided by others")),
    }
}

fn compare<T: PartialEq>(
    before: &BTreeMap<Box<str>, T>,
    now: &BTreeMap<Box<str>, T>,
    what: &str,
    changes: &mut Vec<String>,
) {
    for (name, value) in now {
        match before.get(name) {
            None => changes.push(format!("{what} {name}: is new")),
            Some(known) if known != value => changes.push(format!("{what} {name}: is another")),
            Some(_) => {}
        }
    }
    changes.extend(before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{what} {name}: is gone")));
}
