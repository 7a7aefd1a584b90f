//! Requests that others answer: servers behind the router, and programs.

#[path = "relay/apps.rs"]
mod apps;
#[path = "relay/couriers.rs"]
mod couriers;
mod support;

use corebar::config::RuntimeConfig;
use corebar::config::relay::{Backend, BackendAddress, RelayConfig, Target};
use corebar::config::web::{JsonConfig, PathConfig, Service};
use serde_json::Value as Json;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use support::http::{Http, Response, get, post};
use support::node;
use support::raw::{PATIENCE, client_frame, connect, header, response_head, server_frame, status, upgrade_request};

/// A server behind the router: what it is asked, and what it answers.
struct Behind {
    address: SocketAddr,
    asked: Mutex<Receiver<(String, Vec<u8>)>>,
}

impl Behind {
    /// The next request: its head in small letters, and its body.
    #[track_caller]
    fn asked(&self) -> (String, Vec<u8>) {
        self.asked.lock().expect("a lock").recv_timeout(PATIENCE).expect("a request")
    }
}

/// Reads a request, with a body in chunks as it came.
fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        if stream.read(&mut octet).ok()? == 0 {
            return None;
        }
        head.push(octet[0]);
    }
    let head = String::from_utf8(head).expect("text").to_lowercase();
    let mut body = Vec::new();
    if let Some(length) = header(&head, "content-length") {
        body.resize(length.parse().expect("a length"), 0);
        stream.read_exact(&mut body).ok()?;
    } else if header(&head, "transfer-encoding").is_some() {
        while !body.ends_with(b"0\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).ok()?;
            body.push(octet[0]);
        }
    }
    Some((head, body))
}

/// Answers each request with what `answer` makes of its head and body, octet by octet as it stands there.
fn behind(answer: impl Fn(&str, &[u8], &mut TcpStream) + Send + Sync + Clone + 'static) -> Behind {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (tell, asked) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), tell, answer) = (stream, tell.clone(), answer.clone()) else { return };
            thread::spawn(move || {
                let Some((head, body)) = read_request(&mut stream) else { return };
                let _ = tell.send((head.clone(), body.clone()));
                answer(&head, &body, &mut stream);
            });
        }
    });
    Behind { address, asked: Mutex::new(asked) }
}

/// One that answers with these octets.
fn saying(octets: impl Into<Vec<u8>>) -> Behind {
    let octets: Vec<u8> = octets.into();
    behind(move |_, _, stream| drop(stream.write_all(&octets)))
}

fn relay(path: &str, to: SocketAddr, change: impl FnOnce(&mut RelayConfig)) -> PathConfig {
    let mut config = RelayConfig::http("127.0.0.1", to.port());
    config.timeout = PATIENCE;
    change(&mut config);
    PathConfig { path: path.into(), deep: true, service: Service::Relay(Box::new(config)) }
}

fn at(config: &mut RelayConfig) -> &mut Backend {
    match &mut config.target {
        Target::Http(backend) | Target::WebSocket(backend) => backend,
        Target::Script { .. } => panic!("no server"),
    }
}

/// On one shard and on several.
fn on_shards(paths: &[PathConfig], test: impl Fn(SocketAddr) + Send + Sync) {
    let value = JsonConfig { text: "1".into(), cross_origin: false, no_store: false };
    let json = PathConfig { path: "/json".into(), deep: false, service: Service::Json(value) };
    for shards in [1, 4] {
        let change = |config: &mut RuntimeConfig| {
            config.shards = Some(shards);
            config.listeners[0].paths.retain(|known| known.path != "/");
            config.listeners[0].paths.extend(paths.iter().cloned().chain([json.clone()]));
        };
        node::with_router(change, &test);
    }
}

fn error_of(response: &Response) -> String {
    let told: Json = serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{}", response.text()));
    told["error"].as_str().expect("an error").into()
}

const HELLO: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 5\r\nX-Own: 1\r\nKeep-Alive: 5\r\n\r\nhello";

