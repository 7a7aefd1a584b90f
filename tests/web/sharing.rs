//! Workers that share a port.

use super::support::directory::Directory;
use super::support::http::Http;
use super::support::raw::{response_head, status, upgrade_request};
use serde_json::{Value, json};
use std::fs;
use std::net::{SocketAddr, TcpListener};

#[test]
fn workers_that_share_a_port_serve_what_all_of_them_have() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let worker = |paths: Value| {
        let endpoint = json!({"type": "tcp", "port": free.port(), "interface": "127.0.0.1", "shared": true});
        json!({"type": "router", "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}]}],
            "transports": [{"type": "web", "endpoint": endpoint, "paths": paths}]})
    };
    let files = json!({"type": "static", "directory": "web"});
    let first = json!({"/": files, "value": {"type": "json", "value": 1}});
    let second = json!({"/": files, "value": {"type": "json", "value": 2}, "ws": {"type": "websocket"}});
    let config =
        json!({"version": 2, "corebar": {"shards": 2, "pin": false}, "workers": [worker(first), worker(second)]});
    let directory = Directory::new("web-sharing", &config.to_string());
    fs::create_dir_all(directory.path("web")).expect("a writable directory");
    fs::write(directory.path("web/index.html"), "files").expect("a writable directory");
    let output = directory.output("check", &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let wanted = "workers[1].transports[0].paths.value: is not served: workers[0].transports[0].paths.value";
    assert_eq!(said.matches("is not served").count(), 1, "{said}");
    assert!(said.contains(wanted), "{said}");
    let _router = directory.start();
    let address = SocketAddr::from(([127, 0, 0, 1], free.port()));
    assert_eq!(Http::connect(address).get("/", "").expect(200).text(), "files");
    assert_eq!(Http::connect(address).get("/value", "").expect(200).text(), "1");
    let mut http = Http::connect(address);
    http.write(upgrade_request("/ws", "Sec-WebSocket-Protocol: wamp.2.json\r\n"));
    assert_eq!(status(&response_head(&mut http.0)), 101);
}
