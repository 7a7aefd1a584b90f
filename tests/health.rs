//! What load balancers and service managers ask and are told.

#[cfg(feature = "traces")]
#[path = "health/collector.rs"]
mod collector;
mod support;
#[cfg(feature = "traces")]
#[path = "health/traces.rs"]
mod traces;
#[cfg(feature = "traces")]
#[path = "health/trouble.rs"]
mod trouble;

use corebar::config::ListenAddress;
use corebar::config::web::PathConfig;
use serde_json::json;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::directory::Directory;
use support::http::Http;
use support::raw::read_to_end;
use support::{Client, Router, Wire, install, node, router};

const PATIENCE: Duration = Duration::from_secs(20);

/// The status and the body of the response to a request.
fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the router listens");
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("room");
    let text = String::from_utf8(read_to_end(&mut stream, PATIENCE)).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a response");
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.to_string())
}

#[test]
fn a_router_says_how_it_is() {
    node::with_router(
        |config| {
            config.shards = Some(4);
            let taken = PathConfig::websocket("/ready", false, 0);
            config.listeners[0].paths.push(taken);
        },
        |address| {
            for _ in 0..8 {
                assert_eq!(ask(address, "GET", "/health?x=1"), (200, "healthy\n".into()));
            }
            assert_eq!(ask(address, "HEAD", "/health"), (200, String::new()));
            assert_eq!(ask(address, "POST", "/health").0, 405);
            assert_eq!(ask(address, "GET", "/health/more").0, 404);
            assert!(ask(address, "GET", "/ready").1.contains("<html"), "WebSocket is served there");
        },
    );
}

