//! A router that is told to end: nobody is cut off in the middle of what they do.

mod support;

use serde_json::json;
use std::time::{Duration, Instant};
use support::client::Incoming;
use support::directory::Directory;
use support::{Client, Router, Wire};

const PATIENCE: Duration = Duration::from_secs(20);
const UNAVAILABLE: &str = "wamp.error.unavailable";

/// A router with these times for draining, which goes with its directory.
struct Node {
    router: Router,
    _directory: Directory,
}

impl Node {
    fn start(name: &str, shards: u16, drain: &serde_json::Value) -> Node {
        let config = json!({
            "version": 2,
            "corebar": {"shards": shards, "pin": false, "drain": drain},
            "workers": [{
                "type": "router",
                "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": [
                    {"uri": "", "match": "prefix", "allow": {"call": true, "register": true, "publish": true, "subscribe": true}},
                ]}]}],
                "transports": [{"type": "universal", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
                    "rawsocket": {},
                    "websocket": {"/": {"type": "websocket"}},
                }],
            }],
        });
        let directory = Directory::new(&format!("drain-{name}-{shards}"), &config.to_string());
        Node { router: directory.start(), _directory: directory }
    }

    fn join(&self, wire: Wire) -> Client {
        Client::join(self.router.address(), wire)
    }
}

fn on_all(name: &str, drain: &serde_json::Value, test: fn(&Node, Wire)) {
    for shards in [1, 4] {
        for wire in Wire::all() {
            let node = Node::start(name, shards, drain);
            test(&node, wire);
            assert!(node.router.wait(PATIENCE).success());
        }
    }
}

/// Expects GOODBYE, and answers it; gives when the client is to come back.
#[track_caller]
fn expect_goodbye(client: &mut Client) -> u64 {
    let goodbye = client.expect(6);
    assert_eq!(goodbye[2].str(), "wamp.close.system_shutdown");
    client.send(json!([6, {}, "wamp.close.goodbye_and_out"]));
    goodbye[1].dict()["_retry_after_ms"].uint()
}

#[test]
fn calls_in_flight_are_finished() {
    on_all("calls", &json!({"retry_spread": 0.25}), |node, wire| {
        let (mut caller, mut callee, mut idle) = (node.join(wire), node.join(wire), node.join(wire));
        let registration = callee.register("com.p");
        let call = caller.call("com.p", &[]);
        let (invocation, _) = callee.expect_invocation(registration);
        node.router.signal("TERM");
        assert!(expect_goodbye(&mut idle) <= 250);
        // Nothing new begins.
        let request = caller.next();
        caller.send(json!([48, request, {}, "com.p"]));
        caller.expect_error(48, request, UNAVAILABLE);
        let request = callee.next();
        callee.send(json!([64, request, {}, "com.q"]));
        callee.expect_error(64, request, UNAVAILABLE);
        // Publications are no matter of time.
        let request = caller.next();
        caller.send(json!([16, request, {"acknowledge": true}, "com.x"]));
        caller.expect(17);
        caller.expect_silence(Duration::from_millis(50));
        callee.send(json!([70, invocation, {}, ["done"]]));
        let result = caller.expect(50);
        assert_eq!((result[1].uint(), result[3].list()[0].str()), (call, "done"));
        expect_goodbye(&mut caller);
        expect_goodbye(&mut callee);
    });
}

#[test]
fn who_does_not_finish_is_not_waited_for() {
    on_all("hung", &json!({"calls_timeout": 0.3}), |node, wire| {
        let (mut caller, mut callee) = (node.join(wire), node.join(wire));
        let registration = callee.register("com.p");
        let call = caller.call("com.p", &[]);
        callee.expect_invocation(registration);
        let begun = Instant::now();
        node.router.signal("TERM");
        // Whichever goes first: the call ends, by an answer or with the session of its caller.
        if let Incoming::Message(last) = caller.poll(PATIENCE) {
            match last[0].uint() {
                8 => {
                    assert_eq!(last[2].uint(), call);
                    expect_goodbye(&mut caller);
                }
                code => assert_eq!(code, 6),
            }
        }
        assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
    });
}

