//! What takes too long for a shard, on threads of their own: asking an application over HTTP who a client is, and
//! deriving a key.

use crate::auth::config::{Callout, Secret};
use crate::auth::cra;
use crate::router::{CallOut, Verdict, Work};
use crate::shard::{Command, Door};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::Builder;
use std::time::{Duration, Instant};
use ureq::Agent;

/// Octets of an answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Questions that may wait for each thread.
const WAITING_PER_THREAD: usize = 64;

/// What to ask, and who wants to know.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) shard: u16,
    pub(super) what: Box<CallOut>,
    /// Nobody waits for the answer any longer.
    pub(super) until: Instant,
}

/// Threads that ask, and one that derives keys. They start with the first question, and end with the process.
pub struct Callouts {
    threads: usize,
    doors: Arc<[Door]>,
    questions: Queue,
    /// Of their own: applications may let all the others wait.
    derivations: Queue,
}

/// Where questions wait, if there is somebody who takes them.
type Queue = OnceLock<Option<Sender<Question>>>;

impl fmt::Debug for Callouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callouts").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Callouts {
    /// So many threads, for shards with these doors.
    #[must_use]
    pub fn new(threads: usize, doors: Arc<[Door]>) -> Callouts {
        Callouts { threads, doors, questions: OnceLock::new(), derivations: OnceLock::new() }
    }

    /// Does what is wanted. The answer comes by [`Command::CalledOut`], unless nobody waits for it any longer.
    pub(super) fn ask(&self, question: Question) {
        let (queue, threads, name) = match question.what.work {
            Work::Ask(..) => (&self.questions, self.threads, "callout"),
            Work::Derive(..) => (&self.derivations, 1, "derive"),
        };
        let queue = queue.get_or_init(|| match self.start(threads, name) {
            Ok(queue) => Some(queue),
            Err(error) => {
                tracing::error!(%error, "cannot start the threads that find out who clients are");
                None
            }
        });
        let back = match queue {
            Some(queue) => queue.try_send(question).map_err(|full| full.into_inner()),
            None => Err(question),
        };
        if let Err(question) = back {
            let what = match &question.what.work {
                Work::Ask(callout, _) => &*callout.url,
                Work::Derive(..) => "keys",
            };
            tracing::warn!(what, "too many clients wait for it to be found out who they are");
            answer(&self.doors, &question, Verdict::Failed);
        }
    }

    fn start(&self, threads: usize, name: &str) -> io::Result<Sender<Question>> {
        let (sender, questions) = bounded(threads * WAITING_PER_THREAD);
        for number in 0..threads {
            let (questions, doors) = (questions.clone(), self.doors.clone());
            drop(Builder::new().name(format!("{name}-{number}")).spawn(move || work(&questions, &doors))?);
        }
        Ok(sender)
    }
}

fn work(questions: &Receiver<Question>, doors: &[Door]) {
    // Connections to applications are kept. Their errors are theirs to explain by a status.
    let agent: Agent = Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    for question in questions {
        let left = question.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            continue;
        }
        let verdict = match &question.what.work {
            Work::Ask(callout, body) => ask(&agent, callout, body, left).unwrap_or_else(|error| {
                tracing::warn!(url = &*callout.url, %error, "an application cannot be asked who a client is");
                Verdict::Failed
            }),
            Work::Derive(secret, salt) => Verdict::Derived(Secret(cra::derive(&secret.0, salt).into_bytes().into())),
        };
        answer(doors, &question, verdict);
    }
}

fn ask(agent: &Agent, callout: &Callout, body: &[u8], left: Duration) -> Result<Verdict, ureq::Error> {
    let mut request = agent.post(&*callout.url).header("Content-Type", "application/json");
    for (name, value) in &callout.headers {
        request = request.header(&**name, &*value.0);
    }
    let mut response = request.config().timeout_global(Some(left)).build().send(body)?;
    match response.status().as_u16() {
        200 => {
            let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
            Ok(Verdict::Answer(body))
        }
        401 | 403 | 404 => Ok(Verdict::Denied),
        status => {
            tracing::warn!(url = &*callout.url, status, "an application does not say who a client is");
            Ok(Verdict::Failed)
        }
    }
}

fn answer(doors: &[Door], question: &Question, verdict: Verdict) {
    let Some(door) = doors.get(usize::from(question.shard)) else { return };
    // Without an answer, the client is refused when its time is over.
    let _ = door.send(Command::CalledOut(question.what.conn, question.what.round, verdict));
}
