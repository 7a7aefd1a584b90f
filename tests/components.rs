//! Components in Python, of routers and containers, with autobahn itself.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::directory::Directory;
use support::{Client, Router, Serializer, Transport, Wire, install};

const PATIENCE: Duration = Duration::from_secs(60);

const TWISTED: &str = r#"
from autobahn.twisted.wamp import ApplicationSession
from twisted.internet import reactor, task
from twisted.internet.defer import inlineCallbacks

class Adder(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        print("has", self.config.extra["word"], self.config.realm, details.authrole)
        yield self.register(lambda a, b: a + b, self.config.extra["word"])

class Late(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        yield task.deferLater(reactor, 1.5, lambda: None)
        yield self.register(lambda: "late", "com.late")

class Crash(ApplicationSession):
    def onJoin(self, details):
        raise ValueError("crashes")

class Leaver(ApplicationSession):
    def onJoin(self, details):
        self.leave()

def joined(session, details):
    print("a function joined as", details.authrole)
"#;

const MANAGING: &str = r#"
from autobahn.twisted.wamp import ApplicationSession
from twisted.internet.defer import inlineCallbacks

class Manager(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        status = yield self.config.controller.call("corebar.node.status")
        print("manages", status["ready"], self.config.shared["reactor"] is not None)
        status = yield self.config.controller.call("crossbar.get_status")
        print("has", status["running_workers"], status["workers_by_type"])
        yield self.register(self.end, "com.end")

    @inlineCallbacks
    def end(self):
        print("ends", (yield self.config.controller.call("crossbar.shutdown")))

async def create(config, controller):
    def authenticate(realm, authid, details):
        return controller.call("corebar.node.status").addCallback(lambda status: "user")
    return authenticate
"#;

const ASYNCIO: &str = r#"
from autobahn.asyncio.wamp import ApplicationSession

class Caller(ApplicationSession):
    async def onJoin(self, details):
        await self.register(lambda a: a * 2, self.config.extra["word"])
        print("from before:", await self.call("com.late")) if "late" in self.config.extra else None
        print("twice is", await self.call(self.config.extra["word"], 21))
"#;

/// A node with these components of its router and of a container; none if there is no Python for them.
fn node(name: &str, own: &[Value], contained: &[Value], restart: &str) -> Option<(Directory, u16)> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python.txt");
    install::python("python", &requirements)?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let directory = Directory::new(&format!("components-{name}"), "{}");
    fs::create_dir_all(directory.path("app")).expect("a writable directory");
    fs::write(directory.path("app/tx.py"), TWISTED).expect("a writable directory");
    fs::write(directory.path("app/aio.py"), ASYNCIO).expect("a writable directory");
    configure(&directory, free.port(), own, contained, restart);
    Some((directory, free.port()))
}

fn configure(directory: &Directory, port: u16, own: &[Value], contained: &[Value], restart: &str) {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target").join("clients/python/bin/python");
    let options = json!({"python": python, "pythonpath": ["app"]});
    let mut container = options.clone();
    container["restart"] = restart.into();
    let all = json!([{"uri": "", "match": "prefix",
        "allow": {"call": true, "register": true, "publish": true, "subscribe": true}}]);
    let roles = json!([{"name": "anonymous", "permissions": all}, {"name": "backend", "permissions": all}]);
    let config = json!({"version": 2, "corebar": {"shards": 1, "pin": false}, "workers": [
        {"type": "router", "options": options, "components": own, "realms": [{"name": "realm1", "roles": roles}],
         "transports": [
            {"type": "websocket", "endpoint": {"type": "tcp", "port": port, "interface": "127.0.0.1"}},
            {"type": "rawsocket", "endpoint": {"type": "unix", "path": "sock"}}]},
        {"type": "container", "options": container, "components": contained}]});
    directory.write(&config.to_string());
}

fn websocket(port: u16) -> Value {
    json!({"type": "websocket", "url": format!("ws://127.0.0.1:{port}/"),
        "endpoint": {"type": "tcp", "host": "127.0.0.1", "port": port}})
}

fn class(name: &str, more: Value) -> Value {
    let mut component = json!({"type": "class", "classname": name, "realm": "realm1"});
    let given = more.as_object().expect("an object").clone();
    component.as_object_mut().expect("an object").extend(given);
    component
}

/// The processes that have this in their arguments.
fn processes(text: &str) -> usize {
    let entries = fs::read_dir("/proc").expect("a system with /proc").flatten();
    let arguments = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    arguments.filter(|octets| String::from_utf8_lossy(octets).contains(text)).count()
}

#[track_caller]
fn expect(what: &str, is: impl Fn() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < PATIENCE, "{what}: it is not so after {PATIENCE:?}");
        sleep(Duration::from_millis(50));
    }
}

