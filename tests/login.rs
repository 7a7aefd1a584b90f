//! A node that is started from a configuration file, and clients that were not written here that log in.

mod support;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use support::browser::Browser;
use support::directory::Directory;
use support::{Client, Router, Serializer, Transport, Wire, install};

const WIRE: Wire = Wire { transport: Transport::WebSocket, serializer: Serializer::Json };

/// The seed of a key pair for `cryptosign`; its public half stands in the file.
const SEED: &str = "0707070707070707070707070707070707070707070707070707070707070707";

fn config() -> String {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
    serde_json::json!({
        "version": 2,
        "workers": [{
            "type": "router",
            "realms": [{"name": "realm1", "roles": [
                {"name": "user", "permissions": [{"uri": "com.app.", "match": "prefix", "allow": {"call": true}}]},
            ]}],
            "transports": [{
                "type": "websocket",
                "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
                "auth": {
                    "ticket": {"type": "static", "principals": {"joe": {"ticket": "${LOGIN_TICKET}", "role": "user"}}},
                    "wampcra": {"type": "static", "users": {
                        "joe": {"secret": "secret!", "role": "user"},
                        "peter": {"secret": "secret!", "role": "user", "salt": "s4lt", "iterations": 100, "keylen": 32},
                    }},
                    "scram": {"type": "static", "principals": {"joe": scram_argon2id(), "peter": scram_pbkdf2()}},
                    "cryptosign": {"type": "static", "principals": {
                        "joe": {"authorized_keys": [HEXLOWER.encode(&key)], "role": "user"},
                    }},
                },
            }],
        }],
    })
    .to_string()
}

#[test]
fn a_file_is_read_again_on_sighup() {
    let file = |users: &str, allowed: &str| {
        let grants = r#"{"uri": "com.app.", "match": "prefix", "allow": {"subscribe": ALLOWED}}"#;
        let text = r#"{"version": 2, "workers": [{"type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "user", "permissions": [GRANTS]}]}],
            "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
                "auth": {"ticket": {"type": "static", "principals": {USERS}}}}]}]}"#;
        text.replace("GRANTS", &grants.replace("ALLOWED", allowed)).replace("USERS", users)
    };
    let (joe, jane) = (r#""joe": {"ticket": "x", "role": "user"}"#, r#""jane": {"ticket": "x", "role": "user"}"#);
    let directory = Directory::new("login-sighup", &file(&format!("{joe}, {jane}"), "true"));
    let router = Router::run(directory.command("start", &[]));
    let login = |name: &str| Client::login(router.address(), WIRE, name, "x");
    let (mut one, mut other) = (login("joe"), login("jane"));
    let subscription = other.subscribe("com.app.x");
    let rewrite = |text: &str| {
        directory.write(text);
        router.signal("HUP");
    };
    rewrite("{");
    router.expect_log("everything stays as it is");
    one.subscribe("com.app.x");
    rewrite(&file(jane, "true"));
    assert_eq!(one.expect(6)[2].str(), "wamp.close.killed");
    router.expect_log("ticket user joe: is gone");
    rewrite(&file(jane, "false"));
    let told = other.expect(35);
    assert_eq!(told[2].dict()["subscription"].uint(), subscription);
    other.leave();
    router.signal("TERM");
    assert!(router.wait(Duration::from_secs(20)).success());
}

/// What `derive_scram_credential` of autobahn for Python makes of the password `secret!` of `joe`.
fn scram_argon2id() -> serde_json::Value {
    serde_json::json!({
        "role": "user",
        "kdf": "argon2id-13",
        "memory": 512,
        "iterations": 4096,
        "salt": "78675cc176081372c43abab3ea9fb70c",
        "stored-key": "272bc30f052248dc5cdbda74950e7a8b93ed9bdcbb223735783f754bdef1b463",
        "server-key": "b148096a94176a82ac7cc885191377361b8cd6ee3af1c653c01239de23b6abf7",
    })
}

/// The same for PBKDF2, as RFC 5802 says it.
fn scram_pbkdf2() -> serde_json::Value {
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(b"secret!", b"s4lt", 100, &mut salted);
    let key = |label: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&salted).expect("keys of any length");
        mac.update(label);
        mac.finalize().into_bytes()
    };
    serde_json::json!({
        "role": "user",
        "kdf": "pbkdf2",
        "iterations": 100,
        "salt": HEXLOWER.encode(b"s4lt"),
        "stored-key": HEXLOWER.encode(&Sha256::digest(key(b"Client Key"))),
        "server-key": HEXLOWER.encode(&key(b"Server Key")),
    })
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

