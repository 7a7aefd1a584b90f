//! The meta procedures: what their arguments mean, and whom to ask.

use super::job::Merge;
use super::testament::Scope;
use crate::router::effect::ConnId;
use crate::router::home::{home_of, shard_of};
use crate::router::index::ShardIndex;
use crate::router::peer::{EventFilter, Kind, Question, Victims};
use crate::router::shard::Shard;
use crate::router::subject::{self, Subject};
use crate::session::RealmIndex;
use crate::session::identity::FIXED_DETAILS;
use crate::session::options::{Refused, SubscribeOptions, Unfit};
use crate::wamp::value::WrongType;
use crate::wamp::{Dict, MatchPolicy, PublicationId, SessionId, Uri, UriRules, Value, error};
use std::time::Duration;

/// What a meta call needs.
pub(super) enum Plan {
    /// Ask others.
    Ask(Targets, Question, Merge),
    /// Nothing: it is done.
    Done,
}

/// Whom to ask.
pub(super) enum Targets {
    /// Every shard.
    All,
    /// These.
    Shards(Vec<ShardIndex>),
}

/// The arguments of a meta call.
pub(super) struct Arguments<'a> {
    list: std::vec::IntoIter<Value>,
    taken: usize,
    pub(super) named: &'a Dict,
}

pub(super) fn invalid(text: impl Into<String>) -> Refused {
    (error::INVALID_ARGUMENT, text.into())
}

fn wrong(wrong: WrongType) -> Refused {
    invalid(wrong.to_string())
}

impl Arguments<'_> {
    /// The next argument, if there is one that is not null.
    pub(super) fn next(&mut self) -> Option<Value> {
        self.taken += 1;
        self.list.next().filter(|value| !matches!(value, Value::Null | Value::Undefined))
    }

    fn missing(&self, wanted: &str) -> Refused {
        invalid(format!("argument {} must be a {wanted}", self.taken))
    }

    fn id(&mut self) -> Result<u64, Refused> {
        let id = self.next().and_then(|value| value.as_uint());
        id.ok_or_else(|| self.missing("non-negative integer"))
    }

    pub(super) fn text(&mut self) -> Result<Box<str>, Refused> {
        match self.next() {
            Some(Value::Str(text)) => Ok(text),
            _ => Err(self.missing("string")),
        }
    }

    /// A dictionary, the empty one if there is none.
    pub(super) fn dict(&mut self) -> Result<Dict, Refused> {
        match self.next() {
            None => Ok(Dict::new()),
            Some(Value::Dict(dict)) => Ok(dict),
            Some(_) => Err(self.missing("dict")),
        }
    }

    fn given_dict(&mut self) -> Result<Dict, Refused> {
        match self.next() {
            Some(Value::Dict(dict)) => Ok(dict),
            _ => Err(self.missing("dict")),
        }
    }

    /// A list, the empty one if there is none.
    pub(super) fn list(&mut self) -> Result<Vec<Value>, Refused> {
        match self.next() {
            None => Ok(Vec::new()),
            Some(Value::List(list)) => Ok(list),
            Some(_) => Err(self.missing("list")),
        }
    }

    fn roles(&mut self) -> Result<Option<Vec<Box<str>>>, Refused> {
        match self.next() {
            None => Ok(None),
            Some(Value::List(list)) => {
                let names: Option<Vec<Box<str>>> = list.iter().map(|name| name.as_str().map(Into::into)).collect();
                names.map(Some).ok_or_else(|| self.missing("list of strings"))
            }
            Some(_) => Err(self.missing("list of strings")),
        }
    }

    /// A reason by position or by name: a URI, since clients read it as one.
    fn reason(&mut self) -> Result<Option<Box<str>>, Refused> {
        let reason = match self.next() {
            Some(Value::Str(text)) => Some(text),
            Some(_) => return Err(self.missing("string")),
            None => self.named.str("reason").map_err(wrong)?.map(Into::into),
        };
        match reason {
            Some(reason) if !UriRules::Loose.allow(&reason) => {
                Err((error::INVALID_URI, format!("the reason {reason:?} is not a URI")))
            }
            reason => Ok(reason),
        }
    }

    /// Which events are wanted. The limit may also stand behind the subscription, as Crossbar.io has it.
    fn event_filter(&mut self, reverse: bool) -> Result<EventFilter, Refused> {
        let named = self.named;
        let limit = match self.next() {
            None => named.uint("limit").map_err(wrong)?,
            Some(limit) => Some(limit.as_uint().ok_or_else(|| self.missing("positive integer"))?),
        };
        if limit == Some(0) {
            return Err(invalid("limit must be a positive integer"));
        }
        let time = |key: &'static str| -> Result<Option<Duration>, Refused> {
            let Some(text) = named.str(key).map_err(wrong)? else { return Ok(None) };
            let stamp: jiff::Timestamp =
                text.parse().map_err(|_| invalid(format!("{key} must be a time as in RFC 3339, not {text:?}")))?;
            // What is before 1970 is before every event.
            Ok(Some(Duration::try_from(stamp.as_duration()).unwrap_or_default()))
        };
        let publication = |key: &'static str| -> Result<Option<PublicationId>, Refused> {
            Ok(named.uint(key).map_err(wrong)?.map(PublicationId::from_raw))
        };
        Ok(EventFilter {
            reverse: named.bool("reverse").map_err(wrong)?.unwrap_or(reverse),
            limit,
            from_time: time("from_time")?,
            after_time: time("after_time")?,
            before_time: time("before_time")?,
            until_time: time("until_time")?,
            topic: named.str("topic").map_err(wrong)?.map(Uri::from),
            from_publication: publication("from_publication")?,
            after_publication: publication("after_publication")?,
            before_publication: publication("before_publication")?,
            until_publication: publication("until_publication")?,
            // Of our own, for streams of events.
            whole: named.bool("_whole").map_err(wrong)?.unwrap_or(false),
        })
    }

    /// The question that ends sessions.
    fn kill(&self, victims: Victims) -> Result<Question, Refused> {
        let reason = self.named.str("reason").map_err(wrong)?.unwrap_or(error::CLOSE_KILLED);
        if !UriRules::Loose.allow(reason) {
            return Err((error::INVALID_URI, format!("the reason {reason:?} is not a URI")));
        }
        let message = self.named.str("message").map_err(wrong)?.map(Into::into);
        Ok(Question::Kill { victims, reason: Uri::from(reason), message })
    }
}

