//! The queues between shards: one bounded ring per ordered pair of shards, filled with batches.
//!
//! A sender never waits. What a full ring cannot take goes to an overflow of the sender, and from then on everything
//! goes through the overflow until it is empty, so that one pair of shards is one first-in-first-out queue. The
//! overflow is weighed: its owner stops reading sockets while it is too heavy.

use super::wake::Bell;
use crate::router::ShardIndex;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Messages of one batch. A fuller batch is closed and the next begun, which bounds what a ring can hold.
pub const BATCH_MESSAGES_MAX: usize = 1024;

/// Octets that the messages of one batch keep alive, roughly; the last message may pass it.
pub const BATCH_WEIGHT_MAX: usize = 256 * 1024;

/// Emptied batches that a port keeps for its own sending.
const SPARE_BATCHES_MAX: usize = 64;

/// What travels between shards.
pub trait Parcel: Send + 'static {
    /// Roughly how many octets it keeps alive.
    fn weight(&self) -> usize;
}

impl Parcel for crate::router::ShardMsg {
    fn weight(&self) -> usize {
        crate::router::ShardMsg::weight(self)
    }
}

/// The queue from one shard to another.
struct Ring<T> {
    sender: Sender<Vec<T>>,
    receiver: Receiver<Vec<T>>,
    /// The sender has an overflow and wants to know when there is room.
    overflowing: AtomicBool,
}

/// The rings and bells of all shards.
pub struct Mesh<T> {
    shards: usize,
    /// At `from * shards + to`; the diagonal is not used.
    rings: Box<[Ring<T>]>,
    bells: Box<[Bell]>,
}

impl<T> fmt::Debug for Mesh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").field("shards", &self.shards).finish_non_exhaustive()
    }
}

impl<T: Parcel> Mesh<T> {
    /// Rings of so many batches between so many shards.
    #[must_use]
    pub fn new(shards: usize, ring_batches: usize) -> Mesh<T> {
        let ring = |index: usize| {
            let diagonal = index / shards == index % shards;
            let (sender, receiver) = bounded(if diagonal { 1 } else { ring_batches.max(1) });
            Ring { sender, receiver, overflowing: AtomicBool::new(false) }
        };
        Mesh {
            shards,
            rings: (0..shards * shards).map(ring).collect(),
            bells: (0..shards).map(|_| Bell::default()).collect(),
        }
    }

    /// The bell of a shard.
    #[must_use]
    pub fn bell(&self, shard: usize) -> &Bell {
        &self.bells[shard]
    }

    /// True if the shard has something to take, or can now send what did not fit before.
    #[must_use]
    pub fn has_work(&self, shard: usize) -> bool {
        (0..self.shards).any(|other| {
            let out = self.ring(shard, other);
            !self.ring(other, shard).receiver.is_empty()
                || (out.overflowing.load(Ordering::SeqCst) && !out.sender.is_full())
        })
    }

    fn ring(&self, from: usize, to: usize) -> &Ring<T> {
        &self.rings[from * self.shards + to]
    }
}

/// The end of the mesh that one shard holds.
#[derive(Debug)]
pub struct Port<T> {
    mesh: Arc<Mesh<T>>,
    me: usize,
    outs: Vec<Out<T>>,
    overflow_weight: usize,
    spare: Vec<Vec<T>>,
    /// The inbox to look into first, so that none is starved by another.
    first_inbox: usize,
}

/// What waits to be sent to one shard.
#[derive(Debug)]
struct Out<T> {
    /// The batch being filled.
    batch: Vec<T>,
    batch_weight: usize,
    /// Full batches with their weights that the ring had no room for, oldest first.
    overflow: VecDeque<(Vec<T>, usize)>,
    /// Something was put into the ring since the last time the bell was rung.
    owes_ring: bool,
}