#[test]
fn clients_of_others_log_in() {
    let (python, node) = (install::python("python", &source("python.txt")), install::node("js", &source("js")));
    let (Some(python), Some(node), Some(apps)) = (python, node, install::corebar_python()) else { return };
    let directory = Directory::new("login-clients", &config());
    let mut start = directory.command("start", &["--shards", "2", "--no-pin"]);
    let router = Router::run({
        start.env("LOGIN_TICKET", "secret!");
        start
    });
    let log_in = |library: &str, method: &str, authid: &str, secret: &str| {
        let mut command = match library {
            "python" => {
                let mut command = Command::new(python.join("bin/python"));
                command.arg(source("login.py")).args([&router.url(), method]);
                command
            }
            "apps" => {
                let mut command = Command::new(apps.join("bin/python"));
                command.arg(source("app_login.py")).args([&router.url(), method]);
                command
            }
            library => {
                let mut command = Command::new("node");
                command.arg(source("js/login.js")).env("NODE_PATH", node.join("node_modules"));
                command.args([&router.url(), library, method]);
                command
            }
        };
        said(&command.args([authid, secret]).output().expect("the client can be started"))
    };
    for (library, method, authid, secret) in [
        ("python", "ticket", "joe", "secret!"),
        ("python", "wampcra", "joe", "secret!"),
        ("python", "wampcra", "peter", "secret!"),
        ("python", "scram", "joe", "secret!"),
        ("python", "scram", "peter", "secret!"),
        ("python", "cryptosign", "joe", SEED),
        ("apps", "ticket", "joe", "secret!"),
        ("apps", "wampcra", "joe", "secret!"),
        ("apps", "wampcra", "peter", "secret!"),
        ("apps", "scram", "joe", "secret!"),
        ("apps", "scram", "peter", "secret!"),
        ("apps", "wamp-scram", "joe", "secret!"),
        ("apps", "wamp-scram", "peter", "secret!"),
        ("apps", "cryptosign", "joe", SEED),
        ("autobahn", "ticket", "joe", "secret!"),
        ("autobahn", "wampcra", "joe", "secret!"),
        ("autobahn", "wampcra", "peter", "secret!"),
        ("autobahn", "cryptosign", "joe", SEED),
        ("wampy", "ticket", "joe", "secret!"),
        ("wampy", "wampcra", "joe", "secret!"),
        ("wampy", "wampcra", "peter", "secret!"),
        ("wampy", "cryptosign", "joe", SEED),
        ("corebar", "ticket", "joe", "secret!"),
        ("corebar", "wampcra", "joe", "secret!"),
        ("corebar", "wampcra", "peter", "secret!"),
        ("corebar", "wamp-scram", "joe", "secret!"),
        ("corebar", "wamp-scram", "peter", "secret!"),
        ("corebar", "scram", "joe", "secret!"),
        ("corebar", "scram", "peter", "secret!"),
        ("corebar", "cryptosign", "joe", SEED),
    ] {
        let text = log_in(library, method, authid, secret);
        assert_eq!(text, format!("{authid} user {method} OK"), "{library}");
        let wrong = if method == "cryptosign" { SEED.replacen('0', "1", 1) } else { "wrong".into() };
        let text = log_in(library, method, authid, &wrong);
        assert!(text.starts_with("refused") && text.contains("wamp.error.authentication_denied"), "{library}: {text}");
    }
}

#[test]
fn pages_log_in() {
    let Some(browser) = Browser::start() else { return };
    let mut file: serde_json::Value = serde_json::from_str(&config()).expect("JSON");
    let transport = &mut file["workers"][0]["transports"][0];
    let auth = transport["auth"].take();
    *transport = serde_json::json!({
        "type": "web",
        "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
        "paths": {
            "/": {"type": "json", "value": null},
            "corebar.js": {"type": "client"},
            "ws": {"type": "websocket", "auth": auth},
        },
    });
    let directory = Directory::new("login-pages", &file.to_string());
    let mut start = directory.command("start", &["--shards", "1", "--no-pin"]);
    let router = Router::run({
        start.env("LOGIN_TICKET", "secret!");
        start
    });
    let page = browser.open(&format!("http://{}/", router.address()));
    for (method, authid, shown) in [
        ("ticket", "joe", "ticket: async () => 'secret!'"),
        ("wampcra", "joe", "secret: 'secret!'"),
        ("wampcra", "peter", "secret: 'secret!'"),
        ("scram", "peter", "password: 'secret!'"),
        ("cryptosign", "joe", &format!("privateKey: '{SEED}'")),
    ] {
        let log_in = |shown: &str| {
            page.value(&format!(
                "(async () => {{
                    const {{ connect }} = await import('/corebar.js');
                    const options = {{ realm: 'realm1', authid: '{authid}', reconnect: false, {shown} }};
                    const session = await connect('/ws', options);
                    const said = [session.authid, session.authrole, session.authmethod];
                    await session.close();
                    return said;
                }})().catch((error) => error.reason)"
            ))
        };
        assert_eq!(log_in(shown), serde_json::json!([authid, "user", method]));
        let wrong = shown.replace("secret!", "wrong").replace("070", "170");
        assert_eq!(log_in(&wrong), "wamp.error.authentication_denied", "{method}");
    }
    assert_eq!(browser.thrown(), Vec::<String>::new());
}

