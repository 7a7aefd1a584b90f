//! What HTTP wants of every server (RFC 9110, RFC 9112).

use super::support::directory::Directory;
use super::support::http::{Http, get};
use super::support::node;
use super::support::raw::upgrade_request;
use super::{Folder, files, json, serve};
use corebar::config::web::{PathConfig, Service};
use std::fs::{self, File};
use std::time::{Duration, UNIX_EPOCH};

fn at(path: &str, service: Service) -> PathConfig {
    PathConfig { path: path.into(), deep: false, service }
}

#[test]
fn every_response_has_its_time_and_its_form() {
    let folder = Folder::new("http");
    folder.write("small", "small");
    let paths = || {
        let moved = at("/old", Service::Redirect("/new".into()));
        vec![
            files("/", &folder.web(), |_| {}),
            at("/cfg", json("1", false, false)),
            moved,
            at("/info", Service::NodeInfo),
        ]
    };
    node::with_router(
        |config| serve(config, paths()),
        |address| {
            let mut http = Http::connect(address);
            for path in ["/small", "/cfg", "/old", "/info", "/ws", "/nothing", "/a%2fb"] {
                let answer = http.get(path, "");
                assert!(answer.header("date").is_some(), "{path}: {}", answer.head);
                // Nothing of a body comes to HEAD, nor of one that is announced.
                http.write(get(path, "").replacen("GET", "HEAD", 1));
                assert_eq!(http.head_only().status, answer.status, "{path}");
            }
            // What is wrong is told to people and to programs.
            let text = http.get("/nothing", "Accept: text/html, application/json\r\n").expect(404);
            assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
            for path in ["/nothing", "/info/x/y", "/a%2fb"] {
                let told = http.get(path, "Accept: application/json\r\n");
                let value: serde_json::Value = serde_json::from_slice(&told.body).expect("JSON");
                assert!(value["error"].is_string() && told.status >= 400, "{}", told.text());
            }
            // Requests that cannot be read, the first of a connection and later ones.
            let far = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(20_000));
            for (request, wanted) in [
                (far.as_str(), 414),
                ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
                ("GET / HTTP/1.1\r\nHost: a/b@c\r\n\r\n", 400),
                ("GET / HTTP/1.1\r\nHost: x\r\nExpect: foo\r\n\r\n", 417),
            ] {
                for first in ["", "GET /small HTTP/1.1\r\nHost: x\r\n\r\n"] {
                    let mut http = Http::connect(address);
                    http.write(format!("{first}{request}"));
                    if !first.is_empty() {
                        http.response().expect(200);
                    }
                    let told = http.response().expect(wanted);
                    assert_eq!(told.header("content-type"), Some("application/json"), "{}", told.head);
                    assert!(told.header("date").is_some(), "{}", told.head);
                }
            }
            for (request, wanted, allow) in [
                ("OPTIONS * HTTP/1.1", 204, true),
                ("OPTIONS /small HTTP/1.1", 204, true),
                ("DELETE /small HTTP/1.1", 405, true),
                ("BREW /small HTTP/1.1", 501, false),
            ] {
                let mut http = Http::connect(address);
                http.write(format!("{request}\r\nHost: x\r\n\r\n"));
                let answer = http.response().expect(wanted);
                assert_eq!(answer.header("allow"), allow.then_some("GET, HEAD, OPTIONS"), "{request}");
            }
        },
    );
}

#[test]
fn conditions_are_looked_at() {
    let folder = Folder::new("conditional");
    folder.write("a.txt", "0123456789");
    let file = File::options().write(true).open(folder.web().join("a.txt")).expect("a file");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(784_111_777)).expect("a time");
    node::with_router(
        |config| serve(config, vec![files("/", &folder.web(), |_| {})]),
        |address| {
            let mut http = Http::connect(address);
            for (header, wanted) in [
                ("If-Match: \"x\"", 412),
                ("If-Match: *", 200),
                ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 412),
                ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 200),
                ("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", 304),
                ("If-Modified-Since: Sun Nov  6 08:49:37 1994", 304),
                ("If-Modified-Since: Sun Nov  6 08:49:36 1994", 200),
            ] {
                let answer = http.get("/a.txt", &format!("{header}\r\n"));
                assert_eq!(answer.status, wanted, "{header}");
            }
            http.write(get("/a.txt", "Range: bytes=0-1\r\n").replacen("GET", "HEAD", 1));
            assert_eq!(http.head_only().expect(200).header("content-length"), Some("10"));
        },
    );
}

