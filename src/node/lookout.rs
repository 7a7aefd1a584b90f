//! Finding out whether somebody offers a procedure.

use super::Console;
use super::console::Insider;
use crate::client::Session;
use crate::process::Lookout;
use crate::wamp::{Dict, Uri, Value};
use std::sync::Arc;
use std::time::Duration;

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The time until a realm is looked for again that is not there.
const PAUSE: Duration = Duration::from_secs(1);

/// The name of the session that looks.
const AUTHID: &str = "corebar.lookout";

/// Looks out by sessions of the node's own.
pub(super) fn lookout(console: Console) -> Lookout {
    Arc::new(move |realm, procedure| Box::pin(offered(console.clone(), realm, procedure)))
}

async fn offered(console: Console, realm: Uri, procedure: Uri) {
    loop {
        if let Some(session) = join(&console, &realm).await
            && is_offered(&session, &procedure).await
        {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn join(console: &Console, realm: &Uri) -> Option<Session> {
    let index = console.realm(realm)?;
    let namespace = console.config().realms.get(usize::from(index))?.namespace.clone();
    let who = Insider { realm: realm.clone(), namespace, authid: AUTHID.into(), role: None };
    console.join(who).await.ok()
}

/// Waits until it is; false: the session has ended before.
async fn is_offered(session: &Session, procedure: &Uri) -> bool {
    loop {
        let args = vec![Value::from(&**procedure)];
        match session.call("wamp.registration.match", args, Dict::new(), Dict::new()).await {
            Ok(outcome) if outcome.args.first().is_some_and(|id| id.as_uint().is_some()) => return true,
            Ok(_) => tokio::time::sleep(LOOK).await,
            Err(_) => return false,
        }
    }
}
