//! Clients that were not written here, alone and with each other in one realm.
//!
//! `tests/clients` has one program for each library. Started with the names of its group, it subscribes, registers,
//! calls everybody's procedures for results and for errors, publishes to everybody with acknowledgement,
//! unregisters, unsubscribes and leaves, and checks everything it gets. The programs named `advanced` use what their
//! library has beyond that, between a few sessions of their own.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use support::{Router, install};

/// A client library, and the transport where it has more than one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Library {
    Autobahn,
    AutobahnRawSocket,
    AutobahnJs,
    AutobahnJsLongPoll,
    Wampy,
    /// The one of this project.
    Corebar,
}

impl Library {
    /// The serializers that it speaks.
    fn serializers(self) -> &'static [&'static str] {
        match self {
            Library::Autobahn | Library::AutobahnRawSocket => &["json", "msgpack", "cbor", "ubjson"],
            Library::AutobahnJsLongPoll | Library::Corebar => &["json"],
            Library::AutobahnJs | Library::Wampy => &["json", "msgpack", "cbor"],
        }
    }
}

/// Where the libraries are installed.
struct Clients {
    python: PathBuf,
    /// A release of autobahn that has UBJSON; newer ones write BJData under this name.
    python_ubjson: PathBuf,
    node: PathBuf,
}

impl Clients {
    fn installed() -> Option<Clients> {
        let source = source();
        let python = install::python("python", &source.join("python.txt"));
        let python_ubjson = install::python("python-ubjson", &source.join("python-ubjson.txt"));
        let node = install::node("js", &source.join("js"));
        Some(Clients { python: python?, python_ubjson: python_ubjson?, node: node? })
    }