impl Shard {
    /// Finds out what a meta call needs.
    pub(super) fn plan(
        &mut self,
        conn: ConnId,
        procedure: &str,
        args: Vec<Value>,
        kwargs: &Dict,
    ) -> Result<Plan, Refused> {
        let mut arguments = Arguments { list: args.into_iter(), taken: 0, named: kwargs };
        let Some(realm) = self.session_at(conn).map(|session| session.realm) else { return Ok(Plan::Done) };
        let unknown = || (error::NO_SUCH_PROCEDURE, format!("the router has no procedure {procedure:?}"));
        let (group, name) =
            procedure.strip_prefix("wamp.").and_then(|rest| rest.split_once('.')).ok_or_else(unknown)?;
        let plan = match group {
            "session" => self.session_plan(conn, name, &mut arguments)?,
            "subscription" => self.subject_plan(realm, Kind::Subscription, name, &mut arguments)?,
            "authorization" if name == "flush" => Some(Plan::Ask(Targets::All, Question::Flush, Merge::Sum)),
            "registration" => self.subject_plan(realm, Kind::Registration, name, &mut arguments)?,
            _ => None,
        };
        plan.ok_or_else(unknown)
    }

    fn session_plan(
        &mut self,
        conn: ConnId,
        name: &str,
        arguments: &mut Arguments<'_>,
    ) -> Result<Option<Plan>, Refused> {
        let one = |session: SessionId| Targets::Shards(vec![shard_of(session, self.config.shards)]);
        Ok(Some(match name {
            "count" => Plan::Ask(Targets::All, Question::Sessions(arguments.roles()?), Merge::Count),
            "list" => Plan::Ask(Targets::All, Question::Sessions(arguments.roles()?), Merge::Ids),
            "get" => {
                let session = SessionId::from_raw(arguments.id()?);
                Plan::Ask(one(session), Question::Session(session), Merge::Session)
            }
            "kill" => {
                let session = SessionId::from_raw(arguments.id()?);
                Plan::Ask(one(session), arguments.kill(Victims::Session(session))?, Merge::Session)
            }
            "kill_by_authid" => {
                let authid = arguments.text()?;
                Plan::Ask(Targets::All, arguments.kill(Victims::Authid(authid))?, Merge::Ids)
            }
            "kill_by_authrole" => {
                let authrole = arguments.text()?;
                Plan::Ask(Targets::All, arguments.kill(Victims::Authrole(authrole))?, Merge::Ids)
            }
            "kill_all" => Plan::Ask(Targets::All, arguments.kill(Victims::All)?, Merge::Count),
            "modify_details" => {
                let session = SessionId::from_raw(arguments.id()?);
                let changes = arguments.given_dict()?;
                if let Some(fixed) = FIXED_DETAILS.iter().find(|fixed| changes.iter().any(|(key, _)| key == **fixed)) {
                    return Err(invalid(format!("{fixed} cannot be changed")));
                }
                Plan::Ask(one(session), Question::Modify(session, changes), Merge::Session)
            }
            "add_testament" => {
                self.add_testament(conn, arguments)?;
                Plan::Done
            }
            "flush_testaments" => {
                self.flush_testaments(conn, Scope::read(arguments.named)?);
                Plan::Done
            }
            _ => return Ok(None),
        }))
    }

