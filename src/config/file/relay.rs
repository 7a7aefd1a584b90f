//! Paths of the types `reverseproxy`, `websocket-reverseproxy` and `cgi`.

use super::connecting::{Connecting, read_connecting};
use super::schema::OWN;
use super::seconds::{SECONDS_MAX, SECONDS_MIN, seconds};
use super::{Fault, Read, Reader};
use crate::config::relay::{Backend, BackendAddress, RelayConfig, Target};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Duration;

const RUNNING_MAX: usize = 1024;

/// A server of HTTP behind the router. It may take connections over for WebSocket.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpServer {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// The address or name of the server.
    #[schemars(regex(pattern = "^[-0-9A-Za-z._:\\[\\]]+$"), extend("examples" = ["127.0.0.1"]))]
    host: Box<str>,
    /// Its port.
    #[schemars(range(min = 1), extend("default" = 80))]
    port: Option<u16>,
    /// What is put in front of the path behind that of the service. Without it, nothing.
    #[schemars(extend("examples" = ["/app"]))]
    path: Option<Box<str>>,
    /// The port that the server is told in `X-Forwarded-Port`. Without it, that by which the client has come.
    #[schemars(range(min = 1))]
    forwarded_port: Option<u16>,
    /// The protocol that the server is told in `X-Forwarded-Proto`. Without it, that by which the client has come.
    #[schemars(extend("enum" = PROTOCOLS))]
    forwarded_proto: Option<Box<str>>,
    /// How requests are passed on.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = OWN))]
    options: HttpServerOptions,
}

/// Options of servers behind the router.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HttpServerOptions {
    /// How long the other side may be silent. Beyond: 504.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = RelayConfig::TIMEOUT.as_secs()))]
    timeout: Option<f64>,
    /// How long a connection to the server may take.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = RelayConfig::CONNECT_TIMEOUT.as_secs()))]
    connect_timeout: Option<f64>,
    /// Octets of the body of a request. Beyond: 413. Without it, as many as come.
    #[schemars(extend("x-unit" = "octets"))]
    body_limit: Option<usize>,
    /// Pass the `Host` of the client on, in place of that of the server.
    keep_host: bool,
}

/// A server of WebSocket behind the router.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebSocketServer {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// By which URL clients come; they may come by any.
    #[allow(dead_code, reason = "clients may come by any")]
    url: Option<String>,
    /// Options of WebSocket. Has no effect: what comes is passed on as it is.
    #[schemars(extend("deprecated" = true))]
    options: Option<Map<String, Value>>,
    /// The server, as a transport of the type `websocket` without TLS.
    #[schemars(with = "Connecting")]
    backend: Value,
}

/// Programs that are started for each request (CGI, RFC 3875).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// Where the scripts are, relative to the node directory.
    #[schemars(extend("examples" = ["../scripts"]))]
    directory: PathBuf,
    /// The program that is given them, relative to the node directory; a name alone is looked for where programs are.
    #[schemars(extend("examples" = ["python3"]))]
    processor: PathBuf,
    /// How the programs are run.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = OWN))]
    options: ScriptOptions,
}

/// Options of programs.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ScriptOptions {
    /// How long the other side may be silent. Beyond: 504.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = RelayConfig::TIMEOUT.as_secs()))]
    timeout: Option<f64>,
    /// Octets of the body of a request. Beyond: 413. Without it, as many as come.
    #[schemars(extend("x-unit" = "octets"))]
    body_limit: Option<usize>,
    /// Programs that may run at the same time.
    #[schemars(range(min = 1, max = RUNNING_MAX), extend("default" = RelayConfig::RUNNING_MAX))]
    running_max: Option<usize>,
}

/// What a server can be told of the client's protocol.
const PROTOCOLS: [&str; 2] = ["http", "https"];

/// The path of a server: with a slash at its beginning and none at its end, or nothing at all.
fn base(path: &str, at: &str) -> Read<Box<str>> {
    let path = path.trim_end_matches('/');
    let plain = path.bytes().all(|octet| octet.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&octet));
    if !plain {
        return Err(Fault::new(at, format!("is {path:?}, which is no path")));
    }
    Ok(if path.is_empty() || path.starts_with('/') { path.into() } else { format!("/{path}").into() })
}

