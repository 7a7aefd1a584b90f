//! Streams of events for browsers: what such a stream says to the router, and what comes of the router's answers.
//!
//! A stream subscribes first. If its browser has been here before, the histories are read from where it was, page by
//! page, while what is published meanwhile is held; then that follows, without what the histories have had. The id of
//! each event says where the stream is, topic by topic: the last publications of each. It takes several, since two
//! publishers' events may stand in a history in another order than they have come here.

use super::bridge::{Answer, failure};
use super::query;
use crate::config::events::EventsConfig;
use crate::wamp::{MatchPolicy, error};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

/// Events of a history that are asked for at once.
const PAGE: usize = 32;

/// Publications of each topic that are remembered, so that none is given twice.
const RECENT: usize = 256;

/// Publications of each topic that an id names at least.
const NAMED_MIN: usize = 4;

/// What has to be done for a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this message to the router.
    Tell(String),
    /// The same, when the browser has taken what it was sent before.
    TellLater(String),
    /// The response begins.
    Begin,
    /// Send this to the browser.
    Send(String),
    /// The response is this, and nothing follows.
    Refuse(Answer),
    /// The stream is over.
    End,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The session is being opened, or its subscriptions.
    Joining,
    /// The history of this topic is being read.
    Reading(usize),
    /// Events are given as they come.
    Live,
}

/// A topic of a stream.
#[derive(Debug)]
struct Topic {
    uri: String,
    policy: MatchPolicy,
    subscription: Option<u64>,
    /// The last publications that have been given, the last of them last.
    recent: VecDeque<u64>,
    /// Publications of which one may be in the history: it is read from there.
    anchors: VecDeque<u64>,
}

/// An event that waits until the histories have been read.
#[derive(Debug)]
struct Held {
    topic: usize,
    publication: u64,
    name: String,
    data: String,
}

/// A stream.
#[derive(Debug)]
pub struct Feed {
    realm: Box<str>,
    /// Publications that an id names, all topics together.
    window: usize,
    named: bool,
    retry: Duration,
    topics: Vec<Topic>,
    retained: bool,
    phase: Phase,
    /// When its browser came first, in milliseconds since 1970.
    since: u64,
    /// Its browser has been here before.
    resumed: bool,
    /// It says so, and where it was cannot be made out.
    lost: bool,
    /// The id of the last request.
    last: u64,
    held: VecDeque<Held>,
    held_bytes: usize,
    held_bytes_max: usize,
    /// What has been given since the histories began to be read: more may come of them than `recent` remembers, and what is
    /// held may be in them.
    caught_up: HashSet<u64>,
}

/// An event as the history gives it.
#[derive(Deserialize)]
struct Past<'a> {
    publication: u64,
    topic: String,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    kwargs: Option<&'a RawValue>,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
    /// It cannot be said in JSON: there is nothing to give, as with such an event when it comes.
    #[serde(borrow)]
    unsayable: Option<&'a RawValue>,
}

