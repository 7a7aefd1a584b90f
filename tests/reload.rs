//! Another configuration while the router runs: what stays valid goes on, and nothing else.

mod support;

use corebar::auth::config::{Grant, Secret, Source, TicketUser};
use corebar::client::{Connect, Session, Subscription};
use corebar::config::web::PathConfig;
use corebar::config::{ListenAddress, ListenerConfig, RuntimeConfig, TransportConfig};
use corebar::session::role::{Actions, Disclose};
use corebar::session::{Access, Permission, RealmConfig, RoleConfig};
use corebar::transport::listener::Bound;
use corebar::wamp::MatchPolicy::{self, Exact, Prefix};
use corebar::wamp::{Dict, Value};
use serde_json::json;
use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use support::client::{Incoming, payload};
use support::directory::Directory;
use support::node::{self, Reloader};
use support::wire::Transport;
use support::{Client, Wire};
use tokio::sync::watch;
use tokio::task::JoinSet;

const NOT_AUTHORIZED: &str = "wamp.error.not_authorized";
const AUTHORIZE: &str = "com.authorize";
const SOON: Duration = Duration::from_millis(100);

fn role(name: &str, access: Access) -> RoleConfig {
    RoleConfig { name: name.into(), access }
}

/// Everything is allowed for these URIs.
fn rules(list: &[(MatchPolicy, &str)]) -> Access {
    let allow = Actions { call: true, register: true, publish: true, subscribe: true };
    let rule = |(policy, uri): &(MatchPolicy, &str)| Permission {
        uri: (*uri).into(),
        policy: *policy,
        allow,
        disclose: Disclose::default(),
    };
    Access::Rules(list.iter().map(rule).collect())
}

fn user(ticket: &str, role: &str) -> TicketUser {
    TicketUser {
        ticket: Secret(ticket.as_bytes().into()),
        grant: Grant { role: Some(role.into()), ..Grant::default() },
    }
}

fn set_users(config: &mut RuntimeConfig, users: &[(&str, &str, &str)]) {
    let users = users.iter().map(|(name, ticket, role)| ((*name).into(), user(ticket, role)));
    config.transports[0].auth.ticket = Some(Source::Static(users.collect()));
}

fn set_role(config: &mut RuntimeConfig, access: Access) {
    config.realms[0].roles = Some(vec![role("backend", Access::All), role("user", access)]);
}

const USERS: [(&str, &str, &str); 3] = [("joe", "x", "user"), ("jane", "x", "user"), ("backend", "x", "backend")];

/// A router where users may do everything below `com.`, for each test, wire and number of shards.
fn on_every_wire(test: fn(SocketAddr, Wire, &mut Reloader)) {
    for shards in [1, 4] {
        for wire in Wire::all() {
            let config = node::config(|config| {
                config.shards = Some(shards);
                set_role(config, rules(&[(Prefix, "com.")]));
                set_users(config, &USERS);
            });
            node::with_reloader(config, |address, reloader| test(address, wire, reloader));
        }
    }
}

fn join(address: SocketAddr, wire: Wire, authid: &str) -> Client {
    Client::login(address, wire, authid, "x")
}

