//! Paths of the types `wsgi` and `resource`: applications in Python.

use super::component::is_dotted;
use super::schema::OWN;
use super::seconds::{SECONDS_MAX, SECONDS_MIN, seconds};
use super::{Fault, Read, Reader};
use crate::config::app::{AppConfig, AppProgram};
use crate::config::python::Interpreter;
use crate::config::relay::{Backend, BackendAddress, RelayConfig, Target};
use foldhash::quality::FixedState;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
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

/// A resource of `twisted.web`, in a process of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resource {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// The class: a module, a dot and a name in it. The module is looked for in the node directory first.
    #[schemars(extend("examples" = ["app.Page"]))]
    classname: Box<str>,
    /// What the class is called with. Without it, an empty object. A text in it that looks like a variable is that text.
    #[schemars(extend("examples" = [{"title": "Hello"}]))]
    extra: Option<Value>,
    /// How it is run.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = OWN))]
    options: AppOptions,
}

/// Options of applications.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AppOptions {
    /// The interpreter, relative to the node directory; a name alone is looked for where programs are. Without it, that of
    /// the worker, else `python3`.
    #[schemars(extend("examples" = ["python3"]))]
    python: Option<PathBuf>,
    /// Where modules are looked for behind the node directory and before the `pythonpath` of the worker, relative to it.
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

/// What is run for a path of a listener, and how requests get there.
type App = (AppConfig, RelayConfig);

impl Wsgi {
    /// Reads it for a path of the listener with an address.
    pub(super) fn read(self, reader: &Reader, place: (&str, &str), at: &str) -> Read<App> {
        let Wsgi { module, object, maxthreads, options, .. } = self;
        let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "._".contains(c));
        let names = [("module", &module), ("object", &object)];
        if let Some((key, name)) = names.into_iter().find(|(_, name)| !plain(name)) {
            return Err(Fault::new(&format!("{at}.{key}"), format!("is {name:?}, which is no name of Python")));
        }
        let threads = maxthreads.unwrap_or(AppConfig::THREADS);
        if !(1..=THREADS_MAX).contains(&threads) {
            return Err(Fault::new(&format!("{at}.maxthreads"), format!("is not a number from 1 to {THREADS_MAX}")));
        }
        // Its server knows where a body ends by its length only.
        read_app(reader, ("wsgi", AppProgram::Wsgi { module, object, threads }, true), options, place, at)
    }
}

impl Resource {
    /// Reads it for a path of the listener with an address.
    pub(super) fn read(self, reader: &Reader, place: (&str, &str), at: &str) -> Read<App> {
        let Resource { classname: class, extra, options, .. } = self;
        is_dotted(&class, &format!("{at}.classname"))?;
        let extra = extra.unwrap_or_else(|| Map::new().into());
        read_app(reader, ("resource", AppProgram::Resource { class, extra }, false), options, place, at)
    }
}

