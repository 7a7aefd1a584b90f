//! A router process under test.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long a router may take to say that it listens.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// A running `corebar`, killed when dropped. What it logged is shown if the test fails.
pub struct Router {
    child: Mutex<Child>,
    pid: u32,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Router {
    /// Starts a router on a free port of the loopback interface, with these arguments added.
    pub fn start(arguments: &[&str]) -> Router {
        let mut all = vec!["--listen", "127.0.0.1:0", "--realm", "realm1"];
        all.extend(arguments);
        Router::run(command(&all))
    }

    /// Runs a command that starts a router on a free port.
    pub fn run(mut command: Command) -> Router {
        let mut child = command.spawn().expect("the router can be started");
        let log = collect(child.stderr.take().expect("standard error is a pipe"));
        let lines = lines(child.stdout.take().expect("standard output is a pipe"));
        let start = Instant::now();
        let address = loop {
            match lines.recv_timeout(START_TIME_MAX.saturating_sub(start.elapsed())) {
                Ok(line) => {
                    if let Some(address) = listening(&line) {
                        break address;
                    }
                }
                Err(_) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    panic!("the router did not say where it listens; it logged:\n{}", text(&log));
                }
            }
        };
        Router { pid: child.id(), child: Mutex::new(child), address, log }
    }

    /// The router with so many shards that all tests of this process share; it ends with its last user.
    pub fn shared(shards: u16) -> Arc<Router> {
        static ROUTERS: Mutex<Option<HashMap<u16, Weak<Router>>>> = Mutex::new(None);
        let mut routers = ROUTERS.lock().unwrap_or_else(PoisonError::into_inner);
        let routers = routers.get_or_insert_default();
        if let Some(router) = routers.get(&shards).and_then(Weak::upgrade) {
            return router;
        }
        let router = Arc::new(Router::start(&["--shards", &shards.to_string(), "--no-pin"]));
        routers.insert(shards, Arc::downgrade(&router));
        router
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for WebSocket clients.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Its resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("the router runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid)]).status();
        assert!(status.expect("sh is there").success(), "the router can be signalled");
    }

    /// Waits until it has ended.
    pub fn wait(&self, time_max: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.try_wait() {
                return status;
            }
            assert!(start.elapsed() < time_max, "the router did not end within {time_max:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it has logged this.
    pub fn expect_log(&self, wanted: &str) {
        let start = Instant::now();
        while !text(&self.log).contains(wanted) {
            assert!(start.elapsed() < START_TIME_MAX, "the router did not log {wanted:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it has logged so far, the beginning if it is much.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// Its exit status, if it has ended.
    pub fn try_wait(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().expect("the router is our child")
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let ended = child.try_wait();
        let _ = child.kill();
        let _ = child.wait();
        if thread::panicking() {
            eprintln!("router {}: {ended:?}; it logged:\n{}", self.pid, text(&self.log));
        }
    }
}

/// The program, ready to be run with pipes for its output.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corebar"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The lines of a pipe, which is read to its end so that the writer never waits.
pub fn lines(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let copy = Arc::clone(&log);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut copy = copy.lock().unwrap_or_else(PoisonError::into_inner);
            // Enough to see what happened, also when a test makes the router log much.
            if copy.len() < 100_000 {
                copy.push_str(&line);
                copy.push('\n');
            }
        }
    });
    log
}

fn text(log: &Mutex<String>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn listening(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("listening on ws://")?.trim_end_matches('/').parse().ok()
}
