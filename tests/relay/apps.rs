//! Applications of WSGI, in processes of their own.

use super::support::directory::Directory;
use super::support::http::{Http, post};
use super::support::raw::{header, response_head, status};
use super::{error_of, read_chunks};
use serde_json::{Value as Json, json};
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

const APP: &str = r#"
import json, os, threading

both = threading.Barrier(2, timeout=20)

def application(env, start):
    path = env["PATH_INFO"]
    if path == "/crash":
        os._exit(3)
    if path == "/both":
        both.wait()
    if path == "/fail":
        raise ValueError("fails")
    body = env["wsgi.input"].read()
    if path == "/echo":
        start("201 Created", [("Content-Type", "text/x"), ("X-Own", "1"), ("X-Own", "2")])
        return [body[:100000], body[100000:]]
    told = {key: value for key, value in env.items() if isinstance(value, str) and key not in os.environ}
    text = json.dumps(dict(told, body=len(body))).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]
"#;

/// Waits until the application is there, and gives what it says of a request.
fn told(address: SocketAddr, path: &str) -> Json {
    loop {
        let answer = Http::connect(address).get(path, "Host-Is: x\r\n");
        if answer.status == 200 {
            return serde_json::from_slice(&answer.body).expect("JSON");
        }
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(error_of(&answer).starts_with("the server behind "));
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn applications_answer() {
    let config = json!({
        "version": 2,
        "corebar": {"pin": false},
        "workers": [{
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}]}],
            "transports": [{"type": "web", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"}, "paths": {
                "ws": {"type": "websocket"},
                "app": {"type": "wsgi", "module": "app", "object": "application", "maxthreads": 2},
                "/": {"type": "wsgi", "module": "app", "object": "application"},
                "broken": {"type": "wsgi", "module": "nothing", "object": "application"},
            }}],
        }],
    });
    let directory = Directory::new("relay-apps", &config.to_string());
    fs::write(directory.path("app.py"), APP).expect("a file");
    let router = directory.start();
    let address = router.address();
    for (path, script, info) in [("/app/a%20b?x=%31&y", "/app", "/a b"), ("/app", "/app", ""), ("/other", "", "/other")]
    {
        let env = told(address, path);
        assert_eq!((&env["SCRIPT_NAME"], &env["PATH_INFO"]), (&json!(script), &json!(info)), "{path}: {env}");
        assert_eq!((&env["REQUEST_METHOD"], &env["REMOTE_ADDR"]), (&json!("GET"), &json!("127.0.0.1")));
        assert_eq!((&env["wsgi.url_scheme"], &env["HTTP_HOST"]), (&json!("http"), &json!("localhost")));
        assert_eq!(env["QUERY_STRING"], path.split_once('?').map_or("", |(_, query)| query));
        assert_eq!((&env["SERVER_NAME"], &env["SERVER_PORT"]), (&json!("localhost"), &json!("80")));
    }
    let mut http = Http::connect(address);
    let body = vec![b'x'; 500_000];
    for _ in 0..2 {
        http.write(post("/app/echo", &body));
        let head = response_head(&mut http.0);
        assert_eq!((status(&head), header(&head, "x-own")), (201, Some("1")));
        assert!(read_chunks(&mut http.0) == body);
    }
    assert_eq!(http.get("/app/fail", "").status, 500);
    // Several at once.
    let pair = [0, 1].map(|_| thread::spawn(move || Http::connect(address).get("/app/both", "").status));
    assert_eq!(pair.map(|one| one.join().expect("an answer")), [200, 200]);
    let mut http = Http::connect(address);
    http.write("POST /app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    http.response().expect(411);
    assert_eq!(Http::connect(address).get("/broken", "").status, 502);
    // One that crashes comes again.
    let mut http = Http::connect(address);
    http.write("GET /app/crash HTTP/1.1\r\nHost: x\r\n\r\n");
    let _ = http.0.read_to_end(&mut Vec::new());
    told(address, "/app");
}
