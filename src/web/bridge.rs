//! Requests that become publications and calls: who may ask, what is sent to the router, and what is answered.

use super::query;
use crate::auth::hmac_sha256;
use crate::config::bridge::{Action, BridgeConfig};
use crate::session::options::PublishOptions;
use crate::wamp::codec::{self, DecodeLimits};
use crate::wamp::{Message, Serializer, error};
use data_encoding::{BASE64URL, HEXLOWER};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// The parts of a request that matter, besides its body.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The query.
    pub query: Option<Box<str>>,
    /// All headers.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body: JSON, or for hooks a text.
    pub body: String,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The address.
    pub address: Option<IpAddr>,
    /// It has come over TLS.
    pub secure: bool,
    /// Now, since 1970.
    pub now: Duration,
}

/// The options of publications that are passed on; others are of no use here.
const OPTIONS: [&str; 10] = [
    "disclose_me",
    "eligible",
    "eligible_authid",
    "eligible_authrole",
    "exclude",
    "exclude_authid",
    "exclude_authrole",
    "exclude_me",
    "retain",
    "rkey",
];

/// An answer that says what was wrong with a request, in the form of errors of WAMP.
#[must_use]
pub fn failure(status: u16, text: &str) -> Answer {
    Answer { status, body: json!({"error": text, "args": [], "kwargs": {}}).to_string() }
}

/// What is answered when the router has ended the session.
#[must_use]
pub fn ended() -> Answer {
    failure(503, "the session of this path has ended; ask again")
}

impl Asked {
    /// The first header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The parameters of the query, of which the first of a name counts.
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (name, value) in query::pairs(self.query.as_deref().unwrap_or_default()) {
            all.entry(name).or_insert(value);
        }
        all
    }
}

/// Looks whether a request may be acted on.
///
/// # Errors
/// The answer that says why not.
pub fn admit(config: &BridgeConfig, asked: &Asked, body: &[u8], origin: Origin) -> Result<(), Answer> {
    let inside = |address: IpAddr| config.require_ip.iter().any(|net| net.contains(&address.to_canonical()));
    if !config.require_ip.is_empty() && !origin.address.is_some_and(inside) {
        return Err(failure(403, "this address may not ask"));
    }
    if config.require_tls && !origin.secure {
        return Err(failure(403, "requests have to come over TLS"));
    }
    let coded = asked.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Content-Encoding"));
    let plain = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    if !coded.flat_map(|(_, codings)| codings.split(',')).all(|coding| plain(coding.trim())) {
        return Err(failure(415, "bodies have to come as they are, without a Content-Encoding"));
    }
    if let Action::Hook { github_secret, .. } = &config.action {
        let Some(secret) = github_secret else { return Ok(()) };
        let said = asked.header("X-Hub-Signature-256").and_then(|said| said.strip_prefix("sha256="));
        let right = HEXLOWER.encode(&sign(&secret.0, &[body]));
        let same = said.is_some_and(|said| said.to_ascii_lowercase().as_bytes().ct_eq(right.as_bytes()).into());
        return if same { Ok(()) } else { Err(failure(401, "the signature of GitHub is missing or wrong")) };
    }
    if let Some(kind) = asked.header("Content-Type") {
        let mut parts = kind.split(';').map(|part| part.trim().to_ascii_lowercase());
        let json = parts.next().is_some_and(|kind| kind == "application/json");
        let charset = parts.filter_map(|part| part.strip_prefix("charset=").map(str::to_owned)).next();
        if !json || charset.is_some_and(|charset| !["utf-8", "utf8", "\"utf-8\""].contains(&&*charset)) {
            return Err(failure(400, "the content type has to be application/json in UTF-8"));
        }
    }
    match &config.signed {
        Some((key, secret)) => signed(config, (key, &secret.0), &asked.parameters(), body, origin.now),
        None => Ok(()),
    }
}

/// HMAC with SHA-256.
fn sign(secret: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    hmac_sha256(secret, &parts.concat())
}

