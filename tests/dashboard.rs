//! The dashboard: who may look at it and who not, and what an operator does in it, in a real browser.

mod support;

use corebar::auth::config::Secret;
use corebar::auth::login::Credential;
use corebar::client::{Connect, Session};
use corebar::wamp::{Dict, Value};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::directory::Directory;
use support::http::Poller;
use support::raw::{client_frame, connect, header, response_head, server_frame, status};
use support::{Router, Serializer, install};

const NONE: Dict = Dict::new();
/// Sessions that the operator turns pages of.
const SESSIONS: usize = 1200;

/// Asks for WebSocket with these headers besides, and says HELLO; gives the answer.
fn hello(address: SocketAddr, realm: &str, headers: &str) -> Json {
    let mut stream = connect(address);
    let request = format!(
        "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the request can be sent");
    let head = response_head(&mut stream);
    assert_eq!(status(&head), 101, "{head}");
    let hello = json!([1, realm, {"roles": {"caller": {}}}]).to_string();
    stream.write_all(&client_frame(0x81, hello.as_bytes())).expect("the message can be sent");
    serde_json::from_slice(&server_frame(&mut stream).1).expect("a message")
}

const MANAGED: &str = "corebar.management";

#[test]
fn without_a_file_only_this_machine_manages_and_no_page_from_elsewhere() {
    let router = Router::start(&["--listen", "127.0.0.1:0"]);
    let address = router.address();
    let port = address.port();
    for (headers, welcome) in [
        (format!("Host: 127.0.0.1:{port}\r\n"), true),
        (format!("Host: localhost:{port}\r\n"), true),
        (format!("Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"), true),
        (format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n"), true),
        // A page of somebody else, which the user looks at.
        (format!("Host: 127.0.0.1:{port}\r\nOrigin: https://evil.example\r\n"), false),
        (format!("Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:1\r\n"), false),
        (format!("Host: 127.0.0.1:{port}\r\nOrigin: null\r\n"), false),
        // The same, and its name has been made to mean this machine.
        (format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n"), false),
        (format!("Host: evil.example:{port}\r\n"), false),
        // Who comes by a proxy may be anybody.
        (format!("Host: 127.0.0.1:{port}\r\nX-Forwarded-For: 192.0.2.1\r\n"), false),
    ] {
        let answer = hello(address, MANAGED, &headers);
        if welcome {
            assert_eq!(answer[0], 2, "{headers}{answer}");
        } else {
            assert_eq!((&answer[0], &answer[2]), (&json!(3), &json!("wamp.error.not_authorized")), "{headers}{answer}");
            assert!(answer[1]["message"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
        }
        // The other realm is open to all, as it was.
        assert_eq!(hello(address, "realm1", &headers)[0], 2, "{headers}");
    }
    // Long-polling is no other way in.
    for (origin, code) in [("https://evil.example", 3), ("null", 3), ("http://localhost", 2)] {
        let headers = format!("Origin: {origin}\r\n");
        let mut poller = Poller::open_with(address, Serializer::Json, false, &headers);
        poller.send(json!([1, MANAGED, {"roles": {"caller": {}}}]));
        poller.expect(code);
    }
}

#[test]
fn the_page_is_served_with_all_that_keeps_it_safe() {
    let router = Router::start(&["--listen", "127.0.0.1:0"]);
    let get = |target: &str, more: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
        let mut stream = connect(router.address());
        stream.write_all(request.as_bytes()).expect("the request can be sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("a response of text");
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        (status(head), head.to_owned(), body.to_owned())
    };
    let (code, head, _) = get("/dashboard", "");
    assert_eq!((code, header(&head, "location")), (301, Some("/dashboard/")));
    let (code, head, body) = get("/dashboard/", "");
    assert_eq!((code, body.contains("main.js")), (200, true));
    let policy = header(&head, "content-security-policy").expect("a policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("script-src 'self'") && !policy.contains("unsafe")
    );
    assert!(policy.contains("frame-ancestors 'none'"));
    let tag = header(&head, "etag").expect("a tag");
    assert_eq!(get("/dashboard/", &format!("If-None-Match: {tag}\r\n")).0, 304);
    assert_eq!(get("/dashboard/main.js", &format!("If-None-Match: {tag}\r\n")).0, 200);
    let (_, head, body) = get("/dashboard/config.json", "");
    assert_eq!(header(&head, "content-type"), Some("application/json"));
    let told: Json = serde_json::from_str(&body).expect("JSON");
    assert_eq!(told, json!({"realm": MANAGED, "websocket": "/ws", "methods": ["anonymous"]}));
    for nothing in ["/dashboard/nothing", "/dashboard/main.js/x", "/dashboard/..%2fsecret"] {
        assert!(matches!(get(nothing, "").0, 400 | 404), "{nothing}");
    }
    drop(router);
    let plain = Router::start(&["--listen", "127.0.0.1:0", "--no-dashboard"]);
    assert_eq!(hello(plain.address(), MANAGED, "Host: localhost\r\n")[0], 3);
}

/// A node that an operator manages who has a secret, with a guest that says something.
fn config(port: u16) -> String {
    let anonymous = json!({"anonymous": {"type": "static", "role": "user"}});
    let talk = "echo the guest has begun as $$; echo this is an error >&2; exec sleep 1000";
    json!({
        "version": 2,
        "controller": {"id": "night"},
        "corebar": {
            "shards": 2, "pin": false, "log": {"level": "info"},
            "management": {"realm": "manage", "role": "operator"}
        },
        "workers": [{
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "user", "permissions": [
                {"uri": "", "match": "prefix", "allow": {"call": true, "register": true, "publish": true, "subscribe": true}}
            ]}]}],
            "transports": [{
                "type": "universal",
                "endpoint": {"type": "tcp", "port": port, "interface": "127.0.0.1"},
                "rawsocket": {"auth": anonymous},
                "websocket": {"ws": {"type": "websocket", "auth": {
                    "ticket": {"type": "static", "principals": {
                        "joe": {"ticket": "x", "role": "user", "realm": "realm1"},
                        "find.me": {"ticket": "x", "role": "user", "realm": "realm1"}
                    }},
                    "wampcra": {"type": "static", "users": {
                        "admin": {"secret": "secret", "role": "operator", "realm": "manage"}
                    }}
                }}},
                "web": {"paths": {"dashboard": {"type": "dashboard"}}}
            }]
        }, {
            "type": "guest", "id": "talker", "executable": "/bin/sh", "arguments": ["-c", talk]
        }]
    })
    .to_string()
}

