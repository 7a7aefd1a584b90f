//! Roles and features as peers announce them in HELLO and WELCOME.

use crate::wamp::link;
use crate::wamp::value::{Dict, Value, WrongType};

/// What a client announced and the router acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFeatures {
    /// The client has at least one of the four client roles.
    pub any_role: bool,
    /// As a publisher.
    pub publisher: PublisherFeatures,
    /// As a subscriber.
    pub subscriber: SubscriberFeatures,
    /// As a caller.
    pub caller: CallerFeatures,
    /// As a callee.
    pub callee: CalleeFeatures,
}

/// `HELLO.Details.roles.publisher.features`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublisherFeatures {
    /// `payload_passthru_mode`: it may set `ppt_*` options.
    pub passthru: bool,
}

/// `HELLO.Details.roles.subscriber.features`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriberFeatures {
    /// `subscription_revocation`: it understands UNSUBSCRIBED with request 0.
    pub revocation: bool,
    /// `_router_link`: it passes events on to another router, which cannot be told who may have them. So it gets none
    /// that are for some authids or authroles alone; and it is told which router this is.
    pub link: bool,
}

/// `HELLO.Details.roles.caller.features`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallerFeatures {
    /// `progressive_call_invocations`: it may send one call in several parts.
    pub progressive_invocations: bool,
    /// `payload_passthru_mode`: it may set `ppt_*` options, and understands them in results.
    pub passthru: bool,
}

/// `HELLO.Details.roles.callee.features`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CalleeFeatures {
    /// `call_canceling` or `call_cancelling`: it understands INTERRUPT.
    pub canceling: bool,
    /// `progressive_call_results`: it is told whether a caller takes several results.
    pub progressive_results: bool,
    /// `progressive_call_invocations`: it understands a call that comes in several parts.
    pub progressive_invocations: bool,
    /// `call_timeout`: it can watch over time itself.
    pub timeout: bool,
    /// `call_reroute`: its error `wamp.error.unavailable` means that somebody else should be called.
    pub reroute: bool,
    /// `registration_revocation`: it understands UNREGISTERED with request 0.
    pub revocation: bool,
    /// `payload_passthru_mode`: it understands `ppt_*` details, and may set them in results.
    pub passthru: bool,
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
            let Some(announced) = roles.dict(role)? else { continue };
            features.any_role = true;
            let Some(announced) = announced.dict("features")? else { continue };
            let has = |name| announced.bool(name).map(|value| value == Some(true));
            match role {
                "publisher" => features.publisher.passthru = has("payload_passthru_mode")?,
                "subscriber" => {
                    features.subscriber =
                        SubscriberFeatures { revocation: has("subscription_revocation")?, link: has(link::FEATURE)? }
                }
                "caller" => {
                    features.caller = CallerFeatures {
                        progressive_invocations: has("progressive_call_invocations")?,
                        passthru: has("payload_passthru_mode")?,
                    }
                }
                _ => {
                    features.callee = CalleeFeatures {
                        canceling: has("call_canceling")? | has("call_cancelling")?,
                        progressive_results: has("progressive_call_results")?,
                        progressive_invocations: has("progressive_call_invocations")?,
                        timeout: has("call_timeout")?,
                        reroute: has("call_reroute")?,
                        revocation: has("registration_revocation")?,
                        passthru: has("payload_passthru_mode")?,
                    }
                }
            }
        }
        Ok(features)
    }
}

/// Features of the broker, by their specified names. A feature stands here when it works. The specification announces
/// sharded subscriptions as `shareded_subscriptions`, which is hardly meant.
pub const BROKER_FEATURES: &[&str] = &[
    "event_history",
    "event_retention",
    "pattern_based_subscription",
    "payload_passthru_mode",
    "publication_trustlevels",
    "publisher_exclusion",
    "publisher_identification",
    "session_meta_api",
    "sharded_subscription",
    "shareded_subscriptions",
    "subscriber_blackwhite_listing",
    "subscription_meta_api",
    "subscription_revocation",
];

/// Features of the dealer, by their specified names; the specification spells one of them in two ways.
pub const DEALER_FEATURES: &[&str] = &[
    "call_canceling",
    "call_cancelling",
    "call_reroute",
    "call_timeout",
    "call_trustlevels",
    "caller_identification",
    "pattern_based_registration",
    "payload_passthru_mode",
    "progressive_call_invocations",
    "progressive_call_results",
    "registration_meta_api",
    "registration_revocation",
    "session_meta_api",
    "sharded_registration",
    "shared_registration",
    "testament_meta_api",
];

/// `WELCOME.Details.roles`: what this router does.
#[must_use]
pub fn router_roles() -> Dict {
    let role = |names: &[&str]| {
        let features: Dict = names.iter().map(|name| ((*name).into(), Value::Bool(true))).collect();
        Dict::new().with("features", features)
    };
    Dict::new().with("broker", role(BROKER_FEATURES)).with("dealer", role(DEALER_FEATURES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_belong_to_their_role() {
        let both = Dict::new().with("payload_passthru_mode", true).with("call_cancelling", true);
        let roles = Dict::new()
            .with("publisher", Dict::new())
            .with("caller", Dict::new().with("features", both.clone()))
            .with("callee", Dict::new().with("features", both));
        let features = ClientFeatures::from_hello(&Dict::new().with("roles", roles)).expect("well formed");
        assert!(features.any_role && features.caller.passthru && features.callee.passthru && features.callee.canceling);
        assert!(!features.publisher.passthru && !features.callee.timeout);
        let wrong = Dict::new().with("call_timeout", 1);
        let roles = Dict::new().with("callee", Dict::new().with("features", wrong));
        assert!(ClientFeatures::from_hello(&Dict::new().with("roles", roles)).is_err());
    }
}