fn signed(
    config: &BridgeConfig,
    (key, secret): (&str, &[u8]),
    parameters: &BTreeMap<String, String>,
    body: &[u8],
    now: Duration,
) -> Result<(), Answer> {
    let mut values = [""; 5];
    for (value, name) in values.iter_mut().zip(["key", "timestamp", "seq", "nonce", "signature"]) {
        *value = parameters.get(name).ok_or_else(|| failure(400, &format!("the parameter '{name}' is missing")))?;
    }
    let [said_key, timestamp, seq, nonce, signature] = values;
    let Ok(at) = timestamp.parse::<jiff::Timestamp>() else {
        return Err(failure(400, "the timestamp has to be one of UTC, such as 2011-10-14T16:59:51.123Z"));
    };
    if seq.parse::<u64>().is_err() || nonce.parse::<u64>().is_err() {
        return Err(failure(400, "'seq' and 'nonce' have to be whole numbers"));
    }
    let parts = [said_key, timestamp, seq, nonce].map(str::as_bytes);
    let right = BASE64URL.encode(&sign(secret, &[&parts[..], &[body]].concat()));
    let known = said_key.as_bytes().ct_eq(key.as_bytes()) & signature.as_bytes().ct_eq(right.as_bytes());
    if !bool::from(known) {
        return Err(failure(401, "the key is unknown or the signature is wrong"));
    }
    let off = i64::try_from(now.as_secs()).unwrap_or(i64::MAX).abs_diff(at.as_second());
    match config.timestamp_delta_max {
        Some(max) if off > max.as_secs() => Err(failure(400, "the timestamp is too far from the time here")),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    topic: Option<String>,
    procedure: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    kwargs: Option<&'a RawValue>,
    options: Option<Map<String, Value>>,
}

/// The publications of a request that brings several, in a list.
///
/// # Errors
/// The answer that says what is wrong with all of it.
pub fn batch<'a>(config: &BridgeConfig, body: &'a [u8]) -> Result<Option<Vec<&'a RawValue>>, Answer> {
    let list = body.trim_ascii_start().starts_with(b"[") && config.action == Action::Publish;
    if !list {
        return Ok(None);
    }
    let parts: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| no_json(&error))?;
    if parts.is_empty() || parts.len() > config.batch_max {
        return Err(failure(400, &format!("a list has to have 1 to {} publications", config.batch_max)));
    }
    Ok(Some(parts))
}

/// The answer to a request that has brought several publications.
#[must_use]
pub fn together(answers: &[Answer]) -> Answer {
    let answers: Vec<&str> = answers.iter().map(|answer| &*answer.body).collect();
    Answer { status: 200, body: format!("[{}]", answers.join(",")) }
}

/// The key by which a request is known that may come again.
#[must_use]
pub fn repeat_key<'a>(config: &BridgeConfig, asked: &'a Asked) -> Option<&'a str> {
    let hook = matches!(config.action, Action::Hook { .. });
    asked.header("Idempotency-Key").filter(|_| !hook).map(|key| key.trim_matches('"'))
}

/// Errors of which it is known that nothing has been done.
const UNDONE: [&str; 5] = [
    error::NO_SUCH_PROCEDURE,
    error::NOT_AUTHORIZED,
    error::AUTHORIZATION_FAILED,
    error::INVALID_URI,
    error::NO_AVAILABLE_CALLEE,
];

/// True if a request has done nothing, so that it may well come again.
#[must_use]
pub fn undone(answer: &Answer) -> bool {
    UNDONE.iter().any(|error| answer.body.starts_with(&format!("{{\"error\":\"{error}\"")))
}

