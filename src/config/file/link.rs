//! Links of a realm to other routers.

use super::connecting::{Connecting, absolute, read_connecting};
use super::kinds::kinds;
use super::schema::OWN;
use super::seconds::{SECONDS_MAX, SECONDS_MIN, seconds};
use super::{Fault, Read, Reader, read};
use crate::auth::config::Secret;
use crate::client::Address;
use crate::config::link::{LinkConfig, LinkLogin, LinkWay};
use crate::config::{ListenAddress, RuntimeConfig};
use crate::session::RealmConfig;
use crate::wamp::{Serializer, UriRules};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A link to a realm of another router: events and calls go over it both ways.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RouterLink")]
pub(super) struct Link {
    /// Its name; by default `rlink000` and so on, by its place.
    #[schemars(extend("examples" = ["to_node2"]))]
    id: Option<Box<str>>,
    /// The realm there.
    #[schemars(extend("examples" = ["realm1"]))]
    realm: String,
    /// How the other router is reached.
    #[schemars(with = "Connecting")]
    transport: Value,
    /// Who it says it is there. Without it, the other router knows by the key.
    #[schemars(extend("examples" = ["node1"]))]
    authid: Option<Box<str>>,
    /// What it shows that with. Without it, the key of the node (`key.priv`) if there is one, or nothing.
    #[schemars(with = "Option<Login>", extend("x-crossbar" = OWN))]
    auth: Option<Value>,
    /// Events that it has brought are not for these users, on either side.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = "heeds it on the other side only", "examples" = [["node2"]]))]
    exclude_authid: Vec<Box<str>>,
    /// Nor for sessions with these roles.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = OWN, "examples" = [["guest"]]))]
    exclude_authrole: Vec<Box<str>>,
    /// What subscribers here want is brought from there.
    #[schemars(extend("default" = true))]
    forward_local_events: Option<bool>,
    /// What subscribers there want is brought from here.
    #[schemars(extend("default" = true))]
    forward_remote_events: Option<bool>,
    /// Procedures that are registered here can be called there.
    #[schemars(extend("default" = true))]
    forward_local_invocations: Option<bool>,
    /// Procedures that are registered there can be called here.
    #[schemars(extend("default" = true))]
    forward_remote_invocations: Option<bool>,
    /// Limits and times.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = OWN))]
    options: Options,
}

/// Limits and times of a link.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "RouterLinkOptions")]
struct Options {
    /// Events of one direction that wait or are not acknowledged; one of more than 1 KiB counts as many as it has KiB.
    /// Beyond: they are lost, and counted.
    #[schemars(range(min = 1, max = COUNT_MAX), extend("default" = LinkConfig::QUEUE_MAX))]
    queue_max: Option<usize>,
    /// Calls of one direction that are not answered. Beyond: they fail with `wamp.error.unavailable`.
    #[schemars(range(min = 1, max = COUNT_MAX), extend("default" = LinkConfig::CALLS_MAX))]
    calls_max: Option<usize>,
    /// Routers that a message may have come by. 1: what has come over a link goes over no other one.
    #[schemars(range(min = 1, max = HOPS_MAX), extend("default" = LinkConfig::HOPS_MAX))]
    hops_max: Option<usize>,
    /// After which time it is tried for again when it is lost, about; each time it is doubled.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = LinkConfig::RETRY_DELAY.as_secs_f64()))]
    retry_delay: Option<f64>,
    /// After which time at most.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = LinkConfig::RETRY_DELAY_MAX.as_secs()))]
    retry_delay_max: Option<f64>,
}

const COUNT_MAX: usize = 1_000_000;
const HOPS_MAX: usize = 64;

kinds! {
    /// What a link shows who it is with.
    enum Login {
        "cryptosign" => Cryptosign(Cryptosign),
        "ticket" => Ticket(Ticket),
        "wampcra" => Cra(Cra),
        "scram" => Scram(Scram),
        "anonymous" => Anonymous(Anonymous),
    }
}

/// An Ed25519 key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LinkCryptosign")]
struct Cryptosign {
    /// The file of the key, relative to the node directory: as `corebar keys` writes it, or 64 hexadecimal digits.
    #[schemars(extend("default" = NODE_KEY))]
    key: Option<PathBuf>,
}

/// A secret that is shown as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LinkTicket")]
struct Ticket {
    /// The ticket.
    #[schemars(extend("examples" = ["${LINK_TICKET}"]))]
    ticket: Box<str>,
}

