//! What the program says when it is ready.

use crate::config::RuntimeConfig;
use crate::config::web::Service;
use crate::node::Node;
use crate::session::RealmConfig;
use crate::transport::listener::Bound;
use std::fmt::Write;

/// The text for a node that has just started with this configuration. Lines that begin with `listening on ` tell
/// where; scripts may rely on them.
pub(super) fn banner(node: &Node, config: &RuntimeConfig) -> String {
    let mut text = format!("corebar {}, a router for the WAMP protocol\n", env!("CARGO_PKG_VERSION"));
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    node.addresses().iter().for_each(|address| line(format!("listening on {address}")));
    line(shards(node.cores()));
    for (bound, listener) in node.bound().iter().zip(&config.listeners) {
        let dashboard = listener.paths.iter().find(|path| matches!(path.service, Service::Dashboard(_)));
        if let (Bound::Tcp(address), Some(path)) = (bound, dashboard) {
            let scheme = if listener.tls.is_some() { "https" } else { "http" };
            line(format!("dashboard at {scheme}://{address}{}/", path.path.trim_end_matches('/')));
        }
    }
    // Of a realm for management alone the dashboard tells enough.
    let managed = |realm: &&RealmConfig| {
        let management = config.management.as_ref();
        management.is_some_and(|management| management.realm == realm.name) && config.realms.len() > 1
    };
    let realms: Vec<&str> =
        config.realms.iter().filter(|realm| !managed(realm)).map(|realm| realm.name.as_str()).collect();
    let word = if realms.len() == 1 { "realm" } else { "realms" };
    let open = config.realms.iter().any(|realm| realm.roles.is_none());
    if !open {
        line(format!("{word} {}, for the roles of the configuration", realms.join(", ")));
        let listeners = config.listeners.iter().filter(|listener| !listener.closed);
        let mut ways = listeners.flat_map(|listener| {
            let paths = listener.paths.iter().filter_map(|path| path.service.transport());
            paths.chain(listener.rawsocket)
        });
        // What serves pages alone lets nobody in.
        if ways.any(|at| config.transports[usize::from(at)].auth.is_empty()) {
            line(
                "a transport has no `auth`: its clients are not asked who they are and have the role `anonymous`"
                    .into(),
            );
        }
        return text;
    }
    line(format!("{word} {}, open to everybody as `anonymous` with all permissions", realms.join(", ")));
    if let (Some(bound), Some(realm)) = (node.bound().first(), realms.first()) {
        line("connect, here with autobahn for JavaScript; WebSocket and RawSocket share the address:".into());
        line(format!("    {}", example(bound, realm)));
    }
    if node.bound().iter().all(Bound::is_local) {
        line("nobody is asked who they are: this is meant for clients on this machine only".into());
    } else {
        line("WARNING: nobody is asked who they are, and other machines can reach this router".into());
    }
    text
}

fn shards(cores: &[Option<usize>]) -> String {
    let pinned: Vec<String> = cores.iter().flatten().map(ToString::to_string).collect();
    let mut text = if cores.len() == 1 { "1 shard".to_string() } else { format!("{} shards", cores.len()) };
    // Writing to a string cannot fail.
    let _ = match pinned.len() {
        0 => write!(text, ", not pinned to cores"),
        1 => write!(text, " on core {}", pinned[0]),
        _ => write!(text, " on cores {}", pinned.join(", ")),
    };
    text
}

fn example(bound: &Bound, realm: &str) -> String {
    match bound {
        Bound::Tcp(address) => {
            let host = match address.ip() {
                ip if ip.is_unspecified() => format!("localhost:{}", address.port()),
                _ => address.to_string(),
            };
            format!(
                "const c = new autobahn.Connection({{url: 'ws://{host}/', realm: '{realm}'}});\n    \
                 c.onopen = s => s.subscribe('com.example.hello', args => console.log(args[0])); c.open();"
            )
        }
        Bound::Unix(path) => format!("a RawSocket client at {}, realm {realm}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_and_cores() {
        assert_eq!(shards(&[None]), "1 shard, not pinned to cores");
        assert_eq!(shards(&[Some(3)]), "1 shard on core 3");
        assert_eq!(shards(&[Some(0), Some(2)]), "2 shards on cores 0, 2");
    }

    #[test]
    fn the_example_names_an_address_to_connect_to() {
        let bound = Bound::Tcp("0.0.0.0:81".parse().expect("an address"));
        assert!(example(&bound, "r").contains("ws://localhost:81/"));
        let bound = Bound::Tcp("[::1]:81".parse().expect("an address"));
        assert!(example(&bound, "r").contains("ws://[::1]:81/"));
    }
}
