//! Configuration files of Crossbar.io: what the commands make of them, and that workers see their own realms only.

mod support;

use serde_json::{Value as Json, json};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use support::client::payload;
use support::directory::Directory;
use support::raw::{connect, response_head, status, upgrade_request};
use support::{Client, Router, Wire, router};

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).trim().to_string();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn role(name: &str) -> Json {
    let allow = json!({"call": true, "register": true, "publish": true, "subscribe": true});
    json!({"name": name, "permissions": [{"uri": "", "match": "prefix", "allow": allow}]})
}

/// Ports that are free.
fn ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("it listens").port())
}

fn tcp(port: u16) -> Json {
    json!({"type": "tcp", "port": port, "interface": "127.0.0.1"})
}

#[test]
fn files_of_version_1_are_upgraded() {
    let old = json!({"workers": [{
        "type": "router",
        "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": [{"uri": "com.*", "call": true}]}]}],
        "transports": [{"type": "websocket", "endpoint": tcp(0)}],
    }]});
    let directory = Directory::new("files-upgrade", &old.to_string());
    let (code, _, warnings) = said(&directory.output("check", &[]));
    assert!(code == Some(0) && warnings.contains("version: is older than 2; the command `upgrade`"), "{warnings}");
    let read = |name: &str| -> Json {
        serde_json::from_str(&fs::read_to_string(directory.path(name)).expect("it is there")).expect("JSON")
    };
    let (code, text, _) = said(&directory.output("upgrade", &["--dry-run"]));
    assert!(code == Some(0) && text.contains("stars in the `uri`"), "{text}");
    assert_eq!(read("config.json"), old);
    let (code, text, error) = said(&directory.output("upgrade", &[]));
    assert!(code == Some(0) && text.contains("config.json.old"), "{text} {error}");
    assert_eq!(read("config.json.old"), old);
    let new = read("config.json");
    assert_eq!(new["version"], 2);
    assert_eq!(new["workers"][0]["realms"][0]["roles"][0]["permissions"][0]["match"], "prefix");
    assert_eq!(said(&directory.output("check", &["--strict"])).0, Some(0));
    assert!(said(&directory.output("upgrade", &[])).1.ends_with("nothing to upgrade"));
}

