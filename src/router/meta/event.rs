//! What happened to a subscription or registration.

use crate::router::peer::Kind;
use crate::router::subject::Subject;
use crate::session::RealmIndex;
use crate::session::options::InvokePolicy;
use crate::wamp::{Dict, SessionId, Value};
use std::time::Duration;

/// Something that happened, published below `wamp.subscription` or `wamp.registration`.
#[derive(Clone, Debug)]
pub(in crate::router) struct MetaEvent {
    pub(in crate::router) realm: RealmIndex,
    pub(in crate::router) kind: Kind,
    /// Who caused it.
    pub(in crate::router) session: SessionId,
    /// The subscription or registration.
    pub(in crate::router) id: u64,
    pub(in crate::router) occasion: Occasion,
}

/// What happened.
#[derive(Clone, Debug)]
pub(in crate::router) enum Occasion {
    /// It is new.
    Created {
        subject: Subject,
        /// When, since 1970.
        created: Duration,
        /// Of registrations.
        invoke: Option<InvokePolicy>,
    },
    /// A session has become a member.
    Added,
    /// A session is a member no longer.
    Removed,
    /// It is no more.
    Deleted,
}

impl MetaEvent {
    /// Where to publish it.
    pub(in crate::router) const fn topic(&self) -> &'static str {
        match (self.kind, &self.occasion) {
            (Kind::Subscription, Occasion::Created { .. }) => "wamp.subscription.on_create",
            (Kind::Subscription, Occasion::Added) => "wamp.subscription.on_subscribe",
            (Kind::Subscription, Occasion::Removed) => "wamp.subscription.on_unsubscribe",
            (Kind::Subscription, Occasion::Deleted) => "wamp.subscription.on_delete",
            (Kind::Registration, Occasion::Created { .. }) => "wamp.registration.on_create",
            (Kind::Registration, Occasion::Added) => "wamp.registration.on_register",
            (Kind::Registration, Occasion::Removed) => "wamp.registration.on_unregister",
            (Kind::Registration, Occasion::Deleted) => "wamp.registration.on_delete",
        }
    }

    /// What to publish.
    pub(in crate::router) fn arguments(&self) -> Vec<Value> {
        let about = match &self.occasion {
            Occasion::Created { subject, created, invoke } => details(self.id, subject, *created, *invoke).into(),
            _ => Value::from(self.id),
        };
        vec![Value::from(self.session.get()), about]
    }
}

/// `SubscriptionDetails` or `RegistrationDetails`.
pub(in crate::router) fn details(id: u64, subject: &Subject, created: Duration, invoke: Option<InvokePolicy>) -> Dict {
    let mut details = Dict::new()
        .with("id", id)
        .with("created", &*rfc3339(created))
        .with("uri", &*subject.uri)
        .with("match", subject.policy.name());
    if let Some(invoke) = invoke {
        details.push("invoke", invoke.name());
    }
    details
}

/// A time since 1970 as text, in UTC with milliseconds.
pub(crate) fn rfc3339(time: Duration) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let millis = i32::try_from(time.subsec_millis()).unwrap_or(0);
    let stamp = jiff::Timestamp::new(seconds, millis * 1_000_000).unwrap_or(jiff::Timestamp::MAX);
    format!("{stamp:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(rfc3339(Duration::from_millis(1_700_000_000_007)), "2023-11-14T22:13:20.007Z");
        assert_eq!(rfc3339(Duration::ZERO), "1970-01-01T00:00:00.000Z");
        assert!(rfc3339(Duration::MAX).starts_with("9999-"));
    }
}
