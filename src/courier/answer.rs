//! Calls that are answered by servers, in the way of Crossbar.io: a call says which request to make, and its result is what
//! came back.

use super::request::{Reply, RequestError, agent, ask};
use crate::client::{CallError, Invocation, Session};
use crate::config::courier::{AnswerConfig, CourierConfig, Duty};
use crate::wamp::{Dict, Value, error};
use crate::wire::http::is_hop_by_hop;
use crate::wire::path::encode;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::sync::Arc;
use std::thread::Builder;
use ureq::Agent;
use ureq::http::Uri;

/// Methods of requests without a body.
const BODYLESS: [&str; 4] = ["GET", "HEAD", "DELETE", "OPTIONS"];

/// Headers that say where a request ends and where it goes, beside those that are for one connection alone: what callers could put
/// in them might be read as another request than theirs.
const RESERVED: [&str; 2] = ["content-length", "host"];

/// Calls that wait for the threads.
#[derive(Clone)]
pub(super) struct Queue {
    calls: Sender<Invocation>,
    config: Arc<CourierConfig>,
}

impl Queue {
    pub(super) fn start(config: &Arc<CourierConfig>, _duty: &AnswerConfig) -> io::Result<Queue> {
        // The router gives no more calls at once than there are threads, and those that it has given before their end is known.
        let (calls, waiting) = bounded(config.concurrency * 2);
        for number in 0..config.concurrency {
            let (waiting, config) = (waiting.clone(), config.clone());
            drop(Builder::new().name(format!("answer-{number}")).spawn(move || work(&waiting, &config))?);
        }
        Ok(Queue { calls, config: config.clone() })
    }
}

/// Registers, and has calls answered until the session ends; gives why it has.
pub(super) async fn serve(session: &Session, duty: &AnswerConfig, concurrency: usize, queue: &Queue) -> String {
    let options = Dict::new().with("concurrency", concurrency as u64);
    let mut registration = match session.register(&duty.procedure, options).await {
        Ok(registration) => registration,
        Err(error) => return format!("{}: {error}", duty.procedure),
    };
    tracing::info!(courier = &*queue.config.id, procedure = &*duty.procedure, "calls are answered by a server");
    while let Some(call) = registration.next().await {
        if let Err(full) = queue.calls.try_send(call) {
            full.into_inner().fail(CallError::new(error::UNAVAILABLE, "too many calls wait for the server"));
        }
    }
    session.leave("wamp.close.normal").await;
    session.ended().await
}

fn work(calls: &Receiver<Invocation>, config: &CourierConfig) {
    let Duty::Answer(duty) = &config.duty else { return };
    let agent = agent(config);
    for call in calls {
        match Wanted::read(duty, &call.args, &call.kwargs).and_then(|wanted| wanted.ask(&agent, config, duty)) {
            Ok(reply) => call.finish(vec![result(reply)], Dict::new()),
            Err(error) => call.fail(error),
        }
    }
}

/// The request that a call wants to be made.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    method: String,
    url: String,
    body: String,
    headers: Vec<(String, String)>,
}

fn unfit(text: impl Into<String>) -> CallError {
    CallError::new(error::INVALID_ARGUMENT, &*text.into())
}