#[test]
fn files_are_converted_there_and_back() {
    let config = json!({"version": 2, "workers": [{
        "type": "router",
        "realms": [{"name": "realm1", "roles": [role("anonymous")]}],
        "transports": [{"type": "websocket", "endpoint": tcp(0)}],
    }]});
    let directory = Directory::new("files-convert", &config.to_string());
    // There may be secrets in it.
    fs::set_permissions(directory.path("config.json"), Permissions::from_mode(0o600)).expect("an own file");
    assert_eq!(said(&directory.output("convert", &[])).0, Some(0));
    let mode = fs::metadata(directory.path("config.yaml")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let yaml = fs::read_to_string(directory.path("config.yaml")).expect("it is there");
    assert!(yaml.starts_with("version: 2\nworkers:"), "{yaml}");
    let (code, text, _) = said(&directory.output("check", &[]));
    assert!(code == Some(0) && text.contains("config.yaml: ok"), "{text}");
    let (code, _, error) = said(&directory.output("convert", &[]));
    assert!(code == Some(1) && error.contains("config.json is there already; --force"), "{error}");
    assert_eq!(said(&directory.output("convert", &["--force"])).0, Some(0));
    let back: Json =
        serde_json::from_str(&fs::read_to_string(directory.path("config.json")).expect("it is there")).expect("JSON");
    assert_eq!(back, config);
}

#[test]
fn mistakes_are_one_line_with_their_place() {
    let directory = Directory::new("files-mistake", "{\"version\": 2, \"wokers\": []}");
    let (code, text, error) = said(&directory.output("check", &[]));
    assert_eq!((code, &*text), (Some(1), ""));
    assert!(error.ends_with("config.json: wokers: is not known; did you mean \"workers\"?"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn programs_are_told_what_is_found() {
    let realm = json!({"name": "realm1", "roles": [role("anonymous")], "stats": {"rated_message_size": 512}});
    let worker =
        json!({"type": "router", "realms": [realm], "transports": [{"type": "websocket", "endpoint": tcp(0)}]});
    let monitor = json!({"type": "hostmonitor"});
    let config = json!({"version": 2, "workers": [worker, monitor]});
    let directory = Directory::new("files-report", &config.to_string());
    let check = |more: &[&str]| {
        let (code, text, error) = said(&directory.output("check", &[&["--json"], more].concat()));
        (code, serde_json::from_str::<Json>(&text).expect("JSON"), error)
    };
    let (code, report, error) = check(&[]);
    assert_eq!((code, &report["ok"], &report["error"], &*error), (Some(0), &json!(true), &Json::Null, ""));
    assert_eq!(report["counts"], json!({"realms": 1, "transports": 1, "guests": 0, "components": 0}));
    let warnings = report["warnings"].as_array().expect("a list");
    let places: Vec<&Json> = warnings.iter().map(|warning| &warning["at"]).collect();
    assert_eq!(places, ["workers[0].realms[0].stats", "workers[1]"]);
    assert!(warnings[1]["message"].as_str().is_some_and(|text| text.contains("hostmonitor")), "{warnings:?}");
    let (code, report, _) = check(&["--strict"]);
    assert_eq!((code, &report["ok"]), (Some(1), &json!(false)));
    directory.write("{\"version\": 2, \"wokers\": []}");
    let (code, report, error) = check(&[]);
    assert_eq!((code, &report["error"]["at"]), (Some(1), &json!("wokers")));
    assert!(error.ends_with("wokers: is not known; did you mean \"workers\"?"), "{error}");
}

/// Publishes a word in the realm1 behind each of two ways in and tells whether those behind the other one hear it.
fn hear_each_other(one: SocketAddr, other: SocketAddr) -> bool {
    let (mut speaker, mut hearer) = (Client::join(one, Wire::JSON), Client::join(other, Wire::JSON));
    let mut near = Client::join(one, Wire::JSON);
    let (there, here) = (hearer.subscribe("com.word"), near.subscribe("com.word"));
    speaker.publish("com.word", &payload(json!([["x"]])));
    near.expect_event(here);
    // What is said there next comes behind whatever came over.
    let mut last = Client::join(other, Wire::JSON);
    last.publish("com.word", &payload(json!([["last"]])));
    let first = hearer.expect_event(there).1;
    first == payload(json!([["x"]]))
}

#[test]
fn workers_see_their_own_realms() {
    let [first, second, front, other] = ports();
    let router = |id: &str, port: u16, roles: &[&str]| {
        let roles: Vec<Json> = roles.iter().map(|name| role(name)).collect();
        json!({
            "type": "router", "id": id,
            "realms": [{"name": "realm1", "roles": roles}, {"name": id, "roles": [role("anonymous")]}],
            "transports": [{"type": "websocket", "endpoint": tcp(port)}],
        })
    };
    let users = json!({"joe": {"ticket": "x", "role": "user"}, "jane": {"ticket": "x", "role": "guest"}});
    let proxy = json!({
        "type": "proxy",
        "connections": {"back": {"transport": {"type": "websocket", "endpoint": {"type": "tcp", "host": "localhost", "port": second}, "url": "ws://localhost"}}},
        "routes": {"realm1": {"user": "back", "anonymous": ["back"]}},
        "transports": [{"type": "websocket", "endpoint": tcp(front), "auth": {
            "anonymous": {"type": "static"}, "ticket": {"type": "static", "principals": users}}}],
    });
    let workers = [
        router("first", first, &["anonymous"]),
        router("second", second, &["anonymous", "user", "guest"]),
        proxy,
        // The same at the same port: one listener.
        router("first", first, &["anonymous"]),
        json!({"type": "router", "options": {"disabled": true}, "transports": [{"type": "websocket", "endpoint": tcp(other)}]}),
    ];
    let config = json!({"version": 2, "corebar": {"shards": 2, "pin": false}, "workers": workers});
    let directory = Directory::new("files-workers", &config.to_string());
    let _router = directory.start();
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    assert!(!hear_each_other(at(first), at(second)), "workers have realms of their own");
    assert!(hear_each_other(at(second), at(second)));
    assert!(hear_each_other(at(second), at(front)), "a proxy leads to the realms behind it");
    assert!(!hear_each_other(at(first), at(front)));
    let refused = |port: u16, realm: &str| {
        let mut client = Client::connect(at(port), Wire::JSON);
        client.send(json!([1, realm, {"roles": {"caller": {}}}]));
        client.expect_abort("wamp.error.no_such_realm");
    };
    refused(first, "second");
    refused(second, "first");
    refused(front, "first");
    refused(front, "second"); // It is there, but no route leads to it.
    Client::login(at(front), Wire::JSON, "joe", "x");
    let mut jane = Client::connect(at(front), Wire::JSON);
    jane.send(json!([1, "realm1", {"authid": "jane", "authmethods": ["ticket"], "roles": {"caller": {}}}]));
    jane.expect(4);
    jane.send(json!([5, "x", {}]));
    jane.expect_abort("wamp.error.no_such_role");
    assert!(std::net::TcpStream::connect(at(other)).is_err(), "a worker that is switched off does not listen");
}

#[test]
fn serializers_are_those_that_are_named() {
    let [web, raw, testee] = ports();
    let workers = [
        json!({"type": "router",
            "realms": [{"name": "realm1", "roles": [role("anonymous")]}],
            "transports": [
                {"type": "websocket", "endpoint": tcp(web), "serializers": ["cbor", "json.batched"]},
                {"type": "rawsocket", "endpoint": tcp(raw), "serializers": ["msgpack"]}]}),
        json!({"type": "websocket-testee", "transport": {"type": "websocket", "endpoint": tcp(testee)}}),
    ];
    let config = |workers: &[Json]| json!({"version": 2, "corebar": {"shards": 1, "pin": false}, "workers": workers});
    let directory = Directory::new("files-serializers", &config(&workers).to_string());
    let _router = directory.start();
    let upgrade = |port: u16, protocol: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        let request = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut response = [0; 2048];
        let octets = stream.read(&mut response).expect("it answers");
        (stream, String::from_utf8_lossy(&response[..octets]).to_string())
    };
    let offer = |names: &str| upgrade(web, &format!("Sec-WebSocket-Protocol: {names}\r\n")).1;
    assert!(offer("wamp.2.json, wamp.2.cbor").contains("Sec-WebSocket-Protocol: wamp.2.cbor\r\n"));
    assert!(offer("wamp.2.cbor.batched").starts_with("HTTP/1.1 101"));
    assert!(offer("wamp.2.json.batched").starts_with("HTTP/1.1 101"));
    let refused = offer("wamp.2.json");
    assert!(
        refused.starts_with("HTTP/1.1 400") && refused.contains("one of wamp.2.cbor, wamp.2.cbor.batched, wamp.2.js")
    );
    let raw_offer = |serializer: u8| {
        let mut stream = TcpStream::connect(("127.0.0.1", raw)).expect("it listens");
        stream.write_all(&[0x7f, 0xf0 | serializer, 0, 0]).expect("it reads");
        let mut response = [0; 4];
        stream.read_exact(&mut response).expect("it answers");
        response
    };
    assert_eq!((raw_offer(2)[1] & 15, raw_offer(1)), (2, [0x7f, 0x10, 0, 0]), "MessagePack, and no JSON");
    // The testee gives back what it gets, without a subprotocol: a masked text, and an unmasked one.
    let (mut stream, response) = upgrade(testee, "");
    assert!(response.starts_with("HTTP/1.1 101"), "{response}");
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).expect("it reads");
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).expect("it answers");
    assert_eq!(echo, [0x81, 2, b'h', b'i']);
    for (place, value, says) in [
        ("/workers/0/transports/1/serializers", json!(["msgpack.batched"]), "\"msgpack.batched\" is not json"),
        ("/workers/0/transports/1/serializers", json!(["flatbuffers"]), "serializers: names none that is spoken here"),
        ("/workers/1/transport/type", json!("rawsocket"), "workers[1].transport.type: is \"rawsocket\""),
    ] {
        let mut config = config(&workers);
        *config.pointer_mut(place).expect("it is there") = value;
        directory.write(&config.to_string());
        let (code, _, error) = said(&directory.output("check", &[]));
        assert!(code == Some(1) && error.contains(says), "{error}");
    }
}

#[test]
fn a_new_directory_can_be_started_as_it_is() {
    let directory = Directory::new("files-init", "");
    let application = directory.path("app");
    let init = |template: &str| {
        let arguments = ["init", template, "--appdir", application.to_str().expect("a path of plain characters")];
        said(&router::command(&arguments).output().expect("the program can be run"))
    };
    let (code, text, error) = init("web");
    assert!(code == Some(0) && text.contains("Start it with: corebar start --cbdir "), "{text} {error}");
    let (code, _, error) = init("bare");
    assert!(code == Some(1) && error.contains("is there already; nothing has been written"), "{error}");
    let node = application.join(".crossbar");
    let node = node.to_str().expect("a path of plain characters");
    let check = router::command(&["check", "--strict", "--cbdir", node]).output().expect("the program can be run");
    assert_eq!(said(&check).0, Some(0), "{check:?}");
    // Its port may be taken here.
    let file = application.join(".crossbar/config.json");
    let config = fs::read_to_string(&file).expect("it is there");
    assert!(config.contains("8080"));
    fs::write(&file, config.replace("8080", "0")).expect("a writable directory");
    let router = Router::run(router::command(&["start", "--cbdir", node]));
    let get = |path: &str| {
        let mut stream = TcpStream::connect(router.address()).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it answers");
        assert!(response.starts_with("HTTP/1.1 200"), "{path}: {response}");
        response
    };
    assert!(get("/").contains("<title>Corebar demo"));
    for name in ["demo.js", "corebar.js"] {
        let response = get(&format!("/{name}"));
        assert!(response.contains("javascript") && response.contains("export class Session") == (name == "corebar.js"));
    }
    assert!(get("/info").contains("Corebar"));
    // Where the page connects to.
    let mut stream = connect(router.address());
    let request = upgrade_request("/ws", "Sec-WebSocket-Protocol: wamp.2.json\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    assert_eq!(status(&response_head(&mut stream)), 101);
}

#[test]
fn a_node_tells_where_it_listens_now() {
    let [before, now, unix] = ports::<3>();
    let config = |port: u16| {
        let transport = json!({"type": "websocket", "endpoint": tcp(port)});
        json!({"version": 2, "corebar": {"shards": 1, "pin": false}, "workers": [{"type": "router",
            "realms": [{"name": "realm1", "roles": [role("anonymous")]}],
            "transports": [transport, {"type": "rawsocket", "endpoint": tcp(unix)}]}]})
    };
    let directory = Directory::new("files-addresses", &config(before).to_string());
    let _router = directory.start();
    let told = || {
        let status: Json = serde_json::from_slice(&directory.output("status", &["--json"]).stdout).expect("JSON");
        status["node"]["listening"].clone()
    };
    let url = |port: u16| format!("ws://127.0.0.1:{port}/");
    assert_eq!(told(), json!([url(before), url(unix)]));
    directory.write(&config(now).to_string());
    assert_eq!(said(&directory.output("reload", &[])).0, Some(0));
    let all: Vec<Json> = told().as_array().cloned().expect("a list");
    assert!(all.len() == 2 && all.contains(&url(now).into()) && all.contains(&url(unix).into()), "{all:?}");
    // One that takes in the other cannot be there beside it.
    let mut both = config(now);
    both["workers"][0]["transports"][1]["endpoint"] = json!({"type": "tcp", "port": now});
    directory.write(&both.to_string());
    let (code, _, error) = said(&directory.output("check", &[]));
    assert!(
        code == Some(1) && error.contains("transports[1].endpoint: ") && error.contains("exclude each other"),
        "{error}"
    );
}
