//! What is asked for on one side because of what the other one has.

use super::subjects::Key;
use crate::client::{CallError, Held, RequestError};
use crate::wamp::error;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

/// When something that was refused is asked for again, at first and at last.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

#[derive(Debug)]
struct Mirrored {
    /// How one of several callees is chosen.
    invoke: Box<str>,
    task: AbortHandle,
    /// Somebody has given it back.
    free: Arc<Notify>,
}

/// What is asked for on a side, of one kind.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    all: HashMap<Key, Mirrored>,
    tasks: JoinSet<()>,
}

/// Asks for something once.
pub(super) trait Ask: Clone + Send + Sync + 'static {
    /// Asks; what is given is dropped when it is not wanted any more.
    fn ask(&self, key: &Key, invoke: &str) -> impl Future<Output = Result<Held, RequestError>> + Send;
}

impl Mirror {
    /// Has this asked for, or not any more.
    pub(super) fn set(&mut self, key: &Key, invoke: Option<Box<str>>, ask: &impl Ask, link: &Arc<str>) {
        while self.tasks.try_join_next().is_some() {}
        let known = self.all.get(key);
        if known.map(|known| &known.invoke) == invoke.as_ref() {
            return;
        }
        if let Some(old) = self.all.remove(key) {
            old.task.abort();
        }
        let Some(invoke) = invoke else { return };
        let free = Arc::<Notify>::default();
        let held = hold(key.clone(), invoke.clone(), ask.clone(), free.clone(), link.clone());
        let task = self.tasks.spawn(held);
        self.all.insert(key.clone(), Mirrored { invoke, task, free });
    }

    /// Has all of these asked for, and nothing else.
    pub(super) fn set_all(&mut self, wanted: HashMap<Key, Box<str>>, ask: &impl Ask, link: &Arc<str>) {
        let gone: Vec<Key> = self.all.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        gone.iter().for_each(|key| self.set(key, None, ask, link));
        wanted.into_iter().for_each(|(key, invoke)| self.set(&key, Some(invoke), ask, link));
    }

    /// Somebody else has given this back.
    pub(super) fn is_free(&self, key: &Key) {
        if let Some(mirrored) = self.all.get(key) {
            mirrored.free.notify_one();
        }
    }

    /// Lets everything go.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.tasks.abort_all();
    }
}

/// Asks until it is granted, and holds it until the task is ended.
async fn hold(key: Key, invoke: Box<str>, ask: impl Ask, free: Arc<Notify>, link: Arc<str>) {
    let (mut pause, mut told) = (AGAIN.0, false);
    loop {
        match ask.ask(&key, &invoke).await {
            Ok(_held) => return std::future::pending().await,
            Err(RequestError::Refused(CallError { error, .. })) if *error == *error::PROCEDURE_ALREADY_EXISTS => {
                tracing::debug!(link = &*link, uri = %key.0, "the procedure is offered on both sides");
            }
            Err(RequestError::Refused(error)) if !std::mem::replace(&mut told, true) => {
                tracing::warn!(link = &*link, uri = %key.0, %error, "cannot be brought by the link");
            }
            Err(RequestError::Refused(_)) => {}
            // The connection ends with the session.
            Err(_) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(AGAIN.1),
            () = free.notified() => {}
        }
    }
}
