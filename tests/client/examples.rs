//! The programs of `examples/`, which `cargo test` builds.

use crate::with_router;
use corebar::auth::config::{Dynamic, Source};
use corebar::client::{Connect, ConnectError};
use corebar::config::RuntimeConfig;
use corebar::config::web::PathConfig;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// A program that runs, killed when dropped.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Program {
        Program::of(Program::command(name, arguments).spawn().expect("it starts"))
    }

    fn command(name: &str, arguments: &[&str]) -> Command {
        let own = std::env::current_exe().expect("this program");
        let folder = own.parent().and_then(|deps| deps.parent()).expect("target/debug/deps");
        let path: PathBuf = folder.join("examples").join(name);
        assert!(path.exists(), "cargo build --examples first: there is no {}", path.display());
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command
    }

    fn of(mut child: Child) -> Program {
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Program { input: child.stdin.take(), child, lines }
    }

    /// The same, with what it says on standard error instead.
    fn complaining(name: &str, arguments: &[&str]) -> (Program, Lines<BufReader<ChildStderr>>) {
        let mut program = Program::command(name, arguments).stderr(Stdio::piped()).spawn().expect("it starts");
        let errors = BufReader::new(program.stderr.take().expect("a pipe")).lines();
        (Program::of(program), errors)
    }

    async fn line(&mut self) -> Option<String> {
        self.lines.next_line().await.expect("text")
    }

    /// Reads until there is a line with this; gives it.
    async fn expect(&mut self, wanted: &str) -> String {
        loop {
            let line = self.line().await.unwrap_or_else(|| panic!("it ends without {wanted:?}"));
            if line.contains(wanted) {
                return line;
            }
        }
    }

    async fn say(&mut self, text: &str) {
        self.input.as_mut().expect("a pipe").write_all(text.as_bytes()).await.expect("it reads");
    }

    fn interrupt(&self) {
        let pid = self.child.id().expect("it runs").to_string();
        let status = std::process::Command::new("sh").args(["-c", &format!("kill -INT {pid}")]).status();
        assert!(status.expect("sh is there").success());
    }

    async fn succeeds(mut self) {
        drop(self.input.take());
        while self.line().await.is_some() {}
        let status = self.child.wait().await.expect("it ends");
        assert!(status.success(), "{status}");
    }
}

#[test]
fn hello_and_chat() {
    with_router(
        |_| {},
        async |urls| {
            let mut hello = Program::start("hello", &[&urls[0]]);
            assert_eq!(hello.line().await.as_deref(), Some("event: Some(Ok(\"Hello!\"))"));
            assert_eq!(hello.line().await.as_deref(), Some("2 + 3 = 5"));
            hello.succeeds().await;

            let (mut joe, mut jane) =
                (Program::start("chat", &["joe", &urls[0]]), Program::start("chat", &["jane", &urls[2]]));
            joe.expect("joined").await;
            joe.say("Is anybody there?\n").await;
            // Jane sees it, whether she came before or after it.
            jane.expect("joe: Is anybody there?").await;
            jane.say("Yes.\n").await;
            joe.expect("jane: Yes.").await;
            joe.succeeds().await;
            jane.succeeds().await;
        },
    );
}

#[test]
fn a_router_inside_a_program() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut embedded = Program::start("embedded", &["127.0.0.1:0"]);
        let line = embedded.expect("listening on ").await;
        let url = line.trim_start_matches("listening on ");
        let url = if url.contains("://") { url.to_owned() } else { format!("ws://{url}/") };
        let session = Connect::new(&url, "realm1").open().await.expect("a session");
        // It offers its procedure a moment after it listens.
        let sum = loop {
            match session.ask("com.example.add").arg(2).arg(3).result::<i64>().await {
                Ok(sum) => break sum,
                Err(why) => assert!(why.to_string().contains("no_such_procedure"), "{why}"),
            }
        };
        assert_eq!(sum, 5);
        embedded.interrupt();
        embedded.succeeds().await;
    });
}

