//! Where a transport listens.

use super::kinds::kinds;
use super::schema::OWN;
use super::{Fault, Read, Reader, asks, ciphers, environment, read};
use crate::config::tls::{CertificateConfig, TlsConfig};
use crate::config::{ListenAddress, ListenerConfig};
use crate::wire::forwarded::ForwardedHeader;
use core::net::{IpAddr, Ipv4Addr};
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;

kinds! {
    /// Where a transport listens.
    pub(super) enum Endpoint { "tcp" => Tcp(Tcp), "unix" => Unix(Unix) }
}

/// A port.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tcp {
    /// The port; 0: any that is free. Also `"$NAME"`, of a variable of the environment.
    #[schemars(schema_with = "port_schema", extend("examples" = [8080]))]
    port: Value,
    /// The address or name to listen on. Without it, all.
    #[schemars(extend("examples" = ["127.0.0.1"]))]
    interface: Option<String>,
    /// Connections that the system holds ready.
    #[schemars(extend("default" = ListenerConfig::BACKLOG, "x-crossbar" = "holds 50"))]
    backlog: Option<i32>,
    /// TLS.
    #[schemars(with = "Option<Tls>")]
    tls: Option<Value>,
    /// The version of IP. Has no effect: the interface says it.
    #[schemars(extend("deprecated" = true))]
    version: Option<u8>,
    /// Other workers listen there as well. One process accepts for all workers, and on all cores; of transports of the type
    /// `web` with the same endpoint the paths are put together, others have to be the same.
    #[allow(dead_code, reason = "one process accepts for all workers, and on all cores")]
    #[schemars(with = "Option<bool>")]
    shared: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    user_timeout: Option<Value>,
    /// Networks of proxies that begin each connection with a PROXY header, version 1 or 2: from there it is required, from
    /// elsewhere it is an error.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = OWN, "examples" = [["10.0.0.0/8"]]))]
    proxy_protocol: Vec<String>,
    /// HTTP proxies whose word about the address of a client is believed.
    #[schemars(extend("x-crossbar" = OWN))]
    forwarded: Option<Forwarded>,
}

/// HTTP proxies that tell the address of a client.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Forwarded {
    /// Their networks.
    #[schemars(extend("examples" = [["10.0.0.0/8"]]))]
    from: Vec<String>,
    /// The header in which they tell it: `X-Forwarded-For` or `Forwarded`; never both, since a client could send the other.
    #[schemars(regex(pattern = "^([Xx]-)?[Ff][Oo][Rr][Ww][Aa][Rr][Dd][Ee][Dd](-[Ff][Oo][Rr])?$"),
        extend("default" = "X-Forwarded-For"))]
    header: Option<String>,
}

/// Certificates and keys, all in PEM.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ServerTls")]
struct Tls {
    /// The file of the certificate, relative to the node directory.
    #[schemars(extend("examples" = ["server.crt"]))]
    certificate: PathBuf,
    /// The file of its private key, relative to the node directory.
    #[schemars(extend("examples" = ["server.key"]))]
    key: PathBuf,
    /// Files of certificates between that and one that clients know.
    #[serde(default)]
    #[schemars(extend("examples" = [["chain.crt"]]))]
    chain_certificates: Vec<PathBuf>,
    /// Files of authorities: clients are asked for a certificate of one of them.
    #[schemars(extend("examples" = [["ca.crt"]]))]
    ca_certificates: Option<Vec<PathBuf>>,
    /// Whether clients without a certificate are refused; with `ca_certificates`.
    #[schemars(extend("enum" = ["required", "optional"], "default" = "required", "x-crossbar" = OWN))]
    client_certificate: Option<String>,
    /// More certificates; of all, the one counts whose name the client asks for.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = OWN))]
    sni: Vec<Certificate>,
    /// Parameters of Diffie-Hellman. Not needed: keys are agreed on by elliptic curves.
    #[schemars(extend("deprecated" = true))]
    dhparam: Option<Value>,
    /// Ciphers of TLS 1.2 that are offered, as OpenSSL lists them; of those that are spoken here, which are safe. Without it,
    /// all. Those of TLS 1.3 are always offered.
    #[schemars(extend("examples" = ["ECDHE+AESGCM:!aECDSA"]))]
    ciphers: Option<String>,
}

/// One more certificate.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Certificate {
    /// The file of the certificate, relative to the node directory.
    #[schemars(extend("examples" = ["other.crt"]))]
    certificate: PathBuf,
    /// The file of its private key, relative to the node directory.
    #[schemars(extend("examples" = ["other.key"]))]
    key: PathBuf,
    /// Files of certificates between that and one that clients know.
    #[serde(default)]
    #[schemars(extend("examples" = [["chain.crt"]]))]
    chain_certificates: Vec<PathBuf>,
}

