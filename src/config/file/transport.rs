//! Transports and where they listen.

use super::auth::read_auth;
use super::options::{read_longpoll, read_options};
use super::{Fault, Read, Reader, from_environment, read, type_of};
use crate::auth::AuthConfig;
use crate::config::listener::TransportIndex;
use crate::config::tls::{CertificateConfig, TlsConfig};
use crate::config::{ListenAddress, ListenerConfig, RuntimeConfig, TransportConfig};
use core::net::IpAddr;
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transport {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "transports go by their addresses")]
    id: Option<String>,
    endpoint: Value,
    url: Option<Value>,
    serializers: Option<Value>,
    options: Option<Value>,
    auth: Option<Value>,
    cookie: Option<Value>,
    debug: Option<Value>,
    paths: Option<BTreeMap<String, Value>>,
    rawsocket: Option<Inner>,
    websocket: Option<BTreeMap<String, Inner>>,
    web: Option<Web>,
}

/// A transport inside another, without an endpoint of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[allow(dead_code, reason = "has been read already")]
    r#type: Option<String>,
    #[allow(dead_code, reason = "transports go by their addresses")]
    id: Option<String>,
    url: Option<Value>,
    serializers: Option<Value>,
    options: Option<Value>,
    auth: Option<Value>,
    cookie: Option<Value>,
    debug: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongPoll {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "there is one")]
    id: Option<String>,
    options: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Web {
    paths: BTreeMap<String, Value>,
    options: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tcp {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    port: Value,
    interface: Option<String>,
    backlog: Option<i32>,
    tls: Option<Value>,
    version: Option<u8>,
    shared: Option<Value>,
    user_timeout: Option<Value>,
    #[serde(default)]
    proxy_protocol: Vec<String>,
}

/// As Crossbar.io has it, and with `sni` and `client_certificate` of our own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    #[serde(default)]
    chain_certificates: Vec<PathBuf>,
    ca_certificates: Option<Vec<PathBuf>>,
    client_certificate: Option<String>,
    #[serde(default)]
    sni: Vec<Certificate>,
    dhparam: Option<Value>,
    ciphers: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    #[serde(default)]
    chain_certificates: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unix {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    path: String,
    backlog: Option<i32>,
    #[serde(default)]
    proxy_protocol: bool,
}

pub(super) fn read_transport(reader: &mut Reader, value: Value, at: &str, config: &mut RuntimeConfig) -> Read<()> {
    let kind = type_of(&value, at)?;
    if !["websocket", "rawsocket", "universal", "web"].contains(&&*kind) {
        return Err(Fault::new(&format!("{at}.type"), format!("is {kind:?}, which is not supported")));
    }
    let own: &[&str] = match &*kind {
        "websocket" | "rawsocket" => &["url", "serializers", "options", "auth", "cookie", "debug"],
        "universal" => &["rawsocket", "websocket", "web", "options", "debug"],
        _ => &["paths", "options", "debug"],
    };
    // An `auth` that stands where nobody looks for it would leave the door open.
    let keys = value.as_object().into_iter().flat_map(|object| object.keys());
    let mut foreign = keys.filter(|key| !["type", "id", "endpoint"].contains(&&***key) && !own.contains(&&***key));
    if let Some(key) = foreign.next() {
        return Err(Fault::new(&format!("{at}.{key}"), format!("does not belong to a transport of the type {kind:?}")));
    }
    let transport: Transport = read(value, at)?;
    let Transport {
        endpoint, url, serializers, options, auth, cookie, debug, paths, rawsocket, websocket, web, ..
    } = transport;
    let mut methods = Vec::new();
    if kind == "websocket" || kind == "rawsocket" {
        let inner = Inner { r#type: None, id: None, url, serializers, options, auth, cookie, debug };
        methods.push(read_inner(reader, inner, kind == "websocket", at, config)?);
    } else {
        reader.without_effect(at, &[("options", options.is_some()), ("debug", debug.is_some())]);
        if let Some(inner) = rawsocket {
            methods.push(read_inner(reader, inner, false, &format!("{at}.rawsocket"), config)?);
        }
        for (path, inner) in websocket.unwrap_or_default() {
            methods.push(read_inner(reader, inner, true, &format!("{at}.websocket.{path}"), config)?);
        }
        let (web_at, web) = match web {
            Some(web) => (format!("{at}.web"), web),
            None => (at.to_string(), Web { paths: paths.unwrap_or_default(), options: None }),
        };
        reader.without_effect(&web_at, &[("options", web.options.is_some())]);
        read_paths(reader, web.paths, &format!("{web_at}.paths"), config, &mut methods)?;
    }
    let Some(first) = methods.pop() else {
        return Err(Fault::new(at, "has neither a WebSocket nor a RawSocket transport"));
    };
    if methods.iter().any(|other| *other != first) {
        return Err(Fault::new(at, "different `auth` for parts of one transport is not supported"));
    }
    let index = TransportIndex::try_from(config.transports.len())
        .map_err(|_| Fault::new(at, "there are more transports than are supported"))?;
    let listener = read_endpoint(reader, endpoint, &format!("{at}.endpoint"))?;
    let address = &listener.address;
    if config.listeners.iter().any(|known| known.address == *address && !is_any_port(address)) {
        return Err(Fault::new(&format!("{at}.endpoint"), format!("another transport listens on {address} already")));
    }
    config.transports.push(TransportConfig { auth: first });
    config.listeners.push(ListenerConfig { transport: index, ..listener });
    Ok(())
}

fn read_inner(
    reader: &mut Reader,
    inner: Inner,
    websocket: bool,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<AuthConfig> {
    let given = [
        ("url", inner.url.is_some()),
        ("serializers", inner.serializers.is_some()),
        ("cookie", inner.cookie.is_some()),
        ("debug", inner.debug.is_some()),
    ];
    reader.without_effect(at, &given);
    reader.parts += 1;
    read_options(reader, inner.options, websocket, &format!("{at}.options"), config)?;
    read_auth(inner.auth, &format!("{at}.auth"))
}

/// WebSocket and long-polling are served, WebSocket on any path; what else stands there is not.
fn read_paths(
    reader: &mut Reader,
    paths: BTreeMap<String, Value>,
    at: &str,
    config: &mut RuntimeConfig,
    methods: &mut Vec<AuthConfig>,
) -> Read<()> {
    for (path, value) in paths {
        let at = format!("{at}.{path}");
        match &*type_of(&value, &at)? {
            "websocket" => {
                let inner: Inner = read(value, &at)?;
                methods.push(read_inner(reader, inner, true, &at, config)?);
            }
            "longpoll" => {
                let LongPoll { options, .. } = read(value, &at)?;
                if let Some(options) = options {
                    read_longpoll(reader, options, &format!("{at}.options"), config)?;
                }
                let path = Some(format!("/{path}"));
                if config.longpoll_path.as_ref().is_some_and(|known| Some(known) != path.as_ref()) {
                    return Err(Fault::new(&at, "long-polling on more than one path is not supported"));
                }
                config.longpoll_path = path;
            }
            other => reader.warn(&at, &format!("a path of the type {other:?} is not served")),
        }
    }
    Ok(())
}

fn read_endpoint(reader: &mut Reader, value: Value, at: &str) -> Read<ListenerConfig> {
    let listener = |address, backlog: Option<i32>, proxy_protocol| {
        let plain = ListenerConfig::plain(address);
        ListenerConfig { backlog: backlog.unwrap_or(plain.backlog), proxy_protocol, ..plain }
    };
    match &*type_of(&value, at)? {
        "tcp" => {
            let tcp: Tcp = read(value, at)?;
            let tls = tcp.tls.map(|tls| read_tls(reader, tls, &format!("{at}.tls"))).transpose()?;
            let given = [
                ("version", tcp.version.is_some()),
                ("shared", tcp.shared.is_some()),
                ("user_timeout", tcp.user_timeout.is_some()),
            ];
            reader.without_effect(at, &given);
            let address = ListenAddress::Tcp { host: tcp.interface.unwrap_or_default(), port: port(&tcp.port, at)? };
            let proxies = networks(tcp.proxy_protocol, &format!("{at}.proxy_protocol"))?;
            Ok(ListenerConfig { tls, ..listener(address, tcp.backlog, proxies) })
        }
        "unix" => {
            let unix: Unix = read(value, at)?;
            if unix.path.is_empty() {
                return Err(Fault::new(&format!("{at}.path"), "is empty"));
            }
            let everybody = unix.proxy_protocol.then(|| vec![IpNet::default()]);
            Ok(listener(ListenAddress::Unix(unix.path.into()), unix.backlog, everybody.unwrap_or_default()))
        }
        other => Err(Fault::new(&format!("{at}.type"), format!("is {other:?}; tcp and unix are supported"))),
    }
}

fn read_tls(reader: &mut Reader, value: Value, at: &str) -> Read<TlsConfig> {
    let tls: Tls = read(value, at)?;
    reader.without_effect(at, &[("dhparam", tls.dhparam.is_some()), ("ciphers", tls.ciphers.is_some())]);
    let client_optional = match tls.client_certificate.as_deref() {
        None | Some("required") => false,
        Some("optional") => true,
        Some(other) => {
            let at = format!("{at}.client_certificate");
            return Err(Fault::new(&at, format!("is {other:?}, not required or optional")));
        }
    };
    if tls.client_certificate.is_some() && tls.ca_certificates.is_none() {
        return Err(Fault::new(&format!("{at}.client_certificate"), "needs ca_certificates to verify it by"));
    }
    let Tls { certificate, key, chain_certificates, .. } = tls;
    let own = Certificate { certificate, key, chain_certificates };
    let certificates = [own].into_iter().chain(tls.sni).map(|own| CertificateConfig {
        certificate: own.certificate,
        chain: own.chain_certificates,
        key: own.key,
    });
    Ok(TlsConfig {
        certificates: certificates.collect(),
        client_authorities: tls.ca_certificates.unwrap_or_default(),
        client_optional,
    })
}

/// Networks such as `10.0.0.0/8`, or single addresses.
fn networks(list: Vec<String>, at: &str) -> Read<Vec<IpNet>> {
    let network = |text: String| {
        let single = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>()
            .or_else(|_| single())
            .map_err(|_| Fault::new(at, format!("{text:?} is neither an address nor a network such as 10.0.0.0/8")))
    };
    list.into_iter().map(network).collect()
}

fn port(value: &Value, at: &str) -> Read<u16> {
    let at = format!("{at}.port");
    let wrong = || Fault::new(&at, format!("is {value}, not a number from 0 to 65535"));
    match value {
        Value::String(text) => from_environment(text, &at)?.parse().map_err(|_| wrong()),
        value => value.as_u64().and_then(|port| u16::try_from(port).ok()).ok_or_else(wrong),
    }
}

fn is_any_port(address: &ListenAddress) -> bool {
    matches!(address, ListenAddress::Tcp { port: 0, .. })
}
