//! The log of the program: its levels, formats and files.

mod support;

use serde_json::{Value as Json, json};
use std::fs;
use std::time::{Duration, Instant};
use support::Router;
use support::directory::Directory;

const PATIENCE: Duration = Duration::from_secs(20);

fn config(log: Json) -> String {
    json!({
        "version": 2,
        "corebar": {"shards": 1, "pin": false, "log": log},
        "workers": [{
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": []}]}],
            "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"}}],
        }],
    })
    .to_string()
}

/// Waits until a file holds this.
fn wait_for(directory: &Directory, file: &str, wanted: &str) -> String {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(directory.path(file)).unwrap_or_default();
        if text.contains(wanted) {
            return text;
        }
        assert!(start.elapsed() < PATIENCE, "{file} does not hold {wanted:?}, but:\n{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn end(router: &Router) {
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
}

#[test]
fn a_file_is_opened_again() {
    let directory = Directory::new("log-file", &config(json!({"file": "router.log"})));
    let router = directory.start();
    router.signal("HUP");
    wait_for(&directory, "router.log", "have been read again");
    fs::rename(directory.path("router.log"), directory.path("router.log.1")).expect("a writable directory");
    router.signal("USR1");
    wait_for(&directory, "router.log", "the log goes on here");
    end(&router);
    assert!(wait_for(&directory, "router.log", "shutting down").starts_with("20"), "no colours");
    assert!(!wait_for(&directory, "router.log.1", "read again").contains("shutting down"));
    assert_eq!(router.log(), "", "nothing is said on standard error");
}

#[test]
fn a_file_is_opened_again_also_at_the_end() {
    let mut config: serde_json::Value = serde_json::from_str(&config(json!({"file": "router.log"}))).expect("JSON");
    config["corebar"]["drain"] = json!({"delay": 3});
    let directory = Directory::new("log-end", &config.to_string());
    let router = directory.start();
    router.signal("TERM");
    wait_for(&directory, "router.log", "shutting down");
    fs::rename(directory.path("router.log"), directory.path("router.log.1")).expect("a writable directory");
    router.signal("USR1");
    wait_for(&directory, "router.log", "the log goes on here");
    assert!(router.wait(PATIENCE).success());
}

#[test]
fn a_file_that_cannot_be_opened_is_told() {
    let directory = Directory::new("log-none", &config(json!({"file": "no/router.log"})));
    let output = directory.output("start", &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && error.contains("cannot write the log ") && error.lines().count() == 1,
        "{error}"
    );
}

#[test]
fn lines_can_be_json() {
    let directory = Directory::new("log-json", &config(json!({"json": true, "file": "router.log"})));
    let router = directory.start();
    end(&router);
    let text = wait_for(&directory, "router.log", "shutting down");
    let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let last = lines.iter().find(|line| line["message"] == "shutting down").expect("it is said");
    assert!(last["level"] == "INFO" && last["timestamp"].is_string(), "{last}");
}

#[test]
fn levels_are_changed_by_a_reload() {
    let with = |level: &str| config(json!({"level": level, "file": "router.log"}));
    let directory = Directory::new("log-level", &with("error"));
    let router = directory.start();
    assert_eq!(directory.output("reload", &[]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(directory.path("router.log")).expect("it is there"), "");
    directory.write(&with("debug"));
    let output = directory.output("reload", &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("corebar.log.level: \"error\" becomes \"debug\""), "{text}");
    directory.write(&with("infoo"));
    assert_eq!(directory.output("reload", &[]).status.code(), Some(1));
    wait_for(&directory, "router.log", "everything stays as it is");
    end(&router);
    wait_for(&directory, "router.log", "shutting down");
}

#[test]
fn flags_are_stronger_than_the_file() {
    let directory = Directory::new("log-flags", &config(json!({"level": "debug", "file": "other.log"})));
    let own = directory.path("own.log");
    let own = own.to_str().expect("a path of plain characters");
    let router = Router::run(directory.command("start", &["--loglevel", "none", "--log-file", own, "--log-json"]));
    assert_eq!(directory.output("reload", &[]).status.code(), Some(0));
    end(&router);
    assert_eq!(fs::read_to_string(own).expect("it is there"), "");
    assert!(!directory.path("other.log").exists());
}

#[test]
fn lines_begin_as_is_wanted() {
    let level = "\u{1b}[32m INFO\u{1b}[0m shutting down";
    for (arguments, begins) in [
        (&["--logformat", "standard", "--color", "auto"][..], "20"),
        (&["--logformat", "syslogd"], " INFO shutting down"),
        (&["--log-format", "none", "--loglevel", "debug"], "shutting down"),
        (&["--logformat", "syslogd", "--colour", "true"], level),
    ] {
        let directory = Directory::new("log-format", &config(json!({"json": true, "format": "none"})));
        let router = Router::run(directory.command("start", arguments));
        end(&router);
        router.expect_log("shutting down");
        let log = router.log();
        let line = log.lines().find(|line| line.contains("shutting down")).expect("it is said");
        assert!(line.starts_with(begins), "{arguments:?}: {line:?}");
    }
    let directory = Directory::new("log-format", &config(json!({"format": "syslogd", "color": "true"})));
    let router = directory.start();
    end(&router);
    router.expect_log(level);
    directory.write(&config(json!({"format": "nothing"})));
    let output = directory.output("check", &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("corebar.log.format: is \"nothing\", not \"standard\""), "{error}");
}

#[test]
fn logs_lie_where_those_of_crossbar_would() {
    for (arguments, file) in
        [(&["--logtofile"][..], "node.log"), (&["--logtofile", "--logdir", "logs/of/today"], "logs/of/today/node.log")]
    {
        let directory = Directory::new("log-place", &config(json!({"file": "other.log"})));
        let router = Router::run(directory.command("start", arguments));
        end(&router);
        wait_for(&directory, file, "shutting down");
        assert!(router.log().is_empty() && !directory.path("other.log").exists());
    }
    let directory = Directory::new("log-place", &config(json!({})));
    fs::write(directory.path("logs"), "a file").expect("a writable directory");
    let output = directory.output("start", &["--logtofile", "--logdir", "logs"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("cannot make the directory "), "{error}");
}