#[test]
fn with_a_file_pages_from_elsewhere_stay_out_as_well() {
    let anonymous = json!({"anonymous": {"type": "static", "role": "operator"}});
    let config = |management: Json| {
        json!({
            "version": 2,
            "corebar": {"shards": 1, "pin": false, "management": management},
            "workers": [{"type": "router", "transports": [{
                "type": "universal",
                "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
                "websocket": {"ws": {"type": "websocket", "auth": anonymous}},
                "web": {"paths": {"do": {"type": "caller", "realm": "manage", "role": "operator"}}}
            }]}]
        })
        .to_string()
    };
    let codes = |name: &str, management: Json| {
        let directory = Directory::new(name, &config(management));
        let router = directory.start();
        let address = router.address();
        [
            "Host: ops.example\r\nOrigin: https://ops.example\r\n",
            "Host: other.example\r\nOrigin: https://other.example\r\n",
            "Host: ops.example\r\nOrigin: https://evil.example\r\n",
            "Host: ops.example\r\n",
        ]
        .map(|headers| {
            let body = json!({"procedure": "corebar.log.level"}).to_string();
            let request = format!(
                "POST /do HTTP/1.1\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let mut stream = connect(address);
            stream.write_all(request.as_bytes()).expect("the request can be sent");
            let called = status(&response_head(&mut stream));
            (hello(address, "manage", headers)[0].as_u64() == Some(2), called != 403)
        })
    };
    let (yes, no) = ((true, true), (false, false));
    let management = |more: Json| {
        let mut all = json!({"realm": "manage", "role": "operator"});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        all
    };
    assert_eq!(codes("dashboard-own", management(json!({}))), [yes, yes, no, yes]);
    // The path of HTTP says for itself which pages it is for.
    let realm_alone = (true, false);
    assert_eq!(codes("dashboard-any", management(json!({"pages": "any"}))), [yes, yes, realm_alone, yes]);
    assert_eq!(codes("dashboard-hosts", management(json!({"hosts": ["ops.example"]}))), [yes, no, no, yes]);
}

/// A session over RawSocket that says and asks nothing.
fn idle(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the router listens");
    stream.write_all(&[0x7f, 0xf1, 0, 0]).expect("room");
    stream.read_exact(&mut [0; 4]).expect("the router answers");
    let hello = json!([1, "realm1", {"roles": {"subscriber": {}}}]).to_string();
    let length = u32::try_from(hello.len()).expect("a short message").to_be_bytes();
    stream.write_all(&[&length[..], hello.as_bytes()].concat()).expect("room");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("the router answers");
    let mut welcome = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut welcome).expect("the router answers");
    assert!(welcome.starts_with(b"[2,"), "{}", String::from_utf8_lossy(&welcome));
    stream
}

