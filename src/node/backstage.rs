//! The way in for components that run beside the router: Unix sockets in a directory that nobody else can enter, where each
//! component has a ticket of its own.

use crate::auth::config::{Grant, Secret, Source, TicketUser};
use crate::auth::reach::{AUTHENTICATORS, CONTROLLER, Reach};
use crate::auth::{AuthConfig, hmac_sha256};
use crate::config::component::{ComponentConfig, TRUSTED, Way};
use crate::config::listener::TransportIndex;
use crate::config::reload::Reload;
use crate::config::{
    ConfigError, CourierConfig, GuestConfig, ListenAddress, ListenerConfig, RuntimeConfig, TransportConfig,
};
use crate::courier;
use crate::process::app;
use crate::process::component::{self, Login};
use crate::session::{Access, RealmConfig, RoleConfig};
use crate::transport::listener::Bound;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the names of these directories begin.
const NAME: &str = "corebar-components-";

/// The directory of another node that seems to be no more is left alone for so long: it may be about to listen.
const AGE_MIN: Duration = Duration::from_secs(60);

/// What this node has of its own for its components, for as long as it runs.
pub(super) struct Backstage {
    directory: PathBuf,
    secret: [u8; 32],
}

impl std::fmt::Debug for Backstage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backstage").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Backstage {
    /// Draws what is secret; nothing is made yet.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub(super) fn new() -> Result<Backstage, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let name = format!("{NAME}{:016x}", getrandom::u64()?);
        Ok(Backstage { directory: std::env::temp_dir().join(name), secret })
    }

    /// A word that is known to nobody who does not have the secret; the same for the same names.
    fn word(&self, kind: &str, name: &str) -> String {
        let mut word = String::new();
        for octet in hmac_sha256(&self.secret, format!("{kind} {name}").as_bytes()) {
            // Writing to a string cannot fail.
            let _ = write!(word, "{octet:02x}");
        }
        word
    }

    fn ticket(&self, id: &str) -> String {
        self.word("ticket", id)
    }

    /// Where the components of a namespace come in.
    fn path(&self, namespace: &str) -> PathBuf {
        self.directory.join(&self.word("socket", namespace)[..16])
    }

    /// True for the addresses of this node's own components.
    pub(super) fn owns(&self, address: &ListenAddress) -> bool {
        matches!(address, ListenAddress::Unix(path) if path.starts_with(&self.directory))
    }

    /// True where this node's own components come in.
    pub(super) fn holds(&self, bound: &Bound) -> bool {
        matches!(bound, Bound::Unix(path) if path.starts_with(&self.directory))
    }

    /// The configuration with the way in for its components, and with the roles that they have and their realms have not.
    ///
    /// # Errors
    /// There are more transports than can be counted.
    pub(super) fn furnish(&self, config: &RuntimeConfig) -> Result<RuntimeConfig, ConfigError> {
        let mut furnished = config.clone();
        let mut users: BTreeMap<Box<str>, BTreeMap<Box<str>, TicketUser>> = BTreeMap::new();
        let components = config.components.iter().filter_map(|component| match &component.way {
            Way::Router { namespace, role } => Some((&component.id, &component.realm, namespace, role)),
            Way::Transport { .. } => None,
        });
        let asked = config.components.iter().any(|component| &*component.realm == AUTHENTICATORS);
        let managed = config.components.iter().any(|component| component.controller);
        let controller = Reach::controller().namespace;
        for (name, namespace, wanted) in
            [(AUTHENTICATORS, &Reach::authenticators().namespace, asked), (CONTROLLER, &controller, managed)]
        {
            if wanted && !config.realms.iter().any(|realm| realm.namespace == *namespace) {
                let namespace = namespace.clone();
                furnished.realms.push(RealmConfig { namespace, roles: Some(Vec::new()), ..RealmConfig::new(name) });
            }
        }
        let couriers = config.couriers.iter();
        let couriers = couriers.map(|courier| (&courier.id, &courier.realm, &courier.namespace, &courier.role));
        let (realm, trusted) = (CONTROLLER.into(), TRUSTED.into());
        let managers = config.components.iter().filter(|component| component.controller);
        let managers = managers.map(|component| (&component.id, &realm, &controller, &trusted));
        for (id, joined, namespace, role) in components.chain(couriers).chain(managers) {
            let grant = Grant { role: Some(role.clone()), realm: Some(joined.clone()), ..Grant::default() };
            let ticket = Secret(self.ticket(id).into_bytes().into());
            users.entry(namespace.clone()).or_default().insert(id.clone(), TicketUser { ticket, grant });
            let realms = &mut furnished.realms;
            let realm = realms.iter_mut().find(|realm| (&realm.name, &realm.namespace) == (joined, namespace));
            if let Some(roles) = realm.and_then(|realm| realm.roles.as_mut())
                && !roles.iter().any(|known| known.name == *role)
            {
                let access = if **role == *TRUSTED { Access::All } else { Access::Rules(Vec::new()) };
                roles.push(RoleConfig { name: role.clone(), access });
            }
        }
        for (namespace, users) in users {
            let index = TransportIndex::try_from(furnished.transports.len()).map_err(|_| ConfigError::TooMany)?;
            let address = ListenAddress::Unix(self.path(&namespace));
            let auth = AuthConfig {
                ticket: Some(Source::Static(users)),
                reach: Reach { namespace, routes: None },
                ..AuthConfig::default()
            };
            furnished.transports.push(TransportConfig { auth, ..TransportConfig::default() });
            let plain = ListenerConfig::plain(address);
            let rawsocket = Some(index);
            furnished.listeners.push(ListenerConfig { transport: index, rawsocket, paths: Vec::new(), ..plain });
        }
        furnished.check()?;
        Ok(furnished)
    }

    /// How a courier joins.
    pub(super) fn courier(&self, config: &CourierConfig) -> courier::Way {
        courier::Way {
            url: format!("unix://{}", self.path(&config.namespace).display()),
            authid: config.id.to_string(),
            ticket: Secret(self.ticket(&config.id).into_bytes().into()),
        }
    }

    /// The programs of a configuration: its guests, and its components.
    pub(super) fn programs(&self, config: &RuntimeConfig) -> Vec<GuestConfig> {
        let components = config.components.iter().map(|component| self.program(component));
        config.guests.iter().cloned().chain(config.apps.iter().map(app::guest)).chain(components).collect()
    }

    fn program(&self, config: &ComponentConfig) -> GuestConfig {
        let login = |namespace: &str| Login {
            path: self.path(namespace).into(),
            authid: config.id.clone(),
            ticket: self.ticket(&config.id).into(),
        };
        let own = match &config.way {
            Way::Router { namespace, .. } => Some(login(namespace)),
            Way::Transport { .. } => None,
        };
        let controller = config.controller.then(|| login(&Reach::controller().namespace));
        component::guest(config, own.as_ref(), controller.as_ref())
    }

    /// What a reload changes, without what people have not written.
    pub(super) fn hide(&self, reload: &mut Reload) {
        let directory = ListenAddress::Unix(self.directory.clone()).to_string();
        reload.changes.retain(|change| !change.starts_with(&directory));
    }

    /// Makes the directory if a configuration has use for it, and clears away what nodes have left that were killed.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn open(&self, config: &RuntimeConfig) -> io::Result<()> {
        let used = config.listeners.iter().any(|listener| !listener.closed && self.owns(&listener.address));
        if !used || self.directory.exists() {
            return Ok(());
        }
        clear(&std::env::temp_dir());
        DirBuilder::new().mode(0o700).create(&self.directory)
    }

    /// Takes the directory away.
    pub(super) fn close(&self) {
        remove(&self.directory);
    }
}