#[test]
fn requests_and_responses_are_passed_on() {
    let server = saying(HELLO);
    let paths =
        [relay("/app", server.address, |config| at(config).path = "/base".into()), relay("/", server.address, |_| {})];
    on_shards(&paths, |address| {
        let mut http = Http::connect(address);
        for (path, expected) in [
            ("/app", "/base"),
            ("/app/", "/base/"),
            ("/app/a%20b/c?x=%2F&y", "/base/a%20b/c?x=%2f&y"),
            ("/app/%40scope%2Fname", "/base/%40scope%2fname"),
            ("/other/x?", "/other/x?"),
        ] {
            let answer = http
                .get(path, "X-Mine: 7\r\nX_Forwarded_Proto: https\r\nConnection: x-private\r\nX-Private: 1\r\n")
                .expect(200);
            assert_eq!((answer.text().as_str(), answer.header("x-own")), ("hello", Some("1")));
            assert_eq!((answer.header("keep-alive"), answer.header("content-type")), (None, Some("text/x")));
            let (head, body) = server.asked();
            assert!(head.starts_with(&format!("get {expected} http/1.1\r\n")) && body.is_empty(), "{head}");
            let host = format!("127.0.0.1:{}", server.address.port());
            assert_eq!((header(&head, "host"), header(&head, "x-mine")), (Some(&*host), Some("7")));
            assert!(!head.contains("x_forwarded"), "{head}");
            assert_eq!((header(&head, "x-private"), header(&head, "connection")), (None, Some("close")));
            assert_eq!(header(&head, "x-forwarded-for"), Some("127.0.0.1"));
            assert_eq!(header(&head, "x-real-ip"), Some("127.0.0.1"));
            assert_eq!(
                (header(&head, "x-forwarded-host"), header(&head, "x-forwarded-proto")),
                (Some("localhost"), Some("http"))
            );
        }
        // What follows on the same connection goes where it belongs, without waiting for answers.
        let body = post("/app/post", b"body");
        let chunked = "PUT /app/put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=1\r\nde\r\n0\r\nA: b\r\n\r\n";
        let head = "HEAD /app/head HTTP/1.1\r\nHost: x\r\n\r\n";
        let all =
            [get("/json", "").as_bytes(), &body, chunked.as_bytes(), head.as_bytes(), get("/json", "").as_bytes()]
                .concat();
        http.write(all);
        assert_eq!(http.response().expect(200).text(), "1");
        assert_eq!(http.response().expect(200).text(), "hello");
        let (head, body) = server.asked();
        assert!(head.starts_with("post /base/post ") && body == b"body", "{head}");
        assert_eq!(http.response().expect(200).text(), "hello");
        let (head, body) = server.asked();
        assert!(head.starts_with("put /base/put ") && header(&head, "transfer-encoding") == Some("chunked"), "{head}");
        let text = String::from_utf8(body).expect("text");
        let data: String = text.split("\r\n").skip(1).step_by(2).collect();
        assert_eq!(data, "abcde");
        assert_eq!(http.head_only().expect(200).header("content-length"), Some("5"));
        assert!(server.asked().0.starts_with("head /base/head "));
        assert_eq!(http.response().expect(200).text(), "1");
        // And may become one of WebSocket.
        http.write(upgrade_request("/ws", "Sec-WebSocket-Protocol: wamp.2.json\r\n"));
        assert_eq!(status(&response_head(&mut http.0)), 101);
    });
}

