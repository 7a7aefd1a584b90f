//! What is subscribed to and registered, by whichever realm.

use super::procedures::{Answer, Arguments, invalid, realm};
use crate::client::CallError;
use crate::config::RuntimeConfig;
use crate::node::Console;
use crate::router::{SubjectKind, SubjectPlace, SubjectQuery, SubjectView};
use crate::wamp::MatchPolicy;
use serde_json::{Value as Json, json};

/// Subjects that are told of at once, unless another number is asked for.
const SUBJECTS: u64 = 100;

/// The match policy of this name.
pub(super) fn policy(name: Option<&str>) -> Result<Option<MatchPolicy>, CallError> {
    let known = |name| MatchPolicy::from_name(name).ok_or_else(|| invalid("match has to be exact, prefix or wildcard"));
    name.map(known).transpose()
}

/// Tells of subscriptions or registrations, those with the most members first.
pub(super) async fn list(console: &Console, kind: SubjectKind, arguments: &Arguments<'_>) -> Answer {
    let policy = policy(arguments.text(2, "match")?)?;
    let after = match arguments.text(4, "after")? {
        None => None,
        Some(text) => Some(place(text).ok_or_else(|| invalid("after has to be what `next` was before"))?),
    };
    let query = SubjectQuery {
        kind,
        realm: realm(console, arguments)?,
        text: arguments.text(1, "text")?.filter(|text| !text.is_empty()).map(Into::into),
        policy,
        after,
        limit: usize::try_from(arguments.number(3, "limit")?.unwrap_or(SUBJECTS)).unwrap_or(usize::MAX),
    };
    let (subjects, next) = console.subjects(&query).await;
    let config = console.config();
    let shown: Vec<Json> = subjects.iter().map(|subject| show(&config, kind, subject)).collect();
    let next = next.map(|SubjectPlace { members, id }| format!("{members}.{id}"));
    let name = match kind {
        SubjectKind::Subscription => "subscriptions",
        SubjectKind::Registration => "registrations",
    };
    Ok(json!({name: shown, "next": next}))
}

fn place(text: &str) -> Option<SubjectPlace> {
    let (members, id) = text.split_once('.')?;
    Some(SubjectPlace { members: members.parse().ok()?, id: id.parse().ok()? })
}

fn show(config: &RuntimeConfig, kind: SubjectKind, subject: &SubjectView) -> Json {
    let mut shown = json!({
        "id": subject.place.id,
        "uri": &*subject.uri,
        "match": subject.policy.name(),
        "realm": config.realms.get(usize::from(subject.realm)).map(|realm| &*realm.name),
        "sessions": subject.place.members,
        "created": subject.created.as_secs_f64(),
    });
    match kind {
        SubjectKind::Subscription => shown["history"] = subject.history.into(),
        SubjectKind::Registration => shown["invoke"] = subject.invoke.map(|invoke| invoke.name()).into(),
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        assert_eq!(place("12.7"), Some(SubjectPlace { members: 12, id: 7 }));
        for wrong in ["", "1", "a.b", "1.", "-1.2", "1.2.3"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
