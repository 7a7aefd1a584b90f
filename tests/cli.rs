//! Commands for a node that runs, as an operator gives them.

mod support;

use serde_json::{Value as Json, json};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Duration;
use support::directory::Directory;
use support::{Client, Router, Wire, router};

const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration whose role may subscribe to this prefix.
fn config(prefix: &str) -> String {
    json!({
        "version": 2,
        "corebar": {"shards": 2, "pin": false},
        "workers": [{
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": [
                {"uri": prefix, "match": "prefix", "allow": {"subscribe": true}},
            ]}]}],
            "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"}}],
        }],
    })
    .to_string()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).trim().to_string();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_node_is_found_by_its_directory() {
    let directory = Directory::new("cli-status", &config("com."));
    let run = |command: &str, more: &[&str]| said(&directory.output(command, more));
    assert_eq!(run("status", &[]), (Some(0), "stopped".into(), String::new()));
    assert_eq!(run("status", &["--assert", "stopped"]).0, Some(0));
    assert_eq!(run("status", &["--assert", "running"]).0, Some(69));
    for command in ["stop", "reload"] {
        let (code, _, error) = run(command, &[]);
        assert_eq!(code, Some(69), "{error}");
        assert!(error.starts_with("corebar: no node runs in "), "{error}");
    }
    let router = directory.start();
    let (code, text, _) = run("status", &["--assert", "running"]);
    assert!(code == Some(0) && text.contains(&router.address().to_string()), "{text}");
    assert_eq!(run("status", &["--assert", "stopped"]).0, Some(69));
    let json: Json = serde_json::from_str(&run("status", &["--json"]).1).expect("JSON");
    assert_eq!((&json["status"], &json["node"]["argv"][1]), (&json!("running"), &json!("start")));
    // Only one node runs in a directory.
    let (code, _, error) = run("start", &[]);
    assert_eq!(code, Some(1));
    assert!(error.contains("a node runs in this directory already (process "), "{error}");
    assert_eq!(run("status", &["--assert", "running"]).0, Some(0));
    let (code, text, error) = run("stop", &["--timeout", "20"]);
    assert!(code == Some(0) && text.ends_with("it has ended"), "{text} {error}");
    assert!(router.wait(PATIENCE).success());
    assert_eq!(run("status", &[]).1, "stopped");
    // One that was killed is not taken for one that runs.
    let killed = directory.start();
    killed.signal("KILL");
    killed.wait(PATIENCE);
    assert_eq!(run("status", &[]).1, "stopped");
    assert!(directory.start().try_wait().is_none());
}

#[test]
fn a_reload_says_what_has_changed() {
    let directory = Directory::new("cli-reload", &config("com."));
    let run = |more: &[&str]| said(&directory.output("reload", more));
    let router = directory.start();
    let mut client = Client::join(router.address(), Wire::JSON);
    let subscription = client.subscribe("com.x");
    assert_eq!(
        run(&[]),
        (Some(0), "nothing changed; certificates and other files have been read again".into(), String::new())
    );
    directory.write(&config("org."));
    let change = "realm realm1: role anonymous: is another";
    assert_eq!(run(&["--dry-run"]), (Some(0), format!("would change: {change}"), String::new()));
    client.unsubscribe(subscription);
    client.subscribe("com.x");
    let json: Json = serde_json::from_str(&run(&["--json"]).1).expect("JSON");
    assert_eq!((&json["changes"], &json["error"]), (&json!([change]), &Json::Null));
    let request = client.next();
    client.send(json!([32, request, {}, "com.y"]));
    client.expect_error(32, request, "wamp.error.not_authorized");
    directory.write(&config("org.").replace("\"shards\":2", "\"shards\":3"));
    let (code, text, _) = run(&[]);
    assert_eq!(code, Some(0));
    assert!(text.contains("only a new start can change: corebar.shards: 2 becomes 3"), "{text}");
    // A port that somebody else has is found by both, and of those of its own the node says nothing.
    let taken =
        TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr().map(|address| (socket, address)));
    let (_taken, address) = taken.expect("a port");
    let mut other: Json = serde_json::from_str(&config("org.")).expect("JSON");
    let endpoint = json!({"type": "tcp", "interface": "127.0.0.1", "port": address.port()});
    let transports = other["workers"][0]["transports"].as_array_mut().expect("transports");
    transports.push(json!({"type": "rawsocket", "endpoint": endpoint}));
    directory.write(&other.to_string());
    for more in [&["--dry-run", "--json"][..], &["--json"]] {
        let (code, text, error) = run(more);
        let told: Json = serde_json::from_str(&text).expect("JSON");
        let why = told["error"].as_str().expect("a reason");
        assert!(code == Some(1) && why.contains(&address.to_string()) && error.ends_with(why), "{why} {error}");
    }
    directory.write("{");
    for more in [&["--dry-run"][..], &[]] {
        let (code, _, error) = run(more);
        assert_eq!(code, Some(1));
        assert!(error.contains("everything stays as it is") && error.contains("config.json"), "{error}");
    }
    client.leave();
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
}