impl Feed {
    /// Reads what a browser asks for. `last` is the id of the last event that it has got. At most `held_bytes_max` octets of
    /// events wait while histories are read.
    ///
    /// # Errors
    /// The answer that says what is wrong.
    pub fn new(
        config: &EventsConfig,
        query: &str,
        last: Option<&str>,
        now: Duration,
        held_bytes_max: usize,
    ) -> Result<Feed, Answer> {
        let (mut uris, mut policies, mut last, mut retained) = (Vec::new(), Vec::new(), last.map(str::to_owned), false);
        for (name, value) in query::pairs(query) {
            match &*name {
                "topic" => uris.push(value),
                "match" => {
                    let policy = MatchPolicy::from_name(&value);
                    policies.push(policy.ok_or_else(|| failure(400, "'match' has to be exact, prefix or wildcard"))?);
                }
                "get_retained" => {
                    let wrong = || failure(400, "'get_retained' has to be true or false");
                    retained = value.parse().map_err(|_| wrong())?;
                }
                // For those who cannot send the header, with the first request of a page for example.
                "last_event_id" => last = last.or(Some(value).filter(|value| !value.is_empty())),
                _ => {}
            }
        }
        if uris.is_empty() || uris.len() > config.topics_max {
            return Err(failure(400, &format!("'topic' has to be there, at most {} times", config.topics_max)));
        }
        if policies.len() > 1 && policies.len() != uris.len() {
            return Err(failure(400, "'match' has to be there once, or once for each topic"));
        }
        let mut topics: Vec<Topic> = Vec::new();
        for (at, uri) in uris.into_iter().enumerate() {
            let policy = policies.get(at).or(policies.first().filter(|_| policies.len() == 1)).copied();
            let policy = policy.unwrap_or(MatchPolicy::Exact);
            if !topics.iter().any(|known| (&known.uri, known.policy) == (&uri, policy)) {
                let (recent, anchors) = (VecDeque::new(), VecDeque::new());
                topics.push(Topic { uri, policy, subscription: None, recent, anchors });
            }
        }
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let (realm, named, retry) = (config.realm.clone(), config.named, config.retry);
        let mut feed = Feed {
            realm,
            window: config.window,
            named,
            retry,
            topics,
            retained,
            phase: Phase::Joining,
            since: now,
            resumed: false,
            lost: false,
            last: 0,
            held: VecDeque::new(),
            held_bytes: 0,
            held_bytes_max,
            caught_up: HashSet::new(),
        };
        feed.resumed = last.as_deref().is_some_and(|last| feed.resume(last).is_some());
        feed.lost = last.is_some() && !feed.resumed;
        Ok(feed)
    }

    /// Takes over where a stream was. None: the id is not one of a stream like this.
    fn resume(&mut self, id: &str) -> Option<()> {
        let number = |text: &str| u64::from_str_radix(text, 36).ok();
        let mut parts = id.split('.');
        let since = number(parts.next()?).filter(|since| *since <= self.since)?;
        let lists: Vec<&str> = parts.collect();
        if lists.len() != self.topics.len() {
            return None;
        }
        let list = |list: &str| -> Option<VecDeque<u64>> {
            if list.is_empty() { Some(VecDeque::new()) } else { list.split('-').take(RECENT).map(number).collect() }
        };
        let lists: Vec<VecDeque<u64>> = lists.into_iter().map(list).collect::<Option<_>>()?;
        for (topic, list) in self.topics.iter_mut().zip(lists) {
            topic.anchors = list.clone();
            topic.recent = list;
        }
        self.since = since;
        Some(())
    }

    /// Where the stream is.
    fn id(&self) -> String {
        let count = (self.window / self.topics.len()).clamp(NAMED_MIN, RECENT);
        let mut id = base36(self.since);
        for topic in &self.topics {
            id.push('.');
            let from = topic.recent.len().saturating_sub(count);
            let list: Vec<String> = topic.recent.range(from..).map(|publication| base36(*publication)).collect();
            id.push_str(&list.join("-"));
        }
        id
    }

    /// The first message to the router. With `known` the browser's cookie may say who it is.
    #[must_use]
    pub fn hello(&self, known: bool) -> String {
        let methods: &[&str] = if known { &["cookie", "anonymous"] } else { &["anonymous"] };
        let features = json!({"pattern_based_subscription": true});
        let roles = json!({"subscriber": {"features": features}, "caller": {}});
        json!([1, &*self.realm, {"roles": roles, "authmethods": methods}]).to_string()
    }

    /// What the browser is told when the stream ends: when to come again. A router that ends tells each client another
    /// time, so that they do not come all at once.
    #[must_use]
    pub fn farewell(&self, details: &str) -> String {
        let details = serde_json::from_str::<Map<String, Value>>(details).unwrap_or_default();
        let told = details.get("_retry_after_ms").and_then(Value::as_u64);
        let retry = u64::try_from(self.retry.as_millis()).unwrap_or(u64::MAX);
        format!("retry: {}\n\n", told.map_or(retry, |told| told.max(1)))
    }

