//! Guests of a node that is started from a configuration file: what they find, when they run, and that nothing of them
//! is left behind, however they or the node end.

mod support;

use corebar::config::GuestConfig;
use corebar::config::guest::ReadyConfig;
use corebar::process::host::Host;
use corebar::process::{End, GuestState, GuestStatus, Guests};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::{Client, Router, Serializer, Transport, Wire, router};

const WIRE: Wire = Wire { transport: Transport::WebSocket, serializer: Serializer::Json };
const PATIENCE: Duration = Duration::from_secs(30);

/// A node directory, which goes with the value.
struct Directory(PathBuf);

impl Directory {
    fn new(guests: &[Value]) -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("corebar-guests-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a writable directory");
        let directory = Directory(path.canonicalize().expect("it is there"));
        directory.configure(guests);
        directory
    }

    fn configure(&self, guests: &[Value]) {
        let router = json!({
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": []}]}],
            "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"}}],
        });
        let workers = [&[router], guests].concat();
        let config = json!({"version": 2, "corebar": {"shards": 1, "pin": false}, "workers": workers});
        fs::write(self.path("config.json"), config.to_string()).expect("a writable directory");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn command(&self, command: &str) -> Command {
        router::command(&[command, "--cbdir", self.0.to_str().expect("a path of plain characters")])
    }

    fn start(&self) -> Router {
        Router::run(self.command("start"))
    }

    /// Waits until a file has so many lines.
    #[track_caller]
    fn expect_lines(&self, name: &str, count: usize) -> Vec<String> {
        let lines = || self.read(name).lines().map(str::to_owned).collect::<Vec<_>>();
        expect(&format!("{count} lines in {name}"), || lines().len() >= count);
        lines()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn expect(what: &str, is: impl Fn() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < PATIENCE, "{what}: it is not so after {PATIENCE:?}");
        sleep(Duration::from_millis(20));
    }
}

/// A guest that is a line of shell.
fn shell(id: &str, script: &str, options: Value) -> Value {
    json!({"type": "guest", "id": id, "executable": "sh", "arguments": ["-c", script], "options": options})
}

