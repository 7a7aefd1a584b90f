//! Paths of the types `publisher`, `caller` and `webhook`.

use super::{Fault, Read, read};
use crate::auth::config::Secret;
use crate::config::bridge::{Action, BridgeConfig};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The largest body that can be asked for.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The largest difference of times that can be asked for, in seconds.
const TIMESTAMP_DELTA_MAX: u64 = 86_400;
/// The most publications that one request can be allowed to bring.
const BATCH_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bridge {
    r#type: String,
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    realm: Box<str>,
    role: Box<str>,
    #[serde(default)]
    options: Options,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[allow(dead_code, reason = "the log has what there is to know")]
    debug: Option<bool>,
    key: Option<Box<str>>,
    secret: Option<Box<str>>,
    #[serde(default)]
    require_tls: bool,
    #[serde(default)]
    require_ip: Vec<String>,
    post_body_limit: Option<usize>,
    timestamp_delta_limit: Option<u64>,
    /// Of our own.
    batch_max: Option<usize>,
    topic: Option<Box<str>>,
    success_response: Option<Box<str>>,
    error_response: Option<Box<str>>,
    github_secret: Option<Box<str>>,
    /// Of our own.
    #[serde(default)]
    allow_cross_origin: bool,
}

fn secret(text: Box<str>) -> Secret {
    Secret(text.into_boxed_bytes())
}

/// Reads a path; gives also the `auth` of the way in that its sessions come by.
pub(super) fn read_bridge(value: Value, at: &str) -> Read<(BridgeConfig, Value)> {
    let Bridge { r#type, realm, role, options, .. } = read(value, at)?;
    let hook = r#type == "webhook";
    let of_hooks = [
        ("topic", options.topic.is_some()),
        ("success_response", options.success_response.is_some()),
        ("error_response", options.error_response.is_some()),
        ("github_secret", options.github_secret.is_some()),
    ];
    let of_others = [("key", options.key.is_some()), ("secret", options.secret.is_some())];
    let foreign = if hook { &of_others[..] } else { &of_hooks };
    if let Some((key, _)) = foreign.iter().find(|(_, there)| *there) {
        let text = format!("does not belong to a path of the type {type:?}");
        return Err(Fault::new(&format!("{at}.options.{key}"), text));
    }
    let action = match &*r#type {
        "publisher" => Action::Publish,
        "caller" => Action::Call,
        _ => Action::Hook {
            topic: options.topic.ok_or_else(|| Fault::new(&format!("{at}.options"), "needs a `topic`"))?,
            success: options.success_response.unwrap_or_else(|| "OK".into()),
            failure: options.error_response.unwrap_or_else(|| "NOT OK".into()),
            github_secret: options.github_secret.map(secret),
        },
    };
    let signed = match (options.key, options.secret) {
        (None, None) => None,
        (Some(key), Some(text)) if !text.is_empty() => Some((key, secret(text))),
        _ => return Err(Fault::new(&format!("{at}.options"), "needs both `key` and `secret`, or neither")),
    };
    let delta = options.timestamp_delta_limit.map_or(BridgeConfig::TIMESTAMP_DELTA, Duration::from_secs);
    if delta.as_secs() > TIMESTAMP_DELTA_MAX {
        let text = format!("is not a number of seconds from 0 to {TIMESTAMP_DELTA_MAX}");
        return Err(Fault::new(&format!("{at}.options.timestamp_delta_limit"), text));
    }
    if options.post_body_limit.is_some_and(|limit| limit > BODY_BYTES_MAX) {
        let text = format!("is not a number of octets from 0 to {BODY_BYTES_MAX}");
        return Err(Fault::new(&format!("{at}.options.post_body_limit"), text));
    }
    let batch_max = options.batch_max.unwrap_or(BridgeConfig::BATCH_MAX);
    if options.batch_max.is_some() && !matches!(action, Action::Publish) || !(1..=BATCH_MAX).contains(&batch_max) {
        let text = format!("is a number from 1 to {BATCH_MAX}, for a path of the type \"publisher\"");
        return Err(Fault::new(&format!("{at}.options.batch_max"), text));
    }
    let network = |text: &String| {
        network(text).ok_or_else(|| Fault::new(&format!("{at}.options.require_ip"), format!("{text:?} is no network")))
    };
    let auth = json!({"anonymous": {"type": "static", "realm": realm, "role": role}});
    let config = BridgeConfig {
        action,
        transport: 0,
        realm,
        signed,
        timestamp_delta_max: Some(delta).filter(|delta| !delta.is_zero()),
        require_tls: options.require_tls,
        require_ip: options.require_ip.iter().map(network).collect::<Read<_>>()?,
        body_bytes_max: options.post_body_limit.filter(|limit| *limit > 0),
        batch_max,
        cross_origin: options.allow_cross_origin,
    };
    Ok((config, auth))
}

/// An address, or a network with a length or a mask.
fn network(text: &str) -> Option<IpNet> {
    let Some((address, length)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(IpNet::from);
    };
    let address: IpAddr = address.parse().ok()?;
    let length = match length.parse::<Ipv4Addr>() {
        Ok(mask) if mask.to_bits().leading_ones() == mask.to_bits().count_ones() => {
            u8::try_from(mask.to_bits().count_ones()).ok()?
        }
        Ok(_) => return None,
        Err(_) => length.parse().ok()?,
    };
    IpNet::new(address, length).ok().map(|net| net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_written_in_several_ways() {
        let read = |text: &str| network(text).map(|net| net.to_string());
        assert_eq!(read("127.0.0.1").as_deref(), Some("127.0.0.1/32"));
        assert_eq!(read("192.168.1.1/255.255.255.0").as_deref(), Some("192.168.1.0/24"));
        assert_eq!(read("2001:db8::/32").as_deref(), Some("2001:db8::/32"));
        for wrong in ["", "x", "10.0.0.0/33", "10.0.0.0/255.0.255.0", "::/255.0.0.0/8"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