/// The message that a request becomes, with this id. It breaks no rule for which the session would be ended.
///
/// # Errors
/// The answer that says what is wrong.
pub fn message(
    config: &BridgeConfig,
    asked: &Asked,
    body: &[u8],
    (id, timeout, depth): (u64, Duration, u16),
) -> Result<String, Answer> {
    let message = match &config.action {
        Action::Hook { topic, .. } => {
            let Ok(text) = std::str::from_utf8(body) else { return Err(failure(400, "the body is not UTF-8")) };
            let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            asked.headers.iter().for_each(|(name, value)| headers.entry(name).or_default().push(value));
            json!([16, id, {"acknowledge": true}, topic, [{"headers": headers, "body": text}]]).to_string()
        }
        Action::Publish => {
            let body = read(body, "a publication has to be an object in JSON, or several of them a list")?;
            let topic = body.topic.as_ref().ok_or_else(|| failure(400, "'topic' is missing"))?;
            let mut options = body.options.clone().unwrap_or_default();
            options.retain(|name, value| OPTIONS.contains(&&**name) && !value.is_null());
            options.insert("acknowledge".into(), true.into());
            write(&json!([16, id, options, topic]), &body)?
        }
        Action::Call => {
            let body = read(body, "a call has to be an object in JSON")?;
            let procedure = body.procedure.as_ref().ok_or_else(|| failure(400, "'procedure' is missing"))?;
            let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            write(&json!([48, id, {"timeout": timeout}, procedure]), &body)?
        }
    };
    let wrong = |error: &dyn std::fmt::Display| failure(400, &error.to_string());
    match codec::decode(Serializer::Json, message.as_bytes(), DecodeLimits { depth }) {
        Ok(Message::Publish(publish)) => {
            PublishOptions::read(&publish.options).map(drop).map_err(|error| wrong(&error))?
        }
        Ok(_) => {}
        Err(error) => return Err(wrong(&error)),
    }
    Ok(message)
}

/// Reads what is asked for; `wanted` says what it has to be.
fn read<'a>(body: &'a [u8], wanted: &str) -> Result<Body<'a>, Answer> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(|error| no_json(&error))?;
    // A list would be read as what stands in an object, in its order.
    if !raw.get().starts_with('{') {
        return Err(failure(400, wanted));
    }
    serde_json::from_str(raw.get()).map_err(|error| match error.to_string().starts_with("duplicate field") {
        true => failure(400, "a name stands there twice"),
        false => failure(400, "'topic' and 'procedure' have to be texts, and 'options' an object"),
    })
}

fn no_json(error: &serde_json::Error) -> Answer {
    failure(400, &format!("the body is not JSON that can be read: {error}"))
}

/// A message with the arguments as they came.
fn write(head: &Value, body: &Body<'_>) -> Result<String, Answer> {
    // Crossbar.io takes null and other empty values for none, and PHP writes an empty object as a list.
    let given = |value: Option<&RawValue>, open: char| match value.map(RawValue::get) {
        None | Some("null" | "false" | "0" | "\"\"") => Ok(None),
        Some(text) if text.starts_with(open) => Ok(Some(text.to_string())),
        Some("[]" | "{}") => Ok(None),
        Some(_) => Err(failure(400, "'args' has to be a list and 'kwargs' an object")),
    };
    let (args, kwargs) = (given(body.args, '[')?, given(body.kwargs, '{')?);
    let mut message = head.to_string();
    message.pop();
    if args.is_some() || kwargs.is_some() {
        message.push(',');
        message.push_str(args.as_deref().unwrap_or("[]"));
    }
    if let Some(kwargs) = kwargs {
        message.push(',');
        message.push_str(&kwargs);
    }
    message.push(']');
    Ok(message)
}

/// What the router says to a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The session is there.
    Welcome,
    /// The session is over, or was never there.
    Over,
    /// The answer to this request, and whether it has worked.
    Answer(u64, Answer, bool),
    /// Nothing that matters.
    Other,
}