#[test]
fn leave_is_taken_over_a_time() {
    on_all("spread", &json!({"spread": 0.6}), |node, wire| {
        let mut callee = node.join(wire);
        let registration = callee.register("com.p");
        let mut clients: Vec<Client> = (0..20).map(|_| node.join(wire)).collect();
        node.router.signal("TERM");
        let begun = Instant::now();
        let mut times = Vec::new();
        let mut served = 0;
        let mut last = None;
        while !clients.is_empty() {
            assert!(begun.elapsed() < PATIENCE);
            clients.retain_mut(|client| match client.poll(Duration::from_millis(1)) {
                Incoming::Message(message) if message[0].uint() == 6 => {
                    times.push(begun.elapsed());
                    client.send(json!([6, {}, "wamp.close.goodbye_and_out"]));
                    false
                }
                _ => true,
            });
            // Those who are left can still call.
            if let Some(client) = clients.last_mut() {
                let call = client.call("com.p", &[]);
                let Incoming::Message(invocation) = callee.poll(Duration::from_millis(20)) else { continue };
                if invocation[0].uint() == 6 {
                    last = Some(begun.elapsed());
                }
                if invocation[0].uint() == 68 {
                    assert_eq!(invocation[2].uint(), registration);
                    callee.send(json!([70, invocation[1].uint(), {}]));
                    match client.recv() {
                        result if result[0].uint() == 50 => assert_eq!(result[1].uint(), call),
                        _ => continue,
                    }
                    served += 1;
                }
            }
        }
        assert!(served > 0);
        assert!(times[0] + Duration::from_millis(100) < times[times.len() - 1], "{times:?}");
        let last = last.unwrap_or_else(|| {
            callee.expect(6);
            begun.elapsed()
        });
        assert!(last >= Duration::from_millis(500), "callees come last");
        callee.send(json!([6, {}, "wamp.close.goodbye_and_out"]));
    });
}

#[test]
fn who_comes_late_is_told_to_come_back() {
    on_all("late", &json!({"delay": 0.2, "retry_spread": 0.25}), |node, wire| {
        let mut waiting = Client::connect(node.router.address(), wire);
        let (mut caller, mut callee) = (node.join(wire), node.join(wire));
        let registration = callee.register("com.p");
        caller.call("com.p", &[]);
        let (invocation, _) = callee.expect_invocation(registration);
        node.router.signal("TERM");
        // For a while all goes on as usual.
        node.join(wire).leave();
        let patience = Instant::now();
        while std::net::TcpStream::connect(node.router.address()).is_ok() {
            assert!(patience.elapsed() < PATIENCE, "nobody new is accepted after a while");
            std::thread::sleep(Duration::from_millis(10));
        }
        waiting.send(json!([1, "realm1", {"roles": {"caller": {}}}]));
        let abort = waiting.expect_abort("wamp.close.system_shutdown");
        assert!(abort[1].dict()["_retry_after_ms"].uint() <= 250);
        callee.send(json!([70, invocation, {}]));
        caller.expect(50);
        expect_goodbye(&mut caller);
        expect_goodbye(&mut callee);
    });
}

#[test]
fn who_is_about_to_log_in_is_told_to_come_back() {
    let ticket = json!({"type": "static", "principals": {"joe": {"ticket": "x", "role": "user"}}});
    let config = json!({"version": 2, "corebar": {"drain": {"calls_timeout": 20}}, "workers": [{"type": "router",
        "realms": [{"name": "realm1", "roles": [{"name": "user", "permissions": [
            {"uri": "", "match": "prefix", "allow": {"call": true, "register": true}}]}]}],
        "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
            "auth": {"ticket": ticket}}]}]});
    let directory = Directory::new("drain-login", &config.to_string());
    let router = directory.start();
    let login = || Client::login(router.address(), Wire::JSON, "joe", "x");
    let (mut caller, mut callee, mut idle) = (login(), login(), login());
    let registration = callee.register("com.p");
    caller.call("com.p", &[]);
    let (invocation, _) = callee.expect_invocation(registration);
    let mut late = Client::connect(router.address(), Wire::JSON);
    late.send(json!([1, "realm1", {"roles": {"caller": {}}, "authid": "joe", "authmethods": ["ticket"]}]));
    late.expect(4);
    router.signal("TERM");
    expect_goodbye(&mut idle);
    // It could call nobody any more, and its calls would be cut.
    late.send(json!([5, "x", {}]));
    late.expect_abort("wamp.close.system_shutdown");
    callee.send(json!([70, invocation, {}]));
    caller.expect(50);
    expect_goodbye(&mut caller);
    callee.expect(67);
    expect_goodbye(&mut callee);
    assert!(router.wait(PATIENCE).success());
}