/// The whole response to a request, until the end of the connection.
fn until_the_end(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).expect("room");
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn responses_end_where_they_should() {
    let close = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let old = "GET /a HTTP/1.0\r\n\r\n";
    for (said, request, expected) in [
        (
            "HTTP/1.1 200 OK\r\n\r\nabc",
            close,
            "transfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        ("HTTP/1.1 200 OK\r\n\r\nabc", old, "connection: close\r\n\r\nabc"),
        ("HTTP/1.0 200 OK\r\n\r\nabc", close, "connection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
            old,
            "connection: close\r\n\r\nabc",
        ),
        (
            "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n",
            close,
            "HTTP/1.1 204 No Content\r\ndate: x\r\nconnection: close\r\n\r\n",
        ),
        ("HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", close, "etag: x\r\nconnection: close\r\n\r\n"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Gone\r\nContent-Length: 1\r\n\r\nx",
            close,
            "connection: close\r\n\r\nx",
        ),
    ] {
        let server = saying(said);
        node::with_router(
            |config| config.listeners[0].paths.push(relay("/a", server.address, |_| {})),
            |address| {
                let answer = until_the_end(address, request);
                assert!(answer.ends_with(expected) && answer.starts_with("HTTP/1.1 "), "{said:?}: {answer:?}");
            },
        );
    }
}

#[test]
fn what_goes_wrong_behind_is_told() {
    let silent = behind(|_, _, stream| drop(stream.read(&mut [0])));
    let ends = saying("");
    let nonsense = saying("HTP/1.1 200\r\n\r\n");
    let both = saying("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd");
    let short = saying("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    let chunked = saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabcHTTP/1.\r\n0\r\n\r\n",
    );
    let list = saying("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello");
    let coded = saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    let takes_over = saying("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let paths = [
        relay("/silent", silent.address, |config| config.timeout = Duration::from_millis(50)),
        relay("/ends", ends.address, |_| {}),
        relay("/nonsense", nonsense.address, |_| {}),
        relay("/both", both.address, |_| {}),
        relay("/short", short.address, |_| {}),
        relay("/chunked", chunked.address, |_| {}),
        relay("/list", list.address, |_| {}),
        relay("/coded", coded.address, |_| {}),
        relay("/over", takes_over.address, |_| {}),
        relay("/closed", closed, |_| {}),
        relay("/small", silent.address, |config| config.body_bytes_max = Some(3)),
        relay("/none", closed, |config| at(config).address = BackendAddress::Unix("/nonexistent/socket".into())),
    ];
    on_shards(&paths, |address| {
        for (path, status) in [
            ("/silent", 504),
            ("/ends", 502),
            ("/nonsense", 502),
            ("/both", 502),
            ("/chunked", 502),
            ("/list", 502),
            ("/coded", 502),
            ("/over", 502),
            ("/closed", 502),
            ("/none", 502),
        ] {
            let mut http = Http::connect(address);
            let answer = http.get(path, "").expect(status);
            assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
            assert!(error_of(&answer).starts_with("the server behind "), "{}", answer.text());
            http.expect_end();
            let mut http = Http::connect(address);
            http.write(get(path, "").replacen("GET", "HEAD", 1));
            if path != "/list" {
                assert_eq!(http.head_only().status, status, "{path}");
            }
        }
        let broken = until_the_end(address, &get("/short", ""));
        assert!(broken.ends_with("\r\n\r\nabc"), "{broken:?}");
        assert_eq!(error_of(&Http::connect(address).post("/small", b"four").expect(413)), "the body is too large");
        let mut http = Http::connect(address);
        http.write(
            "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
        );
        assert_eq!(error_of(&http.response().expect(413)), "the body is too large");
        // What could be read in two ways is not passed on.
        for headers in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length : 1\r\n",
            "Transfer-Encoding: x, chunked\r\n",
        ] {
            let mut http = Http::connect(address);
            http.write(format!("POST /ends HTTP/1.1\r\nHost: x\r\n{headers}\r\nx"));
            assert!([400, 501].contains(&http.response().status), "{headers}");
        }
    });
}

#[test]
fn bodies_flow_at_the_pace_of_the_slower_side() {
    const OCTETS: usize = 20 << 20;
    // Reads nothing of the body until it is told, and answers with as much.
    let server = behind(|_, body, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {OCTETS}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        let piece = vec![u8::try_from(body.len() % 251).expect("small"); 1 << 16];
        for _ in 0..OCTETS >> 16 {
            if stream.write_all(&piece).is_err() {
                return;
            }
        }
    });
    on_shards(&[relay("/a", server.address, |_| {})], |address| {
        let mut http = Http::connect(address);
        let mut writer = http.0.try_clone().expect("a socket");
        let sends = thread::spawn(move || writer.write_all(&post("/a", &vec![7; OCTETS])).expect("room"));
        sends.join().expect("it is read");
        let (_, body) = server.asked();
        assert!(body.len() == OCTETS && body.iter().all(|octet| *octet == 7));
        // Others are served while nobody reads this.
        assert_eq!(Http::connect(address).get("/json", "").expect(200).text(), "1");
        let answer = http.response().expect(200);
        let expected = u8::try_from(OCTETS % 251).expect("small");
        assert!(answer.body.len() == OCTETS && answer.body.iter().all(|octet| *octet == expected));
        assert_eq!(http.get("/json", "").expect(200).text(), "1");
    });
}

