//! Which shard gets the next connection.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many connections each shard has or is about to get.
#[derive(Debug)]
pub struct Loads(Box<[AtomicUsize]>);

impl Loads {
    /// The loads of so many idle shards.
    #[must_use]
    pub fn new(shards: usize) -> Loads {
        Loads((0..shards).map(|_| AtomicUsize::new(0)).collect())
    }

    /// Counts a connection for the shard.
    pub fn add(&self, shard: usize) {
        self.0[shard].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection of the shard as gone.
    pub fn remove(&self, shard: usize) {
        self.0[shard].fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections of all shards together.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.iter().map(|load| load.load(Ordering::Relaxed)).sum()
    }
}

/// Chooses the least loaded shard; among equals, each in turn.
#[derive(Debug, Default)]
pub struct Placement {
    turn: usize,
}

impl Placement {
    /// The shard for the next connection.
    pub fn choose(&mut self, loads: &Loads) -> usize {
        let shards = loads.0.len();
        let least = (0..shards)
            .map(|step| (self.turn + step) % shards)
            .min_by_key(|&shard| loads.0[shard].load(Ordering::Relaxed))
            .unwrap_or(0);
        self.turn = least + 1;
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_take_turns() {
        let loads = Loads::new(3);
        let mut placement = Placement::default();
        let chosen: Vec<usize> = (0..6).map(|_| placement.choose(&loads)).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn the_least_loaded_is_filled_up_first() {
        let loads = Loads::new(3);
        (0..4).for_each(|_| loads.add(0));
        (0..2).for_each(|_| loads.add(2));
        let mut placement = Placement::default();
        for _ in 0..6 {
            let shard = placement.choose(&loads);
            loads.add(shard);
        }
        assert_eq!(loads.0.iter().map(|load| load.load(Ordering::Relaxed)).collect::<Vec<_>>(), [4, 4, 4]);
        loads.remove(1);
        assert_eq!(placement.choose(&loads), 1);
        assert_eq!(loads.total(), 11);
    }
}
