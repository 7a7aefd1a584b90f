//! Applications in Python with the package of this project, the examples for Python, and the programs of
//! `docs/coming-from.md`.

#[path = "applications/crossbar.rs"]
mod crossbar;
mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use support::router::{command, lines};
use support::{Client, Router, Serializer, Transport, Value, Wire, client, install};

const WIRE: Wire = Wire { transport: Transport::WebSocket, serializer: Serializer::Json };
const TIME_MAX: Duration = Duration::from_secs(60);

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program that runs, killed when dropped.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    fn start(mut command: Command) -> Program {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let (output, errors) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        Program { input: child.stdin.take(), lines: lines(output), errors: lines(errors), child, seen: Vec::new() }
    }

    /// Starts a program in Python, with the address of the router.
    fn python(environment: &Path, path: &Path, arguments: &[&str], url: &str) -> Program {
        let mut command = Command::new(environment.join("bin/python"));
        command.arg(path).args(arguments).env("COREBAR_URL", url);
        Program::start(command)
    }

    /// What it has said on standard error.
    fn errors(&self) -> String {
        self.errors.try_iter().collect::<Vec<_>>().join("\n")
    }

    /// Reads until there is a line that begins so; gives it.
    fn expect(&mut self, wanted: &str) -> String {
        let start = Instant::now();
        loop {
            let Ok(line) = self.lines.recv_timeout(TIME_MAX.saturating_sub(start.elapsed())) else {
                panic!("there is no {wanted:?} after {:?}\n{}", self.seen, self.errors());
            };
            self.seen.push(line.clone());
            if line.starts_with(wanted) {
                return line;
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.input.as_mut().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(status.expect("sh is there").success());
    }

    /// Waits for its end; gives the exit code and what it said until then.
    fn end(&mut self) -> (Option<i32>, Vec<String>) {
        drop(self.input.take());
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            if start.elapsed() > TIME_MAX {
                let seen: Vec<_> = self.lines.try_iter().collect();
                panic!("it does not end; {:?} {seen:?}\n{}", self.seen, self.errors());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.seen.extend(self.lines.iter());
        (status.code(), self.seen.clone())
    }

    fn succeeds(&mut self) -> Vec<String> {
        let (code, said) = self.end();
        assert_eq!(code, Some(0), "{said:?}\n{}", self.errors());
        said
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A router at the address of one that has ended.
fn again(address: std::net::SocketAddr) -> Router {
    Router::run(command(&["--listen", &address.to_string(), "--realm", "realm1", "--shards", "2", "--no-pin"]))
}

#[test]
fn applications_in_python() {
    let Some(python) = install::corebar_python() else { return };
    let router = Router::shared(2);
    let path = root("tests/clients/apps.py");
    let start = |serializer| {
        let prefix = format!("com.test.apps.{serializer}");
        Program::python(&python, &path, &[&router.url(), serializer, &prefix], "")
    };
    for mut program in ["json", "msgpack", "cbor"].map(start) {
        assert_eq!(program.succeeds(), ["OK"], "{}", program.errors());
    }
}

/// With servers that play a router.
#[test]
fn applications_in_python_on_a_stage() {
    let Some(python) = install::corebar_python() else { return };
    let mut program = Program::python(&python, &root("tests/clients/app_staged.py"), &[], "");
    assert_eq!(program.succeeds(), ["OK"], "{}", program.errors());
}

/// What is published while an application is away.
#[test]
fn applications_in_python_fill_gaps() {
    let Some(python) = install::corebar_python() else { return };
    let histories =
        ["--history", "prefix:com.test.json", "--history", "prefix:com.test.cbor", "--history-events", "10000"];
    let router = Router::start(&[&["--shards", "2", "--no-pin"], &histories[..]].concat());
    let start = |serializer: &str| {
        let arguments = [&router.url(), serializer, &format!("com.test.{serializer}")];
        Program::python(&python, &root("tests/clients/app_history.py"), &arguments, "")
    };
    for mut program in ["json", "cbor"].map(start) {
        assert_eq!(program.succeeds(), ["OK"], "{}", program.errors());
    }
}

/// The package is what its types say.
#[test]
fn types_of_the_package_for_python() {
    let Some(python) = install::corebar_python() else { return };
    let mut command = Command::new(python.join("bin/python"));
    command.args(["-m", "mypy", "--cache-dir", "/dev/null"]).current_dir(root("clients/python"));
    let output = command.output().expect("the program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn applications_come_back_and_end_in_good_order() {
    let Some(python) = install::corebar_python() else { return };
    let mut router = Router::start(&["--shards", "2", "--no-pin"]);
    let address = router.address();
    let mut program = Program::python(&python, &root("tests/clients/app_returns.py"), &[&router.url()], "");
    program.expect("join 3");
    program.expect("start");
    let works = |program: &mut Program, text: &str| {
        let mut client = Client::join(address, WIRE);
        let call = client.call("com.test.add", &client::payload(serde_json::json!([[23, 7]])));
        assert_eq!(client.result(call).1, client::payload(serde_json::json!([[30]])));
        client.publish("com.test.note", &client::payload(serde_json::json!([[text]])));
        program.expect(&format!("event {text}"));
        client.leave();
    };
    works(&mut program, "first");
    // A router that is gone without a word, and one that takes leave.
    for (signal, text) in [("KILL", "second"), ("TERM", "third")] {
        router.signal(signal);
        router.wait(TIME_MAX);
        program.expect("lost there is no connection");
        router = again(address);
        program.expect("join 3");
        works(&mut program, text);
    }
    program.signal("TERM");
    let said = program.succeeds();
    assert_eq!(said.iter().filter(|line| *line == "start").count(), 1);
    assert_eq!(said.last().map(String::as_str), Some("stop"));
    let mut client = Client::join(address, WIRE);
    let call = client.call("com.test.add", &[]);
    client.expect_error(48, call, "wamp.error.no_such_procedure");
    // It waits for a router, too; and does not go on with half of what it is for.
    let mut first = Program::python(&python, &root("tests/clients/app_returns.py"), &[&router.url()], "");
    first.expect("start");
    let mut second = Program::python(&python, &root("tests/clients/app_returns.py"), &[&router.url()], "");
    assert_eq!(second.end().0, Some(1));
    let why = second.errors();
    assert!(why.contains("com.test.add cannot be had") && !why.contains("Traceback"), "{why}");
    first.signal("INT");
    first.succeeds();
    drop(router);
    let mut early = Program::python(&python, &root("tests/clients/app_returns.py"), &[&format!("ws://{address}/")], "");
    let _router = again(address);
    early.expect("start");
    early.signal("INT");
    early.succeeds();
}

#[test]
fn examples_for_python() {
    let (apps, autobahn) = (install::corebar_python(), install::python("python", &root("tests/clients/python.txt")));
    let (Some(apps), Some(autobahn)) = (apps, autobahn) else { return };
    let router = Router::start(&["--shards", "2", "--no-pin"]);
    let url = router.url();
    let run = |name: &str, arguments: &[&str]| {
        let environment = if name.ends_with("_autobahn") { &autobahn } else { &apps };
        Program::python(environment, &root(&format!("examples/python/{name}.py")), arguments, &url)
    };
    for name in ["hello", "hello_autobahn"] {
        let mut hello = run(name, &[]);
        let mut client = Client::join(router.address(), WIRE);
        let start = Instant::now();
        let sum = loop {
            match client.ask("com.example.add", &serde_json::json!([[23, 7]])) {
                Ok(sum) => break sum,
                Err(why) => assert!(why.contains("no_such_procedure") && start.elapsed() < TIME_MAX, "{why}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(sum, [Value::Int(30)], "{name}");
        // autobahn subscribes after it has registered, or before.
        while client.told("wamp.subscription.lookup", &serde_json::json!([["com.example.hello"]])) == Value::Null {
            std::thread::sleep(Duration::from_millis(20));
        }
        client.publish("com.example.hello", &client::payload(serde_json::json!([["Hello!"]])));
        hello.expect("event: Hello!");
        hello.signal("INT");
        hello.end();
    }
    let (mut joe, mut jane) = (run("chat", &["joe"]), run("chat_autobahn", &["jane"]));
    joe.expect("joined");
    jane.expect("joined");
    joe.say("Is anybody there?\n");
    jane.expect("joe: Is anybody there?");
    jane.say("Yes.\n");
    joe.expect("jane: Yes.");
    joe.succeeds();
    jane.succeeds();
    for kind in ["", "_autobahn"] {
        let worker = [run(&format!("worker{kind}"), &["work"]), run(&format!("worker{kind}"), &["work"])];
        for mut worker in worker {
            worker.expect("at work");
            let mut ask = run(&format!("worker{kind}"), &["ask", "1000"]);
            ask.expect("50 %");
            ask.expect("168 primes up to 1000");
            ask.succeeds();
            worker.signal("INT");
            worker.end();
        }
        let feed = run(&format!("dashboard{kind}"), &["feed"]);
        let mut view = run(&format!("dashboard{kind}"), &["view"]);
        for _ in 0..3 {
            view.expect("room1 ");
        }
        let mut second = run(&format!("dashboard{kind}"), &["view"]);
        assert!(second.expect("room1 ").contains("the last one"));
        for mut program in [feed, view, second] {
            program.signal("INT");
            program.end();
        }
    }
}

/// A heading of `docs/coming-from.md` with what stands below: the program in Python, that in JavaScript, and what they print.
struct Comparison {
    heading: String,
    python: String,
    script: String,
    prints: Vec<String>,
}

/// What is marked as a program of ours, and what is printed. What others do is not run.
fn comparisons(page: &str) -> Vec<Comparison> {
    let mut found = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let block = |opening: &str| {
            let (_, after) = section.split_once(opening)?;
            Some(after.split_once("```").expect("a block ends").0.to_owned())
        };
        let heading = section.lines().next().unwrap_or_default().to_owned();
        let wanted = |opening: &str| block(opening).unwrap_or_else(|| panic!("{heading} has no {opening:?}"));
        let (python, script) = (wanted("<!-- run -->\n```python\n"), wanted("<!-- run -->\n```js\n"));
        let prints = wanted("```text\n").lines().map(str::to_owned).collect();
        assert_eq!(section.matches("<!-- run -->").count(), 2, "{heading}: all that is marked is run");
        found.push(Comparison { heading, python, script, prints });
    }
    found
}

#[test]
fn programs_of_those_who_come_from_elsewhere() {
    let (python, node) = (install::corebar_python(), install::node("js", &root("tests/clients/js")));
    let (Some(python), Some(node)) = (python, node) else { return };
    let page = std::fs::read_to_string(root("docs/coming-from.md")).expect("the page");
    let found = comparisons(&page);
    assert_eq!(found.len(), 5, "a comparison for each of those who are named");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("coming-from");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("target can be written");
    std::fs::copy(root("clients/js/corebar.js"), folder.join("corebar.js")).expect("target can be written");
    // Node before 22 finds its WebSocket there.
    std::os::unix::fs::symlink(node.join("node_modules"), folder.join("node_modules")).expect("target can be written");
    let router = Router::start(&["--shards", "2", "--no-pin"]);
    for Comparison { heading, python: service, script, prints } in found {
        let write = |name: &str, text: &str| {
            assert!(text.contains("ws://127.0.0.1:8080/"), "{heading}: {text}");
            let path = folder.join(name);
            std::fs::write(&path, text.replace("ws://127.0.0.1:8080/", &router.url())).expect("target can be written");
            path
        };
        let mut service = Program::python(&python, &write("service.py", &service), &[], "");
        let start = Instant::now();
        let mut log = Vec::new();
        while !log.iter().any(|line: &String| line.contains("ready")) {
            let line = service.errors.recv_timeout(TIME_MAX.saturating_sub(start.elapsed()));
            log.push(line.unwrap_or_else(|_| panic!("{heading}: it is not ready: {log:?}")));
        }
        let mut command = Command::new("node");
        command.arg(write("script.mjs", &script));
        let mut said = Program::start(command).succeeds();
        for line in prints.iter().filter(|line| !said.contains(line)) {
            service.expect(line);
        }
        service.signal("TERM");
        said.extend(service.succeeds());
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        assert_eq!(sorted(said), sorted(prints), "{heading}\n{}", service.errors());
    }
}