/// Each of several who ask at the same time is told what became of his own wish.
#[test]
fn reloads_at_the_same_time_are_told_apart() {
    let directory = Directory::new("cli-reloads", &config("com."));
    let router = directory.start();
    for round in 0..3 {
        directory.write(&config(&format!("org{round}.")));
        let outputs: Vec<Output> = std::thread::scope(|scope| {
            let ask = |more: &'static [&str]| scope.spawn(|| directory.output("reload", more));
            let asked = [&["--json"][..], &["--json"], &["--json", "--dry-run"]].map(ask);
            asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
        });
        let told: Vec<Json> =
            outputs.iter().map(|output| serde_json::from_str(&said(output).1).expect("JSON")).collect();
        let changed = |told: &&Json| told["dry_run"] == false && told["changes"] != json!([]);
        assert_eq!(told.iter().filter(changed).count(), 1, "{told:?}");
        assert_eq!(told[2]["dry_run"], true);
    }
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
}

#[test]
fn misuse_is_told_in_one_line() {
    let cases: [(&[&str], &str); 5] = [
        (&["stauts"], "unrecognized subcommand 'stauts'; some similar subcommands exist: 'start', 'status'"),
        (&["--foo"], "unexpected argument '--foo' found"),
        (&["pub"], "the following required arguments were not provided: <TOPIC>"),
        (
            &["start", "--shards", "x"],
            "invalid value 'x' for '--shards <N|auto>': expected `auto` or a number from 1 to 128",
        ),
        (&["check", "--cbdir"], "a value is required for '--cbdir <DIRECTORY>' but none was supplied"),
    ];
    for (arguments, expected) in cases {
        let output = router::command(arguments).output().expect("it runs");
        let expected = format!("corebar: {expected}; --help tells more\n");
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()), (Some(2), expected));
    }
}

#[test]
fn what_cannot_be_written_is_told() {
    let directory = Directory::new("cli-full", &config("com."));
    for command in ["check", "keys", "status", "upgrade"] {
        let full = std::fs::File::create("/dev/full").expect("a device");
        let mut command = directory.command(command, &[]);
        let (code, _, error) = said(&command.stdout(full).output().expect("the program can be run"));
        assert!(code == Some(1) && error.starts_with("corebar: cannot write: "), "{code:?} {error}");
    }
}

#[test]
fn keys_are_made_once() {
    use ed25519_dalek::SigningKey;
    use std::os::unix::fs::PermissionsExt;
    let hex = |text: &str| -> [u8; 32] {
        let octets = data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hexadecimal digits");
        octets.try_into().expect("32 octets")
    };
    let directory = Directory::new("cli-keys", "{}");
    let run = |more: &[&str]| said(&directory.output("keys", more));
    let (public, private) = (run(&[]).1, run(&["--private"]).1);
    assert_eq!(SigningKey::from_bytes(&hex(&private)).verifying_key().to_bytes(), hex(&public));
    assert_eq!(run(&[]).1, public);
    let mode = directory.path("key.priv").metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let told = std::fs::read_to_string(directory.path("key.pub")).expect("a file");
    assert!(told.contains(&format!("public-key-ed25519: {public}")) && !told.contains(&private));
    let secret = std::fs::read_to_string(directory.path("key.priv")).expect("a file");
    std::fs::write(directory.path("key.priv"), secret.replace(&public, &private)).expect("a file");
    let (code, _, error) = run(&[]);
    assert!(code == Some(1) && error.contains("key.priv: its public key"), "{error}");
    let pairs = [(); 2].map(|()| said(&router::command(&["keygen"]).output().expect("the program can be run")).1);
    assert_ne!(pairs[0], pairs[1]);
    let mut lines = pairs[0].lines().map(|line| line.split(": ").nth(1).expect("a key"));
    let (private, public) = (lines.next().expect("a key"), lines.next().expect("a key"));
    assert_eq!(SigningKey::from_bytes(&hex(private)).verifying_key().to_bytes(), hex(public));
}