#[test]
fn a_client_that_waits_to_go_on_may() {
    let server = saying(HELLO);
    on_shards(&[relay("/a", server.address, |_| {})], |address| {
        let mut http = Http::connect(address);
        http.write("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(response_head(&mut http.0), "HTTP/1.1 100 Continue");
        http.write("body");
        http.response().expect(200);
        let (head, body) = server.asked();
        assert!(body == b"body" && header(&head, "expect").is_none(), "{head}");
    });
}

#[test]
fn slow_clients_keep_nobody_busy() {
    let programs = Programs::new("slow", &[("take", "cat > /dev/null; echo A: b; echo; echo done")]);
    let path = programs.path(|config| {
        let Target::Script { running_max, .. } = &mut config.target else { panic!("a program") };
        *running_max = 1;
    });
    let change = |config: &mut RuntimeConfig| {
        config.listeners[0].paths.push(path);
        config.longpoll_body_timeout = Duration::from_millis(700);
        config.web_body_rate_min = 1000;
    };
    node::with_router(change, |address| {
        let mut slow: Vec<Http> = (0..3).map(|_| Http::connect(address)).collect();
        for http in &mut slow {
            http.write("POST /cgi/take HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx");
        }
        // Others have the program for themselves meanwhile.
        let mut other = Http::connect(address);
        other.write(post("/cgi/take", b"body"));
        assert_eq!(status(&response_head(&mut other.0)), 200);
        // One that always sends something is not waited for without end.
        let dripping = &mut slow[0];
        dripping.0.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket option");
        for _ in 0..400 {
            if dripping.0.peek(&mut [0]).is_ok() {
                break;
            }
            if dripping.0.write_all(b"x").is_err() {
                break;
            }
        }
        dripping.response().expect(408);
    });
}

#[test]
fn handshakes_are_passed_on() {
    node::with_router(
        |_| {},
        |inner| {
            let websocket = |path: &str, base: &str| {
                relay(path, inner, |config| {
                    at(config).path = base.into();
                    config.target = Target::WebSocket(at(config).clone());
                })
            };
            let paths = [websocket("/socket", "/ws"), relay("/app", inner, |_| {}), websocket("/lost", "/nothing")];
            on_shards(&paths, |address| {
                let wamp = "Sec-WebSocket-Protocol: wamp.2.json\r\n";
                for path in ["/socket", "/app/ws"] {
                    let mut stream = connect(address);
                    let hello = br#"[1, "realm1", {"roles": {"caller": {}}}]"#;
                    // The first frame does not wait for the handshake.
                    let request = [upgrade_request(path, wamp).as_bytes(), &client_frame(0x81, hello)].concat();
                    stream.write_all(&request).expect("room");
                    let head = response_head(&mut stream);
                    assert_eq!(status(&head), 101, "{head}");
                    assert_eq!(header(&head, "sec-websocket-protocol"), Some("wamp.2.json"));
                    let welcome: Json = serde_json::from_slice(&server_frame(&mut stream).1).expect("a message");
                    assert_eq!(welcome[0], 2);
                }
                let mut lost = Http::connect(address);
                lost.write(upgrade_request("/lost", wamp));
                lost.response().expect(404);
                let plain = Http::connect(address).get("/socket", "").expect(426);
                assert_eq!(plain.header("upgrade"), Some("websocket"));
                assert_eq!(error_of(&plain), "WebSocket is served here");
            });
        },
    );
}

#[test]
fn a_client_that_is_gone_is_waited_for_by_nobody() {
    let (tell, ended) = channel();
    let server = behind(move |head, _, stream| {
        if head.contains("/begun") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
        }
        // Until the other side closes.
        let _ = stream.read(&mut [0]);
        let _ = tell.send(());
    });
    let programs = Programs::new("gone", &[]);
    let pid = programs.0.join("pid");
    let program = format!("sleep 1000 & echo $! > {}; wait", pid.display());
    let programs = Programs::new("gone", &[("wait", &program)]);
    let ended = Mutex::new(ended);
    on_shards(&[relay("/a", server.address, |_| {}), programs.path(|_| {})], |address| {
        for path in ["/a/x", "/a/begun"] {
            let mut http = Http::connect(address);
            http.write(get(path, ""));
            server.asked();
            drop(http);
            ended.lock().expect("a lock").recv_timeout(PATIENCE).expect("the connection to the server ends");
        }
        let _ = fs::remove_file(&pid);
        let mut http = Http::connect(address);
        http.write(get("/cgi/wait", ""));
        wait_for(&pid);
        drop(http);
        dies(&pid);
    });
}