/// A node that runs from this configuration, and a client that has logged in.
fn node_and_client(name: &str, config: &str, flags: &[&str]) -> (Directory, Router, Client) {
    let directory = Directory::new(name, config);
    let mut start = directory.command("start", &[&["--log", "warn"], flags].concat());
    start.env("LOGIN_TICKET", "secret!");
    let router = Router::run(start);
    let mut client = Client::connect(router.address(), WIRE);
    client
        .send(serde_json::json!([1, "realm1", {"roles": {"caller": {}}, "authid": "joe", "authmethods": ["ticket"]}]));
    client.expect(4);
    client.send(serde_json::json!([5, "secret!", {}]));
    client.expect(2);
    (directory, router, client)
}

#[test]
fn a_node_does_as_its_file_says() {
    let (_directory, _router, mut client) = node_and_client("node", &config(), &["--shards", "1", "--no-pin"]);
    let call = client.call("com.app.x", &[]);
    client.expect_error(48, call, "wamp.error.no_such_procedure");
    let call = client.call("com.other", &[]);
    client.expect_error(48, call, "wamp.error.not_authorized");
    client.leave();
}

#[test]
fn a_node_has_the_limits_of_its_file() {
    let settings =
        r#""corebar":{"shards":1,"pin":false,"limits":{"calls_max":0},"transport":{"message_bytes_max":512}}"#;
    let limited = config().replace("\"version\":2", &format!("\"version\":2,{settings}"));
    let (_directory, _router, mut client) = node_and_client("limits", &limited, &[]);
    let call = client.call("com.app.x", &[]);
    client.expect_error(48, call, "wamp.error.limit_exceeded");
    client.call(&format!("com.app.{}", "x".repeat(600)), &[]);
    client.expect_abort("wamp.error.protocol_violation");
}

#[test]
fn check_says_what_is_wrong() {
    let check = |config: &str, more: &[&str]| {
        let directory = Directory::new("login-check", config);
        let mut command = directory.command("check", more);
        let output = command.env("LOGIN_TICKET", "secret!").output().expect("the program can be run");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).trim().to_string())
    };
    let (code, text) = check(&config(), &[]);
    assert!(code == Some(0) && text.ends_with("config.json: ok, 1 realms, 1 transports"), "{text}");
    let (code, text) = check(&config().replace("\"role\":\"user\"", "\"rolle\":\"user\""), &[]);
    assert_eq!(code, Some(1));
    assert!(text.lines().count() == 1 && text.contains("config.json: workers[0].transports[0].auth."), "{text}");
    let warned = config().replace("\"version\":2", "\"version\":2,\"controller\":{\"keyring\":{\"type\":\"a\"}}");
    assert_eq!(check(&warned, &[]).0, Some(0));
    let (code, text) = check(&warned, &["--strict"]);
    assert!(code == Some(1) && text.contains("controller.keyring: has no effect"), "{text}");
    let apart = r#"{"uri":"com.app.x","allow":{"publish":true}},{"uri""#;
    let (code, text) = check(&config().replacen(r#"{"uri""#, apart, 1), &[]);
    assert!(
        code == Some(0) && text.contains("permissions[1]: for \"com.app.x") && text.contains("Crossbar.io"),
        "{text}"
    );
    let settings = config().replace("\"version\":2", "\"version\":2,\"corebar\":{\"limits\":{\"cals_max\":1}}");
    let (code, text) = check(&settings, &[]);
    let expected = "corebar.limits.cals_max: is not known; did you mean corebar.limits.calls_max?";
    assert!(code == Some(1) && text.ends_with(expected), "{text}");
    let (code, text) = check(&config(), &["--config", "other.json"]);
    assert!(code == Some(1) && text.contains("other.json"), "{text}");
}
