//! Paths of the type `eventsource`, which is of our own.

use super::{Fault, Read, read};
use crate::config::events::EventsConfig;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The limits of what can be asked for.
const SECONDS_MAX: f64 = 3600.0;
const SECONDS_MIN: f64 = 0.01;
const TOPICS_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    realm: Box<str>,
    role: Option<Box<str>>,
    auth: Option<Value>,
    cookie: Option<Value>,
    #[serde(default)]
    options: Options,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    heartbeat: Option<f64>,
    retry: Option<f64>,
    topics_max: Option<usize>,
    #[serde(default)]
    event_name: Name,
    #[serde(default)]
    allow_cross_origin: bool,
}

/// What events are called.
#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Name {
    #[default]
    Message,
    Topic,
}

/// A path, and the `auth` and `cookie` of the way in that its sessions come by.
pub(super) type Given = (EventsConfig, Value, Option<Value>);

/// Reads a path.
pub(super) fn read_events(value: Value, at: &str) -> Read<Given> {
    let Events { realm, role, auth, cookie, options, .. } = read(value, at)?;
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
    let config = EventsConfig {
        cookie: known,
        heartbeat: time("heartbeat", options.heartbeat, EventsConfig::HEARTBEAT)?,
        retry: time("retry", options.retry, EventsConfig::RETRY)?,
        topics_max,
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
        let read = |value: Value| read_events(value, "x").map_err(|fault| format!("{}: {}", fault.at, fault.message));
        let path = |more: Value| {
            let mut value = json!({"type": "eventsource", "realm": "r"});
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
        let own = json!({"auth": {"cookie": {}, "ticket": {}}, "cookie": {"store": {"type": "memory"}}});
        assert!(read(path(own)).expect("a path").0.cookie);
        for (wrong, said) in [
            (json!({}), "x: needs either"),
            (json!({"role": "web", "auth": {}}), "x: needs either"),
            (json!({"auth": {"ticket": {}}}), "x.auth: has neither"),
            (json!({"role": "web", "options": {"retry": 0}}), "x.options.retry: is not"),
            (json!({"role": "web", "options": {"topics_max": 0}}), "x.options.topics_max: is not"),
        ] {
            let text = read(path(wrong)).map(drop).expect_err("a mistake");
            assert!(text.starts_with(said), "{text}");
        }
    }
}
