//! Waiting until a guest is ready.

use crate::config::guest::ReadyConfig;
use crate::wamp::Uri;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// The time between two tries to connect, and how long one may take.
const TRY_INTERVAL: Duration = Duration::from_millis(100);
const TRY_TIME_MAX: Duration = Duration::from_secs(2);

/// Waits until somebody offers a procedure in a realm. Those who run guests beside a router know how to find out.
pub type Lookout = Arc<dyn Fn(Uri, Uri) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Waits until a guest that has started is ready; for ever if it is only when it has ended.
pub(super) async fn ready(config: &ReadyConfig, line: &Notify, lookout: Option<&Lookout>) {
    match config {
        ReadyConfig::Start => {}
        ReadyConfig::Exit => pending().await,
        ReadyConfig::Procedure { realm, procedure } => match lookout {
            Some(lookout) => lookout(realm.clone(), procedure.clone()).await,
            None => pending().await,
        },
        ReadyConfig::Line(_) => line.notified().await,
        ReadyConfig::Tcp { host, port } => {
            while !matches!(timeout(TRY_TIME_MAX, TcpStream::connect((&**host, *port))).await, Ok(Ok(_))) {
                sleep(TRY_INTERVAL).await;
            }
        }
    }
}
