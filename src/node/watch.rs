//! Files that a router looks at while it runs.

use super::Node;
use crate::auth::jwt::{JwtKey, KeyRing};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

impl Node {
    /// Looks after the files of the configuration, and no longer after those of the one before.
    pub(super) fn watch(&mut self) {
        self.watchers.drain(..).for_each(|watcher| watcher.abort());
        let config = &self.premises.config;
        let jwts = config.transports.iter().filter_map(|transport| transport.auth.jwt.as_ref());
        for (path, keys) in jwts.filter_map(|jwt| Some((jwt.jwks.clone()?, jwt.keys.clone()))) {
            self.watchers.push(tokio::spawn(watch_keys(path, keys, config.jwks_interval)).abort_handle());
        }
    }
}

/// Looks again and again whether the file of a ring's keys has changed.
async fn watch_keys(path: PathBuf, ring: Arc<KeyRing>, interval: Duration) {
    let mut known = std::fs::read_to_string(&path).ok();
    loop {
        tokio::time::sleep(interval).await;
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if known.as_ref() == Some(&text) {
            continue;
        }
        match JwtKey::set(&text) {
            Ok(keys) => {
                tracing::info!(file = %path.display(), "the keys for tokens have been read again");
                ring.replace(keys);
            }
            Err(wrong) => tracing::error!(file = %path.display(), wrong, "the keys for tokens stay as they are"),
        }
        known = Some(text);
    }
}
