//! What subscriptions and registrations are for, by their ids.

use crate::client::{Session, State};
use crate::wamp::{Dict, Value};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// The kinds of subjects, as they stand in the names of meta procedures.
pub(super) const KINDS: [&str; 2] = ["subscription", "registration"];

/// The URI of a subscription or registration, and how it is matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) uri: String,
    pub(super) policy: String,
}

impl Subject {
    /// From the details that the meta API gives.
    pub(super) fn read(details: &Dict) -> Option<Subject> {
        let uri = details.str("uri").ok().flatten()?.to_owned();
        let policy = details.str("match").ok().flatten().unwrap_or("exact").to_owned();
        Some(Subject { uri, policy })
    }
}

/// Those that are known.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    session: Session,
    known: Arc<Mutex<Known>>,
}

/// What is told of different topics may come in another order than it has happened: so many are remembered that are gone.
const GONE_MAX: usize = 1024;

#[derive(Debug, Default)]
struct Known {
    subjects: HashMap<u64, Subject>,
    gone: VecDeque<u64>,
}

impl Subjects {
    /// None yet.
    pub(super) fn new(session: &Session) -> Subjects {
        Subjects { session: session.clone(), known: Arc::default() }
    }

    /// Learns what there is already, in the background: it may be much. With each new connection there may be a new router,
    /// with other numbers.
    pub(super) fn learn(&self) {
        let subjects = self.clone();
        tokio::spawn(async move {
            let mut states = subjects.session.states();
            loop {
                let now = subjects.session.id();
                *subjects.known.lock().unwrap_or_else(PoisonError::into_inner) = Known::default();
                for kind in KINDS {
                    for id in subjects.list(kind).await {
                        subjects.ask(kind, id).await;
                    }
                }
                let again = states.wait_for(|state| matches!(state, State::Joined(id) if *id != now)).await;
                if again.is_err() {
                    break;
                }
            }
        });
    }

    /// All ids; none, if the role may not ask.
    async fn list(&self, kind: &str) -> Vec<u64> {
        let procedure = format!("wamp.{kind}.list");
        let answer = self.session.call(&procedure, Vec::new(), Dict::new(), Dict::new()).await;
        let first = answer.ok().and_then(|outcome| outcome.args.into_iter().next());
        let Some(Value::Dict(lists)) = first else { return Vec::new() };
        ["exact", "prefix", "wildcard"]
            .iter()
            .flat_map(|key| lists.uints(key).ok().flatten().unwrap_or_default())
            .collect()
    }

    async fn ask(&self, kind: &str, id: u64) -> Option<Subject> {
        let procedure = format!("wamp.{kind}.get");
        let answer = self.session.call(&procedure, vec![id.into()], Dict::new(), Dict::new()).await;
        let first = answer.ok().and_then(|outcome| outcome.args.into_iter().next());
        let subject = Subject::read(first.as_ref()?.as_dict()?)?;
        self.put(id, subject.clone());
        Some(subject)
    }

    /// Notes a new one.
    pub(super) fn put(&self, id: u64, subject: Subject) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).subjects.insert(id, subject);
    }

    /// Forgets one that is no more, after some others.
    pub(super) fn remove(&self, id: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.gone.push_back(id);
        if known.gone.len() > GONE_MAX
            && let Some(id) = known.gone.pop_front()
        {
            known.subjects.remove(&id);
        }
    }

    /// What is known, or what the router says; none: it is gone, or the role may not ask.
    pub(super) async fn get(&self, kind: &str, id: u64) -> Option<Subject> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).subjects.get(&id).cloned();
        match known {
            Some(subject) => Some(subject),
            None => self.ask(kind, id).await,
        }
    }
}
