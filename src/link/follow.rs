//! What is wanted and offered in a realm, as its meta API tells.

use super::connection::News;
use super::subjects::{Change, Subject};
use super::view::{Kind, Side};
use crate::client::{EventGatherer, Held, RequestError, Session};
use crate::wamp::{Dict, Payload, Value};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Requests that wait for an answer while a realm is looked through.
const ASKING_MAX: usize = 64;

/// The names of the parts of the meta API.
struct Words {
    name: &'static str,
    members: &'static str,
    events: [&'static str; 4],
}

const fn words(kind: Kind) -> Words {
    match kind {
        Kind::Events => Words {
            name: "wamp.subscription",
            members: "list_subscribers",
            events: ["on_create", "on_subscribe", "on_unsubscribe", "on_delete"],
        },
        Kind::Calls => Words {
            name: "wamp.registration",
            members: "list_callees",
            events: ["on_create", "on_register", "on_unregister", "on_delete"],
        },
    }
}

/// Which part of the meta API a topic belongs to.
pub(super) fn kind_of(topic: &str) -> Kind {
    if topic.starts_with(words(Kind::Calls).name) { Kind::Calls } else { Kind::Events }
}

/// Has the events come that tell of changes.
pub(super) async fn listen(gatherer: &EventGatherer, kind: Kind) -> Result<Vec<Held>, RequestError> {
    let Words { name, events, .. } = words(kind);
    let mut held = Vec::new();
    for event in events {
        held.push(gatherer.subscribe(&format!("{name}.{event}"), Dict::new()).await?);
    }
    Ok(held)
}

/// Tells of everything that is there.
pub(super) async fn look(
    session: &Session,
    side: Side,
    kind: Kind,
    news: &mpsc::Sender<News>,
) -> Result<(), RequestError> {
    let name = words(kind).name;
    let lists = session.call(&format!("{name}.list"), Vec::new(), Dict::new(), Dict::new()).await?;
    let lists = lists.args.first().and_then(Value::as_dict).cloned().unwrap_or_default();
    let mut ids = Vec::new();
    for policy in ["exact", "prefix", "wildcard"] {
        if let Some(Value::List(list)) = lists.get(policy) {
            ids.extend(list.iter().filter_map(Value::as_uint));
        }
    }
    let mut asking = JoinSet::new();
    for id in ids {
        if asking.len() >= ASKING_MAX {
            tell(asking.join_next().await, side, kind, news).await;
        }
        asking.spawn(get(session.clone(), kind, id));
    }
    while let Some(got) = asking.join_next().await {
        tell(Some(got), side, kind, news).await;
    }
    Ok(())
}

type Got = Option<Result<Option<(u64, Subject)>, tokio::task::JoinError>>;

async fn tell(got: Got, side: Side, kind: Kind, news: &mpsc::Sender<News>) {
    if let Some(Ok(Some((id, subject)))) = got {
        let _ = news.send(News::There(side, kind, id, subject)).await;
    }
}

/// One of them, with its members; none: it is gone already.
async fn get(session: Session, kind: Kind, id: u64) -> Option<(u64, Subject)> {
    let Words { name, members, .. } = words(kind);
    let ask = async |what: &str| {
        let answer = session.call(&format!("{name}.{what}"), vec![id.into()], Dict::new(), Dict::new()).await;
        answer.ok()?.args.into_iter().next()
    };
    let details = ask("get").await?;
    let (id, mut subject) = Subject::read(details.as_dict()?)?;
    // The router's own are of no interest but for what links say.
    if !subject.is_own() || subject.uri.starts_with(super::view::MARK) {
        let Some(Value::List(sessions)) = ask(members).await else { return None };
        subject.members.extend(sessions.iter().filter_map(Value::as_uint));
    }
    Some((id, subject))
}

/// Reads a meta event.
pub(super) fn read(topic: &str, payload: &Payload) -> Option<Change> {
    let (args, _) = payload.values().ok()?;
    Change::read(topic, &args)
}
