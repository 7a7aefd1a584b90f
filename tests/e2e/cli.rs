//! The program: arguments, listeners, signals.

use crate::support::router::command;
use crate::support::{Client, Router, Wire, raw};
use serde_json::json;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program can be run")
}

/// It must end with an error, and one line that contains this.
fn fails(arguments: &[&str], text: &str) {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?}: {errors}");
    assert!(output.status.code().is_some(), "{arguments:?} ended by a signal: {errors}");
    let lines: Vec<&str> = errors.lines().filter(|line| line.to_lowercase().contains(&text.to_lowercase())).collect();
    assert_eq!(lines.len(), 1, "{arguments:?}: one line with {text:?} in:\n{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn help_and_version() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for flag in ["--listen", "--realm", "--shards", "--no-pin", "--log"] {
        assert!(help.contains(flag), "{flag} in:\n{help}");
    }
    assert!(!help.contains("--echo-path"), "only for tests");
    let output = run(&["--version"]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("corebar {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn bad_arguments() {
    fails(&["--nonsense"], "--nonsense");
    fails(&["--shards", "0"], "--shards");
    fails(&["--shards", "many"], "--shards");
    fails(&["--listen", "nowhere"], "--listen");
    fails(&["--listen", "127.0.0.1:99999"], "--listen");
    fails(&["--listen", "127.0.0.1:0", "--realm", "a..b"], "a..b");
    fails(&["--listen", "127.0.0.1:0", "--realm", ""], "realm");
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let start = Instant::now();
    fails(&["--listen", &address], &address);
    assert!(start.elapsed() < Duration::from_secs(10));
    let output = run(&["--listen", &address]);
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{output:?}");
}

#[test]
fn an_address_without_permission() {
    let listener = TcpListener::bind("127.0.0.1:1");
    match listener.as_ref().map_err(std::io::Error::kind) {
        Err(ErrorKind::PermissionDenied) => fails(&["--listen", "127.0.0.1:1"], "127.0.0.1:1"),
        _ => eprintln!("SKIPPED: this user may listen on ports below 1024, so no permission can be missing"),
    }
    drop(listener);
    // A folder that is not there is testable for every user.
    fails(&["--listen", "unix:/nonexistent/folder/corebar.sock"], "/nonexistent/folder/corebar.sock");
}

fn socket_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("corebar-{}-{name}.sock", std::process::id()))
}

#[test]
fn a_unix_socket() {
    let path = socket_path("listen");
    let address = format!("unix:{}", path.display());
    let router = Router::start(&["--shards", "2", "--listen", &address]);
    wait_for_socket(&path);
    let mut stream = UnixStream::connect(&path).expect("the router listens");
    stream.set_read_timeout(Some(raw::PATIENCE)).expect("a socket option");
    stream.write_all(&[0x7f, 0xf1, 0, 0]).expect("the router reads");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!((answer[0], answer[1] & 15), (0x7f, 1));
    let hello = json!([1, "realm1", {"roles": {"caller": {}}}]).to_string();
    stream.write_all(&[0, 0, 0, hello.len() as u8]).expect("the router reads");
    stream.write_all(hello.as_bytes()).expect("the router reads");
    let mut head = [0; 7];
    stream.read_exact(&mut head).expect("a message");
    assert_eq!(&head[4..], b"[2,");
    // WebSocket too.
    let mut stream = UnixStream::connect(&path).expect("the router listens");
    let request = raw::upgrade_request("/", "Sec-WebSocket-Protocol: wamp.2.json\r\n");
    stream.write_all(request.as_bytes()).expect("the router reads");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("a response");
    assert!(line.starts_with("HTTP/1.1 101 "), "{line}");

    // A second router cannot take it from the first.
    fails(&["--listen", &address], &path.display().to_string());
    router.signal("TERM");
    assert!(router.wait(Duration::from_secs(10)).success());
    assert!(!path.exists(), "the socket is removed at the end");
}

