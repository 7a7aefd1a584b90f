//! The meta API: events in the order of life, and answers that agree with what has been acknowledged (G9).

use super::{Auditor, Checked, Key, Period, breach};
use crate::wamp::message::Call;
use crate::wamp::{Payload, RequestId, SubscriptionId, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What an observer of meta events has seen.
#[derive(Debug, Default)]
pub(super) struct Observer {
    /// Subscriptions and registrations, and what was seen of each last.
    subjects: BTreeMap<(bool, u64), &'static str>,
    /// Sessions, and whether they have left.
    sessions: BTreeMap<u64, bool>,
    joined: BTreeSet<u64>,
    /// Who was seen to become a member of what.
    added: BTreeSet<(bool, u64, u64)>,
}

/// A call of a meta procedure.
#[derive(Debug)]
pub(super) struct Query {
    procedure: String,
    argument: u64,
    read: u64,
}

const LIFE: [&str; 8] = [
    "wamp.subscription.on_create",
    "wamp.subscription.on_subscribe",
    "wamp.subscription.on_unsubscribe",
    "wamp.subscription.on_delete",
    "wamp.registration.on_create",
    "wamp.registration.on_register",
    "wamp.registration.on_unregister",
    "wamp.registration.on_delete",
];

impl Auditor {
    pub(super) fn asks(&mut self, at: u64, who: Key, m: &Call) -> Checked {
        let args = m.payload.values().map(|(args, _)| args).unwrap_or_default();
        let numbers: Vec<u64> = args.iter().filter_map(Value::as_uint).collect();
        if &*m.procedure == "wamp.subscription.remove_subscriber"
            && let [id, session] = *numbers
        {
            self.removals.insert((id, session));
        }
        let argument = numbers.first().copied().unwrap_or_default();
        self.queries.insert((who, m.request), Query { procedure: m.procedure.to_string(), argument, read: at });
        Ok(())
    }

    /// A meta procedure has answered.
    pub(super) fn is_told(&mut self, at: u64, who: Key, request: RequestId, payload: &Payload) -> Checked {
        let Some(query) = self.queries.remove(&(who, request)) else { return Ok(()) };
        let Ok((args, _)) = payload.values() else { return breach("G9", "a meta procedure gave no arguments") };
        let ids = || -> BTreeSet<u64> {
            let list = if let Some(Value::List(list)) = args.first() { &**list } else { &[] };
            list.iter().filter_map(Value::as_uint).collect()
        };
        match &*query.procedure {
            "wamp.session.list" => self.sessions_agree(query.read, &ids()),
            "wamp.subscription.list_subscribers" => self.subscribers_agree(at, &query, &ids()),
            "wamp.subscription.get_events" => self.reads_history(query.read, who, &args),
            _ => Ok(()),
        }
    }

    fn sessions_agree(&self, read: u64, told: &BTreeSet<u64>) -> Checked {
        for (who, record) in &self.sessions {
            let there = told.contains(&record.id);
            if record.welcomed.is_some_and(|at| at < read) && record.ended.is_none() && !there {
                return breach("G9", format!("client {who} is not among the sessions, though it has its WELCOME"));
            }
            if record.ended.is_some_and(|at| at < read) && there {
                return breach("G9", format!("client {who} is among the sessions, though it has left"));
            }
        }
        Ok(())
    }

    fn subscribers_agree(&self, at: u64, query: &Query, told: &BTreeSet<u64>) -> Checked {
        let id = query.argument;
        for period in self.periods.iter().filter(|period| period.id.get() == id) {
            let session = self.sessions[&period.session].id;
            let there = told.contains(&session);
            let member = period.from < query.read && period.until.is_none() && self.is_alive(period.session);
            if member && !there && !self.removals.contains(&(id, session)) {
                return breach(
                    "G9",
                    format!("{session} is not among the subscribers of {id} at {at}, though SUBSCRIBED"),
                );
            }
            let again =
                |other: &&Period| other.session == period.session && other.id == period.id && other.over.is_none();
            let waits = self.sessions[&period.session].subscribing.values().any(|wish| wish.uri == period.uri);
            let over = period.over.is_some_and(|at| at < query.read);
            if over && there && !waits && !self.periods.iter().any(|other| again(&other)) {
                return breach("G9", format!("{session} is among the subscribers of {id}, though UNSUBSCRIBED"));
            }
        }
        Ok(())
    }

    /// An observer gets a meta event.
    pub(super) fn observes(&mut self, who: Key, id: SubscriptionId, topic: &str, payload: &Payload) -> Checked {
        let number = self.period(who, id)?;
        let args = payload.values().map(|(args, _)| args).unwrap_or_default();
        let (session, about) = match &*args {
            [Value::Dict(details)] => (details.get("session").and_then(Value::as_uint), None),
            [session, Value::Dict(details)] => (session.as_uint(), details.get("id").and_then(Value::as_uint)),
            [session, id] => (session.as_uint(), id.as_uint()),
            [session, ..] => (session.as_uint(), None),
            [] => (None, None),
        };
        let Some(session) = session else { return breach("G9", format!("{topic} names no session: {args:?}")) };
        self.session_lives(number, who, session, topic)?;
        let Some(at) = LIFE.iter().position(|known| *known == topic) else { return Ok(()) };
        let Some(about) = about else { return breach("G9", format!("{topic} names no id: {args:?}")) };
        let registration = at >= 4;
        if at % 4 == 1 {
            self.is_acknowledged(session, about, registration, topic)?;
        }
        let observer = &mut self.periods[number].observer;
        let last = observer.subjects.insert((registration, about), LIFE[at]);
        let wrong = match (at % 4, last) {
            (_, Some(last)) if last.ends_with("on_delete") => true,
            (0, Some(_)) => true,
            (3, Some(last)) => !last.contains("on_un"),
            _ => false,
        };
        if wrong {
            return breach("G9", format!("client {who} got {topic} of {about} after {last:?}"));
        }
        if at % 4 == 1 && !observer.added.insert((registration, session, about)) {
            return breach("G9", format!("client {who} got {topic} of {session} and {about} twice"));
        }
        if at % 4 == 2 {
            observer.added.remove(&(registration, session, about));
        }
        Ok(())
    }

    fn session_lives(&mut self, number: usize, who: Key, session: u64, topic: &str) -> Checked {
        let observer = &mut self.periods[number].observer;
        let before = observer.sessions.insert(session, topic == "wamp.session.on_leave");
        if before == Some(true) {
            return breach("G9", format!("client {who} got {topic} of session {session} after it had left"));
        }
        if topic == "wamp.session.on_join" {
            observer.joined.insert(session);
            if before.is_some() {
                return breach("G9", format!("client {who} got other events of session {session} before {topic}"));
            }
        }
        Ok(())
    }

    /// That a session is a member is published when it has been told so.
    fn is_acknowledged(&self, session: u64, about: u64, registration: bool, topic: &str) -> Checked {
        let Some(key) = self.keys.get(&session) else { return breach("G9", format!("{topic} of an unknown session")) };
        let known = if registration {
            self.offers.iter().any(|offer| offer.session == *key && offer.id.get() == about)
        } else {
            self.periods.iter().any(|period| period.session == *key && period.id.get() == about)
        };
        // If the session has ended, its acknowledgement may never be written.
        if known || !self.is_alive(*key) {
            return Ok(());
        }
        breach("G9", format!("{topic} of session {session} and {about} was published before the acknowledgement"))
    }

    /// At the end: an observer has seen all that it had to.
    pub(super) fn everything_was_observed(&self, observer: &Period) -> Checked {
        if observer.uri != "wamp." {
            return Ok(());
        }
        let seen = &observer.observer;
        for (who, record) in self.sessions.iter().filter(|(who, _)| **who != observer.session) {
            if record.welcomed.is_some_and(|at| at > observer.from) && !seen.joined.contains(&record.id) {
                return breach("G9", format!("client {who} has joined unseen by {}", observer.session));
            }
        }
        for period in self.periods.iter().filter(|period| period.from > observer.from) {
            let session = self.sessions[&period.session].id;
            if period.uri == "wamp." {
                continue;
            }
            let lasting = period.until.is_none() && self.is_alive(period.session);
            if lasting && !seen.added.contains(&(false, session, period.id.get())) {
                let text = format!("{session} has subscribed to {} unseen by {}", period.id, observer.session);
                return breach("G9", text);
            }
        }
        Ok(())
    }
}
