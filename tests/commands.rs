//! The client of the command line, as people and scripts use it, against a router.

mod support;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value as Json, json};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use support::authority::Authority;
use support::directory::Directory;
use support::{Router, install, router};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a developer may have set.
const VARIABLES: [&str; 11] = [
    "URL",
    "REALM",
    "AUTHID",
    "AUTHMETHOD",
    "TICKET",
    "SECRET",
    "PRIVATE_KEY",
    "TOKEN",
    "SERIALIZER",
    "TIMEOUT",
    "TLS_CA",
];

/// A command for the router at a URL.
fn command(url: &str, args: &[&str]) -> Command {
    let mut command = router::command(args);
    for name in VARIABLES {
        command.env_remove(format!("COREBAR_{name}"));
    }
    command.env("COREBAR_URL", url);
    command
}

/// Exit code, standard output and standard error.
type Said = (Option<i32>, String, String);

fn said(output: &Output) -> Said {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).trim_end().to_string();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn run(url: &str, args: &[&str]) -> Said {
    said(&command(url, args).output().expect("the program can be run"))
}

/// Runs a command that has to succeed; gives what it prints.
#[track_caller]
fn well(url: &str, args: &[&str]) -> String {
    let (code, output, error) = run(url, args);
    assert_eq!(code, Some(0), "{args:?}: {error}");
    output
}

/// Runs a command with this on its standard input.
fn fed(url: &str, args: &[&str], input: &[u8]) -> Said {
    let mut child = command(url, args).stdin(Stdio::piped()).spawn().expect("the program can be run");
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    said(&child.wait_with_output().expect("it ends"))
}