    fn subject_plan(
        &mut self,
        realm: RealmIndex,
        kind: Kind,
        name: &str,
        arguments: &mut Arguments<'_>,
    ) -> Result<Option<Plan>, Refused> {
        let shards = self.config.shards;
        let one = |id: u64| Targets::Shards(vec![home_of(id, shards)]);
        let (list, count, remove) = match kind {
            Kind::Subscription => ("list_subscribers", "count_subscribers", "remove_subscriber"),
            Kind::Registration => ("list_callees", "count_callees", "remove_callee"),
        };
        Ok(Some(match name {
            "list" => Plan::Ask(Targets::All, Question::List(kind), Merge::Lists),
            "lookup" => {
                let uri = Uri::from(&*arguments.text()?);
                let policy = match SubscribeOptions::read(&arguments.dict()?) {
                    Ok(options) => options.policy,
                    Err(Unfit::Breach(breach)) => return Err(wrong(breach)),
                    Err(Unfit::Refused(refused)) => return Err(refused),
                };
                let home = subject::home(realm, &uri, shards);
                let subject = Subject { realm, policy, uri };
                Plan::Ask(Targets::Shards(vec![home]), Question::Lookup(kind, subject), Merge::OneOrNull)
            }
            "match" => {
                let uri = arguments.text()?;
                self.check_uri(realm, &uri, MatchPolicy::Exact)?;
                self.match_plan(realm, kind, &uri)
            }
            "get" => {
                let id = arguments.id()?;
                Plan::Ask(one(id), Question::Get(kind, id), Merge::One(kind))
            }
            "get_events" if kind == Kind::Subscription => {
                let id = arguments.id()?;
                let one_list = self.config.realms[usize::from(realm)].history_as_one_list;
                let filter = arguments.event_filter(one_list)?;
                Plan::Ask(one(id), Question::Events(id, Box::new(filter)), Merge::Events { one_list })
            }
            name if name == list => {
                let id = arguments.id()?;
                Plan::Ask(one(id), Question::Members(kind, id), Merge::One(kind))
            }
            name if name == count => {
                let id = arguments.id()?;
                Plan::Ask(one(id), Question::Count(kind, id), Merge::One(kind))
            }
            name if name == remove => {
                let id = arguments.id()?;
                let session = SessionId::from_raw(arguments.id()?);
                let reason = arguments.reason()?;
                Plan::Ask(one(id), Question::Remove { kind, id, session, reason }, Merge::One(kind))
            }
            _ => return Ok(None),
        }))
    }

    /// Every shard's table has all that has been acknowledged, and perhaps what has just gone: the homes know.
    fn match_plan(&mut self, realm: RealmIndex, kind: Kind, uri: &str) -> Plan {
        let shards = self.config.shards;
        match kind {
            Kind::Subscription => {
                let mut ids = Vec::new();
                self.replica.matching(realm, uri, |interest| ids.push(interest.id.get()));
                ids.extend(self.histories.matching(realm, uri).iter().map(|id| id.get()));
                ids.sort_unstable();
                ids.dedup();
                let mut homes: Vec<_> = ids.iter().map(|id| home_of(*id, shards)).collect();
                homes.sort_unstable();
                homes.dedup();
                Plan::Ask(Targets::Shards(homes), Question::Present(kind, ids), Merge::IdsOrNull)
            }
            Kind::Registration => {
                let id = self.replica.registration(realm, uri).map(|registration| registration.id.get());
                let homes = id.map(|id| home_of(id, shards)).into_iter().collect();
                let question = Question::Identity(kind, id.unwrap_or_default());
                Plan::Ask(Targets::Shards(homes), question, Merge::OneOrNull)
            }
        }
    }
}