#[test]
fn there_is_a_limit_for_all_together() {
    let (go, wait) = channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let server = behind(move |_, _, stream| {
        let _ = wait.lock().expect("a lock").recv();
        let _ = stream.write_all(HELLO.as_bytes());
    });
    let change = |config: &mut RuntimeConfig| {
        config.listeners[0].paths.push(relay("/a", server.address, |_| {}));
        config.web_relays_max = 2;
    };
    node::with_router(change, |address| {
        let mut waiting: Vec<Http> = (0..2).map(|_| Http::connect(address)).collect();
        for http in &mut waiting {
            http.write(get("/a", ""));
            server.asked();
        }
        assert_eq!(
            error_of(&Http::connect(address).get("/a", "").expect(503)),
            "too many requests are being passed on"
        );
        for http in &mut waiting {
            go.send(()).expect("it waits");
            http.response().expect(200);
        }
        go.send(()).expect("it waits");
        // They count for a moment longer than it takes to read their responses.
        while Http::connect(address).get("/a", "").status != 200 {}
    });
}

/// A directory of programs that goes with the value.
struct Programs(PathBuf);

impl Programs {
    fn new(name: &str, files: &[(&str, &str)]) -> Programs {
        let folder = std::env::temp_dir().join(format!("corebar-relay-{}-{name}", std::process::id()));
        for (name, text) in files {
            let file = folder.join("bin").join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, text).expect("a file");
        }
        Programs(folder)
    }

    fn path(&self, change: impl FnOnce(&mut RelayConfig)) -> PathConfig {
        let (directory, processor) = (self.0.join("bin"), "sh".into());
        let target = Target::Script { directory, processor, running_max: 4 };
        let mut config = RelayConfig { target, timeout: PATIENCE, body_bytes_max: Some(30 << 20) };
        change(&mut config);
        PathConfig { path: "/cgi".into(), deep: true, service: Service::Relay(Box::new(config)) }
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn programs_answer() {
    let env = "echo 'Content-Type: text/x'; echo 'X-Own: 1'; echo; env | sort; pwd";
    let echo = "printf 'Status: 201 Created\\r\\nContent-Type: a/b\\r\\nContent-Length: 1\\r\\n\\r\\n'; cat";
    let programs = Programs::new(
        "answer",
        &[
            ("env", env),
            ("sub/echo", echo),
            ("to", "echo 'Location: /there'; echo"),
            (".hidden", env),
            ("much", "echo A: b; echo; head -c 200000 /dev/zero"),
            ("late", "cat >/dev/null; echo A: b; echo; sleep 0.05; echo late"),
        ],
    );
    fs::write(programs.0.join("secret"), env).expect("a file");
    std::os::unix::fs::symlink("../secret", programs.0.join("bin/out")).expect("a link");
    on_shards(&[programs.path(|_| {})], |address| {
        let mut http = Http::connect(address);
        let mut chunked = |request: String| {
            http.write(request);
            let head = response_head(&mut http.0);
            let body = read_chunks(&mut http.0);
            (head, body)
        };
        let (head, body) =
            chunked(get("/cgi/env/more/a%20b?x=%31&y", "X-Twice: 1\r\nX-Twice: 2\r\nX_Twice: 3\r\nProxy: evil\r\n"));
        assert_eq!((status(&head), header(&head, "x-own")), (200, Some("1")));
        let text = String::from_utf8(body).expect("text");
        for line in [
            "GATEWAY_INTERFACE=CGI/1.1",
            "REQUEST_METHOD=GET",
            "SCRIPT_NAME=/cgi/env",
            "PATH_INFO=/more/a b",
            "QUERY_STRING=x=%31&y",
            "REMOTE_ADDR=127.0.0.1",
            "SERVER_NAME=localhost",
            "SERVER_PROTOCOL=HTTP/1.1",
            "HTTP_X_TWICE=1, 2",
            &*format!("SERVER_PORT={}", address.port()),
        ] {
            assert!(text.lines().any(|told| told == line), "{line} in {text}");
        }
        assert!(!text.contains("evil") && !text.contains("CARGO"), "{text}");
        assert!(text.trim_end().ends_with("/bin"), "{text}");
        let body = vec![b'x'; 500_000];
        let (head, echoed) = chunked(String::from_utf8(post("/cgi/sub/echo", &body)).expect("text"));
        assert_eq!((status(&head), header(&head, "content-length")), (201, None));
        assert!(echoed == body);
        let much = until_the_end(address, &get("/cgi/much", "Connection: close\r\n"));
        let chunks = much.split("\r\n\r\n").nth(1).expect("a body").matches("\r\n").count() / 2;
        assert!((1..100).contains(&chunks), "{chunks} chunks");
        assert_eq!(chunked(String::from_utf8(post("/cgi/late", &body)).expect("text")).1, b"late\n");
        let (head, body) = chunked(get("/cgi/to", ""));
        assert_eq!((status(&head), header(&head, "location"), body), (302, Some("/there"), Vec::new()));
        assert_eq!(http.get("/json", "").expect(200).text(), "1");
        for path in
            ["/cgi", "/cgi/", "/cgi/sub", "/cgi/nothing", "/cgi/.hidden", "/cgi/out", "/cgi//env", "/cgi/sub//echo"]
        {
            let answer = Http::connect(address).get(path, "").expect(404);
            assert_eq!(error_of(&answer), "there is no such program");
        }
        let mut http = Http::connect(address);
        http.write("POST /cgi/env HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        http.response().expect(411);
        assert!(until_the_end(address, "GET /cgi/late HTTP/1.0\r\n\r\n").ends_with("\r\n\r\nlate\n"));
    });
}

/// A body in chunks.
fn read_chunks(stream: &mut TcpStream) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).expect("a chunk");
            line.push(octet[0]);
        }
        let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).expect("a size");
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).expect("a chunk");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

