//! Paths of the type `wsgi`.

use super::schema::OWN;
use super::seconds::{SECONDS_MAX, SECONDS_MIN, seconds};
use super::{Fault, Read, Reader};
use crate::config::app::AppConfig;
use crate::config::relay::{Backend, BackendAddress, RelayConfig, Target};
use foldhash::quality::FixedState;
use schemars::JsonSchema;
use serde::Deserialize;
use std::hash::BuildHasher;
use std::path::PathBuf;

/// The most requests that an application can be asked to answer at the same time.
const THREADS_MAX: usize = 1000;

/// Octets of the path of a Unix socket.
const SOCKET_BYTES_MAX: usize = 100;

/// An application of WSGI (PEP 3333), in a process of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wsgi {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// The module that it is in, looked for in the node directory first.
    #[schemars(extend("examples" = ["app.web"]))]
    module: Box<str>,
    /// Its name there.
    #[schemars(extend("examples" = ["application"]))]
    object: Box<str>,
    /// Threads that are kept. Has no effect: they are there when they are needed.
    #[allow(dead_code, reason = "threads are there when they are needed")]
    #[schemars(extend("deprecated" = true))]
    minthreads: Option<usize>,
    /// Requests that it answers at the same time.
    #[schemars(range(min = 1, max = THREADS_MAX), extend("default" = AppConfig::THREADS))]
    maxthreads: Option<usize>,
    /// How it is run.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = OWN))]
    options: AppOptions,
}

/// Options of applications.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AppOptions {
    /// The interpreter, relative to the node directory; a name alone is looked for where programs are.
    #[schemars(extend("default" = "python3"))]
    python: Option<PathBuf>,
    /// Where modules are looked for behind the node directory, relative to it.
    #[schemars(extend("examples" = [["../src"]]))]
    pythonpath: Vec<PathBuf>,
    /// How long the application may be silent. Beyond: 504.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = RelayConfig::TIMEOUT.as_secs()))]
    timeout: Option<f64>,
    /// Octets of the body of a request. Beyond: 413. Without it, as many as come.
    #[schemars(extend("x-unit" = "octets"))]
    body_limit: Option<usize>,
}

/// Reads what is served at a path of the listener with this address.
pub(super) fn read_app(
    reader: &Reader,
    app: Wsgi,
    (listener, path): (&str, &str),
    at: &str,
) -> Read<(AppConfig, RelayConfig)> {
    let Wsgi { module, object, maxthreads, options, .. } = app;
    let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "._".contains(c));
    if let Some((key, name)) = [("module", &module), ("object", &object)].into_iter().find(|(_, name)| !plain(name)) {
        return Err(Fault::new(&format!("{at}.{key}"), format!("is {name:?}, which is no name of Python")));
    }
    let threads = maxthreads.unwrap_or(AppConfig::THREADS);
    if !(1..=THREADS_MAX).contains(&threads) {
        return Err(Fault::new(&format!("{at}.maxthreads"), format!("is not a number from 1 to {THREADS_MAX}")));
    }
    let timeout = seconds("timeout", options.timeout, RelayConfig::TIMEOUT, at)?;
    let directory = std::path::absolute(&reader.directory)
        .map_err(|error| Fault::new(at, format!("the node directory has no place: {error}")))?;
    let number = FixedState::default().hash_one((listener, path));
    let socket = directory.join(format!("wsgi-{number:016x}.sock"));
    if socket.as_os_str().len() > SOCKET_BYTES_MAX {
        return Err(Fault::new(at, "cannot be served: the path of the node directory is too long for a Unix socket"));
    }
    let app = AppConfig {
        id: format!("wsgi:{listener}{path}").into(),
        module,
        object,
        threads,
        base: path.trim_end_matches('/').into(),
        socket: socket.clone(),
        python: options.python.unwrap_or_else(|| "python3".into()),
        pythonpath: options.pythonpath.into_iter().map(|path| directory.join(path)).collect(),
        directory,
    };
    let backend = Backend {
        address: BackendAddress::Unix(socket),
        connect_timeout: RelayConfig::CONNECT_TIMEOUT,
        host: "localhost".into(),
        keep_host: true,
        path: app.base.clone(),
        lengths: true,
        forwarded_port: None,
        forwarded_proto: None,
    };
    Ok((app, RelayConfig { target: Target::Http(backend), timeout, body_bytes_max: options.body_limit }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::path::Path;
    use serde_json::{Value, json};

    #[test]
    fn applications_have_sockets_of_their_own() {
        let app = |directory: &str, path: &str, more: Value| {
            let reader = Reader { directory: directory.into(), ..Reader::default() };
            let mut value = json!({"type": "wsgi", "module": "a.b", "object": "c"});
            value.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            let Path::Wsgi(app) = Path::read(value, "x").expect("a path") else { panic!("an application") };
            read_app(&reader, app, ("127.0.0.1:80", path), "x")
                .map_err(|fault| format!("{}: {}", fault.at, fault.message))
        };
        let (one, relay) = app("/node", "/app", json!({"minthreads": 1})).expect("an application");
        let (two, _) = app("/node", "/", json!({"maxthreads": 5})).expect("an application");
        assert!(one.socket != two.socket && one.socket.starts_with("/node") && *one.directory == *"/node");
        assert_eq!((&*one.base, one.threads, &*two.base, two.threads), ("/app", 20, "", 5));
        let Target::Http(backend) = relay.target else { panic!("HTTP") };
        assert_eq!(backend.address, BackendAddress::Unix(one.socket));
        let long = format!("/{}", "x".repeat(100));
        for (directory, more, said) in [
            ("/node", json!({"module": "a-b"}), "x.module: is \"a-b\""),
            ("/node", json!({"object": ""}), "x.object: is \"\""),
            ("/node", json!({"maxthreads": 0}), "x.maxthreads: is not"),
            (&*long, json!({}), "x: cannot be served"),
        ] {
            let text = app(directory, "/", more).map(drop).expect_err("a mistake");
            assert!(text.starts_with(said), "{text}");
        }
    }
}
