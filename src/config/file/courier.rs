//! Components of the types `http-subscriber` and `http-callee`, which are of our own, and those of Crossbar.io that do the
//! same.

use super::seconds::{SECONDS_MAX, SECONDS_MIN, seconds};
use super::{Fault, ID, Read};
use crate::auth::config::Secret;
use crate::config::courier::{AnswerConfig, CourierConfig, Duty, Forward, ForwardConfig};
use crate::wamp::MatchPolicy;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The limits of what can be asked for.
const CONCURRENCY_MAX: usize = 256;
const RETRIES_MAX: u32 = 1000;
const QUEUE_MAX: usize = 1_000_000;
const ANSWER_MAX: u64 = 1 << 30;

/// Takes events to servers of HTTP; of routers only.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-crossbar" = "has the class `crossbar.adapter.rest.MessageForwarder`, which is read as this one"))]
pub(super) struct Subscriber {
    /// Its name; by default `component001` and so on, by its place.
    #[schemars(regex(pattern = ID), extend("examples" = ["hooks"]))]
    id: Option<String>,
    /// The realm that it joins.
    realm: String,
    /// Its role. `trusted` may do everything in realms that do not define that role.
    #[schemars(extend("default" = "anonymous"))]
    role: Option<Box<str>>,
    /// Which events, and where to.
    subscriptions: Vec<Subscription>,
    /// How events are taken there.
    #[serde(default)]
    options: SubscriberOptions,
}

/// Events for a server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscription {
    /// The topic or pattern.
    #[schemars(extend("examples" = ["com.example.order"]))]
    topic: Box<str>,
    /// How topics match.
    #[schemars(extend("enum" = ["exact", "prefix", "wildcard"], "default" = "exact"))]
    r#match: Option<String>,
    /// Where the events go.
    #[schemars(regex(pattern = "^https?://[^/]"), extend("examples" = ["https://app.example/orders"]))]
    url: Box<str>,
}

/// Has calls answered by a server of HTTP; of routers only.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-crossbar" = "has the class `crossbar.adapter.rest.RESTCallee`, which is read as this one"))]
pub(super) struct Callee {
    /// Its name; by default `component001` and so on, by its place.
    #[schemars(regex(pattern = ID), extend("examples" = ["hooks"]))]
    id: Option<String>,
    /// The realm that it joins.
    realm: String,
    /// Its role. `trusted` may do everything in realms that do not define that role.
    #[schemars(extend("default" = "anonymous"))]
    role: Option<Box<str>>,
    /// The procedure that it registers.
    #[schemars(extend("examples" = ["com.example.rest"]))]
    procedure: Box<str>,
    /// Where the addresses that callers give begin. They lead to no other server.
    #[schemars(regex(pattern = "^https?://[^/]"), extend("examples" = ["https://app.example/api/"]))]
    base_url: Box<str>,
    /// How calls are answered.
    #[serde(default)]
    options: CalleeOptions,
}

/// Options of who takes events to servers.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "HttpSubscriberOptions")]
pub(super) struct SubscriberOptions {
    /// The method of the requests.
    #[schemars(extend("enum" = METHODS, "default" = METHODS[0]))]
    method: Option<Box<str>>,
    /// The status that says that an event has been taken. Without it, any from 200 to 299.
    #[schemars(extend("examples" = [204]))]
    expected_code: Option<u16>,
    /// Headers of each request, such as tokens.
    #[schemars(extend("propertyNames" = {"pattern": "^[-_0-9A-Za-z]+$"}, "examples" = [{"Authorization": "${TOKEN}"}]))]
    headers: BTreeMap<Box<str>, Box<str>>,
    /// How long a request may take.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = CourierConfig::TIMEOUT.as_secs()))]
    timeout: Option<f64>,
    /// Requests at the same time. With more than one, events may come out of order.
    #[schemars(range(min = 1, max = CONCURRENCY_MAX), extend("default" = FORWARD_CONCURRENCY))]
    concurrency: Option<usize>,
    /// How often it is tried again.
    #[schemars(range(max = RETRIES_MAX), extend("default" = ForwardConfig::RETRIES))]
    retries: Option<u32>,
    /// After which time it is tried again first; each time it is doubled.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = ForwardConfig::BACKOFF.as_secs()))]
    backoff: Option<f64>,
    /// After which time at most.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = ForwardConfig::BACKOFF_MAX.as_secs()))]
    backoff_max: Option<f64>,
    /// Events that wait. Beyond: they are given up.
    #[schemars(range(min = 1, max = QUEUE_MAX), extend("default" = ForwardConfig::QUEUE_MAX))]
    queue_max: Option<usize>,
}

