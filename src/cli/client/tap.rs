//! `corebar tap`: follows what goes on in a realm.

use super::events::Events;
use super::failure::{Done, Failure};
use super::lasting::Lasting;
use super::login::{Login, seconds};
use super::output::{self, Output};
use super::pattern::Match;
use super::stop::Stop;
use super::subjects::{Subject, Subjects};
use super::subscribe::Record;
use super::values::{self, ShownDict};
use crate::client::{Event, RequestError, Session};
use crate::wamp::{Dict, Value};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::time::Duration;

const HELP: &str = "\
What can be seen is what the role may see: events that it may subscribe to and that are not meant for others, and the meta \
events of sessions, subscriptions and registrations. Calls cannot be seen by anybody but callers and callees. Publishers are \
shown where the router tells who they are.";

/// What to follow, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Tap {
    /// What the URIs of topics and procedures have to match. [default: all]
    #[arg(value_name = "PATTERN", default_value = "", hide_default_value = true)]
    pattern: String,

    /// How they are matched.
    #[arg(long = "match", value_enum, value_name = "POLICY", default_value = "prefix")]
    policy: Match,

    /// Events alone.
    #[arg(long, conflicts_with = "meta")]
    events: bool,

    /// Sessions, subscriptions and registrations alone.
    #[arg(long)]
    meta: bool,

    /// End after so many lines. [default: at Ctrl-C, with exit code 0]
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    lasting: Lasting,

    #[command(flatten)]
    pub(super) login: Login,
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug)]
enum From {
    /// The pattern.
    Pattern,
    /// The meta API.
    Meta,
}

/// Something that the meta API tells.
#[derive(Debug)]
struct Change {
    /// `session`, `subscription` or `registration`.
    kind: &'static str,
    topic: &'static str,
    /// For people and programs.
    name: &'static str,
}

/// What the meta API tells.
const CHANGES: [Change; 10] = {
    const fn change(kind: &'static str, topic: &'static str, name: &'static str) -> Change {
        Change { kind, topic, name }
    }
    [
        change("session", "wamp.session.on_join", "joined"),
        change("session", "wamp.session.on_leave", "left"),
        change("subscription", "wamp.subscription.on_create", "subscription_created"),
        change("subscription", "wamp.subscription.on_subscribe", "subscribed"),
        change("subscription", "wamp.subscription.on_unsubscribe", "unsubscribed"),
        change("subscription", "wamp.subscription.on_delete", "subscription_deleted"),
        change("registration", "wamp.registration.on_create", "registration_created"),
        change("registration", "wamp.registration.on_register", "registered"),
        change("registration", "wamp.registration.on_unregister", "unregistered"),
        change("registration", "wamp.registration.on_delete", "registration_deleted"),
    ]
};

/// An event as it is printed in JSON.
#[derive(Serialize)]
struct Seen<'a> {
    kind: &'static str,
    #[serde(flatten)]
    event: Record<'a>,
}

/// Follows until it is enough.
///
/// # Errors
/// There is no session, the router lets nothing be followed, or the session ends.
pub(super) async fn run(wanted: Tap) -> Done {
    let (session, stop) = wanted.login.begin_lasting(wanted.lasting, wanted.output).await?;
    let done = Follower::begin(&wanted, &session).await;
    let done = match done {
        Ok(follower) => follower.follow(stop).await,
        Err(why) => Err(why),
    };
    session.leave(super::LEAVE).await;
    done
}

struct Follower<'a> {
    wanted: &'a Tap,
    session: &'a Session,
    subjects: Subjects,
    events: Events<From>,
}