async fn join(url: &str, authid: &str) -> Session {
    let credentials = vec![Credential::Ticket(Secret(b"x"[..].into()))];
    let connect = Connect { authid: Some(authid.into()), credentials, ..Connect::new(url, "realm1") };
    connect.open().await.expect("a session")
}

/// Traffic, for as long as the runtime goes on: a topic with three subscribers, and a procedure.
async fn traffic(url: String) {
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let session = join(&url, "joe").await;
        let mut events = session.subscribe("com.example.tick", NONE).await.expect("subscribed");
        listeners.push(session);
        tokio::spawn(async move { while events.next().await.is_some() {} });
    }
    let callee = join(&url, "joe").await;
    let mut calls = callee.register("com.example.add", NONE).await.expect("registered");
    tokio::spawn(async move {
        while let Some(call) = calls.next().await {
            let sum = call.args.iter().filter_map(Value::as_uint).sum::<u64>();
            call.finish(vec![sum.into()], NONE);
        }
    });
    let caller = join(&url, "joe").await;
    for number in 0u64.. {
        let published = caller.publish_acknowledged("com.example.tick", vec![number.into()], NONE, NONE).await;
        let called = caller.call("com.example.add", vec![number.into(), 1u64.into()], NONE, NONE).await;
        if published.is_err() || called.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What an operator does, on a node that does something.
struct Scene {
    directory: Directory,
    router: Option<Router>,
    idle: Vec<TcpStream>,
    runtime: tokio::runtime::Runtime,
    found: Session,
}

impl Scene {
    fn new(port: u16) -> Scene {
        let directory = Directory::new("dashboard", &config(port));
        let router = directory.start();
        let address = router.address();
        let idle = (0..SESSIONS).map(|_| idle(address)).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let url = format!("ws://{address}/ws");
        let found = runtime.block_on(join(&url, "find.me"));
        runtime.spawn(traffic(url));
        Scene { directory, router: Some(router), idle, runtime, found }
    }

    /// Does what the operator needs, or looks whether what they have done is so.
    fn act(&mut self, wanted: &str) {
        match wanted {
            "kicked" => {
                let ended = async { tokio::time::timeout(Duration::from_secs(20), self.found.ended()).await };
                let end = format!("{:?}", self.runtime.block_on(ended).expect("its session is over"));
                assert!(end.contains("wamp.close.killed") && end.contains("by the operator"), "{end}");
            }
            "disguise" => {
                let text = "transfer \u{202e}001\u{2069}\u{61c}";
                let url = format!("ws://{}/ws", self.router.as_ref().expect("it runs").address());
                self.runtime.spawn(async move {
                    let session = join(&url, "joe").await;
                    // Whoever follows the topic gets one of them.
                    while session.publish_acknowledged("com.example.quiet", vec![text.into()], NONE, NONE).await.is_ok()
                    {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                });
            }
            "level" => {
                // Of the end of a connection the log tells at this level only.
                self.idle.pop();
                self.router.as_ref().expect("it runs").expect_log("DEBUG");
            }
            "stop" => {
                self.idle.clear();
                drop(self.router.take());
            }
            "start" => self.router = Some(self.directory.start()),
            other => panic!("the operator says {other:?}"),
        }
    }
}

/// A program that is killed if the test fails.
struct Operator(Child);

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_operator_finds_out_and_does_something_about_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/dashboard");
    let Some(folder) = install::node("dashboard", &source) else { return };
    let Some(debian) = install::debian("chromium-headless-shell") else { return };
    let chromium = install::unpacked(&debian, "usr/lib/chromium/chromium-headless-shell");
    let hard = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit").1;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("as many files as there may be");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let mut scene = Scene::new(port);
    std::fs::copy(source.join("dashboard.mjs"), folder.join("dashboard.mjs")).expect("a file");
    let mut command = Command::new("node");
    command.arg(folder.join("dashboard.mjs")).arg(chromium.get_program()).arg(format!("http://127.0.0.1:{port}"));
    // To be looked at by people: `COREBAR_PICTURES=/tmp/x`.
    if let Ok(pictures) = std::env::var("COREBAR_PICTURES") {
        command.arg(pictures);
    }
    let vars = chromium.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(vars).env("SESSIONS", SESSIONS.to_string());
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node is there");
    let mut operator = Operator(child);
    let mut answers = operator.0.stdin.take().expect("a pipe");
    let said = BufReader::new(operator.0.stdout.take().expect("a pipe")).lines();
    let mut finished = false;
    for line in said.map_while(Result::ok) {
        if line == "finished" {
            finished = true;
            break;
        }
        scene.act(&line);
        answers.write_all(b"done\n").expect("the operator listens");
    }
    assert!(finished, "the operator has not come to the end: {:?}", operator.0.wait());
}
