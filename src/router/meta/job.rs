//! Meta calls whose answers are being put together.

use crate::router::map::{Hashing, Map};
use crate::router::peer::{Finding, Kind};
use crate::session::options::Refused;
use crate::wamp::{Dict, RequestId, SessionId, Value, error};

/// The meta calls of a shard that wait for answers.
#[derive(Debug)]
pub(in crate::router) struct Jobs {
    last: u64,
    open: Map<u64, Job>,
}

/// A meta call.
#[derive(Debug)]
pub(in crate::router) struct Job {
    pub(super) session: SessionId,
    pub(super) request: RequestId,
    missing: usize,
    findings: Vec<Finding>,
    merge: Merge,
}

/// What the findings come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// One list of all ids.
    Ids,
    /// The number of all ids.
    Count,
    /// The sum of all numbers.
    Sum,
    /// A dictionary of three lists of ids.
    Lists,
    /// What the only one asked has found.
    One(Kind),
    /// The same, of a session.
    Session,
    /// The same, or null if there is nothing.
    OneOrNull,
    /// One list of all ids, or null if there are none.
    IdsOrNull,
    /// Events, as a list or each by itself.
    Events { one_list: bool },
}

impl Job {
    pub(super) const fn new(session: SessionId, request: RequestId, asked: usize, merge: Merge) -> Job {
        Job { session, request, missing: asked, findings: Vec::new(), merge }
    }

    /// True if the arguments of RESULT are events.
    pub(super) fn gives_events(&self) -> bool {
        matches!(self.merge, Merge::Events { .. })
    }

    fn ids(&self) -> Vec<u64> {
        let ids = self.findings.iter().filter_map(|finding| match finding {
            Finding::Ids(ids) => Some(ids.iter().copied()),
            _ => None,
        });
        ids.flatten().collect()
    }

    /// The arguments of RESULT, or what to say in ERROR.
    pub(super) fn result(self) -> Result<Vec<Value>, Refused> {
        let list = |ids: Vec<u64>| Value::List(ids.into_iter().map(Value::from).collect());
        match self.merge {
            Merge::Ids => Ok(vec![list(self.ids())]),
            Merge::Count => Ok(vec![Value::from(self.ids().len() as u64)]),
            Merge::Sum => {
                let number = |finding: &Finding| match finding {
                    Finding::Number(number) => *number,
                    _ => 0,
                };
                Ok(vec![Value::from(self.findings.iter().map(number).sum::<u64>())])
            }
            Merge::IdsOrNull => {
                let ids = self.ids();
                Ok(vec![if ids.is_empty() { Value::Null } else { list(ids) }])
            }
            Merge::Lists => {
                let mut all = Dict::new();
                for (at, policy) in ["exact", "prefix", "wildcard"].into_iter().enumerate() {
                    let ids = self.findings.iter().filter_map(|finding| match finding {
                        Finding::Lists(lists) => Some(lists[at].iter().copied()),
                        _ => None,
                    });
                    all.push(policy, list(ids.flatten().collect()));
                }
                Ok(vec![all.into()])
            }
            Merge::One(_) | Merge::Session | Merge::OneOrNull => self.one(),
            Merge::Events { one_list } => match self.findings.into_iter().next() {
                Some(Finding::Events(events)) if one_list => Ok(vec![Value::List(events)]),
                Some(Finding::Events(events)) => Ok(events),
                Some(Finding::Forbidden) => {
                    Err((error::NOT_AUTHORIZED, "what the session may not subscribe to it may not read".into()))
                }
                _ => Err((error::NO_SUCH_SUBSCRIPTION, "there is no such subscription".into())),
            },
        }
    }

    fn one(&self) -> Result<Vec<Value>, Refused> {
        let missing = match self.merge {
            Merge::One(Kind::Subscription) => {
                (error::NO_SUCH_SUBSCRIPTION, "there is no such subscription".to_string())
            }
            Merge::One(Kind::Registration) => {
                (error::NO_SUCH_REGISTRATION, "there is no such registration".to_string())
            }
            _ => (error::NO_SUCH_SESSION, "there is no such session".to_string()),
        };
        match self.findings.first() {
            Some(Finding::Details(details)) => Ok(vec![details.clone().into()]),
            Some(Finding::Number(number)) => Ok(vec![Value::from(*number)]),
            Some(Finding::Ids(ids)) => Ok(vec![Value::List(ids.iter().copied().map(Value::from).collect())]),
            Some(Finding::Done) => Ok(Vec::new()),
            Some(Finding::TooMuch(max)) => {
                Err((error::LIMIT_EXCEEDED, format!("the details of a session may have {max} more octets")))
            }
            Some(Finding::MissingMember) => Err((error::NO_SUCH_SESSION, "the session is not a member".into())),
            _ if self.merge == Merge::OneOrNull => Ok(vec![Value::Null]),
            _ => Err(missing),
        }
    }
}

impl Jobs {
    pub(in crate::router) fn new(hashing: &Hashing) -> Jobs {
        Jobs { last: 0, open: hashing.map() }
    }

    pub(super) fn begin(&mut self, job: Job) -> u64 {
        self.last += 1;
        self.open.insert(self.last, job);
        self.last
    }

    /// True if this was the last finding that the job waits for.
    pub(super) fn add(&mut self, job: u64, finding: Finding) -> bool {
        let Some(job) = self.open.get_mut(&job) else { return false };
        job.findings.push(finding);
        job.missing -= 1;
        job.missing == 0
    }

    pub(super) fn finish(&mut self, job: u64) -> Option<Job> {
        self.open.remove(&job)
    }

    /// True if no meta call waits.
    #[cfg(any(test, feature = "sim"))]
    pub(in crate::router) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