/// Options of who has calls answered by servers.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "HttpCalleeOptions")]
pub(super) struct CalleeOptions {
    /// Headers of each request, such as tokens.
    #[schemars(extend("propertyNames" = {"pattern": "^[-_0-9A-Za-z]+$"}, "examples" = [{"Authorization": "${TOKEN}"}]))]
    headers: BTreeMap<Box<str>, Box<str>>,
    /// How long a request may take.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = CourierConfig::TIMEOUT.as_secs()))]
    timeout: Option<f64>,
    /// Calls that are answered at the same time; more wait.
    #[schemars(range(min = 1, max = CONCURRENCY_MAX), extend("default" = CourierConfig::CONCURRENCY))]
    concurrency: Option<usize>,
    /// Octets of an answer. Beyond: the call fails.
    #[schemars(range(min = 1, max = ANSWER_MAX),
        extend("x-unit" = "octets", "default" = AnswerConfig::ANSWER_BYTES_MAX))]
    answer_limit: Option<u64>,
}

/// The methods by which events are taken to servers; the first one if nothing is said.
const METHODS: [&str; 3] = ["POST", "PUT", "PATCH"];
/// How many events are under way at the same time if nothing is said: with one they stay in order.
const FORWARD_CONCURRENCY: usize = 1;

/// What both kinds have.
struct Common {
    id: Option<String>,
    realm: String,
    role: Option<Box<str>>,
    headers: BTreeMap<Box<str>, Box<str>>,
    timeout: Option<f64>,
    concurrency: usize,
}

/// A courier, and the id that it has been given.
pub(super) type Given = (CourierConfig, Option<String>);

/// What Crossbar.io has instead: the class, the type here.
const CLASSES: [(&str, &str); 2] = [("MessageForwarder", "http-subscriber"), ("RESTCallee", "http-callee")];