/// Reads a message of the router.
#[must_use]
pub fn said(message: &[u8]) -> Said {
    let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(message) else { return Said::Other };
    let number = |at: usize| list.get(at).and_then(|value| value.get().parse::<u64>().ok());
    let text = |at: usize, otherwise: &'static str| list.get(at).map_or(otherwise, |value| value.get());
    let (request, answer) = match number(0) {
        Some(2) => return Said::Welcome,
        Some(3 | 6) => return Said::Over,
        Some(17) => {
            let body = format!("{{\"id\":{}}}", text(2, "0"));
            (number(1), Answer { status: 200, body })
        }
        Some(50) => {
            let body = match (list.get(3), list.get(4)) {
                (None, _) => "{\"args\":[null]}".into(),
                (Some(args), None) => format!("{{\"args\":{args}}}"),
                (Some(args), Some(kwargs)) => format!("{{\"args\":{args},\"kwargs\":{kwargs}}}"),
            };
            (number(1), Answer { status: 200, body })
        }
        Some(8) => {
            let (error, args, kwargs) = (text(4, "null"), text(5, "[]"), text(6, "{}"));
            let body = format!("{{\"error\":{error},\"args\":{args},\"kwargs\":{kwargs}}}");
            (number(2), Answer { status: 200, body })
        }
        _ => return Said::Other,
    };
    let right = number(0) != Some(8);
    request.map_or(Said::Other, |request| Said::Answer(request, answer, right))
}