/// Reads a server of HTTP.
pub(super) fn read_http(server: HttpServer, at: &str) -> Read<RelayConfig> {
    let HttpServer { host, port, path, forwarded_port, forwarded_proto, options, .. } = server;
    let is_host =
        !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_:[]".contains(&octet));
    if !is_host {
        return Err(Fault::new(&format!("{at}.host"), format!("is {host:?}, which is no name of a host")));
    }
    if let Some((name, _)) =
        [("port", port), ("forwarded_port", forwarded_port)].iter().find(|(_, port)| *port == Some(0))
    {
        return Err(Fault::new(&format!("{at}.{name}"), "is 0, not a number from 1 to 65535"));
    }
    if forwarded_proto.as_deref().is_some_and(|proto| !PROTOCOLS.contains(&proto)) {
        return Err(Fault::new(&format!("{at}.forwarded_proto"), "is neither http nor https"));
    }
    let config = RelayConfig::http(&host, port.unwrap_or(80));
    let Target::Http(backend) = config.target else { return Err(Fault::new(at, "is not read")) };
    let backend = Backend {
        connect_timeout: seconds("connect_timeout", options.connect_timeout, RelayConfig::CONNECT_TIMEOUT, at)?,
        keep_host: options.keep_host,
        path: base(path.as_deref().unwrap_or_default(), &format!("{at}.path"))?,
        forwarded_port,
        forwarded_proto,
        ..backend
    };
    Ok(RelayConfig {
        target: Target::Http(backend),
        timeout: seconds("timeout", options.timeout, RelayConfig::TIMEOUT, at)?,
        body_bytes_max: options.body_limit,
    })
}

/// Reads a server of WebSocket.
pub(super) fn read_websocket(reader: &mut Reader, server: WebSocketServer, at: &str) -> Read<RelayConfig> {
    let WebSocketServer { options, backend, .. } = server;
    if options.is_some_and(|options| !options.is_empty()) {
        reader.warn(&format!("{at}.options"), "have no effect: what comes is passed on as it is");
    }
    let at = &format!("{at}.backend");
    let backend = read_connecting(reader, backend, at)?;
    if backend["type"] != "websocket" {
        return Err(Fault::new(&format!("{at}.type"), "has to be websocket"));
    }
    let url = backend["url"].as_str().unwrap_or_default();
    let endpoint = &backend["endpoint"];
    if endpoint.get("tls").is_some() || url.starts_with("wss://") {
        return Err(Fault::new(
            at,
            "is reached over TLS, which is not supported between this server and those behind it",
        ));
    }
    let (host, path) = url["ws://".len()..].split_once('/').unwrap_or((&url["ws://".len()..], ""));
    let port = endpoint["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let address = match (endpoint["host"].as_str(), port, endpoint["path"].as_str()) {
        (Some(host), Some(port), _) => BackendAddress::Tcp(host.into(), port),
        (_, _, Some(path)) => BackendAddress::Unix(path.into()),
        _ => return Err(Fault::new(&format!("{at}.endpoint.type"), "has to be tcp or unix")),
    };
    let backend = Backend {
        address,
        connect_timeout: endpoint["timeout"].as_f64().map_or(RelayConfig::CONNECT_TIMEOUT, Duration::from_secs_f64),
        host: host.into(),
        keep_host: false,
        lengths: false,
        path: base(path, &format!("{at}.url"))?,
        forwarded_port: None,
        forwarded_proto: None,
    };
    Ok(RelayConfig { target: Target::WebSocket(backend), timeout: RelayConfig::TIMEOUT, body_bytes_max: None })
}

/// Reads a directory of programs.
pub(super) fn read_script(reader: &Reader, script: Script, at: &str) -> Read<RelayConfig> {
    let Script { directory, processor, options, .. } = script;
    let running_max = options.running_max.unwrap_or(RelayConfig::RUNNING_MAX);
    if !(1..=RUNNING_MAX).contains(&running_max) {
        let text = format!("is not a number from 1 to {RUNNING_MAX}");
        return Err(Fault::new(&format!("{at}.options.running_max"), text));
    }
    // A name alone is looked for where programs are.
    let named = processor.components().count() == 1;
    let processor = if named { processor } else { reader.directory.join(processor) };
    let directory = std::path::absolute(reader.directory.join(&directory)).unwrap_or(directory);
    Ok(RelayConfig {
        target: Target::Script { directory, processor, running_max },
        timeout: seconds("timeout", options.timeout, RelayConfig::TIMEOUT, at)?,
        body_bytes_max: options.body_limit,
    })
}