/// A component of Crossbar.io that does what a courier does, in the words of a courier. None: it is something else.
pub(super) fn translate(value: &Value) -> Option<Value> {
    let class = value.get("classname").filter(|_| value.get("type").is_some_and(|kind| kind == "class"))?.as_str()?;
    let module =
        ["crossbar.adapter.rest.", "crossbar.bridge.rest."].into_iter().find(|module| class.starts_with(module))?;
    let name = class[module.len()..].rsplit('.').next()?;
    let (_, kind) = CLASSES.into_iter().find(|(known, _)| *known == name)?;
    let extra = value.get("extra").cloned().unwrap_or_default();
    let mut own = Map::new();
    own.insert("type".into(), kind.into());
    for key in ["id", "realm", "role"] {
        own.extend(value.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    let mut options = Map::new();
    for (key, name) in [("method", "method"), ("expectedcode", "expected_code")] {
        options.extend(extra.get(key).map(|value| (name.to_owned(), value.clone())));
    }
    for (key, name) in [("subscriptions", "subscriptions"), ("procedure", "procedure"), ("baseurl", "base_url")] {
        own.extend(extra.get(key).map(|value| (name.to_owned(), value.clone())));
    }
    own.insert("options".into(), json!(options));
    Some(own.into())
}

/// Reads one that takes events to servers. Its id is that of its worker for now.
pub(super) fn read_subscriber(subscriber: Subscriber, worker: (&str, &str), at: &str) -> Read<Given> {
    let Subscriber { id, realm, role, subscriptions, options } = subscriber;
    let duty = Duty::Forward(forward(subscriptions, &options, at)?);
    let SubscriberOptions { headers, timeout, concurrency, .. } = options;
    let concurrency = concurrency.unwrap_or(FORWARD_CONCURRENCY);
    Common { id, realm, role, headers, timeout, concurrency }.read(duty, worker, at)
}

/// Reads one that has calls answered. Its id is that of its worker for now.
pub(super) fn read_callee(callee: Callee, worker: (&str, &str), at: &str) -> Read<Given> {
    let Callee { id, realm, role, procedure, base_url, options } = callee;
    is_url(&base_url, &format!("{at}.base_url"))?;
    let CalleeOptions { headers, timeout, concurrency, answer_limit } = options;
    let answer_bytes_max = answer_limit.unwrap_or(AnswerConfig::ANSWER_BYTES_MAX);
    within(answer_bytes_max, 1, ANSWER_MAX, "answer_limit", at)?;
    let duty = Duty::Answer(AnswerConfig { procedure: (&*procedure).into(), base_url, answer_bytes_max });
    let concurrency = concurrency.unwrap_or(CourierConfig::CONCURRENCY);
    Common { id, realm, role, headers, timeout, concurrency }.read(duty, worker, at)
}

impl Common {
    fn read(self, duty: Duty, (worker, namespace): (&str, &str), at: &str) -> Read<Given> {
        within(self.concurrency, 1, CONCURRENCY_MAX, "concurrency", at)?;
        for (name, value) in &self.headers {
            let good =
                !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet));
            if !good || !value.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
                return Err(Fault::new(&format!("{at}.options.headers"), format!("{name:?} is no header")));
            }
        }
        let secret = |(name, value): (Box<str>, Box<str>)| (name, Secret(value.into_boxed_bytes()));
        let config = CourierConfig {
            id: worker.into(),
            namespace: namespace.into(),
            realm: self.realm.as_str().into(),
            role: self.role.unwrap_or_else(|| "anonymous".into()),
            duty,
            timeout: seconds("timeout", self.timeout, CourierConfig::TIMEOUT, at)?,
            concurrency: self.concurrency,
            headers: self.headers.into_iter().map(secret).collect(),
        };
        Ok((config, self.id))
    }
}

fn within<T: Copy + PartialOrd + std::fmt::Display>(value: T, min: T, max: T, name: &str, at: &str) -> Read<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Fault::new(&format!("{at}.options.{name}"), format!("is {value}, not a number up to {max}")))
}

fn is_url(url: &str, at: &str) -> Read<()> {
    let host = ["http://", "https://"].into_iter().find_map(|scheme| url.strip_prefix(scheme));
    let good = host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'));
    if good && url.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Fault::new(at, format!("is {url:?}, which is no URL of HTTP")))
}