impl<T: Parcel> Port<T> {
    /// The end of the shard `me`. Each shard must have one only.
    #[must_use]
    pub fn new(mesh: Arc<Mesh<T>>, me: ShardIndex) -> Port<T> {
        let out = || Out { batch: Vec::new(), batch_weight: 0, overflow: VecDeque::new(), owes_ring: false };
        let outs = (0..mesh.shards).map(|_| out()).collect();
        Port { me: usize::from(me), outs, overflow_weight: 0, spare: Vec::new(), first_inbox: 0, mesh }
    }

    /// Puts a message into the batch for a shard. It leaves with the next [`Port::hand_over`], or earlier.
    pub fn post(&mut self, to: ShardIndex, message: T) {
        let to = usize::from(to);
        debug_assert_ne!(to, self.me, "a shard does not send to itself");
        let out = &mut self.outs[to];
        if out.batch.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            out.batch = spare;
        }
        out.batch_weight += message.weight();
        out.batch.push(message);
        if out.batch.len() >= BATCH_MESSAGES_MAX || out.batch_weight >= BATCH_WEIGHT_MAX {
            self.close_batch(to);
        }
    }

    /// Sends all batches and rings the bell of each shard that got something, once.
    pub fn hand_over(&mut self) {
        for to in 0..self.outs.len() {
            self.drain_overflow(to);
            if !self.outs[to].batch.is_empty() {
                self.close_batch(to);
            }
            if std::mem::take(&mut self.outs[to].owes_ring) {
                self.mesh.bell(to).ring();
            }
        }
    }

    /// The next batch that another shard has sent. Give it back to [`Port::recycle`] when it is empty.
    pub fn take(&mut self) -> Option<(ShardIndex, Vec<T>)> {
        let shards = self.outs.len();
        for step in 0..shards {
            let from = (self.first_inbox + step) % shards;
            let ring = self.mesh.ring(from, self.me);
            if let Ok(batch) = ring.receiver.try_recv() {
                self.first_inbox = from + 1;
                if ring.overflowing.load(Ordering::SeqCst) {
                    self.mesh.bell(from).ring();
                }
                let from = ShardIndex::try_from(from).expect("shards are counted in ShardIndex");
                return Some((from, batch));
            }
        }
        None
    }

    /// Keeps an emptied batch for sending, unless there are enough or it is unusually large.
    pub fn recycle(&mut self, mut batch: Vec<T>) {
        batch.clear();
        if self.spare.len() < SPARE_BATCHES_MAX && batch.capacity() <= BATCH_MESSAGES_MAX {
            self.spare.push(batch);
        }
    }

    /// Weight of what could not be sent, in octets.
    #[must_use]
    pub fn overflow_weight(&self) -> usize {
        self.overflow_weight
    }

    fn close_batch(&mut self, to: usize) {
        let out = &mut self.outs[to];
        let batch = std::mem::take(&mut out.batch);
        let weight = std::mem::take(&mut out.batch_weight);
        if !out.overflow.is_empty() {
            out.overflow.push_back((batch, weight));
            self.overflow_weight += weight;
            return;
        }
        match self.mesh.ring(self.me, to).sender.try_send(batch) {
            Ok(()) => out.owes_ring = true,
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                out.overflow.push_back((batch, weight));
                self.overflow_weight += weight;
                // From here on the receiver rings when it has taken something. What it took before it could see
                // this is seen by `has_work` before this shard sleeps.
                self.mesh.ring(self.me, to).overflowing.store(true, Ordering::SeqCst);
            }
        }
    }

    fn drain_overflow(&mut self, to: usize) {
        let out = &mut self.outs[to];
        if out.overflow.is_empty() {
            return;
        }
        let ring = self.mesh.ring(self.me, to);
        while let Some((batch, weight)) = out.overflow.pop_front() {
            match ring.sender.try_send(batch) {
                Ok(()) => {
                    self.overflow_weight -= weight;
                    out.owes_ring = true;
                }
                Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                    out.overflow.push_front((batch, weight));
                    return;
                }
            }
        }
        ring.overflowing.store(false, Ordering::SeqCst);
        out.overflow = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Item {
        number: u32,
        weight: usize,
    }

    impl Parcel for Item {
        fn weight(&self) -> usize {
            self.weight
        }
    }

    fn item(number: u32) -> Item {
        Item { number, weight: 10 }
    }

    fn pair(ring_batches: usize) -> (Port<Item>, Port<Item>) {
        let mesh = Arc::new(Mesh::new(2, ring_batches));
        (Port::new(mesh.clone(), 0), Port::new(mesh, 1))
    }

    fn numbers(port: &mut Port<Item>) -> Vec<u32> {
        let mut numbers = Vec::new();
        while let Some((_, batch)) = port.take() {
            numbers.extend(batch.iter().map(|item| item.number));
            port.recycle(batch);
        }
        numbers
    }

    #[test]
    fn a_turn_is_one_batch() {
        let (mut a, mut b) = pair(4);
        (0..10).for_each(|number| a.post(1, item(number)));
        assert!(b.take().is_none(), "nothing leaves before the turn ends");
        a.hand_over();
        let (from, batch) = b.take().expect("a batch");
        assert_eq!((from, batch.len()), (0, 10));
        assert!(b.take().is_none());
    }

    #[test]
    fn order_holds_through_the_overflow() {
        let (mut a, mut b) = pair(2);
        let mut received = Vec::new();
        for number in 0..1000 {
            a.post(1, item(number));
            a.hand_over();
            if number % 7 == 0 {
                let (_, batch) = b.take().expect("the ring is never empty here");
                received.extend(batch.iter().map(|item| item.number));
            }
        }
        assert!(a.overflow_weight() > 0);
        while received.len() < 1000 {
            let before = received.len();
            received.extend(numbers(&mut b));
            a.hand_over();
            assert!(received.len() > before || a.overflow_weight() > 0);
        }
        assert_eq!(received, (0..1000).collect::<Vec<_>>());
        assert_eq!(a.overflow_weight(), 0);
    }

    #[test]
    fn the_overflow_weighs_what_it_holds() {
        let (mut a, mut b) = pair(1);
        for number in 0..4 {
            a.post(1, item(number));
            a.hand_over();
        }
        assert_eq!(a.overflow_weight(), 30);
        assert!(!a.mesh.has_work(0), "the ring is full");
        assert_eq!(numbers(&mut b), [0]);
        assert!(a.mesh.has_work(0), "there is room now");
        a.hand_over();
        assert_eq!(a.overflow_weight(), 20);
    }

    #[test]
    fn heavy_batches_are_closed_early() {
        let (mut a, mut b) = pair(8);
        a.post(1, Item { number: 1, weight: BATCH_WEIGHT_MAX });
        a.post(1, item(2));
        assert_eq!(b.take().expect("the heavy one").1.len(), 1);
        assert!(b.take().is_none());
        a.hand_over();
        assert_eq!(numbers(&mut b), [2]);
    }

    #[test]
    fn inboxes_take_turns() {
        let mesh = Arc::new(Mesh::new(3, 8));
        let mut ports: Vec<Port<Item>> = (0..3).map(|me| Port::new(mesh.clone(), me)).collect();
        for number in 0..3 {
            for port in ports.iter_mut().take(2) {
                port.post(2, item(number));
                port.hand_over();
            }
        }
        let order: Vec<ShardIndex> = std::iter::from_fn(|| ports[2].take()).map(|(from, _)| from).collect();
        assert_eq!(order, [0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn a_sender_with_an_overflow_is_woken_when_there_is_room() {
        let (mut a, mut b) = pair(1);
        a.post(1, item(0));
        a.hand_over();
        a.post(1, item(1));
        a.hand_over();
        let mesh = a.mesh.clone();
        mesh.bell(0).before_sleep(|| mesh.has_work(0));
        assert!(b.take().is_some());
        assert!(!mesh.bell(0).ring(), "the bell was rung by the receiver");
    }
}
