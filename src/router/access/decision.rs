//! What an authorizer has said.

use super::{Action, not_allowed};
use crate::router::errand::ErrandResult;
use crate::session::options::Refused;
use crate::session::role::Disclose;
use crate::wamp::{Value, error};
use std::time::Duration;

/// What has been decided about something that a session wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::router) enum Decision {
    /// It may, and this is disclosed.
    Allowed(Disclose),
    /// It may not.
    Denied,
    /// It was not found out, for this reason: so it may not.
    Failed(Box<str>),
}

/// With whom a decision is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// It holds for the session alone.
    Session,
    /// For all sessions of the same user in the same role.
    User,
    /// For all sessions of the role.
    Role,
}

/// For whom and how long a decision may be remembered. No time: as long as the configuration allows.
pub(super) type Remember = (Sharing, Option<Duration>);

impl Decision {
    /// Reads the answer of an authorizer: true or false, or a dictionary with `allow`, `disclose` and `cache`. Whatever
    /// makes no sense is a failure.
    pub(super) fn read(answer: &ErrandResult) -> (Decision, Option<Remember>) {
        let arguments = match answer {
            Ok((arguments, _)) => arguments,
            Err((uri, _)) => return (failed(&format!("the authorizer could not be asked: {uri}")), None),
        };
        read(arguments).unwrap_or_else(|| (failed("the authorizer has given no answer that makes sense"), None))
    }

    /// True if an authorizer allows what it was asked for.
    pub(in crate::router) fn allows(answer: &ErrandResult) -> bool {
        matches!(Decision::read(answer).0, Decision::Allowed(_))
    }

    /// What receivers are told, if the action is allowed.
    pub(super) fn disclose(&self, action: Action, uri: &str) -> Result<Disclose, Refused> {
        match self {
            Decision::Allowed(disclose) => Ok(*disclose),
            Decision::Denied => Err(not_allowed(action, uri)),
            Decision::Failed(why) => Err((error::AUTHORIZATION_FAILED, why.to_string())),
        }
    }
}

fn failed(why: &str) -> Decision {
    Decision::Failed(why.into())
}

fn read(arguments: &[Value]) -> Option<(Decision, Option<Remember>)> {
    let decision = |allow, disclose| {
        let disclose = Disclose { caller: disclose, publisher: disclose };
        if allow { Decision::Allowed(disclose) } else { Decision::Denied }
    };
    match arguments.first()? {
        Value::Bool(allow) => Some((decision(*allow, false), None)),
        Value::Dict(said) => {
            let allow = said.bool("allow").ok()??;
            let disclose = said.bool("disclose").ok()?.unwrap_or(false);
            let remember = match said.get("cache") {
                None | Some(Value::Bool(false)) => None,
                Some(Value::Bool(true)) => Some((Sharing::Session, None)),
                Some(Value::Dict(cache)) => {
                    let sharing = match cache.str("scope").ok()? {
                        None | Some("session") => Sharing::Session,
                        Some("authid") => Sharing::User,
                        Some("authrole") => Sharing::Role,
                        Some(_) => return None,
                    };
                    Some((sharing, cache.uint("ttl").ok()?.map(Duration::from_secs)))
                }
                Some(_) => return None,
            };
            Some((decision(allow, disclose), remember))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wamp::Dict;

    #[test]
    fn answers_are_read() {
        let said = |value: Value| Decision::read(&Ok((vec![value], Dict::new())));
        let open = Decision::Allowed(Disclose::default());
        let told = Decision::Allowed(Disclose { caller: true, publisher: true });
        assert_eq!(said(true.into()), (open.clone(), None));
        assert_eq!(said(false.into()), (Decision::Denied, None));
        let allow = || Dict::new().with("allow", true);
        assert_eq!(said(allow().into()), (open.clone(), None));
        assert_eq!(said(allow().with("disclose", true).with("cache", false).into()), (told, None));
        let session = Some((Sharing::Session, None));
        assert_eq!(said(allow().with("cache", true).into()), (open.clone(), session));
        let cache = Dict::new().with("scope", "authrole").with("ttl", 5);
        let role = Some((Sharing::Role, Some(Duration::from_secs(5))));
        assert_eq!(said(allow().with("cache", cache).into()), (open, role));
        assert_eq!(said(Dict::new().with("allow", false).with("cache", true).into()), (Decision::Denied, session));
    }

    #[test]
    fn what_makes_no_sense_is_no() {
        let said = |value: Value| Decision::read(&Ok((vec![value], Dict::new()))).0;
        let nonsense: [Value; 9] = [
            Value::Null,
            1.into(),
            "true".into(),
            Value::List(vec![true.into()]),
            Dict::new().into(),
            Dict::new().with("allow", "yes").into(),
            Dict::new().with("allow", true).with("disclose", 1).into(),
            Dict::new().with("allow", true).with("cache", 1).into(),
            Dict::new().with("allow", true).with("cache", Dict::new().with("scope", "everybody")).into(),
        ];
        for value in nonsense {
            assert!(matches!(said(value.clone()), Decision::Failed(_)), "{value:?}");
        }
        assert!(matches!(Decision::read(&Ok((Vec::new(), Dict::new()))).0, Decision::Failed(_)));
        let gone = Err((error::NO_SUCH_PROCEDURE.into(), String::new()));
        let (Decision::Failed(why), None) = Decision::read(&gone) else { panic!("a failure") };
        assert!(why.contains(error::NO_SUCH_PROCEDURE));
    }
}