    /// What a message of the router comes to.
    pub fn hear(&mut self, message: &[u8]) -> Vec<Step> {
        let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(message) else { return Vec::new() };
        let number = |at: usize| list.get(at).and_then(|value| value.get().parse::<u64>().ok());
        match number(0) {
            Some(2) => self.subscribe(),
            // Browsers do not come again after an error.
            Some(3) if list.get(2).is_some_and(|reason| reason.get().trim_matches('"') == error::SYSTEM_SHUTDOWN) => {
                vec![Step::Begin, Step::Send(self.farewell(list.get(1).map_or("{}", |told| told.get()))), Step::End]
            }
            Some(3) => vec![Step::Refuse(refusal(list.get(2), None)), Step::End],
            Some(4) => {
                vec![Step::Refuse(failure(401, "nobody has logged in with the cookie of this browser")), Step::End]
            }
            Some(6) => vec![Step::Send(self.farewell(list.get(1).map_or("{}", |told| told.get()))), Step::End],
            Some(8) if number(1) == Some(32) => vec![Step::Refuse(refusal(list.get(4), list.get(5))), Step::End],
            Some(8) => match self.phase {
                // Of that the page knows.
                Phase::Reading(topic) if self.lost && self.topics[topic].anchors.is_empty() => {
                    self.read_next(topic, Vec::new())
                }
                // The history may not be read.
                Phase::Reading(topic) => self.read_next(topic, vec![self.gap(topic)]),
                _ => Vec::new(),
            },
            Some(33) => self.subscribed(number(1), number(2)),
            Some(36) => self.event(&list),
            Some(50) => self.page(list.get(3).map_or("[]", |args| args.get())),
            _ => Vec::new(),
        }
    }

    fn subscribe(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for topic in &self.topics {
            self.last += 1;
            let options = json!({"match": topic.policy.name(), "get_retained": self.retained});
            steps.push(Step::Tell(json!([32, self.last, options, topic.uri]).to_string()));
        }
        steps
    }

    fn subscribed(&mut self, request: Option<u64>, subscription: Option<u64>) -> Vec<Step> {
        let at = request.and_then(|request| usize::try_from(request).ok()).unwrap_or_default();
        if let Some(topic) = at.checked_sub(1).and_then(|at| self.topics.get_mut(at)) {
            topic.subscription = subscription;
        }
        if self.phase != Phase::Joining || self.topics.iter().any(|topic| topic.subscription.is_none()) {
            return Vec::new();
        }
        // An id without data: the browser remembers it, and nothing is reported to the page.
        let begin = format!("retry: {}\nid: {}\n\n", self.retry.as_millis(), self.id());
        let mut steps = vec![Step::Begin, Step::Send(begin)];
        if self.lost {
            steps.extend((0..self.topics.len()).map(|at| self.gap(at)));
        }
        if self.resumed || self.lost { self.read(0, steps) } else { self.go_live(steps) }
    }

    /// Reads the history of a topic from the first place that is known there.
    fn read(&mut self, at: usize, mut steps: Vec<Step>) -> Vec<Step> {
        let Some(topic) = self.topics.get(at) else { return self.go_live(steps) };
        self.phase = Phase::Reading(at);
        let filter = match topic.anchors.front() {
            Some(anchor) => json!({"from_publication": anchor}),
            // Nothing of it has been given: what has been published since then is what is missing.
            None if topic.recent.is_empty() && !self.lost => json!({"from_time": time(self.since), "_whole": true}),
            None => json!({}),
        };
        steps.push(self.ask(at, filter));
        steps
    }

    fn ask(&mut self, at: usize, mut filter: Value) -> Step {
        self.last += 1;
        filter["limit"] = PAGE.into();
        filter["reverse"] = false.into();
        let subscription = self.topics[at].subscription;
        let call = json!([48, self.last, {}, "wamp.subscription.get_events", [subscription], filter]);
        Step::TellLater(call.to_string())
    }

