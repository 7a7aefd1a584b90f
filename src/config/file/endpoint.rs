//! Where a transport listens.

use super::{Fault, Read, Reader, environment, read, type_of};
use crate::config::tls::{CertificateConfig, TlsConfig};
use crate::config::{ListenAddress, ListenerConfig};
use crate::wire::forwarded::ForwardedHeader;
use core::net::IpAddr;
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;

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
    #[allow(dead_code, reason = "one process accepts for all workers, and on all cores")]
    shared: Option<Value>,
    user_timeout: Option<Value>,
    #[serde(default)]
    proxy_protocol: Vec<String>,
    forwarded: Option<Forwarded>,
}

/// HTTP proxies that tell the address of a client; of our own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forwarded {
    from: Vec<String>,
    header: Option<String>,
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

pub(super) fn read_endpoint(reader: &mut Reader, value: Value, at: &str) -> Read<ListenerConfig> {
    let listener = |address, backlog: Option<i32>, proxy_protocol| {
        let plain = ListenerConfig::plain(address);
        ListenerConfig { backlog: backlog.unwrap_or(plain.backlog), proxy_protocol, ..plain }
    };
    match &*type_of(&value, at)? {
        "tcp" => {
            let tcp: Tcp = read(value, at)?;
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

pub(super) fn is_any_port(address: &ListenAddress) -> bool {
    matches!(address, ListenAddress::Tcp { port: 0, .. })
}