#[test]
fn dashboard_and_workers() {
    with_router(
        |_| {},
        async |urls| {
            let feed = Program::start("dashboard", &["feed", &urls[1]]);
            let mut first = Program::start("dashboard", &["view", &urls[0]]);
            for _ in 0..3 {
                first.line().await.expect("a value");
            }
            let mut second = Program::start("dashboard", &["view", &urls[2]]);
            second.expect("the last one").await;
            feed.interrupt();
            feed.succeeds().await;

            let workers =
                [Program::start("worker", &["work", &urls[0]]), Program::start("worker", &["work", &urls[1]])];
            let session = Connect::new(&urls[0], "realm1").open().await.expect("a session");
            let callees = async || {
                let id =
                    session.ask("wamp.registration.lookup").arg("com.example.primes").result::<Option<u64>>().await;
                let Some(id) = id.expect("an answer") else { return 0 };
                session.ask("wamp.registration.count_callees").arg(id).result::<u64>().await.expect("a number")
            };
            while callees().await < 2 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            let mut asks = [
                Program::start("worker", &["ask", "50000", &urls[0]]),
                Program::start("worker", &["ask", "100", &urls[1]]),
            ];
            asks[0].expect("50 %").await;
            asks[0].expect("5133 primes up to 50000").await;
            asks[1].expect("25 primes up to 100").await;
            for program in workers {
                program.interrupt();
                program.succeeds().await;
            }
            for program in asks {
                program.succeeds().await;
            }
            let nothing = Program::start("worker", &[]).child.wait().await.expect("it ends");
            assert!(!nothing.success());
        },
    );
}

#[test]
fn an_authentication_service() {
    let change = |config: &mut RuntimeConfig| {
        let mut open = config.listeners[0].clone();
        open.paths = vec![PathConfig::websocket("/ws", false, 1)];
        config.listeners.push(open);
        config.transports.push(config.transports[0].clone());
        let (procedure, realm) = ("com.example.authenticate".into(), Some("realm1".into()));
        config.transports[0].auth.ticket = Some(Source::Dynamic(Dynamic::Procedure { procedure, realm }));
    };
    with_router(change, async |urls| {
        let mut service = Program::start("authenticator", &["", &urls[3]]);
        let inside = Connect::new(&urls[3], "realm1").open().await.expect("a session");
        let there = || inside.ask("wamp.registration.lookup").arg("com.example.authenticate").result::<Option<u64>>();
        while there().await.expect("an answer").is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let joe = Connect::new(&urls[0], "realm1").ticket("joe", "eoj").open().await.expect("joe is let in");
        assert_eq!(joe.details().str("authid"), Ok(Some("joe")));
        service.expect("\"joe\" comes into realm1").await;
        let jane = Connect::new(&urls[0], "realm1").ticket("jane", "eoj").open().await;
        assert!(matches!(&jane, Err(ConnectError::Refused { .. })), "{jane:?}");
        service.expect("\"jane\" may not come into realm1").await;
        service.interrupt();
        service.succeeds().await;
    });
}

/// Its subscriber of `tracing` is none.
#[test]
fn applications_without_a_log_say_why_they_wait() {
    with_router(
        |_| {},
        async |urls| {
            let plain = urls[0].replace("ws://", "wss://");
            for (url, wanted) in [("unix:///nowhere/router.sock", "cannot connect"), (&plain, "no TLS")] {
                let (waits, mut errors) = Program::complaining("worker", &["work", url]);
                let line = errors.next_line().await.expect("text").expect("a line");
                let said = line.starts_with("corebar: the router is away, why: ") && line.contains(wanted);
                assert!(said, "{line}");
                waits.interrupt();
                waits.succeeds().await;
            }
        },
    );
}

#[test]
fn a_second_signal_ends_an_application_at_once() {
    with_router(
        |_| {},
        async |urls| {
            let (mut worker, mut errors) = Program::complaining("worker", &["work", &urls[0]]);
            let session = Connect::new(&urls[1], "realm1").open().await.expect("a session");
            let there = async || {
                let id = session.ask("wamp.registration.lookup").arg("com.example.primes").result::<Option<u64>>();
                id.await.expect("an answer").is_some()
            };
            while !there().await {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            // It takes far longer than the grace.
            let mut asks = session.ask("com.example.primes").arg(20_000_000).results().await.expect("it is called");
            assert!(asks.next().await.expect("a result on the way").progress);
            worker.interrupt();
            while there().await {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            worker.interrupt();
            assert!(!worker.child.wait().await.expect("it ends").success());
            let line = errors.next_line().await.expect("text").expect("a line");
            assert!(line.contains("Interrupted"), "{line}");
        },
    );
}
