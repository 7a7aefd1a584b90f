//! The service manager, if there is one: it is told how the router is (`sd_notify(3)`), and hands over sockets
//! (`sd_listen_fds(3)`).

use crate::shard::Vitals;
use crate::transport::listener::Listener;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use std::time::Duration;

/// Tells the service manager. Without one nothing happens.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// The configuration is read again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the time is not known"),
    }
}

/// Keeps the service manager's watchdog quiet as long as no shard is stuck. Never returns; without a watchdog it does
/// nothing.
pub(super) async fn reassure(vitals: &Vitals, stuck_after: Duration) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    loop {
        if vitals.stuck(stuck_after).is_none() {
            tell(&[NotifyState::Watchdog]);
        }
        tokio::time::sleep((interval / 3).max(Duration::from_millis(1))).await;
    }
}

/// The sockets that were handed over.
pub(super) fn sockets() -> Vec<Listener> {
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..given.len() {
        let socket = match given.take_tcp_listener(index) {
            Ok(Some(socket)) => socket.into(),
            _ => match given.take_unix_listener(index) {
                Ok(Some(socket)) => socket.into(),
                _ => {
                    tracing::warn!(index, "what was handed over is no listening socket");
                    continue;
                }
            },
        };
        match Listener::inherited(socket) {
            Ok(listener) => sockets.push(listener),
            Err(error) => tracing::warn!(index, %error, "a socket that was handed over is of no use"),
        }
    }
    sockets
}