#[test]
fn programs_need_not_read_what_they_are_sent() {
    let programs = Programs::new("deaf", &[("deaf", "exec 0<&-; echo A: b; echo; echo some")]);
    on_shards(&[programs.path(|_| {})], |address| {
        let mut http = Http::connect(address);
        // More than waits for programs on its way, and not all of it.
        let body = String::from_utf8(vec![b'x'; 300_000]).expect("text");
        http.write(format!("POST /cgi/deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{body}"));
        let head = response_head(&mut http.0);
        assert_eq!((status(&head), header(&head, "connection")), (200, Some("close")));
        assert_eq!(read_chunks(&mut http.0), b"some\n");
    });
}

#[test]
fn programs_that_fail_are_told_of_and_killed() {
    let programs = Programs::new("fail", &[]);
    let pid = |name: &str| programs.0.join(name);
    let hangs = |name: &str| format!("sleep 1000 & echo $! > {}; cat > /dev/null; wait", pid(name).display());
    let (hang, lost) = (hangs("hang.pid"), hangs("lost.pid"));
    let busy = format!(
        "echo > {}; while [ ! -e {} ]; do sleep 0.01; done; echo A: b; echo",
        pid("busy").display(),
        pid("go").display()
    );
    let programs = Programs::new(
        "fail",
        &[
            ("none", "exit 3"),
            ("wrong", "echo hello; echo complaint >&2"),
            ("broken", "echo A: b; echo; echo some; exit 3"),
            ("killed", "echo A: b; echo; echo some; kill -9 $$"),
            ("hang", &hang),
            ("lost", &lost),
            ("busy", &busy),
        ],
    );
    let quick = programs.path(|config| config.timeout = Duration::from_millis(200));
    node::with_router(
        |config| config.listeners[0].paths.push(quick),
        |address| {
            let answer = Http::connect(address).get("/cgi/hang", "").expect(504);
            assert_eq!(error_of(&answer), "the program does not answer in time");
            dies(&pid("hang.pid"));
        },
    );
    let slow = programs.path(|config| {
        let Target::Script { running_max, .. } = &mut config.target else { panic!("a program") };
        *running_max = 1;
    });
    node::with_router(
        |config| {
            config.listeners[0].paths.push(slow);
            // Programs are to run before bodies are there.
            config.web_body_bytes_ahead = 0;
        },
        |address| {
            let failed = |path: &str| loop {
                let answer = Http::connect(address).get(path, "");
                // The last one may still be being cleared away.
                if answer.status != 503 {
                    return error_of(&answer.expect(500));
                }
            };
            for path in ["/cgi/none", "/cgi/wrong"] {
                assert_eq!(failed(path), "the program has put out something that is no response");
            }
            for path in ["/cgi/broken", "/cgi/killed"] {
                let broken = loop {
                    let answer = until_the_end(address, &get(path, ""));
                    if !answer.starts_with("HTTP/1.1 503") {
                        break answer;
                    }
                };
                assert!(broken.ends_with("\r\n\r\n5\r\nsome\n\r\n"), "{broken:?}");
            }
            // Its client goes away in the middle of the body.
            let mut http = Http::connect(address);
            http.write("POST /cgi/lost HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
            wait_for(&pid("lost.pid"));
            drop(http);
            dies(&pid("lost.pid"));
            failed("/cgi/none");
            let mut http = Http::connect(address);
            while !pid("busy").exists() {
                http = Http::connect(address);
                http.write(get("/cgi/busy", ""));
                // It waits, unless the last one is still there.
                http.0.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket option");
                while !pid("busy").exists() && http.0.peek(&mut [0]).is_err() {}
            }
            assert_eq!(
                error_of(&Http::connect(address).get("/cgi/none", "").expect(503)),
                "too many programs are running"
            );
            fs::write(pid("go"), "").expect("a file");
            http.0.set_read_timeout(Some(PATIENCE)).expect("a socket option");
            assert_eq!(status(&response_head(&mut http.0)), 200);
        },
    );
}

fn wait_for(file: &Path) {
    while fs::read_to_string(file).map_or(true, |text| !text.ends_with('\n')) {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the process whose number is in the file is no more.
fn dies(file: &Path) {
    wait_for(file);
    let number = fs::read_to_string(file).expect("a file");
    let process = Path::new("/proc").join(number.trim());
    let is_dead = || fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(") Z "));
    while !is_dead() {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_router_ends_when_what_it_passes_on_is_done() {
    let (go, wait) = channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let server = behind(move |_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        let _ = wait.lock().expect("a lock").recv();
        let _ = stream.write_all(b"world");
    });
    node::with_router(
        |_| {},
        |inner| {
            let mut left = None;
            let change = |config: &mut RuntimeConfig| {
                let paths = [relay("/a", server.address, |_| {}), relay("/b", inner, |_| {})];
                config.listeners[0].paths.extend(paths);
                // Whoever waited for them for ever would be noticed.
                config.shutdown_timeout = Duration::from_secs(600);
            };
            node::with_router(change, |address| {
                let mut stream = connect(address);
                let request = upgrade_request("/b/ws", "Sec-WebSocket-Protocol: wamp.2.json\r\n");
                stream.write_all(request.as_bytes()).expect("room");
                assert_eq!(status(&response_head(&mut stream)), 101);
                let mut http = Http::connect(address);
                http.write(get("/a", ""));
                assert_eq!(status(&response_head(&mut http.0)), 200);
                left = Some((stream, http));
                let go = go.clone();
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(100));
                    go.send(())
                });
            });
            let (mut stream, mut http) = left.expect("connections");
            let mut body = Vec::new();
            http.0.read_to_end(&mut body).expect("an end");
            assert_eq!(String::from_utf8_lossy(&body), "helloworld");
            assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "the connection has ended");
        },
    );
}