#[track_caller]
fn logs(router: &Router, wanted: &str) {
    expect(wanted, || router.log().contains(wanted));
}

#[test]
fn components_of_a_router_run_beside_each_other() {
    let own = [
        class("tx.Adder", json!({"id": "adder", "role": "backend", "extra": {"word": "com.add"}})),
        class("aio.Caller", json!({"role": "trusted", "extra": {"word": "com.twice"}})),
        json!({"type": "function", "realm": "realm1", "callbacks": {"join": "tx.joined"}}),
        class("nowhere.Session", json!({})),
        class("tx.Missing", json!({})),
        class("tx.Crash", json!({})),
        class("tx.Leaver", json!({})),
    ];
    let Some((directory, _)) = node("router", &own, &[], "restart-never") else { return };
    let router = directory.start();
    logs(&router, "worker001.adder: has com.add realm1 backend");
    logs(&router, "worker001.component002: twice is 42");
    logs(&router, "worker001.component003: a function joined as anonymous");
    logs(&router, "worker001.component004: cannot load nowhere.Session: there is no module nowhere");
    logs(&router, "worker001.component005: cannot load tx.Missing: there is no Missing");
    logs(&router, "worker001.component006: fatal error: While firing onJoin: ValueError: crashes");
    logs(&router, "ended: exit code 0 guest=worker001.component007");
}

#[test]
fn containers_connect_and_start_what_crashes_again() {
    let Some((directory, port)) = node("container", &[], &[], "restart-never") else { return };
    let unix = json!({"type": "rawsocket", "serializer": "cbor", "endpoint": {"type": "unix", "path": "sock"}});
    let contained = [
        class("tx.Adder", json!({"transport": websocket(port), "extra": {"word": "com.add"}})),
        class("aio.Caller", json!({"transport": unix, "extra": {"word": "com.twice"}})),
        class("tx.Crash", json!({"transport": websocket(port)})),
        class("nowhere.Session", json!({"transport": websocket(port)})),
    ];
    configure(&directory, port, &[], &contained, "restart-always");
    let router = directory.start();
    logs(&router, "worker002.component001: has com.add realm1 anonymous");
    logs(&router, "worker002.component002: twice is 42");
    logs(&router, "ended: exit code 1; is started again in 1 seconds guest=worker002.component003");
    logs(&router, "failed: exit code 78; it is not started again guest=worker002.component004");
    let check = directory.output("check", &[]);
    let text = String::from_utf8_lossy(&check.stderr).to_string();
    assert!(check.status.success() && text.contains("does not find nowhere"), "{text}");
}

#[test]
fn a_reload_adds_and_removes_components() {
    let one = class("tx.Adder", json!({"id": "reload_one", "extra": {"word": "com.one"}}));
    let two = class("tx.Adder", json!({"id": "reload_two", "extra": {"word": "com.two"}}));
    let Some((directory, port)) = node("reload", std::slice::from_ref(&one), &[], "restart-never") else { return };
    let router = directory.start();
    logs(&router, "worker001.reload_one: component ready");
    configure(&directory, port, &[two], &[], "restart-never");
    let reloaded = directory.output("reload", &[]);
    assert!(reloaded.status.success(), "{}", String::from_utf8_lossy(&reloaded.stderr));
    logs(&router, "worker001.reload_two: component ready");
    expect("the first one is gone", || processes("worker001.reload_one") == 0);
    configure(&directory, port, &[], &[], "restart-never");
    assert!(directory.output("reload", &[]).status.success());
    expect("the second one is gone", || processes("worker001.reload_two") == 0);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let directory = Directory::new("components-wrong", "{}");
    for (own, contained, restart, says) in [
        (class("tx", json!({})), None, "restart-never", "components[0].classname: is \"tx\""),
        (class("a.B", json!({"realm": "no"})), None, "restart-never", "components[0].realm: the router has no realm"),
        (class("a.B", json!({})), Some(class("a.B", json!({}))), "restart-never", "needs the key `transport`"),
        (class("a.B", json!({})), None, "restart-often", "workers[1].options.restart"),
    ] {
        configure(&directory, 1, &[own], contained.as_slice(), restart);
        let output = directory.output("check", &[]);
        let text = String::from_utf8_lossy(&output.stderr).to_string();
        assert!(!output.status.success() && text.contains(says), "{says}: {text}");
    }
}

