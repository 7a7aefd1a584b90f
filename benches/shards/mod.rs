//! Shards without sockets, for the benchmarks of the core.

use corebar::router::{ConnId, Effect, Limits, Link, Shard, ShardConfig, ShardIndex, ShardMsg};
use corebar::session::RealmConfig;
use corebar::wamp::Serializer;
use corebar::wire::Framing;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;
const HELLO: &[u8] = br#"[1,"realm1",{"roles":{"publisher":{},"subscriber":{},"caller":{},"callee":{}}}]"#;

/// Shards that hand their messages to each other at once.
pub(crate) struct Shards {
    shards: Vec<Shard>,
    between: VecDeque<(ShardIndex, ShardIndex, ShardMsg)>,
}

impl Shards {
    pub(crate) fn new(count: u16) -> Shards {
        let shard = |index| {
            Shard::new(ShardConfig {
                index,
                shards: count,
                seed: 1 + u64::from(index),
                epoch: Duration::ZERO,
                realms: [RealmConfig::new("realm1")].into(),
                auth: Arc::default(),
                limits: Limits::default(),
                traces: None,
                attempts: Arc::default(),
                census: Arc::default(),
                agent: "bench".into(),
                #[cfg(feature = "sim")]
                broken: None,
            })
        };
        Shards { shards: (0..count).map(shard).collect(), between: VecDeque::new() }
    }

    pub(crate) fn join(&mut self, shard: usize, conn: u32, deflate: Option<u8>) {
        let framing = Framing::WebSocket { batched: false, deflate, fragment: None };
        let link = Link { serializer: Serializer::Json, framing, message_max: usize::MAX };
        self.shards[shard].open(NOW, ConnId(conn), link, Arc::default());
        self.receive(shard, conn, HELLO);
    }

    /// Lets a message come and does all that comes of it; gives how many frames are written.
    pub(crate) fn receive(&mut self, shard: usize, conn: u32, message: &[u8]) -> usize {
        self.shards[shard].receive(NOW, ConnId(conn), message);
        let mut written = self.drain(shard);
        while let Some((from, to, message)) = self.between.pop_front() {
            self.shards[usize::from(to)].peer(NOW, from, message);
            written += self.drain(usize::from(to));
        }
        written
    }

    fn drain(&mut self, at: usize) -> usize {
        let mut written = 0;
        let shard = &mut self.shards[at];
        while let Some(effect) = shard.poll() {
            match effect {
                Effect::Send { frame, .. } => {
                    black_box(frame.len());
                    written += 1;
                }
                // As much as the owner of the connections has to do.
                Effect::Fan { conns, frame, .. } => {
                    for conn in &conns {
                        black_box((conn, frame.clone()).1.len());
                    }
                    written += conns.len();
                    shard.reuse(conns);
                }
                Effect::Peer { to, message } => self.between.push_back((at as ShardIndex, to, message)),
                _ => {}
            }
        }
        written
    }
}