/// A number of seconds for `sleep` that no other process has in its arguments.
fn marker() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("77{:07}{:03}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The processes that have this in their arguments.
fn processes(text: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("a system with /proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |pid: &i32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).replace('\0', " ").contains(text)
    };
    pids.filter(has).collect()
}

#[track_caller]
fn expect_none(marker: &str) {
    expect("nothing is left", || processes(marker).is_empty());
}

fn kill(pid: i32, signal: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status();
    assert!(status.expect("sh is there").success());
}

fn serves(router: &Router) {
    let mut client = Client::connect(router.address(), WIRE);
    client.send(json!([1, "realm1", {"roles": {"caller": {}}}]));
    client.expect(2);
    client.leave();
}

#[test]
fn a_guest_that_fails_is_started_again_and_given_up() {
    let restart = json!({"policy": "on-failure", "backoff": 0.1, "backoff_max": 0.2, "crashes_max": 3,
        "crashes_within": 60});
    let script = "date +%s%N >> runs; exit 3";
    let once = shell("once", "echo x >> once; exit 3", json!({}));
    let fine = shell("fine", "echo x >> fine", json!({"restart": {"policy": "on-failure", "backoff": 0.01}}));
    let always = json!({"policy": "always", "backoff": 0.01, "backoff_max": 0.01, "crashes_max": 0});
    let always = shell("always", "echo x >> always", json!({"restart": always}));
    let directory = Directory::new(&[shell("loop", script, json!({"restart": restart})), once, fine, always]);
    let router = directory.start();
    router.expect_log("failed: exit code 3; it is given up after 3 restarts within 60 seconds");
    directory.expect_lines("always", 12);
    let runs: Vec<u64> = directory.read("runs").lines().map(|line| line.parse().expect("a time")).collect();
    let gaps: Vec<u64> = runs.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
    assert!(gaps.len() == 3 && gaps[0] >= 100 && gaps[1] >= 200 && gaps[2] >= 200, "{gaps:?}");
    router.expect_log("failed: exit code 3; it is not started again");
    assert_eq!((directory.expect_lines("once", 1).len(), directory.expect_lines("fine", 1).len()), (1, 1));
    serves(&router);
}

#[test]
fn a_guest_has_the_surroundings_of_its_configuration() {
    let script =
        "read line; cat >/dev/null; echo \"$line in $(pwd): $OWN $GIVEN ${HIDDEN-none} ${COREBAR_GUEST_SETUP-none}\"
        echo open: $(ls /proc/$$/fd | grep -v -e '^[012]$' -e '^3$'), files $(ulimit -n), cpu $(ulimit -t)
        echo nice $(nice), cores $(grep Cpus_allowed_list /proc/self/status | cut -f 2)
        printf '\\033[2Jred\\n'; echo trouble >&2";
    let options = json!({
        "env": {"inherit": ["PATH", "GIVEN"], "vars": {"OWN": "own value"}},
        "workdir": "sub",
        "stdin": {"type": "json", "value": {"a": [1, "x"]}, "close": true},
        "stderr": {"file": "trouble.log"},
        "limits": {"open_files": 77, "cpu_seconds": 99},
        "nice": 3, "cpu_affinity": [0],
    });
    let quiet =
        shell("quiet", "echo seen; echo lost >&2; echo end > quiet", json!({"stdout": "drop", "stderr": "drop"}));
    // Without a reader, writing ends the program.
    let closed = shell("closed", "echo x; echo x || echo alone > closed", json!({"stdout": "close", "stderr": "drop"}));
    let directory = Directory::new(&[shell("web", script, options), quiet, closed]);
    fs::create_dir(directory.path("sub")).expect("a writable directory");
    fs::write(directory.path("trouble.log"), "before\n").expect("a writable directory");
    let mut start = router::command(&[]);
    start = {
        let mut outer = Command::new("sh");
        outer.args(["-c", "exec 9</dev/null; exec \"$0\" start --cbdir \"$1\""]).arg(start.get_program());
        outer.arg(&directory.0).env("GIVEN", "given").env("HIDDEN", "hidden");
        outer.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        outer.stderr(std::process::Stdio::piped());
        outer
    };
    let router = Router::run(start);
    let place = directory.path("sub");
    router.expect_log(&format!("web: {{\"a\":[1,\"x\"]}} in {}: own value given none none\n", place.display()));
    router.expect_log("web: open: , files 77, cpu 99\n");
    router.expect_log("web: nice 3, cores 0\n");
    router.expect_log("web: \\u{1b}[2Jred\n");
    expect("the file is added to", || directory.read("trouble.log") == "before\ntrouble\n");
    directory.expect_lines("quiet", 1);
    router.expect_log("failed: signal SIGPIPE; it is not started again guest=closed");
    assert!(!router.log().contains("seen") && !router.log().contains("lost"));
}

#[test]
fn a_guest_runs_as_the_user_of_its_configuration() {
    let root = Command::new("id").arg("-u").output().expect("id is there").stdout == b"0\n";
    if !root {
        eprintln!("SKIPPED: only root can choose");
        return;
    }
    let script = "echo $(id -u) $(id -g) $(id -G) $HOME $USER";
    let named = shell("named", script, json!({"user": "nobody", "workdir": "/"}));
    let numbers = shell("numbers", script, json!({"user": 12345, "group": 23456, "workdir": "/"}));
    let unknown = shell("unknown", script, json!({"user": "no-such-user", "workdir": "/"}));
    let marker = marker();
    // Another user changes nothing about who is left behind.
    let tree = format!("setsid sleep {marker} & echo tree up; sleep {marker}");
    let tree = shell("tree", &tree, json!({"user": "nobody", "workdir": "/"}));
    let router = Directory::new(&[named, numbers, unknown, tree]);
    let router = (router.start(), router);
    router.0.expect_log("named: 65534 65534 65534 /nonexistent nobody\n");
    router.0.expect_log("numbers: 12345 23456 23456 ");
    router.0.expect_log("there is no user no-such-user");
    router.0.expect_log("tree: tree up");
    router.0.signal("KILL");
    expect_none(&marker);
}

#[test]
fn a_guest_that_does_not_end_is_killed() {
    let marker = marker();
    let script = format!("trap '' TERM; echo is up; while :; do sleep {marker}; done");
    let directory = Directory::new(&[shell("stubborn", &script, json!({"stop": {"grace": 0.4}}))]);
    let router = directory.start();
    router.expect_log("stubborn: is up");
    let begun = Instant::now();
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
    assert!(begun.elapsed() >= Duration::from_millis(400), "it had its time: {:?}", begun.elapsed());
    router.expect_log("did not end within 0.4 seconds, and is killed");
    assert_eq!(processes(&marker), Vec::<i32>::new(), "the node ends after its guests");
}

#[test]
fn a_guest_can_end_as_it_likes() {
    let script = "trap 'sleep 0.3; echo done > done; exit 0' INT; echo is up; while :; do sleep 0.05; done";
    let directory = Directory::new(&[shell("kind", script, json!({"stop": {"signal": "SIGINT"}}))]);
    let router = directory.start();
    router.expect_log("kind: is up");
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
    assert_eq!(directory.read("done"), "done\n");
    router.expect_log("stopped: exit code 0");
}

/// A shell that has children and grandchildren in process groups and sessions of their own.
fn tree(marker: &str) -> String {
    format!(
        "sleep {marker} & setsid sleep {marker} & (setsid sh -c 'trap \"\" TERM HUP; sleep {marker} & sleep {marker}' &)
        i=0; while [ $i -lt 50 ]; do setsid sleep {marker} & i=$((i+1)); done; sleep 0.1; echo all are up; wait"
    )
}

#[test]
fn nothing_of_a_guest_is_left_by_a_node_that_stops() {
    let marker = marker();
    let directory = Directory::new(&[shell("tree", &tree(&marker), json!({}))]);
    let router = directory.start();
    router.expect_log("tree: all are up");
    assert!(processes(&format!("sleep {marker}")).len() > 53);
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
    assert_eq!(processes(&marker), Vec::<i32>::new());
}

#[test]
fn nothing_of_a_guest_is_left_by_a_node_that_is_killed() {
    let marker = marker();
    let directory = Directory::new(&[shell("tree", &tree(&marker), json!({}))]);
    let router = directory.start();
    router.expect_log("tree: all are up");
    router.signal("KILL");
    router.wait(PATIENCE);
    expect_none(&marker);
}

#[test]
fn nothing_of_a_guest_is_left_by_a_second_signal() {
    let marker = marker();
    let script = format!("trap '' TERM; echo is up; while :; do sleep {marker}; done");
    let directory = Directory::new(&[shell("stubborn", &script, json!({"stop": {"grace": 1000}}))]);
    let router = directory.start();
    router.expect_log("stubborn: is up");
    router.signal("TERM");
    router.expect_log("shutting down");
    router.signal("TERM");
    assert_eq!(router.wait(PATIENCE).code(), Some(130));
    expect_none(&marker);
}

#[test]
fn nothing_of_a_guest_is_left_by_a_guest_that_ends() {
    let marker = marker();
    let script = format!("setsid sleep {marker} & (setsid sleep {marker} &); sleep 0.1; echo goes; exit 0");
    let directory = Directory::new(&[shell("father", &script, json!({}))]);
    let router = directory.start();
    router.expect_log("father: goes");
    expect_none(&marker);
    serves(&router);
}

#[test]
fn nothing_of_a_guest_is_left_by_a_guardian_that_is_killed() {
    let marker = marker();
    let id = format!("guarded{marker}");
    let script = format!("echo run >> runs; {}", tree(&marker));
    let options = json!({"restart": {"policy": "on-failure", "backoff": 1.5}});
    let directory = Directory::new(&[shell(&id, &script, options)]);
    let router = directory.start();
    router.expect_log("all are up");
    let before = processes(&format!("sleep {marker}"));
    let guardians = processes(&format!("guardian {id}"));
    assert_eq!(guardians.len(), 1);
    kill(guardians[0], "KILL");
    router.expect_log("its guardian was killed");
    expect("the old ones are gone", || !before.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()));
    directory.expect_lines("runs", 2);
    // One that is told to end takes its guest with it.
    let guardian = || processes(&format!("guardian {id}"));
    expect("another guardian", || guardian().len() == 1);
    kill(guardian()[0], "TERM");
    directory.expect_lines("runs", 3);
    serves(&router);
}

