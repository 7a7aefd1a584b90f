//! Who may have an event, and who is told whose it is (G13, G14).

use super::{Auditor, Checked, Key, Published, Record, breach, matches};
use crate::session::Disclosure;
use crate::sim::content::{ROLE, TRUST};
use crate::wamp::{Dict, RequestId, Value};

/// The audience of a publication, as its publisher has said it.
#[derive(Clone, Debug, Default)]
pub(super) struct Audience {
    /// Whether those in the list are left out, what of a session is compared, and the list.
    lists: Vec<(bool, Trait, Vec<Value>)>,
}

#[derive(Clone, Copy, Debug)]
enum Trait {
    Session,
    Authid,
    Authrole,
}

const LISTS: [(&str, bool, Trait); 6] = [
    ("eligible", false, Trait::Session),
    ("eligible_authid", false, Trait::Authid),
    ("eligible_authrole", false, Trait::Authrole),
    ("exclude", true, Trait::Session),
    ("exclude_authid", true, Trait::Authid),
    ("exclude_authrole", true, Trait::Authrole),
];

impl Audience {
    pub(super) fn of(options: &Dict) -> Audience {
        let list = |(key, left_out, compared)| match options.get(key) {
            Some(Value::List(list)) => Some((left_out, compared, list.clone())),
            _ => None,
        };
        Audience { lists: LISTS.into_iter().filter_map(list).collect() }
    }

    /// True if it means everybody.
    pub(super) const fn is_everybody(&self) -> bool {
        self.lists.is_empty()
    }

    /// True if it names sessions; what names them is in no history.
    pub(super) fn names_sessions(&self) -> bool {
        self.lists.iter().any(|(_, compared, _)| matches!(compared, Trait::Session))
    }

    /// True if it has this session in it.
    pub(super) fn has(&self, record: &Record) -> bool {
        self.lists.iter().all(|(left_out, compared, list)| {
            let named = list.iter().any(|value| match compared {
                Trait::Session => value.as_uint() == Some(record.id),
                Trait::Authid => value.as_str() == Some(&record.authid),
                Trait::Authrole => value.as_str() == Some(&record.authrole),
            });
            named != *left_out
        })
    }
}

impl Published {
    /// True if this session may have the event.
    pub(super) fn is_for(&self, who: Key, record: &Record) -> bool {
        !(self.exclude_me && self.by == who) && self.audience.has(record)
    }
}

/// What a receiver is told of the sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    /// The message, for people.
    pub(super) what: &'a str,
    /// `publisher` or `caller`.
    pub(super) role: &'a str,
    pub(super) by: Key,
    /// The topic or procedure.
    pub(super) uri: &'a str,
    /// Somebody asked for it.
    pub(super) asked: bool,
}

impl Auditor {
    /// Checks what the details of a message say of its sender.
    pub(super) fn tells_of(&self, who: Key, details: &Dict, told: &Told<'_>) -> Checked {
        let Told { what, role, by, uri, asked } = *told;
        let disclosed = asked || self.setting.disclosure == Disclosure::Forced;
        let sender = self.sessions.get(&by).filter(|_| disclosed);
        let keys = [role.to_string(), format!("{role}_authid"), format!("{role}_authrole")];
        let [session, authid, authrole] = keys.each_ref().map(|key| details.get(key));
        if session.and_then(Value::as_uint) != sender.map(|sender| sender.id)
            || authid.and_then(Value::as_str) != sender.map(|sender| &*sender.authid)
            || authrole.and_then(Value::as_str) != sender.map(|sender| &*sender.authrole)
        {
            let text = format!("{what} of {by} to {who} names {session:?}, {authid:?}, {authrole:?} as {role}");
            return breach("G14", format!("{text}; disclosed: {disclosed}"));
        }
        let applies = |(policy, rule, role, _): &&(_, &str, Option<&str>, u32)| {
            matches(*policy, rule, uri) && role.is_none_or(|role| role == ROLE)
        };
        let level = TRUST.iter().filter(|_| self.setting.trust).find(applies).map(|(.., level)| u64::from(*level));
        let told = details.get("trustlevel").and_then(Value::as_uint);
        if told != level {
            return breach("G14", format!("{what} of {by} to {who} has trust level {told:?}, {uri} has {level:?}"));
        }
        Ok(())
    }

    /// True if a request is refused, since it wants a session disclosed where that is denied. `awaited` if the client
    /// gets an answer.
    pub(super) fn is_refused(&mut self, who: Key, request: RequestId, disclosing: bool, awaited: bool) -> bool {
        let refused = disclosing && self.setting.disclosure == Disclosure::Denied;
        if refused {
            self.refused.insert((who, request), !awaited);
        }
        refused
    }

    /// A client is told that it cannot have a session disclosed.
    pub(super) fn refuses(&mut self, who: Key, request: RequestId) -> Checked {
        match self.refused.get_mut(&(who, request)) {
            Some(told @ false) => {
                *told = true;
                Ok(())
            }
            _ => breach("G14", format!("request {request} of {who} was refused, though it discloses nobody")),
        }
    }

    pub(super) fn everything_was_refused(&self) -> Checked {
        match self.refused.iter().find(|((who, _), told)| !**told && self.is_alive(*who)) {
            Some(((who, request), _)) => breach("G14", format!("request {request} of {who} was not refused")),
            None => Ok(()),
        }
    }
}

/// True if an option is there and true.
pub(super) fn wants(options: &Dict, key: &str) -> bool {
    matches!(options.get(key), Some(Value::Bool(true)))
}
