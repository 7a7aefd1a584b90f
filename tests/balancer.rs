//! Two nodes behind a load balancer: each can be stopped and started again while clients work, and nothing is lost.

mod support;

use corebar::client::{Connect, RequestError, Session};
use corebar::wamp::{Dict, Value};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::directory::Directory;
use support::{Client, Router, Wire, install};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(30);
const CLIENTS: u64 = 8;
const TOPIC: &str = "com.app.news";
const PROCEDURE: &str = "com.app.work";
const NONE: Dict = Dict::new();

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it listens").port()
}

/// One client's request: its number among all clients, and its own.
type Request = (u64, u64);

fn read(args: &[Value]) -> Request {
    let number = |at: usize| args.get(at).and_then(Value::as_uint).expect("a number");
    (number(0), number(1))
}

fn written((client, number): Request) -> Vec<Value> {
    [client, number].map(|number| Value::Int(i64::try_from(number).expect("a small number"))).to_vec()
}

/// A node, its services and what it is known to have done.
struct Node {
    name: &'static str,
    directory: Directory,
    port: u16,
    /// What its service was called for and has answered.
    answered: Mutex<Vec<Request>>,
}

impl Node {
    fn new(name: &'static str) -> Node {
        let port = free_port();
        let allow = json!({"call": true, "register": true, "publish": true, "subscribe": true});
        let store = json!({"type": "cfxdb", "path": "kept", "sync": true,
            "event-history": [{"uri": TOPIC, "limit": 1_000_000}]});
        let endpoint = json!({"type": "tcp", "port": port, "interface": "127.0.0.1", "proxy_protocol": ["127.0.0.1"]});
        let config = json!({
            "version": 2,
            // Longer than the balancer takes to notice.
            "corebar": {"shards": 2, "pin": false, "drain": {"delay": 0.5, "spread": 0.3, "calls_timeout": 60}},
            "workers": [{
                "type": "router",
                "realms": [{"name": "realm1", "store": store, "roles": [{"name": "anonymous",
                    "permissions": [{"uri": "", "match": "prefix", "allow": allow}]}]}],
                "transports": [
                    {"type": "universal", "endpoint": endpoint, "rawsocket": {}, "websocket": {"/": {"type": "websocket"}}},
                    {"type": "rawsocket", "endpoint": {"type": "unix", "path": "own.sock"}},
                ],
            }],
        });
        let directory = Directory::new(&format!("balancer-{name}"), &config.to_string());
        Node { name, directory, port, answered: Mutex::default() }
    }

    /// A session with this node and no other.
    async fn join(&self) -> Option<Session> {
        Connect::new(&format!("unix://{}", self.directory.path("own.sock").display()), "realm1").open().await.ok()
    }

