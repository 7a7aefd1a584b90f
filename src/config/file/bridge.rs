//! Paths of the types `publisher`, `caller` and `webhook`.

use super::schema::OWN;
use super::{Fault, Read};
use crate::auth::config::Secret;
use crate::config::bridge::{Action, BridgeConfig};
use crate::wamp::uri::UriRules;
use ipnet::IpNet;
use schemars::JsonSchema;
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

/// Publications or calls for programs that speak HTTP alone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Bridge<O> {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// The realm of its sessions.
    realm: Box<str>,
    /// Their role, which says what they may do.
    role: Box<str>,
    /// What is asked of requests.
    options: Option<O>,
}

/// Options of publishers.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PublisherOptions {
    /// Has no effect: the log has what there is to know.
    #[allow(dead_code, reason = "the log has what there is to know")]
    #[schemars(extend("deprecated" = true))]
    debug: Option<bool>,
    /// Requests have to be signed, and to name this key; with `secret`.
    key: Option<Box<str>>,
    /// What they are signed with: HMAC-SHA256.
    #[schemars(length(min = 1), extend("examples" = ["${SECRET}"]))]
    secret: Option<Box<str>>,
    /// Requests without TLS get 403.
    require_tls: bool,
    /// Requests from elsewhere get 403: addresses, and networks with a length or a mask.
    #[schemars(extend("examples" = [["10.0.0.0/8", "192.168.1.0/255.255.255.0"]]))]
    require_ip: Vec<String>,
    /// Octets of a body; 0: as many as a message may have. Beyond: 413.
    #[schemars(range(max = BODY_BYTES_MAX), extend("x-unit" = "octets", "default" = 0))]
    post_body_limit: Option<usize>,
    /// How far the timestamp of a signed request may be off; 0: any. Within it a request can be sent again by who has seen
    /// it.
    #[schemars(range(max = TIMESTAMP_DELTA_MAX),
        extend("x-unit" = "seconds", "default" = BridgeConfig::TIMESTAMP_DELTA.as_secs()))]
    timestamp_delta_limit: Option<u64>,
    /// Publications that one request may bring in a list.
    #[schemars(range(min = 1, max = BATCH_MAX),
        extend("x-crossbar" = OWN, "default" = BridgeConfig::BATCH_MAX))]
    batch_max: Option<usize>,
    /// Scripts of any page may ask.
    #[schemars(extend("x-crossbar" = "allows that always"))]
    allow_cross_origin: bool,
}

/// Options of callers.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CallerOptions {
    /// Has no effect: the log has what there is to know.
    #[allow(dead_code, reason = "the log has what there is to know")]
    #[schemars(extend("deprecated" = true))]
    debug: Option<bool>,
    /// Requests have to be signed, and to name this key; with `secret`.
    key: Option<Box<str>>,
    /// What they are signed with: HMAC-SHA256.
    #[schemars(length(min = 1), extend("examples" = ["${SECRET}"]))]
    secret: Option<Box<str>>,
    /// Requests without TLS get 403.
    require_tls: bool,
    /// Requests from elsewhere get 403: addresses, and networks with a length or a mask.
    #[schemars(extend("examples" = [["10.0.0.0/8", "192.168.1.0/255.255.255.0"]]))]
    require_ip: Vec<String>,
    /// Octets of a body; 0: as many as a message may have. Beyond: 413.
    #[schemars(range(max = BODY_BYTES_MAX), extend("x-unit" = "octets", "default" = 0))]
    post_body_limit: Option<usize>,
    /// How far the timestamp of a signed request may be off; 0: any. Within it a request can be sent again by who has seen
    /// it.
    #[schemars(range(max = TIMESTAMP_DELTA_MAX),
        extend("x-unit" = "seconds", "default" = BridgeConfig::TIMESTAMP_DELTA.as_secs()))]
    timestamp_delta_limit: Option<u64>,
    /// Scripts of any page may ask.
    #[schemars(extend("x-crossbar" = "allows that always"))]
    allow_cross_origin: bool,
}

/// Options of hooks.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HookOptions {
    /// Has no effect: the log has what there is to know.
    #[allow(dead_code, reason = "the log has what there is to know")]
    #[schemars(extend("deprecated" = true))]
    debug: Option<bool>,
    /// The topic to which every request is published.
    #[schemars(extend("examples" = ["com.example.push"]))]
    topic: Box<str>,
    /// The body of the answer when it has been published.
    #[schemars(extend("default" = SUCCESS))]
    success_response: Option<Box<str>>,
    /// The body of the answer when that was not possible.
    #[schemars(extend("default" = FAILURE))]
    error_response: Option<Box<str>>,
    /// Requests have to have the header `X-Hub-Signature-256` that GitHub sends with this secret. The older one with SHA-1
    /// is not looked at.
    #[schemars(extend("examples" = ["${SECRET}"]))]
    github_secret: Option<Box<str>>,
    /// Requests without TLS get 403.
    #[serde(default)]
    require_tls: bool,
    /// Requests from elsewhere get 403: addresses, and networks with a length or a mask.
    #[serde(default)]
    #[schemars(extend("examples" = [["10.0.0.0/8", "192.168.1.0/255.255.255.0"]]))]
    require_ip: Vec<String>,
    /// Octets of a body; 0: as many as a message may have. Beyond: 413.
    #[schemars(range(max = BODY_BYTES_MAX), extend("x-unit" = "octets", "default" = 0))]
    post_body_limit: Option<usize>,
    /// How far the timestamp of a signed request may be off. Has no effect: GitHub sends none.
    #[schemars(range(max = TIMESTAMP_DELTA_MAX), extend("deprecated" = true))]
    timestamp_delta_limit: Option<u64>,
    /// Scripts of any page may ask.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = "allows that always"))]
    allow_cross_origin: bool,
}