impl<'a> Follower<'a> {
    /// Subscribes to all that is wanted and may be had.
    async fn begin(wanted: &'a Tap, session: &'a Session) -> Done<Follower<'a>> {
        let follower = Follower { wanted, session, subjects: Subjects::new(session), events: Events::new(session) };
        if !wanted.meta {
            let mut options = Dict::new();
            wanted.policy.say(&mut options);
            follower.subscribe(&wanted.pattern, options, From::Pattern, wanted.events).await?;
        }
        if !wanted.events {
            for kind in ["session", "subscription", "registration"] {
                follower.subscribe_meta(kind).await?;
            }
            follower.subjects.learn();
        }
        if follower.events.is_empty() {
            return Err(Failure::refused("nothing is to be seen with this role"));
        }
        Ok(follower)
    }

    /// Subscribes to what the meta API tells of a kind: with one pattern, which keeps the order, or else topic by topic.
    async fn subscribe_meta(&self, kind: &'static str) -> Done {
        let (pattern, options) = (format!("wamp.{kind}.on_"), Dict::new().with("match", "prefix"));
        match self.wanted.login.soon(&pattern, self.session.subscribe(&pattern, options)).await? {
            Ok(subscription) => self.events.add(From::Meta, subscription),
            Err(RequestError::Refused(_)) => {
                for change in CHANGES.iter().filter(|change| change.kind == kind) {
                    self.subscribe(change.topic, Dict::new(), From::Meta, self.wanted.meta).await?;
                }
            }
            Err(why) => return Err(Failure::of_request(&pattern, &why)),
        }
        Ok(())
    }

    /// Subscribes. Where not all is needed, it is enough to say what cannot be had.
    async fn subscribe(&self, topic: &str, options: Dict, from: From, needed: bool) -> Done {
        match self.wanted.login.soon(topic, self.session.subscribe(topic, options)).await? {
            Ok(subscription) => {
                self.events.add(from, subscription);
                Ok(())
            }
            Err(RequestError::Refused(why)) if !needed => {
                let name = if topic.is_empty() { "all events" } else { topic };
                self.wanted.output.hint(&format!("corebar: not to be seen: {name}: {}", super::failure::said(&why)));
                Ok(())
            }
            Err(why) => Err(Failure::of_request(topic, &why)),
        }
    }

    async fn follow(mut self, mut stop: Stop) -> Done {
        let wait = self.wanted.wait;
        self.wanted.output.hint("following");
        let over = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let mut count = 0;
        loop {
            let (from, event) = tokio::select! {
                next = self.events.next() => next?,
                () = stop.asked() => return Ok(()),
                () = &mut over => return Ok(()),
            };
            let Some(event) = event else { continue };
            let printed = match from {
                From::Pattern => self.event(&event)?,
                From::Meta => self.change(&event).await?,
            };
            count += u64::from(printed);
            if Some(count) == self.wanted.count {
                return Ok(());
            }
        }
    }

    /// Shows an event. False: it is shown otherwise.
    fn event(&self, event: &Event) -> Done<bool> {
        if CHANGES.iter().any(|change| change.topic == &*event.topic) {
            return Ok(false);
        }
        let time = output::now();
        let seen = Seen { kind: "event", event: Record::new(&time, event) };
        self.wanted.output.print(&seen, || {
            let mut line = format!("{time} event {} {}", event.topic, values::line(&event.args, &event.kwargs));
            line.truncate(line.trim_end().len());
            line + &publisher(&event.details)
        })?;
        Ok(true)
    }

    /// Shows what the meta API tells. False: it is about another URI, or about this session, or not known.
    async fn change(&self, event: &Event) -> Done<bool> {
        let Some(change) = CHANGES.iter().find(|change| change.topic == &*event.topic) else { return Ok(false) };
        let time = output::now();
        let mut record = json!({"kind": change.name, "time": time});
        let text = match change.kind {
            "session" => session(&mut record, &event.args),
            kind => {
                let member = event.args.first().and_then(Value::as_uint).unwrap_or_default();
                let Some((id, subject)) = self.subject(change, &event.args).await else { return Ok(false) };
                let policy = self.wanted.policy.policy();
                if member == self.session.id().get()
                    || subject.as_ref().is_some_and(|subject| !policy.matches(&self.wanted.pattern, &subject.uri))
                {
                    return Ok(false);
                }
                record["session"] = json!(member);
                record[kind] = json!(id);
                record["uri"] = json!(subject.as_ref().map(|subject| &subject.uri));
                record["match"] = json!(subject.as_ref().map(|subject| &subject.policy));
                let shown = subject.map_or("?".into(), |subject| match &*subject.policy {
                    "exact" => subject.uri,
                    policy => format!("{} ({policy})", subject.uri),
                });
                format!("{shown} {kind} {id} session {member}")
            }
        };
        self.wanted.output.print(&record, || format!("{time} {} {text}", change.name))?;
        Ok(true)
    }

    /// The subscription or registration that is told of; none, if that makes no sense.
    async fn subject(&self, change: &Change, args: &[Value]) -> Option<(u64, Option<Subject>)> {
        match args.get(1)? {
            Value::Dict(details) => {
                let (id, subject) = (details.uint("id").ok().flatten()?, Subject::read(details));
                if let Some(subject) = &subject {
                    self.subjects.put(id, subject.clone());
                }
                Some((id, subject))
            }
            id => {
                let id = id.as_uint()?;
                let subject = self.subjects.get(change.kind, id).await;
                if change.topic.ends_with(".on_delete") {
                    self.subjects.remove(id);
                }
                Some((id, subject))
            }
        }
    }
}

/// Who comes or goes: a dictionary, or an id with names.
fn session(record: &mut Json, args: &[Value]) -> String {
    let (id, authid, authrole) = match args.first() {
        Some(Value::Dict(details)) => {
            record["details"] = json!(ShownDict(details));
            (details.get("session"), details.get("authid"), details.get("authrole"))
        }
        id => (id, args.get(1), args.get(2)),
    };
    let mut text = "session".to_owned();
    for (key, label, value) in [("session", "", id), ("authid", "authid ", authid), ("authrole", "role ", authrole)] {
        let Some(value) = value else { continue };
        record[key] = json!(values::Shown(value));
        text.push_str(&format!(" {label}{}", values::show(value)));
    }
    text
}

/// Who has published, as far as it is told.
fn publisher(details: &Dict) -> String {
    let keys = [
        ("publisher", "session"),
        ("publisher_authid", "authid"),
        ("publisher_authrole", "role"),
        ("trustlevel", "trust level"),
    ];
    let told = keys.iter().filter_map(|(key, label)| Some(format!("{label} {}", values::show(details.get(key)?))));
    let told: Vec<_> = told.collect();
    if told.is_empty() { String::new() } else { format!(" (by {})", told.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_told_in_two_ways() {
        let mut record = json!({});
        let details = Dict::new().with("session", 5).with("authid", "joe").with("authrole", "user");
        assert_eq!(session(&mut record, &[details.into()]), r#"session 5 authid "joe" role "user""#);
        assert_eq!((&record["session"], &record["authid"]), (&json!(5), &json!("joe")));
        let mut record = json!({});
        assert_eq!(session(&mut record, &[Value::Int(5), "joe".into()]), r#"session 5 authid "joe""#);
        assert_eq!(record, json!({"session": 5, "authid": "joe"}));
    }

    #[test]
    fn publishers_are_named_if_known() {
        assert_eq!(publisher(&Dict::new()), "");
        let details = Dict::new().with("publisher", 7).with("trustlevel", 2);
        assert_eq!(publisher(&details), " (by session 7, trust level 2)");
    }
}