#[test]
fn handshakes_that_cannot_be_accepted_are_told_how() {
    node::with_router(
        |_| {},
        |address| {
            let ask = |change: &dyn Fn(String) -> String| {
                let request = upgrade_request("/ws", "Sec-WebSocket-Protocol: wamp.2.json\r\n");
                let mut http = Http::connect(address);
                http.write(change(String::from_utf8_lossy(request.as_ref()).into_owned()));
                http.response()
            };
            let old = ask(&|text| text.replace("Version: 13", "Version: 8")).expect(426);
            assert!(
                old.header("upgrade").is_some() && old.head.to_lowercase().contains("connection: upgrade"),
                "{}",
                old.head
            );
            ask(&|text| text.replacen("\r\n", "\r\nContent-Length: 3\r\n", 1)).expect(400);
        },
    );
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let folder = Folder::new("smuggling");
    folder.write("small", "small");
    node::with_router(
        |config| serve(config, vec![files("/", &folder.web(), |_| {})]),
        |address| {
            for (headers, wanted) in [
                ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
                ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
                ("Transfer-Encoding: xchunked\r\n", 501),
                ("Content-Length : 5\r\n", 400),
                ("Host: other\r\n", 400),
                ("X: y\r\n folded\r\n", 400),
            ] {
                for first in ["", "GET /small HTTP/1.1\r\nHost: x\r\n\r\n"] {
                    let mut http = Http::connect(address);
                    http.write(format!(
                        "{first}{}0\r\n\r\nGET /small HTTP/1.1\r\nHost: x\r\n\r\n",
                        get("/small", headers)
                    ));
                    if !first.is_empty() {
                        http.response().expect(200);
                    }
                    let answer = http.response().expect(wanted);
                    assert_eq!(answer.header("connection"), Some("close"));
                    http.expect_end();
                }
            }
            // Nor is a body that nobody reads taken for the next request.
            let mut http = Http::connect(address);
            let inner = "GET /small HTTP/1.1\r\nHost: x\r\n\r\n";
            http.write(format!("{}{inner}", get("/small", &format!("Content-Length: {}\r\n", inner.len()))));
            assert_eq!(http.response().expect(200).header("connection"), Some("close"));
            http.expect_end();
        },
    );
}

#[test]
fn what_could_never_work_is_told_beforehand() {
    let directory = Directory::new("web-mistakes", "");
    fs::create_dir_all(directory.path("web")).expect("a directory");
    let write = |topic: &str| {
        directory.write(
            &serde_json::json!({"version": 2, "workers": [{"type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "web"}]}],
            "transports": [{"type": "web", "endpoint": {"type": "tcp", "port": 0}, "paths": {
                "/": {"type": "static", "directory": "web", "options": {"fallback": "nothing.html"}},
                "pub": {"type": "publisher", "realm": "realm2", "role": "web"},
                "events": {"type": "eventsource", "realm": "realm3", "role": "web"},
                "good": {"type": "publisher", "realm": "realm1", "role": "web"},
                "hook": {"type": "webhook", "realm": "realm1", "role": "web", "options": {"topic": topic}},
                "bin": {"type": "cgi", "directory": "bin", "processor": "sh"},
                "run": {"type": "cgi", "directory": "web", "processor": "no-such-program"},
            }}]}]})
            .to_string(),
        );
        let output = directory.output("check", &["--strict"]);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("text")
    };
    let said = write("a..b");
    assert!(said.contains("options.topic: is \"a..b\", which is no topic"), "{said}");
    let said = write("a.b");
    for expected in ["/pub leads to the realm \"realm2\", which is not there", "/events leads to the realm \"realm3\""]
    {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    assert!(!said.contains("/good"), "{said}");
    let said = String::from_utf8(directory.output("check", &[]).stderr).expect("text");
    for expected in ["there is no ", "nothing.html", "the programs at /bin: ", "there is no program no-such-program"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
}