/// A command that goes on until it is told to end; killed when dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.spawn().expect("the program can be run");
        let lines = router::lines(child.stdout.take().expect("a pipe"));
        let errors = router::lines(child.stderr.take().expect("a pipe"));
        Running { child, lines, errors }
    }

    /// A command that says on standard error when it is ready.
    #[track_caller]
    fn ready(url: &str, args: &[&str]) -> Running {
        let running = Running::start(command(url, args));
        let hint = running.errors.recv_timeout(PATIENCE).expect("it says that it is ready");
        assert!(["subscribed to ", "registered ", "following"].iter().any(|begin| hint.starts_with(begin)), "{hint}");
        running
    }

    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    #[track_caller]
    fn json(&self) -> Json {
        serde_json::from_str(&self.line()).expect("JSON")
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(kill.expect("kill is there").success());
    }

    /// Waits for its end; gives the exit code, and the rest of what it has said.
    #[track_caller]
    fn end(mut self) -> Said {
        let start = Instant::now();
        while self.child.try_wait().expect("our child").is_none() {
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let rest = |lines: &Receiver<String>| lines.iter().collect::<Vec<_>>().join("\n");
        (self.child.wait().expect("our child").code(), rest(&self.lines), rest(&self.errors))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A router, and its URLs.
fn with_urls() -> (Router, Vec<String>) {
    let path = std::env::temp_dir().join(format!("corebar-commands-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listen = format!("unix:{}", path.display());
    let router = Router::start(&["--shards", "2", "--no-pin", "--listen", &listen]);
    let urls = vec![
        format!("ws://{}/", router.address()),
        format!("rs://{}", router.address()),
        format!("unix://{}", path.display()),
    ];
    (router, urls)
}

/// Waits until no process of this id is there.
fn gone(pid: &str) {
    let start = Instant::now();
    // One that has ended and has not been waited for is gone, too.
    let there = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while there() {
        assert!(start.elapsed() < PATIENCE, "process {pid} goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn events_and_calls_over_every_transport() {
    let (_router, urls) = with_urls();
    for (at, url) in urls.iter().enumerate() {
        for serializer in ["json", "msgpack", "cbor", "ubjson"] {
            let subscriber =
                Running::ready(url, &["sub", "com.a", "com.b", "-n", "2", "--json", "--serializer", serializer]);
            let args = [
                "hello",
                "5",
                "-1.5",
                "[null,true]",
                r#""\u0000AAE=""#,
                "-k",
                "a=x",
                "--kwargs-json",
                r#"{"b":{"c":[]}}"#,
            ];
            // Whoever publishes speaks another way.
            let other = &urls[(at + 1) % urls.len()];
            let id = well(other, &[&["pub", "com.a"], &args[..]].concat());
            let event = subscriber.json();
            assert_eq!(event["publication"].to_string(), id);
            let (args, kwargs) = (json!(["hello", 5, -1.5, [null, true], "\0AAE="]), json!({"b": {"c": []}, "a": "x"}));
            assert_eq!((&event["topic"], &event["args"], &event["kwargs"]), (&json!("com.a"), &args, &kwargs));
            assert!(event["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{event}");
            let published: Json = serde_json::from_str(&well(url, &["pub", "com.b", "--json"])).expect("JSON");
            let event = subscriber.json();
            assert_eq!((&event["topic"], &event["args"]), (&json!("com.b"), &json!([])));
            assert_eq!(event["publication"], published["publication"]);
            let (code, rest, error) = subscriber.end();
            assert_eq!((code, &*rest), (Some(0), ""), "{error}");

            let callee = Running::ready(url, &["reg", "com.echo", "--echo", "-n", "1", "--serializer", serializer]);
            let answer = well(other, &["call", "com.echo", "a", "5", "-k", "x=y", "--json"]);
            let answer: Json = serde_json::from_str(&answer).expect("JSON");
            assert_eq!((&answer["args"], &answer["kwargs"]), (&json!(["a", 5]), &json!({"x": "y"})));
            let (code, line, error) = callee.end();
            assert_eq!(code, Some(0), "{error}");
            assert!(line.ends_with(r#"com.echo "a" 5 x="y" -> "a" 5 x="y""#), "{line}");
        }
    }
}

#[test]
fn events_are_shown_as_wanted() {
    let router = Router::start(&["--shards", "2", "--no-pin", "--history", "prefix:com.kept."]);
    let url = &router.url();
    let raw = Running::ready(url, &["sub", "com.", "--match", "prefix", "--raw", "-n", "2"]);
    let plain = Running::ready(url, &["sub", "com..x", "--match", "wildcard", "--details"]);
    well(url, &["pub", "com.a.x", "a b", "5", "-k", "k=v w", "-q", "--disclose-me"]);
    well(url, &["pub", "com.b", "--strings", "5", "--no-ack"]);
    assert_eq!((raw.line(), raw.line()), ("a b 5 k=v w".into(), "5".into()));
    assert_eq!(raw.end().0, Some(0));
    let (line, details) = (plain.line(), plain.line());
    assert!(line.ends_with(r#"Z com.a.x "a b" 5 k="v w""#), "{line}");
    assert!(details.starts_with("    publication ") && details.contains(r#""topic":"com.a.x""#), "{details}");
    assert!(details.contains(r#""publisher":"#), "{details}");
    plain.signal("TERM");
    assert_eq!(plain.end(), (Some(0), String::new(), String::new()));

    // Retained, and kept.
    well(url, &["pub", "com.retained", "old", "--retain"]);
    let retained = well(url, &["sub", "com.retained", "--retained", "--raw", "-n", "1"]);
    assert_eq!(retained, "old");
    for number in ["1", "2", "3"] {
        well(url, &["pub", "com.kept.a", number]);
    }
    well(url, &["pub", "com.kept.b", "4"]);
    let sub = |args: &[&str]| well(url, &[&["sub", "--raw"], args].concat());
    assert_eq!(sub(&["com.kept.", "--match", "prefix", "--history", "3", "-n", "3"]), "2\n3\n4");
    // A pattern that matches keeps them.
    assert_eq!(sub(&["com.kept.a", "--history", "2", "-n", "2"]), "2\n3");
    let (code, output, error) = run(url, &["sub", "com.b", "--history", "1", "--wait", "0.01"]);
    assert_eq!((code, &*output), (Some(0), ""));
    assert!(error.contains("the router has kept no events of com.b"), "{error}");
    let (code, _, error) = run(url, &["sub", "com.b", "-n", "2", "--wait", "0.01", "-q"]);
    assert_eq!((code, &*error), (Some(75), "corebar: 0 of 2 events have come in time"));

    // An audience.
    let joined = Running::ready(url, &["sub", "com.a", "--raw", "-n", "1"]);
    well(url, &["pub", "com.a", "not for you", "--exclude-authrole", "anonymous"]);
    well(url, &["pub", "com.a", "not for you", "--eligible", "1,2", "--eligible-authid", "nobody"]);
    well(url, &["pub", "com.a", "for you", "--eligible-authrole", "anonymous,admin"]);
    assert_eq!(joined.line(), "for you");
}

#[test]
fn many_events_are_published() {
    let router = Router::start(&["--shards", "1", "--no-pin"]);
    let url = &router.url();
    let subscriber = Running::ready(url, &["sub", "com.a", "--raw"]);
    let ids =
        well(url, &["pub", "com.a", "number {{count}} {{x}}", r#"{"n":{{count}}}"#, "-n", "3", "--interval", "0.001"]);
    assert_eq!(ids.lines().count(), 3);
    for number in 1..=3 {
        assert_eq!(subscriber.line(), format!(r#"number {number} {{{{x}}}} {{"n":{number}}}"#));
    }
    well(url, &["pub", "com.a", "{{count}}", "--no-templates"]);
    assert_eq!(subscriber.line(), "{{count}}");
    let (code, ids, error) = fed(url, &["pub", "com.a", "line", "--lines", "--json"], b"one\n5\n{\"a\":[]}");
    assert_eq!((code, ids.lines().count()), (Some(0), 3), "{error}");
    assert_eq!([(); 3].map(|()| subscriber.line()), ["line one", "line 5", r#"line {"a":[]}"#]);
    assert_eq!(fed(url, &["pub", "com.a", "-", "-q"], b"many\nlines\n"), (Some(0), String::new(), String::new()));
    assert_eq!([(); 2].map(|()| subscriber.line()), ["many", "lines"]);
    assert_eq!(fed(url, &["pub", "com.a", "-k", "x=-", "-q"], &[0xff, 0]).0, Some(0));
    assert_eq!(subscriber.line(), r#"x="\u0000/wA=""#);
    // Without end, until Ctrl-C; with an end that is not reached, that is not well.
    for (count, expected) in [("0", 0), ("1000000", 130)] {
        let publisher = Running::start(command(url, &["pub", "com.a", "x", "-n", count, "--interval", "0.001"]));
        publisher.line();
        publisher.signal("INT");
        assert_eq!(publisher.end().0, Some(expected));
    }
}

#[test]
fn commands_answer_calls() {
    let router = Router::start(&["--shards", "2", "--no-pin"]);
    let url = &router.url();
    let script = r#"case "$1" in
        fail) echo "no   good" >&2; exit 3;;
        signal) kill -9 $$;;
        env) echo "$WAMP_PROCEDURE ${WAMP_CALLER:-nobody} ${COREBAR_TICKET:-none}";;
        quote) printf '%s' "$2";;
        in) cat;;
        leave) sleep 1000 & echo $!;;
        nothing) ;;
        binary) printf '\377';;
    esac"#;
    let mut callee =
        command(url, &["reg", "com.shell.", "--match", "prefix", "-c", script, "--json", "--error", "com.error.shell"]);
    let callee = Running::start({
        callee.env("COREBAR_TICKET", "secret").env("COREBAR_AUTHMETHOD", "anonymous");
        callee
    });
    assert_eq!(callee.errors.recv_timeout(PATIENCE).as_deref(), Ok("registered com.shell. (prefix)"));
    let call = |args: &[&str]| run(url, &[&["call", "com.shell.a", "--raw"], args].concat());
    let prints = |args: &[&str]| {
        let (code, output, error) = call(args);
        assert_eq!((code, &*error), (Some(0), ""));
        output
    };
    assert_eq!(prints(&["nothing"]), "");
    assert_eq!(callee.json()["result"], json!({"args": [], "kwargs": {}}));
    let hostile = "'; exit 1; \"$(exit 1)\" `exit 1`";
    assert_eq!(prints(&["quote", hostile]), hostile);
    assert_eq!(callee.json()["result"]["args"], json!([hostile]));
    assert_eq!(prints(&["env"]), "com.shell.a nobody none");
    assert!(!prints(&["env", "--disclose-me"]).contains("nobody"));
    let input: Json = serde_json::from_str(&prints(&["in", "5", "-k", "a=[1]"])).expect("JSON");
    assert_eq!((&input["args"], &input["kwargs"]), (&json!(["in", 5]), &json!({"a": [1]})));
    assert_eq!(input["procedure"], "com.shell.a");
    // Binary comes as it is, or as JSON.
    let raw = command(url, &["call", "com.shell.a", "binary", "--raw"]).output().expect("it runs");
    assert_eq!(raw.stdout, [0xff]);
    assert_eq!(well(url, &["call", "com.shell.a", "binary"]), r#""\u0000/w==""#);
    // What it leaves behind is killed.
    gone(&prints(&["leave"]));
    let failed = (Some(1), String::new(), "corebar: com.error.shell: no   good exit_code=3".to_string());
    assert_eq!(call(&["fail"]), failed);
    let (code, _, error) = call(&["signal"]);
    assert_eq!(code, Some(1));
    assert!(error.starts_with("corebar: com.error.shell: ") && error.ends_with(" signal=9"), "{error}");
    callee.signal("INT");
    let (code, rest, error) = callee.end();
    assert_eq!((code, &*error), (Some(0), ""));
    let last: Json = serde_json::from_str(rest.lines().last().expect("lines")).expect("JSON");
    assert_eq!((&last["error"]["uri"], &last["error"]["kwargs"]), (&json!("com.error.shell"), &json!({"signal": 9})));

    let fixed = Running::ready(url, &["reg", "com.fixed", "--reply", "no. {{count}}", "--reply", "[1]", "-n", "2"]);
    assert_eq!(well(url, &["call", "com.fixed"]), "\"no. 1\"\n[1]");
    let again = run(url, &["reg", "com.fixed", "--echo"]);
    assert_eq!((again.0, &*again.2), (Some(1), "corebar: com.fixed: wamp.error.procedure_already_exists"));
    assert_eq!(well(url, &["call", "com.fixed", "--raw"]), "no. 2\n[1]");
    assert_eq!(fixed.end().0, Some(0));

    let json = Running::ready(url, &["reg", "com.json", "-c", r#"[ "$1" ] && echo "$1""#, "--json-result"]);
    assert_eq!(well(url, &["call", "com.json", r#"{"a":1}"#]), r#"{"a":1}"#);
    let (code, _, error) = run(url, &["call", "com.json", "text"]);
    assert!(code == Some(1) && error.contains("what the command prints is no JSON"), "{error}");
    let (_, _, error) = run(url, &["call", "com.json"]);
    assert_eq!(error, "corebar: wamp.error.runtime_error: the command has failed: exit status: 1 exit_code=1");
    drop(json);

    let shared = ["one", "two"].map(|name| {
        Running::ready(url, &["reg", "com.shared", "--invoke", "roundrobin", "--reply", name, "--concurrency", "1"])
    });
    let mut answers = [(); 2].map(|()| well(url, &["call", "com.shared", "--raw"]));
    answers.sort();
    assert_eq!(answers, ["one", "two"]);
    drop(shared);
}

#[test]
fn calls_are_canceled() {
    let router = Router::start(&["--shards", "2", "--no-pin"]);
    let url = &router.url();
    // A group of which not all take notice of SIGTERM.
    let script = r#"sh -c 'trap "" TERM; echo $$; sleep 1000' & echo $$; wait"#;
    let callee = Running::ready(url, &["reg", "com.slow", "-c", script, "--progress", "--grace", "0.1"]);
    let start = || {
        let caller = Running::start(command(url, &["call", "com.slow", "--progress"]));
        let processes = [(); 2].map(|()| caller.line());
        (caller, processes)
    };
    let (caller, processes) = start();
    caller.signal("INT");
    assert_eq!(caller.end(), (Some(130), String::new(), String::new()));
    processes.iter().for_each(|pid| gone(pid));
    assert!(callee.line().ends_with("com.slow -> canceled"));
    // The caller is killed.
    let (caller, processes) = start();
    drop(caller);
    processes.iter().for_each(|pid| gone(pid));
    // It takes too long.
    let (code, _, error) = run(url, &["call", "com.slow", "--call-timeout", "0.1"]);
    assert!(code == Some(1) && error == "corebar: wamp.error.timeout", "{code:?} {error}");
    // The callee ends: it waits for what is worked on, but not for ever.
    let (caller, processes) = start();
    let (_, _) = (callee.line(), callee.line());
    callee.signal("INT");
    let start = Instant::now();
    while !run(url, &["call", "com.slow", "--call-timeout", "0.01"]).2.ends_with("wamp.error.no_such_procedure") {
        assert!(start.elapsed() < PATIENCE, "the procedure is withdrawn");
    }
    callee.signal("INT");
    assert_eq!(callee.end().0, Some(130));
    processes.iter().for_each(|pid| gone(pid));
    let (code, _, error) = caller.end();
    assert!(code == Some(1) && error.starts_with("corebar: wamp.error."), "{code:?} {error}");
}

#[test]
fn the_callee_may_be_waited_for() {
    let router = Router::start(&["--shards", "1", "--no-pin"]);
    let url = &router.url();
    let script = r#"echo ready; trap 'echo told; exit 0' TERM; while :; do sleep 0.01; done"#;
    let _callee = Running::ready(url, &["reg", "com.slow", "-c", script, "--progress", "--grace", "20"]);
    for mode in ["skip", "kill", "killnowait"] {
        let caller = Running::start(command(url, &["call", "com.slow", "--progress", "--cancel-mode", mode]));
        assert_eq!(caller.line(), r#""ready""#);
        caller.signal("INT");
        // Corebar's callees answer an interrupt with an error at once.
        assert_eq!(caller.end(), (Some(130), String::new(), String::new()), "{mode}");
    }
}

#[test]
fn sessions_come_back() {
    let path = std::env::temp_dir().join(format!("corebar-commands-back-{}.sock", std::process::id()));
    let (listen, url) = (format!("unix:{}", path.display()), &format!("unix://{}", path.display()));
    let start = || Router::start(&["--shards", "1", "--no-pin", "--listen", &listen]);
    let lasting = ["--reconnect", "--reconnect-delay-max", "0.1"];
    let begin = |args: &[&str]| Running::start(command(url, &[args, &lasting[..]].concat()));
    // There is no router yet.
    let subscriber = begin(&["sub", "com.a", "--raw"]);
    let callee = begin(&["reg", "com.b", "--reply", "here"]);
    let tap = begin(&["tap", "com.c", "--json", "--meta"]);
    let expect = |running: &Running, wanted: &str| loop {
        let hint = running.errors.recv_timeout(PATIENCE).expect("a hint");
        if hint.starts_with(wanted) {
            break;
        }
    };
    let all = [&subscriber, &callee, &tap];
    all.iter().for_each(|running| expect(running, "corebar: away: cannot connect: "));
    let mut router = start();
    for (running, hint) in all.iter().zip(["subscribed to com.a", "registered com.b", "following"]) {
        expect(running, hint);
    }
    for round in ["1", "2"] {
        let start_time = Instant::now();
        // It is back, and so is what it wants, a moment later.
        while run(url, &["call", "com.b", "--raw"]).1 != "here" {
            assert!(start_time.elapsed() < PATIENCE, "the procedure is not there");
        }
        while run(url, &["call", "wamp.subscription.lookup", "com.a"]).1 == "null" {
            assert!(start_time.elapsed() < PATIENCE, "the subscription is not there");
        }
        well(url, &["pub", "com.a", round]);
        assert_eq!(subscriber.line(), round);
        let _one = Running::ready(url, &["sub", "com.c"]);
        while tap.json()["uri"] != "com.c" {}
        if round == "1" {
            router.signal("KILL");
            router.wait(PATIENCE);
            router = start();
            all.iter().for_each(|running| expect(running, "corebar: joined as "));
        }
    }
    router.signal("TERM");
    all.iter().for_each(|running| expect(running, "corebar: away: "));
    subscriber.signal("INT");
    assert_eq!(subscriber.end().0, Some(0));
    // So many attempts, and no more.
    let (code, _, error) =
        run("unix:///nonexistent", &[&["sub", "a", "--reconnect-attempts", "2"], &lasting[..]].concat());
    assert!(code == Some(69) && error.lines().count() == 2, "{code:?} {error}");
}

#[test]
fn what_goes_on_is_followed() {
    let router = Router::start(&["--shards", "2", "--no-pin"]);
    let url = &router.url();
    let known = Running::ready(url, &["sub", "com.known"]);
    let tap = Running::ready(url, &["tap", "com.", "--json"]);
    // What happens to sessions, subscriptions and registrations may be told in any order.
    let mut seen = Vec::<Json>::new();
    let mut find = |wanted: &[(&str, Json)]| {
        loop {
            let fits = |record: &Json| wanted.iter().all(|(key, value)| record[*key] == *value);
            if let Some(at) = seen.iter().position(fits) {
                return seen.remove(at);
            }
            seen.push(tap.json());
        }
    };
    let mut next = |kind: &str, uri: &str| find(&[("kind", json!(kind)), ("uri", json!(uri))]);
    let subscriber = Running::ready(url, &["sub", "com.a"]);
    assert_eq!(next("subscription_created", "com.a")["match"], "exact");
    let session = next("subscribed", "com.a")["session"].clone();
    let callee = Running::ready(url, &["reg", "com.b", "--echo"]);
    next("registration_created", "com.b");
    next("registered", "com.b");
    // Of other URIs nothing is told.
    well(url, &["sub", "org.a", "--wait", "0.01"]);
    well(url, &["pub", "org.a", "other"]);
    well(url, &["pub", "com.a", "hello", "-k", "x=1"]);
    subscriber.signal("INT");
    assert_eq!(subscriber.end().0, Some(0));
    assert_eq!(next("unsubscribed", "com.a")["session"], session);
    next("subscription_deleted", "com.a");
    callee.signal("INT");
    assert_eq!(callee.end().0, Some(0));
    next("unregistered", "com.b");
    // What was there before is known, too.
    known.signal("INT");
    assert_eq!(known.end().0, Some(0));
    next("unsubscribed", "com.known");
    let event = find(&[("kind", json!("event"))]);
    assert_eq!(
        (&event["topic"], &event["args"], &event["kwargs"]),
        (&json!("com.a"), &json!(["hello"]), &json!({"x": 1}))
    );
    for kind in ["joined", "left"] {
        let record = find(&[("kind", json!(kind)), ("session", session.clone())]);
        assert_eq!(record["authrole"], "anonymous");
    }
    assert!(!seen.iter().any(|record| record.to_string().contains("org.")), "{seen:?}");
    tap.signal("INT");
    assert_eq!(tap.end().0, Some(0));

    let events = Running::ready(url, &["tap", "--events", "-n", "1"]);
    well(url, &["pub", "org.a", "hello", "--disclose-me"]);
    let line = events.line();
    assert!(line.contains(r#" event org.a "hello" (by session "#), "{line}");
    assert_eq!(events.end().0, Some(0));
}

/// A node where users have to log in, by all methods, and a role that may do little.
fn guarded(key: &str) -> String {
    json!({
        "version": 2,
        "corebar": {"shards": 1, "pin": false},
        "workers": [{
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "user", "permissions": [
                {"uri": "com.", "match": "prefix", "allow": {"subscribe": true, "call": true, "register": true}},
                {"uri": "wamp.session.", "match": "prefix", "allow": {"call": true}},
            ]}]}],
            "transports": [{
                "type": "websocket",
                "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
                "auth": {
                    "ticket": {"type": "static", "principals": {"joe": {"ticket": "t!cket", "role": "user"}}},
                    "wampcra": {"type": "static", "users": {
                        "joe": {"secret": "s3cret", "role": "user"},
                        "peter": {"secret": "s3cret", "role": "user", "salt": "s4lt", "iterations": 100, "keylen": 32},
                    }},
                    "cryptosign": {"type": "static", "principals": {
                        "joe": {"authorized_keys": [key], "role": "user"},
                    }},
                    "jwt": {"type": "static", "secret": JWT_SECRET, "role": "user"},
                },
            }],
        }],
    })
    .to_string()
}

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn clients_show_who_they_are() {
    let key = said(&router::command(&["keygen"]).output().expect("it runs")).1;
    let public = key.lines().nth(1).and_then(|line| line.split(": ").nth(1)).expect("a key");
    let directory = Directory::new("commands-login", &guarded(public));
    let router = directory.start();
    let url = &router.url();
    let write = |name: &str, text: &str| {
        let path = directory.path(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let key = write("key", &key);
    let ticket = format!("@{}", write("ticket", "t!cket\n"));
    const CALL: [&str; 3] = ["call", "wamp.session.count", "--authid"];
    let enter = |who: &str, more: &[&str]| run(url, &[&CALL[..], &[who], more].concat());
    let good: &[(&str, &[&str])] = &[
        ("joe", &["--ticket", "t!cket"]),
        ("joe", &["--ticket", &ticket]),
        ("joe", &["--secret", "s3cret"]),
        ("peter", &["--secret", "s3cret", "--ticket", "wrong", "--authmethod", "wampcra"]),
        ("joe", &["--private-key", &key]),
    ];
    for (who, flags) in good {
        assert_eq!(enter(who, flags), (Some(0), "1".into(), String::new()), "{flags:?}");
    }
    // By the environment, and by standard input.
    let mut by_environment = command(url, &["call", "wamp.session.count"]);
    by_environment.env("COREBAR_AUTHID", "joe").env("COREBAR_TICKET", "t!cket");
    assert_eq!(said(&by_environment.output().expect("it runs")).1, "1");
    assert_eq!(fed(url, &[&CALL[..], &["joe", "--ticket", "-"]].concat(), b"t!cket\n").1, "1");

    let denied = "wamp.error.authentication_denied";
    let foreign = write("foreign", &"07".repeat(32));
    let bad: &[(i32, &str, &[&str])] = &[
        (77, denied, &["--ticket", "wrong"]),
        (77, denied, &["--secret", "wrong"]),
        (77, denied, &["--private-key", &foreign]),
        (77, "wamp.error.no_matching_auth_method", &["--authmethod", "anonymous"]),
        (77, "wamp.error.no_such_realm", &["--ticket", "t!cket", "--realm", "elsewhere"]),
        (2, "--authmethod ticket needs --ticket", &["--authmethod", "ticket"]),
        (2, "/nonexistent: No such file", &["--ticket", "@/nonexistent"]),
        (2, "no private key of Ed25519", &["--private-key", ticket.trim_start_matches('@')]),
    ];
    for (code, why, flags) in bad {
        let (found, output, error) = enter("joe", flags);
        assert_eq!((found, &*output), (Some(*code), ""), "{flags:?}: {error}");
        assert!(error.contains(why) && error.lines().count() == 1, "{flags:?}: {error}");
    }
    // Who is in may still not do everything.
    for args in [&["pub", "com.a"][..], &["sub", "org.a"], &["reg", "org.a", "--echo"], &["tap", "org.", "--events"]] {
        let (code, _, error) = run(url, &[args, &["--authid", "joe", "--ticket", "t!cket"]].concat());
        assert_eq!(code, Some(1), "{args:?}");
        assert!(error.contains(": wamp.error.not_authorized") && error.starts_with("corebar: "), "{error}");
    }
    // Tap says what it may not see, and goes on.
    let tap = Running::start(command(url, &["tap", "com.", "--authid", "joe", "--ticket", "t!cket"]));
    let hints = std::iter::from_fn(|| tap.errors.recv_timeout(PATIENCE).ok().filter(|hint| hint != "following"));
    assert!(hints.filter(|hint| hint.contains("not to be seen: wamp.session.on_join: ")).count() == 1);
    // The help shows no secrets.
    let mut help = command(url, &["call", "--help"]);
    let help = said(&help.env("COREBAR_TICKET", "t!cket").env("COREBAR_SECRET", "s3cret").output().expect("it runs")).1;
    assert!(!help.contains("t!cket") && !help.contains("s3cret"), "{help}");
}

#[test]
fn tokens_and_passwords_are_taken() {
    use hmac::{Hmac, KeyInit, Mac};
    let config: Json = serde_json::from_str(&guarded(&"00".repeat(32))).expect("JSON");
    let directory = Directory::new("commands-token", &config.to_string());
    let router = directory.start();
    let parts = [json!({"alg": "HS256", "typ": "JWT"}), json!({"sub": "joe", "exp": 4_102_444_800_u64})];
    let signed = parts.map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes())).join(".");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(JWT_SECRET.as_bytes()).expect("any length is good");
    mac.update(signed.as_bytes());
    let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac.finalize().into_bytes()));
    let call = |token: &str| run(&router.url(), &["call", "wamp.session.count", "--token", token]);
    assert_eq!(call(&token), (Some(0), "1".into(), String::new()));
    assert_eq!(call(&signed).0, Some(77));
}

#[test]
fn what_goes_wrong_is_told() {
    let router = Router::start(&["--shards", "1", "--no-pin"]);
    let url = &router.url();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("ws://{}/", silent.local_addr().expect("an address"));
    let nowhere = format!("{url}nowhere");
    let call = ["call", "com.none"];
    for (code, url, more, why) in [
        (1, url.as_str(), &[][..], "corebar: com.none: wamp.error.no_such_procedure"),
        (2, "example.com", &[], "corebar: 'example.com' is no URL of a router: it begins with no scheme"),
        (2, url, &["--args-json", "{}"], "corebar: --args-json: a list is needed, not a dict"),
        (69, "ws://127.0.0.1:1/", &[], "corebar: ws://127.0.0.1:1/: cannot connect: Connection refused (os error 111)"),
        (
            69,
            "unix:///nonexistent",
            &[],
            "corebar: unix:///nonexistent: cannot connect: No such file or directory (os error 2)",
        ),
        (75, &silent, &["--timeout", "0.1"], "no session within the time that was given"),
        (76, &nowhere, &[], "404 Not Found"),
        (
            77,
            url,
            &["-r", "elsewhere"],
            r#"realm elsewhere: refused: wamp.error.no_such_realm (no realm "elsewhere" here)"#,
        ),
    ] {
        let (found, output, error) = run(url, &[&call, more].concat());
        assert_eq!((found, &*output), (Some(code), ""), "{error}");
        assert!(error.contains(why) && error.lines().count() == 1, "{error:?} {why}");
    }
    for wrong in
        [&["pub"][..], &["sub"], &["reg", "a"], &["reg", "a", "--echo", "--reply", "1"], &["sub", "a", "-n", "0"]]
    {
        assert_eq!(run(url, wrong).0, Some(2), "{wrong:?}");
    }
    let (code, _, error) = run(url, &["pub", "com..a"]);
    assert!(code == Some(1) && error.starts_with("corebar: com..a: wamp.error.invalid_uri"), "{error}");
    // Ctrl-C while it connects.
    let waiting = Running::start(command(&silent, &["sub", "a"]));
    std::thread::sleep(Duration::from_millis(100));
    waiting.signal("INT");
    assert!(waiting.end().0 != Some(0));
    // Nobody reads any more.
    let mut piped = command(url, &["sub", "com.a", "-q"]).spawn().expect("it runs");
    drop(piped.stdout.take());
    let start = Instant::now();
    let status = loop {
        well(url, &["pub", "com.a", "hello", "-q"]);
        if let Some(status) = piped.try_wait().expect("our child") {
            break status;
        }
        assert!(start.elapsed() < PATIENCE, "it goes on");
    };
    assert_eq!((status.code(), said(&piped.wait_with_output().expect("it has ended")).2), (Some(0), String::new()));
    // The router ends.
    let left = [&["sub", "com.a"][..], &["reg", "com.a", "--echo"], &["tap"]].map(|args| Running::ready(url, args));
    router.signal("TERM");
    for running in left {
        let (code, _, error) = running.end();
        assert_eq!(code, Some(69), "{error}");
        assert!(error.starts_with("corebar: the session has ended: wamp.close.system_shutdown"), "{error}");
    }
}

#[test]
fn routers_are_trusted_by_their_certificates() {
    let (authority, foreign) = (Authority::new("commands"), Authority::new("commands-foreign"));
    let (own, joe) = (authority.sign("router", &["localhost"]), authority.sign("joe", &[]));
    let config = json!({
        "version": 2,
        "corebar": {"shards": 1, "pin": false},
        "workers": [{
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "user", "permissions": [
                {"uri": "wamp.session.", "match": "prefix", "allow": {"call": true}},
            ]}]}],
            "transports": [
                {"type": "websocket", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"}},
                {
                    "type": "universal",
                    "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1", "tls": {
                        "key": own.key, "certificate": own.certificate, "ca_certificates": [authority.path()],
                    }},
                    "rawsocket": {"auth": {"tls": {"type": "static", "principals": {"joe": {"role": "user"}}}}},
                    "websocket": {"/": {"type": "websocket", "auth": {
                        "tls": {"type": "static", "principals": {"joe": {"role": "user"}}},
                    }}},
                },
            ],
        }],
    });
    let directory = Directory::new("commands-tls", &config.to_string());
    let router = directory.start();
    let plain = router.address().port().to_string();
    let start = Instant::now();
    let port = loop {
        let status = said(&directory.output("status", &["--json"])).1;
        let status: Json = serde_json::from_str(&status).expect("JSON");
        let listening = status["node"]["listening"].as_array().cloned().unwrap_or_default();
        let mut ports = listening.iter().filter_map(|at| at.as_str()?.rsplit(':').next()?.split('/').next());
        if let Some(port) = ports.find(|port| *port != plain) {
            break port.to_owned();
        }
        assert!(start.elapsed() < PATIENCE, "{status}");
    };
    let text = |path: &Path| path.display().to_string();
    let (ca, other) = (text(&authority.path()), text(&foreign.path()));
    let (certificate, key) = (text(&joe.certificate), text(&joe.key));
    for url in [format!("wss://localhost:{port}/"), format!("rss://localhost:{port}")] {
        let call = |more: &[&str]| {
            let shown = ["--tls-cert", &certificate, "--tls-key", &key];
            run(&url, &[&["call", "wamp.session.count"], &shown[..], more].concat())
        };
        assert_eq!(call(&["--tls-ca", &ca]), (Some(0), "1".into(), String::new()));
        assert_eq!(call(&["--tls-insecure"]).0, Some(0));
        for more in [&["--tls-ca", &*other][..], &["--tls-ca", "/nonexistent"], &[]] {
            let (code, _, error) = call(more);
            assert!(code == Some(76) && error.contains(": no TLS: ") && error.lines().count() == 1, "{code:?} {error}");
        }
    }
}

#[test]
fn shells_complete_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = well("", &["completions", shell]);
        for word in ["completions", "bench", "--take-over", "--authmethod", "retain"] {
            let found = script.contains(word) || script.contains(word.trim_start_matches('-'));
            assert!(found, "{shell} does not know {word}");
        }
        if shell == "bash" {
            let mut check = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash is there");
            check.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("it reads");
            assert!(check.wait().expect("it ends").success());
        }
    }
    assert_eq!(run("", &["completions", "command.com"]).0, Some(2));
}

#[test]
fn a_load_is_put_on_the_router_of_the_environment() {
    let router = Router::start(&["--shards", "2", "--no-pin"]);
    let short = ["--duration", "0.2", "--warmup", "0.1", "--processes", "2", "--json", "-"];
    let report = well(&router.url(), &[&["bench", "rpc", "--callers", "2", "--callees", "2"], &short[..]].concat());
    assert!(report.contains(&router.url()), "{report}");
    serde_json::from_str::<Json>(&report).expect("JSON");
    // The yardstick, and a router that it starts, are the same program.
    let floor = ["--spawn", &format!("{} --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_corebar")), "--against", "floor"];
    let compare = [&["bench", "fanout", "--subscribers", "3", "--rounds", "1"], &floor[..], &short].concat();
    assert!(well("ws://127.0.0.1:1/", &compare).contains("floor"));
    let (code, _, error) = run("ws://127.0.0.1:1/", &[&["bench", "rpc"], &short[..]].concat());
    assert!(code == Some(2) && error.contains("corebar bench: "), "{code:?} {error}");
}

#[test]
fn autobahn_python_and_the_commands_understand_each_other() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let Some(python) = install::python("python", &source.join("python.txt")) else { return };
    let router = Router::start(&["--shards", "2", "--no-pin"]);
    let url = &router.url();
    let script = r#"[ "$1" = fail ] && { echo "no good" >&2; exit 3; }; for each in "$@"; do echo "$each"; done"#;
    let shell = ["reg", "com.example.shell", "--progress", "--error", "com.example.error.shell", "-c", script];
    let _callee = Running::ready(url, &shell);
    let subscriber = Running::ready(url, &["sub", "com.example.from-python", "--json", "-n", "1"]);
    let mut client = Command::new(python.join("bin/python"));
    client.arg(source.join("commands.py")).arg(url);
    let client = Running::start({
        client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        client
    });
    let ready = client.lines.recv_timeout(PATIENCE * 2);
    assert_eq!(ready.as_deref(), Ok("ready"), "{:?}", client.errors.try_iter().collect::<Vec<_>>());
    assert_eq!(well(url, &["call", "com.example.add", "23", "7"]), "30");
    assert_eq!(well(url, &["call", "com.example.add", "1", "2", "--progress"]), "0\n1\n3");
    let (code, _, error) = run(url, &["call", "com.example.add", "1", "0"]);
    assert_eq!((code, &*error), (Some(1), "corebar: com.example.error.zero: nothing to add b=0"));
    let args = ["hello", "5", "[1.5,null]", r#""\u0000AAE=""#, "-k", r#"key={"inner":true}"#];
    well(url, &[&["pub", "com.example.to-python", "--serializer", "json"], &args[..]].concat());
    let done = client.lines.recv_timeout(PATIENCE);
    assert_eq!(done.as_deref(), Ok("done"), "{:?}", client.errors.try_iter().collect::<Vec<_>>());
    let event = subscriber.json();
    assert_eq!((&event["args"], &event["kwargs"]), (&json!(["Grüße", 1_u64 << 60]), &json!({"key": [true]})));
    assert_eq!(client.end().0, Some(0));
}

#[test]
fn private_files_stay_private() {
    // What `corebar keys` writes is taken as a private key, and nobody else can read it.
    let directory = Directory::new("commands-keys", "{}");
    let public = said(&directory.output("keys", &[])).1;
    let file = directory.path("key.priv");
    assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o077, 0);
    let node = Directory::new("commands-keys-node", &guarded(&public));
    let router = node.start();
    let path = file.display().to_string();
    let call = ["call", "wamp.session.count", "--authid", "joe", "--private-key", &path];
    assert_eq!(well(&router.url(), &call), "1");
}