#[cfg(test)]
mod tests {
    use super::super::path::Path;
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<RelayConfig, String> {
        let mut reader = Reader::default();
        let read = Path::read(value, "x").and_then(|path| match path {
            Path::ReverseProxy(server) => read_http(server, "x"),
            Path::WebSocketReverseProxy(server) => read_websocket(&mut reader, server, "x"),
            Path::Cgi(script) => read_script(&reader, script, "x"),
            _ => panic!("another type"),
        });
        read.map_err(|fault| format!("{}: {}", fault.at, fault.message))
    }

    #[test]
    fn servers_are_read() {
        let config = read(json!({"type": "reverseproxy", "host": "a.example", "path": "b/"})).expect("a path");
        let Target::Http(backend) = &config.target else { panic!("HTTP") };
        assert_eq!(backend.address, BackendAddress::Tcp("a.example".into(), 80));
        assert_eq!((&*backend.host, &*backend.path), ("a.example", "/b"));
        let options = json!({"timeout": 1.5, "connect_timeout": 2, "keep_host": true, "body_limit": 5});
        let config = json!({"type": "reverseproxy", "host": "::1", "port": 81, "forwarded_port": 5, "forwarded_proto": "https",
            "options": options});
        let config = read(config).expect("a path");
        assert_eq!((config.timeout, config.body_bytes_max), (Duration::from_millis(1500), Some(5)));
        let endpoint = json!({"type": "tcp", "host": "127.0.0.1", "port": 9000, "timeout": 3});
        let backend = json!({"type": "websocket", "url": "ws://b.example:9000/ws", "endpoint": endpoint});
        let config = read(json!({"type": "websocket-reverseproxy", "backend": backend})).expect("a path");
        let Target::WebSocket(backend) = &config.target else { panic!("WebSocket") };
        assert_eq!((&*backend.host, &*backend.path), ("b.example:9000", "/ws"));
        assert_eq!(backend.connect_timeout, Duration::from_secs(3));
        let config = read(json!({"type": "cgi", "directory": "x", "processor": "python3"})).expect("a path");
        let Target::Script { directory, processor, running_max } = config.target else { panic!("a program") };
        assert!(directory.is_absolute() && directory.ends_with("x"));
        assert_eq!((processor, running_max), ("python3".into(), 16));
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let http = |more: Value| {
            let mut value = json!({"type": "reverseproxy", "host": "a"});
            value.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            value
        };
        let tls = json!({"type": "tcp", "host": "a", "port": 1, "tls": {"hostname": "a"}});
        let secure = json!({"type": "websocket", "url": "ws://a/", "endpoint": tls});
        for (wrong, said) in [
            (http(json!({"host": "a b"})), "x.host: is \"a b\""),
            (http(json!({"host": ""})), "x.host: is \"\""),
            (http(json!({"port": 0})), "x.port: is 0"),
            (http(json!({"path": "a b"})), "x.path: is \"a b\""),
            (http(json!({"forwarded_proto": "ftp"})), "x.forwarded_proto: is neither"),
            (http(json!({"options": {"timeout": 0}})), "x.options.timeout: is not"),
            (http(json!({"options": {"running_max": 1}})), "x.options.running_max: is not known"),
            (
                json!({"type": "cgi", "directory": "x", "processor": "y", "options": {"keep_host": true}}),
                "x.options.keep_host",
            ),
            (
                json!({"type": "cgi", "directory": "x", "processor": "y", "options": {"running_max": 0}}),
                "x.options.running_max",
            ),
            (json!({"type": "websocket-reverseproxy", "backend": secure}), "x.backend: is reached over TLS"),
        ] {
            let text = read(wrong).map(drop).expect_err("a mistake");
            assert!(text.starts_with(said), "{text}");
        }
    }
}
