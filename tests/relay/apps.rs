//! Applications in Python, in processes of their own.

use super::support::directory::Directory;
use super::support::http::{Http, post};
use super::support::install;
use super::support::raw::{header, response_head, status};
use super::{error_of, read_chunks};
use serde_json::{Value as Json, json};
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
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
    if path == "/injection":
        start("200 OK", [("X-A", "a\r\nX-Evil: 1")])
        return [b"x"]
    if path == "/breaks":
        def parts():
            yield b"some"
            raise ValueError("breaks off")
        start("200 OK", [])
        return parts()
    if path == "/head":
        start("200 OK", [("Content-Type", "text/x")])
        return [] if env["REQUEST_METHOD"] == "HEAD" else iter([b"a", b"b"])
    body = env["wsgi.input"].read()
    if path == "/echo":
        start("201 Created", [("Content-Type", "text/x"), ("X-Own", "1"), ("X-Own", "2")])
        return [body[:100000], body[100000:]]
    told = {key: value for key, value in env.items() if isinstance(value, str) and key not in os.environ}
    text = json.dumps(dict(told, body=len(body))).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]
"#;

/// What a trusted proxy says of a client, who has said something itself.
const BY_PROXY: &str = "X-Forwarded-For: 192.0.2.6, 192.0.2.7\r\nX-Real-IP: 192.0.2.5\r\n";

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
            "transports": [{"type": "web", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1",
                "forwarded": {"from": ["127.0.0.0/8"]}}, "paths": {
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
    let env: Json = serde_json::from_slice(&http.get("/app", BY_PROXY).expect(200).body).expect("JSON");
    assert_eq!(env["REMOTE_ADDR"], "192.0.2.7");
    let body = vec![b'x'; 500_000];
    for _ in 0..2 {
        http.write(post("/app/echo", &body));
        let head = response_head(&mut http.0);
        assert_eq!((status(&head), header(&head, "x-own")), (201, Some("1")));
        assert!(read_chunks(&mut http.0) == body);
    }
    assert_eq!(http.get("/app/fail", "").status, 500);
    let injected = http.get("/app/injection", "").expect(500);
    assert_eq!((injected.header("x-evil"), injected.header("server")), (None, None));
    http.write("HEAD /app/head HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(http.head_only().expect(200).header("content-length"), None);
    // A response that breaks off does not look whole.
    let mut broken = Vec::new();
    let mut reader = Http::connect(address);
    reader.write("GET /app/breaks HTTP/1.1\r\nHost: x\r\n\r\n");
    let _ = reader.0.read_to_end(&mut broken);
    assert!(broken.ends_with(b"4\r\nsome\r\n"), "{}", String::from_utf8_lossy(&broken));
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

const RESOURCES: &str = r#"
import json, os, time
from twisted.internet import reactor
from twisted.web import resource, server

class Told(resource.Resource):
    isLeaf = True

    def __init__(self, extra):
        resource.Resource.__init__(self)
        self.extra = extra

    def render_GET(self, request):
        names = ["uri", "path", "method", "clientproto"]
        told = {name: getattr(request, name).decode() for name in names}
        told.update({name: [part.decode() for part in getattr(request, name)] for name in ["prepath", "postpath"]})
        told["args"] = {name.decode(): [value.decode() for value in values] for name, values in request.args.items()}
        told.update(extra=self.extra, client=request.getClientIP(), host=request.getHeader("host"))
        told.update(secure=request.isSecure(), url=request.prePathURL().decode(), own=os.environ["OWN"])
        request.setHeader(b"content-type", b"application/json")
        return json.dumps(told).encode()

    def render_POST(self, request):
        request.setResponseCode(201)
        request.responseHeaders.setRawHeaders(b"x-own", [b"1", b"2"])
        return request.content.read()

class Stream(resource.Resource):
    def render_GET(self, request):
        request.write(b"first ")
        reactor.callLater(0.1, self.finish, request)
        return server.NOT_DONE_YET

    def finish(self, request):
        request.write(b"last")
        request.finish()

class Fail(resource.Resource):
    def render_GET(self, request):
        raise ValueError("this one fails")

class Tree(resource.Resource):
    def __init__(self, extra):
        resource.Resource.__init__(self)
        self.putChild(b"", Told(extra))
        self.putChild(b"told", Told(extra))
        self.putChild(b"stream", Stream())
        self.putChild(b"fail", Fail())

def none(extra):
    return None
"#;

#[test]
fn resources_of_twisted_answer() {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python.txt");
    let Some(python) = install::python("python", &requirements) else { return };
    let config = json!({
        "version": 2,
        "corebar": {"pin": false},
        "workers": [{
            "type": "router",
            "options": {"python": python.join("bin/python"), "pythonpath": ["code"], "env": {"vars": {"OWN": "word"}}},
            "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}]}],
            "transports": [{"type": "web", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1",
                "forwarded": {"from": ["127.0.0.0/8"]}}, "paths": {
                "ws": {"type": "websocket"},
                "in": {"type": "path", "paths": {
                    "app": {"type": "resource", "classname": "pages.Tree", "extra": {"word": "${HOME}"}}}},
                "/": {"type": "resource", "classname": "pages.Told"},
                "none": {"type": "resource", "classname": "pages.none"},
                "missing": {"type": "resource", "classname": "nothing.Resource"},
                "bare": {"type": "resource", "classname": "pages.Told", "options": {"python": "/usr/bin/python3", "pythonpath": ["bare"]}},
            }}],
        }],
    });
    let directory = Directory::new("relay-resources", &config.to_string());
    fs::create_dir_all(directory.path("code")).expect("a directory");
    fs::write(directory.path("code/pages.py"), RESOURCES).expect("a file");
    // An interpreter without Twisted, whatever the system has.
    fs::create_dir_all(directory.path("bare")).expect("a directory");
    fs::write(directory.path("bare/twisted.py"), "raise ImportError('none here')").expect("a file");
    let said = String::from_utf8(directory.output("check", &[]).stderr).expect("text");
    assert!(said.contains("/missing\": ") && said.contains("does not find nothing"), "{said}");
    let router = directory.start();
    let address = router.address();
    let page = told(address, "/in/app/told/a%20b/c?x=%31&x=2&y");
    assert_eq!(
        (&page["uri"], &page["path"], &page["method"]),
        (&json!("/in/app/told/a%20b/c?x=%31&x=2&y"), &json!("/in/app/told/a%20b/c"), &json!("GET"))
    );
    assert_eq!((&page["prepath"], &page["postpath"]), (&json!(["in", "app", "told"]), &json!(["a b", "c"])));
    assert_eq!((&page["args"], &page["extra"]), (&json!({"x": ["1", "2"]}), &json!({"word": "${HOME}"})));
    assert_eq!(
        (&page["client"], &page["host"], &page["secure"]),
        (&json!("127.0.0.1"), &json!("localhost"), &json!(false))
    );
    assert_eq!((&page["own"], &page["url"]), (&json!("word"), &json!("http://localhost/in/app/told")));
    let by_proxy = Http::connect(address).get("/in/app/told", BY_PROXY).expect(200);
    let page: Json = serde_json::from_slice(&by_proxy.body).expect("JSON");
    assert_eq!(page["client"], "192.0.2.7");
    let root = told(address, "/other/x");
    assert_eq!((&root["prepath"], &root["postpath"], &root["extra"]), (&json!([]), &json!(["other", "x"]), &json!({})));
    let body = vec![b'x'; 500_000];
    let mut http = Http::connect(address);
    http.write(post("/in/app/told", &body));
    let answer = http.response().expect(201);
    assert!(answer.body == body && answer.header("x-own") == Some("1"));
    http.write("POST /in/app/told HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(http.response().expect(201).body, b"abc");
    http.write("GET /in/app/stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status(&response_head(&mut http.0)), 200);
    assert_eq!(read_chunks(&mut http.0), b"first last");
    for (path, wanted) in
        [("/in/app/nothing", 404), ("/in/app/fail", 500), ("/none", 502), ("/missing", 502), ("/bare", 502)]
    {
        assert_eq!(Http::connect(address).get(path, "").status, wanted, "{path}");
    }
    let wanted =
        ["this one fails", "pages.none gives no resource", "No module named 'nothing'", "has no Twisted: none here"];
    for text in wanted {
        while !router.log().contains(text) {
            thread::sleep(Duration::from_millis(20));
        }
    }
}