/// A client that has named a user, and is asked for the ticket.
fn begin(address: SocketAddr, wire: Wire, realm: &str, authid: &str) -> Client {
    let mut client = Client::connect(address, wire);
    let roles = json!({"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}});
    client.send(json!([1, realm, {"roles": roles, "authid": authid, "authmethods": ["ticket"]}]));
    client.expect(4);
    client
}

fn reload(reloader: &mut Reloader, change: impl FnOnce(&mut RuntimeConfig)) -> Vec<String> {
    let (reload, _) = reloader.reload(change).expect("a good configuration");
    assert!(reload.at_start.is_empty(), "{:?}", reload.at_start);
    reload.changes
}

/// Subscribes with a match policy; gives the subscription.
fn subscribe(client: &mut Client, topic: &str, policy: &str) -> u64 {
    let request = client.next();
    client.send(json!([32, request, {"match": policy}, topic]));
    client.expect(33)[2].uint()
}

/// Expects to be told, in any order, that these subscriptions and registrations are no longer there.
fn expect_revoked(client: &mut Client, mut subscriptions: Vec<u64>, mut registrations: Vec<u64>) {
    while !subscriptions.is_empty() || !registrations.is_empty() {
        let told = client.recv();
        let (key, list) = match told[0].uint() {
            35 => ("subscription", &mut subscriptions),
            67 => ("registration", &mut registrations),
            _ => panic!("no revocation: {told:?}"),
        };
        assert_eq!(told[1].uint(), 0);
        assert_eq!(told[2].dict()["reason"].str(), NOT_AUTHORIZED);
        let id = told[2].dict()[key].uint();
        list.swap_remove(list.iter().position(|known| *known == id).expect("one of them"));
    }
}

#[test]
fn what_is_no_longer_allowed_is_taken_away() {
    on_every_wire(|address, wire, reloader| {
        let (mut joe, mut backend) = (join(address, wire, "joe"), join(address, wire, "backend"));
        let stays = joe.subscribe("com.app.x");
        let goes = [
            joe.subscribe("com.other.x"),
            subscribe(&mut joe, "com.", "prefix"),
            subscribe(&mut joe, "com.app..x", "wildcard"),
        ];
        let (offered, lost) = (joe.register("com.app.p"), joe.register("com.other.p"));
        let changes = reload(reloader, |config| set_role(config, rules(&[(Prefix, "com.app.")])));
        assert_eq!(changes, ["realm realm1: role user: is another"]);
        // The wildcard lies within the new prefix.
        expect_revoked(&mut joe, goes[..2].to_vec(), vec![lost]);
        backend.publish("com.other.x", &[]);
        backend.publish("com.app.x", &payload(json!([[1]])));
        joe.expect_event(stays);
        let call = backend.call("com.other.p", &[]);
        backend.expect_error(48, call, "wamp.error.no_such_procedure");
        backend.call("com.app.p", &[]);
        joe.expect_invocation(offered);
        let request = joe.next();
        joe.send(json!([32, request, {}, "com.other.x"]));
        joe.expect_error(32, request, NOT_AUTHORIZED);
        // And back again: what was taken away has to be asked for.
        reload(reloader, |config| set_role(config, rules(&[(Prefix, "com.")])));
        joe.expect_silence(SOON);
        joe.subscribe("com.other.x");
        joe.leave();
    });
}

#[test]
fn testaments_that_are_no_longer_allowed_are_not_published() {
    on_every_wire(|address, wire, reloader| {
        let lists: [&[(MatchPolicy, &str)]; 2] = [
            &[(Prefix, "com."), (Exact, "wamp.session.add_testament")],
            &[(Prefix, "com.app."), (Exact, "wamp.session.add_testament")],
        ];
        reload(reloader, |config| set_role(config, rules(lists[0])));
        let (mut joe, mut backend) = (join(address, wire, "joe"), join(address, wire, "backend"));
        let all = subscribe(&mut backend, "com.", "prefix");
        for topic in ["com.app.will", "com.other.will"] {
            let call = joe.call("wamp.session.add_testament", &payload(json!([[topic, [], {}]])));
            joe.expect_result(call);
        }
        reload(reloader, |config| set_role(config, rules(lists[1])));
        joe.leave();
        let event = backend.expect(36);
        assert_eq!((event[1].uint(), event[3].dict()["topic"].str()), (all, "com.app.will"));
        backend.expect_silence(SOON);
    });
}

#[test]
fn who_is_no_longer_there_is_sent_away() {
    on_every_wire(|address, wire, reloader| {
        let (mut joe, mut jane, mut backend) =
            (join(address, wire, "joe"), join(address, wire, "jane"), join(address, wire, "backend"));
        let changes = reload(reloader, |config| {
            set_users(config, &[("jane", "y", "user"), ("jim", "x", "user"), ("backend", "x", "backend")]);
        });
        assert!(changes[0].ends_with(": ticket user jane: is another"), "{changes:?}");
        assert!(changes[1].ends_with(": ticket user jim: is new"), "{changes:?}");
        assert!(changes[2].ends_with(": ticket user joe: is gone"), "{changes:?}");
        assert_eq!(changes.len(), 3);
        assert_eq!(joe.expect(6)[2].str(), "wamp.close.killed");
        join(address, wire, "jim").leave();
        // Another ticket ends no session.
        jane.subscribe("com.x");
        Client::login(address, wire, "jane", "y").leave();
        let mut late = begin(address, wire, "realm1", "jane");
        late.send(json!([5, "x", {}]));
        late.expect_abort("wamp.error.authentication_denied");
        // Who begins to log in as somebody that is then taken away does not come in.
        let mut between = begin(address, wire, "realm1", "jim");
        reload(reloader, |config| set_users(config, &[("jane", "y", "backend"), ("backend", "x", "backend")]));
        between.send(json!([5, "x", {}]));
        between.expect_abort("wamp.error.authentication_denied");
        assert_eq!(jane.expect(6)[2].str(), "wamp.close.killed", "she is somebody else now");
        reload(reloader, |config| config.realms[0].roles = Some(vec![role("user", Access::All)]));
        assert_eq!(backend.expect(6)[2].str(), "wamp.close.killed", "there is no such role");
    });
}

#[test]
fn realms_come_and_go() {
    on_every_wire(|address, wire, reloader| {
        let refused = || {
            let mut client = Client::connect(address, wire);
            client.send(json!([1, "realm2", {"roles": {"caller": {}}}]));
            client.expect_abort("wamp.error.no_such_realm");
        };
        let mut joe = join(address, wire, "joe");
        refused();
        let realm = || RealmConfig { roles: Some(vec![role("backend", Access::All)]), ..RealmConfig::new("realm2") };
        assert_eq!(reload(reloader, |config| config.realms.push(realm())), ["realm realm2: is new"]);
        let enter = || {
            let mut client = begin(address, wire, "realm2", "backend");
            client.send(json!([5, "x", {}]));
            client.expect(2);
            client
        };
        let mut clients: Vec<Client> = (0..8).map(|_| enter()).collect();
        let subscriptions: Vec<u64> = clients.iter_mut().map(|client| client.subscribe("com.x")).collect();
        let request = clients[0].next();
        clients[0].send(json!([16, request, {"retain": true, "exclude_me": false}, "com.x", [1]]));
        for (client, subscription) in clients.iter_mut().zip(subscriptions) {
            client.expect_event(subscription);
        }
        let changes = reload(reloader, |config| drop(config.realms.pop()));
        assert_eq!(changes, ["realm realm2: is closed"]);
        for client in &mut clients {
            assert_eq!(client.expect(6)[2].str(), "wamp.close.close_realm");
        }
        refused();
        assert_eq!(reload(reloader, |config| config.realms.push(realm())), ["realm realm2: is there again"]);
        let mut again = enter();
        let request = again.next();
        again.send(json!([32, request, {"get_retained": true}, "com.x"]));
        again.expect(33);
        again.expect_silence(SOON);
        joe.subscribe("com.x");
        joe.leave();
    });
}

#[test]
fn listeners_come_and_go() {
    on_every_wire(|address, wire, reloader| {
        let mut joe = join(address, wire, "joe");
        let path = std::env::temp_dir().join(format!("corebar-reload-{}-{}", std::process::id(), address.port()));
        let (_, bound) = reloader
            .reload(|config| {
                let other = ListenAddress::Tcp { host: "localhost".into(), port: 0 };
                let unix = ListenAddress::Unix(path.clone());
                // In front: it must not take over the place of the one that is there.
                let first = ListenerConfig {
                    transport: 1,
                    rawsocket: Some(1),
                    paths: Vec::new(),
                    ..ListenerConfig::plain(other)
                };
                config.listeners.insert(0, first);
                config.listeners.push(ListenerConfig::plain(unix));
                config.transports.push(TransportConfig::default());
                config.transports[1].auth.ticket = Some(Source::Static([("jim".into(), user("z", "user"))].into()));
            })
            .expect("a good configuration");
        let Bound::Tcp(other) = bound[1].clone() else { panic!("a TCP address") };
        assert_eq!(bound[0], Bound::Tcp(address));
        if wire.transport == Transport::RawSocket {
            Client::login(other, wire, "jim", "z").leave();
        }
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
        joe.subscribe("com.x");
        // Back to the first: the sessions that have come by it do not notice.
        reloader
            .reload(|config| {
                config.listeners = config.listeners[1..2].to_vec();
                config.listeners[0].paths.push(PathConfig::websocket("/new", false, 0));
            })
            .expect("a good configuration");
        let refused = (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            !path.exists() && TcpStream::connect(other).is_err()
        });
        assert!(refused, "nobody listens there any longer");
        join(address, wire, "jane").leave();
        joe.subscribe("com.y");
        joe.leave();
    });
}

#[test]
fn a_listener_moves_to_other_addresses_of_its_port() {
    let config = node::config(|config| config.health_listen = "127.0.0.1:0".parse().ok());
    node::with_reloader(config, |address, reloader| {
        let mut there = Client::join(address, Wire::JSON);
        let free =
            || std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let probes = free().port();
        let at = |host: &str, port| ListenAddress::Tcp { host: host.into(), port };
        // The first one has a port of its own choice; then it moves, and back.
        for host in ["", "127.0.0.1", "0.0.0.0"] {
            let (reload, bound) = reloader
                .reload(|config| {
                    config.listeners[0] = ListenerConfig::plain(at(host, address.port()));
                    config.health_listen = Some(at(host, probes));
                })
                .expect("the port is free as soon as nobody else wants it");
            assert!(reload.changes.len() >= 2 && bound.len() > 1, "{:?} {bound:?}", reload.changes);
            Client::join(address, Wire::JSON).leave();
            TcpStream::connect(("127.0.0.1", probes)).expect("the port for probes moves, too");
        }
        // They change their ports with each other.
        let (_, bound) = reloader
            .reload(|config| {
                config.listeners[0] = ListenerConfig::plain(at("127.0.0.1", probes));
                config.health_listen = Some(at("127.0.0.1", address.port()));
            })
            .expect("each is free when the other has gone");
        assert!(bound.contains(&Bound::Tcp(([127, 0, 0, 1], probes).into())), "{bound:?}");
        Client::join(([127, 0, 0, 1], probes).into(), Wire::JSON).leave();
        // One that nobody gives up: what was closed for the sake of the other one is there again.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("an address").port();
        let wrong = reloader.reload(|config| {
            config.listeners = vec![ListenerConfig::plain(at("", probes)), ListenerConfig::plain(at("", port))];
            config.health_listen = Some(at("", address.port()));
        });
        assert!(wrong.is_err_and(|wrong| wrong.contains("in use")));
        Client::join(([127, 0, 0, 1], probes).into(), Wire::JSON).leave();
        TcpStream::connect(address).expect("the port for probes is there again");
        there.subscribe("com.x");
        there.leave();
    });
}

#[test]
fn a_configuration_that_cannot_work_changes_nothing() {
    on_every_wire(|address, wire, reloader| {
        let mut joe = join(address, wire, "joe");
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("an address").port();
        let wrong = reloader.reload(|config| {
            set_users(config, &[]);
            let address = ListenAddress::Tcp { host: "127.0.0.1".into(), port };
            config.listeners.push(ListenerConfig::plain(address));
        });
        assert!(wrong.is_err_and(|wrong| wrong.contains("in use")));
        let wrong = reloader.reload(|config| config.realms.clear());
        // Realms that are gone are closed; but a configuration without any is none.
        assert!(wrong.is_err_and(|wrong| wrong.contains("no realm")));
        joe.subscribe("com.x");
        join(address, wire, "jane").leave();
        let (reload, _) = reloader.reload(|config| (config.shards, config.pin) = (Some(9), true)).expect("it can stay");
        assert_eq!(reload.at_start.len(), 2);
        assert!(reload.is_empty());
        joe.leave();
    });
}

#[test]
fn limits_hold_from_then_on() {
    on_every_wire(|address, wire, reloader| {
        let mut joe = join(address, wire, "joe");
        joe.subscribe("com.a");
        let changes = reload(reloader, |config| {
            config.limits.subscriptions_max = 1;
            config.realms[0].sessions_max = Some(2);
            config.ping_interval = Duration::from_millis(50);
            config.ping_timeout = Duration::from_secs(20);
        });
        assert_eq!(changes.len(), 4, "{changes:?}");
        let request = joe.next();
        joe.send(json!([32, request, {}, "com.b"]));
        joe.expect_error(32, request, "wamp.error.limit_exceeded");
        let jane = join(address, wire, "jane");
        let mut third = begin(address, wire, "realm1", "joe");
        third.send(json!([5, "x", {}]));
        third.expect_abort("wamp.error.limit_exceeded");
        // Pings that are taken back while somebody is asked.
        std::thread::sleep(Duration::from_millis(120));
        reload(reloader, |config| {
            config.realms[0].sessions_max = None;
            config.ping_interval = Duration::ZERO;
        });
        join(address, wire, "joe").leave();
        jane.leave();
        joe.leave();
    });
}

#[test]
fn an_authorizer_comes_and_looks_at_what_is_there() {
    on_every_wire(|address, wire, reloader| {
        let (mut joe, mut backend) = (join(address, wire, "joe"), join(address, wire, "backend"));
        let subscriptions = [joe.subscribe("com.good"), joe.subscribe("com.bad")];
        let registrations = [joe.register("com.good.p"), joe.register("com.bad.p")];
        let asked = backend.register(AUTHORIZE);
        reload(reloader, |config| set_role(config, Access::Authorizer(AUTHORIZE.into())));
        // What it wants now waits until it is known what it may keep.
        let request = joe.next();
        joe.send(json!([32, request, {}, "com.later"]));
        let mut wanted = Vec::new();
        for _ in 0..5 {
            let (invocation, arguments) = backend.expect_invocation(asked);
            let arguments = arguments.first().expect("arguments").list();
            wanted.push((arguments[2].str().to_string(), arguments[1].str().to_string()));
            let allowed = !arguments[1].str().contains("bad");
            backend.send(json!([70, invocation, {}, [allowed]]));
        }
        wanted[..4].sort();
        let about = |action: &str, uri: &str| (action.to_string(), uri.to_string());
        assert_eq!(
            wanted,
            [
                about("register", "com.bad.p"),
                about("register", "com.good.p"),
                about("subscribe", "com.bad"),
                about("subscribe", "com.good"),
                about("subscribe", "com.later"),
            ]
        );
        let mut revoked = Vec::new();
        for _ in 0..3 {
            let told = joe.recv();
            revoked.push((told[0].uint(), told[1].uint()));
        }
        revoked.sort_unstable();
        assert_eq!(revoked, [(33, request), (35, 0), (67, 0)]);
        backend.publish("com.bad", &[]);
        backend.publish("com.good", &[]);
        joe.expect_event(subscriptions[0]);
        backend.call("com.good.p", &[]);
        joe.expect_invocation(registrations[0]);
        joe.leave();
    });
}

/// Subscribes to three topics; gives the requests.
fn ask(joe: &mut Client) -> [u64; 3] {
    ["com.app.a", "com.other.b", "com.app.c"].map(|topic| {
        let request = joe.next();
        joe.send(json!([32, request, {}, topic]));
        request
    })
}

#[test]
fn what_stands_at_a_gate_goes_on_under_the_new_rules() {
    on_every_wire(|address, wire, reloader| {
        reload(reloader, |config| set_role(config, Access::Authorizer(AUTHORIZE.into())));
        let (mut joe, mut backend) = (join(address, wire, "joe"), join(address, wire, "backend"));
        let asked = backend.register(AUTHORIZE);
        let requests = ask(&mut joe);
        let (first, _) = backend.expect_invocation(asked);
        // Another authorizer is asked anew, and what the old one says counts no longer.
        reload(reloader, |config| set_role(config, Access::Authorizer("com.other".into())));
        backend.send(json!([70, first, {}, [true]]));
        for request in &requests {
            joe.expect_error(32, *request, "wamp.error.authorization_failed");
        }
        reload(reloader, |config| set_role(config, Access::Authorizer(AUTHORIZE.into())));
        let call = joe.next();
        joe.send(json!([48, call, {}, "com.other.p"]));
        joe.send(json!([49, call, {}]));
        joe.expect_error(48, call, "wamp.error.canceled");
        let requests = ask(&mut joe);
        reload(reloader, |config| set_role(config, rules(&[(Prefix, "com.app.")])));
        let mut answers = Vec::new();
        for _ in 0..3 {
            let answer = joe.recv();
            answers.push(if answer[0].uint() == 33 { answer[1].uint() } else { answer[2].uint() });
        }
        answers.sort_unstable();
        assert_eq!(answers, requests);
        // The authorizer still answers what it was asked, and nobody minds.
        while let Incoming::Message(question) = backend.poll(SOON) {
            if question[0].uint() == 68 {
                backend.send(json!([70, question[1].uint(), {}, [true]]));
            }
        }
        joe.publish("com.app.a", &[]);
        joe.leave();
        backend.leave();
    });
}

/// Sessions that hear events while the configuration changes; topics of which each has two; publishers; changes.
const HEARERS: usize = 500;
const TOPICS: usize = 30;
const PUBLISHERS: usize = 4;
const ROUNDS: usize = 20;

/// A configuration that differs from that of the round before in everything that sessions can live through.
fn in_round(round: usize) -> String {
    let allow = json!({"call": true, "register": true, "publish": true, "subscribe": true});
    let rule = |uri: &str| json!({"uri": uri, "match": "prefix", "allow": allow});
    // What is used is allowed by another rule each time.
    let rules = [vec![rule("com.")], vec![rule("com.app."), rule("com.other.")], vec![rule("")]];
    let limits = [json!({}), json!({"calls_max": 17, "subscriptions_max": 50})];
    let unix = |name: &str| json!({"type": "rawsocket", "endpoint": {"type": "unix", "path": name}});
    let paths = [json!({"type": "websocket"}), json!({"type": "websocket", "options": {"auto_ping_interval": 60000}})];
    let mut websocket = json!({"/": {"type": "websocket"}});
    websocket[format!("path{}", round % 4)] = paths[round % 2].clone();
    let endpoint = json!({"type": "tcp", "port": 0, "interface": "127.0.0.1"});
    let universal = json!({"type": "universal", "endpoint": endpoint, "rawsocket": {}, "websocket": websocket});
    // The second transport is there at first only, and whoever came by it stays.
    let transports = [universal, unix(if round == 0 { "first.sock" } else { ["a.sock", "b.sock"][round % 2] })];
    let role = |name: &str| json!({"name": name, "permissions": rules[round % 3]});
    let realms = ["realm1", ["realm2", "realm3"][round % 2]];
    let realms = realms.map(|name| json!({"name": name, "roles": [role("anonymous"), role(&format!("role{round}"))]}));
    json!({
        "version": 2,
        "corebar": {"shards": 2, "pin": false, "limits": limits[round % 2], "transport": {"ping_interval": 30 + round}},
        "workers": [{"type": "router", "realms": realms, "transports": transports}],
    })
    .to_string()
}

fn topic(number: usize) -> String {
    format!("com.app.topic{number}")
}

/// Publishes to all topics in turn, until it is over; then to each once more, and says that it is the last.
async fn publish(session: Session, number: usize, over: watch::Receiver<bool>) -> Session {
    let mut round: u64 = 0;
    loop {
        let last = *over.borrow();
        for to in 0..TOPICS {
            let args = vec![Value::from(number as u64), Value::from(round), Value::Bool(last)];
            session.publish(&topic(to), args, Dict::new(), Dict::new()).await.expect("published");
            tokio::time::sleep(Duration::from_millis(if last { 0 } else { 1 })).await;
        }
        if last {
            return session;
        }
        round += 1;
    }
}

/// Hears everything that comes, to the last event of each publisher.
async fn hear(mut events: Subscription) -> Subscription {
    let mut next = HashMap::new();
    let mut lasts = 0;
    while lasts < PUBLISHERS {
        let event = events.next().await.expect("the session stays, and what it hears");
        let [publisher, round, last] = &event.args[..] else { panic!("{event:?}") };
        let next = next.entry(publisher.as_uint()).or_insert(0);
        assert_eq!(round.as_uint(), Some(*next), "of {publisher:?}: none lost, doubled or overtaken");
        *next += 1;
        lasts += usize::from(*last == Value::Bool(true));
    }
    events
}

/// Calls one after the other until it is over; gives how many.
async fn call(session: Session, over: watch::Receiver<bool>) -> u64 {
    let mut count = 0;
    while !*over.borrow() {
        let args = vec![Value::from(count)];
        let outcome = session.call("com.app.echo", args.clone(), Dict::new(), Dict::new()).await.expect("a result");
        assert_eq!(outcome.args, args);
        count += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    count
}

#[test]
fn no_session_notices_that_everything_else_changes() {
    let directory = Arc::new(Directory::new("reload-traffic", &in_round(0)));
    let router = directory.start();
    let unix = format!("unix://{}", directory.path("first.sock").display());
    let urls = [router.url(), format!("rs://{}", router.address()), unix];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let join = async |number: usize| Connect::new(&urls[number % 3], "realm1").open().await.expect("a session");
        let mut hearers = JoinSet::new();
        for number in 0..HEARERS {
            let session = join(number).await;
            let topics = [number % TOPICS, (number + 1 + number / TOPICS % (TOPICS - 1)) % TOPICS].map(topic);
            let one = session.subscribe(&topics[0], Dict::new()).await.expect("subscribed");
            let other = session.subscribe(&topics[1], Dict::new()).await.expect("subscribed");
            hearers.spawn(async move {
                let (mut one, mut other) = tokio::join!(hear(one), hear(other));
                session.leave("wamp.close.normal").await;
                assert_eq!((one.next().await, other.next().await), (None, None), "nothing else has come");
            });
        }
        let callee = join(2).await;
        let mut calls = callee.register("com.app.echo", Dict::new()).await.expect("registered");
        let echo = tokio::spawn(async move {
            while let Some(mut call) = calls.next().await {
                let args = std::mem::take(&mut call.args);
                call.finish(args, Dict::new());
            }
        });
        let (end, over) = watch::channel(false);
        let mut publishers = JoinSet::new();
        for number in 0..PUBLISHERS {
            publishers.spawn(publish(join(number).await, number, over.clone()));
        }
        let caller = tokio::spawn(call(join(1).await, over));
        for round in 1..=ROUNDS {
            directory.write(&in_round(round));
            let there = directory.clone();
            let reload = move || there.output("reload", &["--json"]);
            let output = tokio::task::spawn_blocking(reload).await.expect("no panic");
            let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let changes = told["changes"].as_array().map_or(0, Vec::len);
            assert!(output.status.success() && changes >= 5 && told["at_start"] == json!([]), "{output:?}");
        }
        end.send(true).expect("they listen");
        for session in publishers.join_all().await {
            session.leave("wamp.close.normal").await;
        }
        hearers.join_all().await;
        assert!(caller.await.expect("it has not failed") > 0);
        callee.leave("wamp.close.normal").await;
        echo.await.expect("it has not failed");
    });
    router.signal("TERM");
    assert!(router.wait(Duration::from_secs(20)).success());
}
