//! Transports by which components connect to a router. They are checked here, and go to the component's host in the words
//! of the file.

use super::environment;
use super::kinds::kinds;
use super::{Fault, Read, Reader};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

kinds! {
    /// By which a component or a link connects to a router.
    pub(super) enum Connecting { "websocket" => WebSocket(WebSocket), "rawsocket" => RawSocket(RawSocket) }
}

/// WebSocket.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebSocket {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "there is one")]
    id: Option<String>,
    /// Where the router listens.
    #[schemars(with = "ClientEndpoint")]
    endpoint: Value,
    /// The URL of the router.
    #[schemars(regex(pattern = "^wss?://"), extend("examples" = ["ws://127.0.0.1:8080/ws"]))]
    url: String,
    /// What is offered, of `json`, `msgpack`, `cbor` and `ubjson`. Without it, what autobahn likes.
    #[schemars(extend("items" = {"type": "string", "enum": SERIALIZERS}, "examples" = [["cbor"]]))]
    serializers: Option<Vec<String>>,
    /// Options of autobahn.
    #[schemars(with = "Option<ClientOptions>")]
    options: Option<Map<String, Value>>,
    /// Does nothing, as in Crossbar.io: what is logged is said by levels.
    #[schemars(extend("deprecated" = true))]
    debug: Option<Value>,
}

/// RawSocket.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSocket {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "there is one")]
    id: Option<String>,
    /// Where the router listens.
    #[schemars(with = "ClientEndpoint")]
    endpoint: Value,
    /// The URL of the router; the endpoint says it all.
    #[allow(dead_code, reason = "the endpoint says it all")]
    url: Option<String>,
    /// What is spoken.
    #[schemars(extend("enum" = SERIALIZERS))]
    serializer: Option<String>,
    /// Options of autobahn.
    options: Option<RawSocketOptions>,
    /// Does nothing, as in Crossbar.io: what is logged is said by levels.
    #[schemars(extend("deprecated" = true))]
    debug: Option<Value>,
}

/// Options of a RawSocket client.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RawSocketClientOptions")]
struct RawSocketOptions {
    /// Octets of a message from the router.
    #[schemars(range(min = 512, max = 1 << 24), extend("x-unit" = "octets"))]
    max_message_size: Option<u64>,
}

kinds! {
    /// Where a router listens.
    enum ClientEndpoint { "tcp" => Tcp(Tcp), "unix" => Unix(Unix), "twisted" => Twisted(Twisted) }
}

/// A port.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tcp {
    /// Its address or name.
    #[schemars(extend("examples" = ["127.0.0.1"]))]
    host: String,
    /// The port. Also `"$NAME"`, of a variable of the environment.
    #[schemars(schema_with = "port_schema", extend("examples" = [8080]))]
    port: Value,
    /// The version of IP.
    #[schemars(range(min = 4, max = 6), extend("enum" = [4, 6]))]
    version: Option<u8>,
    /// How long to wait for a connection; more than 0.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = TIMEOUT_MAX, "x-unit" = "seconds"))]
    timeout: Option<f64>,
    /// TLS.
    tls: Option<Tls>,
}

/// TLS of a client. `certificate` and `key` go together.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ClientTls")]
struct Tls {
    /// The name that the certificate of the router has to have.
    #[schemars(extend("examples" = ["router.example"]))]
    hostname: String,
    /// Files of authorities in PEM, relative to the node directory. Without them, those that the system knows.
    #[serde(default)]
    #[schemars(extend("examples" = [["ca.crt"]]))]
    ca_certificates: Vec<PathBuf>,
    /// The file of its own certificate in PEM.
    #[schemars(extend("examples" = ["client.crt"]))]
    certificate: Option<PathBuf>,
    /// The file of its private key in PEM.
    #[schemars(extend("examples" = ["client.key"]))]
    key: Option<PathBuf>,
}

/// A Unix socket.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Unix {
    /// Its path, relative to the node directory.
    #[schemars(extend("examples" = ["router.sock"]))]
    path: PathBuf,
    /// How long to wait for a connection; more than 0.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = TIMEOUT_MAX, "x-unit" = "seconds"))]
    timeout: Option<f64>,
}

/// What Twisted has a text for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Twisted {
    /// The text.
    #[schemars(extend("examples" = ["tcp:127.0.0.1:8080"]))]
    client_string: String,
    /// Has no effect: it stands in the text.
    #[allow(dead_code, reason = "stands in the string")]
    #[schemars(extend("deprecated" = true))]
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