impl Wanted {
    /// The arguments are `method`, `url`, `body`, `headers` and `params`, by position or by name.
    fn read(duty: &AnswerConfig, args: &[Value], kwargs: &Dict) -> Result<Wanted, CallError> {
        const NAMES: [&str; 5] = ["method", "url", "body", "headers", "params"];
        if args.len() > NAMES.len() {
            return Err(unfit("there are too many arguments"));
        }
        let value = |name: &str| {
            let at = NAMES.iter().position(|known| *known == name)?;
            let value = args.get(at).or_else(|| kwargs.get(name))?;
            (!matches!(value, Value::Null | Value::Undefined)).then_some(value)
        };
        let text = |name: &str, otherwise: &str| match value(name) {
            None => Ok(otherwise.to_owned()),
            Some(value) => value.as_str().map(str::to_owned).ok_or_else(|| unfit(format!("{name} has to be a text"))),
        };
        let pairs = |name: &str| -> Result<Vec<(String, String)>, CallError> {
            let wrong = || unfit(format!("{name} has to be a dictionary of texts, or of lists of texts"));
            let Some(value) = value(name) else { return Ok(Vec::new()) };
            let mut all = Vec::new();
            for (key, value) in value.as_dict().ok_or_else(wrong)?.iter() {
                let values = match value {
                    Value::List(values) => &values[..],
                    value => std::slice::from_ref(value),
                };
                for value in values {
                    all.push((key.to_string(), value.as_str().ok_or_else(wrong)?.to_owned()));
                }
            }
            Ok(all)
        };
        let method = text("method", "GET")?.to_ascii_uppercase();
        let body = text("body", "")?;
        if BODYLESS.contains(&&*method) && !body.is_empty() {
            return Err(unfit(format!("a request with {method} has no body")));
        }
        let url = join(&duty.base_url, &text("url", "")?, &pairs("params")?)?;
        let headers = pairs("headers")?;
        let reserved =
            |name: &str| is_hop_by_hop(name) || RESERVED.iter().any(|known| known.eq_ignore_ascii_case(name));
        if let Some((name, _)) = headers.iter().find(|(name, _)| reserved(name)) {
            return Err(unfit(format!("the header {name:?} is not for callers to say")));
        }
        Ok(Wanted { method, url, body, headers })
    }

    fn ask(self, agent: &Agent, config: &CourierConfig, duty: &AnswerConfig) -> Result<Reply, CallError> {
        let own =
            config.headers.iter().map(|(name, value)| (&**name, std::str::from_utf8(&value.0).unwrap_or_default()));
        // What is configured is not for the caller to change.
        let given = self.headers.iter().map(|(name, value)| (&**name, &**value));
        let given = given.filter(|(name, _)| !config.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)));
        let headers: Vec<(&str, &str)> = given.chain(own).collect();
        let body = (!BODYLESS.contains(&&*self.method)).then_some(self.body.as_bytes());
        ask(agent, (&self.method, &self.url), &headers, body, duty.answer_bytes_max).map_err(|error| match &error {
            RequestError::Unfit(why) => unfit(why.clone()),
            RequestError::TooLarge => CallError::new(error::PAYLOAD_SIZE_EXCEEDED, &*error.to_string()),
            RequestError::Late => CallError::new(error::TIMEOUT, "the server has not answered in time"),
            RequestError::Failed(why) => {
                tracing::warn!(courier = &*config.id, why, "a server cannot answer a call");
                CallError::new(error::UNAVAILABLE, &*error.to_string())
            }
        })
    }
}

/// An address as it stands in a page at another one. It leads to the same server.
fn join(base: &str, url: &str, params: &[(String, String)]) -> Result<String, CallError> {
    let start: Uri = base.parse().map_err(|_| unfit("the base address of the procedure is none"))?;
    let (Some(scheme), Some(authority)) = (start.scheme_str(), start.authority()) else {
        return Err(unfit("the base address of the procedure is none"));
    };
    let origin = format!("{scheme}://{authority}");
    let folder = &start.path()[..start.path().rfind('/').map_or(0, |at| at + 1)];
    let joined = match url {
        "" => base.to_owned(),
        url if url.starts_with("//") || has_scheme(url) => url.to_owned(),
        url if url.starts_with('/') => format!("{origin}{url}"),
        url if url.starts_with('?') => format!("{origin}{}{url}", start.path()),
        url => format!("{origin}{folder}{url}"),
    };
    let target: Uri = joined.parse().map_err(|_| unfit(format!("{url:?} is no address")))?;
    let same = target.scheme_str() == Some(scheme)
        && target.authority().is_some_and(|there| there.as_str().eq_ignore_ascii_case(authority.as_str()));
    if !same || crate::wire::path::names(target.path()).is_none() {
        return Err(unfit(format!("{url:?} leads away from the server of the procedure")));
    }
    let query: Vec<String> = params.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let mut all: Vec<&str> = target.query().into_iter().filter(|query| !query.is_empty()).collect();
    all.extend(query.iter().map(|pair| &**pair));
    let query = if all.is_empty() { String::new() } else { format!("?{}", all.join("&")) };
    Ok(format!("{origin}{}{query}", target.path()))
}

/// True for a whole address. Behind the first slash or question mark another one may stand, which means nothing here.
fn has_scheme(url: &str) -> bool {
    let end = url.find(['/', '?', '#']).unwrap_or(url.len());
    url[..end].ends_with(':') && url[end..].starts_with("//")
}

