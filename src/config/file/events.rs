//! Paths of the type `eventsource`, which is of our own.

use super::auth::Methods;
use super::cookie::Cookie;
use super::{Fault, Read};
use crate::config::events::EventsConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The limits of what can be asked for.
const SECONDS_MAX: f64 = 3600.0;
const SECONDS_MIN: f64 = 0.01;
const TOPICS_MAX: usize = 256;
const WINDOW_MAX: usize = 256;

/// Events for browsers: a plain `EventSource` subscribes by it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-crossbar" = "does not have this type",
    "anyOf" = [{"required": ["role"]}, {"required": ["auth"]}]))]
pub(super) struct Events {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// The realm of its sessions.
    #[schemars(extend("examples" = ["realm1"]))]
    realm: Box<str>,
    /// The role of all its sessions, which says what they may do; or else `auth`.
    #[schemars(extend("examples" = ["web"]))]
    role: Option<Box<str>>,
    /// How browsers say who they are, with `cookie` or `anonymous` among it: an `EventSource` has no other way.
    #[schemars(with = "Option<Methods>")]
    auth: Option<Value>,
    /// The cookie by which browsers are known again; with `auth`.
    #[schemars(with = "Option<Cookie>")]
    cookie: Option<Value>,
    /// How events are sent.
    #[serde(default)]
    options: EventsOptions,
}

/// Options of events for browsers.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EventsOptions {
    /// After this time without an event a comment is sent, so that nobody in between takes the connection for a dead one.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = EventsConfig::HEARTBEAT.as_secs()))]
    heartbeat: Option<f64>,
    /// How long browsers wait before they come again.
    #[schemars(range(min = SECONDS_MIN, max = SECONDS_MAX),
        extend("x-unit" = "seconds", "default" = EventsConfig::RETRY.as_secs()))]
    retry: Option<f64>,
    /// Topics that one stream may have.
    #[schemars(range(min = 1, max = TOPICS_MAX), extend("default" = EventsConfig::TOPICS_MAX))]
    topics_max: Option<usize>,
    /// How many publications the id of an event names, all topics of a stream together, some ten octets each. Events of
    /// different publishers may come in another order than they stand in a history; further apart than this, one may be missed
    /// or come twice when the connection has broken.
    #[schemars(range(min = 1, max = WINDOW_MAX), extend("default" = EventsConfig::WINDOW))]
    window: Option<usize>,
    /// What events are called.
    event_name: Name,
    /// Scripts of any page may read them.
    allow_cross_origin: bool,
}

/// What events are called.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "EventName")]
enum Name {
    /// Nothing, and so browsers take them for `message`.
    #[default]
    Message,
    /// By their topics.
    Topic,
}

/// A path, and the `auth` and `cookie` of the way in that its sessions come by.
pub(super) type Given = (EventsConfig, Value, Option<Value>);

/// Reads a path.
pub(super) fn read_events(events: Events, at: &str) -> Read<Given> {
    let Events { realm, role, auth, cookie, options, .. } = events;
    let known = auth.as_ref().is_some_and(|auth| auth.get("cookie").is_some());
    let auth = match (role, auth) {
        (Some(role), None) if cookie.is_none() => {
            json!({"anonymous": {"type": "static", "realm": realm, "role": role}})
        }
        (None, Some(auth)) if known || auth.get("anonymous").is_some() => auth,
        (None, Some(_)) => {
            let text = "has neither `cookie` nor `anonymous`: an EventSource has no other way to say who it is";
            return Err(Fault::new(&format!("{at}.auth"), text));
        }
        _ => return Err(Fault::new(at, "needs either a `role`, or `auth` (with a `cookie` beside it)")),
    };
    let time = |name: &str, seconds: Option<f64>, otherwise: Duration| match seconds {
        None => Ok(otherwise),
        Some(seconds) if (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Some(_) => {
            let text = format!("is not a number of seconds from {SECONDS_MIN} to {SECONDS_MAX}");
            Err(Fault::new(&format!("{at}.options.{name}"), text))
        }
    };
    let topics_max = options.topics_max.unwrap_or(EventsConfig::TOPICS_MAX);
    if !(1..=TOPICS_MAX).contains(&topics_max) {
        let text = format!("is not a number from 1 to {TOPICS_MAX}");
        return Err(Fault::new(&format!("{at}.options.topics_max"), text));
    }
    let window = options.window.unwrap_or(EventsConfig::WINDOW);
    if !(1..=WINDOW_MAX).contains(&window) {
        let text = format!("is not a number from 1 to {WINDOW_MAX}");
        return Err(Fault::new(&format!("{at}.options.window"), text));
    }
    let config = EventsConfig {
        cookie: known,
        heartbeat: time("heartbeat", options.heartbeat, EventsConfig::HEARTBEAT)?,
        retry: time("retry", options.retry, EventsConfig::RETRY)?,
        topics_max,
        window,
        named: matches!(options.event_name, Name::Topic),
        cross_origin: options.allow_cross_origin,
        ..EventsConfig::new(0, &realm)
    };
    Ok((config, auth, cookie))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_have_a_role_or_are_known_by_cookies() {
        let read = |value: Value| {
            let read = super::super::read(value, "x").and_then(|events| read_events(events, "x"));
            read.map_err(|fault| format!("{}: {}", fault.at, fault.message))
        };
        let path = |more: Value| {
            let mut value = json!({"realm": "r"});
            let own = value.as_object_mut().expect("an object");
            own.extend(more.as_object().expect("an object").clone());
            value
        };
        let (config, auth, _) = read(path(json!({"role": "web"}))).expect("a path");
        assert_eq!(config, EventsConfig::new(0, "r"));
        assert_eq!(auth["anonymous"], json!({"type": "static", "realm": "r", "role": "web"}));
        let options = json!({"heartbeat": 0.5, "retry": 1, "topics_max": 1, "event_name": "topic"});
        let (config, ..) = read(path(json!({"role": "web", "options": options}))).expect("a path");
        assert_eq!((config.heartbeat, config.retry), (Duration::from_millis(500), Duration::from_secs(1)));
        assert!(config.named && config.topics_max == 1 && !config.cookie);
        let own = json!({"auth": {"cookie": {}, "ticket": {"type": "static", "principals": {}}}, "cookie": {"store": {"type": "memory"}}});
        assert!(read(path(own)).expect("a path").0.cookie);
        for (wrong, said) in [
            (json!({}), "x: needs either"),
            (json!({"role": "web", "auth": {}}), "x: needs either"),
            (json!({"auth": {"ticket": {"type": "static", "principals": {}}}}), "x.auth: has neither"),
            (json!({"role": "web", "options": {"retry": 0}}), "x.options.retry: is not"),
            (json!({"role": "web", "options": {"topics_max": 0}}), "x.options.topics_max: is not"),
            (json!({"role": "web", "options": {"window": 257}}), "x.options.window: is not"),
        ] {
            let text = read(path(wrong)).map(drop).expect_err("a mistake");
            assert!(text.starts_with(said), "{text}");
        }
    }
}