    /// Starts a client. `peers` are its own name and those of its group; without them it is the advanced program.
    fn start(&self, router: &Router, (library, serializer): (Library, &str), prefix: &str, peers: &[&str]) -> Child {
        let advanced = peers.is_empty();
        let url = match library {
            Library::AutobahnRawSocket => format!("rs://{}", router.address()),
            Library::AutobahnJsLongPoll => format!("http://{}/lp", router.address()),
            _ => router.url(),
        };
        let mut command = match library {
            Library::Autobahn | Library::AutobahnRawSocket => {
                let python = if serializer == "ubjson" { &self.python_ubjson } else { &self.python };
                let mut command = Command::new(python.join("bin/python"));
                command.arg(source().join(if advanced { "advanced.py" } else { "peer.py" }));
                command
            }
            Library::AutobahnJs | Library::AutobahnJsLongPoll | Library::Wampy | Library::Corebar => {
                let script = match library {
                    Library::Corebar if advanced => "corebar-advanced.mjs",
                    Library::Corebar => "corebar.mjs",
                    Library::Wampy if advanced => "wampy-advanced.js",
                    Library::Wampy => "wampy.js",
                    _ => "autobahn.js",
                };
                let mut command = Command::new("node");
                command.arg(source().join("js").join(script)).env("NODE_PATH", self.node.join("node_modules"));
                command
            }
        };
        command.args([&url, serializer, prefix]).args(peers);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the client can be started")
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Runs a group until all its members have left.
fn run(clients: &Clients, router: &Router, prefix: &str, members: &[(Library, &str)]) {
    let names: Vec<String> = (0..members.len()).map(|index| format!("peer{index}")).collect();
    let started = (members.iter().zip(&names)).map(|(member, name)| {
        let peers: Vec<&str> = [name].into_iter().chain(&names).map(String::as_str).collect();
        (name.clone(), clients.start(router, *member, prefix, &peers))
    });
    finish(router, prefix, started.collect());
}

/// Waits for clients and checks that all are content.
fn finish(router: &Router, prefix: &str, started: Vec<(String, Child)>) {
    // All are waited for before any is judged, so that none is left behind.
    let outputs: Vec<_> =
        started.into_iter().map(|(name, child)| (name, child.wait_with_output().expect("our child"))).collect();
    for (name, output) in outputs {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && text.trim_end().ends_with("OK"), "{prefix} {name}:\n{text}\n{errors}");
    }
    assert_eq!(router.try_wait(), None, "the router runs");
}

/// Runs the advanced program of a library, with all serializers at the same time.
fn advanced(library: Library) {
    let Some(clients) = Clients::installed() else { return };
    for shards in [1, 4] {
        let router = Router::shared(shards);
        let prefix = format!("com.test.advanced.{library:?}");
        let started = library.serializers().iter().map(|serializer| {
            let prefix = format!("{prefix}.{serializer}");
            ((*serializer).to_owned(), clients.start(&router, (library, serializer), &prefix, &[]))
        });
        finish(&router, &prefix, started.collect());
    }
}

fn alone(library: Library) {
    let Some(clients) = Clients::installed() else { return };
    for shards in [1, 4] {
        let router = Router::shared(shards);
        for serializer in library.serializers() {
            // The router is shared with the other tests, which run at the same time.
            run(&clients, &router, &format!("com.test.{library:?}.{serializer}"), &[(library, serializer)]);
        }
    }
}

#[test]
fn autobahn_python_on_websocket() {
    alone(Library::Autobahn);
}

#[test]
fn autobahn_python_on_rawsocket() {
    alone(Library::AutobahnRawSocket);
}

#[test]
fn autobahn_js() {
    alone(Library::AutobahnJs);
}

#[test]
fn autobahn_js_on_long_poll() {
    alone(Library::AutobahnJsLongPoll);
}

#[test]
fn wampy() {
    alone(Library::Wampy);
}

#[test]
fn autobahn_python_advanced_on_websocket() {
    advanced(Library::Autobahn);
}

#[test]
fn autobahn_python_advanced_on_rawsocket() {
    advanced(Library::AutobahnRawSocket);
}

#[test]
fn corebar_js() {
    alone(Library::Corebar);
}

#[test]
fn corebar_js_advanced() {
    advanced(Library::Corebar);
}

#[test]
fn wampy_advanced() {
    advanced(Library::Wampy);
}

/// The client of this project is what its types say, and they are of use.
#[test]
fn types_of_corebar_js() {
    let source = source().join("typescript");
    let Some(typescript) = install::node("typescript", &source) else { return };
    let mut command = Command::new("node");
    command.arg(typescript.join("node_modules/typescript/bin/tsc")).arg("-p").arg(&source);
    let output = command.output().expect("the program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The programs of `examples/js`.
#[test]
fn examples_for_javascript() {
    let Some(node) = install::node("js", &source().join("js")) else { return };
    let router = Router::shared(1);
    for (file, progress) in [("hello-corebar.mjs", true), ("hello-autobahn.cjs", false), ("hello-wampy.cjs", true)] {
        let mut command = Command::new("node");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/js").join(file)).arg(router.url());
        let output = command.env("NODE_PATH", node.join("node_modules")).output().expect("the program can be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let wanted: Vec<&str> = ["event: Hello!", "23 + 7 = 30"]
            .into_iter()
            .chain(["on the way: 3", "on the way: 2", "on the way: 1", "at last: lift-off"].into_iter().filter(|_| progress))
            .collect();
        // What the library itself has to tell stands between.
        let said: Vec<&str> = text.lines().filter(|line| wanted.contains(line)).collect();
        assert!(output.status.success() && said == wanted, "{file}:\n{text}\n{errors}");
    }
}

/// Every library with every serializer in one realm.
fn mixed(shards: u16) {
    let Some(clients) = Clients::installed() else { return };
    let router = Router::shared(shards);
    let libraries = [
        Library::Autobahn,
        Library::AutobahnRawSocket,
        Library::AutobahnJs,
        Library::AutobahnJsLongPoll,
        Library::Wampy,
        Library::Corebar,
    ];
    let each = |library: Library| library.serializers().iter().map(move |serializer| (library, *serializer));
    let members: Vec<(Library, &str)> = libraries.into_iter().flat_map(each).collect();
    run(&clients, &router, "com.test.mixed", &members);
}

#[test]
fn mixed_shards_1() {
    mixed(1);
}

#[test]
fn mixed_shards_4() {
    mixed(4);
}