/// What came back, as Crossbar.io gives it.
fn result(reply: Reply) -> Value {
    let mut headers: Vec<(String, Vec<Value>)> = Vec::new();
    for (name, value) in reply.headers {
        match headers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(Value::from(&*value)),
            None => headers.push((name, vec![Value::from(&*value)])),
        }
    }
    let headers: Dict = headers.into_iter().map(|(name, values)| (name.into(), Value::List(values))).collect();
    // What is no text is given as octets, and nothing of it is lost.
    let content = match String::from_utf8(reply.body) {
        Ok(text) => Value::from(&*text),
        Err(error) => Value::Bin(error.into_bytes().into()),
    };
    Dict::new().with("code", u64::from(reply.status)).with("content", content).with("headers", headers).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_the_same_server() {
        let at = |base: &str, url: &str| join(base, url, &[]).ok();
        for (base, url, expected) in [
            ("http://a:1/b/c", "", Some("http://a:1/b/c")),
            ("http://a:1/b/c", "d?e=f", Some("http://a:1/b/d?e=f")),
            ("http://a:1/b/", "/d", Some("http://a:1/d")),
            ("http://a:1/b/", "?x", Some("http://a:1/b/?x")),
            ("http://a:1", "d", Some("http://a:1/d")),
            ("http://a:1/b/", "d?to=http://b/", Some("http://a:1/b/d?to=http://b/")),
            ("http://a:1/b/", "/d?to=http://b/", Some("http://a:1/d?to=http://b/")),
            ("http://a:1/b/", "?to=http://b/", Some("http://a:1/b/?to=http://b/")),
            ("http://a:1/", "http://A:1/d", Some("http://a:1/d")),
            ("http://a:1/", "http://b?to=http://a:1/", None),
            ("http://a:1/", "http://b/d", None),
            ("http://a:1/", "https://a:1/d", None),
            ("http://a:1/", "//b/d", None),
            ("http://a:1/b/", "../d", None),
            ("http://a:1/b/", "%2e%2e/d", None),
            ("http://a:1/", "@b/", Some("http://a:1/@b/")),
            ("http://a:1/", "http://a:1@b/", None),
            ("http://a:1/", "a b", None),
        ] {
            assert_eq!(at(base, url).as_deref(), expected, "{base} {url}");
        }
        let params = [("x".to_owned(), "1&2".to_owned()), ("é".to_owned(), String::new())];
        assert_eq!(join("http://a/", "d?y", &params).as_deref(), Ok("http://a/d?y&x=1%262&%C3%A9="));
    }

    #[test]
    fn calls_say_what_to_ask() {
        let (procedure, base_url) = ("a".into(), "http://a/".into());
        let duty = AnswerConfig { procedure, base_url, answer_bytes_max: 1 };
        let read = |args: Vec<Value>, kwargs: Dict| Wanted::read(&duty, &args, &kwargs);
        let wanted = read(vec!["post".into(), "x".into()], Dict::new().with("body", "y")).expect("a request");
        assert_eq!((&*wanted.method, &*wanted.url, &*wanted.body), ("POST", "http://a/x", "y"));
        let several = Value::List(vec!["1".into(), "2".into()]);
        let headers = Dict::new().with("X-A", several).with("X-B", "3");
        let wanted = read(Vec::new(), Dict::new().with("headers", headers)).expect("a request");
        let shown: Vec<_> = wanted.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(shown, [("X-A", "1"), ("X-A", "2"), ("X-B", "3")]);
        assert_eq!((&*wanted.method, &*wanted.url), ("GET", "http://a/"));
        for (args, kwargs) in [
            (vec![1.into()], Dict::new()),
            (vec!["GET".into(), "".into(), "body".into()], Dict::new()),
            (Vec::new(), Dict::new().with("params", "x")),
            (Vec::new(), Dict::new().with("headers", Dict::new().with("a", 1))),
            (Vec::new(), Dict::new().with("headers", Dict::new().with("Content-Length", "0"))),
            (Vec::new(), Dict::new().with("headers", Dict::new().with("HOST", "b"))),
            (Vec::new(), Dict::new().with("headers", Dict::new().with("transfer-encoding", "chunked"))),
        ] {
            assert_eq!(&*read(args, kwargs).expect_err("a mistake").error, error::INVALID_ARGUMENT);
        }
    }
}