/// The answer as this path gives it.
#[must_use]
pub fn finish(action: &Action, answer: Answer, right: bool) -> Answer {
    match action {
        Action::Hook { success, .. } if right => Answer { status: 202, body: success.to_string() },
        Action::Hook { topic, failure, .. } => {
            tracing::warn!(topic = &**topic, answer = &*answer.body, "a request could not be published");
            Answer { status: 500, body: failure.to_string() }
        }
        _ => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::config::Secret;

    fn config(action: Action) -> BridgeConfig {
        BridgeConfig {
            action,
            transport: 0,
            realm: "realm1".into(),
            signed: None,
            timestamp_delta_max: Some(Duration::from_secs(10)),
            require_tls: false,
            require_ip: Vec::new(),
            body_bytes_max: None,
            batch_max: 3,
            cross_origin: false,
        }
    }

    fn built(action: Action, body: &str) -> Result<String, u16> {
        let by = (7, Duration::from_secs(1), 20);
        message(&config(action), &Asked::default(), body.as_bytes(), by).map_err(|answer| answer.status)
    }

    #[test]
    fn bodies_become_messages() {
        let call = |body: &str| built(Action::Call, body);
        let head = "[48,7,{\"timeout\":1000},\"a.b\"";
        for (body, end) in [
            (r#"{"procedure": "a.b"}"#, "]"),
            (r#"{"procedure": "a.b", "args": null, "kwargs": {}, "x": 1}"#, ",[],{}]"),
            (r#"{"procedure": "a.b", "args": [1.10, "é"], "kwargs": []}"#, ",[1.10, \"é\"]]"),
            (r#"{"procedure": "a.b", "kwargs": {"x": 12345678901234567890}}"#, ",[],{\"x\": 12345678901234567890}]"),
        ] {
            assert_eq!(call(body), Ok(format!("{head}{end}")), "{body}");
        }
        let publish = built(
            Action::Publish,
            r#"{"topic": "a", "args": [1], "options": {"retain": true, "ppt_scheme": "x", "rkey": null}}"#,
        );
        assert_eq!(publish.as_deref(), Ok("[16,7,{\"retain\":true,\"acknowledge\":true},\"a\",[1]]"));
        let deep = format!("{{\"procedure\": \"a\", \"args\": {}{}}}", "[".repeat(50), "]".repeat(50));
        for body in ["", "[]", "{}", "{\"procedure\": 1}", "{\"procedure\": \"a\", \"args\": {\"a\": 1}}", &*deep] {
            assert_eq!(call(body), Err(400), "{body}");
        }
        for wrong in [r#""args": {"a": 1}"#, r#""kwargs": [1]"#, r#""args": 1"#, r#""args": true"#] {
            assert_eq!(call(&format!("{{\"procedure\": \"a\", {wrong}}}")), Err(400), "{wrong}");
        }
        assert_eq!(built(Action::Publish, r#"{"topic": "a", "options": {"retain": 1}}"#), Err(400));
        assert_eq!(built(Action::Publish, r#"{"topic": "a", "options": {"exclude": 1}}"#), Err(400));
    }

    #[test]
    fn what_is_wrong_is_said_in_plain_words() {
        let told = |action: Action, body: &str| {
            let by = (7, Duration::from_secs(1), 20);
            let answer = message(&config(action), &Asked::default(), body.as_bytes(), by).expect_err("it is wrong");
            let read: Value = serde_json::from_str(&answer.body).expect("JSON");
            read["error"].as_str().expect("a text").to_owned()
        };
        for (body, word) in [
            ("null", "has to be an object"),
            ("[]", "has to be an object"),
            ("[\"a\", \"a\", null, null, null]", "has to be an object"),
            (" 1", "has to be an object"),
            ("{\"procedure\": 1}", "have to be texts"),
            ("{\"topic\": \"a\", \"options\": 1}", "have to be texts"),
            ("{\"procedure\": \"a\", \"procedure\": \"b\"}", "twice"),
            ("{", "not JSON"),
            ("", "not JSON"),
        ] {
            for action in [Action::Call, Action::Publish] {
                let text = told(action, body);
                let inside = text.contains("struct") || text.contains("invalid type");
                assert!(text.contains(word) && !inside, "{body}: {text}");
            }
        }
    }

    #[test]
    fn bodies_are_taken_as_they_are_alone() {
        let ask = |codings: &[&str]| {
            let header = |coding: &&str| ("content-encoding".into(), (*coding).into());
            let asked = Asked { query: None, headers: codings.iter().map(header).collect() };
            let origin = Origin { address: None, secure: false, now: Duration::ZERO };
            let hook = Action::Hook { topic: "a".into(), success: "".into(), failure: "".into(), github_secret: None };
            [Action::Call, hook]
                .map(|action| admit(&config(action), &asked, b"{}", origin).map_err(|answer| answer.status))
        };
        assert_eq!([ask(&[]), ask(&["Identity"]), ask(&[""])], [[Ok(()); 2]; 3]);
        for codings in [&["gzip"][..], &["identity, br"], &["identity", "deflate"]] {
            assert_eq!(ask(codings), [Err(415); 2], "{codings:?}");
        }
    }

    #[test]
    fn answers_are_read() {
        let read = |text: &str| match said(text.as_bytes()) {
            Said::Answer(7, answer, _) => answer.body,
            other => format!("{other:?}"),
        };
        assert_eq!(read("[50,7,{}]"), "{\"args\":[null]}");
        assert_eq!(read("[50,7,{},[1.10],{\"a\":2}]"), "{\"args\":[1.10],\"kwargs\":{\"a\":2}}");
        assert_eq!(read("[8,48,7,{},\"a.b\",[1]]"), "{\"error\":\"a.b\",\"args\":[1],\"kwargs\":{}}");
        assert_eq!(read("[17,7,99]"), "{\"id\":99}");
        assert_eq!([read("[2,1,{}]"), read("[6,{},\"x\"]"), read("?")], ["Welcome", "Over", "Other"]);
    }

    #[test]
    fn signatures_are_checked() {
        let mut config = config(Action::Publish);
        config.signed = Some(("me".into(), Secret(b"secret".as_slice().into())));
        let now = Duration::from_secs(1_318_611_591);
        let time = "2011-10-14T16:59:51.123Z";
        let ask = |key: &str, time: &str, body: &str, signature: Option<&str>| {
            let right = BASE64URL.encode(&sign(b"secret", &[key.as_bytes(), time.as_bytes(), b"1", b"2", b"{}"]));
            let signature = signature.unwrap_or(&right).replace('=', "%3D");
            let query = format!("key={key}&timestamp={}&seq=1&nonce=2&signature={signature}", time.replace(':', "%3A"));
            let asked = Asked { query: Some(query.into()), headers: Vec::new() };
            let origin = Origin { address: None, secure: false, now };
            admit(&config, &asked, body.as_bytes(), origin).map_err(|answer| answer.status)
        };
        assert_eq!(ask("me", time, "{}", None), Ok(()));
        assert_eq!(ask("you", time, "{}", None), Err(401));
        assert_eq!(ask("me", time, "{ }", None), Err(401));
        assert_eq!(ask("me", time, "{}", Some("x")), Err(401));
        assert_eq!(ask("me", "2011-10-14T16:59:40.123Z", "{}", None), Err(400));
        assert_eq!(ask("me", "now", "{}", None), Err(400));
    }
}
