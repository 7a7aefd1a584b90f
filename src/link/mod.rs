//! Links between realms of routers: what is published and offered on one is there on the other.
//!
//! A link is two sessions, one on each router, for as long as both are there; when one is lost both end, and are opened again.
//! The `connection` follows by the meta API (`follow`, `subjects`) what is wanted and offered on each side; from what it knows
//! (`view`) follows what it asks for on the other one (`mirror`). What comes is passed on as it is (`events`, `calls`), with a
//! word about where it has been (`hops`).

mod calls;
mod connection;
mod events;
mod follow;
mod hops;
mod mirror;
mod status;
mod subjects;
mod view;
mod way;

use crate::client::{ConnectError, Session};
use crate::config::{LinkConfig, LinkName};
use status::Standing;
pub use status::{Carried, Directory, LinkStatus};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// Joins the realm here.
pub type Join = Arc<dyn Fn() -> Joining + Send + Sync>;
/// A session is about to be opened.
pub type Joining = Pin<Box<dyn Future<Output = Result<Session, ConnectError>> + Send>>;

/// The links of a node.
#[derive(Debug)]
pub struct Links {
    running: BTreeMap<LinkName, (LinkConfig, AbortHandle)>,
    directory: Directory,
    leaving: watch::Sender<bool>,
}

impl Default for Links {
    fn default() -> Self {
        Links { running: BTreeMap::new(), directory: Directory::default(), leaving: watch::Sender::new(false) }
    }
}

impl Links {
    /// Has these links in place of those before; what is the same goes on. On a tokio runtime.
    pub fn reload(&mut self, configs: &[LinkConfig], join: impl Fn(&LinkConfig) -> Join) {
        self.running.retain(|name, (config, task)| {
            let goes_on = configs.contains(config);
            if !goes_on {
                task.abort();
                self.directory.remove(name);
            }
            goes_on
        });
        for config in configs {
            let (name, url) = (config.name(), config.way.url.clone());
            if self.running.contains_key(&name) {
                continue;
            }
            let standing = Arc::new(Standing::new(name.clone(), url, config.remote_realm.to_string()));
            self.directory.add(name.clone(), standing.clone());
            let run = run(config.clone(), join(config), standing, self.leaving.subscribe());
            self.running.insert(name, (config.clone(), tokio::spawn(run).abort_handle()));
        }
    }

    /// How they are.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The router takes leave: nothing new comes over a link, and one that is lost does not come again.
    pub fn leave(&self) {
        self.leaving.send_replace(true);
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.running.values().for_each(|(_, task)| task.abort());
    }
}

/// Connects, and connects again whenever the connection is lost.
async fn run(config: LinkConfig, join: Join, standing: Arc<Standing>, mut leaving: watch::Receiver<bool>) {
    let mut pause = config.retry_delay;
    loop {
        match open(&config, &join).await {
            Ok((here, there)) => {
                let begun = tokio::time::Instant::now();
                let why = connection::serve(&config, here, there, &standing, leaving.clone()).await;
                // A connection that is lost at once is as good as none.
                if begun.elapsed() >= pause {
                    pause = config.retry_delay;
                }
                standing.down(why);
            }
            Err(why) => standing.down(why),
        }
        tokio::select! {
            // Many links shall not come at once.
            () = sleep(pause.mul_f64(1.0 - fastrand::f64() / 2.0)) => {}
            _ = leaving.wait_for(|leaving| *leaving) => return,
        }
        pause = (pause * 2).min(config.retry_delay_max.max(config.retry_delay));
    }
}

/// Both sessions, here and there.
async fn open(config: &LinkConfig, join: &Join) -> Result<(Session, Session), String> {
    let there = way::connect(config)?.open().await.map_err(|error| error.to_string())?;
    let here = join().await.map_err(|error| format!("the realm here: {error}"))?;
    Ok((here, there))
}