#[test]
fn each_begins_when_the_one_before_is_ready() {
    let contained = |port: u16| {
        let caller = json!({"transport": websocket(port), "extra": {"word": "com.twice", "late": 1}});
        [class("tx.Late", json!({"transport": websocket(port)})), class("aio.Caller", caller)]
    };
    let Some((directory, port)) = node("order", &[], &[], "restart-never") else { return };
    // One that does not get ready keeps the others out for a while only, and one that has failed does not.
    let own = [class("tx.Crash", json!({}))];
    configure(&directory, port, &own, &contained(port), "restart-never");
    let router = directory.start();
    logs(&router, "worker002.component002: from before: late");
}

#[test]
fn nothing_is_left_of_the_components_of_a_node_that_is_killed() {
    let own = [class("tx.Adder", json!({"extra": {"word": "com.add"}}))];
    let Some((directory, _)) = node("killed", &own, &[], "restart-never") else { return };
    let router = directory.start();
    logs(&router, "worker001.component001: component ready");
    let status = directory.output("status", &["--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let pid = status["details"]["processes"][0]["pid"].as_i64().expect("it runs");
    let lives = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| !text.contains(") Z "));
    assert!(lives(), "{status}");
    router.signal("KILL");
    expect("the component has ended", || !lives());
}

#[test]
fn a_container_ends_with_its_only_component() {
    let Some((directory, port)) = node("alone", &[], &[], "restart-never") else { return };
    configure(&directory, port, &[], &[class("tx.Crash", json!({"transport": websocket(port)}))], "restart-always");
    let text = fs::read_to_string(directory.path("config.json")).expect("a file");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config["workers"][1]["options"]["shutdown"] = "shutdown-on-last-component-stopped".into();
    directory.write(&config.to_string());
    let check = directory.output("check", &[]);
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(said.contains("workers[1].options.restart: does nothing with this `shutdown`"), "{said}");
    let router = directory.start();
    logs(&router, "failed: exit code 1; it is not started again guest=worker002.component001");
}

#[test]
fn components_may_manage_the_node() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(python) = install::python("python", &root.join("tests/clients/python.txt")) else { return };
    let options = json!({"python": python.join("bin/python"), "pythonpath": ["code"], "expose_controller": true,
        "expose_shared": true});
    let function = json!({"type": "function", "create": "managing.create", "expose_controller": true});
    let all = json!({"name": "user", "permissions": [{"uri": "*", "allow": {"call": true, "register": true}}]});
    let config = json!({"version": 2, "workers": [{"type": "router", "options": options,
        "realms": [{"name": "realm1", "roles": [all]}],
        "components": [class("managing.Manager", json!({"role": "user"}))],
        "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
            "auth": {"ticket": function, "anonymous": {"type": "static", "role": "trusted"}}}]}]});
    let directory = Directory::new("components-managing", &config.to_string());
    fs::create_dir(directory.path("code")).expect("a directory");
    fs::write(directory.path("code/managing.py"), MANAGING).expect("a file");
    let router = directory.start();
    logs(&router, "worker001.component001: manages True True");
    logs(&router, "worker001.component001: has 3 {'component': 2, 'router': 1}");
    let wire = Wire { transport: Transport::WebSocket, serializer: Serializer::Json };
    let mut client = Client::connect(router.address(), wire);
    // Nobody else gets there.
    client.send(json!([1, "corebar.controller", {"roles": {"caller": {}}, "authmethods": ["anonymous"]}]));
    client.expect_abort("wamp.error.no_such_realm");
    let mut client = Client::connect(router.address(), wire);
    client.send(json!([1, "realm1", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "joe"}]));
    client.expect(4);
    client.send(json!([5, "x", {}]));
    client.expect(2);
    client.call("com.end", &[]);
    logs(&router, "worker001.component001: ends True");
    assert!(router.wait(PATIENCE).success());
}

const WHO: &str = r#"
import hashlib, hmac
from txaio import make_logger
from autobahn.wamp.exception import ApplicationError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

log = make_logger()

def scram(password):
    digest = lambda key, text: hmac.new(key, text, "sha256").digest()
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b"0123456789abcdef", 100, 32)
    stored = hashlib.sha256(digest(salted, b"Client Key")).hexdigest()
    return {"salt": b"0123456789abcdef".hex(), "iterations": 100, "memory": 0, "kdf": "pbkdf2",
            "stored-key": stored, "server-key": digest(salted, b"Server Key").hex()}