fn forward(subscriptions: Vec<Subscription>, options: &SubscriberOptions, at: &str) -> Read<ForwardConfig> {
    let read = |(index, Subscription { topic, r#match, url }): (usize, Subscription)| {
        let at = format!("{at}.subscriptions[{index}]");
        is_url(&url, &format!("{at}.url"))?;
        let policy = r#match.map_or(Some(MatchPolicy::Exact), |name| MatchPolicy::from_name(&name));
        let policy = policy.ok_or_else(|| Fault::new(&format!("{at}.match"), "is not exact, prefix or wildcard"))?;
        Ok(Forward { topic: (&*topic).into(), policy, url })
    };
    let method = options.method.clone().unwrap_or_else(|| METHODS[0].into());
    if !METHODS.contains(&&*method) {
        return Err(Fault::new(&format!("{at}.options.method"), format!("is {method:?}, not POST, PUT or PATCH")));
    }
    let retries = options.retries.unwrap_or(ForwardConfig::RETRIES);
    within(retries, 0, RETRIES_MAX, "retries", at)?;
    let queue_max = options.queue_max.unwrap_or(ForwardConfig::QUEUE_MAX);
    within(queue_max, 1, QUEUE_MAX, "queue_max", at)?;
    Ok(ForwardConfig {
        subscriptions: subscriptions.into_iter().enumerate().map(read).collect::<Read<_>>()?,
        method,
        expected: options.expected_code,
        retries,
        backoff: seconds("backoff", options.backoff, ForwardConfig::BACKOFF, at)?,
        backoff_max: seconds("backoff_max", options.backoff_max, ForwardConfig::BACKOFF_MAX, at)?,
        queue_max,
    })
}

#[cfg(test)]
mod tests {
    use super::super::component::Component;
    use super::*;

    fn courier(value: Value) -> Result<CourierConfig, String> {
        let value = translate(&value).unwrap_or(value);
        let read = Component::read(value, "x").and_then(|component| match component {
            Component::Subscriber(subscriber) => read_subscriber(subscriber, ("w", ""), "x"),
            Component::Callee(callee) => read_callee(callee, ("w", ""), "x"),
            _ => panic!("another type"),
        });
        read.map(|(config, _)| config).map_err(|fault| format!("{}: {}", fault.at, fault.message))
    }

    #[test]
    fn components_of_crossbar_are_understood() {
        let subscriptions = json!([{"topic": "a.", "match": "prefix", "url": "http://b/c"}]);
        let own = courier(json!({"type": "http-subscriber", "realm": "r", "role": "x", "subscriptions": subscriptions,
            "options": {"method": "PUT", "expected_code": 204}}));
        let theirs = courier(
            json!({"type": "class", "classname": "crossbar.adapter.rest.MessageForwarder", "realm": "r",
            "role": "x", "extra": {"subscriptions": subscriptions, "method": "PUT", "expectedcode": 204, "debug": true}}),
        );
        assert_eq!(own, theirs);
        let own = own.expect("a courier");
        let Duty::Forward(forward) = &own.duty else { panic!("events") };
        assert_eq!((own.concurrency, forward.retries, forward.subscriptions[0].policy), (1, 8, MatchPolicy::Prefix));
        let own = courier(json!({"type": "http-callee", "realm": "r", "procedure": "a.b", "base_url": "https://c/d/"}));
        let theirs = courier(json!({"type": "class", "classname": "crossbar.adapter.rest.RESTCallee", "realm": "r",
            "extra": {"procedure": "a.b", "baseurl": "https://c/d/"}}));
        assert_eq!(own, theirs);
        assert_eq!(own.expect("a courier").concurrency, 8);
        assert_eq!(translate(&json!({"type": "class", "classname": "crossbar.adapter.rest.Other"})), None);
        assert_eq!(translate(&json!({"type": "class", "classname": "my.RESTCallee"})), None);
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let subscriber = |subscription: Value, options: Value| json!({"type": "http-subscriber", "realm": "r", "subscriptions": [subscription], "options": options});
        let good = json!({"topic": "a", "url": "http://b"});
        let callee = |url: &str, options: Value| json!({"type": "http-callee", "realm": "r", "procedure": "a", "base_url": url, "options": options});
        for (wrong, said) in [
            (subscriber(json!({"topic": "a", "url": "b"}), json!({})), "x.subscriptions[0].url: is \"b\""),
            (subscriber(json!({"topic": "a", "url": "http://b", "match": "x"}), json!({})), "x.subscriptions[0].match"),
            (subscriber(good.clone(), json!({"method": "GET"})), "x.options.method: is \"GET\""),
            (subscriber(good.clone(), json!({"queue_max": 0})), "x.options.queue_max: is 0"),
            (subscriber(good.clone(), json!({"backoff": 0})), "x.options.backoff: is not"),
            (subscriber(good.clone(), json!({"answer_limit": 1})), "x.options.answer_limit: is not known"),
            (subscriber(good, json!({"headers": {"a b": "c"}})), "x.options.headers: \"a b\""),
            (callee("ftp://x", json!({})), "x.base_url: is \"ftp://x\""),
            (callee("http://x", json!({"retries": 1})), "x.options.retries: is not known"),
            (callee("http://x", json!({"concurrency": 0})), "x.options.concurrency: is 0"),
        ] {
            let text = courier(wrong).map(drop).expect_err("a mistake");
            assert!(text.starts_with(said), "{text}");
        }
    }
}
