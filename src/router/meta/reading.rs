//! The events of a history, for those who may subscribe to its topic or pattern.

use crate::router::access::{Action, Decision, Power, question};
use crate::router::errand::{ErrandResult, Purpose};
use crate::router::index::ShardIndex;
use crate::router::peer::{EventFilter, Finding, Kind, Reply, ShardMsg};
use crate::router::shard::Shard;
use crate::session::{Identity, RealmIndex};
use crate::wamp::codec::{self, TranscodeError};
use crate::wamp::{Dict, Payload, Serializer, SessionId, SubscriptionId, Value};
use std::sync::Arc;

/// Stands in an event of a history in place of what the reader's serializer cannot say, with the reason.
const UNSAYABLE: &str = "unsayable";

/// A session that wants the events of a subscription whose home this shard is.
#[derive(Debug)]
pub(in crate::router) struct Reading {
    /// The shard of the session, and its meta call.
    pub(super) from: ShardIndex,
    pub(super) job: u64,
    pub(super) realm: RealmIndex,
    pub(super) subscription: u64,
    pub(super) filter: Box<EventFilter>,
    pub(super) reader: SessionId,
    pub(super) identity: Arc<Identity>,
}

/// The events of a history, each an argument or all in one list, as payload. What their publishers wrote may be more than
/// the reader's serializer can say, which must not hide all the others: then it is left out, and the event says so.
pub(super) fn sayable(serializer: Serializer, events: Vec<Value>) -> Result<Payload, TranscodeError> {
    if events.is_empty() {
        return Ok(Payload::NONE);
    }
    let mut events = Value::List(events);
    let raw = match codec::payload_of(serializer, &events) {
        Ok(raw) => raw,
        Err(_) => {
            leave_out(serializer, &mut events);
            codec::payload_of(serializer, &events)?
        }
    };
    Ok(Payload::new(raw))
}

fn leave_out(serializer: Serializer, value: &mut Value) {
    match value {
        Value::List(list) => list.iter_mut().for_each(|value| leave_out(serializer, value)),
        Value::Dict(event) => {
            let told = |event: &Dict| codec::payload_of(serializer, &vec![event.clone().into()].into());
            let Err(why) = told(event) else { return };
            event.remove("args");
            event.remove("kwargs");
            event.push(UNSAYABLE, &*why.to_string());
            if told(event).is_err() {
                event.remove("details");
            }
        }
        _ => {}
    }
}

impl Shard {
    /// Answers if the session may read, at once or when its authorizer has been asked.
    pub(super) fn read_events(&mut self, reading: Reading) {
        let Some(subject) = self.subject_of(reading.realm, Kind::Subscription, reading.subscription).cloned() else {
            return self.reply(&reading, Finding::Missing);
        };
        let action = Action::Subscribe;
        let may = match self.roles.power(reading.realm, &reading.identity, reading.reader) {
            Power::All => true,
            Power::Rules(rights) => rights.allow_all(action, subject.policy, &subject.uri),
            Power::Asked(gate) => {
                let options = Dict::new().with("match", subject.policy.name());
                let arguments = question(reading.reader, &reading.identity, &subject.uri, action, options);
                let timeout = self.config.limits.authorization_timeout;
                let (realm, purpose) = (reading.realm, Purpose::Read(Box::new(reading)));
                return self.errand(realm, gate.authorizer(), arguments, timeout, purpose);
            }
        };
        self.answer_reading(&reading, may);
    }

    /// The authorizer of a session that wants events has answered.
    pub(in crate::router) fn may_read(&mut self, reading: &Reading, answer: &ErrandResult) {
        self.answer_reading(reading, Decision::allows(answer));
    }

    fn answer_reading(&mut self, reading: &Reading, may: bool) {
        if !may {
            return self.reply(reading, Finding::Forbidden);
        }
        let now = self.config.epoch + self.now;
        let id = SubscriptionId::from_raw(reading.subscription);
        let events = self.home.events(now, id, &reading.filter, reading.reader, &reading.identity);
        self.reply(reading, Finding::Events(events));
    }

    fn reply(&mut self, reading: &Reading, finding: Finding) {
        self.send_peer(reading.from, ShardMsg::Reply(Box::new(Reply { job: reading.job, finding })));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_that_cannot_be_said_does_not_hide_the_others() {
        let event = |args: Value| Dict::new().with("publication", 1).with("details", Dict::new()).with("args", args);
        let (good, nan) = (event(vec![Value::from(7)].into()), event(vec![Value::Float(f64::NAN)].into()));
        let odd = event(vec![Value::Map(vec![(Value::from(1), Value::from(2))])].into());
        let details = Dict::new().with("publication", 1).with("details", Dict::new().with("ppt_x", f64::NAN));
        for one_list in [false, true] {
            let events: Vec<Value> = vec![
                Value::Null,
                good.clone().into(),
                nan.clone().into(),
                odd.clone().with("kwargs", Dict::new()).into(),
                details.clone().into(),
                good.clone().into(),
            ];
            let events = if one_list { vec![Value::List(events)] } else { events };
            let said = sayable(Serializer::Json, events.clone()).expect("without what JSON cannot say");
            let (mut read, _) = said.values().expect("a list");
            if let (true, Some(Value::List(list))) = (one_list, read.first().cloned()) {
                read = list;
            }
            assert_eq!((&read[0], &read[1], &read[5]), (&Value::Null, &good.clone().into(), &good.clone().into()));
            for bad in &read[2..5] {
                let keys: Vec<&str> = bad.as_dict().expect("an event").iter().map(|(key, _)| key).collect();
                assert!(keys.starts_with(&["publication"]) && keys.ends_with(&[UNSAYABLE]), "{keys:?}");
                assert!(!keys.contains(&"args") && !keys.contains(&"kwargs"), "{keys:?}");
            }
            assert_eq!(read[2].as_dict().map(Dict::len), Some(3));
            assert_eq!(read[4].as_dict().map(Dict::len), Some(2), "the details are what cannot be said");
            // Who reads by a serializer that can say everything gets everything.
            let whole = sayable(Serializer::MsgPack, events).expect("all of it");
            assert!(whole.values().expect("a list").0.len() >= read.len() || one_list);
            assert!(!format!("{:?}", whole.values()).contains(UNSAYABLE));
        }
    }
}
