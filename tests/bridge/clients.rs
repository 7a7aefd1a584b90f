//! Clients of the bridge that were not written here.

use super::support::client::payload;
use super::support::{Client, Wire, install};
use super::{bridge, on_shards};
use corebar::auth::config::Secret;
use corebar::config::bridge::{Action, BridgeConfig};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

fn program(address: SocketAddr) -> Option<Command> {
    static PYTHON: OnceLock<Option<std::path::PathBuf>> = OnceLock::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let python = PYTHON.get_or_init(|| install::python("crossbarhttp", &source.join("crossbarhttp.txt")));
    let mut command = Command::new(python.as_ref()?.join("bin/python"));
    command.arg("-W").arg("ignore").arg(source.join("bridge.py")).arg(format!("http://{address}"));
    Some(command)
}

#[test]
fn crossbarhttp_publishes_and_calls() {
    let paths = || {
        let key = |config: &mut BridgeConfig| config.signed = Some(("me".into(), Secret(b"secret".as_slice().into())));
        vec![bridge("/publish", Action::Publish, key), bridge("/call", Action::Call, key)]
    };
    on_shards(paths, |address| {
        let Some(mut program) = program(address) else { return };
        let mut client = Client::join(address, Wire::JSON);
        client.subscribe("com.x");
        let mut callee = Client::join(address, Wire::JSON);
        let add = callee.register("com.add");
        let mut program = program.spawn().expect("Python is there");
        // Each request has a connection of its own, and so is a publisher of its own: their order is not promised.
        let mut events: Vec<_> = (0..3).map(|_| client.event().payload).collect();
        events.sort_by_key(|event| event[0].list()[0].uint());
        for (number, event) in events.into_iter().enumerate() {
            assert_eq!(event, payload(json!([[number, "é"], {"key": [number]}])));
        }
        for answer in [json!([5]), json!([5.5])] {
            let (request, _) = callee.expect_invocation(add);
            callee.send(json!([70, request, {}, answer]));
        }
        let (request, arguments) = callee.expect_invocation(add);
        assert_eq!(arguments[0].list()[0].str(), "é");
        callee.send(json!([8, 68, request, {}, "com.wrong", ["no sum"]]));
        assert!(program.wait().expect("it ends").success());
    });
}
