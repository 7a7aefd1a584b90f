//! HELLO: who may open a session (specification, "Session Establishment").

use super::features::ClientFeatures;
use super::realm::{RealmConfig, RealmIndex};
use crate::auth::reach::Reach;
use crate::wamp::UriRules;
use crate::wamp::error;
use crate::wamp::message::Hello;
use crate::wamp::value::WrongType;

/// A HELLO that can be answered with WELCOME, if the client is who it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The realm; none if the client leaves it to the router.
    pub realm: Option<RealmIndex>,
    /// What the client announced.
    pub features: ClientFeatures,
}

/// A HELLO that has to be answered with ABORT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `ABORT.Reason`.
    pub reason: &'static str,
    /// For a person.
    pub message: String,
}

impl From<WrongType> for Refusal {
    fn from(wrong: WrongType) -> Self {
        Refusal { reason: error::PROTOCOL_VIOLATION, message: format!("HELLO.Details: {wrong}") }
    }
}

impl Admission {
    /// Decides about a HELLO.
    ///
    /// # Errors
    /// The ABORT to send.
    pub fn decide(hello: &Hello, realms: &[RealmConfig], reach: &Reach) -> Result<Admission, Refusal> {
        let features = ClientFeatures::from_hello(&hello.details)?;
        if !features.any_role {
            return Err(Refusal {
                reason: error::PROTOCOL_VIOLATION,
                message: "HELLO.Details.roles must name at least one of publisher, subscriber, caller, callee".into(),
            });
        }
        if hello.realm.is_empty() {
            return Ok(Admission { realm: None, features });
        }
        if !UriRules::Loose.allow(&hello.realm) {
            return Err(Refusal { reason: error::INVALID_URI, message: format!("{:?} is not a URI", hello.realm) });
        }
        let Some(realm) = realms.iter().position(|realm| realm.name == hello.realm && realm.is_reached(reach)) else {
            return Err(Refusal { reason: error::NO_SUCH_REALM, message: format!("no realm {:?} here", hello.realm) });
        };
        let realm = RealmIndex::try_from(realm).expect("the number of realms was checked at start");
        Ok(Admission { realm: Some(realm), features })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wamp::Dict;

    fn hello(realm: &str, details: Dict) -> Hello {
        Hello { realm: realm.into(), details }
    }

    fn roles() -> Dict {
        Dict::new().with("roles", Dict::new().with("caller", Dict::new()))
    }

    fn decide(hello: &Hello) -> Result<Option<RealmIndex>, &'static str> {
        let realms = [RealmConfig::new("realm1"), RealmConfig::new("realm2")];
        Admission::decide(hello, &realms, &Reach::default()).map(|a| a.realm).map_err(|r| r.reason)
    }

    #[test]
    fn realms_are_found_by_name() {
        assert_eq!(decide(&hello("realm2", roles())), Ok(Some(1)));
        assert_eq!(decide(&hello("", roles())), Ok(None));
        assert_eq!(decide(&hello("realm3", roles())), Err(error::NO_SUCH_REALM));
        assert_eq!(decide(&hello("not a realm", roles())), Err(error::INVALID_URI));
    }

    #[test]
    fn a_role_is_needed() {
        assert_eq!(decide(&hello("realm1", Dict::new())), Err(error::PROTOCOL_VIOLATION));
        let none = Dict::new().with("roles", Dict::new());
        assert_eq!(decide(&hello("realm1", none)), Err(error::PROTOCOL_VIOLATION));
        let wrong = Dict::new().with("roles", Dict::new().with("caller", 1));
        assert_eq!(decide(&hello("realm1", wrong)), Err(error::PROTOCOL_VIOLATION));
    }
}