#[test]
fn a_guest_dies_with_its_guardian_whatever_the_node_does() {
    let marker = marker();
    let id = format!("bound{marker}");
    let directory = Directory::new(&[shell(&id, &format!("echo is up; exec sleep {marker}"), json!({}))]);
    let router = directory.start();
    router.expect_log("is up");
    router.signal("STOP");
    kill(processes(&format!("guardian {id}"))[0], "KILL");
    expect_none(&marker);
}

/// The processes of a user that have not ended.
fn of_user(user: u32) -> usize {
    let entries = fs::read_dir("/proc").expect("a system with /proc").flatten();
    let states = entries.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    let uid = format!("\nUid:\t{user}\t");
    states.filter(|status| status.contains(&uid) && !status.contains("\nState:\tZ")).count()
}

#[test]
fn a_guest_has_no_more_processes_than_it_may() {
    let root = Command::new("id").arg("-u").output().expect("id is there").stdout == b"0\n";
    if !root {
        eprintln!("SKIPPED: only root can have guests of other users");
        return;
    }
    // Processes that start as many as they can, each of them in a session of its own: thousands if nothing kept them from it.
    let user = 20_000 + std::process::id() % 40_000;
    let script = "echo begins
        bomb() { while :; do [ $1 -gt 0 ] && (setsid sh -c \"$bomb; bomb $(($1 - 1))\" &) 2>/dev/null; sleep 0.02; done; }
        bomb=$(typeset -f bomb)
        bomb 3";
    let script = script.replace("sh -c", "bash -c");
    let options = json!({"user": user, "group": user, "workdir": "/", "limits": {"processes": 40}, "stderr": "drop"});
    let arguments = ["-c", &script];
    let bomb = json!({"type": "guest", "id": "bomb", "executable": "bash", "arguments": arguments, "options": options});
    let marker = marker();
    let crashes = shell(
        "crashes",
        &format!("setsid sleep {marker} & exit 3"),
        json!({"restart": {"policy": "always", "backoff": 0.01, "backoff_max": 0.01, "crashes_max": 0}}),
    );
    let hangs = format!("trap '' TERM HUP INT; setsid sleep {marker} & while :; do sleep {marker}; done");
    let directory = Directory::new(&[bomb.clone(), crashes, shell("hangs", &hangs, json!({}))]);
    let router = directory.start();
    router.expect_log("bomb: begins");
    expect("it has what it may", || of_user(user) >= 30);
    for _ in 0..10 {
        assert!(of_user(user) <= 40, "{} processes", of_user(user));
        serves(&router);
    }
    router.expect_log("ended: exit code 3");
    router.signal("KILL");
    router.wait(PATIENCE);
    expect("nothing is left of it", || of_user(user) == 0);
    expect_none(&marker);
    // Nor by a node that stops.
    directory.configure(&[bomb]);
    let router = directory.start();
    expect("it has what it may", || of_user(user) >= 30);
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
    assert_eq!(of_user(user), 0);
}

#[test]
fn a_guest_with_too_many_processes_has_failed() {
    // The system limits users only, and not at all what root runs: so these are counted.
    let marker = marker();
    let crowd = format!("echo begins; for i in $(seq 50); do setsid sleep {marker} & done; wait");
    // Never quiet: others of it end all the time, and are the guardian's.
    let restless =
        format!("for i in $(seq 30); do setsid sleep {marker} & done; while :; do (sleep 0.02 &); sleep 0.01; done");
    let few = format!("for i in 1 2 3; do sleep {marker} & done; wait");
    let crowds = [shell("crowd", &crowd, json!({})), shell("restless", &restless, json!({}))];
    let directory = Directory::new(&[&crowds[..], &[shell("few", &few, json!({}))]].concat());
    let text = directory.read("config.json").replace("\"pin\":false", "\"pin\":false,\"processes\":{\"count_max\":20}");
    fs::write(directory.path("config.json"), text).expect("a writable directory");
    let router = directory.start();
    router.expect_log("crowd: begins");
    for guest in ["crowd", "restless"] {
        let told = |line: &str| {
            line.contains("failed: had more than 20 processes, and was killed")
                && line.contains(&format!("guest={guest}"))
        };
        expect(guest, || router.log().lines().any(told));
    }
    // Three, and their shell.
    expect("the others go on, and nothing is left of these", || processes(&marker).len() == 4);
    serves(&router);
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
    expect_none(&marker);
}

#[test]
fn guests_start_when_those_they_need_are_ready_and_end_before_them() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
    let stays = |name: &str, before: &str| {
        format!("trap 'sleep 0.3; echo {name} ends >> order; exit' TERM; {before}; while :; do sleep 0.05; done")
    };
    let database = stays("database", "sleep 0.6; echo database >> order; echo it is open now");
    let setup = "sleep 0.4; echo setup >> order";
    let listens = json!(["--listen", format!("127.0.0.1:{port}"), "--shards", "1", "--no-pin"]);
    let web = stays("web", "echo web >> order");
    let directory = Directory::new(&[
        shell("web", &web, json!({"depends_on": ["database", "setup", "router"]})),
        shell("database", &database, json!({"ready": {"type": "line", "text": "is open"}})),
        shell("setup", setup, json!({"ready": {"type": "exit"}})),
        json!({"type": "guest", "id": "router", "executable": env!("CARGO_BIN_EXE_corebar"), "arguments": listens,
            "options": {"ready": {"type": "tcp", "port": port}}}),
        shell("late", "sleep 1000", json!({"ready": {"type": "line", "text": "never", "timeout": 0.3}})),
        shell("never", "echo never >> order", json!({"depends_on": ["late"]})),
    ]);
    let router = directory.start();
    assert_eq!(directory.expect_lines("order", 3), ["setup", "database", "web"]);
    router.expect_log("failed: was not ready within 0.3 seconds");
    router.expect_log("guest=web pid=");
    let text = router.log();
    let at = |text: &str, what: &str| text.find(what).unwrap_or_else(|| panic!("{what}"));
    assert!(at(&text, &format!("router: listening on ws://127.0.0.1:{port}")) < at(&text, "guest=web pid="));
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
    assert_eq!(directory.expect_lines("order", 5)[3..], ["web ends", "database ends"]);
}

#[test]
fn a_change_in_a_watched_directory_starts_a_guest_again() {
    let directory = Directory::new(&[
        shell("web", "echo run >> runs; sleep 1000", json!({"watch": {"directories": ["src"], "action": "restart"}})),
        shell("job", "echo run >> jobs; exit 7", json!({"watch": {"directories": ["src"]}})),
    ]);
    fs::create_dir_all(directory.path("src/deep")).expect("a writable directory");
    let router = directory.start();
    directory.expect_lines("runs", 1);
    directory.expect_lines("jobs", 1);
    // Changes before the first look cannot be seen.
    sleep(Duration::from_millis(300));
    for number in 0..10 {
        fs::write(directory.path("src/deep").join(number.to_string()), "x").expect("a writable directory");
        sleep(Duration::from_millis(20));
    }
    directory.expect_lines("runs", 2);
    directory.expect_lines("jobs", 2);
    router.expect_log("a file that is watched has changed");
    sleep(Duration::from_millis(1500));
    assert_eq!((directory.read("runs"), directory.read("jobs")), ("run\n".repeat(2), "run\n".repeat(2)));
}

#[test]
fn a_guest_that_is_not_there_is_its_own_trouble() {
    let missing = json!({"type": "guest", "id": "gone", "executable": "no-such-program"});
    let nowhere = shell("nowhere", "echo x", json!({"workdir": "no-such-directory"}));
    let directory = Directory::new(&[missing, nowhere, shell("there", "echo is here", json!({}))]);
    let router = directory.start();
    router.expect_log("failed: cannot find no-such-program");
    router.expect_log("failed: cannot go into the directory");
    router.expect_log("there: is here");
    serves(&router);
    let output = directory.command("check").output().expect("the program can be run");
    let text = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(
        output.status.success()
            && text.contains("warning: ")
            && text.contains("the guest \"gone\": cannot find no-such-program"),
        "{text}"
    );
    assert!(!directory.command("check").arg("--strict").output().expect("the program can be run").status.success());
}

#[test]
fn a_node_ends_with_its_guests_if_it_is_to() {
    let ends = |mode: Value, guests: &[Value], code: i32, says: &str| {
        let directory = Directory::new(guests);
        let file = directory.path("config.json");
        let mut config: Value =
            serde_json::from_str(&std::fs::read_to_string(&file).expect("it is there")).expect("JSON");
        config["controller"] = json!({"options": {"shutdown": mode}});
        std::fs::write(&file, config.to_string()).expect("a writable directory");
        let router = directory.start();
        let status = router.wait(PATIENCE);
        assert_eq!(status.code(), Some(code), "{}", router.log());
        router.expect_log(says);
    };
    let stays = shell("stays", "sleep 1000", json!({}));
    let once = shell("once", "true", json!({"ready": {"type": "exit"}}));
    let done = shell("done", "sleep 0.3", json!({}));
    let fails = shell("fails", "sleep 0.3; exit 3", json!({}));
    ends(json!("shutdown_on_worker_exit"), &[stays.clone(), once.clone(), done.clone()], 0, "guest=done");
    let modes = json!(["shutdown_on_shutdown_requested", "shutdown_on_worker_exit_with_error"]);
    ends(modes, &[stays, done.clone(), fails.clone()], 1, "fails has failed, and the node ends with it");
    ends(json!("shutdown_on_last_worker_exit"), &[done, fails], 1, "exit code 3");
}

#[test]
fn the_status_tells_of_guests() {
    let restart = json!({"restart": {"policy": "always", "backoff": 0.05, "crashes_max": 0}});
    let directory = Directory::new(&[
        shell("fails", "exit 3", restart),
        shell("stays", "exec sleep 1000", json!({})),
        shell("done", "true", json!({})),
    ]);
    let _router = directory.start();
    let start = Instant::now();
    loop {
        let output = directory.command("status").arg("--json").output().expect("the program can be run");
        let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let of = |id: &str| {
            let all = status["details"]["processes"].as_array().into_iter().flatten();
            all.into_iter().find(|one| one["id"] == id).cloned().unwrap_or_default()
        };
        let (fails, stays, done) = (of("fails"), of("stays"), of("done"));
        let restarted = fails["restarts"].as_u64() > Some(1) && fails["last_end"] == "exit code 3";
        let runs = stays["state"] == "ready" && stays["pid"].is_u64() && stays["resident_bytes"].as_u64() > Some(0);
        if restarted && runs && done["state"] == "stopped" && done["last_end"] == "exit code 0" {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = directory.command("status").output().expect("the program can be run");
    let text = String::from_utf8_lossy(&output.stdout).to_string();
    assert!(text.contains("\nfails: ") && text.contains("last end: exit code 3"), "{text}");
    assert!(text.contains("\nstays: ready, process ") && text.contains(" MiB, 0.0 s of"), "{text}");
}

#[test]
fn no_signal_is_kept_from_a_guest() {
    // Not by a shell, which may let them through by itself.
    let arguments = ["SigBlk", "/proc/self/status"];
    let guest = json!({"type": "guest", "id": "guest", "executable": "grep", "arguments": arguments});
    let directory = Directory::new(&[guest]);
    directory.start().expect_log("guest: SigBlk:\t0000000000000000");
}

#[test]
fn wrong_guests_are_told_with_their_place() {
    let check = |guests: &[Value]| {
        let output = Directory::new(guests).command("check").output().expect("the program can be run");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).to_string())
    };
    assert!(check(&[shell("a", "", json!({"depends_on": ["b"]})), shell("b", "", json!({}))]).0);
    for (guests, says) in [
        (
            vec![shell("a", "", json!({"wokdir": "x"}))],
            "workers[1].options.wokdir: is not known; did you mean \"workdir\"?",
        ),
        (vec![shell("a", "", json!({"depends_on": ["c"]}))], "\"c\", which is no guest"),
        (vec![shell("a", "", json!({"depends_on": ["b"]})), shell("b", "", json!({"depends_on": ["a"]}))], "a, b, a"),
        (vec![json!({"type": "contaner"})], "workers[1].type: is \"contaner\", not router, proxy, container, guest"),
        (
            vec![
                json!({"type": "guest", "executable": "sh"}),
                json!({"type": "guest", "id": "worker002", "executable": "sh"}),
            ],
            "\"worker002\" is there twice",
        ),
    ] {
        let (success, text) = check(&guests);
        assert!(!success && text.contains(says), "{text}");
    }
}

#[test]
fn a_guest_that_writes_without_end_stops_nobody() {
    let whole_line = format!("guest: {}\n", "x".repeat(64 * 1024));
    for (script, logged) in [
        ("yes y", "guest: writes too much; lines were dropped"),
        ("tr '\\0' x < /dev/zero", &whole_line),
        ("yes $(head -c 9999 /dev/zero | tr '\\0' x)", "guest: xxx"),
    ] {
        let directory = Directory::new(&[shell("guest", script, json!({}))]);
        let router = directory.start();
        router.expect_log(logged);
        let before = router.resident_kib();
        for _ in 0..10 {
            let begun = Instant::now();
            serves(&router);
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
            sleep(Duration::from_millis(50));
        }
        let grown = router.resident_kib().saturating_sub(before);
        assert!(grown < 32 * 1024, "{grown} KiB more");
        router.signal("TERM");
        assert!(router.wait(PATIENCE).success());
    }
}

#[test]
fn a_reload_touches_only_what_has_changed() {
    let stays = |id: &str, text: &str| shell(id, &format!("echo {text} $$ >> {id}; sleep 1000"), json!({}));
    let directory = Directory::new(&[stays("same", "one"), stays("other", "one"), stays("gone", "one")]);
    let router = directory.start();
    let pid = |line: &str| line.split(' ').nth(1).and_then(|pid| pid.parse::<i32>().ok()).expect("a pid");
    let gone = pid(&directory.expect_lines("gone", 1)[0]);
    let same = pid(&directory.expect_lines("same", 1)[0]);
    directory.expect_lines("other", 1);
    directory.configure(&[stays("new", "one"), stays("other", "two"), stays("same", "one")]);
    router.signal("HUP");
    assert!(directory.expect_lines("other", 2)[1].starts_with("two "));
    directory.expect_lines("new", 1);
    expect("it is gone", || !Path::new(&format!("/proc/{gone}")).exists());
    for change in ["guest new: is new", "guest other: is another", "guest gone: is gone"] {
        router.expect_log(change);
    }
    assert!(Path::new(&format!("/proc/{same}")).exists() && directory.read("same").lines().count() == 1);
    directory.configure(&[stays("gone", "two")]);
    router.signal("HUP");
    directory.expect_lines("gone", 2);
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
}

#[test]
fn states_are_told() {
    Host { program: env!("CARGO_BIN_EXE_corebar").into(), open_files: None, own: false }.set();
    let shell = |id: &str, script: &str| {
        let arguments = vec!["-c".into(), script.into()];
        GuestConfig { arguments, workdir: std::env::temp_dir(), ..GuestConfig::new(id, "sh") }
    };
    let waits = GuestConfig { depends_on: vec!["busy".into()], ..shell("waits", "exit 0") };
    let never = ReadyConfig::Line("never".into());
    let busy =
        GuestConfig { ready: never, ..shell("busy", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 99") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let all = [shell("fails", "exit 9"), shell("ready", "sleep 99"), busy, waits, shell("done", "exit 0")];
        let guests = Guests::start(&all).expect("good guests");
        let known = |states: &[GuestStatus]| states.iter().map(|state| state.state).collect::<Vec<_>>();
        use GuestState::{Failed, Ready, Running, Stopped, Waiting};
        let begun = Instant::now();
        let states = loop {
            let states = guests.roster().states();
            let used = states[0].cpu_time.is_some_and(|time| time > Duration::from_millis(50));
            if used && known(&states) == [Running, Stopped, Failed, Ready, Waiting] {
                break states;
            }
            assert!(begun.elapsed() < PATIENCE, "{states:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let ids: Vec<&str> = states.iter().map(|state| &*state.id).collect();
        assert_eq!(ids, ["busy", "done", "fails", "ready", "waits"]);
        assert_eq!((&states[1].last_end, &states[2].last_end), (&Some(End::Exited(0)), &Some(End::Exited(9))));
        let ready = &states[3];
        let pid = ready.pid.expect("a process");
        assert!(fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("it runs").contains("sleep"));
        assert!(ready.resident_bytes.is_some_and(|octets| (10_000..1 << 28).contains(&octets)), "{ready:?}");
        assert!(ready.started.is_some() && ready.restarts == 0 && states[4].pid.is_none());
        guests.stop().await;
        assert_eq!(guests.roster().states(), []);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    });
}

#[test]
fn programs_of_requests_and_calls_die_with_who_has_started_them() {
    let (of_request, of_call) = (marker(), marker());
    let directory = Directory::new(&[]);
    let allow = json!({"call": true, "register": true});
    let config = json!({"version": 2, "corebar": {"shards": 1, "pin": false}, "workers": [{"type": "router",
    "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": [{"uri": "*", "allow": allow}]}]}],
    "transports": [{"type": "web", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"}, "paths": {
        "/": {"type": "websocket"},
        "run": {"type": "cgi", "directory": "bin", "processor": "sh"},
    }}]}]});
    fs::write(directory.path("config.json"), config.to_string()).expect("a writable directory");
    fs::create_dir(directory.path("bin")).expect("a writable directory");
    fs::write(directory.path("bin/wait"), format!("exec sleep {of_request}")).expect("a writable directory");
    let router = directory.start();
    let mut request = TcpStream::connect(router.address()).expect("it listens");
    request.write_all(b"GET /run/wait HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    expect("the program runs", || processes(&format!("sleep {of_request}")).len() == 1);
    let command = format!("exec sleep {of_call}");
    let mut callee =
        router::command(&["reg", "com.wait", "-c", &command, "--url", &router.url()]).spawn().expect("it starts");
    let join = || {
        let mut client = Client::connect(router.address(), WIRE);
        client.send(json!([1, "realm1", {"roles": {"caller": {}}}]));
        client.expect(2);
        client
    };
    expect("it is registered", || {
        let mut client = join();
        client.send(json!([48, 1, {}, "wamp.registration.match", ["com.wait"]]));
        !matches!(&client.expect(50)[3].list()[0], support::Value::Null)
    });
    let mut caller = join();
    caller.send(json!([48, 1, {}, "com.wait"]));
    expect("the command runs", || processes(&of_call).iter().any(|pid| *pid != callee.id().cast_signed()));
    callee.kill().and_then(|()| callee.wait().map(drop)).expect("it can be killed");
    expect_none(&of_call);
    router.signal("KILL");
    router.wait(PATIENCE);
    expect_none(&of_request);
}
