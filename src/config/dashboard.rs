//! Where dashboards find the realm in which the node is managed.

use super::web::{DashboardConfig, PathConfig, Service};
use super::{ConfigError, ListenerConfig, RuntimeConfig};
use crate::auth::AuthConfig;

impl RuntimeConfig {
    /// Tells the dashboards of all listeners where the realm of the management is, and how one can log in there.
    ///
    /// # Errors
    /// There is no such realm, or no WebSocket beside a dashboard that leads to it.
    pub fn settle_dashboards(&mut self) -> Result<(), ConfigError> {
        let RuntimeConfig { listeners, transports, management, .. } = self;
        for listener in listeners {
            let ListenerConfig { paths, .. } = listener;
            let way = |path: &PathConfig| match path.service {
                Service::WebSocket(at) => {
                    let transport = transports.get(usize::from(at)).filter(|transport| transport.speaks_json())?;
                    Some((path.path.as_str().into(), &transport.auth))
                }
                _ => None,
            };
            let ways: Vec<(Box<str>, &AuthConfig)> = paths.iter().filter_map(way).collect();
            for path in paths {
                let Service::Dashboard(dashboard) = &mut path.service else { continue };
                let fault = |text: String| ConfigError::Dashboard(path.path.clone(), text);
                let management = management
                    .as_ref()
                    .ok_or_else(|| fault("needs `corebar.management`, whose client it is".into()))?;
                let leads = |(at, auth): &&(Box<str>, &AuthConfig)| {
                    dashboard.websocket.as_ref().is_none_or(|wanted| **wanted == **at)
                        && auth.reach.leads_to(&management.namespace, &management.realm)
                };
                let missing = || match &dashboard.websocket {
                    Some(wanted) => {
                        format!("{wanted} is no WebSocket with JSON here that leads to {:?}", &*management.realm)
                    }
                    None => format!("needs a path with WebSocket and JSON here that leads to {:?}", &*management.realm),
                };
                let (websocket, auth) = ways.iter().find(leads).ok_or_else(|| fault(missing()))?;
                *dashboard = DashboardConfig {
                    websocket: Some(websocket.clone()),
                    realm: (&*management.realm).into(),
                    methods: methods(auth),
                };
            }
        }
        Ok(())
    }
}

/// How clients can say who they are.
fn methods(auth: &AuthConfig) -> Vec<Box<str>> {
    let known = [
        ("anonymous", auth.anonymous.is_some()),
        ("ticket", auth.ticket.is_some()),
        ("wampcra", auth.wampcra.is_some()),
        ("scram", auth.scram.is_some()),
        ("cryptosign", auth.cryptosign.is_some()),
        ("tls", auth.tls.is_some()),
        ("jwt", auth.jwt.is_some()),
        ("cookie", auth.cookie),
    ];
    let there: Vec<Box<str>> = known.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.into()).collect();
    // Where nothing is said, nobody is asked.
    if there.is_empty() { vec!["anonymous".into()] } else { there }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ManagementConfig;
    use crate::session::Pages;
    use crate::wamp::Serializer;
    use crate::wire::handshake::Subprotocol;

    fn config(websocket: Option<&str>) -> RuntimeConfig {
        let mut config = RuntimeConfig::default();
        let dashboard = DashboardConfig { websocket: websocket.map(Into::into), ..DashboardConfig::default() };
        let path = PathConfig { path: "/dash".into(), deep: true, service: Service::Dashboard(dashboard) };
        config.listeners[0].paths.push(path);
        let management = ManagementConfig { realm: "manage".into(), namespace: Box::default(), hosts: Vec::new() };
        config.realms.push(management.realm("anonymous", Pages::KnownHost));
        config.management = Some(management);
        config
    }

    #[test]
    fn dashboards_learn_where_the_realm_is() {
        let mut config = config(Some("/ws"));
        config.settle_dashboards().expect("a good configuration");
        let last = config.listeners[0].paths.last().expect("a path");
        let Service::Dashboard(dashboard) = &last.service else { panic!("it is there") };
        assert_eq!((&*dashboard.realm, dashboard.websocket.as_deref()), ("manage", Some("/ws")));
        assert_eq!(dashboard.methods, ["anonymous".into()]);
        let before = config.listeners.clone();
        config.settle_dashboards().expect("again");
        assert_eq!(config.listeners, before);
    }

    #[test]
    fn dashboards_need_a_way_to_the_realm() {
        let told = |change: fn(&mut RuntimeConfig), websocket| {
            let mut config = config(websocket);
            change(&mut config);
            config.settle_dashboards().expect_err("it cannot work").to_string()
        };
        assert!(told(|config| config.management = None, None).contains("`corebar.management`"));
        assert!(told(|_| {}, Some("/other")).contains("/other is no WebSocket"));
        let elsewhere: fn(&mut RuntimeConfig) = |config| config.transports[0].auth.reach.namespace = "else".into();
        let binary = Subprotocol { serializer: Serializer::Cbor, batched: false };
        let silent = |config: &mut RuntimeConfig| config.transports[0].serializers = Some(vec![binary]);
        let mut other = config(None);
        silent(&mut other);
        assert!(other.settle_dashboards().is_err(), "the page could not speak there");
        assert!(told(elsewhere, None).contains("needs a path with WebSocket and JSON"));
    }
}
