//! Crossbar.io as the router.

use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_TIME_MAX: Duration = Duration::from_secs(90);

/// A node of Crossbar.io, killed when dropped, and again at the same ports when it is started again.
pub struct Crossbar {
    program: PathBuf,
    directory: PathBuf,
    child: Child,
    /// Where there are WebSockets, at `/ws` without a login and at `/ticket`, `/cra`, `/salted`, `/cryptosign`, `/scram`.
    pub web: SocketAddr,
    /// Where there are RawSockets.
    pub raw: SocketAddr,
}

impl Crossbar {
    /// Starts a node with the installation in this folder.
    pub fn start(installed: &Path) -> Crossbar {
        // Its ports have to be said. Nobody else takes them soon.
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let (web, raw) = (free(), free());
        let directory = std::env::temp_dir().join(format!("corebar-crossbar-{:x}", fastrand::u64(..)));
        std::fs::create_dir_all(&directory).expect("a directory");
        std::fs::write(directory.join("config.json"), config(web.port(), raw.port()).to_string()).expect("a file");
        let program = installed.join("bin/crossbar");
        let child = run(&program, &directory);
        let crossbar = Crossbar { program, directory, child, web, raw };
        crossbar.wait();
        crossbar
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        // Its workers are processes of their own, in its group.
        let group = format!("kill -KILL -{}", self.child.id());
        let _ = Command::new("sh").args(["-c", &group]).status();
        let _ = self.child.wait();
    }

    pub fn start_again(&mut self) {
        self.child = run(&self.program, &self.directory);
        self.wait();
    }

    /// Waits until it listens: at the second port last.
    fn wait(&self) {
        let start = Instant::now();
        while [self.raw, self.web].iter().any(|address| TcpStream::connect(address).is_err()) {
            let log = || std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(start.elapsed() < START_TIME_MAX, "Crossbar.io does not listen; it logged:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Crossbar {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn run(program: &Path, directory: &Path) -> Child {
    let log = std::fs::File::create(directory.join("log")).expect("a file");
    let errors = log.try_clone().expect("a file");
    let mut command = Command::new(program);
    command.args(["start", "--color", "false", "--loglevel", "warn", "--cbdir"]).arg(directory);
    command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
    command.spawn().expect("Crossbar.io can be started")
}

fn config(web: u16, raw: u16) -> Value {
    let serializers = json!(["cbor", "msgpack", "ubjson", "json"]);
    let endpoint = |port: u16| json!({"type": "tcp", "port": port, "interface": "127.0.0.1"});
    let websocket = |method: &str, entry: &str, user: Value| {
        let auth = json!({method: {"type": "static", entry: {"joe": user}}});
        json!({"type": "websocket", "serializers": serializers, "auth": auth})
    };
    let everything = json!({"call": true, "register": true, "publish": true, "subscribe": true});
    let disclose = json!({"caller": true, "publisher": true});
    let permission = json!({"uri": "", "match": "prefix", "allow": everything, "disclose": disclose, "cache": true});
    // Keys of the password `secret!`: by PBKDF2 with the salt `salt`, and as RFC 5802 makes them. The public key is that of
    // 32 octets of 7.
    let salted = json!({"secret": "IssDsv/TsqoDp9E238xqazAK2DOsvP/upbHoNwob8lU=", "role": "user", "salt": "salt",
        "iterations": 1000, "keylen": 32});
    let scram = json!({"kdf": "pbkdf2", "iterations": 4096, "memory": 0, "role": "user",
        "salt": "00112233445566778899aabbccddeeff",
        "stored-key": "497054010936ad7906bdb1cc7243ddfa20dd3c3931467cacda572217b879cefc",
        "server-key": "959c79d387069041e8d593fe97a8b6a42bda387d173fe26341cd58b214457232"});
    let key = json!({"realm": "realm1", "role": "user",
        "authorized_keys": ["ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"]});
    let anonymous = json!({"anonymous": {"type": "static", "role": "user"}});
    let paths = json!({
        "/": {"type": "json", "value": null},
        "ws": {"type": "websocket", "serializers": serializers, "auth": anonymous},
        "ticket": websocket("ticket", "principals", json!({"ticket": "secret!", "role": "user"})),
        "cra": websocket("wampcra", "users", json!({"secret": "secret!", "role": "user"})),
        "salted": websocket("wampcra", "users", salted),
        "cryptosign": websocket("cryptosign", "principals", key),
        "scram": websocket("scram", "principals", scram),
    });
    json!({"version": 2, "controller": {}, "workers": [{
        "type": "router",
        "realms": [{"name": "realm1", "roles": [{"name": "user", "permissions": [permission]}]}],
        "transports": [
            {"type": "web", "endpoint": endpoint(web), "paths": paths},
            {"type": "rawsocket", "endpoint": endpoint(raw), "serializers": serializers, "auth": anonymous},
        ],
    }]})
}