#[test]
fn a_unix_socket_that_was_left_behind() {
    let path = socket_path("stale");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path"));
    assert!(path.exists());
    let router = Router::start(&["--listen", &format!("unix:{}", path.display())]);
    wait_for_socket(&path);
    UnixStream::connect(&path).expect("the router has taken it over");
    router.signal("TERM");
    assert!(router.wait(Duration::from_secs(10)).success());
}

fn wait_for_socket(path: &PathBuf) {
    let start = Instant::now();
    while UnixStream::connect(path).is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "nobody listens at {}", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn more_than_one_address_and_realm() {
    let path = socket_path("more");
    let arguments = ["--realm", "com.other", "--listen", &format!("unix:{}", path.display()), "--shards", "3"];
    let router = Router::start(&arguments);
    let mut client = Client::connect(router.address(), Wire::JSON);
    client.send(json!([1, "com.other", {"roles": {"subscriber": {}, "publisher": {}}}]));
    client.expect(2);
    let mut first = Client::join(router.address(), Wire::JSON);
    // The realms are apart.
    client.subscribe("com.test.apart");
    first.publish("com.test.apart", &[]);
    client.expect_silence(Duration::from_millis(50));
    router.signal("TERM");
    assert!(router.wait(Duration::from_secs(10)).success(), "and it takes its socket away");
}

#[test]
fn a_signal_ends_the_sessions_and_the_program() {
    for (signal, shards) in [("TERM", "1"), ("TERM", "4"), ("INT", "4")] {
        let router = Router::start(&["--shards", shards, "--no-pin"]);
        let mut clients: Vec<Client> = Wire::all().map(|wire| Client::join(router.address(), wire)).collect();
        let mut idle = raw::upgraded_json(router.address());
        let half_open = raw::connect(router.address());
        let start = Instant::now();
        router.signal(signal);
        for client in &mut clients {
            let goodbye = client.expect(6);
            assert_eq!(goodbye[2].str(), "wamp.close.system_shutdown");
            client.send(json!([6, {}, "wamp.close.goodbye_and_out"]));
            let code = client.expect_end();
            assert!(code.is_none_or(|code| code == 1001 || code == 1000), "{code:?}");
        }
        raw::read_to_end(&mut idle, raw::PATIENCE);
        assert!(router.wait(Duration::from_secs(10)).success());
        assert!(start.elapsed() < Duration::from_secs(8), "{signal}: it took {:?}", start.elapsed());
        assert!(TcpStream::connect(router.address()).is_err(), "nobody listens any more");
        drop(half_open);
    }
}

#[test]
fn clients_that_do_not_answer_cannot_hold_it_up() {
    let router = Router::start(&["--shards", "2", "--no-pin"]);
    let clients: Vec<Client> = Wire::all().map(|wire| Client::join(router.address(), wire)).collect();
    router.signal("TERM");
    assert!(router.wait(Duration::from_secs(15)).success());
    drop(clients);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let router = Router::start(&["--shards", "2", "--no-pin"]);
    let mut client = Client::join(router.address(), Wire::JSON);
    router.signal("TERM");
    assert_eq!(client.expect(6)[2].str(), "wamp.close.system_shutdown");
    let start = Instant::now();
    // The client does not answer, so the first signal alone would make it wait.
    router.signal("TERM");
    router.wait(Duration::from_secs(5));
    assert!(start.elapsed() < Duration::from_secs(1), "it took {:?}", start.elapsed());
}

#[test]
fn what_it_says_when_it_starts() {
    let mut child = command(&["--listen", "127.0.0.1:0", "--shards", "2"]).spawn().expect("it can be started");
    let lines = crate::support::router::lines(child.stdout.take().expect("a pipe"));
    let mut text = String::new();
    while let Ok(line) = lines.recv_timeout(Duration::from_secs(2)) {
        text.push_str(&line);
        text.push('\n');
    }
    let _ = child.kill();
    let _ = child.wait();
    for what in [env!("CARGO_PKG_VERSION"), "listening on ws://127.0.0.1:", "2 shards", "realm1", "this machine"] {
        assert!(text.contains(what), "{what:?} in:\n{text}");
    }
}