async def create(config, controller):
    await deferLater(reactor, 0.01, lambda: None)
    log.info("made with {config}", config=config)

    def authenticate(realm, authid, details):
        method = details["authmethod"]
        print("asked", realm, authid, method, controller)
        if authid == "odd":
            return 42
        if authid == "hang":
            return Deferred()
        if authid == "crash":
            raise ValueError("this one crashes")
        if authid != config["user"]:
            raise ApplicationError("com.example.no_such_user", "there is nobody of this name")
        if method == "ticket":
            return deferLater(reactor, 0.01, lambda: "user" if details["ticket"] == "secret!" else None)
        if method == "wampcra":
            return {"secret": "secret!", "role": "user", "extra": {"from": "function"}}
        if method == "scram":
            return dict(scram("secret!"), role="user")
        if method == "cryptosign":
            return {"pubkey": config["key"], "role": "user", "realm": "realm1", "cache": True}
        return {"role": "user", "realm": "realm1", "authid": "somebody"}

    return authenticate

def nothing(config, controller):
    return None
"#;

/// A key of Ed25519, and its public key.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

#[test]
fn functions_say_who_clients_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(python) = install::python("python", &root.join("tests/clients/python.txt")) else { return };
    let python = python.join("bin/python");
    let method = |create: &str| json!({"type": "function", "create": create, "config": {"user": "joe", "key": PUBLIC}});
    let who = method("who.create");
    let websocket = |auth: Value| json!({"type": "websocket", "auth": auth});
    let config = json!({"version": 2, "corebar": {"shards": 2, "pin": false, "limits": {"authentication_timeout": 5}},
    "workers": [{"type": "router", "options": {"python": python, "pythonpath": ["code"]},
        "realms": [{"name": "realm1", "roles": [{"name": "user"}]}],
        "transports": [{"type": "web", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"}, "paths": {
            "/": websocket(json!({"ticket": who, "wampcra": who, "scram": who, "cryptosign": who,
                "anonymous": method("nowhere.create")})),
            "none": websocket(json!({"ticket": method("who.nothing")})),
        }}]}]});
    let directory = Directory::new("components-authenticators", &config.to_string());
    fs::create_dir_all(directory.path("code")).expect("a writable directory");
    fs::write(directory.path("code/who.py"), WHO).expect("a writable directory");
    let said = String::from_utf8(directory.output("check", &[]).stderr).expect("text");
    assert!(said.contains("authenticator:nowhere.create") && said.contains("does not find nowhere"), "{said}");
    let router = directory.start();
    logs(&router, "authenticator:who.create: made with {");
    logs(&router, "authenticator:who.create: component ready");
    let wire = Wire { transport: Transport::WebSocket, serializer: Serializer::Json };
    let hello = |realm: Value, method: &str, authid: &str| {
        let mut client = Client::connect(router.address(), wire);
        client.send(json!([1, realm, {"roles": {"caller": {}}, "authid": authid, "authmethods": [method]}]));
        client
    };
    let ask = |realm: Value, authid: &str, ticket: &str| {
        let mut client = hello(realm, "ticket", authid);
        client.expect(4);
        client.send(json!([5, ticket, {}]));
        client
    };
    let realm = || json!("realm1");
    let mut hanging = ask(realm(), "hang", "secret!");
    for method in ["ticket", "wampcra", "scram", "cryptosign"] {
        let secret = if method == "cryptosign" { SEED } else { "secret!" };
        let mut command = Command::new(&python);
        command.arg(root.join("tests/clients/login.py")).args([&router.url(), method, "joe", secret]);
        let output = command.output().expect("the client can be started");
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert_eq!(said, format!("joe user {method} OK"), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let (denied, failed) = ("wamp.error.authentication_denied", "wamp.error.authentication_failed");
    ask(realm(), "joe", "secret?").expect_abort(denied);
    ask(realm(), "jane", "secret!").expect_abort(denied);
    hello(realm(), "wampcra", "crash").expect_abort(failed);
    hello(realm(), "anonymous", "joe").expect_abort(failed);
    logs(&router, "this one crashes");
    logs(&router, "who.nothing gives no function but None");
    ask(realm(), "odd", "secret!").expect_abort(denied);
    logs(&router, "who.create answered 42, which is no role and no dictionary");
    logs(&router, "cannot load nowhere.create: there is no module nowhere");
    assert_eq!(router.log().matches("authenticator:who.create: made with").count(), 1, "one process for all methods");
    // Without a realm, the function says which it is; this one does not for tickets.
    ask(Value::Null, "joe", "secret!").expect_abort("wamp.error.no_such_realm");
    logs(&router, "asked None joe ticket");
    // Nobody comes where the functions are.
    hello(json!("corebar.authenticators"), "ticket", "joe").expect_abort("wamp.error.no_such_realm");
    hanging.expect_abort(failed);
    let welcome = ask(realm(), "joe", "secret!").expect(2)[2].dict().clone();
    let keys = ["authid", "authrole", "authmethod", "authprovider"];
    assert_eq!(keys.map(|key| welcome[key].str()), ["joe", "user", "ticket", "function"]);
}