/// A secret that is not shown.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LinkWampCra")]
struct Cra {
    /// The secret, or the password that it is derived from.
    #[schemars(extend("examples" = ["${LINK_SECRET}"]))]
    secret: Box<str>,
}

/// A password that is not shown.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LinkScram")]
struct Scram {
    /// The password.
    #[schemars(extend("examples" = ["${LINK_PASSWORD}"]))]
    password: Box<str>,
}

/// Nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LinkAnonymous")]
struct Anonymous {}

/// The file of a node's key in its directory.
const NODE_KEY: &str = "key.priv";

/// Reads the links of a realm.
pub(super) fn read_links(
    reader: &mut Reader,
    links: Vec<Value>,
    realm: &RealmConfig,
    at: &str,
) -> Read<Vec<LinkConfig>> {
    let mut all: Vec<LinkConfig> = Vec::new();
    for (index, value) in links.into_iter().enumerate() {
        let at = format!("{at}[{index}]");
        let link = read_link(reader, value, (realm, index), &at)?;
        if all.iter().any(|known| known.id == link.id) {
            return Err(Fault::new(&format!("{at}.id"), format!("{:?} is there twice", link.id)));
        }
        all.push(link);
    }
    Ok(all)
}

/// Leaves links out that lead from a realm to itself: the router workers of a node that Crossbar.io links are one here.
pub(super) fn leave_out_own(reader: &mut Reader, config: &mut RuntimeConfig) {
    let places: Vec<ListenAddress> = config.listeners.iter().map(|listener| listener.address.clone()).collect();
    let directory = absolute(reader);
    let is_own = |link: &LinkConfig| {
        let address = link.way.url.parse::<Address>().ok();
        link.realm == link.remote_realm
            && places.iter().any(|place| match (place, &address) {
                (ListenAddress::Unix(path), Some(Address::Unix(there))) => directory.join(path) == *there,
                (ListenAddress::Tcp { port: own, .. }, Some(Address::WebSocket { host, port, .. }))
                | (ListenAddress::Tcp { port: own, .. }, Some(Address::RawSocket { host, port, .. })) => {
                    own == port && (host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()))
                }
                _ => false,
            })
    };
    let (own, links) = std::mem::take(&mut config.links).into_iter().partition(is_own);
    config.links = links;
    for link in own {
        let text = "leads to this node, whose router workers are one, and has no effect";
        reader.warn(&format!("the link {:?} of realm {}", link.id, link.realm), text);
    }
}

fn read_link(reader: &mut Reader, value: Value, (local, index): (&RealmConfig, usize), at: &str) -> Read<LinkConfig> {
    let link: Link = read(value, at)?;
    if !UriRules::Loose.allow(&link.realm) {
        return Err(Fault::new(&format!("{at}.realm"), format!("is {:?}, which is no name of a realm", link.realm)));
    }
    let options = link.options;
    let count = |name: &str, value: Option<usize>, otherwise: usize, max: usize| {
        let value = value.unwrap_or(otherwise);
        let text = || format!("is {value}, not a number from 1 to {max}");
        let fits = (1..=max).contains(&value);
        fits.then_some(value).ok_or_else(|| Fault::new(&format!("{at}.options.{name}"), text()))
    };
    Ok(LinkConfig {
        id: link.id.unwrap_or_else(|| format!("rlink{index:03}").into()),
        namespace: local.namespace.clone(),
        realm: local.name.clone(),
        remote_realm: link.realm.as_str().into(),
        way: read_way(reader, link.transport, &format!("{at}.transport"))?,
        login: read_login(reader, link.auth, link.authid.is_some(), &format!("{at}.auth"))?,
        authid: link.authid,
        exclude_authid: link.exclude_authid,
        exclude_authrole: link.exclude_authrole,
        local_events: link.forward_local_events.unwrap_or(true),
        remote_events: link.forward_remote_events.unwrap_or(true),
        local_calls: link.forward_local_invocations.unwrap_or(true),
        remote_calls: link.forward_remote_invocations.unwrap_or(true),
        queue_max: count("queue_max", options.queue_max, LinkConfig::QUEUE_MAX, COUNT_MAX)?,
        calls_max: count("calls_max", options.calls_max, LinkConfig::CALLS_MAX, COUNT_MAX)?,
        hops_max: count("hops_max", options.hops_max, LinkConfig::HOPS_MAX, HOPS_MAX)?,
        retry_delay: seconds("retry_delay", options.retry_delay, LinkConfig::RETRY_DELAY, at)?,
        retry_delay_max: seconds("retry_delay_max", options.retry_delay_max, LinkConfig::RETRY_DELAY_MAX, at)?,
    })
}