    /// The next topic.
    fn read_next(&mut self, at: usize, steps: Vec<Step>) -> Vec<Step> {
        self.read(at + 1, steps)
    }

    /// A part of the history of the topic that is being read.
    fn page(&mut self, args: &str) -> Vec<Step> {
        let Phase::Reading(at) = self.phase else { return Vec::new() };
        // Each event by itself, or, as Crossbar.io has it, one list of them.
        let events: Vec<Option<Past<'_>>> = serde_json::from_str(args).unwrap_or_else(|_| {
            let lists = serde_json::from_str::<Vec<Vec<Option<Past<'_>>>>>(args).unwrap_or_default();
            lists.into_iter().flatten().collect()
        });
        // Null in front of the others: not all are there that have come since the stream began.
        let missing = matches!(events.first(), Some(None));
        let events: Vec<Past<'_>> = events.into_iter().flatten().collect();
        if events.is_empty() && self.topics[at].anchors.pop_front().is_some() {
            // That one is not there, perhaps no longer.
            let lost = self.topics[at].anchors.is_empty();
            return self.read(at, if lost { vec![self.gap(at)] } else { Vec::new() });
        }
        let mut steps: Vec<Step> = missing.then(|| self.gap(at)).into_iter().collect();
        for Past { publication, topic, args, kwargs, details, .. } in
            events.iter().filter(|past| past.unsayable.is_none())
        {
            let data = data(topic, *publication, [args, kwargs, details].map(|part| part.map(RawValue::get)));
            steps.extend(self.give(Held { topic: at, publication: *publication, name: topic.clone(), data }));
        }
        match events.last() {
            Some(last) if events.len() >= PAGE => {
                self.topics[at].anchors = [last.publication].into();
                self.read(at, steps)
            }
            _ => self.read_next(at, steps),
        }
    }

    /// Tells the page that events of a topic may have been lost, since its history does not reach back so far.
    fn gap(&self, at: usize) -> Step {
        let Topic { uri, policy, .. } = &self.topics[at];
        Step::Send(format!("event: gap\ndata: {}\n\n", json!({"topic": uri, "match": policy.name()})))
    }

    fn go_live(&mut self, mut steps: Vec<Step>) -> Vec<Step> {
        for held in std::mem::take(&mut self.held) {
            steps.extend(self.give(held));
        }
        self.phase = Phase::Live;
        self.held_bytes = 0;
        self.caught_up = HashSet::new();
        steps
    }

    /// An event as it comes.
    fn event(&mut self, list: &[&RawValue]) -> Vec<Step> {
        let number = |at: usize| list.get(at).and_then(|value| value.get().parse::<u64>().ok());
        let (Some(subscription), Some(publication), Some(details)) = (number(1), number(2), list.get(3)) else {
            return Vec::new();
        };
        let Some(topic) = self.topics.iter().position(|topic| topic.subscription == Some(subscription)) else {
            return Vec::new();
        };
        let told = serde_json::from_str::<Map<String, Value>>(details.get()).unwrap_or_default();
        let name = told.get("topic").and_then(Value::as_str).unwrap_or(&self.topics[topic].uri).to_owned();
        let raw = |at: usize| list.get(at).map(|value| value.get());
        let data = data(&name, publication, [raw(4), raw(5), (!told.is_empty()).then(|| details.get())]);
        let event = Held { topic, publication, name, data };
        if self.phase == Phase::Live {
            return self.give(event).into_iter().collect();
        }
        self.held_bytes += event.data.len();
        if self.held_bytes > self.held_bytes_max {
            // It comes again, and reads on from where it is.
            return vec![Step::Send(self.farewell("{}")), Step::End];
        }
        self.held.push_back(event);
        Vec::new()
    }

    /// Gives an event to the browser, unless it has been given.
    fn give(&mut self, event: Held) -> Option<Step> {
        let Held { topic, publication, name, data } = event;
        let mut given = self.topics.iter().any(|topic| topic.recent.contains(&publication));
        if self.phase != Phase::Live {
            given |= !self.caught_up.insert(publication);
        }
        let recent = &mut self.topics[topic].recent;
        if !recent.contains(&publication) {
            recent.push_back(publication);
            if recent.len() > RECENT {
                recent.pop_front();
            }
        }
        if given {
            return None;
        }
        let name = if self.named { format!("event: {}\n", line(&name)) } else { String::new() };
        Some(Step::Send(format!("id: {}\n{name}data: {}\n\n", self.id(), line(&data))))
    }
}