/// What hooks answer if nothing else is said.
const SUCCESS: &str = "OK";
const FAILURE: &str = "NOT OK";

/// What all requests of a path have to be.
struct Guard {
    require_tls: bool,
    require_ip: Vec<String>,
    post_body_limit: Option<usize>,
    timestamp_delta_limit: Option<u64>,
    batch_max: usize,
    allow_cross_origin: bool,
}

fn secret(text: Box<str>) -> Secret {
    Secret(text.into_boxed_bytes())
}

/// The key and the secret with which requests are signed, if any.
fn signed(key: Option<Box<str>>, text: Option<Box<str>>, at: &str) -> Read<Option<(Box<str>, Secret)>> {
    match (key, text) {
        (None, None) => Ok(None),
        (Some(key), Some(text)) if !text.is_empty() => Ok(Some((key, secret(text)))),
        _ => Err(Fault::new(&format!("{at}.options"), "needs both `key` and `secret`, or neither")),
    }
}

impl Bridge<PublisherOptions> {
    /// Reads a publisher; gives also the `auth` of the way in that its sessions come by.
    pub(super) fn read_publisher(self, at: &str) -> Read<(BridgeConfig, Value)> {
        let options = self.options.unwrap_or_default();
        let batch_max = options.batch_max.unwrap_or(BridgeConfig::BATCH_MAX);
        if !(1..=BATCH_MAX).contains(&batch_max) {
            let text = format!("is not a number from 1 to {BATCH_MAX}");
            return Err(Fault::new(&format!("{at}.options.batch_max"), text));
        }
        let signed = signed(options.key, options.secret, at)?;
        let PublisherOptions {
            require_tls,
            require_ip,
            post_body_limit,
            timestamp_delta_limit,
            allow_cross_origin,
            ..
        } = options;
        let guard =
            Guard { require_tls, require_ip, post_body_limit, timestamp_delta_limit, batch_max, allow_cross_origin };
        guard.read((self.realm, self.role), (Action::Publish, signed), at)
    }
}

impl Bridge<CallerOptions> {
    /// Reads a caller; gives also the `auth` of the way in that its sessions come by.
    pub(super) fn read_caller(self, at: &str) -> Read<(BridgeConfig, Value)> {
        let options = self.options.unwrap_or_default();
        let signed = signed(options.key, options.secret, at)?;
        let CallerOptions {
            require_tls, require_ip, post_body_limit, timestamp_delta_limit, allow_cross_origin, ..
        } = options;
        let batch_max = BridgeConfig::BATCH_MAX;
        let guard =
            Guard { require_tls, require_ip, post_body_limit, timestamp_delta_limit, batch_max, allow_cross_origin };
        guard.read((self.realm, self.role), (Action::Call, signed), at)
    }
}

impl Bridge<HookOptions> {
    /// Reads a hook; gives also the `auth` of the way in that its sessions come by.
    pub(super) fn read_hook(self, at: &str) -> Read<(BridgeConfig, Value)> {
        let options = self.options.ok_or_else(|| Fault::new(at, "needs `options` with a `topic`"))?;
        if !UriRules::Loose.allow(&options.topic) {
            let text = format!("is {:?}, which is no topic", options.topic);
            return Err(Fault::new(&format!("{at}.options.topic"), text));
        }
        let action = Action::Hook {
            topic: options.topic,
            success: options.success_response.unwrap_or_else(|| SUCCESS.into()),
            failure: options.error_response.unwrap_or_else(|| FAILURE.into()),
            github_secret: options.github_secret.map(secret),
        };
        let HookOptions { require_tls, require_ip, post_body_limit, timestamp_delta_limit, allow_cross_origin, .. } =
            options;
        let batch_max = BridgeConfig::BATCH_MAX;
        let guard =
            Guard { require_tls, require_ip, post_body_limit, timestamp_delta_limit, batch_max, allow_cross_origin };
        guard.read((self.realm, self.role), (action, None), at)
    }
}

impl Guard {
    fn read(
        self,
        (realm, role): (Box<str>, Box<str>),
        (action, signed): (Action, Option<(Box<str>, Secret)>),
        at: &str,
    ) -> Read<(BridgeConfig, Value)> {
        let delta = self.timestamp_delta_limit.map_or(BridgeConfig::TIMESTAMP_DELTA, Duration::from_secs);
        if delta.as_secs() > TIMESTAMP_DELTA_MAX {
            let text = format!("is not a number of seconds from 0 to {TIMESTAMP_DELTA_MAX}");
            return Err(Fault::new(&format!("{at}.options.timestamp_delta_limit"), text));
        }
        if self.post_body_limit.is_some_and(|limit| limit > BODY_BYTES_MAX) {
            let text = format!("is not a number of octets from 0 to {BODY_BYTES_MAX}");
            return Err(Fault::new(&format!("{at}.options.post_body_limit"), text));
        }
        let network = |text: &String| {
            let wrong = || Fault::new(&format!("{at}.options.require_ip"), format!("{text:?} is no network"));
            network(text).ok_or_else(wrong)
        };
        let auth = json!({"anonymous": {"type": "static", "realm": realm, "role": role}});
        let config = BridgeConfig {
            action,
            transport: 0,
            realm,
            signed,
            timestamp_delta_max: Some(delta).filter(|delta| !delta.is_zero()),
            require_tls: self.require_tls,
            require_ip: self.require_ip.iter().map(network).collect::<Read<_>>()?,
            body_bytes_max: self.post_body_limit.filter(|limit| *limit > 0),
            batch_max: self.batch_max,
            cross_origin: self.allow_cross_origin,
        };
        Ok((config, auth))
    }
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