fn read_login(reader: &Reader, auth: Option<Value>, named: bool, at: &str) -> Read<LinkLogin> {
    let node = |key: Option<PathBuf>| reader.directory.join(key.unwrap_or_else(|| NODE_KEY.into()));
    let Some(auth) = auth else { return Ok(LinkLogin::Node(node(None))) };
    let secret = |text: Box<str>| Secret(text.into_boxed_bytes());
    let login = match Login::read(auth, at)? {
        Login::Cryptosign(key) => return Ok(LinkLogin::Key(node(key.key))),
        Login::Anonymous(_) => return Ok(LinkLogin::Anonymous),
        Login::Ticket(ticket) => LinkLogin::Ticket(secret(ticket.ticket)),
        Login::Cra(cra) => LinkLogin::Cra(secret(cra.secret)),
        Login::Scram(scram) => LinkLogin::Scram(secret(scram.password)),
    };
    if !named {
        return Err(Fault::new(at, "needs an `authid` beside it"));
    }
    Ok(login)
}

/// What has been read of a transport, as a client has it.
fn read_way(reader: &mut Reader, value: Value, at: &str) -> Read<LinkWay> {
    let transport = read_connecting(reader, value, at)?;
    let endpoint = &transport["endpoint"];
    let websocket = transport["type"] == "websocket";
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fault = |key: &str, message: &str| Err(Fault::new(&format!("{at}.endpoint{key}"), message));
    let tls = endpoint.get("tls");
    let url = match (&*text(&endpoint["type"]), websocket) {
        ("unix", false) => format!("unix://{}", text(&endpoint["path"])),
        ("unix", true) => return fault("", "is a Unix socket, by which a link speaks RawSocket only"),
        ("tcp", _) => {
            let host = text(&endpoint["host"]);
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            let url = text(&transport["url"]);
            let (scheme, rest) = url.split_once("://").unwrap_or_default();
            if websocket && (scheme == "wss") != tls.is_some() {
                return fault("", "and `url` do not agree about TLS");
            }
            let scheme = if websocket { "ws" } else { "rs" };
            let path = rest.find('/').filter(|_| websocket).map_or("", |from| &rest[from..]);
            let scheme = if tls.is_some() { format!("{scheme}s") } else { scheme.into() };
            format!("{scheme}://{host}:{}{path}", endpoint["port"])
        }
        _ => return fault(".type", "has to be `tcp` or `unix` for a link"),
    };
    if endpoint.get("version").is_some() {
        reader.warn(&format!("{at}.endpoint.version"), "has no effect on a link");
    }
    let authorities = tls.and_then(|tls| tls["ca_certificates"].as_array().cloned()).unwrap_or_default();
    if authorities.len() > 1 {
        return fault(".tls.ca_certificates", "has to be one file for a link, which may hold several certificates");
    }
    let options = &transport["options"];
    let number = |name: &str| options.get(name).and_then(Value::as_u64).filter(|number| *number > 0);
    let millis = |name: &str, otherwise: Duration| number(name).map_or(otherwise, Duration::from_millis);
    let path = |value: &Value| PathBuf::from(text(value));
    let pair = |tls: &Value| tls.get("certificate").map(|certificate| (path(certificate), path(&tls["key"])));
    let timeout = endpoint.get("timeout").and_then(Value::as_f64).map(Duration::from_secs_f64);
    let known = |name: &str| Serializer::ALL.into_iter().find(|serializer| serializer.name() == name);
    let names = transport["serializers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut serializers: Vec<Serializer> = names.filter_map(known).collect();
    if serializers.is_empty() {
        serializers = vec![Serializer::Cbor, Serializer::MsgPack, Serializer::Json];
    }
    let server_name = tls.map(|tls| text(&tls["hostname"])).filter(|name| *name != text(&endpoint["host"]));
    Ok(LinkWay {
        url,
        server_name,
        serializers,
        message_bytes_max: number("max_message_size").map_or(MESSAGE_BYTES_MAX, |size| size as usize),
        timeout: timeout.unwrap_or_else(|| millis("open_handshake_timeout", TIMEOUT)),
        ping_interval: millis("auto_ping_interval", PING),
        ping_timeout: millis("auto_ping_timeout", PING),
        authorities: authorities.first().map(path),
        certificate: tls.and_then(pair),
    })
}

/// What holds where a transport does not say it.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);
const PING: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn links(links: Value) -> Result<(Vec<LinkConfig>, Vec<String>), String> {
        let mut reader = Reader { directory: "/node".into(), ..Reader::default() };
        let Value::Array(links) = links else { panic!("a list") };
        let read = read_links(&mut reader, links, &RealmConfig::new("realm1"), "x");
        read.map(|links| (links, reader.warnings)).map_err(|fault| format!("{}: {}", fault.at, fault.message))
    }

    fn websocket() -> Value {
        json!({"type": "websocket", "url": "ws://b.example:8002/ws?x",
            "endpoint": {"type": "tcp", "host": "localhost", "port": 8002}})
    }

    #[test]
    fn defaults_are_those_of_crossbar() {
        let (read, warnings) = links(json!([{"realm": "there", "transport": websocket()}])).expect("a link");
        let link = &read[0];
        assert_eq!((&*link.id, &*link.realm, &*link.remote_realm), ("rlink000", "realm1", "there"));
        assert!(link.local_events && link.remote_events && link.local_calls && link.remote_calls);
        assert_eq!(link.way.url, "ws://localhost:8002/ws?x");
        assert_eq!((&link.login, link.hops_max), (&LinkLogin::Node("/node/key.priv".into()), 8));
        assert!(warnings.is_empty());
    }

    #[test]
    fn ways_are_those_of_clients() {
        let url = |transport: Value| {
            let (read, _) = links(json!([{"realm": "a", "transport": transport}]))?;
            Ok::<_, String>((read[0].way.url.clone(), read[0].way.server_name.clone()))
        };
        let tcp = |more: Value| {
            let mut endpoint = json!({"type": "tcp", "host": "::1", "port": 1});
            endpoint.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
            endpoint
        };
        let tls = json!({"tls": {"hostname": "r.example", "ca_certificates": ["ca.crt"]}});
        let plain = url(json!({"type": "rawsocket", "endpoint": tcp(json!({})), "serializer": "cbor"}));
        assert_eq!(plain, Ok(("rs://[::1]:1".into(), None)));
        let secure = url(json!({"type": "rawsocket", "endpoint": tcp(tls.clone())}));
        assert_eq!(secure, Ok(("rss://[::1]:1".into(), Some("r.example".into()))));
        let secure = url(json!({"type": "websocket", "url": "wss://x/y", "endpoint": tcp(tls.clone())}));
        assert_eq!(secure, Ok(("wss://[::1]:1/y".into(), Some("r.example".into()))));
        let unix = url(json!({"type": "rawsocket", "endpoint": {"type": "unix", "path": "edge.sock"}}));
        assert_eq!(unix, Ok(("unix:///node/edge.sock".into(), None)));
        for (wrong, said) in [
            (
                json!({"type": "websocket", "url": "ws://x", "endpoint": {"type": "unix", "path": "a"}}),
                "x[0].transport.endpoint: is a Unix",
            ),
            (
                json!({"type": "websocket", "url": "ws://x/y", "endpoint": tcp(tls)}),
                "x[0].transport.endpoint: and `url`",
            ),
            (
                json!({"type": "rawsocket", "endpoint": {"type": "twisted", "client_string": "tcp:1"}}),
                "x[0].transport.endpoint.type",
            ),
        ] {
            let text = url(wrong).expect_err("a mistake");
            assert!(text.starts_with(said), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let link = |more: Value| {
            let mut link = json!({"realm": "a", "transport": websocket()});
            link.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
            link
        };
        let (read, _) =
            links(json!([link(json!({"authid": "n", "auth": {"type": "ticket", "ticket": "t"}}))])).expect("a link");
        assert_eq!(read[0].login, LinkLogin::Ticket(Secret("t".as_bytes().into())));
        for (wrong, said) in [
            (json!([link(json!({"realm": "a b"}))]), "x[0].realm: is \"a b\""),
            (json!([link(json!({"id": "a"})), link(json!({"id": "a"}))]), "x[1].id: \"a\" is there twice"),
            (json!([link(json!({"options": {"hops_max": 0}}))]), "x[0].options.hops_max: is 0"),
            (json!([link(json!({"options": {"retry_delay": 0}}))]), "x[0].options.retry_delay: is not"),
            (json!([link(json!({"auth": {"type": "ticket", "ticket": "t"}}))]), "x[0].auth: needs"),
            (json!([link(json!({"forward_events": true}))]), "x[0]"),
        ] {
            let text = links(wrong).map(drop).expect_err("a mistake");
            assert!(text.starts_with(said), "{text}");
        }
    }
}
