//! One process in the place of another: nobody is turned away meanwhile.

mod support;

use serde_json::{Value as Json, json};
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::directory::Directory;
use support::{Client, Router, Wire};

const PATIENCE: Duration = Duration::from_secs(20);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it listens").port()
}

fn config(port: u16, probes: u16, more: &[Json]) -> String {
    let mut workers = vec![json!({
        "type": "router",
        "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": []}]}],
        "transports": [
            {"type": "websocket", "endpoint": {"type": "tcp", "port": port, "interface": "127.0.0.1"}},
            {"type": "rawsocket", "endpoint": {"type": "unix", "path": "router.sock"}},
        ],
    })];
    workers.extend_from_slice(more);
    let drain = json!({"delay": 30, "spread": 0.2});
    let health = json!({"listen": format!("127.0.0.1:{probes}")});
    let settings = json!({"shards": 2, "pin": false, "drain": drain, "health": health});
    json!({"version": 2, "corebar": settings, "workers": workers}).to_string()
}

fn status(directory: &Directory) -> Json {
    let output = directory.output("status", &["--json"]);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Waits until the node in a directory is this process, and it has all that it can have only alone.
fn wait_until_alone(directory: &Directory, router: &Router) {
    router.expect_log("the configuration and its files have been read again");
    assert_eq!(status(directory)["node"]["pid"], router.pid());
}

#[test]
fn nobody_is_turned_away() {
    let (port, probes) = (free_port(), free_port());
    let note = "echo start $$ >> guest.log; trap 'echo stop $$ >> guest.log; exit' TERM; sleep 60 & wait";
    let guest = json!({"type": "guest", "executable": "/bin/sh", "arguments": ["-c", note]});
    let directory = Directory::new("handover", &config(port, probes, &[guest]));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let old = directory.start();
    let mut session = Client::join(address, Wire::JSON);
    let wait_for_guest = |lines: usize| {
        let start = Instant::now();
        while fs::read_to_string(directory.path("guest.log")).unwrap_or_default().lines().count() < lines {
            assert!(start.elapsed() < PATIENCE, "the guest does not run");
            thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for_guest(1);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Sessions come without a pause; each of them is welcome.
        let comers = scope.spawn(|| {
            let mut came = 0;
            while !over.load(Ordering::Relaxed) {
                Client::join(address, Wire::JSON).leave();
                came += 1;
            }
            came
        });
        let new = Router::run(directory.command("start", &["--take-over"]));
        let goodbye = session.expect(6);
        assert_eq!(goodbye[2].str(), "wamp.close.system_shutdown");
        session.send(json!([6, {}, "wamp.close.goodbye_and_out"]));
        // Without waiting for the delay that is for load balancers.
        assert!(old.wait(PATIENCE).success());
        old.expect_log("another process has taken over");
        wait_until_alone(&directory, &new);
        wait_for_guest(3);
        let guests = fs::read_to_string(directory.path("guest.log")).expect("it is there");
        let words: Vec<&str> = guests.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(words, ["start", "stop", "start"], "one guest at a time");
        over.store(true, Ordering::Relaxed);
        assert!(comers.join().expect("nobody is refused") > 10);
        TcpStream::connect(("127.0.0.1", probes)).expect("the port for probes is open again");
        UnixStream::connect(directory.path("router.sock")).expect("the Unix socket is there");
        // And once more, by the one that came second.
        let third = Router::run(directory.command("start", &["--take-over"]));
        assert!(new.wait(PATIENCE).success());
        wait_until_alone(&directory, &third);
        Client::join(address, Wire::JSON).leave();
        assert_eq!(directory.output("reload", &[]).status.code(), Some(0));
        assert_eq!(directory.output("stop", &["--timeout", "1"]).status.code(), Some(1), "the delay holds here");
        third.signal("TERM");
        third.wait(PATIENCE);
    });
    assert!(!directory.path("router.sock").exists() || UnixStream::connect(directory.path("router.sock")).is_err());
}

#[test]
fn files_of_sockets_go_with_the_last_process() {
    let mut config: Json = serde_json::from_str(&config(free_port(), free_port(), &[])).expect("JSON");
    config["corebar"]["drain"] = json!({"delay": 0});
    let directory = Directory::new("handover-files", &config.to_string());
    let old = directory.start();
    let new = Router::run(directory.command("start", &["--take-over"]));
    assert!(old.wait(PATIENCE).success());
    wait_until_alone(&directory, &new);
    UnixStream::connect(directory.path("router.sock")).expect("the socket is there");
    new.signal("TERM");
    assert!(new.wait(PATIENCE).success());
    assert!(!directory.path("router.sock").exists());
}

#[test]
fn without_a_node_it_is_a_plain_start() {
    let directory = Directory::new("handover-none", &config(free_port(), free_port(), &[]));
    let router = Router::run(directory.command("start", &["--take-over"]));
    assert_eq!(status(&directory)["node"]["pid"], router.pid());
}

#[test]
fn who_gives_up_changes_nothing() {
    let port = free_port();
    let directory = Directory::new("handover-not", &config(port, free_port(), &[]));
    let router = directory.start();
    // It asks, and goes without a word.
    let mut asking = UnixStream::connect(directory.path("node.sock")).expect("it can be asked");
    asking.write_all(b"take over\n").expect("it listens");
    drop(asking);
    // So does one that wants nothing that there is.
    UnixStream::connect(directory.path("node.sock"))
        .and_then(|mut one| one.write_all(b"everything"))
        .expect("it listens");
    router.expect_log("the process that wanted to take over has not");
    // One whose configuration cannot work asks, and fails.
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = held.local_addr().expect("it listens").port();
    let other = json!({"type": "router",
        "realms": [{"name": "realm2", "roles": []}],
        "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": taken, "interface": "127.0.0.1"}}]});
    directory.write(&config(port, free_port(), &[other]));
    let output = directory.output("start", &["--take-over"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("the address is in use"), "{error}");
    Client::join(SocketAddr::from(([127, 0, 0, 1], port)), Wire::JSON).leave();
    assert_eq!(status(&directory)["node"]["pid"], router.pid());
    UnixStream::connect(directory.path("router.sock")).expect("its Unix socket is still there");
}