/// A program of a kind, with whether bodies have to come with their length.
fn read_app(
    reader: &Reader,
    (kind, program, lengths): (&str, AppProgram, bool),
    options: AppOptions,
    (listener, path): (&str, &str),
    at: &str,
) -> Read<App> {
    let timeout = seconds("timeout", options.timeout, RelayConfig::TIMEOUT, at)?;
    let Interpreter { program: python, pythonpath, directory, inherit, vars } = reader.interpreter.clone();
    let number = FixedState::default().hash_one((listener, path));
    let socket = directory.join(format!("{kind}-{number:016x}.sock"));
    if socket.as_os_str().len() > SOCKET_BYTES_MAX {
        return Err(Fault::new(at, "cannot be served: the path of the node directory is too long for a Unix socket"));
    }
    let own = options.pythonpath.into_iter().map(|path| directory.join(path));
    let app = AppConfig {
        id: format!("{kind}:{listener}{path}").into(),
        program,
        base: path.trim_end_matches('/').into(),
        socket: socket.clone(),
        interpreter: Interpreter {
            program: options.python.unwrap_or(python),
            pythonpath: own.chain(pythonpath).collect(),
            directory,
            inherit,
            vars,
        },
    };
    let backend = Backend {
        address: BackendAddress::Unix(socket),
        connect_timeout: RelayConfig::CONNECT_TIMEOUT,
        host: "localhost".into(),
        keep_host: true,
        path: app.base.clone(),
        lengths,
        forwarded_port: None,
        forwarded_proto: None,
    };
    Ok((app, RelayConfig { target: Target::Http(backend), timeout, body_bytes_max: options.body_limit }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::path::Path;
    use serde_json::json;

    fn app(directory: &str, path: &str, kind: &str, more: &Value) -> Result<App, String> {
        let pythonpath = vec!["/worker".into()];
        let interpreter =
            Interpreter { pythonpath, directory: directory.into(), program: "pypy".into(), ..Interpreter::default() };
        let reader = Reader { interpreter, ..Reader::default() };
        let mut value = match kind {
            "wsgi" => json!({"type": "wsgi", "module": "a.b", "object": "c"}),
            _ => json!({"type": "resource", "classname": "a.B"}),
        };
        value.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let place = ("127.0.0.1:80", path);
        let read = Path::read(value, "x").and_then(|known| match known {
            Path::Wsgi(app) => app.read(&reader, place, "x"),
            Path::Resource(app) => app.read(&reader, place, "x"),
            _ => panic!("an application"),
        });
        read.map_err(|fault| format!("{}: {}", fault.at, fault.message))
    }

    #[test]
    fn applications_have_sockets_of_their_own() {
        let (one, relay) = app("/node", "/app", "wsgi", &json!({"minthreads": 1})).expect("an application");
        let (two, _) = app("/node", "/", "wsgi", &json!({"maxthreads": 5})).expect("an application");
        assert!(one.socket != two.socket && one.socket.starts_with("/node"));
        assert_eq!((&*one.base, &*two.base), ("/app", ""));
        let threads = |app: &AppConfig| match app.program {
            AppProgram::Wsgi { threads, .. } => threads,
            AppProgram::Resource { .. } => panic!("WSGI"),
        };
        assert_eq!((threads(&one), threads(&two)), (20, 5));
        let Target::Http(backend) = relay.target else { panic!("HTTP") };
        assert_eq!((backend.address, backend.lengths), (BackendAddress::Unix(one.socket), true));
        let long = format!("/{}", "x".repeat(100));
        for (directory, more, said) in [
            ("/node", json!({"module": "a-b"}), "x.module: is \"a-b\""),
            ("/node", json!({"object": ""}), "x.object: is \"\""),
            ("/node", json!({"maxthreads": 0}), "x.maxthreads: is not"),
            (&*long, json!({}), "x: cannot be served"),
        ] {
            let text = app(directory, "/", "wsgi", &more).map(drop).expect_err("a mistake");
            assert!(text.starts_with(said), "{text}");
        }
    }

    #[test]
    fn resources_have_what_their_worker_has() {
        let (one, relay) = app("/node", "/a/b", "resource", &json!({})).expect("a resource");
        assert_eq!((&*one.id, &*one.base), ("resource:127.0.0.1:80/a/b", "/a/b"));
        assert_eq!(one.program, AppProgram::Resource { class: "a.B".into(), extra: json!({}) });
        assert_eq!(
            (&*one.interpreter.program, &*one.interpreter.pythonpath),
            ("pypy".as_ref(), &["/worker".into()][..])
        );
        let Target::Http(backend) = relay.target else { panic!("HTTP") };
        assert!(!backend.lengths && backend.keep_host);
        let more = json!({"extra": [1], "options": {"python": "python4", "pythonpath": ["own"], "timeout": 3}});
        let (two, relay) = app("/node", "/", "resource", &more).expect("a resource");
        assert_eq!(two.program, AppProgram::Resource { class: "a.B".into(), extra: json!([1]) });
        assert_eq!(two.interpreter.pythonpath, [PathBuf::from("/node/own"), "/worker".into()]);
        assert_eq!((&*two.interpreter.program, relay.timeout.as_secs()), ("python4".as_ref(), 3));
        let text = app("/node", "/", "resource", &json!({"classname": "B"})).map(drop).expect_err("a mistake");
        assert!(text.starts_with("x.classname: is \"B\", not a module"), "{text}");
    }
}
