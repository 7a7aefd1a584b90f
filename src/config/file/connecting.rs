//! Transports by which components connect to a router. They are checked here, and go to the component's host in the words
//! of the file.

use super::environment;
use super::{Fault, Read, Reader, read, type_of};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebSocket {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "there is one")]
    id: Option<String>,
    endpoint: Value,
    url: String,
    serializers: Option<Vec<String>>,
    options: Option<Map<String, Value>>,
    debug: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSocket {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "there is one")]
    id: Option<String>,
    endpoint: Value,
    #[allow(dead_code, reason = "the endpoint says it all")]
    url: Option<String>,
    serializer: Option<String>,
    options: Option<RawSocketOptions>,
    debug: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSocketOptions {
    max_message_size: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tcp {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    host: String,
    port: Value,
    version: Option<u8>,
    timeout: Option<f64>,
    tls: Option<Tls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    hostname: String,
    #[serde(default)]
    ca_certificates: Vec<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unix {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    path: PathBuf,
    timeout: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Twisted {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    client_string: String,
    #[allow(dead_code, reason = "stands in the string")]
    timeout: Option<f64>,
}

/// What an option of a WebSocket client is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flag,
    Number,
    Object,
    /// It is for servers.
    Foreign,
}

/// The options of WebSocket transports that Crossbar.io has.
const OPTIONS: [(&str, Kind); 27] = [
    ("open_handshake_timeout", Kind::Number),
    ("close_handshake_timeout", Kind::Number),
    ("validate_utf8", Kind::Flag),
    ("apply_mask", Kind::Flag),
    ("max_frame_size", Kind::Number),
    ("max_message_size", Kind::Number),
    ("auto_fragment_size", Kind::Number),
    ("fail_by_drop", Kind::Flag),
    ("echo_close_codereason", Kind::Flag),
    ("tcp_nodelay", Kind::Flag),
    ("auto_ping_interval", Kind::Number),
    ("auto_ping_timeout", Kind::Number),
    ("auto_ping_size", Kind::Number),
    ("auto_ping_restart_on_any_traffic", Kind::Flag),
    ("compression", Kind::Object),
    ("allowed_origins", Kind::Foreign),
    ("allow_null_origin", Kind::Foreign),
    ("external_port", Kind::Foreign),
    ("enable_hybi10", Kind::Foreign),
    ("enable_rfc6455", Kind::Foreign),
    ("enable_webstatus", Kind::Foreign),
    ("mask_server_frames", Kind::Foreign),
    ("require_masked_client_frames", Kind::Foreign),
    ("enable_flash_policy", Kind::Foreign),
    ("flash_policy", Kind::Foreign),
    ("require_websocket_subprotocol", Kind::Foreign),
    ("show_server_version", Kind::Foreign),
];

const SERIALIZERS: [&str; 4] = ["json", "msgpack", "cbor", "ubjson"];

/// The longest wait for a connection, in seconds.
const TIMEOUT_MAX: f64 = 3600.0;

pub(super) fn read_connecting(reader: &mut Reader, value: Value, at: &str) -> Read<Value> {
    match &*type_of(&value, at)? {
        "websocket" => {
            let transport: WebSocket = read(value, at)?;
            reader.without_effect(at, &[("debug", transport.debug.is_some())]);
            if !(transport.url.starts_with("ws://") || transport.url.starts_with("wss://")) {
                let text = format!("is {:?}, which does not begin with ws:// or wss://", transport.url);
                return Err(Fault::new(&format!("{at}.url"), text));
            }
            let serializers = transport.serializers.unwrap_or_default();
            serializers.iter().try_for_each(|name| is_serializer(name, &format!("{at}.serializers")))?;
            let options = read_options(reader, transport.options.unwrap_or_default(), &format!("{at}.options"))?;
            let endpoint = read_endpoint(reader, transport.endpoint, &format!("{at}.endpoint"))?;
            Ok(json!({"type": "websocket", "url": transport.url, "serializers": serializers, "options": options,
                "endpoint": endpoint}))
        }
        "rawsocket" => {
            let transport: RawSocket = read(value, at)?;
            reader.without_effect(at, &[("debug", transport.debug.is_some())]);
            let serializers = Vec::from_iter(transport.serializer);
            serializers.iter().try_for_each(|name| is_serializer(name, &format!("{at}.serializer")))?;
            let mut options = Map::new();
            if let Some(size) = transport.options.and_then(|options| options.max_message_size) {
                if !(512..=1 << 24).contains(&size) {
                    let text = format!("is {size}, not from 512 to {}", 1 << 24);
                    return Err(Fault::new(&format!("{at}.options.max_message_size"), text));
                }
                options.insert("max_message_size".into(), size.into());
            }
            let endpoint = read_endpoint(reader, transport.endpoint, &format!("{at}.endpoint"))?;
            Ok(json!({"type": "rawsocket", "serializers": serializers, "options": options, "endpoint": endpoint}))
        }
        other => Err(Fault::new(&format!("{at}.type"), format!("is {other:?}, not websocket or rawsocket"))),
    }
}

fn is_serializer(name: &str, at: &str) -> Read<()> {
    if SERIALIZERS.contains(&name) {
        return Ok(());
    }
    Err(Fault::new(at, format!("{name:?} is not one of {}", SERIALIZERS.join(", "))))
}

fn read_options(reader: &mut Reader, options: Map<String, Value>, at: &str) -> Read<Map<String, Value>> {
    let mut kept = Map::new();
    for (name, value) in options {
        let at = format!("{at}.{name}");
        let Some((_, kind)) = OPTIONS.iter().find(|(known, _)| *known == name) else {
            return Err(Fault::new(&at, "is not known"));
        };
        let fits = match kind {
            Kind::Flag => value.is_boolean(),
            Kind::Number => value.is_u64(),
            Kind::Object => value.is_object(),
            Kind::Foreign => {
                reader.warn(&at, "has no effect on a client");
                continue;
            }
        };
        if !fits {
            return Err(Fault::new(&at, format!("cannot be {value}")));
        }
        if name == "auto_ping_size" && value.as_u64().is_none_or(|size| !(12..=125).contains(&size)) {
            return Err(Fault::new(&at, format!("is {value}, not from 12 to 125")));
        }
        kept.insert(name, value);
    }
    Ok(kept)
}

fn read_endpoint(reader: &Reader, value: Value, at: &str) -> Read<Value> {
    match &*type_of(&value, at)? {
        "tcp" => {
            let tcp: Tcp = read(value, at)?;
            let mut endpoint = json!({"type": "tcp", "host": tcp.host, "port": port(&tcp.port, at)?});
            if let Some(version) = tcp.version {
                if ![4, 6].contains(&version) {
                    return Err(Fault::new(&format!("{at}.version"), format!("is {version}, not 4 or 6")));
                }
                endpoint["version"] = version.into();
            }
            add_timeout(&mut endpoint, tcp.timeout, at)?;
            if let Some(tls) = tcp.tls {
                endpoint["tls"] = read_tls(&absolute(reader), tls, &format!("{at}.tls"))?;
            }
            Ok(endpoint)
        }
        "unix" => {
            let unix: Unix = read(value, at)?;
            let mut endpoint = json!({"type": "unix", "path": absolute(reader).join(unix.path)});
            add_timeout(&mut endpoint, unix.timeout, at)?;
            Ok(endpoint)
        }
        "twisted" => {
            let twisted: Twisted = read(value, at)?;
            Ok(json!({"type": "twisted", "client_string": twisted.client_string}))
        }
        other => Err(Fault::new(&format!("{at}.type"), format!("is {other:?}; tcp, unix and twisted are supported"))),
    }
}

fn absolute(reader: &Reader) -> PathBuf {
    std::path::absolute(&reader.directory).unwrap_or_else(|_| reader.directory.clone())
}

fn read_tls(directory: &Path, tls: Tls, at: &str) -> Read<Value> {
    if tls.certificate.is_some() != tls.key.is_some() {
        return Err(Fault::new(at, "`certificate` and `key` go together"));
    }
    let mut read = json!({"hostname": tls.hostname});
    if !tls.ca_certificates.is_empty() {
        let paths: Vec<PathBuf> = tls.ca_certificates.into_iter().map(|path| directory.join(path)).collect();
        read["ca_certificates"] = json!(paths);
    }
    if let (Some(certificate), Some(key)) = (tls.certificate, tls.key) {
        read["certificate"] = json!(directory.join(certificate));
        read["key"] = json!(directory.join(key));
    }
    Ok(read)
}

fn add_timeout(endpoint: &mut Value, timeout: Option<f64>, at: &str) -> Read<()> {
    match timeout {
        None => {}
        Some(seconds) if seconds > 0.0 && seconds <= TIMEOUT_MAX => endpoint["timeout"] = seconds.into(),
        Some(seconds) => {
            let text = format!("is {seconds}, not a number of seconds above 0, at most {TIMEOUT_MAX}");
            return Err(Fault::new(&format!("{at}.timeout"), text));
        }
    }
    Ok(())
}

fn port(value: &Value, at: &str) -> Read<u16> {
    let at = format!("{at}.port");
    let number = match value {
        Value::String(text) => environment::plain(text, &at)?.parse().ok(),
        value => value.as_u64().and_then(|port| u16::try_from(port).ok()),
    };
    let wrong = || Fault::new(&at, format!("is {value}, not a number from 1 to 65535"));
    number.filter(|port| *port > 0).ok_or_else(wrong)
}