#[test]
fn a_file_that_one_process_holds_keeps_it_in_its_place() {
    let store = json!({"type": "cfxdb", "path": "kept", "event-history": [{"uri": "com.kept"}]});
    let cookies = json!({"store": {"type": "file", "filename": "kept.cookies"}});
    let places = [("/workers/0/realms/0", "store", store), ("/workers/0/transports/0", "cookie", cookies)];
    for (at, key, value) in places {
        let port = free_port();
        let kept = |text: String| {
            let mut config: Json = serde_json::from_str(&text).expect("JSON");
            config.pointer_mut(at).expect("it is there")[key] = value.clone();
            config.to_string()
        };
        let directory = Directory::new(&format!("handover-held-{key}"), &kept(config(port, free_port(), &[])));
        let router = directory.start();
        let output = directory.output("start", &["--take-over"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains("/kept."), "{error}");
        Client::join(SocketAddr::from(([127, 0, 0, 1], port)), Wire::JSON).leave();
        assert_eq!(status(&directory)["node"]["pid"], router.pid());
    }
}

/// Two that take the place of one would both serve, and neither would know of the other.
#[test]
fn one_process_at_a_time_takes_over() {
    let (port, probes) = (free_port(), free_port());
    let directory = Directory::new("handover-two", &config(port, probes, &[]));
    let old = directory.start();
    let mut first = UnixStream::connect(directory.path("node.sock")).expect("the node has an office");
    first.write_all(b"take over\n").expect("it listens");
    old.expect_log("another process wants to take over");
    // If it were let, it would end by itself.
    let second = directory.output("start", &["--take-over", "--shutdown-after", "10"]);
    let said = String::from_utf8_lossy(&second.stderr).trim().to_string();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.ends_with("is being replaced by another process already"), "{said}");
    // The first one has given up, and another may.
    drop(first);
    old.expect_log("the process that wanted to take over has not");
    let new = Router::run(directory.command("start", &["--take-over"]));
    Client::join(SocketAddr::from(([127, 0, 0, 1], port)), Wire::JSON).leave();
    assert!(old.wait(Duration::from_secs(60)).success());
    wait_until_alone(&directory, &new);
    new.signal("TERM");
}