/// The options of WebSocket transports that Crossbar.io has, and what they are for a client.
const OPTIONS: [(&str, Kind, &str); 27] = [
    ("open_handshake_timeout", Kind::Number, "How long the handshake may take, in milliseconds."),
    ("close_handshake_timeout", Kind::Number, "How long the closing may take, in milliseconds."),
    ("validate_utf8", Kind::Flag, "Check the encoding of texts."),
    ("apply_mask", Kind::Flag, "Mask what is sent."),
    ("max_frame_size", Kind::Number, "Octets of a frame."),
    ("max_message_size", Kind::Number, "Octets of a message."),
    ("auto_fragment_size", Kind::Number, "Send messages in frames of so many octets."),
    ("fail_by_drop", Kind::Flag, "Cut the connection off when the router breaks the protocol."),
    ("echo_close_codereason", Kind::Flag, "Send the router's reason for closing back to it."),
    ("tcp_nodelay", Kind::Flag, "Send what is there without waiting for more."),
    ("auto_ping_interval", Kind::Number, "How often pings are sent, in milliseconds."),
    ("auto_ping_timeout", Kind::Number, "How long their answers may take, in milliseconds."),
    ("auto_ping_size", Kind::Number, "Octets of a ping, from 12 to 125."),
    ("auto_ping_restart_on_any_traffic", Kind::Flag, "Whatever comes puts the next ping off."),
    ("compression", Kind::Object, "Compression of messages."),
    ("allowed_origins", Kind::Foreign, FOREIGN),
    ("allow_null_origin", Kind::Foreign, FOREIGN),
    ("external_port", Kind::Foreign, FOREIGN),
    ("enable_hybi10", Kind::Foreign, FOREIGN),
    ("enable_rfc6455", Kind::Foreign, FOREIGN),
    ("enable_webstatus", Kind::Foreign, FOREIGN),
    ("mask_server_frames", Kind::Foreign, FOREIGN),
    ("require_masked_client_frames", Kind::Foreign, FOREIGN),
    ("enable_flash_policy", Kind::Foreign, FOREIGN),
    ("flash_policy", Kind::Foreign, FOREIGN),
    ("require_websocket_subprotocol", Kind::Foreign, FOREIGN),
    ("show_server_version", Kind::Foreign, FOREIGN),
];

const FOREIGN: &str = "Has no effect on a client.";

/// The schema of these options.
struct ClientOptions;

impl JsonSchema for ClientOptions {
    fn schema_name() -> Cow<'static, str> {
        "ClientOptions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut properties = Map::new();
        for (name, kind, about) in OPTIONS {
            let mut schema = match kind {
                Kind::Flag => json!({"description": about, "type": "boolean"}),
                Kind::Number => json!({"description": about, "type": "integer", "minimum": 0}),
                Kind::Object => json!({"description": about, "type": "object"}),
                Kind::Foreign => json!({"description": about, "deprecated": true}),
            };
            if name == "auto_ping_size" {
                (schema["minimum"], schema["maximum"]) =
                    (PING_BYTES.start().to_owned().into(), PING_BYTES.end().to_owned().into());
            }
            properties.insert(name.into(), schema);
        }
        let about = "Options of a WebSocket client, as autobahn has them.";
        let schema =
            json!({"description": about, "type": "object", "properties": properties, "additionalProperties": false});
        Schema::try_from(schema).unwrap_or_default()
    }
}

/// Octets of a ping.
const PING_BYTES: RangeInclusive<u64> = 12..=125;

const SERIALIZERS: [&str; 4] = ["json", "msgpack", "cbor", "ubjson"];

/// The longest wait for a connection, in seconds.
const TIMEOUT_MAX: f64 = 3600.0;

pub(super) fn read_connecting(reader: &mut Reader, value: Value, at: &str) -> Read<Value> {
    match Connecting::read(value, at)? {
        Connecting::WebSocket(transport) => {
            reader.note_debug(at, transport.debug.as_ref());
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
        Connecting::RawSocket(transport) => {
            reader.note_debug(at, transport.debug.as_ref());
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
        let Some((_, kind, _)) = OPTIONS.iter().find(|(known, ..)| *known == name) else {
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
        if name == "auto_ping_size" && value.as_u64().is_none_or(|size| !PING_BYTES.contains(&size)) {
            return Err(Fault::new(&at, format!("is {value}, not from 12 to 125")));
        }
        kept.insert(name, value);
    }
    Ok(kept)
}

fn read_endpoint(reader: &Reader, value: Value, at: &str) -> Read<Value> {
    match ClientEndpoint::read(value, at)? {
        ClientEndpoint::Tcp(tcp) => {
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
        ClientEndpoint::Unix(unix) => {
            let mut endpoint = json!({"type": "unix", "path": absolute(reader).join(unix.path)});
            add_timeout(&mut endpoint, unix.timeout, at)?;
            Ok(endpoint)
        }
        ClientEndpoint::Twisted(twisted) => Ok(json!({"type": "twisted", "client_string": twisted.client_string})),
    }
}

pub(super) fn absolute(reader: &Reader) -> PathBuf {
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

fn port_schema(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"anyOf": [{"type": "integer", "minimum": 1, "maximum": u16::MAX},
        {"type": "string", "pattern": r"^(\$.+|[0-9]+)$"}]})
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