/// A Unix socket.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Unix {
    /// Its path, relative to the node directory.
    #[schemars(length(min = 1), extend("examples" = ["router.sock"]))]
    path: String,
    /// Connections that the system holds ready.
    #[schemars(extend("default" = ListenerConfig::BACKLOG, "x-crossbar" = "holds 50"))]
    backlog: Option<i32>,
    /// Each connection begins with a PROXY header.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = OWN))]
    proxy_protocol: bool,
}

fn port_schema(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"anyOf": [{"type": "integer", "minimum": 0, "maximum": u16::MAX},
        {"type": "string", "pattern": r"^(\$.+|[0-9]+)$"}]})
}

pub(super) fn read_endpoint(reader: &mut Reader, value: Value, at: &str) -> Read<ListenerConfig> {
    let listener = |address, backlog: Option<i32>, proxy_protocol| {
        let plain = ListenerConfig::plain(address);
        ListenerConfig { backlog: backlog.unwrap_or(plain.backlog), proxy_protocol, ..plain }
    };
    match Endpoint::read(value, at)? {
        Endpoint::Tcp(tcp) => {
            let tls = tcp.tls.map(|tls| read_tls(reader, tls, &format!("{at}.tls"))).transpose()?;
            let given = [("version", tcp.version.is_some()), ("user_timeout", tcp.user_timeout.is_some())];
            reader.without_effect(at, &given);
            let address = ListenAddress::Tcp { host: tcp.interface.unwrap_or_default(), port: port(&tcp.port, at)? };
            let proxies = networks(tcp.proxy_protocol, &format!("{at}.proxy_protocol"))?;
            let (forwarded, forwarded_header) = match tcp.forwarded {
                None => (Vec::new(), ForwardedHeader::default()),
                Some(forwarded) => read_forwarded(forwarded, &format!("{at}.forwarded"))?,
            };
            Ok(ListenerConfig { tls, forwarded, forwarded_header, ..listener(address, tcp.backlog, proxies) })
        }
        Endpoint::Unix(unix) => {
            if unix.path.is_empty() {
                return Err(Fault::new(&format!("{at}.path"), "is empty"));
            }
            let everybody = unix.proxy_protocol.then(|| vec![IpNet::default()]);
            Ok(listener(ListenAddress::Unix(unix.path.into()), unix.backlog, everybody.unwrap_or_default()))
        }
    }
}

fn read_tls(reader: &mut Reader, value: Value, at: &str) -> Read<TlsConfig> {
    let tls: Tls = read(value, at)?;
    if asks(tls.dhparam.as_ref()) {
        reader.note(&format!("{at}.dhparam"), "is not needed: keys are agreed on by elliptic curves alone");
    }
    let ciphers = tls.ciphers.as_deref().map(ciphers::meant);
    if ciphers.as_ref().is_some_and(Vec::is_empty) {
        reader.warn(&format!("{at}.ciphers"), "names none that is spoken here, so that there is TLS 1.3 alone");
    }
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
        ciphers,
    })
}

fn read_forwarded(forwarded: Forwarded, at: &str) -> Read<(Vec<IpNet>, ForwardedHeader)> {
    let known = [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded];
    let header = match forwarded.header.map(|name| name.to_ascii_lowercase()) {
        None => ForwardedHeader::default(),
        Some(name) => known.into_iter().find(|header| header.name() == name).ok_or_else(|| {
            Fault::new(&format!("{at}.header"), format!("is {name:?}, not X-Forwarded-For or Forwarded"))
        })?,
    };
    Ok((networks(forwarded.from, &format!("{at}.from"))?, header))
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
        Value::String(text) => environment::plain(text, &at)?.parse().map_err(|_| wrong()),
        value => value.as_u64().and_then(|port| u16::try_from(port).ok()).ok_or_else(wrong),
    }
}

/// True if one of two addresses of a port takes in the other.
pub(super) fn overlap(one: &ListenAddress, other: &ListenAddress) -> bool {
    let (ListenAddress::Tcp { host, port }, ListenAddress::Tcp { host: other, port: others }) = (one, other) else {
        return false;
    };
    let all = |host: &str, other: &str| match host {
        "" => true,
        "0.0.0.0" => other.parse::<Ipv4Addr>().is_ok(),
        _ => false,
    };
    port == others && *port != 0 && host != other && (all(host, other) || all(other, host))
}

pub(super) fn is_any_port(address: &ListenAddress) -> bool {
    matches!(address, ListenAddress::Tcp { port: 0, .. })
}
