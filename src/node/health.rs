//! Finding out whether the shards turn, and saying so on a port of its own.

use super::Node;
use crate::config::RuntimeConfig;
use crate::router::ShardIndex;
use crate::shard::{Command, Door, Vitals};
use crate::transport::listener::{BindError, Listener};
use crate::transport::premises::Board;
use crate::transport::probe;
use crate::wire::handshake::Probe;
use crate::wire::http::refusal;
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
        let (board, vitals) = (self.board.clone(), self.vitals.clone());
        self.probes = listener.map(|listener| tokio::spawn(serve(listener, board, vitals)).abort_handle());
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

async fn serve(listener: TcpListener, board: Arc<Board>, vitals: Arc<Vitals>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (config, vitals) = (board.read().config, vitals.clone());
                tokio::spawn(async move {
                    // Who goes away or takes too long gets nothing.
                    let _ = tokio::time::timeout(PATIENCE, respond(stream, &config, &vitals)).await;
                });
            }
            Err(_) => tokio::time::sleep(board.read().config.accept_pause).await,
        }
    }
}

async fn respond(mut stream: TcpStream, config: &RuntimeConfig, vitals: &Vitals) -> io::Result<()> {
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