/// An event as pages read it: `[args, kwargs, details]` as far as they are there.
fn data(topic: &str, publication: u64, parts: [Option<&str>; 3]) -> String {
    let mut data = format!("{{\"topic\":{},\"publication\":{publication}", Value::from(topic));
    for (name, part) in ["args", "kwargs", "details"].into_iter().zip(parts) {
        if let Some(part) = part.filter(|part| *part != "{}") {
            data.push_str(&format!(",\"{name}\":{part}"));
        }
    }
    data.push('}');
    data
}

/// JSON has line ends between its tokens only, where spaces mean the same.
fn line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        // Less than 36.
        digits.extend(char::from_digit((number % 36) as u32, 36));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// A time in milliseconds since 1970 as the meta API reads it.
fn time(since: u64) -> String {
    let since = i64::try_from(since).ok().and_then(|since| jiff::Timestamp::from_millisecond(since).ok());
    since.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// The answer for an error of the router.
fn refusal(uri: Option<&&RawValue>, args: Option<&&RawValue>) -> Answer {
    let uri = uri.map_or("null", |uri| uri.get());
    let status = match uri.trim_matches('"') {
        "wamp.error.invalid_uri" => 400,
        _ => 403,
    };
    let args = args.map_or("[]", |args| args.get());
    Answer { status, body: format!("{{\"error\":{uri},\"args\":{args},\"kwargs\":{{}}}}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(1_700_000_000_000);

    fn feed(query: &str, last: Option<&str>) -> Result<Feed, u16> {
        Feed::new(&EventsConfig::new(0, "r"), query, last, NOW, 1000).map_err(|answer| answer.status)
    }

    fn hear(feed: &mut Feed, message: Value) -> Vec<Step> {
        feed.hear(message.to_string().as_bytes())
    }

    /// A stream whose subscriptions are there, and what came of that.
    fn begun(query: &str, last: Option<&str>) -> (Feed, Vec<Step>) {
        let mut feed = feed(query, last).expect("a good query");
        let asked = hear(&mut feed, json!([2, 7, {}])).len() as u64;
        let mut steps = Vec::new();
        for request in 1..=asked {
            steps = hear(&mut feed, json!([33, request, 100 + request]));
        }
        (feed, steps)
    }

    /// The publications that browsers are given, and the id of the last of them.
    fn given(steps: &[Step]) -> (Vec<u64>, String) {
        let (mut all, mut id) = (Vec::new(), String::new());
        for step in steps {
            let Step::Send(text) = step else { continue };
            for line in text.lines() {
                if let Some(data) = line.strip_prefix("data: ") {
                    let data: Value = serde_json::from_str(data).expect("JSON");
                    all.extend(data["publication"].as_u64());
                }
                id = line.strip_prefix("id: ").map_or(id, str::to_owned);
            }
        }
        (all, id)
    }

    fn past(publication: u64) -> Value {
        json!({"publication": publication, "topic": "a", "args": [1], "details": {}})
    }

    #[test]
    fn queries_are_read() {
        for (query, status) in [
            ("", 400),
            ("topic=a&match=x", 400),
            ("topic=a&get_retained=maybe", 400),
            ("topic=a&topic=b&topic=c&match=exact&match=exact", 400),
        ] {
            assert_eq!(feed(query, None).map(drop), Err(status), "{query}");
        }
        let topics = |query: &str| -> Vec<(String, &str)> {
            let feed = feed(query, None).expect("a good query");
            feed.topics.iter().map(|topic| (topic.uri.clone(), topic.policy.name())).collect()
        };
        assert_eq!(topics("topic=a%2Eb&topic=a.b"), [("a.b".into(), "exact")]);
        assert_eq!(topics("match=prefix&topic=a&topic=b"), [("a".into(), "prefix"), ("b".into(), "prefix")]);
        assert_eq!(topics("topic=a&match=prefix&topic=b&match=exact"), [("a".into(), "prefix"), ("b".into(), "exact")]);
    }

    #[test]
    fn a_stream_begins_when_all_its_subscriptions_are_there() {
        let mut feed = feed("topic=a&topic=b", None).expect("a good query");
        assert!(feed.hello(true).contains("cookie") && !feed.hello(false).contains("cookie"));
        let asked = hear(&mut feed, json!([2, 7, {}]));
        assert!(matches!(&asked[..], [Step::Tell(_), Step::Tell(_)]), "{asked:?}");
        assert_eq!(hear(&mut feed, json!([33, 1, 101])), []);
        assert_eq!(hear(&mut feed, json!([36, 101, 5, {}, ["early"]])), []);
        let steps = hear(&mut feed, json!([33, 2, 102]));
        assert_eq!(steps[0], Step::Begin);
        assert_eq!(given(&steps).0, [5]);
        let steps = hear(&mut feed, json!([36, 102, 6, {"topic": "b.c"}, [1], {"k": 2}]));
        let [Step::Send(text)] = &steps[..] else { panic!("{steps:?}") };
        let data = "data: {\"topic\":\"b.c\",\"publication\":6,\"args\":[1],\"kwargs\":{\"k\":2},\"details\":{\"topic\":\"b.c\"}}";
        assert!(text.ends_with(&format!("{data}\n\n")), "{text}");
        // What two subscriptions have in common comes once.
        assert_eq!(hear(&mut feed, json!([36, 101, 6, {}])), []);
    }

    #[test]
    fn what_the_router_refuses_is_an_answer() {
        for (message, status) in [
            (json!([3, {"message": "no"}, "wamp.error.no_such_realm"]), 403),
            (json!([8, 32, 1, {}, "wamp.error.not_authorized", ["x"]]), 403),
            (json!([8, 32, 1, {}, "wamp.error.invalid_uri"]), 400),
            (json!([4, "cookie", {}]), 401),
        ] {
            let steps = hear(&mut feed("topic=a", None).expect("a good query"), message);
            assert!(matches!(&steps[..], [Step::Refuse(answer), Step::End] if answer.status == status), "{steps:?}");
        }
        let steps =
            hear(&mut begun("topic=a", None).0, json!([6, {"_retry_after_ms": 77}, "wamp.close.system_shutdown"]));
        assert_eq!(steps, [Step::Send("retry: 77\n\n".into()), Step::End]);
    }

    #[test]
    fn who_comes_while_the_router_ends_comes_again() {
        let leaving = json!([3, {"_retry_after_ms": 5}, "wamp.close.system_shutdown"]);
        let steps = hear(&mut feed("topic=a", None).expect("a good query"), leaving);
        assert_eq!(steps, [Step::Begin, Step::Send("retry: 5\n\n".into()), Step::End]);
    }

    #[test]
    fn who_comes_again_gets_what_was_missed_and_nothing_twice() {
        let (mut first, _) = begun("topic=a&topic=b", None);
        let (_, id) = given(&[1, 2, 3].map(|number| hear(&mut first, json!([36, 101, number, {}]))).concat());
        let (mut again, steps) = begun("topic=a&topic=b", Some(&id));
        let [Step::Begin, Step::Send(begin), Step::TellLater(ask)] = &steps[..] else { panic!("{steps:?}") };
        assert!(begin.contains(&format!("id: {id}\n")) && ask.contains("\"from_publication\":1"), "{begin} {ask}");
        // Comes while the history is read, and is in it or not.
        assert_eq!(hear(&mut again, json!([36, 101, 5, {}])), []);
        assert_eq!(hear(&mut again, json!([36, 101, 7, {}])), []);
        // 4 has come to the history before 3.
        let steps = hear(&mut again, json!([50, 3, {}, [past(1), past(2), past(4), past(3), past(5)]]));
        assert_eq!(given(&steps).0, [4, 5]);
        let Some(Step::TellLater(ask)) = steps.last() else { panic!("{steps:?}") };
        assert!(ask.contains("\"from_time\":\"2023-11-14T22:13:20Z\""), "nothing of it has been given: {ask}");
        let steps = hear(&mut again, json!([50, 4, {}, [[past(6)]]]));
        assert_eq!(given(&steps).0, [6, 7]);
        assert_eq!(given(&hear(&mut again, json!([36, 101, 4, {}]))).0, [0; 0]);
        assert_eq!(given(&hear(&mut again, json!([36, 102, 8, {}]))).0, [8]);
    }

    #[test]
    fn long_histories_are_read_in_pages() {
        let (mut first, _) = begun("topic=a", None);
        let (_, id) = given(&hear(&mut first, json!([36, 101, 1, {}])));
        let (mut again, _) = begun("topic=a", Some(&id));
        let mut page: Vec<Value> = (1..=PAGE as u64).map(past).collect();
        // What JSON cannot say is not given, but it is part of the page.
        page[3]["unsayable"] = json!("NaN");
        let steps = hear(&mut again, json!([50, 2, {}, page]));
        assert_eq!(given(&steps).0.len(), PAGE - 2);
        let Some(Step::TellLater(ask)) = steps.last() else { panic!("{steps:?}") };
        assert!(ask.contains(&format!("\"from_publication\":{PAGE}")), "{ask}");
        assert_eq!(given(&hear(&mut again, json!([50, 3, {}, [past(PAGE as u64), past(90)]]))).0, [90]);
    }

    #[test]
    fn however_much_has_been_missed_nothing_comes_twice() {
        let (mut first, _) = begun("topic=a&topic=b", None);
        let (_, id) = given(&hear(&mut first, json!([36, 101, 1, {}])));
        let (mut again, _) = begun("topic=a&topic=b", Some(&id));
        let all = 2 * RECENT as u64;
        // Published while the histories are read, and in both of them.
        let held = (2..=20).all(|number| hear(&mut again, json!([36, 101, number, {}])).is_empty());
        let mut seen = Vec::new();
        let mut request = 3;
        for topic in 0..2 {
            for from in (1..=all).step_by(PAGE) {
                assert_eq!(again.phase, Phase::Reading(topic));
                let page: Vec<Value> = (from..from + PAGE as u64).map(past).collect();
                seen.extend(given(&hear(&mut again, json!([50, request, {}, page]))).0);
                request += 1;
            }
            seen.extend(given(&hear(&mut again, json!([50, request, {}, [past(all + 1)]]))).0);
        }
        let expected: Vec<u64> = (2..=all + 1).collect();
        assert!(held && seen == expected, "{seen:?}");
        assert_eq!((again.phase, again.caught_up.len()), (Phase::Live, 0));
        assert_eq!(given(&hear(&mut again, json!([36, 101, all + 1, {}]))).0, [0; 0]);
    }

    #[test]
    fn what_has_been_dropped_before_anything_was_given_is_missing() {
        let (first, _) = begun("topic=a", None);
        let (mut again, steps) = begun("topic=a", Some(&first.id()));
        assert!(matches!(steps.last(), Some(Step::TellLater(ask)) if ask.contains("\"_whole\":true")), "{steps:?}");
        let steps = hear(&mut again, json!([50, 2, {}, [null, past(7)]]));
        let [Step::Send(gap), Step::Send(event)] = &steps[..] else { panic!("{steps:?}") };
        assert!(gap.starts_with("event: gap") && event.contains("\"publication\":7"), "{steps:?}");
        for empty in [json!([null]), json!([[null]])] {
            let (mut again, _) = begun("topic=a", Some(&first.id()));
            let steps = hear(&mut again, json!([50, 2, {}, empty]));
            assert!(matches!(&steps[..], [Step::Send(gap)] if gap.starts_with("event: gap")), "{steps:?}");
        }
    }

    #[test]
    fn gaps_are_told() {
        let (mut first, _) = begun("topic=a", None);
        let (_, id) = given(&[1, 2].map(|number| hear(&mut first, json!([36, 101, number, {}]))).concat());
        let (mut again, _) = begun("topic=a", Some(&id));
        let steps = hear(&mut again, json!([50, 2, {}]));
        assert!(matches!(&steps[..], [Step::TellLater(ask)] if ask.contains("\"from_publication\":2")), "{steps:?}");
        let steps = hear(&mut again, json!([50, 3, {}]));
        let [Step::Send(gap), Step::TellLater(ask)] = &steps[..] else { panic!("{steps:?}") };
        assert!(gap.starts_with("event: gap\ndata: {\"topic\":\"a\"") && !ask.contains("from_"), "{gap} {ask}");
        assert_eq!(given(&hear(&mut again, json!([50, 4, {}, [past(2), past(9)]]))).0, [9]);
        // Nor may the history be asked.
        let (mut again, _) = begun("topic=a", Some(&id));
        let steps = hear(&mut again, json!([8, 48, 2, {}, "wamp.error.not_authorized"]));
        assert!(matches!(&steps[..], [Step::Send(gap)] if gap.starts_with("event: gap")), "{steps:?}");
        assert_eq!(given(&hear(&mut again, json!([36, 101, 9, {}]))).0, [9]);
    }

    #[test]
    fn what_waits_for_a_history_is_bounded() {
        let (mut again, _) = begun("topic=a", Some(&format!("{}.1", base36(5))));
        let steps: Vec<Step> =
            (1..30).flat_map(|number| hear(&mut again, json!([36, 101, 10 + number, {}, ["x"]]))).collect();
        assert_eq!(steps.last(), Some(&Step::End));
    }

    #[test]
    fn with_ids_of_others_nobody_knows_what_is_missing() {
        for id in ["x", "é", "1", "1.2.3", "1.2-", "zzzzzzzzzzzzzzzzz.1", "1.-", "zzzzzzzzzzz."] {
            let (mut feed, steps) = begun("topic=a&match=prefix", Some(id));
            let [Step::Begin, _, Step::Send(gap), Step::TellLater(ask)] = &steps[..] else { panic!("{id}: {steps:?}") };
            assert!(gap.starts_with("event: gap\ndata: {") && !ask.contains("from_"), "{gap} {ask}");
            assert_eq!(hear(&mut feed, json!([36, 101, 9, {}])), []);
            assert_eq!(given(&hear(&mut feed, json!([50, 2, {}, [past(8), past(9)]]))).0, [8, 9]);
            // Where there is no history, or it may not be read, that is told once.
            for answer in [json!([50, 2, {}]), json!([8, 48, 2, {}, "wamp.error.not_authorized"])] {
                let (mut feed, _) = begun("topic=a", Some(id));
                assert_eq!((hear(&mut feed, answer), feed.phase), (Vec::new(), Phase::Live));
            }
        }
        let (_, steps) = begun("topic=a&last_event_id=", None);
        assert_eq!(steps.len(), 2, "who has been nowhere has missed nothing: {steps:?}");
    }

    #[test]
    fn line_ends_in_events_do_no_harm() {
        let (mut feed, _) = begun("topic=a", None);
        let steps = feed.hear(b"[36,101,1,{},[\n1,\r\n2]]");
        assert!(matches!(&steps[..], [Step::Send(text)] if text.contains("\"args\":[ 1,  2]}\n\n")), "{steps:?}");
    }
}