/// Sockets and the directory around them; what is something else stays.
fn remove(directory: &Path) {
    let sockets: BTreeSet<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|at| at.path()).collect();
    sockets.iter().for_each(|path| drop(fs::remove_file(path)));
    let _ = fs::remove_dir(directory);
}

/// Removes the directories of nodes of the same user that are no more.
fn clear(folder: &Path) {
    let own = nix::unistd::Uid::effective().as_raw();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let left = entry.file_name().to_string_lossy().starts_with(NAME)
            && entry.metadata().is_ok_and(|there| {
                let age = there.modified().ok().and_then(|time| time.elapsed().ok());
                there.is_dir() && there.uid() == own && age.is_some_and(|age| age > AGE_MIN)
            });
        if left && is_dead(&entry.path()) {
            remove(&entry.path());
        }
    }
}

/// True if nobody listens in a directory.
fn is_dead(directory: &Path) -> bool {
    let Ok(sockets) = fs::read_dir(directory) else { return false };
    sockets.flatten().all(|socket| {
        UnixStream::connect(socket.path()).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::component::Program;
    use crate::config::guest::InputConfig;

    fn component(id: &str, role: &str) -> ComponentConfig {
        let way = Way::Router { namespace: "".into(), role: role.into() };
        ComponentConfig::new(id, Program::Class("a.B".into()), "realm1", way)
    }

    fn with(components: Vec<ComponentConfig>) -> RuntimeConfig {
        let user = RoleConfig { name: "user".into(), access: Access::Rules(Vec::new()) };
        let realms = vec![RealmConfig { roles: Some(vec![user]), ..RealmConfig::new("realm1") }];
        RuntimeConfig { realms, components, ..RuntimeConfig::default() }
    }

    #[test]
    fn each_component_has_a_ticket_for_its_role() {
        let backstage = Backstage::new().expect("randomness");
        let config = with(vec![component("w.one", "user"), component("w.two", TRUSTED), component("w.three", "other")]);
        let furnished = backstage.furnish(&config).expect("it can be");
        assert_eq!((furnished.listeners.len(), furnished.transports.len()), (2, 2));
        assert!(backstage.owns(&furnished.listeners[1].address) && furnished.listeners[1].paths.is_empty());
        let auth = &furnished.transports[1].auth;
        let Some(Source::Static(users)) = &auth.ticket else { panic!("there are users") };
        let roles: Vec<_> = users.values().map(|user| user.grant.role.as_deref()).collect();
        assert_eq!(roles, [Some("user"), Some("other"), Some(TRUSTED)]);
        assert_eq!(users.values().map(|user| user.ticket.0.clone()).collect::<BTreeSet<_>>().len(), 3);
        assert!(auth.anonymous.is_none());
        let realm = &furnished.realms[0];
        assert_eq!(realm.role(TRUSTED).map(|role| &role.access), Some(&Access::All));
        assert_eq!(realm.role("other").map(|role| &role.access), Some(&Access::Rules(Vec::new())));
        let InputConfig::Json { value, .. } = &backstage.programs(&config)[0].stdin else { panic!("it is told") };
        assert_eq!(value["login"]["ticket"].as_str().map(str::as_bytes), Some(&*users["w.one"].ticket.0));
        assert_eq!(backstage.programs(&config), backstage.programs(&config));
    }

    #[test]
    fn those_that_manage_the_node_have_a_realm_for_it() {
        let backstage = Backstage::new().expect("randomness");
        let config =
            with(vec![component("w.one", "user"), ComponentConfig { controller: true, ..component("w.two", "user") }]);
        let furnished = backstage.furnish(&config).expect("it can be");
        let Reach { namespace, .. } = Reach::controller();
        let realm = furnished.realms.iter().find(|realm| realm.namespace == namespace).expect("it is there");
        assert_eq!(realm.role(TRUSTED).map(|role| &role.access), Some(&Access::All));
        let inside: Vec<_> = furnished.transports.iter().filter(|one| one.auth.reach.namespace == namespace).collect();
        let [inside] = *inside else { panic!("there is one way in") };
        let Some(Source::Static(users)) = &inside.auth.ticket else { panic!("there are users") };
        assert_eq!(users.keys().map(|id| &**id).collect::<Vec<_>>(), ["w.two"]);
        let told = |at: usize| match &backstage.programs(&config)[at].stdin {
            InputConfig::Json { value, .. } => value["controller"]["login"]["ticket"].clone(),
            _ => panic!("it is told"),
        };
        assert!(told(0).is_null());
        assert_eq!(told(1).as_str().map(str::as_bytes), Some(&*users["w.two"].ticket.0));
        assert_eq!(backstage.furnish(&furnished).expect("it can be").realms.len(), furnished.realms.len());
    }

    #[test]
    fn what_is_not_needed_is_not_made() {
        let backstage = Backstage::new().expect("randomness");
        let config = backstage.furnish(&with(Vec::new())).expect("it can be");
        assert_eq!(config.listeners.len(), 1);
        backstage.open(&config).expect("nothing to do");
        assert!(!backstage.directory.exists());
        let config = backstage.furnish(&with(vec![component("w.one", "user")])).expect("it can be");
        backstage.open(&config).expect("a writable directory");
        let mode = fs::metadata(&backstage.directory).expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(is_dead(&backstage.directory));
        backstage.close();
        assert!(!backstage.directory.exists());
    }
}
