//! Roles and features as peers announce them in HELLO and WELCOME.

use crate::wamp::value::{Dict, Value, WrongType};

/// What a client announced and the router acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFeatures {
    /// The client has at least one of the four client roles.
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

/// Features of the broker, by their specified names. A feature stands here when it works.
pub const BROKER_FEATURES: &[&str] = &["publisher_exclusion", "pattern_based_subscription"];
/// Features of the dealer, by their specified names; the specification spells one of them in two ways.
pub const DEALER_FEATURES: &[&str] = &["call_canceling", "call_cancelling", "progressive_call_results"];

/// `WELCOME.Details.roles`: what this router does.
#[must_use]
pub fn router_roles() -> Dict {
    let role = |names: &[&str]| {
        let features: Dict = names.iter().map(|name| ((*name).into(), Value::Bool(true))).collect();
        Dict::new().with("features", features)
    };
    Dict::new().with("broker", role(BROKER_FEATURES)).with("dealer", role(DEALER_FEATURES))
}