    /// A service beside the node, which comes again whenever the node does.
    async fn serve(&self) {
        loop {
            if let Some(session) = self.join().await
                && let Ok(mut calls) = session.register(PROCEDURE, NONE).await
                && let Ok(mut asked) = session.register("com.app.name", NONE).await
            {
                loop {
                    let call = tokio::select! {
                        Some(call) = asked.next() => {
                            call.finish(vec![self.name.into()], NONE);
                            continue;
                        }
                        call = calls.next() => call,
                    };
                    let Some(call) = call else { break };
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..30))).await;
                    let request = read(&call.args);
                    let mut answer = written(request);
                    answer.push(self.name.into());
                    self.answered.lock().expect("nobody panics").push(request);
                    call.finish(answer, NONE);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All that the node keeps, in its order.
    async fn kept(&self) -> Vec<Request> {
        let session = self.join().await.expect("the node runs");
        let about = session.call("wamp.subscription.lookup", vec![TOPIC.into()], NONE, NONE).await.expect("a history");
        let events = session.call("wamp.subscription.get_events", about.args, NONE, NONE).await.expect("its events");
        let request = |event: Value| match event {
            Value::Dict(event) => match event.get("args") {
                Some(Value::List(args)) => read(args),
                _ => panic!("an event with arguments"),
            },
            _ => panic!("an event"),
        };
        events.args.into_iter().map(request).collect()
    }
}

/// What a client knows when it has ended.
#[derive(Default)]
struct Known {
    /// Calls with a result, by node.
    results: BTreeMap<String, Vec<Request>>,
    /// Publications that were acknowledged.
    acknowledged: Vec<Request>,
    /// Whose events it has got, of all.
    seen: BTreeSet<Request>,
}

/// A client that calls and publishes without a pause, and comes again when it is sent away.
struct Worker {
    number: u64,
    url: String,
    next: AtomicU64,
    known: Mutex<Known>,
}

impl Worker {
    async fn work(&self, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            // The node of the balancer's choice may be one that has just begun to take leave.
            if let Ok(session) = Connect::new(&self.url, "realm1").open().await {
                self.visit(&session, over).await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// One session, to its end.
    async fn visit(&self, session: &Session, over: &AtomicBool) {
        let Ok(mut events) = session.subscribe(TOPIC, NONE).await else { return };
        let acknowledged = Mutex::new(BTreeSet::new());
        let lane = || self.lane(session, over, &acknowledged);
        tokio::join!(lane(), lane(), lane());
        if over.load(Ordering::Relaxed) {
            session.leave("wamp.close.normal").await;
        }
        assert!(session.ended().await.starts_with("wamp.close."), "no connection is lost");
        let mut seen = BTreeSet::new();
        while let Some(event) = events.next().await {
            let request = read(&event.args);
            assert!(seen.insert(request), "{request:?} twice");
        }
        let acknowledged = acknowledged.into_inner().expect("nobody panics");
        let own: Vec<Request> = seen.iter().filter(|request| request.0 == self.number).copied().collect();
        assert!(own.iter().eq(&acknowledged), "what of its own it has seen is what was acknowledged");
        let mut known = self.known.lock().expect("nobody panics");
        known.acknowledged.extend(acknowledged);
        known.seen.extend(seen);
    }

    /// Requests one after the other, until the session ends or all is over.
    async fn lane(&self, session: &Session, over: &AtomicBool, acknowledged: &Mutex<BTreeSet<Request>>) {
        while !over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let request = written((self.number, number));
            let mut options = Dict::new();
            options.push("exclude_me", false);
            let publish = session.publish_acknowledged(TOPIC, request.clone(), NONE, options);
            let (called, published) = tokio::join!(session.call(PROCEDURE, request, NONE, NONE), publish);
            match published {
                Ok(_) => drop(acknowledged.lock().expect("nobody panics").insert((self.number, number))),
                // What is sent while GOODBYE is on its way is not acted on.
                Err(RequestError::Closed(_)) => {}
                Err(error) => panic!("not published: {error}"),
            }
            match called {
                Ok(outcome) => {
                    let node = outcome.args[2].as_str().expect("a name").to_string();
                    let mut known = self.known.lock().expect("nobody panics");
                    known.results.entry(node).or_default().push(read(&outcome.args));
                }
                Err(RequestError::Closed(_)) => return,
                Err(RequestError::Refused(error)) => {
                    // No new calls in a session that is to end; and the service may not have come again yet.
                    let expected = ["wamp.error.unavailable", "wamp.error.no_such_procedure"];
                    assert!(expected.contains(&&*error.error), "not called: {error}");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("not called: {error}"),
            }
        }
    }

    /// Calls that this node has answered.
    fn results(&self, node: &Node) -> usize {
        self.known.lock().expect("nobody panics").results.get(node.name).map_or(0, Vec::len)
    }
}

/// HAProxy, killed when dropped.
struct Balancer(Child);

impl Balancer {
    /// Starts it in front of nodes; gives where it listens.
    fn start(folder: &Path, nodes: &[Arc<Node>]) -> (Balancer, SocketAddr) {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        // The one that users are told to take, with other servers and less patience.
        let docs = include_str!("../docs/operations.md");
        let (_, config) = docs.split_once("```haproxy\n").expect("a configuration");
        let (config, _) = config.split_once("```").expect("its end");
        let own = |line: &str| match line.trim() {
            "bind :80" => format!("    bind {address}"),
            server if server.starts_with("server ") => String::new(),
            _ => line.replace("inter 1s fall 2", "inter 50ms fall 1"),
        };
        let mut lines: Vec<String> = config.lines().map(own).collect();
        assert!(lines.iter().any(|line| line.contains("inter 50ms")));
        lines.extend(nodes.iter().map(|node| format!("    server {} 127.0.0.1:{}\n", node.name, node.port)));
        let file = nodes[0].directory.path("haproxy.cfg");
        std::fs::write(&file, lines.join("\n")).expect("a writable directory");
        let mut command = install::unpacked(folder, "usr/sbin/haproxy");
        let child = command
            .arg("-db")
            .arg("-f")
            .arg(file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("HAProxy can be run");
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < PATIENCE, "HAProxy listens");
            std::thread::sleep(Duration::from_millis(20));
        }
        (Balancer(child), address)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn wait_until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}: it is not so after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every worker has so many more results of a node.
async fn wait_for_work(workers: &[Arc<Worker>], node: &Node) {
    let before: Vec<usize> = workers.iter().map(|worker| worker.results(node)).collect();
    let more = || workers.iter().zip(&before).all(|(worker, before)| worker.results(node) >= before + 5);
    wait_until(&format!("all work with {}", node.name), more).await;
}

/// The balancer sends sessions to this node.
async fn wait_for_turn(address: SocketAddr, node: &Node) {
    let begun = Instant::now();
    loop {
        if let Ok(session) = Connect::new(&format!("ws://{address}"), "realm1").open().await
            && let Ok(outcome) = session.call("com.app.name", Vec::new(), NONE, NONE).await
            && outcome.args[0].as_str() == Some(node.name)
        {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody is sent to {}", node.name);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn stop(node: &Arc<Node>, router: Router) {
    let stopped = node.clone();
    let stop = move || stopped.directory.output("stop", &[]);
    let output = tokio::task::spawn_blocking(stop).await.expect("no panic");
    assert!(output.status.success(), "{output:?}");
    assert!(router.wait(PATIENCE).success());
    assert!(!router.log().contains("did not leave in time"), "{}", router.log());
}

/// What was asked for and what was done are the same, each once.
#[track_caller]
fn assert_same(what: &str, mut asked: Vec<Request>, mut done: Vec<Request>) {
    asked.sort_unstable();
    done.sort_unstable();
    assert_eq!(asked.len(), done.len(), "{what}");
    assert!(asked == done, "{what}: {:?}", asked.iter().zip(&done).find(|(asked, done)| asked != done));
}

#[test]
fn nodes_are_stopped_and_started_one_after_the_other() {
    let Some(folder) = install::debian("haproxy") else { return };
    let nodes = ["one", "two"].map(Node::new).map(Arc::new);
    let mut routers = nodes.each_ref().map(|node| Some(node.directory.start()));
    let (balancer, address) = Balancer::start(&folder, &nodes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut services = JoinSet::new();
        for node in nodes.clone() {
            services.spawn(async move { node.serve().await });
        }
        let over = Arc::new(AtomicBool::new(false));
        let scheme = |number| if number % 2 == 0 { "ws" } else { "rs" };
        let worker = |number| Worker {
            number,
            url: format!("{}://{address}", scheme(number)),
            next: AtomicU64::new(0),
            known: Mutex::default(),
        };
        let workers: Vec<Arc<Worker>> = (0..CLIENTS).map(|number| Arc::new(worker(number))).collect();
        let mut work = JoinSet::new();
        for worker in workers.clone() {
            let over = over.clone();
            work.spawn(async move { worker.work(&over).await });
        }
        let by_node = |node: &Node| workers.iter().map(|worker| worker.results(node)).sum::<usize>();
        wait_until("both nodes work", || nodes.iter().all(|node| by_node(node) > 50)).await;
        for (gone, stays) in [(0, 1), (1, 0)] {
            let router = routers[gone].take().expect("it runs");
            stop(&nodes[gone], router).await;
            wait_for_work(&workers, &nodes[stays]).await;
            let node = nodes[gone].clone();
            let start = move || node.directory.start();
            routers[gone] = Some(tokio::task::spawn_blocking(start).await.expect("no panic"));
            wait_for_turn(address, &nodes[gone]).await;
        }
        // All are with the first one now, which was started again. Who comes anew may come to the second one as well.
        wait_for_work(&workers, &nodes[0]).await;
        over.store(true, Ordering::Relaxed);
        while let Some(done) = work.join_next().await {
            done.expect("a worker has not failed");
        }
        let (mut acknowledged, mut seen) = (Vec::new(), BTreeSet::new());
        for worker in &workers {
            let known = worker.known.lock().expect("nobody panics");
            acknowledged.extend_from_slice(&known.acknowledged);
            seen.extend(&known.seen);
        }
        assert_same(
            "publications that were acknowledged and that somebody got",
            acknowledged.clone(),
            seen.into_iter().collect(),
        );
        let mut kept = Vec::new();
        for node in &nodes {
            let results =
                |worker: &Arc<Worker>| worker.known.lock().expect("nobody panics").results.get(node.name).cloned();
            let results = workers.iter().filter_map(results).flatten().collect();
            let answered = node.answered.lock().expect("nobody panics").clone();
            assert_same(&format!("calls that {} has answered", node.name), answered, results);
            kept.extend(node.kept().await);
        }
        assert_same("publications that were acknowledged and are kept", acknowledged, kept);
        services.shutdown().await;
    });
    drop((balancer, routers));
}

#[test]
fn clients_are_known_by_their_own_addresses() {
    let Some(folder) = install::debian("haproxy") else { return };
    let nodes = [Arc::new(Node::new("alone"))];
    let _router = nodes[0].directory.start();
    let (_balancer, address) = Balancer::start(&folder, &nodes);
    let mut client = Client::join(address, Wire::JSON);
    let own = client.stream().local_addr().expect("it is connected");
    let call = client.next();
    client.send(json!([48, call, {}, "wamp.session.get", [client.session()]]));
    let result = client.expect_result(call);
    assert_eq!(result[0].list()[0].dict()["transport"].dict()["peer"].str(), format!("tcp4:{own}"));
    client.leave();
}