#[test]
fn the_program_says_which_it_is() {
    for argument in ["version", "--version"] {
        let output = router::command(&[argument]).output().expect("the program can be run");
        assert_eq!(said(&output), (Some(0), format!("corebar {}", env!("CARGO_PKG_VERSION")), String::new()));
    }
}

#[test]
fn a_node_ends_after_its_time() {
    let directory = Directory::new("cli-time", &config("com."));
    let router = Router::run(directory.command("start", &["--shutdownafter", "0.5"]));
    assert!(router.wait(PATIENCE).success());
    router.expect_log("the time of --shutdown-after is over");
    let (code, _, error) = said(&directory.output("start", &["--shutdownafter=-1"]));
    assert!(code == Some(2) && error.contains("expected seconds"), "{error}");
    // Zero is never.
    let router = Router::run(directory.command("start", &["--shutdownafter", "0"]));
    Client::join(router.address(), Wire::JSON).leave();
}

#[test]
fn a_node_directory_is_found_as_by_crossbar() {
    let directory = Directory::new("cli-home", &config("com."));
    let status = |arguments: &[&str]| {
        let mut command = router::command(arguments);
        command.current_dir(directory.path("")).env_remove("CROSSBAR_DIR");
        said(&command.output().expect("the program can be run"))
    };
    let _router = directory.start();
    // The directory itself, or the file in it.
    assert_eq!(status(&["status", "--assert", "running"]).0, Some(0));
    assert_eq!(status(&["status", "--assert", "running", "--cbdir", "config.json"]).0, Some(0));
    assert!(status(&["check"]).1.starts_with("./config.json: ok"));
    std::fs::create_dir(directory.path(".crossbar")).expect("a writable directory");
    assert_eq!(status(&["status", "--assert", "running"]).0, Some(69));
}

#[test]
fn the_configuration_file_is_described() {
    let directory = Directory::new("cli-config", &config("com."));
    let run = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_corebar")).arg("config").args(more).output();
        let output = output.expect("the program runs");
        said(&output)
    };
    let schema: Json = serde_json::from_str(&run(&["schema"]).1).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let own: Json = serde_json::from_str(&config("com.")).expect("JSON");
    assert!(validator.is_valid(&own));
    for full in [&["example"][..], &["example", "--full"]] {
        let (code, text, _) = run(full);
        assert_eq!(code, Some(0));
        std::fs::write(directory.path("config.yaml"), text).expect("a writable directory");
        let (code, text, error) = said(&directory.output("check", &["--strict"]));
        assert!(code == Some(0) && text.contains("config.yaml: ok, 1 realms, 1 transports"), "{text} {error}");
    }
    let (code, text, _) = run(&["explain", "corebar.limits.calls_max"]);
    assert!(code == Some(0) && text.starts_with("corebar.limits.calls_max\n"), "{text}");
    let (code, text, _) = run(&["explain", "--json", "workers[0].transports[1].options.max_message_size"]);
    let all: Json = serde_json::from_str(&text).expect("JSON");
    assert!(code == Some(0) && all.as_array().is_some_and(|all| all.len() == 2), "{text}");
    assert_eq!((&all[0]["unit"], &all[0]["setting"]), (&json!("octets"), &json!("transport.message_bytes_max")));
    let (code, text, error) = run(&["explain", "corebar.limits.call_max"]);
    assert_eq!((code, &*text), (Some(1), ""));
    assert!(error.ends_with("did you mean corebar.limits.calls_max?"), "{error}");
    let (code, text, _) = run(&["reference"]);
    assert!(code == Some(0) && text == include_str!("../docs/reference.md").trim(), "docs/reference.md is old");
}
