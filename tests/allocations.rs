//! How often memory is asked for: what an event costs does not depend on how many receive it.

use corebar::router::{ConnId, Effect, Limits, Link, Shard, ShardConfig};
use corebar::session::RealmConfig;
use corebar::transport::outqueue::OutQueue;
use corebar::wamp::Serializer;
use corebar::wire::Framing;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;
const EVENTS: u64 = 100;

/// The topic, the payload, what is shared of it, the publication, the frame.
const PER_EVENT_MAX: u64 = 5;

/// A shard with subscribers, and what waits to be written to each.
struct Scene {
    shard: Shard,
    queues: Vec<OutQueue>,
    scratch: Vec<u8>,
}

impl Scene {
    fn new(subscribers: u32) -> Scene {
        let shard = Shard::new(ShardConfig {
            index: 0,
            shards: 1,
            seed: 1,
            epoch: Duration::ZERO,
            realms: [RealmConfig::new("realm1")].into(),
            auth: Arc::default(),
            limits: Limits::default(),
            traces: None,
            attempts: Arc::default(),
            census: Arc::default(),
            agent: "test".into(),
            #[cfg(feature = "sim")]
            broken: None,
        });
        let queues = (0..=subscribers).map(|_| OutQueue::default()).collect();
        let mut scene = Scene { shard, queues, scratch: Vec::with_capacity(1 << 16) };
        for n in 0..=subscribers {
            let framing = Framing::WebSocket { batched: false, deflate: None, fragment: None };
            let link = Link { serializer: Serializer::Json, framing, message_max: usize::MAX };
            scene.shard.open(NOW, ConnId(n), link, Arc::default());
            scene.receive(ConnId(n), br#"[1,"realm1",{"roles":{"publisher":{},"subscriber":{}}}]"#);
            if n > 0 {
                scene.receive(ConnId(n), br#"[32,1,{},"com.example.topic"]"#);
            }
        }
        scene
    }

    /// Lets a message come and writes all that comes of it, as the owner of the connections does.
    fn receive(&mut self, conn: ConnId, message: &[u8]) -> usize {
        self.shard.receive(NOW, conn, message);
        let mut written = 0;
        while let Some(effect) = self.shard.poll() {
            match effect {
                Effect::Send { conn, frame } => {
                    self.queues[conn.0 as usize].push(frame);
                    written += self.write(conn);
                }
                Effect::Fan { conns, frame, .. } => {
                    for conn in &conns {
                        self.queues[conn.0 as usize].push(frame.clone());
                    }
                    written += conns.iter().map(|conn| self.write(*conn)).sum::<usize>();
                    self.shard.reuse(conns);
                }
                other => panic!("{other:?}"),
            }
        }
        written
    }

    fn write(&mut self, conn: ConnId) -> usize {
        let queue = &mut self.queues[conn.0 as usize];
        let result =
            queue.write_once(&mut self.scratch, |parts| Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum())));
        match result {
            Poll::Ready(Ok(octets)) if queue.is_empty() => octets,
            other => panic!("{other:?}"),
        }
    }

    /// How often memory is asked for while so many events are published and written.
    fn allocations(&mut self, events: u64) -> u64 {
        let counted = allocation_counter::measure(|| {
            for _ in 0..events {
                let event = br#"[16,1,{},"com.example.topic",["something to tell everybody"]]"#;
                assert!(self.receive(ConnId(0), event) > 0);
            }
        });
        counted.count_total
    }
}

#[test]
fn an_event_asks_for_memory_a_few_times_for_all_receivers_together() {
    let each = [1, 10, 10_000].map(|subscribers| {
        let mut scene = Scene::new(subscribers);
        // Lists grow to their size.
        scene.allocations(10);
        let counted = scene.allocations(EVENTS);
        assert_eq!(counted % EVENTS, 0, "each event costs the same");
        counted / EVENTS
    });
    assert!(each.iter().all(|count| *count == each[0]), "independent of the number of receivers: {each:?}");
    assert!(each[0] <= PER_EVENT_MAX, "{each:?}");
}
