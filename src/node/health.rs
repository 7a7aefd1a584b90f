//! Finding out whether the shards turn, and saying so on a port of its own.

use super::{Console, Node, metrics};
use crate::config::RuntimeConfig;
use crate::router::ShardIndex;
use crate::shard::{Command, Door, Vitals};
use crate::transport::listener::{BindError, Listener};
use crate::transport::probe;
use crate::wire::handshake::Probe;
use crate::wire::http::{self, refusal};
use crate::wire::request;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How often shards are asked.
const ASK: Duration = Duration::from_millis(500);

/// Octets of the head of a request.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// How long a request and its response may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl Node {
    /// What is known of how the router is.
    #[must_use]
    pub fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }

    /// Begins to ask the shards, for as long as the router runs.
    pub(super) fn feel_pulse(&mut self) {
        let (doors, vitals) = (self.doors.clone(), self.vitals.clone());
        self.lifelong.push(tokio::spawn(ask(doors, vitals)).abort_handle());
    }

    /// Begins to answer probes on a port of their own, if there is one, and no longer on the one before.
    pub(super) fn answer_probes(&mut self, listener: Option<TcpListener>) {
        if let Some(before) = self.probes.take() {
            before.abort();
        }
        let console = self.console();
        self.probes = listener.map(|listener| tokio::spawn(serve(listener, console)).abort_handle());
    }
}

/// Opens the port for probes.
///
/// # Errors
/// It cannot be listened on.
pub(super) fn listen(config: &RuntimeConfig) -> Result<Option<TcpListener>, BindError> {
    config.health_listen.as_ref().map(Listener::bind_for_probes).transpose()
}

async fn ask(doors: Arc<[Door]>, vitals: Arc<Vitals>) {
    loop {
        let shards: std::ops::RangeFrom<ShardIndex> = 0..;
        for (shard, door) in shards.zip(doors.iter()) {
            // What cannot even be asked has not answered.
            if vitals.ask(shard) {
                let _ = door.send(Command::Beat);
            }
        }
        tokio::time::sleep(ASK).await;
    }
}

async fn serve(listener: TcpListener, console: Console) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let console = console.clone();
                tokio::spawn(async move {
                    // Who goes away or takes too long gets nothing.
                    let _ = tokio::time::timeout(PATIENCE, respond(stream, &console)).await;
                });
            }
            Err(_) => tokio::time::sleep(console.config().accept_pause).await,
        }
    }
}

async fn respond(mut stream: TcpStream, console: &Console) -> io::Result<()> {
    let (config, vitals) = (console.config(), console.vitals());
    let mut input = Vec::new();
    let answer = loop {
        match request::head(&input, HEAD_BYTES_MAX) {
            Ok(Some(head)) => {
                let head_only = head.method == "HEAD";
                let at = |path: &Option<String>| path.as_deref() == Some(head.path);
                break match head.method {
                    "GET" | "HEAD" if at(&config.health_path) => {
                        probe::answer(Probe::Health, head_only, vitals, config.health_stuck_after)
                    }
                    "GET" | "HEAD" if at(&config.health_ready_path) => {
                        probe::answer(Probe::Ready, head_only, vitals, config.health_stuck_after)
                    }
                    "GET" | "HEAD" if at(&config.metrics_path) => {
                        let text = metrics::text(console).await;
                        http::response(200, &[("Cache-Control", "no-store")], metrics::KIND, text.as_bytes(), head_only)
                    }
                    "GET" | "HEAD" => refusal(404, &[], "only probes are answered here"),
                    _ => refusal(405, &[("Allow", "GET, HEAD")], "only GET and HEAD are served here"),
                };
            }
            Ok(None) => {}
            Err(wrong) => break refusal(wrong.status, &[], wrong.text),
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    };
    stream.write_all(&answer).await?;
    stream.shutdown().await
}