#[test]
fn it_can_say_so_elsewhere() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let config = node::config(|config| {
        config.health_path = None;
        config.health_listen = Some(ListenAddress::Tcp { host: "127.0.0.1".into(), port });
    });
    node::with_reloader(config, |address, reloader| {
        let probes = SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(ask(address, "GET", "/health").0, 404);
        assert_eq!(ask(address, "GET", "/ready").0, 200);
        assert_eq!(ask(probes, "GET", "/health").0, 404);
        assert_eq!(ask(probes, "GET", "/ready"), (200, "ready\n".into()));
        assert_eq!(ask(probes, "GET", "/").0, 404);
        assert_eq!(ask(probes, "POST", "/ready").0, 405);
        let mut nonsense = TcpStream::connect(probes).expect("the router listens");
        nonsense.write_all(b"\x16\x03\x01\r\n\r\n").expect("room");
        assert!(read_to_end(&mut nonsense, PATIENCE).starts_with(b"HTTP/1.1 400 "));
        reloader.reload(|config| config.health_path = Some("/well".into())).expect("a good configuration");
        assert_eq!(ask(probes, "GET", "/well"), (200, "healthy\n".into()));
        reloader.reload(|config| config.health_listen = None).expect("a good configuration");
        let begun = Instant::now();
        while TcpStream::connect(probes).is_ok() {
            assert!(begun.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(ask(address, "GET", "/well").0, 200);
    });
}

#[test]
fn the_service_manager_is_told() {
    let path = std::env::temp_dir().join(format!("corebar-notify-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    let mut heard = String::new();
    let mut expect = |wanted: &str| {
        let begun = Instant::now();
        while !heard.contains(wanted) {
            assert!(begun.elapsed() < PATIENCE, "{wanted} was not said, but {heard}");
            let mut buffer = [0; 1024];
            let octets = manager.recv(&mut buffer).expect("the router says something");
            heard.push_str(&String::from_utf8_lossy(&buffer[..octets]));
            heard.push('\n');
        }
        heard.clear();
    };
    let directory = Directory::new(
        "health-notify",
        r#"{"version": 2, "corebar": {"drain": {"delay": 0.5}}, "workers": [{"type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": []}]}],
            "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"}}]}]}"#,
    );
    let mut command = directory.command("start", &["--no-pin"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    let router = Router::run(command);
    expect("READY=1");
    expect("WATCHDOG=1");
    expect("WATCHDOG=1");
    assert_eq!(ask(router.address(), "GET", "/ready").0, 200);
    router.signal("HUP");
    expect("RELOADING=1\nMONOTONIC_USEC=");
    expect("READY=1");
    router.signal("TERM");
    expect("STOPPING=1");
    // Whoever takes leave for long is well all the same.
    expect("WATCHDOG=1");
    assert_eq!(ask(router.address(), "GET", "/ready"), (503, "not ready\n".into()));
    assert_eq!(ask(router.address(), "GET", "/health").0, 200);
    assert!(router.wait(PATIENCE).success());
    let _ = std::fs::remove_file(path);
}

#[test]
fn sockets_are_taken_over() {
    // A shell stands in for the service manager: the third descriptor is the socket that listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let program = router::command(&["--listen", &address.to_string()]).get_program().to_owned();
    let mut command = Command::new("sh");
    let script = format!("exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" --listen {address} --no-pin");
    command.args(["-c", &script]).arg(program);
    let socket = std::os::fd::OwnedFd::from(listener.try_clone().expect("a socket"));
    command.stdin(socket).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    // Whoever comes before the router does waits.
    let early = TcpStream::connect(address).expect("the socket listens");
    let router = Router::run(command);
    assert_eq!(router.address(), address);
    drop(listener);
    drop(early);
    Client::join(address, Wire::all().next().expect("a wire")).leave();
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
}

#[test]
fn metrics_are_told_to_those_who_may_know_them() {
    node::with_reloader(node::config(|config| config.shards = Some(2)), |address, reloader| {
        let (status, text) = ask(address, "GET", "/metrics");
        assert_eq!(status, 200);
        for line in [
            "corebar_ready 1\n",
            "corebar_sessions{shard=\"1\"} 0\n",
            "corebar_turn_seconds_bucket{shard=\"0\",le=\"+Inf\"}",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert_eq!(ask(address, "HEAD", "/metrics"), (200, String::new()));
        assert_eq!(ask(address, "POST", "/metrics").0, 405);
        let mut stranger = TcpStream::connect(address).expect("the router listens");
        let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n";
        stranger.write_all(request.as_bytes()).expect("room");
        assert!(read_to_end(&mut stranger, PATIENCE).starts_with(b"HTTP/1.1 404 "), "a proxy that nobody trusts");
        // The connection goes on, and nothing else is said of it.
        let mut stranger = Http::connect(address);
        for _ in 0..2 {
            let refused = stranger.get("/metrics", "X-Forwarded-For: 192.0.2.1\r\n").expect(404);
            assert_eq!((refused.header("connection"), &*refused.text()), (None, "nothing is served here\n"));
        }
        // Who has said all still gets the answer.
        for _ in 0..4 {
            let mut half = Http::connect(address);
            half.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
            half.0.shutdown(std::net::Shutdown::Write).expect("a socket");
            assert!(half.response().expect(200).text().contains("corebar_ready 1\n"));
            half.expect_end();
        }
        let allow = |who: &str| Some(who.to_owned());
        reloader.reload(|config| config.metrics_allow = allow("192.0.2.0/24")).expect("a good configuration");
        assert_eq!(ask(address, "GET", "/metrics").0, 404);
        reloader
            .reload(|config| config.metrics_allow = allow("192.0.2.0/24, 127.0.0.1"))
            .expect("a good configuration");
        assert_eq!(ask(address, "GET", "/metrics").0, 200);
        reloader.reload(|config| config.metrics_path = Some("/numbers".into())).expect("a good configuration");
        assert_eq!((ask(address, "GET", "/metrics").0, ask(address, "GET", "/numbers").0), (404, 200));
    });
}

/// What Prometheus says to a query.
fn evaluated(server: SocketAddr, query: &str) -> serde_json::Value {
    let query: String = query.bytes().map(|octet| format!("%{octet:02x}")).collect();
    let (_, answer) = ask(server, "GET", &format!("/api/v1/query?query={query}"));
    let value =
        answer.find('{').and_then(|at| serde_json::Deserializer::from_str(&answer[at..]).into_iter().next()?.ok());
    value.unwrap_or_default()
}

/// The queries of the page for Grafana, with its variables filled in.
fn shown() -> Vec<String> {
    let page: serde_json::Value = serde_json::from_str(include_str!("../docs/grafana/corebar.json")).expect("JSON");
    let panels = page["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let fill = |text: &str| text.replace("$__rate_interval", "20s").replace("$job", ".*").replace("$instance", ".*");
    let queries: Vec<String> = targets.map(|target| fill(target["expr"].as_str().expect("a query"))).collect();
    assert!(queries.len() > 30, "{}", queries.len());
    queries
}

/// True if there is something to show for a query; of what does not happen here, if its metrics are known.
fn is_evaluated(server: SocketAddr, query: &str, metrics: &str, begun: Instant) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = query.split(|c| !word(c)).filter(|name| name.starts_with("corebar_"));
    let known = |name: &str| {
        let base = name.trim_end_matches("_bucket").trim_end_matches("_sum");
        metrics.contains(&format!("# TYPE {base} "))
    };
    if !names.clone().all(known) {
        return false;
    }
    let rare = ["corebar_errors_total", "corebar_process", "corebar_hop_seconds"];
    loop {
        let answer = evaluated(server, query);
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let some = answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty());
        if some || rare.iter().any(|rare| query.contains(rare)) {
            return true;
        }
        if begun.elapsed() > Duration::from_secs(90) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Prometheus itself, and what it has to say about the metrics.
#[test]
fn prometheus_reads_the_metrics() {
    let Some(folder) = install::debian("prometheus") else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    node::with_router(
        |config| config.shards = Some(2),
        |address| {
            let mut clients: Vec<Client> = Wire::all().map(|wire| Client::join(address, wire)).collect();
            for client in &mut clients {
                client.send(json!([32, 1, {}, "com.example.topic"]));
                client.expect(33);
            }
            let (_, text) = ask(address, "GET", "/metrics");
            let mut checker = install::unpacked(&folder, "usr/bin/promtool");
            checker.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut checker = checker.spawn().expect("promtool runs");
            checker.stdin.take().expect("it reads").write_all(text.as_bytes()).expect("it reads all");
            let said = checker.wait_with_output().expect("it ends");
            let complaints = [said.stdout, said.stderr].concat();
            assert!(said.status.success() && complaints.is_empty(), "{}", String::from_utf8_lossy(&complaints));

            let place = std::env::temp_dir().join(format!("corebar-prometheus-{}", std::process::id()));
            std::fs::create_dir_all(&place).expect("a directory");
            let config = format!(
                "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
                 scrape_configs: [{{job_name: corebar, static_configs: [{{targets: ['{address}']}}]}}]\n"
            );
            std::fs::write(place.join("prometheus.yml"), config).expect("a file");
            let mut prometheus = install::unpacked(&folder, "usr/bin/prometheus");
            let listen = format!("--web.listen-address=127.0.0.1:{port}");
            prometheus.args([&*listen, "--config.file=prometheus.yml", "--storage.tsdb.path=data"]).current_dir(&place);
            let mut prometheus =
                prometheus.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("prometheus runs");
            let server = SocketAddr::from(([127, 0, 0, 1], port));
            let begun = Instant::now();
            let wanted = ["sum(corebar_sessions)", "sum(corebar_messages_total{direction=\"in\"})"];
            let count = clients.len();
            let mut found = vec![String::new(); wanted.len()];
            while found.iter().any(String::is_empty) && begun.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(100));
                for (query, found) in wanted.iter().zip(&mut found) {
                    if TcpStream::connect(server).is_ok() {
                        let answer = evaluated(server, query);
                        *found = answer["data"]["result"][0]["value"][1].as_str().unwrap_or_default().to_owned();
                    }
                }
            }
            let empty: Vec<String> =
                shown().into_iter().filter(|query| !is_evaluated(server, query, &text, begun)).collect();
            let _ = prometheus.kill();
            let _ = prometheus.wait();
            let _ = std::fs::remove_dir_all(&place);
            // HELLO and SUBSCRIBE of each; requests of long-polling are messages, too.
            assert_eq!(found, [count.to_string(), (2 * count).to_string()]);
            assert_eq!(empty, Vec::<String>::new(), "nothing would be shown");
        },
    );
}
