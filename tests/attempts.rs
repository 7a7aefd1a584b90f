//! Those who guess are slowed down, others hardly; and realms and users have as many sessions as they may.

mod support;

use corebar::auth::config::{Grant, Secret, Source, TicketUser};
use corebar::config::RuntimeConfig;
use corebar::session::{Access, RealmConfig, RoleConfig};
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use support::client::payload;
use support::{Client, Tunnel, Wire, node};

const DENIED: &str = "wamp.error.authentication_denied";
const FAILED: &str = "wamp.error.authentication_failed";
const LIMIT: &str = "wamp.error.limit_exceeded";

fn configure(config: &mut RuntimeConfig) {
    let role = RoleConfig { name: "user".into(), access: Access::All };
    config.realms = vec![RealmConfig { roles: Some(vec![role]), ..RealmConfig::new("realm1") }];
    let grant = Grant { role: Some("user".into()), ..Grant::default() };
    let user = |name: &str| {
        let ticket = Secret(b"right".as_slice().into());
        (name.into(), TicketUser { ticket, grant: grant.clone() })
    };
    config.transports[0].auth.ticket = Some(Source::Static(["joe", "jane", "jim"].map(user).into()));
}

fn log_in(address: SocketAddr, wire: Wire, authid: &str, ticket: &str) -> Client {
    let mut client = Client::connect(address, wire);
    client.send(json!([1, "realm1", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": authid}]));
    client.expect(4);
    client.send(json!([5, ticket, {}]));
    client
}

/// How long it takes to hear of a failure.
fn fails(address: SocketAddr, authid: &str) -> Duration {
    let begun = Instant::now();
    log_in(address, any_wire(), authid, "wrong").expect_abort(DENIED);
    begun.elapsed()
}

fn any_wire() -> Wire {
    Wire::all().next().expect("a wire")
}

#[test]
fn who_guesses_waits() {
    for shards in [1, 4] {
        let change = |config: &mut RuntimeConfig| {
            configure(config);
            config.listeners[0].proxy_protocol = vec!["127.0.0.0/8".parse().expect("a network")];
            config.limits.failed_attempts_free = 3;
            config.limits.failed_attempt_delay_max = Duration::from_millis(1500);
            config.limits.authentication_timeout = Duration::from_secs(6);
            config.shards = Some(shards);
        };
        node::with_router(change, |address| {
            let from = |text: &str| {
                let first = format!("PROXY TCP4 {text} 192.0.2.1 80 1\r\n").into_bytes();
                Tunnel { first, ..Tunnel::default() }.open(address)
            };
            let (here, there) = (from("192.0.2.7"), from("192.0.2.8"));
            let millis = Duration::from_millis;
            let at_once = |time: Duration| time < millis(1000);
            assert!((0..3).all(|_| at_once(fails(here, "joe"))));
            let times: Vec<Duration> = (0..5).map(|_| fails(here, "joe")).collect();
            for (time, least) in times.iter().zip([100, 200, 400, 800, 1500]) {
                assert!(*time >= millis(least), "{times:?}");
            }
            // The address waits whoever it says it is, right or wrong, and the user wherever it comes from.
            assert!(fails(here, "jane") >= millis(1500));
            let begun = Instant::now();
            log_in(here, any_wire(), "jane", "right").expect(2);
            assert!(begun.elapsed() >= millis(1500));
            assert!(fails(there, "joe") >= millis(1500));
            assert!(at_once(fails(there, "jim")));
            for wire in Wire::all() {
                let begun = Instant::now();
                log_in(there, wire, "jane", "right").expect(2);
                assert!(at_once(begun.elapsed()));
            }
            // Many at once do not help, and are refused when they would wait too long; others go on.
            let many: Vec<Client> = (0..20).map(|_| log_in(here, any_wire(), "joe", "wrong")).collect();
            let mut later = log_in(there, any_wire(), "jane", "right");
            later.expect(2);
            let reasons: Vec<String> = many.into_iter().map(|mut one| one.recv()[2].str().to_owned()).collect();
            assert!(reasons.iter().any(|reason| reason == DENIED) && reasons.iter().any(|reason| reason == FAILED));
        });
    }
}

/// Waits until somebody may come in again: that others have gone is noticed a little later.
fn soon(address: SocketAddr, wire: Wire, authid: &str) -> Client {
    let begun = Instant::now();
    loop {
        let mut client = log_in(address, wire, authid, "right");
        if client.recv()[0].uint() == 2 {
            return client;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "a place was given back");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn realms_and_users_have_so_many_sessions() {
    let change = |config: &mut RuntimeConfig| {
        configure(config);
        config.realms[0].sessions_max = Some(3);
        config.realms[0].sessions_per_authid_max = Some(2);
    };
    node::on_every_wire(change, |address, wire| {
        let mut joe = soon(address, wire, "joe");
        let mut second = soon(address, wire, "joe");
        log_in(address, wire, "joe", "right").expect_abort(LIMIT);
        let jane = soon(address, wire, "jane");
        log_in(address, wire, "jim", "right").expect_abort(LIMIT);
        // Places are given back by whoever goes, however that is.
        drop(jane);
        let mut jim = soon(address, wire, "jim");
        second.send(json!([6, {}, "wamp.close.normal"]));
        second.expect(6);
        let jane = soon(address, wire, "jane");
        let kill = joe.call("wamp.session.kill_by_authid", &payload(json!([["jim"]])));
        joe.expect_result(kill);
        jim.expect(6);
        let third = soon(address, wire, "jim");
        drop((joe, jane, third));
        drop(["joe", "jane", "jim"].map(|authid| soon(address, wire, authid)));
    });
}
