//! Roles and features as peers announce them in HELLO and WELCOME.

use super::value::{Dict, Value, WrongType};

/// The roles and features that a client announced and the router acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFeatures {
    /// The client said at least one of the four client roles.
    pub any_role: bool,
    /// `callee.call_canceling`: the client understands INTERRUPT.
    pub callee_canceling: bool,
}

impl ClientFeatures {
    /// Reads `HELLO.Details.roles`.
    ///
    /// # Errors
    /// `roles`, a role or its `features` is not a dictionary, or a feature is not a truth value.
    pub fn from_hello(details: &Dict) -> Result<ClientFeatures, WrongType> {
        let mut features = ClientFeatures::default();
        let Some(roles) = details.dict("roles")? else { return Ok(features) };
        for role in ["publisher", "subscriber", "caller", "callee"] {
            features.any_role |= roles.dict(role)?.is_some();
        }
        if let Some(callee) = roles.dict("callee")?.map(|role| role.dict("features")).transpose()?.flatten() {
            features.callee_canceling =
                callee.bool("call_canceling")? == Some(true) || callee.bool("call_cancelling")? == Some(true);
        }
        Ok(features)
    }
}

/// `WELCOME.Details.roles`: what this router does. A feature stands here when it works.
#[must_use]
pub fn router_roles() -> Dict {
    let features = |names: &[&str]| {
        let list: Dict = names.iter().map(|name| ((*name).into(), Value::Bool(true))).collect();
        Dict::new().with("features", list)
    };
    Dict::new().with("broker", features(BROKER_FEATURES)).with("dealer", features(DEALER_FEATURES))
}

/// Features of the broker, by their specified names.
pub const BROKER_FEATURES: &[&str] = &["publisher_exclusion"];
/// Features of the dealer, by their specified names.
pub const DEALER_FEATURES: &[&str] = &[];
